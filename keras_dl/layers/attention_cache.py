"""Keys and values that are kept from step to step: what a step of a Transformer does with what was written before it.

Shapes: B sequences or sentences, K rows of each and K' the most that there have been, h heads, d_k units a head,
L steps that there is room for, Q queries, M steps that are attended to.
"""

import tensorflow as tf

ROOM = 8  # steps by which what is kept grows


def grown(kept, least, columns=None, most=None):
    """What is kept, with room for at least `least` steps: zeros are added, ROOM steps at a time.

    Args:
        kept: a nest of tensors (B, h, L, K' d_k), all of one shape.
        least: steps, a scalar tensor.
        columns: K' d_k that there is to be room for; None: what there is.
        most: steps beyond which there is never to be room.
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
    """Where step t of `width` rows stands in a tensor that is kept, seen as (B h L K', d_k): (B h K, 1)."""
    sentences, heads, room, _ = tf.unstack(tf.shape(kept))
    first = (tf.range(sentences * heads) * room + t) * most
    return tf.reshape(first[:, None] + tf.range(width), [-1, 1])


def written(kept, new, at):
    """Keys or values (B, h, L, K' d_k), zeros from this step on, with those of this step (B, h, K, d_k) at places."""
    # Of the scatters the one that writes in place where nobody else holds the tensor (TensorFlow 2.21).
    rows = [tf.reshape(x, [-1, new.shape[3]]) for x in (kept, new)]
    filled = tf.raw_ops.ScatterNdNonAliasingAdd(input=rows[0], indices=at, updates=rows[1])
    return tf.ensure_shape(tf.reshape(filled, tf.shape(kept)), kept.shape)


def heads(layer, x, sentences):
    """(B * T, h d_k) or (B, T, h d_k) -> (B, h, T, d_k)."""
    return swapped(tf.reshape(x, [sentences, -1, layer.num_heads, layer.key_dim]))


def swapped(x):
    """The two axes in the middle swapped: as whole numbers, of which TensorFlow 2.21 does so four times as quickly."""
    numbers = {2: tf.int16, 4: tf.int32, 8: tf.int64}[x.dtype.size]
    return tf.bitcast(tf.transpose(tf.bitcast(x, numbers), [0, 2, 1, 3]), x.dtype)


def attended(layer, queries, keys, values, hidden):
    """MultiHeadAttention.attend, of what lies head by head already: nothing kept is turned anew at each step.

    Args:
        queries: (B, h, Q, d_k).
        keys, values: (B, h, M, d_k).
        hidden: what is taken from the scores of places that are hidden, (B or 1, 1, 1 or Q, M).

    Returns:
        (B * Q, d)
    """
    scores = tf.cast(tf.matmul(queries * layer.key_dim**-0.5, keys, transpose_b=True), tf.float32)
    scores -= hidden  # a sum would be made one with the product, which takes a slow route (TensorFlow 2.21)
    contexts = tf.matmul(tf.cast(tf.nn.softmax(scores), values.dtype), values)
    joined = tf.reshape(swapped(contexts), [-1, layer.num_heads * layer.key_dim])
    outputs = tf.matmul(joined, tf.cast(layer.output_kernel, joined.dtype))
    return outputs + tf.cast(layer.output_bias, outputs.dtype) if layer.use_bias else outputs
