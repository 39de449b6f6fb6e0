"""Laws of the image classifiers: what their papers' equations say, in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import CASES
from sklearn.linear_model import LogisticRegression

from keras_dl import models


def inside(model, *layers):
    """The model's input -> what these layers put out."""
    outputs = [model.get_layer(name).output for name in layers]
    return keras.Model(model.input, outputs if len(outputs) > 1 else outputs[0])


def test_softmax_regression_is_logistic_regression():
    """The loss is convex: whoever minimises it must arrive at the same weights."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(240, 2, 2, 1)).astype("float32")
    truth = rng.normal(size=(4, 3))
    labels = (images.reshape(240, 4) @ truth + rng.gumbel(size=(240, 3))).argmax(1)  # not separable: a finite optimum
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(images.reshape(240, 4), labels)

    model = models.build_linear((2, 2, 1), 3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(1.0, momentum=0.9)
    optimizer.build(model.trainable_variables)

    @tf.function
    def descend(steps):
        for _ in tf.range(steps):
            with tf.GradientTape() as tape:
                value = loss(labels, model(images, training=True))
            optimizer.apply(tape.gradient(value, [v.value for v in model.trainable_variables]))

    descend(500)
    kernel, bias = model.get_layer("logits").get_weights()
    # A constant added to all classes' weights changes no probability; scikit-learn's weights sum to zero.
    np.testing.assert_allclose((kernel - kernel.mean(1, keepdims=True)).T, reference.coef_, atol=1e-3)
    np.testing.assert_allclose(bias - bias.mean(), reference.intercept_, atol=1e-3)
    probabilities = keras.ops.softmax(model(images, training=False))
    np.testing.assert_allclose(probabilities, reference.predict_proba(images.reshape(240, 4)), atol=1e-3)


# Feature maps shift with the image by the total stride. Row, image's length and breadth, layer, total stride, and how
# many cells at either end see the border (half the receptive field, in strides, rounded up).
SHIFTS = [
    ("convnet", (64, 14), "pool1", 2, 2),
    ("convnet", (64, 14), "pool2", 4, 2),
    ("convnet-batch_norm", (64, 14), "pool2", 4, 2),
    ("resnet_cifar-8", (96, 9), "stage1_block1_relu", 1, 3),
    ("resnet_cifar-8", (96, 9), "stage3_block1_relu", 4, 4),
    ("plain-8", (96, 9), "stage3_block1_relu", 4, 4),
    ("resnet-18", (128, 33), "stem_pool", 4, 2),
    ("resnet-18", (640, 33), "stage4_block2_relu", 32, 8),
    ("resnet-50", (704, 33), "stage4_block3_relu", 32, 9),
]


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize(("row", "size", "layer", "stride", "border"), SHIFTS)
def test_feature_maps_shift_with_the_image_by_the_total_stride(row, size, layer, stride, border, axis):
    case = CASES[row]
    size = size if axis == 1 else size[::-1]
    model = case.make(input_shape=(*size, case.inputs.channels))
    maps = inside(model, layer)
    rng = np.random.default_rng(0)
    long = rng.normal(size=(1, *(n + stride * (a == axis) for a, n in enumerate(size, start=1)), case.inputs.channels))
    windows = (np.take(long, range(start, start + size[axis - 1]), axis).astype("float32") for start in (0, stride))
    here, moved = (np.moveaxis(np.asarray(maps(window, training=False)), axis, 0) for window in windows)
    assert len(here) == -(-size[axis - 1] // stride) or row.startswith("convnet")
    clear = slice(border, len(here) - border - 1)
    assert len(here[clear]) >= 3 and np.std(here[clear], axis=0).max() > 1e-3
    np.testing.assert_allclose(moved[clear], here[1:][clear], rtol=1e-4, atol=1e-4)
    # The border does see the padding: a wider one would prove nothing.
    assert not np.allclose(moved[:-1], here[1:], rtol=1e-4, atol=1e-4)


def option_a(x, filters):
    """The paper's y = F(x) + x where F has half the pixels and twice the channels: x subsampled, with zero channels."""
    extra = filters - x.shape[-1]
    zeros = np.zeros((*x[:, ::2, ::2].shape[:-1], extra // 2), x.dtype)
    return np.concatenate([zeros, x[:, ::2, ::2], zeros], axis=-1)


@pytest.mark.parametrize("pixels", [(8, 8), (9, 7)])
def test_a_residual_block_adds_its_input_by_option_a(pixels):
    model = CASES["resnet_cifar-8"].make(input_shape=(*pixels, 3))
    names = ["stem_relu", "stage1_block1_2_bn", "stage1_block1_relu", "stage2_block1_2_bn", "stage2_block1_relu"]
    outputs = inside(model, *names)
    images = np.random.default_rng(0).normal(size=(2, *pixels, 3)).astype("float32")
    stem, f1, block1, f2, block2 = (np.asarray(x) for x in outputs(images, training=False))
    np.testing.assert_allclose(block1, np.maximum(f1 + stem, 0), atol=1e-6)
    np.testing.assert_allclose(block2, np.maximum(f2 + option_a(block1, 8), 0), atol=1e-6)
    assert np.ptp(f2) > 0.1 and np.ptp(block1) > 0.1


def test_the_plain_network_has_the_residual_network_s_weights_and_no_shortcut():
    residual, plain = CASES["resnet_cifar-8"].make(), CASES["plain-8"].make()
    assert [v.path.split("/", 1)[1] for v in plain.weights] == [v.path.split("/", 1)[1] for v in residual.weights]
    outputs = inside(plain, "stage2_block1_2_bn", "stage2_block1_relu")
    f, block = outputs(CASES["plain-8"].example(2), training=False)
    np.testing.assert_array_equal(block, np.maximum(f, 0))


@pytest.mark.parametrize("row", ["resnet-18", "resnet-50"])
def test_a_residual_block_adds_its_input_by_option_b(row):
    model = CASES[row].make(input_shape=(64, 40, CASES[row].inputs.channels))
    last = "2_bn" if row == "resnet-18" else "3_bn"
    names = [
        "stage1_block2_relu",
        f"stage2_block1_{last}",
        "stage2_block1_relu",
        f"stage2_block2_{last}",
        "stage2_block2_relu",
    ]
    if row == "resnet-50":
        names[0] = "stage1_block3_relu"
    outputs = inside(model, *names)
    images = np.random.default_rng(0).normal(size=(2, *model.input_shape[1:])).astype("float32")
    x, f1, block1, f2, block2 = (np.asarray(t) for t in outputs(images, training=False))
    kernel = model.get_layer("stage2_block1_shortcut_conv").get_weights()[0][0, 0]
    gamma, beta, mean, variance = model.get_layer("stage2_block1_shortcut_bn").get_weights()
    projected = gamma * (x[:, ::2, ::2] @ kernel - mean) / np.sqrt(variance + 1e-5) + beta
    np.testing.assert_allclose(block1, np.maximum(f1 + projected, 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(block2, np.maximum(f2 + block1, 0), rtol=1e-4, atol=1e-5)
    shortcuts = [layer.name for layer in model.layers if layer.name.endswith("shortcut_conv")]
    first = [] if row == "resnet-18" else ["stage1_block1_shortcut_conv"]  # a stage of bottlenecks widens at once
    assert shortcuts == [*first, *(f"stage{stage}_block1_shortcut_conv" for stage in (2, 3, 4))]


@pytest.mark.parametrize("depth", [18, 50])
def test_the_stride_of_a_stage_is_on_the_first_convolution_of_its_first_block(depth):
    model = models.build_resnet((64, 64, 3), 10, depth=depth, filters=1)
    strided = {
        layer.name for layer in model.layers if isinstance(layer, keras.layers.Conv2D) and layer.strides != (1, 1)
    }
    expected = {f"stage{stage}_block1_{part}_conv" for stage in (2, 3, 4) for part in ("1", "shortcut")}
    assert strided == {"stem_conv", *expected}


@pytest.mark.parametrize("row", ["resnet_cifar-8", "resnet-18", "resnet-50"])
def test_a_stride_only_subsamples_so_the_padding_is_the_same_on_every_side(row):
    """Convolving and pooling with stride 2 keep every second pixel of what stride 1 gives, from the first on."""
    model = CASES[row].make(input_shape=(64, 48, CASES[row].inputs.channels))  # even, where Keras' "same" differs
    pads = {layer.output.name: layer.input for layer in model.layers if layer.name.endswith("pad")}
    strided = [layer for layer in model.layers if getattr(layer, "strides", (1, 1)) == (2, 2)]
    sources = [pads.get(layer.input.name, layer.input) for layer in strided]
    values = keras.Model(model.input, [sources, [layer.output for layer in strided]])
    images = np.random.default_rng(0).normal(size=(1, *model.input_shape[1:])).astype("float32")
    for layer, x, y in zip(strided, *values(images, training=False), strict=True):
        if isinstance(layer, keras.layers.Conv2D):
            everywhere = tf.nn.conv2d(x, layer.get_weights()[0], 1, "SAME")
        else:
            window = layer.pool_size[0]
            everywhere = tf.nn.max_pool2d(x, window, 1, "SAME")  # TensorFlow's border never wins a maximum
        np.testing.assert_allclose(y, everywhere[:, ::2, ::2], rtol=1e-4, atol=1e-4, err_msg=layer.name)
    assert len(strided) == (4 if row == "resnet_cifar-8" else 8)


def test_a_block_that_starts_at_zero_is_the_identity():
    model = models.build_resnet((32, 32, 3), 10, depth=18, filters=4, zero_init_residual=True)
    names = ["stem_pool", "stage1_block1_relu", "stage1_block2_relu"]
    outputs = inside(model, *names)
    x, block1, block2 = outputs(CASES["resnet-18"].example(1)[:, :32, :32], training=False)
    np.testing.assert_array_equal(block1, x)
    np.testing.assert_array_equal(block2, x)
    assert np.ptp(x) > 0.1
