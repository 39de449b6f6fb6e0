"""The loss around what training ends with: networks with shortcuts against the same networks without (Li et al. 2018).

    python benchmarks/landscape.py resnet56 --json FILE

ResNet-20 and ResNet-56 and the same networks without shortcuts, at a quarter of the paper's width, are trained on
CIFAR-10 with the recipe of benchmarks/experiments.py degradation and PLAN's epochs. Measured on fixed training images,
without augmentation and weight decay, batch normalisation with the running averages of training:

- sharpness: the largest eigenvalue of the Hessian of the loss by all trainable weights, by Lanczos' iteration to
  TOLERANCE; the mean over SETS disjoint sets of IMAGES images, and the smallest and largest of them;
- loss_at_half: the loss at distance 0.5 along filter-normalised directions, the mean of DIRECTIONS and its bootstrap
  interval of 95%;
- plane_seconds: the time of a plane of GRID x GRID points on IMAGES images.

The curves are the losses over the plane, which reproduce.py --docs draws for all four networks on one scale of colours.
"""

import argparse
import json
import time
from pathlib import Path

import experiments
from rows import mean_and_range

from keras_dl import bootstrap, command_line, figures, imports

SEED = 0
PLAN = experiments.DEGRADATION | {"epochs": 4}
NETS = {
    "resnet20": {"depth": 20, "shortcut": "identity"},
    "plain20": {"depth": 20, "shortcut": "none"},
    "resnet56": {"depth": 56, "shortcut": "identity"},
    "plain56": {"depth": 56, "shortcut": "none"},
}
IMAGES, SETS, DIRECTIONS, GRID, DISTANCE = 1000, 3, 10, 25, 0.5
PRODUCTS, TOLERANCE = 40, 1e-3


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("row", choices=NETS)
    parser.add_argument("--json", type=Path, help="write the result there")
    parser.add_argument("--smoke", action="store_true", help="a few images, points and products: does everything run?")
    asked = parser.parse_args(argv)
    result = measure(asked.row, asked.smoke)
    for name, figure in result["metrics"].items():
        print(name, " ".join(f"{key} {value}" for key, value in figure.items()) if isinstance(figure, dict) else figure)
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1))


def measure(row, smoke=False):
    """{"metrics", "details", "curves"} of a network."""
    with imports.quiet_tensorflow():
        import numpy as np

        from keras_dl.data import images
        from keras_dl.laboratory import directions, lanczos, landscape_training, sections, surfaces
    plan = PLAN | ({"epochs": 1} if smoke else {})
    model, splits, train = experiments.cifar10(NETS[row], plan, smoke)
    history = experiments.fit(model, train, None, plan["epochs"])
    count, sets, many, grid, products = (20, 2, 2, 3, 4) if smoke else (IMAGES, SETS, DIRECTIONS, GRID, PRODUCTS)
    collate = images.with_labels(splits.preprocess)
    order = np.random.default_rng(SEED).permutation(len(splits.train))[: sets * count].reshape(sets, count)
    every = [
        surfaces.Surface(model, landscape_training.fixed(splits.train.take(np.sort(rows)), collate, count, SEED))
        for rows in order
    ]
    surface = every[0]
    sharpness = []
    for each in every:
        (start,) = lanczos.probes(each.size, 1, SEED)
        ritz = lanczos.iterate(each.hessian_product, start, products, tolerance=TOLERANCE, precision=surfaces.PRECISION)
        sharpness.append(ritz.largest)
        print(f"largest eigenvalue {sharpness[-1][0]:.4g}, within {sharpness[-1][1]:.2g}", flush=True)
    along = [directions.random(surface.weights, surface.axes, (SEED, number)) for number in range(many)]
    at_half = sections.at_distance(surface, along, DISTANCE)
    side = np.linspace(-1, 1, grid)
    pair = [directions.random(surface.weights, surface.axes, (SEED, 1000 + number)) for number in range(2)]
    surface.values(surface.weights)  # traced before it is timed
    began = time.monotonic()
    plane = sections.plane(surface, pair, side, side)
    seconds = time.monotonic() - began
    numbers, largest = surface.values(surface.weights), [value for value, _ in sharpness]
    return {
        "metrics": {
            "sharpness": mean_and_range(largest),
            "loss_at_half": {"value": float(at_half.mean()), "spread": bootstrap.of_mean(at_half, SEED)},
            "plane_seconds": seconds,
            "train_loss": numbers["loss"],
        },
        "details": {
            **plan, "parameters": model.count_params(), "images": count, "points": grid * grid,
            "train_error": 100 * (1 - history["accuracy"][-1]), "fixed_error": 100 * numbers["error"],
            "lanczos_errors": [error for _, error in sharpness],
        },
        "curves": {"loss": plane["loss"].tolist(), "side": side.tolist()},
    }  # fmt: skip


def draw(curves, path):
    """The losses over the planes of all networks, on one scale of colours."""
    import numpy as np

    from keras_dl.laboratory import landscape_figures

    known = {name: curves[name] for name in NETS if name in curves}
    side = np.array(next(iter(known.values()))["side"])
    figure = landscape_figures.of_planes({name: np.array(each["loss"]) for name, each in known.items()}, side, side)
    path.write_bytes(figures.png(figure))


PICTURES = {"landscape": draw}

if __name__ == "__main__":
    command_line.run(main)
