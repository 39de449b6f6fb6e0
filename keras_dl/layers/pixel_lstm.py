"""The recurrent layers of PixelRNN: an LSTM over the rows of an image, and two over its diagonals.

Source: van den Oord et al., "Pixel Recurrent Neural Networks" (arXiv:1601.06759), sections 3.1, 3.2 and 3.4;
pixel_scan.py has the equations.
Deviations: the gates have biases, that of the forget gate starts at 1.
Shapes: B images or N rows of a step, H height, W width, F input features, U units, C channels of the image.
"""

import keras
import numpy as np
import tensorflow as tf

from keras_dl.layers import pixel_scan, scan, skewing
from keras_dl.layers.cells import LSTMCell
from keras_dl.layers.initialization import DrawsApart
from keras_dl.layers.masked_convolution import channel_order
from keras_dl.layers.pixel_scan import Steps, lstm

IMPLEMENTATIONS = ("auto", "plain", "fused")


class PixelLSTM(DrawsApart, keras.layers.Layer):
    """Base class of RowLSTM and DiagonalBiLSTM: (B, H, W, F) -> (B, H, W, U).

    Each direction has a kernel K_is (taps F, 4U), a recurrent kernel K_ss (K U, 4U), a bias (4U,) and an initial state
    (2, U), h and c, which is learned; gates i, f, g, o. In its own pixel, K_is has mask B (section 3.4): a gate's
    features of a channel see those of this channel and of the channels before it.

    Pixel by pixel, for sampling, with a state that is a nest of tensors of N rows:

        first_state(rows, width, features)      the state before the first row
        next_row(state, index)                  the state at the beginning of row `index`, with what comes from above it
        prepared()                              what `pixel` needs of the weights, computed once
        pixel(x (N, F), column, state, prepared) -> (outputs (N, U), state)

    Args:
        units: U.
        channels: C, channels of the image.
        kernel_initializer, recurrent_initializer: of K_is and K_ss.
        implementation: "plain" or "fused", of pixel_scan.py, with equal results; "auto": "fused", except in float64.
        **kwargs: of keras.layers.Layer.
    """

    DIRECTIONS = ()  # the beginnings of their weights' names

    def __init__(
        self, units, *, channels=1, kernel_initializer="glorot_uniform", recurrent_initializer="glorot_uniform",
        implementation="auto", **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        if implementation not in IMPLEMENTATIONS:
            raise ValueError(
                f"{self.name}: implementation must be one of {', '.join(IMPLEMENTATIONS)}; got {implementation!r}."
            )
        self.units, self.channels, self.implementation = units, channels, implementation
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(recurrent_initializer)
        self.supports_jit = implementation == "plain"  # XLA has no such kernel

    def build(self, input_shape):
        features, gates = input_shape[-1], 4 * self.units
        own = channel_order(features, gates, self.channels, "B", parts=4)
        self._mask = np.concatenate([np.ones([(self.input_taps - 1) * features, gates], "float32"), own])
        self.kernels, self.recurrent_kernels, self.biases, self.initial_states = [], [], [], []
        for way in self.DIRECTIONS:
            kernel = (self.input_taps * features, gates)
            recurrent = (self.state_taps * self.units, gates)
            self.kernels.append(self.add_drawn(f"{way}kernel", kernel, self.kernel_initializer))
            self.recurrent_kernels.append(
                self.add_drawn(f"{way}recurrent_kernel", recurrent, self.recurrent_initializer)
            )
            self.biases.append(self.add_weight(name=f"{way}bias", shape=(gates,), initializer=_forget_bias))
            self.initial_states.append(
                self.add_weight(name=f"{way}initial_state", shape=(2, self.units), initializer="zeros")
            )

    def weights_of(self, direction):
        """(masked kernel, recurrent kernel, bias, initial state) of a direction, in the dtype of the computation."""
        parts = (self.kernels, self.recurrent_kernels, self.biases, self.initial_states)
        kernel, *others = (tf.cast(part[direction], self.scan_dtype) for part in parts)
        return kernel * tf.cast(self._mask, kernel.dtype), *others

    @property
    def scan_dtype(self):
        """float32, which the states need even in half precision; or float64."""
        return "float64" if self.compute_dtype == "float64" else "float32"

    def scan(self, x, steps):
        """h (D, B, S, U) of all directions from their inputs x (D, B, S, I)."""
        fused = self.implementation == "fused" or (self.implementation == "auto" and self.scan_dtype == "float32")
        weights = [tf.stack(part) for part in zip(*map(self.weights_of, range(len(self.DIRECTIONS))), strict=True)]
        x = tf.cast(x, self.scan_dtype)
        return (pixel_scan.fused if fused else pixel_scan.plain)(x, *weights, steps)

    def initial_row(self, direction, rows, width):
        """The initial h and c of every pixel of a row: two (rows, W, U)."""
        h, c = tf.unstack(self.weights_of(direction)[3])
        return tuple(tf.tile(state[None, None], [rows, width, 1]) for state in (h, c))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return super().get_config() | {
            "units": self.units,
            "channels": self.channels,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": keras.initializers.serialize(self.recurrent_initializer),
            "implementation": self.implementation,
        }


def _forget_bias(shape, dtype=None):
    i, f, g, o = np.split(np.zeros(shape, "float32"), 4)
    return keras.ops.convert_to_tensor(np.concatenate([i, f + 1, g, o]), dtype)


@keras.saving.register_keras_serializable("keras_dl")
class RowLSTM(PixelLSTM):
    """An LSTM that computes a row at a time, from the top down (section 3.1).

    K_is and K_ss are convolutions along a row, K_is with mask B, so without its taps to the right. A pixel sees what is
    above it in a triangle, which K_ss makes wider by K // 2 pixels on either side for each row up.

    Args:
        units: U.
        kernel_size: K, odd, of both convolutions.
        **kwargs: of PixelLSTM.

    >>> RowLSTM(4)(tf.ones([2, 5, 3, 6])).shape
    TensorShape([2, 5, 3, 4])
    """

    DIRECTIONS = ("",)

    def __init__(self, units, kernel_size=3, **kwargs):
        super().__init__(units, **kwargs)
        self.kernel_size = kernel_size

    @property
    def input_taps(self):
        """Pixels that K_is sees: those to the left, and the pixel itself."""
        return self.kernel_size // 2 + 1

    @property
    def state_taps(self):
        """Pixels of the row above that K_ss sees."""
        return self.kernel_size

    def call(self, inputs):
        height, width, features = inputs.shape[1:]
        left = self.input_taps - 1
        padded = tf.pad(inputs, [[0, 0], [0, 0], [left, 0], [0, 0]])
        x = tf.concat([padded[:, :, k : k + width] for k in range(left + 1)], -1)
        x = tf.reshape(x, [1, -1, height * width, (left + 1) * features])
        h = self.scan(x, Steps.of_rows(height, width, self.state_taps))
        return tf.cast(tf.reshape(h[0], [-1, height, width, self.units]), self.compute_dtype)

    # Step by step, as PixelLSTM says

    def first_state(self, rows, width, features):
        h, c = self.initial_row(0, rows, width)
        gates = tf.zeros([rows, width, 4 * self.units], h.dtype)
        left = tf.zeros([rows, self.input_taps - 1, features], h.dtype)
        return {"h": h, "c": c, "c_above": c, "gates_above": gates, "left": left}

    def next_row(self, state, index):
        _, recurrent, bias, _ = self.weights_of(0)
        side, width = self.state_taps // 2, state["h"].shape[1]
        padded = tf.pad(state["h"], [[0, 0], [side, side], [0, 0]])
        taps = tf.concat([padded[:, k : k + width] for k in range(self.state_taps)], -1)
        above = {"c_above": state["c"], "gates_above": tf.matmul(taps, recurrent) + bias}
        return state | above | {"left": tf.zeros_like(state["left"])}

    def prepared(self):
        return self.weights_of(0)[0]

    def pixel(self, x, column, state, prepared):
        x = tf.cast(x, self.scan_dtype)
        taps = tf.concat([state["left"], x[:, None]], 1)
        pre = tf.matmul(tf.reshape(taps, [-1, prepared.shape[0]]), prepared) + state["gates_above"][:, column]
        h, c = lstm(pre, state["c_above"][:, column])
        now = {"h": _pushed(state["h"], h), "c": _pushed(state["c"], c), "left": taps[:, 1:]}
        return tf.cast(h, self.compute_dtype), state | now

    def get_config(self):
        return super().get_config() | {"kernel_size": self.kernel_size}


@keras.saving.register_keras_serializable("keras_dl")
class DiagonalBiLSTM(PixelLSTM):
    """Two LSTMs that compute a diagonal at a time, one from the top left corner, one from the top right (section 3.2).

    K_is is a 1x1 convolution with mask B, K_ss sees the pixel above and the pixel before in the same row: that to the
    left, or in the other direction that to the right. As the latter must not be seen, the second direction's map is
    shifted down by one row before both are added: there, a pixel sees the rows above it from its own column on.
    So it sees all pixels above and before it, as far as they are in the layer's input.

    Args:
        units: U.
        **kwargs: of PixelLSTM.

    >>> DiagonalBiLSTM(4)(tf.ones([2, 5, 3, 6])).shape
    TensorShape([2, 5, 3, 4])
    """

    DIRECTIONS = ("left_", "right_")  # the corner where each begins
    input_taps, state_taps = 1, 2

    def call(self, inputs):
        height, width = inputs.shape[1:3]
        x = tf.stack([skewing.skew(inputs), skewing.skew(skewing.mirrored(inputs))])
        left, right = tf.unstack(self.scan(x, Steps.of_diagonals(height, width)))
        left, right = skewing.unskew(left, height, width), skewing.mirrored(skewing.unskew(right, height, width))
        return tf.cast(left + skewing.shifted_down(right), self.compute_dtype)

    # Step by step, as PixelLSTM says. The second direction computes a whole row when the next one begins.

    def first_state(self, rows, width, features):
        def zeros(*shape):
            return tf.zeros([rows, *shape], self.scan_dtype)

        row = zeros(width, self.units)
        return {
            "x": zeros(width, features),
            "h": row,
            "before": (zeros(self.units), zeros(self.units)),  # h and c of the pixel to the left
            "gates_above": zeros(width, 4 * self.units),
            "right": row,  # the second direction's h of the row above
        }

    def next_row(self, state, index):
        _, recurrent, bias, first = self.weights_of(0)
        rows = tf.shape(state["h"])[0]
        right = tf.cond(index > 0, lambda: self._right_row(state["x"], state["right"]), lambda: state["right"])
        return state | {
            "before": tuple(tf.repeat(part[None], rows, 0) for part in tf.unstack(first)),
            "gates_above": tf.matmul(state["h"], recurrent[: self.units]) + bias,
            "right": right,
        }

    def prepared(self):
        kernel, recurrent, _, _ = self.weights_of(0)
        return kernel, recurrent[self.units :]

    def pixel(self, x, column, state, prepared):
        (kernel, recurrent), (h, c) = prepared, state["before"]
        x = tf.cast(x, self.scan_dtype)
        h, c = lstm(tf.matmul(x, kernel) + tf.matmul(h, recurrent) + state["gates_above"][:, column], c)
        now = {"x": _pushed(state["x"], x), "h": _pushed(state["h"], h), "before": (h, c)}
        return tf.cast(h + state["right"][:, column], self.compute_dtype), state | now

    def _right_row(self, x, h_above):
        """The h of a whole row in the second direction, an LSTM over the row from the right: (N, W, U).

        x: (N, W, F), the layer's input in this row; h_above: (N, W, U), the h of the row above.
        """
        kernel, recurrent, bias, first = self.weights_of(1)
        inputs = tf.transpose(tf.concat([x, h_above], -1)[:, ::-1], [1, 0, 2])  # (W, N, F + U)
        states = tuple(tf.repeat(part[None], tf.shape(x)[0], 0) for part in tf.unstack(first))
        kernel, own = tf.concat([kernel, recurrent[: self.units]], 0), recurrent[self.units :]
        cell = LSTMCell(self.units)
        if self.scan_dtype == "float32":
            h, _ = scan.fused(cell, inputs, kernel, bias, states, [own])
        else:
            h, _ = scan.plain(cell, tf.matmul(inputs, kernel) + bias, states, [own])
        return tf.ensure_shape(tf.transpose(h, [1, 0, 2])[:, ::-1], h_above.shape)


def _pushed(row, new):
    """A row (N, W, ...) moved on by one pixel, with `new` (N, ...) as its last: whole when the row is."""
    return tf.concat([row[:, 1:], new[:, None]], 1)
