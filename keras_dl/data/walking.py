"""Walks a user's folder: links are followed, and whatever is left out is reported."""

import collections
import os
from pathlib import Path

from keras_dl.errors import printable

NAMED = 3  # entries that a sentence lists
MOST_WAYS = 16  # paths by which links may reach one folder: with two links in each of 30 folders there are a billion
# Files and folders of operating systems and programs, which are ignored:
KNOWN = {
    "thumbs.db",
    "desktop.ini",
    "ehthumbs.db",
    "icon\r",
    "__macosx",
    "picasa.ini",
    "@eadir",
}


def files(root):
    """All files below a folder, sorted by path; links are followed.

    Args:
        root: Path of the folder.

    Returns:
        ([Path of each file], {reason: [path relative to root]} of what is left out: hidden files, the system's own,
        dangling links, links to a folder above, folders that links have reached MOST_WAYS times before, and folders
        that cannot be read).
    """
    paths, passed, ways = [], collections.defaultdict(list), collections.Counter()

    def visit(folder, above):
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            passed[f"that cannot be read ({error.strerror})"].append(_below(root, folder))
            return
        for name in names:
            path = folder / name
            if name.startswith(".") or name.lower() in KNOWN:
                passed["hidden or the system's own"].append(_below(root, path))
            elif os.path.isdir(path):
                real = os.path.realpath(path)
                if real in above:
                    passed["links that lead back"].append(_below(root, path))
                elif ways[real] == MOST_WAYS:
                    passed[f"folders that links have reached {MOST_WAYS} times before"].append(_below(root, path))
                else:
                    ways[real] += 1
                    visit(path, above | {real})
            elif os.path.isfile(path):
                paths.append(path)
            else:
                passed["links to nothing" if os.path.islink(path) else "neither files nor folders"].append(
                    _below(root, path)
                )

    visit(Path(root), {os.path.realpath(root)})
    return sorted(paths), dict(passed)


def sentences(passed):
    """A sentence for each reason: how many files were left out, why, and the first of them.

    >>> sentences({"hidden": [".a", ".b"]})
    ('left out, hidden: 2 (.a, .b)',)
    """
    return tuple(f"left out, {counted(reason, names)}" for reason, names in passed.items())


def counted(reason, names):
    """A reason, the number of files that it applies to, and the first of them.

    >>> counted("damaged", ["a.png", "b.png", "c.png", "d.png"])
    'damaged: 4 (a.png, b.png, c.png, ...)'
    """
    more = ", ..." if len(names) > NAMED else ""
    return f"{reason}: {len(names):,} ({', '.join(names[:NAMED])}{more})"


def _below(root, path):
    """The path relative to root, made printable."""
    return printable(os.path.relpath(path, root))
