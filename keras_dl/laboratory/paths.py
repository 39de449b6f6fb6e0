"""Paths of optimizers on a surface of two variables, and their drawings.

A path is an array (T + 1, 2), start included. It ends early where it leaves the surface's window.
"""

import keras
import numpy as np

from keras_dl import figures

LEVELS = 14  # contours of a panel, each with the same share of the area between it and the next
COLUMNS = 3  # panels in a row


def of_optimizer(surface, optimizer, steps):
    """The path of a Keras optimizer, which is given the surface's gradient.

    Args:
        surface: a surfaces.Surface.
        optimizer: a keras.optimizers.Optimizer that is not built.
        steps: T, number of updates.
    """
    point = keras.Variable(np.array(surface.start, np.float32))
    optimizer.build([point])

    def step(_):
        gradient = surface.gradient(np.asarray(point, np.float64))
        optimizer.apply([keras.ops.convert_to_tensor(gradient.astype(np.float32))], [point])
        return np.asarray(point, np.float64)

    return _walked(surface, step, steps)


def of_direction(surface, direction, rate, steps):
    """The path theta <- theta + rate * direction(gradient, hessian), direction a function of arrays -> (2,)."""

    def step(point):
        return point + rate * np.asarray(direction(surface.gradient(point), surface.hessian(point)))

    return _walked(surface, step, steps)


def of_model(surface, model, batch, steps):
    """The path of the two weights of a compiled model with a train_step, all examples in each step.

    Args:
        surface: the error of the model as a surfaces.Surface, at whose start the model is put.
        model: a keras.Model with two weights.
        batch: (x, y), what train_step takes.
        steps: T, number of updates.
    """
    import tensorflow as tf

    for variable, value in zip(model.trainable_variables, surface.start, strict=True):
        variable.assign(np.full(variable.shape, value))
    train_step = tf.function(model.train_step, autograph=False)

    def step(_):
        train_step(batch)
        return np.array([float(np.asarray(variable).item()) for variable in model.trainable_variables])

    return _walked(surface, step, steps)


def _walked(surface, step, steps):
    path = [np.array(surface.start, np.float64)]
    while len(path) <= steps and surface.holds(path[-1]):
        path.append(step(path[-1]))
    return np.stack(path)


def drawing(panels):
    """A figure with the contours of each surface and the paths on it, and one legend.

    Args:
        panels: list of (surface, {label: path}).
    """
    return Frames(panels, 2)[-1]


def contours(axes, surface):
    """Draw a surface's contours and its saddle; the darker, the higher."""
    x, y, value = surface.grid()
    levels = np.unique(np.quantile(value, np.linspace(0, 1, LEVELS)))
    ranks = np.digitize(value, levels[1:-1])
    axes.imshow(ranks, cmap="Greys", alpha=0.45, origin="lower", extent=surface.window, aspect="auto")
    axes.contour(x, y, value, levels=levels[1:-1], colors="#717581", linewidths=0.5, linestyles="solid")
    if surface.saddle is not None:
        axes.plot(*surface.saddle, "x", color="black", markersize=8, zorder=5)
    axes.set_xlim(surface.window[:2])
    axes.set_ylim(surface.window[2:])
    axes.tick_params(labelsize=8)


class Frames:
    """The drawings of a path's growth as a sequence, each drawn when it is asked for: they share one figure.

    Args:
        panels: as for `drawing`.
        count: number of frames, from the start to the whole paths.
    """

    def __init__(self, panels, count):
        longest = max(len(path) for _, paths in panels for path in paths.values()) - 1
        self.updates = sorted({round(longest * (number / (count - 1)) ** 1.5) for number in range(count)})
        self.figure, self.lines, self.title = _drawn(panels)
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
        self.title.set_text(f"update {update}")
        return self.figure


def _drawn(panels):
    """(figure, [((line, end of the line), path)], title of the legend), the lines without points."""
    rows = -(-(len(panels) + 1) // COLUMNS)
    figure = figures.figure_of(3.5 * COLUMNS, 3.2 * rows)
    labels = list(dict.fromkeys(label for _, paths in panels for label in paths))
    colours, lines = dict(zip(labels, figures.COLOURS, strict=False)), []
    for number, (surface, paths) in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, COLUMNS, number)
        contours(axes, surface)
        for label, path in paths.items():
            (line,) = axes.plot([], [], "-o", color=colours[label], markersize=2, linewidth=1.3)
            (end,) = axes.plot([], [], "o", color=colours[label], markersize=5.5)
            lines.append(((line, end), path))
        axes.plot(*surface.start, "o", color="white", markeredgecolor="black", markersize=7)
        axes.set_title(surface.formula, fontsize=11)
    place = figure.add_subplot(rows, COLUMNS, len(panels) + 1)
    place.axis("off")
    shown = [place.plot([], [], "-o", color=colours[label])[0] for label in labels]
    shown += [place.plot([], [], "o", color="white", markeredgecolor="black", markersize=7)[0]]
    shown += [place.plot([], [], "x", color="black", markersize=8)[0]]
    legend = place.legend(shown, [*labels, "start", "saddle"], loc="center", fontsize=10.5, title="update 0",
                          title_fontsize=11)  # fmt: skip
    return figure, lines, legend.get_title()
