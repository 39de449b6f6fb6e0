"""The card of an export, card.json: written, found and checked here, without TensorFlow.

An export is a folder saved_models/<name>/<version>/ with a SavedModel, model.keras and card.json. A path to the folder
<name> stands for its newest version.
"""

import datetime
import json
import math
import os
import shlex
import urllib.parse
from pathlib import Path

from keras_dl import features, json_files, paths, provenance, records
from keras_dl.errors import UserError

CARD = "card.json"
MEASURED = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "safety.jsonl"  # only in a checkout
SAVED_MODEL = "saved_model.pb"
NAMED = 5  # exports that a message lists
PATTERN = "[]*?\\"  # characters that TensorFlow reads as a pattern in a path
SAME_DRAW = "the same seed gives the same draw; verified in a fresh process"


def versions(folder):
    """The version numbers in `folder`, ascending: the names of its sub-folders that are whole numbers."""
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_dir()]
    except OSError:
        return []
    return sorted(number for name in names if (number := paths.number_of(name)) is not None)


def find(path):
    """Find an export: (its version folder, its card).

    Args:
        path: a version's folder, or a name's folder, for its newest version.

    Raises:
        UserError: there is no such folder (the exports beside it are listed), or it is no export.
    """
    folder = Path(path)
    if not os.path.isdir(folder):
        exports = [
            str(other) for other, _ in exports_below(_saved_models(folder)) if os.path.isfile(other / SAVED_MODEL)
        ]
        more = f" and {len(exports) - NAMED} more" if len(exports) > NAMED else ""
        raise UserError(f"{path}: no such export folder. Exports there: {', '.join(exports[:NAMED]) or 'none'}{more}.")
    if not os.path.isfile(folder / SAVED_MODEL) and versions(folder):
        folder = folder / str(versions(folder)[-1])
    for name, what in ((SAVED_MODEL, "a SavedModel"), (CARD, "a card")):
        if not os.path.isfile(folder / name):
            raise UserError(f"{folder}: an export must have {what}; there is no {name} in it.")
    return folder, read(folder)


def read(folder):
    """Read and check the card in `folder`.

    Raises:
        UserError: there is none, or it does not fit records.Card, or a feature's config does not fit its kind.
    """
    place = Path(folder) / CARD
    card = json_files.read(place, records.Card)
    for name in card["endpoints"]:
        for way in ("inputs", "outputs"):
            features_of(card, name, way, place)
    return card


def features_of(card, endpoint, way, place=CARD):
    """The features of an endpoint, as the card describes them: {name: features.Feature}.

    Cards of an older format have no "features"; there the config is in "preprocess" (of pictures, texts and sentences),
    "classes" (of classes) or "data" (of piano-rolls).

    Args:
        card: the result of read().
        endpoint: name of the endpoint.
        way: "inputs" or "outputs".
        place: path of the card, for the message.

    Raises:
        UserError: the card is damaged; the message names the field.
    """
    return {
        name: _feature(card, tensor, place, f"endpoints.{endpoint}.{way}.{name}")
        for name, tensor in card["endpoints"][endpoint][way].items()
    }


def _feature(card, tensor, place, field):
    kind = tensor["kind"]
    scalar = tensor["shape"] == []
    if scalar and features.feature_class(kind).shape != ():
        if kind in features.KINDS:
            raise UserError(
                f"{place} is damaged: {field}.shape: must have an axis for the batch, as its kind is {kind}."
            )
        kind = "number"
    cls = features.feature_class(kind)
    fields = cls.CONFIG.__annotations__
    config = {name: tensor[name] for name in ("dtype", "default") if name in fields and name in tensor}
    if "features" not in card:
        return features.from_config(kind, config | _config_before(card, fields), f"{place}: {field}")
    if "feature" in tensor:
        if tensor["feature"] not in card["features"]:
            raise UserError(f"{place} is damaged: {field}.feature: there is no {tensor['feature']!r} in features.")
        config |= card["features"][tensor["feature"]]
        field = f"features.{tensor['feature']}"
    return features.from_config(kind, config, f"{place}: {field}")


def _config_before(card, fields):
    """The config of a feature with these fields, from a card of the older format."""
    known = {**(card.get("data") or {}), **(card.get("preprocess") or {})}
    known |= {"classes": card["classes"]} if "classes" in card else {}
    return {name: known[name] for name in fields if name in known}


def exports_below(saved_models):
    """All exports in `saved_models`, by name and version: [(version folder, card)].

    In place of a card that cannot be read stands the UserError that says why.
    """
    saved_models, exports = Path(saved_models), []
    try:
        names = sorted(entry.name for entry in os.scandir(saved_models) if entry.is_dir())
    except OSError:
        return []
    for folder in [saved_models / name / str(version) for name in names for version in versions(saved_models / name)]:
        try:
            exports.append((folder, read(folder)))
        except UserError as error:
            exports.append((folder, error))
    return exports


def describe(model, run, endpoints, outputs, metrics):
    """The card of an export, without its files, version and example calls.

    Args:
        model, run, endpoints, metrics: as for export.save.
        outputs: {endpoint: {output: TensorSpec}}.
    """
    configs = {}  # a config that several inputs and outputs share is written once
    return {
        "name": run.name,
        "app": run.app,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "metrics": metrics,
        "settings": run.settings,
        **({"chosen": run.chosen} if run.chosen else {}),
        "seed": run.seed,
        "command": run.command,
        "git_commit": provenance.git_commit(),
        "versions": provenance.versions(),
        "parameters": {
            "trainable": sum(math.prod(weight.shape) for weight in model.trainable_weights),
            "all": model.count_params(),
        },
        "features": configs,
        "endpoints": {
            name: {
                "inputs": {
                    field: _tensor(field, feature, feature.spec(field), configs)
                    for field, feature in endpoint.inputs.items()
                },
                "outputs": {
                    field: _tensor(field, endpoint.outputs[field], spec, configs)
                    for field, spec in outputs[name].items()
                },
                **({"samples": SAME_DRAW} if endpoint.samples else {}),
                "limits": endpoint.limits,
                **({"measured": figures} if (figures := measured(run.app, _names(endpoint, endpoints))) else {}),
            }
            for name, endpoint in endpoints.items()
        },
    }


def measured(app, names):
    """The measured cost of the largest request that an endpoint allows, for the app's default model.

    Args:
        app: name of the app.
        names: the names of the endpoint, which may have two.

    Returns:
        {"peak_mb": megabytes in addition to the loaded model, "seconds", "model": the measured model, "date",
        "commit"}, the newest results of benchmarks/safety.py; {} if there are none, or this is no checkout.
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
    """The card as JSON; NumPy numbers, arrays, tuples and paths become plain values."""
    written = json.dumps(card, indent=2, default=_plain, ensure_ascii=False) + "\n"
    return written.encode("utf-8", "backslashreplace").decode("utf-8")  # for names that are not UTF-8


def how_to_call(folder, card):
    """Example calls of the first endpoint: {"predict": shell command, "python": some lines, "rest": URL and body}."""
    name = next(iter(card["endpoints"]))
    inputs = features_of(card, name, "inputs")
    python = ", ".join(f"{field}={feature.in_python()}" for field, feature in inputs.items())
    fed = [feature.on_command_line() for feature in inputs.values() if feature.is_fed]
    body = {"signature_name": name}
    values = {field: feature.in_rest() for field, feature in inputs.items()}
    if any(feature.is_scalar for feature in inputs.values()):  # REST has single numbers in the columnar format only
        body["inputs"] = {
            field: value if inputs[field].is_scalar else [value] for field, value in values.items()
        }  # fmt: skip
    else:
        body["instances"] = [values]
    model = urllib.parse.quote(folder.parent.name, safe="")
    return {
        "predict": " ".join(["python -m keras_dl predict", shlex.quote(str(folder)), *fed[:1]]),
        "python": "\n".join([*_loading(str(folder)), f"answer = model.signatures[{name!r}]({python})"]),
        "rest": {"url": f"http://localhost:8501/v1/models/{model}:predict", "body": body},
    }


def _loading(folder):
    """The lines of Python that load the SavedModel in `folder`."""
    if not set(folder) & set(PATTERN):
        return ["import tensorflow as tf", f"model = tf.saved_model.load({folder!r})"]
    return [
        "import contextlib",
        "import tensorflow as tf",
        f"with contextlib.chdir({folder!r}):  # TensorFlow takes some characters of this path for a pattern",
        '    model = tf.saved_model.load(".")',
    ]


def _tensor(name, feature, spec, configs):
    """The card's entry of an input or output; if the feature has a config, it is added to `configs`."""
    tensor = {"kind": feature.kind, "dtype": spec.dtype.name, "shape": spec.shape.as_list()}
    if feature.default is not None:
        tensor["default"] = _plain(feature.default)
    config = {field: value for field, value in feature.config().items() if field not in tensor}
    if config:
        tensor["feature"] = _key(name, config, configs)
    return tensor


def _key(name, config, configs):
    """The key of `config` in `configs`, to which it is added if it is not there."""
    for key, other in configs.items():
        if other == config:
            return key
    key, number = name, 2
    while key in configs:
        key, number = f"{name}_{number}", number + 1
    configs[key] = config
    return key


def _saved_models(missing):
    """The folder with all exports in which a missing one would be."""
    return missing.parent.parent if paths.number_of(missing.name) is not None else missing.parent


def _plain(value):
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value) if isinstance(value, Path) else value
