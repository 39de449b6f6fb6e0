"""mu-law: every level is kept, the levels are those of the equation, and what is beyond the range."""

import numpy as np
import pytest

from keras_dl.features import mu_law


@pytest.mark.parametrize("levels", [2, 3, 16, 256, 1024])
def test_every_level_stands_for_a_sample_that_is_encoded_as_it(levels):
    every = np.arange(levels)
    assert mu_law.encode(mu_law.decode(every, levels), levels).numpy().tolist() == every.tolist()


def test_it_is_the_equation():
    audio = np.random.default_rng(0).uniform(-1, 1, 10_000)
    companded = np.sign(audio) * np.log(1 + 255 * np.abs(audio)) / np.log(256)
    wanted = np.floor((companded + 1) / 2 * 255 + 0.5)
    assert mu_law.encode(audio).numpy().tolist() == wanted.tolist()
    assert np.mean(mu_law.encode(audio.astype("float32")) == wanted) > 0.999  # the others are at an edge


def test_no_sample_of_16_bits_is_further_from_its_level_than_a_step():
    audio = np.arange(-32_768, 32_768) / 32_768
    every = mu_law.decode(np.arange(256)).numpy().astype("float64")
    assert (np.diff(every) > 0).all()
    # rounded after companding: never further than to the next level but one
    error = np.abs(mu_law.decode(mu_law.encode(audio)) - audio)
    step = np.interp(np.abs(audio), every[128:], np.diff(every[127:]))
    assert (error <= step).all() and error[np.abs(audio) < 0.001].max() < 1e-4


def test_silence_is_between_two_levels_and_what_is_too_loud_is_clipped():
    assert mu_law.encode([0.0, 2.0, -7.0]).numpy().tolist() == [128, 255, 0]
    assert 8e-5 < float(mu_law.decode(128)) < 9e-5
