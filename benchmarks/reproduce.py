"""Measure again what docs/results.md says: the paper's figure beside ours.

    python benchmarks/reproduce.py                      # tables, rows, published figures, newest measured ones
    python benchmarks/reproduce.py mnist convnet        # run a row again; no rows named: the whole table
    python benchmarks/reproduce.py --docs               # write the tables of README.md and docs/, and the pictures

A figure is one line of benchmarks/results/<table>.jsonl, with the commit that it was measured on: only a clean tree is
measured, with seed 0, each command in a process of its own, and no line is ever deleted. What may differ from the
commit is what this script writes itself: the results, what stands in the pages (PAGES) between <!-- table:NAME --> and
<!-- end -->, and the pictures drawn from results/<table>_curves.json.
"""

import argparse
import ast
import datetime
import importlib.metadata
import json
import math
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from recorded import RESULTS, bar, beside_its_bar, figure, headline, newest, of_architecture, published, reaches
from recorded import number as recorded_number
from tables import DERIVED, TABLES

from keras_dl import atomic, command_line, provenance, wording
from keras_dl.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "docs/results.md", "docs/recipes.md")  # what --docs writes into
MARKED = re.compile(r"(<!-- table:(\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
SEED = 0
KEYS = (
    "row", "metric", "value", "unit", "published", "source", "command", "commit", "seed", "machine", "versions", "date",
    "seconds",
)  # fmt: skip


def main(argv=None):
    """List, measure, or write the tables of the pages.

    Raises:
        UserError: an unknown table or row, a tree that differs from its commit, a command that leaves no figure.
    """
    asked = _parser().parse_args(argv)
    if asked.docs and asked.table:
        raise UserError(f"reproduce: --docs writes every table and takes no names; got {asked.table}.")
    if asked.docs:
        write_docs()
    elif asked.table:
        measure(asked.table, asked.rows)
    else:
        list_tables()


def list_tables():
    """Every table with the published and the newest measured figure of its rows."""
    for name, table in TABLES.items():
        records = newest(name)
        lines = [("row", "metric", "published", "bar", "measured", "date")]
        for row in table.rows:
            record = records.get((row.name, row.metric))
            measured = ("-", "")
            if record:
                missed = "" if reaches(row, record["value"]) else ", misses its bar"
                measured = (figure(record) + missed, record["date"][:10])
            lines.append((row.name, f"{row.metric} ({row.unit})", published(row), bar(row), *measured))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        print(f"{name}: {table.title}")
        for line in lines:
            print("  " + "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
        print()
    print("python benchmarks/reproduce.py TABLE [ROW ...] measures again; --docs writes README.md and docs/.")


def measure(name, names=()):
    """Run the commands of a table's rows, of all or of those named, and append what they report."""
    if name not in TABLES:
        raise UserError(f"reproduce: no table {name!r}.{wording.nearest(name, TABLES)} Tables: {', '.join(TABLES)}.")
    table = TABLES[name]
    known = list(dict.fromkeys(row.name for row in table.rows))
    for row in names:
        if row not in known:
            raise UserError(
                f"reproduce: {name} has no row {row!r}.{wording.nearest(row, known)} Rows: {', '.join(known)}."
            )
    rows = [row for row in table.rows if not names or row.name in names]
    for command in dict.fromkeys(row.command for row in rows):
        _measure(name, command, [row for row in rows if row.command == command])


def write_docs():
    """Write the tables between the marks of each page from the newest records, and draw the pictures of the curves."""
    texts = {page: _marked_text(page) for page in PAGES if (ROOT / page).is_file()}
    if not texts:
        raise UserError(f"reproduce: none of {', '.join(PAGES)} is in {ROOT}.")
    for page, text in texts.items():
        atomic.write_atomic(ROOT / page, MARKED.sub(lambda mark: mark[1] + _written(mark[2]) + mark[3], text))
    for name in TABLES:
        if _curves(name).exists():
            _picture(name).parent.mkdir(exist_ok=True)
            _drawer(name)(json.loads(_curves(name).read_text()), _picture(name))


def _measure(name, command, rows):
    commit = _clean_commit()
    print(f"python {command}", flush=True)
    began = time.monotonic()
    result = _run(command)
    seconds = time.monotonic() - began
    if _clean_commit() != commit:
        raise UserError(f"reproduce: the tree was changed while {rows[0].name} ran; nothing was written.")
    packages = {package: importlib.metadata.version(package) for package in TABLES[name].packages}
    versions = provenance.versions() | packages
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    shared = {
        "command": f"python {command}", "commit": commit, "seed": SEED, "machine": provenance.machine(),
        "versions": versions, "date": date, "seconds": round(seconds, 1),
    }  # fmt: skip
    lines = []
    for row in rows:
        value, spread = _reported(result, row)
        record = {
            "row": row.name, "metric": row.metric, "value": value, "unit": row.unit, "published": row.published,
            "source": row.source + (" (unverified)" if row.unverified else ""), **shared,
        }  # fmt: skip
        record |= {"spread": spread} if spread else {}
        record |= {"details": result["details"]} if result["details"] else {}
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
        print(f"{name} {row.name}: {row.metric} {figure(record)} {row.unit}{_beside(row, value)}", flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    with open(RESULTS / f"{name}.jsonl", "a", encoding="utf-8") as file:
        file.writelines(lines)
    if result["curves"]:
        known = json.loads(_curves(name).read_text()) if _curves(name).exists() else {}
        known[rows[0].name] = {"commit": commit, "date": date, **result["curves"]}
        atomic.write_atomic(_curves(name), json.dumps(known, indent=1) + "\n")


def _run(command):
    """{"metrics", "details", "curves"} as the command reports them, whatever its exit status."""
    words = shlex.split(command)
    with tempfile.TemporaryDirectory(prefix="keras_dl-reproduce-") as folder:
        report = Path(folder) / "report.json"
        is_app = words[0].startswith("apps/")
        place = ["--out", folder] if is_app else ["--json", str(report)]
        status = subprocess.run([sys.executable, *words, *place], cwd=ROOT).returncode
        if is_app:
            report = next(Path(folder).glob("runs/*/*/finished.json"), report)
        if not report.exists():
            raise UserError(
                f"reproduce: `python {command}` ended with {status} and left no figure; nothing was written."
            )
        result = json.loads(report.read_text())
    if "metrics" not in result:  # one flat dict: its numbers are metrics and details
        result = {"metrics": result, "details": {k: v for k, v in result.items() if isinstance(v, (int, float))}}
    return {"details": {}, "curves": {}} | result


def _reported(result, row):
    """(value, spread or None) of a row's metric."""
    metrics = result["metrics"]
    try:
        reported = metrics[row.metric] if row.metric in metrics else DERIVED[row.metric](metrics)
    except KeyError as error:
        raise UserError(
            f"reproduce: {row.name} reports {', '.join(metrics)}, but not {error}; nothing was written."
        ) from None
    value, spread = (reported["value"], reported["spread"]) if isinstance(reported, dict) else (reported, None)
    if not math.isfinite(value):
        raise UserError(f"reproduce: {row.name}'s {row.metric} must be finite; got {value}. Nothing was written.")
    return value, spread


def _clean_commit():
    """The current commit; the tree may differ from it only in what this script writes."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        raise UserError(f"reproduce: {ROOT} must be a git checkout with a commit, so that a figure can name its code.")
    package = Path(provenance.__file__).resolve().parents[1]
    if package != ROOT:  # an editable install of another checkout
        raise UserError(
            f"reproduce: keras_dl must be imported from {ROOT}, whose commit a figure names; got {package}. "
            f"Run with PYTHONPATH={ROOT}."
        )
    status = _git("status", "--porcelain", "--untracked-files=all", "--no-renames", "-z")
    changed = [entry[3:] for entry in status.split("\0") if entry and not _generated(entry[3:])]
    if changed:
        more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
        raise UserError(
            f"reproduce: the tree must be as committed; changed or new: {', '.join(changed[:5])}{more}. "
            f"Commit or stash first; nothing was run."
        )
    return commit.strip()


def _generated(path):
    """Is this changed file one that this script writes, and changed only where it writes?"""
    if path in PAGES and (ROOT / path).exists():
        committed = _git("show", f"HEAD:{path}") or ""
        return MARKED.sub(r"\1\3", committed) == MARKED.sub(r"\1\3", (ROOT / path).read_text(encoding="utf-8"))
    return path.startswith("benchmarks/results/") or path in [str(_picture(name).relative_to(ROOT)) for name in TABLES]


def _git(*words):
    """What git prints, or None where it fails."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout


def _marked_text(page):
    """The text of a page whose marks are complete and known."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if text.count("<!-- table:") != len(MARKED.findall(text)):
        raise UserError(f"reproduce: every <!-- table:NAME --> line of {page} must be followed by an <!-- end -->.")
    known = [*SPECIAL, *TABLES]
    for _, name, _ in MARKED.findall(text):
        if name not in known:
            raise UserError(f"reproduce: {page} marks a table {name!r}.{wording.nearest(name, known)}")
    return text


def _written(name):
    return SPECIAL[name]() if name in SPECIAL else _table(name)


def _table(name):
    """A row for each row of the table, a column for each metric, and where the figures come from."""
    table, records_of_table = TABLES[name], newest(name)
    metrics = list(dict.fromkeys((row.metric, row.unit) for row in table.rows))
    cited = any(row.source for row in table.rows)
    head = ["", *(f"{metric} ({unit})" for metric, unit in metrics)]
    head += ["published", "source"] if cited else []
    head += ["command, seconds", "date, commit"]
    lines = []
    for row_name in dict.fromkeys(row.name for row in table.rows):
        rows = {row.metric: row for row in table.rows if row.name == row_name}
        records = {metric: records_of_table.get((row_name, metric)) for metric, _ in metrics}
        line = [row_name, *(beside_its_bar(rows[m], records[m]) if m in rows else "" for m, _ in metrics)]
        if cited:
            figures = [published(row) for row in rows.values() if row.published is not None]
            sources = dict.fromkeys(row.source for row in rows.values() if row.source)
            line += [", ".join(figures) or "-", "; ".join(sources)]
        last = max(filter(None, records.values()), key=lambda record: record["date"], default=None)
        line += [f"{last['seconds']:.0f}", f"{last['date'][:10]}, {last['commit'][:7]}"] if last else ["", ""]
        lines.append(line)
    text = f'<a id="table-{name}"></a>{table.title}.\n\n{_grid(head, lines)}'
    machines = dict.fromkeys(_measured_on(records_of_table[key]) for key in sorted(records_of_table))
    if machines:
        text += "\n" + "".join(f"Measured on {machine_and_versions}.\n" for machine_and_versions in machines)
    if _curves(name).exists():
        text += f"\n![{table.title}]({_picture(name).name})\n"
    return text


def _architectures():
    """README's table: each architecture with the apps that train it and one figure beside the published one."""
    from keras_dl import models

    apps = _apps()
    lines = []
    for architecture in models.catalogue():
        name = architecture.name
        tables_of_it = dict.fromkeys(table for table, _, record in of_architecture(name) if record)
        line = [name, ", ".join(f"[{app}](apps/{app}.py)" for app in apps[name])]
        shown = headline(name)
        if shown is None:
            line += ["no figure of its quality yet", "-", "-"]
        else:
            chosen, row, record = shown
            missed = record is not None and not reaches(row, record["value"])
            ours = beside_its_bar(row, record) if missed or record is None else figure(record)
            line += [chosen.data, ours, published(row)]
        lines.append([*line, ", ".join(f"[{table}](docs/results.md#table-{table})" for table in tables_of_it)])
    return _grid(["architecture", "app", "data and measure", "ours", "published", "its tables"], lines)


def _missed():
    """Every measured figure that does not reach its bar."""
    lines = []
    for name, table in TABLES.items():
        records = newest(name)
        for row in table.rows:
            record = records.get((row.name, row.metric))
            if record and not reaches(row, record["value"]):
                link = f"[{name}](#table-{name})"
                lines.append([link, row.name, f"{row.metric} ({row.unit})", figure(record), bar(row)])
    return _grid(["table", "row", "metric", "ours", "bar"], lines)


def _recipes():
    """The command of every row that an app trains, ready to paste."""
    lines = []
    for name, table in TABLES.items():
        for row in table.rows:
            command = f"    python {row.command}"
            if row.command.startswith("apps/") and command not in lines:
                lines += ["", f"{name}, {row.name}:", "", command]
    return "\n".join(lines[1:]) + "\n"


def _own_data_recipes():
    """The plain command and the ten recipes of every row of own_data, with their newest figures."""
    import own_data

    records, text = newest("own_data"), ""
    for name, row in own_data.ROWS.items():
        record = records.get((name, "behind"), {"details": {"runs": {}}})
        runs, lines = record["details"]["runs"], []
        for number, flags in enumerate(["", *row.recipes]):
            run = runs.get(str(number or own_data.PLAIN))
            figures = [recorded_number(run["value"]), f"{run['seconds']:.0f}"] if run else ["not measured", ""]
            lines.append([f"`{flags}`" if flags else "the plain command instead", *figures])
        text += (
            f"\n{name}: {row.app} with `{own_data.BASES[row.app]}` and\n\n{_grid(['', row.metric, 'seconds'], lines)}"
        )
    return text[1:]


# What is written from more than one table.
SPECIAL = {
    "architectures": _architectures, "missed": _missed, "recipes": _recipes, "own_data_recipes": _own_data_recipes,
}  # fmt: skip


def _apps():
    """{architecture: the apps whose --model takes it}, read from the apps' sources."""
    apps = {}
    for file in sorted((ROOT / "apps").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "model":
                for architecture in ast.literal_eval(node.annotation.slice):
                    apps.setdefault(architecture, []).append(file.stem)
    return apps


def _grid(head, lines):
    """A table in Markdown."""
    return "".join(f"| {' | '.join(line)} |\n" for line in [head, ["---"] * len(head), *lines])


def _drawer(name):
    """The function that draws a table's curves; these modules import TensorFlow or Matplotlib."""
    import alignment
    import experiments
    import influence
    import lengths
    import recurrent

    modules = (alignment, experiments, influence, lengths, recurrent)
    return next(module.PICTURES[name] for module in modules if name in module.PICTURES)


def _measured_on(record):
    shown = ("python", "tensorflow", "keras", "torch")
    return ", ".join([record["machine"], *(f"{p} {v}" for p, v in record["versions"].items() if p in shown)])


def _beside(row, value):
    text = "" if row.published is None else f"; published {published(row)}"
    if row.bar:
        text += f"; bar {bar(row)}: {'reached' if reaches(row, value) else 'missed'}"
    return text


def _curves(name):
    return RESULTS / f"{name}_curves.json"


def _picture(name):
    return ROOT / "docs" / f"{name}.png"


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UserError(f"reproduce: {message}; --help says more.")


def _parser():
    parser = _Parser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("table", nargs="?", metavar="TABLE", help="which table to measure; none lists them all")
    parser.add_argument("rows", nargs="*", metavar="ROW", help="which of its rows; none measures all")
    parser.add_argument("--docs", action="store_true", help=f"write the tables of {', '.join(PAGES)}, and the pictures")
    return parser


if __name__ == "__main__":
    command_line.run(main)
