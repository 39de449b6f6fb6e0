"""Text as one stream of characters or words: Python's own library, Penn Treebank, a file or folder of one's own.

A split is its token stream; `windows` lays it out in rows of contiguous text, so that a state that is carried from
batch to batch has read all that comes before (truncated back-propagation through time).
"""

import collections
import dataclasses
import hashlib
import platform
import sysconfig
from pathlib import Path

import numpy as np

from keras_dl.arguments import OneOf, Seed, Text, Whole, checked
from keras_dl.data import prepared, text_files
from keras_dl.data.examples import PARTS, Examples, Info, Splits, counts
from keras_dl.errors import UserError
from keras_dl.features import reading, unknown
from keras_dl.features.tokens import LEVELS, UNKNOWN, Tokens
from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    pass

WHO = "text.load"  # what messages call it
CHUNK = 4_000_000  # characters that are encoded at once
BEGINNING = 12  # characters of a sample's beginning at most

# The embedded set: files of Python's standard library that 3.11, 3.12 and 3.13 have in about the same size.
PYTHON = {
    "train": (
        "argparse.py", "ast.py", "configparser.py", "contextlib.py", "dataclasses.py", "difflib.py", "enum.py",
        "inspect.py", "shutil.py", "threading.py",
    ),
    "validation": ("tempfile.py", "textwrap.py"),
    "test": ("pprint.py", "socketserver.py"),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Set:
    source: str
    level: str  # what the set's published results are told by


SETS = {
    "python": _Set(f"standard library of CPython {platform.python_version()}", "character"),
    "ptb": _Set("Penn Treebank: Marcus et al. 1993, Mikolov et al. 2010", "word"),
    "tiny_shakespeare": _Set("Karpathy 2015", "character"),
}


@checked(who=WHO)
def load(
    name: Text,
    seed: Seed = 0,
    *,
    level: OneOf("auto", *LEVELS) = "auto",
    vocabulary_size: Whole(3, 1_000_000) = 10_000,
):
    """Load a text: Splits of token streams, {"tokens": int32 (N,)}.

    Args:
        name: "python" (embedded), "ptb", "tiny_shakespeare", a text file, or a folder. Of a folder, files such as
            ptb.train.txt, ptb.valid.txt and ptb.test.txt, or what is below train/, valid/ and test/, are the splits
            (split_names.NAMES has their other names; one of the last two may be missing and is held out of the first);
            else all text files below it, by name, are one text. A text without splits is cut, at line ends, into its
            first 90, next 5 and last 5 percent. Links are followed; of files with the same text one is read.
        seed: unused, nothing is drawn.
        level: "character", "word", or "auto": the set's own, "character" for a path.
        vocabulary_size: words at most, <unk> and <eos> among them; characters are all taken.

    Returns:
        Splits, whose info says of "tokens" the "level" and the "vocabulary_size", and in its details the "sha256" of
        the three splits' text, one after the other, in UTF-8.

    Raises:
        UserError: no such set or path (the nearest is named), one that is not to be had, a file that is not UTF-8, a
            text too short, or an option out of range.
    """
    if name in SETS:
        texts, known, notes = (_python() if name == "python" else _of_tfds(name)), SETS[name], ()
    else:
        name, texts, notes = text_files.load(name, SETS)
        known = _Set(f"text {name}", "character")
    level = known.level if level == "auto" else level
    tokens = Tokens.of(texts["train"], level, vocabulary_size)
    streams = {part: _stream(tokens, text) for part, text in texts.items()}
    for part, stream in streams.items():
        if len(stream) < 2:
            raise UserError(f"{WHO}: {name} must have at least two {level}s a split; its {part} has {len(stream)}.")
    sha256 = hashlib.sha256("".join(texts.values()).encode()).hexdigest()
    examples = {part: Examples({"tokens": stream}) for part, stream in streams.items()}
    features = {"tokens": {"level": level, "vocabulary_size": len(tokens.vocabulary)}}
    info = Info(name, known.source, features, counts(examples), {"sha256": sha256})
    said = [  # of words the vocabulary has the most frequent, and train's other ones are meant to be unknown
        unknown_in(tokens, text, part) for part, text in texts.items() if part != "train" or level == "character"
    ]
    return Splits(**examples, info=info, preprocess=tokens, notes=(*notes, *filter(None, said)))


def beginning(splits):
    """What a sample may begin with where nobody says it: the first word of most of the text's lines, and a space.

    Of the training split, whose lines that begin with white space do not count; at most BEGINNING characters, so that
    of a language without spaces it is the beginning of a line. "" where there is no such line.
    """
    ids = splits.train.features["tokens"][:CHUNK]
    text = splits.preprocess.decode(ids[None]).numpy()[0].decode()
    lines = [line for line in text.split("\n") if line[:1].strip() and UNKNOWN[splits.preprocess.level] not in line]
    words = collections.Counter(line.split(None, 1)[0][:BEGINNING] for line in lines)
    if not words:
        return ""
    word = max(words, key=words.get)  # of equals the first in the text
    space = splits.preprocess.level == "word" or any(line.startswith(f"{word} ") for line in lines)
    return word + (" " if space else "")


def checked_prime(prime):
    """`prime` itself; UserError where it is no text in UTF-8, as a terminal of another encoding gives it."""
    try:
        prime.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"--prime: must be text in UTF-8; got {ascii(prime)}.") from error
    return prime


def unknown_in(tokens, text, place):
    """A sentence on the tokens of `text` that are not in the vocabulary, "" where there are none."""
    return unknown.sentence(place, tokens.unknowns(text), tokens.level, tokens.vocabulary[tokens.unknown])


@checked(who="text.windows")
def windows(examples, batch_size: Whole(1, 1_000_000), sequence_length: Whole(1, 1_000_000)):
    """Lay a token stream out for truncated back-propagation through time.

    The stream is cut into `batch_size` rows of contiguous text, whose lengths differ by one token at most, and each
    row into windows of `sequence_length` targets. Window k of all rows is batch k of the plan in order, so state b of
    a batch goes on in state b of the next. Every token but the first is a target once, its predecessor the input.

    >>> stream = Examples({"tokens": np.arange(8, dtype=np.int32)})
    >>> windows(stream, 2, 3).features["tokens"].tolist()  # rows of 3 and 4 targets
    [[0, 1, 2, 3], [3, 4, 5, 6], [3, 0, 0, 0], [6, 7, 0, 0]]

    Args:
        examples: of a split, {"tokens": (N,)}.
        batch_size: B, rows.
        sequence_length: T, targets a window.

    Returns:
        Examples of K * B windows, row k * B + b being window k of row b: "tokens" int32 (K * B, T + 1), inputs [:-1]
        and targets [1:]; "start" bool, true for k = 0; "length" int32, how many of the targets are not padding. They
        are batched in this order alone (Examples.rows).

    Raises:
        UserError: an argument does not fit its annotation, or a row would have no target.
    """
    stream = examples.features["tokens"]
    if len(stream) <= batch_size:
        raise UserError(
            f"text.windows: a batch of {batch_size} rows needs at least {batch_size + 1} tokens; got {len(stream)}. "
            f"Take a smaller batch or a longer text."
        )
    ends = np.arange(1, batch_size + 1) * (len(stream) - 1) // batch_size  # of each row, its last target
    starts = np.concatenate([[0], ends[:-1]])  # its first input, the last target of the row before
    count = -(-int(np.max(ends - starts)) // sequence_length)
    first = (starts + np.arange(count)[:, None] * sequence_length).reshape(-1)  # (K * B,)
    last = np.tile(ends, count)
    at = first[:, None] + np.arange(sequence_length + 1)
    tokens = np.where(at <= last[:, None], stream[np.minimum(at, len(stream) - 1)], 0)
    return Examples(
        {
            "tokens": tokens.astype(np.int32),
            "start": np.arange(len(first)) < batch_size,
            "length": np.clip(last - first, 0, sequence_length).astype(np.int32),
        },
        rows=batch_size,
    )


def _stream(tokens, text):
    """Ids of `text`, int32 (N,). Between characters it may be cut anywhere."""
    step = CHUNK if tokens.level == "character" else max(1, len(text))
    parts = [tokens.encode([text[i : i + step]]).flat_values.numpy() for i in range(0, len(text), step)]
    return np.concatenate([np.zeros(0, np.int32), *parts])


def _python():
    library = Path(sysconfig.get_paths()["stdlib"])
    return {part: "".join(reading.read(library / name, WHO) for name in names) for part, names in PYTHON.items()}


def _of_tfds(name):
    make = None
    if name == "ptb":
        from keras_dl.data.ptb import Ptb as make
    builder = prepared.builder(name, WHO, make)
    texts = {}
    for part in PARTS:
        (example,) = builder.as_dataset(split=part, shuffle_files=False)
        texts[part] = example["text"].numpy().decode()
    return texts
