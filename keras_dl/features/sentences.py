"""Sentences to be translated and their translations, the sub-words of both, and which of them belong together."""

import dataclasses
from typing import NotRequired, TypedDict

import numpy as np

from keras_dl.atomic import write_atomic
from keras_dl.features.base import Feature
from keras_dl.features.subwords import SPECIAL, UNK, Subwords
from keras_dl.features.text import Text
from keras_dl.figures import figure_of, png
from keras_dl.imports import tensorflow as tf

SIDE_BY_SIDE = 4  # matrices of an alignment in a row of a figure


class SentenceConfig(TypedDict):
    pieces: NotRequired[list[str]]


@dataclasses.dataclass(frozen=True)
class Sentence(Text):
    """Sentences: strings (B,). Of a text file, standard input or words every line is one.

    Attributes:
        subwords: by which it is said what a model does not know; None for any sentence.
        examples: strings with which an export is tried.
    """

    tokens: None = None
    examples: tuple = dataclasses.field(default=("a sentence",), compare=False, repr=False)
    subwords: Subwords | None = None

    kind = "sentence"
    plural = "sentences"
    naming = "one or more, or files of one a line, or - for standard input"
    by_line = True
    at_once = 64
    PLACEHOLDER = "a sentence"
    CONFIG = SentenceConfig

    def config(self):
        return {} if self.subwords is None else {"pieces": list(self.subwords.pieces)}

    @classmethod
    def from_config(cls, config):
        return cls(subwords=Subwords(tuple(config["pieces"])) if config else None)

    def remarks(self, place, values):
        """What of the sentences is no piece."""
        from keras_dl.features import unknown

        counts = {} if self.subwords is None else self.subwords.unknowns("\n".join(values))
        return [unknown.sentence(place, counts, "character", SPECIAL[UNK])] if counts else []

    def write_all(self, values, path, likes=None):
        """All of them into one file, a sentence a line; what was not answered is an empty line."""
        text = "".join(f"{value}\n" for value in values)
        write_atomic(path, text.encode("utf-8", "backslashreplace").decode())
        return [path]


class TargetSentence(Sentence):
    """Translations: strings (B,). With a sentence they stand on one line, a tab between the two."""

    kind = "sentence_target"
    position = 1
    PLACEHOLDER = "its translation"


class SourceTokens(Feature):
    """The sub-words of a sentence, its end among them: strings (B, S), "" behind it."""

    kind = "source_tokens"
    dtype = "string"
    shape = (None, None)

    def trim(self, value, answer):
        return [token for token in value if token != ""]


class TargetTokens(SourceTokens):
    """The sub-words of a translation, its end among them: strings (B, T), "" behind it."""

    kind = "target_tokens"


class Alignment(Feature):
    """How much each sub-word of a translation goes with each of its source: float32 (B, T, S)."""

    kind = "alignment"
    shape = (None, None, None)

    def trim(self, value, answer):
        """The rows and columns that belong to tokens."""
        counts = {
            feature.kind: len(feature.trim(tokens, answer))
            for feature, tokens in answer.values()
            if isinstance(feature, SourceTokens)
        }
        rows, columns = counts.get("target_tokens"), counts.get("source_tokens")
        return [weights[:columns] for weights in value[:rows]]


def alignment_figure(weights, source, target, titles=()):
    """Draw where each target token looks (Bahdanau et al., arXiv:1409.0473, figure 3): light is much.

    Args:
        weights: (T, S), or (n, T, S) drawn side by side, such as a Transformer's heads.
        source, target: S and T strings.
        titles: n lines.
    """
    weights = np.asarray(weights)
    weights = weights.reshape(-1, *weights.shape[-2:])
    columns = min(SIDE_BY_SIDE, len(weights))
    rows = -(-len(weights) // columns)
    width = 1.2 + 0.24 * len(source) if columns > 1 else 2 + 0.3 * len(source)
    figure = figure_of(columns * width, rows * (1.2 + 0.24 * len(target)))
    for number, matrix in enumerate(weights, 1):
        title = titles[number - 1] if titles else None
        axes = figure.add_subplot(rows, columns, number, title=title)
        axes.imshow(matrix, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_xticks(range(len(source)), source, rotation=90)
        axes.set_yticks(range(len(target)), target)
        axes.xaxis.tick_top()
    return figure


def alignment_summary(tag, weights, source, target, titles=()):
    """The figure on TensorBoard."""
    figure = alignment_figure(weights, source, target, titles)
    tf.summary.image(tag, tf.io.decode_png(png(figure), channels=3)[None])
