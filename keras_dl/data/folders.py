"""A folder of the user's own images: one sub-folder per class or, for models that need no labels, none.

Every file is read once, before training starts: unreadable files are reported then, not in the middle of an epoch.
A folder that has train/ and validation/ or test/ below it, by any of their usual names, keeps its own splits.
"""

import concurrent.futures
import contextlib
import functools
import hashlib
import math
import os
import tempfile

import numpy as np

from keras_dl.data import image_sets, own_files
from keras_dl.data.examples import PARTS, Examples
from keras_dl.data.nearest import nearest
from keras_dl.errors import UserError
from keras_dl.features.image import SUFFIXES
from keras_dl.waiting import waiting
from keras_dl.wording import counted, verb

WHO = "images.load"  # the name of `load` in messages
HELD_OUT = {"test": 0.15, "validation": 0.1}  # share of every class, for a split that the folder does not have
IN_MEMORY = 2 * 2**30  # bytes; beyond it the resized pixels stay in a file
LARGEST = 4096  # pixels per side
NO_PICTURE = "no picture inside"
WITHOUT_LABELS = ("model_images", "autoencode_images", "gan_images")  # the apps that take pictures without labels
USUAL = (16, 64)  # the least of usual_size, and the most unless the caller says another
SAMPLE = 100  # files whose headers usual_size reads


def load(name, seed, image_size, preprocess, skip_unreadable, labelled=True, most=USUAL[1], by_class=True):
    """Load the folder `name`.

    Args:
        image_size: S, side of the resized images in pixels; None: usual_size.
        preprocess: function (S, S, 3) -> the pre-processing of that input shape, which decodes and resizes.
        labelled: whether the folder must have classes. If not, pictures without sub-folders are one class.
        most: the most of usual_size.
        by_class: whether every class must be in every split. If not, splits are drawn whatever the classes are.

    Returns:
        ({split: Examples}, the folder's name without its parents, class names, notes, warnings, sizes: int (N, 2),
        height and width of all pictures as they were before they were resized).
    """
    root = own_files.root_of(name, WHO)
    if root is None:
        sets = sorted(image_sets.LABELLED if labelled else image_sets.SETS)
        raise UserError(f'{WHO}: no data set or folder "{name}"{nearest(name, sets)}. Sets: {", ".join(sets)}.')
    own = _find(root, labelled)
    image_size = image_size or usual_size(own, most)
    blank = preprocess((image_size, image_size, 3))
    pixels, kept, sizes = _read(own, image_size, blank, skip_unreadable, by_class)
    parts = {}
    for part in own.files:
        rows = np.array([i for i, (where, _) in enumerate(kept) if where == part], np.int64)
        labels = np.array([_label(own, kept[i][1]) for i in rows], np.int32)
        _check_sizes(labels, own, part, by_class and bool(own.classes))
        whole = len(own.files) == 1
        parts[part] = Examples({"image": pixels if whole else pixels[rows], "label": labels, "row": rows})
    parts["train"] = parts.pop(own_files.WHOLE, None) or parts["train"]
    notes = [*own.notes]
    for part in own.missing:
        share, drawn_by = HELD_OUT[part], seed + (part == "validation")
        parts["train"], parts[part] = hold_out(parts["train"], drawn_by, share, by_class)
        if own.has_splits:
            of = (
                f"every class of {own.folders['train'].name} is"
                if own.classes and by_class
                else f"the pictures of {own.folders['train'].name} are"
            )
            notes.append(own.held_out(part, f"{share:.0%} of {of}"))
    notes += own.left_out()
    rows_of = {part: parts[part].features["row"] for part in PARTS}
    warnings = _sentences_on_repeated_pictures(pixels, kept, rows_of, own)
    splits = {part: Examples({field: parts[part].features[field] for field in ("image", "label")}) for part in PARTS}
    return splits, root.resolve().name or "pictures", own.classes or image_sets.ONE_CLASS, notes, warnings, sizes


def usual_size(own, most=USUAL[1]):
    """The side in pixels to which a folder's pictures are resized unless the user says another, a multiple of 4.

    That of a square with as many pixels as the median of up to SAMPLE of the training pictures, from USUAL[0] to
    `most`: pictures are not enlarged, and of larger ones so many pixels are enough for a first baseline on a processor.
    """
    import tensorflow as tf

    from keras_dl.features import pictures

    files, counts = next(iter(own.files.values())), []
    for path in files[:: math.ceil(len(files) / SAMPLE)]:
        with contextlib.suppress(OSError, tf.errors.OpError, UserError):  # _read will report it
            counts.append(int(pictures.pixels(tf.constant(pictures.read(path)))))
    side = math.sqrt(np.median(counts)) if counts else most
    return int(np.clip(4 * round(side / 4), USUAL[0], most))


def hold_out(examples, seed, share, by_class=True):
    """Split Examples with labels into (rest, held-out part): a random share, at least one example.

    Args:
        examples: the Examples.
        seed: draws the part.
        share: of the part.
        by_class: whether it is that of every class.
    """
    labels = examples.features["label"]
    rng = np.random.default_rng(seed)
    rest, part = own_files.hold_out(len(labels), share, rng, labels if by_class else None)
    return examples.take(rest), examples.take(part)


def taken_without_labels():
    """Which apps take pictures without labels, for a message."""
    *others, last = WITHOUT_LABELS
    return f"pictures are taken by {', '.join(others)} and {last}"


def _find(root, labelled):
    """The OwnFiles of the folder `root`.

    Raises:
        UserError: own_files.find's, or the folder must have classes and has none.
    """
    if own_files.has_classes(root, WHO):
        return own_files.find(root, WHO, labelled=True)
    if not labelled:
        return own_files.find(root, WHO, SUFFIXES, "pictures")
    try:
        return own_files.find(root, WHO, labelled=True)
    except UserError as error:
        raise UserError(f"{error} Without classes, {taken_without_labels()}.") from error


def _label(own, path):
    """The label of a picture; 0 where there are no classes."""
    return own.label(path) if own.classes else 0


def _read(own, image_size, preprocess, skip_unreadable, by_class):
    """(pixels uint8 (N, S, S, C), their [(split, Path)], their sizes before, (N, 2)); C is 1 if all are grey."""
    import tensorflow as tf

    from keras_dl.features import pictures

    files = [(part, path) for part, paths in own.files.items() for path in paths]
    decoded = _decoder(preprocess)
    shape = (len(files), image_size, image_size, 3)
    pixels = np.zeros(shape, np.uint8) if math.prod(shape) <= IN_MEMORY else _zeros_in_a_file(shape)
    sizes = np.zeros((len(files), 2), np.int64)

    def read_into(row):
        """Read the file into its row of `pixels`; returns why it is unreadable, or "" if it is not."""
        path = files[row][1]
        try:
            picture, size = decoded(tf.constant(pictures.read(path)))
            pixels[row], sizes[row] = picture.numpy(), size.numpy()
        except OSError as error:
            return error.strerror
        except (tf.errors.OpError, UserError) as error:
            reason = pictures.reason(error)
            if reason != pictures.NO_FORMAT:
                return reason
            return NO_PICTURE if path.suffix.lower() in SUFFIXES else path.suffix or "no suffix"
        return ""

    reading = f"reading {counted(len(files), 'pictures')} in {own.root} ..."
    with waiting(reading), concurrent.futures.ThreadPoolExecutor(2) as pool:
        reasons = list(pool.map(read_into, range(len(files))))
    unreadable = [(path, reason) for (_, path), reason in zip(files, reasons, strict=True) if reason]
    own.refuse(unreadable, f"are no readable {pictures.READABLE}", skip_unreadable, WHO, by_class)
    good = np.array([not reason for reason in reasons], bool)
    kept = [file for file, ok in zip(files, good, strict=True) if ok]
    pixels = pixels if not unreadable else pixels[good]
    grey = all((rows[..., :1] == rows).all() for rows in np.array_split(pixels, max(1, len(pixels) // 1024)))
    return (np.ascontiguousarray(pixels[..., :1]) if grey else pixels), kept, sizes[good]


def _zeros_in_a_file(shape):
    """Zeros, uint8, in a temporary file that exists as long as the array does.

    Raises:
        UserError: the temporary folder has no room. The space is allocated at once, since a disk that is full on a
            later write would kill the process.
    """
    size = math.prod(shape)
    try:
        with tempfile.TemporaryFile() as file:
            os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, np.uint8, "r+", shape=shape)
    except OSError as error:
        raise UserError(
            f"{WHO}: {shape[0]:,} pictures of {shape[1]} x {shape[2]} need {size / 2**30:,.1f} GiB in a "
            f"temporary folder: {error.strerror}. Name one with more room, TMPDIR=..., or take a smaller --image-size."
        ) from error


@functools.cache  # traced once
def _decoder(preprocess):
    """The function from a file's bytes to (uint8 (S, S, 3), its height and width before)."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
    def decoded(data):
        picture = preprocess.decode(data)
        return tf.cast(preprocess.resize(picture), tf.uint8), tf.shape(picture)[:2]

    return decoded


def _check_sizes(labels, own, part, by_class):
    """Raise UserError if a split or, by class, one of its classes has too few pictures."""
    places = [own.folders[part] / name for name in own.classes] if by_class else [own.folders[part]]
    counts = np.bincount(labels, minlength=len(places)) if by_class else [len(labels)]
    for count, place in zip(counts, places, strict=True):
        if count < own.least(part):
            rest = "".join(f"; {sentence}" for sentence in own.left_out())
            who = "every class" if by_class else "every split" if own.has_splits else "a folder"
            least = counted(own.least(part), "readable images")
            raise UserError(f"{WHO}: {who} needs {least}; got {count} in {place}{rest}.")


def _sentences_on_repeated_pictures(pixels, kept, rows, own):
    """Sentences about pictures that occur more than once: those with the same pixels after resizing."""
    digests = [hashlib.blake2b(picture.tobytes(), digest_size=16).digest() for picture in pixels]
    first, notes = {}, []

    def name(row):
        return own.below(kept[row][1])

    for part, before in (("train", ""), ("validation", "train"), ("test", "train or validation")):
        again = [row for row in rows[part] if digests[row] in first]
        if again and before:
            pair = f"{name(again[0])} is {name(first[digests[again[0]]])}"
            repeated = f"{len(again):,} of {counted(len(rows[part]), 'pictures')} of the {part} split"
            notes.append(f"{repeated} {verb(len(again), 'are')} in {before} too: {pair}")
        for row in rows[part]:
            first.setdefault(digests[row], row)
    labels = {}
    for row, digest in enumerate(digests):
        labels.setdefault(digest, {}).setdefault(_label(own, kept[row][1]), row)
    several = [list(by_label.values()) for by_label in labels.values() if len(by_label) > 1]
    if several:
        pair = f"{name(several[0][0])} is {name(several[0][1])}"
        notes.append(
            f"{counted(len(several), 'pictures')} {verb(len(several), 'stand')} in more than one class: {pair}"
        )
    return tuple(notes)
