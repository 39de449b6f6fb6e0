"""Measure again what the README claims: the paper's figure beside ours.

    python benchmarks/reproduce.py                      # tables, rows, published figures, newest measured ones
    python benchmarks/reproduce.py mnist convnet        # run a row again; no rows named: the whole table
    python benchmarks/reproduce.py --readme             # write README's tables and docs' pictures from the results

A figure is one line of benchmarks/results/<table>.jsonl, with the commit that made it: only a clean tree is measured,
with seed 0, each command in a process of its own, and no line is ever deleted. What may differ from the commit is what
this script writes itself: the results, the tables in README.md between <!-- table:NAME --> and <!-- end -->, and the
pictures drawn from results/<table>_curves.json.
"""

import argparse
import datetime
import importlib.metadata
import json
import math
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tables import DERIVED, TABLES

from keras_dl import atomic, provenance, settings
from keras_dl.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
README = ROOT / "README.md"
MARKED = re.compile(r"(<!-- table:(\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
SEED = 0
KEYS = (
    "row", "metric", "value", "unit", "published", "source", "command", "commit", "seed", "machine", "versions", "date",
    "seconds",
)  # fmt: skip


def main(argv=None):
    """List, measure, or write the README's tables.

    Raises:
        UserError: an unknown table or row, a tree that differs from its commit, a command that leaves no figure.
    """
    asked = _parser().parse_args(argv)
    if asked.readme and asked.table:
        raise UserError(f"reproduce: --readme writes every table and takes no names; got {asked.table}.")
    if asked.readme:
        write_readme()
    elif asked.table:
        measure(asked.table, asked.rows)
    else:
        list_tables()


def list_tables():
    """Every table with the published and the newest measured figure of its rows."""
    for name, table in TABLES.items():
        newest = _newest(name)
        lines = [("row", "metric", "published", "bar", "measured", "date")]
        for row in table.rows:
            record = newest.get((row.name, row.metric))
            measured = (_figure(record) + _missed(row, record), record["date"][:10]) if record else ("-", "")
            bar = f"{row.bar[0]} {row.bar[1]:g}" if row.bar else ""
            lines.append((row.name, f"{row.metric} ({row.unit})", _published(row), bar, *measured))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        print(f"{name}: {table.title}")
        for line in lines:
            print("  " + "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
        print()
    print("python benchmarks/reproduce.py TABLE [ROW ...] measures again; --readme writes README.md's tables.")


def measure(name, names=()):
    """Run the commands of a table's rows, of all or of those named, and append what they report."""
    if name not in TABLES:
        raise UserError(f"reproduce: no table {name!r}.{settings.nearest(name, TABLES)} Tables: {', '.join(TABLES)}.")
    table = TABLES[name]
    known = list(dict.fromkeys(row.name for row in table.rows))
    for row in names:
        if row not in known:
            raise UserError(
                f"reproduce: {name} has no row {row!r}.{settings.nearest(row, known)} Rows: {', '.join(known)}."
            )
    rows = [row for row in table.rows if not names or row.name in names]
    for command in dict.fromkeys(row.command for row in rows):
        _measure(name, command, [row for row in rows if row.command == command])


def write_readme():
    """Write each marked table of README.md from the newest rows, and the pictures of the tables that have curves."""
    if not README.is_file():
        raise UserError(f"reproduce: no {README.name} in {ROOT}.")
    text = README.read_text(encoding="utf-8")
    if text.count("<!-- table:") != len(MARKED.findall(text)):
        raise UserError("reproduce: every <!-- table:NAME --> line of README.md must be followed by an <!-- end -->.")
    for _, name, _ in MARKED.findall(text):
        if name not in TABLES:
            raise UserError(f"reproduce: README.md marks a table {name!r}.{settings.nearest(name, TABLES)}")
    atomic.write_atomic(README, MARKED.sub(lambda found: found[1] + _markdown(found[2]) + found[3], text))
    for name in TABLES:
        if _curves(name).exists():
            import alignment
            import experiments
            import influence
            import lengths
            import recurrent

            modules = (alignment, experiments, influence, lengths, recurrent)
            draw = next(module.PICTURES[name] for module in modules if name in module.PICTURES)
            _picture(name).parent.mkdir(exist_ok=True)
            draw(json.loads(_curves(name).read_text()), _picture(name))


def machine():
    """What a time depends on: the processor's model, cores that this process may use, memory."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (found := re.search(r"^model name\s*: (.+)$", cpuinfo.read_text(), re.MULTILINE)):
        model = found[1].strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB"


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
        "command": f"python {command}", "commit": commit, "seed": SEED, "machine": machine(), "versions": versions,
        "date": date, "seconds": round(seconds, 1),
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
        print(f"{name} {row.name}: {row.metric} {_figure(record)} {row.unit}{_beside(row, value)}", flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    with open(RESULTS / f"{name}.jsonl", "a", encoding="utf-8") as file:
        file.writelines(lines)
    if result["curves"]:
        known = json.loads(_curves(name).read_text()) if _curves(name).exists() else {}
        known[rows[0].name] = {"commit": commit, "date": date, **result["curves"]}
        atomic.write_atomic(_curves(name), json.dumps(known, indent=1) + "\n")


def _run(command):
    """{"metrics", "details", "curves"} that the command reports, whatever its exit status."""
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
    if "metrics" not in result:  # one flat dict: what is a number is the figure, and says more of it
        result = {"metrics": result, "details": {k: v for k, v in result.items() if isinstance(v, (int, float))}}
    return {"details": {}, "curves": {}} | result


def _reported(result, row):
    """(value, spread or None) of a row's metric."""
    metrics = result["metrics"]
    try:
        found = metrics[row.metric] if row.metric in metrics else DERIVED[row.metric](metrics)
    except KeyError as error:
        raise UserError(
            f"reproduce: {row.name} reports {', '.join(metrics)}, but not {error}; nothing was written."
        ) from None
    value, spread = (found["value"], found["spread"]) if isinstance(found, dict) else (found, None)
    if not math.isfinite(value):
        raise UserError(f"reproduce: {row.name}'s {row.metric} must be finite; got {value}. Nothing was written.")
    return value, spread


def _clean_commit():
    """The commit that stands here, if the tree is that commit but for what this script writes."""
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
    if path == README.name and README.exists():
        committed = _git("show", f"HEAD:{path}") or ""
        return MARKED.sub(r"\1\3", committed) == MARKED.sub(r"\1\3", README.read_text(encoding="utf-8"))
    return path.startswith("benchmarks/results/") or path in [str(_picture(name).relative_to(ROOT)) for name in TABLES]


def _git(*words):
    """What git prints, or None where it fails."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout


def _newest(name):
    """{(row, metric): its newest record}."""
    file = RESULTS / f"{name}.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    records = [json.loads(line) for line in lines]
    return {(record["row"], record["metric"]): record for record in records}


def _markdown(name):
    """A row for each row of the table, a column for each metric, and where the figures come from."""
    table, newest = TABLES[name], _newest(name)
    metrics = list(dict.fromkeys((row.metric, row.unit) for row in table.rows))
    cited = any(row.source for row in table.rows)
    head = ["", *(f"{metric} ({unit})" for metric, unit in metrics)]
    head += ["published", "source"] if cited else []
    head += ["seconds", "date, commit"]
    lines = [head, ["---"] * len(head)]
    for row_name in dict.fromkeys(row.name for row in table.rows):
        rows = {row.metric: row for row in table.rows if row.name == row_name}
        records = {metric: newest.get((row_name, metric)) for metric, _ in metrics}
        line = [row_name, *(_cell(records[metric], rows.get(metric)) for metric, _ in metrics)]
        if cited:
            figures = [_published(row) for row in rows.values() if row.published is not None]
            sources = dict.fromkeys(row.source for row in rows.values() if row.source)
            line += [", ".join(figures) or "-", "; ".join(sources)]
        last = max(filter(None, records.values()), key=lambda record: record["date"], default=None)
        line += [f"{last['seconds']:.0f}", f"{last['date'][:10]}, {last['commit'][:7]}"] if last else ["", ""]
        lines.append(line)
    text = f"{table.title}.\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)
    machines = dict.fromkeys(_made_on(newest[key]) for key in sorted(newest))
    if machines:
        text += "\n" + "".join(f"Measured on {made_on}.\n" for made_on in machines)
    if _curves(name).exists():
        text += f"\n![{table.title}]({_picture(name).relative_to(ROOT)})\n"
    return text


def _cell(record, row):
    """A figure as a table shows it, marked where it misses its bar; "" where the table has no such row."""
    if row is None:
        return ""
    return _figure(record) + _missed(row, record) if record else "not measured"


def _missed(row, record):
    return "" if _reaches(row, record["value"]) else f", misses its bar of {row.bar[1]:g}"


def _made_on(record):
    shown = ("python", "tensorflow", "keras", "torch")
    return ", ".join([record["machine"], *(f"{p} {v}" for p, v in record["versions"].items() if p in shown)])


def _figure(record):
    spread = f" [{_number(record['spread'][0])}, {_number(record['spread'][1])}]" if "spread" in record else ""
    return _number(record["value"]) + spread


def _published(row):
    if row.published is None:
        return "-"
    return _number(row.published) + (" (unverified)" if row.unverified else "")


def _beside(row, value):
    text = "" if row.published is None else f"; published {_published(row)}"
    if row.bar:
        sign, bar = row.bar
        text += f"; bar {sign} {bar:g}: {'reached' if _reaches(row, value) else 'missed'}"
    return text


def _reaches(row, value):
    """Does a figure reach its row's bar? True where there is none."""
    sign, bar = row.bar or ("<=", math.inf)
    return value <= bar if sign == "<=" else value >= bar


def _number(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


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
    parser.add_argument("--readme", action="store_true", help="write README.md's tables and the pictures")
    return parser


if __name__ == "__main__":
    settings.run(main)
