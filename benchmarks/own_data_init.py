"""What one's own earlier model is worth: row cifar_folder_init of table own_data.

    python benchmarks/own_data_init.py --json FILE
    python benchmarks/own_data_init.py --pilot                # small models, in a few minutes

A ResNet-20 is trained on all pictures of five CIFAR-10 classes and exported. Then the app is run twice on the folder of
row cifar_folder, 100 pictures of each of the five other classes, with the same command: as it stands, and with --init
and that export. The gain is the difference of the two accuracies on the folder's test pictures, in points. No run sees
test pictures before it ends, and nothing was chosen by them.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import own_data

from keras_dl import command_line, imports, settings

MODEL = "--model resnet_cifar --set depth={depth}"
# The earlier model: some twelve minutes on two cores.
EARLIER = (
    "--trials 0 --epochs {epochs} --batch-size 128 --optimizer nesterov --learning-rate 0.1 --schedule onecycle "
    "--weight-decay 0.0005 --augment crop_flip --keep last"
)
DEPTH, EPOCHS = 20, 12
PILOT_DEPTH, PILOT_EPOCHS = 8, 6
PILOT_TRAIN, PILOT_TEST = 1000, 200  # pictures a class


def main(argv=None):
    """Train the earlier model and the two of the folder.

    Raises:
        UserError: a run failed, or CIFAR-10 is not there.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--json", type=Path, help="write the result there")
    parser.add_argument("--pilot", action="store_true", help="smaller models, fewer pictures of the earlier one")
    parser.add_argument("--flags", default="", help="further flags of the two runs on the folder")
    asked = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="keras_dl-own-data-") as folder:
        result = gain(Path(folder), asked.pilot, asked.flags.split())
    print(", ".join(f"{name} {value:.4g}" for name, value in result["metrics"].items()))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1))


def gain(place, pilot=False, flags=()):
    """The figures of the row, {"metrics", "details"}; everything is written below `place`."""
    folder = own_data.cifar_folder(place / "folder")
    others = write_others(place / "others", *((PILOT_TRAIN, PILOT_TEST) if pilot else (None, None)))
    recipe = EARLIER.format(epochs=PILOT_EPOCHS if pilot else EPOCHS)
    model = MODEL.format(depth=PILOT_DEPTH if pilot else DEPTH).split()
    earlier = _run(place / "earlier", [*model, "--dataset", str(others), *recipe.split()])
    (export,) = (place / "earlier" / "saved_models").iterdir()
    without = _run(place / "without", [*model, *folder.flags, *flags])
    started = _run(place / "with", [*model, *folder.flags, "--init", str(export), *flags])
    return {
        "metrics": {
            "gain": started["accuracy"] - without["accuracy"],
            "with_init": started["accuracy"],
            "without_init": without["accuracy"],
        },
        "details": {"earlier": earlier, "without_init": without, "with_init": started},
    }


def write_others(folder, train, test):
    """Write the pictures of the five other CIFAR-10 classes as PNG: the first `train` and `test` of each, None: all."""
    from PIL import Image

    with imports.quiet_tensorflow():
        from keras_dl.data import image_sets

    parts, names = image_sets.load("cifar10")
    for part, count in (("train", train), ("test", test)):
        examples = parts[part]
        for label in own_data.CLASSES[1]:
            place = folder / part / names[label]
            place.mkdir(parents=True)
            rows = np.flatnonzero(examples.features["label"] == label)[:count]
            for number, picture in enumerate(examples.features["image"][rows]):
                Image.fromarray(picture).save(place / f"{number:04d}.png")
    return folder


def _run(out, flags):
    """Run the app: {"accuracy" in percent, "seconds", "chosen", "origin"}, the last two as in its config.json."""
    words = [*flags, "--seed", str(own_data.SEED), "--out", str(out)]
    print(f"classify_images: {' '.join(words)}", flush=True)
    began = time.monotonic()
    done = subprocess.run([sys.executable, "apps/classify_images.py", *words], cwd=own_data.ROOT)
    settings.check(done.returncode == 0, f"own_data_init: classify_images {' '.join(flags)} failed.")
    seconds = time.monotonic() - began
    (run,) = (out / "runs" / "classify_images").iterdir()
    config = json.loads((run / "config.json").read_text())
    accuracy = json.loads((run / "finished.json").read_text())["metrics"]["accuracy"]
    return {
        "accuracy": 100 * accuracy,
        "seconds": round(seconds, 1),
        "chosen": config.get("chosen", {}).get("values", {}),
        "origin": config.get("origin", {}).get("sentence", ""),
    }


if __name__ == "__main__":
    command_line.run(main)
