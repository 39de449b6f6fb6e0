"""A data set in memory: examples with random access, in three splits."""

import dataclasses
from collections.abc import Callable

import numpy as np

from keras_dl.arguments import Seed, Whole, checked
from keras_dl.data.facts import Facts
from keras_dl.errors import printable

Count = Whole(1, 1_000_000_000)
PARTS = ("train", "validation", "test")
OWN = "your own data"  # the licence of a user's files


@dataclasses.dataclass(frozen=True)
class Info:
    """The description of a data set of any kind.

    Attributes:
        name: name of the set, or of the user's file or folder.
        source: where it comes from.
        features: {name of a feature of the Examples: its description}, plain data or an object with config(). The
            description of a label is {"classes": names}.
        counts: {split: number of examples}; for a text, number of tokens.
        details: {name: plain data}, further facts that depend on the kind of data.
        licence: under which terms the data may be used, such as "CC BY 4.0"; "" if that is not known; OWN for a user's
            own files.
    """

    name: str
    source: str
    features: dict
    counts: dict
    details: dict = dataclasses.field(default_factory=dict)
    licence: str = ""

    @property
    def classes(self):
        """The class names of the first feature that has classes; () if none has."""
        plain = map(_plain, self.features.values())
        return next((tuple(feature["classes"]) for feature in plain if "classes" in feature), ())

    @property
    def num_classes(self):
        return len(self.classes)

    @property
    def own(self):
        """Whether these are the user's own files, not a set with a name and a recipe."""
        return self.licence == OWN

    def config(self):
        """The description as plain data, for an export's card; details are merged into the same dictionary."""
        features = {name: _plain(feature) for name, feature in self.features.items()}
        about = {"name": self.name, "source": self.source, "licence": self.licence}
        return {**about, "features": features, "counts": self.counts, **self.details}


def _plain(feature):
    return feature.config() if hasattr(feature, "config") else feature


class Ragged:
    """Sequences of different lengths as a feature of Examples: one array of all steps, and where each sequence begins.

    Attributes:
        values: (S, ...) the steps of all sequences, concatenated.
        splits: (N + 1,) int64; sequence i is values[splits[i] : splits[i + 1]].
    """

    def __init__(self, values, splits):
        self.values, self.splits = values, np.asarray(splits, np.int64)

    @classmethod
    def of(cls, sequences):
        """The Ragged of a list of arrays (T, ...)."""
        return cls(np.concatenate(sequences), np.cumsum([0, *map(len, sequences)]))

    def __len__(self):
        return len(self.splits) - 1

    def __iter__(self):
        return (self.values[a:b] for a, b in zip(self.splits, self.splits[1:], strict=False))

    def __getitem__(self, indices):
        """The sequences at these indices, as Ragged."""
        rows = list(self)
        return Ragged.of([rows[i] for i in np.arange(len(self))[indices]])

    @property
    def lengths(self):
        """(N,) number of steps of each sequence."""
        return np.diff(self.splits)


@dataclasses.dataclass(frozen=True)
class Examples:
    """One split, with random access to its examples.

    Attributes:
        features: {name: array (N, ...) or Ragged}, not pre-processed.
        rows: B if example n continues example n - B, as windows of a text do: they must be batched in order, B at
            a time. 0 if examples are independent.
    """

    features: dict
    rows: int = 0

    def __len__(self):
        return len(next(iter(self.features.values())))

    def take(self, indices):
        return Examples({name: array[indices] for name, array in self.features.items()}, self.rows)


@dataclasses.dataclass(frozen=True)
class Splits:
    """The train, validation and test splits of a data set.

    Where a set is published without a validation split, it is drawn from the training split with the seed.

    Attributes:
        train, validation, test: Examples.
        info: Info.
        preprocess: the pre-processing, in the pipeline and inside the export.
        notes: sentences that an app prints before it trains: what was left out, with counts and reasons, and what was
            decided for the user.
        warnings: sentences on what the loader noticed that makes scores mean less than they seem to, such as examples
            that stand in two splits.
        facts: what this kind of data can say of its splits, for `describing`.
    """

    train: Examples
    validation: Examples
    test: Examples
    info: Info
    preprocess: Callable
    notes: tuple = ()
    warnings: tuple = ()
    facts: Facts = dataclasses.field(default_factory=Facts)

    def __post_init__(self):
        # They quote file names and characters of texts, which must not break the line.
        for name in ("notes", "warnings"):
            object.__setattr__(self, name, tuple(map(printable, getattr(self, name))))

    @property
    def parts(self):
        """{"train", "validation", "test": Examples}."""
        return {part: getattr(self, part) for part in PARTS}

    @checked(who="Splits.few")
    def few(self, most: Count | None, seed: Seed | None = None):
        """The same splits with at most `most` examples each, for a short run that only shows that everything works.

        Args:
            most: examples in each split; None: all.
            seed: draws the examples, which keep their order (those of a folder are sorted by class). None: take the
                first ones, as for a text, whose tokens must stay contiguous.

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
                order = some(len(examples), most, seed)
            few[part] = examples.take(order)
        return dataclasses.replace(self, **few, info=dataclasses.replace(self.info, counts=counts(few)))


def some(size, most, seed):
    """Indices of at most `most` of `size` examples, drawn at random: ascending, (min(size, most),) int.

    The first ones would be those of the first classes, since a folder's examples stand class by class.

    Args:
        size: number of examples.
        most: how many are wanted.
        seed: a seed of NumPy's default_rng.
    """
    return np.sort(np.random.default_rng(seed).permutation(size)[:most])


def counts(splits):
    """{split: Examples} -> {split: number of examples}, for Info.counts."""
    return {part: len(splits[part]) for part in PARTS}
