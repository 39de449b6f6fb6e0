"""States of models that run step by step, and a batch searched in two halves.

Shapes: B sentences, K hypotheses of each, N rows, S tokens of a source.
"""

from typing import Any, NamedTuple

import keras
import tensorflow as tf


class Shared(NamedTuple):
    """A part of a state that all rows of a sentence share: a nest of tensors (B, ...).

    Beam search neither repeats nor reorders it; the rest of the state must say which part of it belongs to which row.
    """

    tensors: Any


def take(state, rows):
    """The state of the given rows, in the given order; a row may occur more than once.

    If the state has Shared parts, rows of one sentence must stay rows of that sentence.

    Args:
        state: a nest of tensors (N, ...); Shared parts are returned unchanged.
        rows: (M,) integers, indices of rows.

    >>> state = take({"t": tf.constant([3, 4]), "past": Shared(tf.constant([[1, 2]]))}, [1, 1, 0])
    >>> state["t"].numpy().tolist(), state["past"].tensors.numpy().tolist()
    ([4, 4, 3], [[1, 2]])
    """

    def one(x):
        if isinstance(x, Shared):
            return x
        return None if keras.tree.is_nested(x) else tf.gather(x, rows)  # None: descend into it

    return keras.tree.traverse(one, state)


def search_in_halves(search, source, fill):
    """search(source), computed for the shorter and the longer half of the sentences in parallel.

    A step is a chain of small operations: while one half waits for the result of an operation, the other half can use
    the processor. And short sentences need neither the steps nor the padding of the longest. The graph contains
    `search` only once.

    Args:
        search: (B, S) int32 -> a nest of tensors (B, ...); a sentence's result must not depend on the others.
        source: (B, S) int32; token 0 is padding, after the sentence.
        fill: value that pads the axes after the first where one half's results are shorter than the other's.

    Returns:
        The nest of search(source), rows in the order of `source`.

    >>> longest = lambda tokens: tf.tile(tokens[:, -1:], [1, tf.shape(tokens)[1]])
    >>> search_in_halves(longest, tf.constant([[5, 6, 7], [3, 0, 0]]), -1).numpy().tolist()
    [[7, 7, 7], [3, -1, -1]]
    """
    search = tf.function(search, autograph=False, input_signature=[tf.TensorSpec((None, None), source.dtype)])
    lengths = tf.math.count_nonzero(source, 1, dtype=tf.int32)
    order = tf.argsort(lengths, stable=True)
    middle = tf.shape(order)[0] // 2
    results = []
    for rows in (order[:middle], order[middle:]):
        longest = tf.reduce_max(tf.concat([[1], tf.gather(lengths, rows)], 0))
        results.append(search(tf.gather(source, rows)[:, :longest]))
    back = tf.argsort(order)

    def joined(kind, *halves):
        shape = tf.reduce_max([tf.shape(x) for x in halves], 0)
        behind = [tf.concat([[0], (shape - tf.shape(x))[1:]], 0) for x in halves]
        halves = [
            tf.pad(x, tf.stack([tf.zeros_like(n), n], 1), constant_values=tf.cast(fill, x.dtype))
            for x, n in zip(halves, behind, strict=True)
        ]
        return tf.ensure_shape(tf.gather(tf.concat(halves, 0), back), kind.shape)

    return tf.nest.map_structure(joined, search.get_concrete_function().structured_outputs, *results)
