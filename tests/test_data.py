"""Laws of the data: nothing leaks, an epoch is a plan, an operation is the same alone and inside tf.data."""

import dataclasses
import io

import numpy as np
import pytest
import tensorflow as tf

from keras_dl import data
from keras_dl.data import images, prepared
from keras_dl.errors import UserError
from keras_dl.features.image import Preprocess


def identity(raw):
    return tf.cast(raw["image"], tf.float32), raw["label"]


def numbered(size=10, side=4):
    """Examples whose pixels say their number."""
    image = np.broadcast_to(np.arange(size, dtype=np.uint8)[:, None, None, None], (size, side, side, 1))
    return data.Examples({"image": np.ascontiguousarray(image), "label": np.arange(size, dtype=np.int32)})


def order(dataset):
    return [batch[1].numpy().tolist() for batch in dataset]


def test_an_epoch_is_a_permutation_and_the_next_another_one():
    batches = data.batches(numbered(), 3, seed=1, shuffle=True, collate=identity)
    first, second = order(batches.dataset(0)), order(batches.dataset(1))
    assert [len(b) for b in first] == [3, 3, 3, 1] and batches.steps() == 4
    assert sorted(sum(first, [])) == sorted(sum(second, [])) == list(range(10))
    assert first != second
    assert first == order(batches.dataset(0))
    assert first != order(data.batches(numbered(), 3, seed=2, shuffle=True, collate=identity).dataset(0))


def test_validation_order_is_as_stored():
    assert sum(order(data.batches(numbered(), 4, collate=identity).dataset(5)), []) == list(range(10))


@pytest.mark.parametrize("epoch", [0, 2])
@pytest.mark.parametrize("step", [0, 1, 3])
def test_a_pipeline_that_starts_anywhere_is_the_rest_of_the_whole(epoch, step):
    augment = images.Augment(1)
    batches = data.batches(numbered(), 3, seed=4, shuffle=True, augment=augment, collate=identity)
    whole = [(x.numpy(), y.numpy()) for x, y in batches.dataset(0, epochs=4)]
    rest = [(x.numpy(), y.numpy()) for x, y in batches.dataset(epoch, step, epochs=4 - epoch)]
    assert len(rest) == len(whole) - 4 * epoch - step == batches.dataset(epoch, step, epochs=4 - epoch).cardinality()
    for (x, y), (x2, y2) in zip(whole[4 * epoch + step :], rest, strict=True):
        np.testing.assert_array_equal(x, x2)
        np.testing.assert_array_equal(y, y2)


def test_an_endless_pipeline_goes_on_with_the_next_epoch():
    batches = data.batches(numbered(), 3, seed=4, shuffle=True, collate=identity)
    endless = order(batches.dataset(0, 2, epochs=None).take(6))
    assert endless == order(batches.dataset(0, 2)) + order(batches.dataset(1))


def test_plans_of_ones_own_make_batches_of_any_length():
    def by_length(seed, epoch):
        return [np.array([0]), np.array([1, 2, 3, 4]), np.array([5, 6])]

    batches = data.batches(numbered(), 99, plan=by_length, collate=identity)
    assert order(batches.dataset()) == [[0], [1, 2, 3, 4], [5, 6]]


def test_augmentation_is_the_same_alone_and_inside_the_pipeline():
    rng = np.random.default_rng(0)
    examples = data.Examples(
        {"image": rng.integers(0, 256, (7, 6, 5, 3), dtype=np.uint8), "label": np.arange(7, dtype=np.int32)}
    )
    augment = images.Augment(2, flip=True, fill={"image": (9, 8, 7)})
    draws = augment.draw(3, 1, 7)
    batches = data.batches(examples, 7, seed=3, augment=augment, collate=identity)
    (inside,) = [x.numpy() for x, _ in batches.dataset(1)]
    np.testing.assert_array_equal(inside, augment(examples.features, draws)["image"].numpy())
    # The definition: pad with the fill, crop at (row, column), mirror.
    for image, (row, column, mirrored), got in zip(examples.features["image"], draws, inside, strict=True):
        padded = np.full((10, 9, 3), (9, 8, 7), np.uint8)
        padded[2:8, 2:7] = image
        want = padded[row : row + 6, column : column + 5]
        np.testing.assert_array_equal(got, want[:, ::-1] if mirrored else want)
    assert len(np.unique(draws[:, 0])) > 1 and len(np.unique(draws[:, 2])) == 2


def test_an_image_and_its_mask_are_moved_together():
    rng = np.random.default_rng(0)
    image = rng.integers(1, 256, (9, 8, 7, 3), dtype=np.uint8)
    mask = image.sum(-1, keepdims=True, dtype=np.int32)  # says which pixel it belongs to
    examples = data.Examples({"image": image, "mask": mask, "label": np.arange(9, dtype=np.int32)})
    augment = images.Augment(3, flip=True, fill={"image": (0, 0, 0), "mask": (-1,)})
    batches = data.batches(
        examples, 4, seed=3, shuffle=True, augment=augment, collate=lambda raw: (raw["image"], raw["mask"])
    )
    moved = 0
    for x, y in batches.dataset(1):
        x, y = x.numpy(), y.numpy()
        outside = (x == 0).all(-1, keepdims=True)
        np.testing.assert_array_equal(y, np.where(outside, -1, x.sum(-1, keepdims=True, dtype=np.int32)))
        moved += outside.sum()
    assert moved > 0
    (alone,) = data.batches(
        examples, 9, seed=3, augment=images.Augment(3, flip=True), collate=lambda raw: (raw["image"], raw["mask"])
    ).dataset(1)
    np.testing.assert_array_equal(alone[1], mask)  # what is not named stays as it is


def test_an_augmentation_may_draw_what_it_likes():
    class Louder:
        """Every example times a factor of its own; draws (N,) float32."""

        def draw(self, seed, epoch, count):
            return np.random.default_rng((seed, epoch, 1)).random(count, np.float32)

        def __call__(self, raw, draws):
            return raw | {"sound": raw["sound"] * draws[:, None]}

    sound = np.ones((10, 3), np.float32)
    examples = data.Examples({"sound": sound, "number": np.arange(10)})
    batches = data.batches(
        examples, 4, seed=5, shuffle=True, augment=Louder(), collate=lambda raw: (raw["sound"], raw["number"])
    )
    want = Louder().draw(5, 2, 10)
    for x, numbers in batches.dataset(2):
        np.testing.assert_array_equal(x, want[numbers.numpy(), None] * np.ones(3, np.float32))


def test_class_weights_go_with_no_other_weight():
    examples = data.Examples({"x": np.zeros((4, 2), np.float32), "label": np.array([0, 1, 1, 0])})
    batches = data.batches(examples, 2, class_weight=[1, 2], collate=lambda raw: (raw["x"], raw["label"], raw["label"]))
    with pytest.raises(UserError, match="class_weight needs a collate that gives"):
        batches.dataset()


def test_what_happens_to_an_example_depends_on_seed_epoch_and_example_alone():
    augment = images.Augment(3, flip=True)
    assert (augment.draw(0, 0, 50) == augment.draw(0, 0, 50)).all()
    assert (augment.draw(0, 0, 50) != augment.draw(0, 1, 50)).any()
    assert (augment.draw(0, 0, 50) != augment.draw(1, 0, 50)).any()


def test_a_shuffled_example_keeps_its_own_draw():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 6, 6, 1), dtype=np.uint8)
    examples = data.Examples({"image": pixels, "label": np.arange(20, dtype=np.int32)})
    augment = images.Augment(2)
    want = augment({"image": pixels}, augment.draw(3, 1, 20))["image"].numpy()
    for image, label in data.batches(examples, 6, seed=3, shuffle=True, augment=augment, collate=identity).dataset(1):
        np.testing.assert_array_equal(image, want[label.numpy()])


def test_preprocessing_is_the_same_alone_in_a_batch_and_in_a_graph():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (9, 8, 8, 1), dtype=np.uint8)
    preprocess = Preprocess.of(pixels, (28, 28, 1))
    whole = preprocess(pixels).numpy()
    alone = np.concatenate([preprocess(pixels[i : i + 1]).numpy() for i in range(9)])
    graph = tf.function(preprocess, input_signature=[tf.TensorSpec((None, None, None, 1), tf.uint8)])(pixels).numpy()
    np.testing.assert_array_equal(whole, alone)
    np.testing.assert_array_equal(whole, graph)
    assert abs(whole.mean()) < 1e-5 and abs(whole.std() - 1) < 1e-5
    np.testing.assert_array_equal(preprocess.inverse(whole).numpy(), preprocess.resize(pixels).numpy())


def test_resizing_to_the_same_shape_changes_nothing_even_where_the_shape_is_not_known():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 1), dtype=np.uint8)
    preprocess = Preprocess((28, 28, 1), (0.0,), (1.0,), 0.0)
    graph = tf.function(preprocess.resize, input_signature=[tf.TensorSpec((None, None, None, 1), tf.uint8)])
    np.testing.assert_array_equal(graph(pixels).numpy(), pixels)


def png(array):
    return tf.io.encode_png(np.asarray(array, np.uint8))


def test_decoding_handles_colour_and_alpha():
    grey, colour = (Preprocess((2, 2, c), (0.0,) * c, (1.0,) * c, 0.0) for c in (1, 3))
    red = np.zeros((2, 3, 3)) + [255, 0, 0]
    assert np.unique(grey.decode(png(red)).numpy()).tolist() == [76]  # 0.299 of 255
    assert grey.decode(png(red)).shape == (2, 3, 1)
    assert colour.decode(png(red[..., :1])).numpy().tolist() == np.full((2, 3, 3), 255).tolist()
    half = np.concatenate([red, np.full((2, 3, 1), 128)], -1)  # half transparent red, on white
    assert colour.decode(png(half)).numpy()[0, 0].tolist() == [255, 127, 127]
    clear = np.concatenate([np.zeros((2, 3, 1)), np.zeros((2, 3, 1))], -1)  # grey with alpha, all transparent
    assert np.unique(grey.decode(png(clear)).numpy()).tolist() == [255]


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_bmp_with_a_palette_has_its_colours(mode):
    from PIL import Image

    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[:2], pixels[2:] = (0, 204, 51), (255, 0, 0)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "bmp")
    want = np.asarray(Image.open(io.BytesIO(file.getvalue())).convert("RGB"))
    decode = tf.function(Preprocess((4, 6, 3), (0.0,), (1.0,), 0.0).decode)
    np.testing.assert_array_equal(decode(tf.constant(file.getvalue())), want)


def test_digits_are_embedded_and_their_splits_disjoint(digits):
    assert [len(s) for s in (digits.train, digits.validation, digits.test)] == [1295, 142, 360]
    assert digits.info.num_classes == 10 and digits.info.features["image"]["shape"] == (8, 8, 1)
    from sklearn.datasets import load_digits

    pixels = load_digits().images
    np.testing.assert_array_equal(digits.test.features["image"][..., 0], np.round(pixels[-360:] * 255 / 16))
    rows = {
        name: {x.tobytes() for x in getattr(digits, name).features["image"]} for name in ("train", "validation", "test")
    }
    assert not rows["train"] & rows["validation"] and not rows["train"] & rows["test"]
    assert len(np.unique(digits.validation.features["label"])) == 10
    again = images.load("digits", seed=0)
    np.testing.assert_array_equal(again.validation.features["image"], digits.validation.features["image"])
    other = images.load("digits", seed=1)
    assert (other.validation.features["image"] != digits.validation.features["image"]).any()
    np.testing.assert_array_equal(other.test.features["image"], digits.test.features["image"])


def test_preprocessing_is_measured_on_the_training_split_alone(digits):
    x = digits.preprocess.resize(digits.train.features["image"]).numpy()
    assert digits.preprocess.mean[0] == pytest.approx(x.mean(), abs=1e-3)
    assert digits.preprocess.std[0] == pytest.approx(x.std(), abs=1e-3)


def test_mirroring_is_refused_where_it_makes_another_class(digits):
    with pytest.raises(UserError, match="mirroring changes classes of digits; got 'crop_flip'. Nearest: crop."):
        images.augmentation("crop_flip", digits.info, digits.preprocess)
    assert images.augmentation("auto", digits.info, digits.preprocess) is None


def test_balanced_weights_make_every_class_count_the_same():
    labels = np.array([0] * 6 + [1] * 2)
    weights = images.balanced(labels, 2)
    assert weights[labels].mean() == pytest.approx(1)
    assert weights[0] * 6 == pytest.approx(weights[1] * 2)
    batches = data.batches(
        data.Examples({"image": np.zeros((8, 2, 2, 1), np.uint8), "label": labels.astype(np.int32)}),
        8, class_weight=weights, collate=identity,
    )  # fmt: skip
    (batch,) = batches.dataset()
    np.testing.assert_allclose(batch[2], weights[labels])


def write(folder, name, array):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(array if isinstance(array, bytes) else png(array).numpy())


def folder_of(path, classes=("cat", "dog"), each=8, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    for label, name in enumerate(classes):
        for i in range(each):
            write(path, f"{name}/{i}.png", rng.integers(0, 100, (9 + i, 12, channels)) + 100 * label)
    return path


def test_a_folder_of_ones_own_images(tmp_path):
    splits = images.load(str(folder_of(tmp_path / "pets")), image_size=16)
    assert splits.info.classes == ("cat", "dog") and splits.preprocess.input_shape == (16, 16, 3)
    assert [len(s) for s in (splits.train, splits.validation, splits.test)] == [12, 2, 2]
    for part in (splits.train, splits.validation, splits.test):
        bright = part.features["image"].mean((1, 2, 3)) > 100
        np.testing.assert_array_equal(bright, part.features["label"] == 1)
    assert images.load(str(folder_of(tmp_path / "grey", channels=1)), image_size=16).preprocess.input_shape == (
        16,
        16,
        1,
    )


def test_a_folder_with_splits_keeps_them(tmp_path):
    for part, each in (("train", 6), ("val", 2), ("test", 3)):
        folder_of(tmp_path / "own" / part, each=each)
    splits = images.load(str(tmp_path / "own"), image_size=8)
    assert [len(s) for s in (splits.train, splits.validation, splits.test)] == [12, 4, 6]


def test_unreadable_files_are_named_before_training(tmp_path):
    folder = folder_of(tmp_path / "pets")
    whole = (folder / "cat" / "1.png").read_bytes()
    write(folder, "cat/cut.png", whole[: len(whole) // 2])
    write(folder, "dog/notes.txt", b"not a picture")
    write(folder, "dog/.thumbnails/x.txt", b"hidden: none of ours")
    write(folder, "dog/empty.jpg", b"")
    with pytest.raises(
        UserError, match=r"3 of 19 files .*\(cat/cut.png\); .*\(dog/empty.jpg\); .*\(dog/notes.txt\).*--skip-unreadable"
    ):
        images.load(str(folder), image_size=16)
    splits = images.load(str(folder), image_size=16, skip_unreadable=True)
    assert sum(len(s) for s in (splits.train, splits.validation, splits.test)) == 16


def test_a_folder_too_large_for_memory_stays_on_disk(tmp_path, monkeypatch):
    from keras_dl.data import folders

    path = str(folder_of(tmp_path / "pets"))
    inside = images.load(path, image_size=16)
    monkeypatch.setattr(folders, "IN_MEMORY", 0)
    outside = images.load(path, image_size=16)
    (a,) = data.batches(inside.train, 99, collate=images.with_labels(inside.preprocess)).dataset()
    (b,) = data.batches(outside.train, 99, collate=images.with_labels(outside.preprocess)).dataset()
    np.testing.assert_array_equal(a[0], b[0])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: folder_of(p, classes=("cat",)), "at least two of them; got 1 \\(cat\\)"),
        (lambda p: folder_of(p, each=2), "every class needs 3 readable images; got 2"),
        (lambda p: p.mkdir(), "got 0 \\(none\\)"),
    ],
    ids=["one class", "two images", "nothing"],
)
def test_a_folder_that_will_not_do_is_one_line(tmp_path, make, said):
    make(tmp_path / "pets")
    with pytest.raises(UserError, match=said):
        images.load(str(tmp_path / "pets"))


def test_an_unknown_set_names_the_nearest():
    with pytest.raises(UserError, match='"fashion_mnits"; nearest: fashion_mnist. Sets: cifar10, digits'):
        images.load("fashion_mnits")


def test_a_set_that_is_nowhere_says_where_it_was_looked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(prepared, "answers", lambda host: False)
    with pytest.raises(
        UserError, match=f"mnist is not prepared .looked in {tmp_path}/mnist.*does not answer"
    ) as caught:
        images.load("mnist")
    assert "\n" not in str(caught.value)


def test_batches_say_what_is_wrong():
    with pytest.raises(UserError, match="batch_size must be a whole number from 1 to 1,000,000,000; got 0"):
        data.batches(numbered(), 0, collate=identity)
    for wrong in (len, lambda seed: [], 3):
        with pytest.raises(
            UserError, match="data.batches: plan must be a function of \\(seed, epoch\\), or None; got "
        ):
            data.batches(numbered(), 4, collate=identity, plan=wrong)
    with pytest.raises(
        UserError, match="augment must be a function of \\(raw, draws\\), or None; got <built-in function len>"
    ):
        data.batches(numbered(), 4, collate=identity, augment=len)
    with pytest.raises(UserError, match=r"augment must have draw\(seed, epoch, count\), as .*; got <function"):
        data.batches(numbered(), 4, collate=identity, augment=lambda raw, draws: raw)


def test_few_examples_are_drawn_or_the_first_ones():
    counts = {"train": 10, "validation": 4, "test": 7}
    info = data.Info("numbers", "made here", {"label": {"classes": tuple("abcdefghij")}}, counts)
    splits = data.Splits(*map(numbered, counts.values()), info, identity)
    few = splits.few(5, seed=3)
    assert [len(part) for part in (few.train, few.validation, few.test)] == [5, 4, 5]
    assert few.info == dataclasses.replace(info, counts={"train": 5, "validation": 4, "test": 5})
    drawn = few.train.features["label"].tolist()
    assert drawn == sorted(set(drawn)) and drawn != splits.few(5, seed=4).train.features["label"].tolist()
    assert drawn == splits.few(5, seed=3).train.features["label"].tolist()
    assert splits.few(5).train.features["label"].tolist() == [0, 1, 2, 3, 4]


def test_a_kind_is_imported_when_it_is_used():
    assert data.images is images
    with pytest.raises(AttributeError, match="has no attribute 'load'"):
        data.load  # noqa: B018
