"""A run starts from the weights of an earlier export or run: to the bit, with a new head, at a lower rate below it."""

import dataclasses
import functools
import json
import runpy
import shutil
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import pytest
import tensorflow as tf
import toy_models
from cases import CASES
from keras import layers
from killing import KillAt

from keras_dl import (
    cards,
    checkpoint,
    data,
    errors,
    hyperparameters,
    initializing,
    machine,
    models,
    objectives,
    optimizers,
    runs,
    sequences,
    settings,
    training,
    tuning,
    verification,
)  # fmt: skip
from keras_dl.data import images
from keras_dl.initializing import sources
from keras_dl.layers.normalization import BatchNormalization
from keras_dl.training import fitting
from keras_dl.training.variables import learning_rates
from keras_dl.weight_names import named_weights

ROOT = Path(__file__).resolve().parent.parent
ANIMALS, THINGS = ("cat", "dog", "owl"), ("car", "bus", "jet")


@dataclasses.dataclass(frozen=True)
class Config(settings.Training):
    model: str = "net"


def net(classes=3, width=4):
    """A small network; Keras names its dropout and its activation."""
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(width, 3, name="conv")(image)
    x = layers.ReLU()(BatchNormalization(name="bn")(x))
    x = layers.Dropout(0.3)(layers.Flatten()(layers.AveragePooling2D(3)(x)))
    x = layers.Dense(5, "relu")(x)
    return keras.Model(image, layers.Dense(classes, dtype="float32", name="logits")(x), name="net")


def compiled(optimizer="adam", rate=0.01, build=net, **kwargs):
    model = build()
    model.compile(
        optimizers.build(optimizer, rate, **kwargs), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    return model


def trained(build=net, seed=1):
    """A network whose weights are all different from fresh ones."""
    model, rng = build(), np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(rng.uniform(0.1, 1, weight.shape))
    return model


def export_of(model, folder, **fields):
    """An export as far as --init reads it; fields: of the card."""
    folder.mkdir(parents=True)
    model.save(folder / "model.keras")
    (folder / "saved_model.pb").write_bytes(b"a SavedModel")
    tensor = {"kind": "number", "dtype": "float32", "shape": [None]}
    card = {
        "name": folder.parent.name, "endpoints": {"serve": {"inputs": {"x": tensor}, "outputs": {"y": tensor}}},
        "files": verification.digests(folder), "settings": {"model": "net"},
        "features": {"class": {"classes": list(ANIMALS)}},
    }  # fmt: skip
    card |= fields
    (folder / cards.CARD).write_bytes(cards.text(card | {"signature": verification.signature(card)}).encode())
    return folder


def start_of(root, which, model=None, labels=THINGS, called="classes"):
    config = Config(init=str(which), out=str(root))
    return initializing.start_from(config, "app", model or net(len(labels)), labels=labels, called=called)


def bits(values):
    return [np.ascontiguousarray(value).tobytes() for value in values]


def by_name(model):
    return {name: np.array(variable) for name, variable in named_weights(model)}


def refused(*args, **kwargs):
    with pytest.raises(errors.UserError) as mistake:
        start_of(*args, **kwargs)
    assert "\n" not in str(mistake.value) and str(mistake.value).startswith("--init: ")
    return str(mistake.value)


# What is taken over.


def test_unchanged_parts_are_equal_to_the_bit_and_the_head_of_other_classes_is_new(tmp_path):
    source = trained()
    export_of(source, tmp_path / "saved_models" / "net-animals" / "1")
    start = start_of(tmp_path, "net-animals")
    model = compiled()
    fresh = by_name(model)
    start.into(model)
    earlier, now = by_name(source), by_name(model)
    assert set(earlier) == set(now) and len(now) == 10
    for name in now:
        wanted = fresh if name.startswith("logits/") else earlier
        assert bits([now[name]]) == bits([wanted[name]]), name
    assert start.sentence == (
        "--init: 8 of the 10 weights are those of saved_models/net-animals/1; new: logits (other classes). "
        "What was taken over trains at 0.1 of the learning rate."
    )
    assert start.note["path"] == "saved_models/net-animals/1"


def test_with_the_same_classes_all_is_taken_over_and_trains_at_the_given_rate(tmp_path):
    source = trained()
    export_of(source, tmp_path / "export" / "1")
    start, model = start_of(tmp_path, tmp_path / "export", labels=ANIMALS), compiled()
    start.into(model)
    assert bits(model.weights) == bits(source.weights)
    model.optimizer.build(model.trainable_variables)
    assert optimizers.rate_factors(model.optimizer) == () and list(learning_rates(model)) == ["learning_rate"]
    assert start.sentence.startswith("--init: 10 of the 10 weights are those of export/1. All train at")


def test_classes_of_the_same_name_keep_their_columns_wherever_they_stand(tmp_path):
    source = trained()
    export_of(source, tmp_path / "e" / "1")
    labels = ("jet", "dog", "bus", "cat")
    start, model = start_of(tmp_path, "e/1", labels=labels), compiled(build=lambda: net(4))
    fresh = by_name(model)
    start.into(model)
    now, earlier = by_name(model), by_name(source)
    for name in ("logits/kernel", "logits/bias"):
        wanted = fresh[name].copy()
        wanted[..., 1], wanted[..., 3] = earlier[name][..., 1], earlier[name][..., 0]  # dog and cat
        np.testing.assert_array_equal(now[name], wanted)
    assert "new: logits (other classes, 2 of 4 carried over)." in start.sentence
    factors = optimizers.rate_factors(model.optimizer)
    assert factors == (0.1,) * 6 + (1.0, 1.0)  # what is new in part trains at the given rate
    everywhere = start_of(tmp_path, "e/1", labels=("owl", "cat"), model=net(2))
    assert "All train at the given" in everywhere.sentence


def test_other_shapes_and_further_layers_are_new_and_said(tmp_path):
    export_of(trained(), tmp_path / "e" / "1")
    start = start_of(tmp_path, "e", model=net(3, width=4), labels=ANIMALS)
    assert "new" not in start.sentence
    wider = start_of(tmp_path, "e", model=net(3, width=6), labels=ANIMALS)
    assert "--init: 3 of the 10 weights" in wider.sentence
    assert "new: conv, bn, dense#1 (another shape)." in wider.sentence

    def deeper():
        model = net()
        return keras.Model(model.input, layers.Dense(3, name="more")(model.output), name="net")

    said = start_of(tmp_path, "e", model=deeper(), labels=("a", "b", "c")).sentence
    assert "new: more (not in it)" in said  # the last layer is another one; what was the head is a hidden layer now


# Networks with embeddings: their arguments, and how many weights belong to tokens, untied and tied.
OF_TOKENS = {
    "lstm": ({"units": (4,), "embedding_dim": 4}, 3, 2),
    "transformer_lm": ({"num_layers": 1, "hidden_dim": 4, "intermediate_dim": 4, "num_heads": 2}, 2, 1),
}


@pytest.mark.parametrize("architecture", OF_TOKENS)
@pytest.mark.parametrize("before", [("<unk>", "a", "b", "c"), ("<unk>", "a", "b")], ids=["other_count", "same_count"])
def test_embeddings_of_tokens_are_carried_over_by_token(architecture, before, tmp_path):
    now, (arguments, untied_weights, tied_weights) = ("<unk>", "b", "d"), OF_TOKENS[architecture]

    def lm(vocabulary, tied=False):
        return getattr(models, f"build_{architecture}")((None,), len(vocabulary), tied=tied, **arguments)

    for tied in (False, True):
        source = trained(functools.partial(lm, before, tied))
        folder = f"lm{tied}"
        export_of(source, tmp_path / folder / "1", features={"text": {"vocabulary": list(before)}})
        model = lm(now, tied)
        fresh = by_name(model)
        start = start_of(tmp_path, folder, model=model, labels=now, called="tokens")
        start.into(model)
        new, old = by_name(model), by_name(source)
        of_tokens = [name for name in new if name.startswith(("embedding", "output", "logits"))]
        axes = {name: 0 if name.startswith("embedding") else -1 for name in of_tokens}
        assert len(axes) == (tied_weights if tied else untied_weights)
        for name in new:
            if name not in axes:
                assert bits([new[name]]) == bits([old[name]])
                continue
            take = lambda array, row, axis=axes[name]: np.take(array, row, axis)  # noqa: E731
            np.testing.assert_array_equal(take(new[name], 0), take(old[name], 0))
            np.testing.assert_array_equal(take(new[name], 1), take(old[name], 2))
            np.testing.assert_array_equal(take(new[name], 2), take(fresh[name], 2))
        assert "(other tokens, 2 of 3 carried over)" in start.sentence


def test_a_word_is_another_token_than_the_character_that_is_spelt_alike(tmp_path):
    vocabulary, arguments = ("<unk>", "a", "b"), OF_TOKENS["lstm"][0]
    source = trained(lambda: models.build_lstm((None,), 3, **arguments))
    card = {"text": {"level": "word", "vocabulary": list(vocabulary)}}
    export_of(source, tmp_path / "e" / "1", features=card)
    config, model = Config(init="e", out=str(tmp_path)), models.build_lstm((None,), 2, **arguments)
    said = {}
    for level in ("word", "character"):
        start = initializing.start_from(config, "app", model, labels=("a", "z"), called="tokens", level=level)
        said[level] = start.sentence
        carried = [weight.name for weight in start.matched(model) if weight.carried]
        assert bool(carried) == (level == "word")
    assert "1 of 2 carried over" in said["word"] and "carried over" not in said["character"]


NAMED = ["convnet", "resnet_cifar-8", "attention_seq2seq"]  # the fast ones; the last has layers that Keras names


@pytest.mark.parametrize(
    "name", [*NAMED, *(pytest.param(name, marks=pytest.mark.slow) for name in CASES if name not in NAMED)]
)
def test_names_of_weights_are_the_same_in_every_process_and_file(name, tmp_path):
    first = CASES[name].built()
    names = [name for name, _ in named_weights(first)]
    second = CASES[name].built()  # Keras goes on numbering
    first.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert [n for n, _ in named_weights(second)] == names == [n for n, _ in named_weights(loaded)]
    assert len(set(names)) == len(first.weights) == len(names)


# What is refused.


def test_another_architecture_or_nothing_in_common_is_one_line_that_names_both(tmp_path):
    export_of(trained(), tmp_path / "e" / "1")
    with pytest.raises(errors.UserError) as mistake:
        initializing.adopted(Config(init="e", out=str(tmp_path), model="lstm"), "app", models.free_arguments)
    assert str(mistake.value) == (
        "--init: e is of --model net, this is of --model lstm: they have other weights. Nearest: --model net."
    )
    said = refused(tmp_path, "e", model=keras.Sequential([keras.Input((2,)), layers.Dense(2, name="x")], name="other"))
    assert "e/1 (10 weights, " in said and "the new other (2 weights, 6 numbers) have no weight in common" in said


@dataclasses.dataclass(frozen=True)
class OneOfTwo(settings.Training):
    model: Literal["auto", "convnet"] = "convnet"


def test_a_model_of_another_app_is_refused_also_where_the_architecture_is_left_open(tmp_path):
    export_of(trained(), tmp_path / "e" / "1")  # of --model net
    for left_open in (None, "auto"):
        config = dataclasses.replace(OneOfTwo(init="e", out=str(tmp_path)), model=left_open)
        with pytest.raises(errors.UserError, match=r"--init: e is of another app than job\. --model: .*got 'net'"):
            initializing.adopted(config, "job", models.free_arguments)


def test_a_model_of_another_app_is_refused_though_it_has_the_same_architecture(tmp_path):
    """An LSTM of music and one of text share names and shapes, and have nothing in common."""
    export_of(trained(), tmp_path / "saved_models" / "e" / "1", app="model_music")
    run, model = run_of(tmp_path)
    fit(run, model, epochs=1)
    run.lock.release()
    for which, of in (("e", "model_music"), (f"runs/app/{run.path.name}", "app")):
        for left_open in ("net", None):
            config = dataclasses.replace(Config(init=which, out=str(tmp_path)), model=left_open)
            with pytest.raises(errors.UserError, match=f"--init: .* is of another app than model_text: of {of}.$"):
                initializing.adopted(config, "model_text", models.free_arguments)


@dataclasses.dataclass(frozen=True)
class OfPictures(Config):
    image_size: int | None = None
    levels: int | None = None


@pytest.mark.parametrize("channels", [1, 3])
def test_the_size_and_levels_of_pictures_are_those_of_the_earlier_run(channels, tmp_path):
    """A run does not say the shape of its input, but its digest; the setting has no effect on a named set."""
    digest = data.fingerprints.digest_of
    splits = {part: {"examples": 1, "digest": ""} for part in ("train", "validation", "test")}
    for number, (shape, wanted) in enumerate([([24, 24, channels], 24), ([28, 28, channels], None)]):
        folder = tmp_path / "runs" / "app" / f"net-set-{number}"
        folder.mkdir(parents=True)
        prints = splits | {"classes": [], "preprocess": {"input_shape": digest(shape)}}
        config = {"settings": {"model": "net", "image_size": 24, "levels": 256}, "data": prints}
        (folder / "config.json").write_text(json.dumps(config))
        asked = OfPictures(init=folder.name, out=str(tmp_path))
        assert initializing.adopted(asked, "app", lambda name: {}).image_size == wanted
        assert initializing.adopted(asked, "app", lambda name: {}).levels == 256
        given = dataclasses.replace(asked, image_size=32, levels=2)
        assert initializing.adopted(given, "app", lambda name: {}).levels == 2
        assert initializing.adopted(given, "app", lambda name: {}).image_size == 32


def test_a_run_that_began_without_init_is_not_resumed_with_it(tmp_path):
    export_of(trained(), tmp_path / "saved_models" / "e" / "1")
    run, _ = run_of(tmp_path)
    run.lock.release()
    with pytest.raises(errors.UserError, match=f"--init: {run.path.name} was not started with it"):
        run_of(tmp_path, init="e", resume=run.path.name)


def test_only_ones_own_exports_that_are_whole_are_read(tmp_path, monkeypatch):
    folder = export_of(trained(), tmp_path / "e" / "1")
    card = json.loads((folder / cards.CARD).read_text())
    (folder / cards.CARD).write_text(json.dumps(card | {"name": "f"}))
    monkeypatch.setattr(keras.saving, "load_model", lambda *_, **__: pytest.fail("it was loaded"))
    said = refused(tmp_path, "e")
    assert "this user's export.save did not write it" in said and "--trust" not in said
    (folder / cards.CARD).write_text(json.dumps(card))
    with open(folder / "model.keras", "ab") as file:
        file.write(b"!")
    with pytest.raises(errors.UserError, match=r"model.keras: is not the one that export.save wrote"):
        start_of(tmp_path, "e")


def test_code_in_an_export_is_not_run(tmp_path):
    model = keras.Sequential([keras.Input((2,)), layers.Lambda(lambda x: x + 1), layers.Dense(2, name="logits")])
    export_of(model, tmp_path / "e" / "1")
    assert "model.keras cannot be loaded" in refused(tmp_path, "e")


def test_what_is_not_there_is_said_with_what_is(tmp_path):
    export_of(trained(), tmp_path / "saved_models" / "net-animals" / "1")
    (tmp_path / "runs" / "app" / "net-animals-7").mkdir(parents=True)
    said = refused(tmp_path, "net-anmals")
    assert "must be an export or a run of your own; got 'net-anmals'" in said
    assert said.endswith("there are: net-animals, net-animals-7.")
    (tmp_path / "runs" / "app" / "net-animals-7" / "config.json").write_text("{}")
    assert "has no checkpoint" in refused(tmp_path, "net-animals-7")


# A lower rate below a new head.


def updated(name, factors, rate, mode="eager", **kwargs):
    """Two variables after three updates, an embedding's with slices and a matrix."""
    rng = np.random.default_rng(0)
    table, matrix = (keras.Variable(rng.normal(size=shape).astype("float32")) for shape in ((6, 3), (2, 2)))
    optimizer = optimizers.build(name, rate, **kwargs)
    optimizer.build([table, matrix])
    if factors:
        optimizers.set_rate_factors(optimizer, factors)

    def step(slices, by_matrix):
        sliced = tf.IndexedSlices(slices, tf.constant([0, 2, 2, 5]), tf.constant([6, 3]))
        optimizer.apply([sliced, by_matrix], [table, matrix])

    step = step if mode == "eager" else tf.function(step, autograph=False, jit_compile=mode == "xla")
    for _ in range(3):
        step(*(tf.constant(rng.normal(size=shape), tf.float32) for shape in ((4, 3), (2, 2))))
    return bits([table, matrix])


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
@pytest.mark.parametrize(("decay", "clip", "mode"), [(0.1, 0.3, "eager"), (0.0, None, "graph"), (0.1, None, "xla")])
def test_an_update_with_a_factor_is_that_of_the_same_optimizer_with_the_lower_rate(name, decay, clip, mode):
    options = {"weight_decay": decay, "clipnorm": clip, "mode": mode}
    full, lower = (updated(name, (), rate, **options) for rate in (0.125, 0.03125))  # exact in float32
    both = updated(name, (0.25, 1.0), 0.125, **options)
    assert both == [lower[0], full[1]] != full
    frozen = updated(name, (1.0, 0.0), 0.125, **options)
    matrix = np.random.default_rng(0)
    matrix.normal(size=(6, 3))
    assert frozen == [full[0], *bits([matrix.normal(size=(2, 2)).astype("float32")])]


def test_factors_are_saved_with_the_optimizer_and_only_if_there_are_any():
    plain, slowed = optimizers.build("adam", 0.1), optimizers.build("adam", 0.1, weight_decay=0.1)
    assert "rate_factors" not in plain.get_config()
    optimizers.set_rate_factors(slowed, [0.1, 1])
    again = keras.optimizers.deserialize(keras.optimizers.serialize(slowed))
    assert type(again) is optimizers.AdamW and again.rate_factors == (0.1, 1.0)
    with pytest.raises(errors.UserError, match="must be one of keras_dl.optimizers; got SGD"):
        optimizers.set_rate_factors(keras.optimizers.SGD(), [1])
    scaled = keras.optimizers.LossScaleOptimizer(slowed)
    assert optimizers.rate_factors(scaled) == (0.1, 1.0)


def examples(size=24, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, size).astype(np.int32)
    image = rng.integers(0, 90, (size, 8, 8, 1)) + 80 * label[:, None, None, None]
    return data.Examples({"image": image.astype(np.uint8), "label": label})


def batches(seed=0, shuffle=True):
    collate = images.with_labels(lambda x: tf.cast(x, tf.float32) / 255.0)
    return data.batches(examples(seed=seed), 8, collate=collate, seed=3, shuffle=shuffle)


def run_of(root, labels=THINGS, build=compiled, **config):
    """(run, model) of a command line, as an app begins one."""
    prepared = machine.prepare(Config(out=str(root), trials=0, **config))
    origin = initializing.start_from(prepared.settings, "app", build(), labels=labels)
    run = runs.start(prepared, app="app", name="net-things", origin=origin)
    return run, run.build(build)


def fit(run, model, epochs=3, **kwargs):
    kwargs = {"verbose": 0} | kwargs
    return training.fit(model, batches(), batches(1, shuffle=False), run, epochs=epochs, **kwargs)


def state(model):
    return bits(checkpoint.variables(model))


@pytest.mark.parametrize("factor", [0.1, pytest.param(0.0, marks=pytest.mark.slow)])
def test_a_run_that_was_killed_goes_on_to_the_bit_without_the_export_that_it_began_with(factor, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "BLOCKS", ((float("inf"), 2),))
    for place in ("whole", "killed"):
        export_of(trained(), tmp_path / place / "saved_models" / "net-animals" / "1")
    given = {"init": "net-animals", "init_rate_factor": factor}
    whole = run_of(tmp_path / "whole", **given)
    history = fit(*whole)
    run, model = run_of(tmp_path / "killed", **given)
    with pytest.raises(SystemExit):
        fit(run, model, callbacks=[KillAt(1)])
    run.lock.release()
    shutil.rmtree(tmp_path / "killed" / "saved_models")
    again, model = run_of(tmp_path / "killed", resume=run.path.name, **given)
    assert fit(again, model) == history and state(model) == state(whole[1])
    lower = history.get("learning_rate/taken_over", [])  # frozen layers have no rate
    np.testing.assert_allclose(lower, factor * np.asarray(history["learning_rate"]) if factor else [])
    config = json.loads((run.path / "config.json").read_text())
    assert config["origin"]["path"] == "saved_models/net-animals/1"
    assert config["origin"]["weights"] == again.origin.source.weights == whole[0].origin.source.weights


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_with_the_same_weights(tmp_path):
    export_of(trained(), tmp_path / "saved_models" / "e" / "1")
    run, model = run_of(tmp_path, init="e")
    run.lock.release()
    shutil.rmtree(tmp_path / "saved_models")
    again, resumed = run_of(tmp_path, init="e", resume=run.path.name)
    assert state(resumed) == state(model)
    again.lock.release()
    kept = run.path / sources.KEPT
    data = bytearray(kept.read_bytes())
    data[len(data) // 2] ^= 1
    kept.write_bytes(data)
    with pytest.raises(errors.UserError, match="origin.npz") as mistake:
        run_of(tmp_path, init="e", resume=run.path.name)
    assert "\n" not in str(mistake.value)


def test_what_is_frozen_keeps_its_bits_and_batch_norms_averages_too(tmp_path):
    source = trained()
    export_of(source, tmp_path / "e" / "1")
    run, model = run_of(tmp_path, init=str(tmp_path / "e"), init_rate_factor=0.0)
    before = by_name(model)
    fit(run, model, keep="last")
    now = by_name(model)
    for name in now:
        assert (bits([now[name]]) == bits([before[name]])) == (not name.startswith("logits")), name
    assert [v.path for v in model.trainable_variables] == ["logits/kernel", "logits/bias"]
    other, loose = run_of(tmp_path, init=str(tmp_path / "e"))
    fit(other, loose, keep="last")
    assert not any(bits([a]) == bits([b]) for a, b in zip(by_name(loose).values(), before.values(), strict=True))


@pytest.mark.parametrize("keep", ["best", pytest.param("last", marks=pytest.mark.slow)])
def test_a_run_gives_the_weights_that_fit_kept(keep, tmp_path):
    first, model = run_of(tmp_path, labels=ANIMALS)
    history = fit(first, model, keep=keep, mode="max")
    assert np.argmax(history["val_loss"]) < 2  # the best epoch is not the last
    splits = {part: {"examples": 1, "digest": ""} for part in ("train", "validation", "test")}
    first.note("data", splits | {"classes": list(ANIMALS), "preprocess": {}})
    first.lock.release()
    for which in (first.path.name, str(first.path), f"runs/app/{first.path.name}"):
        second = compiled()
        start = start_of(tmp_path, which)
        start.into(second)
        wanted, now = by_name(model), by_name(second)
        assert all(bits([wanted[n]]) == bits([now[n]]) for n in now if not n.startswith("logits"))
        assert start.source.place == f"runs/app/{first.path.name}" and "new: logits (other classes)" in start.sentence
    same = start_of(tmp_path, first.path.name, labels=ANIMALS)
    same.into(second)
    assert bits(second.weights) == bits(model.weights)


def test_tokens_of_a_run_are_known_by_their_digest(tmp_path):
    source = initializing.Source("r", [], [], digests=(data.fingerprints.digest_of(["a", "b"]),))
    assert source.has(("a", "b")) and not source.has(("b", "a"))
    assert not initializing.Source("r", [], []).has(("a",))


def test_the_builders_arguments_are_the_earlier_models_unless_set_says_otherwise(tmp_path):
    earlier = {"units": [7, 5], "dropout": 0.5, "max_length": 9, "optimizer": "adam", "learning_rate": 0.1}
    export_of(trained(), tmp_path / "saved_models" / "e" / "1", hyperparameters=earlier)
    free = models.free_arguments("mlp") | {"max_length": 1}
    given = Config(init="e", out=str(tmp_path), set=("dropout=0.25",))
    config = initializing.adopted(given, "app", lambda name: free)
    assert config == dataclasses.replace(given, set=("dropout=0.25", "units=(7, 5)"))
    for left_open in (None, "auto"):
        assert initializing.adopted(dataclasses.replace(given, model=left_open), "app", lambda name: free) == config
    resumed = dataclasses.replace(given, resume="net-1")
    assert initializing.adopted(resumed, "app", None) is resumed
    arguments = hyperparameters.Arguments(config, models.mlp_space, free)
    hp = tuning.defaults()
    hp.values = {"dropout": 0.1, "width": 64}
    assert arguments(hp) | {"units": (7, 5), "dropout": 0.25} == arguments(hp)
    assert not hp.space and list(arguments.varied(hp)) == ["learning_rate"]  # with --init nothing else is drawn


def test_an_older_run_is_refused_with_a_way_out(tmp_path, monkeypatch):
    first, model = run_of(tmp_path)
    monkeypatch.setattr(fitting.Loop, "_names", lambda self: {})
    write = checkpoint.write
    monkeypatch.setattr(
        checkpoint, "write", lambda *args: write(*args[:-1], {k: v for k, v in args[-1].items() if k != "names"})
    )
    fit(first, model, epochs=1)
    assert "do not name their weights" in refused(tmp_path, first.path.name)


def test_every_trial_begins_with_the_same_weights(tmp_path):
    export_of(trained(), tmp_path / "e" / "1")
    run, model = run_of(tmp_path, init="e")
    trials = [run.trial(number).build(compiled) for number in range(2)]
    heads = [bits(trial.get_layer("logits").weights) for trial in (model, *trials)]
    assert len({head[0] for head in heads}) == 3
    for trial in trials:
        for name, value in by_name(trial).items():
            assert name.startswith("logits") or bits([value]) == bits([by_name(model)[name]])


# Models of other kinds.


def test_each_part_of_a_gan_is_taken_over_and_has_its_lower_rate(tmp_path):
    source = trained(toy_models.gan)
    export_of(source, tmp_path / "e" / "1", settings={})

    def other():
        keras.utils.set_random_seed(0)
        model = toy_models.GAN(
            toy_models.network(toy_models.CODE, toy_models.WIDTH, "generator"),
            toy_models.network(toy_models.WIDTH, 2, "critic"), name="gan",
        )  # fmt: skip
        model.compile({"critic": optimizers.build("adam", 0.01), "generator": optimizers.build("sgd", 0.1)})
        return model

    model = other()
    start = start_of(tmp_path, "e", model=model, labels=())
    start.into(model)
    assert bits(model.generator.weights) == bits(source.generator.weights)
    assert bits(model.critic.weights[:2]) == bits(source.critic.weights[:2])
    factors = {part.name: part.optimizer.rate_factors for part in model.compiled_parts}
    assert factors == {"critic": (0.1, 0.1, 1.0, 1.0), "generator": (0.1,) * 4}
    assert learning_rates(model) == pytest.approx({
        "learning_rate/critic": 0.01, "learning_rate/critic/taken_over": 0.001,
        "learning_rate/generator": 0.1, "learning_rate/generator/taken_over": 0.01,
    })  # fmt: skip


@pytest.mark.parametrize(
    "precision", ["mixed_bfloat16", *(pytest.param(p, marks=pytest.mark.slow) for p in ("float32", "mixed_float16"))]
)
def test_a_network_whose_state_is_carried_trains_from_its_export(precision, tmp_path):
    keras.mixed_precision.set_dtype_policy(precision)
    vocabulary = ("<unk>", "a", "b", "c", "d")

    def model_of(labels):
        network = models.build_lstm((None,), len(labels), units=(4,), embedding_dim=3, peephole=False)
        model = sequences.SequenceModel(network, batch_size=2)
        model.compile(optimizers.build("adam", 0.01), objectives.SequenceLoss("categorical"))
        return model

    source = model_of(vocabulary)
    export_of(source.network, tmp_path / "e" / "1", features={"text": {"vocabulary": list(vocabulary)}})
    other = (*vocabulary[:3], "e")
    model = model_of(other)
    start = start_of(tmp_path, "e", model=model, labels=other)
    start.into(model)
    recurrent = {name: value for name, value in by_name(model).items() if name.startswith("lstm1")}
    assert recurrent and all(bits([by_name(source)[n]]) == bits([v]) for n, v in recurrent.items())
    assert set(optimizers.rate_factors(model.optimizer)) == {0.1, 1.0}
    tokens = np.array([0, 1, 2, 3] * 20, np.int32)
    windows = data.text.windows(data.Examples({"tokens": tokens}), 2, 5)

    def collate(raw):
        weight = tf.sequence_mask(raw["length"], 5, tf.float32)
        return {"tokens": raw["tokens"][:, :-1], "start": raw["start"]}, raw["tokens"][:, 1:], weight

    run = runs.Run(path=tmp_path / "run", root=tmp_path, name="lm", app="app")
    pieces = data.batches(windows, 2, collate=collate)
    history = training.fit(model, pieces, pieces, run, epochs=2, verbose=0)
    assert history["loss"][1] < history["loss"][0]


# Apps.


def pictures(folder):
    for label in ("left", "right"):
        (folder / label).mkdir(parents=True)
        for number in range(12):
            pixels = np.random.default_rng(number).integers(0, 90, (28, 28, 1)).astype(np.uint8)
            pixels[:, slice(0, 9) if label == "left" else slice(19, 28)] = 255
            (folder / label / f"{number}.png").write_bytes(tf.io.encode_png(pixels).numpy())
    return ["--dataset", str(folder), "--image-size", "28"]


def text(folder):
    folder.mkdir()
    (folder / "a.txt").write_text("der flinke braune Fuchs springt \u00fcber den faulen Hund\n" * 400, encoding="utf-8")
    return ["--dataset", str(folder)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("app", "first", "then", "said"),
    [
        ("classify_images", ["--set", "filters=(3,4)"], pictures, "new: logits (other classes)"),
        ("model_images", ["--set", "num_layers=1"], pictures, "All train at the given learning rate"),
        ("autoencode_images", ["--set", "units=(9,)"], pictures, "All train at the given learning rate"),
        ("translate", ["--precision", "mixed_bfloat16"], lambda folder: ["--dataset", "dates/de-fr"], "carried over"),
        ("model_text", [], text, "carried over"),
        ("model_music", [], lambda folder: [], "All train at the given learning rate"),
        ("model_audio", ["--set", "dilations=(1, 2)"], lambda folder: [], "All train at the given learning rate"),
    ],
    ids=lambda value: value if isinstance(value, str) and "_" in value else "",
)
def test_an_app_starts_from_the_export_of_other_data(app, first, then, said, tmp_path, capsys, one_process_answers):
    main = runpy.run_path(str(ROOT / "apps" / f"{app}.py"))["main"]
    quick = ["--smoke", "--out", str(tmp_path), "--epochs", "1"]
    main([*quick, "--trials", "0", *first])
    (export,) = (tmp_path / "saved_models").glob("*/1")
    capsys.readouterr()
    flags = [word for word in first if "precision" in word or "mixed" in word]
    main([*quick, "--trials", "1", "--init", export.parent.name, *then(tmp_path / "own"), *flags])
    assert said in capsys.readouterr().out
    (newest,) = set((tmp_path / "saved_models").glob("*/*")) - {export}
    card, earlier = (json.loads((folder / cards.CARD).read_text()) for folder in (newest, export))
    assert card["origin"]["path"] == f"saved_models/{export.parent.name}/1"
    assert card["origin"]["weights"] == earlier["weights"]
    of_builder = models.free_arguments(card["settings"]["model"])
    arguments = [{name: c["hyperparameters"][name] for name in of_builder} for c in (card, earlier)]
    assert arguments[0] == arguments[1]  # the builder's are the earlier model's
