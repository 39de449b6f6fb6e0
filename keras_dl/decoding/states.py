"""What goes from step to step, and what is searched side by side.

Shapes: B sentences, K hypotheses of each, N rows, S tokens of a source.
"""

from typing import Any, NamedTuple

import keras
import tensorflow as tf


class Shared(NamedTuple):
    """A part of a state that all the rows of a sentence share: a nest of tensors (B, ...).

    A search neither repeats it nor puts it in order: which of it is a row's own stands elsewhere in the state.
    """

    tensors: Any


def take(state, rows):
    """A state of those rows, in their order, some perhaps more than once: the rows of a sentence stay its own.

    Args:
        state: a nest of tensors (N, ...); what is Shared stays as it is.
        rows: (M,) whole numbers.

    >>> state = take({"t": tf.constant([3, 4]), "past": Shared(tf.constant([[1, 2]]))}, [1, 1, 0])
    >>> state["t"].numpy().tolist(), state["past"].tensors.numpy().tolist()
    ([4, 4, 3], [[1, 2]])
    """

    def one(x):
        if isinstance(x, Shared):
            return x
        return None if keras.tree.is_nested(x) else tf.gather(x, rows)  # None: look into it

    return keras.tree.traverse(one, state)


def search_in_halves(search, source, fill):
    """search(source), the shorter half of the sentences beside the longer one.

    A step is a chain of small operations: while one half's wait for each other, the other half's have the processor.
    Short sentences do not take the steps of the longest, nor its padding. The graph holds `search` once.

    Args:
        search: (B, S) int32 -> a nest of tensors (B, ...), of each sentence what it would be in any other batch.
        source: (B, S) int32; token 0 is padding, behind a sentence.
        fill: of what one half has fewer than the other behind the first axis.

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
