"""Linear regions of a network of rectifiers, exactly: convex polygons on a plane of its input space.

Within a set of points where the same units are above zero, the network is an affine function. A unit of the first
hidden layer is zero on a line of the plane. Inside a cell of these lines the next layer's sums are affine, too, and
their zeros are lines that cut this cell alone; and so on through the layers (Pascanu et al., arXiv:1312.6098, section
2; Hanin and Rolnick, arXiv:1901.09021, appendix A). Every cell stays a convex polygon. No point is sampled: a grid of
points misses what lies between them, and cannot count more regions than it has points.

Two counts are told apart. An activation region is the set of points with one pattern of units above zero; of those on
the plane, one with an interior is a polygon here. A linear region is a largest connected set on which the function is
affine: neighbours with the same affine function are one (linear_regions.py), so that there are at most as many.

Layers are a list [(kernel (n_in, n_out), bias (n_out,)), ...], with a rectifier after each but the last.
Shapes: P polygons, N hidden units in all, D inputs, K outputs. Nothing here imports TensorFlow.
"""

import dataclasses

import numpy as np

from keras_dl.errors import UserError
from keras_dl.wording import counted

NEAR = 1e-9  # of the half width: a line that passes a polygon's corner at less than this goes through the corner
ROUNDING = 1e-12  # of the sum of the sizes of its terms: a slope or a sum below this is zero
MOST = 200_000  # polygons


@dataclasses.dataclass(frozen=True)
class Regions:
    """The activation regions of a network in a square.

    Attributes:
        polygons: P arrays (corners, 2), counterclockwise, in the plane's two coordinates.
        patterns: (P, N) booleans: which units are above zero, layer by layer.
        maps: (P, K, 3): the outputs at a point (u, v) of the polygon are maps @ (u, v, 1).
        center, half_width: the square, in the plane's coordinates.
    """

    polygons: list
    patterns: np.ndarray
    maps: np.ndarray
    center: tuple
    half_width: float

    def __len__(self):
        return len(self.polygons)

    def areas(self):
        """(P,) areas of the polygons, by the trapezoid formula."""
        return np.array([_area(polygon) for polygon in self.polygons])

    def centroids(self):
        """(P, 2) the means of the polygons' corners, which lie inside."""
        return np.array([polygon.mean(0) for polygon in self.polygons])


def polygons(layers, plane=None, *, center=(0.0, 0.0), half_width=1.0):
    """Cut a square into the activation regions of a network.

    A part of a polygon that reaches less than NEAR half widths beyond a line is not cut off: rounding alone could make
    it. Of the corners nothing is moved, so that the polygons always fill the square.

    Args:
        layers: the network's; with a plane any D, without D = 2.
        plane: (origin (D,), directions (D, 2)): the point (u, v) of the square is the input origin + directions @ (u,
            v). None: the inputs themselves.
        center, half_width: the square [center - half_width, center + half_width] in both coordinates.

    Returns:
        Regions, in no particular order.

    Raises:
        UserError: the regions are more than MOST, or the layers do not fit each other or the plane.
    """
    maps = affine(layers, plane, 2)[None]  # (1, D, 3)
    corners = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]) * half_width + center
    cells, patterns = [corners], np.zeros((1, 0), bool)
    for kernel, bias in layers[:-1]:
        sums = _composed(maps, kernel, bias)  # (P, n, 3)
        cells, parents, on = _cut(cells, _lines(sums, maps, kernel, bias), NEAR * half_width)
        patterns = np.concatenate([patterns[parents], on], 1)
        maps = sums[parents] * on[..., None]
    return Regions(cells, patterns, _composed(maps, *layers[-1]), tuple(map(float, center)), float(half_width))


def zeros(regions, output=0):
    """The segments (S, 2, 2) on which an output is zero: of a logit, the decision boundary."""
    segments = []
    for polygon, line in zip(regions.polygons, regions.maps[:, output], strict=True):
        height = polygon @ line[:2] + line[2]
        cut = _halves(polygon, height)[2] if height.min() < 0 < height.max() else []
        segments += [cut] if len(cut) == 2 else []
    return np.array(segments).reshape(-1, 2, 2)


def forward(layers, inputs):
    """The network's outputs (M, K) at inputs (M, D)."""
    hidden = np.asarray(inputs, float)
    for kernel, bias in layers[:-1]:
        hidden = np.maximum(hidden @ kernel + bias, 0)
    return hidden @ layers[-1][0] + layers[-1][1]


def activations(layers, inputs):
    """(M, N) booleans: which hidden units are above zero at inputs (M, D)."""
    hidden, on = np.asarray(inputs, float), []
    for kernel, bias in layers[:-1]:
        hidden = np.maximum(hidden @ kernel + bias, 0)
        on.append(hidden > 0)
    return np.concatenate(on, 1) if on else np.zeros((len(hidden), 0), bool)


def sampled_count(layers, inputs):
    """How many activation patterns the inputs (M, D) have: at most the number of regions, for comparison only.

    Raises:
        UserError: every input has a pattern of its own. Such a count says how many points were drawn, and nothing of
            the network.
    """
    count = len(np.unique(activations(layers, inputs), axis=0))
    if count == len(inputs):
        raise UserError(
            f"regions.sampled_count: must have more points than they have patterns; got {count:,} patterns of "
            f"{len(inputs):,}, which is the number of points, not of regions. Count them with regions.polygons."
        )
    return count


def through(points):
    """The plane through three inputs: ((origin, directions) for `polygons`, their coordinates (3, 2) there).

    The origin is their mean, and the directions are orthonormal, so that lengths are those of the input space.

    Args:
        points: (3, D), not on one line.
    """
    points = np.asarray(points, float)
    origin = points.mean(0)
    directions, size = np.linalg.qr((points[1:] - points[0]).T)
    if np.abs(np.diag(size)).min() <= 1e-9 * np.abs(points).max():
        raise UserError("regions.through: the three points must not lie on one line; choose others.")
    return (origin, directions), (points - origin) @ directions


def affine(layers, place, dimension):
    """(D, dimension + 1): the inputs as an affine function of the coordinates; the layers are checked."""
    sizes = [len(layers[0][0])]
    for kernel, bias in layers:
        if np.shape(kernel) != (sizes[-1], len(bias)):
            raise UserError(f"regions: a kernel must be of shape ({sizes[-1]}, {len(bias)}); got {np.shape(kernel)}.")
        sizes.append(len(bias))
    origin, directions = (np.zeros(dimension), np.eye(dimension)) if place is None else place
    if np.shape(directions) != (sizes[0], dimension) or np.shape(origin) != (sizes[0],):
        raise UserError(
            f"regions: a network with {counted(sizes[0], 'inputs')} needs an origin ({sizes[0]},) and directions "
            f"({sizes[0]}, {dimension}); got {np.shape(origin)} and {np.shape(directions)}."
        )
    return np.concatenate([np.asarray(directions, float), np.asarray(origin, float)[:, None]], 1)


def _composed(maps, kernel, bias):
    """Affine functions (P, n_in, 3), followed by a layer: (P, n_out, 3)."""
    composed = np.swapaxes(np.swapaxes(maps, 1, 2) @ kernel, 1, 2)
    composed[..., 2] += bias
    return composed


def _lines(sums, maps, kernel, bias):
    """The zeros of sums (P, n, 3) as lines whose value is the distance; a constant sum is infinitely far from zero."""
    slopes = np.hypot(sums[..., 0], sums[..., 1])
    sizes = _composed(np.abs(maps), np.abs(kernel), np.abs(bias))
    flat = slopes <= ROUNDING * (sizes[..., 0] + sizes[..., 1])
    above = sums[..., 2] > ROUNDING * sizes[..., 2]
    lines = sums / np.where(flat, 1, slopes)[..., None]
    lines[flat] = 0
    lines[flat, 2] = np.where(above[flat], np.inf, -np.inf)
    return lines


def _cut(cells, lines, near):
    """Cut polygons by the lines (P, n, 3) of a layer, each by its own.

    Returns:
        (polygons, the number of the cell (P',) of which each is a part, on (P', n)).
    """
    parents, on = np.arange(len(cells)), np.zeros(lines.shape[:2], bool)
    for unit in range(lines.shape[1]):
        sizes = np.array([len(cell) for cell in cells])
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        line = np.repeat(lines[parents, unit], sizes, axis=0)
        distance = (np.concatenate(cells) * line[:, :2]).sum(1) + line[:, 2]
        low, high = np.minimum.reduceat(distance, starts), np.maximum.reduceat(distance, starts)
        on[:, unit] = high > -low
        crossed = np.flatnonzero((low < -near) & (high > near))
        if not len(crossed):
            continue
        distance[np.abs(distance) <= near] = 0
        below = []
        for number in crossed:
            part = slice(starts[number], starts[number] + sizes[number])
            cells[number], rest, _ = _halves(cells[number], distance[part])
            below.append(rest)
        cells = cells + below
        if len(cells) > MOST:
            raise UserError(
                f"regions: the network has more than {MOST:,} regions here; take a smaller square, or fewer units."
            )
        on[crossed, unit] = True
        rest = on[crossed]
        rest[:, unit] = False
        on, parents = np.concatenate([on, rest]), np.concatenate([parents, parents[crossed]])
    return cells, parents, on


def _halves(polygon, height):
    """The parts of a convex polygon where an affine function is above zero and below, and the ends of their border.

    Args:
        polygon: (corners, 2); height: (corners,), the function's values, of both signs.
    """
    above, below, border = [], [], []
    corners, heights = polygon.tolist(), height.tolist()
    for number, (p, s) in enumerate(zip(corners, heights, strict=True)):
        q, t = corners[number - len(corners) + 1], heights[number - len(corners) + 1]
        if s >= 0:
            above.append(p)
        if s <= 0:
            below.append(p)
        if s == 0:
            border.append(p)
        if s < 0 < t or t < 0 < s:
            share = s / (s - t)
            point = [p[0] + share * (q[0] - p[0]), p[1] + share * (q[1] - p[1])]
            for part in (above, below, border):
                part.append(point)
    return np.array(above), np.array(below), border


def _area(polygon):
    x, y = (polygon - polygon[0]).T
    return 0.5 * float(x @ np.roll(y, -1) - y @ np.roll(x, -1))
