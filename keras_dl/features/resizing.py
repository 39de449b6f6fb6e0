"""Resizes pictures: what every pre-processing of pictures shares, in the pipeline, in `predict` and in exports.

Shapes: h x w pixels as they come, H x W as the model takes them, C channels.
"""

from keras_dl.errors import UserError
from keras_dl.imports import tensorflow as tf

WHITE = 255.0
FITS = ("crop", "pad", "stretch")


class Resized:
    """The part of a pre-processing that decodes a picture and gives it the model's size.

    A subclass has two attributes:
        input_shape: (H, W, C) of the model's input.
        fit: how a picture with another aspect ratio becomes H x W: "crop" keeps its middle, "pad" adds black bars,
            "stretch" distorts it.

    Raises:
        UserError: `fit` is none of these.
    """

    def __post_init__(self):
        if self.fit not in FITS:
            raise UserError(
                f"{type(self).__name__}: fit must be {', '.join(FITS[:-1])} or {FITS[-1]}; got {self.fit!r}."
            )

    def decode(self, data):
        """The bytes of a picture file -> uint8 (h, w, C), by pictures.decode."""
        from keras_dl.features import pictures

        return pictures.decode(data, self.input_shape[2])

    def resize(self, images, interpolate=None):
        """uint8 (..., h, w, C) -> float32 (..., H, W, C) in whole grey levels, resized according to `fit`.

        Args:
            interpolate: function (images, size) -> float32 of that size, in place of tf.image.resize; the pictures must
                then be (B, h, w, C).
        """
        images = tf.convert_to_tensor(images)
        height, width = self.input_shape[:2]
        if images.shape[-3:-1].as_list() != [height, width]:
            shape = images.shape[:-3] + [height, width, images.shape[-1]]
            size = (height, width)
            if self.fit == "crop":
                images = _middle(images, height, width)
            elif self.fit == "pad":
                size = _inside(images, height, width)
            images = (interpolate or _interpolated)(images, size)
            images = tf.clip_by_value(tf.round(images), 0, WHITE)
            if self.fit == "pad":
                images = _with_bars(images, height, width)
            # Not every format has an operation that checks a shape; all can give one.
            images = tf.ensure_shape(images, shape) if interpolate is None else tf.reshape(images, [-1, *shape[-3:]])
        return tf.cast(images, tf.float32)


def _interpolated(images, size):
    return tf.image.resize(images, size, antialias=True)


def _middle(images, height, width):
    """The largest part in the middle of (..., h, w, C) with the aspect ratio height : width."""
    h, w = tf.shape(images)[-3], tf.shape(images)[-2]
    rows = tf.clip_by_value(_rounded(w, height, width), 1, h)
    columns = tf.clip_by_value(_rounded(h, width, height), 1, w)
    top, left = (h - rows) // 2, (w - columns) // 2
    return images[..., top : top + rows, left : left + columns, :]


def _inside(images, height, width):
    """(2,) the largest size with the aspect ratio of (..., h, w, C) that fits into height x width."""
    h, w = tf.shape(images)[-3], tf.shape(images)[-2]
    rows = tf.clip_by_value(_rounded(h, width, w), 1, height)
    columns = tf.clip_by_value(_rounded(w, height, h), 1, width)
    return tf.stack([rows, columns])


def _rounded(number, times, by):
    return (2 * number * times + by) // (2 * by)


def _with_bars(images, height, width):
    """(..., h, w, C) -> (..., height, width, C), centred on black."""
    room = [height, width] - tf.shape(images)[-3:-1]
    before = room // 2
    around = tf.concat([tf.stack([before, room - before], 1), [[0, 0]]], 0)
    return tf.pad(images, tf.pad(around, [[tf.rank(images) - 3, 0], [0, 0]]))
