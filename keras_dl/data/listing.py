"""What is in a folder of pictures: its splits, its classes, their files, and all that is left out, with the reason."""

import os
from collections import defaultdict
from pathlib import Path

from keras_dl.errors import UserError, printable

SPLITS = {  # a folder's name, in any letter case, and the split that it is
    "train": "train", "training": "train", "validation": "validation", "valid": "validation", "val": "validation",
    "dev": "validation", "test": "test", "testing": "test",
}  # fmt: skip
BY_SYSTEMS = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "picasa.ini", "__macosx", "@eadir")  # no user's own
NAMED = 5  # files that a message names
HIDDEN = "hidden"
OF_SYSTEMS = "Thumbs.db and the like"
OUTSIDE = "files outside of the class folders"
NO_SPLIT = "folders that are no split"
NO_CLASSES = "splits without class folders, so without labels"
LOOP = "links back to a folder above"
DANGLING = "links that lead nowhere"
CLOSED = "folders that cannot be read"
SPECIAL = "no regular files"


class LeftOut:
    """Paths below `root` that are not used, by reason."""

    def __init__(self, root):
        self.root, self.paths = root, defaultdict(list)

    def add(self, reason, path):
        path = os.path.relpath(path, self.root)
        if path not in self.paths[reason]:  # some folders are looked at twice
            self.paths[reason].append(path)

    def notes(self):
        """One sentence, or none where nothing is left out."""
        reasons = [f"{reason}: {len(paths)} ({some(paths)})" for reason, paths in self.paths.items()]
        return (printable(f"Left out of {self.root}: {'; '.join(reasons)}."),) if reasons else ()


def some(names):
    """The first of the names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def splits(root, left):
    """{split: its folder}, or {"": root} where the folder has no splits of its own.

    A folder is taken for split where train/ has class folders and either another split stands beside it or nothing
    else does: a class may be called "train" or "test".

    Raises:
        UserError: two folders are the same split, or there are splits and none is train.
    """
    folders = [path for path in _entries(root, left) if path.is_dir()]
    named = defaultdict(list)
    for path in folders:
        named[SPLITS.get(path.name.lower(), "")].append(path)
    others = named.pop("", [])
    with_classes = {split for split, paths in named.items() if any(map(_sub_folders, paths))}
    if "train" not in with_classes or (others and len(named) == 1):
        if len(with_classes) > 1:
            there = some([path.name for paths in named.values() for path in paths])
            raise UserError(f"data.load: {root} has splits ({there}) but no train/ with one sub-folder a class.")
        return {"": root}
    for split, paths in named.items():
        if len(paths) > 1:
            both = " and ".join(f"{path.name}/" for path in paths)
            raise UserError(f"data.load: {root}: {both} are both the {split} split; keep one of them.")
    for path in _entries(root, left):
        if path in others:
            left.add(NO_SPLIT, path)
        elif not path.is_dir():
            left.add(OUTSIDE, path)
    for split in named.keys() - with_classes:
        left.add(NO_CLASSES, named[split][0])
    return {split: named[split][0] for split in ("train", "validation", "test") if split in with_classes}


def classes(parts, left):
    """The sorted names of the class folders in all parts.

    Raises:
        UserError: there are fewer than two, a name is not UTF-8 or has control characters, or a class is called
            otherwise in another part, but for the letter case.
    """
    by_part = {}
    for part, folder in parts.items():
        entries = _entries(folder, left)
        by_part[part] = {path.name for path in entries if path.is_dir()}
        for path in entries:
            if not path.is_dir():
                left.add(OUTSIDE if path.is_file() else DANGLING, path)
        for name in by_part[part]:
            _check_name(name, f"the class folder {folder / name}")
    names = sorted(set().union(*by_part.values()))
    if len(names) < 2:
        raise UserError(
            f"data.load: {next(iter(parts.values()))} must have one sub-folder a class and at least two of them; "
            f"got {len(names)} ({', '.join(names) or 'none'})."
        )
    twins = [(a, b) for a in names for b in names if a < b and a.casefold() == b.casefold()]
    for a, b in twins:
        if not any({a, b} <= there for there in by_part.values()):
            where = ", ".join(str(parts[part] / name) for part in parts for name in (a, b) if name in by_part[part])
            raise UserError(f"data.load: one class must have one name in all splits, letter case too; got {where}.")
    return names, tuple(f"{a} and {b} differ by letter case alone and are two classes." for a, b in twins)


def files(folder, left, above=()):
    """All files below `folder`, in order; links to folders are followed, but for those that lead back.

    Hidden files, and such as operating systems put there, are left out.
    """
    try:
        status = os.stat(folder)
    except OSError:
        return
    here = (status.st_dev, status.st_ino)
    if here in above:
        left.add(LOOP, folder)
        return
    for path in _entries(folder, left):
        if path.is_dir():
            yield from files(path, left, (*above, here))
        elif path.is_file():
            yield path
        else:
            left.add(DANGLING if path.is_symlink() else SPECIAL, path)


def check_root(name):
    """The folder that a user names.

    Raises:
        UserError: its name is not UTF-8.
    """
    root = Path(os.path.expanduser(name))  # unlike Path.expanduser, it leaves the home of nobody as it is
    if os.path.isdir(root):
        _check_name(root.resolve().name, f"the folder {root}")
        return root
    return None


def _check_name(name, who):
    if not name.isprintable():  # what is not UTF-8 is not printable either
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"data.load: the name of {who} is not UTF-8; rename it.") from error
        raise UserError(f"data.load: the name of {who} has control characters; rename it.")


def _entries(folder, left):
    """The sorted entries of a folder that are a user's own."""
    try:
        paths = sorted(Path(entry.path) for entry in os.scandir(folder))
    except OSError:
        left.add(CLOSED, folder)
        return []
    own = []
    for path in paths:
        reason = HIDDEN if path.name.startswith(".") else OF_SYSTEMS if path.name.lower() in BY_SYSTEMS else ""
        if reason:
            left.add(reason, path)
        else:
            own.append(path)
    return own


def _sub_folders(folder):
    try:
        return any(entry.is_dir() and not entry.name.startswith(".") for entry in os.scandir(folder))
    except OSError:
        return False
