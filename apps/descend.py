"""Descend an error surface: first-order methods, natural gradient, Newton's method and what becomes of it at saddles.

    python apps/descend.py                                      # all pictures
    python apps/descend.py --part paths --steps 200             # only the surfaces of two variables, and for longer
    python apps/descend.py --part saddle --units 8 --updates 80 # only the digits, with a larger network

Slides "How do we search for theta?" (gradient descent minimises the linearised error within a trust region; natural
gradient takes a fixed step in function change) and "Still many issues remain" (saddle points). The second links Dauphin
et al. to arXiv:1612.03530, which is a paper on the quality of images; the right one is arXiv:1406.2572.

Look at trust_regions.png: the same linear model, three regions, and each step where its region's border is lowest; the
region that the Fisher matrix or |H| measures is wide where the error is flat. Look at paths.png and paths.gif: Newton's
method walks into the saddle (x), saddle-free Newton away from it, gradient descent lingers; in the valley momentum is
faster than gradient descent, and methods that know the curvature go straight. Then the experiment of the paper's
figures 1 and 3, on digits of 10 x 10 pixels: look at training.png for the error after equally many updates and the
share of negative curvature, and at critical_points.png: the higher the error of a critical point, the larger its index.
"""

import dataclasses
import functools
from typing import Annotated, Literal, NamedTuple

import numpy as np

import keras_dl as dl
from keras_dl import command_line, figures, machine, runs, settings
from keras_dl.arguments import Number, Whole
from keras_dl.wording import counted

APP = "descend"
EVERY = 5  # updates of an epoch: at its end the weights are kept
FRAMES = 20  # of the animation
NEWTONS = {"Newton": ("damped_newton", 0.0), "saddle-free Newton": ("saddle_free_newton", 1e-3)}
FIRST_ORDER = ("sgd", "momentum", "nesterov", "rmsprop", "adam")
RATES = {  # of FIRST_ORDER, and of the second-order methods together
    "saddle": (0.05, 0.02, 0.02, 0.02, 0.05, 0.2),
    "monkey_saddle": (0.05, 0.02, 0.02, 0.02, 0.05, 0.2),
    "rosenbrock": (0.001, 0.0005, 0.0005, 0.02, 0.1, 0.3),
    "valley": (0.018, 0.01, 0.01, 0.1, 0.3, 0.2),
    "two_weights": (0.3, 0.1, 0.1, 0.05, 0.1, 0.2),
}


class Method(NamedTuple):
    """How the network on digits is trained: its name in pictures, and a rule of second_order."""

    label: str
    rule: str


METHODS = {
    "sgd": Method("SGD", "gradient"),
    "damped_newton": Method("damped Newton", "damped_newton"),
    "saddle_free_newton": Method("saddle-free Newton", "saddle_free_newton"),
}


@dataclasses.dataclass(frozen=True)
class Config(settings.Experiment):
    """Draw the paths of optimizers, and look at the critical points of a small network's error."""

    part: Literal["all", "paths", "saddle"] = "all"  # paths: surfaces of two variables; saddle: the network on digits
    steps: Annotated[int, Whole(1, 10_000)] = 100  # paths: number of updates
    rate_factor: Annotated[float, Number("[1e-3, 1000]")] = 1.0  # paths: multiplies every learning rate
    # saddle: hidden units of the network; every one has 111 weights, and the Hessian has the square of all weights
    units: Annotated[int, Whole(1, 17)] = 3
    examples: Annotated[int, Whole(20, 1200)] = 300  # saddle: number of digits, the same in every update of Newton's
    updates: Annotated[int, Whole(5, 2000)] = 20  # saddle: updates of each method, a multiple of 5
    sgd_rate: Annotated[float, Number("[1e-6, 10]")] = 0.5  # saddle: learning rate of stochastic gradient descent
    sgd_batch: Annotated[int, Whole(1, 1200)] = 50  # saddle: examples of an update of stochastic gradient descent
    decay: Annotated[float, Number("[0, 1]")] = 1e-3  # saddle: factor of the squared weights in the error
    searches: Annotated[int, Whole(1, 1000)] = 8  # saddle: searches for critical points along the paths
    # saddle: networks with fewer units of each size, whose minima are saddles of the larger one
    networks: Annotated[int, Whole(1, 1000)] = 3
    search_steps: Annotated[int, Whole(1, 1000)] = 40  # saddle: most steps of a search


def main(argv=None):
    """Run the experiment; return its numbers as {name: float}."""
    config = command_line.parse(Config, argv, app=APP)
    settings.check(config.updates % EVERY == 0, f"--updates: must be a multiple of {EVERY}; got {config.updates}.")
    settings.check(
        config.sgd_batch <= config.examples,
        f"--sgd-batch: must be at most --examples, {config.examples}; got {config.sgd_batch}.",
    )
    if (finished := runs.finished(config, APP)) is not None:
        return finished
    if config.smoke:
        config = dataclasses.replace(
            config, steps=6, units=1, examples=40, sgd_batch=20, updates=EVERY, searches=1, networks=1
        )
    hardware = machine.prepare(config)
    run = runs.start(hardware, app=APP, name=config.part)
    metrics = {}
    if config.part != "saddle":
        metrics |= descend_surfaces(config, run)
    if config.part != "paths":
        metrics |= train_digits(config, run)
    others = [["--part", "paths", "--rate-factor", "0.3"], ["--part", "saddle", "--units", "8"]]
    return dl.laboratory.results.finish(run, __file__, metrics, other=others)


def descend_surfaces(config, run):
    """Draw the paths on all surfaces and the trust regions; return the distances from the saddle of 5x^2 - y^2."""
    x = np.linspace(-2, 2, 21)
    network = dl.laboratory.surfaces.TwoWeights(x, np.tanh(1.5 * x))
    error = network.surface(start=(0.5, -0.56), window=(-2.4, 2.4, -1.8, 1.8))
    panels = [(each, paths_on(each, config)) for each in dl.laboratory.surfaces.CLASSICAL]
    panels.append((error, paths_of_network(error, network, config)))
    numbers = {f"{s.name}/{label}".replace(" ", "_"): path for s, paths in panels for label, path in paths.items()}
    dl.laboratory.results.picture(run, "paths", dl.laboratory.paths.drawing(panels), numbers)
    dl.laboratory.results.animation(run, "paths", dl.laboratory.paths.Frames(panels, FRAMES))

    here = np.array([1.6, 0.4])
    gradient = network.gradient(here)
    fisher, bent = network.fisher(here), dl.laboratory.trust_region.absolute(network.hessian(here))
    metrics = {"identity: gradient descent": None, "Fisher: natural gradient": fisher, "|H|: saddle-free Newton": bent}
    figure = dl.laboratory.trust_region.drawing(gradient, metrics, length=0.3)
    saved = {"weights": here, "gradient": gradient, "fisher": fisher, "absolute_hessian": bent}
    dl.laboratory.results.picture(run, "trust_regions", figure, saved)

    saddle, paths = panels[0]
    newton, free, plain = (paths[label] for label in ("Newton", "saddle-free Newton", "sgd"))
    distances = {"newton": np.linalg.norm(newton[-1]), "saddle_free_newton": np.linalg.norm(free[-1])}
    run.say(
        f"5x^2 - y^2 from {saddle.start}: after {counted(len(newton) - 1, 'updates')} Newton's method is "
        f"{distances['newton']:.1g} from the saddle; saddle-free Newton is {distances['saddle_free_newton']:.1g} away "
        f"after {counted(len(free) - 1, 'updates')}, gradient descent {np.linalg.norm(plain[-1]):.1g} after "
        f"{counted(len(plain) - 1, 'updates')}."
    )
    return {f"distance_{name}": float(value) for name, value in distances.items()}


def paths_on(surface, config):
    """{label: path} of every method on a classical surface."""
    rates = [rate * config.rate_factor for rate in RATES[surface.name]]
    paths = {}
    for name, rate in zip(FIRST_ORDER, rates, strict=False):
        optimizer = dl.optimizers.build(name, rate)
        paths[name] = dl.laboratory.paths.of_optimizer(surface, optimizer, config.steps)
    for label, (rule, damping) in NEWTONS.items():
        direction = functools.partial(dl.second_order.direction, rule, damping=damping)
        paths[label] = dl.laboratory.paths.of_direction(surface, direction, rates[-1], config.steps)
    return paths


def paths_of_network(surface, data, config):
    """{label: path} of every method, as Keras trains a network of two weights with it."""
    rates = [rate * config.rate_factor for rate in RATES[surface.name]]
    rules = {name: ("gradient", 0.0, name, rate) for name, rate in zip(FIRST_ORDER, rates, strict=False)}
    rules |= {label: (*rule, "sgd", rates[-1]) for label, rule in NEWTONS.items()}
    rules["natural gradient"] = ("natural_gradient", 1e-2, "sgd", rates[-1])
    paths = {}
    for label, (rule, damping, optimizer, rate) in rules.items():
        network = dl.laboratory.small_networks.two_weights()
        model = dl.second_order.SecondOrder(network, rule=rule, likelihood="normal", damping=damping)
        model.compile(dl.optimizers.build(optimizer, rate))
        batch = tuple(values.astype(np.float32)[:, None] for values in (data.x, data.y))
        paths[label] = dl.laboratory.paths.of_model(surface, model, batch, config.steps)
    return paths


def digits(config):
    """(pixels (N, 100), labels (N,)) of examples of the training split, scaled to 10 x 10 pixels."""
    examples = dl.data.images.load("digits", config.seed).train
    chosen = np.random.default_rng(config.seed).permutation(len(examples))[: config.examples]
    images = dl.laboratory.small_networks.scaled(examples.features["image"][chosen])
    return images, examples.features["label"][chosen]


def train_digits(config, run):
    """Train a small network by three methods, and look at critical points of its error; return the numbers."""
    x, y = digits(config)
    error = dl.laboratory.one_hidden_layer.OneHiddenLayer(x, y, config.units, config.decay)
    run.say(f"{counted(error.size, 'weights')}; {counted(len(y), 'examples')}")
    kept = {name: trained(name, x, y, config, run) for name in METHODS}
    metrics, rows = {}, []
    for name, path in kept.items():
        for number, weights in enumerate(path):
            about = {"train_error": error.error(weights), "index": 100 * error.index(weights)}
            rows.append({"method": METHODS[name].label, "update": EVERY * number, **about})
        metrics |= {f"{metric}_{name}": value for metric, value in about.items()}
    dl.laboratory.results.picture(run, "training", training_figure(rows), rows)
    ends = [f"{METHODS[name].label} {metrics[f'train_error_{name}']:.1f}%" for name in METHODS]
    shares = [f"{metrics[f'index_{name}']:.1f}%" for name in METHODS]
    run.say(f"Training error after {counted(config.updates, 'updates')}: {', '.join(ends)}.")
    run.say(f"Share of negative eigenvalues there: {', '.join(shares)}, in this order.")
    return metrics | critical_points(error, kept, config, run)


def trained(name, x, y, config, run):
    """The weights of a training at its start and after every EVERY updates: a list of arrays (P,)."""
    rule, stochastic = METHODS[name].rule, METHODS[name].rule == "gradient"

    def compiled():
        network = dl.laboratory.small_networks.mlp(config.units, config.decay)
        model = dl.second_order.SecondOrder(network, rule=rule, damping=0.0 if stochastic else "search")
        model.compile(dl.optimizers.build("sgd", config.sgd_rate if stochastic else 1.0))
        return model

    def plan(seed, epoch):
        rng = np.random.default_rng((seed, epoch))
        every = np.arange(len(y))
        return [np.sort(rng.permutation(every)[: config.sgd_batch]) if stochastic else every for _ in range(EVERY)]

    examples = dl.data.Examples({"pixels": x, "label": y})
    batches = dl.data.batches(
        examples, len(y), collate=lambda raw: (raw["pixels"], raw["label"]), seed=config.seed, plan=plan
    )
    kept = dl.laboratory.small_networks.Kept()
    folder = dataclasses.replace(run, path=run.path / "training" / name)  # of its checkpoints
    epochs = config.updates // EVERY
    dl.training.fit(run.build(compiled), batches, None, folder, epochs=epochs, callbacks=[kept], keep="last", verbose=0)
    return kept.weights


def critical_points(error, kept, config, run):
    """Search critical points from the paths, from random weights and in smaller networks; return the numbers."""
    room, rng = dl.laboratory.critical_points, np.random.default_rng(config.seed)
    starts, origins = [], [f"path of {method.label}" for method in METHODS.values()]
    for number in range(config.searches):
        noise, origin = rng.uniform(-1, 1, error.size), number % (len(kept) + 1)
        if origin == len(kept):
            starts.append(("random weights", noise))
        else:
            path = list(kept.values())[origin]
            starts.append((origins[origin], path[rng.integers(len(path))] + noise * 10 ** rng.uniform(-4, -1)))
    directions = functools.partial(dl.second_order.directions, "saddle_free_newton", dampings=dl.second_order.DAMPINGS)
    minima = error.minima_of_smaller_networks(directions, config.networks, rng)
    points = room.collect(error, [*starts, *minima], config.search_steps)
    reached = sum(origin != room.SMALLER for origin, _ in points)
    run.say(
        f"{reached} of {counted(len(starts), 'searches')} from paths and random weights ended at a critical point, the "
        "others where the gradient is not zero but lies in the null space of the Hessian."
    )
    points = room.distinct(points)
    errors = np.array([error.error(point.weights) for _, point in points])
    indices = np.array([100 * point.index for _, point in points])
    metrics, title = {"critical_points": float(len(points))}, counted(len(points), "critical points")
    if np.ptp(errors) and np.ptp(indices):
        metrics["rank_correlation"], (low, high) = room.rank_correlation(errors, indices, config.seed)
        metrics |= {"rank_correlation_low": low, "rank_correlation_high": high}
        title += f": rank correlation {metrics['rank_correlation']:.2f} ({low:.2f} to {high:.2f})"
        run.say(f"Training error and index of {title}, 95% interval of the bootstrap.")
    numbers = {
        "origin": np.array([origin for origin, _ in points]), "train_error": errors, "index": indices,
        "loss": np.array([point.loss for _, point in points]),
        "eigenvalues": np.stack([point.eigenvalues for _, point in points]),
    }  # fmt: skip
    dl.laboratory.results.picture(run, "critical_points", room.drawing(points, errors, title), numbers)
    return metrics


def training_figure(rows):
    """Training error and share of negative eigenvalues by update, a line for each method."""
    figure = figures.figure_of(9, 3.8)
    panels = zip(figure.subplots(1, 2), ("train_error", "index"), strict=True)
    for axes, column in panels:
        for colour, label in zip(figures.COLOURS, dict.fromkeys(row["method"] for row in rows), strict=False):
            its_rows = [row for row in rows if row["method"] == label]
            axes.plot([r["update"] for r in its_rows], [r[column] for r in its_rows], "-o", color=colour, label=label)
        axes.set_xlabel("update")
        axes.set_ylabel({"train_error": "training error (%)", "index": "negative eigenvalues (%)"}[column])
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=9)
    return figure


if __name__ == "__main__":
    command_line.run(main)
