"""An app's training in several sittings: stopped by SIGTERM after each, and gone on with --resume.

    python benchmarks/long_run.py gated_pixelcnn_long --json FILE

The run is kept in runs/long/<row>/, so that a measurement that was stopped goes on when the command is given again.
Stopping changes nothing: a resumed run is bit-equal to an unbroken one (benchmarks/kills.py). The details name the
number of sittings, and every commit on which a part was trained. When the run is finished, its figures are written and
its pictures are copied beside the file of --json; the folder may then be deleted.
"""

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import tables_images

from keras_dl import command_line, provenance
from keras_dl.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
SMOKE = "--dataset digits --image-size 8 --epochs 3 --trials 0"  # whatever the row's own flags are


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("row", choices=list(tables_images.LONG))
    parser.add_argument("--json", type=Path, help="write the result there")
    parser.add_argument("--hours", type=float, default=1.0, help="length of a sitting")
    parser.add_argument("--folder", type=Path, help="where the run is kept, instead of runs/long/ROW")
    parser.add_argument("--smoke", action="store_true", help="a small run with a sitting of seconds: does it run?")
    asked = parser.parse_args(argv)
    folder = asked.folder or ROOT / "runs" / "long" / asked.row
    app, *flags = shlex.split(tables_images.LONG[asked.row])
    if asked.smoke:
        flags += shlex.split(SMOKE)
    run = trained(app, flags, folder, 3600 * asked.hours)
    result = figures(run, folder)
    print(", ".join(f"{name} {value:.4g}" for name, value in result["metrics"].items()))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=2))
        for picture in sorted((run / "samples").glob("*.png")):
            shutil.copy(picture, asked.json.parent)


def trained(app, flags, folder, seconds):
    """The folder of the run, after as many sittings of `seconds` as it needs.

    Raises:
        UserError: the app ends with an error, or a sitting ends before a run has begun.
    """
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        run = next(folder.glob("runs/*/*/config.json"), None)
        if run is not None and (run.parent / "finished.json").exists():
            return run.parent
        words = [sys.executable, str(ROOT / app), *flags, "--out", str(folder), *(["--resume"] if run else [])]
        _note(folder)
        child = subprocess.Popen(words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        status = _sitting(child, seconds)
        begun = next(folder.glob("runs/*/*/config.json"), None)
        if status not in (0, 128 + signal.SIGTERM, -signal.SIGTERM) or begun is None:
            raise UserError(f"long_run: {' '.join(words[1:])} ended with {status}; {folder} keeps what was trained.")


def figures(run, folder):
    """{"metrics", "details"} of the finished run."""
    finished = json.loads((run / "finished.json").read_text())
    minutes = json.loads((run / "config.json").read_text())["training_seconds"] / 60
    sittings = json.loads((folder / "sittings.json").read_text())
    card = json.loads(next(folder.glob("saved_models/*/*/card.json")).read_text())
    details = {
        "epochs": finished["epochs"], "parameters": card["parameters"]["trainable"], "sittings": len(sittings),
        "commits": list(dict.fromkeys(sittings)),
    }  # fmt: skip
    return {"metrics": finished["metrics"] | {"training_minutes": minutes}, "details": details}


def _sitting(child, seconds):
    """The status with which the app ends by itself, or after SIGTERM when the sitting is over."""
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGTERM)  # it writes a checkpoint and ends
        return child.wait()
    except BaseException:  # this script was stopped: the app too, with a checkpoint
        child.send_signal(signal.SIGTERM)
        child.wait()
        raise


def _note(folder):
    """Add this sitting's commit to sittings.json."""
    file = folder / "sittings.json"
    before = json.loads(file.read_text()) if file.exists() else []
    file.write_text(json.dumps([*before, provenance.git_commit()]))


if __name__ == "__main__":
    command_line.run(main)
