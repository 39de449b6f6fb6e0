"""Networks so small that their Hessian is exact and cheap.

Sources: Dauphin et al. (arXiv:1406.2572), section 6: one hidden layer on digits that are scaled to 10 x 10 pixels, so
that all second derivatives can be computed. Ours computes in float64, since a critical point is where the gradient is
zero; and the squares of all weights are added to the error with a small factor, without which the error of digits that
are told apart has its minimum at infinity, and rows of zero eigenvalues blur the index.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

SIDE = 10  # pixels
CLASSES = 10


def two_weights():
    """x (B, 1) -> w2 tanh(w1 x): classical_surfaces.TwoWeights as a Keras model."""
    x = keras.Input((1,), name="x")
    hidden = layers.Dense(1, "tanh", use_bias=False, name="w1")(x)
    return keras.Model(x, layers.Dense(1, use_bias=False, name="w2")(hidden), name="two_weights")


def mlp(units, decay, inputs=SIDE**2, classes=CLASSES):
    """One hidden layer of tanh units in float64: pixels (B, inputs) -> logits (B, classes).

    Args:
        units: of the hidden layer; at the defaults each has 111 weights.
        decay: factor of the squares of all weights in the loss.
    """
    pixels = keras.Input((inputs,), name="pixels", dtype="float64")

    def dense(width, activation, name):
        l2 = {f"{which}_regularizer": keras.regularizers.L2(decay) for which in ("kernel", "bias")} if decay else {}
        return layers.Dense(width, activation, dtype="float64", name=name, **l2)

    logits = dense(classes, None, "logits")(dense(units, "tanh", "hidden")(pixels))
    return keras.Model(pixels, logits, name="mlp")


def scaled(images):
    """Grey levels uint8 (N, h, w, 1) as float32 (N, SIDE * SIDE) from 0 to 1, resized to SIDE x SIDE."""
    resized = tf.image.resize(images, (SIDE, SIDE), antialias=True) / 255
    return tf.reshape(resized, [len(images), -1]).numpy()


class Kept(keras.callbacks.Callback):
    """Keeps the weights of the start and of the end of each epoch; a resume keeps those of before.

    Attributes:
        weights: list of (P,) arrays.
    """

    def __init__(self):
        super().__init__()
        self.weights = []

    def on_train_begin(self, logs=None):
        self._keep()

    def on_epoch_end(self, epoch, logs=None):
        self._keep()

    def _keep(self):
        self.weights.append(np.concatenate([np.ravel(variable) for variable in self.model.trainable_variables]))
