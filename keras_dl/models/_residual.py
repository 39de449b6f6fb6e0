"""Blocks of residual networks, of pictures and of volumes: the number of axes follows from the input.

Source: He et al. (arXiv:1512.03385), figure 5 and section 3.3, option B.
Shapes: B examples, C channels; the axes in between are those of space.
"""

from keras import layers

from keras_dl.layers.normalization import BatchNormalization

CONVOLUTIONS = {2: layers.Conv2D, 3: layers.Conv3D}
PADDINGS = {2: layers.ZeroPadding2D, 3: layers.ZeroPadding3D}
BOTTLENECK = 4  # a bottleneck ends with four times the channels of its middle convolution


def basic(x, filters, stride, last_gamma, name):
    """relu(F(x) + x) of two convolutions of 3: (B, ..., C) -> (B, ... / stride, rounded up, filters)."""
    y = conv_bn(x, filters, 3, stride, name=f"{name}_1")
    y = layers.ReLU(name=f"{name}_1_relu")(y)
    y = conv_bn(y, filters, 3, gamma=last_gamma, name=f"{name}_2")
    return _join(x, y, stride, name)


def bottleneck(x, filters, stride, last_gamma, name):
    """relu(F(x) + x) of convolutions of 1, 3 and 1: (B, ..., C) -> (B, ... / stride, rounded up, 4 * filters)."""
    y = conv_bn(x, filters, 1, stride, name=f"{name}_1")
    y = layers.ReLU(name=f"{name}_1_relu")(y)
    y = conv_bn(y, filters, 3, name=f"{name}_2")
    y = layers.ReLU(name=f"{name}_2_relu")(y)
    y = conv_bn(y, BOTTLENECK * filters, 1, gamma=last_gamma, name=f"{name}_3")
    return _join(x, y, stride, name)


def conv_bn(x, filters, kernel_size, stride=1, *, gamma="ones", name):
    """A convolution without bias, padded equally on all sides, and batch normalisation."""
    space = len(x.shape) - 2
    # With stride 2, Keras' "same" would pad more at the end of an axis; the paper pads all sides equally.
    padded = stride > 1 and kernel_size > 1
    if padded:
        x = PADDINGS[space](kernel_size // 2, name=f"{name}_pad")(x)
    x = CONVOLUTIONS[space](
        filters,
        kernel_size,
        stride,
        padding="valid" if padded else "same",
        use_bias=False,  # batch normalisation has its own
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return BatchNormalization(gamma_initializer=gamma, name=f"{name}_bn")(x)


def _join(x, y, stride, name):
    """Option B: the shortcut is a projection where the shape changes, the identity elsewhere."""
    if x.shape[-1] != y.shape[-1] or stride > 1:
        x = conv_bn(x, y.shape[-1], 1, stride, name=f"{name}_shortcut")
    y = layers.Add(name=f"{name}_add")([y, x])
    return layers.ReLU(name=f"{name}_relu")(y)
