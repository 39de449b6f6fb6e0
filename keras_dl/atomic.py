"""A file is the old one or the whole new one, whatever kills us."""

import contextlib
import os
from pathlib import Path


def write_atomic(path, data):
    """Write `data` (bytes or str) so that `path` is the old file or the whole new one, whatever kills us."""
    with atomic_file(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextlib.contextmanager
def atomic_file(path):
    """A binary file to write into, which becomes `path` when it is whole and on disk; on an error nothing is left."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.tmp")
    try:
        with open(aside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:  # an error while the content is made, or Ctrl-C
        aside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself is on disk
    finally:
        os.close(folder)
