"""What an export says of itself: card.json. Written, found and checked here, without TensorFlow.

An export is a folder saved_models/<name>/<version>/ with a SavedModel, model.keras and card.json. Either folder means
it: the name's is its newest version.
"""

import datetime
import json
import math
import os
import shlex
import urllib.parse
from pathlib import Path

from keras_dl import paths, provenance, records
from keras_dl.errors import UserError

CARD = "card.json"
MEASURED = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "safety.jsonl"  # in a checkout
SAVED_MODEL = "saved_model.pb"
NAMED = 5  # exports that a message lists
PATTERN = "[]*?\\"
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
BATCHED = {"image", *INPUTS, *WORDS}  # kinds of input that have an axis for the batch


def versions(folder):
    """The whole numbers that are names of folders in `folder`, ascending."""
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_dir()]
    except OSError:
        return []
    return sorted(number for name in names if (number := paths.number_of(name)) is not None)


def find(path):
    """The version folder that `path`, a version's or a name's folder, means, and its card.

    Raises:
        UserError: nothing is there, or it is no export; the nearest that is one is named.
    """
    folder = Path(path)
    if not os.path.isdir(folder):
        exports = [str(other) for other, _ in under(_saved_models(folder)) if os.path.isfile(other / SAVED_MODEL)]
        more = f" and {len(exports) - NAMED} more" if len(exports) > NAMED else ""
        raise UserError(f"{path}: no such export folder. Exports there: {', '.join(exports[:NAMED]) or 'none'}{more}.")
    if not os.path.isfile(folder / SAVED_MODEL) and versions(folder):
        folder = folder / str(versions(folder)[-1])
    for name, what in ((SAVED_MODEL, "a SavedModel"), (CARD, "a card")):
        if not os.path.isfile(folder / name):
            raise UserError(f"{folder}: an export must have {what}; there is no {name} in it.")
    return folder, read(folder)


def read(folder):
    """The card in `folder`.

    Raises:
        UserError: there is none, or it is not as records.Card has it, or no INPUT can feed it as it says.
    """
    place = Path(folder) / CARD
    card = records.read(place, records.Card)
    if card.get("preprocess", {}).get("kind") == "image":
        records.check(card["preprocess"], records.OfPictures, f"{place}: preprocess")
    for name, endpoint in card["endpoints"].items():
        for field, spec in endpoint["inputs"].items():
            if spec["kind"] in BATCHED and not spec["shape"]:
                raise UserError(
                    f"{place} is damaged: endpoints.{name}.inputs.{field}.shape: must have an axis for the batch, as "
                    f"its kind is {spec['kind']}."
                )
    return card


def under(saved_models):
    """[(version folder, its card, or the UserError that says why it has none)] of every export in `saved_models`, by
    name and version."""
    saved_models, found = Path(saved_models), []
    try:
        names = sorted(entry.name for entry in os.scandir(saved_models) if entry.is_dir())
    except OSError:
        return []
    for folder in [saved_models / name / str(version) for name in names for version in versions(saved_models / name)]:
        try:
            found.append((folder, read(folder)))
        except UserError as error:
            found.append((folder, error))
    return found


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
        "git_commit": provenance.git_commit(),
        "versions": provenance.versions(),
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
                "limits": endpoint.limits,
                **({"measured": figures} if (figures := measured(run.app, _names(endpoint, endpoints))) else {}),
            }
            for name, endpoint in endpoints.items()
        },
    }


def measured(app, names):
    """What the largest requests took that an endpoint takes, of the model that an app makes by default.

    Args:
        app: name of the app.
        names: of the endpoint, which may have two.

    Returns:
        {"peak_mb": megabytes above the loaded model, "seconds", "model": of which model, "date", "commit"}, the newest
        that benchmarks/safety.py has measured; {} where it was not measured, or the results are not here.
    """
    try:
        lines = [json.loads(line) for line in MEASURED.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return {}
    lines = [line for line in lines if line["details"].get("app") == app and line["details"]["endpoint"] in names]
    if not lines:
        return {}
    figures = {line["metric"]: line["value"] for line in lines}
    last = lines[-1]
    return {**figures, "model": last["details"]["model"], "date": last["date"][:10], "commit": last["commit"][:7]}


def _names(endpoint, endpoints):
    return [name for name, other in endpoints.items() if other is endpoint]


def text(card):
    """The card as JSON; NumPy's numbers and arrays, tuples and paths become plain ones."""
    written = json.dumps(card, indent=2, default=_plain, ensure_ascii=False) + "\n"
    return written.encode("utf-8", "backslashreplace").decode("utf-8")  # of names that are not UTF-8


def how_to_call(folder, endpoints):
    """{"predict": shell command, "python": a few lines, "rest": URL and body} for the first of the card's endpoints."""
    name, first = next(iter(endpoints.items()))
    python = ", ".join(f"{field}={_placeholder(spec)}" for field, spec in first["inputs"].items())
    given = next((INPUTS[spec["kind"]] for spec in first["inputs"].values() if spec["kind"] in INPUTS), "")
    rows = all(spec["shape"] for spec in first["inputs"].values())  # a scalar fits the columnar form only
    values = {field: _json_value(spec) for field, spec in first["inputs"].items()}
    if not rows:
        values = {field: [value] if first["inputs"][field]["shape"] else value for field, value in values.items()}
    body = {"signature_name": name, **({"instances": [values]} if rows else {"inputs": values})}
    model = urllib.parse.quote(folder.parent.name, safe="")
    return {
        "predict": f"python -m keras_dl predict {shlex.quote(str(folder))}{given}",
        "python": "\n".join([*_loading(str(folder)), f"answer = model.signatures[{name!r}]({python})"]),
        "rest": {"url": f"http://localhost:8501/v1/models/{model}:predict", "body": body},
    }


def _loading(folder):
    """Lines of Python that load the SavedModel in `folder`."""
    if not set(folder) & set(PATTERN):
        return ["import tensorflow as tf", f"model = tf.saved_model.load({folder!r})"]
    return [
        "import contextlib",
        "import tensorflow as tf",
        f"with contextlib.chdir({folder!r}):  # TensorFlow takes some characters of this path for a pattern",
        '    model = tf.saved_model.load(".")',
    ]


def _signature(name, spec, endpoint):
    said = {"kind": endpoint.kinds[name], "dtype": spec.dtype.name, "shape": spec.shape.as_list()}
    if name in endpoint.example and not said["shape"]:
        said["default"] = _plain(endpoint.example[name])
    return said


def _saved_models(missing):
    """The folder in which exports stand beside one that is not there."""
    return missing.parent.parent if paths.number_of(missing.name) is not None else missing.parent


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
