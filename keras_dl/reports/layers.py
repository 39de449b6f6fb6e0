"""The layers of a model: a table of all of them, and a picture in which small ones share a box with the one before."""

import collections
import dataclasses
import math

from keras_dl.figures import figure_of, plain, png
from keras_dl.wording import counted

PER_COLUMN = 9  # boxes of the picture below one another
MOST = 63  # boxes of the picture: of a model with more only the table is shown
WIDTH, HEIGHT = 2.4, 0.72  # of a box with its distance to the next, in inches
TYPES = 3  # types of layers that a box names
LONGEST = 40  # characters of a line in a box


@dataclasses.dataclass
class Box:
    """A box of the picture: a layer, and those after it that only change its output, such as an activation.

    Attributes:
        name: of the first layer.
        types: of its layers.
        output: shape of the output, without the batch axis.
        parameters: number of weights of the first layer.
        inputs: indices of the boxes whose outputs it reads.
    """

    name: str
    types: list
    output: list
    parameters: int
    inputs: list


def table(model):
    """A row for each layer of a functional model, in the order of computation; [] for any other model.

    Returns:
        A list of {"name", "type", "output": shape without the batch axis (None is any size), "parameters",
        "inputs": names of the layers that it reads}.
    """
    layers = getattr(model, "operations", ())
    names = {layer.name for layer in layers}
    rows = [
        {
            "name": layer.name,
            "type": type(layer).__name__,
            "output": _shape(layer),
            "parameters": layer.count_params() if hasattr(layer, "count_params") else 0,
            "inputs": _inputs(layer, names),
        }
        for layer in layers
    ]
    return _in_order(rows)


def picture(rows):
    """The layers as boxes from top to bottom, column by column, with an arrow for each input; None if they do not fit.

    Args:
        rows: as `table` returns them.
    """
    boxes = _boxes(rows)
    if not 1 < len(boxes) <= MOST:
        return None
    columns, height = math.ceil(len(boxes) / PER_COLUMN), min(PER_COLUMN, len(boxes))
    figure = figure_of(columns * WIDTH + 0.3, height * HEIGHT + 0.2)
    axes = figure.add_subplot(xlim=(0, columns), ylim=(height, 0))
    axes.axis("off")
    places = [(index // PER_COLUMN + 0.5, index % PER_COLUMN + 0.5) for index in range(len(boxes))]
    for index, box in enumerate(boxes):
        for other in box.inputs:
            _arrow(axes, places[other], places[index], index - other == 1)
    for box, (x, y) in zip(boxes, places, strict=True):
        style = {"boxstyle": "round,pad=0.35", "edgecolor": "#8b95a3", "linewidth": 0.8}
        style |= {"facecolor": "#dce9f7" if box.parameters else "#f1f3f5"}
        more = [f"{len(box.types) - TYPES} more"] if len(box.types) > TYPES else []
        weights = f"; {counted(box.parameters, 'weights')}" if box.parameters else ""
        lines = [box.name, ", ".join([*box.types[:TYPES], *more]), f"{size(box.output)}{weights}"]
        text = "\n".join(plain(line, LONGEST) for line in lines)
        axes.text(x, y, text, ha="center", va="center", fontsize=6.5, bbox=style)
    return png(figure)


def _boxes(rows):
    """The boxes of the picture; a layer that only changes the output of the one before it is written into its box."""
    readers = collections.Counter(name for row in rows for name in row["inputs"])
    boxes, box_of = [], {}
    for row in rows:
        before = [box_of[name] for name in row["inputs"] if name in box_of]
        alone = len(row["inputs"]) == 1 and len(before) == 1 and readers[row["inputs"][0]] == 1
        if alone and (not row["parameters"] or row["type"].endswith("Normalization")):
            box = boxes[before[0]]
            box.types.append(row["type"])
            box.output = row["output"]
            box_of[row["name"]] = before[0]
        else:
            box_of[row["name"]] = len(boxes)
            boxes.append(Box(row["name"], [row["type"]], row["output"], row["parameters"], list(dict.fromkeys(before))))
    return boxes


def _in_order(rows):
    """The rows so that each comes after those that it reads, otherwise as they are.

    A layer that is called twice, such as an embedding of source and target, may read a later input than its first. If
    two such layers read each other, the remaining rows stay as they are.
    """
    ordered, known, waiting = [], set(), list(rows)
    while waiting:
        ready = next((row for row in waiting if known.issuperset(row["inputs"])), waiting[0])
        waiting.remove(ready)
        ordered.append(ready)
        known.add(ready["name"])
    return ordered


def _arrow(axes, start, end, neighbours):
    """An arrow from a box to another, curved around the boxes between them if they stand in one column."""
    curve = 0.0 if neighbours or start[0] != end[0] else 0.5
    style = {"arrowstyle": "-|>", "color": "#8b95a3", "linewidth": 0.9, "shrinkA": 15, "shrinkB": 15}
    axes.annotate("", end, start, zorder=1, arrowprops=style | {"connectionstyle": f"arc3,rad={curve}"})


def _nodes(layer):
    # A layer may be called several times, and not only by this model. Keras has no public name for the calls.
    return getattr(layer, "_inbound_nodes", ())


def _inputs(layer, names):
    """Names of the layers of the model whose outputs a layer reads."""
    tensors = [tensor for node in _nodes(layer) for tensor in node.input_tensors]
    read = [tensor._keras_history.operation.name for tensor in tensors]
    return [name for name in dict.fromkeys(read) if name in names]


def _shape(layer):
    """The shape of a layer's output without the batch axis; for several outputs the first one's."""
    tensors = [tensor for node in _nodes(layer) for tensor in node.output_tensors]
    return list(tensors[0].shape[1:]) if tensors else []


def size(shape):
    return " x ".join("any" if size is None else str(size) for size in shape)
