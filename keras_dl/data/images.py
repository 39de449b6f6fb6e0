"""Images and their labels: TFDS sets, the embedded digits, a folder of one's own; pre-processing, augmentation."""

import dataclasses

import numpy as np

from keras_dl.arguments import OneOf, Seed, Text, Whole, YesOrNo, checked
from keras_dl.data import Splits, folders, tfds_sets
from keras_dl.errors import UserError
from keras_dl.features.image import FITS, Preprocess
from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf

VALIDATION = 0.1  # of the training split, and at most
VALIDATION_MOST = 5_000
AUGMENTATIONS = ("none", "shift", "crop", "crop_flip")


@dataclasses.dataclass(frozen=True)
class Augment:
    """Random shift by up to `pad` pixels (pad, then crop at a random place), and mirroring, on raw uint8 batches.

    What happens to an example is a function of (seed, epoch, example) alone.
    """

    pad: int
    flip: bool = False
    fill: tuple = (0,)  # grey level that comes in from outside, by channel

    def draw(self, seed, epoch, size):
        """(size, 3) int32: rows and columns of shift in [0, 2 pad], mirrored or not, of every example."""
        rng = np.random.default_rng((seed, epoch, 1))  # the order's generator is (seed, epoch)
        shifts = rng.integers(0, 2 * self.pad + 1, (size, 2))
        mirrored = rng.integers(0, 2, (size, 1)) if self.flip else np.zeros((size, 1), np.int64)
        return np.concatenate([shifts, mirrored], 1).astype(np.int32)

    def __call__(self, images, draws):
        """uint8 (B, h, w, C) and their (B, 3) draws -> uint8 (B, h, w, C), as one gather."""
        height, width, channels = images.shape[1:]
        pad, fill = self.pad, tf.constant(self.fill, tf.uint8)
        room = [[0, 0], [pad, pad], [pad, pad], [0, 0]]
        padded = tf.pad(images, room)
        if any(self.fill):
            outside = 1 - tf.pad(tf.ones([1, height, width, 1], tf.uint8), room)
            padded += outside * fill
        columns = tf.range(width)[None]
        rows = draws[:, 0:1] + tf.range(height)[None]  # (B, h)
        columns = draws[:, 1:2] + tf.where(draws[:, 2:3] == 1, width - 1 - columns, columns)  # (B, w)
        batch = tf.range(tf.shape(images)[0])[:, None, None]
        at = (batch * (height + 2 * pad) + rows[:, :, None]) * (width + 2 * pad) + columns[:, None, :]
        return tf.gather(tf.reshape(padded, [-1, channels]), at)


@checked(who="images.augmentation")
def augmentation(kind: OneOf("auto", *AUGMENTATIONS), info, preprocess):
    """The Augment of that name for this data set; None for "none".

    Args:
        kind: "auto" (what the data set's published recipes do), "none", "shift" (a 14th of the side), "crop" (an
            8th: 4 of 32 pixels, as He et al. 2015, section 4.2), or "crop_flip".

    Raises:
        UserError: mirroring makes another class of an example.
    """
    kind = info.augment if kind == "auto" else kind
    if kind == "none":
        return None
    if kind.endswith("flip") and not info.flip:
        raise UserError(f"--augment: a mirrored example of {info.name} is no example; got {kind!r}. Nearest: crop.")
    side = min(info.raw_shape[:2])
    colour = info.raw_shape[2] == 3
    fill = tuple(round(m) for m in preprocess.mean) if colour else (0,)
    return Augment(max(1, side // (14 if kind == "shift" else 8)), kind.endswith("flip"), fill)


def balanced(labels, num_classes):
    """(K,) weights under which every class counts the same; their mean over the examples is 1."""
    counts = np.bincount(labels, minlength=num_classes)
    return (len(labels) / (num_classes * np.maximum(counts, 1))).astype(np.float32)


@checked(who="data.load")
def load(
    name: Text,
    seed: Seed,
    *,
    image_size: Whole(8, folders.LARGEST) = 64,
    fit: OneOf(*FITS) = "crop",
    skip_unreadable: YesOrNo = False,
):
    """data.load for images: raw uint8 images and int32 labels.

    Args:
        name: "digits" (embedded), "mnist", "fashion_mnist", "cifar10", or a folder with one sub-folder a class.
        seed: of the validation part.
        image_size: pixels a side to which a folder's pictures are resized.
        fit: "crop", "pad" or "stretch": how a picture that is not square becomes so (Preprocess). As photographers do,
            the middle is kept unless asked otherwise; what is always at the edge wants "pad".
        skip_unreadable: leave out a folder's unreadable files instead of refusing them.

    Raises:
        UserError: no such set or folder, a file that cannot be read, or an argument that does not fit its annotation.
    """
    notes = ()
    if name in tfds_sets.SETS:
        train, test, info = tfds_sets.load(name)
        train, validation = hold_out(train, seed, min(VALIDATION, VALIDATION_MOST / len(train)))
    else:
        train, validation, test, info, notes = folders.load(name, seed, image_size, fit, skip_unreadable)
    preprocess = Preprocess.of(train.features["image"], info.input_shape, fit)
    return Splits(train, validation, test, info, preprocess, notes)


def hold_out(examples, seed, share):
    """Split off a seeded `share` of every class, at least one example of each: (the rest, the part)."""
    labels = examples.features["label"]
    rng = np.random.default_rng(seed)
    held = []
    for label in np.unique(labels):
        of_class = rng.permutation(np.flatnonzero(labels == label))
        held.append(of_class[: max(1, round(share * len(of_class)))])
    held = np.sort(np.concatenate(held))
    rest = np.setdiff1d(np.arange(len(labels)), held)
    return examples.take(rest), examples.take(held)
