"""How close the samples of a DCGAN and of a convolutional VAE are to real images, by one classifier.

    python benchmarks/sample_quality.py --json FILE

Both are trained on Fashion-MNIST by their apps, for as many epochs as fit into 30 minutes, and exported: the DCGAN of
the epoch whose samples are closest to the validation images, the VAE of the last epoch. The exports' endpoint `sample`
draws 10,000 images of each. The judge is the classifier that apps/gan_images.py trained on the same training images
(judging.py). Of each set of 10,000 images, its Fréchet distance from the 10,000 test images in the classifier's
features is measured, and the share of each class that the classifier finds. The row `real` is that of 10,000 training
images, drawn at random: what a perfect generator would have. The distance is of this classifier and of 10,000 images:
no FID, and not to be compared with other papers' figures or with other numbers of images.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from tables_images import GENERATORS

from keras_dl import command_line, imports

ROOT = Path(__file__).resolve().parent.parent
SEED = 0
COUNT = 10_000  # images of each set
SMOKE = "--dataset digits --epochs 1"
PICTURES = ("samples", "interpolation")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--json", type=Path, help="write the result there, and pictures beside it")
    parser.add_argument("--smoke", action="store_true", help="an epoch of digits: does everything run?")
    asked = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="keras_dl-quality-") as folder:
        runs = {name: trained(name, Path(folder) / name, asked.smoke) for name in GENERATORS}
        result = compared(runs, asked.smoke)
        if asked.json:
            for name, run in runs.items():
                for picture in PICTURES:
                    shutil.copy(run / "samples" / f"{picture}.png", asked.json.with_name(f"{name}_{picture}.png"))
    for name, row in result["rows"].items():
        print(f"{name}: " + ", ".join(f"{metric} {value:.4g}" for metric, value in row["metrics"].items()))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=2))


def trained(name, out, smoke=False):
    """The folder of the run in which an app has trained and exported one of tables_images.GENERATORS."""
    app, *flags = shlex.split(GENERATORS[name])
    words = [sys.executable, str(ROOT / app), *flags, *(shlex.split(SMOKE) if smoke else []), "--out", str(out)]
    subprocess.run(words, check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    (run,) = out.glob("runs/*/*")
    return run


def compared(runs, smoke=False):
    """{"rows": {name: {"metrics", "details"}}} of {name: the folder of its run}, and of "real"."""
    with imports.quiet_tensorflow():
        from keras_dl import data, judging, models
    splits = data.levels.load("digits" if smoke else "fashion_mnist", SEED, levels=256)
    judge = judging.trained(models.build_convnet, splits, runs["dcgan"] / "classifier.keras", SEED)  # it is read
    test = splits.test.features["image"][:COUNT]
    train = splits.train.features["image"]
    some = np.sort(np.random.default_rng(SEED).permutation(len(train))[: len(test)])
    held_out = judge.verdict(test)
    about = {
        "images": len(test), "features": judge.width, "size": list(test.shape[1:]), "accuracy": judge.accuracy,
        "classifier": judge.source,
    }  # fmt: skip
    rows = {"real": row_of(judge.verdict(train[some]), held_out, about)}
    for name, run in runs.items():
        rows[name] = row_of(judge.verdict(drawn(run, len(test))), held_out, about)
        noted = json.loads((run / "config.json").read_text())
        rows[name]["metrics"]["training_minutes"] = noted["training_seconds"] / 60
        rows[name]["details"]["command"] = f"python {GENERATORS[name]}"
    distances = {name: row["metrics"]["frechet_classifier"] for name, row in rows.items()}
    rows["dcgan"]["metrics"]["ratio_to_vae"] = distances["dcgan"] / distances["vae"]
    return {"rows": rows}


def row_of(verdict, held_out, about):
    """{"metrics", "details"} of a judging.Verdict beside that of the test images."""
    from keras_dl import judging

    numbers = verdict.numbers(held_out)
    metrics = {name: numbers[name] for name in ("frechet_classifier", "classes_covered")}
    shares = {"shares": verdict.shares, "shares_of_test_images": held_out.shares}
    return {"metrics": metrics, "details": about | shares | {"least_of_that_share": judging.COVERED}}


def drawn(run, count):
    """`count` images of the run's export, uint8 (count, H, W, C), as many a request as it allows, each its own seed."""
    from keras_dl import export

    exported = export.load(str(next((run.parents[2] / "saved_models").glob("*"))))
    endpoint = exported.card["endpoints"]["sample"]
    defaults = {name: spec["default"] for name, spec in endpoint["inputs"].items()}
    most, parts = endpoint["limits"]["pictures"], []
    for number, start in enumerate(range(0, count, most)):
        request = defaults | {"n": min(most, count - start), "seed": SEED + number}
        parts.append(exported.call("sample", **request)["image"])
    return np.concatenate(parts)


if __name__ == "__main__":
    command_line.run(main)
