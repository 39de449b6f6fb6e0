"""Laws of beam search: it is the plain search over lists, with a full beam the search of all sequences."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_dl.decoding import Greedy, Sample, beam, beam_search, generate

H, BATCH, END = 6, 4, 1


class Network(tf.Module):
    """One step of a small tanh network, so that a token depends on all before it; each sentence starts elsewhere."""

    def __init__(self, seed=0, tokens=7, scale=1.0, banned=(), digits=None):
        super().__init__()
        rng = np.random.default_rng(seed)
        self.tokens, self.digits = tokens, digits
        self.u, self.w, self.v = (rng.normal(size=s).astype("float32") for s in ((tokens, H), (H, H), (H, tokens)))
        self.v *= scale
        self.h = rng.normal(size=(BATCH, H)).astype("float32")
        self.bias = np.zeros(tokens, "float32")
        self.bias[list(banned)] = -np.inf

    def step(self, tokens, state):
        h = tf.tanh(tf.gather(self.u, tokens) + state["h"] @ self.w)
        logits = h @ self.v + self.bias
        if self.digits is not None:
            logits = tf.round(logits * 10**self.digits) / 10**self.digits
        return logits, {"h": h, "count": state["count"] + 1}

    def start(self, rows=slice(None)):
        return {"h": tf.constant(self.h[rows]), "count": tf.zeros([len(self.h[rows])], tf.int32)}

    def continued(self, token, h):
        """(log-probabilities (V,), h) of one hypothesis, in NumPy."""
        h = np.tanh(self.u[token] + h @ self.w)
        z = (h @ self.v + self.bias).astype("float64")
        if self.digits is not None:
            z = np.round(z * 10**self.digits) / 10**self.digits
        return (z - np.log(np.exp(z).sum()) if np.isfinite(z).any() else z), h

    def log_probability(self, row, first, tokens):
        total, h = 0.0, self.h[row]
        for before, token in itertools.pairwise([first, *tokens]):
            logs, h = self.continued(before, h)
            total += logs[token]
        return total


FIRST = np.array([0, 3, 2, 0], "int32")


def penalty(n, alpha):
    return ((5 + n) / 6) ** alpha


def plain_search(network, row, first, limit, width, alpha=0.0, results=1, never=()):
    """(list of (tokens, score, log-probability), steps) by lists, as the docstring says it."""
    live, complete, steps = [(0.0, (), network.h[row])], [], 0
    while live and steps < limit and len(complete) < width:
        options, steps = [], steps + 1
        for total, tokens, h in live:
            logs, h = network.continued((first, *tokens)[-1], h)
            options += [(total + logs[v], (*tokens, v), h) for v in range(network.tokens) if logs[v] > -np.inf]
        options = [option for option in options if option[1][-1] not in never]
        options.sort(key=lambda option: -round(option[0], 4))  # stable; equals are equal
        complete += [o for o in options[:width] if o[1][-1] == END]
        complete.sort(key=lambda option: -option[0] / penalty(len(option[1]), alpha))
        live = [o for o in options if o[1][-1] != END][:width]
    found = (complete + live)[:results] if len(complete) < width else complete[:results]
    return [(tokens, total / penalty(len(tokens), alpha), total) for total, tokens, _ in found], steps


def check(got, expected, longest):
    """What beam_search returned against one list for each sentence."""
    outputs, scores, log_probabilities, lengths = (np.asarray(x) for x in got)
    results = outputs.shape[1]
    assert outputs.shape == (len(expected), results, longest)
    assert (outputs.dtype, scores.dtype, log_probabilities.dtype, lengths.dtype) == ("int32", *["float32"] * 2, "int32")
    for b, found in enumerate(expected):
        filled = [(*tokens, *[END] * (longest - len(tokens))) for tokens, _, _ in found]
        missing = results - len(found)
        np.testing.assert_array_equal(outputs[b], filled + [[END] * longest] * missing)
        np.testing.assert_array_equal(lengths[b], [len(tokens) for tokens, _, _ in found] + [0] * missing)
        np.testing.assert_allclose(scores[b], [s for _, s, _ in found] + [-np.inf] * missing, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(
            log_probabilities[b], [p for _, _, p in found] + [-np.inf] * missing, rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_it_is_the_plain_search(width, seed):
    network = Network(seed, scale=1 + seed % 3)
    for alpha in (0.0, 0.6, 2.0):
        expected = [plain_search(network, b, FIRST[b], 12, width, alpha, width)[0] for b in range(BATCH)]
        got = beam_search(network.step, network.start(), FIRST, 12, width, end=END, length_penalty=alpha, results=width)
        check(got, expected, 12)


def test_numbers_of_numpy_are_taken():
    network = Network(0)
    given = [beam_search(network.step, network.start(), FIRST, kind(12), kind(3), end=kind(END), results=kind(2))
             for kind in (int, np.int64)]  # fmt: skip
    for one, other in zip(*given, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_plain_searches_differ_where_they_should():
    """The cases above tell widths, penalties, ended and cut off hypotheses apart."""
    found = {
        (seed, width, alpha, b): plain_search(Network(seed, scale=1 + seed % 3), b, FIRST[b], 12, width, alpha)
        for seed, width, alpha, b in itertools.product(range(4), (1, 5), (0.0, 2.0), range(BATCH))
    }
    best = {key: value[0][0][0] for key, value in found.items()}
    assert sum(best[s, 1, 0.0, b] != best[s, 5, 0.0, b] for s, b in itertools.product(range(4), range(4))) > 4
    assert sum(best[s, 5, 2.0, b] != best[s, 5, 0.0, b] for s, b in itertools.product(range(4), range(4))) > 4
    assert {tokens[-1] == END for tokens in best.values()} == {True, False}
    assert len({steps for _, steps in found.values()}) > 5


@pytest.mark.parametrize("digits", [None, 0])  # with none, logits are often equal: the first
@pytest.mark.parametrize("seed", range(8))
def test_width_1_is_the_greedy_choice(seed, digits):
    network = Network(seed, scale=1 + seed % 3, digits=digits)
    outputs, scores, _ = generate(network.step, network.start(), FIRST, 15, Greedy(), end=END)
    got = beam_search(network.step, network.start(), FIRST, 15, 1, end=END)
    np.testing.assert_array_equal(got[0][:, 0], outputs)
    np.testing.assert_allclose(got[2][:, 0], tf.reduce_sum(scores, 1), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(got[1], got[2])
    ended = np.asarray(outputs) == END
    np.testing.assert_array_equal(got[3][:, 0], np.where(ended.any(1), ended.argmax(1) + 1, 15))


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 3.0])
def test_a_full_beam_ranks_all_sequences(alpha):
    """Of 3 tokens and at most 4 steps: 1 + 2 + 4 + 8 that end, the best first, then the 16 that do not."""
    network, first, expected = Network(5, tokens=3), FIRST % 3, []
    for b in range(BATCH):
        ended, cut = [], []
        for n in range(5):
            for tokens in itertools.product((0, 2), repeat=n):
                found, tokens = (cut, tokens) if n == 4 else (ended, (*tokens, END))
                total = network.log_probability(b, first[b], tokens)
                found.append((tokens, total / penalty(len(tokens), alpha), total))
        assert (len(ended), len(cut)) == (15, 16)
        expected.append([*sorted(ended, key=lambda e: -e[1]), *sorted(cut, key=lambda e: -e[1])])
    got = beam_search(network.step, network.start(), first, 4, 81, end=END, length_penalty=alpha, results=35)
    check(got, expected, 4)


def test_each_hypothesis_scores_what_the_model_gives_it():
    """Sorted, none twice, and re-scored step by step: a state in a wrong row would show."""
    network = Network(3, tokens=12)
    outputs, scores, logs, lengths = beam_search(
        network.step, network.start(), FIRST, 20, 6, end=END, length_penalty=1.0, results=6
    )
    for b in range(BATCH):
        found = [tuple(o[:n]) for o, n in zip(outputs[b].numpy(), lengths[b].numpy(), strict=True)]
        order = [(tokens[-1] != END, -score) for tokens, score in zip(found, scores[b].numpy(), strict=True)]
        assert order == sorted(order)  # those that have ended, then those that have not
        assert len(set(found)) == 6 and not any(END in tokens[:-1] for tokens in found)
        again = [network.log_probability(b, FIRST[b], tokens) for tokens in found]
        np.testing.assert_allclose(logs[b], again, rtol=1e-4)
        np.testing.assert_allclose(scores[b], again / penalty(lengths[b].numpy(), 1.0), rtol=1e-4)


def test_graph_equals_eager_for_any_batch_and_a_sentence_alone():
    network = Network(2)
    scalars = [tf.TensorSpec([], "int32"), tf.TensorSpec([], "float32"), tf.TensorSpec([], "int32")]
    state = {"h": tf.TensorSpec([None, H]), "count": tf.TensorSpec([None], tf.int32)}

    @tf.function(input_signature=[state, tf.TensorSpec([None], tf.int32), *scalars])
    def run(state, first, length, alpha, end):
        return beam_search(network.step, state, first, length, 3, end=end, length_penalty=alpha, results=2)

    for alpha, length in ((0.0, 12), (1.5, 5)):
        eager = beam_search(network.step, network.start(), FIRST, length, 3, end=END, length_penalty=alpha, results=2)
        check(eager, [plain_search(network, b, FIRST[b], length, 3, alpha, 2)[0] for b in range(BATCH)], length)
        for rows in (slice(None), *(slice(b, b + 1) for b in range(BATCH)), slice(1, 3), slice(0, 0)):
            got = run(network.start(rows), FIRST[rows], length, alpha, END)
            for a, b in zip(got, eager, strict=True):
                np.testing.assert_allclose(a, b[rows], rtol=1e-5, atol=1e-6)
    check(run(network.start(), FIRST, 0, 0.0, END), [[((), 0.0, 0.0)]] * BATCH, 0)  # no step at all
    static = tf.function(lambda: beam_search(network.step, network.start(), FIRST, 12, 3, end=END, results=2))
    assert [x.shape.as_list() for x in static.get_concrete_function().outputs] == [[4, 2, 12], [4, 2], [4, 2], [4, 2]]
    check(static(), [plain_search(network, b, FIRST[b], 12, 3, 0.0, 2)[0] for b in range(BATCH)], 12)


@pytest.mark.parametrize("traced", [False, True])
def test_each_sentence_has_a_limit_of_its_own(traced):
    network, limits = Network(1), np.array([2, 9, 1, 4], "int32")
    expected = [plain_search(network, b, FIRST[b], limits[b], 3, 0.6, 3)[0] for b in range(BATCH)]
    assert sum(found[-1][0][-1] != END for found in expected) > 1  # some are cut off

    def run(limits):
        return beam_search(network.step, network.start(), FIRST, limits, 3, end=END, length_penalty=0.6, results=3)

    check((tf.function(run) if traced else run)(tf.constant(limits)), expected, 9)
    check((tf.function(run) if traced else run)(limits), expected, 9)
    check(run(tf.constant(9)), [plain_search(network, b, FIRST[b], 9, 3, 0.6, 3)[0] for b in range(BATCH)], 9)
    limits[0] = 0  # the empty sentence: log 1
    expected[0] = [((), 0.0, 0.0)]
    check((tf.function(run) if traced else run)(tf.constant(limits)), expected, 9)
    check((tf.function(run) if traced else run)(tf.constant(limits * 0 - 7)), [expected[0]] * BATCH, 0)


def test_a_token_of_probability_zero_is_never_chosen():
    network = Network(4, tokens=5, banned=(0, 3))  # 2, 4 and the end are left
    expected = [plain_search(network, b, FIRST[b], 3, 8, 0.0, 8)[0] for b in range(BATCH)]
    got = beam_search(network.step, network.start(), FIRST, 3, 8, end=END, results=8)
    check(got, expected, 3)
    assert not np.isin(got[0], [0, 3]).any()


@pytest.mark.parametrize("width", [1, 2, 5])
def test_tokens_that_are_never_taken_leave_the_others_their_probabilities(width):
    network, never = Network(2, scale=2), (0, 4)
    search = lambda never: beam_search(  # noqa: E731
        network.step, network.start(), FIRST, 9, width, end=END, length_penalty=0.6, results=width, never=never
    )
    assert np.isin(search(())[0], never).any()
    check(search(never), [plain_search(network, b, FIRST[b], 9, width, 0.6, width, never)[0] for b in range(BATCH)], 9)


class Table(Network):
    """A token depends on the one before; a row of probabilities 0 is a dead end."""

    def __init__(self, p):
        super().__init__(tokens=len(p))
        self.h = np.zeros((1, 0), "float32")
        with np.errstate(divide="ignore"):
            self.logits = np.log(np.array(p, "float32"))

    def step(self, tokens, state):
        return tf.gather(self.logits, tokens), state

    def continued(self, token, h):
        return self.logits[token].astype("float64"), h


DEAD_ENDS = [[0, 0.2, 0.5, 0.3], [0, 0, 0, 0], [0, 0, 0, 0], [0.6, 0.4, 0, 0]]
EQUALS = [[0, 0.5, 0, 0.5], [0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]]


@pytest.mark.parametrize("width", [1, 2, 3, 9])
@pytest.mark.parametrize(("p", "length"), [(DEAD_ENDS, 1), (DEAD_ENDS, 2), (DEAD_ENDS, 5), (EQUALS, 5)])
def test_there_may_be_fewer_hypotheses_than_places(p, length, width):
    """Behind token 2 there is nothing. Of equals, what ended first: 1 before 3, 1."""
    network, calls = Table(p), []
    found, steps = plain_search(network, 0, 0, length, width, 0.0, width)
    got = beam_search(
        lambda tokens, state: calls.append(0) or network.step(tokens, state),
        network.h, [0], length, width, end=END, results=width,
    )  # fmt: skip
    check(got, [found], length)
    assert len(calls) == steps  # no step when nothing lives


def test_no_step_is_taken_when_all_are_done():
    for rows in (slice(0, 1), slice(1, 2), slice(0, 2), slice(2, 4)):
        network, calls = Network(3, scale=3.0), []
        steps = [plain_search(network, b, FIRST[b], 40, 2)[1] for b in range(BATCH)[rows]]
        beam_search(
            lambda tokens, state: calls.append(0) or network.step(tokens, state),  # noqa: B023
            network.start(rows), FIRST[rows], 40, 2, end=END,
        )  # fmt: skip
        assert len(calls) == max(steps) < 40


def test_tokens_may_be_int64_and_a_batch_empty():
    network = Network(2)
    run = tf.function(lambda first, limits: beam_search(network.step, network.start(), first, limits, 3, end=END))
    expected = [plain_search(network, b, FIRST[b], 8, 3)[0] for b in range(BATCH)]
    check(run(tf.constant(FIRST, tf.int64), tf.constant([8] * BATCH, tf.int64)), expected, 8)
    for limits in (np.zeros(0, "int32"), tf.zeros(0, tf.int32)):
        got = beam_search(network.step, network.start(slice(0, 0)), FIRST[:0], limits, 3, end=END)
        assert [x.shape.as_list() for x in got] == [[0, 1, 0], [0, 1], [0, 1], [0, 1]]


def memory(grows):
    """A step whose logits see all tokens so far: their vectors in a cache that grows, or summed in a fixed state."""
    rng = np.random.default_rng(7)
    u, v = (rng.normal(size=s).astype("float32") for s in ((7, H), (H, 7)))

    def step(tokens, state):
        x = tf.gather(u, tokens)
        if not grows:
            state = 0.9 * state + x
            return state @ v, state
        cache, count = state
        cache = tf.concat([cache, x[:, None]], 1)
        n = tf.shape(cache)[1]
        weights = 0.9 ** tf.cast(tf.range(n - 1, -1, -1), tf.float32)
        return tf.einsum("nth,t->nh", cache, weights) @ v, (cache, count + 1)

    return step


@pytest.mark.parametrize("search", [True, False])
def test_a_state_may_grow(search):
    def run(first, grows, state):
        if search:
            return beam_search(memory(grows), state, first, 9, 3, end=END, results=3)
        return generate(memory(grows), state, first, 9, Sample(1), end=END)[:2]

    expected = run(FIRST, False, tf.zeros([BATCH, H]))
    assert len(np.unique(expected[0])) > 3
    count = tf.zeros([BATCH, 1])
    dynamic = [tf.TensorSpec([None], tf.int32), tf.TensorSpec([None, None, H]), tf.TensorSpec([None, 1])]
    empty = tf.zeros([BATCH, 0, H])
    for got in (
        run(FIRST, True, (empty, count)),
        tf.function(lambda: run(FIRST, True, (empty, count)))(),
        tf.function(lambda first, cache, count: run(first, True, (cache, count)), dynamic)(FIRST, empty, count),
    ):
        np.testing.assert_array_equal(got[0], expected[0])
        np.testing.assert_allclose(got[1], expected[1], rtol=1e-4, atol=1e-5)


def test_a_state_that_a_graph_knows_to_be_fixed_must_not_grow():
    cache = tf.zeros([BATCH, 1, H]), tf.zeros([BATCH])
    for run in (
        lambda: beam_search(memory(True), cache, FIRST, 3, 2, end=END),
        lambda: generate(memory(True), cache, FIRST, 3, Greedy()),
    ):
        run()  # without a graph it may
        with pytest.raises(ValueError, match=r"step must return a state like the given one.*got .*float32\(\d, 2, 6\)"):
            tf.function(run)()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_logits_of_any_float_are_summed_in_float32(dtype):
    network = Network(2, tokens=100, digits=1)

    def step(tokens, state, dtype=dtype, back=None):
        logits, state = network.step(tokens, state)
        logits = tf.cast(logits, dtype)
        return (tf.cast(logits, back) if back else logits), state

    got = beam_search(step, network.start(), FIRST, 8, 3, end=END, results=3)
    wide = beam_search(
        lambda tokens, state: step(tokens, state, back="float32"), network.start(), FIRST, 8, 3, end=END, results=3
    )
    for a, b in zip(got, wide, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("columns", [97, 1800, 4096, 5003])
@pytest.mark.parametrize("levels", [2, 50, 10**6])
def test_the_best_of_a_row_by_blocks(columns, levels):
    """Of equals the first, and nothing of what fills up the last block."""
    logits = np.random.default_rng(columns).integers(0, levels, (20, columns)).astype("float32")
    logits[0], logits[1, 10:], logits[2, :-3] = -np.inf, -np.inf, -np.inf
    for dtype, count in (("float32", 1), ("float32", 7), ("bfloat16", 4), ("float64", 6)):
        rows = tf.cast(logits, dtype)
        for best in (beam._best, tf.function(beam._best)):
            for a, b in zip(best(rows, count), tf.math.top_k(rows, count), strict=True):
                np.testing.assert_array_equal(a, b)


def test_a_large_vocabulary_is_the_plain_search():
    network = Network(3, tokens=4096, scale=3.0)
    expected = [plain_search(network, b, FIRST[b], 4, 3, 0.6, 3)[0] for b in range(BATCH)]
    check(beam_search(network.step, network.start(), FIRST, 4, 3, end=END, length_penalty=0.6, results=3), expected, 4)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"width": 0}, "width must be a whole number from 1 to 1024; got 0. Nearest: 1."),
        ({"width": 2.0}, "width must be"),
        ({"width": True}, "width must be"),
        ({"results": 0}, "results must be a whole number from 1 to the width, 2; got 0. Nearest: 1."),
        ({"results": 3}, "results must be a whole number from 1 to the width, 2; got 3. Nearest: 2."),
        ({"length": 0}, "length must be a whole number from 1 to 16,777,216; got 0. Nearest: 1."),
        ({"length": [3, 3]}, "length must be"),
        ({"length": tf.constant(3.0)}, r"length must be whole numbers, one or \(B,\)"),
        ({"length": tf.constant([3, 3, 3])}, r"as first\(2,\); got int32\(3,\)"),
        ({"length_penalty": -0.1}, "length_penalty must be a number from 0 to 10; got -0.1. Nearest: 0.0."),
        ({"length_penalty": float("nan")}, "length_penalty must be"),
        ({"length_penalty": "0.6"}, "length_penalty must be"),
        ({"length_penalty": 1000.0}, "length_penalty must be a number from 0 to 10; got 1000.0. Nearest: 10.0."),
        ({"length_penalty": float("nan")}, "length_penalty must be"),
        ({"width": 2**40}, "width must be a whole number from 1 to 1024; got 1099511627776. Nearest: 1024."),
        ({"length": 2**40}, "length must be a whole number from 1 to 16,777,216;"),
        ({"end": -1}, "end must be a token, a whole number of 0 or more; got -1."),
        ({"end": None}, "end must be a token"),
        ({"first": np.zeros(2, "float32")}, r"first must be whole numbers \(B,\); got float32\(2,\)."),
        ({"first": np.zeros((2, 1), "int32")}, "first must be"),
        ({"state": tf.zeros([4, H])}, r"state must be tensors \(B, ...\), B as in first\(2,\); got \(4, 6\)."),
        ({"state": tf.zeros([])}, "state must be"),
        ({"step": lambda x, s: (tf.zeros([2, 5]), s)}, r"logits \(B \* 2, V\), floats; got float32\(2, 5\)"),
        ({"step": lambda x, s: (tf.zeros([4, 5], tf.int32), s)}, "step must return logits"),
        ({"step": lambda x, s: (tf.zeros([4, 5]), (s, s))}, "step must return a state like the given one"),
        ({"step": lambda x, s: (tf.zeros([4, 5]), tf.cast(s, tf.float64))}, "must return a state like the given one"),
        ({"step": lambda x, s: (tf.zeros([4, 5]), s[:2])}, "step must return a state like the given one"),
        ({"step": lambda x, s: (tf.zeros([4, 5]), s[..., None])}, "step must return a state like the given one"),
    ],
)  # fmt: skip
def test_beam_search_refuses(arguments, says):
    given = {"state": tf.zeros([2, H]), "first": np.zeros(2, "int32"), "length": 3, "width": 2, "end": END}
    given["step"] = lambda tokens, state: (tf.zeros([4, 5]), state)
    for wrap in (lambda f: f, tf.function):
        with pytest.raises(ValueError, match=says) as error:
            wrap(lambda: beam_search(**{**given, **arguments}))()
        assert "beam_search: " in str(error.value)
