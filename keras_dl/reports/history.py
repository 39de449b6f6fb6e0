"""The history of a run's training, and which epoch's weights it kept."""

import csv
import math


def read(path):
    """{name: [value of each epoch]} of a history.csv; {} if there is none."""
    if not path.exists():
        return {}
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in (rows[0] if rows else {}) if name != "epoch"]
    return {name: [float(row[name]) for row in rows] for name in names}


def best(values, mode="min"):
    """The epoch, from 1, of the best value: the first of equal ones; NaN is never better than a number.

    >>> best([2.0, float("nan"), 1.0, 1.0])
    3
    """
    sign = {"min": 1, "max": -1}[mode]
    order = [math.inf if math.isnan(value) else sign * value for value in values]
    return 1 + order.index(min(order))


def kept(history, monitor, mode, keep, average_last):
    """Which weights were evaluated and exported.

    Args:
        history: as `read` returns it.
        monitor, mode: as in training.fit.
        keep, average_last: as in training.fit.

    Returns:
        (the epoch, from 1, or None if it is a mean of several or there is no history; a sentence).
    """
    if not history:
        return None, "The run has no history of its training."
    epochs = len(next(iter(history.values())))
    watched = f"{monitor.removeprefix('val_')} on the validation split" if monitor.startswith("val_") else monitor
    number = best(history[monitor], mode) if monitor in history else None
    if keep == "best" and number is not None:
        return number, f"The weights are those of epoch {number} of {epochs}, the best by {watched}."
    beside = "" if number is None else f" The best by {watched} was epoch {number}."
    if average_last > 1:
        count = min(average_last, epochs)
        return None, f"The weights are the mean of those after each of the last {count} of {epochs} epochs.{beside}"
    return epochs, f"The weights are those of the last epoch, {epochs}.{beside}"
