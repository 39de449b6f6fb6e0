"""A ConvNet for volumes, such as magnetic resonance images.

Source: Khvostikov et al., "3D CNN-based classification using sMRI and MD-DTI images for Alzheimer disease studies"
(arXiv:1801.05968). Layer by layer as a reader rebuilt it, unverified: kernels of 5, 4, 3 and 3 voxels with 16, 32, 64
and 128 maps, each block

    max-pooling by 2 (rectifier (batch normalisation (convolution)))

then fully connected layers of 16 and 8 units, dropout of a half, and the logits.
Deviations: convolutions keep the size of a volume ("same"), without which four blocks would need more than 28 voxels a
side; no bias before batch normalisation, which has its own. An L2 term is an argument of the optimizer.
Shapes: B volumes, D x H x W voxels, C channels, K classes.
Laws and figures: python -m keras_dl list convnet3d
"""

import math

import keras
from keras import layers

from keras_dl.arguments import ArgumentError, ModelName, OneOf, Share, Tuple, Whole, checked
from keras_dl.layers.normalization import BatchNormalization
from keras_dl.layers.pooling import MaxPooling3D
from keras_dl.models._sizes import Classes, VolumeShape, Width, check_weights, dense

PARAMETERS = 313_946  # trainable, at the defaults
HEADS = ("flatten", "average")


@checked
def build_convnet3d(
    input_shape: VolumeShape = (28, 28, 28, 1),
    num_classes: Classes = 2,
    *,
    filters: Tuple(Width, 1, 8) = (16, 32, 64, 128),
    kernel_size: Tuple(Whole(1, 99), 1, 8) = (5, 4, 3, 3),
    head: OneOf(*HEADS) = "flatten",
    units: Tuple(Width, 0, 8) = (16, 8),
    dropout: Share = 0.5,
    name: ModelName = "convnet3d",
):
    """Build blocks of convolution, batch normalisation, rectifier and pooling, then fully connected layers.

    Args:
        input_shape: (D, H, W, C), without the batch axis; each block halves D, H and W, rounded down.
        num_classes: K, at least 2.
        filters: maps of each block.
        kernel_size: side of each block's kernels, in voxels; as many as filters.
        head: what the last block's maps become: "flatten", one vector of all voxels, or "average", each map's mean.
        units: width of each hidden fully connected layer.
        dropout: share of the last hidden vector that training sets to zero.
        name: name of the model.

    Returns:
        An uncompiled model: "volume" (B, D, H, W, C) float32 -> "logits" (B, K) float32, unnormalised
        log-probabilities.

    Raises:
        ArgumentError: an argument does not fit its annotation or another argument, or the weights are too many.

    >>> build_convnet3d().get_layer("pool4").output.shape
    (None, 1, 1, 1, 128)
    """
    _check(input_shape, num_classes, filters, kernel_size, head, units)
    volume = keras.Input(input_shape, name="volume")
    x = volume
    for number, (maps, side) in enumerate(zip(filters, kernel_size, strict=True), start=1):
        x = layers.Conv3D(
            maps, side, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"conv{number}"
        )(x)
        x = BatchNormalization(name=f"conv{number}_bn")(x)
        x = layers.ReLU(name=f"conv{number}_relu")(x)
        x = MaxPooling3D(2, name=f"pool{number}")(x)  # (B, D / 2, H / 2, W / 2, maps), rounded down
    x = layers.Flatten(name="flatten")(x) if head == "flatten" else layers.GlobalAveragePooling3D(name="average")(x)
    for number, width in enumerate(units, start=1):
        x = layers.Dense(width, kernel_initializer="he_normal", name=f"hidden{number}")(x)
        x = layers.ReLU(name=f"hidden{number}_relu")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(volume, logits, name=name)


def convnet3d_space(hp):
    """What to search: head and dropout; untouched, it gives build_convnet3d's defaults."""
    return {
        "head": hp.Choice("head", list(HEADS), default="flatten"),
        "dropout": hp.Choice("dropout", [0.0, 0.25, 0.5], default=0.5),
    }


def _check(input_shape, num_classes, filters, kernel_size, head, units):
    who = "build_convnet3d"
    if len(filters) != len(kernel_size):
        raise ArgumentError(
            f"{who}: filters and kernel_size must have equal lengths; got {len(filters)} and {len(kernel_size)}."
        )
    *space, channels = input_shape
    smallest = 2 ** len(filters)
    if min(space) < smallest:
        raise ArgumentError(
            f"{who}: with {len(filters)} blocks, each of which halves the volume, input_shape must have at least "
            f"{smallest} voxels a side; got {' x '.join(map(str, space))}. Nearest: "
            f"{min(space).bit_length() - 1} blocks."
        )
    voxels = math.prod(side // smallest for side in space) if head == "flatten" else 1
    widths = zip((channels, *filters), filters, kernel_size, strict=False)
    blocks = sum(side**3 * before * maps for before, maps, side in widths)
    check_weights(who, blocks + dense(voxels * filters[-1], *units, num_classes))
