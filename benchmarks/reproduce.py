"""Measure again what docs/results.md says: the paper's figure beside ours.

    python benchmarks/reproduce.py                      # tables, rows, published figures, newest measured ones
    python benchmarks/reproduce.py mnist convnet        # run a row again; no rows named: the whole table
    python benchmarks/reproduce.py --docs               # write the tables of README.md and docs/, and the pictures

A figure is one line of benchmarks/results/<table>.jsonl, with the commit that it was measured on: only a clean tree is
measured, with seed 0, each command in a process of its own, and no line is ever deleted. What may differ from the
commit is what this script writes itself: the results, what stands in the pages (PAGES) between <!-- table:NAME --> and
<!-- end -->, the pictures drawn from results/<table>_curves.json, and those that runs leave (kept_pictures.py).
"""

import argparse
import datetime
import importlib.metadata
import json
import math
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import kept_pictures
from recorded import RESULTS, bar, figure, newest, published, reaches
from tables import DERIVED, TABLES
from written_pages import MARKED, PAGES, ROOT, curves_file, drawn_picture
from written_pages import write as write_pages

from keras_dl import atomic, command_line, json_files, provenance, records, wording
from keras_dl.errors import UserError

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
        write_pages()
    elif asked.table:
        measure(asked.table, asked.rows)
    else:
        list_tables()


def list_tables():
    """Every table with the published and the newest measured figure of its rows."""
    for name, table in TABLES.items():
        recorded = newest(name)
        lines = [("row", "metric", "published", "bar", "measured", "date")]
        for row in table.rows:
            record = recorded.get((row.name, row.metric))
            measured = ("-", "")
            if record:
                missed = "" if reaches(row, record["value"]) else ", misses its bar"
                measured = (figure(record, row) + missed, record["date"][:10])
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


def _measure(name, command, rows):
    commit = _clean_commit()
    others = {row: _other(name, row) for row in rows if row.gain_over}  # refused before anything is run
    print(f"python {command}", flush=True)
    began = time.monotonic()
    pictures = [picture for picture in TABLES[name].pictures if picture.row in {row.name for row in rows}]
    result = _run(command, pictures)
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
    kept = {picture: kept_pictures.small(data, commit) for picture, data in result["pictures"].items()}
    lines = []
    for row in rows:
        reported = {"details": {}} | result["rows"].get(row.name, result)
        if row in others:
            first, other = others[row]
            value, spread = other["value"] - _reported(reported, first)[0], None
            reported = {"details": {"over": {key: other[key] for key in ("row", "value", "commit", "date")}}}
        else:
            value, spread = _reported(reported, row)
        record = {
            "row": row.name, "metric": row.metric, "value": value, "unit": row.unit, "published": row.published,
            "source": row.source + (" (unverified)" if row.unverified else ""), **shared,
        }  # fmt: skip
        record |= {"spread": spread} if spread else {}
        record |= {"details": reported["details"]} if reported["details"] else {}
        its_own = {p: png for p, png in kept.items() if p.row == row.name}
        record |= {"pictures": _digests(name, its_own)} if its_own else {}
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
        print(f"{name} {row.name}: {row.metric} {figure(record, row)} {row.unit}{_beside(row, value)}", flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    with open(RESULTS / f"{name}.jsonl", "a", encoding="utf-8") as file:
        file.writelines(lines)
    for picture, png in kept.items():
        (ROOT / "docs").mkdir(exist_ok=True)
        atomic.write_atomic(ROOT / "docs" / kept_pictures.name_of(name, picture), png)
    if result["curves"]:
        known = json.loads(curves_file(name).read_text()) if curves_file(name).exists() else {}
        known[rows[0].name] = {"commit": commit, "date": date, **result["curves"]}
        atomic.write_atomic(curves_file(name), json.dumps(known, indent=1) + "\n")


def _other(name, row):
    """(the Row of the same name whose metric is compared, the newest record of that metric of the row that it gains on)

    Raises:
        UserError: there is no such record.
    """
    first = next(each for each in TABLES[name].rows if each.name == row.name)
    record = newest(name).get((row.gain_over, first.metric))
    if record is None:
        raise UserError(f"reproduce: {row.metric} of {row.name} needs {row.gain_over}: measure that first.")
    return first, record


def _run(command, pictures):
    """{"metrics", "details", "curves", "rows", "pictures"} as the command reports them, whatever its exit status.

    Args:
        pictures: the Pictures that the command must leave; their files' bytes are in the result.
    """
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
        if is_app:
            result |= {"metrics": result["metrics"] | _minutes(report.parent), "details": _sizes(report)}
        result["pictures"] = kept_pictures.left(pictures, report.parent)
    if not {"metrics", "rows"} & set(result):  # one flat dict: its numbers are metrics and details
        numbers = {k: v for k, v in result.items() if isinstance(v, (int, float))}
        result = {"metrics": result, "details": numbers, "pictures": result["pictures"]}
    return {"details": {}, "curves": {}, "rows": {}} | result


def _minutes(run):
    """{"training_minutes": time in training.fit} of an app's run; {} if it has trained nothing."""
    config = run / "config.json"
    seconds = json_files.read(config, records.Config).get("training_seconds") if config.exists() else None
    return {} if seconds is None else {"training_minutes": seconds / 60}


def _sizes(finished):
    """{"epochs", "parameters"} of an app's run, as far as its finished.json and its export's card say them."""
    sizes = {"epochs": json.loads(finished.read_text()).get("epochs")}
    for card in finished.parents[3].glob("saved_models/*/*/card.json"):
        sizes["parameters"] = json.loads(card.read_text()).get("parameters", {}).get("trainable")
    return {name: size for name, size in sizes.items() if size is not None}


def _digests(table, pictures):
    return {kept_pictures.name_of(table, picture): kept_pictures.digest(png) for picture, png in pictures.items()}


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
    pictures = [f"docs/{kept_pictures.name_of(name, p)}" for name, table in TABLES.items() for p in table.pictures]
    drawn = [str(drawn_picture(name).relative_to(ROOT)) for name in TABLES]
    return path.startswith("benchmarks/results/") or path in [*pictures, *drawn]


def _git(*words):
    """What git prints, or None where it fails."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout


def _beside(row, value):
    text = "" if row.published is None else f"; published {published(row)}"
    if row.bar:
        text += f"; bar {bar(row)}: {'reached' if reaches(row, value) else 'missed'}"
    return text


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
