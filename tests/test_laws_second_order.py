"""Curvature and the steps that use it: against NumPy, differences and closed forms; in fit, saved and resumed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl import data, errors, optimizers, runs, second_order, training
from keras_dl.laboratory import classical_surfaces, critical_points, curvature, small_networks, trust_region
from keras_dl.laboratory.one_hidden_layer import OneHiddenLayer
from keras_dl.second_order import SecondOrder

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 3)).astype(np.float32), RNG.integers(0, 3, 12)


def network(units=2, classes=3, seed=0):
    keras.utils.set_random_seed(seed)
    x = keras.Input((3,), name="x", dtype="float64")
    hidden = keras.layers.Dense(units, "tanh", dtype="float64", name="hidden")(x) if units else x
    return keras.Model(x, keras.layers.Dense(classes, dtype="float64", name="logits")(hidden))


def vector(model):
    return np.concatenate([np.ravel(variable) for variable in model.trainable_variables]).astype(np.float64)


def stepped(model, x=X, y=Y, **settings):
    """The change of the weights (P,) by one step of SecondOrder with a learning rate of 1."""
    before = vector(model)
    trained = SecondOrder(model, **settings)
    trained.compile(optimizers.build("sgd", 1.0))
    tf.function(trained.train_step, autograph=False)((tf.constant(x), tf.constant(y)))
    change = vector(model) - before
    curvature.assign(model.trainable_variables, before)
    return change


def loss_of(model, x=X, y=Y):
    def loss():
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(x)))

    return loss


def fisher_by_enumeration(model, x=X):
    """The expectation of g g^T over the labels that the network itself draws, example after example."""
    logits = np.asarray(model(x))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    total = 0.0
    for row, probabilities in zip(x, shares, strict=True):
        for label, probability in enumerate(probabilities):
            g = curvature.gradient(loss_of(model, row[None], [label]), model.trainable_variables).numpy()
            total = total + probability * np.outer(g, g)
    return total / len(x)


def empirical_by_enumeration(model, x=X, y=Y):
    each = [
        curvature.gradient(loss_of(model, row[None], [label]), model.trainable_variables).numpy()
        for row, label in zip(x, y, strict=True)
    ]
    return np.mean([np.outer(g, g) for g in each], 0)


# Curvature.


@pytest.mark.parametrize("graph", [True, False], ids=["graph", "eager"])
def test_hessian_vector_products_are_differences_of_the_gradient(graph):
    model = network(units=7)  # 52 weights
    variables, start, direction = model.trainable_variables, vector(model), RNG.normal(size=52)
    loss = loss_of(model)
    product = lambda: curvature.hessian_vector_product(loss, variables, direction)  # noqa: E731
    whole = lambda: curvature.hessian(loss, variables)  # noqa: E731
    product, whole = (tf.function(product)(), tf.function(whole)()) if graph else (product(), whole())
    sides = []
    for sign in (1, -1):
        curvature.assign(variables, start + sign * 1e-5 * direction)
        sides.append(curvature.gradient(loss, variables).numpy())
    np.testing.assert_allclose(product, (sides[0] - sides[1]) / 2e-5, atol=1e-8)
    np.testing.assert_allclose(whole.numpy() @ direction, product, atol=1e-12)
    np.testing.assert_array_equal(whole, np.transpose(whole))


def test_the_hessian_of_a_quadratic_is_its_matrix():
    size = 9
    root = RNG.normal(size=(size, size))
    matrix, point = root + root.T, tf.Variable(RNG.normal(size=size))
    hessian = curvature.hessian(lambda: tf.tensordot(point, tf.linalg.matvec(matrix, point), 1) / 2, [point])
    np.testing.assert_allclose(hessian, matrix, atol=1e-10)


def test_the_network_of_two_weights_is_its_surface():
    x = np.linspace(-2, 2, 9)
    closed, model = classical_surfaces.TwoWeights(x, np.tanh(x) + 0.2), small_networks.two_weights()
    at = np.array([0.7, -0.4])
    curvature.assign(model.trainable_variables, at.astype(np.float32))
    inputs, targets = closed.x[:, None].astype(np.float32), closed.y[:, None].astype(np.float32)
    loss = lambda: tf.reduce_mean((model(inputs) - targets) ** 2) / 2  # noqa: E731
    variables = model.trainable_variables
    assert float(loss()) == pytest.approx(closed.value(*at), rel=1e-5)
    np.testing.assert_allclose(curvature.gradient(loss, variables), closed.gradient(at), rtol=1e-4)
    np.testing.assert_allclose(curvature.hessian(loss, variables), closed.hessian(at), rtol=1e-4, atol=1e-5)
    fisher = curvature.fisher(lambda: model(inputs), variables, "normal")
    np.testing.assert_allclose(fisher, closed.fisher(at), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("decay", [0.0, 0.01])
def test_the_closed_form_of_one_hidden_layer_is_what_is_differentiated(decay):
    model = small_networks.mlp(3, decay, inputs=4, classes=3)
    x, y = RNG.normal(size=(15, 4)), RNG.integers(0, 3, 15)
    closed, weights = OneHiddenLayer(x, y, 3, decay, classes=3), RNG.normal(size=27)
    curvature.assign(model.trainable_variables, weights)
    assert closed.size == len(weights)

    def loss():
        terms = [v.regularizer(v) for v in model.trainable_variables if v.regularizer is not None]
        return loss_of(model, x, y)() + sum(terms)

    np.testing.assert_allclose(closed.first(weights)[0], loss(), rtol=1e-6)
    gradient = curvature.gradient(loss, model.trainable_variables)
    np.testing.assert_allclose(closed.first(weights)[1], gradient, rtol=1e-6, atol=1e-8)
    hessian = curvature.hessian(loss, model.trainable_variables)
    np.testing.assert_allclose(closed.hessian(weights), hessian, atol=1e-8)  # Keras keeps the decay in float32
    assert closed.error(weights) == 100 * np.mean(np.argmax(model(x), 1) != y)
    assert closed.index(weights) == np.mean(np.linalg.eigvalsh(closed.hessian(weights)) < -1e-9) > 0


def test_a_critical_point_of_a_smaller_network_is_one_of_the_larger_with_a_larger_index():
    """A unit without weights adds a negative eigenvalue for each singular value of its matrix M above 2 decay."""
    x, decay = np.random.default_rng(0).normal(size=(30, 2)), 0.002
    y = np.argmax(x @ [[1.0, 0.0, -1.0], [0.0, 2.0, -1.0]], 1)
    error = OneHiddenLayer(x, y, 3, decay, classes=3)
    smaller = error.with_units(1)
    assert smaller.units == 1 and smaller.size == 9
    start = critical_points.descend(smaller, smaller.initial(np.random.default_rng(0)), second_order.DAMPINGS, 8)
    point = critical_points.search(smaller, start, 0)
    weights = error.embedded(smaller, point.weights)
    assert np.linalg.norm(error.first(weights)[1]) < 1e-6 and error.idle_units(weights) == 2
    assert error.first(weights)[0] == pytest.approx(point.loss)
    a, b = smaller.split(point.weights)
    inputs = np.concatenate([x, np.ones((30, 1))], 1)
    logits = np.concatenate([np.tanh(inputs @ a), np.ones((30, 1))], 1) @ b
    residuals = np.exp(logits) / np.exp(logits).sum(1, keepdims=True) - np.eye(3)[y]
    more = np.sum(np.linalg.svd(inputs.T @ residuals / 30, compute_uv=False) > 2 * decay)
    assert more > 0
    assert critical_points.negative(np.linalg.eigvalsh(error.hessian(weights))) == 2 * more


def test_the_fisher_matrix_is_the_expectation_over_the_networks_own_labels_and_the_empirical_is_not():
    model = network()
    variables = model.trainable_variables
    true = curvature.fisher(lambda: model(tf.constant(X)), variables).numpy()
    np.testing.assert_allclose(true, fisher_by_enumeration(model), atol=1e-12)
    empirical = curvature.empirical_fisher(
        lambda example: loss_of(model, example[0][None], example[1][None])(), (X, tf.constant(Y)), variables
    ).numpy()
    np.testing.assert_allclose(empirical, empirical_by_enumeration(model), atol=1e-12)
    mean = curvature.gradient(loss_of(model), variables).numpy()
    for other in (empirical, np.outer(mean, mean)):
        assert np.abs(true - other).max() > 0.01


# Steps.


@pytest.mark.parametrize("rule", reversed(second_order.RULES))
def test_a_step_is_its_equation_in_numpy(rule):
    model = network()
    g = curvature.gradient(loss_of(model), model.trainable_variables).numpy()
    h = curvature.hessian(loss_of(model), model.trainable_variables).numpy()
    identity = np.eye(len(g))
    wanted = {
        "gradient": lambda: -g,
        "damped_newton": lambda: -np.linalg.solve(h + 0.1 * identity, g),
        "saddle_free_newton": lambda: -np.linalg.solve(trust_region.absolute(h) + 0.1 * identity, g),
        "natural_gradient": lambda: -np.linalg.solve(fisher_by_enumeration(model) + 0.1 * identity, g),
        "empirical_natural_gradient": lambda: -np.linalg.solve(empirical_by_enumeration(model) + 0.1 * identity, g),
    }
    np.testing.assert_allclose(stepped(model, rule=rule, damping=0.1), wanted[rule](), rtol=1e-5, atol=1e-7)
    assert (np.linalg.eigvalsh(h) < -1e-3).any()  # else two of them would be the same


@pytest.mark.parametrize("rule", reversed(second_order.RULES))
def test_a_duplicated_batch_changes_no_step(rule):
    model = network()
    once = stepped(model, rule=rule, damping=1e-3)
    twice = stepped(model, np.concatenate([X, X]), np.concatenate([Y, Y]), rule=rule, damping=1e-3)
    np.testing.assert_allclose(twice, once, rtol=1e-6, atol=1e-9)


def test_newton_is_drawn_into_the_saddle_and_saddle_free_newton_escapes():
    saddle = classical_surfaces.SADDLE
    ends = {}
    for rule in ("damped_newton", "saddle_free_newton"):
        point = np.array([0.5, 0.01])
        for _ in range(20):
            step = second_order.direction(rule, saddle.gradient(point), saddle.hessian(point))
            point = point + 0.5 * np.asarray(step)
        ends[rule] = point
    np.testing.assert_allclose(ends["damped_newton"], 0, atol=1e-5)  # half of the way is left by each step
    assert abs(ends["saddle_free_newton"][0]) < 1e-5 and ends["saddle_free_newton"][1] > 30  # 0.01 * 1.5^20
    whole = np.asarray(second_order.direction("damped_newton", saddle.gradient([3, 4]), saddle.hessian([3, 4])))
    np.testing.assert_allclose(whole, [-3, -4])


def logistic(x, kernel, bias):
    """A softmax regression with these weights, in float64."""
    model = network(units=0, classes=kernel.shape[1])
    for variable, value in zip(model.trainable_variables, (kernel, bias), strict=True):
        variable.assign(value)
    return model


def test_for_logistic_regression_the_natural_gradient_has_a_closed_form():
    """F = mean of (diag(p) - p p^T) (x) x x^T: no network is needed, and F is the Hessian."""
    kernel, bias = RNG.normal(size=(3, 3)), RNG.normal(size=3)
    model = logistic(X, kernel, bias)
    z = X @ kernel + bias
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    inputs = np.concatenate([X, np.ones((len(X), 1))], 1)
    fisher = np.mean([np.kron(np.outer(i, i), np.diag(q) - np.outer(q, q)) for i, q in zip(inputs, p, strict=True)], 0)
    gradient = (inputs.T @ (p - np.eye(3)[Y]) / len(X)).ravel()
    wanted = -np.linalg.solve(fisher + 1e-2 * np.eye(12), gradient)
    natural = stepped(model, rule="natural_gradient", damping=1e-2)
    np.testing.assert_allclose(natural, wanted, rtol=1e-5)
    np.testing.assert_allclose(stepped(model, rule="damped_newton", damping=1e-2), natural, rtol=1e-5)
    undamped = stepped(model, rule="natural_gradient", damping=0.0)  # F is singular: all logits may be shifted
    np.testing.assert_allclose(undamped, -np.linalg.pinv(fisher, 1e-12) @ gradient, rtol=1e-4, atol=1e-6)


def test_the_natural_gradient_is_invariant_under_a_reparameterisation_and_the_gradient_is_not():
    """Inputs that are mixed by a matrix: the same functions, by other weights. The step is the same function."""
    mix = np.array([[2.0, 0.3, 0.0], [0.0, 0.5, 0.1], [0.4, 0.0, 3.0]], np.float32)
    kernel, bias, mixed = RNG.normal(size=(3, 3)), RNG.normal(size=3), X @ mix
    changes = {}
    for rule in ("natural_gradient", "gradient"):
        logits = []
        for x, weights in ((X, kernel), (mixed, np.linalg.solve(mix.astype(np.float64), kernel))):
            model = logistic(x, weights, bias)
            curvature.assign(model.trainable_variables, vector(model) + stepped(model, x, rule=rule, damping=0.0))
            outputs = np.asarray(model(x))
            logits.append(outputs - outputs.mean(1, keepdims=True))
        changes[rule] = np.abs(logits[0] - logits[1]).max()
    assert changes["natural_gradient"] < 1e-4 < 0.1 < changes["gradient"]


@pytest.mark.parametrize("rule", ["natural_gradient", "saddle_free_newton", "gradient"])
def test_with_a_radius_a_step_solves_the_linearised_problem_in_its_trust_region(rule):
    model = network()
    g = curvature.gradient(loss_of(model), model.trainable_variables).numpy()
    h = curvature.hessian(loss_of(model), model.trainable_variables).numpy()
    metric = {"gradient": None, "saddle_free_newton": trust_region.absolute(h) + 0.01 * np.eye(len(g))}.get(
        rule, fisher_by_enumeration(model) + 0.01 * np.eye(len(g))
    )
    step = stepped(model, rule=rule, damping=0.01, radius=0.02)
    np.testing.assert_allclose(step, trust_region.step(g, 0.02, metric), rtol=1e-5, atol=1e-8)


def test_a_fixed_radius_of_the_natural_gradient_is_a_fixed_step_in_function_change():
    """Wherever the weights are, the network's distribution changes by a KL divergence of radius^2 / 2."""
    for seed in range(2):
        model = network(seed=seed)
        before = np.asarray(tf.nn.log_softmax(model(X)))
        step = stepped(model, rule="natural_gradient", damping=1e-9, radius=1e-5)
        curvature.assign(model.trainable_variables, vector(model) + step)
        after = np.asarray(tf.nn.log_softmax(model(X)))
        divergence = (np.exp(before) * (before - after)).sum(1).mean()
        assert divergence == pytest.approx(1e-10 / 2, rel=0.05)


def test_a_searched_damping_is_the_best_of_those_tried():
    model = network()
    loss, variables = loss_of(model), model.trainable_variables
    start, g = vector(model), curvature.gradient(loss, variables).numpy()
    candidates = second_order.directions(
        "saddle_free_newton", g, curvature.hessian(loss, variables), second_order.DAMPINGS
    )
    losses = []
    for step in candidates.numpy():
        curvature.assign(variables, start + step)
        losses.append(float(loss()))
    curvature.assign(variables, start)
    best = candidates.numpy()[np.argmin(losses)]
    np.testing.assert_allclose(stepped(model, damping="search"), best, rtol=1e-5, atol=1e-7)
    assert 0 < np.argmin(losses) < len(losses) - 1


# A Keras model: refusals, files, resumes.


@pytest.mark.parametrize("settings, said", [
    ({"rule": "newton"}, "SecondOrder: rule must be one of"),
    ({"likelihood": "poisson"}, "SecondOrder: likelihood must be one of"),
    ({"damping": -1.0}, "SecondOrder: damping must be a number in"),
    ({"rule": "damped_newton", "radius": 0.1}, "radius must be None for rule 'damped_newton'"),
])  # fmt: skip
def test_what_does_not_fit_is_one_line(settings, said):
    with pytest.raises(errors.UserError, match=said):
        SecondOrder(network(), **settings)


def test_too_many_weights_and_weights_of_examples_are_refused():
    with pytest.raises(errors.UserError, match="at most 4,000 trainable weights; got 7,003"):
        SecondOrder(network(units=1000))
    model = SecondOrder(network())
    model.compile(optimizers.build("sgd", 1.0))
    with pytest.raises(errors.UserError, match=r"a batch must be \(x, y\)"):
        model.train_step((X, Y, np.ones(12)))


TRAINED = (("saddle_free_newton", "search"), ("natural_gradient", 0.1))


def second(rule="saddle_free_newton", damping="search"):
    keras.utils.set_random_seed(1)
    x = keras.Input((3,), name="x")
    hidden = keras.layers.Dense(2, "tanh", name="hidden")(x)
    model = SecondOrder(keras.Model(x, keras.layers.Dense(3, name="logits")(hidden)), rule=rule, damping=damping)
    model.compile(optimizers.build("momentum", 0.5))
    return model


@pytest.mark.parametrize("rule, damping", TRAINED)
def test_it_works_in_keras_fit_and_a_file_goes_on_as_it_would_have(rule, damping, tmp_path):
    model = second(rule, damping)
    history = model.fit(X, Y, batch_size=12, epochs=3, verbose=0).history
    assert set(history) == {"loss", "accuracy"} and history["loss"][-1] < history["loss"][0]
    assert model.evaluate(X, Y, return_dict=True, verbose=0)["loss"] == pytest.approx(float(loss_of(model)()), rel=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    settings = [{k: v for k, v in each.get_config().items() if k != "network"} for each in (again, model)]
    assert type(again) is SecondOrder and settings[0] == settings[1]
    for each in (model, again):
        each.fit(X, Y, batch_size=12, epochs=2, verbose=0)
    np.testing.assert_array_equal(vector(again), vector(model))


@pytest.mark.parametrize("rule, damping", TRAINED)
def test_a_run_that_was_interrupted_ends_as_one_that_was_not(rule, damping, tmp_path, capsys):
    examples = data.Examples({"x": X, "label": Y})
    batches = data.batches(examples, 12, collate=lambda raw: (raw["x"], raw["label"]))

    def fit(folder, epochs, resumed=False):
        run = runs.Run(path=tmp_path / folder, root=tmp_path, name="x", app="x", resumed=resumed)
        model, kept = second(rule, damping), small_networks.Kept()
        training.fit(model, batches, None, run, epochs=epochs, callbacks=[kept], keep="last", verbose=0)
        return kept.weights

    whole = fit("whole", 4)
    fit("parts", 2)
    np.testing.assert_array_equal(fit("parts", 4, resumed=True), whole)
    assert len(whole) == 5 and "does not hold" not in capsys.readouterr().out
