"""What `reproduce.py --docs` writes: tables of README.md and docs/ from the newest records, and pictures of curves.

What stands in a page between <!-- table:NAME --> and <!-- end --> is written here, and nothing else of it.
"""

import ast
import json
import re
from pathlib import Path

import kept_pictures
from recorded import RESULTS, bar, beside_its_bar, figure, headline, newest, of_architecture, published, reaches
from recorded import number as recorded_number
from tables import TABLES

from keras_dl import atomic, wording
from keras_dl.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "docs/results.md", "docs/recipes.md")
MARKED = re.compile(r"(<!-- table:(\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def write():
    """Write the tables between the marks of each page from the newest records, and draw the pictures of the curves."""
    texts = {page: _marked_text(page) for page in PAGES if (ROOT / page).is_file()}
    if not texts:
        raise UserError(f"reproduce: none of {', '.join(PAGES)} is in {ROOT}.")
    for page, text in texts.items():
        atomic.write_atomic(ROOT / page, MARKED.sub(lambda mark: mark[1] + written(mark[2]) + mark[3], text))
    for name in TABLES:
        if curves_file(name).exists():
            drawn_picture(name).parent.mkdir(exist_ok=True)
            _drawer(name)(json.loads(curves_file(name).read_text()), drawn_picture(name))


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


def written(name):
    """The text of a table, or of what SPECIAL makes of several."""
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
    text += _sizes(table, records_of_table)
    machines = dict.fromkeys(_measured_on(records_of_table[key]) for key in sorted(records_of_table))
    if machines:
        text += "\n" + "".join(f"Measured on {machine_and_versions}.\n" for machine_and_versions in machines)
    if curves_file(name).exists():
        text += f"\n![{table.title}]({drawn_picture(name).name})\n"
    return text + _pictures(name, table, records_of_table)


def _sizes(table, records_of_table):
    """The parameters and epochs of the rows whose records say them."""
    lines = {}
    for row in table.rows:
        details = records_of_table.get((row.name, row.metric), {}).get("details", {})
        if {"parameters", "epochs"} <= set(details):
            lines[row.name] = f"{row.name}: {details['parameters']:,} parameters, {details['epochs']} epochs"
    return f"\n{'; '.join(lines.values())}.\n" if lines else ""


def _pictures(name, table, records_of_table):
    """The pictures that the rows' newest runs left, each with its caption and commit."""
    text, commits = "", {}
    for record in sorted(records_of_table.values(), key=lambda record: record["date"]):
        commits |= dict.fromkeys(record.get("pictures", ()), record["commit"][:7])
    for picture in table.pictures:
        file = kept_pictures.name_of(name, picture)
        if file in commits:
            text += f"\n![{picture.caption}]({file})\n\n{picture.row}: {picture.caption} ({commits[file]}).\n"
    return text


def architectures():
    """README's table: each architecture with the apps that train it and one figure beside the published one."""
    from keras_dl import models

    apps = _apps()
    lines = []
    for architecture in models.catalogue():
        name = architecture.name
        tables_of_it = dict.fromkeys(table for table, _, record in of_architecture(name) if record)
        line = [name, ", ".join(f"[{app}](apps/{app}.py)" for app in apps.get(name, [])) or "none yet"]
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
    "architectures": architectures, "missed": _missed, "recipes": _recipes, "own_data_recipes": _own_data_recipes,
}  # fmt: skip


def _apps():
    """{architecture: the apps whose --model takes it}, read from the apps' sources."""
    apps = {}
    for file in sorted((ROOT / "apps").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "model":
                named = ast.literal_eval(node.annotation.slice)
                for architecture in [named] if isinstance(named, str) else named:
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
    import landscape
    import lengths
    import priors
    import recurrent

    modules = (alignment, experiments, influence, landscape, lengths, priors, recurrent)
    return next(module.PICTURES[name] for module in modules if name in module.PICTURES)


def _measured_on(record):
    shown = ("python", "tensorflow", "keras", "torch")
    return ", ".join([record["machine"], *(f"{p} {v}" for p, v in record["versions"].items() if p in shown)])


def curves_file(name):
    """results/<table>_curves.json, the curves of a table's runs."""
    return RESULTS / f"{name}_curves.json"


def drawn_picture(name):
    """docs/<table>.png, which is drawn from them."""
    return ROOT / "docs" / f"{name}.png"
