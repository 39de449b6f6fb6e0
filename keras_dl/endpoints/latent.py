"""Endpoints of an autoencoder with a distribution of codes: from pictures to codes and back, and how probable they are.

Shapes: B pictures per request, h x w pixels of the given pictures, H x W of the model's, C channels, D numbers a code.
"""

import math

from keras_dl.endpoints import HOTTEST, Endpoint, at_most, must, pictures, within
from keras_dl.features import likelihoods
from keras_dl.features.image import EncodedImage, Image
from keras_dl.features.latent import Latent
from keras_dl.features.numbers import Nats, Number
from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf

MOST_SAMPLES = 10_000  # k, codes that are drawn for a picture
# Bounds on a whole request, by the model's own size, so that none takes more than 10 s on two cores, or more than 1 GB:
# benchmarks/safety.py measures both. One picture and one code are always allowed.
PRODUCTS = 2**37  # of a weight and a number, when codes are decoded
A_PIXEL = 32  # products in whose time the likelihood of a pixel is computed
FLOATS = 2**27  # in memory at the same time
SAMPLES = 100  # the default k


def autoencoder(model, preprocess, binarization=None, examples=None, *, rows=16):
    """Endpoints of a variational autoencoder.

    Args:
        model: a models.VAE.
        preprocess: features.levels.Levels, with as many levels as the model.
        binarization: how the training data were binarised; None with more than two levels.
        examples: uint8 (n, h, w, C) pictures with which an export is tested; None for noise.
        rows: the default number of pictures that are sampled.

    Returns:
        {"serving_default": input "image_bytes" (B,) strings, encoded JPEG, PNG, GIF, BMP or WebP of any size;
        "encode": input "image" (B, h, w, C) uint8. Both return "latent" (B, D), the mean of the code's posterior, and
        "deviation" (B, D), its standard deviation;
        "decode": input "latent" (B, D); output "image" (B, H, W, C) uint8;
        "sample": scalars "n" (pictures), "temperature" (by which the prior's standard deviation is multiplied), "seed";
        outputs "image" (n, H, W, C) uint8 and "latent" (n, D), from which it was decoded;
        "reconstruct": input "image" (B, h, w, C) uint8; output "image" (B, H, W, C) uint8, decoded from "latent";
        "log_prob": input "image" (B, h, w, C) uint8, scalars "k" and "seed"; outputs "bound" (B,), the importance-
        weighted bound of log p(x) with k samples, in nats of the whole picture, and "nats_per_image" (B,), its
        negative, or with more than two levels "bits_per_dimension" (B,). In the mean over seeds the bound is below
        log p(x), the less the larger k.}
        A model of two levels sees a given picture thresholded at grey level 128, however the training data were
        binarised.
        The pixels of pictures that are decoded are not drawn: with 2 levels a grey level is the probability of white.
        The answer to a request without pictures has no rows. The largest request is in each Endpoint's limits.

    Raises:
        ValueError: `preprocess` does not fit the model.
    """
    if (model.levels, model.image_shape) != (preprocess.levels, tuple(preprocess.input_shape)):
        raise ValueError(
            f"export.autoencoder: the pre-processing must give images {model.image_shape} of {model.levels} levels; "
            f"got {tuple(preprocess.input_shape)} of {preprocess.levels}."
        )
    most, codes = limits(model)
    served = _Autoencoder(model, preprocess, most, codes)
    likelihood = likelihoods.of_levels(preprocess.levels, binarization)
    image, encoded, latent = Image(preprocess, examples), EncodedImage(preprocess, examples), Latent(model.latent_dim)
    posterior = {"latent": latent, "deviation": latent}
    of_pixels, seed = pictures.limits(most), {"seed": Number("int32", 0)}
    made = Image(preprocess)
    return {
        "serving_default": Endpoint(
            served.encode_files,
            {"image_bytes": encoded},
            posterior,
            limits=pictures.limits_of_files(most),
            portable=PORTABLE,
        ),
        "encode": Endpoint(served.encode, {"image": image}, posterior, limits=of_pixels, portable=PORTABLE),
        "decode": Endpoint(
            served.decode, {"latent": latent}, {"image": made}, limits={"codes": most}, portable=PORTABLE
        ),
        "sample": Endpoint(
            served.sample,
            {"n": Number("int32", min(rows, most)), "temperature": Number("float32", 1.0), **seed},
            {"image": made, "latent": latent},
            limits={"pictures": most},
            portable=PORTABLE,
        ),
        "reconstruct": Endpoint(
            served.reconstruct, {"image": image}, {"image": made}, limits=of_pixels, portable=PORTABLE
        ),
        "log_prob": Endpoint(
            served.log_prob,
            {"image": image, "k": Number("int32", min(SAMPLES, codes)), **seed},
            {"bound": Nats(), likelihood.kind: likelihood},
            limits={**of_pixels, "samples": MOST_SAMPLES, "samples_of_all": codes},
            portable=PORTABLE,
        ),
    }


PORTABLE = "an autoencoder's bound and samples are random, and files of other formats draw no random numbers"


def limits(model):
    """(the most pictures or codes of a request, the most codes that a likelihood may take for all its pictures)."""
    every = [layer for network in (model.encoder, model.decoder) for layer in network.layers]
    widest = max(math.prod(tensor.shape[1:]) for layer in every for tensor in tf.nest.flatten(layer.output))
    most = max(1, min(FLOATS // (8 * widest), PRODUCTS // products(model.encoder), pictures.MOST_PICTURES))
    return most, max(1, PRODUCTS // (products(model.decoder) + A_PIXEL * math.prod(model.image_shape)))


def products(network):
    """How many products of a weight and a number a network computes for one example."""
    total = 0
    for layer in network.layers:
        if layer.trainable_weights:
            kernel, places = layer.trainable_weights[0].shape, 1
            if len(kernel) == 4:  # a convolution uses its kernel at every place of the larger picture, but for strides
                places = max(math.prod(x.shape[1:3]) for x in (layer.input, layer.output)) // math.prod(layer.strides)
            total += math.prod(kernel) * max(1, places)
    return max(1, total)


class _Autoencoder:
    """The functions of the endpoints."""

    def __init__(self, model, preprocess, most, codes):
        self.model, self.preprocess, self.most, self.codes = model, preprocess, most, codes

    def encode_files(self, image_bytes):
        return self._posterior(pictures.from_files(image_bytes, self.preprocess, self.most))

    def encode(self, image):
        return self._posterior(pictures.from_pixels(image, self.preprocess, self.most))

    def decode(self, latent):
        bounds = [
            at_most(tf.shape(latent)[0], self.most, "latent: a request", "codes"),
            must(tf.reduce_all(tf.math.is_finite(latent)), "latent must hold finite numbers only"),
        ]
        with tf.control_dependencies(bounds):
            latent = tf.identity(latent)
        return {"image": self._pictures(latent)}

    def sample(self, n, temperature, seed):
        bounds = [
            at_most(n, self.most, "n: a request", "pictures"),
            must(n >= 0, tf.strings.format("n must not be negative; got {}", n)),
            within(temperature, 0, HOTTEST, "temperature"),
        ]
        with tf.control_dependencies(bounds):
            n = tf.identity(n)
        codes = self.model.prior_codes(n, seed, temperature)
        return {"image": self._pictures(codes), "latent": codes}

    def reconstruct(self, image):
        grey = pictures.from_pixels(image, self.preprocess, self.most)
        count, levels = tf.shape(grey)[0], _one_at_least(self.preprocess.of_grey(grey))
        return {"image": self._as_pictures(self.model.reconstruct(levels))[:count]}

    def log_prob(self, image, k, seed):
        with tf.control_dependencies([within(k, 1, MOST_SAMPLES, "k")]):
            k = tf.identity(k)
        grey = pictures.from_pixels(image, self.preprocess, self.most)
        count = tf.shape(grey)[0]
        of_all = tf.cast(k, tf.int64) * tf.cast(count, tf.int64)
        with tf.control_dependencies([at_most(of_all, self.codes, "k: a request", "samples of all pictures")]):
            levels = _one_at_least(self.preprocess.of_grey(grey))
        bound = self.model.bound(levels, k, seed)[:count]
        name = likelihoods.of_levels(self.model.levels).kind
        scale = 1 if self.model.levels == 2 else math.prod(self.model.image_shape) * math.log(2)
        return {"bound": bound, name: -bound / scale}

    def _posterior(self, grey):
        posterior = self.model.encode(_one_at_least(self.preprocess.of_grey(grey)))
        count = tf.shape(grey)[0]
        return {"latent": posterior.mean()[:count], "deviation": tf.exp(posterior.log_scale)[:count]}

    def _pictures(self, codes):
        return self._as_pictures(self.model.picture(_one_at_least(codes)))[: tf.shape(codes)[0]]

    def _as_pictures(self, levels):
        """Levels as uint8, with an assertion that they are numbers: a network's sums may overflow."""
        finite = must(
            tf.reduce_all(tf.math.is_finite(levels)), "the decoded picture is not finite: a code is too far from 0"
        )
        with tf.control_dependencies([finite]):
            return self.preprocess.inverse(tf.identity(levels))


def _one_at_least(rows):
    """(B, ...), or if B is 0 one row of zeros, since no network reads an empty batch; the answer leaves it out."""
    more = tf.cast(tf.equal(tf.shape(rows)[0], 0), tf.int32)
    return tf.concat([rows, tf.zeros([more, *rows.shape[1:]], rows.dtype)], 0)
