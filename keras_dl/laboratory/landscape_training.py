"""What a loss surface needs of a training: its pictures, fixed examples of them, and the weights after every epoch."""

import keras
import numpy as np

from keras_dl import data
from keras_dl.features.image import Preprocess

CHUNK = 250  # examples that are evaluated at once


def pictures(name, seed):
    """(Splits, Preprocess) of a data set of pictures with labels; digits stay as small as they are, 8 x 8 pixels."""
    splits = data.images.load(name, seed)
    if name != "digits":
        return splits, splits.preprocess
    images = splits.train.features["image"]
    return splits, Preprocess.of(images, images.shape[1:], "crop")


def fixed(examples, collate, count, seed, *, chunk=CHUNK, together=False):
    """Batches of `count` examples, drawn once, in their order and without augmentation.

    Args:
        examples: data.Examples, all of them if there are no more than `count`.
        collate: as for data.batches.
        seed: draws them.
        chunk: examples that are evaluated at once.
        together: whether they are one batch, as the statistics of batch normalisation need.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(examples))[:count])
    taken = data.Examples({name: array[rows] for name, array in examples.features.items()})
    return data.batches(taken, len(rows) if together else chunk, collate=collate)


class Snapshots(keras.callbacks.Callback):
    """Keeps the trainable weights of a model before training and after every epoch, also over a resume.

    Attributes:
        points: a list of (P,) float32.
    """

    def __init__(self):
        super().__init__()
        self.points = []

    def on_train_begin(self, logs=None):
        if not self.points:  # on a resume `set_state` follows
            self._keep()

    def on_epoch_end(self, epoch, logs=None):
        self._keep()

    def get_state(self):
        return {"points": self.points}

    def set_state(self, state):
        self.points = list(state["points"])

    def _keep(self):
        values = [np.ravel(keras.ops.convert_to_numpy(variable)) for variable in self.model.trainable_variables]
        self.points.append(np.concatenate(values).astype(np.float32))
