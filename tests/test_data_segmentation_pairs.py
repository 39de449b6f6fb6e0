"""Laws of own images and volumes beside their masks, of what moves them together, and of the figure to beat."""

import os
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image as Pictures

from keras_dl import data, segmentation
from keras_dl.data import shapes
from keras_dl.data.segmentation import MovedTogether, collate, load, pixels_of_classes
from keras_dl.errors import UserError
from keras_dl.features import masks
from keras_dl.features.masks import IGNORED

RAW = Path(__file__).parents[2] / "shared" / "data" / "raw"


# Drawn shapes


def test_shapes_are_those_of_their_seed_and_splits_differ():
    first, again, other = (shapes.draw(seed) for seed in (0, 0, 1))
    for part, count in shapes.COUNTS.items():
        pictures, labels = first[part]
        assert pictures.shape == (count, 48, 48, 3) and labels.shape == (count, 48, 48)
        np.testing.assert_array_equal(pictures, again[part][0])
        assert set(np.unique(labels)) == set(range(len(shapes.CLASSES)))
    assert (first["train"][0][:50] != other["train"][0][:50]).any()
    assert (first["validation"][1] != first["test"][1][:100]).any()


# Augmentation


@pytest.mark.parametrize("field", ["image", "volume"])
@pytest.mark.parametrize("flip", [False, True])
def test_image_and_mask_move_together_and_what_comes_in_is_ignored(field, flip):
    rng, size = np.random.default_rng(0), (7, 9) if field == "image" else (5, 7, 6)
    labels = rng.integers(0, 200, (8, *size)).astype(np.uint8)
    values = labels[..., None].repeat(3, -1) if field == "image" else labels.astype(np.float32)
    augment = MovedTogether(2, flip)
    draws = augment.draw(3, 1, 8)
    np.testing.assert_array_equal(draws, augment.draw(3, 1, 8))
    assert (draws != augment.draw(3, 2, 8)).any() and np.abs(draws[:, :3]).max() == 2
    moved = augment({field: tf.constant(values), "mask": tf.constant(labels)}, tf.constant(draws))
    mask, shown = moved["mask"].numpy(), moved[field].numpy()
    shown = shown[..., 0] if field == "image" else shown
    inside = mask != IGNORED
    np.testing.assert_array_equal(shown[inside], mask[inside])
    for row, (*shifts, mirrored) in enumerate(draws):
        expected = np.full([side + 4 for side in size], IGNORED, np.uint8)
        expected[(slice(2, -2),) * len(size)] = labels[row]
        expected = expected[tuple(slice(2 + by, 2 + by + of) for by, of in zip(shifts, size, strict=False))]
        if mirrored and field == "image":
            expected = np.full_like(expected, IGNORED)
            for column in range(size[1]):
                if 0 <= (at := size[1] - 1 - column - shifts[1]) < size[1]:
                    rows = [r for r in range(size[0]) if 0 <= r + shifts[0] < size[0]]
                    expected[rows, column] = labels[row][[r + shifts[0] for r in rows], at]
        np.testing.assert_array_equal(mask[row], expected)
    if field == "volume":
        assert not shown[~inside].any()


# Masks


def test_a_palette_gives_indices_grey_gives_levels_and_colours_are_refused(tmp_path):
    labels = np.random.default_rng(0).integers(0, 12, (6, 5)).astype(np.uint8)
    grey, indexed, coloured = (tmp_path / f"{name}.png" for name in ("grey", "indexed", "coloured"))
    Pictures.fromarray(labels).save(grey)
    picture = Pictures.fromarray(labels)
    picture.putpalette(np.random.default_rng(1).integers(0, 256, 768).astype(np.uint8).tobytes())
    picture.save(indexed)
    picture.convert("RGB").save(coloured)
    np.testing.assert_array_equal(masks.read(grey)[0], labels)
    np.testing.assert_array_equal(masks.read(indexed)[0], labels)
    assert masks.read(grey)[1] is None and masks.read(indexed)[1]
    with pytest.raises(UserError, match="it has colours, which are no classes"):
        masks.read(coloured)
    picture.convert("L").save(tmp_path / "a.jpg")
    with pytest.raises(UserError, match="is a JPEG"):
        masks.read(tmp_path / "a.jpg")
    Pictures.fromarray(labels.astype(np.uint16) + 300).save(tmp_path / "wide.png")
    with pytest.raises(UserError, match="must have values from 0 to 255"):
        masks.read(tmp_path / "wide.png")


# Own folders


def pairs_in(folder, count=8, size=(12, 10), classes=3):
    """images/ and masks/ of pictures whose pixels are 80 times their labels."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        labels = rng.integers(0, classes, size).astype(np.uint8)
        labels[0, 0] = number % classes
        Pictures.fromarray(labels).save(folder / "masks" / f"{number}.png")
        Pictures.fromarray(np.stack([80 * labels] * 3, -1)).save(folder / "images" / f"{number}.png")
    return folder


def test_a_folder_of_pairs_keeps_every_image_beside_its_mask(tmp_path):
    splits = load(str(pairs_in(tmp_path / "own")))
    assert splits.info.own and len(splits.info.classes) == 3
    assert sum(splits.info.counts.values()) == 8
    for part in splits.parts.values():
        np.testing.assert_array_equal(part.features["image"][..., 1], 80 * part.features["mask"])
    x, y = collate(splits.preprocess)({name: tf.constant(v) for name, v in splits.test.features.items()})
    assert x.shape[1:] == (12, 10, 3) and y.dtype == tf.int32 and x.shape[:3] == y.shape


def test_names_and_splits_are_taken_from_the_folder(tmp_path):
    for part, count in (("train", 5), ("val", 2), ("test", 3)):
        pairs_in(tmp_path / "own" / part, count)
    (tmp_path / "own" / "classes.txt").write_text("ground\nant\nbee\ncat\n")
    splits = load(str(tmp_path / "own"))
    assert splits.info.classes == ("ground", "ant", "bee", "cat")
    assert splits.info.counts == {"train": 5, "validation": 2, "test": 3}


def _unlink(folder, name):
    (folder / name).unlink()


def _save(folder, name, array):
    Pictures.fromarray(np.asarray(array, np.uint8)).save(folder / name)


def _indexed(folder):
    picture = Pictures.open(folder / "masks" / "4.png")
    picture.putpalette(bytes(range(256)) * 3)
    picture.save(folder / "masks" / "4.png")


@pytest.mark.parametrize(
    ("harm", "complaint"),
    [
        (lambda f: _unlink(f, "masks/4.png"), "images/4.png: has no mask in masks/"),
        (lambda f: _unlink(f, "images/4.png"), "masks/4.png: has no image in images/"),
        (lambda f: _save(f, "masks/4.png", np.zeros((5, 4))), "masks/4.png: is 5 x 4, and its image 12 x 10"),
        (lambda f: _save(f, "masks/4.png", np.zeros((12, 10, 3))), "masks/4.png: must have one number a pixel"),
        (lambda f: (f / "masks" / "4.png").write_bytes(b"no"), "masks/4.png: is no readable PNG mask"),
        (_indexed, "masks/4.png: has another palette than most masks"),
        (lambda f: (f / "classes.txt").write_text("a\nb\n"), "has the value 2, which is no class (2 classes)"),
        (lambda f: (f / "masks").rename(f / "else"), "must have the folders images/ and masks/"),
        (lambda f: [path.unlink() for path in f.glob("*/[1-7].png")], "must have 3 or more pairs; got 1"),
    ],
)
def test_a_mistake_in_a_folder_names_the_file(tmp_path, harm, complaint):
    folder = pairs_in(tmp_path / "own")
    harm(folder)
    with pytest.raises(UserError, match=re.escape(complaint)) as error:
        load(str(folder))
    assert "\n" not in str(error.value)


def test_a_set_that_is_not_there_is_named_with_its_nearest():
    with pytest.raises(UserError, match='no set or folder "camvit"; nearest: camvid'):
        load("camvit")


def volumes_in(folder, count=6, spacing=(1.0, 1.0, 2.0)):
    nibabel = pytest.importorskip("nibabel", reason="extra [signals] is not installed")
    rng = np.random.default_rng(0)
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        labels = rng.integers(0, 3, (7, 6, 5)).astype(np.uint8)
        for name, values in (("imagesTr", labels.astype(np.float32) * 50), ("labelsTr", labels)):
            image = nibabel.Nifti1Image(values, np.diag([*spacing, 1.0]))
            nibabel.save(image, folder / name / f"v_{number}.nii.gz")
    return folder


def test_volumes_in_the_decathlon_s_layout_keep_labels_beside_their_voxels(tmp_path):
    splits = load(str(volumes_in(tmp_path / "own")))
    assert splits.preprocess.spacing == (1.0, 1.0, 2.0) and splits.preprocess.input_shape == (8, 8, 8, 1)
    for part in splits.parts.values():
        volume, labels = part.features["volume"], part.features["mask"]
        assert ((labels == IGNORED).sum((1, 2, 3)) == 8**3 - 7 * 6 * 5).all()
        known = labels != IGNORED
        np.testing.assert_allclose(volume[known], labels[known] / 2, atol=1e-6)
        assert not volume[~known].any()


# Facts


class Constant(keras.Model):
    """Logits that are largest for one class, whatever comes."""

    def __init__(self, chosen, num_classes):
        super().__init__()
        self.logits = tf.one_hot(chosen, num_classes)

    def call(self, x):
        return tf.zeros_like(x[..., :1]) + self.logits


def test_the_figure_to_beat_is_that_of_a_constant_model():
    splits = load("shapes").few(9, 0)
    baseline = splits.facts.baseline(splits)
    chosen = int(pixels_of_classes(splits.train.features["mask"], 4).argmax())
    model = Constant(chosen, 4)
    model.compile(loss=segmentation.SegmentationLoss(IGNORED), metrics=[segmentation.MeanIoU(4, IGNORED)])
    batches = data.batches(splits.validation, 4, collate=collate(splits.preprocess))
    from keras_dl import training

    assert baseline["metric"] == "mean_iou"
    assert training.evaluate(model, batches)["mean_iou"] == pytest.approx(baseline["value"], rel=1e-6)


# Real data


def _manual(name, root, monkeypatch):
    if not (RAW / name).exists():
        pytest.skip("data: no raw files in ../shared")
    folder = root / "downloads" / "manual" / name
    folder.mkdir(parents=True)
    for path in (RAW / name).iterdir():
        os.symlink(path, folder / path.name)
    monkeypatch.setenv("TFDS_DATA_DIR", str(root))


@pytest.mark.data
def test_camvid_is_the_published_split_with_eleven_classes(tmp_path, monkeypatch):
    _manual("camvid_240x180", tmp_path, monkeypatch)
    splits = load("camvid")
    assert splits.info.counts == {"train": 367, "validation": 101, "test": 233}
    assert splits.preprocess.input_shape == (180, 240, 3) and len(splits.info.classes) == 11
    labels = splits.train.features["mask"]
    assert set(np.unique(labels)) == {*range(11), IGNORED}
    assert (labels == IGNORED).mean() == pytest.approx(0.039, abs=0.001)
    shares = pixels_of_classes(labels, 11) / labels.size
    assert shares[10] == pytest.approx(0.003, abs=5e-4) and shares[9] == pytest.approx(0.006, abs=5e-4)
