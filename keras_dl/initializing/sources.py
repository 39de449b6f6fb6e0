"""Reads the weights of an earlier export or run, and the architecture that it had."""

import dataclasses
import hashlib
import io
import json
import os
from pathlib import Path

import numpy as np

from keras_dl import atomic, cards, checkpoint, json_files, paths, records, restoring, verification, wording
from keras_dl.arguments import OPEN, shown
from keras_dl.data.fingerprints import digest_of
from keras_dl.errors import UserError
from keras_dl.imports import quiet_tensorflow
from keras_dl.weight_names import named_weights

with quiet_tensorflow():
    import keras

KEPT = "origin.npz"  # in a run's folder: the weights that it began with
ABOUT = "about.json"  # the member of that file with everything that is no array
MODEL = "model.keras"  # in an export
LABELS = ("vocabulary", "pieces", "classes")  # keys under which a feature's config has labels
OF_THE_DATA = ("max_length", "implementation")  # arguments that an app chooses for its data
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
        level: of tokens "character" or "word": the word "a" is another token than the character; None if unknown.
        digests: digests (data.fingerprints) of lists of labels that are known by these alone.
        standardised: whether its inputs are pictures, standardised by their mean and deviation.
        remark: what else is to be said of these weights, in parentheses; or "".
    """

    place: str
    names: list
    arrays: list
    labels: tuple | None = None
    level: str | None = None
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

    def keep(self, folder):
        """Write it into the folder of a run that begins with it; `kept` reads it."""
        about = dataclasses.asdict(dataclasses.replace(self, arrays=[]))
        text = np.frombuffer(json.dumps(about).encode(), np.uint8)
        file = io.BytesIO()
        np.savez(file, **{ABOUT: text}, **{str(i): array for i, array in enumerate(self.arrays)})
        atomic.write_atomic(Path(folder) / KEPT, file.getvalue())


def adopted(config, app, free_arguments):
    """The settings with the architecture of the model whose weights --init takes.

    What the command line leaves open is as that model was built: --model, the size and levels of pictures, and the
    builder's arguments (--set). So a model that a search has chosen need not be described again.

    Args:
        config, app: as for start_from. On a resume the settings are complete.
        free_arguments: function architecture -> the names of the builder's arguments that --set may give.

    Returns:
        Settings of the same class.

    Raises:
        UserError: there is no such export or run, its card or config.json is damaged, or it is of another architecture.
    """
    if not config.init or config.resume:
        return config
    root = paths.out(config.out)
    folder = _folder(config.init, root, app)
    described = records.run(folder) if _is_run(folder) else cards.find(folder)[1]
    of_app = folder.resolve().parent.name if _is_run(folder) else described.get("app", app)
    if of_app != app:
        raise UserError(f"--init: {_place(folder, root)} is of another app than {app}: of {of_app}.")
    earlier = described.get("settings", {}).get("model") or config.model
    if earlier in OPEN:
        raise UserError(f"--init: {_place(folder, root)} does not say which architecture it is of; give its --model.")
    if config.model not in (*OPEN, earlier):
        raise UserError(
            f"--init: {_place(folder, root)} is of --model {earlier}, this is of --model {config.model}: they have "
            f"other weights. Nearest: --model {earlier}."
        )
    try:
        dataclasses.replace(config, model=earlier).validate()
    except UserError as error:
        raise UserError(f"--init: {_place(folder, root)} is of another app than {app}. {error}") from error
    values, free = {"model": earlier}, free_arguments(earlier)
    if getattr(config, "image_size", 0) in OPEN and (side := _side(described)) is not None:
        values["image_size"] = side
    if getattr(config, "levels", 0) in OPEN and (levels := described.get("settings", {}).get("levels")) is not None:
        values["levels"] = levels
    named = {pair.partition("=")[0] for pair in config.set} | set(OF_THE_DATA)
    arguments = {name: value for name, value in described.get("hyperparameters", {}).items() if name in free}
    pairs = [f"{name}={_with_tuples(value)!r}" for name, value in arguments.items() if name not in named]
    return dataclasses.replace(config, **values, set=(*config.set, *pairs))


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


def _folder(which, root, app):
    """The folder of an export or run."""
    exports, of_app = Path(root, "saved_models"), Path(root, "runs", app)
    for folder in (paths.expanded(which), Path(root, which), exports / which, of_app / which):
        if _is_run(folder) or os.path.isfile(folder / cards.SAVED_MODEL) or cards.versions(folder):
            return folder
    places = [place for place in (exports, of_app) if os.path.isdir(place)]
    entries = [Path(entry) for place in places for entry in sorted(os.scandir(place), key=str) if entry.is_dir()]
    known = [entry.name for entry in entries if entry.parent == of_app or cards.versions(entry)]
    more, near = f" and {len(known) - LISTED} more" if len(known) > LISTED else "", wording.nearest(which, known)
    raise UserError(
        f"--init: must be an export or a run of your own; got {shown(which)}.{near} In {exports} and {of_app} "
        f"there are: {', '.join(known[:LISTED]) or 'none'}{more}."
    )


def _side(described):
    """The height of the pictures of an export or run, from its card or config.json; None if it does not say it.

    A run has the digest of its input's shape, with which the setting is compared: it has no effect on a named set.
    """
    shapes = [feature["input_shape"] for feature in described.get("features", {}).values() if "input_shape" in feature]
    if shapes:
        return shapes[0][0]
    side = described.get("settings", {}).get("image_size")
    digest = described.get("data", {}).get("preprocess", {}).get("input_shape")
    return side if digest in [digest_of([side, side, channels]) for channels in (1, 3)] else None


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
        level=next((config["level"] for config in configs if "level" in config), None),
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


def kept(folder):
    """The Source that a run keeps in its folder, checked against the digest in its config.json."""
    if "origin" not in records.run(folder):
        raise UserError(f"--init: {folder.name} was not started with it; it is for a new run. Resume without it.")
    path = folder / KEPT
    try:
        data = path.read_bytes()
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            checkpoint.check_sizes(file, len(data))
            about = json_files.parse(file[ABOUT].tobytes(), dict, ABOUT)
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


def _place(folder, root):
    """A folder as config.json names it: from the root, from the working folder, or its name alone."""
    folder = Path(folder).resolve()
    for base in (Path(root).resolve(), Path.cwd()):
        if folder.is_relative_to(base):
            return folder.relative_to(base).as_posix()
    return "/".join(folder.parts[-2:])
