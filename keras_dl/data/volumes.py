"""Volumes with their classes: solids (embedded), NPZ files in MedMNIST's layout, or a folder of NIfTI files."""

import dataclasses
import zipfile
from pathlib import Path

import numpy as np

from keras_dl.arguments import Seed, Text, Tuple, Whole, YesOrNo, checked
from keras_dl.data import files, solids
from keras_dl.data.examples import OWN, Examples, Info, Splits, counts
from keras_dl.data.facts import Facts
from keras_dl.data.nearest import nearest
from keras_dl.errors import UserError
from keras_dl.features import volume_files
from keras_dl.features.volumes import Volume, VolumeScaling
from keras_dl.imports import tensorflow as tf
from keras_dl.waiting import waiting
from keras_dl.wording import counted

WHO = "volumes.load"  # the name of `load` in messages
SETS = {"solids": "eight kinds of solids drawn from their equations, with noise"}
NPZ = {"train": "train", "validation": "val", "test": "test"}  # split: MedMNIST's name of it
USUAL = (16, 48)  # the least and the most voxels a side that are chosen for a user's own volumes
SIZES = ("smallest", "median", "largest")
MOST_VOXELS = 2**28  # of all volumes of a set: a gigabyte in float32


@waiting("loading the volumes ...")
@checked(who=WHO)
def load(
    name: Text,
    seed: Seed = 0,
    *,
    size: Tuple(Whole(4, 512), 3, 3) | None = None,
    skip_unreadable: YesOrNo = False,
):
    """Load volumes with their labels: Splits of {"volume": float32 (N, D, H, W), "label": int32 (N,)}.

    Args:
        name: "solids" (embedded); a .npz file with train_images, val_images, test_images (N, D, H, W) and their
            train_labels, ...; or a folder of .nii, .nii.gz or .npy files with one sub-folder per class.
        seed: draws the solids, and the splits of a folder.
        size: (D, H, W) to which a folder's volumes are cut or padded; None: the median of theirs, from 16 to 48. Its
            volumes are resampled to one spacing, the median of theirs, so that all of it fits.
        skip_unreadable: leave out a folder's unreadable files instead of refusing them.

    Returns:
        Splits, with a features.volumes.VolumeScaling as `preprocess`.

    Raises:
        UserError: no such set, file or folder (the nearest is named), a file that cannot be read or lacks an array, too
            few or too many volumes, or an argument that does not fit its annotation.
    """
    notes, own, spacing = (), name not in SETS, None
    if not own:
        drawn, classes = solids.draw(seed), solids.CLASSES
        parts = {part: {"volume": volumes, "label": labels} for part, (volumes, labels) in drawn.items()}
        source, licence = SETS[name], "public domain"
    elif name.lower().endswith(".npz"):
        parts, classes = _npz(name)
        source, licence = f"file {name}", OWN
    else:
        parts, classes, name, spacing, notes = _folder(name, seed, size, skip_unreadable)
        source, licence = f"folder {name}", OWN
    voxels = sum(part["volume"].size for part in parts.values())
    if voxels > MOST_VOXELS:
        raise UserError(f"{WHO}: {name} may have at most {MOST_VOXELS:,} voxels in all; got {voxels:,}.")
    splits = {part: Examples(features) for part, features in parts.items()}
    shape = tuple(int(side) for side in parts["train"]["volume"].shape[1:])
    about = {"volume": {"shape": shape}, "label": {"classes": tuple(classes)}}
    info = Info(name, source, about, counts(splits), {}, licence)
    return Splits(**splits, info=info, preprocess=VolumeScaling(shape, spacing), notes=tuple(notes), facts=Volumes())


@dataclasses.dataclass(frozen=True)
class Turns:
    """The 48 ways to put a cube onto itself, on raw batches: axes in another order and direction, mirrored or not.

    What happens to an example depends on (seed, epoch, example) alone. Axes of different sizes stay where they are: of
    a volume that is no cube, axes are only reversed.
    """

    SWAPS = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0), (0, 1, 1), (1, 1, 1))  # each order once; D, H then H, W, ...

    def draw(self, seed, epoch, size):
        """(size, 6) int32: which of D, H and W are reversed, and three times whether two axes are swapped."""
        rng = np.random.default_rng((seed, epoch, 1))  # plans shuffle with (seed, epoch): another stream
        reversed_axes, order = rng.integers(0, 2, (size, 3)), rng.integers(0, len(self.SWAPS), size)
        return np.concatenate([reversed_axes, np.array(self.SWAPS)[order]], 1).astype(np.int32)

    def __call__(self, raw, draws):
        """Turn the volumes of a raw batch {"volume": (B, D, H, W)}, as its draws (B, 6) say."""
        x = raw["volume"]
        cube = len(set(x.shape[1:])) == 1
        said = tf.cast(draws, tf.bool)[:, :, None, None, None]
        for axis in range(3):
            x = tf.where(said[:, axis], tf.reverse(x, [axis + 1]), x)
        for number, order in enumerate(((0, 2, 1, 3), (0, 1, 3, 2), (0, 2, 1, 3)) if cube else ()):
            x = tf.where(said[:, 3 + number], tf.transpose(x, order), x)
        return raw | {"volume": x}


class Volumes(Facts):
    """The facts of volumes with labels."""

    unit = "volumes"

    def sizes(self, splits):
        shape = " x ".join(map(str, splits.info.features["volume"]["shape"]))
        return {"what": "voxels of a volume as the model reads it", **dict.fromkeys(SIZES, shape)}


class _Files(Volume):
    """Volumes of files as they are, before a common size is known."""

    def read(self, source):
        try:
            return volume_files.read(source.content)
        except volume_files.UnreadableVolume as error:
            raise UserError(f"{source.place} {error.reason}.") from error


def _folder(name, seed, size, skip_unreadable):
    """({split: features}, classes, name, spacing, notes) of a folder of volumes."""
    near = f"{nearest(name, SETS)}. Sets: {', '.join(sorted(SETS))}; or a .npz file."
    with waiting(f"reading the volumes in {name} ..."):
        folder = files.read(
            name, _Files(), seed, WHO, labelled=True, skip_unreadable=skip_unreadable, advice=near
        )  # fmt: skip
    of_train = folder.values["train"]
    spacing = np.median([volume.spacing for volume in of_train], 0)
    if size is None:  # of most of them, at the common spacing
        extents = [np.array(volume.voxels.shape) * volume.spacing / spacing for volume in of_train]
        shape = np.clip(np.round(np.median(extents, 0)), *USUAL).astype(int)
        spacing = spacing * np.maximum(1, np.median(extents, 0) / shape)  # larger voxels, where there would be more
    else:
        shape = np.array(size)
    shape, spacing = tuple(map(int, shape)), tuple(round(float(step), 6) for step in spacing)
    parts = {
        part: {
            "volume": np.stack([volume_files.fitted(v.voxels, v.spacing, shape, spacing) for v in values]),
            "label": np.array(folder.labels[part], np.int32),
        }
        for part, values in folder.values.items()
    }
    every = [volume for values in folder.values.values() for volume in values]
    turned = sum(volume.turned() for volume in every)
    resampled = sum(not np.allclose(volume.spacing, spacing) for volume in every)
    notes = [*folder.notes]
    notes += [f"turned upright (right, front, up): {counted(turned, 'files')}"] if turned else []
    millimetres = " x ".join(f"{step:g}" for step in spacing)
    notes += [f"resampled to voxels of {millimetres} mm: {counted(resampled, 'files')}"] if resampled else []
    return parts, folder.classes, folder.name, spacing, notes


def _npz(name):
    """({split: features}, classes) of a file in MedMNIST's layout."""
    wanted = [f"{prefix}_{kind}" for prefix in NPZ.values() for kind in ("images", "labels")]
    try:
        with np.load(Path(name), allow_pickle=False) as file:
            arrays = {array: file[array] for array in wanted if array in file.files}
    except FileNotFoundError as error:
        raise UserError(f"{WHO}: no file {name}.") from error
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"{WHO}: {name} is no readable .npz file of numbers.") from error
    missing = [array for array in wanted if array not in arrays]
    if missing:
        raise UserError(f"{WHO}: {name} must have the arrays {', '.join(wanted)}; it lacks {', '.join(missing)}.")
    labels = np.concatenate([np.ravel(arrays[f"{prefix}_labels"]) for prefix in NPZ.values()])
    if labels.dtype.kind not in "iub" or (labels.size and labels.min() < 0):
        raise UserError(f"{WHO}: {name}: labels must be whole numbers from 0; got {labels.dtype} from {labels.min()}.")
    known = np.unique(labels)
    if len(known) < 2 or len(known) != known[-1] + 1:
        raise UserError(
            f"{WHO}: {name}: labels must be 0 to K - 1, each of them at least once, for K of 2 or more; got "
            f"{', '.join(map(str, known[:10]))}."
        )
    parts = {part: _part(name, prefix, arrays) for part, prefix in NPZ.items()}
    shapes = {features["volume"].shape[1:] for features in parts.values()}
    if len(shapes) > 1:
        raise UserError(f"{WHO}: {name}: volumes must have one shape; got {', '.join(map(str, sorted(shapes)))}.")
    return parts, tuple(str(label) for label in known)


def _part(name, prefix, arrays):
    """{"volume", "label"} of a split."""
    volumes, labels = arrays[f"{prefix}_images"], np.ravel(arrays[f"{prefix}_labels"])
    if volumes.ndim == 5 and volumes.shape[-1] == 1:
        volumes = volumes[..., 0]
    if volumes.ndim != 4 or volumes.dtype.kind not in "iufb" or not volumes.size:
        raise UserError(
            f"{WHO}: {name}: {prefix}_images must be numbers (N, D, H, W); got {volumes.dtype} {volumes.shape}."
        )
    if len(volumes) != len(labels):
        raise UserError(
            f"{WHO}: {name}: {prefix}_images and {prefix}_labels must be equally many; got {len(volumes)} and "
            f"{len(labels)}."
        )
    volumes = volumes.astype(np.float32)
    if not np.isfinite(volumes).all():
        raise UserError(f"{WHO}: {name}: {prefix}_images must be finite; some are not.")
    return {"volume": volumes, "label": labels.astype(np.int32)}
