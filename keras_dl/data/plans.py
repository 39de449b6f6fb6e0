"""An epoch is a plan: a list of index arrays, one a batch, a pure function of (seed, epoch).

Resuming is `plan[k:]`, the number of steps is `len(plan)`, a worker takes its slice. Plain NumPy.
"""

import numpy as np

BUCKET = 50  # batches whose sequences are sorted by length together


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


def bucketed(lengths, batch_size):
    """Every sequence once an epoch, in batches of like lengths: little is padded. Another order each epoch.

    Sequences are drawn in random order, sorted by length within runs of BUCKET batches, and cut; then the batches are
    shuffled.

    >>> plan = bucketed([3, 9, 4, 8], 2)
    >>> sorted(sorted(batch.tolist()) for batch in plan(seed=0, epoch=0))
    [[0, 2], [1, 3]]
    """
    lengths = np.asarray(lengths)

    def plan(seed, epoch):
        rng = np.random.default_rng((seed, epoch))
        order, cut = rng.permutation(len(lengths)), []
        for run in _cut(order, BUCKET * batch_size):
            cut += _cut(run[np.argsort(lengths[run], kind="stable")], batch_size)
        return [cut[i] for i in rng.permutation(len(cut))]

    return plan


def _cut(order, batch_size):
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
