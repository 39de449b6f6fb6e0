"""Endpoints of an image classifier.

Shapes: B pictures per request, h x w pixels of the given pictures, H x W of the model's input, C channels, K classes.
"""

from keras_dl.endpoints import Endpoint, Portable, at_most, must
from keras_dl.features import pictures, resampling
from keras_dl.features.classes import BestLabels, BestProbabilities, Label, Probabilities
from keras_dl.features.image import EncodedImage, Image
from keras_dl.features.numbers import Logits
from keras_dl.features.pictures import MOST_BYTES, MOST_PIXELS, MOST_SIDE
from keras_dl.imports import quiet_tensorflow
from keras_dl.wording import counted

with quiet_tensorflow():
    import tensorflow as tf

TOP = 5  # classes that an answer lists
MOST_PICTURES = 1024  # per request; a server itself checks no such bounds
MOST_OF_ALL = 2**27  # pixels of all pictures of a request
AT_ONCE = 2  # pictures that are decoded in parallel


def classifier(model, preprocess, classes, examples=None):
    """Endpoints of an image classifier.

    Args:
        model: (B, H, W, C) float32 -> logits (B, K).
        preprocess: features.image.Preprocess; its decode checks the bounds of features.pictures.
        classes: K names.
        examples: uint8 (n, h, w, C) pictures with which an export is tested; None for noise.

    Returns:
        {"serving_default": input "image_bytes" (B,) strings, encoded JPEG, PNG, GIF, BMP or WebP of any size,
        "serve": input "image" (B, h, w, C) uint8}. Both return "class" (B,), the best name; "classes" (B, k) and
        "scores" (B, k), names and probabilities of the k = min(5, K) best classes, best first; and "probabilities"
        (B, K). The answer to a request without pictures has no rows.

    Raises:
        ValueError: the model does not have one logit per class.
    """
    channels = preprocess.input_shape[2]
    if model.output_shape[-1] != len(classes):
        raise ValueError(
            f"export.classifier: the model must have one logit a class; got "
            f"{counted(model.output_shape[-1], 'logits')} and {counted(len(classes), 'classes')}."
        )
    names = [str(name) for name in classes]
    plain = portable(model, preprocess, names, examples)

    def answer(levels):
        probabilities = _of_levels(model, preprocess, levels)["probabilities"]
        top = tf.math.top_k(probabilities, min(TOP, len(names)))
        best = tf.gather(tf.constant(names), top.indices)
        return {"class": best[:, 0], "classes": best, "scores": top.values, "probabilities": probabilities}

    def from_bytes(image_bytes):
        count = tf.shape(image_bytes)[0]
        with tf.control_dependencies([at_most(count, MOST_PICTURES, "image_bytes: a request", "pictures")]):
            image_bytes = tf.identity(image_bytes)

        def of_all():
            return tf.reduce_sum(tf.map_fn(pictures.pixels, image_bytes, fn_output_signature=tf.int64))

        # For a single picture the decoder checks the bound itself.
        together = tf.cond(count > 1, of_all, lambda: tf.constant(0, tf.int64))
        with tf.control_dependencies([at_most(together, MOST_OF_ALL, "image_bytes: a request", "pixels in all")]):
            image_bytes = tf.identity(image_bytes)
        levels = tf.TensorSpec(preprocess.input_shape, tf.float32)
        decoded = tf.map_fn(
            lambda data: preprocess.resize(preprocess.decode(data)), image_bytes, fn_output_signature=levels,
            parallel_iterations=AT_ONCE,
        )  # fmt: skip
        return answer(decoded)

    def from_pixels(image):
        count, height, width, _ = tf.unstack(tf.shape(image, tf.int64))
        bounds = [
            at_most(count, MOST_PICTURES, "image: a request", "pictures"),
            at_most(height * width, MOST_PIXELS, "image: a picture", "pixels"),
            at_most(count * height * width, MOST_OF_ALL, "image: a request", "pixels in all"),
            must(tf.equal(count, 0) | (height * width > 0), "image: a picture must have at least one pixel"),
        ]
        with tf.control_dependencies(bounds):  # so that the message is about these bounds first
            side = at_most(tf.maximum(height, width), MOST_SIDE, "image: a picture", "pixels a side")
        with tf.control_dependencies([side]):
            image = tf.identity(image)
        # A request without pictures may have height or width 0, which cannot be resized.
        image = tf.cond(height * width > 0, lambda: image, lambda: tf.zeros([0, 1, 1, channels], tf.uint8))
        image = tf.ensure_shape(image, [None, None, None, channels])
        return answer(preprocess.resize(image))

    outputs = {
        "class": Label(tuple(names)), "classes": BestLabels(tuple(names)), "scores": BestProbabilities(),
        "probabilities": Probabilities(tuple(names)),
    }  # fmt: skip
    limits = {"pictures": MOST_PICTURES, "pixels": MOST_PIXELS, "side": MOST_SIDE, "pixels_of_all": MOST_OF_ALL}
    return {
        "serving_default": Endpoint(
            from_bytes,
            {"image_bytes": EncodedImage(preprocess, examples)},
            outputs,
            limits={**limits, "bytes": MOST_BYTES},
            portable=plain,
        ),
        "serve": Endpoint(from_pixels, {"image": Image(preprocess, examples)}, outputs, limits=limits, portable=plain),
    }


def portable(model, preprocess, names, examples):
    """What a file of another format carries: from pixels to "logits" and "probabilities" (B, K).

    Args:
        model, preprocess, examples: as for classifier.
        names: K strings.
    """
    return Portable(
        lambda image: _of_levels(model, preprocess, preprocess.resize(image, resampling.by_products)),
        {"image": Image(preprocess, _of_the_models_size(preprocess, examples))},
        {"logits": Logits(), "probabilities": Probabilities(tuple(names))},
        about={"classes": names, "preprocess": preprocess.config(), **_steps(preprocess)},
    )


def _of_levels(model, preprocess, levels):
    logits = tf.cast(model(preprocess.standardise(levels), training=False), tf.float32)
    return {"logits": logits, "probabilities": tf.nn.softmax(logits)}


def _of_the_models_size(preprocess, examples):
    """Examples as uint8 (n, H, W, C), which no format has to resize; None if there are none."""
    return None if examples is None else tf.cast(preprocess.resize(examples), tf.uint8).numpy()


def _steps(preprocess):
    """{"inside", "outside"}: which steps of the pre-processing a file of another format has, with their numbers."""
    height, width = preprocess.input_shape[:2]
    shapes = {
        "crop": "its largest part in the middle of this shape is kept",
        "pad": "it keeps its shape, between black bars",
        "stretch": "it is stretched",
    }
    mean, std = (", ".join(f"{value:.6g}" for value in values) for values in (preprocess.mean, preprocess.std))
    return {
        "inside": (
            f"a picture of another size becomes {height} x {width} pixels (height x width; {shapes[preprocess.fit]}; "
            "triangle filter, rounded to whole levels); then each channel c becomes (c - mean) / std, with mean "
            f"{mean} and std {std}"
        ),
        "outside": (
            "files (JPEG, PNG) are decoded by the caller, to levels from 0 to 255, upright, red before green before "
            f"blue; where the size is not {height} x {width}, the rounding of a pixel may differ by one level from the "
            "SavedModel's"
        ),
    }
