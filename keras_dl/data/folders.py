"""A folder of the user's own images, one sub-folder a class.

Every file is read once, before anything is trained: what cannot be read is named then, and an epoch never fails.
A folder that has train/ and validation/ or test/ below it, by any of their usual names, keeps its own splits.
"""

import concurrent.futures
import functools
import hashlib
import math
import os
import tempfile
from collections import Counter

import numpy as np

from keras_dl.data import listing, tfds_sets, walking
from keras_dl.data.examples import Examples
from keras_dl.errors import UserError

SPLITS = ("train", "validation", "test")
TEST = 0.15  # share of every class that is held out where the folder has no test split
VALIDATION = 0.1
IN_MEMORY = 2 * 2**30  # bytes; beyond it the resized pixels stay in a file
LARGEST = 4096  # pixels a side
NAMED = 5  # unreadable files that a message names
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp")
NO_PICTURE = "no picture inside"


def load(name, seed, image_size, fit, skip_unreadable):
    """({split: Examples}, last name, names of the classes, notes) of the folder `name`."""
    from keras_dl.data import images

    root = listing.root_of(name)
    if root is None:
        sets = ", ".join(sorted(tfds_sets.SETS))
        raise UserError(f'images.load: no data set or folder "{name}"{tfds_sets.nearest(name)}. Sets: {sets}.')
    given = listing.splits(root)
    classes, notes = listing.classes(given)
    files, passed = listing.files(root, given, classes)
    pixels, kept = _read(files, image_size, fit, skip_unreadable, root, passed)
    missing = [part for part in ("validation", "test") if part not in given]
    parts = {}
    for part in given:
        rows = np.array([i for i, (where, _, _) in enumerate(kept) if where == part], np.int64)
        labels = np.array([kept[i][1] for i in rows], np.int32)
        _enough(labels, classes, given[part], 1 + len(missing) if part in ("", "train") else 1, passed)
        whole = len(given) == 1
        parts[part] = Examples({"image": pixels if whole else pixels[rows], "label": labels, "row": rows})
    rest = parts.get("train", parts.get(""))
    if "test" in missing:
        rest, parts["test"] = images.hold_out(rest, seed, TEST)
    if "validation" in missing:
        rest, parts["validation"] = images.hold_out(rest, seed + 1, VALIDATION)
    parts["train"] = rest
    if "" not in given:
        shares = {"validation": VALIDATION, "test": TEST}
        notes += tuple(
            f"no {part} split in {root}: {shares[part]:.0%} of every class of {given['train'].name} is held out as it"
            for part in reversed(missing)
        )
    notes += walking.sentences(passed) + _repeated(
        pixels, kept, {part: parts[part].features["row"] for part in SPLITS}, root
    )
    splits = {part: Examples({field: parts[part].features[field] for field in ("image", "label")}) for part in SPLITS}
    return splits, root.resolve().name or "pictures", classes, notes


def _read(files, image_size, fit, skip_unreadable, root, passed):
    """(pixels uint8 (N, S, S, C), the files that they are of); C is 1 where every picture is grey."""
    import tensorflow as tf

    from keras_dl.data import pictures

    decoded = _decoder(image_size, fit)
    shape = (len(files), image_size, image_size, 3)
    pixels = np.zeros(shape, np.uint8) if math.prod(shape) <= IN_MEMORY else _in_a_file(shape)

    def read_into(row):
        """Why the file is not read, or nothing."""
        path = files[row][2]
        try:
            pixels[row] = decoded(tf.constant(pictures.read(path))).numpy()
        except OSError as error:
            return error.strerror
        except (tf.errors.OpError, UserError) as error:
            reason = pictures.reason(error)
            if reason != pictures.NO_FORMAT:
                return reason
            return NO_PICTURE if path.suffix.lower() in SUFFIXES else path.suffix or "no suffix"
        return ""

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        reasons = list(pool.map(read_into, range(len(files))))
    bad = [(path, reason) for (_, _, path), reason in zip(files, reasons, strict=True) if reason]
    if bad and not skip_unreadable:
        names = ", ".join(listing.below(root, path) for path, _ in bad[:NAMED])
        names += f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        counts = ", ".join(f"{reason}: {count}" for reason, count in Counter(reason for _, reason in bad).items())
        raise UserError(
            f"images.load: {len(bad)} of {len(files)} files in {root} are no readable {pictures.READABLE}: "
            f"{names} ({counts}). Remove them, or go on without them with --skip-unreadable."
        )
    for path, reason in bad:
        passed.setdefault(f"not readable, {reason}", []).append(listing.below(root, path))
    good = np.array([not reason for reason in reasons], bool)
    kept = [file for file, ok in zip(files, good, strict=True) if ok]
    pixels = pixels if not bad else pixels[good]
    grey = all((rows[..., :1] == rows).all() for rows in np.array_split(pixels, max(1, len(pixels) // 1024)))
    return (np.ascontiguousarray(pixels[..., :1]) if grey else pixels), kept


def _in_a_file(shape):
    """Zeros, uint8, that stand on the disk for as long as the array lasts.

    Raises:
        UserError: the temporary folder has no room for them. It is taken now: a disk that is full later would end the
            process.
    """
    size = math.prod(shape)
    try:
        with tempfile.TemporaryFile() as file:
            os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, np.uint8, "r+", shape=shape)
    except OSError as error:
        raise UserError(
            f"images.load: {shape[0]:,} pictures of {shape[1]} x {shape[2]} need {size / 2**30:,.1f} GiB in a "
            f"temporary folder: {error.strerror}. Name one with more room, TMPDIR=..., or take a smaller --image-size."
        ) from error


@functools.cache  # traced once
def _decoder(image_size, fit):
    """Function of a file's bytes: uint8 (S, S, 3)."""
    import tensorflow as tf

    from keras_dl.data.images import Preprocess

    preprocess = Preprocess((image_size, image_size, 3), (0.0,), (1.0,), 0.0, fit)

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
    def decoded(data):
        return tf.cast(preprocess.resize(preprocess.decode(data)), tf.uint8)

    return decoded


def _enough(labels, classes, folder, least, passed):
    counts = np.bincount(labels, minlength=len(classes))
    for count, name in zip(counts, classes, strict=True):
        if count < least:
            rest = "".join(f"; {sentence}" for sentence in walking.sentences(passed))
            raise UserError(
                f"images.load: every class needs {least} readable images; got {count} in {folder / name}{rest}."
            )


def _repeated(pixels, kept, rows, root):
    """Sentences about pictures that stand there more than once: of the same pixels, once they are resized."""
    digests = [hashlib.blake2b(picture.tobytes(), digest_size=16).digest() for picture in pixels]
    first, notes = {}, []

    def name(row):
        return listing.below(root, kept[row][2])

    for part, before in (("train", ""), ("validation", "train"), ("test", "train or validation")):
        again = [row for row in rows[part] if digests[row] in first]
        if again and before:
            pair = f"{name(again[0])} is {name(first[digests[again[0]]])}"
            notes.append(f"{len(again)} of {len(rows[part])} pictures of the {part} split are in {before} too: {pair}")
        for row in rows[part]:
            first.setdefault(digests[row], row)
    labels = {}
    for row, digest in enumerate(digests):
        labels.setdefault(digest, {}).setdefault(kept[row][1], row)
    several = [list(by_label.values()) for by_label in labels.values() if len(by_label) > 1]
    if several:
        pair = f"{name(several[0][0])} is {name(several[0][1])}"
        notes.append(f"{len(several)} pictures stand in more than one class: {pair}")
    return tuple(notes)
