"""The output of a search: a line for each trial, and a table of the best."""

import rich.box
import rich.table

from keras_dl import tables
from keras_dl.wording import counted

SHOWN = 5  # trials in the table at the end


def announcement(records, most):
    """The line before a trial: which of how many, and how long those before it took.

    >>> announcement([], 3), announcement([{"seconds": 30.0}, {"seconds": 10.0}], 3)
    ('trial 0 (1 of 3) ...', 'trial 2 (3 of 3), about 20 s each so far ...')
    """
    seconds = [record["seconds"] for record in records]
    each = f", about {sum(seconds) / len(seconds):.0f} s each so far" if seconds else ""
    return f"trial {len(records)} ({len(records) + 1} of {most}){each} ..."


def trial_line(record, monitor, varied):
    values = "  ".join(f"{name}={_short(value)}" for name, value in varied.items())
    result = f"failed: {record['message']}" if record["score"] is None else f"{monitor} {record['score']:.4f}"
    return f"trial {record['trial']}  {record['seconds']:.1f} s  {result}  ({values})"


def trials_table(ranked, failed, monitor, varied):
    rows = [varied(r) for r in ranked[:SHOWN]]
    names = list(dict.fromkeys(name for row in rows for name in row))
    title = f"The best of {counted(len(ranked) + failed, 'trials')}" + (f", {failed} of which failed" if failed else "")
    table = rich.table.Table(title=title, title_justify="left", box=rich.box.MARKDOWN)
    for name in ("trial", monitor, *names):
        table.add_column(name, justify="right")
    for r, row in zip(ranked, rows, strict=False):
        table.add_row(str(r["trial"]), f"{r['score']:.4f}", *(tables.plain(_short(row.get(n, ""))) for n in names))
    return tables.as_text(table)


def _short(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)
