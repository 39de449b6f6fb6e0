"""What a report says about a model's results: one section for each kind of result.

A section is made from the values of the one pass over the test split; it reads nothing itself. Every number and picture
says of which split it is.
"""

from pathlib import Path

import numpy as np

from keras_dl import bootstrap
from keras_dl.features.base import Feature
from keras_dl.features.sentences import Alignment
from keras_dl.reports import charts
from keras_dl.wording import counted


class Section:
    """A part of a report. Every method has a default, so that a section defines only what it has."""

    def intervals(self, metrics, seed):
        """{name of a metric: [low, high]} of those of `metrics` for which the section has an interval.

        Args:
            metrics: {name: value} on the test split.
            seed: of the resampling.
        """
        return {}

    def resampled(self):
        """(how many things were resampled for the intervals, what they are), such as (360, "examples")."""
        return 0, ""

    def sentences(self):
        """Sentences about the result, for the card."""
        return []

    def facts(self):
        """{name: plain data} for report.json."""
        return {}

    def put(self, page):
        """Add the section to a page.ReportPage."""


class Samples(Section):
    """What a model makes: values shown by their own feature, as pictures if it draws them, else as text.

    Args:
        feature: the Feature of the values.
        values: list of values, without the batch axis.
        titles: what each of them is, and of which split.
        name: beginning of the pictures' file names.
        heading: heading of the section.
    """

    def __init__(self, feature: Feature, values, titles, *, name="sample", heading="What it makes"):
        self.feature, self.values, self.titles = feature, list(values), list(titles)
        self.name, self.heading = name, heading

    def facts(self):
        shown = (self.feature.show(value) for value in self.values)
        return {"samples": dict(zip(self.titles, shown, strict=True))}

    def put(self, page):
        page.heading(self.heading)
        pictures = self.feature.pictures(self.values, self.titles)
        for number, (caption, png) in enumerate(pictures, 1):
            page.picture(png, caption, f"{self.name}_{number}")
        for title, value in zip(self.titles, self.values, strict=True) if not pictures else ():
            page.sub_heading(title)
            page.text(self.feature.show(value))


class Pictures(Section):
    """Pictures that an app has written to the run's samples, such as grids.

    Args:
        captions: {path of a PNG file: what it shows, and of which split}.
        heading: heading of the section.
    """

    def __init__(self, captions, *, heading="What it makes"):
        self.captions, self.heading = {Path(path): caption for path, caption in captions.items()}, heading

    def facts(self):
        return {"samples": {path.stem: caption for path, caption in self.captions.items()}}

    def put(self, page):
        page.heading(self.heading)
        for path, caption in self.captions.items():
            page.picture(path.read_bytes(), caption, path.stem)


class Attention(Section):
    """Where a model looks.

    Args:
        values: list of arguments of an alignment figure, as samples.attention_of returns them.
        titles: what each of them is, and of which split.
        sentence: what rows and columns are.
    """

    def __init__(self, values, titles, sentence):
        self.values, self.titles, self.sentence = values, titles, sentence

    def put(self, page):
        if not self.values:
            return
        page.heading("Where it looks")
        page.paragraph(f"{self.sentence} White is all weight.")
        for number, (caption, png) in enumerate(Alignment().pictures(self.values, self.titles), 1):
            page.picture(png, caption, f"attention_{number}")


class Likelihood(Section):
    """The negative log-likelihood of the test split, part by part.

    Args:
        sums: (N,) nats of each part, summed over its steps.
        counts: (N,) steps of each part.
        parts: what they are, such as "pieces" or "blocks of 100 tokens".
        step: what a step is, such as "token".
        unit: "nats" or "bits", in which it is drawn.
        meaning: sentences on what it is the likelihood of.
    """

    # Functions of the mean nats that are reported under other names; all rise with it.
    RISING = {
        "nats": lambda x: x,
        "nats_per_image": lambda x: x,
        "nats_per_sample": lambda x: x,
        "perplexity": np.exp,
        "bits": lambda x: x / np.log(2),
        "bits_per_dimension": lambda x: x / np.log(2),
    }

    def __init__(self, sums, counts, *, parts, step, unit="nats", meaning=()):
        self.sums, self.counts = np.asarray(sums, np.float64), np.asarray(counts, np.float64)
        self.parts, self.step, self.unit, self.meaning = parts, step, unit, list(meaning)

    def intervals(self, metrics, seed):
        interval = bootstrap.of_ratio(self.sums, self.counts, seed)
        if interval is None:
            return {}
        return {name: [float(f(end)) for end in interval] for name, f in self.RISING.items() if name in metrics}

    def resampled(self):
        return len(self.sums), self.parts

    def sentences(self):
        return self.meaning

    def facts(self):
        means = (self.sums / self.counts).tolist()
        return {"likelihood": {"parts": self.parts, "count": len(means), "nats": {"lowest": min(means, default=None),
                               "highest": max(means, default=None)}}}  # fmt: skip

    def put(self, page):
        if not len(self.sums):
            return
        page.heading("Likelihood, part by part")
        in_unit = self.RISING[self.unit]
        mean = in_unit(self.sums.sum() / self.counts.sum())
        means = in_unit(self.sums / self.counts)
        chart = charts.histogram(means, f"{self.unit} a {self.step}", f"{self.parts} of the test split", mean)
        caption = f"Test split: {self.unit} a {self.step} of {counted(len(self.sums), self.parts)}."
        page.picture(chart, f"{caption} The line is the mean over all {self.step}s.", "likelihood")
