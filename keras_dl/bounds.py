"""Bounds on the likelihood of pictures under a model with a code: during the training, and of the test split.

    training.fit(..., measure=bounds.Measure(validation, 50, "val_nats_per_image"), monitor="val_nats_per_image")
    nats = -bounds.of_batches(model, test, 5000)       # (N,), an estimate of -log p(x) of every picture

Shapes: N pictures in all, B in a batch.
"""

import numpy as np

from keras_dl.decoding.draws import in_range
from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf


def traced(model):
    """model.bound as a graph of (images (B, H, W, C), k, seed) -> (B,), whatever B and k are.

    Args:
        model: has `bound` and `image_shape`, as models.VAE.
    """
    signature = [tf.TensorSpec([None, *model.image_shape]), tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.int32)]
    return tf.function(lambda images, k, seed: model.bound(images, k, seed), signature, autograph=False)


def of_batches(model, batches, k, seed=0, function=None):
    """The importance-weighted bound of log p(x) of every picture.

    Args:
        model: as for `traced`.
        batches: data.Batches whose x, or only tensor, is the pictures.
        k: samples a picture; 1 for a one-sample estimate of the evidence lower bound.
        seed: of the samples; batch i of the same batches has seed + i, after the largest the smallest again.
        function: traced(model), if it is there already.

    Returns:
        (N,) float64 nats, in the order of the batches.
    """
    function, bounds = function or traced(model), []
    for number, batch in enumerate(batches.dataset()):
        images = batch[0] if isinstance(batch, tuple) else batch
        bounds.append(function(images, tf.constant(k, tf.int32), tf.constant(in_range(seed + number))).numpy())
    return np.concatenate(bounds).astype(np.float64)


class Measure:
    """A `measure` of training.fit: the mean of -bound over some pictures, with the same noise each time.

    Args:
        batches: data.Batches of validation.
        k: samples a picture.
        name: of the number.
        unit: nats that count as 1.
        seed: of the noise.
    """

    def __init__(self, batches, k, name, *, unit=1.0, seed=0):
        self.batches, self.k, self.name, self.unit, self.seed = batches, k, name, unit, seed
        self.model, self.function = None, None

    def __call__(self, model):
        if model is not self.model:  # a search trains one model after the other
            self.model, self.function = model, traced(model)
        return {self.name: float(-of_batches(model, self.batches, self.k, self.seed, self.function).mean() / self.unit)}
