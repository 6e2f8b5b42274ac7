# SPDX-License-Identifier: MIT
"""Signals that end the job, as KeyboardInterrupt."""
import signal


class Interrupts:
    """They wait within a `with` block, where a child comes into being: it is known before we end. One that comes while
    Python tears down an object is printed and lost: `look`, at each step, sees that it came."""

    def __init__(self):
        self.held = self.came = False

    def catch(self):
        """But for those that who started us ignores, as nohup does."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self.handle)

    def handle(self, *_):
        self.came = True
        if not self.held:
            raise KeyboardInterrupt

    def look(self):
        if self.came:
            raise KeyboardInterrupt

    def __enter__(self):
        self.held = True

    def __exit__(self, *_):
        self.held = False
        self.look()


interrupts = Interrupts()
