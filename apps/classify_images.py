"""Train an image classifier on digits, MNIST, Fashion-MNIST, CIFAR-10 or your own pictures, and export it.

    python apps/classify_images.py                                   # LeNet-5 on the embedded digits
    python apps/classify_images.py --model resnet_cifar --dataset cifar10 --set depth=20
    python apps/classify_images.py --dataset path/to/my/images       # one sub-folder a class

Recipes: LeCun et al. 1998 (convnet); He et al. 2015, section 4.2 (resnet_cifar).
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from keras_dl import commands, imports, machine, models, runs, settings
from keras_dl.arguments import Whole


@dataclasses.dataclass(frozen=True)
class Config(settings.Training):
    """Train an image classifier and export it as a SavedModel."""

    model: Literal["linear", "mlp", "convnet", "resnet", "resnet_cifar"] = "convnet"  # architecture
    dataset: str = "digits"  # digits, mnist, fashion_mnist, cifar10, or a folder with one sub-folder a class
    image_size: Annotated[int, Whole(8, 4096)] = 64  # pixels a side to which a folder's pictures are resized
    fit: Literal["crop", "pad", "stretch"] = "crop"  # pictures that are not square: their middle, black bars, distorted
    skip_unreadable: bool = False  # leave out a folder's unreadable files
    class_weight: Literal["none", "balanced"] = "none"  # balanced: every class counts the same
    augment: Literal["auto", "none", "shift", "crop", "crop_flip"] = "auto"  # auto: as the data set's recipes do
    formats: tuple[Literal["onnx", "litert"], ...] = ()  # also export these


def main(argv=None):
    """Run the task; return the test metrics as {name: float}."""
    config = settings.parse(Config, argv, app="classify_images").shortened()
    options = models.options(config.model)
    chosen = settings.assignments(config.set, options, f"build_{config.model}")
    settings.check(config.dataset, "--dataset: must be a name or a folder; got nothing.")
    with imports.quiet_tensorflow():
        import keras

        from keras_dl import data, export, hyperparameters, optimizers, summaries, training, tuning
        from keras_dl.data import images
        from keras_dl.features.image import Image

    hardware = machine.prepare(config)  # before TensorFlow's first operation
    splits = images.load(
        config.dataset, config.seed, image_size=config.image_size, fit=config.fit,
        skip_unreadable=config.skip_unreadable,
    )  # fmt: skip
    if config.smoke:
        splits = splits.few(256, config.seed)
    info, preprocess = splits.info, splits.preprocess
    augment = images.augmentation(config.augment, info, preprocess)
    labels = splits.train.features["label"]
    weights = images.balanced(labels, info.num_classes) if config.class_weight == "balanced" else None
    collate = images.with_labels(preprocess)
    train = data.batches(
        splits.train, config.batch_size, collate=collate, seed=config.seed, shuffle=True, augment=augment,
        class_weight=weights,
    )  # fmt: skip
    validation = data.batches(splits.validation, 500, collate=collate)

    build, space = getattr(models, f"build_{config.model}"), getattr(models, f"{config.model}_space")
    arguments = hyperparameters.Arguments(config, space, chosen, options)

    def compiled(hp):
        model = build(preprocess.input_shape, info.num_classes, **arguments(hp))
        model.compile(
            optimizer=optimizers.drawn(hp, config.optimizer, config.epochs, train.steps()),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        )
        return model

    with settings.user_input(), hardware.scope():
        compiled(tuning.defaults())  # arguments that do not fit are said before anything is written
    run = runs.start(hardware, app="classify_images", name=f"{config.model}-{info.name}", data=data.fingerprint(splits))
    if run.finished:
        run.say(f"{run.path.name} is finished: {run.finished['metrics']}")
        return run.finished["metrics"]

    run.say(f"run: {run.path}")
    for note in splits.notes:
        run.say(note)
    best = tuning.search(
        compiled, train, validation, run, trials=config.trials, tuner=config.tuner, epochs=config.trial_epochs,
        arguments=arguments,
    )  # fmt: skip
    model = run.build(compiled, best)
    run.say(f"{model.name}: {model.count_params():,} parameters; {len(splits.train):,} training examples")
    callbacks = [
        summaries.TensorBoard(run, train, validation, histograms=config.histograms),
        summaries.Pictures(run, splits.validation, preprocess, info.classes),
        *training.stopping(config.patience, config.reduce_on_plateau),
    ]
    training.fit(
        model, train, validation, run, epochs=config.epochs, callbacks=callbacks, monitor="val_loss", mode="min",
        keep=config.keep, average_last=config.average_last, save_minutes=config.save_minutes,
    )  # fmt: skip

    test = data.batches(splits.test, 500, collate=collate)
    report = summaries.classification_report(model, test, info.classes)  # the test split is read here, once
    run.say(summaries.report_table(report))
    folder = export.save(
        model, run, metrics=report["metrics"], formats=config.formats,
        endpoints=export.classifier(model, preprocess, info.classes, splits.test.features["image"][:8]),
        card={"data": info.config(), "hyperparameters": arguments.of(best)},
    )  # fmt: skip
    arguments.show(run, best, report["metrics"])
    pictures = Image(preprocess).write_all(splits.test.features["image"][:5], run.samples / "test.png")
    run.finish(report["metrics"])
    app, others = Path(__file__).resolve(), commands.other_data(config.dataset, "fashion_mnist", "path/to/my/images")
    commands.following(
        run,
        ["-m", "tensorboard.main", "--logdir", run.tensorboard],
        ["-m", "keras_dl", "predict", folder, pictures[0]],
        [app, *arguments.words(best)] if config.trials else None,
        *([app, "--dataset", name] for name in others),
    )
    return report["metrics"]


if __name__ == "__main__":
    settings.run(main)
