"""Recurrent layers equal their papers' equations, in NumPy, forward and back, on every route; and what follows."""

import functools
import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_dl.layers import GRU, LSTM, Transition, recurrent, scan
from keras_dl.wording import counted

B, T, D, H = 4, 5, 2, 3

KINDS = {
    "lstm": (LSTM, {}),
    "lstm, peephole": (LSTM, {"peephole": True}),
    "gru": (GRU, {"reset_after": False}),
    "gru, reset after": (GRU, {"reset_after": True}),
    "rnn, tanh": (Transition, {}),
    "rnn, relu": (Transition, {"activation": "relu"}),
    "rnn, maxout": (Transition, {"activation": "maxout"}),
    "dt": (Transition, {"transition_units": (4, 5), "transition_activation": "sigmoid"}),
    "dt(s)": (Transition, {"transition_units": (4,), "transition_activation": "maxout", "shortcut": True}),
    "dt(s), deeper": (Transition, {"transition_units": (4, 2), "activation": "maxout", "shortcut": True}),
}
# How a sequence may be masked: before, between, after, everywhere, nowhere.
MASK = np.array([[0, 1, 1, 1, 1], [1, 1, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], bool)
VARIANTS = {  # whether there is a mask, dropout of the inputs, of the recurrence
    "bare": (False, False, False),
    "mask": (True, False, False),
    "dropout": (False, True, True),
    "mask and dropout": (True, True, True),
}


FEW = ("lstm, peephole", "gru", "gru, reset after", "dt(s)")  # where a graph or a compiler makes a case slow
FAST = [kind if kind in FEW else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]

# The papers' equations: one step, x (B, D), states (B, H), weights by name, `drop` on h where a matrix multiplies it.


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def maxout(a):
    """Goodfellow et al., arXiv:1302.4389: the largest of two linear units, which lie side by side."""
    return np.maximum(a[:, 0::2], a[:, 1::2])


PHI = {"tanh": np.tanh, "relu": lambda a: np.maximum(a, 0), "sigmoid": sigmoid, "maxout": maxout}


def graves(w, x, states, drop, peephole=False):
    """arXiv:1308.0850, equations (7) to (11)."""
    h, c = states
    w_xi, w_xf, w_xc, w_xo = np.hsplit(w["kernel"], 4)
    w_hi, w_hf, w_hc, w_ho = np.hsplit(w["recurrent_kernel"], 4)
    b_i, b_f, b_c, b_o = np.split(w["bias"], 4)
    w_ci, w_cf, w_co = np.vsplit(w["peepholes"], 3) if peephole else (0.0, 0.0, 0.0)
    h = h * drop
    i = sigmoid(x @ w_xi + h @ w_hi + w_ci * c + b_i)
    f = sigmoid(x @ w_xf + h @ w_hf + w_cf * c + b_f)
    c = f * c + i * np.tanh(x @ w_xc + h @ w_hc + b_c)
    o = sigmoid(x @ w_xo + h @ w_ho + w_co * c + b_o)
    return o * np.tanh(c), c


def chung(w, x, states, drop, reset_after=False):
    """arXiv:1412.3555, equations (5) to (8); the weights of z are kept with the other sign, as Keras has them."""
    (h,) = states
    w_z, w_r, w_c = np.hsplit(w["kernel"], 3)
    u_z, u_r, u_c = np.hsplit(w["recurrent_kernel"], 3)
    outer, inner = w["bias"] if reset_after else (w["bias"], np.zeros_like(w["bias"]))
    (b_z, b_r, b_c), (a_z, a_r, a_c) = np.split(outer, 3), np.split(inner, 3)
    z = sigmoid(-(x @ w_z + (h * drop) @ u_z + b_z + a_z))
    r = sigmoid(x @ w_r + (h * drop) @ u_r + b_r + a_r)
    inside = r * ((h * drop) @ u_c + a_c) if reset_after else (r * (h * drop)) @ u_c
    return ((1 - z) * h + z * np.tanh(x @ w_c + inside + b_c),)


def pascanu(w, x, states, drop, transition_units=(), activation="tanh", transition_activation="tanh", shortcut=False):
    """arXiv:1312.6026, section 3.2.2."""
    (h,) = states
    names = [transition_activation] * len(transition_units) + [activation]
    last = len(names)
    widths = [w[f"recurrent_kernel{k}"].shape[1] for k in range(1, last + 1)]
    u, b = np.split(w["kernel"], np.cumsum(widths)[:-1], 1), np.split(w["bias"], np.cumsum(widths)[:-1])
    a = h * drop
    for k, name in enumerate(names, 1):
        pre = a @ w[f"recurrent_kernel{k}"]
        pre = pre + x @ u[k - 1] + b[k - 1] if k == 1 or shortcut else pre + w[f"bias{k}"]
        if k == last and shortcut:
            pre = pre + (h * drop) @ w["shortcut_kernel"]
        a = PHI[name](pre)
    return (a,)


def over_time(kind, w, x, states, mask=None, keep=1.0, drop=1.0):
    """Outputs (B, T, H) and final states; where the mask is False nothing happens, and before the first step that is
    real nothing has come out."""
    layer, kwargs = KINDS[kind]
    step = {LSTM: graves, GRU: chung, Transition: pascanu}[layer]
    outputs = []
    for t in range(x.shape[1]):
        new = step(w, x[:, t] * keep, states, drop, **kwargs)
        if mask is not None:
            new = tuple(np.where(mask[:, t, None], n, s) for n, s in zip(new, states, strict=True))
        states = new
        begun = True if mask is None else mask[:, : t + 1].any(1)[:, None]
        outputs.append(np.where(begun, states[0], 0))
    return np.stack(outputs, 1), states


def layer_for(kind, inputs=D, units=H, *, scale=0.8, **kwargs):
    """A layer with every weight drawn at random, biases too."""
    layer, own = KINDS[kind]
    layer = layer(units, **{"return_sequences": True, "return_state": True, "dtype": "float64", **own, **kwargs})
    layer.build((None, None, inputs))
    rng = np.random.default_rng(1)
    for weight in layer.trainable_variables:
        weight.assign(rng.normal(0, scale, weight.shape))
    return layer


def example(layer, batch=B, steps=T, inputs=D):
    """Inputs, initial states, upstream gradients into outputs and final states."""
    rng, states = np.random.default_rng(2), len(layer.state_size)
    x, dy = rng.normal(size=(batch, steps, inputs)), rng.normal(size=(batch, steps, layer.units))
    first, last = rng.normal(size=(2, states, batch, layer.units))
    return x, list(first * 0.5), dy, list(last)


def masks():
    """Fixed dropout masks: of inputs (B, D) at rate 0.5, of the recurrence (B, H) at 0.4."""
    rng = np.random.default_rng(3)
    return (rng.random((B, D)) < 0.5) / 0.5, (rng.random((B, H)) < 0.6) / 0.6


@pytest.fixture
def fixed_dropout(monkeypatch):
    """Dropout draws masks() always."""
    keep, drop = masks()
    fixed = {(B, 1, D): keep[:, None], (B, H): drop}
    monkeypatch.setattr(keras.random, "dropout", lambda x, rate, seed: x * tf.cast(fixed[tuple(x.shape)], x.dtype))


def differentiate(layer, x, states, dy, ds, **call):
    """Outputs, final states, and the gradients of sum(dy * outputs) + sum(ds * states), by name."""
    dtype = layer.compute_dtype
    x, dy = tf.constant(x, dtype), tf.constant(dy, dtype)
    states = None if states is None else [tf.constant(s, dtype) for s in states]
    sources = {"x": x, **{f"state{n}": s for n, s in enumerate(states or ())}}
    sources |= {v.name: v.value for v in layer.trainable_variables}
    with tf.GradientTape() as tape:
        tape.watch([x, *(states or ())])
        outputs, *final = layer(x, initial_state=states, **call)
        loss = tf.reduce_sum(dy * outputs) + sum(tf.reduce_sum(d * s) for d, s in zip(ds, final, strict=True))
    gradients = tape.gradient(loss, list(sources.values()))
    assert all(g is not None for g in gradients), dict(zip(sources, gradients, strict=True))
    return outputs, final, dict(zip(sources, (np.asarray(g) for g in gradients), strict=True))


@functools.cache
def expected(kind, variant):
    """The equations' outputs and states, and by central finite differences their gradients."""
    layer = layer_for(kind)
    x, states, dy, ds = example(layer)
    masked, of_inputs, of_recurrence = VARIANTS[variant]
    keep, drop = masks()
    fixed = (MASK if masked else None, keep if of_inputs else 1.0, drop if of_recurrence else 1.0)
    w = {v.name: v.numpy() for v in layer.trainable_variables}
    arrays = {"x": x, **{f"state{n}": s for n, s in enumerate(states)}, **w}

    def loss():
        outputs, final = over_time(kind, w, x, tuple(states), *fixed)
        return (dy * outputs).sum() + sum((d * s).sum() for d, s in zip(ds, final, strict=True))

    gradients = {name: np.zeros_like(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        for index in np.ndindex(array.shape):
            kept, values = array[index], []
            for step in (1e-5, -1e-5):
                array[index] = kept + step
                values.append(loss())
            array[index] = kept
            gradients[name][index] = (values[0] - values[1]) / 2e-5
    return *over_time(kind, w, x, tuple(states), *fixed), gradients


def assert_equal(found, wanted, rtol=1e-7, atol=1e-8):
    (outputs, states, gradients), (e_outputs, e_states, e_gradients) = found, wanted
    np.testing.assert_allclose(outputs, e_outputs, rtol=rtol, atol=atol, err_msg="outputs")
    for state, e_state in zip(states, e_states, strict=True):
        np.testing.assert_allclose(state, e_state, rtol=rtol, atol=atol, err_msg="final state")
    assert gradients.keys() == e_gradients.keys()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, e_gradients[name], rtol=rtol, atol=atol, err_msg=f"gradient by {name}")


EQUATIONS = [
    *(pytest.param(kind, route, variant, marks=[pytest.mark.slow] if variant in ("mask", "dropout") else [])
      for kind in KINDS for route in ("plain", "scan") for variant in VARIANTS),
    *(pytest.param(kind, "xla", "bare", marks=pytest.mark.slow) for kind in KINDS),
    *((kind, "xla", "mask and dropout") for kind in KINDS),
    *((kind, "fused", "bare") for kind in KINDS if kind.startswith("lstm")),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "route", "variant"), EQUATIONS)
def test_forward_and_back_are_the_papers_equations(kind, route, variant, fixed_dropout):
    masked, of_inputs, of_recurrence = VARIANTS[variant]
    layer = layer_for(
        kind, implementation=route, dropout=0.5 * of_inputs, recurrent_dropout=0.4 * of_recurrence,
        dtype="float32" if route == "fused" else "float64",
    )  # fmt: skip
    mask = {"mask": tf.constant(MASK)} if masked else {}
    found = differentiate(layer, *example(layer), training=True, **mask)
    # What float32 keeps; with float64 what finite differences keep.
    tolerance = {"rtol": 1e-4, "atol": 2e-5} if route == "fused" else {"rtol": 1e-6, "atol": 1e-7}
    assert_equal(found, expected(kind, variant), **tolerance)
    if route != "fused":
        np.testing.assert_allclose(found[0], expected(kind, variant)[0], rtol=1e-10)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("units", [recurrent.FUSED_UNITS, recurrent.FUSED_UNITS + 1])
@pytest.mark.parametrize("implementation", recurrent.IMPLEMENTATIONS)
def test_a_layer_runs_by_the_route_it_was_asked_for(kind, units, implementation, monkeypatch):
    ran, result = [], (tf.zeros((T, B, units)), (tf.zeros((B, units)),) * 2)
    for route in ("plain", "scan", "xla", "fused"):
        monkeypatch.setattr(scan, route, lambda *_, route=route: (ran.append(route), result)[1])
    x, mask = tf.zeros((B, T, D)), tf.constant(MASK)
    for training, rate, masked in ((False, 0.0, None), (True, 0.0, None), (True, 0.0, mask), (True, 0.5, None)):
        layer = layer_for(kind, units=units, implementation=implementation, recurrent_dropout=rate, dtype="float32")
        layer(x, mask=masked, training=training)
    fits = kind == "lstm"
    assert (
        ran
        == {
            "auto": ["fused", "fused", "scan", "scan"] if fits and units <= recurrent.FUSED_UNITS else ["scan"] * 4,
            "plain": ["plain"] * 4,
            "scan": ["scan"] * 4,
            "xla": ["scan", "xla", "xla", "xla"],  # a server may have no compiler
            "fused": ["fused", "fused", "scan", "scan"] if fits else ["scan"] * 4,
        }[implementation]
    )
    del ran[:]
    layer_for(kind, units=units, implementation=implementation)(x)  # float64, which the kernel lacks
    assert ran == ["plain" if implementation == "plain" else "scan"]


# Against Keras' own layers, which other people have tested.

TWINS = {
    "lstm": (keras.layers.LSTM, {}),
    "gru": (keras.layers.GRU, {"reset_after": False}),
    "gru, reset after": (keras.layers.GRU, {"reset_after": True}),
    "rnn, tanh": (keras.layers.SimpleRNN, {}),
    "rnn, relu": (keras.layers.SimpleRNN, {"activation": "relu"}),
}


def twin_of(kind, layer, **kwargs):
    made, own = TWINS[kind]
    twin = made(H, **own, return_sequences=True, return_state=True, dtype=layer.dtype, **kwargs)
    twin.build((None, None, D))
    twin.set_weights(layer.get_weights())
    return twin


@pytest.mark.parametrize("kind", TWINS)
@pytest.mark.parametrize("masked", ["no mask", "mask", "mask, no state"])
@pytest.mark.parametrize(("dtype", "go_backwards"), [  # of an LSTM "auto" takes the kernel in float32, else the loop
    ("float32", False), ("float64", True), *(pytest.param(*case, marks=pytest.mark.slow) for case in
                                             [("float32", True), ("float64", False)]),
])  # fmt: skip
def test_keras_layers_compute_the_same(kind, masked, dtype, go_backwards):
    layer = layer_for(kind, go_backwards=go_backwards, dtype=dtype)
    twin = twin_of(kind, layer, go_backwards=go_backwards)
    x, states, dy, ds = example(layer)
    mask = {} if masked == "no mask" else {"mask": tf.constant(MASK)}
    states = None if masked == "mask, no state" else states
    outputs, final, gradients = differentiate(layer, x, states, dy, ds, **mask)
    wanted = differentiate(twin, x, states, dy, ds, **mask)
    gradients = {name if name == "state1" else name.rstrip("1"): value for name, value in gradients.items()}
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-11}
    assert_equal((outputs, final, gradients), wanted, **tolerance)


@pytest.mark.parametrize("kind", TWINS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_bidirectional_works_as_over_keras_layers(kind, masked, return_sequences):
    made, own = KINDS[kind]
    ours = keras.layers.Bidirectional(made(H, return_sequences=return_sequences, return_state=True, **own))
    made, own = TWINS[kind]
    twin = keras.layers.Bidirectional(made(H, return_sequences=return_sequences, return_state=True, **own))
    for layer in (ours, twin):
        layer.build((None, None, D))
    rng = np.random.default_rng(1)
    for one, other in ((ours.forward_layer, twin.forward_layer), (ours.backward_layer, twin.backward_layer)):
        for v in one.trainable_variables:
            v.assign(rng.normal(size=v.shape))
        other.set_weights(one.get_weights())
    x = rng.normal(size=(B, T, D)).astype("float32")
    mask = {"mask": tf.constant(MASK)} if masked else {}
    found, wanted = ours(x, **mask), twin(x, **mask)
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


# Sequences of several lengths.


@pytest.mark.parametrize("kind", FAST)
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("implementation", ["auto", "plain"])
def test_a_padded_batch_is_its_sequences_one_by_one(kind, side, implementation):
    layer = layer_for(kind, implementation=implementation, dtype="float32")
    x, states, dy, ds = example(layer)
    lengths = [5, 3, 1, 2]
    mask = np.arange(T) < np.array(lengths)[:, None]
    mask = mask[:, ::-1].copy() if side == "left" else mask
    x = np.where(mask[..., None], x, 7.0)  # what stands in the padding does not matter
    dy = dy * mask[..., None]
    outputs, final, gradients = differentiate(layer, x, states, dy, ds, mask=tf.constant(mask))
    total = dict.fromkeys((v.name for v in layer.trainable_variables), 0.0)
    for n in range(B):
        real = mask[n]
        alone = differentiate(layer, x[n : n + 1, real], [s[n : n + 1] for s in states], dy[n : n + 1, real],
                              [d[n : n + 1] for d in ds])  # fmt: skip
        np.testing.assert_allclose(outputs[n][real], alone[0][0], rtol=1e-5, atol=1e-6)
        for state, one in zip(final, alone[1], strict=True):
            np.testing.assert_allclose(state[n], one[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(gradients["x"][n, real], alone[2]["x"][0], rtol=1e-4, atol=1e-5)
        assert not gradients["x"][n, ~real].any()
        for s in range(len(states)):
            np.testing.assert_allclose(gradients[f"state{s}"][n], alone[2][f"state{s}"][0], rtol=1e-4, atol=1e-5)
        total = {name: value + alone[2][name] for name, value in total.items()}
    for name, value in total.items():
        np.testing.assert_allclose(gradients[name], value, rtol=1e-4, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_output_is_the_last_real_steps(kind):
    layer, sequences = layer_for(kind, return_sequences=False, return_state=False), layer_for(kind)
    x, states, *_ = example(layer)
    outputs, *final = sequences(x, initial_state=states, mask=tf.constant(MASK))
    last = layer(x, initial_state=states, mask=tf.constant(MASK))
    np.testing.assert_array_equal(last, outputs[:, -1])
    np.testing.assert_array_equal(last, np.where(MASK.any(1)[:, None], final[0], 0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("lengths", "implementation"), [((2, 3), "auto"), ((2, 3), "plain"), ((1,) * 5, "auto")])
def test_parts_with_the_state_handed_over_are_the_whole(kind, lengths, implementation):
    """A step alone takes a path without a loop; its gradients too must be those of the whole."""
    layer = layer_for(kind, implementation=implementation, dtype="float32")
    x, states, dy, ds = example(layer)
    whole = differentiate(layer, x, states, dy, ds)
    values = [v.value for v in layer.trainable_variables]
    first = [tf.constant(s, "float32") for s in states]
    x = tf.constant(x, "float32")
    with tf.GradientTape() as tape:
        tape.watch([x, *first])
        parts, handed = [], first
        for part in tf.split(x, lengths, 1):
            outputs, *handed = layer(part, initial_state=handed)
            assert outputs.shape == (B, part.shape[1], H)
            parts.append(outputs)
        outputs = tf.concat(parts, 1)
        loss = tf.reduce_sum(dy.astype("float32") * outputs)
        loss += sum(tf.reduce_sum(d.astype("float32") * s) for d, s in zip(ds, handed, strict=True))
    gradients = [np.asarray(g) for g in tape.gradient(loss, [x, *first, *values])]
    assert_equal((outputs, handed, dict(zip(whole[2], gradients, strict=True))), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", FEW)
def test_a_masked_step_alone_changes_nothing(kind):
    layer = layer_for(kind)
    x, states, *_ = example(layer, steps=1)
    mask = np.array([True, False, False, True])[:, None]
    _, *bare = layer(x, initial_state=states)
    outputs, *final = layer(x, initial_state=states, mask=tf.constant(mask))
    for state, new, old in zip(final, bare, states, strict=True):
        np.testing.assert_allclose(state, np.where(mask, new, old), rtol=1e-10)
    np.testing.assert_array_equal(outputs[:, 0], np.where(mask, final[0], 0))


@pytest.mark.parametrize("kind", FEW)
def test_a_mask_goes_on_to_the_layers_above_and_ends_with_the_sequence(kind):
    below, above = layer_for(kind, dtype="float32"), layer_for(kind, inputs=H, dtype="float32", return_state=False)
    last = layer_for(kind, inputs=H, dtype="float32", return_sequences=False)
    x, *_ = example(below)
    x, mask = np.where(MASK[..., None], x, 9.0).astype("float32"), tf.constant(MASK)
    sequences = keras.Input((None, D))
    middle, *_ = below(keras.layers.Masking(9.0)(sequences))
    model = keras.Model(sequences, [above(middle), last(middle)[0]])
    by_hand = np.asarray(below(x, mask=mask)[0])  # an array carries no mask
    found = model(x)
    np.testing.assert_allclose(found[0], above(by_hand, mask=mask), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1], last(by_hand, mask=mask)[0], rtol=1e-5, atol=1e-6)
    assert not np.allclose(found[0], above(by_hand), atol=1e-3)  # the mask does matter
    assert all(m is None for m in last.compute_mask(by_hand, mask))


# Gradients through time, as the lecture writes them.


@pytest.mark.parametrize("implementation", ["plain", "scan", "xla"])
def test_backpropagation_is_the_sum_over_all_pairs_of_steps(implementation):
    """dC/dW = sum_t sum_{k<=t} dC/dh(t) [prod_{k<j<=t} dh(j)/dh(j-1)] d+h(k)/dW, C = sum_t dy(t) h(t)."""
    layer = layer_for("rnn, tanh", implementation=implementation)
    x, (h0,), dy, _ = example(layer, batch=1)
    none = [np.zeros((1, H))]
    _, _, gradients = differentiate(layer, x, [h0], dy, none, training=True)
    w, u, b = (layer.recurrent_kernels[0].numpy(), layer.kernel.numpy(), layer.bias.numpy())
    h = [h0[0]]
    for t in range(T):
        h.append(np.tanh(h[-1] @ w + x[0, t] @ u + b))
    jacobian = [None, *((1 - s[:, None] ** 2) * w.T for s in h[1:])]  # dh(j)/dh(j-1), (H, H): from the right
    by_w = np.zeros((H, H))
    for t in range(1, T + 1):
        for k in range(1, t + 1):
            product = np.eye(H)
            for j in range(k + 1, t + 1):
                product = jacobian[j] @ product
            # d+h(k)/dW: h(k-1) held fixed. Of h(k)[n] by W[m, n'] it is (1 - h(k)[n]^2) h(k-1)[m] where n = n'.
            immediate = np.einsum("n,m,no->nmo", 1 - h[k] ** 2, h[k - 1], np.eye(H))
            by_w += np.einsum("n,no,omp->mp", dy[0, t - 1], product, immediate)
    np.testing.assert_allclose(gradients["recurrent_kernel1"], by_w, rtol=1e-5, atol=1e-8)


def jacobians(layer, x, h0):
    """dh(t)/dh(0) for t = 1 ... T, (T, H, H), by the layer's own gradient: one row of the batch for each (t, unit)."""
    steps, units = len(x), len(h0)
    dy = np.eye(steps * units).reshape(steps * units, steps, units)
    x, h0 = np.tile(x, (steps * units, 1, 1)), np.tile(h0, (steps * units, 1))
    outputs, _, gradients = differentiate(layer, x, [h0], dy, [np.zeros_like(h0)])
    return np.asarray(outputs)[0], gradients["state0"].reshape(steps, units, units)


def recurrent_layer(w, activation, implementation="scan"):
    layer = layer_for("rnn, tanh", len(w), len(w), activation=activation, implementation=implementation)
    layer.recurrent_kernels[0].assign(w)
    layer.kernel.assign(np.eye(len(w)))
    layer.bias.assign(np.zeros(len(w)))
    return layer


@pytest.mark.parametrize("rho", [0.8, 1.0, 1.2])
@pytest.mark.parametrize("implementation", ["plain", "scan"])
def test_in_a_linear_network_the_gradient_vanishes_or_explodes_with_the_spectral_radius(rho, implementation):
    """W = rho Q, Q orthogonal: the norm of dh(t)/dh(k) is rho^(t-k) exactly."""
    rng, units, steps = np.random.default_rng(0), 4, 30
    w = rho * np.linalg.qr(rng.normal(size=(units, units)))[0]
    wanted = rng.uniform(0.5, 1.5, (steps + 1, units))  # positive states, where relu is linear: x takes them there
    x = wanted[1:] - wanted[:-1] @ w
    outputs, found = jacobians(recurrent_layer(w, "relu", implementation), x, wanted[0])
    np.testing.assert_allclose(outputs, wanted[1:], rtol=1e-9)
    powers = [np.linalg.matrix_power(w.T, t) for t in range(1, steps + 1)]
    np.testing.assert_allclose(found, powers, rtol=1e-8, atol=1e-10)
    norms = np.linalg.norm(found, 2, axis=(1, 2))
    np.testing.assert_allclose(norms, rho ** np.arange(1, steps + 1), rtol=1e-8)


def test_with_tanh_the_gradient_is_bounded_by_the_largest_singular_value():
    rng, units, steps = np.random.default_rng(0), 4, 30
    w = rng.normal(size=(units, units))
    largest = np.linalg.svd(w, compute_uv=False)[0]
    for sigma in (0.9, 1.3):
        layer = recurrent_layer(w * sigma / largest, "tanh")
        states, found = jacobians(layer, 0.3 * rng.normal(size=(steps, units)), 0.1 * rng.normal(size=units))
        norms = np.linalg.norm(found, 2, axis=(1, 2))
        assert (norms < sigma ** np.arange(1, steps + 1)).all()
        # Tighter, the product of each step's own bound; and the first step all but reaches it.
        slopes = np.cumprod([(1 - h**2).max() * sigma for h in states])
        assert (norms <= slopes * (1 + 1e-9)).all() and norms[0] > 0.7 * sigma


# Dropout.


@pytest.mark.parametrize("kind", KINDS)
def test_recurrent_dropout_drops_the_same_units_at_every_step(kind):
    """A unit dropped at all steps gives its row of the recurrent kernels no gradient; per step, a row in 2^8 would."""
    # "plain": its gradient is TensorFlow's, of what the steps really multiplied.
    layer = layer_for(kind, units=40, implementation="plain", recurrent_dropout=0.5, scale=0.3, seed=1)
    x, states, dy, ds = example(layer, batch=1, steps=8)
    *_, gradients = differentiate(layer, x, states, dy, ds, training=True)
    entering = {"recurrent_kernel", "recurrent_kernel1", "shortcut_kernel"} & gradients.keys()
    (dropped, *others) = [~gradients[name].any(1) for name in sorted(entering)]
    assert 10 <= dropped.sum() <= 30
    assert all((dropped == other).all() for other in others)
    *_, gradients = differentiate(layer, x, states, dy, ds, training=True)  # another call, other units
    assert ((~gradients[sorted(entering)[0]].any(1)) != dropped).any()


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_recurrent_dropout_leaves_the_expectation_and_inference_alone(rate):
    """h = relu(keep * h' + 1): a kept unit is a geometric sum, a dropped one stays at 1."""
    layer = recurrent_layer(np.eye(4), "relu")
    layer = Transition.from_config(layer.get_config() | {"recurrent_dropout": rate, "seed": 1})
    layer.build((None, None, 4))
    layer.set_weights([np.eye(4), np.eye(4), np.ones(4), *(w.numpy() for w in layer.weights[3:])])
    x = np.zeros((1000, 4, 4))
    outputs, _ = layer(x, training=True)
    kept = np.asarray(outputs)[:, 1] > 1.5
    sums = np.cumsum((1 / (1 - rate)) ** np.arange(4))
    np.testing.assert_allclose(outputs, np.where(kept[:, None], sums[:, None], 1.0), rtol=1e-9)
    assert abs(kept.mean() - (1 - rate)) < 0.05
    assert abs(np.asarray(outputs)[:, 1].mean() - 2) < 0.1  # 1 + E[keep], E[keep] = 1
    assert len(np.unique(kept, axis=0)) > 8  # each sequence its own units
    outputs, _ = layer(x, training=False)
    np.testing.assert_array_equal(outputs, np.broadcast_to(np.arange(1.0, 5)[:, None], outputs.shape))


def test_input_dropout_hides_the_same_inputs_at_every_step():
    layer = Transition(6, activation="relu", dropout=0.4, return_sequences=True, seed=1)
    layer.build((None, None, 6))
    layer.kernel.assign(np.eye(6))
    layer.recurrent_kernels[0].assign(np.zeros((6, 6)))
    x = np.random.default_rng(0).uniform(1, 2, (400, 7, 6)).astype("float32")
    ratio = np.asarray(layer(x, training=True)) / x
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1], ratio.shape), rtol=1e-5)
    np.testing.assert_allclose(np.unique(ratio.round(4)), [0, 1 / 0.6], rtol=1e-3)
    assert abs(ratio.mean() - 1) < 0.06 and (ratio[0] != ratio[1:]).any()
    np.testing.assert_allclose(layer(x, training=False), x, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_alone_drops_too(kind):
    layer = layer_for(kind, recurrent_dropout=0.5, seed=1)
    x, states, *_ = example(layer, batch=1, steps=1)
    found = [np.asarray(layer(x, initial_state=states, training=True)[0]) for _ in range(8)]
    assert len(np.unique(np.round(found, 6), axis=0)) > 1


@pytest.mark.parametrize("rates", [{"dropout": 0.5}, {"recurrent_dropout": 0.5}])
def test_dropout_is_repeated_by_its_seed_and_its_state(rates):
    def draws(layer):
        return [np.asarray(layer(x, training=True)[0]) for _ in range(2)]

    one, same, other = (layer_for("lstm", **rates, seed=seed) for seed in (1, 1, 2))
    x, *_ = example(one)
    first, again, different = draws(one), draws(same), draws(other)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(*first) and not np.array_equal(first, different)
    # What a checkpoint holds is enough to go on from.
    state = one.seed_generator.state
    assert any(v is state for v in one.variables) and all(v is not state for v in one.trainable_variables)
    kept = [v.numpy() for v in one.variables]
    after = draws(one)
    for v, value in zip(other.variables, kept, strict=True):
        v.assign(value)
    np.testing.assert_array_equal(draws(other), after)


# Precision, shapes, files.


@pytest.mark.parametrize("kind", FEW)
@pytest.mark.parametrize("route", ["auto", "plain", "scan", pytest.param("xla", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("dtype", "error"), [("float16", 4e-3), ("bfloat16", 3e-2)])
def test_half_precision_computes_nearly_the_same(kind, route, dtype, error, fixed_dropout):
    half = layer_for(kind, implementation=route, dtype=f"mixed_{dtype}", recurrent_dropout=0.4, scale=0.5)
    full = layer_for(kind, implementation="plain", dtype="float32", recurrent_dropout=0.4, scale=0.5)
    assert {v.dtype for v in half.trainable_variables} == {"float32"}
    x, states, dy, ds = example(full)
    arguments = {"training": True, "mask": tf.constant(MASK)}
    outputs, final, gradients = differentiate(half, x, states, dy, ds, **arguments)
    wanted, _, by = differentiate(full, x, states, dy, ds, **arguments)
    assert outputs.dtype == dtype and all(s.dtype == dtype for s in final)
    np.testing.assert_allclose(tf.cast(outputs, "float32"), wanted, atol=error)
    assert all(np.isfinite(g.astype("float32")).all() and g.any() for g in gradients.values())


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAST)
@pytest.mark.parametrize("implementation", ["auto", "plain"])
def test_one_graph_serves_any_batch_and_any_length(kind, implementation):
    """And in a graph the gradients are those without one."""
    layer = layer_for(kind, implementation=implementation, dtype="float32")
    values = [v.value for v in layer.trainable_variables]
    traces = []

    @tf.function(input_signature=[tf.TensorSpec((None, None, D)), tf.TensorSpec((None, None), tf.bool)])
    def masked(x, mask):
        traces.append(mask)
        return loss(x, mask)

    @tf.function(input_signature=[tf.TensorSpec((None, None, D))])
    def bare(x):
        traces.append(x)
        return loss(x, None)

    def loss(x, mask):
        with tf.GradientTape() as tape:
            outputs, *final = layer(x, mask=mask, training=True)
            value = tf.reduce_sum(tf.cos(tf.range(H, dtype="float32")) * outputs**2) + tf.reduce_sum(final[-1])
        assert outputs.shape[-1] == H
        return outputs, *tape.gradient(value, values)

    rng = np.random.default_rng(0)
    for batch, steps in ((2, 3), (3, 7), (1, 1)):
        x, mask = (
            tf.constant(rng.normal(size=(batch, steps, D)), "float32"),
            tf.constant(rng.random((batch, steps)) < 0.7),
        )
        for found, wanted in ((bare(x), loss(x, None)), (masked(x, mask), loss(x, mask))):
            for one, other in zip(found, wanted, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert len(traces) == 2


@pytest.mark.parametrize("kind", FEW)
@pytest.mark.parametrize("implementation", ["auto", "plain", "scan"])
def test_states_of_a_known_batch_may_meet_sequences_of_an_unknown_one(kind, implementation):
    layer = layer_for(kind, implementation=implementation, dtype="float32")
    x, states, *_ = example(layer)
    states = [tf.constant(s, "float32") for s in states]
    x = tf.constant(x, "float32")
    call = tf.function(lambda x: layer(x, initial_state=states), input_signature=[tf.TensorSpec((None, None, D))])
    for found, wanted in zip(call(x), layer(x, initial_state=states), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


SHARED = {
    "kernel_initializer": "he_normal", "recurrent_initializer": "glorot_normal", "bias_initializer": "ones",
    "kernel_regularizer": "l2", "recurrent_regularizer": "l1", "bias_regularizer": keras.regularizers.L1L2(0.1, 0.2),
    "activity_regularizer": "l1",
    "kernel_constraint": "max_norm", "recurrent_constraint": "unit_norm", "bias_constraint": "non_neg",
    "dropout": 0.3, "recurrent_dropout": 0.2, "return_sequences": True, "return_state": True, "go_backwards": True,
    "stateful": True, "unroll": True, "zero_output_for_mask": True, "implementation": "scan", "seed": 5,
}  # fmt: skip
ONLY = {"use_cudnn", "activation", "recurrent_activation", "use_bias"}  # one value, or tested below
NOT_DEFAULT = {
    LSTM: {"peephole": True, "forget_bias": 0.25, "unit_forget_bias": False},
    GRU: {"reset_after": False},
    Transition: {"transition_units": (4, 2), "transition_activation": "relu", "shortcut": True},
}  # fmt: skip


@pytest.mark.parametrize("made", NOT_DEFAULT)
def test_a_saved_layer_comes_back_with_every_argument(made, tmp_path):
    arguments = NOT_DEFAULT[made] | SHARED
    parameters = [*inspect.signature(made).parameters.values(),
                  *inspect.signature(recurrent.Recurrent).parameters.values()]  # fmt: skip
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty and p.name not in ONLY}
    assert arguments.keys() == defaults.keys()
    assert all(arguments[name] != default for name, default in defaults.items())

    layer = made(H, **arguments, dtype="mixed_bfloat16", name="recurrent")
    sequences = keras.Input(batch_shape=(B, None, D))
    model = keras.Model(sequences, layer(keras.layers.Masking(9.0)(sequences)))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(size=w.shape) if w.dtype == "float32" else w for w in layer.get_weights()])
    x = np.where(MASK[..., None], rng.normal(size=(B, T, D)), 9.0).astype("float32")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = loaded.get_layer("recurrent")
    assert type(again) is made and again.get_config() == layer.get_config()
    objects = ("initializer", "regularizer", "constraint")
    assert {name: getattr(again, name) for name in arguments if not name.endswith(objects)} == {
        name: value for name, value in arguments.items() if not name.endswith(objects)
    }
    assert type(again.recurrent_initializer) is keras.initializers.GlorotNormal
    assert type(again.bias_regularizer) is keras.regularizers.L1L2
    assert type(again.recurrent_constraint) is keras.constraints.UnitNorm
    for training in (False, True, True):  # dropout from the same seed, where it starts
        for one, other in zip(model(x, training=training), loaded(x, training=training), strict=True):
            np.testing.assert_array_equal(tf.cast(one, "float32"), tf.cast(other, "float32"))


def compiled_by_xla(graph_def):
    nodes = [node for function in graph_def.library.function for node in function.node_def]
    marked = [node for node in [*graph_def.node, *nodes] if node.attr["_XlaMustCompile"].b]
    return marked or [f for f in graph_def.library.function if f.attr["_XlaMustCompile"].b]


def test_an_exported_model_serves_any_batch_and_length_and_needs_no_compiler(tmp_path):
    sequences = keras.Input((None, D))
    masked = keras.layers.Masking(9.0)(sequences)
    layers = [layer_for(kind, implementation="xla", dtype="float32") for kind in FEW]
    bidirectional = keras.layers.Bidirectional(LSTM(H, implementation="xla", recurrent_dropout=0.5))
    outputs = [value for layer in layers for value in layer(masked)] + [*layers[0](sequences)]
    model = keras.Model(sequences, [*outputs, bidirectional(masked)])
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serve", lambda x: dict(enumerate_names(model(x, training=False))),
        input_signature=[tf.TensorSpec((None, None, D), name="x")],
    )  # fmt: skip
    archive.write_out(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "saved")
    for batch, steps in ((2, 3), (3, 6), (1, 1)):
        x = np.random.default_rng(steps).normal(size=(batch, steps, D)).astype("float32")
        x[0, -1] = 9.0
        found = loaded.serve(tf.constant(x))
        for name, wanted in enumerate_names(model(x, training=False)):
            np.testing.assert_allclose(found[name], wanted, rtol=1e-5, atol=1e-6)
    saved = saved_model_pb2.SavedModel.FromString((tmp_path / "saved" / "saved_model.pb").read_bytes())
    assert len(saved.meta_graphs[0].graph_def.library.function) > 10
    assert not compiled_by_xla(saved.meta_graphs[0].graph_def)
    # In training the mark is there: the test can see it.
    training = tf.function(lambda x: layers[0](x, training=True)).get_concrete_function(tf.TensorSpec((None, None, D)))
    assert compiled_by_xla(training.graph.as_graph_def())


def enumerate_names(outputs):
    return [(f"output{n}", value) for n, value in enumerate(outputs)]


def test_an_encoders_states_enter_a_decoder():
    """In a functional model, symbolic states and a mask of its own: as the two layers called by hand."""
    encoder, decoder = layer_for("lstm", dtype="float32"), layer_for("lstm", dtype="float32", go_backwards=True)
    source, target = keras.Input((None, D)), keras.Input((None, D))
    _, *states = encoder(keras.layers.Masking(9.0)(source))
    outputs, *_ = decoder(target, initial_state=states)
    model = keras.Model([source, target], outputs)
    rng = np.random.default_rng(0)
    x = np.where(MASK[..., None], rng.normal(size=(B, T, D)), 9.0).astype("float32")
    y = rng.normal(size=(B, 3, D)).astype("float32")
    _, *states = encoder(x, mask=tf.constant(MASK))
    np.testing.assert_allclose(model([x, y]), decoder(y, initial_state=states)[0], rtol=1e-5, atol=1e-6)
    assert not np.allclose(model([x, y]), decoder(y)[0], atol=1e-3)  # the states do matter


# What a layer starts from.


@pytest.mark.parametrize("forget_bias", [1.0, 0.0, 2.5])
@pytest.mark.parametrize("peephole", [False, True])
def test_the_forget_gate_starts_at_its_bias(forget_bias, peephole):
    """With all other weights zero and c' = 1: c = sigmoid(forget_bias)."""
    zeros = {f"{name}_initializer": "zeros" for name in ("kernel", "recurrent")}
    layer = LSTM(H, forget_bias=forget_bias, peephole=peephole, return_state=True, **zeros)
    _, _, c = layer(np.ones((1, 2, D), "float32"), initial_state=[np.zeros((1, H)), np.ones((1, H))])
    np.testing.assert_allclose(c, np.full((1, H), sigmoid(forget_bias) ** 2), rtol=1e-5)
    twos = keras.initializers.Constant(2.0)
    for unit_forget_bias, wanted in ((True, forget_bias), (False, 2.0)):
        layer = LSTM(H, forget_bias=forget_bias, unit_forget_bias=unit_forget_bias, bias_initializer=twos)
        layer.build((None, None, D))
        np.testing.assert_allclose(layer.bias, np.repeat([2, wanted, 2, 2], H))


@pytest.mark.parametrize("initializer", ["orthogonal", "glorot_uniform"])
@pytest.mark.parametrize("made", ["name", "object"])
def test_every_weight_is_drawn_on_its_own(initializer, made):
    if made == "object":
        initializer = keras.initializers.get(initializer)
    # Square, so that two draws by one seed would be equal.
    layer = Transition(6, transition_units=(6, 6), shortcut=True, recurrent_initializer=initializer)
    twin = Transition(6, transition_units=(6, 6), shortcut=True, recurrent_initializer=initializer)
    for one in (layer, twin):
        one.build((None, None, 6))
    kernels = [v.numpy() for v in [*layer.cell_weights, *twin.cell_weights]]
    assert len(kernels) == 8
    for n, kernel in enumerate(kernels):
        assert all(np.abs(kernel - other).max() > 0.05 for other in kernels[:n])
    same = LSTM(4, kernel_initializer="glorot_uniform", recurrent_initializer="glorot_uniform", peephole=True)
    same.build((None, None, 4))
    assert not np.allclose(same.kernel, same.recurrent_kernel)
    peepholes = same.peepholes.numpy()
    assert 0.01 < np.abs(peepholes).max() <= 0.1 and len(np.unique(peepholes)) == 12


def test_one_seed_of_the_process_gives_one_start():
    def start():
        keras.utils.set_random_seed(3)
        layer = Transition(4, transition_units=(4,))
        layer.build((None, None, 2))
        return layer.get_weights()

    for one, other in zip(start(), start(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_recurrent_kernels_start_orthogonal_and_biases_at_zero(kind):
    made, own = KINDS[kind]
    layer = made(6, **own)
    layer.build((None, None, D))
    for v in layer.trainable_variables:
        if "recurrent" in v.name or "shortcut" in v.name:
            kernel = v.numpy() if v.shape[0] <= v.shape[1] else v.numpy().T
            np.testing.assert_allclose(kernel @ kernel.T, np.eye(len(kernel)), atol=1e-5)
        elif "bias" in v.name:
            wanted = np.zeros(v.shape)
            if made is LSTM:
                wanted[6:12] = 1
            np.testing.assert_array_equal(v, wanted)


# What is refused.


@pytest.mark.parametrize(("kind", "count"), [("lstm", 1), ("lstm", 3), ("gru", 2), ("rnn, tanh", 2)])
@pytest.mark.parametrize("steps", [1, 3])
def test_a_wrong_number_of_states_is_refused(kind, count, steps):
    layer = layer_for(kind)
    needed = len(layer.state_size)
    message = rf"{layer.name}: initial_state must have {counted(needed, 'tensors')} \(B, {H}\); got {count}\."
    with pytest.raises(ValueError, match=message):
        layer(np.zeros((1, steps, D)), initial_state=[np.zeros((1, H))] * count)


def test_one_state_need_not_be_a_list():
    layer = layer_for("gru")
    x, (state,), *_ = example(layer)
    for one, other in zip(layer(x, initial_state=state), layer(x, initial_state=[state]), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("made", [LSTM, GRU, Transition])
def test_an_unknown_implementation_is_refused(made):
    message = f"{made.__name__}: implementation must be one of auto, plain, scan, xla, fused; got 'cudnn'."
    with pytest.raises(ValueError, match=message):
        made(H, implementation="cudnn")
