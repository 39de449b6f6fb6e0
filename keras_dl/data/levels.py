"""Images for models of the images themselves: every pixel is one of 2 or of 256 levels, and labels are optional.

Binarisation, for 2 levels: "threshold" at grey level 128; or a pixel is 1 with probability grey / 255, drawn once
("fixed", Salakhutdinov and Murray 2008) or anew in each epoch for training ("resampled", Burda et al. 2015, section 5).
"""

import dataclasses
import functools
import math

import numpy as np

from keras_dl.arguments import AUTO, OneOf, OrAuto, Seed, Text, Whole, YesOrNo, checked
from keras_dl.data import folders, image_sets, images
from keras_dl.data.examples import OWN, PARTS, Examples, Info, Splits, counts, some
from keras_dl.features.levels import GREY_LEVELS, Levels
from keras_dl.features.resizing import FITS
from keras_dl.imports import quiet_tensorflow
from keras_dl.waiting import waiting

with quiet_tensorflow():
    import tensorflow as tf

OF_FOLDERS = ("fit", "skip_unreadable")  # settings of an app that only a folder's pictures need
BINARIZATIONS = ("threshold", "fixed", "resampled")
WHITE = 255
ROWS = 1024  # images that are resized at once
NEARLY = 64  # grey levels from black, and from white, that are nearly black and nearly white
GREY = 0.2  # share of the pixels that are neither, up to which pictures are black and white
PLACES = 64  # pixels of all images that are counted at once


@waiting("loading the pictures ...")
@checked(who="levels.load")
def load(
    name: Text,
    seed: Seed = 0,
    *,
    levels: OrAuto(OneOf(2, GREY_LEVELS)) | None = 2,
    binarization: OneOf(*BINARIZATIONS) = "threshold",
    image_size: OrAuto(Whole(4, folders.LARGEST)) | None = AUTO,
    auto_most: Whole(16, folders.LARGEST) = folders.USUAL[1],
    fit: OneOf(*FITS) = "crop",
    skip_unreadable: YesOrNo = False,
    by_class: YesOrNo = True,
):
    """Load images: Splits of {"image": uint8 (N, H, W, C), "label": int32 (N,)}, already of the model's size.

    Args:
        name: "digits" (embedded), "mnist", "fashion_mnist", "cifar10", "binarized_mnist", or a folder of pictures, with
            one sub-folder per class or with none.
        seed: draws the splits that are not there, and the bits.
        levels: 2 or 256; "auto": by the training pictures (usual_levels), or 2 with a binarization other than
            "threshold", which is of 2 levels; None: 2 for a set, and "auto" for a folder.
        binarization: "threshold", "fixed" or "resampled"; of no effect on 256 levels and on "binarized_mnist".
        image_size: side in pixels to which the pictures are resized; "auto" or None: the published one, and for a
            folder that of most of its pictures, at most `auto_most` (folders.usual_size).
        auto_most: the largest side in pixels that "auto" gives a folder's pictures.
        fit: "crop", "pad" or "stretch": how a picture becomes square.
        skip_unreadable: leave out a folder's unreadable files instead of refusing them.
        by_class: whether every class of a folder must be in every split, as a model of each class needs it. If not,
            what a folder's splits lack is drawn whatever the classes are, of which some may have a single picture.

    Returns:
        Splits, with a features.levels.Levels as `preprocess`. Under info.features they have the "shape" (H, W, C) of
        "image" and the "classes" of "label", a single one for pictures without labels; under info.details "levels",
        "binarization" (None for 256 levels), "flip" (whether a mirrored example keeps its class), "original_sizes" and,
        if the test split differs from the others, "test_split", a sentence. Bits that were drawn are 0 and 255; of
        "resampled", those of training are drawn by `augmentation`.

    Raises:
        UserError: no such set or folder, a file that cannot be read, or an argument that does not fit its annotation.
    """
    size = None if image_size == AUTO else image_size
    known, notes, warnings, details = image_sets.SETS.get(name), (), (), {}
    if known:
        splits, classes = images.published(name, seed)
        height, width = splits["train"].features["image"].shape[1:3]
        details["original_sizes"] = images.original_sizes(np.array([[height, width]]))
        shape = (*((size, size) if size else known.input_shape[:2]), known.input_shape[2])
        splits = {part: _resized(examples, Levels(shape, fit=fit)) for part, examples in splits.items()}
        details |= {"test_split": known.test_split} if known.test_split else {}
        flip, source, licence = known.flip, known.source, known.licence
    else:
        blank = functools.partial(Levels, fit=fit)
        splits, name, classes, notes, warnings, sizes = folders.load(
            name, seed, size, blank, skip_unreadable, labelled=False, most=auto_most, by_class=by_class
        )
        details["original_sizes"] = images.original_sizes(sizes)
        flip, source, licence = True, f"folder {name}", OWN
    levels = (2 if known else AUTO) if levels is None else levels
    if levels == AUTO:
        levels = usual_levels(splits["train"].features["image"]) if binarization == "threshold" else 2
    binarization = None if levels > 2 else "fixed" if known and known.binary else binarization
    drawn = [] if known and known.binary else {"fixed": PARTS, "resampled": PARTS[1:]}.get(binarization, [])
    for part in drawn:
        splits[part] = _binarised(splits[part], np.random.default_rng((seed, PARTS.index(part), 2)))
    pixels = splits["train"].features["image"]
    shape = tuple(pixels.shape[1:])
    features = {"image": {"shape": shape}, "label": {"classes": tuple(classes)}}
    details |= {"levels": levels, "binarization": binarization, "flip": flip}
    info = Info(name, source, features, counts(splits), details, licence)
    preprocess = Levels(shape, levels, fit, _border(pixels))
    facts = PixelFacts(compared=known is None)
    return Splits(**splits, info=info, preprocess=preprocess, notes=notes, warnings=warnings, facts=facts)


def usual_levels(images):
    """2 for images uint8 (N, H, W, C) that are nearly black and white, else 256.

    They are if at most GREY of their pixels (of up to ROWS images) are neither nearly black nor nearly white: all of
    whose channels are below 64, or at least 192. Measured: 5 % of MNIST, 12 % of it resized to 16 x 16 pixels, 22 %
    of Fashion-MNIST, 75 % of CIFAR-10.
    """
    some_of = images[some(len(images), ROWS, 0)]
    extreme = (some_of < NEARLY).all(-1) | (some_of >= WHITE + 1 - NEARLY).all(-1)
    return 2 if 1 - extreme.mean() <= GREY else GREY_LEVELS


@checked(who="levels.augmentation")
def augmentation(info):
    """The `augment` of data.batches for the training split: Resampled if its bits are drawn anew in each epoch.

    Args:
        info: Info of Splits from `load`.

    Returns:
        A Resampled, or None.
    """
    return Resampled(info.features["image"]["shape"]) if info.details["binarization"] == "resampled" else None


@dataclasses.dataclass(frozen=True)
class Resampled:
    """Bits of grey images, drawn anew in each epoch: a pixel becomes 255 with probability grey / 255, else 0.

    What is drawn for an example depends on (seed, epoch, example) alone.

    Attributes:
        shape: (H, W, C) of the images.
    """

    shape: tuple

    def draw(self, seed, epoch, size):
        """(size, H W C) uint8: a number from 0 to 254 for each pixel, all equally probable."""
        rng = np.random.default_rng((seed, epoch, 1))  # plans shuffle with (seed, epoch): another stream
        return rng.integers(0, WHITE, (size, math.prod(self.shape)), np.uint8)

    def __call__(self, raw, draws):
        """A raw batch whose "image" (B, H, W, C) is 255 where the number drawn is below its grey level, else 0."""
        ones = tf.reshape(draws, [-1, *self.shape]) < raw["image"]
        return raw | {"image": tf.cast(ones, tf.uint8) * WHITE}


def pixel_means(splits):
    """The mean of each value of the training pictures, on a scale from 0 to 1: H * W * C floats.

    Args:
        splits: Splits from `load`.
    """
    images, preprocess, total = splits.train.features["image"], splits.preprocess, 0.0
    if splits.info.details["binarization"] == "resampled":  # their grey levels are probabilities
        return tuple((images.mean(0) / WHITE).ravel().tolist())
    for start in range(0, len(images), ROWS):
        total += preprocess.unit(preprocess(images[start : start + ROWS])).numpy().sum(0, dtype=np.float64)
    return tuple((total / len(images)).ravel().tolist())


def levels_only(preprocess):
    """The `collate` of data.batches for models of images alone: x = levels float32 (B, H, W, C), y = x."""

    def collate(raw):
        levels = preprocess(raw["image"])
        return levels, levels

    return collate


def levels_and_labels(preprocess):
    """The `collate` for models of images of a class: x = {"image": levels (B, H, W, C), "label": (B,)}, y = levels."""

    def collate(raw):
        levels = preprocess(raw["image"])
        return {"image": levels, "label": raw["label"]}, levels

    return collate


@dataclasses.dataclass(frozen=True)
class PixelFacts(images.Pictures):
    """The facts of pictures that are modelled themselves: the figure to beat is that of independent pixels.

    Attributes:
        compared: as in Facts.
        density: whether the model has a likelihood, to which that figure can be compared.
    """

    density: bool = True

    accuracy = False  # a likelihood is a mean, whatever the labels say

    def classes(self, splits):
        """{class name: {split: number of its examples}}; {} if there is one class only."""
        return super().classes(splits) if splits.info.num_classes > 1 else {}

    def baseline(self, splits):
        """The validation split's likelihood if pixels were independent of each other, with the training frequencies.

        "nats_per_image" for 2 levels, "bits_per_dimension" for more. Every channel of every pixel has frequencies of
        its own; a level counts once more than it occurs (Laplace's rule), so that none has probability 0. The figure of
        a model that holds all images for equally probable stands beside it, in "what". {} without a likelihood.
        """
        if not self.density:
            return {}
        train, validation = (part.features["image"] for part in (splits.train, splits.validation))
        dimensions = math.prod(train.shape[1:])
        frequencies = "every pixel by itself, with its frequencies in the training split"
        if splits.info.details["levels"] == 2:
            nats, uniform = _independent_bits(splits, train, validation), dimensions * math.log(2)
            return {"metric": "nats_per_image", "value": nats, "what": f"{frequencies}; {uniform:.4f} if all are equal"}
        bits = _independent_levels(train, validation) / (dimensions * math.log(2))
        uniform = math.log2(GREY_LEVELS)
        return {"metric": "bits_per_dimension", "value": bits, "what": f"{frequencies}; {uniform:.4f} if all are equal"}


def _independent_bits(splits, train, validation):
    """Nats per image of bits that are independent, each 1 with its frequency in the training split."""
    if splits.info.details["binarization"] == "resampled":  # these are grey: their levels are the probabilities
        ones = train.sum(0, dtype=np.int64) / WHITE
    else:
        ones = np.count_nonzero(train > WHITE // 2, 0)
    frequency = (ones + 1) / (len(train) + 2)
    wanted = (validation > WHITE // 2).mean(0)
    return float(-(wanted * np.log(frequency) + (1 - wanted) * np.log1p(-frequency)).sum())


def _independent_levels(train, validation):
    """Nats per image of grey levels that are independent, each with its frequency at its place in training."""
    train, validation = (pixels.reshape(len(pixels), -1) for pixels in (train, validation))
    nats = 0.0
    for start in range(0, train.shape[1], PLACES):
        some = (np.ascontiguousarray(pixels[:, start : start + PLACES].T) for pixels in (train, validation))
        for seen, wanted in zip(*some, strict=True):
            frequency = (np.bincount(seen, minlength=GREY_LEVELS) + 1) / (len(train) + GREY_LEVELS)
            nats -= np.log(frequency)[wanted].mean()
    return float(nats)


def _resized(examples, preprocess):
    """The Examples with "image" uint8 (N, H, W, C) of the size of `preprocess`."""
    pixels = examples.features["image"]
    if pixels.shape[1:3] != preprocess.input_shape[:2]:
        rows = [pixels[start : start + ROWS] for start in range(0, len(pixels), ROWS)]
        pixels = np.concatenate([preprocess.resize(some).numpy().astype(np.uint8) for some in rows])
    return Examples(examples.features | {"image": pixels})


def _binarised(examples, rng):
    """The Examples with each pixel 255 with probability grey / 255, else 0, drawn once."""
    pixels = examples.features["image"]
    bits = np.empty(pixels.shape, np.uint8)
    for start in range(0, len(pixels), ROWS):
        rows = pixels[start : start + ROWS]
        bits[start : start + ROWS] = (rng.integers(0, WHITE, rows.shape, np.uint8) < rows) * np.uint8(WHITE)
    return Examples(examples.features | {"image": bits})


def _border(pixels):
    """Mean grey level of the outermost pixels of images (N, H, W, C)."""
    sides = (pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1])
    return float(np.mean([side.mean() for side in sides]))
