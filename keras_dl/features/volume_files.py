"""Reads and writes volumes: NIfTI files of any orientation, spacing and scale, and NumPy files, with axes in mm.

nibabel reads the files. Whatever the order and the directions of a file's axes, the voxels of a Volume stand with the
first axis from left to right, the second from back to front and the third from below to above (NIfTI's "RAS").
"""

import dataclasses
import gzip
import io
import zlib
from pathlib import Path

import numpy as np

from keras_dl.atomic import atomic_file
from keras_dl.errors import UserError
from keras_dl.extras import needs

READING = "volumes: reading NIfTI files"
SUFFIXES = (".nii", ".nii.gz", ".npy")
MOST_VOXELS = 2**26  # of a file
MOST_SIDE = 1024  # voxels along an axis
THINNEST, THICKEST = 1e-3, 1e3  # mm, the spacing of voxels


class UnreadableVolume(UserError):
    """A file cannot be read as a volume; `reason` is the message after the file's name, without the full stop."""

    def __init__(self, path, reason):
        super().__init__(f"{path} {reason}.")
        self.reason = reason


@dataclasses.dataclass(frozen=True)
class Volume:
    """The content of a file.

    Attributes:
        voxels: float32 (X, Y, Z), the file's scale and offset applied, axes from left to right, from back to front and
            from below to above.
        spacing: (3,) mm between the middles of neighbouring voxels, along these axes.
        affine: float64 (4, 4), the file's own: from the indices of its voxels to mm.
        file_shape: of the file's array, such as (z, y, x) or (x, y, z, 1).
    """

    voxels: np.ndarray
    spacing: tuple = (1.0, 1.0, 1.0)
    affine: np.ndarray = dataclasses.field(default_factory=lambda: np.eye(4))
    file_shape: tuple = ()

    @property
    def shape(self):
        return self.voxels.shape

    def same_place(self, other):
        """Whether the voxels of another Volume lie where these do, to a hundredth of a mm at each corner."""
        if self.file_shape[:3] != other.file_shape[:3]:
            return False
        corners = np.array(np.meshgrid(*[(0, side - 1) for side in self.file_shape[:3]], [1], indexing="ij"))
        moved = np.abs(np.tensordot(self.affine - other.affine, corners, 1))
        return bool(moved.max() < 0.01)


def read(path):
    """Read a volume of a NIfTI file (.nii, .nii.gz), or of a NumPy file (.npy) with voxels of 1 mm.

    Args:
        path: path of the file.

    Returns:
        Volume. An array (x, y, z, 1) is taken for one of three axes.

    Raises:
        UnreadableVolume: the file cannot be read, is empty or cut short; it has colours, several volumes or fewer than
            three axes; it is too large; its voxels are no finite numbers, or their spacing is none.
        UserError: nibabel is not installed.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UnreadableVolume(path, f"cannot be read: {error.strerror or error}") from error
    if not data:
        raise UnreadableVolume(path, "is empty: it has 0 bytes")
    return _of_numpy(path, data) if path.suffix.lower() == ".npy" else _of_nifti(path, data)


def write(voxels, path, like=None):
    """Write voxels as .nii.gz, .nii or .npy, whole or not at all.

    Args:
        voxels: (X, Y, Z), with the axes of Volume.voxels. Whole numbers are written as such.
        path: its ending says the kind of file.
        like: a Volume of the same shape: a NIfTI file then has the affine and the shape of its file, with the axes in
            that file's order. None: voxels of 1 mm.

    Raises:
        ValueError: `like` has another shape.
        UserError: nibabel is not installed.
    """
    path, voxels = Path(path), np.asarray(voxels)
    if path.name.lower().endswith(".npy"):
        with atomic_file(path) as file:
            np.save(file, voxels)
        return
    nibabel = needs("nibabel", "signals", "volumes: writing NIfTI files")
    like = like or Volume(voxels, file_shape=voxels.shape)
    if like.shape != voxels.shape:
        raise ValueError(f"volume_files.write: voxels must be {like.shape}, as those of `like`; got {voxels.shape}.")
    turned = _turned_back(nibabel, voxels, like.affine).reshape(like.file_shape or voxels.shape)
    kinds = {np.dtype(np.int64): np.int32, np.dtype(np.float64): np.float32, np.dtype(bool): np.uint8}
    turned = turned.astype(kinds.get(turned.dtype, turned.dtype))  # not every program reads all of NIfTI's
    image = nibabel.Nifti1Image(turned, like.affine)
    image.header.set_xyzt_units("mm")
    data = image.to_bytes()
    with atomic_file(path) as file:
        file.write(gzip.compress(data, mtime=0) if path.suffix.lower() == ".gz" else data)


def _of_numpy(path, data):
    try:
        voxels = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError) as error:
        raise UnreadableVolume(path, "is no readable NumPy file of numbers") from error
    if not isinstance(voxels, np.ndarray) or voxels.dtype.kind not in "buif":
        raise UnreadableVolume(path, "is no NumPy file of one array of real numbers")
    _check(path, voxels.shape)
    return Volume(_numbers(path, voxels.reshape(voxels.shape[:3])), file_shape=voxels.shape)


def _of_nifti(path, data):
    nibabel = needs("nibabel", "signals", READING)
    unreadable = "is no readable NIfTI file"
    try:
        if data[:2] == b"\x1f\x8b":
            with gzip.open(io.BytesIO(data)) as file:
                data = file.read(16 * MOST_VOXELS + 2**20)
        image = nibabel.Nifti1Image.from_bytes(data)
        kind = image.get_data_dtype()
        if kind.names or kind.kind not in "buif":
            what = "colours" if kind.names else f"voxels of kind {kind}"
            raise UnreadableVolume(path, f"must have one real number a voxel; it has {what}")
        _check(path, image.shape)
        affine = np.asarray(image.affine, np.float64)
        spacing = np.sqrt((affine[:3, :3] ** 2).sum(0))
        well = np.isfinite(affine).all() and (spacing >= THINNEST).all() and (spacing <= THICKEST).all()
        if not well or abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-3:
            raise UnreadableVolume(path, f"must have voxels of {THINNEST:g} to {THICKEST:g} mm along each axis")
        voxels = np.asarray(image.get_fdata(dtype=np.float32)).reshape(image.shape[:3])
        turns = nibabel.io_orientation(affine)
        voxels = np.ascontiguousarray(nibabel.apply_orientation(voxels, turns))
    except UserError:
        raise
    except (OSError, EOFError, ValueError, zlib.error, KeyError, np.linalg.LinAlgError) as error:
        raise UnreadableVolume(path, unreadable) from error
    except Exception as error:  # nibabel's own errors have no common class
        if type(error).__module__.startswith("nibabel"):
            raise UnreadableVolume(path, unreadable) from error
        raise
    of_axis = {int(axis): float(mm) for axis, mm in zip(turns[:, 0], spacing, strict=True)}
    return Volume(_numbers(path, voxels), tuple(of_axis[axis] for axis in range(3)), affine, tuple(image.shape))


def _turned_back(nibabel, voxels, affine):
    """Voxels with the axes of Volume.voxels -> with those of the file that has this affine."""
    turns = nibabel.io_orientation(affine)
    standard = nibabel.orientations.axcodes2ornt("RAS")
    back = nibabel.orientations.ornt_transform(standard, turns)
    return np.ascontiguousarray(nibabel.apply_orientation(voxels, back))


def _check(path, shape):
    """Refuse arrays that are no volume, or too large."""
    if len(shape) < 3 or any(size != 1 for size in shape[3:]):
        what = f"{shape[3]:,} volumes (it is 4-D)" if len(shape) == 4 else f"{len(shape)} axes"
        raise UnreadableVolume(path, f"must be one volume of three axes; it has {what}, {_sizes(shape)}")
    if min(shape) < 1 or max(shape) > MOST_SIDE or np.prod(shape, dtype=np.float64) > MOST_VOXELS:
        raise UnreadableVolume(
            path, f"must have 1 to {MOST_SIDE} voxels along each axis, {MOST_VOXELS:,} at most; got {_sizes(shape)}"
        )


def _numbers(path, voxels):
    voxels = voxels.astype(np.float32)
    if not np.isfinite(voxels).all():
        raise UnreadableVolume(path, "has voxels that are no finite numbers")
    return voxels


def _sizes(shape):
    return " x ".join(map(str, shape)) or "no axes"
