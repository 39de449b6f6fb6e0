"""Images from a model of one value after the other: draws of values, sampling, and completion of images.

`model` is a models.PixelModel. The noise of a value depends only on the seed and on the value's place in raster order,
so that the same seed gives the same images, in Python and from an export, however they are computed.
Shapes: B images, H height, W width, C channels, P parameters of the distribution of a value, T = H W C values.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_dl.decoding.draws import check_seed, check_temperature, key
from keras_dl.decoding.generation import generate
from keras_dl.decoding.protocol import step_function


@dataclasses.dataclass(frozen=True)
class PixelDraw:
    """A value drawn from the model's distribution at a temperature. parameters (B, P) -> (B,) int32.

    Args:
        distribution: distribution(parameters) has log_prob(value) and sample(seed, temperature), as PixelModel's.
        seed: a whole number, or a scalar tensor.
        temperature: 0 to HOTTEST, a number or a scalar tensor; at 0 the most probable value.

    Raises:
        ValueError: a number is out of its range (tensors are not checked).
    """

    distribution: Callable
    seed: Any
    temperature: Any = 1.0

    def __post_init__(self):
        check_seed("PixelDraw", self.seed)
        check_temperature("PixelDraw", self.temperature)

    def __call__(self, parameters, t):
        return self.distribution(parameters).sample(key(self.seed, t), self.temperature)

    def log_probability(self, parameters, values):
        """log p of the values (B,) under the model's own distribution, at temperature 1: (B,)."""
        return self.distribution(parameters).log_prob(values)


@dataclasses.dataclass(frozen=True)
class Given:
    """Another draw where the values are not given.

    Args:
        draw: a PixelDraw.
        values: (B, T) int32 given values.
        mask: (B, T) bool, True where a value is given.
    """

    draw: PixelDraw
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
        rows: B, a number or a scalar tensor; with a context its number of rows.
        seed: a whole number, or a scalar tensor.
        temperature: 0 to draws.HOTTEST, a number or a scalar tensor.
        context: labels, conditions or maps of a conditional model, one for each image.

    Returns:
        images (B, H, W, C) int32, levels from 0 to model.levels - 1;
        log-probabilities (B,) float32 in nats, those of the model, whatever the temperature.

    Raises:
        ValueError: a number is out of its range.
    """
    return _drawn(model, rows, PixelDraw(model.distribution, seed, temperature), context)


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
        ValueError: a number is out of its range.
    """
    images, mask = tf.cast(images, tf.int32), tf.cast(mask, tf.bool)
    mask = mask[..., None] if mask.shape.rank == 3 else mask
    rows = images.shape[0] or tf.shape(images)[0]
    given = tf.broadcast_to(mask, tf.shape(images))
    flat = [-1, math.prod(model.image_shape)]
    values, given = (tf.reshape(one_at_least(x), flat) for x in (images, given))
    return _drawn(model, rows, Given(PixelDraw(model.distribution, seed, temperature), values, given), context)


def _drawn(model, rows, draw, context):
    height, width, channels = model.image_shape
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
