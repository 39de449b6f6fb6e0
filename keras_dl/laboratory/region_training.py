"""Networks of Dense layers and rectifiers whose regions are counted while they learn.

Shapes: M examples, D inputs.
"""

import dataclasses

import keras
import numpy as np

from keras_dl import data
from keras_dl.laboratory import approximation, intervals, keeping, regions
from keras_dl.laboratory.dense_layers import layers_of

SPIRALS = 600  # points
BLOCK = 20  # steps of a small network that run without going back to Python
SIZES = (12, 24, 48, 96, 192)  # hidden units in all
COUNTED = (
    "initial",
    "trained",
    "line_initial",
    "line_trained",
    "accuracy",
)  # of a row of by_depth, beside what it is of


@dataclasses.dataclass(frozen=True)
class Task:
    """Examples to learn, and the square of their input space in which regions are counted.

    Attributes:
        x, y: float32 (M, D) inputs, int32 (M,) classes; classes: their number.
        plane, half_width: as in regions.polygons.
        marks, mark_classes: examples that lie in the plane, in its coordinates, and their classes.
    """

    x: np.ndarray
    y: np.ndarray
    classes: int
    plane: tuple | None
    half_width: float
    marks: np.ndarray
    mark_classes: np.ndarray


def task(name, seed):
    """The Task "spirals", two classes in the square itself, or "digits": a plane through three training digits."""
    if name == "spirals":
        x, y = spirals(seed)
        return Task(x, y, 2, None, 1.0, x, y)
    splits = data.images.load(name, seed)
    x = np.asarray(splits.preprocess(splits.train.features["image"])).reshape(len(splits.train), -1)
    y = splits.train.features["label"].astype(np.int32)
    three = [int(np.flatnonzero(y == label)[0]) for label in (0, 1, 2)]
    plane, marks = regions.through(x[three])
    return Task(x, y, 10, plane, 1.25 * np.abs(marks).max(), marks, y[three])


def spirals(seed, count=SPIRALS, turns=1.25, noise=0.02):
    """Two spirals inside each other, in the square from -1 to 1: points float32 (M, 2), classes int32 (M,)."""
    rng = np.random.default_rng(seed)
    classes = np.arange(count) % 2
    way = np.sqrt(rng.uniform(0.02, 1, count))
    angle = 2 * np.pi * turns * way + np.pi * classes
    points = 0.9 * way[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1) + rng.normal(0, noise, (count, 2))
    return points.astype(np.float32), classes.astype(np.int32)


def dense_network(inputs, widths, outputs, *, bias_std, seed, name="dense_relu"):
    """An uncompiled Keras model "input" (B, D) -> "output" (B, outputs), with a rectifier after each hidden layer.

    Args:
        inputs: D.
        widths: of the hidden layers.
        bias_std: standard deviation of the hidden layers' first biases. With 0, Keras' default, every unit of the first
            layer is zero at the origin, and all regions are cones.
        seed: of the weights: normal with variance 2 / fan-in (He et al., arXiv:1502.01852).
    """
    seeds = np.random.default_rng(seed).integers(0, 2**31, 2 * len(widths) + 1).tolist()
    x = image = keras.Input((inputs,), name="input")
    for number, width in enumerate(widths):
        x = keras.layers.Dense(
            width,
            activation="relu",
            kernel_initializer=keras.initializers.HeNormal(seed=seeds[2 * number]),
            bias_initializer=keras.initializers.RandomNormal(0, bias_std, seed=seeds[2 * number + 1]),
            name=f"hidden{number + 1}",
        )(x)
    last = keras.initializers.HeNormal(seed=seeds[-1])
    return keras.Model(image, keras.layers.Dense(outputs, kernel_initializer=last, name="output")(x), name=name)


def compiled(model, learning_rate, *, classes):
    """The model compiled with Adam, for the two or more `classes` of its logits, or for the squared error (0)."""
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=cross_entropy if classes else "mse",
        weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")] if classes else [],
        jit_compile=False,
    )
    return model


def fitted(model, x, y, *, steps, batch_size, seed):
    """Train a small compiled model for so many steps on batches drawn from (x, y) at random; returns the model."""
    drawn = np.random.default_rng(seed).integers(0, len(x), steps * batch_size)
    model.steps_per_execution = min(steps, BLOCK)
    model.fit(x[drawn], y[drawn], batch_size=batch_size, epochs=1, shuffle=False, verbose=0)
    return model


class Snapshots(keras.callbacks.Callback):
    """Keeps the layers of a model at the start of training, and at the end of every epoch.

    Attributes:
        layers: a list of layers_of(model).
    """

    def __init__(self):
        super().__init__()
        self.layers = []

    def on_train_begin(self, logs=None):
        if not self.layers:  # on a resume `set_state` follows
            self.layers = [layers_of(self.model)]

    def on_epoch_end(self, epoch, logs=None):
        self.layers.append(layers_of(self.model))

    def get_state(self):
        return {"arrays": [array for layers in self.layers for pair in layers for array in pair]}

    def set_state(self, state):
        size = 2 * len(layers_of(self.model))
        pairs = list(zip(state["arrays"][::2], state["arrays"][1::2], strict=True))
        self.layers = [pairs[i : i + size // 2] for i in range(0, len(pairs), size // 2)]


def counts(model, half_width=1.0):
    """(activation regions in the square of half_width around 0, pieces along its diagonal) of a model of 2 inputs."""
    layers = layers_of(model)
    diagonal = np.zeros(2), np.ones(2)
    return (
        len(regions.polygons(layers, half_width=half_width)),
        len(intervals.pieces(layers, diagonal, low=-half_width, high=half_width)),
    )


def by_depth(run, units, depths, *, bias_std, learning_rate, steps, seeds, at=lambda number, total: None):
    """Counts before and after training on the spirals, by depth, with `units` hidden units in all.

    Args:
        run: the runs.Run in which each training is kept; None: none is.
        units: in all hidden layers; each has units // depth.
        depths: numbers of hidden layers.
        seeds: of weights, points and order.
        at: called with the number of each network and their total, before its training.

    Returns:
        A list of {"depth", "width", "seed", "initial", "trained", "line_initial", "line_trained", "accuracy"}: regions
        in the square, pieces on its diagonal, and the share of the training points that are classified rightly.
    """
    rows = []
    for depth in depths:
        for seed in seeds:
            at(len(rows) + 1, len(depths) * len(seeds))
            x, y = spirals(seed)
            keras.utils.set_random_seed(seed)
            widths = (units // depth,) * depth
            model = compiled(dense_network(2, widths, 2, bias_std=bias_std, seed=seed), learning_rate, classes=2)
            initial, line_initial = counts(model)
            keeping.kept_model(
                run, f"spirals_{depth}x{widths[0]}_seed{seed}", model,
                lambda model=model, x=x, y=y, seed=seed: fitted(model, x, y, steps=steps, batch_size=32, seed=seed),
            )  # fmt: skip
            trained, line_trained = counts(model)
            right = regions.forward(layers_of(model), x).argmax(1) == y
            rows.append(
                {
                    "depth": depth, "width": widths[0], "seed": seed, "initial": initial, "trained": trained,
                    "line_initial": line_initial, "line_trained": line_trained, "accuracy": float(right.mean()),
                }
            )  # fmt: skip
    return rows


def sizes(units=SIZES, depths=(1, 2, 4), *, bias_std, seeds):
    """Pieces on the diagonal of the square before training: a list of {"units", "depth", "seed", "pieces"}."""
    rows = []
    for depth in depths:
        for size in units:
            for seed in seeds:
                model = dense_network(2, (size // depth,) * depth, 2, bias_std=bias_std, seed=seed)
                rows.append({"units": size, "depth": depth, "seed": seed, "pieces": counts(model)[1]})
    return rows


def approximations(run, function, target, networks, error, *, steps, seed):
    """Networks of one input that are trained on a function of [0, 1], and their errors.

    Args:
        run: the runs.Run in which each training is kept; None: none is.
        function: its name.
        target: function of points (M,) -> values (M,).
        networks: the widths of each.
        error: function of intervals.Pieces -> number.

    Returns:
        A list of {"function", "network": "one layer, trained" or "depth, trained", "units", "error"}.
    """
    x = np.linspace(0, 1, 1025, dtype=np.float32)
    y = np.asarray(target(x), np.float32).reshape(-1, 1)
    rows = []
    for widths in networks:
        keras.utils.set_random_seed(seed)
        model = compiled(dense_network(1, widths, 1, bias_std=0.5, seed=seed), 0.005, classes=0)
        keeping.kept_model(
            run, f"{function}_{'x'.join(map(str, widths))}", model,
            lambda model=model: fitted(model, x[:, None], y, steps=steps, batch_size=64, seed=seed),
        )  # fmt: skip
        kind = "one layer, trained" if len(widths) == 1 else "depth, trained"
        found = error(intervals.pieces(layers_of(model)))
        rows.append({"function": function, "network": kind, "units": sum(widths), "error": found})
    return rows


def learned(run, depth, networks, *, steps, seed):
    """Rows of `approximations`: of x**2, and of the sawtooth of 2**depth sides; `run` as there."""
    saw, largest = approximation.teeth(depth), approximation.largest_error_of_parabola
    tasks = {"parabola": (np.square, largest), "sawtooth": (saw, lambda one: approximation.distance(one, saw))}
    return [
        row
        for function, (target, error) in tasks.items()
        for row in approximations(run, function, target, networks, error, steps=steps, seed=seed)
    ]
