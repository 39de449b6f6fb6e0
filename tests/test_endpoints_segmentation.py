"""Laws of what a segmentation model answers: one object is one prediction, whatever its file; what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl.endpoints import segmentation
from keras_dl.features import volume_files
from keras_dl.features.image import Preprocess
from keras_dl.features.volumes import SpacedVolumes

NAMES = ("background", "one", "two")


def network(shape):
    """A convolution with weights that are drawn."""
    keras.utils.set_random_seed(0)
    layer = keras.layers.Conv2D if len(shape) == 3 else keras.layers.Conv3D
    x = keras.Input(shape)
    return keras.Model(x, layer(3, 3, padding="same", bias_initializer="random_normal")(x))


def of_volumes(spacing=2.0):
    preprocess = SpacedVolumes((8, 7, 6, 1), (spacing,) * 3)
    made = segmentation.segmenter(network(preprocess.input_shape), preprocess, NAMES)
    return {name: endpoint.traced() for name, endpoint in made.items()}


@pytest.fixture(scope="module")
def volumes():
    return of_volumes()


def test_one_object_in_any_orientation_spacing_and_scale_has_one_prediction(volumes, tmp_path):
    pytest.importorskip("nibabel", reason="extra [signals] is not installed")
    from test_volume_files import ORIENTATIONS, write_as

    voxels, answers = np.random.default_rng(0).integers(0, 100, (7, 6, 5)).astype(np.int16), []
    for axes in ORIENTATIONS:
        for mm, slope in ((2, 1), (2, 2), (1, 2)):
            finer = voxels
            for axis in range(3) if mm == 1 else ():
                finer = finer.repeat(2, axis)
            write_as(tmp_path / "a.nii.gz", finer, axes, (float(mm),) * 3, slope)
            volume = volume_files.read(tmp_path / "a.nii.gz")
            given = {"volume": volume.voxels[None], "spacing": np.array([volume.spacing], np.float32)}
            mask = volumes["serving_default"](**given)["mask"][0]
            assert mask.shape == finer.shape
            probabilities = volumes["probabilities"](**given)["probabilities"][0]
            np.testing.assert_array_equal(probabilities.argmax(-1), mask)
            if mm == 2:
                answers.append(mask)
            else:  # the coarse probabilities, interpolated: those around a voxel's middle are its own on average
                coarse = probabilities.reshape(7, 2, 6, 2, 5, 2, 3).mean((1, 3, 5))
                assert np.mean(coarse.argmax(-1) == answers[0]) > 0.6
    assert len(np.unique(answers[0])) > 1
    for answer in answers[1:]:
        np.testing.assert_array_equal(answer, answers[0])


def test_volumes_of_classes_are_in_cubic_millimetres(volumes):
    x = np.random.default_rng(1).random((2, 4, 3, 2)).astype(np.float32)
    answer = volumes["serving_default"](volume=x, spacing=np.float32([[2, 2, 2], [1, 2, 2]]))
    for mask, given, one in zip(answer["mask"], answer["volumes"], (8, 4), strict=True):
        np.testing.assert_allclose(given, one * np.bincount(mask.ravel(), minlength=3))


@pytest.mark.parametrize(
    ("volume", "spacing", "words"),
    [
        (np.zeros((1, 9, 3, 3)), [[2, 2, 2]], "may have at most 8 x 7 x 6 voxels of 2 x 2 x 2 mm"),
        (np.zeros((1, 3, 3, 3)), [[2, 2, 0]], "spacing must be from"),
        (np.zeros((1, 3, 3, 3)), [[2, 2, np.nan]], "spacing must be from"),
        (np.zeros((1, 3, 3, 3)), [[2, 2, 2]] * 2, "spacing must have a row for each volume"),
        (np.full((1, 3, 3, 3), np.inf), [[2, 2, 2]], "finite numbers only"),
        (np.zeros((1, 3, 0, 3)), [[2, 2, 2]], "at least one voxel"),
        (np.zeros((17, 1, 1, 1)), [[2, 2, 2]] * 17, "at most 16 volumes"),
    ],
)
def test_what_is_refused(volumes, volume, spacing, words):
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        volumes["serving_default"](volume=volume.astype(np.float32), spacing=np.float32(spacing))


def test_a_request_without_examples_has_an_answer_without_rows(volumes):
    answer = volumes["serving_default"](volume=np.zeros((0, 3, 3, 3), np.float32), spacing=np.zeros((0, 3), np.float32))
    assert answer["mask"].shape[0] == 0 and answer["volumes"].shape == (0, 3)


def test_a_mask_has_the_size_of_the_picture_that_was_sent():
    preprocess = Preprocess((9, 7, 3), (100.0,) * 3, (50.0,) * 3, 0.0)
    model = network((9, 7, 3))
    made = {name: one.traced() for name, one in segmentation.segmenter(model, preprocess, NAMES).items()}
    image = np.random.default_rng(0).integers(0, 256, (2, 9, 7, 3)).astype(np.uint8)
    expected = tf.nn.softmax(model(preprocess(image))).numpy()
    np.testing.assert_allclose(made["probabilities"](image=image)["probabilities"], expected, rtol=1e-5)
    np.testing.assert_array_equal(made["serve"](image=image)["mask"], expected.argmax(-1))
    encoded = [tf.io.encode_png(one).numpy() for one in image]
    np.testing.assert_array_equal(made["serving_default"](image_bytes=encoded)["mask"], expected.argmax(-1))
    assert made["serve"](image=image[:, :8, :5])["mask"].shape == (2, 8, 5)
    assert made["serve"](image=image[:0])["mask"].shape[0] == 0
    with pytest.raises(ValueError, match="one logit a class; got 3 logits and 2 classes"):
        segmentation.segmenter(model, preprocess, NAMES[:2])
