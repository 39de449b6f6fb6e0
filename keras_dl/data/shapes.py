"""Shapes drawn at random places, with exact masks: the embedded data of segmentation, in two and three dimensions.

Of one picture each shape is in front of those before it. A pixel belongs to a shape if its middle lies inside.
"""

import numpy as np

CLASSES = ("background", "disc", "square", "triangle")
CLASSES_3D = ("background", "ball", "cube")
SIZE, SIZE_3D = 48, 20  # pixels or voxels of a side
COUNTS = {"train": 600, "validation": 100, "test": 200}
COUNTS_3D = {"train": 120, "validation": 30, "test": 60}
NOISE = 0.08  # standard deviation, of white = 1


def draw(seed, dimensions=2):
    """{split: (pictures, masks)} of the seed.

    Args:
        seed: of all draws; no two splits share a stream.
        dimensions: 2 or 3.

    Returns:
        In two dimensions pictures uint8 (N, SIZE, SIZE, 3) and masks uint8 (N, SIZE, SIZE); in three float32
        (N, SIZE_3D, SIZE_3D, SIZE_3D) and uint8 of that shape. A mask's values are indices of CLASSES (CLASSES_3D).
    """
    one, counts = (_picture, COUNTS) if dimensions == 2 else (_volume, COUNTS_3D)
    drawn = {}
    for number, (part, count) in enumerate(counts.items()):
        rng = np.random.default_rng((seed, dimensions, number))
        pairs = [one(rng) for _ in range(count)]
        drawn[part] = tuple(np.stack(of) for of in zip(*pairs, strict=True))
    return drawn


def inside(name, places, centre, radius, angle=0.0):
    """Whether points lie inside a shape: bool (...).

    Args:
        name: of CLASSES or CLASSES_3D.
        places: (..., n) coordinates.
        centre: (n,).
        radius: of a disc or ball; half the side of a square or cube; of the circle through a triangle's corners.
        angle: radians, by which a square or a triangle is turned.
    """
    from_centre = places - centre
    if name in ("disc", "ball"):
        return (from_centre**2).sum(-1) <= radius**2
    if name == "cube":
        return np.abs(from_centre).max(-1) <= radius
    sides = 4 if name == "square" else 3
    to_side = radius if name == "square" else radius / 2  # distance of the middle from each side
    directions = angle + 2 * np.pi * np.arange(sides) / sides
    return (from_centre @ np.stack([np.cos(directions), np.sin(directions)])).max(-1) <= to_side


def _picture(rng):
    places = np.stack(np.meshgrid(*[np.arange(SIZE) + 0.5] * 2, indexing="ij"), -1)
    image = np.broadcast_to(rng.uniform(0.1, 0.9, 3), (SIZE, SIZE, 3)).copy()
    mask = np.zeros((SIZE, SIZE), np.uint8)
    for _ in range(rng.integers(1, 4)):
        label = int(rng.integers(1, len(CLASSES)))
        where = inside(
            CLASSES[label], places, rng.uniform(8, SIZE - 8, 2), rng.uniform(5, 12), rng.uniform(0, 2 * np.pi)
        )
        mask[where], image[where] = label, rng.uniform(0, 1, 3)
    image = np.clip(image + rng.normal(0, NOISE, image.shape), 0, 1)
    return (255 * image).round().astype(np.uint8), mask


def _volume(rng):
    places = np.stack(np.meshgrid(*[np.arange(SIZE_3D) + 0.5] * 3, indexing="ij"), -1)
    volume, mask = np.zeros([SIZE_3D] * 3), np.zeros([SIZE_3D] * 3, np.uint8)
    for _ in range(rng.integers(1, 3)):
        label = int(rng.integers(1, len(CLASSES_3D)))
        where = inside(CLASSES_3D[label], places, rng.uniform(5, SIZE_3D - 5, 3), rng.uniform(3, 6))
        mask[where], volume[where] = label, rng.uniform(0.5, 1)
    return (volume + rng.normal(0, NOISE, volume.shape)).astype(np.float32), mask
