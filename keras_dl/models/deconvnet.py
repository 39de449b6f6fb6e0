"""The deconvolution network: VGG-16's convolutions, a bottleneck that sees all of the image, and their mirror image.

Source: Noh, Hong and Han, "Learning Deconvolution Network for Semantic Segmentation" (arXiv:1505.04366), section 3 and
table 4: unpooling with switches, then deconvolution (a transposed convolution with stride 1), each with batch
normalisation and ReLU; two fully connected layers of 4096 units as convolutions of 7 x 7 and 1 x 1 at the bottleneck.
Deviations: He's initial weights for all layers (paper: the encoder's are VGG-16's, trained on ImageNet); convolutions
have no bias, since batch normalisation has its own. With dimensions=3 windows and kernels are cubes; with upsampling
"nearest" or "bilinear" the decoder sees no switches. Sides of odd length are kept (layers/unpooling.py).
Shapes: B images of H x W pixels, or volumes of D x H x W voxels, C channels, K classes.
Laws and figures: python -m keras_dl list deconvnet
"""

import keras

from keras_dl.arguments import ArgumentError, ModelName, OneOf, Tuple, Whole, checked
from keras_dl.models import _mirrored
from keras_dl.models._sizes import Classes, Width

LARGEST_BOTTLENECK = 7  # the paper's, for 224 x 224 pixels
PARAMETERS = 251_788_949  # trainable, at the defaults


@checked
def build_deconvnet(
    input_shape: _mirrored.SpaceShape = (224, 224, 3),
    num_classes: Classes = 21,
    *,
    filters: Tuple(Width, most=8) = (64, 128, 256, 512, 512),
    depth: Tuple(Whole(1, 16), most=8) = (2, 2, 3, 3, 3),
    kernel_size: Whole(1, 99) = 3,
    units: Width = 4096,
    bottleneck_size: Whole(1, LARGEST_BOTTLENECK) | None = None,
    upsampling: OneOf(*_mirrored.UPSAMPLING) = "switches",
    dimensions: OneOf(2, 3) = 2,
    name: ModelName = "deconvnet",
):
    """Build the deconvolution network.

    Args:
        input_shape: (H, W, C), or (D, H, W, C) with dimensions=3, without the batch axis; sides of any length.
        num_classes: K, at least 2.
        filters: maps of each stage of the encoder; the decoder has them in reverse.
        depth: convolutions of each stage, and deconvolutions of its mirror image.
        kernel_size: sides of the stages' kernels, in pixels, odd.
        units: maps of the two layers at the bottleneck.
        bottleneck_size: sides of the kernel to the bottleneck and of the one from it, in pixels of the maps there;
            None: as long as these maps' shorter side, at most 7: at 224 x 224 it covers all of them.
        upsampling: "switches": unpooling to where the maxima were; "nearest" or "bilinear": up-sampling in its place.
        dimensions: 2 for images, 3 for volumes.
        name: name of the model.

    Returns:
        An uncompiled model: "image" (B, H, W, C) float32 -> "logits" (B, H, W, K) float32, unnormalised
        log-probabilities of each pixel's class; with dimensions=3 "volume" (B, D, H, W, C) -> (B, D, H, W, K).

    Raises:
        ArgumentError: an argument does not fit its annotation or another argument, or the weights are too many.

    >>> build_deconvnet((45, 23, 3), 4, filters=(2, 4), depth=(1, 2), units=8).output.shape
    (None, 45, 23, 4)
    """
    who = "build_deconvnet"
    if kernel_size % 2 == 0:
        raise ArgumentError(
            f"{who}: kernel_size must be odd; got {kernel_size}. Nearest: {kernel_size - 1} or {kernel_size + 1}."
        )
    _mirrored.check_shape(who, input_shape, dimensions, filters, depth)
    shortest = min(_mirrored.smallest(input_shape, len(filters)))
    size = bottleneck_size or min(shortest, LARGEST_BOTTLENECK)
    if size > shortest:
        raise ArgumentError(
            f"{who}: bottleneck_size must be at most {shortest}, the shorter side of the maps after {len(filters)} "
            f"poolings; got {size}. Nearest: {shortest}."
        )
    of_bottleneck = 2 * size**dimensions * filters[-1] * units + units**2 + filters[0] * num_classes
    _mirrored.check_count(who, kernel_size, input_shape, filters, depth, of_bottleneck)

    convolution, deconvolution = _mirrored.CONVOLUTION[dimensions], _mirrored.DECONVOLUTION[dimensions]
    image = keras.Input(input_shape, name=_mirrored.INPUTS[dimensions])
    x, pooled = _mirrored.encoded(image, filters, depth, kernel_size, upsampling)
    x = _mirrored.normalised(convolution, units, size, "fc6", padding="valid")(x)
    x = _mirrored.normalised(convolution, units, 1, "fc7")(x)
    x = _mirrored.normalised(deconvolution, filters[-1], size, "fc6_deconv", padding="valid")(x)
    for stage in range(len(filters), 0, -1):
        width = filters[max(stage - 2, 0)]
        x = _mirrored.decoded(
            x, stage, deconvolution, width, depth[stage - 1], kernel_size, pooled[stage - 1], upsampling, "deconv"
        )
    logits = convolution(num_classes, 1, dtype="float32", name="logits")(x)
    return keras.Model(image, logits, name=name)


def deconvnet_space(hp):
    """What to search: widths and the up-sampling; untouched, it gives build_deconvnet's defaults."""
    width = hp.Choice("width", [8, 16, 32, 64], default=64)
    return {
        "filters": tuple(width * times for times in (1, 2, 4, 8, 8)),
        "units": hp.Choice("units", [256, 1024, 4096], default=4096),
        "upsampling": hp.Choice("upsampling", list(_mirrored.UPSAMPLING), default="switches"),
    }
