"""What a masked step holds does not matter, be it NaN or infinite: not to a value, and not to a gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl import objectives
from keras_dl.layers import GRU, LSTM, AttentionDecoder, BatchNormalization, MultiHeadAttention, Transition
from keras_dl.layers.attention_cell import SCORES

B, T, D, N = 4, 5, 3, 4
MASK = np.array([[0, 1, 1, 1, 1], [1, 1, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], bool)
REAL = np.array([[1, 1, 1, 0, 0], [1, 1, 0, 1, 0], [0, 1, 1, 1, 1], [1, 1, 1, 1, 1]], bool)  # each row has one


def filled(x, mask, value):
    """x (B, T, D) with `value` where the mask is False; None: NaN and both infinities by turns."""
    bad = np.resize([np.nan, np.inf, -np.inf], x.shape) if value is None else value
    return np.where(mask[..., None], x, bad).astype("float32")


def weighted(outputs):
    """A number that depends on every entry of the outputs, on each in its own way."""
    total = 0.0
    for k, one in enumerate(tf.nest.flatten(outputs)):
        total += tf.reduce_sum(one * tf.reshape(tf.cos(tf.range(tf.size(one), dtype=one.dtype) + k), tf.shape(one)))
    return total


def values_and_gradients(call, layer, *inputs):
    """Outputs of call(*inputs), and the gradients of `weighted` of them by inputs and weights."""
    inputs = [tf.constant(x, tf.float32) for x in inputs]
    weights = [v.value for v in layer.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = call(*inputs)
        loss = weighted(outputs)
    return [np.asarray(v) for v in [*tf.nest.flatten(outputs), *tape.gradient(loss, [*inputs, *weights])]]


def assert_same(found, wanted):
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


RECURRENT = {
    "lstm": (LSTM, {}), "lstm, peephole": (LSTM, {"peephole": True}), "gru": (GRU, {}),
    "gru, reset after": (GRU, {"reset_after": True}), "rnn, relu": (Transition, {"activation": "relu"}),
    "dt(s)": (Transition, {"transition_units": (3,), "transition_activation": "maxout", "shortcut": True}),
}  # fmt: skip
HOW = {
    "plain": {"implementation": "plain"}, "scan": {"implementation": "scan"}, "backwards": {"go_backwards": True},
    "zeros": {"zero_output_for_mask": True}, "last": {"return_sequences": False},
    "dropout": {"dropout": 0.4, "recurrent_dropout": 0.3},
}  # fmt: skip


@pytest.mark.parametrize("kind", RECURRENT)
@pytest.mark.parametrize("how", HOW)
def test_recurrent_layers(kind, how):
    made, arguments = RECURRENT[kind]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(B, T, D))
    found = []
    for value in (None, 0.0):
        keras.utils.set_random_seed(1)  # the same weights, the same dropout
        layer = made(N, **{"return_sequences": True, "return_state": True, "seed": 1, **arguments, **HOW[how]})
        layer.build((None, T, D))
        states = rng.normal(size=(len(layer.state_size), B, N)) if not found else states  # noqa: F821
        found.append(values_and_gradients(
            lambda x, *s, layer=layer: layer(x, initial_state=list(s), mask=tf.constant(MASK), training=True),
            layer, filled(x, MASK, value), *states,
        ))  # fmt: skip
    assert_same(*found)


@pytest.mark.slow
@pytest.mark.parametrize("kind", RECURRENT)
def test_recurrent_layers_in_a_graph_that_xla_compiles(kind):
    made, arguments = RECURRENT[kind]
    layer = made(N, implementation="xla", return_sequences=True, **arguments)
    x = np.random.default_rng(0).normal(size=(B, T, D))
    layer.build((None, T, D))
    call = tf.function(lambda x: layer(x, mask=tf.constant(MASK), training=True))
    assert_same(*(values_and_gradients(call, layer, filled(x, MASK, value)) for value in (None, 0.0)))


def test_a_bidirectional_layer_under_a_masking_layer():
    """As users write it: the mask comes with the sequence, and NaN is what a step without a measurement holds."""
    sequences = keras.Input((None, D))
    mask = keras.Input((None,), dtype="bool")
    x = keras.layers.Bidirectional(LSTM(N, return_sequences=True))(sequences, mask=mask)
    model = keras.Model([sequences, mask], GRU(N)(x, mask=mask))
    x = np.random.default_rng(0).normal(size=(B, T, D))
    given = tf.constant(MASK)
    assert_same(*(
        values_and_gradients(lambda x: model([x, given]), model, filled(x, MASK, value)) for value in (None, 0.0)
    ))  # fmt: skip


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("implementation", ["auto", "plain"])
def test_attention_decoder(score, implementation):
    layer = AttentionDecoder(N, score, attention_units=3, output_units=2, implementation=implementation)
    layer.build((None, T, D), (None, T, N))
    rng = np.random.default_rng(0)
    targets, annotations, state = (rng.normal(size=shape) for shape in ((B, 6, D), (B, T, N), (B, N)))
    assert_same(*(
        values_and_gradients(
            lambda *given: layer(*given, tf.constant(REAL)), layer, targets, filled(annotations, REAL, value), state
        )
        for value in (None, 0.0)
    ))  # fmt: skip


@pytest.mark.parametrize("itself", [True, False])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("general", [True, False])
def test_multi_head_attention(itself, use_bias, general):
    """Of the sequence's own queries those that are real count; a mask may say of each query what it sees."""
    layer = MultiHeadAttention(2, 3, use_bias=use_bias)
    layer.build((None, T, N), None if itself else (None, T, N))
    rng = np.random.default_rng(0)
    query, memory = rng.normal(size=(2, B, T, N))
    seen = REAL[:, None] & (rng.random((B, T, T)) < 0.8) if general else REAL[:, None]
    seen = tf.constant(seen | (np.arange(T) == 3) & REAL[:, None])

    def call(x):
        outputs, _ = layer(x if itself else query.astype("float32"), None if itself else x, attention_mask=seen)
        return tf.boolean_mask(outputs, REAL)

    assert_same(*(
        values_and_gradients(call, layer, filled(query if itself else memory, REAL, value)) for value in (None, 0.0)
    ))  # fmt: skip


def test_a_step_that_no_query_sees_still_asks():
    layer = MultiHeadAttention(1, 3)
    x = np.random.default_rng(0).normal(size=(1, 3, N)).astype("float32")
    hidden = tf.constant([[[True, True, False]]])
    outputs, _ = layer(x, attention_mask=hidden)
    alone, _ = layer(x[:, 2:], x[:, :2])
    np.testing.assert_allclose(outputs[:, 2:], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", [{}, {"renorm": True}, {"scale": False}], ids=str)
def test_batch_normalisation(training, options):
    found = []
    for value in (None, 0.0):
        layer = BatchNormalization(**options)
        layer.build((None, T, D))
        x = np.random.default_rng(0).normal(size=(B, T, D))

        def call(x, layer=layer):
            outputs = layer(x, training=training, mask=tf.constant(MASK))
            assert np.isfinite(outputs).all()
            return tf.boolean_mask(outputs, MASK)

        found.append([*values_and_gradients(call, layer, filled(x, MASK, value)), *layer.get_weights()])
    assert_same(*found)


@pytest.mark.parametrize(("nll", "smoothing"), [("categorical", 0.0), ("categorical", 0.2), ("bernoulli", 0.0)])
@pytest.mark.parametrize("over", ["steps", "sequences"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_loss_s_steps_of_weight_0(nll, smoothing, over, jit_compile):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(B, T, D))
    targets = rng.integers(0, D, (B, T)) if nll == "categorical" else rng.integers(0, 2, (B, T, D)).astype("float32")
    weights = tf.constant(MASK, tf.float32) * rng.uniform(0.5, 2, (B, T)).astype("float32")
    loss = objectives.SequenceLoss(nll, over, label_smoothing=smoothing)

    @tf.function(jit_compile=jit_compile)
    def value_and_gradient(logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(targets, logits, sample_weight=weights)
        return value, tape.gradient(value, logits)

    found, wanted = ([np.asarray(v) for v in value_and_gradient(filled(logits, MASK, value))] for value in (None, 0.0))
    assert_same(found, wanted)
    assert not found[1][~MASK].any() and found[1][MASK].all()


def test_a_loss_s_targets_of_weight_0():
    """Of 0/1 vectors the targets, too, are numbers that may be NaN."""
    targets = np.ones((B, T, D), "float32")
    loss, logits = objectives.SequenceLoss("bernoulli"), tf.Variable(np.zeros((B, T, D), "float32"))
    with tf.GradientTape() as tape:
        value = loss(filled(targets, MASK, None), logits, sample_weight=tf.constant(MASK, tf.float32))
    assert float(value) == pytest.approx(D * np.log(2), rel=1e-5)
    wanted = np.broadcast_to(np.where(MASK[..., None], -0.5 / MASK.sum(), 0), targets.shape)
    np.testing.assert_allclose(tape.gradient(value, logits), wanted, rtol=1e-5)


METRICS = [objectives.NatsPerStep, objectives.Perplexity, objectives.BitsPerStep, objectives.StepAccuracy]


@pytest.mark.parametrize("made", METRICS)
@pytest.mark.parametrize("nll", ["categorical", "bernoulli"])
def test_a_metric_s_steps_of_weight_0(made, nll):
    if (made, nll) == (objectives.StepAccuracy, "bernoulli"):
        return
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(B, T, D))
    targets = rng.integers(0, D, (B, T)) if nll == "categorical" else rng.integers(0, 2, (B, T, D))
    results = []
    for value in (None, 0.0):
        metric = made(nll)
        metric.update_state(targets, filled(logits, MASK, value), sample_weight=MASK.astype("float32"))
        results.append(float(metric.result()))
    assert np.isfinite(results[0]) and results[0] == pytest.approx(results[1], rel=1e-6)


def test_a_real_step_s_nan_is_not_hidden():
    """What stops a run that has gone wrong: NaN where it counts stays NaN."""
    x = np.ones((1, 2, D), "float32")
    x[0, 1] = np.nan
    real = tf.constant([[True, True]])
    assert np.isnan(LSTM(N)(x, mask=real)).any()
    assert np.isnan(MultiHeadAttention(1, 2)(x, attention_mask=real[:, None])[0]).any()
    assert np.isnan(BatchNormalization()(x, mask=real, training=True)).any()
    assert np.isnan(AttentionDecoder(N, attention_units=2)(np.ones((1, 2, D)), x, np.ones((1, N)), real)[0]).any()
    for nll, targets in (("categorical", [[0, 0]]), ("bernoulli", np.ones((1, 2, D)))):
        assert np.isnan(objectives.SequenceLoss(nll)(targets, x, sample_weight=[[1.0, 1.0]]))
