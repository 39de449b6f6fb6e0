"""The recorded figures: the newest of each row, and how a figure, its published peer and its bar are written.

Nothing here measures, and nothing imports TensorFlow: reproduce.py and `python -m keras_dl list` read with it.
"""

import json
import math
from pathlib import Path

from tables import HEADLINES, TABLES

RESULTS = Path(__file__).resolve().parent / "results"
SIGNS = {"<=": "at most", ">=": "at least"}


def newest(name):
    """{(row, metric): its newest record} of a table."""
    file = RESULTS / f"{name}.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    records = [json.loads(line) for line in lines]
    return {(record["row"], record["metric"]): record for record in records}


def of_architecture(architecture):
    """[(table's name, Row, its newest record or None)] of a builder's network, in the order of the tables."""
    rows = []
    for name, table in TABLES.items():
        records = newest(name)
        for row in table.rows:
            if row.architecture == architecture:
                rows.append((name, row, records.get((row.name, row.metric))))
    return rows


def headline(architecture):
    """(Headline, Row, its newest record or None) of a builder's network; None where it has no figure of its own."""
    chosen = HEADLINES.get(architecture)
    if chosen is None:
        return None
    row = next(row for row in TABLES[chosen.table].rows if (row.name, row.metric) == (chosen.row, chosen.metric))
    return chosen, row, newest(chosen.table).get((row.name, row.metric))


def number(value):
    """Four digits: 1,234 or 0.1234."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def figure(record, row=None):
    """A record's value, with the ends of its spread where it has one.

    Args:
        row: its Row: the value is shown to the digits of the row's tolerance, if it has one. None: four digits.
    """
    tolerance = row.bar[2] if row is not None and row.bar and row.bar[0] == "=" else 0
    if tolerance:
        return f"{record['value']:.{max(0, -math.floor(math.log10(tolerance)))}f}"
    spread = f" [{number(record['spread'][0])}, {number(record['spread'][1])}]" if "spread" in record else ""
    return number(record["value"]) + spread


def published(row):
    """The published figure, said to be unverified where it was quoted from memory; "-" where there is none."""
    if row.published is None:
        return "-"
    return number(row.published) + (" (unverified)" if row.unverified else "")


def bar(row):
    """The bar in words, "at most 8" or "2.2402 within 0.0001"; "" where there is none."""
    if not row.bar:
        return ""
    sign, value, *tolerance = row.bar
    return f"{value:g} within {tolerance[0]:g}" if sign == "=" else f"{SIGNS[sign]} {value:g}"


def reaches(row, value):
    """Does a figure reach its row's bar? True where there is none."""
    sign, asked, *tolerance = row.bar or ("<=", math.inf)
    if sign == "=":
        return abs(value - asked) <= tolerance[0]
    return value <= asked if sign == "<=" else value >= asked


def beside_its_bar(row, record):
    """The figure with its bar, marked where it misses it; "not measured" where there is no record."""
    if record is None:
        return "not measured" + (f" (bar: {bar(row)})" if row.bar else "")
    if not row.bar:
        return figure(record, row)
    if reaches(row, record["value"]):
        return f"{figure(record, row)} (bar: {bar(row)})"
    return f"{figure(record, row)} **misses its bar: {bar(row)}**"
