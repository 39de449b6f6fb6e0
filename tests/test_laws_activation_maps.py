"""Class-activation maps: their closed form of a linear head, their layer, and how they are drawn."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_dl import models, summaries
from keras_dl.figures import png
from keras_dl.summaries import activation_maps

RNG = np.random.default_rng
POOLS = {1: layers.GlobalAveragePooling1D, 2: layers.GlobalAveragePooling2D, 3: layers.GlobalAveragePooling3D}
CONVOLUTIONS = {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_of_a_linear_head_on_means_the_map_is_the_closed_form(axes):
    """max(0, sum_k w_k^c A^k) / positions, for every class."""
    keras.utils.set_random_seed(axes)
    image = keras.Input((7, 6, 5)[:axes] + (2,))
    maps = CONVOLUTIONS[axes](4, 3, padding="same", activation="tanh", name="maps")(image)
    model = keras.Model(image, layers.Dense(3, name="logits")(POOLS[axes]()(maps)))
    model.get_layer("logits").bias.assign([1.0, -2.0, 3.0])  # which changes no map
    x = RNG(0).normal(size=(5, *image.shape[1:])).astype("float32")
    of_layer = keras.Model(image, maps)(x).numpy()
    positions = np.prod(of_layer.shape[1:-1])
    for k in range(3):
        ours, logits = summaries.grad_cam(model)(x, tf.fill([5], k))
        closed = of_layer @ model.get_layer("logits").kernel.numpy()[:, k] / positions
        np.testing.assert_allclose(ours, np.maximum(0, closed), rtol=1e-4, atol=1e-7)
        assert (closed > 0).any() and (closed < 0).any()
        np.testing.assert_allclose(logits, model(x), rtol=1e-5)


def test_without_classes_the_maps_are_those_of_the_best_ones():
    model = models.build_convnet((12, 12, 1), 4)
    x = RNG(0).normal(size=(6, 12, 12, 1)).astype("float32")
    maps, logits = summaries.grad_cam(model)(x)
    best, _ = summaries.grad_cam(model)(x, tf.argmax(logits, -1))
    np.testing.assert_array_equal(maps, best)


@pytest.mark.parametrize(
    ("build", "arguments", "layer"),
    [
        ("linear", {}, None),
        ("mlp", {}, None),
        ("convnet", {}, "pool2"),
        ("resnet_cifar", {"depth": 8}, "stage3_block1_relu"),
        ("convnet1d", {"filters": (4, 4)}, "pool2"),
        ("convnet3d", {}, "conv4_relu"),  # behind it there is one voxel
        ("resnet3d", {"filters": 2}, "stage4_block2_relu"),
    ],
)
def test_the_layer_is_the_last_one_with_places(build, arguments, layer):
    model = getattr(models, f"build_{build}")(**arguments)
    chosen = activation_maps.maps_layer(model)
    assert (chosen and chosen.name) == layer
    if layer is None:
        with pytest.raises(ValueError, match=f"grad_cam: {model.name} must have a layer with maps"):
            summaries.grad_cam(model)


@pytest.mark.parametrize("size", [(12, 9), (4, 3), (7, 30)])
def test_maps_are_enlarged_linearly(size):
    maps = RNG(0).uniform(size=(2, 4, 3)).astype("float32")
    wanted = tf.image.resize(maps[..., None], size)[..., 0]
    np.testing.assert_allclose(activation_maps.enlarged(maps, size), wanted, atol=1e-6)
    one = activation_maps.enlarged(np.full((1, 1, 1, 1), 0.25), (3, 4, 5))
    np.testing.assert_array_equal(one, np.full((1, 3, 4, 5), 0.25))


def test_a_figure_says_what_each_example_was_taken_for():
    model = models.build_convnet((12, 12, 3), 3)
    x = RNG(0).normal(size=(2, 12, 12, 3)).astype("float32")
    best = model(x).numpy().argmax(-1)
    labels = np.array([best[0], (best[1] + 1) % 3])
    maps, texts = activation_maps.of_examples(model, x, labels, ["cat", "dog", "cow"])
    names = ["cat", "dog", "cow"]
    assert texts[0].startswith(f"{names[best[0]]} (") and texts[1].startswith(f"{names[labels[1]]} taken for\n")
    figure = activation_maps.pictures_figure(RNG(1).integers(0, 256, (2, 24, 20, 3)), maps, texts, "validation")
    assert tf.io.decode_png(png(figure)).shape[0] > 200
