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
    """What an image data set is: names of the classes, shapes (H, W, C) of a raw and of a pre-processed example."""

    name: str
    classes: tuple
    input_shape: tuple
    raw_shape: tuple
    flip: bool  # is a mirrored example an example of the same class?
    augment: str  # what the data set's published recipes do
    source: str

    @property
    def num_classes(self):
        return len(self.classes)


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
    def few(self, most: Count, seed: Seed | None = None):
        """The same with at most so many examples of each split, for a run that only shows that all works.

        Args:
            most: examples a split.
            seed: they are drawn by it, and stay in their order: a folder's stand class by class. None: the first ones,
                as of a text, whose tokens go on from each other.

        Raises:
            UserError: an argument does not fit its annotation.
        """
        if seed is None:
            return dataclasses.replace(self, **{part: getattr(self, part).take(slice(most)) for part in PARTS})
        drawn = {}
        for part in PARTS:
            examples = getattr(self, part)
            drawn[part] = examples.take(np.sort(np.random.default_rng(seed).permutation(len(examples))[:most]))
        return dataclasses.replace(self, **drawn)
