"""Sorts the files in a user's folder into splits and classes, and says why files were left out.

Every kind of data finds its files here. A folder has splits of its own if it contains train and another split, by any
of their usual names (split_names.NAMES): as folders or, for some kinds of data, in the names of files. A missing split
is held out of train.
"""

import collections
import dataclasses
import os
import re
from pathlib import Path

import numpy as np

from keras_dl.data import walking
from keras_dl.data.split_names import NAMES, split_of
from keras_dl.errors import UserError, printable
from keras_dl.features import reading
from keras_dl.wording import counted

WHOLE = ""  # the only "split" of a folder that has no splits of its own
NO_SPLIT = "of no split"
OUTSIDE = "outside of the class folders"
NO_CLASSES = "in splits without class folders, so without labels"
SHOWN = 3  # sub-folders that a sentence lists


@dataclasses.dataclass(frozen=True)
class OwnFiles:
    """The files of a user's folder, as `find` returns them.

    Attributes:
        root: Path of the folder.
        files: {split: [Path]}, sorted by name, or class by class; {WHOLE: [Path]} if the folder has no splits of its
            own.
        folders: {split: the folder that holds it}.
        classes: names of the class folders, sorted; () if files have no labels.
        passed: {reason: [path below root]} of what is left out; `refuse` adds to it.
        notes: sentences on what was decided for the user.
    """

    root: Path
    files: dict
    folders: dict
    classes: tuple
    passed: dict
    notes: tuple = ()

    @property
    def has_splits(self):
        return WHOLE not in self.files

    @property
    def missing(self):
        """The splits that must be held out of train, in the order in which they are drawn."""
        return [split for split in ("test", "validation") if split not in self.files]

    def least(self, split):
        """How many files a split (or each of its classes) needs, so that all splits get at least one."""
        return 1 + len(self.missing) if split in (WHOLE, "train") else 1

    def label(self, path):
        """The index of the class whose folder contains the file."""
        depth = 1 if self.has_splits else 0  # folders between root and the class folders
        return self.classes.index(path.relative_to(self.root).parts[depth])

    def below(self, path):
        """The path relative to root, made printable."""
        return printable(path.relative_to(self.root))

    def refuse(self, unreadable, must, skip, who, by_class=True):
        """Raise an error for files that could not be read or, with `skip`, note them as left out.

        Args:
            unreadable: [(Path, reason)].
            must: what is wrong with all of them, a phrase that continues "3 of 20 files in pets".
            skip: whether the user asked to go on without them.
            who: name of the calling function, for the message.
            by_class: whether every class needs enough files, if there are classes.

        Raises:
            UserError: there are unreadable files, and `skip` is False.
        """
        reasons = collections.defaultdict(list)
        for path, reason in unreadable:
            reasons[reason].append(self.below(path))
        if reasons and not skip:
            files = counted(sum(map(len, self.files.values())), "files")
            named = "; ".join(walking.counted(reason, names) for reason, names in reasons.items())
            advice = "Remove them, or go on without them with --skip-unreadable."
            if not self._enough_without({path for path, _ in unreadable}, by_class and bool(self.classes)):
                advice = "Replace them: without them, too few files are left."
            raise UserError(f"{who}: {len(unreadable):,} of {files} in {self.root} {must}: {named}. {advice}")
        for reason, names in reasons.items():
            self.passed[f"not readable, {reason}"] = names

    def _enough_without(self, unreadable, by_class):
        """Whether every split or, by class, each of its classes has enough files besides the unreadable Paths."""
        for split, files in self.files.items():
            readable = [path for path in files if path not in unreadable]
            groups = collections.Counter(map(self.label, readable)) if by_class else {0: len(readable)}
            if any(groups[label] < self.least(split) for label in range(len(self.classes) if by_class else 1)):
                return False
        return True

    def left_out(self):
        """Sentences on what is left out, with counts and reasons."""
        return walking.sentences(self.passed)

    def held_out(self, split, what):
        """A sentence on a split that the user's folder does not have; `what` is, say, "2 pieces of train are"."""
        return f"no {split} split in {self.root}: {what} held out for it"


def root_of(name, who):
    """The Path of the folder that a user names; None if there is no such folder.

    Raises:
        UserError: no folder can have that name.
    """
    root = reading.path_of(name, who)
    if not os.path.isdir(root):
        return None
    _check_name(root.resolve().name, f"the folder {root}", who)
    return root


def find(root, who, suffixes=None, what="", *, labelled=False, by_name=()):
    """Find the files of a folder.

    Args:
        root: Path of the folder.
        who: name of the calling function, for the messages.
        suffixes: endings, in lower case, of the files to take; None: all files.
        what: what such files are called, such as "MIDI files".
        labelled: whether the files are in class folders, below root or below each split's folder. Then a folder without
            class folders is no split, and if train/ is the only split, it counts as one only if no other folder is
            beside it: a class may be called train, too.
        by_name: endings of files at the top of root whose names may say their split, as ptb.valid.txt does.

    Returns:
        OwnFiles.

    Raises:
        UserError: the folder cannot be read; there are splits but no train, or two folders for one split; if labelled:
            fewer than two classes, or a class whose name is not printable or differs by letter case between splits.
    """
    folders = _splits(root, who, labelled, by_name)
    places = {split: next((path for path in paths if os.path.isdir(path)), root) for split, paths in folders.items()}
    walked, passed = walking.files(root)
    if labelled:
        names, notes = _classes(places, who)
        files = _by_class(walked, root, places, names, passed)
        return OwnFiles(root, files, places, names, passed, notes)
    files = {split: [] for split in folders}
    split_of_entry = {path: split for split, paths in folders.items() for path in paths}
    for path in walked:
        entry = root / path.relative_to(root).parts[0]
        split = WHOLE if WHOLE in folders else split_of_entry.get(entry)
        if suffixes is not None and path.suffix.lower() not in suffixes:
            passed.setdefault(f"no {what} by their endings", []).append(_below(root, path))
        elif split is None:
            passed.setdefault(NO_SPLIT, []).append(_below(root, path))
        else:
            files[split].append(path)
    return OwnFiles(root, files, places, (), passed)


def has_classes(root, who):
    """Whether a folder, or one of the folders of its splits, has at least two sub-folders that are classes.

    A folder whose only sub-folders are called as splits are, without sub-folders of their own, has none.

    Raises:
        UserError: the folder cannot be read, or its splits contradict each other.
    """
    folders = _splits(root, who, False, ())
    if WHOLE in folders or any(split_of(path.name) is None for path in sub_folders(root)):
        return len(sub_folders(root)) > 1
    return any(len(sub_folders(path)) > 1 for paths in folders.values() for path in paths)


def hold_out(size, share, rng, labels=None):
    """Draw a part of N examples at random: (indices of the rest, indices of the part), both ascending.

    Args:
        size: N, number of examples.
        share: the share of all examples, or of those of each label, that is drawn; at least one example each.
        rng: numpy Generator.
        labels: (N,), or None.
    """
    groups = [np.arange(size)]
    if labels is not None:
        groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    part = np.sort(np.concatenate([rng.permutation(group)[: max(1, round(share * len(group)))] for group in groups]))
    return np.setdiff1d(np.arange(size), part), part


def sub_folders(folder):
    """The sorted Paths of a folder's sub-folders, without hidden ones and the operating system's own."""
    try:
        return [path for path in _entries(folder) if os.path.isdir(path)]
    except OSError:
        return []  # walking.files reports it


def _entries(folder):
    names = sorted(os.listdir(folder))
    return [folder / name for name in names if not name.startswith(".") and name.lower() not in walking.KNOWN]


def _splits(root, who, labelled, by_name):
    """{split: its folders and files at the top of root}; {WHOLE: [root]} if root has no splits of its own."""
    try:
        entries = _entries(root)
    except OSError as error:
        raise UserError(f"{who}: {root} cannot be read: {error.strerror}.") from error
    named = {split: [] for split in NAMES}
    others = 0  # folders that are no split
    for path in entries:
        split = _split_of_entry(path, by_name)
        if split:
            named[split].append(path)
        elif os.path.isdir(path):
            others += 1
    named = {split: paths for split, paths in named.items() if paths}
    usable = {
        split: paths for split, paths in named.items() if not labelled or any(sub_folders(path) for path in paths)
    }
    if "train" not in usable:
        if len(usable) > 1:
            names = " and ".join(_shown(path) for paths in named.values() for path in paths)
            classes = " with one sub-folder a class" if labelled else ""
            raise UserError(f"{who}: {root} has {names} but no train/{classes}.")
        return {WHOLE: [root]}
    if list(named) == ["train"] and (others or not labelled):
        return {WHOLE: [root]}
    for split, paths in named.items():
        folders = [path for path in paths if os.path.isdir(path)]
        if len(folders) > 1:
            names = " and ".join(map(_shown, folders))
            raise UserError(f"{who}: {root}: {names} are both the {split} split; keep one of them.")
    return usable


def _split_of_entry(path, by_name):
    """The split that the name of a folder or file says; None if it says none, or two, as train_and_test.txt does."""
    if os.path.isdir(path):
        return split_of(path.name)
    if path.suffix.lower() not in by_name:
        return None
    said = {split_of(word) for word in re.split("[^a-z]+", path.stem.lower())} - {None}
    return said.pop() if len(said) == 1 else None


def _classes(folders, who):
    """(sorted names of the class folders of all splits, notes)."""
    by_split = {split: {path.name for path in sub_folders(folder)} for split, folder in folders.items()}
    names = tuple(sorted(set().union(*by_split.values())))
    for split, folder in folders.items():
        for name in by_split[split]:
            _check_name(name, f"the class folder {folder / name}", who)
    if len(names) < 2:
        raise UserError(
            f"{who}: {next(iter(folders.values()))} must have one sub-folder a class and at least two of them; "
            f"got {len(names)} ({', '.join(names) or 'none'})."
        )
    twins = [(a, b) for a in names for b in names if a < b and a.casefold() == b.casefold()]
    for a, b in twins:
        if not any({a, b} <= there for there in by_split.values()):
            where = [folders[split] / name for split in folders for name in (a, b) if name in by_split[split]]
            raise UserError(
                f"{who}: a class must have the same name in all splits, letter case too; "
                f"got {' and '.join(map(str, where))}."
            )
    notes = [f"{a} and {b} differ by letter case alone and are two classes" for a, b in twins]
    if WHOLE in folders:
        notes += _like_splits(folders[WHOLE], names)
    return names, tuple(notes)


def _like_splits(root, names):
    """A sentence if the folders that were taken for classes look like splits with classes of their own."""
    inside = {frozenset(folder.name for folder in sub_folders(root / name)) for name in names}
    if len(inside) == 1 and len(shared := sorted(*inside)) > 1:
        yield (
            f"{', '.join(names)} are taken for classes, and have the same sub-folders ({', '.join(shared[:SHOWN])}): "
            "if they are splits, call them train, validation and test"
        )


def _by_class(walked, root, folders, names, passed):
    """{split: [Path], class by class}; files that belong to no class are added to `passed`."""
    by_class = {split: {folder / name: [] for name in names} for split, folder in folders.items()}
    owners = {folder: paths for of_split in by_class.values() for folder, paths in of_split.items()}
    depth = 1 if WHOLE in folders else 2  # folders between root and a file
    for path in walked:
        above = path.relative_to(root).parts[:-1]
        owner = owners.get(root.joinpath(*above[:depth])) if len(above) >= depth else None
        if owner is not None:
            owner.append(path)
            continue
        split = split_of(above[0]) if above else None
        reason = OUTSIDE if depth == 1 or not above or split in folders else NO_CLASSES if split else NO_SPLIT
        passed.setdefault(reason, []).append(_below(root, path))
    return {split: [path for paths in of_split.values() for path in paths] for split, of_split in by_class.items()}


def _check_name(name, which, who):
    if printable(name) == name:  # joiners and spaces of any script are no control characters
        return
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{who}: the name of {which} must be UTF-8; rename it.") from error
    raise UserError(f"{who}: the name of {which} must have no control characters; rename it.")


def _below(root, path):
    return printable(path.relative_to(root))


def _shown(path):
    return printable(path.name) + ("/" if os.path.isdir(path) else "")
