"""What a ConvNet takes for granted: it is an MLP with many weights fixed. Does an MLP find them? What is lost without?

Slides "Can an MLP reproduce a ConvNet?" (matrix.png, learning.png, filters.png), "RNN / ConvNet / MLP" (orders.png) and
"BatchNorm" (batch_norm.png); activations.png belongs to "Linear models, MLPs" before them. A convolution is a matrix (a
Toeplitz matrix in one dimension): sparse, with the same few weights again and again; average pooling is one, too (max
pooling is none: it is not linear). So an MLP with as many units reproduces a ConvNet exactly: h = s(W x + b), its W the
unrolled kernel. Whether it finds these weights from examples is another question, and the answer is the value of a
prior: pictures are made of parts that may stand anywhere. Pixels in another, fixed order take the prior away: they
change nothing for an MLP. A network without non-linearities is one matrix, W3 W2 W1, however deep. Batch normalisation
(Ioffe and Szegedy 2015, arXiv:1502.03167, figure 1a) makes training faster.

    python apps/compare_priors.py                                   # all figures: about two minutes
    python apps/compare_priors.py --figure learning --sizes 50 200 1000 --seeds 5
    python apps/compare_priors.py --figure learning --dataset mnist  # an hour; see the table priors, too
    python apps/compare_priors.py --figure batch_norm --target 95

Look at: matrix.png, the matrix of one filter, whose rows are the same small picture at other places. learning.png: test
error by the number of training pictures, of the ConvNet and of the MLP with as many units: which is better on pictures
as they are, all in the middle, and which on moved ones, whose parts may stand anywhere? filters.png, on one colour
scale: rows of the ConvNet's unrolled matrix beside rows that the MLP has learned: how local are they, and what has
become of weights from where all training pictures are background? activations.png: the dashed networks are linear maps;
depth changes how fast they learn, not what they can be. batch_norm.png: updates to a given accuracy, also with five
times the learning rate. orders.png: what permuted pixels cost the MLP, for which they are no neighbours anyway, the
ConvNet, and an RNN that reads pictures row by row.
"""

import dataclasses
from typing import Annotated, Literal

import numpy as np

import keras_dl as dl
from keras_dl import command_line, machine, models, runs, settings
from keras_dl.arguments import Number, Tuple, Whole
from keras_dl.waiting import counting
from keras_dl.wording import counted, percent

APP = "compare_priors"
ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "tanh", "sigmoid", "maxout", "linear")
ONE_LAYER = "one linear layer"
SHOWN = 8  # units of filters.png
FLAGS = {  # which figures it is of
    "seeds": ("learning", "activations", "orders"), "shift": ("learning", "orders"),
    "updates": ("unrolled", "learning", "filters", "activations", "orders"),
    "units": ("activations",), "depth": ("activations",), "target": ("batch_norm",), "rate": ("batch_norm",),
    "norm_updates": ("batch_norm",), "rnn_units": ("orders",),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Config(settings.Experiment):
    """A ConvNet as an MLP, what that MLP learns by itself, and the priors of three networks.

    What to look for: the top of apps/compare_priors.py.
    """

    # which to compute
    figure: Literal["all", "unrolled", "learning", "filters", "activations", "batch_norm", "orders"] = "all"
    dataset: Literal["digits", "mnist", "fashion_mnist"] = "digits"  # digits come with the package
    # numbers of training pictures; if left out: 100 300 1000 of digits, 100 1000 10000 of the others
    sizes: Annotated[tuple[int, ...], Tuple(Whole(10, 60_000), 0, 10)] = ()
    seeds: Annotated[int, Whole(1, 20)] = 2  # trainings of each network: first weights, and which pictures
    updates: Annotated[int, Whole(0, 100_000)] = 0  # of each training; 0: 600 of digits, 2500 of the others
    # learning, orders: by how many pixels pictures are moved at most; 0: 2 of digits, 4 of the others
    shift: Annotated[int, Whole(0, 8)] = 0
    units: Annotated[int, Whole(1, 1000)] = 64  # activations: of each hidden layer
    depth: Annotated[int, Whole(1, 10)] = 3  # activations: hidden layers
    target: Annotated[float, Number("[20, 99]")] = 90.0  # batch_norm: validation accuracy, in percent
    # batch_norm: learning rate of SGD; five times as much is tried, too
    rate: Annotated[float, Number("[1e-4, 20]")] = 0.2
    norm_updates: Annotated[int, Whole(20, 100_000)] = 2500  # batch_norm: of each training
    rnn_units: Annotated[int, Whole(1, 500)] = 64  # orders: of the LSTM that reads a picture row by row


def main(argv=None):
    """Run the experiment; return its numbers as {name: float}."""
    config = command_line.parse(Config, argv, app=APP)
    for name, of in FLAGS.items():
        settings.check_effect(config, (name,), config.figure in ("all", *of), f"--figure {' or '.join(of)}")
    if (finished := runs.finished(config, APP)) is not None:
        return finished
    hardware = machine.prepare(config)
    parts = dl.laboratory.moved_pictures.load(config.dataset, config.seed)
    most = len(parts["train"]) + len(parts["validation"])
    settings.check(all(size <= most for size in config.sizes), f"--sizes: must be at most {most:,}, the training "
                   f"pictures of {config.dataset}; got {max(config.sizes, default=0):,}.")  # fmt: skip
    run = runs.start(hardware, app=APP, name=f"{config.figure}-{config.dataset}")
    comparison = dl.laboratory.architectures.Comparison(run, set_up(config), few(parts, config), config.seed)

    if config.figure != "all":
        metrics = FIGURES[config.figure](config, run, comparison)
    else:
        computed = {name: compute(config, run, comparison) for name, compute in FIGURES.items()}
        metrics = {f"{name}_{key}": value for name, part in computed.items() for key, value in part.items()}
    other = [["--figure", "learning", "--sizes", 50, 200, 1000], ["--figure", "batch_norm", "--target", 95]]
    return dl.laboratory.results.finish(run, __file__, metrics, other=other)


def set_up(config):
    """The Setup of the data, with what the flags change."""
    setup = dl.laboratory.architectures.SETUPS[config.dataset]
    changed = {name: getattr(config, name) for name in ("sizes", "updates", "shift") if getattr(config, name)}
    changed |= {"updates": 5, "sizes": (20, 40)} if config.smoke else {}
    return dataclasses.replace(setup, **changed)


def few(parts, config):
    """With --smoke at most 60 pictures of each split."""
    return {name: part.take(slice(60)) for name, part in parts.items()} if config.smoke else parts


def seeds_of(config):
    return range(config.seed, config.seed + (1 if config.smoke else config.seeds))


def unrolled(config, run, comparison):
    """The ConvNet as an MLP with its unrolled matrices: the same function, most weights 0, few of them free."""
    lab, metrics, pictures = dl.laboratory.unrolled_networks, {}, comparison.test.x[:1000]
    trainer = comparison.trainer("convnet")
    trainer.set_weights(comparison.trained("convnet", max(comparison.setup.sizes), config.seed).weights)
    small = trainer.model
    networks = {"trained ConvNet": (small, pictures)}
    if not config.smoke:
        lenet = run.build(models.build_convnet)
        noise = np.random.default_rng(config.seed).random((100, *lenet.input_shape[1:]), "float32")
        networks["LeNet-5"] = (lenet, noise)
    for name, (model, x) in networks.items():
        layers = lab.unrolled(model)
        different = lab.difference(model, lab.mlp_of(layers, x.shape[1:]), x)
        weights, free = (sum(getattr(each, of) for each, _ in layers) for of in ("weights", "parameters"))
        zeros = 1 - sum(each.connected.sum() + each.bias.size for each, _ in layers) / weights
        run.say(
            f"{name}: {counted(free, 'parameters')}; as an MLP {counted(weights, 'weights')} in "
            f"{counted(len(layers), 'layers')}, {percent(zeros, 1)} of them 0; the outputs of both differ by at most "
            f"{different:.1e} of the largest output."
        )
        key = "" if model is small else "lenet_"
        metrics |= {f"{key}difference": different, f"{key}weights": float(weights), f"{key}parameters": float(free)}
    first = lab.unrolled(small)[0][0]
    shape = pictures.shape[1:]
    figures = dl.laboratory.architecture_figures
    rows = figures.of_filter(first, 0)
    numbers = {"rows": rows, "kernel": np.asarray(small.layers[1].kernel)}
    dl.laboratory.results.picture(run, "matrix", figures.matrix(first, shape), numbers, svg=True)
    return metrics


def learning(config, run, comparison):
    """Test error of ConvNet and MLP by the number of training pictures, as they are and moved."""
    setup, architectures = comparison.setup, dl.laboratory.architectures
    with counting("training", "training") as at:
        rows = comparison.by_size(setup.sizes, seeds_of(config), at=at)
    largest, distances = max(setup.sizes), []
    for network in architectures.NETWORKS:
        distances += comparison.by_distance(network, comparison.trained(network, largest, config.seed))
    figure = dl.laboratory.architecture_figures.learning(rows, distances, setup.sizes, setup.shift)
    dl.laboratory.results.picture(run, "learning", figure, rows, more={"distances": distances})
    metrics = {}
    for size in setup.sizes:
        of = {
            (network, metric): architectures.mean(rows, metric, network=network, examples=size)
            for network in architectures.NETWORKS
            for metric in ("test_error", "test_error_shifted", "test_error_both_shifted")
        }
        metrics |= {f"{network}_{size}_{metric}": value for (network, metric), value in of.items()}
        said = [
            f"{what} {of['convnet', metric]:.1f}% and {of['mlp', metric]:.1f}%"
            for metric, what in (
                ("test_error", "as they are"),
                ("test_error_shifted", f"moved by up to {counted(setup.shift, 'pixels')}"),
                ("test_error_both_shifted", "moved, and trained on moved ones"),
            )
        ]
        run.say(f"{counted(size, 'pictures')}: test error of ConvNet and MLP {'; '.join(said)}.")
    return metrics


def filters(config, run, comparison):
    """Rows of the first matrix: of the ConvNet, unrolled, and of the MLP, before training and after it."""
    architectures, lab = dl.laboratory.architectures, dl.laboratory.unrolled_networks
    largest, shape = max(comparison.setup.sizes), comparison.test.x.shape[1:]
    trained = {name: comparison.trained(name, largest, config.seed) for name in architectures.NETWORKS}
    convnet = comparison.trainer("convnet")
    convnet.set_weights(trained["convnet"].weights)
    toeplitz = lab.unrolled(convnet.model)[0][0]
    before, after = comparison.trainer("mlp").initial(config.seed)[0], trained["mlp"].weights[0]
    of_convnet = toeplitz.kernel.reshape(-1, *toeplitz.output_shape)
    height, width, count = toeplitz.output_shape
    places = np.random.default_rng(config.seed).integers((height, width), size=(SHOWN, 2))
    chosen = np.argsort(-np.linalg.norm(after - before, axis=0))[:SHOWN]
    groups = {
        "ConvNet: rows of its unrolled matrix": np.stack(
            [of_convnet[:, row, column, k % count] for k, (row, column) in enumerate(places)], 1
        ),
        "MLP after training: the units that have learned most": after[:, chosen],
        "what training has changed in them: nothing where all pictures are background": (after - before)[:, chosen],
    }
    numbers = {"convnet": toeplitz.kernel, "mlp_initial": before, "mlp_trained": after, "shown": chosen}
    numbers |= dict(zip(("row_convnet", "row_mlp", "row_change"), groups.values(), strict=True))
    figure = dl.laboratory.architecture_figures.filters(groups, shape)
    dl.laboratory.results.picture(run, "filters", figure, numbers)
    size = comparison.setup.convnet["kernel_size"][0]
    local = {
        name: float(np.nanmean(architectures.locality(weights, shape, size)))
        for name, weights in (("convnet", toeplitz.kernel), ("mlp_initial", before), ("mlp", after))
    }
    unseen = architectures.never_seen(comparison.pictures(largest, config.seed))
    change = float(np.abs(after - before)[unseen].max(initial=0))
    run.say(
        f"share of a unit's squared weights in its best {size} x {size} window: MLP trained {percent(local['mlp'])}, "
        f"before training {percent(local['mlp_initial'])}, ConvNet {percent(local['convnet'])}."
    )
    run.say(
        f"{counted(int(unseen.sum()), 'pixels')} of {len(unseen):,} are background in all "
        f"{counted(largest, 'training pictures')}: {of_unseen(unseen, change)}."
    )
    return {f"locality_{name}": value for name, value in local.items()} | {"unseen_change": change}


def of_unseen(unseen, change):
    """What has become of the weights from pixels that are always background, in words."""
    if unseen.any() and change == 0:
        return (
            "the weights of these pixels stay as they were drawn; a moved picture is multiplied by these random weights"
        )
    return f"the largest change of a weight of these pixels is {change:.2g}"


def activations(config, run, comparison):
    """An MLP with several non-linearities, and without any, beside one linear layer."""
    lab, training = dl.laboratory.unrolled_networks, dl.laboratory.equal_training
    setup, shape = comparison.setup, comparison.test.x.shape[1:]
    pictures, hidden = max(setup.sizes), (config.units,) * config.depth
    kinds = ("relu", "linear") if config.smoke else ACTIVATIONS
    plan = dataclasses.replace(setup.plan("mlp"), points=min(20, setup.updates))
    rows, curves = [], {}
    with counting("training", "network") as at:
        for number, kind in enumerate((*kinds, ONE_LAYER)):
            at(number + 1, len(kinds) + 1)
            widths, name = ((), "linear") if kind == ONE_LAYER else (hidden, kind)
            trainer = training.Trainer(lambda w=widths, n=name: lab.hidden_layers(shape, w, n, classes=10), plan)
            for seed in seeds_of(config):
                trained = training.kept(
                    run,
                    f"{len(widths)}_layers_{name}_seed{seed}",
                    lambda t=trainer, s=seed: t.trained(comparison.pictures(pictures, s), s),
                )
                trainer.set_weights(trained.weights)
                rows.append({
                    "activation": kind, "seed": seed, "test_error": 100 * trainer.error(comparison.test),
                    "training_loss": float(trained.loss[-1]),
                })  # fmt: skip
                curves.setdefault(kind, (trained.updates, trained.loss))
            if kind == "linear":
                linear = lab.unrolled(trainer.model)
                one = lab.mlp_of(linear, shape, name="product")
                different = lab.difference(trainer.model, one, comparison.test.x)
    figure = dl.laboratory.architecture_figures.activations(rows, curves)
    losses = [
        {"activation": kind, "updates": int(update), "loss": float(loss)}
        for kind, curve in curves.items() for update, loss in zip(*curve, strict=True)
    ]  # fmt: skip
    dl.laboratory.results.picture(run, "activations", figure, rows, more={"losses": losses})
    errors = {
        kind: dl.laboratory.architectures.mean(rows, "test_error", activation=kind) for kind in (*kinds, ONE_LAYER)
    }
    said = ", ".join(f"{kind} {errors[kind]:.1f}%" for kind in sorted(kinds, key=errors.get))
    run.say(f"test error of {counted(config.depth, 'layers')} of {config.units} by the non-linearity: {said}.")
    run.say(
        f"without one, {counted(config.depth + 1, 'layers')} equal one layer whose matrix is their product (outputs "
        f"differ by {different:.1e} of the largest); their error is {errors['linear']:.1f}%, that of a trained linear "
        f"layer {errors[ONE_LAYER]:.1f}%."
    )
    return {f"{kind.replace(' ', '_')}_test_error": error for kind, error in errors.items()} | {
        "linear_difference": different
    }


def batch_norm(config, run, comparison):
    """Updates that three layers of 100 sigmoid units need to a given accuracy, with batch normalisation and without."""
    training, shape = dl.laboratory.equal_training, comparison.test.x.shape[1:]
    updates = 20 if config.smoke else config.norm_updates
    pictures, watched = max(comparison.setup.sizes), comparison.parts["validation"]
    curves, steps, rows = {}, {}, []
    rates = (config.rate,) if config.smoke else (config.rate, 5 * config.rate)
    for rate in rates:
        for normalised in (False, True):
            plan = training.Plan(updates, 60, rate, points=min(200, updates), schedule="constant", optimizer="sgd")

            def train(plan=plan, normalised=normalised):
                trainer = training.Trainer(
                    lambda: models.build_mlp(
                        shape, units=(100,) * 3, activation="sigmoid", batch_norm=normalised
                    ),
                    plan,
                )  # fmt: skip
                return trainer.trained(comparison.pictures(pictures, config.seed), config.seed, watched=watched)

            name = f"sigmoid_{'with' if normalised else 'without'}_rate{rate:g}"
            trained = training.kept(run, name, train)
            accuracy = 100 * (1 - trained.error)
            reached = trained.updates[accuracy >= config.target]
            curves[normalised, rate] = trained.updates, accuracy
            steps[normalised, rate] = int(reached[0]) if len(reached) else None
            rows += [
                {"batch_norm": normalised, "learning_rate": rate, "updates": int(u), "accuracy": float(a)}
                for u, a in zip(trained.updates, accuracy, strict=True)
            ]
    figure = dl.laboratory.architecture_figures.batch_norm(curves, steps, config.target)
    dl.laboratory.results.picture(run, "batch_norm", figure, rows)
    metrics = {}
    for rate in rates:
        said = {}
        for normalised, word in ((False, "without"), (True, "with")):
            count = steps[normalised, rate]
            said[word] = f"{counted(count, 'updates')}" if count else f"more than {counted(updates, 'updates')}"
            metrics[f"{word}_{rate:g}_accuracy"] = float(curves[normalised, rate][1][-1])
            metrics |= {f"{word}_{rate:g}_updates": float(count)} if count else {}
        run.say(
            f"learning rate {rate:g}: {config.target:g}% validation accuracy after {said['without']} without batch "
            f"normalisation, {said['with']} with it."
        )
    return metrics


def orders(config, run, comparison):
    """RNN, ConvNet and MLP on moved pictures, and on the same with their pixels in one other order for all of them."""
    training, moved = dl.laboratory.equal_training, dl.laboratory.moved_pictures
    setup, count, shape = comparison.setup, max(comparison.setup.sizes), comparison.test.x.shape[1:]
    order = moved.pixel_order(shape, config.seed)

    def rnn():
        steps = (shape[0], shape[1] * shape[2])  # a row of the picture at each
        return models.build_lstm(steps, 10, units=(config.rnn_units,), peephole=False, return_sequences=False)

    trainers = {"rnn": training.Trainer(rnn, setup.plan("rnn"))}
    trainers |= {network: comparison.trainer(network) for network in ("convnet", "mlp")}
    mixed = moved.permuted(comparison.shifted, order)
    tests, rows = {"in order": comparison.shifted, "permuted": mixed}, []

    def seen_by(network, pictures):
        rows = pictures.x.reshape(len(pictures), shape[0], -1)
        return moved.Pictures(rows, pictures.y) if network == "rnn" else pictures

    with counting("training", "network") as at:
        for number, (network, trainer) in enumerate(trainers.items()):
            at(number + 1, len(trainers))
            for of, test in tests.items():
                for seed in seeds_of(config):

                    def train(network=network, trainer=trainer, of=of, seed=seed):
                        pictures = comparison.pictures(count, seed, moved=True)
                        pictures = moved.permuted(pictures, order) if of == "permuted" else pictures
                        return trainer.trained(seen_by(network, pictures), seed)

                    name = f"{network}_{count}_seed{seed}_moved" + ("_permuted" if of == "permuted" else "")
                    trainer.set_weights(training.kept(run, name, train).weights)
                    error = 100 * trainer.error(seen_by(network, test))
                    rows.append({"network": network, "order": of, "seed": seed, "test_error": error})
    views = {of: test.x[:3].mean(-1) for of, test in tests.items()}
    more = {"pictures": {of.replace(" ", "_"): pictures for of, pictures in views.items()}}
    dl.laboratory.results.picture(
        run, "orders", dl.laboratory.architecture_figures.orders(rows, views), rows, more=more
    )
    metrics, said = {}, []
    for network, name in (("rnn", "RNN"), ("convnet", "ConvNet"), ("mlp", "MLP")):
        mean = {of: dl.laboratory.architectures.mean(rows, "test_error", network=network, order=of) for of in tests}
        metrics |= {f"{network}_test_error": mean["in order"], f"{network}_permuted_test_error": mean["permuted"]}
        said.append(f"{name} {mean['in order']:.1f}% and {mean['permuted']:.1f}%")
    run.say(f"test error on moved pictures, and with their pixels permuted: {'; '.join(said)}.")
    return metrics


FIGURES = {
    "unrolled": unrolled, "learning": learning, "filters": filters, "activations": activations,
    "batch_norm": batch_norm, "orders": orders,
}  # fmt: skip


if __name__ == "__main__":
    command_line.run(main)
