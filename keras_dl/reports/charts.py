"""The figures of a report, as PNG: curves of training, ROC and precision-recall, reliability, histograms."""

import numpy as np

from keras_dl.figures import COLOURS, figure_of, plain, png, whole_ticks

TRAIN, VALIDATION, GREY = "#2a6fbb", "#d9782d", "#8b95a3"
PER_ROW = 2  # panels of the curves beside each other
MARKED = 40  # epochs, at most, each of which is a dot


def curves(history, kept):
    """The curves of training, a panel for each number: train and validation over the epochs.

    Args:
        history: {name: [value of each epoch]}, those of validation with the prefix "val_".
        kept: the epoch, from 1, whose weights were kept; None: no line is drawn.
    """
    names = panels(history)
    rows = -(-len(names) // PER_ROW)
    figure = figure_of(5 * min(PER_ROW, len(names)), 2.9 * rows)
    for number, name in enumerate(names, 1):
        axes = figure.add_subplot(rows, min(PER_ROW, len(names)), number, xlabel="epoch")
        axes.set_title(plain(name), fontsize=11)
        for key, label, colour in ((name, "train", TRAIN), (f"val_{name}", "validation", VALIDATION)):
            if key in history:
                values = history[key]
                marker = "." if len(values) <= MARKED else None
                axes.plot(range(1, 1 + len(values)), values, color=colour, marker=marker, label=label)
        if name.startswith("learning_rate"):
            axes.lines[0].set_label("in training")
        if kept is not None:
            axes.axvline(kept, color=GREY, linestyle="--", linewidth=1, label=f"kept: epoch {kept}")
        whole_ticks(axes.xaxis)
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8)
    return png(figure)


def panels(history):
    """The names of the panels: numbers of train or validation, without the prefix, learning rates last."""
    names = list(dict.fromkeys(name.removeprefix("val_") for name in history))
    return sorted(names, key=lambda name: name.startswith("learning_rate"))


def one_against_rest(curves_of, split):
    """ROC and precision-recall beside each other.

    Args:
        curves_of: {class: an entry of statistics.one_against_rest}.
        split: whose curves they are, such as "test split".
    """
    figure = figure_of(10, 4.6)
    roc = figure.add_subplot(1, 2, 1, xlabel="false-positive rate", ylabel="true-positive rate", title=f"ROC, {split}")
    recall = figure.add_subplot(1, 2, 2, xlabel="recall", ylabel="precision", title=f"precision and recall, {split}")
    roc.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
    for (name, each), colour in zip(curves_of.items(), COLOURS * len(curves_of), strict=False):
        roc.plot(*each["roc"], color=colour, linewidth=1.5, label=f"{plain(name)}  {each['auc']:.3f}")
        label = f"{plain(name)}  {each['average_precision']:.3f}"
        recall.plot(*each["precision_recall"], color=colour, linewidth=1.5, drawstyle="steps-pre", label=label)
    for axes, title, where in ((roc, "area", "lower right"), (recall, "average precision", "lower left")):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8, title=title, title_fontsize=8, loc=where)
    return png(figure)


def reliability(bins, split):
    """Accuracy over confidence, and the number of examples in each bin of statistics.reliability."""
    figure = figure_of(5.4, 5)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    middles = [(row["low"] + row["high"]) / 2 for row in bins]
    width = bins[0]["high"] - bins[0]["low"] if bins else 1
    axes.bar(
        middles, [row["accuracy"] for row in bins], 0.92 * width, color=TRAIN, alpha=0.55, label="share of right ones"
    )
    axes.plot([row["confidence"] for row in bins], [row["accuracy"] for row in bins], "o", color=TRAIN, markersize=4)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="calibrated")
    axes.set(title=split, ylabel="accuracy", ylim=(0, 1.02), xlim=(0, 1))
    axes.legend(fontsize=8)
    bars = below.bar(middles, [row["count"] for row in bins], 0.92 * width, color=GREY)
    below.bar_label(bars, [f"{row['count']:,}" for row in bins], fontsize=7)
    below.margins(y=0.35)
    below.set(ylabel="examples", xlabel="probability of the predicted class")
    return png(figure)


def histogram(values, quantity, parts, mean):
    """How a quantity is distributed over the parts of a split, with a line at `mean`.

    Args:
        values: (N,), one for each part.
        quantity: what they are, with its unit.
        parts: what the parts are, and of which split; the title.
        mean: where the line is.
    """
    values = np.asarray(values, np.float64)
    figure = figure_of(7, 2.8)
    axes = figure.add_subplot(title=parts, xlabel=quantity, ylabel="number")
    finite = values[np.isfinite(values)]
    if len(finite):
        axes.hist(finite, bins=min(40, max(5, int(len(finite) ** 0.5) * 2)), color=TRAIN, alpha=0.75)
    whole_ticks(axes.yaxis)
    if np.isfinite(mean):
        axes.axvline(mean, color=VALIDATION, linestyle="--", label=f"mean {mean:.4g}")
        axes.legend(fontsize=8)
    return png(figure)
