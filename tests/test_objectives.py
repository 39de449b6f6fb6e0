"""Laws of the likelihoods: NumPy's numbers, whatever the padding, the batches and whoever calls."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl.objectives import (
    BitsPerStep,
    NatsPerStep,
    Perplexity,
    SequenceLoss,
    bernoulli_nll,
    categorical_nll,
    smoothed_nll,
)

B, T, K = 4, 6, 5
KINDS = ("categorical", "bernoulli")


def batch(kind, b=B, t=T, seed=0, scale=2.0):
    """(targets, logits, weights); every row but the first is padded at its end, each by another length."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=scale, size=(b, t, K)).astype("float32")
    targets = rng.integers(0, K, (b, t)) if kind == "categorical" else rng.integers(0, 2, (b, t, K))
    weights = (np.arange(t) < np.array([t, *rng.integers(1, t, b - 1)])[:, None]).astype("float32")
    return targets, logits, weights


def reference(kind, targets, logits):
    """In float64, by the definition: (B, T)."""
    z = logits.astype("float64")
    if kind == "categorical":
        p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
        return -np.log(np.take_along_axis(p, targets[..., None], -1)[..., 0])
    p = 1 / (1 + np.exp(-z))
    return -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).sum(-1)


NLL = {"categorical": categorical_nll, "bernoulli": bernoulli_nll}


@pytest.mark.parametrize("kind", KINDS)
def test_likelihoods_are_their_definitions(kind):
    targets, logits, _ = batch(kind)
    got = NLL[kind](targets, logits)
    assert got.shape == (B, T) and got.dtype == tf.float32
    np.testing.assert_allclose(got, reference(kind, targets, logits), rtol=1e-5, atol=1e-6)


def test_likelihoods_do_not_overflow():
    np.testing.assert_allclose(categorical_nll([[1]], [[[1e4, 0.0]]]), [[1e4]])
    np.testing.assert_allclose(bernoulli_nll([[[0, 1, 1]]], [[[1e4, -1e4, 1e4]]]), [[2e4]])
    with tf.GradientTape() as tape:
        logits = tf.constant([[[1e4, -1e4, 0.0]]])
        tape.watch(logits)
        value = bernoulli_nll([[[0, 1, 1]]], logits)
    np.testing.assert_allclose(tape.gradient(value, logits), [[[1.0, -1.0, -0.5]]])


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_is_computed_in_float32(kind):
    targets, logits, weights = batch(kind, b=32, t=100)
    half = logits.astype("float16")
    nll = reference(kind, targets, half)
    np.testing.assert_allclose(NLL[kind](targets, half), nll, rtol=1e-5, atol=1e-6)
    loss = SequenceLoss(kind, "sequences")(targets, half, weights.astype("float16"))
    assert loss.dtype == tf.float32  # the sum does not fit into float16's precision
    np.testing.assert_allclose(loss, (weights * nll).sum() / 32, rtol=1e-5)


def expected_loss(kind, over, targets, logits, weights=None):
    weights = np.ones(targets.shape[:2]) if weights is None else weights
    total = (weights * reference(kind, targets, logits)).sum()
    return total / (weights.sum() if over == "steps" else len(targets))


BOTH = [(kind, over) for kind in KINDS for over in ("steps", "sequences")]


@pytest.mark.parametrize(("kind", "over"), BOTH)
def test_the_loss_is_the_mean_it_says(kind, over):
    targets, logits, weights = batch(kind)
    loss = SequenceLoss(kind, over)
    uneven = weights * np.random.default_rng(3).random(weights.shape).astype("float32")
    for w in (None, weights, uneven):
        np.testing.assert_allclose(loss(targets, logits, w), expected_loss(kind, over, targets, logits, w), rtol=1e-5)
    assert loss(targets, logits, weights).shape == ()
    assert float(loss(targets, logits, np.zeros((B, T)))) == 0
    np.testing.assert_allclose(loss(targets, logits, weights > 0), loss(targets, logits, weights))


@pytest.mark.parametrize(("kind", "over"), BOTH)
def test_padding_changes_nothing(kind, over):
    """Neither the value nor the gradient; and a mask of Keras' is not looked at."""
    targets, logits, weights = batch(kind)

    def of(extra):
        wide = [np.pad(x, [(0, 0), (0, extra)] + [(0, 0)] * (x.ndim - 2)) for x in (targets, weights)]
        z = tf.constant(np.concatenate([logits, np.full((B, extra, K), 77.0, "float32")], 1))
        z._keras_mask = tf.zeros([B, T + extra], tf.bool)
        with tf.GradientTape() as tape:
            tape.watch(z)
            value = SequenceLoss(kind, over)(wide[0], z, wide[1])
        return value, np.asarray(tape.gradient(value, z))

    (value, gradient), (padded, padded_gradient) = of(0), of(9)
    np.testing.assert_allclose(padded, value, rtol=1e-6)
    np.testing.assert_allclose(padded_gradient[:, :T], gradient, rtol=1e-5, atol=1e-8)
    assert not padded_gradient[:, T:].any() and not gradient[weights == 0].any() and gradient.any()


def compiled(kind, over, **kwargs):
    inputs = keras.Input((None, K))
    outputs = keras.layers.Dense(K, kernel_initializer="identity")(keras.layers.Masking(0.0)(inputs))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.0), loss=SequenceLoss(kind, over), **kwargs)
    return model


@pytest.mark.parametrize(("kind", "over"), BOTH)
def test_keras_reports_exactly_this_number(kind, over):
    targets, logits, weights = batch(kind)
    logits[1, -3:] = 0.0  # Keras masks these steps; the weights count all the same
    model, loss = compiled(kind, over, weighted_metrics=[NatsPerStep(kind)]), SequenceLoss(kind, over)
    for w in (weights, None):
        expected = float(loss(targets, logits, w))
        np.testing.assert_allclose(expected, expected_loss(kind, over, targets, logits, w), rtol=1e-5)
        assert float(model.compute_loss(logits, targets, model(logits), w)) == pytest.approx(expected, rel=1e-6)
        for report in (
            model.evaluate(logits, targets, sample_weight=w, batch_size=B, return_dict=True, verbose=0),
            model.train_on_batch(logits, targets, sample_weight=w, return_dict=True),
        ):
            assert report["loss"] == pytest.approx(expected, rel=1e-6)
            nats = expected_loss(kind, "steps", targets, logits, w)
            assert report["nats"] == pytest.approx(nats, rel=1e-6)
            model.reset_metrics()
        history = model.fit(logits, targets, sample_weight=w, batch_size=B, verbose=0).history
        assert history["loss"] == [pytest.approx(expected, rel=1e-6)]


def smoothed(targets, share):
    return (1 - share) * np.eye(K)[targets] + share / K


@pytest.mark.parametrize("over", ["steps", "sequences"])
@pytest.mark.parametrize("share", [0.1, 0.7])
def test_smoothed_labels_are_a_cross_entropy_to_the_smoothed_distribution(share, over):
    """Szegedy et al. 2015, section 7: q' = (1 - e) q + e / K; value and gradient."""
    targets, logits, weights = batch("categorical")
    q, z = tf.constant(smoothed(targets, share)), tf.constant(logits, tf.float64)
    count = weights.sum() if over == "steps" else B
    with tf.GradientTape(persistent=True) as tape:
        single = tf.constant(logits)
        tape.watch([z, single])
        wanted = -tf.reduce_sum(weights * tf.reduce_sum(q * tf.nn.log_softmax(z), -1)) / count
        value = SequenceLoss("categorical", over, label_smoothing=share)(targets, single, weights)
    np.testing.assert_allclose(value, wanted, rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(value, single), tape.gradient(wanted, z), rtol=1e-4, atol=1e-7)
    half = logits.astype("float16")
    nll = -(q * tf.nn.log_softmax(tf.constant(half, tf.float64))).numpy().sum(-1)
    made = smoothed_nll(targets, half, share)
    assert made.dtype == tf.float32
    np.testing.assert_allclose(made, nll, rtol=1e-5)


def test_smoothed_labels_over_a_number_of_tokens_that_the_graph_does_not_know():
    targets, logits, _ = batch("categorical")

    def gradient(logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = tf.reduce_sum(smoothed_nll(targets, logits, 0.1))
        return tape.gradient(value, logits)

    graph = tf.function(gradient, input_signature=[tf.TensorSpec([None, None, None])], autograph=False)
    np.testing.assert_allclose(graph(logits), gradient(tf.constant(logits)), atol=1e-6)


def test_the_least_smoothed_loss_is_the_entropy_of_the_smoothed_labels():
    targets, noise, _ = batch("categorical")
    q = smoothed(targets, 0.2)
    best, entropy = tf.constant(np.log(q), tf.float32), -(q * np.log(q)).sum(-1)
    with tf.GradientTape() as tape:
        tape.watch(best)
        value = smoothed_nll(targets, best, 0.2)
    np.testing.assert_allclose(value, entropy, rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(value, best), np.zeros((B, T, K)), atol=1e-6)
    for size in (0.05, 1.0, 30.0):
        assert (smoothed_nll(targets, best + size * noise, 0.2).numpy() > entropy).all()


def test_labels_that_are_not_smoothed_give_the_plain_loss():
    targets, logits, weights = batch("categorical")
    plain, none = SequenceLoss("categorical"), SequenceLoss("categorical", label_smoothing=0.0)
    np.testing.assert_array_equal(none(targets, logits, weights), plain(targets, logits, weights))
    np.testing.assert_array_equal(smoothed_nll(targets, logits, 0.0), categorical_nll(targets, logits))
    some = SequenceLoss("categorical", label_smoothing=0.1)(targets, logits, weights)
    assert abs(some - plain(targets, logits, weights)) > 1e-3
    again = SequenceLoss("categorical", "sequences", label_smoothing=0.3)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(again))
    assert (again.label_smoothing, again.over) == (0.3, "sequences")


def uneven_batches(kind):
    return [
        batch(kind, b, t, seed, scale) for seed, (b, t, scale) in enumerate([(2, 3, 4.0), (8, 20, 0.5), (1, 1, 9.0)])
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compile", [None, False, True], ids=["eager", "graph", "jit"])
def test_metrics_are_means_over_all_steps_of_all_batches(kind, compile):
    batches = uneven_batches(kind)
    total = sum((w * reference(kind, y, z)).sum() for y, z, w in batches)
    mean = total / sum(w.sum() for _, _, w in batches)
    of_means = np.mean([expected_loss(kind, "steps", *b) for b in batches])
    assert abs(of_means / mean - 1) > 0.1
    for metric, value in (
        (NatsPerStep(kind), mean),
        (Perplexity(kind), np.exp(mean)),
        (BitsPerStep(kind), mean / np.log(2)),
    ):
        update = metric.update_state if compile is None else tf.function(metric.update_state, jit_compile=compile)
        for _ in range(2):
            assert float(metric.result()) == (1.0 if isinstance(metric, Perplexity) else 0.0)
            for y, z, w in batches:
                update(tf.constant(y), tf.constant(z), tf.constant(w))
            np.testing.assert_allclose(metric.result(), value, rtol=2e-6)
            assert metric.result().dtype == tf.float32
            metric.reset_state()
        update(*(tf.constant(x) for x in batches[0][:2]))  # without weights all steps count
        y, z, _ = batches[0]
        np.testing.assert_allclose(metric.total / metric.steps, reference(kind, y, z).mean(), rtol=2e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_metrics_under_fit_and_evaluate(jit_compile):
    metrics = [NatsPerStep("categorical"), Perplexity(), BitsPerStep()]
    model = compiled("categorical", "steps", weighted_metrics=metrics, jit_compile=jit_compile)
    batches = uneven_batches("categorical")
    data = tf.data.Dataset.from_generator(
        lambda: ((z, y, w) for y, z, w in batches),
        output_signature=(
            tf.TensorSpec([None, None, K]), tf.TensorSpec([None, None], tf.int64), tf.TensorSpec([None, None])
        ),
    )  # fmt: skip
    total = sum((w * reference("categorical", y, z)).sum() for y, z, w in batches)
    mean = total / sum(w.sum() for _, _, w in batches)
    reports = [model.evaluate(data, return_dict=True, verbose=0)]
    reports += [{k: v[0] for k, v in model.fit(data, verbose=0).history.items()}]
    for report in reports:
        assert report["nats"] == pytest.approx(mean, rel=1e-5)
        assert report["perplexity"] == pytest.approx(np.exp(mean), rel=1e-5)
        assert report["bits"] == pytest.approx(mean / np.log(2), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_hundred_thousand_batches_stay_exact(jit_compile):
    """A float32 sum of as many is off by 1e-4 or more."""
    metric = NatsPerStep("categorical")
    lengths = tf.constant([7, 35, 20, 1, 13])
    logits = tf.constant(batch("categorical", 2, 35)[1])
    targets = tf.constant(batch("categorical", 2, 35)[0])

    @tf.function(jit_compile=jit_compile)
    def run():
        for i in tf.range(100_000):
            weight = tf.cast(tf.range(35) < lengths[i % 5], tf.float32)
            metric.update_state(targets, logits, tf.broadcast_to(weight, [2, 35]))

    run()
    nll = reference("categorical", targets.numpy(), logits.numpy())
    sums = [nll[:, :n].sum() for n in lengths.numpy()]
    np.testing.assert_allclose(metric.total, 20_000 * sum(sums), rtol=1e-6)
    np.testing.assert_allclose(metric.result(), sum(sums) / (2 * 76), rtol=1e-6)
    assert float(metric.steps) == 20_000 * 2 * 76


def test_they_are_saved_with_a_model(tmp_path):
    model = compiled("bernoulli", "sequences", weighted_metrics=[NatsPerStep("bernoulli", name="frame")])
    targets, logits, weights = batch("bernoulli")
    before = model.evaluate(logits, targets, sample_weight=weights, return_dict=True, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.loss.get_config() == {
        "nll": "bernoulli",
        "over": "sequences",
        "label_smoothing": 0.0,
        "name": "sequence_loss",
    }
    assert loaded.evaluate(logits, targets, sample_weight=weights, return_dict=True, verbose=0) == before
    for thing in (
        SequenceLoss("categorical"),
        NatsPerStep("bernoulli"),
        Perplexity(name="ppl"),
        BitsPerStep("bernoulli"),
    ):
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(thing))
        assert type(again) is type(thing) and again.get_config() == thing.get_config() and again.nll == thing.nll
    assert [m().name for m in (NatsPerStep, Perplexity, BitsPerStep)] == ["nats", "perplexity", "bits"]


@pytest.mark.slow
@pytest.mark.parametrize("over", ["steps", "sequences"])
def test_replicas_train_as_one_device_does(over):
    """Two replicas with a half of the batch each: the same loss and the same step."""
    code = f"""
import keras_dl, numpy as np, tensorflow as tf
cpu, half = tf.config.list_physical_devices("CPU")[0], tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(cpu, [half, half])
import keras
from keras_dl.objectives import SequenceLoss
x, y = np.random.default_rng(0).normal(size=(4, 6, 5)).astype("float32"), np.arange(24).reshape(4, 6) % 5
results = []
for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    with strategy.scope():
        model = keras.Sequential([keras.Input((6, 5)), keras.layers.Dense(5, kernel_initializer="identity")])
        model.compile(keras.optimizers.SGD(1.0), loss=SequenceLoss("categorical", {over!r}))
    history = model.fit(x, y, batch_size=4, verbose=0)
    results.append([history.history["loss"][0], *np.ravel(model.get_weights()[0])])
np.testing.assert_allclose(results[0], results[1], rtol=1e-5, atol=1e-6)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: SequenceLoss("gaussian"),
            "SequenceLoss: nll must be one of 'categorical', 'bernoulli', 'logistic_mixture'; got 'gaussian'",
        ),
        (lambda: SequenceLoss("categorical", "words"), "SequenceLoss: over must be"),
        (
            lambda: SequenceLoss("bernoulli", label_smoothing=0.1),
            "label_smoothing must be 0 for 'bernoulli'; got 0.1. Nearest: 0.0.",
        ),
        (
            lambda: SequenceLoss("categorical", label_smoothing=1.0),
            "label_smoothing must be a number in .0, 1.; got 1.0",
        ),
        (
            lambda: SequenceLoss("categorical", label_smoothing=-0.1),
            "label_smoothing must be a number in .0, 1.; got -0.1",
        ),
        (lambda: Perplexity("gaussian"), "Perplexity: nll must be"),
        (lambda: categorical_nll(np.zeros((B, T, 1), int), np.zeros((B, T, K))), "categorical_nll: targets must be"),
        (lambda: categorical_nll(np.zeros((B, T - 1), int), np.zeros((B, T, K))), "categorical_nll: targets must be"),
        (lambda: bernoulli_nll(np.zeros((B, T)), np.zeros((B, T, K))), "bernoulli_nll: targets and logits must"),
        (lambda: bernoulli_nll(np.zeros((B, T, 1)), np.zeros((B, T, K))), "bernoulli_nll: targets and logits must"),
        (lambda: smoothed_nll(np.zeros((B, T, 1), int), np.zeros((B, T, K)), 0.1), "smoothed_nll: targets must be"),
        (
            lambda: SequenceLoss("categorical")(np.zeros((B, 9), int), np.zeros((B, T, K))),
            "SequenceLoss: targets must be",
        ),
        (lambda: SequenceLoss("bernoulli")(np.zeros((B, T)), np.zeros((B, T, K))), "SequenceLoss: targets and logits"),
        (
            lambda: SequenceLoss("categorical", label_smoothing=0.1)(np.zeros((B, 9), int), np.zeros((B, T, K))),
            "SequenceLoss: targets must be",
        ),
        (lambda: Perplexity()(np.zeros((B, 9), int), np.zeros((B, T, K))), "Perplexity: targets must be"),
        (lambda: NatsPerStep("bernoulli")(np.zeros((B, T)), np.zeros((B, T, K))), "NatsPerStep: targets and logits"),
        (
            lambda: SequenceLoss("categorical")(*batch("categorical")[:2], np.ones(T)),
            "SequenceLoss: sample_weight must",
        ),
        (lambda: SequenceLoss("categorical")(*batch("categorical")[:2], np.ones((B, 1))), "sample_weight must"),
        (lambda: NatsPerStep()(*batch("categorical")[:2], np.ones(B)), "NatsPerStep: sample_weight must"),
    ],
)
def test_objectives_refuse(call, says):
    with pytest.raises(ValueError, match=says):
        call()
