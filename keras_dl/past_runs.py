"""Runs as their folders describe them: found and read without TensorFlow, and without writing anything.

    runs, others = below(root)        all runs in root/runs, and a line for each folder there that is none
    runs = find(["convnet-digits-1", "runs/classify_images/mlp-digits-2"], root)

`run_lists` prints them, `run_comparison` compares them.
"""

import dataclasses
import json
import math
import os
import time
from pathlib import Path
from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

from keras_dl import arguments, histories, json_files, lock, paths, records, runs, settings, wording
from keras_dl.errors import UserError, printable

FINISHED, RUNNING, UNFINISHED = "finished", "running", "unfinished"
MONITOR = {"name": "val_loss", "mode": "min"}  # of runs that do not say by what their epochs are compared
VALIDATION = "val_"  # prefix of validation's numbers in history.csv
NOT_COMPARED = {"out", "resume", "save_minutes"}  # settings that do not change what a run computes
NAMED = 5  # runs that a message lists
LONGEST_VALUE = 40  # characters of a setting's value


class Report(TypedDict):
    """What is read here of a run's report.json."""

    intervals: NotRequired[dict[str, Annotated[list[float], Meta(min_length=2, max_length=2)]]]


@dataclasses.dataclass(frozen=True)
class PastRun:
    """A run, as the files in its folder describe it.

    Attributes:
        path: the run's folder.
        app: name of the app, the folder above.
        state: "finished", "running" (a process has locked its folder) or "unfinished".
        config: the contents of config.json (records.Config), which has settings.
        history: {name: [float, one per epoch]}, the contents of history.csv.
        metrics: {name: float} on the test split; {} if the run is not finished.
        trials: number of trials of its search so far; None if it has no search.
        searched: {hyperparameter: value} that its search chose; {} if it has none, or goes on.
        written: when config.json was last written, in seconds since 1970.
    """

    path: Path
    app: str
    state: str
    config: dict
    history: dict
    metrics: dict
    trials: int | None
    searched: dict
    written: float

    @property
    def name(self):
        return self.path.name

    @property
    def started(self):
        """When the run was started, in seconds since 1970; if it does not say it, when config.json was written."""
        starts = self.config.get("started")
        return records.moment(starts[0]).timestamp() if starts else self.written

    @property
    def seconds(self):
        """Seconds from its start to its end, with the pauses before a resume; None if not finished or unknown."""
        if self.state != FINISHED or not {"started", "ended"} <= self.config.keys():
            return None
        return records.moment(self.config["ended"]).timestamp() - self.started

    @property
    def resumed(self):
        """How many times the run was resumed."""
        return max(0, len(self.config.get("started", ())) - 1)

    @property
    def settings(self):
        """{name: value} of what was asked for, or chosen instead, without groups; --set depth=20 is {"depth": "20"}.

        Those that change nothing beside the others are left out, such as the method of a search that there is not.
        """
        values = runs.named_settings(self.config["settings"]) | self.config.get("chosen", {}).get("values", {})
        idle = [name for name, _ in settings.without_effect(values)]
        flat = {runs.flat_name(name): value for name, value in values.items() if name not in idle}
        flat |= {name: value for name, value in self.searched.items() if name in flat}
        flat.pop("set", None)
        return flat | self.assignments

    @property
    def assignments(self):
        """{argument: value} of --set, values as text."""
        pairs = self.config["settings"].get("set")
        split = [str(pair).partition("=") for pair in pairs] if isinstance(pairs, list) else []
        return {name: value for name, _, value in split}

    @property
    def epochs(self):
        """Number of epochs that are trained."""
        return len(next(iter(self.history.values()), ()))

    @property
    def epochs_asked(self):
        """Number of epochs that were asked for; None if that is unknown."""
        epochs = self.settings.get("epochs")
        return epochs if isinstance(epochs, int) and not isinstance(epochs, bool) else None

    @property
    def best_epoch(self):
        """The epoch, from 1, whose monitored number is best; the last if none is monitored; None without epochs."""
        monitor = self.config.get("monitor", MONITOR)
        values = self.history.get(monitor["name"])
        return histories.best(values, monitor["mode"]) if values else self.epochs or None

    @property
    def validation(self):
        """{name, without val_: value} of validation in the best epoch so far."""
        best = self.best_epoch
        if best is None:
            return {}
        names = [name for name in self.history if name.startswith(VALIDATION)]
        return {name.removeprefix(VALIDATION): self.history[name][best - 1] for name in names}

    def intervals(self):
        """{metric: [low, high]} of the test metrics in report.json; {} without one.

        Raises:
            UserError: the report is damaged.
        """
        report = self.path / "report.json"
        return json_files.read(report, Report).get("intervals", {}) if os.path.lexists(report) else {}


def read(folder):
    """The PastRun in `folder`.

    Raises:
        UserError: it is no run, or one of its files is damaged; the message names the file and the field.
    """
    folder = Path(folder)
    file = folder / "config.json"
    if not os.path.lexists(file):
        if lock.held(folder):
            raise UserError(f"{folder} is no run yet: a process is about to start it.")
        raise UserError(f"{folder} is no run: it has no config.json.")
    config = json_files.read(file, records.Config)
    if "settings" not in config:
        raise UserError(f"{file} is damaged: it has no settings.")
    finished, journal = folder / "finished.json", folder / "tuner" / "trials.json"
    best = folder / "tuner" / "best.json"
    done = json_files.read(finished, records.Finished) if os.path.lexists(finished) else None
    return PastRun(
        path=folder,
        app=folder.absolute().parent.name,
        state=UNFINISHED if done is None and not lock.held(folder) else RUNNING if done is None else FINISHED,
        config=config,
        history=histories.read(folder),
        metrics={} if done is None else done["metrics"],
        trials=len(records.trials(journal)) if os.path.lexists(journal) else None,
        searched=records.drawn(records.best(best)["values"]) if os.path.lexists(best) else {},
        written=file.stat().st_mtime,
    )


def apps(root):
    """The names of the apps that have a folder in root/runs, sorted."""
    return [folder.name for folder in _folders(root / "runs")]


def below(root, app=None):
    """The runs in root/runs, or only those of one app, sorted by their paths.

    Returns:
        ([PastRun], [a line for each folder that is no run or is damaged]).
    """
    folders = [root / "runs" / name for name in apps(root) if app in (None, name)]
    past, others = [], [f"{path} cannot be read." for path in folders if not os.access(path, os.R_OK | os.X_OK)]
    for folder in [run for path in folders for run in _folders(path)]:
        try:
            past.append(read(folder))
        except UserError as error:
            others.append(str(error))
    return past, others


def find(words, root, who="compare"):
    """The runs that a user names, [PastRun] in the order of `words`.

    Args:
        words: each a run's folder, or the name of a run in root/runs, "<name>" or "<app>/<name>".
        root: Path of the folder that contains runs/.
        who: the command or the flag that names them, for messages.

    Raises:
        UserError: a word names no run or several, two words name the same, or a file of a run is damaged.
    """
    folders = {}
    for word in words:
        folder = _find(word, root, who)
        if before := folders.get(os.path.realpath(folder)):
            raise UserError(f"{who}: the runs must differ; got {before} twice.")
        folders[os.path.realpath(folder)] = folder
    return [read(folder) for folder in folders.values()]


def differing(past):
    """The settings in which runs differ: {name: [the value of each run, None where a run has no such setting]}.

    A setting that only some of the runs have, as runs of other apps do, differs if those that have it differ; an
    argument of --set differs from its absence, which is the builder's default.
    """
    each = [run.settings for run in past]
    names = dict.fromkeys(name for values in each for name in values if name not in NOT_COMPARED)
    differ = {}
    for name in names:
        distinct = {json.dumps(values[name], sort_keys=True) for values in each if name in values}
        set_by_some = any(name in run.assignments for run in past) and any(name not in values for values in each)
        if len(distinct) > 1 or set_by_some:
            differ[name] = [values.get(name) for values in each]
    return differ


def headline(metrics):
    """The name of the metric to show where there is room for one: the accuracy, else the first that is no loss.

    Args:
        metrics: {name: number}.

    Returns:
        A name; None if there are no metrics.
    """
    if "accuracy" in metrics:
        return "accuracy"
    return next((name for name in metrics if name != "loss"), next(iter(metrics), None))


def shown(value):
    """A setting's value as one short text."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = f"({', '.join(map(shown, value))})" if isinstance(value, list) else str(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."


def duration(seconds):
    """A time in one unit, rounded down: "40 s", "12 min", "30 h", "9 d"."""
    seconds = max(0, int(seconds))
    for unit, length, most in (("s", 1, 60), ("min", 60, 60), ("h", 3600, 48), ("d", 86_400, math.inf)):
        if seconds < length * most:
            return f"{seconds // length} {unit}"


def age(run):
    """How long ago a run was started, as text."""
    return duration(time.time() - run.started)


def _find(word, root, who):
    """The folder of the run that a user calls `word`."""
    places, given = [], paths.expanded(word)
    if given.name in ("", ".."):  # the folder that the user is in, or one above it
        given = given.resolve()
    if os.path.isfile(given / "config.json"):
        places.append(given)
    parts, of_runs = Path(word).parts, root / "runs"
    folders = _folders(of_runs)
    if len(parts) == 1:
        places += [folder / word for folder in folders]
    elif len(parts) == 2:
        places.append(of_runs / word)
    there = {os.path.realpath(place): place for place in reversed(places) if os.path.isfile(place / "config.json")}
    if len(there) == 1:
        return next(iter(there.values()))
    if there:
        names = " and ".join(sorted(map(str, there.values())))
        raise UserError(f"{who}: {arguments.shown(word)} must be one run; it is {names}. Name its folder.")
    if os.path.isdir(given):
        raise UserError(f"{who}: {given} is no run: it has no config.json.")
    names = [run.name for folder in folders for run in _folders(folder) if os.path.isfile(run / "config.json")]
    listed = ", ".join(map(printable, names[:NAMED])) or "none"
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    near = wording.nearest(word, names)
    raise UserError(f"{who}: no run {arguments.shown(word)} in {of_runs}.{near} Runs there: {listed}{more}.")


def _folders(folder):
    """The sorted Paths of a folder's sub-folders, without hidden ones; [] if it cannot be read."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []
    return [folder / name for name in names]
