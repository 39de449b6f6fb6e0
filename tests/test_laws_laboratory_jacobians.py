"""Laws of Jacobians through time: of the layers' cells, their products and bounds, and dE/dW as a sum over them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl import layers
from keras_dl.laboratory import jacobians

N, T, D, H = 3, 7, 2, 4
CELLS = {
    "tanh": lambda **kwargs: layers.Transition(H, **kwargs),
    "lstm": lambda **kwargs: layers.LSTM(H, **kwargs),
    "gru": lambda **kwargs: layers.GRU(H, reset_after=False, **kwargs),
}
each_cell = pytest.mark.parametrize("cell", CELLS)


def layer_of(cell, scale=0.8, seed=1):
    layer = CELLS[cell](dtype="float64", return_sequences=True, return_state=True)
    layer.build((None, None, D))
    rng = np.random.default_rng(seed)
    for weight in layer.trainable_variables:
        weight.assign(rng.normal(0, scale, weight.shape))
    return layer


def sequences(steps=T):
    return np.random.default_rng(2).normal(size=(N, steps, D))


def state_after(layer, x, states, count):
    """The state (N, S) after `count` steps from given states, by the layer itself."""
    _, *final = layer(tf.constant(x[:, :count]), initial_state=states)
    return tf.concat(final, -1)


@each_cell
def test_states_are_the_layers_and_jacobians_the_derivatives_of_the_whole_layer(cell):
    """dh(T)/dh(0) by automatic differentiation of the layer over all steps is the product of the steps' Jacobians."""
    layer, x = layer_of(cell), sequences()
    found = jacobians.trajectory(layer, x)
    zeros = [tf.zeros((N, size), tf.float64) for size in layer.state_size]
    for count in (1, 4, T):
        np.testing.assert_allclose(found.states[:, count], state_after(layer, x, zeros, count), rtol=1e-9, atol=1e-12)
    for first in (0, 2, T - 1):
        start = tf.constant(found.states[:, first])
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(start)
            end = state_after(layer, x[:, first:], tf.split(start, len(layer.state_size), -1), T - first)
            rows = [tf.reduce_sum(end[:, i]) for i in range(end.shape[-1])]
        whole = np.stack([tape.gradient(row, start).numpy() for row in rows], 1)
        product = np.eye(whole.shape[-1])
        for t in range(first, T):
            product = found.steps[:, t] @ product
        np.testing.assert_allclose(product, whole, rtol=1e-8, atol=1e-12)
        block = np.linalg.norm(whole[:, :H, :H], 2, (1, 2))
        np.testing.assert_allclose(jacobians.norms(found.steps, H)[:, T - first], block, rtol=1e-8)
        last = whole.shape[-1] // H - 1
        block = np.linalg.norm(whole[:, -H:, -H:], 2, (1, 2))
        np.testing.assert_allclose(jacobians.norms(found.steps, H, last)[:, T - first], block, rtol=1e-8)


def test_the_jacobian_of_tanh_is_the_slope_times_the_matrix():
    layer = layer_of("tanh")
    found = jacobians.trajectory(layer, sequences())
    matrix = layer.recurrent_kernels[0].numpy().T
    expected = (1 - found.states[:, 1:] ** 2)[..., None] * matrix
    np.testing.assert_allclose(found.steps, expected, rtol=1e-9, atol=1e-14)
    sigma = np.linalg.svd(matrix)[1][0]
    bounds = jacobians.bounds_of_norms(found.bounds)
    assert (bounds <= sigma ** np.arange(T + 1) * (1 + 1e-12)).all()  # the slope of tanh is at most 1


@each_cell
@pytest.mark.parametrize("scale", [0.1, 0.8, 3.0])
def test_norms_are_within_their_bounds_at_every_k(cell, scale):
    for seed in range(3):
        found = jacobians.trajectory(layer_of(cell, scale, seed), sequences(20))
        parts = found.bounds.shape[-1]
        assert parts == (2 if cell == "lstm" else 1)
        for part in range(parts):
            norms, bounds = jacobians.norms(found.steps, H, part), jacobians.bounds_of_norms(found.bounds, part)
            assert norms.shape == bounds.shape == (N, 21)
            assert (norms[:, 0] == 1).all() and (bounds[:, 0] == 1).all()
            assert (norms <= bounds * (1 + 1e-9)).all()
        of_steps = found.steps.reshape(N, 20, parts, H, parts, H)
        for a in range(parts):
            for b in range(parts):
                blocks = np.linalg.norm(of_steps[:, :, a, :, b], 2, (2, 3))
                assert (blocks <= found.bounds[:, :, a, b] * (1 + 1e-9)).all(), (a, b)


def test_a_bound_is_reached_where_all_units_have_one_slope():
    """With an orthogonal matrix and states of zero the norm of every product is 1, and so is its bound."""
    layer = layer_of("tanh")
    layer.recurrent_kernels[0].assign(np.linalg.qr(np.random.default_rng(0).normal(size=(H, H)))[0])
    layer.bias.assign(np.zeros(H))
    found = jacobians.trajectory(layer, np.zeros((1, T, D)))
    np.testing.assert_allclose(jacobians.norms(found.steps, H), 1, rtol=1e-12)
    np.testing.assert_allclose(jacobians.bounds_of_norms(found.bounds), 1, rtol=1e-12)


@pytest.mark.parametrize("where", ["at the end", "at every step"])
def test_the_gradient_of_the_recurrent_matrix_is_the_sum_over_products_of_jacobians(where):
    layer, x = layer_of("tanh"), sequences()
    weights = np.random.default_rng(3).normal(size=(N, T, H))
    weights *= 1 if where == "at every step" else np.arange(T)[:, None] == T - 1
    with tf.GradientTape(persistent=True) as tape:
        outputs, _ = layer(tf.constant(x))
        tape.watch(outputs)
        error = tf.reduce_sum(weights * outputs**2)
    by_state = 2 * weights * outputs.numpy()
    states = jacobians.trajectory(layer, x).states
    matrix = layer.recurrent_kernels[0]
    terms = jacobians.contributions(matrix.numpy(), states, by_state)
    np.testing.assert_allclose(terms.sum(0), tape.gradient(error, matrix.value), rtol=1e-8, atol=1e-12)
    # Term k by itself, as the lecture writes it: dE/dh(t) dh(t)/dh(t-k) d+h(t-k)/dW.
    steps = jacobians.trajectory(layer, x).steps
    for k in (0, 1, T - 1):
        expected = np.zeros((H, H))
        for t in range(k, T):
            for n in range(N):
                row = by_state[n, t]
                for j in range(t, t - k, -1):
                    row = row @ steps[n, j]
                expected += np.outer(states[n, t - k], row * (1 - states[n, t - k + 1] ** 2))
        np.testing.assert_allclose(terms[k], expected, rtol=1e-9, atol=1e-13)
    assert jacobians.shares(terms).sum() == pytest.approx(1)


def test_a_factor_is_what_a_norm_changes_in_a_step():
    assert jacobians.factor(0.3 * 0.9 ** np.arange(12)[None]) == pytest.approx(0.9)
    assert jacobians.factor(0.3 * 0.9 ** np.arange(3)[None]) == pytest.approx(0.9)


def test_what_it_says_of_float32_models_is_in_double_precision():
    """The models' layers have float32 weights; 50 steps of a norm of 0.5 are 1e-15."""
    from keras_dl import models

    for kind, arguments in (("rnn", {}), ("lstm", {"peephole": False}), ("gru", {})):
        model = getattr(models, f"build_{kind}")((50, 2), 1, units=(3,), return_sequences=False, **arguments)
        x = np.random.default_rng(0).random((2, 50, 2), np.float32)
        found = jacobians.trajectory(model.layers[1], x)
        assert found.states.dtype == found.steps.dtype == np.float64 and found.units == 3
        answer = model.layers[-1](tf.constant(found.states[:, -1, :3], tf.float32))
        np.testing.assert_allclose(answer, keras.ops.convert_to_numpy(model(x)), atol=1e-5)
