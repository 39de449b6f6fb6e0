"""A ConvNet as the fully connected network that it is: the same function, as a chain of Dense layers.

Shapes: B pictures (H, W, C), D = H W C of them flattened.
"""

import math

import keras
import numpy as np

from keras_dl import layers
from keras_dl.errors import UserError
from keras_dl.laboratory import convolution_matrices

PASSED = ("InputLayer", "Flatten", "Dropout")  # they change no number of a picture when a model answers


def unrolled(model):
    """The linear layers of a ConvNet as matrices, those without a non-linearity between them as one.

    Args:
        model: a keras.Model, a chain of Conv2D, AveragePooling2D, BatchNormalization, Dense, Activation, ReLU, Flatten
            and Dropout, with one input (H, W, C).

    Returns:
        [(convolution_matrices.Unrolled, name of the activation behind it, "" for none), ...]

    Raises:
        UserError: a layer that is no matrix, as max pooling.
    """
    shape, matrices = tuple(model.inputs[0].shape[1:]), []
    for layer in model.layers:
        kind = type(layer).__name__
        linear = _linear(layer, shape)
        if linear is not None:
            shape = linear.output_shape
            if matrices and not matrices[-1][1]:
                matrices[-1] = (convolution_matrices.composed(matrices[-1][0], linear), "")
            else:
                matrices.append((linear, ""))
        elif kind == "Flatten":
            shape = (math.prod(shape),)
        name = "relu" if kind == "ReLU" else getattr(getattr(layer, "activation", None), "__name__", "linear")
        if name != "linear":
            if not matrices or matrices[-1][1]:
                raise UserError(f"unrolled: {layer.name} of {model.name} must come after a layer with weights.")
            matrices[-1] = (matrices[-1][0], name)
        elif linear is None and kind not in (*PASSED, "Activation"):
            why = "max pooling is not linear, so it has no matrix" if "MaxPool" in kind else "it has no matrix here"
            raise UserError(
                f"unrolled: a model must be a chain of Conv2D, AveragePooling2D, BatchNormalization, Dense and "
                f"activations; {layer.name} of {model.name} is {kind}: {why}."
            )
    return matrices


def mlp_of(matrices, input_shape, *, name="unrolled"):
    """A Keras model of Dense layers with these matrices and activations; it computes what the ConvNet computes.

    Args:
        matrices: what `unrolled` returns.
        input_shape: (H, W, C).

    Returns:
        An uncompiled model "image" (B, H, W, C) -> "output" (B, K).
    """
    model = mlp(input_shape, [each.bias.size for each, _ in matrices], [name for _, name in matrices], name=name)
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    for layer, (matrix, _) in zip(dense, matrices, strict=True):
        layer.set_weights([matrix.kernel, matrix.bias])
    return model


def mlp(input_shape, widths, activations, *, name="mlp"):
    """An uncompiled chain of Dense layers with drawn weights: "image" (B, H, W, C) -> "output" (B, widths[-1]).

    Args:
        input_shape: (H, W, C).
        widths: of all layers, the last one's is that of the output.
        activations: of all layers, "" for none.
    """
    x = image = keras.Input(input_shape, name="image")
    x = keras.layers.Flatten(name="flatten")(x)
    for number, (width, activation) in enumerate(zip(widths, activations, strict=True), start=1):
        last = number == len(widths)
        kernel = keras.initializers.HeNormal() if activation == "relu" else keras.initializers.GlorotUniform()
        x = keras.layers.Dense(width, kernel_initializer=kernel, name="output" if last else f"dense{number}")(x)
        if activation:
            x = keras.layers.Activation(activation, name=f"{activation}{number}")(x)
    return keras.Model(image, x, name=name)


def hidden_layers(input_shape, widths, activation, *, classes):
    """An uncompiled MLP whose hidden layers have one non-linearity: "image" (B, H, W, C) -> "output" (B, K), logits.

    Args:
        input_shape: (H, W, C).
        widths: of the hidden layers; (): one linear layer.
        activation: a name that Keras knows, "linear" for none, or "maxout" (layers.Maxout, twice as many weights).
        classes: K.
    """
    x = image = keras.Input(input_shape, name="image")
    x = keras.layers.Flatten(name="flatten")(x)
    drawn = "glorot_uniform" if activation in ("tanh", "sigmoid", "linear", "maxout") else "he_normal"
    for number, width in enumerate(widths, start=1):
        if activation == "maxout":
            x = layers.Maxout(width, kernel_initializer=drawn, name=f"maxout{number}")(x)
        else:
            x = keras.layers.Dense(width, activation, kernel_initializer=drawn, name=f"dense{number}")(x)
    return keras.Model(image, keras.layers.Dense(classes, name="output")(x), name=f"mlp_{activation}")


def convnet(input_shape, classes, *, filters, kernel_size, strides, pool_size, units=(), name="convnet"):
    """A ConvNet of rectifiers: convolutions with strides, so that its unrolled network is small enough to be trained.

    Args:
        input_shape: (H, W, C).
        classes: K.
        filters, kernel_size, strides: of each convolution.
        pool_size: of the average pooling behind the last of them.
        units: of each hidden Dense layer.

    Returns:
        An uncompiled model "image" (B, H, W, C) -> "output" (B, K), logits.
    """
    x = image = keras.Input(input_shape, name="image")
    for number, (count, size, stride) in enumerate(zip(filters, kernel_size, strides, strict=True), start=1):
        x = keras.layers.Conv2D(count, size, stride, kernel_initializer="he_normal", name=f"conv{number}")(x)
        x = keras.layers.Activation("relu", name=f"conv{number}_relu")(x)
    x = keras.layers.AveragePooling2D(pool_size, name="pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    for number, width in enumerate(units, start=1):
        x = keras.layers.Dense(width, "relu", kernel_initializer="he_normal", name=f"hidden{number}")(x)
    return keras.Model(image, keras.layers.Dense(classes, name="output")(x), name=name)


def difference(model, other, pictures):
    """The largest difference of two models' outputs on pictures (B, H, W, C), as a share of the largest output."""
    one, two = (np.asarray(each(pictures, training=False), np.float64) for each in (model, other))
    return float(np.abs(one - two).max() / np.abs(one).max())


def permuted(model, order):
    """The weights of a network whose first Dense layer sees pixels in another order: the same function of them.

    A fully connected network has no prior about which pixels are neighbours: trained on permuted pictures from these
    weights, each step is that of the network trained on the pictures as they are.

    Args:
        model: a chain of Dense layers, as `mlp` builds it.
        order: (D,) permutation; pixel k of a permuted picture is pixel order[k] of the picture.

    Returns:
        A list of arrays for model.set_weights.
    """
    first, *others = model.get_weights()
    return [first[order], *others]


def _linear(layer, shape):
    """The Unrolled of a layer with input of this shape; None if it is no linear layer."""
    kind = type(layer).__name__
    if kind == "Conv2D":
        return convolution_matrices.convolution(
            layer.kernel, layer.bias if layer.use_bias else None, shape, strides=layer.strides, padding=layer.padding,
            dilation=layer.dilation_rate,
        )  # fmt: skip
    if kind == "AveragePooling2D":
        return convolution_matrices.average_pooling(
            shape, layer.pool_size, strides=layer.strides, padding=layer.padding
        )
    if kind == "Dense":
        return convolution_matrices.dense(layer.kernel, layer.bias if layer.use_bias else None)
    if kind == "BatchNormalization":
        return _of_batch_norm(layer, shape)
    return None


def _of_batch_norm(layer, shape):
    """With its moving averages, as a model answers, batch normalisation is a diagonal matrix."""
    ones, zeros = np.ones(shape[-1]), np.zeros(shape[-1])
    scale, shift = np.asarray(layer.gamma if layer.scale else ones), np.asarray(layer.beta if layer.center else zeros)
    scale = scale / np.sqrt(np.asarray(layer.moving_variance, np.float64) + layer.epsilon)
    shift = shift - scale * np.asarray(layer.moving_mean)
    repeats, parameters = math.prod(shape[:-1]), (layer.scale + layer.center) * shape[-1]
    kernel = np.diag(np.tile(scale, repeats))
    return convolution_matrices.Unrolled(
        kernel, np.tile(shift, repeats), np.eye(len(kernel), dtype=bool), parameters, shape
    )
