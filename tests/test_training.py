"""Laws of fit: the same as Keras' where both can, resumed to the bit, stopped with the right step."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import threading

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from killing import KillAt

from keras_dl import checkpoint, data, errors, optimizers, restoring, runs, samples, settings, training
from keras_dl.data import images
from keras_dl.layers.normalization import BatchNormalization
from keras_dl.training import fitting


def scaled(x):
    return tf.cast(x, tf.float32) / 255.0


def examples(size=60, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, size).astype(np.int32)
    image = rng.integers(0, 90, (size, 8, 8, 1)) + 80 * label[:, None, None, None]
    return data.Examples({"image": image.astype(np.uint8), "label": label})


def train_batches(**kwargs):
    kwargs = {"shuffle": True, "seed": 3, "augment": images.Augment(1), "collate": images.with_labels(scaled)} | kwargs
    return data.batches(examples(), 8, **kwargs)


def validation_batches():
    return data.batches(examples(20, seed=1), 8, collate=images.with_labels(scaled))


def compiled(optimizer="adam", rate=0.01, dropout=0.3, **kwargs):
    """A small net with all that carries state: batch norm, dropout's seeds, an optimizer with slots."""
    keras.utils.set_random_seed(7)
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(4, 3, name="conv")(image)
    x = layers.ReLU(name="relu")(BatchNormalization(name="bn")(x))
    x = layers.Dropout(dropout, name="dropout")(layers.Flatten(name="flatten")(x))
    model = keras.Model(image, layers.Dense(3, dtype="float32", name="logits")(x))
    model.compile(
        optimizers.build(optimizer, rate, **kwargs),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    return model


def plateau():
    return [
        keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=1, min_delta=0.5),
        keras.callbacks.EarlyStopping(patience=9, restore_best_weights=True),
    ]


def state(model):
    return [np.asarray(v).tobytes() for v in checkpoint.variables(model)]


def fit(model, run, epochs=4, **kwargs):
    kwargs = {"callbacks": plateau(), "verbose": 0, "keep": "last"} | kwargs
    return training.fit(model, train_batches(), validation_batches(), run, epochs=epochs, **kwargs)


def run_in(folder, **kwargs):
    return runs.Run(path=folder, root=folder, name="net-set", app="app", **kwargs)


def test_fit_does_what_keras_does(tmp_path):
    ours, keras_fit = compiled(dropout=0.0), compiled(dropout=0.0)
    batches = train_batches()
    history = training.fit(ours, batches, validation_batches(), run_in(tmp_path), epochs=3, keep="last", verbose=0)
    theirs = keras_fit.fit(
        batches.dataset(epochs=3), steps_per_epoch=batches.steps(), epochs=3, verbose=0,
        validation_data=validation_batches().dataset(),
    ).history  # fmt: skip
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        np.testing.assert_allclose(history[name], theirs[name], rtol=2e-5)
    for a, b in zip(ours.weights, keras_fit.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_a_rate_that_decays_is_the_papers_by_epoch():
    """Zaremba et al. 2014: 1 for four epochs, then halved each."""
    optimizer = optimizers.build("sgd", 1.0, schedule="decay", steps_per_epoch=3, decay_after=4, decay_factor=0.5)
    variable = keras.Variable([0.0])
    optimizer.build([variable])
    rates = []
    for _ in range(7 * 3):
        rates.append(float(optimizer.learning_rate))
        optimizer.apply([tf.constant([1.0])])
    assert rates == [rate for rate in (1, 1, 1, 1, 0.5, 0.25, 0.125) for _ in range(3)]
    assert float(variable[0]) == pytest.approx(-3 * 4.875)


def test_a_rate_that_warms_up_is_equation_3_of_the_transformer():
    """Vaswani et al. 2017: d^-0.5 min(t^-0.5, t warmup^-1.5) at update t; at its largest (d warmup)^-0.5."""
    d, warmup = 512, 40
    optimizer = optimizers.build(
        "adam", (d * warmup) ** -0.5, schedule="noam", warmup=warmup, beta_2=0.98, epsilon=1e-9
    )
    assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon) == (0.9, 0.98, 1e-9)  # section 5.3
    variable = keras.Variable([0.0])
    optimizer.build([variable])
    rates = []
    for _ in range(10 * warmup):
        rates.append(float(optimizer.learning_rate))
        optimizer.apply([tf.constant([1.0])])
    wanted = [d**-0.5 * min(t**-0.5, t * warmup**-1.5) for t in range(1, 10 * warmup + 1)]
    for t in (1, 2, warmup - 1, warmup, warmup + 1, 10 * warmup):
        assert rates[t - 1] == pytest.approx(wanted[t - 1], rel=1e-6)
    np.testing.assert_allclose(rates, wanted, rtol=1e-5)
    assert np.argmax(rates) == warmup - 1 and float(variable[0]) == pytest.approx(-sum(wanted), rel=1e-4)
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(optimizer._learning_rate))
    assert type(again) is optimizers.Noam and again.get_config() == {"peak": (d * warmup) ** -0.5, "warmup": warmup}
    assert float(again(6)) == rates[6]


def test_what_a_command_line_says_of_adam_reaches_it():
    said = settings.Optimizer(schedule="noam", warmup=7, learning_rate=0.5, beta_2=0.9, epsilon=1e-3, weight_decay=0.2)
    optimizer = optimizers.drawn(keras_tuner.HyperParameters(), said, 1, steps_per_epoch=3)
    assert (optimizer.beta_2, optimizer.epsilon, optimizer.weight_decay) == (0.9, 1e-3, 0.2)
    assert optimizer._learning_rate.get_config() == {"peak": 0.5, "warmup": 7}


def test_stopping_makes_what_is_asked_for():
    assert training.stopping(0, 0) == []
    plateau, stop = training.stopping(3, 2, "val_nats")
    assert isinstance(plateau, keras.callbacks.ReduceLROnPlateau) and (plateau.patience, plateau.factor) == (2, 0.5)
    assert isinstance(stop, keras.callbacks.EarlyStopping) and stop.patience == 3
    assert plateau.monitor == stop.monitor == "val_nats"


def test_two_runs_with_one_seed_are_bit_equal(tmp_path):
    a, b = compiled(), compiled()
    assert fit(a, run_in(tmp_path / "a")) == fit(b, run_in(tmp_path / "b"))
    assert state(a) == state(b)
    other = compiled()
    training.fit(other, train_batches(seed=4), validation_batches(), run_in(tmp_path / "c"), epochs=4, verbose=0)
    assert state(a) != state(other)


@pytest.mark.parametrize("epoch", [0, 2])
def test_a_run_that_was_stopped_within_an_epoch_goes_on_to_the_bit(tmp_path, epoch, capsys, monkeypatch):
    monkeypatch.setattr(fitting, "BLOCKS", ((float("inf"), 3),))
    whole = compiled()
    history = fit(whole, run_in(tmp_path / "whole"))
    rates = history["learning_rate"]
    assert rates[0] > rates[-1]  # the plateau callback was at work

    with pytest.raises(SystemExit) as stop:
        fit(compiled(), run_in(tmp_path / "run"), callbacks=[*plateau(), KillAt(epoch)])
    assert stop.value.code == 128 + signal.SIGTERM
    found = checkpoint.newest(tmp_path / "run" / "checkpoints")[1]
    assert found["epoch"] == epoch and found["step"] > 0

    resumed = compiled()
    assert fit(resumed, run_in(tmp_path / "run", resumed=True)) == history
    assert state(resumed) == state(whole)
    assert "goes on at epoch" in capsys.readouterr().out
    read = [(tmp_path / name / "history.csv").read_text() for name in ("whole", "run")]
    assert read[0] == read[1] and len(list(csv.reader(read[0].splitlines()))) == 5


@pytest.mark.slow
@pytest.mark.parametrize("forgotten", ["seed", "metrics", "callbacks", "optimizer"])
def test_the_law_of_resuming_notices_what_keras_forgets(tmp_path, monkeypatch, forgotten):
    """Without any one part of the checkpoint the resumed run ends elsewhere: the test above can fail."""
    monkeypatch.setattr(fitting, "BLOCKS", ((float("inf"), 3),))
    whole = compiled()
    history = fit(whole, run_in(tmp_path / "whole"))
    with pytest.raises(SystemExit):
        fit(compiled(), run_in(tmp_path / "run"), callbacks=[*plateau(), KillAt(2)])

    if forgotten == "callbacks":
        monkeypatch.setattr(restoring, "set_callback_state", lambda *_: None)
    else:
        lost = {"seed": "seed_generator_state", "metrics": "total", "optimizer": "conv_kernel_momentum"}[forgotten]
        assign, forgot = fitting.assign, []

        def forgetful(variables, values):
            forgot.extend(v.path for v in variables if lost in v.path)
            assign(*zip(*[(v, x) for v, x in zip(variables, values, strict=True) if lost not in v.path], strict=True))

        monkeypatch.setattr(fitting, "assign", forgetful)
    resumed = compiled()
    again = fit(resumed, run_in(tmp_path / "run", resumed=True))
    assert again != history or state(resumed) != state(whole)
    assert forgotten == "callbacks" or forgot


def test_a_finished_fit_is_not_trained_again(tmp_path):
    first = compiled()
    history = fit(first, run_in(tmp_path))
    second = compiled()
    assert fit(second, run_in(tmp_path, resumed=True)) == history
    assert state(second) == state(first)


def test_epochs_may_grow(tmp_path):
    whole, grown = compiled(), compiled()
    history = fit(whole, run_in(tmp_path / "whole"), epochs=5, callbacks=())
    fit(compiled(), run_in(tmp_path / "run"), epochs=2, callbacks=())
    assert fit(grown, run_in(tmp_path / "run", resumed=True), epochs=5, callbacks=()) == history
    assert state(grown) == state(whole)


def test_a_truncated_checkpoint_is_passed_over_with_a_line(tmp_path, capsys):
    whole = compiled()
    history = fit(whole, run_in(tmp_path / "run"), epochs=3)
    files = sorted((tmp_path / "run" / "checkpoints").glob("*.npz"))
    assert len(files) == checkpoint.KEEP
    files[-1].write_bytes(files[-1].read_bytes()[:-500])
    resumed = compiled()
    assert fit(resumed, run_in(tmp_path / "run", resumed=True), epochs=3) == history
    assert state(resumed) == state(whole)
    assert f"{files[-1]} is damaged" in capsys.readouterr().err


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    fit(compiled(), run_in(tmp_path), epochs=1)
    with pytest.raises(errors.UserError, match="of another model; nothing was changed .*variable: must have"):
        fit(compiled("momentum"), run_in(tmp_path, resumed=True))


def another(path, change):
    """Write the checkpoint in `path` anew after change(arrays, state)."""
    arrays, found = checkpoint.read_archive(path)
    change(arrays, found)
    with open(path, "wb") as file:
        checkpoint.write_archive(file, arrays, found)


def put(name, value):
    return lambda arrays, _: arrays.update({name: value})


def say(**fields):
    return lambda _, found: found.update(fields)


WRONG_INSIDE = {
    "no variable": (lambda arrays, _: arrays.pop("variable/0"), "variable/0: is missing"),
    "one too few": (lambda arrays, _: arrays.pop(max(arrays, key=lambda n: (n[:9] == "variable/", len(n), n))), "have"),
    "one too many": (put("variable/99", np.zeros(1)), "is missing"),
    "shape": (put("variable/0", np.zeros((1, 2), np.float32)), "variable/0: must be float32"),
    "dtype": (lambda arrays, _: put("variable/0", arrays["variable/0"].astype(np.float64))(arrays, _), "it is float64"),
    "best": (put("best/0", np.zeros(3, np.float32)), "best"),
    "epoch": (say(epoch=-1), "state.json is damaged: epoch: expected `int` >= 0"),
    "whole epoch": (say(epoch=1.5), "state.json is damaged: epoch: expected `int`, got `float`"),
    "step": (say(step=10**6), "step: must be below"),
    "no history": (say(history=None), "state.json is damaged: history: expected `object`, got `null`"),
    "short history": (say(history={"loss": []}), "history.loss: must have 2 values; it has 0"),
    "no callbacks": (say(callbacks=[]), "callbacks: must be 2; there are 0"),
    "callback": (lambda _, found: found["callbacks"][0].update(wait="x"), "callbacks[0].wait: must be a float"),
    "half a callback": (lambda _, found: found["callbacks"][1].clear(), "callbacks[1].epochs_done: is missing"),
    "no state": (lambda _, found: found.clear(), "state.json is damaged: object missing required field"),
}


@pytest.mark.parametrize("wrong", WRONG_INSIDE)
def test_a_checkpoint_that_is_whole_and_wrong_inside_is_passed_over(once, tmp_path, monkeypatch, capsys, wrong):
    change, said = WRONG_INSIDE[wrong]
    folder = shutil.copytree(once, tmp_path / "run")
    old, new = sorted((folder / "checkpoints").glob("*.npz"))
    another(new, change)
    restored = []
    monkeypatch.setattr(fitting.Loop, "_restore", lambda self, arrays, found: restored.append(found) or stop())
    with pytest.raises(KeyboardInterrupt):
        fit(compiled(), run_in(folder, resumed=True), callbacks=counting(folder), epochs=3)
    assert restored[0]["epoch"] == 1
    line = capsys.readouterr().err.strip()
    assert line.startswith(str(new)) and said in line and "the checkpoint before it is used" in line
    assert "\n" not in line


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A run's folder with the checkpoints of two epochs."""
    folder = tmp_path_factory.mktemp("once") / "run"
    fit(compiled(), run_in(folder), callbacks=counting(folder), epochs=2)
    return folder


def counting(folder):
    return [*training.stopping(5, 0), samples.Samples(run_in(folder), lambda: None)]


def stop():
    raise KeyboardInterrupt


def test_a_checkpoint_is_whole_or_the_one_before_stands(tmp_path, monkeypatch):
    checkpoint.write(tmp_path, 1, 0, {"a": np.arange(3)}, STATE)

    def torn(file, arrays, state):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_archive", torn)
    with pytest.raises(OSError, match="No space"):
        checkpoint.write(tmp_path, 2, 0, {"a": np.arange(3)}, STATE | {"epoch": 2})
    arrays, found = checkpoint.newest(tmp_path)
    assert found == STATE and arrays["a"].tolist() == [0, 1, 2]
    assert [p.name for p in tmp_path.iterdir()] == ["000001-000000000.npz"]


def test_what_a_damaged_checkpoint_holds_does_not_command_the_terminal(tmp_path, capsys):
    def wrong(arrays, state):
        raise ValueError("history.\x1b[31m\n: must have 2 values")

    checkpoint.write(tmp_path, 1, 0, {"a": np.arange(3)}, STATE)
    with pytest.raises(errors.UserError) as refused:
        checkpoint.newest(tmp_path, wrong)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and not {"\x1b", "\n"} & set(said[:-1] + str(refused.value))


STATE = {"epoch": 1, "step": 0, "history": {}, "best": None, "stopped": False, "callbacks": []}


@pytest.mark.parametrize("seed", range(60))
def test_a_checkpoint_with_wrong_bytes_is_passed_over(tmp_path, capsys, seed):
    checkpoint.write(tmp_path, 1, 0, {"a": np.arange(3)}, STATE)
    checkpoint.write(tmp_path, 2, 0, {"a": np.arange(30)}, STATE | {"epoch": 2})
    path, rng = tmp_path / "000002-000000000.npz", np.random.default_rng(seed)
    data = bytearray(path.read_bytes())
    if seed % 3:
        for at in rng.integers(0, len(data), 4):
            data[at] ^= 1 << rng.integers(8)
    else:
        del data[rng.integers(len(data)) :]
    path.write_bytes(data)
    arrays, found = checkpoint.newest(tmp_path, only_a)
    said = capsys.readouterr().err
    if found["epoch"] == 2:  # the bits that were turned are of no account
        np.testing.assert_array_equal(arrays["a"], np.arange(30))
    else:
        assert said.count("\n") == 1 and said.startswith((f"{path} is damaged", f"{path} does not fit"))


def only_a(arrays, _):
    if list(arrays) != ["a"]:
        raise ValueError("an array has another name")


def test_a_checkpoint_can_be_due_within_an_epoch(tmp_path, monkeypatch):
    places = []
    write = checkpoint.write
    monkeypatch.setattr(checkpoint, "write", lambda f, e, s, *rest: (places.append((e, s)), write(f, e, s, *rest)))
    fit(compiled(), run_in(tmp_path), epochs=1, save_minutes=0.0)
    assert (0, 1) in places and places[-1] == (1, 0)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_keep_says_whose_weights_stay(tmp_path, keep):
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((logs["val_loss"], [np.asarray(w) for w in self.model.weights]))

    model = compiled(rate=0.2)
    fit(model, run_in(tmp_path), epochs=6, callbacks=[Watch()], keep=keep)
    losses = [loss for loss, _ in seen]
    assert np.argmin(losses) != len(losses) - 1  # else the two are the same
    kept = seen[int(np.argmin(losses)) if keep == "best" else -1][1]
    for a, b in zip(model.weights, kept, strict=True):
        np.testing.assert_array_equal(a, b)


class Weights(keras.callbacks.Callback):
    """The trainable weights after every epoch."""

    def __init__(self):
        super().__init__()
        self.after = []

    def on_epoch_end(self, epoch, logs=None):
        self.after.append([np.asarray(w) for w in self.model.trainable_weights])

    def get_state(self):
        return {}

    def set_state(self, state):
        pass


@pytest.mark.parametrize("average", [1, 3, 9])
def test_the_mean_of_the_last_epochs_weights_may_stay(tmp_path, average):
    """Of 4 epochs: of the last, of three, of as many as there are. Training goes on from the weights themselves."""
    watch, plain = Weights(), compiled()
    history = fit(plain, run_in(tmp_path / "plain"), callbacks=plateau()[:1])
    model = compiled()
    assert fit(model, run_in(tmp_path), callbacks=[*plateau()[:1], watch], average_last=average) == history
    for weight, *after in zip(model.trainable_weights, *watch.after[-average:], strict=True):
        np.testing.assert_allclose(weight, np.mean(after, 0, dtype=np.float64), rtol=1e-5, atol=1e-7)
    last = [np.array_equal(a, b) for a, b in zip(model.trainable_weights, watch.after[-1], strict=True)]
    assert all(last) == (average == 1)
    for ours, its in zip(model.non_trainable_weights, plain.non_trainable_weights, strict=True):
        np.testing.assert_array_equal(ours, its)


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [0, 3])
def test_a_mean_of_epochs_is_the_same_to_the_bit_after_a_stop(tmp_path, monkeypatch, epoch):
    monkeypatch.setattr(fitting, "BLOCKS", ((float("inf"), 3),))
    whole = compiled()
    watch = Weights()
    fit(whole, run_in(tmp_path / "whole"), callbacks=[watch], average_last=3)
    assert not np.array_equal(whole.trainable_weights[0], watch.after[-1][0])
    with pytest.raises(SystemExit):
        fit(compiled(), run_in(tmp_path / "run"), callbacks=[KillAt(epoch)], average_last=3)
    resumed, again = compiled(), compiled()
    fit(resumed, run_in(tmp_path / "run", resumed=True), callbacks=(), average_last=3)
    assert state(resumed) == state(whole)
    fit(again, run_in(tmp_path / "run", resumed=True), callbacks=(), average_last=3)  # which is finished
    assert state(again) == state(whole)


@pytest.mark.parametrize("at", [1, 5])
def test_a_loss_that_is_not_finite_stops_with_its_step(tmp_path, at):
    poisoned = examples()
    image = poisoned.features["image"].astype(np.float32)
    image[np.arange(len(image)) // 8 == at - 1] = np.nan
    broken = data.batches(
        data.Examples({"image": image, "label": poisoned.features["label"]}), 8, collate=images.with_labels(lambda x: x)
    )
    with pytest.raises(
        training.Diverged, match=f"at step {at} of epoch 1 with learning rate 0.01. Try --learning-rate"
    ):
        training.fit(compiled(), broken, None, run_in(tmp_path), epochs=2, monitor="loss", verbose=0)
    assert checkpoint.newest(tmp_path / "checkpoints") is None


def test_the_number_of_updates_is_exact_whatever_the_block(tmp_path):
    for block in (1, 3, 32):
        model = compiled()
        run = run_in(tmp_path / str(block), resumed=True)
        run.note("execution", {"steps_per_execution": block})
        fit(model, run, epochs=2)
        assert int(model.optimizer.iterations) == 2 * train_batches().steps()


def test_evaluate_equals_keras(run):
    model = compiled()
    ours = training.evaluate(model, validation_batches())
    theirs = model.evaluate(validation_batches().dataset(), verbose=0, return_dict=True)
    assert ours == pytest.approx(theirs, rel=1e-6)


def test_an_unknown_monitor_lists_the_right_ones(tmp_path):
    with pytest.raises(errors.UserError, match="monitor must be one of loss, accuracy.*got 'val_acc'"):
        fit(model := compiled(), run_in(tmp_path), keep="best", monitor="val_acc")
    assert model.optimizer.iterations == 0  # before the training


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("kill", [None, pytest.param(3, marks=pytest.mark.slow)])
def test_the_best_epoch_may_lie_before_a_kill_and_be_the_smallest_or_the_largest(tmp_path, monkeypatch, mode, kill):
    """The measure is a list by heart, so that the best epoch is the second, before the kill in the fourth."""
    monkeypatch.setattr(fitting, "BLOCKS", ((float("inf"), 3),))
    scores = {"min": [3.0, 1.0, 2.0, 2.5, 1.5], "max": [1.0, 5.0, 4.0, 2.0, 3.0]}[mode]
    wanted, watch = {"keep": "best", "monitor": "score", "mode": mode}, Weights()

    def score(model):
        return {"score": scores[int(model.optimizer.iterations) // train_batches().steps() - 1]}

    whole = compiled()
    history = fit(whole, run_in(tmp_path / "whole"), 5, callbacks=[watch], measure=score, **wanted)
    for weight, best in zip(whole.trainable_weights, watch.after[1], strict=True):
        np.testing.assert_array_equal(weight, best)
    assert history["score"] == scores
    if kill is not None:
        with pytest.raises(SystemExit):
            fit(compiled(), run_in(tmp_path / "run"), 5, callbacks=[KillAt(kill)], measure=score, **wanted)
        resumed = compiled()
        again = fit(resumed, run_in(tmp_path / "run", resumed=True), 5, callbacks=(), measure=score, **wanted)
        assert again == history
        for one, two in zip(resumed.weights, whole.weights, strict=True):
            np.testing.assert_array_equal(one, two)


def test_an_epoch_whose_number_is_nan_is_never_the_best(tmp_path):
    watch, model = Weights(), compiled()
    scores = iter([0.0, float("nan"), 2.0, float("nan")])  # the first is asked for its name
    fit(
        model, run_in(tmp_path), 3, callbacks=[watch], keep="best", monitor="x", measure=lambda m: {"x": next(scores)}
    )  # fmt: skip
    for weight, best in zip(model.trainable_weights, watch.after[1], strict=True):
        np.testing.assert_array_equal(weight, best)


def drawing(model):
    """A measure that draws from the model's own generator, and looks at weights as they are."""
    dropout = model.get_layer("dropout")
    noise = float(keras.random.uniform((), seed=dropout.seed_generator))
    return {"norm": float(np.linalg.norm(model.get_layer("logits").kernel)) + noise, "val_zero": np.float32(0)}


def test_a_measure_is_logged_monitored_and_resumed_to_the_bit(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "BLOCKS", ((float("inf"), 3),))
    stopping = training.stopping(9, 1, "norm", "max")
    whole = compiled()
    history = fit(whole, run_in(tmp_path / "whole"), callbacks=stopping, monitor="norm", measure=drawing)
    assert len(set(history["norm"])) == 4 and history["val_zero"] == [0.0] * 4
    assert list(history)[-3:] == ["norm", "val_zero", "learning_rate"]
    with pytest.raises(SystemExit):
        kill = [*training.stopping(9, 1, "norm", "max"), KillAt(2)]
        fit(compiled(), run_in(tmp_path / "run"), callbacks=kill, monitor="norm", measure=drawing)
    resumed = compiled()
    again = fit(
        resumed, run_in(tmp_path / "run", resumed=True), callbacks=training.stopping(9, 1, "norm", "max"),
        monitor="norm", measure=drawing,
    )  # fmt: skip
    assert again == history and state(resumed) == state(whole)
    assert (tmp_path / "run" / "history.csv").read_text() == (tmp_path / "whole" / "history.csv").read_text()


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        ({"bleu": "12.3"}, "measure must return numbers; 'bleu' is '12.3'."),
        ({"bleu": None}, "'bleu' is None."),
        ({"bleu": True}, "'bleu' is True."),
        ({"bleu": np.ones(2)}, "'bleu' is array([1., 1.])."),
        (0.5, "measure must return {name: number}; got 0.5."),
        ({3: 0.5}, "measure must return {name: number}; got {3: 0.5}."),
        ({"val_loss": 0.5}, "val_accuracy, learning_rate, examples_per_second; got 'val_loss'."),
        ({"examples_per_second": 0.5}, "got 'examples_per_second'."),
        ({"other": 0.5}, "monitor must be one of loss, accuracy, val_loss, val_accuracy, learning_rate, other; got 'b"),
    ],
)
def test_a_measure_that_is_no_number_or_takes_a_name_is_one_line_before_training(tmp_path, measured, said):
    model = compiled()
    with pytest.raises(errors.UserError) as caught:
        fit(model, run_in(tmp_path), monitor="bleu", keep="best", callbacks=(), measure=lambda model: measured)
    assert said in str(caught.value) and "\n" not in str(caught.value) and model.optimizer.iterations == 0


def test_an_epoch_that_reports_other_numbers_than_before_is_one_line(tmp_path):
    fit(compiled(), run_in(tmp_path), epochs=1, measure=lambda model: {"x": 1})
    with pytest.raises(errors.UserError, match="must report the same numbers; epoch 2 has loss, .*, those before"):
        fit(compiled(), run_in(tmp_path, resumed=True), epochs=2)


class OwnStep(keras.Model):
    """A train_step of its own, as the tutorials of Keras have it: two optimizers, a raw loss, state in many places."""

    def __init__(self, network, report=("loss",), **kwargs):
        super().__init__(**kwargs)
        self.network, self.report = network, report
        self.built = True

    def compile(self, bias_optimizer, kernel_optimizer):
        super().compile()  # an RMSprop that nothing uses
        self.optimizers = {"bias": bias_optimizer, "kernel": kernel_optimizer}
        self.count = tf.Variable(0)
        self.draws = tf.random.Generator.from_seed(1)

    def call(self, x, training=False):
        return self.network(x, training=training)

    def numbers(self, data, training):
        x, y = data
        logits = self.network(x, training=training)
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True))
        return loss, {"loss": loss, "nats": tf.cast(loss, tf.float64), "perplexity": tf.exp(1000 * loss)}

    def train_step(self, data):
        with tf.GradientTape() as tape:
            loss, numbers = self.numbers(data, True)
        gradients = tape.gradient(loss, [v.value for v in self.trainable_variables])
        noise = 1 + 0.1 * self.draws.normal(())
        for name, optimizer in self.optimizers.items():
            pairs = zip(gradients, self.trainable_variables, strict=True)
            chosen = [(noise * g, v) for g, v in pairs if (v.name == "bias") == (name == "bias")]
            optimizer.apply_gradients(chosen)
        self.count.assign_add(1)
        return {name: numbers[name] for name in self.report} | {"steps": self.count}

    def test_step(self, data):
        return {name: value for name, value in self.numbers(data, False)[1].items() if name in self.report}


def own_step(report=("loss", "perplexity"), network=None):
    keras.utils.set_random_seed(7)
    image = keras.Input((8, 8, 1))
    network = keras.Model(image, layers.Dense(3, name="logits")(layers.Flatten()(image)))
    model = OwnStep(network, report, name="own")
    model.compile(keras.optimizers.Adam(0.01), keras.optimizers.SGD(0.02, 0.9))
    return model


def test_a_train_step_of_the_models_own_is_trained_monitored_and_resumed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fitting, "BLOCKS", ((float("inf"), 3),))
    whole = own_step()
    history = fit(whole, run_in(tmp_path / "whole"), callbacks=(), keep="best", monitor="val_loss")
    rates = ["learning_rate/optimizers/bias", "learning_rate/optimizers/kernel"]
    assert list(history) == ["loss", "perplexity", "steps", "val_loss", "val_perplexity", *rates]
    assert history["steps"] == [8, 16, 24, 32] and history["perplexity"][0] == np.inf  # which may be infinite
    assert 0 < history["val_loss"][-1] < history["val_loss"][0]  # not the 0 of Keras' tracker, which nothing updates
    assert not whole.optimizer.built  # the one that Keras compiles by default has no slots
    with pytest.raises(SystemExit):
        fit(own_step(), run_in(tmp_path / "run"), callbacks=[KillAt(2)], keep="best", monitor="val_loss")
    resumed = own_step()
    run = run_in(tmp_path / "run", resumed=True)
    assert fit(resumed, run, callbacks=(), keep="best", monitor="val_loss") == history
    assert state(resumed) == state(whole) and int(resumed.count) == 32
    assert "train_step of its own" not in capsys.readouterr().out


def test_what_a_resume_cannot_put_back_is_said_in_one_line(tmp_path, capsys):
    model = own_step()
    hidden = keras.optimizers.SGD(0.1, momentum=0.5)
    step = model.numbers

    def numbers(data, training):
        if training:
            hidden.apply_gradients([(tf.ones_like(v.value), v) for v in model.trainable_variables])
        return step(data, training)

    model.numbers, model.schedule, model.seen = numbers, iter([0.1, 0.2]), np.zeros(3)
    fit(model, run_in(tmp_path), epochs=1, callbacks=(), monitor="loss")
    [line] = [line for line in capsys.readouterr().out.splitlines() if "train_step" in line]
    assert line.startswith("training.fit: own has a train_step of its own; a checkpoint does not hold the attributes")
    assert "schedule, seen and the variable " in line and "sgd" in line and "which is in none of its attributes" in line
    fit(compiled(), run_in(tmp_path / "plain"), epochs=1)
    assert "train_step" not in capsys.readouterr().out


def test_a_step_that_reports_only_nats_does_not_train_through_nan(tmp_path):
    poisoned = examples()
    image = poisoned.features["image"].astype(np.float32)
    image[np.arange(len(image)) // 8 == 4] = np.nan
    broken = data.Examples({"image": image, "label": poisoned.features["label"]})
    broken = data.batches(broken, 8, collate=images.with_labels(lambda x: x))
    with pytest.raises(training.Diverged, match="fit: nats must stay finite; got nan or inf at step 5 of epoch 1 with"):
        training.fit(own_step(["nats"]), broken, None, run_in(tmp_path), epochs=1, keep="last", verbose=0)
    with pytest.raises(training.Diverged, match="the weight .* must stay finite; got nan or inf at step 5 of epoch 1"):
        training.fit(own_step([]), broken, None, run_in(tmp_path / "x"), epochs=1, keep="last", verbose=0)
    assert checkpoint.newest(tmp_path / "checkpoints") is None


def test_what_is_no_scalar_is_refused_before_training(tmp_path):
    model = own_step()
    numbers = model.numbers
    model.numbers = lambda data, training: (numbers(data, training)[0], {"loss": data[0], "perplexity": data[1]})
    with pytest.raises(errors.UserError, match=r"'loss' is of shape \(None, 8, 8, 1\)"):
        fit(model, run_in(tmp_path), monitor="loss")


def test_signals_are_put_back(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    fit(compiled(), run_in(tmp_path), epochs=1)
    assert signal.getsignal(signal.SIGTERM) is before
    worker = threading.Thread(target=fit, args=(compiled(), run_in(tmp_path / "thread"), 1))
    worker.start()
    worker.join()
    assert (tmp_path / "thread" / "history.csv").exists()


@pytest.mark.slow
def test_mirrored_replicas_equal_one_device():
    """Two logical CPUs, in a process of their own: devices cannot be split once TensorFlow runs."""
    script = """
import sys; sys.path.insert(0, 'tests')
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices('CPU')
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import numpy as np, pathlib, tempfile, test_training as t
folder = pathlib.Path(tempfile.mkdtemp())
from keras_dl import training
def go(strategy):
    run = t.run_in(folder / str(strategy is None), strategy=strategy)
    with run.scope():
        model = t.compiled('momentum', dropout=0.0)
    return t.fit(model, run, epochs=2, callbacks=()), model
mirrored = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])
one, a = go(None)
two, b = go(mirrored)
np.testing.assert_allclose(one['val_loss'], two['val_loss'], rtol=1e-2)  # each replica has batch statistics of its own
for v in t.checkpoint.variables(b):
    assert np.isfinite(np.asarray(v)).all()
plain = lambda: t.keras.Sequential([t.keras.Input((8, 8, 1)), t.layers.Flatten(), t.layers.Dense(3)])
def linear(strategy):
    run = t.run_in(folder / f'linear-{strategy is None}', strategy=strategy)
    with run.scope():
        t.keras.utils.set_random_seed(1)
        model = plain()
        loss = t.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(t.optimizers.build('momentum', 0.01), loss)
    even = t.data.Examples({k: v[:56] for k, v in t.examples().features.items()})  # whole batches: equal shares
    batches = t.data.batches(even, 8, shuffle=True, seed=3, collate=t.images.with_labels(t.scaled))
    training.fit(model, batches, None, run, epochs=2, callbacks=(), verbose=0, monitor='loss')
    return [np.asarray(w) for w in model.weights]
for x, y in zip(linear(None), linear(mirrored)):
    np.testing.assert_allclose(x, y, atol=1e-6)
print('EQUAL')
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=os.path.dirname(os.path.dirname(__file__))
    )
    assert "EQUAL" in done.stdout, done.stderr[-3000:]


def test_a_mean_of_epochs_is_refused_beside_the_best_epoch(tmp_path):
    with pytest.raises(ValueError, match="training.fit: average_last needs keep='last'; got 'best'"):
        fit(compiled(), run_in(tmp_path), callbacks=(), keep="best", average_last=2)
