"""A text file, or a folder of them, as the splits of one text."""

import collections
import itertools
import re

from keras_dl.data import reading, tfds_sets, walking
from keras_dl.data.split_names import NAMES, split_of
from keras_dl.errors import UserError

SHARE = 0.05  # of a text that is cut: the end is the test split, what stands before it the validation split
OF_SPLITS = {".txt", ".text", ".tokens"}  # endings of files whose own name says their split, as ptb.valid.txt does


def load(name, sets):
    """The splits of a file or a folder.

    Args:
        name: of the file or folder, as the user wrote it.
        sets: names of data sets, of which a name that is no path may be meant.

    Returns:
        (its last name, {split: text}, notes for Splits.notes).

    Raises:
        UserError: nothing is there, or it cannot be read as text.
    """
    path = reading.path_of(name, "text.load")
    if path.is_file():
        return path.name, cut(reading.read(path, "text.load")), ()
    if not path.is_dir():
        near = tfds_sets.nearest(str(name), sets)
        raise UserError(f'text.load: no data set or path "{name}"{near}. Sets: {", ".join(sorted(sets))}.')
    files, passed = walking.files(path)
    others = [str(file.relative_to(path)) for file in files if file.suffix.lower() not in reading.SUFFIXES]
    if len(others) == len(files):
        raise UserError(f"text.load: {path} must have text files (.txt, .md, .py and the like) in it; got none.")
    if others:
        passed["no text by their endings"] = others
    texts = {
        file.relative_to(path): reading.read(file, "text.load")
        for file in files
        if file.suffix.lower() in reading.SUFFIXES
    }
    parts = _parts(texts, path)
    rest = [str(file) for file in texts if not any(file in part for part in parts.values())]
    if rest:
        passed["of no split"] = rest
    parts, twice = _once(parts, texts)
    if twice:
        passed["with the same text as another"] = twice
    notes = [*walking.sentences(passed), *_shared(parts, texts)]
    joined = {part: _joined(texts[file] for file in files) for part, files in parts.items()}
    if len(joined) == 1:
        (joined,) = map(cut, joined.values())
    elif missing := [part for part in NAMES if part not in joined]:
        joined |= cut(joined["train"], ("train", *missing))
        notes.append(f"no {missing[0]} split in {path}: the last {SHARE:.0%} of train are held out for it")
    return path.resolve().name, {part: joined[part] for part in NAMES}, tuple(notes)


def cut(text, parts=tuple(NAMES)):
    """{split: text}: the last ones a share each, cut at a line's end; where there is none about, a space, or anywhere.

    Args:
        text: the whole.
        parts: names of the splits in their order; the first gets what the others leave.
    """
    ends = [0]
    for behind in range(len(parts) - 1, 0, -1):
        at = len(text) - round(behind * SHARE * len(text))
        room = at + len(text) // 50
        ends.append(text.find("\n", at - 1, room) + 1 or text.find(" ", at - 1, room) + 1 or at)
    ends.append(len(text))
    return {part: text[start:end] for part, (start, end) in zip(parts, itertools.pairwise(ends), strict=True)}


def _parts(texts, path):
    """{split: its files} where the folder has its own, else {"": all files}."""
    parts = {part: [file for file in texts if _part_of(file) == part] for part in NAMES}
    parts = {part: files for part, files in parts.items() if files}
    if len(parts) < 2:
        return {"": list(texts)}
    if "train" not in parts:
        raise UserError(f"text.load: {path} has files for {' and '.join(parts)}; it must have one for train too.")
    return parts


def _part_of(file):
    """The split that a file is of by its folder, train/..., or, beside others, by its name; None where both say none.

    A name that says two, such as train_and_test.txt, says none.
    """
    if len(file.parts) > 1:
        return split_of(file.parts[0])
    words = re.split("[^a-z]+", file.stem.lower()) if file.suffix.lower() in OF_SPLITS else ()
    parts = {split_of(word) for word in words} - {None}
    return parts.pop() if len(parts) == 1 else None


def _once(parts, texts):
    """(the splits' files, none of which has the text of another in the split; those that are left out)."""
    kept, twice = {}, []
    for part, files in parts.items():
        first = {}
        for file in files:
            if texts[file] in first and texts[file]:
                twice.append(f"{file} as {first[texts[file]]}")
            else:
                first[texts[file]] = file
        kept[part] = [file for file in files if first[texts[file]] == file or not texts[file]]
    return kept, twice


def _shared(parts, texts):
    """A sentence where the same text stands in files of several splits."""
    splits = collections.defaultdict(dict)
    for part, files in parts.items():
        for file in files:
            if texts[file]:
                splits[texts[file]][part] = file
    shared = [files for files in splits.values() if len(files) > 1]
    if shared:
        where = " and ".join(map(str, shared[0].values()))
        yield f"the same text stands in several splits: {len(shared):,} (the first: {where}); scores on it mean little"


def _joined(texts):
    return "".join(text if text.endswith("\n") or not text else text + "\n" for text in texts)
