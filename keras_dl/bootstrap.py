"""Bootstrap intervals of test results: how far a figure would vary with other examples of the same kind.

Sources: the percentile bootstrap, Efron and Tibshirani 1993, chapter 13; Koehn 2004 for corpora of sentences.
"""

import numpy as np

RESAMPLES = 1000  # of a bootstrap interval
LEVEL = 95  # percent of the resampled values within an interval
LEAST = 2  # examples of an interval: all resamples of a single one are itself, and say nothing of others


def interval(score, count, seed):
    """The percentile interval of a score of `count` examples, which are drawn with replacement.

    Args:
        score: function of indices (count,) -> a number.
        count: number of examples.
        seed: of the draws; a numpy.random.Generator goes on where it is.

    Returns:
        [low, high]; None if the score is not finite on a resample, and without examples.
    """
    if not count:
        return None
    rng = np.random.default_rng(seed)
    draws = np.array([score(rng.integers(0, count, count)) for _ in range(RESAMPLES)], np.float64)
    if not np.isfinite(draws).all():
        return None
    return [float(end) for end in np.percentile(draws, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])]


def of_mean(values, seed):
    """The interval of the mean of `values`, (N,); None for fewer than LEAST."""
    values = np.asarray(values, np.float64)
    if len(values) < LEAST:
        return None
    return interval(lambda rows: values[rows].mean(), len(values), seed)


def of_ratio(sums, counts, seed):
    """The interval of sum(sums) / sum(counts) over resampled blocks, such as nats a token: sums, counts (N,).

    None for fewer than LEAST.
    """
    sums, counts = np.asarray(sums, np.float64), np.asarray(counts, np.float64)
    if len(sums) < LEAST:
        return None
    return interval(lambda rows: sums[rows].sum() / counts[rows].sum(), len(sums), seed)


def of_share(right, seed):
    """The interval of a share, such as accuracy, from (N,) booleans.

    If all are true, or none is, every resample would be the same; the interval is then the exact one of the binomial
    distribution (Clopper and Pearson 1934), whose other end is (alpha / 2) ** (1 / N).
    """
    right = np.asarray(right, bool)
    if len(right) and right.all() == right.any():
        beyond = ((100 - LEVEL) / 200) ** (1 / len(right))
        return [beyond, 1.0] if right.all() else [0.0, 1 - beyond]
    return of_mean(right, seed)
