"""Surfaces, trust regions and the search of critical points: closed forms against differences and enumeration."""

import numpy as np
import pytest

from keras_dl import optimizers
from keras_dl.laboratory import classical_surfaces, critical_points, network_saddles, paths, trust_region

NETWORK = classical_surfaces.TwoWeights(np.linspace(-2, 2, 9), np.tanh(1.3 * np.linspace(-2, 2, 9)) + 0.1)
SURFACES = [*classical_surfaces.CLASSICAL, NETWORK.surface((0.5, -0.6), (-2, 2, -2, 2))]


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
    "absolute": trust_region.absolute(classical_surfaces.SADDLE.hessian((0, 0))),
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


def test_regions_that_are_compared_reach_as_far_as_one_and_touch_their_steps():
    gradient = np.array([0.4, -1.3])
    numbers = trust_region.compared(gradient, list(METRICS.values()))
    for step, border in zip(numbers["steps"], numbers["borders"], strict=True):
        assert np.linalg.norm(border, axis=1).max() == pytest.approx(1, rel=1e-3)
        assert (border @ gradient).min() == pytest.approx(gradient @ step, rel=2e-3)
    side, row, column = numbers["side"], 3, 30
    assert numbers["linear_model"][row, column] == pytest.approx(gradient @ [side[column], side[row]])


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


def test_a_search_ends_where_as_many_eigenvalues_are_negative_as_were_asked_for():
    saddle, rosenbrock, network = (
        OnSurface(classical_surfaces.SADDLE),
        OnSurface(classical_surfaces.ROSENBROCK),
        OnSurface(SURFACES[-1]),
    )
    point = critical_points.search(saddle, classical_surfaces.SADDLE.start, 1)
    np.testing.assert_allclose(point.weights, 0, atol=1e-6)
    assert point.index == 0.5 and abs(point.loss) < 1e-9
    minimum = critical_points.search(rosenbrock, (-1.2, 1.0), 0)
    np.testing.assert_allclose(minimum.weights, 1, atol=1e-6)
    assert minimum.index == 0.0 and minimum.steps < 60
    for objective, start, upwards in ((saddle, (0.8, 0.05), 0), (saddle, (0.8, 0.05), 2), (rosenbrock, (0.9, 0.8), 1)):
        assert critical_points.search(objective, start, upwards) is None  # there is none
    assert critical_points.search(saddle, (0.0, 0.0), 0) is None  # a critical point, but of another index
    starts = (((0.5, 0.4), 1), ((1.4, 0.9), 0), ((-1.4, -0.9), 0))  # from the first, all descents go to a minimum
    ends = [critical_points.search(network, *start) for start in starts]
    assert [end.index for end in ends] == [0.5, 0.0, 0.0]
    np.testing.assert_allclose(ends[0].weights, 0, atol=1e-6)
    assert len(critical_points.distinct(ends)) == 2  # the minima are mirror images


@pytest.mark.parametrize("upwards", [0, 1, 2])
def test_a_search_step_solves_its_own_trust_region_problem(upwards):
    """Saddle-free Newton is what one step of `descend` is; the search reverses the lowest `upwards` directions."""
    values, rng = np.array([-2.0, 0.5, 3.0]), np.random.default_rng(0)
    vectors, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix, start = (vectors * values) @ vectors.T, 0.01 * rng.normal(size=3)

    class Quadratic:
        first = staticmethod(lambda w: (w @ matrix @ w / 2, matrix @ w))
        hessian = staticmethod(lambda w: matrix)

    ahead = critical_points.search(Quadratic, start, upwards)
    if upwards == 1:  # one negative eigenvalue: Newton's step, and there at once
        np.testing.assert_allclose(ahead.weights, 0, atol=1e-12)
        assert ahead.steps == 1 and ahead.index == pytest.approx(1 / 3)
    else:
        assert ahead is None
    descended = critical_points.descend(Quadratic, start, [0.0], 1)
    np.testing.assert_allclose(vectors.T @ descended, [2 * (vectors.T @ start)[0], 0, 0], atol=1e-12)


def test_a_step_is_no_longer_than_the_radius_and_as_long_where_it_is_damped():
    values, along = np.array([-3.0, 1e-8, 0.2, 5.0]), np.array([0.3, 0.1, -0.2, 1.0])
    for radius in (1e-3, 0.1, 1.0):
        damping = critical_points._damping(values, along, radius)
        assert np.linalg.norm(along / (np.abs(values) + damping)) == pytest.approx(radius, rel=0.02)
    assert critical_points._damping(values, along, 1e9) < 1e-12


@pytest.mark.parametrize(
    "surface", [classical_surfaces.ROSENBROCK, classical_surfaces.SADDLE], ids=lambda surface: surface.name
)
def test_paths_of_keras_optimizers_are_their_equations(surface):
    """PAPERS' equations in NumPy; Keras adds its epsilon to RMSProp's mean of squares, and to Adam's root of it."""
    rate, rho, beta, epsilon, steps = 0.002, 0.9, 0.999, 1e-7, 12

    def walk(rule):
        point, state, path = np.array(surface.start), {"v": np.zeros(2), "m": np.zeros(2), "s": np.zeros(2)}, []
        for t in range(1, steps + 1):
            path.append(point)
            point = point + rule(surface.gradient(point), state, t)
        return np.stack([*path, point])

    def momentum(g, state, t):
        state["v"] = rho * state["v"] - rate * g
        return state["v"]

    def nesterov(g, state, t):
        return rho * momentum(g, state, t) - rate * g

    def rmsprop(g, state, t):
        state["s"] = rho * state["s"] + (1 - rho) * g**2
        return -rate * g / np.sqrt(state["s"] + epsilon)

    def adam(g, state, t):
        state["m"] = rho * state["m"] + (1 - rho) * g
        state["s"] = beta * state["s"] + (1 - beta) * g**2
        return -rate * np.sqrt(1 - beta**t) / (1 - rho**t) * state["m"] / (np.sqrt(state["s"]) + epsilon)

    rules = {"sgd": lambda g, state, t: -rate * g, "momentum": momentum, "nesterov": nesterov, "rmsprop": rmsprop}
    for name, rule in (rules | {"adam": adam}).items():
        path, wanted = paths.of_optimizer(surface, optimizers.build(name, rate), steps), walk(rule)
        np.testing.assert_allclose(path, wanted[: len(path)], rtol=1e-4, atol=1e-5, err_msg=name)
        assert len(path) > 5


def test_a_slope_without_end_has_no_critical_point():
    slope = classical_surfaces.Surface("slope", "", lambda x, y: x + y**2, lambda p: np.array([1.0, 2 * p[1]]),
                             lambda p: np.array([[0.0, 0.0], [0.0, 2.0]]), (0, 1), (-1, 1, -1, 1))  # fmt: skip
    assert critical_points.search(OnSurface(slope), slope.start, 0) is None


def test_minima_are_where_no_direction_goes_down():
    minima = ((1.3, 1.0), (-1.3, -1.0))
    exact = classical_surfaces.TwoWeights(NETWORK.x, np.tanh(1.3 * NETWORK.x)).surface(
        (0.5, -0.6), (-2, 2, -2, 2), minima
    )
    for surface in (*classical_surfaces.CLASSICAL, exact):
        for minimum in surface.minima:
            assert np.abs(surface.gradient(np.array(minimum))).max() < 1e-12
            assert np.linalg.eigvalsh(surface.hessian(np.array(minimum)))[0] > 0


def test_points_with_and_without_idle_units_are_correlated_apart():
    rows = [
        {"origin": origin, "train_error": error, "index": index}
        for origin, error, index in [("searched", 1, 3), ("searched", 2, 2), ("searched", 3, 1), ("embedded", 9, 9)]
    ]
    of = network_saddles.correlations(rows, 0)
    assert of["searched"][:2] == (3, -1.0) and "embedded" not in of  # too few
    assert of["all"][0] == 4 and of["all"][1] == pytest.approx(0.2)


def test_the_rank_correlation_is_spearmans():
    from scipy import stats  # it comes with scikit-learn

    rng = np.random.default_rng(0)
    for x, y in ((rng.normal(size=30), rng.normal(size=30)), (rng.integers(0, 4, 40), rng.integers(0, 4, 40))):
        correlation, (low, high) = critical_points.rank_correlation(x, y)
        assert correlation == pytest.approx(stats.spearmanr(x, y).statistic)
        assert low < correlation < high
