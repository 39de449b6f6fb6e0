"""Networks of rectifiers with explicit weights that reach the bounds on the number of their regions.

Layers are lists [(kernel (n_in, n_out), bias (n_out,)), ...], with a rectifier after each but the last.

A fold of x in [0, 1] by p units lays p intervals onto [0, 1], there and back:
    fold(x) = r(p x) - 2 r(p x - 1) + 2 r(p x - 2) - ... with r(z) = max(0, z).
What a later layer does on [0, 1] then happens p times. Source: Montúfar et al., arXiv:1402.1869, section 3.1.
"""

import numpy as np

from keras_dl.errors import UserError


def arrangement(units, seed):
    """One hidden layer of 2 inputs whose units are zero on lines in general position, drawn at random.

    The angles are spread over the half circle, so that no two lines are nearly parallel.

    Returns:
        (layers, half width of a square around 0 that has all points in it where two lines cross).
    """
    rng = np.random.default_rng(seed)
    angles = np.pi * (np.arange(units) + rng.uniform(0.1, 0.9, units)) / units
    normals, offsets = np.stack([np.cos(angles), np.sin(angles)]), rng.uniform(-0.5, 0.5, units)
    sides = rng.choice([-1.0, 1.0], units)
    layers = [(normals * sides, -offsets * sides), (rng.normal(size=(units, 1)), np.zeros(1))]
    crossings = [
        np.linalg.solve(normals[:, [i, j]].T, offsets[[i, j]]) for i in range(units) for j in range(i + 1, units)
    ]
    return layers, 1.1 * max(1.0, np.abs(crossings).max(initial=0))


def folding(inputs, widths):
    """The network that has montufar(widths, inputs) regions in the unit square (inputs = 2), or in [0, 1] (inputs = 1).

    Every hidden layer but the last folds each coordinate with n // inputs units; units beyond are never above zero. The
    last hidden layer cuts the unit square by lines that cross each other inside it, no three at one point; [0, 1] by
    points.

    Raises:
        UserError: inputs is neither 1 nor 2, or a layer is narrower than the inputs.
    """
    if inputs not in (1, 2) or min(widths) < inputs:
        raise UserError(
            f"folding.folding: inputs must be 1 or 2, and every width at least inputs; got {inputs} and {widths}."
        )
    mix, layers = np.eye(inputs), []
    for width in widths[:-1]:
        kernel, bias, unmix = fold(inputs, width)
        layers.append((mix @ kernel, bias))
        mix = unmix
    kernel, bias = (_points if inputs == 1 else _lines)(widths[-1])
    layers.append((mix @ kernel, bias))
    output = 1 / (1 + np.arange(widths[-1]))  # no two regions have the same function by accident
    return [*layers, (output[:, None], np.zeros(1))]


def fold(inputs, width):
    """(kernel (inputs, width), bias (width,), mix (width, inputs)): r(x @ kernel + bias) @ mix folds coordinates."""
    parts = width // inputs
    kernel, bias, mix = np.zeros((inputs, width)), np.zeros(width), np.zeros((width, inputs))
    for coordinate in range(inputs):
        own = slice(coordinate * parts, (coordinate + 1) * parts)
        kernel[coordinate, own] = parts
        bias[own] = -np.arange(parts)
        mix[own, coordinate] = np.where(np.arange(parts) % 2, -2, 2)
        mix[coordinate * parts, coordinate] = 1
    return kernel, bias, mix


def _points(units):
    """Units of one input that are zero at different points of (0, 1), the first one to the right of its point."""
    sides = np.where(np.arange(units) == 0, -1.0, 1.0)
    return sides[None], -sides * (np.arange(units) + 0.5) / units


def _lines(units):
    """Units of two inputs that are zero on tangents of a circle, which is so small that all cross in the unit square.

    Two tangents at angles a and b cross at radius / cos((a - b) / 2) from the center; no three cross at one point. By
    turns a unit is above zero inside and outside: of three and more, none of the parts has all units at zero. On such
    a part the output would be constant, and one with its image in the neighbouring fold.
    """
    angles = np.pi * (np.arange(units) + 0.3) / units
    radius = 0.45 * np.sin(np.pi / (2 * units))
    normals, sides = np.stack([np.cos(angles), np.sin(angles)]), np.where(np.arange(units) % 2, 1.0, -1.0)
    return normals * sides, -(normals.sum(0) / 2 + radius) * sides
