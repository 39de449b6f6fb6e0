"""Text as one stream of characters or words: Python's own library, Penn Treebank, a file or folder of one's own.

A split is its token stream; `windows` lays it out in rows of contiguous text, so that a state that is carried from
batch to batch has read all that comes before (truncated back-propagation through time).
"""

import collections
import dataclasses
import functools
import hashlib
import platform
import sysconfig
from pathlib import Path

import numpy as np

from keras_dl.arguments import OneOf, Seed, Text, Whole, checked
from keras_dl.data import prepared, reading, text_files, unknown
from keras_dl.data.examples import PARTS, Examples, Info, Splits, counts
from keras_dl.errors import UserError
from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf

WHO = "text.load"  # what messages call it
LEVELS = ("character", "word")
UNKNOWN = {"character": "\ufffd", "word": "<unk>"}
EOS = "<eos>"  # the word that a line's end is
CHUNK = 4_000_000  # characters that are encoded at once
BEGINNING = 12  # characters of a sample's beginning at most
BUCKETS = 2**63 - 1

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


@dataclasses.dataclass(frozen=True)
class Tokens:
    """The one pre-processing, in the pipeline and inside the export: text <-> ids. Plain operations, no resources.

    Attributes:
        level: "character"; or "word": what stands between white space (ASCII's six), and <eos> for a line's end.
        vocabulary: tokens by id, each once, U+FFFD or <unk> among them.

    Raises:
        ValueError: no such level, a token twice, or none for the unknown.
    """

    level: str
    vocabulary: tuple
    resources = ()  # what an export must track: nothing

    def __post_init__(self):
        if self.level not in LEVELS:
            raise ValueError(f"Tokens: level must be one of {', '.join(LEVELS)}; got {self.level!r}.")
        if UNKNOWN[self.level] not in self.vocabulary or len(set(self.vocabulary)) != len(self.vocabulary):
            raise ValueError(f"Tokens: the vocabulary must have {UNKNOWN[self.level]!r}, and every token once.")

    @classmethod
    def of(cls, text, level, vocabulary_size=None):
        """Made of `text`, the training split alone.

        Characters: the unknown, then all of them by code point. Words: the `vocabulary_size` most frequent, <unk> and
        <eos> among them whatever their counts, by descending frequency, then alphabetically; <unk> counts for all
        that it stands for.
        """
        if level == "character":
            return cls(level, (UNKNOWN[level], *sorted(set(text) - {UNKNOWN[level]})))
        counts = {word.decode(): count for word, count in collections.Counter(_words(text)).items()}
        always = {word: counts.pop(word, 0) for word in (UNKNOWN[level], EOS)}
        ranked = sorted(counts, key=lambda word: (-counts[word], word))[: vocabulary_size - len(always)]
        always[UNKNOWN[level]] += sum(counts.values()) - sum(counts[word] for word in ranked)
        counts |= always
        return cls(level, tuple(sorted([*ranked, *always], key=lambda word: (-counts[word], word))))

    @property
    def unknown(self):
        """The id of what is not in the vocabulary."""
        return self.vocabulary.index(UNKNOWN[self.level])

    def unknowns(self, text):
        """{token of `text` that is not in the vocabulary: how often it is there}.

        The replacement character, which stands in a text for what was lost on its way here, counts as unknown.
        """
        if self.level == "character":
            known = set(self.vocabulary) - {UNKNOWN[self.level]}
            return {character: text.count(character) for character in set(text) - known}
        counts = collections.Counter(word.decode() for word in _words(text))
        return {word: count for word, count in counts.items() if word not in self._ids}

    def encode(self, texts):
        """tf.string (B,), UTF-8 -> tf.RaggedTensor int32 (B, None). CR LF and CR are read as LF, as in files."""
        texts = tf.strings.regex_replace(tf.convert_to_tensor(texts, tf.string), "\r\n?", "\n")
        if self.level == "word":
            pieces = tf.strings.split(tf.strings.regex_replace(texts, "\n", f" {EOS} "))
        else:
            pieces = tf.strings.unicode_split(texts, "UTF-8")  # bytes that are no UTF-8 become U+FFFD
        found, hashes = pieces.flat_values, self._hashes
        at = tf.searchsorted(hashes[0], tf.strings.to_hash_bucket_fast(found, BUCKETS))
        ids = tf.gather(hashes[1], tf.minimum(at, len(self.vocabulary) - 1))
        same = tf.equal(tf.gather(self._strings(), ids), found)  # not just of the same hash
        return pieces.with_flat_values(tf.where(same, ids, self.unknown))

    def decode(self, ids):
        """int32 (B, T) or ragged -> tf.string (B,): characters side by side, words with one space between, <eos> "\\n".

        decode(encode(text)) is `text` if it has no token but the vocabulary's; at word level with every run of white
        space in a line made one space, none left at a line's beginning and end, and a "<eos>" that was written out
        made a line's end.
        """
        if self.level == "character":
            return tf.strings.reduce_join(tf.gather(self._strings(), ids), axis=-1)
        words = tf.gather(self._strings({EOS: "\n"}), ids)
        return tf.strings.regex_replace(tf.strings.reduce_join(words, axis=-1, separator=" "), " ?\n ?", "\n")

    def batch(self, raw):
        """Rows of `windows` -> (x, targets, weight).

        Args:
            raw: "tokens" int32 (B, T + 1), "start" bool (B,), "length" int32 (B,).

        Returns:
            x: {"tokens": int32 (B, T), "start": bool (B,): the state is to be put back to zero before}.
            targets: int32 (B, T), each the token after its input.
            weight: float32 (B, T), 1 for the first `length` targets, 0 for padding.
        """
        tokens = raw["tokens"]
        weight = tf.sequence_mask(raw["length"], tokens.shape[1] - 1, tf.float32)
        return {"tokens": tokens[:, :-1], "start": raw["start"]}, tokens[:, 1:], weight

    def config(self):
        return {"kind": "tokens", "level": self.level, "vocabulary": list(self.vocabulary)}

    @functools.cached_property
    def _hashes(self):
        """(hashes of the vocabulary int64 (V,), ascending; their ids int32 (V,))."""
        with tf.init_scope():  # once, and for any graph
            hashes = tf.strings.to_hash_bucket_fast(tf.constant(self.vocabulary), BUCKETS).numpy()
        if len(np.unique(hashes)) != len(hashes):
            raise ValueError("Tokens: two words of the vocabulary have one hash (a chance of 1 in 10**11).")
        return np.sort(hashes), np.argsort(hashes).astype(np.int32)

    @functools.cached_property
    def _ids(self):
        return {token: i for i, token in enumerate(self.vocabulary)}

    def _strings(self, instead=()):
        return tf.constant([dict(instead).get(token, token) for token in self.vocabulary])


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


def _words(text):
    """The words of a text in UTF-8, cut where `Tokens.encode` cuts."""
    return text.encode("utf-8", "replace").replace(b"\n", f" {EOS} ".encode()).split()


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
