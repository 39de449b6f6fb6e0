"""Text as one stream of characters or words: Python's library, Penn Treebank, or the user's own file or folder.

A split is one stream of tokens. `windows` cuts it into rows of contiguous text, so that a recurrent state can be
carried from each batch to the next (truncated back-propagation through time).
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
from keras_dl.data.examples import OWN, PARTS, Examples, Info, Splits, counts
from keras_dl.data.facts import Facts, sizes, unigram_nats
from keras_dl.errors import UserError
from keras_dl.features import reading, unknown
from keras_dl.features.tokens import LEVELS, UNKNOWN, Tokens
from keras_dl.waiting import waiting
from keras_dl.wording import counted, percent

WHO = "text.load"  # the name of `load` in messages
CHUNK = 4_000_000  # characters that are encoded at once
UNKNOWNS = 0.05  # share of unknown tokens from which a warning is given
BEGINNING = 12  # characters of a default prime, at most

# The embedded set: files of the standard library that have about the same size in Python 3.11, 3.12 and 3.13.
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
    level: str  # the unit in which results on the set are published
    licence: str


PTB = "for research only: no open licence, an extract of the Linguistic Data Consortium's Treebank"
SETS = {
    "python": _Set(f"standard library of CPython {platform.python_version()}", "character", "PSF License 2"),
    "ptb": _Set("Penn Treebank: Marcus et al. 1993, Mikolov et al. 2010", "word", PTB),
    "tiny_shakespeare": _Set("Karpathy 2015", "character", "public domain"),
}


@waiting("loading the text ...")
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
        name: "python" (embedded), "ptb", "tiny_shakespeare", a text file, or a folder. In a folder, files such as
            ptb.train.txt, ptb.valid.txt and ptb.test.txt, or the text files below train/, valid/ and test/, are the
            splits (split_names.NAMES has the other names; a missing valid or test is held out of train). In a folder
            without splits all text files, sorted by name, are one text. A text without splits is cut, at line ends,
            into its first 90, next 5 and last 5 percent. Links are followed; files with equal text are read once.
        seed: not used, nothing is random here.
        level: "character", "word", or "auto": the usual level of a set, "character" for a path.
        vocabulary_size: number of words at most, including <unk> and <eos>; ignored for characters, which are all used.

    Returns:
        Splits. Their info has, under features, the "level" and "vocabulary_size" of "tokens"; under details, the
        "sha256" of the text of all three splits, concatenated, in UTF-8.

    Raises:
        UserError: no such set or path (the nearest is named), a set that cannot be downloaded, a file that is not
            UTF-8, a text that is too short, or an option out of range.
    """
    if name in SETS:
        texts, known, notes, warnings = (_python() if name == "python" else _of_tfds(name)), SETS[name], (), ()
    else:
        name, texts, notes, warnings = text_files.load(name, SETS)
        known = _Set(f"text {name}", "character", OWN)
    level = known.level if level == "auto" else level
    tokens = Tokens.of(texts["train"], level, vocabulary_size)
    streams = {part: _stream(tokens, text) for part, text in texts.items()}
    for part, stream in streams.items():
        if len(stream) < 2:
            raise UserError(f"{WHO}: {name} must have at least two {level}s a split; its {part} has {len(stream)}.")
    sha256 = hashlib.sha256("".join(texts.values()).encode()).hexdigest()
    examples = {part: Examples({"tokens": stream}) for part, stream in streams.items()}
    features = {"tokens": {"level": level, "vocabulary_size": len(tokens.vocabulary)}}
    info = Info(name, known.source, features, counts(examples), {"sha256": sha256}, known.licence)
    sentences = [  # not for words of train: those beyond the vocabulary's size are unknown on purpose
        unknown_in(tokens, text, part) for part, text in texts.items() if part != "train" or level == "character"
    ]
    warnings = (*warnings, *filter(None, sentences))
    return Splits(**examples, info=info, preprocess=tokens, notes=notes, warnings=warnings, facts=Stream())


class Stream(Facts):
    """The facts of a text, which is a single stream of tokens."""

    unit = "tokens"
    compared = True

    def sizes(self, splits):
        """Tokens of the lines that are not empty, line ends not counted; {} if the text has no line ends."""
        tokens = splits.preprocess
        if tokens.line_end is None:
            return {}
        streams = [examples.features["tokens"] for examples in splits.parts.values()]
        ends = [np.flatnonzero(stream == tokens.line_end) for stream in streams]
        lengths = np.concatenate([np.diff(of_split, prepend=-1) - 1 for of_split in ends])
        lengths = lengths[lengths > 0]
        return sizes(f"{tokens.level}s of a line", lengths) if len(lengths) else {}

    def baseline(self, splits):
        """Nats per token of tokens that are independent of each other, as facts.unigram_nats."""
        train, validation = (part.features["tokens"] for part in (splits.train, splits.validation))
        value = unigram_nats(train, validation[1:], len(splits.preprocess.vocabulary))  # the first is no target
        level = splits.preprocess.level
        return {"metric": "nats", "value": value, "what": f"every {level} with its frequency, whatever came before"}

    def warnings(self, splits):
        tokens = splits.preprocess
        sentences = super().warnings(splits)
        for part in ("validation", "test"):
            share = np.mean(splits.parts[part].features["tokens"] == tokens.unknown)
            if share >= UNKNOWNS:
                unknown_ones = f"{percent(share, 1)} of the {tokens.level}s of {part} are {UNKNOWN[tokens.level]}"
                larger = "a larger --vocabulary-size or " if tokens.level == "word" else ""  # all characters are known
                sentences.append(
                    f"{unknown_ones}: its nats are of a simpler text than the one that is written there; take {larger}"
                    "a longer text"
                )
        return sentences


def beginning(splits):
    """The default prime of a sample: the most frequent first word of the training split's lines, with its space.

    Lines that begin with white space do not count. The word is cut to BEGINNING characters, for languages without
    spaces. "" if there is no such line.
    """
    ids = splits.train.features["tokens"][:CHUNK]
    text = splits.preprocess.decode(ids[None]).numpy()[0].decode()
    lines = [line for line in text.split("\n") if line[:1].strip() and UNKNOWN[splits.preprocess.level] not in line]
    words = collections.Counter(line.split(None, 1)[0][:BEGINNING] for line in lines)
    if not words:
        return ""
    word = max(words, key=words.get)  # of equally frequent words, the first in the text
    space = splits.preprocess.level == "word" or any(line.startswith(f"{word} ") for line in lines)
    return word + (" " if space else "")


def checked_prime(prime):
    """`prime` itself; UserError if it is not UTF-8, as from a terminal of another encoding."""
    try:
        prime.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"--prime: must be text in UTF-8; got {ascii(prime)}.") from error
    return prime


def unknown_in(tokens, text, place):
    """A sentence on the tokens of `text` that are not in the vocabulary; "" if there are none."""
    return unknown.sentence(place, tokens.unknowns(text), tokens.level, tokens.vocabulary[tokens.unknown])


@checked(who="text.windows")
def windows(examples, batch_size: Whole(1, 1_000_000), sequence_length: Whole(1, 1_000_000)):
    """Cut a token stream into windows for truncated back-propagation through time.

    The stream is cut into `batch_size` rows of contiguous text, whose lengths differ by one token at most, and each
    row into windows of `sequence_length` targets. Batch k consists of window k of every row, so that state b after one
    batch is the initial state of row b in the next. Every token but the first is a target once; its input is the token
    before it.

    >>> stream = Examples({"tokens": np.arange(8, dtype=np.int32)})
    >>> windows(stream, 2, 3).features["tokens"].tolist()  # rows of 3 and 4 targets
    [[0, 1, 2, 3], [3, 4, 5, 6], [3, 0, 0, 0], [6, 7, 0, 0]]

    Args:
        examples: Examples of a split, {"tokens": (N,)}.
        batch_size: B, number of rows.
        sequence_length: T, targets per window.

    Returns:
        Examples of K * B windows; example k * B + b is window k of row b. "tokens" int32 (K * B, T + 1), inputs [:-1]
        and targets [1:]; "start" bool (K * B,), true for k = 0; "length" int32 (K * B,), how many of the targets are
        not padding. They can only be batched in this order (Examples.rows).

    Raises:
        UserError: an argument does not fit its annotation, or a row would have no target.
    """
    stream = examples.features["tokens"]
    if len(stream) <= batch_size:
        raise UserError(
            f"text.windows: a batch of {counted(batch_size, 'rows')} needs at least {batch_size + 1} tokens; "
            f"got {len(stream)}. Take a smaller batch or a longer text."
        )
    ends = np.arange(1, batch_size + 1) * (len(stream) - 1) // batch_size  # the last target of each row
    starts = np.concatenate([[0], ends[:-1]])  # its first input, which is the last target of the row before
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
    """Ids of `text`, int32 (N,); a text of characters is encoded in chunks."""
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
