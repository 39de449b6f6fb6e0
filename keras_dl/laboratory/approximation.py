"""Functions of [0, 1] by networks of rectifiers with explicit weights, in one wide layer and in many narrow ones.

One layer with enough units approximates every continuous function (Leshno et al. 1993); how many are enough is another
question. A function with many teeth costs one layer a unit for each tooth's side, and depth two units for each
doubling of their number: Telgarsky, arXiv:1509.08101. The other way round, a network whose pieces are at most a quarter
of the teeth's sides stays at a mean distance of at least 1/16 from them.

Layers are lists [(kernel (n_in, n_out), bias (n_out,)), ...], with a rectifier after each but the last.
"""

import numpy as np

from keras_dl.laboratory import intervals
from keras_dl.laboratory.folding import fold

OF_ONE_HALF = 0.25  # mean distance of the constant 1/2 from any sawtooth: what a network has that has learned nothing
LARGEST_WIDTH, LARGEST_DEPTH = 8, 8  # of x**2: 2**LARGEST_WIDTH units, 3 units in each of LARGEST_DEPTH layers


def explicit(depth):
    """Rows of `of_parabola` and of `of_sawtooth`, each with its "function"."""
    tasks = {"parabola": of_parabola(), "sawtooth": of_sawtooth(depth)}
    return [{"function": name, **row} for name, rows in tasks.items() for row in rows]


def of_parabola():
    """The largest errors of `interpolation` and of `parabola`: a list of {"network", "units", "error"}."""
    rows = []
    for units in (2**k for k in range(1, LARGEST_WIDTH + 1)):
        x = np.arange(units + 1) / units
        error = largest_error_of_parabola(intervals.pieces(interpolation(x, x**2)))
        rows.append({"network": "one layer, explicit", "units": units, "error": error})
    for layers in range(1, LARGEST_DEPTH + 1):
        error = largest_error_of_parabola(intervals.pieces(parabola(layers)))
        rows.append({"network": "depth, explicit", "units": 3 * layers, "error": error})
    return rows


def of_sawtooth(depth):
    """The mean distances from the sawtooth of 2**depth sides: a list of {"network", "units", "error"}."""
    saw = teeth(depth)
    error = distance(intervals.pieces(sawtooth(depth)), saw)
    rows = [{"network": "depth, explicit", "units": 2 * depth, "error": error}]
    for units in sorted({*(2**k for k in range(depth + 1)), 2 ** (depth - 2) - 1, 3 * 2 ** (depth - 2)}):
        error = distance(intervals.pieces(first_teeth(depth, units)), saw)
        rows.append({"network": "one layer, explicit", "units": units, "error": error})
    return rows


def teeth(depth):
    """The function with 2**depth sides between 0 and 1 itself, as intervals.Pieces."""
    sides = 2**depth
    return intervals.Pieces(np.arange(sides + 1) / sides, np.arange(sides + 1.0)[:, None] % 2)


def sawtooth(depth, units=2):
    """A function of [0, 1] with units**depth teeth's sides, each from 0 to 1 or back, by `depth` layers of `units`."""
    kernel, bias, mix = fold(1, units)
    layers = [(kernel, bias), *[(mix @ kernel, bias)] * (depth - 1)]
    return [*layers, (mix, np.zeros(1))]


def interpolation(x, y):
    """One hidden layer of len(x) - 1 units through the points (x, y), x ascending; constant before them.

    Every continuous function is approximated so, as closely as one likes, if the units are enough.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    slopes = np.diff(y) / np.diff(x)
    return [(np.ones((1, len(slopes))), -x[:-1]), (np.diff(slopes, prepend=0)[:, None], y[:1])]


def first_teeth(depth, units):
    """The sawtooth of 2**depth sides by one hidden layer that has too few units: its first sides, then 1/2.

    With at least 2**depth units it is the sawtooth itself. Without, no other side is met, and the mean distance from
    there on is 1/4.
    """
    sides = 2**depth
    if units >= sides:
        return interpolation(np.arange(sides + 1) / sides, np.arange(sides + 1) % 2)
    x = np.array([*range(units - 1), units - 1.5, units - 0.5]) / sides
    return interpolation(x, [*(np.arange(units - 1) % 2), 0.5, 0.5])


def parabola(depth):
    """x**2 on [0, 1] by `depth` layers of 3 units: the interpolation at 2**depth + 1 points.

    x**2 = x - sum over s of g_s(x) / 4**s, where g_s is the sawtooth of 2**s sides; a layer computes the next sawtooth
    with two units and carries the sum so far, which is not below 0, with the third. The error is at most
    4**-(depth + 1). Source: Yarotsky, arXiv:1610.01145, proposition 2; deviation: the sum is carried by a unit, where
    the paper has connections past the layers.
    """
    kernel, bias, mix = fold(1, 2)
    fold_kernel, carried = np.zeros((2, 3)), np.array([[0.0], [0.0], [1.0]])
    fold_kernel[0, :2], fold_kernel[1, 2] = kernel[0], 1  # from (tooth, sum)
    fold_bias, layers, state = np.append(bias, 0), [], np.ones((1, 2))  # state: (tooth, sum) from the layer before
    for number in range(1, depth + 1):
        layers.append((state @ fold_kernel, fold_bias))
        tooth = np.append(mix[:, 0], 0)[:, None]
        state = np.concatenate([tooth, carried - tooth / 4**number], 1)
    return [*layers, (state[:, 1:], np.zeros(1))]


def distance(one, other):
    """The mean distance of two intervals.Pieces on their segment: the integral of |one - other| over its length."""
    x = np.union1d(one.breaks, other.breaks)
    gaps, difference = np.diff(x), one(x)[:, 0] - other(x)[:, 0]
    left, right = difference[:-1], difference[1:]
    total = np.abs(left) + np.abs(right)
    crossing = np.where(left * right < 0, (left**2 + right**2) / np.maximum(total, 1e-300), total)
    return float((crossing * gaps).sum() / 2 / (x[-1] - x[0]))


def largest_error_of_parabola(pieces):
    """The largest |f(x) - x**2| of a intervals.Pieces f: at the ends of its pieces, or where 2 x is the slope."""
    slopes = pieces.slopes()[:, 0]
    x = np.clip(slopes / 2, pieces.breaks[:-1], pieces.breaks[1:])
    inside = pieces.values[:-1, 0] + slopes * (x - pieces.breaks[:-1]) - x**2
    ends = pieces.values[:, 0] - pieces.breaks**2
    return float(np.abs(np.concatenate([inside, ends])).max())
