"""What people call the splits of their data, as names of folders and in names of files."""

import re

NAMES = {  # split: what people call it, in any letter case
    "train": ("train", "training", "trn", "trainval"),
    "validation": ("validation", "valid", "val", "dev", "development", "eval", "evaluation"),
    "test": ("test", "testing", "tst"),
}
SPLIT = {name: split for split, names in NAMES.items() for name in names}
# Words in the name of a split that may be ignored.
BESIDE = {"set", "data", "dataset", "split", "images", "pictures", "photos", "texts", "files", "seg"}


def split_of(name):
    """The split that a folder's name says; None if it says none, or has other words too.

    >>> [split_of(name) for name in ("Train", "training_set", "valset", "seg_test", "val2017", "test data")]
    ['train', 'train', 'validation', 'test', 'validation', 'test']
    >>> [split_of(name) for name in ("trains", "train_test", "test flight", "data", "2017")]
    [None, None, None, None, None]
    """
    words = [word if word in SPLIT else word.removesuffix("set") for word in re.split(r"[\W\d_]+", name.lower())]
    telling = {word for word in words if word and word not in BESIDE}
    return SPLIT.get(telling.pop()) if len(telling) == 1 else None
