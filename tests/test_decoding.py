"""Laws of decoding: the loop is a Python loop, the draws are the distributions that they say."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from keras_dl.decoding import Bernoulli, Greedy, Sample, generate, generation

K, D, H = 7, 5, 6


class Network(tf.Module):
    """One step of a small tanh network; state (h, number of steps), so a nest of two dtypes."""

    def __init__(self, inputs, outputs):
        super().__init__()
        rng = np.random.default_rng(0)
        shapes = ((inputs, H), (H, H), (H, outputs))
        self.u, self.w, self.v = (tf.Variable(rng.normal(size=s).astype("float32")) for s in shapes)

    def step(self, inputs, state):
        x = tf.gather(self.u, inputs) if inputs.dtype == tf.int32 else inputs @ self.u
        h = tf.tanh(x + state["h"] @ self.w)
        return 2 * h @ self.v, {"h": h, "steps": state["steps"] + 1}

    @staticmethod
    def start(batch):
        return {"h": tf.zeros([batch, H]), "steps": tf.zeros([batch], tf.int32)}


def python_loop(network, first, length, draw):
    """(outputs, log-probabilities, state) without end, one step after the other, the distribution in NumPy."""
    x, state, outputs, scores = tf.constant(first), network.start(len(first)), [], []
    for t in range(length):
        logits, state = network.step(x, state)
        x = draw(logits, tf.constant(t))
        z, y = np.asarray(logits, "float64"), np.asarray(x)
        if y.ndim == 1:
            scores.append(z[np.arange(len(y)), y] - np.log(np.exp(z).sum(-1)))
        else:
            p = 1 / (1 + np.exp(-z))
            scores.append(np.log(np.where(y == 1, p, 1 - p)).sum(-1))
        outputs.append(y)
    return np.stack(outputs, 1), np.stack(scores, 1), state


TOKEN_DRAWS = [Greedy(), Sample(3), Sample(3, 0.5), Sample(3, 2.0, top_k=3), Sample(3, 0.7, top_p=0.8)]
CASES = [
    *((np.array([0, 3, 6, 1], "int32"), draw) for draw in TOKEN_DRAWS),
    (np.eye(4, D, dtype="float32"), Bernoulli(3)),
]


@pytest.mark.parametrize(("first", "draw"), CASES, ids=lambda x: str(x) if callable(x) else "")
def test_generate_is_a_python_loop(first, draw):
    network = Network(K, K) if first.ndim == 1 else Network(D, D)
    outputs, scores, state = python_loop(network, first, 12, draw)
    traced = tf.function(lambda n: generate(network.step, network.start(4), first, n, draw))
    for run in (generate(network.step, network.start(4), first, 12, draw), traced(12), traced(tf.constant(12))):
        np.testing.assert_array_equal(run[0], outputs)
        np.testing.assert_allclose(run[1], scores, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(run[2]["h"], state["h"], rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(run[2]["steps"], [12] * 4)
        assert (run[0].dtype, run[1].dtype) == (first.dtype, tf.float32)
    assert len(np.unique(outputs)) > 1 and len(np.unique(outputs.reshape(4, -1), axis=0)) > 1


def test_a_plain_function_draws_tokens():
    """Scheduled sampling: what the function returns is what comes in next."""
    network, forced = Network(K, K), np.random.default_rng(0).integers(0, K, (2, 5)).astype("int32")
    run = generate(network.step, network.start(2), forced[:, 0], 4, lambda logits, t: tf.constant(forced)[:, t + 1])
    outputs, scores, _ = python_loop(network, forced[:, 0], 4, lambda logits, t: tf.constant(forced)[:, int(t) + 1])
    np.testing.assert_array_equal(run[0], forced[:, 1:])
    np.testing.assert_allclose(run[1], scores, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("traced", [False, True])
def test_behind_an_end_there_is_only_the_end(traced):
    network, first, end = Network(K, K), np.arange(4, dtype="int32"), 2
    free, scores, _ = python_loop(network, first, 20, Sample(1, 2.0))
    ends = [int(np.flatnonzero(row == end)[0]) if end in row else 20 for row in free]
    assert len(set(ends)) > 1 and max(ends) < 19  # some end early, and all before the last step
    signature = (tf.TensorSpec([None], tf.int32), tf.TensorSpec([], tf.int32))
    call = lambda first, n: generate(  # noqa: E731
        network.step, network.start(tf.shape(first)[0]), first, n, Sample(1, 2.0), end=end
    )
    outputs, got, state = (tf.function(call, signature) if traced else call)(tf.constant(first), tf.constant(20))
    after = np.arange(20) > np.array(ends)[:, None]
    np.testing.assert_array_equal(outputs, np.where(after, end, free))
    np.testing.assert_allclose(got, np.where(after, 0, scores), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(state["steps"], [max(ends) + 1] * 4)  # no step when all have ended


def test_no_steps_give_no_outputs():
    network = Network(K, K)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32), tf.TensorSpec([], tf.int32)])
    def run(first, length):
        return generate(network.step, network.start(tf.shape(first)[0]), first, length, Sample(1))

    outputs, scores, state = run(tf.constant([1, 2]), tf.constant(0))
    assert outputs.shape == scores.shape == (2, 0) and not state["steps"].numpy().any()


def test_a_step_may_forget_its_static_shapes():
    """As a reloaded SavedModel's step does."""
    network = Network(K, K)

    def step(inputs, state):
        logits, state = network.step(inputs, state)
        return logits, tf.nest.map_structure(lambda x: tf.raw_ops.PlaceholderWithDefault(input=x, shape=None), state)

    run = tf.function(lambda first: generate(step, network.start(2), first, 5, Sample(1))[0])(tf.constant([1, 2]))
    np.testing.assert_array_equal(run, generate(network.step, network.start(2), [1, 2], 5, Sample(1))[0])


def some_logits(rows=200, k=K, scale=2.0):
    return np.random.default_rng(1).normal(scale=scale, size=(rows, k)).astype("float32")


def test_temperature_0_and_top_k_1_are_greedy():
    logits = some_logits()
    logits[0], logits[1, 2:] = 0.0, logits[1].max()  # equals: the first
    logits[2, 1:] = -np.inf
    expected = logits.argmax(-1)
    zero, one = tf.constant(0.0), tf.constant(1)
    for draw in (
        Greedy(), Sample(5, 0.0), Sample(5, zero), Sample(5, top_k=1), Sample(5, top_k=one), Sample(5, top_p=1e-6),
        Sample(5, zero, tf.constant(3), tf.constant(0.5)), Sample(5, zero, 3, 0.5), Sample(5, top_p=tf.constant(0.0)),
        Sample(tf.constant(5), zero),
    ):  # fmt: skip
        np.testing.assert_array_equal(draw(logits, 0), expected, err_msg=str(draw))
    np.testing.assert_array_equal(Sample(5, 1e-30)(logits, 0)[2:], expected[2:])  # of equals, any
    for temperature in (0.0, zero):
        np.testing.assert_array_equal(Bernoulli(5, temperature)(logits, 0), logits > 0)


def test_the_ends_of_the_uniform_numbers_break_nothing(monkeypatch):
    """The smallest number gives no infinite noise, which times temperature 0 were NaN; the largest one is 1 - 2^-24."""
    logits = some_logits()
    monkeypatch.setattr(tf.random, "stateless_uniform", lambda shape, key, minval=0.0, **kwargs: tf.fill(shape, minval))
    np.testing.assert_array_equal(Sample(5, tf.constant(0.0))(logits, 0), logits.argmax(-1))
    np.testing.assert_array_equal(Bernoulli(5, tf.constant(0.0))(logits, 0), logits > 0)
    # Token 1 wins by its noise. Its probability is lost in float32 beside the first's, but top_p = 1 restricts nothing.
    u = tf.constant([[np.finfo("float32").tiny, 1 - 2**-24, 0.5]])
    monkeypatch.setattr(tf.random, "stateless_uniform", lambda *args, **kwargs: u)
    for top_k, top_p in ((0, 1.0), (2, 1.0), (tf.constant(2), tf.constant(1.0)), (2, tf.constant(1.0))):
        assert Sample(5, 1.0, top_k, top_p)(np.array([[18.0, 0.0, -1.0]], "float32"), 0) == 1


def fits(drawn, p):
    """Chi-square test of draws against probabilities."""
    counts = np.bincount(drawn, minlength=len(p))
    assert counts[p == 0].sum() == 0
    return stats.chisquare(counts[p > 0], len(drawn) * p[p > 0]).pvalue > 1e-3


def softmax(z, temperature=1.0):
    e = np.exp((np.asarray(z, "float64") - np.max(z, -1, keepdims=True)) / temperature)
    return e / e.sum(-1, keepdims=True)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
@pytest.mark.parametrize("tensor", [False, True])
def test_frequencies_are_the_softmax_at_the_temperature(temperature, tensor):
    logits = np.array([1.0, 0.0, -1.0, 2.0, 0.5, 0.5, -3.0], "float32")
    draw = Sample(11, tf.constant(temperature) if tensor else temperature)
    over_rows = np.asarray(draw(np.tile(logits, (20_000, 1)), 0))
    assert fits(over_rows, softmax(logits, temperature))
    by_step = tf.function(lambda n: tf.map_fn(lambda t: draw(logits[None], t)[0], tf.range(n)))
    by_seed = tf.function(lambda n: tf.map_fn(lambda s: Sample(s, draw.temperature)(logits[None], 0)[0], tf.range(n)))
    assert fits(np.asarray(by_step(4000)), softmax(logits, temperature))
    assert fits(np.asarray(by_seed(4000)), softmax(logits, temperature))


def test_steps_and_seeds_draw_independently():
    logits = np.zeros((20_000, 4), "float32")
    a, b, c = (np.asarray(Sample(seed)(logits, t)) for seed, t in ((1, 0), (1, 1), (2, 0)))
    for x, y in ((a, b), (a, c), (b, c), (a[:-1], a[1:])):
        assert stats.chi2_contingency(np.histogram2d(x, y, 4)[0]).pvalue > 1e-3


def kept(logits, temperature, top_k, top_p):
    """The set of tokens that a restricted draw may give: (rows, K) of bool."""
    order = np.argsort(-logits, axis=-1, kind="stable")
    p = np.take_along_axis(softmax(logits, temperature), order, -1)
    ranks = np.arange(logits.shape[-1])
    before = np.cumsum(p, -1) - p
    allowed = (ranks < (top_k or logits.shape[-1])) & ((before < top_p) | (top_p >= 1) | (ranks == 0))
    result = np.zeros_like(allowed)
    np.put_along_axis(result, order, allowed, -1)
    return result


RESTRICTIONS = [
    (1.0, 3, 1.0),
    (1.0, 100, 1.0),
    (1.0, 0, 0.7),
    (0.5, 0, 0.9),
    (2.0, 0, 0.9),
    (1.5, 4, 0.8),
    (1.5, 2, 0.95),
]


@pytest.mark.parametrize("tensors", [False, True])
@pytest.mark.parametrize("restriction", RESTRICTIONS)
def test_a_restricted_draw_gives_just_the_tokens_of_its_set(restriction, tensors):
    logits = some_logits(6)
    logits[0, :4] = logits[0].max()  # equals, of which the first count
    allowed = kept(logits, *restriction)
    arguments = [tf.constant(x) for x in restriction] if tensors else restriction
    repeated = np.repeat(logits, 5000, 0)
    drawn = np.asarray(Sample(2, *arguments)(repeated, 0)).reshape(6, 5000)
    for row in range(6):
        p = np.where(allowed[row], softmax(logits[row], restriction[0]), 0)
        assert fits(drawn[row], p / p.sum())
    # Among its set, a restricted draw is what the free draw would have been.
    free = np.asarray(Sample(2, restriction[0])(repeated, 0)).reshape(6, 5000)
    inside = np.take_along_axis(allowed, free, 1)
    np.testing.assert_array_equal(drawn[inside], free[inside])
    assert inside.any() and (not inside.all() or restriction[1] == 100)


def test_the_set_is_exact_for_many_rows():
    """With noise that outweighs the logits every token of the set comes up; none outside ever does."""
    logits = some_logits(40, 12)
    for top_k, top_p in ((5, 1.0), (0, 0.8), (4, 0.6)):
        seen = np.zeros((40, 12), bool)
        for t in range(400):
            seen[np.arange(40), Sample(0, 6.0, top_k, top_p)(logits, t)] = True
        np.testing.assert_array_equal(seen, kept(logits, 6.0, top_k, top_p))


def test_tensors_restrict_as_numbers_do():
    logits = some_logits()
    for temperature, top_k, top_p in [*RESTRICTIONS, (1.0, 0, 1.0), (0.5, 0, 1.0)]:
        numbers = Sample(4, temperature, top_k, top_p)(logits, 3)
        for dtype in (tf.int32, tf.int64):
            tensors = Sample(
                tf.constant(4, dtype), tf.constant(temperature), tf.constant(top_k, dtype), tf.constant(top_p)
            )
            np.testing.assert_array_equal(tensors(logits, tf.constant(3)), numbers)
        np.testing.assert_array_equal(Sample(4, temperature, tf.constant(top_k), top_p)(logits, 3), numbers)
        np.testing.assert_array_equal(Sample(4, temperature, top_k, tf.constant(top_p))(logits, 3), numbers)


ALL_DRAWS = [
    *TOKEN_DRAWS,
    Sample(3, tf.constant(0.8), tf.constant(4), tf.constant(0.9)),
    Bernoulli(3),
    Bernoulli(3, 2.0),
]


@pytest.mark.parametrize("draw", ALL_DRAWS, ids=str)
def test_a_row_depends_on_no_other_row(draw):
    logits, others = some_logits(), -3 * some_logits()
    others[50] = logits[50]
    others[51:] = np.inf if isinstance(draw, Bernoulli) else 1e30
    a, b = draw(logits, 2), draw(others, 2)
    np.testing.assert_array_equal(a[50], b[50])
    np.testing.assert_allclose(draw.log_probability(logits, a)[50], draw.log_probability(others, b)[50], rtol=1e-6)


@pytest.mark.parametrize("kind", [Sample, Bernoulli])
def test_seed_and_step_are_the_draw(kind):
    logits = some_logits()
    drawn = np.asarray(kind(1)(logits, 0))
    np.testing.assert_array_equal(kind(1)(logits, 0), drawn)
    np.testing.assert_array_equal(kind(tf.constant(1))(tf.constant(logits), tf.constant(0)), drawn)
    for other in (kind(2)(logits, 0), kind(1)(logits, 1), kind(-1)(logits, 0), kind(2**40)(logits, 0)):
        assert np.any(np.asarray(other) != drawn)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_bernoulli_frequencies(temperature):
    logits = np.array([-4.0, -1.0, 0.0, 0.5, 3.0], "float32")
    p = 1 / (1 + np.exp(-logits.astype("float64") / temperature))
    for t in (temperature, tf.constant(temperature)):
        ones = np.asarray(Bernoulli(7, t)(np.tile(logits, (20_000, 1)), 0)).sum(0)
        assert all(stats.binomtest(int(n), 20_000, q).pvalue > 1e-3 for n, q in zip(ones, p, strict=True))
    a, b = np.asarray(Bernoulli(7)(np.zeros((20_000, 2), "float32"), 0)).T
    assert stats.chi2_contingency(np.histogram2d(a, b, 2)[0]).pvalue > 1e-3


def test_log_probabilities_are_the_model_s_own():
    logits = some_logits()
    tokens = np.random.default_rng(2).integers(0, K, 200)
    expected = np.log(softmax(logits))[np.arange(200), tokens]
    for draw in (Greedy(), Sample(1), Sample(1, 3.0, 2, 0.5)):
        np.testing.assert_allclose(draw.log_probability(logits, tokens), expected, rtol=1e-5, atol=1e-6)
    bits = np.random.default_rng(2).integers(0, 2, (200, K)).astype("float32")
    p = 1 / (1 + np.exp(-logits.astype("float64")))
    expected = np.log(np.where(bits == 1, p, 1 - p)).sum(-1)
    np.testing.assert_allclose(Bernoulli(1, 3.0).log_probability(logits, bits), expected, rtol=1e-5)
    large = np.array([[1000.0, -1000.0, 0.0]], "float32")  # no overflow
    np.testing.assert_allclose(Sample(1).log_probability(large, [2]), [-1000.0])
    np.testing.assert_allclose(Bernoulli(1).log_probability(large, [[0.0, 0.0, 1.0]]), [-1000 - np.log(2)])
    half = Sample(1).log_probability(logits.astype("float16"), tokens)
    assert half.dtype == tf.float32 and Sample(1)(logits.astype("float16"), 0).dtype == tf.int32


@pytest.mark.parametrize("kind", ["tokens", "vectors"])
def test_an_export_draws_what_python_draws(kind, tmp_path):
    tokens = kind == "tokens"
    module = Network(K, K) if tokens else Network(D, D)
    dtypes = {"length": "int32", "seed": "int32", "temperature": "float32", "top_k": "int32", "top_p": "float32"}
    scalars = [tf.TensorSpec([], dtype, name) for name, dtype in dtypes.items()]
    first = tf.TensorSpec([None], tf.int32) if tokens else tf.TensorSpec([None, D])

    def run(first, length, seed, temperature, top_k, top_p):
        draw = Sample(seed, temperature, top_k, top_p) if tokens else Bernoulli(seed, temperature)
        outputs, scores, _ = generate(
            module.step, module.start(tf.shape(first)[0]), first, length, draw, end=2 if tokens else None
        )
        return outputs, scores

    module.run = tf.function(run, input_signature=[first, *scalars])
    tf.saved_model.save(module, tmp_path)
    loaded = tf.saved_model.load(tmp_path)
    for batch, length in ((1, 9), (4, 25)):
        start = tf.range(batch) % K if tokens else tf.eye(batch, D)
        for seed, temperature, top_k, top_p in ((1, 1.0, 0, 1.0), (2, 0.5, 3, 0.9), (3, 0.0, 0, 0.5)):
            numbers = generate(
                module.step, module.start(batch), start, length,
                Sample(seed, temperature, top_k, top_p) if tokens else Bernoulli(seed, temperature),
                end=2 if tokens else None,
            )  # fmt: skip
            scalars = [tf.constant(x) for x in (length, seed, temperature, top_k, top_p)]
            for call in (run, module.run, loaded.run):
                outputs, scores = call(start, *scalars)
                np.testing.assert_array_equal(outputs, numbers[0])
                np.testing.assert_allclose(scores, numbers[1], rtol=1e-4, atol=1e-4)
                assert outputs.shape[:2] == scores.shape == (batch, length)


def test_who_listens_hears_how_far_it_is_and_what_nobody_listens_to_has_no_python():
    def count(tokens, state):
        return tf.one_hot((tokens + 1) % 5, 5), state

    def traced():
        return tf.function(lambda length: generate(count, (), tf.constant([0, 2]), length, Greedy())[0])

    length, steps = tf.constant(100), []
    plain, loud = traced(), traced()
    wanted = plain(length)
    with generation.heard(lambda t, total: steps.append((t, total))):
        np.testing.assert_array_equal(loud(length), wanted)
        assert steps == [(32, 100), (64, 100), (96, 100)]
        plain(length)  # was traced when nobody listened
    loud(length)
    assert len(steps) == 3
    for function, wanted in ((plain, False), (loud, True)):
        graph = function.get_concrete_function(length).graph.as_graph_def()
        assert (b"PyFunc" in graph.SerializeToString()) == wanted


def test_the_loop_compiles():
    """XLA has random numbers of its own: its draws are others, of the same distribution."""
    network, first = Network(K, K), tf.constant([0, 1, 3, 4])

    @tf.function(jit_compile=True)
    def run(first, temperature, seed):
        return generate(network.step, network.start(4), first, 20, Sample(seed, temperature, 3, 0.9), end=2)[:2]

    for got, expected in zip(
        run(first, 0.0, 1), generate(network.step, network.start(4), first, 20, Greedy(), end=2), strict=False
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    a, again, other = (run(first, tf.constant(2.0), tf.constant(seed))[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, again)
    assert np.any(a != other)

    logits = np.tile(some_logits(1), (20_000, 1))
    drawn = tf.function(Sample(1, 1.5, 5, 0.9), jit_compile=True)(logits, 0)
    p = np.where(kept(logits[:1], 1.5, 5, 0.9), softmax(logits[:1], 1.5), 0)[0]
    assert fits(np.asarray(drawn), p / p.sum())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"length": 0}, "length must be a whole number from 1 to 16,777,216; got 0. Nearest: 1."),
        ({"length": 2.5}, "length must be"),
        ({"length": 2**24 + 1}, "length must be a whole number from 1 to 16,777,216; got 16777217. Nearest: 16777216."),
        ({"length": float("nan")}, "length must be"),
        ({"length": np.array(0)}, "length must be"),
        ({"end": -1}, "end must be a token"),
        ({"end": 2**31}, "end must be a token"),
        ({"first": np.zeros((2, 2, 2), "float32")}, "first must be"),
        ({"first": np.zeros(2, "float32")}, "first must be"),
        ({"first": np.zeros((2, K), "float32"), "end": 1, "draw": Bernoulli(0)}, "end must be None"),
        ({"first": np.zeros((2, K), "float32"), "draw": lambda logits, t: logits}, "log_probability"),
        ({"draw": lambda logits, t: logits}, "draw must return the next inputs"),
        ({"draw": lambda logits, t: tf.argmax(logits, -1)}, "got int64"),
        ({"step": lambda x, s: (tf.zeros([2, K]), (s, s))}, "step must return a state like the given one"),
        ({"step": lambda x, s: (tf.zeros([2, K]), {**s, "steps": tf.zeros([2])})}, "step must return a state"),
    ],
)
def test_generate_refuses(arguments, says):
    network = Network(K, K)
    given = {"step": network.step, "state": network.start(2), "first": np.zeros(2, "int32"), "length": 3}
    for wrap in (lambda f: f, tf.function):
        with pytest.raises(ValueError, match=says) as error:
            wrap(lambda: generate(**{**given, "draw": Greedy(), **arguments}))()
        assert "generate: " in str(error.value)


@pytest.mark.parametrize(
    ("kind", "arguments", "says"),
    [
        (Sample, {"seed": 0.5}, "Sample: seed must be a whole number of 64 bits; got 0.5"),
        (Sample, {"seed": None}, "Sample: seed"),
        (Sample, {"seed": 2**63}, "Sample: seed"),
        (Sample, {"temperature": -0.1}, "Sample: temperature must be a number from 0 to 1,000,000; got -0.1"),
        (Sample, {"temperature": float("nan")}, "Sample: temperature"),
        (Sample, {"temperature": float("inf")}, "Sample: temperature"),
        (Sample, {"temperature": "1"}, "Sample: temperature"),
        (Sample, {"top_k": -1}, "Sample: top_k must be a whole number from 0 to .*; got -1. Nearest: 0."),
        (Sample, {"top_k": 1.5}, "Sample: top_k"),
        (Sample, {"top_k": 2**31}, "Sample: top_k"),
        (Sample, {"top_p": float("nan")}, "Sample: top_p"),
        (Sample, {"temperature": 1e7}, "Sample: temperature"),
        (Bernoulli, {"temperature": 1e7}, "Bernoulli: temperature"),
        (Sample, {"temperature": np.array(-1.0)}, "Sample: temperature"),
        (Sample, {"top_k": True}, "Sample: top_k"),
        (Sample, {"top_p": 0.0}, r"Sample: top_p must be in \(0, 1\]; got 0.0"),
        (Sample, {"top_p": 1.1}, "Sample: top_p"),
        (Bernoulli, {"seed": "a"}, "Bernoulli: seed"),
        (Bernoulli, {"temperature": -1}, "Bernoulli: temperature"),
    ],
)
def test_draws_refuse(kind, arguments, says):
    with pytest.raises(ValueError, match=says):
        kind(**{"seed": 0, **arguments})
