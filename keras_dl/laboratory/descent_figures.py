"""The figures of descent: paths on surfaces, trust regions, training by update, and critical points."""

import numpy as np

from keras_dl import figures
from keras_dl.wording import counted

BLUE, ORANGE, RED, GREY, PURPLE, BROWN, DARK_ORANGE, OLIVE, SLATE, PALE = figures.COLOURS
LEVELS = 14  # contours of a panel, each with the same share of the area between it and the next
COLUMNS = 3  # panels in a row
STYLES = {  # of a path: colour and width, the widest drawn first, so that none hides another
    "gradient descent": (SLATE, 3.4),
    "momentum": (ORANGE, 2.6),
    "Nesterov": (OLIVE, 1.6),
    "RMSProp": (PALE, 2.6),
    "Adam": (BROWN, 1.6),
    "Newton": (RED, 2.2),
    "saddle-free Newton": (BLUE, 2.2),
    "natural gradient": (PURPLE, 2.6),
}
CURVES = {  # of a training: colour and line
    "sgd": (DARK_ORANGE, "-"),
    "sgd_by_passes": (DARK_ORANGE, ":"),
    "damped_newton": (RED, "-"),
    "saddle_free_newton": (BLUE, "-"),
}
MARKS = {"searched": (BLUE, "o"), "embedded": (RED, "^")}


def paths(panels):
    """The contours of each surface with the paths on it, and one legend.

    Args:
        panels: list of (surface, {label in STYLES: path}).
    """
    return PathFrames(panels, 2)[-1]


class PathFrames:
    """The same while the paths grow: a sequence of figures, each drawn when it is asked for; they share one figure.

    Args:
        panels: as for `paths`.
        count: number of frames, from the start to the whole paths; the first updates are shown more slowly.
    """

    def __init__(self, panels, count):
        longest = max(len(path) for _, by_label in panels for path in by_label.values()) - 1
        self.updates = sorted({round(longest * (number / (count - 1)) ** 2) for number in range(count)})
        self.figure, self.lines, self.title = _panels(panels)
        self.figure.draw_without_rendering()  # the layout is worked out once, not for each frame
        self.figure.set_layout_engine("none")

    def __len__(self):
        return len(self.updates)

    def __getitem__(self, number):
        update = self.updates[number]
        for (line, end), path in self.lines:
            shown = path[: update + 1]
            line.set_data(shown[:, 0], shown[:, 1])
            end.set_data(shown[-1:, 0], shown[-1:, 1])
        self.title.set_text(f"after {counted(update, 'updates')}")
        return self.figure


def trust_regions(labels, numbers):
    """The linear model of the error, the region of each metric, and the step within each.

    Args:
        labels: of the metrics.
        numbers: what trust_region.compared returns of them.
    """
    figure = figures.figure_of(6.8, 5.2)
    axes = figure.add_subplot()
    of_each = zip((SLATE, PURPLE, BLUE), labels, numbers["steps"], numbers["borders"], strict=True)
    for colour, label, best, edge in of_each:
        axes.plot(edge[:, 0], edge[:, 1], color=colour, linewidth=1.6, label=label)
        arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 2.2, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", best, (0, 0), arrowprops=arrow)
    side = numbers["side"]
    lines = axes.contour(side, side, numbers["linear_model"], levels=13, colors=GREY, linewidths=0.6)
    axes.clabel(lines, fontsize=7)
    axes.set_aspect("equal")
    axes.set(xlabel="step in w1", ylabel="step in w2")
    axes.set_title("change of the error by the linear model (grey lines), and the best step in each region", fontsize=9)
    figure.legend(loc="outside lower center", ncols=3, fontsize=9)
    return figure


def training(rows, labels):
    """Training error and share of negative eigenvalues by update, a line for each method.

    Args:
        rows: [{"method", "update", "train_error", "index"}], errors and shares in percent.
        labels: {method in CURVES: its name in the legend}.
    """
    figure = figures.figure_of(9, 4.1)
    titles = {"train_error": "training error (%)", "index": "negative eigenvalues of the Hessian (%)"}
    for axes, (column, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        for method, label in labels.items():
            own, (colour, style) = [row for row in rows if row["method"] == method], CURVES[method]
            values = [row[column] for row in own]
            axes.plot(
                [row["update"] for row in own], values, style, color=colour, marker="o", markersize=4, label=label
            )
        axes.set(xlabel="update", ylabel=title)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        figures.whole_ticks(axes.xaxis)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9)
    return figure


def critical_points(rows, spectra, titles):
    """Training error against index of critical points, by where they come from, and the spectra of three of them.

    Args:
        rows: [{"origin" in MARKS, "train_error", "index"}], errors and indices in percent.
        spectra: N arrays (P,), eigenvalues of the Hessian at each, from the lowest.
        titles: {origin: what the legend says of it}.
    """
    figure = figures.figure_of(9.6, 4.3)
    left, right = figure.subplots(1, 2)
    for origin, title in titles.items():
        own, (colour, marker) = [row for row in rows if row["origin"] == origin], MARKS[origin]
        if own:
            errors, indices = [row["train_error"] for row in own], [row["index"] for row in own]
            left.plot(indices, errors, marker, color=colour, markersize=5, alpha=0.75, label=title)
    left.set(xlabel="index: negative eigenvalues of the Hessian (%)", ylabel="training error (%)")
    left.set_ylim(bottom=0)
    left.grid(alpha=0.3)
    left.legend(fontsize=8, loc="upper left")
    indices = [row["index"] for row in rows]
    order = np.argsort(indices, kind="stable")
    chosen = dict.fromkeys((order[0], order[len(order) // 2], order[-1]))
    for colour, number in zip((BLUE, PURPLE, RED), chosen, strict=False):
        share = np.linspace(0, 100, len(spectra[number]))
        label = f"index {indices[number]:.1f}%, training error {rows[number]['train_error']:.1f}%"
        right.plot(spectra[number], share, color=colour, label=label)
    right.axvline(0, color="black", linewidth=0.6)
    right.set_xscale("symlog", linthresh=1e-3)
    right.set(xlabel="eigenvalue of the Hessian", ylabel="eigenvalues up to there (%)")
    right.tick_params(axis="x", labelsize=7)
    right.grid(alpha=0.3)
    right.legend(fontsize=8, loc="center left")
    return figure


def _panels(panels):
    """(figure, [((line, end of the line), path)], title of the legend), the lines without points."""
    rows = -(-(len(panels) + 1) // COLUMNS)
    figure = figures.figure_of(3.4 * COLUMNS, 3.1 * rows)
    labels = [label for label in STYLES if any(label in by_label for _, by_label in panels)]
    lines = []
    for number, (surface, by_label) in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, COLUMNS, number)
        _contours(axes, surface)
        for label in labels:
            if label in by_label:
                colour, width = STYLES[label]
                (line,) = axes.plot([], [], "-", color=colour, linewidth=width, zorder=4 - width / 4)
                (end,) = axes.plot([], [], "o", color=colour, markersize=3 + 1.4 * width, zorder=5 - width / 4)
                lines.append(((line, end), by_label[label]))
        axes.plot(*surface.start, "o", color="white", markeredgecolor="black", markersize=7, zorder=6)
        axes.set_title(surface.formula, fontsize=11)
    place = figure.add_subplot(rows, COLUMNS, len(panels) + 1)
    place.axis("off")
    shown = [place.plot([], [], "-", color=STYLES[label][0], linewidth=STYLES[label][1])[0] for label in labels]
    marks = [("o", "white", "start"), ("x", "black", "saddle"), ("*", "white", "minimum")]
    for marker, colour, _ in marks:
        shown += place.plot([], [], marker, color=colour, markeredgecolor="black", markersize=8)
    legend = place.legend(
        shown, [*labels, *(name for _, _, name in marks)], loc="center", fontsize=10.5, title="after 0 updates",
        title_fontsize=11,
    )  # fmt: skip
    return figure, lines, legend.get_title()


def _contours(axes, surface):
    """A surface's contours, its saddle and its minima; the darker, the higher."""
    x, y, value = surface.grid()
    levels = np.unique(np.quantile(value, np.linspace(0, 1, LEVELS)))
    ranks = np.digitize(value, levels[1:-1])
    axes.imshow(ranks, cmap="Greys", alpha=0.45, origin="lower", extent=surface.window, aspect="auto")
    axes.contour(x, y, value, levels=levels[1:-1], colors=SLATE, linewidths=0.5, linestyles="solid")
    if surface.saddle is not None:
        axes.plot(*surface.saddle, "x", color="black", markersize=8, zorder=6)
    for minimum in surface.minima:
        axes.plot(*minimum, "*", color="white", markeredgecolor="black", markersize=10, zorder=3.5)
    axes.set_xlim(surface.window[:2])
    axes.set_ylim(surface.window[2:])
    axes.tick_params(labelsize=8)
