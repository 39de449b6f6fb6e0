"""What the models of a run begin with: the weights of a Source that fit, at their learning rates."""

import dataclasses

import numpy as np

from keras_dl import optimizers, parts, paths, runs
from keras_dl.errors import UserError
from keras_dl.imports import quiet_tensorflow
from keras_dl.initializing import sources
from keras_dl.weight_names import named_weights, network_of, owners
from keras_dl.wording import counted

with quiet_tensorflow():
    import keras
    import tensorflow as tf

NAMED = 4  # layers that a sentence lists


@dataclasses.dataclass(frozen=True)
class Weight:
    """A weight of the new model beside the earlier one.

    Attributes:
        name: of the weight.
        variable: the keras.Variable.
        layer: the innermost layer that has it.
        of_labels: whether each of its rows, or columns, belongs to a label.
        value: its new value; None if nothing of it is taken over.
        carried: number of labels whose rows are taken over; None if it is taken over as a whole, or not at all.
        reason: why it is new, or in part; "" if it is taken over as a whole.
    """

    name: str
    variable: object
    layer: object
    of_labels: bool
    value: np.ndarray | None = None
    carried: int | None = None
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Start:
    """What the models of a run begin with.

    Attributes:
        source: the sources.Source.
        labels: names of the new run's classes, tokens or sub-words, by index; () if its outputs have no names.
        called: what these are called, "classes".
        level: of tokens "character" or "word", as in Source; None if they have none.
        factor: share of the learning rate for what was taken over as a whole, if other weights are new.
        sentence: what was taken over and what is new, and why.
    """

    source: sources.Source
    labels: tuple
    called: str
    factor: float
    level: str | None = None
    sentence: str = ""

    @property
    def note(self):
        """The origin as config.json and the card name it."""
        return {"path": self.source.place, "weights": self.source.weights, "sentence": self.sentence}

    def keep(self, folder):
        """Write the weights into the folder of the run, from where a resume reads them."""
        self.source.keep(folder)

    def into(self, model):
        """Assign the weights to a new model, and set the learning rates of its variables.

        With factor 0, layers that were taken over as a whole are frozen (layer.trainable = False): their weights keep
        their bits, and so do batch normalisation's averages, which are then also used in training.
        """
        weights = self.matched(model)
        for weight in weights:
            if weight.value is not None:
                weight.variable.assign(weight.value)
        if not any(weight.reason for weight in weights):
            return  # nothing is new: all train at the given rate
        whole = {id(weight.variable) for weight in weights if not weight.reason}
        if not self.factor:
            for layer in {id(weight.layer): weight.layer for weight in weights}.values():
                if all(id(variable) in whole for variable in layer.weights):
                    layer.trainable = False
        if self.factor < 1:
            for part in parts.of(model):
                if part.optimizer is not None:
                    factors = [self.factor if id(variable) in whole else 1.0 for variable in part.variables]
                    optimizers.set_rate_factors(part.optimizer, factors)

    def matched(self, model):
        """The list of Weight of a new model."""
        earlier = dict(zip(self.source.names, self.source.arrays, strict=True))
        owner, heads = owners(model), _heads(model)
        same, matched = self.source.has(self.labels), []
        for name, variable in named_weights(model):
            layer = owner[id(variable)]
            axis = _label_axis(layer, layer in heads, variable, len(self.labels)) if self.labels else None
            weight = Weight(name, variable, layer, axis is not None)
            matched.append(dataclasses.replace(weight, **self._taken(earlier.get(name), variable, axis, same)))
        return matched

    def _taken(self, earlier, variable, axis, same):
        """The fields value, carried and reason of a Weight.

        Args:
            earlier: the array of the same name; None if there is none.
            axis: the axis of `variable` that belongs to the labels; None if none does.
            same: whether the earlier labels are the new ones.
        """
        if earlier is None:
            return {"reason": "not in it"}
        alike = earlier.dtype == np.dtype(tf.as_dtype(variable.dtype).as_numpy_dtype)
        if alike and earlier.shape == tuple(variable.shape) and (axis is None or same):
            return {"value": earlier}
        if axis is None or same:
            return {"reason": "another shape"}
        of_this_level = self.source.level in (None, self.level)
        known = {label: i for i, label in enumerate(self.source.labels or ()) if of_this_level}
        rows = [(i, known[label]) for i, label in enumerate(self.labels) if label in known]
        value = np.moveaxis(keras.ops.convert_to_numpy(variable).copy(), axis, 0)
        turned = np.moveaxis(earlier, axis, 0) if axis < earlier.ndim else earlier
        fits = alike and turned.shape[:1] == (len(known),) and turned.shape[1:] == value.shape[1:]
        if not rows or not fits:
            return {"reason": f"other {self.called}"}
        value[[i for i, _ in rows]] = turned[[k for _, k in rows]]
        reason = f"other {self.called}" if len(rows) < len(self.labels) else ""
        return {"value": np.moveaxis(value, 0, axis), "carried": len(rows), "reason": reason}


def start_from(config, app, model, *, labels=(), called="classes", level=None):
    """What the models of a run begin with, by its --init. Nothing is written.

    Args:
        config: the settings.Training of the command line; with --resume, the copy in that run's folder is read.
        app: name of the app.
        model: a model as the run will build it.
        labels: names of its classes, tokens or sub-words, by index: what differs from the earlier ones is new.
        called: what these are called.
        level: of tokens "character" or "word".

    Returns:
        Start; None without --init.

    Raises:
        UserError: there is no such export or run, it is not this user's, its files are damaged, or it has no weight in
            common with the model.
    """
    if not config.init:
        return None
    if config.resume:
        source = sources.kept(runs.run_to_resume(config.out, app, config.resume))
    else:
        source = sources.read(config.init, paths.out(config.out), app)
    start = Start(source, tuple(map(str, labels)), called, config.init_rate_factor, level)
    return dataclasses.replace(start, sentence=_sentence(start, model))


def _sentence(start, model):
    """What is taken over and what is new, and why; UserError if the source has nothing in common with the model."""
    source, weights = start.source, start.matched(model)
    body = [weight for weight in weights if not weight.of_labels] or weights
    if all(weight.value is None for weight in body):
        same = f"name, shape and {start.called}" if start.labels else "name and shape"
        raise UserError(
            f"--init: {source.place} ({_size(source.arrays)}) and the new {model.name} "
            f"({_size([weight.variable for weight in weights])}) have no weight in common, of the same {same}. Give "
            "--model, --set and sizes as for the earlier one."
        )
    whole = [weight for weight in weights if not weight.reason]
    those = "is that" if len(whole) == 1 else "are those"
    said = f"--init: {len(whole)} of the {counted(len(weights), 'weights')} {those} of {source.place}{source.remark}"
    groups = {}
    for weight in weights:
        if weight.reason:
            carried = f", {weight.carried} of {len(start.labels)} carried over" if weight.carried else ""
            groups.setdefault(weight.reason + carried, {}).setdefault(weight.name.rpartition("/")[0])
    new = [f"{_listed(layers)} ({reason})" for reason, layers in groups.items()]
    said += f"; new: {'; '.join(new)}. " if new else ". "
    if not new or start.factor == 1:
        said += "All train at the given learning rate."
    elif start.factor:
        said += f"What was taken over trains at {start.factor:g} of the learning rate."
    else:
        said += "What was taken over is frozen, averages of batch normalisation included."
    if source.standardised:
        said += " Pictures are standardised by the mean and deviation of the new ones."
    return said


def _listed(layers):
    names = list(layers)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _size(arrays):
    return (
        f"{counted(len(arrays), 'weights')}, {counted(sum(int(np.prod(array.shape)) for array in arrays), 'numbers')}"
    )


def _label_axis(layer, is_head, variable, count):
    """The axis of a weight that belongs to the labels; None if none does.

    Of an embedding, Keras' or one of layers/attention.py, that is the first, of the model's last layer the last.
    """
    if hasattr(layer, "embeddings") and hasattr(layer, "input_dim"):
        axis = 0
    elif is_head:
        axis = len(variable.shape) - 1
    else:
        return None
    return axis if variable.shape and variable.shape[axis] == count else None


def _heads(model):
    """The last layers with weights before the outputs of a functional model, or of the network that it wraps."""
    model = network_of(model)
    tensors, heads = list(getattr(model, "outputs", None) or ()), []
    while tensors:
        operation, node, _ = tensors.pop()._keras_history
        if getattr(operation, "weights", None):
            heads.append(operation)
        else:
            tensors += operation._inbound_nodes[node].input_tensors
    return heads
