"""Reads MIDI files as piano-rolls: which keys are held at each time step, the tempo, and what was left out.

The format is parsed here and not by a library: an untrusted file of 37 bytes may last ten million beats, and a number
in it may be a million bytes long. Such files must be refused before they cost time and memory. And a piece with an
invalid key signature, which does not matter here, must still be readable.
Source: The MIDI Association, Standard MIDI Files 1.0 (RP-001).
"""

import array
import collections
import dataclasses
from pathlib import Path

import numpy as np

from keras_dl.errors import UserError

NOTES, LOWEST = 88, 21  # keys of a piano; the MIDI number of the first
MOST_BYTES = 2**21  # of a file
MOST_STEPS = 2**15  # of a piece: 2 hours at 4 steps per quarter note and 60 quarter notes per minute
TEMPO = 500_000  # microseconds per quarter note, the default of the format
LEAST_TEMPO = 30_000  # microseconds per quarter note: 2,000 quarter notes per minute
DRUMS = 9  # the channel, counted from 0
SUSTAIN, PRESSED = 64, 64  # the controller of the pedal, and the lowest value that means pressed
NOTE_OFF, NOTE_ON, CONTROL, PROGRAM, PRESSURE = 0x80, 0x90, 0xB0, 0xC0, 0xD0  # status bytes, of channel 0
SYSTEM, ESCAPE, META = 0xF0, 0xF7, 0xFF
END_OF_TRACK, SET_TEMPO = b"\x2f", b"\x51"  # types of meta events
LONGEST_NUMBER = 4  # bytes of a variable-length quantity
CUT = "is no readable MIDI file: it is cut short or damaged"

# Keys of Piece.remarks.
DRUM_NOTES = "notes of drums left out"
OUTSIDE = f"notes outside the piano's {NOTES} keys left out"
ENDLESS = "notes without an end, held to the end of their track"
PEDAL = "presses of the sustain pedal without effect"
TEMPO_CHANGES = "changes of tempo that a roll cannot represent"


class UnreadableMidi(UserError):
    """A file cannot be read as music; `reason` is the message after the file's name, without the full stop."""

    def __init__(self, path, reason):
        super().__init__(f"{path} {reason}.")
        self.reason = reason


@dataclasses.dataclass(frozen=True)
class Piece:
    """The content of a MIDI file.

    Attributes:
        roll: uint8 (T, 88), 1 where a key is held; ends with the last note; T is at least 1.
        beats_per_minute: quarter notes per minute; if the tempo changes, the one that lasts longest in beats.
        remarks: {what was left out or changed: how often}.
    """

    roll: np.ndarray
    beats_per_minute: float
    remarks: dict


class _Refused(Exception):
    pass


def read(path, steps_per_beat):
    """Read a MIDI file of format 0 or 1.

    All tracks and channels are merged into one roll. Beginnings and ends are rounded to the nearest time step; a beat
    is a quarter note, whatever the time signature and the tempo. A note lasts at least one step. A note-off event ends
    all notes of its key, channel and track that began before. A note without an end is held to the end of its track.
    The sustain pedal (controller 64) does not make notes longer: a roll says which keys are held down.
    Drums (channel 10) and keys that a piano does not have are left out.

    Args:
        path: path of the file.
        steps_per_beat: time steps per quarter note.

    Returns:
        Piece.

    Raises:
        UnreadableMidi: the file cannot be opened, is no MIDI file, is damaged, has format 2 or SMPTE time, has no notes
            of a piano, or is too large (more than MOST_BYTES bytes or MOST_STEPS time steps).
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UnreadableMidi(path, f"cannot be read: {error.strerror}") from error
    try:
        if len(data) > MOST_BYTES:
            raise _Refused(f"is too large: a MIDI file may have at most {MOST_BYTES:,} bytes")
        return _piece(data, steps_per_beat)
    except _Refused as error:
        raise UnreadableMidi(path, str(error)) from error


def _piece(data, steps_per_beat):
    resolution, tracks = _chunks(data)
    remarks, tempi, last = collections.Counter(), [], 1
    starts, ends, keys = (array.array("q") for _ in range(3))

    def step(tick):
        return (2 * tick * steps_per_beat + resolution) // (2 * resolution)

    for place in tracks:
        for channel, key, start, end in _notes(_events(data, *place), remarks, tempi):
            if channel == DRUMS:
                remarks[DRUM_NOTES] += 1
            elif not 0 <= key - LOWEST < NOTES:
                remarks[OUTSIDE] += 1
            else:
                last = max(last, end)
                starts.append(step(start))
                ends.append(max(step(end), step(start) + 1))
                keys.append(key - LOWEST)
                if ends[-1] > MOST_STEPS:
                    raise _Refused(
                        f"is too long: {ends[-1]:,} time steps or more, at {steps_per_beat} a quarter note; "
                        f"a piece may have at most {MOST_STEPS:,}"
                    )
    if not keys:
        raise _Refused("has drums only" if remarks[DRUM_NOTES] and not remarks[OUTSIDE] else "has no notes of a piano")
    tempo, changes = _tempo(tempi, last)
    remarks[TEMPO_CHANGES] = changes
    return Piece(_roll(starts, ends, keys), 60e6 / tempo, {what: count for what, count in remarks.items() if count})


def _notes(events, remarks, tempi):
    """(channel, MIDI number, tick of its begin, tick of its end) of every note of a track.

    Args:
        events: an iterator as returned by _events.
        remarks: Counter to which uses of the pedal and notes without an end are added.
        tempi: list to which (tick, microseconds per quarter note) is appended.
    """
    held, tick = {}, 0  # {(channel, key): ticks at which a note that has not ended was struck}
    for tick, status, values in events:
        kind, channel = status & 0xF0, status & 0x0F
        if kind == NOTE_ON and values[1]:
            held.setdefault((channel, values[0]), []).append(tick)
        elif kind in (NOTE_OFF, NOTE_ON):
            struck = held.pop((channel, values[0]), [])
            ended = [start for start in struck if start < tick] or struck
            if len(ended) < len(struck):  # at the same tick, the next note begins before this one ends
                held[channel, values[0]] = struck[len(ended) :]
            for start in ended:
                yield channel, values[0], start, tick
        elif kind == CONTROL and values[0] == SUSTAIN and values[1] >= PRESSED:
            remarks[PEDAL] += 1
        elif status == META and values[:1] == SET_TEMPO and len(values) == 4:
            tempi.append((tick, int.from_bytes(values[1:])))
    for (channel, key), struck in held.items():
        remarks[ENDLESS] += len(struck) * (channel != DRUMS)
        for start in struck:
            yield channel, key, start, tick


def _chunks(data):
    """(ticks per quarter note, [(offset where a track's events begin, offset where they end)])."""
    if not data:
        raise _Refused("is empty")
    if data[:4] != b"MThd":
        raise _Refused("is no readable MIDI file: it does not begin with MThd")
    at = 8 + int.from_bytes(data[4:8])
    if len(data) < 14 or at < 14:
        raise _Refused(CUT)
    form, count, division = (int.from_bytes(data[place : place + 2]) for place in (8, 10, 12))
    if form == 2:
        raise _Refused("is a MIDI file of format 2, pieces that do not sound together; formats 0 and 1 are read")
    if form > 2:
        raise _Refused(f"is no readable MIDI file: format {form}")
    if division >= 2**15:
        raise _Refused("counts time in SMPTE frames and not in beats")
    if not division:
        raise _Refused("is no readable MIDI file: a quarter note must have at least one tick; it has 0")
    tracks = []
    while len(tracks) < count:
        begin, name = at + 8, data[at : at + 4]
        at = begin + int.from_bytes(data[at + 4 : begin])
        if at > len(data) or len(name) < 4 or begin > len(data):
            raise _Refused(CUT)
        if name == b"MTrk":  # by the standard, chunks with other names are to be ignored
            tracks.append((begin, at))
    return division, tracks


def _events(data, at, end):
    """(tick, status byte, data) of every event between two offsets; the data of a meta event begin with its type."""
    tick, running = 0, None
    while at < end:
        if data[at] < 0x80:  # most numbers have one byte
            delta, at = data[at], at + 1
        else:
            delta, at = _number(data, at, end)
        tick += delta
        status = data[at] if at < end else None
        if status in (SYSTEM, ESCAPE, META):
            kind = data[at + 1 : at + 2] if status == META else b""
            size, at = _number(data, at + 1 + len(kind), end)
            if at + size > end:
                raise _Refused(CUT)
            yield tick, status, kind + data[at : at + size]
            at += size
            if kind == END_OF_TRACK:
                return
            continue
        if status is not None and status >= 0x80:
            running, at = status, at + 1
        if running is None or running >= SYSTEM:  # data without a status byte, or a message not allowed in files
            raise _Refused(CUT)
        size = 1 if running & 0xF0 in (PROGRAM, PRESSURE) else 2
        values = data[at : at + size]
        if at + size > end or max(values) >= 0x80:
            raise _Refused(CUT)
        yield tick, running, values
        at += size


def _number(data, at, end):
    """(value of a variable-length quantity, offset where it ends)."""
    value = 0
    for place in range(at, min(at + LONGEST_NUMBER, end)):
        value = value << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return value, place + 1
    raise _Refused(CUT)


def _roll(starts, ends, keys):
    """uint8 (T, 88) of notes, from how many begin and end at each step: the cost does not depend on their lengths."""
    starts, ends, keys = (np.frombuffer(numbers, np.int64) for numbers in (starts, ends, keys))
    sounding = np.zeros((ends.max() + 1, NOTES), np.int32)
    np.add.at(sounding, (starts, keys), 1)
    np.add.at(sounding, (ends, keys), -1)
    return (np.cumsum(sounding, axis=0)[:-1] > 0).astype(np.uint8)


def _tempo(tempi, end):
    """(the tempo in microseconds per quarter note that holds for most ticks before `end`, number of tempo changes)."""
    lasts, tick, now, changes = {}, 0, TEMPO, -1
    for at, new in [*sorted(tempi, key=lambda tempo: tempo[0]), (end, None)]:
        at = min(at, end)
        if at > tick and new != now:
            lasts[now] = lasts.get(now, 0) + at - tick
            changes += 1
            tick = at
        now = new
    tempo = max(lasts, key=lasts.get)
    if tempo < LEAST_TEMPO:
        raise _Refused(f"has a tempo of {tempo} microseconds a quarter note; must be {LEAST_TEMPO:,} or more")
    return tempo, changes
