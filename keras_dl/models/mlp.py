"""Multi-layer perceptron: fully connected layers with a non-linearity between them.

Source: Simard, Steinkraus and Platt, "Best Practices for Convolutional Neural Networks" (ICDAR 2003).
Deviations: two hidden layers of 512 rectified units (the paper: one layer of 800 units); dropout (arXiv:1207.0580) and
batch normalisation (arXiv:1502.03167) as options, off by default.
Shapes: B images, H x W pixels, C channels, K classes.
Laws and figures: python -m keras_dl list mlp
"""

import math

import keras
from keras import layers

from keras_dl.arguments import ModelName, OneOf, Share, YesOrNo, checked
from keras_dl.layers.normalization import BatchNormalization
from keras_dl.models._sizes import Classes, ImageShape, Widths, check_weights, dense

ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu", "silu", "elu")
PARAMETERS = 669_706  # trainable, at the defaults


@checked
def build_mlp(
    input_shape: ImageShape = (28, 28, 1),
    num_classes: Classes = 10,
    *,
    units: Widths = (512, 512),
    activation: OneOf(*ACTIVATIONS) = "relu",
    dropout: Share = 0.0,
    batch_norm: YesOrNo = False,
    name: ModelName = "mlp",
):
    """Build a multi-layer perceptron.

    Args:
        input_shape: (H, W, C), without the batch axis.
        num_classes: K, at least 2.
        units: width of each hidden layer.
        activation: non-linearity of the hidden layers, one of ACTIVATIONS.
        dropout: share of each hidden layer's outputs that training sets to zero.
        batch_norm: normalise each hidden layer before its non-linearity.
        name: name of the model.

    Returns:
        An uncompiled model: "image" (B, H, W, C) float32 -> "logits" (B, K) float32, unnormalised log-probabilities.

    Raises:
        ArgumentError: an argument does not fit its annotation, or the weights are too many.

    >>> build_mlp(units=(32,)).count_params()  # (784 + 1) * 32 + (32 + 1) * 10
    25450
    """
    check_weights("build_mlp", dense(math.prod(input_shape), *units, num_classes))

    image = keras.Input(input_shape, name="image")
    x = layers.Flatten(name="flatten")(image)  # (B, H * W * C)
    for number, width in enumerate(units, start=1):
        # No bias before batch normalisation, which has its own.
        x = layers.Dense(
            width, use_bias=not batch_norm, kernel_initializer=_initializer(activation), name=f"hidden{number}"
        )(x)
        if batch_norm:
            x = BatchNormalization(name=f"hidden{number}_bn")(x)
        x = layers.Activation(activation, name=f"hidden{number}_{activation}")(x)
        if dropout:
            x = layers.Dropout(dropout, name=f"hidden{number}_dropout")(x)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(image, logits, name=name)


def mlp_space(hp):
    """What to search: width, depth and dropout; untouched, it gives build_mlp's defaults."""
    width = hp.Choice("width", [128, 256, 512, 1024], default=512)
    depth = hp.Int("depth", 1, 3, default=2)
    return {"units": (width,) * depth, "dropout": hp.Choice("dropout", [0.0, 0.2, 0.5], default=0.0)}


def _initializer(activation):
    # He's variance, 2 / fan_in, makes up for the half of the inputs that a rectifier sets to zero (arXiv:1502.01852).
    return "glorot_uniform" if activation in ("tanh", "sigmoid") else "he_normal"
