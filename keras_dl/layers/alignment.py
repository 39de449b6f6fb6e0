"""Attention of recurrent decoders: which places of the source a step looks at, and the decoder that looks.

Sources: Bahdanau et al., arXiv:1409.0473, section 3.1 and appendix A.2 ("bahdanau": the state before the step asks, and
what it finds enters the step); Luong et al., arXiv:1508.04025, sections 3.1 and 3.3 ("dot", "general", "concat": the
state after the step asks, and what it finds enters the next step: input feeding).
Deviations: Luong's recurrent layers are LSTMs, one on the other; here it is one GRU for both.
Shapes: B sentences, T steps of the target, S places of the source, A entries of an annotation, E of a target token's
vector, n units, n' units of an additive score, L outputs; K rows of a sentence in a search, N = B * K.
"""

import keras
import tensorflow as tf
from keras import ops

from keras_dl.layers import cells
from keras_dl.layers.initialization import DrawsApart, derived_seed

SCORES = ("bahdanau", "dot", "general", "concat")
IMPLEMENTATIONS = ("auto", "plain")


@keras.saving.register_keras_serializable("keras_dl")
class AttentionDecoder(DrawsApart, keras.layers.Layer):
    """A GRU that attends to annotations of the source at every step, over a given target.

        a_i = softmax_j score(s, h_j) over real places, c_i = sum_j a_ij h_j
        "bahdanau": score = v . tanh(W_a s_{i-1} + U_a h_j + b_a), s_i = GRU([y_i; c_i], s_{i-1})
        else: s_i = GRU([y_i; t_{i-1}], s_{i-1}), score by s_i, t_i = tanh(W_c [c_i; s_i] + b_c), t_0 = 0
        "dot": score = s . h_j; "general": s . W_a h_j; "concat": as "bahdanau"

    with y_i the vector of the token that goes into step i.

    Args:
        units: n.
        score: one of SCORES.
        attention_units: n', of the additive scores.
        output_units: L, width of t; of no use to "bahdanau", whose output layer is the model's.
        input_feeding: t_{i-1} enters the step ("bahdanau" has none).
        kernel_initializer: of the matrices and v, where nothing else is said.
        recurrent_initializer: of the (n, 3n) recurrent kernel.
        attention_initializer: of W_a and U_a; None: kernel_initializer.
        score_initializer: of v; None: kernel_initializer.
        implementation: one of IMPLEMENTATIONS: "plain" leaves the loop's gradient to TensorFlow, "auto" has its own.

    Call arguments:
        targets: (B, T, E), the vectors of the tokens that go in.
        annotations: (B, S, A); "dot" needs A = n.
        state: s_0 (B, n).
        source_mask: (B, S) bool, True where a place is real; what stands elsewhere does not matter, be it NaN.

    Returns:
        Features (B, T, F): of "bahdanau" [s_{i-1}; c_i], F = n + A; else t_i, F = L;
        weights a (B, T, S), exactly 0 where the source is not real.

    >>> layer = AttentionDecoder(3, "concat", attention_units=4, output_units=2)
    >>> ones = keras.ops.ones
    >>> features, weights = layer(ones((2, 5, 6)), ones((2, 4, 7)), ones((2, 3)), ones((2, 4), "bool"))
    >>> features.shape, weights.shape
    (TensorShape([2, 5, 2]), TensorShape([2, 5, 4]))
    """

    def __init__(
        self, units, score="bahdanau", *, attention_units=None, output_units=None, input_feeding=True,
        kernel_initializer="glorot_uniform", recurrent_initializer="orthogonal", attention_initializer=None,
        score_initializer=None, implementation="auto", **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        for name, value, allowed in (("score", score, SCORES), ("implementation", implementation, IMPLEMENTATIONS)):
            if value not in allowed:
                raise ValueError(f"AttentionDecoder: {name} must be one of {', '.join(allowed)}; got {value!r}.")
        self.units, self.score, self.implementation = units, score, implementation
        self.attention_units, self.output_units, self.input_feeding = attention_units, output_units, input_feeding
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(recurrent_initializer)
        self.attention_initializer = keras.initializers.get(attention_initializer)
        self.score_initializer = keras.initializers.get(score_initializer)
        self.supports_masking = True
        self.cell = AttentionCell(units, score, input_feeding)

    def build(self, targets_shape, annotations_shape, state_shape=None, source_mask_shape=None):
        n, (width, annotation) = self.units, (targets_shape[-1], annotations_shape[-1])
        if self.score == "dot" and annotation != n:
            raise ValueError(f"{self.name}: score 'dot' needs annotations as wide as the state, {n}; got {annotation}.")
        kernel, attention = self.kernel_initializer, self.attention_initializer or self.kernel_initializer
        self.kernel = self.add_drawn("kernel", (width, 3 * n), kernel)
        self.bias = self.add_drawn("bias", (3 * n,), "zeros")
        self.step_weights = {"recurrent": self.add_drawn("recurrent_kernel", (n, 3 * n), self.recurrent_initializer)}
        if self.cell.first or self.input_feeding:
            fed = annotation if self.cell.first else self.output_units
            self.step_weights["fed"] = self.add_drawn("fed_kernel", (fed, 3 * n), kernel)
        if self.score != "dot":
            self.key_kernel = self.add_drawn(
                "key_kernel", (annotation, self.attention_units if self.cell.additive else n), attention
            )
        if self.cell.additive:
            self.key_bias = self.add_drawn("key_bias", (self.attention_units,), "zeros")
            self.step_weights["query"] = self.add_drawn("query_kernel", (n, self.attention_units), attention)
            self.step_weights["score"] = self.add_drawn(
                "score", (self.attention_units,), self.score_initializer or kernel
            )
        if not self.cell.first:
            self.step_weights["output"] = self.add_drawn("output_kernel", (annotation + n, self.output_units), kernel)
            self.step_weights["output_bias"] = self.add_drawn("output_bias", (self.output_units,), "zeros")

    def call(self, targets, annotations, state, source_mask):
        memory, state = self.memory(annotations, source_mask), self.begin(state)
        z = self.project(tf.transpose(targets, [1, 0, 2]))  # (T, B, 3n): a step's rows lie together
        run = _plain if self.implementation == "plain" else _scan
        features, alignment = run(self.cell, z, state, memory, self._weights())
        features, alignment = tf.transpose(features, [1, 0, 2]), tf.transpose(alignment, [1, 0, 2])
        features.set_shape([None, targets.shape[1], self._features(annotations.shape[-1])])
        alignment.set_shape([None, targets.shape[1], annotations.shape[1]])
        return features, alignment

    def memory(self, annotations, source_mask):
        """What every step looks at: annotations (B, S, A), keys (B, S, n' or n), what PAD adds to a score (B, S)."""
        annotations = tf.convert_to_tensor(annotations)
        # Zeros, not only weights of 0: 0 times NaN is NaN, in the contexts and in every gradient.
        keys = annotations = tf.where(source_mask[..., None], annotations, tf.zeros([], annotations.dtype))
        if self.score != "dot":
            keys = tf.tensordot(annotations, self._cast(self.key_kernel), 1)
        if self.cell.additive:
            keys = keys + self._cast(self.key_bias)
        closed = tf.where(source_mask, tf.zeros([], keys.dtype), tf.constant(keys.dtype.min / 2, keys.dtype))
        return annotations, keys, closed

    def begin(self, state):
        """The state before the first step: (s,), of Luong's also t = 0, from s_0 (B, n)."""
        state = tf.cast(state, self.compute_dtype)
        return (state,) if self.cell.first else (state, tf.zeros([tf.shape(state)[0], self.output_units], state.dtype))

    def project(self, targets):
        """What targets (..., E) give to the GRU, without its state: (..., 3n)."""
        return tf.tensordot(targets, self._cast(self.kernel), 1) + self._cast(self.bias)

    def step(self, targets, state, memory):
        """One step of N = B * K rows, the K rows of a sentence adjacent: targets (N, E), state as `begin` gives it.

        Returns:
            (features (N, F), weights (N, S), new state)
        """
        new, saved = self.cell.step(self.project(targets), state, memory, self.cell.forward(self._weights()))
        return self.cell.features(state, new, saved), saved[1], new

    def _weights(self):
        return {name: self._cast(w) for name, w in self.step_weights.items()}

    def _cast(self, weight):
        return tf.cast(tf.convert_to_tensor(weight), self.compute_dtype)  # Keras casts within `call` alone

    def _features(self, annotation):
        return self.units + annotation if self.cell.first else self.output_units

    def compute_mask(self, *_, **__):
        return None, None

    def compute_output_shape(self, targets_shape, annotations_shape, state_shape=None, source_mask_shape=None):
        batch, steps = targets_shape[:2]
        return (batch, steps, self._features(annotations_shape[-1])), (batch, steps, annotations_shape[1])

    def get_config(self):
        names = ("units", "score", "attention_units", "output_units", "input_feeding", "implementation")
        initializers = ("kernel_initializer", "recurrent_initializer", "attention_initializer", "score_initializer")
        return (
            super().get_config()
            | {name: getattr(self, name) for name in names}
            | {name: keras.initializers.serialize(getattr(self, name)) for name in initializers}
        )


@keras.saving.register_keras_serializable("keras_dl")
class OrthogonalBlocks(keras.initializers.Initializer):
    """A matrix (n, k n) of k orthogonal matrices (n, n) side by side, each of its own: one a gate.

    (Keras' orthogonal makes the n rows of the whole orthonormal, so that each block shrinks a state by sqrt(k).)
    """

    def __init__(self, seed=None):
        self.given, self.seed = seed, keras.initializers.Orthogonal(seed=seed).seed

    def __call__(self, shape, dtype=None):
        rows, columns = shape
        draw = [keras.initializers.Orthogonal(seed=self._seed(k)) for k in range(columns // rows)]
        return ops.concatenate([block((rows, rows), dtype) for block in draw], -1)

    def _seed(self, number):
        return derived_seed(self.seed, number) if isinstance(self.seed, int) else self.seed  # a SeedGenerator goes on

    def get_config(self):
        return {"seed": keras.saving.serialize_keras_object(self.given)}


class AttentionCell:
    """The equations of AttentionDecoder, one step forward and one step back, as functions of tensors: see cells.py.

    A state is (s,), of Luong's scores (s, t); memory and `project`ed inputs z (N, 3n) are the layer's. A step saves
    (what the GRU saves (N, 3n), weights (N, S), context (N, A)).
    """

    def __init__(self, units, score, input_feeding):
        self.first = score == "bahdanau"  # it looks before the step
        self.additive, self.feeding = score in ("bahdanau", "concat"), input_feeding or self.first
        self.gru = cells.GRUCell(units)

    def forward(self, weights):
        return weights | {"recurrent": self.gru.forward([weights["recurrent"]])}

    def backward(self, weights):
        turned = {name: tf.transpose(weights[name]) for name in ("fed", "query", "output") if name in weights}
        return weights | turned | {"recurrent": self.gru.backward([weights["recurrent"]])}

    def step(self, z, state, memory, weights):
        """Returns (new state, saved)."""
        if self.first:
            alignment, context = self._attend(state[0], memory, weights)
            z = z + tf.matmul(context, weights["fed"])
            new, saved = self.gru.step(z, state, weights["recurrent"], None)
            return new, (saved, alignment, context)
        if self.feeding:
            z = z + tf.matmul(state[1], weights["fed"])
        (s,), saved = self.gru.step(z, state[:1], weights["recurrent"], None)
        alignment, context = self._attend(s, memory, weights)
        t = tf.tanh(tf.matmul(tf.concat([context, s], -1), weights["output"]) + weights["output_bias"])
        return (s, t), (saved, alignment, context)

    def features(self, old, new, saved):
        return tf.concat([old[0], saved[2]], -1) if self.first else new[1]

    def _attend(self, s, memory, weights):
        """Weights (N, S) and context (N, A) of the states s (N, n) that ask; a sentence's rows share its memory."""
        annotations, keys, closed = memory
        query = tf.matmul(s, weights["query"]) if self.additive else s
        query = tf.reshape(query, [tf.shape(keys)[0], -1, keys.shape[-1]])  # (B, K, n' or n)
        if self.additive:
            # As a product of matrices: one of a matrix and (B, 1, S, n') writes past its memory (TensorFlow 2.21).
            scores = tf.tensordot(tf.tanh(query[:, :, None] + keys[:, None]), weights["score"], 1)
        else:
            scores = tf.matmul(query, keys, transpose_b=True)
        alignment = tf.nn.softmax(scores + closed[:, None])  # (B, K, S)
        context = tf.matmul(alignment, annotations)
        rows = tf.shape(s)[0]
        return tf.reshape(alignment, [rows, tf.shape(keys)[1]]), tf.reshape(context, [rows, annotations.shape[-1]])

    def queries(self, old, new, weights):
        """What all steps ask, (T, B, n' or n), from the states before and after each."""
        asks = old[0] if self.first else new[0]
        return tf.tensordot(asks, weights["query"], 1) if self.additive else asks

    def step_back(self, d_features, d_alignment, d_state, sums, old, new, saved, query, memory, weights):
        """One step back, from the gradients by what it gave; weights as `backward` gives them.

        Returns:
            gradients by the old state; sums with this step's part;
            gradients by z (B, 3n), context (B, A), scores (B, S), what is asked (B, n' or n), and of Luong's by what
            is in t's tanh (B, L).
        """
        gru_saved, alignment, _ = saved
        if self.first:
            d_old, d_context = tf.split(d_features, [old[0].shape[-1], memory[0].shape[-1]], -1)
            pre, (d_s,) = self.gru.step_back(gru_saved, old, new, d_state, weights["recurrent"], None)
            d_context = d_context + tf.matmul(pre, weights["fed"])
            d_query, d_scores, sums = self._attend_back(d_context, d_alignment, sums, query, alignment, memory)
            d_s = d_s + d_old + tf.matmul(d_query * weights["score"], weights["query"])
            return (d_s,), sums, (pre, d_context, d_scores, d_query)
        d_t = (d_features + d_state[1]) * (1 - new[1] * new[1])
        seen = tf.matmul(d_t, weights["output"])
        d_context, d_s = tf.split(seen, [memory[0].shape[-1], new[0].shape[-1]], -1)
        d_query, d_scores, sums = self._attend_back(d_context, d_alignment, sums, query, alignment, memory)
        asked = tf.matmul(d_query * weights["score"], weights["query"]) if self.additive else d_query
        d_s = d_s + d_state[0] + asked
        pre, (d_s,) = self.gru.step_back(gru_saved, old[:1], new[:1], [d_s], weights["recurrent"], None)
        d_fed = tf.matmul(pre, weights["fed"]) if self.feeding else tf.zeros_like(d_state[1])
        return (d_s, d_fed), sums, (pre, d_context, d_scores, d_query, d_t)

    def sums(self, keys):
        """What the loop back sums over steps, of the additive scores: of d_scores * u^2 (B, S, n') and d_scores u."""
        return (tf.zeros_like(keys), tf.zeros_like(keys[:, 0])) if self.additive else ()

    def _attend_back(self, d_context, d_alignment, sums, query, alignment, memory):
        """Of the additive scores the gradient by what is asked lacks the factor v: v comes after the loop."""
        annotations, keys, _ = memory
        d = d_alignment + tf.matmul(annotations, d_context[:, :, None])[:, :, 0]
        d_scores = alignment * (d - tf.reduce_sum(alignment * d, -1, keepdims=True))
        row = d_scores[:, None]  # (B, 1, S)
        if not self.additive:
            return tf.matmul(row, keys)[:, 0], d_scores, sums
        u = tf.tanh(query[:, None] + keys)  # anew: all steps' would be (T, B, S, n')
        squares = u * u
        by_keys, by_score = sums
        sums = by_keys + d_scores[:, :, None] * squares, by_score + tf.matmul(row, u)[:, 0]
        return -tf.matmul(row, squares)[:, 0], d_scores, sums  # the sum over S of d_scores is 0

    def gradients(self, made, sums, old, new, saved, weights):
        """From all steps at once: by annotations, by keys, and {name: by this weight}."""
        pre, d_context, d_scores, d_query, *d_t = made
        gru_saved, alignment, context = saved
        across = [tf.transpose(v, [1, 0, 2]) for v in (alignment, d_context, d_scores)]
        d_annotations = tf.matmul(across[0], across[1], transpose_a=True)
        found = {"recurrent": self.gru.weight_gradients(pre, gru_saved, old[:1], new[:1], None)[0]}
        asks = old[0] if self.first else new[0]
        if self.feeding:
            found["fed"] = cells._product(context if self.first else old[1], pre)
        if self.additive:
            found["query"] = cells._product(asks, d_query) * weights["score"]
            found["score"] = tf.reduce_sum(sums[1], 0)
            d_keys = (tf.reduce_sum(d_scores, 0)[:, :, None] - sums[0]) * weights["score"]
        else:
            d_keys = tf.matmul(across[2], tf.transpose(asks, [1, 0, 2]), transpose_a=True)
        if d_t:
            found["output"] = cells._product(tf.concat([context, new[0]], -1), d_t[0])
            found["output_bias"] = tf.reduce_sum(d_t[0], [0, 1])
        return d_annotations, d_keys, found


def _plain(cell, z, state, memory, weights):
    """One step after the other, TensorFlow finds the gradient: (features (T, B, F), weights (T, B, S))."""
    new, saved = _forward(cell, z, state, memory, weights)
    return cell.features(_old(state, new), new, saved), saved[1]


def _scan(cell, z, state, memory, weights):
    """As _plain, with a gradient of its own, which multiplies the weights' at once after the loop."""
    names, count, closed = list(weights), len(state), memory[2]

    @tf.custom_gradient
    def run(z, annotations, keys, *flat):
        z, annotations, keys, *flat = map(tf.stop_gradient, (z, annotations, keys, *flat))
        state, weights = flat[:count], dict(zip(names, flat[count:], strict=True))
        memory = annotations, keys, closed
        new, saved = _forward(cell, z, state, memory, weights)
        old = _old(state, new)

        def gradient(d_features, d_alignment):
            made, sums, d_first = _back(cell, d_features, d_alignment, old, new, saved, memory, weights)
            d_annotations, d_keys, found = cell.gradients(made, sums, old, new, saved, weights)
            return (made[0], d_annotations, d_keys, *d_first, *(found[name] for name in names))

        return (cell.features(old, new, saved), saved[1]), gradient

    return run(z, *memory[:2], *state, *weights.values())


def _forward(cell, z, state, memory, weights):
    """(states after each step, (T, B, .) each; what each step saved)."""
    steps, weights, count = _length(z), cell.forward(weights), len(state)

    def body(i, state, arrays):
        state, saved = cell.step(z[i], state, memory, weights)
        return i + 1, state, [array.write(i, v) for array, v in zip(arrays, (*state, *saved), strict=True)]

    arrays = [tf.TensorArray(z.dtype, steps) for _ in range(count + 3)]
    _, _, arrays = tf.while_loop(
        lambda i, *_: i < steps, body, (tf.constant(0), tuple(state), arrays), parallel_iterations=1,
        maximum_iterations=steps,
    )  # fmt: skip
    made = [array.stack() for array in arrays]
    return made[:count], made[count:]


def _back(cell, d_features, d_alignment, old, new, saved, memory, weights):
    """(what each step back made; the sums; gradients by the first state)."""
    steps, queries, weights = _length(d_features), cell.queries(old, new, weights), cell.backward(weights)

    def body(i, d_state, sums, arrays):
        given = [[v[i] for v in values] for values in (old, new, saved)]
        d_state, sums, made = cell.step_back(
            d_features[i], d_alignment[i], d_state, sums, *given, queries[i], memory, weights
        )
        return i - 1, d_state, sums, [array.write(i, v) for array, v in zip(arrays, made, strict=True)]

    zeros = tuple(tf.zeros_like(values[0]) for values in old)
    arrays = [tf.TensorArray(d_features.dtype, steps) for _ in range(4 if cell.first else 5)]
    start = (steps - 1, zeros, cell.sums(memory[1]), arrays)
    _, d_first, sums, arrays = tf.while_loop(lambda i, *_: i >= 0, body, start, parallel_iterations=1)
    return [array.stack() for array in arrays], sums, d_first


def _old(first, new):
    """The states before each step (T, B, .)."""
    return [tf.concat([s[None], values[:-1]], 0) for s, values in zip(first, new, strict=True)]


def _length(z):
    return tf.shape(z)[0] if z.shape[0] is None else z.shape[0]
