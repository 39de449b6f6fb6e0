"""What is below a folder that a user names: links are followed, and nothing is passed over in silence."""

import collections
import os
from pathlib import Path

from keras_dl.errors import printable

NAMED = 3  # entries that a sentence names
MOST_WAYS = 16  # by which links may reach one folder: two links in each of thirty folders would be a billion ways
# What systems and programs leave in folders:
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
    """Every file below a folder, in the order of paths; a link is what it leads to.

    Args:
        root: Path of the folder.

    Returns:
        ([Path of each file], {reason: [path relative to root]} of what is passed over: hidden, systems' own, dangling
        links, links that lead back, folders that links have reached MOST_WAYS times before, or that cannot be read).
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
    """A sentence for each reason: how many were left out, why, and the first of them.

    >>> sentences({"hidden": [".a", ".b"]})
    ('left out, hidden: 2 (.a, .b)',)
    """
    return tuple(f"left out, {counted(reason, names)}" for reason, names in passed.items())


def counted(reason, names):
    """A reason, how many have it, and the first of them.

    >>> counted("damaged", ["a.png", "b.png", "c.png", "d.png"])
    'damaged: 4 (a.png, b.png, c.png, ...)'
    """
    more = ", ..." if len(names) > NAMED else ""
    return f"{reason}: {len(names):,} ({', '.join(names[:NAMED])}{more})"


def _below(root, path):
    """The path below root, in characters that can be printed."""
    return printable(os.path.relpath(path, root))
