# SPDX-License-Identifier: MIT
"""What is compressed and decoded: given files, or files that every Debian has. Never invented data."""
from pathlib import Path

from errors import JobError

LIMIT = 16 << 20
QUICK_LIMIT = 4 << 20

DEFAULT_TEXT = ('/usr/share/common-licenses/*', '/usr/share/doc/*/copyright')
DEFAULT_BINARIES = ('/bin/bash', '/lib/*-linux-gnu/libc.so.6', '/usr/lib/*-linux-gnu/libcrypto.so.*',
                    '/lib/*-linux-gnu/libm.so.6', '/usr/bin/perl', '/usr/lib/*-linux-gnu/libstdc++.so.6',
                    '/usr/bin/dpkg', '/usr/bin/python3')


class Content:
    def __init__(self):
        self.bytes = bytearray()
        self.files = []

    def add(self, path, limit):
        """Appends what fits of the file. OSError when it can not be read."""
        with open(path, 'rb') as file:
            data = file.read(max(0, limit - len(self.bytes)))
        if data:
            self.bytes += data
            self.files.append({'file': str(path), 'bytes': len(data)})


def read_given(paths, limit):
    content = Content()
    for path in paths:
        if path.is_fifo():
            raise JobError(f'{path}: a pipe, which can be read once only, and perhaps never')
        try:
            content.add(path, limit)
            if len(content.bytes) >= limit:
                path.open('rb').close()  # not used any more, but an error of the caller's all the same
        except OSError as error:
            raise JobError(f'{path}: {error.strerror}') from error
    if not content.bytes:
        raise JobError('the given files are empty')
    return content


def matches(patterns):
    """Existing files, each once: many of these names are links to another of them."""
    seen = set()
    for pattern in patterns:
        for path in sorted(Path('/').glob(pattern.lstrip('/'))):
            real = path.resolve()
            if real not in seen and real.is_file():
                seen.add(real)
                yield path


def read_default(limit):
    """A good third of text, the rest programs and libraries."""
    content = Content()
    for patterns, until in ((DEFAULT_TEXT, limit * 3 // 8), (DEFAULT_BINARIES, limit)):
        for path in matches(patterns):
            try:
                content.add(path, until)
            except OSError:
                continue  # nobody asked for this one
    if not content.bytes:
        raise JobError('none of the usual files of a system is there: give FILEs')
    return content


def read(paths, quick):
    limit = QUICK_LIMIT if quick else LIMIT
    return read_given(paths, limit) if paths else read_default(limit)
