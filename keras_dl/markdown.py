"""Untrusted text as Markdown, for TensorBoard's Text page: nothing in it is taken for a picture, a link or a table.

TensorBoard cleans the HTML, but a text such as ![](https://...) would still make a browser fetch something. Code blocks
are not used, since their lines do not wrap there.
"""

import re

from keras_dl.errors import printable

# Every ASCII character that is no letter, digit or single space between words can have a meaning at some place.
SPECIAL = re.compile(r"[!-/:-@\[-`{-~]")
SPACES = re.compile("^ | $|(?<= ) ", re.MULTILINE)  # spaces that Markdown or HTML would drop


def escaped(text):
    r"""A text as Markdown that shows exactly this text; its lines stay lines, and long ones wrap.

    >>> escaped("a *b*\n| c")
    'a &#42;b&#42;<br>&#124; c'
    """
    text = SPECIAL.sub(lambda match: f"&#{ord(match[0])};", printable(text, keep="\n"))
    return SPACES.sub("&#160;", text).replace("\n", "<br>")


def table(columns, rows):
    """A table with the names of its columns; all cells are untrusted.

    Args:
        columns: strings.
        rows: lists of as many strings.
    """
    lines = [columns, ["---"] * len(columns), *rows]
    cells = [[cell if line is lines[1] else escaped(cell) for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
