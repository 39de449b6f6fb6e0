"""The embedded volumes: eight kinds of solids, drawn from their equations, of random size, place and rotation.

The sizes of all kinds are drawn from one range (VOLUME), so that the brightness of a volume does not tell its kind. A
voxel is the share of its points that are inside, with noise; contrast and ground are drawn for each volume.

    ball            x^2 + y^2 + z^2 <= r^2
    ellipsoid       (x / 2)^2 + y^2 + z^2 <= r^2
    cube            max(|x|, |y|, |z|) <= r
    octahedron      |x| + |y| + |z| <= r
    cylinder        x^2 + y^2 <= r^2, |z| <= 1.5 r
    cone            x^2 + y^2 <= (r - z)^2 / 4, |z| <= r
    torus           (sqrt(x^2 + y^2) - r)^2 + z^2 <= (0.4 r)^2
    cross           three bars of half width r / 3 and half length r
"""

import numpy as np

SIDE = 24  # voxels of a volume
COUNTS = {"train": 640, "validation": 160, "test": 240}
VOLUME = (400.0, 1000.0)  # voxels of a solid, smallest and largest
SUBDIVIDED = 2  # points of a voxel along each axis, of which the share inside is counted
NOISE = 0.35  # standard deviation, of the solid's contrast
MOVED = 2.0  # voxels, at most, along each axis, from the middle


def _ball(x, y, z):
    return x**2 + y**2 + z**2 <= 1


def _ellipsoid(x, y, z):
    return (x / 2) ** 2 + y**2 + z**2 <= 1


def _cube(x, y, z):
    return np.maximum(np.maximum(abs(x), abs(y)), abs(z)) <= 1


def _octahedron(x, y, z):
    return abs(x) + abs(y) + abs(z) <= 1


def _cylinder(x, y, z):
    return (x**2 + y**2 <= 1) & (abs(z) <= 1.5)


def _cone(x, y, z):
    return (x**2 + y**2 <= (1 - z) ** 2 / 4) & (abs(z) <= 1)


def _torus(x, y, z):
    return (np.sqrt(x**2 + y**2) - 1) ** 2 + z**2 <= 0.4**2


def _cross(x, y, z):
    thin = [abs(axis) <= 1 / 3 for axis in (x, y, z)]
    long = [abs(axis) <= 1 for axis in (x, y, z)]
    bars = [long[k] & thin[(k + 1) % 3] & thin[(k + 2) % 3] for k in range(3)]
    return bars[0] | bars[1] | bars[2]


SOLIDS = {  # name: (whether a point is inside, of r = 1; the volume of r = 1)
    "ball": (_ball, 4 / 3 * np.pi),
    "cone": (_cone, 2 / 3 * np.pi),
    "cross": (_cross, 7 * (2 / 3) ** 3),  # seven cubes
    "cube": (_cube, 8.0),
    "cylinder": (_cylinder, 3 * np.pi),
    "ellipsoid": (_ellipsoid, 8 / 3 * np.pi),
    "octahedron": (_octahedron, 4 / 3),
    "torus": (_torus, 2 * np.pi**2 * 0.4**2),
}
CLASSES = tuple(SOLIDS)


def draw(seed, counts=COUNTS):
    """{split: (volumes float32 (N, SIDE, SIDE, SIDE), labels int32 (N,))}, equally many of each kind, shuffled."""
    rng = np.random.default_rng((seed, 23))
    return {part: _volumes(count, rng) for part, count in counts.items()}


def solid(name, volume, rotation, centre, side=SIDE):
    """The share of each voxel that is inside: float32 (side, side, side).

    Args:
        name: a key of SOLIDS.
        volume: of the solid, in voxels.
        rotation: (3, 3), orthogonal.
        centre: (3,) voxels from the middle of the volume.
    """
    inside, of_one = SOLIDS[name]
    radius = (volume / of_one) ** (1 / 3)
    points = np.float32((np.arange(side * SUBDIVIDED) + 0.5) / SUBDIVIDED - side / 2)
    axes = [(points - np.float32(middle)) / np.float32(radius) for middle in centre]
    x, y, z = np.ix_(*axes)
    share = inside(*(np.float32(row[0]) * x + np.float32(row[1]) * y + np.float32(row[2]) * z for row in rotation))
    share = share.reshape(side, SUBDIVIDED, side, SUBDIVIDED, side, SUBDIVIDED)
    return share.mean((1, 3, 5), dtype=np.float32)


def rotation_of(rng):
    """A rotation (3, 3), all equally probable: of a unit quaternion (Shoemake 1992)."""
    w, x, y, z = (q := rng.normal(size=4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _volumes(count, rng):
    labels = rng.permutation(np.arange(count) % len(CLASSES)).astype(np.int32)
    volumes = np.empty((count, SIDE, SIDE, SIDE), np.float32)
    for row, label in enumerate(labels):
        drawn = solid(CLASSES[label], rng.uniform(*VOLUME), rotation_of(rng), rng.uniform(-MOVED, MOVED, 3))
        contrast, ground = rng.uniform(0.5, 1.5), rng.uniform(-1, 1)
        volumes[row] = ground + contrast * (drawn + NOISE * rng.normal(size=drawn.shape))
    return volumes, labels
