"""Laws of recurrent networks as models: state in and out, training that carries it, what is generated and scored."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import CASES, having

from keras_dl import checkpoint, data, decoding, export, models, objectives, runs, sequences, training
from keras_dl.data import text
from keras_dl.endpoints.music import generator as music_generator
from keras_dl.endpoints.music import scorer as music_scorer
from keras_dl.endpoints.text import generator as text_generator
from keras_dl.endpoints.text import scorer as text_scorer
from keras_dl.errors import Refused
from keras_dl.features.piano_roll import PianoRoll
from keras_dl.features.tokens import Tokens

RECURRENT = having("recurrent")
VOCABULARY = ("\ufffd", "\n", "a", "b", "c", " ")


@pytest.mark.parametrize("row", RECURRENT)
def test_two_halves_with_the_state_handed_over_equal_the_whole(row):
    case = CASES[row]
    model, x = case.model, tf.constant(case.example(3))
    memory, zero = model.begin(rows=3)
    assert isinstance(model, decoding.Stepwise)
    (whole, final), state, logits = model.read(x, zero, memory), zero, []
    for part in (x[:, :1], x[:, 1:3], x[:, 3:]):  # a single step has a path of its own
        part, state = model.read(part, state, memory)
        logits.append(part)
    last = logits[-1] if len(case.output) == 1 else tf.concat(logits, 1)
    np.testing.assert_allclose(last, model(x, training=False), atol=1e-6)
    np.testing.assert_allclose(whole, model(x, training=False), atol=1e-6)
    for a, b in zip(tf.nest.flatten(state), tf.nest.flatten(final), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    forgotten, _ = model.read(x[:, 3:], zero, memory)
    assert np.abs(forgotten - logits[-1]).max() > 1e-3  # the state does matter


@pytest.mark.parametrize("row", RECURRENT)
def test_step_by_step_it_gives_the_models_logits(row):
    case = CASES[row]
    model, x = case.model, tf.constant(case.example(3))

    @tf.function(autograph=False)
    def steps(x):
        memory, state = model.begin(rows=tf.shape(x)[0])
        logits = []
        for inputs in tf.unstack(x, axis=1):
            now, state = model.step(inputs, state, memory)
            logits.append(now)
        return logits

    logits = steps(x)
    wanted = model(x, training=False)
    np.testing.assert_allclose(logits[-1] if len(case.output) == 1 else tf.stack(logits, 1), wanted, atol=1e-6)


@pytest.mark.parametrize("row", ["lstm", "lstm-tied", "gru-reset_after"])
def test_a_file_gives_a_network_that_goes_from_step_to_step(row, tmp_path):
    model, inputs = CASES[row].model, tf.constant(CASES[row].example(3))[:, 0]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again) is models.RecurrentNetwork
    for a, b in zip(*(tf.nest.flatten(m.step(inputs, m.begin(rows=3)[1])) for m in (again, model)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_network_that_is_no_sequence_s_has_no_steps():
    assert not isinstance(models.build_linear(), decoding.Stepwise)


# Training with the state carried over


def network(**kwargs):
    keras.utils.set_random_seed(1)
    arguments = {"units": (5,), "peephole": False, "init_scale": 0.5} | kwargs
    return models.build_lstm((None,), len(VOCABULARY), **arguments)


def compiled(model, over="steps", rate=0.3, **kwargs):
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.9), objectives.SequenceLoss("categorical", over=over),
        weighted_metrics=[objectives.NatsPerStep()], **kwargs,
    )  # fmt: skip
    return model


def batches(count=61, rows=3, steps=4, seed=0):
    stream = np.random.default_rng(seed).integers(0, len(VOCABULARY), count).astype(np.int32)
    tokens = Tokens("character", VOCABULARY)
    windows = text.windows(data.Examples({"tokens": stream}), rows, steps)
    return data.batches(windows, rows, collate=tokens.batch), stream


def run_in(folder, **kwargs):
    return runs.Run(path=folder, root=folder, name="lstm-text", app="app", **kwargs)


def test_evaluation_reads_each_row_as_one_sequence():
    """The state is carried, so short windows score what one long window does; cut off, they do not."""
    net = network()
    values = {}
    for steps in (4, 20):
        model = compiled(sequences.SequenceModel(net, batch_size=3))
        values[steps] = training.evaluate(model, batches(steps=steps)[0])["nats"]
    assert values[4] == pytest.approx(values[20], abs=1e-5)
    forgetful = compiled(sequences.SequenceModel(net))
    assert abs(training.evaluate(forgetful, batches(steps=4)[0])["nats"] - values[20]) > 1e-3


def test_evaluation_equals_numpy_on_the_whole_text():
    net = network()
    pipeline, stream = batches(rows=1, steps=7)
    model = compiled(sequences.SequenceModel(net, batch_size=1))
    logs = np.asarray(tf.nn.log_softmax(net(stream[None, :-1], training=False)))[0]
    wanted = -np.mean(logs[np.arange(len(stream) - 1), stream[1:]])
    assert training.evaluate(model, pipeline)["nats"] == pytest.approx(wanted, abs=1e-5)
    assert training.evaluate(model, pipeline)["nats"] == pytest.approx(wanted, abs=1e-5)  # zeroed at its beginning


def test_validation_does_not_disturb_the_training_state(tmp_path):
    states = {}
    for name, validation in (("with", batches(seed=5)[0]), ("without", None)):
        model = compiled(sequences.SequenceModel(network(), batch_size=3))
        kwargs = {"monitor": "nats", "keep": "last", "verbose": 0, "epochs": 2}
        training.fit(model, batches()[0], validation, run_in(tmp_path / name), **kwargs)
        states[name] = [*map(np.asarray, model.train_state), *map(np.asarray, model.trainable_variables)]
    for a, b in zip(*states.values(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.abs(states["with"][0]).max() > 1e-3


def test_the_state_is_zero_at_an_epochs_start_and_carried_within():
    model = compiled(sequences.SequenceModel(network(), batch_size=3), rate=1e-9)  # weights that stay
    pipeline, _ = batches()
    found = list(pipeline.dataset(epochs=2))
    assert [bool(tf.reduce_all(x["start"])) for x, *_ in found] == ([True] + [False] * 4) * 2
    carried = []
    for batch in found:
        model.train_step(batch)
        carried.append([np.asarray(variable) for variable in model.train_state])
    for k in range(5):
        for a, b in zip(carried[k], carried[k + 5], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
    rows = tf.concat([x["tokens"] for x, *_ in found[:5]], 1)
    _, whole = model.network.read(rows, model.network.begin(rows=3)[1])
    for a, b in zip(carried[4], tf.nest.flatten(whole), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_text_model_that_is_stopped_within_an_epoch_goes_on_to_the_bit(tmp_path, jit_compile):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            import os
            import signal

            if epoch == 1:
                os.kill(os.getpid(), signal.SIGTERM)

    def made():
        model = sequences.SequenceModel(
            network(dropout=0.2, recurrent_dropout=0.2, implementation="xla" if jit_compile else "auto"),
            batch_size=3,
            weight_noise=0.05,
            scheduled_sampling=0.3,
        )
        return compiled(model, jit_compile=jit_compile)

    def fit(model, run, callbacks=()):
        kwargs = {"epochs": 3, "monitor": "val_nats", "keep": "last", "verbose": 0, "callbacks": callbacks}
        return training.fit(model, batches()[0], batches(seed=5)[0], run, **kwargs)

    whole = made()
    history = fit(whole, run_in(tmp_path / "whole"))
    with pytest.raises(SystemExit):
        fit(made(), run_in(tmp_path / "cut"), [Stop()])
    resumed = made()
    assert fit(resumed, run_in(tmp_path / "cut", resumed=True)) == history
    for a, b in zip(checkpoint.variables(whole), checkpoint.variables(resumed), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_a_padded_batch_gives_the_loss_and_the_gradients_of_its_sequences_one_by_one():
    rng = np.random.default_rng(0)
    rolls = [rng.integers(0, 2, (length, 88)).astype(np.uint8) for length in (5, 17, 9)]
    preprocess = PianoRoll()

    def batch(some):
        ragged = data.Ragged.of(some)
        return preprocess.batch({"roll": tf.RaggedTensor.from_row_splits(ragged.values, ragged.splits)})

    net = models.build_lstm(units=(6,))
    loss = objectives.SequenceLoss("bernoulli")

    def with_gradients(x, y, weight):
        with tf.GradientTape() as tape:
            value = loss(y, net(x, training=True), weight)
        return [value, *tape.gradient(value, [v.value for v in net.trainable_variables])]

    together = with_gradients(*batch(rolls))
    each = [with_gradients(*batch([roll])) for roll in rolls]
    for i, value in enumerate(together):  # weighted by the real steps of each
        wanted = sum(len(roll) * np.asarray(one[i]) for roll, one in zip(rolls, each, strict=True)) / 31
        np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-6)


# Weight noise and scheduled sampling


def test_weight_noise_moves_where_the_gradient_is_taken_and_not_the_weights():
    pipeline, _ = batches()
    batch = next(iter(pipeline.dataset()))
    steps = {}
    for noise in (0.0, 0.2):
        model = sequences.SequenceModel(network(), batch_size=3, weight_noise=noise)
        compiled(model, rate=1e-12)
        before = [np.asarray(v) for v in model.trainable_variables]
        model.train_step(batch)
        for old, new in zip(before, model.trainable_variables, strict=True):
            np.testing.assert_allclose(old, new, atol=1e-9)
        steps[noise] = [np.asarray(v) for v in model.optimizer.variables if "momentum" in v.path]
    assert max(np.abs(a - b).max() / np.abs(a).max() for a, b in zip(*steps.values(), strict=True)) > 0.05


@pytest.mark.slow
def test_the_mean_over_much_noise_is_near_the_gradient_without():
    """Noise of mean zero, drawn anew each step, of the standard deviation that was asked for."""
    net = network()
    model = compiled(sequences.SequenceModel(net, batch_size=3, weight_noise=0.1), rate=1e-12)
    batch = next(iter(batches()[0].dataset()))
    seen = []
    original = model._loss
    model._loss = lambda *a, **k: (seen.append(np.asarray(net.get_layer("logits").kernel)), original(*a, **k))[1]
    clean = np.asarray(net.get_layer("logits").kernel)
    for _ in range(200):
        model.train_step(batch)
    noise = np.stack(seen) - clean
    assert abs(noise.mean()) < 0.005 and noise.std() == pytest.approx(0.1, rel=0.05)
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.6


def counting():
    """A network whose next token is sure to be its input plus one: embedding and logits are read off each other."""
    net = models.build_rnn((None,), 6, units=(6,), embedding_dim=6, activation="relu")
    net.get_layer("embedding").set_weights([np.eye(6)])
    cell = net.get_layer("rnn1")
    cell.set_weights(
        [np.eye(6) if w.shape == (6, 6) and "recurrent" not in w.path else np.zeros(w.shape) for w in cell.weights]
    )
    net.get_layer("logits").set_weights([50 * np.roll(np.eye(6), 1, 1), np.zeros(6)])
    return net


@pytest.mark.parametrize("carried", [0, 2])
def test_scheduled_sampling_feeds_the_models_own_draws(carried):
    tokens = tf.constant([[0, 4, 4, 4, 4], [3, 1, 1, 1, 1]])
    x = {"tokens": tokens, "start": tf.constant([True, True])} if carried else tokens
    inputs = {}
    for share in (0.0, 1e-6, 1.0):
        model = sequences.SequenceModel(counting(), batch_size=carried, scheduled_sampling=share)
        mixed = model._own_draws(x)
        inputs[share] = np.asarray(mixed["tokens"] if carried else mixed)
    np.testing.assert_array_equal(inputs[1e-6], tokens)
    np.testing.assert_array_equal(inputs[1.0], [[0, 1, 2, 3, 4], [3, 4, 5, 0, 1]])
    np.testing.assert_array_equal(inputs[0.0], tokens)


def test_scheduled_sampling_replaces_the_share_that_is_asked_for():
    model = sequences.SequenceModel(counting(), scheduled_sampling=0.25)
    tokens = tf.fill([200, 20], 5)  # the model would say 0
    mixed = np.asarray(model._own_draws(tokens))
    assert (mixed[:, 0] == 5).all() and (mixed[:, 1:] != 5).mean() == pytest.approx(0.25, abs=0.03)


def test_the_exposure_gap_of_a_model_that_knows_nothing_is_none():
    stream = np.random.default_rng(0).integers(0, 6, 400).astype(np.int32)
    net = models.build_lstm((None,), 6, units=(4,))
    net.get_layer("logits").set_weights([np.zeros((4, 6)), np.zeros(6)])
    gap = sequences.exposure_gap(net, stream, prime=5, steps=9, sequences=7)
    assert gap["own"] == pytest.approx(np.log(6), abs=1e-5) and gap["real"] == pytest.approx(np.log(6), abs=1e-5)
    sure = sequences.exposure_gap(counting(), stream, prime=5, steps=9, sequences=7)
    assert sure["own"] < 1e-6 and sure["real"] > 10 and sure["sequences"] == 7


@pytest.mark.parametrize(("tokens", "steps"), [(2, 1), (3, 2), (38, 19), (99, 50), (100, 50)])
def test_the_exposure_gap_of_a_short_text_is_measured_on_what_there_is(tokens, steps):
    stream = np.random.default_rng(0).integers(1, 6, tokens).astype(np.int32)
    gap = sequences.exposure_gap(network(), stream)
    assert gap["steps"] == steps and np.isfinite([gap["own"], gap["real"]]).all()
    with pytest.raises(ValueError, match="stream must have at least 2 tokens; got 1"):
        sequences.exposure_gap(network(), stream[:1])


# What an export answers


def test_a_texts_score_is_its_log_likelihood_after_a_lines_end():
    net, tokens = network(), Tokens("character", VOCABULARY)
    answer = text_scorer(net, tokens)(tf.constant(["abca", "", "b?"]))
    for i, ids in enumerate(([2, 3, 4, 2], [], [3, 0])):
        logs = np.asarray(tf.nn.log_softmax(net(tf.constant([[1, *ids]]), training=False)))[0]
        wanted = sum(logs[t, token] for t, token in enumerate(ids))
        assert float(answer["log_likelihood"][i]) == pytest.approx(wanted, abs=1e-5)
        assert int(answer["tokens"][i]) == len(ids)
        assert float(answer["nats_per_token"][i]) == pytest.approx(-wanted / max(1, len(ids)), abs=1e-5)


def test_a_text_goes_on_as_step_by_step_in_python_with_the_same_noise():
    net, tokens = network(), Tokens("character", VOCABULARY)
    made = text_generator(net, tokens)(tf.constant(["ab", ""]), 12, 0.8, 4, 0.95, 3)["text"]
    sample, never = decoding.Sample(3, 0.8, 4, 0.95), np.zeros(len(VOCABULARY), np.float32)
    never[tokens.unknown] = -np.inf
    ids, (_, state), given = np.array([1, 1]), net.begin(rows=2), [[2, 3], []]
    written = [[], []]
    for t in range(2 + 12):
        logits, state = net.step(tf.constant(ids, tf.int32), state)
        drawn = np.asarray(sample(logits + never, tf.constant(t)))
        ids = np.array([given[b][t] if t < len(given[b]) else drawn[b] for b in range(2)])
        for b in range(2):
            written[b].append(ids[b])
    for b, length in enumerate((14, 12)):
        assert made[b].numpy().decode() == "".join(VOCABULARY[i] for i in written[b][:length])


def test_a_piece_goes_on_as_step_by_step_in_python_with_the_same_noise():
    keras.utils.set_random_seed(0)
    net = models.build_gru(units=(7,))
    preprocess = PianoRoll()
    prime = np.random.default_rng(0).integers(0, 2, (2, 5, 88)).astype(np.uint8)
    generate = music_generator(net, preprocess)
    made = np.asarray(generate(tf.constant(prime), 6, 0.7, 9)["roll"])
    np.testing.assert_array_equal(made[:, :5], prime)
    draw, roll = decoding.Bernoulli(9, 0.7), prime
    for t in range(6):
        before = np.pad(roll, [(0, 0), (1, 0), (0, 0)]).astype(np.float32)
        logits = net(tf.constant(before), training=False)[:, -1]
        roll = np.concatenate([roll, np.asarray(draw(logits, tf.constant(t)), np.uint8)[:, None]], 1)
    np.testing.assert_array_equal(made, roll)
    assert generate(tf.constant(prime[:, :0]), 6, 1.0, 9)["roll"].shape == (2, 6, 88)


def test_a_pieces_score_counts_the_real_steps_alone():
    net, preprocess = models.build_gru(units=(7,)), PianoRoll()
    roll = np.random.default_rng(0).integers(0, 2, (2, 9, 88)).astype(np.uint8)
    answer = music_scorer(net, preprocess)(tf.constant(roll), tf.constant([9, 4]))
    for i, steps in enumerate((9, 4)):
        before = np.pad(roll[i : i + 1, :steps], [(0, 0), (1, 0), (0, 0)])[:, :-1].astype(np.float32)
        p = np.asarray(tf.sigmoid(net(tf.constant(before), training=False)))[0].astype(np.float64)
        wanted = np.log(np.where(roll[i, :steps] == 1, p, 1 - p)).sum()
        assert float(answer["log_likelihood"][i]) == pytest.approx(wanted, rel=1e-5)
        assert float(answer["nats_per_step"][i]) == pytest.approx(-wanted / steps, rel=1e-5)


@pytest.mark.slow
def test_an_exported_language_model_answers_as_python_does(tmp_path):
    net, tokens = network(implementation="xla"), Tokens("character", VOCABULARY)
    folder = export.save(
        net, run_in(tmp_path / "run"), endpoints=export.language_model(net, tokens, "ab"),
        metrics={"nats": 1.0},
    )  # fmt: skip
    served = export.load(folder)
    primes = ["ab c", "b", ""]
    ask = {"length": 20, "temperature": 0.9, "top_k": 3, "top_p": 0.9, "seed": 5}
    there = served.call("generate", prime=np.array(primes, object), **ask)["text"]
    here = text_generator(net, tokens)(tf.constant(primes), *ask.values())["text"]
    assert list(there) == list(here.numpy()) and len(set(there)) == 3
    score = served.call("score", text=np.array(["abc", "a"], object))
    wanted = text_scorer(net, tokens)(tf.constant(["abc", "a"]))
    np.testing.assert_allclose(score["log_likelihood"], wanted["log_likelihood"], rtol=1e-5)
    with pytest.raises(Refused, match="an answer may have at most 8192 tokens"):
        served.call("generate", prime=np.array(["a"], object), **{**ask, "length": 2**20})
    with pytest.raises(Refused, match="a request may have at most 64 texts"):
        served.call("score", text=np.array(["a"] * 65, object))


@pytest.mark.slow
def test_an_exported_model_of_music_answers_as_python_does(tmp_path):
    keras.utils.set_random_seed(0)
    net, preprocess = models.build_lstm(units=(7,)), PianoRoll()
    prime = np.random.default_rng(0).integers(0, 2, (2, 6, 88)).astype(np.uint8)
    folder = export.save(
        net, run_in(tmp_path / "run"), metrics={"nats": 1.0},
        endpoints=export.polyphony(net, preprocess, prime, steps_per_beat=2, length=8),
    )  # fmt: skip
    served = export.load(folder)
    there = served.call("generate", prime=prime, length=11, temperature=1.0, seed=2)["roll"]
    here = music_generator(net, preprocess)(tf.constant(prime), 11, 1.0, 2)["roll"]
    np.testing.assert_array_equal(there, here)
    with pytest.raises(Refused, match="a request may have at most 64 pieces"):
        served.call("score", roll=np.zeros((65, 1, 88), np.uint8), steps=np.ones(65, np.int32))
