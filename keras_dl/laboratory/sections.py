"""Sections of a surface along directions through a network's weights: curves, planes, and single distances.

Source: Li et al., arXiv:1712.09913, sections 3 and 4: f(a) = L(theta + a d), f(a, b) = L(theta + a d + b e).
Shapes: A and B points along the two sides; T points of a curve.
"""

import numpy as np

from keras_dl.laboratory.directions import moved


def curve(surface, direction, distances, *, at=lambda number, total: None):
    """The numbers of a surface along a direction: {"loss" and perhaps "error": (T,)}.

    Args:
        surface: surfaces.Surface, or what has its `weights` and `values`.
        direction: a list of arrays of the weights' shapes.
        distances: (T,), where 1 is the direction's length.
        at: called with the number of points done, and T.
    """
    rows = []
    for number, distance in enumerate(distances, 1):
        rows.append(surface.values(moved(surface.weights, [direction], [distance])))
        at(number, len(distances))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def plane(surface, directions, first, second, *, at=lambda number, total: None):
    """The numbers of a surface over a plane: {"loss" and perhaps "error": (B, A)}, a row for each of `second`.

    Args:
        surface: as for `curve`.
        directions: two lists of arrays of the weights' shapes.
        first, second: (A,) and (B,) distances along them.
        at: called with the number of points done, and A * B.
    """
    rows, total = [], len(first) * len(second)
    for b in second:
        for a in first:
            rows.append(surface.values(moved(surface.weights, directions, (a, b))))
            at(len(rows), total)
    shape = len(second), len(first)
    return {name: np.array([row[name] for row in rows]).reshape(shape) for name in rows[0]}


def at_distance(surface, directions, distance):
    """The loss at one distance along each of several directions: (D,)."""
    return np.array([surface.values(moved(surface.weights, [d], [distance]))["loss"] for d in directions])
