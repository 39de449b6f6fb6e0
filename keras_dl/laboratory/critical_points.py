"""Critical points of a loss with a given index, and how index and loss go together.

The index of a critical point is the share of negative eigenvalues of the Hessian: 0 for a minimum.

Source: Dauphin et al. (arXiv:1406.2572), section 6.1: Newton's method from points along trainings, then the training
error and the index of each point that is reached. Newton's method goes up along the eigenvectors whose eigenvalue is
negative and down along the others, and loses its way where an eigenvalue changes its sign; on networks it hardly ever
ends at a critical point (Frye et al., arXiv:2003.10397). Deviation: which directions go up is fixed before the search.
Along the K eigenvectors with the lowest eigenvalues the step goes up, along all others down,

    d = -sum_i s_i (q_i^T g) / (|lambda_i| + mu) q_i,    s_i = -1 for the K lowest, else 1,

so that a search can only end where K eigenvalues are negative. mu is the smallest one with |d| <= radius; the radius
grows where the quadratic model predicts the loss well, and shrinks, the step being tried again, where it does not. In
chemistry, where saddles are the transition states of reactions, this is known as eigenvector following (Cerjan and
Miller 1981; Banerjee et al. 1985). Near a critical point of index K it is Newton's step, and converges as fast.
"""

import dataclasses

import numpy as np

from keras_dl import bootstrap

TOLERANCE = 1e-7  # norm of the gradient of a critical point
ZERO = 1e-9  # share of the largest eigenvalue's size up to which another counts as zero
RADIUS, LARGEST_RADIUS, SMALLEST_RADIUS = 0.5, 3.0, 1e-6
# |actual / predicted change - 1| of the loss: below the first the radius grows, above the second it shrinks
GOOD, BAD = 0.3, 0.75
ROUNDING = 1e-12  # share of the loss below which its change says nothing
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
        """The share of negative eigenvalues."""
        return index(self.eigenvalues)


def negative(eigenvalues):
    """How many eigenvalues are negative; those that are zero up to rounding are not."""
    eigenvalues = np.asarray(eigenvalues)
    return int(np.sum(eigenvalues < -ZERO * np.abs(eigenvalues).max()))


def index(eigenvalues):
    """The share of negative eigenvalues.

    >>> index(np.array([-2.0, -1e-12, 1.0, 10.0]))
    0.25
    """
    return negative(eigenvalues) / len(eigenvalues)


def search(objective, start, upwards, *, steps=80, tolerance=TOLERANCE):
    """Search a critical point where the Hessian has a given number of negative eigenvalues.

    Args:
        objective: with first(weights) -> (loss, gradient (P,)) and hessian(weights) -> (P, P), such as
            one_hidden_layer.OneHiddenLayer.
        start: (P,).
        upwards: K, the number of negative eigenvalues, from 0 to P.
        steps: most steps.
        tolerance: norm of the gradient below which a point is critical.

    Returns:
        A CriticalPoint; None if none is reached within `steps`.
    """
    weights, radius = np.array(start, np.float64), RADIUS
    loss, gradient = objective.first(weights)
    for taken in range(steps + 1):
        values, vectors = np.linalg.eigh(objective.hessian(weights))
        if np.linalg.norm(gradient) < tolerance:
            reached = CriticalPoint(weights, float(loss), values, taken)
            return reached if negative(values) == upwards else None
        along = vectors.T @ gradient
        signs = np.where(np.arange(len(values)) < upwards, -1.0, 1.0)
        while True:
            parts = -signs * along / (np.abs(values) + _damping(values, along, radius))
            predicted = along @ parts + (values * parts) @ parts / 2
            next_loss, next_gradient = objective.first(weights + vectors @ parts)
            off = 0.0
            if abs(predicted) > ROUNDING * max(1.0, abs(loss)):
                off = abs((next_loss - loss) / predicted - 1)
            if off < BAD or radius < SMALLEST_RADIUS:
                break
            radius *= 0.4
        if off < GOOD:
            radius = min(2 * radius, LARGEST_RADIUS)
        weights, loss, gradient = weights + vectors @ parts, next_loss, next_gradient
    return None


def descend(objective, start, dampings, steps):
    """The weights (P,) after some steps of saddle-free Newton, each with the best of the `dampings`."""
    weights = np.array(start, np.float64)
    for _ in range(steps):
        values, vectors = np.linalg.eigh(objective.hessian(weights))
        along = vectors.T @ objective.first(weights)[1]
        tried = [weights - vectors @ (along / (np.abs(values) + damping)) for damping in dampings]
        weights = min(tried, key=lambda each: objective.first(each)[0])
    return weights


def distinct(points):
    """The CriticalPoints without those that have the index and, up to SAME, the loss of one before: mirror images."""
    kept = []
    for point in points:
        if not any(abs(point.loss - other.loss) < SAME and point.index == other.index for other in kept):
            kept.append(point)
    return kept


def rank_correlation(x, y, seed=0):
    """Spearman's rank correlation of two arrays (N,), and its bootstrap interval.

    Equal values have the mean of their ranks. Where one of the arrays, or of a resample, has only equal values, the
    correlation counts as 0.

    Returns:
        (correlation, (low, high)), the interval of bootstrap.LEVEL percent.
    """
    x, y = np.asarray(x), np.asarray(y)
    low, high = bootstrap.interval(lambda rows: _spearman(x[rows], y[rows]), len(x), seed)
    return _spearman(x, y), (low, high)


def _damping(values, along, radius):
    """The smallest mu >= 0 with which a step is at most `radius` long, up to a percent."""

    def length(damping):
        return np.linalg.norm(along / np.maximum(np.abs(values) + damping, 1e-300))

    low, high = 1e-14, np.linalg.norm(along) / radius + 1e-14  # with the latter no step is too long
    if length(low) <= radius:
        return low
    while high > 1.01 * low:
        middle = np.sqrt(low * high)
        low, high = (middle, high) if length(middle) > radius else (low, middle)
    return high


def _spearman(x, y):
    a, b = _centred_ranks(x), _centred_ranks(y)
    size = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / size) if size else 0.0


def _centred_ranks(values):
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return (ranks - (len(inverse) + 1) / 2)[inverse]
