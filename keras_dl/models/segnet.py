"""SegNet: an encoder of VGG-16's convolutions and a decoder that unpools with the encoder's switches.

Source: Badrinarayanan, Kendall and Cipolla, "SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image
Segmentation" (arXiv:1511.00561), section 3.
Deviations: He's initial weights for all layers (paper: the encoder's are VGG-16's, trained on ImageNet); convolutions
have no bias, since batch normalisation has its own. With dimensions=3 windows and kernels are cubes; with upsampling
"nearest" or "bilinear" the decoder sees no switches. Sides of odd length are kept (layers/unpooling.py).
Shapes: B images of H x W pixels, or volumes of D x H x W voxels, C channels, K classes.
Laws and figures: python -m keras_dl list segnet
"""

import keras

from keras_dl.arguments import ArgumentError, ModelName, OneOf, Tuple, Whole, checked
from keras_dl.models import _mirrored
from keras_dl.models._sizes import Classes, Width

PARAMETERS = 29_441_419  # trainable, at the defaults


@checked
def build_segnet(
    input_shape: _mirrored.SpaceShape = (360, 480, 3),
    num_classes: Classes = 11,
    *,
    filters: Tuple(Width, most=8) = (64, 128, 256, 512, 512),
    depth: Tuple(Whole(1, 16), most=8) = (2, 2, 3, 3, 3),
    kernel_size: Whole(1, 99) = 3,
    upsampling: OneOf(*_mirrored.UPSAMPLING) = "switches",
    dimensions: OneOf(2, 3) = 2,
    name: ModelName = "segnet",
):
    """Build SegNet: stages of convolutions and pooling, and their mirror image with unpooling.

    Args:
        input_shape: (H, W, C), or (D, H, W, C) with dimensions=3, without the batch axis; sides of any length.
        num_classes: K, at least 2.
        filters: maps of each stage of the encoder; the decoder has them in reverse.
        depth: convolutions of each stage, of the encoder and of the decoder.
        kernel_size: sides of all kernels, in pixels, odd.
        upsampling: "switches": unpooling to where the maxima were; "nearest" or "bilinear": up-sampling in its place.
        dimensions: 2 for images, 3 for volumes.
        name: name of the model.

    Returns:
        An uncompiled model: "image" (B, H, W, C) float32 -> "logits" (B, H, W, K) float32, unnormalised
        log-probabilities of each pixel's class; with dimensions=3 "volume" (B, D, H, W, C) -> (B, D, H, W, K).

    Raises:
        ArgumentError: an argument does not fit its annotation or another argument, or the weights are too many.

    >>> build_segnet((45, 23, 3), 4, filters=(2, 4), depth=(1, 2)).output.shape
    (None, 45, 23, 4)
    """
    who = "build_segnet"
    if kernel_size % 2 == 0:
        raise ArgumentError(
            f"{who}: kernel_size must be odd; got {kernel_size}. Nearest: {kernel_size - 1} or {kernel_size + 1}."
        )
    _mirrored.check_shape(who, input_shape, dimensions, filters, depth)
    of_logits = kernel_size**dimensions * filters[0] * num_classes
    _mirrored.check_count(who, kernel_size, input_shape, filters, depth, of_logits)

    convolution = _mirrored.CONVOLUTION[dimensions]
    image = keras.Input(input_shape, name=_mirrored.INPUTS[dimensions])
    x, pooled = _mirrored.encoded(image, filters, depth, kernel_size, upsampling)
    for stage in range(len(filters), 0, -1):
        # The last convolution of the decoder gives the logits.
        width, repeats = (filters[stage - 2], depth[stage - 1]) if stage > 1 else (filters[0], depth[0] - 1)
        x = _mirrored.decoded(
            x, stage, convolution, width, repeats, kernel_size, pooled[stage - 1], upsampling, "decoder"
        )
    logits = convolution(num_classes, kernel_size, padding="same", dtype="float32", name="logits")(x)
    return keras.Model(image, logits, name=name)


def segnet_space(hp):
    """What to search: the width and the up-sampling; untouched, it gives build_segnet's defaults."""
    width = hp.Choice("width", [8, 16, 32, 64], default=64)
    return {
        "filters": tuple(width * times for times in (1, 2, 4, 8, 8)),
        "upsampling": hp.Choice("upsampling", list(_mirrored.UPSAMPLING), default="switches"),
    }
