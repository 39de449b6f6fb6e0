"""What `python -m keras_dl predict` makes of an INPUT, by the kind of the endpoint's input, and of an answer.

Pictures are files; a text is a file, standard input ("-") or the words themselves, and so are sentences, of which every
line is one; a roll is a MIDI file.
"""

import contextlib
import os
import sys
from pathlib import Path
from typing import NamedTuple

from keras_dl import cards, settings
from keras_dl.data import folders, reading, walking
from keras_dl.errors import UserError, printable

PICTURES = ("image_bytes", "image")
KINDS = {  # that an INPUT feeds
    "image_bytes": "pictures", "image": "pictures", "text": "texts", "roll": "MIDI files", "sentence": "sentences",
}  # fmt: skip
PAIR = ("sentence", "sentence_target")  # that a line with a tab feeds
HOW = {  # they are named; the others as files
    "text": "one or more, or files, or - for standard input",
    "sentence": "one or more, or files of one a line, or - for standard input",
}
SUFFIXES = {  # of the files of a folder
    "image_bytes": folders.SUFFIXES, "image": folders.SUFFIXES,
    "text": (".txt",), "roll": (".mid", ".midi"), "sentence": (".txt",),
}  # fmt: skip
MOST_BYTES = 2**26  # of a file or of standard input
MOST_LINES = 2**20  # of all files together
LINES = 64  # asked about at once
SHOWN = 40  # characters of a sentence in a message
PLACE = 300  # of the place where it stands
UNREADABLE = "is no readable JPEG, PNG, GIF, BMP or WebP picture"
DARK, LIGHT = 64, 191  # grey levels of a border that leave no doubt


class Line(NamedTuple):
    """A text, a sentence, or a source and its target; where it stands, and in which INPUT."""

    words: tuple
    place: str
    name: str

    def is_empty(self):
        return not "".join(self.words).strip()


def takes(kinds):
    """What an endpoint with inputs of these kinds takes, in words."""
    what = "pairs of sentences, a tab between source and target" if len(kinds) == len(PAIR) else KINDS[kinds[0]]
    return f"{what}; name {HOW.get(kinds[0], 'one or more files')}"


def files_of(name, kind):
    """The INPUT itself, or where it is a folder its files of that kind, by name; not those of folders in it.

    What is left out of a folder is said on stderr.

    Raises:
        UserError: the folder cannot be read, or has none.
    """
    if not os.path.isdir(name):
        return [name]
    try:
        inside = sorted(os.listdir(name))
    except OSError as error:
        raise UserError(f"predict: {name} cannot be read: {error.strerror}.") from error
    suffixes = SUFFIXES[kind]
    files, passed = [], {}
    for entry in inside:
        path = os.path.join(name, entry)
        if entry.startswith(".") or entry.lower() in walking.KNOWN:
            passed.setdefault("hidden or the system's own", []).append(entry)
        elif os.path.isdir(path):
            passed.setdefault("folders", []).append(entry)
        elif entry.lower().endswith(suffixes):
            files.append(path)
        else:
            passed.setdefault(f"no {KINDS[kind]} by their endings", []).append(entry)
    left_out = walking.sentences(passed)
    if not files:
        rest = "".join(f"; {sentence}" for sentence in left_out)
        raise UserError(f"predict: {name} is a folder without {KINDS[kind]} ({', '.join(suffixes)}){rest}.")
    for sentence in left_out:
        print(printable(f"{name}: {sentence}"), file=sys.stderr)
    return files


def check(name, kind):
    """What is asked about, before TensorFlow is imported: the Path of a file that is there, or a text as a Line."""
    if kind != "text":
        return _file(name)
    text, file = _text(name)
    return Line((text,), file or text, name)


def lines(names, fields):
    """The Lines of every INPUT, empty ones too.

    Args:
        names: the INPUTs.
        fields: the endpoint's inputs that a line feeds, the source's, or the source's and the target's.

    Raises:
        UserError: no text in UTF-8, a line that must be a pair and has not one tab, or more than MOST_LINES.
    """
    found = []
    for name in names:
        text, file = _text(name)
        if len(found) + text.count("\n") > MOST_LINES:
            raise UserError(f"predict: {file or 'an INPUT'} may have at most {MOST_LINES:,} lines; cut it up.")
        given = reading.lines(text) if file else text.split("\n")
        for number, line in enumerate(given, 1):
            place = f"line {number} of {file}" if file else f'"{short(line)}"'
            words = tuple(line.split("\t")) if len(fields) > 1 else (line,)
            if not line.strip():
                words = words[:1] + ("",) * (len(fields) - 1)
            if len(words) != len(fields):
                raise UserError(
                    f"predict: {place} must be a source, a tab and its target; it has {len(words) - 1 or 'no'} "
                    f"{'tab' if len(words) == 1 else 'tabs'}."
                )
            found.append(Line(words, place, name))
    return found


def as_input(text):
    """The words behind `predict EXPORT` that make `text` its INPUT; None where they would mean something else.

    Something else is the name of a file, "-" for standard input, or nothing at all.
    """
    if os.path.lexists(text) or reading.mistyped(text) or text.strip() in ("", "-"):
        return None
    return ["--", text] if text.startswith("-") else [text]


def short(text, most=SHOWN):
    return text if len(text) <= most else f"{text[:most]}..."


def answered(given, fields, ask, outputs):
    """One {name: value} for each line, in their order; an empty one is not asked about.

    Args:
        given, fields: of lines().
        ask: function of ({input: a batch}, where its first line stands) -> one {output: value} for each of the batch.
        outputs: the endpoint's, as the card has them.

    Returns:
        ([{"input": the line, or "source" and "target": its parts; each output: its value, of a line that is empty or
        refused "" where it is a text, else None}], one UserError for each line that is refused, which it names).
        No rows where every line that was asked about is refused.

    Raises:
        UserError: any request would be refused.
    """
    kinds = {spec["kind"]: name for name, spec in outputs.items()}
    blank = {name: "" if spec["kind"] == "text" else None for name, spec in outputs.items()}
    names = fields if len(fields) > 1 else ["input"]
    full, refused = [line for line in given if not line.is_empty()], []
    rows = [row for i in range(0, len(full), LINES) for row in _batch(full[i : i + LINES], fields, ask, refused)]
    if full and len(refused) == len(full):
        return [], refused
    rows = iter(rows)
    answers = []
    for line in given:
        row = None if line.is_empty() else next(rows)
        answers.append({**dict(zip(names, line.words, strict=True)), **(blank if row is None else _cut(row, kinds))})
    return answers, refused


def say_if_unknown(place, text, card):
    """Say on stderr which characters or words of a text the export's vocabulary does not have."""
    from keras_dl.data import unknown

    note = ""
    with contextlib.suppress(KeyError, TypeError, ValueError):  # a card without a vocabulary
        note = unknown.of_card(place, text, card.get("preprocess") or {})
    if note:
        print(printable(note), file=sys.stderr)


def read(thing, field, kind, card):
    """{input: a batch of one} that `thing`, which check gave, feeds an endpoint's input of that kind.

    Of a MIDI file also "beats_per_minute", its tempo; what of it is left out is said on stderr.
    """
    import numpy as np

    if kind == "text":
        return {field: np.array([thing.words[0].encode()], object)}
    if kind == "roll":
        from keras_dl.data import midi

        piece = midi.read(thing, _steps_per_beat(card))
        for what, count in piece.remarks.items():
            print(printable(f"{thing}: {what}: {count:,}"), file=sys.stderr)
        return {field: piece.roll[None], "steps": [len(piece.roll)], "beats_per_minute": piece.beats_per_minute}
    data = _picture(thing)
    return {field: np.array([data], object) if kind == "image_bytes" else _decoded(thing, data, card)[None]}


def write_midi(path, rolls, tempi, card):
    """Write rolls as MIDI: to `path`, or where there are several to <its name>-1.mid and so on.

    Args:
        path: Path that --out says.
        rolls: of each answer.
        tempi: quarter notes a minute of each: its prime's.
        card: the export's; its grid is the rolls'.
    """
    import numpy as np

    from keras_dl.data import music

    for number, (roll, tempo) in enumerate(zip(rolls, tempi, strict=True), 1):
        place = path if len(rolls) == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        grid = {"steps_per_beat": _steps_per_beat(card), "beats_per_minute": tempo}
        try:
            music.write_midi(np.asarray(roll, np.uint8), place, **grid)
        except OSError as error:
            raise UserError(f"--out: {place} cannot be written: {error.strerror}.") from error
        print(printable(f"written: {place}"))


def _text(name):
    """(text of an INPUT, its file's name; None where it is the words themselves)."""
    file = "standard input" if name == "-" else name if os.path.isfile(name) else None
    wrong = None if file else "is no regular file" if os.path.exists(name) else reading.mistyped(name)
    if wrong:
        raise UserError(f"predict: {name} {wrong}. If it is a text, give it by standard input, INPUT -.")
    if not file:
        data = name.encode("utf-8", "surrogateescape")
    else:
        data = _standard_input() if name == "-" else _bytes(Path(name))
    return reading.text_of(data, f"predict: {file or 'an INPUT'}"), file


def _standard_input():
    if sys.stdin is None:
        raise UserError("predict: standard input, INPUT -, is closed.")
    data = sys.stdin.buffer.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise UserError(f"predict: standard input may have at most {MOST_BYTES} bytes.")
    return data


def _bytes(path):
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(f"predict: {path} cannot be read: {error.strerror}.") from error
    if len(data) > MOST_BYTES:
        raise UserError(f"predict: {path} may have at most {MOST_BYTES} bytes.")
    return data


def _batch(given, fields, ask, refused):
    """The answers of a batch of lines, None of one that is refused, whose UserError is added to `refused`.

    A batch that is refused is asked about by halves, until the line that is refused stands alone.
    """
    columns = list(zip(*(line.words for line in given), strict=True))
    try:
        return ask(_columns(fields, columns), given[0].place)
    except UserError as error:
        if len(given) == 1:
            if not refused:
                ask(_columns(fields, [()] * len(fields)), "the request")  # what is wrong with any is said once
            refused.append(error)
            return [None]
    half = len(given) // 2
    return _batch(given[:half], fields, ask, refused) + _batch(given[half:], fields, ask, refused)


def _columns(fields, columns):
    import numpy as np

    return {
        field: np.array([word.encode() for word in column], object)
        for field, column in zip(fields, columns, strict=True)
    }


def _cut(row, kinds):
    """Without what fills a batch up: tokens that are "", and the rows and columns of an alignment that go with them."""
    counts = {}
    for kind in ("source_tokens", "target_tokens"):
        if kind in kinds:
            tokens = row[kinds[kind]]
            counts[kind] = sum(token != "" for token in tokens)
            row[kinds[kind]] = tokens[: counts[kind]]
    if "alignment" in kinds:
        rows = row[kinds["alignment"]][: counts["target_tokens"]]
        row[kinds["alignment"]] = [weights[: counts["source_tokens"]] for weights in rows]
    return row


def _file(name):
    if os.path.exists(name) and not os.path.isfile(name):
        raise UserError(f"predict: {name} is no regular file.")
    if not os.path.isfile(name):
        folder, there = Path(name).parent, []
        with contextlib.suppress(OSError):
            there = [str(folder / other) for other in os.listdir(folder)]
        raise UserError(f"predict: no such file: {name}.{settings.nearest(name, there)}")
    return Path(name)


def _picture(file):
    """The bytes of a picture file, of no more than a picture may have."""
    from keras_dl.data import pictures

    try:
        data = pictures.read(file)
    except OSError as error:
        raise UserError(f"predict: {file} cannot be read: {error.strerror}.") from error
    except UserError as error:
        raise UserError(f"predict: {file} is refused: {error}.".replace("a picture may", "it may")) from error
    if not data:
        raise UserError(f"predict: {file} is empty: it has 0 bytes.")
    return data


def _preprocess(card):
    from keras_dl.data.images import Preprocess

    try:
        return Preprocess(**{key: value for key, value in card["preprocess"].items() if key != "kind"})
    except (KeyError, TypeError) as error:
        raise UserError(f"predict: {cards.CARD} must say a preprocess of pictures; {error} does not fit.") from error


def _steps_per_beat(card):
    """The grid of an export's rolls."""
    steps = (card.get("data") or {}).get("steps_per_beat")
    if steps is None:
        raise UserError(f'predict: {cards.CARD} must say data.steps_per_beat: export.save(card={{"data": ...}}).')
    return steps


def _decoded(file, data, card):
    """Pixels uint8 (h, w, C) as the export's own graph makes them."""
    import tensorflow as tf

    from keras_dl.data import pictures

    try:
        return _preprocess(card).decode(data).numpy()
    except tf.errors.InvalidArgumentError as error:
        reason = pictures.reason(error)
        why = UNREADABLE if reason == pictures.DAMAGED else f"{UNREADABLE}: {reason}"
        raise UserError(f"predict: {file} {why}.") from error


def say_if_inverted(file, card):
    """Grey pictures, such as digits, come in ink on paper and in chalk on slate; a model knows one of the two."""
    import numpy as np

    preprocess = _preprocess(card)
    if preprocess.input_shape[2] != 1 or DARK <= preprocess.border <= LIGHT:
        return
    levels = preprocess.resize(_decoded(file, _picture(file), card)).numpy()
    border = np.concatenate([levels[0], levels[-1], levels[:, 0], levels[:, -1]]).mean()
    dark, light = min(border, preprocess.border) < DARK, max(border, preprocess.border) > LIGHT
    if dark and light:
        here, there = ("light", "dark") if border > LIGHT else ("dark", "light")
        print(
            f"{printable(file)}: its border is {here} where the training pictures' is {there}: it looks inverted, and "
            "the answer means little; invert the picture and ask again.",
            file=sys.stderr,
        )
