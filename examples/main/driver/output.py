# SPDX-License-Identifier: MIT
"""The output folder: refused before the long work when it can not take the results; never a half-written file in it."""
import os
import tempfile

from errors import JobError

ROOM = 4 << 20  # more than the results need


class Output:
    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        """Holds the room until the results are written."""
        if not self.folder.is_dir():
            raise JobError(f'{self.folder}: ' + ('not a folder' if self.folder.exists() else 'no such folder'))
        try:
            self.reserve = tempfile.TemporaryFile(dir=self.folder)
            os.posix_fallocate(self.reserve.fileno(), 0, ROOM)
        except OSError as error:
            raise JobError(f'{self.folder}: can not write here: {error.strerror}') from error
        return self

    def __exit__(self, *_):
        self.reserve.close()

    def write(self, name, text):
        """Writes the whole file under another name first."""
        self.reserve.close()
        temporary = None
        try:
            descriptor, temporary = tempfile.mkstemp(prefix=f'.{name}.', dir=self.folder)
            with os.fdopen(descriptor, 'w', encoding='utf-8') as file:
                file.write(text)
                os.fchmod(file.fileno(), 0o644)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, self.folder / name)
        except OSError as error:
            raise JobError(f'{self.folder / name}: {error.strerror}') from error
        finally:
            if temporary and os.path.exists(temporary):
                os.unlink(temporary)
