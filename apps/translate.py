"""Train a translation model, score it, and export it as a SavedModel from strings to strings.

    python apps/translate.py                                      # a Transformer learns to read dates
    python apps/translate.py --dataset multi30k --model attention_seq2seq
    python apps/translate.py --source my.en --target my.de        # two files, a sentence per line

The small Transformer of Multi30k, English to German (four layers of 128 units):

    python apps/translate.py --dataset multi30k --vocabulary-size 10000 --epochs 40 --batch-tokens 2048 \\
        --learning-rate 3e-3 --label-smoothing 0.1 --keep last --average-last 3 --precision mixed_bfloat16 \\
        --set num_layers=4 --set dropout=0.3

Loss and metrics are in nats per sub-word: the mean over all sub-words, the sentence's end included, of the negative
log-likelihood given the source and all sub-words before. Perplexity is its exponential. Test: BLEU, chrF and exact
matches of the best translations of beam search, read once.
"""

import dataclasses
from typing import Annotated, Literal

import numpy as np

import keras_dl as dl
from keras_dl import command_line, data, machine, markdown, models, own_data, runs, settings
from keras_dl.arguments import Number, Share, Tuple, Whole
from keras_dl.data import plans
from keras_dl.features import sentences, words
from keras_dl.imports import tensorflow as tf  # imported when it is first used
from keras_dl.wording import counted

APP = "translate"

SHOWN = 4  # sentences of the validation split that are shown with their translations
SCORED = 32  # sentences of the validation split whose translations are scored after each epoch: a trend, not a result
# Sizes unless --set changes them: the papers' are for millions of sentences. With norm_first=False, as published, a
# Transformer did not learn to translate from 29,000 sentences (benchmarks/results/multi30k.jsonl, the first row).
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
SEARCHED = ("dropout",)  # besides the learning rate; not for dates, of which more can be generated
VOCABULARIES = {  # arguments of the builders for the number of sub-words
    "transformer": ("vocabulary_size",),
    "attention_seq2seq": ("source_vocabulary_size", "target_vocabulary_size"),
    "seq2seq": ("source_vocabulary_size", "target_vocabulary_size"),
}
DATES, PIECES_OF_DATES = 30_000, 400  # training pairs and sub-words of the data set dates


@dataclasses.dataclass(frozen=True)
class Config(settings.Training):
    """Train a translation model, score it, and export it."""

    model: Literal["transformer", "attention_seq2seq", "seq2seq"] = "transformer"  # architecture
    dataset: str = "dates"  # dates, multi30k, or multi30k/en-fr and the like; or give --source and --target
    source: str = ""  # your own text file, a sentence per line
    target: str = ""  # its translations, line by line
    # dates: lowest and highest number of dates in a source
    chained: Annotated[tuple[int, int], Tuple(Whole(1, 100), 2, 2)] = (1, 2)
    # number of sub-words, shared by both languages; 0: 400 for dates, else 8,000
    vocabulary_size: settings.CountOrZero = 0
    longest: settings.Count = 200  # largest number of sub-words of a sentence; longer pairs are left out of training
    # share of the target's probability that is spread over all sub-words; in papers 0.1
    label_smoothing: Annotated[float, Share] = 0.0
    # number of hypotheses of beam search; 1 is the greedy choice
    beam_width: Annotated[int, Whole(1, 100)] = 5
    # of beam search: larger values favour longer translations
    length_penalty: Annotated[float, Number("[0, 10]")] = 0.6
    # number of trials of the search; 0: no search, train the defaults; own data: auto
    trials: settings.CountOrZeroOrAuto = 0
    trial_epochs: settings.Count = 1  # epochs of each trial
    epochs: settings.CountOrAuto = 5  # epochs of the final training; own data: auto, from the number of sub-words
    # sub-words per batch with padding, of the longer side; own data: auto
    batch_tokens: settings.CountOrAuto = 1024
    batch_size: settings.Count = 64  # sentences translated at once
    optimizer: settings.OptimizerFlags = settings.Optimizer(
        learning_rate=2e-3, schedule="onecycle", warmup=400, beta_2=0.98, epsilon=1e-9, clipnorm=1.0
    )


def main(argv=None):
    """Run the task; return the test metrics as {name: float}."""
    config = command_line.parse(
        Config, argv, app=APP, free_arguments=models.free_arguments, left_open=own_data.SETTINGS
    )
    settings.check(bool(config.source) == bool(config.target), "--source and --target: must be given together.")
    settings.check(
        config.chained[0] <= config.chained[1], f"--chained: the lowest number must come first; got {config.chained}."
    )
    of_dates = config.dataset.partition("/")[0] == "dates" and not config.source
    settings.check(
        config.dataset == Config.dataset or not config.source or config.resume,
        "--dataset and --source: one of them says what to train on; got both.",
    )
    settings.check_effect(config, ["chained"], of_dates, "--dataset dates")
    if (finished := runs.finished(config, APP)) is not None:
        return finished
    config = dl.initializing.adopted(config, APP, models.free_arguments)
    hardware = machine.prepare(config)  # before TensorFlow's first operation

    dates = {"chained": config.chained, "examples": 1000 if config.smoke else DATES} if of_dates else {}
    splits = data.pairs.load(
        config.source or config.dataset,
        config.seed,
        target=config.target or None,
        vocabulary_size=config.vocabulary_size or (PIECES_OF_DATES if of_dates else 8000),
        longest=config.longest,
        **dates,
    )
    splits = splits.few(200 if config.smoke else None)
    config = own_data.fitted(config, hardware, splits, own_data.PAIRS)
    info, subwords = splits.info, splits.preprocess

    def batches(examples, seed=None):
        lengths = np.stack([examples.features[side].lengths + 1 for side in ("source", "target")], 1)
        plan = plans.by_tokens(lengths, config.batch_tokens)
        fixed = plan if seed is not None else lambda *_: plan(0, 0)
        return data.batches(examples, 1, collate=subwords.batch, seed=seed or 0, plan=fixed)

    train, validation = batches(splits.train, config.seed), batches(splits.validation)

    def space(hp):
        varied = {"dropout": 0.0} if of_dates else getattr(models, f"{config.model}_space")(hp)
        return SIZES[config.model] | {name: varied[name] for name in SEARCHED}

    arguments = dl.hyperparameters.Arguments(config, space, models.free_arguments(config.model))

    def compiled(hp):
        pieces = dict.fromkeys(VOCABULARIES[config.model], len(subwords.pieces))
        model = getattr(models, f"build_{config.model}")(**pieces, **arguments(hp))
        model.compile(
            optimizer=dl.optimizers.drawn(hp, config.optimizer, config.epochs, train.steps()),
            loss=dl.objectives.SequenceLoss("categorical", label_smoothing=config.label_smoothing),
            weighted_metrics=[dl.objectives.NatsPerStep(), dl.objectives.Perplexity(), dl.objectives.StepAccuracy()],
            jit_compile=False,
        )
        return model

    def of_model(model, example=((), ())):
        """(the model's endpoints, tried with an example; a Translator that calls them)."""
        options = {"width": config.beam_width, "length_penalty": config.length_penalty}
        endpoints = dl.export.translation(model, subwords, example, **options)
        return endpoints, dl.export.Translator(endpoints["translate"], config.batch_size)

    def translated(translate, pairs):
        """(best translations, references) of `pairs`, a split's features."""
        references = [text.decode() for text in pairs["target_text"]]
        return translate(pairs["source_text"], pairs["source"].lengths), references

    tried = dl.tuning.try_out(compiled, hardware)
    dl.export.try_out(config.formats, lambda model: of_model(model)[0], tried)
    _, translate = of_model(tried)
    for part in (splits.validation, splits.test):  # refuse now what could not be translated after the training
        translate.check(part.features["source_text"], part.features["source"].lengths, info.name)
    together = translate.in_one_request(splits.validation.features["source"].lengths[:SHOWN])
    shown = splits.validation.take(together).features
    example = [[text.decode() for text in shown[f"{side}_text"][:2]] for side in ("source", "target")]

    run = dl.course.begin(config, hardware, APP, splits, train, tried, labels=subwords.pieces, called="sub-words")
    best = dl.tuning.search(
        compiled, train, validation, run, monitor="val_nats", arguments=arguments, **config.of_search()
    )
    model = run.build(compiled, best)
    counts = ", ".join(f"{count:,} {part}" for part, count in info.counts.items())
    size, pieces = counted(model.count_params(), "parameters"), counted(len(subwords.pieces), "sub-words")
    run.say(f"{model.name}: {size}; {pieces}; pairs: {counts}")
    _, translate = of_model(model)
    attention = dl.samples.attention_function(model, subwords)

    def bleu(_):
        few = splits.validation.take(slice(SCORED)).features
        return {"val_bleu": dl.scores.of_translations(*translated(translate, few))["bleu"]}

    def show():
        sources = [text.decode() for text in shown["source_text"]]
        hypotheses, references = translated(translate, shown)
        rows = zip(sources, references, hypotheses, strict=True)
        table = markdown.table(["source", "reference", "translation"], rows)
        tf.summary.text("translations of the validation split", table)
        if attention is not None:
            sentences.alignment_summary("attention", **attention(sources[0], hypotheses[0]))

    callbacks = [
        dl.summaries.TensorBoard(run, train, validation, histograms=config.histograms),
        dl.samples.Samples(run, show),
    ]
    dl.training.fit(
        model, train, validation, run, monitor="val_nats", measure=bleu, callbacks=callbacks, **config.of_fit()
    )

    model = dl.export.in_float32(model, run, compiled, best)
    endpoints, translate = of_model(model, example)
    # The test split is read here, once.
    by_sentence = dl.objectives.NatsOfParts("categorical", len(splits.test))
    scored = tf.keras.Model(model.input, model.output)  # the same weights; the export keeps its own metrics
    scored.compile(
        loss=dl.objectives.SequenceLoss("categorical"),
        weighted_metrics=[by_sentence, dl.objectives.Perplexity()],
        jit_compile=False,
    )
    losses = dl.training.evaluate(scored, batches(splits.test))
    hypotheses, references = translated(translate, splits.test.features)
    scores = dl.scores.of_translations(hypotheses, references)
    signature = scores.pop("signature")
    metrics = {"nats": losses["nats"], "perplexity": losses["perplexity"], **scores}
    run.say("test: " + "  ".join(f"{name} {value:.4f}" for name, value in metrics.items()) + f"  ({signature})")
    run.samples.joinpath("test.txt").write_text("\n".join(hypotheses) + "\n", encoding="utf-8")
    sources = [text.decode() for text in splits.test.features["source_text"]]
    sentence = words.as_input(example[0][0])
    return dl.course.end(
        run,
        __file__,
        config,
        model,
        splits,
        metrics=metrics,
        sections=[
            dl.reports.Translation(sources, references, hypotheses, attention),
            dl.reports.Likelihood(*by_sentence.parts(), parts="sentences", step="sub-word"),
        ],
        endpoints=endpoints,
        arguments=arguments,
        best=best,
        predict=lambda folder: [[folder, *sentence]] if sentence else [],
        other_data=[] if config.source else [["--source", "my.en", "--target", "my.de"]],
        monitor="val_nats",
        card={"bleu_signature": signature},
    )


if __name__ == "__main__":
    command_line.run(main)
