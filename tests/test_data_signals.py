"""Sounds and volumes for a classifier: which of them a name means, and the lengths that are read."""

import re
import wave

import numpy as np
import pytest
import tensorflow as tf

from keras_dl import errors
from keras_dl.data import signals, volumes
from keras_dl.features.waveform import Waveform


def write_wav(path, samples, rate=8000):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((3000 * np.sin(0.1 * np.arange(samples))).astype("<i2").tobytes())


def test_sounds_have_their_classes_and_the_length_of_most():
    splits = signals.load("synthetic")
    assert splits.info.classes == ("chirp", "string") and splits.preprocess == Waveform(8000, 1600)
    assert splits.facts.baseline(splits)["metric"] == "accuracy" and splits.facts.unit == "recordings"
    x, y = splits.preprocess.batch(
        {"audio": tf.RaggedTensor.from_row_lengths(tf.ones([5], tf.int16), [2, 3]), "label": tf.constant([0, 1])}
    )
    assert x.shape == (2, 1600) and y.numpy().tolist() == [0, 1]
    assert signals.load("synthetic", seconds=0.1).preprocess.samples == 800


def test_a_sound_is_in_the_middle_by_itself_and_as_loud_as_any():
    waveform = Waveform(8000, 6)
    sounds = np.array([[0.5, -0.25, 0, 0, 0, 0, 0, 0], [0, 0.1, 0.2, 0.1, -0.4, 0.1, 0.1, 0.2]], np.float32)
    read = waveform.of_each(sounds, tf.constant([2, 8])).numpy()
    np.testing.assert_allclose(read[0], [0, 0, 1, -0.5, 0, 0], atol=1e-6)
    np.testing.assert_allclose(read[1], np.array([0.1, 0.2, 0.1, -0.4, 0.1, 0.1]) / 0.4, rtol=1e-5)
    np.testing.assert_allclose(waveform(0.01 * sounds[1:]), read[1:], rtol=1e-5)
    np.testing.assert_array_equal(waveform(np.zeros((1, 3))), 0)
    assert waveform.of_each(np.zeros((0, 4), np.float32), tf.zeros([0], tf.int32)).shape == (0, 6)


def test_a_folder_is_of_sounds_or_of_volumes_not_of_both(tmp_path):
    pytest.importorskip("soundfile", reason="extra [signals] is not installed")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(6):
            write_wav(tmp_path / name / f"{number}.wav", 800 + 100 * number)
    splits = signals.load(str(tmp_path))
    assert splits.info.classes == ("a", "b") and splits.preprocess.rate == 8000
    assert splits.preprocess.samples % 800 == 0 and splits.info.own
    np.save(tmp_path / "a" / "x.npy", np.zeros((2, 2, 2)))
    with pytest.raises(errors.UserError, match="must hold sound files or volumes, not both; got 12 and 1"):
        signals.load(str(tmp_path))


def test_names_that_nobody_knows(tmp_path):
    for name in ("fsd", "solid"):
        with pytest.raises(errors.UserError, match=re.escape(f'signals.load: no set or folder "{name}"; nearest: ')):
            signals.load(name)


def test_only_volumes_are_turned(monkeypatch):
    sounds = signals.load("synthetic").info
    assert signals.augmentation("auto", sounds) is None and signals.augmentation("none", sounds) is None
    with pytest.raises(errors.UserError, match="--turns: all is for volumes"):
        signals.augmentation("all", sounds)
    monkeypatch.setattr(volumes.solids.draw, "__defaults__", ({"train": 8, "validation": 8, "test": 8},))
    solids = signals.load("solids").info
    assert signals.augmentation("auto", solids) == volumes.Turns() == signals.augmentation("all", solids)
