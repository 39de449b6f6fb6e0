"""Levels: the pre-processing of models of the images themselves, whose pixels are whole numbers with a probability.

Shapes: B pictures, h x w pixels as they come, H x W as the model takes them, C channels, K levels.
"""

import dataclasses

from keras_dl.errors import UserError
from keras_dl.features.resizing import WHITE, Resized
from keras_dl.imports import tensorflow as tf

GREY_LEVELS = 256
UNKNOWN_BORDER = 127.5  # neither dark nor light


@dataclasses.dataclass(frozen=True)
class Levels(Resized):
    """The pre-processing of images into K levels 0..K-1 of equal width, in the input pipeline and inside the export.

    With 2 levels a pixel is 1 if its grey level is 128 or more; with 256 the level is the grey level.

    Attributes:
        input_shape: (H, W, C) of the model's input.
        levels: K, from 2 to 256.
        fit: how a picture with another aspect ratio becomes H x W: "crop", "pad" or "stretch" (resizing.Resized).
        border: mean grey level of the training pictures' outermost pixels, 0..255, by which `predict` notices an
            inverted picture.

    Raises:
        UserError: `levels` or `fit` is none of these.

    >>> Levels((1, 3, 1), levels=2)([[[[0], [127], [128]]]]).numpy().ravel().tolist()
    [0.0, 0.0, 1.0]
    """

    input_shape: tuple
    levels: int = GREY_LEVELS
    fit: str = "crop"
    border: float = UNKNOWN_BORDER

    def __post_init__(self):
        super().__post_init__()
        if not 2 <= self.levels <= GREY_LEVELS:
            raise UserError(f"Levels: levels must be from 2 to {GREY_LEVELS}; got {self.levels!r}.")

    def __call__(self, images):
        """uint8 (B, h, w, C) -> float32 (B, H, W, C), whole levels from 0 to K - 1."""
        return self.of_grey(self.resize(tf.cast(images, tf.uint8)))

    def of_grey(self, grey):
        """Whole grey levels float32, as `resize` returns them -> levels float32 of the same shape."""
        # A product by a power of two and a sum of whole numbers are exact, so a level is the same everywhere.
        return grey if self.levels == GREY_LEVELS else tf.floor(grey * self.levels / GREY_LEVELS)

    def unit(self, levels):
        """Levels -> float32 from 0 to 1, of the same shape: 0 is 0, K - 1 is 1."""
        return tf.cast(levels, tf.float32) / (self.levels - 1)

    def inverse(self, levels):
        """Levels (..., H, W, C) of any dtype -> uint8 from 0 to 255: the picture that the model saw."""
        return tf.cast(tf.clip_by_value(tf.round(self.unit(levels) * WHITE), 0, WHITE), tf.uint8)

    def config(self):
        return {"kind": "levels", **dataclasses.asdict(self)}

    @classmethod
    def from_config(cls, config):
        """The Levels of what `config` returned, also after it was written as JSON."""
        config = {name: value for name, value in config.items() if name != "kind"}
        return cls(**{**config, "input_shape": tuple(config["input_shape"])})
