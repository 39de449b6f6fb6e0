"""Output layers of recurrent networks."""

import keras
from keras import ops

from keras_dl.layers import cells


@keras.saving.register_keras_serializable("keras_dl")
class Maxout(keras.layers.Layer):
    """Maxout: each unit is the maximum of two linear units, (..., D) -> (..., units).

    Args:
        units: width of the output.
        kernel_initializer: of the (D, 2 units) kernel.

    Source: Goodfellow et al., arXiv:1302.4389, section 3, with k = 2 pieces.

    >>> Maxout(3)(keras.ops.ones((2, 4))).shape
    TensorShape([2, 3])
    """

    def __init__(self, units, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.units, self.kernel_initializer = units, keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        width = cells.PIECES * self.units
        self.kernel = self.add_weight(
            name="kernel", shape=(input_shape[-1], width), initializer=self.kernel_initializer
        )
        self.bias = self.add_weight(name="bias", shape=(width,), initializer="zeros")

    def call(self, inputs):
        return cells.activate("maxout", ops.matmul(inputs, self.kernel) + self.bias)

    def get_config(self):
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return super().get_config() | {"units": self.units, "kernel_initializer": initializer}


@keras.saving.register_keras_serializable("keras_dl")
class OutputBias(keras.layers.Layer):
    """Add a bias per class: the rest of an output layer whose kernel is the embedding's matrix (tied weights).

    Source: Press and Wolf, arXiv:1608.05859; Inan et al., arXiv:1611.01462.

    >>> OutputBias()(keras.ops.ones((1, 2))).numpy().tolist()
    [[1.0, 1.0]]
    """

    activation = staticmethod(keras.activations.linear)

    def build(self, input_shape):
        self.bias = self.add_weight(name="bias", shape=(input_shape[-1],), initializer="zeros")

    def call(self, inputs):
        return inputs + self.bias
