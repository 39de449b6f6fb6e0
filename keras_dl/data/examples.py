"""What a data set is in memory: examples in random access, in three splits."""

import dataclasses
from collections.abc import Callable

import numpy as np

from keras_dl.arguments import Seed, Whole, checked
from keras_dl.errors import printable

Count = Whole(1, 1_000_000_000)
PARTS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class Info:
    """What a data set is, of whatever kind.

    Attributes:
        name: of the set, or of the user's file or folder.
        source: where it comes from.
        features: {name of a feature of the Examples: what it is}, plain data or an object with config(). Of a label
            that is {"classes": names}.
        counts: {split: examples}; of a text its tokens.
        details: {name: plain data} that the kind says besides.
    """

    name: str
    source: str
    features: dict
    counts: dict
    details: dict = dataclasses.field(default_factory=dict)

    @property
    def classes(self):
        """Names of the classes, of the first feature that has some; () where none has."""
        plain = map(_plain, self.features.values())
        return next((tuple(feature["classes"]) for feature in plain if "classes" in feature), ())

    @property
    def num_classes(self):
        return len(self.classes)

    def config(self):
        """Plain data, as an export's card has them: details stand beside name, source, features and counts."""
        features = {name: _plain(feature) for name, feature in self.features.items()}
        return {"name": self.name, "source": self.source, "features": features, "counts": self.counts, **self.details}


def _plain(feature):
    return feature.config() if hasattr(feature, "config") else feature


class Ragged:
    """Sequences of unlike lengths as a feature of Examples: one array of all their steps, cut where each begins.

    Attributes:
        values: (S, ...) the steps of all sequences, one after the other.
        splits: (N + 1,) int64; sequence i is values[splits[i] : splits[i + 1]].
    """

    def __init__(self, values, splits):
        self.values, self.splits = values, np.asarray(splits, np.int64)

    @classmethod
    def of(cls, sequences):
        """Made of a list of arrays (T, ...)."""
        return cls(np.concatenate(sequences), np.cumsum([0, *map(len, sequences)]))

    def __len__(self):
        return len(self.splits) - 1

    def __iter__(self):
        return (self.values[a:b] for a, b in zip(self.splits, self.splits[1:], strict=False))

    def __getitem__(self, indices):
        """The sequences of those numbers, as Ragged."""
        rows = list(self)
        return Ragged.of([rows[i] for i in np.arange(len(self))[indices]])

    @property
    def lengths(self):
        """(N,) steps of each sequence."""
        return np.diff(self.splits)


@dataclasses.dataclass(frozen=True)
class Examples:
    """One split in random access.

    Attributes:
        features: {name: array (N, ...) or Ragged}, raw.
        rows: B where example n goes on from example n - B, as windows of a text do: they are batched in order, B at
            once. 0 where each example is for itself.
    """

    features: dict
    rows: int = 0

    def __len__(self):
        return len(next(iter(self.features.values())))

    def take(self, indices):
        return Examples({name: array[indices] for name, array in self.features.items()}, self.rows)


@dataclasses.dataclass(frozen=True)
class Splits:
    """train, validation and test apart; validation is a fixed seeded part of the published training split.

    Attributes:
        notes: sentences that an app prints before it trains: what was left out, with counts and reasons, and what was
            decided for the user.
    """

    train: Examples
    validation: Examples
    test: Examples
    info: Info
    preprocess: Callable
    notes: tuple = ()

    def __post_init__(self):
        # Names of files and letters of texts stand in them: each stays on its line.
        object.__setattr__(self, "notes", tuple(map(printable, self.notes)))

    @checked(who="Splits.few")
    def few(self, most: Count | None, seed: Seed | None = None):
        """The same with at most so many examples of each split, for a run that only shows that all works.

        Args:
            most: examples a split; None: all.
            seed: they are drawn by it, and stay in their order: a folder's stand class by class. None: the first ones,
                as of a text, whose tokens go on from each other.

        Raises:
            UserError: an argument does not fit its annotation.
        """
        if most is None:
            return self
        few = {}
        for part in PARTS:
            examples = getattr(self, part)
            order = slice(most)
            if seed is not None:
                order = np.sort(np.random.default_rng(seed).permutation(len(examples))[:most])
            few[part] = examples.take(order)
        return dataclasses.replace(self, **few, info=dataclasses.replace(self.info, counts=counts(few)))


def counts(splits):
    """{split: examples} of {split: Examples}, for Info.counts."""
    return {part: len(splits[part]) for part in PARTS}
