"""Images and their labels: TFDS sets, the embedded digits, a folder of one's own; pre-processing, augmentation."""

import dataclasses

import numpy as np

from keras_dl.arguments import OneOf, Seed, Text, Whole, YesOrNo, checked
from keras_dl.data import folders, image_sets, pictures
from keras_dl.data.examples import Info, Splits, counts
from keras_dl.errors import UserError
from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf

WHITE = 255.0
VALIDATION = 0.1  # of the training split, and at most
VALIDATION_MOST = 5_000
FITS = ("crop", "pad", "stretch")
AUGMENTATIONS = ("none", "shift", "crop", "crop_flip")


@dataclasses.dataclass(frozen=True)
class Preprocess:
    """The one pre-processing, in the pipeline and inside the export: resize, then standardise per channel.

    Attributes:
        input_shape: (H, W, C) of the model's input.
        mean, std: (C,) of the training split's pixels, in grey levels 0..255.
        border: mean grey level of the training pictures' outermost pixels, 0..255.
        fit: how a picture of another shape becomes H x W: "crop" keeps its middle, "pad" keeps all of it between black
            bars, "stretch" (cards that do not say) keeps all of it and distorts it.

    Raises:
        UserError: fit is none of these.
    """

    input_shape: tuple
    mean: tuple
    std: tuple
    border: float
    fit: str = "stretch"

    def __post_init__(self):
        if self.fit not in FITS:
            raise UserError(f"data.load: fit must be {', '.join(FITS[:-1])} or {FITS[-1]}; got {self.fit!r}.")

    @classmethod
    def of(cls, images, input_shape, fit="stretch"):
        """Measure `images`, uint8 (N, h, w, C), the training split alone."""
        blank = cls(tuple(input_shape), (0.0,), (1.0,), 0.0, fit)
        total, squares, edge, count = 0.0, 0.0, 0.0, 0
        for start in range(0, len(images), 1024):
            x = blank.resize(images[start : start + 1024]).numpy().astype(np.float64)
            total, squares, count = total + x.sum((0, 1, 2)), squares + (x**2).sum((0, 1, 2)), count + len(x)
            edge += np.concatenate([x[:, 0], x[:, -1], x[:, :, 0], x[:, :, -1]], 1).mean((1, 2)).sum()
        pixels = count * input_shape[0] * input_shape[1]
        mean = total / pixels
        std = np.sqrt(np.maximum(squares / pixels - mean**2, 1.0))  # a channel without contrast is left as it is
        return cls(tuple(input_shape), tuple(mean.tolist()), tuple(std.tolist()), float(edge / count), fit)

    def __call__(self, images):
        """uint8 (B, h, w, C) -> float32 (B, H, W, C) with mean 0 and variance 1 per channel."""
        return self.standardise(self.resize(images))

    def decode(self, data):
        """The bytes of a picture file -> uint8 (h, w, C), as pictures.decode has it."""
        return pictures.decode(data, self.input_shape[2])

    def resize(self, images):
        """uint8 (..., h, w, C) -> float32 (..., H, W, C) in whole grey levels, fitted where the shape differs."""
        images = tf.convert_to_tensor(images)
        height, width = self.input_shape[:2]
        if images.shape[-3:-1].as_list() != [height, width]:
            shape = images.shape[:-3] + [height, width, images.shape[-1]]
            size = (height, width)
            if self.fit == "crop":
                images = _middle(images, height, width)
            elif self.fit == "pad":
                size = _inside(images, height, width)
            images = tf.image.resize(images, size, antialias=True)
            images = tf.clip_by_value(tf.round(images), 0, WHITE)
            if self.fit == "pad":
                images = _with_bars(images, height, width)
            images = tf.ensure_shape(images, shape)
        return tf.cast(images, tf.float32)

    def standardise(self, images):
        # Times the inverse: a graph would make that of a division, and differ in the last bit from the same op alone.
        inverse_std = tf.constant([1 / std for std in self.std], tf.float32)
        return (images - tf.constant(self.mean, tf.float32)) * inverse_std

    def inverse(self, images):
        """float32 (..., H, W, C), standardised -> uint8: what the model was shown."""
        levels = images * tf.constant(self.std, tf.float32) + tf.constant(self.mean, tf.float32)
        return tf.cast(tf.clip_by_value(tf.round(levels), 0, WHITE), tf.uint8)

    def config(self):
        return {"kind": "image", **dataclasses.asdict(self)}


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


def _middle(images, height, width):
    """The largest part of (..., h, w, C) in the middle that has the shape height : width."""
    h, w = tf.shape(images)[-3], tf.shape(images)[-2]
    rows = tf.clip_by_value(_rounded(w, height, width), 1, h)
    columns = tf.clip_by_value(_rounded(h, width, height), 1, w)
    top, left = (h - rows) // 2, (w - columns) // 2
    return images[..., top : top + rows, left : left + columns, :]


def _inside(images, height, width):
    """(2,) the largest size with the shape of (..., h, w, C) that has room in height x width."""
    h, w = tf.shape(images)[-3], tf.shape(images)[-2]
    rows = tf.clip_by_value(_rounded(h, width, w), 1, height)
    columns = tf.clip_by_value(_rounded(w, height, h), 1, width)
    return tf.stack([rows, columns])


def _rounded(number, times, by):
    return (2 * number * times + by) // (2 * by)


def _with_bars(images, height, width):
    """(..., h, w, C) -> (..., height, width, C), black around."""
    room = [height, width] - tf.shape(images)[-3:-1]
    before = room // 2
    around = tf.concat([tf.stack([before, room - before], 1), [[0, 0]]], 0)
    return tf.pad(images, tf.pad(around, [[tf.rank(images) - 3, 0], [0, 0]]))


def write_png(images, folder):
    """Write uint8 (N, h, w, C) as test-0.png ... below `folder`; return the paths."""
    paths = [folder / f"test-{i}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        path.write_bytes(tf.io.encode_png(image).numpy())
    return paths
