"""The section of a classifier: confusions, figures by class, ROC, precision-recall, reliability, the worst mistakes."""

import numpy as np

from keras_dl import bootstrap, summaries
from keras_dl.figures import png
from keras_dl.reports import charts, statistics
from keras_dl.reports.sections import Section
from keras_dl.wording import counted, percent, verb

SPLIT = "test split"
MISTAKES = 24  # that are shown
CURVES = 8  # classes, at most, whose ROC and precision-recall curves are drawn: those of the smallest area
LONG_TABLE = 30  # rows of a table from which it is folded


class Classification(Section):
    """A classifier's results on the test split.

    Args:
        result: what summaries.classification_report returned.
        feature: the Feature of the inputs, which shows the mistakes.
        inputs: (N, ...) the raw inputs of the test split, in the order of the report.
    """

    def __init__(self, result, feature, inputs):
        self.result, self.feature, self.inputs = result, feature, inputs
        self.classes, self.labels = list(result["classes"]), result["labels"]
        logs = np.asarray(result["log_probabilities"], np.float64)
        self.right = logs.argmax(1) == self.labels
        self.nats = -logs[np.arange(len(logs)), self.labels]
        self.finite = bool(np.isfinite(np.exp(logs)).all())
        self.curves, self.bins = [None] * len(self.classes), []
        if self.finite:
            probabilities = np.exp(logs)
            self.curves = statistics.one_against_rest(self.labels, probabilities)
            self.bins = statistics.reliability(np.minimum(probabilities.max(1), 1.0), self.right)

    def intervals(self, metrics, seed):
        known = {"accuracy": bootstrap.of_share(self.right, seed), "loss": bootstrap.of_mean(self.nats, seed)}
        return {name: ends for name, ends in known.items() if name in metrics and ends is not None}

    def resampled(self):
        return len(self.labels), "examples"

    def confusion(self):
        """(true class, predicted class, how often) of the most frequent confusion; None if there is none."""
        matrix = self.result["confusion"] * (1 - np.eye(len(self.classes), dtype=int))
        if not matrix.any():
            return None
        true, predicted = np.unravel_index(matrix.argmax(), matrix.shape)
        return self.classes[true], self.classes[predicted], int(matrix[true, predicted])

    def sentences(self):
        most = self.confusion()
        if most is None:
            count = len(self.labels)
            all_of_them = f"None of the {count:,} test examples is misclassified."
            return ["The only test example is classified right." if count == 1 else all_of_them]
        true, predicted, count = most
        return [f"The most frequent confusion: {true!r} taken for {predicted!r}, {counted(count, 'times')}."]

    def facts(self):
        rows = {}
        for name, scores, curve in zip(self.classes, self.result["classes"].values(), self.curves, strict=True):
            known = {key: None if curve is None else curve[key] for key in ("auc", "average_precision")}
            rows[name] = scores | known
        return {
            "classes": rows,
            "confusion": self._confusions(),
            "calibration": {"error": statistics.calibration_error(self.bins), "bins": self.bins},
        }

    def _confusions(self):
        """{true class: {predicted class: how often}} without zeros: of many classes most would be."""
        matrix, counts = self.result["confusion"], {name: {} for name in self.classes}
        for true, predicted in zip(*matrix.nonzero(), strict=True):
            counts[self.classes[true]][self.classes[predicted]] = int(matrix[true, predicted])
        return counts

    def put(self, page):
        matrix, wrong = self.result["confusion"], len(self.result["misclassified"]["index"])
        page.heading("Classes")
        examples = counted(matrix.sum(), "examples")
        caption = (
            f"Confusion matrix of the test split: {wrong:,} of {examples} {verb(wrong or matrix.sum(), 'are')} wrong."
        )
        title = f"test: {wrong:,} of {matrix.sum():,} wrong"
        figure = summaries.confusion_matrix_figure(matrix, self.classes, title)
        page.picture(png(figure), f"{caption} A row is a true class, a column a predicted one.", "confusion_matrix")
        self._table(page)
        if not self.finite:
            page.warning("The model's probabilities of the test split are not all finite: no curves are drawn.")
            return
        self._curves(page)
        page.heading("Reliability of the probabilities")
        error = statistics.calibration_error(self.bins)
        page.paragraph(
            f"Expected calibration error on the test split: {error:.3f}, the mean distance between the probability of "
            f"the predicted class and the share of right predictions, over {statistics.BINS} bins of equal width."
        )
        page.picture(charts.reliability(self.bins, SPLIT), "Reliability on the test split.", "reliability")
        self._mistakes(page)

    def _table(self, page):
        matrix, rows = self.result["confusion"], []
        for k, (name, facts) in enumerate(self.facts()["classes"].items()):
            others = np.where(np.arange(len(self.classes)) == k, 0, matrix[k])
            taken = f"{self.classes[others.argmax()]} ({others.max()})" if others.any() else ""
            figures = [_rounded(facts[key]) for key in ("precision", "recall", "f1", "auc", "average_precision")]
            rows.append([name, facts["support"], *figures, taken])
        columns = ["class", "test examples", "precision", "recall", "F1", "ROC area", "average precision"]
        title = f"Figures of each of the {counted(len(rows), 'classes')}" if len(rows) > LONG_TABLE else ""
        page.table([*columns, "most often taken for"], rows, folded=title)
        missing = [name for name, facts in self.result["classes"].items() if not facts["support"]]
        if missing:
            named = ", ".join(map(repr, missing[:5])) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
            page.warning(f"No example of the test split is of class {named}.")

    def _curves(self, page):
        known = {n: curve for n, curve in zip(self.classes, self.curves, strict=True) if curve is not None}
        if not known:
            return
        drawn = sorted(known, key=lambda name: known[name]["auc"])[:CURVES]
        page.heading("ROC and precision-recall")
        which = f"the {CURVES} classes with the smallest area" if len(known) > CURVES else "each class"
        caption = f"Test split: {which}, against all others."
        page.picture(charts.one_against_rest({name: known[name] for name in drawn}, SPLIT), caption, "roc")

    def _mistakes(self, page):
        wrong = {name: values[:MISTAKES] for name, values in self.result["misclassified"].items()}
        if not len(wrong["index"]):
            return
        page.heading("The worst mistakes")
        count = len(self.result["misclassified"]["index"])
        page.paragraph(
            f"Of the {counted(count, 'misclassified examples')} of the test split, the most confidently wrong first."
        )
        titles = [
            f"{self.classes[label]} taken for {self.classes[predicted]}, probability {percent(probability)}"
            for label, predicted, probability in zip(
                wrong["label"], wrong["predicted"], wrong["probability"], strict=True
            )
        ]
        values = [self.inputs[index] for index in wrong["index"]]
        pictures = self.feature.pictures(values, titles)
        if pictures:
            page.gallery(pictures, "test_mistake")
        else:
            rows = [[self.feature.show(v), title] for v, title in zip(values, titles, strict=True)]
            page.table(["input", "mistake"], rows)


def _rounded(value):
    return None if value is None else round(value, 4)
