"""Pictures of a labelled set in a wider frame, moved inside it, and with their pixels in another order.

Shapes: N pictures, H x W pixels of the frame, C channels.
"""

import dataclasses

import numpy as np

from keras_dl import data

MARGIN = 2  # pixels around each picture: 28 x 28 become the 32 x 32 of LeCun et al. 1998


@dataclasses.dataclass(frozen=True)
class Pictures:
    """One split: x float32 (N, H, W, C) in [0, 1], whose background is 0, and y int32 (N,)."""

    x: np.ndarray
    y: np.ndarray

    def __len__(self):
        return len(self.y)

    def take(self, indices):
        return Pictures(self.x[indices], self.y[indices])


def load(name, seed):
    """{"train", "validation", "test": Pictures} of one of data.image_sets.SETS, with a margin of MARGIN pixels."""
    splits, _ = data.images.published(name, seed)
    return {
        part: Pictures(framed(examples.features["image"]), examples.features["label"].astype(np.int32))
        for part, examples in splits.items()
    }


def framed(images, margin=MARGIN):
    """uint8 (N, h, w, C) -> float32 (N, h + 2 margin, w + 2 margin, C) in [0, 1], with zeros around it."""
    return np.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0))).astype(np.float32) / 255


def joined(*parts):
    """Several Pictures as one."""
    return Pictures(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("x", "y")))


def drawn(pictures, count, seed):
    """`count` of the Pictures, drawn with the seed; of the same seed the smaller sets are parts of the larger."""
    return pictures.take(np.random.default_rng((seed, 1)).permutation(len(pictures))[:count])


def room(x):
    """How far each picture can be moved before something of it is cut off.

    Returns:
        int (N, 4): empty rows above, empty rows below, empty columns on the left, and on the right. A picture without
        anything on it has none.
    """
    ink = (x > 0).any(-1)  # (N, H, W)
    sides = []
    for axis in (2, 1):
        lines = ink.any(axis)  # (N, H), then (N, W)
        sides += [lines.argmax(1), lines[:, ::-1].argmax(1)]
    return np.stack(sides, 1)


def moved(x, offsets):
    """Move each picture by its offset; what becomes free is background, and nothing is cut off.

    Args:
        x: float32 (N, H, W, C) with background 0.
        offsets: int (N, 2) rows down and columns to the right, or (2,) for all. One that would cut something off is
            shortened to the room that there is.

    Returns:
        (the moved pictures (N, H, W, C), the offsets (N, 2) by which they were moved).
    """
    up, down, left, right = room(x).T
    offsets = np.broadcast_to(offsets, (len(x), 2))
    offsets = np.stack([np.clip(offsets[:, 0], -up, down), np.clip(offsets[:, 1], -left, right)], 1)
    result = np.empty_like(x)
    for offset in np.unique(offsets, axis=0):
        own = (offsets == offset).all(1)
        result[own] = np.roll(x[own], tuple(offset), (1, 2))
    return result, offsets


def shifted(pictures, most, seed):
    """The same Pictures, each moved by up to `most` pixels down or up and right or left, drawn with the seed."""
    offsets = np.random.default_rng((seed, 2)).integers(-most, most + 1, (len(pictures), 2))
    return Pictures(moved(pictures.x, offsets)[0], pictures.y)


def pixel_order(shape, seed):
    """A permutation of the pixels of a frame (H, W, C): (H W,), the same for all channels."""
    return np.random.default_rng((seed, 3)).permutation(shape[0] * shape[1])


def permuted(pictures, order):
    """The same Pictures, pixel k of each being pixel order[k] of the picture."""
    x = pictures.x
    mixed = x.reshape(len(x), -1, x.shape[-1])[:, order]
    return Pictures(mixed.reshape(x.shape), pictures.y)
