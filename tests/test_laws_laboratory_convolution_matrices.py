"""Laws of a convolution as a matrix: it is Keras' layer, with its zeros and its ties; and of networks made of them."""

import itertools

import keras
import numpy as np
import pytest

from keras_dl.errors import UserError
from keras_dl.laboratory import convolution_matrices, unrolled_networks
from keras_dl.laboratory.convolution_matrices import average_pooling, composed, convolution, dense

SHAPE = (7, 6, 4)
# strides, padding, dilation (Keras allows only one of strides and dilation to be other than 1), kernel size, groups
SETTINGS = [
    *((strides, padding, 1, size, 1) for strides, padding, size in itertools.product(
        [1, 2, (1, 3)], ["valid", "same"], [1, 2, (3, 2), 4])),
    *((1, padding, dilation, size, 1) for padding, dilation, size in itertools.product(
        ["valid", "same"], [2, (1, 3)], [2, (3, 2)])),
    *((2, padding, 1, 3, 2) for padding in ("valid", "same")),
]  # fmt: skip


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def applied(layer, x):
    return (x.reshape(len(x), -1) @ layer.kernel + layer.bias).reshape(len(x), *layer.output_shape)


@pytest.mark.parametrize(("strides", "padding", "dilation", "size", "groups"), SETTINGS)
def test_the_matrix_computes_what_keras_convolution_computes(strides, padding, dilation, size, groups):
    layer = keras.layers.Conv2D(6, size, strides, padding, dilation_rate=dilation, groups=groups)
    x = drawn(3, *SHAPE)
    layer.build(x.shape)
    layer.bias.assign(drawn(6, seed=1))
    matrix = convolution(layer.kernel, layer.bias, SHAPE, strides=strides, padding=padding, dilation=dilation)
    theirs = np.asarray(layer(x))
    assert matrix.output_shape == theirs.shape[1:]
    np.testing.assert_allclose(applied(matrix, x), theirs, atol=1e-6 * np.abs(theirs).max())
    assert matrix.parameters == layer.count_params()
    np.testing.assert_array_equal(matrix.connected, matrix.kernel != 0)  # none of the drawn weights is 0


@pytest.mark.parametrize(
    ("size", "strides", "padding"),
    [(2, None, "valid"), (2, None, "same"), (3, 2, "same"), ((3, 2), 1, "same"), (4, (2, 3), "valid")],
)
def test_average_pooling_is_a_matrix_whose_columns_are_means(size, strides, padding):
    x = drawn(3, *SHAPE)
    theirs = np.asarray(keras.layers.AveragePooling2D(size, strides, padding)(x))
    matrix = average_pooling(SHAPE, size, strides=strides, padding=padding)
    np.testing.assert_allclose(applied(matrix, x), theirs, atol=1e-6)
    np.testing.assert_allclose(matrix.kernel.sum(0), 1)
    assert matrix.parameters == 0 and (matrix.kernel[matrix.connected] > 0).all()


def test_in_one_dimension_it_is_toeplitz_and_in_two_block_toeplitz_of_toeplitz_blocks():
    """The weight of an input for an output depends only on how far they are from one another."""
    one = convolution(drawn(1, 3, 1, 1), None, (1, 9, 1)).kernel.T  # (outputs, inputs)
    for row in range(1, len(one)):
        assert (one[row, 1:] == one[row - 1, :-1]).all()
    assert (one[0, :3] == drawn(1, 3, 1, 1).ravel()).all() and (one[0, 3:] == 0).all()

    height, width = 6, 5
    two = convolution(drawn(3, 2, 1, 1), None, (height, width, 1)).kernel.T.reshape(4, 4, height, width)
    for down, right in ((1, 0), (0, 1)):
        moved = two[down:, right:, down:, right:]
        still = two[: 4 - down, : 4 - right, : height - down, : width - right]
        np.testing.assert_array_equal(moved, still)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_zeros_and_ties_are_counted(size):
    """A unit sees size^2 C inputs; all F units of a place have the F columns of the kernel, at every place again."""
    side, channels, filters = 6, 2, 3
    kernel = drawn(size, size, channels, filters)
    matrix = convolution(kernel, drawn(filters), (side, side, channels))
    places = (side - size + 1) ** 2
    assert matrix.connected.sum() == places * filters * size**2 * channels
    assert matrix.weights == side**2 * channels * places * filters + places * filters
    assert matrix.parameters == size**2 * channels * filters + filters
    values, counts = np.unique(matrix.kernel[matrix.connected], return_counts=True)
    np.testing.assert_array_equal(values, np.unique(kernel.astype(np.float64)))
    assert set(counts) == {places}


def test_a_window_that_does_not_fit_and_channels_that_do_not_are_said():
    with pytest.raises(ValueError, match="a window of 5 does not fit into 4 positions"):
        convolution(drawn(3, 3, 1, 1), None, (4, 9, 1), dilation=2)
    with pytest.raises(
        ValueError, match=r"a kernel of shape \(3, 3, 2, 4\) does not fit an input of shape \(5, 5, 3\)"
    ):
        convolution(drawn(3, 3, 2, 4), None, (5, 5, 3))


def test_one_behind_the_other_is_their_product_with_the_connections_of_their_paths():
    first = convolution(drawn(2, 2, 1, 2), drawn(2), (5, 5, 1))
    second = average_pooling(first.output_shape, 2)
    both = composed(first, second)
    x = drawn(4, 5, 5, 1)
    np.testing.assert_allclose(applied(both, x), applied(second, applied(first, x)), rtol=1e-12)
    assert both.connected.sum(0).max() == 9  # two windows of 2 x 2, one beside the other, see 3 x 3 pixels
    assert both.parameters == first.parameters and both.output_shape == (2, 2, 2)


# Networks


def convnets():
    """{name: a ConvNet of every kind of layer that has a matrix}"""
    from keras_dl.layers import BatchNormalization

    layers, image = keras.layers, keras.Input((12, 11, 2))
    x = layers.Conv2D(5, 3, padding="same", use_bias=False)(image)
    x = layers.ReLU()(BatchNormalization()(x))
    x = layers.AveragePooling2D(2)(x)
    x = layers.Conv2D(4, (3, 2), strides=(1, 2), activation="tanh")(x)
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    x = layers.Activation("sigmoid")(layers.Dense(7)(x))
    plain = keras.Model(image, layers.Dense(3)(layers.Dense(6, use_bias=False)(x)), name="every")
    settings = {"filters": (3, 4), "kernel_size": (4, 3), "strides": (2, 1), "pool_size": 3}
    return {"every layer": plain, "compared": unrolled_networks.convnet((12, 12, 1), 10, **settings)}


@pytest.mark.parametrize("name", ["every layer", "compared"])
def test_the_mlp_with_the_unrolled_matrices_is_the_convnet(name):
    model = convnets()[name]
    rng = np.random.default_rng(2)
    model.set_weights([rng.uniform(0.1, 1, w.shape) * rng.choice([-1, 1], w.shape) if w.ndim > 1 else
                       rng.uniform(0.5, 1, w.shape) for w in model.get_weights()])  # fmt: skip
    shape = model.input_shape[1:]
    matrices = unrolled_networks.unrolled(model)
    mlp = unrolled_networks.mlp_of(matrices, shape)
    assert unrolled_networks.difference(model, mlp, drawn(20, *shape)) < 1e-6
    kinds = {type(layer).__name__ for layer in mlp.layers}
    assert kinds <= {"InputLayer", "Flatten", "Dense", "Activation"}
    assert mlp.count_params() == sum(matrix.weights for matrix, _ in matrices)
    assert model.count_params() - non_trainable(model) == sum(matrix.parameters for matrix, _ in matrices)


def non_trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.non_trainable_weights)


def test_max_pooling_has_no_matrix_and_it_is_said():
    image = keras.Input((6, 6, 1))
    model = keras.Model(image, keras.layers.MaxPooling2D(name="pool")(image), name="with_max")
    with pytest.raises(UserError, match="pool of with_max is MaxPooling2D: max pooling is not linear"):
        unrolled_networks.unrolled(model)
    x = drawn(1, 6, 6, 1)
    assert np.abs(np.asarray(model(-x)) + np.asarray(model(x))).max() > 0.1  # f(-x) = -f(x) if it were a matrix


def test_a_deep_linear_network_is_one_matrix_and_learns_as_its_product_says():
    """W3 W2 W1 x, and dE/dW2 = dE/dW W1, W3 from the left, for W = W3 W2 W1 (here from the right: x W1 W2 W3)."""
    import tensorflow as tf

    model = unrolled_networks.hidden_layers((3, 3, 1), (8, 7), "linear", classes=4)
    (product, activation), *more = unrolled_networks.unrolled(model)
    assert not more and not activation and product.kernel.shape == (9, 4)
    one = unrolled_networks.mlp_of([(product, "")], (3, 3, 1))
    x, y = drawn(20, 3, 3, 1), drawn(20, 4, seed=1)
    assert unrolled_networks.difference(model, one, x) < 1e-6
    bent = unrolled_networks.hidden_layers((3, 3, 1), (8, 7), "relu", classes=4)
    assert len(unrolled_networks.unrolled(bent)) == 3

    def gradients(network):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((network(x) - y) ** 2)
        return [np.asarray(g, np.float64) for g in tape.gradient(loss, network.trainable_variables)]

    of_product = gradients(one)[0]
    first, _, second, _, third, _ = (np.asarray(w, np.float64) for w in model.get_weights())
    by_layer = gradients(model)
    np.testing.assert_allclose(by_layer[0], of_product @ (second @ third).T, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(by_layer[2], first.T @ of_product @ third.T, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(by_layer[4], (first @ second).T @ of_product, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "gelu", "tanh", "sigmoid", "maxout"])
def test_with_a_non_linearity_it_is_no_matrix(activation):
    model = unrolled_networks.hidden_layers((3, 3, 1), (8,), activation, classes=4)
    x, other = drawn(20, 3, 3, 1), drawn(20, 3, 3, 1, seed=1)
    bent = np.asarray(model(x)) + np.asarray(model(other)) - 2 * np.asarray(model((x + other) / 2))
    assert np.abs(bent).max() > 1e-3  # 0 for an affine map


def test_dense_is_itself():
    matrix = dense(drawn(4, 3), None)
    assert matrix.parameters == 12 and matrix.connected.all() and (matrix.bias == 0).all()
    assert convolution_matrices.dense(drawn(4, 3), drawn(3)).parameters == 15
