"""Standard streams whose failures cannot stop a run: output may be lost, but training goes on.

A terminal that lacks the letters of a class name, a pipe whose reader has ended, a full disk behind standard output, a
standard output that was closed before Python started: in each case print would end the training with an exception.
"""

import contextlib
import io
import os
import sys


def steady():
    """Replace standard output and standard error by streams that never fail; those of a test or a notebook stay.

    A letter that a stream's encoding lacks is written as its code (caf\\xe9). What cannot be written is dropped.
    """
    open_descriptors()
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:  # closed before Python started; its descriptor is the null device now
            setattr(sys, name, _stream(io.FileIO(number, "w", closefd=False), "utf-8", line_buffering=True))
            continue
        buffer = getattr(stream, "buffer", None)
        file = getattr(buffer, "raw", buffer)  # `python -u` has no buffer in between
        if isinstance(stream, io.TextIOWrapper) and isinstance(file, io.FileIO) and file.fileno() == number:
            with contextlib.suppress(OSError):
                stream.flush()
            kept = _stream(file, stream.encoding, stream.line_buffering, stream.write_through)
            setattr(sys, name, kept)


def open_descriptors():
    """Open the null device on each of the descriptors 0, 1 and 2 that is closed.

    Otherwise the next file to be opened, such as a checkpoint, would get that descriptor, and what TensorFlow writes to
    descriptor 2 would end up in it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)


def _stream(file, encoding, line_buffering, write_through=False):
    buffer = io.BufferedWriter(_Lossy(file))
    return io.TextIOWrapper(
        buffer, encoding, "backslashreplace", line_buffering=line_buffering, write_through=write_through
    )


class _Lossy(io.RawIOBase):
    """A file whose write never fails: what cannot be written counts as written."""

    def __init__(self, file):
        self.file, self.name, self.mode = file, file.name, "wb"

    def write(self, data):
        with contextlib.suppress(OSError):
            written = self.file.write(data)
            if written is not None:  # None: a full pipe in non-blocking mode
                return written
        return len(data)

    def writable(self):
        return True

    def fileno(self):
        return self.file.fileno()

    def isatty(self):
        with contextlib.suppress(OSError):
            return self.file.isatty()
        return False
