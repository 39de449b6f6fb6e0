"""Laws of masks and of data with masks: indices stay indices, image and mask move together, mistakes are named."""

import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image as Pillow

from keras_dl.data import segmentation, shapes
from keras_dl.errors import UserError
from keras_dl.features import masks
from keras_dl.features.masks import IGNORED, LabelMask

RAW = Path(__file__).resolve().parents[2] / "shared" / "data" / "raw"


def labels_of(size=(9, 7), values=(0, 1, 2), seed=0):
    return np.array(values, np.uint8)[np.random.default_rng(seed).integers(0, len(values), size)]


def write_mask(path, labels, palette=None):
    picture = Pillow.fromarray(labels)
    if palette is not None:
        picture.putpalette(palette)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def pairs_in(root, count=6, size=(9, 7)):
    """A folder with images/ and masks/."""
    for number in range(count):
        write_mask(root / "masks" / f"{number}.png", labels_of(size, seed=number))
        (root / "images").mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (*size, 3)).astype(np.uint8)
        Pillow.fromarray(pixels).save(root / "images" / f"{number}.png")
    return root


def refused(root, words, **options):
    with pytest.raises(UserError, match=words) as error:
        segmentation.load(str(root), **options)
    assert "\n" not in str(error.value)


def test_a_palette_gives_indices_and_colours_are_no_mask(tmp_path):
    labels = labels_of(values=(0, 3, 11, 255))
    write_mask(tmp_path / "p.png", labels, bytes(range(256)) * 3)
    values, palette = masks.read(tmp_path / "p.png")
    np.testing.assert_array_equal(values, labels)
    assert palette is not None
    write_mask(tmp_path / "g.png", labels)
    values, palette = masks.read(tmp_path / "g.png")
    np.testing.assert_array_equal(values, labels)
    assert palette is None
    write_mask(tmp_path / "c.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(masks.UnreadableMask, match=r"c\.png must have one number a pixel.*it has colours"):
        masks.read(tmp_path / "c.png")


def test_resizing_keeps_the_set_of_values():
    labels = labels_of((180, 45), (0, 4, 11, 255))
    for size in ((90, 23), (45, 180), (1, 1), (181, 44)):
        small = masks.resized(labels, size)
        assert small.shape == size and set(np.unique(small)) <= {0, 4, 11, 255}
    np.testing.assert_array_equal(masks.resized(labels, labels.shape), labels)


def test_a_mask_is_written_with_its_images_size_and_an_overlay(tmp_path):
    labels, image = labels_of((6, 4)), np.full((12, 8, 3), 200, np.uint8)
    LabelMask(("a", "b", "c")).write(labels, tmp_path / "m.png", image)
    values, palette = masks.read(tmp_path / "m.png")
    np.testing.assert_array_equal(values, labels.repeat(2, 0).repeat(2, 1))
    assert palette is not None
    over = np.array(Pillow.open(tmp_path / "m-overlay.png"))
    assert (over[values == 0] == 200).all() and (over[values == 1] != 200).any(1).all()


@pytest.mark.parametrize("field", ["image", "volume"])
def test_image_and_mask_move_together(field):
    """Each value of the mask is the image's own: moved alike, they stay equal; what comes in is ignored."""
    size = (8, 6) if field == "image" else (5, 6, 4)
    labels = np.random.default_rng(0).integers(1, 200, (20, *size)).astype(np.uint8)
    values = labels[..., None].repeat(3, -1) if field == "image" else labels.astype(np.float32)
    augment = segmentation.MovedTogether(2, flip=True)
    draws = augment.draw(0, 1, 20)
    np.testing.assert_array_equal(draws, augment.draw(0, 1, 20))
    assert not np.array_equal(draws, augment.draw(0, 2, 20))
    moved = augment({field: tf.constant(values), "mask": tf.constant(labels)}, tf.constant(draws))
    mask, image = moved["mask"].numpy(), moved[field].numpy()
    seen = mask != IGNORED
    image = image[..., 0] if field == "image" else image
    np.testing.assert_array_equal(image[seen], mask[seen])
    assert 0.3 < seen.mean() < 1 and (mask != labels).any()
    for row in np.flatnonzero((draws[:, : len(size)] == 0).all(1)):  # not shifted: all is seen
        assert seen[row].all()


def test_the_drawn_shapes_have_the_areas_of_their_formulas():
    places = np.stack(np.meshgrid(*[np.arange(400) + 0.5] * 2, indexing="ij"), -1)
    areas = {"disc": np.pi, "square": 4.0, "triangle": 3 * np.sqrt(3) / 4}
    for name, area in areas.items():
        count = shapes.inside(name, places, np.array([200.0, 200.0]), 100, 0.3).sum()
        assert count == pytest.approx(area * 100**2, rel=0.005), name
    places = np.stack(np.meshgrid(*[np.arange(60) + 0.5] * 3, indexing="ij"), -1)
    for name, volume in {"ball": 4 / 3 * np.pi, "cube": 8.0}.items():
        assert shapes.inside(name, places, np.full(3, 30.0), 20).sum() == pytest.approx(volume * 20**3, rel=0.01)


def test_a_folder_of_pairs(tmp_path):
    splits = segmentation.load(str(pairs_in(tmp_path)), ignore_label=2)
    assert splits.info.classes == ("class 0", "class 1") and sum(splits.info.counts.values()) == 6
    every = np.concatenate([part.features["mask"] for part in splits.parts.values()])
    assert set(np.unique(every)) == {0, 1, IGNORED} and every.shape == (6, 9, 8)
    x, y = segmentation.collate(splits.preprocess)({name: of[:1] for name, of in splits.train.features.items()})
    assert x.shape == (1, 9, 8, 3) and y.dtype == tf.int32


def test_mistakes_in_a_folder_are_named(tmp_path):
    refused(tmp_path / "none", 'no set or folder ".*none"')
    refused(tmp_path, r"must have the folders images/ and masks/")
    root = pairs_in(tmp_path / "mine")
    os.rename(root / "masks" / "3.png", root / "masks" / "x.png")
    refused(root, r"images/3\.png: has no mask in masks/; masks/x\.png: has no image in images/")
    os.rename(root / "masks" / "x.png", root / "masks" / "3.png")
    write_mask(root / "masks" / "2.png", labels_of((5, 7)))
    refused(root, r"masks/2\.png: is 5 x 7, and its image 9 x 7")
    write_mask(root / "masks" / "2.png", labels_of(), bytes(range(256)) * 3)
    refused(root, r"masks/2\.png: has another palette than most masks")
    write_mask(root / "masks" / "2.png", np.zeros((9, 7, 3), np.uint8))
    refused(root, r"masks/2\.png: must have one number a pixel")
    write_mask(root / "masks" / "2.png", labels_of(values=(0, 1, 7)))
    (root / "classes.txt").write_text("sky\nroad\ntree\n")
    refused(root, r"masks/2\.png: has the value 7, which is no class \(3 classes\)")
    assert segmentation.load(str(root), ignore_label=7).info.classes == ("sky", "road", "tree")


def test_a_folder_of_volumes(tmp_path):
    nibabel = pytest.importorskip("nibabel", reason="extra [signals] is not installed")
    rng = np.random.default_rng(0)
    for number in range(4):
        for folder, values in (("imagesTr", rng.random((5, 6, 7))), ("labelsTr", rng.integers(0, 3, (5, 6, 7)))):
            (tmp_path / folder).mkdir(exist_ok=True)
            image = nibabel.Nifti1Image(values.astype(np.float32), np.diag([1, 1, 2, 1.0]))
            image.to_filename(tmp_path / folder / f"{number}.nii.gz")
    splits = segmentation.load(str(tmp_path))
    assert splits.preprocess.spacing == (1.0, 1.0, 2.0) and splits.preprocess.input_shape == (8, 8, 8, 1)
    assert splits.info.num_classes == 3 and (splits.train.features["mask"][:, 0] == IGNORED).all()
    moved = nibabel.Nifti1Image(np.zeros((5, 6, 7), np.uint8), np.diag([1, 1, 1, 1.0]))
    moved.to_filename(tmp_path / "labelsTr" / "1.nii.gz")
    refused(tmp_path, r"labelsTr/1\.nii\.gz: lies elsewhere in space")


@pytest.mark.data
@pytest.mark.parametrize("name", ["camvid", "hippocampus"])
def test_the_real_sets_are_the_published_ones(name, tmp_path, monkeypatch):
    folder = {"camvid": "camvid_240x180", "hippocampus": "hippocampus"}[name]
    if not (RAW / folder).exists():
        pytest.skip("data: no raw files in ../shared")
    (tmp_path / "downloads" / "manual").mkdir(parents=True)
    os.symlink(RAW / folder, tmp_path / "downloads" / "manual" / folder)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    splits = segmentation.load(name)
    values = set(np.unique(splits.train.features["mask"]))
    if name == "camvid":
        assert splits.info.counts == {"train": 367, "validation": 101, "test": 233}
        assert values == {*range(11), IGNORED} and splits.preprocess.input_shape == (180, 240, 3)
    else:
        assert splits.info.counts == {"train": 36, "validation": 12, "test": 16}
        assert values == {0, 1, 2, IGNORED} and splits.preprocess.input_shape[:3] >= (42, 55, 45)
