"""What the pictures of the prior show, as arrays: MAP three times, the two gradient fields, weight decay, bands.

Each function returns {name: array}, which the app saves beside the picture that curve_figures.py draws from it. Weights
and values are those of the fit (points.Points); the two weights of the line are (intercept, slope).
"""

import math

import numpy as np

from keras_dl.laboratory import bayes, linear_training, polynomials
from keras_dl.laboratory.curve_numbers import RECORDS, along

ARROWS = 11  # of a field, along each axis
LONGEST = 50_000  # steps of a training
DIGITS = 12  # to which gradient descent converges, if LONGEST allows it
ADAM_STEPS = 6000
STRONG = 1.0  # a second decay of AdamW, which bounds the weights by 1


def maximum_a_posteriori(data, orders, sigma, tau, free_intercept=False, run=None):
    """MAP three times: in closed form, by gradient ascent along both fields, and by Keras with l2(gamma / N).

    The trainings by Keras are kept in `run`, if there is one.

    Returns:
        "orders" (K,); "closed_form", "ascent" and "keras" (K, P), weights by rising powers of x, those that an order
        lacks nan; "steps" (K,) of the two trainings; "difference" (K,), the largest between two of the three.
    """
    ways = np.full((3, len(orders), max(orders) + 1), np.nan)
    all_steps = []
    for row, order in enumerate(orders):
        design = polynomials.monomials(data.x, order)
        prior = bayes.precision(order + 1, tau, free_intercept)
        penalty = sigma**2 * prior
        steps = _enough(polynomials.condition_number(design, penalty))
        rate = polynomials.rate(design, penalty)
        trained = linear_training.kept(
            run, f"map_order{order}", linear_training.descend, design, data.y, rate, steps, gamma=(sigma / tau) ** 2,
            free_intercept=free_intercept,
        )  # fmt: skip
        closed_form = bayes.maximum_a_posteriori(design, data.y, sigma, prior)
        ascent = bayes.climbed(design, data.y, sigma, prior, steps)
        ways[:, row, : order + 1] = closed_form, ascent, trained[-1]
        all_steps.append(steps)
    difference = np.nanmax(np.ptp(ways, axis=0), axis=-1)
    named = dict(zip(("closed_form", "ascent", "keras"), ways, strict=True))
    return named | {"orders": np.array(orders), "steps": np.array(all_steps), "difference": difference}


def fields(data, sigma, tau, free_intercept=False):
    """The gradients of log likelihood, log prior and log posterior over the two weights of the line.

    Returns:
        "intercepts" and "slopes" (M,) with "logs" (3, M, M), nats without constants, slopes along the first of the two
        axes; "at" (A, 2) with the gradients "vectors" (3, A, 2); "marks" (3, 2): least squares, 0, MAP.
    """
    design, prior = polynomials.monomials(data.x, 1), bayes.precision(2, tau, free_intercept)
    least = polynomials.least_squares(design, data.y)
    marks = np.array([least, [0, 0], bayes.maximum_a_posteriori(design, data.y, sigma, prior)])
    intercepts, slopes = _around(marks, 121)
    weights = _grid(intercepts, slopes)
    of_data = -np.sum((weights @ design.T - data.y) ** 2, axis=-1) / (2 * sigma**2)
    of_prior = -np.sum(prior * weights**2, axis=-1) / 2
    at = _grid(*_around(marks, ARROWS, inside=0.06)).reshape(-1, 2)
    forces = bayes.likelihood_gradient(design, data.y, at, sigma), bayes.prior_gradient(at, prior)
    return {
        "intercepts": intercepts, "slopes": slopes, "logs": np.array([of_data, of_prior, of_data + of_prior]),
        "at": at, "vectors": np.array([*forces, sum(forces)]), "marks": marks,
    }  # fmt: skip


def weight_decay(data, sigma, tau, free_intercept=False, steps=ADAM_STEPS, run=None):
    """Paths of Adam with l2 and of AdamW over the two weights of the line; the trainings are kept in `run`, if given.

    Returns:
        "intercepts", "slopes" (M,) with "loss" (M, M), the mean squared error; "paths" (3, T, 2) of Adam with
        l2(gamma / N), AdamW with the weight decay "decays"[1] = 2 gamma / N, which for plain gradient descent would be
        the same, and with "decays"[2] = STRONG; "marks" (2, 2): least squares, MAP.
    """
    design, gamma = polynomials.monomials(data.x, 1), (sigma / tau) ** 2
    prior = bayes.precision(2, tau, free_intercept)
    same = 2 * gamma / len(data)
    trainings = {
        "adam_l2": (linear_training.adam_with_l2, gamma), "adamw": (linear_training.adamw, same),
        "adamw_strong": (linear_training.adamw, STRONG),
    }  # fmt: skip
    paths = [
        linear_training.kept(run, name, train, design, data.y, decay, steps, RECORDS * 5, free_intercept=free_intercept)
        for name, (train, decay) in trainings.items()
    ]
    least = polynomials.least_squares(design, data.y)
    marks = np.array([least, bayes.maximum_a_posteriori(design, data.y, sigma, prior)])
    intercepts, slopes = _around(np.concatenate([marks, *paths]), 121)
    loss = np.mean((_grid(intercepts, slopes) @ design.T - data.y) ** 2, axis=-1)
    return {
        "intercepts": intercepts, "slopes": slopes, "loss": loss, "paths": np.array(paths), "marks": marks,
        "decays": np.array([same, same, STRONG]),
    }  # fmt: skip


def bands(data, orders, sigma, tau, free_intercept=False):
    """What the posterior says of the curve and of an outcome, over the range of the points and a quarter beyond.

    Returns:
        "orders" (K,); "x" (M,) with "mean", "of_function" and "of_outcome" (K, M), the latter two standard deviations.
    """
    x, says = along(data, beyond=0.25), []
    for order in orders:
        design, prior = polynomials.monomials(data.x, order), bayes.precision(order + 1, tau, free_intercept)
        weights = bayes.posterior(design, data.y, sigma, prior)
        says.append(bayes.predictive(polynomials.monomials(x, order), *weights, sigma))
    named = dict(zip(("mean", "of_function", "of_outcome"), np.array(says).swapaxes(0, 1), strict=True))
    return named | {"orders": np.array(orders), "x": x}


def _enough(condition):
    """Steps of gradient descent until DIGITS digits are right, at most LONGEST; a multiple of RECORDS."""
    steps = min(LONGEST, DIGITS * math.log(10) * condition)
    return RECORDS * math.ceil(steps / RECORDS)


def _around(marks, count, inside=0.0):
    """Two axes, (count,) each, around points (K, 2); `inside`: this share of the range is left at either end."""
    low, high = marks.min(0), marks.max(0)
    room = 0.35 * np.maximum(high - low, 0.5)
    low, high = low - room, high + room
    return np.linspace(low + inside * (high - low), high - inside * (high - low), count).T


def _grid(intercepts, slopes):
    """(slopes, intercepts, 2): the pairs (intercept, slope)."""
    return np.stack(np.meshgrid(intercepts, slopes), axis=-1)
