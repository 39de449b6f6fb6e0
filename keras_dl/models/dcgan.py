"""DCGAN: an adversarial network of convolutions with strides, without pooling and without hidden dense layers.

Source: Radford et al., "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks"
(arXiv:1511.06434), section 3 and figure 1.
Deviations: the number of layers follows from the size of the picture, and `filters` is 32, for pictures of 28 x 28
pixels on two cores; the paper's network for 64 x 64 pixels is input_shape=(64, 64, 3), filters=128, noise="uniform". A
picture whose sides are no multiples of the strides is cut out of a larger one. With "wgan_gp" the critic has no batch
normalisation (Gulrajani et al., arXiv:1704.00028, section 4). With `num_classes` both networks also see the class, the
discriminator as one more map of the picture (after Mirza and Osindero, arXiv:1411.1784).
Shapes: B pictures of H x W pixels with C channels, Z entries of the noise, K classes.
Laws and figures: python -m keras_dl list dcgan
"""

import keras
from keras import layers

from keras_dl.arguments import ArgumentError, ModelName, OneOf, Seed, Share, Whole, checked
from keras_dl.layers.normalization import BatchNormalization
from keras_dl.models._labels import embedded_label
from keras_dl.models._sizes import Classes, ImageShape, Width, check_weights
from keras_dl.models.adversarial import GAN, LOSSES, NOISES, RANGES, GradientPenalty

PARAMETERS = 421_090  # trainable, at the defaults: 365,793 of the generator, 55,297 of the discriminator
SMALLEST = 4  # side of the first maps of the generator, at least: as in the paper
NORMS = ("batch", "layer", "none")


@checked
def build_dcgan(
    input_shape: ImageShape = (28, 28, 1),
    num_classes: Classes | None = None,
    *,
    latent_dim: Width = 100,
    filters: Width = 32,
    kernel_size: Whole(2, 99) = 5,
    slope: Share = 0.2,
    dropout: Share = 0.0,
    label_dim: Width = 32,
    discriminator_norm: OneOf(*NORMS) | None = None,
    initializer: OneOf("paper", "glorot_uniform") = "paper",
    loss: OneOf(*LOSSES) = "non_saturating",
    gradient_penalty: GradientPenalty = 10.0,
    noise: OneOf(*NOISES) = "normal",
    seed: Seed = 0,
    name: ModelName = "dcgan",
):
    """Build a DCGAN.

    Args:
        input_shape: (H, W, C) of the pictures, without the batch axis; H and W at least 8. There are as many layers
            with stride 2 as leave at least 4 pixels a side: 2 for 28 pixels, 3 for 32, 4 for 64.
        num_classes: K of a conditional model, whose networks also see the class; None: no classes.
        latent_dim: Z.
        filters: maps next to the picture; every layer further away has twice as many.
        kernel_size: of all convolutions, in pixels.
        slope: of the discriminator's LeakyReLU below zero.
        dropout: share of each of the discriminator's maps' values that training sets to zero.
        label_dim: width of a class's vector in the generator; only with num_classes.
        discriminator_norm: "batch"; "layer", over all maps of a picture; "none"; None: "batch", with "wgan_gp" "layer".
        initializer: of the kernels: "paper": normal with a standard deviation of 0.02; or "glorot_uniform".
        loss: "non_saturating", "minimax", or "wgan_gp", a Wasserstein critic with a gradient penalty.
        gradient_penalty: factor of the penalty of "wgan_gp".
        noise: "normal", or "uniform" between -1 and 1 as in the paper.
        seed: of the noise in training.
        name: name of the model.

    Returns:
        An uncompiled models.GAN. Its generator: "noise" (B, Z) -> pictures (B, H, W, C) float32 between -1 and 1; its
        discriminator: "image" (B, H, W, C) -> "logits" (B, 1), which are high for real pictures.

    Raises:
        ArgumentError: an argument does not fit its annotation or another argument, or the weights are too many.

    >>> build_dcgan((30, 20, 3), filters=4).image_shape
    (30, 20, 3)
    """
    _check(input_shape, latent_dim, filters, kernel_size, discriminator_norm, loss)
    norm = discriminator_norm or ("layer" if loss == "wgan_gp" else "batch")
    kernel = _normal if initializer == "paper" else keras.initializers.GlorotUniform
    generator = _generator(input_shape, num_classes, latent_dim, filters, kernel_size, label_dim, kernel)
    discriminator = _discriminator(input_shape, num_classes, filters, kernel_size, slope, dropout, norm, kernel)
    return GAN(
        generator,
        discriminator,
        loss=loss,
        gradient_penalty=gradient_penalty,
        pixel_range=RANGES["tanh"],
        noise=noise,
        num_classes=num_classes,
        seed=seed,
        name=name,
    )


def dcgan_space(hp):
    """What to search: maps, the noise's width, dropout; untouched, it gives build_dcgan's defaults."""
    return {
        "filters": hp.Choice("filters", [16, 32, 64], default=32),
        "latent_dim": hp.Choice("latent_dim", [32, 100], default=100),
        "dropout": hp.Choice("dropout", [0.0, 0.3], default=0.0),
    }


def _depth(input_shape):
    """Number of layers with stride 2."""
    depth = 1
    while min(input_shape[:2]) >> (depth + 1) >= SMALLEST:
        depth += 1
    return depth


def _check(input_shape, latent_dim, filters, kernel_size, discriminator_norm, loss):
    who = "build_dcgan"
    height, width, channels = input_shape
    if min(height, width) < 2 * SMALLEST:
        raise ArgumentError(
            f"{who}: input_shape must be at least {2 * SMALLEST} x {2 * SMALLEST} pixels; got {height} x {width}."
        )
    if loss == "wgan_gp" and discriminator_norm == "batch":
        raise ArgumentError(
            f"{who}: discriminator_norm must not be 'batch' with loss='wgan_gp', whose penalty is of each picture "
            "alone; got 'batch'. Nearest: 'layer'."
        )
    depth = _depth(input_shape)
    maps = [channels, *(filters << number for number in range(depth))]
    convolutions = kernel_size**2 * sum(a * b for a, b in zip(maps, maps[1:], strict=False))
    first = -(-height >> depth) * -(-width >> depth) * maps[-1]
    check_weights(who, 2 * convolutions + (latent_dim + 1) * first)


def _generator(input_shape, num_classes, latent_dim, filters, kernel_size, label_dim, kernel):
    height, width, channels = input_shape
    depth = _depth(input_shape)
    rows, columns = -(-height // 2**depth), -(-width // 2**depth)
    noise = keras.Input((latent_dim,), name="noise")
    inputs, x = noise, noise
    if num_classes:
        label, embedding = embedded_label(num_classes, label_dim, "label_embedding")
        inputs, x = {"noise": noise, "label": label}, layers.Concatenate(name="noise_and_label")([noise, embedding])
    maps = filters << (depth - 1)
    x = layers.Dense(rows * columns * maps, use_bias=False, kernel_initializer=kernel(), name="project")(x)
    x = layers.Reshape((rows, columns, maps), name="maps")(x)
    x = layers.Activation("relu", name="project_relu")(_batch_norm("project_bn")(x))
    for number in range(1, depth + 1):
        last = number == depth
        x = layers.Conv2DTranspose(
            channels if last else maps >> number, kernel_size, strides=2, padding="same", use_bias=last,
            kernel_initializer=kernel(), name="pixels" if last else f"deconv{number}",
        )(x)  # fmt: skip
        if not last:
            x = layers.Activation("relu", name=f"deconv{number}_relu")(_batch_norm(f"deconv{number}_bn")(x))
    over = rows * 2**depth - height, columns * 2**depth - width
    if any(over):
        x = layers.Cropping2D([(each // 2, each - each // 2) for each in over], name="crop")(x)
    picture = layers.Activation("tanh", dtype="float32", name="picture")(x)
    return keras.Model(inputs, picture, name="generator")


def _discriminator(input_shape, num_classes, filters, kernel_size, slope, dropout, norm, kernel):
    image = keras.Input(input_shape, name="image")
    inputs, x = image, image
    if num_classes:
        height, width, _ = input_shape
        label, embedding = embedded_label(num_classes, height * width, "label_embedding")
        embedding = layers.Reshape((height, width, 1), name="label_map")(embedding)
        inputs, x = {"image": image, "label": label}, layers.Concatenate(name="image_and_label")([image, embedding])
    for number in range(1, _depth(input_shape) + 1):
        normalised = number > 1 and norm != "none"  # none on the picture itself, as in the paper
        x = layers.Conv2D(
            filters << (number - 1), kernel_size, strides=2, padding="same", use_bias=not normalised,
            kernel_initializer=kernel(), name=f"conv{number}",
        )(x)  # fmt: skip
        if normalised and norm == "batch":
            x = _batch_norm(f"conv{number}_bn")(x)
        elif normalised:
            x = layers.GroupNormalization(groups=1, name=f"conv{number}_ln")(x)
        x = layers.LeakyReLU(slope, name=f"conv{number}_leaky_relu")(x)
        if dropout:
            x = layers.Dropout(dropout, name=f"conv{number}_dropout")(x)
    x = layers.Flatten(name="flatten")(x)
    logits = layers.Dense(1, kernel_initializer=kernel(), dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="discriminator")


def _batch_norm(name):
    return BatchNormalization(gamma_initializer=keras.initializers.RandomNormal(1.0, 0.02), name=name)


def _normal():
    """A new initializer for each kernel: one that is used twice draws the same numbers twice."""
    return keras.initializers.RandomNormal(0.0, 0.02)
