"""LeNet-5 in its modern form.

Source: LeCun et al., "Gradient-Based Learning Applied to Document Recognition" (1998), section II.B.
Deviations: pooling has no trainable coefficient and no non-linearity after it; every map of C3 sees all maps of S2
(the paper's table leaves some out); F6 feeds a linear layer whose outputs are the logits of a softmax, instead of
Euclidean radial basis units; the squashing function is tanh(a), not 1.7159 tanh(2a / 3). The paper's 32 x 32 input is
28 x 28 with a border of two pixels: here C1 pads ("same").
Shapes: B images, H x W pixels, C channels, K classes.
Laws and figures: python -m keras_dl list convnet
"""

import math

import keras
from keras import layers

from keras_dl.arguments import ArgumentError, ModelName, OneOf, Share, Tuple, Whole, YesOrNo, checked
from keras_dl.layers.normalization import BatchNormalization
from keras_dl.models._sizes import Classes, ImageShape, Width, Widths, check_weights, dense

ACTIVATIONS = ("tanh", "relu", "sigmoid", "gelu", "silu", "elu")
POOLING = {"average": layers.AveragePooling2D, "max": layers.MaxPooling2D}
PARAMETERS = 61_706  # trainable, at the defaults


@checked
def build_convnet(
    input_shape: ImageShape = (28, 28, 1),
    num_classes: Classes = 10,
    *,
    filters: Tuple(Width, 2, 2) = (6, 16),
    kernel_size: Whole(1, 999) = 5,
    units: Widths = (120, 84),
    pooling: OneOf(*POOLING) = "average",
    activation: OneOf(*ACTIVATIONS) = "tanh",
    batch_norm: YesOrNo = False,
    dropout: Share = 0.0,
    name: ModelName = "convnet",
):
    """Build LeNet-5: convolution, pooling, convolution, pooling, then fully connected layers.

    Args:
        input_shape: (H, W, C), without the batch axis; H and W at least 2 (kernel_size + 1).
        num_classes: K, at least 2.
        filters: maps of C1 and of C3.
        kernel_size: height and width of both convolutions' kernels, in pixels, odd.
        units: width of each hidden fully connected layer.
        pooling: "average" or "max", over 2 x 2 pixels.
        activation: non-linearity of all hidden layers, one of ACTIVATIONS.
        batch_norm: normalise each hidden layer before its non-linearity.
        dropout: share of each hidden fully connected layer's outputs that training sets to zero.
        name: name of the model.

    Returns:
        An uncompiled model: "image" (B, H, W, C) float32 -> "logits" (B, K) float32, unnormalised log-probabilities.

    Raises:
        ArgumentError: an argument does not fit its annotation or another argument, or the weights are too many.

    >>> build_convnet().get_layer("pool2").output.shape
    (None, 5, 5, 16)
    """
    _check(input_shape, num_classes, filters, kernel_size, units)
    # No bias before batch normalisation, which has its own. He's variance is for units that are zero half of the time.
    bias = not batch_norm
    kernel = "glorot_uniform" if activation in ("tanh", "sigmoid") else "he_normal"

    image = keras.Input(input_shape, name="image")
    x = image
    for number, (maps, padding) in enumerate(zip(filters, ("same", "valid"), strict=True), start=1):
        x = layers.Conv2D(
            maps, kernel_size, padding=padding, use_bias=bias, kernel_initializer=kernel, name=f"conv{number}"
        )(x)
        x = _activated(x, activation, batch_norm, f"conv{number}")
        x = POOLING[pooling](2, name=f"pool{number}")(x)  # (B, H / 2, W / 2, maps), halves rounded down
    x = layers.Flatten(name="flatten")(x)
    for number, width in enumerate(units, start=1):
        x = layers.Dense(width, use_bias=bias, kernel_initializer=kernel, name=f"hidden{number}")(x)
        x = _activated(x, activation, batch_norm, f"hidden{number}")
        if dropout:
            x = layers.Dropout(dropout, name=f"hidden{number}_dropout")(x)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(image, logits, name=name)


def convnet_space(hp):
    """What to search: maps, pooling, non-linearity and dropout; untouched, it gives build_convnet's defaults."""
    width = hp.Choice("width", [1, 2, 4], default=1)
    return {
        "filters": (6 * width, 16 * width),
        "pooling": hp.Choice("pooling", ["average", "max"], default="average"),
        "activation": hp.Choice("activation", ["tanh", "relu"], default="tanh"),
        "dropout": hp.Choice("dropout", [0.0, 0.25, 0.5], default=0.0),
    }


def _check(input_shape, num_classes, filters, kernel_size, units):
    who = "build_convnet"
    if kernel_size % 2 == 0:
        raise ArgumentError(
            f"{who}: kernel_size must be odd; got {kernel_size}. Nearest: {kernel_size - 1} or {kernel_size + 1}."
        )
    height, width, channels = input_shape
    smallest = 2 * (kernel_size + 1)  # C3 needs kernel_size + 1 after the first pooling to leave 2 for the second
    if min(height, width) < smallest:
        raise ArgumentError(
            f"{who}: with kernel_size={kernel_size}, input_shape must be at least {smallest} x {smallest} pixels; "
            f"got {height} x {width}."
        )
    pixels = math.prod((side // 2 - kernel_size + 1) // 2 for side in (height, width))  # of a map after S4
    check_weights(who, kernel_size**2 * dense(channels, *filters) + dense(pixels * filters[1], *units, num_classes))


def _activated(x, activation, batch_norm, name):
    if batch_norm:
        x = BatchNormalization(name=f"{name}_bn")(x)
    return layers.Activation(activation, name=f"{name}_{activation}")(x)
