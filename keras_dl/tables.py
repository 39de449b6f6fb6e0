"""Tables on a terminal, and as lines with tabs where the output is piped. What they show may come from strangers."""

import sys

from keras_dl.errors import printable

NUMBERS = 6  # of a list that a field shows


def show(title, columns, rows, multiline=()):
    """Print a table: on a terminal with rules, piped as lines with tabs between the fields.

    Args:
        title: above it, or "".
        columns: their names; with none of them, there is no line of names.
        rows: lists of fields. A control character is written out, so that it stays text.
        multiline: names of columns whose fields keep their line ends.
    """
    keep = ["\n\t" if column in multiline else "\t" for column in columns]
    title, columns = printable(title), [printable(column) for column in columns]
    rows = [[printable(field, kept) for field, kept in zip(row, keep, strict=True)] for row in rows]
    if not sys.stdout.isatty():
        for fields in ([f"# {title}"] if title else [], columns if any(columns) else [], *rows):
            if fields:
                print("\t".join(field.replace("\t", " ") for field in fields).rstrip())
        return
    from rich import console, markup, table

    shown = table.Table(title=markup.escape(title) or None, title_justify="left", show_header=any(columns))
    for column in columns:
        shown.add_column(markup.escape(column), overflow="fold")
    for row in rows:
        shown.add_row(*map(markup.escape, row))
    console.Console().print(shown)


def as_text(renderable):
    """What rich makes of a table: styled on a terminal, else plain text that is not cut at 80 columns."""
    from rich import console

    terminal = console.Console()
    if not terminal.is_terminal:
        terminal = console.Console(width=200)
    with terminal.capture() as captured:
        terminal.print(renderable)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()).strip("\n")


def plain(text):
    """A name of a stranger's, such as a class's folder, for a table of rich's: neither control nor markup."""
    from rich import markup

    return markup.escape(printable(text))


def short(value):
    """A value of JSON in a few words."""
    if isinstance(value, dict):
        return ", ".join(f"{key}={short(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(short(inner) for inner in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def few(value):
    """A value, and of a list the first NUMBERS."""
    if not isinstance(value, list):
        return short(value)
    more = f", ... {len(value) - NUMBERS} more" if len(value) > NUMBERS else ""
    return ", ".join(few(inner) for inner in value[:NUMBERS]) + more
