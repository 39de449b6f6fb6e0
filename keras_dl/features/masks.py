"""Masks that say of every pixel or voxel which class it is: reading, writing, resizing, and pictures of them.

A mask file of an image is a PNG of one number a pixel: grey levels or the indices of a palette, which are the classes.
"""

import dataclasses
import io
from pathlib import Path
from typing import Annotated, TypedDict

import numpy as np
from msgspec import Meta

from keras_dl.atomic import atomic_file
from keras_dl.errors import UserError
from keras_dl.features import volume_files
from keras_dl.features.base import Feature
from keras_dl.features.volume_files import Volume
from keras_dl.features.volumes import check_name, slices_figure, voxels_of, write_numbered
from keras_dl.figures import COLOURS

IGNORED = 255  # the label of pixels that neither loss nor measures see
MOST_CLASSES = 255
MOST_PIXELS = 2**25  # of a mask file
SMALLEST, LARGEST = 96, 480  # pixels of a picture's larger side in a report
Names = Annotated[list[str], Meta(min_length=2, max_length=MOST_CLASSES)]


class MaskConfig(TypedDict):
    classes: Names


class UnreadableMask(UserError):
    """A file cannot be read as a mask; `reason` is the message after the file's name, without the full stop."""

    def __init__(self, path, reason):
        super().__init__(f"{path} {reason}.")
        self.reason = reason


def read(path):
    """Read the mask of an image.

    Args:
        path: a PNG (or another lossless file) of one number a pixel.

    Returns:
        (uint8 (h, w), the palette as bytes, or None for grey levels).

    Raises:
        UnreadableMask: it is no picture, too large, has colours without a palette, or a value above 255.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise UnreadableMask(path, f"is too large: a mask may have at most {MOST_PIXELS:,} pixels")
            if picture.format == "JPEG":
                raise UnreadableMask(path, "is a JPEG, which changes the values of a mask; save it as PNG")
            picture.load()
            if picture.mode not in ("1", "L", "P", "I", "I;16"):
                raise UnreadableMask(
                    path, "must have one number a pixel, grey or of a palette; it has colours, which are no classes"
                )
            values = np.array(picture)
            palette = bytes(picture.getpalette() or ()) if picture.mode == "P" else None
    except UserError:
        raise
    except (UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadableMask(path, "is no readable PNG mask") from error
    except OSError as error:
        raise UnreadableMask(path, f"cannot be read: {error.strerror}" if error.strerror else "is damaged") from error
    if values.size and (values.min() < 0 or values.max() > 255):
        raise UnreadableMask(path, f"must have values from 0 to 255; got {values.max()}")
    return values.astype(np.uint8), palette


def resized(labels, size):
    """Whole numbers (h, w) -> the same values at `size`, (H, W): each new pixel has that of the nearest old one."""
    rows, columns = (
        np.minimum(((np.arange(to) + 0.5) * of / to).astype(int), of - 1)
        for of, to in zip(np.shape(labels), size, strict=True)
    )
    return np.asarray(labels)[rows[:, None], columns[None]]


def colours(count):
    """uint8 (count, 3): a colour for each class; the first is black."""
    given = [[int(name[at : at + 2], 16) for at in (1, 3, 5)] for name in COLOURS]
    shades = [[level * (0.55 ** (n // len(given))) for level in given[n % len(given)]] for n in range(count)]
    return np.array([[0, 0, 0], *shades][:count]).astype(np.uint8)


def overlay(image, mask, share=0.5):
    """A picture with the colours of a mask over it; ignored pixels and class 0 stay as they are.

    Args:
        image: uint8 (h, w, 1 or 3).
        mask: whole numbers (h, w).
        share: of the colour.

    Returns:
        uint8 (h, w, 3).
    """
    image, mask = np.asarray(image), np.asarray(mask)
    image = np.broadcast_to(image, (*mask.shape, 3)).astype(np.float32)
    shown = ((mask > 0) & (mask != IGNORED))[..., None]
    return np.where(shown, (1 - share) * image + share * colours(256)[mask], image).round().astype(np.uint8)


@dataclasses.dataclass(frozen=True)
class LabelMask(Feature):
    """The class of every pixel: uint8 (B, h, w).

    Written as a PNG whose palette shows the classes and whose values are their numbers; beside it, if the image is
    known, <name>-overlay.png.

    Attributes:
        classes: K names.
    """

    classes: tuple

    kind = "label_mask"
    dtype = "uint8"
    shape = (None, None, None)
    suffixes = (".png",)
    plural = "masks"
    summarised = True
    written_as = (".png",)
    CONFIG = MaskConfig

    def config(self):
        return {"classes": list(self.classes)}

    @classmethod
    def from_config(cls, config):
        return cls(tuple(config["classes"]))

    def read(self, source):
        """The classes uint8 (h, w) of a file."""
        try:
            return read(source.content)[0]
        except UnreadableMask as error:
            raise UserError(f"{source.place} {error.reason}.") from error

    def write(self, value, path, like=None):
        path, image = Path(path), _pixels(like)
        if image is not None:  # an export answers files with masks of the model's size
            value = resized(value, image.shape[:2])
        with atomic_file(path) as file:
            file.write(_png(value))
        if image is not None:
            with atomic_file(path.with_name(f"{path.stem}-overlay{path.suffix}")) as file:
                file.write(_png_of_colours(overlay(image, value)))

    def show(self, value):
        return shares(value, self.classes)

    def pictures(self, values, titles=()):
        """Each mask as a picture of its own, in colours."""
        titles = titles or [self.show(value) for value in values]
        table = colours(256)
        return [(title, _png_of_colours(table[np.asarray(value)])) for title, value in zip(titles, values, strict=True)]


@dataclasses.dataclass(frozen=True)
class LabelVolume(Feature):
    """The class of every voxel: uint8 (B, d, h, w).

    Written as .nii.gz or .nii with the affine and the shape of the volume that was read, or as .npy.

    Attributes:
        classes: K names.
    """

    classes: tuple

    kind = "label_volume"
    dtype = "uint8"
    shape = (None, None, None, None)
    suffixes = (".nii", ".nii.gz", ".gz", ".npy")
    plural = "masks of volumes"
    summarised = True
    written_as = (".nii", ".gz", ".npy")  # .nii.gz ends in .gz
    CONFIG = MaskConfig

    def config(self):
        return {"classes": list(self.classes)}

    @classmethod
    def from_config(cls, config):
        return cls(tuple(config["classes"]))

    def read(self, source):
        """The volume_files.Volume of a file."""
        try:
            return volume_files.read(source.content)
        except volume_files.UnreadableVolume as error:
            raise UserError(f"{source.place} {error.reason}.") from error

    def write(self, value, path, like=None):
        check_name(path)
        volume_files.write(np.asarray(value, np.uint8), path, like if isinstance(like, Volume) else None)

    def write_all(self, values, path, likes=None):
        return write_numbered(self, values, path, likes)

    def show(self, value):
        return shares(voxels_of(value), self.classes)

    def pictures(self, values, titles=()):
        """Each mask's middle slices in three planes."""
        from keras_dl.figures import png

        titles = titles or [self.show(value) for value in values]
        labels = [np.asarray(voxels_of(value)).astype(int) for value in values]
        return [
            (title, png(slices_figure(np.zeros(of.shape), title, of))) for title, of in zip(titles, labels, strict=True)
        ]


@dataclasses.dataclass(frozen=True)
class ClassVolumes(Feature):
    """How much space each class takes: float32 (B, K), in mm^3.

    Attributes:
        classes: K names.
    """

    classes: tuple

    kind = "cubic_millimetres"
    CONFIG = MaskConfig

    @property
    def shape(self):
        return (None, len(self.classes))

    def config(self):
        return {"classes": list(self.classes)}

    @classmethod
    def from_config(cls, config):
        return cls(tuple(config["classes"]))

    def columns(self, name, value, answer):
        named = {f"{of} (mm^3)": "" for of in self.classes[1:]}
        return named if value is None else {key: f"{of:.1f}" for key, of in zip(named, value[1:], strict=True)}

    def cells(self, name, value):
        return {f"{of}_mm3": one for of, one in zip(self.classes, value, strict=True)}

    def show(self, value):
        return ", ".join(f"{name} {of:.1f} mm^3" for name, of in zip(self.classes, value, strict=True))


class ProbabilityMap(Feature):
    """The probabilities of the classes at every pixel (B, h, w, K) or voxel (B, d, h, w, K): float32."""

    kind = "probability_map"
    dtype = "float32"
    shape = None
    summarised = True

    def show(self, value):
        sizes = np.shape(value)
        return f"{' x '.join(map(str, sizes[:-1]))}, {sizes[-1]} classes"

    def cells(self, name, value):
        return {name: self.show(value)}


def shares(mask, classes):
    """'sky 31 %, road 25 %' of whole numbers, the largest first."""
    counts = np.bincount(np.asarray(mask, np.int64).ravel(), minlength=len(classes))[: len(classes)]
    total = max(1, counts.sum())
    order = [at for at in np.argsort(-counts, kind="stable")[:5] if counts[at]]
    return ", ".join(f"{classes[at]} {100 * counts[at] / total:.1f} %" for at in order)


def _pixels(like):
    """uint8 (h, w, 3) of the value that an image input read, bytes or pixels; None if it is none."""
    if isinstance(like, bytes):
        from keras_dl.features import pictures

        return pictures.decode(like, 3).numpy()
    return like if isinstance(like, np.ndarray) and like.ndim == 3 else None


def _png(mask):
    from PIL import Image

    picture = Image.fromarray(np.asarray(mask, np.uint8))
    picture.putpalette(colours(256).tobytes())
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _png_of_colours(image):
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.asarray(image, np.uint8)).save(file, "PNG")
    return file.getvalue()
