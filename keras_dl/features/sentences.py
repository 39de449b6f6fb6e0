"""Sentences and their translations, the sub-words of both, and the alignment between them."""

import dataclasses
from typing import NotRequired, TypedDict

import numpy as np

from keras_dl.atomic import write_atomic
from keras_dl.features.base import Feature
from keras_dl.features.subwords import SPECIAL, UNK, Subwords
from keras_dl.features.text import Text
from keras_dl.figures import figure_of, plain, png
from keras_dl.imports import tensorflow as tf

SIDE_BY_SIDE = 4  # alignment matrices per row of a figure
CELL = 0.17  # inches of a figure for each token


class SentenceConfig(TypedDict):
    pieces: NotRequired[list[str]]


@dataclasses.dataclass(frozen=True)
class Sentence(Text):
    """Sentences: strings (B,). Every line of a text file, of standard input or of given words is a sentence.

    Attributes:
        subwords: the vocabulary, to warn of characters that the model does not know; None: no warnings.
        examples: strings with which an export is tested.
    """

    tokens: None = None
    examples: tuple = dataclasses.field(default=("a sentence",), compare=False, repr=False)
    subwords: Subwords | None = None

    kind = "sentence"
    plural = "sentences"
    counted = "pairs"
    naming = "one or more, or files with one per line, or - for standard input"
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
        """A sentence on the characters that the vocabulary does not have."""
        from keras_dl.features import unknown

        counts = {} if self.subwords is None else self.subwords.unknowns("\n".join(values))
        return [unknown.sentence(place, counts, "character", SPECIAL[UNK])] if counts else []

    def not_for(self, data):
        return [f"sentences of other languages, subjects or styles than {data}; each is translated without its context"]

    def write_all(self, values, path, likes=None):
        """Write all of them into one file, one sentence per line; a missing answer is an empty line."""
        text = "".join(f"{value}\n" for value in values)
        write_atomic(path, text.encode("utf-8", "backslashreplace").decode())
        return [path]


class TargetSentence(Sentence):
    """Translations: strings (B,). Sentence and translation are on one line, separated by a tab."""

    kind = "sentence_target"
    position = 1
    PLACEHOLDER = "its translation"


class SourceTokens(Feature):
    """The sub-words of a sentence and its end token: strings (B, S), "" after that."""

    kind = "source_tokens"
    dtype = "string"
    shape = (None, None)

    def trim(self, value, answer):
        return [token for token in value if token != ""]


class TargetTokens(SourceTokens):
    """The sub-words of a translation and its end token: strings (B, T), "" after that."""

    kind = "target_tokens"


class Alignment(Feature):
    """The attention weight of each sub-word of a translation on each sub-word of its source: float32 (B, T, S)."""

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

    def pictures(self, values, titles=()):
        """A picture of each alignment; a value is a dict of the arguments of alignment_figure."""
        titles = titles or ["alignment"] * len(values)
        return [(title, png(alignment_figure(**value))) for title, value in zip(titles, values, strict=True)]


def alignment_figure(weights, source, target, titles=()):
    """Draw the attention weights of each target token (Bahdanau et al., arXiv:1409.0473, figure 3): white is 1.

    Args:
        weights: (T, S), or (n, T, S) drawn side by side, such as a Transformer's heads.
        source, target: S and T strings.
        titles: n titles.
    """
    weights = np.asarray(weights)
    weights = weights.reshape(-1, *weights.shape[-2:])
    columns = min(SIDE_BY_SIDE, len(weights))
    rows = -(-len(weights) // columns)
    # Inches for names and title, and for each token: names are legible also where TensorBoard shows it at 330 pixels.
    figure = figure_of(columns * max(3.4, 1.1 + CELL * len(source)), rows * max(2.2, 1.4 + CELL * len(target)))
    figure.get_layout_engine().set(h_pad=0.1)  # inches; with less, titles above many squares are cut off
    sources, targets = list(map(plain, source)), list(map(plain, target))
    for number, matrix in enumerate(weights, 1):
        axes = figure.add_subplot(rows, columns, number)
        axes.set_title(titles[number - 1] if titles else "", fontsize=10)
        axes.imshow(matrix, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_xticks(range(len(sources)), sources, rotation=90, fontsize=8)
        axes.set_yticks(range(len(targets)), targets, fontsize=8)
        axes.xaxis.tick_top()
    return figure


def alignment_summary(tag, weights, source, target, titles=()):
    """Write a picture of each matrix to TensorBoard, as "<tag>/<its number>"; arguments as for alignment_figure."""
    weights = np.asarray(weights)
    weights = weights.reshape(-1, *weights.shape[-2:])
    for number, matrix in enumerate(weights, 1):
        figure = alignment_figure(matrix, source, target, titles[number - 1 : number])
        name = tag if len(weights) == 1 else f"{tag}/{number}"
        tf.summary.image(name, tf.io.decode_png(png(figure), channels=3)[None])
