"""Eigenvalues of a large symmetric matrix that is only known by its products with vectors, with error bars.

Sources: Lanczos' iteration with full reorthogonalisation (Golub and Van Loan, Matrix Computations, section 10.3); the
residual norm of a Ritz pair as the distance to an eigenvalue (Parlett, The Symmetric Eigenvalue Problem, section 4.5);
the density of all eigenvalues by stochastic Lanczos quadrature (Ubaru, Chen and Saad 2017; for Hessians of networks
Ghorbani et al., arXiv:1901.10159, algorithm 1).
Shapes: P weights, m steps, K probes.
"""

import dataclasses

import numpy as np

NOTHING = 1e-6  # beta below this share of the largest alpha: the vectors so far span an invariant subspace


@dataclasses.dataclass(frozen=True)
class Ritz:
    """What m steps of Lanczos' iteration know of a matrix.

    Attributes:
        values: (m,) Ritz values, ascending: approximate eigenvalues.
        errors: (m,) norms of their residuals: within this distance of each there is an eigenvalue.
        weights: (m,) squares of the start's components along the Ritz vectors; they sum to 1.
    """

    values: np.ndarray
    errors: np.ndarray
    weights: np.ndarray

    @property
    def largest(self):
        """(the largest Ritz value, its error)."""
        return float(self.values[-1]), float(self.errors[-1])


def iterate(product, start, steps, *, tolerance=0.0, precision=0.0, at=lambda number, total: None):
    """Lanczos' iteration on a symmetric matrix.

    Args:
        product: function of a vector (P,) -> matrix times vector (P,).
        start: (P,), not 0.
        steps: largest number of products; no more than P are made.
        tolerance: end when the largest Ritz value's error is below this share of it; 0: only if nothing is left.
        precision: relative error of a product, as by rounding; no error is below this share of the largest value.
        at: called with the number of products made, and `steps`.

    Returns:
        Ritz.

    Raises:
        ValueError: a product is not finite.
    """
    size = len(start)
    steps = min(steps, size)
    basis = np.empty((steps, size))
    basis[0] = start / np.linalg.norm(start)
    alphas, betas = [], []
    for number in range(steps):
        image = np.asarray(product(basis[number]), np.float64)
        if not np.isfinite(image).all():
            raise ValueError("a product with the matrix is not finite")
        at(number + 1, steps)
        alphas.append(float(basis[number] @ image))
        known = basis[: number + 1]
        for _ in range(2):  # twice is enough: in exact arithmetic only the last two components are not 0
            image = image - known.T @ (known @ image)
        betas.append(float(np.linalg.norm(image)))
        ritz = _ritz(alphas, betas, precision)
        if betas[-1] <= NOTHING * max(np.abs(ritz.values).max(), np.finfo(float).tiny):
            break
        if tolerance and number > 1 and ritz.errors[-1] <= tolerance * abs(ritz.values[-1]):
            break
        if number + 1 < steps:
            basis[number + 1] = image / betas[-1]
    return ritz


def probes(size, count, seed):
    """Random vectors (count, P) of entries -1 and 1, whose quadratic forms have the trace as their mean."""
    return np.random.default_rng(seed).integers(0, 2, (count, size)) * 2.0 - 1.0


def moments(each, size, power):
    """(mean, standard error) over the probes of an estimate of the trace of the matrix to a power.

    Args:
        each: a list of Ritz, one for each probe.
        size: P.
        power: 1: the trace, 2: the sum of squared eigenvalues, ...; exact for a probe if below 2 m.
    """
    values = np.array([size * np.sum(ritz.weights * ritz.values**power) for ritz in each])
    return float(values.mean()), _standard_error(values)


def counts_above(each, size, levels):
    """The number of eigenvalues above each level: (mean, standard error) over the probes, both (L,)."""
    levels = np.asarray(levels, float)
    shares = np.array([(ritz.weights * (ritz.values > levels[:, None])).sum(1) for ritz in each])
    return size * shares.mean(0), size * _standard_error(shares)


def density(each, grid, width):
    """The density of the eigenvalues, each replaced by a Gaussian: (mean, standard error) over the probes, both (G,).

    Args:
        each: a list of Ritz, one for each probe.
        grid: (G,) points.
        width: the Gaussians' standard deviation, the same everywhere or (G,).
    """
    grid, width = np.asarray(grid, float)[:, None], np.asarray(width, float).reshape(-1, 1)
    curves = np.array(
        [
            (ritz.weights * np.exp(-0.5 * ((grid - ritz.values) / width) ** 2) / (width * np.sqrt(2 * np.pi))).sum(1)
            for ritz in each
        ]
    )
    return curves.mean(0), _standard_error(curves)


def _ritz(alphas, betas, precision):
    """The Ritz pairs of the tridiagonal matrix with `alphas` on the diagonal and all but the last of `betas` beside."""
    beside = betas[:-1]
    values, vectors = np.linalg.eigh(np.diag(alphas) + np.diag(beside, 1) + np.diag(beside, -1))
    errors = np.maximum(betas[-1] * np.abs(vectors[-1]), precision * np.abs(values).max())
    return Ritz(values, errors, vectors[0] ** 2)


def _standard_error(values):
    """Of the mean over the first axis; nan of a single value."""
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan) if values.ndim > 1 else float("nan")
    error = values.std(0, ddof=1) / np.sqrt(len(values))
    return error if values.ndim > 1 else float(error)
