"""Laws of models of images, value after value: what a value depends on, that probabilities sum to 1, that the cached
sampling is the plain loop. The models are the rows of pixel_cases.py."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from pixel_cases import BINARY, GATED, LSTM, PIXEL_CASES, SMALL, PixelCase, gated_field, naive_sample

from keras_dl import models, objectives
from keras_dl.decoding import pixels
from keras_dl.layers.masked_convolution import MaskedConv2D, VerticalConv2D, beside, channel_order

# Named here: keras_dl/evidence.py finds their laws by it.
BUILDERS = ("build_pixelcnn", "build_gated_pixelcnn", "build_pixelrnn")
ROWS = [name for name, case in PIXEL_CASES.items() if case.build.__name__ in BUILDERS]
CONDITIONAL = [name for name, case in PIXEL_CASES.items() if case.context(1) is not None]


def called(model, images, context=None):
    return np.asarray(model(model.with_context(images, context), training=False))


def moved(case, model, base, context):
    """Whether a change of value j moves the parameters of value i, for one image: bool (T, T)."""
    count, levels = base.size, case.kwargs["levels"]
    changed = np.repeat(base[None], count + 1, 0).reshape(count + 1, count)
    changed[np.arange(count), np.arange(count)] += np.where(changed[-1] < levels - 1, 1, -1)
    contexts = None if context is None else np.repeat(context, count + 1, 0)
    parameters = called(model, changed.reshape(-1, *base.shape), contexts).reshape(count + 1, count, -1)
    return np.abs(parameters[:-1] - parameters[-1]).max(-1).T > 1e-10


def test_every_model_of_images_has_a_row():
    assert {case.build.__name__ for case in PIXEL_CASES.values()} == set(BUILDERS)


# What a value depends on


@pytest.mark.parametrize("row", ROWS)
def test_a_value_depends_on_exactly_the_values_of_its_receptive_field(row):
    """On every one of them, and on no other: row 0, the first column and the channels of a pixel included."""
    case = PIXEL_CASES[row]
    theory = case.dependences()
    assert not np.triu(theory).any() and theory.any()
    seen = np.zeros_like(theory)
    for image in case.images(6):  # a unit may be silent for one image
        seen |= moved(case, case.exact, image, case.context(1))
        assert not (seen & ~theory).any()
    assert (seen == theory).all(), np.argwhere(seen != theory)


@pytest.mark.parametrize("row", ROWS)
def test_the_gradient_of_a_values_parameters_by_that_value_is_zero(row):
    case = PIXEL_CASES[row]
    images, context = tf.constant(case.images(1)), case.context(1)
    with tf.GradientTape() as tape:
        tape.watch(images)
        parameters = tf.reduce_sum(case.model(case.model.with_context(images, context)), -1)
        parameters = tf.reshape(parameters, [-1])
    jacobian = np.asarray(tape.jacobian(parameters, images)).reshape(parameters.shape[0], -1)
    assert (np.triu(jacobian) == 0).all() and np.abs(jacobian).max() > 1e-3


def test_the_blind_spot_is_in_pixelcnn_and_not_in_gated_pixelcnn():
    shape = {"input_shape": (5, 9, 1)}
    deep = {"num_blocks": 8}
    plain = PixelCase(models.build_pixelcnn, {**shape, **BINARY, **SMALL, **deep})
    gated = PixelCase(models.build_gated_pixelcnn, {**shape, **BINARY, **GATED, "num_layers": 9})
    rows, columns = np.divmod(np.arange(45), 9)
    up, right = rows[:, None] - rows[None], columns[None] - columns[:, None]
    blind = (up > 0) & (right > up)  # to the right above: 45 degrees is as far as 3x3 masks reach, however many
    before = plain.dependences()
    assert blind.any() and (before | ~blind).all()
    seen = {}
    for name, case in (("plain", plain), ("gated", gated)):
        seen[name] = np.any([moved(case, case.exact, image, None) for image in case.images(8)], 0)
    assert not (seen["plain"] & blind).any() and (seen["plain"] == before & ~blind).all()
    assert (seen["gated"] == before).all()


def test_ten_dilated_layers_see_all_earlier_pixels_of_a_digit_of_28_by_28():
    kwargs = {"input_shape": (28, 28, 1), **BINARY, **GATED, "first_kernel_size": 7}
    case = PixelCase(models.build_gated_pixelcnn, {**kwargs, "num_layers": 10, "dilations": (1, 2, 4, 8)}, gated_field)
    images = tf.constant(case.images(1))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(images)
        logits = case.model(images)[0, ..., 0, 0]
        corners = {place: logits[place] for place in ((27, 0), (27, 27), (14, 14))}
    for (row, column), logit in corners.items():
        seen = np.asarray(tape.gradient(logit, images))[0, ..., 0].ravel() != 0
        place = row * 28 + column
        assert seen[:place].all() and not seen[place:].any()


@pytest.mark.parametrize(("mask", "theory"), [("A", np.tri(3, k=-1)), ("B", np.tri(3))])
def test_the_channels_of_a_pixel_follow_each_other_red_green_blue(mask, theory):
    layer = MaskedConv2D(6, 3, mask=mask, channels=3, parts=2, kernel_initializer="ones")
    layer.build((None, 5, 5, 3))
    center = np.asarray(layer.masked_kernel())[1, 1]  # (input, output)
    np.testing.assert_array_equal(center.T, np.concatenate([theory, theory]))
    np.testing.assert_array_equal(channel_order(3, 6, 3, mask).T, np.repeat(theory, 2, 0))


# Masked weights


def masked_layers(model):
    return [layer for layer in model.layers if isinstance(layer, MaskedConv2D)]


@pytest.mark.parametrize("row", ROWS)
def test_masked_weights_change_nothing_and_get_no_gradient(row):
    case = PIXEL_CASES[row]
    model, images, context = case.make(), case.images(3), case.context(3)
    before = called(model, images, context)
    with tf.GradientTape() as tape:
        inputs = model.with_context(images, context)
        loss = tf.reduce_sum(objectives.image_nll(images, model(inputs), model.output_kind, model.levels))
    kernels = [layer.kernel for layer in masked_layers(model)]
    gradients = tape.gradient(loss, [kernel.value for kernel in kernels])
    for layer, gradient in zip(masked_layers(model), gradients, strict=True):
        assert (np.asarray(gradient)[layer._mask == 0] == 0).all()
        layer.kernel.assign(np.where(layer._mask == 0, 1e6, layer.kernel))
    np.testing.assert_array_equal(called(model, images, context), before)


# Probabilities


@pytest.mark.parametrize("row", ROWS)
def test_the_probabilities_of_all_binary_images_sum_to_1(row):
    case = PIXEL_CASES[row]
    small = PixelCase(case.build, case.kwargs | {"input_shape": (2, 3, 1), "levels": 2})
    model = small.model
    images = np.array(list(itertools.product([0, 1], repeat=6)), "float32").reshape(64, 2, 3, 1)
    context = small.context(1)
    context = None if context is None else np.repeat(context, 64, 0)
    logs = np.asarray(model.log_prob(model.with_context(images, context)), np.float64)
    assert np.exp(logs).sum() == pytest.approx(1, abs=1e-5)
    assert np.exp(logs).std() > 1e-3  # they are not all equal


@pytest.mark.parametrize("row", ROWS)
def test_log_prob_is_the_sum_over_the_values_of_their_own_distribution(row):
    case = PIXEL_CASES[row]
    model, images, context = case.model, case.images(4), case.context(4)
    parameters = called(model, images, context)
    logs = model.distribution(parameters).log_prob(images)
    np.testing.assert_allclose(model.log_prob(model.with_context(images, context)), np.sum(logs, (1, 2, 3)), rtol=1e-5)
    loss = objectives.ImageLoss(model.output_kind, model.levels)(images, parameters)
    assert float(loss) == pytest.approx(-float(np.mean(np.sum(logs, (1, 2, 3)))), rel=1e-5)


@pytest.mark.parametrize(
    ("build", "small"),
    [(models.build_pixelcnn, SMALL), (models.build_gated_pixelcnn, GATED), (models.build_pixelrnn, LSTM)],
)
def test_the_uniform_model_has_8_bits_per_dimension(build, small):
    model = build((6, 5, 3), 256, output="categorical", **small)
    for variable in model.get_layer("parameters").trainable_variables:
        variable.assign(tf.zeros_like(variable))
    images = np.random.default_rng(0).integers(0, 256, (7, 6, 5, 3)).astype("float32")
    model.compile(
        loss=objectives.ImageLoss("categorical", 256), metrics=[objectives.BitsPerDimension("categorical", 256)]
    )
    scores = model.evaluate(images, images, batch_size=3, verbose=0, return_dict=True)
    assert f"{scores['bits_per_dimension']:.5f}" == "8.00000"
    assert scores["loss"] == pytest.approx(90 * np.log(256), rel=1e-6)


@pytest.mark.parametrize("row", ROWS)
def test_two_calls_leave_all_variables_equal(row):
    case = PIXEL_CASES[row]
    before = [np.asarray(variable) for variable in case.model.variables]
    images, context = case.images(2), case.context(2)
    np.testing.assert_array_equal(called(case.model, images, context), called(case.model, images, context))
    assert all(np.array_equal(old, new) for old, new in zip(before, case.model.variables, strict=True))


@pytest.mark.parametrize("row", ROWS)
def test_no_images_have_no_log_probabilities(row):
    """In a graph whose number of images is not known, as in an export."""
    case = PIXEL_CASES[row]
    inputs = case.model.with_context(case.images(2), case.context(2))
    signature = tf.nest.map_structure(lambda x: tf.TensorSpec([None, *x.shape[1:]], x.dtype), inputs)
    log_probs = tf.function(case.model.log_probs, input_signature=[signature], autograph=False)
    assert log_probs(tf.nest.map_structure(lambda x: x[:0], inputs)).shape == (0, *case.model.image_shape)
    np.testing.assert_allclose(log_probs(inputs), case.model.log_probs(inputs), rtol=1e-4, atol=1e-5)


# Sampling


@pytest.mark.parametrize("row", ROWS)
def test_cached_sampling_is_the_plain_loop_value_for_value_under_the_same_noise(row):
    """In a graph whose number of images is not known. The log-probability of the draws is log_prob of the images."""
    case = PIXEL_CASES[row]
    model, rows = case.model, 5
    context = case.context(rows)

    @tf.function(input_signature=[tf.TensorSpec((), tf.int32), tf.TensorSpec((), tf.int32)], autograph=False)
    def sample(rows, seed):
        return pixels.sample(model, rows, seed, 0.8, context=None if context is None else context_of(rows))

    def context_of(rows):
        return tf.constant(context)[:rows]

    images, log_probs = sample(rows, 3)
    plain, of_plain = naive_sample(model, rows, 3, 0.8, context)
    np.testing.assert_array_equal(images, plain)
    np.testing.assert_allclose(log_probs, of_plain, rtol=1e-4, atol=1e-4)
    inputs = model.with_context(tf.cast(images, tf.float32), context)
    np.testing.assert_allclose(log_probs, model.log_prob(inputs), rtol=1e-4, atol=1e-4)
    assert np.ptp(np.asarray(images), 0).any()  # the images differ
    for few in (1, 3):
        assert sample(few, 3)[0].shape == (few, *model.image_shape)
    assert (np.asarray(sample(rows, 4)[0]) != plain).any()
    assert sample(0, 3)[0].shape == (0, *model.image_shape)


@pytest.mark.parametrize("row", ROWS)
def test_what_is_given_stays_and_the_rest_is_drawn_from_it(row):
    case = PIXEL_CASES[row]
    model, rows = case.model, 3
    context, (height, width, channels) = case.context(rows), model.image_shape
    complete = tf.function(
        lambda images, mask: pixels.complete(model, images, mask, 5, context=context), autograph=False
    )  # fmt: skip
    given, drawn = case.images(rows, seed=2), np.asarray(pixels.sample(model, rows, 5, context=context)[0])
    top = np.zeros((rows, height, width), bool)
    top[:, : height // 2] = True
    completed, log_probs = complete(given, top)
    np.testing.assert_array_equal(np.asarray(completed)[top], given[top])
    whole = np.repeat(top[..., None], channels, -1)
    np.testing.assert_array_equal(completed, naive_sample(model, rows, 5, 1.0, context, given=(given, whole))[0])
    inputs = model.with_context(tf.cast(completed, tf.float32), context)
    np.testing.assert_allclose(log_probs, model.log_prob(inputs), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(
        complete(drawn.astype("float32"), top)[0], drawn
    )  # its own top half goes on as it did
    np.testing.assert_array_equal(complete(given, np.zeros_like(top))[0], drawn)
    np.testing.assert_array_equal(complete(given, np.ones_like(top))[0], given)


def test_at_temperature_0_every_value_is_the_most_probable_one():
    model = PIXEL_CASES["pixelcnn-colour"].model
    images, _ = pixels.sample(model, 2, 0, 0.0)
    parameters = called(model, np.asarray(images, "float32"))
    np.testing.assert_array_equal(parameters.argmax(-1), images)
    np.testing.assert_array_equal(images[0], images[1])


@pytest.mark.parametrize("row", CONDITIONAL)
def test_the_context_changes_the_images(row):
    case = PIXEL_CASES[row]
    images = np.repeat(case.images(1), 3, 0)
    logs = np.asarray(case.model.log_prob(case.model.with_context(images, case.context(3))))
    assert np.ptp(logs) > 1e-3


def test_a_map_acts_at_its_own_pixel_on_the_horizontal_stack_and_below_on_the_vertical_one():
    """Equation 5: the map is added where the pixel is, so a value depends on the map up to its own pixel alone."""
    case = PIXEL_CASES["gated_pixelcnn-map"]
    images, maps = case.images(1), case.context(1)
    height, width, channels = case.model.image_shape
    before = called(case.model, images, maps)
    for row, column in np.ndindex(height, width):
        changed = maps.copy()
        changed[0, row, column] += 1.0
        moved = np.abs(called(case.model, images, changed) - before)[0].max((2, 3)) > 1e-6
        assert moved[row, column]
        assert not moved[:row].any()


@pytest.mark.parametrize("row", ROWS)
def test_a_reloaded_model_draws_the_same_images(row, tmp_path):
    case = PIXEL_CASES[row]
    case.model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    context = case.context(2)
    expected, drawn = (
        tf.function(lambda model=model: pixels.sample(model, 2, 9, context=context)[0], autograph=False)()
        for model in (case.model, again)
    )
    np.testing.assert_array_equal(drawn, expected)


# The layers, row by row and pixel by pixel


@pytest.mark.parametrize("dilation", [1, 2, 3, 8])
@pytest.mark.parametrize("size", [1, 3, 7, (1, 5), (5, 1), (3, 5)])
def test_a_masked_convolution_is_the_whole_kernels_with_same_padding(size, dilation):
    rng = np.random.default_rng(0)
    for shape in ((1, 9), (6, 7), (17, 4)):
        images = tf.constant(rng.normal(size=(2, *shape, 4)))
        layer = MaskedConv2D(6, size, mask="B", channels=2, dilation_rate=dilation, dtype="float64")
        result = layer(images)
        expected = tf.nn.convolution(images, layer.masked_kernel(), 1, "SAME", dilations=dilation) + layer.bias
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dilation", [1, 2])
def test_a_masked_convolution_of_a_pixel_is_that_of_the_whole_image(dilation):
    rng = np.random.default_rng(0)
    layer = MaskedConv2D(4, (3, 5), mask="B", dilation_rate=dilation)
    images = tf.constant(rng.normal(size=(2, 6, 7, 3)), tf.float32)
    whole = np.asarray(layer(images))
    rows, columns = layer.reach
    padded = tf.pad(images, [[0, 0], [rows, 0], [0, 0], [0, 0]])
    for row in range(6):
        above = np.asarray(layer.above(padded[:, row : row + rows]))
        line = tf.pad(images[:, row], [[0, 0], [columns, 0], [0, 0]])
        for column in range(7):
            own = beside(line[:, column : column + columns + 1 : dilation], layer.beside_kernel())
            np.testing.assert_allclose(above[:, column] + own, whole[:, row, column], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dilation", [1, 2, 3, 8])
@pytest.mark.parametrize("above_only", [True, False])
def test_a_vertical_convolution_is_that_with_rows_of_zeros_below_the_kernel(above_only, dilation):
    rng = np.random.default_rng(0)
    for shape in ((1, 9), (6, 7), (17, 4)):
        images = tf.constant(rng.normal(size=(2, *shape, 4)))
        layer = VerticalConv2D(6, 5, above_only=above_only, dilation_rate=dilation, dtype="float64")
        result = layer(images)
        kernel = np.zeros((5, 5, 4, 6))
        kernel[: layer.kernel.shape[0]] = layer.kernel
        expected = tf.nn.convolution(images, kernel, 1, "SAME", dilations=dilation) + layer.bias
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-12)


def test_a_masked_convolution_takes_images_of_any_size_in_one_graph():
    layer = MaskedConv2D(4, 3, mask="B", dilation_rate=2)
    layer.build((None, None, None, 3))
    call = tf.function(layer.call, input_signature=[tf.TensorSpec([None, None, None, 3])], autograph=False)
    for shape in ((2, 9, 6, 3), (1, 4, 11, 3)):
        images = tf.random.stateless_normal(shape, (0, 0))
        np.testing.assert_allclose(call(images), layer(images), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("above_only", "dilation"), [(True, 1), (False, 1), (False, 2)])
def test_a_vertical_convolution_of_a_row_is_that_of_the_whole_image(above_only, dilation):
    rng = np.random.default_rng(0)
    layer = VerticalConv2D(4, 3, above_only=above_only, dilation_rate=dilation)
    images = tf.constant(rng.normal(size=(2, 6, 7, 3)), tf.float32)
    whole = np.asarray(layer(images))
    padded = tf.pad(images, [[0, 0], [layer.reach, 0], [0, 0], [0, 0]])
    for row in range(6):
        rows = padded[:, row : row + layer.reach + (0 if above_only else 1)]
        np.testing.assert_allclose(layer.row(rows), whole[:, row], rtol=1e-4, atol=1e-5)
