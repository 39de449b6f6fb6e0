"""Names of a model's weights that are the same in every process, whatever numbers Keras has given to its layers."""

import collections
import re


def named_weights(model):
    """The weights of a model's layers with their names: [(name, variable)], in the order of model.weights.

    A name consists of the names of the layers that contain the weight, from the outermost on, and the weight's own:
    "encoder/forward_gru#1/kernel". (Keras' variable.path is another one after a model was saved and loaded.) Layers
    without a name of their own, which Keras numbers over a whole process ("dense_7"), are numbered within this model.
    If two weights have the same name, the second has "@2" at its end. A wrapper such as sequences.SequenceModel is
    left out: its names are those of its network. So are variables of the model itself, such as carried states.
    """
    network = network_of(model)
    names = _names_below(network, "", _own_numbers(network), {})
    occurrences, named = collections.Counter(), []
    for variable in model.weights:
        if id(variable) in names:
            name = names[id(variable)]
            occurrences[name] += 1
            named.append((name if occurrences[name] == 1 else f"{name}@{occurrences[name]}", variable))
    return named


def network_of(model):
    """The network that a wrapper, such as sequences.SequenceModel, trains; else the model itself."""
    return getattr(model, "network", model)


def owners(model):
    """{id of a weight: the innermost layer that has it}."""
    # Sub-layers come after the layer that contains them.
    return {id(weight): layer for layer in model._flatten_layers(include_self=False) for weight in layer.weights}


def _names_below(parent, prefix, own, names):
    """Add {id of a weight: its name} of all layers in `parent` to `names`, and return it."""
    for layer in parent._flatten_layers(include_self=False, recursive=False):
        path = f"{prefix}{own.get(layer.name, layer.name)}/"
        _names_below(layer, path, own, names)
        for weight in layer.weights:
            names.setdefault(id(weight), path + weight.name)
    return names


def _own_numbers(model):
    """{name that Keras gave to a layer: the name with the layer's number within this model}."""
    counts, names = collections.Counter(), {}
    for layer in model._flatten_layers(include_self=False):
        automatic = _snake_case(type(layer).__name__)
        match = re.fullmatch(rf"((?:forward_|backward_)?{automatic})(_\d+)?", layer.name)
        if match and layer.name not in names:
            counts[match[1]] += 1
            names[layer.name] = f"{match[1]}#{counts[match[1]]}"
    return names


def _snake_case(name):
    """As Keras makes a layer's name from its class: "Conv2D" is "conv2d", "MultiHeadAttention" multi_head_attention."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
