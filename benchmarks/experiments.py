"""Two demonstrations of the lecture, run with keras_dl's own functions: degradation, and batch normalisation.

    python benchmarks/experiments.py degradation plain56 --json FILE
    python benchmarks/experiments.py batchnorm with --json FILE

Degradation (He et al. 2015, section 4.2, figure 6): with the same epochs, schedule and width, a deeper plain network
has a higher training error than a shallow one, and a residual network of the same depth has not. Deviations: a quarter
of the paper's width, and a schedule of DEGRADATION["epochs"] epochs, not 64k steps. The training error is measured on
the mini-batches of training itself, augmented and in training mode; the norms of the loss' gradient with respect to
each layer's weights, before the first step and after the last, are recorded beside it.

Batch normalisation (Ioffe and Szegedy 2015, section 4.1, figure 1a): three hidden layers of 100 sigmoid units, batch
60, weights from a small Gaussian, 50,000 steps, with and without normalisation. Deviations: 54 whole epochs (49,518
steps) of the 55,000 training images; the Gaussian's width and the learning rate are ours. The curve is the test
accuracy, as in the paper; nothing is chosen by it.
"""

import argparse
import json
import tempfile
from pathlib import Path

from keras_dl import command_line, imports, runs, settings

SEED = 0
DEGRADATION = {
    "epochs": 6, "batch_size": 128, "filters": 4, "optimizer": "momentum", "learning_rate": 0.1, "schedule": "steps",
    "weight_decay": 1e-4,
}  # fmt: skip
NETS = {
    "plain20": {"depth": 20, "shortcut": "none"},
    "plain56": {"depth": 56, "shortcut": "none"},
    "resnet56": {"depth": 56, "shortcut": "identity"},
}
GRADIENT_BATCH = 500  # training images, not augmented
BATCHNORM = {
    "epochs": 54, "batch_size": 60, "units": (100, 100, 100), "optimizer": "sgd", "learning_rate": 0.1, "std": 0.1
}  # fmt: skip
NORMALISED = {"without": False, "with": True}
COLOURS = ("tab:blue", "tab:red", "tab:green")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("row", choices=[*NETS, *NORMALISED])
    parser.add_argument("--json", type=Path, help="write the result there")
    parser.add_argument("--smoke", action="store_true", help="one epoch of 256 images: does everything run?")
    asked = parser.parse_args(argv)
    experiment, rows = EXPERIMENTS[asked.experiment]
    settings.check(asked.row in rows, f"{asked.experiment}: row must be one of {', '.join(rows)}; got {asked.row!r}.")
    result = experiment(asked.row, asked.smoke)
    print(", ".join(f"{name} {value:.4g}" for name, value in result["metrics"].items()))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1))


def degradation(row, smoke=False):
    """Train one of NETS on CIFAR-10: its training error by epoch, its gradient's norm by layer before and after."""
    plan = DEGRADATION | ({"epochs": 1} if smoke else {})
    model, splits, train = cifar10(NETS[row], plan, smoke)
    fixed = splits.train.take(slice(GRADIENT_BATCH))
    fixed = (splits.preprocess(fixed.features["image"]), fixed.features["label"])
    initial = _gradient_norms(model, fixed)
    history = fit(model, train, None, plan["epochs"])
    errors = [100 * (1 - accuracy) for accuracy in history["accuracy"]]
    return {
        "metrics": {"train_error": errors[-1]},
        "details": {**plan, "parameters": model.count_params(), "steps": plan["epochs"] * train.steps()},
        "curves": {
            "train_error": errors,
            "gradient_norm": {"initial": initial, "trained": _gradient_norms(model, fixed)},
        },
    }


def cifar10(network, plan, smoke=False):
    """(a compiled network, the Splits of CIFAR-10, the augmented batches of its training).

    Args:
        network: arguments of build_resnet_cifar, beside the plan's "filters".
        plan: as DEGRADATION.
        smoke: take 256 images of each split.
    """
    with imports.quiet_tensorflow():
        from keras_dl import data, models
        from keras_dl.data import images
    splits = images.load("cifar10", SEED)
    splits = splits.few(256, SEED) if smoke else splits
    train = data.batches(
        splits.train, plan["batch_size"], collate=images.with_labels(splits.preprocess), seed=SEED, shuffle=True,
        augment=images.augmentation("crop_flip", splits.info, splits.preprocess),
    )  # fmt: skip
    model = _compiled(
        lambda: models.build_resnet_cifar(splits.preprocess.input_shape, 10, filters=plan["filters"], **network),
        plan, train.steps(),
    )  # fmt: skip
    return model, splits, train


def batchnorm(row, smoke=False):
    """Train the sigmoid network on MNIST, with or without batch normalisation: its test accuracy by epoch."""
    with imports.quiet_tensorflow():
        import keras
        import numpy as np

        from keras_dl import data, models
        from keras_dl.data import images
    plan = BATCHNORM | ({"epochs": 1} if smoke else {})
    splits = images.load("mnist", SEED)
    splits = splits.few(256, SEED) if smoke else splits
    collate = images.with_labels(splits.preprocess)
    train = data.batches(splits.train, plan["batch_size"], collate=collate, seed=SEED, shuffle=True)
    test = data.batches(splits.test, 500, collate=collate)

    def build():
        model = models.build_mlp(
            splits.preprocess.input_shape, 10, units=plan["units"], activation="sigmoid", batch_norm=NORMALISED[row]
        )
        rng = np.random.default_rng(SEED)
        for layer in model.layers:
            if isinstance(layer, keras.layers.Dense):
                layer.kernel.assign(rng.normal(0, plan["std"], layer.kernel.shape))
        return model

    model = _compiled(build, plan, train.steps())
    history = fit(model, train, test, plan["epochs"])
    accuracies = [100 * accuracy for accuracy in history["val_accuracy"]]
    return {
        "metrics": {"test_accuracy": accuracies[-1]},
        "details": {**plan, "parameters": model.count_params(), "steps": plan["epochs"] * train.steps()},
        "curves": {"test_accuracy": accuracies, "steps_per_epoch": train.steps()},
    }


def draw_degradation(curves, path):
    """Training error by epoch; the gradient's norm by layer, before training and after."""
    with _figure(path, 2) as (error, gradient):
        for colour, (name, curve) in zip(COLOURS, _in_order(curves, NETS), strict=False):
            error.plot(range(1, 1 + len(curve["train_error"])), curve["train_error"], color=colour, label=name)
            for when, style in (("initial", ":"), ("trained", "-")):
                norms = list(curve["gradient_norm"][when].values())
                label = f"{name}, {when}"
                gradient.plot(range(1, 1 + len(norms)), norms, style, color=colour, label=label)
        error.set(xlabel="epoch", ylabel="training error, percent", title="Training error")
        gradient.set(xlabel="layer", ylabel="norm", yscale="log", title="Gradient of the loss by each layer's weights")


def draw_batchnorm(curves, path):
    """Test accuracy by step."""
    with _figure(path, 1) as (axes,):
        for colour, (name, curve) in zip(COLOURS, _in_order(curves, NORMALISED), strict=False):
            steps = [curve["steps_per_epoch"] * epoch for epoch in range(1, 1 + len(curve["test_accuracy"]))]
            axes.plot(steps, curve["test_accuracy"], color=colour, label=f"{name} batch normalisation")
        axes.set(xlabel="step", ylabel="test accuracy, percent", title="Three layers of 100 sigmoid units on MNIST")


def _compiled(build, plan, steps_per_epoch):
    """The network with the plan's optimizer; every experiment starts from one seed."""
    import keras

    from keras_dl import optimizers

    keras.utils.set_random_seed(SEED)
    model = build()
    model.compile(
        optimizer=optimizers.build(
            plan["optimizer"], plan["learning_rate"], schedule=plan.get("schedule", "constant"),
            steps=plan["epochs"] * steps_per_epoch, weight_decay=plan.get("weight_decay", 0.0),
        ),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )  # fmt: skip
    return model


def fit(model, train, watched, epochs):
    """Train a compiled model without checkpoints; the history {name: one number an epoch}."""
    from keras_dl import training

    with tempfile.TemporaryDirectory(prefix="keras_dl-experiment-") as folder:
        run = runs.Run(path=Path(folder) / "run", root=Path(folder), name=model.name, app="experiments", seed=SEED)
        return training.fit(model, train, watched, run, epochs=epochs, keep="last", checkpoint=False, verbose=1)


def _gradient_norms(model, batch):
    """The gradient's norms of the convolutions and the last layer, in their order."""
    from keras_dl import summaries

    norms = summaries.gradient_norms(model, batch)
    return {name: norm for name, norm in norms.items() if hasattr(model.get_layer(name), "kernel")}


def _in_order(curves, rows):
    return [(row, curves[row]) for row in rows if row in curves]


class _figure:
    """`count` axes side by side; at its end, grids and legends are drawn and the picture is written."""

    def __init__(self, path, count):
        self.path, self.count = path, count

    def __enter__(self):
        from matplotlib.figure import Figure

        self.figure = Figure(figsize=(6 * self.count, 4), layout="constrained")
        return self.figure.subplots(1, self.count, squeeze=False)[0]

    def __exit__(self, *error):
        for axes in self.figure.axes:
            axes.grid(alpha=0.3)
            axes.legend()
        if not any(error):
            self.figure.savefig(self.path, dpi=120)


EXPERIMENTS = {"degradation": (degradation, NETS), "batchnorm": (batchnorm, NORMALISED)}
PICTURES = {"degradation": draw_degradation, "batchnorm": draw_batchnorm}

if __name__ == "__main__":
    command_line.run(main)
