"""Characters or words: text <-> ids of a vocabulary, in the input pipeline and inside the export."""

import collections
import dataclasses
import functools

import numpy as np

from keras_dl.imports import tensorflow as tf

LEVELS = ("character", "word")
UNKNOWN = {"character": "\ufffd", "word": "<unk>"}
EOS = "<eos>"  # the word for the end of a line
BUCKETS = 2**63 - 1


@dataclasses.dataclass(frozen=True)
class Tokens:
    """The pre-processing of texts, in the input pipeline and inside the export: text <-> ids.

    It consists of plain operations, without resources such as lookup tables.

    Attributes:
        level: "character"; or "word": strings between white space (the six characters of ASCII), and <eos> for the end
            of a line.
        vocabulary: tokens by id, each once, including the token for unknown ones: U+FFFD, or <unk> at word level.

    Raises:
        ValueError: unknown level, repeated token, or no token for unknown ones.
    """

    level: str
    vocabulary: tuple
    resources = ()  # an export has nothing to track

    def __post_init__(self):
        if self.level not in LEVELS:
            raise ValueError(f"Tokens: level must be one of {', '.join(LEVELS)}; got {self.level!r}.")
        if UNKNOWN[self.level] not in self.vocabulary or len(set(self.vocabulary)) != len(self.vocabulary):
            raise ValueError(f"Tokens: the vocabulary must have {UNKNOWN[self.level]!r}, and every token once.")

    @classmethod
    def of(cls, text, level, vocabulary_size=None):
        """The Tokens with the vocabulary of `text`, the training split only.

        Characters: U+FFFD, then all characters by code point. Words: the `vocabulary_size` most frequent, always
        including <unk> and <eos>, by descending frequency, then alphabetically; the count of <unk> is that of all words
        that it replaces.
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
        """The id of tokens that are not in the vocabulary."""
        return self.vocabulary.index(UNKNOWN[self.level])

    @property
    def line_end(self):
        """The id of the token at the end of a line; None if the vocabulary does not have it."""
        end = EOS if self.level == "word" else "\n"
        return self.vocabulary.index(end) if end in self.vocabulary else None

    def unknowns(self, text):
        """{token of `text` that is not in the vocabulary: number of occurrences}.

        The replacement character U+FFFD, which marks characters lost in an earlier conversion, counts as unknown.
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
            pieces = tf.strings.unicode_split(texts, "UTF-8")  # bytes that are not UTF-8 become U+FFFD
        strings, hashes = pieces.flat_values, self._hashes
        at = tf.searchsorted(hashes[0], tf.strings.to_hash_bucket_fast(strings, BUCKETS))
        ids = tf.gather(hashes[1], tf.minimum(at, len(self.vocabulary) - 1))
        same = tf.equal(tf.gather(self._strings(), ids), strings)  # not only the same hash
        return pieces.with_flat_values(tf.where(same, ids, self.unknown))

    def decode(self, ids):
        """int32 (B, T) or ragged -> tf.string (B,): characters, or words joined by one space, with <eos> as "\\n".

        decode(encode(text)) is `text` if all its tokens are in the vocabulary. At word level, however, every run of
        white space within a line becomes one space, white space at a line's beginning and end is removed, and a
        literal "<eos>" becomes a line end.
        """
        if self.level == "character":
            return tf.strings.reduce_join(tf.gather(self._strings(), ids), axis=-1)
        words = tf.gather(self._strings({EOS: "\n"}), ids)
        return tf.strings.regex_replace(tf.strings.reduce_join(words, axis=-1, separator=" "), " ?\n ?", "\n")

    def batch(self, raw):
        """A raw batch of data.text.windows -> (x, targets, weight).

        Args:
            raw: "tokens" int32 (B, T + 1), "start" bool (B,), "length" int32 (B,).

        Returns:
            x: {"tokens": int32 (B, T), "start": bool (B,): whether to reset the state to zero first}.
            targets: int32 (B, T), the token after each input token.
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
        with tf.init_scope():  # computed once, outside of any graph
            hashes = tf.strings.to_hash_bucket_fast(tf.constant(self.vocabulary), BUCKETS).numpy()
        if len(np.unique(hashes)) != len(hashes):
            raise ValueError("Tokens: two words of the vocabulary have one hash (a chance of 1 in 10**11).")
        return np.sort(hashes), np.argsort(hashes).astype(np.int32)

    @functools.cached_property
    def _ids(self):
        return {token: i for i, token in enumerate(self.vocabulary)}

    def _strings(self, instead=()):
        return tf.constant([dict(instead).get(token, token) for token in self.vocabulary])


def _words(text):
    """The words of a text as UTF-8 bytes, split as in `Tokens.encode`."""
    return text.encode("utf-8", "replace").replace(b"\n", f" {EOS} ".encode()).split()
