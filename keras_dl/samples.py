"""What a generative model makes after every epoch, on TensorBoard: text, pictures, sound."""

import contextlib

import keras

from keras_dl import summaries


class Samples(keras.callbacks.Callback):
    """Call `show()` after every epoch, where tf.summary writes into run.tensorboard / "samples".

    Args:
        run: the runtime.Run.
        show: writes with tf.summary what the model makes at that moment.
    """

    def __init__(self, run, show):
        super().__init__()
        self.folder, self.show, self.begun = run.tensorboard / "samples", show, False

    def on_epoch_end(self, epoch, logs=None):
        if not self.begun:  # also what a run wrote that was killed before its first checkpoint
            self.purge(epoch)
            self.begun = True
        with summaries.writing(self.folder, epoch + 1):
            self.show()

    def get_state(self):
        return {}

    def set_state(self, state):
        pass

    def purge(self, epochs_done):
        """Forget what was written after `epochs_done` epochs."""
        with contextlib.suppress(FileNotFoundError):
            summaries.purge(self.folder, epochs_done)


def piano_roll_figure(rolls, titles, *, lowest, steps_per_beat):
    """Draw piano-rolls one below the other: time in beats to the right, pitch up.

    Args:
        rolls: list of uint8 (T, 88).
        titles: a line above each.
        lowest: MIDI number of column 0.
        steps_per_beat: time steps a quarter note.
    """
    figure = summaries.figure_of(10, 2.6 * len(rolls))
    for row, (roll, title) in enumerate(zip(rolls, titles, strict=True), 1):
        axes = figure.add_subplot(len(rolls), 1, row, title=title, ylabel="MIDI note", xlabel="beats")
        beats = len(roll) / steps_per_beat
        axes.imshow(
            roll.T, origin="lower", aspect="auto", cmap="Greys", vmin=0, vmax=1, interpolation="nearest",
            extent=(0, beats, lowest - 0.5, lowest + roll.shape[1] - 0.5),
        )  # fmt: skip
        played = roll.any(0).nonzero()[0]
        if len(played):
            axes.set_ylim(lowest + played[0] - 2, lowest + played[-1] + 2)
    return figure
