"""The adding problem: two numbers of a long sequence are marked, and their sum is the target at its end.

Source: Hochreiter and Schmidhuber 1997, section 5.4, in the form of Bai et al., arXiv:1803.01271: values in [0, 1], one
mark in each half. A model that always answers 1 has a mean squared error of 1/6.
Shapes: N sequences, T steps.
"""

import numpy as np

from keras_dl.data.examples import Examples

BASELINE = 1 / 6  # mean squared error of always answering 1, the mean of the sum


def sequences(rng, count, steps):
    """Examples of random sequences.

    Args:
        rng: a numpy.random.Generator.
        count: N.
        steps: T, at least 2.

    Returns:
        Examples: "sequence" (N, T, 2) float32, values and marks; "sum" (N, 1) of the two marked values.

    >>> sequences(np.random.default_rng(0), 3, 10).features["sequence"].shape
    (3, 10, 2)
    """
    rows = np.zeros((count, steps, 2), np.float32)
    rows[..., 0] = rng.random((count, steps))
    for first, last in ((0, steps // 2), (steps // 2, steps)):
        rows[np.arange(count), rng.integers(first, last, count), 1] = 1
    return Examples({"sequence": rows, "sum": rows.prod(-1).sum(1, keepdims=True)})


def batch(raw):
    """A raw batch as data.batches' collate wants it: (sequences, sums)."""
    return raw["sequence"], raw["sum"]
