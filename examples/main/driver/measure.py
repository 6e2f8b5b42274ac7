# SPDX-License-Identifier: MIT
"""Runs the measuring programs, every one in turn, round after round, so that a slow minute of the machine meets all."""
import os
import subprocess

import machine
from errors import JobError
from progress import rounds

GLIBC, TUNED = 'glibc', 'glibc tuned'
# The names to try for LD_PRELOAD: Debian's releases carry different ones.
MALLOCS = {GLIBC: (), TUNED: (), 'jemalloc': ('libjemalloc.so.2',),
           'mimalloc': ('libmimalloc.so.2', 'libmimalloc.so.3'), 'tcmalloc': ('libtcmalloc_minimal.so.4',)}
# For a program that soon needs again what it freed: glibc keeps 64 MiB instead of giving them back. A trim_threshold
# alone would fix mmap_threshold at 128 KiB, and each larger block would be mapped anew.
TUNABLES = 'glibc.malloc.trim_threshold=67108864:glibc.malloc.top_pad=1048576:glibc.malloc.mmap_threshold=33554432'
FRAMES = (4 << 10, 64 << 10, 1 << 20)
POOLS = ('basic', 'unchecked', 'uncounted')

# They change what is measured.
UNWANTED = ('OPOOL_', 'LD_PRELOAD', 'LD_BIND', 'MALLOC_', 'GLIBC_TUNABLES', 'MIMALLOC_', 'TCMALLOC_', 'JE_MALLOC')


class NoMalloc(JobError):
    """A malloc to compare with is not there."""


def source_line(lines):
    return next((words[1] for words in lines if words[:1] == ['source']), '')


class Programs:
    def __init__(self, folder):
        self.folder = folder
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(UNWANTED)}
        self.served_by = {}
        self.mallocs = list(MALLOCS)
        self.missing = {}  # name: why

    def probe(self):
        """Leaves out the mallocs that this machine does not have; whoever reads the results is told."""
        for name in list(self.mallocs):
            try:
                self.run('micro-malloc', 1, 1, malloc=name)
            except NoMalloc as error:
                self.mallocs.remove(name)
                self.missing[name] = str(error)

    def run(self, program, *arguments, malloc=GLIBC, source=source_line):
        """The lines a program prints, split into words, but for its `source` line: it must name that malloc."""
        names = MALLOCS[malloc]
        for name in names or ('',):
            lines = self._run(program, arguments, name, malloc == TUNED)
            served_by = source(lines)
            if os.path.basename(served_by).startswith(name.split('.so')[0]):
                pools = program.startswith('micro-') and program != 'micro-malloc' or 'pool' in arguments[:1]
                self.served_by['opool' if pools else GLIBC if malloc == TUNED else malloc] = served_by
                return [words for words in lines if words[:1] != ['source']]
        raise NoMalloc(f'did not take the place of malloc: {" or ".join(names)} is not installed, or can not be loaded')

    def _run(self, program, arguments, preload, tuned=False):
        environment = dict(self.environment)
        if preload:
            environment['LD_PRELOAD'] = preload
        if tuned:
            environment['GLIBC_TUNABLES'] = TUNABLES
        argv = [str(self.folder / program), *map(str, arguments)]
        try:
            done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=300)
        except FileNotFoundError as error:
            raise JobError(f'{argv[0]}: not built') from error
        except OSError as error:
            raise JobError(f'{argv[0]}: {error.strerror}') from error
        except subprocess.TimeoutExpired as error:
            raise JobError(f'{program}: still running after five minutes') from error
        if done.returncode != 0:
            why = done.stderr.strip().splitlines() or ['no message']
            raise JobError(f'{program} failed ({done.returncode}): {why[-1]}')
        return [line.split() for line in done.stdout.splitlines()]

    def versions(self):
        about = {words[0]: ' '.join(words[1:]) for words in self.run('decode', 'about')}
        return {'opool': about['opool'], 'libzstd': about['libzstd'], 'compiler': about['compiler'],
                'gcc': machine.command('gcc', '--version'), 'slot_bytes': int(about['slot-bytes']),
                'needed_bytes': int(about['needed-bytes']), 'cpuid_ns': float(about['cpuid-nanoseconds']),
                'tunables': TUNABLES}

    def sources(self):
        """Which file served each malloc, and the package it came from."""
        found = {}
        for name, path in sorted(self.served_by.items()):
            owner = machine.package_of(path)
            version = machine.command('dpkg-query', '-W', '-f', '${Version}\n', owner) if owner else ''
            found[name] = {'file': path, 'package': owner, 'version': version}
        return {'sources': found}


def in_turn(configurations, number):
    """Forwards and backwards by turns: a drift of the machine then weighs on both ends alike."""
    return configurations if number % 2 == 0 else configurations[::-1]


class Samples(dict):
    """samples[row][configuration] = a list of repetitions for each round."""

    def add(self, row, configuration, values):
        self.setdefault(row, {}).setdefault(configuration, []).append(values)


def write_scratch(path, data):
    """What did not fit takes no room from what comes next."""
    try:
        path.write_bytes(data)
    except OSError as error:
        if path.is_file():
            path.unlink()
        raise JobError(f'{path.parent.parent}: no room for {len(data) / (1 << 20):.1f} MiB: {error.strerror}; '
                       'TMPDIR names another folder') from error


def pack(programs, content, scratch, progress):
    """Compresses the input once: an ordinary .zst file of independent frames for each size."""
    progress.working('decode: compressing')
    original = scratch / 'content'
    write_scratch(original, content.bytes)
    files = []
    for frame in FRAMES:
        path = scratch / f'frames-{frame}.zst'
        programs.run('decode', 'pack', original, frame, path)
        files += [frame, path]
    return original, files


def decode(programs, content, scratch, mode, progress):
    original, files = pack(programs, content, scratch, progress)
    configurations = [('create', malloc) for malloc in programs.mallocs] + [('initialise', GLIBC), ('keep', GLIBC)]
    samples = Samples()

    def one_round(number):
        for method, malloc in in_turn(configurations, number):
            progress.working(f'decode: round {number + 1}, {method}, {malloc}')
            for words in programs.run('decode', 'run', method, mode.milliseconds, original, *files, malloc=malloc):
                _, _, frame, threads, frames, processor, wall, *use = words
                samples.add((int(frame), int(threads)), malloc if method == 'create' else method,
                            {'ns': [float(processor)], 'wall_ns': [float(wall)], 'frames': int(frames),
                             **({'gets': int(use[0]), 'built': int(use[1])} if use else {})})

    rounds(mode.seconds['decode'], mode.least, 'decode', progress, one_round)
    return samples


def micro(programs, mode, progress):
    configurations = [('malloc', malloc) for malloc in programs.mallocs] + [(pool, GLIBC) for pool in POOLS]
    samples = Samples()

    def one_round(number):
        for variant, malloc in in_turn(configurations, number):
            name = malloc if variant == 'malloc' else variant
            progress.working(f'micro: round {number + 1}, {name}')
            for _, workload, size, *values in programs.run(f'micro-{variant}', mode.milliseconds, 2, malloc=malloc):
                samples.add((workload, int(size)), name, {'ns': [float(value) for value in values]})

    rounds(mode.seconds['micro'], mode.least, 'micro', progress, one_round)
    return samples
