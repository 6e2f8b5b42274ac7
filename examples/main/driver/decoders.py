# SPDX-License-Identifier: MIT
"""Contexts of zstd, zlib and Opus from pools, against contexts made and freed: what decoders-bench measures."""
import json

from errors import JobError
from measure import GLIBC, Samples, in_turn, write_scratch
from progress import rounds

PROGRAM = '../decoders/decoders-bench'
LEAST = 64 << 10  # bytes of input
ROUNDS = 2  # of the program, a round of ours: one with either way first


def parse(lines):
    try:
        return json.loads(' '.join(word for words in lines for word in words))
    except ValueError as error:
        raise JobError(f'decoders-bench: {error}') from error


def source(lines):
    return parse(lines)['malloc']


def add(samples, malloc, rows):
    """What was made and freed under each malloc, and beside it the pool of the same process."""
    for row in rows:
        key = (row['format'], row['item'])
        samples.add(key, malloc, {'ns': row['created']['raw'], 'pooled': row['pooled']['raw']})
        if malloc == GLIBC:
            samples.add(key, 'pooled', {'ns': row['pooled']['raw'], 'gets': row['gets'], 'built': row['built']})


def measure(programs, content, scratch, mode, progress):
    """No rows where the program was not built, for want of zlib. A short input is repeated."""
    samples = Samples()
    if not (programs.folder / PROGRAM).exists():
        programs.missing['decoders'] = 'decoders-bench was not built: zlib was not there'
        return samples
    path = scratch / 'decoders-content'
    write_scratch(path, content.bytes * (LEAST // len(content.bytes) + 1))
    options = [*(['--quick'] if mode.name == 'quick' else []), '--json', '--rounds', ROUNDS, path]

    def one_round(number):
        for malloc in in_turn(programs.mallocs, number):
            progress.working(f'decoders: round {number + 1}, {malloc}')
            lines = programs.run(PROGRAM, *options, malloc=malloc, source=source)
            add(samples, malloc, parse(lines)['rows'])

    rounds(mode.seconds['decoders'], mode.least, 'decoders', progress, one_round)
    return samples
