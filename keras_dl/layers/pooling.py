"""Max-pooling of volumes in every precision.

TensorFlow has none for float64, in which gradients are checked, and none for float16 on a CPU; there the maximum is
taken along one pair of axes after the other, which is the same.
Shapes: B volumes, D x H x W voxels, C channels.
"""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("keras_dl")
class MaxPooling3D(keras.layers.MaxPooling3D):
    """Keras' MaxPooling3D, also for float64 and float16: (B, D, H, W, C) -> (B, D', H', W', C)."""

    def call(self, inputs):
        if inputs.dtype in (tf.float32, tf.bfloat16):
            return super().call(inputs)
        padding = self.padding.upper()
        (depth, *plane), (depth_stride, *plane_strides) = self.pool_size, self.strides
        shape = tf.shape(inputs)
        x = tf.reshape(inputs, [shape[0] * shape[1], *inputs.shape[2:]])
        x = tf.nn.max_pool2d(x, plane, plane_strides, padding)
        height, width, channels = x.shape[1:]
        x = tf.reshape(x, [shape[0], inputs.shape[1], height * width, channels])
        x = tf.nn.max_pool2d(x, [depth, 1], [depth_stride, 1], padding)
        return tf.reshape(x, [shape[0], x.shape[1], height, width, channels])
