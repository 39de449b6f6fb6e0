"""What a kind of data can say of its splits before a training: classes, sizes, the figure to beat, warnings.

Each kind's loader hands a Facts over in Splits.facts; `describing` asks it and knows no kind. A constant predictor
learns from the training split which constant to answer, and its score on the validation split is the figure to beat:
a model that scores no better has learnt nothing from its inputs.
"""

import numpy as np

from keras_dl.wording import counted, percent, verb

FEW_EXAMPLES = 10  # of a class in training
MOST_OF_ALL = 0.9  # share of the training examples that are of one class
STEP = 0.02  # share of a split that one example may be, if each is right or wrong
OF_MEAN = 0.05  # the same for figures that are means, such as nats
NAMED = 5  # classes that a sentence lists


class Facts:
    """The facts of any kind of data; a kind's own class overrides what it knows better.

    Attributes:
        unit: what `Info.counts` counts, as a plural.
        compared: whether the loader has already looked for examples that stand in two splits, or examples have nothing
            that could be compared.
        accuracy: whether the figures of examples with classes are accuracies; if not, they are means, and nothing is
            said of rare classes.
    """

    unit = "examples"
    compared = False
    accuracy = True

    def classes(self, splits):
        """{class name: {split: number of its examples}}; {} if the examples have no classes."""
        names = splits.info.classes
        if not names or "label" not in splits.train.features:
            return {}
        counts = {
            part: np.bincount(examples.features["label"], minlength=len(names)).tolist()
            for part, examples in splits.parts.items()
        }
        return {name: {part: counts[part][i] for part in counts} for i, name in enumerate(names)}

    def sizes(self, splits):
        """{"what", "smallest", "median", "largest"} of the examples as they came; {} if they have no sizes."""
        return {}

    def baseline(self, splits):
        """{"metric", "value", "what"} of the constant predictor, on the validation split; {} if none is known.

        With classes it is the accuracy of the class that is most frequent in the training split (among equals the
        first).
        """
        classes = self.classes(splits)
        if not classes:
            return {}
        most = max(classes, key=lambda name: classes[name]["train"])
        value = classes[most]["validation"] / len(splits.validation)
        return {"metric": "accuracy", "value": value, "what": f"always the most frequent class, '{most}'"}

    def warnings(self, splits):
        """Sentences, with figures and advice, on what makes the splits hard to learn from or their scores doubtful."""
        classes = self.classes(splits) if self.accuracy else {}
        repeated = () if self.compared else self.repeated(splits)
        return [*self.small_splits(splits), *(on_classes(classes) if classes else ()), *repeated]

    def small_splits(self, splits):
        """Sentences on held-out splits in which a single example is more than STEP (OF_MEAN of means)."""
        right_or_wrong = self.accuracy and splits.info.classes
        most = STEP if right_or_wrong else OF_MEAN
        for part in ("validation", "test"):
            count = len(splits.parts[part])
            if count * most >= 1:
                continue
            step = f"{100 / count:.1f}"
            moves = (
                f"each of them is {step} % of its figures" if count > 1 else "its figures are those of this one alone"
            )
            if right_or_wrong:
                moves = f"its accuracy moves in steps of {step} points"
            yield (
                f"the {part} split has only {counted(count, self.unit)}: {moves}, so small differences are chance; "
                "hold out or collect more"
            )

    def repeated(self, splits):
        """Sentences on held-out examples that stand in the training split too, byte for byte."""
        field = next(iter(splits.train.features))
        known = set(map(_digest, splits.train.features[field]))
        for part in ("validation", "test"):
            values = splits.parts[part].features[field]
            count = sum(_digest(value) in known for value in values)
            if count:
                repeated = f"{count:,} of the {counted(len(values), self.unit)} of {part} {verb(count, 'stand')}"
                yield f"{repeated} in train too, byte for byte: what is right there may be known by heart"


def on_classes(classes):
    """Sentences on classes that are rare, missing or nearly everything; `classes` as Facts.classes returns them."""
    train = {name: counts["train"] for name, counts in classes.items()}
    total, most = sum(train.values()), max(train, key=train.get)
    if train[most] >= MOST_OF_ALL * total:
        yield (
            f"{percent(train[most] / total)} of the training examples are of one class, '{most}': an accuracy of that "
            "size shows nothing; look at each class's recall, and weigh classes alike (--class-weight balanced)"
        )
    rare = {name: count for name, count in train.items() if 0 < count < FEW_EXAMPLES}
    if rare:
        yield (
            f"{counted(len(rare), 'classes')} {verb(len(rare), 'have')} fewer than {FEW_EXAMPLES} training "
            f"examples: {_listed(rare)}; expect little of them, add examples, or leave them out"
        )
    for part in ("validation", "test"):
        unseen = {name: counts[part] for name, counts in classes.items() if counts[part] and not counts["train"]}
        if unseen:
            yield (
                f"the {part} split has {counted(len(unseen), 'classes')} of which the training split has no example: "
                f"{_listed(unseen)}; no model can be right there"
            )


def sizes(what, lengths):
    """Facts.sizes of whole numbers (N,); the median is one of them."""
    ordered = np.sort(np.asarray(lengths))
    smallest, median, largest = (int(ordered[at]) for at in (0, (len(ordered) - 1) // 2, -1))
    return {"what": what, "smallest": smallest, "median": median, "largest": largest}


def unigram_nats(train, held_out, size):
    """Mean of -log p over the tokens of `held_out`; p is a token's frequency in `train`.

    Every token of the vocabulary is counted once more than it occurs (Laplace's rule), so that none has probability 0.

    Args:
        train, held_out: ids (N,) and (M,), whole numbers below `size`.
        size: V, number of tokens of the vocabulary.

    >>> round(unigram_nats([0, 0, 1], [0, 1], 2), 4)  # p = 3/5 and 2/5
    0.7136
    """
    counts = np.bincount(train, minlength=size) + 1.0
    wanted = np.bincount(held_out, minlength=size)
    return float(-(wanted @ np.log(counts / counts.sum())) / wanted.sum())


def _digest(value):
    """A number of 64 bits: two of 100,000 different examples share one by chance once in four billion data sets."""
    return hash(np.asarray(value).tobytes())


def _listed(counts):
    names = [f"'{name}' ({count})" for name, count in list(counts.items())[:NAMED]]
    return ", ".join(names) + (f" and {len(counts) - NAMED} more" if len(counts) > NAMED else "")
