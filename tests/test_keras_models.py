"""Models written for keras.layers run unchanged with the layers of keras_dl, and give the same numbers."""

import inspect
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl import layers

B, T, D, H = 3, 6, 4, 5
MASKED = -1.0


def ours():
    """keras.layers with our classes in place of Keras' own."""
    names = {name: getattr(keras.layers, name) for name in dir(keras.layers)}
    names |= {"LSTM": layers.LSTM, "GRU": layers.GRU, "SimpleRNN": layers.Transition}
    return types.SimpleNamespace(**names | {"BatchNormalization": layers.BatchNormalization})


# Models as users write them: a function of the module that has the layers.


def stacked(kl, rnn):
    x = inputs = keras.Input((T, D))
    x = getattr(kl, rnn)(H, return_sequences=True)(x)
    x = getattr(kl, rnn)(H, return_sequences=True, go_backwards=True)(x)
    return keras.Model(inputs, kl.Dense(2)(getattr(kl, rnn)(3)(x)))


def masked(kl, rnn):
    inputs = keras.Input((None, D))
    x = kl.Masking(MASKED)(inputs)
    x = getattr(kl, rnn)(H, return_sequences=True)(x)
    return keras.Model(inputs, [x, getattr(kl, rnn)(H, zero_output_for_mask=True)(x)])


def bidirectional(kl, rnn, merge_mode="concat"):
    inputs = keras.Input((None, D))
    x = kl.Bidirectional(getattr(kl, rnn)(H, return_sequences=True), merge_mode=merge_mode)(kl.Masking(MASKED)(inputs))
    return keras.Model(inputs, kl.Bidirectional(getattr(kl, rnn)(3, return_state=True))(x))


def summed(kl, rnn):
    return bidirectional(kl, rnn, "sum")


def two_ways(kl, rnn):
    inputs = keras.Input((T, D))
    forward, backward = getattr(kl, rnn)(H), getattr(kl, rnn)(H, go_backwards=True)
    return keras.Model(inputs, kl.Bidirectional(forward, backward_layer=backward)(inputs))


def encoder_and_decoder(kl, rnn):
    inputs = keras.Input((None, D))
    _, *states = getattr(kl, rnn)(H, return_state=True)(kl.Masking(MASKED)(inputs))
    outputs = getattr(kl, rnn)(H, return_sequences=True)(inputs, initial_state=states)
    return keras.Model(inputs, [outputs, *states])


def masked_from_a_state(kl, rnn):
    """Left padding and a first state: before the first real step Keras gives zeros."""
    inputs = keras.Input((None, D))
    _, *states = getattr(kl, rnn)(H, return_state=True)(inputs)
    x = kl.Masking(MASKED)(inputs)
    options = {"return_sequences": True, "return_state": True}
    return keras.Model(inputs, getattr(kl, rnn)(H, **options)(x, initial_state=states))


def regularized(kl, rnn):
    inputs = keras.Input((T, D))
    x = getattr(kl, rnn)(
        H, "tanh", kernel_regularizer="l2", recurrent_regularizer=keras.regularizers.L1(0.02), bias_regularizer="l1",
        activity_regularizer=keras.regularizers.L2(0.3), kernel_constraint=keras.constraints.MaxNorm(0.4),
        recurrent_constraint=keras.constraints.UnitNorm(1), bias_constraint="max_norm", use_cudnn=False, unroll=True,
        implementation=1,
    )(inputs) if rnn != "SimpleRNN" else kl.SimpleRNN(
        H, keras.activations.relu, kernel_regularizer="l2", recurrent_regularizer="l1", bias_regularizer="l1",
        kernel_constraint="max_norm", unroll=True,  # an activity_regularizer is lost in Keras' SimpleRNN 3.15
    )(inputs)  # fmt: skip
    return keras.Model(inputs, kl.Dense(1)(x))


def without_bias(kl, rnn):
    inputs = keras.Input((T, D))
    x = getattr(kl, rnn)(H, use_bias=False, return_sequences=True)(inputs)
    return keras.Model(inputs, kl.Bidirectional(getattr(kl, rnn)(H, use_bias=False))(x))


def stateful(kl, rnn):
    inputs = keras.Input(batch_shape=(B, T, D))
    x = getattr(kl, rnn)(H, return_sequences=True, stateful=True)(inputs)
    return keras.Model(inputs, kl.Bidirectional(getattr(kl, rnn)(H, stateful=True))(x))


def one_step(kl, rnn):
    inputs = keras.Input((T, D))
    x = getattr(kl, rnn)(H, stateful=False, return_state=True)(kl.Lambda(lambda x: x[:, :1])(inputs))
    return keras.Model(inputs, x)


MODELS = [
    stacked, masked, bidirectional, summed, two_ways, encoder_and_decoder, masked_from_a_state, regularized,
    without_bias, stateful, one_step,
]  # fmt: skip
KINDS = ["LSTM", "GRU", "SimpleRNN"]


def examples(seed=0):
    x = np.random.default_rng(seed).normal(size=(B, T, D)).astype("float32")
    x[0, :2] = x[1, 3] = x[2, 4:] = MASKED  # before, between, behind
    return x


def recurrent_layers(model):
    return [layer for layer in model._flatten_layers() if isinstance(layer, (layers.LSTM, layers.GRU, layers.Transition,
            keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN))]  # fmt: skip


def pair(build, kind):
    """The model with Keras' layers and with ours, of the same weights."""
    theirs, mine = build(keras.layers, kind), build(ours(), kind)
    rng = np.random.default_rng(1)
    theirs.set_weights([rng.normal(0, 0.4, w.shape) for w in theirs.get_weights()])
    assert [tuple(w.shape) for w in theirs.weights] == [tuple(w.shape) for w in mine.weights]
    mine.set_weights(theirs.get_weights())
    return theirs, mine


def assert_same(found, wanted, **tolerance):
    found, wanted = tf.nest.flatten(found), tf.nest.flatten(wanted)
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert tuple(a.shape) == tuple(b.shape)
        np.testing.assert_allclose(a, b, **{"rtol": 1e-4, "atol": 1e-5} | tolerance)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", pytest.param("SimpleRNN", marks=pytest.mark.slow)])
@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_the_same_numbers_from_the_same_weights(build, kind):
    theirs, mine = pair(build, kind)
    assert [tuple(o.shape) for o in theirs.outputs] == [tuple(o.shape) for o in mine.outputs]
    x = examples()
    for _ in range(2):  # stateful layers go on from where they were
        assert_same(mine(x), theirs(x))
    np.testing.assert_allclose(*(sorted(map(float, model.losses)) for model in (mine, theirs)), rtol=1e-4)
    for layer in recurrent_layers(theirs) + recurrent_layers(mine):
        layer.reset_state()
    assert_same(mine(x), theirs(x))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("build", [masked_from_a_state, regularized, without_bias, stateful], ids=lambda b: b.__name__)
def test_the_same_weights_after_training(build, kind):
    """Gradients through masks and states, the losses of regularizers, and constraints after each update."""
    theirs, mine = pair(build, kind)
    x = examples()
    for model in (theirs, mine):
        for layer in recurrent_layers(model):
            layer.reset_state()
        outputs = [np.full(tuple(o.shape), 0.3, "float32") for o in tf.nest.flatten(model(x))]
        y = outputs if len(outputs) > 1 else outputs[0]
        for layer in recurrent_layers(model):
            layer.reset_state()
        model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
        model.fit(x, y, batch_size=B, epochs=3, shuffle=False, verbose=0)
    assert_same(mine.get_weights(), theirs.get_weights(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_keras_config_makes_our_layer(kind):
    keras_own = getattr(keras.layers, kind)(
        H, use_bias=False, kernel_initializer="he_normal", bias_regularizer="l2", recurrent_constraint="unit_norm",
        dropout=0.2, recurrent_dropout=0.1, seed=3, return_sequences=True, return_state=True, go_backwards=True,
        stateful=True, unroll=True, name="mine", dtype="mixed_bfloat16", activity_regularizer="l1",
    )  # fmt: skip
    config = keras_own.get_config()
    mine = getattr(ours(), kind).from_config(config)
    found = mine.get_config()
    given = {name for name, value in config.items() if value is not None}
    for name in given & found.keys():
        assert found[name] == config[name], name
    assert not given - found.keys()


@pytest.mark.parametrize("kind", [*KINDS, "BatchNormalization"])
def test_arguments_by_position_are_those_of_keras(kind):
    mine, theirs = getattr(ours(), kind), getattr(keras.layers, kind)
    names = [p.name for p in inspect.signature(theirs.__init__).parameters.values()][1:-1]
    values = {
        "units": 4, "activation": "tanh", "recurrent_activation": "sigmoid", "axis": 1, "momentum": 0.7, "epsilon": 0.1,
        "dropout": 0.2, "recurrent_dropout": 0.1, "seed": 3, "use_cudnn": False, "renorm_clipping": None,
        "renorm_momentum": 0.8, "bias_initializer": "ones", "renorm": False, "synchronized": False,
    }  # fmt: skip
    by_end = {"initializer": "he_normal", "regularizer": "l2", "constraint": "max_norm"}
    given = [values.get(name, by_end.get(name.rpartition("_")[2], True)) for name in names]
    layers_made = [layer(*given) for layer in (mine, theirs)]
    configs = [layer.get_config() for layer in layers_made]
    lost = {"activity_regularizer"} if kind == "SimpleRNN" else set()  # by Keras 3.15
    for name in configs[1].keys() & set(names) - {"use_cudnn"} - lost:
        assert configs[0][name] == configs[1][name], name
    assert all(configs[0][name] == value for name, value in zip(names, given, strict=True) if name == "seed")
    with pytest.raises(TypeError, match="arguments by position"):
        mine(*given, 1)
    with pytest.raises(TypeError, match=f"{names[0]} must be given once"):
        mine(given[0], **{names[0]: given[0]})


def test_the_forget_gate_s_bias_is_exactly_1_whatever_the_initializer():
    for initializer in ("ones", "zeros", keras.initializers.RandomNormal(seed=1)):
        for unit_forget_bias in (True, False):
            options = {"bias_initializer": initializer, "unit_forget_bias": unit_forget_bias}
            mine, theirs = layers.LSTM(H, **options), keras.layers.LSTM(H, **options)
            for layer in (mine, theirs):
                layer.build((None, T, D))
            gates = [w.reshape(4, H) for w in (mine.bias.numpy(), theirs.cell.bias.numpy())]
            np.testing.assert_array_equal(gates[0][1], gates[1][1])
            if isinstance(initializer, str):
                np.testing.assert_array_equal(*gates)


def test_whole_numbers_are_a_sequence():
    x = np.arange(B * T * D).reshape(B, T, D)
    theirs, mine = pair(stacked, "LSTM")
    assert_same(recurrent_layers(mine)[0](x), recurrent_layers(theirs)[0](x))


REFUSED = [
    (lambda: layers.LSTM(H, activation="relu"), "LSTM: activation must be 'tanh', that of the equations; got 'relu'"),
    (lambda: layers.LSTM(H, activation=None), "LSTM: activation must be 'tanh'.* got None"),
    (lambda: layers.GRU(H, "tanh", "hard_sigmoid"), "GRU: recurrent_activation must be 'sigmoid'"),
    (lambda: layers.GRU(H, keras.activations.relu), "GRU: activation must be 'tanh'.* got relu"),
    (lambda: layers.Transition(H, "gelu"), "Transition: activation must be one of tanh, relu"),
    (
        lambda: layers.Transition(H, transition_activation="gelu"),
        "Transition: transition_activation must be one",
    ),
    (lambda: layers.LSTM(0), "LSTM: units must be a whole number, at least 1; got 0"),
    (lambda: layers.GRU(2.5), "GRU: units must be a whole number"),
    (lambda: layers.LSTM(H, dropout="a"), r"LSTM: dropout must be in \[0, 1\); got 'a'"),
    (lambda: layers.LSTM(H, dropout=1.0), r"LSTM: dropout must be in \[0, 1\); got 1.0"),
    (lambda: layers.LSTM(H, recurrent_dropout=-0.1), r"LSTM: recurrent_dropout must be in \[0, 1\)"),
    (lambda: layers.LSTM(H, use_cudnn=True), "LSTM: use_cudnn must be 'auto' or False"),
    (lambda: layers.LSTM(H, implementation=3), "LSTM: implementation must be one of"),
    (lambda: layers.LSTM(H, time_major=True), "time_major"),
    (lambda: layers.LSTM(H, stateful=True).build((None, T, D)), "stateful needs to know the batch size"),
    (lambda: stateful(ours(), "LSTM").layers[1](np.zeros((B + 1, T, D))), f"batches of the size .* {B}; got {B + 1}"),
    (lambda: layers.LSTM(H)(np.zeros((B, D))), "expected ndim=3, found ndim=2"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_is_refused_in_a_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Batch normalisation: Keras' own but for the running variance and two defaults.


@pytest.mark.parametrize("options", [
    {}, {"axis": 1}, {"center": False}, {"scale": False}, {"momentum": 0.5, "epsilon": 0.1},
    {"gamma_initializer": "he_normal", "beta_initializer": "ones", "moving_mean_initializer": "ones"},
    {"gamma_regularizer": "l2", "beta_regularizer": "l1", "gamma_constraint": "non_neg"},
    {"renorm": True, "renorm_clipping": {"rmax": 1.5, "dmax": 2.0}, "renorm_momentum": 0.7},
    {"synchronized": True},
], ids=str)  # fmt: skip
def test_batch_normalisation_takes_keras_arguments(options):
    defaults = {"momentum": 0.9, "epsilon": 1e-5}
    shape, axis = (8, 3, 3, 3), options.get("axis", -1)
    keras.utils.set_random_seed(1)
    mine = layers.BatchNormalization(**options)
    keras.utils.set_random_seed(1)
    theirs = keras.layers.BatchNormalization(**defaults | options)
    assert mine.get_config() | {"name": ""} == theirs.get_config() | {"name": ""}
    for layer in (mine, theirs):
        keras.utils.set_random_seed(2)
        layer.build(shape)
        gamma = [w for w in layer.trainable_variables if w.name == "gamma"]
        for weight in gamma:
            weight.assign(np.full(weight.shape, 1.2))
    x = np.random.default_rng(0).normal(2, 3, shape).astype("float32")
    before = np.asarray(mine.moving_variance)
    assert_same(mine(x, training=True), theirs(x, training=True))
    np.testing.assert_allclose(*(sorted(map(float, model.losses)) for model in (mine, theirs)), rtol=1e-4)
    assert_same(mine.moving_mean.numpy(), theirs.moving_mean.numpy())
    # The one difference: times m / (m - 1), what the batch adds to the running variance.
    m = x.size // x.shape[axis]
    share = 1 if mine.renorm else m / (m - 1)
    kept = mine.momentum * before
    assert_same(mine.moving_variance.numpy() - kept, (theirs.moving_variance.numpy() - kept) * share)


def test_batch_normalisation_says_where_it_differs_in_its_first_lines():
    first = layers.BatchNormalization.__doc__.split("\n\n")[1]
    for word in ("unbiased", "0.9", "1e-5", "0.99", "1e-3"):
        assert word in first
