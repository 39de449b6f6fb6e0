"""Laws of the folders of event files: few, so that TensorBoard shows ten runs at once, and shared without harm."""

import json
import re
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorboard
import tensorflow as tf
from keras import layers
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keras_dl import data, hyperparameters, runs, samples, settings, summaries, training, tuning
from keras_dl.data import images

TRIALS = 3
CLASSES = ("ant", "bee", "cat")
PICTURES = {"pictures/confusion_matrix", "pictures/misclassified"}


def scaled(x):
    return tf.cast(x, tf.float32) / 255.0


def examples(size, seed):
    rng = np.random.default_rng(seed)
    image, label = rng.integers(0, 256, (size, 4, 4, 1), np.uint8), rng.integers(0, 3, size).astype(np.int32)
    return data.Examples({"image": image, "label": label})


def space(hp):
    return {"units": hp.Choice("units", [2, 3, 4], default=3)}


def compiled(hp):
    image = keras.Input((4, 4, 1), name="image")
    x = layers.Dense(**space(hp), name="hidden")(layers.Flatten()(image))
    model = keras.Model(image, layers.Dense(3, dtype="float32", name="logits")(x))
    rate = hp.Float("learning_rate", 1e-3, 1e-2, sampling="log", default=2e-3)
    model.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def app(folder, resumed=False, trials=TRIALS, epochs=2):
    """What an app does, with all that is written for TensorBoard."""
    run = runs.Run(path=folder / "net-set-1", root=folder, name="net-set", app="app", seed=3, resumed=resumed)
    train, validation = (data.batches(examples(12, seed), 6, collate=images.with_labels(scaled)) for seed in (0, 1))
    best = tuning.search(compiled, train, validation, run, trials=trials, epochs=2)
    model = run.build(compiled, best)
    callbacks = [
        summaries.TensorBoard(run, train, validation),
        summaries.Pictures(run, examples(12, 1), scaled, CLASSES),
        samples.Samples(run, lambda: tf.summary.text("made", "something")),
    ]
    training.fit(model, train, validation, run, epochs=epochs, callbacks=callbacks, verbose=0)
    call = tf.function(lambda x: model(x, training=False)).get_concrete_function(tf.TensorSpec((None, 4, 4, 1)))
    summaries.tagged_graph(run.tensorboard / "train", "export/serving_default", call)
    arguments = hyperparameters.Arguments(settings.Training(), space, {"units": 3})
    arguments.show(run, best, {"loss": 0.5})
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return app(tmp_path_factory.mktemp("app"))


def event_folders(path):
    return sorted({str(file.parent.relative_to(path)) for file in path.rglob("*tfevents*")})


def steps(folder):
    """{tag: steps} of all that TensorBoard reads from a folder."""
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
    return {tag: [event.step for event in events.Tensors(tag)] for tag in events.Tags()["tensors"]}


def test_ten_runs_with_a_search_have_as_many_folders_as_tensorboard_shows_at_once(run):
    best = json.loads((run.tuner / "best.json").read_text())["trial"]
    others = [f"variants/{number:03d}" for number in range(TRIALS) if number != best]
    assert event_folders(run.path) == sorted(["train", "validation", *others])
    assert 10 * len(event_folders(run.path)) <= summaries.SHOWN_AT_ONCE
    page = zipfile.ZipFile(Path(tensorboard.__file__).parent / "webfiles.zip").read("index.js").decode()
    assert re.search(r"maxNamesToEnableByDefault=(\d+)", page)[1] == str(summaries.SHOWN_AT_ONCE)


def test_the_charts_of_training_and_validation_are_the_first_two_groups(run):
    """TensorBoard sorts the groups of tags by name, and opens two of them."""
    tags = {tag: folder for folder in event_folders(run.path) for tag in steps(run.path / folder)}
    groups = sorted({tag.partition("/")[0] for tag in tags if not tag.startswith(("_", "export/", "samples/"))})
    assert groups == ["metrics", "metrics (test)", "metrics (trial)", "optimization", "pictures"]
    assert [tag for tag in steps(run.path / "train") if tag.startswith("metrics/")] == ["metrics/loss"]
    assert len([tag for tag in tags if tag.startswith("optimization/")]) == 8


def test_what_shares_a_folder_is_all_there(run):
    found = steps(run.path / "validation")
    assert found["metrics/loss"] == [1, 2] and found["samples/made"] == [1, 2] and found["metrics (test)/loss"] == [0]
    assert set(found) > PICTURES and all(found[tag] == [2] for tag in PICTURES)
    best = json.loads((run.tuner / "best.json").read_text())["trial"]
    record = json.loads((run.tuner / "trials.json").read_text())[best]
    events = EventAccumulator(str(run.path / "validation"), size_guidance={"tensors": 0}).Reload()
    last = events.Tensors("metrics (trial)/loss")[-1]  # the curve of a trial ends with its best epoch
    assert tf.make_ndarray(last.tensor_proto) == np.float32(record["metrics"]["val_loss"])
    assert steps(run.path / "train")["export/serving_default"] == [0]


def test_a_finished_run_that_is_resumed_has_everything_once(tmp_path):
    """Also with more epochs: pictures and samples of before stay, the row and the export's graph are replaced."""
    first = app(tmp_path, trials=1, epochs=1)
    before = {folder: steps(first.path / folder) for folder in ("train", "validation")}
    app(tmp_path, resumed=True, trials=1, epochs=1)
    assert {folder: steps(first.path / folder) for folder in ("train", "validation")} == before
    app(tmp_path, resumed=True, trials=1, epochs=4)
    found = steps(first.path / "validation")
    assert (
        found["metrics/loss"] == [1, 2, 3, 4]
        and found["samples/made"] == [1, 2, 4]
        and found["metrics (test)/loss"] == [0]
    )
    assert all(found[tag] == [1, 4] for tag in PICTURES)
    assert found["_hparams_/session_start_info"] == [0]
    assert found["metrics (trial)/loss"] == [1, 2]  # a trial may be longer than the fit was before the resume
    assert found["metrics (trial)/loss"] == before["validation"]["metrics (trial)/loss"]
    assert steps(first.path / "train")["export/serving_default"] == [0]


def test_a_run_of_before_is_continued_in_its_own_folder(tmp_path):
    """It has a folder tensorboard/, with pictures, samples and the row of the fit in folders of their own."""
    run = runs.Run(path=tmp_path / "net-set-1", root=tmp_path, name="net-set", app="app")
    earlier = run.path / "tensorboard"
    for folder, tag in (("train", "epoch_loss"), ("pictures", "confusion_matrix"), ("samples", "made")):
        for step in (1, 2, 3):
            with summaries.writing(earlier / folder, step):
                tf.summary.scalar(tag, 0.0)
    summaries.hparams(earlier / "hparams" / "fit", {"units": 3}, {"metrics (test)/loss": 1.0})
    assert run.tensorboard == earlier
    for callback in (
        summaries.TensorBoard(run),
        summaries.Pictures(run, examples(3, 0), scaled, CLASSES),
        samples.Samples(run, lambda: None),
    ):
        callback.purge(2)
    for folder, tag in (("train", "epoch_loss"), ("pictures", "confusion_matrix"), ("samples", "made")):
        assert steps(earlier / folder) == {tag: [1, 2]}
    app(tmp_path, resumed=True, trials=0)
    assert event_folders(run.path) == [f"tensorboard/{name}" for name in ("pictures", "train", "validation")]


def test_purging_a_prefix_leaves_the_other_tags(tmp_path):
    for step in (1, 2):
        with summaries.writing(tmp_path, step):
            tf.summary.scalar("metrics/loss", 1.0)
            tf.summary.scalar("pictures/one", 1.0)
    untouched = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    summaries.purge(tmp_path, 2, "pictures/")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == untouched
    summaries.purge(tmp_path, 1, "pictures/")
    assert steps(tmp_path) == {"metrics/loss": [1, 2], "pictures/one": [1]}
    summaries.purge(tmp_path, -1, ("pictures/", "metrics/"))
    assert not list(tmp_path.iterdir())


def test_all_that_is_written_during_training_shares_a_file(tmp_path):
    """One of TensorBoard's loaders never returns from a newer file of a folder to an older one."""
    run = runs.Run(path=tmp_path, root=tmp_path, name="m", app="a")
    curves, made = summaries.TensorBoard(run), samples.Samples(run, lambda: tf.summary.text("made", "something"))
    for callback in (curves, made):
        callback.set_model(compiled(tuning.defaults()))
    for epoch in range(3):
        curves.on_epoch_begin(epoch)
        for callback in (curves, made):
            callback.on_epoch_end(epoch, {"val_loss": 1.0})
        assert steps(tmp_path / "validation")["metrics/loss"] == list(range(1, epoch + 2))
    assert len(list((tmp_path / "validation").iterdir())) == 1
    curves.on_train_end()


def test_hparams_shows_test_and_trial_metrics_among_its_first_five(run):
    """TensorBoard sorts the columns by their characters, and ticks five of them."""
    columns = sorted(
        tag
        for folder in ("validation", *event_folders(run.path / "variants"))
        for tag in steps(run.path / ("" if folder == "validation" else "variants") / folder)
        if tag.startswith(("metrics", "optimization"))
    )
    columns = list(dict.fromkeys(columns))
    assert columns[:3] == ["metrics (test)/loss", "metrics (trial)/loss", "metrics/loss"]
