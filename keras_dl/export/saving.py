"""`save` writes a model and its endpoints as a new version of an export; if it fails, nothing is left."""

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from keras_dl import (
    atomic,
    card_sentences,
    cards,
    commands,
    fresh_process,
    json_files,
    paths,
    records,
    summaries,
    verification,
)
from keras_dl import formats as other_formats
from keras_dl.errors import UserError
from keras_dl.export.comparing import compare
from keras_dl.export.writing import write_saved_model, write_warmup, writing

EXAMPLES = 8  # examples that are compared, at most
ASIDE = ".saving-"


def save(model, run, *, endpoints, metrics, card=None, formats=()):
    """Export `model` as the next version of saved_models/<run.name>.

    Args:
        model: the trained keras.Model.
        run: runs.Run. If this run has already exported the same weights, before it was resumed, that export is kept.
        endpoints: {name: Endpoint}, "serving_default" first, as returned by classifier() and the like.
        metrics: {name: value} on the test split.
        card: {name: value}, further entries of the card, such as data and hyperparameters.
        formats: any of "onnx" and "litert", further formats to write.

    Returns:
        Path of the version's folder.

    Raises:
        ValueError: the first endpoint is not "serving_default".
        UserError: a format's package is not installed, or the folder cannot be written. Nothing is left.
        RuntimeError: the reloaded export answers differently from the Python functions, or calling an endpoint changes
            the model. Nothing is left.
    """
    formats = other_formats.checked(formats)
    if next(iter(endpoints)) != "serving_default":
        raise ValueError(f"export.save: the first endpoint must be serving_default; got {', '.join(endpoints)}.")
    identity = {"run": _run_name(run), "weights": _digest(model.weights), "formats": formats}
    card = card or {}
    about = card_sentences.of(endpoints, card.get("data") or {})
    base = run.root / "saved_models" / run.name
    with writing(base):
        base.mkdir(parents=True, exist_ok=True)
        for left_over in base.glob(f"{folder_aside(identity)}*"):  # of an earlier save of this run that was killed
            shutil.rmtree(left_over)
        existing = _existing_export(base, identity)
        if existing:
            return existing
        aside = Path(tempfile.mkdtemp(prefix=folder_aside(identity), dir=base))
    folder = aside / "export"
    run.say(f"exporting to {commands.typed(base)}, and checking its answers in a fresh process ...")
    try:
        with writing(base):
            with paths.literal(aside) as plain:
                served = write_saved_model(model, endpoints, plain / folder.name)
            model.save(folder / "model.keras")
            other_formats.write(formats, endpoints, model, _for_files(run, about, metrics), folder)
            calls = _calls(endpoints)
            write_warmup(run.name, calls, folder)
            served_by_default = served["serving_default"].get_concrete_function()
            summaries.tagged_graph(run.tensorboard / "train", "export/serving_default", served_by_default)
        answers = fresh_process.answers(folder, calls)
        before = _digest(model.variables)
        compare(endpoints, served, calls, answers)
        if _digest(model.variables) != before:
            raise RuntimeError("export.save: an endpoint changes the model: is it called with training=False?")
        outputs = {name: function.get_concrete_function().structured_outputs for name, function in served.items()}
        written = {**cards.describe(model, run, endpoints, outputs, metrics), **about, **identity, **card}
        if run.origin is not None:
            written["origin"] = run.origin.note
        with writing(base):
            written["files"] = verification.digests(folder)
            return _publish(folder, base, written, run, lambda place: other_formats.programs(place, endpoints, formats))
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        with contextlib.suppress(OSError):
            base.rmdir()  # succeeds only if it is empty: the export failed and there is no other


def _run_name(run):
    path, root = Path(run.path).resolve(), Path(run.root).resolve()
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _digest(variables):
    """SHA-256 of the variables' values, so that a run that was trained further after its export is exported again."""
    digest = hashlib.sha256()
    for variable in variables:
        digest.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return digest.hexdigest()


def folder_aside(identity):
    return f"{ASIDE}{hashlib.sha256(identity['run'].encode()).hexdigest()[:12]}-"


def _existing_export(base, identity):
    """The newest undamaged version that this run exported with these weights and formats; None if there is none."""
    for version in reversed(cards.versions(base)):
        folder = base / str(version)
        with contextlib.suppress(UserError):
            card = cards.read(folder)
            same = all(card.get(key) == identity[key] for key in ("run", "weights"))
            if same and set(identity["formats"]) <= set(card.get("formats", ())):
                verification.check_files(folder, card["files"])
                return folder
    return None


def _for_files(run, about, metrics):
    """The metadata of files of other formats, besides what their endpoint says."""
    metrics = {name: float(value) for name, value in metrics.items()}
    return {"name": run.name, "run": _run_name(run), "metrics": metrics, **about}


def _calls(endpoints):
    """{"endpoint/size": {input: array}}: calls of every endpoint with all of its examples and with one.

    The size is the number of rows of the answer: of the examples, or what the number that Endpoint.counts names says.
    """
    calls = {}
    for name, endpoint in endpoints.items():
        examples = {field: value[:EXAMPLES] if value.ndim else value for field, value in endpoint.example().items()}
        counts = endpoint.counts
        most = int(examples[counts]) if counts else max((len(x) for x in examples.values() if x.ndim), default=1)
        for size in dict.fromkeys((most, 1)):
            calls[f"{name}/{size}"] = {
                field: value[:size] if value.ndim else value for field, value in examples.items()
            } | ({counts: np.full_like(examples[counts], size)} if counts else {})
    return calls


def _publish(folder, base, card, run, programs):
    """Rename the folder to the next free version number; another process may have taken some in the meantime.

    Args:
        programs: function of the version's Path that returns further example calls, {name: program}.
    """
    version = max(cards.versions(base), default=0)
    while True:
        version += 1
        place = base / str(version)
        card = {**card, "version": version, "call": {**cards.how_to_call(place, card), **programs(place)}}
        atomic.write_atomic(folder / cards.CARD, cards.text(signed(card, run)))
        try:
            os.rename(folder, place)
            return place
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise


def signed(card, run):
    """The card as it will be read, with this user's signature; without one, and with a message, if there is no key."""
    card = json_files.parse(cards.text(card).encode(), records.Card, "export.save: the card")
    try:
        return card | {"signature": verification.signature(card)}
    except verification.NoKey as error:
        run.say(f"export.save: the export is not signed: {error}; loading it needs --trust.")
        return card
