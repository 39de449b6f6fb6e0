"""The section of a translation model: sources, references and translations with their scores, and the attention."""

import numpy as np

from keras_dl import scores
from keras_dl.reports.sections import Attention, Section
from keras_dl.wording import counted, verb

FIRST, WORST = 8, 8  # sentences of the test split that are shown
LONGEST = 100  # characters of a sentence whose attention is drawn


class Translation(Section):
    """A translation model's results on the test split.

    Args:
        sources, references, hypotheses: lists of N strings.
        attention: function (source, hypothesis) -> samples.attention_of's arguments of an alignment picture; None if
            the model has no attention.
    """

    def __init__(self, sources, references, hypotheses, attention=None):
        self.sources, self.references, self.hypotheses = sources, references, hypotheses
        self.attention = attention
        self.each = scores.of_each(hypotheses, references)
        self.first = list(range(min(FIRST, len(sources))))
        order = np.argsort(self.each, kind="stable").tolist()
        self.exact = np.array([h == r for h, r in zip(hypotheses, references, strict=True)])
        self.worst = [index for index in order if not self.exact[index]][:WORST]

    def intervals(self, metrics, seed):
        names = [name for name in metrics if name in scores.SCORES]
        return scores.intervals(self.hypotheses, self.references, names, seed=seed)

    def resampled(self):
        return len(self.sources), "sentences"

    def sentences(self):
        if not self.each:
            return []
        exact, sentences = int(self.exact.sum()), counted(len(self.each), "test sentences")
        return [f"{exact:,} of {sentences} {verb(exact or len(self.each), 'are')} translated exactly as the reference."]

    def facts(self):
        return {"samples": {"first": self._rows(self.first), "worst": self._rows(self.worst)}}

    def put(self, page):
        page.heading("Translations of the test split")
        columns = ["source", "reference", "translation", "chrF"]
        for title, indices in (("The first sentences", self.first), ("The worst sentences", self.worst)):
            if indices:
                page.sub_heading(f"{title} of the test split")
                page.table(columns, [list(row.values()) for row in self._rows(indices)])
        short = [index for index in (*self.first, *self.worst) if self._is_short(index)]
        if self.attention is None or not short:
            return
        worst = [index for index in self.worst if index in short]
        shown = dict.fromkeys([short[0], *worst[:1]])
        values = [self.attention(self.sources[index], self.hypotheses[index]) for index in shown]
        titles = [f"Attention: sentence {index + 1} of the test split, chrF {self.each[index]:.1f}" for index in shown]
        Attention(values, titles, "Each row is a sub-word of the translation, each column one of the source.").put(page)

    def _is_short(self, index):
        return max(len(self.sources[index]), len(self.hypotheses[index])) <= LONGEST

    def _rows(self, indices):
        return [
            {
                "source": self.sources[index],
                "reference": self.references[index],
                "translation": self.hypotheses[index],
                "chrf": round(self.each[index], 1),
            }
            for index in indices
        ]
