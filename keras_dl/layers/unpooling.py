"""Max-pooling that remembers where its maxima were, unpooling that puts them back, and up-sampling without switches.

Source: Noh, Hong and Han, "Learning Deconvolution Network for Semantic Segmentation" (arXiv:1505.04366), section 3.2,
"switch variables"; Zeiler and Fergus (arXiv:1311.2901), section 2.1. Badrinarayanan et al. (arXiv:1511.00561), section
3, name them pooling indices.
Windows are 2 x 2 (or 2 x 2 x 2) and do not overlap; a side of odd length has a last window of one pixel less, so that
sizes are halved and rounded up, and the up-sampled maps are cut to the size that was pooled.
A switch is the place of the maximum within its own window, in row-major order from 0; of equal maxima, the first. It
has no index of the batch, unlike those of tf.nn.max_pool_with_argmax, and needs a byte a window.
Shapes: B examples, H x W pixels or D x H x W voxels, C channels; h = ceil(H / 2) and so on.
"""

import keras
import tensorflow as tf

POOL = 2  # sides of a window
INTERPOLATIONS = ("nearest", "bilinear")


def pooled_size(sides):
    """Sides after pooling.

    >>> pooled_size((180, 45, 23, 1))
    (90, 23, 12, 1)
    """
    return tuple(-(-side // POOL) for side in sides)


@keras.saving.register_keras_serializable("keras_dl")
class MaxPoolingWithSwitches(keras.layers.Layer):
    """The maximum of each window and its place: (B, ..., C) -> (B, ..., C) of the halved size, and switches uint8.

    Inputs are (B, H, W, C) or (B, D, H, W, C), of any float type, with sizes known but for B. The gradient goes to the
    maximum alone, also where several values of a window are equal.

    >>> pooled, switches = MaxPoolingWithSwitches()(tf.constant([[[[1.0], [5.0], [2.0]], [[3.0], [4.0], [7.0]]]]))
    >>> pooled[0, ..., 0].numpy().tolist(), switches[0, ..., 0].numpy().tolist()
    ([[5.0, 7.0]], [[1, 2]])
    """

    def call(self, inputs):
        return _pool(inputs)

    def compute_output_shape(self, input_shape):
        batch, *sides, channels = input_shape
        shape = (batch, *pooled_size(sides), channels)
        return shape, shape

    def compute_output_spec(self, inputs):
        shape, _ = self.compute_output_shape(inputs.shape)
        return keras.KerasTensor(shape, self.compute_dtype), keras.KerasTensor(shape, "uint8")


@keras.saving.register_keras_serializable("keras_dl")
class MaxUnpooling(keras.layers.Layer):
    """Each value to the place that its switch says, zeros elsewhere.

    Args:
        output_size: (H, W) or (D, H, W), the size that was pooled.

    Called with [values, switches], both (B, h, w, C) or (B, d, h, w, C) -> (B, H, W, C) or (B, D, H, W, C).

    Raises:
        ValueError: values, switches and output_size do not fit.

    >>> values, switches = tf.constant([[[[5.0], [7.0]]]]), tf.constant([[[[1], [2]]]], tf.uint8)
    >>> MaxUnpooling((2, 3))([values, switches])[0, ..., 0].numpy().tolist()
    [[0.0, 5.0, 0.0], [0.0, 0.0, 7.0]]
    """

    def __init__(self, output_size, **kwargs):
        super().__init__(**kwargs)
        self.output_size = tuple(output_size)

    def build(self, input_shape):
        values, switches = (tuple(shape) for shape in input_shape)
        if values[1:] != switches[1:] or values[1:-1] != pooled_size(self.output_size):
            raise ValueError(
                f"MaxUnpooling: values and switches must both be of the size {pooled_size(self.output_size)}, which "
                f"is pooled from {self.output_size}; got {values} and {switches}."
            )

    def call(self, inputs):
        values, switches = inputs
        return _unpool(values, switches, self.output_size)

    def compute_output_shape(self, input_shape):
        batch, *_, channels = input_shape[0]
        return (batch, *self.output_size, channels)

    def compute_output_spec(self, inputs):
        shape = self.compute_output_shape([tensor.shape for tensor in inputs])
        return keras.KerasTensor(shape, self.compute_dtype)

    def get_config(self):
        return super().get_config() | {"output_size": self.output_size}


@keras.saving.register_keras_serializable("keras_dl")
class Upsampling(keras.layers.Layer):
    """Twice the size without switches, cut to `output_size`: what unpooling is compared with.

    Args:
        output_size: (H, W) or (D, H, W), at most twice the input's.
        interpolation: "nearest" repeats each value; "bilinear" is linear along each axis between the centres of the
            pixels, and constant beyond the outermost ones, as tf.image.resize is; for volumes, trilinear.

    Called with (B, h, w, C) or (B, d, h, w, C) -> (B, H, W, C) or (B, D, H, W, C).

    Raises:
        ValueError: the interpolation is unknown, or the sizes do not fit.

    >>> Upsampling((1, 3), "bilinear")(tf.constant([[[[0.0], [4.0]]]])).numpy().ravel().tolist()
    [0.0, 1.0, 3.0]
    """

    def __init__(self, output_size, interpolation="nearest", **kwargs):
        super().__init__(**kwargs)
        if interpolation not in INTERPOLATIONS:
            raise ValueError(f"Upsampling: interpolation must be one of {INTERPOLATIONS}; got {interpolation!r}.")
        self.output_size, self.interpolation = tuple(output_size), interpolation

    def build(self, input_shape):
        if tuple(input_shape[1:-1]) != pooled_size(self.output_size):
            raise ValueError(
                f"Upsampling: inputs must be of the size {pooled_size(self.output_size)}, half of {self.output_size}; "
                f"got {tuple(input_shape)}."
            )

    def call(self, inputs):
        x = inputs
        for axis in range(1, len(self.output_size) + 1):
            even, odd = (x, x) if self.interpolation == "nearest" else _between(x, axis)
            x = _interleaved((even, odd), axis)
        return _cut(x, self.output_size)

    def compute_output_shape(self, input_shape):
        batch, *_, channels = input_shape
        return (batch, *self.output_size, channels)

    def get_config(self):
        return super().get_config() | {"output_size": self.output_size, "interpolation": self.interpolation}


def _pool(x):
    """Maxima and switches of x (B, ..., C)."""
    size = tuple(x.shape[1:-1])

    @tf.custom_gradient
    def pool(x):
        values, switches = _padded(x), None
        # The innermost axis first: then the first of equal maxima in row-major order is taken.
        for axis in reversed(range(1, len(size) + 1)):
            first, second = _halves(values, axis)
            later = second > first
            values = tf.where(later, second, first)
            bit = tf.cast(later, tf.uint8) * tf.constant(POOL ** (len(size) - axis), tf.uint8)
            if switches is not None:
                before, after = _halves(switches, axis)
                bit += tf.where(later, after, before)
            switches = bit

        def gradient(upstream, _):
            return _unpool(upstream, switches, size)

        return (values, switches), gradient

    return pool(x)


def _unpool(values, switches, size):
    """values (B, ..., C) at their switches, in maps of `size`."""

    @tf.custom_gradient
    def unpool(values):
        x, left = values, switches
        for axis in range(1, len(size) + 1):  # the outermost bit first
            place = tf.constant(POOL ** (len(size) - axis), tf.uint8)
            later = left >= place
            left = tf.where(later, left - place, left)
            zeros = tf.zeros_like(x)
            x = _interleaved((tf.where(later, zeros, x), tf.where(later, x, zeros)), axis)
            if axis < len(size):
                left = _interleaved((left, left), axis)
        return _cut(x, size), lambda upstream: _at_switches(upstream, switches)

    return unpool(values)


def _at_switches(x, switches):
    """The value of x (B, ..., C) at each window's switch: the transpose of _unpool."""
    x = _padded(x, value=0)
    rank = len(switches.shape) - 2
    places = [x]
    for axis in range(1, rank + 1):
        places = [half for one in places for half in _halves(one, axis)]
    total = places[0]
    for number, place in enumerate(places[1:], 1):
        total = tf.where(tf.equal(switches, tf.constant(number, tf.uint8)), place, total)
    return total


def _padded(x, value=None):
    """x with each odd side made even, by values that are never the maximum."""
    odd = [side % POOL for side in x.shape[1:-1]]
    if not any(odd):
        return x
    value = x.dtype.min if value is None else value
    return tf.pad(x, [[0, 0], *([0, more] for more in odd), [0, 0]], constant_values=tf.cast(value, x.dtype))


def _halves(x, axis):
    """The entries of an axis at 0, 2, 4, ... and at 1, 3, 5, ..."""
    shape = [-1, *x.shape[1:]]
    split = tf.reshape(x, [*shape[:axis], shape[axis] // POOL, POOL, *shape[axis + 1 :]])
    return tf.unstack(split, axis=axis + 1)


def _interleaved(both, axis):
    """The inverse of _halves."""
    shape = [-1, *both[0].shape[1:]]
    return tf.reshape(tf.stack(both, axis + 1), [*shape[:axis], shape[axis] * POOL, *shape[axis + 1 :]])


def _between(x, axis):
    """Linear interpolation a quarter before and a quarter behind each entry of an axis."""
    last = x.shape[axis] - 1
    indices = tf.range(last + 1)
    near = 0.75 * x
    before = tf.gather(x, tf.maximum(indices - 1, 0), axis=axis)
    behind = tf.gather(x, tf.minimum(indices + 1, last), axis=axis)
    return near + 0.25 * before, near + 0.25 * behind


def _cut(x, size):
    return x[(slice(None), *(slice(side) for side in size))] if tuple(x.shape[1:-1]) != tuple(size) else x
