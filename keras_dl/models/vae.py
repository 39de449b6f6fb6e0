"""Variational autoencoder, and the importance-weighted autoencoder: pictures from a Gaussian code.

Source: Kingma and Welling, "Auto-Encoding Variational Bayes" (arXiv:1312.6114), equation (10) and appendices B and C:
one hidden layer of 500 tanh units on either side of the code. With samples=k the objective is that of Burda, Grosse and
Salakhutdinov, "Importance Weighted Autoencoders" (arXiv:1509.00519), equation (8); its network with one stochastic
layer is latent_dim=50, units=(200, 200). With beta the objective of Higgins et al. 2017 (beta-VAE). With filters a
convolutional network, after Salimans, Kingma and Welling (arXiv:1410.6549).
Deviations: Glorot's initial weights (paper: normal with standard deviation 0.01), and no prior on the weights; log-
variances beyond LARGEST_LOG_VARIANCE count as that bound, so that no number overflows, with the gradient at the bound.
Shapes: B pictures of H x W pixels and C channels, K samples of the code a picture, D latent_dim. Pictures are float32
whole levels, from 0 to levels - 1. Likelihoods are in nats per picture, summed over pixels and channels.
Laws and figures: python -m keras_dl list vae
"""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_dl import distributions, parts
from keras_dl.arguments import ArgumentError, ModelName, Number, OneOf, Tuple, Whole, checked
from keras_dl.decoding.requirements import require_levels
from keras_dl.models._sizes import ImageShape, Width, check_weights, dense

PRIOR = distributions.Normal(0.0, 0.0)  # of each entry of the code
ACTIVATIONS = ("tanh", "relu", "softplus", "elu", "silu")
LARGEST_LOG_VARIANCE = 30.0  # a standard deviation of 3e6; -30: one of 3e-7
KERNEL = 5  # of the convolutions
STRIDE = 2
LEAST_MEAN = 0.001  # of a pixel, for the initial bias: a pixel that is always 0 would have the logit -infinity
FLOATS = 2**20  # pixels of codes that are decoded at once when a likelihood is estimated: few enough for a cache
PARAMETERS = 815_824  # trainable, at the defaults


@checked
def build_vae(
    input_shape: ImageShape = (28, 28, 1),
    *,
    latent_dim: Width = 20,
    units: Tuple(Width, least=0) = (500,),
    filters: Tuple(Width, least=0, most=10) = (),
    activation: OneOf(*ACTIVATIONS) = "tanh",
    samples: Whole(1, 10_000) = 1,
    beta: Number("[0, 10000]") = 1.0,
    levels: Whole(2, 65_536) = 2,
    pixel_means: Tuple(Number("[0, 1]"), most=1_000_000) | None = None,
    name: ModelName = "vae",
):
    """Build a variational autoencoder.

    Args:
        input_shape: (H, W, C), without the batch axis.
        latent_dim: D, entries of the code.
        units: widths of the encoder's hidden layers; the decoder has the same in reverse. (): both are linear.
        filters: of convolutions before these layers, each of which halves height and width, and of transposed ones in
            the decoder; () for none.
        activation: non-linearity of the hidden layers, one of ACTIVATIONS.
        samples: K, samples of the code for each picture and training step. 1: the VAE's bound, with the KL divergence
            in closed form; more: the importance-weighted bound.
        beta: weight of the KL divergence; 1 for a bound on the likelihood.
        levels: 2: a pixel is a Bernoulli variable; more: a discretised logistic one, with its own mean and scale.
        pixel_means: H * W * C shares, the means of the training pictures' pixels on a scale from 0 to 1, from which the
            last layer's biases begin, as in the IWAE authors' code; None: they begin at 0.
        name: name of the model.

    Returns:
        An uncompiled VAE: "image" (B, H, W, C) float32 levels -> "logits" (B, H, W, C) float32 of the pixels, decoded
        from the mean of the code; with more than two levels the logistic's mean, on a scale from -1 to 1.

    Raises:
        ArgumentError: an argument does not fit its annotation or another argument, or the weights are too many.

    >>> build_vae(latent_dim=2, units=(8,)).count_params()  # 785 * 8 + 9 * 4 + 3 * 8 + 9 * 784
    13396
    """
    outputs = math.prod(input_shape) * (1 if levels == 2 else 2)
    sizes = _sizes(input_shape, filters)
    flat = math.prod(sizes[-1])
    ends = [dense(flat, *units, 2 * latent_dim), dense(latent_dim, *reversed(units), flat if filters else outputs)]
    maps = [KERNEL**2 * before[-1] * after[-1] for before, after in zip(sizes, sizes[1:], strict=False)]
    check_weights("build_vae", sum(ends) + 2 * sum(maps))
    if pixel_means is not None and len(pixel_means) != math.prod(input_shape):
        raise ArgumentError(
            f"build_vae: pixel_means must have a number for each value of a picture, {math.prod(input_shape):,}; got "
            f"{len(pixel_means):,}."
        )
    encoder = _encoder(input_shape, filters, units, latent_dim, activation, levels)
    decoder = _decoder(input_shape, sizes, units, latent_dim, activation, levels)
    if pixel_means is not None:
        _begin_at(decoder.get_layer("logits"), pixel_means, input_shape, levels)
    return VAE(encoder, decoder, levels=levels, samples=samples, beta=beta, name=name)


@keras.saving.register_keras_serializable("keras_dl")
class VAE(parts.ModelWithParts):
    """An encoder q(z|x) and a decoder p(x|z) with the prior p(z) = N(0, I), trained on a bound of log p(x).

    Args:
        encoder: model of "image" (B, H, W, C) -> (B, 2 D), the posterior's mean and log-variance.
        decoder: model of "code" (N, D) -> the parameters of p(x|z): (N, H, W, C) logits, or (N, H, W, 2 C) means and
            log-scales, or the same without the axes of the picture.
        levels, samples, beta: as in build_vae.

    Reported: "loss", the negative bound; "kl", KL(q(z|x) || p(z)) in closed form, and "reconstruction", -log p(x|z) at
    a sample of q: nats per picture. Random numbers of training and evaluation are those of the model's own `seeds`; the
    methods take a seed.
    """

    reported = ("kl", "reconstruction")

    def __init__(self, encoder, decoder, *, levels=2, samples=1, beta=1.0, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.decoder = encoder, decoder
        self.levels, self.samples, self.beta = levels, samples, beta
        self.seeds = keras.random.SeedGenerator()

    @property
    def parts(self):
        return {"vae": [*self.encoder.trainable_variables, *self.decoder.trainable_variables]}

    @property
    def inputs(self):
        return self.encoder.inputs

    @property
    def input(self):
        return self.encoder.input

    @property
    def image_shape(self):
        """(H, W, C)."""
        return tuple(self.encoder.input.shape[1:])

    @property
    def latent_dim(self):
        return self.decoder.input.shape[-1]

    def call(self, images, training=False):
        """The parameters of p(x|z) at the posterior's mean that say where a pixel is: (B, H, W, C)."""
        return self._parameters(self.encode(images, training).mean(), training)[0]

    def compute_losses(self, batch, training, part=None):
        images = batch[0] if isinstance(batch, tuple) else batch
        posterior = self.encode(images, training)
        kl = tf.reduce_sum(self.divergence(posterior), -1)
        codes = posterior.sample(tf.cast(self.seeds.next(), tf.int32), count=self.samples)  # (K, B, D)
        log_likelihood = self._log_likelihood(images, codes, training)  # (K, B)
        if self.samples == 1:
            bound = log_likelihood[0] - self.beta * kl
        else:
            bound = distributions.log_mean_exp(log_likelihood - self.beta * _log_ratio(posterior, codes))
        return {
            "vae": -tf.reduce_mean(bound), "kl": tf.reduce_mean(kl), "reconstruction": -tf.reduce_mean(log_likelihood),
        }  # fmt: skip

    def encode(self, images, training=False):
        """Levels (B, H, W, C) -> the posterior q(z|x), a distributions.Normal over (B, D)."""
        mean, log_variance = tf.split(self.encoder(images, training=training), 2, -1)
        return distributions.Normal(mean, _bounded(log_variance) / 2)

    def divergence(self, posterior):
        """KL(q(z|x) || p(z)) of each unit of the code: (B, D) nats."""
        return posterior.kl(PRIOR)

    def decode(self, codes, training=False):
        """Codes (..., D) -> p(x|z), a distribution over levels (..., H, W, C), each independent of the others."""
        return self._distribution(*self._parameters(codes, training))

    def picture(self, codes):
        """Codes (..., D) -> levels (..., H, W, C), not rounded: the mean, or with more than two levels the mode."""
        pixels = self.decode(codes)
        return pixels.mean() if self.levels == 2 else pixels.mode()

    def sample(self, n, seed, temperature=1.0):
        """`n` pictures of codes from the prior, whose standard deviation is multiplied by `temperature`.

        Args:
            n: number of pictures.
            seed: an integer; the same seed gives the same pictures.

        Returns:
            (n, H, W, C) levels, as `picture` gives them.
        """
        return self.picture(self.prior_codes(n, seed, temperature))

    def prior_codes(self, n, seed, temperature=1.0):
        """The codes of `sample`: (n, D)."""
        shape = [n, self.latent_dim]
        return distributions.Normal(tf.zeros(shape), tf.zeros(shape)).sample(_pair(seed, 0), temperature)

    def reconstruct(self, images):
        """Levels (B, H, W, C) -> levels (B, H, W, C), the picture at the posterior's mean."""
        return self.picture(self.encode(images).mean())

    def elbo(self, images, seed=0):
        """log p(x|z) - KL(q(z|x) || p(z)) of each picture (B,), z a sample of q(z|x), the divergence in closed form.

        Raises:
            ValueError: as `bound`.
        """
        images = self.checked(images)
        posterior = self.encode(images)
        codes = posterior.sample(_pair(seed, 0), count=1)
        return self._log_likelihood(images, codes)[0] - tf.reduce_sum(self.divergence(posterior), -1)

    def bound(self, images, k, seed=0, rows=None):
        """The importance-weighted bound log 1/k sum_i p(x, z_i) / q(z_i|x) of each picture (arXiv:1509.00519, eq. 8).

        Its mean never exceeds log p(x), and rises to it with k. Codes are decoded in chunks of about `rows`, so that
        any k fits into memory: one code of every picture at least.

        Args:
            images: levels (B, H, W, C).
            k: number of samples.
            seed: an integer; the same seed, k and B give the same bound.
            rows: codes of all pictures that are decoded at once; None: as many as have FLOATS pixels.

        Returns:
            (B,) nats.

        Raises:
            ValueError: the images hold values that are no levels, of which there is no likelihood. Within a graph an
                assertion says so.
        """
        images = self.checked(images)
        posterior = self.encode(images)
        k = tf.convert_to_tensor(k, tf.int32)
        count, rows = tf.shape(images)[0], rows or max(1, FLOATS // math.prod(self.image_shape))
        size = tf.minimum(k, tf.maximum(1, rows // tf.maximum(1, count)))

        def step(done, number, largest, total):
            codes = posterior.sample(_pair(seed, number), count=tf.minimum(size, k - done))
            log_weights = self._log_likelihood(images, codes) - _log_ratio(posterior, codes)
            peak = tf.maximum(largest, tf.reduce_max(log_weights, 0))
            total = total * tf.exp(largest - peak) + tf.reduce_sum(tf.exp(log_weights - peak), 0)
            return done + tf.shape(codes)[0], number + 1, peak, total

        dtype = posterior.location.dtype
        nothing = tf.fill([count], dtype.min), tf.zeros([count], dtype)
        _, _, peak, total = tf.while_loop(lambda done, *_: done < k, step, (0, 0, *nothing), parallel_iterations=1)
        return peak + tf.math.log(total) - tf.math.log(tf.cast(k, dtype))

    def log_prob(self, images, k=5000, seed=0):
        """An estimate of log p(x) of each picture, (B,) nats: `bound` with k samples, 5,000 as in Burda et al."""
        return self.bound(images, k, seed)

    def checked(self, images):
        """The images, refused unless they are whole levels; a subclass for other numbers returns them as they are."""
        images = tf.convert_to_tensor(images)
        return require_levels(f"{type(self).__name__}: images", images, self.levels, images)

    def get_config(self):
        networks = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in ("encoder", "decoder")}
        plain = {name: getattr(self, name) for name in ("levels", "samples", "beta", "name")}
        return networks | plain

    @classmethod
    def from_config(cls, config):
        networks = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("encoder", "decoder")}
        return cls(**config | networks)

    def _log_likelihood(self, images, codes, training=False):
        """log p(x|z) of pictures (B, H, W, C) and codes (K, B, D): (K, B)."""
        parameters = self._parameters(codes, training, flat=True)
        values = tf.reshape(images, [1, tf.shape(images)[0], math.prod(self.image_shape)])
        return -tf.reduce_sum(self._distribution(*parameters).cross_entropy(values), -1)

    def _parameters(self, codes, training, flat=False):
        """The decoder's outputs: (logits,), or (means, log-scales), each (..., H, W, C) or flat (..., H * W * C)."""
        front = tf.shape(codes)[:-1]
        outputs = self.decoder(tf.reshape(codes, [-1, self.latent_dim]), training=training)
        shape = [math.prod(self.image_shape)] if flat else self.image_shape
        if self.levels == 2:
            return (tf.reshape(outputs, tf.concat([front, shape], 0)),)
        outputs = tf.reshape(outputs, [-1, *self.image_shape[:2], 2 * self.image_shape[2]])
        return tuple(tf.reshape(x, tf.concat([front, shape], 0)) for x in tf.split(outputs, 2, -1))

    def _distribution(self, *parameters):
        if self.levels == 2:
            return distributions.Bernoulli(*parameters)
        return distributions.DiscretisedLogistic(*parameters, levels=self.levels)


def vae_space(hp):
    """What to search: width, depth and the code's size; untouched, it gives build_vae's defaults."""
    width = hp.Choice("width", [200, 500, 1000], default=500)
    return {
        "latent_dim": hp.Choice("latent_dim", [10, 20, 50], default=20),
        "units": (width,) * hp.Int("depth", 1, 2, default=1),
    }


def _sizes(input_shape, filters):
    """(H, W, C) of the picture and of what each convolution makes of it."""
    sizes = [input_shape]
    for number in filters:
        height, width, _ = sizes[-1]
        sizes.append((-(-height // STRIDE), -(-width // STRIDE), number))
    return sizes


def _encoder(input_shape, filters, units, latent_dim, activation, levels):
    x = image = keras.Input(input_shape, name="image")
    if levels > 2:
        x = layers.Rescaling(2 / (levels - 1), -1.0, name="encoder_scale")(x)  # to [-1, 1]
    for number, maps in enumerate(filters, 1):
        x = layers.Conv2D(
            maps, KERNEL, STRIDE, "same", activation=activation, kernel_initializer=_initializer(activation),
            name=f"encoder_conv{number}",
        )(x)  # fmt: skip
    x = layers.Flatten(name="encoder_flatten")(x)
    for number, width in enumerate(units, 1):
        x = _hidden(width, activation, f"encoder_hidden{number}")(x)
    posterior = layers.Dense(2 * latent_dim, dtype="float32", name="posterior")(x)
    return keras.Model(image, posterior, name="encoder")


def _decoder(input_shape, sizes, units, latent_dim, activation, levels):
    a_value = 1 if levels == 2 else 2  # parameters
    x = code = keras.Input((latent_dim,), name="code")
    for number, width in enumerate(reversed(units), 1):
        x = _hidden(width, activation, f"decoder_hidden{number}")(x)
    if len(sizes) == 1:
        logits = layers.Dense(math.prod(input_shape) * a_value, dtype="float32", name="logits")(x)
        return keras.Model(code, logits, name="decoder")
    x = _hidden(math.prod(sizes[-1]), activation, "decoder_maps")(x)
    x = layers.Reshape(sizes[-1], name="decoder_reshape")(x)
    for number, (height, width, maps) in enumerate(reversed(sizes[:-1]), 1):
        last = number == len(sizes) - 1
        x = layers.Conv2DTranspose(
            maps * a_value if last else maps, KERNEL, STRIDE, "same",
            output_padding=(1 - height % STRIDE, 1 - width % STRIDE),  # so that odd sizes come out right
            activation=None if last else activation,
            kernel_initializer="glorot_uniform" if last else _initializer(activation),
            dtype="float32" if last else None, name="logits" if last else f"decoder_conv{number}",
        )(x)  # fmt: skip
    return keras.Model(code, x, name="decoder")


def _hidden(width, activation, name):
    return layers.Dense(width, activation, kernel_initializer=_initializer(activation), name=name)


def _initializer(activation):
    # He's variance, 2 / fan_in, makes up for the half of the inputs that a rectifier sets to zero (arXiv:1502.01852).
    return "glorot_uniform" if activation in ("tanh", "softplus") else "he_normal"


def _begin_at(logits, pixel_means, input_shape, levels):
    """Set the last layer's biases so that an empty code gives the mean picture."""
    means = np.reshape(pixel_means, input_shape)
    if levels == 2:
        means = np.clip(means, LEAST_MEAN, 1 - LEAST_MEAN)
        bias = np.log(means / (1 - means))
    else:
        bias = np.concatenate([2 * means - 1, np.zeros(input_shape)], -1)  # means and log-scales
    of_channels = logits.bias.shape[0] < bias.size  # a convolution's, the same at every place
    logits.bias.assign(bias.mean((0, 1)) if of_channels else bias.ravel())


def _bounded(log_variance):
    """Log-variances within the bounds, with the gradient of the bound beyond them, which leads back."""
    within = tf.clip_by_value(log_variance, -LARGEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)
    return log_variance + tf.stop_gradient(within - log_variance)


def _log_ratio(posterior, codes):
    """log q(z|x) - log p(z) of codes (K, B, D): (K, B)."""
    return tf.reduce_sum(posterior.log_prob(codes) - PRIOR.log_prob(codes), -1)


def _pair(seed, number):
    """The seed of the number-th draw of a seed."""
    return tf.stack([tf.cast(seed, tf.int32), tf.cast(number, tf.int32)])
