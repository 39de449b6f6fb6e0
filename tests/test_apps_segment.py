"""The app of segmentation: every option, pairs of one's own, mistakes."""

import re
import subprocess
import sys

import numpy as np
import pytest
from app_files import ROOT, killed_and_resumed, main_of
from PIL import Image as Pictures

from keras_dl import samples

APP = ROOT / "apps" / "segment.py"
SMALL = ["--set", "filters=(4, 8)", "--set", "depth=(1, 1)"]


def mean_iou_of(export, dataset):
    """The test split's mean IoU by the masks that the export answers."""
    from sklearn.metrics import jaccard_score

    from keras_dl import data
    from keras_dl import export as exports

    test, served = data.segmentation.load(dataset).few(8, 0).test.features, exports.load(export)
    if "image" in test:
        answer = served.call("serve", image=test["image"])["mask"]
    else:  # normalised once; to do it again changes little, and the smallest spacing nothing
        spacing = np.ones((len(test["volume"]), 3), np.float32)
        answer = served.call("serving_default", volume=test["volume"], spacing=spacing)["mask"]
    known = test["mask"] != 255
    return jaccard_score(test["mask"][known], np.asarray(answer)[known], average="macro", zero_division=0.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        ["--class-weight", "balanced", "--augment", "shift_flip", "--trials", "2"],
        [
            "--model",
            "deconvnet",
            "--set",
            "units=8",
            "--upsampling",
            "bilinear",
            "--strategy",
            "mirrored",
            "--histograms",
        ],
        ["--dataset", "shapes3d", "--upsampling", "nearest", "--augment", "shift"],
    ],
    ids=lambda flags: " ".join(flags),
)
def test_every_option_of_segmentation(flags, tmp_path, one_process_answers):
    metrics = main_of(APP)(["--smoke", "--out", str(tmp_path), *SMALL, *flags])
    (export,) = (tmp_path / "saved_models").glob("*/1")
    dataset = "shapes3d" if "shapes3d" in flags else "shapes"
    if dataset == "shapes":
        assert mean_iou_of(export, dataset) == pytest.approx(metrics["mean_iou"], abs=2e-3)
    assert {"mean_iou", "accuracy", "boundary_iou", "dice_background"} <= set(metrics)
    (folder,) = (tmp_path / "runs").glob("*/*/samples")
    assert len(list(folder.glob("test-*.png"))) == 4


@pytest.mark.slow
def test_a_run_of_segmentation_that_was_killed_ends_as_one_that_was_not(tmp_path, monkeypatch, one_process_answers):
    flags = ["--smoke", "--batch-size", "4", "--augment", "shift_flip", *SMALL]
    whole, resumed, _ = killed_and_resumed(APP, flags, tmp_path, monkeypatch, samples.Samples, "on_epoch_end")
    assert resumed == whole


def call(folder, *words):
    done = subprocess.run([sys.executable, *map(str, words)], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_ones_own_images_from_folder_to_masks(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (tmp_path / "own" / name).mkdir(parents=True)
    for number in range(9):
        labels = np.zeros((20, 26), np.uint8)
        top, left = rng.integers(0, 10, 2)
        labels[top : top + 8, left : left + 9] = 1
        Pictures.fromarray(labels).save(tmp_path / "own" / "masks" / f"{number}.png")
        Pictures.fromarray(np.stack([200 * labels] * 3, -1)).save(tmp_path / "own" / "images" / f"{number}.png")
    call(tmp_path, APP, "--dataset", "own", "--epochs", "1", "--batch-size", "2", *SMALL)
    (export,) = (tmp_path / "saved_models").glob("*")
    larger = tmp_path / "larger.png"
    Pictures.fromarray(rng.integers(0, 256, (40, 52, 3)).astype(np.uint8)).save(larger)
    call(tmp_path, "-m", "keras_dl", "predict", export, larger, "--out", tmp_path / "mask.png")
    mask = np.array(Pictures.open(tmp_path / "mask.png"))
    assert mask.shape == (40, 52) and set(np.unique(mask)) <= {0, 1}
    assert np.array(Pictures.open(tmp_path / "mask-overlay.png")).shape == (40, 52, 3)


@pytest.mark.slow
def test_ones_own_volumes_from_folder_to_masks_in_their_place(tmp_path):
    nibabel = pytest.importorskip("nibabel", reason="extra [signals] is not installed")
    rng = np.random.default_rng(0)
    affine = np.array([[0, -2.0, 0, 7], [-1.0, 0, 0, 3], [0, 0, 1.0, -4], [0, 0, 0, 1]])  # y to the left, x backwards
    for name in ("imagesTr", "labelsTr"):
        (tmp_path / "own" / name).mkdir(parents=True)
    for number in range(8):
        labels = (rng.random((9, 7, 8)) < 0.3).astype(np.uint8)
        for name, values in (("imagesTr", 90 * labels.astype(np.float32)), ("labelsTr", labels)):
            nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / "own" / name / f"v{number}.nii.gz")
    call(tmp_path, APP, "--dataset", "own", "--epochs", "1", "--batch-size", "2", *SMALL)
    (export,) = (tmp_path / "saved_models").glob("*")
    source = tmp_path / "own" / "imagesTr" / "v3.nii.gz"
    said = call(tmp_path, "-m", "keras_dl", "predict", export, source, "--out", tmp_path / "mask.nii.gz")
    written = nibabel.load(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(written.affine, affine)
    assert written.shape == (9, 7, 8) and set(np.unique(np.asarray(written.dataobj))) <= {0, 1}
    assert "mm^3" in said or "mm^3" in call(tmp_path, "-m", "keras_dl", "predict", export, source)


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--dataset", "shape"], 'no set or folder "shape"; nearest: shapes'),
        (["--dataset", ""], "--dataset: must be a name or a folder; got nothing."),
        (["--image-size", "64"], "--image-size: must be given with a folder as --dataset"),
        (["--ignore-label", "3"], "--ignore-label: must be given with a folder as --dataset"),
        (["--dataset", "shapes3d", "--augment", "shift_flip"], "--augment: volumes are not mirrored"),
        (["--set", "filters=()"], "build_segnet: filters must be"),
        (["--set", "depth=(1,)"], "build_segnet: "),
        (["--set", "widths=3"], "widths"),
    ],
)
def test_mistakes_in_the_segmentation_app_leave_nothing(flags, complaint, tmp_path):
    from keras_dl.errors import UserError

    with pytest.raises(UserError, match=re.escape(complaint)) as error:
        main_of(APP)([*flags, "--smoke", "--out", str(tmp_path / "out")])
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
