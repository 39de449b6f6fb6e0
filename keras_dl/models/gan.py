"""A generative adversarial network of fully connected layers: ReLU units make pictures, maxout units judge them.

Source: Goodfellow et al., "Generative Adversarial Nets" (arXiv:1406.2661), section 5, with the sizes, the initial
weights and the dropout of the authors' configuration for MNIST.
Deviations: the biases of the picture's pixels start at 0, the authors' at the pixels' means over the data; the authors'
optimizer (momentum from 0.5 to 0.7) is one of several that apps/gan_images.py offers; and with `num_classes` both
networks also see the class (Mirza and Osindero, arXiv:1411.1784).
Shapes: B pictures of H x W pixels with C channels, Z entries of the noise, K classes.
Laws and figures: python -m keras_dl list gan
"""

import math

import keras
from keras import layers

from keras_dl.arguments import ModelName, OneOf, Seed, Share, Whole, checked
from keras_dl.layers.maxout import Maxout
from keras_dl.models._labels import embedded_label
from keras_dl.models._sizes import Classes, ImageShape, Width, Widths, check_weights, dense
from keras_dl.models.adversarial import GAN, LOSSES, NOISES, RANGES, GradientPenalty

PARAMETERS = 3_735_425  # trainable, at the defaults: 2,503,984 of the generator, 1,231,441 of the discriminator


@checked
def build_gan(
    input_shape: ImageShape = (28, 28, 1),
    num_classes: Classes | None = None,
    *,
    latent_dim: Width = 100,
    units: Widths = (1200, 1200),
    maxout_units: Widths = (240, 240),
    pieces: Whole(2, 100) = 5,
    input_dropout: Share = 0.2,
    dropout: Share = 0.5,
    label_dim: Width = 32,
    initializer: OneOf("paper", "glorot_uniform") = "paper",
    loss: OneOf(*LOSSES) = "non_saturating",
    gradient_penalty: GradientPenalty = 10.0,
    noise: OneOf(*NOISES) = "normal",
    seed: Seed = 0,
    name: ModelName = "gan",
):
    """Build the adversarial network of 2014.

    Args:
        input_shape: (H, W, C) of the pictures, without the batch axis.
        num_classes: K of a conditional model, whose networks also see the class; None: no classes.
        latent_dim: Z.
        units: ReLU units of each hidden layer of the generator.
        maxout_units: maxout units of each hidden layer of the discriminator.
        pieces: linear units of a maxout unit.
        input_dropout: share of the pixels that training hides from the discriminator.
        dropout: share of each of its hidden layers' outputs that training sets to zero.
        label_dim: width of a class's vector, one for each network; only with num_classes.
        initializer: of the kernels: "paper": uniform between -0.05 and 0.05 in the generator, between -0.005 and 0.005
            in the discriminator; or "glorot_uniform".
        loss: "non_saturating", "minimax", or "wgan_gp", a Wasserstein critic with a gradient penalty.
        gradient_penalty: factor of the penalty of "wgan_gp".
        noise: "normal", or "uniform" between -1 and 1.
        seed: of the noise in training.
        name: name of the model.

    Returns:
        An uncompiled models.GAN. Its generator: "noise" (B, Z) -> pictures (B, H, W, C) float32 between 0 and 1; its
        discriminator: "image" (B, H, W, C) -> "logits" (B, 1), which are high for real pictures.

    Raises:
        ArgumentError: an argument does not fit its annotation or another argument, or the weights are too many.

    >>> build_gan((8, 8, 1), units=(16,), maxout_units=(4,)).image_shape
    (8, 8, 1)
    """
    pixels, seen = math.prod(input_shape), label_dim if num_classes else 0
    widths = [pixels + seen, *maxout_units]
    linear = sum(inputs * pieces * outputs for inputs, outputs in zip(widths, [*maxout_units, 1], strict=True))
    check_weights("build_gan", dense(latent_dim + seen, *units, pixels) + linear + 2 * (num_classes or 0) * seen)
    drawn = {"paper": (_uniform(0.05), _uniform(0.005))}.get(initializer, (keras.initializers.GlorotUniform,) * 2)
    generator = _generator(input_shape, num_classes, latent_dim, units, label_dim, drawn[0])
    discriminator = _discriminator(
        input_shape, num_classes, maxout_units, pieces, input_dropout, dropout, label_dim, drawn[1]
    )
    return GAN(
        generator,
        discriminator,
        loss=loss,
        gradient_penalty=gradient_penalty,
        pixel_range=RANGES["sigmoid"],
        noise=noise,
        num_classes=num_classes,
        seed=seed,
        name=name,
    )


def gan_space(hp):
    """What to search: width of both networks and dropout; untouched, it gives build_gan's defaults."""
    width = hp.Choice("width", [1, 2, 4], default=4)  # quarters of the paper's
    return {
        "units": (300 * width,) * 2,
        "maxout_units": (60 * width,) * 2,
        "dropout": hp.Choice("dropout", [0.0, 0.3, 0.5], default=0.5),
    }


def _generator(input_shape, num_classes, latent_dim, units, label_dim, kernel):
    noise = keras.Input((latent_dim,), name="noise")
    inputs, x = noise, noise
    if num_classes:
        label, embedding = embedded_label(num_classes, label_dim, "label_embedding")
        inputs, x = {"noise": noise, "label": label}, layers.Concatenate(name="noise_and_label")([noise, embedding])
    for number, width in enumerate(units, start=1):
        x = layers.Dense(width, "relu", kernel_initializer=kernel(), name=f"hidden{number}")(x)
    x = layers.Dense(math.prod(input_shape), kernel_initializer=kernel(), name="pixels")(x)
    x = layers.Activation("sigmoid", dtype="float32", name="sigmoid")(x)
    return keras.Model(inputs, layers.Reshape(input_shape, dtype="float32", name="picture")(x), name="generator")


def _discriminator(input_shape, num_classes, maxout_units, pieces, input_dropout, dropout, label_dim, kernel):
    image = keras.Input(input_shape, name="image")
    inputs, x = image, layers.Flatten(name="flatten")(image)
    if input_dropout:
        x = layers.Dropout(input_dropout, name="input_dropout")(x)
    if num_classes:
        label, embedding = embedded_label(num_classes, label_dim, "label_embedding")
        inputs, x = {"image": image, "label": label}, layers.Concatenate(name="image_and_label")([x, embedding])
    for number, width in enumerate(maxout_units, start=1):
        x = Maxout(width, pieces, kernel_initializer=kernel(), name=f"maxout{number}")(x)
        if dropout:
            x = layers.Dropout(dropout, name=f"maxout{number}_dropout")(x)
    logits = layers.Dense(1, kernel_initializer=kernel(), dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="discriminator")


def _uniform(half):
    """A function that makes a new initializer for each kernel: one that is used twice draws the same numbers twice."""
    return lambda: keras.initializers.RandomUniform(-half, half)
