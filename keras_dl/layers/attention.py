"""The Transformer's multi-head attention, embedding, positions and masks.

Source: Vaswani et al., "Attention Is All You Need" (arXiv:1706.03762), sections 3.2, 3.4 and 3.5.
Shapes: B sequences, Q queries, M steps of the memory, h heads, d_k units per head, d units in all.
"""

import keras
import tensorflow as tf

from keras_dl.layers.initialization import DrawsApart

MASKED = -1e9  # added to the scores of masked steps: their weights are then exactly 0


@keras.saving.register_keras_serializable("keras_dl")
class MultiHeadAttention(DrawsApart, keras.layers.Layer):
    """Concat(head_1, ..., head_h) W^O, head_i = softmax(Q W_i^Q (K W_i^K)^T / sqrt(d_k)) V W_i^V  (section 3.2.2).

    Args:
        num_heads: h.
        key_dim: d_k, of queries, keys and values.
        use_bias: add a bias to the four products (the paper's equations have none).
        kernel_initializer: of W^Q, W^K, W^V and W^O; each is drawn independently, even if the initializer has a seed.

    Call arguments:
        query: (B, Q, d).
        memory: (B, M, d), from which keys and values are computed; None: self-attention, the memory is the query.
        attention_mask: bool, broadcastable to (B, Q, M); False hides a step of the memory. Each query must see at least
            one step. A step that is hidden from all queries has no influence, even if it holds NaN.

    Returns:
        outputs (B, Q, d); weights (B, h, Q, M) in float32, or in float64 if the layer computes in float64.
    """

    def __init__(self, num_heads, key_dim, *, use_bias=False, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.num_heads, self.key_dim, self.use_bias = num_heads, key_dim, use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, query_shape, memory_shape=None):
        d, width = query_shape[-1], self.num_heads * self.key_dim
        for name, rows, columns in (
            ("query", d, width), ("key", (memory_shape or query_shape)[-1], width),
            ("value", (memory_shape or query_shape)[-1], width), ("output", width, d),
        ):  # fmt: skip
            kernel = self.add_drawn(f"{name}_kernel", (rows, columns), self.kernel_initializer)
            setattr(self, f"{name}_kernel", kernel)
            bias = (
                self.add_weight(name=f"{name}_bias", shape=(columns,), initializer="zeros") if self.use_bias else None
            )
            setattr(self, f"{name}_bias", bias)

    def call(self, query, memory=None, attention_mask=None):
        if memory is None:
            query = _finite_where_hidden(query, attention_mask)
            queries, keys, values = self._projected(query, "query", "key", "value")
        else:
            memory = _finite_where_hidden(memory, attention_mask)
            (queries,), (keys, values) = self._projected(query, "query"), self.remember(memory)
        return self.attend(queries, keys, values, attention_mask)

    def remember(self, memory):
        """K W^K and V W^V of a memory (B, M, d): (B, M, h d_k) each."""
        return self._projected(memory, "key", "value")

    def project(self, query):
        """Q W^Q, K W^K and V W^V for self-attention, K = V = Q: (B, Q, h d_k) each."""
        # Three products: for few rows they are faster than one product and a split.
        return [self._projected(query, name)[0] for name in ("query", "key", "value")]

    def ask(self, query):
        """Q W^Q: (B, Q, h d_k)."""
        return self._projected(query, "query")[0]

    def attend(self, queries, keys, values, mask=None):
        """Attention of projected queries (B, Q, h d_k), keys and values (B, M, h d_k): outputs (B, Q, d), weights."""
        queries, keys, values = (self._heads(x) for x in (queries, keys, values))  # (B, h, Q or M, d_k)
        scores = tf.matmul(queries * self.key_dim**-0.5, keys, transpose_b=True)
        scores = tf.cast(scores, self.score_dtype)
        if mask is not None:
            hidden = tf.cast(tf.where(mask, 0.0, -MASKED), scores.dtype)
            scores -= hidden[:, None]  # not `+=`: TensorFlow 2.21 would fuse a sum with the product, which is slow
        weights = tf.nn.softmax(scores)
        heads = tf.transpose(tf.matmul(tf.cast(weights, values.dtype), values), [0, 2, 1, 3])  # (B, Q, h, d_k)
        joined = tf.reshape(heads, [*_lengths(heads)[:2], self.num_heads * self.key_dim])
        outputs = _product(joined, self.output_kernel)
        return outputs if self.output_bias is None else outputs + tf.cast(self.output_bias, outputs.dtype), weights

    def _projected(self, x, *names):
        """The products of x with the named kernels, computed as one product."""
        kernels = [tf.convert_to_tensor(getattr(self, f"{name}_kernel")) for name in names]
        projected = _product(x, tf.concat(kernels, 1))
        if self.use_bias:
            biases = [tf.convert_to_tensor(getattr(self, f"{name}_bias")) for name in names]
            projected += tf.cast(tf.concat(biases, 0), projected.dtype)
        return tf.split(projected, len(names), -1)

    def _heads(self, x):
        """(B, T, h d_k) -> (B, h, T, d_k)."""
        return tf.transpose(tf.reshape(x, [*_lengths(x)[:2], self.num_heads, self.key_dim]), [0, 2, 1, 3])

    @property
    def score_dtype(self):
        """Half precision is too coarse for a softmax over many steps."""
        return keras.backend.result_type(self.compute_dtype, "float32")

    def compute_output_spec(self, query, memory=None, attention_mask=None):
        batch, steps = query.shape[:2]
        weights = (batch, self.num_heads, steps, (query if memory is None else memory).shape[1])
        return keras.KerasTensor(query.shape, self.compute_dtype), keras.KerasTensor(weights, self.score_dtype)

    def get_config(self):
        return super().get_config() | {
            "num_heads": self.num_heads, "key_dim": self.key_dim, "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }  # fmt: skip


@keras.saving.register_keras_serializable("keras_dl")
class ScaledEmbedding(keras.layers.Layer):
    """Each token's vector times sqrt(d); with reverse=True, logits: the products of x with all vectors (section 3.4).

    The vectors start with standard deviation 1 / sqrt(d), so that outputs and logits are of order 1.

    Args:
        input_dim: number of tokens V.
        output_dim: d.

    Call arguments:
        x: tokens (...) int; with reverse, vectors (..., d).
        reverse: False -> (..., d); True -> (..., V).
    """

    def __init__(self, input_dim, output_dim, **kwargs):
        super().__init__(**kwargs)
        self.input_dim, self.output_dim = input_dim, output_dim

    def build(self, *_):
        initializer = keras.initializers.RandomNormal(stddev=self.output_dim**-0.5)
        self.embeddings = self.add_weight(
            name="embeddings", shape=(self.input_dim, self.output_dim), initializer=initializer
        )

    def call(self, x, reverse=False):
        table = tf.convert_to_tensor(self.embeddings)
        if not reverse:
            return tf.cast(tf.gather(table, x), self.compute_dtype) * self.output_dim**0.5
        logits = tf.matmul(tf.reshape(x, [-1, self.output_dim]), tf.cast(table, x.dtype), transpose_b=True)
        return tf.reshape(logits, [*_lengths(x)[:-1], self.input_dim])

    def compute_output_spec(self, x, reverse=False):
        shape = (*x.shape[:-1], self.input_dim) if reverse else (*x.shape, self.output_dim)
        return keras.KerasTensor(shape, self.compute_dtype)

    def get_config(self):
        return super().get_config() | {"input_dim": self.input_dim, "output_dim": self.output_dim}


@keras.saving.register_keras_serializable("keras_dl")
class Positions(keras.layers.Layer):
    """Add to each step a vector that encodes its position (section 3.5).

    Args:
        kind: "sinusoidal", PE(t, 2i) = sin(t / 10000^(2i/d)) and PE(t, 2i + 1) = cos of the same; "learned", a vector
            for each of `max_length` positions; steps beyond use the last one.
        max_length: number of learned positions; unused by "sinusoidal".

    Call arguments:
        x: (B, T, d).
        start: position of the first step, a scalar.

    Returns:
        (B, T, d).
    """

    def __init__(self, kind="sinusoidal", max_length=None, **kwargs):
        super().__init__(**kwargs)
        self.kind, self.max_length = kind, max_length

    def build(self, shape):
        if self.kind == "learned":
            self.embeddings = self.add_weight(
                name="embeddings", shape=(self.max_length, shape[-1]),
                initializer=keras.initializers.RandomNormal(stddev=shape[-1] ** -0.5),
            )  # fmt: skip

    def call(self, x, start=0):
        steps = tf.range(_lengths(x)[1]) + start
        if self.kind == "learned":
            rows = tf.gather(tf.convert_to_tensor(self.embeddings), tf.minimum(steps, self.max_length - 1))
        else:
            rows = sinusoids(steps, x.shape[-1])
        return x + tf.cast(rows, x.dtype)

    def get_config(self):
        return super().get_config() | {"kind": self.kind, "max_length": self.max_length}


def sinusoids(positions, units):
    """PE of section 3.5: positions (T,) -> (T, units) float32."""
    channels = tf.range(units)
    exponents = tf.cast(channels - channels % 2, tf.float32) / units
    angles = tf.cast(positions, tf.float32)[:, None] * tf.pow(10_000.0, -exponents)
    return tf.where(channels % 2 == 0, tf.sin(angles), tf.cos(angles))


@keras.saving.register_keras_serializable("keras_dl")
class Mask(keras.layers.Layer):
    """The attention mask (bool, False where hidden) of tokens (B, T).

    Args:
        causal: False: (B, 1, T), False at padding, token 0. True: (1, T, T), step t sees the steps up to t; padding
            needs no mask then, since it comes after all real tokens.
    """

    def __init__(self, *, causal=False, **kwargs):
        super().__init__(**kwargs)
        self.causal = causal

    def call(self, tokens):
        if not self.causal:
            return tokens[:, None, :] != 0
        steps = tf.range(_lengths(tokens)[1])
        return (steps[None, :] <= steps[:, None])[None]

    def compute_output_spec(self, tokens):
        batch, steps = tokens.shape
        return keras.KerasTensor((1, steps, steps) if self.causal else (batch, 1, steps), "bool")

    def get_config(self):
        return super().get_config() | {"causal": self.causal}


def _finite_where_hidden(x, mask):
    """x (B, M, d) with zeros in place of non-finite values in steps that no query sees.

    A weight of 0 is not enough: 0 times NaN is NaN, in the outputs and in every gradient.
    """
    if mask is None:
        return x
    seen = tf.reduce_any(tf.cast(mask, tf.bool), -2)[..., None]  # (B or 1, M, 1)
    return tf.where(seen | tf.math.is_finite(x), x, tf.zeros([], x.dtype))


def _product(x, kernel):
    """x (B, T, d) times kernel (d, n) as one product of two matrices."""
    product = tf.matmul(tf.reshape(x, [-1, x.shape[-1]]), tf.cast(kernel, x.dtype))
    return tf.reshape(product, [*_lengths(x)[:-1], kernel.shape[-1]])


def _lengths(x):
    """The shape as a list: integers where they are known statically, else scalar tensors."""
    dynamic = tf.shape(x)
    return [dynamic[i] if n is None else n for i, n in enumerate(x.shape)]
