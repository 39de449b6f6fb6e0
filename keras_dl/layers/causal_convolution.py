"""Causal dilated convolutions: an output sees its own step and some before it, at equal distances.

Source: van den Oord et al., "WaveNet" (arXiv:1609.03499), section 2.1 and figure 3. Step by step a layer keeps what its
kernel still needs, as in Paine et al., "Fast Wavenet Generation Algorithm" (arXiv:1611.09482).
Shapes: B sequences or N rows, T steps, D input features, F filters, K kernel size, R = (K - 1) * dilation_rate.
"""

import keras
import tensorflow as tf


def receptive_field(kernel_size, dilations):
    """The number of steps that an output of stacked causal convolutions depends on, its own included.

    Args:
        kernel_size: K of each convolution.
        dilations: dilation rate of each convolution.

    Source: arXiv:1609.03499, section 2.1: a block of dilations 1, 2, 4, ..., 512 sees 1,024 steps.

    >>> receptive_field(2, [2**n for n in range(10)])
    1024
    """
    return 1 + (kernel_size - 1) * sum(dilations)


@keras.saving.register_keras_serializable("keras_dl")
class CausalConv1D(keras.layers.Layer):
    """A convolution over time that sees no later step: (B, T, D) -> (B, T, F).

        y_t = sum_i W_i x_{t - (K - 1 - i) d} + b,  i = 0 ... K - 1

    What is before the first step is zero, or what `before` says.

    Args:
        filters: F.
        kernel_size: K.
        dilation_rate: d, the distance of two steps that are seen.
        weight_norm: the kernel is a direction and a length for each filter, w = g v / |v| (Salimans and Kingma,
            arXiv:1602.07868, equation 2); g begins as |v|.
        kernel_initializer: of the kernel (K, D, F).
        use_bias: whether a bias is added.

    >>> layer = CausalConv1D(1, 2, dilation_rate=2, kernel_initializer="ones")
    >>> layer(tf.constant([[[1.0], [2.0], [3.0], [4.0]]]))[0, :, 0].numpy().tolist()  # x_t + x_{t-2}
    [1.0, 2.0, 4.0, 6.0]
    """

    def __init__(
        self, filters, kernel_size=2, *, dilation_rate=1, weight_norm=False, kernel_initializer="glorot_uniform",
        use_bias=True, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.dilation_rate = filters, kernel_size, dilation_rate
        self.weight_norm, self.use_bias = weight_norm, use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    @property
    def reach(self):
        """R, the number of steps before its own that an output sees."""
        return (self.kernel_size - 1) * self.dilation_rate

    def build(self, input_shape):
        shape = (self.kernel_size, input_shape[-1], self.filters)
        # Not cast by Keras: a length is computed in float32 also in half precision.
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=self.kernel_initializer, autocast=False)
        self.gain = None
        if self.weight_norm:
            self.gain = self.add_weight(
                name="gain", shape=(self.filters,), initializer=self._first_gain, autocast=False
            )
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros") if self.use_bias else None

    def call(self, inputs, before=None):
        """inputs (B, T, D); before (B, R, D): the steps before the first; None: zeros."""
        before = self.first(tf.shape(inputs)[0]) if before is None else before
        padded = tf.concat([tf.cast(before, inputs.dtype), inputs], 1)
        y = tf.nn.convolution(padded, self._weights(), padding="VALID", dilations=[self.dilation_rate])
        return self._with_bias(y)

    def step(self, inputs, before, weights):
        """One step: inputs (N, D), before (N, R, D), step_weights() -> (outputs (N, F), `before` of the next step)."""
        seen = tf.concat([before, inputs[:, None]], 1)
        kernel, bias = weights
        window = tf.reshape(seen[:, :: self.dilation_rate], [-1, kernel.shape[0]])  # (N, K D)
        y = tf.matmul(window, kernel)
        return y if bias is None else tf.nn.bias_add(y, bias), seen[:, 1:]

    def step_weights(self):
        """The kernel (K D, F) and the bias as `step` needs them, for as many steps as there are."""
        kernel = tf.reshape(self._weights(), [-1, self.filters])
        return kernel, None if self.bias is None else tf.cast(self.bias, kernel.dtype)

    def first(self, rows):
        """What is before the first step of N rows: zeros (N, R, D)."""
        return tf.zeros([rows, self.reach, self.kernel.shape[1]], self.compute_dtype)

    def following(self, inputs, before):
        """What is before the step after `inputs` (N, T, D), which came after `before` (N, R, D)."""
        seen = tf.concat([before, inputs], 1)
        return tf.ensure_shape(seen[:, tf.shape(seen)[1] - self.reach :], [None, self.reach, seen.shape[2]])

    def _first_gain(self, shape, dtype=None):
        return _length(self.kernel)

    def _weights(self):
        kernel = tf.convert_to_tensor(self.kernel)
        if self.gain is not None:
            kernel *= tf.convert_to_tensor(self.gain) / _length(kernel)
        return tf.cast(kernel, self.compute_dtype)

    def _with_bias(self, y):
        return y if self.bias is None else y + tf.cast(self.bias, y.dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters, "kernel_size": self.kernel_size, "dilation_rate": self.dilation_rate,
            "weight_norm": self.weight_norm, "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }  # fmt: skip


def _length(kernel):
    """|v| of each filter: (K, D, F) -> (F,)."""
    return tf.sqrt(tf.reduce_sum(tf.square(tf.convert_to_tensor(kernel)), [0, 1]))


@keras.saving.register_keras_serializable("keras_dl")
class OneHotCausalConv1D(keras.layers.Layer):
    """A CausalConv1D of one-hot vectors, by looking up rows of the kernel: levels (B, T) int32 -> (B, T, F).

    What is before the first step is no level: it adds nothing. A level beyond the last adds nothing either.

    Args:
        levels: number of levels.
        filters: F.
        kernel_size: K.

    >>> layer = OneHotCausalConv1D(3, 1, 2, kernel_initializer="ones")
    >>> layer(tf.constant([[0, 2, 1]]))[0, :, 0].numpy().tolist()  # one, then two levels are seen
    [1.0, 2.0, 2.0]
    """

    def __init__(self, levels, filters, kernel_size=2, *, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.levels, self.filters, self.kernel_size = levels, filters, kernel_size
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    @property
    def reach(self):
        """R, the number of steps before its own that an output sees."""
        return self.kernel_size - 1

    def build(self, input_shape):
        shape = (self.kernel_size, self.levels, self.filters)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=self.kernel_initializer, autocast=False)
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros", autocast=False)

    def call(self, inputs, before=None):
        """inputs (B, T); before (B, R) int32: the levels before the first, -1 for none; None: none."""
        inputs = tf.cast(inputs, tf.int32)
        before = self.first(tf.shape(inputs)[0]) if before is None else before
        seen, steps = tf.concat([before, inputs], 1), tf.shape(inputs)[1]
        kernel = tf.convert_to_tensor(self.kernel)
        y = tf.convert_to_tensor(self.bias)
        for tap in range(self.kernel_size):
            level = seen[:, tap : tap + steps]
            is_one = tf.cast((level >= 0) & (level < self.levels), kernel.dtype)
            row = tf.gather(kernel[tap], tf.clip_by_value(level, 0, self.levels - 1))
            y += row * is_one[..., None]
        return tf.cast(y, self.compute_dtype)

    def step(self, inputs, before, weights):
        """One step: inputs (N,), before (N, R), step_weights() -> (outputs (N, F), `before` of the next step)."""
        seen = tf.concat([before, inputs[:, None]], 1)
        table, bias = weights
        row = tf.clip_by_value(seen, -1, self.levels) + self._first_rows()
        return tf.reduce_sum(tf.gather(table, row), 1) + bias, seen[:, 1:]

    def step_weights(self):
        """The rows of all taps, each tap with a row of zeros before its first level and one behind its last; the bias.

        They are those of what is no level.
        """
        table = tf.reshape(tf.pad(self.kernel, [[0, 0], [1, 1], [0, 0]]), [-1, self.filters])
        return tf.cast(table, self.compute_dtype), tf.cast(self.bias, self.compute_dtype)

    def _first_rows(self):
        """Where in the table of step_weights level 0 of each tap stands: (K,)."""
        return tf.range(self.kernel_size) * (self.levels + 2) + 1

    def first(self, rows):
        """What is before the first step of N rows: (N, R) of -1."""
        return tf.fill([rows, self.reach], -1)

    def following(self, inputs, before):
        """What is before the step after `inputs` (N, T), which came after `before` (N, R)."""
        seen = tf.concat([before, tf.cast(inputs, tf.int32)], 1)
        return tf.ensure_shape(seen[:, tf.shape(seen)[1] - self.reach :], [None, self.reach])

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.filters)

    def get_config(self):
        return super().get_config() | {
            "levels": self.levels, "filters": self.filters, "kernel_size": self.kernel_size,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }  # fmt: skip


@keras.saving.register_keras_serializable("keras_dl")
class ScaledLevels(keras.layers.Layer):
    """Levels as numbers from -1 to 1: (B, T) whole numbers from 0 to levels - 1 -> (B, T, 1).

    Computed in float32 whatever the precision: float16 does not have 65,535.

    >>> ScaledLevels(65_536)(tf.constant([[0, 65_535]]))[..., 0].numpy().tolist()
    [[-1.0, 1.0]]
    """

    def __init__(self, levels, **kwargs):
        super().__init__(**kwargs)
        self.levels = levels

    def call(self, inputs):
        scaled = tf.cast(inputs, tf.float32) * (2 / (self.levels - 1)) - 1
        return tf.cast(scaled, self.compute_dtype)[..., None]

    def compute_output_shape(self, input_shape):
        return (*input_shape, 1)

    def get_config(self):
        return super().get_config() | {"levels": self.levels}


@keras.saving.register_keras_serializable("keras_dl")
class Upsampling1D(keras.layers.Layer):
    """Features of a lower rate at every step: (B, S, D), and a sequence (B, T, ...), -> (B, T, F).

    A transposed convolution whose stride is its kernel size (arXiv:1609.03499, section 2.5):
    y_t = W_{t mod H} h_{t // H} + b. There must be at least T / H features; what is beyond T is cut off.

    Args:
        filters: F.
        hop_length: H, steps of a feature.

    >>> layer = Upsampling1D(1, 2, kernel_initializer="ones")
    >>> layer([tf.constant([[[1.0], [5.0]]]), tf.zeros([1, 3])])[0, :, 0].numpy().tolist()
    [1.0, 1.0, 5.0]
    """

    def __init__(self, filters, hop_length, *, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.filters, self.hop_length = filters, hop_length
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        shape = (input_shape[0][-1], self.hop_length, self.filters)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=self.kernel_initializer)
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")

    def call(self, inputs):
        features, sequence = inputs
        return self.all_steps(features)[:, : tf.shape(sequence)[1]]

    def all_steps(self, features):
        """(B, S, D) -> (B, S H, F)."""
        y = tf.einsum("bsd,dhf->bshf", features, tf.cast(self.kernel, features.dtype))
        shape = tf.shape(features)
        y = tf.reshape(y, [shape[0], shape[1] * self.hop_length, self.filters])
        return y + tf.cast(self.bias, y.dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[1][:2], self.filters)

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters, "hop_length": self.hop_length,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }  # fmt: skip
