"""Laws of PixelRNN's layers: their equations in NumPy, pixel by pixel, what each direction sees, the two
implementations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl.layers import DiagonalBiLSTM, RowLSTM, pixel_scan, skewing
from keras_dl.layers.pixel_scan import Steps

F, U = 4, 3
SHAPES = [(5, 4), (4, 6), (1, 3), (4, 1), (1, 1)]
SOME_FAST = [SHAPES[0], *(pytest.param(shape, marks=pytest.mark.slow) for shape in SHAPES[1:])]
KINDS = {
    "row_lstm": (RowLSTM, {}),
    "row_lstm, wider": (RowLSTM, {"kernel_size": 5}),
    "diagonal_bilstm": (DiagonalBiLSTM, {}),
}


def layer_for(kind, seed=0, **kwargs):
    """A layer with every weight drawn at random, biases and initial states too."""
    layer, own = KINDS[kind]
    layer = layer(U, **{"dtype": "float64", **own, **kwargs})
    layer.build((None, 5, 4, F))
    rng = np.random.default_rng(seed)
    for weight in layer.trainable_variables:
        weight.assign(rng.normal(0, 0.6, weight.shape))
    return layer


def maps(height, width, batch=2, seed=1):
    return np.random.default_rng(seed).normal(size=(batch, height, width, F))


# Skewing


@pytest.mark.parametrize("shape", SHAPES)
def test_skewing_shifts_each_row_by_one_more_and_unskewing_is_its_inverse(shape):
    x = maps(*shape)
    height, width = shape
    skewed = np.full((2, height, height + width - 1, F), np.nan)  # figure 3 of the paper
    for row in range(height):
        skewed[:, row, row : row + width] = x[:, row]
    columns = np.swapaxes(skewed, 1, 2).reshape(2, -1, F)
    columns = columns[:, ~np.isnan(columns[0, :, 0])]  # without the empty places
    np.testing.assert_array_equal(skewing.skew(tf.constant(x)), columns)
    np.testing.assert_array_equal(skewing.unskew(skewing.skew(tf.constant(x)), height, width), x)
    np.testing.assert_array_equal(skewing.skew(skewing.unskew(tf.constant(columns), height, width)), columns)
    np.testing.assert_array_equal(skewing.mirrored(skewing.mirrored(tf.constant(x))), x)


# The equations


def lstm(weights, x, taps, c):
    """Equation 3 of the paper for one pixel: x, taps and c of the pixel before -> h, c."""
    kernel, recurrent, bias = weights
    i, f, g, o = np.split(x @ kernel + taps @ recurrent + bias, 4, -1)
    sigmoid = lambda a: 1 / (1 + np.exp(-a))  # noqa: E731
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def by_hand(layer, x):
    """What the layer computes, pixel by pixel."""
    weights = {weight.name: np.asarray(weight) for weight in layer.weights}
    if isinstance(layer, RowLSTM):
        return row_by_hand(weights, x, layer.kernel_size // 2)
    left = diagonal_by_hand(weights, x, "left_")
    right = diagonal_by_hand(weights, x[:, :, ::-1], "right_")[:, :, ::-1]
    right = np.concatenate([np.zeros_like(right[:, :1]), right[:, :-1]], 1)  # of the row above
    return left + right


def row_by_hand(weights, x, side):
    batch, height, width, _ = x.shape
    h, c = (np.broadcast_to(state, (batch, width, U)) for state in weights["initial_state"])
    outputs = []
    for row in range(height):
        h, before, c_before = np.zeros((batch, width, U)), h, c
        c = np.zeros_like(h)
        for column in range(width):
            inputs = [x[:, row, k] if k >= 0 else np.zeros((batch, F)) for k in range(column - side, column + 1)]
            taps = [
                before[:, k] if 0 <= k < width else np.zeros((batch, U))
                for k in range(column - side, column + side + 1)
            ]
            h[:, column], c[:, column] = lstm(
                [weights[name] for name in ("kernel", "recurrent_kernel", "bias")],
                np.concatenate(inputs, -1), np.concatenate(taps, -1), c_before[:, column],
            )  # fmt: skip
        outputs.append(h)
    return np.stack(outputs, 1)


def diagonal_by_hand(weights, x, way):
    batch, height, width, _ = x.shape
    first, outputs = weights[f"{way}initial_state"], np.zeros((batch, height, width, U))
    for row in range(height):
        h, c = (np.broadcast_to(state, (batch, U)) for state in first)
        for column in range(width):
            above = outputs[:, row - 1, column] if row else np.zeros((batch, U))
            h, c = lstm(
                [weights[f"{way}{name}"] for name in ("kernel", "recurrent_kernel", "bias")],
                x[:, row, column], np.concatenate([above, h], -1), c,
            )  # fmt: skip
            outputs[:, row, column] = h
    return outputs


@pytest.mark.parametrize("shape", SHAPES[:2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_is_the_papers_equations(kind, shape):
    x = maps(*shape)
    layer = layer_for(kind)
    np.testing.assert_allclose(layer(x), by_hand(layer, x), rtol=1e-9, atol=1e-12)


# What a pixel sees


def seen(layer, height, width):
    """Whether the output of pixel i depends on the input of pixel j: bool (H W, H W)."""
    pixels = height * width
    x = np.repeat(maps(height, width, batch=1), pixels + 1, 0).reshape(pixels + 1, pixels, F)
    x[np.arange(pixels), np.arange(pixels)] += 1.0
    outputs = np.asarray(layer(x.reshape(-1, height, width, F))).reshape(pixels + 1, pixels, U)
    return (np.abs(outputs[:-1] - outputs[-1]).max(-1) > 1e-12).T


def offsets(height, width):
    """How many rows below, and columns to the right of pixel j pixel i is: two (H W, H W)."""
    rows, columns = np.divmod(np.arange(height * width), width)
    return rows[:, None] - rows, columns[:, None] - columns


@pytest.mark.parametrize("shape", SHAPES[:3])
@pytest.mark.parametrize(("kind", "side"), [("row_lstm", 1), ("row_lstm, wider", 2)])
def test_the_row_lstm_sees_a_triangle(kind, side, shape):
    down, right = offsets(*shape)
    theory = (down >= 0) & (right >= -side * down) & (right <= side * down + side)  # K_is reaches further to the left
    np.testing.assert_array_equal(seen(layer_for(kind), *shape), theory)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_direction_of_the_diagonal_bilstm_sees_its_side_and_nothing_to_come(shape):
    down, right = offsets(*shape)
    sides = {"left_": (down >= 0) & (right >= 0), "right_": (down >= 1) & (right <= 0)}
    for way, theory in sides.items():
        layer = layer_for("diagonal_bilstm")
        for weight in layer.weights:
            if not weight.name.startswith(way):
                weight.assign(tf.zeros_like(weight))  # so that this direction's output is 0
        np.testing.assert_array_equal(seen(layer, *shape), theory)
    np.testing.assert_array_equal(seen(layer_for("diagonal_bilstm"), *shape), sides["left_"] | sides["right_"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_gate_sees_no_later_channel_of_its_own_pixel(kind):
    layer, own = KINDS[kind]
    layer = layer(6, channels=3, dtype="float64", **own)
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 6))
    layer(x)
    for channel in range(3):
        changed = x.copy()
        changed[:, -1, -1, 2 * channel : 2 * channel + 2] += 1.0
        moved = np.abs(np.asarray(layer(changed)) - layer(x))[:, -1, -1].max(0) > 1e-12
        np.testing.assert_array_equal(moved, np.arange(6) // 2 >= channel)


# The implementations


def differentiate(layer, x):
    x = tf.cast(x, layer.compute_dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        loss = tf.reduce_sum(tf.sin(3 * y))
    return [y, *tape.gradient(loss, [x, *[weight.value for weight in layer.trainable_variables]])]


@pytest.mark.parametrize("shape", SOME_FAST)
@pytest.mark.parametrize("kind", KINDS)
def test_the_fused_steps_compute_what_the_plain_ones_do_and_the_same_gradients(kind, shape):
    x = maps(*shape)
    expected = differentiate(layer_for(kind), x)
    for implementation in ("plain", "fused"):
        layer = layer_for(kind, dtype="float32", implementation=implementation)
        for value, reference in zip(differentiate(layer, x), expected, strict=True):
            np.testing.assert_allclose(value, reference, rtol=1e-4, atol=1e-5)
    graph = tf.function(lambda x: differentiate(layer, x), input_signature=[tf.TensorSpec((None, *shape, F))])
    for value, reference in zip(graph(x), expected, strict=True):
        np.testing.assert_allclose(value, reference, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_no_images_have_no_outputs_and_no_gradient(kind):
    layer = layer_for(kind, dtype="float32")
    y, *gradients = differentiate(layer, maps(4, 5)[:0])
    assert y.shape == (0, 4, 5, U)
    assert all(not np.asarray(gradient).any() for gradient in gradients)


def test_both_directions_as_one_batch_are_two_passes():
    layer = layer_for("diagonal_bilstm")
    weights = [tf.stack(part) for part in zip(layer.weights_of(0), layer.weights_of(1), strict=True)]
    x = tf.random.stateless_normal([2, 3, 20, F], [1, 2], dtype=tf.float64)
    steps = Steps.of_diagonals(4, 5)
    both = pixel_scan.plain(x, *weights, steps)
    single = [pixel_scan.plain(x[n : n + 1], *[w[n : n + 1] for w in weights], steps) for n in (0, 1)]
    np.testing.assert_allclose(both, tf.concat(single, 0), rtol=1e-12)
    assert np.abs(np.asarray(both[0] - both[1])).max() > 0.1
    fused = pixel_scan.fused(*[tf.cast(part, tf.float32) for part in (x, *weights)], steps)
    np.testing.assert_allclose(fused, both, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_pixel_by_pixel_it_is_the_whole_map(kind):
    layer = layer_for(kind)
    x = tf.constant(maps(4, 5))
    state, prepared, outputs = layer.first_state(2, 5, F), layer.prepared(), []
    for row in range(4):
        state = layer.next_row(state, tf.constant(row))
        for column in range(5):
            output, state = layer.pixel(x[:, row, column], column, state, prepared)
            outputs.append(output)
    np.testing.assert_allclose(tf.stack(outputs, 1), tf.reshape(layer(x), [2, 20, U]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_in_half_precision_the_states_are_in_single(kind):
    half, single = (layer_for(kind, dtype=dtype) for dtype in ("mixed_bfloat16", "float32"))
    x = maps(4, 5).astype("float32")
    assert half(x).dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(half(x), tf.float32), single(x), atol=0.03)


def test_a_wrong_implementation_is_one_line():
    with pytest.raises(ValueError, match="implementation must be one of auto, plain, fused; got 'scan'"):
        RowLSTM(3, implementation="scan")


def test_a_reloaded_layer_computes_the_same():
    layer = RowLSTM(3, 5, channels=2, recurrent_initializer="orthogonal")
    again = RowLSTM.from_config(layer.get_config())
    assert isinstance(again.recurrent_initializer, keras.initializers.Orthogonal)
    assert again.get_config() == layer.get_config()
