"""What is printed for people: `say`, and standard streams whose failures cannot stop a run.

A terminal that lacks the letters of a class name, a pipe whose reader has ended, a full disk behind standard output, a
standard output that was closed before Python started: in each case print would end the training with an exception.
With `steady` output may be lost, but training goes on.
"""

import contextlib
import io
import os
import shutil
import sys
import textwrap

from keras_dl.errors import printable

NARROWEST = 40  # columns of a terminal for which sentences are broken


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


def say(text):
    """Print what the program says, at once; control characters are escaped.

    On a terminal a sentence that is longer than a line is broken at spaces, never within a flag or a path. A text of
    several lines, such as a table or commands to paste, keeps them.
    """
    text = printable(text, keep="\n")
    if "\n" not in text and sys.stdout.isatty():
        width = max(NARROWEST, shutil.get_terminal_size().columns - 1)
        text = textwrap.fill(text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    print(text, flush=True)


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
