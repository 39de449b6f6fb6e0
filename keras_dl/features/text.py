"""Texts: the inputs and outputs of language models."""

import dataclasses
import json
from pathlib import Path
from typing import Literal, NotRequired, TypedDict

import numpy as np

from keras_dl.atomic import write_atomic
from keras_dl.features import words
from keras_dl.features.base import Feature
from keras_dl.features.tokens import Tokens


class TextConfig(TypedDict):
    level: NotRequired[Literal["character", "word"]]
    vocabulary: NotRequired[list[str]]


@dataclasses.dataclass(frozen=True)
class Text(Feature):
    """Texts: strings (B,). A whole text file, standard input or given words are one text.

    Attributes:
        tokens: the vocabulary, to warn of tokens that the model does not know; None: no warnings.
        examples: strings with which an export is tested.
    """

    tokens: Tokens | None = None
    examples: tuple = dataclasses.field(default=("some text", "text"), compare=False, repr=False)

    kind = "text"
    dtype = "string"
    suffixes = (".txt",)
    plural = "texts"
    counted = "tokens"
    naming = "one or more, or files, or - for standard input"
    written_as = (".txt",)
    PLACEHOLDER = "some text"
    CONFIG = TextConfig

    def config(self):
        return {} if self.tokens is None else {"level": self.tokens.level, "vocabulary": list(self.tokens.vocabulary)}

    @classmethod
    def from_config(cls, config):
        return cls(Tokens(config["level"], tuple(config["vocabulary"])) if config else None)

    def check(self, name):
        return words.one_text(name)

    def read(self, source):
        return source.content

    def batch(self, values):
        return np.array([value.encode() for value in values], object)

    def remarks(self, place, values):
        """A sentence on the tokens that are not in the vocabulary."""
        from keras_dl.features import unknown

        if self.tokens is None:
            return []
        counts = self.tokens.unknowns("\n".join(values))
        read_as = self.tokens.vocabulary[self.tokens.unknown]
        return [unknown.sentence(place, counts, self.tokens.level, read_as)] if counts else []

    def write(self, value, path, like=None):
        write_atomic(Path(path), _printable(value))

    def show(self, value):
        return value if isinstance(value, str) else super().show(value)

    def example(self):
        return np.array([text.encode() for text in self.examples], object)

    def not_for(self, data):
        if self.tokens is None:
            return []
        level, size = self.tokens.level, len(self.tokens.vocabulary)
        return [
            f"texts of another language, subject, style or period than {data}; it knows {size:,} {level}s, and "
            "all others are unknown to it",
            "facts: it says what is likely to stand in such a text, not what is true",
        ]

    def in_python(self):
        return f"tf.constant([{json.dumps(self.PLACEHOLDER)}])"

    def in_rest(self):
        return self.PLACEHOLDER

    def on_command_line(self):
        return f'"{self.PLACEHOLDER}"'


class Texts(Feature):
    """Several texts for each row, best first: strings (B, R)."""

    kind = "texts"
    dtype = "string"
    shape = (None, None)


def _printable(text):
    return text.encode("utf-8", "backslashreplace").decode()
