"""Endpoints: what a served model can be asked, as TensorFlow functions from named tensors to named tensors.

A kind of task has one file, with a function that returns {name: Endpoint}, "serving_default" first. What an input or
output is called and means (its kind) goes into the card; `python -m keras_dl predict` goes by it.
"""

import dataclasses
from collections.abc import Callable

from keras_dl.runtime import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """One signature of an export.

    Attributes:
        function: called with the inputs by name, returns {output name: tensor}.
        inputs: named tf.TensorSpecs, the batch axis None.
        kinds: {name: kind} of every input and output, such as "image_bytes", "class", "scores".
        example: {input name: value} of inputs that are no pictures, with which the export is tried; a scalar's is its
            default on the command line.
        about: what the card says besides, such as the classes.
        limits: {what: the most of it that a request may have}, the bounds that its function checks.
    """

    function: Callable
    inputs: tuple
    kinds: dict
    example: dict = dataclasses.field(default_factory=dict)
    about: dict = dataclasses.field(default_factory=dict)
    limits: dict = dataclasses.field(default_factory=dict)


def at_most(value, most, who, unit):
    """A check, inside the graph, that a request is not too large."""
    return tf.debugging.assert_less_equal(
        tf.cast(value, tf.int64), tf.constant(most, tf.int64), f"{who} may have at most {most} {unit}"
    )


def must(condition, sentence):
    """A check, inside the graph, of a scalar condition; the sentence says what must hold."""
    return tf.debugging.Assert(condition, [sentence])


def sampling(length, temperature, most, unit):
    """Checks of what is asked of a draw: 0 to `most` steps, and a temperature that is not negative."""
    return [
        at_most(length, most, "length: an answer", unit),
        tf.debugging.assert_non_negative(length, "length must not be negative"),
        tf.debugging.assert_non_negative(temperature, "temperature must not be negative"),
    ]
