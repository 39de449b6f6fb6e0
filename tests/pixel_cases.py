"""The small models of tests/test_laws_pixels.py: a row each, with the theory of what a value depends on."""

import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_dl import models
from keras_dl.decoding import SampleFrom


@dataclasses.dataclass(frozen=True)
class PixelCase:
    """A model of images.

    Attributes:
        build: a builder; kwargs: its arguments.
        field: field(**kwargs) -> the offsets (rows, columns) of the pixels that a pixel depends on, without itself;
            None: all before it.
        sees: sees(value, before, **kwargs) -> whether a value (row, column, channel) depends on one of an earlier
            pixel, where that is not a matter of the offset of their pixels alone; None: it does.
    """

    build: Callable
    kwargs: dict
    field: Callable | None = None
    sees: Callable | None = None

    def make(self, seed=0, **changes):
        """A new model with random weights, large enough that every dependence shows."""
        keras.utils.set_random_seed(seed)
        model = self.build(**self.kwargs | changes)
        rng = np.random.default_rng(seed)
        for variable in model.trainable_variables:
            inputs = max(1, np.prod(variable.shape[:-1]))
            variable.assign(rng.normal(0, 0.3 if variable.name == "bias" else 1.5 / np.sqrt(inputs), variable.shape))
        return model

    @functools.cached_property
    def model(self):
        return self.make()

    @functools.cached_property
    def exact(self):
        """The model in float64, in which no rounding looks like a dependence, and no dependence like rounding."""
        policy = keras.mixed_precision.dtype_policy()
        keras.mixed_precision.set_dtype_policy("float64")
        try:
            return self.make()
        finally:
            keras.mixed_precision.set_dtype_policy(policy)

    def images(self, count, seed=0):
        """Levels (count, H, W, C) float32, drawn uniformly."""
        rng = np.random.default_rng(seed)
        return rng.integers(0, self.kwargs["levels"], (count, *self.kwargs["input_shape"])).astype("float32")

    def context(self, count, seed=0):
        """A context for `count` images; None if the model is not conditional."""
        rng = np.random.default_rng(seed)
        height, width, _ = self.kwargs["input_shape"]
        if classes := self.kwargs.get("num_classes"):
            return (np.arange(count) % classes).astype("int32")
        if size := self.kwargs.get("condition_dim"):
            return rng.normal(size=(count, size)).astype("float32")
        if channels := self.kwargs.get("map_channels"):
            return rng.normal(size=(count, height, width, channels)).astype("float32")
        return None

    def dependences(self):
        """By theory, whether the distribution of value i depends on value j: bool (T, T), T = H W C."""
        height, width, channels = self.kwargs["input_shape"]
        place = np.stack(np.meshgrid(range(height), range(width), indexing="ij"), -1).reshape(-1, 2)
        offsets = place[None] - place[:, None]  # of the pixel that is looked at from the one that looks
        before = (offsets[..., 0] < 0) | ((offsets[..., 0] == 0) & (offsets[..., 1] < 0))
        if self.field is not None:
            seen = self.field(**self.kwargs)
            before &= np.array([[tuple(offset) in seen for offset in row] for row in offsets.tolist()])
        own = np.eye(len(place), dtype=bool)
        earlier_channel = np.tri(channels, k=-1, dtype=bool)
        before = np.kron(before, np.ones((channels, channels), bool))
        if self.sees is not None:
            values = list(np.ndindex(height, width, channels))
            before &= np.array([[self.sees(value, other, **self.kwargs) for other in values] for value in values])
        return before | np.kron(own, earlier_channel)


def pixelcnn_field(*, first_kernel_size=7, kernel_size=3, num_blocks=15, **_):
    """Offsets of PixelCNN's receptive field: of the first mask, moved on by the mask of each block."""
    field = _masked(first_kernel_size)
    for _ in range(num_blocks):
        field = _moved(field, _masked(kernel_size) | {(0, 0)})
    return field


def gated_field(*, first_kernel_size=7, kernel_size=5, num_layers=20, dilations=(1,), **_):
    """Offsets of the two stacks' receptive field."""
    rows, columns = first_kernel_size // 2, first_kernel_size // 2
    vertical = {(-i, j) for i in range(1, rows + 1) for j in range(-columns, columns + 1)}
    field = vertical | {(0, -j) for j in range(1, columns + 1)}
    for number in range(num_layers - 1):
        step, half = dilations[number % len(dilations)], kernel_size // 2
        vertical = _moved(
            vertical, {(-i * step, j * step) for i in range(half + 1) for j in range(-half, half + 1)}
        )  # fmt: skip
        field = vertical | _moved(field, {(0, -j * step) for j in range(half + 1)})
    return field


def row_lstm_sees(value, before, *, input_shape, first_kernel_size=7, kernel_size=3, num_layers=7, **_):
    """A triangle, on either side wider by half a kernel for each row up, and on its left side by half a kernel for each
    layer. The first convolution reaches beyond it; that of a pixel does not see the last channel of this pixel."""
    half, first = kernel_size // 2, first_kernel_size // 2
    up, right = value[0] - before[0], before[1] - value[1]
    own = half * up - int(before[2] == input_shape[2] - 1)
    return -half * (up + num_layers) - first <= right <= max(half * (up - 1) + first, own)


def diagonal_bilstm_sees(value, before, *, input_shape, first_kernel_size=7, **_):
    """All values but one: the last of the row above, where the first convolution does not reach it."""
    _, width, channels = input_shape
    return before != (value[0] - 1, width - 1, channels - 1) or value[1] + first_kernel_size // 2 >= width - 1


def _masked(size):
    half = size // 2
    return {(i, j) for i in range(-half, 1) for j in range(-half, half + 1) if (i, j) < (0, 0)}


def _moved(field, offsets):
    return {(a + c, b + d) for a, b in field for c, d in offsets}


BINARY = {"levels": 2, "output": "bernoulli"}
# Wide enough that no path is silent: with C channels only a C-th of the features carries the last one.
SMALL = {"num_blocks": 2, "filters": 10, "first_kernel_size": 3, "top_filters": (20, 19)}
GATED = {"num_layers": 3, "filters": 10, "first_kernel_size": 3, "kernel_size": 3, "top_filters": (20, 19)}
LSTM = {"num_layers": 2, "units": 6, "first_kernel_size": 3, "top_filters": (20,)}
PIXEL_CASES = {
    "pixelcnn": PixelCase(
        models.build_pixelcnn,
        {"input_shape": (5, 7, 1), **BINARY, **SMALL, "num_blocks": 1, "first_kernel_size": 5},
        pixelcnn_field,
    ),
    "gated_pixelcnn": PixelCase(
        models.build_gated_pixelcnn, {"input_shape": (5, 7, 1), **BINARY, **GATED, "num_layers": 2}, gated_field
    ),
    "pixelcnn-colour": PixelCase(
        models.build_pixelcnn,
        {"input_shape": (3, 4, 3), "levels": 4, "output": "categorical", **SMALL},
        pixelcnn_field,
    ),
    "gated_pixelcnn-dilated": PixelCase(
        models.build_gated_pixelcnn,
        {"input_shape": (7, 8, 1), **BINARY, **GATED, "dilations": (1, 2), "skip_filters": 5, "num_classes": 3},
        gated_field,
    ),
    "gated_pixelcnn-colour": PixelCase(
        models.build_gated_pixelcnn,
        {
            "input_shape": (3, 4, 3), "levels": 16, "output": "logistic_mixture", "components": 2, **GATED,
            "filters": 11, "condition_dim": 2,
        },
        gated_field,
    ),
    "gated_pixelcnn-map": PixelCase(
        models.build_gated_pixelcnn,
        {
            "input_shape": (3, 4, 2), "levels": 3, "output": "categorical", **GATED, "kernel_size": 5,
            "map_channels": 2,
        },
        gated_field,
    ),
    "pixelrnn-row_lstm": PixelCase(
        models.build_pixelrnn,
        {"input_shape": (5, 9, 1), **BINARY, **LSTM, "layer": "row_lstm", "num_layers": 1},
        sees=row_lstm_sees,
    ),
    "pixelrnn-row_lstm-colour": PixelCase(
        models.build_pixelrnn,
        {
            "input_shape": (3, 4, 3), "levels": 4, "output": "categorical", **LSTM, "layer": "row_lstm",
            "units": 9, "kernel_size": 5,
        },
        sees=row_lstm_sees,
    ),
    "pixelrnn-diagonal_bilstm": PixelCase(
        models.build_pixelrnn,
        {"input_shape": (5, 6, 1), **BINARY, **LSTM, "layer": "diagonal_bilstm"},
        sees=diagonal_bilstm_sees,
    ),
    "pixelrnn-diagonal_bilstm-colour": PixelCase(
        models.build_pixelrnn,
        {
            "input_shape": (3, 4, 3), "levels": 16, "output": "logistic_mixture", "components": 2, **LSTM,
            "layer": "diagonal_bilstm", "units": 9,
        },
        sees=diagonal_bilstm_sees,
    ),
}  # fmt: skip


def naive_sample(model, rows, seed, temperature=1.0, context=None, given=None):
    """The plain loop: the whole network for every value. The reference of decoding.pixels.sample and complete.

    Args:
        given: (images, mask), both (rows, H, W, C), for the values that are given; None: none.

    Returns:
        (images (rows, H, W, C) float32, log-probabilities (rows,))
    """
    shape, draw = model.image_shape, SampleFrom(model.distribution, seed, temperature)
    call = tf.function(lambda image: model(model.with_context(image, context), training=False), autograph=False)
    images, total = np.zeros((rows, *shape), "float32"), np.zeros(rows)
    for t, place in enumerate(np.ndindex(*shape)):
        parameters = call(tf.constant(images))[(slice(None), *place)]
        values = np.asarray(draw(parameters, t))
        if given is not None:
            values = np.where(given[1][(slice(None), *place)], given[0][(slice(None), *place)], values)
        total += np.asarray(draw.log_probability(parameters, values))
        images[(slice(None), *place)] = values
    return images, total
