"""A callback that ends training as a signal from outside does."""

import os
import signal

import keras


class KillAt(keras.callbacks.Callback):
    """Ends training.fit as SIGTERM does, after the first block of steps of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            os.kill(os.getpid(), signal.SIGTERM)
