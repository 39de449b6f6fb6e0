"""Train a model of polyphonic music, let it play on, and export it as a SavedModel.

    python apps/model_music.py                                    # an LSTM on Bach's chorales
    python apps/model_music.py --model rnn --dataset nottingham --set "units=(400,)" --set "transition_units=(400,)"
    python apps/model_music.py --dataset path/to/my/midi          # a folder of MIDI files

A piece is a piano-roll: at every time step, which of 88 keys are on. The model gives each key's probability from all
steps before. Loss and metric are the negative log-likelihood in nats a time step: summed over the 88 notes, averaged
over the real (not padded) steps; the step before a piece's first is silence.
Recipes: Chung et al. 2014 (arXiv:1412.3555); Pascanu et al. 2014 (arXiv:1312.6026).
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from keras_dl import commands, extras, imports, machine, models, runs, settings
from keras_dl.arguments import Number, Whole

BEATS = 16  # of the prime that a sample goes on from, quarter notes
RATE = 16_000  # samples of sound a second


@dataclasses.dataclass(frozen=True)
class Config(settings.Training):
    """Train a model of polyphonic music, let it play on, and export it as a SavedModel."""

    model: Literal["rnn", "lstm", "gru"] = "lstm"  # architecture
    dataset: str = "bach_chorales"  # or jsb_chorales, nottingham, musedata, piano_midi, or a folder of MIDI files
    steps_per_beat: Annotated[int, Whole(1, 48)] = 4  # time steps a quarter note, of a folder's files
    skip_unreadable: bool = False  # leave out a folder's unreadable files
    # standard deviation of the noise on the weights in training
    weight_noise: Annotated[float, Number("[0, 10]")] = 0.0
    epochs: settings.Count = 100  # epochs of the final fit
    batch_size: settings.Count = 16  # pieces a step
    learning_rate: settings.Rate = 1e-2  # the largest of the schedule
    clipnorm: settings.Norm = 1.0  # largest norm of the whole gradient; 0: it is not clipped
    sample_beats: Annotated[int, Whole(1, 600)] = 32  # length of a sample behind its prime, quarter notes


def main(argv=None):
    """Run the task; return the test metrics as {name: float}."""
    config = settings.parse(Config, argv, app="model_music").shortened()
    options = models.options(config.model)
    chosen = settings.assignments(config.set, options, f"build_{config.model}")
    settings.check(config.dataset, "--dataset: must be a name or a folder; got nothing.")
    with imports.quiet_tensorflow():
        import tensorflow as tf

        from keras_dl import (
            data,
            export,
            hyperparameters,
            objectives,
            optimizers,
            samples,
            summaries,
            training,
            tuning,
        )
        from keras_dl.data import music, plans
        from keras_dl.endpoints.music import generator

    hardware = machine.prepare(config)  # before TensorFlow's first operation
    extras.needs("pretty_midi", "music", music.WRITING)  # said before the training, not behind it
    splits = music.load(
        config.dataset, config.seed, steps_per_beat=config.steps_per_beat,
        skip_unreadable=config.skip_unreadable, pieces=16 if config.smoke else None,
    )  # fmt: skip
    info, preprocess = splits.info, splits.preprocess
    lengths = splits.train.features["roll"].lengths
    train = data.batches(
        splits.train, config.batch_size, collate=preprocess.batch, seed=config.seed,
        plan=plans.bucketed(lengths, config.batch_size),
    )  # fmt: skip
    validation, test = (
        data.batches(s, config.batch_size, collate=preprocess.batch) for s in (splits.validation, splits.test)
    )

    build, space = getattr(models, f"build_{config.model}"), getattr(models, f"{config.model}_space")
    arguments = hyperparameters.Arguments(config, space, chosen, options)

    def compiled(hp):
        network = build((None, preprocess.notes), preprocess.notes, **arguments(hp))
        model = models.SequenceModel(network, weight_noise=config.weight_noise, seed=config.seed)
        model.compile(
            optimizer=optimizers.drawn(hp, config, train.steps()),
            loss=objectives.SequenceLoss("bernoulli"),
            weighted_metrics=[objectives.NatsPerStep("bernoulli")],
        )
        return model

    with settings.user_input(), hardware.scope():
        compiled(tuning.defaults())  # arguments that do not fit are said before anything is written
    run = runs.start(hardware, app="model_music", name=f"{config.model}-{info.name}", data=data.fingerprint(splits))
    if run.finished:
        run.say(f"{run.path.name} is finished: {run.finished['metrics']}")
        return run.finished["metrics"]

    run.say(f"run: {run.path}")
    for note in splits.notes:
        run.say(note)
    best = tuning.search(
        compiled, train, validation, run, trials=config.trials, tuner=config.tuner, epochs=config.trial_epochs,
        monitor="val_nats", arguments=arguments,
    )  # fmt: skip
    model = run.build(compiled, best)
    run.say(
        f"{model.name}: {model.network.count_params():,} parameters; "
        f"{len(splits.train):,} training pieces of {lengths.min()} to {lengths.max()} steps"
    )

    piece = next(iter(splits.validation.features["roll"]))
    tempo = float(splits.validation.features["beats_per_minute"][0])
    steps_per_beat = info.details["steps_per_beat"]
    grid = {"steps_per_beat": steps_per_beat, "beats_per_minute": tempo}
    prime = piece[: BEATS * steps_per_beat]
    play = tf.function(generator(model.stepper, preprocess), autograph=False)

    def sample():
        made = play(prime[None], config.sample_beats * steps_per_beat, 1.0, config.seed)
        return made["roll"][0].numpy()

    def show():
        roll = sample()
        titles = ["a piece of the validation split", f"its first {BEATS} beats, gone on with"]
        figure = samples.piano_roll_figure(
            [piece[: len(roll)], roll], titles, lowest=preprocess.lowest, steps_per_beat=steps_per_beat
        )
        tf.summary.image("piano_roll", tf.io.decode_png(summaries.png(figure), channels=3)[None])
        tf.summary.audio("sample", music.sound(roll, **grid, rate=RATE)[None, :, None], RATE)

    training.fit(
        model, train, validation, run, epochs=config.epochs, monitor="val_nats", mode="min", keep=config.keep,
        average_last=config.average_last, save_minutes=config.save_minutes,
        callbacks=[
            summaries.TensorBoard(run, train, validation, histograms=config.histograms),
            samples.Samples(run, show),
            *training.stopping(config.patience, config.reduce_on_plateau, "val_nats"),
        ],
    )  # fmt: skip

    found = {"nats": training.evaluate(model, test, run)["nats"]}  # the test split is read here, once
    run.say(f"test: {found['nats']:.4f} nats a time step")
    endpoints = export.polyphony(
        model.stepper, preprocess, prime[None].repeat(2, 0), length=config.sample_beats * steps_per_beat
    )
    folder = export.save(
        model.network, run, preprocess=preprocess, endpoints=endpoints, metrics=found,
        card={"data": info.config(), "hyperparameters": arguments.of(best)},
    )  # fmt: skip
    for name, roll in (("prime", prime), ("sample", sample())):
        music.write_midi(roll, run.samples / f"{name}.mid", **grid)
    arguments.show(run, best, found)
    run.finish(found)
    app, predict, prime = Path(__file__).resolve(), ["-m", "keras_dl", "predict", folder], run.samples / "prime.mid"
    commands.following(
        run,
        ["-m", "tensorboard.main", "--logdir", run.tensorboard],
        [*predict, prime, "--endpoint", "generate", "--set", "seed=1", "--out", "played_on.mid"],
        [*predict, prime],
        [app, *arguments.words(best)] if config.trials else None,
        *([app, "--dataset", name] for name in commands.other_data(config.dataset, "path/to/my/midi")),
    )
    return found


if __name__ == "__main__":
    settings.run(main)
