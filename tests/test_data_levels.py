"""Laws of images as levels: what a level means, how bits are drawn, the figure of independent pixels, folders."""

import functools
import json
import math
import shutil

import numpy as np
import pytest
import tensorflow as tf
from test_data import folder_of, png, write

from keras_dl import data, describing
from keras_dl.data import images, levels
from keras_dl.data.examples import PARTS, Examples
from keras_dl.distributions import Bernoulli, Categorical
from keras_dl.errors import UserError
from keras_dl.features import from_config
from keras_dl.features.image import Image
from keras_dl.features.levels import Levels

GREY = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)


def flat_folder(folder, each=20, seed=0, side=9):
    rng = np.random.default_rng(seed)
    for number in range(each):
        write(folder, f"{number}.png", rng.integers(0, 256, (side, side, 3)))
    return folder


@functools.cache
def digits(seed=0, image_size=8, **options):
    return levels.load("digits", seed, image_size=image_size, **options)


def bits(splits, part="validation"):
    return getattr(splits, part).features["image"]


# Levels


def test_two_levels_part_at_128_and_256_are_the_grey_levels():
    two, all_of_them = Levels((16, 16, 1), levels=2), Levels((16, 16, 1))
    np.testing.assert_array_equal(two(GREY).numpy().ravel(), np.arange(256) >= 128)
    np.testing.assert_array_equal(all_of_them(GREY), GREY.astype(np.float32))
    np.testing.assert_array_equal(
        np.bincount(Levels((16, 16, 1), levels=4)(GREY).numpy().ravel().astype(int)), [64] * 4
    )


@pytest.mark.parametrize("count", [2, 3, 256])
def test_the_picture_of_levels_has_these_levels(count):
    preprocess = Levels((16, 16, 1), levels=count)
    x = preprocess(GREY)
    picture = preprocess.inverse(x)
    assert picture.dtype == tf.uint8 and (tf.reduce_min(picture), tf.reduce_max(picture)) == (0, 255)
    np.testing.assert_array_equal(preprocess(picture), x)
    np.testing.assert_array_equal(preprocess.unit(x), x / (count - 1))


def test_levels_survive_a_card():
    preprocess = Levels((5, 4, 3), 2, "pad", 12.5)
    assert Levels.from_config(json.loads(json.dumps(preprocess.config()))) == preprocess
    assert from_config("image", json.loads(json.dumps(Image(preprocess).config())), "card") == Image(preprocess)
    with pytest.raises(UserError, match="must have mean"):
        from_config("image", {"input_shape": [5, 4, 3], "border": 0.0}, "card")


def test_levels_that_cannot_be_are_refused():
    with pytest.raises(UserError, match="Levels: levels must be from 2 to 256; got 1"):
        Levels((4, 4, 1), 1)
    with pytest.raises(UserError, match="Levels: fit must be crop, pad or stretch; got 'fill'"):
        Levels((4, 4, 1), 2, "fill")


# Bits


def test_each_pixel_is_drawn_with_its_grey_level_as_probability():
    resampled = levels.Resampled((16, 16, 1))
    count = 4000
    draws = resampled.draw(0, 0, count)
    drawn = resampled({"image": tf.repeat(tf.constant(GREY), count, 0)}, draws)["image"].numpy()
    assert set(np.unique(drawn)) == {0, 255}
    share = (drawn == 255).mean(0).ravel()
    want = np.arange(256) / 255
    assert share[0] == 0 and share[255] == 1
    assert (np.abs(share - want) <= 5 * np.sqrt(want * (1 - want) / count) + 1e-12).all()


def test_bits_depend_on_seed_epoch_and_example_alone():
    splits = digits(binarization="resampled")
    augment = levels.augmentation(splits.info)
    collate = levels.levels_only(splits.preprocess)
    train = data.batches(splits.train, 100, collate=collate, seed=3, shuffle=True, augment=augment)
    whole = [x.numpy() for x, _ in train.dataset(0, epochs=2)]
    rest = [x.numpy() for x, _ in train.dataset(1, 2)]
    for a, b in zip(whole[train.steps() + 2 :], rest, strict=True):
        np.testing.assert_array_equal(a, b)
    in_order = data.batches(splits.train, 1000, collate=collate, seed=3, augment=augment)
    (first, _), (again, _) = (next(iter(in_order.dataset(epoch))) for epoch in (0, 1))
    assert (first.numpy() != again.numpy()).any()
    plan = np.concatenate(train.plan(3, 0))[:100]
    in_order = np.concatenate([x.numpy() for x, _ in in_order.dataset(0)])
    np.testing.assert_array_equal(whole[0], in_order[plan])


def test_only_training_bits_are_drawn_anew_and_fixed_ones_by_the_seed_alone():
    kinds = {kind: digits(binarization=kind) for kind in levels.BINARIZATIONS}
    grey = digits(levels=256)
    assert [levels.augmentation(splits.info) is not None for splits in (*kinds.values(), grey)] == [
        False,
        False,
        True,
        False,
    ]
    np.testing.assert_array_equal(bits(kinds["resampled"], "train"), bits(grey, "train"))
    again = digits.__wrapped__(binarization="fixed")
    for part in PARTS:
        fixed = bits(kinds["fixed"], part)
        assert set(np.unique(fixed)) == {0, 255} and (fixed[bits(grey, part) == 255] == 255).all()
        assert (fixed[bits(grey, part) == 0] == 0).all()
        assert (fixed != 255 * (bits(grey, part) >= 128)).any()
        np.testing.assert_array_equal(fixed, bits(again, part))
    other = digits(1, binarization="fixed")
    assert (bits(other, "test") != bits(kinds["fixed"], "test")).any()


def test_the_collates():
    splits = digits()
    raw = {name: tf.constant(array[:3]) for name, array in splits.test.features.items()}
    (x, y), (both, z) = (make(splits.preprocess)(raw) for make in (levels.levels_only, levels.levels_and_labels))
    assert x.shape == (3, 8, 8, 1) and x.dtype == tf.float32 and set(np.unique(x)) == {0.0, 1.0}
    for same in (y, z, both["image"]):
        np.testing.assert_array_equal(x, same)
    np.testing.assert_array_equal(both["label"], splits.test.features["label"][:3])


def test_published_images_are_resized_to_what_the_user_asks():
    splits = levels.load("digits", 0)
    assert bits(splits).shape[1:] == (28, 28, 1) == splits.preprocess.input_shape
    eight = images.load("digits", 0).validation.features["image"]
    np.testing.assert_array_equal(bits(splits), np.asarray(Levels((28, 28, 1)).resize(eight)))
    np.testing.assert_array_equal(bits(digits()), eight)
    assert splits.info.config()["original_sizes"]["median"] == "8 x 8"


# The figure to beat


@pytest.mark.parametrize("binarization", levels.BINARIZATIONS)
def test_the_figure_to_beat_is_that_of_independent_bits(binarization):
    splits = digits(binarization=binarization)
    baseline = splits.facts.baseline(splits)
    train = splits.train.features["image"] / 255.0
    ones = (train if binarization == "resampled" else train >= 0.5).sum(0)
    frequency = (ones + 1) / (len(train) + 2)
    logits = np.log(frequency / (1 - frequency))
    x = splits.preprocess(bits(splits)).numpy()
    nats = -Bernoulli(logits).log_prob(x).numpy().sum((1, 2, 3)).mean()
    assert baseline["metric"] == "nats_per_image" and baseline["value"] == pytest.approx(nats, rel=1e-5)
    assert f"{64 * math.log(2):.4f} if all are equal" in baseline["what"]


def test_the_figure_to_beat_of_grey_levels_is_in_bits_per_dimension():
    splits = digits(levels=256)
    baseline = splits.facts.baseline(splits)
    train, validation = (bits(splits, part) for part in ("train", "validation"))
    counts = np.stack([(train == level).sum(0) for level in range(256)], -1) + 1.0
    nats = -Categorical(np.log(counts / counts.sum(-1, keepdims=True))[None].repeat(len(validation), 0)).log_prob(
        validation.astype(np.int32)
    )
    want = nats.numpy().sum((1, 2, 3)).mean() / (64 * math.log(2))
    assert baseline["metric"] == "bits_per_dimension" and baseline["value"] == pytest.approx(want, rel=1e-5)
    assert 0 < want < 8 and "8.0000 if all are equal" in baseline["what"]


def test_pixels_of_pure_noise_have_eight_bits():
    rng = np.random.default_rng(0)
    splits = digits(levels=256)
    parts = {part: Examples({"image": rng.integers(0, 256, (4000, 2, 2, 1), np.uint8)}) for part in PARTS}
    noise = splits.__class__(**parts, info=splits.info, preprocess=splits.preprocess)
    assert splits.facts.baseline(noise)["value"] == pytest.approx(8, abs=0.1)


# Folders


def test_a_folder_without_sub_folders_is_one_class(tmp_path):
    flat_folder(tmp_path)
    write(tmp_path, "notes.txt", b"taken in May")
    splits = levels.load(str(tmp_path), 0, image_size=8, levels=256)
    assert [len(part) for part in splits.parts.values()] == [15, 2, 3] and splits.info.num_classes == 1
    assert all((part.features["label"] == 0).all() for part in splits.parts.values())
    assert "no pictures by their endings: 1 (notes.txt)" in " ".join(splits.notes)
    train = data.batches(splits.train, 4, collate=levels.levels_only(splits.preprocess))
    facts = describing.summary(splits, train)
    assert facts["classes"] == {} and facts["sizes"]["median"] == "9 x 9" and facts["baseline"]["value"] > 0
    assert "each of them is" in " ".join(facts["warnings"]) and "accuracy" not in " ".join(facts["warnings"])


def test_flat_folders_of_splits_keep_their_splits(tmp_path):
    for seed, name in enumerate(("train", "val", "test")):
        flat_folder(tmp_path / name, each=4 + seed, seed=seed)
    splits = levels.load(str(tmp_path), 0, image_size=8)
    assert [len(part) for part in splits.parts.values()] == [4, 5, 6] and splits.info.num_classes == 1
    shutil.rmtree(tmp_path / "val")
    notes = levels.load(str(tmp_path), 0, image_size=8).notes
    assert "10% of the pictures of train are held out" in " ".join(notes)


def test_a_folder_with_classes_keeps_them(tmp_path):
    splits = levels.load(str(folder_of(tmp_path / "a")), 0, image_size=8)
    assert splits.info.classes == ("cat", "dog") and set(splits.train.features["label"]) == {0, 1}
    for name in ("train", "test"):
        folder_of(tmp_path / "b" / name, each=5, seed=len(name))
    assert levels.load(str(tmp_path / "b"), 0, image_size=8).info.classes == ("cat", "dog")
    folder_of(tmp_path / "c", classes=("train", "test", "car"), each=4)
    assert levels.load(str(tmp_path / "c"), 0, image_size=8).info.classes == ("car", "test", "train")


def photographs_of(folder, colours, each=20):
    """Pictures with a slope of grey, or of a colour, and others of black and white with a grey edge."""
    for number in range(each):
        slope = np.linspace(0, 255 - 4 * number, 24)[:, None, None] * np.ones((24, 24, 1))
        drawing = np.where(np.arange(24) < 12 + number % 6, 0, 255)[None, :, None] * np.ones((24, 24, 1))
        drawing[:, 11 + number % 6] = 130
        strength = np.array([1.0, 0.6, 0.9]) if colours == "colour" else np.ones(3)
        write(folder, f"{number}.png", (drawing if colours == "drawing" else slope * strength).astype(np.uint8))
    return folder


@pytest.mark.parametrize(("kind", "wanted"), [("colour", 256), ("grey", 256), ("drawing", 2)])
def test_ones_own_photographs_keep_their_grey_levels_and_drawings_are_black_and_white(tmp_path, kind, wanted):
    load = functools.partial(levels.load, str(photographs_of(tmp_path / kind, kind)), 0, image_size=16)
    splits = load(levels=None)
    assert splits.info.details["levels"] == splits.preprocess.levels == wanted
    assert load(levels="auto").preprocess.levels == wanted
    assert {load(levels=given).preprocess.levels for given in (2, 256)} == {2, 256}
    assert load(levels=None, binarization="fixed").preprocess.levels == 2
    shown = np.unique(splits.preprocess(bits(splits)))
    assert len(shown) > 10 if wanted == 256 else shown.tolist() == [0, 1]


def test_named_sets_keep_their_levels_unless_auto_is_asked_for():
    assert digits(levels=None).preprocess.levels == digits().preprocess.levels == 2
    assert digits(levels="auto").preprocess.levels == 256
    black = np.zeros((5, 8, 8, 3), np.uint8)
    assert levels.usual_levels(black) == levels.usual_levels(255 - black) == 2
    assert levels.usual_levels(black + np.array([255, 0, 0], np.uint8)) == 256  # red is neither


def test_models_without_classes_take_classes_of_any_size(tmp_path):
    folder_of(tmp_path / "album", each=12)
    flat_folder(tmp_path / "album" / "birthday", each=1)
    load = functools.partial(levels.load, str(tmp_path / "album"), 0, image_size=8)
    splits = load(by_class=False)
    assert splits.info.classes == ("birthday", "cat", "dog") and [*map(len, splits.parts.values())] == [19, 2, 4]
    held_out = [
        levels.load(str(tmp_path / "album"), seed, image_size=8, by_class=False).test.features["label"].tolist()
        for seed in range(9)
    ]
    assert len({tuple(labels) for labels in held_out}) > 1  # not two of each class
    with pytest.raises(UserError, match="every class needs 3 readable images; got 1 in .*birthday"):
        load()
    (tmp_path / "album" / "empty").mkdir()
    assert load(by_class=False).info.num_classes == 4
    flat_folder(tmp_path / "few" / "a", each=1)
    flat_folder(tmp_path / "few" / "b", each=1)
    with pytest.raises(UserError, match="a folder needs 3 readable images; got 2 in .*few"):
        levels.load(str(tmp_path / "few"), 0, image_size=8, by_class=False)
    write(tmp_path / "album" / "birthday", "broken.png", png(np.zeros((4, 4, 1), np.uint8)).numpy()[:40])
    with pytest.raises(UserError, match="or go on without them with --skip-unreadable"):
        load(by_class=False)
    with pytest.raises(UserError, match="too few files are left"):
        load()


def test_pictures_in_a_single_sub_folder_have_one_class(tmp_path):
    flat_folder(tmp_path / "holiday")
    assert levels.load(str(tmp_path), 0, image_size=8).info.num_classes == 1


def test_a_classifier_refuses_pictures_without_classes_and_says_who_takes_them(tmp_path):
    flat_folder(tmp_path)
    with pytest.raises(UserError) as error:
        images.load(str(tmp_path), image_size=8)
    text = str(error.value)
    assert "at least two of them; got 0 (none)" in text and "\n" not in text
    assert text.endswith("Without classes, pictures are taken by model_images, autoencode_images and gan_images.")
    with pytest.raises(
        UserError,
        match="binarized_mnist has no labels; pictures are taken by model_images, autoencode_images and gan_images",
    ):
        images.load("binarized_mnist")


def test_mistakes_are_said_in_a_line(tmp_path):
    with pytest.raises(UserError, match=r'no data set or folder "mnits".*mnist.*binarized_mnist'):
        levels.load("mnits")
    write(flat_folder(tmp_path / "a", each=2), "broken.png", png(np.zeros((4, 4, 1), np.uint8)).numpy()[:40])
    with pytest.raises(UserError, match="1 of 3 files in .*broken.png"):
        levels.load(str(tmp_path / "a"), image_size=8)
    with pytest.raises(UserError, match="a folder needs 3 readable images; got 2 in"):
        levels.load(str(tmp_path / "a"), image_size=8, skip_unreadable=True)
    with pytest.raises(UserError, match='levels must be one of 2, 256, or "auto"'):
        levels.load("digits", levels=3)


@pytest.mark.slow
def test_binarized_mnist_is_fixed_by_its_source():
    splits = levels.load("binarized_mnist", 0, binarization="resampled")
    assert [len(part) for part in splits.parts.values()] == [50_000, 10_000, 10_000]
    assert splits.info.details["binarization"] == "fixed" and levels.augmentation(splits.info) is None
    for part in PARTS:
        assert set(np.unique(bits(splits, part))) == {0, 255}
    # The factorial model of the literature stands at 206 nats.
    assert 204 < splits.facts.baseline(splits)["value"] < 208
