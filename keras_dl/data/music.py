"""Music as piano-rolls, uint8 (T, 88): one row a time step, 1 where a key sounds.

Bach's chorales (embedded), the four standard sets, a folder of one's own MIDI files; MIDI and sound from a roll.
A roll does not tell a key that is struck again from one that is held.
"""

import dataclasses
import logging

import numpy as np

from keras_dl.arguments import Whole, YesOrNo, checked
from keras_dl.data import Examples, Ragged, Splits, part_folders, tfds_sets, walking
from keras_dl.errors import UserError
from keras_dl.features import midi, reading
from keras_dl.features.midi import LOWEST, NOTES
from keras_dl.features.piano_roll import PianoRoll
from keras_dl.imports import quiet_tensorflow

SUFFIXES = (".mid", ".midi")
HELD_OUT = 0.1  # share of a folder's pieces for validation, and for test
NAMED = 5  # unreadable files that a message names
MOST_STEPS = 2**24  # of all pieces together, 1.5 GB
FINEST = 48  # steps a beat
WRITING = "writing MIDI and sound"
TICKS = 120  # of a MIDI file that is written, a step
VELOCITY = 80
_STANDARD = "Boulanger-Lewandowski et al. 2012"
SETS = {
    "bach_chorales": "Bach's chorales, shipped with music21",
    "jsb_chorales": f"{_STANDARD}: Bach's chorales in C major or C minor",
    "nottingham": f"{_STANDARD}: folk tunes with chords",
    "musedata": f"{_STANDARD}: orchestral and piano music",
    "piano_midi": f"{_STANDARD}: classical piano music of piano-midi.de",
}
# Steps a quarter note and quarter notes a minute. Quarters in jsb_chorales (Huang's README of its finer versions),
# eighths in the other three standard sets (Walder 2016, "Symbolic Music Data Version 1.0"); their files hold no tempo:
# the second number is only a usual one.
GRIDS = {
    "bach_chorales": (2, 80),
    "jsb_chorales": (1, 80),
    "nottingham": (2, 120),
    "musedata": (2, 100),
    "piano_midi": (2, 100),
}


@dataclasses.dataclass(frozen=True)
class Info:
    """What a set of rolls is: `steps_per_beat` a quarter note, the tempo to play them in, MIDI number of column 0."""

    name: str
    source: str
    steps_per_beat: int
    beats_per_minute: float
    notes: int = NOTES
    lowest: int = LOWEST


@checked(who="data.load")
def load(
    name,
    seed,
    *,
    steps_per_beat: Whole(1, FINEST) = 4,
    skip_unreadable: YesOrNo = False,
    pieces: Whole(1, 1_000_000) | None = None,
):
    """data.load for music: Splits of {"roll": Ragged uint8 (T, 88), "beats_per_minute": float32 (N,), of each piece}.

    Args:
        name: of SETS, which keep their published splits and grids, or a folder of MIDI files.
        seed: of a folder's splits.
        steps_per_beat: of a folder's rolls, a quarter note.
        skip_unreadable: leave out a folder's unreadable files instead of refusing them.
        pieces: at most so many of each split; up to 16, no more than 16 chorales are read to make bach_chorales.

    Raises:
        UserError: see data.load.
    """
    notes = ()
    if name in SETS:
        info = Info(name, SETS[name], *GRIDS[name])
        rolls = _standard(name, pieces)
        tempi = {part: [info.beats_per_minute] * len(rolls[part]) for part in rolls}
    else:
        parts, label, notes = _folder(name, seed, steps_per_beat, skip_unreadable)
        rolls = {part: [piece.roll for piece in parts[part]] for part in parts}
        tempi = {part: [piece.beats_per_minute for piece in parts[part]] for part in parts}
        info = Info(label, f"folder {label}", steps_per_beat, float(np.median(tempi["train"])))
    splits = {
        part: Examples(
            {
                "roll": Ragged.of(rolls[part][:pieces]),
                "beats_per_minute": np.array(tempi[part][:pieces], np.float32),
            }
        )
        for part in rolls
    }
    return Splits(**splits, info=info, preprocess=PianoRoll(), notes=notes)


def _standard(name, pieces):
    """{split: list of rolls} of one of SETS, prepared first where it is not."""
    with quiet_tensorflow():
        import tensorflow  # noqa: F401 - TFDS would import it with its messages
    import tensorflow_datasets as tfds

    if name == "bach_chorales":
        from keras_dl.data import chorales

        few = pieces is not None and pieces <= chorales.FEW
        of, make, config = name, chorales.BachChorales, "few" if few else "all"
    else:
        from keras_dl.data.polyphonic import PolyphonicMusic

        of, make, config = "polyphonic_music", PolyphonicMusic, name
    builder, prepared = tfds_sets.builder_of(of, lambda data_dir: make(data_dir=data_dir, config=config))
    if not prepared:
        tfds.display_progress_bar(False)
        builder.download_and_prepare()
    parts, log = {}, logging.getLogger("absl")
    level = log.level
    log.setLevel(logging.ERROR)  # TFDS warns of a property that it reads itself where a feature is compressed
    try:
        for part in ("train", "validation", "test"):
            stored = builder.as_dataset(split=part, shuffle_files=False)
            parts[part] = [example["roll"] for example in stored.as_numpy_iterator()]
    finally:
        log.setLevel(level)
    return parts


def _folder(name, seed, steps_per_beat, skip_unreadable):
    """({split: list of midi.Piece}, name, notes) of a folder of MIDI files, every one of which is read now."""
    root = reading.path_of(name, "data.load")
    if not root.is_dir():
        near = tfds_sets.nearest(name, SETS)
        raise UserError(f'data.load: no music set or folder "{name}"{near}. Sets: {", ".join(sorted(SETS))}.')
    given = part_folders.find(root)
    files, notes = _midi_files(root, given)
    parts, more = _read(files, root, steps_per_beat, skip_unreadable)
    missing = [part for part in ("test", "validation") if part not in parts]
    for part, pieces in parts.items():
        least = 1 if part in ("test", "validation") else 1 + len(missing)
        if len(pieces) < least:
            where = given.get(part, root)
            raise UserError(f"data.load: {where} must hold {least} or more readable .mid files; got {len(pieces)}.")
    notes = [*notes, *more]
    rng = np.random.default_rng(seed)
    parts["train"] = parts.pop("", None) or parts["train"]
    for part in missing:
        parts["train"], parts[part] = _hold_out(parts["train"], rng)
        if given:
            notes.append(f"no {part} split in {root}: {len(parts[part])} of the pieces of train are held out for it")
    return parts, root.resolve().name, (*notes, *_in_two(parts))


def _midi_files(root, given):
    """({split: paths}, notes on what else is there) of a folder; {"": paths} where it has no splits of its own."""
    files, passed = walking.files(root)
    parts, others, beside = {part: [] for part in given or [""]}, [], []
    split_of = {folder.name: part for part, folder in given.items()}
    for path in files:
        inside = path.relative_to(root)
        if path.suffix.lower() not in SUFFIXES:
            others.append(str(inside))
        elif given and inside.parts[0] not in split_of:
            beside.append(str(inside))
        else:
            parts[split_of.get(inside.parts[0], "")].append(path)
    passed |= {"no .mid or .midi": others} if others else {}
    passed |= {"beside the folders of the splits": beside} if beside else {}
    return parts, walking.sentences(passed)


def _read(files, root, steps_per_beat, skip_unreadable):
    """({split: list of midi.Piece}, notes) of {split: paths}."""
    parts, bad, remarks, steps = {}, [], {}, 0
    total = sum(map(len, files.values()))
    for part, paths in files.items():
        parts[part] = []
        for path in paths:
            try:
                piece = midi.read(path, steps_per_beat)
            except midi.UnreadableMidi as error:
                bad.append(f"{path.relative_to(root)} {error.reason}")
                continue
            parts[part].append(piece)
            for what, count in piece.remarks.items():
                remarks.setdefault(what, []).append(count)
            steps += len(piece.roll)
            if steps > MOST_STEPS:
                raise UserError(
                    f"data.load: {root} may have at most {MOST_STEPS:,} time steps; its first {len(parts[part]):,} "
                    f"pieces have more, at {steps_per_beat} a quarter note. Take fewer files or steps."
                )
    named = "; ".join(bad[:NAMED]) + (f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else "")
    if bad and not skip_unreadable:
        raise UserError(
            f"data.load: {len(bad)} of {total} files in {root} cannot be taken as music: {named}. "
            "Remove them, or go on without them with --skip-unreadable."
        )
    notes = [f"left out with --skip-unreadable: {len(bad)} of {total} files: {named}"] if bad else []
    notes += [f"{what}: {sum(counts):,}, in {len(counts)} of {total} files" for what, counts in remarks.items()]
    return parts, notes


def _hold_out(pieces, rng):
    """(the rest, a drawn part of HELD_OUT of all, at least one)."""
    order = rng.permutation(len(pieces))
    count = max(1, round(HELD_OUT * len(pieces)))
    held, rest = np.sort(order[:count]), np.sort(order[count:])
    return [pieces[i] for i in rest], [pieces[i] for i in held]


def _in_two(parts):
    """A sentence for every two splits that have pieces in common, note for note."""
    contents = {part: [piece.roll.tobytes() for piece in pieces] for part, pieces in parts.items()}
    said = []
    for part, other in (("validation", "train"), ("test", "train"), ("test", "validation")):
        known = set(contents[other])
        twice = sum(content in known for content in contents[part])
        if twice:
            said.append(f"of the {len(contents[part])} pieces of {part}, {twice} stand in {other} too, note for note")
    return said
