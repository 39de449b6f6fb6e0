"""Names of a model's weights that are the same in every process, whatever numbers Keras has given to its layers."""

import collections
import re


def named_weights(model):
    """The weights of a model's layers with their names: [(name, variable)], in the order of model.weights.

    A name is the variable's path. Keras numbers layers without a name of their own over a whole process ("dense_7"):
    here the numbers are those within this model. If two weights have the same path, the second is called "<path>@2".
    Variables of the model itself, such as carried states, are left out.
    """
    of_layers = {id(weight) for layer in model.layers for weight in layer.weights}
    own = _own_numbers(model)
    occurrences, named = collections.Counter(), []
    for variable in model.weights:
        if id(variable) not in of_layers:
            continue
        path = "/".join(own.get(part, part) for part in variable.path.split("/"))
        occurrences[path] += 1
        named.append((path if occurrences[path] == 1 else f"{path}@{occurrences[path]}", variable))
    return named


def owners(model):
    """{id of a weight: the innermost layer that has it}."""
    # Sub-layers come after the layer that contains them.
    return {id(weight): layer for layer in model._flatten_layers(include_self=False) for weight in layer.weights}


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
