"""Tables: drawn on a terminal, lines with tabs if the output is piped. Their contents may be untrusted."""

import shutil
import sys

from keras_dl.errors import printable

WIDE = 200  # columns of a table that is not printed on a terminal
NUMBERS = 6  # entries of a list that a field shows


def show(title, columns, rows, multiline=()):
    """Print a table: on a terminal with rules, else as lines with tabs between the fields.

    Args:
        title: printed above the table, or "".
        columns: names of the columns; if all are empty, they are not printed.
        rows: lists of fields. Control characters are escaped.
        multiline: names of columns whose fields keep their line breaks.
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
    """A rich table as plain text, as wide as the terminal; if there is none, not cut at 80 columns.

    It has no styles: whoever prints it, as Run.say, escapes their control characters.
    """
    from rich import console

    terminal = console.Console(color_system=None, width=width())
    with terminal.capture() as captured:
        terminal.print(renderable)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()).strip("\n")


def width():
    """Columns that a line may have: those of the terminal; WIDE if standard output is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE


def plain(text):
    """An untrusted name, such as a class's folder, for a rich table: control characters and markup are escaped."""
    from rich import markup

    return markup.escape(printable(text))


def short(value):
    """A JSON value as one short text."""
    if isinstance(value, dict):
        return ", ".join(f"{key}={short(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(short(inner) for inner in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def few(value):
    """As `short`, but only the first NUMBERS entries of lists."""
    if isinstance(value, dict):
        return ", ".join(f"{key}={few(inner)}" for key, inner in value.items())
    if not isinstance(value, list):
        return short(value)
    more = f", ... {len(value) - NUMBERS} more" if len(value) > NUMBERS else ""
    return ", ".join(few(inner) for inner in value[:NUMBERS]) + more
