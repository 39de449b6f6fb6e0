"""The contents of the JSON files of runs and exports: one schema per file, which json_files checks on reading.

Fields that a schema does not name may hold any value. `run`, `trials` and `best` also check what a schema cannot say,
such as that the result of a search is one of its trials.
"""

import datetime
import os
import sys
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import msgspec
from msgspec import Meta

from keras_dl import json_files
from keras_dl.errors import UserError

MOST = sys.float_info.max

Count = Annotated[int, Meta(ge=0, lt=2**53)]
Finite = Annotated[float, Meta(ge=-MOST, le=MOST)]
Scalar = bool | int | float | str | None
Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Moment = Annotated[datetime.datetime, Meta(tz=True)]
DType = Literal[
    "string", "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "bfloat16",
    "float32", "float64",
]  # fmt: skip


class Tensor(TypedDict):
    """An input or an output of an endpoint."""

    kind: str
    dtype: DType
    shape: Annotated[list[Annotated[int, Meta(ge=0, lt=2**31)] | None], Meta(max_length=16)]
    default: NotRequired[bool | int | float | str]
    feature: NotRequired[str]  # key of its config in the card's features


class Measured(TypedDict):
    """The cost of the largest requests of an endpoint: seconds, and megabytes besides the loaded model."""

    peak_mb: Finite
    seconds: Finite
    model: str
    date: str
    commit: str


class Endpoint(TypedDict):
    """A signature of the SavedModel."""

    inputs: Annotated[dict[str, Tensor], Meta(min_length=1)]
    outputs: Annotated[dict[str, Tensor], Meta(min_length=1)]
    limits: NotRequired[dict[str, Count]]
    samples: NotRequired[str]
    measured: NotRequired[Measured]


class Data(TypedDict):
    """What `predict` needs to know about music, in cards of versions before features."""

    steps_per_beat: NotRequired[Annotated[int, Meta(ge=1, le=10_000)]]
    beats_per_minute: NotRequired[Annotated[float, Meta(gt=0, le=10_000)]]


class Parameters(TypedDict):
    """How many weights a model has."""

    trainable: Count
    all: Count


class Chosen(TypedDict):
    """What own_data.fitted chose: {setting: value}, with the builder's arguments under "set", and a sentence on it."""

    sentence: str
    values: dict[str, Any]


class Card(TypedDict):
    """card.json of an export."""

    name: str
    endpoints: Annotated[dict[str, Endpoint], Meta(min_length=1)]
    files: dict[str, Hash]
    app: NotRequired[str]
    call: NotRequired[dict[str, str | dict]]
    chosen: NotRequired[Chosen]
    classes: NotRequired[list[str]]
    command: NotRequired[str]
    created: NotRequired[str]
    data: NotRequired[Data]
    features: NotRequired[dict[str, dict[str, Any]]]
    formats: NotRequired[list[str]]
    git_commit: NotRequired[str | None]
    hyperparameters: NotRequired[dict[str, Any]]
    intervals: NotRequired[dict[str, Annotated[list[Finite], Meta(min_length=2, max_length=2)]]]
    licence: NotRequired[str]
    metrics: NotRequired[dict[str, Any]]
    not_for: NotRequired[list[str]]
    parameters: NotRequired[Parameters]
    preprocess: NotRequired[dict[str, Any]]
    report: NotRequired[list[str]]
    run: NotRequired[str]
    settings: NotRequired[dict[str, Any]]
    signature: NotRequired[Hash]
    trained_on: NotRequired[str]
    version: NotRequired[Count]
    versions: NotRequired[dict[str, str]]
    weights: NotRequired[Hash]


class Execution(TypedDict):
    """How the steps of a run are executed."""

    steps_per_execution: Annotated[int, Meta(ge=1, le=1024)]


class Split(TypedDict):
    """The identity of a split of a run's data: number of examples and digest."""

    examples: Count
    digest: str


class Fingerprint(TypedDict):
    """The identity of a run's data, as data.fingerprint returns it."""

    train: Split
    validation: Split
    test: Split
    classes: list[str]
    preprocess: dict[str, str]


class Settings(TypedDict):
    """The settings of a run that `resuming` reads; command_line.parse checks the others."""

    epochs: NotRequired[Count]
    formats: NotRequired[list[str]]
    patience: NotRequired[Count]


class Origin(TypedDict):
    """The earlier export or run with whose weights a run began."""

    path: str
    weights: Hash
    sentence: str


class Monitor(TypedDict):
    """The number by which the epochs of a run are compared."""

    name: str
    mode: Literal["min", "max"]


class Sizes(TypedDict, total=False):
    """How large the examples of a data set are, as numbers or as texts such as "480 x 640"."""

    what: str
    smallest: int | str
    median: int | str
    largest: int | str


class Baseline(TypedDict, total=False):
    """The score of a constant predictor on the validation split."""

    metric: str
    value: Finite
    what: str


class Summary(TypedDict):
    """What describing.show noted of a run's data."""

    name: str
    source: str
    licence: str | None
    counts: dict[str, Count]
    unit: str
    classes: dict[str, dict[str, Count]]
    sizes: Sizes
    left_out: list[str]
    steps_per_epoch: Count
    baseline: Baseline
    warnings: list[str]


class Config(TypedDict):
    """config.json of a run. Run.note adds fields."""

    settings: NotRequired[Settings]
    command: NotRequired[str]
    versions: NotRequired[dict[str, str]]
    data: NotRequired[Fingerprint]
    execution: NotRequired[Execution]
    monitor: NotRequired[Monitor]
    hyperparameters: NotRequired[dict[str, Any]]
    origin: NotRequired[Origin]
    chosen: NotRequired[Chosen]
    started: NotRequired[Annotated[list[Moment], Meta(min_length=1)]]
    ended: NotRequired[Moment]
    training_seconds: NotRequired[Finite]  # in training.fit, of all parts of a resumed run up to their checkpoints
    commit: NotRequired[str | None]
    machine: NotRequired[str]
    summary: NotRequired[Summary]


class Finished(TypedDict):
    """finished.json of a run."""

    metrics: dict[str, float]
    epochs: NotRequired[Count]


class Domain(TypedDict):
    """keras-tuner's config of a hyperparameter: its values or range."""

    name: str
    conditions: list[dict[str, Any]]
    default: NotRequired[Scalar]
    min_value: NotRequired[Finite]
    max_value: NotRequired[Finite]
    step: NotRequired[Finite | None]
    sampling: NotRequired[str | None]
    values: NotRequired[Annotated[list[Scalar], Meta(min_length=1)]]
    ordered: NotRequired[bool]
    value: NotRequired[Scalar]


class Hyperparameter(TypedDict):
    """keras-tuner's description of a hyperparameter."""

    class_name: Literal["Boolean", "Choice", "Fixed", "Float", "Int"]
    config: Domain


class Trial(TypedDict):
    """One trial of a search. The score of a completed trial is a number, of a failed one None."""

    trial: Count
    values: dict[str, Scalar]
    status: Literal["COMPLETED", "FAILED"]
    score: Finite | None
    metrics: dict[str, float]
    message: str | None
    seconds: Annotated[float, Meta(ge=0, le=MOST)]
    space: list[Hyperparameter]


Trials = list[Trial]  # trials.json of a search


class Best(TypedDict):
    """best.json of a search."""

    values: dict[str, Scalar]
    trial: Count
    score: Finite
    monitor: str


class State(TypedDict):
    """The part of a checkpoint that is not arrays."""

    epoch: Count
    step: Count
    history: dict[str, list[float]]
    best: float | None
    stopped: bool
    callbacks: list[dict[str, Any]]
    names: NotRequired[dict[Literal["variable", "best"], list[str]]]  # of the arrays; "" for those that are no weights


def run(folder):
    """config.json of the run in `folder`. The run's other JSON files are checked too.

    Raises:
        UserError: a file does not have its schema, or two files contradict each other; the message names the
            file and the field.
    """
    config = json_files.read(folder / "config.json", Config)
    if os.path.lexists(folder / "finished.json"):
        json_files.read(folder / "finished.json", Finished)
    journal, result = folder / "tuner" / "trials.json", folder / "tuner" / "best.json"
    records = trials(journal) if os.path.lexists(journal) else []
    if os.path.lexists(result):
        best_trial = best(result)
        if best_trial["trial"] >= len(records) or best_trial["values"] != drawn(records[best_trial["trial"]]["values"]):
            raise UserError(
                f"{result} is damaged: values: they must be those of trial {best_trial['trial']} in {journal}."
            )
    return config


def trials(path):
    """The trials in the file `path`, in their order; UserError if a record is not valid."""
    records = json_files.read(path, Trials)
    for number, record in enumerate(records):
        wrong = _wrong_with(record, number)
        if wrong:
            raise UserError(f"{path} is damaged: [{number}].{wrong}.")
    return records


def best(path):
    """The result of a search in the file `path`; UserError if it does not have its schema."""
    return json_files.read(path, Best)


def drawn(values):
    """A trial's values without those that Hyperband adds (tuner/...)."""
    return {name: value for name, value in values.items() if not name.startswith("tuner/")}


def moment(text):
    """A text that was checked to be a Moment, as a datetime; datetime.fromisoformat does not read all of them."""
    return msgspec.convert(text, Moment)


def _wrong_with(record, number):
    """What is wrong with a trial's record, as text for a message; None if nothing is."""
    if record["trial"] != number:
        return f"trial: must be {number}; got {record['trial']}"
    if (record["status"] == "COMPLETED") != (record["score"] is not None):
        return f"score: of a trial that is {record['status']} it must not be {record['score']}"
    for name, value in record["values"].items():
        if name.startswith("tuner/") and (not _whole(value) or value < 0):
            return f"values.{name}: must be a whole number, at least 0; got {value!r}"
    if record["values"].get("tuner/trial_id", -1) >= number:
        return "values.tuner/trial_id: must be an earlier trial"
    for entry in record["space"]:
        domain, value = entry["config"], record["values"].get(entry["config"]["name"])
        if domain["name"] in record["values"] and not _allowed(entry["class_name"], domain, value):
            return f"values.{domain['name']}: is not in its space; got {value!r}"
    return None


def _allowed(kind, domain, value):
    if kind == "Boolean":
        return isinstance(value, bool)
    if kind == "Fixed":
        return "value" in domain and value == domain["value"]
    if kind == "Choice":
        return value in domain.get("values", ())
    number = _whole(value) or (kind == "Float" and isinstance(value, float))
    return number and domain.get("min_value", -MOST) <= value <= domain.get("max_value", MOST)


def _whole(value):
    return isinstance(value, int) and not isinstance(value, bool)
