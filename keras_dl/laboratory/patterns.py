"""The activation patterns of a small network of rectifiers, enumerated by linear programming: any number of inputs.

It is the check of regions.py by other means: no polygon is cut. Unit by unit it is asked whether a ball fits where all
units so far have their signs and this one is above zero, or below it. Serra et al., arXiv:1711.02114, count so, with
one mixed-integer program; here there is one small linear program for each question.
"""

import numpy as np

SMALLEST = 1e-7  # radius of a ball that must fit into a region, in units of the box's half width


def patterns(layers, center, half_width):
    """Every activation pattern that has an interior in a box.

    Args:
        layers: as in regions.py, with D inputs.
        center: (D,) of the box; half_width: of all its sides.

    Returns:
        A set of tuples of N booleans, layer by layer: whether a unit is above zero.
    """
    center = np.asarray(center, float)
    complete = []
    start = np.concatenate([np.eye(len(center)), center[:, None]], 1)  # inputs as affine functions of x - center
    _descend(layers, start, [], (), half_width, complete)
    return set(complete)


def _descend(layers, maps, constraints, pattern, half_width, complete):
    """Add all patterns that begin with `pattern` and fit the constraints a @ x + c >= 0, rows (a, c) of length 1."""
    if len(layers) == 1:
        complete.append(pattern)
        return
    (kernel, bias), *rest = layers
    sums = kernel.T @ maps
    sums[:, -1] += bias
    branches = [(constraints, ())]
    for row in sums:
        slope = np.linalg.norm(row[:-1])
        if slope <= 1e-12 * max(np.abs(sums).max(), 1):  # constant
            branches = [(given, (*signs, bool(row[-1] > 0))) for given, signs in branches]
            continue
        branches = [
            ([*given, sign * row / slope], (*signs, sign > 0))
            for given, signs in branches
            for sign in (1, -1)
            if _radius([*given, sign * row / slope], half_width) > SMALLEST * half_width
        ]
    for given, signs in branches:
        _descend(rest, sums * np.array(signs)[:, None], given, pattern + signs, half_width, complete)


def _radius(constraints, half_width):
    """The radius of the largest ball in the box where a @ x + c >= 0 for all rows (a, c); negative: there is none."""
    from scipy.optimize import linprog

    rows = np.array(constraints)
    size = rows.shape[1] - 1
    objective = np.append(np.zeros(size), -1.0)  # the largest radius
    within = np.concatenate([-rows[:, :-1], np.ones((len(rows), 1))], 1)  # radius - a @ x <= c
    sides = np.concatenate([np.eye(size), -np.eye(size)])
    box = np.concatenate([sides, np.ones((2 * size, 1))], 1)  # radius +- x <= half width
    bounds = [(None, None)] * (size + 1)
    limits = np.append(rows[:, -1], np.full(2 * size, half_width))
    solution = linprog(objective, np.concatenate([within, box]), limits, bounds=bounds, method="highs")
    return solution.x[-1]
