"""The general loader: a folder of files that a feature can read, as splits.

Images and music have loaders of their own, which also measure the data and limit its size. A loader that needs more
than the values, as that of sound, calls `read`.
"""

import dataclasses

import numpy as np

from keras_dl.arguments import Seed, Text, YesOrNo, checked
from keras_dl.data import own_files
from keras_dl.data.examples import OWN, PARTS, Examples, Info, Ragged, Splits, counts
from keras_dl.errors import UserError
from keras_dl.wording import verb

WHO = "files.load"  # the name of `load` in messages
HELD_OUT = 0.1  # share of the files (of every class, if labelled) for each split that a folder does not have


@checked(who=WHO)
def load(
    name: Text,
    field: Text,
    feature,
    seed: Seed = 0,
    *,
    labelled: YesOrNo = False,
    skip_unreadable: YesOrNo = False,
):
    """Load the files below a folder that a feature reads.

    Args:
        name: path of the folder.
        field: name of the values in the Examples.
        feature: a features.Feature; files with its suffixes are loaded, by its `read`.
        seed: draws what is held out for the splits that the folder does not have.
        labelled: the files are in one sub-folder per class; "label" int32 is then a second feature.
        skip_unreadable: leave out files that cannot be read instead of refusing them.

    Returns:
        Splits of {field: array (N, ...) if all values have the same shape, else Ragged; "label": int32 (N,)}, whose
        preprocess is the feature.

    Raises:
        UserError: no such folder, too few files, or files that cannot be read, which are named.
    """
    folder = read(name, feature, seed, WHO, labelled=labelled, skip_unreadable=skip_unreadable)
    splits = {split: _examples(field, folder.values[split], folder.labels[split], labelled) for split in PARTS}
    about = {field: feature} | ({"label": {"classes": folder.classes}} if labelled else {})
    info = Info(folder.name, f"folder {folder.name}", about, counts(splits), licence=OWN)
    return Splits(**splits, info=info, preprocess=feature, notes=folder.notes)


@dataclasses.dataclass(frozen=True)
class Folder:
    """The files of a user's folder, read.

    Attributes:
        name: of the folder.
        values: {"train", "validation", "test": [value, as the feature reads it]}.
        labels: {split: [index of the file's class]}; 0 without classes.
        classes: names of the classes; () without.
        notes: sentences on what was decided and left out.
    """

    name: str
    values: dict
    labels: dict
    classes: tuple
    notes: tuple


def read(name, feature, seed, who, *, labelled=False, skip_unreadable=False, advice="", unfit=lambda value: None):
    """Read the files below a folder that a feature reads, and hold out the splits that the folder does not have.

    Args:
        name, feature, seed, labelled, skip_unreadable: as of `load`.
        who: name of the calling function, for the messages.
        advice: end of the message if there is no such folder.
        unfit: unfit(value) -> why a readable file is left out, a phrase such as "silent"; None: it is used.

    Returns:
        Folder.

    Raises:
        UserError: as of `load`.
    """
    root = own_files.root_of(name, who)
    if root is None:
        raise UserError(f'{who}: no {advice and "set or "}folder "{name}"{advice or "."}')
    own = own_files.find(root, who, feature.suffixes, feature.plural, labelled=labelled)
    values, labels = _read(own, feature, labelled, skip_unreadable, who, unfit)
    notes = [*own.notes]
    _check_enough(own, labels, feature.plural, who)
    values["train"], labels["train"] = (
        parts.pop(own_files.WHOLE) if own_files.WHOLE in parts else parts["train"] for parts in (values, labels)
    )
    rng = np.random.default_rng(seed)
    for split in own.missing:
        classes = np.array(labels["train"], np.int32) if labelled else None
        rest, part = own_files.hold_out(len(values["train"]), HELD_OUT, rng, classes)
        for parts in (values, labels):
            of_train = parts["train"]
            parts["train"] = [of_train[row] for row in rest]
            parts[split] = [of_train[row] for row in part]
        if own.has_splits:
            notes.append(own.held_out(split, f"{len(part)} of the {feature.plural} of train {verb(len(part), 'are')}"))
    label = root.resolve().name or feature.plural
    return Folder(label, values, labels, own.classes, (*notes, *own.left_out()))


def _read(own, feature, labelled, skip_unreadable, who, unfit):
    """({split: [value]}, {split: [label]}) of the readable files."""
    values, labels, unreadable = {}, {}, []
    for split, paths in own.files.items():
        values[split], labels[split] = [], []
        for path in paths:
            if path.suffix.lower() not in feature.suffixes:  # in a class folder
                own.passed.setdefault(f"no {feature.plural} by their endings", []).append(own.below(path))
                continue
            try:
                value = feature.read(feature.check(str(path)))
            except UserError as error:
                unreadable.append((path, str(error).removeprefix(f"{path} ").rstrip(".")))
                continue
            if (reason := unfit(value)) is not None:
                own.passed.setdefault(reason, []).append(own.below(path))
                continue
            values[split].append(value)
            labels[split].append(own.label(path) if labelled else 0)
    own.refuse(unreadable, f"cannot be read as {feature.plural}", skip_unreadable, who)
    return values, labels


def _check_enough(own, labels, plural, who):
    """Raise UserError unless every split, and every class in it, has enough files that can be used."""
    for split, of_files in labels.items():
        least, where = own.least(split), own.folders.get(split, own.root)
        counted = np.bincount(of_files, minlength=max(1, len(own.classes)))
        fewest = int(counted.argmin())
        if counted[fewest] < least:
            folder = where / own.classes[fewest] if own.classes else where
            got = "; ".join([str(counted[fewest]), *own.left_out()])
            raise UserError(f"{who}: {folder} must hold {least} or more readable {plural} that can be used; got {got}.")


def _examples(field, values, labels, labelled):
    arrays = [np.asarray(value) for value in values]
    one_shape = len({array.shape for array in arrays}) == 1
    features = {field: np.stack(arrays) if one_shape else Ragged.of(arrays)}
    return Examples(features | ({"label": np.array(labels, np.int32)} if labelled else {}))
