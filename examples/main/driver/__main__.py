# SPDX-License-Identifier: MIT
"""The main job: decodes real input with and without pooled contexts, times malloc and pools, writes what it found."""
import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import burst
import cost
import decoders
import figures
import inputs
import machine
import measure
import plot
import report
from errors import JobError
from output import Output
from progress import Progress

MAIN = Path(__file__).resolve().parent.parent
ROOT = MAIN.parent.parent

# Seconds each part may take; a part goes on, round after round, until the next round would not fit.
BUDGETS = {False: {'decode': 28, 'micro': 45, 'cost': 6}, True: {'decode': 4, 'micro': 6, 'cost': 2}}


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog='examples/run',
        description='Decodes real input with and without pooled zstd contexts, times pools against malloc, and says '
        'which of the design\'s figures are met. Two minutes after the build.',
        epilog='FILE: what to compress and decode, the first 16 MiB of all (4 with --quick); default: text and '
        'programs of the system. '
        'Exit status: 0 done (whether figures are met or missed), 1 failed, or a file or folder can not be used, '
        '2 wrong usage or missing packages.')
    parser.add_argument('--quick', action='store_true', help='under 30 seconds; noisier figures')
    parser.add_argument('--output', metavar='DIR', type=Path, help='an existing folder for results.json and '
                        'results.svg (default: build-examples/results)')
    parser.add_argument('--programs', metavar='DIR', type=Path, help='use these programs, build nothing '
                        '(examples/main in a build folder)')
    parser.add_argument('--check-only', action='store_true', help=argparse.SUPPRESS)
    parser.add_argument('files', metavar='FILE', type=Path, nargs='*')
    return parser.parse_args()


def default_output():
    folder = ROOT / 'build-examples' / 'results'
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JobError(f'{folder}: {error.strerror}') from error
    return folder


def measure_all(arguments, content, scratch):
    """All raw samples, and the facts that the report needs."""
    budgets = BUDGETS[arguments.quick]
    programs = measure.Programs(arguments.programs or ROOT / 'build-examples' / 'examples' / 'main')
    facts = {'quick': arguments.quick, 'started': time.strftime('%Y-%m-%dT%H:%M:%S%z'),
             'machine': machine.describe(), 'versions': programs.versions(), 'input': content.files}
    progress = Progress(sum(budgets.values()) + burst.seconds(arguments.quick) + decoders.SECONDS[arguments.quick])
    try:
        samples = measure.decode(programs, content, scratch, budgets['decode'], arguments.quick, progress)
        samples |= measure.micro(programs, budgets['micro'], arguments.quick, progress)
        facts['burst'] = burst.measure(programs, arguments.quick, progress)
        facts['decoders'] = decoders.measure(programs, content, scratch, arguments.quick, progress)
        costs = cost.measure(MAIN, ROOT / 'pool' / 'include', scratch, budgets['cost'], progress)
    finally:
        progress.close()
    facts['versions'] |= programs.sources()
    facts['seconds'] = round(progress.elapsed(), 1)
    return facts, samples, costs


def job(arguments):
    content = inputs.read(arguments.files, arguments.quick)
    with Output(arguments.output or default_output()) as output:
        if arguments.check_only:
            return 0
        with tempfile.TemporaryDirectory(prefix='opool-main-') as scratch:
            facts, samples, costs = measure_all(arguments, content, Path(scratch))
        results = figures.evaluate(facts, samples, costs)
        output.write('results.json', report.to_json(results))
        output.write('results.svg', plot.to_svg(results))
        sys.stdout.write(report.to_text(results))
        sys.stdout.write(f'\nwritten: {output.folder}/results.json and results.svg\n')
        sys.stdout.flush()
    return 0


def close_quietly():
    """What is left in the buffer must not raise again when the interpreter ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        except (OSError, ValueError):
            pass


def stop(number, frame):
    raise KeyboardInterrupt


def main():
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, stop)
    try:
        return job(arguments)
    except BrokenPipeError:
        close_quietly()
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        sys.stderr.write('run: interrupted\n')
        return 128 + signal.SIGINT
    except JobError as error:
        sys.stderr.write(f'run: {error}\n')
        return 1
    except OSError as error:
        sys.stderr.write(f'run: {error.filename or "writing"}: {error.strerror}\n')
        return 1


if __name__ == '__main__':
    sys.exit(main())
