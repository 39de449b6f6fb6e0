"""Laws of what a segmentation answers: sizes, files and pixels, and masks that lie where their volumes lie."""

import gzip
import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image as Pictures

from keras_dl.endpoints.segmentation import segmenter
from keras_dl.features import volume_files
from keras_dl.features.image import Preprocess
from keras_dl.features.masks import LabelVolume
from keras_dl.features.volumes import SpacedVolumes

CLASSES = ("ground", "ant", "bee")
IMAGES = Preprocess((12, 10, 3), (0.0,) * 3, (1.0,) * 3, 0.0)
VOLUMES = SpacedVolumes((20, 18, 16, 1), (2.0, 2.0, 2.0))
ORIENTATIONS = ("RAS", "LPS", "SPL", "AIR")


def asked(preprocess, dimensions, classes=CLASSES):
    """{name: the endpoint as a graph that takes inputs by name} of a convolution with drawn weights."""
    keras.utils.set_random_seed(1)
    convolution = getattr(keras.layers, f"Conv{dimensions}D")
    inputs = keras.Input(preprocess.input_shape)
    model = keras.Model(
        inputs,
        convolution(
            len(classes), 3, padding="same", bias_initializer="random_normal", kernel_initializer="glorot_uniform"
        )(inputs),
    )
    made = segmenter(model, preprocess, classes)

    def graph(one):
        names = list(one.inputs)
        function = tf.function(
            lambda *values: one.function(**dict(zip(names, values, strict=True))), input_signature=one.specs(),
            autograph=False,
        )  # fmt: skip

        def ask(**given):
            answer = function(*(tf.constant(given[name], one.inputs[name].dtype) for name in names))
            return {name: value.numpy() for name, value in answer.items()}

        return ask

    return {name: graph(one) for name, one in made.items()}, model


@pytest.fixture(scope="module")
def of_images():
    return asked(IMAGES, 2)


@pytest.fixture(scope="module")
def of_volumes():
    return asked(VOLUMES, 3)


def png(image):
    file = io.BytesIO()
    Pictures.fromarray(image).save(file, "PNG")
    return file.getvalue()


def pictures(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def test_a_mask_is_the_most_probable_class_at_the_size_of_what_was_sent(of_images):
    ask, model = of_images
    for size in ((12, 10), (23, 45), (1, 7)):
        image = pictures(2, *size, 3)
        probabilities = ask["probabilities"](image=image)["probabilities"]
        assert probabilities.shape == (2, *size, 3)
        np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-5)
        np.testing.assert_array_equal(ask["serve"](image=image)["mask"], probabilities.argmax(-1))
    image = pictures(2, 12, 10, 3)
    logits = model(IMAGES(tf.constant(image)), training=False)
    np.testing.assert_allclose(
        ask["probabilities"](image=image)["probabilities"], tf.nn.softmax(logits), atol=1e-5
    )  # fmt: skip


def test_files_and_their_pixels_have_one_mask(of_images):
    ask, _ = of_images
    image = pictures(3, 12, 10, 3)
    of_files = ask["serving_default"](image_bytes=[png(one) for one in image])["mask"]
    np.testing.assert_array_equal(of_files, ask["serve"](image=image)["mask"])
    assert ask["serving_default"](image_bytes=[png(pictures(31, 17, 3))])["mask"].shape == (1, 12, 10)


def test_a_request_without_examples_is_answered_without_rows(of_images, of_volumes):
    assert of_images[0]["serve"](image=np.zeros((0, 12, 10, 3)))["mask"].shape[0] == 0
    assert of_images[0]["serving_default"](image_bytes=np.zeros(0, object))["mask"].shape == (0, 12, 10)
    answer = of_volumes[0]["serving_default"](volume=np.zeros((0, 3, 4, 5)), spacing=np.zeros((0, 3)))
    assert answer["mask"].shape[0] == 0 and answer["volumes"].shape == (0, 3)


def nifti(path, voxels, axes, mm, slope):
    """Write voxels that stand as RAS in another orientation and scale; the stored array."""
    nibabel = pytest.importorskip("nibabel", reason="extra [signals] is not installed")
    affine = np.diag([mm, mm, mm, 1.0])
    turns = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(affine), nibabel.orientations.axcodes2ornt(axes)
    )  # fmt: skip
    content = bytearray(nibabel.Nifti1Image(voxels, affine).as_reoriented(turns).to_bytes())
    content[112:120] = np.array([slope, 0], "<f4").tobytes()  # scl_slope and scl_inter
    path.write_bytes(gzip.compress(bytes(content)))


def test_a_written_mask_lies_where_its_volume_lies_and_its_classes_keep_their_mm3(of_volumes, tmp_path):
    """Four orientations, two spacings, stored numbers times 1 and 2."""
    nibabel = pytest.importorskip("nibabel", reason="extra [signals] is not installed")
    ask, _ = of_volumes
    places = np.stack(np.meshgrid(*(np.arange(of) for of in (18, 16, 14)), indexing="ij"), -1)
    voxels = (100 * np.exp(-(((places - (7, 9, 5)) / (4, 3, 2)) ** 2).sum(-1))).astype(np.int16)
    found, by_spacing = {}, {}
    for mm in (1.0, 2.0):
        finer = voxels
        for axis in range(3) if mm == 1 else ():
            finer = finer.repeat(2, axis)
        for axes in ORIENTATIONS:
            for slope in (1, 2):
                nifti(tmp_path / "a.nii.gz", finer, axes, mm, slope)
                volume = volume_files.read(tmp_path / "a.nii.gz")
                answer = ask["serving_default"](volume=volume.voxels[None], spacing=[volume.spacing])
                LabelVolume(CLASSES).write(answer["mask"][0], tmp_path / "mask.nii.gz", volume)
                written, there = (nibabel.load(tmp_path / name) for name in ("mask.nii.gz", "a.nii.gz"))
                np.testing.assert_array_equal(written.affine, there.affine)
                mask = np.asarray(nibabel.as_closest_canonical(written).dataobj)
                np.testing.assert_array_equal(mask, found.setdefault(mm, mask))
                assert answer["volumes"].sum() == pytest.approx(voxels.size * 8)  # mm^3
                np.testing.assert_allclose(answer["volumes"][0], np.bincount(mask.ravel(), minlength=3) * mm**3)
                by_spacing[mm] = answer["volumes"][0]
    assert len(np.unique(found[2.0])) > 1
    np.testing.assert_allclose(by_spacing[1.0], by_spacing[2.0], atol=0.05 * voxels.size * 8)


def test_probabilities_of_a_volume_at_the_model_s_spacing_are_the_model_s(of_volumes):
    ask, model = of_volumes
    volume = np.random.default_rng(0).normal(size=(2, 9, 7, 16)).astype(np.float32)
    spacing = np.full((2, 3), 2.0)
    answer = ask["probabilities"](volume=volume, spacing=spacing)["probabilities"]
    x = tf.stack([VOLUMES(one, (2.0, 2.0, 2.0)) for one in volume])
    inner = tf.nn.softmax(model(x, training=False)).numpy()[:, 5:14, 5:12, :]
    np.testing.assert_allclose(answer, inner, atol=1e-5)
    np.testing.assert_array_equal(
        ask["serving_default"](volume=volume, spacing=spacing)["mask"], answer.argmax(-1)
    )  # fmt: skip


def test_too_many_images_and_too_many_probabilities_are_refused(of_images):
    ask = of_images[0]["probabilities"]
    for image, sentence in (
        (np.zeros((65, 1, 1, 3)), "at most 64"),
        (np.zeros((64, 600, 600, 3)), "image: an answer may have at most 67108864 probabilities"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError) as error:
            ask(image=image)
        assert sentence in error.value.message
