"""The Fréchet distance of two sets of features, each taken for a normal distribution.

Source: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium"
(arXiv:1706.08500), equation 6; Dowson and Landau 1982. Their FID is this distance in the features of one Inception
network on pictures of one size. In the features of another network it is another number: it is then called the "Fréchet
distance in classifier features", and says nothing beside published FIDs.
It falls with the number of examples, since it is biased: compare only figures of the same number, features and size.
Shapes: N examples, D features.
"""

import dataclasses

import numpy as np
import scipy.linalg

from keras_dl.errors import UserError


@dataclasses.dataclass(frozen=True)
class Moments:
    """What the distance needs of a set of features.

    Attributes:
        mean: (D,).
        covariance: (D, D), of the sample (divided by N - 1).
        count: N.
    """

    mean: np.ndarray
    covariance: np.ndarray
    count: int

    @classmethod
    def of(cls, features):
        """The moments of features (N, D).

        Raises:
            UserError: N is not above D, so that the covariance has no inverse; or a feature is not finite.
        """
        features = np.asarray(features, np.float64)
        count, width = features.shape
        if count <= width:
            raise UserError(
                f"frechet: the examples must be more than the features, {width}, so that their covariance has an "
                f"inverse; got {count}. Take more examples, or fewer features."
            )
        if not np.isfinite(features).all():
            raise UserError("frechet: features must be finite; got nan or inf.")
        return cls(features.mean(0), np.cov(features, rowvar=False).reshape(width, width), count)


def distance(one, two):
    """|m1 - m2|^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2)), at least 0.

    The trace of the root is the sum of the roots of the eigenvalues of R C2 R, which is symmetric, where R is the root
    of C1: no complex numbers appear, also where a covariance has no inverse.

    Args:
        one, two: Moments with the same number of features.

    Raises:
        UserError: they have different numbers of features.

    >>> one, two = (Moments(np.zeros(2), variance * np.eye(2), 9) for variance in (1.0, 4.0))
    >>> distance(one, two)  # two times (2 - 1)^2
    2.0
    """
    if one.mean.shape != two.mean.shape:
        raise UserError(
            f"frechet: both sets must have the same features; got {one.mean.size} and {two.mean.size} of them."
        )
    root = _root(one.covariance)
    of_product = np.clip(scipy.linalg.eigvalsh(root @ two.covariance @ root), 0.0, None)
    difference = one.mean - two.mean
    spread = np.trace(one.covariance) + np.trace(two.covariance) - 2.0 * np.sqrt(of_product).sum()
    return float(max(0.0, difference @ difference + spread))


def _root(matrix):
    """The symmetric root of a symmetric matrix without negative eigenvalues."""
    values, vectors = scipy.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
