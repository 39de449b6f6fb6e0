"""Images and their labels: TFDS sets, the embedded digits, a folder of one's own; pre-processing, augmentation."""

import dataclasses

import numpy as np

from keras_dl.arguments import OneOf, Seed, Text, Whole, YesOrNo, checked
from keras_dl.data import folders, image_sets
from keras_dl.data.examples import Info, Splits, counts
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
    """Random shift by up to `pad` pixels (pad, then crop at a random place), and mirroring, on raw batches.

    What happens to an example is a function of (seed, epoch, example) alone, and the same for all of its features that
    are moved: an image and its mask stay on each other.

    Attributes:
        pad: pixels.
        flip: is a half of the examples mirrored?
        fill: {feature that is moved: what comes in from outside, by channel}: grey levels, or a mask's class. The
            features (B, h, w, C) are of one height and width.
    """

    pad: int
    flip: bool = False
    fill: dict = dataclasses.field(default_factory=lambda: {"image": (0,)})

    def draw(self, seed, epoch, size):
        """(size, 3) int32: rows and columns of shift in [0, 2 pad], mirrored or not, of every example."""
        rng = np.random.default_rng((seed, epoch, 1))  # the order's generator is (seed, epoch)
        shifts = rng.integers(0, 2 * self.pad + 1, (size, 2))
        mirrored = rng.integers(0, 2, (size, 1)) if self.flip else np.zeros((size, 1), np.int64)
        return np.concatenate([shifts, mirrored], 1).astype(np.int32)

    def __call__(self, raw, draws):
        """A raw batch {feature: (B, ...)} and its (B, 3) draws -> the raw batch with the features of `fill` moved."""
        return raw | {name: self._moved(raw[name], fill, draws) for name, fill in self.fill.items()}

    def _moved(self, images, fill, draws):
        """(B, h, w, C) -> the same shape, as one gather."""
        height, width, channels = images.shape[1:]
        pad = self.pad
        room = [[0, 0], [pad, pad], [pad, pad], [0, 0]]
        padded = tf.pad(images, room)
        if any(fill):
            outside = 1 - tf.pad(tf.ones([1, height, width, 1], images.dtype), room)
            padded += outside * tf.constant(fill, images.dtype)
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
    kind = info.details["augment"] if kind == "auto" else kind
    if kind == "none":
        return None
    if kind.endswith("flip") and not info.details["flip"]:
        raise UserError(f"--augment: a mirrored example of {info.name} is no example; got {kind!r}. Nearest: crop.")
    height, width, channels = info.features["image"]["shape"]
    fill = tuple(round(m) for m in preprocess.mean) if channels == 3 else (0,)
    return Augment(max(1, min(height, width) // (14 if kind == "shift" else 8)), kind.endswith("flip"), {"image": fill})


def with_labels(preprocess):
    """The collate of data.batches for images with labels: x is what `preprocess` makes of "image", y is "label"."""
    return lambda raw: (preprocess(raw["image"]), raw["label"])


def balanced(labels, num_classes):
    """(K,) weights under which every class counts the same; their mean over the examples is 1."""
    counts = np.bincount(labels, minlength=num_classes)
    return (len(labels) / (num_classes * np.maximum(counts, 1))).astype(np.float32)


@checked(who="images.load")
def load(
    name: Text,
    seed: Seed = 0,
    *,
    image_size: Whole(8, folders.LARGEST) = 64,
    fit: OneOf(*FITS) = "crop",
    skip_unreadable: YesOrNo = False,
):
    """Load images with their labels: Splits of {"image": uint8 (N, h, w, C), "label": int32 (N,)}.

    Args:
        name: "digits" (embedded), "mnist", "fashion_mnist", "cifar10", or a folder with one sub-folder a class.
        seed: of the validation part.
        image_size: pixels a side to which a folder's pictures are resized.
        fit: "crop", "pad" or "stretch": how a picture that is not square becomes so (Preprocess). As photographers do,
            the middle is kept unless asked otherwise; what is always at the edge wants "pad".
        skip_unreadable: leave out a folder's unreadable files instead of refusing them.

    Returns:
        Splits, whose info says of "image" the raw "shape" (h, w, C), of "label" the "classes", and in its details
        "flip", whether a mirrored example is one of the same class, and "augment", what the set's published recipes do.

    Raises:
        UserError: no such set or folder, a file that cannot be read, or an argument that does not fit its annotation.
    """
    notes = ()
    if name in image_sets.SETS:
        train, test, classes = image_sets.load(name)
        train, validation = folders.hold_out(train, seed, min(VALIDATION, VALIDATION_MOST / len(train)))
        splits = {"train": train, "validation": validation, "test": test}
        known = image_sets.SETS[name]
        input_shape, flip, augment, source = known.input_shape, known.flip, known.augment, known.source
    else:
        blank = Preprocess((image_size, image_size, 3), (0.0,), (1.0,), 0.0, fit)
        splits, name, classes, notes = folders.load(name, seed, image_size, blank, skip_unreadable)
        input_shape, flip, augment, source = None, True, "crop", f"folder {name}"
    shape = tuple(splits["train"].features["image"].shape[1:])
    features = {"image": {"shape": shape}, "label": {"classes": tuple(classes)}}
    info = Info(name, source, features, counts(splits), {"flip": flip, "augment": augment})
    preprocess = Preprocess.of(splits["train"].features["image"], input_shape or shape, fit)
    return Splits(**splits, info=info, preprocess=preprocess, notes=notes)
