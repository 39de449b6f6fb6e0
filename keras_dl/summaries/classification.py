"""The results of a classifier: a report, a table, figures, and a callback that writes the figures for TensorBoard."""

import keras
import numpy as np
import rich.box
import rich.table
import tensorflow as tf

from keras_dl import tables
from keras_dl.figures import figure_of, plain, png
from keras_dl.summaries.events import purge, writing
from keras_dl.waiting import waiting
from keras_dl.wording import counted, percent

CHUNK = 500  # examples predicted at once
PICTURES, ACROSS = 12, 3  # misclassified examples drawn, at most, and beside each other
NAMED = 20  # largest number of classes for which a confusion matrix shows names and counts
TAGS = "pictures/"  # prefix of the tags of pictures
NAME = 16  # characters of a class's name above a misclassified example


class Pictures(keras.callbacks.Callback):
    """At the end of training, draw the most confidently misclassified examples and the confusion matrix.

    Args:
        run: the runs.Run; pictures go to run.tensorboard / "validation", with tags that begin with "pictures/".
        examples: data.Examples, of the validation split.
        preprocess: raw images -> the model's input.
        classes: names of the classes.
    """

    def __init__(self, run, examples, preprocess, classes):
        super().__init__()
        self.folder, self.examples = run.tensorboard / "validation", examples
        self.earlier = run.tensorboard / "pictures"  # of a run that was made when pictures had a folder of their own
        self.preprocess, self.classes = preprocess, classes
        self.epochs_done = 0  # an int attribute: part of a checkpoint of training.fit

    def on_epoch_end(self, epoch, logs=None):
        self.epochs_done = epoch + 1

    def on_train_end(self, logs=None):
        kept = int((logs or {}).get("epoch", self.epochs_done))  # training.fit says of which epoch the weights are
        images, labels = self.examples.features["image"], self.examples.features["label"]
        chunks = (self.preprocess(tf.constant(images[i : i + CHUNK])) for i in range(0, len(images), CHUNK))
        logs = log_probabilities(self.model, chunks)
        wrong = misclassified(labels, logs)
        shown = {name: values[:PICTURES] for name, values in wrong.items()}
        counts = f"{len(wrong['index']):,} of {len(labels):,} wrong"
        title = f"validation split, epoch {kept} of {self.epochs_done}\n{counts}"
        figures = {
            "misclassified": misclassified_figure(images[np.asarray(shown["index"], int)], shown, self.classes, title),
            "confusion_matrix": confusion_matrix_figure(confusion_matrix(labels, logs), self.classes, title),
        }
        self.purge(self.epochs_done - 1)  # a finished run that is resumed gets here again
        with writing(self.folder, self.epochs_done):
            for tag, figure in figures.items():
                tf.summary.image(TAGS + tag, tf.io.decode_png(png(figure), channels=3)[None])

    def purge(self, epochs_done):
        """Delete the pictures that were written after `epochs_done` epochs."""
        purge(self.folder, epochs_done, TAGS)
        purge(self.earlier, epochs_done)


def classification_report(model, batches, classes):
    """Metrics, confusion matrix and errors of a classifier in one pass over `batches`.

    Args:
        model: images -> logits (B, K).
        batches: data.Batches.
        classes: names of the K classes.

    Returns:
        {"metrics": {"loss": cross-entropy in nats, "accuracy"},
        "confusion": int (K, K), counts, a row per true class and a column per predicted class,
        "classes": {name: {"precision", "recall", "f1", "support"}},
        "misclassified": {"index", "label", "predicted", "probability"}: arrays, the most confident first,
        "labels": (N,), "log_probabilities": float32 (N, K)}.
    """
    import sklearn.metrics

    labels = []

    def images():
        for batch in batches.dataset():
            labels.append(batch[1].numpy())
            yield batch[0]

    with waiting(f"classifying {counted(len(batches.examples), 'examples')} ..."):
        logs = log_probabilities(model, images())
    labels, predicted = np.concatenate(labels), logs.argmax(1)
    every = list(range(len(classes)))
    scores = sklearn.metrics.precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0)
    kinds = (float, float, float, int)
    rows = [[kind(v) for kind, v in zip(kinds, row, strict=True)] for row in zip(*scores, strict=True)]
    names = ("precision", "recall", "f1", "support")
    loss = -np.mean(logs[np.arange(len(labels)), labels], dtype=np.float64)
    return {
        "metrics": {"loss": float(loss), "accuracy": float(sklearn.metrics.accuracy_score(labels, predicted))},
        "confusion": confusion_matrix(labels, logs),
        "classes": {name: dict(zip(names, row, strict=True)) for name, row in zip(classes, rows, strict=True)},
        "misclassified": misclassified(labels, logs),
        "labels": labels,
        "log_probabilities": logs,
    }


def report_table(report):
    """A classification_report as a text table: a row per class with precision, recall, F1 and its confusions.

    If there are many classes, or the terminal is too narrow for a column per class, a row says only which class is most
    often predicted instead.
    """
    from rich import console

    table = _report_table(report, len(report["classes"]) <= NAMED)
    if console.Console(width=10_000).measure(table).maximum > tables.width():
        table = _report_table(report, False)
    return tables.as_text(table)


def _report_table(report, small):
    """The rich table of report_table; with `small`, a column per class."""
    classes, confusion = list(map(tables.plain, report["classes"])), report["confusion"]
    metrics = "  ".join(f"{name} {value:.4f}" for name, value in report["metrics"].items())
    wrong = len(report["misclassified"]["index"])
    table = rich.table.Table(
        title=f"test: {metrics}  ({wrong:,} of {confusion.sum():,} wrong)", title_justify="left", box=rich.box.MARKDOWN
    )
    table.add_column("class")
    for name in ("precision", "recall", "F1", "examples"):
        table.add_column(name, justify="right")
    for name in [*classes] if small else ["most often taken for"]:
        table.add_column(name, justify="right" if small else "left")
    for i, (name, scores) in enumerate(zip(classes, report["classes"].values(), strict=True)):
        others = np.where(np.arange(len(classes)) == i, 0, confusion[i])
        taken = f"{classes[others.argmax()]} ({others.max()})" if others.any() else ""
        figures = [f"{scores[key]:.3f}" for key in ("precision", "recall", "f1")]
        table.add_row(name, *figures, str(scores["support"]), *(map(str, confusion[i]) if small else [taken]))
    return table


def confusion_matrix_figure(matrix, classes, title=""):
    """A figure of a confusion matrix, a row per true class; the colour is the share within the row.

    Up to NAMED classes it has their counts. More classes have smaller names, to be read when the figure is enlarged,
    and the colour is the square root of the share.

    Args:
        matrix: int (K, K).
        classes: names of the K classes.
        title: what it is of, such as the split.
    """
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    few = len(classes) <= NAMED
    # Inches and points; small, so that up to ten classes are legible at the 310 pixels that TensorBoard first shows.
    cell, size = (0.27, 9) if few else (0.13, 6)
    side = max(3.6, 1.4 + cell * len(classes))
    figure = figure_of(side, side)
    axes = figure.add_subplot()
    # Among many classes single confusions are seen only if small shares are drawn darker.
    axes.imshow(shares if few else np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)
    large = 9 * max(1.0, side / 4)
    figure.suptitle(title, fontsize=large)
    axes.set_xlabel("predicted class", fontsize=large)
    axes.set_ylabel("true class", fontsize=large)
    names = [plain(name) for name in classes]
    axes.set_xticks(range(len(classes)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(classes)), names, fontsize=size)
    if few:
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    return figure


def misclassified_figure(images, errors, classes, title=""):
    """A figure of examples with their true and predicted classes.

    Args:
        images: uint8 (N, h, w, C).
        errors: {"label", "predicted", "probability"}: arrays (N,).
        classes: names of the classes.
        title: what they are of, such as the split.
    """
    columns = max(1, min(ACROSS, len(images)))
    rows = max(1, -(-len(images) // columns))
    figure = figure_of(max(3.2, 1.35 * columns), 0.4 + 1.6 * rows)
    figure.suptitle(title, fontsize=9)
    if not len(images):
        figure.text(0.5, 0.5, "no example is\nmisclassified", ha="center", va="center")
    for i, image in enumerate(images):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.imshow(image.squeeze(), cmap="gray" if image.shape[-1] == 1 else None, vmin=0, vmax=255)
        true, taken = (plain(classes[errors[name][i]], NAME) for name in ("label", "predicted"))
        axes.set_title(f"{true} taken for\n{taken} ({percent(errors['probability'][i])})", fontsize=8)
        axes.axis("off")
    return figure


def log_probabilities(model, images):
    """log softmax of the model's logits, (N, K) float32, for an iterable of inputs (B, ...)."""

    @tf.function(autograph=False, reduce_retracing=True)
    def logs(x):
        return tf.nn.log_softmax(tf.cast(model(x, training=False), tf.float32))

    return np.concatenate([logs(x).numpy() for x in images])


def confusion_matrix(labels, logs):
    matrix = np.zeros((logs.shape[1],) * 2, int)
    np.add.at(matrix, (labels, logs.argmax(1)), 1)
    return matrix


def misclassified(labels, logs):
    predicted, probability = logs.argmax(1), np.exp(logs.max(1))
    wrong = np.flatnonzero(predicted != labels)
    wrong = wrong[np.argsort(-probability[wrong], kind="stable")]
    picked = {"label": labels, "predicted": predicted, "probability": probability}
    return {"index": wrong} | {name: values[wrong] for name, values in picked.items()}
