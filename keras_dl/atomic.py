"""Atomic writing: whenever the process is killed, a file is either the old one or the complete new one."""

import contextlib
import os
from pathlib import Path


def write_atomic(path, data):
    """Write `data` (bytes or str) to `path`; a kill at any time leaves either the old file or the complete new one."""
    with atomic_file(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextlib.contextmanager
def atomic_file(path):
    """A context with a binary file that becomes `path` when it is complete and on disk; an error leaves no file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.tmp")
    try:
        with open(aside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:  # an error while the content is written, or Ctrl-C
        aside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # so that the rename is on disk, too
    finally:
        os.close(folder)
