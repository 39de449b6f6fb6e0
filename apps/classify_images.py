"""Train an image classifier on digits, MNIST, Fashion-MNIST, CIFAR-10 or your own pictures, and export it.

    python apps/classify_images.py                                   # LeNet-5 on the embedded digits
    python apps/classify_images.py --model resnet_cifar --dataset cifar10 --set depth=20
    python apps/classify_images.py --dataset path/to/my/images       # one sub-folder per class

Recipes: LeCun et al. 1998 (convnet); He et al. 2015, section 4.2 (resnet_cifar).
"""

import dataclasses
from typing import Annotated, Literal

import keras_dl as dl
from keras_dl import command_line, commands, data, machine, models, own_data, runs, settings
from keras_dl.arguments import OrAuto, Whole
from keras_dl.features.image import Image
from keras_dl.imports import keras  # imported when it is first used
from keras_dl.wording import counted

APP = "classify_images"
OF_FOLDERS = ("image_size", "fit", "skip_unreadable")  # settings that only a folder's pictures need


@dataclasses.dataclass(frozen=True)
class Config(settings.Training):
    """Train an image classifier and export it as a SavedModel."""

    # architecture; own data: auto
    model: Literal["auto", "linear", "mlp", "convnet", "resnet", "resnet_cifar"] = "convnet"
    dataset: str = "digits"  # digits, mnist, fashion_mnist, cifar10, or a folder with one sub-folder per class
    # pixels: height and width to which a folder's pictures are resized; own data: auto, theirs, at most 64
    image_size: Annotated[int | Literal["auto"], OrAuto(Whole(8, 4096))] = 64
    fit: Literal["crop", "pad", "stretch"] = "crop"  # of pictures that are not square: cut, add black bars, or distort
    skip_unreadable: bool = False  # leave out a folder's unreadable files
    class_weight: Literal["none", "balanced"] = "none"  # balanced: all classes have the same total weight
    # auto: that of the data set's recipe; own data: crop, and flip if mirrored pictures keep their classes
    augment: Literal["auto", "none", "shift", "crop", "crop_flip"] = "auto"


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

    splits = data.images.load(
        config.dataset,
        config.seed,
        image_size=config.image_size,
        fit=config.fit,
        skip_unreadable=config.skip_unreadable,
    )
    settings.check_effect(config, OF_FOLDERS, splits.info.own, "a folder as --dataset")
    splits = splits.few(256 if config.smoke else None, config.seed)
    config = own_data.fitted(config, hardware, splits, own_data.PICTURES)
    info, preprocess = splits.info, splits.preprocess
    collate = data.images.with_labels(preprocess)
    labels = splits.train.features["label"]
    balanced = config.class_weight == "balanced"
    train = data.batches(
        splits.train,
        config.batch_size,
        collate=collate,
        seed=config.seed,
        shuffle=True,
        augment=data.images.augmentation(config.augment, info, preprocess),
        class_weight=data.images.balanced(labels, info.num_classes) if balanced else None,
    )
    validation, test = (data.batches(part, 500, collate=collate) for part in (splits.validation, splits.test))

    build, space = getattr(models, f"build_{config.model}"), getattr(models, f"{config.model}_space")
    arguments = dl.hyperparameters.Arguments(config, space, models.free_arguments(config.model))

    def compiled(hp):
        model = build(preprocess.input_shape, info.num_classes, **arguments(hp))
        model.compile(
            optimizer=dl.optimizers.drawn(hp, config.optimizer, config.epochs, train.steps()),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        )
        return model

    def endpoints_of(model):
        examples = splits.validation.features["image"]
        examples = examples[data.examples.some(len(examples), 8, config.seed)]
        return dl.export.classifier(model, preprocess, info.classes, examples)

    tried = dl.tuning.try_out(compiled, hardware)
    dl.export.try_out(config.formats, endpoints_of, tried)
    run = dl.course.begin(config, hardware, APP, splits, train, tried, labels=info.classes)
    best = dl.tuning.search(compiled, train, validation, run, arguments=arguments, **config.of_search())
    model = run.build(compiled, best)
    size, examples = counted(model.count_params(), "parameters"), counted(len(splits.train), "training examples")
    run.say(f"{model.name}: {size}; {examples}")
    callbacks = [
        dl.summaries.TensorBoard(run, train, validation, histograms=config.histograms),
        dl.summaries.Pictures(run, splits.validation, preprocess, info.classes),
    ]
    dl.training.fit(model, train, validation, run, callbacks=callbacks, **config.of_fit())

    result = dl.summaries.classification_report(model, test, info.classes)  # the test split is read here, once
    run.say(dl.summaries.report_table(result))
    pictures = splits.test.features["image"]
    some = data.examples.some(len(pictures), 5, config.seed)
    files = Image(preprocess).write_all(pictures[some], run.samples / "test.png")
    return dl.course.end(
        run,
        __file__,
        config,
        model,
        splits,
        metrics=result["metrics"],
        sections=[dl.reports.Classification(result, Image(preprocess), pictures)],
        endpoints=endpoints_of(model),
        arguments=arguments,
        best=best,
        predict=lambda folder: [[folder, files[0]]],
        other_data=commands.other_data(config.dataset, "fashion_mnist", "path/to/my/images"),
    )


if __name__ == "__main__":
    command_line.run(main)
