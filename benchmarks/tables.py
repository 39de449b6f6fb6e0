"""What is measured: tables of rows, each with its command, the published figure beside it and the bar it must pass.

A row's command is what follows `python` in the project's root. An app's result is its run's finished.json; every other
script takes `--json FILE` and writes {"metrics": {name: number or {"value", "spread"}}, "details": {}, "curves": {}}.
Rows of one command are measured by one run of it. Nothing here imports TensorFlow.
"""

import dataclasses

# The recipes: flags of apps/classify_images.py and apps/model_text.py, the paper's model where nothing is --set.
RECIPES = {
    "mnist linear": "--epochs 20 --batch-size 128 --optimizer adam --learning-rate 0.001 --schedule onecycle",
    "mnist mlp": (
        '--set "units=(800, 800)" --set dropout=0.5 --epochs 30 --batch-size 128 --optimizer adam '
        "--learning-rate 0.001 --schedule onecycle --keep last"
    ),
    "mnist convnet": (
        "--augment shift --epochs 20 --batch-size 128 --optimizer adam --learning-rate 0.003 --schedule onecycle "
        "--keep last"
    ),
    "fashion_mnist convnet": (
        '--set "filters=(32, 64)" --set pooling=max --set activation=relu --set batch_norm=True --set dropout=0.25 '
        "--augment shift --epochs 18 --batch-size 128 --optimizer adam --learning-rate 0.003 --schedule onecycle "
        "--keep last"
    ),
    "fashion_mnist resnet_cifar": (
        "--augment crop_flip --epochs 12 --batch-size 128 --optimizer nesterov --learning-rate 0.1 "
        "--schedule onecycle --weight-decay 0.0005 --keep last"
    ),
    "multi30k transformer_tiny": (
        "--vocabulary-size 10000 --set num_layers=4 --set hidden_dim=128 --set intermediate_dim=256 --set num_heads=4 "
        "--set dropout=0.3 --set norm_first=True --epochs 40 --batch-tokens 2048 --learning-rate 0.003 "
        "--schedule onecycle --label-smoothing 0.1 --keep last --average-last 3 --precision mixed_bfloat16"
    ),
    "multi30k attention_gru": (
        "--vocabulary-size 6000 --set units=256 --set embedding_dim=256 --set attention_units=256 "
        "--set output_units=256 --set dropout=0.2 --set initializer=glorot_uniform --epochs 12 --batch-tokens 2048 "
        "--learning-rate 0.002 --schedule onecycle --label-smoothing 0.1 --keep last"
    ),
    "multi30k seq2seq": (
        '--vocabulary-size 6000 --set "units=(256, 256)" --set embedding_dim=256 --set dropout=0.2 '
        "--set init_scale=None --epochs 10 --batch-tokens 2048 --learning-rate 0.002 --schedule onecycle "
        "--label-smoothing 0.1 --keep last"
    ),
    "ptb lstm_small": (
        "--epochs 13 --batch-size 20 --sequence-length 20 --optimizer sgd --learning-rate 1 --schedule decay "
        "--decay-after 4 --decay-factor 0.5 --clipnorm 5 --loss-over sequences --keep last --prime 'the company' "
        '--set "units=(200, 200)" --set init_scale=0.1 --set forget_bias=0.0 --set dropout=0.0'
    ),
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        name, metric, unit: what it is; (name, metric) is unique in its table.
        command: what measures it.
        published: the paper's figure; source: where it stands; unverified: quoted from memory.
        bar: (">=" or "<=", figure), what it must reach.
    """

    name: str
    metric: str
    unit: str
    command: str
    published: float | None = None
    source: str = ""
    unverified: bool = False
    bar: tuple | None = None


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows under one title; `packages` are those beyond keras_dl's own whose versions belong to the figures."""

    title: str
    rows: tuple
    packages: tuple = ()


def _image_app(dataset, model, metric, published, source, bar):
    flags = f"--model {model} --dataset {dataset} --trials 0 --seed 0 {RECIPES[f'{dataset} {model}']}"
    return Row(model, metric, "percent", f"apps/classify_images.py {flags}", published, source, bar=bar)


def _text_app(dataset, row, model, metric, unit, published, source, bar):
    flags = f"--model {model} --dataset {dataset} --trials 0 --seed 0 {RECIPES[f'{dataset} {row}']}"
    return Row(row, metric, unit, f"apps/model_text.py {flags}", published, source, bar=bar)


def _translation(row, model, published=None, source="", bar=None, more=""):
    recipe = RECIPES[f"multi30k {row.removesuffix('_unreversed')}"]
    command = f"apps/translate.py --model {model} --dataset multi30k --trials 0 --seed 0 {recipe} {more}".rstrip()
    unverified = published is not None
    return [
        Row(row, "bleu", "BLEU", command, bar=bar),
        Row(row, "bleu_lowercase", "BLEU", command, published, source, unverified=unverified),
    ]


def _step_time(network, to_torch, to_keras=None):
    command = f"benchmarks/step_time.py {network}"
    return [
        Row(network, "ratio_to_torch", "ours / theirs", command, bar=("<=", to_torch)),
        Row(network, "ratio_to_torch_best", "ours / theirs", command),
        Row(network, "ratio_to_keras", "ours / theirs", command, bar=to_keras and ("<=", to_keras)),
        Row(network, "ratio_to_keras_inside", "ours / theirs", command),
    ]


def _step_time_translation(network, to_torch, metrics=("ratio_to_torch_best",)):
    command = f"benchmarks/step_time.py {network}"
    return [
        Row(network, "ratio_to_torch", "ours / theirs", command, bar=("<=", to_torch)),
        *(Row(network, metric, "ours / theirs", command) for metric in metrics),
    ]


def _decoding_speed(name, bars):
    command = f"benchmarks/decoding_speed.py {name}"
    return [Row(name, f"ratio_to_{peer}", "ours / theirs", command, bar=bar) for peer, bar in bars.items()]


def _generation(network, to_torch):
    return [Row(network, "ratio_to_torch", "ours / theirs", f"benchmarks/step_time.py {network}", bar=("<=", to_torch))]


def _pipeline(name):
    command = f"benchmarks/pipeline.py {name}"
    return [
        Row(name, "images_per_second", "images/s", command),
        Row(name, "epoch_wait_ms", "ms", command, bar=("<=", 20)),
        Row(name, "ratio_to_convnet", "times", command, bar=(">=", 5)),
    ]


def _experiment(table, name, metric, source):
    return Row(name, metric, "percent", f"benchmarks/experiments.py {table} {name}", source=source)


def _recurrent(table, name, metric, unit, published, source, bar=None, unverified=True):
    command = f"benchmarks/recurrent.py {table} {name}"
    return Row(name, metric, unit, command, published, source, unverified=unverified and published is not None, bar=bar)


def _memory():
    adding = "Bai et al. 2018, table 1, at 600 steps; saying 1 has 0.167"
    published = {"lstm": 0.164, "gru": 5.3e-5, "rnn": 0.177}
    bars = {"lstm": ("<=", 0.01), "gru": ("<=", 0.01), "rnn": None}
    rows = [
        _recurrent("memory", f"adding_{c}", "mse", "squared", published[c], adding, bars[c], unverified=False)
        for c in ("lstm", "gru", "rnn")
    ]
    for cell in ("lstm", "gru"):
        rows.append(_recurrent("memory", f"row_mnist_{cell}", "test_accuracy", "percent", None, "", (">=", 97.0)))
    pixels = "Bai et al. 2018, table 1, 784 pixels, 70,000 weights"
    for cell, figure in (("lstm", 87.2), ("gru", 96.2), ("rnn", 21.5)):
        rows.append(
            _recurrent("memory", f"pixel_mnist_{cell}", "test_accuracy", "percent", figure, pixels, unverified=False)
        )
    return tuple(rows)


def _music(table, published, source):
    return tuple(
        _recurrent(table, f"{name}_{dataset}", "nats_per_step", "nats", figure, source)
        for dataset, figures in published.items()
        for name, figure in figures.items()
    )


def _safety():
    inputs = (
        "webp", "gif_screen", "gif_frames", "png", "jpeg", "midi", "image_bytes", "image", "text_score",
        "text_generate", "music_score", "music_generate", "translate", "translation_sample", "translation_score",
    )  # fmt: skip
    for name in inputs:
        yield Row(name, "peak_mb", "MB", f"benchmarks/safety.py {name}", bar=("<=", 1000))
        yield Row(name, "seconds", "s", f"benchmarks/safety.py {name}", bar=("<=", 10))


MNIST_PAGE = "as LeCun's MNIST page lists it"
FASHION_README = "the data set authors' README"
DEGRADATION = "He et al. 2015, section 4.2, figure 6: curves at four times the width"
BATCHNORM = "Ioffe and Szegedy 2015, section 4.1, figure 1a: a curve"

CHUNG = {
    "nottingham": {"rnn": 3.13, "gru": 3.23, "lstm": 3.20},
    "jsb_chorales": {"rnn": 9.10, "gru": 8.54, "lstm": 8.67},
}
DEEP = {
    "nottingham": {"rnn": 3.225, "srnn": 3.258, "dts": 3.206, "dots": 3.215},
    "jsb_chorales": {"rnn": 8.338, "srnn": 8.367, "dts": 8.278, "dots": 8.437},
}

TABLES = {
    "mnist": Table(
        "MNIST, error on the 10,000 test images",
        (
            _image_app(
                "mnist", "linear", "test_error", 12.0,
                f"LeCun et al. 1998, trained on the squared error; {MNIST_PAGE}", ("<=", 8.0),
            ),
            _image_app(
                "mnist", "mlp", "test_error", 1.6,
                f"Simard et al. 2003, 800 units, without distortions; {MNIST_PAGE} (Hinton 2005, 500-300: 1.53)",
                ("<=", 1.6),
            ),
            _image_app(
                "mnist", "convnet", "test_error", 0.95,
                f"LeCun et al. 1998, LeNet-5, without distortions (0.8 with; ours is shifted); {MNIST_PAGE}",
                ("<=", 0.9),
            ),
        ),
    ),
    "fashion_mnist": Table(
        "Fashion-MNIST, accuracy on the 10,000 test images",
        (
            _image_app(
                "fashion_mnist", "convnet", "test_accuracy", 91.6,
                f"{FASHION_README}: 2 convolutions and pooling, 300 epochs and more", (">=", 91.5),
            ),
            _image_app(
                "fashion_mnist", "resnet_cifar", "test_accuracy", 94.9,
                f"{FASHION_README}: ResNet-18, a larger network", (">=", 93.0),
            ),
        ),
    ),
    "degradation": Table(
        "Degradation on CIFAR-10: training error at a quarter of the paper's width, equal epochs",
        tuple(_experiment("degradation", n, "train_error", DEGRADATION) for n in ("plain20", "plain56", "resnet56")),
    ),
    "batchnorm": Table(
        "Batch normalisation on MNIST: three layers of 100 sigmoid units, after the last step",
        tuple(_experiment("batchnorm", name, "test_accuracy", BATCHNORM) for name in ("without", "with")),
    ),
    "reliability": Table(
        "Runs killed by SIGKILL and resumed that end bit-equal to one that was not killed; bad inputs that get a clear "
        "answer: they work, or one line says what is wrong",
        (
            Row("kills", "equal_of_20", "runs", "benchmarks/kills.py --kills 20 --seed 0", bar=(">=", 20)),
            Row(
                "kills_100", "equal_of_100", "runs", "benchmarks/kills.py --kills 100 --seed 1 --jobs 2",
                bar=(">=", 100),
            ),  # fmt: skip
            *(
                Row("bad_inputs", metric, unit, "benchmarks/bad_inputs.py", bar=bar)
                for metric, unit, bar in (
                    ("clear_of_all", "%", (">=", 100)), ("tracebacks", "inputs", ("<=", 0)),
                    ("hangs", "inputs", ("<=", 0)),
                )
            ),  # fmt: skip
        ),
    ),
    "safety": Table(
        "What strangers can send: memory above the loaded model and time, of files made to burst it (all refused or "
        "read within the bars) and of each endpoint's largest requests, the apps' default models, two cores",
        tuple(_safety()),
    ),
    "ptb": Table(
        "Penn Treebank, words: perplexity of the test text, read as one sequence",
        (
            _text_app(
                "ptb", "lstm_small", "lstm", "perplexity", "a word", 114.5,
                "Zaremba et al. 2014, table 1, without dropout (TensorFlow's benchmark of it: 115.9)", ("<=", 118.0),
            ),
        ),
    ),
    "dates": Table(
        "Dates and amounts, English to ISO form: translations that are right to the letter, 1,000 of held-out years",
        (
            Row(
                "transformer", "exact_match", "percent", "apps/translate.py --seed 0", bar=(">=", 99.0),
            ),
        ),
        packages=("sacrebleu", "sentencepiece", "babel"),
    ),
    "multi30k": Table(
        "Multi30k, English to German, test2016: BLEU of sacrebleu 13a, cased and lower-cased, beam 5",
        (
            *_translation(
                "transformer_tiny", "transformer", 41.0,
                "text-only Transformer-Tiny as papers on multimodal translation quote it: lower-cased, tokenised",
                (">=", 36.0),
            ),
            *_translation(
                "attention_gru", "attention_seq2seq", 38.1,
                "text-only GRU with attention as papers on multimodal translation quote it: lower-cased, tokenised",
                (">=", 30.0),
            ),
            *_translation("seq2seq", "seq2seq"),
            *_translation("seq2seq_unreversed", "seq2seq", more="--set reverse_source=False"),
        ),
        packages=("sacrebleu", "sentencepiece"),
    ),
    "lengths": Table(
        "BLEU and the source's length: dates of 1 to 8 items as in training and of 9 to 17; Multi30k, test2016",
        tuple(
            Row(f"{dataset}_{model}", metric, "BLEU", f"benchmarks/lengths.py {dataset} {model}")
            for dataset, metrics in (("dates", ("bleu_trained", "bleu_longer")), ("multi30k", ("bleu",)))
            for model in ("transformer", "attention_gru", "seq2seq")
            for metric in metrics
        ),
        packages=("sacrebleu", "sentencepiece", "babel"),
    ),
    "alignment": Table(
        "Where a translation looks: mean entropy of the alignment's weights on Multi30k, nats a target sub-word",
        tuple(
            Row(name, "entropy", "nats", f"benchmarks/alignment.py {name}") for name in ("transformer", "attention_gru")
        ),
        packages=("sentencepiece",),
    ),
    "memory": Table(
        "Memory: the adding problem at 200 steps; MNIST read row by row, and pixel by pixel at 14 x 14", _memory()
    ),
    "music_chung": Table(
        "Music, about 20,000 weights each: test nats a time step, mean and range of three seeds",
        _music("music_chung", CHUNG, "Chung et al. 2014, table 2"),
    ),
    "music_deep": Table(
        "Music, deep recurrent networks: test nats a time step, one seed",
        _music("music_deep", DEEP, "Pascanu et al. 2014, table 2"),
    ),
    "influence": Table(
        "Which inputs moved a prediction: one text, five networks, bits a character of the test text",
        tuple(
            Row(name, "test_bits", "bits", f"benchmarks/influence.py {name}")
            for name in ("tanh", "lstm", "gru", "convnet", "mlp")
        ),
    ),
    "pipeline": Table(
        "Input pipeline: speed, longest wait between two epochs, and speed against what training LeNet-5 consumes",
        (*_pipeline("mnist"), *_pipeline("cifar10_augmented")),
    ),
    "step_time": Table(
        "Training step: our time divided by the peer's (below 1 is faster); batch 128, resnet34, gru, rnn, "
        "transformer and attention_gru 32, lstm 20; lstm_generation and lm_generation: a token at batch 1",
        (
            *_step_time("linear", 1.0, 0.5), *_step_time("mlp", 1.0, 1.0), *_step_time("convnet", 1.0, 1.0),
            *_step_time("resnet20", 1.0, 1.0), *_step_time("resnet34", 1.1, 1.0),
            *_step_time("lstm", 1.05), *_step_time("gru", 0.8), *_step_time("rnn", 1.05),
            *_generation("lstm_generation", 0.25),
            *_generation("lm_generation", 1.0),
            *_step_time_translation(
                "transformer", 0.9, ("ratio_to_torch_best", "ratio_to_keras", "ratio_to_keras_inside")
            ),
            *_step_time_translation("attention_gru", 1.0),
        ),
        packages=("torch",),
    ),
    "decoding_speed": Table(
        "Beam search with a Transformer, 100 sentences, beam 5, 40 steps: our time divided by the peer's",
        (
            *_decoding_speed(
                "transformer_beam5",
                {"uncached": ("<=", 0.125), "uncached_last": None, "torch": ("<=", 0.67)},
            ),
        ),
        packages=("torch",),
    ),
}  # fmt: skip

# A metric that is made of what the command reports under another name.
DERIVED = {
    "test_error": lambda reported: 100 * (1 - reported["accuracy"]),
    "test_accuracy": lambda reported: 100 * reported["accuracy"],
    "equal_of_20": lambda reported: reported["equal"],
    "equal_of_100": lambda reported: reported["equal"],
}
