"""Samples of a generative model during training, on TensorBoard: text, pictures, sound, alignments."""

import functools

import keras
import tensorflow as tf

from keras_dl import summaries
from keras_dl.atomic import atomic_file
from keras_dl.features import grids
from keras_dl.features.image import write_png

TAGS = "samples/"  # prefix of the tags of samples
FINAL, ANIMATION = "final.png", "animation.gif"  # file names


class Samples(keras.callbacks.Callback):
    """Calls `show()` after epochs 1, 2, 4, 8, ... and at the end of training.

    Args:
        run: the runs.Run; summaries go to run.tensorboard / "validation", with tags that begin with "samples/".
        show: function that generates samples with the current weights and writes them with tf.summary.
    """

    def __init__(self, run, show):
        super().__init__()
        self.folder, self.show, self.epochs_done, self.begun = run.tensorboard / "validation", show, 0, False
        self.tags = TAGS  # prefix of those that it writes, and deletes
        self.earlier = run.tensorboard / "samples"  # of a run that was made when samples had a folder of their own

    def on_epoch_end(self, epoch, logs=None):
        if not self.begun:  # also of a run that was killed before its first checkpoint
            self.purge(epoch)
        self.epochs_done, self.begun = epoch + 1, True
        if self.epochs_done & epoch == 0:
            self._write()

    def on_train_end(self, logs=None):
        # The last samples are replaced by those of the final weights; a finished run that is resumed gets here again.
        self._purge_summaries(self.epochs_done - 1)
        self._write()

    def get_state(self):
        return {"epochs_done": self.epochs_done}

    def set_state(self, state):
        self.epochs_done = state["epochs_done"]

    def purge(self, epochs_done):
        """Delete the samples that were written after `epochs_done` epochs."""
        self._purge_summaries(epochs_done)

    def _purge_summaries(self, epochs_done):
        summaries.purge(self.folder, epochs_done, self.tags)
        summaries.purge(self.earlier, epochs_done)

    def _write(self):
        with summaries.writing(self.folder, self.epochs_done), tf.name_scope(TAGS):
            self.show()


class Frames(Samples):
    """The pictures that a model makes of the same noise after each epoch and, in the end, all of them in motion.

    TensorBoard shows them as Samples are shown. The run's folder samples/<name>/ has a PNG file for every epoch that
    is a frame, such as 000012.png, final.png for the weights with which the training ends, and animation.gif, which is
    on TensorBoard too.

    Args:
        run: the runs.Run.
        make: function that returns pictures, uint8 (N, h, w, C), made with the current weights from noise that is the
            same each time.
        name: a folder below run.samples; with the prefix "samples/" it is the tag.
        every: a frame is taken after so many epochs, and after epochs 1, 2, 4, 8, ...; None: after the latter alone.
        columns, headings: as for features.grids.grid.
    """

    def __init__(self, run, make, name="pictures", *, every=1, columns=None, headings=()):
        super().__init__(run, self._show)
        self.make, self.name, self.every, self.columns, self.headings = make, name, every, columns, headings
        self.place, self.final, self.tags = run.samples / name, None, TAGS + name  # an app may have several Frames

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if self.every and self.epochs_done % self.every == 0 and self.epochs_done & epoch:  # not one of 1, 2, 4, 8, ...
            self._frame()

    def on_train_end(self, logs=None):
        self.final = int(
            (logs or {}).get("epoch", self.epochs_done)
        )  # training.fit says of which epoch the weights are
        super().on_train_end(logs)
        self.final = None

    def purge(self, epochs_done):
        super().purge(epochs_done)
        for path in self._frames():
            if int(path.stem) > epochs_done:
                path.unlink()
        for name in (FINAL, ANIMATION):
            (self.place / name).unlink(missing_ok=True)

    def _show(self):
        tf.summary.image(self.name, self._frame()[None])
        if self.final is None:
            return
        paths = [*self._frames(), self.place / FINAL]
        gif = grids.animation([tf.io.decode_png(path.read_bytes()).numpy() for path in grids.evenly(paths)])
        with atomic_file(self.place / ANIMATION) as file:
            file.write(gif)
        summaries.animated(f"{self.name}_animated", gif)

    def _frame(self):
        """Make pictures with the current weights, write their grid to its file, and return it: uint8 (h', w', C)."""
        done, kept = self.epochs_done, self.final
        caption = f"epoch {done}" if kept in (None, done) else f"epoch {kept} of {done}"
        picture = grids.grid(self.make(), self.columns, headings=self.headings, caption=caption)
        write_png(picture, self.place / (f"{done:06}.png" if kept is None else FINAL))
        return picture

    def _frames(self):
        """The paths of the frames of epochs, in their order."""
        return sorted(path for path in self.place.glob("*.png") if path.stem.isdigit())


def attention_function(model, subwords):
    """A function (source, target) -> attention_of for a translation model; None if the model has no attention."""
    if not hasattr(model, "with_attention"):
        return None
    return functools.partial(attention_of, model.with_attention(), subwords)


def attention_of(shown, subwords, source, target):
    """The attention of a translation model for a sentence and its translation, as arguments of an alignment figure.

    Args:
        shown: the model's with_attention(); of a Transformer the last layer but one is used, each head alone.
        subwords: the Subwords of the model's data.
        source, target: a string each.

    Returns:
        {"weights": (T, S) or (h, T, S), "source": S strings, "target": T strings, "titles": one per matrix}.
    """
    tokens, (before, after, _) = subwords.sources([source]), subwords.targets([target])
    weights = shown({"source": tokens, "target": before}, training=False)["attention"][0].numpy()
    names = [[piece.decode() for piece in subwords.strings(ids[0]).numpy()] for ids in (tokens, after)]
    weights, titles = _heads(weights) if weights.ndim == 4 else (weights, ["the decoder's attention"])
    return {"weights": weights, "source": names[0], "target": names[1], "titles": titles}


def attention_within(network, tokens, text, most):
    """The attention of a language model in a text that it reads, as arguments of an alignment figure.

    Args:
        network: the models.TransformerLM.
        tokens: the Tokens of the model's data.
        text: a string.
        most: number of tokens, at most, that are read; not more than the model's window.

    Returns:
        As attention_of, with the T tokens of the text as "source" and "target": each looks at itself and those before
        it. None if the text is empty.
    """
    ids = tokens.encode([text]).to_tensor()[:, : min(most, network.max_length)]
    if not ids.shape[1]:
        return None
    names = [tokens.vocabulary[index] for index in ids[0].numpy()]
    weights, titles = _heads(network.with_attention()(ids, training=False)["attention"][0].numpy())
    return {"weights": weights, "source": names, "target": names, "titles": titles}


def _heads(weights):
    """Of weights (N, h, T, S) those of the last layer but one (h, T, S), and a title for each head."""
    layers, layer = len(weights), max(1, len(weights) - 1)
    weights = weights[layer - 1]
    return weights, [f"layer {layer} of {layers}, head {head} of {len(weights)}" for head in range(1, 1 + len(weights))]
