"""What every feature has: the base class, with what holds where a kind says nothing."""

import os
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np

from keras_dl.errors import UserError
from keras_dl.imports import tensorflow as tf


class Source(NamedTuple):
    """What a value is read from.

    Attributes:
        content: the Path of a file, or a string: the words themselves.
        place: where it stands, for messages.
        name: the INPUT that it is of, as it was given.
    """

    content: object
    place: str
    name: str


class NoConfig(TypedDict):
    """The config of a feature that has nothing to say."""


class Feature:
    """A tensor that goes in or comes out.

    Attributes:
        kind: its row of features.KINDS.
        dtype: name of a TensorFlow dtype.
        shape: of a request's tensor. None is any; the first axis is the batch, and () is one number for the request.
        default: of a request's single number, None where it must be said.
        suffixes: of the files that `read` reads; () where no file feeds it.
        plural: what people call such files.
        naming: how they are named on a command line.
        by_line: a text file holds one a line, and every line keeps its place among the answers.
        position: of several inputs that one line feeds, which of its parts is this one's.
        at_once: how many `predict` puts into one request.
        follows: the value of the input that is fed decides it: `of(value)`, and of a batch of them `of_batch(array)`.
        written_as: suffixes of the files that `write` writes.
        unreadable: what is said of a file at which TensorFlow itself fails.
        CONFIG: the schema of config(), for records.check.
    """

    kind = "tensor"
    dtype = "float32"
    shape = (None,)
    default = None
    suffixes = ()
    plural = "files"
    naming = "one or more files"
    by_line = False
    position = 0
    at_once = 1
    follows = False
    written_as = ()
    unreadable = ""
    CONFIG = NoConfig

    @property
    def is_scalar(self):
        return self.shape == ()

    @property
    def is_fed(self):
        """Whether an INPUT of `predict` becomes it."""
        return bool(self.suffixes)

    def spec(self, name):
        """The tf.TensorSpec of the input of that name."""
        return tf.TensorSpec(self.shape, self.dtype, name)

    def config(self):
        """What a card says of it besides kind, dtype and shape: {name: JSON value}; from_config makes it again."""
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def check(self, name):
        """The Source of an INPUT, before TensorFlow is imported.

        Raises:
            UserError: there is no such file.
        """
        if os.path.exists(name) and not os.path.isfile(name):
            raise UserError(f"{name} is no regular file.")
        if not os.path.isfile(name):
            raise FileNotFoundError(name)
        return Source(Path(name), name, name)

    def read(self, source):
        """The value of a Source: what one example is.

        Raises:
            UserError: it cannot be read; one line that names it.
        """
        raise UserError(f"{source.place} cannot be read: nothing is known of files of kind {self.kind}.")

    def batch(self, values):
        """Values that `read` gave, as the array of a request."""
        return np.stack(values)

    def remarks(self, place, values):
        """Sentences on what was read that the user should know, such as what the model does not know of it.

        Args:
            place: where the values stand.
            values: list of what `read` gave.
        """
        return []

    def write(self, value, path, like=None):
        """Write a value, as a request or an answer has it, to a file.

        Args:
            value: without the batch's axis.
            path: its suffix is one of written_as.
            like: the value of the input that it answers, where it says how to write this one, such as a tempo.
        """
        raise UserError(f"--out: nothing is known of writing {self.kind} as {Path(path).suffix}.")

    def write_all(self, values, path, likes=None):
        """Write several: to `path`, or where there are several to <its name>-1<suffix> and so on.

        Args:
            values: a list.
            path: of the file.
            likes: of each value, what `write` takes as `like`.

        Returns:
            The paths.
        """
        path = Path(path)
        numbered = [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, 1 + len(values))]
        paths = [path] if len(values) == 1 else numbered
        for value, place, like in zip(values, paths, likes or [None] * len(values), strict=True):
            self.write(value, place, like)
        return paths

    def trim(self, value, answer):
        """A value without what fills a batch up.

        Args:
            value: of one row.
            answer: {output name: (its feature, value)} of that row.
        """
        return value

    def columns(self, name, value, answer):
        """{column: text} of a table for people.

        Args:
            name: of the output.
            value: plain lists, numbers and strings; None where there is no answer.
            answer: as of trim.
        """
        return {name: "" if value is None else self.show(value)}

    def cells(self, name, value):
        """{column: value} of a CSV file."""
        if not isinstance(value, list):
            return {name: value}
        return {f"{name}_{number}": inner for number, inner in enumerate(value, 1)}

    def show(self, value):
        """A value as a short text."""
        from keras_dl import tables

        return tables.few(value)

    def summary(self, tag, values, titles=()):
        """Write values to TensorBoard with tf.summary, within a writer's context.

        Args:
            tag: its name there, or the beginning of several names.
            values: as a request or an answer has them, without the batch's axis.
            titles: a line above each.
        """
        above = [f"{title}:  \n" for title in titles] or [""] * len(values)
        texts = [title + self.show(value) for title, value in zip(above, values, strict=True)]
        tf.summary.text(tag, "\n\n".join(texts))

    def example(self):
        """Values with which an export is tried: the array of a request of one or two examples, or the default."""
        if self.is_scalar:
            return np.asarray(self.default, tf.as_dtype(self.dtype).as_numpy_dtype)
        return np.zeros([1 if size is None else size for size in self.shape], tf.as_dtype(self.dtype).as_numpy_dtype)

    def in_python(self):
        """A Python expression of a request's tensor."""
        if self.is_scalar:
            return f"tf.constant({self.default!r}, tf.{self.dtype})"
        return f"tf.zeros({[1 if size is None else size for size in self.shape]}, tf.{self.dtype})"

    def in_rest(self):
        """The JSON value of one example in TensorFlow Serving's REST API; of a single number that number."""
        if self.is_scalar:
            return self.default
        return self.example()[0].tolist()

    def on_command_line(self):
        """What stands for it behind `predict EXPORT`, quoted."""
        return "FILE"
