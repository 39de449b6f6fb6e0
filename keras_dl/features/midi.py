"""MIDI files as music on a grid of beats: which keys are held at each time step, the tempo, and what is left out.

The format is read here, and not by a library: a stranger's file of 37 bytes may last ten million beats, and a number
in it may be a million bytes long. Both must be refused before time and memory go into them. Nor may a wrong key
signature, which is no matter here, void a piece.
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
MOST_STEPS = 2**15  # of a piece: 2 hours at 4 steps a quarter note and 60 quarter notes a minute
TEMPO = 500_000  # microseconds a quarter note, where a file says nothing
LEAST_TEMPO = 30_000  # 2,000 quarter notes a minute
DRUMS = 9  # the channel, counted from 0
SUSTAIN, PRESSED = 64, 64  # the pedal's controller, and the value from which it is down
NOTE_OFF, NOTE_ON, CONTROL, PROGRAM, PRESSURE = 0x80, 0x90, 0xB0, 0xC0, 0xD0  # status bytes, of channel 0
SYSTEM, ESCAPE, META = 0xF0, 0xF7, 0xFF
END_OF_TRACK, SET_TEMPO = b"\x2f", b"\x51"  # types of meta events
LONGEST_NUMBER = 4  # bytes of a variable-length quantity
CUT = "is no readable MIDI file: it is cut short or damaged"

# What a Piece remarks on.
DRUM_NOTES = "notes of drums left out"
OUTSIDE = f"notes outside the piano's {NOTES} keys left out"
ENDLESS = "notes without an end, held to the end of their track"
PEDAL = "presses of the sustain pedal without effect"
TEMPO_CHANGES = "changes of tempo, of which a roll keeps one"


class UnreadableMidi(UserError):
    """A file that is not taken as music; `reason` is what stands behind its name, without the full stop."""

    def __init__(self, path, reason):
        super().__init__(f"music.read_midi: {path} {reason}.")
        self.reason = reason


@dataclasses.dataclass(frozen=True)
class Piece:
    """What a MIDI file holds.

    Attributes:
        roll: uint8 (T, 88), 1 where a key is held, up to the end of the last note; T is at least 1.
        beats_per_minute: quarter notes a minute, the tempo that the largest part of the piece has.
        remarks: {what was left out or changed: how often}.
    """

    roll: np.ndarray
    beats_per_minute: float
    remarks: dict


class _Refused(Exception):
    pass


def read(path, steps_per_beat):
    """Read a MIDI file of format 0 or 1.

    All tracks and channels are laid into one roll. Beginnings and ends are moved to the nearest step of the file's
    beats (quarter notes, whatever the time signature and the tempo); a note lasts at least one step. The end of a note
    ends all notes of its key, channel and track that began before. A note that is never ended is held to the end of its
    track. The sustain pedal (controller 64) does not make notes longer: a roll says which keys are held down.
    Drums (channel 10) and keys that a piano has not are left out.

    Args:
        path: the file.
        steps_per_beat: time steps a quarter note.

    Raises:
        UnreadableMidi: no MIDI file, a damaged one, one that counts no beats (format 2, SMPTE), has no notes of a
            piano, is too large (more than MOST_BYTES bytes or MOST_STEPS time steps), or that cannot be opened.
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
        raise _Refused("has drums alone" if remarks[DRUM_NOTES] and not remarks[OUTSIDE] else "has no notes of a piano")
    tempo, changes = _tempo(tempi, last)
    remarks[TEMPO_CHANGES] = changes
    return Piece(_roll(starts, ends, keys), 60e6 / tempo, {what: count for what, count in remarks.items() if count})


def _notes(events, remarks, tempi):
    """(channel, MIDI number, the tick where it begins, where it ends) of every note of a track.

    Args:
        events: of _events.
        remarks: where the pedal and endless notes are counted.
        tempi: where (tick, microseconds a quarter note) is added.
    """
    held, tick = {}, 0  # {(channel, key): ticks at which it was struck and not yet let go}
    for tick, status, values in events:
        kind, channel = status & 0xF0, status & 0x0F
        if kind == NOTE_ON and values[1]:
            held.setdefault((channel, values[0]), []).append(tick)
        elif kind in (NOTE_OFF, NOTE_ON):
            struck = held.pop((channel, values[0]), [])
            ended = [start for start in struck if start < tick] or struck
            if len(ended) < len(struck):  # the next note stands before the end of this one, at the same tick
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
    """(ticks a quarter note, [(where a track's events begin, where they end)])."""
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
        if name == b"MTrk":  # chunks of other names are there to be passed over
            tracks.append((begin, at))
    return division, tracks


def _events(data, at, end):
    """(tick, status byte, its data) of every event between two places; a meta event's data begin with its type."""
    tick, running = 0, None
    while at < end:
        if data[at] < 0x80:  # most are of one byte
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
        if running is None or running >= SYSTEM:  # data without a status, or a message that no file may have
            raise _Refused(CUT)
        size = 1 if running & 0xF0 in (PROGRAM, PRESSURE) else 2
        values = data[at : at + size]
        if at + size > end or max(values) >= 0x80:
            raise _Refused(CUT)
        yield tick, running, values
        at += size


def _number(data, at, end):
    """(a variable-length quantity, where it ends)."""
    value = 0
    for place in range(at, min(at + LONGEST_NUMBER, end)):
        value = value << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return value, place + 1
    raise _Refused(CUT)


def _roll(starts, ends, keys):
    """uint8 (T, 88) of notes, by counting what begins and ends at each step: their number does not matter."""
    starts, ends, keys = (np.frombuffer(numbers, np.int64) for numbers in (starts, ends, keys))
    sounding = np.zeros((ends.max() + 1, NOTES), np.int32)
    np.add.at(sounding, (starts, keys), 1)
    np.add.at(sounding, (ends, keys), -1)
    return (np.cumsum(sounding, axis=0)[:-1] > 0).astype(np.uint8)


def _tempo(tempi, end):
    """(microseconds a quarter note that hold for most ticks before `end`, how often they change there)."""
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
