"""Output layers of networks for sequences."""

import keras


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


@keras.saving.register_keras_serializable("keras_dl")
class LastStep(keras.layers.Layer):
    """The last step of a sequence: (B, T, D) -> (B, D).

    >>> LastStep()(keras.ops.ones((1, 3, 2))).numpy().tolist()
    [[1.0, 1.0]]
    """

    def call(self, inputs):
        return inputs[:, -1]

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[2])
