"""Music as piano-rolls, uint8 (T, 88): one row per time step, 1 where a note sounds.

Bach's chorales (embedded), the four standard sets, or a folder of the user's own MIDI files.
A roll cannot distinguish a note that is struck again from one that is held.
"""

import functools
import logging

import numpy as np

from keras_dl.arguments import Seed, Text, Whole, YesOrNo, checked
from keras_dl.data import own_files, prepared
from keras_dl.data.examples import OWN, PARTS, Examples, Info, Ragged, Splits, counts
from keras_dl.data.facts import Facts, sizes
from keras_dl.data.nearest import nearest
from keras_dl.errors import UserError
from keras_dl.features import midi
from keras_dl.features.midi import LOWEST, NOTES
from keras_dl.features.piano_roll import PianoRoll, Roll
from keras_dl.waiting import waiting
from keras_dl.wording import counted, verb

WHO = "music.load"  # the name of `load` in messages
HELD_OUT = 0.1  # share of a folder's pieces for validation, and as much for test
MOST_STEPS = 2**24  # time steps of all pieces together, 1.5 GB
FINEST = 48  # time steps per beat, at most
_STANDARD = "Boulanger-Lewandowski et al. 2012"
SETS = {
    "bach_chorales": "Bach's chorales, shipped with music21",
    "jsb_chorales": f"{_STANDARD}: Bach's chorales in C major or C minor",
    "nottingham": f"{_STANDARD}: folk tunes with chords",
    "musedata": f"{_STANDARD}: orchestral and piano music",
    "piano_midi": f"{_STANDARD}: classical piano music of piano-midi.de",
}
LICENCES = {  # the compositions are in the public domain, mostly; what is said here is of the files
    "bach_chorales": (
        "the music is in the public domain; some encodings of music21's corpus are not for commercial use (its "
        "license.txt)"
    ),
    "jsb_chorales": "none is stated; the music is in the public domain",
    "nottingham": "none is stated; the tunes are mostly in the public domain",
    "musedata": "for research only",
    "piano_midi": "CC BY-SA 3.0 DE",
}
# (time steps per quarter note, quarter notes per minute). A step is a quarter note in jsb_chorales (Huang's README of
# its finer versions), an eighth in the other three standard sets (Walder 2016, "Symbolic Music Data Version 1.0").
# Their files hold no tempo: the second number is only a usual one.
GRIDS = {
    "bach_chorales": (2, 80),
    "jsb_chorales": (1, 80),
    "nottingham": (2, 120),
    "musedata": (2, 100),
    "piano_midi": (2, 100),
}


@waiting("loading the pieces ...")
@checked(who=WHO)
def load(
    name: Text,
    seed: Seed = 0,
    *,
    steps_per_beat: Whole(1, FINEST) = 4,
    skip_unreadable: YesOrNo = False,
    pieces: Whole(1, 1_000_000) | None = None,
):
    """Load pieces of music: Splits of {"roll": Ragged uint8 (T, 88), "beats_per_minute": float32 (N,)}.

    Args:
        name: one of SETS, which have their published splits and time steps, or a folder of MIDI files.
        seed: draws the splits of a folder.
        steps_per_beat: time steps per quarter note of a folder's rolls.
        skip_unreadable: leave out a folder's unreadable files instead of refusing them.
        pieces: use at most this many pieces of each split. With 16 or fewer, only 16 scores are read to make
            bach_chorales.

    Returns:
        Splits. Their info has, under features, the number of "notes" of "roll" and the MIDI number of the "lowest";
        under details, "steps_per_beat" (per quarter note) and "beats_per_minute", the tempo for playing samples.

    Raises:
        UserError: no such set or folder (the nearest is named), a set that cannot be downloaded, files that cannot be
            read as music, too few of them, too many time steps, or an argument that does not fit its annotation.
    """
    notes = ()
    if name in SETS:
        source, licence = SETS[name], LICENCES[name]
        steps_per_beat, beats_per_minute = GRIDS[name]
        rolls = _standard(name, pieces)
        tempi = {part: [beats_per_minute] * len(rolls[part]) for part in rolls}
    else:
        parts, name, notes = _folder(name, seed, steps_per_beat, skip_unreadable)
        rolls = {part: [piece.roll for piece in parts[part]] for part in parts}
        tempi = {part: [piece.beats_per_minute for piece in parts[part]] for part in parts}
        source, beats_per_minute = f"folder {name}", float(np.median(tempi["train"]))
        licence = OWN
    rolls = {part: rolls[part][:pieces] for part in rolls}
    splits = {
        part: Examples(
            {
                "roll": Ragged.of(rolls[part]),
                "beats_per_minute": np.array(tempi[part][:pieces], np.float32),
            }
        )
        for part in rolls
    }
    grid = {"steps_per_beat": steps_per_beat, "beats_per_minute": beats_per_minute}
    features = {"roll": {"notes": NOTES, "lowest": LOWEST}, "beats_per_minute": {}}
    info = Info(name, source, features, counts(splits), grid, licence)
    warnings = tuple(_sentences_on_shared_pieces(rolls))
    return Splits(**splits, info=info, preprocess=PianoRoll(), notes=notes, warnings=warnings, facts=Pieces())


class Pieces(Facts):
    """The facts of pieces of music."""

    unit = "pieces"
    compared = True

    def sizes(self, splits):
        lengths = [examples.features["roll"].lengths for examples in splits.parts.values()]
        return sizes("time steps of a piece", np.concatenate(lengths))

    def baseline(self, splits):
        """Nats per time step of keys that are independent of each other and of time.

        A key is down with its frequency over the time steps of the training split; it is counted down once and up once
        more than it is (Laplace's rule), so that no probability is 0 or 1.
        """
        train, validation = (part.features["roll"].values for part in (splits.train, splits.validation))
        down = (train.sum(0, dtype=np.int64) + 1) / (len(train) + 2)
        wanted = validation.mean(0)
        value = float(-(wanted * np.log(down) + (1 - wanted) * np.log1p(-down)).sum())
        return {"metric": "nats", "value": value, "what": "every key with its frequency, whatever came before"}


def _standard(name, pieces):
    """{split: list of rolls} of one of SETS, which is prepared first if necessary."""
    if name == "bach_chorales":
        from keras_dl.data import chorales

        few = pieces is not None and pieces <= chorales.FEW
        of, make, config = name, chorales.BachChorales, "few" if few else "all"
    else:
        from keras_dl.data.polyphonic import PolyphonicMusic

        of, make, config = "polyphonic_music", PolyphonicMusic, name
    builder = prepared.builder(of, WHO, functools.partial(make, config=config))
    parts, log = {}, logging.getLogger("absl")
    level = log.level
    log.setLevel(logging.ERROR)  # for a compressed feature TFDS warns of a property that it reads itself
    try:
        for part in PARTS:
            stored = builder.as_dataset(split=part, shuffle_files=False)
            parts[part] = [example["roll"] for example in stored.as_numpy_iterator()]
    finally:
        log.setLevel(level)
    return parts


def _folder(name, seed, steps_per_beat, skip_unreadable):
    """({split: list of midi.Piece}, name, notes) of a folder of MIDI files, all of which are read."""
    root = own_files.root_of(name, WHO)
    if root is None:
        near = nearest(name, SETS)
        raise UserError(f'{WHO}: no music set or folder "{name}"{near}. Sets: {", ".join(sorted(SETS))}.')
    own = own_files.find(root, WHO, Roll.suffixes, Roll.plural)
    with waiting(f"reading {counted(sum(map(len, own.files.values())), 'MIDI files')} in {root} ..."):
        parts, remarks = _read(own, steps_per_beat, skip_unreadable)
    for part, pieces in parts.items():
        if len(pieces) < own.least(part):
            raise UserError(
                f"{WHO}: {own.folders[part]} must hold {own.least(part)} or more readable .mid files; "
                f"got {len(pieces)}."
            )
    parts["train"] = parts.pop(own_files.WHOLE, None) or parts["train"]
    notes, rng = [*own.left_out(), *remarks], np.random.default_rng(seed)
    for part in own.missing:
        pieces = parts["train"]
        rest, held = own_files.hold_out(len(pieces), HELD_OUT, rng)
        parts["train"], parts[part] = [pieces[i] for i in rest], [pieces[i] for i in held]
        if own.has_splits:
            notes.append(own.held_out(part, f"{len(held):,} of the pieces of train {verb(len(held), 'are')}"))
    return parts, root.resolve().name or "music", tuple(notes)


def _read(own, steps_per_beat, skip_unreadable):
    """({split: list of midi.Piece}, sentences on what was left out of them or changed) of the folder's files."""
    parts, unreadable, remarks, steps = {}, [], {}, 0
    for part, paths in own.files.items():
        parts[part] = []
        for path in paths:
            try:
                piece = midi.read(path, steps_per_beat)
            except midi.UnreadableMidi as error:
                unreadable.append((path, error.reason))
                continue
            parts[part].append(piece)
            for what, count in piece.remarks.items():
                remarks.setdefault(what, []).append(count)
            steps += len(piece.roll)
            if steps > MOST_STEPS:
                first = f"its first {counted(len(parts[part]), 'pieces')} {verb(len(parts[part]), 'have')} more"
                raise UserError(
                    f"{WHO}: {own.root} may have at most {MOST_STEPS:,} time steps; {first}, at {steps_per_beat} a "
                    "quarter note. Take fewer files or steps."
                )
    own.refuse(unreadable, "cannot be taken as music", skip_unreadable, WHO)
    total = sum(map(len, own.files.values()))
    files = counted(total, "files")
    return parts, [f"{what}: {sum(counts):,}, in {len(counts):,} of {files}" for what, counts in remarks.items()]


def _sentences_on_shared_pieces(rolls):
    """A sentence for each pair of splits that share pieces, note for note."""
    contents = {part: [roll.tobytes() for roll in rolls[part]] for part in rolls}
    for part, other in (("validation", "train"), ("test", "train"), ("test", "validation")):
        known = set(contents[other])
        shared = sum(content in known for content in contents[part])
        if shared:
            pieces = counted(len(contents[part]), "pieces")
            yield f"of the {pieces} of {part}, {shared:,} {verb(shared, 'stand')} in {other} too, note for note"
