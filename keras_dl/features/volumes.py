"""Volumes with voxels of a known size: the pre-processing that training and exports share, and the features of volumes.

Shapes: B volumes, d x h x w voxels as they come (left to right, back to front, below to above), D x H x W as the model
takes them.
"""

import dataclasses
from typing import Annotated, TypedDict

import numpy as np
from msgspec import Meta

from keras_dl.errors import UserError
from keras_dl.features import volume_files
from keras_dl.features.base import Feature
from keras_dl.features.volume_files import MOST_SIDE, THICKEST, THINNEST, Volume
from keras_dl.figures import figure_of, plain, png
from keras_dl.imports import tensorflow as tf

LOW, HIGH = 0.005, 0.995  # shares of a volume's voxels that are darker than its black and its white
NEAR = 1e-4  # how far a spacing may be from another to count as the same, as a share
Side = Annotated[int, Meta(ge=1, le=MOST_SIDE)]
Millimetres = Annotated[float, Meta(ge=THINNEST, le=THICKEST)]


class VolumeConfig(TypedDict):
    input_shape: Annotated[list[Side], Meta(min_length=4, max_length=4)]
    spacing: Annotated[list[Millimetres], Meta(min_length=3, max_length=3)]


@dataclasses.dataclass(frozen=True)
class SpacedVolumes:
    """The pre-processing of volumes, in the pipeline and inside the export: resample, normalise, pad.

    A volume is resampled to the model's spacing, so that a structure has the same number of voxels whatever the device;
    its black and white are the LOW and HIGH quantiles of its own voxels, since intensities have no unit that devices
    share; and it is put into the middle of the model's grid, with 0 around it.

    Attributes:
        input_shape: (D, H, W, 1) of the model's input.
        spacing: (3,) mm of the model's voxels.
    """

    input_shape: tuple
    spacing: tuple = (1.0, 1.0, 1.0)

    def size(self, shape, spacing):
        """int32 (3,): voxels of a volume (d, h, w) of `spacing` mm at the model's spacing, at least 1."""
        ratio = tf.cast(spacing, tf.float32) / tf.constant(self.spacing, tf.float32)
        ratio = tf.where(tf.abs(ratio - 1) < NEAR, 1.0, ratio)
        return tf.maximum(tf.cast(tf.round(tf.cast(shape, tf.float32) * ratio), tf.int32), 1)

    def __call__(self, volume, spacing):
        """Numbers (d, h, w) and (3,) mm -> float32 (D, H, W, 1), from 0 to 1. It must fit into the grid (`fits`)."""
        volume = tf.cast(volume, tf.float32)
        return self.put(normalised(resampled(volume, self.size(tf.shape(volume), spacing))))[..., None]

    def fits(self, shape, spacing):
        """Scalar bool: whether a volume of that shape and spacing fits into the model's grid."""
        return tf.reduce_all(self.size(shape, spacing) <= tf.constant(self.input_shape[:3]))

    def put(self, volume, outside=0):
        """(d, h, w) at the model's spacing -> (D, H, W), in the middle of `outside`."""
        room = tf.constant(self.input_shape[:3]) - tf.shape(volume)
        before = room // 2
        padded = tf.pad(volume, tf.stack([before, room - before], 1), constant_values=outside)
        return tf.ensure_shape(padded, self.input_shape[:3])

    def back(self, values, shape, spacing):
        """float32 (D, H, W, K) of the model's grid -> (d, h, w, K) of a volume of that shape and spacing."""
        size = self.size(shape, spacing)
        start = (tf.constant(self.input_shape[:3]) - size) // 2
        inner = tf.slice(values, tf.concat([start, [0]], 0), tf.concat([size, [-1]], 0))
        return resampled(inner, shape)

    def config(self):
        return {"kind": "volume", "input_shape": list(self.input_shape), "spacing": list(self.spacing)}


def resampled(volume, size):
    """float32 (d, h, w, ...) -> (d', h', w', ...) of the same extent: size (3,) int32.

    An axis that shrinks has the means of the voxels that each new one covers; one that grows is interpolated linearly.
    Where the size stays nothing changes, bit for bit.
    """
    for axis in range(3):
        volume = _along(volume, axis, size[axis])
    return volume


def _along(volume, axis, size):
    of = tf.shape(volume)[axis]

    def moved():
        result = tf.tensordot(_weights(of, size), volume, [[1], [axis]])
        rank = len(volume.shape)
        return tf.transpose(result, [*range(1, axis + 1), 0, *range(axis + 1, rank)])

    return tf.cond(tf.equal(of, size), lambda: volume, moved)


def _weights(of, to):
    """float32 (to, of): how much each of `of` voxels counts in each of `to`; every row has the sum 1."""
    scale = tf.cast(of, tf.float32) / tf.cast(to, tf.float32)
    old, new = tf.range(of, dtype=tf.float32)[None], tf.range(to, dtype=tf.float32)[:, None]
    covered = tf.minimum((new + 1) * scale, old + 1) - tf.maximum(new * scale, old)
    middles = tf.clip_by_value((new + 0.5) * scale - 0.5, 0.0, tf.cast(of - 1, tf.float32))
    weights = tf.maximum(tf.where(scale > 1, covered, 1 - tf.abs(old - middles)), 0.0)
    return weights / tf.reduce_sum(weights, 1, keepdims=True)


def resampled_labels(labels, size):
    """Whole numbers (d, h, w) -> the same values at (d', h', w'): each new voxel has that of the nearest old one."""
    labels = np.asarray(labels)
    for axis, to in enumerate(size):
        of = labels.shape[axis]
        at = np.minimum(((np.arange(to) + 0.5) * of / to).astype(int), of - 1)
        labels = np.take(labels, at, axis)
    return labels


def normalised(volume):
    """float32 (d, h, w) -> from 0 (its LOW quantile and below) to 1 (its HIGH quantile and above); flat: 0."""
    ordered = tf.sort(tf.reshape(volume, [-1]))
    last = tf.cast(tf.size(ordered) - 1, tf.float32)
    low, high = (tf.gather(ordered, tf.cast(tf.round(share * last), tf.int32)) for share in (LOW, HIGH))
    flat = high <= low
    return tf.where(flat, 0.0, tf.clip_by_value((volume - low) / tf.where(flat, 1.0, high - low), 0.0, 1.0))


@dataclasses.dataclass(frozen=True)
class SpacedVolume(Feature):
    """Volumes: float32 (B, d, h, w) of any size, the same for all of a request.

    Attributes:
        input_shape: (D, H, W, 1) of the model's input.
        spacing: (3,) mm of the model's voxels, to which the export resamples.
        examples: numbers (n, d, h, w) with which an export is tested; None for noise.
    """

    input_shape: tuple
    spacing: tuple = (1.0, 1.0, 1.0)
    examples: np.ndarray | None = dataclasses.field(default=None, compare=False, repr=False)

    kind = "volume"
    dtype = "float32"
    shape = (None, None, None, None)
    suffixes = (".nii", ".nii.gz", ".gz", ".npy")
    plural = "volumes"
    counted = "volumes"
    summarised = True
    written_as = (".nii", ".gz", ".npy")  # .nii.gz ends in .gz
    CONFIG = VolumeConfig

    def config(self):
        return {"input_shape": list(self.input_shape), "spacing": list(self.spacing)}

    @classmethod
    def from_config(cls, config):
        return cls(tuple(config["input_shape"]), tuple(config["spacing"]))

    def read(self, source):
        """The volume_files.Volume of a file."""
        try:
            return volume_files.read(source.content)
        except volume_files.UnreadableVolume as error:
            raise UserError(f"{source.place} {error.reason}.") from error

    def batch(self, values):
        return np.stack([voxels_of(value) for value in values])

    def write(self, value, path, like=None):
        """Write voxels (d, h, w) as .nii.gz, .nii or .npy, in the place of `like`, a Volume."""
        check_name(path)
        volume_files.write(voxels_of(value), path, like if isinstance(like, Volume) else place_of(value))

    def write_all(self, values, path, likes=None):
        return write_numbered(self, values, path, likes)

    def show(self, value):
        shown = f"{' x '.join(map(str, np.shape(voxels_of(value))))} voxels"
        if isinstance(value, Volume):
            shown += f" of {' x '.join(f'{mm:g}' for mm in value.spacing)} mm"
        return shown

    def pictures(self, values, titles=()):
        """One picture of each volume: its middle slices in three planes."""
        titles = titles or [self.show(value) for value in values]
        return [
            (title, png(slices_figure(voxels_of(value), title, spacing=getattr(value, "spacing", (1, 1, 1)))))
            for value, title in zip(values, titles, strict=True)
        ]

    def example(self):
        if self.examples is not None:
            return np.asarray(self.examples, np.float32)
        return np.random.default_rng(0).uniform(0, 255, (2, *self.input_shape[:3])).astype(np.float32)

    def in_python(self):
        return "tf.zeros([1, 1, 1, 1])"

    def in_numpy(self, name):
        return ["# float32 (n, left to right, back to front, below to above)", f'{name} = np.load("volumes.npy")']

    def in_rest(self):
        return [[[0.0]]]

    def not_for(self, data):
        seen, mm = " x ".join(map(str, self.input_shape[:3])), " x ".join(f"{mm:g}" for mm in self.spacing)
        return [f"volumes of another kind (device, subject) than those of {data}; it sees {seen} voxels of {mm} mm"]

    def on_command_line(self):
        return "VOLUME.nii.gz"


class Spacing(Feature):
    """The size of a volume's voxels: float32 (B, 3), in mm, along its axes. `predict` takes it from the file."""

    kind = "spacing"
    dtype = "float32"
    shape = (None, 3)
    follows = True

    def of(self, volume):
        return np.asarray(getattr(volume, "spacing", (1.0, 1.0, 1.0)), np.float32)

    def of_batch(self, volumes):
        return np.stack([self.of(volume) for volume in volumes])

    def show(self, value):
        return " x ".join(f"{mm:g}" for mm in np.asarray(value)) + " mm"

    def example(self):
        return np.ones((1, 3), np.float32)

    def in_python(self):
        return "tf.ones([1, 3])"

    def in_numpy(self, name):
        return [f"{name} = np.ones((1, 3), np.float32)  # mm of a voxel along each axis"]

    def in_rest(self):
        return [1.0, 1.0, 1.0]


def voxels_of(value):
    """The voxels (d, h, w) of a Volume or of an array, perhaps (d, h, w, 1)."""
    voxels = np.asarray(value.voxels if isinstance(value, Volume) else value)
    return voxels[..., 0] if voxels.ndim == 4 and voxels.shape[-1] == 1 else voxels


def place_of(value):
    """The value itself if it says where its voxels are, else None."""
    return value if isinstance(value, Volume) else None


def check_name(path):
    """Raise UserError for a .gz that is no .nii.gz."""
    if str(path).lower().endswith(".gz") and not str(path).lower().endswith(".nii.gz"):
        raise UserError(f"--out: must end in .nii.gz, .nii or .npy; got {path}.")


def write_numbered(feature, values, path, likes=None):
    """As Feature.write_all, but <stem>-1.nii.gz, since .nii.gz is one ending."""
    check_name(path)
    name = str(path)
    ending = ".nii.gz" if name.lower().endswith(".nii.gz") else name[name.rindex(".") :]
    stem = name[: -len(ending)]
    paths = [name] if len(values) == 1 else [f"{stem}-{number}{ending}" for number in range(1, 1 + len(values))]
    for value, place, like in zip(values, paths, likes or [None] * len(values), strict=True):
        feature.write(value, place, like)
    return [type(path)(place) for place in paths]


def slices_figure(volume, title, labels=None, spacing=(1, 1, 1), others=None):
    """Draw the middle slices of a volume (d, h, w) in three planes, labels as colours over them.

    Args:
        volume: numbers.
        title: heading of the figure.
        labels: whole numbers (d, h, w), 0 for background; the slices then go through the middle of what is labelled.
        spacing: mm of a voxel along each axis.
        others: labels to be drawn in a second row, such as the right ones.
    """
    from matplotlib.colors import ListedColormap

    from keras_dl.figures import COLOURS

    volume = np.asarray(volume, np.float32)
    low, high = np.percentile(volume, [100 * LOW, 100 * HIGH])
    rows = [labels] if others is None else [labels, others]
    figure = figure_of(7.2, 0.5 + 2.5 * len(rows))
    found = np.argwhere(np.asarray(rows[-1]) > 0) if labels is not None else ()
    middle = np.median(found, 0).astype(int) if len(found) else np.array(volume.shape) // 2
    for row, over in enumerate(rows):
        for axis, name in enumerate("xyz"):
            axes = figure.add_subplot(len(rows), 3, 3 * row + axis + 1)
            across, up = (mm for other, mm in enumerate(spacing) if other != axis)
            view = {"origin": "lower", "interpolation": "nearest", "aspect": up / across}
            axes.imshow(
                np.take(volume, middle[axis], axis).T, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), **view
            )
            if over is not None:
                drawn = np.take(np.asarray(over), middle[axis], axis).T
                coloured = np.ma.masked_equal(drawn, 0)
                axes.imshow(coloured % len(COLOURS), cmap=ListedColormap(COLOURS), vmin=0, vmax=9, alpha=0.5, **view)
            axes.set_title(f"{name} = {middle[axis]}", fontsize=9)
            axes.set_xticks([])
            axes.set_yticks([])
    figure.suptitle(plain(title, 70), fontsize=11)
    return figure
