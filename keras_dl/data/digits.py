"""The embedded data set: scikit-learn's 8x8 digits as a TFDS builder that downloads nothing.

The file is ordered by writer, so the last 360 images, the test split, were mostly written by people who are not in the
training split. Source: Alpaydin and Kaynak 1998, test part of the UCI set.
"""

import numpy as np
import tensorflow_datasets as tfds

TEST = 360
LEVELS = 16  # grey levels 0..16 in the file


class Digits(tfds.core.GeneratorBasedBuilder):
    """1,437 training and 360 test images of 8x8 pixels, grey levels 0..255, ten classes."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(8, 8, 1)),
            "label": tfds.features.ClassLabel(names=[str(digit) for digit in range(10)]),
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
            description="Handwritten digits, shipped with scikit-learn.",
            homepage="https://archive.ics.uci.edu/dataset/80",
        )

    def _split_generators(self, dl_manager):
        from sklearn.datasets import load_digits

        bunch = load_digits()
        images = np.round(bunch.images * 255 / LEVELS).astype(np.uint8)[..., None]
        return {
            "train": self._generate_examples(images[:-TEST], bunch.target[:-TEST]),
            "test": self._generate_examples(images[-TEST:], bunch.target[-TEST:]),
        }

    def _generate_examples(self, images, labels):
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield i, {"image": image, "label": int(label)}
