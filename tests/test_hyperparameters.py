"""What a search draws changes the model or its optimizer, and what is said of a model is what it was built with."""

import json
import runpy
from pathlib import Path

import keras
import keras_tuner
import numpy as np
import pytest

from keras_dl import command_line, errors, hyperparameters, models, parts, settings, tuning

ROOT = Path(__file__).resolve().parent.parent


class Stop(Exception):
    pass


def arguments_of(space, **chosen):
    config = settings.Training(set=tuple(f"{name}={value!r}" for name, value in chosen.items()))
    return hyperparameters.Arguments(config, space, chosen)


def drawn_by(arguments, **values):
    hp = tuning.defaults()
    hp.values = values
    result = arguments(hp)
    return [entry.name for entry in hp.space], result


def test_what_the_command_line_decides_is_not_drawn():
    assert drawn_by(arguments_of(models.mlp_space))[0] == ["width", "depth", "dropout"]
    assert drawn_by(arguments_of(models.mlp_space, units=(7,)))[0] == ["dropout"]
    assert drawn_by(arguments_of(models.mlp_space, units=(7,), dropout=0.1)) == ([], {"units": (7,), "dropout": 0.1})
    # One value that two arguments hang on is drawn as long as it still decides one of them.
    names, result = drawn_by(arguments_of(models.transformer_space, hidden_dim=64), hidden_dim=256)
    assert "hidden_dim" in names and (result["hidden_dim"], result["intermediate_dim"]) == (64, 1024)


def test_what_has_no_effect_beside_what_was_drawn_before_is_not_drawn():
    shallow = arguments_of(models.rnn_space, units=(9,))
    assert drawn_by(shallow, form="rnn", width=400)[0] == ["form", "dropout"]
    names, result = drawn_by(shallow, form="dt", width=400)
    assert names == ["form", "width", "dropout"] and result["transition_units"] == (400,)


def test_of_values_with_the_same_effect_one_is_offered():
    hp = tuning.defaults()
    arguments_of(models.rnn_space, units=(9,), transition_units=(), output_units=())(hp)
    assert [(entry.name, entry.values) for entry in hp.space][0] == ("form", ["rnn", "dts"])


def test_ranges_switches_and_spaces_of_too_many_values_are_drawn_from_as_well(monkeypatch):
    def space(hp):
        wide = hp.Boolean("wide", default=False)
        return {"units": hp.Int("units", 1, 3, default=2) * (10 if wide else 1), "rate": hp.Float("rate", 0.1, 0.9)}

    assert drawn_by(arguments_of(space), units=3, wide=True, rate=0.2) == (
        ["wide", "units", "rate"], {"units": 30, "rate": 0.2}
    )  # fmt: skip
    assert drawn_by(arguments_of(space, units=1))[0] == ["rate"]
    monkeypatch.setattr(hyperparameters, "MOST_OUTCOMES", 3)
    arguments = arguments_of(space, units=1)
    assert drawn_by(arguments)[0] == ["wide", "units", "rate"]
    assert set(arguments.varied(tuning.defaults())) == {"units", "rate", "learning_rate"}


def test_what_is_said_is_what_builder_and_optimizer_were_called_with():
    config = settings.Training(set=("depth=8",), optimizer=settings.Optimizer("sgd", 0.1, "noam"))
    arguments = hyperparameters.Arguments(config, models.resnet_cifar_space, models.free_arguments("resnet_cifar"))
    hp = tuning.defaults()
    hp.values = {"depth": 14, "filters": 8, "learning_rate": 0.123456789012345}
    said = arguments.of(hp)
    assert said == {
        "depth": 8, "filters": 8, "shortcut": "identity", "optimizer": "sgd", "learning_rate": 0.123456789012345,
        "schedule": "noam", "warmup": 4000, "weight_decay": 0.0, "clipnorm": 0.0,
    }  # fmt: skip
    assert arguments.varied(hp) == {"filters": 8, "learning_rate": 0.123456789012345}
    again = command_line.parse(settings.Training, arguments.words(hp), app="job")
    assert (again.optimizer.learning_rate, again.trials, again.optimizer.name) == (0.123456789012345, 0, "sgd")
    assert command_line.assignments(again.set, models.free_arguments("resnet_cifar"), "x") == {"depth": 8, "filters": 8}


# Of every app: its architectures, and arguments by which its search is left with less to draw.
CASES = [
    ("classify_images", ["--model", "resnet_cifar", "--set", "depth=8"]),
    ("model_images", ["--model", "pixelcnn", "--set", "num_blocks=1", "--image-size", "4"]),
    ("model_music", ["--model", "rnn", "--set", "units=(6,)"]),
    ("model_audio", ["--set", "dilations=(1,)", "--set", "num_blocks=1"]),
    ("model_text", ["--model", "gru", "--set", "units=(8,)"]),
    ("translate", ["--model", "attention_seq2seq", "--set", "units=8", "--own"]),
    ("autoencode_images", ["--set", "units=(7,)"]),
    ("gan_images", ["--model", "gan", "--set", "units=(7,)"]),
    ("segment", ["--model", "segnet", "--set", "filters=(4, 4)", "--set", "depth=(1, 1)"]),
]
MORE_CASES = [
    ("segment", ["--model", "deconvnet", "--set", "filters=(4, 4)", "--set", "depth=(1, 1)", "--set", "units=8"]),
    ("classify_images", ["--model", "convnet", "--set", "filters=(3, 4)"]),
    ("classify_images", ["--model", "mlp", "--optimizer", "momentum", "--schedule", "cosine"]),
    ("classify_images", ["--model", "resnet", "--set", "filters=4", "--optimizer", "rmsprop"]),
    ("classify_images", ["--model", "linear", "--weight-decay", "0.001"]),
    ("model_images", ["--model", "gated_pixelcnn", "--set", "num_layers=2", "--condition", "label"]),
    ("model_images", ["--model", "pixelrnn", "--set", "num_layers=1", "--levels", "256", "--image-size", "4"]),
    ("gan_images", ["--model", "dcgan", "--set", "loss=wgan_gp"]),
    ("model_music", ["--model", "lstm"]),
    ("model_music", ["--model", "gru", "--set", "dropout=0.125"]),
    ("model_text", ["--model", "transformer_lm", "--sequence-length", "8"]),
    ("model_text", ["--model", "lstm", "--set", "tied=True", "--set", "units=(64,)"]),
    ("translate", ["--model", "transformer", "--schedule", "noam"]),
    ("translate", ["--model", "transformer", "--set", "num_layers=1", "--own"]),
    ("translate", ["--model", "seq2seq", "--set", "units=(8, 8)", "--own"]),
]


def test_an_argument_that_changes_nothing_is_refused_but_not_what_an_earlier_model_had():
    def check(holds, **given):
        config = settings.Training(set=("penalty=5",), **given)
        arguments = hyperparameters.Arguments(config, lambda hp: {}, {"penalty": 10.0, "width": 3})
        arguments.check_effect(["width", "penalty"], holds, "--set loss=b")

    with pytest.raises(errors.UserError) as refused:
        check(False)
    assert str(refused.value) == (
        "--set penalty: must be given with --set loss=b, else it has no effect; got it without."
    )
    check(True)
    check(False, init="earlier")
    check(False, resume="earlier-1")


@pytest.fixture
def searched(tmp_path, monkeypatch):
    """searched(app, flags) -> (what the app hands to its search: compiled, arguments), without running it."""

    def reach(app, flags):
        handed = {}

        def search(compiled, train, validation, run, *, arguments, **_):
            handed.update(compiled=compiled, arguments=arguments)
            raise Stop

        monkeypatch.setattr(tuning, "search", search)
        if "--own" in flags:
            pairs = [(f"the {a} {b}", f"{b} {a}") for a in "abcdefgh" for b in "ijklmnop"]
            for name, lines in zip(("my.xx", "my.yy"), zip(*pairs, strict=True), strict=True):
                (tmp_path / name).write_text("\n".join(lines) + "\n")
            own = ["--source", str(tmp_path / "my.xx"), "--target", str(tmp_path / "my.yy"), "--vocabulary-size", "40"]
            flags = [*(flag for flag in flags if flag != "--own"), *own]
        with pytest.raises(Stop):
            runpy.run_path(str(ROOT / "apps" / f"{app}.py"))["main"]([*flags, "--smoke", "--out", str(tmp_path)])
        return handed["compiled"], handed["arguments"], flags

    return reach


def names_begin_anew():
    """Operations, which the builders do not name, are numbered from 1; what else Keras clears takes half a second."""
    keras.utils.clear_session(free_memory=False)


def described(model):
    """All that training depends on: configurations of the network, of its optimizer and of its loss."""
    network = getattr(model, "network", model)
    loss = getattr(model.loss, "get_config", dict)()  # none of a model that has losses of its own
    optimizers = [keras.optimizers.serialize(part.optimizer) for part in parts.of(model)]
    described = network.get_config(), optimizers, loss
    return [json.dumps(part, default=str, sort_keys=True) for part in described]


@pytest.mark.parametrize(
    ("app", "flags"),
    [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE_CASES)],
    ids=lambda v: v if isinstance(v, str) else " ".join(v),
)
def test_every_value_that_a_search_draws_changes_the_model_and_is_what_is_said(app, flags, searched):
    compiled, arguments, flags = searched(app, flags)
    rng = np.random.default_rng(0)

    def built(values):
        hp = keras_tuner.HyperParameters()
        hp.values = dict(values)
        names_begin_anew()
        return hp, described(compiled(hp))

    def another(entry, values):
        others = [value for value in entry.values if value != values[entry.name]]
        return others[rng.integers(len(others))]

    hp, before = built({})
    assert "learning_rate" in [entry.name for entry in hp.space]
    contexts = [hp]
    random = {entry.name: another(entry, hp.values) for entry in hp.space}
    contexts.append(built(random)[0])
    for hp in contexts:
        before = built(hp.values)[1]
        for entry in hp.space:
            changed, after = built(hp.values | {entry.name: another(entry, hp.values)})
            assert after != before, f"{entry.name} changes nothing"
            assert arguments.of(changed) != arguments.of(hp), f"of {entry.name} nothing is said"

    # The printed command builds the same, without a search.
    again, said, _ = searched(app, arguments.words(contexts[1], own="--source" in flags))
    names_begin_anew()
    untouched = keras_tuner.HyperParameters()
    assert described(again(untouched)) == built(contexts[1].values)[1]
    assert said.of(untouched) == arguments.of(contexts[1])
