"""Checks of the arguments of generate and beam_search, and of the state that a step returns."""

from numbers import Integral

import numpy as np
import tensorflow as tf


def varying(state):
    """Shape invariants of a state for tf.while_loop: an axis after the first may grow if its length is unknown or 0."""

    def shape(x):
        return tf.TensorShape([*x.shape[:1], *(n or None for n in x.shape[1:])]) if x.shape.rank else x.shape

    return tf.nest.map_structure(shape, state)


def same(who, what, old, new):
    """Raise ValueError if a draw, or a step's state, has not the structure, dtypes and shapes of the one before.

    In a graph, static shapes of `old` are then set on `new`. In eager execution all shapes are known; there any axis of
    a state after the first may grow.
    """
    eager = tf.executing_eagerly()

    def fits(a, b):
        if eager and what == "step":
            return a.dtype == b.dtype and a.shape.rank == b.shape.rank and a.shape[:1] == b.shape[:1]
        return a.dtype == b.dtype and a.shape.is_compatible_with(b.shape)

    try:
        tf.nest.assert_same_structure(old, new)
        pairs = list(zip(tf.nest.flatten(old), tf.nest.flatten(new), strict=True))
        refuse = not all(fits(a, b) for a, b in pairs)
    except (TypeError, ValueError):
        refuse = True
    if refuse:
        must = "the next inputs in the shape and dtype of `first`" if what == "draw" else "a state like the given one"
        show = tf.nest.map_structure(lambda x: f"{x.dtype.name}{x.shape}", (old, new))
        raise ValueError(f"{who}: {what} must return {must}, {show[0]}; got {show[1]}.")
    if not eager:
        for a, b in pairs:
            b.set_shape(a.shape)


MOST_STEPS = 2**24  # largest `length`; the results of more would alone take gigabytes


def refused_length(who, length, one_each=False):
    """Raise ValueError unless `length` is a whole number from 1 to MOST_STEPS; tensors are not checked.

    Args:
        one_each: `length` may also be an array (B,), one number per sequence, which is not checked.
    """
    if one_each and isinstance(length, np.ndarray) and length.ndim:
        return
    if refused(length, Integral, lambda n: 1 <= n <= MOST_STEPS):
        near = MOST_STEPS if isinstance(length, Integral) and length > MOST_STEPS else 1
        raise ValueError(
            f"{who}: length must be a whole number from 1 to {MOST_STEPS:,}; got {length!r}. Nearest: {near}."
        )


def refused(value, kind, fits):
    """Whether `value` is not a number of type `kind` with fits(value); tensors and variables are never refused."""
    if isinstance(value, np.ndarray):
        if value.ndim:
            return True
        value = value.item()
    if isinstance(value, kind) and not isinstance(value, bool):
        return not fits(value)
    return not (tf.is_tensor(value) or isinstance(value, tf.Variable))
