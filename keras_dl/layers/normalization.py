"""Batch normalisation by TensorFlow's fused kernel.

Source: Ioffe and Szegedy, "Batch Normalization" (arXiv:1502.03167), algorithms 1 and 2.
Keras' own layer computes the same with several ops, which takes longer than one kernel.
Deviations: the statistics of inference are exponential running averages, where the paper averages over many batches
after training; and batch renormalisation (renorm=True) is Keras' own code, whose running variance is the biased one.
Shapes: B examples, H x W positions, C channels; m values per channel.
"""

import contextlib
import threading

import keras
import tensorflow as tf
from keras import ops

from keras_dl.layers.keras_order import in_the_order_of

KERNEL_DTYPES = ("float32", "bfloat16", "float16")
_of_thread = threading.local()  # replicas of a model run in threads


@contextlib.contextmanager
def averages_kept():
    """A context in which batch normalisation in training uses the batch's statistics and keeps its running averages.

    For a network that is run in the training step of another, such as the discriminator in the generator's.
    """
    before = getattr(_of_thread, "kept", False)
    _of_thread.kept = True
    try:
        yield
    finally:
        _of_thread.kept = before


@keras.saving.register_keras_serializable("keras_dl")
class BatchNormalization(keras.layers.BatchNormalization):
    """Normalise each channel over the batch, then scale and shift it.

    It is keras.layers.BatchNormalization with all its arguments and two differences, both the paper's or its authors':
    the running variance averages the batches' unbiased variance (Keras: the biased one), and by default momentum is 0.9
    and epsilon 1e-5 (Keras: 0.99 and 1e-3). With `renorm`, Keras' own code runs, and the running variance is Keras'.

    In training, y = gamma * (x - mean) / sqrt(variance + epsilon) + beta with the batch's mean and its biased variance
    (a sum over m values, divided by m); the running averages are updated with the mean and the unbiased variance (times
    m / (m - 1)). At inference, the same equation uses the running averages.

    In training the fused kernel is used where it applies: four axes, channels last, no mask, not synchronized.
    Elsewhere the same equations are computed with several ops.

    A mask says which positions count for the statistics; non-finite inputs where it is False are replaced by 0.

    Args:
        axis: the axis of the channels.
        momentum: share of the old running average that each step keeps, in [0, 1].
        epsilon: added to the variance, so that a constant channel is not divided by zero.
        **kwargs: as keras.layers.BatchNormalization takes them.

    Source: arXiv:1502.03167, algorithm 1 (training) and algorithm 2, lines 8-11 (inference).

    >>> import numpy as np
    >>> layer = BatchNormalization()
    >>> layer(np.array([[[[1.0]], [[3.0]]]], "float32"), training=True).numpy().round(3).ravel().tolist()
    [-1.0, 1.0]
    >>> round(float(layer.moving_variance[0]), 3)  # 0.9 * 1 + 0.1 * 2, the unbiased variance of 1 and 3
    1.1
    """

    @in_the_order_of(keras.layers.BatchNormalization)
    def __init__(self, axis=-1, momentum=0.9, epsilon=1e-5, **kwargs):
        super().__init__(axis=axis, momentum=momentum, epsilon=epsilon, **kwargs)

    def call(self, inputs, training=None, mask=None):
        if mask is not None and len(mask.shape) == len(inputs.shape) - 1:  # else Keras says what is wrong
            # 0 times NaN is NaN, in the mean and in every gradient.
            counts = ops.cast(mask, "bool")[..., None] | ops.isfinite(inputs)
            inputs = ops.where(counts, inputs, ops.zeros((), inputs.dtype))
        if self.renorm or not (training and self.trainable):
            # Not the fused kernel: TensorFlow would fuse it further with the convolution before it and the activation
            # after it, and such a graph, or an export, fails on a CPU if the activation is tanh or sigmoid.
            return super().call(inputs, training, mask)

        fused = self._kernel_applies(inputs, mask)
        outputs, mean, variance = self._fused(inputs) if fused else self._op_by_op(inputs, mask)
        if getattr(_of_thread, "kept", False):
            return outputs
        for average, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(self.momentum * average + (1.0 - self.momentum) * ops.cast(new, average.dtype))
        return outputs

    def _kernel_applies(self, inputs, mask):
        return (
            len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and keras.backend.standardize_dtype(inputs.dtype) in KERNEL_DTYPES
            and keras.backend.standardize_dtype(inputs.dtype) == self.compute_dtype
            and self.variable_dtype == "float32"
            and mask is None
            and not self.synchronized
            and not self.renorm
        )

    def _fused(self, inputs):
        """Outputs (B, H, W, C), the batch's mean (C,) and its unbiased variance (C,)."""
        channels = (inputs.shape[-1],)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=ops.convert_to_tensor(self.gamma) if self.scale else tf.ones(channels),
            offset=ops.convert_to_tensor(self.beta) if self.center else tf.zeros(channels),
            mean=tf.zeros((0,)),  # in training the kernel takes no averages and returns the batch's own
            variance=tf.zeros((0,)),
            epsilon=self.epsilon,
            is_training=True,
        )
        return outputs, mean, variance

    def _op_by_op(self, inputs, mask):
        """As _fused, for inputs that the kernel does not take; half precision is computed in float32, as there."""
        x = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        mean, variance = self._moments(x, mask)  # Keras' method: handles masks and replicas
        outputs = ops.batch_normalization(
            x,
            mean,
            variance,
            axis=self.axis,
            offset=ops.cast(self.beta, x.dtype) if self.center else None,
            scale=ops.cast(self.gamma, x.dtype) if self.scale else None,
            epsilon=self.epsilon,
        )
        m = ops.cast(tf.size(x) // x.shape[self.axis] if mask is None else tf.math.count_nonzero(mask), x.dtype)
        if self.synchronized:
            m = m * tf.distribute.get_strategy().num_replicas_in_sync
        return ops.cast(outputs, self.compute_dtype), mean, variance * m / ops.maximum(m - 1, 1)
