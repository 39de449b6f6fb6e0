"""A lock that lets one process at a time use a folder; it is released when the process ends, even by a kill.

It is a lock of the kernel (flock) on a file .lock in the folder. A process that is killed leaves the file but no lock,
so nothing has to be cleaned up before --resume. The file names the process that holds the lock, for messages only.
"""

import contextlib
import errno
import fcntl
import os
import weakref
from pathlib import Path

FILE = ".lock"
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}  # the file system has no locks: go on without one


class HeldByAnotherProcess(Exception):
    """Another process holds the lock; the message names it."""


class Lock:
    """Keeps a folder locked until `release`, until no reference to this object is left, or until the process ends."""

    def __init__(self, descriptor):
        self._close = weakref.finalize(self, os.close, descriptor)

    def release(self):
        self._close()


_held = weakref.WeakValueDictionary()  # {real path of a folder: Lock} of this process


def hold(folder):
    """Lock `folder` for this process, which may already hold the lock.

    Returns:
        The Lock. Keep a reference: without one the folder is unlocked.

    Raises:
        HeldByAnotherProcess: another process has locked the folder.
        OSError: `folder` cannot be written to.
    """
    key = os.path.realpath(folder)
    lock = _held.get(key)
    if lock is None or not lock._close.alive:
        lock = _held[key] = Lock(_locked(Path(folder) / FILE))
    return lock


def _locked(path):
    """The file descriptor of the locked file."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in NO_LOCKS:
            return descriptor
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise HeldByAnotherProcess(f"process {holder}" if holder.isdigit() else "another process") from error
    with contextlib.suppress(OSError):  # a full disk: the lock holds, but does not name the process
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
