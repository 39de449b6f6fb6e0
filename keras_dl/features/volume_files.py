"""Reads volumes: NIfTI files (.nii, .nii.gz) of any orientation and spacing, and arrays (.npy).

nibabel reads NIfTI: its scale (slope and intercept) is applied, and axes are turned and swapped so that they point to
the right, to the front and up ("RAS"), whatever order the file keeps them in. An array has no axes of the world: it is
taken as it is, with a spacing of 1 millimetre.
"""

import contextlib
import dataclasses
import zlib
from pathlib import Path

import numpy as np

from keras_dl.errors import UserError
from keras_dl.extras import needs

READING = "volume: reading NIfTI files"
MOST_VOXELS = 2**27  # of a file: 512 x 512 x 512
NAMES = ("x", "y", "z")


class UnreadableVolume(UserError):
    """A file cannot be read as a volume; `reason` is the message after the file's name, without the full stop."""

    def __init__(self, path, reason):
        super().__init__(f"{path} {reason}.")
        self.reason = reason


@dataclasses.dataclass(frozen=True)
class Volume:
    """The content of a file.

    Attributes:
        voxels: float32 (X, Y, Z), to the right, to the front, up.
        spacing: (3,) millimetres from a voxel to the next.
        affine: (4, 4), from the indices of `voxels` to millimetres.
        file_shape, file_affine: those of the file, before its axes were turned.
    """

    voxels: np.ndarray
    spacing: tuple
    affine: np.ndarray
    file_shape: tuple
    file_affine: np.ndarray

    def turned(self):
        """Whether the file keeps its axes in another order or direction."""
        return not np.allclose(self.file_affine, self.affine)


def read(path):
    """Read a volume.

    Args:
        path: path of a .nii, .nii.gz or .npy file.

    Returns:
        Volume.

    Raises:
        UnreadableVolume: the file cannot be opened or decoded, is no single volume of numbers (colours, a series of
            volumes, two axes), is empty or too large, or has numbers or spacings that are not finite.
        UserError: nibabel is not installed.
    """
    path = Path(path)
    try:
        return _read_array(path) if path.name.lower().endswith(".npy") else _read_nifti(path)
    except OSError as error:
        raise UnreadableVolume(path, f"cannot be read: {error.strerror or error}") from error


def _read_array(path):
    try:
        with open(path, "rb") as file:
            voxels = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, TypeError, SyntaxError) as error:
        raise UnreadableVolume(path, "is no readable NumPy array of numbers") from error
    if not isinstance(voxels, np.ndarray) or voxels.dtype.kind not in "biuf":
        raise UnreadableVolume(path, "is no readable NumPy array of numbers")
    voxels = _checked(path, voxels)
    return Volume(voxels, (1.0, 1.0, 1.0), np.eye(4), voxels.shape, np.eye(4))


def _read_nifti(path):
    nibabel = needs("nibabel", "signals", READING)
    broken = (
        nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError, zlib.error, EOFError, ValueError,
        TypeError, KeyError, IndexError, OverflowError,
    )  # fmt: skip
    if not path.exists():
        raise FileNotFoundError(2, "No such file or directory", str(path))
    try:
        image = nibabel.load(path)
        kind, shape = image.get_data_dtype(), tuple(image.shape)
    except broken as error:
        empty = path.stat().st_size == 0
        raise UnreadableVolume(path, "is empty" if empty else "is no readable NIfTI file") from error
    if kind.fields is not None or kind.kind not in "iuf":
        raise UnreadableVolume(path, "has colours or complex numbers; a volume must have one number a voxel")
    _check_shape(path, shape)
    affine = np.asarray(image.affine, np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise UnreadableVolume(path, "does not say where its voxels are: its affine matrix cannot be inverted")
    try:
        with contextlib.suppress(AttributeError):
            image = image.slicer[(..., *[0] * (len(shape) - 3))] if len(shape) > 3 else image
        upright = nibabel.as_closest_canonical(image)
        voxels = np.asarray(upright.get_fdata(dtype=np.float32), np.float32)
    except broken as error:
        raise UnreadableVolume(path, "is cut short or damaged") from error
    spacing = tuple(float(size) for size in nibabel.affines.voxel_sizes(upright.affine))
    return Volume(_checked(path, voxels), spacing, np.asarray(upright.affine), shape, affine)


def _check_shape(path, shape):
    extra = [size for size in shape[3:] if size != 1]
    if len(shape) < 3 or extra:
        what = f"a series of {extra[0]} volumes" if extra else f"{len(shape)} axes"
        raise UnreadableVolume(path, f"has {what}; a volume must have three axes, {', '.join(NAMES)}")
    if 0 in shape:
        raise UnreadableVolume(path, "has no voxels")
    if np.prod(shape, dtype=float) > MOST_VOXELS:
        raise UnreadableVolume(path, f"is too large: a volume may have at most {MOST_VOXELS:,} voxels")


def _checked(path, voxels):
    """float32 (X, Y, Z) of an array that may have further axes of size 1."""
    _check_shape(path, voxels.shape)
    voxels = voxels.reshape(voxels.shape[:3]).astype(np.float32)
    if not np.isfinite(voxels).all():
        raise UnreadableVolume(path, "has voxels that are no finite numbers")
    return voxels


def fitted(voxels, spacing, shape, wanted):
    """Voxels at another spacing, in the middle of a volume of another shape: float32 `shape`.

    What is beyond the new shape is cut off on both sides alike; where there was nothing, there is the smallest value.
    The middle stays in the middle: a voxel of the result has the value that linear interpolation gives at its centre,
    of the volume averaged beforehand where voxels become larger.

    Args:
        voxels: float (X, Y, Z).
        spacing: (3,) millimetres.
        shape: (3,) of the result.
        wanted: (3,) millimetres of the result; None: as `spacing`.
    """
    from scipy import ndimage

    step = np.ones(3) if wanted is None else np.asarray(wanted, float) / np.asarray(spacing, float)
    voxels = np.asarray(voxels, np.float32)
    same = np.allclose(step, 1)
    if not same and (step > 1).any():
        voxels = ndimage.gaussian_filter(voxels, np.maximum(0, step - 1) / 2, mode="nearest")
    offset = (np.array(voxels.shape) - 1) / 2 - step * (np.array(shape) - 1) / 2
    if same:  # whole voxels are cut or added, whose values stay as they are
        step, offset = np.ones(3), np.floor(offset)
    else:  # the outer half of a border's voxels has their value
        voxels, offset = np.pad(voxels, 1, mode="edge"), offset + 1
    return ndimage.affine_transform(
        voxels, step, offset, tuple(shape), order=0 if same else 1, mode="constant", cval=float(voxels.min())
    ).astype(np.float32)
