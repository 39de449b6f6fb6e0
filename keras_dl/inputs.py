"""Reads the INPUTs of `python -m keras_dl predict`: files, folders, standard input or words, depending on the feature.

Nothing here imports TensorFlow, so mistakes are reported at once.
"""

import contextlib
import os
import sys
from pathlib import Path

from keras_dl import wording
from keras_dl.data import walking
from keras_dl.errors import UserError, printable
from keras_dl.features import Source, reading, words

MOST_LINES = 2**20  # lines of all files together


def sources(names, fed, failures):
    """The Sources of all INPUTs.

    Args:
        names: the INPUTs.
        fed: {input: features.Feature} of the endpoint's inputs that are read from the INPUTs. If there are several,
            each line holds all of them, separated by tabs.
        failures: list to which a UserError is appended for every wrong INPUT.

    Returns:
        [features.Source] in the order of the INPUTs. If a line holds several inputs, the content is a tuple of strings.

    Raises:
        UserError: standard input is named more than once.
    """
    if names.count(words.STANDARD_INPUT) > 1:
        raise UserError("predict: standard input, INPUT -, can be read once.")
    all_sources = []
    for name in names:
        try:
            files = files_of(name, next(iter(fed.values()))) if fed else []
        except UserError as error:
            failures.append(error)
            continue
        for file in files:
            try:
                all_sources += _of_file(file, fed, len(all_sources))
            except UserError as error:
                failures.append(error)
    return all_sources


def files_of(name, feature):
    """[the INPUT], or for a folder its files that the feature can read, sorted by name, without sub-folders.

    What is left out of a folder is printed on stderr.

    Raises:
        UserError: the folder cannot be read, or has no such files.
    """
    if not os.path.isdir(name):
        return [name]
    try:
        inside = sorted(os.listdir(name))
    except OSError as error:
        raise UserError(f"predict: {name} cannot be read: {error.strerror}.") from error
    files, passed = [], {}
    for entry in inside:
        path = os.path.join(name, entry)
        if entry.startswith(".") or entry.lower() in walking.KNOWN:
            passed.setdefault("hidden or the system's own", []).append(entry)
        elif os.path.isdir(path):
            passed.setdefault("folders", []).append(entry)
        elif entry.lower().endswith(feature.suffixes):
            files.append(path)
        else:
            passed.setdefault(f"no {feature.plural} by their endings", []).append(entry)
    left_out = walking.sentences(passed)
    if not files:
        rest = "".join(f"; {sentence}" for sentence in left_out)
        suffixes = ", ".join(feature.suffixes)
        raise UserError(f"predict: {name} is a folder without {feature.plural} ({suffixes}){rest}.")
    for sentence in left_out:
        print(printable(f"{name}: {sentence}"), file=sys.stderr)
    return files


def wanted(fed):
    """A phrase that says which INPUTs an endpoint needs."""
    first = next(iter(fed.values()))
    what = "pairs of sentences, a tab between source and target" if len(fed) > 1 else first.plural
    return f"{what}; name {first.naming}"


def _of_file(name, fed, before):
    """The Sources of one INPUT that is no folder; before: number of Sources of the INPUTs before it."""
    feature = next(iter(fed.values()))
    if feature.by_line:
        return _lines(name, len(fed), before)
    try:
        return [feature.check(name)]
    except FileNotFoundError:
        folder, there = Path(name).parent, []
        with contextlib.suppress(OSError):
            there = [str(folder / other) for other in os.listdir(folder)]
        raise UserError(f"predict: no such file: {name}.{wording.nearest(name, there)}") from None
    except UserError as error:
        raise UserError(f"predict: {error}") from error


def _lines(name, parts, before):
    """A Source for every line of an INPUT, including empty lines.

    Args:
        name: the INPUT.
        parts: number of inputs in a line.
        before: number of lines of the INPUTs before it.

    Raises:
        UserError: it is not text in UTF-8, a line does not have the right number of tabs, or there are more than
            MOST_LINES lines.
    """
    try:
        text, file = words.text_and_place(name)
    except UserError as error:
        raise UserError(f"predict: {error}") from error
    if before + text.count("\n") > MOST_LINES:
        raise UserError(f"predict: {file or 'an INPUT'} may have at most {MOST_LINES:,} lines; cut it up.")
    lines = reading.lines(text) if file else text.split("\n")
    places = [
        f"line {number} of {file}" if file else f'"{words.shortened(line)}"' for number, line in enumerate(lines, 1)
    ]
    return [Source(_parts(line, parts, place), place, name) for line, place in zip(lines, places, strict=True)]


def _parts(line, parts, place):
    """The line itself, or a tuple of its `parts` strings; an empty line has empty strings."""
    if parts == 1:
        return line
    content = tuple(line.split("\t"))
    if not line.strip():
        return (content[0], *[""] * (parts - 1))
    if len(content) != parts:
        tabs = len(content) - 1
        raise UserError(
            f"predict: {place} must be a source, a tab and its target; it has {tabs or 'no'} "
            f"{'tab' if tabs == 0 else 'tabs'}."
        )
    return content
