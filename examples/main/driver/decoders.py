# SPDX-License-Identifier: MIT
"""Contexts of zstd, zlib and Opus from pools, against contexts made and freed: what decoders-bench measures."""
import json

from errors import JobError

PROGRAM = '../decoders/decoders-bench'
ROUNDS = {False: 11, True: 3}
SECONDS = {False: 6, True: 1}
LEAST = 64 << 10  # bytes of input


def measure(programs, content, scratch, quick, progress):
    """What the program gives; no rows where it was not built, for want of zlib. A short input is repeated."""
    if not (programs.folder / PROGRAM).exists():
        return {'rows': []}
    progress.working('decoders: zstd, zlib, Opus')
    path = scratch / 'decoders-content'
    path.write_bytes(content.bytes * (LEAST // len(content.bytes) + 1))
    options = ['--quick'] if quick else []
    lines = programs.run_alone(PROGRAM, '--json', *options, '--rounds', ROUNDS[quick], path)
    progress.finished('decoders', SECONDS[quick])
    try:
        return json.loads(' '.join(word for words in lines for word in words))
    except ValueError as error:
        raise JobError(f'decoders-bench: {error}') from error
