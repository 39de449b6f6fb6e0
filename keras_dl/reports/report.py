"""The report of a run, computed before the export and written after it."""

import dataclasses
import datetime
import json
import math
import shutil

from keras_dl import bootstrap, histories, json_files, markdown, models, records, runs, summaries, tables
from keras_dl.atomic import write_atomic
from keras_dl.imports import tensorflow as tf
from keras_dl.reports import charts, layers
from keras_dl.reports.page import ReportPage
from keras_dl.wording import counted, verb

TAGS = "report/"  # prefix of the tags on TensorBoard
JSON, HTML, PICTURES = "report.json", "report.html", "report"  # in the run's folder
FEW = 20  # examples, below which an interval comes with a warning
LONG_TABLE = 12  # layers from which their table is folded
SIGNIFICANT = 4  # digits of a metric in a sentence


class Report:
    """What came of a run.

    Args:
        run: the runs.Run.
        config: the settings.Training of the run.
        model: the trained keras.Model (of a SequenceModel its network).
        splits: the data.Splits.
        metrics: {name: float} on the test split.
        sections: list of reports.Section, from the same pass over the test split.
        monitor, mode: as in training.fit.

    Attributes:
        html: path of the page.
        intervals: {name: [low, high]} of those metrics for which a section has an interval.
    """

    def __init__(self, run, config, model, splits, metrics, sections, *, monitor="val_loss", mode="min"):
        self.run, self.config, self.model, self.splits = run, config, model, splits
        self.metrics, self.sections, self.monitor = metrics, sections, monitor
        self.html = run.path / HTML
        file = run.path / "config.json"
        self.noted = json_files.read(file, records.Config) if file.exists() else {}
        self.intervals, self.resampled = {}, {}
        for section in sections:
            known = section.intervals(metrics, run.seed)
            known = {name: ends for name, ends in known.items() if all(map(math.isfinite, ends))}
            self.intervals |= known
            self.resampled |= dict.fromkeys(known, section.resampled())
        self.history = histories.read(run.path)
        self.kept, self.which = histories.kept(self.history, monitor, mode, config.keep, config.average_last)

    def for_card(self):
        """{"intervals": {metric: [low, high]}, "report": a few sentences} for an export's card."""
        return {"intervals": self.intervals, "report": self.sentences()}

    def sentences(self):
        """The main metric with its interval, the figure to beat, the sections' sentences, the weights."""
        return [*self._figures(), *(s for section in self.sections for s in section.sentences()), self.which]

    def write(self, commands=()):
        """Write report.json, report.html, the pictures and TensorBoard's events; those of an earlier try are replaced.

        Args:
            commands: lines to paste, as commands.following returns them.

        Raises:
            OSError: the folder cannot be written.
        """
        rows = layers.table(self.model)
        page = ReportPage(f"{self.run.path.name}: report")
        self._beginning(page)
        self._data(page)
        self._model(page, rows)
        self._training(page)
        self._results(page)
        for section in self.sections:
            section.put(page)
        self._commands(page, commands)
        folder = self.run.path / PICTURES
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, png in page.files.items():
            (folder / name).write_bytes(png)
        facts = _plain(self._facts(rows, list(page.files), list(commands)))
        write_atomic(self.run.path / JSON, json.dumps(facts, indent=2))
        self._on_tensorboard(page)
        page.write(self.html)
        if not self.run.throwaway:
            self.run.say(f"report: {self.html}")

    def _on_tensorboard(self, page):
        """Write the page's texts and pictures for TensorBoard; thumbnails are left out, it has no room for captions."""
        folder = self.run.tensorboard / "validation"
        summaries.purge(folder, -1, TAGS)
        with summaries.writing(folder, max(map(len, self.history.values()), default=0)):
            tf.summary.text(TAGS + "text", "\n\n".join(page.blocks))
            for name, caption in page.captions.items():
                image = tf.io.decode_png(page.files[name], channels=3)[None]
                tag = TAGS + name.removesuffix(".png")
                tf.summary.image(tag, image, description=markdown.escaped(caption))

    def _facts(self, rows, pictures, commands):
        facts = {
            "run": self.run.path.name,
            "app": self.run.app,
            "command": self._command(),
            "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            "versions": self.noted.get("versions", {}),
            "asked": self._asked(),
            "chosen": self.noted.get("chosen"),
            "origin": self.noted.get("origin"),
            "summary": self.noted.get("summary"),
            "model": {**self._of_model(), "layers": rows},
            "history": self.history,
            "weights": {"epoch": self.kept, "sentence": self.which},
            "metrics": self.metrics,
            "intervals": self.intervals,
            "resampled": {
                "level": bootstrap.LEVEL,
                "resamples": bootstrap.RESAMPLES,
                "of": {n: counted(*of) for n, of in self.resampled.items()},
            },
            "pictures": pictures,
            "commands": commands,
        }
        for section in self.sections:
            for name, value in section.facts().items():
                both = isinstance(value, dict) and isinstance(facts.get(name), dict)
                facts[name] = facts[name] | value if both else value
        return facts

    def _command(self):
        return self.noted.get("command", self.run.command)

    def _asked(self):
        """{setting: value} of those that were asked for: other than the defaults, and not left to be chosen."""
        usual = dataclasses.asdict(type(self.config)())
        asked, usual = runs.flat_settings(self.run.settings), runs.flat_settings(usual)
        usual, chosen = json.loads(json.dumps(usual)), self.noted.get("chosen") or {}
        values = chosen.get("values", {})
        unsaid, arguments = {"out", "resume", "smoke", *map(runs.flat_name, values)} - {"set"}, values.get("set", {})
        asked["set"] = [pair for pair in asked.get("set", ()) if pair.partition("=")[0] not in arguments]
        return {n: v for n, v in asked.items() if v not in (usual.get(n, []), "auto") and n not in unsaid}

    def _of_model(self):
        name = getattr(self.config, "model", self.model.name)
        source = next((row.source for row in models.catalogue() if row.name == name), "")
        return {"name": name, "parameters": self.model.count_params(), "source": source}

    def _figures(self):
        sentences = []
        if not self.intervals:  # of a single example, such as a piece of music, nothing can be resampled
            sentences += [f"Test {name}: {_number(value)}." for name, value in list(self.metrics.items())[:1]]
        for name, interval in list(self.intervals.items())[:1]:
            low, high = map(_number, interval)
            value, of = _number(self.metrics[name]), f"{bootstrap.RESAMPLES:,} bootstrap resamples of"
            of = f"{of} {counted(*self.resampled[name])}"
            within = f"between {low} and {high} with {bootstrap.LEVEL} % confidence ({of})"
            sentences.append(f"Test {name}: {value}, {within if low != high else f'the same in {of}'}.")
        if constant := (self.noted.get("summary") or {}).get("baseline"):  # {} for data without one
            score = f"{constant['metric']} {_number(constant['value'])} on the validation split"
            sentences.append(f"The figure to beat: {score}, by a constant answer ({constant['what']}).")
        return sentences

    def _beginning(self, page):
        for sentence in self.sentences():
            page.paragraph(sentence)
        page.heading("What was asked")
        page.text(self._command())
        asked = self._asked()
        if asked:
            page.table(["setting", "value"], [[name, tables.short(value)] for name, value in asked.items()])
        page.paragraph("All other settings have their defaults." if asked else "All settings have their defaults.")
        if (chosen := self.noted.get("chosen")) is not None:
            page.paragraph(chosen["sentence"])
        if (origin := self.noted.get("origin")) is not None:
            page.paragraph(f"Started from the weights of {origin['path']}. {origin['sentence']}")

    def _data(self, page):
        page.heading("Data")
        summary, info = self.noted.get("summary"), self.splits.info
        if summary is None:
            page.paragraph(f"{info.name}: {info.source}")
            page.table(["split", "examples"], [[part, count] for part, count in info.counts.items()])
            for note in self.splits.notes:
                page.paragraph(note)
            return
        page.paragraph(f"{summary['name']}: {summary['source']}")
        if summary.get("licence"):
            page.paragraph(f"Licence: {summary['licence']}")
        page.table(["split", summary.get("unit", "examples")], [[k, v] for k, v in summary["counts"].items()])
        if summary.get("classes"):
            parts = list(summary["counts"])
            rows = [[name, *(of.get(part, 0) for part in parts)] for name, of in summary["classes"].items()]
            page.table(["class", *parts], rows, folded="Examples of each class" if len(rows) > LONG_TABLE else "")
        if summary.get("sizes"):
            sizes = summary["sizes"]
            ends = ", ".join(f"{name} {tables.short(sizes[name])}" for name in ("smallest", "median", "largest"))
            page.paragraph(f"{sizes['what']}: {ends}")
        for sentence in summary.get("left_out", ()):
            page.paragraph(sentence)
        for sentence in summary.get("warnings", ()):
            page.warning(sentence)

    def _model(self, page, rows):
        facts = self._of_model()
        page.heading("Model")
        page.paragraph(f"{facts['name']}: {counted(facts['parameters'], 'parameters')}.")
        if facts["source"]:
            page.paragraph(f"Source: {facts['source']}.")
        if (png := layers.picture(rows)) is not None:
            page.picture(png, "The layers, with the shapes of their outputs; those with weights are blue.", "model")
        if rows:
            columns = ["layer", "type", "output", "parameters", "reads"]
            shown = [
                [row["name"], row["type"], layers.size(row["output"]), row["parameters"], ", ".join(row["inputs"])]
                for row in rows
            ]
            folded = f"All {counted(len(rows), 'layers')}" if len(rows) > LONG_TABLE else ""
            page.table(columns, shown, folded=folded)

    def _training(self, page):
        page.heading("Training")
        page.paragraph(self.which)
        if self.history:
            caption = "Numbers of the training and the validation split after each epoch."
            page.picture(charts.curves(self.history, self.kept), caption, "curves")

    def _results(self, page):
        page.heading("Test split")
        rows = [[name, value, *self.intervals.get(name, (None, None))] for name, value in self.metrics.items()]
        width = 4 if self.intervals else 2
        page.table(["metric", "test", "low", "high"][:width], [row[:width] for row in rows])
        whose = {}
        for name, of in self.resampled.items():
            whose.setdefault(of, []).append(name)
        for of, names in whose.items():
            page.paragraph(
                f"Low and high of {', '.join(names)}: the interval that holds {bootstrap.LEVEL} % of "
                f"{bootstrap.RESAMPLES:,} bootstrap resamples of {counted(*of)}."
            )
            if of[0] < FEW:
                page.warning(
                    f"{counted(*of)} {verb(of[0], 'are')} few: the interval is a rough guide, and probably too narrow."
                )

    def _commands(self, page, commands):
        page.heading("Use it, make it again")
        page.text("\n".join([*commands, "", "# this run:", self._command()] if commands else [self._command()]))


def _number(value):
    return f"{value:.{SIGNIFICANT}g}"


def _plain(value):
    """The value as JSON has it: a number that is not finite is null."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
