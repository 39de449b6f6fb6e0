"""Intervals and curves of test results: the bootstrap, the reliability of probabilities, ROC and precision-recall.

Sources: the percentile bootstrap, Efron and Tibshirani 1993, chapter 13; Koehn 2004 for corpora of sentences. The
expected calibration error, Guo et al. (arXiv:1706.04599), eq. 3.
"""

import numpy as np

RESAMPLES = 1000  # of a bootstrap interval
LEVEL = 95  # percent of the resampled values within an interval
BINS = 10  # of equal width, of the probabilities of the predicted classes


def bootstrap(score, count, seed, resamples=RESAMPLES):
    """The percentile interval of a score of `count` examples, which are drawn with replacement.

    Args:
        score: function of indices (count,) -> a number, or an array of several scores (M,).
        count: number of examples.
        seed: of the draws.
        resamples: how often `count` examples are drawn.

    Returns:
        [low, high], or a list of M of them. None for a score that is not finite on a resample, and without examples.
    """
    if not count:
        return None
    rng = np.random.default_rng(seed)
    draws = np.array([score(rng.integers(0, count, count)) for _ in range(resamples)], np.float64)
    if draws.ndim == 1:
        return _interval(draws)
    return [_interval(column) for column in draws.T]


def of_means(values, seed, resamples=RESAMPLES):
    """The interval of the mean of each column of `values`, (N, M): a list of M intervals, None without examples."""
    values = np.asarray(values, np.float64)
    intervals = bootstrap(lambda rows: values[rows].mean(0), len(values), seed, resamples)
    return [None] * values.shape[1] if intervals is None else intervals


def of_ratio(sums, counts, seed, resamples=RESAMPLES):
    """The interval of sum(sums) / sum(counts) over resampled blocks, such as nats a token: sums, counts (N,)."""
    sums, counts = np.asarray(sums, np.float64), np.asarray(counts, np.float64)
    return bootstrap(lambda rows: sums[rows].sum() / counts[rows].sum(), len(sums), seed, resamples)


def of_share(right, seed, resamples=RESAMPLES):
    """The interval of a share, such as accuracy, from (N,) booleans.

    If all are true, or none is, every resample would be the same; the interval is then the exact one of the binomial
    distribution (Clopper and Pearson 1934), whose other end is (alpha / 2) ** (1 / N).
    """
    right = np.asarray(right, bool)
    if len(right) and right.all() == right.any():
        beyond = ((100 - LEVEL) / 200) ** (1 / len(right))
        return [beyond, 1.0] if right.all() else [0.0, 1 - beyond]
    return of_means(right[:, None], seed, resamples)[0]


def reliability(probability, right, bins=BINS):
    """How often predictions of a probability are right.

    Args:
        probability: (N,) of the predicted class, in [0, 1].
        right: (N,) booleans, whether the predicted class is the true one.
        bins: number of bins of equal width; a probability on a border belongs to the bin below it.

    Returns:
        A list with a dict a bin that is not empty: {"low", "high", "count", "confidence": mean probability,
        "accuracy": share of right ones}.
    """
    probability, right = np.asarray(probability, np.float64), np.asarray(right, bool)
    numbers = np.clip(np.ceil(probability * bins).astype(int) - 1, 0, bins - 1)
    results = []
    for number in range(bins):
        inside = numbers == number
        if inside.any():
            results.append({
                "low": number / bins, "high": (number + 1) / bins, "count": int(inside.sum()),
                "confidence": float(probability[inside].mean()), "accuracy": float(right[inside].mean()),
            })  # fmt: skip
    return results


def calibration_error(bins):
    """The expected calibration error of `reliability`'s bins: mean |accuracy - confidence|, weighted by the counts.

    >>> calibration_error([{"count": 3, "confidence": 0.5, "accuracy": 0.75}, {"count": 1, "confidence": 1.0, "accuracy": 1.0}])
    0.1875
    """  # noqa: E501
    total = sum(row["count"] for row in bins)
    return sum(row["count"] * abs(row["accuracy"] - row["confidence"]) for row in bins) / total if total else None


def one_against_rest(labels, probabilities):
    """ROC and precision-recall curves of each class against all others.

    Args:
        labels: (N,) integers.
        probabilities: (N, K), finite.

    Returns:
        A list of K dicts {"roc": (false-positive rates, true-positive rates), "auc": area under it,
        "precision_recall": (recalls, precisions), "average_precision"}; None for a class that no example has, or all.
    """
    import sklearn.metrics

    curves = []
    for k in range(probabilities.shape[1]):
        true, score = labels == k, probabilities[:, k]
        if true.all() or not true.any():
            curves.append(None)
            continue
        false_rate, true_rate, _ = sklearn.metrics.roc_curve(true, score)
        precision, recall, _ = sklearn.metrics.precision_recall_curve(true, score)
        curves.append({
            "roc": (false_rate, true_rate), "auc": float(sklearn.metrics.auc(false_rate, true_rate)),
            "precision_recall": (recall, precision),
            "average_precision": float(sklearn.metrics.average_precision_score(true, score)),
        })  # fmt: skip
    return curves


def _interval(draws):
    if not np.isfinite(draws).all():
        return None
    return [float(end) for end in np.percentile(draws, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])]
