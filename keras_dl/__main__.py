"""python -m keras_dl: list models, apps and exports; show an export's card; ask an export; list and compare runs.

    python -m keras_dl list
    python -m keras_dl list convnet
    python -m keras_dl show saved_models/convnet-digits
    python -m keras_dl predict saved_models/convnet-digits picture.png other.jpg --out answers.csv
    python -m keras_dl predict saved_models/transformer-multi30k "A dog runs." more.txt --out translations.txt
    python -m keras_dl runs --app classify_images --sort val_accuracy
    python -m keras_dl compare convnet-digits-1 mlp-digits-1

Only `predict` imports TensorFlow, and only when its command line is right. What it does with an input is decided by the
kinds in the export's card.
"""

import argparse
import ast
import os
import re
from pathlib import Path

from keras_dl import (
    cards,
    command_line,
    console,
    evidence,
    lecture,
    models,
    past_runs,
    predicting,
    run_comparison,
    run_lists,
    showing,
    tables,
    wording,
)
from keras_dl.errors import UserError, printable

APPS = Path(__file__).resolve().parents[1] / "apps"  # in a checkout
INPUTS = "picture or MIDI files, or folders of them; texts or sentences, files or folders of them, - for standard input"
STATUS = """\
exit status: 0 where every INPUT was answered; 1 where some were, and the others are named on stderr with the reason;
2 where none was, or the command line is wrong"""
NO_CHECKOUT = "Laws and figures: tests/ and docs/results.md of the project's sources, which are not installed here."
TRUST = "load an export that this user did not write: it is a program, and loading it runs it"
SORT = "age (newest first, the default), name, or a metric (best first); val_accuracy: that of validation alone"


def main(argv=None):
    """Run one command.

    Raises:
        UserError: the command line, the export or an input is wrong.
        SystemExit: --help was asked for (status 0).
    """
    asked = _parser().parse_args(argv)
    asked.command(asked)


def list_everything(asked):
    """What can be built, trained and used; or, where a name is given, one architecture with its laws and figures."""
    if asked.name:
        list_architecture(asked.name)
        return
    catalogue = models.catalogue()
    rows = [[m.name, f"{m.parameters:,}", m.source, m.file] for m in catalogue]
    tables.show("Models: keras_dl.build_<name>", ["name", "parameters", "source", "file"], rows)
    if evidence.in_checkout():
        columns = ["name", "laws", "figure", "ours", "published"]
        tables.show("Laws and figures: python -m keras_dl list <name>", columns, [_evidence(m) for m in catalogue])
    else:
        console.say(NO_CHECKOUT)
    apps = sorted(path for path in APPS.glob("*.py") if not path.name.startswith("_"))
    if apps:
        tables.show("Apps: python <file> --help", ["file", "task"], [[os.path.relpath(a), _task(a)] for a in apps])
        names = {app.stem: os.path.relpath(app) for app in apps}
        rows = [[s.title, f"{names[s.app]} {s.flags}".strip(), s.figure] for s in lecture.SLIDES if s.app in names]
        tables.show("The lecture in its order: python <app>", ["slide", "app", "look at"], rows)
    rows = []
    for folder, card in cards.exports_below(asked.saved_models):
        if isinstance(card, UserError):
            rows.append([str(folder), "", str(card), "", ""])
        else:
            parameters = card.get("parameters", {}).get("trainable")
            count = "" if parameters is None else f"{parameters:,}"
            rows.append([str(folder), card.get("app", ""), _metric(card), count, card.get("created", "")[:10]])
    if rows:
        columns = ["folder", "app", "metric", "parameters", "created"]
        tables.show("Exports: python -m keras_dl predict <folder>", columns, rows)
    else:
        console.say(f"Exports: none in {asked.saved_models}.")


def list_architecture(name):
    """One architecture: its file, arguments, laws and figures.

    Raises:
        UserError: there is no such architecture.
    """
    known = {m.name: m for m in models.catalogue()}
    if name not in known:
        raise UserError(
            f"list: no architecture {printable(name)!r}.{wording.nearest(name, known)} There are: {', '.join(known)}."
        )
    model = known[name]
    arguments = ", ".join(f"{argument}={value!r}" for argument, value in model.arguments.items())
    rows = [["file", model.file], ["source", model.source], ["parameters", f"{model.parameters:,} at these arguments"]]
    tables.show(f"keras_dl.build_{name}", ["", ""], [*rows, ["arguments", arguments]])
    if not evidence.in_checkout():
        console.say(NO_CHECKOUT)
        return
    laws = [[file, test, text] for file, tests in evidence.laws(model).items() for test, text in tests.items()]
    tables.show("Laws: python -m pytest tests/<file> -k <test>", ["file", "test", ""], laws)
    recorded, rows = evidence.recorded(), []
    for table, row, record in recorded.of_architecture(name):
        ours = recorded.figure(record, row) if record else "not measured"
        rows.append([table, row.name, f"{row.metric} ({row.unit})", ours, recorded.published(row), recorded.bar(row)])
    if rows:
        columns = ["table", "row", "metric", "ours", "published", "bar"]
        tables.show("Figures: docs/results.md, python benchmarks/reproduce.py <table> <row>", columns, rows)
    else:
        console.say("Figures: none yet.")


class _Parser(argparse.ArgumentParser):
    """A parser without abbreviations, which reports a mistake in one line that names the nearest right word."""

    def __init__(self, **options):
        super().__init__(allow_abbrev=False, **options)

    def parse_args(self, args=None, namespace=None):
        asked, rest = self.parse_known_args(args, namespace)
        flags = [word for word in rest if word.startswith("-")]
        if flags or not hasattr(asked, "inputs"):
            for word in flags or rest:
                asked.parser.error(f"unrecognized arguments: {word}")
        else:
            asked.inputs += rest  # argparse leaves out inputs that follow a flag
        return asked

    def error(self, message):
        word = re.search(r"unrecognized arguments: (\S+)|invalid choice: '(.*?)' \((.*)\)", message)
        near = ""
        if word:
            known = re.findall(r"--[\w-]+", self.format_help()) if word[1] else re.findall(r"\w+", word[3])
            near = wording.nearest(word[1] or word[2], known)
        raise UserError(f"{self.prog}: {message}.{near}")


def _parser():
    text = "List models, apps and exports; show an export's card; ask an export; list and compare runs."
    parser = _Parser(prog="python -m keras_dl", description=text)
    commands = parser.add_subparsers(required=True, metavar="list|predict|show|runs|compare", parser_class=_Parser)

    def command(function, name, text, **options):
        sub = commands.add_parser(name, help=text, description=text, **options)
        sub.set_defaults(command=function, parser=sub)
        return sub

    sub = command(list_everything, "list", "Models with their laws and figures, apps and exports.")
    sub.add_argument("name", nargs="?", metavar="NAME", help="one architecture, with all its laws and figures")
    sub.add_argument("--saved-models", default="saved_models", metavar="DIR", help="where exports stand (%(default)s)")
    about = "Ask an export about pictures, texts, sentences or MIDI files."
    sub = command(predicting.predict, "predict", about, epilog=STATUS)
    sub.add_argument("export", metavar="EXPORT", help="saved_models/NAME or saved_models/NAME/VERSION")
    sub.add_argument("inputs", nargs="*", default=[], metavar="INPUT", help=INPUTS)
    sub.add_argument("--endpoint", metavar="E", help="which of the export's endpoints (its first)")
    sub.add_argument("--set", action="append", default=[], metavar="name=value", help="a scalar input; may be repeated")
    sub.add_argument("--trust", action="store_true", help=TRUST)
    sub.add_argument("--out", metavar="FILE", help="write the answers too, as .json, .csv, .txt or .mid")
    sub = command(showing.show, "show", "The card and the signatures of an export.")
    sub.add_argument("export", metavar="EXPORT", help="saved_models/NAME or saved_models/NAME/VERSION")
    about = "Runs with their state, age and metric, and the settings in which they differ."
    sub = command(run_lists.list_runs, "runs", about)
    sub.add_argument("--app", metavar="APP", help="only the runs of this app")
    sub.add_argument("--sort", default=run_lists.AGE, metavar="BY", help=SORT)
    sub.add_argument("--out", default=".", metavar="DIR", help="the folder that contains runs/ (%(default)s)")
    about = "One page with the curves of several runs over one another, and what differs in them."
    sub = command(run_comparison.compare, "compare", about)
    sub.add_argument("inputs", nargs="+", metavar="RUN", help="a run's folder, or its name in DIR/runs")
    sub.add_argument("--root", default=".", metavar="DIR", help="the folder that contains runs/ (%(default)s)")
    page = "where the page is written (comparison.html beside the first RUN)"
    sub.add_argument("--out", metavar="PAGE.html", help=page)
    return parser


def _task(file):
    """The first paragraph of an app's docstring."""
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.partition("\n\n")[0].split())


def _evidence(model):
    """The fields of an architecture in the table of laws and figures."""
    laws = ", ".join(f"{file} ({len(tests)})" for file, tests in evidence.laws(model).items())
    recorded = evidence.recorded()
    shown = recorded.headline(model.name)
    if shown is None:
        return [model.name, laws, "", "not measured", "-"]
    headline, row, record = shown
    ours = recorded.figure(record, row) if record else "not measured"
    return [model.name, laws, headline.data, ours, recorded.published(row)]


def _metric(card):
    """The metric to show of a card, as text."""
    metrics = {name: value for name, value in card.get("metrics", {}).items() if isinstance(value, (int, float))}
    name = past_runs.headline(metrics)
    return "" if name is None else f"{name} {metrics[name]:.4g}"


if __name__ == "__main__":
    command_line.run(main)
