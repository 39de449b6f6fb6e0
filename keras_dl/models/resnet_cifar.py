"""Residual networks for small images.

Source: He et al., "Deep Residual Learning for Image Recognition" (arXiv:1512.03385), section 4.2:
a 3 x 3 stem, three stages of n two-convolution blocks, average pooling, one linear layer; depth = 6n + 2.
Shortcuts are the paper's option A: where the shape changes, subsample and pad the channels with zeros.
Batch normalisation comes after each convolution and before the rectifier, as in the paper.
Deviation: one half of the zero channels comes before the old channels, one half after (the paper does not say where).
The paper's weight decay of all weights is an argument of the optimizer.
Shapes: B images, H x W pixels, C channels, K classes.
Laws and figures: python -m keras_dl list resnet_cifar
"""

import keras
from keras import layers

from keras_dl.arguments import ArgumentError, ModelName, OneOf, Whole, checked
from keras_dl.layers.normalization import BatchNormalization
from keras_dl.models._sizes import Classes, ImageShape, Width, check_weights

STAGES = 3  # each stage after the first halves H and W, rounded up, and doubles the filters
PARAMETERS = 269_722  # trainable, at the defaults


@checked
def build_resnet_cifar(
    input_shape: ImageShape = (32, 32, 3),
    num_classes: Classes = 10,
    *,
    depth: Whole(8, 200) = 20,
    filters: Width = 16,
    shortcut: OneOf("identity", "none") = "identity",
    name: ModelName = "resnet_cifar",
):
    """Build a residual classifier of small images.

    Args:
        input_shape: (H, W, C), without the batch axis.
        num_classes: K, at least 2.
        depth: number of weighted layers on the main path, 6n + 2.
        filters: channels of the first stage; the last stage has four times as many.
        shortcut: "identity" (option A), or "none" for the plain network of the same paper.
        name: name of the model.

    Returns:
        An uncompiled model: "image" (B, H, W, C) float32, standardised per channel
        -> "logits" (B, K) float32, unnormalised log-probabilities.

    Raises:
        ArgumentError: an argument does not fit its annotation, `depth` is not 6n + 2, or the weights are too many.

    >>> build_resnet_cifar(depth=8, filters=4).output_shape
    (None, 10)
    """
    n, remainder = divmod(depth - 2, 6)  # blocks of a stage
    if remainder:
        raise ArgumentError(
            f"build_resnet_cifar: depth must be 6n + 2 for a whole n >= 1 (8, 20, 32, 56, 110); "
            f"got {depth}. Nearest: {6 * n + 2} or {6 * n + 8}."
        )
    blocks = sum(2 * 9 * n * (filters * 2**stage) ** 2 for stage in range(STAGES))
    check_weights("build_resnet_cifar", 9 * input_shape[-1] * filters + blocks + 4 * filters * num_classes)

    image = keras.Input(input_shape, name="image")
    x = _conv_bn(image, filters, name="stem")
    x = layers.ReLU(name="stem_relu")(x)
    for stage in range(STAGES):
        for block in range(n):
            stride = 2 if stage > 0 and block == 0 else 1
            x = _block(x, filters * 2**stage, stride, shortcut, f"stage{stage + 1}_block{block + 1}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)  # (B, 4 * filters)
    logits = layers.Dense(num_classes, kernel_initializer="he_normal", dtype="float32", name="logits")(x)
    return keras.Model(image, logits, name=name)


def resnet_cifar_space(hp):
    """What to search: depth and width; untouched, it gives build_resnet_cifar's defaults."""
    return {
        "depth": hp.Choice("depth", [8, 14, 20, 32, 56], default=20),
        "filters": hp.Choice("filters", [8, 16, 32], default=16),
    }


def _block(x, filters, stride, shortcut, name):
    """relu(F(x) + x): (B, H, W, C) -> (B, H / stride, W / stride, filters), rounded up."""
    y = _conv_bn(x, filters, stride, name=f"{name}_1")
    y = layers.ReLU(name=f"{name}_1_relu")(y)
    y = _conv_bn(y, filters, name=f"{name}_2")
    if shortcut == "identity":
        y = layers.Add(name=f"{name}_add")([y, _option_a(x, filters, stride, name)])
    return layers.ReLU(name=f"{name}_relu")(y)


def _option_a(x, filters, stride, name):
    """Option A: x if the shape stays; else every `stride`-th pixel of it, with zero channels added on both sides."""
    if stride > 1:
        # Averages over windows of one pixel are the pixels: this only subsamples.
        x = layers.AveragePooling2D(1, strides=stride, name=f"{name}_subsample")(x)
    extra = filters - x.shape[-1]
    if extra:
        # With channels_first the layer pads the last two axes, which here are W and the channels.
        padding = ((0, 0), (extra // 2, extra - extra // 2))
        x = layers.ZeroPadding2D(padding, data_format="channels_first", name=f"{name}_channels")(x)
    return x


def _conv_bn(x, filters, stride=1, *, name):
    # With stride 2, Keras' "same" would pad only at the bottom and right; the paper pads one pixel on every side.
    if stride > 1:
        x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    x = layers.Conv2D(
        filters,
        3,
        stride,
        padding="same" if stride == 1 else "valid",
        use_bias=False,  # batch normalisation has its own
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return BatchNormalization(name=f"{name}_bn")(x)
