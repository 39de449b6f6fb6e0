"""The figures of exploding and vanishing gradients: the surface with its wall and descents, and norms through time."""

import numpy as np

from keras_dl import figures
from keras_dl.laboratory import unrolling

BLUE, ORANGE, RED, GREY, PURPLE = figures.COLOURS[:5]
SURFACE = "Greys"
KINDS = {"unclipped": (RED, "without clipping", 2.6), "clipped": (BLUE, "norm clipped", 1.2)}  # the last one: width
TITLES = {"slide": "slide: E = (h(T) - target)²", "paper": "paper: E = (s(h(T)) - target)²"}
SMALLEST, LARGEST = 1e-12, 1e6  # of the norms that are drawn


def contours(surfaces, paths):
    """The error over (w, b) in both readings, the wall, and the two descents.

    Args:
        surfaces: {reading: what unrolling.surface returns}.
        paths: {reading: {"unclipped" and "clipped": what unrolling.descend returns}}.
    """
    figure = figures.figure_of(8.4, 4.2)
    for number, (reading, surface) in enumerate(surfaces.items(), 1):
        axes = figure.add_subplot(1, len(surfaces), number)
        drawn = _contours(axes, surface)
        figure.colorbar(drawn, ax=axes, format="%.2g")
        for kind, path in paths[reading].items():
            _path(axes, path["points"], kind)
        axes.set_title(TITLES[reading], fontsize=10)
    _legend_below(figure, axes)
    return figure


def in_space(surfaces, paths):
    """The error as a height over (w, b), in both readings, with the descents as far as they stay in the plane."""
    figure = figures.figure_of(8.4, 4.2)
    for number, (reading, surface) in enumerate(surfaces.items(), 1):
        axes = figure.add_subplot(1, len(surfaces), number, projection="3d", computed_zorder=False)
        grid = np.meshgrid(surface["w"], surface["b"])
        highest = surface["error"].max()
        axes.plot_surface(
            *grid,
            surface["error"],
            cmap=SURFACE,
            vmin=-0.5 * highest,
            vmax=1.5 * highest,
            rcount=90,
            ccount=90,
            linewidth=0,
            alpha=0.9,
        )
        lift = 0.02 * highest
        for kind, path in paths[reading].items():
            points, errors = path["points"], path["errors"]
            inside = np.cumprod(_inside(points)).astype(bool)  # up to the first point that is outside
            colour, label, width = KINDS[kind]
            axes.plot(*points[inside].T, errors[inside] + lift, color=colour, label=label, linewidth=width)
        axes.set(xlabel="w", ylabel="b", zlabel="E")
        axes.set_title(TITLES[reading], fontsize=10)
        axes.view_init(elev=38, azim=-60)
        axes.tick_params(labelsize=7)
    _legend_below(figure, axes)
    return figure


def wall(profile, growth, w):
    """The norm of the gradient: across the wall at one w, and at the wall as T grows.

    Args:
        profile, growth: what unrolling.across and unrolling.by_steps return.
        w: at which the profile is.
    """
    figure = figures.figure_of(8.4, 3.8)
    left, right = figure.subplots(1, 2)
    for reading, colour in (("slide", RED), ("paper", BLUE)):
        left.semilogy(profile["distance"], profile[reading], color=colour, label=reading)
        right.semilogy(growth["steps"], growth[reading], color=colour, label=reading)
    left.set(xlabel=f"distance of b from the wall, at w = {w:.3g}", ylabel="|dE/d(w, b)|")
    right.set(xlabel="T, number of steps that are unrolled", ylabel="largest |dE/d(w, b)| in the plane")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def frames(surface, paths, count):
    """The two descents, step by step, as figures of an animation: the plane, and the error by update.

    Args:
        surface: what unrolling.surface returns.
        paths: {"unclipped" and "clipped": what unrolling.descend returns}.
        count: largest number of frames.
    """
    longest = max(len(path["points"]) for path in paths.values())
    shown = np.unique(np.linspace(1, longest, min(count, longest)).round().astype(int))
    for end in shown:
        figure = figures.figure_of(7.2, 3.8)
        left, right = figure.subplots(1, 2)
        _contours(left, surface, filled=False)
        for kind, path in paths.items():
            _path(left, path["points"][:end], kind)
            right.semilogy(np.maximum(path["errors"][:end], SMALLEST), color=KINDS[kind][0], label=KINDS[kind][1])
        lowest = min(path["errors"].min() for path in paths.values())
        highest = max(path["errors"].max() for path in paths.values())
        right.set(xlabel="update", ylabel="E", xlim=(0, longest), ylim=(max(lowest, 1e-6) / 2, 2 * highest))
        right.grid(alpha=0.3)
        right.legend(loc="upper right", fontsize=8)
        left.set_title(f"update {end - 1}", fontsize=10)
        yield figure


def through_time(results):
    """Norms of dh(T)/dh(T-k) by k, before and after training, with their bounds, one panel for each cell.

    Args:
        results: {cell: {"initial" and "trained": {"norms": (N, T + 1), "bounds": (N, T + 1)}}}.
    """
    figure = figures.figure_of(9.0, 3.9)
    panels = figure.subplots(1, len(results), sharey=True, squeeze=False)[0]
    for axes, (cell, stages) in zip(panels, results.items(), strict=True):
        for (stage, values), colour in zip(stages.items(), (GREY, RED), strict=False):
            k = np.arange(values["norms"].shape[1])
            low, middle, high = np.quantile(values["norms"], (0.05, 0.5, 0.95), 0)
            axes.fill_between(k, low, high, color=colour, alpha=0.25, linewidth=0)
            axes.semilogy(k, middle, color=colour, label=stage)
            axes.semilogy(k, np.median(values["bounds"], 0), color=colour, linestyle="--", label=f"{stage}: bound")
        axes.set_title(cell, fontsize=10)
        axes.set_xlabel("k, steps back")
        axes.grid(alpha=0.3)
    panels[0].set(ylabel="|dh(T)/dh(T-k)|", ylim=(SMALLEST, LARGEST))
    _legend_below(figure, panels[0])
    return figure


def distances(shares):
    """The share of each distance t - k in dE/dW of the tanh network.

    Args:
        shares: {"initial" and "trained": (T,)}, norms of the terms divided by their sum.
    """
    figure = figures.figure_of(6.0, 3.6)
    axes = figure.subplots()
    for (stage, values), colour in zip(shares.items(), (GREY, RED), strict=False):
        axes.semilogy(np.where(values > 0, values, np.nan), color=colour, label=stage)  # 0: the state was 0
    axes.set(xlabel="k, steps back from the end", ylabel="share of the terms of dE/dW")
    axes.set_title("tanh: dE/dW as the sum over products of Jacobians", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def _contours(axes, surface, filled=True):
    levels = surface["error"].max() * np.linspace(0, 1, 21) ** 2  # closer where the error is small
    if filled:
        drawn = axes.contourf(surface["w"], surface["b"], surface["error"], np.unique(levels), cmap=SURFACE)
    else:
        drawn = axes.imshow(
            np.sqrt(surface["error"]), cmap=SURFACE, origin="lower", aspect="auto",
            extent=(*surface["w"][[0, -1]], *surface["b"][[0, -1]]),
        )  # fmt: skip
    axes.plot(*surface["wall"].T, color=PURPLE, linestyle="--", linewidth=1.2, label="the wall")
    axes.set(xlabel="w", ylabel="b", xlim=surface["w"][[0, -1]], ylim=surface["b"][[0, -1]])
    return drawn


def _path(axes, points, kind):
    colour, label, width = KINDS[kind]
    axes.plot(*points.T, color=colour, marker=".", markersize=4, linewidth=width, label=label)
    axes.plot(*points[0], color="black", marker="o", markersize=5)


def _inside(points):
    plane = (unrolling.WEIGHTS, unrolling.BIASES)
    return np.logical_and(*((low <= v) & (v <= high) for v, (low, high) in zip(points.T, plane, strict=True)))


def _legend_below(figure, axes):
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
