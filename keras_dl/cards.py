"""What an export says of itself: card.json. Written, found and checked here, without TensorFlow.

An export is a folder saved_models/<name>/<version>/ with a SavedModel, model.keras and card.json. Either folder means
it: the name's is its newest version.
"""

import datetime
import hashlib
import json
import math
from pathlib import Path

from keras_dl import runtime
from keras_dl.runtime import UserError

CARD = "card.json"
SAVED_MODEL = "saved_model.pb"
PLACEHOLDERS = {  # of the Python lines, by kind
    "image_bytes": 'tf.constant([open("PICTURE.png", "rb").read()])',
    "text": 'tf.constant(["some text"])',
    "sentence": 'tf.constant(["a sentence"])',
    "sentence_target": 'tf.constant(["its translation"])',
}
INPUTS = {  # of the shell command
    "image_bytes": " PICTURE.png", "text": ' "some text"', "sentence": ' "a sentence"', "roll": " PIECE.mid",
}  # fmt: skip
WORDS = {"text": "some text", "sentence": "a sentence", "sentence_target": "its translation"}  # of the REST body


def versions(folder):
    """The whole numbers that are names of folders in `folder`, ascending."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.is_dir() and path.name.isdecimal())


def find(path):
    """The version folder that `path`, a version's or a name's folder, means, and its card.

    Raises:
        UserError: nothing is there, or it is no export; the nearest that is one is named.
    """
    folder = Path(path)
    if not folder.is_dir():
        there = ", ".join(str(other) for other, _ in under(_saved_models(folder))) or "none"
        raise UserError(f"{path}: no such export folder. Exports there: {there}.")
    if not (folder / SAVED_MODEL).is_file() and versions(folder):
        folder = folder / str(versions(folder)[-1])
    for name, what in ((SAVED_MODEL, "a SavedModel"), (CARD, "a card")):
        if not (folder / name).is_file():
            raise UserError(f"{folder}: an export must have {what}; there is no {name} in it.")
    card = read(folder)
    if card is None:
        raise UserError(f"{folder / CARD}: must be the card that export.save wrote; it cannot be read as one.")
    return folder, card


def read(folder):
    """The card in `folder`, or None where there is none that can be read."""
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(card, dict) or not {"name", "endpoints", "files"} <= set(card):
        return None
    return card if all({"inputs", "outputs"} <= set(endpoint) for endpoint in card["endpoints"].values()) else None


def under(saved_models):
    """[(version folder, its card or None)] of every export in `saved_models`, by name and version."""
    saved_models = Path(saved_models)
    names = sorted(path for path in saved_models.iterdir() if path.is_dir()) if saved_models.is_dir() else []
    return [(name / str(v), read(name / str(v))) for name in names for v in versions(name)]


def check_files(folder, card):
    """Compare what a SavedModel is loaded from with the card's SHA-256.

    Raises:
        UserError: a file is missing, cut short or changed.
    """
    for name, digest in card["files"].items():
        if name == SAVED_MODEL or name.startswith(("variables/", "assets/")):
            path = folder / name
            if not path.is_file() or sha256(path) != digest:
                state = "is not the one that export.save wrote" if path.is_file() else "is missing"
                raise UserError(f"{path}: {state}; the export is damaged. Use another version, or export again.")


def digests(folder):
    """{path relative to `folder`: SHA-256} of every file in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe(model, run, preprocess, endpoints, outputs, metrics):
    """The card of an export, but for its files, version and how to call it.

    Args:
        model, run, preprocess, endpoints, metrics: as export.save has them.
        outputs: {endpoint: {output: its TensorSpec}}.
    """
    about = {key: value for endpoint in endpoints.values() for key, value in endpoint.about.items()}
    return {
        "name": run.name,
        "app": run.app,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "metrics": metrics,
        "settings": run.settings,
        "seed": run.seed,
        "command": run.command,
        "git_commit": runtime.git_commit(),
        "versions": runtime.versions(),
        "parameters": {
            "trainable": sum(math.prod(weight.shape) for weight in model.trainable_weights),
            "all": model.count_params(),
        },
        **about,
        "preprocess": preprocess.config(),
        "endpoints": {
            name: {
                "inputs": {spec.name: _signature(spec.name, spec, endpoint) for spec in endpoint.inputs},
                "outputs": {field: _signature(field, spec, endpoint) for field, spec in outputs[name].items()},
            }
            for name, endpoint in endpoints.items()
        },
    }


def text(card):
    """The card as JSON; NumPy's numbers and arrays, tuples and paths become plain ones."""
    return json.dumps(card, indent=2, default=_plain, ensure_ascii=False) + "\n"


def how_to_call(folder, endpoints):
    """{"predict": shell command, "python": three lines, "rest": URL and body} for the first of the card's endpoints."""
    name, first = next(iter(endpoints.items()))
    python = ", ".join(f"{field}={_placeholder(spec)}" for field, spec in first["inputs"].items())
    lines = [
        "import tensorflow as tf",
        f'model = tf.saved_model.load("{folder}")',
        f'answer = model.signatures["{name}"]({python})',
    ]
    given = next((INPUTS[spec["kind"]] for spec in first["inputs"].values() if spec["kind"] in INPUTS), "")
    rows = all(spec["shape"] for spec in first["inputs"].values())  # a scalar fits the columnar form only
    values = {field: _json_value(spec) for field, spec in first["inputs"].items()}
    if not rows:
        values = {field: [value] if first["inputs"][field]["shape"] else value for field, value in values.items()}
    body = {"signature_name": name, **({"instances": [values]} if rows else {"inputs": values})}
    return {
        "predict": f"python -m keras_dl predict {folder}{given}",
        "python": "\n".join(lines),
        "rest": {"url": f"http://localhost:8501/v1/models/{folder.parent.name}:predict", "body": body},
    }


def _signature(name, spec, endpoint):
    said = {"kind": endpoint.kinds[name], "dtype": spec.dtype.name, "shape": spec.shape.as_list()}
    if name in endpoint.example and not said["shape"]:
        said["default"] = _plain(endpoint.example[name])
    return said


def _saved_models(missing):
    """The folder in which exports stand beside one that is not there."""
    return missing.parent.parent if missing.name.isdecimal() else missing.parent


def _placeholder(spec):
    if "default" in spec:
        return f"tf.constant({spec['default']!r}, tf.{spec['dtype']})"
    return PLACEHOLDERS.get(spec["kind"], f"<{spec['dtype']} {spec['shape']}>")


def _json_value(spec):
    if spec["kind"].endswith("_bytes"):
        return {"b64": "<base64 of the file>"}
    if spec["kind"] in WORDS:
        return WORDS[spec["kind"]]
    return spec.get("default", f"<{spec['dtype']} {spec['shape'][1:]}>")


def _plain(value):
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value) if isinstance(value, Path) else value
