"""Softmax regression: one linear layer, the simplest classifier of images.

Source: LeCun et al., "Gradient-Based Learning Applied to Document Recognition" (1998), section III.C.1.
Deviation: the paper's linear classifier is trained on the squared error; here the outputs are the logits of a softmax.
Shapes: B images, H x W pixels, C channels, K classes.
Laws and figures: python -m keras_dl list linear
"""

import math

import keras
from keras import layers

from keras_dl.arguments import ModelName, checked
from keras_dl.models._sizes import Classes, ImageShape, check_weights, dense

PARAMETERS = 7_850  # trainable, at the defaults


@checked
def build_linear(
    input_shape: ImageShape = (28, 28, 1),
    num_classes: Classes = 10,
    *,
    name: ModelName = "linear",
):
    """Build a softmax regression with K (H W C + 1) parameters.

    Args:
        input_shape: (H, W, C), without the batch axis.
        num_classes: K, at least 2.
        name: name of the model.

    Returns:
        An uncompiled model: "image" (B, H, W, C) float32 -> "logits" (B, K) float32, unnormalised log-probabilities.

    Raises:
        ArgumentError: an argument does not fit its annotation, or the weights are too many.

    >>> build_linear(num_classes=3).count_params()
    2355
    """
    check_weights("build_linear", dense(math.prod(input_shape), num_classes))

    image = keras.Input(input_shape, name="image")
    x = layers.Flatten(name="flatten")(image)  # (B, H * W * C)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(image, logits, name=name)


def linear_space(hp):
    """Softmax regression has no hyperparameters of its own; apps search the learning rate."""
    return {}
