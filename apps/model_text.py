"""Train a language model on characters or words, let it generate text, and export it as a SavedModel.

    python apps/model_text.py                                     # an LSTM on Python's standard library, by character
    python apps/model_text.py --model gru --dataset tiny_shakespeare --scheduled-sampling 0.25
    python apps/model_text.py --model transformer_lm --sequence-length 128   # no state is carried over
    python apps/model_text.py --dataset path/to/my/text           # a file, or a folder of files

The small word model of Zaremba et al. 2014 (arXiv:1409.2329) on Penn Treebank, perplexity 114.5:

    python apps/model_text.py --dataset ptb --trials 0 --epochs 13 --batch-size 20 --sequence-length 20 \\
        --optimizer sgd --learning-rate 1 --schedule decay --decay-after 4 --decay-factor 0.5 --clipnorm 5 \\
        --loss-over sequences --keep last --set "units=(200, 200)" --set init_scale=0.1 --set forget_bias=0.0

Loss and metrics are in nats per token: the mean over all tokens of the negative log-likelihood given all tokens before.
Perplexity is its exponential, bits are nats / ln 2. Test: the whole text as one sequence, read once.
"""

import dataclasses
from typing import Annotated, Literal

import keras_dl as dl
from keras_dl import command_line, commands, data, machine, markdown, models, own_data, runs, settings
from keras_dl.arguments import Number, Whole
from keras_dl.features import words
from keras_dl.features.text import Text
from keras_dl.imports import tensorflow as tf  # imported when it is first used
from keras_dl.wording import counted

APP = "model_text"

# Layers, units and the embedding's width, for each level, unless --set changes them.
SIZES = {"character": (1, 256, 64), "word": (2, 200, 200)}
TEST_STEPS = 1000  # steps per batch of the test text, which is one sequence
GENERATE = ["--endpoint", "generate", "--set", "temperature=0.7"]
BLOCK = 100  # tokens of the blocks of the test text that are resampled for intervals
TEMPERATURES = (0.5, 1.0)  # of the samples that are shown
LOOKING = 30  # tokens of the text whose attention is drawn
GAP = 50  # tokens of each continuation for the exposure gap, and of the text before it


@dataclasses.dataclass(frozen=True)
class Config(settings.Training):
    """Train a language model, let it generate text, and export it as a SavedModel."""

    model: Literal["rnn", "lstm", "gru", "transformer_lm"] = "lstm"  # architecture
    dataset: str = "python"  # python (its standard library), ptb, tiny_shakespeare, or a text file or folder
    # what a token is; auto: as in the published data set, own data: character
    level: Literal["auto", "character", "word"] = "auto"
    vocabulary_size: Annotated[int, Whole(3, 1_000_000)] = 10_000  # of words: number of them; all others are <unk>
    # tokens per sequence, through which the gradient is computed; the state is carried over to the next sequence
    sequence_length: Annotated[int, Whole(1, 100_000)] = 64
    # steps: mean over all tokens of a batch; sequences: sum over the steps, mean over the sequences
    loss_over: Literal["steps", "sequences"] = "steps"
    # probability that an input in training is drawn from the model instead of the text
    scheduled_sampling: Annotated[float, Number("[0, 1]")] = 0.0
    # standard deviation of the noise on the weights in training
    weight_noise: Annotated[float, Number("[0, 10]")] = 0.0
    trial_epochs: settings.Count = 1  # epochs of each trial
    epochs: settings.CountOrAuto = 8  # epochs of the final training; own data: auto, from the number of tokens
    batch_size: settings.CountOrAuto = 32  # sequences per step, each row a contiguous text; own data: auto
    optimizer: settings.OptimizerFlags = settings.Optimizer(learning_rate=2e-3, clipnorm=1.0)
    prime: str | None = None  # beginning of the samples; by default a word that begins lines of the text
    sample_length: Annotated[int, Whole(1, 10_000)] = 300  # tokens of a sample


def main(argv=None):
    """Run the task; return the test metrics as {name: float}."""
    config = command_line.parse(
        Config, argv, app=APP, free_arguments=models.free_arguments, left_open=own_data.SETTINGS
    )
    settings.check(config.dataset, "--dataset: must be a name, a file or a folder; got nothing.")
    settings.check(config.strategy == "none", "--strategy: a state that is carried over has one device; take none.")
    if (finished := runs.finished(config, APP)) is not None:
        return finished
    config = dl.initializing.adopted(config, APP, models.free_arguments)
    hardware = machine.prepare(config)  # before TensorFlow's first operation

    splits = data.text.load(config.dataset, config.seed, level=config.level, vocabulary_size=config.vocabulary_size)
    tokens = splits.preprocess
    settings.check_effect(config, ["vocabulary_size"], tokens.level == "word", "--level word")
    prime = data.text.beginning(splits) if config.prime is None else data.text.checked_prime(config.prime)
    splits = splits.few(3000 if config.smoke else None)
    config = own_data.fitted(config, hardware, splits, own_data.TEXT)
    info = splits.info

    def batches(examples, rows, steps):
        return data.batches(data.text.windows(examples, rows, steps), rows, collate=tokens.batch)

    train = batches(splits.train, config.batch_size, config.sequence_length)
    validation = batches(splits.validation, config.batch_size, config.sequence_length)
    attends = config.model == "transformer_lm"

    def space(hp):
        layers, widest, embedding = SIZES[tokens.level]
        width = hp.Choice("width", [widest // 2, widest], default=widest)
        dropouts = [0.1 if attends else 0.0, 0.2]
        values = {"dropout": hp.Choice("dropout", dropouts, default=dropouts[0])}
        if attends:
            values |= {"num_layers": 1 + layers, "hidden_dim": width, "intermediate_dim": 4 * width, "num_heads": 4}
            return values | {"norm_first": True, "max_length": config.sequence_length}
        values |= {"units": (width,) * layers, "embedding_dim": embedding, "implementation": "xla"}
        return values | ({"peephole": False} if config.model == "lstm" else {})

    arguments = dl.hyperparameters.Arguments(config, space, models.free_arguments(config.model))

    def measures():
        second = dl.objectives.Perplexity() if tokens.level == "word" else dl.objectives.BitsPerStep()
        return [dl.objectives.NatsPerStep(), second]

    def compiled(hp):
        values = arguments(hp)
        network = getattr(models, f"build_{config.model}")((None,), len(tokens.vocabulary), **values)
        model = dl.sequences.SequenceModel(
            network,
            batch_size=0 if attends else config.batch_size,
            weight_noise=config.weight_noise,
            scheduled_sampling=config.scheduled_sampling,
            seed=config.seed,
        )
        # XLA pays off, since all batches have one shape; but it is slow at random numbers.
        random = [values["dropout"], values.get("recurrent_dropout"), config.weight_noise, config.scheduled_sampling]
        model.compile(
            optimizer=dl.optimizers.drawn(hp, config.optimizer, config.epochs, train.steps()),
            loss=dl.objectives.SequenceLoss("categorical", over=config.loss_over),
            weighted_metrics=measures(),
            jit_compile=not any(random),
        )
        return model

    def endpoints_of(network, length=config.sample_length):
        return dl.export.language_model(network, tokens, prime=prime, length=length)

    tried = dl.tuning.try_out(compiled, hardware)
    dl.export.try_out(config.formats, endpoints_of, tried.network)
    most = endpoints_of(tried.network)["generate"].limits["tokens"]
    given = len(tokens.encode([prime]).flat_values)
    length, notes = dl.export.sample_length(config.sample_length, Config.sample_length, most, given)
    notes = [*filter(None, [data.text.unknown_in(tokens, prime, "--prime")]), *notes]
    run = dl.course.begin(
        config,
        hardware,
        APP,
        splits,
        train,
        tried,
        labels=tokens.vocabulary,
        called="tokens",
        level=tokens.level,
        notes=notes,
    )
    best = dl.tuning.search(
        compiled, train, validation, run, monitor="val_nats", arguments=arguments, **config.of_search()
    )
    model = run.build(compiled, best)
    counts = ", ".join(f"{count:,} {part}" for part, count in info.counts.items())
    size = counted(model.network.count_params(), "parameters")
    run.say(f"{model.name}: {size}; {tokens.level}s: {counts}")
    endpoints = endpoints_of(model.network, length)
    generate = endpoints["generate"].traced()

    def sample(temperature):
        text = generate(prime=[prime], temperature=temperature, seed=config.seed)["text"][0]
        return text.decode(errors="replace")

    def show():
        for temperature in TEMPERATURES:
            tf.summary.text(f"temperature {temperature}", markdown.escaped(sample(temperature)))

    callbacks = [
        dl.summaries.TensorBoard(run, train, validation, histograms=config.histograms),
        dl.samples.Samples(run, show),
    ]
    dl.training.fit(model, train, validation, run, monitor="val_nats", callbacks=callbacks, **config.of_fit())

    whole, test = dl.sequences.SequenceModel(model.network, batch_size=1), batches(splits.test, 1, TEST_STEPS)
    by_block = dl.objectives.NatsOfParts("categorical", test.steps() * -(-TEST_STEPS // BLOCK), BLOCK)
    whole.compile(loss=dl.objectives.SequenceLoss("categorical"), weighted_metrics=[by_block, *measures()[1:]])
    metrics = dl.training.evaluate(whole, test)  # the test split is read here, once
    metrics.pop("loss")
    gap = dl.sequences.exposure_gap(model.network, splits.validation.features["tokens"], prime=GAP, steps=GAP)
    run.say("test: " + "  ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
    run.say(
        f"exposure gap: {gap['own']:.3f} nats a token for its own {gap['steps']}-token continuations, "
        f"{gap['real']:.3f} for the text's ({counted(gap['sequences'], 'sequences')} of the validation split)"
    )
    written = {f"begins with {prime!r}, temperature {temperature}": sample(temperature) for temperature in TEMPERATURES}
    run.samples.joinpath("sample.txt").write_text(sample(0.7), encoding="utf-8")
    run.say(f"\n{sample(0.7)}\n")
    looks = dl.samples.attention_within(model.network, tokens, sample(TEMPERATURES[0]), LOOKING) if attends else None
    given = words.as_input(prime)
    return dl.course.end(
        run,
        __file__,
        config,
        model.network,
        splits,
        metrics=metrics,
        sections=[
            dl.reports.Likelihood(*by_block.parts(), parts=f"blocks of {BLOCK} {tokens.level}s", step=tokens.level),
            dl.reports.Samples(Text(), written.values(), written),
            dl.reports.Attention(
                [looks] if looks else [],
                [f"Attention in the beginning of the text of temperature {TEMPERATURES[0]}"],
                f"Each row is a {tokens.level} that is read, each column one that it looks at, itself or earlier.",
            ),
        ],
        endpoints=endpoints,
        arguments=arguments,
        best=best,
        predict=lambda folder: [[*flags, folder, *given] for flags in (GENERATE, [])] if given else [],
        other_data=commands.other_data(config.dataset, "path/to/my/text"),
        monitor="val_nats",
        card={"exposure_gap": gap},
    )


if __name__ == "__main__":
    command_line.run(main)
