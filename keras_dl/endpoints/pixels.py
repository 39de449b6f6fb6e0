"""Endpoints of an exact density of images: the likelihood of a picture, pictures drawn from it, and completions.

Shapes: B pictures per request, h x w pixels of the given pictures, H x W of the model's, C channels, K classes.
"""

import math

from keras_dl.decoding import pixels as drawing
from keras_dl.endpoints import HOTTEST, Endpoint, Portable, at_most, check_classes, must, of_classes, pictures, within
from keras_dl.endpoints.plain import plainly
from keras_dl.features import likelihoods, resampling
from keras_dl.features.image import EncodedImage, Image
from keras_dl.features.mask import Mask
from keras_dl.features.numbers import Nats, Number
from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf

MOST_DRAWN = 256  # pictures that are drawn or completed per request
# Bounds on the computation of a whole request, by the model's own size, so that no request takes more than 10 s on two
# cores, or more than 1 GB: benchmarks/safety.py measures both. One picture is always allowed.
SCORED = 2**35  # weights times pixels
DRAWN = 2**34  # weights times values (a value is a channel of a pixel)
FLOATS = 2**27  # floats in memory at the same time


def density(model, preprocess, classes=(), binarization=None, examples=None, *, rows=16):
    """Endpoints of an exact density of images.

    Args:
        model: a models.PixelModel; if it has a context, that must be the label. (Images of a model with condition_dim
            or map_channels are drawn and completed in Python, by decoding.pixels.)
        preprocess: features.levels.Levels, with as many levels as the model.
        classes: K names, of a model with labels.
        binarization: how the training data were binarised; None with 256 levels.
        examples: uint8 (n, h, w, C) pictures with which an export is tested; None for noise.
        rows: the default number of pictures that are drawn.

    Returns:
        {"serving_default": input "image_bytes" (B,) strings, encoded JPEG, PNG, GIF, BMP or WebP of any size;
        "log_prob": input "image" (B, h, w, C) uint8. Both return "log_likelihood" (B,), nats of the whole picture, and
        "nats_per_image" (B,), its negative, or with more than two levels "bits_per_dimension" (B,);
        "sample": scalars "n" (pictures), "temperature", "seed"; outputs "image" (n, H, W, C) uint8 and "log_likelihood"
        (n,), in nats, of what was drawn, under the model at temperature 1;
        "complete": inputs "image" (B, h, w, C) and "mask" (B, H, W) uint8, 1 where a pixel is given, scalars
        "temperature" and "seed"; output "image" (B, H, W, C) uint8, in which the given pixels are the picture's levels
        and the others are drawn, one after the other, given all pixels before them in raster order}.
        With classes, all have the scalar "label": a class from 0 to K - 1, or -1. Then the likelihood is that of all
        classes, equally probable; samples are of class 0, 1, ... in turn; a picture is completed as one of the class
        for which the pixels before the first missing one are the most probable.
        A model of two levels sees a given picture thresholded at grey level 128, however the training data were
        binarised.
        The answer to a request without pictures has no rows. The largest request is in each Endpoint's limits.

    Raises:
        ValueError: `preprocess` or `classes` do not fit the model, or its context is no label.
    """
    if (model.levels, model.image_shape) != (preprocess.levels, tuple(preprocess.input_shape)):
        raise ValueError(
            f"export.density: the pre-processing must give images {model.image_shape} of {model.levels} levels; "
            f"got {tuple(preprocess.input_shape)} of {preprocess.levels}."
        )
    if model.context_name not in (None, "label"):
        raise ValueError(
            "export.density: the model must have no context but a label, which a request gives as one number for all "
            f"its pictures; got one with the input '{model.context_name}', for decoding.pixels only."
        )
    check_classes("export.density", model, classes)
    served = _Density(model, preprocess, len(classes))
    most = limits(model, len(classes))
    numbers = {"temperature": Number("float32", 1.0), "seed": Number("int32", 0)}
    label = {"label": Number("int32", of_classes.ANY_CLASS)} if classes else {}
    image, encoded = Image(preprocess, examples), EncodedImage(preprocess, examples)
    outputs = {"log_likelihood": Nats(), served.measure: likelihoods.of_levels(preprocess.levels, binarization)}
    plain = portable(model, preprocess, binarization, examples)
    return {
        "serving_default": Endpoint(
            served.log_prob_of_files, {"image_bytes": encoded, **label}, outputs,
            limits=pictures.limits_of_files(most["scored"]), portable=plain,
        ),
        "log_prob": Endpoint(
            served.log_prob, {"image": image, **label}, outputs, limits=pictures.limits(most["scored"]), portable=plain
        ),
        "sample": Endpoint(
            served.sample, {"n": Number("int32", min(rows, most["drawn"])), **label, **numbers},
            {"image": Image(preprocess), "log_likelihood": Nats()}, limits={"pictures": most["drawn"]}, portable=plain,
        ),
        "complete": Endpoint(
            served.complete, {"image": image, "mask": Mask(*model.image_shape[:2]), **label, **numbers},
            {"image": Image(preprocess)}, limits=pictures.limits(most["completed"]), portable=plain,
        ),
    }  # fmt: skip


def limits(model, num_classes=0):
    """{"scored", "drawn", "completed": the most pictures of a request}, computed from the model's size."""
    height, width, channels = model.image_shape
    weights = max(1, model.count_params())
    widest = max(math.prod(tensor.shape[1:]) for layer in model.layers for tensor in tf.nest.flatten(layer.output))
    read = min(SCORED // (weights * height * width * max(1, num_classes)), FLOATS // (8 * widest))
    drawn = DRAWN // (weights * height * width * channels)
    most = {"scored": (read, pictures.MOST_PICTURES), "drawn": (drawn, MOST_DRAWN), "completed": (drawn, MOST_DRAWN)}
    most["completed"] = (min(read, drawn), MOST_DRAWN)
    return {name: max(1, min(bounds)) for name, bounds in most.items()}


class _Density:
    """The functions of the endpoints."""

    def __init__(self, model, preprocess, num_classes):
        self.model, self.preprocess, self.num_classes = model, preprocess, num_classes
        self.most = limits(model, num_classes)
        self.measure = likelihoods.of_levels(preprocess.levels).kind

    def log_prob_of_files(self, image_bytes, label=None):
        label = of_classes.checked(label, self.num_classes)
        return self._likelihood(pictures.from_files(image_bytes, self.preprocess, self.most["scored"]), label)

    def log_prob(self, image, label=None):
        label = of_classes.checked(label, self.num_classes)
        return self._likelihood(pictures.from_pixels(image, self.preprocess, self.most["scored"]), label)

    def sample(self, n, temperature, seed, label=None):
        bounds = [
            at_most(n, self.most["drawn"], "n: a request", "pictures"),
            must(n >= 0, tf.strings.format("n must not be negative; got {}", n)),
            within(temperature, 0, HOTTEST, "temperature"),
        ]
        label = of_classes.checked(label, self.num_classes)
        with tf.control_dependencies(bounds):
            rows = tf.identity(n)
        labels = of_classes.in_turn(label, rows, self.num_classes)
        levels, log_likelihood = drawing.sample(self.model, rows, seed, temperature, labels)
        return {"image": self.preprocess.inverse(levels), "log_likelihood": log_likelihood}

    def complete(self, image, mask, temperature, seed, label=None):
        label = of_classes.checked(label, self.num_classes)
        grey = pictures.from_pixels(image, self.preprocess, self.most["completed"])
        with tf.control_dependencies([within(temperature, 0, HOTTEST, "temperature")]):
            mask = self._mask(mask, tf.shape(grey)[0])
        levels = self.preprocess.of_grey(grey)
        labels = self._labels_of_given(levels, mask, label) if self.num_classes else None
        completed = drawing.complete(self.model, levels, mask, seed, temperature, labels)[0]
        return {"image": self.preprocess.inverse(completed)}

    def _likelihood(self, grey, label):
        """The answer of `log_prob` for grey levels (B, H, W, C)."""
        levels = self.preprocess.of_grey(grey)
        total = of_classes.log_likelihood(lambda label: self._log_prob(levels, label), label, self.num_classes)
        return answer(total, self.measure, math.prod(self.model.image_shape))

    def _log_prob(self, levels, label):
        """log p of whole pictures of one class: (B,)."""
        return tf.reduce_sum(self._log_probs(levels, label), [1, 2, 3])

    def _log_probs(self, levels, label):
        """log p of every value given those before it, of pictures of one class: (B, H, W, C)."""
        labels = None if label is None else tf.fill([tf.shape(levels)[0]], label)
        return self.model.log_probs(self.model.with_context(levels, labels))

    def _labels_of_given(self, levels, mask, label):
        """Labels (B,): `label`, or where it is -1 the class for which the pixels given first are the most probable."""
        batch, channels = tf.shape(levels)[0], self.model.image_shape[2]
        first = tf.math.cumprod(tf.reshape(mask, [batch, math.prod(self.model.image_shape[:2])]), 1)
        first = tf.cast(tf.repeat(first, channels, 1), tf.float32)  # 1 before the first missing pixel, 0 from it on

        def of_given(label):
            return tf.reduce_sum(tf.reshape(self._log_probs(levels, label), tf.shape(first)) * first, 1)

        return of_classes.likeliest(of_given, label, batch, self.num_classes)

    def _mask(self, mask, batch):
        """The masks (B, H, W) as int32, with assertions that they are masks of these pictures."""
        must_be = [
            must(tf.equal(tf.shape(mask)[0], batch), "mask must be one for each picture"),
            must(tf.reduce_all(mask <= 1), "mask must hold 0 and 1 only"),
        ]
        with tf.control_dependencies(must_be):
            mask = tf.identity(mask)  # a cast with these dependencies would be moved before them
        return tf.cast(mask, tf.int32)


def answer(log_likelihood, measure, dimensions):
    """The outputs of `log_prob`, from the log-likelihood of whole pictures (B,) in nats.

    Args:
        measure: "nats_per_image" or "bits_per_dimension".
        dimensions: number of values of a picture, its pixels times its channels.
    """
    scale = 1 if measure == "nats_per_image" else dimensions * math.log(2)
    return {"log_likelihood": log_likelihood, measure: -log_likelihood / scale}


def portable(model, preprocess, binarization, examples):
    """`log_prob` without its bounds, or a sentence that says why a file of another format cannot have it."""
    if model.context_name is not None:
        return "neither format takes a number for a whole request, as a label is"
    if model.output_kind == "logistic_mixture":
        return "neither format has all functions of a mixture of logistic distributions"

    def log_prob(image):
        levels = preprocess.of_grey(preprocess.resize(image, resampling.by_products))
        parameters = tf.cast(plainly(model, levels), tf.float32)
        # Bernoulli.log_prob and Categorical.log_prob in other words: ONNX has no log1p, and no gather of batches.
        if model.output_kind == "bernoulli":
            logits = parameters[..., 0]
            logs = logits * levels - tf.maximum(logits, 0.0) - tf.math.log(1.0 + tf.exp(-tf.abs(logits)))
        else:
            chosen = tf.one_hot(tf.cast(levels, tf.int32), model.levels)
            logs = tf.reduce_sum(chosen * tf.nn.log_softmax(parameters), -1)
        return answer(tf.reduce_sum(logs, [1, 2, 3]), measure, math.prod(model.image_shape))

    feature = likelihoods.of_levels(preprocess.levels, binarization)
    measure = feature.kind
    levels_inside = "its grey levels are the model's levels"
    if preprocess.levels == 2:
        levels_inside = "a level is 1 where the grey level is 128 or more, else 0"
    return Portable(
        log_prob,
        {"image": Image(preprocess, pictures.of_the_models_size(preprocess, examples))},
        {"log_likelihood": Nats(), measure: feature},
        about={
            "preprocess": preprocess.config(),
            "inside": f"{pictures.resized_inside(preprocess)}; {levels_inside}; {feature.meaning()}",
            "outside": pictures.decoded_outside(preprocess),
        },
    )
