"""Count the linear regions of networks of rectifiers, exactly: by width, by depth, and while a network learns.

Slide "ReLU networks: representation": a network with rectifiers r(z) = max(0, z) is affine on polygons, and their
number says how much it can represent. One hidden layer of n units cuts the plane into at most 1 + n + n (n - 1) / 2
regions (Zaslavsky); layers that fold the plane repeat what follows in every fold, and reach many more with as many
units (Montúfar et al. 2014, theorem 4): with n0 inputs and layers of n units

    product over all layers but the last of floor(n / n0)^n0, times sum over j = 0 ... n0 of C(n, j) of the last.

On a line, L layers of m units have at most (m + 1)^L pieces. What can be represented is not what is learned: see
--figure depth.

    python apps/count_regions.py                                          # all figures: about a minute
    python apps/count_regions.py --figure folding --fold-depth 5 --fold-units 4
    python apps/count_regions.py --figure training --data digits --layers 4 --units 16
    python apps/count_regions.py --figure training --bias-std 0           # cones: without biases all lines meet in 0
    python apps/classify_images.py --model mlp --set "units=(24, 24)"     # a network of your own, and its regions:
    python apps/count_regions.py --keras-file saved_models/mlp-digits/1/model.keras --half-width 3

Look at: shallow.png and folding.png, the same 12 units side by side in one layer and in three: straight lines against
lines that are mirrored at the folds. training.gif: the lines gather where the classes must be told apart, and bend at
the lines of the layer before; the black line, the decision boundary, is made of their pieces. training_counts.png:
their number and the accuracy, epoch by epoch. depth.png: how many pieces networks with the same number of units have
along a line, by their depth, before training and after it, beside what they could have; on the right, pieces before
training grow about linearly with the units (Hanin and Rolnick 2019). approximation.png: what width buys, what depth
buys, and what is learned of it. Regions are also written as .svg files, which can be enlarged as far as one likes.
"""

import dataclasses
import math
from typing import Annotated, Literal

import numpy as np

import keras_dl as dl
from keras_dl import command_line, data, machine, runs, settings
from keras_dl.arguments import Number, Whole
from keras_dl.laboratory import (
    approximation,
    dense_layers,
    folding,
    intervals,
    linear_regions,
    patterns,
    region_bounds,
    region_figures,
    regions,
)
from keras_dl.waiting import counting
from keras_dl.wording import counted, percent

APP = "count_regions"
CHECKED = 400  # regions up to which linear programming enumerates the patterns, too: some seconds
LARGEST = 20_000  # regions that the folding may have
GRID = 30  # least number of points along a side of the square, to show what sampling would count
FRAMES = 20  # of the animation
ENDS = (12, 192)  # hidden units, the fewest and the most whose pieces before training are said
STEPS = 1000  # of the trainings of depth and approximation
NETWORKS = [(6,), (24,), (96,), (3, 3), (8, 8, 8), (24,) * 4]  # widths of those that are trained for approximation
FLAGS = {  # which figures it is of
    "shallow_units": ("shallow",), "fold_units": ("folding",), "fold_depth": ("folding",), "inputs": ("folding",),
    "data": ("training",), "units": ("training",), "layers": ("training",), "epochs": ("training",),
    "learning_rate": ("training", "depth"), "bias_std": ("training", "depth"), "total_units": ("depth",),
    "seeds": ("depth",), "teeth": ("approximation",),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Config(settings.Experiment):
    """Count the linear regions of networks of rectifiers.

    What to look for: the top of apps/count_regions.py.
    """

    figure: Literal["all", "shallow", "folding", "training", "depth", "approximation"] = "all"  # which to compute
    shallow_units: Annotated[int, Whole(1, 150)] = 12  # shallow: units of the one hidden layer
    fold_units: Annotated[int, Whole(1, 64)] = 4  # folding: units of each hidden layer, at least as many as inputs
    fold_depth: Annotated[int, Whole(1, 8)] = 3  # folding: hidden layers
    inputs: Literal[1, 2] = 2  # folding: 2: the unit square; 1: the segment [0, 1]
    # training: spirals: two classes of points in a square; digits: the plane through three training digits
    data: Literal["spirals", "digits"] = "spirals"
    units: Annotated[int, Whole(1, 64)] = 24  # training: units of each hidden layer
    layers: Annotated[int, Whole(1, 8)] = 3  # training: hidden layers
    epochs: Annotated[int, Whole(1, 300)] = 60  # training: passes over the examples
    learning_rate: Annotated[float, Number("[1e-6, 1]")] = 0.004  # training, depth: Adam's
    bias_std: Annotated[float, Number("[0, 10]")] = 0.3  # training, depth: standard deviation of the initial biases
    total_units: Annotated[int, Whole(12, 192)] = 48  # depth: hidden units, in 1, 2, 3 or 4 layers; a multiple of 12
    seeds: Annotated[int, Whole(1, 20)] = 3  # depth: networks of each depth
    teeth: Annotated[int, Whole(3, 12)] = 6  # approximation: the sawtooth has 2 ** teeth sides
    keras_file: str = ""  # count the regions of this model instead, a .keras file of Dense layers with rectifiers
    half_width: Annotated[float, Number("(0, 1e6]", near=1)] = 1.0  # with --keras-file: half the side of the square


def main(argv=None):
    """Run the experiment; return its numbers as {name: float}."""
    config = command_line.parse(Config, argv, app=APP)
    check(config)
    if (finished := runs.finished(config, APP)) is not None:
        return finished
    hardware = machine.prepare(config)
    own = own_regions(config) if config.keras_file else None  # before anything is written: they may be too many
    run = runs.start(hardware, app=APP, name="own" if own else config.figure)

    if own:
        metrics = own_network(config, run, *own)
    elif config.figure != "all":
        metrics = FIGURES[config.figure](config, run)
    else:
        parts = {name: compute(config, run) for name, compute in FIGURES.items()}
        metrics = {f"{name}_{key}": value for name, part in parts.items() for key, value in part.items()}
    other = [["--figure", "folding", "--fold-depth", "5"], ["--figure", "training", "--data", "digits"]]
    return dl.laboratory.results.finish(run, __file__, metrics, other=other)


def check(config):
    """Refuse flags that have no effect, and sizes that do not fit each other."""
    settings.check_effect(config, ("half_width",), config.keras_file, "--keras-file")
    settings.check(
        config.resume or not config.keras_file or config.figure == "all",
        "--figure: must be left out with --keras-file, whose regions are counted instead.",
    )
    for name, of in FLAGS.items():
        holds = config.figure in ("all", *of) and not config.keras_file
        settings.check_effect(config, (name,), holds, f"--figure {' or '.join(of)}")
    units, total = config.fold_units, config.total_units
    settings.check(units >= config.inputs, f"--fold-units: must be at least --inputs, {config.inputs}; got {units}.")
    most = region_bounds.montufar((units,) * config.fold_depth, config.inputs)
    settings.check(most <= LARGEST, f"--fold-depth: must give at most {LARGEST:,} regions; got {most:,}.")
    settings.check(total % 12 == 0, f"--total-units: must be a multiple of 12; got {total}.")


def shallow(config, run):
    """One hidden layer whose lines are in general position, and what a grid of points would count."""
    layers, half_width = folding.arrangement(config.shallow_units, config.seed)
    cut = regions.polygons(layers, half_width=half_width)
    units, count = counted(config.shallow_units, "units"), counted(len(cut), "regions")
    run.say(
        f"One layer of {units} has {count}; Zaslavsky's bound is {region_bounds.zaslavsky(config.shallow_units, 2):,}."
    )
    side = max(GRID, 2 * math.isqrt(len(cut)))
    axis = np.linspace(-half_width, half_width, side)
    sampled = regions.sampled_count(layers, np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2))
    found = f"only {sampled:,}" if sampled < len(cut) else "all"
    run.say(f"A grid of {side} x {counted(side, 'points')} would find {found} of these; the count above is exact.")
    pictured(run, "shallow", [cut, cut], [f"1 layer of {units}: {count}", "the middle"], zooms=(1, half_width))
    return {"regions": float(len(cut)), **compared(run, layers, cut)}


def folded(config, run):
    """The folding construction: as many regions as its bound says, in the unit square or on [0, 1]."""
    widths, inputs = (config.fold_units,) * config.fold_depth, config.inputs
    layers, name = folding.folding(inputs, widths), f"{counted(len(widths), 'layers')} of {config.fold_units}"
    if inputs == 1:
        cut = intervals.pieces(layers)
        numbers = {"breaks": cut.breaks, "values": cut.values}
        dl.laboratory.results.picture(run, "folding", region_figures.of_pieces(cut, name), numbers, svg=True)
    else:
        cut = regions.polygons(layers, center=(0.5, 0.5), half_width=0.5)
        pictured(run, "folding", [cut], [f"{name}: {counted(len(cut), 'regions')}"])
    shallow_most = region_bounds.zaslavsky(sum(widths), inputs)
    run.say(
        f"{name} that fold have {counted(len(cut), 'regions')}; the construction says "
        f"{region_bounds.montufar(widths, inputs):,} (Montúfar et al.), no network of these widths has more than "
        f"{region_bounds.most(widths, inputs):,}, and the same units in one layer have at most {shallow_most:,}."
    )
    return {"regions": float(len(cut)), **(compared(run, layers, cut) if inputs == 2 else {})}


def training(config, run):
    """A network whose regions are counted and drawn before its training and after every epoch of it."""
    lab = dl.laboratory.region_training
    task = lab.task(config.data, config.seed)
    widths = (config.units,) * config.layers

    def compiled():
        inputs, outputs = task.x.shape[1], task.classes
        network = lab.dense_network(inputs, widths, outputs, bias_std=config.bias_std, seed=config.seed)
        return lab.compiled(network, config.learning_rate, classes=outputs)

    def cut(layers):
        return regions.polygons(layers, task.plane, half_width=task.half_width)

    model, snapshots = run.build(compiled), lab.Snapshots()
    examples = data.Examples({"x": task.x, "y": task.y})
    batches = data.batches(examples, 32, collate=lambda raw: (raw["x"], raw["y"]), seed=config.seed, shuffle=True)
    epochs = 2 if config.smoke else config.epochs
    with counting("training", "epoch") as at:

        def measured(model):
            at(len(snapshots.layers), epochs)
            return {"regions": float(len(cut(dense_layers.layers_of(model))))}

        history = dl.training.fit(
            model, batches, None, run, epochs=epochs, monitor="loss", keep="last", verbose=0, measure=measured,
            callbacks=[snapshots, dl.summaries.TensorBoard(run, batches, None)],
        )  # fmt: skip
    counts = [len(cut(snapshots.layers[0])), *map(int, history["regions"])]
    last, accuracy = len(counts) - 1, history["accuracy"][-1]
    shown = {"points": task.marks, "classes": task.mark_classes, "boundary": task.classes == 2}

    def titles(epochs):
        return [f"{f'epoch {epoch}' if epoch else 'before'}: {counted(counts[epoch], 'regions')}" for epoch in epochs]

    at = sorted({0, last // 4, last})
    cuts = [cut(snapshots.layers[epoch]) for epoch in at]
    pictured(run, "training", cuts, titles(at), **shown)
    rows = [
        {"epoch": epoch, "regions": count, "accuracy": right}  # before training no accuracy is measured
        for epoch, (count, right) in enumerate(zip(counts, [None, *history["accuracy"]], strict=True))
    ]
    figure = region_figures.of_training(counts, history["accuracy"], at)
    dl.laboratory.results.picture(run, "training_counts", figure, rows)
    steps = np.unique(np.linspace(0, last, min(FRAMES, last + 1)).round().astype(int))
    seen = [cut(snapshots.layers[epoch]) for epoch in steps]
    frames = [region_figures.of_regions([each], titles([e]), **shown) for e, each in zip(steps, seen, strict=True)]
    numbers = region_figures.numbers(seen, **shown) | {"epochs": steps}
    dl.laboratory.results.animation(run, "training", frames, numbers)
    linear = len(np.unique(linear_regions.labels(cuts[-1])))
    run.say(
        f"{counted(config.layers, 'layers')} of {config.units} on {config.data}: {counted(counts[0], 'regions')} "
        f"before training, {counts[-1]:,} after it, {min(counts):,} to {max(counts):,} on the way; with these widths "
        f"there are at most {region_bounds.most(widths, 2):,}."
    )
    run.say(
        f"At the end {linear:,} of them are different affine functions, and the accuracy on the examples is "
        f"{percent(accuracy, 1)}."
    )
    return {"initial": float(counts[0]), "trained": float(counts[-1]), "linear": float(linear), "accuracy": accuracy}


def depth(config, run):
    """Networks with the same number of units in 1, 2, 3 or 4 layers, before training and after."""
    lab, depths = dl.laboratory.region_training, (1, 2) if config.smoke else (1, 2, 3, 4)
    seeds = range(config.seed, config.seed + (1 if config.smoke else config.seeds))
    steps = 20 if config.smoke else STEPS
    with counting("training", "network") as at:
        rows = lab.by_depth(
            run, config.total_units, depths, bias_std=config.bias_std, learning_rate=config.learning_rate, steps=steps,
            seeds=seeds, at=at,
        )  # fmt: skip
    growth = lab.sizes(bias_std=config.bias_std, seeds=seeds)
    figure = region_figures.of_depths(rows, growth)
    dl.laboratory.results.picture(run, "depth", figure, rows, more={"growth": growth})
    metrics = {}
    for number in depths:
        own = [row for row in rows if row["depth"] == number]
        mean = {name: float(np.mean([row[name] for row in own])) for name in lab.COUNTED}
        widths = (own[0]["width"],) * number
        run.say(
            f"{counted(number, 'layers')} of {widths[0]}: {mean['initial']:,.0f} regions before training, "
            f"{mean['trained']:,.0f} after it (at most {region_bounds.most(widths, 2):,}); along the diagonal "
            f"{mean['line_initial']:.0f} and {mean['line_trained']:.0f} (at most {region_bounds.most(widths, 1):,}); "
            f"{percent(mean['accuracy'])} classified rightly."
        )
        metrics |= {f"{name}_{number}": value for name, value in mean.items()}
    few, many = (float(np.mean([row["pieces"] for row in growth if row["units"] == units])) for units in ENDS)
    run.say(
        f"Before training: {few:.0f} pieces along the diagonal with {counted(ENDS[0], 'units')}, {many:.0f} with "
        f"{ENDS[1]}: {few / ENDS[0]:.2f} and {many / ENDS[1]:.2f} for each unit."
    )
    return metrics | {f"pieces_of_{ENDS[0]}_units": few, f"pieces_of_{ENDS[1]}_units": many}


def approximated(config, run):
    """x ** 2 and a sawtooth by width and by depth: with explicit weights, and with trained ones."""
    teeth, lab = config.teeth, dl.laboratory.region_training
    networks, steps = (NETWORKS[::3], 20) if config.smoke else (NETWORKS, STEPS)
    rows = approximation.explicit(teeth) + lab.learned(run, teeth, networks, steps=steps, seed=config.seed)
    dl.laboratory.results.picture(run, "approximation", region_figures.of_approximation(rows, teeth), rows)

    def least(function, network):
        return min(r["error"] for r in rows if r["function"] == function and r["network"].endswith(network))

    wide, deep = (least("parabola", f"{network}, explicit") for network in ("one layer", "depth"))
    learned = least("sawtooth", "trained")
    nothing = learned > 0.98 * approximation.OF_ONE_HALF  # a distance that is less by a fiftieth is no success
    run.say(
        f"x ** 2: the error of {counted(2**approximation.LARGEST_WIDTH, 'units')} in one layer is {wide:.2g}, that of "
        f"{counted(3 * approximation.LARGEST_DEPTH, 'units')} in {approximation.LARGEST_DEPTH} layers {deep:.2g}."
    )
    run.say(
        f"A sawtooth of {2**teeth:,} sides is exactly a network of {counted(2 * teeth, 'units')} in "
        f"{counted(teeth, 'layers')}; one layer needs at least {2**teeth - 1:,}, and with at most "
        f"{2 ** (teeth - 2) - 1:,} stays at a mean distance of 1/16 or more. The best trained network has a mean "
        f"distance of {learned:.2g}; always answering 1/2 has {approximation.OF_ONE_HALF:.2g}"
        f"{', so it has learned nothing' if nothing else ''}."
    )
    return {"parabola_wide": wide, "parabola_deep": deep, "sawtooth_trained": learned}


def own_regions(config):
    """(layers, regions) of a user's network: in a square around 0, in two random directions of its inputs."""
    layers = dense_layers.load(config.keras_file)
    inputs, half_width = len(layers[0][0]), config.half_width
    if inputs == 1:
        return layers, intervals.pieces(layers, low=-half_width, high=half_width)
    directions = np.linalg.qr(np.random.default_rng(config.seed).normal(size=(inputs, 2)))[0]
    plane = None if inputs == 2 else (np.zeros(inputs), directions)
    return layers, regions.polygons(layers, plane, half_width=half_width)


def own_network(config, run, layers, cut):
    """Draw and count what own_regions has cut."""
    inputs = len(layers[0][0])
    if inputs == 1:
        figure = region_figures.of_pieces(cut, "your network")
        dl.laboratory.results.picture(run, "own", figure, {"breaks": cut.breaks, "values": cut.values}, svg=True)
    else:
        pictured(run, "own", [cut], [f"your network: {counted(len(cut), 'regions')}"])
    widths = tuple(len(bias) for _, bias in layers[:-1])
    most = region_bounds.most(widths, min(inputs, 2))
    run.say(
        f"{config.keras_file}, hidden widths {widths}, has {counted(len(cut), 'regions')} there; the most is {most:,}."
    )
    return {"regions": float(len(cut))}


def pictured(run, name, cuts, titles, *, zooms=None, **shown):
    """Write regions side by side as PNG and SVG, with the numbers that are drawn."""
    figure = region_figures.of_regions(cuts, titles, zooms=zooms, **shown)
    dl.laboratory.results.picture(run, name, figure, region_figures.numbers(cuts, **shown), svg=True)


def compared(run, layers, cut):
    """{"equal_to_oracle": 1.0 if linear programming finds the same patterns, else 0.0}; {} of too many regions."""
    if len(cut) > CHECKED:
        return {}
    equal = patterns.patterns(layers, cut.center, cut.half_width) == {tuple(map(bool, row)) for row in cut.patterns}
    what = (
        f"the same {counted(len(cut), 'on/off patterns')} of the units"
        if equal
        else "other on/off patterns of the units, so one of the two counts is wrong"
    )
    run.say(f"Check: linear programming finds {what}.")
    return {"equal_to_oracle": float(equal)}


FIGURES = {
    "shallow": shallow, "folding": folded, "training": training, "depth": depth, "approximation": approximated,
}  # fmt: skip


if __name__ == "__main__":
    command_line.run(main)
