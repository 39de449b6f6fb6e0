"""Surfaces, trust regions and the search of critical points: closed forms against differences and enumeration."""

import numpy as np
import pytest

from keras_dl.laboratory import critical_points, surfaces, trust_region

NETWORK = surfaces.TwoWeights(np.linspace(-2, 2, 9), np.tanh(1.3 * np.linspace(-2, 2, 9)) + 0.1)
SURFACES = [*surfaces.CLASSICAL, NETWORK.surface((0.5, -0.6), (-2, 2, -2, 2))]


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
@pytest.mark.parametrize("point", [(0.3, -0.7), (-1.1, 0.4)])
def test_gradient_and_hessian_are_those_of_the_value(surface, point):
    point, step = np.array(point), 1e-5 * np.eye(2)
    slopes = [(surface.value(*(point + h)) - surface.value(*(point - h))) / 2e-5 for h in step]
    bends = [(surface.gradient(point + h) - surface.gradient(point - h)) / 2e-5 for h in step]
    np.testing.assert_allclose(surface.gradient(point), slopes, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(surface.hessian(point), bends, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
def test_saddles_are_saddles_and_starts_are_seen(surface):
    assert surface.holds(surface.start) and not surface.holds((np.nan, 0)) and not surface.holds((99, 0))
    assert surface.grid(7)[2].shape == (7, 7)
    if surface.saddle is not None:
        centre = np.array(surface.saddle)
        assert np.abs(surface.gradient(centre)).max() < 1e-12
        around = [surface.value(*(centre + 0.1 * np.array([np.cos(a), np.sin(a)]))) for a in np.linspace(0, 6.28, 50)]
        assert min(around) < surface.value(*centre) < max(around)


def test_the_two_minima_of_the_network_are_mirror_images():
    w1, w2 = 0.7, -1.2
    assert NETWORK.value(w1, w2) == NETWORK.value(-w1, -w2)
    values = np.linalg.eigvalsh(NETWORK.hessian(np.zeros(2)))
    assert values[0] < 0 < values[1]


METRICS = {
    "identity": None,
    "fisher": NETWORK.fisher(np.array([0.8, 0.5])),
    "absolute": trust_region.absolute(surfaces.SADDLE.hessian((0, 0))),
}


@pytest.mark.parametrize("metric", METRICS)
def test_the_step_is_the_arg_min_of_the_linear_model_in_the_region(metric):
    matrix, gradient, radius = METRICS[metric], np.array([0.4, -1.3]), 0.3
    step = trust_region.step(gradient, radius, matrix)
    size = np.eye(2) if matrix is None else matrix
    assert step @ size @ step == pytest.approx(radius**2)
    border = trust_region.border(radius, matrix, count=2001)
    np.testing.assert_allclose(np.einsum("ni,ij,nj->n", border, size, border), radius**2)
    others = np.concatenate([border * share for share in np.linspace(0, 1, 21)])
    assert (others @ gradient >= gradient @ step - 1e-12).all()
    assert (border @ gradient).min() == pytest.approx(gradient @ step, rel=1e-5)  # the border comes as close


def test_in_a_ball_it_is_gradient_descent_and_in_many_variables_too():
    rng = np.random.default_rng(0)
    gradient = rng.normal(size=7)
    np.testing.assert_allclose(trust_region.step(gradient, 0.2), -0.2 * gradient / np.linalg.norm(gradient))
    root = rng.normal(size=(7, 7))
    metric = root @ root.T + 0.1 * np.eye(7)
    step = trust_region.step(gradient, 0.2, metric)
    for _ in range(200):
        other = rng.normal(size=7)
        other *= 0.2 / np.sqrt(other @ metric @ other)
        assert gradient @ other > gradient @ step


@pytest.mark.parametrize("gradient, metric, said", [
    ([0.0, 0.0], None, "gradient must not be zero"),
    ([1.0, 0.0], [[1.0, 0.0], [0.0, -1.0]], "positive definite"),
])  # fmt: skip
def test_where_there_is_no_step_it_is_said(gradient, metric, said):
    with pytest.raises(ValueError, match=said):
        trust_region.step(gradient, 1.0, metric)


class OnSurface:
    """A surface as the objective of a search."""

    def __init__(self, surface):
        self.surface = surface

    def first(self, weights):
        return self.surface.value(*weights), self.surface.gradient(weights)

    def hessian(self, weights):
        return self.surface.hessian(weights)


def test_a_search_ends_at_the_saddle_and_knows_its_index():
    point = critical_points.search(OnSurface(surfaces.SADDLE), surfaces.SADDLE.start)
    np.testing.assert_allclose(point.weights, 0, atol=1e-6)
    assert point.index == 0.5 and abs(point.loss) < 1e-9
    minimum = critical_points.search(OnSurface(surfaces.ROSENBROCK), (0.95, 0.9))
    np.testing.assert_allclose(minimum.weights, 1, atol=1e-6)
    assert minimum.index == 0.0
    ends = [critical_points.search(OnSurface(SURFACES[-1]), start) for start in ((0.2, -0.2), (1.4, 0.9), (-1.4, -0.9))]
    assert [end.index for end in ends] == [0.5, 0.0, 0.0]
    assert len(critical_points.distinct([("", end) for end in ends])) == 2  # the minima are mirror images


def test_a_slope_without_end_has_no_critical_point():
    slope = surfaces.Surface("slope", "", lambda x, y: x + y**2, lambda p: np.array([1.0, 2 * p[1]]),
                             lambda p: np.array([[0.0, 0.0], [0.0, 2.0]]), (0, 1), (-1, 1, -1, 1))  # fmt: skip
    assert critical_points.search(OnSurface(slope), slope.start) is None


def test_the_rank_correlation_is_spearmans():
    from scipy import stats  # it comes with scikit-learn

    rng = np.random.default_rng(0)
    for x, y in ((rng.normal(size=30), rng.normal(size=30)), (rng.integers(0, 4, 40), rng.integers(0, 4, 40))):
        correlation, (low, high) = critical_points.rank_correlation(x, y)
        assert correlation == pytest.approx(stats.spearmanr(x, y).statistic)
        assert low < correlation < high
