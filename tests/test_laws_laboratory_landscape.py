"""Laws of filter-normalised directions, of Lanczos' iteration, and of the principal components of a path."""

import numpy as np
import pytest

from keras_dl.laboratory import directions, lanczos, path_components, sections

rng = np.random.default_rng(0)
LAYERS = [("Conv2D", (3, 3, 4, 6)), ("Conv2D", (6,)), ("Dense", (6, 5)), ("Embedding", (7, 4)), ("Dense", (5,))]
WEIGHTS = [rng.normal(size=shape) for _, shape in LAYERS]
AXES = [directions.filter_axes(*layer) for layer in LAYERS]


def symmetric(values, seed=1):
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values),) * 2))[0]
    return basis * values @ basis.T


def test_every_filter_of_a_direction_has_the_norm_of_the_networks_and_biases_do_not_move():
    direction = directions.random(WEIGHTS, AXES, 1)  # other draws than the weights
    conv, bias, dense, embedding, last = direction
    for of, axis, weight in ((conv, -1, 0), (dense, -1, 2), (embedding, 0, 3)):
        for number in range(of.shape[axis]):
            own, its = (np.linalg.norm(np.take(each, number, axis)) for each in (WEIGHTS[weight], of))
            assert its == pytest.approx(own, rel=1e-12)
    assert not bias.any() and not last.any()
    once = directions.normalised(direction, WEIGHTS, AXES)
    for again, before in zip(once, direction, strict=True):
        np.testing.assert_allclose(again, before)


def test_a_direction_keeps_its_way_within_a_filter_and_a_filter_of_zeros_does_not_move():
    weights = [np.array([[3.0, 0.0], [4.0, 0.0]])]
    (direction,) = directions.normalised([np.array([[1.0, 1.0], [1.0, 2.0]])], weights, [(0,)])
    np.testing.assert_allclose(direction, [[5 / np.sqrt(2), 0], [5 / np.sqrt(2), 0]])
    (zeros,) = directions.normalised([np.zeros((2, 2))], weights, [(0,)])
    assert not zeros.any()


def test_points_of_a_plane_are_sums_and_keep_their_dtype():
    weights = [np.ones((2, 2), np.float32), np.zeros(3, np.float32)]
    first, second = [np.full((2, 2), 2.0), np.ones(3)], [np.full((2, 2), 5.0), np.zeros(3)]
    moved = directions.moved(weights, [first, second], (0.5, -1))
    assert [each.dtype for each in moved] == [np.float32] * 2
    np.testing.assert_allclose(moved[0], 1 + 0.5 * 2 - 5)
    np.testing.assert_allclose(moved[1], 0.5)


class Quadratic:
    """What sections need of a surface: loss = |w|^2 / 2 over one matrix."""

    weights = [np.array([[1.0, 2.0]])]

    def values(self, weights):
        return {"loss": float(np.sum(np.square(weights[0])) / 2)}


def test_sections_are_the_function_along_their_lines():
    one, other = [np.array([[1.0, 0.0]])], [np.array([[0.0, 1.0]])]
    a, b = np.array([-1.0, 0.0, 2.0]), np.array([0.0, 1.0])
    seen = []
    plane = sections.plane(Quadratic(), [one, other], a, b, at=lambda *numbers: seen.append(numbers))["loss"]
    np.testing.assert_allclose(plane, ((1 + a) ** 2 + (2 + b[:, None]) ** 2) / 2)
    np.testing.assert_allclose(sections.curve(Quadratic(), one, a)["loss"], plane[0])
    np.testing.assert_allclose(sections.at_distance(Quadratic(), [one, other], 1.0), [4.0, 5.0])
    assert seen[-1] == (6, 6)


def test_all_steps_give_all_eigenvalues():
    values = np.array([-3.0, -0.5, 0.0, 0.2, 1.0, 1.5, 7.0, 40.0])
    matrix = symmetric(values)
    ritz = lanczos.iterate(lambda v: matrix @ v, np.random.default_rng(0).normal(size=8), 20)
    np.testing.assert_allclose(ritz.values, values, atol=1e-10)
    assert ritz.errors.max() < 1e-5 and ritz.weights.sum() == pytest.approx(1)


def test_within_its_error_of_each_ritz_value_there_is_an_eigenvalue_and_the_largest_is_never_above():
    values = np.concatenate([np.random.default_rng(5).normal(0, 1, 190), np.geomspace(5, 100, 10)])
    matrix = symmetric(values)
    for steps in (5, 10, 20, 40):
        ritz = lanczos.iterate(lambda v: matrix @ v, np.random.default_rng(steps).normal(size=200), steps)
        nearest = np.abs(ritz.values[:, None] - values).min(1)
        assert (nearest <= ritz.errors + 1e-10).all()
        assert ritz.largest[0] <= values.max() + 1e-10
    assert ritz.largest[0] == pytest.approx(100, rel=1e-8)


def test_it_ends_when_the_largest_is_known_and_when_nothing_is_left():
    matrix, made = symmetric(np.concatenate([np.linspace(0, 1, 99), [50.0]])), []

    def product(vector):
        made.append(vector)
        return matrix @ vector

    value, error = lanczos.iterate(product, np.ones(100), 100, tolerance=1e-3).largest
    assert len(made) < 15 and abs(value - 50) <= error <= 0.05
    ritz = lanczos.iterate(lambda v: np.array([2.0, 2.0, 2.0]) * v, np.ones(3), 3)
    np.testing.assert_allclose(ritz.values, [2.0])  # every vector is an eigenvector


def test_the_quadrature_has_the_moments_of_the_matrix():
    values = np.concatenate([np.random.default_rng(7).normal(0, 0.3, 117), [5.0, 9.0, 30.0]])
    matrix = symmetric(values)
    starts = lanczos.probes(120, 12, 0)
    each = [lanczos.iterate(lambda v: matrix @ v, start, 30) for start in starts]
    for power in (1, 2, 3):
        powers = np.linalg.matrix_power(matrix, power)
        exact = np.einsum("ki,ij,kj->k", starts, powers, starts)
        mean, error = lanczos.moments(each, 120, power)
        assert mean == pytest.approx(np.mean(exact), rel=1e-9, abs=1e-9)
        assert abs(mean - np.sum(values**power)) < 4 * error
    count, error = lanczos.counts_above(each, 120, [2.0, 100.0])
    assert abs(count[0] - 3) < 4 * error[0] and count[1] == 0
    grid = np.linspace(-5, 40, 3001)
    mean, _ = lanczos.density(each, grid, 0.2)
    assert np.trapezoid(mean, grid) == pytest.approx(1, abs=1e-6)
    _, alone = lanczos.density(each[:1], grid, 0.2)
    assert np.isnan(alone).all()


def test_a_path_in_a_plane_is_explained_by_two_components_and_has_its_coordinates():
    plane = np.linalg.qr(np.random.default_rng(1).normal(size=(50, 2)))[0].T
    way = np.array([[4.0, 1.0], [3.0, -1.0], [1.0, 0.5], [0.5, 0.2], [0.0, 0.0]])
    points = 7 + way @ plane
    components = path_components.of_path(points)
    assert components.shares[:2].sum() == pytest.approx(1, abs=1e-10)
    np.testing.assert_allclose(components.directions @ components.directions.T, np.eye(2), atol=1e-10)
    np.testing.assert_allclose(components.coordinates @ components.directions, points - points[-1], atol=1e-9)
    spread = np.linalg.eigvalsh(np.cov(way.T))[::-1]
    np.testing.assert_allclose(components.shares[:2], spread / spread.sum(), atol=1e-10)


def test_a_random_walk_has_the_shares_that_are_said_of_it():
    walk = np.cumsum(np.random.default_rng(0).normal(size=(40, 4000)), 0)
    shares = path_components.of_path(walk).shares
    np.testing.assert_allclose(shares[:4], path_components.of_random_walk(39)[:4], atol=0.02)
    assert path_components.of_random_walk(300)[0] == pytest.approx(6 / np.pi**2, abs=2e-3)


@pytest.mark.parametrize("points", [np.zeros((2, 5)), np.arange(4.0)[:, None] * np.ones(5)])
def test_a_path_without_a_plane_is_refused(points):
    with pytest.raises(ValueError, match="a path must have at least 3|must differ in two"):
        path_components.of_path(points)
