"""Train a model that translates, score it, and export it as a SavedModel that takes and gives plain strings.

    python apps/translate.py                                      # a Transformer learns to read dates
    python apps/translate.py --dataset multi30k --model attention_seq2seq
    python apps/translate.py --source my.en --target my.de        # two files of one sentence a line

The small Transformer of Multi30k, English to German (four layers of 128 units):

    python apps/translate.py --dataset multi30k --vocabulary-size 10000 --epochs 40 --batch-tokens 2048 \\
        --learning-rate 3e-3 --label-smoothing 0.1 --keep last --average-last 3 --precision mixed_bfloat16 \\
        --set num_layers=4 --set dropout=0.3

Loss and metrics are in nats a sub-word: the mean over all of them, the sentence's end counted, of the negative
log-likelihood of each given all before and the source. Perplexity is its exponential. Test: BLEU, chrF and exact
matches of the beam's best translations, read once.
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from keras_dl import commands, imports, machine, models, runs, settings
from keras_dl.arguments import Number, Share, Tuple, Whole
from keras_dl.features import words

SHOWN = 4  # sentences of the validation split that are shown with their translations
SCORED = 32  # sentences of the validation split whose translations are scored after each epoch: a trend, not a result
# Sizes where nothing is --set: papers' are for millions of sentences. Normalised last, as published, a Transformer did
# not learn to translate 29,000 of them (benchmarks/results/multi30k.jsonl, the first row).
SIZES = {
    "transformer": {
        "num_layers": 2, "hidden_dim": 128, "intermediate_dim": 256, "num_heads": 4, "norm_first": True,
    },
    "attention_seq2seq": {
        "units": 256, "embedding_dim": 256, "attention_units": 256, "output_units": 256,
        "initializer": "glorot_uniform",
    },
    "seq2seq": {"units": (256, 256), "embedding_dim": 256, "init_scale": None},
}  # fmt: skip
SEARCHED = ("dropout",)  # of the model's space, beside the learning rate; dates, of which there is no end, have none
DATES = 400  # sub-words where the dataset is dates, else 8,000


@dataclasses.dataclass(frozen=True)
class Config(settings.Training):
    """Train a model that translates, score it, and export it."""

    model: Literal["transformer", "attention_seq2seq", "seq2seq"] = "transformer"  # architecture
    dataset: str = "dates"  # dates, multi30k, or multi30k/en-fr and the like; not looked at with --source
    source: str = ""  # a text file of your own, a sentence a line
    target: str = ""  # its translations, line by line
    chained: Annotated[tuple[int, int], Tuple(Whole(1, 100), 2, 2)] = (1, 2)  # dates: how many stand in one source
    # sub-words of both languages; 0: 400 for dates, else 8,000
    vocabulary_size: settings.CountOrZero = 0
    longest: settings.Count = 200  # sub-words; longer pairs are not trained on
    # share of the target that is spread over all sub-words; papers: 0.1
    label_smoothing: Annotated[float, Share] = 0.0
    # translations that are followed at once; 1 is the greedy choice
    beam_width: Annotated[int, Whole(1, 100)] = 5
    length_penalty: Annotated[float, Number("[0, 10]")] = 0.6  # how much long translations are favoured
    trials: settings.CountOrZero = 0  # trials of the search; 0: none, the dates are to take minutes
    trial_epochs: settings.Count = 1  # epochs of a trial
    epochs: settings.Count = 5  # epochs of the final fit
    batch_tokens: settings.Count = 1024  # sub-words of a batch, padding counted, of the longer side
    batch_size: settings.Count = 64  # sentences that are translated at once
    optimizer: settings.OptimizerFlags = settings.Optimizer(
        learning_rate=2e-3, schedule="onecycle", warmup=400, beta_2=0.98, epsilon=1e-9, clipnorm=1.0
    )


def main(argv=None):
    """Run the task; return the test metrics as {name: float}."""
    config = settings.parse(Config, argv, app="translate").shortened()
    options = models.options(config.model)
    chosen = settings.assignments(config.set, options, f"build_{config.model}")
    settings.check(bool(config.source) == bool(config.target), "--source and --target: must be given together.")
    settings.check(
        config.chained[0] <= config.chained[1], f"--chained: the lowest number must come first; got {config.chained}."
    )
    with imports.quiet_tensorflow():
        import keras
        import numpy as np
        import tensorflow as tf

        from keras_dl import (
            data,
            export,
            hyperparameters,
            objectives,
            optimizers,
            samples,
            scores,
            summaries,
            training,
            tuning,
        )
        from keras_dl.data import pairs, plans
        from keras_dl.decoding.beam import STRONGEST, WIDEST
        from keras_dl.endpoints import translation
        from keras_dl.features import sentences

    settings.check(
        config.batch_size <= translation.MOST_SENTENCES,
        f"--batch-size: must be at most {translation.MOST_SENTENCES}; got {config.batch_size}.",
    )
    for name, most in (("length_penalty", STRONGEST), ("beam_width", WIDEST)):
        value = getattr(config, name)
        settings.check(value <= most, f"--{name.replace('_', '-')}: must be at most {most:g}; got {value:g}.")
    hardware = machine.prepare(config)  # before TensorFlow's first operation
    own = {"chained": config.chained} if config.dataset.partition("/")[0] == "dates" and not config.source else {}
    own |= {"examples": 1000} if own and config.smoke else {}
    size = config.vocabulary_size or (DATES if own else 8000)
    splits = pairs.load(
        config.source or config.dataset, config.seed, target=config.target or None,
        vocabulary_size=size, longest=config.longest, **own,
    )  # fmt: skip
    if config.smoke:
        splits = splits.few(200)
    info, subwords = splits.info, splits.preprocess

    def batches(examples, seed=None):
        lengths = np.stack([examples.features[side].lengths + 1 for side in ("source", "target")], 1)
        plan = plans.by_tokens(lengths, config.batch_tokens)
        fixed = plan if seed is not None else lambda *_: plan(0, 0)
        return data.batches(examples, 1, collate=subwords.batch, seed=seed or 0, plan=fixed)

    train, validation = batches(splits.train, config.seed), batches(splits.validation)
    build = getattr(models, f"build_{config.model}")
    vocabularies = ("vocabulary_size",) if config.model == "transformer" else (
        "source_vocabulary_size", "target_vocabulary_size",
    )  # fmt: skip

    def space(hp):
        varied = {"dropout": 0.0} if own else getattr(models, f"{config.model}_space")(hp)
        return SIZES[config.model] | {name: varied[name] for name in SEARCHED}

    arguments = hyperparameters.Arguments(config, space, chosen, options)

    def compiled(hp):
        model = build(**dict.fromkeys(vocabularies, len(subwords.pieces)), **arguments(hp))
        model.compile(
            optimizer=optimizers.drawn(hp, config.optimizer, config.epochs, train.steps()),
            loss=objectives.SequenceLoss("categorical", label_smoothing=config.label_smoothing),
            weighted_metrics=[
                objectives.NatsPerStep(), objectives.Perplexity(), objectives.StepAccuracy(),
            ],
            jit_compile=False,
        )  # fmt: skip
        return model

    with settings.user_input(), hardware.scope():
        tried = compiled(tuning.defaults())  # arguments that do not fit are said before anything is written
    most = translation.limits(tried, config.beam_width)["translate"]
    for examples in (splits.validation, splits.test):  # what is translated when the training is over
        tokens, texts = examples.features["source"].lengths, examples.features["source_text"]
        sizes = zip(tokens, texts, strict=True)
        long = next((t for n, t in sizes if n >= most["tokens"] or len(t) > most["bytes"]), None)
        settings.check(
            long is None,
            f"--source: a sentence of {info.name} is too long to be translated: at most {most['tokens'] - 1} sub-words "
            f"and {most['bytes']} bytes; split the one that begins {(long or b'')[:40].decode(errors='replace')!r}.",
        )
    run = runs.start(hardware, app="translate", name=f"{config.model}-{info.name}", data=data.fingerprint(splits))
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
    counts = ", ".join(f"{count:,} {part}" for part, count in info.counts.items())
    run.say(f"{model.name}: {model.count_params():,} parameters; {len(subwords.pieces):,} sub-words; pairs: {counts}")

    def asking(model):
        """The endpoint's function, of the weights that the model has then."""
        return tf.function(
            translation.translator(model, subwords, config.beam_width), autograph=False,
            input_signature=[tf.TensorSpec((None,), tf.string), tf.TensorSpec((), tf.float32)],
        )  # fmt: skip

    ask = asking(model)
    looking = model.with_attention() if hasattr(model, "with_attention") else None
    lengths = splits.validation.features["source"].lengths[:SHOWN] + 1
    shown = splits.validation.take(np.sort(translation.requests(lengths, most)[0])).features

    def translated(ask, sentences):
        """(best translations, references) of some pairs; sentences of like lengths go together."""
        texts, lengths, best = sentences["source_text"], sentences["source"].lengths + 1, {}
        for rows in translation.requests(lengths, most | {"sentences": config.batch_size}):
            translations = ask(tf.constant(texts[rows]), config.length_penalty)["translation"].numpy()
            best |= dict(zip(rows.tolist(), translations, strict=True))
        hypotheses = [best[i].decode(errors="replace") for i in range(len(texts))]
        return hypotheses, [text.decode() for text in sentences["target_text"]]

    def bleu(_):
        few = splits.validation.take(slice(SCORED)).features
        return {"val_bleu": scores.of_translations(*translated(ask, few))["bleu"]}

    def show():
        made = ask(tf.constant(shown["source_text"]), config.length_penalty)
        lines = zip(shown["source_text"], shown["target_text"], made["translation"].numpy(), strict=True)
        text = "\n\n".join("  \n".join(t.decode(errors="replace") for t in three) for three in lines)
        tf.summary.text("source, reference, translation", text)
        if looking is not None:
            first = shown["source_text"][0], made["translation"].numpy()[0]
            sentences.alignment_summary("alignment", **samples.attention_of(looking, subwords, *first))

    training.fit(
        model, train, validation, run, epochs=config.epochs, monitor="val_nats", mode="min", measure=bleu,
        keep=config.keep, average_last=config.average_last, save_minutes=config.save_minutes,
        callbacks=[
            summaries.TensorBoard(run, train, validation, histograms=config.histograms),
            samples.Samples(run, show),
            *training.stopping(config.patience, config.reduce_on_plateau, "val_nats"),
        ],
    )  # fmt: skip

    if config.precision != "float32":  # half of it is for training's sake: logits that it rounds are seldom in order
        keras.config.set_dtype_policy("float32")
        with run.scope():
            trained, model = model, compiled(best)
        model.set_weights(trained.get_weights())
    ask = asking(model)

    # The test split is read here, once.
    found = {name: training.evaluate(model, batches(splits.test), run)[name] for name in ("nats", "perplexity")}
    hypotheses, references = translated(ask, splits.test.features)
    judged = scores.of_translations(hypotheses, references)
    signature = judged.pop("signature")
    found |= judged
    run.say("test: " + "  ".join(f"{name} {value:.4f}" for name, value in found.items()) + f"  ({signature})")
    run.samples.joinpath("test.txt").write_text("\n".join(hypotheses) + "\n", encoding="utf-8")
    example = [[text.decode() for text in shown[f"{side}_text"][:2]] for side in ("source", "target")]
    endpoints = export.translation(
        model, subwords, example, width=config.beam_width, length_penalty=config.length_penalty
    )
    folder = export.save(
        model, run, endpoints=endpoints, metrics=found,
        card={"data": info.config(), "hyperparameters": arguments.of(best), "bleu_signature": signature},
    )  # fmt: skip
    arguments.show(run, best, found)
    run.finish(found)
    app, sentence = Path(__file__).resolve(), words.as_input(example[0][0])
    commands.following(
        run,
        ["-m", "tensorboard.main", "--logdir", run.tensorboard],
        sentence and ["-m", "keras_dl", "predict", folder, *sentence],
        [app, *arguments.words(best)] if config.trials else None,
        None if config.source else [app, "--source", "my.en", "--target", "my.de"],
    )
    return found


if __name__ == "__main__":
    settings.run(main)
