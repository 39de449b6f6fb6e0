"""The negative log-likelihood of pictures, per picture or per dimension: outputs of a density of images."""

import dataclasses
from typing import Literal, NotRequired, TypedDict

from keras_dl.features.base import Feature

# How a picture of grey levels becomes one of two levels, by the name of the binarisation of the training data.
BITS = {
    "threshold": "thresholded at grey level 128",
    "fixed": "binarised once, each pixel drawn with its grey level as the probability of white",
    "resampled": (
        "binarised by drawing each pixel with its grey level as the probability of white, anew in each epoch of the "
        "training, and once for validation and test"
    ),
}


class LikelihoodConfig(TypedDict):
    binarization: NotRequired[Literal["threshold", "fixed", "resampled"] | None]


@dataclasses.dataclass(frozen=True)
class PictureNats(Feature):
    """-log p of each picture in nats, summed over its pixels and channels: float32 (B,).

    Attributes:
        binarization: how the training data were binarised; None: not at all.
    """

    binarization: str | None = None

    kind = "nats_per_image"
    unit = "nats per image, summed over its pixels"
    CONFIG = LikelihoodConfig

    def config(self):
        return {"binarization": self.binarization}

    def of_what(self):
        """Of what it is the likelihood, and in which unit; for a sentence."""
        prepared = "in whole grey levels from 0 to 255" if self.binarization is None else BITS[self.binarization]
        return f"pictures {prepared}, in {self.unit}"

    def meaning(self):
        """A sentence for a report."""
        return f"The likelihood is that of {self.of_what()}."

    def not_for(self, data):
        how = "prepared" if self.binarization is None else "binarised"
        return [
            f"telling pictures like those of {data} from others: plain pictures, such as empty ones, often have a "
            "higher likelihood",
            f"comparison with the likelihood of pictures that were {how} otherwise: this is that of {self.of_what()}",
        ]


class PictureBits(PictureNats):
    """-log2 p of each picture in bits per dimension, divided by the number of its pixels and channels: float32 (B,)."""

    kind = "bits_per_dimension"
    unit = "bits per dimension, a dimension being a channel of a pixel"
