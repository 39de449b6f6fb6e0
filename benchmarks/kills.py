"""Kill runs with SIGKILL at random moments, resume them, and compare every bit with a run that was not killed.

    python benchmarks/kills.py --kills 20 --seed 0
    python benchmarks/kills.py --app gan_images --kills 10 --seed 0

The job of classify_images has everything that has a state: a search, dropout, augmentation, batch normalisation,
ReduceLROnPlateau, EarlyStopping, checkpoints inside epochs, an export. That of gan_images has two optimizers, batch
normalisation in both networks, and frames of samples; that of model_images a search, classes, and bits that are drawn
anew in each epoch. The time of a kill is drawn uniformly over the time of the unbroken run, with the start of Python
and the export; at least every fifth kill happens while a checkpoint is being written, at a byte that is drawn uniformly
over the file. These are compared by SHA-256: every variable of the last checkpoint (weights, optimizers, seed
generators, metrics), the callbacks' state, the history, the search's journal, the exported weights, the test metrics,
TensorBoard's scalars, and the files of samples.
"""

import argparse
import concurrent.futures
import hashlib
import io
import json
import os
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

from keras_dl import imports

ROOT = Path(__file__).resolve().parent.parent
JOBS = {  # app: its flags
    "classify_images": (
        "--set dropout=0.25 --set batch_norm=True --augment shift --trials 2 --trial-epochs 1 --epochs 6 "
        "--batch-size 32 --optimizer momentum --learning-rate 0.05 --reduce-on-plateau 1 --patience 4 "
        "--save-minutes 0.005"
    ),
    "gan_images": "--model dcgan --trials 0 --epochs 6 --batch-size 64 --save-minutes 0.005",
    "model_images": (
        "--model gated_pixelcnn --condition label --binarization resampled --image-size 12 --set num_layers=2 "
        "--set filters=8 --trials 2 --trial-epochs 1 --epochs 6 --batch-size 64 --schedule constant "
        "--reduce-on-plateau 1 --save-minutes 0.005"
    ),
}
CHECKPOINTS = 6  # at least so many are written by a job: one an epoch
TIMED = {"examples_per_second", "seconds", "created", "command", "run"}  # what a clock or a folder's name decides
PATIENCE = 1800  # seconds after which a run counts as hung


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--app", choices=JOBS, default="classify_images")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, one thread each when above 1")
    parser.add_argument("--json", type=Path, help="write the result there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="keras_dl-kills-") as folder:
        result = Killing(args.app, Path(folder), args.jobs).measure(args.kills, args.seed)
    print(f"{result['equal']} of {result['kills']} runs, killed and resumed, are bit-equal to the unbroken one")
    if args.json:
        args.json.write_text(json.dumps(result, indent=2))
    raise SystemExit(result["equal"] != result["kills"])


class Killing:
    """Runs of an app's job in `folder`, of which some are killed."""

    def __init__(self, app, folder, jobs=1):
        self.app, self.folder, self.jobs = app, folder, jobs
        self.file, self.flags = ROOT / "apps" / f"{app}.py", shlex.split(JOBS[app])
        self.env = dict(os.environ)
        if jobs > 1:
            self.env |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}

    def measure(self, kills, seed):
        """{"equal", "kills", "inside_checkpoint", "seed", "moments", ...} of `kills` killed and resumed runs."""
        self._run(self.folder / "warm")  # prepares the data set and warms the disk's cache
        began = time.monotonic()
        self._run(self.folder / "whole")
        length = time.monotonic() - began
        whole = digest(self.folder / "whole", self.app)
        print(
            f"unbroken: {length:.1f} s, {len(whole)} hashes, {hashlib.sha256(json.dumps(whole).encode()).hexdigest()}"
        )
        rng = np.random.default_rng(seed)
        moments = []
        for number in range(kills):
            if number % 5 == 0:
                moments.append({"checkpoint": int(rng.integers(CHECKPOINTS)), "share": float(rng.uniform())})
            else:
                moments.append({"seconds": float(rng.uniform(0, length))})

        def one(number):
            out, moment = self.folder / f"kill-{number}", moments[number]
            self._killed(out, moment)
            state = _state(out, self.app)
            self._resumed(out)
            parts = digest(out, self.app)
            different = sorted(name for name in set(whole) | set(parts) if whole.get(name) != parts.get(name))
            print(f"kill {number + 1}/{kills} {moment} during {state}: {different or 'equal'}", flush=True)
            return {**moment, "during": state, "different": different}

        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            outcomes = list(pool.map(one, range(kills)))
        return {
            "kills": kills, "equal": sum(not o["different"] for o in outcomes), "seed": seed,
            "seconds_unbroken": length, "inside_checkpoint": sum("checkpoint" in m for m in moments),
            "moments": outcomes,
        }  # fmt: skip

    def _run(self, out, *more):
        done = subprocess.run(
            [sys.executable, self.file, *self.flags, "--out", out, *more],
            env=self.env, capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        if done.returncode:
            said = f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
            raise RuntimeError(f"the job ended with {done.returncode}:\n{said}")

    def _killed(self, out, moment):
        if "checkpoint" in moment:
            inside = ["--inside", str(self.file), str(moment["checkpoint"]), str(moment["share"])]
            code, seconds = [sys.executable, __file__, *inside], PATIENCE
        else:
            code, seconds = [sys.executable, self.file], moment["seconds"]
        child = subprocess.Popen(
            [*code, *self.flags, "--out", out], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)  # the process that checks an export as well
            child.wait()

    def _resumed(self, out):
        """Go on as a user would: with --resume, or with the command again if the kill came before there was a run."""
        runs = out / "runs" / self.app
        begun = [p for p in runs.glob("*") if (p / "config.json").exists()]
        if not begun:
            for begun_and_killed in runs.glob("*"):  # an empty folder, or one with its lock's file alone
                shutil.rmtree(begun_and_killed)
            self._run(out)
        elif not (begun[0] / "finished.json").exists():
            self._run(out, "--resume")


def digest(out, app):
    """{what: SHA-256} of everything that a run under `out` leaves, except times and names."""
    (run,) = (out / "runs" / app).iterdir()
    (export,) = (p for p in (out / "saved_models").glob("*/*") if p.name.isdigit())  # exactly one version
    digests = {"history": _sha((run / "history.csv").read_bytes())}
    with np.load(sorted((run / "checkpoints").glob("*.npz"))[-1]) as last:
        digests |= {f"checkpoint {name}": _sha(last[name].tobytes()) for name in last.files}
    for file in (run / "tuner" / "trials.json", run / "tuner" / "best.json", run / "finished.json"):
        if file.exists():  # without trials there is no search
            digests[file.name] = _sha(json.dumps(_timeless(json.loads(file.read_text()))).encode())
    digests["metrics"] = _sha(json.dumps(json.loads((export / "card.json").read_text())["metrics"]).encode())
    for file in sorted(f for f in (run / "samples").rglob("*") if f.suffix in (".png", ".gif")):
        digests[str(file.relative_to(run))] = _sha(file.read_bytes())
    with zipfile.ZipFile(export / "model.keras") as model:
        digests |= _weights(model.read("model.weights.h5"))
    return digests | _scalars(run)


def _state(out, app):
    """What the killed run had reached."""
    for run in (out / "runs" / app).glob("*"):
        if (run / "finished.json").exists():
            return "the end"
        if list((out / "saved_models").glob("*/*")) or list((out / "saved_models").glob("*/.*")):
            return "the export"
        if saved := sorted((run / "checkpoints").glob("*.npz")):
            aside = ", a checkpoint half written" if list((run / "checkpoints").glob("*.tmp")) else ""
            return f"the fit after {saved[-1].stem}{aside}"
        if (run / "tuner" / "best.json").exists():
            return "the fit's start"
        return "the search" if (run / "config.json").exists() else "the start"
    return "the start"


def _inside(app_file, write, share, argv):
    """Run the app, and die inside checkpoint number `write` after `share` of its bytes."""
    from keras_dl import checkpoint

    save, written = checkpoint.write_archive, []

    def dying_save(file, arrays, state):
        if len(written) == write:
            whole = io.BytesIO()
            save(whole, arrays, state)
            file.write(whole.getvalue()[: int(share * len(whole.getvalue()))])
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        written.append(save(file, arrays, state))

    checkpoint.write_archive = dying_save
    sys.argv = [app_file, *argv]
    runpy.run_path(app_file, run_name="__main__")


def _weights(data):
    import h5py

    digests = {}
    with h5py.File(io.BytesIO(data)) as file:
        file.visititems(
            lambda name, item: (
                digests.update({f"export {name}": _sha(item[()].tobytes())}) if hasattr(item, "shape") else None
            )
        )
    return digests


def _scalars(folder):
    """Every scalar of train and validation, by tag and step."""
    with imports.quiet_tensorflow():
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.util.tensor_util import make_ndarray

    digests = {}
    for part in ("train", "validation"):
        events = EventAccumulator(str(folder / part), size_guidance={"tensors": 0}).Reload()
        for tag in events.Tags()["tensors"]:
            scalar = events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars"
            if scalar and not TIMED & set(tag.split("/")):
                values = [(e.step, make_ndarray(e.tensor_proto).tolist()) for e in events.Tensors(tag)]
                digests[f"tensorboard {part} {tag}"] = _sha(repr(values).encode())
    return digests


def _timeless(value):
    if isinstance(value, dict):
        return {name: _timeless(item) for name, item in value.items() if name not in TIMED}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def _sha(data):
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        _inside(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5:])
    else:
        main()
