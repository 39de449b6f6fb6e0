"""The plane in which a training moves most: principal components of the weights that it passed through.

Source: Li et al., arXiv:1712.09913, section 7.2: PCA of theta_i - theta_n, with theta_n the last point; the two
components that explain most of the variance span the plane, through theta_n. Deviation: all trainable weights are
components of a point, also biases and those of normalisation, since the path moves them as well.
That two directions explain much need not say anything of networks: a random walk in many dimensions has the shares
6 / pi**2 = 0.61 and 0.15 as well (Antognini and Sohl-Dickstein, arXiv:1806.08805). `of_random_walk` gives them.
Shapes: T points, P weights.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Components:
    """Principal components of a path.

    Attributes:
        directions: (2, P) orthonormal, the two that explain most.
        shares: (T - 1,) of the variance, descending; they sum to 1.
        coordinates: (T, 2) of the points along the directions, seen from the last point, which is (0, 0).
    """

    directions: np.ndarray
    shares: np.ndarray
    coordinates: np.ndarray


def of_path(points):
    """The Components of a path (T, P).

    Raises:
        ValueError: there are fewer than three points, or they do not differ in two directions.
    """
    points = np.asarray(points, np.float64)
    if len(points) < 3:
        raise ValueError(f"a path must have at least 3 points to span a plane; got {len(points)}")
    centered = points - points.mean(0)
    # T is small and P is large: the eigenvectors of the (T, T) products give the directions.
    squares, vectors = np.linalg.eigh(centered @ centered.T)
    squares, vectors = squares[::-1][: len(points) - 1], vectors[:, ::-1]
    if squares[1] <= 1e-12 * squares[0]:
        raise ValueError("the points of a path must differ in two directions")
    squares = np.maximum(squares, 0)
    directions = np.linalg.qr((vectors[:, :2].T @ centered).T)[0].T
    directions *= np.where((points[0] - points[-1]) @ directions.T < 0, -1, 1)[:, None]  # the start at positive ones
    return Components(directions, squares / squares.sum(), (points - points[-1]) @ directions.T)


def of_random_walk(steps):
    """The shares (T - 1,) that a random walk of T = steps + 1 points has in infinitely many dimensions.

    >>> of_random_walk(1000)[:2].round(2).tolist()
    [0.61, 0.15]
    """
    walk = np.tril(np.ones((steps + 1, steps + 1)))[:, 1:]  # point t is the sum of the first t steps
    centered = walk - walk.mean(0)
    squares = np.linalg.eigvalsh(centered @ centered.T)[::-1][:steps]
    return np.maximum(squares, 0) / np.maximum(squares, 0).sum()
