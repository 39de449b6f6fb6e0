"""The section on pictures that a model without a likelihood makes."""

import numpy as np

from keras_dl import bootstrap
from keras_dl.features.image import png_of
from keras_dl.reports.sections import Section


class Generated(Section):
    """Pictures, and how a classifier and a Parzen window judge them.

    Args:
        pictures: {name: (grid of pictures, uint8 (h, w, C); its caption)}.
        shares: {class: share of the samples that a classifier takes for it}; {} without a classifier.
        parzen: (N,) Parzen log-likelihood of each picture of the test split, in nats; None if it was not measured.
        sentences: what the figures are, how many pictures they are of, and what they do not say.
    """

    def __init__(self, pictures, shares, parzen, sentences):
        self.pictures, self.shares, self.said = pictures, shares, list(sentences)
        self.parzen = None if parzen is None else np.asarray(parzen, np.float64)

    def intervals(self, metrics, seed):
        if self.parzen is None or "parzen" not in metrics:
            return {}
        return {"parzen": bootstrap.of_mean(self.parzen, seed)}

    def resampled(self):
        return (0 if self.parzen is None else len(self.parzen)), "pictures"

    def sentences(self):
        return list(self.said)

    def facts(self):
        return {"generated": {"class_shares": self.shares, "sentences": self.said}}

    def put(self, page):
        page.heading("What it makes")
        for sentence in self.said:
            page.paragraph(sentence)
        for name, (grid, caption) in self.pictures.items():
            page.picture(png_of(grid), caption, name)
        if self.shares:
            rows = [[name, f"{share:.1%}"] for name, share in self.shares.items()]
            page.table(
                ["class", "share of the samples"], rows, folded="Classes of the samples" if len(rows) > 12 else ""
            )
