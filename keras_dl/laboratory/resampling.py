"""Bias and variance of polynomials over resampled data, simulated and in closed form.

Data sets are drawn as y = f(x) + sigma e with e ~ N(0, I), at the same N points x for each, from a known function f. At
a new point x the expected squared error of a fit g over data sets and new noise is

    E (y - g(x))^2  =  (f(x) - E g(x))^2  +  E (g(x) - E g(x))^2  +  sigma^2
                       squared bias          variance                noise

Source: Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, sections 7.3 and 7.4. Everything is
float64. Nothing here imports TensorFlow.
"""

import dataclasses

import numpy as np

from keras_dl.laboratory.polynomials import monomials


@dataclasses.dataclass(frozen=True)
class Errors:
    """Mean squared errors of polynomials of one order over data sets.

    Attributes:
        train: on the points to which each was fitted.
        squared_bias, variance: means over the new points.
        noise: sigma^2.
    """

    train: float
    squared_bias: float
    variance: float
    noise: float

    @property
    def validation(self):
        """The expected squared error at new points."""
        return self.squared_bias + self.variance + self.noise


def draw(function_at_x, sigma, count, seed):
    """Data sets: (N,) values of the true function -> (count, N) values with noise of standard deviation sigma."""
    noise = np.random.default_rng(seed).standard_normal((count, len(function_at_x)))
    return function_at_x + sigma * noise


def fits(x, samples, order, new):
    """The polynomials fitted to each data set, at new points: x (N,), samples (S, N), new (M,) -> (S, M)."""
    return (samples @ _solver(x, order).T) @ monomials(new, order).T


def simulated(x, samples, order, new, truth_at_new, sigma):
    """The Errors over data sets.

    Args:
        x: (N,) points of all data sets.
        samples: (S, N) their values.
        order: of the polynomials.
        new: (M,) points at which bias and variance are averaged.
        truth_at_new: (M,) values of the true function.
        sigma: standard deviation of the noise.
    """
    at_new = fits(x, samples, order, new)
    mean = at_new.mean(0)
    train = np.mean((fits(x, samples, order, x) - samples) ** 2)
    bias = np.mean((mean - truth_at_new) ** 2)
    return Errors(float(train), float(bias), float(np.mean((at_new - mean) ** 2)), float(sigma**2))


def expected(x, truth_at_x, order, new, truth_at_new, sigma):
    """The Errors over all data sets that could be drawn; arguments as of `simulated`, truth_at_x (N,).

    A fit is linear in the data, g(x) = s(x)^T y: its mean is s(x)^T f, its variance sigma^2 |s(x)|^2. At the points
    themselves the fit is the projection onto the polynomials, which leaves N - P of the N dimensions of the noise.
    """
    solver = _solver(x, order)
    at_x, at_new = monomials(x, order) @ (solver @ truth_at_x), monomials(new, order) @ (solver @ truth_at_x)
    train = np.mean((truth_at_x - at_x) ** 2) + sigma**2 * (1 - (order + 1) / len(x))
    variance = sigma**2 * np.mean(np.sum((monomials(new, order) @ solver) ** 2, axis=1))
    return Errors(float(train), float(np.mean((at_new - truth_at_new) ** 2)), float(variance), float(sigma**2))


def _solver(x, order):
    """(P, N): the matrix that turns values at x into the weights of the fitted polynomial."""
    return np.linalg.pinv(monomials(x, order))
