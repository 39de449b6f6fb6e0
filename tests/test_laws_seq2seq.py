"""Laws of the recurrent translation models: they equal their papers' equations, in NumPy; and what follows."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import BOS, CASES, EOS, PAD, having

from keras_dl.layers.attention_cell import SCORES
from keras_dl.layers.attention_decoder import AttentionDecoder
from keras_dl.layers.initialization import OrthogonalBlocks
from keras_dl.models import attention_seq2seq, seq2seq

SOURCE = np.array([[5, 6, 7, 4, 2], [4, 2, 0, 0, 0], [8, 6, 6, 2, 0]], np.int32)
TARGET = np.array([[1, 4, 5, 6], [1, 6, 0, 0], [1, 3, 3, 4]], np.int32)


def deep(**kwargs):
    return seq2seq.build_seq2seq(9, 7, **{"units": (4, 3), "embedding_dim": 5, **kwargs})


def attentive(score="bahdanau", **kwargs):
    sizes = {"units": 4, "embedding_dim": 3, "attention_units": 5, "output_units": 6}
    return attention_seq2seq.build_attention_seq2seq(9, 7, attention=score, **{**sizes, **kwargs})


RECURRENT = [name for name in having("translates") if not name.startswith("transformer")]  # those have laws of theirs
ATTENTIVE = [name for name in RECURRENT if name.startswith("attention")]


@functools.cache
def made(name):
    """The model of a row of the table, every weight drawn at random, biases too."""
    return drawn(CASES[name].built())


def drawn(model, scale=0.7):
    rng = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(rng.normal(0, scale, weight.shape))
    return model


def logits(model, source=SOURCE, target=TARGET):
    return np.asarray(model({"source": np.array(source, np.int32), "target": np.array(target, np.int32)}))


def alignment(model, source=SOURCE, target=TARGET):
    shown = model.with_attention()
    return np.asarray(shown({"source": np.array(source, np.int32), "target": np.array(target, np.int32)})["attention"])


def padded(values, more):
    return np.pad(values, [(0, 0), (0, more)])


@pytest.mark.parametrize("name", RECURRENT)
def test_padding_behind_a_source_changes_nothing(name):
    model, wanted = made(name), logits(made(name))
    np.testing.assert_allclose(logits(model, padded(SOURCE, 3)), wanted, atol=1e-6)
    for row in range(3):  # nor do the other sentences of its batch
        alone = SOURCE[row : row + 1, : np.count_nonzero(SOURCE[row])]
        np.testing.assert_allclose(logits(model, alone, TARGET[row : row + 1]), wanted[row : row + 1], atol=1e-6)


@pytest.mark.parametrize("name", RECURRENT)
def test_every_token_of_a_source_matters_to_every_logit(name):
    rows, places = np.nonzero(SOURCE > EOS)
    changed = SOURCE[rows]
    changed[np.arange(len(rows)), places] = 3
    moved = np.abs(logits(made(name), changed, TARGET[rows]) - logits(made(name))[rows]).max(-1)
    assert moved.min() > 1e-6


@pytest.mark.parametrize("name", RECURRENT)
def test_a_token_of_the_target_moves_the_logits_from_its_own_on(name):
    wanted = logits(made(name))
    changed = np.repeat(TARGET, 4, 0)  # (3 * 4, 4): in each copy another place
    changed[np.arange(12), np.tile(np.arange(4), 3)] = 2
    moved = np.abs(logits(made(name), np.repeat(SOURCE, 4, 0), changed) - np.repeat(wanted, 4, 0)).max(-1)
    for place in range(4):
        assert moved[place::4, :place].max(initial=0) < 1e-6 and moved[place::4, place:].min() > 1e-6
    np.testing.assert_allclose(logits(made(name), SOURCE, padded(TARGET, 2))[:, :4], wanted, atol=1e-6)


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("rows", [1, 3])
def test_step_by_step_equals_the_model_whatever_each_row_has_written(name, rows):
    model = made(name)
    written = np.random.default_rng(0).integers(1, 7, (3 * rows, 5))
    wanted = logits(model, np.repeat(SOURCE, rows, 0), written)
    memory, state = model.begin(tf.constant(SOURCE))
    assert all(len(tensor) == 3 for tensor in tf.nest.flatten((memory, state)))
    state = tf.nest.map_structure(lambda s: tf.repeat(s, rows, 0), state)
    for t in range(5):
        given = state
        step, state = model.step(tf.constant(written[:, t], tf.int32), state, memory)
        tf.nest.assert_same_structure(given, state)
        assert step.dtype == tf.float32
        np.testing.assert_allclose(step, wanted[:, t], atol=1e-5)


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("batch", [1, pytest.param(None, marks=pytest.mark.slow)])
def test_a_step_keeps_the_states_shapes_so_that_a_loop_can_run_it(name, batch):
    decoder = made(name)

    @tf.function(input_signature=[tf.TensorSpec([batch, None], tf.int32)], autograph=False)
    def write(source):
        memory, state = decoder.begin(source)
        tokens = tf.fill([batch or tf.shape(source)[0]], BOS)

        def body(t, tokens, state):
            scores, state = decoder.step(tokens, state, memory)
            return t + 1, tf.argmax(scores, -1, output_type=tf.int32), state

        return tf.while_loop(lambda t, *_: t < 3, body, (0, tokens, state))[1]

    tokens = [[BOS]]
    for _ in range(3):
        tokens = [[*tokens[0], int(logits(made(name), SOURCE[:1], tokens)[0, -1].argmax())]]
    assert int(write(SOURCE[:1])[0]) == tokens[0][-1]


@pytest.mark.parametrize("name", RECURRENT)
def test_a_loaded_model_writes_as_before(name, tmp_path):
    made(name).save(tmp_path / "model.keras")
    steps = []
    for model in (made(name), keras.models.load_model(tmp_path / "model.keras")):
        memory, state = model.begin(tf.constant(SOURCE))
        steps.append(model.step(tf.constant(TARGET[:, 0]), state, memory)[0])
    np.testing.assert_allclose(*steps, atol=1e-6)


PLACES = {
    "seq2seq-tied": [f"{kind}{n}_dropout" for kind in ("encoder", "decoder") for n in (1, 2, 3)],
    "attention_seq2seq-general": ["source_dropout", "target_dropout"],
}


@pytest.mark.parametrize("name", PLACES)
def test_dropout_has_its_places_and_is_on_in_training_alone(name):
    model, x = made(name), {"source": SOURCE, "target": TARGET}
    names = {layer.name for layer in model.layers if isinstance(layer, keras.layers.Dropout)}
    assert names == {*PLACES[name], "output_dropout"}
    assert np.abs(np.asarray(model(x, training=True)) - logits(model)).max() > 1e-2
    np.testing.assert_array_equal(model(x, training=False), logits(model))


@pytest.mark.parametrize("name", ["seq2seq", "attention_seq2seq", "attention_seq2seq-general"])
def test_a_row_of_nothing_but_padding_does_no_harm(name):
    model, x = made(name), {"source": np.where([[True], [False], [True]], SOURCE, 0), "target": TARGET}
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(x) ** 2)
    gradients = tape.gradient(loss, [w.value for w in model.trainable_variables])
    assert np.isfinite(loss) and all(np.isfinite(tf.convert_to_tensor(g)).all() for g in gradients)


@pytest.mark.parametrize("name", ["seq2seq", "attention_seq2seq", "attention_seq2seq-concat", "attention_seq2seq-dot"])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.slow)])
def test_mixed_precision_gives_about_the_same(name, policy):
    keras.mixed_precision.set_dtype_policy(policy)
    model = drawn(CASES[name].built(**CASES[name].without_dropout))
    x = {"source": SOURCE, "target": TARGET}
    assert model.output.dtype == "float32"
    np.testing.assert_allclose(model(x), logits(made(name)), atol=0.2)
    memory, state = model.begin(tf.constant(SOURCE))
    step, _ = model.step(tf.constant(TARGET[:, 0]), state, memory)
    np.testing.assert_allclose(step, np.asarray(model(x))[:, 0], atol=0.1)


# The equations


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def lstm(layer, xs, h, c):
    """Graves 2013 without peepholes: one sentence's vectors -> the state after each."""
    kernel, recurrent, bias = layer.get_weights()
    states = []
    for x in xs:
        i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append((h, c))
    return states


@pytest.mark.parametrize("residual", [False, True])
def test_the_deep_model_is_sutskevers(residual):
    """The words c, b, a and then the end; each layer's last state begins the decoder's layer of the same height."""
    model = drawn(deep(units=(4, 4, 4), residual=residual))
    layer = model.get_layer
    source_vectors, target_vectors = (layer(f"{side}_embedding").get_weights()[0] for side in ("source", "target"))
    for row in range(3):
        *words, end = SOURCE[row][SOURCE[row] > PAD]
        x, y = source_vectors[[*reversed(words), end]], target_vectors[TARGET[row]]
        for number in (1, 2, 3):
            read = lstm(layer(f"encoder{number}"), x, np.zeros(4), np.zeros(4))
            written = lstm(layer(f"decoder{number}"), y, *read[-1])
            x, y = (
                np.stack([h for h, _ in states]) + (below if residual and number > 1 else 0)
                for states, below in ((read, x), (written, y))
            )
        kernel, bias = layer("logits").get_weights()
        np.testing.assert_allclose(logits(model)[row], y @ kernel + bias, atol=1e-5)


def test_a_model_that_reverses_equals_one_that_is_given_the_reverse():
    forwards = drawn(CASES["seq2seq"].built(reverse_source=False))
    given = np.array([[4, 7, 6, 5, 2], [4, 2, 0, 0, 0], [6, 6, 8, 2, 0]])
    np.testing.assert_allclose(logits(made("seq2seq")), logits(forwards, given), atol=1e-6)
    cut = np.array([[5, 6, 7, 4, 8]])  # a sentence without its end is turned as a whole
    np.testing.assert_allclose(
        logits(made("seq2seq"), cut, TARGET[:1]), logits(forwards, cut[:, ::-1], TARGET[:1]), atol=1e-6
    )


def gru(kernel, recurrent, bias, x, h):
    """Appendix A: z is the share of what is new, r lies before the recurrent matrix."""
    (w_z, w_r, w), (u_z, u_r, u) = np.split(kernel, 3, -1), np.split(recurrent, 3, -1)
    b_z, b_r, b = np.split(bias, 3)
    z, r = sigmoid(x @ w_z + h @ u_z + b_z), sigmoid(x @ w_r + h @ u_r + b_r)
    return (1 - z) * h + z * np.tanh(x @ w + (r * h) @ u + b)


def softmax(e):
    return np.exp(e - e.max()) / np.exp(e - e.max()).sum()


def read(model, row):
    """The states of the two directions at each word of a sentence: (words, n) each. Appendix A.2.1."""
    tokens = SOURCE[row][SOURCE[row] > PAD]
    vectors = model.get_layer("source_embedding").get_weights()[0][tokens]
    made = []
    for layer, turn in (("forward_layer", 1), ("backward_layer", -1)):
        weights, states = getattr(model.get_layer("encoder"), layer).get_weights(), []
        n = len(weights[1])  # units
        weights = [np.concatenate([-w[..., :n], w[..., n:]], -1) for w in weights]  # the layer has Keras' sign of z
        h = np.zeros(n)
        for x in vectors[::turn]:
            h = gru(*weights, x, h)
            states.append(h)
        made.append(np.stack(states[::turn]))
    return made


def weights_of(decoder):
    return {w.name: np.asarray(w) for w in decoder.weights}


def bahdanau(model, row):
    """Appendix A.2.2: logits and weights of a sentence."""
    w, layer = weights_of(model.get_layer("decoder")), model.get_layer
    forward, backward = read(model, row)
    h = np.concatenate([forward, backward], -1)
    w_s, b_s = layer("first_state").get_weights()
    s, made, looked = np.tanh(backward[0] @ w_s + b_s), [], []
    e_c, b_c = layer("output").get_weights()
    w_o, b_o = layer("logits").get_weights()
    for token in TARGET[row]:
        y = layer("target_embedding").get_weights()[0][token]
        e = [w["score"] @ np.tanh(s @ w["query_kernel"] + hj @ w["key_kernel"] + w["key_bias"]) for hj in h]
        a = softmax(np.array(e))
        c = a @ h
        t = np.concatenate([s, c, y]) @ e_c + b_c  # U_o s_{i-1} + C_o c_i + V_o E y_{i-1}
        s = gru(np.vstack([w["kernel"], w["fed_kernel"]]), w["recurrent_kernel"], w["bias"], np.append(y, c), s)
        made.append(t.reshape(-1, 2).max(-1) @ w_o + b_o)
        looked.append(a)
    return np.stack(made), np.stack(looked)


def luong(model, row, score, feeding=True):
    """arXiv:1508.04025, equations (5) to (8) and section 3.3."""
    w, layer = weights_of(model.get_layer("decoder")), model.get_layer
    forward, backward = read(model, row)
    h = forward + backward if score == "dot" else np.concatenate([forward, backward], -1)
    w_s, b_s = layer("first_state").get_weights()
    s, t, made, looked = np.tanh(backward[0] @ w_s + b_s), np.zeros(len(w["output_bias"])), [], []
    w_o, b_o = layer("logits").get_weights()
    scores = {
        "dot": lambda s, hj: s @ hj,
        "general": lambda s, hj: s @ (hj @ w["key_kernel"]),
        "concat": lambda s, hj: w["score"] @ np.tanh(
            np.append(s, hj) @ np.vstack([w["query_kernel"], w["key_kernel"]]) + w["key_bias"]
        ),
    }  # fmt: skip
    for token in TARGET[row]:
        x = layer("target_embedding").get_weights()[0][token]
        kernel = w["kernel"]
        if feeding:
            x, kernel = np.append(x, t), np.vstack([kernel, w["fed_kernel"]])
        s = gru(kernel, w["recurrent_kernel"], w["bias"], x, s)
        a = softmax(np.array([scores[score](s, hj) for hj in h]))
        t = np.tanh(np.append(a @ h, s) @ w["output_kernel"] + w["output_bias"])
        made.append(t @ w_o + b_o)
        looked.append(a)
    return np.stack(made), np.stack(looked)


@pytest.mark.parametrize("name", ATTENTIVE)
def test_the_model_with_attention_is_the_papers(name):
    model, ours, looked = made(name), logits(made(name)), alignment(made(name))
    for row in range(3):
        score = CASES[name].kwargs.get("attention", "bahdanau")
        if score == "bahdanau":
            wanted, weights = bahdanau(model, row)
        else:
            wanted, weights = luong(model, row, score, CASES[name].kwargs.get("input_feeding", True))
        np.testing.assert_allclose(ours[row], wanted, atol=1e-5)
        np.testing.assert_allclose(looked[row, :, : weights.shape[-1]], weights, atol=1e-5)


@pytest.mark.parametrize("name", ATTENTIVE)
def test_attention_sums_to_one_over_real_tokens_and_is_zero_on_padding(name):
    shown = made(name).with_attention()({"source": padded(SOURCE, 2), "target": TARGET})
    weights, real = np.asarray(shown["attention"]), padded(SOURCE, 2)[:, None] > PAD
    assert weights.shape == (3, 4, 7)
    np.testing.assert_array_equal(weights[np.broadcast_to(~real, weights.shape)], 0)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)
    assert (weights[np.broadcast_to(real, weights.shape)] > 0).all()
    np.testing.assert_allclose(shown["logits"], logits(made(name)), atol=1e-6)


# The decoder's gradient


@pytest.mark.parametrize("feeding", [True, False])
@pytest.mark.parametrize("score", SCORES)
def test_the_loops_own_gradient_equals_that_of_tensorflow(score, feeding):
    batch, steps, places, units = 3, 5, 4, 6
    rng = np.random.default_rng(0)
    features = 12 if score == "bahdanau" else 8
    shapes = [(batch, steps, 2), (batch, places, 6), (batch, units), (batch, steps, features), (batch, steps, places)]
    given = [tf.constant(rng.normal(size=shape)) for shape in shapes]
    real = tf.constant(np.array([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0]], bool))

    def found(implementation):
        layer = AttentionDecoder(
            units, score, attention_units=7, output_units=8, input_feeding=feeding, implementation=implementation,
            dtype="float64",
        )  # fmt: skip
        layer.build((batch, steps, 2), (batch, places, 6))
        drawn(layer, 0.8)
        *inputs, by_features, by_weights = given
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            features, weights = layer(*inputs, real)
            loss = tf.reduce_sum(features * by_features) + tf.reduce_sum(weights * by_weights)
        return [features, weights, *tape.gradient(loss, [*inputs, *(w.value for w in layer.weights)])]

    wanted, ours = found("plain"), found("auto")
    for plain, own in zip(wanted, ours, strict=True):
        assert np.abs(plain).max() > 1e-3
        np.testing.assert_allclose(own, plain, atol=1e-12)


@pytest.mark.slow
def test_the_gradient_holds_in_a_graph_that_xla_compiles():
    """Keras compiles what it trains, if it may."""
    model, plain = drawn(attentive()), drawn(attentive(implementation="plain"))
    gradients = []
    for net, compiled in ((plain, False), (model, True)):

        @tf.function(jit_compile=compiled, autograph=False)
        def gradient(x, net=net):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(net(x) ** 2)
            return [tf.convert_to_tensor(g) for g in tape.gradient(loss, [w.value for w in net.trainable_variables])]

        gradients.append(gradient({"source": tf.constant(SOURCE), "target": tf.constant(TARGET)}))
    for wanted, ours in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


# How the weights begin


def test_the_papers_initialisers():
    model = attentive(units=60, embedding_dim=40, attention_units=50, output_units=40)
    decoder, encoder = weights_of(model.get_layer("decoder")), model.get_layer("encoder")
    directions = encoder.forward_layer, encoder.backward_layer
    for kernel in (decoder["recurrent_kernel"], *(layer.get_weights()[1] for layer in directions)):
        for block in np.split(kernel, 3, -1):
            np.testing.assert_allclose(block @ block.T, np.eye(60), atol=1e-5)
        assert np.abs(kernel[:, :60] - kernel[:, 60:120]).max() > 0.1
    for name, deviation in (("key_kernel", 1e-3), ("query_kernel", 1e-3), ("kernel", 1e-2), ("fed_kernel", 1e-2)):
        assert decoder[name].std() == pytest.approx(deviation, rel=0.1), name
    for name in ("target_embedding", "source_embedding", "first_state", "output", "logits"):
        assert model.get_layer(name).get_weights()[0].std() == pytest.approx(1e-2, rel=0.1), name
    assert not decoder["score"].any()
    assert not any(w.numpy().any() for w in model.weights if w.path.endswith("bias"))
    usual = weights_of(attentive(initializer="glorot_uniform").get_layer("decoder"))
    assert usual["score"].any() and usual["kernel"].std() == pytest.approx(np.sqrt(2 / (3 + 12)), rel=0.3)


def test_orthogonal_blocks_are_drawn_by_their_seed():
    first, second = (np.asarray(OrthogonalBlocks(seed)((4, 8))) for seed in (1, 2))
    np.testing.assert_array_equal(OrthogonalBlocks(1)((4, 8)), first)
    assert np.abs(first - second).max() > 0.1


def test_the_deep_models_weights_begin_within_the_papers_bounds():
    for weight in deep(units=(20, 20), embedding_dim=30).trainable_variables:
        assert 0.04 < np.abs(weight).max() <= 0.08, weight.path
    usual = deep(init_scale=None, forget_bias=1.0).get_layer("decoder1").get_weights()
    np.testing.assert_array_equal(usual[2], np.repeat([0.0, 1.0, 0.0, 0.0], 4))


# What is refused


@pytest.mark.parametrize(
    ("build", "kwargs", "message"),
    [
        (deep, {"units": 4}, "units must be a tuple of whole numbers"),
        (deep, {"embedding_dim": 0}, "embedding_dim must be a whole number from 1 to 1,000,000; got 0. Nearest: 1"),
        (deep, {"residual": True}, r"residual needs layers of the same units; got \(4, 3\). Nearest: \(4, 4\)"),
        (deep, {"tied": True}, "as wide as the last layer; got embedding_dim=5 and 3 units. Nearest: embedding_dim=3"),
        (deep, {"reverse_source": 1}, "reverse_source must be True or False"),
        (deep, {"dropout": 1.0}, "dropout must be a number in"),
        (deep, {"init_scale": -1}, "init_scale must be a number in"),
        (deep, {"forget_bias": "1"}, "forget_bias must be a number"),
        (deep, {"implementation": "fast"}, "implementation must be one of"),
        (attentive, {"units": (4,)}, r"units must be a whole number from 1 to 1,000,000; got \(4,\)"),
        (attentive, {"score": "general "}, "attention must be one of .*; got 'general '. Nearest: 'general'"),
        (attentive, {"input_feeding": "no"}, "input_feeding must be True or False"),
        (attentive, {"dropout": -0.1}, "dropout must be a number in"),
        (attentive, {"initializer": "papers"}, "initializer must be one of .* Nearest: 'paper'"),
        (attentive, {"implementation": "xla"}, "implementation must be one of"),
    ],
)
def test_what_cannot_be_built_is_refused_in_a_sentence(build, kwargs, message):
    with pytest.raises(ValueError, match=message):
        build(**kwargs)


def test_the_layer_refuses_what_it_cannot_score():
    with pytest.raises(ValueError, match="score must be one of bahdanau, dot, general, concat; got 'cosine'"):
        AttentionDecoder(3, "cosine")
    with pytest.raises(ValueError, match="'dot' needs annotations as wide as the state, 3; got 4"):
        AttentionDecoder(3, "dot", output_units=2).build((None, None, 2), (None, None, 4))
