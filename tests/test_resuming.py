"""A run goes on only with the data that it began with, and as far as it is asked to."""

import dataclasses
import importlib.util
import json
import re
import resource
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_dl import __main__ as command
from keras_dl import (
    command_line,
    commands,
    data,
    errors,
    histories,
    machine,
    past_runs,
    runs,
    settings,
    signals,
    training,
    tuning,
)  # fmt: skip
from keras_dl.features import words
from keras_dl.resuming import differences

ROOT = Path(__file__).resolve().parent.parent


class Stop(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class Preprocess:
    """Pixels / 255; `mean` is there to be told apart."""

    mean: float = 0.5

    def __call__(self, images):
        return keras.ops.cast(images, "float32") / 255.0

    def config(self):
        return {"kind": "image", "mean": np.float32(self.mean), "std": np.ones(2)}


@dataclasses.dataclass(frozen=True)
class Info:
    classes: tuple = ("cats", "dogs")


def splits_of(seed=0, count=24, **changed):
    rng = np.random.default_rng(seed)

    def part(size):
        label = rng.integers(0, 2, size).astype(np.int32)
        return data.Examples({"image": rng.integers(0, 255, (size, 4, 4, 1)).astype(np.uint8), "label": label})

    values = {"train": part(count), "validation": part(8), "test": part(8), "info": Info(), "preprocess": Preprocess()}
    return data.Splits(**values | changed)


def test_a_fingerprint_is_of_the_values_wherever_they_stand(tmp_path):
    whole = splits_of(count=5000)
    pixels = whole.train.features["image"]
    mapped = np.memmap(tmp_path / "pixels", np.uint8, "w+", shape=pixels.shape)
    mapped[:] = pixels
    turned = np.asfortranarray(pixels)  # another order in memory
    first = data.fingerprint(whole)
    for array in (mapped, turned):
        same = dataclasses.replace(whole, train=data.Examples({**whole.train.features, "image": array}))
        assert data.fingerprint(same) == first
    assert json.loads(json.dumps(first)) == first
    assert first["train"]["examples"] == 5000 and first["classes"] == ["cats", "dogs"]
    last = mapped.copy()
    last[-1, -1, -1, 0] ^= 1  # one bit of the last pixel, behind the first chunk
    other = dataclasses.replace(whole, train=data.Examples({**whole.train.features, "image": last}))
    assert differences(first, data.fingerprint(other)) == ["train: 5,000 examples, but not the same"]


@pytest.mark.parametrize("chunk", [1, 7, 1 << 24])
def test_texts_and_ragged_sequences_have_a_fingerprint_too(monkeypatch, chunk):
    from keras_dl.data import fingerprints

    def of(feature):
        return data.fingerprint(splits_of(test=data.Examples({"x": feature})))["test"]["digest"]

    ragged = data.Ragged.of([np.arange(3), np.arange(2)])
    features = [
        np.array([b"ab", b"c"], object), np.array([b"a", b"bc"], object), np.array(["ab", "d"], object),
        np.array([b"ab", b"c"]), np.array([1.0, 2.0]), np.array([1.0, 2.0], np.float32), np.array([[1.0, 2.0]]),
        np.zeros((0, 3)), ragged, data.Ragged(ragged.values, [0, 2, 5]),
    ]  # fmt: skip
    whole = [of(feature) for feature in features]
    assert len(set(whole)) == len(features)
    monkeypatch.setattr(fingerprints, "CHUNK", chunk)
    assert [of(feature) for feature in features] == whole


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"count": 30}, "train: 24 -> 30 examples"),
        ({"seed": 1}, "train: 24 examples, but not the same"),
        ({"info": Info(("kittens", "dogs"))}, "classes: cats -> kittens"),
        ({"info": Info(("cats", "cows", "dogs"))}, "classes: none -> cows"),
        ({"info": Info(("dogs", "cats"))}, "classes: in another order"),
        ({"preprocess": Preprocess(0.4)}, "pre-processing: another mean"),
    ],
)
def test_what_changed_is_said(changed, said):
    before, now = data.fingerprint(splits_of()), data.fingerprint(splits_of(**changed))
    assert differences(before, before) == [] and said in differences(before, now)


def compiled():
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2, name="logits")])
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def start(folder, splits=None, **config):
    config = {"out": str(folder), "epochs": 2, "trials": 0} | config
    if "schedule" in config:
        config["optimizer"] = settings.Optimizer(schedule=config.pop("schedule"))
    prepared = machine.prepare(settings.Training(**config))
    return runs.start(prepared, app="app", name="net-set", data=splits and data.fingerprint(splits))


def train(folder, watched=(), **config):
    """One process' part of a run: start, fit, finish. Gives the run and its weights."""
    splits = splits_of()
    run = start(folder, splits, **config)
    if run.finished:
        return run, None
    collate = data.images.with_labels(splits.preprocess)
    train, validation = (data.batches(s, 8, collate=collate) for s in (splits.train, splits.validation))
    model = run.build(compiled)
    callbacks = training.stopping(config.get("patience", 0), 0, *watched)
    training.fit(
        model, train, validation, run, epochs=config.get("epochs", 2), callbacks=callbacks, verbose=0,
        keep=config.get("keep", "best"),
    )  # fmt: skip
    run.finish({"loss": 1.0})
    return run, model.get_weights()


def refused(*args, **kwargs):
    with pytest.raises(errors.UserError) as caught:
        start(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_finished_run_with_more_epochs_ends_as_one_that_had_them_from_the_start(tmp_path, keep):
    _, whole = train(tmp_path / "whole", epochs=4, keep=keep)
    run, _ = train(tmp_path / "run", keep=keep)
    more = {"keep": keep, "resume": run.path.name, "epochs": 4}
    again, weights = train(tmp_path / "run", **more)
    for one, two in zip(whole, weights, strict=True):
        np.testing.assert_array_equal(one, two)
    histories = [(tmp_path / f / "runs/app/net-set-1/history.csv").read_text() for f in ("whole", "run")]
    assert histories[0] == histories[1]
    assert again.finished["epochs"] == 4 and runs.settings_of(run.path)["epochs"] == 4
    assert train(tmp_path / "run", **more)[0].finished  # now it is finished with these as well


def test_the_time_in_fit_is_noted_and_a_resume_adds_to_it(tmp_path):
    run, _ = train(tmp_path)
    config = run.path / "config.json"
    noted = json.loads(config.read_text())
    assert 0 < noted["training_seconds"] < 600
    config.write_text(json.dumps(noted | {"training_seconds": 1000.0}))
    run, _ = train(tmp_path, resume=run.path.name, epochs=3)
    assert 1000 < json.loads(config.read_text())["training_seconds"] < 1600


def test_a_run_that_goes_on_is_not_finished_until_it_is(tmp_path):
    run, _ = train(tmp_path)
    assert start(tmp_path, resume=run.path.name).finished == {"metrics": {"loss": 1.0}, "epochs": 2}
    assert not start(tmp_path, resume=run.path.name, epochs=3).finished
    config = command_line.parse(
        settings.Training, ["--resume", "--out", str(tmp_path)], app="app"
    )  # the newest unfinished
    assert config.epochs == 3


def test_what_is_given_on_a_resume_is_chosen_no_more(tmp_path):
    """Else the list of runs would show the number of epochs that was chosen, not the one that was trained."""
    run = start(tmp_path)
    run.note("chosen", {"sentence": "Chosen.", "values": {"epochs": 2, "patience": 0, "batch_size": 8}})
    run.checkpoints.mkdir(exist_ok=True)
    (run.checkpoints / "000002-000000.npz").write_bytes(b"")
    histories.write(run.path, {"loss": [2.0, 1.0]})
    run.finish({"loss": 1.0})
    again = start(tmp_path, resume=run.path.name, epochs=3)
    assert again.chosen == {"sentence": "Chosen.", "values": {"patience": 0, "batch_size": 8}}
    assert past_runs.read(run.path).epochs_asked == 3


def test_epochs_that_cannot_be_had_are_refused_in_one_line(tmp_path, capsys):
    run, _ = train(tmp_path / "a", epochs=3)
    said = refused(tmp_path / "a", resume=run.path.name, epochs=2)
    assert said == "--epochs: must be at least 3, as many as net-set-1 has trained; got 2."
    (run.path / "finished.json").unlink()
    capsys.readouterr()
    ended = start(tmp_path / "a", resume=run.path.name, epochs=2)  # an unfinished one may end sooner
    assert "net-set-1 has trained 3 epochs, more than 2: it ends with those." in capsys.readouterr().out
    ended.finish({"loss": 1.0})
    saved = json.loads((ended.path / "config.json").read_text())["settings"]
    assert ended.finished["epochs"] == ended.settings["epochs"] == saved["epochs"] == 3  # what was done is said
    run, _ = train(tmp_path / "b", schedule="onecycle")
    said = refused(tmp_path / "b", schedule="onecycle", resume=run.path.name, epochs=3)
    assert "epochs=2, now 3 (--schedule onecycle ends with the last of its epochs)" in said
    run, _ = train(tmp_path / "c", schedule="noam")
    assert not start(tmp_path / "c", schedule="noam", resume=run.path.name, epochs=3).finished
    run, _ = train(tmp_path / "d")
    (run.path / "finished.json").write_text(json.dumps({"metrics": {}, "epochs": 9}))  # it stopped after two of nine
    said = refused(tmp_path / "d", resume=run.path.name, epochs=20)
    assert "net-set-1 stopped by itself after 2 of 9 epochs" in said


def stopped_early(folder, **config):
    """A finished run of at most 9 epochs that stopped early, since it waits for a loss that rises."""
    return train(folder, watched=("loss", "max"), **{"epochs": 9, "patience": 1} | config)


@pytest.mark.parametrize(
    "more", [{"epochs": 9, "patience": 3}, {"epochs": 4, "patience": 0}, {"epochs": 12, "patience": 3}], ids=str
)
def test_a_run_that_stopped_early_goes_on_with_more_patience_as_one_that_had_it_from_the_start(more, tmp_path):
    whole, weights = stopped_early(tmp_path / "whole", **more)
    run, _ = stopped_early(tmp_path / "run")
    assert len((run.path / "history.csv").read_text().splitlines()) == 1 + 2  # it stopped after the second epoch
    again, resumed = stopped_early(tmp_path / "run", resume=run.path.name, **more)
    epochs = more["epochs"] if more["patience"] == 0 else 4
    histories = [(each.path / "history.csv").read_text() for each in (whole, again)]
    assert histories[0] == histories[1] and len(histories[0].splitlines()) == 1 + epochs
    assert [w.tobytes() for w in weights] == [w.tobytes() for w in resumed]
    saved = runs.settings_of(run.path)
    assert (saved["patience"], saved["epochs"]) == (more["patience"], more["epochs"]) and again.finished


def test_a_run_that_stopped_early_is_given_more_patience_or_its_weights_start_a_new_one(tmp_path):
    run, _ = stopped_early(tmp_path)
    given = {"resume": run.path.name, "patience": 1}
    said = refused(tmp_path, epochs=20, **given)
    assert said == (
        "--epochs: net-set-1 stopped by itself after 2 of 9 epochs; more would change nothing. Give more --patience "
        "than 1 with it (0: it never stops), or start a new run from its weights with --init net-set-1."
    )
    assert start(tmp_path, epochs=9, **given).finished  # nothing more is asked for
    assert "patience=1, now 0" not in refused(tmp_path, resume=run.path.name, patience=0, epochs=1)
    other, _ = train(tmp_path / "other", patience=5, epochs=2)
    assert "patience=5, now 4" in refused(tmp_path / "other", resume=other.path.name, patience=4, epochs=3)
    shutil.rmtree(run.path / "checkpoints")
    assert "has no checkpoint from which to go on" in refused(tmp_path, resume=run.path.name, patience=4, epochs=9)


@pytest.mark.parametrize("schedule", ["onecycle", "cosine", "steps"])
def test_a_schedule_that_has_ended_points_to_init(schedule, tmp_path):
    run, _ = train(tmp_path, schedule=schedule)
    said = refused(tmp_path, schedule=schedule, resume=run.path.name, epochs=3)
    assert said.endswith(f"To train its weights further, start a new run with --init {run.path.name}.")


@dataclasses.dataclass(frozen=True)
class WithFormats(settings.Training):
    formats: tuple = ()  # of the export


def test_a_finished_run_that_is_asked_for_another_format_is_exported_again(tmp_path):
    def begin(**config):
        prepared = machine.prepare(WithFormats(out=str(tmp_path), **config))
        return runs.start(prepared, app="app", name="net-set")

    begin().finish({"loss": 1.0})
    assert begin(resume="net-set-1").finished and not begin(resume="net-set-1", formats=("onnx",)).finished


def test_a_file_where_a_folder_of_the_run_should_be_is_one_line(tmp_path):
    run, _ = train(tmp_path)
    (run.path / "finished.json").unlink()
    shutil.rmtree(run.path / "checkpoints")
    (run.path / "checkpoints").write_text("")
    with pytest.raises(errors.UserError, match="checkpoints must be a folder of the run; something else has its name"):
        train(tmp_path, resume=run.path.name)


def test_other_data_are_refused_and_a_run_without_a_fingerprint_is_resumed_with_a_word(tmp_path, capsys):
    run, _ = train(tmp_path)
    before = (run.path / "config.json").read_bytes()
    said = refused(tmp_path, splits_of(count=30), resume=run.path.name, epochs=3)
    assert "the data of net-set-1 have changed (train: 24 -> 30 examples; " in said
    assert (run.path / "config.json").read_bytes() == before and run.finished
    old = json.loads(before)
    del old["data"]
    (run.path / "config.json").write_text(json.dumps(old))
    assert start(tmp_path, splits_of(count=30), resume=run.path.name).finished
    assert "whether they are the same cannot be checked" in capsys.readouterr().out
    for broken in ({"data": 3}, {"data": {"train": {}}}):
        (run.path / "config.json").write_text(json.dumps(old | broken))
        assert "is damaged" in refused(tmp_path, splits_of(), resume=run.path.name)


def pictures(folder):
    import tensorflow as tf

    rng = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 255, (8, 8, 3)).astype(np.uint8)
            (folder / name / f"{number}.png").write_bytes(tf.io.encode_png(pixels).numpy())


def texts(folder):
    folder.mkdir()
    (folder / "a.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 400)


def sentences(folder):
    folder.mkdir()
    pairs = [(f"the {a} {b}", f"{b} {a}") for a in "abcdefgh" for b in "ijklmnop"]
    for name, lines in zip(("my.xx", "my.yy"), zip(*pairs, strict=True), strict=True):
        (folder / name).write_text("\n".join(lines) + "\n")


def change_text(folder):
    text = (folder / "a.txt").read_text()
    (folder / "a.txt").write_text(text.replace("quick brown", "brown quick", 1))  # the same alphabet, the same length


def change_sentences(folder):
    lines = (folder / "my.yy").read_text().splitlines()
    (folder / "my.yy").write_text("\n".join([*lines[1:], lines[0]]) + "\n")  # the same lines, the same alphabet


@pytest.mark.parametrize(
    ("app", "make", "change", "flags", "said"),
    [
        ("classify_images", pictures, lambda f: (f / "cats").rename(f / "kittens"), ["--dataset", "{}"],
         "classes: cats -> kittens"),
        pytest.param(
            "classify_images", pictures, lambda f: (f / "cats" / "0.png").unlink(), ["--dataset", "{}"], "examples",
            marks=pytest.mark.slow,
        ),
        ("model_text", texts, change_text, ["--dataset", "{}", "--batch-size", "4"], "train: "),
        pytest.param(
            "translate", sentences, change_sentences,
            ["--source", "{}/my.xx", "--target", "{}/my.yy", "--vocabulary-size", "40"], "but not the same",
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_an_app_notices_that_its_data_have_changed(app, make, change, flags, said, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise Stop

    monkeypatch.setattr(tuning, "search", stop)
    main, folder = runpy.run_path(str(ROOT / "apps" / f"{app}.py"))["main"], tmp_path / "own"
    make(folder)
    with pytest.raises(Stop):
        main([*(flag.format(folder) for flag in flags), "--out", str(tmp_path)])
    resume = ["--resume", "--out", str(tmp_path)]
    with pytest.raises(Stop):
        main(resume)
    change(folder)
    with pytest.raises(errors.UserError, match="have changed") as caught:
        main(resume)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_the_next_commands_can_be_pasted_and_name_what_is_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = runs.Run(path=tmp_path / "run", root=tmp_path, name="net-set", app="app")
    ask, more = [tmp_path / "my runs" / "1", 'say "it\'s"'], [["--dataset", "x y"]]
    commands.following(run, tmp_path / "app.py", predict=[ask], searched=["--trials", "0"], data=more)
    lines = re.findall(r"^  (.*)$", capsys.readouterr().out, re.MULTILINE)
    assert [shlex.split(line)[1:] for line in lines] == [
        ["-m", "tensorboard.main", "--logdir", "run"],
        ["-m", "keras_dl", "predict", "my runs/1", 'say "it\'s"'],
        ["app.py", "--trials", "0"],
        ["app.py", "--dataset", "x y"],
    ]
    commands.following(run, tmp_path / "app.py")
    assert len(capsys.readouterr().out.split("\n  ")) == 2
    commands.following(dataclasses.replace(run, throwaway=True), tmp_path / "app.py", data=more)
    assert capsys.readouterr().out == ""


def test_a_prime_goes_into_the_next_command_as_words_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "the").write_text("a file")
    assert words.as_input("def ") == ["def "] and words.as_input("-- a rule") == ["--", "-- a rule"]
    assert [words.as_input(text) for text in ("the", "thee.txt", "", "nowhere/my.en", "-", "- ")] == [None] * 6
    asked = command._parser().parse_args(["predict", "--endpoint", "generate", "E", *words.as_input("-x y")])
    assert (asked.export, asked.inputs, asked.endpoint) == ("E", ["-x y"], "generate")


@pytest.mark.parametrize(("throwaway", "said"), [(False, "saved; --resume run"), (True, "stopped")])
def test_a_folder_that_goes_with_the_process_is_not_said_to_be_resumed(tmp_path, capsys, throwaway, said):
    run = runs.Run(path=tmp_path / "run", root=tmp_path, name="net-set", app="app", throwaway=throwaway)
    asked_to_stop = signals.Signals(run, saved=True)
    asked_to_stop.came = signal.SIGINT
    with pytest.raises(SystemExit):
        asked_to_stop.leave()
    assert said in capsys.readouterr().out


def test_data_that_one_has_just_used_are_not_suggested(tmp_path):
    names = ("fashion_mnist", "path/to/my/images")
    first, own = ([["--dataset", name]] for name in names)
    assert commands.other_data("digits", *names) == first + own
    assert commands.other_data("fashion_mnist", *names) == own
    assert commands.other_data(str(tmp_path), *names) == first


@pytest.mark.parametrize(
    "app", ["classify_images", *(pytest.param(name, marks=pytest.mark.slow) for name in ("model_text", "translate"))]
)
def test_a_finished_run_says_so_in_a_second_and_without_tensorflow(app, tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location(app, ROOT / "apps" / f"{app}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, app, module)  # dataclasses look there
    spec.loader.exec_module(module)
    folder = tmp_path / "runs" / app / "net-set-1"
    folder.mkdir(parents=True)
    settings_of_run = dataclasses.asdict(module.Config(out=str(tmp_path)))
    (folder / "config.json").write_text(json.dumps({"settings": settings_of_run}))
    (folder / "finished.json").write_text(json.dumps({"metrics": {"accuracy": 0.5}, "epochs": module.Config.epochs}))
    code = (
        "import sys, runpy; sys.modules.update(dict.fromkeys(['tensorflow', 'keras'])); sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    words = [ROOT / "apps" / f"{app}.py", "--resume", "net-set-1", "--out", tmp_path]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], cwd=ROOT, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout == "net-set-1 is finished: {'accuracy': 0.5}\n"
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3  # whatever else the machine does
