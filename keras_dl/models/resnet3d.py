"""Residual networks for volumes.

Source: He et al., "Deep Residual Learning for Image Recognition" (arXiv:1512.03385), table 1, with kernels of three
axes; as in MedMNIST's "ResNet-18 + 3D" (Yang et al. 2023), whose published figures are of 28 x 28 x 28 voxels. What
stem those have is not stated; here it is 3 x 3 x 3 with stride 1 and no pooling (stem="small"), as their networks of
pictures of 28 x 28 have, or 7 x 7 x 7 with stride 2 and max-pooling, as in table 1 (stem="large").
Blocks and shortcuts: models/_residual.py, the same as build_resnet's.
Shapes: B volumes, D x H x W voxels, C channels, K classes.
Laws and figures: python -m keras_dl list resnet3d
"""

import keras
from keras import layers

from keras_dl.arguments import ModelName, OneOf, YesOrNo, checked
from keras_dl.layers.pooling import MaxPooling3D
from keras_dl.models._residual import basic, conv_bn
from keras_dl.models._sizes import Classes, VolumeShape, Width, check_weights

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}  # of each stage
STEMS = {"small": (3, 1), "large": (7, 2)}  # kernel and stride
PARAMETERS = 33_145_419  # trainable, at the defaults


@checked
def build_resnet3d(
    input_shape: VolumeShape = (28, 28, 28, 1),
    num_classes: Classes = 11,
    *,
    depth: OneOf(*BLOCKS) = 18,
    filters: Width = 64,
    stem: OneOf(*STEMS) = "small",
    zero_init_residual: YesOrNo = False,
    name: ModelName = "resnet3d",
):
    """Build a residual classifier of volumes.

    Args:
        input_shape: (D, H, W, C), without the batch axis; the stages divide D, H and W by 8, and by 32 with
            stem="large", rounded up.
        num_classes: K, at least 2.
        depth: number of weighted layers on the main path: 18 or 34.
        filters: channels of the stem and of the first stage; each stage doubles them.
        stem: "small", 3 x 3 x 3, or "large", 7 x 7 x 7 with stride 2 and a max-pooling of 3 with stride 2.
        zero_init_residual: start the last scale of each block at zero, so that each block starts as the identity.
        name: name of the model.

    Returns:
        An uncompiled model: "volume" (B, D, H, W, C) float32 -> "logits" (B, K) float32, unnormalised
        log-probabilities.

    Raises:
        ArgumentError: an argument does not fit its annotation, or the weights are too many.

    >>> build_resnet3d((16, 16, 16, 1), 3, filters=4).get_layer("stage4_block2_relu").output.shape
    (None, 2, 2, 2, 32)
    """
    side, stride = STEMS[stem]
    stem_weights = side**3 * input_shape[-1] * filters
    check_weights("build_resnet3d", stem_weights + _of_stages(depth, filters) + 8 * filters * num_classes)
    last_gamma = "zeros" if zero_init_residual else "ones"
    volume = keras.Input(input_shape, name="volume")
    x = conv_bn(volume, filters, side, stride, name="stem")
    x = layers.ReLU(name="stem_relu")(x)
    if stem == "large":
        # Zero padding does not change a maximum: after the rectifier no value is below zero.
        x = layers.ZeroPadding3D(1, name="stem_pool_pad")(x)
        x = MaxPooling3D(3, 2, name="stem_pool")(x)
    for stage, count in enumerate(BLOCKS[depth]):
        for number in range(count):
            step = 2 if stage > 0 and number == 0 else 1
            x = basic(x, filters * 2**stage, step, last_gamma, f"stage{stage + 1}_block{number + 1}")
    x = layers.GlobalAveragePooling3D(name="pool")(x)
    logits = layers.Dense(num_classes, kernel_initializer="he_normal", dtype="float32", name="logits")(x)
    return keras.Model(volume, logits, name=name)


def resnet3d_space(hp):
    """What to search: width, and how blocks start; untouched, it gives build_resnet3d's defaults."""
    return {
        "filters": hp.Choice("filters", [8, 16, 32, 64], default=64),
        "zero_init_residual": hp.Boolean("zero_init_residual", default=False),
    }


def _of_stages(depth, filters):
    """Number of weights of all blocks, without the shortcuts' projections and the vectors."""
    count, before = 0, filters
    for stage, blocks in enumerate(BLOCKS[depth]):
        maps = filters * 2**stage
        count += 27 * (before * maps + (2 * blocks - 1) * maps**2)
        before = maps
    return count
