"""A user's own data: the plain command of an app against the best of ten recipes made by hand.

    python benchmarks/own_data.py arrows --json FILE
    python benchmarks/own_data.py arrows --only plain --only 3     # the plain command and the third recipe alone
    python benchmarks/own_data.py arrows --pilot                   # other data of the same kind

A row writes data as a user has them (a folder, two files) and runs the app on them: once with nothing but their place,
which is the plain command, and once for each of ten recipes, whose flags say what to train and how. All are judged on
the same test data, which no run sees before it ends. "behind" is how far the plain command is behind the best recipe:
in points of accuracy or BLEU, or in percent of its nats; below 0 it is ahead. "seconds" is the time of the plain
command, from its start to its end.

- cifar_folder: 100 pictures of each of five classes of CIFAR-10 for training, 200 of each for the test, as PNG.
- arrows: the pictures of ../shared/cases/arrows.tar.xz, four directions; the app holds out its own test split.
- pairs_400: 400 sentences of a small grammar with their translations; the test are 200 others, which the export is
  asked to translate.
- texts_60kb: 60,000 characters of plays (tiny_shakespeare) for training, 30,000 later ones for the test.
- midi_20: 20 of Bach's chorales as MIDI files for training, 20 others for the test.

The rules of keras_dl/own_data.py were not tuned on any of this, but with --pilot: on the other five classes of
CIFAR-10, on digits as a folder of pictures, on a grammar with other words, on the sources of Python's standard library
and on other chorales, and there on other test data as well. CIFAR-10 and tiny_shakespeare must be prepared
(TFDS_DATA_DIR), the chorales are prepared by themselves.
"""

import argparse
import dataclasses
import itertools
import json
import shlex
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_dl import command_line, imports, settings

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT.parent / "shared" / "cases"
SEED = 0
RECIPES = 10  # of each row
PLAIN = "plain"
TRAIN, TEST = 100, 200  # pictures a class
PAIRS, HELD_OUT = 400, 200
CHARACTERS, TEST_CHARACTERS = 60_000, 30_000
PIECES = 20  # for training, and as many for the test
CLASSES = (range(5), range(5, 10))  # of CIFAR-10: of the row, and of its pilot


def main(argv=None):
    """Run the plain command and the recipes of a row.

    Raises:
        UserError: a run failed, or the data are not there.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("row", choices=ROWS)
    parser.add_argument("--json", type=Path, help="write the result there")
    names = [PLAIN, *map(str, range(1, RECIPES + 1))]
    parser.add_argument("--only", action="append", choices=names, help="the plain command, or a recipe's number")
    parser.add_argument("--pilot", action="store_true", help="other data of the same kind")
    parser.add_argument("--flags", default="", help="further flags of the plain command, to try a rule")
    asked = parser.parse_args(argv)
    result = compared(ROWS[asked.row], asked.pilot, asked.only, asked.flags)
    print(", ".join(f"{name} {value:.4g}" for name, value in result["metrics"].items()))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1))


def compared(row, pilot=False, only=None, flags=""):
    """The figures of a row: {"metrics", "details"}.

    Args:
        row: one of ROWS.
        pilot: whether to use the other data.
        only: names of the runs, "plain" and "1" to "10"; None: all.
        flags: further flags of the plain command.
    """
    runs = {PLAIN: flags} | {str(number): f"{BASES[row.app]} {recipe}" for number, recipe in enumerate(row.recipes, 1)}
    with tempfile.TemporaryDirectory(prefix="keras_dl-own-data-") as folder:
        data = row.write(Path(folder) / "data", pilot)
        measured = {name: _run(row, data, Path(folder), runs[name]) for name in only or runs}
    recipes = [run for name, run in measured.items() if name != PLAIN]
    metrics, details = {}, {"runs": measured}
    if PLAIN in measured:
        metrics |= {"plain": measured[PLAIN]["value"], "seconds": measured[PLAIN]["seconds"]}
    if recipes:
        best = (max if row.more_is_better else min)(recipes, key=lambda run: run["value"])
        metrics["best_recipe"] = best["value"]
        details["best_recipe"] = next(name for name, run in measured.items() if run is best)
    if PLAIN in measured and recipes:
        metrics["behind"] = row.behind(metrics["plain"], metrics["best_recipe"])
    return {"metrics": metrics, "details": details}


def _run(row, data, folder, flags):
    """{"flags", "value", "seconds", "chosen", "metrics"} of a run of the row's app with these flags."""
    out = Path(tempfile.mkdtemp(dir=folder))
    words = [sys.executable, f"apps/{row.app}.py", *data.flags, "--seed", str(SEED), "--out", str(out)]
    print(f"{row.app}: {flags or PLAIN}", flush=True)
    began = time.monotonic()
    done = subprocess.run([*words, *shlex.split(flags)], cwd=ROOT, capture_output=True, text=True)
    seconds = time.monotonic() - began
    settings.check(done.returncode == 0, f"own_data: {row.app} {flags} failed: {done.stderr[-2000:]}")
    (run,) = (out / "runs" / row.app).iterdir()
    metrics = json.loads((run / "finished.json").read_text())["metrics"]
    chosen = json.loads((run / "config.json").read_text()).get("chosen", {})
    value = data.judge(out) if data.judge else metrics[row.metric]
    value *= 100 if row.metric == "accuracy" else 1
    if chosen:
        print(f"  {chosen['sentence']}")
    print(f"  {row.metric} {value:.4g}, {seconds:.0f} s; all: {metrics}", flush=True)
    figures = {"value": value, "seconds": round(seconds, 1), "metrics": metrics}
    return {"flags": flags, **figures, "chosen": chosen.get("values", {})}


@dataclasses.dataclass(frozen=True)
class Data:
    """What a user has: the flags that name it, and, if the app does not judge the test data itself, judge(out)."""

    flags: tuple
    judge: Callable | None = None


@dataclasses.dataclass(frozen=True)
class OwnData:
    """A row.

    Attributes:
        app: the app that trains on it.
        metric: the app's name of the figure.
        write: write(folder, pilot) -> Data.
        recipes: ten recipes, flags of the app after those of BASES.
        more_is_better: whether the figure should be large.
    """

    app: str
    metric: str
    write: Callable
    recipes: tuple
    more_is_better: bool = True

    def behind(self, plain, best):
        """How far the plain command is behind: in points, or in percent of the best recipe's nats."""
        return best - plain if self.more_is_better else 100 * (plain / best - 1)


def cifar_folder(folder, pilot=False):
    """PNG files train/CLASS/N.png and test/CLASS/N.png; with `pilot`, the other five classes."""
    from PIL import Image

    with imports.quiet_tensorflow():
        from keras_dl.data import image_sets

    parts, names = image_sets.load("cifar10")
    for part, count in (("train", TRAIN), ("test", TEST)):
        examples = parts[part]
        for label in CLASSES[pilot]:
            place = folder / part / names[label]
            place.mkdir(parents=True)
            rows = np.flatnonzero(examples.features["label"] == label)[:count]
            for number, picture in enumerate(examples.features["image"][rows]):
                Image.fromarray(picture).save(place / f"{number:03d}.png")
    return Data(("--dataset", str(folder)))


def arrows(folder, pilot=False):
    """The folder of the archive; with `pilot`, the first 40 embedded digits of each class instead, as PNG."""
    if not pilot:
        archive = CASES / "arrows.tar.xz"
        settings.check(archive.exists(), f"own_data: {archive.name} must be in ../shared/cases.")
        with tarfile.open(archive) as file:
            file.extractall(folder, filter="data")
        return Data(("--dataset", str(folder / "arrows")))
    from PIL import Image

    with imports.quiet_tensorflow():
        from keras_dl.data import image_sets

    parts, names = image_sets.load("digits")
    train = parts["train"]
    for label, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        rows = np.flatnonzero(train.features["label"] == label)[:40]
        for number, picture in enumerate(train.features["image"][rows]):
            Image.fromarray(picture[..., 0]).save(folder / name / f"{number:03d}.png")
    return Data(("--dataset", str(folder)))


# Words of the grammar and their translations into an invented language, whose adjectives follow their nouns and whose
# verbs stand last. The row uses the first half of each list, the pilot the second.
WORDS = {
    "article": (("the", "a", "every", "this"), ("el", "un", "cada", "este")),
    "adjective": (
        ("small", "red", "old", "quiet", "quick", "green", "young", "loud"),
        ("pok", "rud", "vel", "tas", "kvik", "grun", "jun", "lat"),
    ),
    "noun": (
        ("dog", "horse", "teacher", "boat", "bird", "farmer", "cat", "train", "doctor", "tree", "fish", "baker"),
        ("hun", "kaval", "leron", "bat", "vogel", "agron", "kato", "tren", "medik", "arbo", "fis", "panist"),
    ),
    "verb": (
        ("sees", "follows", "carries", "likes", "finds", "hears", "paints", "wants"),
        ("vidas", "sekas", "portas", "amas", "trovas", "audas", "pintas", "volas"),
    ),
}


def grammar(pilot=False):
    """All sentence pairs of the grammar in a random order: [(source, target)]."""
    half = {}
    for kind, (source, target) in WORDS.items():
        middle = len(source) // 2
        part = slice(middle, None) if pilot else slice(None, middle)
        half[kind] = list(zip(source[part], target[part], strict=True))
    phrases = [
        (f"{article[0]} {adjective[0]} {noun[0]}", f"{article[1]} {noun[1]} {adjective[1]}")
        for article, adjective, noun in itertools.product(half["article"], half["adjective"], half["noun"])
    ]
    pairs = [
        (f"{subject[0]} {verb[0]} {thing[0]} .", f"{subject[1]} {thing[1]} {verb[1]} .")
        for subject, verb, thing in itertools.product(phrases, half["verb"], phrases)
    ]
    return [pairs[i] for i in np.random.default_rng(SEED).permutation(len(pairs))]


def pairs_400(folder, pilot=False):
    """Two files of 400 lines; the judge asks the export for translations of 200 other sentences."""
    pairs = grammar(pilot)
    folder.mkdir(parents=True)
    for side, ending in enumerate(("en", "xx")):
        lines = [pair[side] for pair in pairs[:PAIRS]]
        (folder / f"sentences.{ending}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    held_out = pairs[PAIRS : PAIRS + HELD_OUT]

    def judge(out):
        with imports.quiet_tensorflow():
            import lengths

            from keras_dl import export, scores

        (name,) = (out / "saved_models").iterdir()
        hypotheses = lengths.translated(export.load(name), [source for source, _ in held_out])
        return scores.of_translations(hypotheses, [target for _, target in held_out])["bleu"]

    files = [str(folder / f"sentences.{ending}") for ending in ("en", "xx")]
    return Data(("--source", files[0], "--target", files[1]), judge)


def texts_60kb(folder, pilot=False):
    """train/text.txt and test/text.txt; with `pilot`, of the files that the embedded set trains on."""
    with imports.quiet_tensorflow():
        from keras_dl.data import text

    splits = text.load("python" if pilot else "tiny_shakespeare")
    whole = splits.preprocess.decode(splits.train.features["tokens"][None]).numpy()[0].decode()
    parts = {"train": whole[:CHARACTERS], "test": whole[-TEST_CHARACTERS:]}
    for part, characters in parts.items():
        (folder / part).mkdir(parents=True)
        (folder / part / "text.txt").write_text(characters, encoding="utf-8")
    return Data(("--dataset", str(folder)))


def midi_20(folder, pilot=False):
    """train/N.mid and test/N.mid; with `pilot`, 40 other chorales."""
    with imports.quiet_tensorflow():
        from keras_dl.data import music
        from keras_dl.features import sound

    splits = music.load("bach_chorales")
    grid = {name: splits.info.details[name] for name in ("steps_per_beat", "beats_per_minute")}
    first = 2 * PIECES if pilot else 0
    rolls = list(splits.train.features["roll"])[first : first + 2 * PIECES]
    for part, pieces in (("train", rolls[:PIECES]), ("test", rolls[PIECES:])):
        (folder / part).mkdir(parents=True)
        for number, roll in enumerate(pieces):
            sound.write_midi(roll, folder / part / f"{number:02d}.mid", **grid)
    return Data(("--dataset", str(folder)))


# The beginning of every recipe, the defaults for named data sets: nothing is left to the rules.
BASES = {
    "classify_images": "--model convnet --optimizer adam --learning-rate 0.001 --schedule constant --weight-decay 0 "
    "--batch-size 64 --augment crop --keep best --patience 0 --trials 0",
    "translate": "--optimizer adam --learning-rate 0.002 --schedule onecycle --weight-decay 0 --batch-tokens 1024 "
    "--keep best --patience 0 --trials 0",
    "model_text": "--optimizer adam --learning-rate 0.002 --schedule constant --weight-decay 0 --batch-size 32 "
    "--keep best --patience 0 --trials 0",
    "model_music": "--optimizer adam --learning-rate 0.01 --schedule constant --weight-decay 0 --batch-size 16 "
    "--keep best --patience 0 --trials 0",
}
LENET = "--model convnet --set pooling=max --set activation=relu --set batch_norm=True"
RESNET = "--model resnet_cifar --schedule onecycle --batch-size 32 --keep last"
NESTEROV = "--optimizer nesterov"
ONECYCLE = "--schedule onecycle --batch-size 16"
ONECYCLE_4 = "--schedule onecycle --batch-size 4"


def _of_pictures(size, augment):
    """Ten recipes for pictures of `size` pixels a side; `augment` leaves the classes as they are."""
    every, augmented = f"--image-size {size}", f"--image-size {size} --augment {augment}"
    return (
        f"{every} --epochs 60",
        f"{every} --epochs 60 --schedule onecycle --learning-rate 0.003 --optimizer adamw",
        f'{augmented} {LENET} --set "filters=(32, 64)" --set dropout=0.25 --epochs 100 --learning-rate 0.002 '
        "--schedule onecycle --batch-size 32 --keep last",
        f'{augmented} {LENET} --set "filters=(64, 128)" --set dropout=0.5 --epochs 60 --optimizer adamw '
        "--weight-decay 0.05 --learning-rate 0.002 --schedule onecycle --batch-size 32 --keep last",
        f'{every} --model mlp --set "units=(512, 512)" --set dropout=0.5 --epochs 100 --learning-rate 0.0005',
        f"{augmented} {RESNET} {NESTEROV} --set depth=8 --epochs 30 --learning-rate 0.1 --weight-decay 0.0005",
        f"{augmented} {RESNET} {NESTEROV} --set depth=8 --epochs 60 --learning-rate 0.1 --weight-decay 0.0005",
        f"{augmented} {RESNET} {NESTEROV} --set depth=14 --epochs 40 --learning-rate 0.05 --weight-decay 0.001",
        f"{augmented} {RESNET} --set depth=20 --epochs 30 --optimizer adam --learning-rate 0.003",
        f"{augmented} {RESNET} --set depth=8 --set filters=32 --epochs 40 --optimizer adamw --learning-rate 0.003 "
        "--weight-decay 0.05",
    )


OF_PAIRS = (
    "--epochs 60 --set dropout=0.1",
    "--epochs 100 --batch-tokens 512 --set dropout=0.1",
    "--epochs 60 --batch-tokens 256 --set dropout=0.1",
    "--epochs 60 --learning-rate 0.005 --set dropout=0.1",
    "--epochs 60 --label-smoothing 0.1 --keep last --set dropout=0.2",
    "--epochs 100 --vocabulary-size 100 --batch-tokens 512 --set dropout=0.1",
    "--epochs 100 --set num_layers=1 --set dropout=0.0 --batch-tokens 512",
    "--model attention_seq2seq --epochs 30 --batch-tokens 512 --set dropout=0.0",
    "--model attention_seq2seq --epochs 20 --set units=128 --set embedding_dim=128 --set dropout=0.2 "
    "--batch-tokens 256",
    "--model seq2seq --epochs 30 --batch-tokens 512 --set dropout=0.0",
)
OF_TEXTS = (
    "--model lstm --epochs 8 --set dropout=0.0",
    "--model lstm --epochs 20 --patience 3 --set dropout=0.0",
    f"--model lstm {ONECYCLE} --epochs 20 --learning-rate 0.004 --set dropout=0.2",
    f"--model lstm {ONECYCLE} --epochs 20 --learning-rate 0.004 --set dropout=0.4",
    f'--model lstm {ONECYCLE} --epochs 20 --learning-rate 0.004 --set "units=(128, 128)" --set dropout=0.3',
    f'--model lstm {ONECYCLE} --epochs 30 --learning-rate 0.006 --set "units=(128,)" --set dropout=0.3',
    f"--model gru {ONECYCLE} --epochs 20 --learning-rate 0.003 --set dropout=0.3",
    "--model gru --batch-size 16 --epochs 12 --patience 3 --set dropout=0.2",
    f"--model transformer_lm {ONECYCLE} --epochs 20 --set dropout=0.2",
    "--model lstm --batch-size 16 --epochs 12 --weight-noise 0.05 --set dropout=0.0",
)
OF_MUSIC = (
    '--model lstm --epochs 100 --set "units=(36,)" --set dropout=0.0 --set peephole=True',
    '--model lstm --batch-size 4 --epochs 60 --patience 15 --set "units=(36,)" --set dropout=0.0 --set peephole=True',
    f'--model lstm {ONECYCLE_4} --epochs 60 --learning-rate 0.005 --set "units=(144,)" --set dropout=0.5 '
    "--set peephole=False",
    f'--model lstm {ONECYCLE_4} --epochs 60 --learning-rate 0.01 --set "units=(72,)" --set dropout=0.25 '
    "--set peephole=False",
    f'--model lstm {ONECYCLE_4} --epochs 80 --learning-rate 0.003 --set "units=(256,)" --set dropout=0.5 '
    "--set peephole=False",
    f'--model lstm {ONECYCLE_4} --epochs 40 --learning-rate 0.003 --set "units=(144, 144)" --set dropout=0.5 '
    "--set peephole=False",
    f'--model gru {ONECYCLE_4} --epochs 60 --learning-rate 0.005 --set "units=(184,)" --set dropout=0.5',
    '--model gru --batch-size 4 --epochs 60 --patience 10 --learning-rate 0.003 --set "units=(92,)" --set dropout=0.0',
    f'--model rnn {ONECYCLE_4} --epochs 60 --learning-rate 0.001 --set "units=(200,)" --set dropout=0.5',
    '--model lstm --batch-size 4 --epochs 80 --weight-noise 0.075 --patience 20 --set "units=(36,)" --set dropout=0.0 '
    "--set peephole=True",
)
ROWS = {
    "cifar_folder": OwnData("classify_images", "accuracy", cifar_folder, _of_pictures(32, "crop_flip")),
    "arrows": OwnData("classify_images", "accuracy", arrows, _of_pictures(32, "crop")),
    "pairs_400": OwnData("translate", "bleu", pairs_400, OF_PAIRS),
    "texts_60kb": OwnData("model_text", "nats", texts_60kb, OF_TEXTS, more_is_better=False),
    "midi_20": OwnData("model_music", "nats", midi_20, OF_MUSIC, more_is_better=False),
}

if __name__ == "__main__":
    command_line.run(main)
