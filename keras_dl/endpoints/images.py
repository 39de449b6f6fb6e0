"""Endpoints of an image classifier.

Shapes: B pictures per request, h x w pixels of the given pictures, H x W of the model's input, C channels, K classes.
"""

from keras_dl.endpoints import Endpoint, Portable, pictures
from keras_dl.features import resampling
from keras_dl.features.classes import BestLabels, BestProbabilities, Label, Probabilities
from keras_dl.features.image import EncodedImage, Image
from keras_dl.features.numbers import Logits
from keras_dl.imports import quiet_tensorflow
from keras_dl.wording import counted

with quiet_tensorflow():
    import tensorflow as tf

TOP = 5  # classes that an answer lists


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

    def from_files(image_bytes):
        return answer(pictures.from_files(image_bytes, preprocess))

    def from_pixels(image):
        return answer(pictures.from_pixels(image, preprocess))

    outputs = {
        "class": Label(tuple(names)), "classes": BestLabels(tuple(names)), "scores": BestProbabilities(),
        "probabilities": Probabilities(tuple(names)),
    }  # fmt: skip
    return {
        "serving_default": Endpoint(
            from_files,
            {"image_bytes": EncodedImage(preprocess, examples)},
            outputs,
            limits=pictures.limits_of_files(),
            portable=plain,
        ),
        "serve": Endpoint(
            from_pixels, {"image": Image(preprocess, examples)}, outputs, limits=pictures.limits(), portable=plain
        ),
    }


def portable(model, preprocess, names, examples):
    """What a file of another format carries: from pixels to "logits" and "probabilities" (B, K).

    Args:
        model, preprocess, examples: as for classifier.
        names: K strings.
    """
    return Portable(
        lambda image: _of_levels(model, preprocess, preprocess.resize(image, resampling.by_products)),
        {"image": Image(preprocess, pictures.of_the_models_size(preprocess, examples))},
        {"logits": Logits(), "probabilities": Probabilities(tuple(names))},
        about={"classes": names, "preprocess": preprocess.config(), **_steps(preprocess)},
    )


def _of_levels(model, preprocess, levels):
    logits = tf.cast(model(preprocess.standardise(levels), training=False), tf.float32)
    return {"logits": logits, "probabilities": tf.nn.softmax(logits)}


def _steps(preprocess):
    """{"inside", "outside"}: which steps of the pre-processing a file of another format has, with their numbers."""
    mean, std = (", ".join(f"{value:.6g}" for value in values) for values in (preprocess.mean, preprocess.std))
    return {
        "inside": (
            f"{pictures.resized_inside(preprocess)}; then each channel c becomes (c - mean) / std, with mean {mean} "
            f"and std {std}"
        ),
        "outside": pictures.decoded_outside(preprocess),
    }
