"""Laws of a run's report: its intervals and curves, what it keeps of hostile texts, and runs with little to say."""

import dataclasses
import errno
import json
import os
import re
import runpy
import signal
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from test_pages import HOSTILE, Reader
from test_tensorboard import CHROMIUM, browser

from keras_dl import (
    bootstrap,
    data,
    histories,
    json_files,
    models,
    objectives,
    pages,
    past_runs,
    reports,
    runs,
    scores,
    settings,
    summaries,
)
from keras_dl.features import Feature
from keras_dl.features.image import Image, Preprocess
from keras_dl.features.piano_roll import Roll
from keras_dl.figures import LONGEST, figure_of, plain, png, whole_ticks
from keras_dl.reports import layers, statistics

ROOT = Path(__file__).resolve().parent.parent
PREPROCESS = Preprocess((4, 4, 1), (0.0,), (255.0,), 0.0)

# Intervals


@pytest.mark.parametrize(("right", "count"), [(340, 400), (30, 60), (5, 200)])
def test_the_interval_of_an_accuracy_is_nearly_the_binomials(right, count):
    interval = bootstrap.of_share(np.arange(count) < right, seed=0)
    exact = scipy.stats.binomtest(right, count).proportion_ci(0.95)
    width = exact.high - exact.low
    np.testing.assert_allclose(interval, exact, atol=0.15 * width)


@pytest.mark.parametrize("right", [0, 7])
def test_where_every_resample_is_the_same_the_interval_is_the_binomials(right):
    interval = bootstrap.of_share(np.arange(7) < right, seed=0)
    np.testing.assert_allclose(interval, scipy.stats.binomtest(right, 7).proportion_ci(0.95))


def test_an_interval_depends_on_the_seed_alone_and_narrows_with_the_root_of_the_count():
    values = 10 * np.random.default_rng(0).normal(size=1600)
    many, few = bootstrap.of_mean(values, 3), bootstrap.of_mean(values[:100], 3)
    assert many == bootstrap.of_mean(values, 3) != bootstrap.of_mean(values, 4)
    assert np.diff(few) / np.diff(many) == pytest.approx(4, rel=0.25)
    np.testing.assert_allclose(np.diff(many), 2 * 1.96 * 10 / 40, rtol=0.1)


def test_parts_count_by_their_steps():
    """Of two parts, one of 99 steps, the ratio of sums stays far from the mean of ratios."""
    sums, counts = np.array([99.0, 5.0] * 20), np.array([99.0, 1.0] * 20)
    low, high = bootstrap.of_ratio(sums, counts, 0)
    assert low < 104 / 100 < high < 1.2  # the mean of the ratios is 3
    np.testing.assert_allclose(bootstrap.of_ratio(3 * sums, counts, 0), [3 * low, 3 * high])


def test_nothing_has_no_interval_and_one_example_an_honest_one():
    assert bootstrap.of_share(np.zeros(0, bool), 0) is None and bootstrap.of_ratio([], [], 0) is None
    np.testing.assert_allclose(bootstrap.of_share([True], 0), [0.025, 1])
    assert bootstrap.of_ratio([3.0], [2], 0) is None and bootstrap.of_mean([2.0], 0) is None  # all resamples are it
    assert list(scores.intervals(["a b"], ["a c"], scores.SCORES, seed=1)) == ["exact_match"]
    assert bootstrap.of_mean([2.0, np.nan], 0) is None and bootstrap.of_mean([], 0) is None


def test_the_interval_of_bleu_holds_it_and_is_that_of_its_sentences():
    rng = np.random.default_rng(0)
    words = np.array(["a", "dog", "runs", "in", "the", "park", "and", "cat", "sleeps", "on", "red", "mat"])
    references = [" ".join(rng.choice(words, 9)) for _ in range(60)]
    hypotheses = [r if i % 3 else " ".join(rng.choice(words, 9)) for i, r in enumerate(references)]
    metrics = scores.of_translations(hypotheses, references)
    intervals = scores.intervals(hypotheses, references, scores.SCORES, seed=1)
    assert list(intervals) == list(scores.SCORES)
    for name, (low, high) in intervals.items():
        assert 0 <= low < metrics[name] < high <= 100
    exact = scipy.stats.binomtest(round(0.6 * metrics["exact_match"]), 60).proportion_ci(0.95)
    np.testing.assert_allclose(intervals["exact_match"], [100 * exact.low, 100 * exact.high], atol=4)
    assert scores.intervals(hypotheses, references, ["bleu"], seed=1)["bleu"] == intervals["bleu"]
    each = scores.of_each(hypotheses, references)
    assert len(each) == 60 and each[1] == 100 and max(each[::3]) < 100


# Probabilities


def test_a_calibrated_model_has_no_calibration_error():
    """In each bin as many are right as the probability says."""
    probability = np.repeat([0.25, 0.5, 0.75, 1.0], 8)
    right = np.concatenate([np.arange(8) < round(8 * p) for p in (0.25, 0.5, 0.75, 1.0)])
    bins = statistics.reliability(probability, right)
    assert [row["count"] for row in bins] == [8] * 4 and statistics.calibration_error(bins) == 0
    overconfident = statistics.reliability(np.full(10, 0.9), np.arange(10) < 6)
    assert statistics.calibration_error(overconfident) == pytest.approx(0.3)


def test_the_calibration_error_of_a_worked_example():
    """Two bins: 3 examples at 0.8, one right; 1 at 0.5, right: 3/4 |1/3 - 0.8| + 1/4 |1 - 0.5|."""
    bins = statistics.reliability([0.8, 0.8, 0.8, 0.5], [True, False, False, True])
    assert [(row["low"], row["high"], row["count"]) for row in bins] == [(0.4, 0.5, 1), (0.7, 0.8, 3)]
    assert statistics.calibration_error(bins) == pytest.approx(0.475)
    edges = statistics.reliability([0.0, 1.0], [False, True])
    assert [(row["low"], row["high"]) for row in edges] == [(0.0, 0.1), (0.9, 1.0)]
    assert statistics.calibration_error([]) is None


def test_the_area_is_the_share_of_pairs_in_the_right_order():
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 2, 40), rng.dirichlet(np.ones(4), 40)
    zero, one, *none = statistics.one_against_rest(labels, probabilities)
    assert none == [None, None]  # no example is of these classes
    for k, curve in enumerate((zero, one)):
        inside, outside = probabilities[labels == k, k], probabilities[labels != k, k]
        assert curve["auc"] == pytest.approx(np.mean(inside[:, None] > outside))
        assert curve["roc"][0][[0, -1]].tolist() == [0, 1] and curve["roc"][1][-1] == 1
    assert statistics.one_against_rest(np.zeros(3, int), np.ones((3, 1))) == [None]  # all are


# Sums of parts


@pytest.mark.parametrize("compiled", [False, True])
def test_the_sums_of_parts_are_those_of_the_steps_whatever_the_batches(compiled):
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(4, 7, 5)).astype(np.float32), rng.integers(0, 5, (4, 7))
    weight = (np.arange(7) < np.array([7, 3, 0, 5])[:, None]).astype(np.float32)
    steps = objectives.categorical_nll(targets, logits).numpy() * weight

    def parts_of(batches, length):
        metric = objectives.NatsOfParts("categorical", 20, length)
        update = tf.function(metric.update_state, jit_compile=True) if compiled else metric.update_state
        for rows in batches:
            update(tf.constant(targets[rows]), tf.constant(logits[rows]), tf.constant(weight[rows]))
        plain = objectives.NatsPerStep()
        plain.update_state(targets, logits, weight)
        assert float(metric.result()) == pytest.approx(float(plain.result()), rel=1e-6)
        return metric.parts()

    for batches in ([slice(0, 4)], [slice(0, 2), slice(2, 4)]) if not compiled else ([slice(0, 2), slice(2, 4)],):
        sums, counts = parts_of(batches, None)
        np.testing.assert_allclose(sums, steps.sum(1)[[0, 1, 3]], rtol=1e-5)
        assert counts.tolist() == [7, 3, 5]
        sums, counts = parts_of(batches, 3)
        assert counts.tolist() == [3, 3, 1, 3, 3, 2]
        np.testing.assert_allclose(sums, [steps[0, :3].sum(), steps[0, 3:6].sum(), steps[0, 6], steps[1].sum(),
                                          steps[3, :3].sum(), steps[3, 3:].sum()], rtol=1e-5)  # fmt: skip


# The history


def test_the_kept_epoch_is_that_of_training():
    values = {"val_loss": [3.0, float("nan"), 1.0, 1.0, 2.0]}
    assert histories.kept(values, "val_loss", "min", "best", 0)[0] == 3
    assert histories.kept(values, "val_loss", "max", "best", 0)[0] == 1
    number, sentence = histories.kept(values, "val_loss", "min", "last", 0)
    assert number == 5 and "last epoch, 5" in sentence and "validation split was epoch 3" in sentence
    number, sentence = histories.kept(values, "val_loss", "min", "last", 2)
    assert number is None and "mean" in sentence and "last 2 of 5" in sentence
    assert histories.best([float("nan")] * 2) == 1
    assert histories.kept({}, "val_loss", "min", "best", 0)[0] is None


# The layers


@pytest.mark.parametrize(
    ("build", "shared"),
    [
        (lambda: models.build_resnet_cifar((8, 8, 3), 3, depth=8, filters=2), set()),
        (lambda: models.build_lstm((None,), 9, units=(4, 3)), set()),
        (lambda: models.build_transformer(9, num_layers=1, hidden_dim=8, intermediate_dim=8), {"embedding"}),
    ],
    ids=["resnet_cifar", "lstm", "transformer"],
)
def test_the_table_of_layers_has_every_weight_once_and_names_what_each_reads(build, shared):
    """A layer comes after those that it reads, unless it is used at both ends, as an embedding that gives logits."""
    model = build()
    rows = layers.table(model)
    names = [row["name"] for row in rows]
    assert sum(row["parameters"] for row in rows) == model.count_params() and len(set(names)) == len(names)
    later = {row["name"] for number, row in enumerate(rows) if any(names.index(r) > number for r in row["inputs"])}
    assert later == shared
    assert all(row["inputs"] for row in rows if row["type"] != "InputLayer")
    assert tf.io.decode_png(layers.picture(rows)).shape[1] > 100


def test_a_model_that_is_no_graph_has_no_table_and_a_deep_one_no_picture():
    assert layers.table(keras.Model()) == [] and layers.picture([]) is None
    like = {"type": "Dense", "output": [1], "parameters": 2}
    rows = [like | {"name": f"layer{k}", "inputs": [f"layer{k - 1}"] if k else []} for k in range(layers.MOST + 1)]
    assert layers.picture(rows[1:]) and layers.picture(rows) is None


# Whole reports


@dataclasses.dataclass(frozen=True)
class Config(settings.Training):
    model: str = "linear"


def classified(labels, logits, classes, images=None):
    """A Classification of given labels and logits."""
    logits = np.asarray(logits, np.float32)
    inputs = np.arange(len(logits), dtype=np.float32)[:, None]
    table = tf.constant(logits)
    batches = data.batches(
        data.Examples({"x": inputs, "label": np.asarray(labels, np.int32)}), 64,
        collate=lambda raw: (raw["x"], raw["label"], tf.ones(tf.shape(raw["label"]))),
    )  # fmt: skip

    def model(x, training):
        return tf.gather(table, tf.cast(x[:, 0], tf.int32))

    result = summaries.classification_report(model, batches, classes)
    images = np.zeros((len(logits), 4, 4, 1), np.uint8) if images is None else images
    return result, reports.Classification(result, Image(PREPROCESS), images)


def a_report(folder, sections, metrics, config=None, history_of=None, model=None, **noted):
    path = folder / "runs" / "app" / "linear-set-1"
    path.mkdir(parents=True, exist_ok=True)
    config = config or Config()
    asked = json.loads(json.dumps(dataclasses.asdict(config)))
    run = runs.Run(path=path, root=folder, name="linear-set", app="app", seed=3, command="a b", settings=asked)
    for name, value in noted.items():
        run.note(name, value)
    if history_of:
        lines = [",".join(["epoch", *history_of])]
        lines += [",".join(map(str, [e, *row])) for e, row in enumerate(zip(*history_of.values(), strict=True), 1)]
        (path / "history.csv").write_text("\n".join(lines) + "\n")
    model = model or models.build_linear((4, 4, 1), 2)
    info = data.Info("set", "a source", {}, {"train": 5, "validation": 2, "test": 3})
    splits = data.Splits(None, None, None, info, None, ("a note",))
    return reports.Report(run, config, model, splits, metrics, sections)


def written(report, *commands):
    """(report.json, report.html as read by Reader, names of the PNG files)."""
    report.write(list(commands))
    facts = json.loads(report.html.with_name("report.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    page = Reader(report.html.read_text(encoding="utf-8"))
    files = sorted(path.name for path in (report.html.parent / "report").iterdir())
    assert sorted(facts["pictures"]) == files and page.tags.count("img") == len(files)
    return facts, page, files


def test_a_classifiers_report_has_everything(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 90)
    logits = rng.normal(size=(90, 3)) + 2 * np.eye(3)[labels]
    result, section = classified(labels, logits, ("ant", "bee", "cat"))
    baseline = {"metric": "accuracy", "value": 0.35, "what": "always the most frequent class, 'bee'"}
    summary = {
        "name": "set", "source": "here", "licence": "for research only", "counts": {"train": 5}, "unit": "pictures",
        "classes": {"ant": {"train": 5}}, "sizes": {"what": "pixels", "smallest": 1, "median": 2, "largest": 3},
        "left_out": ["one file"], "steps_per_epoch": 3, "baseline": baseline, "warnings": ["few pictures"],
    }  # fmt: skip
    curves = {"loss": [2.0, 1.0, 0.5], "val_loss": [2.0, 1.5, 1.7], "learning_rate": [0.1] * 3}
    values = {"epochs": 40, "optimizer.learning_rate": 0.5, "set": {"depth": 14}}
    chosen = {"sentence": "40 epochs for 5 pictures", "values": values}
    config = Config(epochs=40, seed=3, set=("units=4", "depth=14"), optimizer=settings.Optimizer("sgd", 0.5))
    origin = {"path": "saved_models/other/1", "weights": "0" * 64, "sentence": "The head is new."}
    noted = {"summary": summary, "chosen": chosen, "origin": origin}
    report = a_report(tmp_path, [section], result["metrics"], config, curves, **noted)
    facts, page, files = written(report, "python -m keras_dl predict x")
    text = " ".join(page.texts)
    assert facts["asked"] == {"seed": 3, "set": ["units=4"], "optimizer": "sgd"}  # not what was left to be chosen
    assert facts["chosen"] == chosen and facts["origin"] == origin
    assert "Started from the weights of saved_models/other/1. The head is new." in text
    assert facts["model"]["name"] == "linear" and "LeCun" in facts["model"]["source"]
    assert facts["history"] == curves and facts["weights"]["epoch"] == 2
    assert facts["metrics"] == result["metrics"] and set(facts["intervals"]) == {"loss", "accuracy"}
    for name, (low, high) in facts["intervals"].items():
        assert low < facts["metrics"][name] < high
    names, confusion = ("ant", "bee", "cat"), facts["confusion"]
    counts = [[confusion[true].get(predicted, 0) for predicted in names] for true in names]
    assert counts == result["confusion"].tolist() and not any(0 in row.values() for row in confusion.values())
    assert facts["commands"] == ["python -m keras_dl predict x"]
    assert {"confusion_matrix.png", "roc.png", "reliability.png", "curves.png", "test_mistake_1.png"} < set(files)
    assert len([name for name in files if name.startswith("test_mistake")]) == min(
        24, len(result["misclassified"]["index"])
    )
    for words in (
        "epoch 2 of 3, the best by loss on the validation split", "for research only", "few pictures", "40 epochs for",
        "1,000 bootstrap resamples of 90 examples", "Confusion matrix of the test split", "a b", "one file",
        "Expected calibration error on the test split", "python -m keras_dl predict x",
    ):  # fmt: skip
        assert words in text, words
    true, predicted, count = section.confusion()
    card = report.for_card()
    assert card["intervals"] == facts["intervals"] and json.dumps(card)
    assert card["report"][0].startswith(f"Test accuracy: {result['metrics']['accuracy']:.4g}, between ")
    constant = "by a constant answer (always the most frequent class, 'bee')"
    assert card["report"][1] == f"The figure to beat: accuracy 0.35 on the validation split, {constant}."
    assert card["report"][2] == f"The most frequent confusion: {true!r} taken for {predicted!r}, {count} times."
    assert f"{true} taken for {predicted}, probability " in text


@pytest.mark.parametrize("what", ["one class missing", "NaN", "200 classes", "one example", "all right", "one epoch"])
def test_a_run_with_little_to_say_has_a_report(tmp_path, what):
    rng = np.random.default_rng(0)
    count, classes = {"one example": (1, 3), "200 classes": (300, 200)}.get(what, (30, 3))
    labels = rng.integers(0, classes - (what == "one class missing"), count)
    logits = rng.normal(size=(count, classes)) + (50 * np.eye(classes)[labels] if what == "all right" else 0)
    if what == "NaN":
        logits[3] = np.nan
    curves = {"loss": [1.0, float("inf")], "val_loss": [float("nan")] * 2} if what == "NaN" else {"loss": [1.0]}
    result, section = classified(labels, logits, tuple(f"class {k}" for k in range(classes)))
    report = a_report(tmp_path, [section], result["metrics"], history_of=curves)
    facts, page, files = written(report)
    text = " ".join(page.texts)
    assert len(facts["classes"]) == classes and facts["metrics"].keys() == result["metrics"].keys()
    if what == "one class missing":
        assert (
            facts["classes"]["class 2"]["auc"] is None and "No example of the test split is of class 'class 2'" in text
        )
    elif what == "NaN":
        assert facts["metrics"]["loss"] is None and "not all finite" in text and "roc.png" not in files
        assert "loss" not in facts["intervals"] and "accuracy" in facts["intervals"]
    elif what == "all right":
        assert "None of the 30 test examples is misclassified." in text and "test_mistake_1.png" not in files
        assert facts["intervals"]["accuracy"][0] == pytest.approx(0.025 ** (1 / 30))
    elif what == "200 classes":
        assert "Figures of each of the 200 classes" in text and "the 8 classes with the smallest area" in text


NAMES = (HOSTILE, "$\\frac$", "a very long name of a class that does not fit " * 3, "日本", "[red]x")


def test_hostile_names_stay_text(tmp_path):
    rng = np.random.default_rng(0)
    result, section = classified(rng.integers(0, 5, 40), rng.normal(size=(40, 5)), NAMES)
    sentences = reports.Translation([HOSTILE] * 3, [HOSTILE, "b", "c"], ["a", HOSTILE, "$x$"])
    samples = reports.Samples(Feature(), [HOSTILE], [HOSTILE])
    report = a_report(
        tmp_path, [section, sentences, samples], result["metrics"], Config(set=(f"x={HOSTILE}",)), command=HOSTILE
    )
    facts, page, _ = written(report, HOSTILE)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert not re.search("[\x1b\u202e]", report.html.read_text(encoding="utf-8"))
    assert all(value.startswith("data:image/png;base64,") for name, value in page.attributes if name in ("src", "href"))
    assert list(facts["classes"]) == list(NAMES)


def test_long_names_stay_apart_in_a_figure():
    """Names of classes often differ at their end alone."""
    names = [f"a_class_with_a_very_long_name_number_{k:02}" for k in range(20)]
    drawn = list(map(plain, names))
    assert len(set(drawn)) == 20 and {len(name) for name in drawn} == {LONGEST}
    assert all(a[:9] == b[:9] and a[-9:] == b[-9:] for a, b in zip(names, drawn, strict=True))
    assert plain("x" * LONGEST) == "x" * LONGEST and [len(plain("y" * 50, most)) for most in (3, 8, 9)] == [3, 8, 9]


def test_axes_of_whole_numbers_have_no_fractions():
    for count in (1, 2, 30):
        axes = figure_of(4, 3).add_subplot()
        axes.plot(range(1, count + 1), np.ones(count))
        whole_ticks(axes.xaxis)
        ticks = axes.get_xticks()
        assert len(ticks) and all(tick == round(tick) for tick in ticks)


@pytest.mark.slow
def test_a_report_of_thousands_of_classes_can_be_read_by_compare(tmp_path):
    """A matrix with a row and a column for each class would be larger than what json_files reads."""
    count = 6000
    labels, names = np.arange(count), [f"class {k}" for k in range(count)]
    logs = np.full((count, count), -20.0, np.float32)
    logs[labels, (labels + 1) % count] = -1e-6
    ones = {name: {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1} for name in names}
    result = {
        "metrics": {"loss": 20.0, "accuracy": 0.0}, "classes": ones, "labels": labels, "log_probabilities": logs,
        "confusion": summaries.classification.confusion_matrix(labels, logs), "misclassified": {"index": labels},
    }  # fmt: skip
    section = reports.Classification.__new__(reports.Classification)  # without the curves of every class
    section.result, section.classes, section.labels = result, names, labels
    section.curves, section.bins = [None] * count, []
    facts = {"intervals": {"accuracy": [0.0, 0.1]}, **section.facts()}
    (tmp_path / "report.json").write_text(json.dumps(facts, indent=2))
    assert json_files.read(tmp_path / "report.json", past_runs.Report)["intervals"] == {"accuracy": [0.0, 0.1]}
    assert facts["confusion"]["class 7"] == {"class 8": 1}


def test_names_that_look_like_mathematics_are_drawn_as_they_are():
    figure = summaries.confusion_matrix_figure(np.eye(2, dtype=int), ("$\\frac$", "$1 and $2"))
    assert png(figure)
    plain = figure_of(2, 2)
    plain.text(0, 0, "$1")
    plain.draw_without_rendering()
    [axes] = figure.axes
    drawn = [label.get_text().replace(r"\$", "$") for label in axes.get_yticklabels()]
    assert drawn == ["$\\frac$", "$1 and $2"]


def test_music_and_text_show_what_they_make_by_their_features(tmp_path):
    roll = (np.random.default_rng(0).random((32, 88)) < 0.1).astype(np.uint8)
    summary = {"name": "set", "source": "here", "licence": None, "counts": {}, "unit": "pieces", "classes": {}}
    summary |= {"sizes": {}, "left_out": [], "steps_per_epoch": 1, "baseline": {}, "warnings": []}
    sections = [
        reports.Likelihood([30.0, 80.0], [10, 20], parts="pieces", step="time step"),
        reports.Samples(Roll(4), [roll, roll[:16]], ["a sample", "the piece"]),
        reports.Samples(Feature(), [[1.0, 2.0]], ["two numbers"], name="numbers"),
    ]
    metrics = {"nats": 110 / 30, "perplexity": np.exp(110 / 30), "bits": 5.29, "x": 1.0}
    report = a_report(tmp_path, sections, metrics, summary=summary)
    facts, page, files = written(report)
    text = " ".join(page.texts)
    assert {"likelihood.png", "sample_1.png"} <= set(files) and "numbers_1.png" not in files
    assert list(facts["samples"]) == ["a sample", "the piece", "two numbers"] and "two numbers" in page.texts
    low, high = facts["intervals"]["nats"]
    assert (low, high) == (3, 4) and set(facts["intervals"]) == {"nats", "perplexity", "bits"}
    assert facts["intervals"]["perplexity"] == pytest.approx([np.exp(3), np.exp(4)])
    assert facts["intervals"]["bits"] == pytest.approx([3 / np.log(2), 4 / np.log(2)])
    assert "bootstrap resamples of 2 pieces" in text and "2 pieces are few" in text


class Series(Feature):
    """Measurements of one quantity, drawn as a curve: a kind of one's own."""

    kind = "series"
    shape = (None, None)

    def pictures(self, values, titles=()):
        figure = figure_of(4, 2)
        axes = figure.add_subplot()
        for value in values:
            axes.plot(value)
        return [(", ".join(titles), png(figure))]


def test_a_kind_of_ones_own_is_in_the_report_and_on_tensorboard_by_its_class(tmp_path):
    values, titles = [[1.0, 2.0, 4.0], [3.0, 1.0]], ["rising", "falling"]
    report = a_report(tmp_path, [reports.Samples(Series(), values, titles)], {})
    _, page, files = written(report)
    assert "sample_1.png" in files and ("alt", "rising, falling") in page.attributes
    with summaries.writing(tmp_path / "events", 1):
        Series().summary("series", values, titles)
        Feature().summary("text", values, titles)
    [path] = (tmp_path / "events").iterdir()
    values_of = [value for _, event in summaries.whole_events(path) for value in event.summary.value]
    kinds = {value.tag: value.metadata.plugin_data.plugin_name for value in values_of}
    assert kinds == {"series": "images", "text": "text"}


def test_tensorboard_shows_the_text_and_the_pictures_of_the_report(tmp_path):
    rng = np.random.default_rng(0)
    result, section = classified(rng.integers(0, 3, 40), rng.normal(size=(40, 3)), ("ant", HOSTILE, "![x](http://y)"))
    report = a_report(tmp_path, [section], result["metrics"], history_of={"loss": [1.0, 0.5], "val_loss": [1.0, 0.7]})
    _, _, files = written(report)
    report.write()  # a second try replaces the first
    paths = (report.run.tensorboard / "validation").iterdir()
    events = [event for path in paths for _, event in summaries.whole_events(path) if event.summary.value]
    assert {event.step for event in events} == {2}
    values = [value for event in events for value in event.summary.value]
    images = [value.tag for value in values if value.metadata.plugin_data.plugin_name == "images"]
    alone = [f"report/{name.removesuffix('.png')}" for name in files if not name.startswith("test_mistake")]
    assert sorted(images) == alone
    [text] = [value.tensor.string_val[0].decode() for value in values if value.tag == "report/text"]
    assert "Test accuracy&#58; " in text and "| accuracy | 0&#46;" in text and "## Test split" in text
    assert "<script" not in text and "![" not in text and "ant" in text


def test_translations_show_the_first_and_the_worst(tmp_path):
    references = [f"the sentence of number {k}" for k in range(20)]
    hypotheses = list(references)
    hypotheses[13], hypotheses[17] = "something else entirely", "the sentence of"
    asked = []

    def attention(source, hypothesis):
        asked.append((source, hypothesis))
        return {"weights": np.eye(2), "source": ["$a$", "b"], "target": ["c", "</s>"]}

    section = reports.Translation([f"source {k}" for k in range(20)], references, hypotheses, attention)
    metrics = {"nats": 1.0, **scores.of_translations(hypotheses, references)}
    metrics.pop("signature")
    report = a_report(tmp_path, [section], metrics)
    facts, page, files = written(report)
    assert [row["source"] for row in facts["samples"]["first"]] == [f"source {k}" for k in range(8)]
    assert [row["source"] for row in facts["samples"]["worst"]][:2] == ["source 13", "source 17"]
    assert len(facts["samples"]["worst"]) == 2  # the others are exact
    assert asked == [("source 0", references[0]), ("source 13", "something else entirely")]
    assert {"attention_1.png", "attention_2.png"} <= set(files)
    assert set(facts["intervals"]) == {"bleu", "bleu_lowercase", "chrf", "exact_match"}
    assert report.for_card()["report"][0].startswith("Test bleu: ")
    assert "18 of 20 test sentences are translated exactly as the reference." in report.for_card()["report"]


def test_an_earlier_try_leaves_no_pictures(tmp_path):
    report = a_report(tmp_path, [reports.Samples(Series(), [[1.0]], ["one"])], {})
    report.write()
    (report.html.parent / "report" / "old.png").write_bytes(b"")
    written(report)


# Apps

TINY = ["--smoke", "--trials", "0", "--set", "filters=(4, 8)"]


def without_dates(path):
    facts = json.loads((path / "report.json").read_text())
    pictures = {file.name: file.read_bytes() for file in (path / "report").iterdir()}
    return {name: value for name, value in facts.items() if name not in ("date", "command", "commands")}, pictures


@pytest.mark.slow
def test_a_resumed_run_has_the_report_of_an_unbroken_one(tmp_path, monkeypatch, one_process_answers):
    """It is broken three times: in training, by a full disk in the report, and just before the end."""
    main = runpy.run_path(str(ROOT / "apps" / "classify_images.py"))["main"]
    main([*TINY, "--out", str(tmp_path / "whole")])

    def stop(self, *_, **__):
        os.kill(os.getpid(), signal.SIGTERM)

    def full(self, *_):
        raise OSError(errno.ENOSPC, "No space left on device")

    out = ["--out", str(tmp_path / "broken")]
    with monkeypatch.context() as patch:
        patch.setattr(summaries.TensorBoard, "on_epoch_end", stop)
        with pytest.raises(SystemExit):
            main([*TINY, *out])
    [broken] = (tmp_path / "broken" / "runs" / "classify_images").iterdir()
    assert not (broken / "report.json").exists()
    with monkeypatch.context() as patch:
        patch.setattr(pages.Page, "write", full)
        with pytest.raises(OSError, match="No space"):
            main([*out, "--resume"])
    [card] = (tmp_path / "broken" / "saved_models").glob("*/*/card.json")  # the export does not wait for the report
    assert not (broken / "finished.json").exists() and not (broken / "report.html").exists()
    main([*out, "--resume"])
    [whole] = (tmp_path / "whole" / "runs" / "classify_images").iterdir()
    assert without_dates(broken) == without_dates(whole)
    assert [card] == list((tmp_path / "broken" / "saved_models").glob("*/*/card.json"))
    facts, said = without_dates(whole)[0], json.loads(card.read_text())
    assert said["intervals"] == facts["intervals"] and said["metrics"] == pytest.approx(facts["metrics"])
    assert said["report"][0].startswith("Test accuracy: ")


NO_INTERVAL = {"accuracy"}  # of the next token
APPS = {  # an argument of its builder, and the metric of which its card speaks first
    "model_images": ("num_layers=1", "nats_per_image"),
    "model_audio": ("dilations=(1, 2)", "nats_per_sample"),
    "model_music": ("units=(16,)", "nats"),
    "model_text": ("units=(32,)", "nats"),
    "translate": ("num_layers=1", "bleu"),
}


@pytest.mark.slow
@pytest.mark.parametrize("app", APPS)
def test_every_app_writes_a_report(app, tmp_path, one_process_answers):
    main = runpy.run_path(str(ROOT / "apps" / f"{app}.py"))["main"]
    metrics = main(["--smoke", "--trials", "0", "--out", str(tmp_path), "--set", APPS[app][0]])
    [path] = (tmp_path / "runs" / app).iterdir()
    facts, pictures = without_dates(path)
    assert facts["metrics"] == pytest.approx(metrics) and facts["samples"]
    for name, (low, high) in facts["intervals"].items():
        assert low <= facts["metrics"][name] <= high, name
    assert (
        list(facts["intervals"])[0] == APPS[app][1]
        and facts["intervals"].keys() == facts["metrics"].keys() - NO_INTERVAL
    )
    assert "curves.png" in pictures and "model.png" in pictures
    assert ({"samples.png", "completions.png"} <= set(pictures)) == (app == "model_images")
    assert ("attention_1.png" in pictures) == (app == "translate")


def seen(page, folder):
    """(the addresses that a page asks for, its screenshot as an array (h, w, 3)) in headless Chromium.

    They are read from its log of the network. What Chromium itself asks for has no page as its initiator.
    """
    log, screenshot = folder / "net.json", folder / "page.png"
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += [f"--user-data-dir={folder / 'profile'}", "--window-size=1000,6000", f"--screenshot={screenshot}"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", f"--log-net-log={log}"]
    subprocess.run([*command, page.as_uri()], capture_output=True, timeout=120, check=True)
    events = [event.get("params", {}) for event in json.loads(log.read_text())["events"]]
    asked = {each["url"] for each in events if each.get("initiator", "not an origin") != "not an origin"}
    return asked, tf.io.decode_png(screenshot.read_bytes(), channels=3).numpy()


@pytest.mark.browser
@browser
def test_a_browser_shows_every_picture_and_asks_for_nothing(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 4, 4, 1)).astype(np.uint8)
    result, section = classified(rng.integers(0, 3, 60), rng.normal(size=(60, 3)), ("ant", "bee", "cat"), images)
    report = a_report(tmp_path, [section], result["metrics"], history_of={"loss": [1.0, 0.5], "val_loss": [1.0, 0.7]})
    written(report)
    asked, pixels = seen(report.html, tmp_path)
    assert not asked
    blue = (np.abs(pixels.astype(int) - [42, 111, 187]).sum(-1) < 12).sum()  # of the curves
    assert blue > 500 and len(np.unique(pixels.reshape(-1, 3), axis=0)) > 300
    outside = tmp_path / "outside.html"
    outside.write_text('<img src="http://outside.example/x.png">')
    assert seen(outside, tmp_path)[0] == {"http://outside.example/x.png"}
