"""Several trainings inside one run: each has its folder, and all go on with the run."""

import dataclasses
import signal

import keras
import numpy as np
import pytest

from keras_dl import data, runs, signals, training


def batches():
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    examples = data.Examples({"x": x, "y": x.sum(1, keepdims=True)})
    return data.batches(examples, 10, collate=lambda raw: (raw["x"], raw["y"]), shuffle=True)


def compiled(units):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units, "tanh"), keras.layers.Dense(1)])
    model.compile("adam", "mean_squared_error")
    return model


def trained(run, name, units, epochs):
    """(history, weights) of a training; the epochs that were really trained are counted."""
    part = run.training(name)
    model, counted = part.build(compiled, units), []
    counter = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: counted.append(epoch))
    history = training.fit(model, batches(), None, part, epochs=epochs, keep="last", callbacks=[counter], verbose=0)
    return history, model.get_weights(), counted


def test_a_resumed_run_goes_on_in_each_training_and_repeats_none(run):
    whole = dataclasses.replace(run, path=run.path.with_name("whole"))
    expected = {name: trained(whole, name, units, 3) for name, units in (("wide", 5), ("deep", 4))}
    trained(run, "wide", 5, 3)
    trained(run, "deep", 4, 1)  # and then it was killed
    again = dataclasses.replace(run, resumed=True)
    for name, units, epochs in (("wide", 5, []), ("deep", 4, [1, 2])):
        history, weights, counted = trained(again, name, units, 3)
        assert history == expected[name][0] and counted == epochs
        for weight, other in zip(weights, expected[name][1], strict=True):
            np.testing.assert_array_equal(weight, other)
    assert sorted(path.name for path in (run.path / "trainings").iterdir()) == ["deep", "wide"]
    assert run.training("wide").tensorboard == run.tensorboard / "wide"


def test_a_signal_names_the_run_that_can_be_resumed_not_the_training_inside_it(tmp_path, capsys):
    run = runs.Run(path=tmp_path / "recurrent-3", root=tmp_path, name="recurrent", app="explode")
    asked_to_stop = signals.Signals(run.training("tanh"), saved=True)
    asked_to_stop.came = signal.SIGINT
    with pytest.raises(SystemExit):
        asked_to_stop.leave()
    assert "--resume recurrent-3" in capsys.readouterr().out
