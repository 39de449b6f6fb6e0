"""Linear regions in the narrow sense: neighbouring activation regions that have the same affine function are one.

A unit whose line is no border of the function, since nothing of it reaches an output there, divides activation regions
and no linear region. Parts with the same function that do not touch are different linear regions.
"""

import numpy as np


def labels(regions):
    """Which regions are parts of one linear region: they touch along an edge, and have the same affine function.

    Args:
        regions: Regions.

    Returns:
        (P,) numbers from 0; regions of one linear region have the same.
    """
    side, (x, y) = regions.half_width, regions.center
    at_corners = np.array([(x - side, x + side, x), (y, y, y + side), (1, 1, 1)])  # (3, 3) points of the square
    values = (regions.maps @ at_corners).reshape(len(regions), -1)
    key = values @ np.random.default_rng(0).uniform(1, 2, values.shape[1])  # functions differ: so do their keys
    order = np.argsort(key)
    apart = np.diff(key[order]) > 1e-9 * max(np.abs(values).max(), 1e-300)
    group = np.empty(len(order), int)
    group[order] = np.concatenate([[0], np.cumsum(apart)])
    parent = np.arange(len(regions))
    boxes = np.array([(*polygon.min(0), *polygon.max(0)) for polygon in regions.polygons])
    near = 1e-7 * side
    for number in np.flatnonzero(np.bincount(group) > 1):
        members = np.flatnonzero(group == number)
        for i, one in enumerate(members):
            others = members[i + 1 :]
            close = (boxes[others, :2] <= boxes[one, 2:] + near) & (boxes[others, 2:] >= boxes[one, :2] - near)
            for other in others[close.all(1)]:
                if _touch(regions.polygons[one], regions.polygons[other], near):
                    parent[_root(parent, other)] = _root(parent, one)
    return np.unique([_root(parent, number) for number in range(len(parent))], return_inverse=True)[1]


def _touch(one, other, near):
    """Whether two convex polygons without common interior share an edge, or a part of one."""
    for p, q in zip(one, np.roll(one, -1, axis=0), strict=True):
        length = np.hypot(*(q - p))
        if length <= near:
            continue
        along = (q - p) / length
        distance = (other - p) @ np.array([-along[1], along[0]])
        at = ((other - p) @ along)[np.abs(distance) <= near]
        if len(at) > 1 and min(at.max(), length) - max(at.min(), 0) > near:
            return True
    return False


def _root(parent, number):
    while parent[number] != number:
        parent[number] = parent[parent[number]]
        number = parent[number]
    return number
