"""What the distributions share: precision, uniform numbers, the logarithm of a mean."""

import numpy as np
import tensorflow as tf

TINY = float(np.finfo("float32").tiny)  # the smallest normal float32: no logarithm of zero


def at_least_float32(x):
    """A tensor as float32; float64 stays float64."""
    x = tf.convert_to_tensor(x)
    return x if x.dtype == tf.float64 else tf.cast(x, tf.float32)


def uniform(seed, shape, dtype):
    """Uniform in (0, 1), by the same algorithm on every device."""
    return tf.random.stateless_uniform(shape, seed, minval=TINY, maxval=1.0, dtype=dtype, alg="philox")


def log_mean_exp(logs):
    """log of the mean of exp(logs) over the first axis, which cannot overflow: (K, ...) -> (...).

    >>> round(float(log_mean_exp([-2000.0, -2000.0])), 4)
    -2000.0
    """
    logs = tf.convert_to_tensor(logs)
    return tf.reduce_logsumexp(logs, 0) - tf.math.log(tf.cast(tf.shape(logs)[0], logs.dtype))
