"""Endpoints of classifiers of sounds and volumes: what they answer is what the model says, and what they refuse."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl import export, models
from keras_dl.endpoints import signals
from keras_dl.features.audio import EncodedAudio
from keras_dl.features.volumes import VolumeScaling
from keras_dl.features.waveform import Waveform

CLASSES = ("ant", "bee", "cat")


@pytest.fixture(scope="module")
def of_sounds():
    keras.utils.set_random_seed(0)
    model = models.build_convnet1d((400,), 3, filters=(4,), features="spectrogram", rate=4000, bands=8)
    return model, Waveform(4000, 400), export.signal_classifier(model, Waveform(4000, 400), CLASSES)


@pytest.fixture(scope="module")
def of_volumes():
    keras.utils.set_random_seed(1)
    model = models.build_convnet3d((6, 5, 4, 1), 3, filters=(4,), kernel_size=(3,))
    return model, VolumeScaling((6, 5, 4)), export.signal_classifier(model, VolumeScaling((6, 5, 4)), CLASSES)


def sounds(*lengths):
    rng = np.random.default_rng(0)
    padded = np.zeros((len(lengths), max(lengths)), np.float32)
    for row, length in enumerate(lengths):
        padded[row, :length] = rng.uniform(-0.5, 0.5, length)
    return np.round(padded * 2**15) / np.float32(2**15), np.array(lengths, np.int32)


def test_sounds_of_several_lengths_are_answered_each_as_if_alone(of_sounds):
    model, waveform, endpoints = of_sounds
    audio, lengths = sounds(300, 900, 41)
    answer = endpoints["serve"].traced()(audio=audio, samples=lengths)
    for row, length in enumerate(lengths):
        logits = model(waveform(audio[row : row + 1, :length]), training=False)
        np.testing.assert_allclose(answer["probabilities"][row], tf.nn.softmax(logits)[0], rtol=1e-4)
        best = np.argsort(-logits.numpy()[0])
        assert answer["class"][row].decode() == CLASSES[best[0]]
        assert [name.decode() for name in answer["classes"][row]] == [CLASSES[k] for k in best]
    files = EncodedAudio(4000).batch([audio[row, :length] for row, length in enumerate(lengths)])
    of_files = endpoints["serving_default"].traced()(audio_bytes=files)
    np.testing.assert_allclose(of_files["probabilities"], answer["probabilities"], rtol=1e-4)


def test_a_volume_is_the_same_at_any_scale(of_volumes):
    model, scale, endpoints = of_volumes
    ask = endpoints["serving_default"].traced()
    volumes = np.random.default_rng(0).normal(size=(3, 6, 5, 4)).astype("float32")
    answer = ask(volume=volumes)
    logits = model(scale(volumes), training=False)
    np.testing.assert_allclose(answer["probabilities"], tf.nn.softmax(logits), rtol=1e-4)
    np.testing.assert_allclose(ask(volume=7 * volumes - 3)["probabilities"], answer["probabilities"], rtol=1e-3)


def test_an_empty_request_has_an_empty_answer(of_sounds, of_volumes):
    none = of_sounds[2]["serve"].traced()(audio=np.zeros((0, 5), np.float32), samples=np.zeros(0, np.int32))
    assert none["probabilities"].shape == (0, 3) and none["class"].shape == (0,)
    none = of_sounds[2]["serving_default"].traced()(audio_bytes=np.array([], object))
    assert none["classes"].shape == (0, 3)
    none = of_volumes[2]["serving_default"].traced()(volume=np.zeros((0, 6, 5, 4), np.float32))
    assert none["probabilities"].shape == (0, 3)
    silent = of_sounds[2]["serve"].traced()(audio=np.zeros((1, 0), np.float32), samples=np.zeros(1, np.int32))
    assert np.isfinite(silent["probabilities"]).all()


def test_what_is_out_of_bounds_is_refused_in_the_graph(of_sounds, of_volumes):
    audio, lengths = sounds(30, 20)
    ask = of_sounds[2]["serve"].traced()
    for changes, words in (
        ({"samples": lengths[:1]}, "samples must be one number a recording"),
        ({"samples": lengths + 1}, "samples must be 0 to the length of the audio"),
        ({"audio": audio * np.nan}, "audio must hold finite numbers"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=words):
            ask(**{"audio": audio, "samples": lengths} | changes)
    with pytest.raises(tf.errors.InvalidArgumentError, match="must have 4000 samples per second; got 8000"):
        of_sounds[2]["serving_default"].traced()(audio_bytes=EncodedAudio(8000).batch([audio[0]]))
    endpoint = of_volumes[2]["serving_default"]
    many = np.zeros((endpoint.limits["volumes"] + 1, 6, 5, 4), np.float32)
    with pytest.raises(tf.errors.InvalidArgumentError, match="a request may have at most"):
        endpoint.traced()(volume=many)
    with pytest.raises(tf.errors.InvalidArgumentError, match="volume must hold finite numbers"):
        endpoint.traced()(volume=many[:1] + np.inf)


def test_the_bounds_grow_smaller_as_the_model_grows():
    small, large = (
        models.build_convnet3d((48, 48, 48, 1), 3, filters=(width, width), kernel_size=(5, 5)) for width in (2, 64)
    )
    assert signals.most_examples(small) > signals.most_examples(large) >= 1


def test_the_names_must_be_as_many_as_the_logits(of_volumes):
    with pytest.raises(ValueError, match=r"export\.signal_classifier: the model must have one logit a class; got 3"):
        export.signal_classifier(of_volumes[0], of_volumes[1], CLASSES[:2])
