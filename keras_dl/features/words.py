"""Reads an INPUT of `predict` that is text: a text file, standard input ("-"), or the words themselves.

Nothing here imports TensorFlow, so that mistakes are reported at once.
"""

import os
import sys
from pathlib import Path

from keras_dl.errors import UserError
from keras_dl.features import reading
from keras_dl.features.base import Source

STANDARD_INPUT = "-"
MOST_BYTES = 2**26  # of a file or of standard input
LONGEST_SHOWN = 40  # characters of a text in a message


def one_text(name):
    """The Source of an INPUT that is one text.

    Raises:
        UserError: it cannot be read, is not UTF-8, or looks like the name of a file that does not exist.
    """
    text, place = text_and_place(name)
    return Source(text, place or text, name)


def text_and_place(name):
    """(text of an INPUT, name of its file); the name is None if the INPUT is the text itself."""
    place = "standard input" if name == STANDARD_INPUT else name if os.path.isfile(name) else None
    mistake = None if place else "is no regular file" if os.path.exists(name) else reading.mistyped(name)
    if mistake:
        raise UserError(f"{name} {mistake}. If it is a text, give it by standard input, INPUT -.")
    if not place:
        data = name.encode("utf-8", "surrogateescape")
    elif name == STANDARD_INPUT:
        data = _standard_input()
    else:
        data = _bytes(Path(name))
    return reading.text_of(data, place or "an INPUT"), place


def as_input(text):
    """The arguments after `predict EXPORT` that make `text` its INPUT; None if they would be read as something else.

    They would be if `text` is, or looks like, the name of a file, is "-" (standard input), or is blank.
    """
    if os.path.lexists(text) or reading.mistyped(text) or text.strip() in ("", STANDARD_INPUT):
        return None
    return ["--", text] if text.startswith("-") else [text]


def shortened(text, most=LONGEST_SHOWN):
    """The beginning of a text, for a message."""
    return text if len(text) <= most else f"{text[:most]}..."


def _standard_input():
    if sys.stdin is None:
        raise UserError("standard input, INPUT -, is closed.")
    data = sys.stdin.buffer.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise UserError(f"standard input may have at most {MOST_BYTES} bytes.")
    return data


def _bytes(path):
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > MOST_BYTES:
        raise UserError(f"{path} may have at most {MOST_BYTES} bytes.")
    return data
