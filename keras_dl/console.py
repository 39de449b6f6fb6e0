"""Standard streams that cannot stop a run: what is printed may lose characters or be lost, the run goes on.

A terminal without the letters of a class's name, a pipe whose reader is gone, a full device behind standard output, a
standard output that was closed before Python began: each would end a training by an exception out of print.
"""

import contextlib
import io
import os
import sys


def steady():
    """Make standard output and error such streams. What already stands in their place, a test's or a notebook's, stays.

    A letter that a stream's encoding lacks is written as its code (caf\\xe9). What cannot be written is dropped.
    """
    open_descriptors()
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:  # it was closed before Python began; its descriptor is the null device now
            setattr(sys, name, _stream(io.FileIO(number, "w", closefd=False), "utf-8", line_buffering=True))
            continue
        buffer = getattr(stream, "buffer", None)
        file = getattr(buffer, "raw", buffer)  # without a buffer in between by `python -u`
        if isinstance(stream, io.TextIOWrapper) and isinstance(file, io.FileIO) and file.fileno() == number:
            with contextlib.suppress(OSError):
                stream.flush()
            kept = _stream(file, stream.encoding, stream.line_buffering, stream.write_through)
            setattr(sys, name, kept)


def open_descriptors():
    """Lay the null device on each of the descriptors 0, 1 and 2 that is closed.

    Else the next file that is opened, a checkpoint say, gets its number, and what TensorFlow writes to descriptor 2
    stands in that file.
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
    """A file that says of everything that it is written."""

    def __init__(self, file):
        self.file, self.name, self.mode = file, file.name, "wb"

    def write(self, data):
        with contextlib.suppress(OSError):
            written = self.file.write(data)
            if written is not None:  # None: a pipe that takes nothing at the moment, and is not waited for
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
