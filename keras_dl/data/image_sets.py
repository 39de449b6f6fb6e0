"""Published image sets, by their names in TensorFlow Datasets; a set that is on disk needs no network."""

import dataclasses

import numpy as np

from keras_dl.data import prepared
from keras_dl.data.examples import Examples

WHO = "images.load"  # the name of `load` in messages


@dataclasses.dataclass(frozen=True)
class _Set:
    input_shape: tuple
    flip: bool
    augment: str
    source: str
    licence: str
    test_split: str = ""  # a sentence on how the test split differs from the others
    labelled: bool = True
    binary: bool = False  # its pixels are 0 or 1, and stay so


SETS = {
    "digits": _Set(
        (28, 28, 1), False, "none", "Alpaydin and Kaynak 1998, the UCI test set, shipped with scikit-learn",
        "CC BY 4.0",
        "the test split of digits is mostly of other writers than the training and validation splits: its figures are "
        "worse than the validation's, an accuracy by some points, which is no fault of the model",
    ),
    "mnist": _Set((28, 28, 1), False, "none", "LeCun et al. 1998", "CC BY-SA 3.0"),
    "fashion_mnist": _Set((28, 28, 1), True, "none", "Xiao et al. 2017", "MIT"),
    "cifar10": _Set((32, 32, 3), True, "crop_flip", "Krizhevsky 2009", "none is stated; published for research"),
    "binarized_mnist": _Set(
        (28, 28, 1), False, "none",
        "Salakhutdinov and Murray 2008, a fixed binarisation of LeCun et al. 1998, in the splits of Larochelle",
        "CC BY-SA 3.0", labelled=False, binary=True,
    ),
}  # fmt: skip
FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


LABELLED = tuple(name for name, known in SETS.items() if known.labelled)
ONE_CLASS = ("pictures",)  # the only class of pictures without labels


def load(name):
    """({split: Examples} of the published splits: train, test and, if there is one, validation; class names).

    A set without labels has one class, and 0 and 255 for the bits of binary pixels.
    """
    make = None
    if name == "digits":
        from keras_dl.data.digits import Digits as make
    builder, known = prepared.builder(name, WHO, make), SETS[name]
    parts = {}
    for split in ("train", "validation", "test"):
        if split not in builder.info.splits:
            continue
        # Everything at once, in the stored order; shuffling and batching are done by plans.
        dataset = builder.as_dataset(split=split, batch_size=-1, shuffle_files=False)
        images = dataset["image"].numpy()
        labels = dataset["label"].numpy() if known.labelled else np.zeros(len(images))
        parts[split] = Examples({"image": images * 255 if known.binary else images, "label": labels.astype(np.int32)})
    if not known.labelled:
        return parts, ONE_CLASS
    return parts, FASHION if name == "fashion_mnist" else tuple(builder.info.features["label"].names)
