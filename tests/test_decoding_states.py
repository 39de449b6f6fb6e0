"""Laws of what a search does to a state, and of sentences searched in halves."""

import numpy as np
import pytest
import tensorflow as tf

from keras_dl import decoding, models
from keras_dl.decoding import Shared, beam_search, generate, search_in_halves, take
from keras_dl.layers import attention_cache

SOURCE = np.array([[5, 6, 7, 8], [3, 0, 0, 0], [4, 4, 0, 0], [9, 2, 3, 0], [2, 0, 0, 0]], "int32")
FILL = -1


def reversed_tokens(source):
    """Of each sentence its tokens the other way round with fill behind, as long as the longest, and their number."""
    lengths = tf.math.count_nonzero(source, 1, dtype=tf.int32)
    turned = tf.reverse_sequence(source, lengths, 1)
    return {"turned": tf.where(turned == 0, FILL, turned)[:, None], "lengths": lengths}


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_in_halves_is_the_search_of_all(graph, count):
    halves = lambda source: search_in_halves(reversed_tokens, source, FILL)  # noqa: E731
    if graph:
        halves = tf.function(halves, autograph=False, input_signature=[tf.TensorSpec((None, None), tf.int32)])
    source = tf.constant(SOURCE[5 - count :])
    found, wanted = halves(source), reversed_tokens(source)
    np.testing.assert_array_equal(found["lengths"], wanted["lengths"])
    longest = int(np.max(wanted["lengths"], initial=1))
    np.testing.assert_array_equal(found["turned"], wanted["turned"][..., :longest])


def test_the_shorter_half_is_searched_without_the_longer_ones_padding():
    seen = []

    def search(source):
        tf.py_function(lambda x: seen.append(x.numpy().tolist()), [source], [])
        return source

    np.testing.assert_array_equal(search_in_halves(search, tf.constant(SOURCE), 0), SOURCE)
    assert sorted(seen) == [[[3], [2]], sorted(SOURCE[[0, 2, 3]].tolist(), key=np.count_nonzero)]


def test_a_search_leaves_what_is_shared_where_it_is():
    """Each row's own tokens are written down twice, in its state and, by places, for all of its sentence."""
    batch, width, tokens = 3, 4, 6
    chances = tf.constant(np.random.default_rng(0).normal(size=(tokens, tokens)), tf.float32)

    def step(taken, state):
        logits = tf.gather(chances, taken) + tf.cast(tf.reduce_sum(state["own"], 1) % 3, tf.float32)[:, None]
        slot = tf.range(tf.shape(taken)[0]) % (tf.shape(taken)[0] // batch)
        ours = tf.reshape(taken, [batch, 1, -1])
        past = tf.concat([state["past"].tensors, ours], 1) if state["past"].tensors.shape[2] else ours
        own, rows = (tf.concat([a, b[:, None]], 1) for a, b in ((state["own"], taken), (state["rows"], slot)))
        by_place = tf.gather(tf.repeat(past, len(taken) // batch, 0), rows, batch_dims=2)
        np.testing.assert_array_equal(by_place, own)
        steps.append(len(np.unique(np.asarray(rows), axis=0)))
        return logits, {"own": own, "rows": rows, "past": Shared(past)}

    nothing = tf.zeros([batch, 0], tf.int32)
    state = {"own": nothing, "rows": nothing, "past": Shared(tf.zeros([batch, 0, 0], tf.int32))}
    steps = []
    beam_search(step, state, tf.constant([0, 1, 2]), 5, width, end=tokens)
    assert len(steps) == 5 and steps[-1] > width  # they did change places
    _, _, state = generate(step, state, tf.constant([0, 1, 2]), 5, decoding.Greedy())
    assert state["past"].tensors.shape == (3, 5, 1)


def test_what_is_shared_may_stand_anywhere_in_a_state():
    state = ([Shared({"a": tf.zeros([2, 1])}), tf.constant([[1.0], [2.0]])], Shared(tf.ones([2])), tf.constant([3, 4]))
    (kept, own), shared, count = take(state, [1, 1, 0])
    assert kept.tensors["a"].shape == (2, 1) and shared.tensors.shape == (2,)
    assert own.numpy().tolist() == [[2.0], [2.0], [1.0]] and count.numpy().tolist() == [4, 4, 3]


@pytest.mark.parametrize("graph", [False, True])
def test_two_steps_may_go_on_from_one_state(graph):
    model = models.build_transformer(11, num_layers=2, hidden_dim=8, intermediate_dim=12, num_heads=2)
    source, target = np.array([[5, 6, 0], [3, 4, 7]], "int32"), np.array([[1, 4, 5], [1, 6, 2]], "int32")

    def run():
        memory, state = model.begin(tf.constant(source))
        for tokens in target.T[:2]:
            _, state = model.step(tf.constant(tokens), state, memory)
        return [model.step(tf.constant(tokens), state, memory)[0] for tokens in ([7, 8], [9, 3], [7, 8])]

    found = (tf.function(run, autograph=False) if graph else run)()
    for logits, tokens in zip(found, ([7, 8], [9, 3], [7, 8]), strict=True):
        target[:, 2] = tokens
        wanted = model({"source": source, "target": target}, training=False)[:, 2]
        np.testing.assert_allclose(logits, wanted, atol=1e-5)


@pytest.mark.parametrize("room", [1, 3])
def test_what_a_decoder_keeps_grows_without_a_loss(room, monkeypatch):
    monkeypatch.setattr(attention_cache, "ROOM", room)
    model = models.build_transformer(11, num_layers=1, hidden_dim=8, intermediate_dim=12, num_heads=2)
    source = np.array([[5, 6, 0], [3, 4, 7]], "int32")
    target = np.random.default_rng(0).integers(1, 11, (2, 7)).astype("int32")

    @tf.function(autograph=False)
    def run():
        memory, state = model.begin(tf.constant(source))
        after = tf.constant(target.T)
        step = decoding.step_function(model, memory)
        written = lambda logits, t: tf.gather(after, tf.minimum(t + 1, 6))  # noqa: E731
        return generate(step, state, after[0], 7, written)[1]

    logits = tf.nn.log_softmax(model({"source": source, "target": target}, training=False)).numpy()
    wanted = np.take_along_axis(logits[:, :6], target[:, 1:, None], -1)[..., 0]
    np.testing.assert_allclose(run()[:, :6], wanted, atol=1e-5)


@pytest.mark.parametrize("room", [2, 8])
@pytest.mark.parametrize("graph", [False, True])
def test_a_sentence_may_get_more_rows_and_fewer(room, graph, monkeypatch):
    """Prefixes written by one row, then three, then two: as a forced beginning and a search behind it."""
    monkeypatch.setattr(attention_cache, "ROOM", room)
    model = models.build_transformer(11, num_layers=1, hidden_dim=8, intermediate_dim=12, num_heads=2)
    source = np.array([[5, 6, 0], [3, 4, 7]], "int32")
    target = np.random.default_rng(0).integers(1, 11, (2, 3)).astype("int32")
    changes = ([0, 0, 0, 1, 1, 1], [2, 1, 5, 3], [0, 1, 1, 2, 3, 3])  # rows of the state that go on
    tokens = [
        np.random.default_rng(k).integers(1, 11, (3, len(rows))).astype("int32") for k, rows in enumerate(changes)
    ]

    def run():
        memory, state = model.begin(tf.constant(source))
        for column in target.T:
            _, state = model.step(tf.constant(column), state, memory)
        found = []
        for rows, columns in zip(changes, tokens, strict=True):
            state = take(state, rows)
            for column in columns:
                logits, state = model.step(tf.constant(column), state, memory)
                found.append(logits)
        return found

    found = iter((tf.function(run, autograph=False) if graph else run)())
    sentence, written = np.arange(2), target
    for rows, columns in zip(changes, tokens, strict=True):
        sentence, written = sentence[rows], written[rows]
        for column in columns:
            written = np.concatenate([written, column[:, None]], 1)
            wanted = model({"source": source[sentence], "target": written}, training=False)[:, -1]
            np.testing.assert_allclose(next(found), wanted, atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_transformer_in_halves(count):
    model = models.build_transformer(11, num_layers=1, hidden_dim=8, intermediate_dim=12, num_heads=2)

    def search(source):
        memory, state = model.begin(source)
        step = decoding.step_function(model, memory)
        return beam_search(step, state, tf.ones([tf.shape(source)[0]], tf.int32), 6, 3, end=2, results=2)

    source = tf.constant(np.array([[5, 6, 7, 0], [3, 0, 0, 0], [9, 8, 7, 3]], "int32")[:count])
    whole = tf.function(search, autograph=False, input_signature=[tf.TensorSpec((None, None), tf.int32)])
    for a, b in zip(search_in_halves(search, source, fill=2), whole(source), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_row_is_taken_of_an_array_too():
    assert take({"t": np.array([3, 4])}, [1, 1, 0])["t"].numpy().tolist() == [4, 4, 3]
