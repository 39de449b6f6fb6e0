"""Train a classifier of sounds or of volumes, and export it as a SavedModel.

    python apps/classify_signals.py                                     # eight kinds of solids, in three dimensions
    python apps/classify_signals.py --model resnet3d --dataset organmnist3d.npz    # a file in MedMNIST's layout
    python apps/classify_signals.py --model convnet1d --dataset fsdd    # which digit is said
    python apps/classify_signals.py --model convnet1d --dataset path/to/recordings    # a sub-folder a class
    python apps/classify_signals.py --dataset path/to/volumes           # the same of NIfTI files

A ConvNet in one dimension reads the samples of a sound, or a spectrogram that the graph computes; in three, a volume.
Where it looks (Grad-CAM) stands in TensorBoard. Recordings of one speaker, or volumes of one patient, belong into one
split: give the folders train, validation and test yourself where that matters.
Sources: Dai et al. 2016 (convnet1d); Khvostikov et al. 2018 (convnet3d); He et al. 2015 with three axes (resnet3d).
"""

import dataclasses
from typing import Annotated, Literal

import keras_dl as dl
from keras_dl import command_line, commands, data, machine, models, own_data, runs, settings
from keras_dl.arguments import Number, Whole
from keras_dl.features import audio_files
from keras_dl.features.audio import Audio
from keras_dl.features.volumes import Volume
from keras_dl.imports import keras  # imported when it is first used
from keras_dl.wording import counted

APP = "classify_signals"
OF_SOUNDS, OF_VOLUMES = ("convnet1d",), ("convnet3d", "resnet3d")
# Sizes unless --set changes them. A mean of each map in place of layers that know every place: solids lie anywhere.
SIZES = {
    "convnet1d": {"features": "spectrogram", "filters": (32, 64, 64), "dropout": 0.3},
    "convnet3d": {"head": "average", "units": (), "dropout": 0.1},
    "resnet3d": {"filters": 8},
}
OTHERS = {True: ("fsdd", "path/to/my/recordings"), False: ("organmnist3d.npz", "path/to/my/volumes")}
TESTED = 4  # examples with which an export is tested


@dataclasses.dataclass(frozen=True)
class Config(settings.Training):
    """Train a classifier of sounds or of volumes, and export it as a SavedModel."""

    model: Literal["convnet1d", "convnet3d", "resnet3d"] = "convnet3d"  # architecture; convnet1d is for sounds
    # solids (volumes), synthetic or fsdd (sounds), a .npz file of volumes, or a folder with one sub-folder per class
    dataset: str = "solids"
    rate: Annotated[int, Whole(0, 192_000)] = 0  # samples per second of a folder's recordings; 0: as most of them have
    # seconds of a sound that the model reads; 0: the length of most of them, at most 10
    seconds: Annotated[float, Number("[0, 600]")] = 0.0
    size: Annotated[int, Whole(0, 512)] = 0  # voxels a side of a folder's volumes; 0: as most of them have, 16 to 48
    skip_unreadable: bool = False  # leave out a folder's unreadable files
    class_weight: Literal["none", "balanced"] = "none"  # balanced: all classes have the same total weight
    # all: training volumes are turned and mirrored in all 48 ways of a cube; auto: all for solids, else none
    turns: Literal["auto", "none", "all"] = "auto"
    trials: settings.CountOrZeroOrAuto = 0  # number of trials of the search; 0: no search; own data: auto
    epochs: settings.CountOrAuto = 30  # epochs of the final training; own data: auto
    batch_size: settings.CountOrAuto = 16  # examples per step; own data: auto
    optimizer: settings.OptimizerFlags = settings.Optimizer(learning_rate=2e-3, schedule="onecycle")


def main(argv=None):
    """Run the task; return the test metrics as {name: float}."""
    config = command_line.parse(
        Config, argv, app=APP, free_arguments=models.free_arguments, left_open=own_data.SETTINGS
    )
    settings.check(config.dataset, "--dataset: must be a name, a file or a folder; got nothing.")
    settings.check(
        config.rate == 0 or config.rate >= 1000, f"--rate: must be 0 or at least 1000; got {config.rate}. Nearest: 0."
    )
    settings.check(config.size == 0 or config.size >= 4, f"--size: must be 0 or at least 4; got {config.size}.")
    if (finished := runs.finished(config, APP)) is not None:
        return finished
    config = dl.initializing.adopted(config, APP, models.free_arguments)
    hardware = machine.prepare(config)  # before TensorFlow's first operation

    splits = data.signals.load(
        config.dataset,
        config.seed,
        rate=config.rate or None,
        seconds=config.seconds or None,
        size=config.size or None,
        skip_unreadable=config.skip_unreadable,
    )
    sounds = "audio" in splits.info.features
    fitting, kind = (OF_SOUNDS, "sounds") if sounds else (OF_VOLUMES, "volumes")
    settings.check(
        config.model in fitting,
        f"--model: {config.dataset} has {kind}, which {' or '.join(fitting)} reads; got {config.model}. Nearest: "
        f"{fitting[0]}.",
    )
    of_files = splits.info.own and not config.dataset.lower().endswith(".npz")
    settings.check_effect(config, ("skip_unreadable",), of_files, "a folder as --dataset")
    settings.check_effect(config, ("rate",), of_files and sounds, "a folder of sound files as --dataset")
    settings.check_effect(config, ("size",), of_files and not sounds, "a folder of volumes as --dataset")
    settings.check_effect(config, ("seconds",), sounds, "sounds as --dataset")
    splits = splits.few(64 if config.smoke else None, config.seed)
    config = own_data.fitted(config, hardware, splits, own_data.SIGNALS)
    info, preprocess = splits.info, splits.preprocess
    labels, balanced = splits.train.features["label"], config.class_weight == "balanced"
    train = data.batches(
        splits.train,
        config.batch_size,
        collate=preprocess.batch,
        seed=config.seed,
        shuffle=True,
        augment=data.signals.augmentation(config.turns, info),
        class_weight=data.images.balanced(labels, info.num_classes) if balanced else None,
    )
    validation, test = (data.batches(part, 32, collate=preprocess.batch) for part in (splits.validation, splits.test))

    build, space_of = getattr(models, f"build_{config.model}"), getattr(models, f"{config.model}_space")

    def space(hp):
        return space_of(hp) | SIZES[config.model] | ({"dropout": dropout(hp)} if config.model != "resnet3d" else {})

    def dropout(hp):
        return hp.Choice("dropout", [0.0, 0.1, 0.3, 0.5], default=SIZES[config.model]["dropout"])

    arguments = dl.hyperparameters.Arguments(config, space, models.free_arguments(config.model))
    of_rate = {"rate": preprocess.rate} if sounds else {}

    def compiled(hp):
        model = build(preprocess.input_shape, info.num_classes, **of_rate, **arguments(hp))
        model.compile(
            optimizer=dl.optimizers.drawn(hp, config.optimizer, config.epochs, train.steps()),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        )
        return model

    def endpoints_of(model):
        examples = first(splits.validation, TESTED, config.seed)
        return dl.export.signal_classifier(model, preprocess, info.classes, examples)

    tried = dl.tuning.try_out(compiled, hardware)
    dl.export.try_out(config.formats, endpoints_of, tried)
    run = dl.course.begin(config, hardware, APP, splits, train, tried, labels=info.classes)
    best = dl.tuning.search(compiled, train, validation, run, arguments=arguments, **config.of_search())
    model = run.build(compiled, best)
    size, examples = counted(model.count_params(), "parameters"), counted(len(splits.train), "training examples")
    run.say(f"{model.name}: {size}; {examples}; each is read as {described(preprocess)}")
    callbacks = [
        dl.summaries.TensorBoard(run, train, validation, histograms=config.histograms),
        dl.summaries.SignalPictures(run, validation, info.classes),
    ]
    dl.training.fit(model, train, validation, run, callbacks=callbacks, **config.of_fit())

    result = dl.summaries.classification_report(model, test, info.classes)  # the test split is read here, once
    run.say(dl.summaries.report_table(result))
    feature, values = shown(splits.test, preprocess)
    some = data.examples.some(len(splits.test), 3, config.seed)
    files = feature.write_all([values[row] for row in some], run.samples / f"test{feature.written_as[0]}")
    return dl.course.end(
        run,
        __file__,
        config,
        model,
        splits,
        metrics=result["metrics"],
        sections=[dl.reports.Classification(result, feature, values)],
        endpoints=endpoints_of(model),
        arguments=arguments,
        best=best,
        predict=lambda folder: [[folder, files[0]]],
        other_data=commands.other_data(config.dataset, *OTHERS[config.model in OF_SOUNDS]),
    )


def first(examples, most, seed):
    """A few examples for the test of an export: float (n, T) of one length, or (n, D, H, W)."""
    some = data.examples.some(len(examples), most, seed)
    if "volume" in examples.features:
        return examples.features["volume"][some]
    sounds = [audio_files.as_float(sound) for sound in examples.features["audio"][some]]
    length = min(map(len, sounds))
    return [sound[:length] for sound in sounds]


def shown(examples, preprocess):
    """(the Feature that shows examples, a list of them as it shows them)."""
    if "volume" in examples.features:
        return Volume(preprocess.size, preprocess.spacing), list(examples.features["volume"])
    sounds = [audio_files.as_float(sound) for sound in examples.features["audio"]]
    return Audio(preprocess.rate), sounds


def described(preprocess):
    """What the model reads, as a phrase."""
    shape = preprocess.input_shape
    if len(shape) == 1:
        return f"{shape[0] / preprocess.rate:g} s, {shape[0]:,} samples"
    return f"{' x '.join(map(str, shape[:-1]))} voxels"


if __name__ == "__main__":
    command_line.run(main)
