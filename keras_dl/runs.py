"""A run: its folder, its records there, and how it is resumed.

`start` creates a folder runs/<app>/<model>-<dataset>-<n>, or finds the one to resume, and writes the settings to
config.json. This module imports TensorFlow only inside functions.
"""

import contextlib
import dataclasses
import datetime
import json
import os
import shutil
import weakref
from pathlib import Path

from keras_dl import arguments, commands, console, json_files, paths, provenance, records
from keras_dl import lock as locks
from keras_dl.atomic import write_atomic
from keras_dl.errors import UserError

# Settings that are now in the group `optimizer`, and in older runs at the top level.
OPTIMIZER_BEFORE = {
    "learning_rate", "schedule", "decay_after", "decay_factor", "warmup", "beta_2", "epsilon", "weight_decay",
    "clipnorm",
}  # fmt: skip
# Settings that may differ on a resume: they do not change the results of the steps.
FREE_ON_RESUME = {"resume", "out", "smoke", "epochs", "save_minutes", "formats", "histograms"}
TRAININGS = "trainings"  # folder of the several trainings of an experiment
TRIALS = "variants"  # folder of the trials, which TensorBoard lists by name: below train and validation


@dataclasses.dataclass
class Run:
    """One training run: its folder, its seed and its strategy.

    Attributes:
        path: the run's folder.
        root: the parent folder of runs/ and saved_models/.
        name: "<model>-<dataset>".
        app: name of the app.
        settings: the command line as a dict.
        command: the command line as a line to paste.
        strategy: the tf.distribute strategy, None for TensorFlow's default.
        resumed: whether the run was started before and is continued now.
        origin: the initializing.Start with which its models begin; None: with what their builder draws.
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
    throwaway: bool = False  # its folder is deleted when the process ends (a smoke test's)
    logs: Path | None = None  # folder of TensorBoard's events if it is not that of the run (a trial's)
    lock: locks.Lock | None = None  # on `path`, until the run is finished or the process ends
    origin: object = None
    outer: str = ""  # name of the run that this is a training of (Run.training)
    models: weakref.WeakSet | None = None  # the models that `build` made; None: training.fit accepts any model

    @property
    def tensorboard(self):
        """The folder whose sub-folders have events for TensorBoard: the run's own, so that their names are short."""
        earlier = self.path / "tensorboard"  # of a run that was made when they had a folder of their own
        return _folder(self.logs or (earlier if earlier.is_dir() else self.path))

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
        """The Run of trial `number` of the search, with its own seed and a folder inside this run's."""
        return dataclasses.replace(
            self,
            path=self.tuner / "trials" / f"{number:03d}",
            logs=self.tensorboard / TRIALS / f"{number:03d}",
            seed=self.seed + 1000 * (number + 1),
            resumed=False,
        )

    def training(self, name):
        """The Run of one of several trainings of an experiment: a folder and events of its own inside this run's.

        It has the run's seed, builds models that training.fit accepts, and is resumed with the run: training.fit goes
        on from its newest checkpoint, and trains nothing if it was complete.

        Args:
            name: of the training, a folder's name.
        """
        path = _folder(self.path / TRAININGS / name)
        return dataclasses.replace(self, path=path, logs=self.tensorboard / name, outer=self.path.name)

    @property
    def to_resume(self):
        """The name that --resume wants: that of the run, also for a training inside it."""
        return self.outer or self.path.name

    def build(self, compiled, *arguments):
        """Return compiled(*arguments), called under the run's strategy and with its seed, whatever was built before.

        If the run has an origin, the model begins with its weights.
        For a run that `start` returned, training.fit accepts only models made here: the initial weights of others would
        not depend on the run's seed.
        """
        self.reseed()
        with self.scope():
            model = compiled(*arguments)
            if self.origin is not None:
                self.origin.into(model)
        if self.models is not None:
            self.models.add(model)
        return model

    def scope(self):
        """The context in which variables are created."""
        return self.strategy.scope() if self.strategy is not None else contextlib.nullcontext()

    def note(self, name, value):
        """Set the field `name` of config.json to `value`."""
        config = self.path / "config.json"
        known = json_files.read(config, records.Config) if config.exists() else {}
        write_atomic(config, json.dumps(known | {name: value}, indent=2))

    def reseed(self):
        """Set all global random generators to the run's seed: what follows does not depend on what ran before."""
        import keras

        keras.utils.set_random_seed(self.seed)

    def say(self, text):
        """Print a sentence, or a text of several lines (console.say)."""
        console.say(text)

    @property
    def chosen(self):
        """What own_data.fitted chose, as in config.json: {"sentence", "values"}; {} if it chose nothing."""
        return chosen(self.path)

    @property
    def finished(self):
        """The contents of finished.json (records.Finished), which `finish` wrote; None if the run is not finished."""
        file = self.path / "finished.json"
        return json_files.read(file, records.Finished) if os.path.lexists(file) else None

    def finish(self, metrics):
        """Write finished.json with the test metrics {name: float}, and release the lock."""
        self.note("ended", _now())
        done = {"metrics": metrics} | {name: self.settings[name] for name in ("epochs",) if name in self.settings}
        write_atomic(self.path / "finished.json", json.dumps(done, indent=2))
        if self.lock is not None:
            self.lock.release()


def finished(settings, app):
    """The test metrics of the run to resume, if it is finished and nothing more is asked of it; they are printed.

    Neither TensorFlow nor the data are loaded.

    Args:
        settings: the settings.Experiment of the command line.
        app: name of the app.

    Returns:
        {name: float}, the metrics of the test split; None if there is something to do, or without --resume.

    Raises:
        UserError: there is no such run, or it was made with other settings.
    """
    from keras_dl import resuming

    if not settings.resume:
        return None
    path = run_to_resume(settings.out, app, settings.resume)
    if not os.path.lexists(path / "finished.json"):
        return None
    asked = json.loads(json.dumps(dataclasses.asdict(settings)))
    _same_settings(path, asked)
    resuming.check(path, asked, None)
    if resuming.asks_for_more(path, asked):
        return None
    metrics = json_files.read(path / "finished.json", records.Finished)["metrics"]
    console.say(f"{path.name} is finished: {metrics}")
    return metrics


def start(machine, *, app, name, data=None, notes=(), origin=None):
    """Create the folder of a run, or with --resume find it, and print its path.

    Args:
        machine: the machine.Machine that machine.prepare returned, with the settings.
        app: name of the app; its runs are in runs/<app>/.
        name: "<model>-<dataset>".
        data: data.fingerprint of the splits; a run is resumed only with the same data. None: the data are not checked.
        notes: sentences about the data, to be printed.
        origin: the result of initializing.start_from: the weights with which the run's models begin, or None.

    Returns:
        A Run. (Call `finished` first, to see whether a run to resume has anything left to do.)

    Raises:
        UserError: --out or the run's folder cannot be written; or the run to resume does not exist, is in use by
            another process, or was made with other settings or data.
    """
    from keras_dl import resuming

    console.steady()
    settings, notes_on_resuming = machine.settings, ()
    asked = json.loads(json.dumps(dataclasses.asdict(settings)))
    root = paths.temporary("keras_dl-") if _throwaway(settings) else paths.out(settings.out)
    if settings.resume:
        path = run_to_resume(root, app, settings.resume)
        _same_settings(path, asked)
        notes_on_resuming = resuming.check(path, asked, data)
        asked = resuming.as_trained(path, asked)
    else:
        path = new_folder(root, app, name)
    lock = hold(path, bool(settings.resume))
    run = Run(
        path=path, root=root, name=name, app=app, seed=settings.seed, settings=asked,
        strategy=machine.strategy, resumed=bool(settings.resume), command=commands.command_line(),
        throwaway=_throwaway(settings), lock=lock, models=weakref.WeakSet(),
        origin=origin,
    )  # fmt: skip
    if settings.resume:
        resuming.go_on(path, asked)
        before = json_files.read(path / "config.json", records.Config).get("started")
        if before:  # runs of earlier versions do not say when they were started
            run.note("started", [*before, _now()])
    else:
        config = {"settings": asked, "command": run.command, "started": [_now()], **provenance.of_process()}
        config |= {} if data is None else {"data": data}
        config |= {} if origin is None else {"origin": origin.note}
        notes = (*notes, *([] if origin is None else [origin.sentence]))
        if machine.chosen is not None:
            config |= {"chosen": machine.chosen}
            notes = (*notes, machine.chosen["sentence"])
        try:
            if origin is not None:
                origin.keep(path)
            write_atomic(path / "config.json", json.dumps(config, indent=2))
        except OSError as error:
            shutil.rmtree(path, ignore_errors=True)
            raise UserError(f"--out: {settings.out} cannot be written: {error.strerror}") from error
    if _throwaway(settings):
        import atexit

        atexit.register(shutil.rmtree, root, ignore_errors=True)
    for sentence in (*notes_on_resuming, f"run: {run.path}", *notes):
        run.say(sentence)
    return run


def run_to_resume(root, app, which):
    """The folder of the run to resume.

    Args:
        root: value of --out.
        app: name of the app.
        which: value of --resume: a run's name, or "newest" for the newest unfinished one.

    Raises:
        UserError: there is no such run; the message lists the runs that exist.
    """
    runs = paths.out(root) / "runs" / app
    all_runs = [p for p in runs.glob("*") if (p / "config.json").exists()]
    if which != "newest":
        if runs / which in all_runs:
            return runs / which
        names = ", ".join(sorted(p.name for p in all_runs)) or "none"
        raise UserError(f"--resume: no run {arguments.shown(which)} in {runs}. Runs there: {names}.")
    open_runs = [p for p in all_runs if not (p / "finished.json").exists()]
    if not open_runs:
        raise UserError(f"--resume: no unfinished run in {runs}.")
    return max(open_runs, key=lambda p: (p / "config.json").stat().st_mtime_ns)


def _now():
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _folder(path):
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f"{path} must be a folder of the run; something else has its name. Move it away.") from error
    return path


def _throwaway(settings):
    return settings.smoke and settings.out == "." and not settings.resume


def new_folder(root, app, name):
    """Create runs/<app>/<name>-<n> below `root`, n one more than the largest so far; UserError if that fails."""
    name, runs = paths.shortened(name), root / "runs" / app
    try:
        runs.mkdir(parents=True, exist_ok=True)
        beside = [entry.name.rpartition("-") for entry in os.scandir(runs)]
        numbers = [paths.number_of(number) for before, _, number in beside if before == name]
        number = 1 + max([number for number in numbers if number is not None], default=0)
        while True:
            path = runs / f"{name}-{number}"
            try:
                path.mkdir()
                return path
            except FileExistsError:  # another process took it
                number += 1
    except OSError as error:
        raise UserError(f"--out: {root} cannot be written: {error.strerror}") from error


def hold(path, resumed):
    """Lock a run's folder; UserError if another process has the lock, or if the folder cannot be written."""
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


def settings_of(path):
    """The settings with which the run in `path` was made.

    Raises:
        UserError: a file of the run is damaged; the message names file and field.
    """
    config = records.run(path)
    if "settings" not in config:
        raise UserError(f"{path / 'config.json'} is damaged: it has no settings.")
    return _grouped(config["settings"])


def flat_settings(settings):
    """The settings in a config.json as {name: value}, in today's form and without groups.

    >>> flat_settings({"seed": 0, "optimizer": {"name": "adam", "learning_rate": 0.1}})
    {'seed': 0, 'optimizer': 'adam', 'learning_rate': 0.1}
    """
    return {flat_name(name): value for name, value in named_settings(settings).items()}


def named_settings(settings):
    """The settings in a config.json as {setting: value}, in today's form, those of a group as "optimizer.name"."""
    named = {}
    for name, value in _grouped(settings).items():
        inner = {f"{name}.{key}": each for key, each in value.items()} if isinstance(value, dict) else {name: value}
        named |= inner
    return named


def flat_name(setting):
    """The name of a setting without its group, where that is clear.

    >>> flat_name("seed"), flat_name("optimizer.name"), flat_name("optimizer.warmup"), flat_name("critic.warmup")
    ('seed', 'optimizer', 'warmup', 'critic.warmup')
    """
    group, _, name = setting.rpartition(".")
    if name == "name" and group:
        return group
    return name if group == "optimizer" else setting


def chosen(path):
    """What own_data.fitted chose for the run in `path`: {"sentence", "values"}; {} if it chose nothing."""
    config = path / "config.json"
    return json_files.read(config, records.Config).get("chosen", {}) if config.exists() else {}


def _grouped(settings):
    """Settings in today's form, with the optimizer's in a group; in older runs they are at the top level."""
    if not isinstance(settings.get("optimizer"), str):
        return settings
    group = {"name": settings["optimizer"]}
    group |= {name: settings[name] for name in OPTIMIZER_BEFORE if name in settings}
    return {name: value for name, value in settings.items() if name not in group} | {"optimizer": group}


def _same_settings(path, asked):
    from keras_dl import resuming

    before, asked = flat_settings(settings_of(path)), flat_settings(asked)
    free, schedule = set(FREE_ON_RESUME), before.get("schedule", "constant")
    if schedule not in ("constant", "decay", "noam"):
        free.discard("epochs")  # the schedule depends on the number of epochs
    if resuming.more_patient(before.get("patience"), asked.get("patience")):
        free.add("patience")
    other = [k for k in asked if k not in free and k in before and asked[k] != before[k]]
    if other:
        said = "; ".join(f"{k}={before[k]!r}, now {asked[k]!r}" for k in other)
        if "epochs" in other:
            said += f" (--schedule {schedule} ends with the last of its epochs)"
        sentences = [f"--resume: {path.name} was made with {said}; it needs the same. Nothing was written."]
        if "epochs" in other:
            sentences.append(f"To train its weights further, start a new run with --init {path.name}.")
        raise UserError(" ".join(sentences))
