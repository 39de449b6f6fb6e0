"""Beam search: an approximate search for the most probable sequences of a model of the next step.

Source: the search of Sutskever et al. (arXiv:1409.3215, section 3.2), in which a hypothesis leaves the beam when it
ends; the length penalty of Wu et al., "Google's Neural Machine Translation System" (arXiv:1609.08144, equation 14),
which Vaswani et al. (arXiv:1706.03762, section 6.1) use with 0.6.
Deviations: no coverage penalty and no pruning. The search of a sentence stops when K hypotheses have ended, so that a
beam of width 1 is the greedy choice.
Shapes: B sentences, K hypotheses of each, V tokens, T steps, R results.
"""

import math
from numbers import Integral, Real

import numpy as np
import tensorflow as tf

from keras_dl.decoding._checks import refused, refused_length, same, varying
from keras_dl.decoding.states import take

WIDEST = 1024  # largest beam width: none above it is known to be useful
STRONGEST = 10.0  # largest length penalty: far above it every score is rounded to 0
BLOCKS = sorted(range(32, 129), key=lambda n: abs(n - 64))  # widths of the blocks of _best, the fastest first


def beam_search(step, state, first, length, width, *, end, length_penalty=0.0, results=1, never=()):
    """Search for the sequences of tokens with the highest score log P / ((5 + n) / 6)^length_penalty.

    n is the number of tokens of a hypothesis, including `end`. At each step every live hypothesis of a sentence is
    continued by every token. Those of the best K continuations that end are complete; the best K that do not end stay
    live. Among equal scores the first hypothesis and the first token win. Tokens of probability 0 are never taken.

    Args:
        step: step(tokens (B * K,), state) -> (logits (B * K, V), state); the K rows of a sentence are adjacent.
        state: any nest of tensors (B, ...). In the first step each row is repeated K times; in later steps a row's
            state is that of the hypothesis that it continues. Parts that are decoding.Shared are passed unchanged.
            `step` must return the same dtypes and shapes, except that axes after the first may grow from step to step,
            as a cache does; in a graph only those whose length is unknown or 0 at the start.
        first: (B,) integers, the input tokens of the first step.
        length: largest number of tokens of a hypothesis: a number, a scalar tensor, or (B,), one per sentence.
        width: K, at most WIDEST.
        end: the token that ends a hypothesis; a number or a scalar tensor.
        length_penalty: 0 for none, at most STRONGEST; a number or a scalar tensor.
        results: R, number of hypotheses to return per sentence, at most K.
        never: tokens that are never taken, such as padding; the probabilities of the others are not renormalised.

    Returns:
        outputs (B, R, T) int32, the best first, filled up with `end`; T is the largest of `length`;
        scores (B, R) float32;
        log-probabilities (B, R) float32 in nats, those of the model, without penalty;
        lengths (B, R) int32, number of tokens including `end`.
        If fewer than R hypotheses have ended within `length`, live ones without an end follow; if there are not enough
        of these either, the remaining scores are -inf, their outputs `end` and their lengths 0.

    Raises:
        ValueError: an argument is not as described above, or a state's dtypes or shapes differ from the first one's.

    The more probable sentence does not begin with the more probable token, 0.6 * 0.5 < 0.4 * 0.9:

    >>> p = tf.constant([[0.0, 0.6, 0.4], [0.5, 0.25, 0.25], [0.9, 0.05, 0.05]])
    >>> model = lambda tokens, state: (tf.math.log(tf.gather(p, tokens)), state)
    >>> outputs, scores, _, _ = beam_search(model, (), tf.constant([0]), 2, 2, end=0, results=2)
    >>> outputs.numpy().tolist(), [f"{p:.2f}" for p in tf.exp(scores[0])]
    ([[[2, 0], [1, 0]]], ['0.36', '0.30'])
    """
    first, state = tf.convert_to_tensor(first), tf.nest.map_structure(tf.convert_to_tensor, state)
    _check(state, first, length, width, end, length_penalty, results, never)
    width, results = int(width), int(results)  # NumPy's int64 would give shapes of mixed types
    batch = tf.shape(first)[0] if first.shape[0] is None else first.shape[0]
    length = tf.cast(length, tf.int32)
    limits, known = tf.broadcast_to(tf.maximum(length, 0), [batch]), tf.get_static_value(length)  # limits (B,)
    longest = tf.maximum(tf.reduce_max(length), 0) if known is None else int(np.max(known, initial=0))
    end = tf.cast(end, tf.int32)

    def body(t, done, tokens, state, live, complete, history):
        logits, new_state = step(tf.reshape(tokens, [batch * width]), state)
        _check_logits(logits, first.shape[0], width)
        same("beam_search", "step", state, new_state)
        candidates, words, parents = _continuations(logits, live, batch, width, never)
        ends, finished = words == end, done[:, None]

        best, at = tf.math.top_k(candidates, width)
        best = tf.where(tf.gather(ends, at, batch_dims=1) & ~finished, best, -math.inf)
        scores = best / _penalty(t + 1, length_penalty)
        complete = _merge(complete, (scores, best, tf.fill([batch, width], t), tf.gather(parents, at)))

        best, at = tf.math.top_k(tf.where(ends, -math.inf, candidates), width)
        live = tf.where(finished, live, best)  # hypotheses of finished sentences continue, unused
        following, parents = tf.gather(words, at, batch_dims=1), tf.gather(parents, at)
        state = _reordered(new_state, parents, batch, width)
        history = tuple(array.write(t, x) for array, x in zip(history, (following, parents), strict=True))

        done |= (complete[0][:, -1] > -math.inf) | (live[:, 0] == -math.inf) | (t + 1 >= limits)
        return t + 1, done, tf.cast(following, first.dtype), state, live, complete, history

    live = tf.tile(tf.one_hot([0], width, 0.0, -math.inf), [batch, 1])  # the K rows are equal at first: only one counts
    nothing, zeros = tf.fill([batch, width], -math.inf), tf.zeros([batch, width], tf.int32)
    complete = (nothing, nothing, zeros, zeros)  # score, log P, tokens before the end, row of the last of them
    tokens = tf.repeat(first[:, None], width, 1)
    state = take(state, tf.repeat(tf.range(batch), width))
    history = tuple(tf.TensorArray(tf.int32, longest, element_shape=[first.shape[0], width]) for _ in range(2))
    start = (tf.constant(0), limits <= 0, tokens, state, live, complete, history)
    shapes = (None, None, None, varying(state), None, (None,) * 4, (None,) * 2)
    more = lambda t, done, *_: ~tf.reduce_all(done)  # noqa: E731
    t, _, _, _, live, complete, history = tf.while_loop(more, body, start, shapes, parallel_iterations=1)

    scores, rows = live / _penalty(limits, length_penalty)[:, None], zeros + tf.range(width)
    still = (scores, live, tf.tile(limits[:, None], [1, width]), rows)
    (scores, log_probabilities, inner, rows), ended = _filled_up(complete, still, results)
    inner = tf.where(scores > -math.inf, inner, 0)
    outputs = _followed(history, t, rows, inner, end, longest)
    return outputs, scores, log_probabilities, inner + tf.cast(ended, tf.int32)


def _continuations(logits, live, batch, width, never):
    """The candidates of the next step: the M most probable tokens of each hypothesis.

    M = K + 1 + len(never) is enough: it includes the best K tokens of a row, and the best K that do not end, even if
    `end` and all tokens of `never` are among the most probable.

    Args:
        logits: (B * K, V).
        live: (B, K) log P of the hypotheses.

    Returns:
        (B, K * M) log P including the token; (B, K * M) tokens; (K * M,) row of each candidate's hypothesis.
    """
    vocabulary = logits.shape[-1] or tf.shape(logits)[-1]
    count = width + 1 + len(never)
    count = min(count, vocabulary) if isinstance(vocabulary, int) else tf.minimum(count, vocabulary)
    values, words = _best(logits, count)
    values, logits = tf.cast(values, tf.float32), tf.cast(logits, tf.float32)
    top = tf.gather(tf.nn.softmax(logits), words[:, :1], batch_dims=1)  # at least 1 / V: its logarithm is accurate
    gains = values - values[:, :1] + tf.math.log(top)
    for token in never:
        values = tf.where(words == token, -math.inf, values)
    # Where no token is possible (below a hypothesis of probability 0) the sum must not be NaN.
    sums = tf.reshape(live, [batch * width, 1]) + tf.where(values > -math.inf, gains, -math.inf)
    return *(tf.reshape(x, [batch, width * count]) for x in (sums, words)), tf.repeat(tf.range(width), count)


def _best(logits, count):
    """tf.math.top_k; for long rows faster: the largest values lie in the `count` blocks with the largest maxima."""
    columns = logits.shape[-1]
    if not isinstance(columns, int) or columns < 4 * count * BLOCKS[0]:
        return tf.math.top_k(logits, count)
    block = next((n for n in BLOCKS if columns % n == 0), BLOCKS[0])
    if columns % block:
        logits = tf.pad(logits, [[0, 0], [0, -columns % block]], constant_values=-math.inf)
    blocks = tf.reshape(logits, [tf.shape(logits)[0], -(-columns // block), block])
    chosen = tf.sort(tf.math.top_k(tf.reduce_max(blocks, -1), count).indices, -1)  # sorted: among equals the first wins
    values, at = tf.math.top_k(tf.reshape(tf.gather(blocks, chosen, batch_dims=1), [-1, count * block]), count)
    return values, tf.gather(chosen, at // block, batch_dims=1) * block + at % block


def _penalty(tokens, alpha):
    return ((5 + tf.cast(tokens, tf.float32)) / 6) ** tf.cast(alpha, tf.float32)


def _merge(old, new):
    """The best K of two tuples of tensors (B, K), by the first tensor of each; among equals the old one wins."""
    both = [tf.concat(pair, 1) for pair in zip(old, new, strict=True)]
    scores, at = tf.math.top_k(both[0], old[0].shape[1])
    return scores, *(tf.gather(x, at, batch_dims=1) for x in both[1:])


def _reordered(state, parents, batch, width):
    if width == 1:
        return state
    rows = tf.reshape(parents + tf.range(batch)[:, None] * width, [batch * width])
    return take(state, rows)


def _filled_up(complete, live, results):
    """(the first R hypotheses, complete ones before live ones; whether each is complete, (B, R))"""
    count, place = tf.reduce_sum(tf.cast(complete[0] > -math.inf, tf.int32), 1, keepdims=True), tf.range(results)
    ended, width = place < count, complete[0].shape[1]
    at = tf.where(ended, place, width + place - count)
    return [tf.gather(tf.concat(pair, 1), at, batch_dims=1) for pair in zip(complete, live, strict=True)], ended


def _followed(history, steps, rows, inner, end, longest):
    """The tokens (B, R, T) of hypotheses, found by following the parents from the last step to the first.

    Args:
        history: arrays of the (B, K) tokens and parents of each of the steps.
        rows: (B, R), row of each hypothesis after its last token.
        inner: (B, R), number of its tokens before `end`.
    """
    tokens, parents = history

    def body(t, rows, outputs):
        inside = t < inner
        outputs = outputs.write(t, tf.where(inside, tf.gather(tokens.read(t), rows, batch_dims=1), end))
        return t - 1, tf.where(inside, tf.gather(parents.read(t), rows, batch_dims=1), rows), outputs

    size = max(longest, 1) if isinstance(longest, int) else tf.maximum(longest, 1)  # an empty array cannot be stacked
    outputs = tf.TensorArray(tf.int32, size, element_shape=rows.shape)
    outputs = outputs.unstack(tf.fill(tf.concat([[size], tf.shape(rows)], 0), end))
    start = (steps - 1, rows, outputs)
    outputs = tf.while_loop(lambda t, *_: t >= 0, body, start, parallel_iterations=1)[2]
    return tf.transpose(outputs.stack()[:longest], [1, 2, 0])


def _check(state, first, length, width, end, length_penalty, results, never):
    if first.shape.rank != 1 or not first.dtype.is_integer:
        raise ValueError(f"beam_search: first must be whole numbers (B,); got {first.dtype.name}{first.shape}.")
    for x in tf.nest.flatten(state):
        if not x.shape[:1].is_compatible_with(first.shape):
            raise ValueError(f"beam_search: state must be tensors (B, ...), B as in first{first.shape}; got {x.shape}.")
    refused_length("beam_search", length, one_each=True)
    lengths = tf.convert_to_tensor(length)
    if not lengths.dtype.is_integer or not (lengths.shape.rank == 0 or lengths.shape.is_compatible_with(first.shape)):
        raise ValueError(
            f"beam_search: length must be whole numbers, one or (B,) as first{first.shape}; "
            f"got {lengths.dtype.name}{lengths.shape}."
        )
    for name, value, most in (("width", width, WIDEST), ("results", results, width)):
        if not isinstance(value, Integral) or isinstance(value, bool) or not 1 <= value <= most:
            limit = f"from 1 to {WIDEST}" if name == "width" else f"from 1 to the width, {width}"
            near = most if isinstance(value, Integral) and value > most else 1
            raise ValueError(f"beam_search: {name} must be a whole number {limit}; got {value!r}. Nearest: {near}.")
    if refused(end, Integral, lambda token: 0 <= token < 2**31):
        raise ValueError(f"beam_search: end must be a token, a whole number of 0 or more; got {end!r}.")
    if any(refused(token, Integral, lambda token: 0 <= token < 2**31) for token in never):
        raise ValueError(f"beam_search: never must be tokens, whole numbers of 0 or more; got {never!r}.")
    if refused(length_penalty, Real, lambda alpha: 0 <= alpha <= STRONGEST):
        near = STRONGEST if isinstance(length_penalty, Real) and length_penalty > STRONGEST else 0.0
        raise ValueError(
            f"beam_search: length_penalty must be a number from 0 to {STRONGEST:g}; got {length_penalty!r}. "
            f"Nearest: {near}."
        )


def _check_logits(logits, batch, width):
    rows = None if batch is None else batch * width
    if not logits.dtype.is_floating or not logits.shape.is_compatible_with([rows, None]):
        raise ValueError(
            f"beam_search: step must return logits (B * {width}, V), floats; got {logits.dtype.name}{logits.shape}."
        )
