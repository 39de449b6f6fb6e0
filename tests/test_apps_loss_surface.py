"""The app of loss surfaces: runs of other apps, a killed training, and mistakes of one line."""

import dataclasses
import json
import os

import numpy as np
import pytest
from app_files import ROOT, killed_and_resumed, main_of

from keras_dl import errors, training

APP = ROOT / "apps" / "loss_surface.py"
SMALL = ["--smoke", "--filters", "1"]
MLP = ["--model", "mlp", "--set", "units=(4,)", "--trials", "0", "--epochs", "1", "--smoke"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of --out with a finished run of the image app."""
    out = tmp_path_factory.mktemp("runs")
    main_of(ROOT / "apps" / "classify_images.py")([*MLP, "--out", str(out)])
    return out


@pytest.mark.slow
def test_the_surface_of_a_finished_run(finished, capsys):
    metrics = main_of(APP)(["--run", "mlp-digits-1", "--smoke", "--out", str(finished)])
    said = capsys.readouterr().out
    assert metrics["mlp-digits-1_loss"] > 0 and metrics["mlp-digits-1_sharpness"] > 0
    assert "there is no path" in said and "saved_models/mlp-digits/1" in said
    (run,) = (finished / "runs" / "loss_surface").iterdir()
    assert {path.stem for path in run.glob("figures/*.png")} == {"curves", "planes", "surface_3d", "spectrum"}
    with np.load(run / "figures" / "planes.npz") as plane:
        assert plane["mlp-digits-1_loss"][1, 1] == pytest.approx(metrics["mlp-digits-1_loss"], abs=1e-6)


@pytest.mark.slow
def test_a_run_whose_data_changed_or_that_is_not_finished_is_one_line(finished, monkeypatch):
    run = finished / "runs" / "classify_images" / "mlp-digits-1"
    config, done = run / "config.json", run / "finished.json"
    text = config.read_text()
    other = json.loads(text)
    other["data"]["train"]["digest"] = "0" * 32
    config.write_text(json.dumps(other))
    with pytest.raises(errors.UserError, match="the data of mlp-digits-1 have changed"):
        main_of(APP)(["--run", str(run), "--smoke", "--out", str(finished)])
    config.write_text(text)
    os.rename(done, run / "aside")
    with pytest.raises(errors.UserError, match="must be finished; it is unfinished"):
        main_of(APP)(["--run", str(run), "--smoke", "--out", str(finished)])
    os.rename(run / "aside", done)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("app", "flags"),
    [
        ("model_text", ["--model", "rnn", "--set", "units=(4,)"]),
        ("model_text", ["--model", "transformer_lm"]),
        ("translate", ["--model", "seq2seq"]),
        ("model_music", ["--model", "gru", "--set", "units=(4,)"]),
        ("model_audio", ["--condition", "label", "--set", "dilations=(1, 2)", "--sample-length", "20"]),
        ("model_images", ["--model", "pixelcnn"]),
        ("autoencode_images", []),
    ],
)
def test_runs_of_the_other_apps_have_a_surface(app, flags, tmp_path):
    main_of(ROOT / "apps" / f"{app}.py")([*flags, "--smoke", "--trials", "0", "--epochs", "1", "--out", str(tmp_path)])
    (run,) = (tmp_path / "runs" / app).iterdir()
    metrics = main_of(APP)(["--run", str(run), "--smoke", "--out", str(tmp_path)])
    assert np.isfinite(metrics[f"{run.name}_loss"]) and np.isfinite(metrics[f"{run.name}_sharpness"])


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_as_one_that_was_not(tmp_path, monkeypatch):
    results = killed_and_resumed(APP, SMALL, tmp_path, monkeypatch, training)[:2]
    whole, resumed = ({name: value for name, value in each.items() if "seconds" not in name} for each in results)
    assert resumed == whole


def test_the_script_of_the_table_measures_every_row_and_draws_all_networks(tmp_path, monkeypatch):
    """With a small network of digits in place of CIFAR-10's."""
    import keras

    from keras_dl import models
    from keras_dl.laboratory import landscape_training

    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import landscape
    import tables

    def small(network, plan, smoke):
        splits, preprocess = landscape_training.pictures("digits", 0)
        model = models.build_mlp(preprocess.input_shape, 10, units=(4,))
        model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), weighted_metrics=["accuracy"])
        return model, dataclasses.replace(splits, preprocess=preprocess), None

    monkeypatch.setattr(landscape.experiments, "cifar10", small)
    monkeypatch.setattr(landscape.experiments, "fit", lambda *arguments: {"accuracy": [0.25]})
    results = {name: landscape.measure(name, smoke=True) for name in ("resnet20", "plain20")}
    rows = tables.TABLES["landscape"].rows
    assert {row.name for row in rows} == set(landscape.NETS)
    for row in rows:
        assert row.command == f"benchmarks/landscape.py {row.name}"
        assert row.metric in results["resnet20"]["metrics"]
    sharpness = results["resnet20"]["metrics"]["sharpness"]
    assert sharpness["spread"][0] <= sharpness["value"] <= sharpness["spread"][1]
    assert results["resnet20"]["details"]["train_error"] == 75 and results["resnet20"]["details"]["epochs"] == 1
    assert np.shape(results["plain20"]["curves"]["loss"]) == (3, 3)
    landscape.draw({name: result["curves"] for name, result in results.items()}, tmp_path / "landscape.png")
    assert (tmp_path / "landscape.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--depths", "21"], "--depths: must be 6n + 2 for a whole n; got 21. Nearest: 20 or 26."),
        (["--depths", "20", "20"], "--depths: must differ; got 20 20."),
        (["--run", "mlp-digits-1", "--epochs", "3"], "--epochs: must be left out with --run"),
        (["--run", "nothing"], "--run: no run 'nothing'"),
        (["--run", "mlp-digits-1", "--figure", "path"], "--figure: path needs the weights of every epoch"),
        (["--grid", "2"], "--grid: must be a whole number from 3 to 201; got 2. Nearest: 3"),
        (["--half-width", "0"], "--half-width"),
        (["--figure", "planes", "--probes", "5"], "--probes: must be given with --figure spectrum, else it has no"),
        (["--figure", "curves", "--grid", "9"], "--grid: must be given with --figure planes or path"),
        (["--figure", "path", "--half-width", "2"], "--half-width: must be given with --figure curves or planes"),
        (["--figure", "spectrum", "--directions", "3", "--distance", "1"], "--directions: must be given with"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_written(flags, said, tmp_path):
    with pytest.raises(errors.UserError) as caught:
        main_of(APP)([*flags, "--out", str(tmp_path)])
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert not any(tmp_path.iterdir())
