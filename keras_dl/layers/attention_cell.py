"""The equations of a recurrent decoder with attention, one step forward and one step backward, as functions of tensors.

Sources: Bahdanau et al., arXiv:1409.0473, section 3.1 and appendix A.2 ("bahdanau": the state before the step is the
query, and the context enters the step); Luong et al., arXiv:1508.04025, sections 3.1 and 3.3 ("dot", "general",
"concat": the state after the step is the query, and the attentional state enters the next step: input feeding).
Deviations: Luong's recurrent layers are stacked LSTMs; here both kinds use one GRU.
Shapes: B sentences, T steps of the target, S positions of the source, A entries of an annotation, n units, n' units of
an additive score, L entries of Luong's attentional state t; K hypotheses per sentence in beam search, N = B * K rows.
"""

import tensorflow as tf

from keras_dl.layers import cells

SCORES = ("bahdanau", "dot", "general", "concat")


class AttentionCell:
    """The equations of AttentionDecoder, with the methods that cells.py describes.

    A state is (s,), or (s, t) with Luong's scores. The memory is that of AttentionDecoder.memory, and the inputs z
    (N, 3n) are those of AttentionDecoder.project. A step saves for the backward pass: the tensor that the GRU saves
    (N, 3n), the weights (N, S) and the context (N, A).
    """

    def __init__(self, units, score, input_feeding):
        self.first = score == "bahdanau"  # attention comes before the GRU's step
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
        """Weights (N, S) and context (N, A) for the states s (N, n); the rows of a sentence share its memory."""
        annotations, keys, closed = memory
        query = tf.matmul(s, weights["query"]) if self.additive else s
        query = tf.reshape(query, [tf.shape(keys)[0], -1, keys.shape[-1]])  # (B, K, n' or n)
        if self.additive:
            # tensordot multiplies two matrices; a batched matmul writes past its memory (TensorFlow 2.21).
            scores = tf.tensordot(tf.tanh(query[:, :, None] + keys[:, None]), weights["score"], 1)
        else:
            scores = tf.matmul(query, keys, transpose_b=True)
        alignment = tf.nn.softmax(scores + closed[:, None])  # (B, K, S)
        context = tf.matmul(alignment, annotations)
        rows = tf.shape(s)[0]
        return tf.reshape(alignment, [rows, tf.shape(keys)[1]]), tf.reshape(context, [rows, annotations.shape[-1]])

    def queries(self, old, new, weights):
        """The queries of all steps (T, B, n' or n), from the states before and after each step."""
        asks = old[0] if self.first else new[0]
        return tf.tensordot(asks, weights["query"], 1) if self.additive else asks

    def step_back(self, d_features, d_alignment, d_state, sums, old, new, saved, query, memory, weights):
        """One step of backpropagation, from the gradients of the step's outputs; weights as `backward` returns them.

        Returns:
            gradients of the old state; sums with this step's terms added;
            gradients of z (B, 3n), the context (B, A), the scores (B, S), the query (B, n' or n), and with Luong's
            scores of the argument of t's tanh (B, L).
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
        """Zeros that the backward loop adds to, for additive scores: d_scores * u^2 (B, S, n'), d_scores u (B, n')."""
        return (tf.zeros_like(keys), tf.zeros_like(keys[:, 0])) if self.additive else ()

    def _attend_back(self, d_context, d_alignment, sums, query, alignment, memory):
        """(gradient of the query, gradient of the scores, sums).

        With additive scores the gradient of the query lacks the factor v, which the callers multiply in.
        """
        annotations, keys, _ = memory
        d = d_alignment + tf.matmul(annotations, d_context[:, :, None])[:, :, 0]
        d_scores = alignment * (d - tf.reduce_sum(alignment * d, -1, keepdims=True))
        row = d_scores[:, None]  # (B, 1, S)
        if not self.additive:
            return tf.matmul(row, keys)[:, 0], d_scores, sums
        u = tf.tanh(query[:, None] + keys)  # recomputed: storing it for all steps would take (T, B, S, n')
        squares = u * u
        by_keys, by_score = sums
        sums = by_keys + d_scores[:, :, None] * squares, by_score + tf.matmul(row, u)[:, 0]
        return -tf.matmul(row, squares)[:, 0], d_scores, sums  # d_scores (1 - u^2), and d_scores sums to 0 over S

    def gradients(self, parts, sums, old, new, saved, weights):
        """From the results of step_back at all steps: gradients of annotations, of keys, and {weight: gradient}."""
        pre, d_context, d_scores, d_query, *d_t = parts
        gru_saved, alignment, context = saved
        across = [tf.transpose(v, [1, 0, 2]) for v in (alignment, d_context, d_scores)]
        d_annotations = tf.matmul(across[0], across[1], transpose_a=True)
        by_weight = {"recurrent": self.gru.weight_gradients(pre, gru_saved, old[:1], new[:1], None)[0]}
        asks = old[0] if self.first else new[0]
        if self.feeding:
            by_weight["fed"] = cells.product_over_time(context if self.first else old[1], pre)
        if self.additive:
            by_weight["query"] = cells.product_over_time(asks, d_query) * weights["score"]
            by_weight["score"] = tf.reduce_sum(sums[1], 0)
            d_keys = (tf.reduce_sum(d_scores, 0)[:, :, None] - sums[0]) * weights["score"]
        else:
            d_keys = tf.matmul(across[2], tf.transpose(asks, [1, 0, 2]), transpose_a=True)
        if d_t:
            by_weight["output"] = cells.product_over_time(tf.concat([context, new[0]], -1), d_t[0])
            by_weight["output_bias"] = tf.reduce_sum(d_t[0], [0, 1])
        return d_annotations, d_keys, by_weight
