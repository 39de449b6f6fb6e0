"""The decoder with attention as a Keras layer: a GRU that attends to the annotations of the source at every step.

Sources: Bahdanau et al., arXiv:1409.0473, section 3.1 and appendix A.2 ("bahdanau": the state before the step is the
query, and the context enters the step); Luong et al., arXiv:1508.04025, sections 3.1 and 3.3 ("dot", "general",
"concat": the state after the step is the query, and the attentional state enters the next step: input feeding).
Deviations: Luong's recurrent layers are stacked LSTMs; here both kinds use one GRU.
Shapes: B sentences, T steps of the target, S positions of the source, A entries of an annotation, E of a target
token's vector, n units, n' units of an additive score, L entries of Luong's attentional state t; K hypotheses per
sentence in beam search, N = B * K rows.
"""

import keras
import tensorflow as tf

from keras_dl.layers import attention_scan
from keras_dl.layers.attention_cell import SCORES, AttentionCell
from keras_dl.layers.initialization import DrawsApart

IMPLEMENTATIONS = ("auto", "plain")


@keras.saving.register_keras_serializable("keras_dl")
class AttentionDecoder(DrawsApart, keras.layers.Layer):
    """A GRU that attends to annotations of the source at every step, over a given target.

        a_i = softmax_j score(s, h_j) over positions that are not padding, c_i = sum_j a_ij h_j
        "bahdanau": score = v . tanh(W_a s_{i-1} + U_a h_j + b_a), s_i = GRU([y_i; c_i], s_{i-1})
        else: s_i = GRU([y_i; t_{i-1}], s_{i-1}), score with s = s_i, t_i = tanh(W_c [c_i; s_i] + b_c), t_0 = 0
        "dot": score = s . h_j; "general": s . W_a h_j; "concat": as "bahdanau"

    where h_j is the annotation of position j and y_i the vector of the token that is the input of step i.

    Args:
        units: n.
        score: one of SCORES.
        attention_units: n', of the additive scores.
        output_units: L, width of t; unused by "bahdanau", whose output layer belongs to the model.
        input_feeding: whether t_{i-1} enters the step (unused by "bahdanau").
        kernel_initializer: of the matrices and of v, except for those with an initializer of their own below.
        recurrent_initializer: of the (n, 3n) recurrent kernel.
        attention_initializer: of W_a and U_a; None: kernel_initializer.
        score_initializer: of v; None: kernel_initializer.
        implementation: one of IMPLEMENTATIONS: "plain" leaves the loop's gradient to TensorFlow, "auto" uses a
            faster hand-written one.

    Call arguments:
        targets: (B, T, E), the vectors of the input tokens.
        annotations: (B, S, A); "dot" needs A = n.
        state: s_0 (B, n).
        source_mask: (B, S) bool, False at padding; annotations there have no influence, even if they are NaN.

    Returns:
        features (B, T, F): with "bahdanau" [s_{i-1}; c_i], F = n + A; else t_i, F = L;
        weights a (B, T, S), exactly 0 at padding.

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
        z = self.project(tf.transpose(targets, [1, 0, 2]))  # (T, B, 3n): the rows of a step are adjacent in memory
        run = attention_scan.plain if self.implementation == "plain" else attention_scan.scan
        features, alignment = run(self.cell, z, state, memory, self._weights())
        features, alignment = tf.transpose(features, [1, 0, 2]), tf.transpose(alignment, [1, 0, 2])
        features.set_shape([None, targets.shape[1], self._features(annotations.shape[-1])])
        alignment.set_shape([None, targets.shape[1], annotations.shape[1]])
        return features, alignment

    def memory(self, annotations, source_mask):
        """What every step attends to: annotations (B, S, A), keys (B, S, n' or n), a term (B, S) to add to the scores.

        The term is 0, and at padding a large negative number.
        """
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
        """The state before the first step, from s_0 (B, n): (s_0,), or with Luong's scores (s_0, t = 0)."""
        state = tf.cast(state, self.compute_dtype)
        return (state,) if self.cell.first else (state, tf.zeros([tf.shape(state)[0], self.output_units], state.dtype))

    def project(self, targets):
        """The inputs' part of the GRU's pre-activations: targets (..., E) -> (..., 3n)."""
        return tf.tensordot(targets, self._cast(self.kernel), 1) + self._cast(self.bias)

    def step(self, targets, state, memory):
        """One step of N = B * K rows, the K rows of a sentence adjacent: targets (N, E), state as `begin` returns it.

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
