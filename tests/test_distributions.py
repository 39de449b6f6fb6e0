"""Laws of the distributions: probabilities sum to 1, SciPy's numbers, samples as often as they should be, gradients."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, stats

from keras_dl.distributions import (
    LEVEL_KINDS,
    Bernoulli,
    Categorical,
    DiscreteLevel,
    DiscretisedLogisticMixture,
    Normal,
)

SEED = tf.constant([7, 11])
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(scale=2.0, size=(3, 5))


def mixture(channels=1, coupled=False, levels=256, dtype="float64", seed=0, shape=()):
    """A mixture of 3 components, of scales from a twentieth of a level to several."""
    rng = np.random.default_rng(seed)
    pairs = channels * (channels - 1) // 2
    parameters = (
        rng.normal(size=(*shape, 3)),
        rng.uniform(-1.1, 1.1, (*shape, channels, 3)),
        rng.uniform(-6.0, 0.0, (*shape, channels, 3)),
        rng.uniform(-1, 1, (*shape, pairs, 3)) if coupled else None,
    )
    logits, means, log_scales, coefficients = (None if p is None else tf.constant(p, dtype) for p in parameters)
    return DiscretisedLogisticMixture(logits, means, log_scales, coefficients, levels=levels)


def pixels(channels, levels):
    """All pixels there are: (levels ** channels, channels)."""
    return np.array(list(itertools.product(range(levels), repeat=channels)))


# Sums and integrals


def test_the_probabilities_of_all_values_sum_to_one():
    classes = Categorical(tf.constant(np.tile(LOGITS[:1], (5, 1))))
    np.testing.assert_allclose(np.exp(classes.log_prob(tf.range(5))).sum(), 1, rtol=1e-12)
    entries = Bernoulli(tf.constant(LOGITS))
    np.testing.assert_allclose(tf.exp(entries.log_prob(0)) + tf.exp(entries.log_prob(1)), 1, rtol=1e-12)


@pytest.mark.parametrize(
    ("channels", "coupled", "levels"), [(1, False, 256), (2, False, 16), (2, True, 16), (3, True, 6)]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_probabilities_of_all_pixels_sum_to_one(channels, coupled, levels, seed):
    distribution = mixture(channels, coupled, levels, seed=seed)
    logs = distribution.log_prob(pixels(channels, levels))
    assert np.isfinite(logs).all()
    np.testing.assert_allclose(np.exp(logs).sum(), 1, rtol=1e-9)


def test_the_normal_density_integrates_to_one():
    for mean, log_scale in ((0.3, -1.0), (-2.0, 1.2)):
        distribution = Normal(tf.constant(mean, tf.float64), log_scale)
        area, _ = integrate.quad(lambda x, d=distribution: float(tf.exp(d.log_prob(x))), -30, 30, points=[mean])
        assert area == pytest.approx(1, abs=1e-7)


# SciPy's numbers


def test_categorical_is_scipys():
    ours = Categorical(tf.constant(LOGITS))
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    for row in range(3):
        theirs = stats.multinomial(1, p[row])
        for value in range(5):
            log_prob = ours.log_prob(tf.fill([3], value))[row]
            np.testing.assert_allclose(log_prob, theirs.logpmf(np.eye(5)[value]), rtol=1e-9)
        np.testing.assert_allclose(ours.entropy()[row], theirs.entropy(), rtol=1e-9)
    np.testing.assert_allclose(ours.mean(), p)
    np.testing.assert_array_equal(ours.mode(), LOGITS.argmax(-1))


def test_bernoulli_is_scipys():
    ours, theirs = Bernoulli(tf.constant(LOGITS)), stats.bernoulli(1 / (1 + np.exp(-LOGITS)))
    for value in (0, 1):
        np.testing.assert_allclose(ours.log_prob(value), theirs.logpmf(value), rtol=1e-9)
    np.testing.assert_allclose(ours.entropy(), theirs.entropy(), rtol=1e-9)
    np.testing.assert_allclose(ours.mean(), theirs.mean())
    np.testing.assert_array_equal(ours.mode(), LOGITS > 0)


def test_normal_is_scipys():
    mean, log_scale, value = RNG.normal(size=(3, 4, 6))
    ours, theirs = Normal(tf.constant(mean), log_scale), stats.norm(mean, np.exp(log_scale))
    np.testing.assert_allclose(ours.log_prob(value), theirs.logpdf(value), rtol=1e-9)
    np.testing.assert_allclose(ours.entropy(), theirs.entropy(), rtol=1e-9)
    np.testing.assert_array_equal(ours.mean(), mean)


@pytest.mark.parametrize("coupled", [False, True])
def test_the_mixture_is_scipys_logistic_distribution_between_the_edges_of_each_value(coupled):
    levels, ours = 256, mixture(3, coupled)
    values = np.random.default_rng(1).integers(0, levels, (40, 3))
    values[:6] = [[0, 0, 0], [255, 255, 255], [0, 255, 128], [1, 254, 0], [255, 0, 3], [127, 128, 129]]
    pi = np.exp(ours.logits) / np.exp(ours.logits).sum()
    for value, log_prob in zip(values, ours.log_prob(values).numpy(), strict=True):
        x = 2 * value / 255 - 1
        total = 0.0
        for k in range(3):
            means = np.array(ours.means[:, k])
            if coupled:  # equation 3
                a, b, c = ours.coefficients[:, k].numpy()
                means += [0, a * x[0], b * x[0] + c * x[1]]
            logistic = stats.logistic(means, np.exp(ours.log_scales[:, k]))
            below = np.where(value == 0, 0, logistic.cdf(x - 1 / 255))
            above = np.where(value == 255, 1, logistic.cdf(x + 1 / 255))
            # of what is small in both, the difference of what is left on the other side
            upper = np.where(value == 255, 0, logistic.sf(x + 1 / 255))
            lower = np.where(value == 0, 1, logistic.sf(x - 1 / 255))
            total += pi[k] * np.where(x < means, above - below, lower - upper).prod()
        np.testing.assert_allclose(log_prob, np.log(total), rtol=1e-6, atol=1e-9)


def test_the_mean_of_a_mixture_is_that_of_its_probabilities():
    ours = mixture(1)
    p = np.exp(ours.log_prob(pixels(1, 256)))
    np.testing.assert_allclose(ours.mean(), [(p * np.arange(256)).sum()], rtol=1e-9)
    with pytest.raises(ValueError, match="mean needs channels without coefficients"):
        mixture(2, coupled=True).mean()


# Samples


def plausible(counts, probabilities):
    """Whether Pearson's chi-square of the counts is one that a fair sample has but once in 10,000."""
    expected = counts.sum() * probabilities
    common = expected >= 5
    observed = np.append(counts[common], counts[~common].sum())
    expected = np.append(expected[common], expected[~common].sum())
    observed, expected = observed[expected > 0], expected[expected > 0]
    chi_square = ((observed - expected) ** 2 / expected).sum()
    return chi_square < stats.chi2(len(expected) - 1).ppf(1 - 1e-4)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_classes_are_drawn_as_often_as_they_are_probable(temperature):
    logits = tf.constant(LOGITS[0], tf.float32)
    sample = Categorical(tf.tile(logits[None], [20_000, 1])).sample(SEED, temperature).numpy()
    p = np.exp(LOGITS[0] / temperature)
    assert plausible(np.bincount(sample, minlength=5), p / p.sum())
    assert not plausible(np.bincount(sample, minlength=5), np.full(5, 0.2))
    np.testing.assert_array_equal(Categorical(LOGITS).sample(SEED, 0.0), LOGITS.argmax(-1))


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_entries_are_drawn_as_often_as_they_are_probable(temperature):
    logits = np.array([-2.0, 0.0, 1.0])
    sample = Bernoulli(tf.tile(tf.constant(logits, tf.float32)[None], [20_000, 1])).sample(SEED, temperature).numpy()
    assert set(np.unique(sample)) == {0, 1}
    for ones, logit in zip(sample.sum(0), logits, strict=True):
        p = 1 / (1 + np.exp(-logit / temperature))
        assert plausible(np.array([20_000 - ones, ones]), np.array([1 - p, p]))
    np.testing.assert_array_equal(Bernoulli(logits).sample(SEED, 0.0), logits > 0)


def test_normal_samples_are_distributed_so():
    mean, log_scale = tf.fill([20_000], 1.5), -0.7
    sample = Normal(mean, log_scale).sample(SEED).numpy()
    assert stats.kstest(sample, stats.norm(1.5, np.exp(-0.7)).cdf).pvalue > 1e-4
    half = Normal(mean, log_scale).sample(SEED, 0.5).numpy()
    assert stats.kstest(half, stats.norm(1.5, 0.5 * np.exp(-0.7)).cdf).pvalue > 1e-4
    np.testing.assert_array_equal(Normal(mean, log_scale).sample(SEED, 0.0), mean)


@pytest.mark.parametrize(
    ("channels", "coupled", "levels"), [(1, False, 256), (2, False, 16), (2, True, 16), (3, True, 6)]
)
def test_pixels_are_drawn_as_often_as_they_are_probable(channels, coupled, levels):
    one = mixture(channels, coupled, levels, "float32")
    many = [None if p is None else tf.repeat(p[None], 30_000, 0) for p in (
        one.logits, one.means, one.log_scales, one.coefficients
    )]  # fmt: skip
    sample = DiscretisedLogisticMixture(*many, levels=levels).sample(SEED).numpy()
    assert sample.shape == (30_000, channels) and sample.min() >= 0 and sample.max() < levels
    numbers = np.ravel_multi_index(sample.T, (levels,) * channels)
    p = np.exp(one.log_prob(pixels(channels, levels)))
    assert plausible(np.bincount(numbers, minlength=levels**channels), p)


def test_a_mixture_at_temperature_0_gives_the_rounded_mean_of_the_most_probable_component():
    one = mixture(levels=16, dtype="float32", shape=(50,))
    best = tf.argmax(one.logits, -1)
    mean = tf.gather(one.means[:, 0], best, batch_dims=1)
    wanted = np.clip(np.round((mean + 1) * 7.5), 0, 15)
    np.testing.assert_array_equal(one.sample(SEED, 0.0)[:, 0], wanted)
    near = np.abs(one.sample(SEED, 0.02)[:, 0] - wanted).mean()  # little noise: near it
    assert near < np.abs(one.sample(SEED, 1.0)[:, 0] - wanted).mean()


@pytest.mark.parametrize("kind", LEVEL_KINDS)
def test_a_level_has_one_of_three_distributions(kind):
    levels = 2 if kind == "bernoulli" else 5
    count = DiscreteLevel.parameters_of(kind, levels, components=2)
    assert count == {"bernoulli": 1, "categorical": 5, "logistic_mixture": 6}[kind]
    parameters = tf.constant(np.random.default_rng(0).normal(size=(3, count)), tf.float32)
    level = DiscreteLevel(kind, parameters, levels)
    logs = np.stack([level.log_prob(np.full(3, value)) for value in range(levels)], 1)  # (3, levels)
    np.testing.assert_allclose(np.exp(logs).sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose([level.cross_entropy(tf.fill([3], 1.0))], [-logs[:, 1]], rtol=1e-5)
    many = DiscreteLevel(kind, tf.repeat(parameters[None], 20_000, 0), levels).sample(SEED).numpy()
    assert many.dtype == "int32"
    for row in range(3):
        assert plausible(np.bincount(many[:, row], minlength=levels), np.exp(logs[row]))


DRAWS = {
    "categorical": lambda seed: Categorical(tf.zeros([4, 50])).sample(seed),
    "bernoulli": lambda seed: Bernoulli(tf.zeros([4, 50])).sample(seed),
    "normal": lambda seed: Normal(tf.zeros([4, 50]), 0.0).sample(seed),
    "mixture": lambda seed: mixture(3, True, 256, "float32", shape=(4, 50)).sample(seed),
}


@pytest.mark.parametrize("kind", DRAWS)
def test_a_seed_gives_the_same_sample_in_python_and_in_a_graph_and_another_another(kind):
    here, graph = DRAWS[kind](SEED), tf.function(DRAWS[kind], autograph=False)
    np.testing.assert_array_equal(graph(SEED), here)
    assert (np.asarray(graph(tf.constant([7, 12]))) != np.asarray(here)).any()


# Gradients


def log_probs():
    """{name: (function of the flat parameters, the parameters)}."""
    value = np.array([[0, 255, 9], [255, 3, 0]])

    def of_mixture(p):
        return DiscretisedLogisticMixture.of_outputs(p, 3, 2, coupled=True).log_prob(value)

    rng = np.random.default_rng(4)
    return {
        "categorical": (lambda p: Categorical(p).log_prob([1, 0, 4]), LOGITS),
        "bernoulli": (lambda p: Bernoulli(p).log_prob(LOGITS > 0.5), LOGITS),
        "normal": (lambda p: Normal(p[0], p[1]).log_prob([0.3, -1.0, 2.0]), rng.normal(size=(2, 3))),
        "mixture": (of_mixture, rng.normal(size=(2, DiscretisedLogisticMixture.outputs_of(3, 2, coupled=True)))),
    }


@pytest.mark.parametrize("kind", ["categorical", "bernoulli", "normal", "mixture"])
def test_gradients_are_those_of_finite_differences(kind):
    function, parameters = log_probs()[kind]
    parameters = tf.constant(parameters, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        total = tf.reduce_sum(function(parameters))
    gradient = tape.gradient(total, parameters).numpy()
    assert np.abs(gradient).max() > 0.01
    step = 1e-6
    for place in np.ndindex(*parameters.shape):
        change = np.zeros(parameters.shape)
        change[place] = step
        above, below = (float(tf.reduce_sum(function(parameters + sign * change))) for sign in (1, -1))
        np.testing.assert_allclose(gradient[place], (above - below) / (2 * step), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_fast_cross_entropy_is_the_plain_one_and_so_is_its_gradient(smoothing):
    logits, targets = tf.constant(LOGITS), tf.constant([1, 0, 4])
    upstream = tf.constant([0.5, -2.0, 1.0], tf.float64)
    values, gradients = [], []
    for fast in (True, False):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = Categorical(logits).cross_entropy(targets, smoothing, fast=fast)
        values.append(value)
        gradients.append(tape.gradient(value, logits, output_gradients=upstream))
    np.testing.assert_allclose(*values, rtol=1e-12)
    np.testing.assert_allclose(*gradients, rtol=1e-10, atol=1e-14)


def test_second_derivatives_are_those_of_the_formula():
    """Of a categorical's -log p the Hessian is diag(p) - p p^T, whatever the target; of a bernoulli's p (1 - p)."""
    logits = tf.constant(LOGITS[0])
    p = np.exp(LOGITS[0]) / np.exp(LOGITS[0]).sum()
    for loss, wanted in (
        (lambda z: Categorical(z).cross_entropy(2, fast=False), np.diag(p) - np.outer(p, p)),
        (lambda z: Categorical(z).cross_entropy(2, 0.3, fast=False), np.diag(p) - np.outer(p, p)),
        (
            lambda z: tf.reduce_sum(Bernoulli(z).cross_entropy(tf.ones_like(z), fast=False)),
            np.diag(1 / (1 + np.exp(-LOGITS[0])) / (1 + np.exp(LOGITS[0]))),
        ),
    ):
        with tf.GradientTape() as outer:
            outer.watch(logits)
            with tf.GradientTape() as inner:
                inner.watch(logits)
                value = loss(logits)
            gradient = inner.gradient(value, logits)
        np.testing.assert_allclose(outer.jacobian(gradient, logits), wanted, atol=1e-9)


def test_the_fast_gradient_is_zero_where_a_step_does_not_count_be_its_logits_nan():
    logits = tf.constant([[0.0, 1.0], [np.nan, 1.0]])
    for loss in (
        lambda z: Categorical(z).cross_entropy([1, 0], 0.1),
        lambda z: tf.reduce_sum(Bernoulli(z).cross_entropy([[1, 0], [0, 1]]), -1),
    ):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(logits)
        gradient = tape.gradient(value, logits, output_gradients=tf.constant([1.0, 0.0])).numpy()
        assert np.isfinite(gradient).all() and gradient[0].any() and not gradient[1].any()


# Extremes and precisions


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_extremes_stay_finite_and_so_do_their_gradients(dtype):
    large = tf.constant([1e4, -1e4, 0.0], dtype)
    edges = tf.constant([[0], [255], [0]])
    for size, function in (
        (1e4, lambda z: Categorical(z).log_prob(1)),
        (1e4, lambda z: Categorical(z).cross_entropy(1)),
        (1e4, lambda z: Bernoulli(z).log_prob([0, 1, 1])),
        (1, lambda z: Categorical(z).entropy()),
        (1, lambda z: Bernoulli(z).entropy()),
        (1e8, lambda z: Normal(z, 0.0).log_prob(-1.0)),
        (1e10, lambda z: mixture_of(z[:, None], [[0.0]], [[-20.0]], edges)),
        (1e10, lambda z: mixture_of(0 * z[:1], z[:, None, None], [[-20.0]], edges)),
        (1e10, lambda z: mixture_of(0 * z[:1], [[0.5]], z[:, None, None], edges)),
        (1e10, lambda z: mixture_of(0 * z[:1], [[0.5]], z[:, None, None], edges + 1 - edges // 128)),
    ):
        with tf.GradientTape() as tape:
            tape.watch(large)
            value = function(large)
        assert value.dtype == ("float64" if dtype == "float64" else "float32")
        gradient = tape.gradient(value, large)
        assert np.isfinite(value).all() and np.abs(value).max() <= 3 * size
        assert np.isfinite(tf.cast(gradient, tf.float64)).all()


def mixture_of(logits, means, log_scales, value):
    return DiscretisedLogisticMixture(logits, means, log_scales).log_prob(value)


@pytest.mark.parametrize(("dtype", "precision"), [("float16", 2e-3), ("bfloat16", 2e-2)])
def test_half_precision_is_computed_in_float32(dtype, precision):
    """Of the rounded parameters the numbers are float32's; of the exact ones they are near as the precision goes."""
    for function, parameters in log_probs().values():
        rounded = tf.cast(tf.constant(parameters), dtype)
        value = function(rounded)
        assert value.dtype == tf.float32
        np.testing.assert_allclose(value, function(tf.cast(rounded, tf.float64)), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(value, function(tf.constant(parameters)), rtol=20 * precision, atol=20 * precision)


def test_a_class_that_cannot_be_is_never_drawn_and_has_no_part_in_the_entropy():
    logits = tf.constant([0.0, -np.inf, 0.0])
    assert float(Categorical(logits).log_prob(1)) == -np.inf
    assert float(Categorical(logits).entropy()) == pytest.approx(np.log(2))
    sample = Categorical(tf.tile(logits[None], [1000, 1])).sample(SEED).numpy()
    assert set(np.unique(sample)) == {0, 2}


def test_a_mixtures_outputs_are_laid_out_as_they_are_said_to_be():
    outputs = RNG.normal(size=(4, DiscretisedLogisticMixture.outputs_of(3, 2, coupled=True)))
    parts = np.split(outputs, np.cumsum([2, 6, 6]), -1)
    made = DiscretisedLogisticMixture.of_outputs(tf.constant(outputs), 3, 2, coupled=True)
    np.testing.assert_array_equal(made.logits, parts[0])
    np.testing.assert_array_equal(made.means, parts[1].reshape(4, 3, 2))
    np.testing.assert_array_equal(made.log_scales, parts[2].reshape(4, 3, 2))
    np.testing.assert_allclose(made.coefficients, np.tanh(parts[3].reshape(4, 3, 2)))
    with pytest.raises(ValueError, match="3 channels and 2 components need 20 outputs; got 19"):
        DiscretisedLogisticMixture.of_outputs(tf.zeros([4, 19]), 3, 2, coupled=True)
    with pytest.raises(ValueError, match=r"coefficients must be \(..., 3, K\) for 3 channels"):
        DiscretisedLogisticMixture(tf.zeros([2]), tf.zeros([3, 2]), tf.zeros([3, 2]), tf.zeros([2, 2]))
    with pytest.raises(ValueError, match="must have the same K"):
        DiscretisedLogisticMixture(tf.zeros([2]), tf.zeros([3, 4]), tf.zeros([3, 4]))


def test_channels_with_mixtures_of_their_own_are_pixels_of_one_channel():
    logits, means, log_scales = RNG.normal(size=(3, 5, 3, 2))
    own = DiscretisedLogisticMixture(logits, means[..., None, :], log_scales[..., None, :])
    value = RNG.integers(0, 256, (5, 3, 1))
    for channel in range(3):
        alone = DiscretisedLogisticMixture(
            logits[:, channel], means[:, channel, None], log_scales[:, channel, None]
        ).log_prob(value[:, channel])
        np.testing.assert_allclose(own.log_prob(value)[:, channel], alone)
