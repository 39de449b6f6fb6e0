"""The points of a regression: the lecture's ten, or a user's own from a file of two columns.

Nothing here imports TensorFlow.
"""

import csv
import dataclasses
import math
from pathlib import Path

import numpy as np

from keras_dl.errors import UserError
from keras_dl.features import reading
from keras_dl.wording import counted

# The lecture's ten points; the slide "Picking the right hypothesis class" fits a line, a parabola and an order 9.
X = (0.86, 0.09, -0.85, 0.87, -0.44, -0.43, -1.10, 0.40, -0.96, 0.17)
Y = (2.49, 0.83, -0.25, 3.10, 0.87, 0.02, -0.12, 1.81, -0.83, 0.43)
LEAST, MOST = 4, 10_000  # points of a file; so many different x at least
LARGEST = 1e100  # magnitude of a number of a file: its square is finite, too
SEPARATORS = (",", ";", "\t")
NAMED = 3  # bad lines that a message quotes


@dataclasses.dataclass(frozen=True)
class Points:
    """N points (x, y), in the units in which they are fitted.

    Attributes:
        name: of the data, for the run's folder.
        x, y: (N,) float64. A file's x are moved and scaled to [-1, 1], its y to mean 0 and standard deviation 1, so
            that one prior and one noise make sense for any units; the lecture's points stay as they are.
        axes: the names of x and y, as a file's header has them.
        x_units, y_units: (shift, scale): a user's value is shift + scale * ours.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    axes: tuple = ("x", "y")
    x_units: tuple = (0.0, 1.0)
    y_units: tuple = (0.0, 1.0)

    def __len__(self):
        return len(self.x)

    @property
    def distinct(self):
        """The number of different x: a polynomial of one order less goes through them all."""
        return len(np.unique(self.x))

    @property
    def scaled(self):
        """Whether the units of the fit are not those of the file."""
        return (self.x_units, self.y_units) != ((0.0, 1.0), (0.0, 1.0))

    def numbers(self):
        """What a picture shows of them: "points" (N, 2), in the units of the fit, with "x_units" and "y_units"."""
        points = np.stack([self.x, self.y], axis=1)
        return {"points": points, "x_units": np.array(self.x_units), "y_units": np.array(self.y_units)}

    def in_x_units(self, x):
        """Values of x in the file's units."""
        return self.x_units[0] + self.x_units[1] * np.asarray(x)

    def in_y_units(self, y):
        """Values of y in the file's units."""
        return self.y_units[0] + self.y_units[1] * np.asarray(y)

    def coefficients(self, weights):
        """The coefficients of a fitted polynomial in the file's units, by rising powers.

        Args:
            weights: (P,), of the powers 0, 1, ... of x.

        Returns:
            (P,) float64, of the powers of the file's x.
        """
        shift, scale = self.x_units
        ours = np.polynomial.Polynomial([-shift / scale, 1 / scale])  # our x as a function of the file's
        coefficients = np.zeros(len(weights))
        composed = self.y_units[1] * np.polynomial.Polynomial(weights)(ours).coef
        coefficients[: len(composed)] = composed  # NumPy drops zeros at the end
        coefficients[0] += self.y_units[0]
        return coefficients


def lecture():
    """The lecture's ten Points."""
    return Points("lecture", np.array(X), np.array(Y))


def read(path, who):
    """The Points of a text file of two columns.

    Args:
        path: a file, as the user wrote it. Each line has two numbers with a comma, a semicolon or a tab in between; the
            first line may be a header, and empty lines are passed over.
        who: the flag, for the message.

    Raises:
        UserError: there is no such file, it is no text, lines that are not two numbers (the first ones are quoted with
            their numbers), too few or too many points, too few different x.
    """
    path = reading.path_of(path, who)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        raise UserError(f"{who}: must be a text file of two columns, x and y; {path} {what}.")
    axes, pairs = _parsed(reading.lines(reading.read(path, who)), f"{who}: {path}")
    if not LEAST <= len(pairs) <= MOST:
        raise UserError(f"{who}: {path} must have {LEAST} to {MOST:,} points, one per line; got {len(pairs):,}.")
    x, y = np.array(pairs, np.float64).T
    if len(np.unique(x)) < LEAST:
        raise UserError(
            f"{who}: {path} must have at least {LEAST} different x; got {counted(len(np.unique(x)), 'values')}."
        )
    x_units = (x.min() / 2 + x.max() / 2, x.max() / 2 - x.min() / 2)
    y_units = (y.mean(), y.std() if y.min() < y.max() else 1.0)
    scaled = [(values - shift) / scale for values, (shift, scale) in ((x, x_units), (y, y_units))]
    return Points(Path(path).stem or path.name, *scaled, axes, x_units, y_units)


def _parsed(lines, place):
    """((name of x, name of y), [(x, y)]) of a file's lines."""
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    separator = next((s for s in SEPARATORS if numbered and s in numbered[0][1]), ",")
    rows = [(number, line, _fields(line, separator)) for number, line in numbered]
    axes = ("x", "y")
    if rows and len(rows[0][2]) == 2 and all(_number(field) is None for field in rows[0][2]):
        axes = tuple(rows.pop(0)[2])
    pairs = [tuple(map(_number, fields)) for _, _, fields in rows]
    bad = [row for row, pair in zip(rows, pairs, strict=True) if len(pair) != 2 or None in pair]
    if bad:
        named = ", ".join(f"line {number} is {_quoted(line)}" for number, line, _ in bad[:NAMED])
        more = f" and {len(bad) - NAMED:,} more" if len(bad) > NAMED else ""
        between = {",": "a comma", ";": "a semicolon", "\t": "a tab"}[separator]
        raise UserError(f"{place} must have two numbers with {between} in between in each line; {named}{more}.")
    return axes, pairs


def _fields(line, separator):
    try:
        return [
            field.strip() for field in next(csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True))
        ]
    except csv.Error:
        return [line]


def _number(text):
    """The number that a text is, finite and of a sensible size; None if it is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) <= LARGEST and "_" not in text else None


def _quoted(line):
    return repr(line if len(line) <= 40 else f"{line[:40]}...")
