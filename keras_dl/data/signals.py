"""Sounds or volumes with their classes, for a classifier; which of them it is follows from the name or the files."""

import dataclasses

import numpy as np

from keras_dl.arguments import Number, OneOf, Seed, Text, Whole, YesOrNo, checked
from keras_dl.data import audio, own_files, volumes, walking
from keras_dl.data.facts import Facts
from keras_dl.data.nearest import nearest
from keras_dl.errors import UserError
from keras_dl.features import volumes as volume_features
from keras_dl.features.waveform import Waveform

WHO = "signals.load"  # the name of `load` in messages
SETS = {**volumes.SETS, **audio.SETS}
TURNS = ("none", "all")
LONGEST = 10.0  # seconds of the model's input, unless more are asked for
COVERED = 95  # percent of the training recordings that are not cut
STEP = 0.1  # seconds, of which the length is a multiple


@checked(who=WHO)
def load(
    name: Text,
    seed: Seed = 0,
    *,
    rate: Whole(1000, 192_000) | None = None,
    seconds: Number("(0, 600]", near=1) | None = None,
    size: Whole(4, 512) | None = None,
    skip_unreadable: YesOrNo = False,
):
    """Load sounds or volumes with their labels.

    Args:
        name: "solids", "synthetic", "fsdd", a .npz file of volumes (data.volumes), or a folder with one sub-folder per
            class of sound files, or of NIfTI files.
        seed: draws the embedded sets, and the splits of a folder.
        rate: samples per second of a folder's recordings; None: that of most of them (data.audio).
        seconds: length of the sounds that the model reads; None: that of most training recordings, at most LONGEST.
        size: voxels a side of a folder's volumes; None: those of most of them (data.volumes).
        skip_unreadable: leave out a folder's unreadable files instead of refusing them.

    Returns:
        Splits of {"audio": Ragged int16 (T,), "label"}, whose preprocess is a features.waveform.Waveform, or of
        {"volume": float32 (N, D, H, W), "label"}, whose preprocess is a features.volumes.VolumeScaling.

    Raises:
        UserError: as of data.audio.load and data.volumes.load.
    """
    if has_volumes(name):
        sides = None if size is None else (size, size, size)
        return volumes.load(name, seed, size=sides, skip_unreadable=skip_unreadable)
    splits = audio.load(name, seed, rate=rate, label="class", skip_unreadable=skip_unreadable)
    of_file = splits.preprocess.rate
    if seconds is None:
        usual = np.percentile(splits.train.features["audio"].lengths, COVERED) / of_file
        seconds = min(LONGEST, STEP * max(1, np.ceil(round(usual / STEP, 6))))
    details = {**splits.info.details, "read_seconds": float(round(seconds, 3))}
    info = dataclasses.replace(splits.info, details=details)
    length = Waveform(of_file, max(1, round(seconds * of_file)))
    return dataclasses.replace(splits, info=info, preprocess=length, facts=Recordings())


@checked(who="signals.augmentation")
def augmentation(kind: OneOf("auto", *TURNS), info):
    """What changes the training examples of a data set; None for "none".

    Args:
        kind: "none"; "all", volumes are turned and mirrored (data.volumes.Turns); or "auto", "all" for solids, which
            are the same then, else "none".
        info: Info of the data set.

    Raises:
        UserError: sounds cannot be turned.
    """
    known = info.name in volumes.SETS and not info.own
    kind = {True: "all", False: "none"}[known] if kind == "auto" else kind
    if kind == "all" and "volume" not in info.features:
        raise UserError("--turns: all is for volumes; got sounds. Nearest: none.")
    return volumes.Turns() if kind == "all" else None


def has_volumes(name):
    """Whether a data set, file or folder is of volumes; of sounds if not.

    Raises:
        UserError: no such set or folder, or a folder with files of both kinds.
    """
    if name in SETS:
        return name in volumes.SETS
    if name.lower().endswith(".npz"):
        return True
    root = own_files.root_of(name, WHO)
    if root is None:
        raise UserError(
            f'{WHO}: no set or folder "{name}"{nearest(name, SETS)}. Sets: {", ".join(sorted(SETS))}; or a .npz file.'
        )
    endings = [path.name.lower() for path in walking.files(root)[0]]
    of_volumes = sum(ending.endswith(volume_features.SUFFIXES) for ending in endings)
    of_sounds = sum(ending.endswith(audio.Audio.suffixes) for ending in endings)
    if of_volumes and of_sounds:
        raise UserError(
            f"{WHO}: {name} must hold sound files or volumes, not both; got {of_sounds:,} and {of_volumes:,}."
        )
    return of_volumes > 0


class Recordings(Facts):
    """The facts of recordings with labels."""

    unit = "recordings"

    def sizes(self, splits):
        return audio.Sounds().sizes(splits)
