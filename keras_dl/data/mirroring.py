"""Whether a mirrored picture still belongs to its class, asked of the training pictures themselves.

A photograph of a dog may be mirrored; an arrow to the left, a digit or a letter may not. Nobody says which, so a linear
classifier is asked: it is trained on a part of the pictures, and answers for the others as they are and mirrored. Where
mirroring changes classes, or the pictures of a class all look to one side, it recognises fewer of the mirrored ones.
"""

import numpy as np

from keras_dl.imports import quiet_tensorflow
from keras_dl.wording import percent

SIDE = 16  # pixels to which pictures are reduced for the classifier
MOST = 2000  # pictures that are looked at
FOLDS = 5
CERTAIN = 3.0  # standard errors by which the classifier must be better than the most frequent class
MOST_LOST = 0.2  # share of what it knows beyond the most frequent class that it may lose when pictures are mirrored
ERRORS_OF_A_CLASS = 3.0  # standard errors by which a class may lose more pictures than it gains,
SHARE_OF_A_CLASS = 1 / 3  # unless it loses less than this share of those that are recognised


def keeps_classes(images, labels, seed):
    """Whether mirroring left and right leaves the classes of these training pictures as they are.

    It is answered with no unless the classifier recognises the pictures, and the mirrored ones nearly as well: over
    all, it may lose a fifth of what it has beyond the most frequent class, and no class may lose a third of its
    recognised pictures, if that is significant (three standard errors of the difference, as in McNemar's test).
    Measured on training pictures: of CIFAR-10 (two to five classes, 60 to 400 a class) it loses 5 points of accuracy at
    most where there are 90 or more a class; of arrows half of what it recognises.

    Args:
        images: uint8 (N, h, w, C).
        labels: (N,) of int.
        seed: draws the pictures and the folds.

    Returns:
        (True or False, a phrase that says why).
    """
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(labels))[:MOST]
    labels = np.asarray(labels)[rows]
    if np.bincount(labels).max(initial=0) < FOLDS or len(np.unique(labels)) < 2:
        return False, "too few pictures to see whether mirrored ones keep their classes"
    right, mirrored_right = _recognised(_reduced(images, rows), labels, rng)
    frequent = np.bincount(labels).max() / len(labels)
    known, kept = right.mean() - frequent, mirrored_right.mean() - frequent
    says = (
        f"a linear classifier recognises {percent(right.mean())} of the pictures and {percent(mirrored_right.mean())} "
        "mirrored"
    )
    if known < CERTAIN * np.sqrt(frequent * (1 - frequent) / len(labels)):
        most = f"where always the most frequent class would be {percent(frequent)}"
        return False, f"{says}, {most}: too few to see whether mirrored pictures keep their classes"
    lost, gained = right & ~mirrored_right, mirrored_right & ~right
    for label in np.unique(labels):
        less, more, known_of_it = (np.count_nonzero(which[labels == label]) for which in (lost, gained, right))
        significant = less - more > ERRORS_OF_A_CLASS * np.sqrt(less + more)
        if significant and less - more > SHARE_OF_A_CLASS * known_of_it:
            return False, f"{says}: mirrored pictures change their classes"
    if kept < (1 - MOST_LOST) * known:
        return False, f"{says}: mirrored pictures may change their classes"
    return True, f"{says}: mirrored pictures keep their classes"


def _reduced(images, rows):
    """float32 (N, SIDE, SIDE, C): means over areas, less the mean of each picture."""
    with quiet_tensorflow():
        import tensorflow as tf

    parts = np.array_split(rows, max(1, len(rows) // 256))
    reduced = [tf.image.resize(images[part], (SIDE, SIDE), method="area").numpy() for part in parts]
    pictures = np.concatenate(reduced).astype(np.float32)
    return pictures - pictures.mean((1, 2, 3), keepdims=True)


def _recognised(pictures, labels, rng):
    """Two bool (N,): whether each picture is recognised by a classifier of the others, as it is and mirrored."""
    from sklearn.linear_model import RidgeClassifier

    right, mirrored_right = np.zeros(len(labels), bool), np.zeros(len(labels), bool)
    folds = np.zeros(len(labels), int)
    for label in np.unique(labels):  # every class is spread evenly over the folds
        rows = rng.permutation(np.flatnonzero(labels == label))
        folds[rows] = np.arange(len(rows)) % FOLDS
    flat, mirrored = (view.reshape(len(labels), -1) for view in (pictures, pictures[:, :, ::-1]))
    scale = flat.std() or 1.0
    for fold in range(FOLDS):
        held = folds == fold
        classifier = RidgeClassifier(alpha=flat.shape[1] / 2).fit(flat[~held] / scale, labels[~held])
        right[held] = classifier.predict(flat[held] / scale) == labels[held]
        mirrored_right[held] = classifier.predict(mirrored[held] / scale) == labels[held]
    return right, mirrored_right
