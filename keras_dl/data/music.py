"""Music as piano-rolls, uint8 (T, 88): one row a time step, 1 where a key sounds.

Bach's chorales (embedded), the four standard sets, a folder of one's own MIDI files; MIDI and sound from a roll.
A roll does not tell a key that is struck again from one that is held.
"""

import dataclasses
import functools
import logging

import numpy as np

from keras_dl.arguments import Seed, Text, Whole, YesOrNo, checked
from keras_dl.atomic import atomic_file
from keras_dl.data import midi, own_files, prepared
from keras_dl.data.examples import PARTS, Examples, Info, Ragged, Splits, counts
from keras_dl.data.midi import LOWEST, NOTES
from keras_dl.data.nearest import nearest
from keras_dl.errors import UserError
from keras_dl.extras import needs

WHO = "music.load"  # what messages call it
SUFFIXES = (".mid", ".midi")
HELD_OUT = 0.1  # share of a folder's pieces for validation, and for test
MOST_STEPS = 2**24  # of all pieces together, 1.5 GB
FINEST = 48  # steps a beat
WRITING = "music: writing MIDI and sound"
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
class PianoRoll:
    """The one pre-processing: at every step the keys before are the input and the keys now the target."""

    notes: int = NOTES
    lowest: int = LOWEST
    pad: int = 16  # time is padded to a multiple of it: few lengths, few traces

    def __call__(self, rolls):
        """uint8 or bool (B, T, 88) -> float32."""
        import tensorflow as tf

        return tf.cast(rolls, tf.float32)

    def batch(self, raw):
        """{"roll": tf.RaggedTensor uint8 (B, None, 88)} -> (x, y, weight).

        Returns:
            x: float32 (B, T, 88), y one step late, zeros first.
            y: float32 (B, T, 88), zeros where the roll has ended.
            weight: float32 (B, T), 1 at the steps of the roll and 0 behind it.
        """
        import tensorflow as tf

        rolls = raw["roll"]
        y = self(rolls.to_tensor(shape=[None, None, self.notes]))
        y = tf.pad(y, [[0, 0], [0, -tf.shape(y)[1] % self.pad], [0, 0]])
        y = tf.ensure_shape(y, [None, None, self.notes])
        x = tf.pad(y, [[0, 0], [1, 0], [0, 0]])[:, :-1]
        return x, y, tf.sequence_mask(rolls.row_lengths(), tf.shape(y)[1], tf.float32)

    def config(self):
        return {"kind": "piano_roll", **dataclasses.asdict(self)}


@checked(who=WHO)
def load(
    name: Text,
    seed: Seed = 0,
    *,
    steps_per_beat: Whole(1, FINEST) = 4,
    skip_unreadable: YesOrNo = False,
    pieces: Whole(1, 1_000_000) | None = None,
):
    """Load pieces of music: Splits of {"roll": Ragged uint8 (T, 88), "beats_per_minute": float32 (N,), of each piece}.

    Args:
        name: of SETS, which keep their published splits and grids, or a folder of MIDI files.
        seed: of a folder's splits.
        steps_per_beat: of a folder's rolls, a quarter note.
        skip_unreadable: leave out a folder's unreadable files instead of refusing them.
        pieces: at most so many of each split; up to 16, no more than 16 chorales are read to make bach_chorales.

    Returns:
        Splits, whose info says of "roll" how many "notes" it has and the MIDI number of the "lowest", and in its
        details "steps_per_beat", a quarter note, and "beats_per_minute", the tempo to play them in.

    Raises:
        UserError: no such set or folder (the nearest is named), a set that is not to be had, files that cannot be
            read as music, too few of them, too many time steps, or an argument that does not fit its annotation.
    """
    notes = ()
    if name in SETS:
        source = SETS[name]
        steps_per_beat, beats_per_minute = GRIDS[name]
        rolls = _standard(name, pieces)
        tempi = {part: [beats_per_minute] * len(rolls[part]) for part in rolls}
    else:
        parts, name, notes = _folder(name, seed, steps_per_beat, skip_unreadable)
        rolls = {part: [piece.roll for piece in parts[part]] for part in parts}
        tempi = {part: [piece.beats_per_minute for piece in parts[part]] for part in parts}
        source, beats_per_minute = f"folder {name}", float(np.median(tempi["train"]))
    splits = {
        part: Examples(
            {
                "roll": Ragged.of(rolls[part][:pieces]),
                "beats_per_minute": np.array(tempi[part][:pieces], np.float32),
            }
        )
        for part in rolls
    }
    grid = {"steps_per_beat": steps_per_beat, "beats_per_minute": beats_per_minute}
    features = {"roll": {"notes": NOTES, "lowest": LOWEST}, "beats_per_minute": {}}
    info = Info(name, source, features, counts(splits), grid)
    return Splits(**splits, info=info, preprocess=PianoRoll(), notes=notes)


def read_midi(path, steps_per_beat):
    """The notes of a MIDI file as a roll, uint8 (T, 88), up to the end of the last note; midi.read says more of it.

    Raises:
        UserError: see midi.read.
    """
    return midi.read(path, steps_per_beat).roll


def write_midi(roll, path, *, steps_per_beat, beats_per_minute):
    """Write a roll (T, 88) as a MIDI file for a piano; a key that is on in consecutive steps is one held note.

    read_midi with the same steps_per_beat gives the roll again, but for silence at its end, of which a MIDI file
    keeps nothing. The file is written whole or not at all.
    """
    with atomic_file(path) as file:
        _midi(roll, steps_per_beat, beats_per_minute).write(file)


def sound(roll, *, steps_per_beat, beats_per_minute, rate=16_000):
    """A roll (T, 88) as sine tones: float32 samples in [-1, 1], mono, T steps long and `rate` a second."""
    roll = np.asarray(roll)
    samples = np.zeros(round(len(roll) * 60 / (steps_per_beat * beats_per_minute) * rate), np.float32)
    if roll.any():
        heard = _midi(roll, steps_per_beat, beats_per_minute).synthesize(fs=rate)[: len(samples)]
        samples[: len(heard)] = heard
    return samples


def _midi(roll, steps_per_beat, beats_per_minute):
    pretty_midi = needs("pretty_midi", "music", WRITING)
    piece = pretty_midi.PrettyMIDI(resolution=TICKS * steps_per_beat, initial_tempo=beats_per_minute)
    piano = pretty_midi.Instrument(program=0)
    seconds = 60 / (steps_per_beat * beats_per_minute)  # a step
    edges = np.diff(np.pad(np.asarray(roll, np.int8), [(1, 1), (0, 0)]), axis=0)
    for key in range(NOTES):
        for start, end in zip(np.flatnonzero(edges[:, key] > 0), np.flatnonzero(edges[:, key] < 0), strict=True):
            piano.notes.append(pretty_midi.Note(VELOCITY, key + LOWEST, start * seconds, end * seconds))
    piece.instruments.append(piano)
    return piece


def _standard(name, pieces):
    """{split: list of rolls} of one of SETS, prepared first where it is not."""
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
    log.setLevel(logging.ERROR)  # TFDS warns of a property that it reads itself where a feature is compressed
    try:
        for part in PARTS:
            stored = builder.as_dataset(split=part, shuffle_files=False)
            parts[part] = [example["roll"] for example in stored.as_numpy_iterator()]
    finally:
        log.setLevel(level)
    return parts


def _folder(name, seed, steps_per_beat, skip_unreadable):
    """({split: list of midi.Piece}, name, notes) of a folder of MIDI files, every one of which is read now."""
    root = own_files.root_of(name, WHO)
    if root is None:
        near = nearest(name, SETS)
        raise UserError(f'{WHO}: no music set or folder "{name}"{near}. Sets: {", ".join(sorted(SETS))}.')
    own = own_files.find(root, WHO, SUFFIXES, "MIDI files")
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
        rest, drawn = own_files.hold_out(len(pieces), HELD_OUT, rng)
        parts["train"], parts[part] = [pieces[i] for i in rest], [pieces[i] for i in drawn]
        if own.has_splits:
            notes.append(own.held_out(part, f"{len(drawn)} of the pieces of train are"))
    return parts, root.resolve().name or "music", (*notes, *_in_two(parts))


def _read(own, steps_per_beat, skip_unreadable):
    """({split: list of midi.Piece}, sentences on what of them was left out or changed) of the folder's files."""
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
                raise UserError(
                    f"{WHO}: {own.root} may have at most {MOST_STEPS:,} time steps; its first {len(parts[part]):,} "
                    f"pieces have more, at {steps_per_beat} a quarter note. Take fewer files or steps."
                )
    own.refuse(unreadable, "cannot be taken as music", skip_unreadable, WHO)
    total = sum(map(len, own.files.values()))
    return parts, [f"{what}: {sum(counts):,}, in {len(counts)} of {total} files" for what, counts in remarks.items()]


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
