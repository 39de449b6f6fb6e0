"""Endpoints of served models: TensorFlow functions from named tensors to named tensors.

Each kind of task has one file, with a function that returns {name: Endpoint}, "serving_default" first. Inputs and
outputs are features (keras_dl/features): their description is stored in the card, from which `python -m keras_dl
predict` knows how to read and show them.
"""

import dataclasses
import math
from collections.abc import Callable

from keras_dl.decoding.draws import HOTTEST, in_range
from keras_dl.imports import quiet_tensorflow
from keras_dl.waiting import counting
from keras_dl.wording import counted

with quiet_tensorflow():
    import tensorflow as tf

    from keras_dl.decoding import generation


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """One signature of an export.

    Attributes:
        function: function of the inputs, passed by name; returns {output name: tensor}.
        inputs, outputs: {name: features.Feature}.
        limits: {quantity: the most that a request may have}, the bounds that the function checks.
        portable: a Portable with the same answers, for formats that have no strings (ONNX, LiteRT); or a sentence that
            says why there is none.
    """

    function: Callable
    inputs: dict
    outputs: dict
    limits: dict = dataclasses.field(default_factory=dict)
    portable: object = "it has no endpoint of numbers alone"

    @property
    def samples(self):
        """Whether it samples: it then has an input "seed", and the same seed gives the same sample."""
        return "seed" in self.inputs

    @property
    def counts(self):
        """The name of the single number that says how many rows the answer has; None if the other inputs say it."""
        return "n" if "n" in self.inputs else None

    def specs(self):
        """[tf.TensorSpec] of the inputs; the size of the batch axis is None."""
        return [feature.spec(name) for name, feature in self.inputs.items()]

    def traced(self):
        """The function as a graph, as in an export: it takes the inputs by name and returns {output: array}.

        Single numbers that are not passed have their defaults. A seed may be beyond 32 bits, where several are counted
        from one (decoding.draws.in_range). What decoding.generate draws for some seconds is counted
        on the terminal.
        """
        names = list(self.inputs)

        def by_position(*tensors):
            return self.function(**dict(zip(names, tensors, strict=True)))

        function = tf.function(by_position, input_signature=self.specs(), autograph=False)

        def ask(**given):
            values = {name: given.get(name, feature.default) for name, feature in self.inputs.items()}
            if self.samples:
                values["seed"] = in_range(values["seed"])
            arguments = [tf.constant(values[name], feature.dtype) for name, feature in self.inputs.items()]
            with counting(f"generating {next(iter(self.outputs.values())).counted}") as at, generation.heard(at):
                answer = function(*arguments)
            return {name: value.numpy() for name, value in answer.items()}

        return ask

    def example(self):
        """{input: array}, a request with which an export is tested."""
        arrays = {name: feature.example() for name, feature in self.inputs.items() if not feature.follows}
        fed = next((arrays[name] for name, feature in self.inputs.items() if feature.is_fed), None)
        return {name: arrays[name] if name in arrays else self.inputs[name].of_batch(fed) for name in self.inputs}


@dataclasses.dataclass(frozen=True)
class Portable(Endpoint):
    """What a file of another format carries: a function of numbers, without strings, bounds or anything random.

    Attributes:
        about: {name: JSON value} for the file's metadata: "inside" and "outside" say which steps the file has and which
            its user must do; the lines of features.from_numpy and in_numpy may read others, such as "classes".
    """

    about: dict = dataclasses.field(default_factory=dict)


def check_classes(who, model, classes):
    """Raise ValueError unless there is a name for each class of the model, and none if it has no classes.

    Args:
        who: for the message, such as "export.density".
        model: its num_classes is None where it has no labels.
        classes: the names.
    """
    known = getattr(model, "num_classes", None) or 0
    if len(classes) != known:
        names = counted(known, "names")
        raise ValueError(f"{who}: classes must be {names}, as many as the model's classes; got {len(classes)}.")


def at_most(value, most, who, unit):
    """An assertion in the graph that a request is not too large."""
    return tf.debugging.assert_less_equal(
        tf.cast(value, tf.int64), tf.constant(most, tf.int64), f"{who} may have at most {most} {unit}"
    )


def must(condition, sentence):
    """An assertion in the graph of a scalar condition; the sentence says what must hold."""
    return tf.debugging.Assert(condition, [sentence])


def within(value, least, most, who):
    """An assertion in the graph that a scalar is in a range; nan and infinities never are."""
    value = tf.convert_to_tensor(value)
    holds = (value >= tf.constant(least, value.dtype)) & (value <= tf.constant(most, value.dtype))
    return must(holds, tf.strings.format(f"{who} must be from {least:,.10g} to {most:,.10g}; got {{}}", value))


def sampling(length, temperature, most, unit):
    """Assertions on the arguments of sampling: a length of 0 to `most` steps, and a temperature from 0 to HOTTEST."""
    length = tf.convert_to_tensor(length)
    return [
        at_most(length, most, "length: an answer", unit),
        must(length >= 0, tf.strings.format("length must not be negative; got {}", length)),
        within(temperature, 0, HOTTEST, "temperature"),
    ]


def restrictions(top_k, top_p, tokens):
    """Assertions on top_k, from 0 (all) to `tokens`, the size of the vocabulary, and on top_p, in (0, 1] (1: all)."""
    top_p = tf.convert_to_tensor(top_p)
    sentence = tf.strings.format("top_p must be above 0 and at most 1; got {}", top_p)
    return [within(top_k, 0, tokens, "top_k"), must((top_p > 0) & (top_p <= 1), sentence)]


def without(*tokens, of):
    """What to add to logits so that certain tokens are never sampled: float32 (K,), -inf at these tokens, else 0.

    Args:
        tokens: ids of the tokens.
        of: K, the number of logits.
    """
    return tf.constant([-math.inf if token in tokens else 0.0 for token in range(of)], tf.float32)


def weights_per_token(model, classes):
    """Estimate the number of weights by which a token is multiplied in a network with `classes` logits.

    An embedding table is not counted, since a token only looks up one row, unless no other matrix can compute the
    logits: then the table does (tied weights).
    """
    shapes = [tuple(weight.shape) for weight in model.trainable_weights]
    tables = [math.prod(shape) for shape in shapes if len(shape) == 2 and shape[0] == classes]
    others = [math.prod(shape) for shape in shapes if not (len(shape) == 2 and shape[0] == classes)]
    gives_logits = any(len(shape) == 2 and shape[1] == classes for shape in shapes)
    return max(1, sum(others) + (0 if gives_logits else max(tables, default=0)))


def one_at_least(texts):
    """Strings (B,); if B is 0, one empty string, since no model reads an empty batch (its answer must be dropped)."""
    return tf.concat([texts, tf.fill([tf.cast(tf.equal(tf.size(texts), 0), tf.int32)], "")], 0)
