"""The classifier that judges samples: coverage, distances of known sets, the same judge after a resume."""

import functools

import keras
import numpy as np
import pytest

from keras_dl import data, errors, judging, models
from keras_dl.endpoints.gan import apportioned
from keras_dl.features.image import Preprocess

CLASSES = ("dark", "bright", "striped")


def pictures_of(label, count, seed=0):
    rng = np.random.default_rng((seed, label))
    pixels = rng.integers(0, 60, (count, 12, 12, 1)) + (0, 180, 0)[label]
    if label == 2:
        pixels[:, ::2] += 190
    return pixels.astype(np.uint8)


def splits_of(each=40):
    parts = {}
    for number, part in enumerate(("train", "validation", "test")):
        labels = np.repeat(np.arange(3, dtype=np.int32), each)
        images = np.concatenate([pictures_of(label, each, number) for label in range(3)])
        parts[part] = data.Examples({"image": images, "label": labels})
    features = {"image": {"shape": (12, 12, 1)}, "label": {"classes": CLASSES}}
    info = data.Info("shades", "drawn here", features, data.examples.counts(parts), {}, "")
    return data.Splits(**parts, info=info, preprocess=None)


build = functools.partial(models.build_convnet, filters=(4, 4), units=(8,), activation="tanh", pooling="max")


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    path = tmp_path_factory.mktemp("judge") / "classifier.keras"
    return judging.trained(build, splits_of(), path, seed=3), path


def test_it_learns_the_classes_and_is_read_again_not_trained_again(judge, monkeypatch):
    first, path = judge
    assert first.accuracy > 0.95 and "accuracy on the validation split is" in first.sentence()
    monkeypatch.setattr(keras.Model, "fit", lambda *args, **kwargs: pytest.fail("it was trained again"))
    again = judging.trained(build, splits_of(), path, seed=9)
    some = pictures_of(2, 5)
    for one, two in zip(first(some), again(some), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_judge_whatever_was_drawn_before(judge, tmp_path):
    keras.random.normal((3,))
    keras.utils.set_random_seed(77)
    again = judging.trained(build, splits_of(), tmp_path / "classifier.keras", seed=3)
    np.testing.assert_array_equal(judge[0](pictures_of(0, 9))[0], again(pictures_of(0, 9))[0])


def test_features_are_as_wide_as_the_layer_below_the_logits(judge):
    features, best = judge[0](pictures_of(1, 7))
    assert features.shape == (7, 8) == (7, judge[0].width) and (best == 1).all()


def test_shares_and_missing_classes(judge):
    judge = judge[0]
    mixed = np.concatenate([pictures_of(0, 30), pictures_of(1, 69), pictures_of(2, 1)])
    verdict = judge.verdict(mixed)
    assert verdict.shares == pytest.approx({"dark": 0.3, "bright": 0.69, "striped": 0.01})
    equal = judge.verdict(splits_of().test.features["image"])
    assert verdict.missing(equal) == ["striped"]
    numbers = verdict.numbers(equal)
    assert (numbers["classes_covered"], numbers["smallest_class"]) == (2.0, pytest.approx(0.01))
    assert judge.verdict(pictures_of(0, 3)).missing(equal) == ["bright", "striped"]


def test_a_class_is_covered_from_three_tenths_of_its_share_of_the_real_pictures_on():
    def verdict(*shares):
        return judging.Verdict(None, dict(zip("abcdefghij", shares, strict=False)))

    rare = verdict(0.7, 0.27, 0.03)
    assert rare.missing(rare) == [] and rare.numbers(rare) == {"classes_covered": 3.0, "smallest_class": 0.03}
    assert verdict(0.9, 0.09, 0.01).missing(rare) == [] and verdict(0.9, 0.08, 0.02).missing(rare) == ["b"]
    ten = verdict(*[0.1] * 10)
    assert verdict(0.03, 0.0299, *[0.1] * 7, 0.24).missing(ten) == ["b"]  # 3 %
    two = verdict(0.5, 0.5, 0.0)  # the classifier knows a class that there is not
    assert verdict(0.5, 0.5, 0.0).numbers(two) == {"classes_covered": 2.0, "smallest_class": 0.5}
    assert verdict(1.0, 0.0, 0.0).missing(two) == ["b"]


def test_the_distance_tells_real_pictures_from_others_and_needs_more_of_them_than_features(judge):
    judge, splits = judge[0], splits_of()
    real, others = (judge.verdict(part.features["image"]) for part in (splits.validation, splits.test))
    noise = judge.verdict(np.random.default_rng(0).integers(0, 256, (120, 12, 12, 1), np.uint8))
    distances = [each.numbers(real)["frechet_classifier"] for each in (real, others, noise)]
    assert distances[0] == pytest.approx(0, abs=1e-3) and distances[0] < distances[1] < 0.1 * distances[2]
    assert "frechet_classifier" not in judge.verdict(pictures_of(0, 6)).numbers(real)


def test_missing_classes_are_warned_of_once_and_again_when_others_are_missing(judge):
    judge, said = judge[0], []
    equal = judge.verdict(splits_of().test.features["image"])
    made = iter([pictures_of(0, 9), pictures_of(0, 9), pictures_of(1, 9), np.concatenate(list(map(three, range(3))))])
    measures = judging.Measures(judge, lambda model: lambda: next(made), equal, said.append)
    for epoch in range(4):
        numbers = measures.measure("a model")
        measures.on_epoch_end(epoch)
    assert said == [
        "warning: after epoch 1, 2 of 3 classes have less than 0.3 times the share of the samples that they have of "
        "real pictures: bright, striped",
        "warning: after epoch 3, 2 of 3 classes have less than 0.3 times the share of the samples that they have of "
        "real pictures: dark, striped",
    ]
    assert numbers["classes_covered"] == 3.0
    again = judging.Measures(judge, None, None, said.append)
    again.set_state(measures.get_state())
    assert again.said == measures.said == []


def three(label):
    return pictures_of(label, 3)


def test_the_test_compares_as_many_samples_as_pictures_and_says_so(judge):
    judge, splits, asked = judge[0], splits_of(), []

    def draw(count, seed, shares):
        asked.append((count, seed, *np.round(shares, 3).tolist()))
        return splits.train.features["image"][np.arange(count) % 120]

    result = judging.tested(judge, draw, splits, samples=200, seed=4)
    assert asked == [(120, 4, 0.333, 0.333, 0.333), (200, 5, 0.333, 0.333, 0.333)]
    assert set(result.metrics) == {
        "classes_covered", "smallest_class", "frechet_classifier", "frechet_real", "parzen",
    }  # fmt: skip
    assert result.metrics["frechet_classifier"] == pytest.approx(result.metrics["frechet_real"], rel=1e-3)
    assert len(result.parzen) == 120 and result.parzen.mean() == pytest.approx(result.metrics["parzen"])
    text = " ".join(result.sentences)
    for part in (
        "Fréchet distance in classifier features (no FID)",
        "120 samples to as many test pictures",
        "12 x 12 pixels",
    ):
        assert part in text
    assert "8 features of" in text and "does not rank models" in text
    alone = judging.tested(None, draw, splits, samples=50)
    assert set(alone.metrics) == {"parzen"} and alone.shares == {}


def test_pictures_that_stand_class_by_class_are_compared_as_a_mixture_of_all_classes(judge, monkeypatch):
    """Where a split has more of them than are compared: not only those of the first class."""
    judge, splits, seen = judge[0], splits_of(), []
    monkeypatch.setattr(judging, "SIGMA_PICTURES", 30)
    monkeypatch.setattr(judging.parzen, "best_sigma", lambda windows, pictures: seen.append(pictures) or 0.2)
    monkeypatch.setattr(judging.Judge, "verdict", lambda self, pictures: seen.append(pictures) or real(self, pictures))
    judging.tested(judge, lambda count, seed, shares: pictures_of(1, count), splits, samples=30)
    monkeypatch.undo()
    _, test, train, sigma = seen
    for pictures in (test, train, np.round(255 * sigma).astype(np.uint8)):
        assert len(pictures) == 30 and np.bincount(judge(pictures)[1], minlength=3).min() >= 3


real = judging.Judge.verdict


def test_a_perfect_conditional_generator_of_unequal_classes_is_as_good_as_training_pictures(judge):
    """Its classes are drawn as often as there are pictures of them, not each as often as the others."""
    judge, whole = judge[0], splits_of(200)
    rows = np.r_[0:180, 200:216, 400:404]  # 90 : 8 : 2
    splits = data.Splits(
        **{part: examples.take(rows) for part, examples in whole.parts.items()}, info=whole.info, preprocess=None
    )
    draw_class = {label: whole.train.features["image"][200 * label :] for label in range(3)}

    def draw(count, seed, shares):
        numbers = apportioned(count, shares)
        return np.concatenate([draw_class[label][: min(each, 200)] for label, each in enumerate(numbers)])

    metrics = judging.tested(judge, draw, splits, samples=200).metrics
    in_turn = judging.tested(judge, lambda *asked: draw(*asked[:2], (1, 1, 1)), splits, samples=200).metrics
    assert metrics["classes_covered"] == 3.0 and metrics["frechet_classifier"] < 0.1 * in_turn["frechet_classifier"]


def test_what_is_no_classifiers_export_is_refused(tmp_path):
    with pytest.raises(errors.UserError, match="nothing"):
        judging.exported(tmp_path / "nothing", 1)


def test_the_features_go_through_the_classifiers_own_pre_processing():
    image = keras.Input((4, 4, 1), name="image")
    hidden = keras.layers.Flatten()(image)
    model = keras.Model(image, keras.layers.Dense(2, kernel_initializer="ones", name="logits")(hidden))
    judge = judging.Judge(model, Preprocess((4, 4, 1), (100.0,), (50.0,), 0.0), ("a", "b"), "a toy")
    features, _ = judge(np.full((2, 8, 8, 1), 150, np.uint8))  # resized to 4 x 4, then (150 - 100) / 50
    np.testing.assert_allclose(features, np.ones((2, 16)))
