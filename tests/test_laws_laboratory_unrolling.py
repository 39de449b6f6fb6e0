"""Laws of one unrolled unit: its error, its gradient as a sum over products of Jacobians, the wall, clipping."""

import dataclasses
import math

import numpy as np
import pytest

from keras_dl.laboratory import unrolling
from keras_dl.laboratory.unrolling import READINGS, Unit

POINTS = [(5.25, -2.5), (4.0, -2.0), (6.9, -3.1), (4.6, -2.36), (-3.0, 0.4), (0.0, 0.7)]
both = pytest.mark.parametrize("reading", READINGS)


def by_a_loop(w, b, reading, steps=50, target=0.7):
    """The error in plain Python, from left to right as the slide and the paper have it."""
    h = 0.5
    for _ in range(steps):
        h = w / (1 + math.exp(-h)) + b
    return ((1 / (1 + math.exp(-h)) if reading == "paper" else h) - target) ** 2


@both
def test_the_surface_is_the_loop_of_one_unit(reading):
    grid = unrolling.surface(Unit(reading), 7)
    for row, b in enumerate(grid["b"]):
        for column, w in enumerate(grid["w"]):
            wall = abs(b - Unit(reading).wall(w)) < 1e-6
            expected = by_a_loop(float(w), float(b), reading)
            assert wall or grid["error"][row, column] == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert grid["error"].shape == grid["gradient"].shape == (7, 7)


@both
@pytest.mark.parametrize("steps", [1, 2, 13, 50])
def test_the_sum_over_products_of_jacobians_is_the_gradient(reading, steps):
    """Against complex steps, which have no cancellation: E(w + i d) = E(w) + i d dE/dw + O(d^2)."""
    unit = Unit(reading, steps)
    for w, b in POINTS:
        by_w, by_b = unit.gradient(w, b)
        tiny = 1e-30j
        for found, moved in ((by_w, unit.error(w + tiny, b)), (by_b, unit.error(w, b + tiny))):
            assert found == pytest.approx(moved.imag / 1e-30, rel=1e-8, abs=1e-14)


def test_products_are_the_jacobians_multiplied_one_by_one():
    unit = Unit(steps=9)
    w, b = 5.25, -2.5
    states = unit.states(w, b)
    for k in range(1, 10):
        product = 1.0
        for j in range(k + 1, 10):
            value = 1 / (1 + math.exp(-states[j - 1]))
            product *= w * value * (1 - value)
        assert unit.products(w, b)[k - 1] == pytest.approx(product, rel=1e-12)


@pytest.mark.parametrize("w", [4.3, 5.0, 5.9])
def test_at_the_wall_the_unit_stays_and_the_gradient_is_a_geometric_series(w):
    for reading in READINGS:
        unit = Unit(reading, steps=20)  # for longer, rounding leaves the wall
        b = unit.wall(w)
        np.testing.assert_allclose(unit.states(w, b), 0.5, atol=1e-9)
        slope, value = unit.slope(w), 1 / (1 + math.exp(-0.5))
        outer = 2 * (value - 0.7) * value * (1 - value) if reading == "paper" else 2 * (0.5 - 0.7)
        series = (slope**20 - 1) / (slope - 1)
        np.testing.assert_allclose(unit.gradient(w, b), [outer * value * series, outer * series], rtol=1e-6)


def test_it_is_a_wall_only_where_the_state_repels():
    unit = Unit(steps=200)
    assert unit.slope(unit.foot) == pytest.approx(1)
    above, below = (unit.states(5.0, unit.wall(5.0) + d)[-1] for d in (1e-6, -1e-6))
    assert above - below > 2
    low = 3.0  # below the foot
    above, below = (unit.states(low, unit.wall(low) + d)[-1] for d in (1e-6, -1e-6))
    assert abs(above - below) < 1e-4


@both
def test_the_largest_gradient_is_in_the_plane_and_above_that_of_the_line_and_of_any_grid(reading):
    unit = Unit(reading)
    norm, w, b = unrolling.largest_gradient(unit)
    assert norm == pytest.approx(np.hypot(*unit.gradient(w, b)))
    assert 4 <= w <= 7 and -3.2 <= b <= -2 and abs(b - unit.wall(w)) < 1e-4
    at_the_line = np.hypot(*unit.gradient(w, unit.wall(w)))
    grid = unrolling.surface(unit, 101)["gradient"].max()
    assert norm > 5 * at_the_line and norm > 100 * grid
    around = unit.wall(w) + np.concatenate([side * np.geomspace(1e-12, 0.1, 3000) for side in (-1, 1)])
    assert norm > 0.99 * np.hypot(*unit.gradient(w, around)).max()
    shorter = unrolling.largest_gradient(dataclasses.replace(unit, steps=40))[0]
    assert norm / shorter == pytest.approx(unit.slope(w) ** 10, rel=0.2)  # a constant factor a step


def test_where_there_is_no_wall_there_is_no_gradient_of_it():
    assert unrolling.largest_gradient(Unit(), weights=(1.0, 3.0))[0] == 0


@pytest.mark.parametrize("threshold", [0.1, 1.0, 30.0])
def test_a_clipped_norm_keeps_its_direction(threshold):
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(50, 3)) * np.geomspace(1e-3, 1e8, 50)[:, None]
    clipped = unrolling.clipped(gradients, threshold)
    lengths, before = np.linalg.norm(clipped, axis=1), np.linalg.norm(gradients, axis=1)
    np.testing.assert_allclose(lengths, np.minimum(before, threshold), rtol=1e-12)
    np.testing.assert_allclose((clipped * gradients).sum(1), lengths * before, rtol=1e-12)  # the cosine is 1
    small = before < threshold
    assert small.any() and (clipped[small] == gradients[small]).all()
    assert (unrolling.clipped(np.zeros(3), threshold) == 0).all()


def test_clipping_is_that_of_keras_optimizers():
    import keras

    gradients = [np.array([3.0, -4.0], np.float32), np.array([12.0], np.float32)]
    optimizer = keras.optimizers.SGD(global_clipnorm=2.0)
    theirs = np.concatenate([np.asarray(g) for g in optimizer._clip_gradients(gradients)])
    np.testing.assert_allclose(unrolling.clipped(np.concatenate(gradients), 2.0), theirs, rtol=1e-6)


@both
def test_a_descent_steps_along_the_gradient_and_a_clipped_one_no_farther_than_its_threshold(reading):
    unit = Unit(reading)
    free, clipped = (unrolling.descend(unit, (5.25, -2.5), 0.03, 100, threshold) for threshold in (None, 1.0))
    for number in (0, 3, 20):
        step = free["points"][number + 1] - free["points"][number]
        np.testing.assert_allclose(
            step, -0.03 * np.array(unit.gradient(*free["points"][number])), rtol=1e-9, atol=1e-15
        )
    np.testing.assert_allclose(free["lengths"], 0.03 * free["norms"], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(clipped["lengths"], 0.03 * np.minimum(clipped["norms"], 1), rtol=1e-6, atol=1e-12)
    assert free["lengths"].max() > 5 and clipped["lengths"].max() < 0.0301  # what the app shows without a flag


def test_a_descent_that_has_left_ends():
    left = unrolling.descend(Unit(), (5.25, -2.5), 1e9, 10)
    assert len(left["points"]) == 2 and len(left["norms"]) == len(left["lengths"]) == 1
