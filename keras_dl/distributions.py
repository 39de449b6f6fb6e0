"""Probability distributions whose parameters are a network's outputs: the one place where a likelihood is written.

Every distribution has log_prob(value) in nats, sample(seed) and mean(); mode() and entropy() where they have a formula.
Plain TensorFlow operations: they run inside an exported graph, and derivatives of any order can be taken of log_prob.
Numbers are float32 whatever the precision of the parameters; float64 stays float64.
A seed is a tensor of two whole numbers: the same seed gives the same sample, on every device (but XLA's own numbers are
others, of the same distribution). A temperature of 0 gives the most probable value where a distribution says so.
Shapes: "..." are the parameters' axes in front, which stand for independent draws; K classes or mixture components.
"""

import math

import numpy as np
import tensorflow as tf

TINY = float(np.finfo("float32").tiny)  # the smallest normal float32: no logarithm of zero
LEAST_LOG_SCALE = -7.0  # of a discretised logistic distribution, as in the PixelCNN++ authors' code


class Categorical:
    """One of K classes, with probabilities softmax(logits).

    Args:
        logits: (..., K); -inf for a class that cannot be.

    >>> round(float(Categorical([0.0, 0.0, 0.0, 0.0]).log_prob(2)), 4)  # log 1/4
    -1.3863
    """

    def __init__(self, logits):
        self.logits = _wide(logits)

    def log_prob(self, value):
        """log softmax(logits) at `value`, whole numbers (...) in [0, K): (...)."""
        shifted = self.logits - tf.reduce_max(self.logits, -1, keepdims=True)  # exact also of logits of 10,000
        log_z = tf.math.log(tf.reduce_sum(tf.exp(shifted), -1))
        return tf.gather(shifted, value, batch_dims=self.logits.shape.rank - 1) - log_z

    def cross_entropy(self, value, label_smoothing=0.0, *, fast=True):
        """-log_prob(value), or the cross-entropy to a target of which a share is spread evenly over all classes.

        Args:
            value: whole numbers (...) in [0, K).
            label_smoothing: the share (arXiv:1512.00567, section 7).
            fast: with a gradient of its own, several times as fast as that of the plain operations, of which no second
                derivative can be taken; it is 0 where the gradient that comes in is 0, also where the logits are NaN.

        Returns:
            (...)
        """
        if not fast:
            nll = -self.log_prob(value)
            if not label_smoothing:
                return nll
            even = -tf.reduce_mean(tf.nn.log_softmax(self.logits), -1)
            return (1 - label_smoothing) * nll + label_smoothing * even
        value = tf.convert_to_tensor(value)
        classes = self.logits.shape[-1] or tf.shape(self.logits)[-1]
        rows = tf.reshape(self.logits, [-1, classes])
        values = tf.reshape(tf.cast(value, tf.int32), [-1])
        return tf.reshape(_fast_cross_entropy(rows, values, label_smoothing), tf.shape(value))

    def perturbed(self, seed, temperature=1.0):
        """logits + temperature * g, g standard Gumbel noise: its largest entry is a sample (the Gumbel-max trick)."""
        gumbel = -tf.math.log(-tf.math.log(_uniform(seed, tf.shape(self.logits), self.logits.dtype)))
        return self.logits + tf.cast(temperature, self.logits.dtype) * gumbel

    def sample(self, seed, temperature=1.0):
        """A class drawn from softmax(logits / temperature), the mode at temperature 0: (...) int32."""
        return tf.argmax(self.perturbed(seed, temperature), -1, output_type=tf.int32)

    def probabilities(self):
        """softmax(logits): (..., K)."""
        return tf.nn.softmax(self.logits)

    def mean(self):
        """The mean of one-hot vectors of the classes, which is their probabilities: (..., K)."""
        return self.probabilities()

    def mode(self):
        """The most probable class, of equals the first: (...) int32."""
        return tf.argmax(self.logits, -1, output_type=tf.int32)

    def entropy(self):
        """In nats: (...)."""
        logs = tf.nn.log_softmax(self.logits)
        return -tf.reduce_sum(tf.math.multiply_no_nan(logs, tf.exp(logs)), -1)


class Bernoulli:
    """Entries that are 0 or 1, each on its own: 1 with probability sigmoid(logits).

    Args:
        logits: (...).

    >>> round(float(Bernoulli(0.0).log_prob(1.0)), 4)  # log 1/2
    -0.6931
    """

    def __init__(self, logits):
        self.logits = _wide(logits)

    def log_prob(self, value):
        """Of each entry: value in [0, 1], any dtype, (...) or of a shape that is broadcast with it -> (...)."""
        return -tf.nn.sigmoid_cross_entropy_with_logits(*self._with_logits(value))

    def cross_entropy(self, value, *, fast=True):
        """-log_prob(value); fast: with a gradient that is 0 where the one that comes in is 0, whatever stands there,
        and of which no second derivative can be taken."""
        if not fast:
            return -self.log_prob(value)
        return _fast_sigmoid_cross_entropy(*self._with_logits(value))

    def sample(self, seed, temperature=1.0):
        """1 with probability sigmoid(logits / temperature), the mode at temperature 0: (...) of 0 and 1."""
        u = _uniform(seed, tf.shape(self.logits), self.logits.dtype)
        noise = tf.math.log(u) - tf.math.log1p(-u)
        return tf.cast(self.logits + tf.cast(temperature, self.logits.dtype) * noise > 0, self.logits.dtype)

    def mean(self):
        """sigmoid(logits): (...)."""
        return tf.sigmoid(self.logits)

    def mode(self):
        """The more probable value, 0 of equals: (...)."""
        return tf.cast(self.logits > 0, self.logits.dtype)

    def entropy(self):
        """In nats: (...)."""
        positive, negative = tf.sigmoid(self.logits), tf.sigmoid(-self.logits)
        return positive * tf.nn.softplus(-self.logits) + negative * tf.nn.softplus(self.logits)

    def _with_logits(self, value):
        """(value, logits) of one dtype and shape."""
        value = tf.cast(value, self.logits.dtype)
        if value.shape.rank == self.logits.shape.rank and value.shape.is_compatible_with(self.logits.shape):
            return value, self.logits
        shape = tf.broadcast_dynamic_shape(tf.shape(value), tf.shape(self.logits))
        return tf.broadcast_to(value, shape), tf.broadcast_to(self.logits, shape)


class Normal:
    """Real numbers, each on its own.

    Args:
        mean: (...).
        log_scale: (...), the logarithm of the standard deviation.

    >>> round(float(Normal(1.0, 0.0).log_prob(1.0)), 4)  # log 1 / sqrt(2 pi)
    -0.9189
    """

    def __init__(self, mean, log_scale):
        self.location = _wide(mean)
        self.log_scale = tf.cast(log_scale, self.location.dtype)

    def log_prob(self, value):
        """The logarithm of the density at each value (...): (...)."""
        standard = (tf.cast(value, self.location.dtype) - self.location) * tf.exp(-self.log_scale)
        return -0.5 * standard * standard - self.log_scale - 0.5 * math.log(2 * math.pi)

    def sample(self, seed, temperature=1.0):
        """mean + temperature * scale * standard normal noise: (...)."""
        shape = tf.shape(self.location + self.log_scale)
        noise = tf.random.stateless_normal(shape, seed, dtype=self.location.dtype, alg="philox")
        return self.location + tf.cast(temperature, self.location.dtype) * tf.exp(self.log_scale) * noise

    def mean(self):
        """(...)."""
        return self.location

    def mode(self):
        """The mean: (...)."""
        return self.location

    def entropy(self):
        """Differential entropy in nats: (...)."""
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.log_scale + tf.zeros_like(self.location)


class DiscretisedLogisticMixture:
    """A pixel of C channels, whole numbers from 0 to levels - 1: a mixture of logistic distributions, rounded.

    With x the value scaled to [-1, 1], h = 1 / (levels - 1) half the distance of two values, and sigma the sigmoid:

        P(x) = sum_k pi_k prod_c (sigma((x_c + h - mu_ck) / s_ck) - sigma((x_c - h - mu_ck) / s_ck))

    where for the least value -infinity stands in place of x - h, and for the largest infinity in place of x + h. All
    channels of a pixel come from the same component. With coefficients the mean of a channel moves with the values of
    the channels before it: mu_2 + a x_1 and mu_3 + b x_1 + c x_2 (equation 3).
    Where each channel is to have a mixture of its own, make each a pixel of one channel: parameters (..., C, 1, K).

    Args:
        logits: (..., K), of the components.
        means: (..., C, K), in the scale of x.
        log_scales: (..., C, K); at least LEAST_LOG_SCALE is taken.
        coefficients: (..., C (C - 1) / 2, K): a, b, c, ...; None: the channels are independent within a component. (The
            authors' network gives them through a tanh.)
        levels: how many values there are.

    Raises:
        ValueError: the shapes do not go together.

    Source: Salimans et al., "PixelCNN++" (arXiv:1701.05517), equations 1 to 3.
    Deviation: the difference of the two sigmoids is computed as sigma(a) sigma(-b) (1 - exp(b - a)), which is exact
    everywhere, so that no approximation by the density is needed where it is small.

    >>> uniform = DiscretisedLogisticMixture([0.0], [[0.0]], [[9.0]])
    >>> [round(float(p), 3) for p in tf.exp(uniform.log_prob([[0], [255]]))]  # so wide that all lies beyond the ends
    [0.5, 0.5]
    """

    def __init__(self, logits, means, log_scales, coefficients=None, *, levels=256):
        self.logits = _wide(logits)
        self.means = tf.cast(means, self.logits.dtype)
        self.log_scales = tf.maximum(tf.cast(log_scales, self.logits.dtype), LEAST_LOG_SCALE)
        self.levels, self.channels = levels, self.means.shape[-2]
        self.coefficients = None if coefficients is None else tf.cast(coefficients, self.logits.dtype)
        pairs = self.channels * (self.channels - 1) // 2
        if self.coefficients is not None and self.coefficients.shape[-2] != pairs:
            raise ValueError(
                f"DiscretisedLogisticMixture: coefficients must be (..., {pairs}, K) for {self.channels} channels; "
                f"got {self.coefficients.shape}."
            )
        if not self.means.shape[-1:].is_compatible_with(self.logits.shape[-1:]):
            raise ValueError(
                f"DiscretisedLogisticMixture: logits (..., K) and means (..., C, K) must have the same K; "
                f"got {self.logits.shape} and {self.means.shape}."
            )

    @classmethod
    def of_outputs(cls, outputs, channels, components, *, coupled=False, levels=256):
        """The distribution whose parameters are a network's outputs side by side, outputs_of(...) of them.

        Args:
            outputs: (..., outputs_of(channels, components, coupled)): logits, means, log scales and, coupled, the
                coefficients before their tanh.
            channels, components: C and K.
            coupled: the channels' means move with the channels before.

        Raises:
            ValueError: as many outputs as that are not there.
        """
        wanted = cls.outputs_of(channels, components, coupled)
        if outputs.shape[-1] != wanted:
            raise ValueError(
                f"DiscretisedLogisticMixture: {channels} channels and {components} components need {wanted} outputs; "
                f"got {outputs.shape[-1]}."
            )
        outputs = _wide(outputs)
        groups = [1, channels, channels, channels * (channels - 1) // 2 if coupled else 0]
        front = tf.shape(outputs)[:-1]
        parts = [
            tf.reshape(part, tf.concat([front, [group, components]], 0))
            for part, group in zip(tf.split(outputs, [n * components for n in groups], -1), groups, strict=True)
        ]
        coefficients = tf.tanh(parts[3]) if coupled else None
        return cls(parts[0][..., 0, :], parts[1], parts[2], coefficients, levels=levels)

    @staticmethod
    def outputs_of(channels, components, coupled=False):
        """How many outputs a pixel needs.

        >>> DiscretisedLogisticMixture.outputs_of(3, 10, coupled=True)  # the paper's
        100
        """
        return components * (1 + 2 * channels + (channels * (channels - 1) // 2 if coupled else 0))

    def log_prob(self, value):
        """Of each pixel: value (..., C) whole numbers from 0 to levels - 1, any dtype -> (...)."""
        scaled = tf.unstack(self._scaled(tf.cast(value, self.logits.dtype)), self.channels, axis=-1)
        logs = tf.nn.log_softmax(self.logits)
        for channel in range(self.channels):
            logs += self._log_prob_of(channel, scaled)
        return tf.reduce_logsumexp(logs, -1)

    def _log_prob_of(self, channel, scaled):
        """Of a channel, given those before it, by each component: C scaled values (...) -> (..., K)."""
        x, half = scaled[channel][..., None], 1 / (self.levels - 1)
        log_scale, mean = self.log_scales[..., channel, :], self._mean_of(channel, scaled)
        above, below = (tf.exp(-log_scale) * (x + side * half - mean) for side in (1, -1))
        inner = tf.math.log_sigmoid(above) + tf.math.log_sigmoid(-below) + self._log_share(log_scale)
        upper = tf.where(x > 1 - half, tf.math.log_sigmoid(-below), inner)
        return tf.where(x < -1 + half, tf.math.log_sigmoid(above), upper)

    def sample(self, seed):
        """A pixel (..., C) int32: a component, and of it the channels one after the other."""
        components = self.logits.shape[-1]
        front = tf.shape(self.logits)[:-1]
        shape = tf.concat([front, [components + self.channels]], 0)
        u = _uniform(seed, shape, self.logits.dtype)
        gumbel = -tf.math.log(-tf.math.log(u[..., :components]))
        component = tf.argmax(self.logits + gumbel, -1, output_type=tf.int32)  # (...)
        of_component = tf.one_hot(component, components, dtype=self.logits.dtype)
        values = []
        for c in range(self.channels):
            before = [self._scaled(value) for value in values]
            mean, log_scale = (
                tf.reduce_sum(of_component * x, -1) for x in (self._mean_of(c, before), self.log_scales[..., c, :])
            )
            own = u[..., components + c]
            x = mean + tf.exp(log_scale) * (tf.math.log(own) - tf.math.log1p(-own))
            value = tf.round((x + 1) * (self.levels - 1) / 2)
            values.append(tf.clip_by_value(value, 0, self.levels - 1))
        return tf.cast(tf.stack(values, -1), tf.int32)

    def mean(self):
        """Of each channel, between 0 and levels - 1: (..., C). The sum over v > 0 of P(value >= v).

        Raises:
            ValueError: the channels are coupled; their means have no formula.
        """
        if self.coefficients is not None:
            raise ValueError("DiscretisedLogisticMixture: mean needs channels without coefficients; got coefficients.")
        edges = (2 * tf.range(1, self.levels, dtype=self.logits.dtype) - 1) / (self.levels - 1) - 1
        at_least = tf.sigmoid(tf.exp(-self.log_scales)[..., None] * (self.means[..., None] - edges))  # (..., C, K, V)
        return tf.reduce_sum(tf.nn.softmax(self.logits)[..., None, :] * tf.reduce_sum(at_least, -1), -1)

    def _scaled(self, value):
        """Values from 0 to levels - 1 -> [-1, 1]."""
        return value * (2 / (self.levels - 1)) - 1

    def _mean_of(self, channel, scaled):
        """mu of a channel, (..., K), given a list of the scaled values (...) of at least the channels before."""
        mean = self.means[..., channel, :]
        if self.coefficients is None:
            return mean
        first = channel * (channel - 1) // 2
        for other in range(channel):
            mean += self.coefficients[..., first + other, :] * scaled[other][..., None]
        return mean

    def _log_share(self, log_scale):
        """log(1 - exp(-w)) of the distance w of two edges in units of the scale, also where w rounds to 0."""
        log_width = math.log(2 / (self.levels - 1)) - log_scale
        small = log_width < math.log(1e-3)
        safe = tf.where(small, tf.zeros_like(log_width), log_width)  # no gradient of the branch that is not taken
        return tf.where(small, log_width - tf.exp(log_width) / 2, tf.math.log(-tf.math.expm1(-tf.exp(safe))))


def _wide(x):
    """A tensor in float32, or float64 where it is that."""
    x = tf.convert_to_tensor(x)
    return x if x.dtype == tf.float64 else tf.cast(x, tf.float32)


def _uniform(seed, shape, dtype):
    """Uniform in (0, 1); one algorithm on every device."""
    return tf.random.stateless_uniform(shape, seed, minval=TINY, maxval=1.0, dtype=dtype, alg="philox")


def _fast_sigmoid_cross_entropy(targets, logits):
    """TensorFlow's, with a gradient that is 0 where the upstream one is, whatever stands there."""

    @tf.custom_gradient
    def cross_entropy(logits):
        def backward(upstream):
            return tf.math.multiply_no_nan(tf.sigmoid(logits) - targets, upstream)

        return tf.nn.sigmoid_cross_entropy_with_logits(targets, logits), backward

    return cross_entropy(logits)


def _fast_cross_entropy(logits, targets, smoothing):
    """(N, K), (N,) -> (N,). TensorFlow's own kernel takes ten times as long as its softmax; this is made of that."""

    @tf.custom_gradient
    def cross_entropy(logits):
        chosen = tf.stack([tf.range(tf.size(targets)), targets], 1)
        softmax = tf.nn.softmax(logits)
        largest, places = tf.math.top_k(logits, 1)
        # log Z, from the one probability that cannot vanish.
        top = tf.gather_nd(softmax, tf.stack([tf.range(tf.size(targets)), places[:, 0]], 1))
        log_z = largest[:, 0] - tf.math.log(top)
        mean = (1 - smoothing) * tf.gather_nd(logits, chosen)
        if smoothing:
            mean += smoothing * tf.reduce_mean(logits, -1)

        def backward(upstream):
            share = smoothing / tf.cast(tf.shape(logits)[-1], logits.dtype)
            # Of a step that does not count 0, also where its logits are NaN.
            gradient = tf.math.multiply_no_nan(softmax - share if smoothing else softmax, upstream[:, None])
            return tf.tensor_scatter_nd_sub(gradient, chosen, (1 - smoothing) * upstream)

        return log_z - mean, backward

    return cross_entropy(logits)
