"""The callback that writes curves, norms, histograms and the graph of a run during training."""

import keras
import tensorflow as tf

from keras_dl import parts
from keras_dl.summaries.events import graph, purge
from keras_dl.summaries.norms import by_layer, gradient_norms_of, weight_norms

PLAIN_TAGS = ("learning_rate", "examples_per_second")  # also "learning_rate/<part>"; other tags are epoch_<name>


class TensorBoard(keras.callbacks.Callback):
    """Writes a run's curves after every epoch. They are on disk before the checkpoint of that epoch is written.

    Args:
        run: the runs.Run; events go to run.tensorboard / "train" and run.tensorboard / "validation".
        train, validation: data.Batches. If given, the norms of the gradient by layer are computed on the first batch of
            each, in training mode, and the graph of inference is written once. There are no such norms for a model
            whose own train_step has an unknown loss (parts.training_losses returns None).
        histograms: whether to write histograms of every weight.
    """

    def __init__(self, run, train=None, validation=None, histograms=False):
        super().__init__()
        self.folder, self.histograms = run.tensorboard, histograms
        self.batches = {name: given for name, given in (("train", train), ("validation", validation)) if given}
        self.writers, self.first, self.norms = {}, {}, None

    def on_epoch_end(self, epoch, logs=None):
        if not self.writers:
            self._begin(epoch)
        for name, value in (logs or {}).items():
            split, name = ("validation", name[4:]) if name.startswith("val_") else ("train", name)
            plain = name.partition("/")[0] in PLAIN_TAGS
            self._scalar(split, name if plain else f"epoch_{name}", value, epoch + 1)
        for layer, value in weight_norms(self.model).items():
            self._scalar("train", f"norms/weights/{layer}", value, epoch + 1)
        for split, batch in self.first.items():
            for layer, value in self.norms(batch).items():
                self._scalar(split, f"norms/gradients/{layer}", value, epoch + 1)
        if self.histograms:
            with self._writer("train").as_default(step=epoch + 1):
                for layer, variables in by_layer(self.model).items():
                    for variable in variables:
                        values = keras.ops.convert_to_numpy(variable)
                        tf.summary.histogram(f"weights/{layer}/{variable.name}", values)
        for writer in self.writers.values():
            writer.flush()

    def on_train_end(self, logs=None):
        self._close()

    def purge(self, epochs_done):
        """Delete what was logged after `epochs_done` epochs."""
        self._close()
        for split in ("train", "validation"):
            purge(self.folder / split, epochs_done)

    def _begin(self, epoch):
        # Not only after a resume from a checkpoint: a run killed before its first checkpoint may have logged epoch 1.
        self.purge(epoch)
        if not self.batches:
            return
        if parts.training_losses(self.model) is not None:
            # As many examples of validation as of training: its batches may be too large for computing gradients.
            rows = None
            for split, batches in self.batches.items():
                batch = next(iter(batches.dataset()))
                rows = rows or len(tf.nest.flatten(batch)[0])
                self.first[split] = tf.nest.map_structure(lambda x, rows=rows: x[:rows], batch)
            self.norms = gradient_norms_of(self.model)
        if epoch == 0:
            spec = next(iter(self.batches.values())).dataset().element_spec
            graph(self.folder / "train", inference_of(self.model).get_concrete_function(spec))

    def _scalar(self, split, tag, value, step):
        with self._writer(split).as_default(step=step):
            tf.summary.scalar(tag, value)

    def _writer(self, split):
        if split not in self.writers:
            self.writers[split] = tf.summary.create_file_writer(str(self.folder / split))
        return self.writers[split]

    def _close(self):
        for writer in self.writers.values():
            writer.close()
        self.writers = {}


def inference_of(model):
    """A tf.function of a batch, whose graph is drawn: the model's output, or the losses of a ModelWithParts."""

    def answer(batch):
        if isinstance(model, parts.ModelWithParts):
            return model.compute_losses(batch, training=False)
        x, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
        return model(x, training=False)

    return tf.function(answer, autograph=False)
