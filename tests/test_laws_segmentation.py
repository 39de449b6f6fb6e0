"""Unpooling, the networks that segment, their loss and their measures: against equations, invariances and peers."""

import keras
import numpy as np
import pytest
import scipy.ndimage
import sklearn.metrics
import tensorflow as tf

from keras_dl import models, segmentation
from keras_dl.arguments import ArgumentError
from keras_dl.layers.unpooling import MaxPoolingWithSwitches, MaxUnpooling, Upsampling

SIZES = [(180, 45), (23, 1), (45, 23, 1), (5, 4, 7)]


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def windows(size):
    """The slices of each window, and its place."""
    for place in np.ndindex(*(-(-side // 2) for side in size)):
        yield place, tuple(slice(2 * p, min(2 * p + 2, side)) for p, side in zip(place, size, strict=True))


# Pooling and unpooling.


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_unpooling_puts_each_maximum_back_where_it_was(size, dtype):
    x = tf.cast(drawn(2, *size, 3), dtype)  # two different examples
    pooled, switches = MaxPoolingWithSwitches(dtype=dtype)(x)
    back = np.asarray(tf.cast(MaxUnpooling(size, dtype=dtype)([pooled, switches]), tf.float32))
    assert pooled.dtype == dtype
    x, pooled = (np.asarray(tf.cast(one, tf.float32)) for one in (x, pooled))
    expected = np.zeros_like(x)
    for place, window in windows(size):
        for example, channel in np.ndindex(2, 3):
            values = x[(example, *window, channel)]
            at = np.unravel_index(values.argmax(), values.shape)  # of equal ones, as bfloat16 has them, the first
            assert pooled[(example, *place, channel)] == values.max()
            expected[(example, *(w.start + a for w, a in zip(window, at, strict=True)), channel)] = values.max()
    np.testing.assert_array_equal(back, expected)


def test_of_equal_maxima_the_first_counts_in_the_value_and_in_the_gradient():
    x = tf.constant([[0.0, 2.0], [2.0, 2.0]])[None, ..., None]
    with tf.GradientTape() as tape:
        tape.watch(x)
        pooled, switches = MaxPoolingWithSwitches()(x)
    assert int(switches[0, 0, 0, 0]) == 1
    assert tape.gradient(pooled, x)[0, ..., 0].numpy().tolist() == [[0.0, 1.0], [0.0, 0.0]]


@pytest.mark.parametrize("size", [(5, 4), (3, 1), (3, 4, 5)], ids=str)
def test_gradients_are_those_of_gathering_and_scattering(size):
    x, z = tf.constant(drawn(2, *size, 3)), None
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        pooled, switches = MaxPoolingWithSwitches()(x)
        z = tf.constant(drawn(*pooled.shape, seed=1))
        tape.watch(z)
        back = MaxUnpooling(size)([z, switches])
        weights = tf.constant(drawn(*back.shape, seed=2))
        product = tf.reduce_sum(back * weights)
    # <unpool(z), w> = <z, transpose(w)>: unpooling is linear, and its gradient its transpose.
    of_z = tape.gradient(product, z)
    np.testing.assert_allclose(tf.reduce_sum(of_z * z), product, rtol=1e-4)
    ones = tape.gradient(pooled, x)
    np.testing.assert_array_equal(ones, MaxUnpooling(size)([tf.ones_like(pooled), switches]))
    # What the switches keep of what was pooled is what was pooled.
    np.testing.assert_array_equal(tf.reduce_sum(ones * x), tf.reduce_sum(ones * MaxUnpooling(size)([pooled, switches])))


def test_unpooling_refuses_another_size():
    with pytest.raises(ValueError, match=r"must both be of the size \(3, 2\).*pooled from \(5, 4\)"):
        MaxUnpooling((5, 4))([tf.zeros([1, 2, 2, 1]), tf.zeros([1, 2, 2, 1], tf.uint8)])


@pytest.mark.oracle
@pytest.mark.parametrize("size", [(180, 45), (23, 1), (45, 23, 12)], ids=str)
def test_it_is_pytorchs_pooling_and_unpooling(size):
    torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    pool, unpool = (getattr(torch.nn, f"{name}{len(size)}d") for name in ("MaxPool", "MaxUnpool"))
    x = drawn(2, *size, 3)
    z = drawn(2, *(-(-side // 2) for side in size), 3, seed=1)
    pooled, indices = pool(2, ceil_mode=True, return_indices=True)(torch.from_numpy(np.moveaxis(x, -1, 1).copy()))
    wanted = unpool(2)(torch.from_numpy(np.moveaxis(z, -1, 1).copy()), indices, output_size=size)
    ours, switches = MaxPoolingWithSwitches()(x)
    np.testing.assert_array_equal(ours, np.moveaxis(pooled.numpy(), 1, -1))
    np.testing.assert_array_equal(MaxUnpooling(size)([z, switches]), np.moveaxis(wanted.numpy(), 1, -1))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_up_sampling_is_that_of_tensorflow_cut_to_the_size(interpolation):
    x = drawn(2, 3, 4, 2)
    wanted = tf.image.resize(x, (6, 8), interpolation)[:, :5, :8]
    np.testing.assert_allclose(Upsampling((5, 8), interpolation)(x), wanted, atol=1e-6)
    # A volume that is the same in each slice is up-sampled as one of its slices.
    volume = np.repeat(x[:, None], 2, 1)
    whole = np.asarray(Upsampling((3, 5, 8), interpolation)(volume))
    for slice_ in range(3):
        np.testing.assert_allclose(whole[:, slice_], wanted, atol=1e-6)


def test_linear_up_sampling_of_volumes_is_the_same_along_each_axis():
    x = drawn(1, 2, 3, 4, 1)
    whole = np.asarray(Upsampling((4, 6, 8), "bilinear")(x))
    turned = np.asarray(Upsampling((8, 4, 6), "bilinear")(x.transpose(0, 3, 1, 2, 4)))
    np.testing.assert_allclose(turned, whole.transpose(0, 3, 1, 2, 4), atol=1e-6)


# Deconvolution.


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_deconvolution_is_the_transpose_of_convolution(dimensions, padding):
    """<conv(x), y> = <x, deconv(y)>."""
    size = (6, 5, 4)[:dimensions]
    after = size if padding == "same" else tuple(side - 2 for side in size)
    options = {"padding": padding, "use_bias": False}
    convolution = getattr(keras.layers, f"Conv{dimensions}D")(4, 3, **options)
    deconvolution = getattr(keras.layers, f"Conv{dimensions}DTranspose")(3, 3, **options)
    x, y = drawn(2, *size, 3), drawn(2, *after, 4, seed=1)
    convolution.build(x.shape), deconvolution.build(y.shape)
    deconvolution.set_weights(convolution.get_weights())
    np.testing.assert_allclose(np.sum(convolution(x) * y), np.sum(x * deconvolution(y)), rtol=1e-4)


# The networks.


NETWORKS = {
    "segnet": (models.build_segnet, {}),
    "deconvnet": (models.build_deconvnet, {"units": 5, "bottleneck_size": 1}),
}


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("upsampling", ["switches", "nearest", "bilinear"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_answer_shifts_with_the_input_by_the_total_stride(name, upsampling, dimensions):
    build, arguments = NETWORKS[name]
    side, stages = (40, 2) if dimensions == 2 else (24, 1)
    stride, reach = 2**stages, 16 if dimensions == 2 else 8  # of the stages: two sizes of kernels and of windows
    shape = (side,) * dimensions + (2,)
    filters, depth = (3, 4)[:stages], (1,) * stages
    model = build(shape, 3, filters=filters, depth=depth, upsampling=upsampling, dimensions=dimensions, **arguments)
    x = drawn(1, *shape)
    moved = np.roll(x, stride, axis=dimensions)
    inner = (slice(None), *[slice(reach, side - reach + (0 if dimensions == 2 else 4))] * dimensions)
    before = np.roll(np.asarray(model(x)), stride, axis=dimensions)[inner]
    after = np.asarray(model(moved))[inner]
    assert before.std() > 1e-3
    np.testing.assert_allclose(after, before, atol=1e-4)
    other = np.asarray(model(np.roll(x, 1, axis=dimensions)))[inner]  # a shift by one pixel moves the windows
    shifted = np.roll(np.asarray(model(x)), 1, axis=dimensions)[inner]
    assert np.abs(other - shifted).max() > 1e-3


@pytest.mark.parametrize("name", NETWORKS)
def test_the_decoder_of_switches_and_its_twins_have_the_same_weights_and_other_answers(name):
    build, arguments = NETWORKS[name]
    x, answers, first = drawn(1, 9, 11, 2), [], None
    for upsampling in ("switches", "nearest", "bilinear"):
        model = build((9, 11, 2), 3, filters=(3, 4), depth=(1, 2), upsampling=upsampling, **arguments)
        first = first or model.get_weights()
        model.set_weights(first)
        answers.append(np.asarray(model(x)))
    for n in range(3):
        assert np.abs(answers[n] - answers[n - 1]).max() > 1e-3


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (models.build_segnet, {"dimensions": 3}, r"must be \(D, H, W, C\); got \(360, 480, 3\). Nearest: dimensions=2"),
        (models.build_segnet, {"depth": (1,)}, "one number for each stage; got 5 and 1"),
        (models.build_segnet, {"kernel_size": 4}, "kernel_size must be odd; got 4. Nearest: 3 or 5"),
        (models.build_deconvnet, {"kernel_size": 2}, "kernel_size must be odd; got 2. Nearest: 1 or 3"),
        (
            models.build_deconvnet,
            {"input_shape": (64, 90, 3), "bottleneck_size": 3},
            "at most 2, the shorter side of the maps after 5 poolings; got 3. Nearest: 2",
        ),
        (models.build_deconvnet, {"units": 1_000_000}, "must have at most"),
        (models.build_segnet, {"filters": (60_000,) * 5}, "must have at most"),
    ],
)
def test_arguments_that_do_not_fit_each_other_are_refused(build, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        build(**arguments)


# The loss.


def labels_and_logits(classes=5, ignored=255, shape=(3, 6, 7), seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, shape)
    labels[rng.random(shape) < 0.2] = ignored
    return labels, rng.normal(size=(*shape, classes)).astype("float32")


WEIGHTS = (0.5, 1.0, 2.0, 0.0, 3.0)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_the_loss_is_the_weighted_mean_over_the_pixels_that_count(weights):
    labels, logits = labels_and_logits()
    total = count = 0.0
    for place in np.ndindex(*labels.shape):
        if labels[place] != 255:
            weight = 1.0 if weights is None else weights[labels[place]]
            total += weight * (np.log(np.exp(logits[place]).sum()) - logits[place][labels[place]])
            count += weight
    loss = segmentation.SegmentationLoss(255, weights)
    np.testing.assert_allclose(loss(labels, logits), total / count, rtol=1e-5)
    assert float(loss(np.full_like(labels, 255), logits)) == 0.0


def test_an_ignored_pixel_has_gradient_0_even_where_its_logits_are_nan():
    labels, logits = labels_and_logits()
    wanted = float(segmentation.SegmentationLoss(255)(labels, logits))
    logits[labels == 255] = np.nan
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = segmentation.SegmentationLoss(255)(labels, logits)
    gradient = tape.gradient(loss, logits).numpy()
    assert float(loss) == wanted
    assert not gradient[labels == 255].any()
    assert (np.abs(gradient[labels != 255]).max(-1) > 0).all()


@pytest.mark.oracle
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_it_is_pytorchs_loss(weights):
    torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    labels, logits = labels_and_logits()
    options = {} if weights is None else {"weight": torch.tensor(weights)}
    theirs = torch.nn.CrossEntropyLoss(ignore_index=255, **options)(
        torch.from_numpy(np.moveaxis(logits, -1, 1).copy()), torch.from_numpy(labels)
    )
    np.testing.assert_allclose(segmentation.SegmentationLoss(255, weights)(labels, logits), theirs.numpy(), rtol=1e-5)


def test_wrong_shapes_are_refused():
    labels, logits = labels_and_logits()
    with pytest.raises(ValueError, match="logits' shape without classes"):
        segmentation.SegmentationLoss()(labels[..., None], logits)
    with pytest.raises(ValueError, match="class_weights must be one number a class, as many as the logits; got 2"):
        segmentation.SegmentationLoss(255, (1.0, 2.0))(labels, logits)
    with pytest.raises(ValueError, match="one number a pixel"):
        segmentation.SegmentationLoss(255)(labels, logits, sample_weight=np.ones(3))


# The measures.

MEASURES = {
    "mean_iou": segmentation.MeanIoU(5, 255),
    "accuracy": segmentation.PixelAccuracy(5, 255),
    "boundary_iou": segmentation.BoundaryIoU(5, 0.1, 255),
    "dice": segmentation.Dice(5, 3, 255),
}


def measured(metric, labels, logits, batch):
    metric.reset_state()
    for start in range(0, len(labels), batch):
        metric.update_state(labels[start : start + batch], logits[start : start + batch])
    return float(metric.result())


@pytest.mark.parametrize("batch", [1, 7, 20])
def test_measures_are_scikit_learns_whatever_the_batch_size(batch):
    labels, logits = labels_and_logits(shape=(20, 6, 7))
    labels[labels == 2] = 1  # a class that is in no label, but predicted
    logits[..., 4] = -100  # one that is never predicted
    there = labels != 255
    truth, predicted = labels[there], logits.argmax(-1)[there]
    wanted = {
        "mean_iou": sklearn.metrics.jaccard_score(truth, predicted, average="macro"),
        "accuracy": sklearn.metrics.accuracy_score(truth, predicted),
        "dice": sklearn.metrics.f1_score(truth, predicted, labels=[3], average="macro"),
    }
    for name, value in wanted.items():
        np.testing.assert_allclose(measured(MEASURES[name], labels, logits, batch), value, rtol=1e-6)


def test_a_class_that_is_nowhere_is_left_out():
    labels = np.array([[[0, 0, 1, 1]]])
    logits = np.eye(3, dtype="float32")[np.array([[[0, 1, 1, 1]]])]
    assert measured(segmentation.MeanIoU(3), labels, logits, 1) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_counts_do_not_stop_at_the_precision_of_a_float():
    metric = segmentation.MeanIoU(2)
    metric.confusion.assign(np.array([[2**40, 0], [0, 2**24]]))
    metric.update_state([[[1]]], [[[[0.0, 1.0]]]])
    assert int(metric.confusion[1, 1]) == 2**24 + 1


@pytest.mark.parametrize("size", [(21, 30), (9, 8, 10)], ids=str)
@pytest.mark.parametrize("batch", [1, 3])
def test_boundary_iou_is_that_of_repeated_erosions(size, batch):
    """As the authors' code: the mask without what d erosions by a square leave; beyond the border is no mask."""
    rng = np.random.default_rng(0)
    smooth = scipy.ndimage.gaussian_filter(rng.normal(size=(3, *size)), [0] + [2] * len(size))
    labels = np.digitize(smooth, np.quantile(smooth, [0.3, 0.7]))
    predicted = np.digitize(np.roll(smooth, 1, -1), np.quantile(smooth, [0.25, 0.6]))
    labels[rng.random(labels.shape) < 0.02] = 255
    width = max(1, int(round(0.06 * np.sqrt(np.square(size).sum()))))
    assert width == segmentation.boundary_width(size, 0.06)
    square = np.ones((3,) * len(size))

    def region(mask):
        return mask & ~scipy.ndimage.binary_erosion(mask, square, iterations=width)

    both, either = np.zeros(3), np.zeros(3)
    for label, prediction in zip(labels, predicted, strict=True):
        for k in range(3):
            one, two = (region((classes == k) & (label != 255)) for classes in (label, prediction))
            both[k] += (one & two).sum()
            either[k] += (one | two).sum()
    metric = segmentation.BoundaryIoU(3, 0.06, 255)
    value = measured(metric, labels, np.eye(3, dtype="float32")[predicted], batch)
    assert value == pytest.approx((both / either).mean(), rel=1e-6)
    assert 0.1 < value < 0.9


@pytest.mark.parametrize("name", MEASURES)
def test_what_is_predicted_at_ignored_pixels_changes_no_measure(name):
    labels, logits = labels_and_logits()
    before = measured(MEASURES[name], labels, logits, 3)
    logits[labels == 255] = np.roll(logits[labels == 255], 1, -1)
    assert measured(MEASURES[name], labels, logits, 3) == before > 0


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
def test_measures_and_loss_come_back_from_their_config(measure):
    for one in (measure, segmentation.SegmentationLoss(255, WEIGHTS)):
        again = type(one).from_config(one.get_config())
        assert again.get_config() == one.get_config()
    labels, logits = labels_and_logits()
    assert measured(type(measure).from_config(measure.get_config()), labels, logits, 2) == measured(
        measure, labels, logits, 3
    )


def test_balanced_weights_make_every_class_count_the_same():
    counts = np.array([600, 30, 120, 0])
    weights = segmentation.balanced_weights(counts)
    np.testing.assert_allclose((weights * counts)[:3], 120)
    assert weights[3] == 0
