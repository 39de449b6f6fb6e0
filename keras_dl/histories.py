"""A training's history.csv: written, read and checked, its best epoch, and which epoch's weights were kept."""

import csv
import io
import math
import os

from keras_dl.atomic import write_atomic
from keras_dl.errors import UserError
from keras_dl.wording import counted

FILE = "history.csv"  # in a run's folder


def write(folder, history):
    """Write the history.csv in a run's folder, completely or not at all; `read` reads it back exactly.

    Args:
        folder: Path of the run.
        history: {name: [float, one per epoch]}.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["epoch", *history])
    table.writerows([epoch, *map(repr, row)] for epoch, row in enumerate(zip(*history.values(), strict=True), 1))
    write_atomic(folder / FILE, text.getvalue())


def read(folder):
    """{name: [float, one per epoch]} of the history.csv in a run's folder; {} if there is none.

    Raises:
        UserError: it cannot be read, or is damaged.
    """
    path = folder / FILE
    if not os.path.lexists(path):
        return {}
    if not path.is_file():
        raise UserError(f"{path} is no file.")
    try:
        names, *rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8")), strict=True)
        columns = list(zip(*rows, strict=True)) or [()] * len(names)
        if len(columns) != len(names) or len(set(names)) < len(names) or names[0] != "epoch":
            raise ValueError("its columns have no names, or the same")
        if list(columns[0]) != [str(number) for number in range(1, len(rows) + 1)]:
            raise ValueError("its epochs must be 1, 2, 3 ...")
        return {name: [float(text) for text in column] for name, column in zip(names[1:], columns[1:], strict=True)}
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, csv.Error) as error:  # a UnicodeDecodeError is a ValueError
        raise UserError(f"{path} is damaged: {error}.") from error


def epochs(folder):
    """The number of epochs in the history.csv in a run's folder, which may be damaged; 0 if there is none."""
    path = folder / FILE
    return max(0, len(path.read_bytes().splitlines()) - 1) if path.exists() else 0


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
        last = f"the last {count} of {counted(epochs, 'epochs')}"
        return None, f"The weights are the mean of those after each of {last}.{beside}"
    return epochs, f"The weights are those of the last epoch, {epochs}.{beside}"
