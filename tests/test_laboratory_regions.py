"""Linear regions of Keras models, and the app that counts them: its mistakes, its resume, a model of one's own."""

import csv
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from app_files import ROOT, killed_and_resumed, main_of

from keras_dl.errors import UserError

APP = ROOT / "apps" / "count_regions.py"
sys.path.insert(0, str(ROOT / "benchmarks"))  # scripts, not a package


def dense(*layers, inputs=(2,)):
    import keras

    model = keras.Sequential([keras.Input(inputs), *layers])
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0, 0.7, variable.shape))
    return model


def test_layers_of_a_model_answer_as_it_does():
    from keras import layers

    from keras_dl.laboratory import dense_layers, regions

    model = dense(
        layers.Flatten(), layers.Dense(6, "relu"), layers.Dropout(0.5), layers.Dense(5, use_bias=False),
        layers.Dense(4), layers.ReLU(), layers.Dense(3), layers.Activation("relu"), inputs=(2, 3),
    )  # fmt: skip
    arrays = dense_layers.layers_of(model)
    assert [kernel.shape for kernel, _ in arrays] == [(6, 6), (6, 4), (4, 3), (3, 3)]
    x = np.random.default_rng(1).normal(size=(50, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(regions.forward(arrays, x.reshape(50, 6)), model(x), atol=1e-5)

    plane = np.zeros(6), np.eye(6)[:, :2]
    cut = regions.polygons(arrays, plane, half_width=3)
    for point, affine in zip(cut.centroids(), cut.maps, strict=True):
        theirs = np.asarray(model((plane[1] @ point).reshape(1, 2, 3)))[0]
        np.testing.assert_allclose(affine[:, :2] @ point + affine[:, 2], theirs, atol=1e-5)


def test_a_softmax_at_the_end_is_left_out_and_a_model_inside_a_model_is_read():
    from keras import layers

    from keras_dl.laboratory import dense_layers, regions

    model = dense(dense(layers.Dense(4, "relu"), layers.Dense(3, "relu")), layers.Dense(2, "softmax"), inputs=(2,))
    logits = regions.forward(dense_layers.layers_of(model), np.eye(2))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(shares, model(np.eye(2)), atol=1e-6)


def test_other_models_are_refused_in_one_sentence():
    import keras
    from keras import layers

    from keras_dl.laboratory import dense_layers

    with pytest.raises(UserError, match="is Dense tanh"):
        dense_layers.layers_of(dense(layers.Dense(3, "tanh")))
    with pytest.raises(UserError, match="is ReLU"):
        dense_layers.layers_of(dense(layers.Dense(3), layers.ReLU(max_value=6)))
    with pytest.raises(UserError, match="must come after a Dense layer"):
        dense_layers.layers_of(dense(layers.ReLU(), layers.Dense(3)))
    with pytest.raises(UserError, match="must have a Dense layer"):
        dense_layers.layers_of(dense(layers.Flatten()))
    image = keras.Input((2,))
    with pytest.raises(UserError, match="is Add"):
        dense_layers.layers_of(keras.Model(image, layers.Add()([image, layers.Dense(2, "relu")(image)])))
    twice = layers.Dense(2, "relu")
    with pytest.raises(UserError, match="must form one chain"):
        dense_layers.layers_of(keras.Model(image, twice(twice(image))))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--shallow-units", "0"], "--shallow-units: must be a whole number from 1 to 150; got 0. Nearest: 1."),
        (["--fold-units", "1"], "--fold-units: must be at least --inputs, 2; got 1."),
        (["--fold-depth", "8"], "--fold-depth: must give at most 20,000 regions; got 180,224."),
        (["--figure", "depth", "--teeth", "4"], "--teeth: must be given with --figure approximation"),
        (["--figure", "shallow", "--bias-std", "1"], "--bias-std: must be given with --figure training or depth"),
        (["--figure", "approximation", "--learning-rate", "0.1"], "--learning-rate: must be given with --figure train"),
        (["--keras-file", "own.keras", "--figure", "depth"], "--figure: must be left out with --keras-file"),
        (["--keras-file", "own.keras", "--seeds", "2"], "--seeds: must be given with --figure depth"),
        (["--total-units", "50"], "--total-units: must be a multiple of 12; got 50."),
        (["--half-width", "2"], "--half-width: must be given with --keras-file"),
        (["--figure", "foldings"], "Nearest: folding"),
        (["--keras-file", "nowhere.keras"], "--keras-file: must be a model that Keras loads; got nowhere.keras"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_run(argv, said, tmp_path):
    with pytest.raises(UserError) as caught:
        main_of(APP)([*argv, "--out", str(tmp_path)])
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(("inputs", "count"), [((2,), 16), ((1,), 6), ((4, 2), None)])
def test_a_model_of_ones_own_is_counted(inputs, count, tmp_path, capsys):
    from keras import layers

    model = dense(layers.Flatten(), layers.Dense(5, "relu"), layers.Dense(2), inputs=inputs)
    model.save(tmp_path / "own.keras")
    metrics = main_of(APP)(["--keras-file", str(tmp_path / "own.keras"), "--half-width", "100", "--out", str(tmp_path)])
    assert metrics["regions"] == count or (count is None and 1 < metrics["regions"] <= 16)
    assert f"hidden widths (5,), has {metrics['regions']:.0f} regions" in capsys.readouterr().out
    (run,) = (tmp_path / "runs" / "count_regions").iterdir()
    assert {path.name for path in (run / "figures").iterdir()} == {"own.png", "own.svg", "own.npz"}


@pytest.mark.slow
def test_a_training_that_was_stopped_goes_on_to_the_same_counts(tmp_path, monkeypatch):
    from keras_dl.laboratory import region_training

    flags = ["--figure", "training", "--epochs", "4", "--units", "8", "--layers", "2"]
    whole = main_of(APP)([*flags, "--out", str(tmp_path / "whole")])

    kept = region_training.Snapshots.on_epoch_end

    def stopping(self, epoch, logs=None):
        kept(self, epoch, logs)
        if epoch == 1:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(region_training.Snapshots, "on_epoch_end", stopping)
        with pytest.raises(SystemExit):
            main_of(APP)([*flags, "--out", str(tmp_path / "stopped")])
    assert main_of(APP)(["--out", str(tmp_path / "stopped"), "--resume"]) == whole

    def counts(name):
        (path,) = Path(tmp_path / name).glob("runs/*/*/figures/training_counts.csv")
        with open(path, newline="") as file:
            return list(csv.DictReader(file))

    assert counts("stopped") == counts("whole") and len(counts("whole")) == 5


def test_no_training_that_was_complete_is_repeated(run, monkeypatch):
    from keras_dl.laboratory import region_training

    def rows():
        settings = {"bias_std": 0.3, "learning_rate": 0.004, "steps": 4, "seeds": (0, 1)}
        yield region_training.by_depth(run, 12, (1, 2), **settings)
        yield region_training.learned(run, 3, [(3,), (2, 2)], steps=4, seed=0)

    before = list(rows())
    assert len({(row["depth"], row["seed"]) for row in before[0]}) == 4 and len(before[1]) == 4
    assert len(list((run.path / "trainings").iterdir())) == 8

    def repeated(*arguments, **keywords):
        raise AssertionError("a training that was complete is repeated")

    monkeypatch.setattr(region_training, "fitted", repeated)
    assert list(rows()) == before


@pytest.mark.slow
@pytest.mark.parametrize(("figure", "trainings"), [("depth", 2), ("approximation", 4)])
def test_a_figure_that_was_killed_goes_on_with_its_next_training(figure, trainings, tmp_path, monkeypatch):
    from keras_dl.laboratory import region_training

    flags = ["--smoke", "--figure", figure]
    whole, resumed, calls = killed_and_resumed(APP, flags, tmp_path, monkeypatch, region_training, "fitted")
    assert resumed == whole and calls == trainings - 1


@pytest.mark.slow
def test_the_rows_by_depth_are_what_their_script_reports():
    import region_depths
    import tables

    result, figure = region_depths.measure(smoke=True)
    rows = result["rows"]
    table = [row for row in tables.TABLES["regions"].rows if row.name in rows]
    assert len(table) == 8 and len(figure.axes) == 3
    for row in table:
        figure = rows[row.name]["metrics"][row.metric]
        assert figure["spread"][0] <= figure["value"] <= figure["spread"][1]
