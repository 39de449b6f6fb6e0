"""Convolution and average pooling as the matrices that they are, with their zeros and their ties.

A convolution is a fully connected layer whose matrix is sparse, and in which the same few weights stand again and
again: in one dimension a Toeplitz matrix, in two a block Toeplitz matrix of Toeplitz blocks. Average pooling is linear,
too; max pooling is not, and has no matrix.
Shapes: H x W positions and C channels of the input, flattened as Keras does, channels last: D = H W C; likewise E of
the output; F filters.
"""

import dataclasses
import math

import numpy as np

PADDINGS = ("valid", "same")


@dataclasses.dataclass(frozen=True)
class Unrolled:
    """A linear layer as a matrix: output (E,) = input (D,) @ kernel + bias.

    Attributes:
        kernel: (D, E) float64.
        bias: (E,) float64.
        connected: (D, E) bool, where the layer may have weights other than 0, whatever its parameters are.
        parameters: the number of weights that are learned, and from which kernel and bias follow.
        output_shape: (H', W', F), or (E,).
    """

    kernel: np.ndarray
    bias: np.ndarray
    connected: np.ndarray
    parameters: int
    output_shape: tuple

    @property
    def weights(self):
        """Number of weights of a fully connected layer of this size."""
        return self.kernel.size + self.bias.size


def convolution(kernel, bias, input_shape, *, strides=1, padding="valid", dilation=1):
    """The matrix of keras.layers.Conv2D.

        output(y, x, f) = bias(f) + sum over i, j, c of kernel(i, j, c, f) input(s y + d i - top, s x + d j - left, c)

    Args:
        kernel: (h, w, C / groups, F), Keras' order; with several groups of channels, F / groups filters see each.
        bias: (F,), or None.
        input_shape: (H, W, C).
        strides, dilation: s and d, whole numbers or pairs of them.
        padding: "valid" or "same", as in Keras.

    Returns:
        Unrolled.

    Raises:
        ValueError: the channels do not fit, or the kernel is larger than the input.
    """
    kernel = np.asarray(kernel, np.float64)
    height, width, depth, filters = kernel.shape
    groups, rest = divmod(input_shape[2], depth)
    if rest or filters % groups:
        raise ValueError(f"convolution: a kernel of shape {kernel.shape} does not fit an input of shape {input_shape}.")
    taps = np.zeros((height, width, input_shape[2], filters))  # the kernel with the zeros between groups
    own = np.zeros_like(taps, dtype=bool)
    for group in range(groups):
        of_input = slice(group * depth, (group + 1) * depth)
        of_output = slice(group * filters // groups, (group + 1) * filters // groups)
        taps[:, :, of_input, of_output] = kernel[:, :, :, of_output]
        own[:, :, of_input, of_output] = True
    places, output_shape = _places(input_shape, (height, width), strides, padding, dilation)
    matrix, connected = _empty(input_shape, (*output_shape, filters))
    for (i, j), (inputs, outputs) in places.items():
        matrix[inputs, :, outputs, :] = taps[i, j]
        connected[inputs, :, outputs, :] = own[i, j]
    shifts = np.zeros(filters) if bias is None else np.asarray(bias, np.float64)
    return _flat(
        matrix,
        np.tile(shifts, math.prod(output_shape)),
        connected,
        kernel.size + (0 if bias is None else filters),
        (*output_shape, filters),
    )


def average_pooling(input_shape, pool_size, *, strides=None, padding="valid"):
    """The matrix of keras.layers.AveragePooling2D, which has no parameters: the mean over each window.

    Args:
        input_shape: (H, W, C).
        pool_size: whole number or a pair.
        strides: whole number or a pair; None: pool_size.
        padding: with "same", a window that reaches beyond the edge is the mean of what is inside, as in Keras.

    Returns:
        Unrolled.
    """
    size = _pair(pool_size)
    places, output_shape = _places(input_shape, size, size if strides is None else strides, padding, 1)
    channels = input_shape[2]
    matrix, connected = _empty(input_shape, (*output_shape, channels))
    for inputs, outputs in places.values():
        matrix[inputs, :, outputs, :] = np.eye(channels)
        connected[inputs, :, outputs, :] = np.eye(channels, dtype=bool)
    matrix /= matrix.sum((0, 1))
    return _flat(matrix, np.zeros(math.prod(matrix.shape[2:])), connected, 0, (*output_shape, channels))


def dense(kernel, bias):
    """The Unrolled of a fully connected layer, kernel (D, E) and bias (E,) or None."""
    kernel = np.asarray(kernel, np.float64)
    shifts = np.zeros(kernel.shape[1]) if bias is None else np.asarray(bias, np.float64)
    parameters = kernel.size + (0 if bias is None else shifts.size)
    return Unrolled(kernel, shifts, np.ones(kernel.shape, bool), parameters, shifts.shape)


def composed(first, second):
    """The Unrolled of one linear layer behind another, with nothing between them: a product of two matrices."""
    paths = first.connected.astype(np.float32) @ second.connected.astype(np.float32)
    return Unrolled(
        first.kernel @ second.kernel,
        first.bias @ second.kernel + second.bias,
        paths > 0,
        first.parameters + second.parameters,
        second.output_shape,
    )


def _pair(value):
    return (value, value) if np.ndim(value) == 0 else tuple(value)


def _places(input_shape, size, strides, padding, dilation):
    """({(i, j) of the window: (indices of input positions, of the output positions they enter)}, (H', W'))."""
    along = [
        _along(*axis, padding)
        for axis in zip(input_shape[:2], size, _pair(strides), _pair(dilation), strict=True)
    ]  # fmt: skip
    (rows, height), (columns, width) = along
    places = {}
    for i, (input_rows, output_rows) in enumerate(rows):
        for j, (input_columns, output_columns) in enumerate(columns):
            inputs = input_rows[:, None] * input_shape[1] + input_columns
            outputs = output_rows[:, None] * width + output_columns
            places[i, j] = inputs.ravel(), outputs.ravel()
    return places, (height, width)


def _along(length, size, stride, dilation, padding):
    """Along one axis: for each tap (indices of the input, of the output) that it joins; and the output's length."""
    reach = (size - 1) * dilation + 1
    if padding == "same":
        count = -(-length // stride)
        before = max((count - 1) * stride + reach - length, 0) // 2  # TensorFlow pads more at the end
    else:
        count, before = (length - reach) // stride + 1, 0
    if count < 1:
        raise ValueError(f"convolution: a window of {reach} does not fit into {length} positions.")
    taps = []
    for tap in range(size):
        inputs = np.arange(count) * stride + tap * dilation - before
        inside = (inputs >= 0) & (inputs < length)
        taps.append((inputs[inside], np.flatnonzero(inside)))
    return taps, count


def _empty(input_shape, output_shape):
    """Zeros (positions, channels, positions, channels), as weights and as connections."""
    shape = (math.prod(input_shape[:2]), input_shape[2], math.prod(output_shape[:2]), output_shape[2])
    return np.zeros(shape), np.zeros(shape, bool)


def _flat(matrix, bias, connected, parameters, output_shape):
    shape = (math.prod(matrix.shape[:2]), bias.size)
    return Unrolled(matrix.reshape(shape), bias, connected.reshape(shape), parameters, output_shape)
