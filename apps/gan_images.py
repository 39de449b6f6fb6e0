"""Train a generative adversarial network of pictures, and export it as a SavedModel that makes pictures from seeds.

    python apps/gan_images.py                                           # a DCGAN of the embedded digits
    python apps/gan_images.py --model gan --dataset mnist               # the network of 2014
    python apps/gan_images.py --dataset fashion_mnist --conditional     # each picture of a chosen class
    python apps/gan_images.py --set loss=wgan_gp
    python apps/gan_images.py --dataset path/to/my/images --image-size 32

A GAN has no likelihood, and its losses do not tell how good its pictures are. A classifier of the same data, trained
first, tells after each epoch which classes are among the samples, and the Fréchet distance of samples to validation
pictures in its features, by which epochs are compared (it is no FID). Pictures without labels are not judged.
Recipes: Goodfellow et al. 2014 (arXiv:1406.2661); Radford et al. 2015 (arXiv:1511.06434); Gulrajani et al. 2017
(arXiv:1704.00028).
"""

import dataclasses
import functools
from typing import Annotated, Literal

import numpy as np

import keras_dl as dl
from keras_dl import command_line, commands, data, machine, models, own_data, runs, settings
from keras_dl.arguments import AUTO, OPEN, OrAuto, Whole
from keras_dl.features import grids
from keras_dl.features.image import write_png
from keras_dl.wording import counted

APP = "gan_images"

ROWS, COLUMNS = 10, 10  # of a grid of samples
MOST_ROWS = 20  # of a grid with a row for each class
WAYS = 6  # from one noise to another, that are drawn
# Arguments of the builder unless --set changes them: without it, the discriminator knows a few pictures by heart.
ARGUMENTS = {"gan": {}, "dcgan": {"dropout": 0.3}}
CRITIC_STEPS = 5  # of "wgan_gp", as in its paper
NOT_COMPARED = {"trials": 0, "keep": "last", "patience": 0, "reduce_on_plateau": 0}  # settings without a measure
CLASSIFIER = {"filters": (16, 32), "units": (64,), "pooling": "max", "activation": "relu"}


@dataclasses.dataclass(frozen=True)
class Config(settings.Training):
    """Train a generative adversarial network of pictures, and export it as a SavedModel."""

    model: Literal["gan", "dcgan"] = "dcgan"  # architecture
    # digits, mnist, fashion_mnist, cifar10, or a folder of pictures, with or without a sub-folder per class
    dataset: str = "digits"
    conditional: bool = False  # the networks also see the class, so that it can be chosen when pictures are made
    # steps of the discriminator for one of the generator, each on other pictures; 0: 5 with loss=wgan_gp, else 1
    critic_steps: Annotated[int, Whole(0, 100)] = 0
    # pixels: height and width to which pictures are resized; auto: the published ones, a folder's at most 64
    image_size: Annotated[int | Literal["auto"], OrAuto(Whole(8, 512))] = "auto"
    fit: Literal["crop", "pad", "stretch"] = "crop"  # of pictures that are not square: cut, add black bars, or distort
    skip_unreadable: bool = False  # leave out a folder's unreadable files
    classifier: str = ""  # judge the samples by this export of classify_images; "": train a classifier first
    measured: Annotated[int, Whole(1, 10_000)] = 2000  # samples and validation pictures that are compared, at most
    trials: settings.CountOrZeroOrAuto = 0  # number of trials of the search; 0: no search
    epochs: settings.CountOrAuto = 250  # epochs of the final training; own data: auto, from the number of pictures
    optimizer: settings.OptimizerFlags = settings.Optimizer(learning_rate=5e-4, beta_1=0.5)  # of both networks


def main(argv=None):
    """Run the task; return the test metrics as {name: float}."""
    config = command_line.parse(
        Config, argv, app=APP, free_arguments=models.free_arguments, left_open=own_data.SETTINGS
    )
    settings.check(config.dataset, "--dataset: must be a name or a folder; got nothing.")
    if (finished := runs.finished(config, APP)) is not None:
        return finished
    config = dl.initializing.adopted(config, APP, models.free_arguments)
    hardware = machine.prepare(config)  # before TensorFlow's first operation

    splits = data.levels.load(
        config.dataset,
        config.seed,
        levels=256,
        image_size=config.image_size or AUTO,
        fit=config.fit,
        skip_unreadable=config.skip_unreadable,
        by_class=config.conditional,
    )
    settings.check_effect(config, data.levels.OF_FOLDERS, splits.info.own, "a folder as --dataset")
    splits = dataclasses.replace(splits, facts=dataclasses.replace(splits.facts, density=False))
    splits = splits.few(256 if config.smoke else None, config.seed)
    info, preprocess = splits.info, splits.preprocess
    labelled = info.num_classes > 1
    settings.check(
        labelled or not config.conditional, f"--conditional: needs pictures of at least 2 classes; {info.name} has one."
    )
    judge = dl.judging.exported(config.classifier, preprocess.input_shape[2]) if config.classifier else None
    features = judge.width if judge else CLASSIFIER["units"][-1]
    judged = labelled or judge is not None
    settings.check_effect(config, ["measured"], judged, "pictures of at least 2 classes, or --classifier")
    why = incomparable(config, len(splits.validation), features, judged)
    if why:
        check_not_compared(config, why)
        config = dataclasses.replace(config, **NOT_COMPARED)
    rule = dataclasses.replace(own_data.ADVERSARIAL, batches_a_step=critic_steps_of)
    config = own_data.fitted(config, hardware, splits, rule)
    notes = [f"{why}: epochs are not compared, and the last one's weights are kept."] if why else []
    classes = info.classes if config.conditional else ()

    build, of_model = getattr(models, f"build_{config.model}"), getattr(models, f"{config.model}_space")

    def space(hp):
        return of_model(hp) | ARGUMENTS[config.model]

    arguments = dl.hyperparameters.Arguments(config, space, models.free_arguments(config.model))
    critic_steps = critic_steps_of(config)
    arguments.check_effect(["gradient_penalty"], arguments.chosen.get("loss") == "wgan_gp", "--set loss=wgan_gp")
    arguments.check_effect(["label_dim"], classes, "--conditional")
    collate = (data.levels.levels_and_labels if classes else data.levels.levels_only)(preprocess)
    train = data.batches(
        splits.train, config.batch_size * critic_steps, collate=collate, seed=config.seed, shuffle=True
    )
    validation = data.batches(splits.validation, 500, collate=collate)

    def compiled(hp):
        model = build(preprocess.input_shape, len(classes) or None, seed=config.seed, **arguments(hp))
        steps = {model.critic_name: critic_steps, "generator": 1}
        length = config.epochs, train.steps()
        model.compile(
            {
                part: dl.optimizers.drawn(hp, config.optimizer, length[0], length[1] * count)
                for part, count in steps.items()
            },
            steps=steps,
        )
        return model

    def endpoints_of(model):
        return dl.export.adversarial(model, preprocess, classes)

    tried = dl.tuning.try_out(compiled, hardware)
    dl.export.try_out(config.formats, endpoints_of, tried)
    run = dl.course.begin(config, hardware, APP, splits, train, tried, labels=classes, notes=notes)

    real = splits.validation.take(data.examples.some(len(splits.validation), config.measured, config.seed))

    def drawer_of(model):
        """A function that draws as many pictures as are compared with, a conditional model's of the same classes."""
        draw = dl.export.drawer(endpoints_of(model)["sample"])
        return lambda: draw(len(real), config.seed, dl.judging.shares_of(real, info))

    if judge is None and labelled:
        small = min(preprocess.input_shape[:2]) < 12  # for kernels of 5 x 5 pixels
        classifier = functools.partial(models.build_convnet, kernel_size=3 if small else 5, **CLASSIFIER)
        judge = dl.judging.trained(classifier, splits, run.path / "classifier.keras", config.seed)
    measures, callbacks = None, []
    if judge is not None:
        run.say(judge.sentence())
        verdict = judge.verdict(real.features["image"])
        measures = dl.judging.Measures(judge, drawer_of, verdict, run.say)
        callbacks.append(measures)
    monitor, measure = ("val_generator_loss" if why else "frechet_classifier"), measures and measures.measure
    best = dl.tuning.search(
        compiled, train, validation, run, monitor=monitor, measure=measure, arguments=arguments, **config.of_search()
    )
    model = run.build(compiled, best)
    size, examples = counted(model.count_params(), "parameters"), counted(len(splits.train), "training pictures")
    run.say(f"{model.name}: {size}; {examples}")

    shown = len(classes) if 1 < len(classes) <= MOST_ROWS else ROWS  # a row a class, if there are few
    headings = classes if shown == len(classes) else ()

    def grid_of(model):
        """A function that draws the pictures of a grid, row by row; a conditional model's rows are its classes."""
        draw = dl.export.drawer(endpoints_of(model)["sample"])

        return lambda: draw(shown * COLUMNS, config.seed, np.ones(len(classes)))

    def way_of(model):
        """A function that draws the pictures between pairs of noise, a row for each."""
        ends = model.noise_of(2 * WAYS, (config.seed, 1))
        noise = np.concatenate([model.between(ends[k], ends[k + WAYS], COLUMNS) for k in range(WAYS)])
        labels = np.repeat(np.arange(WAYS) % len(classes), COLUMNS).astype(np.int32) if classes else None
        return lambda: preprocess.inverse(model.generate(noise, labels)).numpy()

    callbacks += [
        dl.summaries.TensorBoard(run, train, validation, histograms=config.histograms),
        dl.samples.Frames(run, grid_of(model), name="samples", columns=COLUMNS, headings=headings),
        dl.samples.Frames(run, way_of(model), name="interpolation", every=None, columns=COLUMNS),
    ]
    dl.training.fit(
        model, train, validation, run, monitor=monitor, measure=measure, callbacks=callbacks, **config.of_fit()
    )
    model = dl.export.in_float32(model, run, compiled, best)

    draw = dl.export.drawer(endpoints_of(model)["sample"])
    count = 500 if config.smoke else 10_000
    result = dl.judging.tested(
        judge, draw, splits, samples=count, seed=config.seed
    )  # the test split is read here, once
    for sentence in result.sentences:
        run.say(sentence)
    written = {
        run.samples / "samples.png": (grid_of(model), headings, "Samples of the exported model."),
        run.samples / "interpolation.png": (way_of(model), (), "Each row: from one noise to another."),
    }
    for path, (make, of_rows, _) in written.items():
        write_png(grids.grid(make(), COLUMNS, headings=of_rows), path)
    sample = ["--endpoint", "sample", "--set", "seed=1", "--out", "pictures.png"]
    return dl.course.end(
        run,
        __file__,
        config,
        model,
        splits,
        metrics=result.metrics,
        sections=[
            dl.reports.Pictures({path: caption for path, (_, _, caption) in written.items()}),
            dl.reports.Generated(result.shares, result.parzen, result.sentences),
        ],
        endpoints=endpoints_of(model),
        arguments=arguments,
        best=best,
        predict=lambda folder: [[folder, *sample]],
        other_data=[
            [*flags, "--epochs", "20"] if "fashion_mnist" in flags else flags  # it has 40 times as many pictures
            for flags in commands.other_data(config.dataset, "fashion_mnist", "path/to/my/images")
        ],
        monitor=monitor,
    )


def critic_steps_of(config):
    """Steps of the discriminator for one of the generator, of settings whose model is known."""
    given = command_line.assignments(config.set, models.free_arguments(config.model), f"build_{config.model}")
    return config.critic_steps or (CRITIC_STEPS if given.get("loss") == "wgan_gp" else 1)


def incomparable(config, held_out, features, judged):
    """Why epochs cannot be compared by a Fréchet distance in `features` features; "" if they can.

    Args:
        config: the Config.
        held_out: number of validation pictures.
        features: of the classifier that judges.
        judged: whether there is one.
    """
    if not judged:
        return "pictures without labels train no classifier that could judge the samples"
    if min(config.measured, held_out) > features:
        return ""
    few = f"--measured {config.measured}" if held_out > features else counted(held_out, "validation pictures")
    return f"{few}: too few for a Fréchet distance in {features} features"


def check_not_compared(config, why):
    """Raise UserError if a setting was given that needs epochs to be compared, which `why` says they are not."""
    for name, value in NOT_COMPARED.items():
        given, flag = getattr(config, name), settings.flag_of(name)
        settings.check(
            given in (value, *OPEN), f"{flag}: needs epochs that can be compared; {why}. Nearest: {flag} {value}."
        )


if __name__ == "__main__":
    command_line.run(main)
