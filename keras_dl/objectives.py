"""Likelihoods of sequences and of images: training losses and the metrics that papers report, mostly in nats.

Shapes: B sequences, T steps, K tokens, D entries of a vector. Steps have weights (B, T): 1 for a real step, 0
for a padded one, whose logits have no influence, even if they are NaN. Keras' masks are ignored.
"""

import math

import keras
import tensorflow as tf

from keras_dl.arguments import OneOf, Share, Text, Whole, check, checked
from keras_dl.distributions import LEVEL_KINDS, Bernoulli, Categorical, DiscreteLevel
from keras_dl.errors import UserError

SAMPLE_LEVELS = 2**16  # of a sample of sound of 16 bits


def categorical_nll(targets, logits):
    """-log softmax(logits) at the target.

    Args:
        targets: (B, T) whole numbers in [0, K), at padded steps too.
        logits: (B, T, K).

    Returns:
        (B, T) float32, also for logits in half precision; float64 for float64.

    Raises:
        ValueError: the shapes do not fit.

    >>> round(float(categorical_nll([[2]], [[[0.0, 0.0, 0.0, 0.0]]])[0, 0]), 4)  # log 4
    1.3863
    """
    return _categorical("categorical_nll", targets, logits)


def bernoulli_nll(targets, logits):
    """-log p of 0/1 vectors with independent entries: binary cross-entropy, summed over the entries.

    Args:
        targets: (B, T, D) in [0, 1], any dtype.
        logits: (B, T, D).

    Returns:
        (B, T) float32, also for logits in half precision; float64 for float64.

    Raises:
        ValueError: the shapes do not fit.

    >>> round(float(bernoulli_nll([[[1, 0, 1]]], [[[0.0, 0.0, 0.0]]])[0, 0]), 4)  # 3 log 2
    2.0794
    """
    return _bernoulli("bernoulli_nll", targets, logits)


def smoothed_nll(targets, logits, label_smoothing):
    """The cross-entropy with label smoothing (arXiv:1512.00567, section 7).

    Args:
        targets, logits: as in categorical_nll.
        label_smoothing: share of the target's probability that is spread evenly over all K tokens, in [0, 1).

    Returns:
        (B, T) float32 or float64. It has first derivatives only; for second derivatives use
        distributions.Categorical(logits).cross_entropy(targets, label_smoothing, fast=False).

    Raises:
        ValueError: the shapes do not fit.

    >>> round(float(smoothed_nll([[2]], [[[0.0, 0.0, 0.0, 0.0]]], 0.1)[0, 0]), 4)  # log 4, whatever the target
    1.3863
    """
    return _categorical("smoothed_nll", targets, logits, label_smoothing)


def _categorical(who, targets, logits, label_smoothing=0.0):
    """smoothed_nll for the caller `who`, whose name an error has."""
    targets, logits = tf.convert_to_tensor(targets), tf.convert_to_tensor(logits)
    if not targets.shape.is_compatible_with(logits.shape[:-1]):
        raise ValueError(f"{who}: targets must be (B, T) and logits (B, T, K); got {targets.shape} and {logits.shape}.")
    return Categorical(logits).cross_entropy(targets, label_smoothing)


def _bernoulli(who, targets, logits):
    """bernoulli_nll for the caller `who`, whose name an error has."""
    targets, logits = tf.convert_to_tensor(targets), tf.convert_to_tensor(logits)
    if not targets.shape.is_compatible_with(logits.shape):
        raise ValueError(f"{who}: targets and logits must both be (B, T, D); got {targets.shape} and {logits.shape}.")
    return tf.reduce_sum(Bernoulli(logits).cross_entropy(targets), -1)


def _logistic_mixture(who, targets, parameters):
    """-log p of samples of 16 bits under a mixture of discretised logistic distributions, for the caller `who`.

    targets (B, T), whole numbers from 0 to 65,535; parameters (B, T, 3 components).
    """
    targets, parameters = tf.convert_to_tensor(targets), tf.convert_to_tensor(parameters)
    if not targets.shape.is_compatible_with(parameters.shape[:-1]):
        raise ValueError(
            f"{who}: targets must be (B, T) and parameters (B, T, P); got {targets.shape} and {parameters.shape}."
        )
    return DiscreteLevel("logistic_mixture", parameters, SAMPLE_LEVELS).cross_entropy(targets)


# Functions of the caller's name, targets and logits or other parameters.
NLL = {"categorical": _categorical, "bernoulli": _bernoulli, "logistic_mixture": _logistic_mixture}


@keras.saving.register_keras_serializable("keras_dl")
class SequenceLoss(keras.losses.Loss):
    """Negative log-likelihood of the steps of a batch, one number, in nats.

    Args:
        nll: "categorical", "bernoulli", or "logistic_mixture": of samples of 16 bits (distributions.DiscreteLevel).
        over: "steps": sum(w * nll) / sum(w), the mean over the real steps, 0 if there are none; "sequences":
            sum(w * nll) / B, the sum over the steps, averaged over the batch, as in Zaremba et al. (arXiv:1409.2329):
            its gradient is T times as large.
        label_smoothing: share of the target's probability that is spread evenly over all K tokens (arXiv:1512.00567,
            section 7); only for "categorical". The smallest possible loss is then the entropy of the smoothed target.

    With several replicas, each divides by its own steps or sequences, and the loss is the mean over the replicas.

    Raises:
        ArgumentError: an argument does not fit its annotation.
        UserError: label_smoothing with another nll than "categorical".
        ValueError: in a call, the weights are not (B, T), or targets and logits do not fit.

    >>> loss = SequenceLoss("categorical")
    >>> round(float(loss([[2, 0]], [[[0.0] * 4, [9.0, 0.0, 0.0, 0.0]]], sample_weight=[[1, 0]])), 4)  # log 4
    1.3863
    """

    @checked(who="SequenceLoss")
    def __init__(
        self, nll: OneOf(*NLL), over: OneOf("steps", "sequences") = "steps", label_smoothing: Share = 0.0,
        name: Text = "sequence_loss",
    ):  # fmt: skip
        super().__init__(name=name, reduction="sum")  # not used: __call__ reduces
        if label_smoothing and nll != "categorical":
            raise UserError(
                f"SequenceLoss: label_smoothing must be 0 for {nll!r}; got {label_smoothing!r}. Nearest: 0.0."
            )
        self.nll, self.over, self.label_smoothing = nll, over, label_smoothing

    def __call__(self, y_true, y_pred, sample_weight=None):
        nll = self.call(y_true, y_pred)
        weight = _weights("SequenceLoss", sample_weight, nll)
        total = tf.reduce_sum(tf.math.multiply_no_nan(nll, weight))
        count = tf.reduce_sum(weight) if self.over == "steps" else tf.cast(tf.shape(nll)[0], nll.dtype)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync  # Keras sums the gradients of the replicas
        return tf.math.divide_no_nan(total, count if replicas == 1 else count * replicas)

    def call(self, y_true, y_pred):
        """The negative log-likelihood of each step: (B, T)."""
        if self.label_smoothing:
            return _categorical("SequenceLoss", y_true, y_pred, self.label_smoothing)
        return NLL[self.nll]("SequenceLoss", y_true, y_pred)

    def get_config(self):
        return {"nll": self.nll, "over": self.over, "label_smoothing": self.label_smoothing, "name": self.name}


class _MeanNLL(keras.metrics.Metric):
    """Mean over all real steps of all batches (not a mean of batch means); accumulated in float64.

    Args:
        nll: "categorical", "bernoulli" or "logistic_mixture", as of SequenceLoss.
        name: in the logs; None: NAME.

    Use it in weighted_metrics, with weights (B, T).
    """

    NAME = None

    def __init__(self, nll="categorical", name=None, dtype=None):
        super().__init__(name=name or self.NAME, dtype=dtype)
        self.nll = check(f"{type(self).__name__}: nll", OneOf(*NLL), nll)
        self.total = self.add_variable((), "zeros", dtype="float64", name="total")
        self.steps = self.add_variable((), "zeros", dtype="float64", name="steps")

    def update_state(self, y_true, y_pred, sample_weight=None):
        values = self.of_steps(y_true, y_pred)
        weight = tf.cast(_weights(type(self).__name__, sample_weight, values), tf.float64)
        self.total.assign_add(tf.reduce_sum(tf.math.multiply_no_nan(tf.cast(values, tf.float64), weight)))
        self.steps.assign_add(tf.reduce_sum(weight))

    def result(self):
        mean = tf.math.divide_no_nan(tf.convert_to_tensor(self.total), tf.convert_to_tensor(self.steps))
        return tf.cast(self.of_mean(mean), self.dtype)

    def of_steps(self, y_true, y_pred):
        return NLL[self.nll](type(self).__name__, y_true, y_pred)

    def of_mean(self, mean):
        return mean

    def get_config(self):
        return {"nll": self.nll, **super().get_config()}


@keras.saving.register_keras_serializable("keras_dl")
class NatsPerStep(_MeanNLL):
    """Mean negative log-likelihood per step (with "bernoulli" per vector), over all steps of all batches.

    >>> nats = NatsPerStep("bernoulli")
    >>> nats.update_state([[[1, 0]]], [[[0.0, 0.0]]])
    >>> round(float(nats.result()), 4)  # 2 log 2
    1.3863
    """

    NAME = "nats"


@keras.saving.register_keras_serializable("keras_dl")
class NatsOfParts(NatsPerStep):
    """NatsPerStep that also keeps the sums over parts of the sequences, such as for bootstrap intervals.

    Args:
        nll: "categorical", "bernoulli" or "logistic_mixture", as of SequenceLoss.
        parts: the largest number of parts, over all batches.
        length: steps of a part; a sequence is cut into parts, the last of which may be shorter. None: a part is a
            whole sequence.

    For one replica only: several would count their parts independently.

    >>> nats = NatsOfParts("bernoulli", 3)
    >>> nats.update_state([[[1, 0], [1, 1]]], [[[0.0, 0.0], [0.0, 0.0]]], sample_weight=[[1, 0]])
    >>> [value.round(4).tolist() for value in nats.parts()]  # 2 log 2, one step
    [[1.3863], [1.0]]
    """

    def __init__(self, nll="categorical", parts=1, length=None, name=None, dtype=None):
        super().__init__(nll, name, dtype)
        self.most = check("NatsOfParts: parts", Whole(1, 2**31 - 1), parts)
        self.length = None if length is None else check("NatsOfParts: length", Whole(1, 2**31 - 1), length)
        self.sums = self.add_variable((self.most, 2), "zeros", dtype="float64", name="sums")  # nats and steps
        self.next = self.add_variable((), "zeros", dtype="int32", name="next")

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(y_true, y_pred, sample_weight)
        values = self.of_steps(y_true, y_pred)
        weight = tf.cast(_weights(type(self).__name__, sample_weight, values), tf.float64)
        both = tf.stack([tf.math.multiply_no_nan(tf.cast(values, tf.float64), weight), weight], -1)  # (B, T, 2)
        if self.length is not None:
            steps = tf.shape(both)[1]
            both = tf.pad(both, [[0, 0], [0, -steps % self.length], [0, 0]])
            both = tf.reshape(both, [-1, self.length, 2])
        rows = tf.reduce_sum(both, 1)
        at = tf.convert_to_tensor(self.next) + tf.range(tf.shape(rows)[0])
        self.sums.assign(tf.tensor_scatter_nd_update(tf.convert_to_tensor(self.sums), at[:, None], rows))
        self.next.assign_add(tf.shape(rows)[0])

    def parts(self):
        """(nats (N,), steps (N,)) of the parts that have steps, float64, in the order of the batches."""
        sums = keras.ops.convert_to_numpy(self.sums)
        sums = sums[sums[:, 1] > 0]
        return sums[:, 0], sums[:, 1]

    def get_config(self):
        return {**super().get_config(), "parts": self.most, "length": self.length}


@keras.saving.register_keras_serializable("keras_dl")
class Perplexity(_MeanNLL):
    """exp(NatsPerStep): a uniform distribution over that many tokens has the same likelihood.

    >>> perplexity = Perplexity()
    >>> perplexity.update_state([[2, 0]], [[[0.0] * 4, [0.0] * 4]])
    >>> round(float(perplexity.result()), 4)
    4.0
    """

    NAME = "perplexity"

    def of_mean(self, mean):
        return tf.exp(mean)


@keras.saving.register_keras_serializable("keras_dl")
class BitsPerStep(_MeanNLL):
    """NatsPerStep in bits; if the tokens are characters, the bits per character.

    >>> bits = BitsPerStep()
    >>> bits.update_state([[2, 0]], [[[0.0] * 4, [0.0] * 4]])
    >>> round(float(bits.result()), 4)
    2.0
    """

    NAME = "bits"

    def of_mean(self, mean):
        return mean / math.log(2)


@keras.saving.register_keras_serializable("keras_dl")
class StepAccuracy(_MeanNLL):
    """Share of the steps whose target is the most probable token (among equals the first).

    >>> accuracy = StepAccuracy()
    >>> accuracy.update_state([[2, 0]], [[[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]])
    >>> float(accuracy.result())
    0.5
    """

    NAME = "accuracy"

    def of_steps(self, y_true, y_pred):
        logits = tf.cast(y_pred, tf.float32)
        flat = tf.reshape(logits, [-1, logits.shape[-1]])  # the loss does the same: a graph computes it once
        best = tf.math.top_k(flat, 1)[1][:, 0]
        same = tf.cast(best == tf.reshape(tf.cast(y_true, tf.int32), [-1]), tf.float32)
        return tf.reshape(same, tf.shape(y_true))


def _weights(who, weight, nll):
    """The weights (B, T) in nll's dtype. Other shapes are refused, since they could broadcast over the wrong axis."""
    if weight is None:
        return tf.ones_like(nll)
    weight = tf.cast(tf.convert_to_tensor(weight), nll.dtype)
    if not weight.shape.is_compatible_with(nll.shape):
        raise ValueError(f"{who}: sample_weight must be one number a step, {nll.shape}; got {weight.shape}.")
    return weight


def image_nll(image, parameters, kind, levels):
    """-log p of images whose values have distributions.DiscreteLevel, summed over pixels and channels.

    Args:
        image: (B, H, W, C) whole levels, any dtype.
        parameters: (B, H, W, C, P).
        kind: "bernoulli", "categorical" or "logistic_mixture".
        levels: number of values.

    Returns:
        (B,) float32 nats per image.

    Raises:
        ValueError: the shapes do not fit.

    >>> round(float(image_nll(tf.ones([1, 2, 3, 1]), tf.zeros([1, 2, 3, 1, 1]), "bernoulli", 2)[0]), 4)  # 6 log 2
    4.1589
    """
    image, parameters = tf.convert_to_tensor(image), tf.convert_to_tensor(parameters)
    if image.shape.rank != 4 or not image.shape.is_compatible_with(parameters.shape[:-1]):
        raise ValueError(
            f"image_nll: image must be (B, H, W, C) and parameters (B, H, W, C, P); got {image.shape} and "
            f"{parameters.shape}."
        )
    return tf.reduce_sum(DiscreteLevel(kind, parameters, levels).cross_entropy(image), [1, 2, 3])


@keras.saving.register_keras_serializable("keras_dl")
class ImageLoss(keras.losses.Loss):
    """Negative log-likelihood of images in nats per image: the sum over pixels and channels, the mean over images.

    Args:
        kind: "bernoulli", "categorical" or "logistic_mixture", as in distributions.DiscreteLevel.
        levels: number of values.

    Raises:
        ArgumentError: an argument does not fit its annotation.
        ValueError: in a call, the shapes do not fit.

    >>> round(float(ImageLoss("categorical", 4)(tf.ones([5, 2, 3, 1]), tf.zeros([5, 2, 3, 1, 4]))), 4)  # 6 log 4
    8.3178
    """

    @checked(who="ImageLoss")
    def __init__(self, kind: OneOf(*LEVEL_KINDS), levels: Whole(2, 2**16) = 2, name: Text = "image_loss"):
        super().__init__(name=name)
        self.kind, self.levels = kind, levels

    def call(self, y_true, y_pred):
        """Nats per image: (B,)."""
        return image_nll(y_true, y_pred, self.kind, self.levels)

    def get_config(self):
        return {"kind": self.kind, "levels": self.levels, "name": self.name}


@keras.saving.register_keras_serializable("keras_dl")
class NatsPerImage(keras.metrics.Metric):
    """Mean negative log-likelihood of an image in nats, over all images of all batches; accumulated in float64.

    Args:
        kind, levels: as in ImageLoss.
        name: in the logs; None: NAME.

    >>> nats = NatsPerImage("bernoulli")
    >>> nats.update_state(tf.ones([5, 2, 3, 1]), tf.zeros([5, 2, 3, 1, 1]))
    >>> round(float(nats.result()), 4)  # 6 log 2
    4.1589
    """

    NAME = "nats_per_image"

    def __init__(self, kind, levels=2, name=None, dtype=None):
        super().__init__(name=name or self.NAME, dtype=dtype)
        self.kind = check(f"{type(self).__name__}: kind", OneOf(*LEVEL_KINDS), kind)
        self.levels = check(f"{type(self).__name__}: levels", Whole(2, 2**16), levels)
        self.total = self.add_variable((), "zeros", dtype="float64", name="total")
        self.count = self.add_variable((), "zeros", dtype="float64", name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        nats = tf.cast(image_nll(y_true, y_pred, self.kind, self.levels), tf.float64)
        weight = tf.cast(_weights(type(self).__name__, sample_weight, nats), tf.float64)
        self.total.assign_add(tf.reduce_sum(nats * weight) / self.values_per_image(y_pred))
        self.count.assign_add(tf.reduce_sum(weight))

    def result(self):
        mean = tf.math.divide_no_nan(tf.convert_to_tensor(self.total), tf.convert_to_tensor(self.count))
        return tf.cast(mean, self.dtype)

    def values_per_image(self, parameters):
        """By what the nats of an image are divided."""
        return 1.0

    def get_config(self):
        return {"kind": self.kind, "levels": self.levels, **super().get_config()}


@keras.saving.register_keras_serializable("keras_dl")
class BitsPerDimension(NatsPerImage):
    """NatsPerImage in bits, divided by the number of values of an image, height * width * channels.

    >>> bits = BitsPerDimension("categorical", 256)
    >>> bits.update_state(tf.ones([5, 2, 3, 3]), tf.zeros([5, 2, 3, 3, 256]))
    >>> f"{float(bits.result()):.3f}"  # a uniform distribution of 8 bits
    '8.000'
    """

    NAME = "bits_per_dimension"

    def values_per_image(self, parameters):
        return math.prod(parameters.shape[1:4]) * math.log(2)


@keras.saving.register_keras_serializable("keras_dl")
class NatsOfImages(NatsPerImage):
    """NatsPerImage that also keeps the nats of each image, such as for bootstrap intervals.

    Args:
        kind, levels: as in ImageLoss.
        count: the largest number of images, over all batches.

    For one replica only: several would count their images independently.

    >>> nats = NatsOfImages("bernoulli", count=3)
    >>> nats.update_state(tf.ones([2, 1, 3, 1]), tf.zeros([2, 1, 3, 1, 1]))
    >>> nats.values().round(4).tolist()  # 3 log 2
    [2.0794, 2.0794]
    """

    def __init__(self, kind, levels=2, count=1, name=None, dtype=None):
        super().__init__(kind, levels, name, dtype)
        self.most = check("NatsOfImages: count", Whole(1, 2**31 - 1), count)
        self.each = self.add_variable((self.most,), "zeros", dtype="float64", name="each")

    def update_state(self, y_true, y_pred, sample_weight=None):
        before = tf.cast(tf.convert_to_tensor(self.count), tf.int32)
        super().update_state(y_true, y_pred, sample_weight)
        nats = tf.cast(image_nll(y_true, y_pred, self.kind, self.levels), tf.float64)
        at = before + tf.range(tf.shape(nats)[0])
        self.each.assign(tf.tensor_scatter_nd_update(tf.convert_to_tensor(self.each), at[:, None], nats))

    def values(self):
        """Nats of each image so far, float64 (N,), in the order of the batches."""
        return keras.ops.convert_to_numpy(self.each)[: int(self.count)]

    def get_config(self):
        return {**super().get_config(), "count": self.most}
