"""Steps as solutions of the linearised problem within a trust region, and how far each rule is from that.

The error around theta is about L + g^T d. A step d minimises this linear model among all steps that are not too large:

    minimise  g^T d   subject to   d^T M d <= radius^2       =>       d = -radius M^-1 g / sqrt(g^T M^-1 g)

What "large" means is the matrix M: the identity gives gradient descent, the Fisher matrix the natural gradient (all
steps on the border of the region change the network's distribution equally, by a KL divergence of radius^2 / 2), and
|H|, the Hessian with its eigenvalues made positive, saddle-free Newton. Sources: Pascanu and Bengio (arXiv:1301.3584),
section 2; Dauphin et al. (arXiv:1406.2572), section 5, generalised trust region methods.
"""

import numpy as np

from keras_dl import figures


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


def border(radius, metric=None, count=121):
    """(count, 2) points on the border of a region of two variables: an ellipse, for the identity a circle."""
    angle = np.linspace(0, 2 * np.pi, count)
    circle = radius * np.stack([np.cos(angle), np.sin(angle)])
    if metric is None:
        return circle.T
    values, vectors = np.linalg.eigh(np.asarray(metric, np.float64))
    return (vectors @ (circle / np.sqrt(values)[:, None])).T


def drawing(gradient, metrics, length):
    """A figure of the linear model, the region of each metric, and the step within each.

    Args:
        gradient: (2,).
        metrics: {label: (2, 2) metric or None}; each region is as large as makes its step `length` long.
        length: of the steps, by the usual ruler.
    """
    figure = figures.figure_of(6.4, 5.2)
    axes, most = figure.add_subplot(), 0.0
    for colour, (label, metric) in zip(figures.COLOURS, metrics.items(), strict=False):
        radius = length / np.linalg.norm(step(gradient, 1.0, metric))
        best, edge = step(gradient, radius, metric), border(radius, metric)
        axes.plot(edge[:, 0], edge[:, 1], color=colour, linewidth=1.6)
        arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 2.2, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", best, (0, 0), arrowprops=arrow)
        axes.plot([], [], color=colour, linewidth=2.2, label=label)
        most = max(most, np.abs(edge).max())
    x, y = np.meshgrid(*2 * [np.linspace(-1.05 * most, 1.05 * most, 41)])
    lines = axes.contour(x, y, gradient[0] * x + gradient[1] * y, levels=13, colors=figures.COLOURS[3], linewidths=0.6)
    axes.clabel(lines, fontsize=7)
    axes.set_aspect("equal")
    axes.set_xlabel("step in the first weight")
    axes.set_ylabel("step in the second weight")
    axes.set_title("linear model of the error (grey) and the best step in each region", fontsize=11)
    axes.legend(loc="best", fontsize=9)
    return figure
