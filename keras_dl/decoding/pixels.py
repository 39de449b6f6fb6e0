"""Images from a model of one value after the other: draws of values, sampling, and completion of images.

`model` is a models.PixelModel. The noise of a value depends only on the seed and on the value's place in raster order,
so that the same seed gives the same images, in Python and from an export, however they are computed.
Shapes: B images, H height, W width, C channels, P parameters of the distribution of a value, T = H W C values.
"""

import dataclasses
import math
from typing import Any

import tensorflow as tf

from keras_dl.decoding.draws import SampleFrom
from keras_dl.decoding.generation import generate
from keras_dl.decoding.protocol import step_function
from keras_dl.decoding.requirements import require, require_levels


@dataclasses.dataclass(frozen=True)
class Given:
    """Another draw where the values are not given.

    Args:
        draw: a SampleFrom.
        values: (B, T) int32 given values.
        mask: (B, T) bool, True where a value is given.
    """

    draw: SampleFrom
    values: Any
    mask: Any

    def __call__(self, parameters, t):
        return tf.where(self.mask[:, t], self.values[:, t], self.draw(parameters, t))

    def log_probability(self, parameters, values):
        return self.draw.log_probability(parameters, values)


def sample(model, rows, seed, temperature=1.0, context=None):
    """Draw images.

    Args:
        model: a PixelModel.
        rows: B, a number or a scalar tensor.
        seed: a whole number, or a scalar tensor.
        temperature: 0 to draws.HOTTEST, a number or a scalar tensor.
        context: labels, conditions or maps of a conditional model, one for each image.

    Returns:
        images (B, H, W, C) int32, levels from 0 to model.levels - 1;
        log-probabilities (B,) float32 in nats, those of the model, whatever the temperature.

    Raises:
        ValueError: a number is out of its range, or the context is not one for each image, or none of this model's
            (PixelModel.check_context).
    """
    return _drawn("sample", model, rows, SampleFrom(model.distribution, seed, temperature), context)


def complete(model, images, mask, seed, temperature=1.0, context=None):
    """Draw the values of images that are not given, each from all values before it, the given ones included.

    This is exact for the values after the last given one, as when the top half is given. A value before a given one
    is drawn without regard to it.

    Args:
        model, seed, temperature, context: as in `sample`.
        images: (B, H, W, C) levels.
        mask: (B, H, W), (B, H, W, 1) or (B, H, W, C); where it is not 0, the value is given.

    Returns:
        images (B, H, W, C) int32; log-probabilities (B,) of the whole images.

    Raises:
        ValueError: as in `sample`, or the images or the mask have another shape, or a value that is given is no level.
            Within a graph assertions say so where shapes and values are not known.
    """
    images, mask = tf.convert_to_tensor(images), tf.cast(mask, tf.bool)
    mask = mask[..., None] if mask.shape.rank == 3 else mask
    mask = _checked_mask(model.image_shape, images, mask)
    given = tf.broadcast_to(mask, tf.shape(images))
    of_given = tf.where(given, images, tf.zeros_like(images))
    images = require_levels("complete: images, where they are given,", of_given, model.levels, images)
    images, rows = tf.cast(images, tf.int32), images.shape[0] or tf.shape(images)[0]
    flat = [-1, math.prod(model.image_shape)]
    values, given = (tf.reshape(one_at_least(x), flat) for x in (images, given))
    draw = Given(SampleFrom(model.distribution, seed, temperature), values, given)
    return _drawn("complete", model, rows, draw, context)


def _checked_mask(image_shape, images, mask):
    """The mask; ValueError unless images are (B, H, W, C) and the mask (B, H, W, 1) or (B, H, W, C), with one B."""
    height, width, channels = image_shape
    if not images.shape.is_compatible_with([None, *image_shape]):
        raise ValueError(f"complete: images must have the shape (B, H, W, C) with {image_shape}; got {images.shape}.")
    shapes = ([images.shape[0], height, width, last] for last in (1, channels))
    if not any(mask.shape.is_compatible_with(shape) for shape in shapes):
        raise ValueError(
            f"complete: mask must have the shape (B, {height}, {width}), or with a fourth axis of 1 or {channels}, a "
            f"mask for each of the images {tuple(images.shape)}; got {tuple(mask.shape)}."
        )
    same = tf.reduce_all(tf.equal(tf.shape(mask)[:3], tf.shape(images)[:3]))
    return require(same, "complete: mask must have a value for each pixel of every image.", mask)


def _drawn(who, model, rows, draw, context):
    height, width, channels = model.image_shape
    context, rows = model.check_context(who, context, rows)  # before a row may be added
    # No network reads an empty batch: where no image is asked for, one is drawn and left out.
    some = rows if isinstance(rows, int) and rows else tf.maximum(rows, 1)
    context = None if context is None else one_at_least(context)
    memory, state = model.begin(context, rows=some)
    first = tf.zeros_like(state["count"])
    values, scores, _ = generate(step_function(model, memory), state, first, height * width * channels, draw)
    return tf.reshape(values, [-1, height, width, channels])[:rows], tf.reduce_sum(scores, 1)[:rows]


def one_at_least(x):
    """Tensors of B rows; if B is 0, one row of zeros."""
    x = tf.convert_to_tensor(x)
    more = tf.cast(tf.equal(tf.shape(x)[0], 0), tf.int32)
    padded = tf.pad(x, [[0, more]] + [[0, 0]] * (x.shape.rank - 1))
    return tf.ensure_shape(padded, [x.shape[0] or None, *x.shape[1:]])
