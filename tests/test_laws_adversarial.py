"""Laws of adversarial networks: their losses and gradients, the optimum, the penalty, and whose step changes what."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import CASES, having
from keras import layers, ops

from keras_dl import checkpoint, models
from keras_dl.arguments import ArgumentError
from keras_dl.layers.maxout import Maxout
from keras_dl.layers.normalization import BatchNormalization, averages_kept
from keras_dl.models.adversarial import LOSSES

RNG = np.random.default_rng(0)
SHAPE = (8, 8, 1)
SMALL = {"dcgan": {"filters": 3, "latent_dim": 5}, "gan": {"units": (6,), "maxout_units": (4,), "latent_dim": 5}}


def built(name="dcgan", shape=SHAPE, **kwargs):
    keras.utils.set_random_seed(1)
    return getattr(models, f"build_{name}")(shape, **SMALL[name] | kwargs)


def compiled(name="dcgan", rate=1e-2, **kwargs):
    model = built(name, **kwargs)
    model.compile({part: keras.optimizers.Adam(rate, 0.5) for part in model.parts})
    return model


def pictures(count=6, shape=SHAPE, seed=0):
    return tf.constant(np.random.default_rng(seed).integers(0, 256, (count, *shape)), tf.float32)


def values(variables):
    return [np.asarray(ops.convert_to_numpy(variable)) for variable in variables]


def without_learning(model):
    """Its variables that no optimizer trains, but the noise's seed: the batch statistics."""
    return [v for v in model.variables if not v.trainable and "seed" not in v.path]


# Losses and gradients


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# The derivatives of log(1 + exp(x)) and of its kin, for a mean over n scores.
GRADIENTS = {
    "non_saturating": lambda b: -sigmoid(-b) / len(b),
    "minimax": lambda b: -sigmoid(b) / len(b),
    "wgan_gp": lambda b: np.full_like(b, -1 / len(b)),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_each_generator_loss_and_its_gradient_are_numpys(loss):
    model, scores = built(loss=loss), RNG.normal(0, 4, (7, 1)).astype(np.float32)
    with tf.GradientTape() as tape:
        x = tf.constant(scores)
        tape.watch(x)
        value = model.generator_loss(x)
    wanted = {
        "non_saturating": -np.log(sigmoid(scores)).mean(),
        "minimax": np.log(1 - sigmoid(scores)).mean(),
        "wgan_gp": -scores.mean(),
    }[loss]
    np.testing.assert_allclose(value, wanted, rtol=1e-4)
    np.testing.assert_allclose(tape.gradient(value, x), GRADIENTS[loss](scores), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_discriminators_loss_and_its_gradient_are_numpys(loss):
    model, (a, b) = built(loss=loss), RNG.normal(0, 4, (2, 7, 1)).astype(np.float32)
    with tf.GradientTape() as tape:
        x, y = tf.constant(a), tf.constant(b)
        tape.watch([x, y])
        value = model.critic_loss(x, y)
    by_real, by_fake = tape.gradient(value, [x, y])
    if loss == "wgan_gp":
        wanted, of_real, of_fake = b.mean() - a.mean(), np.full_like(a, -1 / 7), np.full_like(b, 1 / 7)
    else:
        wanted = -np.log(sigmoid(a)).mean() - np.log(1 - sigmoid(b)).mean()
        of_real, of_fake = -sigmoid(-a) / 7, sigmoid(b) / 7
    np.testing.assert_allclose(value, wanted, rtol=1e-4)
    np.testing.assert_allclose(by_real, of_real, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(by_fake, of_fake, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_losses_of_scores_that_are_far_off_are_finite(loss):
    model, far = built(loss=loss), tf.constant([[1e4], [-1e4]])
    for value in (model.critic_loss(far, far), model.critic_loss(-far, far), model.generator_loss(far)):
        assert np.isfinite(value)


def test_at_the_optimum_the_discriminator_is_p_over_p_plus_q():
    """Goodfellow et al., proposition 1, on five values of x whose logits are free."""
    p, q = np.array([0.4, 0.3, 0.2, 0.1, 0.0]), np.array([0.1, 0.1, 0.2, 0.3, 0.3])
    model, logits = built(), tf.Variable(tf.zeros([5]))
    real, fake = (np.repeat(np.arange(5), np.round(10 * each).astype(int)) for each in (p, q))

    def descend(step):
        with tf.GradientTape() as tape:
            loss = model.critic_loss(tf.gather(logits, real)[:, None], tf.gather(logits, fake)[:, None])
        logits.assign_sub(20.0 * tf.convert_to_tensor(tape.gradient(loss, logits)))
        return step + 1

    tf.function(lambda: tf.while_loop(lambda step: step < 1000, descend, [0]), autograph=False)()
    np.testing.assert_allclose(tf.sigmoid(logits), p / (p + q), atol=2e-3)


# The penalty


def critic_of(score, shape=SHAPE):
    """A GAN with a critic whose scores are given, and any generator."""
    image = keras.Input(shape, name="image")
    critic = keras.Model(image, score(image), name="critic")
    noise = keras.Input((5,), name="noise")
    generator = keras.Model(noise, layers.Reshape(shape)(layers.Dense(int(np.prod(shape)))(noise)), name="generator")
    return models.GAN(generator, critic, loss="wgan_gp")


def linear(weight):
    return lambda x: layers.Dense(1, kernel_initializer=keras.initializers.Constant(weight))(layers.Flatten()(x))


def test_a_linear_critics_penalty_is_the_square_of_its_norm_minus_one():
    weight = RNG.normal(size=(64, 1)).astype(np.float32)
    model = critic_of(linear(weight))
    real, fake = (tf.constant(RNG.normal(size=(5, *SHAPE)), tf.float32) for _ in range(2))
    wanted = (np.linalg.norm(weight.astype(np.float64)) - 1) ** 2
    np.testing.assert_allclose(model.penalty(real, fake), wanted, rtol=1e-5)


def test_the_penalty_of_a_constant_critic_is_one_and_its_gradient_is_finite():
    model = critic_of(linear(np.zeros((64, 1), np.float32)))
    real = tf.zeros((3, *SHAPE))
    (kernel, _) = model.discriminator.trainable_variables
    with tf.GradientTape() as tape:
        penalty = model.penalty(real, real + 1.0)
    assert float(penalty) == 1.0
    assert np.isfinite(tape.gradient(penalty, kernel.value)).all()
    nothing = critic_of(lambda x: layers.Dense(1)(layers.Flatten()(layers.Lambda(ops.zeros_like)(x))))  # no gradient
    assert float(nothing.penalty(real, real + 1.0)) == 1.0


def test_the_places_of_the_penalty_are_uniform_and_one_a_picture():
    """Of a critic with the score sum(x^2) / 2 the gradient is x: the norms tell the places."""
    model = critic_of(lambda x: layers.Lambda(lambda y: ops.sum(y**2, (1, 2, 3))[:, None] / 2)(x))
    count, seen = 4000, {}

    def norms(real, fake):
        seen["scores"], scores = model._scores, model._scores
        model._scores = lambda x, label, training: seen.update(x=x.numpy()) or scores(x, label, training)
        model.penalty(real, fake)
        model._scores = scores
        return seen["x"]

    x = norms(tf.zeros((count, *SHAPE)), tf.ones((count, *SHAPE)))
    assert (x == x[:, :1, :1]).all()  # one number for all pixels of a picture
    shares = np.sort(x[:, 0, 0, 0])
    assert np.abs(shares - (np.arange(count) + 0.5) / count).max() < 1.63 / np.sqrt(count)  # Kolmogorov, 1 percent
    again = norms(tf.zeros((count, *SHAPE)), tf.ones((count, *SHAPE)))
    assert (again != x).any()


def test_the_penalty_is_in_the_critics_loss_with_its_factor():
    model, batch = compiled(loss="wgan_gp", gradient_penalty=3.0), pictures()
    penalties = []
    plain, penalty = model.critic_loss, model.penalty
    model.penalty = lambda *args: penalties.append(penalty(*args)) or penalties[-1]
    model.critic_loss = lambda *scores: penalties.append(plain(*scores)) or penalties[-1]
    losses = model.compute_losses(batch, training=True, part="critic")
    np.testing.assert_allclose(losses["critic"], penalties[0] + 3.0 * penalties[1], rtol=1e-6)
    assert float(penalties[1]) > 0


def test_batch_normalisation_is_refused_in_the_critic_of_wgan_gp_wherever_it_stands():
    with pytest.raises(ArgumentError, match=r"build_dcgan: discriminator_norm must not be 'batch' .*Nearest: 'layer'."):
        built(loss="wgan_gp", discriminator_norm="batch")
    inner = keras.Sequential([keras.Input((64,)), BatchNormalization(name="hidden_bn"), layers.Dense(1)])
    with pytest.raises(ArgumentError, match=r"must have no batch normalisation.*got hidden_bn"):
        critic_of(lambda x: inner(layers.Flatten()(x)))
    for norm in (None, "layer", "none"):
        model = built(loss="wgan_gp", discriminator_norm=norm, shape=(16, 16, 1))
        kinds = {type(layer).__name__ for layer in model.discriminator.layers}
        assert "BatchNormalization" not in kinds and ("GroupNormalization" in kinds) == (norm != "none")


@pytest.mark.parametrize("name", ["dcgan", "gan"])
def test_a_critics_score_of_a_picture_does_not_depend_on_the_other_pictures(name):
    model = built(name, loss="wgan_gp", **({"dropout": 0.0, "input_dropout": 0.0} if name == "gan" else {}))
    x = model.scaled(pictures(6))
    together, alone = model.discriminator(x, training=True), model.discriminator(x[:2], training=True)
    np.testing.assert_allclose(together[:2], alone, rtol=1e-4, atol=1e-6)


# Whose step changes what


@pytest.mark.parametrize("row", having("several parts"))
def test_a_step_of_one_network_leaves_the_others_weights_statistics_and_slots_alone(row):
    model = CASES[row].built()
    model.compile({part: keras.optimizers.Adam(1e-2) for part in model.parts})
    batch = pictures(6, model.image_shape)
    if model.num_classes:
        batch = {"image": batch, "label": tf.range(6) % model.num_classes}
    parts = dict(zip(model.parts, model.compiled_parts, strict=True))
    networks = {model.critic_name: model.discriminator, "generator": model.generator}
    for part, network in networks.items():
        other = next(n for n in networks if n != part)
        watched = [v for v in networks[other].variables if "seed_generator" not in v.path]  # of dropout
        watched += parts[other].optimizer.variables
        own, statistics = network.trainable_variables, without_learning(network)
        before = values(watched), values(own), values(statistics)
        model._descend(parts[part], batch)
        for one, two in zip(before[0], values(watched), strict=True):
            np.testing.assert_array_equal(one, two)
        assert any((a != b).any() for a, b in zip(before[1], values(own), strict=True))
        assert all((a != b).any() for a, b in zip(before[2], values(statistics), strict=True))


def test_a_gradient_step_of_a_part_is_that_of_its_own_loss_alone():
    """The gradient of all losses together, which the norms on TensorBoard use, is that of the step."""
    model, batch = compiled(rate=0.0), pictures()
    for part in model.compiled_parts:
        gradients = []
        for which in (part.name, None):
            model.seeds.state.assign(tf.constant([0, 5], model.seeds.state.dtype))
            with tf.GradientTape() as tape:
                loss = model.compute_losses(batch, training=True, part=which)[part.name]
            gradients.append(tape.gradient(loss, [v.value for v in part.variables]))
        for one, two in zip(*gradients, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def test_real_and_generated_pictures_have_batch_statistics_of_their_own():
    """The running mean after a step of the discriminator, from NumPy: first the real batch, then the generated one."""
    model, batch = compiled(shape=(16, 16, 1)), pictures(6, (16, 16, 1))
    first, second = (model.discriminator.get_layer(name) for name in ("conv1", "conv2"))
    norm = model.discriminator.get_layer("conv2_bn")
    model.seeds.state.assign(tf.constant([0, 5], model.seeds.state.dtype))
    noise = model.noise_of(6, model._next_seed())
    model.seeds.state.assign(tf.constant([0, 5], model.seeds.state.dtype))
    with averages_kept():
        both = model.scaled(batch), model.generator(noise, training=True)
    expected = norm.moving_mean.numpy()
    for x in both:
        mean = np.asarray(second(ops.leaky_relu(first(x), 0.2))).mean((0, 1, 2))
        expected = 0.9 * expected + 0.1 * mean
    model.compute_losses(batch, training=True, part="discriminator")
    np.testing.assert_allclose(norm.moving_mean, expected, rtol=1e-4, atol=1e-6)


def test_averages_are_kept_in_its_context_and_in_its_thread_alone():
    layer, x = BatchNormalization(), tf.constant(RNG.normal(3.0, 1.0, (4, 2)), tf.float32)
    layer.build(x.shape)
    usual = layer(x, training=True)
    before = values(layer.variables)
    with averages_kept():
        np.testing.assert_array_equal(layer(x, training=True), usual)
        with averages_kept():
            pass
        layer(x + 1, training=True)
    for one, two in zip(before, values(layer.variables), strict=True):
        np.testing.assert_array_equal(one, two)
    layer(x, training=True)
    assert any((a != b).any() for a, b in zip(before, values(layer.variables), strict=True))


# The networks


@pytest.mark.parametrize("pieces", [2, 3])
def test_maxout_is_numpys(pieces):
    layer, x = Maxout(4, pieces, kernel_initializer="normal"), RNG.normal(size=(5, 3)).astype(np.float32)
    layer.build(x.shape)
    layer.bias.assign(RNG.normal(size=layer.bias.shape))
    kernel, bias = (v.numpy().astype(np.float64) for v in (layer.kernel, layer.bias))
    wanted = [
        [max(row @ kernel[:, i * pieces + j] + bias[i * pieces + j] for j in range(pieces)) for i in range(4)]
        for row in x
    ]
    np.testing.assert_allclose(layer(x), wanted, rtol=1e-5, atol=1e-6)
    again = Maxout.from_config(layer.get_config())
    assert (again.units, again.pieces) == (4, pieces)


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (8, 8, 1), (9, 13, 3), (30, 44, 1), (50, 50, 3)])
@pytest.mark.parametrize("name", ["dcgan", "gan"])
def test_the_generators_pictures_have_the_size_of_the_data(name, shape):
    model = built(name, shape)
    picture = model.generate(model.noise_of(2, (0, 1)))
    assert picture.shape == (2, *shape) and 0 <= float(tf.reduce_min(picture)) <= float(tf.reduce_max(picture)) <= 255
    assert model.discriminator(model.scaled(picture)).shape == (2, 1)


def test_levels_and_pictures_are_inverses():
    for name in ("dcgan", "gan"):
        model, levels = built(name), tf.range(256.0)[None, :, None, None]
        scaled = model.scaled(levels)
        np.testing.assert_allclose(model.levels(scaled), levels, atol=1e-3)
        assert [float(tf.reduce_min(scaled)), float(tf.reduce_max(scaled))] == list(model.pixel_range)


def test_a_conditional_models_pictures_and_scores_depend_on_the_class():
    for name in ("dcgan", "gan"):
        model = built(name, num_classes=3)
        noise = tf.repeat(model.noise_of(1, (0, 1)), 3, 0)
        made = model.generate(noise, tf.range(3)).numpy()
        assert np.ptp(made, axis=0).max() > 1e-3
        image = model.scaled(tf.repeat(pictures(1), 3, 0))
        scores = model.discriminator({"image": image, "label": tf.range(3)})
        assert np.ptp(scores) > 0
        losses = model.compute_losses(({"image": pictures(3), "label": tf.range(3)}, pictures(3)), training=True)
        assert set(losses) == {"discriminator", "generator"} and np.isfinite(list(losses.values())).all()


@pytest.mark.parametrize("noise", ["normal", "uniform"])
def test_noise_is_of_its_distribution_and_a_function_of_its_seed(noise):
    model = built(noise=noise, latent_dim=50)
    drawn = model.noise_of(400, (3, 4)).numpy()
    np.testing.assert_array_equal(drawn[:7], model.noise_of(7, (3, 4)))
    assert (drawn != model.noise_of(400, (4, 4)).numpy()).all()
    np.testing.assert_allclose(model.noise_of(400, (3, 4), 0.5), drawn / 2, rtol=1e-6)
    assert abs(drawn.mean()) < 0.03 and abs(drawn.std() - {"normal": 1.0, "uniform": 3**-0.5}[noise]) < 0.03
    if noise == "uniform":
        assert np.abs(drawn).max() <= 1.0


@pytest.mark.parametrize("noise", ["normal", "uniform"])
def test_the_way_between_two_noises_has_both_ends_and_the_middles_length(noise):
    model = built(noise=noise, latent_dim=200)
    start, end = model.noise_of(2, (0, 1)).numpy()
    way = model.between(start, end, 5).numpy()
    np.testing.assert_allclose(way[[0, -1]], [start, end], rtol=1e-5, atol=1e-6)
    if noise == "normal":  # along the arc; a straight way is shorter in the middle by about the root of 2
        np.testing.assert_allclose(np.linalg.norm(way[2]), np.linalg.norm([start, end], axis=1).mean(), rtol=0.02)
    else:
        np.testing.assert_allclose(way[2], (start + end) / 2, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.between(start, start, 3), [start] * 3, rtol=1e-5)  # the angle is 0


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        pytest.param("dcgan", "wgan_gp", marks=pytest.mark.slow),
        ("dcgan", "non_saturating"),
        pytest.param("gan", "non_saturating", marks=pytest.mark.slow),
    ],
)
def test_a_file_gives_the_same_model_and_optimizers(name, loss, tmp_path):
    model, batch = (
        compiled(name, loss=loss, num_classes=2),
        ({"image": pictures(4), "label": tf.constant([0, 1, 1, 0])},),
    )
    model.train_step(batch)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert json.dumps(again.get_config()) == json.dumps(model.get_config())
    again.seeds.state.assign(model.seeds.state)
    for mine, theirs in zip(
        [v for v in checkpoint.variables(model) if "seed_generator" in v.path],
        [v for v in checkpoint.variables(again) if "seed_generator" in v.path],
        strict=True,
    ):
        theirs.assign(mine)
    for each in (model, again):
        each.train_step(batch)
    for one, two in zip(values(model.weights), values(again.weights), strict=True):
        np.testing.assert_array_equal(one, two)


def test_networks_that_do_not_fit_are_refused():
    model = built()
    other = built(shape=(10, 10, 1))
    with pytest.raises(ArgumentError, match=r"GAN: the generator's pictures must have the shape .* got \(8, 8, 1\)"):
        models.GAN(model.generator, other.discriminator)
    with pytest.raises(ArgumentError, match="GAN: the inputs of generator must be label, noise; got noise"):
        models.GAN(model.generator, model.discriminator, num_classes=3)
    with pytest.raises(ArgumentError, match="GAN: loss must be one of 'non_saturating', 'minimax', 'wgan_gp'"):
        models.GAN(model.generator, model.discriminator, loss="hinge")
    with pytest.raises(ArgumentError, match="build_dcgan: input_shape must be at least 8 x 8 pixels; got 7 x 9."):
        models.build_dcgan((7, 9, 1))
