"""Endpoints of a generative adversarial network: pictures from a seed.

Shapes: n pictures of H x W pixels with C channels, K classes.
"""

import math

import numpy as np

from keras_dl.decoding.draws import HOTTEST
from keras_dl.endpoints import Endpoint, check_classes, within
from keras_dl.features.image import Image
from keras_dl.features.numbers import Number
from keras_dl.imports import quiet_tensorflow
from keras_dl.waiting import waiting

with quiet_tensorflow():
    import tensorflow as tf

MOST_PICTURES = 1024  # per request
MOST_PIXELS = 2**22  # of all pictures of a request
IN_TURN = -1  # the label with which every picture has another class
WHY_NOT_PORTABLE = "pictures are drawn from a seed, and these formats draw no random numbers"


def adversarial(model, preprocess, classes=()):
    """Endpoints of a GAN.

    Args:
        model: models.GAN, of pictures of the shape of `preprocess`.
        preprocess: features.levels.Levels of 256 levels.
        classes: K names of a conditional model's classes; () for others.

    Returns:
        {"serving_default" and "sample": inputs, single numbers, "n" pictures, "seed", "temperature" (factor of the
        noise; below 1 the pictures vary less) and, of a conditional model, "label", the class, from 0 to K - 1, or -1
        for all classes in turn; output "image" (n, H, W, C) uint8}. Picture i depends on the seed and the temperature
        alone, however many pictures are asked for.
    """
    check_classes("export.adversarial", model, classes)
    most = max(1, min(MOST_PICTURES, MOST_PIXELS // math.prod(model.image_shape[:2])))

    def sample(n, seed, temperature, label=None):
        bounds = [
            within(n, 0, most, "n"),
            within(temperature, 0, HOTTEST, "temperature"),
        ]
        if classes:
            bounds.append(within(label, IN_TURN, len(classes) - 1, "label"))
        with tf.control_dependencies(bounds):
            rows = tf.maximum(n, 1)  # no network reads an empty batch; the answer leaves the row out
        noise = model.noise_of(rows, tf.stack([seed, 0]), temperature)
        labels = None
        if classes:
            labels = tf.where(label == IN_TURN, tf.range(rows) % len(classes), tf.fill([rows], label))
        return {"image": preprocess.inverse(model.generate(noise, labels))[:n]}

    numbers = {"n": Number("int32", min(16, most)), "seed": Number("int32", 0), "temperature": Number("float32", 1.0)}
    if classes:
        numbers["label"] = Number("int32", IN_TURN)
    pictures = {"image": Image(preprocess)}
    endpoint = Endpoint(sample, numbers, pictures, limits={"pictures": most}, portable=WHY_NOT_PORTABLE)
    return {"serving_default": endpoint, "sample": endpoint}


def drawer(endpoint):
    """The function (count, seed, shares=None) -> `count` pictures, uint8 (count, H, W, C), of the current weights.

    A conditional model needs `shares`, K numbers in the ratio of which the pictures are of its classes, and gives those
    of class 0 first, then those of class 1, and so on. For another model they have no effect. More pictures than a
    request may have, and those of another class, come from a further request with the next seed.

    Args:
        endpoint: as adversarial returns it.
    """
    sample, most, conditional = endpoint.traced(), endpoint.limits["pictures"], "label" in endpoint.inputs

    def draw(count, seed, shares=None):
        groups = [({}, count)]
        if conditional:
            groups = [({"label": label}, each) for label, each in enumerate(apportioned(count, shares))]
        requests = [label | {"n": min(most, each - k)} for label, each in groups for k in range(0, each, most)]
        with waiting(f"drawing {count:,} pictures ..."):
            parts = [sample(**request, seed=seed + number)["image"] for number, request in enumerate(requests)]
        return np.concatenate(parts)

    return draw


def apportioned(count, shares):
    """Whole numbers with the sum `count`, nearly in the ratio of `shares`: those with the largest remainders get more.

    >>> apportioned(10, (90, 10, 0)), apportioned(4, (1, 1, 1))
    ([9, 1, 0], [2, 1, 1])
    """
    wanted = count * np.asarray(shares, np.float64) / np.sum(shares)
    numbers = np.floor(wanted).astype(int)
    more = np.argsort(numbers - wanted, kind="stable")[: count - numbers.sum()]
    numbers[more] += 1
    return numbers.tolist()
