"""A finished run of the project as a surface: its model, its loss, and fixed examples of its training data.

The model is that of the run's export, with the weights that the run ended with. The data are loaded again with the
run's settings, and compared with the fingerprint that the run kept.
A network that carries its state over a text is read from a zero state in each window. A run keeps its newest
checkpoints only: there is no path of its training.
"""

import dataclasses

import keras

from keras_dl import cards, data, objectives, parts, past_runs, paths, verification
from keras_dl.data import levels
from keras_dl.errors import UserError
from keras_dl.laboratory import landscape_training, surfaces

MODEL = "model.keras"
FEW = 32  # examples of long sequences or of many pixels that are evaluated at once
DATES, PIECES_OF_DATES = 30_000, 400  # as apps/translate.py makes them
AUTO_MOST = 32  # pixels a side, as apps/model_images.py
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, ImportError, OSError, EOFError)


@dataclasses.dataclass(frozen=True)
class Earlier:
    """What is drawn of a run.

    Attributes:
        name: of the run.
        surface: surfaces.Surface.
        points: the weights that it passed through; [], since a run does not keep them.
        sentence: what was taken from where.
    """

    name: str
    surface: surfaces.Surface
    points: list
    sentence: str


@dataclasses.dataclass(frozen=True)
class Task:
    """What the loss of an app's runs is computed of.

    Attributes:
        splits: data.Splits, whole, as the run had them.
        examples: data.Examples of the training split.
        collate: as for data.batches.
        loss: of the model's output; None: the model has its own.
        chunk: examples that are evaluated at once; fewer where an example has many outputs.
    """

    splits: data.Splits
    examples: data.Examples
    collate: object
    loss: object
    chunk: int = landscape_training.CHUNK


def restored(word, out, *, examples, seed, batch_norm="moving"):
    """The Earlier of a run.

    Args:
        word: the run's folder, or its name in <out>/runs.
        out: value of --out.
        examples, seed: how many fixed examples, and what draws them.
        batch_norm: as for surfaces.Surface.

    Raises:
        UserError: there is no such run, it is not finished, is of an app whose loss cannot be drawn, or has no export;
            or its data have changed.
    """
    (past,) = past_runs.find([word], paths.out(out), who="--run")
    if past.state != past_runs.FINISHED:
        raise UserError(f"--run: {past.path} must be finished; it is {past.state}.")
    if past.app not in TASKS:
        raise UserError(f"--run: a run of {past.app} has no single loss; take one of {', '.join(TASKS)}.")
    model, export = _model(past)
    task = TASKS[past.app](past.settings, past.config["settings"], model)
    if "data" in past.config and data.fingerprint(task.splits) != past.config["data"]:
        raise UserError(f"--run: the data of {past.name} have changed since it was made; its loss would be another.")
    compiled = _compiled(model, task.loss)
    together = batch_norm == "batch"
    batches = landscape_training.fixed(task.examples, task.collate, examples, seed, chunk=task.chunk, together=together)
    try:
        surface = surfaces.Surface(compiled, batches, batch_norm=batch_norm)
    except UserError as error:
        raise UserError(f"--batch-norm: {error}") from error
    sentence = (
        f"{past.name}: the weights that it ended with, of {export}. A run keeps only its newest checkpoints: there is "
        "no path."
    )
    return Earlier(past.name, surface, [], sentence)


def _model(past):
    """(the model of a run's export, the export's folder)."""
    folder = past.path.resolve()
    root = folder.parents[2]
    exports = [(place, card) for place, card in cards.exports_below(root / "saved_models") if isinstance(card, dict)]
    of_run = [pair for pair in exports if pair[1].get("run") == folder.relative_to(root).as_posix()]
    if not of_run:
        raise UserError(f"--run: {past.name} has no export in {root / 'saved_models'}, which its model is taken from.")
    place, card = of_run[-1]
    verification.check_files(place, card["files"])
    reason = verification.not_ours(card)
    if reason or MODEL not in card["files"]:
        raise UserError(f"--run: {place}: {reason or f'it has no {MODEL}'}. Export the run again.")
    try:
        return keras.saving.load_model(place / MODEL, compile=False, safe_mode=True), place
    except UNREADABLE as error:
        raise UserError(f"--run: {place / MODEL} cannot be loaded: {' '.join(str(error).split())[:200]}.") from error


def _compiled(model, loss):
    """The model with its loss and no optimizer of use; one that steps by itself as a plain network."""
    if isinstance(model, parts.ModelWithParts):
        model.compile(keras.optimizers.SGD())
        return model
    network = model if parts.has_keras_step(model) else keras.Model(model.input, model.output, name=model.name)
    network.compile(loss=loss, jit_compile=False)
    return network


def _images(values, given, model):
    splits = data.images.load(
        values["dataset"], values["seed"], image_size=given.get("image_size", 64), fit=values.get("fit", "crop"),
        skip_unreadable=values.get("skip_unreadable", False),
    )  # fmt: skip
    splits = splits.few(256 if values["smoke"] else None, values["seed"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return Task(splits, splits.train, data.images.with_labels(splits.preprocess), loss)


def _text(values, given, model):
    splits = data.text.load(
        values["dataset"], values["seed"], level=values["level"], vocabulary_size=values["vocabulary_size"]
    )
    splits = splits.few(3000 if values["smoke"] else None)
    windows = data.text.windows(splits.train, 1, values["sequence_length"])
    batch = splits.preprocess.batch

    def collate(raw):
        x, y, weight = batch(raw)
        return (x["tokens"] if isinstance(x, dict) else x), y, weight

    return Task(splits, windows, collate, objectives.SequenceLoss("categorical"), FEW)


def _pairs(values, given, model):
    of_dates = values["dataset"].partition("/")[0] == "dates" and not values["source"]
    size = {"chained": tuple(values["chained"]), "examples": 1000 if values["smoke"] else DATES} if of_dates else {}
    splits = data.pairs.load(
        values["source"] or values["dataset"], values["seed"], target=values["target"] or None,
        vocabulary_size=values["vocabulary_size"] or (PIECES_OF_DATES if of_dates else 8000),
        longest=values["longest"], **size,
    )  # fmt: skip
    splits = splits.few(200 if values["smoke"] else None)
    loss = objectives.SequenceLoss("categorical", label_smoothing=values["label_smoothing"])
    return Task(splits, splits.train, splits.preprocess.batch, loss, FEW)


def _music(values, given, model):
    splits = data.music.load(
        values["dataset"], values["seed"], steps_per_beat=values["steps_per_beat"],
        skip_unreadable=values["skip_unreadable"], pieces=16 if values["smoke"] else None,
    )  # fmt: skip
    return Task(splits, splits.train, splits.preprocess.batch, objectives.SequenceLoss("bernoulli"), FEW)


def _sounds(values, given, model):
    label = "class" if values["condition"] == "label" else values["condition"]
    splits = data.audio.load(
        values["dataset"], values["seed"], rate=values["rate"] or None, levels=values["levels"], label=label,
        trim_silence=values["trim_silence"], skip_unreadable=values["skip_unreadable"],
    )  # fmt: skip
    splits = splits.few(6 if values["smoke"] else None, values["seed"])
    preprocess = splits.preprocess
    windows = data.audio.windows(splits.train, values["window"], model.receptive_field)
    collate = preprocess.batch_of_classes if splits.info.classes else preprocess.batch
    return Task(splits, windows, collate, objectives.SequenceLoss(preprocess.distribution), 1)


def _pixels(values, given, model):
    splits = _levels(values, given, auto_most=AUTO_MOST)
    labelled = values.get("condition") == "label"
    collate = (levels.levels_and_labels if labelled else levels.levels_only)(splits.preprocess)
    usual = "bernoulli" if values["levels"] == 2 else "categorical"
    output = usual if values["output"] == "auto" else values["output"]
    loss = objectives.ImageLoss(output, values["levels"])
    return Task(splits, splits.train, collate, loss, FEW)


def _autoencoder(values, given, model):
    splits = _levels(values, given)
    return Task(splits, splits.train, levels.levels_only(splits.preprocess), None)


def _levels(values, given, **auto):
    splits = data.levels.load(
        values["dataset"], values["seed"], levels=values["levels"], binarization=values["binarization"],
        image_size=given.get("image_size") or "auto", fit=values["fit"], skip_unreadable=values["skip_unreadable"],
        **auto,
    )  # fmt: skip
    return splits.few(64 if values["smoke"] else None, values["seed"])


TASKS = {  # {app: function of (the run's settings, those that were given, its model) -> Task}
    "classify_images": _images,
    "model_text": _text,
    "translate": _pairs,
    "model_audio": _sounds,
    "model_music": _music,
    "model_images": _pixels,
    "autoencode_images": _autoencoder,
}
