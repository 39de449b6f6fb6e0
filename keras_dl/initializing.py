"""`--init`: start a run from the weights of one's own earlier export or run.

    arguments_of(config, app, free)                                 the builder's arguments are the earlier model's
    start = start_from(config, app, model, labels=info.classes)     before anything is written; None without --init
    run = runs.start(..., origin=start)                             keeps a copy of the weights in the run's folder
    model = run.build(compiled, hp)                                 every model of the run begins with them

Weights are matched by the names of their layers (weight_names.py) and by their shapes. Those that belong to labels (the
rows of an embedding of tokens, the columns of the last layer) are matched by the labels' names. All others stay as the
builder drew them. A resumed run reads the copy in its folder, so that it does not depend on the earlier export or run.

Pictures are standardised by the mean and deviation of the new training split, as the earlier ones were by those of
theirs: in both cases the network's inputs have mean 0 and deviation 1.
"""

import dataclasses
import hashlib
import io
import json
import os
from pathlib import Path

import numpy as np

from keras_dl import atomic, cards, checkpoint, optimizers, parts, paths, records, restoring, runs, verification
from keras_dl.arguments import shown
from keras_dl.data.fingerprints import digest_of
from keras_dl.errors import UserError
from keras_dl.imports import quiet_tensorflow
from keras_dl.weight_names import named_weights, owners

with quiet_tensorflow():
    import keras
    import tensorflow as tf

KEPT = "origin.npz"  # in a run's folder: the weights that it began with
ABOUT = "about.json"  # the member of that file with everything that is no array
MODEL = "model.keras"  # in an export
LABELS = ("vocabulary", "pieces", "classes")  # keys under which a feature's config has labels
OF_THE_DATA = ("max_length", "implementation")  # arguments that an app chooses for its data
NAMED = 4  # layers that a sentence lists
LISTED = 12  # exports and runs that a message lists
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, ImportError, OSError, EOFError)


@dataclasses.dataclass(frozen=True)
class Source:
    """The weights of an earlier export or run.

    Attributes:
        place: its path from the root of runs/ and saved_models/, as config.json and the card name it.
        names: of the weights (weight_names.named_weights).
        arrays: their values.
        labels: names of its classes, tokens or sub-words, by index; None if unknown.
        digests: digests (data.fingerprints) of lists of labels that are known by these alone.
        standardised: whether its inputs are pictures, standardised by their mean and deviation.
        remark: what else is to be said of these weights, in parentheses; or "".
    """

    place: str
    names: list
    arrays: list
    labels: tuple | None = None
    digests: tuple = ()
    standardised: bool = False
    remark: str = ""

    @property
    def weights(self):
        """SHA-256 of the values, as the card of an export has it."""
        digest = hashlib.sha256()
        for array in self.arrays:
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def has(self, labels):
        """Whether its labels are these, in this order."""
        return self.labels == labels if self.labels is not None else digest_of(list(labels)) in self.digests


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
        source: the Source.
        labels: names of the new run's classes, tokens or sub-words, by index; () if its outputs have no names.
        called: what these are called, "classes".
        factor: share of the learning rate for what was taken over as a whole, if other weights are new.
        arguments: {name: value} of the builder, those of the earlier model.
        sentence: what was taken over and what is new, and why.
    """

    source: Source
    labels: tuple
    called: str
    factor: float
    arguments: dict = dataclasses.field(default_factory=dict)
    sentence: str = ""

    @property
    def note(self):
        """The origin as config.json and the card name it."""
        return {
            "path": self.source.place,
            "weights": self.source.weights,
            "sentence": self.sentence,
            "arguments": self.arguments,
        }

    def keep(self, folder):
        """Write the weights into the folder of the run, from where a resume reads them."""
        about = dataclasses.asdict(dataclasses.replace(self.source, arrays=[]))
        text = np.frombuffer(json.dumps(about).encode(), np.uint8)
        file = io.BytesIO()
        np.savez(file, **{ABOUT: text}, **{str(i): array for i, array in enumerate(self.source.arrays)})
        atomic.write_atomic(Path(folder) / KEPT, file.getvalue())

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
        known = {label: i for i, label in enumerate(self.source.labels or ())}
        rows = [(i, known[label]) for i, label in enumerate(self.labels) if label in known]
        value = np.moveaxis(keras.ops.convert_to_numpy(variable).copy(), axis, 0)
        turned = np.moveaxis(earlier, axis, 0) if axis < earlier.ndim else earlier
        fits = alike and turned.shape[:1] == (len(known),) and turned.shape[1:] == value.shape[1:]
        if not rows or not fits:
            return {"reason": f"other {self.called}"}
        value[[i for i, _ in rows]] = turned[[k for _, k in rows]]
        reason = f"other {self.called}" if len(rows) < len(self.labels) else ""
        return {"value": np.moveaxis(value, 0, axis), "carried": len(rows), "reason": reason}


def start_from(config, app, model, *, labels=(), called="classes", arguments=None):
    """What the models of a run begin with, by its --init. Nothing is written.

    Args:
        config: the settings.Training of the command line; with --resume, the copy in that run's folder is read.
        app: name of the app.
        model: a model as the run will build it.
        labels: names of its classes, tokens or sub-words, by index: what differs from the earlier ones is new.
        called: what these are called.
        arguments: the result of arguments_of, which a resume needs again.

    Returns:
        Start; None without --init.

    Raises:
        UserError: there is no such export or run, it is not this user's, its files are damaged, or it has no weight in
            common with the model.
    """
    if not config.init:
        return None
    if config.resume:
        source = _kept(runs.run_to_resume(config.out, app, config.resume))
    else:
        source = read(config.init, paths.out(config.out), app)
    start = Start(source, tuple(map(str, labels)), called, config.init_rate_factor, arguments or {})
    return dataclasses.replace(start, sentence=_sentence(start, model))


def read(which, root, app):
    """The Source of an export or run.

    Args:
        which: path of an export (saved_models/NAME or NAME/VERSION) or of a run, or its name.
        root: Path of the folder of runs/ and saved_models/.
        app: name of the app.

    Raises:
        UserError: as start_from.
    """
    folder = _folder(which, root, app)
    return _of_run(folder, root) if _is_run(folder) else _of_export(folder, root)


def arguments_of(config, app, free):
    """The builder's arguments of the model whose weights --init takes: {name: value}; {} without --init.

    With them, a model that a search has chosen need not be described again.

    Args:
        config, app: as for start_from.
        free: the names of the arguments that may be given.

    Raises:
        UserError: there is no such export or run, its card or config.json is damaged, or it is of another architecture.
    """
    if not config.init:
        return {}
    if config.resume:
        origin = records.run(runs.run_to_resume(config.out, app, config.resume)).get("origin", {})
        return {name: _with_tuples(value) for name, value in origin.get("arguments", {}).items()}
    root = paths.out(config.out)
    folder = _folder(config.init, root, app)
    described = records.run(folder) if _is_run(folder) else cards.find(folder)[1]
    architecture = described.get("settings", {}).get("model", "")
    if architecture and architecture != config.model:
        raise UserError(
            f"--init: {_place(folder, root)} is of --model {architecture}, this is of --model {config.model}: they "
            f"have other weights. Nearest: --model {architecture}."
        )
    values = described.get("hyperparameters", {})
    return {name: _with_tuples(value) for name, value in values.items() if name in free and name not in OF_THE_DATA}


def _folder(which, root, app):
    """The folder of an export or run."""
    exports, of_app = Path(root, "saved_models"), Path(root, "runs", app)
    for folder in (paths.expanded(which), Path(root, which), exports / which, of_app / which):
        if _is_run(folder) or os.path.isfile(folder / cards.SAVED_MODEL) or cards.versions(folder):
            return folder
    known = [name for place in (exports, of_app) if os.path.isdir(place) for name in sorted(os.listdir(place))]
    more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
    raise UserError(
        f"--init: must be an export or a run of your own; got {shown(which)}. In {exports} and {of_app} there are: "
        f"{', '.join(known[:LISTED]) or 'none'}{more}."
    )


def _is_run(folder):
    return os.path.isfile(folder / "config.json")


def _with_tuples(value):
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _of_export(folder, root):
    folder, card = cards.find(folder)
    verification.check_files(folder, card["files"])
    reason = verification.not_ours(card)
    if reason:
        raise UserError(
            f"--init: {folder}: this user's export.save did not write it: {reason}. Weights are taken from your own "
            "exports and runs only."
        )
    if MODEL not in card["files"]:
        raise UserError(f"--init: {folder} has no {MODEL}, from which weights could be taken. Export it again.")
    try:
        model = keras.saving.load_model(folder / MODEL, compile=False, safe_mode=True)
    except UNREADABLE as error:
        what = " ".join(str(error).split())
        raise UserError(f"--init: {folder / MODEL} cannot be loaded: {shown(what)[1:-1]}.") from error
    named = named_weights(model)
    configs = card.get("features", {}).values()
    labels = next((config[key] for config in configs for key in LABELS if key in config), card.get("classes"))
    return Source(
        _place(folder, root),
        [name for name, _ in named],
        [keras.ops.convert_to_numpy(variable) for _, variable in named],
        labels=None if labels is None else tuple(map(str, labels)),
        standardised=any("mean" in config for config in configs),
    )


def _of_run(folder, root):
    config = records.run(folder)
    restored = checkpoint.newest(folder / "checkpoints")
    if restored is None:
        raise UserError(f"--init: {folder} has no checkpoint, from which weights could be taken.")
    arrays, state = restored
    if "names" not in state:
        raise UserError(
            f"--init: the checkpoints of {folder} do not name their weights, as an earlier version wrote them. Take "
            "the run's export."
        )
    kind = "variable" if state["best"] is None else "best"
    try:
        values = restoring.numbered(arrays, f"{kind}/")
        named = [pair for pair in zip(state["names"][kind], values, strict=True) if pair[0]]
    except (ValueError, KeyError) as error:
        raise UserError(f"--init: a checkpoint in {folder / 'checkpoints'} is damaged: {error}.") from error
    data, average = config.get("data", {}), config.get("settings", {}).get("average_last", 0)
    preprocess = data.get("preprocess", {})
    return Source(
        _place(folder, root),
        [name for name, _ in named],
        [value for _, value in named],
        labels=tuple(data["classes"]) if data.get("classes") else None,
        digests=tuple(preprocess[key] for key in LABELS if key in preprocess),
        standardised="mean" in preprocess,
        remark=f" (those of its last epoch; the mean of the last {average} is in its export)" if average else "",
    )


def _kept(folder):
    """The Source that a run keeps in its folder, checked against the digest in its config.json."""
    path = folder / KEPT
    try:
        data = path.read_bytes()
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            checkpoint.check_sizes(file, len(data))
            about = records.parse(file[ABOUT].tobytes(), dict, ABOUT)
            arrays = [file[str(i)] for i in range(len(file.files) - 1)]
        about |= {"digests": tuple(about["digests"]), "arrays": arrays}
        about["labels"] = None if about["labels"] is None else tuple(about["labels"])
        source = Source(**about)
        same = source.weights == records.run(folder)["origin"]["weights"]
    except Exception as error:  # a damaged archive fails somewhere inside, in many ways
        what = " ".join(str(error).split())
        raise UserError(f"--resume: {path}, the weights that the run began with, is damaged: {what}.") from error
    if not same:
        raise UserError(f"--resume: {path} must have the weights that the run began with; it has others.")
    return source


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
    said = f"--init: {len(whole)} of the {len(weights)} weights are those of {source.place}{source.remark}"
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
    return f"{len(arrays)} weights, {sum(int(np.prod(array.shape)) for array in arrays):,} numbers"


def _place(folder, root):
    """A folder as config.json names it: from the root, from the working folder, or its name alone."""
    folder = Path(folder).resolve()
    for base in (Path(root).resolve(), Path.cwd()):
        if folder.is_relative_to(base):
            return folder.relative_to(base).as_posix()
    return "/".join(folder.parts[-2:])


def _label_axis(layer, is_head, variable, count):
    """The axis of a weight that belongs to the labels; None if none does.

    Of an embedding that is the first, of the model's last layer the last.
    """
    if isinstance(layer, keras.layers.Embedding):
        axis = 0
    elif is_head:
        axis = len(variable.shape) - 1
    else:
        return None
    return axis if variable.shape and variable.shape[axis] == count else None


def _heads(model):
    """The last layers with weights before the outputs of a functional model, or of the network that it wraps."""
    model = getattr(model, "network", model)
    tensors, heads = list(getattr(model, "outputs", None) or ()), []
    while tensors:
        operation, node, _ = tensors.pop()._keras_history
        if getattr(operation, "weights", None):
            heads.append(operation)
        else:
            tensors += operation._inbound_nodes[node].input_tensors
    return heads
