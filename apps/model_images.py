"""Train an exact density of images: likelihoods, samples, completions; and export it as a SavedModel.

    python apps/model_images.py                                            # a gated PixelCNN of binary digits
    python apps/model_images.py --condition label                          # and of a class that can be chosen
    python apps/model_images.py --model pixelcnn --dataset binarized_mnist --precision mixed_bfloat16
    python apps/model_images.py --dataset cifar10 --levels 256             # colour, 8 bits a channel
    python apps/model_images.py --dataset path/to/my/images --image-size 28

The model predicts every value of an image, a channel of a pixel, from all values before it: row by row, from left to
right, red before green before blue. Loss: negative log-likelihood of an image in nats, summed over its values. Metric:
nats per image for 2 levels, bits per dimension (nats / (values * log 2)) for 256. Both are exact.
Recipes: van den Oord et al. 2016 (arXiv:1601.06759, arXiv:1606.05328); sizes are smaller than theirs (SIZES).
"""

import dataclasses
import math
from typing import Annotated, Literal

import numpy as np

import keras_dl as dl
from keras_dl import command_line, commands, data, machine, models, own_data, runs, settings
from keras_dl.arguments import AUTO, OPEN, OneOf, OrAuto, Whole
from keras_dl.features import grids
from keras_dl.features.image import Image, write_png
from keras_dl.imports import keras  # imported when it is first used
from keras_dl.wording import counted

APP = "model_images"

DRAWN, OF_CLASS = 64, 8  # pictures that are drawn: in all, or of each class
COMPLETED, TIMES = 8, 3  # pictures of the test split that are completed, and how often each
AUTO_MOST = 32  # pixels a side of a folder's pictures unless more are asked for: every one is a step of sampling
GREY = 128  # of pixels that are not given, in the picture of completions
# Sizes unless --set changes them: the papers' are for days on several GPUs.
SIZES = {
    "pixelcnn": {"num_blocks": 7, "filters": 16, "top_filters": (64, 64)},
    "gated_pixelcnn": {
        "num_layers": 5, "filters": 24, "kernel_size": 3, "dilations": (1, 2, 4), "skip_filters": 48,
        "top_filters": (64,),
    },
    "pixelrnn": {"num_layers": 3, "units": 16, "top_filters": (32, 32)},
}  # fmt: skip
WIDTH = {"pixelcnn": "filters", "gated_pixelcnn": "filters", "pixelrnn": "units"}  # a search halves and doubles it
OUTPUTS = {2: ("bernoulli", "categorical"), 256: ("categorical", "logistic_mixture")}  # by levels; auto: the first
CONDITIONAL = ("gated_pixelcnn",)  # models that can depend on a label
MEASURES = {2: "nats_per_image", 256: "bits_per_dimension"}


@dataclasses.dataclass(frozen=True)
class Config(settings.Training):
    """Train an exact density of images, and export it as a SavedModel."""

    model: Literal["pixelcnn", "gated_pixelcnn", "pixelrnn"] = "gated_pixelcnn"  # architecture
    # digits, mnist, fashion_mnist, cifar10, binarized_mnist, or a folder of pictures, with sub-folders for classes
    dataset: str = "digits"
    # values of a channel: 2 or 256; own data: auto, 2 if nearly all pixels are black or white
    levels: Annotated[int | Literal["auto"], OrAuto(OneOf(2, 256))] = 2
    # 2 levels: how grey becomes black or white: at 128, drawn once, or for training drawn anew in each epoch
    binarization: Literal["threshold", "fixed", "resampled"] = "threshold"
    # distribution of a value; auto: bernoulli for 2 levels, categorical for 256
    output: Literal["auto", "bernoulli", "categorical", "logistic_mixture"] = "auto"
    condition: Literal["none", "label"] = "none"  # what the images depend on: label makes a density of each class
    # pixels: height and width to which pictures are resized; auto: the published ones, a folder's own, at most 32
    image_size: Annotated[int | Literal["auto"], OrAuto(Whole(4, 256))] = "auto"
    fit: Literal["crop", "pad", "stretch"] = "crop"  # of pictures that are not square: cut, add black bars, or distort
    skip_unreadable: bool = False  # leave out a folder's unreadable files
    trials: settings.CountOrZeroOrAuto = 0  # number of trials of the search; 0: no search; own data: auto
    trial_epochs: settings.Count = 2  # epochs of each trial
    epochs: settings.CountOrAuto = 30  # epochs of the final training; own data: auto, from the number of pictures
    optimizer: settings.OptimizerFlags = settings.Optimizer(learning_rate=4e-3, schedule="cosine", clipnorm=1.0)


def main(argv=None):
    """Run the task; return the test metrics as {name: float}."""
    config = command_line.parse(
        Config, argv, app=APP, free_arguments=models.free_arguments, left_open=own_data.SETTINGS
    )
    settings.check(config.dataset, "--dataset: must be a name or a folder; got nothing.")
    settings.check(
        config.condition == "none" or config.model in CONDITIONAL,
        f"--condition: label needs --model {' or '.join(CONDITIONAL)}; got {config.model}.",
    )
    if (finished := runs.finished(config, APP)) is not None:
        return finished
    config = dl.initializing.adopted(config, APP, models.free_arguments)
    hardware = machine.prepare(config)  # before TensorFlow's first operation

    fitting = [levels for levels, outputs in OUTPUTS.items() if config.output in ("auto", *outputs)]
    implied = config.levels in OPEN and len(fitting) == 1  # the user's --output is of these levels alone
    splits = data.levels.load(
        config.dataset,
        config.seed,
        levels=fitting[0] if implied else config.levels,
        binarization=config.binarization,
        image_size=config.image_size,
        auto_most=AUTO_MOST,
        fit=config.fit,
        skip_unreadable=config.skip_unreadable,
        by_class=config.condition == "label",
    )
    settings.check_effect(config, data.levels.OF_FOLDERS, splits.info.own, "a folder as --dataset")
    splits = splits.few(64 if config.smoke else None, config.seed)
    if implied and (splits.info.own or config.levels == AUTO):
        config = dataclasses.replace(config, levels=fitting[0])
    config = own_data.fitted(config, hardware, splits, own_data.DENSITIES)
    output = OUTPUTS[config.levels][0] if config.output == "auto" else config.output
    settings.check(
        output in OUTPUTS[config.levels],
        f"--output: must be {' or '.join(OUTPUTS[config.levels])} for {config.levels} levels; got {output}.",
    )
    info, preprocess = splits.info, splits.preprocess
    binarised = info.details["binarization"]  # None for 256 levels; binarized_mnist has its own
    needed = "a --dataset of grey pictures" if binarised else "--levels 2"
    settings.check_effect(config, ["binarization"], config.binarization == binarised, needed)
    labelled = config.condition == "label"
    settings.check(
        not labelled or info.num_classes > 1, f"--condition: label needs at least 2 classes; {info.name} has one."
    )
    classes = info.classes if labelled else ()
    collate = (data.levels.levels_and_labels if labelled else data.levels.levels_only)(preprocess)
    train = data.batches(
        splits.train,
        config.batch_size,
        collate=collate,
        seed=config.seed,
        shuffle=True,
        augment=data.levels.augmentation(info),
    )
    validation, test = (data.batches(part, 100, collate=collate) for part in (splits.validation, splits.test))

    def space(hp):
        sizes, width = SIZES[config.model], WIDTH[config.model]
        usual = sizes[width]
        return sizes | {width: hp.Choice(width, [usual // 2, usual, 2 * usual], default=usual)}

    arguments = dl.hyperparameters.Arguments(config, space, models.free_arguments(config.model))
    arguments.check_effect(["components"], output == "logistic_mixture", "--output logistic_mixture")
    rows = arguments.chosen.get("layer") == "row_lstm" or config.model != "pixelrnn"
    arguments.check_effect(["kernel_size"], rows, "--set layer=row_lstm")
    measure = MEASURES[config.levels]
    monitor = f"val_{measure}"

    def compiled(hp):
        build = getattr(models, f"build_{config.model}")
        given = {"num_classes": len(classes)} if labelled else {}
        model = build(preprocess.input_shape, config.levels, output=output, **given, **arguments(hp))
        measures = {"nats_per_image": dl.objectives.NatsPerImage, "bits_per_dimension": dl.objectives.BitsPerDimension}
        model.compile(
            optimizer=dl.optimizers.drawn(hp, config.optimizer, config.epochs, train.steps()),
            loss=dl.objectives.ImageLoss(output, config.levels),
            weighted_metrics=[measures[measure](output, config.levels)],
            jit_compile=False,
        )
        return model

    def endpoints_of(model):
        examples = splits.validation.features["image"]
        examples = examples[data.examples.some(len(examples), 4, config.seed)]
        return dl.export.density(model, preprocess, classes, info.details["binarization"], examples)

    tried = dl.tuning.try_out(compiled, hardware)
    dl.export.try_out(config.formats, endpoints_of, tried)
    run = dl.course.begin(config, hardware, APP, splits, train, tried, labels=classes)
    best = dl.tuning.search(
        compiled, train, validation, run, monitor=monitor, arguments=arguments, **config.of_search()
    )
    model = run.build(compiled, best)
    size, examples = counted(model.count_params(), "parameters"), counted(len(splits.train), "training pictures")
    run.say(f"{model.name}: {size}; {examples}")
    draw, arranged = drawing(endpoints_of(model)["sample"], classes, config.seed)
    callbacks = [
        dl.summaries.TensorBoard(run, train, validation, histograms=config.histograms),
        dl.samples.Frames(run, draw, "samples", **arranged),
    ]
    dl.training.fit(model, train, validation, run, monitor=monitor, callbacks=callbacks, **config.of_fit())

    model = dl.export.in_float32(model, run, compiled, best)
    endpoints = endpoints_of(model)
    by_picture = dl.objectives.NatsOfImages(output, config.levels, len(splits.test))
    scored = keras.Model(model.input, model.output)  # the same weights; the export keeps its own metrics
    scored.compile(
        loss=dl.objectives.ImageLoss(output, config.levels), weighted_metrics=[by_picture], jit_compile=False
    )
    dl.training.evaluate(scored, test)  # the test split is read here, once
    in_bits = measure == "bits_per_dimension"
    values = math.prod(preprocess.input_shape) if in_bits else 1  # by which the nats of an image are divided
    nats = by_picture.values()
    metrics = {measure: float(nats.mean() / (values * math.log(2) if in_bits else 1))}
    meaning = endpoints["log_prob"].outputs[measure].meaning()
    meaning += " It is that of a picture given its class." if labelled else ""
    run.say(f"test: {measure} {metrics[measure]:.4f}. {meaning}")

    draw, arranged = drawing(endpoints["sample"], classes, config.seed)
    grid, rows = grids.grid(draw(), **arranged), of_each(splits.test.features["label"], config.seed)
    write_png(grid, run.samples / "samples.png")
    originals = preprocess.inverse(preprocess(splits.test.features["image"][rows])).numpy()
    write_png(completions(endpoints["complete"], originals, config.seed), run.samples / "completions.png")
    files = Image(preprocess).write_all(originals, run.samples / "test.png")
    shown = {
        run.samples / "samples.png": "Samples" + (", a row for each class." if labelled else "."),
        run.samples / "completions.png": (
            f"Completions: the given top half of a picture of the test split, {TIMES} completions, the picture."
        ),
    }
    return dl.course.end(
        run,
        __file__,
        config,
        model,
        splits,
        metrics=metrics,
        sections=[
            dl.reports.Likelihood(
                nats, np.full(len(nats), values), parts="pictures", step="dimension" if in_bits else "picture",
                unit="bits" if in_bits else "nats", meaning=[meaning],
            ),
            dl.reports.Pictures(shown),
        ],
        endpoints=endpoints,
        arguments=arguments,
        best=best,
        predict=lambda folder: [
            [folder, "--endpoint", "sample", "--set", "seed=1", "--out", "drawn.png"],
            [folder, files[0], "--endpoint", "complete", "--set", "seed=1", "--out", "completed.png"],
            [folder, files[0]],
        ],
        other_data=commands.other_data(config.dataset, "binarized_mnist", "path/to/my/images"),
        monitor=monitor,
    )  # fmt: skip


def drawing(sample, classes, seed):
    """(a function that draws pictures from the same noise each time, how grids.grid arranges them).

    With classes there is a row for each.
    """
    ask, most = sample.traced(), sample.limits["pictures"]
    if not classes:
        return lambda: ask(n=min(DRAWN, most), seed=seed)["image"], {}
    headings = classes[:most]
    each = max(1, min(OF_CLASS, most // len(headings)))

    def draw():
        pictures = ask(n=each * len(headings), seed=seed)["image"]  # of every class in turn
        return pictures.reshape(each, len(headings), *pictures.shape[1:]).swapaxes(0, 1).reshape(pictures.shape)

    return draw, {"columns": each, "headings": headings}


def of_each(labels, seed):
    """Places of examples, drawn at random, of up to COMPLETED classes; if there are fewer classes, of further ones."""
    order = np.random.default_rng(seed).permutation(len(labels))  # a folder's examples stand class by class
    of_a_class = np.unique(labels[order], return_index=True)[1]
    others = np.setdiff1d(np.arange(len(labels)), of_a_class)
    return np.sort(order[[*of_a_class, *others][:COMPLETED]])


def completions(complete, originals, seed):
    """A row for each picture: its top half, TIMES completions of it, and the picture itself."""
    ask, given = complete.traced(), complete.inputs["mask"].of_batch(originals)
    halves = np.where(given[..., None] > 0, originals, np.uint8(GREY))
    drawn = [ask(image=originals, mask=given, seed=seed + number)["image"] for number in range(TIMES)]
    rows = np.stack([halves, *drawn, originals], 1).reshape(-1, *originals.shape[1:])
    marks = np.stack([given] * (1 + TIMES) + [np.zeros_like(given)], 1).reshape(-1, *given.shape[1:])
    return grids.grid(rows, TIMES + 2, given=marks)


if __name__ == "__main__":
    command_line.run(main)
