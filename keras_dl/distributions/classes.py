"""One of K classes, or of two; with gradients that are faster than TensorFlow's."""

import tensorflow as tf

from keras_dl.distributions.numerics import at_least_float32, uniform


class Categorical:
    """One of K classes, with probabilities softmax(logits).

    Args:
        logits: (..., K); -inf for an impossible class.

    >>> round(float(Categorical([0.0, 0.0, 0.0, 0.0]).log_prob(2)), 4)  # log 1/4
    -1.3863
    """

    def __init__(self, logits):
        self.logits = at_least_float32(logits)

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
        gumbel = -tf.math.log(-tf.math.log(uniform(seed, tf.shape(self.logits), self.logits.dtype)))
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
        self.logits = at_least_float32(logits)

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
        u = uniform(seed, tf.shape(self.logits), self.logits.dtype)
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
