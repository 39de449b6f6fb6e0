"""The section on how the pictures of a model without a likelihood are judged."""

import numpy as np

from keras_dl import bootstrap
from keras_dl.reports.sections import Section

LONG_TABLE = 12  # classes from which their table is folded


class Generated(Section):
    """What a classifier and a Parzen window say of a model's pictures.

    Args:
        shares: {class: share of the samples that a classifier takes for it}; {} without a classifier.
        parzen: (N,) Parzen log-likelihood of each picture of the test split, in nats.
        sentences: what the figures are, of how many pictures, and what they do not say.
    """

    def __init__(self, shares, parzen, sentences):
        self.shares, self.parzen, self.said = shares, np.asarray(parzen, np.float64), list(sentences)

    def intervals(self, metrics, seed):
        return {"parzen": bootstrap.of_mean(self.parzen, seed)} if "parzen" in metrics else {}

    def resampled(self):
        return len(self.parzen), "pictures"

    def sentences(self):
        return list(self.said)

    def facts(self):
        return {"generated": {"class_shares": self.shares, "sentences": self.said}}

    def put(self, page):
        page.heading("How it is judged")
        for sentence in self.said:
            page.paragraph(sentence)
        if self.shares:
            rows = [[name, f"{share:.1%}"] for name, share in self.shares.items()]
            folded = "Classes of the samples" if len(rows) > LONG_TABLE else ""
            page.table(["class", "share of the samples"], rows, folded=folded)
