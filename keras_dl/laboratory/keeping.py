"""What a short training leaves is kept in the run, so that a resumed run repeats no training that was complete.

Trainings of training.fit have checkpoints of their own; this is for the many that take seconds each.
"""

import numpy as np

from keras_dl.atomic import atomic_file


def kept(run, name, train):
    """The arrays that `train` returns; if a training of this name is complete in the run, they are read instead.

    Args:
        run: the runs.Run; None: nothing is kept.
        name: of the training, a folder's name.
        train: function without arguments -> {name: array}.
    """
    if run is None:
        return train()
    file = run.training(name).path / "trained.npz"
    if file.exists():
        with np.load(file, allow_pickle=False) as saved:
            return dict(saved)
    arrays = train()
    with atomic_file(file) as stream:
        np.savez(stream, **arrays)
    return arrays


def kept_model(run, name, model, train):
    """The model with the weights that train() gives it, which are `kept`.

    Args:
        run, name: as for `kept`.
        model: a built keras.Model.
        train: function without arguments that trains the model.
    """

    def trained():
        train()
        return {f"weight{number}": weight for number, weight in enumerate(model.get_weights())}

    arrays = kept(run, name, trained)
    model.set_weights([arrays[f"weight{number}"] for number in range(len(arrays))])
    return model
