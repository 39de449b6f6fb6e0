"""The figures of curve fitting: fits, descent, errors by order, likelihood, prior, weight decay, posterior bands.

Each function draws the numbers that curve_numbers.py or prior_numbers.py computed, and returns a matplotlib Figure.
Curves are drawn in the units of the user's file; errors and weights are those of the fit (points.Points).
"""

import numpy as np

from keras_dl import figures

BLUE, ORANGE, RED, GREY, PURPLE, *_ = figures.COLOURS
LEAST = 1e-18  # an error below, of a curve through all points, is drawn here on a logarithmic axis
FIELDS = ("log likelihood:\nto least squares", "log prior:\nto 0", "log posterior, the sum:\nto MAP")


def fits(data, numbers):
    """The points with the polynomials of curve_numbers.fits, a panel each."""
    figure, panels = _panels(len(numbers["orders"]))
    for row, (panel, order) in enumerate(zip(panels, numbers["orders"], strict=True)):
        _curve(panel, data, numbers["x"], numbers["exact"][row], color=BLUE, linewidth=3.5, label="least squares")
        _curve(panel, data, numbers["x"], numbers["descent"][row], ":", color=RED, label="gradient descent")
        _scatter(panel, data)
        _frame(panel, data)
        panel.set_title(f"order {order}: SSE {_short(numbers['sse'][row])}")
    panels[0].legend(fontsize=8)
    return figure


def descent(numbers):
    """How far gradient descent is above the smallest mean squared error, in the bases of curve_numbers.descent."""
    figure = figures.figure_of(7, 4.8)
    panel = figure.add_subplot()
    for row, colour in enumerate((RED, ORANGE, BLUE)):
        label = f"{numbers['bases'][row]}: condition number {numbers['conditions'][row]:.3g}"
        panel.plot(1 + numbers["steps"], np.maximum(numbers["excess"][row], LEAST), color=colour, label=label)
        seen = np.maximum(numbers["keras_excess"][row], LEAST)
        panel.plot(1 + numbers["keras_steps"], seen, "o", color=colour, markersize=4)
    panel.plot([], [], "o", color=GREY, label="points: Keras; lines: closed form")
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xlabel("1 + steps of gradient descent")
    panel.set_ylabel("mean squared error above its minimum")
    panel.set_title(f"order {numbers['order']}: the same polynomials in three bases")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return figure


def errors(rows, folds, count):
    """Two panels: errors of the data by order, and those expected over resampled data; rows of curve_numbers.errors."""
    figure, (own, resampled) = _panels(2, width=5, height=4)
    for name, colour, label in (("train", BLUE, "training"), ("validation", RED, "validation")):
        _by_order(own, rows, name, "o-", color=colour, label=label)
    for name, colour, label, style in (
        ("resampled_train", BLUE, "training", "o-"),
        ("resampled_validation", RED, "validation = the sum of", "o-"),
        ("squared_bias", PURPLE, "    squared bias", "s--"),
        ("variance", ORANGE, "    variance", "s--"),
        ("noise", GREY, "    noise", "s--"),
    ):
        _by_order(resampled, rows, name, style, color=colour, label=label)
    own.set_ylabel("mean squared error")
    own.set_title(f"the points: {'leave-one-out' if folds == count else f'{folds}-fold cross-validation'}")
    resampled.set_title("expected over resampled data")
    return figure


def resampled(data, numbers):
    """Fits to several data sets from one true curve, a panel for each order of curve_numbers.resampled."""
    figure, panels = _panels(len(numbers["orders"]))
    for row, (panel, order) in enumerate(zip(panels, numbers["orders"], strict=True)):
        drawn = numbers["fits"][row]
        _curve(panel, data, numbers["x"], drawn.T, color=GREY, linewidth=0.7, alpha=0.7)
        panel.plot([], [], color=GREY, label=f"{len(drawn)} fits")
        _curve(panel, data, numbers["x"], numbers["truth"], color=BLUE, linewidth=3, label="true curve")
        _curve(panel, data, numbers["x"], numbers["means"][row], "--", color=RED, label="mean of all fits")
        _frame(panel, data)
        panel.set_title(f"order {order}")
    panels[0].legend(fontsize=8)
    return figure


def likelihood(numbers):
    """Sum of squares and likelihood along the line's slope, and the log likelihood along sigma."""
    figure, (left, right) = _panels(2, width=5, height=4)
    left.plot(numbers["slopes"], numbers["squared_errors"], color=BLUE, label="sum of squares")
    left.axvline(numbers["best_slope"], color=RED, linestyle=":", label=f"least squares: {numbers['best_slope']:.4f}")
    bells = left.twinx()
    for sigma, logs, colour in zip(numbers["three_sigmas"], numbers["logs"], (ORANGE, PURPLE, GREY), strict=True):
        bells.plot(numbers["slopes"], np.exp(logs - logs.max()), "--", color=colour)
        left.plot([], [], "--", color=colour, label=rf"likelihood, $\sigma$ = {sigma:.3g}")
    left.set_ylabel("sum of squares", color=BLUE)
    left.set_ylim(top=1.5 * numbers["squared_errors"].max())  # room for the legend
    bells.set_ylim(top=1.5)
    bells.set_ylabel("likelihood / its largest value")
    left.set_xlabel("slope of the line")
    left.set_title(r"least squares is most likely, whatever $\sigma$")
    right.plot(numbers["sigmas"], numbers["logs_of_sigma"], color=ORANGE)
    best = numbers["best_sigma"]
    right.axvline(best, color=RED, linestyle=":", label=rf"$\sqrt{{SSE / N}}$ = {best:.4f}")
    right.set_xlabel(r"$\sigma$ of the noise")
    right.set_title("log likelihood of that line, nats")
    left.legend(fontsize=8, loc="upper center", ncols=2)
    right.legend(fontsize=8)
    return figure


def prior(numbers):
    """The gradients of log likelihood, log prior and log posterior over the line's weights: prior_numbers.fields."""
    figure, panels = _panels(3, width=3.2, height=4)
    longest = np.linalg.norm(numbers["vectors"], axis=-1).max()
    names = zip(("least squares", "0", "MAP"), (BLUE, PURPLE, RED), "sDo", numbers["marks"], strict=True)
    names = list(names)
    for panel, logs, vectors, title in zip(panels, numbers["logs"], numbers["vectors"], FIELDS, strict=True):
        levels = logs.max() - np.geomspace(1, 0.01, 9) * np.ptp(logs)
        panel.contour(numbers["intercepts"], numbers["slopes"], logs, levels=levels, colors=GREY, linewidths=0.7)
        # As long as the cube root of the gradient's norm: else the prior's could not be seen beside the likelihood's.
        sizes = np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-300)
        arrows = vectors / sizes * (sizes / longest) ** (1 / 3)
        panel.quiver(*numbers["at"].T, *arrows.T, color=ORANGE, scale=11, width=0.008)
        for name, colour, form, place in names:
            panel.plot(*place, form, color=colour, label=name, markersize=8, markeredgecolor="white")
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("intercept")
    panels[0].set_ylabel("slope")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    return figure


def weight_decay(numbers):
    """Paths of Adam with L2 and of AdamW over the line's weights: prior_numbers.weight_decay."""
    figure = figures.figure_of(7, 4.8)
    panel = figure.add_subplot()
    levels = numbers["loss"].min() + np.geomspace(0.003, 1, 12) * np.ptp(numbers["loss"])
    panel.contour(numbers["intercepts"], numbers["slopes"], numbers["loss"], levels=levels, colors=GREY, linewidths=0.7)
    _, same, strong = numbers["decays"]
    labels = (
        "Adam, the prior as l2 in the loss", f"AdamW, the same decay {same:.3g}",
        f"AdamW, decay {strong:g}: no weight beyond {1 / strong:g}",
    )  # fmt: skip
    for path, label, colour, width in zip(numbers["paths"], labels, (RED, BLUE, ORANGE), (3.5, 1.5, 1.5), strict=True):
        panel.plot(*path.T, color=colour, linewidth=width, label=label)
        panel.plot(*path[-1], "o", color=colour, markersize=10)
    for name, place, form in zip(("least squares", "MAP"), numbers["marks"], "sD", strict=True):
        panel.plot(*place, form, color="white", markeredgecolor="black", markersize=5, label=name, linestyle="none")
    panel.set_xlabel("intercept")
    panel.set_ylabel("slope")
    panel.set_title("decay in the loss, and decay beside it")
    panel.legend(fontsize=8, loc="upper left")
    return figure


def bands(data, numbers):
    """Posterior means with two standard deviations of the curve and of an outcome: prior_numbers.bands."""
    figure, panels = _panels(len(numbers["orders"]))
    for row, (panel, order) in enumerate(zip(panels, numbers["orders"], strict=True)):
        mean = numbers["mean"][row]
        for name, alpha, label in (("of_outcome", 0.25, "an outcome, 2 sd"), ("of_function", 0.5, "the curve, 2 sd")):
            low, high = (data.in_y_units(mean + side * numbers[name][row]) for side in (-2, 2))
            at = data.in_x_units(numbers["x"])
            panel.fill_between(at, low, high, color=BLUE, alpha=alpha, linewidth=0, label=label)
        _curve(panel, data, numbers["x"], mean, color=RED, label="mean = MAP")
        _scatter(panel, data)
        _frame(panel, data, room=0.8)
        panel.set_title(f"order {order}")
    panels[0].legend(fontsize=8)
    return figure


def _panels(count, width=3.2, height=3.6):
    """(Figure, list of panels side by side)."""
    figure = figures.figure_of(width * count, height)
    return figure, [figure.add_subplot(1, count, k + 1) for k in range(count)]


def _curve(panel, data, x, y, *style, **more):
    panel.plot(data.in_x_units(x), data.in_y_units(y), *style, **more)


def _scatter(panel, data):
    panel.scatter(data.in_x_units(data.x), data.in_y_units(data.y), s=18, color="black", zorder=3)


def _frame(panel, data, room=0.4):
    """Limit y to the points and some room, since curves may go far beyond, and name the axes."""
    low, high = data.in_y_units(data.y.min()), data.in_y_units(data.y.max())
    margin = room * (high - low) if high > low else 1.0
    panel.set_ylim(low - margin, high + margin)
    panel.set_xlabel(figures.plain(data.axes[0]))
    if panel.get_subplotspec().is_first_col():
        panel.set_ylabel(figures.plain(data.axes[1]))


def _by_order(panel, rows, name, style, **more):
    """An error by order; what is 0 but for rounding, or is not there, has no place on a logarithmic axis."""
    values = [row[name] if row[name] is not None and row[name] > 1e-12 else np.nan for row in rows]
    panel.plot([row["order"] for row in rows], values, style, markersize=4, **more)
    panel.set_yscale("log")
    panel.set_xlabel("order")
    figures.whole_ticks(panel.xaxis)
    panel.legend(fontsize=8)


def _short(error):
    return f"{error:.4f}" if error >= 1e-4 else f"{error:.0e}"


def shown(error):
    """An error in three digits; what is 0 but for rounding as 0.

    >>> shown(0.07421), shown(-1e-17)
    ('0.0742', '0')
    """
    return f"{error:.3g}" if abs(error) > 1e-12 else "0"


def formula(coefficients):
    """A polynomial in words, by falling powers; of a long one the largest coefficient alone.

    >>> formula([1.0588, 1.6102]), formula([0.5, -1.0, 2.0])
    ('y = 1.6102 x + 1.0588', 'y = 2.0000 x^2 - 1.0000 x + 0.5000')
    >>> formula([1.0, -300.0, 2.0, 3.0, 4.0])
    'the largest of 5 coefficients -300'
    """
    if len(coefficients) > 4:
        return f"the largest of {len(coefficients)} coefficients {max(coefficients, key=abs):.5g}"
    powers = ["", " x", *(f" x^{power}" for power in range(2, len(coefficients)))]
    signs = ["-" if value < 0 else "+" for value in coefficients]
    terms = [f"{s} {abs(v):.4f}{power}" for s, v, power in zip(signs, coefficients, powers, strict=True)]
    return "y = " + " ".join(reversed(terms)).removeprefix("+ ")
