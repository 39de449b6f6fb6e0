"""Volumes: the pre-processing that training, `predict` and exports share, and the feature that is a volume.

Shapes: B volumes, D x H x W voxels. Along D of a NIfTI file lies its first axis, to the right; along H the second, to
the front; along W the third, up.
"""

import dataclasses
from typing import Annotated, NotRequired, TypedDict

import numpy as np
from msgspec import Meta

from keras_dl.atomic import atomic_file
from keras_dl.errors import UserError
from keras_dl.features import volume_files
from keras_dl.features.base import Feature
from keras_dl.figures import figure_of, plain, png
from keras_dl.imports import tensorflow as tf

SUFFIXES = (".nii", ".nii.gz", ".npy")
LEAST_SPREAD = 1e-6  # standard deviation below which a volume has no contrast
Size = Annotated[int, Meta(ge=1, le=10_000)]
Millimetres = Annotated[float, Meta(gt=0, le=1e6)]


class VolumeConfig(TypedDict):
    size: Annotated[list[Size], Meta(min_length=3, max_length=3)]
    spacing: NotRequired[Annotated[list[Millimetres], Meta(min_length=3, max_length=3)] | None]


@dataclasses.dataclass(frozen=True)
class VolumeScaling:
    """The pre-processing of volumes, in the input pipeline and inside the export: each is standardised by itself.

    What a scanner's numbers mean differs from file to file: mean and standard deviation are those of a volume's own
    voxels, so that a volume and twice the volume plus one are the same.

    Attributes:
        size: (D, H, W) of the model's input.
        spacing: (3,) millimetres between its voxels; None: files are not resampled.
    """

    size: tuple
    spacing: tuple | None = None

    @property
    def input_shape(self):
        """(D, H, W, 1)."""
        return (*self.size, 1)

    def __call__(self, volumes):
        """Numbers (B, D, H, W) -> float32 (B, D, H, W, 1) of mean 0 and variance 1, or 0 without contrast."""
        volumes = tf.cast(volumes, tf.float32)
        # Of the largest magnitude first: squares of numbers up to 1e38 would be infinite.
        volumes /= tf.maximum(tf.reduce_max(tf.abs(volumes), [1, 2, 3], keepdims=True), 1e-30)
        centred = volumes - tf.reduce_mean(volumes, [1, 2, 3], keepdims=True)
        spread = tf.math.reduce_std(centred, [1, 2, 3], keepdims=True)
        return tf.where(spread > LEAST_SPREAD, centred / tf.maximum(spread, LEAST_SPREAD), 0.0)[..., None]

    def batch(self, raw):
        """{"volume": (B, D, H, W), "label": int32 (B,)} -> (x, y)."""
        return self(raw["volume"]), raw["label"]

    def config(self):
        return {"kind": "volume", "size": list(self.size), "spacing": self.spacing and list(self.spacing)}


@dataclasses.dataclass(frozen=True)
class Volume(Feature):
    """Volumes of the model's own size: float32 (B, D, H, W).

    Attributes:
        size: (D, H, W). A file's volume is turned upright, resampled to `spacing`, and cut or padded around its middle.
        spacing: (3,) millimetres; None: files keep theirs.
        examples: float (n, D, H, W) with which an export is tested; None for noise.
    """

    size: tuple = (1, 1, 1)
    spacing: tuple | None = None
    examples: np.ndarray | None = dataclasses.field(default=None, compare=False, repr=False)

    kind = "volume"
    dtype = "float32"
    suffixes = SUFFIXES
    plural = "volumes"
    counted = "volumes"
    summarised = True
    written_as = (".npy",)
    CONFIG = VolumeConfig

    @property
    def shape(self):
        return (None, *self.size)

    def config(self):
        return {"size": list(self.size), "spacing": self.spacing and list(self.spacing)}

    @classmethod
    def from_config(cls, config):
        spacing = config.get("spacing")
        return cls(tuple(config["size"]), spacing and tuple(spacing))

    def not_for(self, data):
        return [f"volumes of another kind, or of another scanner, than those of {data}"]

    def read(self, source):
        """The voxels of a file, float32 (D, H, W)."""
        try:
            volume = volume_files.read(source.content)
        except volume_files.UnreadableVolume as error:
            raise UserError(f"{source.place} {error.reason}.") from error
        return volume_files.fitted(volume.voxels, volume.spacing, self.size, self.spacing)

    def write(self, value, path, like=None):
        with atomic_file(path) as file:
            np.save(file, np.asarray(value, np.float32))

    def show(self, value):
        value = np.asarray(value)
        return f"{' x '.join(map(str, value.shape))} voxels, {value.min():.4g} to {value.max():.4g}"

    def pictures(self, values, titles=()):
        titles = titles or [self.show(value) for value in values]
        return [("; ".join(titles), png(slices_figure(values, titles)))]

    def summary(self, tag, values, titles=()):
        [(_, picture)] = self.pictures(values, titles)
        tf.summary.image(f"{tag}/slices", tf.io.decode_png(picture, channels=3)[None])

    def example(self):
        if self.examples is not None:
            return np.asarray(self.examples, np.float32)
        return np.random.default_rng(0).normal(size=(1, *self.size)).astype(np.float32)

    def in_python(self):
        return f"tf.zeros([1, {', '.join(map(str, self.size))}])"

    def in_numpy(self, name):
        return [f"# float32 (n, {', '.join(map(str, self.size))})", f'{name} = np.load("{name}.npy")[None]']

    def in_rest(self):
        return np.zeros(self.size, np.float32).tolist()

    def on_command_line(self):
        return "VOLUME.nii.gz"


def slices_figure(volumes, titles):
    """A figure of the three planes through the middle of each volume: along D, H and W.

    Args:
        volumes: list of (D, H, W).
        titles: a text for each.
    """
    count = max(1, len(volumes))
    figure = figure_of(4.5, 1.9 * count)
    for row, (volume, title) in enumerate(zip(volumes, titles, strict=True)):
        volume = np.asarray(volume, np.float32)
        for axis, name in enumerate("DHW"):
            axes = figure.add_subplot(count, 3, 3 * row + axis + 1)
            middle = volume.shape[axis] // 2
            axes.imshow(volume.take(middle, axis).T, cmap="gray", vmin=volume.min(), vmax=volume.max(), origin="lower")
            axes.set_title(plain(title, 40) if axis == 0 else f"{name} = {middle}", fontsize=8, loc="left")
            axes.axis("off")
    return figure
