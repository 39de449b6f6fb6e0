"""Settings for a user's own data: what is given wins, named sets keep their recipes, a resume reads what was chosen."""

import dataclasses
import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Literal, get_args, get_type_hints

import numpy as np
import pytest

from keras_dl import arguments, command_line, data, errors, hyperparameters, machine, own_data, runs, settings, tuning
from keras_dl.data import mirroring

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT.parent / "shared" / "cases"
RULES = {
    "classify_images": own_data.PICTURES,
    "model_images": own_data.DENSITIES,
    "gan_images": own_data.ADVERSARIAL,
    "autoencode_images": own_data.AUTOENCODERS,
    "model_audio": own_data.SOUNDS,
    "model_music": own_data.MUSIC,
    "model_text": own_data.TEXT,
    "segment": own_data.MASKS,
    "translate": own_data.PAIRS,
}
IMAGES = ("classify_images", "model_images", "autoencode_images", "gan_images")
SIZES = np.unique(np.geomspace(3, 1e9, 300).astype(int))


def config_of(app):
    """The Config class of an app, whose file is not imported by any other test under this name."""
    name = f"own_data_{app}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / "apps" / f"{app}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)  # tyro reads its source
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name].Config


def splits_of(app, count=60, own=True):
    """Splits with as many training examples (tokens, for a text), and a tenth of them for validation and test."""
    rng = np.random.default_rng(0)

    def part(size):
        if app in IMAGES:
            pictures = rng.integers(0, 255, (size, 8, 8, 3)).astype(np.uint8)
            return data.Examples({"image": pictures, "label": np.arange(size, dtype=np.int32) % 3})
        if app == "model_text":
            return data.Examples({"tokens": rng.integers(0, 9, size).astype(np.int32)})
        if app == "segment":
            pictures = rng.integers(0, 255, (size, 8, 8, 3)).astype(np.uint8)
            return data.Examples({"image": pictures, "mask": pictures[..., 0] % 3})
        if app == "model_audio":
            return data.Examples({"audio": data.examples.Ragged.of([np.zeros(5, np.int16)] * size)})
        ragged = data.examples.Ragged.of([np.zeros((5, 88), np.uint8)] * size)
        return data.Examples(dict.fromkeys(("roll", "source", "target"), ragged))

    features = {"label": {"classes": ("a", "b", "c")}} if app in IMAGES else {}
    info = data.Info(
        "mine",
        "folder mine",
        features,
        {},
        {"flip": True, "augment": "crop", "levels": 256},
        data.examples.OWN if own else "",
    )
    parts = {"train": part(count), "validation": part(max(1, count // 10)), "test": part(max(1, count // 10))}
    return data.Splits(**parts, info=info, preprocess=None)


def fitted(app, *argv, splits=None, rule=None, left_open=own_data.SETTINGS):
    """(the completed settings, what was chosen) of a command line."""
    config = command_line.parse(config_of(app), list(argv), app=app, left_open=left_open)
    config.validate()  # as machine.prepare does
    hardware = machine.Machine(config)
    config = own_data.fitted(config, hardware, splits or splits_of(app), rule or RULES[app])
    assert hardware.settings is config
    return config, hardware.chosen


def kind_of(config_class, name):
    group, _, inner = name.rpartition(".")
    owner = settings.Optimizer if group else config_class
    return get_type_hints(owner, include_extras=True)[inner]


def open_ones(app):
    """The settings of an app that are worked out: those that may be "auto"."""
    config = command_line.parse(config_of(app), [], app=app, left_open=own_data.SETTINGS)
    plain = settings.defaults_of(config)
    return [name for name, value in settings.values_of(config).items() if value is None and plain[name] is not None]


def other_values(app, name, chosen):
    """Values of a setting other than the one that was chosen."""
    hint = kind_of(config_of(app), name)
    choices = [choice for choice in get_args(hint) if isinstance(choice, str) and choice not in ("auto", chosen)]
    if choices:
        return choices
    kind = hint.__metadata__[0].kind
    numbers = [0, 1, 2, 3, 16, 17, 0.25]
    return [value for value in numbers if value != chosen and _allows(kind, value)][:3]


def _allows(kind, value):
    try:
        return kind.convert(value) == value
    except ValueError:
        return False


WORKED_OUT = [(app, name) for app in RULES for name in open_ones(app)]


def test_every_app_works_out_the_same_settings_where_it_has_them():
    assert {name for _, name in WORKED_OUT} == set(own_data.SETTINGS)
    shared = set.intersection(*(set(open_ones(app)) for app in RULES))
    assert {"epochs", "trials", "patience", "keep", "optimizer.name", "optimizer.learning_rate"} <= shared


@pytest.mark.parametrize(("app", "name"), WORKED_OUT)
def test_a_flag_that_is_given_wins(app, name):
    chosen = settings.values_of(fitted(app)[0])[name]
    others = other_values(app, name, chosen)
    assert others
    for value in others:
        config, said = fitted(app, settings.flag_of(*reversed(name.split("."))), str(value))
        assert settings.values_of(config)[name] == value and name not in said["values"]
        assert not any(settings.values_of(config)[other] is None for other in open_ones(app))


@pytest.mark.parametrize("app", RULES)
def test_an_argument_of_the_builder_that_is_given_wins(app):
    for model, chosen in RULES[app].arguments.items():
        for argument, value in chosen.items():
            config, said = fitted(app, "--model", model, "--set", f"{argument}=7")
            assert config.set[0] == f"{argument}=7" and argument not in said["values"].get("set", {})
            assert set(command_line.assignments(config.set, chosen, "a builder")) == set(chosen)
            assert value != 7


@pytest.mark.parametrize("app", RULES)
def test_a_named_set_keeps_the_recipe_of_the_app(app):
    named = splits_of(app, own=False)
    for argv in ([], ["--epochs", "7"], ["--optimizer", "sgd"], ["--set", "dropout=0.5"]):
        config, said = fitted(app, *argv, splits=named)
        assert config == command_line.parse(config_of(app), argv, app=app) and said is None


@pytest.mark.parametrize(("app", "name"), WORKED_OUT)
def test_auto_may_be_written_for_a_named_set_too(app, name):
    named, flag = splits_of(app, own=False), settings.flag_of(*reversed(name.split(".")))
    config, said = fitted(app, flag, "auto", splits=named)
    plain = command_line.parse(config_of(app), [], app=app)
    if settings.values_of(plain)[name] == "auto":  # it has a meaning of its own for the set
        assert config == plain and said is None
        return
    with_it = {name, *(own_data.OF_AN_OPTIMIZER if name == "optimizer.name" else ())}
    assert set(said["values"]) == with_it and said["values"][name] == settings.values_of(config)[name] != "auto"
    others = {other: value for other, value in settings.values_of(config).items() if other not in with_it}
    assert others == {other: value for other, value in settings.values_of(plain).items() if other not in with_it}


@pytest.mark.parametrize("app", RULES)
def test_an_optimizer_that_is_worked_out_for_a_named_set_has_its_own_rate(app):
    named, rule = splits_of(app, own=False), RULES[app]
    for model in (name for name in get_args(kind_of(config_of(app), "model")) if name != "auto"):
        of_rule = rule.settings | rule.of_model.get(model, {})
        config, said = fitted(app, "--model", model, "--optimizer", "auto", splits=named)
        assert config.optimizer.name == of_rule["optimizer.name"]
        for name in own_data.OF_AN_OPTIMIZER:
            assert settings.values_of(config)[name] == said["values"][name] == of_rule[name]
        given, said = fitted(app, "--model", model, "--optimizer", "auto", "--learning-rate", "0.5", splits=named)
        assert given.optimizer.learning_rate == 0.5 and "optimizer.learning_rate" not in said["values"]


@pytest.mark.parametrize(
    ("argv", "needed", "got"),
    [
        (["--warmup", "7"], "--schedule noam", "--schedule onecycle"),
        (["--decay-factor", "0.25"], "--schedule decay", "--schedule onecycle"),
        (["--trial-epochs", "2"], "--trials of at least 1", "--trials 0"),
        (["--tuner", "grid"], "--trials of at least 1", "--trials 0"),
        (["--beta-2", "0.5"], "--optimizer adam or adamw", "--optimizer nesterov"),
    ],
)
def test_a_flag_that_changes_nothing_beside_what_was_chosen_is_refused(argv, needed, got):
    """It cannot win, and must not be passed over in silence."""
    with pytest.raises(errors.UserError) as refused:
        fitted("classify_images", *argv, "--augment", "crop")
    assert str(refused.value) == f"{argv[0]}: must be given with {needed}, else it has no effect; got {got}."
    also = {"noam": ["--schedule", "noam"], "decay": ["--schedule", "decay"], "1": ["--trials", "2"]}
    assert fitted("classify_images", *argv, *also.get(needed.split()[-1], ["--optimizer", "adam"]), "--augment", "crop")


def test_what_is_left_to_the_optimizer_is_not_called_chosen():
    """Without a rule for SGD its decay stays "auto", which is no value."""
    config, said = fitted("classify_images", "--optimizer", "sgd", "--augment", "crop")
    assert config.optimizer.weight_decay == "auto" and "optimizer.weight_decay" not in said["values"]
    assert "auto" not in said["sentence"]


@pytest.mark.parametrize("app", RULES)
def test_the_sentence_and_the_values_are_all_that_was_chosen(app):
    config, said = fitted(app)
    json.dumps(said)  # plain
    values = settings.values_of(config)
    assert set(said["values"]) - {"set"} == set(open_ones(app)) & set(values)
    for name, value in said["values"].items():
        if name != "set":
            assert value == values[name]
            assert f"{settings.flag_of(*reversed(name.split('.')))} {value}" in said["sentence"]
    for pair in config.set:
        assert f"--set {pair}" in said["sentence"]
    assert "\n" not in said["sentence"] and "60 training" in said["sentence"]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_updates_grow_with_the_data_and_have_bounds(rule):
    updates = [rule.updates_of(size) for size in SIZES]
    batches = [rule.batch_of(size) for size in SIZES]
    assert updates == sorted(updates) and batches == sorted(batches)
    assert (updates[0], updates[-1]) == rule.updates and (batches[0], batches[-1]) == rule.batches
    least, most = rule.updates
    for times in (1, 4, 9):  # with the square root of the size
        assert rule.updates_of(times**2 * rule.few) == min(most, times * least)
    for size in SIZES.tolist():
        batch = rule.batch_of(size)
        assert batch == rule.batches[0] or rule.steps * batch <= size  # so many steps, if the least batch allows
        assert batch == rule.batches[1] or rule.steps * 2 * batch > size  # and no more of them than needed
    for size in SIZES.tolist():
        for batch in {*rule.batches, rule.batch_of(size), 7}:
            epochs, wanted = rule.epochs_of(size, batch), rule.updates_of(size) * batch
            of_an_epoch = max(size, batch)  # an epoch of less than a batch is an update, too
            assert epochs >= 1 and epochs * of_an_epoch >= wanted
            assert epochs == 1 or (epochs - 1) * of_an_epoch < wanted  # not one epoch too many


@pytest.mark.parametrize("app", RULES)
def test_more_data_get_fewer_epochs_and_what_is_given_is_reckoned_with(app):
    both = [splits_of(app, count) for count in (600, 30_000)]
    given = ["--augment", "crop"] if app == "classify_images" else []  # else the pictures are looked at
    few, many = (fitted(app, *given, splits=splits)[0] for splits in both)
    assert few.epochs > many.epochs
    batch = RULES[app].batch
    flag = settings.flag_of(batch)
    twice = fitted(app, *given, flag, str(2 * getattr(few, batch)), splits=both[0])[0]
    assert twice.epochs == pytest.approx(2 * few.epochs, abs=1)  # as many updates
    whole = fitted(app, *given, flag, "100000", splits=both[0])[0]
    assert whole.epochs == RULES[app].updates_of(RULES[app].size(both[0], whole))  # each epoch is a single update


@pytest.mark.parametrize("app", RULES)
def test_what_is_left_open_does_not_contradict_what_is_given(app):
    # The default schedule of these apps is another, which must be changed by hand.
    by_hand = app in ("translate", "model_images", "autoencode_images", "model_audio", "segment")
    for schedule in ([], ["--schedule", "auto"])[by_hand:]:
        assert fitted(app, "--reduce-on-plateau", "3", *schedule)[0].optimizer.schedule == "constant"
    for keep in ("auto", "last"):
        config, said = fitted(app, "--average-last", "3", "--keep", keep)
        assert (config.keep, config.patience) == ("last", 0) and "best epoch" not in said["sentence"]
    with pytest.raises(errors.UserError, match="--reduce-on-plateau needs --schedule constant; got cosine."):
        fitted(app, "--reduce-on-plateau", "3", "--schedule", "cosine")


@pytest.mark.parametrize("app", RULES)
def test_the_command_that_is_printed_after_a_search_leaves_nothing_to_the_rule(app):
    config, _ = fitted(app, "--trials", "3", "--keep", "best")
    found = dict.fromkeys(RULES[app].arguments.get(config.model, {}), 7)
    arguments_of = hyperparameters.Arguments(config, lambda hp: found, found)
    again, said = fitted(app, *arguments_of.words(tuning.defaults(), own=True))
    assert dataclasses.replace(again, set=(), trials=3) == config and again.trials == 0 and said is None
    assert command_line.assignments(again.set, found, "a builder") == found


@pytest.mark.parametrize("app", RULES)
def test_a_rate_belongs_to_its_optimizer(app):
    recipe, model = settings.defaults_of(config_of(app)()), fitted(app)[0].model
    rule = RULES[app].settings | RULES[app].of_model.get(model, {})
    for name in ("sgd", "adamw", "rmsprop"):
        config = fitted(app, "--optimizer", name)[0].optimizer
        of_rule = name == rule["optimizer.name"]
        wanted = rule if of_rule else recipe
        assert config.learning_rate == wanted["optimizer.learning_rate"]
        assert config.weight_decay == wanted["optimizer.weight_decay"]


def test_a_network_without_normalisation_gets_another_optimizer():
    of_network = {
        name: fitted("classify_images", "--model", name, "--augment", "crop")[0].optimizer
        for name in ("resnet_cifar", "resnet", "convnet", "mlp", "linear")
    }
    assert {name for name, optimizer in of_network.items() if optimizer.name == "nesterov"} == {
        "resnet_cifar",
        "resnet",
    }
    assert all(optimizer.learning_rate <= 1e-3 for optimizer in of_network.values() if optimizer.name == "adam")


@pytest.mark.parametrize("app", RULES)
def test_smoke_stays_short(app):
    for splits in (splits_of(app), splits_of(app, own=False)):
        config, said = fitted(app, "--smoke", splits=splits)
        assert config.epochs <= 2 and config.trials <= 2
        assert said is None or said["values"]["epochs"] == config.epochs
        if said is not None:  # the sentence is of the short training
            steps, updates = re.search(r"about ([\d,]+) steps? an epoch, ([\d,]+) updates?", said["sentence"]).groups()
            assert int(updates.replace(",", "")) == config.epochs * int(steps.replace(",", ""))
        assert fitted(app, "--smoke", "--epochs", "1", splits=splits)[0].epochs == 1


def run_of(tmp_path, config, chosen, app):
    folder = tmp_path / "runs" / app / "net-mine-1"
    folder.mkdir(parents=True)
    noted = {"settings": dataclasses.asdict(config), "chosen": chosen}
    (folder / "config.json").write_text(json.dumps(noted))
    return ["--out", str(tmp_path), "--resume", folder.name]


@pytest.mark.parametrize("app", RULES)
def test_a_resume_has_the_values_of_the_run_whatever_the_rule_has_become(app, tmp_path):
    left_to_it = ["--optimizer", "rmsprop"]  # whose weight decay stays "auto"
    before, said = fitted(app, "--out", str(tmp_path), *left_to_it)
    assert before.optimizer.weight_decay == "auto"
    resume = run_of(tmp_path, before, said, app)
    other = dataclasses.replace(
        RULES[app],
        updates=(7, 7),
        batches=(1, 1),
        arguments={},
        of_model={},
        settings={"optimizer.name": "rmsprop", "optimizer.weight_decay": 0.5},
    )
    everything = [word for name in open_ones(app) for word in (settings.flag_of(*reversed(name.split("."))), "auto")]
    given_again = [word for pair in before.set[:1] for word in ("--set", pair)]
    for argv in ([], ["--epochs", "auto"], everything, given_again):
        after, _ = fitted(app, *resume, *argv, rule=other)
        same = dataclasses.replace(after, resume="", set=tuple(sorted(after.set)))
        assert same == dataclasses.replace(before, set=tuple(sorted(before.set)))
    assert fitted(app, *resume, "--epochs", "900", rule=other)[0].epochs == 900
    folder = tmp_path / "runs" / app / "net-mine-1"
    assert runs.chosen(folder) == json.loads(json.dumps(said))
    damaged = {"settings": dataclasses.asdict(before), "chosen": {"sentence": "", "values": {"set": 5}}}
    (folder / "config.json").write_text(json.dumps(damaged))
    with pytest.raises(errors.UserError, match="config.json: chosen.values.set"):
        fitted(app, *resume, "--set", "dropout=0.5")


def test_set_needs_the_model_whose_arguments_it_sets():
    free = {"convnet": {"dropout": 0.0}, "resnet_cifar": {"depth": 20}}
    parse = lambda *argv: command_line.parse(  # noqa: E731
        config_of("classify_images"), list(argv), app="x", free_arguments=free.get, left_open=own_data.SETTINGS
    )
    assert parse("--set", "dropout=0.5").model == "convnet"  # as it was before a model could be chosen
    assert parse().model is None
    with pytest.raises(errors.UserError, match="--set: needs the --model whose arguments it sets; got auto."):
        parse("--model", "auto", "--set", "dropout=0.5")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--epochs", "0"], '--epochs: must be a whole number from 1 to 1,000,000, or "auto"; got 0. Nearest: 1.'),
        (["--batch-size", "-1"], '--batch-size: must be a whole number from 1 to 1,000,000, or "auto"; got -1.'),
        (["--weight-decay", "11"], '--weight-decay: must be a number in [0, 10], or "auto"; got 11.0. Nearest: 10.'),
        (["--epochs", "atuo"], "--epochs"),
        (["--learning-rate", "nan"], "--learning-rate"),
    ],
)
def test_what_is_neither_a_number_nor_auto_is_one_sentence(argv, said):
    with pytest.raises(errors.UserError) as caught:
        command_line.parse(settings.Training, argv, app="job")
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("app", RULES)
def test_only_what_may_be_auto_is_left_open(app):
    hints = get_type_hints(config_of(app), include_extras=True)
    kept = [name for name in hints if name not in own_data.SETTINGS and name != "optimizer"]
    config, plain = (
        command_line.parse(config_of(app), [], app=app, left_open=left_open) for left_open in (own_data.SETTINGS, ())
    )
    assert [getattr(config, name) for name in kept] == [getattr(plain, name) for name in kept]
    config.validate()
    with pytest.raises(arguments.ArgumentError):
        dataclasses.replace(config, trial_epochs=None).validate()


# Which pictures may be mirrored.


def arrow(direction, rng, size=24):
    """An arrow somewhere in a picture, uint8 (size, size, 3): 0 points to the right, then by quarter turns."""
    picture = rng.integers(0, 60, (size, size)).astype(np.float64)
    row, column, length = rng.integers(7, size - 7), rng.integers(8, size - 8), rng.integers(5, 8)
    picture[row, column - length : column + length] = 255
    for back in range(5):
        for side in (-back, back):
            picture[row + side, column + length - 1 - back] = 255
    picture = np.rot90(picture, direction) * rng.uniform(0.5, 1)
    return np.repeat(picture[..., None], 3, -1).astype(np.uint8)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("directions", "each"), [((0, 2), 20), ((0, 1, 2, 3), 20), ((0, 2), 100)])
def test_arrows_are_never_mirrored(directions, each, seed):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(directions)), each)
    pictures = np.stack([arrow(directions[label], rng) for label in labels])
    mirrors, why = mirroring.keeps_classes(pictures, labels, seed)
    assert not mirrors, why


@pytest.mark.parametrize("seed", range(3))
def test_pictures_without_a_side_are_mirrored(seed):
    """Of three kinds of spots, each anywhere: a mirrored one is as good an example."""
    rng = np.random.default_rng(seed)
    labels = np.arange(240) % 3
    pictures = rng.integers(0, 40, (240, 24, 24, 3))
    for picture, label in zip(pictures, labels, strict=True):
        row, column = rng.integers(0, 16, 2)
        picture[row : row + 8, column : column + 8, label] += 150
    mirrors, why = mirroring.keeps_classes(pictures.astype(np.uint8), labels, seed)
    assert mirrors, why


def test_pictures_that_say_nothing_are_not_mirrored():
    rng = np.random.default_rng(0)
    noise, labels = rng.integers(0, 255, (90, 8, 8, 1)).astype(np.uint8), np.arange(90) % 3
    assert "too few to see" in mirroring.keeps_classes(noise, labels, 0)[1]
    assert mirroring.keeps_classes(noise[:4], np.arange(4) % 2, 0)[0] is False


def test_digits_are_not_mirrored():
    from keras_dl.data import images

    train = images.load("digits").train
    features = train.take(slice(300)).features
    mirrors, why = mirroring.keeps_classes(features["image"], features["label"], 0)
    assert not mirrors, why


@pytest.mark.data
def test_the_arrows_of_a_user_are_not_mirrored(tmp_path):
    import tarfile

    from keras_dl.data import images

    if not CASES.is_dir():
        pytest.skip("data: no cases in ../shared")
    with tarfile.open(CASES / "arrows.tar.xz") as file:
        file.extractall(tmp_path, filter="data")
    for seed in range(5):
        splits = images.load(str(tmp_path / "arrows"), seed, image_size="auto")
        config, said = fitted("classify_images", "--seed", str(seed), splits=splits)
        assert config.augment == "crop", said["sentence"]


def test_a_folder_s_pictures_keep_their_usual_size(tmp_path):
    from test_data import write

    from keras_dl.data import folders, images, own_files

    rng = np.random.default_rng(0)
    for side, wanted in ((9, 16), (32, 32), (41, 40), (200, 64)):
        for label in ("cat", "dog"):
            for number in range(4):
                write(tmp_path / str(side), f"{label}/{number}.png", rng.integers(0, 255, (side, side + number - 1, 3)))
        assert folders.usual_size(own_files.find(tmp_path / str(side), "who", labelled=True)) == wanted
    splits = images.load(str(tmp_path / "41"), image_size="auto")
    assert splits.train.features["image"].shape[1:3] == (40, 40)
    assert fitted("classify_images", splits=splits)[0].image_size == 40


@pytest.mark.slow
def test_what_was_chosen_stands_in_the_run_and_in_the_card(tmp_path, capsys, monkeypatch):
    from app_files import main_of
    from test_data import folder_of

    folder = folder_of(tmp_path / "pets", each=20)
    main = main_of(ROOT / "apps" / "classify_images.py")
    metrics = main(["--dataset", str(folder), "--smoke", "--out", str(tmp_path)])
    (run,) = (tmp_path / "runs" / "classify_images").iterdir()
    noted = json.loads((run / "config.json").read_text())
    assert noted["chosen"]["sentence"] in capsys.readouterr().out
    (card,) = (tmp_path / "saved_models").glob("*/1/card.json")
    card = json.loads(card.read_text())
    assert card["chosen"] == noted["chosen"] and card["settings"] == noted["settings"]
    for name, value in noted["chosen"]["values"].items():
        group, _, inner = name.rpartition(".")
        assert name == "set" or (noted["settings"][group] if group else noted["settings"])[inner] == value
    (run / "finished.json").unlink()  # killed in its last second
    monkeypatch.setattr(own_data, "_choose", None)  # nothing is worked out again
    assert main(["--out", str(tmp_path), "--resume", run.name]) == metrics
    after = json.loads((run / "config.json").read_text())
    assert (after["chosen"], after["settings"]) == (noted["chosen"], noted["settings"])


def test_literals_of_a_setting_are_those_of_the_optimizers():
    from keras_dl import optimizers

    hints = get_type_hints(settings.Optimizer)
    assert hints["name"] == Literal[("auto", *optimizers.OPTIMIZERS)]
    assert hints["schedule"] == Literal[("auto", *optimizers.SCHEDULES)]
