"""What TensorBoard shows of a run: curves, norms by layer, the graph, histograms, pictures; and the report of a test.

Callbacks carry these into training.fit. Training and validation stand in two folders under the same tags, so that
TensorBoard draws them into one chart; a step is the number of finished epochs.
"""

import contextlib
import os

import keras
import numpy as np
import rich.box
import rich.console
import rich.table
import tensorflow as tf

from keras_dl import errors, parts, tables
from keras_dl.figures import figure_of, png

PLAIN_TAGS = ("learning_rate", "examples_per_second")  # and "learning_rate/<part>"; the others are epoch_<name>
CHUNK = 500  # examples predicted at once
PICTURES = 25  # misclassified examples drawn
NAMED = 20  # up to so many classes a confusion matrix shows its numbers


class TensorBoard(keras.callbacks.Callback):
    """Write a run's curves after every epoch, flushed before a checkpoint can follow.

    Args:
        run: the runs.Run; events go to run.tensorboard / "train" and / "validation".
        train, validation: data.Batches. Where given, the norm of the gradient by layer is taken on the first batch of
            each, in training mode, and the graph of inference is written once. A model that does not say what its own
            train_step minimises (parts.training_losses) has no such norms.
        histograms: also the distribution of every weight.
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
            part, name = ("validation", name[4:]) if name.startswith("val_") else ("train", name)
            plain = name.partition("/")[0] in PLAIN_TAGS
            self._scalar(part, name if plain else f"epoch_{name}", value, epoch + 1)
        for layer, value in weight_norms(self.model).items():
            self._scalar("train", f"norms/weights/{layer}", value, epoch + 1)
        for part, batch in self.first.items():
            for layer, value in self.norms(batch).items():
                self._scalar(part, f"norms/gradients/{layer}", value, epoch + 1)
        if self.histograms:
            with self._writer("train").as_default(step=epoch + 1):
                for variable in self.model.trainable_variables:
                    tf.summary.histogram(f"weights/{variable.path}", keras.ops.convert_to_numpy(variable))
        for writer in self.writers.values():
            writer.flush()

    def on_train_end(self, logs=None):
        self._close()

    def purge(self, epochs_done):
        """Forget what was logged after `epochs_done` epochs."""
        self._close()
        for part in ("train", "validation"):
            purge(self.folder / part, epochs_done)

    def _begin(self, epoch):
        # Also where no checkpoint was found: a run killed before its first one has logged epoch 1.
        self.purge(epoch)
        if not self.batches:
            return
        if parts.training_losses(self.model) is not None:
            # As many examples of each split: a batch of validation may be larger than training's memory allows.
            rows = None
            for split, batches in self.batches.items():
                batch = next(iter(batches.dataset()))
                rows = rows or len(tf.nest.flatten(batch)[0])
                self.first[split] = tf.nest.map_structure(lambda x, rows=rows: x[:rows], batch)
            self.norms = gradient_norms_of(self.model)
        if epoch == 0:
            spec = next(iter(self.batches.values())).dataset().element_spec
            graph(self.folder / "train", _inference(self.model).get_concrete_function(spec))

    def _scalar(self, part, tag, value, step):
        with self._writer(part).as_default(step=step):
            tf.summary.scalar(tag, value)

    def _writer(self, part):
        if part not in self.writers:
            self.writers[part] = tf.summary.create_file_writer(str(self.folder / part))
        return self.writers[part]

    def _close(self):
        for writer in self.writers.values():
            writer.close()
        self.writers = {}


class Pictures(keras.callbacks.Callback):
    """At the end of a fit, draw the most confidently misclassified examples and the confusion matrix.

    Args:
        run: the runs.Run; pictures go to run.tensorboard / "pictures".
        examples: data.Examples, of the validation split.
        preprocess: raw images -> the model's input.
        classes: names of the classes.
    """

    def __init__(self, run, examples, preprocess, classes):
        super().__init__()
        self.folder, self.examples = run.tensorboard / "pictures", examples
        self.preprocess, self.classes = preprocess, classes
        self.epochs_done = 0  # an int: training.fit keeps it over a resume

    def on_epoch_end(self, epoch, logs=None):
        self.epochs_done = epoch + 1

    def on_train_end(self, logs=None):
        images, labels = self.examples.features["image"], self.examples.features["label"]
        chunks = (self.preprocess(tf.constant(images[i : i + CHUNK])) for i in range(0, len(images), CHUNK))
        logs = _log_probabilities(self.model, chunks)
        wrong = _misclassified(labels, logs)
        shown = {name: values[:PICTURES] for name, values in wrong.items()}
        figures = {
            "misclassified": misclassified_figure(images[np.asarray(shown["index"], int)], shown, self.classes),
            "confusion_matrix": confusion_matrix_figure(_confusion(labels, logs), self.classes),
        }
        self.purge(self.epochs_done - 1)  # a finished run that is resumed ends a second time
        with writing(self.folder, self.epochs_done):
            for tag, figure in figures.items():
                tf.summary.image(tag, tf.io.decode_png(png(figure), channels=3)[None])

    def purge(self, epochs_done):
        purge(self.folder, epochs_done)


def purge(folder, last_step):
    """Rewrite the event files of `folder` without what was written after step `last_step`; at 0 nothing is left.

    A record that a kill has torn, and what follows it, is dropped. A file is replaced whole or not at all.
    """
    for path in sorted(folder.glob("events.out.tfevents.*")):
        kept = [raw for raw, event in _events(path) if event.step <= last_step]
        if last_step <= 0 or len(kept) <= 1:  # one: the record that says the format's version
            path.unlink()
            continue
        aside = folder / ".purged.tmp"  # a name that TensorBoard does not read
        with tf.io.TFRecordWriter(str(aside)) as file:
            for raw in kept:
                file.write(raw)
        os.replace(aside, path)


@contextlib.contextmanager
def writing(folder, step):
    """The context in which tf.summary writes into `folder` at `step`; the file is whole when it ends."""
    writer = tf.summary.create_file_writer(str(folder))
    try:
        with writer.as_default(step=step):
            yield
    finally:
        writer.close()


def hparams(folder, values, metrics, *, began=None, failed=False):
    """A row of TensorBoard's HParams page, in place of one that `folder` had before.

    The row is named after its folder, so that rows of different runs are never taken for one. No list of columns is
    written: TensorBoard would take the list of one run for all of them.

    Args:
        folder: its own, without others below it.
        values: {hyperparameter: value}; what TensorBoard has no type for is written as text.
        metrics: {tag: number}.
        began: when it started, in seconds since 1970; None is now.
        failed: whether it was broken off.
    """
    from tensorboard.plugins.hparams import api, api_pb2, summary

    purge(folder, 0)
    values = {name: v if isinstance(v, bool | int | float | str) else str(v) for name, v in values.items()}
    status = api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS
    with writing(folder, 0):
        api.hparams(values, trial_id="", start_time_secs=began)
        for tag, value in metrics.items():
            tf.summary.scalar(tag, value)
        tf.summary.experimental.write_raw_pb(summary.session_end_pb(status).SerializeToString())


def graph(folder, concrete_function):
    """Put the op graph of a tf.function's concrete function on TensorBoard's Graphs page."""
    with writing(folder, 0):
        tf.summary.graph(concrete_function.graph)


def weight_norms(model):
    """{layer: Euclidean norm of its trainable weights}; where there are several parts, "<part>/<layer>"."""
    norms = {}
    for layer, variables in _by_layer(model).items():
        values = [keras.ops.convert_to_numpy(variable).astype(np.float64) for variable in variables]
        norms[layer] = float(np.sqrt(sum(np.sum(value**2) for value in values)))
    return norms


def gradient_norms(model, batch):
    """{layer: Euclidean norm of the gradient of its part's loss by its weights}, in training mode.

    The loss is the one of a training step (parts.training_losses). No state of the model changes.

    Args:
        model: compiled.
        batch: as the pipeline has it: x, (x, y) or (x, y, weight), tensors or dictionaries of them.

    Raises:
        UserError: the model has a train_step of its own, and does not say what that minimises.
    """
    return gradient_norms_of(model)(batch)


def gradient_norms_of(model):
    """The function batch -> gradient_norms(model, batch), traced once for many calls."""
    losses_of = parts.training_losses(model)
    if losses_of is None:
        raise errors.UserError(
            f"summaries.gradient_norms: {model.name}, which has a train_step of its own, must say what that minimises: "
            "by a method training_loss(batch), or as a parts.ModelWithParts."
        )
    layers = _by_layer(model)
    # Without this Keras has no value for a regularizer in a StatelessScope.
    regularized = [v for v in model.trainable_variables if v.regularizer is not None]

    @tf.function(autograph=False, reduce_retracing=True)
    def norms(batch):
        # What batch norm, dropout's seeds and metrics would assign stays in this scope and is dropped with it.
        with tf.GradientTape(persistent=True) as tape:
            values = [(variable, tf.convert_to_tensor(variable.value)) for variable in regularized]
            with keras.StatelessScope(state_mapping=values, collect_losses=True):
                losses = losses_of(batch)
        gradients = {}
        for part in parts.of(model):
            by_variable = tape.gradient(
                losses[part.name], [v.value for v in part.variables], unconnected_gradients="zero"
            )
            for variable, gradient in zip(part.variables, by_variable, strict=True):
                # An embedding's gradient comes in slices, of which those of one token are to be added up.
                gradients[id(variable)] = tf.cast(tf.convert_to_tensor(gradient), tf.float32)
        return {
            layer: tf.linalg.global_norm([gradients[id(variable)] for variable in variables])
            for layer, variables in layers.items()
        }

    def of_batch(batch):
        strategy = tf.distribute.get_strategy()
        each = strategy.run(norms, args=(batch,))  # every replica takes the same batch
        return {layer: float(strategy.experimental_local_results(each[layer])[0]) for layer in layers}

    return of_batch


def classification_report(model, batches, classes):
    """Metrics, confusion matrix and errors of a classifier in one pass over `batches`.

    Args:
        model: images -> logits (B, K).
        batches: data.Batches.
        classes: names of the K classes.

    Returns:
        {"metrics": {"loss": cross-entropy in nats, "accuracy"}, "confusion": int (K, K), a row a true class,
        "classes": {name: {"precision", "recall", "f1", "support"}}, "misclassified": {"index", "label", "predicted",
        "probability"}: arrays, the most confident first}.
    """
    import sklearn.metrics

    labels = []

    def images():
        for batch in batches.dataset():
            labels.append(batch[1].numpy())
            yield batch[0]

    logs = _log_probabilities(model, images())
    labels, predicted = np.concatenate(labels), logs.argmax(1)
    every = list(range(len(classes)))
    scores = sklearn.metrics.precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0)
    kinds = (float, float, float, int)
    rows = [[kind(v) for kind, v in zip(kinds, row, strict=True)] for row in zip(*scores, strict=True)]
    names = ("precision", "recall", "f1", "support")
    loss = -np.mean(logs[np.arange(len(labels)), labels], dtype=np.float64)
    return {
        "metrics": {"loss": float(loss), "accuracy": float(sklearn.metrics.accuracy_score(labels, predicted))},
        "confusion": _confusion(labels, logs),
        "classes": {name: dict(zip(names, row, strict=True)) for name, row in zip(classes, rows, strict=True)},
        "misclassified": _misclassified(labels, logs),
    }


def report_table(report):
    """A classification_report as text: a row a class with its precision, recall and F1, and whom it is taken for."""
    classes, confusion = list(map(tables.plain, report["classes"])), report["confusion"]
    metrics = "  ".join(f"{name} {value:.4f}" for name, value in report["metrics"].items())
    wrong = len(report["misclassified"]["index"])
    table = rich.table.Table(
        title=f"test: {metrics}  ({wrong:,} of {confusion.sum():,} wrong)", title_justify="left", box=rich.box.MARKDOWN
    )
    table.add_column("class")
    for name in ("precision", "recall", "F1", "examples"):
        table.add_column(name, justify="right")
    small = len(classes) <= NAMED
    for name in [*classes] if small else ["most often taken for"]:
        table.add_column(name, justify="right" if small else "left")
    for i, (name, scores) in enumerate(zip(classes, report["classes"].values(), strict=True)):
        others = np.where(np.arange(len(classes)) == i, 0, confusion[i])
        taken = f"{classes[others.argmax()]} ({others.max()})" if others.any() else ""
        figures = [f"{scores[key]:.3f}" for key in ("precision", "recall", "f1")]
        table.add_row(name, *figures, str(scores["support"]), *(map(str, confusion[i]) if small else [taken]))
    return text_of(table)


def text_of(renderable):
    """What rich makes of it: styled on a terminal, else plain text that is not cut at 80 columns."""
    console = rich.console.Console()
    if not console.is_terminal:
        console = rich.console.Console(width=200)
    with console.capture() as captured:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()).strip("\n")


def confusion_matrix_figure(matrix, classes):
    """Draw a confusion matrix (K, K), a row a true class; colour is the share of the row."""
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = min(12.0, 3.0 + 0.4 * len(classes))
    figure = figure_of(side, side)
    axes = figure.add_subplot(xlabel="predicted", ylabel="true")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(classes) <= NAMED:
        axes.set_xticks(range(len(classes)), classes, rotation=90)
        axes.set_yticks(range(len(classes)), classes)
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    return figure


def misclassified_figure(images, errors, classes):
    """Draw examples with their true and predicted class.

    Args:
        images: uint8 (N, h, w, C).
        errors: {"label", "predicted", "probability"}: arrays (N,).
        classes: names of the classes.
    """
    columns = max(1, min(5, len(images)))
    rows = max(1, -(-len(images) // columns))
    figure = figure_of(1.9 * columns, 2.0 * rows)
    if not len(images):
        figure.text(0.5, 0.5, "no example is\nmisclassified", ha="center", va="center")
    for i, image in enumerate(images):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.imshow(image.squeeze(), cmap="gray" if image.shape[-1] == 1 else None, vmin=0, vmax=255)
        true, taken = classes[errors["label"][i]], classes[errors["predicted"][i]]
        axes.set_title(f"{true} taken for\n{taken} ({errors['probability'][i]:.0%})", fontsize=8)
        axes.axis("off")
    return figure


def _inference(model):
    """The function of a batch whose graph is drawn: the model's answer, or, of one with parts, all their losses."""

    def answer(batch):
        if isinstance(model, parts.ModelWithParts):
            return model.compute_losses(batch, training=False)
        x, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
        return model(x, training=False)

    return tf.function(answer, autograph=False)


def _by_layer(model):
    """{layer: its trainable variables}; where there are several parts, {"<part>/<layer>": ...}."""
    several, layers = parts.of(model), {}
    for part in several:
        for variable in part.variables:
            layer = variable.path.rpartition("/")[0]
            layers.setdefault(f"{part.name}/{layer}" if len(several) > 1 else layer, []).append(variable)
    return layers


def _log_probabilities(model, images):
    """(N, K) float32, over an iterable of inputs (B, ...)."""

    @tf.function(autograph=False, reduce_retracing=True)
    def logs(x):
        return tf.nn.log_softmax(tf.cast(model(x, training=False), tf.float32))

    return np.concatenate([logs(x).numpy() for x in images])


def _confusion(labels, logs):
    matrix = np.zeros((logs.shape[1],) * 2, int)
    np.add.at(matrix, (labels, logs.argmax(1)), 1)
    return matrix


def _misclassified(labels, logs):
    predicted, probability = logs.argmax(1), np.exp(logs.max(1))
    wrong = np.flatnonzero(predicted != labels)
    wrong = wrong[np.argsort(-probability[wrong], kind="stable")]
    picked = {"label": labels, "predicted": predicted, "probability": probability}
    return {"index": wrong} | {name: values[wrong] for name, values in picked.items()}


def _events(path):
    """(bytes, Event) of each whole record."""
    with contextlib.suppress(tf.errors.DataLossError):  # a kill has torn the last one
        for raw in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            yield raw, tf.compat.v1.Event.FromString(raw)
