"""A user's mistake, and text of strangers made fit for a terminal."""

import re

# Control characters, line and paragraph separators, lone surrogates, and what turns the direction of writing around:
# a terminal would obey them. Letters of every script stay, also those that join others (ZWJ, ZWNJ).
UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


class UserError(ValueError):
    """A mistake of the user's: said in one line, exit status 2, no traceback."""

    def __init__(self, message):
        super().__init__(printable(message))


class Refused(UserError):
    """An endpoint refuses a request.

    Attributes:
        sentence: the endpoint's own; None where TensorFlow failed inside it.
    """

    def __init__(self, message, sentence):
        super().__init__(message)
        self.sentence = sentence


def printable(text, keep=""):
    r"""`text` with what a terminal would obey written out, so that it stays on its line and says what it holds.

    Args:
        text: a string, or what str() makes one of.
        keep: characters that stay, such as the line ends of a text.

    >>> printable("red \x1b[31m, two\nlines")
    'red \\x1b[31m, two\\nlines'
    """
    return UNPRINTABLE.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), str(text))


def _escape(character):
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
