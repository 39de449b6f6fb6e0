"""Errors that a user can correct, and the escaping of untrusted text for a terminal."""

import contextlib
import re

# Control characters, line and paragraph separators, lone surrogates, and marks of the writing direction: a terminal
# would act on them. Letters of every script are kept, and so are joiners (ZWJ, ZWNJ).
UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


class UserError(ValueError):
    """A user's mistake: an app prints one line, without a traceback, and exits with status 2."""

    def __init__(self, message):
        super().__init__(printable(message))


class Refused(UserError):
    """An endpoint refuses a request.

    Attributes:
        sentence: the endpoint's own reason; None if TensorFlow itself failed.
    """

    def __init__(self, message, sentence):
        super().__init__(message)
        self.sentence = sentence


@contextlib.contextmanager
def user_input():
    """A context that turns ValueError and the like into UserError, for code that runs with arguments of the user."""
    try:
        yield
    except (TypeError, ValueError, MemoryError) as mistake:
        raise UserError(" ".join(str(mistake).split())) from mistake
    except Exception as error:
        if type(error).__name__ != "ResourceExhaustedError":  # TensorFlow's class, which is not imported here
            raise
        raise UserError("the model does not fit into this machine's memory; try smaller arguments.") from error


def printable(text, keep=""):
    r"""`text` with characters on which a terminal would act replaced by escape sequences; so it stays on one line.

    Args:
        text: a string, or an object to convert with str().
        keep: characters not to replace, such as the line ends of a text.

    >>> printable("red \x1b[31m, two\nlines")
    'red \\x1b[31m, two\\nlines'
    """
    return UNPRINTABLE.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), str(text))


def _escape(character):
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
