"""LeNet-5 in its modern form.

Source: LeCun et al., "Gradient-Based Learning Applied to Document Recognition" (1998), section II.B.
Deviations: pooling has no trainable coefficient and no non-linearity after it; every map of C3 sees all maps of S2
(the paper's table leaves some out); F6 feeds a linear layer whose outputs are the logits of a softmax, in place of the
Euclidean radial basis units; the squashing function is tanh(a), not 1.7159 tanh(2a / 3). The paper's 32 x 32 input is
28 x 28 with a border of two: here C1 pads ("same").
Shapes: B images, H x W pixels, C channels, K classes.
"""

import keras
from keras import layers

from keras_dl.layers.normalization import BatchNormalization
from keras_dl.models import _checks

ACTIVATIONS = ("tanh", "relu", "sigmoid", "gelu", "silu", "elu")
POOLING = {"average": layers.AveragePooling2D, "max": layers.MaxPooling2D}
PARAMETERS = 61_706  # trainable, at the defaults


def build_convnet(
    input_shape=(28, 28, 1),
    num_classes=10,
    *,
    filters=(6, 16),
    kernel_size=5,
    units=(120, 84),
    pooling="average",
    activation="tanh",
    batch_norm=False,
    dropout=0.0,
    name="convnet",
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
        ValueError: an argument is outside what is said above.

    >>> build_convnet().get_layer("pool2").output.shape
    (None, 5, 5, 16)
    """
    _check(input_shape, num_classes, filters, kernel_size, units, pooling, activation, batch_norm, dropout)
    # No bias before batch normalisation, which has its own. He's variance suits what is zero for half of its inputs.
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


def _check(input_shape, num_classes, filters, kernel_size, units, pooling, activation, batch_norm, dropout):
    who = "build_convnet"
    _checks.image_classifier(who, input_shape, num_classes)
    _checks.whole_numbers(who, "filters", filters, length=2, example=(6, 16))
    _checks.whole_number(who, "kernel_size", kernel_size)
    if kernel_size % 2 == 0:
        raise ValueError(
            f"{who}: kernel_size must be odd; got {kernel_size}. Nearest: {kernel_size - 1} or {kernel_size + 1}."
        )
    _checks.whole_numbers(who, "units", units, example=(120, 84))
    _checks.one_of(who, "pooling", pooling, tuple(POOLING))
    _checks.one_of(who, "activation", activation, ACTIVATIONS)
    _checks.yes_or_no(who, "batch_norm", batch_norm)
    _checks.share(who, "dropout", dropout)
    smallest = 2 * (kernel_size + 1)  # C3 needs kernel_size + 1 after the first pooling to leave 2 for the second
    if min(input_shape[:2]) < smallest:
        raise ValueError(
            f"{who}: with kernel_size={kernel_size} the image must be at least {smallest} x {smallest} pixels; "
            f"got {input_shape[0]} x {input_shape[1]}."
        )


def _activated(x, activation, batch_norm, name):
    if batch_norm:
        x = BatchNormalization(name=f"{name}_bn")(x)
    return layers.Activation(activation, name=f"{name}_{activation}")(x)
