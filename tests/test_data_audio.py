"""Laws of recordings as data: a sound is what was recorded at any rate, every sample counts once, the law is known."""

import math
import os
import wave
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_dl import data, models, objectives
from keras_dl.data import audio, synthetic_sounds
from keras_dl.errors import UserError
from keras_dl.features import audio_files
from keras_dl.features.audio import FLOOR, Audio, AudioLevels, spectrogram

RAW = Path(__file__).parents[2] / "shared" / "data" / "raw" / "fsdd"


@pytest.fixture(scope="module")
def soundfile():
    pytest.importorskip("soxr", reason="extra [signals] is not installed")
    return pytest.importorskip("soundfile", reason="extra [signals] is not installed")


def tone(rate, seconds=0.5, frequency=440.0):
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def frequency_of(sound, rate):
    """The frequency of the highest peak of the spectrum, between bins by a parabola through its logarithm."""
    window = np.hanning(len(sound))
    size = 8 * len(sound)
    spectrum = np.log(np.abs(np.fft.rfft(sound * window, size)) + 1e-12)
    peak = int(np.argmax(spectrum))
    low, middle, high = spectrum[peak - 1 : peak + 2]
    return (peak + (low - high) / (2 * (low - 2 * middle + high))) * rate / size


# Files


@pytest.mark.parametrize("rate", [4000, 8000, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("wanted", [8000, 16_000, 11_025])
def test_a_tone_keeps_its_pitch_at_any_rate(soundfile, tmp_path, rate, wanted):
    soundfile.write(tmp_path / "a.wav", tone(rate), rate)
    recording = audio_files.read(tmp_path / "a.wav", wanted)
    assert abs(frequency_of(recording.audio, wanted) - 440) < 1
    assert abs(recording.seconds - 0.5) < 1e-3 and recording.file_rate == rate
    assert ("converted" in " ".join(recording.changes())) == (rate != wanted)


def test_a_tone_above_half_the_new_rate_is_gone_and_does_not_come_back_lower(soundfile, tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(48_000, frequency=7000), 48_000)
    assert np.abs(audio_files.read(tmp_path / "a.wav", 8000).audio[200:-200]).max() < 1e-3


@pytest.mark.parametrize(
    ("kind", "subtype", "tolerance"),
    [
        ("wav", "PCM_U8", 2**-7), ("wav", "PCM_16", 2**-15), ("wav", "PCM_24", 2**-22), ("wav", "PCM_32", 2**-23),
        ("wav", "FLOAT", 1e-7), ("wav", "DOUBLE", 1e-7), ("wav", "ULAW", 0.02), ("flac", "PCM_16", 2**-15),
        ("flac", "PCM_24", 2**-22), ("ogg", "VORBIS", 0.1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_every_usual_format_reads_as_the_mean_of_its_channels(soundfile, tmp_path, kind, subtype, tolerance, channels):
    path, sound = tmp_path / f"a.{kind}", tone(8000)
    values = np.stack([sound * gain for gain in (1.0, 0.2, -0.3)[:channels]], 1)
    soundfile.write(path, values, 8000, subtype=subtype)
    recording = audio_files.read(path)
    np.testing.assert_allclose(recording.audio, values.mean(1), atol=tolerance)
    assert (recording.rate, recording.channels) == (8000, channels)


def test_an_extensible_wav_and_an_odd_chunk_are_read(soundfile, tmp_path):
    sound = np.round(tone(8000, 0.01) * 2**15).astype("<i2")
    soundfile.write(tmp_path / "extensible.wav", sound, 8000, format="WAVEX", subtype="PCM_16")
    np.testing.assert_array_equal(audio_files.as_int16(audio_files.read(tmp_path / "extensible.wav").audio), sound)
    with wave.open(str(tmp_path / "plain.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(sound.tobytes())
    plain = (tmp_path / "plain.wav").read_bytes()
    odd = b"junk" + (3).to_bytes(4, "little") + b"abc\0"  # a chunk of 3 bytes and its padding
    whole = plain[:12] + odd + plain[12:]
    (tmp_path / "odd.wav").write_bytes(whole[:4] + (len(whole) - 8).to_bytes(4, "little") + whole[8:])
    np.testing.assert_array_equal(audio_files.as_int16(audio_files.read(tmp_path / "odd.wav").audio), sound)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"not a sound", "is no readable WAV, FLAC or OGG file"),
        (b"RIFF\x24\0\0\0WAVE", "is no readable WAV, FLAC or OGG file"),
    ],
)
def test_what_is_no_sound_is_refused_with_its_reason(soundfile, tmp_path, content, reason):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(audio_files.UnreadableAudio) as error:
        audio_files.read(path)
    assert error.value.reason == reason and str(path) in str(error.value)


def test_files_that_are_missing_too_long_or_not_finite_are_refused(soundfile, tmp_path, monkeypatch):
    with pytest.raises(audio_files.UnreadableAudio, match="cannot be read: No such file"):
        audio_files.read(tmp_path / "b.wav")
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, math.nan]), 8000, subtype="FLOAT")
    with pytest.raises(audio_files.UnreadableAudio, match="no finite numbers"):
        audio_files.read(tmp_path / "nan.wav")
    soundfile.write(tmp_path / "long.wav", np.zeros((30, 2)), 8000)
    monkeypatch.setattr(audio_files, "MOST_SAMPLES", 50)
    with pytest.raises(audio_files.UnreadableAudio, match="at most 50 samples"):
        audio_files.read(tmp_path / "long.wav", 16_000)
    monkeypatch.setattr(audio_files, "MOST_VALUES", 59)
    with pytest.raises(audio_files.UnreadableAudio, match="at most 59 values"):
        audio_files.read(tmp_path / "long.wav")


def test_no_samples_and_what_is_beyond_full_scale(soundfile, tmp_path):
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 8000)
    assert audio_files.read(tmp_path / "none.wav", 16_000).audio.shape == (0,)
    soundfile.write(tmp_path / "loud.wav", np.array([0.5, 1.5, -2.0]), 8000, subtype="FLOAT")
    loud = audio_files.read(tmp_path / "loud.wav")
    assert loud.audio.tolist() == [0.5, 1.0, -1.0] and loud.changes() == {"samples beyond full scale clipped": 2}


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_what_is_written_is_read_again(soundfile, tmp_path, suffix):
    sound = tone(11_025, 0.02)
    Audio(11_025).write(sound, tmp_path / f"a{suffix}")
    recording = audio_files.read(tmp_path / f"a{suffix}")
    assert recording.rate == 11_025
    np.testing.assert_array_equal(audio_files.as_int16(recording.audio), audio_files.as_int16(sound))


# Levels, batches, windows


@pytest.mark.parametrize("levels", [256, 65_536])
def test_a_level_is_kept_by_samples_of_16_bits(levels):
    preprocess, every = AudioLevels(8000, levels), np.arange(levels)
    samples = audio_files.as_int16(preprocess.inverse(every))
    np.testing.assert_array_equal(preprocess(audio_files.as_float(samples)), every)
    assert preprocess(np.zeros(1, np.float32)).numpy().tolist() == [preprocess.silence]


def test_a_batch_predicts_each_sample_from_those_before():
    sounds = [audio_files.as_int16(tone(100, 0.05)), audio_files.as_int16(tone(100, 0.03))]
    raw = {"audio": tf.ragged.constant([s.tolist() for s in sounds], tf.int16), "context": tf.constant([2, 0])}
    preprocess = AudioLevels(100, pad=4)
    x, y, weight = preprocess.batch(raw)
    assert x.shape == (2, 8) and weight.numpy().tolist() == [[0, 0, 1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(y[0, :5], preprocess(audio_files.as_float(sounds[0])))
    np.testing.assert_array_equal(x[:, 1:], y[:, :-1])
    assert x[:, 0].numpy().tolist() == [128, 128]
    inputs, *_ = preprocess.batch_of_classes(raw | {"label": tf.constant([1, 0])})
    assert inputs["label"].numpy().tolist() == [1, 0] and np.array_equal(inputs["audio"], x)


def recordings(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return data.Ragged.of([rng.integers(-9000, 9000, length).astype(np.int16) for length in lengths])


@pytest.mark.parametrize("steps", [3, 7, 40])
def test_windows_give_the_likelihood_of_whole_recordings(steps):
    """Cut anywhere, the sum over all samples is that of the recordings read at once; with less context it is not."""
    examples = data.Examples({"audio": recordings([31, 1, 40, 8])})
    tf.random.set_seed(1)
    model = models.build_wavenet(dilations=(1, 2, 4), num_blocks=1, filters=4, skip_filters=5)
    for weight in model.trainable_weights:
        weight.assign_add(0.3 * tf.random.stateless_normal(weight.shape, [1, 2]))

    def nats(windows):
        metric = objectives.NatsOfParts("categorical", len(windows))
        for x, y, weight in data.batches(windows, 2, collate=AudioLevels(8000, pad=4).batch).dataset():
            metric.update_state(y, model(x), weight)
        totals, counts = metric.parts()
        return np.bincount(windows.features["recording"], totals), np.bincount(windows.features["recording"], counts)

    whole, lengths = nats(audio.windows(examples, 100, 0))
    assert lengths.tolist() == [31, 1, 40, 8]
    cut, counted = nats(audio.windows(examples, steps, model.receptive_field))
    assert counted.tolist() == lengths.tolist()
    np.testing.assert_allclose(cut, whole, rtol=1e-5)
    if steps < 31:
        assert not np.allclose(nats(audio.windows(examples, steps, model.receptive_field - 1))[0], whole, rtol=1e-5)


def test_windows_are_of_about_equal_lengths_and_keep_the_label():
    examples = data.Examples({"audio": recordings([10, 4]), "label": np.array([7, 5], np.int32)})
    windows = audio.windows(examples, 4, 3)
    assert [len(piece) for piece in windows.features["audio"]] == [3, 7, 6, 4]
    assert windows.features["context"].tolist() == [0, 3, 3, 0]
    assert windows.features["label"].tolist() == [7, 7, 7, 5]


def test_a_spectrogram_shows_a_tone_where_it_is():
    loudness = spectrogram(tone(8000, 0.5, 1000), 8000)
    assert loudness.max() == 0 and loudness.min() >= FLOOR
    bins = loudness.mean(0)
    assert abs(int(np.argmax(bins)) * 8000 / (2 * (len(bins) - 1)) - 1000) < 8000 / (2 * (len(bins) - 1))
    assert (spectrogram(np.zeros(3), 8000) == FLOOR).all()


# The embedded sounds


def test_the_law_is_a_distribution():
    """Of two samples, the probabilities of all pairs of levels sum to 1, for every setting of each class."""
    pairs = np.stack(np.meshgrid(np.arange(256), np.arange(256)), -1).reshape(-1, 2)
    for label in (0, 1):
        assert abs(np.exp(synthetic_sounds.log_prob(pairs, label)).sum() - 1) < 1e-9


def test_sounds_follow_their_law():
    """What the law expects, given the right setting, is off by a logistic noise of its scale, and no less."""
    sounds, labels = synthetic_sounds.draw(0)["train"]
    levels = AudioLevels(8000)(audio_files.as_float(sounds)).numpy()
    for label, settings in ((0, synthetic_sounds.GLIDES), (1, synthetic_sounds.PERIODS)):
        of_class = levels[labels == label][:60]
        given = np.stack([synthetic_sounds._log_prob_given(of_class, label, setting) for setting in settings])
        best = given.argmax(0)
        assert len(set(best)) == 8  # all settings occur
        np.testing.assert_allclose(synthetic_sounds.log_prob(of_class, label), given.max(0) - np.log(8), rtol=1e-6)
        for sound, setting in zip(of_class[:4], best, strict=False):
            expects, scale = synthetic_sounds.expected(sound[None], label, settings[setting])
            inside = (sound > 40) & (sound < 215) & (np.broadcast_to(scale, sound.shape) == synthetic_sounds.NOISE)
            spread = (sound - expects[0])[inside].std()
            assert abs(spread / (synthetic_sounds.NOISE * math.pi / math.sqrt(3)) - 1) < 0.15


def test_the_likelihood_of_the_law_is_that_of_its_noise():
    """A logistic distribution has an entropy of log(scale) + 2 nats; the settings and the first samples are little."""
    splits = audio.load("synthetic")
    known, unknown = audio.best_nats(audio.load("synthetic", label="class")), audio.best_nats(splits)
    entropy = math.log(synthetic_sounds.NOISE) + 2
    assert entropy < known < unknown < entropy + 0.1
    assert unknown < splits.facts.baseline(splits)["value"] - 2
    assert audio.best_nats(audio.load("synthetic", levels=65_536)) is None


def test_the_same_seed_draws_the_same_sounds_and_no_two_splits_share_one():
    first, again, other = (synthetic_sounds.draw(seed) for seed in (0, 0, 1))
    for part, (sounds, labels) in first.items():
        np.testing.assert_array_equal(sounds, again[part][0])
        assert not np.array_equal(sounds, other[part][0]) and np.bincount(labels).tolist() == [len(labels) / 2] * 2
    every = np.concatenate([sounds for sounds, _ in first.values()])
    assert len({sound.tobytes() for sound in every}) == len(every)


# Folders


def write_folder(root, soundfile, names, rate=8000, seconds=0.2, gain=1.0):
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, gain * tone(rate, seconds, 300 + 10 * number), rate)


def test_what_of_a_folder_is_converted_trimmed_and_dropped_is_said_in_files_and_seconds(soundfile, tmp_path):
    write_folder(tmp_path, soundfile, [f"{n}.wav" for n in range(9)])
    write_folder(tmp_path, soundfile, ["a.flac", "b.flac"], rate=48_000)
    soundfile.write(tmp_path / "stereo.wav", np.stack([tone(8000, 0.3)] * 2, 1), 8000)
    soundfile.write(tmp_path / "silent.wav", np.full(800, 1e-3), 8000)
    soundfile.write(tmp_path / "padded.wav", np.concatenate([np.zeros(4000), tone(8000, 0.2)]), 8000)
    (tmp_path / "notes.txt").write_text("no sound")
    splits = audio.load(str(tmp_path), trim_silence=True)
    assert splits.info.details["rate"] == 8000 and sum(splits.info.counts.values()) == 13
    notes = "\n".join(splits.notes)
    assert "48,000 samples per second converted to 8,000: 2 files, 0.4 s" in notes
    assert "2 channels averaged to one: 1 file, 0.3 s" in notes
    assert "13 files, 2.7 s to learn from and to test on, at 8,000 samples per second" in notes
    assert "left out as silent (no sample above 0.004 of full scale): 1 file, 0.1 s" in notes
    assert "trimmed off the ends: 1 file, 0.5 s" in notes and "silent: 1 (silent.wav)" in notes
    assert "no sound files by their endings: 1 (notes.txt)" in notes
    assert "trimmed" not in "\n".join(audio.load(str(tmp_path)).notes)
    assert audio.load(str(tmp_path), rate=4000).info.details["rate"] == 4000


def test_the_sub_folders_are_the_classes_where_they_are_asked_for(soundfile, tmp_path):
    write_folder(tmp_path, soundfile, [f"{kind}/{n}.wav" for kind in ("cat", "dog") for n in range(5)])
    splits = audio.load(str(tmp_path), label="class")
    assert splits.info.classes == ("cat", "dog") and "label" in splits.test.features
    assert splits.facts.classes(splits)["cat"] == {"train": 3, "validation": 1, "test": 1}
    plain = audio.load(str(tmp_path))
    assert plain.info.classes == () and sum(plain.info.counts.values()) == 10


def test_a_folder_s_own_splits_links_and_endings_are_those_of_every_kind(soundfile, tmp_path):
    kept = tmp_path / "elsewhere"
    write_folder(kept, soundfile, [f"{n}.WAV" for n in range(4)])
    root = tmp_path / "mine"
    write_folder(root, soundfile, ["test/a.wav", "valid/deep/b.flac", "train/.hidden.wav", "train/c.wav"])
    os.symlink(kept, root / "train" / "more")
    splits = audio.load(str(root))
    assert splits.info.counts == {"train": 5, "validation": 1, "test": 1} and splits.info.details["rate"] == 8000
    assert "hidden or the system's own: 1" in "\n".join(splits.notes)


def test_many_loud_files_are_one_note(soundfile, tmp_path):
    for number in range(5):
        soundfile.write(tmp_path / f"{number}.wav", np.full(10 + number, 1.5), 8000, subtype="FLOAT")
    notes = audio.load(str(tmp_path)).notes
    assert [note for note in notes if "clipped" in note] == ["samples beyond full scale clipped: 60, in 5 files, 0.0 s"]


def test_every_class_needs_enough_recordings_that_can_be_used(soundfile, tmp_path):
    write_folder(tmp_path, soundfile, [f"cat/{n}.wav" for n in range(5)] + ["dog/1.wav", "dog/2.wav"])
    soundfile.write(tmp_path / "dog" / "silent.wav", np.zeros(99), 8000)
    with pytest.raises(UserError, match=r"dog must hold 3 or more .* can be used; got 2; left out, silent: 1 \(dog/si"):
        audio.load(str(tmp_path), label="class")
    assert sum(audio.load(str(tmp_path)).info.counts.values()) == 7


def test_recordings_that_fill_the_memory_are_refused(soundfile, tmp_path, monkeypatch):
    write_folder(tmp_path, soundfile, [f"{n}.wav" for n in range(4)])
    monkeypatch.setattr(audio, "MOST_SAMPLES", 4000)
    with pytest.raises(UserError, match="may have at most 4,000 samples in all"):
        audio.load(str(tmp_path))


def test_a_folder_that_cannot_be_used_is_one_line(soundfile, tmp_path):
    with pytest.raises(UserError, match='label must be "none" or "class" for synthetic; got "speaker"'):
        audio.load("synthetic", label="speaker")
    with pytest.raises(UserError, match='audio.load: no set or folder "fsd"; nearest: fsdd. Sets: fsdd, synthetic.'):
        audio.load("fsd")
    write_folder(tmp_path, soundfile, ["a.wav", "b.wav"])
    with pytest.raises(UserError, match="must hold 3 or more readable sound files that can be used; got 2"):
        audio.load(str(tmp_path))
    write_folder(tmp_path, soundfile, ["c.wav", "d.wav"])
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    with pytest.raises(UserError, match=r"1 of 5 files in .* cannot be read as sound files: .*\(bad.wav\)"):
        audio.load(str(tmp_path))
    assert sum(audio.load(str(tmp_path), skip_unreadable=True).info.counts.values()) == 4


# The spoken digits


@pytest.mark.data
def test_the_spoken_digits_are_the_published_recordings(tmp_path, monkeypatch):
    if not RAW.exists():
        pytest.skip("data: no raw files in ../shared")
    folder = tmp_path / "downloads" / "manual" / "fsdd"
    folder.mkdir(parents=True)
    os.symlink(RAW / "fsdd_takes_0_to_9.tar.xz", folder / "fsdd_takes_0_to_9.tar.xz")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    digits = audio.load("fsdd", label="class")
    assert digits.info.counts == {"train": 240, "validation": 60, "test": 300}
    assert abs(sum(digits.info.details["seconds"].values()) - 261) < 1
    assert np.bincount(digits.test.features["label"]).tolist() == [30] * 10
    lengths = np.concatenate([part.features["audio"].lengths for part in digits.parts.values()])
    assert (lengths.min(), lengths.max()) == (1148, 10_504)
    speakers = audio.load("fsdd", label="speaker")
    assert np.bincount(speakers.train.features["label"]).tolist() == [40] * 6 and "george" in speakers.info.classes
