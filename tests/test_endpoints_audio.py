"""Laws of what a model of sound answers: likelihoods and draws are the model's, and what is refused."""

import math

import numpy as np
import pytest
import tensorflow as tf

from keras_dl import models
from keras_dl.endpoints import audio as endpoint
from keras_dl.features.audio import AudioLevels, EncodedAudio

RATE = 1000
PREPROCESS = AudioLevels(RATE)


def endpoints_of(**arguments):
    """({name: the endpoint as a graph that takes inputs by name}, the Endpoints, the network)."""
    tf.random.set_seed(0)
    model = models.build_wavenet(dilations=(1, 2), num_blocks=1, filters=3, skip_filters=4, **arguments)
    classes = tuple("abc"[: arguments.get("num_classes", 0)])
    made = endpoint.audio(model, PREPROCESS, classes, length=5)

    def graph(one):
        specs = list(one.inputs)
        function = tf.function(
            lambda *values: one.function(**dict(zip(specs, values, strict=True))), input_signature=one.specs(),
            autograph=False,
        )  # fmt: skip

        def ask(**given):
            values = {name: given.get(name, feature.default) for name, feature in one.inputs.items()}
            answer = function(*(tf.constant(values[name], one.inputs[name].dtype) for name in specs))
            return {name: value.numpy() for name, value in answer.items()}

        return ask

    return {name: graph(one) for name, one in made.items()}, made, model


@pytest.fixture(scope="module")
def served():
    return endpoints_of()


@pytest.fixture(scope="module")
def of_classes():
    return endpoints_of(num_classes=3)


def sounds(batch, samples, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (batch, samples)).astype(np.float32)


def nats_of(model, audio, label=None):
    """-log p of each sample, by calling the model on the whole sounds."""
    levels = PREPROCESS(audio)
    inputs = PREPROCESS.delayed(levels)
    if label is not None:
        inputs = {"audio": inputs, "label": tf.fill([len(audio)], label)}
    logs = tf.nn.log_softmax(model(inputs, training=False))
    return -tf.gather(logs, levels, batch_dims=2).numpy()


def refusal(ask, **given):
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        ask(**given)
    return error.value.message


def test_a_recording_is_scored_by_its_own_samples_whatever_is_beside_it(served):
    ask, _, model = served
    audio = sounds(3, 9)
    answer = ask["score"](audio=audio, samples=[9, 4, 0])
    nats = nats_of(model, audio)
    np.testing.assert_allclose(answer["log_likelihood"], [-nats[0].sum(), -nats[1, :4].sum(), 0], rtol=1e-5)
    np.testing.assert_allclose(answer["nats_per_sample"], [nats[0].mean(), nats[1, :4].mean(), 0], rtol=1e-5)


@pytest.mark.parametrize("at_once", [1, 4, 7, 8])
def test_a_long_recording_is_read_in_parts_and_scored_as_a_whole(monkeypatch, at_once):
    monkeypatch.setattr(endpoint, "AT_ONCE", 2 * at_once * 256)  # the widest layer is the output
    ask, _, model = endpoints_of()
    audio = sounds(2, 8)
    answer = ask["score"](audio=audio, samples=[8, 8])
    np.testing.assert_allclose(answer["log_likelihood"], -nats_of(model, audio).sum(1), rtol=1e-5)
    continued = ask["generate"](prime=audio, length=3, seed=2)["audio"]
    monkeypatch.undo()
    np.testing.assert_array_equal(continued, endpoints_of()[0]["generate"](prime=audio, length=3, seed=2)["audio"])


def test_files_are_scored_as_their_samples_are(served):
    ask, made, _ = served
    audio = np.round(sounds(2, 9) * 2**15) / 2**15
    files = EncodedAudio(RATE).batch([audio[0], audio[1, :5]])
    by_file, by_sample = ask["serving_default"](audio_bytes=files), ask["score"](audio=audio, samples=[9, 5])
    for name, value in by_file.items():
        np.testing.assert_allclose(value, by_sample[name], rtol=1e-6)


def test_what_is_generated_is_what_a_loop_over_the_whole_model_draws(served):
    ask, _, model = served
    prime = sounds(2, 6)
    drawn = ask["generate"](prime=prime, length=7, seed=3, temperature=0.8)["audio"]
    levels, draw = PREPROCESS(prime), model.draw(3, 0.8)
    for t in range(7):
        read = tf.concat([tf.fill([2, 1], PREPROCESS.silence), levels], 1)
        levels = tf.concat([levels, draw(model(read, training=False)[:, -1], t)[:, None]], 1)
    np.testing.assert_array_equal(drawn[:, :6], prime)
    np.testing.assert_allclose(drawn[:, 6:], PREPROCESS.inverse(levels[:, 6:]), atol=1e-7)


def test_a_sound_without_a_prime_is_the_continuation_of_nothing(served):
    ask = served[0]
    drawn = ask["sample"](n=2, length=6, seed=1)["audio"]
    np.testing.assert_array_equal(drawn, ask["generate"](prime=np.zeros((2, 0)), length=6, seed=1)["audio"])
    assert len(np.unique(drawn)) > 2 and not np.array_equal(drawn, ask["sample"](n=2, length=6, seed=2)["audio"])


def test_at_temperature_0_the_most_probable_sample_is_taken(served):
    ask, _, model = served
    [sound] = ask["sample"](n=1, length=4, temperature=0.0)["audio"]
    levels = []
    for _ in range(4):
        read = tf.constant([[PREPROCESS.silence, *levels]])
        levels.append(int(tf.argmax(model(read, training=False)[0, -1])))
    np.testing.assert_allclose(sound, PREPROCESS.inverse(levels), atol=1e-7)


def test_without_a_class_the_likelihood_is_the_mean_over_all(of_classes):
    ask, _, model = of_classes
    audio = sounds(2, 8)
    of_each = np.stack([-nats_of(model, audio, label).sum(1) for label in range(3)])
    for label in range(3):
        answer = ask["score"](audio=audio, samples=[8, 8], label=label)
        np.testing.assert_allclose(answer["log_likelihood"], of_each[label], rtol=1e-5)
    wanted = tf.reduce_logsumexp(of_each, 0) - math.log(3)
    np.testing.assert_allclose(ask["score"](audio=audio, samples=[8, 8])["log_likelihood"], wanted, rtol=1e-5)


def test_sounds_are_drawn_of_each_class_in_turn_and_a_prime_goes_on_as_its_likeliest(of_classes):
    ask, _, model = of_classes
    kernel = model.get_layer("layer1_context").embeddings
    kernel.assign(6 * tf.random.stateless_normal(kernel.shape, [1, 2]))  # so that the classes differ
    turns = ask["sample"](n=4, length=6, seed=1)["audio"]
    for row, label in enumerate((0, 1, 2, 0)):
        alone = ask["sample"](n=4, length=6, seed=1, label=label)["audio"]
        np.testing.assert_array_equal(turns[row], alone[row])
    prime = sounds(1, 8)
    likeliest = int(np.argmax([-nats_of(model, prime, label).sum() for label in range(3)]))
    said = ask["generate"](prime=prime, length=6, seed=1, label=likeliest)["audio"]
    np.testing.assert_array_equal(ask["generate"](prime=prime, length=6, seed=1)["audio"], said)


def test_nothing_is_answered_by_no_rows_and_no_samples_by_no_nats(served, of_classes):
    for ask, *_ in (served, of_classes):
        for samples in (0, 3):
            answer = ask["score"](audio=np.zeros((0, samples)), samples=[])
            assert {name: value.shape for name, value in answer.items()} == {
                "log_likelihood": (0,), "nats_per_sample": (0,),
            }  # fmt: skip
            assert ask["generate"](prime=np.zeros((0, samples)), length=4)["audio"].shape == (0, samples + 4)
        assert ask["serving_default"](audio_bytes=np.zeros(0, object))["log_likelihood"].shape == (0,)
        assert ask["sample"](n=0, length=4)["audio"].shape == (0, 4)
        answer = ask["score"](audio=np.zeros((2, 0)), samples=[0, 0])
        assert answer["log_likelihood"].tolist() == answer["nats_per_sample"].tolist() == [0, 0]
        prime = sounds(2, 3)
        np.testing.assert_array_equal(ask["generate"](prime=prime, length=0)["audio"], prime)


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("score", {"audio": sounds(2, 3), "samples": [3, 4]}, "samples must be 0 to the length of the audio"),
        ("score", {"audio": sounds(2, 3), "samples": [-1, 3]}, "samples must be 0 to the length of the audio"),
        ("score", {"audio": sounds(2, 3), "samples": [3]}, "samples must be one number a recording"),
        ("score", {"audio": np.full((1, 2), math.nan), "samples": [2]}, "audio must hold finite numbers"),
        ("score", {"audio": sounds(65, 1), "samples": [1] * 65}, "audio: a request may have at most 64 recordings"),
        ("generate", {"prime": np.full((1, 2), math.inf), "length": 2}, "prime must hold finite numbers"),
        ("generate", {"prime": sounds(1, 2), "length": -1}, "length must not be negative"),
        ("generate", {"prime": sounds(1, 2), "length": 2**31 - 1}, "length: an answer may have at most 87381 samples"),
        ("generate", {"prime": sounds(1, 2), "temperature": -1.0}, "temperature must be from 0 to 1,000,000; got -1"),
        ("sample", {"n": -1}, "n must not be negative; got -1"),
        ("sample", {"n": 65}, "n: a request may have at most 64 recordings"),
        ("serving_default", {"audio_bytes": EncodedAudio(2 * RATE).batch([np.zeros(3)])}, "must have 1000 samples per"),
    ],
)
def test_what_is_no_request_is_refused(served, of_classes, name, given, sentence):
    assert sentence in refusal(served[0][name], **given)
    if sentence.startswith("n"):  # labels are made only of a number that was checked
        assert sentence in refusal(of_classes[0][name], **given)


@pytest.mark.parametrize("n", [2**31 - 1, -(2**31)])
def test_a_number_of_sounds_is_refused_before_anything_is_allocated_for_it(of_classes, n):
    said = refusal(of_classes[0]["sample"], n=n, length=2)
    assert "at most 64 recordings" in said or "n must not be negative" in said


def test_files_of_unlike_lengths_are_refused_before_they_are_padded(served, monkeypatch):
    """One long recording beside 63 empty ones would take 64 times its memory."""
    most = served[1]["score"].limits["samples_of_all"]
    files = EncodedAudio(RATE).batch([np.zeros(most // 32), *[np.zeros(0)] * 63])
    padded, to_tensor = [], tf.RaggedTensor.to_tensor
    monkeypatch.setattr(tf.RaggedTensor, "to_tensor", lambda self: padded.append(self) or to_tensor(self))
    with pytest.raises(tf.errors.InvalidArgumentError, match="or as many in all if each counts as the longest"):
        served[1]["serving_default"].function(tf.constant(files))
    assert not padded


def test_a_request_s_bytes_are_bounded_before_they_are_decoded(served, monkeypatch):
    monkeypatch.setattr(endpoint, "MOST_BYTES", 100)
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 100 bytes of WAV files"):
        served[1]["serving_default"].function(tf.constant([b"x" * 60, b"y" * 41]))


def test_the_bounds_grow_smaller_as_the_model_grows(served):
    _, made, model = served
    larger = models.build_wavenet(dilations=(1, 2, 4), num_blocks=2, filters=16, skip_filters=32)
    most, fewer = endpoint.limits(model), endpoint.limits(larger)
    assert all(fewer[name] < most[name] for name in ("scored", "drawn", "drawn_of_all"))
    assert made["score"].limits["samples_of_all"] == most["scored"] == endpoint.MOST_SAMPLES
    assert fewer["scored"] == endpoint.SCORED // larger.count_params()
    deep = models.build_wavenet(dilations=(16_384,) * 6, num_blocks=8, filters=64, skip_filters=2)
    assert endpoint.limits(deep)["recordings"] * deep.state_size() <= endpoint.STATES
    assert endpoint.limits(larger, 4)["scored"] == fewer["scored"] // 4
    with pytest.raises(tf.errors.InvalidArgumentError, match="or as many in all if each counts as the longest"):
        endpoint._Sounds(larger, PREPROCESS, 0).score(tf.zeros([1, fewer["scored"] + 1]), tf.constant([1]))


def test_a_model_that_does_not_fit_is_refused():
    model = models.build_wavenet(dilations=(1,), num_blocks=1, filters=2, skip_filters=2, features_dim=3)
    with pytest.raises(ValueError, match="no context but a label.*got one with features"):
        endpoint.audio(model, PREPROCESS)
    with pytest.raises(ValueError, match="must have the model's 256 levels; got 65536"):
        endpoint.audio(model, AudioLevels(RATE, 65_536))
