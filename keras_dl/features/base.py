"""The base class of features, with the defaults for what a kind does not define."""

import os
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np

from keras_dl import markdown
from keras_dl.errors import UserError
from keras_dl.imports import tensorflow as tf


class Source(NamedTuple):
    """Where a value is read from.

    Attributes:
        content: the Path of a file, or a string: the text itself (a tuple of strings if a line feeds several inputs).
        place: where the content is, for messages, such as "line 3 of a.txt".
        name: the INPUT of `predict` to which it belongs, as the user wrote it.
    """

    content: object
    place: str
    name: str


class NoConfig(TypedDict):
    """The config of a feature without settings."""


class Feature:
    """An input or output tensor of an endpoint.

    Attributes:
        kind: its key in features.KINDS.
        dtype: name of a TensorFlow dtype.
        shape: shape of the tensor in a request. None is any size; the first axis is the batch. () is a single number
            for the whole request.
        default: the default of a single number; None if it has none and must be given.
        suffixes: suffixes of the files that `read` reads; () if it is not read from files.
        plural: what such files are called in messages, such as "pictures".
        naming: how inputs are given on a command line, to be read after "name".
        by_line: whether every line of a text file is a value of its own; answers keep the order of the lines.
        position: which part of a line is this input, if one line feeds several inputs.
        at_once: how many values `predict` puts into one request.
        counted: what the examples of a data set of this kind are called, such as "pictures".
        follows: whether the value is computed from the input that is read from files: `of(value)` for one value,
            `of_batch(array)` for a batch.
        summarised: whether `show` only says what a value is like, such as the size of a picture.
        written_as: suffixes of the files that `write` writes.
        unreadable: the message about a file on which TensorFlow itself fails.
        CONFIG: the schema of config(), for json_files.check.
    """

    kind = "tensor"
    dtype = "float32"
    shape = (None,)
    default = None
    suffixes = ()
    plural = "files"
    counted = "examples"
    naming = "one or more files"
    by_line = False
    position = 0
    at_once = 1
    follows = False
    summarised = False
    written_as = ()
    unreadable = ""
    CONFIG = NoConfig

    @property
    def is_scalar(self):
        return self.shape == ()

    @property
    def is_fed(self):
        """Whether its values are the INPUTs of `predict`."""
        return bool(self.suffixes)

    def spec(self, name):
        """The tf.TensorSpec of an input called `name`."""
        return tf.TensorSpec(self.shape, self.dtype, name)

    def config(self):
        """Its settings besides kind, dtype and shape, for the card: {name: JSON value}; from_config is the inverse."""
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def check(self, name):
        """The Source of an INPUT of `predict`; called before TensorFlow is imported.

        Raises:
            UserError: it is no regular file, or no valid text.
            FileNotFoundError: there is no such file.
        """
        if os.path.exists(name) and not os.path.isfile(name):
            raise UserError(f"{name} is no regular file.")
        if not os.path.isfile(name):
            raise FileNotFoundError(name)
        return Source(Path(name), name, name)

    def read(self, source):
        """Read the value of one example from a Source.

        Raises:
            UserError: it cannot be read; one line that names the source.
        """
        raise UserError(f"{source.place} cannot be read: nothing is known of files of kind {self.kind}.")

    def batch(self, values):
        """Stack values as returned by `read` into the array of a request."""
        return np.stack(values)

    def remarks(self, place, values):
        """Sentences about the values that the user should know, such as which characters the model does not know.

        Args:
            place: where the values were read from.
            values: list of values as returned by `read`.
        """
        return []

    def write(self, value, path, like=None):
        """Write a value of a request or an answer to a file.

        Args:
            value: one value, without the batch axis.
            path: a path with one of the suffixes in written_as.
            like: the input value to which this is the answer, if that has settings for writing, such as a tempo.
        """
        raise UserError(f"--out: nothing is known of writing {self.kind} as {Path(path).suffix}.")

    def write_all(self, values, path, likes=None):
        """Write a single value to `path`, or several to <stem>-1<suffix>, <stem>-2<suffix> and so on.

        Args:
            values: list of values.
            path: path of the file.
            likes: list of the `like` of each value, as for `write`.

        Returns:
            The list of paths.
        """
        path = Path(path)
        numbered = [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, 1 + len(values))]
        paths = [path] if len(values) == 1 else numbered
        for value, place, like in zip(values, paths, likes or [None] * len(values), strict=True):
            self.write(value, place, like)
        return paths

    def trim(self, value, answer):
        """A value without the padding of its batch.

        Args:
            value: the value of one row.
            answer: {output name: (its feature, value)} of the whole row.
        """
        return value

    def columns(self, name, value, answer):
        """{column: text} for the table on the terminal.

        Args:
            name: name of the output.
            value: plain lists, numbers and strings; None if there is no answer.
            answer: as for trim.
        """
        return {name: "" if value is None else self.show(value)}

    def cells(self, name, value):
        """{column: value} for a CSV file."""
        if not isinstance(value, list):
            return {name: value}
        return {f"{name}_{number}": inner for number, inner in enumerate(value, 1)}

    def show(self, value):
        """A value as a short text."""
        from keras_dl import tables

        return tables.few(value)

    def pictures(self, values, titles=()):
        """Values as pictures, for a report and for TensorBoard.

        Args:
            values: values of a request or an answer, without the batch axis.
            titles: a heading for each value.

        Returns:
            A list of (caption, bytes of a PNG), not necessarily one for each value; [] if the kind has no pictures: it
            is then shown as text.
        """
        return []

    def summary(self, tag, values, titles=()):
        """Write values to TensorBoard with tf.summary, within a writer's context: as pictures, else as text.

        Args:
            tag: the name on TensorBoard, or the prefix of several names.
            values: values of a request or an answer, without the batch axis.
            titles: a heading for each value.
        """
        pictures = self.pictures(values, titles)
        for number, (_, png) in enumerate(pictures, 1):
            name = tag if len(pictures) == 1 else f"{tag}/{number}"
            tf.summary.image(name, tf.io.decode_png(png, channels=3)[None])
        if pictures:
            return
        texts = [self.show(value) for value in values]
        tf.summary.text(tag, markdown.table(titles, [texts]) if titles else "\n\n".join(map(markdown.escaped, texts)))

    def example(self):
        """The array with which an export is tested: a request of one or two examples, or a single number's default."""
        if self.is_scalar:
            return np.asarray(self.default, tf.as_dtype(self.dtype).as_numpy_dtype)
        return np.zeros([1 if size is None else size for size in self.shape], tf.as_dtype(self.dtype).as_numpy_dtype)

    def in_python(self):
        """A Python expression for a request's tensor, for the card."""
        if self.is_scalar:
            return f"tf.constant({self.default!r}, tf.{self.dtype})"
        return f"tf.zeros({[1 if size is None else size for size in self.shape]}, tf.{self.dtype})"

    def not_for(self, data):
        """Sentences for the card: for what a model with this input or output is not fit.

        Args:
            data: name of the data set that it was trained on.
        """
        return []

    def in_numpy(self, name):
        """Lines of Python with NumPy that define a request's array called `name`, for files of other formats."""
        return [f"{name} = np.zeros({[1 if size is None else size for size in self.shape]}, np.{self.dtype})"]

    def from_numpy(self, name):
        """Lines of Python that show this output of a file of another format; there are `answer` and `about`."""
        return [f'print(answer["{name}"])']

    def in_rest(self):
        """The JSON value of one example (or of a single number) in TensorFlow Serving's REST API."""
        if self.is_scalar:
            return self.default
        return self.example()[0].tolist()

    def on_command_line(self):
        """Its placeholder after `predict EXPORT` on a command line, quoted."""
        return "FILE"
