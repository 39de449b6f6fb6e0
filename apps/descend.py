"""How do we search for theta? Gradient descent, its relatives, and what they make of saddle points.

    python apps/descend.py                                         # all pictures: about a minute and a half
    python apps/descend.py --part paths --steps 300 --rate-factor 0.3    # surfaces of two variables, in smaller steps
    python apps/descend.py --part saddle --units 4 --searches 60   # the network on digits, with more critical points

Slide "How do we search for theta?": the error around theta is about L + g^T d, and the best step d within a trust
region d^T M d <= r^2 is -r M^-1 g / sqrt(g^T M^-1 g). With M = I it is gradient descent; with the Fisher matrix the
natural gradient, "fixed step in function change" (Pascanu and Bengio, arXiv:1301.3584); with |H| saddle-free Newton.
With g the gradient, H the Hessian = Q Lambda Q^T and eta the learning rate, the updates are

    momentum     v <- mu v - eta g,                          theta <- theta + v
    Nesterov     v <- mu v - eta g,                          theta <- theta + mu v - eta g
    RMSProp      n <- rho n + (1 - rho) g^2,                 theta <- theta - eta g / sqrt(n + epsilon)
    Adam         m <- b1 m + (1 - b1) g,  n <- b2 n + (1 - b2) g^2,
                 theta <- theta - eta sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(n) + epsilon), in update t
    Newton       theta <- theta - eta H^-1 g;  saddle-free: |H| = Q |Lambda| Q^T in place of H

The natural gradient is in the panel of the network only: the classical surfaces have no Fisher matrix.

Slide "Still many issues remain": saddle points. Its link to Dauphin et al., arXiv:1612.03530, is to a paper on the
quality of images; the right one is arXiv:1406.2572.

Look at, in figures/ of the run:

- trust_regions: one linear model, three regions, and each step where the error is lowest in its region. The ellipses
  are long where the error, or the network as a function, changes little: there a step may be longer.
- paths, and paths.gif update by update: Newton's method (red) walks into the saddle, the cross; saddle-free Newton
  (blue) and the others leave it, gradient descent slowly. In the valley gradient descent and momentum follow the slope,
  the methods that know the curvature go straight. The paths are of Keras' own optimizers; the last panel is the error
  of a network with two weights.
- training: a network on digits of 10 x 10 pixels (the paper's figure 3). On the left the training error after equally
  many updates; dotted: SGD with as many passes over the examples as the second-order methods. In the paper saddle-free
  Newton ends lowest and damped Newton highest; is it so here, and with as many passes? On the right the index, the
  share of negative eigenvalues of the Hessian: how much of a saddle the methods have left behind.
- critical_points: the paper's figure 1, training error by index. Circles are saddles and minima of the network itself,
  searched with 0 to 8 negative eigenvalues: the more there are, the higher the error. Triangles: some hidden units have
  no weights. These are critical points of smaller networks, so a higher error and a larger index are no surprise; the
  correlation is therefore also given without them. On the right the spectra of three points. About half of the
  eigenvalues equal 2 x --decay: there only the weight decay bends the error.
"""

import dataclasses
from typing import Annotated, Literal

import numpy as np

import keras_dl as dl
from keras_dl import command_line, machine, runs, settings
from keras_dl.arguments import Number, Whole
from keras_dl.waiting import counting
from keras_dl.wording import counted

APP = "descend"
EVERY = 5  # updates of an epoch: at its end the weights are kept
FRAMES = 24  # of the animation
FIRST_ORDER = {
    "gradient descent": "sgd", "momentum": "momentum", "Nesterov": "nesterov", "RMSProp": "rmsprop", "Adam": "adam",
}  # fmt: skip
SECOND_ORDER = {  # rule of second_order and its damping
    "Newton": ("damped_newton", 0.0), "saddle-free Newton": ("saddle_free_newton", 1e-3),
    "natural gradient": ("natural_gradient", 1e-2),
}  # fmt: skip
RATES = {  # of FIRST_ORDER, and of the second-order methods together
    "saddle": (0.02, 0.02, 0.02, 0.02, 0.05, 0.2),
    "monkey_saddle": (0.05, 0.02, 0.02, 0.02, 0.05, 0.2),
    "rosenbrock": (0.001, 0.0005, 0.0005, 0.02, 0.1, 0.3),
    "valley": (0.018, 0.01, 0.01, 0.1, 0.3, 0.2),
    "two_weights": (0.3, 0.1, 0.1, 0.05, 0.1, 0.2),
}
METHODS = {
    "sgd": "SGD with momentum", "sgd_by_passes": "SGD with momentum, by passes over the examples",
    "damped_newton": "damped Newton", "saddle_free_newton": "saddle-free Newton",
}  # fmt: skip
ORIGINS = {"searched": "all hidden units in use", "embedded": "some hidden units have no weights"}
TITLES = {"all": "all {}"} | {origin: f"{{}}, {title}" for origin, title in ORIGINS.items()}


@dataclasses.dataclass(frozen=True)
class Config(settings.Experiment):
    """Draw the paths of optimizers, and look at the critical points of a small network's error.

    What to look for: the top of apps/descend.py.
    """

    part: Literal["all", "paths", "saddle"] = "all"  # paths: surfaces of two variables; saddle: the network on digits
    steps: Annotated[int, Whole(1, 10_000)] = 100  # paths: number of updates
    rate_factor: Annotated[float, Number("[1e-3, 1000]")] = 1.0  # paths: multiplies every learning rate
    # saddle: hidden units of the network; each has 111 weights, and the Hessian has (number of weights)^2 entries
    units: Annotated[int, Whole(1, 17)] = 3
    examples: Annotated[int, Whole(20, 1200)] = 300  # saddle: digits; a second-order update sees all of them
    updates: Annotated[int, Whole(5, 2000)] = 20  # saddle: updates of each method, a multiple of 5
    sgd_rate: Annotated[float, Number("[1e-6, 10]")] = 0.3  # saddle: learning rate of SGD, whose momentum is 0.9
    sgd_batch: Annotated[int, Whole(1, 1200)] = 50  # saddle: examples of an update of SGD
    decay: Annotated[float, Number("[1e-6, 1]")] = 1e-3  # saddle: factor of the squared weights in the error
    searches: Annotated[int, Whole(1, 1000)] = 30  # saddle: searches for critical points of the network
    # saddle: searches in networks with fewer units, of each size; their critical points are some of the network's, too
    smaller_searches: Annotated[int, Whole(0, 1000)] = 6
    search_steps: Annotated[int, Whole(1, 1000)] = 80  # saddle: most steps of a search


def main(argv=None):
    """Run the experiment; return its numbers as {name: float}."""
    config = command_line.parse(Config, argv, app=APP)
    check(config)
    if (finished := runs.finished(config, APP)) is not None:
        return finished
    if config.smoke:
        config = dataclasses.replace(
            config, steps=6, units=1, examples=40, sgd_batch=20, updates=EVERY, searches=2, smaller_searches=1
        )
    hardware = machine.prepare(config)
    run = runs.start(hardware, app=APP, name=config.part)
    metrics = {}
    if config.part != "saddle":
        metrics |= surfaces(config, run)
    if config.part != "paths":
        metrics |= digits(config, run)
    other = [["--part", "paths", "--rate-factor", "0.3"], ["--part", "saddle", "--units", "4", "--searches", "60"]]
    return dl.laboratory.results.finish(run, __file__, metrics, other=other)


def check(config):
    """Refuse flags that have no effect, and sizes that do not fit each other."""
    of_saddle = (
        "units", "examples", "updates", "sgd_rate", "sgd_batch", "decay", "searches", "smaller_searches",
        "search_steps",
    )  # fmt: skip
    settings.check_effect(config, ("steps", "rate_factor"), config.part != "saddle", "--part paths")
    settings.check_effect(config, of_saddle, config.part != "paths", "--part saddle")
    settings.check(config.updates % EVERY == 0, f"--updates: must be a multiple of {EVERY}; got {config.updates}.")
    batch, examples = config.sgd_batch, config.examples
    settings.check(batch <= examples, f"--sgd-batch: must be at most --examples, {examples}; got {batch}.")


def surfaces(config, run):
    """The trust regions, and the paths on all surfaces: {name: float}, how far two methods end from the saddle."""
    lab = dl.laboratory
    x = np.linspace(-2, 2, 21)
    network = lab.classical_surfaces.TwoWeights(x, np.tanh(1.5 * x))
    minima = ((1.5, 1.0), (-1.5, -1.0))
    error = network.surface(start=(0.5, -0.56), window=(-2.4, 2.4, -1.8, 1.8), minima=minima)

    here = np.array([0.9, 1.4])  # where one eigenvalue of the Hessian is negative
    gradient, fisher = network.gradient(here), network.fisher(here)
    bent = lab.trust_region.absolute(network.hessian(here))
    regions = {"I: gradient descent": None, "Fisher: natural gradient": fisher, "|H|: saddle-free Newton": bent}
    numbers = lab.trust_region.compared(gradient, list(regions.values()))
    figure = lab.descent_figures.trust_regions(list(regions), numbers)
    angles = np.degrees(np.arctan2(*numbers["steps"].T[::-1]))
    numbers |= {"weights": here, "gradient": gradient, "fisher": fisher, "absolute_hessian": bent}
    lab.results.picture(run, "trust_regions", figure, numbers)
    said = ", ".join(f"{label} {angle:.0f}" for label, angle in zip(regions, angles, strict=True))
    run.say(f"one gradient, three trust regions; direction of the best step in degrees, with M = {said}.")

    classical = lab.classical_surfaces.CLASSICAL[:1] if config.smoke else lab.classical_surfaces.CLASSICAL
    panels = [(each, paths_on(each, config, run)) for each in classical]
    panels.append((error, paths_of_network(error, network, config, run)))
    numbers = {
        f"{surface.name}/{label}".replace(" ", "_"): values
        for surface, paths in panels for label, values in (surface.numbers() | paths).items()
    }  # fmt: skip
    lab.results.picture(run, "paths", lab.descent_figures.paths(panels), numbers)
    lab.results.animation(run, "paths", lab.descent_figures.PathFrames(panels, 3 if config.smoke else FRAMES))

    saddle, paths = panels[0]
    ends = {label: np.linalg.norm(paths[label][-1]) for label in ("Newton", "saddle-free Newton", "gradient descent")}
    said = ", ".join(f"{label} {ends[label]:.2g} after {counted(len(paths[label]) - 1, 'updates')}" for label in ends)
    run.say(
        f"5x^2 - y^2 from {saddle.start}, distance from the saddle at the end of the path, or where it leaves the "
        f"picture: {said}."
    )
    for surface, paths in panels:
        if surface.minima:
            values = {label: surface.value(*path[-1]) for label, path in paths.items()}
            order = ", ".join(f"{label} {values[label]:.2g}" for label in sorted(values, key=values.get))
            run.say(f"{surface.name}, value at the end, from the lowest: {order}.")
    return {
        "distance_newton": float(ends["Newton"]), "distance_saddle_free_newton": float(ends["saddle-free Newton"]),
    }  # fmt: skip


def paths_on(surface, config, run):
    """{label: path} of every method on a classical surface, which has no Fisher matrix."""
    *rates, rate = (rate * config.rate_factor for rate in RATES[surface.name])
    paths = {}
    for (label, name), its_rate in zip(FIRST_ORDER.items(), rates, strict=True):

        def path(name=name, its_rate=its_rate):
            return dl.laboratory.paths.of_optimizer(surface, dl.optimizers.build(name, its_rate), config.steps)

        paths[label] = kept_path(run, surface, name, path)
    for label in ("Newton", "saddle-free Newton"):
        rule, damping = SECOND_ORDER[label]

        def direction(gradient, hessian, rule=rule, damping=damping):
            return dl.second_order.direction(rule, gradient, hessian, damping)

        paths[label] = dl.laboratory.paths.of_direction(surface, direction, rate, config.steps)
    return paths


def paths_of_network(surface, data, config, run):
    """{label: path} of every method, as Keras trains a network of two weights with it."""
    *rates, rate = (rate * config.rate_factor for rate in RATES[surface.name])
    rules = {
        label: ("gradient", 0.0, name, its_rate)
        for (label, name), its_rate in zip(FIRST_ORDER.items(), rates, strict=True)
    }
    rules |= {label: (*rule, "sgd", rate) for label, rule in SECOND_ORDER.items()}
    batch, paths = tuple(values.astype(np.float32)[:, None] for values in (data.x, data.y)), {}
    for label, (rule, damping, optimizer, its_rate) in rules.items():

        def path(rule=rule, damping=damping, optimizer=optimizer, its_rate=its_rate):
            network = dl.laboratory.small_networks.two_weights()
            model = dl.second_order.SecondOrder(network, rule=rule, likelihood="normal", damping=damping)
            model.compile(dl.optimizers.build(optimizer, its_rate))
            return dl.laboratory.paths.of_model(surface, model, batch, config.steps)

        paths[label] = kept_path(run, surface, optimizer if rule == "gradient" else rule, path)
    return paths


def kept_path(run, surface, method, path):
    """What path() returns, which is kept in the run."""
    return dl.laboratory.keeping.kept(run, f"{surface.name}_{method}", lambda: {"path": path()})["path"]


def digits(config, run):
    """Train a small network by several methods, and look at critical points of its error: {name: float}."""
    lab = dl.laboratory
    train = dl.data.images.load("digits", config.seed).train
    chosen = np.random.default_rng(config.seed).permutation(len(train))[: config.examples]
    pixels, labels = lab.small_networks.scaled(train.features["image"][chosen]), train.features["label"][chosen]
    error = lab.one_hidden_layer.OneHiddenLayer(pixels, labels, config.units, config.decay)
    run.say(
        f"{counted(config.units, 'hidden units')}, {counted(error.size, 'weights')}; {counted(len(labels), 'digits')} "
        f"of {lab.small_networks.SIDE} x {lab.small_networks.SIDE} pixels."
    )
    metrics, rows = {}, []
    for name in METHODS:
        for number, weights in enumerate(trained(name, pixels, labels, config, run)):
            about = {"train_error": error.error(weights), "index": 100 * error.index(weights)}
            rows.append({"method": name, "update": EVERY * number, **about})
        metrics |= {f"{metric}_{name}": value for metric, value in about.items()}
    lab.results.picture(run, "training", lab.descent_figures.training(rows, METHODS), rows)
    for name, label in METHODS.items():
        run.say(
            f"{label}, after {counted(config.updates, 'updates')}: training error "
            f"{metrics[f'train_error_{name}']:.1f}%, {metrics[f'index_{name}']:.1f}% of the eigenvalues negative."
        )
    ordered = sorted(METHODS, key=lambda name: metrics[f"train_error_{name}"])
    run.say(
        f"from the lowest training error: {', '.join(METHODS[name] for name in ordered)}; in the paper, after as many "
        f"updates: saddle-free Newton, SGD, damped Newton."
    )
    return metrics | critical_points(error, config, run)


def trained(name, pixels, labels, config, run):
    """The weights of a training at its start and after every EVERY updates: a list of arrays (P,).

    Of "sgd_by_passes", what counts as an update is a pass over the examples.
    """
    stochastic = name.startswith("sgd")
    training, every = run.training(name), np.arange(len(labels))
    passes = -(-len(labels) // config.sgd_batch) if name == "sgd_by_passes" else 1

    def compiled():
        network = dl.laboratory.small_networks.mlp(config.units, config.decay)
        rule = {"rule": "gradient"} if stochastic else {"rule": name, "damping": "search"}
        model = dl.second_order.SecondOrder(network, **rule)
        optimizer = ("momentum", config.sgd_rate) if stochastic else ("sgd", 1.0)
        model.compile(dl.optimizers.build(*optimizer))
        return model

    def plan(seed, epoch):
        rng = np.random.default_rng((seed, epoch))
        if not stochastic:
            return [every] * EVERY
        return [np.sort(rng.permutation(every)[: config.sgd_batch]) for _ in range(EVERY * passes)]

    examples = dl.data.Examples({"pixels": pixels, "label": labels})
    batches = dl.data.batches(
        examples, len(labels), collate=lambda raw: (raw["pixels"], raw["label"]), seed=config.seed, plan=plan
    )
    kept = dl.laboratory.small_networks.Kept()
    dl.training.fit(
        training.build(compiled), batches, None, training, epochs=config.updates // EVERY, monitor="loss", keep="last",
        verbose=0, callbacks=[kept, dl.summaries.TensorBoard(training, batches, None)],
    )  # fmt: skip
    return kept.weights


def critical_points(error, config, run):
    """Search critical points of the network and of smaller ones, and correlate error and index: {name: float}."""
    lab = dl.laboratory.network_saddles
    with counting("critical points", "search") as at:
        points, reached = lab.collect(
            error, dl.second_order.DAMPINGS, np.random.default_rng(config.seed), searches=config.searches,
            smaller_searches=config.smaller_searches, steps=config.search_steps, at=at,
        )  # fmt: skip
    metrics, titles, rows = {"critical_points": float(len(points))}, dict(ORIGINS), lab.described(error, points)
    run.say(
        f"{reached} of {counted(config.searches, 'searches')} reached a critical point of the network; with those of "
        f"smaller networks, and without mirror images, there are {counted(len(rows), 'critical points')}."
    )
    if not rows:
        return metrics
    for name, (count, correlation, (low, high)) in lab.correlations(rows, config.seed).items():
        group = f"rank_correlation_{name}"
        metrics |= {group: correlation, f"{group}_low": low, f"{group}_high": high}
        said = f"rank correlation {correlation:.2f} ({low:.2f} to {high:.2f})"
        run.say(
            f"{TITLES[name].format(counted(count, 'points'))}: rank correlation of training error and index "
            f"{correlation:.2f} (95% interval {low:.2f} to {high:.2f})."
        )
        if name in titles:
            titles[name] += f"\n{said}"
    figure = dl.laboratory.descent_figures.critical_points(rows, [point.eigenvalues for point in points], titles)
    numbers = {name: np.array([row[name] for row in rows]) for name in ("origin", "train_error", "index", "loss")}
    numbers |= {"eigenvalues": np.stack([point.eigenvalues for point in points])}
    dl.laboratory.results.picture(run, "critical_points", figure, numbers)
    return metrics


if __name__ == "__main__":
    command_line.run(main)
