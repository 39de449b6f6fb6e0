"""Laws of search: killed at any moment it ends as if it had not been, and no single trial can bring it down."""

import gc
import itertools
import json
import os
import signal
import subprocess
import sys
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_dl import atomic, data, errors, runs, summaries, training, tuning
from keras_dl.data import images
from keras_dl.layers.normalization import BatchNormalization
from keras_dl.tuning import trials, weights

TUNERS = {"random": 4, "bayesian": 4, "hyperband": 9, "grid": 4}  # trials enough for each one's own phases


def scaled(x):
    return tf.cast(x, tf.float32) / 255.0


def batches(size=24, seed=0, **kwargs):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, size).astype(np.int32)
    image = rng.integers(0, 150, (size, 4, 4, 1)) + 100 * label[:, None, None, None]
    examples = data.Examples({"image": image.astype(np.uint8), "label": label})
    return data.batches(examples, 8, collate=images.with_labels(scaled), **kwargs)


def compiled(hp, small=False):
    """A net with all kinds of state, and a space in which one value is drawn only where another asks for it."""
    width = hp.Choice("width", [2, 3, 4], default=3)
    rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log", default=1e-2)
    kind = hp.Choice("optimizer", ["adam", "sgd"], default="adam")
    momentum = hp.Choice("momentum", [0.5, 0.9], default=0.9) if kind == "sgd" else None
    if small:
        model = keras.Sequential([keras.Input((1,)), layers.Dense(width, name="dense")])
    else:
        image = keras.Input((4, 4, 1), name="image")
        x = BatchNormalization(name="bn")(layers.Conv2D(width, 2, name="conv")(image))
        x = layers.Dropout(0.3, name="dropout")(layers.Flatten(name="flatten")(x))
        model = keras.Model(image, layers.Dense(2, dtype="float32", name="logits")(x))
    model.compile(
        keras.optimizers.SGD(rate, momentum) if kind == "sgd" else keras.optimizers.Adam(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    return model


def quick_fit(model, train, validation, run, *, epochs, **kwargs):
    """In place of training: a few sums, by which the outcome depends on weights, seed, order and earlier epochs."""
    losses = []
    for callback in kwargs["callbacks"]:
        callback.set_model(model)
        callback.on_train_begin()
    for epoch in range(epochs):
        drawn = np.random.random()  # the trial's own seed
        order = sum(int(i) for i in np.concatenate(train.batches.plan(1, train.first + epoch))[:3])
        for variable in model.trainable_variables:
            variable.assign(variable * 0.9 + 0.01 * float(model.optimizer.learning_rate) * order)
        norm = float(sum(np.square(keras.ops.convert_to_numpy(v)).sum() for v in model.trainable_variables))
        losses.append(norm + 0.1 * drawn)
    return {"loss": [2 * v for v in losses], "val_loss": losses, "learning_rate": [0.1] * epochs}


@pytest.fixture
def quick(monkeypatch):
    """No training, no waiting for the disk, no collecting: what is left is the search."""
    monkeypatch.setattr(training, "fit", quick_fit)
    monkeypatch.setattr(os, "fsync", lambda file: None)
    monkeypatch.setattr(gc, "collect", lambda: 0)


def small(hp):
    return compiled(hp, small=True)


def search(run, tuner="random", trials=None, build=small, **kwargs):
    trials = TUNERS[tuner] if trials is None else trials
    kwargs = {"epochs": 4, "tuner": tuner, "trials": trials} | kwargs
    return tuning.search(build, batches(shuffle=True), batches(seed=1), run, **kwargs)


def run_in(folder):
    return runs.Run(path=folder / "run", root=folder, name="net-set", app="app", seed=3)


def journal(run):
    """What must be equal: all but the seconds."""
    records = json.loads((run.tuner / "trials.json").read_text())
    return [{name: value for name, value in record.items() if name != "seconds"} for record in records]


def outcome(run):
    weights = {path.name: path.read_bytes() for path in (run.tuner / "weights").glob("*.npz")}
    events = sorted(str(path.parent.relative_to(run.tensorboard)) for path in run.tensorboard.rglob("events*"))
    return journal(run), json.loads((run.tuner / "best.json").read_text()), weights, events


@pytest.mark.parametrize("tuner", TUNERS)
def test_each_tuner_begins_with_the_defaults_and_ends_with_the_best(tmp_path, quick, tuner):
    run = run_in(tmp_path)
    best = search(run, tuner)
    records = journal(run)
    assert len(records) == TUNERS[tuner] and {r["status"] for r in records} == {"COMPLETED"}
    untouched = tuning.defaults()
    compiled(untouched)
    drawn = [{k: v for k, v in r["values"].items() if not k.startswith("tuner/")} for r in records]
    assert drawn[0] == untouched.values
    winner = min(records, key=lambda r: r["score"])
    assert best.values == drawn[winner["trial"]]
    assert small(best).get_layer("dense").units == best.values["width"]
    assert all(("momentum" in d) == (d["optimizer"] == "sgd") for d in drawn)  # what was not drawn is not said
    found = json.loads((run.tuner / "best.json").read_text())
    assert found == {"values": best.values, "trial": winner["trial"], "score": winner["score"], "monitor": "val_loss"}
    continued = [r["trial"] for r in records if "tuner/trial_id" in r["values"]]
    assert bool(continued) == (tuner == "hyperband")
    assert tuner not in ("random", "hyperband") or len({str(d) for d in drawn}) == len(drawn) - len(continued)


def test_grid_tries_every_combination_once(tmp_path, quick, capsys):
    def build(hp):
        hp.Choice("width", [2, 4], default=4)
        if hp.Choice("optimizer", ["adam", "sgd"], default="adam") == "sgd":
            with hp.conditional_scope("optimizer", ["sgd"]):
                hp.Choice("momentum", [0.5, 0.9], default=0.9)
        return small(tuning.defaults())

    run = run_in(tmp_path)
    search(run, "grid", trials=20, build=build)
    tried = [tuple(r["values"].values()) for r in journal(run)]
    assert tried == [(w, *o) for w in (4, 2) for o in (("adam",), ("sgd", 0.9), ("sgd", 0.5))]
    assert "ends after 6 of 20 trials" in capsys.readouterr().out


def test_a_search_goes_by_what_a_measure_says(tmp_path):
    """Of the last of these widths the measure is the largest, whatever the losses are."""

    def measure(model):
        return {"width": model.get_layer("logits").input.shape[-1] / 9}

    def build(hp):
        image = keras.Input((4, 4, 1), name="image")
        x = layers.Flatten()(layers.Conv2D(hp.Choice("width", [2, 5, 3], default=3), 2, name="conv")(image))
        model = keras.Model(image, layers.Dense(2, name="logits")(x))
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model

    run = run_in(tmp_path)
    best = search(run, "grid", 3, build, epochs=1, monitor="width", mode="max", measure=measure)
    assert best.values == {"width": 5} and [r["score"] for r in journal(run)] == [3.0, 2.0, 5.0]
    assert all(r["metrics"].keys() == {"loss", "val_loss", "width"} for r in journal(run))


def test_the_best_is_the_largest_where_that_is_asked(tmp_path, quick):
    run = run_in(tmp_path)
    search(run, mode="max")
    scores = [r["score"] for r in journal(run)]
    assert json.loads((run.tuner / "best.json").read_text())["score"] == max(scores) > min(scores)


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours may catch it."""


@pytest.mark.slow
@pytest.mark.parametrize("tuner", TUNERS)
def test_a_search_killed_around_every_write_ends_as_an_unbroken_one(tmp_path, quick, monkeypatch, tuner):
    whole = run_in(tmp_path / "whole")
    write, moments = atomic.write_atomic, []
    monkeypatch.setattr(atomic, "write_atomic", lambda path, text: (moments.append(path), write(path, text)))
    search(whole, tuner)
    assert len(moments) > TUNERS[tuner]
    step = {"random": 1, "bayesian": 5, "hyperband": 7, "grid": 5}[tuner]  # odd: before and after a write
    for kill in range(0, 2 * len(moments), step):
        run, count = run_in(tmp_path / f"{kill}"), itertools.count()

        def dying(path, text, kill=kill, count=count):
            number = next(count)
            if number == kill // 2 and kill % 2 == 0:
                raise Killed
            write(path, text)
            if number == kill // 2:
                raise Killed

        monkeypatch.setattr(atomic, "write_atomic", dying)
        with pytest.raises(Killed):
            search(run, tuner)
        monkeypatch.setattr(atomic, "write_atomic", write)
        search(run, tuner)
        assert outcome(run) == outcome(whole), f"killed at {kill}"


def test_a_search_killed_in_every_trial_ends_as_an_unbroken_one(tmp_path, quick, monkeypatch):
    whole, run = run_in(tmp_path / "whole"), run_in(tmp_path / "run")
    search(whole, "hyperband")

    def dying(model, *args, **kwargs):
        if np.random.default_rng().random() < 0.5:  # another moment each time: none may matter
            raise Killed
        return quick_fit(model, *args, **kwargs)

    monkeypatch.setattr(training, "fit", dying)
    kills = 0
    while not (run.tuner / "best.json").exists():
        try:
            search(run, "hyperband")
        except Killed:
            kills += 1
    assert outcome(run) == outcome(whole), f"{kills} kills"


@pytest.mark.parametrize("forgotten", ["seed", "weights", "order"])
def test_the_law_of_resuming_notices_what_is_forgotten(tmp_path, quick, monkeypatch, forgotten):
    """The laws above can fail: without any of these the outcome is another."""
    whole, run = run_in(tmp_path / "whole"), run_in(tmp_path / "run")
    search(whole, "hyperband")
    if forgotten == "seed":
        monkeypatch.setattr(runs.Run, "reseed", lambda self: None)
    elif forgotten == "weights":
        monkeypatch.setattr(weights, "load_weights", lambda model, path: None)
    else:
        monkeypatch.setattr(trials.FromEpoch, "__init__", lambda self, b, first: vars(self).update(batches=b, first=0))
    search(run, "hyperband")
    assert outcome(run) != outcome(whole)


def test_a_finished_search_is_not_run_again(tmp_path, quick, monkeypatch):
    run = run_in(tmp_path)
    best = search(run)

    def never(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr(training, "fit", never)
    assert search(run, build=never).values == best.values


def test_a_journal_of_another_search_is_refused(tmp_path, quick):
    run = run_in(tmp_path)
    search(run)
    (run.tuner / "best.json").unlink()
    before = (run.tuner / "trials.json").read_bytes()
    run.seed += 1
    with pytest.raises(errors.UserError, match="must be of this search; its trial 1 had .*Start a new run"):
        search(run)
    assert (run.tuner / "trials.json").read_bytes() == before


def test_weights_that_claim_more_bytes_than_their_file_has_are_damage(tmp_path):
    path, model = tmp_path / "0.npz", compiled(tuning.defaults())
    weights.save_weights(model, path)
    weights.load_weights(model, path)
    np.savez_compressed(path, *(np.zeros(10**6) for _ in model.weights))
    with pytest.raises(errors.UserError, match="its members claim more bytes than it has. Start a new run."):
        weights.load_weights(model, path)


@pytest.mark.slow
def test_hyperband_continued_is_one_unbroken_training(tmp_path):
    """The weights after two rounds are, bit for bit, those of as many epochs in one fit."""
    run = run_in(tmp_path)
    held = {}
    keep = weights.save_weights

    def keeping(model, path):
        held[int(path.stem)] = [v.numpy() for v in weights.state_of(model)]
        keep(model, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trials, "save_weights", keeping)
        search(run, "hyperband", trials=4, epochs=3, build=compiled)
    records = journal(run)
    continued = next(r for r in records if "tuner/trial_id" in r["values"] and r["trial"] in held)
    first = continued["values"]["tuner/trial_id"]
    assert 0 < continued["values"]["tuner/initial_epoch"] < continued["values"]["tuner/epochs"] == 3

    hp = tuning.defaults()
    hp.values = dict(continued["values"])
    trial = run.trial(first)
    keras.backend.clear_session()
    trial.reseed()
    model = compiled(hp)
    training.fit(
        model, batches(shuffle=True), batches(seed=1), run_in(tmp_path / "x"), epochs=3, verbose=0, keep="last"
    )
    for one, two in zip(weights.state_of(model), held[continued["trial"]], strict=True):
        np.testing.assert_array_equal(one.numpy(), two)


def test_weights_on_disk_are_the_best_and_those_of_the_open_bracket(tmp_path, quick, monkeypatch):
    run, seen = run_in(tmp_path), []
    write = atomic.write_atomic

    def watching(path, text):
        if path.name == "trials.json":
            seen.append(len(list((run.tuner / "weights").glob("*.npz"))))
        write(path, text)

    monkeypatch.setattr(atomic, "write_atomic", watching)
    search(run, "hyperband", trials=30)
    first = [r["values"]["tuner/round"] for r in journal(run)].index(1)  # the first bracket's size
    assert max(seen) <= first + 2  # with the best of all, and the one that has just ended
    best = json.loads((run.tuner / "best.json").read_text())["trial"]
    assert [p.name for p in (run.tuner / "weights").iterdir()] == [f"{best:03d}.npz"]


def test_a_trial_that_fails_is_recorded_and_the_search_goes_on(tmp_path, quick, monkeypatch, capsys):
    errors = {
        0: training.Diverged("training.fit: the loss must stay finite; got nan"),
        2: tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\nmore"),
        3: ValueError("build_net: width must be odd"),
    }

    def failing(model, train, validation, run, **kwargs):
        number = int(run.path.name)
        if number in errors:
            raise errors[number]
        history = quick_fit(model, train, validation, run, **kwargs)
        return history if number != 4 else history | {"val_loss": [float("nan")] * kwargs["epochs"]}

    monkeypatch.setattr(training, "fit", failing)
    run = run_in(tmp_path)
    best = search(run, trials=6)
    records = journal(run)
    assert [r["status"] for r in records] == ["FAILED", "COMPLETED", "FAILED", "FAILED", "FAILED", "COMPLETED"]
    assert [r["message"] for r in records] == [
        str(errors[0]), None, "OOM when allocating", str(errors[3]), "val_loss was never a finite number", None,
    ]  # fmt: skip
    assert best.values == min((records[1], records[5]), key=lambda r: r["score"])["values"]
    said = capsys.readouterr().out
    assert "The best of 6 trials, 4 of which failed" in said and "failed: OOM when allocating" in said
    whole, again = outcome(run), run_in(tmp_path / "again")
    again.tuner.joinpath("trials.json").write_text(json.dumps(json.loads((run.tuner / "trials.json").read_text())[:4]))
    search(again, trials=6)
    # The best trial's weights were not carried over with the cut journal.
    assert outcome(again)[:2] == whole[:2]


def test_when_every_trial_fails_the_first_reason_is_said(tmp_path, quick):
    def build(hp):
        hp.Choice("width", [1, 2, 3, 4, 5, 6, 7, 8])
        raise ValueError(f"build_net: width must be 0; got {hp.get('width')}.")

    run = run_in(tmp_path)
    with pytest.raises(errors.UserError, match=r"every trial failed; the first with: build_net: .* got 1\."):
        search(run, build=build, trials=5)
    assert [r["values"]["width"] for r in journal(run)][0] == 1 and len(journal(run)) == 5
    assert not (run.tuner / "best.json").exists()


def test_a_mistake_of_the_users_is_not_a_trials_failure(tmp_path, quick):
    with pytest.raises(errors.UserError, match="monitor must be one of loss, val_loss; got 'val_acc'"):
        search(run_in(tmp_path), monitor="val_acc")
    for kwargs, text in (
        ({"tuner": "radnom"}, "tuner must be one of 'random', 'bayesian', 'hyperband', 'grid'; got 'radnom'"),
        ({"trials": -1}, "trials must be a whole number from 0 to 1,000,000; got -1"),
        ({"epochs": 0}, "epochs must be a whole number from 1 to 1,000,000; got 0"),
        ({"mode": "least"}, "mode must be one of 'min', 'max'; got 'least'"),
    ):
        with pytest.raises(errors.UserError, match=text):
            search(run_in(tmp_path), **{"trials": 1} | kwargs)


def test_a_full_disk_and_an_interrupt_pass_through(tmp_path, monkeypatch):
    for error in (KeyboardInterrupt, SystemExit, OSError):

        def stopping(*args, error=error, **kwargs):
            raise error

        monkeypatch.setattr(training, "fit", stopping)
        with pytest.raises(error):
            search(run_in(tmp_path / error.__name__))
        assert not (tmp_path / error.__name__ / "run" / "tuner" / "trials.json").exists()


@pytest.mark.parametrize("tuner", ["random", "hyperband", "grid"])
def test_a_space_that_is_used_up_ends_the_search(tmp_path, quick, capsys, tuner):
    def build(hp):
        model = compiled(tuning.defaults())
        model.optimizer.learning_rate = hp.Choice("rate", [0.1, 0.2, 0.3], default=0.2)
        return model

    run = run_in(tmp_path)
    search(run, tuner, build=build, trials=20)
    drawn = [r["values"]["rate"] for r in journal(run) if "tuner/trial_id" not in r["values"]]
    assert drawn[0] == 0.2 and sorted(drawn) == [0.1, 0.2, 0.3]
    assert f"The {tuner} search ends after 3 of 20 trials: there are no other values" in capsys.readouterr().out


def test_no_trials_and_no_space_give_the_defaults(tmp_path, quick, capsys):
    assert search(run_in(tmp_path), trials=0, build=lambda hp: pytest.fail("nothing is built")).values == {}
    assert not (tmp_path / "run").exists()
    assert search(run_in(tmp_path), "hyperband", build=lambda hp: compiled(tuning.defaults())).values == {}
    assert "nothing to search" in capsys.readouterr().out


@pytest.mark.slow
def test_trials_leave_no_model_behind(tmp_path, monkeypatch):
    models = []

    def build(hp):
        assert len([m for m in models if m() is not None]) == 0
        model = compiled(hp)
        models.append(weakref.ref(model))
        return model

    def sometimes(model, *args, **kwargs):
        if len(models) == 2:
            raise ValueError("no")
        return fit(model, *args, **kwargs)

    fit = training.fit
    monkeypatch.setattr(training, "fit", sometimes)
    gc.disable()  # nothing else may free them
    try:
        search(run_in(tmp_path), build=build, trials=3, epochs=1)
    finally:
        gc.enable()
    assert len(models) == 4 and [m() for m in models] == [None] * 4


def test_the_table_shows_the_best_five(tmp_path, quick, capsys):
    run = run_in(tmp_path)
    search(run, "grid", trials=7)
    text = capsys.readouterr().out
    rows = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("|")][2:]
    ranked = sorted(journal(run), key=lambda r: r["score"])[:5]
    assert [(int(a), float(b)) for a, b in rows] == [(r["trial"], round(r["score"], 4)) for r in ranked]
    assert "\x1b" not in text


def hparams_page(folder):
    """(experiment, {group: session group}) as TensorBoard's HParams page gets them under --logdir folder."""
    from tensorboard import context
    from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups

    events = plugin_event_multiplexer.EventMultiplexer(tensor_size_guidance={"tensors": 0})
    events.AddRunsFromDirectory(str(folder)).Reload()
    provider = data_provider.MultiplexerDataProvider(events, str(folder))
    backend = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    asking = context.RequestContext()
    experiment = get_experiment.Handler(asking, backend, "", api_pb2.GetExperimentRequest()).run()
    metrics = [api_pb2.ColParams(metric=info.name) for info in experiment.metric_infos]
    every = [api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE]
    request = api_pb2.ListSessionGroupsRequest(slice_size=100, col_params=metrics, allowed_statuses=every)
    groups = list_session_groups.Handler(asking, backend, "", request).run().session_groups
    return experiment, {group.name: group for group in groups}


def values_of(group):
    return {name: getattr(v, v.WhichOneof("kind")) for name, v in group.hparams.items()}


def metrics_of(group):
    return {m.name.tag: m.value for m in group.metric_values}


def test_the_hparams_page_has_every_trial_of_every_run_with_its_values(tmp_path, quick):
    """Two runs under one folder: trial 0 of the one is not trial 0 of the other."""
    runs = {name: run_in(tmp_path / name) for name in ("one", "two")}
    runs["two"].seed = 5
    for name, run in runs.items():
        search(run, trials=6)
        summaries.hparams(
            run.tensorboard / "validation",
            {"width": 3, "units": (8, 8), "cell": None},
            {"metrics (test)/loss": len(name)},
        )
    experiment, groups = hparams_page(tmp_path)
    columns = {
        "fit",
        "width",
        "learning_rate",
        "optimizer",
        "momentum",
        "units",
        "cell",
    }  # some trials draw no momentum
    assert {info.name for info in experiment.hparam_infos} == columns
    assert {info.name.tag for info in experiment.metric_infos} == {"metrics (trial)/loss", "metrics (test)/loss"}
    assert len(groups) == 2 * 7 and all(len(group.sessions) == 1 for group in groups.values())
    for name, run in runs.items():
        for record in journal(run):
            group = groups[f"{name}/run/variants/{record['trial']:03d}"]
            assert values_of(group) == record["values"] | {"fit": f"trial {record['trial']}"}
            tags = {"metrics (trial)/loss": np.float32(record["metrics"]["val_loss"])}
            assert metrics_of(group) == tags
        final = groups[f"{name}/run/validation"]
        assert values_of(final) == {"width": 3, "units": "(8, 8)", "cell": "None"}
        assert metrics_of(final) == {"metrics (test)/loss": len(name)}


def test_a_row_of_the_hparams_page_takes_the_place_of_the_one_before(tmp_path):
    from tensorboard.plugins.hparams import api_pb2

    for value in (1.0, 2.0):
        summaries.hparams(tmp_path / "fit", {"rate": value}, {"metrics (test)/loss": 10 * value}, failed=value == 2)
    _, groups = hparams_page(tmp_path)
    assert set(groups) == {"fit"} and values_of(groups["fit"]) == {"rate": 2.0}
    assert metrics_of(groups["fit"]) == {"metrics (test)/loss": 20.0}
    assert groups["fit"].sessions[0].status == api_pb2.STATUS_FAILURE


KILLED = """
import json, os, pathlib, signal, sys
import keras_dl
from keras_dl import atomic, errors, runs, training, tuning
import test_tuning
folder, moment = pathlib.Path(sys.argv[1]), sys.argv[2]
fit, write, replace = training.fit, atomic.write_atomic, os.replace
def in_trial(model, train, validation, run, **kwargs):
    if moment == "trial" and run.path.name == "002":
        class Kill(test_tuning.keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                os.kill(os.getpid(), signal.SIGKILL)
        kwargs["callbacks"] = [*kwargs["callbacks"], Kill()]
    return fit(model, train, validation, run, **kwargs)
def in_journal(aside, path):
    if moment == "journal" and pathlib.Path(path).name == "trials.json" and len(json.loads(aside.read_text())) == 2:
        with open(aside, "rb+") as file:  # torn: killed within its writing
            file.truncate(40)
        os.kill(os.getpid(), signal.SIGKILL)
    replace(aside, path)
training.fit, os.replace = in_trial, in_journal
test_tuning.search(test_tuning.run_in(folder), trials=4, epochs=2, build=test_tuning.compiled)
"""


@pytest.mark.slow
def test_a_search_that_was_really_killed_ends_as_an_unbroken_one(tmp_path):
    def child(folder, moment):
        command = [sys.executable, "-c", KILLED, str(tmp_path / folder), moment]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    assert child("whole", "never").returncode == 0
    whole = outcome(run_in(tmp_path / "whole"))
    for moment, done in (("trial", 2), ("journal", 1)):
        assert child(moment, moment).returncode == -signal.SIGKILL
        run = run_in(tmp_path / moment)
        assert len(journal(run)) == done
        resumed = child(moment, "never")
        assert resumed.returncode == 0, resumed.stderr
        assert outcome(run) == whole
        events = [len(list(summaries.whole_events(p))) for p in sorted(run.tensorboard.rglob("events*"))]
        assert events == [
            len(list(summaries.whole_events(p))) for p in sorted((tmp_path / "whole/run").rglob("events*"))
        ]
