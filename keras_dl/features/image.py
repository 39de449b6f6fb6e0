"""Pictures: the pre-processing that training, `predict` and exports share, and the features that are pictures.

Shapes: B pictures, h x w pixels as they come, H x W as the model takes them, C channels.
"""

import base64
import dataclasses
from typing import Annotated, Literal, NotRequired, TypedDict

import numpy as np
from msgspec import Meta

from keras_dl.atomic import atomic_file
from keras_dl.errors import UserError
from keras_dl.features.base import Feature, Source
from keras_dl.features.levels import GREY_LEVELS, Levels
from keras_dl.features.resizing import WHITE, Resized
from keras_dl.imports import tensorflow as tf
from keras_dl.wording import counted

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp")
UNREADABLE = "is no readable JPEG, PNG, GIF, BMP or WebP picture"
SMALLEST, LARGEST = 96, 224  # pixels of a picture's larger side in a report
DARK, LIGHT = 64, 191  # a border below DARK is certainly dark, one above LIGHT certainly light (grey levels)
Finite = Annotated[float, Meta(ge=-1.7976931348623157e308, le=1.7976931348623157e308)]
# A PNG of one grey pixel, for the example request in a card.
ONE_PIXEL = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\x9cc`\0\0\0\2\0\1H\xaf\xa4q"
    b"\0\0\0\0IEND\xaeB`\x82"
)


class ImageConfig(TypedDict):
    input_shape: Annotated[list[Annotated[int, Meta(ge=1, lt=2**31)]], Meta(min_length=3, max_length=3)]
    mean: NotRequired[Annotated[list[Finite], Meta(min_length=1, max_length=4)]]
    std: NotRequired[Annotated[list[Finite], Meta(min_length=1, max_length=4)]]
    levels: NotRequired[Annotated[int, Meta(ge=2, le=GREY_LEVELS)]]  # of a Levels, which has no mean and std
    border: Finite
    fit: NotRequired[Literal["crop", "pad", "stretch"]]


@dataclasses.dataclass(frozen=True)
class Preprocess(Resized):
    """The pre-processing of images, used in the input pipeline and inside the export: resize, standardise per channel.

    Attributes:
        input_shape: (H, W, C) of the model's input.
        mean, std: (C,) of the training split's pixels, in grey levels 0..255.
        border: mean grey level of the training pictures' outermost pixels, 0..255.
        fit: how a picture with another aspect ratio becomes H x W: "crop" keeps its middle, "pad" adds black bars,
            "stretch" distorts it (the default for old cards that do not say).

    Raises:
        UserError: `fit` is none of these.
    """

    input_shape: tuple
    mean: tuple
    std: tuple
    border: float
    fit: str = "stretch"

    @classmethod
    def of(cls, images, input_shape, fit="stretch"):
        """The Preprocess with the statistics of `images`, uint8 (N, h, w, C): the training split only."""
        blank = cls(tuple(input_shape), (0.0,), (1.0,), 0.0, fit)
        total, squares, edge, count = 0.0, 0.0, 0.0, 0
        for start in range(0, len(images), 1024):
            x = blank.resize(images[start : start + 1024]).numpy().astype(np.float64)
            total, squares, count = total + x.sum((0, 1, 2)), squares + (x**2).sum((0, 1, 2)), count + len(x)
            edge += np.concatenate([x[:, 0], x[:, -1], x[:, :, 0], x[:, :, -1]], 1).mean((1, 2)).sum()
        pixels = count * input_shape[0] * input_shape[1]
        mean = total / pixels
        std = np.sqrt(np.maximum(squares / pixels - mean**2, 1.0))  # a channel without contrast is not scaled
        return cls(tuple(input_shape), tuple(mean.tolist()), tuple(std.tolist()), float(edge / count), fit)

    def __call__(self, images):
        """uint8 (B, h, w, C) -> float32 (B, H, W, C), standardised by the training split's mean and std per channel."""
        return self.standardise(self.resize(images))

    def standardise(self, images):
        # Graphs turn a division into this product, which differs in the last bit; so it is a product in eager mode too.
        inverse_std = tf.constant([1 / std for std in self.std], tf.float32)
        return (images - tf.constant(self.mean, tf.float32)) * inverse_std

    def inverse(self, images):
        """Standardised float32 (..., H, W, C) -> uint8: the picture that the model saw."""
        levels = images * tf.constant(self.std, tf.float32) + tf.constant(self.mean, tf.float32)
        return tf.cast(tf.clip_by_value(tf.round(levels), 0, WHITE), tf.uint8)

    def config(self):
        return {"kind": "image", **dataclasses.asdict(self)}

    @classmethod
    def from_config(cls, config):
        """The Preprocess of what `config` returned, also after it was written as JSON."""
        config = {name: value for name, value in config.items() if name != "kind"}
        return cls(**{**config, **{name: tuple(config[name]) for name in ("input_shape", "mean", "std")}})


@dataclasses.dataclass(frozen=True)
class Image(Feature):
    """Pixels: uint8 (B, h, w, C) of any size, the same for all pictures of a request.

    Attributes:
        preprocess: the Preprocess or Levels that turns them into the model's input.
        examples: uint8 (n, h, w, C) with which an export is tested; None for noise.
    """

    preprocess: Preprocess
    examples: np.ndarray | None = dataclasses.field(default=None, compare=False, repr=False)

    kind = "image"
    dtype = "uint8"
    suffixes = SUFFIXES
    plural = "pictures"
    counted = "pictures"
    unreadable = UNREADABLE
    summarised = True
    written_as = (".png",)
    CONFIG = ImageConfig

    @property
    def shape(self):
        return (None, None, None, self.preprocess.input_shape[2])

    def config(self):
        return {name: value for name, value in self.preprocess.config().items() if name != "kind"}

    @classmethod
    def from_config(cls, config):
        return cls((Levels if "levels" in config else Preprocess).from_config(config))

    def read(self, source):
        """Pixels uint8 (h, w, C) of a file, decoded as inside the export."""
        return self._decoded(source, _bytes(source.content))

    def batch(self, values):
        return np.stack(values)

    def remarks(self, place, values):
        """Warn of inverted grey pictures: dark on light if the training pictures are light on dark, or vice versa."""
        preprocess = self.preprocess
        if preprocess.input_shape[2] != 1 or DARK <= preprocess.border <= LIGHT:
            return []
        remarks = []
        for value in values:
            levels = preprocess.resize(self._pixels(value)).numpy()
            border = np.concatenate([levels[0], levels[-1], levels[:, 0], levels[:, -1]]).mean()
            if min(border, preprocess.border) < DARK and max(border, preprocess.border) > LIGHT:
                here, there = ("light", "dark") if border > LIGHT else ("dark", "light")
                remarks.append(
                    f"{place}: its border is {here} where the training pictures' is {there}: it looks inverted, and "
                    "the answer means little; invert the picture and ask again."
                )
        return remarks

    def write(self, value, path, like=None):
        """Write uint8 (h, w, C) as PNG."""
        write_png(value, path)

    def show(self, value):
        height, width, channels = np.shape(value)
        return f"{height} x {width} pixels, {'grey' if channels == 1 else 'colour'}"

    def pictures(self, values, titles=()):
        """Each picture as a PNG of its own; small ones are enlarged, every pixel to a square."""
        titles = titles or [self.show(value) for value in values]
        return [(title, _png(value)) for title, value in zip(titles, values, strict=True)]

    def summary(self, tag, values, titles=()):
        tf.summary.image(tag, np.stack(values), max_outputs=len(values))

    def example(self):
        if self.examples is not None:
            return np.asarray(self.examples)
        return np.random.default_rng(0).integers(0, 256, (2, *self.preprocess.input_shape), np.uint8)

    def in_python(self):
        return f"tf.zeros([1, 1, 1, {self.shape[-1]}], tf.uint8)"

    def not_for(self, data):
        height, width, channels = self.preprocess.input_shape
        seen = f"{height} x {width} pixels" + (" in grey" if channels == 1 else "")
        return [f"pictures of another kind (subject, background, camera) than those of {data}; it sees {seen}"]

    def in_numpy(self, name):
        height, width, channels = self.preprocess.input_shape
        colours = "grey levels" if channels == 1 else "red, green, blue"
        return [
            f"# uint8 (n, height, width, {channels}), {colours} from 0 to 255; the model sees {height} x {width}",
            f'{name} = np.load("pictures.npy")',
        ]

    def in_rest(self):
        return [[[0] * self.shape[-1]]]

    def on_command_line(self):
        return "PICTURE.png"

    def _pixels(self, value):
        return value

    def _decoded(self, source, data):
        from keras_dl.features import pictures

        try:
            return self.preprocess.decode(data).numpy()
        except tf.errors.InvalidArgumentError as error:
            reason = pictures.reason(error)
            why = UNREADABLE if reason == pictures.DAMAGED else f"{UNREADABLE}: {reason}"
            raise UserError(f"{source.place} {why}.") from error


class EncodedImage(Image):
    """The bytes of JPEG, PNG, GIF, BMP or WebP files: strings (B,)."""

    kind = "image_bytes"
    dtype = "string"
    shape = (None,)
    written_as = ()

    def read(self, source):
        return _bytes(source.content)

    def batch(self, values):
        return np.array(values, object)

    def write(self, value, path, like=None):
        with atomic_file(path) as file:
            file.write(value)

    def show(self, value):
        return counted(len(value), "bytes")

    def pictures(self, values, titles=()):
        return super().pictures([self._pixels(value) for value in values], titles)

    def summary(self, tag, values, titles=()):
        super().summary(tag, [self._pixels(value) for value in values], titles)

    def example(self):
        return np.array([tf.io.encode_png(image).numpy() for image in Image.example(self)], object)

    def in_python(self):
        return 'tf.constant([open("PICTURE.png", "rb").read()])'

    def in_rest(self):
        return {"b64": base64.b64encode(ONE_PIXEL).decode()}

    def _pixels(self, value):
        return self._decoded(Source(None, "a picture", ""), value)


def write_png(image, path):
    """Write uint8 (h, w, C) to a PNG file, which is replaced when it is whole."""
    with atomic_file(path) as file:
        file.write(tf.io.encode_png(np.asarray(image, np.uint8)).numpy())


def _bytes(path):
    """The bytes of a picture file; UserError if it cannot be read, is empty or too large."""
    from keras_dl.features import pictures

    try:
        data = pictures.read(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except UserError as error:
        raise UserError(f"{path} is refused: {error}.".replace("a picture may", "it may")) from error
    if not data:
        raise UserError(f"{path} is empty: it has 0 bytes.")
    return data


def _png(image):
    """uint8 (h, w, C) as PNG, with SMALLEST to LARGEST pixels on its larger side."""
    image = np.asarray(image, np.uint8)
    times = -(-SMALLEST // max(image.shape[:2]))
    image = image.repeat(times, 0).repeat(times, 1)
    if (larger := max(image.shape[:2])) > LARGEST:
        size = [max(1, side * LARGEST // larger) for side in image.shape[:2]]
        image = tf.cast(tf.clip_by_value(tf.round(tf.image.resize(image, size, antialias=True)), 0, WHITE), tf.uint8)
    return tf.io.encode_png(image).numpy()
