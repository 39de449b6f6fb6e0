"""A lock that lets one process at a time use a folder; it is released when the process ends, even by a kill.

It is a lock of the kernel (flock) on a file .lock in the folder. A process that is killed leaves the file but no lock,
so nothing has to be cleaned up before --resume. The file names the process that holds the lock, for messages only.
"""

import contextlib
import errno
import fcntl
import os
import time
import weakref
from pathlib import Path

FILE = ".lock"
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}  # the file system has no locks: go on without one
ATTEMPTS, PAUSE = 5, 0.02  # how often a lock is tried, and the seconds between: `held` has one for a moment


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


def held(folder):
    """Whether any process, this one too, has locked `folder`. Nothing is written there.

    To see it, the lock is shared with other readers for a moment; `hold` waits for that long.
    """
    try:
        descriptor = os.open(Path(folder) / FILE, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would wait for its writer
    except OSError:  # it was never locked, or is not for this user to see
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # the file system has no locks
        return False
    finally:
        os.close(descriptor)
    return False


def _locked(path):
    """The file descriptor of the locked file."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _lock(descriptor)
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


def _lock(descriptor):
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(PAUSE)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
