"""What `python -m keras_dl predict` makes of an INPUT, by the kind of the endpoint's input, and of an answer.

Pictures are files; a text is a file, standard input ("-") or the words themselves; a roll is a MIDI file.
"""

import sys
from pathlib import Path

from keras_dl import settings
from keras_dl.runtime import UserError

PICTURES = ("image_bytes", "image")
KINDS = {"image_bytes": "pictures", "image": "pictures", "text": "texts", "roll": "MIDI files"}  # that an INPUT feeds
UNREADABLE = "is no readable JPEG, PNG, GIF or BMP picture"
DARK, LIGHT = 64, 191  # grey levels of a border that leave no doubt


def check(name, kind):
    """What is asked about, before TensorFlow is imported: the Path of a file that is there, or a text."""
    if kind == "text":
        if name == "-":
            return sys.stdin.read()
        return _text_of(Path(name)) if len(name) < 256 and Path(name).is_file() else name
    return _file(name, "*.mid" if kind == "roll" else "*.png")


def read(thing, field, kind, card):
    """{input: a batch of one} that `thing`, which check gave, feeds an endpoint's input of that kind."""
    import numpy as np

    if kind == "text":
        return {field: np.array([thing.encode()], object)}
    if kind == "roll":
        from keras_dl.data import music

        roll = music.read_midi(thing, card["data"]["steps_per_beat"])
        return {field: roll[None], "steps": [len(roll)]}
    try:
        data = thing.read_bytes()
    except OSError as error:
        raise UserError(f"predict: {thing} cannot be read: {error.strerror}.") from error
    return {field: np.array([data], object) if kind == "image_bytes" else _decoded(thing, data, card)[0][None]}


def write_midi(path, rolls, card):
    """Write rolls as MIDI: to `path`, or where there are several to <its name>-1.mid and so on."""
    import numpy as np

    from keras_dl.data import music

    for number, roll in enumerate(rolls, 1):
        place = path if len(rolls) == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        try:
            music.write_midi(
                np.asarray(roll, np.uint8), place, steps_per_beat=card["data"]["steps_per_beat"],
                beats_per_minute=card["data"]["beats_per_minute"],
            )  # fmt: skip
        except OSError as error:
            raise UserError(f"--out: {place} cannot be written: {error.strerror}.") from error
        print(f"written: {place}")


def _text_of(path):
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"predict: {path} must be text in UTF-8; it cannot be read as such.") from error


def _file(name, pattern):
    path = Path(name)
    if path.is_dir():
        raise UserError(f"predict: {name} is a folder; name its files: {path / pattern}")
    if not path.is_file():
        there = [str(other) for other in path.parent.glob("*")] if path.parent.is_dir() else []
        raise UserError(f"predict: no such file: {name}.{settings.nearest(name, there)}")
    return path


def _decoded(file, data, card):
    """(pixels uint8 (h, w, C), the pre-processing that made them) as the export's own graph makes them."""
    import tensorflow as tf

    from keras_dl.data.images import Preprocess

    preprocess = Preprocess(**{key: value for key, value in card["preprocess"].items() if key != "kind"})
    try:
        return preprocess.decode(data).numpy(), preprocess
    except tf.errors.InvalidArgumentError as error:
        raise UserError(f"predict: {file} {UNREADABLE}.") from error


def say_if_inverted(file, card):
    """Grey pictures, such as digits, come in ink on paper and in chalk on slate; a model knows one of the two."""
    import numpy as np

    picture, preprocess = _decoded(file, file.read_bytes(), card)
    levels = preprocess.resize(picture).numpy()
    border = np.concatenate([levels[0], levels[-1], levels[:, 0], levels[:, -1]]).mean()
    dark, light = min(border, preprocess.border) < DARK, max(border, preprocess.border) > LIGHT
    if levels.shape[-1] == 1 and dark and light:
        here, there = ("light", "dark") if border > LIGHT else ("dark", "light")
        print(
            f"{file}: its border is {here} where the training pictures' is {there}: it looks inverted, and the answer "
            "means little; invert the picture and ask again.",
            file=sys.stderr,
        )
