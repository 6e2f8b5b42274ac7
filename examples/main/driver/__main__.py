# SPDX-License-Identifier: MIT
"""The main job: decodes real input with and without pooled contexts, times malloc and pools, writes what it found."""
import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import burst
import compare
import cost
import decoders
import figures
import inputs
import machine
import measure
import page
import plot
import report
import results as earlier
import server
from errors import JobError
from interrupts import interrupts
from mode import FULL, NOT_ASKED, PARTS, QUICK, SHORT
from output import Output
from progress import Progress

MAIN = Path(__file__).resolve().parent.parent
ROOT = MAIN.parent.parent
FAILED = 'failed: '


def parts_of(text):
    parts = text.split(',')
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f'no such part: {unknown[0]!r}; there are {", ".join(PARTS)}')
    return [part for part in PARTS if part in parts]


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog='examples/run',
        usage='%(prog)s [--quick | --full] [--only PART,...] [--compare OLD.json]\n'
        '       [--output DIR] [--pictures DIR] [--programs DIR] [FILE...]',
        description='What opool gains and costs, measured here: zstd frames and other decoders, a micro-benchmark, '
        'memory after a burst, an HTTP server under load, each with pools and with glibc as it is and tuned, jemalloc, '
        'mimalloc and tcmalloc. Five minutes after the build.',
        epilog='FILE: what to compress and decode, the first 16 MiB of all (4 with --quick); default: text and '
        'programs of the system. '
        'Exit status: 0 done (whether figures are met or missed), 1 failed, or a file or folder can not be used, '
        '2 wrong usage, missing packages, or OLD.json is not what it should be.')
    length = parser.add_mutually_exclusive_group()
    length.add_argument('--quick', dest='mode', action='store_const', const=QUICK, default=SHORT,
                        help='a minute; noisy figures')
    length.add_argument('--full', dest='mode', action='store_const', const=FULL,
                        help='twenty minutes; at least 7 rounds of everything')
    parser.add_argument('--only', metavar='PART,...', type=parts_of, default=list(PARTS),
                        help=f'only these parts: {", ".join(PARTS)}')
    parser.add_argument('--compare', metavar='OLD.json', type=Path,
                        help='show what changed since the run that wrote this')
    parser.add_argument('--output', metavar='DIR', type=Path, help='an existing folder for results.json and '
                        'results.html (default: build-examples/results)')
    parser.add_argument('--pictures', metavar='DIR', type=Path, help='an existing folder for memory.svg, time.svg and '
                        'decoders.svg, the pictures of README.md and pool/DECODERS.md')
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


def expected_seconds(mode, parts, mallocs):
    seconds = {**mode.seconds, 'burst': burst.seconds(mode, mallocs), 'server': server.seconds(mode)}
    return sum(seconds[part] for part in parts)


def measure_parts(parts, ways, missing):
    """What each part measured. One that fails takes nothing from the others: it is missing, and `missing` says why."""
    samples, first = {}, None
    for part in parts:
        try:
            samples[part] = ways[part]()
        except JobError as error:
            missing[part] = f'{FAILED}{error}'
            first = first or error
    if not samples:
        raise first
    return samples


def measure_all(arguments, content, scratch):
    """The facts that the report needs, and what each part measured."""
    mode, parts = arguments.mode, arguments.only
    programs = measure.Programs(arguments.programs or ROOT / 'build-examples' / 'examples' / 'main')
    facts = {'mode': mode.name, 'started': time.strftime('%Y-%m-%dT%H:%M:%S%z'), 'machine': machine.describe(),
             'versions': programs.versions(), 'input': content.files}
    programs.probe()
    progress = Progress(expected_seconds(mode, parts, programs.mallocs))
    ways = {
        'decode': lambda: measure.decode(programs, content, scratch, mode, progress),
        'micro': lambda: measure.micro(programs, mode, progress),
        'decoders': lambda: decoders.measure(programs, content, scratch, mode, progress),
        'burst': lambda: burst.measure(programs, mode, progress),
        'server': lambda: server.measure(programs, scratch, mode, progress),
        'cost': lambda: cost.measure(MAIN, ROOT / 'pool' / 'include', scratch, mode, progress)}
    try:
        samples = measure_parts(parts, ways, programs.missing)
    finally:
        progress.close()
    facts['versions'] |= programs.sources()
    facts['missing'] = programs.missing | {part: NOT_ASKED for part in PARTS if part not in parts}
    facts['seconds'] = round(progress.elapsed(), 1)
    return facts, samples


def write_pictures(results, output):
    for name in plot.PICTURES:
        svg = plot.picture(results, name)
        if svg:
            output.write(f'{name}.svg', svg)


def write(results, compared, output, pictures):
    """What was measured is not lost when the pictures can not be drawn."""
    output.write('results.json', report.to_json(results))
    try:
        output.write('results.html', page.to_html(results, compared))
        if pictures:
            write_pictures(results, pictures)
    finally:
        sys.stdout.write(report.to_text(results) + (compare.to_text(compared) if compared else ''))
        sys.stdout.flush()
    sys.stdout.write(f'\nwritten: {output.folder}/results.html and results.json\n')
    sys.stdout.flush()


def job(arguments):
    old = earlier.read(arguments.compare) if arguments.compare else None
    content = inputs.read(arguments.files, arguments.mode == QUICK)
    with contextlib.ExitStack() as stack:
        pictures = stack.enter_context(Output(arguments.pictures)) if arguments.pictures else None
        output = stack.enter_context(Output(arguments.output or default_output()))
        if arguments.check_only:
            return 0
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='opool-main-')))
        results = figures.evaluate(*measure_all(arguments, content, scratch))
        compared = compare.between(old, results) if old else None
        write(results, compared, output, pictures)
    failed = {part: why for part, why in results['missing'].items() if why.startswith(FAILED)}
    for part, why in failed.items():
        sys.stderr.write(f'run: {part} {why}\n')
    return 1 if failed else 0


def close_quietly():
    """What is left in the buffer must not raise again when the interpreter ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        except (OSError, ValueError):
            pass


def open_output():
    """A job that was started with standard output closed writes its files all the same; and no name of a folder or of a
    machine is an error where the terminal can not show it."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, 'w', encoding='utf-8')
    sys.stdout.reconfigure(errors='backslashreplace')


def main():
    open_output()
    arguments = parse_arguments()
    interrupts.catch()
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
        return error.status
    except OSError as error:
        sys.stderr.write(f'run: {error.filename or "writing"}: {error.strerror}\n')
        return 1


if __name__ == '__main__':
    sys.exit(main())
