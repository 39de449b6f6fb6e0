"""Laws of the Transformer as a language model: what it may see, its window, and that it writes as it reads."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl import decoding, models, objectives, sequences
from keras_dl.layers import attention_cache

K, WINDOW, ROWS = 7, 6, 3
SIZES = {"num_classes": K, "num_layers": 2, "hidden_dim": 8, "intermediate_dim": 12, "num_heads": 2}
VARIANTS = {
    "paper": {},
    "norm_first-learned": {"norm_first": True, "positions": "learned", "tied": False, "use_bias": True},
}


@functools.cache
def model_of(variant, max_length=WINDOW):
    """Shared by the laws, which leave its weights alone."""
    keras.utils.set_random_seed(3)
    model = models.build_transformer_lm(**SIZES | VARIANTS[variant], max_length=max_length)
    rng = np.random.default_rng(1)
    for variable in model.weights:  # biases and norms too, as if it had been trained
        if variable.path.endswith(("beta", "bias")):
            variable.assign(rng.normal(0.0, 0.3, variable.shape))
        if variable.path.endswith("gamma"):
            variable.assign(rng.uniform(0.7, 1.3, variable.shape))
    return model


def texts(steps, rows=ROWS, seed=0):
    return np.random.default_rng(seed).integers(0, K, (rows, steps)).astype("int32")


def window_of(t, max_length):
    """The first token that is seen when token t is read: the window fills up, then keeps the last half of it."""
    begin, held = 0, 0
    for now in range(t + 1):
        if held == max_length:
            keeps = max_length - max(1, max_length // 2)
            begin, held = now - keeps, keeps
        held += 1
    return begin


@functools.cache
def whole(model):
    """The network as a graph: tokens (N, T) -> logits (N, T, K)."""
    return tf.function(model, autograph=False, input_signature=[tf.TensorSpec((None, None), tf.int32)])


def wanted_logits(model, tokens):
    """Of each step those of the whole network on the tokens that the window then holds: (N, T, K)."""
    steps = range(tokens.shape[1])
    return np.stack([whole(model)(tokens[:, window_of(t, model.max_length) : t + 1])[:, -1] for t in steps], 1)


def stepwise(model, tokens, **begin):
    memory, state = model.begin(rows=tf.shape(tokens)[0], **begin)
    logits = []
    for inputs in tf.unstack(tokens, axis=1):
        now, state = model.step(inputs, state, memory)
        logits.append(now)
    return tf.stack(logits, 1), state


@functools.partial(tf.function, autograph=False)
def looped(model, tokens):
    """The same in a loop of a graph, whose state grows."""
    rows, steps = tokens.shape
    memory, state = model.begin(rows=rows)

    def step(inputs, state):
        now, new = model.step(inputs, state["model"], memory)
        return now, {"model": new, "logits": tf.concat([state["logits"], now[:, None]], 1)}

    def draw(logits, t):
        return tf.gather(tokens, tf.minimum(t + 1, steps - 1), axis=1)

    state = {"model": state, "logits": tf.zeros([rows, 0, K])}
    _, _, state = decoding.generate(step, state, tokens[:, 0], steps, draw)
    return state["logits"], state["model"]


def same_state(a, b):
    tf.nest.assert_same_structure(a, b)
    held = int(np.max(a["count"]))
    np.testing.assert_array_equal(a["count"], b["count"])
    np.testing.assert_array_equal(a["tokens"][:, :held], b["tokens"][:, :held])
    for x, y in zip(tf.nest.flatten(a["kept"]), tf.nest.flatten(b["kept"]), strict=True):
        np.testing.assert_allclose(x[:, :, :held], y[:, :, :held], atol=1e-5)
        assert not np.any(x[:, :, held:]) and not np.any(y[:, :, held:])  # a step adds to zeros


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_step_by_step_it_gives_the_whole_models_logits_on_the_growing_prefix(variant, graph):
    """Up to max_length on the whole prefix; beyond it on what the window holds, whatever the layers have kept."""
    model, tokens = model_of(variant), texts(2 * WINDOW + 3)
    logits, _ = (looped if graph else stepwise)(model, tf.constant(tokens))
    assert logits.dtype == "float32"
    np.testing.assert_allclose(logits[:, :WINDOW], whole(model)(tokens[:, :WINDOW]), atol=1e-5)
    np.testing.assert_allclose(logits, wanted_logits(model, tokens), atol=1e-5)
    unlimited = np.asarray(model(tokens, training=False))
    assert np.abs(logits[:, WINDOW:] - unlimited[:, WINDOW:]).max() > 1e-3  # the window does let go


@pytest.mark.parametrize("max_length", [1, pytest.param(2, marks=pytest.mark.slow), 3])
def test_a_window_of_any_length_is_right(max_length):
    model, tokens = model_of("paper", max_length), texts(11)
    logits, _ = stepwise(model, tf.constant(tokens))
    np.testing.assert_allclose(logits, wanted_logits(model, tokens), atol=1e-5)


@pytest.mark.parametrize("room", [pytest.param(1, marks=pytest.mark.slow), 4, 8])
def test_what_is_kept_grows_without_a_loss_and_never_beyond_the_window(room, monkeypatch):
    monkeypatch.setattr(attention_cache, "ROOM", room)
    model, tokens = model_of("paper"), texts(9)
    logits, state = looped(model, tf.constant(tokens))
    np.testing.assert_allclose(logits, wanted_logits(model, tokens), atol=1e-5)
    assert state["tokens"].shape[1] == WINDOW
    _, state = stepwise(model, tf.constant(tokens[:, :2]))
    assert state["tokens"].shape[1] == {1: 2, 4: 4, 8: 6}[room]


@pytest.mark.parametrize("grows", [True, False])
@pytest.mark.parametrize(
    "parts", [(7,), (1, 4, 6, 3), *(pytest.param(p, marks=pytest.mark.slow) for p in ((5,), (6,), (6, 1, 6), (2, 13)))]
)
def test_several_tokens_at_once_give_what_single_ones_do(parts, grows):
    model, tokens = model_of("norm_first-learned"), texts(sum(parts))
    memory, state = model.begin(rows=ROWS, grows=grows)
    logits = []
    for part in np.split(tokens, np.cumsum(parts)[:-1], 1):
        now, state = model.read(tf.constant(part), state, memory)
        logits.append(now)
    wanted, wanted_state = stepwise(model, tf.constant(tokens), grows=grows)
    np.testing.assert_allclose(tf.concat(logits, 1), wanted, atol=1e-5)
    same_state(state, wanted_state)
    following = tf.constant(texts(1, seed=1)[:, 0])
    one, _ = model.step(following, state, memory)
    other, _ = model.step(following, wanted_state, memory)
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("graph", [False, True])
def test_a_state_that_does_not_grow_keeps_its_shapes(graph):
    model = model_of("paper")

    def steps(tokens):
        memory, first = model.begin(rows=ROWS, grows=False)
        _, state = model.read(tokens[:, :5], first, memory)
        _, state = model.step(tokens[:, 5], state, memory)
        _, after = model.read(tokens, state, memory)
        for other in (state, after):
            shapes = [(a.shape, b.shape) for a, b in zip(tf.nest.flatten(first), tf.nest.flatten(other), strict=True)]
            assert all(a == b for a, b in shapes), shapes
        return state

    (tf.function(steps, autograph=False) if graph else steps)(tf.constant(texts(9)))


def test_a_text_is_generated_token_by_token_as_by_the_whole_network():
    model, length = model_of("paper"), 2 * WINDOW + 2
    prefix = texts(1)
    for _ in range(length):
        begin = window_of(prefix.shape[1] - 1, WINDOW)
        logits = whole(model)(prefix[:, begin:])[:, -1]
        prefix = np.concatenate([prefix, np.argmax(logits, -1)[:, None].astype("int32")], 1)

    @tf.function(autograph=False)
    def write(first):
        memory, state = model.begin(rows=tf.shape(first)[0])
        step = decoding.step_function(model, memory)
        return decoding.generate(step, state, first, length, decoding.Greedy())[0]

    np.testing.assert_array_equal(write(tf.constant(prefix[:, 0])), prefix[:, 1:])


def test_a_beam_goes_on_with_the_right_rows():
    model, width = model_of("paper"), 3

    @tf.function(autograph=False)
    def search(first):
        memory, state = model.begin(rows=tf.shape(first)[0])
        step = decoding.step_function(model, memory)
        return decoding.beam_search(step, state, first, 8, width, end=K - 1, results=width)

    first = texts(1)[:, 0]
    tokens, _, log_probabilities, lengths = (x.numpy() for x in search(tf.constant(first)))
    written = np.concatenate([np.repeat(first, width)[:, None], tokens.reshape(-1, 8)], 1)
    logs = tf.nn.log_softmax(wanted_logits(model, written[:, :-1]))
    of_tokens = tf.gather(logs, written[:, 1:], batch_dims=2).numpy()  # (N, T)
    inside = np.arange(8) < lengths.reshape(-1, 1)
    np.testing.assert_allclose(log_probabilities.ravel(), (of_tokens * inside).sum(1), atol=1e-4)
    assert len(np.unique(written, axis=0)) == len(written)


def test_a_token_costs_one_step_and_not_the_window_again(monkeypatch):
    """While the window fills the network never reads a text, and once for each half of it that goes."""
    model = model_of("paper")
    read, original = [], models.TransformerLM._run
    monkeypatch.setattr(
        models.TransformerLM, "_run", lambda self, tokens: (read.append(tokens.shape[1]), original(self, tokens))[1]
    )
    stepwise(model, tf.constant(texts(WINDOW)))
    assert read == []
    stepwise(model, tf.constant(texts(2 * WINDOW)))
    assert read == [WINDOW // 2] * 2


def test_a_file_gives_a_model_that_writes_the_same(tmp_path):
    model, tokens = model_of("norm_first-learned"), tf.constant(texts(9))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again) is models.TransformerLM and again.max_length == WINDOW
    np.testing.assert_array_equal(again(tokens), model(tokens))
    np.testing.assert_array_equal(stepwise(again, tokens)[0], stepwise(model, tokens)[0])


@pytest.mark.parametrize("policy", ["mixed_bfloat16"])
def test_in_half_precision_it_writes_as_it_reads(policy):
    weights = model_of("paper").get_weights()
    keras.mixed_precision.set_dtype_policy(policy)
    model = models.build_transformer_lm(**SIZES, max_length=WINDOW)
    model.set_weights(weights)
    tokens = tf.constant(texts(9))
    logits, state = stepwise(model, tokens)
    assert logits.dtype == "float32" and state["kept"][0][0].dtype == "bfloat16"
    wanted = wanted_logits(model, tokens.numpy())
    np.testing.assert_allclose(logits, wanted, atol=0.1 * np.abs(wanted).max())


@pytest.mark.parametrize("batch_size", [0, ROWS])
def test_it_trains_on_its_own_draws_and_carries_its_window(batch_size):
    keras.utils.set_random_seed(0)
    network = models.build_transformer_lm(**SIZES, max_length=WINDOW, dropout=0.0)
    model = sequences.SequenceModel(network, batch_size=batch_size, scheduled_sampling=0.5)
    model.compile(keras.optimizers.SGD(0.1), objectives.SequenceLoss("categorical"))
    text = tf.constant(texts(9))
    x = {"tokens": text[:, :-1], "start": tf.fill([ROWS], True)} if batch_size else text[:, :-1]
    before = [np.asarray(weight) for weight in network.trainable_weights]
    model.train_on_batch(x, text[:, 1:])
    for old, new in zip(before, network.trainable_weights, strict=True):
        assert np.isfinite(new).all() and np.abs(old - new).max() > 0, new.path
    if batch_size:  # evaluated in two parts it is what it is as a whole
        losses = []
        for parts in ((8,), (3, 5)):
            edges = np.cumsum((0, *parts))
            values = [
                float(model.test_on_batch(
                    {"tokens": text[:, a:b], "start": tf.fill([ROWS], a == 0)}, text[:, a + 1 : b + 1]
                ))
                for a, b in zip(edges[:-1], edges[1:], strict=True)
            ]  # fmt: skip
            losses.append(np.dot(values, parts))
            model.reset_metrics()
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_token_looks_at_itself_and_those_before_it(variant):
    model, tokens = model_of(variant), texts(5)
    shown = model.with_attention()(tokens, training=False)
    weights = shown["attention"].numpy()
    assert weights.shape == (ROWS, SIZES["num_layers"], SIZES["num_heads"], 5, 5)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
    assert not np.triu(weights, 1).any() and np.tril(weights).min() >= 0 and (weights[..., -1, 0] > 0).all()
    np.testing.assert_allclose(shown["logits"], whole(model)(tokens), atol=1e-5)
