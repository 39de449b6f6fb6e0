"""Probability distributions whose parameters are a network's outputs: the one place where likelihoods are computed.

Every distribution has log_prob(value) in nats, sample(seed) and mean(), and, if there is a formula, mode() and
entropy(). They are plain TensorFlow operations, so they work inside an exported graph, and log_prob has derivatives of
any order. Computation is in float32 whatever the dtype of the parameters, except that float64 stays float64.
A seed is a tensor of two integers: the same seed gives the same sample on every device, except that under XLA the
samples are different ones from the same distribution. Where documented, temperature 0 gives the most probable value.
Shapes: "..." are leading axes of the parameters, over which values are independent; K classes or mixture components.
"""

import math

import numpy as np
import tensorflow as tf

from keras_dl.wording import counted

TINY = float(np.finfo("float32").tiny)  # the smallest normal float32: no logarithm of zero
LEAST_LOG_SCALE = -7.0  # of a discretised logistic distribution, as in the PixelCNN++ authors' code


class Categorical:
    """One of K classes, with probabilities softmax(logits).

    Args:
        logits: (..., K); -inf for an impossible class.

    >>> round(float(Categorical([0.0, 0.0, 0.0, 0.0]).log_prob(2)), 4)  # log 1/4
    -1.3863
    """

    def __init__(self, logits):
        self.logits = _at_least_float32(logits)

    def log_prob(self, value):
        """log softmax(logits) at `value`, integers (...) in [0, K) -> (...)."""
        shifted = self.logits - tf.reduce_max(self.logits, -1, keepdims=True)  # stable even for logits of 10,000
        log_z = tf.math.log(tf.reduce_sum(tf.exp(shifted), -1))
        return tf.gather(shifted, value, batch_dims=self.logits.shape.rank - 1) - log_z

    def cross_entropy(self, value, label_smoothing=0.0, *, fast=True):
        """-log_prob(value), with label smoothing if desired.

        Args:
            value: integers (...) in [0, K).
            label_smoothing: the share of the target that is spread uniformly over all classes (arXiv:1512.00567,
                section 7).
            fast: use a custom gradient, several times as fast as that of plain operations, but without a second
                derivative. It is 0 where the upstream gradient is 0, even if the logits are NaN.

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
        """logits + temperature * Gumbel noise, (..., K): the largest entry's index is a sample (Gumbel-max trick)."""
        gumbel = -tf.math.log(-tf.math.log(_uniform(seed, tf.shape(self.logits), self.logits.dtype)))
        return self.logits + tf.cast(temperature, self.logits.dtype) * gumbel

    def sample(self, seed, temperature=1.0):
        """A class sampled from softmax(logits / temperature), or the mode at temperature 0: (...) int32."""
        return tf.argmax(self.perturbed(seed, temperature), -1, output_type=tf.int32)

    def probabilities(self):
        """softmax(logits): (..., K)."""
        return tf.nn.softmax(self.logits)

    def mean(self):
        """The mean of the class as a one-hot vector, which is the probabilities: (..., K)."""
        return self.probabilities()

    def mode(self):
        """The most probable class, the first if several are equal: (...) int32."""
        return tf.argmax(self.logits, -1, output_type=tf.int32)

    def entropy(self):
        """The entropy in nats: (...)."""
        logs = tf.nn.log_softmax(self.logits)
        return -tf.reduce_sum(tf.math.multiply_no_nan(logs, tf.exp(logs)), -1)


class Bernoulli:
    """Independent entries that are 0 or 1: 1 with probability sigmoid(logits).

    Args:
        logits: (...).

    >>> round(float(Bernoulli(0.0).log_prob(1.0)), 4)  # log 1/2
    -0.6931
    """

    def __init__(self, logits):
        self.logits = _at_least_float32(logits)

    def log_prob(self, value):
        """Log-probability of entries: value in [0, 1], any dtype, of a shape that broadcasts with logits -> (...)."""
        return -tf.nn.sigmoid_cross_entropy_with_logits(*self._with_logits(value))

    def cross_entropy(self, value, *, fast=True):
        """-log_prob(value).

        fast: use a custom gradient, without a second derivative. It is 0 where the upstream gradient is 0, even if the
        value or the logits there are NaN.
        """
        if not fast:
            return -self.log_prob(value)
        return _fast_sigmoid_cross_entropy(*self._with_logits(value))

    def sample(self, seed, temperature=1.0):
        """1 with probability sigmoid(logits / temperature), or the mode at temperature 0: (...) of 0 and 1."""
        u = _uniform(seed, tf.shape(self.logits), self.logits.dtype)
        noise = tf.math.log(u) - tf.math.log1p(-u)
        return tf.cast(self.logits + tf.cast(temperature, self.logits.dtype) * noise > 0, self.logits.dtype)

    def mean(self):
        """sigmoid(logits): (...)."""
        return tf.sigmoid(self.logits)

    def mode(self):
        """The more probable value, 0 if both are equal: (...)."""
        return tf.cast(self.logits > 0, self.logits.dtype)

    def entropy(self):
        """The entropy of each entry in nats: (...)."""
        positive, negative = tf.sigmoid(self.logits), tf.sigmoid(-self.logits)
        return positive * tf.nn.softplus(-self.logits) + negative * tf.nn.softplus(self.logits)

    def _with_logits(self, value):
        """(value, logits) with the same dtype and shape."""
        value = tf.cast(value, self.logits.dtype)
        if value.shape.rank == self.logits.shape.rank and value.shape.is_compatible_with(self.logits.shape):
            return value, self.logits
        shape = tf.broadcast_dynamic_shape(tf.shape(value), tf.shape(self.logits))
        return tf.broadcast_to(value, shape), tf.broadcast_to(self.logits, shape)


class Normal:
    """Independent real numbers.

    Args:
        mean: (...).
        log_scale: (...), the logarithm of the standard deviation.

    >>> round(float(Normal(1.0, 0.0).log_prob(1.0)), 4)  # log 1 / sqrt(2 pi)
    -0.9189
    """

    def __init__(self, mean, log_scale):
        self.location = _at_least_float32(mean)
        self.log_scale = tf.cast(log_scale, self.location.dtype)

    def log_prob(self, value):
        """The log density at each value (...) -> (...)."""
        standard = (tf.cast(value, self.location.dtype) - self.location) * tf.exp(-self.log_scale)
        return -0.5 * standard * standard - self.log_scale - 0.5 * math.log(2 * math.pi)

    def sample(self, seed, temperature=1.0, count=None):
        """mean + temperature * scale * standard normal noise: (...), or with a count (count, ...) independent ones."""
        shape = tf.shape(self.location + self.log_scale)
        if count is not None:
            shape = tf.concat([[count], shape], 0)
        noise = tf.random.stateless_normal(shape, seed, dtype=self.location.dtype, alg="philox")
        return self.location + tf.cast(temperature, self.location.dtype) * tf.exp(self.log_scale) * noise

    def mean(self):
        """The mean: (...)."""
        return self.location

    def mode(self):
        """The mode, which is the mean: (...)."""
        return self.location

    def entropy(self):
        """Differential entropy in nats: (...)."""
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.log_scale + tf.zeros_like(self.location)

    def kl(self, other):
        """KL(self || other) to another Normal, in closed form: (...) nats (arXiv:1312.6114, appendix B)."""
        mean, log_scale = (tf.cast(x, self.location.dtype) for x in (other.location, other.log_scale))
        distance = (self.location - mean) * tf.exp(-log_scale)
        log_ratio = self.log_scale - log_scale
        return 0.5 * (tf.exp(2 * log_ratio) + distance * distance - 1) - log_ratio


class DiscretisedLogistic:
    """Independent whole numbers from 0 to levels - 1, each a logistic variable that is rounded.

    Args:
        mean: (...), on the scale on which the values go from -1 to 1.
        log_scale: (...); raised to LEAST_LOG_SCALE where smaller.
        levels: number of values.

    Source: Kingma et al., arXiv:1606.04934, appendix; DiscretisedLogisticMixture with one component and channel.

    >>> round(float(tf.exp(DiscretisedLogistic(0.0, -7.0, levels=3).log_prob(1))), 4)  # so narrow that it is certain
    1.0
    """

    def __init__(self, mean, log_scale, *, levels=256):
        self.location, self.levels = _at_least_float32(mean), levels
        single = self.location[..., None]
        self._mixture = DiscretisedLogisticMixture(
            tf.zeros_like(single), single[..., None], tf.convert_to_tensor(log_scale)[..., None, None], levels=levels
        )

    def log_prob(self, value):
        """The log-probability of each value (...) -> (...)."""
        return self._mixture.log_prob(tf.convert_to_tensor(value)[..., None])

    def cross_entropy(self, value):
        """-log_prob(value)."""
        return -self.log_prob(value)

    def sample(self, seed):
        """A value each: (...) int32."""
        return self._mixture.sample(seed)[..., 0]

    def mean(self):
        """The mean of each value, from 0 to levels - 1: (...)."""
        return self._mixture.mean()[..., 0]

    def mode(self):
        """Where the density is largest, from 0 to levels - 1, not rounded: (...)."""
        return (tf.clip_by_value(self.location, -1, 1) + 1) * ((self.levels - 1) / 2)


class Uniform:
    """Independent real numbers, each with the same density everywhere between two ends.

    Args:
        low, high: (...), shapes that broadcast; low < high.

    >>> round(float(Uniform(0.0, 2.0).log_prob(1.5)), 4)  # log 1/2
    -0.6931
    """

    def __init__(self, low, high):
        self.low = _at_least_float32(low)
        self.high = tf.cast(high, self.low.dtype)

    def log_prob(self, value):
        """The log density at each value (...), -inf outside -> (...)."""
        value = tf.cast(value, self.low.dtype)
        inside = (value >= self.low) & (value <= self.high)
        return tf.where(inside, -tf.math.log(self.high - self.low), -math.inf)

    def sample(self, seed):
        """low + (high - low) * a number in (0, 1): (...)."""
        shape = tf.shape(self.low + self.high)
        return self.low + (self.high - self.low) * _uniform(seed, shape, self.low.dtype)

    def mean(self):
        """The middle: (...)."""
        return (self.low + self.high) / 2

    def entropy(self):
        """Differential entropy in nats: (...)."""
        return tf.math.log(self.high - self.low)


class DiscretisedLogisticMixture:
    """A mixture of discretised logistic distributions, for a pixel of C channels, integers from 0 to levels - 1.

    With x the value scaled to [-1, 1], h = 1 / (levels - 1) half the distance of two values, and sigma the sigmoid:

        P(x) = sum_k pi_k prod_c (sigma((x_c + h - mu_ck) / s_ck) - sigma((x_c - h - mu_ck) / s_ck))

    where x - h is replaced by -infinity for the smallest value, and x + h by infinity for the largest. All channels of
    a pixel come from the same component. With coefficients, the mean of a channel depends linearly on the values of
    the channels before it: mu_2 + a x_1 and mu_3 + b x_1 + c x_2 (equation 3).
    For a separate mixture in each channel, treat each channel as a pixel: parameters (..., C, 1, K).

    Args:
        logits: (..., K), of the components.
        means: (..., C, K), in the scale of x.
        log_scales: (..., C, K); raised to LEAST_LOG_SCALE where smaller.
        coefficients: (..., C (C - 1) / 2, K): a, b, c, ...; None: the channels are independent within a component. (In
            the authors' code they are the tanh of network outputs.)
        levels: number of values.

    Raises:
        ValueError: the shapes do not fit each other.

    Source: Salimans et al., "PixelCNN++" (arXiv:1701.05517), equations 1 to 3.
    Deviation: the difference of sigmoids, sigma(a) - sigma(b), is computed as sigma(a) sigma(-b) (1 - exp(b - a)),
    which is accurate everywhere, so it need not be approximated by the density where it is small.

    >>> uniform = DiscretisedLogisticMixture([0.0], [[0.0]], [[9.0]])
    >>> [round(float(p), 3) for p in tf.exp(uniform.log_prob([[0], [255]]))]  # so wide that all mass is at the ends
    [0.5, 0.5]
    """

    def __init__(self, logits, means, log_scales, coefficients=None, *, levels=256):
        self.logits = _at_least_float32(logits)
        self.means = tf.cast(means, self.logits.dtype)
        self.log_scales = tf.maximum(tf.cast(log_scales, self.logits.dtype), LEAST_LOG_SCALE)
        self.levels, self.channels = levels, self.means.shape[-2]
        self.coefficients = None if coefficients is None else tf.cast(coefficients, self.logits.dtype)
        pairs = self.channels * (self.channels - 1) // 2
        if self.coefficients is not None and self.coefficients.shape[-2] != pairs:
            channels = counted(self.channels, "channels")
            raise ValueError(
                f"DiscretisedLogisticMixture: coefficients must be (..., {pairs}, K) for {channels}; "
                f"got {self.coefficients.shape}."
            )
        if not self.means.shape[-1:].is_compatible_with(self.logits.shape[-1:]):
            raise ValueError(
                f"DiscretisedLogisticMixture: logits (..., K) and means (..., C, K) must have the same K; "
                f"got {self.logits.shape} and {self.means.shape}."
            )

    @classmethod
    def of_outputs(cls, outputs, channels, components, *, coupled=False, levels=256):
        """The distribution with the parameters in the last axis of a network's outputs.

        Args:
            outputs: (..., outputs_of(channels, components, coupled)): logits, means, log scales and, if coupled, the
                coefficients before their tanh.
            channels, components: C and K.
            coupled: whether the mean of a channel depends on the channels before it.
            levels: number of values.

        Raises:
            ValueError: the last axis has another size.
        """
        wanted = cls.outputs_of(channels, components, coupled)
        if outputs.shape[-1] != wanted:
            parts = f"{counted(channels, 'channels')} and {counted(components, 'components')}"
            raise ValueError(
                f"DiscretisedLogisticMixture: {parts} need {counted(wanted, 'outputs')}; got {outputs.shape[-1]}."
            )
        outputs = _at_least_float32(outputs)
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
        """The number of network outputs for a pixel.

        >>> DiscretisedLogisticMixture.outputs_of(3, 10, coupled=True)  # the paper's
        100
        """
        return components * (1 + 2 * channels + (channels * (channels - 1) // 2 if coupled else 0))

    def log_prob(self, value):
        """The log-probability of each pixel: value (..., C), integers from 0 to levels - 1, any dtype -> (...)."""
        scaled = tf.unstack(self._scaled(tf.cast(value, self.logits.dtype)), self.channels, axis=-1)
        logs = tf.nn.log_softmax(self.logits)
        for channel in range(self.channels):
            logs += self._log_prob_of(channel, scaled)
        return tf.reduce_logsumexp(logs, -1)

    def _log_prob_of(self, channel, scaled):
        """log P of a channel given those before it, for each component: list of C scaled values (...) -> (..., K)."""
        x, half = scaled[channel][..., None], 1 / (self.levels - 1)
        log_scale, mean = self.log_scales[..., channel, :], self._mean_of(channel, scaled)
        above, below = (tf.exp(-log_scale) * (x + side * half - mean) for side in (1, -1))
        inner = tf.math.log_sigmoid(above) + tf.math.log_sigmoid(-below) + self._log_share(log_scale)
        upper = tf.where(x > 1 - half, tf.math.log_sigmoid(-below), inner)
        return tf.where(x < -1 + half, tf.math.log_sigmoid(above), upper)

    def sample(self, seed, temperature=1.0):
        """A pixel (..., C) int32: samples a component, then its channels one after the other.

        temperature: a factor of the noise of both. At 0 it is the rounded mean of the most probable component.
        """
        temperature = tf.cast(temperature, self.logits.dtype)
        components = self.logits.shape[-1]
        front = tf.shape(self.logits)[:-1]
        shape = tf.concat([front, [components + self.channels]], 0)
        u = _uniform(seed, shape, self.logits.dtype)
        gumbel = -tf.math.log(-tf.math.log(u[..., :components]))
        component = tf.argmax(self.logits + temperature * gumbel, -1, output_type=tf.int32)  # (...)
        of_component = tf.one_hot(component, components, dtype=self.logits.dtype)
        values = []
        for c in range(self.channels):
            before = [self._scaled(value) for value in values]
            mean, log_scale = (
                tf.reduce_sum(of_component * x, -1) for x in (self._mean_of(c, before), self.log_scales[..., c, :])
            )
            own = u[..., components + c]
            x = mean + temperature * tf.exp(log_scale) * (tf.math.log(own) - tf.math.log1p(-own))
            value = tf.round((x + 1) * (self.levels - 1) / 2)
            values.append(tf.clip_by_value(value, 0, self.levels - 1))
        return tf.cast(tf.stack(values, -1), tf.int32)

    def mean(self):
        """The mean of each channel, from 0 to levels - 1: (..., C). It is the sum over v > 0 of P(value >= v).

        Raises:
            ValueError: the channels are coupled: then there is no formula.
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
        """mu of a channel, (..., K), given a list of scaled values (...) of at least the channels before it."""
        mean = self.means[..., channel, :]
        if self.coefficients is None:
            return mean
        first = channel * (channel - 1) // 2
        for other in range(channel):
            mean += self.coefficients[..., first + other, :] * scaled[other][..., None]
        return mean

    def _log_share(self, log_scale):
        """log(1 - exp(-w)), w the distance of two edges in units of the scale; accurate even if w is tiny."""
        log_width = math.log(2 / (self.levels - 1)) - log_scale
        small = log_width < math.log(1e-3)
        safe = tf.where(small, tf.zeros_like(log_width), log_width)  # no NaN gradient from the other branch
        return tf.where(small, log_width - tf.exp(log_width) / 2, tf.math.log(-tf.math.expm1(-tf.exp(safe))))


def log_mean_exp(logs):
    """log of the mean of exp(logs) over the first axis, which cannot overflow: (K, ...) -> (...).

    >>> round(float(log_mean_exp([-2000.0, -2000.0])), 4)
    -2000.0
    """
    logs = tf.convert_to_tensor(logs)
    return tf.reduce_logsumexp(logs, 0) - tf.math.log(tf.cast(tf.shape(logs)[0], logs.dtype))


LEVEL_KINDS = ("bernoulli", "categorical", "logistic_mixture")


class DiscreteLevel:
    """Whole numbers from 0 to levels - 1, such as the values of pixels, by one of three distributions.

    Args:
        kind: "bernoulli": one logit of a 1, for two levels; "categorical": a logit of each level; "logistic_mixture": a
            DiscretisedLogisticMixture of one channel.
        parameters: (..., P), P = parameters_of(kind, levels, components).
        levels: number of values.

    >>> round(float(DiscreteLevel("categorical", tf.zeros(256), 256).log_prob(7)) / math.log(2), 4)  # 8 bits
    -8.0
    """

    def __init__(self, kind, parameters, levels):
        self.kind, self.levels = kind, levels
        if kind == "bernoulli":
            self.base = Bernoulli(parameters[..., 0])
        elif kind == "categorical":
            self.base = Categorical(parameters)
        else:
            self.base = DiscretisedLogisticMixture.of_outputs(parameters, 1, parameters.shape[-1] // 3, levels=levels)

    @staticmethod
    def parameters_of(kind, levels, components):
        """P, the number of parameters of a value; `components` is that of a logistic mixture."""
        if kind == "logistic_mixture":
            return DiscretisedLogisticMixture.outputs_of(1, components)
        return 1 if kind == "bernoulli" else levels

    def log_prob(self, value):
        """The log-probability of each level (...), any dtype -> (...)."""
        value = tf.convert_to_tensor(value)
        if self.kind == "categorical":
            return self.base.log_prob(tf.cast(value, tf.int32))
        return self.base.log_prob(value[..., None] if self.kind == "logistic_mixture" else value)

    def cross_entropy(self, value):
        """-log_prob(value) for training: fast, but where there is a faster gradient without a second derivative."""
        if self.kind == "logistic_mixture":
            return -self.log_prob(value)
        return self.base.cross_entropy(value)

    def sample(self, seed, temperature=1.0):
        """A level: (...) int32; at temperature 0 the most probable one, or of a mixture its `sample` at 0."""
        sample = self.base.sample(seed, temperature)
        return tf.cast(sample[..., 0] if self.kind == "logistic_mixture" else sample, tf.int32)


def _at_least_float32(x):
    """A tensor as float32; float64 stays float64."""
    x = tf.convert_to_tensor(x)
    return x if x.dtype == tf.float64 else tf.cast(x, tf.float32)


def _uniform(seed, shape, dtype):
    """Uniform in (0, 1), by the same algorithm on every device."""
    return tf.random.stateless_uniform(shape, seed, minval=TINY, maxval=1.0, dtype=dtype, alg="philox")


def _fast_sigmoid_cross_entropy(targets, logits):
    """TensorFlow's cross-entropy, with a gradient that is 0 where the upstream gradient is 0, even for NaN."""

    @tf.custom_gradient
    def cross_entropy(logits):
        def backward(upstream):
            return tf.math.multiply_no_nan(tf.sigmoid(logits) - targets, upstream)

        return tf.nn.sigmoid_cross_entropy_with_logits(targets, logits), backward

    return cross_entropy(logits)


def _fast_cross_entropy(logits, targets, smoothing):
    """(N, K), (N,) -> (N,). Uses TensorFlow's softmax, which is ten times as fast as its cross-entropy kernel."""

    @tf.custom_gradient
    def cross_entropy(logits):
        chosen = tf.stack([tf.range(tf.size(targets)), targets], 1)
        softmax = tf.nn.softmax(logits)
        largest, places = tf.math.top_k(logits, 1)
        # log Z, from the largest probability, which cannot underflow.
        top = tf.gather_nd(softmax, tf.stack([tf.range(tf.size(targets)), places[:, 0]], 1))
        log_z = largest[:, 0] - tf.math.log(top)
        mean = (1 - smoothing) * tf.gather_nd(logits, chosen)
        if smoothing:
            mean += smoothing * tf.reduce_mean(logits, -1)

        def backward(upstream):
            share = smoothing / tf.cast(tf.shape(logits)[-1], logits.dtype)
            # 0 for a time step without weight, even if its logits are NaN.
            gradient = tf.math.multiply_no_nan(softmax - share if smoothing else softmax, upstream[:, None])
            return tf.tensor_scatter_nd_sub(gradient, chosen, (1 - smoothing) * upstream)

        return log_z - mean, backward

    return cross_entropy(logits)
