"""The files of a run and of an export, changed in hundreds of ways: each works, or is one line that names the file."""

import copy
import json
import os
import random
import re

import pytest

from keras_dl import __main__ as command
from keras_dl import atomic, cards, errors, json_files, records, runs
from keras_dl.errors import UserError

STRANGE = (
    None, True, -1, 0, 1.5, 2**63, 10**400, float("nan"), float("inf"), "", "x", "\x1b[31m\n", [], {}, [None], {"": {}},
    [[[]]], "x" * 10_000,
)  # fmt: skip
PICTURES = {"input_shape": [8, 8, 1], "mean": [0.0], "std": [1.0], "border": 0.0, "fit": "crop"}
PICTURE = {"kind": "image_bytes", "dtype": "string", "shape": [None], "feature": "x"}
SEED = {"kind": "seed", "dtype": "int32", "shape": [], "default": 1}
SPECS = {way: {"x": PICTURE, "seed": SEED} for way in ("inputs", "outputs")}
RATE = {
    "name": "rate", "default": 0.1, "conditions": [], "min_value": 0.0, "max_value": 1.0, "step": None,
    "sampling": "log",
}  # fmt: skip
DEPTH = {"name": "depth", "default": 8, "conditions": [], "values": [8, 14], "ordered": True}
SPACE = [{"class_name": "Float", "config": RATE}, {"class_name": "Choice", "config": DEPTH}]
VALUES = {"rate": 0.5, "depth": 14}
RECORDS = {
    "card.json": (
        records.Card,
        {
            "name": "tiny", "app": "classify", "created": "2026-11-28T10:00:00+00:00", "metrics": {"accuracy": 0.5},
            "settings": {"seed": 1}, "seed": 1, "command": "python app.py", "git_commit": None,
            "versions": {"keras": "3"}, "parameters": {"trainable": 5, "all": 6}, "classes": ["a", "b"],
            "features": {"x": PICTURES}, "data": {"steps_per_beat": 4}, "formats": [],
            "endpoints": {"serve": SPECS}, "files": {"saved_model.pb": "0" * 64}, "version": 1,
            "call": {"predict": "python", "rest": {"url": "http", "body": {}}}, "signature": "0" * 64,
        },
    ),
    "config.json": (
        records.Config,
        {
            "settings": {"epochs": 3}, "command": "python", "versions": {},
            "data": {
                **{part: {"examples": 5, "digest": "ab"} for part in ("train", "validation", "test")},
                "classes": ["a"], "preprocess": {"kind": "ab"},
            },
            "execution": {"steps_per_execution": 8, "jit_compile": False},
        },
    ),
    "finished.json": (records.Finished, {"metrics": {"loss": 0.5, "accuracy": 1.0}, "epochs": 3}),
    "tuner/trials.json": (
        records.Trials,
        [
            {
                "trial": 0, "values": {**VALUES, "tuner/epochs": 2}, "status": "COMPLETED", "score": 0.5,
                "metrics": {"val_loss": 0.5}, "message": None, "seconds": 1.5, "space": SPACE,
            },
            {
                "trial": 1, "values": VALUES, "status": "FAILED", "score": None, "metrics": {}, "message": "too deep",
                "seconds": 0.5, "space": SPACE,
            },
        ],
    ),
    "tuner/best.json": (records.Best, {"values": VALUES, "trial": 0, "score": 0.5, "monitor": "val_loss"}),
}  # fmt: skip


def places(value, here=()):
    """The path to every value within `value`."""
    yield here
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, held in inner:
        yield from places(held, (*here, key))


def changed(value, place, new, remove=False):
    value = copy.deepcopy(value)
    if not place:
        return new
    holder = value
    for key in place[:-1]:
        holder = holder[key]
    if remove:
        del holder[place[-1]]
    else:
        holder[place[-1]] = new
    return value


def damaged(value):
    """Many other contents of a file that holds `value`, as bytes."""
    for place in places(value):
        for new in STRANGE:
            yield json.dumps(changed(value, place, new)).encode()
        if place:
            yield json.dumps(changed(value, place, None, remove=True)).encode()
    text, draw = json.dumps(value).encode(), random.Random(0)
    for _ in range(150):
        at = draw.randrange(len(text))
        yield text[:at]
        yield text[:at] + bytes([draw.randrange(256)]) + text[at + 1 :]
    for nested in (b"[", b'{"a":'):
        yield nested * 100_000
        yield nested * 60 + b"1" + (b"]" if nested == b"[" else b"}") * 60
    yield text[:-1] + b', "name": 1, "name": 2}'
    yield from (b"", b"\xff\xfe", b"null", b"\x00" * 100, text.decode().encode("utf-16"), b"9" * 5000)


def a_run(folder):
    for name, (_, value) in RECORDS.items():
        if name != "card.json":
            atomic.write_atomic(folder / name, json.dumps(value))
    return folder


def said(error, path):
    assert str(path) in str(error) and "\n" not in str(error)
    return str(error)


@pytest.mark.parametrize("name", [name for name in RECORDS if name != "card.json"])
def test_a_run_whose_records_are_damaged_is_one_line(tmp_path, name):
    folder = a_run(tmp_path)
    assert runs.settings_of(folder) == {"epochs": 3}
    refused = 0
    for data in damaged(RECORDS[name][1]):
        (folder / name).write_bytes(data)
        try:
            made = runs.settings_of(folder)
            assert isinstance(made, dict)
        except errors.UserError as error:
            refused += 1
            said(error, folder / name)
    assert refused > 200
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == sorted(
        name.rpartition("/")[2] for name in RECORDS if name != "card.json"
    )


def test_a_damaged_card_is_one_line_and_does_not_break_the_others(tmp_path, capsys):
    good, bad = tmp_path / "good" / "1", tmp_path / "bad" / "1"
    for folder in (good, bad):
        folder.mkdir(parents=True)
        (folder / cards.SAVED_MODEL).touch()
        (folder / cards.CARD).write_text(json.dumps(RECORDS["card.json"][1]))
    refused = shown = 0
    for number, data in enumerate(damaged(RECORDS["card.json"][1])):
        (bad / cards.CARD).write_bytes(data)
        try:
            cards.read(bad)
        except errors.UserError as error:
            refused += 1
            said(error, bad / cards.CARD)
            continue
        shown += 1
        command.main(["show", str(bad)])
        if number % 100 == 0:
            command.main(["list", "--saved-models", str(tmp_path)])
            assert f"{good}\tclassify\taccuracy 0.5\t5\t2026-11-28\n" in capsys.readouterr().out
        with pytest.raises(errors.UserError) as mistake:  # the card is not signed: nothing is loaded
            command.main(["predict", str(bad), __file__, "--set", "seed=2"])
        assert "\n" not in str(mistake.value)
        assert not set(capsys.readouterr().out) & {"\x1b", "\r"}
    assert refused > 500 and shown > 100


@pytest.mark.parametrize("what", ["folder", "pipe", "nothing"])
def test_what_is_no_file_is_said(tmp_path, what):
    path = tmp_path / "card.json"
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    with pytest.raises(errors.UserError) as error:
        json_files.read(path, records.Card)
    assert said(error.value, path) == f"{path} is no file."


@pytest.mark.parametrize(
    ("name", "place", "new", "complaint"),
    [
        (
            "card.json",
            ("endpoints", "serve", "inputs", "x", "dtype"),
            "object",
            "endpoints.serve.inputs.x.dtype: invalid enum value",
        ),
        ("card.json", ("parameters", "trainable"), True, "parameters.trainable: expected `int`, got `bool`"),
        ("tuner/trials.json", (1, "trial"), 5, "[1].trial: must be 1; got 5"),
        ("tuner/trials.json", (1, "score"), 0.5, "[1].score: of a trial that is FAILED it must not be 0.5"),
        ("tuner/trials.json", (0, "values", "depth"), 9, "[0].values.depth: is not in its space"),
        ("tuner/trials.json", (0, "values", "rate"), "a", "[0].values.rate: is not in its space"),
        ("tuner/trials.json", (0, "values", "tuner/epochs"), -2, "[0].values.tuner/epochs: must be a whole number"),
        ("tuner/best.json", ("trial",), 9, "values: they must be those of trial 9"),
        ("tuner/best.json", ("values", "rate"), 0.25, "values: they must be those of trial 0"),
        ("tuner/best.json", ("score",), float("nan"), "score: expected `float`"),
        ("config.json", ("execution", "steps_per_execution"), 0, "execution.steps_per_execution: expected `int` >= 1"),
        ("finished.json", ("metrics", "accuracy"), "x", "metrics.accuracy: expected `float`, got `str`"),
        (
            "tuner/trials.json",
            (1, "space", 1, "config", "values"),
            [],
            "[0].space[1].config.values: expected `array` of",
        ),
        ("tuner/trials.json", (0, "values", "depth"), [], "[0].values.depth: expected"),
    ],
)
def test_the_field_is_named(tmp_path, name, place, new, complaint):
    folder = a_run(tmp_path)
    atomic.write_atomic(folder / name, json.dumps(changed(RECORDS[name][1], place, new)))
    with pytest.raises(errors.UserError) as error:
        cards.read(folder) if name == "card.json" else records.run(folder)
    assert complaint in said(error.value, folder / name)


def test_what_a_terminal_would_obey_is_written_out():
    evil = "a\x1b[31m\x07\r\n\u202eb\u2066\u2028\x9b\ud800\U000e0041"
    assert errors.printable(evil) == "a\\x1b[31m\\x07\\r\\n\\u202eb\\u2066\\u2028\\x9b\\ud800\\U000e0041"
    kept = "naïve 日本語 नमस्ते \U0001f468\u200d\U0001f469 a\u0301 می\u200cخواهم"
    assert errors.printable(kept) == kept
    assert "\n" not in str(errors.UserError("two\nlines"))


@pytest.mark.parametrize(
    ("text", "field"),
    [('["a", {"b": "\\ud800"}]', "[1].b"), ('{"a": {"x\\udfff": 1}}', "a.x\\udfff"), ('"\\ud800"', "it")],
)
def test_a_text_that_is_no_utf8_is_damage(tmp_path, text, field):
    with pytest.raises(errors.UserError) as error:
        json_files.parse(text.encode(), object, tmp_path / "card.json")
    assert f"is damaged: {field}: a text ends within a character" in said(error.value, tmp_path / "card.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"input_shape": [28, 28]}, "input_shape"), ({"input_shape": [28, 0, 1]}, "input_shape[1]"),
        ({"mean": []}, "mean"), ({"std": ["1"]}, "std[0]"), ({"border": None}, "border"), ({"fit": "zoom"}, "fit"),
    ],
)  # fmt: skip
def test_a_card_whose_pictures_cannot_be_prepared_as_it_says_is_damage(tmp_path, change, said):
    tensor = {"kind": "image_bytes", "dtype": "string", "shape": [None], "feature": "b"}
    config = {"input_shape": [28, 28, 1], "mean": [0.0], "std": [1.0], "border": 0.0}
    card = {"name": "x", "endpoints": {"serve": {"inputs": {"b": tensor}, "outputs": {"b": tensor}}}, "files": {}}
    (tmp_path / cards.CARD).write_text(json.dumps(card | {"features": {"b": config}}))
    cards.read(tmp_path)
    (tmp_path / cards.CARD).write_text(json.dumps(card | {"features": {"b": config | change}}))
    with pytest.raises(UserError, match=re.escape(f"{tmp_path / cards.CARD}: features.b is damaged: {said}: ")):
        cards.read(tmp_path)


def test_a_card_whose_input_has_no_axis_for_the_batch_is_damage(tmp_path):
    card = copy.deepcopy(RECORDS["card.json"][1])
    ((name, endpoint),) = list(card["endpoints"].items())[:1]
    ((field, spec),) = list(endpoint["inputs"].items())[:1]
    spec |= {"kind": "image_bytes", "shape": []}
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(errors.UserError, match=f"endpoints.{name}.inputs.{field}.shape: must have an axis for the"):
        cards.read(tmp_path)
