"""`python -m keras_dl runs`: the runs below a folder, with the settings in which they differ.

On a terminal each app has a table; in a pipe there is one table, whose columns are always the same. Folders that are no
runs, or damaged, are named on stderr.
"""

import math
import re
import sys

from keras_dl import arguments, console, past_runs, paths, tables, wording
from keras_dl.errors import UserError, printable
from keras_dl.wording import counted

AGE, NAME = "age", "name"  # what runs can be sorted by, besides metrics
LARGE_IS_BETTER = re.compile("accuracy|bleu|chrf|match|auc|f1|precision|recall", re.IGNORECASE)
PIPED = ["app", "name", "state", "age", "epochs", "metric", "value", "split", "trials", "settings that differ"]
SHOWN_BESIDE = {"epochs", "trials"}  # settings that have a column of their own
BEST_SO_FAR = "val: on validation, in the best epoch so far"


def list_runs(asked):
    """Print the runs in asked.out/runs.

    Args:
        asked: with `out`, a folder; `app`, a name or None; `sort`, "age", "name" or the name of a metric.

    Raises:
        UserError: there are runs, but no such app, or none of them has that metric.
    """
    root = paths.out(asked.out)
    _check_app(asked.app, root)
    past, others = past_runs.below(root, asked.app)
    _check_sort(asked.sort, past)
    if past:
        _show(past, asked.sort, root)
    else:
        console.say(f"Runs: none in {root / 'runs'}.")
    for line in others:
        print(line, file=sys.stderr)


def figure(run, sort):
    """The figure of a run to show: (name of the metric, value, "test" or "validation"); None if it has none.

    Args:
        run: a PastRun.
        sort: name of a metric, with the prefix "val_" for that of validation only; any other word stands for the
            headline of the run.
    """
    name = None if sort in (AGE, NAME) else sort
    if name and name not in run.metrics and name.startswith(past_runs.VALIDATION):
        name = name.removeprefix(past_runs.VALIDATION)
        return (name, run.validation[name], "validation") if name in run.validation else None
    for values, split in ((run.metrics, "test"), (run.validation, "validation")):
        shown = name or past_runs.headline(values)
        if shown in values:
            return shown, values[shown], split
    return None


def ordered(past, sort):
    """Runs, the newest first, or by name, or the best first: test metrics, then those of validation, then none."""
    if sort == NAME:
        return sorted(past, key=_natural)
    newest_first = sorted(past, key=lambda run: -run.started)
    return newest_first if sort == AGE else sorted(newest_first, key=lambda run: _rank(figure(run, sort)))


def _check_app(app, root):
    apps = past_runs.apps(root)
    if app and apps and app not in apps:
        raise UserError(
            f"--app: must be a folder in {root / 'runs'}; got {arguments.shown(app)}.{wording.nearest(app, apps)} "
            f"There are: {', '.join(map(printable, apps))}."
        )


def _check_sort(sort, past):
    names = dict.fromkeys(name for run in past for name in run.metrics)
    names |= dict.fromkeys(past_runs.VALIDATION + name for run in past for name in run.validation)
    names |= dict.fromkeys(name for run in past for name in run.validation)
    known = [AGE, NAME, *names]
    if past and sort not in known:
        raise UserError(
            f"--sort: must be one of {', '.join(known)}; got {arguments.shown(sort)}.{wording.nearest(sort, known)}"
        )


def _rank(figure_of_run):
    if figure_of_run is None or math.isnan(figure_of_run[1]):
        return (2, 0.0)
    name, value, split = figure_of_run
    return (split != "test", -value if LARGE_IS_BETTER.search(name) else value)


def _natural(run):
    before, _, number = run.name.rpartition("-")
    number = paths.number_of(number)
    return (run.name, 0) if number is None else (before, number)


def _show(past, sort, root):
    apps = sorted({run.app for run in past})
    groups = [(app, ordered([run for run in past if run.app == app], sort)) for app in apps]
    if not sys.stdout.isatty():
        tables.show("", PIPED, [row for app, group in groups for row in _piped(app, group, sort)])
        return
    for app, group in groups:
        columns, rows, note = _table(group, sort)
        tables.show(
            f"{counted(len(group), 'runs')} in {root / 'runs' / app}{note}", columns, rows, multiline=columns[:1]
        )


def _piped(app, group, sort):
    """The rows of an app for a pipe."""
    for run, differing in zip(group, _differing(group), strict=True):
        name, value, split = figure(run, sort) or ("", math.nan, "")
        value = f"{value:.6g}" if name else ""
        yield [app, run.name, run.state, past_runs.age(run), _epochs(run), name, value, split, _trials(run), differing]


def _table(group, sort):
    """(columns, rows, end of the title) of an app for a terminal. What no run has gets no column."""
    figures = [figure(run, sort) for run in group]
    names = {entry[0] for entry in figures if entry}
    common = names.pop() if len(names) == 1 else "metric"
    all_of_validation = sort.startswith(past_runs.VALIDATION)
    values = [_value(entry, named=common == "metric", marked=not all_of_validation) for entry in figures]
    names_of, differing = [run.name for run in group], _differing(group)
    name = "name, settings that differ" if any(differing) else "name"
    columns = {
        name: ["\n".join(filter(None, map(printable, pair))) for pair in zip(names_of, differing, strict=True)],
        "state": [run.state for run in group],
        "age": [past_runs.age(run) for run in group],
        "epochs": [_epochs(run) for run in group],
        (sort if all_of_validation and common != "metric" else common): values,
        "trials": [_trials(run) for run in group],
    }
    columns = {name: column for name, column in columns.items() if any(column)}
    some_of_validation = any(entry and entry[2] != "test" for entry in figures)
    note = f" ({BEST_SO_FAR})" if some_of_validation and not all_of_validation else ""
    return list(columns), [list(row) for row in zip(*columns.values(), strict=True)], note


def _value(entry, named, marked):
    if entry is None:
        return ""
    name, value, split = entry
    return (f"{name} " if named else "") + f"{value:.4g}" + (" val" if marked and split != "test" else "")


def _epochs(run):
    """Epochs trained of those asked, "12/20"."""
    asked = run.epochs_asked
    return str(run.epochs) if asked is None else f"{run.epochs}/{asked}"


def _trials(run):
    """Trials of the search so far, of those asked where it has not ended."""
    if run.trials is None:
        return ""
    asked = run.settings.get("trials")
    ended = run.epochs or not isinstance(asked, int)
    return str(run.trials) if ended or run.trials == asked else f"{run.trials}/{asked}"


def _differing(group):
    """A text a run: the settings in which these runs differ, without those that other columns or all names say."""
    differ = past_runs.differing(group)
    told = SHOWN_BESIDE | ({"model", "dataset"} if all(map(_named_after_its_settings, group)) else set())
    texts = []
    for i in range(len(group)):
        values = {name: values[i] for name, values in differ.items() if name not in told}
        values = {name: value for name, value in values.items() if value not in (None, "")}  # not given
        texts.append(", ".join(f"{name}={past_runs.shown(value)}" for name, value in values.items()))
    return texts


def _named_after_its_settings(run):
    model, dataset = (run.settings.get(name) for name in ("model", "dataset"))
    return run.name.rpartition("-")[0] == f"{model}-{dataset}"
