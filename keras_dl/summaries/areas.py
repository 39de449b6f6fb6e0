"""The area under the ROC curve: how often an example of a class has a higher probability of it than one of the rest.

Source: Hanley and McNeil 1982: the area is the Mann-Whitney statistic; of two equal probabilities each counts a half.
"""

import numpy as np


class Areas:
    """Areas of each class against the rest, for resamples of the examples.

    Args:
        labels: int (N,).
        probabilities: float (N, K), finite.
    """

    def __init__(self, labels, probabilities):
        self.labels, self.classes = np.asarray(labels), []
        for k, column in enumerate(np.asarray(probabilities, np.float64).T):
            order = np.argsort(column, kind="stable")
            ranked = column[order]
            starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))  # of equal probabilities
            self.classes.append((order, starts, self.labels[order] == k))

    def each(self, counts=None):
        """(K,) areas; NaN of a class that no example has, or all have.

        Args:
            counts: (N,) how often each example is drawn; None: once.
        """
        counts = np.ones(len(self.labels)) if counts is None else np.asarray(counts, np.float64)
        return np.array([_area(counts[order], starts, of_class) for order, starts, of_class in self.classes])

    def mean(self, counts=None):
        """The mean of the areas that there are; NaN without any."""
        areas = self.each(counts)
        areas = areas[np.isfinite(areas)]
        return float(areas.mean()) if len(areas) else float("nan")


def _area(counts, starts, of_class):
    """Of examples in the order of their probability: pairs in the right order, equal ones by a half, over all pairs."""
    of_group = np.add.reduceat(counts * of_class, starts) if len(starts) else np.zeros(0)
    rest = np.add.reduceat(counts * ~of_class, starts) if len(starts) else np.zeros(0)
    pairs = of_group.sum() * rest.sum()
    below = np.cumsum(rest) - rest
    return (of_group * (below + rest / 2)).sum() / pairs if pairs else np.nan
