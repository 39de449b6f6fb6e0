"""A surface is the model's own loss: at its centre, in its second derivatives, and without a trace in the model."""

import numpy as np
import pytest

from keras_dl import data, errors, models, training
from keras_dl.laboratory import directions, sections


def batches(x, y, size=64):
    return data.batches(data.Examples({"x": x, "y": y}), size, collate=lambda raw: (raw["x"], raw["y"]))


def classes_of(rows, features, count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, *features)).astype(np.float32), rng.integers(0, count, rows).astype(np.int32)


def compiled(model):
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss, weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")])
    return model


def dense(widths, inputs=4, activation="relu", seed=0):
    import keras

    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(w, activation, bias_initializer="normal") for w in widths[:-1]]
    return compiled(keras.Sequential([keras.Input((inputs,)), *layers, keras.layers.Dense(widths[-1])]))


def surface_of(*arguments, **keywords):
    from keras_dl.laboratory import surfaces

    return surfaces.Surface(*arguments, **keywords)


def bits(model):
    return [variable.numpy().tobytes() for variable in model.variables]


@pytest.fixture(scope="module")
def resnet():
    """A small residual network whose running averages are not those of its first weights, and its examples."""
    import keras

    keras.utils.set_random_seed(1)
    model = compiled(models.build_resnet_cifar((8, 8, 1), 3, depth=8, filters=2))
    x, y = classes_of(20, (8, 8, 1), 3)
    for _ in range(3):
        model(x, training=True)
    return model, x, y


def test_the_centre_is_what_evaluate_says_and_the_model_stays_equal_to_the_bit(resnet):
    model, x, y = resnet
    fixed = batches(x, y, 7)  # the last batch is smaller
    before = bits(model)
    surface = surface_of(model, fixed)
    pair = [directions.random(surface.weights, surface.axes, seed) for seed in range(2)]
    side = np.array([-0.5, 0.0, 0.5])
    plane = sections.plane(surface, pair, side, side)
    evaluated = training.evaluate(model, fixed)
    model.reset_metrics()
    assert plane["loss"][1, 1] == pytest.approx(evaluated["loss"], abs=1e-6)
    assert plane["error"][1, 1] == pytest.approx(1 - evaluated["accuracy"], abs=1e-6)
    assert len(np.unique(plane["loss"])) == 9
    surface.hessian_product(np.ones(surface.size))
    assert bits(model) == before

    def interrupted(number, total):
        if number == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sections.plane(surface, pair, side, side, at=interrupted)
    assert bits(model) == before


def test_batch_statistics_are_those_of_training_mode_and_leave_no_trace(resnet):
    model, x, y = resnet
    before = bits(model)
    surface = surface_of(model, batches(x, y), batch_norm="batch")
    value = surface.values(surface.weights)["loss"]
    assert bits(model) == before
    twice = [2 * weight if weight.ndim == 4 else weight for weight in surface.weights]
    # Normalised by the batch, a convolution's scale does not matter; normalised by old averages it does.
    assert surface.values(twice)["loss"] == pytest.approx(value, rel=1e-2)
    moving = surface_of(model, batches(x, y))
    assert abs(moving.values(twice)["loss"] / moving.values(moving.weights)["loss"] - 1) > 0.05


def test_the_section_does_not_feel_the_scale_that_a_rectifier_does_not_feel():
    x, y = classes_of(30, (4,), 3)
    model, other = dense((6, 3)), dense((6, 3))
    first, bias, second, last = (w.numpy() for w in model.trainable_variables)
    for variable, value in zip(other.trainable_variables, (8 * first, 8 * bias, second / 8, last), strict=True):
        variable.assign(value)
    curves, raw = [], []
    for each in (model, other):
        surface = surface_of(each, batches(x, y))
        direction = directions.random(surface.weights, surface.axes, 5)
        curves.append(sections.curve(surface, direction, [-1.0, -0.3, 0.0, 0.4, 1.0])["loss"])
        rng = np.random.default_rng(5)
        plain = [rng.normal(size=w.shape).astype(np.float32) for w in surface.weights]
        raw.append(sections.curve(surface, plain, [0.4])["loss"])
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-5)
    assert abs(raw[0] / raw[1] - 1) > 0.01  # without normalisation the same network has another section


def test_products_are_those_of_the_closed_form_of_logistic_regression():
    x, y = classes_of(25, (4,), 3)
    surface = surface_of(dense((3,)), batches(x, y, 10))
    kernel, bias = surface.weights
    logits = x @ kernel + bias
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    rows = np.concatenate([x, np.ones((25, 1))], 1)  # the weights of a class: 4 of the kernel, and its bias
    curvature = np.einsum("ni,nj,nab->iajb", rows, rows, p[:, :, None] * np.eye(3) - p[:, :, None] * p[:, None]) / 25
    hessian = curvature.reshape(15, 15)
    products = np.stack([surface.hessian_product(row) for row in np.eye(15)])
    np.testing.assert_allclose(products, hessian, atol=1e-6)
    gradient = np.einsum("ni,na->ia", rows, p - np.eye(3)[y]).reshape(-1) / 25
    np.testing.assert_allclose(surface.gradient(), gradient, atol=1e-6)


def test_lanczos_gives_the_eigenvalues_of_the_exact_hessian():
    import tensorflow as tf

    from keras_dl.laboratory import lanczos

    x, y = classes_of(40, (4,), 3)
    model = dense((8, 5, 3), activation="tanh")
    surface = surface_of(model, batches(x, y))
    weights = [variable.value for variable in model.trainable_variables]

    @tf.function(autograph=False)
    def column(tangents):  # forward over reverse, where the surface has reverse over reverse
        with tf.autodiff.ForwardAccumulator(weights, tangents) as forward:
            with tf.GradientTape() as tape:
                loss = model.compute_loss(x, y, model(x, training=False), training=False)
            gradient = tape.gradient(loss, weights)
        return [forward.jvp(each) for each in gradient]

    columns = [column(list(map(tf.constant, surface.unflat(unit)))) for unit in np.eye(surface.size)]
    exact = np.stack([surface.flat(each) for each in columns])
    assert np.abs(exact - exact.T).max() < 1e-6
    values = np.linalg.eigvalsh(exact)
    size = surface.size
    assert size == 4 * 8 + 8 + 8 * 5 + 5 + 5 * 3 + 3 == len(values)
    start = np.random.default_rng(0).normal(size=size)
    ritz = lanczos.iterate(surface.hessian_product, start, size)
    np.testing.assert_allclose(ritz.values[-10:], values[-10:], atol=1e-5 * values[-1])
    np.testing.assert_allclose(ritz.values[0], values[0], atol=1e-5 * values[-1])
    vector = np.random.default_rng(1).normal(size=size)
    product = surface.hessian_product(vector)
    np.testing.assert_allclose(product, exact @ vector, atol=1e-4 * np.abs(product).max())
    surface.by_differences = True
    np.testing.assert_allclose(surface.hessian_product(vector), product, atol=1e-2 * np.abs(product).max())


@pytest.mark.parametrize("case", ["no batch norm", "dropout", "two batches"])
def test_batch_statistics_are_refused_where_they_have_no_meaning(case, resnet):
    import keras

    model, x, y = resnet
    fixed = batches(x, y, 10)
    if case == "no batch norm":
        model, fixed = dense((3,)), batches(*classes_of(5, (4,), 3))
    if case == "dropout":
        inner = [keras.Input((4,)), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5), keras.layers.Dense(3)]
        model, fixed = compiled(keras.Sequential(inner)), batches(*classes_of(5, (4,), 3))
    said = {"no batch norm": "has none", "dropout": "draws dropout", "two batches": "need one batch; got 2 batches"}
    with pytest.raises(errors.UserError, match=said[case]):
        surface_of(model, fixed, batch_norm="batch")


def test_several_losses_are_refused():
    gan = models.build_gan((4, 4, 1), latent_dim=2, units=(4,), maxout_units=(4,))
    gan.compile(dict.fromkeys(gan.parts, "sgd"))
    with pytest.raises(errors.UserError, match="a surface is of one loss"):
        surface_of(gan, batches(np.zeros((2, 4, 4, 1), np.float32), np.zeros(2, np.int32)))


def test_an_embedding_has_a_gradient_and_products_in_all_of_its_rows():
    import keras

    keras.utils.set_random_seed(0)
    layers = [keras.Input((5,), dtype="int32"), keras.layers.Embedding(6, 3), keras.layers.Flatten()]
    model = compiled(keras.Sequential([*layers, keras.layers.Dense(4)]))
    rng = np.random.default_rng(0)
    tokens, y = rng.integers(0, 5, (10, 5)).astype(np.int32), rng.integers(0, 4, 10).astype(np.int32)
    surface = surface_of(model, batches(tokens, y))
    gradient, product = surface.gradient(), surface.hessian_product(np.ones(surface.size))
    assert not surface.by_differences
    assert gradient[:15].all() and not gradient[15:18].any() and not product[15:18].any()  # token 5 is not read
    step = 1e-2 * np.ones(surface.size)
    center = surface.flat(surface.weights)
    ahead, behind = (surface.values(surface.unflat(center + sign * step))["loss"] for sign in (1, -1))
    assert (ahead - behind) / 2 == pytest.approx(gradient @ step, rel=1e-2)
