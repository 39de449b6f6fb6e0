"""Laws of the variational autoencoder and its importance-weighted bound: their equations, on every row with a code.

A mean over draws is compared with what it estimates within SIGMAS of its standard errors.
"""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import CASES, having

from keras_dl import distributions, models, optimizers
from keras_dl.models.vae import LARGEST_LOG_VARIANCE, VAE

ROWS = having("latent")
SIGMAS = 5
DRAWS = 200_000


def standard_error(values, axis=0):
    return np.std(values, axis, ddof=1) / np.sqrt(np.shape(values)[axis])


def assert_mean(values, wanted):
    """The mean of draws over the first axis is `wanted`, as far as can be told."""
    values = np.asarray(values, np.float64)
    assert (np.abs(values.mean(0) - wanted) <= SIGMAS * standard_error(values) + 1e-6).all()


def log_likelihood(case, model, images, codes):
    """log p(x|z) in NumPy, codes (K, B, D): (K, B); a logistic's masses are differences of sigmoids."""
    images = np.asarray(images, np.float64).reshape(1, len(images), -1)
    outputs = np.asarray(model.decoder(np.reshape(codes, (-1, model.latent_dim))), np.float64)
    outputs = outputs.reshape(*codes.shape[:2], *case.output[:2], -1)
    if model.levels == 2:
        logits = outputs.reshape(*codes.shape[:2], -1)
        return (images * logits - np.logaddexp(0, logits)).sum(-1)
    mean, log_scale = (x.reshape(*codes.shape[:2], -1) for x in np.split(outputs, 2, -1))
    x, half = images * 2 / (model.levels - 1) - 1, 1 / (model.levels - 1)
    above, below = (1 / (1 + np.exp(-(x + side * half - mean) / np.exp(log_scale))) for side in (1, -1))
    above, below = np.where(images == model.levels - 1, 1, above), np.where(images == 0, 0, below)
    return np.log(above - below).sum(-1)


def posterior_of(model, images):
    """Mean and log-variance in NumPy, (B, D) each."""
    return np.split(np.asarray(model.encoder(images), np.float64), 2, -1)


def kl_of(mean, log_variance):
    """Kingma and Welling 2013, appendix B: (B, D)."""
    return 0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance)


def log_ratio_of(mean, log_variance, codes):
    """log q(z|x) - log p(z): (K, B)."""
    return (-0.5 * ((codes - mean) ** 2 / np.exp(log_variance) + log_variance - codes**2)).sum(-1)


def next_codes(model, images, count):
    """The codes that the model draws in its next step, whose generator is put back."""
    before = np.asarray(model.seeds.state)
    codes = model.encode(images).sample(tf.cast(model.seeds.next(), tf.int32), count=count)
    model.seeds.state.assign(before)
    return np.asarray(codes, np.float64)


def losses_of(model, images):
    return {name: float(value) for name, value in model.compute_losses(images, training=True).items()}


@functools.cache
def with_samples(row, samples, beta=1.0):
    """A row's model with another number of samples."""
    return CASES[row].make(samples=samples, beta=beta)


# The distribution of the code


def test_the_kl_divergence_in_closed_form_is_its_monte_carlo_estimate():
    rng = np.random.default_rng(0)
    mean, log_scale, other_mean, other_log_scale = rng.normal(0, 0.7, (4, 6)).astype("float32")
    q = distributions.Normal(mean, log_scale)
    for p in (distributions.Normal(other_mean, other_log_scale), distributions.Normal(0.0, 0.0)):
        codes = q.sample([1, 2], count=DRAWS)
        assert_mean(q.log_prob(codes) - p.log_prob(codes), np.asarray(q.kl(p)))
        np.testing.assert_allclose(p.kl(p), 0, atol=1e-6)
    np.testing.assert_allclose(q.kl(p), kl_of(mean, 2 * log_scale), rtol=1e-5, atol=1e-6)


def test_the_gradient_through_the_sample_is_the_analytic_one_of_a_quadratic():
    """E[a z^2 + b z] = a (m^2 + s^2) + b m: its gradients are 2 a m + b and, of log s, 2 a s^2."""
    mean, log_scale, a, b = np.array([[0.3, -1.0], [0.5, -0.7], [1.5, -0.4], [0.2, 1.0]], "float32")
    m, s = (tf.constant(np.broadcast_to(x, (DRAWS, 2))) for x in (mean, log_scale))
    with tf.GradientTape() as tape:
        tape.watch([m, s])
        z = distributions.Normal(m, s).sample([3, 4])
        value = a * z**2 + b * z
    of_mean, of_log_scale = tape.gradient(value, [m, s])
    assert_mean(of_mean, 2 * a * mean + b)
    assert_mean(of_log_scale, 2 * a * np.exp(2 * log_scale))


def test_log_mean_exp_is_the_logarithm_of_the_mean_and_finite_at_minus_2000():
    logs = np.random.default_rng(0).normal(0, 2, (7, 3))
    np.testing.assert_allclose(distributions.log_mean_exp(logs), np.log(np.exp(logs).mean(0)), rtol=1e-12)
    np.testing.assert_allclose(distributions.log_mean_exp(logs - 2000), np.log(np.exp(logs).mean(0)) - 2000)


# The bound


@pytest.mark.parametrize("row", ROWS)
def test_the_elbo_is_summed_over_pixels_and_latents_and_averaged_over_images(row):
    case, model = CASES[row], with_samples(row, 1, 0.5)
    images = case.example(4)
    mean, log_variance = posterior_of(model, images)
    likelihood = log_likelihood(case, model, images, next_codes(model, images, 1))[0]
    kl = kl_of(mean, log_variance).sum(-1)
    wanted = {"vae": -np.mean(likelihood - 0.5 * kl), "kl": kl.mean(), "reconstruction": -likelihood.mean()}
    assert losses_of(model, images) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("row", ROWS)
def test_the_loss_of_several_samples_is_minus_the_log_of_the_mean_weight(row):
    """Burda et al. 2015, equation 8; KL(q || p) is reported in closed form."""
    case, model = CASES[row], with_samples(row, 3)
    images = case.example(4)
    mean, log_variance = posterior_of(model, images)
    codes = next_codes(model, images, 3)
    likelihood = log_likelihood(case, model, images, codes)
    weights = likelihood - log_ratio_of(mean, log_variance, codes)
    wanted = {
        "vae": -np.mean(np.logaddexp.reduce(weights, 0) - np.log(3)),
        "kl": kl_of(mean, log_variance).sum(-1).mean(), "reconstruction": -likelihood.mean(),
    }  # fmt: skip
    assert losses_of(model, images) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("row", ROWS)
def test_the_gradient_is_that_of_each_weight_by_its_share(row):
    """Burda et al. 2015, equation 14: sum_i w_i grad log w_i, with weights w_i that sum to 1."""
    case, model = CASES[row], with_samples(row, 4)
    images, variables = case.example(3), [v.value for v in model.trainable_variables]
    state = np.asarray(model.seeds.state)
    with tf.GradientTape() as tape:
        loss = model.compute_losses(images, training=True)["vae"]
    ours = tape.gradient(loss, variables)
    model.seeds.state.assign(state)
    seed = tf.cast(model.seeds.next(), tf.int32)
    with tf.GradientTape(persistent=True) as tape:
        posterior = model.encode(images)
        codes = posterior.sample(seed, count=4)
        ratio = posterior.log_prob(codes) - distributions.Normal(0.0, 0.0).log_prob(codes)
        logs = tf.reduce_sum(model.decode(codes).log_prob(images), [2, 3, 4]) - tf.reduce_sum(ratio, -1)
        shares = np.exp(logs - np.logaddexp.reduce(np.asarray(logs), 0))  # plain numbers: no gradient goes through them
        by_hand = -tf.reduce_mean(tf.reduce_sum(shares * logs, 0))
    for one, two in zip(ours, tape.gradient(by_hand, variables), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("row", ROWS)
def test_a_step_moves_every_weight(row):
    model = CASES[row].make()
    model.compile(optimizers.build("sgd", 1e-3))
    before = [np.asarray(v) for v in model.trainable_variables]
    model.train_step(CASES[row].example(8))
    assert all((np.asarray(v) != old).any() for v, old in zip(model.trainable_variables, before, strict=True))


@pytest.mark.parametrize("row", ROWS)
def test_one_sample_gives_the_elbo(row):
    """They differ, at the same code, by the KL divergence's closed form against its estimate by that code."""
    case, model = CASES[row], CASES[row].model
    images = case.example(2)
    bound, elbo = (np.array([f(images, seed=seed) for seed in range(100)]) for f in (one_sample_of(model), model.elbo))
    assert_mean(bound - elbo, 0)
    assert np.ptp(bound - elbo, axis=0).min() > 1e-3
    mean, log_variance = posterior_of(model, images)
    codes = np.asarray(model.encode(images).sample([7, 0], count=1), np.float64)
    wanted = log_likelihood(case, model, images, codes) - log_ratio_of(mean, log_variance, codes)
    np.testing.assert_allclose(bound[7], wanted[0], rtol=1e-4)


def one_sample_of(model):
    return lambda images, seed: model.bound(images, 1, seed)


def test_the_bound_does_not_fall_as_k_rises_and_its_chunks_do_not_matter():
    """In the mean over draws, by more than chance; from 1 sample to 64 it rises by more than chance."""
    case = CASES["vae"]
    images = case.example(1).repeat(3000, 0)  # as many independent draws of the bound of one picture
    bounds = {k: np.asarray(case.model.bound(images, k), np.float64) for k in (1, 2, 4, 16, 64)}
    rises = []
    for few, more in itertools.pairwise(bounds):
        error = np.hypot(standard_error(bounds[few]), standard_error(bounds[more]))
        rises.append((bounds[more].mean() - bounds[few].mean()) / error)
    assert min(rises) > -SIGMAS and (bounds[64].mean() - bounds[1].mean()) > SIGMAS * standard_error(bounds[1])
    in_chunks = np.asarray(case.model.bound(images, 16, seed=1, rows=5 * len(images)), np.float64)  # 5 + 5 + 5 + 1
    error = np.hypot(standard_error(bounds[16]), standard_error(in_chunks))
    assert abs(in_chunks.mean() - bounds[16].mean()) < SIGMAS * error
    assert in_chunks.std() == pytest.approx(bounds[16].std(), rel=0.1)  # as many samples, whatever the chunk


# A linear model with normal noise, whose likelihood has a closed form


class NormalPixels(distributions.Normal):
    def cross_entropy(self, value):
        return -self.log_prob(value)


class LinearVAE(VAE):
    """p(x|z) = N(W z + b, sigma^2 I), with q(z|x) linear too."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.log_sigma = self.add_weight(name="log_sigma", shape=(), initializer="zeros")

    @property
    def parts(self):
        return {"vae": self.trainable_variables}

    def checked(self, images):
        return images  # not levels, but any numbers

    def _distribution(self, mean):
        return NormalPixels(mean, tf.convert_to_tensor(self.log_sigma))


@functools.cache
def linear_data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2)) @ rng.normal(0, 1.2, (2, 6)) + 0.5 * rng.normal(size=(300, 6)) + rng.normal(size=6)
    return x.astype("float32")


def linear_vae(sigma=None):
    """A LinearVAE of linear_data; with probabilistic PCA's weights if `sigma` is a factor of its posterior's scale."""
    from sklearn.decomposition import PCA

    keras.utils.set_random_seed(0)
    plain = models.build_vae((2, 3, 1), latent_dim=2, units=())
    model, pca = LinearVAE(plain.encoder, plain.decoder, name="vae"), PCA(2).fit(linear_data())
    if sigma is not None:
        noise = pca.noise_variance_
        w = pca.components_.T * np.sqrt(pca.explained_variance_ - noise)  # (6, 2); Tipping and Bishop 1999, eq. 7
        inverse = np.linalg.inv(w.T @ w + noise * np.eye(2))  # diagonal
        kernel, log_variance = w @ inverse, np.log(noise * np.diag(inverse) * sigma**2)
        posterior, decoder = model.encoder.get_layer("posterior"), model.decoder.get_layer("logits")
        posterior.kernel.assign(np.concatenate([kernel, np.zeros((6, 2))], 1))
        posterior.bias.assign(np.concatenate([-pca.mean_ @ kernel, log_variance]))
        decoder.kernel.assign(w.T)
        decoder.bias.assign(pca.mean_)
        model.log_sigma.assign(0.5 * np.log(noise))
    return model, pca


def test_with_the_true_posterior_every_sample_has_the_weight_of_the_likelihood():
    """A linear model with normal noise: each importance weight is p(x), so that any bound of any k is log p(x)."""
    model, pca = linear_vae(sigma=1.0)
    images, wanted = linear_data().reshape(-1, 2, 3, 1), pca.score_samples(linear_data())
    for bound in (model.bound(images, 1), model.bound(images, 9, seed=5, rows=600), model.log_prob(images, 50)):
        np.testing.assert_allclose(bound, wanted, rtol=1e-3, atol=1e-3)
    many = np.mean([model.elbo(images, seed) for seed in range(30)])
    assert many == pytest.approx(pca.score(linear_data()), abs=0.05)


def test_importance_sampling_gives_the_likelihood_from_a_wrong_posterior_too():
    model, pca = linear_vae(sigma=1.5)
    images, wanted = linear_data()[:20].reshape(-1, 2, 3, 1), pca.score_samples(linear_data()[:20])
    np.testing.assert_allclose(model.log_prob(images), wanted, atol=0.15)
    assert np.mean(model.log_prob(images)) == pytest.approx(np.mean(wanted), abs=0.02)
    gaps = [np.mean(wanted - np.asarray(model.bound(images, k, seed=1))) for k in (1, 20)]
    assert gaps[0] > 0.1 > gaps[1]


def test_a_linear_vae_learns_probabilistic_pca():
    model, pca = linear_vae()
    images = tf.constant(linear_data().reshape(-1, 2, 3, 1))
    steps = 1500
    model.compile(optimizers.build("adam", 0.05, schedule="cosine", steps=steps))

    @tf.function(autograph=False)
    def train():
        tf.while_loop(lambda i: i < steps, lambda i: (model.train_step(images), i + 1)[1:], [0], parallel_iterations=1)

    train()
    learnt = float(np.mean(model.log_prob(images, 100)))
    # More than the training data's maximum no such model can have.
    assert pca.score(linear_data()) - 0.03 < learnt < pca.score(linear_data()) + 0.01


# Extremes


@pytest.mark.parametrize("log_variance", [1000.0, -1000.0])
@pytest.mark.parametrize("row", ROWS)
def test_everything_is_finite_at_any_log_variance_and_the_gradient_leads_back(row, log_variance):
    case, model = CASES[row], CASES[row].make()
    posterior = model.encoder.get_layer("posterior")
    posterior.bias.assign(np.repeat([0.0, log_variance], model.latent_dim))
    images = case.example(3)
    with tf.GradientTape() as tape:
        losses = model.compute_losses(images, training=True)
    gradients = tape.gradient(losses["kl" if log_variance > 0 else "vae"], [posterior.bias.value])
    assert all(np.isfinite(value) for value in [*losses.values(), *gradients[0]])
    if model.samples == 1:
        assert (np.sign(gradients[0][model.latent_dim :]) == np.sign(log_variance)).all()
    for value in (model.elbo(images), model.bound(images, 5), model.reconstruct(images), model.sample(2, 0)):
        assert np.isfinite(value).all()
    scale = np.asarray(model.encode(images).log_scale)
    np.testing.assert_allclose(scale, np.sign(log_variance) * LARGEST_LOG_VARIANCE / 2, rtol=1e-5)


def test_likelihoods_of_minus_thousands_of_nats_are_exact():
    """Twenty pixels at logits of 100 that are 0: 2,000 nats."""
    case, model = CASES["vae"], CASES["vae"].make()
    logits = model.decoder.get_layer("logits")
    logits.kernel.assign(np.zeros(logits.kernel.shape))
    logits.bias.assign(np.full(20, 100.0))
    dark = np.zeros_like(case.example(2))
    mean, log_variance = posterior_of(model, dark)
    kl = kl_of(mean, log_variance).sum(-1)
    np.testing.assert_allclose(model.elbo(dark), -2000 - kl, rtol=1e-6)
    assert (np.abs(np.asarray(model.bound(dark, 64)) + 2000) < kl + 1).all()
    assert losses_of(model, dark)["reconstruction"] == pytest.approx(2000)


# What it makes


@pytest.mark.parametrize("row", ROWS)
def test_pictures_are_decoded_codes_and_a_seed_is_a_picture(row):
    model, images = CASES[row].model, CASES[row].example(3)
    pictures = model.sample(4, seed=5)
    assert pictures.shape == (4, *model.image_shape)
    np.testing.assert_array_equal(pictures, model.sample(4, seed=5))
    assert np.abs(pictures - model.sample(4, seed=6)).max() > 1e-3
    centre = np.asarray(model.picture(np.zeros((1, model.latent_dim), "float32")))
    np.testing.assert_allclose(model.sample(2, 0, temperature=0.0), centre.repeat(2, 0), rtol=1e-4, atol=1e-5)
    mean = posterior_of(model, images)[0].astype("float32")
    np.testing.assert_allclose(model.reconstruct(images), model.picture(mean), rtol=1e-4, atol=1e-5)
    places = np.asarray(model(images))
    wanted = 1 / (1 + np.exp(-places)) if model.levels == 2 else (np.clip(places, -1, 1) + 1) / 2 * (model.levels - 1)
    np.testing.assert_allclose(model.reconstruct(images), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("row", ROWS)
def test_it_begins_at_the_mean_picture(row):
    case = CASES[row]
    shape = case.arguments["input_shape"]
    means = np.random.default_rng(0).uniform(0.1, 0.9, shape)
    model = case.built(pixel_means=tuple(means.ravel().tolist()))
    logits = model.decoder.get_layer("logits")
    logits.kernel.assign(np.zeros(logits.kernel.shape))
    picture = np.asarray(model.picture(np.ones((1, model.latent_dim), "float32")))[0] / (model.levels - 1)
    if case.kwargs.get("filters"):  # one bias for all places of a channel
        logit = np.log(means / (1 - means)).mean((0, 1))
        means = np.broadcast_to(1 / (1 + np.exp(-logit)), shape)
    np.testing.assert_allclose(picture, means, atol=1e-5)


def test_the_encoder_sees_levels_from_minus_1_to_1():
    scale = CASES["vae-levels"].model.encoder.get_layer("encoder_scale")
    np.testing.assert_allclose(scale(np.array([[0.0, 7.5, 15.0]], "float32")), [[-1, 0, 1]], atol=1e-6)
    assert all(layer.name != "encoder_scale" for layer in CASES["vae"].model.encoder.layers)  # bits stay 0 and 1


def test_a_logistic_of_one_component_is_the_mixtures():
    rng = np.random.default_rng(0)
    mean, log_scale = rng.normal(0, 0.5, (2, 4, 5)).astype("float32")
    values = rng.integers(0, 256, (4, 5))
    single = distributions.DiscretisedLogistic(mean, log_scale - 3)
    every = np.stack([single.log_prob(np.full((4, 5), level)) for level in range(256)]).astype(np.float64)
    np.testing.assert_allclose(np.exp(every).sum(0), 1, rtol=1e-5)
    np.testing.assert_allclose(single.log_prob(values), np.take_along_axis(every, values[None], 0)[0], rtol=1e-6)
    np.testing.assert_allclose(single.mean(), (np.exp(every) * np.arange(256)[:, None, None]).sum(0), rtol=1e-4)
    assert (np.abs(np.asarray(single.mode()) - every.argmax(0)) < 0.51).all()
    draws = np.stack([single.sample([seed, 0]) for seed in range(300)])
    assert_mean(draws, np.asarray(single.mean()))
