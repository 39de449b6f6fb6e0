"""Maps in the order of their diagonals, which is how a Diagonal LSTM goes over them.

Source: van den Oord et al., "Pixel Recurrent Neural Networks" (arXiv:1601.06759), section 3.2 and figure 3: each row of
the map is shifted by one position against the row above, so that a diagonal becomes a column.
Deviation: the columns of the skewed map, H + W - 1 of them, are kept one behind the other, without the places that the
shift leaves empty. These are half of the skewed map; they would be computed for nothing.
Shapes: B images, H height, W width, F features.
"""

import numpy as np
import tensorflow as tf


def diagonals(height, width):
    """The pixels of each diagonal, from the top left pixel's on; in a diagonal from the top row down.

    Returns:
        A list of H + W - 1 lists of (row, column) with row + column = 0, 1, ...

    >>> diagonals(2, 3)
    [[(0, 0)], [(0, 1), (1, 0)], [(0, 2), (1, 1)], [(1, 2)]]
    """
    return [
        [(row, column - row) for row in range(height) if 0 <= column - row < width]
        for column in range(height + width - 1)
    ]


def skew(x):
    """A map (B, H, W, F) in the order of its diagonals: (B, H W, F)."""
    height, width = x.shape[1:3]
    return tf.gather(_flat(x), _order(height, width), axis=1)


def unskew(x, height, width):
    """The inverse of skew: (B, H W, F) -> (B, H, W, F)."""
    x = tf.gather(x, np.argsort(_order(height, width)).astype("int32"), axis=1)
    return tf.reshape(x, [-1, height, width, x.shape[-1]])


def mirrored(x):
    """A map with left and right exchanged, so that skew takes its diagonals from the top right corner."""
    return tf.reverse(x, [2])


def shifted_down(x):
    """A map (B, H, W, F) one row lower: its first row is 0, its last row is lost."""
    return tf.pad(x[:, :-1], [[0, 0], [1, 0], [0, 0], [0, 0]])


def _flat(x):
    return tf.reshape(x, [-1, x.shape[1] * x.shape[2], x.shape[3]])


def _order(height, width):
    return np.array([row * width + column for sites in diagonals(height, width) for row, column in sites], "int32")
