"""The callback that writes curves, norms, histograms and the graph of a run during training."""

import keras
import tensorflow as tf

from keras_dl import parts
from keras_dl.summaries.events import close, graph, purge, writer
from keras_dl.summaries.norms import by_layer, gradient_norms_of, summarized, weight_norms

# Prefixes of tags. TensorBoard sorts the groups of charts by name and opens the first two: "metrics", and the "metrics
# (test)" of HParams.
METRICS = "metrics/"  # numbers that a train_step, a test_step or `measure` reports
OPTIMIZATION = "optimization/"  # rates and norms
RATES = ("learning_rate", "examples_per_second")  # logged numbers, also "learning_rate/<part>", that are no metric
LAYERS = "norms/"  # norms of every layer, with histograms
WEIGHTS = "weights/"  # histograms
EARLIER = ("epoch_", *RATES)  # tags of runs that were made before there were prefixes


class TensorBoard(keras.callbacks.Callback):
    """Writes a run's curves after every epoch. They are on disk before the checkpoint of that epoch is written.

    Norms are shown in three charts each for weights and gradients, however many layers there are: of all together, and
    of the layers with the smallest and the largest norm, where it is seen that a gradient vanishes or explodes.

    Args:
        run: the runs.Run; events go to run.tensorboard / "train" and run.tensorboard / "validation".
        train, validation: data.Batches. If given, the norms of the gradient are computed on the first batch of each, in
            training mode, and the graph of inference is written once. There are no such norms for a model whose own
            train_step has an unknown loss (parts.training_losses returns None).
        histograms: whether to write histograms of every weight and norms of every layer.
    """

    def __init__(self, run, train=None, validation=None, histograms=False):
        super().__init__()
        self.folders = {split: run.tensorboard / split for split in ("train", "validation")}
        self.histograms = histograms
        self.batches = {name: given for name, given in (("train", train), ("validation", validation)) if given}
        self.begun, self.prepared = False, False
        self.first, self.norms = {}, None

    def on_epoch_begin(self, epoch, logs=None):
        # Not only after a resume from a checkpoint: a run killed before its first checkpoint may have logged epoch 1.
        # It is done before any other callback writes to the same folders.
        if not self.begun:
            self.purge(epoch)
            self.begun = True

    def on_epoch_end(self, epoch, logs=None):
        if not self.prepared:
            self._prepare(epoch)
            self.prepared = True
        scalars = {"train": {}, "validation": {}}
        for name, value in (logs or {}).items():
            split, name = ("validation", name[4:]) if name.startswith("val_") else ("train", name)
            prefix = OPTIMIZATION if name.partition("/")[0] in RATES else METRICS
            scalars[split][prefix + name] = value
        norms = [("train", "weight", weight_norms(self.model))]
        norms += [(split, "gradient", self.norms(batch)) for split, batch in self.first.items()]
        for split, kind, of_layers in norms:
            for name, value in summarized(self.model, of_layers).items():
                scalars[split][f"{OPTIMIZATION}{kind}_norm/{name}"] = value
            if self.histograms:
                scalars[split] |= {f"{LAYERS}{kind}s/{layer}": value for layer, value in of_layers.items()}
        for split, values in scalars.items():
            if values:
                self._write(split, values, epoch + 1)

    def on_train_end(self, logs=None):
        for folder in self.folders.values():
            close(folder)

    def get_state(self):
        return {}  # nothing of it is part of a checkpoint: a resume may ask for histograms

    def set_state(self, state):
        pass

    def purge(self, epochs_done):
        """Delete what was logged after `epochs_done` epochs; after none, all that is in the two folders."""
        own = (METRICS, OPTIMIZATION, LAYERS, WEIGHTS, *EARLIER)
        for folder in self.folders.values():
            purge(folder, epochs_done, own if epochs_done else "")

    def _prepare(self, epoch):
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
            graph(self.folders["train"], inference_of(self.model).get_concrete_function(spec))

    def _write(self, split, scalars, step):
        shared = writer(self.folders[split])
        with shared.as_default(step=step):
            for tag, value in scalars.items():
                tf.summary.scalar(tag, value)
            if self.histograms and split == "train":
                for layer, variables in by_layer(self.model).items():
                    for variable in variables:
                        values = keras.ops.convert_to_numpy(variable)
                        tf.summary.histogram(f"{WEIGHTS}{layer}/{variable.name}", values)
        shared.flush()


def inference_of(model):
    """A tf.function of a batch, whose graph is drawn: the model's output, or the losses of a ModelWithParts."""

    def answer(batch):
        if isinstance(model, parts.ModelWithParts):
            return model.compute_losses(batch, training=False)
        x, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
        return model(x, training=False)

    return tf.function(answer, autograph=False)
