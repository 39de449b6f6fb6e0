"""Generative adversarial networks: two networks, each with a loss and an optimizer of its own.

Sources: Goodfellow et al., "Generative Adversarial Nets" (arXiv:1406.2661), equation 1 and algorithm 1; Gulrajani et
al., "Improved Training of Wasserstein GANs" (arXiv:1704.00028), equation 3 and algorithm 1; labels as in Mirza and
Osindero (arXiv:1411.1784).
With logits a of real and b of generated pictures, s(x) = log(1 + exp(x)), means over a batch:

    discriminator    s(-a) + s(b), which is -log D(x) - log(1 - D(G(z)))
    non_saturating   s(-b): the generator maximises log D(G(z))
    minimax          -s(b): the generator minimises log(1 - D(G(z)))
    wgan_gp          critic b - a + lambda (|dD(x')/dx'| - 1)^2, generator -b, x' = u x + (1 - u) G(z) with one uniform
                     u a picture

Deviations: a batch of real and one of generated pictures go through the discriminator apart, so that batch
normalisation has the statistics of each alone; and the step of one network leaves the other's running averages as they
are.
Shapes: B pictures of H x W pixels with C channels, Z entries of the noise, K classes.
"""

import math

import keras
import tensorflow as tf
from keras import ops

from keras_dl import distributions, parts
from keras_dl.arguments import ArgumentError, Number, OneOf, Seed, Whole, check
from keras_dl.layers.normalization import averages_kept

LOSSES = ("non_saturating", "minimax", "wgan_gp")
NOISES = ("normal", "uniform")
RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}  # of a picture's values, by the generator's last activation
WHITE = 255.0  # the largest level of a picture
GradientPenalty = Number("[0, 1e6]")


@keras.saving.register_keras_serializable("keras_dl")
class GAN(parts.ModelWithParts):
    """A generator and a discriminator of pictures; with "wgan_gp" the discriminator is called the critic.

    A batch has the pictures (B, H, W, C) in grey levels from 0 to 255, for a conditional model {"image", "label"} with
    the labels (B,); targets beside them, as data.levels gives them, are not used. The networks see and make pictures in
    `pixel_range`. Called with noise (with classes: with {"noise", "label"}) the model gives the discriminator's scores
    of the pictures that the generator makes of it; `generate` gives the pictures.

    Args:
        generator: keras.Model from "noise" (B, Z), with classes also "label" (B,) int32, to pictures (B, H, W, C).
        discriminator: keras.Model from "image" (B, H, W, C), with classes also "label", to a logit or score (B, 1).
        loss: "non_saturating", "minimax" or "wgan_gp".
        gradient_penalty: lambda of "wgan_gp".
        pixel_range: (black, white) of the networks' pictures: (0, 1) for a sigmoid, (-1, 1) for a tanh.
        noise: "normal": standard normal, or "uniform": between -1 and 1, independent entries.
        num_classes: K of a conditional model; None: the networks see no labels.
        seed: of the noise and of the places between real and generated pictures.

    Raises:
        ArgumentError: an argument is none of these, the networks do not fit each other, or the discriminator of
            "wgan_gp" has batch normalisation, with which the penalty is not one of each picture alone.
    """

    def __init__(
        self,
        generator,
        discriminator,
        *,
        loss="non_saturating",
        gradient_penalty=10.0,
        pixel_range=(-1.0, 1.0),
        noise="normal",
        num_classes=None,
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        who = type(self).__name__
        self.generator, self.discriminator = generator, discriminator
        self.objective = check(f"{who}: loss", OneOf(*LOSSES), loss)
        self.gradient_penalty = check(f"{who}: gradient_penalty", GradientPenalty, gradient_penalty)
        self.noise = check(f"{who}: noise", OneOf(*NOISES), noise)
        self.num_classes = check(f"{who}: num_classes", Whole(2, 1_000_000) | None, num_classes)
        self.seed = check(f"{who}: seed", Seed, seed)
        self.pixel_range = tuple(float(end) for end in pixel_range)
        self.seeds = keras.random.SeedGenerator(self.seed)
        _check_networks(who, generator, discriminator, self.objective, self.num_classes)

    @property
    def latent_dim(self):
        """Z, entries of the noise."""
        return _inputs(self.generator)["noise"].shape[-1]

    @property
    def image_shape(self):
        """(H, W, C) of the pictures."""
        return tuple(self.generator.output_shape[1:])

    @property
    def critic_name(self):
        """The discriminator's name among the parts."""
        return "critic" if self.objective == "wgan_gp" else "discriminator"

    @property
    def parts(self):
        return {
            self.critic_name: self.discriminator.trainable_variables,
            "generator": self.generator.trainable_variables,
        }

    @property
    def inputs(self):
        return self.generator.inputs

    @property
    def input(self):
        return self.generator.input

    def call(self, inputs, training=False):
        noise, label = (inputs["noise"], inputs["label"]) if self.num_classes else (inputs, None)
        return self._scores(self._fake(noise, label, training), label, training)

    def scaled(self, levels):
        """Grey levels from 0 to 255 -> pixel_range, float32."""
        black, white = self.pixel_range
        return ops.cast(levels, "float32") * ((white - black) / WHITE) + black

    def levels(self, pictures):
        """Pictures in pixel_range -> grey levels from 0 to 255, float32, not rounded."""
        black, white = self.pixel_range
        levels = (ops.cast(pictures, "float32") - black) * (WHITE / (white - black))
        return ops.clip(levels, 0.0, WHITE)

    def noise_of(self, rows, seed, temperature=1.0):
        """Noise (rows, Z), a function of the seed.

        Args:
            rows: B.
            seed: two whole numbers. The first rows are the same whatever B is.
            temperature: factor of the noise; below 1 the pictures are closer to that of zero noise, and vary less.
        """
        zeros = tf.zeros([rows, self.latent_dim])
        if self.noise == "normal":
            return distributions.Normal(zeros, 0.0).sample(seed, temperature)
        return (2.0 * distributions.Uniform(zeros, 1.0).sample(seed) - 1.0) * temperature

    def between(self, start, end, steps):
        """Noise on the way from one to another, (steps, Z), with both ends.

        Of normal noise, whose length hardly varies, along an arc (White, arXiv:1609.04468); of uniform noise straight.

        Args:
            start, end: (Z,).
            steps: number of points, at least 2.
        """
        start, end = (tf.convert_to_tensor(each, tf.float32)[None] for each in (start, end))
        share = tf.linspace(0.0, 1.0, steps)[:, None]
        if self.noise == "uniform":
            return (1.0 - share) * start + share * end
        cosine = tf.reduce_sum(tf.math.l2_normalize(start, -1) * tf.math.l2_normalize(end, -1))
        angle = tf.acos(tf.clip_by_value(cosine, -1.0, 1.0))
        straight = angle < 1e-3  # the arc's formula would divide by nearly 0
        sine = tf.sin(tf.where(straight, 1.0, angle))
        first, second = tf.sin((1.0 - share) * angle) / sine, tf.sin(share * angle) / sine
        return tf.where(straight, (1.0 - share) * start + share * end, first * start + second * end)

    def generate(self, noise, label=None):
        """The generator's pictures in inference mode, in grey levels from 0 to 255: float32 (B, H, W, C).

        Args:
            noise: (B, Z).
            label: (B,) classes, for a conditional model.
        """
        return self.levels(self.generator(self._with_label({"noise": noise}, label), training=False))

    def compute_losses(self, batch, training, part=None):
        given = batch[0] if isinstance(batch, tuple) else batch
        levels, label = (given["image"], given["label"]) if self.num_classes else (given, None)
        real, rows = self.scaled(levels), ops.shape(levels)[0]
        noise = self.noise_of(rows, self._next_seed())
        losses = {}
        if part in (None, self.critic_name):
            with averages_kept():  # of the generator
                fake = self._fake(noise, label, training)
            scores = self._scores(real, label, training), self._scores(fake, label, training)
            losses[self.critic_name] = self.critic_loss(*scores)
            if self.objective == "wgan_gp":
                losses[self.critic_name] += self.gradient_penalty * self.penalty(real, fake, label, training)
        if part in (None, "generator"):
            fake = self._fake(noise, label, training)
            with averages_kept():  # of the discriminator
                losses["generator"] = self.generator_loss(self._scores(fake, label, training))
        return losses

    def critic_loss(self, real, fake):
        """The discriminator's loss without a penalty, from its scores of real and of generated pictures, (B, 1)."""
        if self.objective == "wgan_gp":
            return ops.mean(fake) - ops.mean(real)
        return ops.mean(ops.softplus(-real)) + ops.mean(ops.softplus(fake))

    def generator_loss(self, fake):
        """The generator's loss, from the discriminator's scores of generated pictures, (B, 1)."""
        if self.objective == "wgan_gp":
            return -ops.mean(fake)
        return ops.mean(ops.softplus(-fake)) if self.objective == "non_saturating" else -ops.mean(ops.softplus(fake))

    def penalty(self, real, fake, label=None, training=False):
        """The mean of (|gradient of the score| - 1)^2 at a random place between each real and generated picture.

        The Euclidean norm is over all pixels and channels of a picture; where the score is constant, it is 0 and has
        the gradient 0.
        """
        share = distributions.Uniform(tf.zeros([ops.shape(real)[0], 1, 1, 1]), 1.0).sample(self._next_seed())
        between = share * real + (1.0 - share) * fake
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(between)
            scores = self._scores(between, label, training)
        gradient = tape.gradient(scores, between, unconnected_gradients="zero")
        squares = tf.reduce_sum(tf.square(gradient), [1, 2, 3])
        positive = squares > 0  # the root of 0 has no derivative
        norms = tf.where(positive, tf.sqrt(tf.where(positive, squares, 1.0)), 0.0)
        return tf.reduce_mean(tf.square(norms - 1.0))

    def _fake(self, noise, label, training):
        return self.generator(self._with_label({"noise": noise}, label), training=training)

    def _scores(self, pictures, label, training):
        return self.discriminator(self._with_label({"image": pictures}, label), training=training)

    def _with_label(self, inputs, label):
        """The inputs of a network, a dict of one tensor, with the label of a conditional model."""
        if not self.num_classes:
            return next(iter(inputs.values()))
        return inputs | {"label": label}

    def _next_seed(self):
        """Two numbers, others at every call and for every replica."""
        seed = ops.cast(self.seeds.next(), "int32")
        context = tf.distribute.get_replica_context()
        replica = 0 if context is None else context.replica_id_in_sync_group  # replicas have copies of one state
        return seed + tf.stack([tf.cast(replica, tf.int32), 0])

    def get_config(self):
        networks = {n: keras.saving.serialize_keras_object(getattr(self, n)) for n in ("generator", "discriminator")}
        own = ("gradient_penalty", "noise", "num_classes", "seed", "name")
        settings = {name: getattr(self, name) for name in own}
        return networks | settings | {"loss": self.objective, "pixel_range": list(self.pixel_range)}

    @classmethod
    def from_config(cls, config):
        names = ("generator", "discriminator")
        return cls(**config | {name: keras.saving.deserialize_keras_object(config[name]) for name in names})


def _check_networks(who, generator, discriminator, loss, num_classes):
    inputs = {"noise": generator, "image": discriminator}
    for name, network in inputs.items():
        wanted = {name, "label"} if num_classes else {name}
        if set(_inputs(network)) != wanted:
            raise ArgumentError(
                f"{who}: the inputs of {network.name} must be {', '.join(sorted(wanted))}; "
                f"got {', '.join(sorted(_inputs(network)))}."
            )
    made, seen = generator.output_shape[1:], _inputs(discriminator)["image"].shape[1:]
    if tuple(made) != tuple(seen) or math.prod(discriminator.output_shape[1:]) != 1:
        raise ArgumentError(
            f"{who}: the generator's pictures must have the shape that the discriminator sees, which gives one score; "
            f"got {tuple(made)}, {tuple(seen)} and, of scores, {tuple(discriminator.output_shape[1:])}."
        )
    if loss == "wgan_gp":
        for layer in discriminator._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                raise ArgumentError(
                    f"{who}: the critic of 'wgan_gp' must have no batch normalisation, with which a picture's gradient "
                    f"depends on the other pictures (arXiv:1704.00028, section 4); got {layer.name}. Nearest: layer "
                    "normalisation."
                )


def _inputs(network):
    return {tensor.name: tensor for tensor in network.inputs}
