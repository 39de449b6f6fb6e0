"""Sequences from a model of the next step: one loop inside the graph, over any step function.

A draw says what follows a step's logits. It is a function draw(logits, t) of nothing but its arguments: its random
numbers are keyed by (seed, t), so the same seed gives the same sequence in Python and from an export. (A graph that XLA
compiles draws other numbers, of the same distribution.)
Shapes: B sequences, T steps, K tokens, D entries of a vector.
"""

import dataclasses
import math
from numbers import Integral, Real

import numpy as np
import tensorflow as tf

TINY = float(np.finfo("float32").tiny)  # the smallest normal float32: no logarithm of zero


def generate(step, state, first, length, draw, *, end=None):
    """Run a model on its own draws.

    Args:
        step: step(inputs, state) -> (logits, state): logits (B, K) of the next token, or (B, D) of the next vector.
        state: any nest of tensors (B, ...); `step` keeps its shapes and dtypes.
        first: inputs of the first step, (B,) int32 tokens or (B, D) float vectors.
        length: T, a number or a scalar tensor; each of the T steps makes one output.
        draw: draw(logits, t) -> the next inputs, as `first` is; t the step's number from 0, a scalar int32 tensor. One
            of this file, or a function; a function that draws vectors needs an attribute log_probability.
        end: a token after which a sequence is filled with `end`; when all have ended, no more steps are taken.

    Returns:
        outputs (B, T) or (B, T, D), what was drawn at each step;
        log-probabilities (B, T) float32 in nats, which the model's own distribution gives to what was drawn, whatever
        the temperature and the restriction of the draw; 0 behind an end;
        the state after the last step taken (a sequence that has ended is stepped on as long as another has not).

    Raises:
        ValueError: a length below 1, an end for vectors, or a draw or state that is not like the first one.

    >>> count = lambda tokens, state: (tf.one_hot((tokens + 1) % 5, 5), state)
    >>> generate(count, (), tf.constant([0, 2]), 4, Greedy(), end=4)[0].numpy().tolist()
    [[1, 2, 3, 4], [3, 4, 4, 4]]
    """
    first, state = tf.convert_to_tensor(first), tf.nest.map_structure(tf.convert_to_tensor, state)
    _check(first, length, draw, end)
    log_probability = getattr(draw, "log_probability", _token_log_probability)
    size = length if isinstance(length, Integral) else tf.maximum(length, 1)  # an array of no step cannot be stacked

    def more(t, inputs, state, ended, *_):
        return t < length if end is None else (t < length) & ~tf.reduce_all(ended)

    def body(t, inputs, state, ended, outputs, scores):
        logits, new_state = step(inputs, state)
        drawn = draw(logits, t)
        _same("draw", inputs, drawn)
        _same("step", state, new_state)
        score = log_probability(logits, drawn)
        if end is not None:
            drawn, score = tf.where(ended, tf.cast(end, drawn.dtype), drawn), tf.where(ended, 0.0, score)
            ended = drawn == tf.cast(end, drawn.dtype)  # and what had ended draws the end for ever
        return t + 1, drawn, new_state, ended, outputs.write(t, drawn), scores.write(t, score)

    ended = tf.zeros_like(first, tf.bool) if end is not None else ()
    blank = tf.fill(tf.concat([[size], tf.shape(first)], 0), tf.cast(0 if end is None else end, first.dtype))
    outputs = tf.TensorArray(first.dtype, size, element_shape=first.shape).unstack(blank)
    scores = tf.TensorArray(tf.float32, size, element_shape=first.shape[:1])
    scores = scores.unstack(tf.zeros([size, tf.shape(first)[0]]))
    start = (tf.constant(0), first, state, ended, outputs, scores)
    _, _, state, _, outputs, scores = tf.while_loop(more, body, start, parallel_iterations=1)
    return _batch_first(outputs, length), _batch_first(scores, length), state


@dataclasses.dataclass(frozen=True)
class Greedy:
    """The most probable token; of equals the first. logits (B, K) -> (B,) int32."""

    def __call__(self, logits, t):
        return tf.argmax(logits, -1, output_type=tf.int32)

    def log_probability(self, logits, drawn):
        return _token_log_probability(logits, drawn)


@dataclasses.dataclass(frozen=True)
class Sample:
    """A token drawn from softmax(logits / temperature). logits (B, K) -> (B,) int32.

    By the Gumbel-max trick: arg max of logits + temperature * g with g = -log(-log u), u uniform. Temperature 0 is the
    greedy choice, exactly. Each row has noise of its own.

    top_k and top_p restrict the draw to the most probable tokens, of equals the first: to `top_k` of them (Fan et al.,
    arXiv:1805.04833), and to the nucleus, the fewest whose probability at this temperature reaches `top_p` (Holtzman et
    al., arXiv:1904.09751, section 3.1). With both, to the tokens that are in both.

    Args:
        seed: a whole number. It and the others may be scalar tensors too: an export can be asked for any.
        temperature: 0 or more.
        top_k: 0 for no restriction.
        top_p: in (0, 1], 1 for no restriction; a tensor of 0 or less leaves one token.

    Raises:
        ValueError: a number out of its range (a tensor is not looked at).

    >>> logits = tf.math.log([[0.5, 0.3, 0.2]])
    >>> sorted({int(Sample(seed, top_p=0.6)(logits, 0)[0]) for seed in range(50)})  # 0.5 is below 0.6, 0.5 + 0.3 not
    [0, 1]
    """

    seed: int
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self):
        _check_seed("Sample", self.seed)
        _check_temperature("Sample", self.temperature)
        if _refused(self.top_k, Integral, lambda k: k >= 0):
            raise ValueError(f"Sample: top_k must be a whole number, 0 or more; got {self.top_k!r}. Nearest: 0.")
        if _refused(self.top_p, Real, lambda p: 0 < p <= 1):
            raise ValueError(f"Sample: top_p must be in (0, 1]; got {self.top_p!r}. Nearest: 1.0.")

    def __call__(self, logits, t):
        logits = tf.cast(logits, tf.float32)
        if _is(self.temperature, 0):
            return tf.argmax(logits, -1, output_type=tf.int32)
        gumbel = -tf.math.log(-tf.math.log(_uniform(self.seed, t, logits)))
        noisy = logits + tf.cast(self.temperature, tf.float32) * gumbel
        if _is(self.top_k, 0) and _is(self.top_p, 1):
            return tf.argmax(noisy, -1, output_type=tf.int32)
        return self._restricted(logits, noisy)

    def _restricted(self, logits, noisy):
        """The token of the largest `noisy` among those that top_k and top_p leave."""
        tokens = logits.shape[-1] or tf.shape(logits)[-1]
        free = _is_free(self.top_k <= 0, self.top_p >= 1)
        if _is(self.top_k, 0):
            k = tokens
        elif isinstance(self.top_k, Integral) and isinstance(tokens, int):
            k = min(self.top_k, tokens)
        else:
            k = tf.where(self.top_k <= 0, tokens, tf.minimum(tf.cast(self.top_k, tf.int32), tokens))
        k = k if free is None else tf.where(free, 1, k)  # nothing to sort
        best, indices = tf.math.top_k(logits, k)  # of equals, the first first
        candidates = tf.gather(noisy, indices, batch_dims=1)
        if not _is(self.top_p, 1):
            scale = 1 / tf.maximum(tf.cast(self.temperature, tf.float32), TINY)
            total = tf.reduce_sum(tf.exp((logits - best[:, :1]) * scale), -1, keepdims=True)
            share = tf.exp((best - best[:, :1]) * scale) / total
            before = tf.cumsum(share, -1, exclusive=True)
            top_p = tf.cast(self.top_p, tf.float32)  # a tensor of 0 leaves none, of which the arg max is the first
            candidates = tf.where((before < top_p) | (top_p >= 1), candidates, -math.inf)
        drawn = tf.gather(indices, tf.argmax(candidates, -1), batch_dims=1)
        return drawn if free is None else tf.where(free, tf.argmax(noisy, -1, output_type=tf.int32), drawn)

    def log_probability(self, logits, drawn):
        return _token_log_probability(logits, drawn)


@dataclasses.dataclass(frozen=True)
class Bernoulli:
    """Entries 0 or 1, each on its own, 1 with probability sigmoid(logit / temperature). (B, D) -> (B, D) float32.

    1 where logits + temperature * l > 0 with l = log(u / (1 - u)), u uniform. Temperature 0 is the more probable value.

    Raises:
        ValueError: a seed that is no whole number, or a negative temperature (tensors are not looked at).

    >>> Bernoulli(seed=0, temperature=0.0)(tf.constant([[2.0, -2.0]]), 0).numpy().tolist()
    [[1.0, 0.0]]
    """

    seed: int
    temperature: float = 1.0

    def __post_init__(self):
        _check_seed("Bernoulli", self.seed)
        _check_temperature("Bernoulli", self.temperature)

    def __call__(self, logits, t):
        logits = tf.cast(logits, tf.float32)
        if not _is(self.temperature, 0):
            u = _uniform(self.seed, t, logits)
            logits += tf.cast(self.temperature, tf.float32) * (tf.math.log(u) - tf.math.log1p(-u))
        return tf.cast(logits > 0, tf.float32)

    def log_probability(self, logits, drawn):
        """The sum over the entries: (B,)."""
        logits, drawn = tf.cast(logits, tf.float32), tf.cast(drawn, tf.float32)
        return -tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(drawn, logits), -1)


def _token_log_probability(logits, drawn):
    """log softmax(logits) at the drawn tokens: (B,)."""
    logits = tf.cast(logits, tf.float32)
    logits -= tf.reduce_max(logits, -1, keepdims=True)
    return tf.gather(logits, drawn, batch_dims=1) - tf.math.log(tf.reduce_sum(tf.exp(logits), -1))


def _uniform(seed, t, like):
    """Uniform in (0, 1), in the shape of `like`; one algorithm on every device."""
    key = tf.stack([tf.cast(seed, tf.int64), tf.cast(t, tf.int64)])
    return tf.random.stateless_uniform(tf.shape(like), key, minval=TINY, maxval=1.0, alg="philox")


def _batch_first(array, length):
    stacked = array.stack()[:length]
    return tf.transpose(stacked, [1, 0, *range(2, stacked.shape.rank)])


def _is(value, number):
    """Whether it is that number, and no tensor: what it rules out is then left out of the graph."""
    return isinstance(value, Real) and value == number


def _is_free(*conditions):
    """None if Python knows that there is a restriction, else a scalar bool tensor: all conditions."""
    if any(not tf.is_tensor(condition) and not condition for condition in conditions):
        return None
    return tf.reduce_all(tf.stack([tf.cast(c, tf.bool) for c in conditions]))


def _same(who, old, new):
    """Refuse what is not like its last; hand static shapes on."""
    try:
        tf.nest.assert_same_structure(old, new)
        fits = all(
            a.dtype == b.dtype and a.shape.is_compatible_with(b.shape)
            for a, b in zip(tf.nest.flatten(old), tf.nest.flatten(new), strict=True)
        )
    except (TypeError, ValueError):
        fits = False
    if not fits:
        what = "the next inputs in the shape and dtype of `first`" if who == "draw" else "a state as it got it"
        show = tf.nest.map_structure(lambda x: f"{x.dtype.name}{x.shape}", (old, new))
        raise ValueError(f"generate: {who} must return {what}, {show[0]}; got {show[1]}.")
    for a, b in zip(tf.nest.flatten(old), tf.nest.flatten(new), strict=True):
        b.set_shape(a.shape)


def _check(first, length, draw, end):
    if first.shape.rank not in (1, 2) or first.dtype.is_integer != (first.shape.rank == 1):
        raise ValueError(
            f"generate: first must be whole numbers (B,) or floats (B, D); got {first.dtype.name}{first.shape}."
        )
    if _refused(length, Integral, lambda n: n >= 1):
        raise ValueError(f"generate: length must be a whole number of at least 1; got {length!r}. Nearest: 1.")
    if first.shape.rank == 2 and end is not None:
        raise ValueError(f"generate: end must be None for vectors, which have no token; got {end!r}.")
    if first.shape.rank == 2 and not hasattr(draw, "log_probability"):
        raise ValueError(
            f"generate: a draw of vectors must have log_probability(logits, drawn), as Bernoulli has; got {draw!r}."
        )


def _refused(value, kind, fits):
    """A number (a string, None, a bool) that does not fit; a tensor is not looked at."""
    if isinstance(value, kind) and not isinstance(value, bool):
        return not fits(value)
    return not (tf.is_tensor(value) or isinstance(value, (np.ndarray, tf.Variable)))


def _check_seed(who, seed):
    if _refused(seed, Integral, lambda s: -(2**63) <= s < 2**63):
        raise ValueError(f"{who}: seed must be a whole number of 64 bits; got {seed!r}. Nearest: 0.")


def _check_temperature(who, temperature):
    if _refused(temperature, Real, lambda t: 0 <= t < math.inf):
        raise ValueError(f"{who}: temperature must be a number, 0 or more; got {temperature!r}. Nearest: 1.0.")
