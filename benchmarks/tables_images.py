"""Tables of generative models of images: exact densities, autoencoders, adversarial networks, the speed of sampling.

The recipes have at most as many epochs as fit into the time that a row's title or bar names: benchmarks/budget.py
measures how many these are. Where a bar is reached in less, they have fewer. Nothing here imports TensorFlow.
"""

from rows import Headline, Picture, Row, Table

MINUTES = {"binarized_mnist": 60, "iwae": 45, "gan": 30}  # of training.fit, for each model
DENSITY = "--optimizer adam --learning-rate 0.004 --schedule onecycle --clipnorm 1 --keep last"
HALF = f"{DENSITY} --precision mixed_bfloat16"
GATED = {  # arguments of build_gated_pixelcnn: with dilated kernels, every pixel's field spans the image
    "num_layers": 10, "filters": 32, "kernel_size": 3, "dilations": (1, 2, 4, 8), "skip_filters": 64,
    "top_filters": (64,),
}  # fmt: skip
SIZES = " ".join(f'--set "{name}={value}"' for name, value in GATED.items())
AUTOENCODER = (
    "--dataset mnist --binarization resampled --batch-size 100 --optimizer adam --learning-rate 0.002 "
    "--epsilon 0.0001 --schedule cosine --bound-samples 0 --keep last"
)
IWAE = '--set latent_dim=50 --set "units=(200, 200)"'  # the paper's network with one stochastic layer

# The recipes: flags of the apps; sizes are smaller than the papers', for the time of the title.
RECIPES = {
    "pixelcnn": f'--set num_blocks=15 --set filters=32 --set "top_filters=(64,)" --batch-size 16 --epochs 2 {HALF}',
    "gated_pixelcnn": f"{SIZES} --batch-size 16 --epochs 3 {HALF}",
    "diagonal_bilstm": (
        '--set layer=diagonal_bilstm --set num_layers=7 --set units=16 --set "top_filters=(32, 32)" --batch-size 32 '
        "--epochs 2 --optimizer adam --learning-rate 0.004 --schedule cosine --clipnorm 1 --keep last"
    ),
    "gated_pixelcnn_long": f"{SIZES} --batch-size 16 --epochs 5 {HALF}",
    "cifar10": f"{SIZES} --levels 256 --output logistic_mixture --batch-size 16 --epochs 7 {HALF}",
    "vae_k1": f"{AUTOENCODER} {IWAE} --set samples=1 --epochs 500",
    "iwae_k5": f"{AUTOENCODER} {IWAE} --set samples=5 --epochs 450",
    "vae_2d": f"{AUTOENCODER} --set latent_dim=2 --epochs 60",
}
MODEL = "apps/model_images.py --trials 0 --seed 0"
AUTOENCODE = "apps/autoencode_images.py --trials 0 --seed 0"
LONG = {  # rows of long_run.py: what is trained in several sittings
    "gated_pixelcnn_long": f"{MODEL} --model gated_pixelcnn --dataset binarized_mnist {RECIPES['gated_pixelcnn_long']}",
}

GENERATORS = {  # of sample_quality.py: a DCGAN, and a convolutional VAE of a similar size
    "dcgan": "apps/gan_images.py --model dcgan --dataset fashion_mnist --trials 0 --seed 0 --epochs 9 --batch-size 64",
    "vae": (
        f'{AUTOENCODE} --model vae --dataset fashion_mnist --levels 256 --set "filters=(32, 64)" --set "units=(64,)" '
        "--set latent_dim=50 --set activation=elu --epochs 18 --batch-size 100 --optimizer adam --learning-rate 0.001 "
        "--schedule cosine --bound-samples 0 --importance-samples 50 --keep last"
    ),
}


def _density(row, model, published, source, bar):
    flags = f"--model {model} --dataset binarized_mnist {RECIPES[row]}"
    command = f"benchmarks/long_run.py {row}" if row in LONG else f"{MODEL} {flags}"
    yield Row(row, "nats_per_image", "nats", command, published, source, bar=("<=", bar), architecture=model)
    most = None if row in LONG else ("<=", MINUTES["binarized_mnist"])
    yield Row(row, "training_minutes", "min", command, bar=most, architecture=model)


def _autoencoder(row, published=None, source="", bar=None, better_than=None):
    command = f"{AUTOENCODE} --model vae {RECIPES[row]}"
    yield Row(row, "nats_per_image", "nats", command, published, source, bar=bar, architecture="vae")
    if better_than:
        least = (">=", 0.5)
        yield Row(
            row, f"gain_over_{better_than}", "nats", command, bar=least, architecture="vae", gain_over=better_than
        )
    most = ("<=", MINUTES["iwae"])
    yield Row(row, "training_minutes", "min", command, bar=most, architecture="vae")


def _gan():
    command = "benchmarks/sample_quality.py"
    for row, architecture in (("dcgan", "dcgan"), ("vae", "vae"), ("real", "")):
        least = (">=", 10) if row == "dcgan" else None
        yield Row(row, "frechet_classifier", "squared features", command, architecture=architecture)
        yield Row(row, "classes_covered", "classes", command, bar=least, architecture=architecture)
        if row == "dcgan":
            yield Row(row, "ratio_to_vae", "dcgan / vae", command, bar=("<=", 1.0), architecture=architecture)
        if row != "real":
            most = ("<=", MINUTES["gan"])
            yield Row(row, "training_minutes", "min", command, bar=most, architecture=architecture)


def _sampling_speed():
    for batch, bar in ((1, None), (16, ("<=", 1 / 18)), (64, None)):
        name = f"gated_pixelcnn_b{batch}"
        command = f"benchmarks/sampling_speed.py {name}"
        yield Row(name, "ratio_to_naive", "cached / naive", command, bar=bar, architecture="gated_pixelcnn")


def _kills(name, app):
    command = f"benchmarks/kills.py --app {app} --kills 10 --seed 0"
    return Row(name, "equal_of_10", "runs", command, bar=(">=", 10))


KILLS = (_kills("kills_gan", "gan_images"), _kills("kills_images", "model_images"))  # rows of the table reliability
SAFETY = (  # rows of the table safety: endpoints of the three apps
    "density_image_bytes", "density_log_prob", "density_sample", "density_complete", "latent_image_bytes",
    "latent_encode", "latent_decode", "latent_sample", "latent_reconstruct", "latent_log_prob", "gan_sample",
)  # fmt: skip

PIXELRNN = "van den Oord et al. 2016, table 4"
TABLES = {
    "binarized_mnist": Table(
        "Binarised MNIST, the fixed binarisation of Larochelle and Murray: exact negative log-likelihood of the 10,000 "
        "test images, nats per image; at most 60 minutes of training on two cores, gated_pixelcnn_long in several "
        "sittings",
        (
            *_density("pixelcnn", "pixelcnn", 81.30, PIXELRNN, 89.0),
            *_density(
                "gated_pixelcnn", "gated_pixelcnn", None,
                "no figure of the paper; a re-implementation that draws the bits anew in each epoch: 81.50", 88.0,
            ),
            *_density("diagonal_bilstm", "pixelrnn", 79.20, f"{PIXELRNN}: 7 layers, h = 16", 90.0),
            *_density("gated_pixelcnn_long", "gated_pixelcnn", None, "", 84.0),
        ),
        pictures=(
            Picture("pixelcnn", "samples/samples.png", "samples", "Samples of a PixelCNN of binarised MNIST"),
            Picture(
                "diagonal_bilstm", "samples/samples.png", "samples", "Samples of a Diagonal BiLSTM of binarised MNIST"
            ),
            Picture(
                "gated_pixelcnn_long", "samples.png", "samples", "Samples of a gated PixelCNN of binarised MNIST"
            ),
            Picture(
                "gated_pixelcnn_long", "completions.png", "completions",
                "Test images of which the top half is given, and completions by a gated PixelCNN",
            ),
        ),
    ),
    "iwae": Table(
        "MNIST with bits drawn anew in each epoch, the IWAE paper's network with one stochastic layer: negative "
        "log-likelihood of the test images by 5,000 importance samples, nats per image; at most 45 minutes of "
        "training; vae_2d: 500 units and two latent dimensions",
        (
            *_autoencoder("vae_k1", 86.76, "Burda et al. 2015, table 1", ("<=", 89.5)),
            *_autoencoder("iwae_k5", 85.54, "Burda et al. 2015, table 1", better_than="vae_k1"),
            *_autoencoder("vae_2d"),
        ),
        pictures=(
            Picture("vae_k1", "samples/reconstructions.png", "reconstructions", "Validation images, rebuilt by a VAE"),
            Picture("iwae_k5", "samples/samples.png", "samples", "Samples of an importance-weighted autoencoder"),
            Picture("vae_2d", "samples/manifold.png", "manifold", "A grid of two-dimensional codes, decoded by a VAE"),
        ),
    ),
    "gan": Table(
        "Fashion-MNIST: Fréchet distance of 10,000 images from the 10,000 test images, in the features of the "
        "project's own classifier (no FID), and how many of the 10 classes have at least 0.3 times the share of them "
        "that they have of the test images, which is 3 %, by the same classifier; 30 minutes of training for each "
        "model; dcgan: of the epoch whose samples are closest to the validation images, vae: of the last "
        "epoch, real: 10,000 training images",
        tuple(_gan()),
        pictures=(
            Picture("dcgan", "dcgan_samples.png", "samples", "Samples of a DCGAN of Fashion-MNIST"),
            Picture("dcgan", "dcgan_interpolation.png", "interpolation", "Between two points of a DCGAN's noise"),
            Picture("vae", "vae_samples.png", "samples", "Samples of a convolutional VAE of Fashion-MNIST"),
        ),
    ),
    "cifar10_density": Table(
        "CIFAR-10: exact negative log-likelihood of the 10,000 test images, bits per dimension (8 if all levels are "
        "equally probable); 60 minutes of training on two cores",
        (
            Row(
                "gated_pixelcnn", "bits_per_dimension", "bits",
                f"{MODEL} --model gated_pixelcnn --dataset cifar10 {RECIPES['cifar10']}",
                3.03, "van den Oord et al. 2016 (1606.05328), table 1", architecture="gated_pixelcnn",
            ),
        ),
        pictures=(
            Picture("gated_pixelcnn", "samples/samples.png", "samples", "Samples of a gated PixelCNN of CIFAR-10"),
            Picture(
                "gated_pixelcnn", "samples/completions.png", "completions",
                "Test images of CIFAR-10 of which the top half is given, and completions by a gated PixelCNN",
            ),
        ),
    ),
    "sampling_speed": Table(
        "Sampling of binary 28 x 28 images by a gated PixelCNN, 1, 16 and 64 at once: time with what it keeps between "
        "pixels, divided by that of the whole network for every pixel",
        tuple(_sampling_speed()),
    ),
}  # fmt: skip

BINARY = "binarised MNIST, nats per image"
HEADLINES = {
    "pixelcnn": Headline("binarized_mnist", "pixelcnn", "nats_per_image", BINARY),
    "gated_pixelcnn": Headline("binarized_mnist", "gated_pixelcnn", "nats_per_image", BINARY),
    "pixelrnn": Headline("binarized_mnist", "diagonal_bilstm", "nats_per_image", BINARY),
    "vae": Headline("iwae", "vae_k1", "nats_per_image", "MNIST, resampled bits, nats per image"),
    "dcgan": Headline("gan", "dcgan", "frechet_classifier", "Fashion-MNIST, Fréchet distance of classifier features"),
}
