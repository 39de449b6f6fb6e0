"""Experiments with recurrent networks: memory, and the music tables of two papers.

    python benchmarks/recurrent.py memory adding_lstm --json FILE
    python benchmarks/recurrent.py music_chung gru_jsb_chorales --json FILE
    python benchmarks/recurrent.py music_deep dts_nottingham --json FILE

memory. adding: two marked numbers of a sequence of 200 steps are to be added (keras_dl/data/adding.py), by the TCN of
600 steps; a model that always answers 1 has a mean squared error of 1/6. row_mnist: an image is read row by row, in 28
steps. pixel_mnist: pixel by pixel, at 14 x 14 (2 x 2 pixels averaged), in 196 steps; the paper's task has 784.

music_chung. Chung et al., arXiv:1412.3555, section 4: tanh, GRU and LSTM units of about 20,000 weights each, RMSProp,
weight noise of 0.075, gradients rescaled to norm 1, early stopping. The paper draws ten learning rates; here each cell
is trained with four on seed 0, and with the best of them by validation on seeds 0, 1 and 2. The figure is the mean of
the three test likelihoods, the spread their lowest and highest. Batches hold 16 pieces; padded steps do not count.

music_deep. Pascanu et al., arXiv:1312.6026, section 5.1: RNN, sRNN, DT(S) and DOT(S) in the paper's sizes, on seed 0,
all four trained in the same way.
"""

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path

import numpy as np

from keras_dl import command_line, imports, models, runs, settings

SEED = 0
CELLS = ("rnn", "lstm", "gru")

ADDING = {
    "steps": 200, "units": 64, "train": 50_000, "test": 10_000, "batch_size": 50, "epochs": 12, "learning_rate": 2e-3,
    "clipnorm": 1.0,
}  # fmt: skip
ADDING_TCN = ADDING | {  # the network and the training of Bai et al., arXiv:1803.01271, and of their code
    "steps": 600, "num_layers": 8, "filters": 24, "kernel_size": 8, "initializer": "authors_code", "batch_size": 32,
    "epochs": 3, "learning_rate": 4e-3, "clipnorm": None,
}  # fmt: skip
ROW_MNIST = {"units": 128, "batch_size": 128, "epochs": 8, "learning_rate": 2e-3, "clipnorm": 1.0}
PIXEL_MNIST = ROW_MNIST | {"epochs": 12, "learning_rate": 1e-3}
PIXEL_MNIST_TCN = PIXEL_MNIST | {  # a field of 757 steps; theirs, of two layers more, has 3,061 for 784 steps
    "num_layers": 6, "filters": 25, "kernel_size": 7, "initializer": "authors_code", "learning_rate": 2e-3,
}  # fmt: skip

CHUNG = {
    "learning_rates": tuple(float(f"{np.exp(e):.3g}") for e in (-8, -7, -6, -5)),  # the paper's lie in exp(-12 .. -6)
    "seeds": (0, 1, 2), "batch_size": 16, "weight_noise": 0.075, "clipnorm": 1.0,
    "epochs": {"nottingham": 80, "jsb_chorales": 300}, "patience": {"nottingham": 10, "jsb_chorales": 30},
}  # fmt: skip
DEEP = {  # not tuned; with noise of 0.075 the 600 tanh units diverged on Nottingham within an epoch
    "batch_size": 16, "weight_noise": 0.02, "clipnorm": 1.0, "learning_rate": 1e-3,
    "epochs": {"nottingham": 40, "jsb_chorales": 150}, "patience": {"nottingham": 6, "jsb_chorales": 25},
}  # fmt: skip
FORMS = {
    "rnn": {"units": (600,)},
    "srnn": {"units": (400, 400)},
    "dts": {"units": (400,), "transition_units": (400,), "shortcut": True},
    "dots": {"units": (400,), "transition_units": (400,), "shortcut": True, "output_units": (400,)},
}
SETS = ("nottingham", "jsb_chorales")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("table", choices=ROWS)
    parser.add_argument("row")
    parser.add_argument("--json", type=Path, help="write the result there")
    parser.add_argument("--smoke", action="store_true", help="an epoch of few examples: does everything run?")
    asked = parser.parse_args(argv)
    rows = ROWS[asked.table]
    settings.check(asked.row in rows, f"{asked.table}: row must be one of {', '.join(rows)}; got {asked.row!r}.")
    with imports.quiet_tensorflow():
        import keras  # noqa: F401 - quietly, before what imports it
    experiment, *words = rows[asked.row]
    result = experiment(*words, smoke=asked.smoke)
    print(", ".join(f"{name} {_value(value):.4g}" for name, value in result["metrics"].items()))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1))


def adding(cell, smoke=False):
    """Mean squared error of the sum of two marked numbers, on sequences that were not trained on."""
    import keras

    from keras_dl.data import adding as sums

    plan = (ADDING_TCN if cell == "tcn" else ADDING) | ({"train": 200, "test": 100, "epochs": 1} if smoke else {})
    train, validation, test = (
        sums.sequences(np.random.default_rng((SEED, part)), count, plan["steps"])
        for part, count in enumerate((plan["train"], plan["test"] // 10, plan["test"]))
    )
    model = _build(cell, (plan["steps"], 2), 1, plan)
    model.compile(keras.optimizers.Adam(plan["learning_rate"], global_clipnorm=plan["clipnorm"]), "mean_squared_error")
    history, metrics = _trained(model, plan, train, validation, test, sums.batch, "loss")
    return {"metrics": {"mse": metrics["loss"]}, "details": plan, "curves": {"mse": history["val_loss"]}}


def mnist(cell, by, smoke=False):
    """Accuracy of a classifier that reads an image in sequence."""
    import keras

    from keras_dl.data import images

    plan = ROW_MNIST if by == "row" else PIXEL_MNIST_TCN if cell == "tcn" else PIXEL_MNIST
    plan = plan | ({"epochs": 1} if smoke else {})
    splits = images.load("mnist", SEED)
    splits = splits.few(300, SEED) if smoke else splits
    read = _Reader(splits.preprocess, by)
    model = _build(cell, read.shape, 10, plan)
    model.compile(
        keras.optimizers.Adam(plan["learning_rate"], global_clipnorm=plan["clipnorm"]),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    history, metrics = _trained(model, plan, splits.train, splits.validation, splits.test, read.batch, "accuracy")
    details = plan | {"validation_accuracy": [round(100 * a, 2) for a in history["val_accuracy"]]}
    return {"metrics": {"test_accuracy": 100 * metrics["accuracy"]}, "details": details}


def chung(cell, name, smoke=False):
    """Nats a time step of Chung et al.'s network: the learning rate by validation on one seed, then three seeds."""
    plan = CHUNG | {"epochs": CHUNG["epochs"][name], "patience": CHUNG["patience"][name]}
    if smoke:
        plan |= {"epochs": 1, "learning_rates": (1e-3,), "seeds": (0, 1)}
    splits = _music(name, smoke)
    runs = {rate: _play(cell, {}, splits, plan, rate, plan["seeds"][0]) for rate in plan["learning_rates"]}
    best = min(runs, key=lambda rate: runs[rate]["validation"])
    seeds = [runs[best], *(_play(cell, {}, splits, plan, best, seed) for seed in plan["seeds"][1:])]
    tests = [run["test"]() for run in seeds]
    details = {
        **plan, "learning_rate": best, "validation_by_rate": {str(r): runs[r]["validation"] for r in runs},
        "validation": [run["validation"] for run in seeds], "epochs_run": [run["epochs"] for run in seeds],
        "test": tests, "parameters": seeds[0]["parameters"],
    }  # fmt: skip
    return {
        "metrics": {"nats_per_step": {"value": float(np.mean(tests)), "spread": [min(tests), max(tests)]}},
        "details": details,
    }


def deep(form, name, smoke=False):
    """Nats a time step of one of Pascanu et al.'s networks."""
    plan = DEEP | {"epochs": 1 if smoke else DEEP["epochs"][name], "patience": DEEP["patience"][name]}
    run = _play("rnn", FORMS[form], _music(name, smoke), plan, plan["learning_rate"], SEED)
    details = {**plan, **FORMS[form], **{key: run[key] for key in ("validation", "epochs", "parameters")}}
    return {"metrics": {"nats_per_step": run["test"]()}, "details": details}


def _play(cell, arguments, splits, plan, rate, seed):
    """Train one network on music: {"validation": its best nats a step, "test": a function that reads the test, ...}."""
    import keras

    from keras_dl import data, objectives, sequences, training
    from keras_dl.data import plans

    keras.utils.set_random_seed(seed)
    size, lengths = plan["batch_size"], splits.train.features["roll"].lengths
    train = data.batches(
        splits.train, size, collate=splits.preprocess.batch, seed=seed, plan=plans.bucketed(lengths, size)
    )
    validation, test = (
        data.batches(s, size, collate=splits.preprocess.batch) for s in (splits.validation, splits.test)
    )
    network = getattr(models, f"build_{cell}")(**({"units": (100,)} if cell == "rnn" else {}) | arguments)
    model = sequences.SequenceModel(network, weight_noise=plan["weight_noise"], seed=seed)
    model.compile(
        keras.optimizers.RMSprop(rate, global_clipnorm=plan["clipnorm"]), objectives.SequenceLoss("bernoulli"),
        weighted_metrics=[objectives.NatsPerStep("bernoulli")],
    )  # fmt: skip
    history = _fit(
        model, train, validation, plan["epochs"], monitor="val_nats", seed=seed,
        callbacks=training.stopping(plan["patience"], 0, "val_nats"),
    )  # fmt: skip
    return {
        "validation": min(history["val_nats"]), "epochs": len(history["val_nats"]),
        "parameters": network.count_params(), "test": lambda: training.evaluate(model, test)["nats"],
    }  # fmt: skip


def _build(cell, input_shape, outputs, plan):
    """A network that answers after the last step."""
    import keras

    keras.utils.set_random_seed(SEED)
    if cell == "tcn":
        arguments = {name: plan[name] for name in ("num_layers", "filters", "kernel_size", "initializer")}
    else:
        arguments = {"units": (plan["units"],), "implementation": "xla"}
        arguments |= {"peephole": False} if cell == "lstm" else {}
    return getattr(models, f"build_{cell}")(input_shape, outputs, return_sequences=False, **arguments)


def _trained(model, plan, train, validation, test, collate, metric):
    """(history, metrics of the test examples with the weights of the best epoch by validation)."""
    from keras_dl import data, training

    batches = data.batches(train, plan["batch_size"], collate=collate, seed=SEED, shuffle=True)
    others = (data.batches(part, 500, collate=collate) for part in (validation, test))
    validation, test = others
    mode = "min" if metric == "loss" else "max"
    history = _fit(model, batches, validation, plan["epochs"], monitor=f"val_{metric}", mode=mode)
    return history, training.evaluate(model, test)


def _fit(model, train, validation, epochs, *, monitor, mode="min", seed=SEED, callbacks=()):
    from keras_dl import training

    with tempfile.TemporaryDirectory(prefix="keras_dl-experiment-") as folder:
        run = runs.Run(path=Path(folder) / "run", root=Path(folder), name=model.name, app="recurrent", seed=seed)
        return training.fit(
            model, train, validation, run, epochs=epochs, monitor=monitor, mode=mode, keep="best", checkpoint=False,
            verbose=1, callbacks=callbacks,
        )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Reader:
    """An image as a sequence of its rows, or of the pixels of its half in height and width."""

    preprocess: object
    by: str

    @property
    def shape(self):
        height, width, _ = self.preprocess.input_shape
        return (height, width) if self.by == "row" else (height * width // 4, 1)

    def batch(self, raw):
        import tensorflow as tf

        images = self.preprocess(raw["image"])
        if self.by == "pixel":
            images = tf.nn.avg_pool2d(images, 2, 2, "VALID")
        return tf.reshape(images, [-1, *self.shape]), raw["label"]


def _music(name, smoke):
    from keras_dl.data import music

    return music.load(name, SEED, pieces=8 if smoke else None)


def _value(figure):
    return figure["value"] if isinstance(figure, dict) else figure


def draw_memory(curves, path):
    """Mean squared error of the adding problem by epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for row, curve in curves.items():
        label = row.removeprefix("adding_") + (f", {ADDING_TCN['steps']} steps" if row == "adding_tcn" else "")
        axes.plot(range(1, 1 + len(curve["mse"])), curve["mse"], label=label)
    axes.axhline(1 / 6, color="grey", linestyle=":", label="saying 1")
    axes.set(xlabel="epoch of 50,000 sequences", ylabel="validation, mean squared error", yscale="log")
    axes.set_title(f"The adding problem at {ADDING['steps']} steps")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


PICTURES = {"memory": draw_memory}
ROWS = {
    "memory": {
        **{f"adding_{cell}": (adding, cell) for cell in (*CELLS, "tcn")},
        **{f"row_mnist_{cell}": (mnist, cell, "row") for cell in ("lstm", "gru")},
        **{f"pixel_mnist_{cell}": (mnist, cell, "pixel") for cell in (*CELLS, "tcn")},
    },
    "music_chung": {f"{cell}_{name}": (chung, cell, name) for name in SETS for cell in ("rnn", "gru", "lstm")},
    "music_deep": {f"{form}_{name}": (deep, form, name) for name in SETS for form in FORMS},
}

if __name__ == "__main__":
    command_line.run(main)
