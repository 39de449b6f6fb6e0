"""Which files of a folder of pictures are of which split and class, and which are of none."""

import os
from collections import defaultdict

from keras_dl.data import reading, walking
from keras_dl.data.split_names import NAMES, split_of
from keras_dl.errors import UserError, printable

OUTSIDE = "outside of the class folders"
SHOWN = 3  # sub-folders that a sentence names
NO_SPLIT = "in folders that are no split"
NO_CLASSES = "in splits without class folders, so without labels"


def root_of(name):
    """The folder that a user names; None where there is none.

    Raises:
        UserError: no folder can have that name.
    """
    root = reading.path_of(name, "images.load")
    if not root.is_dir():
        return None
    _check_name(root.resolve().name, f"the folder {root}")
    return root


def splits(root):
    """{split: its folder}, or {"": root} where the folder has no splits of its own.

    It has where train/ has class folders, and either another split or nothing else stands beside it: a class may be
    called "train" or "test" too.

    Raises:
        UserError: two folders are the same split, or there are splits and none is train.
    """
    named = defaultdict(list)
    for folder in sub_folders(root):
        named[split_of(folder.name) or ""].append(folder)
    others = named.pop("", [])
    with_classes = [split for split in NAMES if any(map(sub_folders, named[split]))]
    there = [split for split in NAMES if named[split]]
    if "train" not in with_classes:
        if len(with_classes) > 1:
            names = " and ".join(f"{folder.name}/" for split in there for folder in named[split])
            raise UserError(f"images.load: {root} has {names} but no train/ with one sub-folder a class.")
        return {"": root}
    if others and there == ["train"]:
        return {"": root}
    for split in there:
        if len(named[split]) > 1:
            names = " and ".join(f"{folder.name}/" for folder in named[split])
            raise UserError(f"images.load: {root}: {names} are both the {split} split; keep one of them.")
    return {split: named[split][0] for split in with_classes}


def classes(parts):
    """(sorted names of the class folders of all parts, notes).

    Raises:
        UserError: there are fewer than two, a name is not UTF-8 or has control characters, or a class has another
            letter case in another part.
    """
    by_part = {part: {path.name for path in sub_folders(folder)} for part, folder in parts.items()}
    names = sorted(set().union(*by_part.values()))
    for part, folder in parts.items():
        for name in by_part[part]:
            _check_name(name, f"the class folder {folder / name}")
    if len(names) < 2:
        raise UserError(
            f"images.load: {next(iter(parts.values()))} must have one sub-folder a class and at least two of them; "
            f"got {len(names)} ({', '.join(names) or 'none'})."
        )
    twins = [(a, b) for a in names for b in names if a < b and a.casefold() == b.casefold()]
    for a, b in twins:
        if not any({a, b} <= there for there in by_part.values()):
            where = " and ".join(str(parts[part] / name) for part in parts for name in (a, b) if name in by_part[part])
            raise UserError(
                f"images.load: a class must have the same name in all splits, letter case too; got {where}."
            )
    notes = tuple(f"{a} and {b} differ by letter case alone and are two classes" for a, b in twins)
    return names, notes + (_like_splits(parts[""], names) if "" in parts else ())


def _like_splits(root, names):
    """A sentence where the folders that are taken for classes look like splits with classes of their own."""
    inside = {frozenset(folder.name for folder in sub_folders(root / name)) for name in names}
    if len(inside) != 1 or len(shared := sorted(*inside)) < 2:
        return ()
    return (
        f"{', '.join(names)} are taken for classes, and have the same sub-folders ({', '.join(shared[:SHOWN])}): if "
        "they are splits, call them train, validation and test",
    )


def files(root, parts, names):
    """([(part, label, path)], {reason: [path below root]} of what is passed over)."""
    found, passed = walking.files(root)
    of_class = {parts[part] / name: (part, label) for part in parts for label, name in enumerate(names)}
    by_class = {owner: [] for owner in of_class.values()}
    depth = 1 if "" in parts else 2  # folders between root and a picture
    for path in found:
        above = path.relative_to(root).parts[:-1]
        owner = of_class.get(root.joinpath(*above[:depth])) if len(above) >= depth else None
        if owner:
            by_class[owner].append((*owner, path))
        else:
            split = split_of(above[0]) if above else None
            reason = OUTSIDE if depth == 1 or not above or split in parts else NO_CLASSES if split else NO_SPLIT
            passed.setdefault(reason, []).append(below(root, path))
    return [file for of_one in by_class.values() for file in of_one], passed


def sub_folders(folder):
    """The sorted Paths of a folder's sub-folders, without hidden ones and such as systems leave."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []  # files() says so
    own = [name for name in names if not name.startswith(".") and name.lower() not in walking.KNOWN]
    return [folder / name for name in own if os.path.isdir(folder / name)]


def below(root, path):
    """The path below root, in characters that can be printed."""
    return printable(path.relative_to(root))


def _check_name(name, who):
    if printable(name) == name:  # letters that join others, and spaces of every script, are no control characters
        return
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"images.load: the name of {who} must be UTF-8; rename it.") from error
    raise UserError(f"images.load: the name of {who} must have no control characters; rename it.")
