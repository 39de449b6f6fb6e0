"""Logistic distributions of whole levels, alone and as mixtures whose channels depend on each other."""

import math

import tensorflow as tf

from keras_dl.distributions.numerics import at_least_float32, uniform
from keras_dl.wording import counted

LEAST_LOG_SCALE = -7.0  # of a discretised logistic distribution of 256 levels, as in the PixelCNN++ authors' code


def least_log_scale(levels):
    """The least log scale: with more than 256 levels as many level's distances as with 256, so that one can be certain.

    >>> least_log_scale(2), least_log_scale(256), round(least_log_scale(65_536), 2)
    (-7.0, -7.0, -12.55)
    """
    return LEAST_LOG_SCALE - max(0.0, math.log((levels - 1) / 255))


class DiscretisedLogistic:
    """Independent whole numbers from 0 to levels - 1, each a logistic variable that is rounded.

    Args:
        mean: (...), on the scale on which the values go from -1 to 1.
        log_scale: (...); raised to least_log_scale(levels) where smaller.
        levels: number of values.

    Source: Kingma et al., arXiv:1606.04934, appendix; DiscretisedLogisticMixture with one component and channel.

    >>> round(float(tf.exp(DiscretisedLogistic(0.0, -7.0, levels=3).log_prob(1))), 4)  # so narrow that it is certain
    1.0
    """

    def __init__(self, mean, log_scale, *, levels=256):
        self.location, self.levels = at_least_float32(mean), levels
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
        log_scales: (..., C, K); raised to least_log_scale(levels) where smaller.
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
        self.logits = at_least_float32(logits)
        self.means = tf.cast(means, self.logits.dtype)
        self.log_scales = tf.maximum(tf.cast(log_scales, self.logits.dtype), least_log_scale(levels))
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
        outputs = at_least_float32(outputs)
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
        u = uniform(seed, shape, self.logits.dtype)
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
