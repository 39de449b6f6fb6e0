"""Linear regression with Gaussian noise and a Gaussian prior: likelihood, prior, MAP, posterior and its bands.

    y = B w + e,   e ~ N(0, sigma^2 I),   w_j ~ N(0, tau^2)

    -log p(y | w)  =  |B w - y|^2 / (2 sigma^2)  +  N log(sigma sqrt(2 pi))         maximum likelihood: least squares
    -log p(w)      =  |w|^2 / (2 tau^2)          +  P log(tau sqrt(2 pi))
    -log p(w | y)  =  the sum of both, up to a constant                             MAP: ridge, gamma = sigma^2 / tau^2

MAP is the maximum a posteriori. The slide "Role of the prior" has the prior N(0, 1), hence gamma = sigma^2; in general
gamma = sigma^2 / tau^2 beside the sum of squares, and gamma / N beside their mean (Keras' l2). A prior on the intercept
pulls the curve to y = 0, so that the fit to data that were moved up is not the fit moved up; with a precision of 0 for
the intercept it is.

Sources: Bishop, Pattern Recognition and Machine Learning, sections 1.2.5, 3.1.1 and 3.3; Rasmussen and Williams,
Gaussian Processes for Machine Learning, section 2.1. Everything is float64. Nothing here imports TensorFlow.
"""

import math

import numpy as np

from keras_dl.laboratory.polynomials import least_squares


def precision(count, tau, free_intercept=False):
    """1 / tau^2 for each of P weights, (P,): of the prior; 0 for the first one if the intercept is free."""
    prior = np.full(count, 1 / tau**2)
    if free_intercept:
        prior[0] = 0.0
    return prior


def log_likelihood(residuals, sigma):
    """log p(y | w) in nats: residuals (..., N) = B w - y -> (...); sigma broadcasts against (...)."""
    residuals, sigma = np.asarray(residuals), np.asarray(sigma, np.float64)
    squares = np.sum(residuals**2, axis=-1)
    return -squares / (2 * sigma**2) - residuals.shape[-1] * np.log(sigma * math.sqrt(2 * math.pi))


def likelihood_gradient(design, y, weights, sigma):
    """The gradient of log p(y | w) by w: weights (..., P) -> (..., P), B^T (y - B w) / sigma^2."""
    return (y - weights @ design.T) @ design / sigma**2


def prior_gradient(weights, prior):
    """The gradient of log p(w) by w: weights (..., P), prior precision (P,) -> (..., P), towards 0."""
    return -prior * weights


def maximum_a_posteriori(design, y, sigma, prior):
    """The weights (P,) of largest posterior density: ridge regression with the penalty sigma^2 * precision."""
    return least_squares(design, y, sigma**2 * prior)


def climbed(design, y, sigma, prior, steps):
    """The weights after steps of gradient ascent on the log posterior from 0: at each the two fields are added.

    Args:
        design: (N, P).
        y: (N,).
        sigma: standard deviation of the noise.
        prior: (P,) precision of the prior.
        steps: their number; the learning rate is 1 / the largest curvature.

    Returns:
        (P,).
    """
    curvature = np.linalg.eigvalsh(design.T @ design / sigma**2 + np.diag(prior))
    rate, weights = 1 / curvature[-1], np.zeros(design.shape[1])
    for _ in range(steps):
        weights = weights + rate * (likelihood_gradient(design, y, weights, sigma) + prior_gradient(weights, prior))
    return weights


def posterior(design, y, sigma, prior):
    """The Gaussian p(w | y): (mean (P,), covariance (P, P)).

    The covariance is (B^T B / sigma^2 + diag(precision))^-1; the mean is the MAP.
    """
    rows = np.concatenate([design / sigma, np.diag(np.sqrt(prior))])
    _, values, directions = np.linalg.svd(rows, full_matrices=False)
    inverse_root = directions.T / values
    return maximum_a_posteriori(design, y, sigma, prior), inverse_root @ inverse_root.T


def predictive(design, mean, covariance, sigma):
    """What the posterior says at new points.

    Args:
        design: (M, P) of the new points, rows b.
        mean, covariance: (P,), (P, P) of the weights.
        sigma: standard deviation of the noise.

    Returns:
        ((M,) means b^T mean, (M,) standard deviations of the function, sqrt(b^T covariance b), (M,) those of an
        outcome y there, with the variance of the noise added).
    """
    of_function = np.sum(design @ covariance * design, axis=1)
    return design @ mean, np.sqrt(of_function), np.sqrt(of_function + sigma**2)
