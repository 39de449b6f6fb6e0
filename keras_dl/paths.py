"""Paths of folders: names that TensorFlow would read as patterns, numbers as names, ~, --out and temporary folders."""

import contextlib
import os
import re
import tempfile
from pathlib import Path

from keras_dl.errors import UserError

DESCRIPTORS = "/proc/self/fd"  # Linux: the open files of this process
LONGEST_NAME = 200  # bytes; file systems allow 255, and names are extended
NUMBER = re.compile("0|[1-9][0-9]{0,17}")


@contextlib.contextmanager
def literal(folder):
    r"""A context with another path of the folder, without characters that TensorFlow would read as a pattern.

    TensorFlow finds the files of a SavedModel by a pattern: for "pics [2024]/variables" it looks into "pics 2", and
    finds the wrong files or none. *, ? and \ have the same problem.
    """
    if not os.path.isdir(DESCRIPTORS):
        yield Path(folder)
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Path(DESCRIPTORS, str(descriptor))
    finally:
        os.close(descriptor)


def number_of(name):
    """A name that consists of plain digits as a number; None for any other name.

    >>> [number_of(name) for name in ("12", "\u00b2", "\u0663", "007", "digits-3")]
    [12, None, None, None, None]
    """
    return int(name) if NUMBER.fullmatch(name) else None


def shortened(name):
    """`name`, cut to LONGEST_NAME bytes if it is longer."""
    data = name.encode("utf-8", "surrogateescape")
    if len(data) <= LONGEST_NAME:
        return name
    return data[:LONGEST_NAME].decode("utf-8", "ignore")


def expanded(name):
    """The Path of a name with a leading ~ or ~user expanded; unchanged if there is no such user."""
    return Path(os.path.expanduser(name))


def out(name):
    """The Path of --out. The disk is not accessed.

    Raises:
        UserError: it begins with ~ and an unknown user, or it is not UTF-8.
    """
    folder = expanded(name)
    if folder.parts and folder.parts[0].startswith("~"):
        raise UserError(f"--out: {name} must begin with a user that exists; there is no user {folder.parts[0][1:]}.")
    try:
        str(folder.absolute()).encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(f"--out: {folder.absolute()} must be in UTF-8: TensorFlow takes no other path.") from error
    return folder


def temporary(prefix):
    """A new temporary folder.

    Raises:
        UserError: it cannot be created where TMPDIR says.
    """
    try:
        return Path(tempfile.mkdtemp(prefix=prefix))
    except OSError as error:
        raise UserError(
            f"TMPDIR: no temporary folder can be made in {os.environ.get('TMPDIR', '/tmp')}: {error.strerror}. "
            "Set TMPDIR to a folder with room."
        ) from error
