"""Samples of a generative model during training, on TensorBoard: text, pictures, sound, alignments."""

import functools

import keras
import tensorflow as tf

from keras_dl import summaries

TAGS = "samples/"  # prefix of the tags of samples


class Samples(keras.callbacks.Callback):
    """Calls `show()` after epochs 1, 2, 4, 8, ... and at the end of training.

    Args:
        run: the runs.Run; summaries go to run.tensorboard / "validation", with tags that begin with "samples/".
        show: function that generates samples with the current weights and writes them with tf.summary.
    """

    def __init__(self, run, show):
        super().__init__()
        self.folder, self.show, self.epochs_done, self.begun = run.tensorboard / "validation", show, 0, False
        self.earlier = run.tensorboard / "samples"  # of a run that was made when samples had a folder of their own

    def on_epoch_end(self, epoch, logs=None):
        if not self.begun:  # also of a run that was killed before its first checkpoint
            self.purge(epoch)
        self.epochs_done, self.begun = epoch + 1, True
        if self.epochs_done & epoch == 0:
            self._write()

    def on_train_end(self, logs=None):
        # The last samples are replaced by those of the final weights; a finished run that is resumed gets here again.
        self.purge(self.epochs_done - 1)
        self._write()

    def get_state(self):
        return {"epochs_done": self.epochs_done}

    def set_state(self, state):
        self.epochs_done = state["epochs_done"]

    def purge(self, epochs_done):
        """Delete the samples that were written after `epochs_done` epochs."""
        summaries.purge(self.folder, epochs_done, TAGS)
        summaries.purge(self.earlier, epochs_done)

    def _write(self):
        with summaries.writing(self.folder, self.epochs_done), tf.name_scope(TAGS):
            self.show()


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
