"""Sub-words: text <-> ids of pieces, into which byte pair encoding merges characters.

Source: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units" (arXiv:1508.07909), in the form
of SentencePiece (Kudo and Richardson, arXiv:1808.06226), which learns the pieces: a word begins with U+2581, and two
neighbours merge if their concatenation is a piece, whichever merge created that piece during learning. SentencePiece's
own encoder returns the same ids.

Deviations: only white space is normalised (ASCII's, and U+2581 itself). Shapes: B texts, S and T sub-words of a source
and a target, V pieces.
"""

import dataclasses
import functools
import io
import re

import numpy as np

from keras_dl.errors import UserError
from keras_dl.extras import needs
from keras_dl.imports import tensorflow as tf
from keras_dl.wording import counted

PAD, BOS, EOS, UNK = range(4)
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
WORD = "\u2581"  # marks the beginning of a word
UNKNOWN = "\ufffd"  # how an unknown character is decoded
UNLEARNT = "\0\u2585"  # SentencePiece drops the first, and every line that contains the second
NONE = np.iinfo(np.int64).max  # the rank of a pair that does not merge; in `before`, a symbol that was merged away


@dataclasses.dataclass(frozen=True)
class Subwords:
    """The pre-processing of sentence pairs, in the input pipeline and inside the export: text <-> ids.

    It consists of plain operations, without resources such as lookup tables.

    >>> subwords = Subwords((*SPECIAL, "lo", "\u2581lo", "\u2581", "l", "o", "w"))
    >>> subwords.encode(["low  wol", "slow"]).to_list()
    [[5, 9, 6, 9, 8, 7], [6, 3, 4, 9]]
    >>> subwords.decode([[5, 9, 6, 9, 8, 7], [6, 3, 4, 9, 2, 9]]).numpy().tolist()
    [b'low wol', b'\\xef\\xbf\\xbdlow']

    Attributes:
        pieces: strings by id: the four special tokens, then pieces of several characters in the order in which they
            merge, then single characters.

    Raises:
        ValueError: the special tokens are not first, another piece is empty or repeated, or U+2581 is missing.
    """

    pieces: tuple
    resources = ()  # an export has nothing to track

    def __post_init__(self):
        own = self.pieces[len(SPECIAL) :]
        if self.pieces[: len(SPECIAL)] != SPECIAL or len(set(own)) != len(own) or "" in own or WORD not in own:
            raise ValueError(
                f"Subwords: pieces must begin with {', '.join(SPECIAL)}; the others must be unique and include U+2581."
            )

    @classmethod
    def learn(cls, texts, vocabulary_size):
        """Learn Subwords from the sentences of the training split.

        Args:
            texts: iterable of strings or bytes, one per sentence. U+0000 and U+2585, which SentencePiece cannot learn,
                count as white space.
            vocabulary_size: the largest V; a small text has fewer pieces.

        Raises:
            UserError: SentencePiece is not installed, the texts are empty, or they have more different characters than
                `vocabulary_size` allows.
        """
        processor = _learnt(texts, vocabulary_size)
        own = [processor.id_to_piece(i) for i in range(len(SPECIAL), processor.get_piece_size())]
        return cls((*SPECIAL, *own))

    def unknowns(self, text):
        """{character of `text` that is no piece: number of occurrences}, without white space."""
        known = {piece for piece in self._own.values() if len(piece) == 1}
        return {character: text.count(character) for character in set(normalised(text)) - known - {" "}}

    def encode(self, texts):
        """tf.string (B,), UTF-8 -> tf.RaggedTensor int32 (B, None), without special tokens but <unk>.

        A run of unknown characters (among them bytes that are not UTF-8) becomes a single <unk>.
        """
        texts = tf.convert_to_tensor(texts, tf.string)
        words = tf.strings.split(tf.strings.regex_replace(texts, WORD, " "))  # at runs of ASCII's white space
        unique, which = tf.unique(words.flat_values)
        points = tf.strings.unicode_decode(tf.strings.join([WORD, unique]), "UTF-8")
        ids_of_words = tf.gather(self._merged(self._characters(points)), which)  # (words, None)
        return words.with_flat_values(ids_of_words).merge_dims(1, 2)

    def decode(self, ids):
        """int32 (B, T) or ragged -> tf.string (B,): up to the first </s>; <pad> and <s> are left out, <unk> is U+FFFD.

        If all characters of `text` are pieces, decode(encode(text)) is `text` with every run of white space made one
        space, and none at the ends.
        """
        ids = _dense(ids) if isinstance(ids, tf.RaggedTensor) else tf.convert_to_tensor(ids)
        ended = tf.cumsum(tf.cast(tf.equal(ids, EOS), tf.int32), 1) > 0
        silent = ["", "", "", UNKNOWN, *self.pieces[len(SPECIAL) :]]
        joined = tf.strings.reduce_join(tf.where(ended, "", tf.gather(tf.constant(silent), ids)), -1)
        return tf.strings.strip(tf.strings.regex_replace(joined, f"{WORD}+", " "))

    def strings(self, ids):
        """Ids, int32 of any shape -> their pieces, for display: tf.string of the same shape."""
        return tf.gather(tf.constant(self.pieces), ids)

    def sources(self, texts):
        """tf.string (B,) -> int32 (B, S): sub-words, </s>, then padding."""
        return _dense(_ended(self.encode(texts)))

    def targets(self, texts):
        """tf.string (B,) -> (x (B, T): <s>, sub-words, padding; y (B, T), w (B, T) as in `batch`)."""
        return _teacher_forced(self.encode(texts))

    def batch(self, raw):
        """Sentence pairs -> (x, y, w).

        Args:
            raw: {"source", "target"}: tf.RaggedTensor int32 (B, None), results of `encode`; other keys are ignored.

        Returns:
            x: {"source": int32 (B, S): sub-words, </s>, padding; "target": int32 (B, T): <s>, sub-words, padding}.
            y: int32 (B, T): the token after each token of x["target"]: sub-words, </s>, padding.
            w: float32 (B, T), 1 for sub-words and </s>, 0 for padding.
        """
        before, after, weight = _teacher_forced(raw["target"])
        return {"source": _dense(_ended(raw["source"])), "target": before}, after, weight

    def config(self):
        return {"kind": "subwords", "pieces": list(self.pieces)}

    def _characters(self, points):
        """Code points, ragged (W, None) -> ids, ragged int32 (W, None); a run of unknown ones becomes one <unk>."""
        known, ids = self._alphabet
        flat = points.flat_values
        at = tf.minimum(tf.searchsorted(known, flat), len(known) - 1)
        piece_ids = tf.where(tf.equal(tf.gather(known, at), flat), tf.gather(ids, at), UNK)
        rows = points.value_rowids()
        before = tf.concat([[PAD], piece_ids[:-1]], 0)  # of no effect on the first of a word, U+2581, a piece
        keep = tf.logical_or(tf.not_equal(piece_ids, UNK), tf.not_equal(before, UNK))
        return tf.RaggedTensor.from_value_rowids(piece_ids[keep], rows[keep], points.nrows())

    def _merged(self, characters):
        """Ids of words' characters, ragged (W, None) -> ids of their pieces, ragged int32 (W, None).

        All words are processed in parallel: each step of the loop merges, in every word, the pair of the best rank (the
        leftmost if several are equal). The N symbols form a doubly linked list; symbol N, which is no piece, is the
        neighbour before the first and after the last symbol of every word.
        """
        keys, wholes = map(tf.constant, self._pairs)
        nothing, size = len(self.pieces), tf.size(characters.flat_values, tf.int64)
        ids = tf.concat([tf.cast(characters.flat_values, tf.int64), [nothing]], 0)
        word = tf.concat([characters.value_rowids(), [characters.nrows()]], 0)
        here = tf.range(size + 1)
        after = tf.concat([tf.where(tf.equal(word[1:], word[:-1]), here[1:], size), [size]], 0)
        before = tf.tensor_scatter_nd_update(tf.fill([size + 1], size), after[:, None], here)

        def rank(at, left, right):
            """The rank of a pair, the lowest of which merges first: its piece and place as one number, or NONE."""
            key = left * (nothing + 1) + right
            slot = tf.minimum(tf.searchsorted(keys, key), len(self._pairs[0]) - 1)
            whole = tf.gather(wholes, slot)
            return tf.where(tf.equal(tf.gather(keys, slot), key), whole * (size + 1) + at, NONE)

        def step(ids, after, before, ranks):
            best = tf.math.segment_min(ranks, word)
            best = best[best < NONE]
            at, whole = best % (size + 1), best // (size + 1)
            gone, left = tf.gather(after, at), tf.gather(before, at)
            right, none = tf.gather(after, gone), tf.fill(tf.shape(at), NONE)
            a, b = tf.gather(ids, left), tf.gather(ids, right)
            new = rank(tf.concat([left, at], 0), tf.concat([a, whole], 0), tf.concat([whole, b], 0))
            return (
                tf.tensor_scatter_nd_update(ids, at[:, None], whole),
                tf.tensor_scatter_nd_update(after, at[:, None], right),
                _put(before, [right, gone], [at, none]),  # `before` is NONE for symbols that were merged away
                _put(ranks, [gone, left, at], [none, new]),
            )

        with tf.device("CPU"):  # many small steps
            ranks = rank(here, ids, tf.gather(ids, after))
            ids, _, before, _ = tf.while_loop(
                lambda ids, after, before, ranks: tf.reduce_min(ranks) < NONE, step, (ids, after, before, ranks)
            )
        stays = tf.not_equal(before[:-1], NONE)
        return tf.RaggedTensor.from_value_rowids(
            tf.cast(ids[:-1][stays], tf.int32), word[:-1][stays], characters.nrows()
        )

    @functools.cached_property
    def _alphabet(self):
        """(code points of the single characters int32 (C,), ascending; their ids int32 (C,))."""
        single = {ord(piece): i for i, piece in self._own.items() if len(piece) == 1}
        points = np.array(sorted(single), np.int32)
        return points, np.array([single.get(point, UNK) for point in points.tolist()], np.int32)

    @functools.cached_property
    def _pairs(self):
        """All pairs of pieces whose concatenation is a piece.

        Returns:
            (left id * (V + 1) + right id, int64 (P,), ascending; id of the concatenation, int64 (P,)).
        """
        ids = {piece: i for i, piece in self._own.items()}
        cuts = ((piece[:k], piece[k:], whole) for piece, whole in ids.items() for k in range(1, len(piece)))
        pairs = sorted((ids[a] * (len(self.pieces) + 1) + ids[b], i) for a, b, i in cuts if a in ids and b in ids)
        keys, wholes = zip(*(pairs or [(-1, -1)]), strict=True)
        return np.array(keys, np.int64), np.array(wholes, np.int64)

    @property
    def _own(self):
        """{id: piece} without the special tokens, which are no text."""
        return dict(enumerate(self.pieces[len(SPECIAL) :], len(SPECIAL)))


def _put(values, places, new):
    return tf.tensor_scatter_nd_update(values, tf.concat(places, 0)[:, None], tf.concat(new, 0))


def _learnt(texts, vocabulary_size):
    """A SentencePiece processor, trained on the texts."""
    sentencepiece = needs("sentencepiece", "translation", "pairs.load: sub-words")
    texts = [normalised(text, UNLEARNT) for text in texts]
    characters = set().union(*texts) - {" "}
    if not characters:
        raise UserError("pairs.load: there must be text to learn sub-words from; got none.")
    least = len(SPECIAL) + 1 + len(characters)
    if vocabulary_size < least:
        raise UserError(
            f"pairs.load: vocabulary_size must be at least {least} ({len(SPECIAL)} special tokens, the begin of a word "
            f"and the text's {counted(len(characters), 'characters')}); got {vocabulary_size}."
        )
    model = io.BytesIO()
    # SentencePiece does not learn from a word with one of these names, so they must be ones that no text has.
    names = {f"{name}_piece": f"a{WORD}{name}" for name in ("pad", "bos", "eos", "unk")}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="bpe",
        vocab_size=vocabulary_size,
        hard_vocab_limit=False,  # fewer pieces if nothing is left to merge
        pad_id=PAD,
        bos_id=BOS,
        eos_id=EOS,
        unk_id=UNK,
        **names,
        normalization_rule_name="identity",
        character_coverage=1.0,
        split_digits=True,
        max_sentence_length=2**30,
        num_threads=1,
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def normalised(text, also=""):
    """Make every run of white space one space, with none at the ends, as `encode` does."""
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    return re.sub(f"[ \t\n\v\f\r{WORD}{also}]+", " ", text).strip(" ")


def _ended(ids):
    return tf.concat([ids, tf.fill([tf.cast(ids.nrows(), tf.int32), 1], EOS)], 1)


def _teacher_forced(ids):
    """Ragged (B, None) -> (before, after, weight), (B, T) each."""
    first = tf.fill([tf.cast(ids.nrows(), tf.int32), 1], BOS)
    weight = tf.sequence_mask(ids.row_lengths() + 1, dtype=tf.float32)
    return _dense(tf.concat([first, ids], 1)), _dense(_ended(ids)), weight


def _dense(ids):
    return ids.to_tensor(PAD)
