"""Draw the loss over the weights of a network: along filter-normalised directions, over planes, and by its curvature.

Slides "Are unconstrained models impossible to optimize?" (planes.png, path.png, spectrum.png) and the landscapes
after it (surface_3d.png, curves.png). L(theta + a d + b e) is drawn over (a, b), where theta is what training ended
with and d, e are random directions whose filters have the norms of theta's own: d_ij <- d_ij |theta_ij| / |d_ij| (Li et
al. 2018, arXiv:1712.09913, section 4). Without that the scale of the weights, which a network with rectifiers does not
feel, decides how flat a picture looks. Biases and the gains and offsets of batch normalisation stay; its statistics are
the running averages of training (--batch-norm batch: those of the examples at every point). The loss is of fixed
training examples, without augmentation and weight decay.

    python apps/loss_surface.py                                     # with shortcuts and without: under a minute
    python apps/loss_surface.py --depths 8 32 --figure planes       # shallow and deep, with and without shortcuts
    python apps/loss_surface.py --dataset cifar10 --depths 20 56 --epochs 6 --examples 1000 --grid 25    # long
    python apps/classify_images.py --model mlp                      # a network of your own, and its surface:
    python apps/loss_surface.py --run mlp-digits-1

The command for CIFAR-10 does not repeat table landscape, whose networks have 4 epochs in batches of 128 with a learning
rate that falls in steps (benchmarks/landscape.py), not 6 in batches of 64 along a cosine.

Look at: planes.png and surface_3d.png, on one scale of colours for all networks: how far around the end (+) the loss
stays low, and whether its contours stay convex; in the paper, shortcuts are what widens the valley of deep networks.
curves.png: ten directions, thin, and their mean; where the error (below) jumps, the valley ends. path.png: the
training's way in the plane of its two principal components, and how much of its variance they explain, beside what a
random walk would have; the loss below the path is with the end's averages of batch normalisation, which early points
did not have yet. spectrum.png: nearly all eigenvalues of the Hessian are close to 0, a few large ones stand out, and
some are negative, so the end of training is not a minimum in every direction.
"""

import dataclasses
import time
from typing import Annotated, Literal

import numpy as np

import keras_dl as dl
from keras_dl import bootstrap, command_line, data, machine, models, runs, settings
from keras_dl.arguments import Number, Tuple, Whole
from keras_dl.imports import keras  # imported when it is first used
from keras_dl.laboratory import directions, lanczos, landscape_figures, path_components, sections
from keras_dl.waiting import counting
from keras_dl.wording import counted, percent

APP = "loss_surface"
NETWORKS = {"resnet": "identity", "plain": "none"}  # {name: shortcut}
OF_TRAINING = ("dataset", "depths", "filters", "epochs", "batch_size", "learning_rate")
MOST_WEIGHTS = 3_000_000  # for Lanczos' vectors, which are kept
MARGIN = 0.25  # around a path, as a share of its extent
FLAGS = {  # which figures it is of
    "grid": ("planes", "path"), "half_width": ("curves", "planes"), "directions": ("curves",), "distance": ("curves",),
    "probes": ("spectrum",), "products": ("spectrum",),
}  # fmt: skip
FEW = 3  # points along a side, directions and products with the Hessian of --smoke


@dataclasses.dataclass(frozen=True)
class Config(settings.Experiment):
    """Draw the loss of networks over their weights.

    What to look for: the top of apps/loss_surface.py.
    """

    figure: Literal["all", "curves", "planes", "path", "spectrum"] = "all"  # which to compute
    run: str = ""  # the surface of a finished run of yours instead: its folder, or its name in runs/
    dataset: Literal["digits", "mnist", "fashion_mnist", "cifar10"] = "digits"  # what the networks learn
    # layers of the networks, 6n + 2; each is trained with shortcuts (resnet) and without (plain)
    depths: Annotated[tuple[int, ...], Tuple(Whole(8, 110), 1, 4)] = (20,)
    filters: Annotated[int, Whole(1, 64)] = 4  # channels of the first stage; 16 in the paper
    epochs: Annotated[int, Whole(2, 300)] = 10  # passes of each training
    batch_size: Annotated[int, Whole(1, 10_000)] = 64  # examples of a training step
    learning_rate: Annotated[float, Number("[1e-6, 10]")] = 0.1  # of SGD with momentum, down to 0 by a cosine
    examples: Annotated[int, Whole(1, 100_000)] = 250  # of the training split, on which the loss is computed
    grid: Annotated[int, Whole(3, 201)] = 15  # points along a side of a plane
    half_width: Annotated[float, Number("(0, 100]", near=1)] = 1.0  # curves, planes: largest distance from the end
    directions: Annotated[int, Whole(2, 100)] = 10  # curves: random directions
    distance: Annotated[float, Number("(0, 100]", near=0.5)] = 0.5  # curves: at which the loss is reported
    probes: Annotated[int, Whole(2, 100)] = 3  # spectrum: random vectors
    products: Annotated[int, Whole(3, 500)] = 20  # spectrum: products with the Hessian for each of them
    batch_norm: Literal["moving", "batch"] = "moving"  # statistics: training's averages, or those of the examples


@dataclasses.dataclass(frozen=True)
class Network:
    """A trained network: its surface, and the weights that it passed through, a list of (P,), if they were kept."""

    surface: object
    points: list


def main(argv=None):
    """Run the experiment; return its numbers as {name: float}."""
    config = command_line.parse(Config, argv, app=APP)
    check(config)
    if (finished := runs.finished(config, APP)) is not None:
        return finished
    hardware = machine.prepare(config)
    earlier = own_run(config) if config.run else None  # before anything is written: it may not fit
    run = runs.start(hardware, app=APP, name=earlier.name if earlier else config.dataset)
    if earlier:
        run.say(earlier.sentence)
        networks = {earlier.name: Network(earlier.surface, earlier.points)}
    else:
        networks = trained(config, run)
    metrics = {}
    for name, network in networks.items():
        numbers = network.surface.values(network.surface.weights)
        metrics |= {f"{name}_{key}": value for key, value in numbers.items()}
        wrong = f", the error {percent(numbers['error'])}" if "error" in numbers else ""
        how = f"; batch normalisation takes {network.surface.statistics}" if network.surface.statistics else ""
        run.say(
            f"{name}: {counted(network.surface.size, 'weights')}; the loss of the "
            f"{counted(network.surface.examples, 'fixed examples')} is {numbers['loss']:.4g}{wrong}{how}."
        )
    for name, draw in FIGURES.items():
        if config.figure in ("all", name):
            metrics |= draw(config, run, networks)
    other = [["--depths", 8, 32, "--figure", "planes"], ["--batch-norm", "batch"]]
    return dl.laboratory.results.finish(run, __file__, metrics, other=other)


def check(config):
    """Refuse flags that have no effect, and depths that no such network has."""
    for name, of in FLAGS.items():
        settings.check_effect(config, (name,), config.figure in ("all", *of), f"--figure {' or '.join(of)}")
    if not config.resume and config.run:
        usual, values = settings.defaults_of(config), settings.values_of(config)
        given = [settings.flag_of(name) for name in OF_TRAINING if values[name] != usual[name]]
        settings.check(not given, f"{', '.join(given)}: must be left out with --run, whose network is trained.")
    settings.check(
        not config.run or config.figure != "path",
        "--figure: path needs the weights of every epoch, which a run does not keep; leave out --run.",
    )
    for depth in config.depths:
        below = depth - (depth - 2) % 6
        settings.check(
            depth == below, f"--depths: must be 6n + 2 for a whole n; got {depth}. Nearest: {below} or {below + 6}."
        )
    given = " ".join(map(str, config.depths))
    settings.check(len(set(config.depths)) == len(config.depths), f"--depths: must differ; got {given}.")


def own_run(config):
    """The network of a finished run."""
    return dl.laboratory.earlier_runs.restored(
        config.run, config.out, examples=FEW if config.smoke else config.examples, seed=config.seed,
        batch_norm=config.batch_norm,
    )  # fmt: skip


def trained(config, run):
    """Train a network of each depth with and without shortcuts: {name: Network}."""
    lab = dl.laboratory.landscape_training
    splits, preprocess = lab.pictures(config.dataset, config.seed)
    splits = splits.few(64 if config.smoke else None, config.seed)
    collate = data.images.with_labels(preprocess)
    train = data.batches(
        splits.train, config.batch_size, collate=collate, seed=config.seed, shuffle=True,
        augment=data.images.augmentation("auto" if config.dataset == "cifar10" else "none", splits.info, preprocess),
    )  # fmt: skip
    validation = data.batches(splits.validation, 500, collate=collate)
    epochs = 2 if config.smoke else config.epochs

    def compiled(depth, shortcut):
        classes, filters = splits.info.num_classes, config.filters
        model = models.build_resnet_cifar(
            preprocess.input_shape, classes, depth=depth, filters=filters, shortcut=shortcut
        )
        model.compile(
            optimizer=dl.optimizers.build(
                "momentum", config.learning_rate, schedule="cosine", steps=epochs * train.steps(), weight_decay=1e-4
            ),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        )
        return model

    networks = {}
    for depth in (8,) if config.smoke else config.depths:
        for kind, shortcut in NETWORKS.items():
            name = f"{kind}{depth}"
            training, snapshots = run.training(name), lab.Snapshots()
            model = training.build(compiled, depth, shortcut)
            history = dl.training.fit(
                model, train, validation, training, epochs=epochs, keep="last",
                callbacks=[snapshots, dl.summaries.TensorBoard(training, train, validation)],
            )  # fmt: skip
            run.say(
                f"{name}: after {counted(epochs, 'epochs')} the accuracy is {percent(history['accuracy'][-1], 1)} in "
                f"training, {percent(history['val_accuracy'][-1], 1)} in validation."
            )
            together = config.batch_norm == "batch"
            batches = lab.fixed(splits.train, collate, config.examples, config.seed, together=together)
            surface = dl.laboratory.surfaces.Surface(model, batches, batch_norm=config.batch_norm)
            networks[name] = Network(surface, snapshots.points)
    return networks


def curves(config, run, networks):
    """Loss and error along random directions, and the loss at one distance along each of them."""
    count, points = (2, FEW) if config.smoke else (config.directions, 21)
    distances = np.linspace(-config.half_width, config.half_width, points)
    seen, metrics, numbers = {}, {}, {"distances": distances}
    for name, network in networks.items():
        surface, rows, at_distance = network.surface, [], []
        with counting(f"{name}: curves", "direction") as at:
            for number in range(count):
                direction = directions.random(surface.weights, surface.axes, (config.seed, number))
                rows.append(sections.curve(surface, direction, distances))
                at_distance += list(sections.at_distance(surface, [direction], config.distance))
                at(number + 1, count)
        seen[name] = {key: np.array([row[key] for row in rows]) for key in rows[0]}
        numbers |= {f"{name}_{key}": values for key, values in seen[name].items()}
        numbers[f"{name}_at_distance"] = np.array(at_distance)
        mean = float(np.mean(at_distance))
        low, high = bootstrap.of_mean(at_distance, config.seed) or (np.nan, np.nan)  # None of losses that overflow
        metrics |= {f"{name}_loss_at_distance": mean}
        run.say(
            f"{name}: at distance {config.distance:g} along {counted(count, 'directions')} the loss is {mean:.3g} on "
            f"average, the 95% interval of this mean is {low:.3g} to {high:.3g}."
        )
    dl.laboratory.results.picture(run, "curves", landscape_figures.of_curves(seen, distances), numbers)
    return metrics


def planes(config, run, networks):
    """The loss over a plane of two random directions, the same draws for all networks of one shape."""
    side = np.linspace(-config.half_width, config.half_width, FEW if config.smoke else config.grid)
    seen, metrics, numbers = {}, {}, {"first": side, "second": side}
    for name, network in networks.items():
        surface = network.surface
        pair = [directions.random(surface.weights, surface.axes, (config.seed, 1000 + k)) for k in range(2)]
        began = time.monotonic()
        with counting(f"{name}: plane", "point") as at:
            values = sections.plane(surface, pair, side, side, at=at)
        metrics[f"{name}_plane_seconds"] = time.monotonic() - began
        numbers |= {f"{name}_{key}": each for key, each in values.items()}
        seen[name] = values["loss"]
        center = surface.values(surface.weights)["loss"]
        low = float(np.mean(values["loss"] < 2 * center + 0.1))
        metrics[f"{name}_low_share"] = low
        run.say(
            f"{name}: {percent(low)} of the plane's points have a loss below 2 x (loss at the end of training) + 0.1; "
            f"the plane reaches to distance {config.half_width:g}, and its {counted(values['loss'].size, 'points')} "
            f"took {metrics[f'{name}_plane_seconds']:.0f} s."
        )
    dl.laboratory.results.picture(run, "planes", landscape_figures.of_planes(seen, side, side), numbers)
    dl.laboratory.results.picture(run, "surface_3d", landscape_figures.in_space(seen, side, side), numbers)
    return metrics


def path(config, run, networks):
    """The training's path in the plane of its principal components, over the loss there."""
    seen, metrics, numbers = {}, {}, {}
    for name, network in networks.items():
        if not network.points:
            continue  # of a run, which was said
        try:
            components = path_components.of_path(network.points)
        except ValueError as error:
            run.say(f"{name}: no path is drawn: {error}.")
            continue
        surface, points = network.surface, FEW if config.smoke else config.grid
        low, high = components.coordinates.min(0), components.coordinates.max(0)
        margin = MARGIN * (high - low).max()
        first, second = (np.linspace(low[k] - margin, high[k] + margin, points) for k in range(2))
        pair = [surface.unflat(direction) for direction in components.directions]
        with counting(f"{name}: path", "point") as at:
            losses = sections.plane(surface, pair, first, second, at=at)["loss"]
        seen[name] = {"loss": losses, "first": first, "second": second}
        seen[name] |= {"coordinates": components.coordinates, "shares": components.shares}
        numbers |= {f"{name}_{key}": values for key, values in seen[name].items()}
        walk = path_components.of_random_walk(len(network.points) - 1)
        explained = float(components.shares[:2].sum())
        metrics[f"{name}_explained"] = explained
        run.say(
            f"{name}: two components explain {percent(explained, 1)} of the path's variance "
            f"({percent(components.shares[0])} and {percent(components.shares[1])}); of a random walk with as many "
            f"points they would explain {percent(walk[:2].sum(), 1)}."
        )
    if seen:
        dl.laboratory.results.picture(run, "path", landscape_figures.of_paths(seen), numbers)
    return metrics


def spectrum(config, run, networks):
    """The density of the Hessian's eigenvalues and the largest of them, by Lanczos' iteration."""
    count, steps = (2, FEW) if config.smoke else (config.probes, config.products)
    seen, metrics = {}, {}
    for name, network in networks.items():
        surface = network.surface
        if surface.size > MOST_WEIGHTS:
            run.say(f"{name}: no spectrum: {counted(surface.size, 'weights')} are more than {MOST_WEIGHTS:,}.")
            continue
        with counting(f"{name}: spectrum", "product") as at:
            each = [
                lanczos.iterate(
                    surface.hessian_product, start, steps, precision=dl.laboratory.surfaces.PRECISION,
                    at=lambda n, total, k=k: at(k * total + n, count * total),
                )
                for k, start in enumerate(lanczos.probes(surface.size, count, config.seed))
            ]  # fmt: skip
        seen[name] = landscape_figures.spectrum(each)
        largest, error = float(seen[name]["values"][-1]), float(seen[name]["errors"][-1])
        trace, trace_error = lanczos.moments(each, surface.size, 1)
        above, _ = lanczos.counts_above(each, surface.size, [largest / 100])
        negative = 1 - float(lanczos.counts_above(each, surface.size, [-1e-3 * largest])[0][0]) / surface.size
        smallest = min(ritz.values[0] for ritz in each)
        metrics |= {f"{name}_sharpness": largest, f"{name}_sharpness_error": error, f"{name}_trace": trace}
        run.say(
            f"{name}, Hessian: largest eigenvalue found: {largest:.4g}; a true one is within {error:.2g} of it. "
            f"Smallest found: {smallest:.3g}. Trace: {trace:.4g} (standard error {trace_error:.2g})."
        )
        run.say(
            f"{name}: about {above[0]:,.0f} of {counted(surface.size, 'eigenvalues')} are above a hundredth of the "
            f"largest, and {percent(max(negative, 0.0), 1)} below minus a thousandth of it."
        )
        if surface.by_differences:
            run.say(
                f"{name}: one layer has no second derivative in TensorFlow, so products with the Hessian are "
                f"differences of gradients."
            )
    if seen:
        numbers = {f"{name}_{key}": values for name, each in seen.items() for key, values in each.items()}
        dl.laboratory.results.picture(run, "spectrum", landscape_figures.of_spectra(seen), numbers)
    return metrics


FIGURES = {"curves": curves, "planes": planes, "path": path, "spectrum": spectrum}

if __name__ == "__main__":
    command_line.run(main)
