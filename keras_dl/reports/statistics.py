"""Curves of a classifier's probabilities: their reliability, ROC and precision-recall.

Source of the expected calibration error: Guo et al. (arXiv:1706.04599), eq. 3.
"""

import numpy as np

BINS = 10  # of equal width, of the probabilities of the predicted classes


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
        precision, recall, _ = sklearn.metrics.precision_recall_curve(true, score, drop_intermediate=True)
        curves.append({
            "roc": (false_rate, true_rate), "auc": float(sklearn.metrics.auc(false_rate, true_rate)),
            "precision_recall": (recall, precision),
            "average_precision": float(sklearn.metrics.average_precision_score(true, score)),
        })  # fmt: skip
    return curves
