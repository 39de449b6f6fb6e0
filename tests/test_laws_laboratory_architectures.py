"""Laws of pictures that are moved or permuted, and of trainings that are compared."""

import dataclasses

import numpy as np
import pytest

from keras_dl.laboratory import architectures, equal_training, moved_pictures, unrolled_networks
from keras_dl.laboratory.moved_pictures import Pictures

SHAPE = (8, 7, 1)


def pictures(count=40, seed=0):
    """Pictures with something on 3 x 3 pixels in the middle of a frame of 8 x 7, of two classes."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, count)
    x = np.zeros((count, *SHAPE), np.float32)
    x[:, 2:5, 2:5, 0] = rng.uniform(0.2, 1, (count, 3, 3))
    x[y == 1, 2, 2:5, 0] = 1.0
    return Pictures(x, y.astype(np.int32))


def test_a_frame_is_background_around_the_picture():
    image = np.full((1, 3, 2, 1), 255, np.uint8)
    x = moved_pictures.framed(image, 2)
    assert x.shape == (1, 7, 6, 1) and x.dtype == np.float32 and x.sum() == 6 and (x[0, 2:5, 2:4] == 1).all()


@pytest.mark.parametrize("most", [1, 2, 8])
def test_a_moved_picture_has_all_its_pixels_at_the_same_distance_from_where_they_were(most):
    before = pictures()
    offsets = np.random.default_rng(1).integers(-most, most + 1, (len(before), 2))
    x, by = moved_pictures.moved(before.x, offsets)
    free = moved_pictures.room(before.x)
    assert (free == [2, 3, 2, 2]).all()  # above, below, left, right
    np.testing.assert_array_equal(by[:, 0], np.clip(offsets[:, 0], -2, 3))
    np.testing.assert_array_equal(by[:, 1], np.clip(offsets[:, 1], -2, 2))
    for one, other, (down, right) in zip(before.x, x, by, strict=True):
        rows, columns, _ = np.nonzero(one)
        np.testing.assert_array_equal(other[rows + down, columns + right], one[rows, columns])
        assert np.count_nonzero(other) == np.count_nonzero(one)  # nothing was cut off, nothing was added
    back, _ = moved_pictures.moved(x, -by)
    np.testing.assert_array_equal(back, before.x)


def test_shifts_are_drawn_once_from_the_seed_in_all_directions():
    wide = Pictures(np.pad(pictures(400).x, ((0, 0), (4, 4), (4, 4), (0, 0))), pictures(400).y)
    one, again, other = (moved_pictures.shifted(wide, 2, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.x, again.x)
    assert (one.x != other.x).any() and (one.y == wide.y).all()
    places = {tuple(place) for place in (moved_pictures.room(one.x) - moved_pictures.room(wide.x))[:, [0, 2]]}
    assert places == {(a, b) for a in range(-2, 3) for b in range(-2, 3)}


def test_smaller_sets_are_parts_of_larger_ones_and_depend_on_the_seed():
    whole = pictures(50)
    small, large, other = (moved_pictures.drawn(whole, n, s).x for n, s in ((5, 1), (20, 1), (5, 2)))
    np.testing.assert_array_equal(small, large[:5])
    assert (small != other).any()


def mlp():
    return unrolled_networks.mlp(SHAPE, (6, 2), ("tanh", ""))


def test_a_permuted_mlp_on_permuted_pixels_is_the_same_function_and_learns_the_same():
    plan = equal_training.Plan(30, 8, 0.01, points=2)
    trainer, seen = equal_training.Trainer(mlp, plan), pictures()
    order = moved_pictures.pixel_order(SHAPE, 0)
    assert sorted(order) == list(range(56)) and (order != np.arange(56)).any()
    mixed = moved_pictures.permuted(seen, order)
    assert (mixed.x[:, 0, 0] == seen.x.reshape(len(seen), -1, 1)[:, order[0]]).all()
    first = trainer.initial(5)
    trainer.set_weights(first)
    before = trainer.logits(seen.x)
    moved_weights = unrolled_networks.permuted(trainer.model, order)
    trainer.set_weights(moved_weights)
    np.testing.assert_allclose(trainer.logits(mixed.x), before, atol=1e-6)
    plain, permuted = trainer.trained(seen, 5), trainer.trained(mixed, 5, weights=moved_weights)
    np.testing.assert_allclose(permuted.loss, plain.loss, rtol=1e-4)
    np.testing.assert_allclose(permuted.weights[0], plain.weights[0][order], atol=1e-4)
    assert np.abs(plain.weights[0] - first[0]).max() > 0.01  # it has learned


def test_a_training_is_that_of_keras_and_does_not_depend_on_those_before_it():
    import keras

    plan, seen = equal_training.Plan(20, 8, 0.02, points=4), pictures()
    trainer = equal_training.Trainer(mlp, plan)
    first = trainer.trained(seen, 1, watched=seen)
    trainer.trained(pictures(seed=9), 2)
    again = trainer.trained(seen, 1, watched=seen)
    for one, other in zip(first.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert list(first.updates) == [5, 10, 15, 20] and first.loss[-1] < first.loss[0]

    keras.utils.set_random_seed(1)
    model = mlp()
    rate = keras.optimizers.schedules.CosineDecay(0.02, 20)
    model.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = [float(model.train_on_batch(seen.x[rows], seen.y[rows])) for rows in equal_training.batches(40, plan, 1)]
    for one, other in zip(first.weights, model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert len(losses) == 20
    wrong = (np.asarray(model(seen.x)).argmax(1) != seen.y).mean()
    assert first.error[-1] == pytest.approx(wrong)


def test_an_order_goes_through_all_pictures_before_it_repeats_one():
    order = equal_training.batches(10, equal_training.Plan(7, 4, 0.1), 0).ravel()
    assert len(order) == 28
    for start in (0, 10):
        assert sorted(order[start : start + 10]) == list(range(10))
    assert (order[:10] != order[10:20]).any()


def test_what_was_trained_is_read_again(run):
    calls, plan = [], equal_training.Plan(4, 8, 0.02, points=2)
    trainer = equal_training.Trainer(mlp, plan)

    def train():
        calls.append(1)
        return trainer.trained(pictures(), 0)

    one, other = (equal_training.kept(run, "mlp", train) for _ in range(2))
    assert len(calls) == 1
    for name in ("updates", "loss", "error"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for mine, theirs in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_mlp_has_the_layers_of_the_unrolled_convnet():
    for name, shape in (("digits", (12, 12, 1)), ("mnist", (32, 32, 1))):
        builders = architectures.SETUPS[name].builders(shape)
        matrices = unrolled_networks.unrolled(builders["convnet"]())
        mlp = builders["mlp"]()
        assert mlp.count_params() == sum(matrix.weights for matrix, _ in matrices)
        mlp.set_weights([array for matrix, _ in matrices for array in (matrix.kernel, matrix.bias)])  # they fit


def test_a_pixel_that_is_always_background_teaches_no_weight():
    seen = pictures()
    trainer = equal_training.Trainer(mlp, equal_training.Plan(20, 8, 0.02, points=1))
    change = np.abs(trainer.trained(seen, 0).weights[0] - trainer.initial(0)[0])
    unseen = architectures.never_seen(seen)
    assert unseen.sum() == 56 - 9 and (change[unseen] == 0).all() and change[~unseen].min() > 0


def test_locality_is_1_for_a_kernel_and_the_share_of_the_area_for_equal_weights():
    from keras_dl.laboratory.convolution_matrices import convolution

    kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 4))
    matrix = convolution(kernel, None, (7, 8, 2))
    np.testing.assert_allclose(architectures.locality(matrix.kernel, (7, 8, 2), 3), 1)
    assert (architectures.locality(matrix.kernel, (7, 8, 2), 2) < 1).all()
    np.testing.assert_allclose(architectures.locality(np.ones((112, 2)), (7, 8, 2), 3), 9 / 56)


def test_more_pictures_than_the_training_split_has_are_taken_from_the_validation_too(run):
    parts = {name: pictures(count, seed) for seed, (name, count) in enumerate(
        {"train": 30, "validation": 10, "test": 20}.items())}  # fmt: skip
    setup = dataclasses.replace(architectures.SETUPS["digits"], updates=3, convnet={
        "filters": (2, 2), "kernel_size": (2, 2), "strides": (1, 1), "pool_size": 2})  # fmt: skip
    comparison = architectures.Comparison(run, setup, parts, 0)
    assert len(comparison.pictures(30, 0)) == 30 and len(comparison.pictures(40, 0)) == 40
    everything = comparison.pictures(40, 0).x
    for part in ("train", "validation"):
        for picture in parts[part].x:
            assert (everything == picture).all((1, 2, 3)).sum() == 1
    rows = comparison.by_size((10,), (0, 1), both=False)
    assert [(row["network"], row["seed"]) for row in rows] == [("mlp", 0), ("mlp", 1), ("convnet", 0), ("convnet", 1)]
    trained = comparison.trained("mlp", 10, 0)
    trainer = comparison.trainer("mlp")
    trainer.set_weights(trained.weights)
    for metric, part in (("test_error", comparison.test), ("test_error_shifted", comparison.shifted)):
        assert rows[0][metric] == pytest.approx(100 * (trainer.logits(part.x).argmax(1) != part.y).mean())
    still = [row for row in comparison.by_distance("mlp", trained) if row["pixels"] == 0]
    assert still[0]["test_error"] == rows[0]["test_error"]
