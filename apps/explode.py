"""Why gradients explode and vanish: the wall in the error of one recurrent unit, and Jacobians through time.

Slide "Classical view for: the error is (h(50) - 0.7)^2", with h(t) = w s(h(t-1)) + b and h(0) = 0.5. In the paper that
it is taken from (Pascanu, Mikolov and Bengio 2013, arXiv:1211.5063, equation 8 and figure 6) the error is
(s(h(50)) - 0.7)^2: the slide leaves out the outer s. Both are shown. dE/dW is a sum over products of Jacobians
(equations 3 to 5):

    dE/dW = sum over k = 1 ... T of dE/dh(T) [product over j = k+1 ... T of dh(j)/dh(j-1)] d+h(k)/dW

where d+h(k)/dW takes h(k-1) as a constant. Where the norms of the Jacobians stay above 1 it explodes, where they stay
below 1 it vanishes.

    python apps/explode.py                                        # all figures: about a minute
    python apps/explode.py --reading paper --start-w 5 --start-b -2.2 --learning-rate 0.1
    python apps/explode.py --steps 20                             # a shorter past: a lower wall
    python apps/explode.py --length 100 --training-epochs 40      # networks that must remember for longer

Look at: surface.png and surface_3d.png, where the descent without clipping (red) meets the wall and is thrown out of
the plane, while the one with its norm clipped (blue) bounces off it in short steps. paths.gif shows the two step by
step. wall.png: the norm of the gradient across the wall; its largest value grows with T by the factor w s'(0.5) a step.
through_time.png: norms of dh(T)/dh(T-k) of a tanh network, an LSTM and a GRU, before and after they are trained
to add two marked numbers of a sequence; the dashed bounds are products of the largest singular values of the recurrent
matrices and the largest slopes, and the norms stay below them, often far. distances.png: from how far back dE/dW comes.
"""

import dataclasses
from typing import Annotated, Literal

import numpy as np

import keras_dl as dl
from keras_dl import command_line, data, machine, models, runs, settings
from keras_dl.arguments import Number, Whole
from keras_dl.data import adding
from keras_dl.imports import keras  # imported when it is first used
from keras_dl.laboratory import jacobians, recurrent_figures, unrolling
from keras_dl.wording import counted, percent

APP = "explode"
CELLS = {"tanh": ("rnn", {}), "lstm": ("lstm", {"peephole": False}), "gru": ("gru", {})}
FRAMES = 40  # of the animation
FOLLOWED = 16  # test sequences whose Jacobians are computed


@dataclasses.dataclass(frozen=True)
class Config(settings.Experiment):
    """The wall in the error of one recurrent unit, and norms of Jacobians through time.

    What to look for: the top of apps/explode.py.
    """

    # which error the animation and the number largest_gradient belong to; the pictures show both
    reading: Literal["slide", "paper"] = "slide"
    steps: Annotated[int, Whole(2, 200)] = 50  # T, for how many steps the unit runs
    # what h(T) should be; in the paper's reading what s(h(T)) should be
    target: Annotated[float, Number("[-10, 10]")] = 0.7
    start_w: Annotated[float, Number("[4, 7]")] = 5.25  # where the descents begin
    start_b: Annotated[float, Number("[-3.2, -2]")] = -2.5  # where the descents begin
    learning_rate: Annotated[float, Number("(0, 10]", near=0.01)] = 0.03  # of the descents
    clip: Annotated[float, Number("(0, 1e6]", near=0.1)] = 1.0  # largest norm of the gradient in the clipped descent
    updates: Annotated[int, Whole(1, 1000)] = 100  # steps of each descent
    grid: Annotated[int, Whole(10, 500)] = 201  # points of the surface along each side
    length: Annotated[int, Whole(3, 400)] = 50  # steps of a sequence of the adding problem
    units: Annotated[int, Whole(1, 128)] = 32  # of each of the three networks
    training_epochs: Annotated[int, Whole(1, 1000)] = 15  # passes of each network over its sequences
    sequences: Annotated[int, Whole(1, 100_000)] = 5000  # that the networks are trained on


def main(argv=None):
    """Compute and draw everything; return the numbers that were seen as {name: float}."""
    config = command_line.parse(Config, argv, app=APP)
    if (finished := runs.finished(config, APP)) is not None:
        return finished
    hardware = machine.prepare(config)
    run = runs.start(hardware, app=APP, name="recurrent")
    metrics = one_unit(run, config) | networks(run, config)
    other = [["--reading", "paper"], ["--steps", 20], ["--length", 100, "--training-epochs", 40]]
    return dl.laboratory.results.finish(run, __file__, metrics, other=other)


def one_unit(run, config):
    """The surface, the wall and the two descents in both readings: {name: float} of the reading that was asked for."""
    results = dl.laboratory.results
    units = {name: unrolling.Unit(name, config.steps, config.target) for name in unrolling.READINGS}
    surfaces = {name: unrolling.surface(unit, 61 if config.smoke else config.grid) for name, unit in units.items()}
    largest = {name: unrolling.largest_gradient(unit) for name, unit in units.items()}
    paths = {name: _descents(unit, config) for name, unit in units.items()}
    unit = units[config.reading]
    run.say(
        f"the wall is the line b = {unit.first} - {unrolling.sigmoid(unit.first):.4f} w from w = {unit.foot:.3f} on: "
        f"there h stays at {unit.first}, and a distance from it grows by the factor w s'({unit.first}) > 1 a step."
    )
    for name in units:
        norm, w, b = largest[name]
        middle = float(np.median(surfaces[name]["gradient"]))
        run.say(
            f"{name}: the largest norm of the gradient in this part of the plane is {norm:.3g}, beside the wall at "
            f"w = {w:.3f}, b = {b:.3f}; the median of the plane is {middle:.3g}."
        )
        run.say(f"{name}: {_of_descents(paths[name], config)}")
    seen = {name: surfaces[name] | _of_kinds(paths[name]) for name in surfaces}
    numbers = {f"{name}_{key}": values for name in seen for key, values in seen[name].items()}
    results.picture(run, "surface", recurrent_figures.contours(surfaces, paths), numbers)
    results.picture(run, "surface_3d", recurrent_figures.in_space(surfaces, paths), numbers)
    w = largest[config.reading][1]
    profile, growth = unrolling.across(units, w), unrolling.by_steps(units, config.steps)
    of_both = {"across": profile | {"w": w}, "growth": growth}
    numbers = {f"{which}_{key}": values for which, each in of_both.items() for key, values in each.items()}
    results.picture(run, "wall", recurrent_figures.wall(profile, growth, w), numbers)
    chosen = surfaces[config.reading], paths[config.reading]
    frames = list(recurrent_figures.frames(*chosen, 3 if config.smoke else FRAMES))
    results.animation(run, "paths", frames, seen[config.reading])
    jumps = {f"jump_{kind}": float(path["lengths"].max()) for kind, path in paths[config.reading].items()}
    return {"largest_gradient": largest[config.reading][0]} | jumps


def networks(run, config):
    """Norms of Jacobians through time of the three networks, before and after training: {name: float}."""
    length, count = (8, 100) if config.smoke else (config.length, config.sequences)
    train, validation, test = (
        adding.sequences(np.random.default_rng((config.seed, part)), size, length)
        for part, size in enumerate((count, 500, FOLLOWED))
    )
    train = data.batches(train, 50, collate=adding.batch, seed=config.seed, shuffle=True)
    validation = data.batches(validation, 500, collate=adding.batch)
    rows = test.features["sequence"]
    results, shares, metrics = {}, {}, {}
    for cell, (kind, arguments) in CELLS.items():
        training = run.training(cell)
        model = training.build(_compiled, kind, arguments, length, config.units)
        stages = {"initial": _trajectory(model, rows)}
        if cell == "tanh":
            shares["initial"] = _distances(model, stages["initial"], test)
        epochs = 1 if config.smoke else config.training_epochs
        history = dl.training.fit(
            model, train, validation, training, epochs=epochs,
            callbacks=[dl.summaries.TensorBoard(training, train, validation)],
        )  # fmt: skip
        stages["trained"] = _trajectory(model, rows)
        if cell == "tanh":
            shares["trained"] = _distances(model, stages["trained"], test)
        results[cell] = {
            stage: {"norms": jacobians.norms(t.steps, t.units), "bounds": jacobians.bounds_of_norms(t.bounds)}
            for stage, t in stages.items()
        }
        metrics[f"{cell}_mse"] = min(history["val_loss"])
        metrics |= {f"{cell}_{s}_factor": jacobians.factor(v["norms"]) for s, v in results[cell].items()}
        run.say(_of_cell(cell, results[cell], metrics))
    for stage in ("initial", "trained"):
        of = {cell: metrics[f"{cell}_{stage}_factor"] for cell in CELLS}
        factors = ", ".join(f"{cell} ({of[cell]:.3f})" for cell in sorted(of, key=of.get))
        run.say(
            f"{stage}: the factor of |dh(T)/dh(T-k)| a step, from the smallest: {factors}; below 1 the past is "
            f"forgotten, above 1 the gradient explodes."
        )
    near = min(10, length)
    run.say(
        f"tanh: {percent(shares['trained'][:near].sum())} of dE/dW, by the norms of its terms, comes from the last "
        f"{counted(near, 'steps')}, before training {percent(shares['initial'][:near].sum())}."
    )
    numbers = {
        f"{cell}_{stage}_{key}": values
        for cell, stages in results.items() for stage, of in stages.items() for key, values in of.items()
    }  # fmt: skip
    dl.laboratory.results.picture(run, "through_time", recurrent_figures.through_time(results), numbers)
    dl.laboratory.results.picture(run, "distances", recurrent_figures.distances(shares), shares)
    return metrics


def _compiled(kind, arguments, length, units):
    build = getattr(models, f"build_{kind}")
    model = build((length, 2), 1, units=(units,), return_sequences=False, implementation="xla", **arguments)
    model.compile(keras.optimizers.Adam(5e-3, global_clipnorm=1.0), "mean_squared_error")
    return model


def _trajectory(model, rows):
    return jacobians.trajectory(model.layers[1], rows)


def _distances(model, trajectory, test):
    """The share of each distance in dE/dW of the tanh network, E the mean squared error of the sequences: (T,)."""
    kernel, bias = (weight.astype(np.float64) for weight in model.layers[-1].get_weights())
    by_state = np.zeros_like(trajectory.states[:, 1:])
    errors = trajectory.states[:, -1] @ kernel + bias - test.features["sum"]
    by_state[:, -1] = 2 * errors @ kernel.T / len(errors)
    (recurrent,) = model.layers[1].recurrent_kernels
    recurrent = recurrent.numpy().astype(np.float64)
    return jacobians.shares(jacobians.contributions(recurrent, trajectory.states, by_state))


def _descents(unit, config):
    start, thresholds = (config.start_w, config.start_b), {"unclipped": None, "clipped": config.clip}
    return {
        kind: unrolling.descend(unit, start, config.learning_rate, config.updates, threshold)
        for kind, threshold in thresholds.items()
    }


def _of_kinds(paths):
    """{name: array} of both descents."""
    return {f"{kind}_{key}": values for kind, path in paths.items() for key, values in path.items()}


def _of_descents(paths, config):
    """What the two descents did, in a sentence."""
    free, clipped = paths["unclipped"], paths["clipped"]
    lengths = free["lengths"]
    number = int(lengths.argmax())
    place = [", ".join(f"{value:.3g}" for value in free["points"][number + more]) for more in (0, 1)]
    return (
        f"without clipping, update {number + 1} has a gradient of norm {free['norms'][number]:.3g} and moves (w, b) by "
        f"{lengths[number]:.3g}, from ({place[0]}) to ({place[1]}); after {len(lengths)} the error is "
        f"{free['errors'][-1]:.2g}. With the norm clipped at {config.clip:g} no update is longer than "
        f"{clipped['lengths'].max():.2g}; the error is {clipped['errors'][-1]:.2g} at the end and "
        f"{clipped['errors'].min():.2g} at its smallest."
    )


def _of_cell(cell, stages, metrics):
    """How fast a network forgets, in a sentence."""
    said = []
    for stage, values in stages.items():
        back = values["norms"].shape[1] - 1
        said.append(
            f"{stage}, |dh(T)/dh(T-{back})| is {np.median(values['norms'][:, -1]):.1e}, a factor of "
            f"{metrics[f'{cell}_{stage}_factor']:.3f} a step, where the bound is "
            f"{np.median(values['bounds'][:, -1]):.1e}"
        )
    return (
        f"{cell}: {'; '.join(said)}. Its mean squared error is {metrics[f'{cell}_mse']:.3g} "
        f"({adding.BASELINE:.3g}: always answering 1)."
    )


if __name__ == "__main__":
    command_line.run(main)
