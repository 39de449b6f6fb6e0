"""Convolutions that see only pixels before their own, in raster order, and in their own pixel only earlier channels.

Source: van den Oord et al., "Pixel Recurrent Neural Networks" (arXiv:1601.06759), section 3.4, masks A and B;
"Conditional Image Generation with PixelCNN Decoders" (arXiv:1606.05328), section 2.1 the gate, 2.2 the vertical stack.
The features of a layer are split into C consecutive groups, one for each channel of the image, red, green, blue, in
this order: a group may depend on a pixel's own channels up to its own (mask B), or on those before it (mask A).
Shapes: B images or N rows, H height, W width, D input features, F filters, K kernel size, C channels of the image.
"""

import keras
import numpy as np
import tensorflow as tf

MASKS = ("A", "B")
FEW = 8  # input features below which oneDNN convolutions are slower than TensorFlow's own


def channel_order(inputs, outputs, channels, mask, parts=1):
    """Which input feature of the same pixel an output feature may see.

    Args:
        inputs, outputs: numbers of features.
        channels: C; the i-th of n features belongs to channel i * C // n.
        mask: "A": only earlier channels; "B": also its own.
        parts: the outputs are so many equal parts, each of which has all channels, such as the two halves of a gate.

    Returns:
        float32 (inputs, outputs) of 0 and 1.

    >>> channel_order(3, 3, 3, "B").tolist()
    [[1.0, 1.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]
    """
    of_input = np.arange(inputs) * channels // inputs
    part = outputs // parts
    of_output = np.tile(np.arange(part) * channels // part, parts)
    earlier = np.less if mask == "A" else np.less_equal
    return earlier.outer(of_input, of_output).astype("float32")


@keras.saving.register_keras_serializable("keras_dl")
class MaskedConv2D(keras.layers.Layer):
    """A convolution with a masked kernel, "same" padding with zeros: (B, H, W, D) -> (B, H, W, F).

    The mask is 1 for all rows above the kernel's centre, in its row for the columns to the left, and at the centre as
    channel_order says. The kernel is multiplied by it in every call, so that masked weights change nothing and get no
    gradient, whatever a saved file has there. Rows and columns that are masked as a whole are not computed.

    Args:
        filters: F.
        kernel_size: K, or (rows, columns), odd.
        mask: "A" or "B".
        channels: C, channels of the image.
        parts: as in channel_order.
        dilation_rate: distance of two rows or columns of the kernel.
        kernel_initializer: of the kernel (rows, columns, D, F).
        use_bias: whether a bias is added.

    >>> layer = MaskedConv2D(1, 3, mask="A", use_bias=False, kernel_initializer="ones")
    >>> layer(tf.ones([1, 3, 3, 1]))[0, ..., 0].numpy().tolist()  # the number of pixels above, or left in the row
    [[0.0, 1.0, 1.0], [2.0, 4.0, 3.0], [2.0, 4.0, 3.0]]
    """

    def __init__(
        self, filters, kernel_size, *, mask, channels=1, parts=1, dilation_rate=1, kernel_initializer="glorot_uniform",
        use_bias=True, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.filters, self.mask, self.channels, self.parts, self.use_bias = filters, mask, channels, parts, use_bias
        self.dilation_rate = dilation_rate
        self.kernel_size = (kernel_size,) * 2 if isinstance(kernel_size, int) else tuple(kernel_size)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        shape = (*self.kernel_size, input_shape[-1], self.filters)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=self.kernel_initializer)
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros") if self.use_bias else None
        row, column = (size // 2 for size in self.kernel_size)
        self._mask = np.zeros(shape, "float32")
        self._mask[:row] = 1
        self._mask[row, :column] = 1
        self._mask[row, column] = channel_order(input_shape[-1], self.filters, self.channels, self.mask, self.parts)

    def call(self, inputs):
        row, column = (size // 2 for size in self.kernel_size)
        kernel = self.masked_kernel()[: row + 1]
        if row == 0:
            kernel = kernel[:, : column + 1]
        x = convolution_from_above(inputs, kernel, column, self.dilation_rate)
        return x if self.bias is None else tf.nn.bias_add(x, tf.cast(self.bias, x.dtype))

    def masked_kernel(self):
        """kernel * mask, (rows, columns, D, F), in the dtype of the computation."""
        return tf.cast(self.kernel * self._mask, self.compute_dtype)

    def above(self, rows):
        """The part of a row's output that comes from the rows above it, with the bias.

        Args:
            rows: (N, reach[0], W, D), the rows above, the nearest last; zeros beyond the image.

        Returns:
            (N, W, F)
        """
        kernel = self.masked_kernel()[: self.kernel_size[0] // 2]
        return _row(rows[:, :: self.dilation_rate], kernel, self.bias, self.dilation_rate)

    @property
    def reach(self):
        """(rows above, columns to the left) that a pixel's output depends on."""
        return tuple(size // 2 * self.dilation_rate for size in self.kernel_size)

    def beside_kernel(self):
        """The kernel of `beside`, to be computed once for many pixels: ((columns // 2 + 1) D, F)."""
        row, column = (size // 2 for size in self.kernel_size)
        return tf.reshape(self.masked_kernel()[row, : column + 1], [-1, self.filters])

    def pixel_weights(self):
        """(beside_kernel(), bias (F,)), all that a 1x1 convolution needs for single pixels."""
        return self.beside_kernel(), tf.cast(self.bias, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "mask": self.mask,
            "channels": self.channels,
            "parts": self.parts,
            "dilation_rate": self.dilation_rate,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "use_bias": self.use_bias,
        }


def convolution_from_above(images, kernel, left, dilation_rate=1):
    """A convolution whose kernel ends in the row of the pixel that it is for; the image is surrounded by zeros.

    Dilated, it is computed in every dilation_rate-th row and column at once, as a convolution without dilation: the
    images are dealt out to as many smaller ones. TensorFlow would do so too, but with a kernel that is symmetric
    around the pixel, a third or half of which would be zeros.

    Args:
        images: (B, H, W, D).
        kernel: (R, K, D, F); its last row lies on the pixel's own row.
        left: how many of its columns are to the left of the pixel.
        dilation_rate: distance of two rows or columns of the kernel.

    Returns:
        (B, H, W, F)

    >>> counts = convolution_from_above(tf.ones([1, 3, 3, 1]), tf.ones([2, 2, 1, 1]), left=1)
    >>> counts[0, ..., 0].numpy().tolist()  # the pixel, its left neighbour, and the two above them
    [[1.0, 2.0, 2.0], [2.0, 4.0, 4.0], [2.0, 4.0, 4.0]]
    """
    rows, columns = kernel.shape[:2]
    before = (rows - 1) * dilation_rate, left * dilation_rate
    after = 0, (columns - 1 - left) * dilation_rate
    if dilation_rate == 1:
        padding = [[0, 0], *zip(before, after, strict=True), [0, 0]]
        if kernel.shape[2] < FEW:
            return tf.nn.conv2d(images, kernel, 1, padding)
        # oneDNN's convolutions, which are twice as fast, know no padding but SAME and VALID.
        images = tf.pad(images, padding) if rows * columns > 1 else images
        return tf.nn.conv2d(images, kernel, 1, "VALID")
    blocks = dilation_rate if rows > 1 else 1, dilation_rate if columns > 1 else 1
    sizes = [images.shape[axis] or tf.shape(images)[axis] for axis in (1, 2)]
    sums = [sum(parts) for parts in zip(sizes, before, after, strict=True)]
    filled_up = [-total % block for total, block in zip(sums, blocks, strict=True)]
    padding = [(first, last + more) for first, last, more in zip(before, after, filled_up, strict=True)]
    x = tf.nn.conv2d(tf.space_to_batch(images, blocks, padding), kernel, 1, "VALID")
    return tf.batch_to_space(x, blocks, [(0, more) for more in filled_up])


def beside(pixels, kernel):
    """The part of a pixel's output that comes from its own row.

    Args:
        pixels: (N, columns // 2 + 1, D): the pixels to its left that the kernel takes, the nearest last, and the pixel
            itself; zeros beyond the image.
        kernel: MaskedConv2D.beside_kernel().

    Returns:
        (N, F)
    """
    return tf.matmul(tf.reshape(pixels, [-1, kernel.shape[0]]), kernel)


@keras.saving.register_keras_serializable("keras_dl")
class VerticalConv2D(keras.layers.Layer):
    """A convolution that sees whole rows: those above, and its own unless `above_only`: (B, H, W, D) -> (B, H, W, F).

    The kernel has only the rows that are used, and one of zeros for a row's own if `above_only`.

    Args:
        filters: F.
        kernel_size: K, odd: K columns, and K // 2 rows above.
        above_only: True: without the row itself.
        dilation_rate: distance of two rows or columns of the kernel.
        kernel_initializer: of the kernel (K // 2 + 1, or K // 2, rows; K columns; D, F).

    >>> layer = VerticalConv2D(1, 3, above_only=True, kernel_initializer="ones")
    >>> layer(tf.ones([1, 3, 3, 1]))[0, ..., 0].numpy().tolist()
    [[0.0, 0.0, 0.0], [2.0, 3.0, 2.0], [2.0, 3.0, 2.0]]
    """

    def __init__(
        self, filters, kernel_size, *, above_only=False, dilation_rate=1, kernel_initializer="glorot_uniform", **kwargs
    ):
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.above_only = filters, kernel_size, above_only
        self.dilation_rate, self.kernel_initializer = dilation_rate, keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        rows = self.kernel_size // 2 + (0 if self.above_only else 1)
        shape = (rows, self.kernel_size, input_shape[-1], self.filters)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=self.kernel_initializer)
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")

    def call(self, inputs):
        kernel = tf.cast(self.kernel, inputs.dtype)
        if self.above_only:
            # Not tf.pad: TensorFlow 2.21 fuses it with the convolution, although it pads the kernel, and crashes.
            kernel = tf.concat([kernel, tf.zeros_like(kernel[:1])], 0)
        x = convolution_from_above(inputs, kernel, self.kernel_size // 2, self.dilation_rate)
        return tf.nn.bias_add(x, tf.cast(self.bias, x.dtype))

    @property
    def reach(self):
        """Number of rows above its own that a row's output depends on."""
        return self.kernel_size // 2 * self.dilation_rate

    def row(self, rows):
        """The output for one row: rows (N, reach, W, D), and the row itself behind them unless above_only, the
        nearest last, zeros beyond the image -> (N, W, F)."""
        return _row(rows[:, :: self.dilation_rate], tf.cast(self.kernel, rows.dtype), self.bias, self.dilation_rate)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "above_only": self.above_only,
            "dilation_rate": self.dilation_rate,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


def _row(rows, kernel, bias, dilation=1):
    """One row of a convolution: rows (N, R, W, D), kernel (R, K, D, F) -> (N, W, F)."""
    side = kernel.shape[1] // 2 * dilation
    rows = tf.pad(rows, [[0, 0], [0, 0], [side, side], [0, 0]])
    x = tf.nn.convolution(rows, kernel, 1, "VALID", dilations=[1, dilation])[:, 0]
    return x if bias is None else x + tf.cast(bias, x.dtype)


@keras.saving.register_keras_serializable("keras_dl")
class GatedUnit(keras.layers.Layer):
    """tanh(a) * sigmoid(b), a and b the halves of the features (arXiv:1606.05328, equation 2): (..., 2F) -> (..., F).

    >>> round(float(GatedUnit()(tf.constant([[0.5, 0.0]]))[0, 0]), 4)  # tanh(0.5) / 2
    0.2311
    """

    def call(self, inputs):
        return gated(inputs)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] // 2)


def gated(features):
    """The function of GatedUnit; in half precision computed in float32, which is exacter and, on a CPU, faster."""
    a, b = (x if x.dtype == tf.float64 else tf.cast(x, tf.float32) for x in tf.split(features, 2, -1))
    return tf.cast(tf.tanh(a) * tf.sigmoid(b), features.dtype)


@keras.saving.register_keras_serializable("keras_dl")
class PixelParameters(MaskedConv2D):
    """The output of a model of images: a 1x1 convolution with mask B, (B, H, W, D) -> (B, H, W, C, P).

    Args:
        parameters: P, for each of the channels.
        channels: C.

    >>> PixelParameters(4, channels=3)(tf.ones([1, 2, 2, 6])).shape
    TensorShape([1, 2, 2, 3, 4])
    """

    activation = staticmethod(keras.activations.linear)

    def __init__(self, parameters, *, channels=1, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(
            parameters * channels, 1, mask="B", channels=channels, kernel_initializer=kernel_initializer, **kwargs
        )
        self.parameters = parameters

    def call(self, inputs):
        x = super().call(inputs)
        return tf.reshape(x, [-1, *x.shape[1:3], self.channels, self.parameters])

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.channels, self.parameters)

    def get_config(self):
        config = super().get_config()
        return {"parameters": self.parameters} | {
            key: value
            for key, value in config.items()
            if key not in ("filters", "kernel_size", "mask", "parts", "dilation_rate", "use_bias")
        }
