"""Where a run lives and what it runs on: folder, seed, device, strategy, precision.

`start` is the first verb of every app. It checks what was asked for against what this machine has before anything is
written, takes a folder runs/<app>/<model>-<dataset>-<n>, or finds the one to resume, and puts the settings into
config.json. This module imports TensorFlow only inside functions.
"""

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from keras_dl import lock as locks

# What may differ between a run and its resumption: none of it moves a bit of the result.
FREE_ON_RESUME = {"resume", "out", "smoke", "epochs", "save_minutes", "formats", "histograms"}
PACKAGES = ("tensorflow", "keras", "keras-tuner", "tensorflow-datasets", "tensorboard", "numpy")


class UserError(ValueError):
    """A mistake of the user's: said in one line, exit status 2, no traceback."""


@dataclasses.dataclass
class Run:
    """One training run: its folder, its seed and what it runs on.

    Attributes:
        path: the run's folder; root: the parent of runs/ and saved_models/.
        name: "<model>-<dataset>"; app: name of the app's file.
        settings: the command line as a dict; command: as a line to paste.
        strategy: the tf.distribute strategy, None for TensorFlow's default.
        resumed: whether it goes on with an earlier start.
    """

    path: Path
    root: Path
    name: str
    app: str
    seed: int = 0
    settings: dict = dataclasses.field(default_factory=dict)
    strategy: object = None
    resumed: bool = False
    command: str = ""
    throwaway: bool = False  # its folder goes with the process (a smoke test's)
    logs: Path | None = None  # TensorBoard's folder where it is not path/tensorboard (a trial's)
    lock: locks.Lock | None = None  # on `path`, until the run is finished or gone

    @property
    def tensorboard(self):
        return _folder(self.logs or self.path / "tensorboard")

    @property
    def checkpoints(self):
        return _folder(self.path / "checkpoints")

    @property
    def tuner(self):
        return _folder(self.path / "tuner")

    @property
    def samples(self):
        return _folder(self.path / "samples")

    @property
    def saved_models(self):
        return _folder(self.root / "saved_models")

    def trial(self, number):
        """The run of one trial of the search: a folder below this one, and a seed of its own."""
        return dataclasses.replace(
            self,
            path=self.tuner / "trials" / f"{number:03d}",
            logs=self.tensorboard / "trials" / f"{number:03d}",
            seed=self.seed + 1000 * (number + 1),
            resumed=False,
        )

    def scope(self):
        """The context in which variables are made."""
        return self.strategy.scope() if self.strategy is not None else contextlib.nullcontext()

    def note(self, name, value):
        """Add to config.json what was settled while running."""
        config = self.path / "config.json"
        known = read_json(config) if config.exists() else {}
        write_atomic(config, json.dumps(known | {name: value}, indent=2))

    def reseed(self):
        """Put every global generator back to the run's seed: what is built next does not depend on what ran before."""
        import keras

        keras.utils.set_random_seed(self.seed)

    def say(self, text):
        print(text, flush=True)

    @property
    def finished(self):
        """What finish() wrote, or None."""
        file = self.path / "finished.json"
        return read_json(file) if file.exists() else None

    def finish(self, metrics):
        """Mark the run as done: --resume takes the newest that is not."""
        write_atomic(self.path / "finished.json", json.dumps({"metrics": metrics}, indent=2))
        if self.lock is not None:
            self.lock.release()


def start(settings, *, app, name):
    """Check the settings, take or find the run's folder, and make the machine ready.

    Args:
        settings: an instance of a settings.Common dataclass.
        app: name of the app; its runs stand in runs/<app>/.
        name: "<model>-<dataset>".

    Returns:
        A Run. A finished run that is resumed comes back with `finished` true: the app says so and returns.

    Raises:
        UserError: a device that is not there, an --out or a run that cannot be written, a run to resume that is not
            there, one on which another process is at work, or one that was made with other settings.
    """
    with quiet_tensorflow():
        import keras
    strategy = _strategy(settings.device, settings.strategy)
    asked = dataclasses.asdict(settings)
    root = Path(tempfile.mkdtemp(prefix="keras_dl-")) if _throwaway(settings) else Path(settings.out)
    if settings.resume:
        path = run_to_resume(root, app, settings.resume)
        _same_settings(path, asked)
    else:
        path = _new_folder(root, app, name)
    lock = _lock(path, bool(settings.resume))
    keras.mixed_precision.set_dtype_policy(settings.precision)
    if settings.deterministic:
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(settings.seed)
    run = Run(
        path=path, root=root, name=name, app=app, seed=settings.seed, settings=json.loads(json.dumps(asked)),
        strategy=strategy, resumed=bool(settings.resume), command=command_line(),
        throwaway=_throwaway(settings), lock=lock,
    )  # fmt: skip
    if not settings.resume:
        try:
            write_atomic(
                path / "config.json",
                json.dumps({"settings": run.settings, "command": run.command, "versions": versions()}, indent=2),
            )
        except OSError as error:
            shutil.rmtree(path, ignore_errors=True)
            raise UserError(f"--out: {settings.out} cannot be written: {error.strerror}") from error
    if _throwaway(settings):
        import atexit

        atexit.register(shutil.rmtree, root, ignore_errors=True)
    return run


class Signals:
    """While it lasts, SIGINT and SIGTERM only ask: what is at work is finished and saved, then `leave` leaves.

    Args:
        run: the Run that is at work; saved: whether it can be resumed where it stands.
    """

    def __init__(self, run, saved):
        self.run, self.saved, self.came, self.before = run, saved, None, {}

    def __enter__(self):
        with contextlib.suppress(ValueError):  # only the main thread may
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def leave(self):
        if self.came:
            out = "" if str(self.run.root) == "." else f" --out {shlex.quote(str(self.run.root))}"
            said = f"saved; --resume {self.run.path.name}{out} goes on from here" if self.saved else "stopped"
            self.run.say(f"\n{signal.Signals(self.came).name}: {said}")
            raise SystemExit(128 + self.came)

    def _note(self, number, _):
        self.came = number


@contextlib.contextmanager
def quiet_tensorflow():
    """Import TensorFlow, and list its devices, without the lines that it writes straight to file descriptor 2.

    No environment variable silences them all; an import that fails still says why.
    """
    if "tensorflow" in sys.modules:
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        import tensorflow as tf

        tf.config.list_physical_devices()
        tf.get_logger().setLevel("ERROR")
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def run_to_resume(root, app, which):
    """The folder that --resume means.

    Args:
        root: what --out says. app: name of the app. which: a run's name, or "newest" for the newest unfinished one.

    Raises:
        UserError: there is none; those that are there are listed.
    """
    runs = Path(root) / "runs" / app
    all_runs = [p for p in runs.glob("*") if (p / "config.json").exists()]
    if which != "newest":
        if runs / which in all_runs:
            return runs / which
        names = ", ".join(sorted(p.name for p in all_runs)) or "none"
        raise UserError(f"--resume: no run {which!r} in {runs}. Runs there: {names}.")
    open_runs = [p for p in all_runs if not (p / "finished.json").exists()]
    if not open_runs:
        raise UserError(f"--resume: no unfinished run in {runs}.")
    return max(open_runs, key=lambda p: (p / "config.json").stat().st_mtime_ns)


def write_atomic(path, data):
    """Write `data` (bytes or str) so that `path` is the old file or the whole new one, whatever kills us."""
    with atomic_file(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextlib.contextmanager
def atomic_file(path):
    """A binary file to write into, which becomes `path` when it is whole and on disk; on an error nothing is left."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.tmp")
    try:
        with open(aside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself is on disk
    finally:
        os.close(folder)


def read_json(path):
    return json.loads(Path(path).read_text())


def versions():
    """{package: version} of Python and of what the result depends on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def git_commit():
    """The commit of the code that runs, with "+changes" where the tree differs from it; None outside a checkout."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        dirty = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+changes" if dirty.strip() else "")


def command_line():
    return shlex.join([python(), *sys.argv])


def python():
    """The running interpreter as one would type it here: .venv/bin/python from the project's root."""
    return typed(Path(sys.executable))


def typed(path):
    """A path as one would type it from here, quoted where it must be."""
    path = Path(path)
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


def _folder(path):
    path.mkdir(parents=True, exist_ok=True)
    return path


def _throwaway(settings):
    return settings.smoke and settings.out == "." and not settings.resume


def _strategy(device, strategy):
    """Make the asked device the only one that is seen; None where TensorFlow's default strategy does."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    there = ["cpu", *(f"gpu:{i}" for i in range(len(gpus)))]
    match = re.fullmatch(r"auto|cpu|gpu(?::(\d+))?", device)
    if match is None or (device.startswith("gpu") and int(match[1] or 0) >= len(gpus)):
        raise UserError(f"--device: must be auto or a device of this machine ({', '.join(there)}); got {device!r}.")
    if device == "cpu":
        seen = []
    elif device.startswith("gpu"):
        seen = [gpus[int(match[1])]] if match[1] else gpus
    else:
        seen = gpus
    tf.config.set_visible_devices(seen, "GPU")
    for gpu in seen:
        tf.config.experimental.set_memory_growth(gpu, True)
    if strategy == "mirrored":  # several machines: a MultiWorkerMirroredStrategy would be made here
        logical = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in logical])
    return None


def _new_folder(root, app, name):
    runs = root / "runs" / app
    try:
        runs.mkdir(parents=True, exist_ok=True)
        number = 1 + max([int(p.name.rpartition("-")[2]) for p in runs.glob(f"{name}-*") if _numbered(p)], default=0)
        while True:
            path = runs / f"{name}-{number}"
            try:
                path.mkdir()
                return path
            except FileExistsError:  # another process took it
                number += 1
    except OSError as error:
        raise UserError(f"--out: {root} cannot be written: {error.strerror}") from error


def _lock(path, resumed):
    """The lock on a run's folder; a new folder that cannot be written is taken away again."""
    try:
        return locks.hold(path)
    except locks.HeldByAnotherProcess as other:
        raise UserError(
            f"--resume: {other} is at work on {path.name}; wait until it has ended, or stop it. Nothing was written."
        ) from other
    except OSError as error:
        if not resumed:
            shutil.rmtree(path, ignore_errors=True)
        flag = "--resume" if resumed else "--out"
        raise UserError(f"{flag}: {path} cannot be written: {error.strerror}. Nothing was written.") from error


def _numbered(path):
    return path.name.rpartition("-")[2].isdigit()


def settings_of(path):
    """The settings with which the run in `path` was made; UserError where its config.json is damaged."""
    try:
        return dict(read_json(path / "config.json")["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"--resume: {path / 'config.json'} is damaged and cannot be read ({error!r}).") from error


def _same_settings(path, asked):
    made = settings_of(path)
    asked = json.loads(json.dumps(asked))
    free = set(FREE_ON_RESUME)
    if made.get("schedule", "constant") not in ("constant", "decay"):
        free.discard("epochs")  # the schedule was drawn for that many
    other = [k for k in asked if k not in free and k in made and asked[k] != made[k]]
    if other:
        said = "; ".join(f"{k}={made[k]!r}, now {asked[k]!r}" for k in other)
        raise UserError(f"--resume: {path.name} was made with {said}; it needs the same. Nothing was written.")
