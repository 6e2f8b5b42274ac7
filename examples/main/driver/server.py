# SPDX-License-Identifier: MIT
"""The example server under load, with pools and with each malloc: runs examples/server/load.py."""
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from errors import JobError
from interrupts import interrupts

LOAD = Path(__file__).resolve().parent.parent.parent / 'server' / 'load.py'
PROGRAM = '../server/server'
FIGURES = ('cpu_us', 'p50_us', 'p99_us', 'p999_us', 'rss', 'rps', 'requests')
CONFIGURATIONS = 6
STOP_SECONDS = 40  # load.py gives its server 30


def seconds(mode):
    """About what load.py takes: two workloads and a burst of six configurations."""
    return mode.server_calls * CONFIGURATIONS * (2 * mode.server_rounds * (mode.server_seconds + 0.3) +
                                                 mode.server_timeline + 0.5)


def why_not(programs):
    """What is missing for this part, or None."""
    if not (programs.folder / PROGRAM).exists():
        return 'the server was not built: http_parser (libhttp-parser-dev) was not there'
    return None if shutil.which('wrk') else 'wrk is not installed'


def positive(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def check(load):
    """What is used of the file is there, and can be divided by."""
    cells = [runs for ways in load['workloads'].values() for runs in ways.values()]
    counts = {len(runs) for runs in cells}
    values = [run[key] for runs in cells for run in runs for key in FIGURES]
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


def end(process):
    """It is told to stop its own; what does not stop then, is ended with them."""
    process.terminate()
    try:
        process.communicate(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def start(argv, environment):
    """In a session of its own: an interrupt from the terminal comes to us, and only from us to it."""
    try:
        return subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                start_new_session=True)
    except OSError as error:
        raise JobError(f'{LOAD.name}: {error.strerror}') from error


def run(argv, environment, said):
    """To its end; whatever happens here, neither load.py nor its server and wrk stay behind. said: gets its lines."""
    process, line = None, ''
    try:
        with interrupts:
            process = start(argv, environment)
        for line in process.stderr:  # a line each round, and each burst
            said(line.strip().removeprefix('load: '))
        if process.wait() != 0:
            raise JobError(f'{LOAD.name} failed ({process.returncode}): {line.strip() or "no message"}')
    finally:
        if process and process.poll() is None:
            end(process)


def call(programs, scratch, mode, number, said):
    path = scratch / 'load.json'
    options = {'--server': programs.folder / PROGRAM, '--rounds': mode.server_rounds, '--seconds': mode.server_seconds,
               '--timeline': mode.server_timeline, '--turn': number * mode.server_rounds, '--json': path}
    argv = [sys.executable, '-B', str(LOAD), *(str(word) for option in options.items() for word in option)]
    run(argv, programs.environment, said)
    return read(path)


def configurations(load):
    return {'rss': load['rss'].keys(), **{workload: ways.keys() for workload, ways in load['workloads'].items()}}


def with_next(loads, load):
    if loads and configurations(load) != configurations(loads[0]):
        raise JobError(f'{LOAD.name}: not the same configurations as before')
    return [*loads, load]


def merge(loads):
    """One of several: rounds in a row, and of each configuration a list of bursts."""
    first = loads[0]

    def rounds(workload, name):
        return [run for load in loads for run in load['workloads'][workload][name]]

    return {'workloads': {workload: {name: rounds(workload, name) for name in ways}
                          for workload, ways in first['workloads'].items()},
            'rss': {name: [load['rss'][name] for load in loads] for name in first['rss']}, 'missing': first['missing']}


def measure(programs, scratch, mode, progress):
    """None when something that it needs is missing, or it failed: the other parts have their figures all the same. What
    was measured before it failed is kept."""
    why, loads = why_not(programs), []
    steps = mode.server_calls * (mode.server_rounds + CONFIGURATIONS)
    left = [seconds(mode)]

    def said(line):
        step = min(left[0], seconds(mode) / steps)
        left[0] -= step
        progress.finished(f'server: {line}', step)

    if not why:
        progress.working('server: starts')
        try:
            for number in range(mode.server_calls):
                loads = with_next(loads, call(programs, scratch, mode, number, said))
        except JobError as error:
            why = f'{error}{f", in call {len(loads) + 1} of {mode.server_calls}" if loads else ""}'
    if why:
        programs.missing['server'] = why
    progress.finished('server', left[0])
    if not loads:
        return None
    programs.missing.update({f'server, {name}': reason for name, reason in loads[0]['missing'].items()})
    return merge(loads)
