"""python -m keras_dl: what there is, what an export says, and what it answers.

    python -m keras_dl list
    python -m keras_dl show saved_models/convnet-digits
    python -m keras_dl predict saved_models/convnet-digits picture.png other.jpg --out answers.csv
    python -m keras_dl predict saved_models/transformer-multi30k "A dog runs." more.txt --out translations.txt

All that can be known without TensorFlow is said without it: only `predict`, and only when its command line is right,
imports it. What it does with an input is decided by the kinds in the export's card.
"""

import argparse
import ast
import csv
import io
import json
import os
import re
import sys
from pathlib import Path

from keras_dl import cards, feeding, models, runtime, settings
from keras_dl.errors import UserError, printable

APPS = Path(__file__).resolve().parents[1] / "apps"  # in a checkout
BESIDE = 4  # classes that a table lists after the best one
NUMBERS = 6  # values of any other output that a table lists
INPUTS = "picture or MIDI files; texts or sentences, files of them, or - for standard input"
TRUST = "load an export that this user did not write: it is a program, and loading it runs it"


def main(argv=None):
    """Run one command.

    Raises:
        UserError: the command line, the export or an input is wrong.
        SystemExit: --help was asked for (status 0).
    """
    asked = _parser().parse_args(argv)
    asked.command(asked)


def list_everything(asked):
    """What can be built, trained and used."""
    rows = [[m.name, f"{m.parameters:,}", m.source, m.file] for m in models.catalogue()]
    _table("Models: keras_dl.build_<name>", ["name", "parameters", "source", "file"], rows)
    apps = sorted(path for path in APPS.glob("*.py") if not path.name.startswith("_"))
    if apps:
        _table("Apps: python <file> --help", ["file", "task"], [[os.path.relpath(a), _first_line(a)] for a in apps])
    rows = []
    for folder, card in cards.under(asked.saved_models):
        if isinstance(card, UserError):
            rows.append([str(folder), "", str(card), "", ""])
        else:
            parameters = card.get("parameters", {}).get("trainable")
            count = "" if parameters is None else f"{parameters:,}"
            rows.append([str(folder), card.get("app", ""), _metric(card), count, card.get("created", "")[:10]])
    if rows:
        _table("Exports: python -m keras_dl predict <folder>", ["folder", "app", "metric", "parameters", "made"], rows)
    else:
        print(f"Exports: none in {asked.saved_models}.")


def show(asked):
    """The card and the signatures of an export."""
    folder, card = cards.find(asked.export)
    rows = []
    for name, endpoint in card["endpoints"].items():
        for way in ("inputs", "outputs"):
            for field, spec in endpoint[way].items():
                shape = "(" + ", ".join("any" if n is None else str(n) for n in spec["shape"]) + ")"
                default = f"{spec['default']}" if "default" in spec else ""
                rows.append([name, way[:-1], field, spec["dtype"], shape, spec["kind"], default])
        for what, most in endpoint.get("limits", {}).items():
            rows.append([name, "at most", what, "", "", f"{most:,}", ""])
        if endpoint.get("measured"):
            figures = endpoint["measured"]
            said = f"{figures['peak_mb']:,.0f} MB, {figures['seconds']:.1f} s; {figures['model']}"
            rows.append([name, "measured", "largest requests", "", "", said, ""])
    said = [[key, _short(card[key])] for key in card if key not in ("endpoints", "files", "call")]
    _table(f"Card of {folder}", ["", ""], said)
    _table("Endpoints", ["endpoint", "", "name", "dtype", "shape", "kind", "default"], rows)
    for way, how in card.get("call", {}).items():
        print(f"\nHow to call it, {way}:\n{how if isinstance(how, str) else json.dumps(how, indent=2)}")


def predict(asked):
    """Ask an export's endpoint about every input, print a table, and write --out."""
    folder, card = cards.find(asked.export)
    endpoint = asked.endpoint or next(iter(card["endpoints"]))
    if endpoint not in card["endpoints"]:
        near = settings.nearest(endpoint, card["endpoints"])
        raise UserError(f"--endpoint: {folder} has no {endpoint!r}.{near} It has: {', '.join(card['endpoints'])}.")
    specs, outputs = (card["endpoints"][endpoint][way] for way in ("inputs", "outputs"))
    scalars = _scalars(asked.set, specs, endpoint)
    fed = _fed(specs, scalars, endpoint, asked.inputs)
    kind, fields = next(iter(fed), None), list(fed.values())
    by_line = kind == "sentence"
    things = feeding.lines(asked.inputs, fields) if by_line else [feeding.check(name, kind) for name in asked.inputs]
    rolls, texts = ([name for name, spec in outputs.items() if spec["kind"] == made] for made in ("roll", "text"))
    suffixes = (".json", ".csv", *([".mid"] if rolls else []), *([".txt"] if texts and by_line else []))
    if asked.out and Path(asked.out).suffix not in suffixes:
        raise UserError(f"--out: must end in {' or '.join(suffixes)}; got {asked.out}.")

    with runtime.quiet_tensorflow():
        from keras_dl import export
    served = export.load(folder, trust=asked.trust)

    def ask(given, who):
        return _rows(_ask(served, endpoint, {**scalars, **given}, who))

    if by_line:
        answers = feeding.answered(things, fields, ask, outputs)
    else:
        answers = ask({}, f"endpoint {endpoint}") if kind is None else []
    tempi = []
    for thing in [] if by_line else things:
        fed = feeding.read(thing, fields[0], kind, card)
        given = {name: value for name, value in fed.items() if name in specs}
        tempi.append(fed.get("beats_per_minute"))
        named = {"input": str(thing).partition("\n")[0]}
        answers += [{**named, **row} for row in ask(given, thing)]
        if kind in feeding.PICTURES:
            feeding.say_if_inverted(thing, card)
    shown = {name: spec for name, spec in outputs.items() if not by_line or len(spec["shape"]) == 1}
    _print_answers(answers, outputs, shown)
    out = Path(asked.out or "")
    if out.suffix == ".mid":
        feeding.write_midi(out, [answer[rolls[0]] for answer in answers], tempi, card)
    elif out.suffix == ".txt":
        _write(out, "".join(f"{answer[texts[0]]}\n" for answer in answers))
    elif out.suffix == ".csv":
        hidden = outputs.keys() - shown.keys()
        answers = [{name: value for name, value in answer.items() if name not in hidden} for answer in answers]
        _write(out, _csv([_flat(answer, card.get("classes", ())) for answer in answers]))
    elif asked.out:
        _write(out, json.dumps(answers, indent=2, ensure_ascii=False) + "\n")


class _Parser(argparse.ArgumentParser):
    """One that takes no abbreviations, and says a mistake in one line that names the nearest right word."""

    def __init__(self, **options):
        super().__init__(allow_abbrev=False, **options)

    def parse_args(self, args=None, namespace=None):
        asked, rest = self.parse_known_args(args, namespace)
        flags = [word for word in rest if word.startswith("-")]
        if flags or not hasattr(asked, "inputs"):
            for word in flags or rest:
                asked.parser.error(f"unrecognized arguments: {word}")
        else:
            asked.inputs += rest  # argparse loses files that stand behind a flag
        return asked

    def error(self, message):
        word = re.search(r"unrecognized arguments: (\S+)|invalid choice: '(.*?)' \((.*)\)", message)
        near = ""
        if word:
            known = re.findall(r"--[\w-]+", self.format_help()) if word[1] else re.findall(r"\w+", word[3])
            near = settings.nearest(word[1] or word[2], known)
        raise UserError(f"{self.prog}: {message}.{near}")


def _parser():
    parser = _Parser(prog="python -m keras_dl", description="What there is, what an export says, what it answers.")
    commands = parser.add_subparsers(required=True, metavar="list|predict|show", parser_class=_Parser)

    def command(function, name, text):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=function, parser=sub)
        return sub

    sub = command(list_everything, "list", "Models, apps and exports.")
    sub.add_argument("--saved-models", default="saved_models", metavar="DIR", help="where exports stand (%(default)s)")
    sub = command(predict, "predict", "Ask an export about pictures, texts, sentences or MIDI files.")
    sub.add_argument("export", metavar="EXPORT", help="saved_models/NAME or saved_models/NAME/VERSION")
    sub.add_argument("inputs", nargs="*", default=[], metavar="INPUT", help=INPUTS)
    sub.add_argument("--endpoint", metavar="E", help="which of the export's endpoints (its first)")
    sub.add_argument("--set", action="append", default=[], metavar="name=value", help="a scalar input; may be repeated")
    sub.add_argument("--trust", action="store_true", help=TRUST)
    sub.add_argument("--out", metavar="FILE", help="write the answers too, as .json, .csv, .txt or .mid")
    sub = command(show, "show", "The card and the signatures of an export.")
    sub.add_argument("export", metavar="EXPORT", help="saved_models/NAME or saved_models/NAME/VERSION")
    return parser


def _first_line(file):
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def _metric(card):
    """The accuracy where there is one, else the first that the card has."""
    metrics = {name: value for name, value in card.get("metrics", {}).items() if isinstance(value, (int, float))}
    name = "accuracy" if "accuracy" in metrics else next(iter(metrics), None)
    return "" if name is None else f"{name} {metrics[name]:.4g}"


def _short(value):
    if isinstance(value, dict):
        return ", ".join(f"{key}={_short(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_short(inner) for inner in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _scalars(pairs, specs, endpoint):
    """{name: value} of the endpoint's scalar inputs: what --set says over the card's defaults."""
    scalars = {name: spec for name, spec in specs.items() if not spec["shape"]}
    if pairs and not scalars:
        raise UserError(f"--set: endpoint {endpoint} has no scalar inputs; it takes {', '.join(specs)}.")
    values = {name: spec["default"] for name, spec in scalars.items() if "default" in spec}
    values |= settings.assignments(pairs, set(scalars), f"endpoint {endpoint}")
    for name, value in values.items():
        kind = scalars[name]["dtype"]
        fits = {"string": str, "bool": bool}.get(kind, int if "int" in kind else (int, float))
        if not isinstance(value, fits) or (isinstance(value, bool) and kind != "bool"):
            raise UserError(f"--set: {name} must be {kind}; got {value!r}.")
    missing = [name for name in scalars if name not in values]
    if missing:
        raise UserError(f"--set: endpoint {endpoint} needs {', '.join(f'--set {name}=...' for name in missing)}.")
    return values


def _fed(specs, scalars, endpoint, inputs):
    """{kind: name} of the inputs that an INPUT feeds, the source first; {} where the endpoint takes scalars alone."""
    others = [name for name in specs if name not in scalars and specs[name]["kind"] != "roll_steps"]
    kinds = sorted(specs[name]["kind"] for name in others)
    strange = [f"{name} ({specs[name]['kind']})" for name in others if specs[name]["kind"] not in feeding.KINDS]
    if kinds != list(feeding.PAIR) and (strange or len(others) > 1):
        raise UserError(f"predict: cannot feed endpoint {endpoint} from files: {', '.join(strange or others)}.")
    if others and not inputs:
        raise UserError(f"predict: endpoint {endpoint} takes {feeding.takes(kinds)}.")
    if inputs and not others:
        raise UserError(f"predict: endpoint {endpoint} takes no files; got {', '.join(inputs)}.")
    return {kind: name for kind in kinds for name in others if specs[name]["kind"] == kind}


def _ask(served, endpoint, given, who):
    import tensorflow as tf

    try:
        return served.call(endpoint, **given)
    except tf.errors.InvalidArgumentError as error:
        bound = re.search(r"may have at most \d+ \w+", error.message)
        refused = re.search(r"assertion failed: \[([^\]]+)\]", error.message)
        if bound:
            reason = f"is refused: it {bound[0]}"
        elif isinstance(who, Path) and not refused:
            reason = feeding.UNREADABLE
        else:
            reason = f"is refused: {refused[1] if refused else ' '.join(error.message.split())}"
        raise UserError(f"predict: {who} {reason}.") from error


def _rows(answer):
    """One {name: value} for each entry along the answer's first axis."""
    values = {name: _strings(array.tolist()) for name, array in answer.items()}
    if not all(array.ndim for array in answer.values()):
        return [values]
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _strings(value):
    if isinstance(value, list):
        return [_strings(inner) for inner in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _print_answers(answers, outputs, shown):
    """A table, one row an answer: the best classes with their scores where it has them, else the values to be shown."""
    kinds = {spec["kind"]: name for name, spec in outputs.items()}
    lines = []
    for answer in answers:
        line = {name: value for name, value in answer.items() if name not in outputs}  # what was asked about
        if {"classes", "scores"} <= set(kinds):
            top = list(zip(answer[kinds["classes"]], answer[kinds["scores"]], strict=True))
            line["class"], line["probability"] = top[0][0], f"{100 * top[0][1]:.1f} %"
            line["then"] = ", ".join(f"{name} {100 * score:.1f} %" for name, score in top[1 : 1 + BESIDE])
        else:
            line.update({name: _shown(answer[name], spec["kind"]) for name, spec in shown.items()})
        lines.append(line)
    _table("", list(lines[0]) if lines else [], [list(line.values()) for line in lines])


def _shown(value, kind):
    if value is None:
        return ""
    return f"{len(value)} steps, {sum(map(sum, value))} keys on" if kind == "roll" else _few(value)


def _few(value):
    if not isinstance(value, list):
        return _short(value)
    more = f", ... {len(value) - NUMBERS} more" if len(value) > NUMBERS else ""
    return ", ".join(_few(inner) for inner in value[:NUMBERS]) + more


def _csv(rows):
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _write(path, text):
    try:
        runtime.write_atomic(path, text)
    except OSError as error:
        raise UserError(f"--out: {path} cannot be written: {error.strerror}.") from error
    print(f"written: {path}")


def _flat(answer, classes):
    """Columns of a CSV row: a vector over the classes has one a class, any other numbers them."""
    row = {}
    for name, value in answer.items():
        if isinstance(value, list):
            labels = classes if name == "probabilities" and len(value) == len(classes) else range(1, len(value) + 1)
            row.update({f"{name}_{label}": inner for label, inner in zip(labels, value, strict=True)})
        else:
            row[name] = value
    return row


def _table(title, columns, rows):
    """A table on a terminal; piped, its lines with tabs between the fields."""
    if not sys.stdout.isatty():
        for fields in ([f"# {title}"] if title else [], columns if any(columns) else [], *rows):
            if fields:
                print("\t".join(printable(str(field).replace("\t", " "), keep="\n") for field in fields).rstrip())
        return
    from rich import console, markup, table

    drawn = table.Table(title=title or None, title_justify="left", show_header=any(columns))
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*(markup.escape(printable(field, keep="\n\t")) for field in row))
    console.Console().print(drawn)


if __name__ == "__main__":
    settings.run(main)
