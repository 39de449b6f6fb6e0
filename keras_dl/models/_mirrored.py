"""What DeconvNet and SegNet have in common: an encoder of convolutions and pooling, and its mirror image.

Shapes: B examples of H x W pixels or D x H x W voxels, C channels, K classes.
"""

from keras import layers

from keras_dl.arguments import ArgumentError, Shape
from keras_dl.layers.normalization import BatchNormalization
from keras_dl.layers.unpooling import MaxPoolingWithSwitches, MaxUnpooling, Upsampling, pooled_size
from keras_dl.models._sizes import check_weights

UPSAMPLING = ("switches", "nearest", "bilinear")
SpaceShape = Shape("H, W, C", "D, H, W, C", most=10_000)
CONVOLUTION = {2: layers.Conv2D, 3: layers.Conv3D}
DECONVOLUTION = {2: layers.Conv2DTranspose, 3: layers.Conv3DTranspose}
POOLING = {2: layers.MaxPooling2D, 3: layers.MaxPooling3D}
INPUTS = {2: "image", 3: "volume"}
INITIALIZER = "he_normal"  # variance for units that are zero half of the time


def check_shape(who, input_shape, dimensions, filters, depth):
    """Refuse an input shape of other dimensions, and stages whose two descriptions differ in number."""
    if len(input_shape) != dimensions + 1:
        wanted = "(H, W, C)" if dimensions == 2 else "(D, H, W, C)"
        raise ArgumentError(
            f"{who}: with dimensions={dimensions}, input_shape must be {wanted}; got {input_shape}. "
            f"Nearest: dimensions={len(input_shape) - 1}."
        )
    if len(filters) != len(depth):
        raise ArgumentError(
            f"{who}: filters and depth must have one number for each stage; got {len(filters)} and {len(depth)}."
        )


def check_count(who, kernel_size, input_shape, filters, depth, more=0):
    """Refuse too many weights: those of the stages, twice, and `more` of the rest."""
    taps = kernel_size ** (len(input_shape) - 1)
    count, before = 0, input_shape[-1]
    for maps, repeats in zip(filters, depth, strict=True):
        count += taps * (before * maps + (repeats - 1) * maps**2)
        before = maps
    check_weights(who, 2 * count + more)


def encoded(x, filters, depth, kernel_size, upsampling):
    """The stages of the encoder.

    Returns:
        (maps of the last stage, [(size before pooling, switches or None) of each stage]).
    """
    dimensions, pooled = len(x.shape) - 2, []
    for stage, (maps, repeats) in enumerate(zip(filters, depth, strict=True), 1):
        for number in range(1, repeats + 1):
            x = normalised(CONVOLUTION[dimensions], maps, kernel_size, f"conv{stage}_{number}")(x)
        size, switches = tuple(x.shape[1:-1]), None
        if upsampling == "switches":
            x, switches = MaxPoolingWithSwitches(name=f"pool{stage}")(x)
        else:
            x = POOLING[dimensions](2, padding="same", name=f"pool{stage}")(x)
        pooled.append((size, switches))
    return x, pooled


def decoded(x, stage, layer, width, repeats, kernel_size, pooled, upsampling, first):
    """A stage of the decoder: up to the size before pooling, then `repeats` layers, the last one with `width` maps.

    Args:
        layer: CONVOLUTION or DECONVOLUTION of the dimensions.
        first: "conv" or "deconv", what the layers' names begin with.
    """
    size, switches = pooled
    maps = x.shape[-1]
    if upsampling == "switches":
        x = MaxUnpooling(size, name=f"unpool{stage}")([x, switches])
    else:
        x = Upsampling(size, upsampling, name=f"unpool{stage}")(x)
    for number in range(1, repeats + 1):
        own = width if number == repeats else maps
        x = normalised(layer, own, kernel_size, f"{first}{stage}_{number}")(x)
    return x


def normalised(layer, filters, kernel_size, name, padding="same"):
    """A convolution without bias, batch normalisation, which has its own, and ReLU."""
    parts = (
        layer(filters, kernel_size, padding=padding, use_bias=False, kernel_initializer=INITIALIZER, name=name),
        BatchNormalization(name=f"{name}_bn"),
        layers.Activation("relu", name=f"{name}_relu"),
    )

    def apply(x):
        for part in parts:
            x = part(x)
        return x

    return apply


def smallest(input_shape, stages):
    """Sides of the maps after all poolings."""
    sides = tuple(input_shape[:-1])
    for _ in range(stages):
        sides = pooled_size(sides)
    return sides
