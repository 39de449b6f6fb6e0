"""What a ConvNet's prior is worth in examples: MNIST test error of a ConvNet and of the MLP that it is, unrolled.

    python benchmarks/priors.py convnet 1000 --json FILE

Both networks have as many units in as many layers, and the same training: laboratory/architectures.py, LARGE, has its
updates, batches and learning rates; 60,000 pictures are those of the training and the validation split. The weights of
the last update are tested, on the test pictures and on the same ones moved by up to four pixels in each direction,
drawn once. Figures are the mean of three seeds (first weights, and which pictures) with the smallest and the largest.
"""

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path

from rows import mean_and_range

from keras_dl import command_line, imports, runs
from keras_dl.waiting import counting

DATA, SEED, SEEDS = "mnist", 0, range(3)
NETWORKS, SIZES = ("mlp", "convnet"), (100, 1000, 10_000, 60_000)
METRICS = ("test_error", "test_error_shifted")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("examples", type=int, choices=SIZES)
    parser.add_argument("--json", type=Path, help="write the result there")
    parser.add_argument("--smoke", action="store_true", help="a few digits, one seed, 5 updates: does everything run?")
    asked = parser.parse_args(argv)
    result = measure(asked.network, asked.examples, asked.smoke)
    print(", ".join(f"{name} {figure['value']:.4g}" for name, figure in result["metrics"].items()))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1))


def measure(network, examples, smoke=False):
    """{"metrics": {name: {"value", "spread"}}, "details", "curves"} of a network that learns so many pictures."""
    with imports.quiet_tensorflow():
        from keras_dl.laboratory import architectures, moved_pictures
    setup = architectures.SETUPS["digits" if smoke else DATA]
    plan = {"updates": 5} if smoke else {"updates": setup.updates}
    parts = moved_pictures.load("digits" if smoke else DATA, SEED)
    size, seeds = (20, SEEDS[:1]) if smoke else (examples, SEEDS)
    setup = dataclasses.replace(setup, **plan)
    with tempfile.TemporaryDirectory(prefix="keras_dl-priors-") as folder:
        run = runs.Run(path=Path(folder) / "run", root=Path(folder), name=network, app="priors", seed=SEED)
        comparison = architectures.Comparison(run, setup, parts, SEED)
        with counting("training", "network") as at:
            rows = comparison.by_size((size,), seeds, networks=(network,), both=False, at=at)
        parameters = comparison.trainer(network).model.count_params()
    values = {metric: [row[metric] for row in rows] for metric in METRICS}
    return {
        "metrics": {metric: mean_and_range(numbers) for metric, numbers in values.items()},
        "details": {
            **plan, "batch_size": setup.batch_size, "learning_rate": setup.learning_rates[network],
            "shift": setup.shift, "parameters": parameters,
        },
        "curves": {"network": network, "examples": size, **values},
    }  # fmt: skip


def draw(curves, path):
    """Test error by the number of training pictures, as they are and moved: the curves of all rows."""
    from keras_dl import figures
    from keras_dl.laboratory import architecture_figures

    rows = [
        {"network": curve["network"], "examples": curve["examples"], "test_error": one, "test_error_shifted": moved}
        for curve in curves.values()
        for one, moved in zip(curve["test_error"], curve["test_error_shifted"], strict=True)
    ]
    sizes = sorted({row["examples"] for row in rows})
    path.write_bytes(figures.png(architecture_figures.learning(rows, [], sizes, 4)))


PICTURES = {"priors": draw}

if __name__ == "__main__":
    command_line.run(main)
