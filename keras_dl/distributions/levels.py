"""Whole levels, such as the values of pixels, by one of three distributions."""

import tensorflow as tf

from keras_dl.distributions.classes import Bernoulli, Categorical
from keras_dl.distributions.logistic import DiscretisedLogisticMixture

LEVEL_KINDS = ("bernoulli", "categorical", "logistic_mixture")


class DiscreteLevel:
    """Whole numbers from 0 to levels - 1, such as the values of pixels, by one of three distributions.

    Args:
        kind: "bernoulli": one logit of a 1, for two levels; "categorical": a logit of each level; "logistic_mixture": a
            DiscretisedLogisticMixture of one channel.
        parameters: (..., P), P = parameters_of(kind, levels, components).
        levels: number of values.

    >>> round(float(DiscreteLevel("categorical", tf.zeros(256), 256).log_prob(7) / tf.math.log(2.0)), 4)  # 8 bits
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
