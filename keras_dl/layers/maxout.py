"""Maxout units.

Source: Goodfellow et al., "Maxout Networks" (arXiv:1302.4389), section 3.
Shapes: D inputs, N units, k pieces of a unit.
"""

import keras
from keras import ops

from keras_dl.layers import cells


@keras.saving.register_keras_serializable("keras_dl")
class Maxout(keras.layers.Layer):
    """Each unit is the maximum of k linear units: h_i = max_j (x W_ij + b_ij), (..., D) -> (..., N).

    Args:
        units: N, width of the output.
        pieces: k, linear units of a unit.
        kernel_initializer: of the kernel (D, N k); the pieces of a unit are next to one another.

    Source: arXiv:1302.4389, section 3. The default is the smallest k with which a unit is not linear.

    >>> Maxout(3)(keras.ops.ones((2, 4))).shape
    TensorShape([2, 3])
    """

    def __init__(self, units, pieces=cells.PIECES, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.units, self.pieces = units, pieces
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        width = self.pieces * self.units
        self.kernel = self.add_weight(
            name="kernel", shape=(input_shape[-1], width), initializer=self.kernel_initializer
        )
        self.bias = self.add_weight(name="bias", shape=(width,), initializer="zeros")

    def call(self, inputs):
        linear = ops.matmul(inputs, self.kernel) + self.bias
        return ops.max(ops.reshape(linear, (*ops.shape(linear)[:-1], self.units, self.pieces)), -1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return super().get_config() | {"units": self.units, "pieces": self.pieces, "kernel_initializer": initializer}
