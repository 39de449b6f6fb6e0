"""The app of adversarial networks: every option, one's own pictures with and without labels, mistakes."""

import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest
from app_files import ROOT, main_of

from keras_dl import data

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
    noted = json.loads((run / "config.json").read_text())
    assert noted["settings"]["keep"] == "last"
    assert not {"keep", "patience"} & set(noted["chosen"]["values"])  # the rule does not say what the app overrules
    (export,) = (tmp_path / "saved_models").glob("dcgan-*")
    ask = [sys.executable, "-m", "keras_dl", "predict", export, "--endpoint", "sample", "--set", "n=2"]
    done = subprocess.run([*ask, "--out", tmp_path / "made.png"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "made-1.png").read_bytes()[:4] == b"\x89PNG" and (tmp_path / "made-2.png").exists()


@pytest.mark.parametrize(
    ("flags", "times"),
    [
        ([], 1),
        (["--critic-steps", "2"], 2),
        (["--set", "loss=wgan_gp"], 5),
        (["--model", "gan", "--set", "pieces=2"], 1),
    ],
)
def test_ones_own_pictures_get_the_updates_that_are_announced_however_many_batches_a_step_takes(flags, times):
    import dataclasses

    from test_own_data import fitted, splits_of

    from keras_dl import own_data

    app = main_of(APP).__globals__
    rule = dataclasses.replace(own_data.ADVERSARIAL, batches_a_step=app["critic_steps_of"])
    for count in (300, 1000, 20_000):
        splits = splits_of("gan_images", count)
        config, said = fitted("gan_images", *flags, splits=splits, rule=rule)
        assert app["critic_steps_of"](config) == times
        train = data.batches(splits.train, config.batch_size * times, collate=lambda raw: raw, seed=0, shuffle=True)
        updates = train.steps() * config.epochs
        assert rule.updates_of(count) <= updates < rule.updates_of(count) + train.steps() + config.epochs
        assert f"{updates:,} updates in all" in said["sentence"]


@pytest.mark.parametrize(
    ("measured", "held_out", "judged", "why"),
    [
        (2000, 142, True, ""),
        (65, 142, True, ""),
        (64, 142, True, "--measured 64: too few for a Fréchet distance in 64 features"),
        (2000, 64, True, "64 validation pictures: too few for a Fréchet distance in 64 features"),
        (10, 20, True, "20 validation pictures: too few for a Fréchet distance in 64 features"),
        (2000, 142, False, "pictures without labels train no classifier that could judge the samples"),
    ],
)
def test_why_epochs_cannot_be_compared(measured, held_out, judged, why):
    app = main_of(APP).__globals__
    assert app["incomparable"](app["Config"](measured=measured), held_out, 64, judged) == why


@pytest.mark.slow
def test_a_training_whose_epochs_are_compared_by_too_few_pictures_ends_with_the_last(tmp_path, capsys):
    argv = ["--smoke", "--epochs", "1", "--out", str(tmp_path), "--set", "filters=4", "--image-size", "8"]
    metrics = main_of(APP)([*argv, "--measured", "50"])
    assert set(metrics) == JUDGED  # those of the test split, of which there are enough
    assert "--measured 50: too few for a Fréchet distance in 64 features: epochs are not" in capsys.readouterr().out


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
        (
            ["--measured", "9", "--patience", "3"],
            "--patience: needs epochs that can be compared; --measured 9: too few",
        ),
        (["--measured", "9", "--keep", "best"], "in 64 features. Nearest: --keep last."),
        (["--measured", "9", "--trials", "2"], "Nearest: --trials 0."),
        (["--measured", "9", "--reduce-on-plateau", "2"], "Nearest: --reduce-on-plateau 0."),
        (["--fit", "pad"], "--fit: must be given with a folder as --dataset, else it has no effect; got it without."),
        (["--skip-unreadable"], "--skip-unreadable: must be given with a folder as --dataset"),
        (["--set", "gradient_penalty=5"], "--set gradient_penalty: must be given with --set loss=wgan_gp, else it has"),
        (["--model", "gan", "--set", "label_dim=5"], "--set label_dim: must be given with --conditional"),
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
