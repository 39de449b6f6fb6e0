"""The apps of models of images: every option, a folder of one's own, mistakes, runs that are killed."""

import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest
from app_files import ROOT, main_of

MODEL_IMAGES = ROOT / "apps" / "model_images.py"


def likelihood_of(export, flags):
    """The test split's figure by what the export answers to its pictures: {its name: mean}."""
    from keras_dl import export as exports
    from keras_dl.data import levels

    def value(name, default):
        return flags[flags.index(name) + 1] if name in flags else default

    size = value("--image-size", "auto")
    splits = levels.load(
        value("--dataset", "digits"),
        levels=int(value("--levels", 2)),
        binarization=value("--binarization", "threshold"),
        image_size=size if size == "auto" else int(size),
    )
    test = splits.few(64, seed=0).test.features
    served = exports.load(export)
    outputs = served.card["endpoints"]["log_prob"]["outputs"]
    (name,) = outputs.keys() - {"log_likelihood"}
    most = served.card["endpoints"]["log_prob"]["limits"]["pictures"]
    if "label" not in served.card["endpoints"]["log_prob"]["inputs"]:
        parts = [served.call("log_prob", image=test["image"][k : k + most]) for k in range(0, len(test["image"]), most)]
    else:
        parts = [
            served.call("log_prob", image=image[None], label=int(label))
            for image, label in zip(test["image"], test["label"], strict=True)
        ]
    return {name: float(np.mean(np.concatenate([part[name] for part in parts]), dtype=np.float64))}


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        ["--set", "num_layers=2", "--condition", "label", "--binarization", "resampled", "--image-size", "12"],
        ["--model", "pixelcnn", "--set", "num_blocks=1", "--binarization", "fixed", "--formats", "onnx", "litert"],
        ["--model", "pixelrnn", "--set", "num_layers=1", "--image-size", "8"],
        ["--set", "num_layers=2", "--levels", "256", "--output", "logistic_mixture", "--image-size", "8"],
        ["--model", "pixelcnn", "--set", "num_blocks=1", "--levels", "256", "--image-size", "8", "--histograms"],
        ["--set", "num_layers=1", "--precision", "mixed_bfloat16", "--strategy", "mirrored", "--image-size", "8"],
        ["--set", "num_layers=1", "--output", "categorical", "--trials", "2", "--image-size", "8", "--patience", "1"],
    ],
    ids=" ".join,
)
def test_every_option_of_the_densities(flags, tmp_path, one_process_answers):
    argv = ["--smoke", "--out", str(tmp_path), "--epochs", "1", *([] if "--trials" in flags else ["--trials", "0"])]
    metrics = main_of(MODEL_IMAGES)([*argv, *flags])
    (export,) = (tmp_path / "saved_models").glob("*/1")
    assert likelihood_of(export, flags) == pytest.approx(metrics, rel=1e-4)
    (run,) = (tmp_path / "runs" / "model_images").iterdir()
    assert {"samples.png", "completions.png", "samples"} <= {path.name for path in (run / "samples").iterdir()}
    card = json.loads((export / "card.json").read_text())
    assert any("binarised" in said or "threshold" in said or "grey levels" in said for said in card["report"])


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--output", "bernoulli", "--levels", "256"], "--output: must be categorical or logistic_mixture for 256"),
        (
            ["--output", "logistic_mixture"],
            "--output: must be bernoulli or categorical for 2 levels; got logistic",
        ),
        (["--levels", "4"], "--levels: must be"),
        (["--condition", "label", "--model", "pixelcnn"], "--condition: label needs --model gated_pixelcnn; got pixel"),
        (["--condition", "label", "--dataset", "FLAT"], "--condition: label needs at least 2 classes; flat has one."),
        (["--dataset", "digitz"], '"digitz"; nearest: digits'),
        (["--image-size", "3"], "--image-size: must be"),
        (["--set", "filters=0"], "build_gated_pixelcnn: filters must be"),
        (["--set", "levels=4"], "--set: must be name=value with an argument of build_gated_pixelcnn"),
        (["--skip-unreadable"], "--skip-unreadable: must be given with a folder as --dataset, else it has no effect;"),
        (["--levels", "256", "--binarization", "resampled"], "--binarization: must be given with --levels 2, else it"),
        (["--set", "components=5"], "--set components: must be given with --output logistic_mixture, else it has no"),
        (
            ["--model", "pixelrnn", "--set", "kernel_size=5"],
            "--set kernel_size: must be given with --set layer=row_lstm",
        ),
    ],
)
def test_mistakes_leave_nothing(flags, complaint, tmp_path):
    from PIL import Image

    from keras_dl.errors import UserError

    (tmp_path / "flat").mkdir()
    for number in range(12):
        Image.new("L", (8, 8), 20 * number).save(tmp_path / "flat" / f"{number}.png")
    flags = [str(tmp_path / "flat") if flag == "FLAT" else flag for flag in flags]
    with pytest.raises((UserError, SystemExit), match=re.escape(complaint)) as error:
        main_of(MODEL_IMAGES)([*flags, "--smoke", "--out", str(tmp_path / "out")])
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_flat_folder_of_ones_own_pictures_from_the_command_to_png_files(tmp_path):
    from PIL import Image

    rng, folder = np.random.default_rng(0), tmp_path / "bars"
    folder.mkdir()
    for number in range(60):
        picture = np.zeros((30, 24), np.uint8)
        picture[:, (place := int(rng.integers(0, 20))) : place + 4] = 255
        Image.fromarray(picture).save(folder / f"{number}.png")

    def call(*words):
        done = subprocess.run([sys.executable, *map(str, words)], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = call(MODEL_IMAGES, "--dataset", folder, "--image-size", "12", "--set", "num_layers=2", "--epochs", "3")
    assert "Chosen for" in said
    ask = ["-m", "keras_dl", "predict", "saved_models/gated_pixelcnn-bars"]
    for line in [line.strip() for line in said.partition("Next:")[2].splitlines() if " predict " in line]:
        subprocess.run(line, shell=True, cwd=tmp_path, check=True, capture_output=True)
    assert {f"drawn-{number}.png" for number in range(1, 17)} <= {path.name for path in tmp_path.iterdir()}
    assert np.asarray(Image.open(tmp_path / "completed.png")).shape == (12, 12)
    call(*ask, "--endpoint", "sample", "--set", "n=2", "--set", "seed=4", "--out", "a.png")
    call(*ask, "--endpoint", "sample", "--set", "n=2", "--set", "seed=4", "--out", "b.png")
    assert (tmp_path / "a-2.png").read_bytes() == (tmp_path / "b-2.png").read_bytes()
    assert "nats_per_image" in call(*ask, folder / "3.png")


@pytest.mark.data
def test_binarized_mnist_through_tfds(tmp_path):
    from keras_dl.data import prepared

    if not any((place / "binarized_mnist").is_dir() for place in prepared.folders()):
        pytest.skip("data: binarized_mnist is not prepared under TFDS_DATA_DIR")
    small = ["--model", "pixelcnn", "--set", "num_blocks=1", "--set", "filters=8", "--epochs", "1"]
    metrics = main_of(MODEL_IMAGES)(["--dataset", "binarized_mnist", *small, "--out", str(tmp_path)])
    assert 80 < metrics["nats_per_image"] < 206.3  # of independent pixels


@pytest.mark.slow
def test_a_killed_density_is_resumed_bit_by_bit(tmp_path):
    """Two kills of `benchmarks/kills.py --app model_images`, one of them inside a checkpoint's writing."""
    result = tmp_path / "kills.json"
    kills = [ROOT / "benchmarks" / "kills.py", "--app", "model_images", "--kills", "2", "--seed", "1"]
    done = subprocess.run([sys.executable, *kills, "--json", result], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    counted = json.loads(result.read_text())
    assert (counted["equal"], counted["inside_checkpoint"]) == (2, 1)


def test_samples_of_classes_are_a_row_each_and_completions_show_the_given_half():
    from keras_dl.features.mask import Mask

    app = main_of(MODEL_IMAGES).__globals__

    class Sample:
        limits = {"pictures": 50}
        inputs = {"mask": Mask(4, 3)}

        def traced(self):
            return lambda n=0, seed=0, image=None, mask=None: {
                "image": np.full((n, 2, 2, 1), 0, np.uint8) + (np.arange(n, dtype=np.uint8) % 7)[:, None, None, None]
                if image is None
                else np.where(mask[..., None] > 0, image, np.uint8(seed))
            }

    draw, arranged = app["drawing"](Sample(), tuple("abcdefg"), 0)
    assert arranged == {"columns": 7, "headings": tuple("abcdefg")}
    assert draw()[:, 0, 0, 0].tolist() == [k for k in range(7) for _ in range(7)]
    assert len(app["drawing"](Sample(), (), 0)[0]()) == 50
    originals = np.full((2, 4, 3, 1), 200, np.uint8)
    whole = app["completions"](Sample(), originals, 60)
    assert whole.shape[2] == 3
    values = set(np.unique(whole[..., 2]))  # blue, in which the mark is 0
    assert values == {0, 200, 255, app["GREY"], 60, 61, 62}
    labels = np.array([3, 3, 1, 3, 0, 1])
    assert app["of_each"](labels, 0).tolist() == [0, 1, 2, 3, 4, 5]
    classes = np.sort(np.arange(60) % 9)  # as a folder's are
    assert classes[app["of_each"](classes, 0)].tolist() == list(range(8))
    assert math.prod(app["of_each"](np.zeros(3, int), 0).shape) == 3
    two = np.repeat([0, 1], 50)  # not one of the one and seven of the other
    assert 2 <= two[app["of_each"](two, 0)].sum() <= 6 and (app["of_each"](two, 0) != app["of_each"](two, 1)).any()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("app", "flags"),
    [
        ("model_images", ["--set", "num_layers=1"]),
        ("autoencode_images", ["--set", "units=(8,)", "--importance-samples", "20"]),
    ],
)
def test_ones_own_photographs_are_modelled_with_all_their_levels_and_this_is_said(app, flags, tmp_path, capsys):
    from test_data_levels import photographs_of

    folder = photographs_of(tmp_path / "photographs", "colour")
    argv = ["--dataset", str(folder), "--image-size", "8", "--smoke", "--out", str(tmp_path), *flags]
    metrics = main_of(ROOT / "apps" / f"{app}.py")(argv)
    assert metrics["bits_per_dimension"] > 0
    (run,) = tmp_path.glob("runs/*/*")
    noted = json.loads((run / "config.json").read_text())
    assert noted["settings"]["levels"] == noted["chosen"]["values"]["levels"] == 256
    said = capsys.readouterr().out
    assert "--levels 256" in said and "many pixels are neither black nor white" in said
