"""A folder of the user's own images, one sub-folder a class.

Every file is read once, before anything is trained: what cannot be read is named then, and an epoch never fails.
A folder that has train/ and test/ (and validation/ or val/) below it keeps its own splits.
"""

import concurrent.futures
import tempfile

import numpy as np

from keras_dl.data import Examples, Info, tfds_sets
from keras_dl.paths import expanded
from keras_dl.runtime import UserError

TEST = 0.15  # share of every class that is held out where the folder has no splits
VALIDATION = 0.1
IN_MEMORY = 2 * 2**30  # bytes; beyond it the resized pixels stay in a file
LARGEST = 4096  # pixels a side
NAMED = 5  # unreadable files that a message names


def load(name, seed, image_size, skip_unreadable):
    """(train, validation, test, Info) of the folder `name`."""
    from keras_dl.data import images

    root = expanded(name)
    if not root.is_dir():
        sets = ", ".join(sorted(tfds_sets.SETS))
        raise UserError(f'data.load: no data set or folder "{name}"{tfds_sets.nearest(name)}. Sets: {sets}.')
    if not 8 <= image_size <= LARGEST:
        raise UserError(f"data.load: image_size must be 8 to {LARGEST} pixels; got {image_size}.")
    given = _splits(root)
    classes = sorted({p.name for folder in given.values() for p in folder.iterdir() if _visible(p) and p.is_dir()})
    if len(classes) < 2:
        raise UserError(
            f"data.load: {root} must have one sub-folder a class and at least two of them; "
            f"got {len(classes)} ({', '.join(classes) or 'none'})."
        )
    files = [
        (part, label, path)
        for part, folder in given.items()
        for label, name_of_class in enumerate(classes)
        for path in sorted((folder / name_of_class).rglob("*"))
        if path.is_file() and all(map(_visible, [path, *path.relative_to(folder).parents]))
    ]
    pixels, kept = _read(files, image_size, skip_unreadable, root)
    examples = {}
    for part in given:
        rows = np.array([i for i, (where, _, _) in enumerate(kept) if where == part], np.int64)
        labels = np.array([kept[i][1] for i in rows], np.int32)
        _enough(labels, classes, root / part if part else root, 1 if len(given) > 1 else 3)
        examples[part] = Examples({"image": pixels[rows] if len(given) > 1 else pixels, "label": labels})
    if len(given) == 1:
        rest, examples["test"] = images.hold_out(examples[""], seed, TEST)
    else:
        rest = examples["train"]
    if "validation" not in examples:
        rest, examples["validation"] = images.hold_out(rest, seed + 1, VALIDATION)
    shape = tuple(pixels.shape[1:])
    info = Info(root.resolve().name, tuple(classes), shape, shape, True, "crop", f"folder {root.resolve().name}")
    return rest, examples["validation"], examples["test"], info


def _splits(root):
    """{split: folder} where the folder has its own, else {"": root}."""
    named = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
    found = {named[p.name]: p for p in root.iterdir() if p.name in named and p.is_dir()}
    return found if {"train", "test"} <= set(found) else {"": root}


def _read(files, image_size, skip_unreadable, root):
    """(pixels uint8 (N, S, S, C), the files that they are of); C is 1 where every picture is grey."""
    import tensorflow as tf

    from keras_dl.data.images import Preprocess

    preprocess = Preprocess((image_size, image_size, 3), (0.0,), (1.0,), 0.0)
    shape = (len(files), image_size, image_size, 3)
    if np.prod(shape) <= IN_MEMORY:
        pixels = np.zeros(shape, np.uint8)
    else:
        with tempfile.TemporaryFile() as file:  # mapped: it lasts as long as the array, and leaves nothing
            pixels = np.memmap(file, np.uint8, "w+", shape=shape)

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def read(path):
        return tf.cast(preprocess.resize(preprocess.decode(tf.io.read_file(path))), tf.uint8)

    def read_into(row):
        try:
            pixels[row] = read(tf.constant(str(files[row][2]))).numpy()
        except (tf.errors.OpError, ValueError):
            return False
        return True

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        good = np.fromiter(pool.map(read_into, range(len(files))), bool, len(files))
    bad = [str(path.relative_to(root)) for (_, _, path), ok in zip(files, good, strict=True) if not ok]
    if bad and not skip_unreadable:
        more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        raise UserError(
            f"data.load: {len(bad)} of {len(files)} files in {root} are no readable JPEG, PNG, GIF or BMP: "
            f"{', '.join(bad[:NAMED])}{more}. Remove them, or go on without them with --skip-unreadable."
        )
    kept = [file for file, ok in zip(files, good, strict=True) if ok]
    pixels = pixels if not bad else pixels[good]
    grey = all((rows[..., :1] == rows).all() for rows in np.array_split(pixels, max(1, len(pixels) // 1024)))
    return (np.ascontiguousarray(pixels[..., :1]) if grey else pixels), kept


def _enough(labels, classes, folder, least):
    counts = np.bincount(labels, minlength=len(classes))
    for count, name in zip(counts, classes, strict=True):
        if count < least:
            raise UserError(f"data.load: every class needs {least} readable images; got {count} in {folder / name}.")


def _visible(path):
    return not path.name.startswith(".")  # nor is a relative path's "." a name
