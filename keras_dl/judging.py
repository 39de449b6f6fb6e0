"""A classifier that judges what a generative model makes: which classes appear, and how far its features are off.

    judge = judging.trained(build, splits, run.path / "classifier.keras", seed=0)     or judging.exported("EXPORT")
    real = judge.verdict(splits.validation.features["image"])
    judge.verdict(samples).numbers(real)      {"classes_covered", "smallest_class", "frechet_classifier"}

The features are what the classifier's last layer sees. They are of the project's own classifier of the same data, so
the distance is called "Fréchet distance in classifier features": it is no FID, whose features are Inception's.
"""

import dataclasses
import os

import keras
import numpy as np
import tensorflow as tf

from keras_dl import cards, data, frechet, parzen, verification
from keras_dl.data.examples import some
from keras_dl.errors import UserError
from keras_dl.features.image import Preprocess
from keras_dl.waiting import waiting
from keras_dl.wording import counted

AT_ONCE = 500  # pictures
COVERED = 0.3  # of a class's share of the real pictures: with less of the samples it is missing, 3 % of ten equal ones
UPDATES = 1500  # of the classifier's training, at most
EPOCHS = 30  # of it, at most
BATCH, RATE = 64, 2e-3
NUMBERS = 2**26  # of all samples of a Parzen window, which are in memory together
SIGMA_PICTURES = 1000  # validation pictures by which its width is chosen, at most
WHITE = 255
LISTED = 10  # missing classes that a sentence names


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
            part, logits = self._answer(tf.constant(pictures[start : start + AT_ONCE]))
            features.append(part.numpy())
            best.append(logits.numpy().argmax(-1))
        return np.concatenate(features), np.concatenate(best)

    def sentence(self):
        """Who judges, and how good a classifier it is."""
        known = "" if self.accuracy is None else f", whose accuracy on the validation split is {self.accuracy:.1%}"
        return f"samples are judged by {self.source}{known}"

    def verdict(self, pictures):
        """The Verdict on pictures uint8 (N, h, w, C)."""
        features, best = self(pictures)
        shares = np.bincount(best, minlength=len(self.classes)) / len(best)
        moments = frechet.Moments.of(features) if len(features) > self.width else None
        return Verdict(moments, dict(zip(self.classes, shares.tolist(), strict=True)))


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a classifier finds in a set of pictures.

    Attributes:
        moments: frechet.Moments of its features; None if the pictures are too few for them.
        shares: {class: share of the pictures that it takes for this class}.
    """

    moments: frechet.Moments | None
    shares: dict

    @property
    def present(self):
        """Names of the classes that any picture is taken for."""
        return [name for name, share in self.shares.items() if share > 0]

    def missing(self, reference):
        """Names of the classes of `reference`, the Verdict on real pictures, that these pictures do not cover.

        A class is covered if its share is at least COVERED times its share of the real pictures.
        """
        return [name for name in reference.present if self.shares[name] < COVERED * reference.shares[name]]

    def numbers(self, reference):
        """{"classes_covered": number of classes of the real pictures that are not missing, "smallest_class": the
        smallest share of a class of the real pictures, "frechet_classifier"}.

        "frechet_classifier" is the Fréchet distance in classifier features to `reference`, the Verdict on real
        pictures; it is left out if one of the two has too few pictures.
        """
        numbers = {
            "classes_covered": float(len(reference.present) - len(self.missing(reference))),
            "smallest_class": float(min(self.shares[name] for name in reference.present)),
        }
        if self.moments is not None and reference.moments is not None:
            numbers["frechet_classifier"] = frechet.distance(self.moments, reference.moments)
        return numbers


def trained(build, splits, path, seed=0):
    """The Judge of labelled pictures: a classifier, trained on their training split or read from `path`.

    Adam for at most EPOCHS epochs and UPDATES updates, a learning rate that falls to 0 by a cosine; the validation
    split is only used to say how good it is. The same seed gives the same classifier.

    Args:
        build: function (input_shape, num_classes) -> an uncompiled keras.Model, pictures (B, H, W, C) -> logits (B, K).
        splits: data.Splits of "image" uint8 (N, H, W, C) and "label" (N,).
        path: of a .keras file. If it is there, it is read instead of training, so that a resumed run is judged by the
            same classifier; else it is written.
        seed: of the order of the examples.
    """
    shape, classes = splits.train.features["image"].shape[1:], splits.info.classes
    preprocess = Preprocess.of(splits.train.features["image"], shape)
    source = "a classifier of the same training pictures"
    collate = data.images.with_labels(preprocess)
    if path.exists():
        classifier = keras.saving.load_model(path, compile=False)
    else:
        keras.utils.set_random_seed(seed)
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy("float32")  # half precision is for the model that is judged
        try:
            classifier = build(tuple(shape), len(classes))
        finally:
            keras.config.set_dtype_policy(policy)
        train = data.batches(splits.train, BATCH, collate=collate, seed=seed, shuffle=True)
        epochs = max(1, min(EPOCHS, UPDATES // train.steps()))
        rate = keras.optimizers.schedules.CosineDecay(RATE, epochs * train.steps())
        classifier.compile(
            keras.optimizers.Adam(rate),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            steps_per_execution=8,
        )
        with waiting("training the classifier that will judge the samples ..."):
            classifier.fit(train.dataset(epochs=epochs), shuffle=False, verbose=0)
        aside = path.with_name(f".{path.name}")  # a kill leaves no half of it under its name
        classifier.save(aside, include_optimizer=False)
        os.replace(aside, path)
    judge = Judge(classifier, preprocess, classes, source)
    best = judge(splits.validation.features["image"])[1]
    judge.accuracy = float((best == splits.validation.features["label"]).mean())
    return judge


def exported(folder, channels, *, trust=False):
    """The Judge of an export of classify_images.

    Args:
        folder: as `predict` takes it.
        channels: C of the pictures that it is to judge.
        trust: whether to load an export that another user has written.

    Raises:
        UserError: it is no export of a classifier of pictures with as many channels, was changed, or was not written by
            this user.
    """
    place, card = cards.find(folder)
    inputs = cards.features_of(card, next(iter(card["endpoints"])), "inputs")
    feature = next(
        (each for each in inputs.values() if isinstance(getattr(each, "preprocess", None), Preprocess)), None
    )
    if feature is None or card.get("app") != "classify_images":
        raise UserError(f"--classifier: must be an export of classify_images; got {folder}.")
    if feature.preprocess.input_shape[2] != channels:
        kinds = {1: "grey pictures", 3: "pictures in colour"}
        raise UserError(f"--classifier: must be of {kinds.get(channels, 'such pictures')}; {folder} is of others.")
    verification.check(place, card, trusted=trust)
    classifier = keras.saving.load_model(place / "model.keras", compile=False)
    classes = card["data"]["features"]["label"]["classes"]
    return Judge(classifier, feature.preprocess, classes, f"the classifier {os.path.basename(str(folder))}")


class Measures(keras.callbacks.Callback):
    """What `fit` measures of a generative model after each epoch, with a warning when classes are missing.

    Pass the method `measure` as `measure` and the object as a callback.

    Args:
        judge: the Judge.
        drawer: function of a model that returns a function () -> pictures uint8 (N, H, W, C), made with the model's
            current weights, of the same noise each time.
        reference: the Verdict on real pictures.
        say: function that prints a sentence.
    """

    def __init__(self, judge, drawer, reference, say):
        super().__init__()
        self.judge, self.drawer, self.reference, self.say = judge, drawer, reference, say
        self.missing, self.said = [], []
        self._asked, self._draw = None, None  # the model, which in a search is another in each trial, and its drawer

    def measure(self, model):
        """The numbers of the Verdict, {name: number}."""
        if model is not self._asked:
            self._asked, self._draw = model, self.drawer(model)
        verdict = self.judge.verdict(self._draw())
        self.missing = verdict.missing(self.reference)
        return verdict.numbers(self.reference)

    def on_epoch_end(self, epoch, logs=None):
        if self.missing and self.missing != self.said:  # a class that stays away is not said again and again
            named = ", ".join(self.missing[:LISTED]) + (" ..." if len(self.missing) > LISTED else "")
            self.say(
                f"warning: after epoch {epoch + 1}, {len(self.missing)} of "
                f"{counted(len(self.reference.present), 'classes')} have less than {COVERED} times the share of the "
                f"samples that they have of real pictures: {named}"
            )
        self.said = self.missing

    def get_state(self):
        return {"said": self.said}

    def set_state(self, state):
        self.said = list(state["said"])


def shares_of(examples, info):
    """(K,) the share of each class of `info` among Examples with "label"; for pictures without classes K is 1."""
    return np.bincount(examples.features["label"], minlength=info.num_classes) / len(examples)


@dataclasses.dataclass(frozen=True)
class Tested:
    """What a generative model without a likelihood is worth, on the test split.

    Attributes:
        metrics: {name: number}: those of Verdict.numbers, "frechet_real" of as many training pictures, and "parzen".
        shares: {class: share of the samples}; {} without a judge.
        parzen: (N,) Parzen log-likelihood of each test picture, nats.
        sentences: what the numbers are, of how many pictures, and what they do not say.
    """

    metrics: dict
    shares: dict
    parzen: np.ndarray
    sentences: list


def tested(judge, draw, splits, *, samples=10_000, seed=0):
    """Compare samples with the test split, which is read here.

    The Fréchet distance is of as many samples as there are test pictures, at most `samples`, and so is that of training
    pictures, which a perfect generator would have. The Parzen window has `samples` samples, but at most NUMBERS numbers
    of them all; its width is chosen on the validation split.

    Args:
        judge: the Judge; None: only the Parzen estimate is made.
        draw: function (count, seed, shares) -> pictures uint8 (count, H, W, C) of the model; a conditional one draws
            its K classes in the ratio of `shares` (K,), those of the test split.
        splits: data.Splits of pictures.
        samples: number of samples.
        seed: of the samples, and of the choice of pictures, where a split has more than are compared.
    """
    train, validation, test = (splits.parts[part].features["image"] for part in ("train", "validation", "test"))
    rows, metrics, shares, sentences = some(len(test), samples, seed), {}, {}, []
    test, like = test[rows], shares_of(splits.test.take(rows), splits.info)
    if judge is not None:
        verdict, real = judge.verdict(draw(len(test), seed, like)), judge.verdict(test)
        metrics, shares = verdict.numbers(real), verdict.shares
        size = f"{test.shape[1]} x {test.shape[2]} pixels, {judge.width} features of {judge.source}"
        if "frechet_classifier" in metrics:
            known = judge.verdict(train[some(len(train), len(test), seed)])
            if known.moments is not None:
                metrics["frechet_real"] = frechet.distance(known.moments, real.moments)
            trained_on = counted(min(len(train), len(test)), "training pictures")
            floor = f"; that of {trained_on} is {metrics['frechet_real']:.2f}" if known.moments else ""
            sentences.append(
                f"Fréchet distance in classifier features (no FID): {metrics['frechet_classifier']:.2f} of "
                f"{counted(len(test), 'samples')} to as many test pictures{floor} ({size})."
            )
        least = min(real.present, key=shares.get)
        sentences.append(
            f"Of {counted(len(real.present), 'classes')} {metrics['classes_covered']:.0f} have at least {COVERED} "
            f"times the share of the samples that they have of the test pictures; the rarest is '{least}' with "
            f"{shares[least]:.1%} of the samples and {real.shares[least]:.1%} of the test pictures."
        )
    count = max(1, min(samples, NUMBERS // int(np.prod(test.shape[1:]))))
    windows = draw(count, seed + 1, like).astype(np.float32) / WHITE
    with waiting("estimating the Parzen log-likelihood ..."):
        held_out = validation[some(len(validation), SIGMA_PICTURES, seed)]
        sigma = parzen.best_sigma(windows, held_out.astype(np.float32) / WHITE)
        each = parzen.log_likelihood(windows, test.astype(np.float32) / WHITE, sigma)
    metrics["parzen"] = float(each.mean())
    sentences.append(
        f"Parzen-window log-likelihood: {metrics['parzen']:.1f} nats per image +- {each.std() / len(each) ** 0.5:.1f} "
        f"({count:,} samples, sigma {sigma:.3f} chosen on validation). To know: {parzen.FLAW}."
    )
    return Tested(metrics, shares, each, sentences)
