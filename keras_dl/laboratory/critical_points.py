"""Critical points of a loss: found by Newton's method, with their index, and how index and loss go together.

Source: Dauphin et al. (arXiv:1406.2572), section 3 and its appendix on critical points: Newton's method from points
along the path of a training, with noise, and from random points; of each point found, the training error and the index,
which is the share of negative eigenvalues of the Hessian.

Plain Newton steps do not bring the gradient of a network near zero, as several who repeated the experiment report,
since the Hessian is nearly singular almost everywhere. The steps here are those of Levenberg and Marquardt for the
squared norm of the gradient, -(H^2 + mu I)^-1 H g. With mu = 0 it is Newton's step; one that raises the norm is tried
again with a larger mu. Minima, saddles and maxima attract alike. The search can end where H g is zero and g is not
(Frye et al., arXiv:2003.10397): such points are no critical points, and are left out. They are the end of most searches
from the paths. Further critical points are therefore taken from smaller networks: where a unit has no weights, in or
out, the gradient of its weights is zero, so that a critical point of a network without it is one of the larger network,
too, and its minima are saddles there (Fukumizu and Amari 2000).
"""

import dataclasses

import numpy as np

from keras_dl import bootstrap, figures

TOLERANCE = 1e-7  # norm of the gradient of a critical point
ZERO = 1e-9  # share of the largest eigenvalue's size up to which another counts as zero
SMALLEST_MU, LARGEST_MU = 1e-14, 1e8
PATIENCE, STALE = 10, 0.7  # a search ends where that many steps leave more than that share of the norm
SMALLER = "smaller network"  # the origin of a point that is a minimum of one
SAME = 1e-6  # difference of the losses up to which points of the same index count as one


@dataclasses.dataclass(frozen=True)
class CriticalPoint:
    """A point where the gradient is zero.

    Attributes:
        weights: (P,).
        loss: the value there.
        eigenvalues: (P,) of the Hessian, from the lowest.
        steps: that the search took.
    """

    weights: np.ndarray
    loss: float
    eigenvalues: np.ndarray
    steps: int

    @property
    def index(self):
        return index(self.eigenvalues)


def index(eigenvalues):
    """The share of negative eigenvalues; those that are zero up to rounding are not negative.

    >>> index(np.array([-2.0, -1e-12, 1.0, 10.0]))
    0.25
    """
    eigenvalues = np.asarray(eigenvalues)
    return float(np.mean(eigenvalues < -ZERO * np.abs(eigenvalues).max()))


def search(objective, start, *, steps=60, tolerance=TOLERANCE):
    """Search a critical point from a start.

    Args:
        objective: with first(weights) -> (loss, gradient (P,)) and hessian(weights) -> (P, P), such as
            one_hidden_layer.OneHiddenLayer.
        start: (P,).
        steps: most steps.
        tolerance: norm of the gradient below which a point is critical.

    Returns:
        A CriticalPoint; None if none was found within `steps`, or if the norm hardly falls any more.
    """
    weights, mu = np.array(start, np.float64), 1e-2
    loss, gradient = objective.first(weights)
    norms = [np.linalg.norm(gradient)]
    while norms[-1] >= tolerance:
        if len(norms) > steps or (len(norms) > PATIENCE and norms[-1] > STALE * norms[-1 - PATIENCE]):
            return None
        hessian = objective.hessian(weights)
        square, along = hessian @ hessian, hessian @ gradient
        while True:
            step = -np.linalg.solve(square + mu * norms[-1] * np.eye(len(weights)), along)
            new_loss, new_gradient = objective.first(weights + step)
            if np.linalg.norm(new_gradient) < norms[-1]:
                break
            mu *= 10
            if mu > LARGEST_MU:
                return None
        weights, loss, gradient, mu = weights + step, new_loss, new_gradient, max(mu / 10, SMALLEST_MU)
        norms.append(np.linalg.norm(gradient))
    eigenvalues = np.linalg.eigvalsh(objective.hessian(weights))
    return CriticalPoint(weights, float(loss), eigenvalues, len(norms) - 1)


def descend(objective, start, directions, steps):
    """The weights after some steps, each the one of the directions(gradient, hessian) with the lowest loss."""
    weights = np.array(start, np.float64)
    for _ in range(steps):
        candidates = weights + np.asarray(directions(objective.first(weights)[1], objective.hessian(weights)))
        weights = min(candidates, key=lambda each: objective.first(each)[0])
    return weights


def collect(objective, starts, steps=60):
    """Search from each of [(origin, start)]; return [(origin, CriticalPoint)] of the searches that found one."""
    points = [(origin, search(objective, start, steps=steps)) for origin, start in starts]
    return [(origin, point) for origin, point in points if point is not None]


def distinct(points):
    """[(origin, point)] without those that have the index and, up to SAME, the loss of one before: mirror images."""
    kept = []
    for origin, point in points:
        if not any(abs(point.loss - other.loss) < SAME and point.index == other.index for _, other in kept):
            kept.append((origin, point))
    return kept


def rank_correlation(x, y, seed=0):
    """Spearman's rank correlation of two arrays (N,), neither of them constant, and its bootstrap interval.

    Equal values have the mean of their ranks. A resample without different values counts as 0.

    Returns:
        (correlation, (low, high)), the interval of bootstrap.LEVEL percent.
    """
    x, y = np.asarray(x), np.asarray(y)
    low, high = bootstrap.interval(lambda rows: _spearman(x[rows], y[rows]), len(x), seed)
    return _spearman(x, y), (low, high)


def _spearman(x, y):
    a, b = _centred_ranks(x), _centred_ranks(y)
    size = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / size) if size else 0.0


def _centred_ranks(values):
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return (ranks - (len(inverse) + 1) / 2)[inverse]


def drawing(points, errors, said=""):
    """A figure: error against index of critical points, and the spectra of three of them.

    Args:
        points: [(origin, CriticalPoint)], at least one; the origin says in words where its search began.
        errors: their training errors in percent.
        said: a sentence above the scatter.
    """
    figure = figures.figure_of(9.6, 4.2)
    left, right = figure.subplots(1, 2)
    origins, points = zip(*points, strict=True)
    indices = np.array([point.index for point in points])
    for colour, origin in zip(figures.COLOURS, dict.fromkeys(origins), strict=False):
        chosen = [number for number, each in enumerate(origins) if each == origin]
        left.plot(100 * indices[chosen], np.take(errors, chosen), "o", color=colour, markersize=5, label=origin)
    left.set_xlabel("index: negative eigenvalues (%)")
    left.set_ylabel("training error (%)")
    left.set_title(said, fontsize=11)
    left.legend(fontsize=8, loc="lower right")
    order = np.argsort(indices, kind="stable")
    for colour, number in zip(figures.COLOURS, order[[0, len(order) // 2, -1]], strict=False):
        label = f"index {100 * indices[number]:.1f}%, error {errors[number]:.1f}%"
        right.plot(points[number].eigenvalues, np.linspace(0, 100, len(points[number].eigenvalues)), color=colour,
                   label=label)  # fmt: skip
    right.axvline(0, color="black", linewidth=0.6)
    right.set_xscale("symlog", linthresh=1e-4)
    right.set_xlabel("eigenvalue of the Hessian")
    right.set_ylabel("eigenvalues up to there (%)")
    right.set_title("spectra of three critical points", fontsize=11)
    right.tick_params(axis="x", labelsize=7)
    right.legend(fontsize=8, loc="upper left")
    return figure
