# SPDX-License-Identifier: MIT
"""How far the job is, on standard error: one line that is rewritten on a terminal, else a line a finished step."""
import sys
import time

from interrupts import interrupts


class Progress:
    def __init__(self, seconds):
        self.start = time.monotonic()
        self.total = seconds
        self.allotted = 0.0  # seconds of the parts that are over
        self.live = sys.stderr.isatty()
        self.open_line = False

    def elapsed(self):
        return time.monotonic() - self.start

    def _show(self, text, end):
        interrupts.look()
        done = min(1.0, self.allotted / self.total)
        left = max(0.0, self.total - self.allotted)
        line = f'[{100 * done:3.0f} %] {text}, about {left:.0f} s left'
        if self.live:
            sys.stderr.write(f'\r\x1b[K{line}')
            self.open_line = True
        elif end:
            sys.stderr.write(line + '\n')
        sys.stderr.flush()

    def working(self, text):
        """Within a step: seen on a terminal only."""
        self._show(text, end=False)

    def finished(self, text, seconds):
        """A step is over that the budget gives `seconds`."""
        self.allotted += seconds
        self._show(text, end=True)

    def close(self):
        if self.open_line:
            sys.stderr.write('\n')
            sys.stderr.flush()


def rounds(budget, least, name, progress, run_round):
    """Calls run_round(number) while another one fits into `budget` seconds, at least `least` times."""
    start = time.monotonic()
    number, longest, shown = 0, 0.0, 0.0
    while number < least or time.monotonic() - start + longest <= budget:
        begin = time.monotonic()
        run_round(number)
        number += 1
        longest = max(longest, time.monotonic() - begin)
        spent = time.monotonic() - start
        last = number >= least and spent + longest > budget
        now = budget if last else min(spent, budget)
        progress.finished(f'{name}: round {number}', now - shown)
        shown = now
