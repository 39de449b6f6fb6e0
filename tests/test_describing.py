"""What is said of data before a training: the figure to beat is a constant model's, and each warning has its cause."""

import dataclasses
import json
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl import data, describing, json_files, objectives, records, training
from keras_dl.data import audio, images, music, pairs, plans, text
from keras_dl.data.examples import PARTS, Examples, Info, Ragged, Splits, counts
from keras_dl.features.audio import AudioLevels
from keras_dl.features.image import Preprocess
from keras_dl.features.piano_roll import PianoRoll
from keras_dl.features.subwords import EOS, SPECIAL, Subwords
from keras_dl.features.tokens import Tokens

SIZES = dict(zip(PARTS, (120, 60, 60), strict=True))
RNG = np.random.default_rng


def splits_of(parts, features, preprocess, facts, details=None, **kwargs):
    info = Info("mine", "a folder", features, counts(parts), details or {})
    return Splits(**parts, info=info, preprocess=preprocess, facts=facts, **kwargs)


def pictures(labels=None, classes=("cat", "dog", "cow"), **kwargs):
    """Pictures of noise; `labels` {split: labels}, by default drawn with most of the second class."""
    rng = RNG(0)
    drawn = {part: rng.choice(3, size, p=[0.3, 0.5, 0.2]) for part, size in SIZES.items()}
    parts = {
        part: Examples({"image": rng.integers(0, 255, (len(of), 8, 8, 1), np.uint8), "label": np.array(of, np.int32)})
        for part, of in (labels or drawn).items()
    }
    features = {"image": {"shape": (8, 8, 1)}, "label": {"classes": classes}}
    preprocess = Preprocess((8, 8, 1), (100.0,), (50.0,), 0.0)
    return splits_of(parts, features, preprocess, images.Pictures(), **kwargs)


def a_text(level="character", validation="a bad cab\nbaa\n" * 9):
    texts = {"train": "abba cab\n" * 30 + "dad\n", "validation": validation, "test": "cab\nabba dad\n" * 30}
    tokens = Tokens.of(texts["train"], level, 100)
    parts = {part: Examples({"tokens": tokens.encode([of]).flat_values.numpy()}) for part, of in texts.items()}
    return splits_of(parts, {"tokens": {"level": level}}, tokens, text.Stream())


def music_of_chance():
    rng, often = RNG(1), RNG(2).uniform(0, 0.3, 88)
    rolls = {
        part: [(rng.random((rng.integers(2, 5), 88)) < often).astype(np.uint8) for _ in range(size // 2)]
        for part, size in SIZES.items()
    }
    parts = {part: Examples({"roll": Ragged.of(of)}) for part, of in rolls.items()}
    return splits_of(parts, {"roll": {}}, PianoRoll(), music.Pieces())


def sounds_of_chance():
    rng = RNG(4)
    parts = {
        part: [rng.normal(0, 3000, rng.integers(2, 9)).astype(np.int16) for _ in range(size)]
        for part, size in SIZES.items()
    }
    parts = {part: Examples({"audio": Ragged.of(of)}) for part, of in parts.items()}
    return splits_of(parts, {"audio": {}}, AudioLevels(8000, pad=4), audio.Sounds())


def sentence_pairs(longest_of_test=6):
    subwords, rng = Subwords((*SPECIAL, "lo", "\u2581lo", "\u2581", "l", "o", "w")), RNG(3)

    def side(size, longest):
        weights = np.arange(1, len(subwords.pieces) - len(SPECIAL) + 1) ** 2.0
        ids = [4 + rng.choice(len(weights), rng.integers(1, longest), p=weights / weights.sum()) for _ in range(size)]
        return Ragged.of([sentence.astype(np.int32) for sentence in ids])

    parts = {}
    for part, size in SIZES.items():
        longest = longest_of_test if part == "test" else 6
        parts[part] = Examples({name: side(size, longest) for name in ("source", "target")})
    features = {"source": {}, "target": {}}
    return splits_of(parts, features, subwords, pairs.Pairs(longest=50), {"dropped": 0})


class Constant(keras.Model):
    """Answers the same logits (K,), whatever its input is: at each step of `like(inputs)`."""

    def __init__(self, logits, like):
        super().__init__()
        self.logits, self.like = tf.constant(logits, tf.float32), like

    def call(self, inputs):
        return 0.0 * tf.cast(self.like(inputs), tf.float32)[..., None] + self.logits


def evaluated(splits, metric):
    """The validation figure of a constant model that has learnt from the training split as a person would count."""
    train, collate, plan = splits.train.features, splits.preprocess.batch if metric == "nats" else None, None
    examples, size = splits.validation, 7
    if "label" in train:
        often = counts_of(train["label"].tolist(), 3)
        logits, like = np.eye(3)[often.index(max(often))], lambda x: x[:, 0, 0, 0]
        collate = images.with_labels(splits.preprocess)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    elif "roll" in train:
        steps = [step for roll in train["roll"] for step in roll]
        down = [(1 + sum(int(step[key]) for step in steps)) / (2 + len(steps)) for key in range(88)]
        logits, like = np.log(down) - np.log1p(-np.array(down)), lambda x: x[:, :, 0]
        loss, metrics = objectives.SequenceLoss("bernoulli"), [objectives.NatsPerStep("bernoulli")]
    elif "audio" in train:
        levels = splits.preprocess(np.concatenate(list(train["audio"])) / np.float32(2**15)).numpy().tolist()
        often = np.array(counts_of(levels, 256)) + 1
        logits, like, examples = np.log(often / often.sum()), lambda x: x, audio.windows(examples, 5, 2)
        collate = splits.preprocess.batch
        loss, metrics = objectives.SequenceLoss("categorical"), [objectives.NatsPerStep(name="nats_per_sample")]
    else:
        if "tokens" in train:
            ids, vocabulary, field = train["tokens"].tolist(), len(splits.preprocess.vocabulary), "tokens"
            examples = text.windows(examples, size, 5)
        else:
            ids = [i for sentence in train["target"] for i in [*sentence.tolist(), EOS]]
            vocabulary, field, plan = len(splits.preprocess.pieces), "target", plans.in_order(len(examples), size)
        often = np.array(counts_of(ids, vocabulary)) + 1
        logits, like = np.log(often / often.sum()), lambda x: x[field]
        loss, metrics = objectives.SequenceLoss("categorical"), [objectives.NatsPerStep()]
    model = Constant(logits, like)
    model.compile(loss=loss, weighted_metrics=metrics)
    return training.evaluate(model, data.batches(examples, size, collate=collate, plan=plan))[metric]


def counts_of(ids, size):
    return [ids.count(i) for i in range(size)]


@pytest.mark.parametrize(
    ("make", "metric"),
    [
        (pictures, "accuracy"),
        (a_text, "nats"),
        (lambda: a_text("word"), "nats"),
        (music_of_chance, "nats"),
        (sentence_pairs, "nats"),
        (sounds_of_chance, "nats_per_sample"),
    ],
    ids=["pictures", "characters", "words", "music", "pairs", "sounds"],
)
def test_the_figure_to_beat_is_that_of_a_constant_model(make, metric):
    splits = make()
    baseline = splits.facts.baseline(splits)
    assert baseline["metric"] == metric
    assert baseline["value"] == pytest.approx(evaluated(splits, metric), rel=1e-6)


def test_the_constant_is_learnt_from_the_training_split():
    """The class that is most frequent in training is rare in validation: its accuracy is what counts."""
    labels = {"train": [0] * 60 + [1] * 40, "validation": [0] * 10 + [1] * 50, "test": [1] * 60}
    splits = pictures(labels, classes=("cat", "dog"))
    assert splits.facts.baseline(splits)["value"] == pytest.approx(10 / 60)
    assert "'cat'" in splits.facts.baseline(splits)["what"]


# Warnings


def batches(splits, size=4):
    return data.batches(splits.train, size, collate=images.with_labels(splits.preprocess))


def said(splits, steps=20, epochs=None):
    return describing.summary(splits, types.SimpleNamespace(steps=lambda: steps), epochs)["warnings"]


def labels(train, validation=(30, 30), test=(30, 30)):
    parts = dict(zip(PARTS, (train, validation, test), strict=True))
    return {part: np.repeat(range(len(sizes)), sizes) for part, sizes in parts.items()}


def test_nothing_is_warned_of_where_nothing_is_wrong():
    for splits in (pictures(), a_text(validation="a cab\n" * 9), music_of_chance(), sentence_pairs()):
        assert said(splits) == []


def test_a_split_of_few_examples_is_said_with_the_size_of_a_step():
    few = pictures(labels((40, 40), (7, 8)), classes=("cat", "dog"))
    (sentence,) = said(few)
    assert "the validation split has only 15 pictures: its accuracy moves in steps of 6.7 points" in sentence
    assert said(pictures(labels((40, 40), (25, 25)), classes=("cat", "dog"))) == []  # one is 2 points
    (sentence,) = said(pictures(labels((40, 40), test=(20, 29)), classes=("cat", "dog")))
    assert "the test split has only 49 pictures" in sentence
    splits = music_of_chance()
    assert said(splits) == []  # 30 pieces, and nats are no matter of right or wrong
    (sentence,) = said(dataclasses.replace(splits, test=splits.test.take(slice(16))))
    assert "the test split has only 16 pieces: each of them is 6.2 % of its figures" in sentence
    (sentence,) = said(dataclasses.replace(splits, test=splits.test.take(slice(1))))
    assert "the test split has only 1 piece: its figures are those of this one alone" in sentence


def test_classes_that_are_rare_missing_or_nearly_all_are_said():
    (sentence,) = said(pictures(labels((90, 10)), classes=("cat", "dog")))
    assert "90% of the training examples are of one class, 'cat'" in sentence
    assert said(pictures(labels((89, 11)), classes=("cat", "dog"))) == []
    nearly_all = said(pictures(labels((299, 1)), classes=("cat", "dog")))[0]
    assert "99.7% of the training examples are of one class" in nearly_all  # not all of them
    (sentence,) = said(pictures(labels((40, 9)), classes=("cat", "dog")))
    assert "1 class has fewer than 10 training examples: 'dog' (9)" in sentence
    splits = pictures(labels((40, 40, 0), test=(30, 30, 5)))
    (sentence,) = said(splits)
    assert "the test split has 1 class of which the training split has no example: 'cow' (5)" in sentence
    assert said(pictures(labels((40, 40, 0)))) == []


def test_few_steps_are_said_with_the_number_of_updates():
    (sentence,) = said(pictures(), steps=3, epochs=20)
    assert "an epoch has only 3 steps, so that 20 epochs are 60 updates of the weights" in sentence
    assert said(pictures(), steps=10, epochs=20) == []
    (sentence,) = said(pictures(), steps=1, epochs=1)
    assert "an epoch has only 1 step, so that 1 epoch is 1 update of the weights" in sentence


def test_few_steps_are_no_news_to_who_worked_out_the_epochs_from_them(run):
    splits = pictures()
    train = data.batches(splits.train, len(splits.train), collate=lambda raw: (raw["image"], raw["label"], None))
    run.path.mkdir(parents=True)
    run.settings["epochs"] = 20
    run.note("settings", {"epochs": 20})
    assert any("an epoch has only 1 step" in sentence for sentence in describing.show(run, splits, train)["warnings"])
    run.note("chosen", {"sentence": "Chosen.", "values": {"epochs": 20}})
    assert not any("an epoch has only" in sentence for sentence in describing.show(run, splits, train)["warnings"])


def test_pictures_that_stand_in_two_splits_are_counted():
    splits = pictures()
    splits.test.features["image"][:3] = splits.train.features["image"][5]
    (sentence,) = said(splits)
    assert "3 of the 60 pictures of test stand in train too, byte for byte" in sentence
    assert said(dataclasses.replace(splits, facts=images.Pictures(compared=True))) == []  # the loader has said it


def test_what_the_loader_noticed_comes_first_and_the_other_writers_are_said():
    about = "the test split is of other writers"
    splits = pictures(warnings=("2 pieces stand in both",), details={"test_split": about})
    assert said(splits) == ["2 pieces stand in both", about]


def test_unknown_words_are_said_with_their_share():
    (sentence,) = said(a_text("word", validation="cab abba cab zebra\n" * 30))
    assert "20.0% of the words of validation are <unk>" in sentence and "--vocabulary-size" in sentence
    (sentence,) = said(a_text(validation="cab abba cab zebra\n" * 30))
    assert "of the characters of validation are" in sentence and "--vocabulary-size" not in sentence


def test_pairs_that_are_too_long_are_counted():
    splits = sentence_pairs(longest_of_test=12)
    lengths = splits.test.features["source"].lengths, splits.test.features["target"].lengths
    longer = int((np.maximum(*lengths) > 5).sum())
    (sentence,) = said(splits)
    assert f"{longer} pairs of 60 of test are longer than all of train (5 sub-words)" in sentence
    info = dataclasses.replace(splits.info, details={"dropped": 30})
    sentences = said(dataclasses.replace(splits, info=info))
    assert any("20% of the training pairs are left out, longer than 50 sub-words" in each for each in sentences)


# What is noted and printed


def test_sizes_are_those_of_the_examples():
    splits = pictures(details={"original_sizes": images.original_sizes(np.array([[9, 9], [4, 30], [2, 3]]))})
    assert splits.facts.sizes(splits) == {
        "what": "original height x width in pixels", "smallest": "2 x 3", "median": "9 x 9", "largest": "4 x 30",
    }  # fmt: skip
    assert pictures().facts.sizes(pictures())["largest"] == "8 x 8"
    splits = a_text()
    assert splits.facts.sizes(splits) == {"what": "characters of a line", "smallest": 3, "median": 8, "largest": 9}
    splits = music_of_chance()
    lengths = [len(roll) for part in splits.parts.values() for roll in part.features["roll"]]
    sizes = splits.facts.sizes(splits)
    assert (sizes["smallest"], sizes["largest"]) == (min(lengths), max(lengths)) and sizes["median"] in lengths


def test_the_summary_is_noted_printed_and_on_a_resume_one_line(run, capsys):
    splits = pictures(classes=("cat", "d\x1b[31mog", "[red]cow"), notes=("left out: 2",))
    shown = describing.show(run, splits, batches(splits))
    noted = json_files.read(run.path / "config.json", records.Config)["summary"]
    assert noted == json.loads(json.dumps(shown)) and noted["left_out"] == ["left out: 2"]
    assert noted["counts"] == {"train": 120, "validation": 60, "test": 60} and noted["steps_per_epoch"] == 30
    assert noted["licence"] is None and noted["unit"] == "pictures"
    assert sum(of["train"] for of in noted["classes"].values()) == 120
    text = capsys.readouterr().out
    wanted = ("# data: mine (a folder)", "pictures\t120 train, 60 validation, 60 test", "[red]cow\t", "\nclass\ttrain")
    assert all(part in text for part in wanted)
    assert "\x1b" not in text and f"validation accuracy to beat\t{shown['baseline']['value']:.4f}: always" in text
    again = describing.show(dataclasses.replace(run, resumed=True), splits, batches(splits, 8))
    assert again == noted
    assert capsys.readouterr().out == "data: as before, 120 train, 60 validation, 60 test pictures\n"


def test_many_classes_are_not_listed(run, capsys):
    classes = tuple(f"class {i}" for i in range(30))
    splits = pictures({part: np.arange(60) % 30 for part in PARTS} | {"test": np.arange(31) % 30}, classes=classes)
    describing.show(run, splits, batches(splits))
    text = capsys.readouterr().out
    assert "classes\t30, from 'class 1' (5) to 'class 0' (6)" in text and "class 2\t" not in text
    splits = pictures({part: np.arange(60) % 30 for part in PARTS}, classes=classes)
    describing.show(run, splits, batches(splits))
    assert "classes\t30, 6 pictures in each\n" in capsys.readouterr().out


def test_beside_the_test_figure_stands_what_it_must_be_compared_with(run, capsys):
    splits = pictures(details={"test_split": "the test split is of other writers"})
    describing.show_test(splits, {"accuracy": 0.9})
    text = capsys.readouterr().out
    assert f"{splits.facts.baseline(splits)['value']:.4f}" in text and "other writers" in text


def test_digits_say_of_whom_the_test_split_is():
    splits = images.load("digits")
    assert any("other writers" in sentence for sentence in said(splits))


def test_a_folder_keeps_the_sizes_of_its_pictures(tmp_path):
    shapes = {"a/1": (9, 20), "a/2": (9, 21), "a/3": (5, 7), "b/1": (30, 3), "b/2": (9, 9), "b/3": (8, 8)}
    for name, shape in shapes.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        picture = RNG(shape[1]).integers(0, 255, (*shape, 3), np.uint8)
        (tmp_path / f"{name}.png").write_bytes(tf.io.encode_png(picture).numpy())
    splits = images.load(str(tmp_path), image_size=8)
    sizes = splits.facts.sizes(splits)
    assert [sizes[name] for name in ("smallest", "median", "largest")] == ["5 x 7", "9 x 9", "9 x 21"]
    assert splits.info.config()["original_sizes"]["largest"] == "9 x 21"
