"""An epoch is a plan: a list of index arrays, one per batch, and a pure function of (seed, epoch).

Resuming is `plan[k:]`, the number of steps is `len(plan)`, a worker takes its slice. Plain NumPy.
"""

import numpy as np

from keras_dl.arguments import Whole, checked

Count = Whole(1, 1_000_000_000)
BUCKET = 50  # batches whose sequences are sorted by length together


@checked(who="plans.shuffled")
def shuffled(size: Count, batch_size: Count):
    """Every example once per epoch, in a new random order; the last batch may be smaller.

    >>> plan = shuffled(5, 2)
    >>> [len(batch) for batch in plan(seed=0, epoch=0)]
    [2, 2, 1]
    """

    def plan(seed, epoch):
        return _cut(np.random.default_rng((seed, epoch)).permutation(size), batch_size)

    return plan


@checked(who="plans.in_order")
def in_order(size: Count, batch_size: Count):
    """Every example once, as stored: for validation and test."""

    def plan(seed, epoch):
        return _cut(np.arange(size), batch_size)

    return plan


@checked(who="plans.bucketed")
def bucketed(lengths, batch_size: Count):
    """Every sequence once per epoch, in batches of similar lengths, to save padding; a new random order each epoch.

    Sequences are shuffled, sorted by length within runs of BUCKET batches, and cut into batches, which are shuffled.

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


@checked(who="plans.by_tokens")
def by_tokens(lengths, batch_tokens: Count):
    """Every example once per epoch, in batches of similar lengths and about equally many tokens.

    Each epoch has a new random order: examples are shuffled, sorted by the longer of their two lengths, and cut into
    batches as large as the bound allows; then the batches are shuffled. Every epoch has the same number of batches.

    >>> plan = by_tokens([[3, 4], [1, 9], [4, 2], [30, 2]], 8)
    >>> sorted(sorted(batch.tolist()) for batch in plan(seed=0, epoch=0))
    [[0, 2], [1], [3]]

    Args:
        lengths: (N,), or (N, 2) lengths of source and target.
        batch_tokens: upper bound on a batch's number of examples times the longest of their lengths; an example that
            is longer is a batch of its own.
    """
    longer = np.asarray(lengths).reshape(len(lengths), -1).max(1)
    ends, first = [], 0
    for i, length in enumerate(np.sort(longer).tolist()):
        if i > first and (i + 1 - first) * length > batch_tokens:
            ends.append(i)
            first = i

    def plan(seed, epoch):
        rng = np.random.default_rng((seed, epoch))
        order = rng.permutation(len(longer))
        cut = np.split(order[np.argsort(longer[order], kind="stable")], ends)
        return [cut[i] for i in rng.permutation(len(cut))]

    return plan


def _cut(order, batch_size):
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
