"""The command line: typed, helpful, one line for a mistake, without TensorFlow."""

import dataclasses
import importlib.util
import json
import shlex
import subprocess
import sys
import time
from typing import Literal, get_args, get_type_hints

import numpy as np
import pytest
from app_files import APPS, EXPERIMENTS

from keras_dl import arguments, command_line, errors, settings


@dataclasses.dataclass(frozen=True)
class Config(settings.Common):
    """A job."""

    units: int = 10  # how many
    layer_width: int = 2  # of each
    set: settings.Assignments = ()  # arguments


def parse(*argv):
    return command_line.parse(Config, list(argv), app="job")


def test_flags_take_dashes_and_underscores_and_keep_types():
    config = parse("--units", "3", "--layer_width", "4")
    assert (config.units, config.layer_width, config.device) == (3, 4, "auto")
    assert parse("--set", "a=1", "--set", "b=x").set == ("a=1", "b=x")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--unit", "3"], "no flag --unit. Nearest: --units"),
        (["--smoke=None"], "--smoke takes no value; got 'None'. Nearest: --smoke."),
        (["--strategy", "x" * 300], f"invalid choice 'x{'x' * 78}... for argument '--strategy'. Expected one of"),
        (["--smoke", "../.."], "Unrecognized options: ../..."),
        (["--smoke", "x" * 300], f"Unrecognized options: 'x{'x' * 78}..."),
        (["--units", "three"], "--units"),
        (["--precision", "float16"], "Nearest: float32"),
        (["stray"], "stray"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_nearest(argv, said):
    with pytest.raises(errors.UserError) as caught:
        parse(*argv)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value) and "│" not in str(caught.value)


def test_assignments_are_literals_and_an_unknown_one_lists_the_right_ones():
    assert command_line.assignments(
        ["depth=20", "pooling=max", "units=(8, 8)"], {"depth", "pooling", "units"}, "b"
    ) == {
        "depth": 20,
        "pooling": "max",
        "units": (8, 8),
    }
    with pytest.raises(errors.UserError, match=r"'dpeth=20'. Nearest: depth. Arguments: depth, filters"):
        command_line.assignments(["dpeth=20"], {"depth", "filters"}, "build_x")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("None", None),
        ("(4, 3)", (4, 3)),
        ("1_000", 1000),
        ("1_000**9", "1_000**9"),
        ("(" * 10_000, "(" * 10_000),
        ("[" * 300 + "]" * 300, "[" * 300 + "]" * 300),
        ("-" * 100_000 + "1", "-" * 100_000 + "1"),
        ("{[]: 1}", "{[]: 1}"),
        ("9" * 5000, "9" * 5000),
        ("1if", "1if"),
        ("\0", "\0"),
        (" 4", 4),
        ("", ""),
    ],
    ids=lambda v: repr(v)[:12],
)
def test_what_is_no_literal_is_a_text(text, value, recwarn):
    assert command_line.assignments([f"units={text}"], {"units"}, "build_x") == {"units": value}
    assert not recwarn


def config_of(app, monkeypatch):
    spec = importlib.util.spec_from_file_location(app.stem, app)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, app.stem, module)  # tyro reads its source
    spec.loader.exec_module(module)
    return module.Config


@pytest.mark.parametrize("app", APPS, ids=lambda p: p.stem)
def test_every_number_of_every_app_has_a_range_and_is_refused_beyond_it(app, monkeypatch):
    config = config_of(app, monkeypatch)
    owners = {"": config} if app in EXPERIMENTS else {"": config, "optimizer": settings.Optimizer}
    numbers = {
        (name, group): hint
        for group, owner in owners.items()
        for name, hint in get_type_hints(owner).items()
        if {hint, *get_args(hint)} & {int, float, tuple[int, int]}
    }
    kinds = {group: get_type_hints(owner, include_extras=True) for group, owner in owners.items()}
    assert len(numbers) > (0 if app in EXPERIMENTS else 15)
    for (name, group), hint in numbers.items():
        kind = kinds[group][name].__metadata__[0]
        assert isinstance(kind, arguments.Kind), name
        flag = settings.flag_of(name, group)
        negative = () if getattr(kind, "least", 0) < 0 else ("-1", "-1e-9")
        for text in ("nan", "inf", "-inf", "1e20", *negative, "9" * 400, "", "x", "True"):
            words = [flag, text, text] if hint == tuple[int, int] else [f"{flag}={text}"]
            with pytest.raises(errors.UserError, match=flag) as caught:
                command_line.parse(config, words, app="job")
            assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
        at_zero = [flag, "0", "0"] if hint == tuple[int, int] else [flag, "0"]
        try:
            parsed = command_line.parse(config, at_zero, app="job")
            zero = getattr(parsed.optimizer if group else parsed, name)
        except errors.UserError as refused:
            assert str(refused).startswith(f"{flag}: must be ")
        else:
            assert kind.convert(zero) == 0


def test_flags_give_the_settings_back():
    config = Config(units=7, seed=3)
    line = command_line.flags(config, {"units": 9, "depth": (1, 2)})
    assert line == "--seed 3 --units 9 --set 'depth=(1, 2)'"


@dataclasses.dataclass(frozen=True)
class Every(settings.Common):
    """One field of each kind that an app's Config has."""

    rate: float = 1e-3  # a number
    count: int = 5  # a whole number
    prime: str = "def "  # a text
    chained: tuple[int, int] = (1, 2)  # two numbers
    formats: tuple[Literal["onnx", "litert"], ...] = ()  # some words
    on: bool = True  # a switch that is on
    off: bool = False  # one that is off
    set: settings.Assignments = ()  # arguments


TEXTS = ["two words", 'it\'s "quoted"', "-x", "--seed", "", " ", "line\nbreak", "é ü", "a=b", "$HOME `x` *", "\\"]
FLOATS = [0.1 + 0.2, 1 / 3, 1e-320, 123456789.123456, 2e20, 0.0021234567890123]


@pytest.mark.parametrize(
    "values",
    [
        *({"prime": text} for text in TEXTS),
        *({"rate": value} for value in FLOATS),
        {"rate": -0.5, "count": -7},
        {"on": False, "off": True, "deterministic": True},
        {"chained": (3, 4), "formats": ("litert", "onnx")},
        {"chained": (-3, -4)},
        {"seed": 3, "out": "my runs"},
    ],
    ids=str,
)
def test_the_printed_flags_are_read_back_as_they_were(values):
    line = command_line.flags(Every(), values)
    assert command_line.parse(Every, shlex.split(line), app="job") == dataclasses.replace(Every(), **values)


@pytest.mark.parametrize(
    "value",
    [
        *TEXTS, *FLOATS, -1, -0.5, True, False, None, (), (8,), (8, (0.1, -2)), (1 / 3,), "max", "None", "1", "(1,",
        "True", "'quoted'", "1e3", ("a b", None),
    ],
    ids=repr,
)  # fmt: skip
def test_the_printed_arguments_are_read_back_as_they_were(value):
    line = command_line.flags(Every(), {"argument": value, "other": 1})
    config = command_line.parse(Every, shlex.split(line), app="job")
    values = command_line.assignments(config.set, {"argument", "other"}, "build_x")
    assert values == {"argument": value, "other": 1} and type(values["argument"]) is type(value)


def test_resume_takes_what_is_not_said_from_the_run(tmp_path):
    made = tmp_path / "runs" / "job" / "mlp-digits-1"
    made.mkdir(parents=True)
    was = Config(units=77, seed=5, set=("a=1",))
    (made / "config.json").write_text(json.dumps({"settings": dataclasses.asdict(was)}))
    config = parse("--resume", "--out", str(tmp_path))
    assert (config.units, config.seed, config.resume, config.set) == (77, 5, "mlp-digits-1", ("a=1",))
    assert parse("--set", "a=1", "--resume", "--out", str(tmp_path)).set == ("a=1",)  # once, not twice
    assert parse("--out", str(tmp_path), "--resume", "mlp-digits-1", "--units", "5").units == 5  # refused by start
    with pytest.raises(errors.UserError, match="no run 'x' in .*Runs there: mlp-digits-1"):
        parse("--resume", "x", "--out", str(tmp_path))


def test_numbers_of_numpy_are_python_s():
    optimizer = settings.Optimizer(learning_rate=np.float32(0.5))
    given = settings.Training(seed=np.int64(3), optimizer=optimizer, histograms=np.bool_(True))
    assert [type(v) for v in (given.seed, given.optimizer.learning_rate, given.histograms)] == [int, float, bool]
    assert json.loads(json.dumps(dataclasses.asdict(given)))["seed"] == 3
    given.validate()


def test_a_run_whose_config_lacks_a_setting_is_not_resumed_with_a_default(tmp_path):
    made = tmp_path / "runs" / "job" / "net-set-1"
    made.mkdir(parents=True)
    was = {name: value for name, value in dataclasses.asdict(settings.Training()).items() if name != "epochs"}
    for settings_of, said in ((was, "epochs is missing"), (was | {"epochs": 2, "seed": "x"}, "seed: ")):
        (made / "config.json").write_text(json.dumps({"settings": settings_of}))
        with pytest.raises(errors.UserError, match=f"config.json: settings is damaged: {said}"):
            command_line.parse(settings.Training, ["--resume", "--out", str(tmp_path)], app="job")


def test_a_run_of_before_a_flag_was_added_is_resumed_with_its_default(tmp_path):
    before = tmp_path / "runs" / "job" / "net-set-1"
    before.mkdir(parents=True)
    was = dataclasses.asdict(settings.Training(epochs=7))
    for name in ("formats", "init", "init_rate_factor"):
        del was[name]
    (before / "config.json").write_text(json.dumps({"settings": was}))
    again = command_line.parse(settings.Training, ["--resume", "--out", str(tmp_path)], app="job")
    assert (again.epochs, again.formats, again.init) == (7, (), "")
    again = command_line.parse(settings.Training, ["--resume", "--out", str(tmp_path), "--formats", "onnx"], app="job")
    assert again.formats == ("onnx",)


def test_a_run_is_not_made_a_smoke_test_when_it_is_resumed(tmp_path):
    before = tmp_path / "runs" / "job" / "net-set-1"
    before.mkdir(parents=True)
    argv = ["--resume", "--out", str(tmp_path)]
    for smoke in (False, True):
        (before / "config.json").write_text(
            json.dumps({"settings": dataclasses.asdict(settings.Training(smoke=smoke))})
        )
        assert command_line.parse(settings.Training, argv, app="job").smoke is smoke
    assert command_line.parse(settings.Training, [*argv, "--smoke"], app="job").smoke
    (before / "config.json").write_text(json.dumps({"settings": dataclasses.asdict(settings.Training())}))
    with pytest.raises(errors.UserError, match="--smoke: is for a new run; net-set-1 keeps its length. Leave it out."):
        command_line.parse(settings.Training, [*argv, "--smoke"], app="job")


def test_a_value_out_of_range_in_a_runs_config_is_damage_of_that_file(tmp_path):
    made = tmp_path / "runs" / "job" / "net-set-1"
    made.mkdir(parents=True)
    was = dataclasses.asdict(settings.Training()) | {"epochs": 0}
    (made / "config.json").write_text(json.dumps({"settings": was}))
    with pytest.raises(errors.UserError) as caught:
        command_line.parse(settings.Training, ["--resume", "--out", str(tmp_path)], app="job")
    assert str(caught.value) == (
        f"{made / 'config.json'}: settings is damaged: --epochs: must be a whole number from 1 to 1,000,000, "
        'or "auto"; got 0. Nearest: 1.'
    )


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--average-last", "5"], "--average-last needs --keep last; got best."),
        (["--average-last", "1"], "--average-last needs --keep last; got best."),
        (
            ["--average-last", "-1", "--keep", "last"],
            "--average-last: must be a whole number from 0 to 1,000; got -1. Nearest: 0.",
        ),
        (["--warmup", "0"], "--warmup: must be a whole number from 1 to 1,000,000; got 0. Nearest: 1."),
        (["--beta-2", "1"], "--beta-2: must be a number in [0, 0.999999]; got 1.0. Nearest: 0.999999."),
        (["--beta-2", "nan"], "--beta-2: must be a number in [0, 0.999999]; got nan. Nearest: 0."),
        (["--epsilon", "0"], "--epsilon: must be a number in [1e-20, 1]; got 0.0. Nearest: 1e-20."),
        (
            ["--schedule", "noam", "--reduce-on-plateau", "2"],
            "--reduce-on-plateau needs --schedule constant; got noam.",
        ),
    ],
)
def test_what_training_cannot_be_told_is_one_sentence(argv, said):
    with pytest.raises(errors.UserError) as caught:
        command_line.parse(settings.Training, argv, app="job")
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("argv", "needed", "got"),
    [
        (["--init-rate-factor", "0.5"], "--init", "it alone"),
        (["--init-rate-factor", "0.1"], "--init", "it alone"),  # also where it is the default
        (["--trials", "0", "--trial-epochs", "3"], "--trials of at least 1", "--trials 0"),
        (["--tuner", "grid", "--trials=0"], "--trials of at least 1", "--trials 0"),
        (["--decay-after", "3"], "--schedule decay", "--schedule constant"),
        (["--optimizer.warmup", "3", "--schedule", "cosine"], "--schedule noam", "--schedule cosine"),
        (["--epsilon", "1e-3", "--optimizer", "sgd"], "--optimizer adam or adamw", "--optimizer sgd"),
    ],
)
def test_a_flag_that_changes_nothing_is_refused(argv, needed, got):
    flag = next(
        word for word in argv if word.startswith(("--init", "--trial-", "--tuner", "--decay", "--opt", "--eps"))
    )
    with pytest.raises(errors.UserError) as caught:
        command_line.parse(settings.Training, argv, app="job")
    flag = flag.replace("optimizer.", "")
    assert str(caught.value) == f"{flag}: must be given with {needed}, else it has no effect; got {got}."


def test_a_group_of_its_own_has_settings_without_effect_of_its_own():
    argv = ["--generator-optimizer.beta-2", "0.5"]
    with pytest.raises(errors.UserError, match="must be given with --generator-optimizer.name adam or adamw, else"):
        command_line.parse(TwoOptimizers, argv, app="job")
    assert command_line.parse(TwoOptimizers, [*argv, "--generator-optimizer.name", "adam"], app="job")


def test_what_has_an_effect_or_may_still_have_one_is_taken():
    for argv in (["--init", "x", "--init-rate-factor", "0.5"], ["--trials", "2", "--trial-epochs", "3"],
                 ["--trials", "auto", "--tuner", "grid"], ["--schedule", "auto", "--warmup", "3"],
                 ["--schedule=noam", "--warmup=3"], ["--optimizer", "adamw", "--beta-2", "0.5"]):  # fmt: skip
        assert command_line.parse(settings.Training, argv, app="job")
    opened = command_line.parse(settings.Training, ["--trial-epochs", "3"], app="job", left_open=("trials",))
    assert opened.trials is None and opened.trial_epochs == 3


@pytest.mark.parametrize("flag", ["--init", "--resume"])
def test_an_empty_word_is_no_way_to_leave_a_flag_out(flag):
    """It comes from a variable of the shell that is not set; a run without --init would be another one."""
    for argv in ([flag, ""], [f"{flag}="]):
        with pytest.raises(errors.UserError, match=f"^{flag}: must not be empty; leave it out instead.$"):
            command_line.parse(settings.Training, argv, app="job")


@dataclasses.dataclass(frozen=True)
class OfTexts(settings.Training):
    """An app whose architecture is not worked out from the data."""

    model: Literal["lstm", "gru"] = "lstm"


def test_with_init_an_architecture_that_is_not_given_is_the_earlier_models():
    """initializing.adopted fills it in, and knows which arguments --set may name."""
    free = {"lstm": {"peephole": True}, "gru": {"reset_after": True}}.get
    parse = lambda *argv: command_line.parse(OfTexts, list(argv), app="job", free_arguments=free)  # noqa: E731
    assert parse("--init", "x").model is None and parse().model == "lstm"
    assert parse("--init", "x", "--model", "lstm").model == "lstm"
    taken = parse("--init", "x", "--set", "reset_after=False")
    assert (taken.model, taken.set) == (None, ("reset_after=False",))
    with pytest.raises(errors.UserError, match="an argument of build_lstm"):
        parse("--init", "x", "--model", "lstm", "--set", "reset_after=False")


def test_what_training_can_be_told():
    argv = ["--average-last=5", "--keep=last", "--schedule=noam", "--warmup=40", "--beta-2=0.98", "--epsilon=1e-9"]
    said = command_line.parse(settings.Training, argv, app="job")
    asked = said.optimizer
    assert (said.average_last, asked.warmup, asked.beta_2, asked.epsilon) == (5, 40, 0.98, 1e-9)
    assert command_line.parse(settings.Training, ["--average-last", "0"], app="job").keep == "best"


@dataclasses.dataclass(frozen=True)
class TwoOptimizers(settings.Training):
    """A model of two parts."""

    generator_optimizer: settings.OptimizerFlags = settings.Optimizer("rmsprop", beta_2=0.9)  # its own


def test_the_optimizers_flags_have_a_name_in_full_and_a_short_one():
    for argv in (
        ["--optimizer", "sgd", "--learning-rate=0.5"],
        ["--optimizer.name", "sgd", "--optimizer.learning_rate", "0.5"],
    ):
        said = command_line.parse(settings.Training, argv, app="job")
        assert said.optimizer == settings.Optimizer("sgd", 0.5)
        assert command_line.flags(said, {}) == "--optimizer sgd --learning-rate 0.5"


def test_an_app_may_have_two_optimizers():
    argv = ["--generator-optimizer.learning-rate", "0.25", "--learning-rate", "0.5", "--generator_optimizer.name=adam"]
    said = command_line.parse(TwoOptimizers, argv, app="job")
    assert said.optimizer == settings.Optimizer(learning_rate=0.5)
    assert said.generator_optimizer == settings.Optimizer("adam", 0.25, beta_2=0.9)
    line = command_line.flags(said, {})
    assert command_line.parse(TwoOptimizers, shlex.split(line), app="job") == said
    with pytest.raises(errors.UserError, match="--generator-optimizer.learning-rate: must be a number"):
        command_line.parse(TwoOptimizers, ["--generator-optimizer.learning-rate", "nan"], app="job")
    with pytest.raises(errors.UserError, match="no flag --generator-optimizer.rate. Nearest: --generator-optimizer"):
        command_line.parse(TwoOptimizers, ["--generator-optimizer.rate", "1"], app="job")


def test_a_run_of_before_the_optimizers_group_is_resumed_as_it_was(tmp_path):
    made = tmp_path / "runs" / "job" / "mlp-digits-1"
    made.mkdir(parents=True)
    now = dataclasses.asdict(settings.Training(optimizer=settings.Optimizer("sgd", 0.125, "noam", warmup=7)))
    group = now.pop("optimizer")
    before = now | {"optimizer": group.pop("name"), **group}
    (made / "config.json").write_text(json.dumps({"settings": before}))
    said = command_line.parse(settings.Training, ["--resume", "--out", str(tmp_path)], app="job")
    assert said.optimizer == settings.Optimizer("sgd", 0.125, "noam", warmup=7)


def test_a_defect_keeps_its_traceback_and_a_full_disk_is_one_line(capsys):
    def full():
        raise OSError(28, "No space left on device", "runs/x")

    with pytest.raises(SystemExit) as stop:
        command_line.run(full)
    assert stop.value.code == 2
    assert "runs/x: No space left on device" in capsys.readouterr().err

    def defect():
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        command_line.run(defect)


@pytest.mark.parametrize("app", APPS, ids=lambda p: p.stem)
@pytest.mark.parametrize("argv", [["--help"], ["--modle", "mlp"]], ids=["help", "mistake"])
def test_help_and_mistakes_answer_without_tensorflow(app, argv):
    probe = (
        f"import runpy, sys; sys.argv = {[str(app), *argv]!r}\n"
        f"try: runpy.run_path({str(app)!r}, run_name='__main__')\n"
        "except SystemExit as stop: print('code', stop.code, 'tensorflow' in sys.modules)"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert f"code {2 if argv != ['--help'] else 0} False" in done.stdout, done.stderr
    assert len(done.stderr.splitlines()) == (argv != ["--help"])
    assert time.monotonic() - began < 10  # a second on a free machine; TensorFlow alone would be five
