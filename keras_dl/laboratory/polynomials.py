"""Polynomials fitted to points: bases, exact least squares, gradient descent step by step, errors by order.

A polynomial of order k is linear in its P = k + 1 weights: f(x) = sum_j w_j b_j(x), in matrix form f = B w with the
design matrix B (N, P) of N points. Everything is float64. Nothing here imports TensorFlow.

Sources: Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, sections 3.2 (least squares), 7.3 (bias
and variance), 7.4 (optimism of the training error) and 7.10 (cross-validation).
"""

import numpy as np


def monomials(x, order):
    """The design matrix of the powers 1, x, ..., x^order: (N,) -> (N, order + 1)."""
    return np.vander(np.asarray(x, np.float64), order + 1, increasing=True)


def legendre(x, order, domain):
    """The design matrix of Legendre polynomials on an interval.

    They are orthogonal under the uniform density on the interval: the nearer the points are to that, the nearer the
    condition number is to that of orthonormal polynomials.

    Args:
        x: (N,).
        order: the highest degree.
        domain: (low, high), mapped to [-1, 1].

    Returns:
        (N, order + 1).
    """
    low, high = domain
    return np.polynomial.legendre.legvander((2 * np.asarray(x, np.float64) - low - high) / (high - low), order)


def orthonormal(design):
    """A basis of the same functions that is orthonormal at the points.

    Args:
        design: (N, P) of rank P, with a first column of ones.

    Returns:
        (Q (N, P) with Q^T Q = N I, R (P, P)): design = Q R. Weights v of Q are the weights R^-1 v of `design`. The
        first column of Q is that of ones.
    """
    q, r = np.linalg.qr(design)
    signs, root = np.where(np.diag(r) < 0, -1.0, 1.0), np.sqrt(len(design))
    return q * signs * root, r * signs[:, None] / root


def condition_number(design, penalty=0.0):
    """Largest by smallest eigenvalue of B^T B + diag(penalty), of which the Hessian of the squared error is a multiple.

    Gradient descent at the learning rate of `rate` needs so many steps to shrink the slowest part of the distance to
    the minimum by a factor of e. Infinite if the smallest eigenvalue is 0.

    Args:
        design: (N, P).
        penalty: a number, or (P,) for each weight its own.
    """
    values = np.linalg.svd(_augmented(design, penalty), compute_uv=False)
    return float((values[0] / values[-1]) ** 2) if values[-1] > 0 else float("inf")


def least_squares(design, y, penalty=0.0):
    """The weights that minimise |B w - y|^2 + sum_j penalty_j w_j^2.

    With a penalty gamma for all weights this is ridge regression, w = (B^T B + gamma I)^-1 B^T y. It is solved by the
    singular values of B with rows sqrt(penalty) below, never by B^T B, whose condition number is the square of B's.

    Args:
        design: (N, P).
        y: (N,).
        penalty: a number, or (P,) for each weight its own.

    Returns:
        (P,) weights; of several minima the one with the smallest norm.
    """
    rows = _augmented(design, penalty)
    return np.linalg.lstsq(rows, np.concatenate([y, np.zeros(len(rows) - len(y))]), rcond=None)[0]


def squared_error(design, weights, y):
    """|B w - y|^2, the sum over the points (SSE)."""
    return float(np.sum((design @ weights - y) ** 2))


def rate(design, penalty=0.0):
    """The learning rate 1 / largest eigenvalue of the Hessian 2 (B^T B + diag(penalty)) / N of the mean squared error.

    In the eigenvectors of the Hessian a step then shrinks the distance from the minimum by 1 - eigenvalue / largest:
    to 0 along the steepest one, and along the flattest by 1 - 1 / condition number.
    """
    largest = np.linalg.norm(_augmented(design, penalty), 2) ** 2
    return float(len(design) / (2 * largest))


def descended(design, y, rate, steps, penalty=0.0):
    """The weights after t steps of gradient descent from 0 on (|B w - y|^2 + sum_j penalty_j w_j^2) / N.

    In the eigenvectors q_i of the Hessian each step shrinks the distance from the minimum by 1 - rate * eigenvalue_i:
    w_t = w* - sum_i (1 - rate * eigenvalue_i)^t q_i q_i^T w*.

    Args:
        design: (N, P).
        y: (N,).
        rate: the learning rate.
        steps: (T,) numbers of steps t, each at least 0.
        penalty: a number, or (P,) for each weight its own.

    Returns:
        (T, P) weights.
    """
    _, values, directions = np.linalg.svd(_augmented(design, penalty), full_matrices=False)
    best = directions @ least_squares(design, y, penalty)  # in the eigenvectors
    left = (1 - 2 * rate * values**2 / len(design)) ** np.asarray(steps, np.float64)[:, None]
    return ((1 - left) * best) @ directions


def folds(count, parts, seed):
    """Draw a partition of `count` points: a list of `parts` arrays of indices, whose sizes differ by at most 1."""
    return np.array_split(np.random.default_rng(seed).permutation(count), parts)


def cross_validation(x, y, order, parts):
    """Mean squared errors of a polynomial of some order: on the points it was fitted to, and on those left out.

    Args:
        x, y: (N,).
        order: of the polynomial.
        parts: list of arrays of indices, as from `folds`; each is left out once; N parts: leave-one-out.

    Returns:
        (training error of a fit to all points, validation error: the mean over the points, each predicted by the fit
        without its part; None if a part leaves fewer different x than the polynomial has weights).
    """
    design = monomials(x, order)
    train = squared_error(design, least_squares(design, y), y) / len(y)
    errors = np.empty(len(y))
    for part in parts:
        rest = np.setdiff1d(np.arange(len(y)), part)
        if len(np.unique(x[rest])) <= order:
            return train, None
        errors[part] = (design[part] @ least_squares(design[rest], y[rest]) - y[part]) ** 2
    return train, float(errors.mean())


def _augmented(design, penalty):
    """(N + P, P): the design matrix with rows sqrt(penalty) below; without them if no weight has a penalty."""
    penalty = np.broadcast_to(np.asarray(penalty, np.float64), design.shape[1:])
    return np.concatenate([design, np.diag(np.sqrt(penalty))]) if penalty.any() else design
