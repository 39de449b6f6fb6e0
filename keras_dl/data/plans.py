"""An epoch is a plan: a list of index arrays, one a batch, a pure function of (seed, epoch).

Resuming is `plan[k:]`, the number of steps is `len(plan)`, a worker takes its slice. Plain NumPy.
"""

import numpy as np


def shuffled(size, batch_size):
    """Every example once an epoch, in another order each; the last batch may be smaller.

    >>> plan = shuffled(5, 2)
    >>> [len(batch) for batch in plan(seed=0, epoch=0)]
    [2, 2, 1]
    """

    def plan(seed, epoch):
        return _cut(np.random.default_rng((seed, epoch)).permutation(size), batch_size)

    return plan


def in_order(size, batch_size):
    """Every example once, as stored: for validation and test."""

    def plan(seed, epoch):
        return _cut(np.arange(size), batch_size)

    return plan


def _cut(order, batch_size):
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
