"""Tables of models of sound. Nothing here imports TensorFlow."""

from rows import Headline, Picture, Row, Table

MINUTES = 45  # of training, for the row wavenet of the table audio
WAVENET = (
    "apps/model_audio.py --dataset fsdd --trials 0 --seed 0 --epochs 40 --batch-size 8 --window 4096 "
    "--optimizer adam --learning-rate 0.004 --schedule cosine --clipnorm 1 --keep best"
)


def _generation_speed():
    command = "benchmarks/generation_speed.py wavenet"
    for peer, bar in (("naive", 1 / 20), ("torch", 0.5)):
        yield Row("wavenet", f"ratio_to_{peer}", f"ours / {peer}", command, bar=("<=", bar), architecture="wavenet")


def _audio():
    source = "no likelihood is published; the rows below are of the same samples"
    yield Row("wavenet", "nats_per_sample", "nats", WAVENET, None, source, bar=("<=", 3.2), architecture="wavenet")
    yield Row("wavenet", "training_minutes", "min", WAVENET, bar=("<=", MINUTES), architecture="wavenet")
    for row in ("marginal", "markov1", "markov2"):
        yield Row(row, "nats_per_sample", "nats", f"benchmarks/markov_sounds.py {row}")


SAFETY = ("audio_bytes", "audio_score", "audio_sample", "audio_generate")  # rows of the table safety

TABLES = {
    "audio": Table(
        "Free Spoken Digit Dataset, takes 0 to 9, 8,000 samples per second, 256 mu-law levels: negative log-likelihood "
        "of takes 0 to 4 of all digits and speakers, nats per sample (5.545 if all levels are equally probable); "
        "wavenet: trained on takes 5 to 8 for at most 45 minutes, the epoch chosen by take 9; marginal, markov1 and "
        "markov2: frequencies of a level, after no, one or two levels, in takes 5 to 9",
        tuple(_audio()),
        pictures=(
            Picture(
                "wavenet",
                "samples/spectrograms.png",
                "spectrograms",
                "Spectrograms of a WaveNet's spoken digits: a validation recording of which the first half is given, "
                "two drawn ones, and the recording",
            ),
        ),
    ),
    "generation_speed": Table(
        "Generation by a WaveNet with a receptive field of 1,025 samples, one sequence: time a sample with what its "
        "layers keep, divided by that of the whole network on the field for every sample, and by that of a PyTorch "
        "loop with the same queues",
        tuple(_generation_speed()),
    ),
}

HEADLINES = {
    "wavenet": Headline("audio", "wavenet", "nats_per_sample", "spoken digits, nats a sample"),
}
