"""Laws of what a density of images answers: it is a density, it draws what it says, and it keeps what it was given."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from keras_dl import export, features, formats, models
from keras_dl.endpoints import pictures, pixels
from keras_dl.features.levels import Levels
from keras_dl.features.mask import Mask

CLASSES = ("a", "b", "c")
SHAPE = (2, 3, 1)
TOP = Mask(2, 3)  # its example is that the top half is given
EVERY = np.array(list(itertools.product((0, 255), repeat=6)), np.uint8).reshape(64, *SHAPE)  # all binary images of 2x3


def restless(model, seed=0):
    """The model with weights so large that its answers are far from those of an untrained one."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(0, 0.7, w.shape).astype("float32") for w in model.get_weights()])
    return model


def density(model, classes=(), **options):
    levels = model.levels
    return export.density(
        model, Levels(model.image_shape, levels), classes, "threshold" if levels == 2 else None, **options
    )


def traced(endpoints):
    return {name: endpoint.traced() for name, endpoint in endpoints.items()}


@pytest.fixture(scope="module")
def plain():
    """(a density of binary images, its endpoints as graphs)"""
    model = restless(
        models.build_pixelcnn(
            SHAPE, 2, output="bernoulli", num_blocks=1, filters=4, first_kernel_size=3, top_filters=(4,)
        )
    )
    return model, traced(density(model))


@pytest.fixture(scope="module")
def labelled():
    """The same of three classes."""
    model = restless(
        models.build_gated_pixelcnn(
            SHAPE, 2, output="bernoulli", num_layers=2, filters=4, first_kernel_size=3, top_filters=(4,), num_classes=3
        )
    )
    return model, traced(density(model, CLASSES))


def png(image):
    return tf.io.encode_png(image).numpy()


def test_the_probabilities_of_all_images_sum_to_one(plain, labelled):
    logs = plain[1]["log_prob"](image=EVERY)
    assert np.exp(logs["log_likelihood"].astype("float64")).sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(logs["nats_per_image"], -logs["log_likelihood"])
    by_class = [labelled[1]["log_prob"](image=EVERY, label=k)["log_likelihood"] for k in range(3)]
    for logs in by_class:
        assert np.exp(logs.astype("float64")).sum() == pytest.approx(1, abs=1e-5)
    assert np.abs(by_class[0] - by_class[1]).max() > 0.1
    of_all = labelled[1]["log_prob"](image=EVERY)["log_likelihood"]
    np.testing.assert_allclose(of_all, np.log(np.mean(np.exp(by_class), 0)), rtol=1e-4)


def test_files_and_pixels_have_the_same_likelihood_and_grey_is_thresholded(plain):
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (5, *SHAPE)).astype(np.uint8)
    black_and_white = np.where(grey >= 128, 255, 0).astype(np.uint8)
    wanted = plain[1]["log_prob"](image=black_and_white)["log_likelihood"]
    np.testing.assert_array_equal(plain[1]["log_prob"](image=grey)["log_likelihood"], wanted)
    files = np.array([png(image) for image in grey], object)
    np.testing.assert_allclose(plain[1]["serving_default"](image_bytes=files)["log_likelihood"], wanted, rtol=1e-5)


@pytest.mark.parametrize("output", ["categorical", "logistic_mixture"])
def test_bits_per_dimension_are_those_of_the_uniform_distribution_and_sum_to_one(output):
    model = models.build_pixelcnn((1, 2, 1), 256, output=output, num_blocks=1, filters=4, top_filters=(), components=2)
    ask = density(model)["log_prob"].traced()
    if output == "categorical":
        model.set_weights([np.zeros_like(w) for w in model.get_weights()])
        bits = ask(image=np.array([[[[3], [200]]]], np.uint8))["bits_per_dimension"]
        assert bits[0] == pytest.approx(8.0, abs=1e-6)
    restless(model)
    images = np.stack([np.full(256, 77), np.arange(256)], 1).astype(np.uint8).reshape(256, 1, 2, 1)
    answer = ask(image=images)
    logs = answer["log_likelihood"].astype("float64")
    np.testing.assert_allclose(answer["bits_per_dimension"], -logs / (2 * math.log(2)), rtol=1e-5)
    # Summed over all values of the second pixel, it is the probability of the first.
    of_first = model.distribution(model(images[:1].astype("float32"))).log_prob(images[:1])[0, 0, 0, 0]
    assert np.exp(logs).sum() == pytest.approx(np.exp(float(of_first)), rel=1e-4)


def test_what_is_drawn_has_the_log_likelihood_that_is_said(plain, labelled):
    for _, ask in (plain, labelled):
        drawn = ask["sample"](n=9, seed=3)
        assert drawn["image"].shape == (9, *SHAPE) and set(np.unique(drawn["image"])) == {0, 255}
    drawn = plain[1]["sample"](n=20, seed=3)
    wanted = plain[1]["log_prob"](image=drawn["image"])["log_likelihood"]
    np.testing.assert_allclose(drawn["log_likelihood"], wanted, atol=1e-4)
    in_turn = labelled[1]["sample"](n=8, seed=5)
    wanted = [labelled[1]["log_prob"](image=in_turn["image"], label=k)["log_likelihood"] for k in range(3)]
    np.testing.assert_allclose(in_turn["log_likelihood"], [wanted[i % 3][i] for i in range(8)], atol=1e-4)
    of_one = labelled[1]["sample"](n=8, seed=5, label=1)
    wanted = labelled[1]["log_prob"](image=of_one["image"], label=1)["log_likelihood"]
    np.testing.assert_allclose(of_one["log_likelihood"], wanted, atol=1e-4)


def test_samples_are_as_frequent_as_probable(plain):
    drawn = np.concatenate([plain[1]["sample"](n=256, seed=seed)["image"] for seed in range(16)])
    places = (drawn.reshape(len(drawn), 6) > 0) @ 2 ** np.arange(5, -1, -1)
    counts = np.bincount(places, minlength=64)
    expected = len(drawn) * np.exp(plain[1]["log_prob"](image=EVERY)["log_likelihood"].astype("float64"))
    spread = np.sqrt(expected * (1 - expected / len(drawn)))
    assert (np.abs(counts - expected) < 4.5 * spread + 3).all()


def test_one_seed_is_one_picture_and_temperature_zero_has_no_chance(plain):
    ask = plain[1]["sample"]
    np.testing.assert_array_equal(ask(n=9, seed=3)["image"], ask(n=9, seed=3)["image"])
    assert (ask(n=9, seed=3)["image"] != ask(n=9, seed=4)["image"]).any()
    coldest = ask(n=9, seed=3, temperature=0.0)["image"]
    assert (coldest == coldest[0]).all()
    np.testing.assert_array_equal(coldest, ask(n=9, seed=8, temperature=0.0)["image"])


def test_what_is_given_stays_and_the_rest_is_drawn(plain, labelled):
    rng = np.random.default_rng(1)
    images = EVERY[rng.integers(0, 64, 12)]
    for _, ask in (plain, labelled):
        for mask in (rng.integers(0, 2, (12, 2, 3)), np.ones((12, 2, 3)), np.zeros((12, 2, 3))):
            mask = mask.astype(np.uint8)
            completed = ask["complete"](image=images, mask=mask, seed=7)["image"]
            np.testing.assert_array_equal(completed[mask > 0], images[mask > 0])
            np.testing.assert_array_equal(completed, ask["complete"](image=images, mask=mask, seed=7)["image"])
    nothing = np.zeros((12, 2, 3), np.uint8)
    drawn = plain[1]["complete"](image=images, mask=nothing, seed=7)["image"]
    np.testing.assert_array_equal(drawn, plain[1]["sample"](n=12, seed=7)["image"])
    below = TOP.of_batch(images)  # the top row is given
    seen = [plain[1]["complete"](image=images, mask=below, seed=seed)["image"] for seed in range(3)]
    assert all((each[:, 0] == images[:, 0]).all() for each in seen) and (seen[0] != seen[1]).any()


def test_completions_follow_the_conditional_probability(plain):
    """Of a picture whose first row is given, the second row is drawn with p(second row | first row)."""
    image, logs = EVERY[40], plain[1]["log_prob"](image=EVERY)["log_likelihood"].astype("float64")
    same = [i for i in range(64) if (EVERY[i, 0] == image[0]).all()]
    wanted = np.exp(logs[same]) / np.exp(logs[same]).sum()
    images = np.repeat(image[None], 256, 0)
    drawn = np.concatenate(
        [plain[1]["complete"](image=images, mask=TOP.of_batch(images), seed=seed)["image"] for seed in range(8)]
    )
    counts = np.array([(drawn == EVERY[i]).all((1, 2, 3)).sum() for i in same])
    assert counts.sum() == len(drawn)
    assert (np.abs(counts - len(drawn) * wanted) < 4.5 * np.sqrt(len(drawn) * wanted) + 3).all()


def test_without_a_label_a_picture_is_completed_as_of_the_class_of_its_given_pixels(labelled):
    model, ask = labelled
    given = TOP.of_batch(EVERY)
    by_class = np.stack([_of_first_row(model, k) for k in range(3)])
    best = by_class.argmax(0)
    assert len(set(best)) > 1
    with_a_later_one = given.copy()
    with_a_later_one[:, 1, 2] = 1  # after a missing pixel: it says nothing of the class
    for mask in (given, with_a_later_one):
        completed = ask["complete"](image=EVERY, mask=mask, seed=2)["image"]
        for k in range(3):
            alone = ask["complete"](image=EVERY, mask=mask, seed=2, label=k)["image"]
            np.testing.assert_array_equal(completed[best == k], alone[best == k])


def _of_first_row(model, label):
    """log p(first row | class) of all images, from the model's parameters alone."""
    levels = (EVERY > 0).astype("float32")
    logits = model({"image": levels, "label": np.full(64, label)}).numpy()[..., 0]
    return -np.log1p(np.exp(np.where(levels > 0, -logits, logits)))[:, 0].sum((1, 2))


def test_nothing_is_answered_by_nothing(plain, labelled):
    none = np.zeros((0, 0, 5, 1), np.uint8)
    for _, ask in (plain, labelled):
        assert ask["log_prob"](image=none)["log_likelihood"].shape == (0,)
        assert ask["serving_default"](image_bytes=np.zeros(0, object))["nats_per_image"].shape == (0,)
        assert ask["sample"](n=0)["image"].shape == (0, *SHAPE)
        assert ask["complete"](image=none, mask=np.zeros((0, 2, 3), np.uint8))["image"].shape == (0, *SHAPE)


TWO = EVERY[:2]
MASK = np.ones((2, 2, 3), np.uint8)


@pytest.mark.parametrize(
    ("name", "request_", "sentence"),
    [
        ("sample", {"n": -1}, "n must not be negative; got -1"),
        ("sample", {"n": pixels.MOST_DRAWN + 1}, "n: a request may have at most 256 pictures"),
        ("sample", {"n": 2, "temperature": -1.0}, "temperature must be from 0 to 1,000,000; got -1"),
        ("sample", {"n": 2, "temperature": math.nan}, "temperature must be from 0 to 1,000,000; got nan"),
        ("sample", {"n": 2, "label": 3}, "label must be from -1 to 2; got 3"),
        ("log_prob", {"image": TWO, "label": -2}, "label must be from -1 to 2; got -2"),
        ("log_prob", {"image": np.zeros((1025, *SHAPE), np.uint8)}, "image: a request may have at most 1024 pictures"),
        ("complete", {"image": TWO, "mask": MASK[:1]}, "mask must be one for each picture"),
        ("complete", {"image": TWO, "mask": 2 * MASK}, "mask must hold 0 and 1 only"),
        ("complete", {"image": TWO, "mask": MASK, "temperature": math.inf}, "temperature must be from 0"),
        ("complete", {"image": TWO, "mask": MASK, "label": 3}, "label must be from -1 to 2; got 3"),
        ("complete", {"image": np.zeros((257, *SHAPE), np.uint8), "mask": MASK}, "may have at most 256 pictures"),
    ],
)
def test_what_is_refused(labelled, name, request_, sentence):
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        labelled[1][name](**request_)
    assert sentence in error.value.message


def test_the_bounds_follow_from_the_models_size(labelled):
    """A model with four times the work a picture is asked for a quarter of the pictures at once."""
    small = models.build_pixelcnn((28, 28, 1), 2, output="bernoulli", num_blocks=7, filters=64, top_filters=())
    large = models.build_pixelcnn((56, 56, 1), 2, output="bernoulli", num_blocks=7, filters=64, top_filters=())
    assert small.count_params() == large.count_params()
    for name in ("scored", "drawn", "completed"):
        few, many = pixels.limits(large)[name], pixels.limits(small)[name]
        assert 1 <= few < many and abs(many - 4 * few) <= 4
    assert pixels.limits(small, num_classes=10)["scored"] == pixels.limits(small)["scored"] // 10
    endpoints = density(labelled[0], CLASSES)
    assert endpoints["sample"].limits == {"pictures": pixels.MOST_DRAWN}
    assert endpoints["log_prob"].limits == pictures.limits()
    vast = models.build_pixelcnn((128, 128, 3), 256, num_blocks=1, filters=256, top_filters=(1024,))
    assert set(pixels.limits(vast).values()) == {1}


def test_the_preprocessing_must_be_that_of_the_model(plain):
    for shape, levels in (((3, 3, 1), 2), (SHAPE, 256)):
        with pytest.raises(ValueError, match=r"export.density: the pre-processing must give images \(2, 3, 1\) of 2"):
            export.density(plain[0], Levels(shape, levels))


def test_the_names_are_as_many_as_the_classes(plain, labelled):
    wrong = [(labelled[0], names) for names in (CLASSES[:2], (), tuple("abcde"))] + [(plain[0], CLASSES)]
    for model, names in wrong:
        with pytest.raises(ValueError, match=r"export.density: classes must be \d names, as many as the model's"):
            density(model, names)


@pytest.mark.parametrize("context", ["condition_dim", "map_channels"])
def test_a_context_that_no_request_could_give_is_refused_before_anything_is_exported(context):
    kwargs = {"output": "bernoulli", "num_layers": 1, "filters": 4, "top_filters": (), context: 3}
    model = models.build_gated_pixelcnn(SHAPE, 2, **kwargs)
    with pytest.raises(ValueError, match=f"no context but a label.*'{model.context_name}'"):
        density(model)


def test_a_likelihood_is_of_levels_and_of_nothing_else(plain):
    model, _ = plain
    for wrong in (EVERY[:3].astype("float32"), np.full((1, *SHAPE), 0.5, "float32"), np.full((1, *SHAPE), np.nan)):
        with pytest.raises(ValueError, match="PixelCNN.log_prob: image must hold whole levels from 0 to 1"):
            model.log_prob(wrong[-1:])


def test_files_of_other_formats_say_the_same_likelihood(plain, labelled, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (4, *SHAPE)).astype(np.uint8)
    portable = density(plain[0], examples=image)["log_prob"].portable
    answer, wanted = portable.function(tf.constant(image)), plain[1]["log_prob"](image=image)
    for name in ("log_likelihood", "nats_per_image"):
        np.testing.assert_allclose(answer[name], wanted[name], rtol=1e-5)
    assert "as a label is" in density(labelled[0], CLASSES)["log_prob"].portable
    formats.try_out(("litert",), lambda model: density(model, examples=image), plain[0])


def test_the_card_says_what_the_likelihood_is_of():
    for kind, binarization, said in (
        ("nats_per_image", "fixed", "binarised once"),
        ("nats_per_image", "threshold", "thresholded at grey level 128"),
        ("bits_per_dimension", None, "whole grey levels from 0 to 255"),
    ):
        feature = features.feature_class(kind)(binarization)
        assert said in feature.meaning() and said in feature.not_for("digits")[1]
        assert features.from_config(kind, feature.config(), "card.json") == feature
    assert "whole grey levels from 0 to 15" in features.feature_class("bits_per_dimension")(None, 16).meaning()


@pytest.mark.parametrize("binarization", ["fixed", "resampled", "threshold"])
def test_the_card_and_the_report_say_that_a_request_is_thresholded_where_the_training_was_not(binarization):
    feature = features.feature_class("nats_per_image")(binarization)
    drawn = binarization != "threshold"
    assert ("a request is thresholded at grey level 128" in feature.meaning()) == drawn
    said = [sentence for sentence in feature.not_for("digits") if "request's pictures are thresholded" in sentence]
    assert bool(said) == drawn
