"""The key-value cache of a Transformer that generates step by step.

Shapes: B sequences or sentences, K rows (hypotheses) of each now and K' the most so far, h heads, d_k units per head,
L steps allocated, Q queries, M steps attended to.
"""

import tensorflow as tf

ROOM = 8  # steps by which the cache grows


def grown(kept, least, columns=None, most=None):
    """The cache with room for at least `least` steps: zeros are appended, ROOM steps at a time.

    Args:
        kept: the cache, a nest of tensors (B, h, L, K' d_k), all of one shape.
        least: number of steps, a scalar tensor.
        columns: the new K' d_k; None: unchanged.
        most: largest number of steps to allocate; None: no limit.
    """
    shape = tf.shape(tf.nest.flatten(kept)[0])
    room = tf.maximum(shape[2], (least + ROOM - 1) // ROOM * ROOM)
    room = room if most is None else tf.minimum(room, most)
    steps = tf.maximum(room - shape[2], 0)
    columns = 0 if columns is None else columns - shape[3]

    def padded():
        return tf.nest.map_structure(lambda x: tf.pad(x, [[0, 0], [0, 0], [0, steps], [0, columns]]), kept)

    return tf.cond((steps > 0) | (columns > 0), padded, lambda: kept)


def places(kept, t, most, width):
    """Row indices (B h K, 1) of step t, for K = `width` rows, in a cache tensor reshaped to (B h L K', d_k)."""
    sentences, heads, room, _ = tf.unstack(tf.shape(kept))
    first = (tf.range(sentences * heads) * room + t) * most
    return tf.reshape(first[:, None] + tf.range(width), [-1, 1])


def written(kept, new, at):
    """Cached keys or values (B, h, L, K' d_k) with those of this step (B, h, K, d_k) added at the indices of `places`.

    The cache must hold zeros from this step on.
    """
    # This scatter op writes in place if nothing else references the tensor (TensorFlow 2.21).
    rows = [tf.reshape(x, [-1, new.shape[3]]) for x in (kept, new)]
    filled = tf.raw_ops.ScatterNdNonAliasingAdd(input=rows[0], indices=at, updates=rows[1])
    return tf.ensure_shape(tf.reshape(filled, tf.shape(kept)), kept.shape)


def heads(layer, x, sentences):
    """(B * T, h d_k) or (B, T, h d_k) -> (B, h, T, d_k)."""
    return swapped(tf.reshape(x, [sentences, -1, layer.num_heads, layer.key_dim]))


def swapped(x):
    """x with its two middle axes swapped. Done on integers of the same size: four times as fast in TensorFlow 2.21."""
    numbers = {2: tf.int16, 4: tf.int32, 8: tf.int64}[x.dtype.size]
    return tf.bitcast(tf.transpose(tf.bitcast(x, numbers), [0, 2, 1, 3]), x.dtype)


def attended(layer, queries, keys, values, hidden):
    """MultiHeadAttention.attend for tensors that are split into heads already: the cache is not transposed every step.

    Args:
        queries: (B, h, Q, d_k).
        keys, values: (B, h, M, d_k).
        hidden: subtracted from the scores, (B or 1, 1, 1 or Q, M): 0 for visible steps, a large number for hidden ones.

    Returns:
        (B * Q, d)
    """
    scores = tf.cast(tf.matmul(queries * layer.key_dim**-0.5, keys, transpose_b=True), tf.float32)
    scores -= hidden  # not a sum: TensorFlow 2.21 would fuse it with the product, which is slow
    contexts = tf.matmul(tf.cast(tf.nn.softmax(scores), values.dtype), values)
    joined = tf.reshape(swapped(contexts), [-1, layer.num_heads * layer.key_dim])
    outputs = tf.matmul(joined, tf.cast(layer.output_kernel, joined.dtype))
    return outputs + tf.cast(layer.output_bias, outputs.dtype) if layer.use_bias else outputs
