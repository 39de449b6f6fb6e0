"""Steps as solutions of the linearised problem within a trust region, and how far each rule is from that.

The error around theta is about L + g^T d. A step d minimises this linear model among all steps that are not too large:

    minimise  g^T d   subject to   d^T M d <= radius^2       =>       d = -radius M^-1 g / sqrt(g^T M^-1 g)

What "large" means is the matrix M: the identity gives gradient descent, the Fisher matrix the natural gradient (all
steps on the border of the region change the network's distribution equally, by a KL divergence of radius^2 / 2), and
|H|, the Hessian with its eigenvalues made positive, saddle-free Newton. Sources: Pascanu and Bengio (arXiv:1301.3584),
section 2; Dauphin et al. (arXiv:1406.2572), section 5, generalised trust region methods.
"""

import numpy as np


def step(gradient, radius, metric=None):
    """The arg min of the linear model within the trust region.

    Args:
        gradient: (P,), not zero.
        radius: length of the step as the metric measures it.
        metric: (P, P) symmetric and positive definite; None: the identity.

    Returns:
        (P,).

    Raises:
        ValueError: the gradient is zero, or the metric is not positive definite.
    """
    gradient = np.asarray(gradient, np.float64)
    metric = np.eye(len(gradient)) if metric is None else np.asarray(metric, np.float64)
    if not np.any(gradient):
        raise ValueError("trust_region.step: gradient must not be zero: every step within the region is as good.")
    if np.linalg.eigvalsh(metric)[0] <= 0:
        raise ValueError("trust_region.step: metric must be positive definite: else the region has no border.")
    towards = np.linalg.solve(metric, gradient)
    return -radius * towards / np.sqrt(gradient @ towards)


def absolute(matrix):
    """|H| = Q |Lambda| Q^T of a symmetric matrix: its eigenvalues without their signs."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.abs(values)) @ vectors.T


def compared(gradient, metrics, side=1.1):
    """One linear model in several regions of two variables, each as far as 1 in its longest direction.

    Args:
        gradient: (2,).
        metrics: list of M metrics, (2, 2) or None.
        side: half the side of the square over which the linear model is given.

    Returns:
        {"steps": (M, 2), "borders": (M, count, 2), "side": (A,), "linear_model": (A, A), the first axis that of the
        second variable}.
    """
    radii = [1.0 if metric is None else np.sqrt(np.linalg.eigvalsh(metric)[0]) for metric in metrics]
    along = np.linspace(-side, side, 41)
    return {
        "steps": np.array([step(gradient, radius, metric) for radius, metric in zip(radii, metrics, strict=True)]),
        "borders": np.array([border(radius, metric) for radius, metric in zip(radii, metrics, strict=True)]),
        "side": along, "linear_model": gradient[0] * along + gradient[1] * along[:, None],
    }  # fmt: skip


def border(radius, metric=None, count=121):
    """(count, 2) points on the border of a region of two variables: an ellipse, for the identity a circle."""
    angle = np.linspace(0, 2 * np.pi, count)
    circle = radius * np.stack([np.cos(angle), np.sin(angle)])
    if metric is None:
        return circle.T
    values, vectors = np.linalg.eigh(np.asarray(metric, np.float64))
    return (vectors @ (circle / np.sqrt(values)[:, None])).T
