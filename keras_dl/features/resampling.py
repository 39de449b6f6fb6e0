"""Resizing of pictures by two matrix products, for formats without an operation like tf.image.resize(antialias=True).

A pixel of the result is the mean of the picture's pixels around it, weighted with a triangle that is as wide as two
pixels of the result, or of the picture if that is smaller; rows and columns are independent. tf.image.resize computes
the same in another order, so its sums may differ in the last bit.
"""

from keras_dl.imports import tensorflow as tf


def by_products(images, size):
    """(n, h, w, C) of any dtype -> float32 (n, height, width, C).

    Args:
        images: tensor; h and w may be known at run time only, C must be known.
        size: (height, width), numbers or a tensor (2,).
    """
    images = tf.cast(images, tf.float32)
    channels = images.shape[-1]
    rows, columns = weights(tf.shape(images)[1], size[0]), weights(tf.shape(images)[2], size[1])
    count, width = tf.shape(images)[0], tf.shape(images)[2]
    lines = tf.reshape(images, [count, -1, width * channels])
    images = tf.reshape(tf.matmul(rows[None], lines), [count, size[0], width, channels])
    return tf.matmul(columns[None, None], images)


def weights(of, to):
    """The weights float32 (to, of) of `of` pixels in each of `to` pixels; every row has the sum 1.

    With of = to this is exactly the identity.
    """
    of, to = tf.convert_to_tensor(of), tf.convert_to_tensor(to)
    scale = tf.cast(of, tf.float32) / tf.cast(to, tf.float32)
    centres = (tf.cast(tf.range(to), tf.float32) + 0.5) * scale
    pixels = tf.cast(tf.range(of), tf.float32) + 0.5
    distances = tf.abs(pixels[None] - centres[:, None]) / tf.maximum(scale, 1.0)
    triangle = tf.maximum(1.0 - distances, 0.0)
    return triangle / tf.reduce_sum(triangle, 1, keepdims=True)
