"""What build_pixelcnn, build_gated_pixelcnn and build_pixelrnn share: first and last layers, and checks."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import layers

from keras_dl.arguments import ArgumentError, OneOf, Whole
from keras_dl.distributions import LEVEL_KINDS, DiscreteLevel
from keras_dl.layers.masked_convolution import MaskedConv2D, PixelParameters

Output = OneOf(*LEVEL_KINDS)
Levels = Whole(2, 65_536)
Kernel = Whole(3, 99)
Blocks = Whole(1, 48)  # more would be too many nested calls for Keras, see _sizes.py
Components = Whole(1, 1000)


def check(who, output, levels, **kernels):
    """Refuse an output that does not fit the levels, and kernel sizes that are even.

    Args:
        who: name of the builder.
        output, levels: its arguments.
        **kernels: {argument: kernel size}.

    Raises:
        ArgumentError: one of them does not fit.
    """
    if output == "bernoulli" and levels != 2:
        raise ArgumentError(f"{who}: output='bernoulli' needs levels=2; got {levels}. Nearest: output='categorical'.")
    for name, size in kernels.items():
        if size % 2 == 0:
            raise ArgumentError(f"{who}: {name} must be odd; got {size}. Nearest: {size - 1} or {size + 1}.")


def begin(input_shape, levels):
    """(the input "image" (B, H, W, C), the same scaled to [-1, 1])"""
    image = keras.Input(input_shape, dtype="float32", name="image")
    return image, layers.Rescaling(2 / (levels - 1), -1.0, name="scaled")(image)


def head(x, top_filters, channels, output, levels, components):
    """Layers of ReLU and 1x1 convolution with mask B, and the output: (B, H, W, D) -> "parameters" (B, H, W, C, P)."""
    for number, filters in enumerate(top_filters, 1):
        x = layers.ReLU(name=f"top{number}_relu")(x)
        x = MaskedConv2D(filters, 1, mask="B", channels=channels, name=f"top{number}")(x)
    x = layers.ReLU(name="parameters_relu")(x)
    count = DiscreteLevel.parameters_of(output, levels, components)
    return PixelParameters(count, channels=channels, dtype="float32", name="parameters")(x)


def head_weights(width, top_filters, channels, output, levels, components):
    """Number of weights of `head`, without biases, for `width` features that come in."""
    widths = [width, *top_filters, channels * DiscreteLevel.parameters_of(output, levels, components)]
    return sum(a * b for a, b in zip(widths[:-1], widths[1:], strict=True))


class Memory(NamedTuple):
    """What no step changes.

    Attributes:
        prepared: what is computed from the weights once for all steps, such as masked kernels; no axis is one of rows.
        context: tensors of B rows; () if the model is not conditional.
    """

    prepared: Any = ()
    context: Any = ()


class Head:
    """`head` for single pixels.

    Args:
        model: a model whose last layers `head` made.
    """

    def __init__(self, model):
        tops = [layer for layer in model.layers if layer.name.startswith("top") and isinstance(layer, MaskedConv2D)]
        self.layers = (*tops, model.get_layer("parameters"))

    def prepared(self):
        """Kernels and biases, computed once for all pixels."""
        return [layer.pixel_weights() for layer in self.layers]

    def __call__(self, x, prepared):
        """(N, D) -> (N, C, P)."""
        for kernel, bias in prepared:
            x = tf.matmul(tf.cast(tf.nn.relu(x), kernel.dtype), kernel) + bias
        last = self.layers[-1]
        return tf.reshape(x, [-1, last.channels, last.parameters])


def left_of(row, column, pixels):
    """The pixel of a row and `pixels` to its left: row (N, W, D) -> (N, pixels + 1, D), zeros beyond the image."""
    return tf.pad(row, [[0, 0], [pixels, 0], [0, 0]])[:, column : column + pixels + 1]


def pushed(window, new):
    """A window (N, M, ...) moved on by one: without its first entry, and with `new` (N, ...) as its last."""
    return tf.concat([window[:, 1:], new[:, None]], 1)
