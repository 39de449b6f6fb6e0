"""Folders by any name: for TensorFlow, which takes some names for patterns, and by the number that a name ends in."""

import contextlib
import os
import re
import tempfile
from pathlib import Path

from keras_dl.errors import UserError

DESCRIPTORS = "/proc/self/fd"  # where Linux shows a process its open files
LONGEST_NAME = 200  # bytes; file systems take 255, and some of ours add to a name
NUMBER = re.compile("0|[1-9][0-9]{0,17}")


@contextlib.contextmanager
def literal(folder):
    r"""The folder under another path, for as long as it lasts, in which no character has a meaning for TensorFlow.

    TensorFlow looks for the files of a SavedModel with a pattern: of "pics [2024]/variables" it finds what is in
    "pics 2", or nothing; so with *, ? and \.
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
    """The number that a folder's name is, in plain digits; None where it is none.

    >>> [number_of(name) for name in ("12", "\u00b2", "\u0663", "007", "digits-3")]
    [12, None, None, None, None]
    """
    return int(name) if NUMBER.fullmatch(name) else None


def shortened(name):
    """`name`, or its beginning where it is too long for a folder's name."""
    data = name.encode("utf-8", "surrogateescape")
    if len(data) <= LONGEST_NAME:
        return name
    return data[:LONGEST_NAME].decode("utf-8", "ignore")


def expanded(name):
    """The Path of what a user wrote, with ~ and ~user in front replaced; as it stands where there is no such user."""
    return Path(os.path.expanduser(name))


def out(name):
    """The Path that --out says.

    Raises:
        UserError: it cannot be a folder of runs and exports, whatever the disk says.
    """
    folder = expanded(name)
    if folder.parts and folder.parts[0].startswith("~"):
        raise UserError(f"--out: {name} is in the home folder of a user that there is not ({folder.parts[0]}).")
    try:
        str(folder.absolute()).encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(f"--out: {folder.absolute()} must be in UTF-8: TensorFlow takes no other path.") from error
    return folder


def temporary(prefix):
    """A new temporary folder.

    Raises:
        UserError: there is none that can be written (TMPDIR says where).
    """
    try:
        return Path(tempfile.mkdtemp(prefix=prefix))
    except OSError as error:
        raise UserError(
            f"TMPDIR: no temporary folder can be made in {os.environ.get('TMPDIR', '/tmp')}: {error.strerror}. "
            "Set TMPDIR to a folder with room."
        ) from error
