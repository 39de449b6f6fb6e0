"""Reads users' text files: checks of the path, one encoding (UTF-8), one rule for line ends.

A line ends with LF, CR LF or CR, for language models, sentence pairs and `predict` alike. Nothing else ends a line: a
form feed, U+0085 and U+2028, at which `str.splitlines` cuts too, are characters within a line, as they are for editors
and for `wc -l`. Nothing here imports TensorFlow.
"""

import codecs
import difflib
import os
import re
from pathlib import Path

from keras_dl.errors import UserError

UTF_8_MARK = "\ufeff"  # written by some editors at the start of a text
MARKS = {  # byte-order marks of other encodings; the longer ones first, since UTF-32's begins with UTF-16's
    codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16",
}  # fmt: skip
LONGEST_NAME = 255  # characters of a file's name
HEAD = 4096  # bytes in which UTF-16 without a mark is detected
SUFFIXES = {  # of text files
    ".txt", ".text", ".md", ".rst", ".tex", ".csv", ".tsv", ".json", ".xml", ".html", ".css", ".js", ".ts", ".py",
    ".c", ".h", ".cc", ".cpp", ".hpp", ".java", ".go", ".rs", ".rb", ".sh", ".lua", ".scala", ".sql", ".toml", ".yml",
    ".yaml", ".log", ".tokens",
}  # fmt: skip
OTHERS = {".src", ".tgt", ".tok", ".ref", ".hyp", ".gz", ".xz", ".zip", ".pdf", ".doc", ".docx", ".odt", ".rtf"}
ALIKE = 0.8  # how similar to a file's name words with spaces must be to count as that name mistyped


def path_of(name, who):
    """The Path that a user names, with ~ as their home folder.

    Args:
        name: a string.
        who: name of the calling function or flag, for the message.

    Returns:
        Path; the file need not exist.

    Raises:
        UserError: no file can have that name, in one line that says why.
    """
    try:
        os.fsencode(name).decode()
        path = Path(name).expanduser()
        # The real name, also of a folder given as ".", becomes part of a run's name.
        os.fsencode(os.path.basename(os.path.realpath(path))).decode()
        os.lstat(path)
    except UnicodeError as error:
        raise UserError(f"{who}: the name {ascii(str(name))} must be UTF-8; rename the file or folder.") from error
    except RuntimeError as error:
        user = Path(name).parts[0]
        raise UserError(f"{who}: {name} begins with {user}, and this machine knows no such user.") from error
    except ValueError as error:
        raise UserError(f"{who}: the name {name!r} must not have a NUL character.") from error
    except OSError as error:
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return path  # whether this is a mistake is up to the caller
        raise UserError(f"{who}: {_short(name)} cannot be read: {error.strerror}.") from error
    return path


def read(path, who):
    """The text of a file, without a byte-order mark, its line ends as LF.

    Args:
        path: path of the file.
        who: name of the calling function, for the message.

    Raises:
        UserError: it cannot be read, or is not UTF-8; the message says why, and where.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{who}: {_short(path)} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UserError(f"{who}: the name {str(path)!r} must not have a NUL character.") from error
    return text_of(data, f"{who}: {path}")


def text_of(data, place):
    """Bytes as text, without a byte-order mark, their line ends as LF.

    Args:
        data: bytes.
        place: where they come from; the message begins with it.

    Raises:
        UserError: they are not UTF-8, or contain a NUL byte, which no text has.
    """
    encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), None) or _utf_16_by_nulls(data)
    if encoding:
        raise UserError(f"{place} must be text in UTF-8; it is {encoding}. Save it as UTF-8.")
    try:
        text = data.decode()
        wrong = data.find(b"\0")
    except UnicodeDecodeError as error:
        wrong = error.start
    if wrong >= 0:
        line = _with_lf(data[:wrong].decode()).count("\n") + 1
        raise UserError(
            f"{place} must be text in UTF-8; byte {wrong}, in line {line}, is 0x{data[wrong]:02x}, which is not."
        )
    return _with_lf(text.removeprefix(UTF_8_MARK))


def lines(text):
    """The lines of a text as returned by text_of; a line end at the end of the text starts no further line.

    >>> lines("one\\n\\ntwo\\n"), lines("one"), lines("")
    (['one', '', 'two'], ['one'], [])
    """
    return text.removesuffix("\n").split("\n") if text else []


def mistyped(words):
    """What is wrong with words that look like a file's name, though there is no such file; None for ordinary words.

    Words look like a name if they begin with an existing folder, or have the ending of a text file and at most two
    spaces, or are nearly the name of an existing file.

    >>> mistyped("Nr. 5."), mistyped("and/or"), mistyped("e.g."), mistyped("www.python.org")
    (None, None, None, None)
    >>> mistyped("nowhere/my.en")
    'is no file that is there'
    """
    if os.path.isdir(words):
        return "is a folder"
    if "\n" in words or len(words) > LONGEST_NAME or re.search(r"://|@|^www\.", words):
        return None
    spaces = re.search(r"\s", words) is not None
    ending = os.path.splitext(words)[1]
    text_like = ending.lower() in SUFFIXES | OTHERS or re.fullmatch(r"\.([a-z]{2}|[A-Z]{2})", ending) is not None
    folder, name = os.path.split(os.path.expanduser(words))
    near = difflib.get_close_matches(name, _names(folder or "."), 1, ALIKE if spaces else 0.5)
    in_a_folder = "/" in words and name != "" and os.path.isdir(folder)
    starts_as_one = re.match(r"(\.{1,2}|~)?/\S", words) is not None
    nearly_a_file = ending != "" and bool(near) and os.path.splitext(near[0])[1] == ending
    looks_like_one = text_like or in_a_folder or starts_as_one
    few_words = len(words.split()) <= 3
    if nearly_a_file or (looks_like_one and not spaces) or (text_like and (in_a_folder or few_words)):
        return "is no file that is there" + (f"; nearest: {os.path.join(folder, near[0])}" if near else "")
    return None


def _names(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _with_lf(text):
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _utf_16_by_nulls(data):
    """Detects UTF-16 without a mark: in most languages every second byte of it is NUL."""
    head = data[:HEAD]
    shares = [head[first::2].count(0) / max(1, len(head[first::2])) for first in (0, 1)]
    return "UTF-16 without a byte-order mark" if max(shares) > 0.5 and min(shares) < 0.1 else None


def _short(name):
    name = str(name)
    return name if len(name) <= 80 else f"{name[:40]}...{name[-20:]}"
