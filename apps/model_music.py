"""Train a model of polyphonic music, let it continue a piece, and export it as a SavedModel.

    python apps/model_music.py                                    # an LSTM on Bach's chorales
    python apps/model_music.py --model rnn --dataset nottingham --set "units=(400,)" --set "transition_units=(400,)"
    python apps/model_music.py --dataset path/to/my/midi          # a folder of MIDI files

A piece is a piano-roll: at every time step, which of 88 keys are pressed. The model predicts each key's probability
from all steps before. Loss and metric are the negative log-likelihood in nats per time step: summed over the 88 keys,
averaged over the real (not padded) steps; the input of a piece's first step is silence.
Recipes: Chung et al. 2014 (arXiv:1412.3555); Pascanu et al. 2014 (arXiv:1312.6026).
"""

import dataclasses
from typing import Annotated, Literal

import keras_dl as dl
from keras_dl import command_line, commands, data, machine, models, own_data, runs, settings
from keras_dl.arguments import Number, Whole
from keras_dl.data import plans
from keras_dl.extras import needs
from keras_dl.features import sound
from keras_dl.features.piano_roll import Roll
from keras_dl.wording import counted

APP = "model_music"

BEATS = 16  # length of the prime that a sample continues, in quarter notes


@dataclasses.dataclass(frozen=True)
class Config(settings.Training):
    """Train a model of polyphonic music, let it continue a piece, and export it as a SavedModel."""

    model: Literal["rnn", "lstm", "gru"] = "lstm"  # architecture
    # bach_chorales, jsb_chorales, nottingham, musedata, piano_midi, or a folder of MIDI files
    dataset: str = "bach_chorales"
    steps_per_beat: Annotated[int, Whole(1, 48)] = 4  # time steps per quarter note, for a folder's files
    skip_unreadable: bool = False  # leave out a folder's unreadable files
    # standard deviation of the noise on the weights in training
    weight_noise: Annotated[float, Number("[0, 10]")] = 0.0
    epochs: settings.CountOrAuto = 100  # epochs of the final training; own data: auto, from the number of pieces
    batch_size: settings.CountOrAuto = 16  # pieces per step; own data: auto
    optimizer: settings.OptimizerFlags = settings.Optimizer(learning_rate=1e-2, clipnorm=1.0)
    sample_beats: Annotated[int, Whole(1, 600)] = 32  # length of a sample after its prime, in quarter notes


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
    needs("pretty_midi", "music", sound.WRITING)  # reported before the training, not after it

    splits = data.music.load(
        config.dataset,
        config.seed,
        steps_per_beat=config.steps_per_beat,
        skip_unreadable=config.skip_unreadable,
        pieces=16 if config.smoke else None,
    )
    settings.check_effect(config, ("steps_per_beat", "skip_unreadable"), splits.info.own, "a folder as --dataset")
    config = own_data.fitted(config, hardware, splits, own_data.MUSIC)
    info, preprocess = splits.info, splits.preprocess
    lengths = splits.train.features["roll"].lengths
    plan = plans.bucketed(lengths, config.batch_size)
    train = data.batches(splits.train, config.batch_size, collate=preprocess.batch, seed=config.seed, plan=plan)
    validation, test = (
        data.batches(part, config.batch_size, collate=preprocess.batch) for part in (splits.validation, splits.test)
    )

    build, space = getattr(models, f"build_{config.model}"), getattr(models, f"{config.model}_space")
    arguments = dl.hyperparameters.Arguments(config, space, models.free_arguments(config.model))

    def compiled(hp):
        network = build((None, preprocess.notes), preprocess.notes, **arguments(hp))
        model = dl.sequences.SequenceModel(network, weight_noise=config.weight_noise, seed=config.seed)
        model.compile(
            optimizer=dl.optimizers.drawn(hp, config.optimizer, config.epochs, train.steps()),
            loss=dl.objectives.SequenceLoss("bernoulli"),
            weighted_metrics=[dl.objectives.NatsPerStep("bernoulli")],
        )
        return model

    steps_per_beat = info.details["steps_per_beat"]
    piece = next(iter(splits.validation.features["roll"]))
    prime = piece[: BEATS * steps_per_beat]
    rolls = Roll(steps_per_beat, float(splits.validation.features["beats_per_minute"][0]))

    def endpoints_of(network):
        return dl.export.polyphony(
            network,
            preprocess,
            prime[None].repeat(2, 0),
            steps_per_beat=steps_per_beat,
            beats_per_minute=rolls.beats_per_minute,
            length=config.sample_beats * steps_per_beat,
        )

    tried = dl.tuning.try_out(compiled, hardware)
    dl.export.try_out(config.formats, endpoints_of, tried.network)
    run = dl.course.begin(config, hardware, APP, splits, train, tried)
    best = dl.tuning.search(
        compiled, train, validation, run, monitor="val_nats", arguments=arguments, **config.of_search()
    )
    model = run.build(compiled, best)
    size, pieces = counted(model.network.count_params(), "parameters"), counted(len(splits.train), "training pieces")
    run.say(f"{model.name}: {size}; {pieces} of {lengths.min()} to {counted(lengths.max(), 'steps')}")

    endpoints = endpoints_of(model.network)
    generate = endpoints["generate"].traced()

    def sample():
        """(a prime that the model continues, and the piece that it is from; their titles)."""
        roll = generate(prime=prime[None], seed=config.seed)["roll"][0]
        titles = [f"the first {BEATS} beats of a piece, continued by the model", "the piece, of the validation split"]
        return [roll, piece[: len(roll)]], titles

    def show():
        rolls.summary("sample", *sample())

    callbacks = [
        dl.summaries.TensorBoard(run, train, validation, histograms=config.histograms),
        dl.samples.Samples(run, show),
    ]
    dl.training.fit(model, train, validation, run, monitor="val_nats", callbacks=callbacks, **config.of_fit())

    by_piece = dl.objectives.NatsOfParts("bernoulli", len(splits.test))
    whole = dl.sequences.SequenceModel(model.network)
    whole.compile(loss=dl.objectives.SequenceLoss("bernoulli"), weighted_metrics=[by_piece])
    metrics = {"nats": dl.training.evaluate(whole, test)["nats"]}  # the test split is read here, once
    run.say(f"test: {metrics['nats']:.4f} nats a time step")
    rolls.write(prime, run.samples / "prime.mid")
    rolls.write(sample()[0][0], run.samples / "sample.mid")
    play_on = ["--endpoint", "generate", "--set", "seed=1", "--out", "played_on.mid"]
    return dl.course.end(
        run,
        __file__,
        config,
        model.network,
        splits,
        metrics=metrics,
        sections=[
            dl.reports.Likelihood(*by_piece.parts(), parts="pieces", step="time step"),
            dl.reports.Samples(rolls, *sample()),
        ],
        endpoints=endpoints,
        arguments=arguments,
        best=best,
        predict=lambda folder: [[folder, run.samples / "prime.mid", *flags] for flags in (play_on, [])],
        other_data=commands.other_data(config.dataset, "path/to/my/midi"),
        monitor="val_nats",
    )


if __name__ == "__main__":
    command_line.run(main)
