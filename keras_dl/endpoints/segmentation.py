"""Endpoints of a model that says of every pixel or voxel which class it is.

Shapes: B examples per request, h x w pixels or d x h x w voxels as they come, H x W or D x H x W as the model takes
them, C channels, K classes.
"""

from keras_dl.endpoints import Endpoint, at_most, must, pictures
from keras_dl.features.image import EncodedImage, Image
from keras_dl.features.masks import ClassVolumes, LabelMask, LabelVolume, ProbabilityMap
from keras_dl.features.volume_files import MOST_SIDE, THICKEST, THINNEST
from keras_dl.features.volumes import SpacedVolume, Spacing
from keras_dl.imports import quiet_tensorflow
from keras_dl.wording import counted

with quiet_tensorflow():
    import tensorflow as tf

MOST_IMAGES, MOST_VOLUMES = 64, 16  # per request
MOST_VALUES = 2**26  # of all probabilities of a request
WHY_NOT = "a mask has the size of what was sent, by operations that neither format has"


def segmenter(model, preprocess, classes, examples=None):
    """The endpoints of images or of volumes, as the pre-processing is of either.

    Args:
        model: float32 (B, H, W, C) or (B, D, H, W, 1) -> logits, one for each class of every pixel.
        preprocess: features.image.Preprocess or features.volumes.SpacedVolumes, of the model's input shape.
        classes: K names.
        examples: uint8 (n, h, w, C), or float32 (n, d, h, w) with voxels of the model's spacing, with which an export
            is tested; None for noise.

    Returns:
        Of images {"serving_default": input "image_bytes" (B,) strings, files of any size, -> "mask" uint8 (B, H, W);
        "serve": input "image" uint8 (B, h, w, C) -> "mask" (B, h, w); "probabilities": the same input ->
        "probabilities" float32 (B, h, w, K)}. Of volumes {"serving_default": inputs "volume" float32 (B, d, h, w) and
        "spacing" float32 (B, 3), mm -> "mask" uint8 (B, d, h, w) and "volumes" float32 (B, K), mm^3 of each class;
        "probabilities": the same inputs -> "probabilities" float32 (B, d, h, w, K)}.

    Raises:
        ValueError: the model does not have one logit per class.
    """
    if model.output_shape[-1] != len(classes):
        raise ValueError(
            f"export.segmenter: the model must have one logit a class; got "
            f"{counted(model.output_shape[-1], 'logits')} and {counted(len(classes), 'classes')}."
        )
    names = tuple(map(str, classes))
    return (_of_volumes if len(preprocess.input_shape) == 4 else _of_images)(model, preprocess, names, examples)


def _probabilities(model, x):
    """float32 (B, ..., K); an answer without rows for a request without examples."""
    some = tf.cond(tf.shape(x)[0] > 0, lambda: x, lambda: tf.zeros([1, *x.shape[1:]]))
    logits = tf.cast(model(some, training=False), tf.float32)
    return tf.nn.softmax(logits)[: tf.shape(x)[0]]


def _labels(probabilities):
    return tf.cast(tf.argmax(probabilities, -1), tf.uint8)


def _of_images(model, preprocess, names, examples):
    def sized(image):
        count, height, width, _ = tf.unstack(tf.shape(image, tf.int64))
        values = count * height * width * len(names)
        with tf.control_dependencies([at_most(values, MOST_VALUES, "image: an answer", "probabilities")]):
            image = tf.identity(image)
        levels = pictures.from_pixels(image, preprocess, MOST_IMAGES)
        probabilities = _probabilities(model, preprocess.standardise(levels))
        size = tf.maximum(tf.shape(image)[1:3], 1)
        return tf.image.resize(probabilities, size)

    def from_files(image_bytes):
        levels = pictures.from_files(image_bytes, preprocess, MOST_IMAGES)
        return {"mask": _labels(_probabilities(model, preprocess.standardise(levels)))}

    mask, limits = LabelMask(names), {**pictures.limits(MOST_IMAGES), "probabilities_of_all": MOST_VALUES}
    pixels = {"image": Image(preprocess, examples)}
    return {
        "serving_default": Endpoint(
            from_files, {"image_bytes": EncodedImage(preprocess, examples)}, {"mask": mask},
            limits=pictures.limits_of_files(MOST_IMAGES), portable=WHY_NOT,
        ),
        "serve": Endpoint(
            lambda image: {"mask": _labels(sized(image))}, pixels, {"mask": mask}, limits=limits, portable=WHY_NOT
        ),
        "probabilities": Endpoint(
            lambda image: {"probabilities": sized(image)}, pixels, {"probabilities": ProbabilityMap()}, limits=limits,
            portable=WHY_NOT,
        ),
    }  # fmt: skip


def _of_volumes(model, preprocess, names, examples):
    def probabilities_of(volume, spacing):
        count = tf.shape(volume, tf.int64)[0]
        shape = tf.shape(volume)[1:]
        voxels = tf.reduce_prod(tf.cast(shape, tf.int64))
        well = tf.reduce_all((spacing >= THINNEST) & (spacing <= THICKEST))  # not of nan
        bounds = [
            at_most(count, MOST_VOLUMES, "volume: a request", "volumes"),
            at_most(tf.reduce_max(shape), MOST_SIDE, "volume: a volume", "voxels a side"),
            at_most(count * voxels * len(names), MOST_VALUES, "volume: an answer", "probabilities"),
            must((count == 0) | (voxels > 0), "volume: a volume must have at least one voxel"),
            must(tf.equal(tf.shape(spacing, tf.int64)[0], count), "spacing must have a row for each volume"),
            must(well, f"spacing must be from {THINNEST:g} to {THICKEST:g} mm"),
            must(tf.reduce_all(tf.math.is_finite(volume)), "volume must have finite numbers only"),
        ]
        with tf.control_dependencies(bounds):
            volume, spacing, shape = tf.identity(volume), tf.identity(spacing), tf.identity(shape)
        # A request without volumes is computed as one of a volume of zeros, since a map over nothing has no shape.
        shape = tf.maximum(shape, 1)
        one_volume = tf.zeros(tf.concat([[1], shape], 0)), tf.constant([preprocess.spacing], tf.float32)
        volume, spacing = tf.cond(count > 0, lambda: (volume, spacing), lambda: one_volume)
        most = " x ".join(map(str, preprocess.input_shape[:3]))
        mm = " x ".join(f"{of:g}" for of in preprocess.spacing)
        fits = tf.map_fn(lambda one: preprocess.fits(shape, one), spacing, fn_output_signature=tf.bool)
        too_large = f"volume: a volume may have at most {most} voxels of {mm} mm, resampled"
        with tf.control_dependencies([must(tf.reduce_all(fits), too_large)]):
            volume = tf.identity(volume)
        x = tf.map_fn(
            lambda of: preprocess(*of), (volume, spacing),
            fn_output_signature=tf.TensorSpec(preprocess.input_shape, tf.float32),
        )  # fmt: skip
        answers = tf.map_fn(
            lambda of: preprocess.back(of[0], shape, of[1]), (_probabilities(model, x), spacing),
            fn_output_signature=tf.TensorSpec([None, None, None, len(names)], tf.float32),
        )  # fmt: skip
        return answers[:count]

    def masks(volume, spacing):
        mask = _labels(probabilities_of(volume, spacing))
        each = tf.reduce_sum(tf.one_hot(mask, len(names)), [1, 2, 3])
        return {"mask": mask, "volumes": each * tf.reduce_prod(spacing, 1, keepdims=True)}

    inputs = {
        "volume": SpacedVolume(preprocess.input_shape, preprocess.spacing, examples), "spacing": Spacing()
    }  # fmt: skip
    limits = {"volumes": MOST_VOLUMES, "side": MOST_SIDE, "probabilities_of_all": MOST_VALUES}
    return {
        "serving_default": Endpoint(
            masks, inputs, {"mask": LabelVolume(names), "volumes": ClassVolumes(names)}, limits=limits, portable=WHY_NOT
        ),
        "probabilities": Endpoint(
            lambda volume, spacing: {"probabilities": probabilities_of(volume, spacing)},
            inputs,
            {"probabilities": ProbabilityMap()},
            limits=limits,
            portable=WHY_NOT,
        ),
    }
