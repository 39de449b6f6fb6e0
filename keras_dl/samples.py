"""What a generative model makes as it learns, on TensorBoard: text, pictures, sound, alignments."""

import contextlib

import keras

from keras_dl import summaries


class Samples(keras.callbacks.Callback):
    """Call `show()` after epochs 1, 2, 4, 8 ... and at the end.

    Args:
        run: the runs.Run; what is shown goes to run.tensorboard / "samples".
        show: writes with tf.summary what the model makes at that moment.
    """

    def __init__(self, run, show):
        super().__init__()
        self.folder, self.show, self.epochs_done, self.begun = run.tensorboard / "samples", show, 0, False

    def on_epoch_end(self, epoch, logs=None):
        if not self.begun:  # also what a run wrote that was killed before its first checkpoint
            self.purge(epoch)
        self.epochs_done, self.begun = epoch + 1, True
        if self.epochs_done & epoch == 0:
            self._write()

    def on_train_end(self, logs=None):
        self.purge(self.epochs_done - 1)  # of the weights that stay; a finished run that is resumed ends a second time
        self._write()

    def get_state(self):
        return {"epochs_done": self.epochs_done}

    def set_state(self, state):
        self.epochs_done = state["epochs_done"]

    def purge(self, epochs_done):
        """Forget what was written after `epochs_done` epochs."""
        with contextlib.suppress(FileNotFoundError):
            summaries.purge(self.folder, epochs_done)

    def _write(self):
        with summaries.writing(self.folder, self.epochs_done):
            self.show()


def attention_of(shown, subwords, source, target):
    """The arguments of alignment_figure: where a model looks as it writes a target.

    Args:
        shown: the model's with_attention(); of a Transformer the heads of its last layer but one are taken.
        subwords: data.subwords.Subwords.
        source, target: a string each.
    """
    tokens, (before, after, _) = subwords.sources([source]), subwords.targets([target])
    weights = shown({"source": tokens, "target": before}, training=False)["attention"][0].numpy()
    if weights.ndim == 4:  # (N, h, T, S)
        weights = weights[max(0, len(weights) - 2)]
    names = [[piece.decode() for piece in subwords.strings(ids[0]).numpy()] for ids in (tokens, after)]
    titles = [f"head {n}" for n in range(1, 1 + len(weights))] if weights.ndim == 3 else ()
    return {"weights": weights, "source": names[0], "target": names[1], "titles": titles}
