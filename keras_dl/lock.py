"""One process at a time in a folder: a lock that goes with the process, however it ends.

The lock is the kernel's (flock) on a file .lock in the folder. A process that is killed leaves the file and no lock, so
nothing has to be cleaned up before --resume. The file says which process holds it, for a message alone.
"""

import contextlib
import errno
import fcntl
import os
import weakref
from pathlib import Path

FILE = ".lock"
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}  # a file system without locks: go on without one


class HeldByAnotherProcess(Exception):
    """Its text names the process that holds the lock."""


class Lock:
    """The folder is locked until `release`, until no reference to this is left, or until the process ends."""

    def __init__(self, descriptor):
        self._close = weakref.finalize(self, os.close, descriptor)

    def release(self):
        self._close()


_held = weakref.WeakValueDictionary()  # {real path of a folder: Lock} of this process


def hold(folder):
    """Lock `folder` for this process, which may hold it already.

    Returns:
        The Lock; keep it.

    Raises:
        HeldByAnotherProcess: as it says.
        OSError: nothing can be written in `folder`.
    """
    key = os.path.realpath(folder)
    lock = _held.get(key)
    if lock is None or not lock._close.alive:
        lock = _held[key] = Lock(_locked(Path(folder) / FILE))
    return lock


def _locked(path):
    """A descriptor of the locked file."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in NO_LOCKS:
            return descriptor
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise HeldByAnotherProcess(f"process {holder}" if holder.isdigit() else "another process") from error
    with contextlib.suppress(OSError):  # a full disk: the lock holds without its note
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
