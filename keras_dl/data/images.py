"""Images with labels: TFDS sets, the embedded digits or the user's own folder; pre-processing and augmentation."""

import dataclasses
import functools

import numpy as np

from keras_dl.arguments import AUTO, OneOf, OrAuto, Seed, Text, Whole, YesOrNo, checked
from keras_dl.data import folders, image_sets
from keras_dl.data.examples import OWN, Info, Splits, counts
from keras_dl.data.facts import Facts
from keras_dl.errors import UserError
from keras_dl.features.image import Preprocess
from keras_dl.features.resizing import FITS
from keras_dl.imports import quiet_tensorflow
from keras_dl.waiting import waiting

with quiet_tensorflow():
    import tensorflow as tf

VALIDATION = 0.1  # share of the training split
VALIDATION_MOST = 5_000  # examples
SIZES = ("smallest", "median", "largest")
AUGMENTATIONS = ("none", "shift", "crop", "crop_flip")


@dataclasses.dataclass(frozen=True)
class Augment:
    """Random shifts by up to `pad` pixels (pad, then crop at a random place) and random mirroring, on raw batches.

    What happens to an example depends on (seed, epoch, example) alone. All features in `fill` are moved alike, so an
    image and its mask stay aligned.

    Attributes:
        pad: the largest shift, in pixels.
        flip: whether half of the examples are mirrored.
        fill: {feature to move: the value of the padding in each channel}: grey levels, or the class of a mask. These
            features (B, h, w, C) must have the same height and width.
    """

    pad: int
    flip: bool = False
    fill: dict = dataclasses.field(default_factory=lambda: {"image": (0,)})

    def draw(self, seed, epoch, size):
        """(size, 3) int32 for `size` examples: vertical and horizontal offset in [0, 2 pad], and 1 to mirror."""
        rng = np.random.default_rng((seed, epoch, 1))  # plans shuffle with (seed, epoch): another stream
        shifts = rng.integers(0, 2 * self.pad + 1, (size, 2))
        mirrored = rng.integers(0, 2, (size, 1)) if self.flip else np.zeros((size, 1), np.int64)
        return np.concatenate([shifts, mirrored], 1).astype(np.int32)

    def __call__(self, raw, draws):
        """Move the features in `fill` of a raw batch {feature: (B, ...)}, as its draws (B, 3) say."""
        return raw | {name: self._moved(raw[name], fill, draws) for name, fill in self.fill.items()}

    def _moved(self, images, fill, draws):
        """Pad, crop and mirror (B, h, w, C) -> the same shape, in one gather."""
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
        kind: "auto" (what published recipes for the data set do), "none", "shift" (by up to 1/14 of the shorter side),
            "crop" (1/8: 4 of 32 pixels, as He et al. 2015, section 4.2), or "crop_flip" (and mirroring).
        info: Info of the data set.
        preprocess: features.image.Preprocess; its mean is the padding of colour images.

    Raises:
        UserError: mirroring would change the class of an example.
    """
    kind = info.details["augment"] if kind == "auto" else kind
    if kind == "none":
        return None
    if kind.endswith("flip") and not info.details["flip"]:
        raise UserError(f"--augment: mirroring changes classes of {info.name}; got {kind!r}. Nearest: crop.")
    height, width, channels = info.features["image"]["shape"]
    fill = tuple(round(m) for m in preprocess.mean) if channels == 3 else (0,)
    return Augment(max(1, min(height, width) // (14 if kind == "shift" else 8)), kind.endswith("flip"), {"image": fill})


def with_labels(preprocess):
    """The `collate` of data.batches for images with labels: x is the pre-processed "image", y is "label"."""
    return lambda raw: (preprocess(raw["image"]), raw["label"])


def balanced(labels, num_classes):
    """Class weights (K,) with which every class has the same total weight; their mean over the examples is 1."""
    counts = np.bincount(labels, minlength=num_classes)
    return (len(labels) / (num_classes * np.maximum(counts, 1))).astype(np.float32)


def published(name, seed):
    """(The splits of one of image_sets.SETS, {split: Examples}; class names).

    Without a published validation split, it is drawn from the training split with the seed: VALIDATION of every class,
    at most VALIDATION_MOST examples.
    """
    splits, classes = image_sets.load(name)
    if "validation" not in splits:
        share = min(VALIDATION, VALIDATION_MOST / len(splits["train"]))
        splits["train"], splits["validation"] = folders.hold_out(splits["train"], seed, share)
    return splits, classes


@waiting("loading the pictures ...")
@checked(who="images.load")
def load(
    name: Text,
    seed: Seed = 0,
    *,
    image_size: OrAuto(Whole(8, folders.LARGEST)) | None = 64,
    fit: OneOf(*FITS) = "crop",
    skip_unreadable: YesOrNo = False,
):
    """Load images with their labels: Splits of {"image": uint8 (N, h, w, C), "label": int32 (N,)}.

    Args:
        name: "digits" (embedded), "mnist", "fashion_mnist", "cifar10", or a folder with one sub-folder per class.
        seed: draws the validation split (and the test split of a folder without one).
        image_size: side in pixels to which a folder's pictures are resized; "auto" or None: that of most of them, at
            most 64 (folders.usual_size).
        fit: "crop", "pad" or "stretch": how a picture becomes square (Preprocess). The default keeps the middle; use
            "pad" if what matters may be at the edge.
        skip_unreadable: leave out a folder's unreadable files instead of refusing them.

    Returns:
        Splits. Their info has, under features, the raw "shape" (h, w, C) of "image" and the "classes" of "label"; under
        details, "flip" (whether a mirrored example keeps its class) and "augment" (what published recipes do); for a
        folder "original_sizes"; if the test split differs from the others, "test_split", a sentence.

    Raises:
        UserError: no such set or folder, a file that cannot be read, or an argument that does not fit its annotation.
    """
    notes, warnings, details = (), (), {}
    if name in image_sets.SETS:
        known = image_sets.SETS[name]
        if not known.labelled:
            raise UserError(f"{folders.WHO}: {name} has no labels; {folders.taken_without_labels()}.")
        splits, classes = published(name, seed)
        input_shape, flip, augment, source = known.input_shape, known.flip, known.augment, known.source
        details = {"test_split": known.test_split} if known.test_split else {}
        licence = known.licence
    else:
        blank = functools.partial(Preprocess, mean=(0.0,), std=(1.0,), border=0.0, fit=fit)
        image_size = None if image_size == AUTO else image_size
        splits, name, classes, notes, warnings, sizes = folders.load(name, seed, image_size, blank, skip_unreadable)
        input_shape, flip, augment, source = None, True, "crop", f"folder {name}"
        details = {"original_sizes": original_sizes(sizes)}
        licence = OWN
    shape = tuple(splits["train"].features["image"].shape[1:])
    features = {"image": {"shape": shape}, "label": {"classes": tuple(classes)}}
    details = {"flip": flip, "augment": augment, **details}
    info = Info(name, source, features, counts(splits), details, licence)
    preprocess = Preprocess.of(splits["train"].features["image"], input_shape or shape, fit)
    facts = Pictures(compared="original_sizes" in details)
    return Splits(**splits, info=info, preprocess=preprocess, notes=notes, warnings=warnings, facts=facts)


@dataclasses.dataclass(frozen=True)
class Pictures(Facts):
    """The facts of pictures with labels.

    Attributes:
        compared: as in Facts; the loader of a folder names the files.
    """

    compared: bool = False
    unit = "pictures"

    def sizes(self, splits):
        """Height and width as the pictures came; all are equal if the loader did not have to resize them."""
        height, width = splits.info.features["image"]["shape"][:2]
        known = splits.info.details.get("original_sizes", dict.fromkeys(SIZES, f"{height} x {width}"))
        return {"what": "original height x width in pixels", **known}

    def warnings(self, splits):
        about_test = splits.info.details.get("test_split")
        return [*super().warnings(splits), *([about_test] if about_test else [])]


def original_sizes(sizes):
    """{"smallest", "median", "largest": "height x width"}, by area, of (N, 2); each is the size of a picture."""
    ordered = sizes[np.argsort(sizes.prod(1), kind="stable")]
    at = (0, (len(ordered) - 1) // 2, -1)
    return {name: "{} x {}".format(*ordered[i]) for name, i in zip(SIZES, at, strict=True)}
