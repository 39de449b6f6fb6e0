"""The pieces of a network of rectifiers on a segment of a line, exactly: intervals on which it is affine.

Between two neighbouring breaks all of a layer's sums are affine, so that their zeros, the breaks that the layer adds,
follow from their values at the two. Layers are as in regions.py.
"""

import dataclasses

import numpy as np

from keras_dl.errors import UserError
from keras_dl.laboratory.regions import MOST, NEAR, ROUNDING, affine


@dataclasses.dataclass(frozen=True)
class Pieces:
    """The activation regions of a network on a segment of a line.

    Attributes:
        breaks: (P + 1,) ends of the pieces, ascending; values: (P + 1, K) the outputs there. Between two neighbouring
            breaks the outputs are affine.
    """

    breaks: np.ndarray
    values: np.ndarray

    def __len__(self):
        return len(self.breaks) - 1

    def slopes(self):
        """(P, K) derivatives of the outputs."""
        return np.diff(self.values, axis=0) / np.diff(self.breaks)[:, None]

    def linear(self):
        """The same function with neighbours of the same slope as one piece: its linear regions."""
        change, slopes = np.abs(np.diff(self.slopes(), axis=0)), np.abs(self.slopes())
        bends = (change > 1e-7 * np.maximum(slopes.max(0), 1e-300)).any(1)
        keep = np.concatenate([[True], bends, [True]])
        return Pieces(self.breaks[keep], self.values[keep])

    def __call__(self, x):
        """(M, K) the outputs at points x (M,) of the segment."""
        return np.stack([np.interp(x, self.breaks, column) for column in self.values.T], 1)


def pieces(layers, line=None, *, low=0.0, high=1.0):
    """Cut a segment into the activation regions of a network.

    Args:
        layers: the network's; with a line any D, without D = 1.
        line: (origin (D,), direction (D,)): the point t of the segment is the input origin + t direction.
        low, high: ends of the segment.

    Returns:
        Pieces. A break nearer to its neighbour than NEAR times the segment's length is not told from it.

    Raises:
        UserError: the pieces are more than MOST, or the layers do not fit each other or the line.
    """
    line = None if line is None else (line[0], np.asarray(line[1], float)[:, None])
    inputs = affine(layers, line, 1)
    breaks = np.array([low, high], float)
    values = breaks[:, None] * inputs[:, 0] + inputs[:, 1]  # (P + 1, D)
    for kernel, bias in layers[:-1]:
        sums = values @ kernel + bias
        sums[np.abs(sums) <= ROUNDING * (np.abs(values) @ np.abs(kernel) + np.abs(bias))] = 0
        breaks, sums = _with_zeros(breaks, sums, NEAR * (high - low))
        values = np.maximum(sums, 0)
    return Pieces(breaks, values @ layers[-1][0] + layers[-1][1])


def _with_zeros(breaks, sums, near):
    """Breaks (P + 1,) and a layer's sums there (P + 1, n), with the zeros of the sums as further breaks."""
    left, right = sums[:-1], sums[1:]
    gaps = np.diff(breaks)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = left / (left - right)
    inside = (left * right < 0) & (share * gaps > near) & ((1 - share) * gaps > near)
    piece, unit = np.nonzero(inside)
    share = share[piece, unit]
    order = np.lexsort((share, piece))
    piece, share = piece[order], share[order]
    added = breaks[piece] + share * gaps[piece, 0]
    values = (1 - share)[:, None] * left[piece] + share[:, None] * right[piece]
    new = np.diff(added, prepend=-np.inf) > near  # several units may be zero at one point
    values[np.abs(values) <= ROUNDING * np.abs(sums).max(0)] = 0
    if len(breaks) + new.sum() > MOST:
        raise UserError(f"regions: the network has more than {MOST:,} pieces here; take fewer units.")
    where = np.argsort(np.concatenate([breaks, added[new]]), kind="stable")
    return np.concatenate([breaks, added[new]])[where], np.concatenate([sums, values[new]])[where]
