"""Three small models whose loss is no loss of their output: a GAN, a Wasserstein GAN and a variational autoencoder."""

import keras
import numpy as np
from keras import layers, ops

from keras_dl import data, parts

WIDTH = 3  # of an example
CODE = 2  # of the noise or the code


@keras.saving.register_keras_serializable("keras_dl_tests")
class GAN(parts.ModelWithParts):
    """Goodfellow et al., arXiv:1406.2661, the loss that does not saturate."""

    reported = ("gap",)

    def __init__(self, generator, critic, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.generator, self.critic, self.seed = generator, critic, seed
        self.seeds = keras.random.SeedGenerator(seed)

    @property
    def parts(self):
        return {"critic": self.critic.trainable_variables, "generator": self.generator.trainable_variables}

    def noise(self, batch):
        return keras.random.normal((ops.shape(batch)[0], CODE), seed=self.seeds)

    def call(self, noise, training=False):
        return self.generator(noise, training=training)

    def compute_losses(self, batch, training, part=None):
        real = self.critic(batch, training=training)
        fake = self.critic(self.generator(self.noise(batch), training=training), training=training)
        critic = ops.mean(ops.softplus(-real)) + ops.mean(ops.softplus(fake))
        return {
            "critic": critic, "generator": ops.mean(ops.softplus(-fake)), "gap": ops.mean(real) - ops.mean(fake),
        }  # fmt: skip

    def get_config(self):
        networks = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in ("generator", "critic")}
        return networks | {"seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config):
        networks = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("generator", "critic")}
        return cls(**config | networks)


@keras.saving.register_keras_serializable("keras_dl_tests")
class WassersteinGAN(GAN):
    """Its critic without a penalty: the scores themselves are the losses."""

    reported = ()

    def compute_losses(self, batch, training, part=None):
        real = self.critic(batch, training=training)
        fake = self.critic(self.generator(self.noise(batch), training=training), training=training)
        return {"critic": ops.mean(fake) - ops.mean(real), "generator": -ops.mean(fake)}


@keras.saving.register_keras_serializable("keras_dl_tests")
class VAE(parts.ModelWithParts):
    """Kingma and Welling, arXiv:1312.6114, appendix B, with a normal decoder of variance 1."""

    reported = ("kl",)

    def __init__(self, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.encoder, self.decoder = network(WIDTH, 2 * CODE, "encoder"), network(CODE, WIDTH, "decoder")
        self.seeds = keras.random.SeedGenerator(seed)

    @property
    def parts(self):
        return {"network": self.trainable_variables}

    def call(self, batch, training=False):
        return self.decoder(self.encoder(batch, training=training)[:, :CODE], training=training)

    def compute_losses(self, batch, training, part=None):
        mean, log_variance = ops.split(self.encoder(batch, training=training), 2, -1)
        code = mean + ops.exp(log_variance / 2) * keras.random.normal(ops.shape(mean), seed=self.seeds)
        distance = ops.sum(ops.square(batch - self.decoder(code, training=training)), -1) / 2
        kl = ops.sum(ops.exp(log_variance) + ops.square(mean) - 1 - log_variance, -1) / 2
        return {"network": ops.mean(distance + kl), "kl": ops.mean(kl)}

    def get_config(self):
        return {"seed": self.seed, "name": self.name}


def network(inputs, outputs, name, regularizer=None):
    x = keras.Input((inputs,))
    y = layers.Dense(8, "tanh", kernel_regularizer=regularizer, name="hidden")(x)
    return keras.Model(x, layers.Dense(outputs, name="out")(y), name=name)


def gan(kind=GAN, rate=0.01, **compiled):
    model = kind(network(CODE, WIDTH, "generator"), network(WIDTH, 1, "critic"), name="gan")
    model.compile(
        {"critic": keras.optimizers.Adam(rate), "generator": keras.optimizers.SGD(rate, momentum=0.9)}, **compiled
    )
    return model


def wasserstein_gan(rate=0.01):
    """Two critic steps, each on half a batch, for one of the generator."""
    return gan(WassersteinGAN, rate, steps={"critic": 2})


def vae(rate=0.01):
    model = VAE(name="vae")
    model.compile(keras.optimizers.Adam(rate))
    return model


MODELS = {"gan": gan, "wasserstein_gan": wasserstein_gan, "vae": vae}


def batches(size=40, batch_size=8, seed=0, **kwargs):
    x = np.random.default_rng(seed).normal(1.0, 0.5, (size, WIDTH)).astype(np.float32)
    return data.batches(data.Examples({"x": x}), batch_size, collate=lambda raw: raw["x"], **kwargs)
