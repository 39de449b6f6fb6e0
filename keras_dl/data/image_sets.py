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


SETS = {
    "digits": _Set(
        (28, 28, 1), False, "none", "Alpaydin and Kaynak 1998, the UCI test set, shipped with scikit-learn",
        "CC BY 4.0",
        "the test split of digits is mostly of other writers than the training and validation splits: its accuracy is "
        "some points below the validation's, which is no fault of the model",
    ),
    "mnist": _Set((28, 28, 1), False, "none", "LeCun et al. 1998", "CC BY-SA 3.0"),
    "fashion_mnist": _Set((28, 28, 1), True, "none", "Xiao et al. 2017", "MIT"),
    "cifar10": _Set((32, 32, 3), True, "crop_flip", "Krizhevsky 2009", "none is stated; published for research"),
}  # fmt: skip
FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def load(name):
    """(train Examples, test Examples, class names) of the published splits."""
    make = None
    if name == "digits":
        from keras_dl.data.digits import Digits as make
    builder = prepared.builder(name, WHO, make)
    parts = []
    for split in ("train", "test"):
        # Everything at once, in the stored order; shuffling and batching are done by plans.
        dataset = builder.as_dataset(split=split, batch_size=-1, shuffle_files=False)
        features = {"image": dataset["image"].numpy(), "label": dataset["label"].numpy().astype(np.int32)}
        parts.append(Examples(features))
    classes = FASHION if name == "fashion_mnist" else tuple(builder.info.features["label"].names)
    return *parts, classes
