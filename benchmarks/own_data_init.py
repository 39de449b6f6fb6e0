"""What one's own earlier model is worth: five classes of pictures, from scratch and with --init.

    python benchmarks/own_data_init.py --json FILE

A ResNet-20 is trained on all pictures of five CIFAR-10 classes, and exported. Then the command of table own_data's row
cifar_folder, on folders of PNG files of the five other classes, is run twice: as it stands, and with --init. The metric
is the gain: the difference of the two test accuracies, in points. Both choose by their own validation split; the test
split of either is read once.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from keras_dl import imports, settings

SEED = 0
CLASSES = ("airplane", "automobile", "bird", "cat", "deer")  # of the folder
OTHERS = ("dog", "frog", "horse", "ship", "truck")  # of the earlier model
TRAIN, TEST = 100, 200  # pictures a class of the folder
MODEL = "--model resnet_cifar --set depth=20 --image-size 32"
# The earlier model: twelve minutes on two cores.
EARLIER = (
    "--trials 0 --epochs 8 --batch-size 128 --optimizer nesterov --learning-rate 0.1 --schedule onecycle "
    "--weight-decay 0.0005 --augment crop_flip --keep last"
)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--json", type=Path, help="write the result there")
    parser.add_argument("--smoke", action="store_true", help="a few pictures, one epoch: does everything run?")
    asked = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="keras_dl-own-data-") as folder:
        result = cifar_folder_init(Path(folder), asked.smoke)
    print(", ".join(f"{name} {value:.4g}" for name, value in result["metrics"].items()))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1))


def cifar_folder_init(place, smoke=False):
    """Train the earlier model and the two of the folder below `place`; {"metrics", "details"}."""
    sizes = (20, 20) if smoke else (TRAIN, TEST)
    own = write_folder(place / "cifar_folder", CLASSES, *sizes)
    others = write_folder(place / "cifar_others", OTHERS, *(sizes if smoke else (None, None)))
    quick = ["--epochs", "1", "--trials", "0"] if smoke else []
    earlier = _run(place, others, [*EARLIER.split(), *quick])
    scratch = _run(place, own, quick)
    started = _run(place, own, ["--init", earlier["run"], *quick])
    accuracy = {
        "without_init": 100 * scratch["accuracy"], "with_init": 100 * started["accuracy"],
    }  # fmt: skip
    return {
        "metrics": {"gain": accuracy["with_init"] - accuracy["without_init"], **accuracy},
        "details": {
            "earlier_accuracy": 100 * earlier["accuracy"], "earlier_seconds": earlier["seconds"],
            "seconds_without_init": scratch["seconds"], "seconds_with_init": started["seconds"],
            "classes": list(CLASSES), "earlier_classes": list(OTHERS),
        },
    }  # fmt: skip


def write_folder(folder, classes, train, test):
    """Write `train` and `test` CIFAR-10 pictures of each class as PNG, the first of each split; None: all of them."""
    with imports.quiet_tensorflow():
        import tensorflow as tf

        from keras_dl.data import image_sets
    *splits, names = image_sets.load("cifar10")
    for split, examples, count in zip(("train", "test"), splits, (train, test), strict=True):
        pixels, labels = examples.features["image"], examples.features["label"]
        for name in classes:
            below = folder / split / name
            below.mkdir(parents=True)
            for number, row in enumerate((labels == names.index(name)).nonzero()[0][:count]):
                (below / f"{number:04d}.png").write_bytes(tf.io.encode_png(pixels[row]).numpy())
    return folder


def _run(place, dataset, flags):
    """Run the app: {"accuracy", "run": its folder, "seconds"}."""
    app = Path(__file__).resolve().parent.parent / "apps" / "classify_images.py"
    before, began = set(place.glob("runs/*/*")), time.monotonic()
    words = ["--dataset", str(dataset), *MODEL.split(), "--seed", str(SEED), "--out", str(place), *flags]
    subprocess.run([sys.executable, str(app), *words], check=True)
    (run,) = set(place.glob("runs/*/*")) - before
    accuracy = json.loads((run / "finished.json").read_text())["metrics"]["accuracy"]
    return {"accuracy": accuracy, "run": str(run), "seconds": round(time.monotonic() - began, 1)}


if __name__ == "__main__":
    settings.run(main)
