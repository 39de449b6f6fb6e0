"""The figures of a loss surface: curves and planes of several networks side by side, a training's path, a spectrum.

Pictures of several networks share their scales: a height or a colour is the same loss in each panel.
Shapes: T points of a curve, D directions, A and B points along the sides of a plane.
"""

import numpy as np

from keras_dl import figures
from keras_dl.laboratory import lanczos

HIGHEST = 0.9  # quantile of all losses up to which colours differ, so that one steep corner does not take them all
COLOURS = "viridis"
LEVELS, FEWEST = 12, 7  # contours: largest number at round losses, and how many there are at least
LARGEST = 10  # eigenvalues that are drawn one by one
PATH = figures.COLOURS[2]
SMALLEST = 1e-9


def of_curves(curves, distances):
    """Loss, and error if there are classes, along random directions: thin lines, and their mean.

    Args:
        curves: {network: {"loss" and perhaps "error": (D, T)}}.
        distances: (T,).
    """
    rows = [name for name in ("loss", "error") if all(name in each for each in curves.values())]
    figure = figures.figure_of(1.4 + 3.2 * len(curves), 0.8 + 2.5 * len(rows))
    panels = figure.subplots(len(rows), len(curves), sharex=True, sharey="row", squeeze=False)
    for column, (network, each) in zip(panels.T, curves.items(), strict=True):
        for axes, name, colour in zip(column, rows, figures.COLOURS, strict=False):
            values = np.maximum(each[name], SMALLEST) if name == "loss" else 100 * each[name]
            axes.plot(distances, values.T, color=colour, alpha=0.35, linewidth=0.8)
            axes.plot(distances, values.mean(0), color=colour, linewidth=2.2, label="mean")
            axes.grid(alpha=0.3)
            if name == "loss":
                axes.set_yscale("log")
        column[0].set_title(figures.plain(network), fontsize=10)
        column[-1].set_xlabel("distance along a direction\n(1: every filter moves by its norm)", fontsize=9)
    for axes, name in zip(panels[:, 0], rows, strict=True):
        axes.set_ylabel("loss" if name == "loss" else "error, percent")
    panels[0, 0].legend(loc="upper center", fontsize=8)
    return figure


def of_planes(planes, first, second):
    """The loss over a plane of each network: contours with their levels, one colour scale for all.

    Args:
        planes: {network: (B, A) losses}.
        first, second: (A,) and (B,) distances.
    """
    norm, levels = _scale(planes.values())
    lines, columns = _lines_and_columns(len(planes))
    figure = figures.figure_of(1.2 + 3.9 * columns, 0.4 + 3.7 * lines)
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in panels[len(planes) :]:
        axes.remove()
    for axes, (network, losses) in zip(panels, planes.items(), strict=False):
        drawn = _contours(axes, first, second, losses, norm, levels)
        axes.plot(0, 0, marker="+", color="white", markersize=9, markeredgewidth=1.8)
        axes.set_title(figures.plain(network), fontsize=10)
        axes.set_aspect("equal")
        axes.label_outer()
    _colour_bar(figure, drawn, panels[: len(planes)], levels)
    figure.supxlabel("distance along the first direction", fontsize=9)
    figure.supylabel("distance along the second direction", fontsize=9)
    return figure


def in_space(planes, first, second):
    """The same losses as heights, on a logarithmic axis, one scale of colours and heights for all networks."""
    norm, _ = _scale(planes.values())
    low, high = np.log10(norm.vmin), np.log10(norm.vmax)
    lines, columns = _lines_and_columns(len(planes))
    figure = figures.figure_of(4.3 * columns, 3.9 * lines)
    grid = np.meshgrid(first, second)
    for number, (network, losses) in enumerate(planes.items(), 1):
        axes = figure.add_subplot(lines, columns, number, projection="3d")
        heights = np.log10(np.clip(losses, norm.vmin, norm.vmax))
        axes.plot_surface(
            *grid, heights, cmap=COLOURS, vmin=low, vmax=high, rcount=60, ccount=60, linewidth=0.2,
            edgecolor="#00000040",
        )  # fmt: skip
        ticks = np.unique(np.round(np.linspace(low, high, 5), 1))
        axes.set(zlim=(low, high), zticks=ticks, zticklabels=[f"{10**tick:.2g}" for tick in ticks])
        axes.set_title(f"{figures.plain(network)}: loss", fontsize=10)
        axes.tick_params(labelsize=7)
        axes.view_init(elev=34, azim=-58)
    return figure


def of_paths(paths):
    """The loss over the plane of a training's two principal components, with the path on it, for each network.

    Args:
        paths: {network: {"loss": (B, A), "first": (A,), "second": (B,), "coordinates": (E, 2), "shares": (E - 1,)}},
            a point before training and one after each epoch.
    """
    norm, levels = _scale([each["loss"] for each in paths.values()])
    figure = figures.figure_of(1.2 + 4.4 * len(paths), 4.2)
    panels = figure.subplots(1, len(paths), squeeze=False)[0]
    for axes, (network, each) in zip(panels, paths.items(), strict=True):
        drawn = _contours(axes, each["first"], each["second"], each["loss"], norm, levels)
        axes.plot(*each["coordinates"].T, color=PATH, marker="o", markersize=3.5, linewidth=1.4)
        axes.plot(*each["coordinates"][-1], color="white", marker="*", markersize=12, markeredgecolor=PATH)
        beside = {"textcoords": "offset points", "xytext": (5, 5)}
        axes.annotate("start", each["coordinates"][0], color=PATH, fontsize=8, **beside)
        axes.set_xlabel(f"first component: {100 * each['shares'][0]:.1f}% of the variance", fontsize=9)
        axes.set_ylabel(f"second component: {100 * each['shares'][1]:.1f}%", fontsize=9)
        axes.set_title(figures.plain(network), fontsize=10)
    _colour_bar(figure, drawn, panels, levels)
    return figure


def of_spectra(spectra):
    """The density of the Hessian's eigenvalues, and the largest ones with their errors.

    Args:
        spectra: {network: {"grid", "density", "density_error": (G,), "values", "errors": (m,)}}.
    """
    figure = figures.figure_of(9.4, 4.0)
    left, right = figure.subplots(1, 2)
    for (network, each), colour in zip(spectra.items(), figures.COLOURS[:1] + figures.COLOURS[2:], strict=False):
        name, grid = figures.plain(network), each["grid"]
        low, high = (each["density"] + sign * 2 * np.nan_to_num(each["density_error"]) for sign in (-1, 1))
        left.fill_between(grid, np.maximum(low, SMALLEST), high, color=colour, alpha=0.25, linewidth=0)
        left.semilogy(grid, np.maximum(each["density"], SMALLEST), color=colour, label=name)
        ends = each["values"][::-1][:LARGEST], each["errors"][::-1][:LARGEST]
        positive = ends[0] > 0
        order = np.arange(1, len(ends[0]) + 1)
        right.errorbar(
            order[positive], ends[0][positive], ends[1][positive], fmt="o", color=colour, capsize=3, markersize=4,
            label=name,
        )  # fmt: skip
    # Linear where the eigenvalues of the network with the smallest ones lie, logarithmic beyond.
    threshold = 10.0 ** np.floor(np.log10(min(1e-3 * each["grid"].max() for each in spectra.values())))
    far = int(np.ceil(np.log10(max(each["grid"].max() for each in spectra.values()) / threshold)))
    ticks = threshold * 10.0 ** np.arange(1, far + 1, 1 if far < 4 else 2)
    low = min(each["grid"].min() for each in spectra.values())
    ticks = np.concatenate([-ticks[ticks < -low], [0], ticks])
    left.set_xscale("symlog", linthresh=threshold)
    left.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
    peak = max(each["density"].max() for each in spectra.values())
    left.set(xlabel="eigenvalue", ylabel="share of the eigenvalues, per unit", ylim=(1e-8 * peak, 3 * peak))
    left.set_title("density, and two standard errors over the probes", fontsize=10)
    right.set(xlabel="number, from the largest", ylabel="eigenvalue", yscale="log")
    right.set_title("largest Ritz values, and how far an eigenvalue may be", fontsize=10)
    figures.whole_ticks(right.xaxis)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure


def spectrum(probes, points=600):
    """What `of_spectra` draws of a network: {"grid", "density", "density_error", "values", "errors"}.

    Args:
        probes: a list of lanczos.Ritz.
        points: of the grid, closer together near 0, where most eigenvalues are; so are the widths of the Gaussians.

    The values and errors are those of the probe that knows the largest eigenvalue best.
    """
    low, high = min(r.values[0] for r in probes), max(r.values[-1] for r in probes)
    scale = 1e-3 * max(abs(low), abs(high), 1e-12)
    ends = np.arcsinh(np.array([1.1 * min(low, 0) - 30 * scale, 1.1 * max(high, 0) + 30 * scale]) / scale)
    grid = scale * np.sinh(np.linspace(*ends, points))
    width = 0.1 * np.hypot(grid, 10 * scale)
    mean, error = lanczos.density(probes, grid, width)
    best = min(probes, key=lambda ritz: ritz.errors[-1])
    return {"grid": grid, "density": mean, "density_error": error, "values": best.values, "errors": best.errors}


def _lines_and_columns(panels):
    """How so many panels are arranged: two in a line, or three."""
    columns = 3 if panels == 3 else min(panels, 2)
    return -(-panels // columns), columns


def _scale(planes):
    """(a logarithmic scale of colours, the levels of the contours) for losses of several planes."""
    from matplotlib.colors import LogNorm

    losses = np.concatenate([np.ravel(plane) for plane in planes])
    losses = np.maximum(losses[np.isfinite(losses)], SMALLEST)
    low, high = losses.min(), np.quantile(losses, HIGHEST)
    high = max(high, low * 1.5)
    return LogNorm(low, high), _round_levels(low, high)


def _round_levels(low, high):
    """Levels from `low` to `high` at round numbers; at equal ratios where there are few of these."""
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for steps in ((1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        levels = np.outer(decades, steps).ravel()
        levels = levels[(low < levels) & (levels < high)]
        if len(levels) <= LEVELS:
            break
    if len(levels) < FEWEST:
        return np.geomspace(low, high, FEWEST)
    return np.concatenate([[low], levels, [high]])


def _contours(axes, first, second, losses, norm, levels):
    shown = np.clip(np.nan_to_num(losses, nan=norm.vmax, posinf=norm.vmax), norm.vmin, None)
    drawn = axes.contourf(first, second, shown, levels, norm=norm, cmap=COLOURS, extend="max")
    lines = axes.contour(first, second, shown, levels[1:-1], colors="black", linewidths=0.5, alpha=0.7)
    axes.clabel(lines, fmt=_said, fontsize=7)
    axes.tick_params(labelsize=8)
    return drawn


def _colour_bar(figure, drawn, panels, levels):
    bar = figure.colorbar(drawn, ax=list(panels), ticks=levels[1:-1], format=lambda level, _: _said(level))
    bar.set_label("loss", fontsize=9)
    bar.ax.minorticks_off()


def _said(level):
    """A loss with two digits, as 0.003 or 110."""
    return f"{float(f'{level:.2g}'):g}"
