"""Converts a piano-roll to a MIDI file or to sound."""

import numpy as np

from keras_dl.atomic import atomic_file
from keras_dl.extras import needs
from keras_dl.features.midi import LOWEST, NOTES

WRITING = "music: writing MIDI and sound"
TICKS = 120  # ticks per time step in a MIDI file
VELOCITY = 80


def write_midi(roll, path, *, steps_per_beat, beats_per_minute):
    """Write a roll (T, 88) as a MIDI file for a piano; a key that is on in consecutive steps is one held note.

    midi.read with the same steps_per_beat returns the same roll, except for silence at its end, which is not stored in
    a MIDI file. The file is written whole or not at all.
    """
    with atomic_file(path) as file:
        _midi(roll, steps_per_beat, beats_per_minute).write(file)


def sound(roll, *, steps_per_beat, beats_per_minute, rate=16_000):
    """A roll (T, 88) as sine tones: mono float32 samples in [-1, 1], `rate` per second, for all T time steps."""
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
    seconds = 60 / (steps_per_beat * beats_per_minute)  # per time step
    edges = np.diff(np.pad(np.asarray(roll, np.int8), [(1, 1), (0, 0)]), axis=0)
    for key in range(NOTES):
        for start, end in zip(np.flatnonzero(edges[:, key] > 0), np.flatnonzero(edges[:, key] < 0), strict=True):
            piano.notes.append(pretty_midi.Note(VELOCITY, key + LOWEST, start * seconds, end * seconds))
    piece.instruments.append(piano)
    return piece
