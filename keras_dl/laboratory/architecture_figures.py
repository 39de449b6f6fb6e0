"""The figures of ConvNets and MLPs compared: the unrolled matrix, errors by size, learned weights, curves."""

import numpy as np

from keras_dl import figures
from keras_dl.laboratory.architectures import mean
from keras_dl.wording import counted

BLUE, ORANGE, RED, GREY, PURPLE = figures.COLOURS[:5]
COLOUR = {"convnet": BLUE, "mlp": RED, "rnn": ORANGE}
NAMES = {"convnet": "ConvNet", "mlp": "MLP", "rnn": "RNN"}
SIGNED = "RdBu_r"  # red: positive, white: 0, blue: negative


def matrix(layer, shape, filter_number=0):
    """The matrix of one filter, and rows of it as pictures of the input.

    Args:
        layer: convolution_matrices.Unrolled of a convolution.
        shape: (H, W, C) of its input.
        filter_number: which of its filters.
    """
    rows = of_filter(layer, filter_number)  # (positions, D)
    most = np.abs(rows).max()
    figure = figures.figure_of(9.6, 4.6)
    grid = figure.add_gridspec(3, 4)
    whole = figure.add_subplot(grid[:, :3])
    drawn = whole.imshow(rows, cmap=SIGNED, vmin=-most, vmax=most, aspect="auto", interpolation="nearest")
    whole.set(
        xlabel=f"pixel of the input, row by row ({shape[0]} x {shape[1]})",
        ylabel=f"unit of the output ({layer.output_shape[0]} x {layer.output_shape[1]})",
        title="one filter as a matrix: a weight for each unit and pixel",
    )
    figure.colorbar(drawn, ax=whole, location="left", shrink=0.6, label="weight", pad=0.02)
    count = len(rows)
    for place, unit in enumerate((0, count // 2, count - 1)):
        axes = figure.add_subplot(grid[place, 3])
        _picture(axes, rows[unit], shape, most)
        axes.set_title(f"row {unit} as a picture", fontsize=9)
        whole.annotate(
            "", (1.0, 1 - (unit + 0.5) / count), (1.03, 1 - (unit + 0.5) / count), xycoords="axes fraction",
            arrowprops={"arrowstyle": "->"},
        )  # fmt: skip
    return figure


def of_filter(layer, number):
    """The rows of a convolution's matrix that belong to one filter: (H' W', D)."""
    return layer.kernel.T.reshape(*layer.output_shape, -1)[:, :, number].reshape(-1, len(layer.kernel))


def learning(rows, distances, sizes, shift):
    """Test error by the number of training pictures, and by how far test pictures are moved.

    Args:
        rows: of Comparison.by_size.
        distances: of Comparison.by_distance; []: no panel of it.
        sizes: numbers of training pictures.
        shift: by how many pixels pictures are moved at most.
    """
    panels = {
        "test_error": "trained and tested as they are",
        "test_error_shifted": f"tested moved by up to {counted(shift, 'pixels')}",
        "test_error_both_shifted": "trained and tested moved",
    }
    panels = {metric: title for metric, title in panels.items() if metric in rows[0]}
    count = len(panels) + bool(distances)
    figure = figures.figure_of(3.2 * count, 3.6)
    every = figure.subplots(1, count, sharey=True)
    for axes, (metric, title) in zip(every, panels.items(), strict=False):
        for network in NAMES:
            own = [row for row in rows if row["network"] == network]
            if own:
                seen = sorted({row["examples"] for row in own})
                means = [mean(own, metric, examples=size) for size in seen]
                axes.plot(seen, means, "-", color=COLOUR[network], label=NAMES[network])
                axes.plot(
                    [row["examples"] for row in own], [row[metric] for row in own], "o", color=COLOUR[network],
                    markersize=4, alpha=0.6,
                )  # fmt: skip
        axes.set(xscale="log", xlabel="training pictures", title=title)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
    for network in NAMES:
        own = [row for row in distances if row["network"] == network]
        if own:
            pixels = [row["pixels"] for row in own]
            every[-1].plot(pixels, [row["test_error"] for row in own], "-o", color=COLOUR[network], markersize=4)
    if distances:
        every[-1].set(xlabel="pixels to the right", title=f"{counted(max(sizes), 'pictures')}: all tests moved")
        figures.whole_ticks(every[-1].xaxis)
    every[0].set(ylabel="test error, percent", ylim=(0, None))
    every[0].legend()
    for axes in every:
        axes.title.set_fontsize(9)
        axes.grid(alpha=0.3)
    return figure


def filters(groups, shape):
    """Weights of units of first layers as pictures, on one colour scale.

    Args:
        groups: {title: (D, n) weights of n units}, one row of pictures each.
        shape: (H, W, C).
    """
    count = max(weights.shape[1] for weights in groups.values())
    most = np.percentile(np.abs(np.concatenate([weights.ravel() for weights in groups.values()])), 99.7)
    figure = figures.figure_of(1.25 * count + 1.2, 1.5 * len(groups) + 0.3)
    figure.get_layout_engine().set(hspace=0.12, rect=(0, 0, 1, 0.97))  # room for the first title
    axes = figure.subplots(len(groups), count, squeeze=False)
    for row, (title, weights) in zip(axes, groups.items(), strict=True):
        for place, unit in zip(row, weights.T, strict=False):
            drawn = _picture(place, unit, shape, most)
        said = row[0].text(0, 1.06, title, transform=row[0].transAxes, fontsize=9)
        said.set_in_layout(False)  # else its column is wider than the others
    figure.colorbar(drawn, ax=axes, shrink=0.6, label="weight", extend="both")
    return figure


def activations(rows, curves):
    """Training loss by updates, and test error, by the non-linearity.

    Args:
        rows: [{"activation", "seed", "test_error", ...}]
        curves: {activation: (updates (P,), loss (P,))}
    """
    figure = figures.figure_of(9.6, 3.8)
    left, right = figure.subplots(1, 2)
    for number, (name, (updates, loss)) in enumerate(curves.items()):
        style = "--" if "linear" in name else "-"
        colour = figures.COLOURS[number % len(figures.COLOURS)]
        left.semilogy(updates, np.maximum(loss, 1e-6), style, color=colour)
        own = [row["test_error"] for row in rows if row["activation"] == name]
        right.barh(number, np.mean(own), color=colour, alpha=0.7)
        right.plot(own, [number] * len(own), "k|", markersize=8)
    left.set(
        xlabel="updates",
        ylabel="training loss, nats",
        title="loss of the training batches; dashed: linear; colours as on the right",
    )
    right.set(xlabel="test error, percent", title="error on the test pictures; a stroke: a seed")
    right.set_yticks(range(len(curves)), list(curves))
    right.invert_yaxis()
    for axes in (left, right):
        axes.title.set_fontsize(9)
        axes.grid(alpha=0.3)
    return figure


def batch_norm(curves, steps, target):
    """Validation accuracy by updates with and without batch normalisation.

    Args:
        curves: {(batch normalisation or not, learning rate): (updates (P,), accuracy (P,) in percent)}
        steps: {the same: number of updates to the accuracy `target`, None: never}.
        target: percent.
    """
    figure = figures.figure_of(8.4, 3.8)
    axes = figure.add_subplot()
    rates = sorted({rate for _, rate in curves})
    for (normalised, rate), (updates, accuracy) in curves.items():
        reached = steps[normalised, rate]
        said = counted(reached, "updates") if reached else "not reached"
        axes.plot(
            updates, accuracy, ("-", "--", ":")[rates.index(rate) % 3], color=BLUE if normalised else RED,
            label=f"{'with' if normalised else 'without'}, learning rate {rate:g}: {said}",
        )  # fmt: skip
        if reached:
            axes.plot(reached, target, "o", color=BLUE if normalised else RED)
    axes.axhline(target, color=GREY, linewidth=1)
    axes.set(xlabel="updates", ylabel="validation accuracy, percent", ylim=(0, 102))
    axes.set_title(f"three layers of sigmoid units: updates to {target:g}% with and without batch normalisation")
    axes.title.set_fontsize(10)
    axes.legend(loc="lower right", fontsize=9)
    axes.grid(alpha=0.3)
    return figure


def orders(rows, views):
    """Test error of three networks that learn pictures in order, or with their pixels in one other order.

    Args:
        rows: [{"network", "order": "in order" or "permuted", "seed", "test_error"}].
        views: {"in order", "permuted": (n, H, W)}, the same pictures.
    """
    figure = figures.figure_of(9, 3.8)
    grid = figure.add_gridspec(len(views), 2 * len(next(iter(views.values()))) + 3)
    for number, (title, pictures) in enumerate(views.items()):
        for place, picture in enumerate(pictures):
            axes = figure.add_subplot(grid[number, place])
            axes.imshow(picture, cmap="Greys", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
            if not place:
                axes.set_title(title, fontsize=9, loc="left")
    axes = figure.add_subplot(grid[:, len(next(iter(views.values()))) :])
    networks = list(dict.fromkeys(row["network"] for row in rows))
    for side, (order, alpha) in enumerate(zip(views, (0.85, 0.4), strict=True)):
        for number, network in enumerate(networks):
            own = [row["test_error"] for row in rows if (row["network"], row["order"]) == (network, order)]
            at = number + 0.4 * side - 0.2
            axes.bar(at, np.mean(own), 0.38, color=COLOUR[network], alpha=alpha)
            axes.plot([at] * len(own), own, "k_", markersize=8)
            place = {"xytext": (0, 4), "textcoords": "offset points", "ha": "center", "va": "bottom"}
            axes.annotate(order, (at, max(own)), fontsize=8, **place)
    axes.set_xticks(range(len(networks)), [NAMES[network] for network in networks])
    axes.set(ylabel="test error, percent", title="which network needs pixels to be neighbours")
    axes.title.set_fontsize(10)
    axes.margins(y=0.12)
    axes.grid(alpha=0.3, axis="y")
    return figure


def _picture(axes, weights, shape, most):
    """The weights (D,) of a unit as a picture; of several channels their mean."""
    picture = weights.reshape(shape).mean(-1)
    axes.set(xticks=[], yticks=[])
    return axes.imshow(picture, cmap=SIGNED, vmin=-most, vmax=most, interpolation="nearest")
