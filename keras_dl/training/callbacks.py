"""Callbacks at the end of an epoch: halve learning rates, stop training, average weights."""

import keras
import numpy as np

from keras_dl.arguments import OneOf, Text, Whole, checked
from keras_dl.training.variables import values_of

Count, CountOrZero = Whole(1, 1_000_000), Whole(0, 1_000_000)

MONITOR = "val_loss"


@checked(who="training.stopping")
def stopping(
    patience: CountOrZero,
    reduce_on_plateau: CountOrZero,
    monitor: Text = MONITOR,
    mode: OneOf("min", "max") = "min",
):
    """Keras' callbacks that halve the learning rates, and that stop training, when a monitored number stops improving.

    Args:
        patience: epochs without a better value until training stops; 0: it does not stop.
        reduce_on_plateau: epochs without a better value until every optimizer's learning rate is halved; 0: never.
        monitor, mode: as in `fit`.

    Returns:
        A list of callbacks.
    """
    watched = {"monitor": monitor, "mode": mode}
    callbacks = []
    if reduce_on_plateau:
        callbacks += [keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=reduce_on_plateau, **watched)]
    if patience:
        callbacks += [keras.callbacks.EarlyStopping(patience=patience, **watched)]
    return callbacks


class AverageLast(keras.callbacks.Callback):
    """At the end of training, set the weights to their mean over the ends of the last `count` epochs."""

    def __init__(self, count):
        super().__init__()
        self.count, self.kept = count, []

    def on_epoch_end(self, epoch, logs=None):
        self.kept = [*self.kept, values_of(self.model.trainable_variables)][-self.count :]

    def on_train_end(self, logs=None):
        for variable, *values in zip(self.model.trainable_variables, *self.kept, strict=True) if self.kept else ():
            variable.assign(np.mean(values, 0, dtype=values[0].dtype))

    def get_state(self):
        return {"kept": [value for weights in self.kept for value in weights]}

    def set_state(self, state):
        size = len(self.model.trainable_variables)
        self.kept = [state["kept"][i : i + size] for i in range(0, len(state["kept"]), size)]
