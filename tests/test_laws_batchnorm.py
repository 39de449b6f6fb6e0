"""Batch normalisation equals the equations of arXiv:1502.03167, in NumPy, on both routes."""

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl.layers import BatchNormalization

MOMENTUM, EPSILON = 0.8, 1e-3  # neither the defaults nor Keras', so that a constant in the code shows

# Route -> shape of the input, axis of the channels, whether a mask comes with it.
ROUTES = {
    "fused": ((6, 5, 4, 3), -1, False),
    "fused, axis by its number": ((6, 5, 4, 3), 3, False),
    "op by op, two axes": ((12, 3), -1, False),
    "op by op, three axes": ((6, 4, 3), -1, False),
    "op by op, channels first": ((6, 3, 5, 4), 1, False),
    "op by op, mask": ((6, 5, 4, 3), -1, True),
}


def layer_for(shape, axis, **kwargs):
    """A layer with weights and running statistics drawn at random."""
    layer = BatchNormalization(axis, **{"momentum": MOMENTUM, "epsilon": EPSILON, **kwargs})
    layer.build(shape)
    rng = np.random.default_rng(1)
    layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    return layer


def example(shape, axis, masked):
    rng = np.random.default_rng(0)
    x = rng.normal(1.5, 2.0, shape).astype("float32")
    return x, rng.random(shape[:-1]) < 0.7 if masked else None


def rows(x, axis):
    """(m, C): one row a position, one column a channel."""
    return np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis]).astype("float64")


def algorithm_1(x, gamma, beta, epsilon):
    """Normalise rows (m, C) by their mean and their biased variance."""
    mean, variance = x.mean(0), ((x - x.mean(0)) ** 2).sum(0) / len(x)
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta, mean, variance


def gradients(x, gamma, dy, epsilon):
    """Section 3 of the paper, its six equations in order: dL/dx, dL/dgamma, dL/dbeta from dL/dy."""
    m, mean, variance = len(x), x.mean(0), x.var(0)
    normalised = (x - mean) / np.sqrt(variance + epsilon)
    d_normalised = dy * gamma
    d_variance = (d_normalised * (x - mean)).sum(0) * -0.5 * (variance + epsilon) ** -1.5
    d_mean = -d_normalised.sum(0) / np.sqrt(variance + epsilon) + d_variance * (-2 * (x - mean)).mean(0)
    dx = d_normalised / np.sqrt(variance + epsilon) + d_variance * 2 * (x - mean) / m + d_mean / m
    return dx, (dy * normalised).sum(0), dy.sum(0)


def operations(layer, x, mask, training):
    call = tf.function(lambda x: layer(x, training=training, mask=mask))
    return {operation.type for operation in call.get_concrete_function(tf.constant(x)).graph.get_operations()}


@pytest.mark.parametrize("route", ROUTES)
def test_the_kernel_is_taken_where_it_applies(route):
    shape, axis, masked = ROUTES[route]
    x, mask = example(shape, axis, masked)
    assert ("FusedBatchNormV3" in operations(layer_for(shape, axis), x, mask, True)) == route.startswith("fused")
    assert "FusedBatchNormV3" not in operations(layer_for(shape, axis), x, mask, False)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "elu", "gelu", "silu", "leaky_relu"])
def test_a_graph_of_convolution_norm_and_activation_answers_as_its_layers_do(activation):
    """TensorFlow fuses the three where it can; with the kernel at inference, tanh and sigmoid failed on a CPU."""
    image = keras.Input((8, 8, 2))
    x = BatchNormalization()(keras.layers.Conv2D(4, 3, use_bias=False)(image))
    model = keras.Model(image, keras.layers.Activation(activation)(x))
    pixels = tf.constant(np.random.default_rng(0).normal(size=(2, 8, 8, 2)), tf.float32)
    for training in (True, False):
        graph = tf.function(lambda x, training=training: model(x, training=training))
        np.testing.assert_allclose(graph(pixels), model(pixels, training=training), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("route", ROUTES)
def test_training_is_algorithm_1_and_the_running_variance_is_unbiased(route):
    shape, axis, masked = ROUTES[route]
    layer = layer_for(shape, axis)
    gamma, beta, running_mean, running_variance = (w.astype("float64") for w in layer.get_weights())
    x, mask = example(shape, axis, masked)
    for scale in (1.0, 3.0):  # two steps: an average that forgets its past would pass one
        outputs = rows(np.asarray(layer(x * scale, training=True, mask=mask)), axis)
        values = rows(x * scale, axis)
        kept = np.ones(len(values), bool) if mask is None else mask.ravel()
        _, mean, variance = algorithm_1(values[kept], gamma, beta, EPSILON)
        expected = gamma * (values - mean) / np.sqrt(variance + EPSILON) + beta  # masked positions too
        np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)
        m = kept.sum()
        running_mean = MOMENTUM * running_mean + (1 - MOMENTUM) * mean
        running_variance = MOMENTUM * running_variance + (1 - MOMENTUM) * variance * m / (m - 1)
    _, _, moving_mean, moving_variance = layer.get_weights()
    np.testing.assert_allclose(moving_mean, running_mean, rtol=1e-5)
    np.testing.assert_allclose(moving_variance, running_variance, rtol=1e-5)


@pytest.mark.parametrize("momentum", [0.0, 0.9, 1.0])
def test_momentum_is_the_share_of_the_old_average(momentum):
    layer = layer_for((6, 5, 4, 3), -1, momentum=momentum)
    before = layer.moving_mean.numpy()
    x, _ = example((6, 5, 4, 3), -1, False)
    layer(x, training=True)
    expected = momentum * before + (1 - momentum) * x.mean((0, 1, 2))
    np.testing.assert_allclose(layer.moving_mean, expected, rtol=1e-5)
    swapped = (1 - momentum) * before + momentum * x.mean((0, 1, 2))
    assert not np.allclose(layer.moving_mean, swapped, rtol=1e-2)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("frozen", [False, True])
def test_inference_is_algorithm_2_and_changes_nothing(route, frozen):
    shape, axis, masked = ROUTES[route]
    layer = layer_for(shape, axis)
    layer.trainable = not frozen  # a frozen layer keeps its statistics in training too
    gamma, beta, mean, variance = before = [layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance]
    before = [weight.numpy() for weight in before]
    gamma, beta, mean, variance = (weight.astype("float64") for weight in before)
    x, mask = example(shape, axis, masked)
    outputs = rows(np.asarray(layer(x, training=frozen, mask=mask)), axis)
    expected = gamma / np.sqrt(variance + EPSILON) * rows(x, axis) + (beta - gamma * mean / np.sqrt(variance + EPSILON))
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)
    after = [layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance]
    assert all(np.array_equal(old, new) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("route", [route for route in ROUTES if "mask" not in route])
@pytest.mark.parametrize("in_graph", [False, True])
def test_the_gradients_are_the_papers(route, in_graph):
    shape, axis, _ = ROUTES[route]
    layer = layer_for(shape, axis)
    x, _ = example(shape, axis, False)
    dy = np.random.default_rng(2).normal(size=shape).astype("float32")

    def differentiate(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x, training=True) * dy)
        return tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])

    dx, d_gamma, d_beta = (tf.function(differentiate) if in_graph else differentiate)(tf.constant(x))
    expected = gradients(rows(x, axis), layer.gamma.numpy().astype("float64"), rows(dy, axis), EPSILON)
    np.testing.assert_allclose(rows(np.asarray(dx), axis), expected[0], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(d_gamma, expected[1], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(d_beta, expected[2], rtol=1e-4, atol=1e-4)


def test_the_papers_gradients_are_those_of_its_equation():
    """The reference of the test above, against finite differences."""
    rng = np.random.default_rng(0)
    x, gamma, beta, dy = rng.normal(size=(7, 2)), rng.normal(size=2), rng.normal(size=2), rng.normal(size=(7, 2))
    dx, d_gamma, d_beta = gradients(x, gamma, dy, EPSILON)
    for array, gradient in ((x, dx), (gamma, d_gamma), (beta, d_beta)):
        for index in np.ndindex(array.shape):
            loss, kept = [], array[index]
            for step in (1e-6, -1e-6):
                array[index] = kept + step
                loss.append((algorithm_1(x, gamma, beta, EPSILON)[0] * dy).sum())
            array[index] = kept
            np.testing.assert_allclose((loss[0] - loss[1]) / 2e-6, gradient[index], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_frozen_or_inferring_layer_passes_the_gradient_of_a_scale_and_shift(frozen):
    layer = layer_for((2, 3, 3, 2), -1)
    layer.trainable = not frozen
    x = tf.constant(example((2, 3, 3, 2), -1, False)[0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(layer(x, training=frozen))
    expected = layer.gamma.numpy() / np.sqrt(layer.moving_variance.numpy() + EPSILON)
    np.testing.assert_allclose(tape.gradient(loss, x), np.broadcast_to(expected, x.shape), rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (1, 3)])
@pytest.mark.parametrize("jit", [False, True])
def test_one_value_a_channel_gives_no_nan(shape, jit):
    layer = layer_for(shape, -1)
    _, beta, _, running_variance = layer.get_weights()
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    outputs = tf.function(lambda x: layer(x, training=True), jit_compile=jit)(x)
    np.testing.assert_allclose(outputs, np.broadcast_to(beta, shape), atol=1e-6)
    np.testing.assert_allclose(
        layer.moving_variance, MOMENTUM * running_variance, rtol=1e-6
    )  # the variance of one is 0


@pytest.mark.parametrize("route", ["fused", "op by op, three axes"])
@pytest.mark.parametrize(("dtype", "error"), [("float16", 2e-3), ("bfloat16", 2e-2)])
def test_half_precision_is_computed_in_float32(route, dtype, error):
    shape, axis, _ = ROUTES[route]
    layer = layer_for(shape, axis, dtype=f"mixed_{dtype}")
    assert {weight.dtype for weight in layer.weights} == {"float32"}
    assert ("FusedBatchNormV3" in operations(layer, tf.zeros(shape, dtype), None, True)) == (route == "fused")
    x = (1000.0 + example(shape, axis, False)[0]).astype("float32")
    x = np.asarray(tf.cast(tf.cast(x, dtype), tf.float32))  # what half precision can hold; its square overflows float16
    _, mean, variance = algorithm_1(rows(x, axis), 1.0, 0.0, EPSILON)
    gamma, beta, *_ = layer.get_weights()
    outputs = layer(tf.cast(x, dtype), training=True)
    assert outputs.dtype == dtype
    expected = algorithm_1(rows(x, axis), gamma, beta, EPSILON)[0]
    np.testing.assert_allclose(rows(np.asarray(tf.cast(outputs, tf.float32)), axis), expected, atol=error * 4)
    np.testing.assert_allclose(layer.moving_mean, MOMENTUM * layer_for(shape, axis).moving_mean + 0.2 * mean, rtol=1e-4)


def test_float64_and_integers_take_keras_route():
    x, _ = example((4, 3, 3, 2), -1, False)
    double = layer_for((4, 3, 3, 2), -1, dtype="float64")
    gamma, beta, *_ = double.get_weights()
    expected, *_ = algorithm_1(rows(x, -1), gamma, beta, EPSILON)
    np.testing.assert_allclose(rows(np.asarray(double(x.astype("float64"), training=True)), -1), expected, rtol=1e-10)
    whole = (10 * x).astype("int32")
    layer = layer_for((4, 3, 3, 2), -1)
    expected, *_ = algorithm_1(rows(whole, -1), gamma, beta, EPSILON)
    np.testing.assert_allclose(rows(np.asarray(layer(whole, training=True)), -1), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(6, 5, 4, 3), (12, 3)])
@pytest.mark.parametrize("kwargs", [{"scale": False}, {"center": False}, {"scale": False, "center": False}])
def test_without_scale_or_shift(shape, kwargs):
    layer = layer_for(shape, -1, **kwargs)
    x, _ = example(shape, -1, False)
    gamma = layer.gamma.numpy() if layer.scale else 1.0
    beta = layer.beta.numpy() if layer.center else 0.0
    expected, *_ = algorithm_1(rows(x, -1), gamma, beta, EPSILON)
    np.testing.assert_allclose(rows(np.asarray(layer(x, training=True)), -1), expected, rtol=1e-4, atol=1e-4)
    mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
    expected = gamma * (x - mean) / np.sqrt(variance + EPSILON) + beta
    np.testing.assert_allclose(layer(x, training=False), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Layer 'flatten")  # the mask ends there, as it should
def test_both_routes_train_alike_in_fit():
    """Five steps of a convolutional network, the kernel in one and the same equations op by op in the other."""
    x, _ = example((32, 6, 6, 2), -1, False)
    y = np.random.default_rng(0).integers(0, 3, 32)
    weights = []
    for masked in (False, True):
        keras.utils.set_random_seed(0)
        image = keras.Input((6, 6, 2))
        features = keras.layers.Conv2D(4, 3, use_bias=False)(image)
        ones = keras.ops.ones_like(features[..., 0], dtype="bool") if masked else None  # a mask that hides nothing
        features = BatchNormalization()(features, mask=ones)
        model = keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(features)))
        model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for fused, plain in zip(*weights, strict=True):
        np.testing.assert_allclose(fused, plain, rtol=1e-3, atol=1e-5)


def test_a_configuration_makes_the_same_layer():
    layer = layer_for((6, 5, 4, 3), -1, scale=False)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is BatchNormalization and again.get_config() == layer.get_config()
    assert (again.momentum, again.epsilon, again.scale) == (MOMENTUM, EPSILON, False)
    assert (BatchNormalization().momentum, BatchNormalization().epsilon) == (0.9, 1e-5)


@pytest.mark.slow
def test_replicas_normalise_by_their_own_part_or_synchronized_by_all():
    """In a process of its own, because a machine's CPU can be split in two only before TensorFlow starts."""
    script = """
        import keras_dl
        import numpy as np
        import tensorflow as tf
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        x = np.random.default_rng(0).normal(size=(8, 2, 2, 3)).astype("float32")
        values = strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(x[4 * context.replica_id_in_sync_group:][:4]))
        for synchronized in (False, True):
            with strategy.scope():
                layer = keras_dl.layers.BatchNormalization(synchronized=synchronized)
                layer.build((None, 2, 2, 3))
            step = tf.function(lambda values: strategy.run(lambda x: layer(x, training=True), args=(values,)))
            outputs = strategy.experimental_local_results(step(values))
            running = strategy.experimental_local_results(layer.moving_variance.value)
            for replica, (y, variance) in enumerate(zip(outputs, running)):
                part = x[4 * replica:][:4]
                seen = x if synchronized else part
                mean, biased, unbiased = (f((0, 1, 2)) for f in (seen.mean, seen.var, lambda a: seen.var(a, ddof=1)))
                np.testing.assert_allclose(y, (part - mean) / np.sqrt(biased + 1e-5), atol=1e-5)
                np.testing.assert_allclose(variance, 0.9 + 0.1 * unbiased, rtol=1e-5)
        print("both hold")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True)
    assert done.stdout == "both hold\n", done.stderr
