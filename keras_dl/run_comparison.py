"""`python -m keras_dl compare`: one page with the curves of several runs over one another, and what differs in them."""

import itertools
import math
import string
import time

from keras_dl import arguments, console, figures, pages, past_runs, paths, resuming, tables
from keras_dl.errors import UserError

PAGE = "comparison.html"
SUFFIXES = (".html", ".htm")
SPLITS = ("train", "validation", "test")
MARKERS = ("", "o", "^", "s")  # of the first ten runs, the next ten, ...
LONGEST = 60  # characters of a run's name in a legend
LAST = "learning_rate"  # its curves come last
WIDE = 100  # a curve whose largest value is that many times its smallest has a logarithmic axis


def compare(asked):
    """Write a page that compares runs, and print what differs in them and the page's path.

    Args:
        asked: with `inputs`, the words that name the runs; `root`, the folder that contains runs/; `out`, the page's
            path, or None: in the folder of the first run's app.

    Raises:
        UserError: there are fewer than two runs, a word names none, a run is damaged, or the page cannot be written.
    """
    if len(asked.inputs) < 2:
        raise UserError(f"compare: must have at least two runs; got {arguments.shown(asked.inputs[0])} alone.")
    if asked.out is not None and not asked.out.endswith(SUFFIXES):
        near = f"{asked.out.rstrip('/')}.html"
        raise UserError(f"--out: must end in .html; got {arguments.shown(asked.out)}. Nearest: {near}.")
    comparison = Comparison(past_runs.find(asked.inputs, paths.out(asked.root)))
    place = paths.expanded(asked.out) if asked.out else comparison.runs[0].path.parent / PAGE
    page = written(comparison)
    try:
        page.write(place)
    except OSError as error:
        raise UserError(f"--out: {place} cannot be written: {error.strerror}.") from error
    columns, rows = comparison.overview()
    tables.show("Runs", columns[:5], [row[:5] for row in rows])
    columns, rows = comparison.differences()
    if rows:
        tables.show("What differs", columns, rows)
    for sentence in comparison.warnings():
        console.say(sentence)
    console.say(f"Page: {place}")


class Comparison:
    """Several runs side by side. Tables are (names of the columns, rows).

    Args:
        runs: at least two PastRuns. They are called A, B, C ... in all tables and curves.
    """

    def __init__(self, runs):
        self.runs, self.labels = runs, list(itertools.islice(_labels(), len(runs)))
        self.intervals = [run.intervals() for run in runs]

    def overview(self):
        """A row a run: what it is, and how far it is."""
        columns = ["", "run", "app", "state", "epochs", "started", "duration"]
        return columns, [
            [label, run.name, run.app, run.state, _epochs(run), _date(run), _duration(run)]
            for label, run in zip(self.labels, self.runs, strict=True)
        ]

    def test_metrics(self):
        """A row a run: its metrics on the test split, with their intervals where the run's report has them."""
        names = dict.fromkeys(name for run in self.runs for name in run.metrics)
        with_interval = {name for intervals in self.intervals for name in intervals}
        columns = ["", "run"]
        for name in names:
            columns += [name, f"interval of {name}"] if name in with_interval else [name]
        rows = []
        for label, run, intervals in zip(self.labels, self.runs, self.intervals, strict=True):
            row = [label, run.name]
            for name in names:
                row.append(run.metrics.get(name))
                if name in with_interval:
                    row.append(_interval(intervals.get(name)))
            rows.append(row)
        return columns, rows if names else []

    def validation_metrics(self):
        """A row a run: its metrics on the validation split in its best epoch."""
        names = dict.fromkeys(name for run in self.runs for name in run.validation)
        columns = ["", "run", "best epoch", "by", *names]
        rows = [
            [label, run.name, run.best_epoch, _monitor(run), *(run.validation.get(name) for name in names)]
            for label, run in zip(self.labels, self.runs, strict=True)
        ]
        return columns, rows if names else []

    def settings(self):
        """A row a setting in which the runs differ."""
        differ = past_runs.differing(self.runs)
        return ["setting", *self.labels], [[name, *map(past_runs.shown, values)] for name, values in differ.items()]

    def searched(self):
        """A row a hyperparameter: the value that each run's search chose."""
        names = dict.fromkeys(name for run in self.runs for name in run.searched)
        rows = [[name, *(past_runs.shown(run.searched.get(name)) for run in self.runs)] for name in names]
        return ["hyperparameter", *self.labels], rows

    def data(self):
        """A row a split: its number of examples in each run; no rows if they are not known."""
        if not any("data" in run.config for run in self.runs):
            return ["examples", *self.labels], []
        prints = [run.config.get("data") for run in self.runs]
        rows = [[split, *(data and data[split]["examples"] for data in prints)] for split in SPLITS]
        return ["examples", *self.labels], rows

    def changes(self):
        """Sentences: in what the data of B, C ... are not those of A, or that all are the same."""
        first, *others = self.runs
        if "data" not in first.config:
            return []
        sentences = []
        for label, run in zip(self.labels[1:], others, strict=True):
            if "data" in run.config and (changes := resuming.differences(first.config["data"], run.config["data"])):
                sentences.append(f"{self.labels[0]} -> {label}: {'; '.join(changes)}")
        if not sentences and all("data" in run.config for run in self.runs):
            return ["All have the same data."]
        return sentences

    def origins(self):
        """A row a thing on which the figures depend besides the settings: commit, machine, versions that differ."""
        rows = [["commit", *map(_commit, self.runs)]]
        rows.append(["machine", *(run.config.get("machine", "") for run in self.runs)])
        versions = [run.config.get("versions", {}) for run in self.runs]
        for package in dict.fromkeys(name for of_run in versions for name in of_run):
            row = [of_run.get(package, "") for of_run in versions]
            if len(set(row)) > 1:
                rows.append([package, *row])
        return ["", *self.labels], [row for row in rows if any(row[1:])]

    def differences(self):
        """A row a metric, setting or part of the data that differs, as texts."""
        columns, rows = ["", *self.labels], []
        for kind, read in (("test", lambda run: run.metrics), ("validation", lambda run: run.validation)):
            for name in dict.fromkeys(name for run in self.runs for name in read(run)):
                rows.append([f"{kind} {name}", *(_number(read(run).get(name)) for run in self.runs)])
        rows += self.settings()[1]
        rows += [[f"searched {name}", *values] for name, *values in self.searched()[1]]
        for split, *counts in self.data()[1]:
            if len(self._groups(split)) > 1:
                rows.append([f"{split} examples", *("" if count is None else f"{count:,}" for count in counts)])
        return columns, rows

    def warnings(self):
        """Sentences on what makes the runs' figures incomparable."""
        sentences = []
        unknown = [label for label, run in zip(self.labels, self.runs, strict=True) if "data" not in run.config]
        if unknown:
            sentences.append(f"Whether the data are the same is not known of {', '.join(unknown)}.")
        for split, what in (("test", "Test figures"), ("validation", "Validation figures and curves")):
            groups = self._groups(split)
            if len(groups) > 1:
                apart = " | ".join(", ".join(labels) for labels in groups)
                sentences.append(f"{what} cannot be compared between {apart}: their {split} data are not the same.")
        without = {"since not finished": [], "though finished": []}
        for label, run in zip(self.labels, self.runs, strict=True):
            if not run.metrics:
                without["though finished" if run.state == past_runs.FINISHED else "since not finished"].append(label)
        sentences += [f"Without test figures, {why}: {', '.join(labels)}." for why, labels in without.items() if labels]
        return sentences

    def _groups(self, split):
        """The labels of the runs, those with the same data of a split together: [[label]]."""
        groups = {}
        for label, run in zip(self.labels, self.runs, strict=True):
            if "data" in run.config:
                data = run.config["data"]
                groups.setdefault((data[split]["digest"], data[split]["examples"]), []).append(label)
        return list(groups.values())


def written(comparison):
    """The pages.Page of a Comparison."""
    page = pages.Page(f"{len(comparison.runs)} runs compared")
    page.table(*comparison.overview())
    for sentence in comparison.warnings():
        page.warning(sentence)
    _section(page, "Test figures", comparison.test_metrics())
    _section(page, "Validation figures, in the best epoch so far", comparison.validation_metrics())
    _section(page, "Settings that differ", comparison.settings(), nothing="None.")
    _section(page, "Values that the search chose", comparison.searched())
    if curves := curves_of(comparison.runs):
        page.heading("Curves")
        if len(comparison.runs) > len(figures.COLOURS):
            page.warning(f"There are {len(figures.COLOURS)} colours: from the next run on they come again, with marks.")
    for name, of_runs in curves.items():
        page.picture(figures.png(curve_figure(name, of_runs, comparison)), _caption(name, of_runs))
    _section(page, "Data", comparison.data(), nothing="Not known.")
    for sentence in comparison.changes():
        page.paragraph(sentence)
    _section(page, "Code, machine and versions that differ", comparison.origins(), nothing="Not known.")
    page.heading("Commands")
    for label, run in zip(comparison.labels, comparison.runs, strict=True):
        page.text(f"{label}: {run.config.get('command') or 'not known'}")
    return page


def curves_of(runs):
    """{name: {index of a run: {"train": [value], "validation": [value]}}} of all that the histories have."""
    curves = {}
    for i, run in enumerate(runs):
        for name, values in run.history.items():
            split = "validation" if name.startswith(past_runs.VALIDATION) else "train"
            curves.setdefault(name.removeprefix(past_runs.VALIDATION), {}).setdefault(i, {})[split] = values
    return dict(sorted(curves.items(), key=lambda item: item[0].startswith(LAST)))


def curve_figure(name, of_runs, comparison):
    """A figure of one number over the epochs: a colour a run, validation solid, training dashed.

    Args:
        name: of the number.
        of_runs: {index of a run: {"train": [value, one per epoch], "validation": likewise}}; either may be missing.
        comparison: the Comparison, whose labels the legend has.
    """
    figure = figures.figure_of(9, 4 + 0.22 * math.ceil(len(of_runs) / 2))
    axes = figure.add_subplot(xlabel="epoch")
    axes.set_title(figures.plain(name), loc="left")
    lines = []
    for i, splits in of_runs.items():
        colour, marker = figures.COLOURS[i % len(figures.COLOURS)], MARKERS[i // len(figures.COLOURS) % len(MARKERS)]
        for split, style in (("train", "--"), ("validation", "-")):
            if split in splits:
                values = [value if math.isfinite(value) else math.nan for value in splits[split]]
                alone = "o" if len(values) == 1 else marker  # a line through one point cannot be seen
                epochs = range(1, len(values) + 1)
                (line,) = axes.plot(epochs, values, style, color=colour, marker=alone, markersize=4, linewidth=1.6)
        line.set_label(figures.plain(f"{comparison.labels[i]}  {comparison.runs[i].name}", LONGEST))
        lines.append(line)
    if _wide(of_runs):
        axes.set_yscale("log")
    figures.whole_ticks(axes.xaxis)
    axes.grid(alpha=0.3)
    figure.legend(handles=lines, loc="outside lower left", ncols=2, frameon=False)
    return figure


def _wide(of_runs):
    """Whether a curve's values are positive and of very different sizes."""
    values = [v for splits in of_runs.values() for series in splits.values() for v in series if math.isfinite(v)]
    return bool(values) and min(values) > 0 and max(values) > WIDE * min(values)


def _caption(name, of_runs):
    splits = {split for series in of_runs.values() for split in series}
    return f"{name} by epoch" + ("; solid: validation, dashed: training" if len(splits) == 2 else "")


def _section(page, heading, table, nothing=""):
    """A heading and a table; for a table without rows the sentence `nothing`, or, without that, no section."""
    columns, rows = table
    if not rows and not nothing:
        return
    page.heading(heading)
    if rows:
        page.table(columns, rows)
    else:
        page.paragraph(nothing)


def _labels():
    """A, B, ..., Z, AA, AB, ..."""
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_uppercase, repeat=length):
            yield "".join(letters)


def _epochs(run):
    return f"{run.epochs} of {run.epochs_asked}" if run.epochs_asked is not None else str(run.epochs)


def _date(run):
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(run.started))  # of any year, also of a damaged file


def _duration(run):
    if run.seconds is None:
        return ""
    resumed = f", resumed {run.resumed} times" if run.resumed > 1 else ", resumed once" if run.resumed else ""
    return past_runs.duration(run.seconds) + resumed


def _monitor(run):
    return run.config.get("monitor", past_runs.MONITOR)["name"]


def _commit(run):
    commit, plus, changes = (run.config.get("commit") or "").partition("+")
    return commit[:10] + plus + changes


def _interval(interval):
    return "" if interval is None else f"{interval[0]:.4g} to {interval[1]:.4g}"


def _number(value):
    return "" if value is None else f"{value:.4g}"
