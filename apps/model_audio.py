"""Train a WaveNet, an exact density of sound sample by sample; let it make sounds, and export it as a SavedModel.

    python apps/model_audio.py                                  # plucked strings and chirps of a known law
    python apps/model_audio.py --condition label                # and of the instrument that is asked for
    python apps/model_audio.py --dataset fsdd --condition label # spoken digits
    python apps/model_audio.py --dataset path/to/my/recordings  # a folder of WAV, FLAC or OGG files
    python apps/model_audio.py --levels 65536                   # 16 bits, a mixture of logistic distributions

The model predicts every sample from those before it, as far as its receptive field reaches; what is before the first
sample is silence. Loss and metric are the negative log-likelihood in nats per sample, over all samples, each counted
once: a long recording is cut into windows that begin with the samples before them. The embedded sounds are drawn from
a law, whose own nats per sample no model can beat: they stand beside the test's.
Source: van den Oord et al. 2016 (arXiv:1609.03499); sizes are smaller than theirs (SIZES).
"""

import dataclasses
from typing import Annotated, Literal

import numpy as np

import keras_dl as dl
from keras_dl import command_line, commands, data, machine, models, own_data, runs, settings
from keras_dl.arguments import Whole
from keras_dl.atomic import write_atomic
from keras_dl.data import plans
from keras_dl.features import audio_files
from keras_dl.features.audio import USUAL_LENGTH, Audio, is_silent
from keras_dl.imports import keras  # imported when it is first used
from keras_dl.wording import counted

APP = "model_audio"

# Sizes unless --set changes them: a receptive field of 256 samples; fsdd, 2,048.
SIZES = {"dilations": tuple(2**n for n in range(7)), "num_blocks": 2, "filters": 32, "skip_filters": 64}
LONGER = {"dilations": tuple(2**n for n in range(10))}
SHOWN = 2  # sounds that are drawn for TensorBoard and the report, besides a continuation
PRIMED = 8000  # samples of a recording that are given where it is continued, at most; no more than its half
TESTED = 500  # samples of the two sounds with which an export is tested


@dataclasses.dataclass(frozen=True)
class Config(settings.Training):
    """Train a WaveNet, let it make sounds, and export it as a SavedModel."""

    model: Literal["wavenet"] = "wavenet"  # architecture
    # synthetic (strings and chirps), fsdd (spoken digits), or a folder of sound files, with sub-folders for classes
    dataset: str = "synthetic"
    levels: Literal[256, 65_536] = 256  # values of a sample: 256 of mu-law, or 65536 of 16 bits
    # what the sounds depend on: label, their class (instrument, digit, or sub-folder); speaker: that of fsdd
    condition: Literal["none", "label", "speaker"] = "none"
    # samples per second of a folder's recordings; 0: as most of them have, at most 16,000
    rate: Annotated[int, Whole(0, 192_000)] = 0
    trim_silence: bool = False  # cut silence off both ends of a folder's recordings
    skip_unreadable: bool = False  # leave out a folder's unreadable files
    window: Annotated[int, Whole(16, 1_000_000)] = 4096  # samples of a window, besides those before it
    trials: settings.CountOrZeroOrAuto = 0  # number of trials of the search; 0: no search; own data: auto
    trial_epochs: settings.Count = 2  # epochs of each trial
    epochs: settings.CountOrAuto = 15  # epochs of the final training; own data: auto, from the number of samples
    batch_size: settings.CountOrAuto = 8  # windows per step; own data: auto
    optimizer: settings.OptimizerFlags = settings.Optimizer(learning_rate=4e-3, schedule="cosine", clipnorm=1.0)
    # samples of a sound that is drawn; 0: as many as a recording of the validation split has, at most 8,000
    sample_length: Annotated[int, Whole(0, 1_000_000)] = 0


def main(argv=None):
    """Run the task; return the test metrics as {name: float}."""
    config = command_line.parse(
        Config, argv, app=APP, free_arguments=models.free_arguments, left_open=own_data.SETTINGS
    )
    settings.check(config.dataset, "--dataset: must be a name or a folder; got nothing.")
    settings.check(
        config.condition != "speaker" or config.dataset == "fsdd",
        f"--condition: speaker needs --dataset fsdd; got {config.dataset}.",
    )
    settings.check(
        config.rate == 0 or config.rate >= 1000, f"--rate: must be 0 or at least 1000; got {config.rate}. Nearest: 0."
    )
    if (finished := runs.finished(config, APP)) is not None:
        return finished
    config = dl.initializing.adopted(config, APP, models.free_arguments)
    hardware = machine.prepare(config)  # before TensorFlow's first operation

    splits = data.audio.load(
        config.dataset,
        config.seed,
        rate=config.rate or None,
        levels=config.levels,
        label="class" if config.condition == "label" else config.condition,
        trim_silence=config.trim_silence,
        skip_unreadable=config.skip_unreadable,
    )
    settings.check_effect(config, ("rate", "trim_silence", "skip_unreadable"), splits.info.own, "a folder as --dataset")
    splits = splits.few(6 if config.smoke else None, config.seed)
    config = own_data.fitted(config, hardware, splits, own_data.SOUNDS)
    info, preprocess, output = splits.info, splits.preprocess, splits.preprocess.distribution
    classes = info.classes
    sizes = SIZES | (LONGER if config.dataset == "fsdd" else {})

    def space(hp):
        width = hp.Choice("filters", [16, 32, 64], default=sizes["filters"])
        return sizes | {"filters": width, "skip_filters": 2 * width}

    arguments = dl.hyperparameters.Arguments(config, space, models.free_arguments(config.model))
    arguments.check_effect(["components"], output == "logistic_mixture", "--levels 65536")
    given = {"num_classes": len(classes)} if classes else {}

    def network(values):
        return models.build_wavenet((None,), config.levels, output=output, **given, **values)

    most_before = max(int(part.features["audio"].lengths.max()) for part in splits.parts.values())
    field = min(most_before, network(sizes | arguments.chosen).receptive_field)
    collate = preprocess.batch_of_classes if classes else preprocess.batch
    train_windows, validation_windows, test_windows = (
        data.audio.windows(part, config.window, field) for part in splits.parts.values()
    )
    plan = plans.bucketed(train_windows.features["audio"].lengths, config.batch_size)
    train = data.batches(train_windows, config.batch_size, collate=collate, seed=config.seed, plan=plan)
    validation, test = (
        data.batches(part, config.batch_size, collate=collate) for part in (validation_windows, test_windows)
    )

    def compiled(hp):
        model = network(arguments(hp))
        model.compile(
            optimizer=dl.optimizers.drawn(hp, config.optimizer, config.epochs, train.steps()),
            loss=dl.objectives.SequenceLoss(output),
            weighted_metrics=[dl.objectives.NatsPerStep(output, name="nats_per_sample")],
            jit_compile=False,
        )
        return model

    recording = audio_files.as_float(next(iter(splits.validation.features["audio"])))
    prime = recording[: min(PRIMED, max(1, len(recording) // 2))][None]

    def endpoints_of(model):
        length = config.sample_length or min(len(recording), USUAL_LENGTH)
        return dl.export.audio(model, preprocess, classes, prime[:, :TESTED].repeat(2, 0), length=length)

    tried = dl.tuning.try_out(compiled, hardware)
    dl.export.try_out(config.formats, endpoints_of, tried)
    most = longest(endpoints_of(tried))
    settings.check(
        config.sample_length <= most,
        f"--sample-length: must be at most {most} for this model; got {config.sample_length}. Nearest: {most}.",
    )
    run = dl.course.begin(config, hardware, APP, splits, train, tried, labels=classes)
    best = dl.tuning.search(
        compiled, train, validation, run, monitor="val_nats_per_sample", arguments=arguments, **config.of_search()
    )
    model = run.build(compiled, best)
    size, samples = counted(model.count_params(), "parameters"), int(splits.train.features["audio"].lengths.sum())
    run.say(
        f"{model.name}: {size}; receptive field {counted(model.receptive_field, 'samples')} "
        f"({1000 * model.receptive_field / preprocess.rate:.0f} ms); {samples / preprocess.rate:.1f} s of training "
        "recordings"
    )
    sounds = Audio(preprocess.rate, preprocess.levels)
    draw = drawing(endpoints_of(model), prime, recording, config)

    def show():
        sounds.summary("sample", *draw())

    callbacks = [
        dl.summaries.TensorBoard(run, train, validation, histograms=config.histograms),
        dl.samples.Samples(run, show),
    ]
    dl.training.fit(
        model, train, validation, run, monitor="val_nats_per_sample", callbacks=callbacks, **config.of_fit()
    )

    model = dl.export.in_float32(model, run, compiled, best)
    endpoints = endpoints_of(model)
    by_window = dl.objectives.NatsOfParts(output, len(test_windows), name="nats_per_sample")
    scored = keras.Model(model.input, model.output)  # the same weights; the export keeps its own metrics
    scored.compile(loss=dl.objectives.SequenceLoss(output), weighted_metrics=[by_window], jit_compile=False)
    metrics = {"nats_per_sample": dl.training.evaluate(scored, test)["nats_per_sample"]}  # read here, once
    nats, counts = of_recordings(by_window, test_windows)
    law = data.audio.best_nats(splits)
    beside = "" if law is None else f"; the law that the sounds are drawn from has {law:.4f}"
    meaning = ["It is that of a recording given its class."] if classes else []
    run.say(" ".join([f"test: {metrics['nats_per_sample']:.4f} nats a sample{beside}.", *meaning]))

    values, titles = drawing(endpoints, prime, recording, config)()
    for name, value in zip(("continued", *(f"drawn-{n}" for n in range(1, 1 + SHOWN))), values, strict=False):
        sounds.write(value, run.samples / f"{name}.wav")
    sounds.write(prime[0], run.samples / "prime.wav")
    [(_, spectrograms)] = sounds.pictures(values, titles)
    write_atomic(run.samples / "spectrograms.png", spectrograms)
    if all(map(is_silent, values[1 : 1 + SHOWN])):
        run.say("warning: what the model draws is silence: train it for longer, or on louder recordings")
    return dl.course.end(
        run,
        __file__,
        config,
        model,
        splits,
        metrics=metrics,
        sections=[
            dl.reports.Likelihood(nats, counts, parts="recordings", step="sample", meaning=meaning),
            dl.reports.Samples(sounds, values, titles),
        ],
        endpoints=endpoints,
        arguments=arguments,
        best=best,
        predict=lambda folder: [
            [folder, "--endpoint", "sample", "--set", "seed=1", "--out", "drawn.wav"],
            [folder, run.samples / "prime.wav", "--endpoint", "generate", "--set", "seed=1", "--out", "continued.wav"],
            [folder, run.samples / "prime.wav"],
        ],
        other_data=commands.other_data(config.dataset, "fsdd", "path/to/my/recordings"),
        monitor="val_nats_per_sample",
        card={"receptive_field": model.receptive_field} | ({} if law is None else {"nats_of_the_law": law}),
    )


def longest(endpoints):
    """Samples of a sound, at most, of which SHOWN can be drawn at once."""
    limits = endpoints["sample"].limits
    return min(limits["samples"], limits["samples_of_all"] // SHOWN)


def drawing(endpoints, prime, recording, config):
    """A function that returns (sounds, their titles): a continuation, SHOWN sounds that are drawn, and a recording.

    Args:
        prime: float (1, T), the beginning of `recording` (samples,).
    """
    generate, sample = endpoints["generate"].traced(), endpoints["sample"].traced()
    prime = prime[:, : endpoints["score"].limits["samples_of_all"]]
    most = longest(endpoints)
    length = min(most, config.sample_length or len(recording), config.sample_length or USUAL_LENGTH)
    rest = max(1, min(length, len(recording) - prime.shape[1]))

    def draw():
        continued = generate(prime=prime, length=rest, seed=config.seed)["audio"][0]
        drawn = sample(n=SHOWN, length=length, seed=config.seed)["audio"]
        titles = ["the beginning of a recording, continued by the model", *["drawn by the model"] * SHOWN]
        real = recording[: prime.shape[1] + rest]
        return [continued, *drawn, real], [*titles, "the recording, of the validation split"]

    return draw


def of_recordings(by_window, windows):
    """(nats, samples) of each recording, (N,) each, from those of its windows."""
    nats, counts = by_window.parts()
    owners = windows.features["recording"]
    return np.bincount(owners, nats), np.bincount(owners, counts)


if __name__ == "__main__":
    command_line.run(main)
