"""Weights of trials on disk: those of the best, and of those that Hyperband may continue."""

import io

import keras
import numpy as np

from keras_dl import atomic, checkpoint, errors, restoring


class StartFrom(keras.callbacks.Callback):
    """Starts training from the weights and the optimizers' variables of an earlier trial."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_train_begin(self, logs=None):
        load_weights(self.model, self.path)


def state_of(model):
    optimizers = checkpoint.optimizers(model).values()
    return [*model.variables, *(variable for optimizer in optimizers for variable in optimizer.variables)]


def save_weights(model, path):
    file = io.BytesIO()
    np.savez(file, *[keras.ops.convert_to_numpy(v) for v in state_of(model)])
    atomic.write_atomic(path, file.getvalue())


def load_weights(model, path):
    try:
        with np.load(path, allow_pickle=False) as file:
            checkpoint.check_sizes(file, path.stat().st_size)
            arrays = list(file.values())
        restoring.check_values("arr", state_of(model), arrays)
    except Exception as error:  # a damaged archive fails somewhere inside, in many ways
        raise errors.UserError(
            f"tuning.search: {path}, the weights of the trial that is to be continued, is damaged: {error}. "
            "Start a new run."
        ) from error
    for variable, value in zip(state_of(model), arrays, strict=True):
        variable.assign(value)
