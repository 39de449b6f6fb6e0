"""Train a language model on characters or words, let it write, and export it as a SavedModel.

    python apps/model_text.py                                     # an LSTM on Python's own library, by character
    python apps/model_text.py --model gru --dataset tiny_shakespeare --scheduled-sampling 0.25
    python apps/model_text.py --model transformer_lm --sequence-length 128   # its windows begin anew, no state goes on
    python apps/model_text.py --dataset path/to/my/text           # a file, or a folder of files

The small word model of Zaremba et al. 2014 (arXiv:1409.2329) on Penn Treebank, perplexity 114.5:

    python apps/model_text.py --dataset ptb --trials 0 --epochs 13 --batch-size 20 --sequence-length 20 \\
        --optimizer sgd --learning-rate 1 --schedule decay --decay-after 4 --decay-factor 0.5 --clipnorm 5 \\
        --loss-over sequences --keep last --set "units=(200, 200)" --set init_scale=0.1 --set forget_bias=0.0

Loss and metrics are in nats a token: the mean over all tokens of the negative log-likelihood of each, given all before.
Perplexity is its exponential, bits are nats / ln 2. Test: the whole text as one sequence, read once.
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from keras_dl import commands, feeding, imports, machine, models, runs, settings
from keras_dl.arguments import Number, Whole

# Layers, units and the embedding's width where nothing is --set.
SIZES = {"character": (1, 256, 64), "word": (2, 200, 200)}
TEST_STEPS = 1000  # of the one sequence that the test text is, at once
GAP = 50  # tokens of the continuations that the exposure gap is measured on, and of the text before them


@dataclasses.dataclass(frozen=True)
class Config(settings.Training):
    """Train a language model, let it write, and export it as a SavedModel."""

    model: Literal["rnn", "lstm", "gru", "transformer_lm"] = "lstm"  # architecture
    dataset: str = "python"  # python (its standard library), ptb, tiny_shakespeare, or a text file or folder
    level: Literal["auto", "character", "word"] = "auto"  # what a token is; auto: as the set is published
    vocabulary_size: Annotated[int, Whole(3, 1_000_000)] = 10_000  # words; the rest is <unk>
    # tokens through which the gradient goes back; the state goes on beyond
    sequence_length: Annotated[int, Whole(1, 100_000)] = 64
    loss_over: Literal["steps", "sequences"] = "steps"  # mean over tokens, or summed over a batch's steps
    # probability that an input of training is the model's own draw
    scheduled_sampling: Annotated[float, Number("[0, 1]")] = 0.0
    # standard deviation of the noise on the weights in training
    weight_noise: Annotated[float, Number("[0, 10]")] = 0.0
    trial_epochs: settings.Count = 1  # epochs of a trial
    epochs: settings.Count = 8  # epochs of the final fit
    batch_size: settings.Count = 32  # rows of contiguous text
    learning_rate: settings.Rate = 2e-3  # the largest of the schedule
    clipnorm: settings.Norm = 1.0  # largest norm of the whole gradient; 0: it is not clipped
    prime: str | None = None  # what the samples begin with; if not given, a word that lines of the text begin with
    sample_length: Annotated[int, Whole(1, 10_000)] = 300  # tokens of a sample


def sample_length(config, most, prime):
    """(tokens of a sample, sentences to be said) where prime and sample together may have `most` tokens.

    Raises:
        errors.UserError: --prime is too long, or a --sample-length that was asked for is.
    """
    given = len(prime.flat_values)
    settings.check(given < most, f"--prime: must have at most {most - 1} tokens for this model; got {given}.")
    length = min(config.sample_length, most - given)
    if length == config.sample_length:
        return length, ()
    settings.check(
        config.sample_length == Config.sample_length,
        f"--sample-length: must be at most {length} for this model; got {config.sample_length}.",
    )
    return length, (f"samples have {length} tokens: a request of this model may have {most} with the prime.",)


def main(argv=None):
    """Run the task; return the test metrics as {name: float}."""
    config = settings.parse(Config, argv, app="model_text").shortened()
    options = models.options(config.model)
    chosen = settings.assignments(config.set, options, f"build_{config.model}")
    settings.check(config.dataset, "--dataset: must be a name, a file or a folder; got nothing.")
    settings.check(config.strategy == "none", "--strategy: a state that is carried over has one device; take none.")
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
        from keras_dl.data import text
        from keras_dl.endpoints.text import generator, limits

    hardware = machine.prepare(config)  # before TensorFlow's first operation
    splits = text.load(config.dataset, config.seed, level=config.level, vocabulary_size=config.vocabulary_size)
    tokens = splits.preprocess
    prime = text.beginning(splits) if config.prime is None else text.checked_prime(config.prime)
    unknown_in_prime = text.unknown_in(tokens, prime, "--prime")
    if config.smoke:
        splits = splits.few(3000)
    info = splits.info

    def batches(examples, rows, steps):
        return data.batches(text.windows(examples, rows, steps), rows, collate=tokens.batch)

    train = batches(splits.train, config.batch_size, config.sequence_length)
    validation = batches(splits.validation, config.batch_size, config.sequence_length)

    build = getattr(models, f"build_{config.model}")
    layers, widest, embedding = SIZES[tokens.level]
    attends = config.model == "transformer_lm"

    def space(hp):
        width, rates = hp.Choice("width", [widest // 2, widest], default=widest), [0.1 if attends else 0.0, 0.2]
        drawn = {"dropout": hp.Choice("dropout", rates, default=rates[0])}
        if attends:
            drawn |= {"num_layers": 1 + layers, "hidden_dim": width, "intermediate_dim": 4 * width, "num_heads": 4}
            return drawn | {"norm_first": True, "max_length": config.sequence_length}
        drawn |= {"units": (width,) * layers, "embedding_dim": embedding, "implementation": "xla"}
        return drawn | ({"peephole": False} if config.model == "lstm" else {})

    arguments = hyperparameters.Arguments(config, space, chosen, options)

    def metrics():
        second = objectives.Perplexity() if tokens.level == "word" else objectives.BitsPerStep()
        return [objectives.NatsPerStep(), second]

    def compiled(hp):
        network = build((None,), len(tokens.vocabulary), **(given := arguments(hp)))
        # Every batch has one shape; but XLA is slow at random numbers.
        random = [given["dropout"], given.get("recurrent_dropout"), config.weight_noise, config.scheduled_sampling]
        model = models.SequenceModel(
            network, batch_size=0 if attends else config.batch_size, weight_noise=config.weight_noise,
            scheduled_sampling=config.scheduled_sampling, seed=config.seed,
        )  # fmt: skip
        model.compile(
            optimizer=optimizers.drawn(hp, config, train.steps()),
            loss=objectives.SequenceLoss("categorical", over=config.loss_over),
            weighted_metrics=metrics(),
            jit_compile=not any(random),
        )
        return model

    with settings.user_input(), hardware.scope():
        tried = compiled(tuning.defaults())  # arguments that do not fit are said before anything is written
    length, notes = sample_length(config, limits(tried.stepper)["generate"]["tokens"], tokens.encode([prime]))
    run = runs.start(hardware, app="model_text", name=f"{config.model}-{info.name}", data=data.fingerprint(splits))
    if run.finished:
        run.say(f"{run.path.name} is finished: {run.finished['metrics']}")
        return run.finished["metrics"]

    run.say(f"run: {run.path}")
    for note in (*splits.notes, *filter(None, [unknown_in_prime]), *notes):
        run.say(note)
    best = tuning.search(
        compiled, train, validation, run, trials=config.trials, tuner=config.tuner, epochs=config.trial_epochs,
        monitor="val_nats", arguments=arguments,
    )  # fmt: skip
    model = run.build(compiled, best)
    counts = ", ".join(f"{count:,} {part}" for part, count in info.counts.items())
    run.say(f"{model.name}: {model.network.count_params():,} parameters; {tokens.level}s: {counts}")
    write = tf.function(generator(model.stepper, tokens), autograph=False)

    def sample(temperature, seed=config.seed):
        made = write([prime], length, temperature, 0, 1.0, seed)["text"]
        return made[0].numpy().decode(errors="replace")

    def show():
        for temperature in (0.5, 1.0):
            tf.summary.text(f"temperature {temperature}", "```\n" + sample(temperature) + "\n```")

    training.fit(
        model, train, validation, run, epochs=config.epochs, monitor="val_nats", mode="min", keep=config.keep,
        average_last=config.average_last, save_minutes=config.save_minutes,
        callbacks=[
            summaries.TensorBoard(run, train, validation, histograms=config.histograms),
            samples.Samples(run, show),
            *training.stopping(config.patience, config.reduce_on_plateau, "val_nats"),
        ],
    )  # fmt: skip

    whole = models.SequenceModel(model.network, batch_size=1)
    whole.compile(loss=objectives.SequenceLoss("categorical"), weighted_metrics=metrics())
    found = training.evaluate(whole, batches(splits.test, 1, TEST_STEPS), run)  # the test split is read here, once
    found.pop("loss")
    gap = models.exposure_gap(model.stepper, splits.validation.features["tokens"], prime=GAP, steps=GAP)
    run.say("test: " + "  ".join(f"{name} {value:.4f}" for name, value in found.items()))
    run.say(
        f"exposure gap: {gap['own']:.3f} nats a token for its own {gap['steps']}-token continuations, "
        f"{gap['real']:.3f} for the text's ({gap['sequences']} of the validation split)"
    )
    endpoints = export.language_model(model.stepper, tokens, prime=prime, length=length)
    folder = export.save(
        model.network, run, preprocess=tokens, endpoints=endpoints, metrics=found,
        card={"data": info.config(), "hyperparameters": arguments.of(best), "exposure_gap": gap},
    )  # fmt: skip
    run.samples.joinpath("sample.txt").write_text(sample(0.7), encoding="utf-8")
    run.say(f"\n{sample(0.7)}")
    arguments.show(run, best, found)
    run.finish(found)
    app, predict, words = Path(__file__).resolve(), ["-m", "keras_dl", "predict"], feeding.as_input(prime)
    commands.following(
        run,
        ["-m", "tensorboard.main", "--logdir", run.tensorboard],
        words and [*predict, "--endpoint", "generate", "--set", "temperature=0.7", folder, *words],
        words and [*predict, folder, *words],
        [app, *arguments.words(best)] if config.trials else None,
        *([app, "--dataset", name] for name in commands.other_data(config.dataset, "path/to/my/text")),
    )
    return found


if __name__ == "__main__":
    settings.run(main)
