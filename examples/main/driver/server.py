# SPDX-License-Identifier: MIT
"""The example server under load, with pools and with each malloc: runs examples/server/load.py."""
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

from errors import JobError

LOAD = Path(__file__).resolve().parent.parent.parent / 'server' / 'load.py'
PROGRAM = '../server/server'
FIGURES = ('cpu_us', 'p50_us', 'p99_us', 'p999_us', 'rss', 'rps', 'requests')
STOP_SECONDS = 20


def seconds(mode):
    """About what load.py takes: two workloads and a burst of six configurations."""
    return 6 * (2 * mode.server_rounds * (mode.server_seconds + 0.3) + mode.server_timeline + 0.5)


def why_not(programs):
    """What is missing for this part, or None."""
    if not (programs.folder / PROGRAM).exists():
        return 'the server was not built: http_parser (libhttp-parser-dev) was not there'
    return None if shutil.which('wrk') else 'wrk is not installed'


def positive(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def check(load):
    """What is used of the file is there, and can be divided by."""
    counts = {len(runs) for ways in load['workloads'].values() for runs in ways.values()}
    values = [run[key] for ways in load['workloads'].values() for runs in ways.values() for run in runs for key in FIGURES]
    values += [size for samples in load['rss'].values() for _, size in samples]
    if len(counts) != 1 or not values or not all(map(positive, values)):
        raise ValueError('rounds of different length, or figures that are not above 0')
    for ways in (*load['workloads'].values(), load['rss']):
        if not {'pool', 'glibc'} <= ways.keys() or not all(ways.values()):
            raise ValueError('pool or glibc is missing')
    return load


def read(path):
    try:
        return check(json.loads(path.read_text(encoding='utf-8')))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise JobError(f'{LOAD.name}: its results can not be used: {error}') from error


def run(argv, environment, progress):
    """To its end; whatever happens here, neither load.py nor its server and wrk stay behind."""
    try:
        process = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    except OSError as error:
        raise JobError(f'{LOAD.name}: {error.strerror}') from error
    line = ''
    try:
        for line in process.stderr:  # a line each round
            progress.working(f'server: {line.strip()}')
        if process.wait() != 0:
            raise JobError(f'{LOAD.name} failed ({process.returncode}): {line.strip() or "no message"}')
    finally:
        if process.poll() is None:
            process.terminate()  # it stops its own
            try:
                process.communicate(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def load_server(programs, scratch, mode, progress):
    path = scratch / 'load.json'
    options = {'--server': programs.folder / PROGRAM, '--rounds': mode.server_rounds, '--seconds': mode.server_seconds,
               '--timeline': mode.server_timeline, '--json': path}
    argv = [sys.executable, '-B', str(LOAD), *(str(word) for option in options.items() for word in option)]
    run(argv, programs.environment, progress)
    return read(path)


def measure(programs, scratch, mode, progress):
    """None when something that it needs is missing, or it failed: the other parts have their figures all the same."""
    why, load = why_not(programs), None
    if not why:
        progress.working('server: starts')
        try:
            load = load_server(programs, scratch, mode, progress)
        except JobError as error:
            why = str(error)
    if why:
        programs.missing['server'] = why
    else:
        programs.missing.update({f'server, {name}': reason for name, reason in load['missing'].items()})
    progress.finished('server', seconds(mode))
    return load
