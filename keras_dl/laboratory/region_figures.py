"""Drawings of linear regions, of their counts, and of what networks of explicit weights approximate."""

import zlib

import numpy as np

from keras_dl import figures
from keras_dl.laboratory import regions
from keras_dl.wording import counted

EDGE = "#3a3a3a"


def draw(axes, cut, *, points=None, classes=None, boundary=False, title="", zoom=1):
    """Draw regions.Regions, each in a colour of its pattern, so that a region keeps its colour while it moves.

    Args:
        axes: matplotlib axes.
        cut: the Regions.
        points: (M, 2) examples in the plane; classes: (M,) their classes.
        boundary: draw where the first two logits are equal.
        zoom: by how much the middle is enlarged.
    """
    from matplotlib.collections import LineCollection, PolyCollection

    faces = [figures.COLOURS[number] for number in colours(cut)]
    width = 0.5 * min(1.0, (300 / len(cut)) ** 0.5)
    axes.add_collection(PolyCollection(cut.polygons, facecolors=faces, edgecolors="none", alpha=0.55))
    axes.add_collection(PolyCollection(cut.polygons, facecolors="none", edgecolors=EDGE, linewidths=width))
    if boundary:
        axes.add_collection(LineCollection(boundary_of(cut), colors="black", linewidths=2))
    if points is not None:
        for number in np.unique(classes):
            own = points[classes == number]
            axes.plot(*own.T, "o", color=("white", "black")[number % 2], markersize=2.5, markeredgecolor="black",
                      markeredgewidth=0.4, linestyle="none")  # fmt: skip
    (x, y), side = cut.center, cut.half_width / zoom
    axes.set(xlim=(x - side, x + side), ylim=(y - side, y + side), aspect="equal", title=title)


def colours(cut):
    """The number of each polygon's colour, which follows from its pattern: (P,) int."""
    codes = [zlib.crc32(np.packbits(pattern).tobytes()) for pattern in cut.patterns]
    return np.array(codes) % len(figures.COLOURS)


def boundary_of(cut):
    """The segments (S, 2, 2) on which the first two logits are equal."""
    logits = cut.maps[:, :1] - cut.maps[:, 1:2]
    return regions.zeros(regions.Regions(cut.polygons, cut.patterns, logits, cut.center, cut.half_width))


def of_regions(cuts, titles, *, zooms=None, **drawn):
    """Regions side by side; `zooms` say by how much each is enlarged around its center."""
    side = 5.2 if len(cuts) == 1 else 3.9
    figure = figures.figure_of(side * len(cuts), side + 0.3)
    zooms = zooms or (1,) * len(cuts)
    for axes, cut, title, zoom in zip(np.atleast_1d(figure.subplots(1, len(cuts))), cuts, titles, zooms, strict=True):
        draw(axes, cut, title=title, zoom=zoom, **drawn)
    return figure


def of_pieces(pieces, name):
    """A function of one input with all its pieces, whose ends are marked."""
    figure = figures.figure_of(7, 3.6)
    axes = figure.add_subplot(title=f"{name}: {counted(len(pieces), 'pieces')}", xlabel="x", ylabel="output")
    axes.plot(pieces.breaks, pieces.values[:, 0], "-o", color=figures.COLOURS[0], markersize=2, linewidth=1)
    return figure


def of_training(counts, accuracies, at):
    """Regions by epoch, with the accuracy on the training points; `at` are the epochs that the pictures show."""
    figure = figures.figure_of(7, 3.6)
    axes = figure.add_subplot(xlabel="epoch", ylabel="regions in the square", title="Regions during training")
    axes.plot(range(len(counts)), counts, "-", color=figures.COLOURS[0])
    axes.plot(at, [counts[epoch] for epoch in at], "o", color=figures.COLOURS[0])
    axes.set_ylim(0, 1.08 * max(counts))
    axes.grid(alpha=0.3)
    figures.whole_ticks(axes.xaxis)
    beside = axes.twinx()
    beside.plot(range(1, len(counts)), accuracies, "--", color=figures.COLOURS[2])
    beside.set(ylim=(0, 1.02))
    beside.set_ylabel("accuracy (dashed)", color=figures.COLOURS[2])
    return figure


def of_depths(rows, sizes):
    """Regions and pieces by depth at equal units; and at initialisation by the number of units.

    Args:
        rows: of region_training.by_depth.
        sizes: of region_training.sizes.
    """
    figure = figures.figure_of(10.5, 3.8)
    square, line, growth = figure.subplots(1, 3)
    depths = sorted({row["depth"] for row in rows})
    for axes, before, after, title in (
        (square, "initial", "trained", "Regions in the square"),
        (line, "line_initial", "line_trained", "Pieces on its diagonal"),
    ):
        for name, colour, shift, label in ((before, 0, -0.06, "before training"), (after, 2, 0.06, "after training")):
            for row in rows:
                axes.plot(depths.index(row["depth"]) + shift, row[name], "o", color=figures.COLOURS[colour], alpha=0.5)
            means = [np.mean([row[name] for row in rows if row["depth"] == depth]) for depth in depths]
            at = np.arange(len(depths)) + shift
            axes.plot(at, means, "-", color=figures.COLOURS[colour], label=label)
        labels = [f"{depth} x {next(row['width'] for row in rows if row['depth'] == depth)}" for depth in depths]
        axes.set_xticks(range(len(depths)), labels)
        most = max(max(row[before], row[after]) for row in rows)
        axes.set(title=title, xlabel="layers x units", ylim=(0, 1.08 * most))
        axes.legend(loc="lower left")
    for depth, colour in zip(sorted({row["depth"] for row in sizes}), figures.COLOURS, strict=False):
        own = [row for row in sizes if row["depth"] == depth]
        units = sorted({row["units"] for row in own})
        means = [np.mean([row["pieces"] for row in own if row["units"] == size]) for size in units]
        growth.plot(units, means, "-o", color=colour, markersize=4, label=f"depth {depth}")
    growth.set(title="Pieces before training", xlabel="hidden units in all", ylim=(0, None))
    growth.legend(loc="upper left")
    for axes in (square, line, growth):
        axes.grid(alpha=0.3)
    return figure


def of_approximation(rows, depth):
    """Errors by units: of x**2, and of a sawtooth.

    Args:
        rows: of {"function", "network", "units", "error"}.
        depth: of the sawtooth, which has 2**depth sides.
    """
    figure = figures.figure_of(10.5, 4)
    left, right = figure.subplots(1, 2)
    styles = {
        "one layer, explicit": ("-o", 0), "depth, explicit": ("-s", 2),
        "one layer, trained": ("o", 1), "depth, trained": ("s", 4),
    }  # fmt: skip
    for axes, function in ((left, "parabola"), (right, "sawtooth")):
        for name, (style, colour) in styles.items():
            own = [row for row in rows if (row["function"], row["network"]) == (function, name)]
            own = sorted((row["units"], row["error"]) for row in own)
            if own:
                kind = {"markerfacecolor": "none"} if "trained" in name else {}
                axes.plot(
                    *zip(*own, strict=True), style, color=figures.COLOURS[colour], markersize=5, label=name, **kind
                )
        axes.set_xscale("log", base=2)
        axes.grid(alpha=0.3)
    left.set(title="x², largest error on [0, 1]", xlabel="hidden units", yscale="log")
    right.set(title=f"Sawtooth of {2**depth} sides, mean distance", xlabel="hidden units")
    fewest = 2**depth - 1
    label = f"{counted(fewest, 'units')}, the fewest of one layer"
    right.axvline(fewest, color=figures.COLOURS[3], linestyle=":", label=label)
    right.hlines(1 / 16, 1, 2 ** (depth - 2) - 1, color="black", linestyle="--", label="least distance (Telgarsky)")
    right.set_ylim(-0.01, 0.52)  # room for the legend
    left.legend(loc="lower left")
    right.legend(loc="upper right")
    return figure


def numbers(cuts, *, points=None, classes=None, boundary=False):
    """What `of_regions` draws of several regions.Regions; the arguments are those of `draw`.

    Returns:
        {"corners": (V, 2), "sizes" and "colours" of each polygon, "polygons": how many each picture has}; with `points`
        these and their "classes"; with `boundary` its segments "boundary" (S, 2, 2), and "segments", how many each
        picture has.
    """
    polygons = [polygon for cut in cuts for polygon in cut.polygons]
    result = {
        "corners": np.concatenate(polygons),
        "sizes": np.array([len(polygon) for polygon in polygons]),
        "colours": np.concatenate([colours(cut) for cut in cuts]),
        "polygons": np.array([len(cut) for cut in cuts]),
    }
    if points is not None:
        result |= {"points": points, "classes": classes}
    if boundary:
        segments = [boundary_of(cut) for cut in cuts]
        result |= {"boundary": np.concatenate(segments), "segments": np.array([len(each) for each in segments])}
    return result
