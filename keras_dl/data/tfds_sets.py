"""Image sets by their TensorFlow Datasets name, offline first."""

import dataclasses
import difflib
import os
import socket
import urllib.parse
from pathlib import Path

import numpy as np

from keras_dl.data.examples import Examples
from keras_dl.errors import UserError

PATIENCE = 3.0  # seconds for a host to answer before a set counts as not to be had


@dataclasses.dataclass(frozen=True)
class _Set:
    input_shape: tuple
    flip: bool
    augment: str
    source: str
    readable: tuple = ()  # names for people, where TFDS has none


SETS = {
    "digits": _Set((28, 28, 1), False, "none", "Alpaydin and Kaynak 1998, the UCI test set, shipped with scikit-learn"),
    "mnist": _Set((28, 28, 1), False, "none", "LeCun et al. 1998"),
    "fashion_mnist": _Set((28, 28, 1), True, "none", "Xiao et al. 2017"),
    "cifar10": _Set((32, 32, 3), True, "crop_flip", "Krizhevsky 2009"),
}
FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def load(name):
    """(train Examples, test Examples, names of the classes) of the published splits."""
    import tensorflow_datasets as tfds

    builder = _prepared(tfds, name)
    parts = []
    for split in ("train", "test"):
        # Everything at once, as stored: order and batches are made by plans.
        dataset = builder.as_dataset(split=split, batch_size=-1, shuffle_files=False)
        features = {"image": dataset["image"].numpy(), "label": dataset["label"].numpy().astype(np.int32)}
        parts.append(Examples(features))
    classes = FASHION if name == "fashion_mnist" else tuple(builder.info.features["label"].names)
    return *parts, classes


def folders():
    """Where prepared sets are looked for, first the one that a new set is written to."""
    default = Path(os.path.expanduser("~/tensorflow_datasets"))  # where there is no home, a folder named ~
    asked = os.environ.get("TFDS_DATA_DIR")
    return [Path(asked), default] if asked else [default]


def _prepared(tfds, name):
    """A builder whose data are on disk: found, made from what is shipped, or downloaded."""
    if name == "digits":
        from keras_dl.data.digits import Digits as make
    else:
        make = tfds.builder_cls(name)
    builder, prepared = builder_of(name, make)
    if prepared:
        return builder
    hosts = {urllib.parse.urlsplit(url).netloc for url in builder.url_infos or {}}
    silent = sorted(host for host in hosts if not _answers(host))
    if silent:
        looked = ", ".join(str(place / name) for place in folders())
        raise UserError(
            f"data.load: {name} is not prepared (looked in {looked}) and {silent[0]} does not answer; where there is "
            f"a network, `python -m tensorflow_datasets.scripts.cli.main build {name}` prepares it, then copy the "
            f"folder here or point TFDS_DATA_DIR at it."
        )
    tfds.display_progress_bar(False)
    builder.download_and_prepare()
    return builder


def builder_of(name, make):
    """(make's builder of the set `name`, whether its data are on disk): where they were found or can be written."""
    places = folders()
    for place in places:
        if (place / name).is_dir():
            builder = make(data_dir=place)
            if builder.data_path.exists():
                return builder, True
    return make(data_dir=_writable(places)), False


def _writable(places):
    """The first folder that can be written; the runs of a read-only home still get the embedded set."""
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(place, os.W_OK):
            return place
    raise UserError(f"data.load: none of {', '.join(map(str, places))} can be written; set TFDS_DATA_DIR.")


def _answers(host):
    try:
        socket.create_connection((host.partition(":")[0], int(host.partition(":")[2] or 443)), PATIENCE).close()
    except OSError:
        return False
    return True


def nearest(name, known=SETS):
    """The known set most like `name`, as the end of a message."""
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; nearest: {found[0]}" if found else ""
