"""Masks: which pixels of a picture are given, when a model completes it."""

import dataclasses
from typing import Annotated, TypedDict

import numpy as np
from msgspec import Meta

from keras_dl.features.base import Feature

Side = Annotated[int, Meta(ge=1, lt=2**31)]


class MaskConfig(TypedDict):
    height: Side
    width: Side


@dataclasses.dataclass(frozen=True)
class Mask(Feature):
    """The pixels of a picture that are given: uint8 (B, H, W), 1 for given, 0 for those that the model completes.

    `predict` gives the top half of every picture, as the occluded images of van den Oord et al. 2016 (1601.06759,
    figure 1).

    Attributes:
        height, width: H and W, the size of the model's images.
    """

    height: int
    width: int

    kind = "mask"
    dtype = "uint8"
    follows = True
    CONFIG = MaskConfig

    @property
    def shape(self):
        return (None, self.height, self.width)

    def config(self):
        return dataclasses.asdict(self)

    def of(self, picture):
        """(H, W) with the top half given, the middle row not, whatever the picture is."""
        return np.repeat((np.arange(self.height) < self.height // 2).astype(np.uint8)[:, None], self.width, 1)

    def of_batch(self, pictures):
        return np.stack([self.of(picture) for picture in pictures])

    def show(self, value):
        given = np.asarray(value) > 0
        return f"{np.count_nonzero(given):,} of {given.size:,} pixels given"

    def in_python(self):
        """The top half given, the bottom half not."""
        top = self.height // 2
        return f"tf.repeat(tf.constant([[[1]] * {top} + [[0]] * {self.height - top}], tf.uint8), {self.width}, 2)"

    def in_numpy(self, name):
        return [
            f"{name} = np.zeros([1, {self.height}, {self.width}], np.uint8)",
            f"{name}[:, : {self.height // 2}] = 1  # 1: given, 0: to be completed",
        ]

    def in_rest(self):
        return self.of(None).tolist()
