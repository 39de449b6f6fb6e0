"""Generating sequences with a model of the next step: one loop in the graph, for any step function and any draw.

Shapes: B sequences, T steps, K tokens, D entries of a vector.
"""

import contextlib
import functools
from numbers import Integral

import tensorflow as tf

from keras_dl.decoding._checks import refused, refused_length, same, varying
from keras_dl.decoding.draws import token_log_probability

PACE = 32  # steps between two calls of a listener
_listeners = []  # that of the innermost `heard` is the last


@contextlib.contextmanager
def heard(listener):
    """A context in which `generate` says after every PACE-th step how far it is, to show the progress of long draws.

    A tf.function must be traced and called in such a context; what was traced outside of it, such as an export, has no
    operation for it. `generate` may run on another thread.

    Args:
        listener: listener(t, length), called when t of at most `length` steps are done.
    """
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def _say_now_and_then(t, length):
    """Call the listener after every PACE-th step: a call of Python takes longer than a step of a small model."""
    said = functools.partial(tf.numpy_function, _say, [t, length], [])
    tf.cond(t % PACE == 0, lambda: tf.group(said()), tf.no_op)


def _say(t, length):
    if _listeners:  # what was traced in a context may be called outside of one
        _listeners[-1](int(t), int(length))


def generate(step, state, first, length, draw, *, end=None):
    """Run a model step by step, each input drawn from the logits of the step before.

    Args:
        step: step(inputs, state) -> (logits, state): logits (B, K) of the next token, or (B, D) of the next vector;
            decoding.step_function makes one from a model.
        state: any nest of tensors (B, ...). `step` must return the same dtypes and shapes, except that axes after the
            first may grow from step to step, as a cache does; in a graph only those whose length is unknown or 0 at the
            start.
        first: inputs of the first step, (B,) int32 tokens or (B, D) float vectors.
        length: T, number of steps, a number or a scalar tensor; each step makes one output.
        draw: draw(logits, t) -> the next inputs, of the shape and dtype of `first`; t is the step's number from 0, a
            scalar int32 tensor. One of draws.py, or a function; a function that draws vectors must have an attribute
            log_probability.
        end: a token that ends a sequence, which is then filled up with `end`; when all have ended, the loop stops.
            None: no such token.

    Returns:
        outputs (B, T) or (B, T, D), the draws of all steps;
        log-probabilities (B, T) float32 in nats of the draws under the model's own distribution, whatever the
        temperature, top_k and top_p of the draw; 0 after an end;
        the state after the last step (steps of ended sequences go on until all have ended).

    Raises:
        ValueError: `length` is below 1 or above 2**24, `end` is no token or given for vectors, or a draw or a state
            differs from the first one in dtype or shape.

    >>> from keras_dl.decoding import Greedy
    >>> count = lambda tokens, state: (tf.one_hot((tokens + 1) % 5, 5), state)
    >>> generate(count, (), tf.constant([0, 2]), 4, Greedy(), end=4)[0].numpy().tolist()
    [[1, 2, 3, 4], [3, 4, 4, 4]]
    """
    first, state = tf.convert_to_tensor(first), tf.nest.map_structure(tf.convert_to_tensor, state)
    _check(first, length, draw, end)
    log_probability = getattr(draw, "log_probability", token_log_probability)
    size = length if isinstance(length, Integral) else tf.maximum(length, 1)  # an empty array cannot be stacked

    def more(t, inputs, state, ended, *_):
        return t < length if end is None else (t < length) & ~tf.reduce_all(ended)

    def body(t, inputs, state, ended, outputs, scores):
        logits, new_state = step(inputs, state)
        following = draw(logits, t)
        same("generate", "draw", inputs, following)
        same("generate", "step", state, new_state)
        score = log_probability(logits, following)
        if end is not None:
            following = tf.where(ended, tf.cast(end, following.dtype), following)
            score = tf.where(ended, 0.0, score)
            ended = following == tf.cast(end, following.dtype)  # stays True, since `following` is `end` from then on
        if _listeners:
            _say_now_and_then(t + 1, length)
        return t + 1, following, new_state, ended, outputs.write(t, following), scores.write(t, score)

    ended = tf.zeros_like(first, tf.bool) if end is not None else ()
    blank = tf.fill(tf.concat([[size], tf.shape(first)], 0), tf.cast(0 if end is None else end, first.dtype))
    outputs = tf.TensorArray(first.dtype, size, element_shape=first.shape).unstack(blank)
    scores = tf.TensorArray(tf.float32, size, element_shape=first.shape[:1])
    scores = scores.unstack(tf.zeros([size, tf.shape(first)[0]]))
    start = (tf.constant(0), first, state, ended, outputs, scores)
    shapes = (None, None, varying(state), tf.nest.map_structure(lambda _: None, ended), None, None)
    _, _, state, _, outputs, scores = tf.while_loop(more, body, start, shapes, parallel_iterations=1)
    return _batch_first(outputs, length), _batch_first(scores, length), state


def _batch_first(array, length):
    stacked = array.stack()[:length]
    return tf.transpose(stacked, [1, 0, *range(2, stacked.shape.rank)])


def _check(first, length, draw, end):
    if first.shape.rank not in (1, 2) or first.dtype.is_integer != (first.shape.rank == 1):
        raise ValueError(
            f"generate: first must be whole numbers (B,) or floats (B, D); got {first.dtype.name}{first.shape}."
        )
    refused_length("generate", length)
    if end is not None and refused(end, Integral, lambda token: 0 <= token < 2**31):
        raise ValueError(f"generate: end must be a token, a whole number of 0 or more, or None; got {end!r}.")
    if first.shape.rank == 2 and end is not None:
        raise ValueError(f"generate: end must be None for vectors, which have no token; got {end!r}.")
    if first.shape.rank == 2 and not hasattr(draw, "log_probability"):
        raise ValueError(
            f"generate: a draw of vectors must have log_probability(logits, vectors), as Bernoulli has; got {draw!r}."
        )
