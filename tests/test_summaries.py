"""Laws of what TensorBoard is told: one curve after a kill, no state moved, numbers that agree with others'."""

import dataclasses

import keras
import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf
import toy_models
from keras import layers
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keras_dl import checkpoint, data, errors, models, objectives, parts, runs, sequences, summaries, tables, training
from keras_dl.data import images
from keras_dl.figures import png
from keras_dl.layers.normalization import BatchNormalization

CLASSES = ("ant", "bee", "cat")
NORMS = ("total", "smallest_layer", "largest_layer")


def scaled(x):
    return tf.cast(x, tf.float32) / 255.0


def examples(size=24, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, size).astype(np.int32)
    image = rng.integers(0, 150, (size, 4, 4, 1)) + 50 * label[:, None, None, None]
    return data.Examples({"image": image.astype(np.uint8), "label": label})


def batches(**kwargs):
    return data.batches(examples(), 8, collate=images.with_labels(scaled), **kwargs)


def net():
    """All kinds of state: batch norm, dropout's seeds, an optimizer with slots, metrics."""
    image = keras.Input((4, 4, 1), name="image")
    x = BatchNormalization(name="bn")(layers.Conv2D(3, 2, name="conv")(image))
    x = layers.BatchNormalization(name="keras_bn")(x)
    x = layers.Dropout(0.3, name="dropout")(layers.Flatten(name="flatten")(x))
    model = keras.Model(image, layers.Dense(3, dtype="float32", name="logits")(x))
    model.compile(
        "adam",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    return model


def run_in(folder, **kwargs):
    return runs.Run(path=folder / "run", root=folder, name="net-set", app="app", **kwargs)


def fit(model, run, epochs=3, histograms=False, keep="last", callbacks=()):
    train, validation = batches(shuffle=True), data.batches(examples(20, 1), 20, collate=images.with_labels(scaled))
    ours = [
        summaries.TensorBoard(run, train, validation, histograms=histograms),
        summaries.Pictures(run, examples(20, 1), scaled, CLASSES),
    ]
    return training.fit(
        model, train, validation, run, epochs=epochs, callbacks=[*ours, *callbacks], keep=keep, verbose=0
    )  # fmt: skip


def read(folder):
    return EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()


def curves(folder):
    """{tag: [(step, value)]} of every number."""
    events = read(folder)
    found = {tag: events.Tensors(tag) for tag in events.Tags()["tensors"]}
    values = {tag: [(e.step, tf.make_ndarray(e.tensor_proto)) for e in each] for tag, each in found.items()}
    return {tag: [(s, float(v)) for s, v in each] for tag, each in values.items() if each[0][1].ndim == 0}


def state(model):
    return [keras.ops.convert_to_numpy(v).tobytes() for v in checkpoint.variables(model)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(run, model, history) of an unbroken fit of three epochs."""
    run = run_in(tmp_path_factory.mktemp("whole"))
    keras.utils.set_random_seed(1)
    model = net()
    return run, model, fit(model, run)


def test_curves_are_the_history_in_two_folders_under_one_set_of_tags(whole):
    run, model, history = whole
    train, validation = curves(run.tensorboard / "train"), curves(run.tensorboard / "validation")
    for name, values in history.items():
        where, tag = (validation, name[4:]) if name.startswith("val_") else (train, name)
        tag = f"optimization/{tag}" if tag == "learning_rate" else f"metrics/{tag}"
        assert where[tag] == [(i + 1, np.float32(v)) for i, v in enumerate(values)]
    assert [step for step, _ in train["optimization/examples_per_second"]] == [1, 2, 3]
    norms = [f"{kind}_norm/{which}" for kind in ("gradient", "weight") for which in NORMS]
    both = {"metrics/loss", "metrics/accuracy", *(f"optimization/{name}" for name in norms[:3])}
    of_train = {f"optimization/{name}" for name in ("learning_rate", "examples_per_second", *norms[3:])}
    assert set(train) == both | of_train
    assert set(validation) == both
    layers = summaries.weight_norms(model)
    assert list(layers) == ["conv", "bn", "keras_bn", "logits"]
    squares = sum(norm**2 for norm in layers.values())
    expected = dict(zip(NORMS, (squares**0.5, min(layers.values()), max(layers.values())), strict=True))
    for which, norm in expected.items():
        assert train[f"optimization/weight_norm/{which}"][-1] == (3, pytest.approx(norm, rel=1e-6))
        each = [curve[f"optimization/gradient_norm/{which}"] for curve in (train, validation)]
        assert [len(curve) for curve in each] == [3, 3] and each[0] != each[1]


def test_the_graph_is_written_once_and_holds_every_layer(whole):
    run, *_ = whole
    events = [e for path in run.tensorboard.rglob("events*") for _, e in summaries.whole_events(path)]
    [written] = [e.graph_def for e in events if e.HasField("graph_def")]
    graph = tf.compat.v1.GraphDef.FromString(written)
    names = " ".join(node.name for node in graph.node)
    assert all(f"/{layer}" in names for layer in ("conv", "bn", "flatten", "logits"))
    assert "random" not in names.lower()  # dropout is at rest: it is the graph of inference


def test_histograms_and_norms_of_layers_come_when_they_are_asked_for(tmp_path, whole):
    run = run_in(tmp_path)
    fit(net(), run, epochs=1, histograms=True)
    silent, asked = (read(r.tensorboard / "train").Tags()["tensors"] for r in (whole[0], run))
    assert not [tag for tag in silent if tag.startswith(("weights/", "norms/"))]
    layers = ("conv", "bn", "keras_bn", "logits")
    expected = {f"norms/{kind}/{layer}" for kind in ("weights", "gradients") for layer in layers}
    assert {tag for tag in asked if tag.startswith("norms/")} == expected
    assert {tag for tag in asked if tag.startswith("weights/")} == {
        f"weights/{v.path}" for v in net().trainable_variables
    }


def test_events_are_on_disk_before_a_checkpoint_can_follow(tmp_path):
    run, seen = run_in(tmp_path), []
    write = checkpoint.write

    def looking(folder, epoch, *args):
        seen.append((epoch, len(curves(run.tensorboard / "train")["metrics/loss"])))
        write(folder, epoch, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "write", looking)
        fit(net(), run, epochs=2)
    assert seen == [(1, 1), (2, 2)]


class KilledError(Exception):
    pass


def killing(epoch, after_callbacks):
    """A run that dies at the end of `epoch`: when its events are written, before or after its checkpoint is."""

    class Kill(keras.callbacks.Callback):
        def on_epoch_end(self, epoch_ended, logs=None):
            if epoch_ended == epoch and after_callbacks:
                raise KilledError

        def on_epoch_begin(self, epoch_begun, logs=None):
            if epoch_begun == epoch + 1 and not after_callbacks:
                raise KilledError

    return Kill()


@pytest.mark.parametrize(("epoch", "unsaved"), [(0, True), pytest.param(1, True, marks=pytest.mark.slow), (1, False)])
def test_a_resumed_run_has_one_curve(tmp_path, whole, epoch, unsaved):
    """Killed between an epoch's events and its checkpoint, or after both; torn in the last record."""
    whole, run = whole[0], run_in(tmp_path)
    keras.utils.set_random_seed(1)
    with pytest.raises(KilledError):
        fit(net(), run, callbacks=[killing(epoch, after_callbacks=unsaved)])
    for path in run.tensorboard.rglob("events*"):
        with open(path, "ab") as file:
            file.write(b"\x20\0\0\0\0\0\0\0torn")
    keras.utils.set_random_seed(1)
    fit(net(), dataclasses.replace(run, resumed=True))
    for part in ("train", "validation"):
        one, other = (curves(r.tensorboard / part) for r in (whole, run))
        for found in (one, other):
            clocked = found.pop("optimization/examples_per_second", [(1, 0), (2, 0), (3, 0)])
            assert [step for step, _ in clocked] == [1, 2, 3]
        assert one == other
    graphs = [
        e for p in run.tensorboard.rglob("events*") for _, e in summaries.whole_events(p) if e.HasField("graph_def")
    ]
    assert len(graphs) == 1
    assert not list(run.tensorboard.rglob("*.tmp"))


def test_purge_keeps_what_is_older_and_drops_a_torn_end(tmp_path):
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default():
        for step in range(1, 7):
            tf.summary.scalar("x", step, step=step)
    writer.close()
    [path] = tmp_path.glob("events*")
    whole = path.read_bytes()
    for cut, last in ((0, 6), (3, 5)):  # the last record is torn off
        path.write_bytes(whole[: len(whole) - cut])
        summaries.purge(tmp_path, 6)
        assert [s for s, _ in curves(tmp_path)["x"]] == list(range(1, last + 1))
    summaries.purge(tmp_path, 2)
    assert curves(tmp_path)["x"] == [(1, 1.0), (2, 2.0)]
    summaries.purge(tmp_path, 0)
    assert not list(tmp_path.iterdir())


def test_gradient_norms_are_those_of_a_tape_and_move_no_state():
    model, batch = net(), next(iter(batches().dataset()))
    model.train_on_batch(*batch)
    model.get_layer("dropout").rate = 0.0  # so that a tape by hand sees the same
    before = state(model)
    norms = summaries.gradient_norms(model, batch)
    assert state(model) == before
    with tf.GradientTape() as tape:
        loss = keras.ops.mean(
            keras.losses.sparse_categorical_crossentropy(batch[1], model(batch[0], training=True), from_logits=True)
        )
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    squares = {}
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        layer = variable.path.split("/")[0]
        squares[layer] = squares.get(layer, 0) + float(tf.reduce_sum(gradient**2))
    assert list(norms) == list(squares)
    # A bias before batch norm has no gradient but rounding.
    np.testing.assert_allclose(list(norms.values()), np.sqrt(list(squares.values())), rtol=1e-4)
    assert state(model) != before  # the tape by hand did move batch norm's averages: the law can fail


@pytest.mark.slow
@pytest.mark.parametrize("shielded", [True, False])
def test_a_fit_is_the_same_with_and_without_our_callbacks(tmp_path, monkeypatch, shielded):
    """Bit for bit, dropout's seeds and batch norm's averages included; and not so without the scope that holds them."""
    if not shielded:

        class Nothing:
            def __init__(self, **kwargs): ...
            def __enter__(self): ...
            def __exit__(self, *args): ...

        monkeypatch.setattr(keras, "StatelessScope", Nothing)
    keras.utils.set_random_seed(1)
    plain = net()
    train, validation = batches(shuffle=True), data.batches(examples(20, 1), 20, collate=images.with_labels(scaled))
    training.fit(plain, train, validation, run_in(tmp_path / "plain"), epochs=2, keep="last", verbose=0)
    keras.utils.set_random_seed(1)
    watched = net()
    fit(watched, run_in(tmp_path / "watched"), epochs=2, histograms=True)
    assert (state(watched) == state(plain)) is shielded


def language_model():
    """A SequenceModel that carries its state over, and a batch in which one row goes on and one starts anew."""
    network = models.build_lstm((None,), 5, units=(4,), init_scale=0.5)
    model = sequences.SequenceModel(network, batch_size=2, scheduled_sampling=0.5)
    model.compile(keras.optimizers.SGD(1.0), objectives.SequenceLoss("categorical"))
    for variable in model.train_state:
        variable.assign(0.5 * tf.ones_like(variable))
    tokens, ones = tf.constant([[1, 2, 3], [4, 0, 2]]), tf.ones((2, 3))
    return model, ({"tokens": tokens, "start": tf.constant([False, True])}, tokens, ones)


def without_y():
    return toy_models.vae(), next(iter(toy_models.batches().dataset()))


def of_dictionaries():
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    joined = layers.Concatenate()([a, layers.Dropout(0.5)(b)])
    model = keras.Model({"a": a, "b": b}, {"sum": layers.Dense(1, name="sum", kernel_regularizer="l2")(joined)})
    model.compile("sgd", {"sum": "mse"})
    x = {name: tf.random.stateless_normal((4, 3), (seed, 0)) for seed, name in enumerate("ab")}
    return model, (x, {"sum": tf.ones((4, 1))})


@pytest.mark.parametrize("kind", [language_model, without_y, of_dictionaries])
def test_norms_are_of_the_step_that_training_makes_next(kind):
    """Of the same loss, with the same draws: plain gradient descent moves each layer's weights by that norm."""
    model, batch = kind()
    for part in parts.of(model):
        part.optimizer.build(part.variables)
    before = state(model)
    norms = summaries.gradient_norms(model, batch)
    assert state(model) == before
    weights = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    rate = 1.0 if kind is language_model else 0.01
    if kind is without_y:
        model.compile(keras.optimizers.SGD(rate))
    tf.function(model.train_step)(batch)
    squares = dict.fromkeys(norms, 0.0)
    for variable, weight in zip(model.trainable_variables, weights, strict=True):
        step = (keras.ops.convert_to_numpy(variable) - weight) / rate
        squares[variable.path.rpartition("/")[0]] += np.sum(np.square(step, dtype=np.float64))
    np.testing.assert_allclose(list(norms.values()), np.sqrt(list(squares.values())), rtol=2e-3)
    assert min(norms.values()) > 0


def test_a_step_of_the_models_own_has_norms_only_where_it_says_its_loss(tmp_path):
    class Own(keras.Model):
        def train_step(self, data):
            return super().train_step(data)

    x = keras.Input((4, 4, 1))
    model = Own(x, layers.Dense(3, name="logits")(layers.Flatten()(x)), name="own")
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(errors.UserError, match="own, which has a train_step of its own, must say what that minimises"):
        summaries.gradient_norms(model, next(iter(batches().dataset())))
    run = run_in(tmp_path)
    fit(model, run, epochs=1)
    train = curves(run.tensorboard / "train")
    assert "optimization/weight_norm/total" in train and not any("gradient" in tag for tag in train)


def test_a_weighted_batch_weighs_in_the_gradient():
    model, (image, label) = net(), next(iter(batches().dataset()))
    even = summaries.gradient_norms(model, (image, label, tf.ones(8)))
    double = summaries.gradient_norms(model, (image, label, 2 * tf.ones(8)))
    assert even["logits"] > 0
    model.get_layer("dropout").rate = 0.0
    even, double = (summaries.gradient_norms(model, (image, label, w * tf.ones(8))) for w in (1, 2))
    assert double["logits"] == pytest.approx(2 * even["logits"], rel=1e-4)


def test_pictures_are_written_at_the_end_and_once(whole):
    run, *_ = whole
    fit(net(), dataclasses.replace(run, resumed=True))  # finished: it ends a second time
    events = read(run.tensorboard / "validation")
    tags = [tag for tag in events.Tags()["tensors"] if not tag.startswith(("metrics/", "optimization/"))]
    assert sorted(tags) == ["pictures/confusion_matrix", "pictures/misclassified"]
    for tag in tags:
        [event] = events.Tensors(tag)
        assert event.step == 3
        width, height, picture = tf.make_ndarray(event.tensor_proto)
        assert tf.io.decode_png(picture).shape == (int(height), int(width), 3) and int(width) > 100


def fixed(rows):
    """A model whose logits are the image's first three pixels, and batches of such images."""
    rows = np.array(rows)
    image = np.zeros((len(rows), 4, 4, 1), np.uint8)
    image[:, 0, :3, 0] = rows[:, 1:]
    given = keras.Input((4, 4, 1))
    model = keras.Model(given, layers.Lambda(lambda x: x[:, 0, :3, 0])(given))
    held = data.Examples({"image": image, "label": rows[:, 0].astype(np.int32)})
    return model, data.batches(held, 4, collate=images.with_labels(lambda x: tf.cast(x, tf.float32)))


def test_the_report_agrees_with_a_count_by_hand():
    #        label, logits
    rows = [(0, 9, 0, 0), (0, 9, 0, 0), (0, 0, 5, 0), (1, 0, 9, 0), (1, 0, 0, 2), (0, 1, 0, 3)]
    model, held = fixed(rows)
    report = summaries.classification_report(model, held, CLASSES)
    assert report["confusion"].tolist() == [[2, 1, 1], [0, 1, 1], [0, 0, 0]]  # a row is a true class
    assert report["metrics"]["accuracy"] == pytest.approx(3 / 6)
    logits = np.array(rows, float)[:, 1:]
    loss = np.log(np.exp(logits).sum(1)) - logits[np.arange(6), [r[0] for r in rows]]
    assert report["metrics"]["loss"] == pytest.approx(loss.mean(), rel=1e-6)
    assert report["classes"]["ant"] == pytest.approx({"precision": 1, "recall": 0.5, "f1": 2 / 3, "support": 4})
    assert report["classes"]["bee"] == pytest.approx({"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2})
    assert report["classes"]["cat"] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}  # none there, not dropped
    wrong = report["misclassified"]
    assert wrong["index"].tolist() == [2, 5, 4]  # the most confident first
    assert wrong["label"].tolist() == [0, 0, 1] and wrong["predicted"].tolist() == [1, 2, 2]
    assert wrong["probability"] == pytest.approx(
        [np.exp(5) / (np.exp(5) + 2), np.exp(3) / (np.exp(3) + np.e + 1), np.exp(2) / (np.exp(2) + 2)], rel=1e-5
    )


def test_the_report_agrees_with_evaluate_and_scikit_learn(tmp_path):
    model, held = net(), batches()
    report = summaries.classification_report(model, held, CLASSES)
    assert report["metrics"] == pytest.approx(training.evaluate(model, held), rel=1e-6)
    predicted = np.concatenate([np.argmax(model(x, training=False), 1) for x, _ in held.dataset()])
    expected = sklearn.metrics.confusion_matrix(examples().features["label"], predicted, labels=range(3))
    np.testing.assert_array_equal(report["confusion"], expected)


def test_the_report_as_a_table_says_every_count():
    model, held = fixed([(0, 9, 0, 0), (0, 0, 5, 0), (1, 0, 9, 0), (2, 0, 0, 2)])
    report = summaries.classification_report(model, held, CLASSES)
    lines = summaries.report_table(report).splitlines()
    assert lines[0].startswith("test: loss ") and "accuracy 0.7500  (1 of 4 wrong)" in lines[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert cells[0] == ["class", "precision", "recall", "F1", "examples", *CLASSES]
    assert cells[2:] == [
        ["ant", "1.000", "0.500", "0.667", "2", "1", "1", "0"],
        ["bee", "0.500", "1.000", "0.667", "1", "0", "1", "0"],
        ["cat", "1.000", "1.000", "1.000", "1", "0", "0", "1"],
    ]
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("width", [80, 200])
def test_a_table_fits_the_terminal_and_commands_no_style(width, monkeypatch):
    """Styles would be escaped by whoever prints the text."""
    monkeypatch.setattr(tables, "width", lambda: width)
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes the output for a terminal
    monkeypatch.setenv("TERM", "xterm-256color")
    names = [f"class {i}" for i in range(10)]
    report = {
        "metrics": {"accuracy": 0.9}, "confusion": 12 * np.eye(10, dtype=int), "misclassified": {"index": []},
        "classes": {name: {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 12} for name in names},
    }  # fmt: skip
    text = summaries.report_table(report)
    assert "\x1b" not in text and "\u2026" not in text and max(map(len, text.splitlines())) <= width
    assert "| precision | recall |" in text and ("most often taken for" in text) == (width == 80)


def test_a_table_of_many_classes_says_whom_each_is_taken_for():
    names = [f"c{i:02d}" for i in range(30)]
    confusion = np.diag(np.full(30, 4))
    confusion[3, 7] = 2
    report = {
        "metrics": {"accuracy": 0.9},
        "confusion": confusion,
        "classes": {name: {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 4} for name in names},
        "misclassified": {"index": np.array([1, 2])},
    }
    lines = [line for line in summaries.report_table(report).splitlines() if line.startswith("| c")][1:]
    assert [line.split("|")[-2].strip() for line in lines] == ["c07 (2)" if i == 3 else "" for i in range(30)]


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_figures_say_counts_names_and_probabilities():
    matrix = np.array([[5, 2, 0], [0, 7, 0], [1, 0, 0]])
    figure = summaries.confusion_matrix_figure(matrix, CLASSES)
    assert sorted(texts(figure)) == ["1", "2", "5", "7"]
    [axes] = figure.axes
    assert [t.get_text() for t in axes.get_yticklabels()] == list(CLASSES) and axes.get_ylabel() == "true class"
    at = {t.get_text(): t.get_position() for t in axes.texts}
    assert at["2"] == (1, 0)  # column: predicted as bee; row: an ant
    assert texts(summaries.confusion_matrix_figure(np.eye(40, dtype=int), [str(i) for i in range(40)])) == []

    images = np.zeros((7, 4, 4, 3), np.uint8)
    errors = {"label": np.zeros(7, int), "predicted": np.arange(7) % 3, "probability": np.linspace(0.3, 0.9, 7)}
    figure = summaries.misclassified_figure(images, errors, CLASSES)
    assert [axes.get_title() for axes in figure.axes][:2] == ["ant taken for\nant (30%)", "ant taken for\nbee (40%)"]
    none = summaries.misclassified_figure(images[:0], {name: v[:0] for name, v in errors.items()}, CLASSES)
    assert not none.axes and "no example" in none.texts[-1].get_text()
    picture = tf.io.decode_png(png(figure))
    assert picture.shape[-1] == 4 and picture.shape[1] == 405


def test_pictures_leave_pyplot_alone():
    import matplotlib.pyplot

    backend, figures = matplotlib.get_backend(), matplotlib.pyplot.get_fignums()
    png(summaries.confusion_matrix_figure(np.eye(3, dtype=int), CLASSES))
    assert matplotlib.get_backend() == backend and matplotlib.pyplot.get_fignums() == figures


def test_a_class_s_name_neither_commands_the_terminal_nor_is_taken_for_markup():
    scores = {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 2}
    report = {
        "metrics": {"accuracy": 1.0}, "confusion": np.array([[2, 0], [0, 2]]), "misclassified": {"index": []},
        "classes": {"[red]cat": scores, "dog\x1b[31m": scores},
    }  # fmt: skip
    text = summaries.report_table(report)
    assert text.count("[red]cat") == 2 and text.count("dog\\x1b[31m") == 2 and "\x1b" not in text


def test_of_many_vectors_the_projector_has_some_of_all_classes(tmp_path, monkeypatch):
    from types import SimpleNamespace

    monkeypatch.setattr(summaries.projector, "MOST", 60)
    labels = ["cat"] * 100 + ["dog"] * 100  # as the examples of a folder stand
    codes = np.arange(200.0)[:, None]
    run = SimpleNamespace(tensorboard=tmp_path)
    summaries.projector.write(run, codes, labels, np.zeros((200, 4, 4, 1), np.uint8))
    (written,) = tmp_path.rglob("*labels*")
    kept = [line.split("\t") for line in written.read_text().splitlines()[1:]]
    assert len(kept) == 60 and 15 <= [label for label, _ in kept].count("cat") <= 45
    assert all(label == labels[int(row)] for label, row in kept)
