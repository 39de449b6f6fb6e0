"""A ConvNet, and the MLP that it is once it is unrolled, as they learn from more and more pictures.

The MLP has as many units in as many layers, and could be the ConvNet: it has its matrices among its own. What the
ConvNet has in advance is a prior: pictures are made of parts that may stand anywhere.
"""

import dataclasses

import numpy as np

from keras_dl.laboratory import equal_training, moved_pictures, unrolled_networks

CLASSES = 10
NETWORKS = ("mlp", "convnet")


@dataclasses.dataclass(frozen=True)
class Setup:
    """What is compared on a data set.

    Attributes:
        sizes: numbers of training pictures.
        shift: by how many pixels a moved picture is moved at most.
        updates, batch_size: of each training, whatever the number of pictures.
        learning_rates: {network: of Adam, falling to 0 along a cosine}. Those of the digits had the smallest validation
            error of 0.001, 0.003 and 0.01. Of the larger sets the MLP has Adam's usual one; that of the ConvNet and the
            RNN is three times as large, and no measurement that is kept compares it with others.
        convnet: arguments of unrolled_networks.convnet, chosen by the validation error, too.
    """

    sizes: tuple
    shift: int
    updates: int
    batch_size: int
    learning_rates: dict
    convnet: dict

    def plan(self, network):
        """The equal_training.Plan of one of NETWORKS, or of "rnn"."""
        return equal_training.Plan(self.updates, self.batch_size, self.learning_rates[network], points=5)

    def builders(self, input_shape):
        """{one of NETWORKS: function without arguments -> uncompiled keras.Model} for pictures (H, W, C)."""

        def convnet():
            return unrolled_networks.convnet(input_shape, CLASSES, **self.convnet)

        layers = unrolled_networks.unrolled(convnet())
        widths, activations = [layer.bias.size for layer, _ in layers], [name for _, name in layers]
        return {"mlp": lambda: unrolled_networks.mlp(input_shape, widths, activations), "convnet": convnet}


LARGE = Setup(
    sizes=(100, 1000, 10_000),
    shift=4,
    updates=2500,
    batch_size=64,
    learning_rates={"convnet": 3e-3, "mlp": 1e-3, "rnn": 3e-3},
    convnet={"filters": (8, 32), "kernel_size": (5, 5), "strides": (2, 2), "pool_size": 1, "units": (64,)},
)
SETUPS = {
    "digits": Setup(
        sizes=(100, 300, 1000),
        shift=2,
        updates=600,
        batch_size=32,
        learning_rates={"convnet": 1e-2, "mlp": 3e-3, "rnn": 1e-2},
        convnet={"filters": (16, 32), "kernel_size": (4, 3), "strides": (2, 1), "pool_size": 3},
    ),
    "mnist": LARGE,
    "fashion_mnist": LARGE,
}


class Comparison:
    """The trainings of both networks on one data set, each done once and kept in the run.

    Args:
        run: the runs.Run.
        setup: a Setup.
        parts: what moved_pictures.load returns.
        seed: draws by how much pictures are moved.
    """

    def __init__(self, run, setup, parts, seed):
        self.run, self.setup, self.seed, self.parts = run, setup, seed, parts
        self.builders = setup.builders(parts["train"].x.shape[1:])
        self.test, self.shifted = parts["test"], moved_pictures.shifted(parts["test"], setup.shift, seed)
        self._trainers = {}

    def trainer(self, network):
        """The equal_training.Trainer of one of NETWORKS."""
        if network not in self._trainers:
            self._trainers[network] = equal_training.Trainer(self.builders[network], self.setup.plan(network))
        return self._trainers[network]

    def pictures(self, count, seed, *, moved=False):
        """`count` training pictures, drawn with a seed; more than there are: those of the validation, too.

        With `moved` each of them is moved once, as the test pictures are.
        """
        train = self.parts["train"]
        if count > len(train):
            train = moved_pictures.joined(train, self.parts["validation"])
        pictures = moved_pictures.drawn(train, count, seed)
        return moved_pictures.shifted(pictures, self.setup.shift, self.seed + seed + 1) if moved else pictures

    def trained(self, network, count, seed, *, moved=False):
        """The Trained of a network that has learned `pictures(count, seed, moved=moved)`."""
        name = f"{network}_{count}_seed{seed}" + ("_moved" if moved else "")

        def train():
            return self.trainer(network).trained(self.pictures(count, seed, moved=moved), seed)

        return equal_training.kept(self.run, name, train)

    def errors(self, network, trained, *, moved=False):
        """{"test_error", "test_error_shifted"} in percent; with `moved`, {"test_error_both_shifted"}."""
        trainer = self.trainer(network)
        trainer.set_weights(trained.weights)
        if moved:
            return {"test_error_both_shifted": 100 * trainer.error(self.shifted)}
        return {
            "test_error": 100 * trainer.error(self.test), "test_error_shifted": 100 * trainer.error(self.shifted)
        }  # fmt: skip

    def by_size(self, sizes, seeds, *, networks=NETWORKS, both=True, at=lambda number, total: None):
        """Errors by the number of training pictures.

        Args:
            sizes, seeds: numbers of training pictures, and the seeds of each.
            both: train on moved pictures, too.
            at: called with the number of each training and their total, before it.

        Returns:
            A list of {"network", "examples", "seed", and the errors in percent}.
        """
        rows, jobs = [], [(network, size, seed) for network in networks for size in sizes for seed in seeds]
        for network, size, seed in jobs:
            at(len(rows) + 1, len(jobs))
            errors = self.errors(network, self.trained(network, size, seed))
            if both:
                errors |= self.errors(network, self.trained(network, size, seed, moved=True), moved=True)
            rows.append({"network": network, "examples": size, "seed": seed, **errors})
        return rows

    def by_distance(self, network, trained):
        """Test error in percent by how many pixels all test pictures are moved to the right, from -shift to shift.

        Returns:
            A list of {"network", "pixels", "test_error"}. Pictures without so much room are moved as far as they can.
        """
        trainer, rows = self.trainer(network), []
        trainer.set_weights(trained.weights)
        for pixels in range(-self.setup.shift, self.setup.shift + 1):
            x, _ = moved_pictures.moved(self.test.x, (0, pixels))
            error = trainer.error(moved_pictures.Pictures(x, self.test.y))
            rows.append({"network": network, "pixels": pixels, "test_error": 100 * error})
        return rows


def mean(rows, metric, **where):
    """The mean of a metric over the rows with these values; None without any."""
    values = [row[metric] for row in rows if all(row[name] == value for name, value in where.items())]
    return float(np.mean(values)) if values else None


def locality(weights, shape, size):
    """How local the weights of units are: the largest share of a unit's squared weights inside a window, 0 to 1.

    Args:
        weights: (D, E), a unit a column, D = H W C pixels.
        shape: (H, W, C).
        size: of the window, size x size pixels.

    Returns:
        (E,) shares; NaN for a unit without weights. 1 for every unit of a convolution with kernels of this size.
    """
    squares = (np.asarray(weights, np.float64) ** 2).reshape(*shape, -1).sum(2)
    windows = np.lib.stride_tricks.sliding_window_view(squares, (size, size), (0, 1)).sum((-2, -1))
    with np.errstate(invalid="ignore"):
        return windows.max((0, 1)) / squares.sum((0, 1))


def never_seen(pictures):
    """Which pixels are background in each of the Pictures: (D,) bool. Weights from there are never changed."""
    return ~(pictures.x != 0).any(0).reshape(-1)
