"""What a table of measurements consists of: rows, their commands and bars, and pictures of the measured run.

A row's command is written without `python`, to be run in the project's root. An app's result is its run's
finished.json, with its minutes of training; every other script has a flag `--json FILE` and writes {"metrics": {name:
number or {"value", "spread"}}, "details": {}, "curves": {}}, or with "rows": {row: {"metrics", "details"}} the figures
of several rows. Rows with the same command are measured by one run of it. Nothing here imports TensorFlow.
"""

import dataclasses


def mean_and_range(values):
    """{"value": the mean of several seeds or sets, "spread": [smallest, largest]}, as a script reports a figure."""
    return {"value": sum(values) / len(values), "spread": [min(values), max(values)]}


@dataclasses.dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        name, metric, unit: what it is; (name, metric) is unique in its table.
        command: what measures it.
        published: the paper's figure; source: where it is given; unverified: it is quoted from memory.
        bar: (">=" or "<=", figure), what it must reach, or ("=", figure, tolerance), what it must be; set before it is
            measured.
        architecture: the network that is measured, by its builder's name; "" where the figure is not of one.
        gain_over: "": the figure is what the command reports as `metric`; else the name of another row of the table:
            the figure is how far the first metric of this row lies below that row's newest one.
    """

    name: str
    metric: str
    unit: str
    command: str
    published: float | None = None
    source: str = ""
    unverified: bool = False
    bar: tuple | None = None
    architecture: str = ""
    gain_over: str = ""


@dataclasses.dataclass(frozen=True)
class Headline:
    """The figure that README shows of an architecture.

    Attributes:
        table, row, metric: where it stands.
        data: what is measured on which data, in words.
    """

    table: str
    row: str
    metric: str
    data: str


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture that a row's run leaves, and that docs/ shows.

    Attributes:
        row: whose command leaves it.
        file: a PNG file: of an app its place in the run's folder, of a script beside the file of --json. A pattern
            stands for the only file that it fits.
        name: what it shows in a word; the file in docs/ is <table>_<row>_<name>.png.
        caption: what it shows in a sentence.
    """

    row: str
    file: str
    name: str
    caption: str


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows under one title.

    Attributes:
        title, rows: what the table shows.
        packages: those beyond keras_dl's own whose versions belong to the figures.
        pictures: the Pictures that are kept of its runs.
    """

    title: str
    rows: tuple
    packages: tuple = ()
    pictures: tuple = ()
