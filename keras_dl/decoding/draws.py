"""Draws: how the next input is chosen from a step's logits.

A draw is a function draw(logits, t) without state: its random numbers depend only on (seed, t), so the same seed gives
the same sequence in Python and from an export. (A graph compiled by XLA draws other numbers, of the same distribution.)
Shapes: B sequences, K tokens, D entries of a vector.
"""

import dataclasses
import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import tensorflow as tf

from keras_dl import distributions
from keras_dl.decoding._checks import refused
from keras_dl.distributions import TINY, Categorical

HOTTEST = 1e6  # largest temperature; there all tokens are practically equally likely


@dataclasses.dataclass(frozen=True)
class Greedy:
    """The most probable token; among equals the first. logits (B, K) -> (B,) int32."""

    def __call__(self, logits, t):
        return tf.argmax(logits, -1, output_type=tf.int32)

    def log_probability(self, logits, tokens):
        return token_log_probability(logits, tokens)


@dataclasses.dataclass(frozen=True)
class Sample:
    """A token drawn from softmax(logits / temperature). logits (B, K) -> (B,) int32.

    By the Gumbel-max trick: arg max of logits + temperature * g with g = -log(-log u), u uniform. Temperature 0 is
    exactly the greedy choice. Each row has independent noise.

    top_k and top_p restrict the draw to the most probable tokens (among equals the first): to `top_k` of them (Fan et
    al., arXiv:1805.04833), and to the nucleus, the smallest set whose probability at this temperature reaches `top_p`
    (Holtzman et al., arXiv:1904.09751, section 3.1). With both, to the tokens that are in both sets.

    Args:
        seed: a whole number. All arguments may also be scalar tensors, so that an export can take them as inputs.
        temperature: 0 to HOTTEST.
        top_k: 0, or K or more, for no restriction.
        top_p: in (0, 1], 1 for no restriction; a tensor of 0 or less leaves one token.

    Raises:
        ValueError: a number is out of its range (tensors are not checked).

    >>> logits = tf.math.log([[0.5, 0.3, 0.2]])
    >>> sorted({int(Sample(seed, top_p=0.6)(logits, 0)[0]) for seed in range(50)})  # 0.5 is below 0.6, 0.5 + 0.3 is not
    [0, 1]
    """

    seed: int
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self):
        check_seed("Sample", self.seed)
        check_temperature("Sample", self.temperature)
        if refused(self.top_k, Integral, lambda k: 0 <= k < 2**31):
            raise ValueError(
                f"Sample: top_k must be a whole number from 0 to 2**31 - 1; got {self.top_k!r}. Nearest: 0."
            )
        if refused(self.top_p, Real, lambda p: 0 < p <= 1):
            raise ValueError(f"Sample: top_p must be in (0, 1]; got {self.top_p!r}. Nearest: 1.0.")

    def __call__(self, logits, t):
        categorical = Categorical(logits)
        if _is(self.temperature, 0):
            return categorical.mode()
        logits, noisy = categorical.logits, categorical.perturbed(key(self.seed, t), self.temperature)
        if _is(self.top_k, 0) and _is(self.top_p, 1):
            return tf.argmax(noisy, -1, output_type=tf.int32)
        return self._restricted(logits, noisy)

    def _restricted(self, logits, noisy):
        """The token with the largest `noisy` logit among those that top_k and top_p allow."""
        tokens = logits.shape[-1] or tf.shape(logits)[-1]
        free = _is_free(self.top_k <= 0, self.top_p >= 1)
        if _is(self.top_k, 0):
            k = tokens
        elif isinstance(self.top_k, Integral) and isinstance(tokens, int):
            k = min(self.top_k, tokens)
        else:
            k = tf.where(self.top_k <= 0, tokens, tf.minimum(tf.cast(self.top_k, tf.int32), tokens))
        k = k if free is None else tf.where(free, 1, k)  # no restriction: nothing to sort
        best, indices = tf.math.top_k(logits, k)  # of equals, the first first
        candidates = tf.gather(noisy, indices, batch_dims=1)
        if not _is(self.top_p, 1):
            scale = 1 / tf.maximum(tf.cast(self.temperature, tf.float32), TINY)
            total = tf.reduce_sum(tf.exp((logits - best[:, :1]) * scale), -1, keepdims=True)
            share = tf.exp((best - best[:, :1]) * scale) / total
            before = tf.cumsum(share, -1, exclusive=True)
            top_p = tf.cast(self.top_p, tf.float32)  # if a tensor of 0 masks all tokens, the arg max is the first
            candidates = tf.where((before < top_p) | (top_p >= 1), candidates, -math.inf)
        tokens = tf.gather(indices, tf.argmax(candidates, -1), batch_dims=1)
        return tokens if free is None else tf.where(free, tf.argmax(noisy, -1, output_type=tf.int32), tokens)

    def log_probability(self, logits, tokens):
        return token_log_probability(logits, tokens)


@dataclasses.dataclass(frozen=True)
class SampleFrom:
    """A value drawn from the model's distribution at a temperature. parameters (B, P) -> (B,) int32.

    Args:
        distribution: distribution(parameters) has log_prob(value) and sample(seed, temperature), as PixelModel's and
            WaveNet's.
        seed: a whole number, or a scalar tensor.
        temperature: 0 to HOTTEST, a number or a scalar tensor. At 0 nothing is left to chance: the most probable value,
            or of a mixture of logistic distributions the rounded mean of its most probable component.

    Raises:
        ValueError: a number is out of its range (tensors are not checked).
    """

    distribution: Callable
    seed: Any
    temperature: Any = 1.0

    def __post_init__(self):
        check_seed("SampleFrom", self.seed)
        check_temperature("SampleFrom", self.temperature)

    def __call__(self, parameters, t):
        return self.distribution(parameters).sample(key(self.seed, t), self.temperature)

    def log_probability(self, parameters, values):
        """log p of the values (B,) under the model's own distribution, at temperature 1: (B,)."""
        return self.distribution(parameters).log_prob(values)


@dataclasses.dataclass(frozen=True)
class Bernoulli:
    """Independent entries 0 or 1; 1 has probability sigmoid(logit / temperature). (B, D) -> (B, D) float32.

    1 where logits + temperature * l > 0 with l = log(u / (1 - u)), u uniform. Temperature 0 is the more probable value.

    Raises:
        ValueError: the seed is no whole number of 64 bits, or the temperature not in [0, HOTTEST] (tensors are not
            checked).

    >>> Bernoulli(seed=0, temperature=0.0)(tf.constant([[2.0, -2.0]]), 0).numpy().tolist()
    [[1.0, 0.0]]
    """

    seed: int
    temperature: float = 1.0

    def __post_init__(self):
        check_seed("Bernoulli", self.seed)
        check_temperature("Bernoulli", self.temperature)

    def __call__(self, logits, t):
        bernoulli = distributions.Bernoulli(logits)
        if _is(self.temperature, 0):
            return bernoulli.mode()
        return bernoulli.sample(key(self.seed, t), self.temperature)

    def log_probability(self, logits, vectors):
        """Log-probability of vectors (B, D), summed over the entries: (B,)."""
        return tf.reduce_sum(distributions.Bernoulli(logits).log_prob(vectors), -1)


def token_log_probability(logits, tokens):
    """log softmax(logits)[token], logits (B, K), tokens (B,): (B,)."""
    return Categorical(logits).log_prob(tokens)


def key(seed, t):
    """The seed of step t."""
    return tf.stack([tf.cast(seed, tf.int64), tf.cast(t, tf.int64)])


def in_range(seed):
    """A seed of 32 bits, for a graph's input: `seed` itself, and what is counted on beyond the largest begins anew.

    >>> in_range(7), in_range(-7), in_range(2**31 - 1), in_range(2**31)
    (7, -7, 2147483647, -2147483648)
    """
    return (int(seed) + 2**31) % 2**32 - 2**31


def _is(value, number):
    """Whether `value` is a Python number equal to `number` (not a tensor), so that the graph can leave out a branch."""
    return isinstance(value, Real) and value == number


def _is_free(*conditions):
    """Whether all conditions hold, a scalar bool tensor; None if one is a Python False: the draw is restricted."""
    if any(not tf.is_tensor(condition) and not condition for condition in conditions):
        return None
    return tf.reduce_all(tf.stack([tf.cast(c, tf.bool) for c in conditions]))


def check_seed(who, seed):
    if refused(seed, Integral, lambda s: -(2**63) <= s < 2**63):
        raise ValueError(f"{who}: seed must be a whole number of 64 bits; got {seed!r}. Nearest: 0.")


def check_temperature(who, temperature):
    if refused(temperature, Real, lambda t: 0 <= t <= HOTTEST):
        raise ValueError(
            f"{who}: temperature must be a number from 0 to {HOTTEST:,.0f}; got {temperature!r}. Nearest: 1.0."
        )
