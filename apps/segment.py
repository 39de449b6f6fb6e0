"""Train a network that says of every pixel or voxel which class it is, and export it as a SavedModel.

    python apps/segment.py                                          # drawn shapes
    python apps/segment.py --model deconvnet --upsampling bilinear  # without the switches of the encoder's pooling
    python apps/segment.py --dataset shapes3d                       # solids in volumes
    python apps/segment.py --dataset camvid --class-weight balanced --augment shift_flip
    python apps/segment.py --dataset hippocampus                    # volumes in NIfTI files
    python apps/segment.py --dataset path/to/my/pairs               # images/ beside masks/, in it or in its splits

Mean IoU, Dice and accuracy are those of the confusion matrix of all pixels of a split; ignored pixels are in neither
the loss nor a measure. Of volumes they are measured at the spacing at which the model sees them.
Sources: Noh et al. 2015 (arXiv:1505.04366), deconvnet; Badrinarayanan et al. 2015 (arXiv:1511.00561), segnet; widths
are smaller than theirs (SIZES).
"""

import dataclasses
from typing import Annotated, Literal

import keras_dl as dl
from keras_dl import command_line, commands, data, machine, models, own_data, runs, settings
from keras_dl.arguments import OrAuto, Whole
from keras_dl.atomic import write_atomic
from keras_dl.features.masks import IGNORED, LabelMask, LabelVolume, overlay
from keras_dl.imports import keras  # imported when it is first used
from keras_dl.imports import tensorflow as tf
from keras_dl.wording import counted

APP = "segment"
OF_FOLDERS = ("image_size", "ignore_label")  # settings that only a folder needs

# Widths unless --set changes them: a few minutes of two cores for the embedded shapes.
SIZES = {"filters": (16, 32, 64), "depth": (2, 2, 2)}
SIZES_3D = {"filters": (12, 24, 48), "depth": (1, 1, 1)}
BOTTLENECK = {"deconvnet": {"units": 128}}
SHOWN = 4  # examples that are drawn for TensorBoard and the report


@dataclasses.dataclass(frozen=True)
class Config(settings.Training):
    """Train a segmentation network and export it as a SavedModel."""

    model: Literal["segnet", "deconvnet"] = "segnet"  # architecture
    # shapes, shapes3d (drawn), camvid, hippocampus, or a folder of images/ and masks/
    dataset: str = "shapes"
    # how maps grow again: by the encoder's switches, or by interpolation
    upsampling: Literal["switches", "nearest", "bilinear"] = "switches"
    # pixels: longer side to which a folder's images are resized; own data: auto, theirs, at most 128
    image_size: Annotated[int | Literal["auto"], OrAuto(Whole(8, 1024))] = "auto"
    ignore_label: Annotated[int, Whole(0, 255)] = IGNORED  # value of a folder's masks that is no class
    class_weight: Literal["none", "balanced"] = "none"  # balanced: weights by median frequency
    # shift: by up to an eighth of the shorter side; shift_flip: and mirrored left to right; own data: auto, shift
    augment: Literal["auto", "none", "shift", "shift_flip"] = "none"
    trials: settings.CountOrZeroOrAuto = 0  # number of trials of the search; 0: no search; own data: auto
    trial_epochs: settings.Count = 2  # epochs of each trial
    epochs: settings.CountOrAuto = 12  # epochs of the final training; own data: auto, from the number of pairs
    batch_size: settings.CountOrAuto = 16  # pairs per step; own data: auto
    optimizer: settings.OptimizerFlags = settings.Optimizer(learning_rate=3e-3, schedule="cosine")


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

    splits = data.segmentation.load(
        config.dataset, config.seed, image_size=config.image_size, ignore_label=config.ignore_label
    )
    settings.check_effect(config, OF_FOLDERS, splits.info.own, "a folder as --dataset")
    splits = splits.few(8 if config.smoke else None, config.seed)
    config = own_data.fitted(config, hardware, splits, own_data.MASKS)
    preprocess, classes = splits.preprocess, splits.info.classes
    field = "volume" if "volume" in splits.train.features else "image"
    dimensions = 3 if field == "volume" else 2
    settings.check(
        dimensions == 2 or config.augment != "shift_flip",
        "--augment: volumes are not mirrored, since left and right may be classes; got shift_flip. Nearest: shift.",
    )
    augment = None
    if config.augment != "none":
        shift = max(1, min(preprocess.input_shape[:-1]) // 8)
        augment = data.segmentation.MovedTogether(shift, config.augment == "shift_flip")
    collate = data.segmentation.collate(preprocess)
    train = data.batches(
        splits.train, config.batch_size, collate=collate, seed=config.seed, shuffle=True, augment=augment
    )
    validation, test = (
        data.batches(part, config.batch_size, collate=collate) for part in (splits.validation, splits.test)
    )
    weights = None
    if config.class_weight == "balanced":
        pixels = data.segmentation.pixels_of_classes(splits.train.features["mask"], len(classes))
        weights = tuple(dl.segmentation.balanced_weights(pixels).tolist())

    sizes = (SIZES if dimensions == 2 else SIZES_3D) | BOTTLENECK.get(config.model, {})

    def space(hp):
        width = hp.Choice("width", [8, 12, 16, 24, 32], default=sizes["filters"][0])
        filters = tuple(width * 2**stage for stage in range(len(sizes["filters"])))
        return sizes | {"filters": filters, "upsampling": config.upsampling}

    build = getattr(models, f"build_{config.model}")
    arguments = dl.hyperparameters.Arguments(config, space, models.free_arguments(config.model))

    def measures(boundaries=False):
        of = dl.segmentation
        some = [of.MeanIoU(len(classes), IGNORED), of.PixelAccuracy(len(classes), IGNORED, name="accuracy")]
        if boundaries:
            some.append(of.BoundaryIoU(len(classes), ignore_label=IGNORED))
            some += [
                of.Dice(len(classes), number, IGNORED, name=f"dice_{name}".replace(" ", "_"))
                for number, name in enumerate(classes)
            ]
        return some

    def compiled(hp):
        model = build(preprocess.input_shape, len(classes), dimensions=dimensions, **arguments(hp))
        model.compile(
            optimizer=dl.optimizers.drawn(hp, config.optimizer, config.epochs, train.steps()),
            loss=dl.segmentation.SegmentationLoss(IGNORED, weights),
            metrics=measures(),
            jit_compile=False,
        )
        return model

    def endpoints_of(model):
        examples = splits.validation.features[field]
        examples = examples[data.examples.some(len(examples), 4, config.seed)]
        return dl.export.segmenter(model, preprocess, classes, examples)

    tried = dl.tuning.try_out(compiled, hardware)
    dl.export.try_out(config.formats, endpoints_of, tried)
    run = dl.course.begin(config, hardware, APP, splits, train, tried, labels=classes)
    best = dl.tuning.search(
        compiled, train, validation, run, monitor="val_mean_iou", arguments=arguments, **config.of_search()
    )
    model = run.build(compiled, best)
    size, pairs = counted(model.count_params(), "parameters"), counted(len(splits.train), "training pairs")
    run.say(f"{model.name}: {size}; {pairs} of {' x '.join(map(str, preprocess.input_shape[:-1]))}")
    feature = LabelMask(classes) if dimensions == 2 else LabelVolume(classes)

    def show():
        for number, (_, picture) in enumerate(drawn(model, splits.validation, preprocess, field, config.seed), 1):
            tf.summary.image(f"overlay_{number}", tf.io.decode_png(picture, channels=3)[None])

    callbacks = [
        dl.summaries.TensorBoard(run, train, validation, histograms=config.histograms),
        dl.samples.Samples(run, show),
    ]
    dl.training.fit(
        model, train, validation, run, monitor="val_mean_iou", callbacks=callbacks, **config.of_fit()
    )  # fmt: skip

    model = dl.export.in_float32(model, run, compiled, best)
    scored = keras.Model(model.input, model.output)  # the same weights; the export keeps its own metrics
    scored.compile(
        loss=dl.segmentation.SegmentationLoss(IGNORED, weights), metrics=measures(True), jit_compile=False
    )  # fmt: skip
    metrics = dl.training.evaluate(scored, test)  # the test split is read here, once
    run.say("test: " + ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
    captions = {}
    for number, (caption, picture) in enumerate(drawn(model, splits.test, preprocess, field, config.seed), 1):
        path = run.samples / f"test-{number}.png"
        write_atomic(path, picture)
        captions[path] = caption
    [given] = written(splits.test.features[field][:1], field, preprocess, run.samples)
    out = "mask.png" if dimensions == 2 else "mask.nii.gz"
    return dl.course.end(
        run,
        __file__,
        config,
        model,
        splits,
        metrics=metrics,
        sections=[dl.reports.Pictures(captions, heading=f"What it sees: {feature.plural} of the test split")],
        endpoints=endpoints_of(model),
        arguments=arguments,
        best=best,
        predict=lambda folder: [[folder, given, "--out", out], [folder, given]],
        other_data=commands.other_data(config.dataset, "camvid", "path/to/my/pairs"),
        monitor="val_mean_iou",
    )


def drawn(model, examples, preprocess, field, seed):
    """[(caption, PNG)] of SHOWN examples: the labels that the model gives beside the right ones."""
    import numpy as np

    from keras_dl.features import volumes
    from keras_dl.features.image import Image
    from keras_dl.figures import png

    rows = data.examples.some(len(examples), SHOWN, seed)
    values, labels = examples.features[field][rows], examples.features["mask"][rows]
    inputs = values[..., None] if field == "volume" else preprocess(values)
    answers = np.argmax(model(inputs, training=False), -1)
    pictures = []
    for value, label, answer in zip(values, labels, answers, strict=True):
        if field == "volume":
            right = np.where(label == IGNORED, 0, label)
            caption = "Above what the model says, below the labels."
            picture = png(volumes.slices_figure(value, "model; labels", answer, preprocess.spacing, right))
        else:
            caption = "The image, what the model says, the labels."
            beside = [value, overlay(value, answer), overlay(value, label)]
            [(_, picture)] = Image(preprocess).pictures([np.concatenate(beside, 1)])
        pictures.append((caption, picture))
    return pictures


def written(values, field, preprocess, folder):
    """Write examples as files that `predict` reads; the list of their paths."""
    from keras_dl.features.image import Image
    from keras_dl.features.volumes import SpacedVolume

    if field == "image":
        return Image(preprocess).write_all(list(values), folder / "test.png")
    return SpacedVolume(preprocess.input_shape, preprocess.spacing).write_all(list(values), folder / "test.npy")


if __name__ == "__main__":
    command_line.run(main)
