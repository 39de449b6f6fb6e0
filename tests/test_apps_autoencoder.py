"""The app of autoencoders: its options, a folder of one's own, mistakes; `smoke` of tests/test_apps.py runs it too."""

import re
import subprocess
import sys

import numpy as np
import pytest
from app_files import ROOT, main_of

APP = ROOT / "apps" / "autoencode_images.py"


def asked(export, measure, limit=64, **loaded):
    """The measure of the test split by what the export answers to its pictures, with as many samples as the app."""
    from keras_dl import data
    from keras_dl import export as exports

    pictures = data.levels.load("digits", **loaded).few(limit, seed=0).test.features["image"]
    return exports.load(export).call("log_prob", image=pictures, k=5000, seed=0)[measure].mean()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "measure", "loaded"),
    [
        (["--set", "latent_dim=2"], "nats_per_image", {}),
        (["--levels", "256", "--set", "filters=(4,)", "--set", "activation=elu"],
         "bits_per_dimension", {"levels": 256}),
        (["--binarization", "resampled", "--set", "samples=3", "--bound-samples", "0", "--histograms"],
         "nats_per_image", {"binarization": "resampled"}),
        (["--strategy", "mirrored", "--set", "beta=0.5"], "nats_per_image", {}),
        (["--precision", "mixed_bfloat16", "--image-size", "12"], "nats_per_image", {"image_size": 12}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)  # fmt: skip
def test_every_option_of_the_autoencoder_app(flags, measure, loaded, tmp_path, one_process_answers):
    argv = ["--smoke", "--out", str(tmp_path), "--epochs", "1", "--trials", "0", "--set", "units=(16,)"]
    metrics = main_of(APP)([*argv, *flags])
    (export,) = (tmp_path / "saved_models").glob("*/1")
    assert asked(export, measure, **loaded) == pytest.approx(metrics[measure], rel=1e-3)
    assert metrics[measure] < metrics[f"{measure}_elbo"]
    (samples,) = tmp_path.glob("runs/autoencode_images/*/samples")
    for name in ("samples", "reconstructions", "manifold", "interpolation"):
        assert (samples / f"{name}.png").stat().st_size > 200
    assert (samples / "samples" / "animation.gif").exists()
    assert (samples.parent / "validation" / "projector_config.pbtxt").exists()


@pytest.mark.slow
def test_ones_own_pictures_from_folder_to_pictures(tmp_path):
    """A flat folder without classes, and `predict` that writes PNG files and codes."""
    import tensorflow as tf

    folder, rng = tmp_path / "pets", np.random.default_rng(0)
    folder.mkdir()
    for number in range(40):
        picture = rng.integers(0, 256, (9, 9, 1)).repeat(2, 0).repeat(2, 1).astype(np.uint8)
        (folder / f"{number}.png").write_bytes(tf.io.encode_png(picture).numpy())

    def call(*words):
        done = subprocess.run([sys.executable, *map(str, words)], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    flags = ["--image-size", "16", "--epochs", "2", "--set", "units=(16,)", "--set", "latent_dim=3"]
    call(APP, "--dataset", folder, *flags)
    (export,) = (tmp_path / "saved_models").glob("*-pets")
    predict = ["-m", "keras_dl", "predict", export]
    call(*predict, "--endpoint", "sample", "--set", "n=3", "--out", "sampled.png")
    assert [tf.io.decode_png((tmp_path / f"sampled-{n}.png").read_bytes()).shape for n in (1, 2, 3)] == [
        (16, 16, 1)
    ] * 3
    call(*predict, folder / "0.png", "--endpoint", "reconstruct", "--out", "reconstructed.png")
    call(*predict, folder / "0.png", "--out", "code.npy")
    call(*predict, "code.npy", "--endpoint", "decode", "--out", "decoded.png")
    assert (tmp_path / "decoded.png").read_bytes() == (tmp_path / "reconstructed.png").read_bytes()
    assert "bound" in call(*predict, folder / "0.png", "--endpoint", "log_prob", "--set", "k=20")


def test_pictures_that_stand_class_by_class_are_reconstructed_of_all_classes():
    from types import SimpleNamespace

    from keras_dl import data
    from keras_dl.features.levels import Levels

    app = main_of(APP).__globals__
    grey = np.repeat(np.array([40, 120, 200], np.uint8), 50)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    examples = data.Examples({"image": grey, "label": np.repeat(np.arange(3), 50)})
    limits = {"sample": {"pictures": 64}, "reconstruct": {"pictures": 64}, "decode": {"codes": 64}}
    endpoints = {
        name: SimpleNamespace(traced=lambda: lambda image: {"image": image}, limits=limit)
        for name, limit in limits.items()
    }
    shown = app["Pictures"](endpoints, examples, Levels((4, 4, 1)), 0).reconstructions()[:, 0, 0, 0]
    assert len(shown) == app["SHOWN"] and min(np.count_nonzero(shown == level) for level in (40, 120, 200)) >= 6


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--dataset", "digit"], 'no data set or folder "digit"'),
        (["--levels", "3"], '--levels: must be one of 2, 256, or "auto"; got 3.'),
        (["--bound-samples", "-1"], "--bound-samples: must be a whole number from 0 to 100,000; got -1."),
        (["--importance-samples", "0"], "--importance-samples: must be a whole number from 1 to 1,000,000; got 0."),
        (["--set", "beta=-1"], "build_vae: beta must be a number in [0, 10000]; got -1. Nearest: 0."),
        (["--set", "levels=4"], "--set: must be name=value with an argument of build_vae that the app leaves free"),
        (["--fit", "pad"], "--fit: must be given with a folder as --dataset, else it has no effect; got it without."),
        (
            ["--levels", "256", "--binarization", "fixed"],
            "--binarization: must be given with --levels 2, else it has no",
        ),
        (["--formats", "litert"], "an autoencoder's bound and samples are random"),
    ],
)
def test_mistakes_in_the_autoencoder_app_leave_nothing(flags, complaint, tmp_path):
    from keras_dl.errors import UserError

    with pytest.raises(UserError, match=re.escape(complaint)) as error:
        main_of(APP)([*flags, "--smoke", "--out", str(tmp_path / "out")])
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
