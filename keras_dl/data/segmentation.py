"""Images and volumes with a mask each: drawn shapes (embedded), CamVid, the hippocampus, or the user's own pairs.

A user's folder has a folder of images and one of masks beside each other, by any of the names in PAIRS, at its top or
in each of its splits; a mask has its image's name. CamVid's own layout, train/ beside trainannot/, is read too.
"""

import collections
import dataclasses

import numpy as np

from keras_dl.arguments import OrAuto, Seed, Text, Whole, checked
from keras_dl.data import camvid, hippocampus, own_files, shapes
from keras_dl.data.examples import OWN, PARTS, Examples, Info, Splits, counts
from keras_dl.data.facts import Facts
from keras_dl.data.nearest import nearest
from keras_dl.data.split_names import split_of
from keras_dl.errors import UserError
from keras_dl.features import image as images_of
from keras_dl.features import masks, reading, volume_files
from keras_dl.features.image import Image, Preprocess
from keras_dl.features.masks import IGNORED
from keras_dl.features.volumes import SpacedVolumes, resampled_labels
from keras_dl.imports import quiet_tensorflow
from keras_dl.waiting import waiting
from keras_dl.wording import counted

with quiet_tensorflow():
    import tensorflow as tf

WHO = "segmentation.load"  # the name of `load` in messages
SETS = {
    "shapes": "shapes drawn with the seed, in two dimensions",
    "shapes3d": "solids drawn with the seed, in three dimensions",
    "camvid": "CamVid, Brostow et al. 2009, reduced to 240 x 180 pixels",
    "hippocampus": "Medical Segmentation Decathlon, Task04, the first 64 volumes",
}
LICENCES = {"shapes": "public domain", "shapes3d": "public domain", "camvid": camvid.LICENCE,
            "hippocampus": hippocampus.LICENCE}  # fmt: skip
PAIRS = {"images": ("masks", "labels", "annotations"), "imagestr": ("labelstr",)}  # folders, in lower case
USUAL, LARGEST = 128, 1024  # pixels of an image's longer side, unless others are asked for; at most
HELD_OUT = 0.15  # share of the pairs for each split that a folder does not have
MULTIPLE = 4  # of which the sides of a volume's grid are
MOST_NAMED = 3  # files that a message lists
VOLUMES = (".nii", ".gz", ".npy")


@waiting("loading the images and their masks ...")
@checked(who=WHO)
def load(
    name: Text,
    seed: Seed = 0,
    *,
    image_size: OrAuto(Whole(8, LARGEST)) | None = None,
    ignore_label: Whole(0, 255) = IGNORED,
):
    """Load images or volumes with their masks.

    Args:
        name: one of SETS, or a folder of pairs.
        seed: draws the embedded shapes, and the splits that a folder does not have.
        image_size: pixels of the longer side to which a folder's images are resized, stretched to the shape that most
            of them have; None or "auto": theirs, at most USUAL.
        ignore_label: the value of a folder's masks that is no class.

    Returns:
        Splits of {"image": uint8 (N, H, W, 3)} or {"volume": float32 (N, D, H, W), from 0 to 1}, and {"mask": uint8
        (N, H, W) or (N, D, H, W)}: the class of every pixel, IGNORED (255) where there is none. A folder's classes have
        the names that the lines of its classes.txt say, the first for 0; without that file those values are classes
        that the training masks have, up to the largest. The preprocess is a features.image.Preprocess or a
        features.volumes.SpacedVolumes.

    Raises:
        UserError: no such set or folder, or archives of a set that are not there; and of a folder, with the file's
            name: an image without a mask or the reverse, a mask of another size or place than its image, of colours or
            of another palette than the others, or with a value that is no class; too few pairs; only one class.
    """
    own = name not in SETS
    notes, details = (), {}
    if name in ("shapes", "shapes3d"):
        dimensions = 2 if name == "shapes" else 3
        drawn, classes = shapes.draw(seed, dimensions), shapes.CLASSES if dimensions == 2 else shapes.CLASSES_3D
        if dimensions == 2:
            splits, preprocess = _of_images(drawn)
        else:
            pairs = {
                part: [tuple(map(_volume, pair)) for pair in zip(*drawn[part], strict=True)] for part in PARTS
            }  # fmt: skip
            splits, preprocess = _of_volumes(pairs)
    elif name == "camvid":
        loaded, classes = camvid.load(), camvid.CLASSES
        splits, preprocess = _of_images(
            {part: (of[0], np.where(of[1] == camvid.UNLABELLED, IGNORED, of[1])) for part, of in loaded.items()}
        )
    elif name == "hippocampus":
        classes = hippocampus.CLASSES
        splits, preprocess = _of_volumes(hippocampus.load())
    else:
        size = None if image_size in (None, "auto") else image_size
        splits, preprocess, classes, name, notes = _folder(name, seed, size, ignore_label)
    features = {"mask": {"classes": tuple(classes)}}
    source, licence = (f"folder {name}", OWN) if own else (SETS[name], LICENCES[name])
    info = Info(name, source, features, counts(splits), details, licence)
    return Splits(**splits, info=info, preprocess=preprocess, notes=tuple(notes), facts=Masks())


def collate(preprocess):
    """The `collate` of data.batches: raw -> (x, y), x the model's input, y int32 (B, H, W) or (B, D, H, W) with
    IGNORED where there is no class, for segmentation.SegmentationLoss.

    Args:
        preprocess: of the splits.
    """

    def collated(raw):
        x = raw["volume"][..., None] if "volume" in raw else preprocess(raw["image"])
        return x, tf.cast(raw["mask"], tf.int32)

    return collated


def pixels_of_classes(labels, num_classes):
    """int (K,): how many pixels each class has; those of IGNORED do not count."""
    return np.bincount(np.ravel(labels), minlength=256)[:num_classes]


@dataclasses.dataclass(frozen=True)
class MovedTogether:
    """Random shifts and mirroring of image (or volume) and mask alike, by (seed, epoch, example).

    What comes in at an edge is 0 in a volume, the nearest pixel in an image, and ignored in the mask.

    Attributes:
        shift: pixels, the most along each axis.
        flip: whether half of the examples are mirrored left to right: the last axis of an image; volumes are not.
    """

    shift: int
    flip: bool = False

    def draw(self, seed, epoch, size):
        """int32 (size, 4): shifts along three axes, of which images use two, and 0 or 1 to mirror."""
        rng = np.random.default_rng((seed, epoch, 1))
        shifts = rng.integers(-self.shift, self.shift + 1, (size, 3))
        mirrored = rng.integers(0, 2, (size, 1)) * self.flip
        return np.concatenate([shifts, mirrored], 1).astype(np.int32)

    def __call__(self, raw, draws):
        """Move "image" or "volume", and "mask", of a raw batch."""
        mask = raw["mask"]
        sizes = mask.shape[1:]
        moved, outside = dict(raw), tf.zeros([1] * len(mask.shape), tf.bool)
        for axis, size in enumerate(sizes):
            at = tf.range(size)[None] + draws[:, axis : axis + 1]
            if self.flip and len(sizes) == 2 and axis == 1:
                at = tf.where(draws[:, 3:] == 1, size - 1 - at, at)
            beyond = (at < 0) | (at >= size)
            along = [-1, *[size if other == axis else 1 for other in range(len(sizes))]]
            outside |= tf.reshape(beyond, along)
            at = tf.clip_by_value(at, 0, size - 1)
            for name in moved.keys() & {"image", "volume", "mask"}:
                moved[name] = _gathered(moved[name], at, axis + 1)
        moved["mask"] = tf.where(outside, tf.constant(IGNORED, mask.dtype), moved["mask"])
        if "volume" in moved:
            moved["volume"] = tf.where(outside, 0.0, moved["volume"])
        return moved


def _gathered(values, at, axis):
    """Rows `at` (B, n) of one axis of (B, ...), different ones for each example."""
    order = [0, axis, *[other for other in range(1, len(values.shape)) if other != axis]]
    back = [order.index(axis_of) for axis_of in range(len(order))]
    shape = values.shape
    moved = tf.transpose(tf.gather(tf.transpose(values, order), at, batch_dims=1), back)
    return tf.ensure_shape(moved, shape)


class Masks(Facts):
    """The facts of images and volumes with masks."""

    unit = "pairs"
    accuracy = False

    def baseline(self, splits):
        """The mean IoU of the class that has most pixels in training, answered everywhere."""
        held = splits.validation.features["mask"]
        held = held[held != IGNORED]
        frequency = np.bincount(np.ravel(splits.train.features["mask"]), minlength=256)[: splits.info.num_classes]
        most = int(frequency.argmax())
        present = np.union1d(np.unique(held), [most])
        value = float(np.mean(held == most) / len(present)) if held.size else 0.0
        return {"metric": "mean_iou", "value": value, "what": f"'{splits.info.classes[most]}' everywhere"}


def _of_images(parts):
    """({split: Examples}, Preprocess) of {split: (uint8 (N, H, W, 3), uint8 (N, H, W))}."""
    splits = {part: Examples({"image": of[0], "mask": of[1].astype(np.uint8)}) for part, of in parts.items()}
    train = splits["train"].features["image"]
    return splits, Preprocess.of(train, train.shape[1:], "stretch")


def _of_volumes(parts):
    """({split: Examples}, SpacedVolumes) of {split: [(image Volume, label Volume)]}."""
    every = [pair[0] for of in parts.values() for pair in of]
    spacing = tuple(round(float(mm), 4) for mm in np.median([volume.spacing for volume in every], 0))
    blank = SpacedVolumes((1, 1, 1, 1), spacing)
    largest = np.max([blank.size(volume.shape, volume.spacing).numpy() for volume in every], 0)
    grid = tuple(int(-(-side // MULTIPLE) * MULTIPLE) for side in largest)
    if np.prod(grid, dtype=np.float64) * len(every) > 2**30:
        raise UserError(f"{WHO}: the volumes may have at most {2**30:,} voxels of {spacing} mm in all; take fewer.")
    preprocess, splits = SpacedVolumes((*grid, 1), spacing), {}
    specs = [tf.TensorSpec([None] * 3, tf.float32), tf.TensorSpec([3], tf.float32)]
    prepared_as = tf.function(lambda *of: preprocess(*of)[..., 0], input_signature=specs, autograph=False)
    for part, pairs in parts.items():
        stacks = [], []
        for image, label in pairs:
            size = preprocess.size(image.shape, image.spacing).numpy()
            scan = prepared_as(image.voxels, image.spacing)
            labels = resampled_labels(label.voxels.astype(np.uint8), size)
            for stack, value in zip(stacks, (scan, preprocess.put(tf.constant(labels), IGNORED)), strict=True):
                stack.append(value.numpy())
        splits[part] = Examples({"volume": np.stack(stacks[0]), "mask": np.stack(stacks[1])})
    return splits, preprocess


def _volume(voxels):
    return volume_files.Volume(voxels, file_shape=voxels.shape)


def _folder(name, seed, image_size, ignore_label):
    """(splits, preprocess, classes, name, notes) of a user's folder of pairs."""
    root = own_files.root_of(name, WHO)
    if root is None:
        raise UserError(f'{WHO}: no set or folder "{name}"{nearest(name, SETS)}. Sets: {", ".join(sorted(SETS))}.')
    paths, of_volumes = _pairs(root)
    read, refused = collections.defaultdict(list), collections.defaultdict(list)
    palettes = collections.Counter()
    for part, pairs in paths.items():
        for image, mask in pairs:
            try:
                value, palette = (_volume_pair if of_volumes else _image_pair)(image, mask)
            except UserError as error:
                place, what = (mask, mask) if str(error).startswith(str(mask)) else (image, image)
                refused[str(error).removeprefix(f"{what} ").rstrip(".")].append(str(place.relative_to(root)))
                continue
            palettes[palette] += 1
            read[part].append((*value, mask, palette))
    usual = palettes.most_common(1)[0][0] if palettes else None
    for of_part in read.values():
        for *_, mask, palette in of_part:
            if palette != usual:
                refused["has another palette than most masks"].append(str(mask.relative_to(root)))
    _refuse(root, refused)
    classes, labels = _classes(root, read, ignore_label)
    for of_part in read.values():
        for _, label, mask, _ in of_part:
            values = np.unique(label.voxels if of_volumes else label)
            unknown = [int(one) for one in values if one not in labels and one != ignore_label]
            if unknown:
                refused[
                    f"has the value {unknown[0]}, which is no class ({len(classes)} classes) and not ignored"
                ].append(str(mask.relative_to(root)))
    _refuse(root, refused)
    pairs = {part: [(value, label) for value, label, *_ in of_part] for part, of_part in read.items()}
    pairs, notes = _held_out(root, pairs, seed)
    pairs = {part: [(image, _ignored(label, ignore_label)) for image, label in of] for part, of in pairs.items()}
    if of_volumes:
        splits, preprocess = _of_volumes(pairs)
    else:
        shape = _shape([image.shape[:2] for of in pairs.values() for image, _ in of], image_size)
        splits, preprocess = _of_images({part: _stacked(of, shape) for part, of in pairs.items()})
        notes.append(f"images are read as {shape[0]} x {shape[1]} pixels (height x width)")
    return splits, preprocess, classes, root.resolve().name, notes


def _pairs(root):
    """({split or WHOLE: [(image path, mask path)]}, whether they are volumes); partners are checked."""
    found, missing = {}, collections.defaultdict(list)
    for part, (images, labels) in _places(root).items():
        by_stem = [_by_stem(folder) for folder in (images, labels)]
        for stem in sorted(by_stem[0].keys() | by_stem[1].keys()):
            if stem not in by_stem[1]:
                missing[f"has no mask in {labels.relative_to(root)}/"].append(str(by_stem[0][stem].relative_to(root)))
            elif stem not in by_stem[0]:
                missing[f"has no image in {images.relative_to(root)}/"].append(str(by_stem[1][stem].relative_to(root)))
        found[part] = [(by_stem[0][stem], by_stem[1][stem]) for stem in sorted(by_stem[0].keys() & by_stem[1].keys())]
    _refuse(root, missing)
    every = [image for of in found.values() for image, _ in of]
    kinds = {image.suffix.lower() in VOLUMES for image in every}
    if len(kinds) != 1:
        what = "neither images nor volumes" if not kinds else "images and volumes in one folder"
        raise UserError(f"{WHO}: {root} has {what}; it must have pairs of one kind.")
    return found, kinds.pop()


def _places(root):
    """{split or WHOLE: (folder of images, folder of masks)}.

    Raises:
        UserError: there are none.
    """
    pair = _pair_in(root)
    if pair:
        return {own_files.WHOLE: pair}
    places = {}
    for folder in own_files.sub_folders(root):
        split = split_of(folder.name)
        beside = root / f"{folder.name}annot"
        inside = (folder, beside) if beside.is_dir() else _pair_in(folder)
        if split and inside:
            places[split] = inside
    if "train" not in places:
        raise UserError(
            f"{WHO}: {root} must have the folders images/ and masks/ (or labels/), at its top or in train/; it has "
            f"{', '.join(path.name for path in own_files.sub_folders(root)) or 'no folders'}."
        )
    return places


def _pair_in(folder):
    inside = {path.name.lower(): path for path in own_files.sub_folders(folder)}
    for images, labels in PAIRS.items():
        for label in labels:
            if images in inside and label in inside:
                return inside[images], inside[label]
    return None


def _by_stem(folder):
    """{name without its ending: path} of the pictures and volumes of a folder."""
    endings = (*images_of.SUFFIXES, *VOLUMES)
    return {
        path.name.removesuffix(".gz").rsplit(".", 1)[0]: path
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith(".") and path.suffix.lower() in endings
    }


def _refuse(root, reasons):
    """Raise UserError if {reason: [file]} has any."""
    if not reasons:
        return
    said = []
    for reason, names in reasons.items():
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        said.append(f"{', '.join(names[:MOST_NAMED])}{more}: {reason}")
    raise UserError(f"{WHO}: {root}: {'; '.join(said)}.")


def _image_pair(image, mask):
    """((pixels, labels), palette) of two files; UserError that begins with the file's name."""
    preprocess = Preprocess((1, 1, 3), (0.0,), (1.0,), 0.0)
    pixels = Image(preprocess).read(Image(preprocess).check(str(image)))
    labels, palette = masks.read(mask)
    if labels.shape != pixels.shape[:2]:
        raise UserError(f"{mask} is {_by(labels.shape)}, and its image {_by(pixels.shape[:2])} (height x width).")
    return (pixels, labels), palette


def _volume_pair(image, mask):
    scan, labels = volume_files.read(image), volume_files.read(mask)
    if scan.shape != labels.shape:
        raise UserError(f"{mask} is {_by(labels.shape)}, and its image {_by(scan.shape)}.")
    if not scan.same_place(labels):
        raise UserError(f"{mask} lies elsewhere in space than its image: their affines differ.")
    whole = labels.voxels
    if (whole != np.round(whole)).any() or whole.min() < 0 or whole.max() > 255:
        raise UserError(f"{mask} must have whole numbers from 0 to 255.")
    return (scan, dataclasses.replace(labels, voxels=whole.astype(np.uint8))), None


def _by(shape):
    return " x ".join(map(str, shape))


def _classes(root, read, ignore_label):
    """(names, the values that are classes) by classes.txt, else by the training masks."""
    listed = root / "classes.txt"
    if listed.is_file():
        names = [line.strip() for line in reading.lines(reading.read(listed, WHO)) if line.strip()]
        values = set(range(len(names)))
    else:
        part = "train" if "train" in read else own_files.WHOLE
        seen = {
            int(value)
            for _, label, *_ in read.get(part, ())
            for value in np.unique(getattr(label, "voxels", label))
            if value != ignore_label
        }
        if seen and max(seen) > max(2 * len(seen), 20):
            raise UserError(
                f"{WHO}: {root}: the masks have {counted(len(seen), 'values')} up to {max(seen)}, which are no numbers "
                "of classes from 0 on; name the classes in classes.txt, one a line, and number them so."
            )
        names, values = [f"class {value}" for value in range(max(seen, default=0) + 1)], seen
    if len(names) < 2 or len(names) > masks.MOST_CLASSES:
        raise UserError(
            f"{WHO}: {root}: there must be 2 to {masks.MOST_CLASSES} classes besides the ignored label {ignore_label}; "
            f"got {len(names)}."
        )
    return tuple(names), values


def _ignored(label, ignore_label):
    values = getattr(label, "voxels", label)
    values = np.where(values == ignore_label, IGNORED, values).astype(np.uint8)
    return dataclasses.replace(label, voxels=values) if hasattr(label, "voxels") else values


def _held_out(root, pairs, seed):
    """({split: pairs}, notes): the splits that a folder does not have are held out of train."""
    pairs = dict(pairs)
    notes, rng = [], np.random.default_rng(seed)
    whole = own_files.WHOLE in pairs
    pairs["train"] = pairs.pop(own_files.WHOLE, None) or pairs.get("train", [])
    absent = [part for part in ("test", "validation") if not pairs.get(part)]
    if len(pairs["train"]) < 1 + len(absent):
        raise UserError(f"{WHO}: {root} must have {1 + len(absent)} or more pairs; got {len(pairs['train'])}.")
    for part in absent:
        rest, held = own_files.hold_out(len(pairs["train"]), HELD_OUT, rng)
        pairs[part], pairs["train"] = [pairs["train"][row] for row in held], [pairs["train"][row] for row in rest]
        if not whole:
            notes.append(f"no {part} split in {root}: {counted(len(held), 'pairs')} of train held out for it")
    return {part: pairs[part] for part in PARTS}, notes


def _shape(sizes, longer):
    """(H, W) to which images are resized: the size that most have, with `longer` (or at most USUAL) as longer side."""
    usual = collections.Counter(sizes).most_common(1)[0][0]
    longer = longer or min(USUAL, max(usual))
    return tuple(max(8, round(side * longer / max(usual))) for side in usual)


def _stacked(pairs, shape):
    """(uint8 (N, H, W, 3), uint8 (N, H, W)) of pairs of any size."""
    blank = Preprocess((*shape, 3), (0.0,), (1.0,), 0.0)
    images = [blank.resize(image).numpy().astype(np.uint8) for image, _ in pairs]
    return np.stack(images), np.stack([masks.resized(label, shape) for _, label in pairs])
