"""HTML pages in one file: pictures are inside, and a browser asks for nothing outside of it.

    page = Page("convnet-digits-1")
    page.heading("Data")
    page.table(["class", "pictures"], [["seven", 120]])
    page.picture(figures.png(figure), "Curves of the loss")
    page.write(run.path / "report.html")

All texts may be untrusted: they are escaped. There are no scripts, and the page's own policy forbids them.
"""

import base64
import html

from keras_dl.atomic import write_atomic
from keras_dl.errors import printable

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1c2430; background: #fff; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { font-size: 1.25rem; margin-top: 2.2rem; border-bottom: 1px solid #d7dce3; }
table { border-collapse: collapse; margin: .8rem 0; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; vertical-align: top; border-bottom: 1px solid #e8ebef; overflow-wrap: anywhere; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
figure { margin: 1rem 0; } figure img { max-width: 100%; height: auto; } summary { cursor: pointer; color: #2a5d9c; }
.gallery { display: flex; flex-wrap: wrap; gap: 1rem; } .gallery figure { width: 8.5rem; margin: 0; }
.gallery img { width: 100%; } .gallery figcaption { overflow-wrap: anywhere; line-height: 1.3; }
figcaption { color: #566172; font-size: .9rem; }
pre { background: #f4f6f8; padding: .7rem; white-space: pre-wrap; overflow-wrap: anywhere; } .warning { border-left: 4px solid #d98200; padding-left: .7rem; }
"""  # noqa: E501


class Page:
    """A page that is filled from top to bottom.

    Args:
        title: of the browser's tab, and the first heading.
    """

    def __init__(self, title):
        self.title, self.parts = title, []
        self._add("h1", title)

    def heading(self, text):
        self._add("h2", text)

    def sub_heading(self, text):
        self._add("h3", text)

    def paragraph(self, text):
        self._add("p", text)

    def warning(self, text):
        """A paragraph that is marked as a warning."""
        self.parts.append(f'<p class="warning">{escaped(text)}</p>')

    def text(self, text):
        """A text that keeps its line breaks, such as a sample or commands to paste."""
        self._add("pre", text)

    def table(self, columns, rows, folded=""):
        """A table; columns in which every value is a number (or None, an empty field) are aligned to the right.

        Args:
            columns: their names; if all are empty, no line of names is written.
            rows: lists of values. Floats are written with six significant digits.
            folded: if not empty, a line that is shown instead of the table until it is clicked.
        """
        numeric = [all(_is_number(row[i]) for row in rows) for i in range(len(columns))]
        lines = [_row("th", columns, numeric)] if any(columns) else []
        lines += [_row("td", row, numeric) for row in rows]
        table = "<table>\n" + "\n".join(lines) + "\n</table>"
        self.parts.append(f"<details><summary>{escaped(folded)}</summary>\n{table}\n</details>" if folded else table)

    def picture(self, png, caption):
        """A picture.

        Args:
            png: bytes of a PNG file.
            caption: what it shows; also read out where pictures are not shown.
        """
        self.parts.append(_figure(png, caption))

    def gallery(self, pictures):
        """Small pictures beside each other, such as thumbnails: a list of (caption, png)."""
        figures = "\n".join(_figure(png, caption) for caption, png in pictures)
        self.parts.append(f'<div class="gallery">\n{figures}\n</div>')

    def html(self):
        """The page as a string."""
        head = f'<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        head += '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        head += f"<title>{escaped(self.title)}</title>\n<style>{STYLE}</style>"
        body = "\n".join(self.parts)
        return f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'

    def write(self, path):
        """Write the page to a file, completely or not at all."""
        write_atomic(path, self.html())

    def _add(self, tag, text):
        self.parts.append(f"<{tag}>{escaped(text)}</{tag}>")


def escaped(text):
    """A text for HTML: markup and control characters are escaped, line breaks are kept."""
    return html.escape(printable(str(text), keep="\n\t"))


def shown(value):
    """A value as a table shows it: None is nothing, a float has six significant digits, a whole number commas."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value


def _figure(png, caption):
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    text = escaped(caption)
    return f'<figure><img src="{source}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def _is_number(value):
    return value is None or isinstance(value, int | float) and not isinstance(value, bool)


def _row(tag, values, numeric):
    cells = []
    for value, right in zip(values, numeric, strict=True):
        attribute = ' class="number"' if right else ""
        cells.append(f"<{tag}{attribute}>{escaped(shown(value))}</{tag}>")
    return f"<tr>{''.join(cells)}</tr>"
