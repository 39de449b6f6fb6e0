"""Densities of real numbers."""

import math

import tensorflow as tf

from keras_dl.distributions.numerics import at_least_float32, uniform


class Normal:
    """Independent real numbers.

    Args:
        mean: (...).
        log_scale: (...), the logarithm of the standard deviation.

    >>> round(float(Normal(1.0, 0.0).log_prob(1.0)), 4)  # log 1 / sqrt(2 pi)
    -0.9189
    """

    def __init__(self, mean, log_scale):
        self.location = at_least_float32(mean)
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


class Uniform:
    """Independent real numbers, each with the same density everywhere between two ends.

    Args:
        low, high: (...), shapes that broadcast; low < high.

    >>> round(float(Uniform(0.0, 2.0).log_prob(1.5)), 4)  # log 1/2
    -0.6931
    """

    def __init__(self, low, high):
        self.low = at_least_float32(low)
        self.high = tf.cast(high, self.low.dtype)

    def log_prob(self, value):
        """The log density at each value (...), -inf outside -> (...)."""
        value = tf.cast(value, self.low.dtype)
        inside = (value >= self.low) & (value <= self.high)
        return tf.where(inside, -tf.math.log(self.high - self.low), -math.inf)

    def sample(self, seed):
        """low + (high - low) * a number in (0, 1): (...)."""
        shape = tf.shape(self.low + self.high)
        return self.low + (self.high - self.low) * uniform(seed, shape, self.low.dtype)

    def mean(self):
        """The middle: (...)."""
        return (self.low + self.high) / 2

    def entropy(self):
        """Differential entropy in nats: (...)."""
        return tf.math.log(self.high - self.low)
