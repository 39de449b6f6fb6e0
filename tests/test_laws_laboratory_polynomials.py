"""Laws of curve fitting: least squares, gradient descent in a basis, errors by order, bias and variance."""

import math

import numpy as np
import pytest

from keras_dl.laboratory import points, polynomials, resampling

DATA = points.lecture()
RNG = np.random.default_rng(0)


def test_the_lectures_fits_have_the_published_errors_and_coefficients():
    for order, error in ((1, 2.2402), (2, 1.5621), (3, 1.4888)):
        design = polynomials.monomials(DATA.x, order)
        weights = polynomials.least_squares(design, DATA.y)
        assert polynomials.squared_error(design, weights, DATA.y) == pytest.approx(error, abs=1e-4)
    design = polynomials.monomials(DATA.x, 9)
    weights = polynomials.least_squares(design, DATA.y)
    assert polynomials.squared_error(design, weights, DATA.y) < 1e-12
    rising = [-1.08, 34.8, -127.9, -379.9, 1186.9, 1604.8, -2475.4, -2627.6, 1499.6, 1448.1]
    np.testing.assert_allclose(weights, rising, rtol=0, atol=0.06)


def test_the_slides_coefficients_are_truncated_and_their_parabola_is_of_other_squares():
    intercept, slope = polynomials.least_squares(polynomials.monomials(DATA.x, 1), DATA.y)
    assert (intercept, slope) == (pytest.approx(1.05881341, abs=1e-7), pytest.approx(1.61016842, abs=1e-7))
    assert math.floor(100 * intercept) / 100 == 1.05 and round(intercept, 2) == 1.06
    squares = [0.75, 0.01, 0.73, 0.76, 0.19, 0.18, 1.22, 0.16, 0.93, 0.03]  # as the slide's source has them
    assert np.abs(squares - DATA.x**2).max() > 0.005  # more than their rounding
    theirs = polynomials.least_squares(np.stack([np.ones(10), DATA.x, squares], axis=1), DATA.y)
    np.testing.assert_allclose(theirs, [0.743, 1.746, 0.674], atol=6e-4)
    exact = polynomials.least_squares(polynomials.monomials(DATA.x, 2), DATA.y)
    np.testing.assert_allclose(exact, [0.740, 1.747, 0.687], atol=6e-4)


@pytest.mark.parametrize("order", [0, 1, 4, 8])
def test_residuals_of_least_squares_are_orthogonal_to_every_column(order):
    design = polynomials.monomials(DATA.x, order)
    weights = polynomials.least_squares(design, DATA.y)
    np.testing.assert_allclose(design.T @ (design @ weights - DATA.y), 0, atol=1e-10)
    np.testing.assert_allclose(weights[::-1], np.polyfit(DATA.x, DATA.y, order), rtol=1e-6)


def test_every_basis_gives_the_same_polynomial():
    new = np.linspace(-1.1, 0.87, 50)
    design, at_new = polynomials.monomials(DATA.x, 5), polynomials.monomials(new, 5)
    expected = at_new @ polynomials.least_squares(design, DATA.y)
    domain = DATA.x.min(), DATA.x.max()
    legendre = polynomials.least_squares(polynomials.legendre(DATA.x, 5, domain), DATA.y)
    np.testing.assert_allclose(polynomials.legendre(new, 5, domain) @ legendre, expected, rtol=1e-8)
    basis, change = polynomials.orthonormal(design)
    np.testing.assert_allclose(basis.T @ basis, len(DATA) * np.eye(6), atol=1e-9)
    np.testing.assert_allclose(basis[:, 0], 1, rtol=1e-12)
    np.testing.assert_allclose(basis @ change, design, rtol=1e-10)
    weights = np.linalg.solve(change, polynomials.least_squares(basis, DATA.y))
    np.testing.assert_allclose(at_new @ weights, expected, rtol=1e-8)


def test_legendre_polynomials_are_orthogonal_over_their_domain():
    x = np.linspace(3, 7, 200_001)
    design = polynomials.legendre(x, 4, (3, 7))
    np.testing.assert_allclose(design.T @ design / len(x), np.diag(1 / (2 * np.arange(5) + 1)), atol=1e-4)


@pytest.mark.parametrize("penalty", [0.0, 0.3, np.array([0.0, 0.3, 0.3])])
def test_the_closed_form_of_gradient_descent_is_its_loop(penalty):
    design, weights = polynomials.monomials(DATA.x, 2), np.zeros(3)
    rate, path = polynomials.rate(design, penalty), []
    for _ in range(30):
        path.append(weights)
        gradient = 2 * (design.T @ (design @ weights - DATA.y) + penalty * weights) / len(DATA)
        weights = weights - rate * gradient
    np.testing.assert_allclose(polynomials.descended(design, DATA.y, rate, np.arange(30), penalty), path, atol=1e-12)


def test_the_condition_number_is_the_number_of_steps_of_the_slowest_part():
    design = polynomials.monomials(DATA.x, 3)
    steps, rate = polynomials.condition_number(design), polynomials.rate(design)
    hessian = 2 * design.T @ design / len(DATA)
    values, vectors = np.linalg.eigh(hessian)
    assert steps == pytest.approx(values[-1] / values[0], rel=1e-9)
    best = polynomials.least_squares(design, DATA.y)
    path = polynomials.descended(design, DATA.y, rate, [0, 1, round(steps)])
    slow, steep = ((path - best) @ vectors).T[[0, -1]]
    assert slow[2] / slow[0] == pytest.approx(1 / math.e, rel=0.02) and abs(steep[1] / steep[0]) < 1e-10
    assert polynomials.condition_number(design, 0.5) == pytest.approx(
        np.linalg.cond(design.T @ design + 0.5 * np.eye(4)), rel=1e-9
    )


def test_in_an_orthonormal_basis_one_step_is_enough():
    basis, _ = polynomials.orthonormal(polynomials.monomials(DATA.x, 9))
    assert polynomials.condition_number(basis) == pytest.approx(1, abs=1e-9)
    one = polynomials.descended(basis, DATA.y, polynomials.rate(basis), [1])[0]
    assert polynomials.squared_error(basis, one, DATA.y) < 1e-12


def test_leave_one_out_is_its_closed_form():
    """A point's error without it is residual / (1 - leverage) (PRESS)."""
    design = polynomials.monomials(DATA.x, 3)
    hat = design @ np.linalg.pinv(design)
    press = np.mean(((DATA.y - hat @ DATA.y) / (1 - np.diag(hat))) ** 2)
    train, validation = polynomials.cross_validation(DATA.x, DATA.y, 3, polynomials.folds(10, 10, 5))
    assert validation == pytest.approx(press, rel=1e-9) and train == pytest.approx(0.14888, abs=1e-5)


def test_folds_are_a_partition_and_an_order_that_a_fold_cannot_fit_has_no_validation_error():
    folds = polynomials.folds(23, 5, seed=1)
    assert sorted(np.concatenate(folds)) == list(range(23)) and {len(fold) for fold in folds} == {4, 5}
    assert polynomials.cross_validation(DATA.x, DATA.y, 9, polynomials.folds(10, 10, 0))[1] is None
    assert polynomials.cross_validation(DATA.x, DATA.y, 8, polynomials.folds(10, 10, 0))[1] > 1000


@pytest.mark.parametrize("order", [0, 1, 3, 5])
def test_bias_and_variance_in_closed_form_are_those_of_many_data_sets(order):
    new, sigma = np.linspace(-1, 0.8, 40), 0.5
    truth_at_x, truth_at_new = np.exp(DATA.x), np.exp(new)
    expected = resampling.expected(DATA.x, truth_at_x, order, new, truth_at_new, sigma)
    samples = resampling.draw(truth_at_x, sigma, 20_000, seed=0)
    simulated = resampling.simulated(DATA.x, samples, order, new, truth_at_new, sigma)
    assert simulated.train == pytest.approx(expected.train, rel=0.03)
    assert simulated.variance == pytest.approx(expected.variance, rel=0.05)
    assert simulated.squared_bias == pytest.approx(expected.squared_bias, rel=0.05, abs=2e-4)
    outcomes = truth_at_new + sigma * RNG.standard_normal((20_000, len(new)))
    error = np.mean((outcomes - resampling.fits(DATA.x, samples, order, new)) ** 2)
    assert error == pytest.approx(expected.validation, rel=0.03)  # the three add up to the error itself


@pytest.mark.parametrize("order", [1, 4])
def test_the_training_error_is_too_small_by_twice_the_noise_per_weight(order):
    """At the points themselves, validation - training = 2 sigma^2 P / N (Elements of Statistical Learning, 7.24)."""
    truth = np.sin(3 * DATA.x)
    errors = resampling.expected(DATA.x, truth, order, DATA.x, truth, 0.7)
    assert errors.validation - errors.train == pytest.approx(2 * 0.7**2 * (order + 1) / 10, rel=1e-9)


def test_a_polynomial_of_the_true_order_has_no_bias_and_more_orders_more_variance():
    new = np.linspace(-1, 0.8, 40)
    every = [resampling.expected(DATA.x, DATA.x**2, order, new, new**2, 0.5) for order in range(8)]
    assert all(errors.squared_bias > 1e-3 for errors in every[:2])
    assert all(errors.squared_bias < 1e-18 for errors in every[2:])
    assert np.all(np.diff([errors.variance for errors in every]) > 0)
    assert np.all(np.diff([errors.train for errors in every]) < 0)
