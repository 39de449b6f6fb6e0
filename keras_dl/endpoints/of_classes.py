"""What endpoints of a density do with a label: one number for a whole request, a class or none in particular.

Shapes: B rows per request, K classes.
"""

import math

from keras_dl.endpoints import within
from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf

ANY_CLASS = -1  # the label of rows whose class is not said


def checked(label, num_classes):
    """The scalar label, with an assertion that there is such a class; None without classes."""
    if not num_classes:
        return None
    with tf.control_dependencies([within(label, ANY_CLASS, num_classes - 1, "label")]):
        return tf.identity(label)


def log_likelihood(log_prob, label, num_classes):
    """log p of each row, (B,), given a class, or of all classes, equally probable.

    Args:
        log_prob: log_prob(label) -> (B,), of one class; without classes label is None.
        label: as `checked` returns it.
        num_classes: K; 0 without classes.
    """
    if not num_classes:
        return log_prob(None)
    return tf.cond(
        label < 0,
        lambda: tf.reduce_logsumexp(_of_every_class(log_prob, num_classes), 0) - math.log(num_classes),
        lambda: log_prob(label),
    )


def in_turn(label, rows, num_classes):
    """Labels (rows,): the label, or where none is said class 0, 1, ... in turn; None without classes."""
    if not num_classes:
        return None
    return tf.where(label < 0, tf.range(rows) % num_classes, tf.fill([rows], label))


def likeliest(log_prob, label, rows, num_classes):
    """Labels (rows,): the label, or where none is said the class for which log_prob(label) (rows,) is highest."""
    return tf.cond(
        label < 0,
        lambda: tf.argmax(_of_every_class(log_prob, num_classes), 0, output_type=tf.int32),
        lambda: tf.fill([rows], label),
    )


def _of_every_class(log_prob, num_classes):
    """log_prob of one class after the other: (K, B)."""
    return tf.map_fn(
        log_prob, tf.range(num_classes), fn_output_signature=tf.TensorSpec([None], tf.float32), parallel_iterations=1
    )
