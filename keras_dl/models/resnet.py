"""Residual networks for ImageNet.

Source: He et al., "Deep Residual Learning for Image Recognition" (arXiv:1512.03385), table 1 and figure 5.
Shortcuts are the paper's option B: a 1 x 1 convolution where the shape changes, elsewhere the identity. Batch
normalisation comes after each convolution and before the rectifier.
The first convolution of a stage's first block has the stride, in a bottleneck the first 1 x 1, as in the paper
(PyTorch's networks have it on the bottleneck's 3 x 3; the weights have the same shapes).
Deviation: starting the last scale of a block at zero (arXiv:1706.02677, section 5.1) is an option, off by default.
The paper's weight decay of all weights is an argument of the optimizer.
Shapes: B images, H x W pixels, C channels, K classes.
Laws and figures: python -m keras_dl list resnet
"""

import keras
from keras import layers

from keras_dl.arguments import ModelName, OneOf, YesOrNo, checked
from keras_dl.layers.normalization import BatchNormalization
from keras_dl.models._sizes import Classes, ImageShape, Width, check_weights

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}  # per stage
BOTTLENECK = 4  # from depth 50 on, a block ends with four times the channels of its 3 x 3 convolution
PARAMETERS = 21_797_672  # trainable, at the defaults


@checked
def build_resnet(
    input_shape: ImageShape = (224, 224, 3),
    num_classes: Classes = 1000,
    *,
    depth: OneOf(*BLOCKS) = 34,
    filters: Width = 64,
    zero_init_residual: YesOrNo = False,
    name: ModelName = "resnet",
):
    """Build a residual classifier of images.

    Args:
        input_shape: (H, W, C), without the batch axis; the four stages divide H and W by 32, rounded up.
        num_classes: K, at least 2.
        depth: number of weighted layers on the main path: 18, 34, 50, 101 or 152.
        filters: channels of the stem and of the 3 x 3 convolutions of the first stage; each stage doubles them.
        zero_init_residual: start the last scale of each block at zero, so that each block starts as the identity.
        name: name of the model.

    Returns:
        An uncompiled model: "image" (B, H, W, C) float32, standardised per channel
        -> "logits" (B, K) float32, unnormalised log-probabilities.

    Raises:
        ArgumentError: an argument does not fit its annotation or another argument, or the weights are too many.

    >>> build_resnet((64, 64, 3), 10, depth=18, filters=4).get_layer("stage4_block2_relu").output.shape
    (None, 2, 2, 32)
    """
    check_weights("build_resnet", _weights(input_shape[-1], num_classes, depth, filters))
    block = _bottleneck if depth >= 50 else _basic
    last_gamma = "zeros" if zero_init_residual else "ones"
    image = keras.Input(input_shape, name="image")
    x = _conv_bn(image, filters, 7, 2, name="stem")
    x = layers.ReLU(name="stem_relu")(x)
    # Zero padding does not change a maximum: after the rectifier no value is below zero.
    x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
    x = layers.MaxPooling2D(3, 2, name="stem_pool")(x)  # (B, H / 4, W / 4, filters)
    for stage, blocks in enumerate(BLOCKS[depth]):
        for number in range(blocks):
            stride = 2 if stage > 0 and number == 0 else 1
            x = block(x, filters * 2**stage, stride, last_gamma, f"stage{stage + 1}_block{number + 1}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(num_classes, kernel_initializer="he_normal", dtype="float32", name="logits")(x)
    return keras.Model(image, logits, name=name)


def resnet_space(hp):
    """What to search: depth, and how blocks start; untouched, it gives build_resnet's defaults."""
    return {
        "depth": hp.Choice("depth", [18, 34, 50], default=34),
        "zero_init_residual": hp.Boolean("zero_init_residual", default=False),
    }


def _weights(channels, num_classes, depth, filters):
    """Number of weights, without the shortcuts' projections, which are at most an eighth of a stage's."""
    of_a_block = 2 * 9 if depth < 50 else 2 * BOTTLENECK + 9  # times the square of its filters
    blocks = sum(n * of_a_block * (filters * 2**stage) ** 2 for stage, n in enumerate(BLOCKS[depth]))
    features = 8 * filters * (1 if depth < 50 else BOTTLENECK)
    return 49 * channels * filters + blocks + features * num_classes


def _basic(x, filters, stride, last_gamma, name):
    """relu(F(x) + x) of two 3 x 3 convolutions: (B, H, W, C) -> (B, H / stride, W / stride, filters), rounded up."""
    y = _conv_bn(x, filters, 3, stride, name=f"{name}_1")
    y = layers.ReLU(name=f"{name}_1_relu")(y)
    y = _conv_bn(y, filters, 3, gamma=last_gamma, name=f"{name}_2")
    return _join(x, y, stride, name)


def _bottleneck(x, filters, stride, last_gamma, name):
    """relu(F(x) + x) of 1 x 1, 3 x 3, 1 x 1: (B, H, W, C) -> (B, H / stride, W / stride, 4 * filters), rounded up."""
    y = _conv_bn(x, filters, 1, stride, name=f"{name}_1")
    y = layers.ReLU(name=f"{name}_1_relu")(y)
    y = _conv_bn(y, filters, 3, name=f"{name}_2")
    y = layers.ReLU(name=f"{name}_2_relu")(y)
    y = _conv_bn(y, BOTTLENECK * filters, 1, gamma=last_gamma, name=f"{name}_3")
    return _join(x, y, stride, name)


def _join(x, y, stride, name):
    """Option B: the shortcut is a projection where the shape changes, the identity elsewhere."""
    if x.shape[-1] != y.shape[-1] or stride > 1:
        x = _conv_bn(x, y.shape[-1], 1, stride, name=f"{name}_shortcut")
    y = layers.Add(name=f"{name}_add")([y, x])
    return layers.ReLU(name=f"{name}_relu")(y)


def _conv_bn(x, filters, kernel_size, stride=1, *, gamma="ones", name):
    # With stride 2, Keras' "same" would pad more at the bottom and right; the paper pads all sides equally.
    padded = stride > 1 and kernel_size > 1
    if padded:
        x = layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x)
    x = layers.Conv2D(
        filters,
        kernel_size,
        stride,
        padding="valid" if padded else "same",
        use_bias=False,  # batch normalisation has its own
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return BatchNormalization(gamma_initializer=gamma, name=f"{name}_bn")(x)
