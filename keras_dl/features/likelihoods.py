"""The negative log-likelihood of pictures, per picture or per dimension: outputs of a density of images."""

import dataclasses
from typing import Annotated, Literal, NotRequired, TypedDict

from msgspec import Meta

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


DRAWN = ("fixed", "resampled")  # binarisations by drawing, which an endpoint does not do: it thresholds
LEVELS = 256


class LikelihoodConfig(TypedDict):
    binarization: NotRequired[Literal["threshold", "fixed", "resampled"] | None]
    levels: NotRequired[Annotated[int, Meta(ge=2, le=LEVELS)]]


@dataclasses.dataclass(frozen=True)
class PictureNats(Feature):
    """-log p of each picture in nats, summed over its pixels and channels: float32 (B,).

    Attributes:
        binarization: how the training data were binarised; None: not at all.
        levels: number of values of a pixel's channel; with a binarization there are two.
    """

    binarization: str | None = None
    levels: int = LEVELS

    kind = "nats_per_image"
    unit = "nats per image, summed over its pixels"
    CONFIG = LikelihoodConfig

    def config(self):
        return {"binarization": self.binarization} | ({} if self.levels == LEVELS else {"levels": self.levels})

    def of_what(self):
        """Of what it is the likelihood, and in which unit; for a sentence."""
        whole = f"in whole grey levels from 0 to {self.levels - 1}"
        prepared = whole if self.binarization is None else BITS[self.binarization]
        return f"pictures {prepared}, in {self.unit}"

    def meaning(self):
        """What the likelihood is of, and of what it is in a request, if that is another thing; for a report."""
        sentence = f"The likelihood is that of {self.of_what()}."
        if self.binarization in DRAWN:
            sentence += " A grey picture in a request is thresholded at grey level 128: nothing is drawn."
        return sentence

    def not_for(self, data):
        how = "prepared" if self.binarization is None else "binarised"
        of_grey = [
            "grey pictures as they are: a request's pictures are thresholded at grey level 128, while those of the "
            "training were drawn, each pixel with its grey level as the probability of white; pictures that are black "
            "and white already stay as they are"
        ]  # fmt: skip
        return [
            f"telling pictures like those of {data} from others: plain pictures, such as empty ones, often have a "
            "higher likelihood",
            f"comparison with the likelihood of pictures that were {how} otherwise: this is that of {self.of_what()}",
            *(of_grey if self.binarization in DRAWN else []),
        ]


class PictureBits(PictureNats):
    """-log2 p of each picture in bits per dimension, divided by the number of its pixels and channels: float32 (B,)."""

    kind = "bits_per_dimension"
    unit = "bits per dimension, a dimension being a channel of a pixel"


def of_levels(levels, binarization=None):
    """The feature of the likelihood of pictures of so many levels; its kind is the output's name.

    Args:
        levels: number of values of a pixel's channel.
        binarization: how the training data were binarised; None with more than two levels.
    """
    return PictureNats(binarization) if levels == 2 else PictureBits(binarization, levels)
