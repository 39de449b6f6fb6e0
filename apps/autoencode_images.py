"""Train a variational autoencoder of images: codes, reconstructions, samples; and export it as a SavedModel.

    python apps/autoencode_images.py                                        # binary digits, codes of 20 numbers
    python apps/autoencode_images.py --set latent_dim=2                     # codes that are a place on a map
    python apps/autoencode_images.py --set "filters=(16, 32, 32)" --set "units=(450,)" --set activation=elu
    python apps/autoencode_images.py --dataset mnist --binarization resampled --set latent_dim=50 \\
        --set "units=(200, 200)" --set samples=5                            # an importance-weighted autoencoder
    python apps/autoencode_images.py --dataset path/to/my/images --image-size 32 --levels 256

An encoder gives each image a normal distribution of codes, a decoder gives each code a distribution of images. Loss:
the negative evidence lower bound in nats per image, summed over pixels and over the code's units; with samples=k the
importance-weighted bound. Measure: -log p(x) by importance sampling, in nats per image for 2 levels, in bits per
dimension (nats / (values * log 2)) for 256. It is an upper bound, the closer the more samples: --bound-samples after
each epoch on the validation split, --importance-samples in the end on the test split.
Recipes: Kingma and Welling 2013 (arXiv:1312.6114); Burda et al. 2015 (arXiv:1509.00519).
"""

import dataclasses
import math
from typing import Annotated, Literal

import numpy as np

import keras_dl as dl
from keras_dl import command_line, commands, data, machine, models, own_data, runs, settings
from keras_dl.arguments import AUTO, OneOf, OrAuto, Whole
from keras_dl.features import grids
from keras_dl.features.image import Image, write_png
from keras_dl.waiting import waiting
from keras_dl.wording import counted

APP = "autoencode_images"

DRAWN, SHOWN, COLUMNS = 64, 40, 10  # pictures that are sampled; reconstructed, and in a row
WAYS, SIDE = 8, 15  # pairs between which is interpolated; pictures on a side of the manifold
MEASURES = {2: "nats_per_image", 256: "bits_per_dimension"}


@dataclasses.dataclass(frozen=True)
class Config(settings.Training):
    """Train a variational autoencoder of images, and export it as a SavedModel."""

    model: Literal["vae"] = "vae"  # architecture
    # digits, mnist, fashion_mnist, cifar10, binarized_mnist, or a folder of pictures, with sub-folders for classes
    dataset: str = "digits"
    # values of a channel: 2 or 256; own data: auto, 2 if nearly all pixels are black or white
    levels: Annotated[int | Literal["auto"], OrAuto(OneOf(2, 256))] = 2
    # 2 levels: how grey becomes black or white: at 128, drawn once, or for training drawn anew in each epoch
    binarization: Literal["threshold", "fixed", "resampled"] = "threshold"
    # pixels: height and width to which pictures are resized; auto: the published ones, a folder's at most 64
    image_size: Annotated[int | Literal["auto"], OrAuto(Whole(4, 256))] = "auto"
    fit: Literal["crop", "pad", "stretch"] = "crop"  # of pictures that are not square: cut, add black bars, or distort
    skip_unreadable: bool = False  # leave out a folder's unreadable files
    # codes a picture for the bound on the validation split after each epoch; 0: only the loss is monitored
    bound_samples: Annotated[int, Whole(0, 100_000)] = 50
    importance_samples: Annotated[int, Whole(1, 1_000_000)] = 5000  # codes a picture for the test split's likelihood
    trials: settings.CountOrZeroOrAuto = 0  # number of trials of the search; 0: no search; own data: auto
    trial_epochs: settings.Count = 20  # epochs of each trial
    epochs: settings.CountOrAuto = 150  # epochs of the final training; own data: auto, from the number of pictures
    batch_size: settings.CountOrAuto = 100  # pictures per step; own data: auto
    optimizer: settings.OptimizerFlags = settings.Optimizer(learning_rate=1e-3, schedule="onecycle")


def main(argv=None):
    """Run the task; return the test metrics as {name: float}."""
    config = command_line.parse(
        Config, argv, app=APP, free_arguments=models.free_arguments, left_open=own_data.SETTINGS
    )
    settings.check(config.dataset, "--dataset: must be a name or a folder; got nothing.")
    if (finished := runs.finished(config, APP)) is not None:
        return finished
    config = dl.initializing.adopted(config, APP, models.free_arguments)
    hardware = machine.prepare(config)  # before TensorFlow's first operation

    splits = data.levels.load(
        config.dataset,
        config.seed,
        levels=config.levels,
        binarization=config.binarization,
        image_size=config.image_size or AUTO,
        fit=config.fit,
        skip_unreadable=config.skip_unreadable,
        by_class=False,
    )
    settings.check_effect(config, data.levels.OF_FOLDERS, splits.info.own, "a folder as --dataset")
    splits = splits.few(64 if config.smoke else None, config.seed)
    config = own_data.fitted(config, hardware, splits, own_data.AUTOENCODERS)
    info, preprocess = splits.info, splits.preprocess
    binarised = info.details["binarization"]  # None for 256 levels; binarized_mnist has its own
    needed = "a --dataset of grey pictures" if binarised else "--levels 2"
    settings.check_effect(config, ["binarization"], config.binarization == binarised, needed)
    collate = data.levels.levels_only(preprocess)
    train = data.batches(
        splits.train,
        config.batch_size,
        collate=collate,
        seed=config.seed,
        shuffle=True,
        augment=data.levels.augmentation(info),
    )
    validation, test = (data.batches(part, 100, collate=collate) for part in (splits.validation, splits.test))

    build, space = getattr(models, f"build_{config.model}"), getattr(models, f"{config.model}_space")
    arguments = dl.hyperparameters.Arguments(config, space, models.free_arguments(config.model))
    means = data.levels.pixel_means(splits)

    def compiled(hp):
        model = build(preprocess.input_shape, levels=config.levels, pixel_means=means, **arguments(hp))
        model.compile(dl.optimizers.drawn(hp, config.optimizer, config.epochs, train.steps()))
        return model

    def endpoints_of(model):
        examples = splits.validation.features["image"]
        examples = examples[data.examples.some(len(examples), 4, config.seed)]
        return dl.export.autoencoder(model, preprocess, info.details["binarization"], examples)

    measure = MEASURES[config.levels]
    unit = 1 if config.levels == 2 else math.prod(preprocess.input_shape) * math.log(2)  # nats that the measure counts
    monitored = {"monitor": "val_loss"}
    if config.bound_samples:
        bound = dl.bounds.Measure(validation, config.bound_samples, f"val_{measure}", unit=unit, seed=config.seed)
        monitored = {"monitor": bound.name, "measure": bound}

    tried = dl.tuning.try_out(compiled, hardware)
    dl.export.try_out(config.formats, endpoints_of, tried)
    run = dl.course.begin(config, hardware, APP, splits, train, tried)
    best = dl.tuning.search(compiled, train, validation, run, arguments=arguments, **monitored, **config.of_search())
    model = run.build(compiled, best)
    size, examples = counted(model.count_params(), "parameters"), counted(len(splits.train), "training pictures")
    run.say(f"{model.name}: {size}; {examples}")
    pictures = Pictures(endpoints_of(model), splits.validation, preprocess, config.seed)
    callbacks = [
        dl.summaries.TensorBoard(run, train, validation, histograms=config.histograms),
        dl.summaries.Units(run, validation),
        dl.samples.Frames(run, pictures.samples, "samples", every=max(1, config.epochs // grids.MOST_FRAMES)),
        dl.samples.Frames(run, pictures.reconstructions, "reconstructions", every=None, columns=COLUMNS),
    ]
    dl.training.fit(model, train, validation, run, callbacks=callbacks, **monitored, **config.of_fit())

    model = dl.export.in_float32(model, run, compiled, best)
    endpoints = endpoints_of(model)
    nats, metrics = likelihood(model, test, config, measure, unit)  # the test split is read here, once
    meaning = endpoints["log_prob"].outputs[measure].meaning()
    meaning += f" Estimated with {config.importance_samples:,} importance samples a picture, it is an upper bound."
    run.say(f"test: {', '.join(f'{name} {value:.4f}' for name, value in metrics.items())}. {meaning}")

    pictures = Pictures(endpoints, splits.validation, preprocess, config.seed)
    codes = dl.summaries.latent.units(dl.summaries.latent.posteriors_of(model), validation)
    run.say(f"active units of the code: {int(codes['active'].sum())} of {model.latent_dim}")
    labels = [str(info.classes[label]) for label in splits.validation.features["label"]]
    dl.summaries.projector.write(run, codes["mean"], labels, pictures.originals, "codes")
    shown = {}
    for name, picture, caption in pictures.all(codes):
        write_png(picture, run.samples / f"{name}.png")
        shown[run.samples / f"{name}.png"] = caption
    files = Image(preprocess).write_all(
        list(pictures.originals[data.examples.some(len(labels), 2, config.seed)]), run.samples / "validation.png"
    )
    values = 1 if config.levels == 2 else math.prod(preprocess.input_shape)
    return dl.course.end(
        run,
        __file__,
        config,
        model,
        splits,
        metrics=metrics,
        sections=[
            dl.reports.Likelihood(
                nats, np.full(len(nats), values), parts="pictures", step="picture" if values == 1 else "dimension",
                unit="nats" if values == 1 else "bits", meaning=[meaning],
            ),
            dl.reports.Pictures(shown),
        ],
        endpoints=endpoints,
        arguments=arguments,
        best=best,
        predict=lambda folder: [
            [folder, "--endpoint", "sample", "--set", "seed=1", "--out", "sampled.png"],
            [folder, files[0], "--endpoint", "reconstruct", "--out", "reconstructed.png"],
            [folder, files[0], "--out", "code.npy"],
            [folder, files[0], "--endpoint", "log_prob"],
        ],
        other_data=commands.other_data(config.dataset, "mnist", "path/to/my/images"),
        monitor=monitored["monitor"],
    )  # fmt: skip


def likelihood(model, test, config, measure, unit):
    """(-log p(x) of every picture in nats, the test metrics: it, the bound with fewer samples, and that with one)."""
    samples = {"": config.importance_samples, "_bound": config.bound_samples, "_elbo": 1}
    codes, pictures = counted(config.importance_samples, "codes"), counted(len(test.examples), "test pictures")
    with waiting(f"drawing {codes} for each of {pictures}, to estimate how likely they are ..."):
        nats = {name: -dl.bounds.of_batches(model, test, k, config.seed) for name, k in samples.items() if k}
    return nats[""], {f"{measure}{name}": float(values.mean() / unit) for name, values in nats.items()}


class Pictures:
    """The pictures of a run, made by the endpoints of its model: uint8 (N, H, W, C)."""

    def __init__(self, endpoints, examples, preprocess, seed):
        self.ask = {name: endpoints[name].traced() for name in ("sample", "reconstruct", "decode")}
        self.most = {name: endpoints[name].limits for name in self.ask}
        self.originals = preprocess.inverse(preprocess(examples.features["image"])).numpy()
        self.labels, self.seed = examples.features["label"], seed

    def samples(self):
        return self.ask["sample"](n=min(DRAWN, self.most["sample"]["pictures"]), seed=self.seed)["image"]

    def decode(self, codes):
        """Codes (N, D) -> N pictures, in as many requests as it takes."""
        most, decode = self.most["decode"]["codes"], self.ask["decode"]
        return np.concatenate([decode(latent=codes[k : k + most])["image"] for k in range(0, len(codes), most)])

    def reconstructions(self):
        """A row of pictures of the validation split, a row of their reconstructions, and so on."""
        count = min(SHOWN // 2, self.most["reconstruct"]["pictures"])
        originals = self.originals[data.examples.some(len(self.originals), count, self.seed)]
        rebuilt = self.ask["reconstruct"](image=originals)["image"]
        return dl.summaries.latent.beside(originals, rebuilt, COLUMNS)

    def all(self, codes):
        """[(name, a grid, what it shows)] of the trained model; `codes` are summaries.latent.units of the pictures."""
        latent, size = dl.summaries.latent, codes["mean"].shape[1]
        units = np.argsort(-codes["kl"], kind="stable")[:2].tolist() if size > 2 else range(size)
        manifold = latent.manifold(self.decode, size, units, SIDE)
        across = "the two units of the code" if size == 2 else "the units of the code with the largest KL divergence"
        order = np.argsort(self.labels, kind="stable")
        order = order[:: max(1, len(order) // WAYS)][:WAYS]  # of all classes
        ways = latent.between(self.decode, codes["mean"][order], codes["mean"][np.roll(order, -3)], COLUMNS)
        return [
            ("samples", grids.grid(self.samples()), "Pictures decoded from codes that the prior gave."),
            (
                "reconstructions",
                grids.grid(self.reconstructions(), COLUMNS),
                "Pictures of the validation split, each row above that of their reconstructions.",
            ),
            (
                "manifold",
                grids.grid(manifold, SIDE, enlarge=1 if manifold.shape[1] >= 28 else None),
                f"Pictures decoded from a grid over {across}, whose lines divide the prior's mass evenly.",
            ),
            (
                "interpolation",
                grids.grid(ways, COLUMNS),
                "On the straight ways between the codes of two pictures of the validation split, one way a row.",
            ),
        ]


if __name__ == "__main__":
    command_line.run(main)
