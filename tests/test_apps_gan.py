"""The app of adversarial networks: every option, one's own pictures with and without labels, mistakes."""

import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest
from app_files import ROOT, main_of

APP = ROOT / "apps" / "gan_images.py"
JUDGED = {"frechet_classifier", "frechet_real", "classes_covered", "smallest_class", "parzen"}


def folder_of(path, labelled, each=90):
    """Pictures of two kinds, light above and light below, in sub-folders of their names or all in one folder."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    for kind in ("above", "below"):
        place = path / kind if labelled else path
        place.mkdir(parents=True, exist_ok=True)
        for number in range(each):
            pixels = rng.integers(0, 60, (18, 18, 1))
            pixels[:9] += 190 * (kind == "above")
            pixels[9:] += 190 * (kind == "below")
            (place / f"{kind}{number}.png").write_bytes(tf.io.encode_png(pixels.astype(np.uint8)).numpy())
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        ["--model", "gan", "--set", "units=(16,)", "--set", "maxout_units=(8,)", "--conditional"],
        ["--set", "loss=wgan_gp", "--set", "filters=4", "--critic-steps", "2", "--keep", "last", "--average-last", "2"],
        ["--set", "filters=4", "--precision", "mixed_bfloat16", "--histograms", "--patience", "1"],
        ["--set", "filters=4", "--strategy", "mirrored", "--set", "loss=minimax", "--image-size", "10"],
        ["--set", "filters=4", "--trials", "2", "--optimizer", "rmsprop", "--measured", "100"],
    ],
    ids=" ".join,
)
def test_every_option_of_the_gan_app(flags, tmp_path, one_process_answers):
    trials = [] if "--trials" in flags else ["--trials", "0"]
    metrics = main_of(APP)(["--smoke", "--out", str(tmp_path), "--epochs", "2", *trials, *flags])
    assert set(metrics) == JUDGED and all(math.isfinite(value) for value in metrics.values())
    assert metrics["frechet_real"] < metrics["frechet_classifier"] and 0 <= metrics["smallest_class"] <= 0.1
    (card,) = (tmp_path / "saved_models").glob("*/1/card.json")
    inputs = json.loads(card.read_text())["endpoints"]["sample"]["inputs"]
    assert ("label" in inputs) == ("--conditional" in flags)
    (run,) = (tmp_path / "runs" / "gan_images").iterdir()
    for name in ("samples.png", "interpolation.png", "samples/animation.gif", "samples/000001.png"):
        assert (run / "samples" / name).stat().st_size > 100


@pytest.mark.slow
def test_ones_own_pictures_without_labels_are_not_judged_and_the_last_epoch_is_kept(tmp_path, capsys):
    folder = folder_of(tmp_path / "mine", labelled=False)
    argv = ["--dataset", str(folder), "--out", str(tmp_path), "--epochs", "2", "--image-size", "8"]
    metrics = main_of(APP)([*argv, "--set", "filters=4"])
    assert set(metrics) == {"parzen"}
    said = capsys.readouterr().out
    assert "pictures without labels train no classifier that could judge the samples" in said
    assert "classifier features" not in said
    (run,) = (tmp_path / "runs" / "gan_images").iterdir()
    assert json.loads((run / "config.json").read_text())["settings"]["keep"] == "last"
    (export,) = (tmp_path / "saved_models").glob("dcgan-*")
    ask = [sys.executable, "-m", "keras_dl", "predict", export, "--endpoint", "sample", "--set", "n=2"]
    done = subprocess.run([*ask, "--out", tmp_path / "made.png"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "made-1.png").read_bytes()[:4] == b"\x89PNG" and (tmp_path / "made-2.png").exists()


@pytest.mark.slow
def test_ones_own_pictures_can_be_judged_by_an_export_of_the_image_app(tmp_path, one_process_answers, capsys):
    labelled, plain = folder_of(tmp_path / "two", True, each=40), folder_of(tmp_path / "one", False, each=400)
    out = ["--out", str(tmp_path)]
    main_of(ROOT / "apps" / "classify_images.py")(
        ["--dataset", str(labelled), *out, "--model", "mlp", "--set", "units=(12,)", "--epochs", "4", "--trials", "0"]
    )
    (classifier,) = (tmp_path / "saved_models").glob("mlp-*")
    metrics = main_of(APP)(
        ["--dataset", str(plain), *out, "--epochs", "1", "--set", "filters=4", "--classifier", str(classifier)]
    )
    assert set(metrics) == JUDGED
    assert f"judged by the classifier {classifier.name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--dataset", "digts"], 'no data set or folder "digts"; nearest: digits'),
        (["--image-size", "7"], "--image-size: must be a whole number from 8 to 512"),
        (["--set", "loss=hinge"], "build_dcgan: loss must be one of 'non_saturating', 'minimax', 'wgan_gp'"),
        (["--set", "loss=wgan_gp", "--set", "discriminator_norm=batch"], "discriminator_norm must not be 'batch'"),
        (["--critic-steps", "101"], "--critic-steps: must be a whole number from 0 to 100; got 101"),
        (["--dataset", "binarized_mnist", "--conditional"], "needs pictures of at least 2 classes"),
        (["--beta-1", "1"], "--beta-1: must be a number in [0, 0.999999]; got 1.0."),
        (["--classifier", "nothing"], "nothing: no such export folder"),
        (["--formats", "litert"], "pictures are drawn from a seed, and these formats draw no random numbers"),
    ],
)
def test_mistakes_in_the_gan_app_leave_nothing(flags, complaint, tmp_path):
    from keras_dl.errors import UserError

    if "binarized_mnist" in flags:
        pytest.importorskip("tensorflow_datasets")
        from keras_dl.data import prepared

        if not any((place / "binarized_mnist").is_dir() for place in prepared.folders()):
            pytest.skip("data: binarized_mnist is not prepared under TFDS_DATA_DIR")
    with pytest.raises(UserError, match=re.escape(complaint)) as error:
        main_of(APP)([*flags, "--smoke", "--out", str(tmp_path / "out")])
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
