"""What is measured: tables of rows, each with its command, the published figure and the bar that ours must reach.

rows.py says what a row is; tables_images.py has the tables of generative models of images, tables_sound.py those of
sound, tables_segmentation.py those of segmentation, tables_laboratory.py those of the lecture's figures. Nothing here
imports TensorFlow.
"""

import tables_images
import tables_laboratory
import tables_segmentation
import tables_sound
from rows import Headline, Row, Table

# The recipes: flags of the apps; without --set the model is the paper's.
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


def _image_app(dataset, model, metric, published, source, bar):
    flags = f"--model {model} --dataset {dataset} --trials 0 --seed 0 {RECIPES[f'{dataset} {model}']}"
    command = f"apps/classify_images.py {flags}"
    return Row(model, metric, "percent", command, published, source, bar=bar, architecture=model)


def _text_app(dataset, row, model, metric, unit, published, source, bar):
    flags = f"--model {model} --dataset {dataset} --trials 0 --seed 0 {RECIPES[f'{dataset} {row}']}"
    return Row(row, metric, unit, f"apps/model_text.py {flags}", published, source, bar=bar, architecture=model)


def _translation(row, model, published=None, source="", bar=None, more=""):
    recipe = RECIPES[f"multi30k {row.removesuffix('_unreversed')}"]
    command = f"apps/translate.py --model {model} --dataset multi30k --trials 0 --seed 0 {recipe} {more}".rstrip()
    unverified = published is not None
    return [
        Row(row, "bleu", "BLEU", command, bar=bar, architecture=model),
        Row(row, "bleu_lowercase", "BLEU", command, published, source, unverified=unverified, architecture=model),
    ]


def _step_time(network, metrics_and_bars, architecture=None):
    command = f"benchmarks/step_time.py {network}"
    architecture = architecture or network
    return [
        *(
            Row(network, metric, "ours / theirs", command, bar=bar, architecture=architecture)
            for metric, bar in metrics_and_bars.items()
        ),
        Row(network, "share_of_peak", "ours / product", command, architecture=architecture),
    ]


def _against_torch_and_keras(network, to_torch, to_keras=None, architecture=None):
    bars = {
        "ratio_to_torch": ("<=", to_torch),
        "ratio_to_torch_best": None,
        "ratio_to_keras": to_keras and ("<=", to_keras),
        "ratio_to_keras_inside": None,
    }
    return _step_time(network, bars, architecture)


def _decoding_speed(name, bars):
    command = f"benchmarks/decoding_speed.py {name}"
    return [
        Row(name, f"ratio_to_{peer}", "ours / theirs", command, bar=bar, architecture="transformer")
        for peer, bar in bars.items()
    ]


def _pipeline(name):
    command = f"benchmarks/pipeline.py {name}"
    return [
        Row(name, "images_per_second", "images/s", command),
        Row(name, "epoch_wait_ms", "ms", command, bar=("<=", 20)),
        Row(name, "ratio_to_convnet", "times", command, bar=(">=", 5)),
    ]


def _experiment(table, name, metric, source, architecture):
    command = f"benchmarks/experiments.py {table} {name}"
    return Row(name, metric, "percent", command, source=source, architecture=architecture)


def _recurrent(table, name, architecture, metric, unit, published, source, bar=None, unverified=True):
    command = f"benchmarks/recurrent.py {table} {name}"
    unverified = unverified and published is not None
    return Row(name, metric, unit, command, published, source, unverified, bar, architecture)


def _memory():
    adding = "Bai et al. 2018, table 1, at 600 steps; always answering 1 gives 0.167"
    published = {"lstm": 0.164, "gru": 5.3e-5, "rnn": 0.177, "tcn": 5.8e-5}
    bars = {"lstm": ("<=", 0.01), "gru": ("<=", 0.01), "rnn": None, "tcn": ("<=", 1e-3)}
    for cell, error in published.items():
        yield _recurrent("memory", f"adding_{cell}", cell, "mse", "squared", error, adding, bars[cell], False)
    for cell in ("lstm", "gru"):
        yield _recurrent("memory", f"row_mnist_{cell}", cell, "test_accuracy", "percent", None, "", (">=", 97.0))
    pixels = "Bai et al. 2018, table 1, 784 pixels, 70,000 weights"
    for cell, accuracy in (("lstm", 87.2), ("gru", 96.2), ("rnn", 21.5), ("tcn", 99.0)):
        name = f"pixel_mnist_{cell}"
        yield _recurrent("memory", name, cell, "test_accuracy", "percent", accuracy, pixels, unverified=False)


def _music(table, published, source):
    for dataset, figures in published.items():
        for network, nats in figures.items():
            architecture = network if network in ("lstm", "gru") else "rnn"  # deep ones are arguments of build_rnn
            yield _recurrent(table, f"{network}_{dataset}", architecture, "nats_per_step", "nats", nats, source)


def _own_data():
    for name, points in (
        ("cifar_folder", "points"), ("arrows", "points"), ("pairs_400", "points"), ("texts_60kb", "percent"),
        ("midi_20", "percent"),
    ):  # fmt: skip
        command = f"benchmarks/own_data.py {name}"
        most = 2 if points == "points" else 3
        yield Row(name, "plain", "percent, BLEU or nats", command)
        yield Row(name, "best_recipe", "percent, BLEU or nats", command)
        yield Row(name, "behind", "points of accuracy or BLEU, percent of the nats", command, bar=("<=", most))
        yield Row(name, "seconds", "s", command, bar=("<=", 600))
    command = "benchmarks/own_data_init.py"
    yield Row("cifar_folder_init", "gain", "points of accuracy", command, bar=(">=", 2))
    yield Row("cifar_folder_init", "with_init", "percent", command)
    yield Row("cifar_folder_init", "without_init", "percent", command)


def _safety():
    inputs = (
        "webp", "gif_screen", "gif_frames", "png", "jpeg", "midi", "image_bytes", "image", "text_score",
        "text_generate", "music_score", "music_generate", "translate", "translation_sample", "translation_score",
        *tables_images.SAFETY, *tables_sound.SAFETY, *tables_segmentation.SAFETY,
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

TRANSLATORS = {"transformer": "transformer", "attention_gru": "attention_seq2seq", "seq2seq": "seq2seq"}
INFLUENCE = {"tanh": "rnn", "lstm": "lstm", "gru": "gru", "convnet": "", "mlp": ""}  # "": a network of the script's own

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
        tuple(
            _experiment("degradation", name, "train_error", DEGRADATION, "resnet_cifar")
            for name in ("plain20", "plain56", "resnet56")
        ),
    ),
    "batchnorm": Table(
        "Batch normalisation on MNIST: three layers of 100 sigmoid units, after the last step",
        tuple(_experiment("batchnorm", name, "test_accuracy", BATCHNORM, "mlp") for name in ("without", "with")),
    ),
    "reliability": Table(
        "Runs that were killed by SIGKILL, resumed, and ended bit-equal to a run that was not killed; bad inputs that "
        "get a clear answer: they work, or one line says what is wrong",
        (
            Row("kills", "equal_of_20", "runs", "benchmarks/kills.py --kills 20 --seed 0", bar=(">=", 20)),
            Row(
                "kills_100", "equal_of_100", "runs", "benchmarks/kills.py --kills 100 --seed 1 --jobs 2",
                bar=(">=", 100),
            ),  # fmt: skip
            *tables_images.KILLS,
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
        "Hostile files and the largest requests: memory above that of the loaded model, and time, of files made to "
        "exhaust it (each is refused, or read within the bars) and of the largest requests that each endpoint takes, "
        "with the apps' default models, two cores",
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
        "Dates and amounts, English to ISO form: how many of 1,000 translations, of held-out years, are exact",
        (
            Row(
                "transformer", "exact_match", "percent", "apps/translate.py --seed 0", bar=(">=", 99.0),
                architecture="transformer",
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
            Row(
                f"{dataset}_{model}", metric, "BLEU", f"benchmarks/lengths.py {dataset} {model}",
                architecture=TRANSLATORS[model],
            )
            for dataset, metrics in (("dates", ("bleu_trained", "bleu_longer")), ("multi30k", ("bleu",)))
            for model in TRANSLATORS
            for metric in metrics
        ),
        packages=("sacrebleu", "sentencepiece", "babel"),
    ),
    "alignment": Table(
        "Where a translation looks: mean entropy of the alignment's weights on Multi30k, nats a target sub-word",
        tuple(
            Row(name, "entropy", "nats", f"benchmarks/alignment.py {name}", architecture=TRANSLATORS[name])
            for name in ("transformer", "attention_gru")
        ),
        packages=("sentencepiece",),
    ),
    "memory": Table(
        "Memory: the adding problem at 200 steps, of the TCN 600; MNIST read row by row, and pixel by pixel at 14 x 14",
        tuple(_memory()),
    ),
    "music_chung": Table(
        "Music, about 20,000 weights each: test nats a time step, mean and range of three seeds",
        tuple(_music("music_chung", CHUNG, "Chung et al. 2014, table 2")),
    ),
    "music_deep": Table(
        "Music, deep recurrent networks: test nats a time step, one seed",
        tuple(_music("music_deep", DEEP, "Pascanu et al. 2014, table 2")),
    ),
    "influence": Table(
        "Which inputs moved a prediction: one text, five networks; figures in bits a character of the test text",
        tuple(
            Row(name, "test_bits", "bits", f"benchmarks/influence.py {name}", architecture=architecture)
            for name, architecture in INFLUENCE.items()
        ),
    ),
    "own_data": Table(
        "A user's own data: the plain command of the app, with nothing but the place of the data, against the best of "
        "ten recipes made by hand, on the same test data; seconds of the plain command on two cores",
        tuple(_own_data()),
        packages=("sacrebleu", "sentencepiece", "pretty_midi"),
    ),
    "pipeline": Table(
        "Input pipeline: speed, longest wait between two epochs, and speed against what training LeNet-5 consumes",
        (*_pipeline("mnist"), *_pipeline("cifar10_augmented")),
    ),
    "step_time": Table(
        "Training step: our time divided by the peer's (below 1 is faster); batch 128, vae 100, dcgan and "
        "gated_pixelcnn 64, resnet34, gru, rnn, transformer and attention_gru 32, lstm 20, wavenet 4 of 8,192 "
        "samples; lstm_generation and lm_generation: a token at batch 1",
        (
            *_against_torch_and_keras("linear", 1.0, 0.5),
            *_against_torch_and_keras("mlp", 1.0, 1.0),
            *_against_torch_and_keras("convnet", 1.0, 1.0),
            *_against_torch_and_keras("resnet20", 1.0, 1.0, architecture="resnet_cifar"),
            *_against_torch_and_keras("resnet34", 1.1, 1.0, architecture="resnet"),
            *_against_torch_and_keras("lstm", 1.05),
            *_against_torch_and_keras("gru", 0.8),
            *_against_torch_and_keras("rnn", 1.05),
            *_step_time("lstm_generation", {"ratio_to_torch": ("<=", 0.25)}, architecture="lstm"),
            *_step_time("lm_generation", {"ratio_to_torch": ("<=", 1.0)}, architecture="transformer_lm"),
            *_against_torch_and_keras("transformer", 0.9),
            *_step_time(
                "attention_gru", {"ratio_to_torch": ("<=", 1.0), "ratio_to_torch_best": None},
                architecture="attention_seq2seq",
            ),
            *(
                row
                for network in ("vae", "dcgan", "gated_pixelcnn")
                for row in _step_time(network, {"ratio_to_torch": ("<=", 1.0), "ratio_to_torch_best": ("<=", 1.0)})
            ),
            *_step_time("wavenet", {"ratio_to_torch": ("<=", 0.9), "ratio_to_torch_best": None}),
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
} | tables_images.TABLES | tables_sound.TABLES | tables_segmentation.TABLES | tables_laboratory.TABLES  # fmt: skip

# The figure of each architecture that README shows; resnet and transformer_lm have none yet.
HEADLINES = {
    "linear": Headline("mnist", "linear", "test_error", "MNIST, test error in percent"),
    "mlp": Headline("mnist", "mlp", "test_error", "MNIST, test error in percent"),
    "convnet": Headline("mnist", "convnet", "test_error", "MNIST, test error in percent"),
    "resnet_cifar": Headline("fashion_mnist", "resnet_cifar", "test_accuracy", "Fashion-MNIST, accuracy in percent"),
    "rnn": Headline("music_chung", "rnn_jsb_chorales", "nats_per_step", "JSB chorales, nats a time step"),
    "lstm": Headline("ptb", "lstm_small", "perplexity", "Penn Treebank, perplexity a word"),
    "gru": Headline("music_chung", "gru_jsb_chorales", "nats_per_step", "JSB chorales, nats a time step"),
    "tcn": Headline("memory", "adding_tcn", "mse", "adding problem of 600 steps, mean squared error"),
    "seq2seq": Headline("multi30k", "seq2seq", "bleu_lowercase", "Multi30k, BLEU, lower-cased"),
    "attention_seq2seq": Headline("multi30k", "attention_gru", "bleu_lowercase", "Multi30k, BLEU, lower-cased"),
    "transformer": Headline("multi30k", "transformer_tiny", "bleu_lowercase", "Multi30k, BLEU, lower-cased"),
} | tables_images.HEADLINES | tables_sound.HEADLINES | tables_segmentation.HEADLINES  # fmt: skip

# A metric that is computed from what the command reports under another name.
DERIVED = {
    "test_error": lambda reported: 100 * (1 - reported["accuracy"]),
    "test_accuracy": lambda reported: 100 * reported["accuracy"],
    "equal_of_20": lambda reported: reported["equal"],
    "equal_of_10": lambda reported: reported["equal"],
    "equal_of_100": lambda reported: reported["equal"],
}
