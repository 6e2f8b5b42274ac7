# SPDX-License-Identifier: MIT
"""The server under load, with its objects in pools and with them from each malloc: processor time a request, latency,
memory.

Each run is a fresh server under wrk, and each round has one run of every configuration, each time in another order, so
that a slow minute of the machine meets all. Server and wrk have processors of their own where there are two. --json
writes {"part": "server", "workloads": {workload: {configuration: [one object a round]}}, "rss": {configuration:
[[seconds, bytes], ...]}, "missing": {configuration: why}, "settings": ...}: cpu_us is user and system time of the
server's process by request, rss the most that was resident during the run, in bytes.
"""
import argparse
import json
import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'main' / 'driver'))

import measure  # pylint: disable=wrong-import-position
from errors import JobError  # pylint: disable=wrong-import-position
from interrupts import interrupts  # pylint: disable=wrong-import-position
from output import Output  # pylint: disable=wrong-import-position

POOL, GLIBC, TUNED = 'pool', measure.GLIBC, measure.TUNED
PRELOADED = ('jemalloc', 'mimalloc', 'tcmalloc')
CONFIGURATIONS = (POOL, GLIBC, TUNED, *PRELOADED)
FIGURES = ('cpu_us', 'rps', 'p50_us', 'p99_us', 'p999_us', 'rss')
WORKLOADS = ('hello', 'echo')
CONNECTIONS = 64
MOST_THREADS = 4

# The burst: so many clients of wrk that are fast, and as many that upload slowly. Each so manieth of these stays.
BURST_CONNECTIONS, UPLOADS, STAYS = 1000, 1000, 20
UPLOAD_BYTES, UPLOAD_FIRST = 64 << 10, 48 << 10
SAMPLE_SECONDS, TRICKLE_SECONDS = 0.1, 0.02


def processors():
    """Of the server, and of wrk: halves, or the same one."""
    all_of_us = sorted(os.sched_getaffinity(0))
    half = len(all_of_us) // 2
    return (all_of_us[:half], all_of_us[half:]) if half else (all_of_us, all_of_us)


def more_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * (BURST_CONNECTIONS + UPLOADS)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise JobError(f'{hard} descriptors are too few for {BURST_CONNECTIONS + UPLOADS} clients (ulimit -Hn)')
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


children = []


def start(argv, where, **options):
    """It inherits our processors. A function that Popen calls in the child would not do: there are threads."""
    ours = os.sched_getaffinity(0)
    with interrupts:
        os.sched_setaffinity(0, where)
        try:
            children.append(subprocess.Popen([str(word) for word in argv], stdout=subprocess.PIPE, text=True,
                                             **options))
        except OSError as error:
            raise JobError(f'{argv[0]}: {error.strerror}') from error
        finally:
            os.sched_setaffinity(0, ours)
    return children[-1]


def end_children():
    for child in children:
        if child.poll() is None:
            child.kill()
            child.wait()


def environment(**more):
    """Ours, without what changes the server or its malloc."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith(measure.UNWANTED)}, **more}


class Server:
    """One run of the server, stopped in good order when the block is left."""

    def __init__(self, program, configuration, where, epoch_ms, preload=''):
        more = {'LD_PRELOAD': preload} if preload else {'GLIBC_TUNABLES': measure.TUNABLES} if configuration == TUNED else {}
        self.name = configuration
        # More buffers than any load here can hold: no answer is 503.
        self.process = start([program, '--port=0', f'--workers={min(len(where), MOST_THREADS)}', '--buffers=32768',
                              f'--epoch-ms={epoch_ms}', '--memory=' + ('pool' if configuration == POOL else 'malloc')],
                             where, env=environment(**more), stderr=subprocess.PIPE)
        line = self.process.stdout.readline().split()
        if not line or not line[-1].isdigit():
            said = self.kill()
            raise JobError(f'server, {self.name}: did not start: {said[-1] if said else "no message"}')
        self.port = int(line[-1])

    def kill(self):
        """What it has said on standard error."""
        self.process.kill()
        return self.process.communicate()[1].strip().splitlines()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.process.terminate()
        try:
            said = self.process.communicate(timeout=30)[1].strip().splitlines()
        except subprocess.TimeoutExpired:
            said = self.kill() + ['it hung at the stop']
        if not kind and self.process.returncode != 0:
            why = said[-1] if said else 'no message'
            raise JobError(f'server, {self.name}: status {self.process.returncode}: {why}')

    def has_loaded(self, library):
        with open(f'/proc/{self.process.pid}/maps', encoding='utf-8') as file:
            return '/' + library in file.read()

    def cpu_seconds(self):
        """User and system time of all its threads; utime and stime of /proc, in nanoseconds instead of ticks."""
        return time.clock_gettime(~self.process.pid << 3 | 2)  # what clock_getcpuclockid makes of a process

    def memory(self, field):
        with open(f'/proc/{self.process.pid}/status', encoding='ascii') as file:
            found = re.search(rf'^{field}:\s+(\d+) kB$', file.read(), re.M)
        return int(found.group(1)) * 1024 if found else 0


class Load:
    """wrk at a server, over when the block is left; then `result` has its figures."""

    def __init__(self, server, workload, connections, seconds, where):
        threads = min(len(where), MOST_THREADS)
        self.result = {}
        # However long an answer takes, it is one of those that are counted.
        self.process = start(['wrk', '-t', threads, '-c', connections, '-d', f'{seconds}s', '--timeout=60s', '-s',
                              HERE / 'load.lua', f'http://127.0.0.1:{server.port}/', '--', workload], where,
                             stderr=subprocess.STDOUT)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind:
            self.process.kill()
        said = self.process.communicate()[0]
        if kind:
            return
        found = re.search(r'^load (.*)$', said, re.M)
        if self.process.returncode != 0 or not found:
            why = (said.strip().splitlines() or ['no message'])[-1]
            raise JobError(f'wrk: status {self.process.returncode}: {why}')
        self.result = {name: int(value) for name, value in (word.split('=') for word in found.group(1).split())}
        if self.result['failed']:
            raise JobError(f'wrk: {self.result["failed"]} of {self.result["requests"]} requests failed')

    def end(self):
        """Earlier than it would. It prints its figures if it was ready to be interrupted."""
        while self.process.poll() is None and not self.catches(signal.SIGINT):
            time.sleep(0.01)
        self.process.send_signal(signal.SIGINT)

    def catches(self, number):
        with open(f'/proc/{self.process.pid}/status', encoding='ascii') as file:
            caught = re.search(r'^SigCgt:\s+(\w+)$', file.read(), re.M)
        return not caught or int(caught.group(1), 16) >> (number - 1) & 1


class Bench:
    def __init__(self, program, seconds, timeline):
        self.program, self.seconds, self.timeline = program, seconds, timeline
        self.server_on, self.wrk_on = processors()
        self.missing = {}
        self.libraries = {}
        for name in PRELOADED:
            self.find(name)

    def serve(self, configuration, epoch_ms=1000):
        return Server(self.program, configuration, self.server_on, epoch_ms, self.libraries.get(configuration, ''))

    def find(self, name):
        """The library is the one that a server has loaded: the dynamic linker only warns of those that it can not."""
        for library in measure.MALLOCS[name]:
            with Server(self.program, name, self.server_on, 1000, library) as server:
                if server.has_loaded(library):
                    self.libraries[name] = library
                    return
        self.missing[name] = f'{" or ".join(measure.MALLOCS[name])} is not installed'

    def found(self):
        return [name for name in CONFIGURATIONS if name not in self.missing]

    def run(self, configuration, workload):
        with self.serve(configuration) as server:
            before = server.cpu_seconds()
            with Load(server, workload, CONNECTIONS, self.seconds, self.wrk_on) as load:
                pass
            used = server.cpu_seconds() - before
            rss = server.memory('VmHWM')
        result = load.result
        if not result['requests']:
            raise JobError(f'server, {configuration}: no request was answered in {self.seconds} s')
        latency = {name: result[name] for name in ('p50_us', 'p99_us', 'p999_us')}
        return {'cpu_us': round(used * 1e6 / result['requests'], 4),
                'rps': round(result['requests'] * 1e6 / result['us'], 1), **latency, 'rss': rss,
                'requests': result['requests']}

    def rounds(self, number, turn):
        names = self.found()
        workloads = {workload: {name: [] for name in names} for workload in WORKLOADS}
        for i in range(number):
            first = (turn + i) % len(names)
            for workload in WORKLOADS:
                for name in names[first:] + names[:first]:
                    workloads[workload][name].append(self.run(name, workload))
            say(f'round {i + 1} of {number}')
        return workloads

    def burst(self, configuration):
        """Resident bytes over time: quiet, the burst, quiet. The epochs are as long as the first quiet time, and five of
        them follow the burst, however long that took."""
        quiet = self.timeline / 8
        with (self.serve(configuration, int(quiet * 1000)) as server, Sampler(server) as sampler,
              Uploads(server) as uploads, Trickle(server, 4 * len(self.server_on)) as trickle):
            trickle.until(sampler.start + quiet)
            with Load(server, 'echo', BURST_CONNECTIONS, int(self.timeline) + 1, self.wrk_on) as load:
                uploads.begin()
                trickle.until(sampler.start + 3 * quiet)
                load.end()
                uploads.finish()
            trickle.until(time.monotonic() + 5 * quiet)
        return sampler.samples

    def bursts(self):
        result = {}
        for name in self.found():
            result[name] = self.burst(name)
            say(f'burst, {name}')
        return result


class Sampler:
    """Reads the resident size of a server from its start on, in a thread."""

    def __init__(self, server):
        self.server, self.samples = server, []
        self.start = time.monotonic()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.sample, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def sample(self):
        while not self.over.wait(max(0.0, len(self.samples) * SAMPLE_SECONDS - self.seconds())):
            try:
                self.samples.append([round(self.seconds(), 3), self.server.memory('VmRSS')])
            except OSError:
                return  # the server has ended, which its block reports

    def seconds(self):
        return time.monotonic() - self.start



class Trickle:
    """Small requests all the time, each 20 ms one. A server that nobody asks frees nothing, and some mallocs give
    memory back only when they are called."""

    def __init__(self, server, clients):
        self.clients = [Client(server) for _ in range(clients)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.close()

    def until(self, then):
        while time.monotonic() < then:
            self.clients.append(self.clients.pop(0))
            self.clients[0].ask(b'Hello, world.')
            time.sleep(TRICKLE_SECONDS)


class Uploads:
    """Clients that have sent the larger part of a body, and then its rest. All are gone when the block is left."""

    def __init__(self, server):
        self.server, self.clients = server, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.close()

    def begin(self):
        for _ in range(UPLOADS):
            client = Client(self.server)
            self.clients.append(client)
            client.send_head(UPLOAD_BYTES)
            client.socket.sendall(b'x' * UPLOAD_FIRST)

    def finish(self):
        """Some stay connected, as clients do who keep a connection for their next request."""
        for client in self.clients:
            client.socket.sendall(b'x' * (UPLOAD_BYTES - UPLOAD_FIRST))
            client.read_answer(UPLOAD_BYTES)
        for i, client in enumerate(self.clients):
            if i % STAYS:
                client.close()


class Client:
    """A connection for bodies that come back."""

    def __init__(self, server):
        self.server = server
        self.socket = socket.create_connection(('127.0.0.1', server.port), 30)

    def close(self):
        self.socket.close()

    def send_head(self, length):
        self.socket.sendall(b'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n' % length)

    def ask(self, body):
        self.send_head(len(body))
        self.socket.sendall(body)
        self.read_answer(len(body))

    def read_answer(self, length):
        data = b''
        while b'\r\n\r\n' not in data:
            data += self.more()
        head, body = data.split(b'\r\n\r\n', 1)
        if not head.startswith(b'HTTP/1.1 200 '):
            raise JobError(f'server, {self.server.name}: a body was answered {head[:32]}')
        left = length - len(body)
        while left > 0:
            left -= len(self.more())

    def more(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise JobError(f'server, {self.server.name}: an answer was cut off')
        return data


def say(text):
    sys.stderr.write(f'load: {text}\n')


def to_text(results):
    """Medians, and what pools are to each malloc: the median of the rounds' ratios, and their range."""
    lines = []
    for workload, rows in results['workloads'].items():
        lines.append(f'{workload:12} ' + ' '.join(f'{name:>8}' for name in FIGURES) + '   cpu_us by that of the pool')
        for name, runs in rows.items():
            middle = {key: statistics.median(run[key] for run in runs) for key in FIGURES}
            ratios = sorted(run['cpu_us'] / pool['cpu_us'] for run, pool in zip(runs, rows[POOL]))
            against = f'{statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})' if name != POOL else ''
            lines.append(f'{name:12} ' + ' '.join(f'{middle[key]:8.{2 * (key == "cpu_us")}f}' for key in FIGURES) +
                         f'   {against}')
    lines.append(f'{"burst, MiB":12} {"start":>8} {"peak":>8} {"end":>8}')
    for name, samples in results['rss'].items():
        values = [size / 2**20 for _, size in samples]
        lines.append(f'{name:12} {values[0]:8.1f} {max(values):8.1f} {values[-1]:8.1f}')
    lines += [f'{name}: left out: {why}' for name, why in results['missing'].items()]
    return '\n'.join(lines) + '\n'


def number(text):
    if not text.isdecimal() or int(text) > 1000:
        raise argparse.ArgumentTypeError(f'{text}: a number from 0 to 1000 is wanted')
    return int(text)


def positive(text):
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f'{text}: a number from 1 to 1000 is wanted')
    return int(text)


def parse_arguments():
    parser = argparse.ArgumentParser(prog='load.py', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog='Exit status: 0 done, 1 failed, 2 wrong usage.')
    parser.add_argument('--server', metavar='PATH', type=Path, required=True, help='the program')
    parser.add_argument('--rounds', metavar='N', type=positive, default=7, help='7')
    parser.add_argument('--seconds', metavar='S', type=positive, default=3, help='of each run: 3')
    parser.add_argument('--timeline', metavar='S', type=positive,
                        help='of each burst: 8, or three times --seconds when that is less')
    parser.add_argument('--turn', metavar='N', type=number, default=0, help='the order of the first round: 0 to 1000')
    parser.add_argument('--json', metavar='FILE', type=Path)
    return parser.parse_args()


def measure_all(arguments):
    more_descriptors()
    timeline = arguments.timeline or min(8, 3 * arguments.seconds)
    bench = Bench(arguments.server.resolve(), arguments.seconds, timeline)
    workloads, bursts = bench.rounds(arguments.rounds, arguments.turn), bench.bursts()
    settings = {'rounds': arguments.rounds, 'seconds': arguments.seconds, 'timeline': timeline,
                'connections': CONNECTIONS, 'burst_connections': BURST_CONNECTIONS, 'uploads': UPLOADS,
                'upload_bytes': UPLOAD_BYTES, 'stays': UPLOADS // STAYS,
                'server_processors': len(bench.server_on), 'tunables': measure.TUNABLES}
    return {'part': 'server', 'workloads': workloads, 'rss': bursts, 'missing': bench.missing, 'settings': settings}


def job(arguments):
    if not arguments.json:
        sys.stdout.write(to_text(measure_all(arguments)))
        return
    with Output(arguments.json.parent) as output:
        results = measure_all(arguments)
        output.write(arguments.json.name, json.dumps(results, indent=1) + '\n')
    sys.stdout.write(to_text(results))


def main():
    arguments = parse_arguments()
    interrupts.catch()
    try:
        job(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        say('interrupted')
        return 128 + signal.SIGINT
    except (JobError, OSError) as error:
        say(error)
        return 1
    finally:
        end_children()
    return 0


sys.exit(main())
