"""A text file, or a folder of text files, as the splits of one text."""

import collections
import itertools

from keras_dl.data import own_files
from keras_dl.data.nearest import nearest
from keras_dl.data.split_names import NAMES
from keras_dl.errors import UserError
from keras_dl.features import reading

WHO = "text.load"  # the name of `load` in messages
SHARE = 0.05  # of a text without splits: its end is the test split, the same share before it the validation split
OF_SPLITS = {".txt", ".text", ".tokens"}  # endings of files whose names may say their split, as ptb.valid.txt does


def load(name, sets):
    """The splits of a file or a folder.

    Args:
        name: path of the file or folder, as the user wrote it.
        sets: names of data sets, to suggest one if there is no such path.

    Returns:
        (name of the file or folder without its parents, {split: text}, notes and warnings for Splits).

    Raises:
        UserError: there is no such path, or it cannot be read as text.
    """
    path = reading.path_of(name, WHO)
    if path.is_file():
        return path.name, cut(reading.read(path, WHO)), (), ()
    if own_files.root_of(name, WHO) is None:
        near = nearest(str(name), sets)
        raise UserError(f'{WHO}: no data set or path "{name}"{near}. Sets: {", ".join(sorted(sets))}.')
    own = own_files.find(path, WHO, reading.SUFFIXES, "text", by_name=OF_SPLITS)
    texts = {file: reading.read(file, WHO) for files in own.files.values() for file in files}
    if not texts:
        raise UserError(f"{WHO}: {path} must have text files (.txt, .md, .py and the like) in it; got none.")
    parts, repeated = _without_repetitions(own, texts)
    if repeated:
        own.passed["with the same text as another"] = repeated
    notes, warnings = [*own.left_out()], tuple(_on_shared_texts(parts, texts, own))
    joined = {part: _joined(texts[file] for file in files) for part, files in parts.items()}
    if not own.has_splits:
        joined = cut(joined[own_files.WHOLE])
    elif own.missing:
        joined |= cut(joined["train"], ("train", *own.missing))
        notes.append(own.held_out(own.missing[0], f"the last {SHARE:.0%} of train are"))
    return path.resolve().name, {part: joined[part] for part in NAMES}, tuple(notes), warnings


def cut(text, parts=tuple(NAMES)):
    """Cut a text into splits, {split: text}: every split but the first gets SHARE of it.

    A cut is made at a line's end; if none is near, after a space, or anywhere.

    Args:
        text: the whole text.
        parts: names of the splits in their order; the first gets the rest.
    """
    ends = [0]
    for behind in range(len(parts) - 1, 0, -1):
        at = len(text) - round(behind * SHARE * len(text))
        room = at + len(text) // 50
        ends.append(text.find("\n", at - 1, room) + 1 or text.find(" ", at - 1, room) + 1 or at)
    ends.append(len(text))
    return {part: text[start:end] for part, (start, end) in zip(parts, itertools.pairwise(ends), strict=True)}


def _without_repetitions(own, texts):
    """({split: its files without those that repeat another's text}, ["file as other file"] of these repetitions)."""
    kept, repeated = {}, []
    for part, files in own.files.items():
        first = {}
        for file in files:
            if texts[file] in first and texts[file]:
                repeated.append(f"{own.below(file)} as {own.below(first[texts[file]])}")
            else:
                first[texts[file]] = file
        kept[part] = [file for file in files if first[texts[file]] == file or not texts[file]]
    return kept, repeated


def _on_shared_texts(parts, texts, own):
    """A sentence if files of several splits have the same text."""
    splits = collections.defaultdict(dict)
    for part, files in parts.items():
        for file in files:
            if texts[file]:
                splits[texts[file]][part] = file
    shared = [files for files in splits.values() if len(files) > 1]
    if shared:
        where = " and ".join(map(own.below, shared[0].values()))
        yield f"the same text stands in several splits: {len(shared):,} (the first: {where}); scores on it mean little"


def _joined(texts):
    return "".join(text if text.endswith("\n") or not text else text + "\n" for text in texts)
