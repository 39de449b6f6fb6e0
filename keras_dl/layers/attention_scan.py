"""The cell of attention_cell.py over time, in two implementations with equal results.

- "plain": one step after the other, differentiated by TensorFlow: the reference of the tests.
- "scan": the same loop with a hand-written gradient, which computes the gradients of the weights after the loop, one
  product over all steps for each weight.

Shapes: z (T, B, 3n), the projected inputs; features (T, B, F); weights of the attention (T, B, S).
"""

import tensorflow as tf


def plain(cell, z, state, memory, weights):
    """One step after the other, differentiated by TensorFlow: (features (T, B, F), weights (T, B, S))."""
    new, saved = _forward(cell, z, state, memory, weights)
    return cell.features(_old(state, new), new, saved), saved[1]


def scan(cell, z, state, memory, weights):
    """As plain, with a hand-written gradient."""
    names, count, closed = list(weights), len(state), memory[2]

    @tf.custom_gradient
    def run(z, annotations, keys, *flat):
        z, annotations, keys, *flat = map(tf.stop_gradient, (z, annotations, keys, *flat))
        state, weights = flat[:count], dict(zip(names, flat[count:], strict=True))
        memory = annotations, keys, closed
        new, saved = _forward(cell, z, state, memory, weights)
        old = _old(state, new)

        def gradient(d_features, d_alignment):
            parts, sums, d_first = _back(cell, d_features, d_alignment, old, new, saved, memory, weights)
            d_annotations, d_keys, by_weight = cell.gradients(parts, sums, old, new, saved, weights)
            return (parts[0], d_annotations, d_keys, *d_first, *(by_weight[name] for name in names))

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
    stacked = [array.stack() for array in arrays]
    return stacked[:count], stacked[count:]


def _back(cell, d_features, d_alignment, old, new, saved, memory, weights):
    """(results of step_back at all steps, (T, ...) each; the sums; gradients of the first state)."""
    steps, queries, weights = _length(d_features), cell.queries(old, new, weights), cell.backward(weights)

    def body(i, d_state, sums, arrays):
        now = [[v[i] for v in values] for values in (old, new, saved)]
        d_state, sums, parts = cell.step_back(
            d_features[i], d_alignment[i], d_state, sums, *now, queries[i], memory, weights
        )
        return i - 1, d_state, sums, [array.write(i, v) for array, v in zip(arrays, parts, strict=True)]

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
