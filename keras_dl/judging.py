"""A classifier that judges what a generative model makes: which classes appear, and how far its features are off.

    judge = judging.trained(classifier, splits, run.path / "classifier.keras", seed=0)     or judging.exported("EXPORT")
    judge.coverage(samples)["shares"], judge.distance(samples, splits.validation.features["image"])

The features are what the classifier's last layer sees. They are of the project's own classifier of the same data, so the
distance is called "Fréchet distance in classifier features": it is no FID, whose features are Inception's.
"""

import os

import keras
import numpy as np
import tensorflow as tf

from keras_dl import cards, data, frechet, verification
from keras_dl.atomic import atomic_file
from keras_dl.errors import UserError
from keras_dl.features.image import Preprocess

AT_ONCE = 500  # pictures
MISSING = 0.01  # share of the samples below which a class counts as missing
UPDATES = 1500  # of the classifier's training, at most
EPOCHS = 30  # of it, at most
BATCH, RATE = 64, 2e-3


class Judge:
    """A trained classifier of pictures with its pre-processing.

    Args:
        classifier: keras.Model from pictures to logits (B, K), whose last layer is linear.
        preprocess: features.image.Preprocess, from uint8 (B, h, w, C) to what it takes.
        classes: K names.
        source: a phrase that says which classifier it is.

    Attributes:
        accuracy: on the validation split that it was made with; None: not known.
    """

    def __init__(self, classifier, preprocess, classes, source, accuracy=None):
        self.preprocess, self.classes, self.source = preprocess, tuple(map(str, classes)), source
        self.accuracy = accuracy
        both = keras.Model(classifier.input, [classifier.layers[-1].input, classifier.output])
        self.width = int(both.output_shape[0][-1])
        self._answer = tf.function(lambda pixels: both(preprocess(pixels), training=False), autograph=False)

    def __call__(self, pictures):
        """(features (N, D) float32, classes (N,) int) of pictures uint8 (N, h, w, C)."""
        features, best = [], []
        for start in range(0, len(pictures), AT_ONCE):
            some, logits = self._answer(tf.constant(pictures[start : start + AT_ONCE]))
            features.append(some.numpy())
            best.append(logits.numpy().argmax(-1))
        return np.concatenate(features), np.concatenate(best)

    def shares(self, best):
        """(K,) share of each class among the classes `best` (N,) of samples."""
        return np.bincount(best, minlength=len(self.classes)) / len(best)

    def missing(self, shares):
        """Names of the classes that have less than MISSING of the samples."""
        return [name for name, share in zip(self.classes, shares, strict=True) if share < MISSING]


def trained(classifier, splits, path, seed=0):
    """The Judge of labelled pictures: `classifier`, trained on their training split or read from `path`.

    Adam for at most EPOCHS epochs and UPDATES updates, a learning rate that falls to 0 by a cosine; the validation split is
    only used to say how good it is. The same seed gives the same classifier.

    Args:
        classifier: an uncompiled keras.Model from pictures (B, H, W, C) to logits (B, K).
        splits: data.Splits of "image" uint8 (N, H, W, C) and "label" (N,).
        path: of a .keras file. If it is there, it is read instead of training, so that a resumed run is judged by the
            same classifier; else it is written.
        seed: of the order of the examples.
    """
    shape, classes = splits.train.features["image"].shape[1:], splits.info.classes
    preprocess = Preprocess.of(splits.train.features["image"], shape)
    source = "a classifier of the same training pictures"
    collate = data.images.with_labels(preprocess)
    validation = data.batches(splits.validation, AT_ONCE, collate=collate)
    if path.exists():
        classifier = keras.saving.load_model(path, compile=False)
    else:
        train = data.batches(splits.train, BATCH, collate=collate, seed=seed, shuffle=True)
        epochs = max(1, min(EPOCHS, UPDATES // train.steps()))
        rate = keras.optimizers.schedules.CosineDecay(RATE, epochs * train.steps())
        classifier.compile(
            keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True), steps_per_execution=8
        )
        classifier.fit(train.dataset(epochs=epochs), steps_per_epoch=train.steps(), epochs=epochs, verbose=0)
        with atomic_file(path) as file:
            file.write(_bytes_of(classifier, path))
    judge = Judge(classifier, preprocess, classes, source)
    best = judge(splits.validation.features["image"])[1]
    judge.accuracy = float((best == splits.validation.features["label"]).mean())
    return judge


def exported(folder, *, trust=False):
    """The Judge of an export of classify_images: a folder, or a name as `predict` takes it.

    Raises:
        UserError: it is no export of a classifier of pictures, was changed, or was not written by this user.
    """
    place, card = cards.find(folder)
    inputs = cards.features_of(card, next(iter(card["endpoints"])), "inputs")
    feature = next((each for each in inputs.values() if isinstance(getattr(each, "preprocess", None), Preprocess)), None)
    if feature is None or card.get("app") != "classify_images":
        raise UserError(f"--classifier: must be an export of classify_images; got {folder}.")
    if not trust:
        verification.check(place, card)
    classifier = keras.saving.load_model(place / "model.keras", compile=False)
    classes = card["data"]["features"]["label"]["classes"]
    return Judge(classifier, feature.preprocess, classes, f"the classifier {os.path.basename(str(folder))}")


def _bytes_of(model, path):
    aside = path.with_name(f"{path.stem}-aside.keras")
    try:
        model.save(aside)
        return aside.read_bytes()
    finally:
        aside.unlink(missing_ok=True)
