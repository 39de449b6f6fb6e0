"""Laws of MIDI files, byte by byte: what is held when, at which tempo, and what is refused before memory is taken."""

import struct
import time
from pathlib import Path

import numpy as np
import pytest

from keras_dl.data import music
from keras_dl.errors import UserError
from keras_dl.features import midi

CASES = Path(__file__).parents[2] / "shared" / "cases"
END = b"\x00\xff\x2f\x00"
RESOLUTION = 96  # ticks a quarter note


def number(value):
    """A variable-length quantity."""
    septets = [value >> shift & 0x7F for shift in (21, 14, 7, 0)]
    while len(septets) > 1 and not septets[0]:
        septets.pop(0)
    return bytes([septet | 0x80 for septet in septets[:-1]] + septets[-1:])


def event(delta, *values):
    return number(delta) + bytes(values)


def note(key, length=RESOLUTION, channel=0, wait=0):
    return event(wait, 0x90 | channel, key, 80) + event(length, 0x80 | channel, key, 64)


def tempo(microseconds, wait=0):
    return event(wait, 0xFF, 0x51, 3, *microseconds.to_bytes(3))


def midi_file(*tracks, form=None, division=RESOLUTION, end=END):
    """The bytes of a MIDI file of those tracks."""
    form = int(len(tracks) > 1) if form is None else form
    tracks = [track + end for track in tracks]
    head = b"MThd" + struct.pack(">LHHH", 6, form, len(tracks), division)
    return head + b"".join(b"MTrk" + struct.pack(">L", len(track)) + track for track in tracks)


@pytest.fixture
def read(tmp_path):
    """read(bytes of a file, steps_per_beat) -> midi.Piece."""

    def read(content, steps_per_beat=1):
        (tmp_path / "piece.mid").write_bytes(content)
        return midi.read(tmp_path / "piece.mid", steps_per_beat)

    return read


def held(piece):
    """{MIDI number: steps at which it is held}."""
    return {21 + int(key): np.flatnonzero(piece.roll[:, key]).tolist() for key in np.flatnonzero(piece.roll.any(0))}


BEAT = RESOLUTION


@pytest.mark.parametrize(
    ("tracks", "wanted"),
    [
        ([note(60) + note(62, 2 * BEAT)], {60: [0], 62: [1, 2]}),
        ([note(60), note(64, 2 * BEAT, channel=3)], {60: [0], 64: [0, 1]}),  # tracks sound together
        ([event(0, 0x90, 60, 80) + event(BEAT, 60, 0) + event(BEAT, 60, 80) + event(BEAT, 60, 0)], {60: [0, 2]}),
        ([event(0, 0x90, 60, 0) + note(62)], {62: [0]}),  # an end of nothing
        ([note(60, 0) + note(62, wait=BEAT)], {60: [0], 62: [1]}),  # of no length: a step
        ([note(60, BEAT // 8) + note(62, wait=2 * BEAT)], {60: [0], 62: [2]}),
        (
            # Struck again while it is held, and ended once: it ends.
            [event(0, 0x90, 60, 80) + event(BEAT, 60, 80) + event(BEAT, 60, 0) + note(62, wait=BEAT)],
            {60: [0, 1], 62: [3]},
        ),
        (
            # The next note is written before the end of the last, at one tick: it is held on.
            [event(0, 0x90, 60, 80) + event(BEAT, 60, 80) + event(0, 60, 0) + event(BEAT, 60, 0)],
            {60: [0, 1]},
        ),
        ([event(0, 0x90, 60, 80) + note(62, 3 * BEAT)], {60: [0, 1, 2], 62: [0, 1, 2]}),  # never ended
        # Two voices of one key, in channels and in tracks of their own.
        ([note(60, 3 * BEAT), event(BEAT, 0x91, 60, 80) + event(BEAT, 60, 0)], {60: [0, 1, 2]}),
        # Running status goes on behind a meta event; programs and pressure have one byte.
        (
            [event(0, 0xC0, 5) + event(0, 6) + event(0, 0xD0, 7) + event(0, 0x90, 60, 80)
             + event(0, 0xFF, 1, 2, 65, 66) + event(BEAT, 60, 0)],
            {60: [0]},
        ),
        ([event(0, 0xF0, 3, 1, 2, 0xF7) + event(0, 0xE0, 0, 64) + note(60)], {60: [0]}),
        # What it means for players, and not for a roll: a time signature, a wrong key signature, the pedal.
        ([event(0, 0xFF, 0x58, 4, 6, 3, 24, 8) + event(0, 0xFF, 0x59, 2, 99, 9) + note(60)], {60: [0]}),
        ([event(0, 0xB0, 64, 127) + note(60) + event(3 * BEAT, 0xB0, 64, 0) + note(62)], {60: [0], 62: [4]}),
        ([tempo(250_000) + note(60) + tempo(10**6) + note(62)], {60: [0], 62: [1]}),  # steps count beats
    ],
)  # fmt: skip
def test_a_key_is_held_from_its_beginning_to_its_end(read, tracks, wanted):
    assert held(read(midi_file(*tracks))) == wanted


@pytest.mark.parametrize(
    ("track", "remarks"),
    [
        (note(60), {}),
        (note(60) + note(40, channel=9) + note(41, channel=9), {midi.DRUM_NOTES: 2}),
        (note(60) + note(20) + note(109) + note(127) + note(21) + note(108), {midi.OUTSIDE: 3}),
        (event(0, 0x90, 62, 80) + event(0, 0x99, 40, 80) + note(60), {midi.ENDLESS: 1, midi.DRUM_NOTES: 1}),
        (event(0, 0xB0, 64, 64) + event(0, 64, 63) + event(0, 64, 127) + event(0, 7, 100) + note(60), {midi.PEDAL: 2}),
        (note(60) + tempo(400_000) + note(60) + tempo(300_000), {midi.TEMPO_CHANGES: 1}),  # the last changes nothing
        (tempo(400_000) + note(60) + tempo(400_000) + note(60), {}),
    ],
)
def test_what_is_left_out_is_counted(read, track, remarks):
    assert read(midi_file(track)).remarks == remarks


@pytest.mark.parametrize(
    ("tracks", "beats_per_minute"),
    [
        ([note(60)], 120),  # what the format says where a file says nothing
        ([tempo(10**6) + note(60)], 60),
        ([note(60), tempo(10**6)], 60),  # on whatever track
        ([tempo(10**6) + tempo(400_000) + note(60)], 150),
        ([tempo(10**6) + note(60) + tempo(400_000) + note(60, 2 * BEAT)], 150),  # most of it
        ([tempo(10**6) + note(60, 2 * BEAT) + tempo(400_000) + note(60) + tempo(1, wait=99)], 60),
        ([tempo(10**6) + note(60) + tempo(400_000) + note(60, BEAT + 1) + tempo(10**6) + note(60)], 60),  # in sum
    ],
)
def test_a_piece_has_the_tempo_of_its_largest_part(read, tracks, beats_per_minute):
    assert read(midi_file(*tracks)).beats_per_minute == pytest.approx(beats_per_minute)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"RIFF" + bytes(40), "is no readable MIDI file: it does not begin with MThd"),
        (midi_file(note(60))[:13], midi.CUT),
        (midi_file(note(60))[:-5], midi.CUT),
        (midi_file(note(60), note(60), form=1)[:40], midi.CUT),
        (midi_file(event(0, 0x90, 60), end=b""), midi.CUT),
        (midi_file(event(0, 60, 80)), midi.CUT),  # running status of nothing
        (midi_file(event(0, 0x90, 60, 0x90)), midi.CUT),
        (midi_file(event(0, 0xF4)), midi.CUT),
        (midi_file(b"\x80\x80\x80\x80\x00" + note(60)), midi.CUT),  # a number of five bytes
        (midi_file(event(0, 0xFF, 1) + b"\xff\xff\xff\x7f"), midi.CUT),  # 2**28 bytes of text
        (midi_file(note(60), form=2), "is a MIDI file of format 2, pieces that do not sound together"),
        (midi_file(note(60), form=77), "is no readable MIDI file: format 77"),
        (midi_file(note(60), division=0xE728), "counts time in SMPTE frames and not in beats"),
        (midi_file(note(60), division=0), "a quarter note must have at least one tick; it has 0"),
        (midi_file(b""), "has no notes of a piano"),
        (midi_file(), "has no notes of a piano"),
        (midi_file(note(20)), "has no notes of a piano"),
        (midi_file(note(60, channel=9)), "has drums only"),
        (midi_file(tempo(0) + note(60)), "has a tempo of 0 microseconds a quarter note; must be 30,000 or more"),
        (midi_file(tempo(1) + note(60)), "has a tempo of 1 microseconds a quarter note; must be 30,000 or more"),
        (midi_file(note(60, 9_999_000), division=1), "is too long: 9,999,000 time steps or more, at 1 a quarter note"),
        (midi_file(note(60, wait=2**28 - 1)), "is too long: 2,796,204 time steps or more"),
        (midi_file(event(0, 0x90, 60, 80), end=event(2**28 - 1, 0xFF, 0x2F, 0)), "is too long"),  # never ended
        (midi_file(note(60, 9, wait=2**28 - 1) * 20, division=2**15 - 1), "is too long: "),
        (midi_file(bytes(2**21)), "is too large: a MIDI file may have at most 2,097,152 bytes"),
    ],
)
def test_what_is_no_music_is_refused_with_its_reason(read, tmp_path, content, reason):
    with pytest.raises(midi.UnreadableMidi) as error:
        read(content)
    assert reason in error.value.reason and "\n" not in str(error.value)
    assert str(error.value) == f"{tmp_path / 'piece.mid'} {error.value.reason}."


def test_the_longest_piece_is_read_and_a_step_more_refused(read):
    assert read(midi_file(note(60, 2**15), division=1)).roll.shape == (2**15, 88)
    with pytest.raises(UserError, match="32,769 time steps or more"):
        read(midi_file(note(60, 2**15 + 1), division=1))
    with pytest.raises(UserError, match="65,536 time steps or more, at 2 a quarter note"):
        read(midi_file(note(60, 2**15), division=1), steps_per_beat=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "events",
    [
        event(0, 0xC0, 0) + bytes(2 * 10**6),
        event(0, 0x90, 60, 80) + event(0, 60, 80) * 690_000 + event(2**15 - 1000, 60, 0),
    ],
    ids=["a million programs", "a million notes of the longest length"],
)
def test_a_million_events_are_read_in_seconds(read, events):
    began = time.process_time()
    piece = read(midi_file(events + note(60), division=1))
    assert piece.roll.any(0).sum() == 1 and time.process_time() - began < 30


def test_files_of_other_programs_are_read_as_pretty_midi_reads_them(tmp_path):
    pretty_midi = pytest.importorskip("pretty_midi", reason="extra [music] is not installed")
    rng = np.random.default_rng(0)
    for trial in range(20):
        piece = pretty_midi.PrettyMIDI(resolution=int(rng.integers(24, 480)), initial_tempo=float(rng.uniform(40, 200)))
        for program in rng.integers(0, 128, 3):
            instrument = pretty_midi.Instrument(int(program), is_drum=program % 5 == 0)
            for _ in range(40):
                start, length = rng.uniform(0, 20), rng.uniform(0.05, 3)
                key = int(rng.integers(10, 120))
                instrument.notes.append(pretty_midi.Note(80, key, start, start + length))
            piece.instruments.append(instrument)
        piece.write(str(tmp_path / "a.mid"))
        piece, spans = pretty_midi.PrettyMIDI(str(tmp_path / "a.mid")), []
        for instrument in piece.instruments:
            for each in instrument.notes:
                start, end = (
                    round(piece.time_to_tick(t) * 4 / piece.resolution + 1e-9) for t in (each.start, each.end)
                )
                if not instrument.is_drum and 21 <= each.pitch <= 108:
                    spans.append((start, max(end, start + 1), each.pitch - 21))
        wanted = np.zeros((max(end for _, end, _ in spans), 88), np.uint8)
        for start, end, key in spans:
            wanted[start:end, key] = 1
        np.testing.assert_array_equal(midi.read(tmp_path / "a.mid", 4).roll, wanted, err_msg=str(trial))


def test_a_folders_pieces_keep_their_tempo_and_what_is_left_out_is_said(tmp_path):
    for number in range(8):
        more = note(40, channel=9) * 3 + note(10) if number < 2 else b""
        content = tempo(60_000_000 // (60 + 10 * number)) + note(60 + number, BEAT * (1 + number)) + more
        (tmp_path / f"{number}.mid").write_bytes(midi_file(content))
    splits = music.load(str(tmp_path), steps_per_beat=1)
    tempi = []
    for part in (splits.train, splits.validation, splits.test):
        for roll, beats_per_minute in zip(part.features["roll"], part.features["beats_per_minute"], strict=True):
            assert beats_per_minute == pytest.approx(60 + 10 * (len(roll) - 1), rel=1e-4)
            tempi.append(beats_per_minute)
    assert len(tempi) == 8 and splits.info.details["beats_per_minute"] == np.median(
        splits.train.features["beats_per_minute"]
    )
    assert splits.notes == (
        "notes of drums left out: 6, in 2 of 8 files",
        "notes outside the piano's 88 keys left out: 2, in 2 of 8 files",
    )


def test_the_same_piece_in_two_splits_is_said(tmp_path):
    for part, keys in (("train", (60, 61, 62)), ("validation", (63, 61)), ("test", (64, 61, 62))):
        (tmp_path / part).mkdir()
        for key in keys:
            (tmp_path / part / f"{key}.mid").write_bytes(midi_file(tempo(10_000 * key) + note(key)))
    assert music.load(str(tmp_path)).warnings == (
        "of the 2 pieces of validation, 1 stands in train too, note for note",
        "of the 3 pieces of test, 2 stand in train too, note for note",
        "of the 3 pieces of test, 1 stands in validation too, note for note",
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [("drums", "has drums only"), ("nonotes", "has no notes"), ("long", "is too long"), ("slow60", None)],
)
def test_files_that_went_wrong(name, reason):
    if not CASES.is_dir():
        pytest.skip("data: no cases in ../shared")
    if reason is None:
        assert midi.read(CASES / f"{name}.mid", 4).beats_per_minute == 60
    else:
        with pytest.raises(UserError, match=reason):
            midi.read(CASES / f"{name}.mid", 2)


def pieces(folder, count, first=0):
    """Files of 1 + first, 2 + first ... beats of keys of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        (folder / f"{number}.mid").write_bytes(midi_file(note(40 + number, BEAT * (1 + number))))


def lengths(splits):
    return [part.features["roll"].lengths.tolist() for part in (splits.train, splits.validation, splits.test)]


def test_splits_go_by_their_usual_names_in_any_letter_case(tmp_path):
    for number, name in enumerate(("Training", "VALID", "testing")):
        pieces(tmp_path / name, 2, 2 * number)
    pieces(tmp_path / "drafts", 1, 20)
    splits = music.load(str(tmp_path), steps_per_beat=1)
    assert lengths(splits) == [[1, 2], [3, 4], [5, 6]]
    assert splits.notes == ("left out, of no split: 1 (drafts/20.mid)",)
    pieces(tmp_path / "dev", 1, 30)
    with pytest.raises(UserError, match="VALID/ and dev/ are both the validation split; keep one of them."):
        music.load(str(tmp_path))


@pytest.mark.parametrize(("given", "missing"), [("val", "test"), ("Test", "validation")])
def test_a_split_that_is_missing_is_held_out_of_train_and_said(tmp_path, given, missing):
    pieces(tmp_path / "Train", 5)
    pieces(tmp_path / given, 2, 5)
    splits = music.load(str(tmp_path), steps_per_beat=1)
    train, validation, test = lengths(splits)
    held, kept = (test, validation) if missing == "test" else (validation, test)
    assert kept == [6, 7] and len(held) == 1 and sorted(train + held) == [1, 2, 3, 4, 5]
    assert splits.notes == (f"no {missing} split in {tmp_path}: 1 of the pieces of train is held out for it",)


def test_links_are_followed_and_all_that_is_left_out_is_said(tmp_path):
    root = tmp_path / "mine [2] * ?"
    pieces(root, 3)
    pieces(tmp_path / "elsewhere", 2, 3)
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "link" / "back").symlink_to(root)
    (root / "gone.mid").symlink_to(tmp_path / "nothing")
    (root / "cover.jpg").write_bytes(b"")
    (root / "words.txt").write_bytes(b"")
    splits = music.load(str(root), steps_per_beat=1)
    assert sorted(sum(lengths(splits), [])) == [1, 2, 3, 4, 5]
    said = "\n".join(splits.notes)
    for sentence in (
        "links to nothing: 1 (gone.mid)",
        "links that lead back: 1 (link/back)",
        "no MIDI files by their endings: 2 (",
    ):
        assert f"left out, {sentence}" in said
    assert len(splits.notes) == 3


def test_a_home_that_nobody_has_is_said():
    with pytest.raises(UserError, match="~nobody_of_that_name"):
        music.load("~nobody_of_that_name/x")
