"""Laws of pictures from seeds: what is refused, one seed and one picture, and an export that draws as Python."""

import numpy as np
import pytest
import tensorflow as tf

from keras_dl import export, models, runs
from keras_dl.endpoints import gan as endpoint
from keras_dl.features.levels import Levels

SHAPE = (8, 12, 1)
GIVEN = {"n": 3, "seed": 5, "temperature": 1.0, "label": -1}
CLASSES = ("no", "yes", "both")


def gan(classes=CLASSES, **kwargs):
    model = models.build_dcgan(SHAPE, len(classes) or None, filters=4, latent_dim=6, **kwargs)
    rng = np.random.default_rng(0)
    for variable in model.generator.weights:  # as if it had been trained: else all pictures are grey
        if variable.path.endswith(("moving_variance", "gamma")):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif "seed" not in variable.path:
            variable.assign(rng.normal(0.0, 0.4, variable.shape))
    return model


@pytest.fixture(scope="module")
def model():
    return gan()


@pytest.fixture(scope="module")
def sample(model):
    return endpoint.adversarial(model, Levels(SHAPE), CLASSES)["sample"].traced()


def test_a_picture_is_the_generators_in_inference_whatever_the_batch(model, sample):
    """Not a batch's statistics: the first picture is the same alone and among others."""
    several = sample(**GIVEN | {"n": 9})["image"]
    assert several.shape == (9, *SHAPE) and several.dtype == np.uint8 and several.std() > 10
    noise = model.noise_of(9, (5, 0))
    pictures = (model.generator({"noise": noise, "label": tf.range(9) % 3}, training=False) + 1) * 127.5
    assert np.abs(several - np.round(pictures)).max() <= 1
    for n in (1, 4):
        some = sample(**GIVEN | {"n": n})["image"].astype(int)
        assert np.abs(some - several[:n]).max() <= 1  # another batch size may sum in another order
    assert sample(**GIVEN | {"n": 0})["image"].shape == (0, *SHAPE)


def test_one_seed_one_picture_and_another_seed_another(model, sample):
    before = [variable.numpy() for variable in model.variables]
    one, again, other = (sample(**GIVEN | {"seed": seed})["image"] for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any(axis=(1, 2, 3)).all()
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(before, model.variables, strict=True))
    colder = sample(**GIVEN | {"temperature": 0.0, "label": 1, "n": 4})["image"]
    assert (colder == colder[:1]).all()


def test_a_label_chooses_the_class_and_minus_one_all_in_turn(model, sample):
    turn = sample(**GIVEN | {"n": 6})["image"].astype(int)
    for label in range(3):
        of_class = sample(**GIVEN | {"n": 6, "label": label})["image"]
        same = np.abs(turn - of_class).max((1, 2, 3)) <= 1
        assert same.tolist() == [k % 3 == label for k in range(6)]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"n": 1025}, "n must be from 0 to 1,024; got 1025"),
        ({"n": -1}, "n must be from 0 to 1,024; got -1"),
        ({"temperature": -0.1}, "temperature must be from 0 to"),
        ({"temperature": float("nan")}, "temperature must be from 0 to"),
        ({"label": 3}, "label must be from -1 to 2; got 3"),
        ({"label": -2}, "label must be from -1 to 2; got -2"),
    ],
)
def test_what_is_out_of_bounds_is_refused_in_the_graph(sample, wrong, sentence):
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        sample(**GIVEN | wrong)
    assert sentence in error.value.message


def test_large_pictures_are_fewer_in_a_request():
    class Large:
        image_shape = (512, 512, 3)

    limits = endpoint.adversarial(Large(), Levels((512, 512, 3)))["sample"].limits
    assert limits == {"pictures": 16}


def test_without_classes_there_is_no_label_and_more_pictures_come_from_several_requests(monkeypatch):
    monkeypatch.setattr(endpoint, "MOST_PICTURES", 4)
    made = endpoint.adversarial(gan(()), Levels(SHAPE))["sample"]
    assert list(made.inputs) == ["n", "seed", "temperature"]
    drawn = endpoint.drawer(made)(10, seed=3)
    assert drawn.shape == (10, *SHAPE)
    one, next_seed = (made.traced()(n=4, seed=seed, temperature=1.0)["image"] for seed in (3, 4))
    np.testing.assert_array_equal(drawn[:8], np.concatenate([one, next_seed]))


@pytest.mark.parametrize("most", [2, 4, 100])
def test_a_drawer_gives_class_after_class_however_many_requests_it_takes(model, sample, monkeypatch, most):
    monkeypatch.setattr(endpoint, "MOST_PICTURES", most)
    draw = endpoint.drawer(endpoint.adversarial(model, Levels(SHAPE), CLASSES)["sample"])
    pictures, labels = draw(9, 3, (2, 0, 1)), [0] * 6 + [2] * 3  # shares 2 : 0 : 1
    assert pictures.shape == (9, *SHAPE)
    requests = [(label, min(most, each - k)) for label, each in ((0, 6), (2, 3)) for k in range(0, each, most)]
    wanted = [
        sample(**GIVEN | {"n": n, "seed": 3 + number, "label": label})["image"]
        for number, (label, n) in enumerate(requests)
    ]
    assert sum(([label] * n for label, n in requests), []) == labels
    assert np.abs(pictures.astype(int) - np.concatenate(wanted)).max() <= 1
    assert draw(9, 2**31 - 1, (1, 1, 1)).shape == (9, *SHAPE)  # the largest seed has next ones, too


def test_numbers_of_classes_have_the_sum_and_the_ratio():
    rng = np.random.default_rng(0)
    for _ in range(200):
        shares, count = rng.integers(0, 50, rng.integers(1, 12)) + (rng.random() < 0.5), int(rng.integers(0, 300))
        if shares.sum():
            numbers = np.array(endpoint.apportioned(count, shares))
            assert numbers.sum() == count and np.abs(numbers - count * shares / shares.sum()).max() < 1


def test_more_pictures_than_a_request_may_have_come_from_the_largest_seed_too(monkeypatch):
    monkeypatch.setattr(endpoint, "MOST_PICTURES", 2)
    sample = endpoint.adversarial(gan(()), Levels(SHAPE))["sample"]
    drawn = endpoint.drawer(sample)(4, seed=2**31 - 1)
    np.testing.assert_array_equal(drawn[2:], sample.traced()(n=2, seed=-(2**31), temperature=1.0)["image"])
    np.testing.assert_array_equal(drawn[2:], endpoint.drawer(sample)(2, seed=2**31))  # as judging asks for


def test_the_names_are_as_many_as_the_classes():
    for model, names in ((gan(), CLASSES[:2]), (gan(), ()), (gan(()), CLASSES)):
        with pytest.raises(ValueError, match=r"export.adversarial: classes must be \d names, as many as"):
            endpoint.adversarial(model, Levels(SHAPE), names)


@pytest.mark.slow
def test_an_export_makes_the_pictures_of_training_false_in_a_process_of_its_own(tmp_path):
    """With TensorFlow alone, batch 1 included; the comparison is export.save's own, and this one."""
    model = gan()
    run = runs.Run(path=tmp_path / "run", root=tmp_path, name="dcgan-few", app="gan_images")
    endpoints = endpoint.adversarial(model, Levels(SHAPE), CLASSES)
    folder = export.save(model, run, endpoints=endpoints, metrics={"frechet_classifier": 1.0})
    served, ask = export.load(folder), endpoints["sample"].traced()
    for n in (1, 5):
        theirs = served.call("sample", **GIVEN | {"n": n})["image"].astype(int)
        assert np.isfinite(theirs).all() and np.abs(theirs - ask(**GIVEN | {"n": n})["image"]).max() <= 1
