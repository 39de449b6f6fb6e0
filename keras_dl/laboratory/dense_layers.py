"""The layers of a Keras model of Dense layers and rectifiers, as arrays.

TensorFlow is imported when a file is loaded; a model comes with it.
"""

import numpy as np

from keras_dl.errors import UserError
from keras_dl.imports import keras
from keras_dl.laboratory import regions

PASSED = ("InputLayer", "Flatten", "Dropout")  # they change no number of an example when a model answers
PROBES = 8  # inputs on which the arrays must answer as the model does


def layers_of(model):
    """The layers for regions.polygons and intervals.pieces of a Keras model.

    Dense layers without a non-linearity between them become one. The inputs are flattened, so D is their product.

    Args:
        model: a keras.Model with one input, a chain of Dense (activation "relu" or none), ReLU, Activation("relu"),
            Flatten and Dropout. A softmax at the end is left out: its logits are counted.

    Returns:
        [(kernel (n_in, n_out), bias (n_out,)), ...] in float64, a rectifier after each but the last.

    Raises:
        UserError: another layer, or layers that are no chain.
    """
    layers, kernel, bias = [], None, None
    chain, softmax = _flat(model), False
    for layer in chain:
        kind = type(layer).__name__
        softmax = softmax or _activation(layer) == "softmax" or kind == "Softmax"
        if kind == "Dense":
            weights, shift = (np.asarray(variable, float) for variable in _of_dense(layer))
            kernel, bias = (weights, shift) if kernel is None else (kernel @ weights, bias @ weights + shift)
        if _activation(layer) == "relu" or (kind == "ReLU" and _is_plain(layer)):
            if kernel is None:
                raise UserError(f"layers_of: {layer.name} must come after a Dense layer; got it before the first.")
            layers.append((kernel, bias))
            kernel, bias = np.eye(len(bias)), np.zeros(len(bias))
        elif softmax and layer is not chain[-1] or not _is_known(layer):
            raise UserError(
                f"layers_of: a model must be of Dense layers with rectifiers, Flatten and Dropout; {layer.name} of "
                f"{model.name} is {kind} {_activation(layer)}".rstrip()
                + "."
            )
    if kernel is None:
        raise UserError(f"layers_of: a model must have a Dense layer; {model.name} has none.")
    layers.append((kernel, bias))
    if not softmax:
        _check(model, layers)
    return layers


def load(path):
    """The layers of a user's .keras file.

    Raises:
        UserError: Keras cannot load it, or its layers are others than `layers_of` takes.
    """
    try:
        model = keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        said = str(error).strip().partition("\n")[0]
        raise UserError(f"--keras-file: must be a model that Keras loads; got {path}: {said}") from error
    return layers_of(model)


def _flat(model):
    """The layers of a model and of the models in it, in their order."""
    inner = [_flat(layer) if hasattr(layer, "layers") else [layer] for layer in model.layers]
    return [layer for part in inner for layer in part]


def _of_dense(layer):
    return layer.kernel, layer.bias if layer.use_bias else np.zeros(layer.units)


def _activation(layer):
    """The name of a layer's activation, "" if it has none or "linear"."""
    name = getattr(getattr(layer, "activation", None), "__name__", "linear")
    return "" if name == "linear" else name


def _is_plain(layer):
    return not layer.negative_slope and layer.max_value is None and not layer.threshold


def _is_known(layer):
    kind = type(layer).__name__
    return (
        kind in PASSED
        or kind == "Softmax"
        or (kind in ("Dense", "Activation") and _activation(layer) in ("", "softmax"))
    )


def _check(model, layers):
    """Refuse a model that answers otherwise than the chain of its layers, as with a connection past some of them."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UserError(f"layers_of: a model must have one input and one output; got {model.name}.")
    probes = np.random.default_rng(0).normal(size=(PROBES, *model.inputs[0].shape[1:]))
    theirs = np.asarray(model(probes.astype(np.float32), training=False), float).reshape(PROBES, -1)
    ours = regions.forward(layers, probes.reshape(PROBES, -1))
    if ours.shape != theirs.shape or np.abs(ours - theirs).max() > 1e-3 * (1 + np.abs(theirs).max()):
        raise UserError(f"layers_of: the layers of a model must form one chain; those of {model.name} do not.")
