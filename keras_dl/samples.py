"""What a generative model makes as it learns, on TensorBoard: text, pictures, sound, alignments."""

import contextlib

import keras
import numpy as np

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


def alignment_figure(weights, source, target, titles=()):
    """Draw where each target token looks (Bahdanau et al., arXiv:1409.0473, figure 3): light is much.

    Args:
        weights: (T, S), or (n, T, S) drawn side by side, such as a Transformer's heads.
        source, target: S and T strings.
        titles: n lines.
    """
    weights = np.asarray(weights)
    weights = weights.reshape(-1, *weights.shape[-2:])
    columns = min(4, len(weights))
    rows = -(-len(weights) // columns)
    figure = summaries.figure_of(
        columns * (1.2 + 0.24 * len(source)) if columns > 1 else 2 + 0.3 * len(source),
        rows * (1.2 + 0.24 * len(target)),
    )
    for number, matrix in enumerate(weights, 1):
        title = titles[number - 1] if titles else None
        axes = figure.add_subplot(rows, columns, number, title=title)
        axes.imshow(matrix, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_xticks(range(len(source)), source, rotation=90)
        axes.set_yticks(range(len(target)), target)
        axes.xaxis.tick_top()
    return figure
