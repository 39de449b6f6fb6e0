"""Every app that exports a model, found by itself: --smoke with a search, a resume, an export that answers."""

import json
import math
import subprocess
import sys

import pytest
from app_files import ROOT, WITH_EXPORT, main_of

# An argument of each app's builder, so that the search has less to draw.
SETS = {
    "autoencode_images": "units=(16,)",
    "classify_images": "filters=(4, 8)",
    "model_images": "num_layers=2",
    "gan_images": "filters=4",
    "model_audio": "dilations=(1, 2)",
    "model_music": "units=(16,)",
    "model_text": "units=(32,)",
    "segment": "filters=(4, 8, 8)",
    "translate": "num_layers=1",
}


def rebuilt(card, exported):
    """The model that a card says was built, for the data of the exported one."""
    from keras_dl import models

    def tuples(value):
        return tuple(map(tuples, value)) if isinstance(value, list) else value

    name = card["settings"]["model"]
    arguments = {argument: tuples(card["hyperparameters"][argument]) for argument in models.free_arguments(name)}
    if card["app"] == "model_images":
        size, levels, output = exported.image_shape, exported.levels, exported.output_kind
        return getattr(models, f"build_{name}")(size, levels, output=output, **arguments)
    if card["app"] == "model_audio":
        return models.build_wavenet((None,), exported.levels, output=exported.output_kind, **arguments)
    if card["app"] == "autoencode_images":
        return models.build_vae(exported.image_shape, levels=exported.levels, **arguments)
    if card["app"] == "gan_images":
        return getattr(models, f"build_{name}")(exported.image_shape, exported.num_classes, **arguments)
    outputs = exported.output_shape[-1]
    if card["app"] == "segment":
        dimensions = len(exported.input_shape) - 2
        return getattr(models, f"build_{name}")(exported.input_shape[1:], outputs, dimensions=dimensions, **arguments)
    if card["app"] == "translate":  # one vocabulary for both sides
        return getattr(models, f"build_{name}")(outputs, **arguments)
    return getattr(models, f"build_{name}")(exported.input_shape[1:], outputs, **arguments)


def smoke(app, tmp_path, capsys, *flags):
    """A run of --smoke to its end, then resumed: (its folder, the folder of its export, its test metrics)."""
    main = main_of(app)
    metrics = main(["--smoke", "--out", str(tmp_path), *flags, "--set", SETS[app.stem]])
    assert metrics and all(isinstance(v, float) and math.isfinite(v) for v in metrics.values())
    (run,) = (tmp_path / "runs" / app.stem).iterdir()
    for part in (
        "config.json",
        "history.csv",
        "finished.json",
        "checkpoints",
        "train",
        "validation",
    ):
        assert (run / part).exists(), part
    (card,) = (tmp_path / "saved_models").glob("*/1/card.json")
    assert json.loads(card.read_text())["metrics"] == pytest.approx(metrics)
    text = capsys.readouterr().out
    assert "Next:" in text and str(card.parent) in text

    import keras

    said, exported = json.loads(card.read_text()), keras.saving.load_model(card.parent / "model.keras", compile=False)
    built = rebuilt(said, exported)
    assert [w.shape for w in built.weights] == [w.shape for w in exported.weights]
    assert json.dumps(built.get_config(), default=str) == json.dumps(exported.get_config(), default=str)
    asked_for = main.__globals__["Config"]().optimizer.learning_rate
    spread = 3 if "0" not in flags else 1  # of what a search may draw
    assert asked_for / spread <= said["hyperparameters"]["learning_rate"] <= asked_for * spread

    assert main(["--out", str(tmp_path), "--resume", run.name]) == metrics  # finished: said, nothing done
    assert "is finished" in capsys.readouterr().out
    assert len(list((tmp_path / "saved_models").glob("*/*"))) == 1
    return run, card.parent, metrics


def test_smoke_with_a_search_a_fresh_process_and_a_resume(tmp_path, capsys):
    """The search is one verb, and so is the process that asks an export: this app's are those of all."""
    run, export, metrics = smoke(ROOT / "apps" / "classify_images.py", tmp_path, capsys, "--trials", "2")
    assert (run / "tuner" / "trials.json").exists() and sorted(p.name for p in (run / "variants").iterdir()) in (
        ["000"],
        ["001"],
    )
    assert asked(export, "digits", limit=256) == pytest.approx(metrics, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("app", [app for app in WITH_EXPORT if app.stem != "classify_images"], ids=lambda p: p.stem)
def test_smoke_with_an_export_and_a_resume(app, tmp_path, capsys, one_process_answers):
    smoke(app, tmp_path, capsys, "--trials", "0")


def asked(export, dataset, limit):
    """Loss and accuracy of the test split by what the export answers to its raw pictures."""
    import numpy as np

    from keras_dl import export as exports
    from keras_dl.data import images

    served, examples = exports.load(export), images.load(dataset).few(limit, seed=0).test.features
    pixels = examples["image"]
    answers = [served.call("serve", image=pixels[k : k + 100])["probabilities"] for k in range(0, len(pixels), 100)]
    probabilities = np.concatenate(answers)
    right = probabilities[np.arange(len(probabilities)), examples["label"]]
    accuracy = (probabilities.argmax(1) == examples["label"]).mean()
    return {"loss": -np.log(right).mean(), "accuracy": accuracy}


@pytest.mark.slow
def test_a_finished_run_is_not_the_one_that_a_bare_resume_takes(tmp_path, one_process_answers):
    main = main_of(ROOT / "apps" / "classify_images.py")
    main(["--smoke", "--out", str(tmp_path), "--trials", "0"])
    from keras_dl.errors import UserError

    with pytest.raises(UserError, match="no unfinished run in"):
        main(["--out", str(tmp_path), "--resume"])


@pytest.mark.slow
@pytest.mark.parametrize("model", ["linear", "mlp", "resnet", "resnet_cifar"])
def test_every_model_of_the_image_app(model, tmp_path, one_process_answers):
    settings = {"resnet": ["--set", "depth=18"], "resnet_cifar": ["--set", "depth=8"]}.get(model, [])
    metrics = main_of(ROOT / "apps" / "classify_images.py")(
        ["--smoke", "--out", str(tmp_path), "--model", model, "--trials", "0", "--epochs", "1", *settings]
    )
    (export,) = (tmp_path / "saved_models").glob("*/1")
    assert asked(export, "digits", limit=256) == pytest.approx(metrics, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        ["--strategy", "mirrored"],
        ["--precision", "mixed_bfloat16", "--set", "batch_norm=True"],
        ["--precision", "mixed_float16"],
        ["--deterministic", "--device", "cpu", "--histograms"],
        ["--optimizer", "nesterov", "--schedule", "onecycle", "--weight-decay", "0.001", "--augment", "crop"],
        ["--optimizer", "rmsprop", "--schedule", "steps", "--weight-decay", "0.001", "--class-weight", "balanced"],
        ["--formats", "onnx", "litert", "--schedule", "cosine", "--keep", "last"],
        ["--tuner", "bayesian", "--trials", "2"],
        ["--tuner", "hyperband", "--trials", "2"],
        ["--tuner", "grid", "--trials", "2"],
    ],
    ids=" ".join,
)
def test_every_option_of_the_image_app(flags, tmp_path, one_process_answers):
    argv = ["--smoke", "--out", str(tmp_path), "--epochs", "1", *([] if "--trials" in flags else ["--trials", "0"])]
    metrics = main_of(ROOT / "apps" / "classify_images.py")([*argv, *flags])
    (export,) = (tmp_path / "saved_models").glob("*/1")
    assert asked(export, "digits", limit=256) == pytest.approx(metrics, rel=1e-3)
    formats = {"model.onnx", "model.tflite"} if "--formats" in flags else set()
    assert formats == {p.name for p in export.iterdir()} & {"model.onnx", "model.tflite"}


@pytest.mark.slow
def test_ones_own_pictures_from_folder_to_answer(tmp_path):
    from test_data import folder_of

    folder = folder_of(tmp_path / "pets", each=12)
    app = [sys.executable, ROOT / "apps" / "classify_images.py", "--dataset", folder, "--image-size", "16"]
    done = subprocess.run([*app, "--epochs", "20", "--out", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (export,) = (tmp_path / "saved_models").glob("*-pets")
    ask = [sys.executable, "-m", "keras_dl", "predict", export, folder / "dog" / "3.png"]
    answer = subprocess.run(ask, capture_output=True, text=True)
    assert "\tdog\t" in answer.stdout, (answer.stdout, answer.stderr)


@pytest.mark.data
def test_mnist_through_tfds(tmp_path):
    from keras_dl.data import prepared

    if not any((place / "mnist").is_dir() for place in prepared.folders()):
        pytest.skip("data: mnist is not prepared under TFDS_DATA_DIR")
    metrics = main_of(ROOT / "apps" / "classify_images.py")(
        ["--dataset", "mnist", "--model", "linear", "--trials", "0", "--epochs", "3", "--out", str(tmp_path)]
    )
    assert metrics["accuracy"] > 0.9


@pytest.mark.slow
def test_killed_and_resumed(tmp_path):
    """Three kills of `make kills`, one of them inside a checkpoint's writing."""
    result = tmp_path / "kills.json"
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "kills.py", "--kills", "3", "--seed", "1", "--json", result],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    counted = json.loads(result.read_text())
    assert (counted["equal"], counted["inside_checkpoint"]) == (3, 1)


@pytest.mark.slow
def test_the_printed_commands_work(tmp_path):
    """Without flags, as `make train` calls it; then every printed command that needs no other data."""
    app = ROOT / "apps" / "classify_images.py"
    done = subprocess.run([sys.executable, app], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    following = [line.strip() for line in done.stdout.partition("Next:")[2].splitlines() if line.strip()]
    predict = next(line for line in following if " predict " in line)
    answer = subprocess.run(predict, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode == 0 and "test-1.png" in answer.stdout, answer.stderr
    assert (
        float(json.loads(next((tmp_path / "runs").glob("*/*/finished.json")).read_text())["metrics"]["accuracy"]) > 0.85
    )
    again = subprocess.run([sys.executable, app, "--trials", "0", "--epochs", "1"], cwd=tmp_path, capture_output=True)
    assert again.returncode == 0
    assert sorted(p.name for p in (tmp_path / "saved_models" / "convnet-digits").iterdir()) == ["1", "2"]
