"""Laws of Gaussian noise and a Gaussian prior: likelihood, MAP, Keras' l2, weight decay, posterior."""

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from sklearn.linear_model import BayesianRidge, Ridge

from keras_dl.laboratory import bayes, points, polynomials

DATA = points.lecture()
SIGMA, TAU = 0.6, 1.5
GAMMA = SIGMA**2 / TAU**2


def setting(order, free_intercept=False):
    return polynomials.monomials(DATA.x, order), bayes.precision(order + 1, TAU, free_intercept)


def minus_log_posterior(weights, design, prior, y=DATA.y):
    return -bayes.log_likelihood(design @ weights - y, SIGMA) + np.sum(prior * weights**2) / 2


def test_the_likelihood_is_that_of_gaussian_noise():
    from keras_dl.distributions import Normal

    design, _ = setting(2)
    residuals = design @ np.array([0.5, 1.0, -0.3]) - DATA.y
    expected = scipy.stats.norm.logpdf(DATA.y, DATA.y + residuals, SIGMA).sum()
    assert bayes.log_likelihood(residuals, SIGMA) == pytest.approx(expected, rel=1e-12)
    ours = Normal(DATA.y + residuals, np.full(10, np.log(SIGMA))).log_prob(DATA.y)
    assert float(np.sum(ours)) == pytest.approx(expected, rel=1e-12)


def test_the_most_likely_polynomial_is_that_of_least_squares_and_its_variance_the_mean_square():
    design, _ = setting(2)
    found = scipy.optimize.minimize(
        lambda p: -bayes.log_likelihood(design @ p[:-1] - DATA.y, np.exp(p[-1])), np.zeros(4), tol=1e-12
    ).x
    least = polynomials.least_squares(design, DATA.y)
    np.testing.assert_allclose(found[:-1], least, atol=1e-5)
    mean_square = polynomials.squared_error(design, least, DATA.y) / len(DATA)
    assert np.exp(2 * found[-1]) == pytest.approx(mean_square, rel=1e-4)


def test_its_gradient_is_that_of_the_mean_squared_error_by_keras_but_for_a_factor():
    import keras
    import tensorflow as tf

    design, _ = setting(2)
    weights = tf.Variable([[0.5], [1.0], [-0.3]], dtype="float64")
    with tf.GradientTape() as tape:
        loss = keras.losses.MeanSquaredError(dtype="float64")(DATA.y[:, None], tf.constant(design) @ weights)
    by_keras = np.asarray(tape.gradient(loss, weights))[:, 0]
    ours = bayes.likelihood_gradient(design, DATA.y, weights.numpy()[:, 0], SIGMA)
    np.testing.assert_allclose(ours, -by_keras * len(DATA) / (2 * SIGMA**2), rtol=1e-12)


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("order", [1, 2, 9])
def test_map_is_ridge_regression_and_the_maximum_of_the_posterior(order, free):
    design, prior = setting(order, free)
    ours = bayes.maximum_a_posteriori(design, DATA.y, SIGMA, prior)
    identity = np.diag([0.0 if free and k == 0 else 1.0 for k in range(order + 1)])
    closed_form = np.linalg.solve(design.T @ design + GAMMA * identity, design.T @ DATA.y)
    np.testing.assert_allclose(ours, closed_form, rtol=1e-8)
    columns = design[:, 1:] if free else design
    ridge = Ridge(alpha=GAMMA, fit_intercept=free, solver="svd").fit(columns, DATA.y)
    np.testing.assert_allclose(ours, [ridge.intercept_, *ridge.coef_] if free else ridge.coef_, rtol=1e-8)
    both = bayes.likelihood_gradient(design, DATA.y, ours, SIGMA) + bayes.prior_gradient(ours, prior)
    np.testing.assert_allclose(both, 0, atol=1e-9)
    for nudge in 0.01 * np.eye(order + 1):
        assert minus_log_posterior(ours + nudge, design, prior) > minus_log_posterior(ours, design, prior)


def test_map_depends_on_the_ratio_of_the_two_variances_alone():
    """gamma = sigma^2 / tau^2; the slide's sigma^2 is right for tau = 1."""
    design, _ = setting(2)

    def of(sigma, tau):
        return bayes.maximum_a_posteriori(design, DATA.y, sigma, bayes.precision(3, tau))

    np.testing.assert_allclose(of(0.6, 1.5), of(0.4, 1.0), rtol=1e-12)
    np.testing.assert_allclose(of(0.4, 1.0), polynomials.least_squares(design, DATA.y, 0.4**2), rtol=1e-12)
    assert np.abs(of(0.6, 1.5) - polynomials.least_squares(design, DATA.y, 0.6**2)).max() > 0.01


def test_moved_data_move_the_fit_only_without_a_prior_on_the_intercept():
    for free, moves in ((True, True), (False, False)):
        design, prior = setting(2, free)
        before, after = (bayes.maximum_a_posteriori(design, y, SIGMA, prior) for y in (DATA.y, DATA.y + 5))
        assert np.allclose(after - before, [5, 0, 0], atol=1e-9) == moves


def test_the_two_gradients_are_those_of_the_logs_and_add_up():
    design, prior = setting(1)
    at = np.array([[0.3, -0.2], [2.0, 1.0]])
    both = bayes.likelihood_gradient(design, DATA.y, at, SIGMA) + bayes.prior_gradient(at, prior)
    for place, gradient in zip(at, both, strict=True):
        steps = 1e-5 * np.eye(2)
        numeric = [
            (minus_log_posterior(place - s, design, prior) - minus_log_posterior(place + s, design, prior)) / 2e-5
            for s in steps
        ]
        np.testing.assert_allclose(gradient, numeric, rtol=1e-7)


def test_the_posterior_is_scikit_learns_for_its_variances():
    """BayesianRidge estimates both variances; for these the weights, their covariance and the bands are the same."""
    design, _ = setting(2)
    peer = BayesianRidge(fit_intercept=False, tol=1e-10, max_iter=5000).fit(design, DATA.y)
    sigma, tau = peer.alpha_**-0.5, peer.lambda_**-0.5
    mean, covariance = bayes.posterior(design, DATA.y, sigma, bayes.precision(3, tau))
    np.testing.assert_allclose(mean, peer.coef_, rtol=1e-6)
    np.testing.assert_allclose(covariance, peer.sigma_, rtol=1e-6)
    new = polynomials.monomials(np.linspace(-2, 2, 9), 2)
    expected, deviations = peer.predict(new, return_std=True)
    ours, _, of_outcome = bayes.predictive(new, mean, covariance, sigma)
    np.testing.assert_allclose(ours, expected, rtol=1e-6)
    np.testing.assert_allclose(of_outcome, deviations, rtol=1e-6)


def test_the_predictive_variance_by_hand():
    """One weight, y = w: variance 1 / (N / sigma^2 + 1 / tau^2), and sigma^2 more for an outcome."""
    mean, covariance = bayes.posterior(np.ones((4, 1)), np.array([1.0, 2.0, 3.0, 6.0]), 2.0, np.array([0.25]))
    expected, of_function, of_outcome = bayes.predictive(np.ones((1, 1)), mean, covariance, 2.0)
    variance = 1 / (4 / 4 + 1 / 4)
    assert expected[0] == pytest.approx(variance * 12 / 4) and of_function[0] ** 2 == pytest.approx(variance)
    assert of_outcome[0] ** 2 == pytest.approx(variance + 4)


@pytest.mark.parametrize("order", [1, 9])
def test_the_bands_are_those_of_the_gaussian_process(order):
    """In the space of functions: k K^-1 y and k(x, x) - k K^-1 k^T, kernel tau^2 b(x)^T b(x') (Rasmussen, 2.12)."""
    design, prior = setting(order)
    new = polynomials.monomials(np.linspace(-1.5, 1.5, 7), order)
    mean, of_function, of_outcome = bayes.predictive(new, *bayes.posterior(design, DATA.y, SIGMA, prior), SIGMA)
    inverse = np.linalg.inv(TAU**2 * design @ design.T + SIGMA**2 * np.eye(10))
    between = TAU**2 * new @ design.T
    np.testing.assert_allclose(mean, between @ inverse @ DATA.y, rtol=1e-6)
    variance = np.diag(TAU**2 * new @ new.T - between @ inverse @ between.T)
    np.testing.assert_allclose(of_function**2, variance, rtol=1e-5)
    np.testing.assert_allclose(of_outcome**2 - of_function**2, SIGMA**2, rtol=1e-9)


@pytest.mark.parametrize("free", [False, True])
def test_closed_form_gradient_ascent_and_keras_l2_agree(free):
    from keras_dl.laboratory import prior_numbers

    numbers = prior_numbers.maximum_a_posteriori(DATA, [1, 2, 9], SIGMA, TAU, free)
    assert np.all(numbers["difference"] < 1e-6)
    design, prior = setting(9, free)
    identity = np.diag([0.0 if free and k == 0 else 1.0 for k in range(10)])
    expected = np.linalg.solve(design.T @ design + GAMMA * identity, design.T @ DATA.y)
    for way in ("closed_form", "ascent", "keras"):
        np.testing.assert_allclose(numbers[way][2], expected, atol=1e-6)


def test_keras_gradient_descent_takes_the_steps_of_the_equations_and_ends_at_least_squares():
    from keras_dl.laboratory import linear_training

    design, gamma = polynomials.monomials(DATA.x, 2), 0.4
    rate = polynomials.rate(design, gamma)
    path = linear_training.descend(design, DATA.y, rate, 40, 20, gamma=gamma)
    expected = polynomials.descended(design, DATA.y, rate, 2 * np.arange(21), gamma)
    np.testing.assert_allclose(path, expected, atol=1e-8)  # Keras' l2 is a float32 number
    basis, change = polynomials.orthonormal(polynomials.monomials(DATA.x, 9))
    end = linear_training.descend(basis, DATA.y, polynomials.rate(basis), 3)[-1]
    assert polynomials.squared_error(basis, end, DATA.y) < 1e-12


def test_the_number_of_points_belongs_to_the_penalty():
    """Keras' loss is a mean: l2(gamma) would be a prior of sigma^2 / (N tau^2), ten times as strong."""
    from keras_dl.laboratory import linear_training

    design, gamma = polynomials.monomials(DATA.x, 1), 0.4
    rate = polynomials.rate(design, gamma * 10)
    end = linear_training.descend(design, DATA.y, rate, 400, gamma=gamma * 10)[-1]
    assert np.abs(end - polynomials.least_squares(design, DATA.y, gamma)).max() > 0.1
    np.testing.assert_allclose(end, polynomials.least_squares(design, DATA.y, 10 * gamma), atol=1e-7)


def test_decoupled_decay_is_l2_for_plain_gradient_descent_and_not_for_adam():
    import keras

    from keras_dl.laboratory import linear_training

    design, gamma = polynomials.monomials(DATA.x, 1), 0.4
    least, most = (polynomials.least_squares(design, DATA.y, penalty) for penalty in (0.0, gamma))
    same, rate = 2 * gamma / len(DATA), polynomials.rate(design, gamma)
    with linear_training.in_float64():
        decoupled = keras.optimizers.SGD(rate, weight_decay=same)
        path = linear_training.train(linear_training.model_of(2), decoupled, design, DATA.y, 40, 20)
    np.testing.assert_allclose(path, linear_training.descend(design, DATA.y, rate, 40, 20, gamma=gamma), atol=1e-7)

    adam = linear_training.adam_with_l2(design, DATA.y, gamma, 4000, 1)[-1]
    adamw = linear_training.adamw(design, DATA.y, same, 4000, 1)[-1]
    np.testing.assert_allclose(adam, most, atol=1e-6)
    np.testing.assert_allclose(adamw, least, atol=1e-5)
    assert np.abs(adamw - most).max() > 0.1
    # A decay of 1: the smallest squared error among weights of at most 1 (arXiv:2404.04454, theorem 1.1).
    bounded = scipy.optimize.lsq_linear(design, DATA.y, (-1, 1)).x
    np.testing.assert_allclose(linear_training.adamw(design, DATA.y, 1.0, 4000, 1)[-1], bounded, atol=1e-4)


def test_a_free_intercept_is_not_decayed_and_floatx_is_put_back():
    import keras

    from keras_dl.laboratory import linear_training

    design = polynomials.monomials(DATA.x, 1)
    end = linear_training.adamw(design, DATA.y + 5, 1.0, 4000, 1, rate=0.1, free_intercept=True)[-1]
    bounded = scipy.optimize.lsq_linear(design, DATA.y + 5, ([-np.inf, -1], [np.inf, 1])).x
    np.testing.assert_allclose(end, bounded, atol=1e-4)
    assert keras.config.floatx() == "float32"
