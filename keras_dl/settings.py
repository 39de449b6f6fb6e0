"""Command lines from frozen dataclasses, with errors of one line.

An app declares `class Config(Common)`; a field's comment is its help text (tyro reads it). `parse` returns an instance
of it; `run` calls an app's main and turns a user's mistake into one line on stderr and exit status 2. Nothing here
imports TensorFlow, so that `--help` and mistyped flags are answered at once.
"""

import ast
import contextlib
import dataclasses
import difflib
import errno
import io
import re
import shlex
import sys
import warnings
from typing import Annotated, Literal, get_args, get_origin, get_type_hints

import tyro

from keras_dl import arguments, console, errors, json_files, paths, runs
from keras_dl.arguments import AUTO, OPEN, Number, OneOf, OrAuto, Seed, Whole

LONGEST = 300  # longest message of tyro, in characters
LONGEST_WORD = 5000  # longest word of a command line that is searched in such a message
NEWEST = "newest"  # what a bare --resume means
ADDED = ("formats", "init", "init_rate_factor")  # fields that runs of earlier versions lack; they have their defaults
OUT_OF_OUR_HANDS = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


class Checked:
    """A dataclass of settings whose values are checked against their annotations."""

    def __post_init__(self):
        for field in dataclasses.fields(self):  # NumPy's numbers to Python's, which JSON and Keras need
            value = getattr(self, field.name)
            if hasattr(value, "item") and getattr(value, "shape", None) == ():
                object.__setattr__(self, field.name, value.item())

    def validate(self, group=""):
        """Raise UserError if a value does not fit its annotation, or another value.

        Args:
            group: name of the field of the enclosing dataclass, if this is a group of flags.
        """
        for name, hint in get_type_hints(type(self), include_extras=True).items():
            value = getattr(self, name)
            if isinstance(value, Checked):
                value.validate(name)
            elif (kind := _kind(hint)) and not (value is None and _may_be_auto(kind)):
                arguments.check(f"{flag_of(name, group)}:", kind, value)


@dataclasses.dataclass(frozen=True)
class Common(Checked):
    """The flags of every app."""

    device: str = "auto"  # auto, cpu, gpu or gpu:N; a device that does not exist is an error
    strategy: Literal["none", "mirrored"] = "none"  # tf.distribute: mirrored uses all GPUs of this machine
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"  # Keras dtype policy
    # of initial weights, order, augmentation, dropout, validation split and search
    seed: Annotated[int, Seed] = 0
    deterministic: bool = False  # use only deterministic kernels (matters on a GPU)
    out: str = "."  # folder in which runs/ and saved_models/ are created
    resume: str = ""  # continue a run: its name, or no value for the newest unfinished run
    smoke: bool = False  # a test of the installation: a few examples, some seconds, in a temporary folder


Assignments = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
Count = Annotated[int, Whole(1, 1_000_000)]
CountOrZero = Annotated[int, Whole(0, 1_000_000)]
CountOrAuto = Annotated[int | Literal["auto"], OrAuto(Whole(1, 1_000_000))]
CountOrZeroOrAuto = Annotated[int | Literal["auto"], OrAuto(Whole(0, 1_000_000))]
Rate = Annotated[float | Literal["auto"], OrAuto(Number("[1e-10, 100]"))]
Decay = Annotated[float | Literal["auto"], OrAuto(Number("[0, 10]"))]
Norm = Annotated[float, Number("[0, 1e6]")]
Beta = Annotated[float, Number("[0, 0.999999]")]  # anything closer to 1 would be 1 in float32
Epsilon = Annotated[float, Number("[1e-20, 1]")]


@dataclasses.dataclass(frozen=True)
class Optimizer(Checked):
    """An optimizer and the schedule of its learning rate. An app may have several such groups of flags."""

    name: Literal["auto", "sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"] = "adam"  # momentum is 0.9
    learning_rate: Rate = 1e-3  # the largest learning rate of the schedule
    # of the learning rate
    schedule: Literal["auto", "constant", "cosine", "onecycle", "steps", "decay", "noam"] = "constant"
    decay_after: CountOrZero = 4  # decay: number of epochs before the learning rate falls
    # decay: factor of the learning rate in each epoch from then on
    decay_factor: Annotated[float, Number("[1e-6, 1]")] = 0.5
    warmup: Count = 4000  # noam: number of updates up to the largest learning rate
    beta_2: Beta = 0.999  # adam, adamw: decay rate of the mean square of the gradient
    epsilon: Epsilon = 1e-7  # adam, adamw: added to the root of the mean square
    # factor of the L2 term in the gradient; decoupled for adam and adamw. auto: 0.01 for adamw, 0 for the others
    weight_decay: Decay = "auto"
    clipnorm: Norm = 0.0  # largest global norm of the gradient; 0: no clipping


SHORT = "optimizer"  # the group whose flags have short names too: --learning-rate, and --optimizer for its name
ABOUT = "each of these has a short name too, such as --optimizer sgd or --learning-rate 0.1"
OptimizerFlags = Annotated[Optimizer, tyro.conf.arg(help=ABOUT)]


# What a setting needs to have an effect: (the other setting, which values of that one, what must be given).
NEEDS = {
    "init_rate_factor": ("init", bool, "--init"),
    "tuner": ("trials", bool, "--trials of at least 1"),
    "trial_epochs": ("trials", bool, "--trials of at least 1"),
    "optimizer.decay_after": ("optimizer.schedule", ("decay",).__contains__, "--schedule decay"),
    "optimizer.decay_factor": ("optimizer.schedule", ("decay",).__contains__, "--schedule decay"),
    "optimizer.warmup": ("optimizer.schedule", ("noam",).__contains__, "--schedule noam"),
    "optimizer.beta_2": ("optimizer.name", ("adam", "adamw").__contains__, "--optimizer adam or adamw"),
    "optimizer.epsilon": ("optimizer.name", ("adam", "adamw").__contains__, "--optimizer adam or adamw"),
}


@dataclasses.dataclass(frozen=True)
class Training(Common):
    """The further flags of an app that searches and trains.

    The default of a setting is that of the named data sets. For a user's own data, settings that are not given and
    that own_data.SETTINGS names are worked out from the data, as if the user had written "auto".
    """

    init: str = ""  # start from the weights of an earlier export or run of your own: its folder or name
    # with --init: what was taken over trains at this share of the learning rate if other parts are new; 0: it stays
    init_rate_factor: Annotated[float, Number("[0, 1]")] = 0.1
    set: Assignments = ()  # arguments of the builder: --set units=128 --set dropout=0.5
    # number of trials of the search; 0: no search, train the defaults; own data: auto
    trials: CountOrZeroOrAuto = 3
    tuner: Literal["random", "bayesian", "hyperband", "grid"] = "random"  # method of the search, keras-tuner's oracle
    trial_epochs: Count = 5  # epochs of each trial
    epochs: CountOrAuto = 20  # epochs of the final training; own data: auto, from the number of examples
    batch_size: CountOrAuto = 64  # examples per step; own data: auto
    optimizer: OptimizerFlags = Optimizer()
    # stop after this many epochs without a better validation; 0: never; own data: auto
    patience: CountOrZeroOrAuto = 0
    # halve the learning rate after this many epochs without a better validation; 0: never
    reduce_on_plateau: CountOrZero = 0
    # which epoch's weights are evaluated and exported; own data: auto
    keep: Literal["auto", "best", "last"] = "best"
    # with --keep last: use the mean of the weights of this many last epochs; 0: no mean
    average_last: Annotated[int, Whole(0, 1000)] = 0
    save_minutes: Annotated[float, Number("[0, 1e6]")] = 10.0  # longest time without a checkpoint, in minutes
    histograms: bool = False  # for TensorBoard: histograms of the weights, and norms of every layer
    formats: tuple[Literal["onnx", "litert"], ...] = ()  # further formats of the export

    def validate(self, group=""):
        super().validate(group)
        schedule = self.optimizer.schedule
        check(
            not self.average_last or self.keep in ("last", *OPEN),
            f"--average-last needs --keep last; got {self.keep}.",
        )
        check(
            not self.reduce_on_plateau or schedule in ("constant", *OPEN),
            f"--reduce-on-plateau needs --schedule constant; got {schedule}.",
        )

    def of_fit(self):
        """The arguments of training.fit that are flags: {argument: value}."""
        names = ("epochs", "patience", "reduce_on_plateau", "keep", "average_last", "save_minutes")
        return {name: getattr(self, name) for name in names}

    def of_search(self):
        """The arguments of tuning.search that are flags: {argument: value}."""
        return {"trials": self.trials, "tuner": self.tuner, "epochs": self.trial_epochs}

    def shortened(self):
        """With --smoke a copy with few trials and epochs, which takes seconds; else the settings themselves."""
        if not self.smoke:
            return self
        most = {"trials": 2, "epochs": 2}
        asked = {name: getattr(self, name) for name in most}
        few = {name: min(value, most[name]) for name, value in asked.items() if isinstance(value, int)}
        return dataclasses.replace(self, trial_epochs=1, **few)


def parse(config_class, argv=None, *, app, free_arguments=None, left_open=()):
    """Parse a command line; with --resume, flags that are not given have the values of the resumed run.

    Args:
        config_class: a frozen dataclass, a Common.
        argv: list of arguments; None: sys.argv[1:].
        app: name of the app; its runs are in runs/<app>/.
        free_arguments: function model name -> {argument: default} of the builder's arguments that --set may change.
        left_open: names of settings that are None in the result if the command line does not give them, for
            own_data.fitted; those in a group are "optimizer.name" and the like. Only settings that may be "auto" are
            left open, and on a resume none is: each has the value of the run, also if "auto" is given again.

    Returns:
        An instance of `config_class`.

    Raises:
        errors.UserError: a flag or a value is wrong; the message is one line with the nearest valid one.
        SystemExit: after --help (status 0).
    """
    argv = _in_full(_bare_resume(list(sys.argv[1:] if argv is None else argv)), config_class)
    config = _parse(config_class, argv)
    said = {word.split("=")[0].replace("_", "-") for word in argv}
    for name, value, default in _flat(config):  # --init "$EXPORT" without EXPORT is a mistake, not a run without --init
        empty = value == default == "" and f"--{name}".replace("_", "-") in said
        check(not empty, f"{flag_of(*reversed(name.split('.')))}: must not be empty; leave it out instead.")
    paths.out(config.out)
    if config.resume:
        folder = runs.run_to_resume(config.out, app, config.resume)
        before = runs.settings_of(folder)
        known, where = [field.name for field in dataclasses.fields(config_class)], f"{folder / 'config.json'}: settings"
        if missing := [name for name in known if name not in before and name not in ADDED]:
            raise errors.UserError(
                f"{where} is damaged: {missing[0]} is missing, or another version of the app made it. Start a new run."
            )
        json_files.convert(before, config_class, where)  # checks the types
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in before.items()}
        # Tuples that are given again replace the old ones; tyro would append to them.
        values = {k: v for k, v in values.items() if not (isinstance(v, tuple) and f"--{k.replace('_', '-')}" in said)}
        types = get_type_hints(config_class)
        values = {k: types[k](**v) if isinstance(v, dict) else v for k, v in values.items() if k in known}
        saved = config_class(**values)
        try:
            saved.validate()
        except errors.UserError as error:
            raise errors.UserError(f"{where} is damaged: {error}") from error
        config = dataclasses.replace(_parse(config_class, argv, default=saved), resume=folder.name)
        again = {name: value for name, value in values_of(config).items() if name in left_open and value == AUTO}
        config = replaced(config, {name: values_of(saved)[name] for name in again})
        if "--set" in said:
            chosen = runs.chosen(folder).get("values", {}).get("set", {})
            json_files.convert(chosen, dict, f"{folder / 'config.json'}: chosen.values.set")
            kept = [pair for pair in before["set"] if _argument(pair) in {*chosen} - {*map(_argument, config.set)}]
            config = dataclasses.replace(config, set=(*config.set, *kept))
    if free_arguments is not None:
        check(config.model != AUTO or not config.set, "--set: needs the --model whose arguments it sets; got auto.")
        if config.model != AUTO:
            assignments(config.set, free_arguments(config.model), f"build_{config.model}")
    if not config.resume:
        config = _with_open_ones(config, left_open, said)
    check_effects(config, [name for name in NEEDS if f"--{name}".replace("_", "-") in said])
    return config.shortened() if isinstance(config, Training) else config


def without_effect(config):
    """The settings of NEEDS that change nothing, given the others; a setting that is still open may be any value."""
    values = values_of(config)
    for name, (other, holds, _) in NEEDS.items():
        if name in values and values[other] not in OPEN and not holds(values[other]):
            yield name


def check_effects(config, given):
    """Raise UserError if a setting that was given changes nothing.

    Args:
        config: the settings.
        given: names of the settings that were given.
    """
    values = values_of(config)
    for name in without_effect(config):
        if name in given:
            other, _, needed = NEEDS[name]
            flag, got = (flag_of(*reversed(each.split("."))) for each in (name, other))
            instead = f"{got} {values[other]}" if values[other] != "" else "it alone"
            raise errors.UserError(f"{flag}: must be given with {needed}, else it has no effect; got {instead}.")


def values_of(config):
    """{setting: value}, those of a group as "optimizer.name"."""
    return {name: value for name, value, _ in _flat(config)}


def defaults_of(config):
    """{setting: its default}, those of a group as "optimizer.name"."""
    return {name: default for name, _, default in _flat(config)}


def replaced(config, values):
    """A copy of the settings with `values`, {setting: value}; those of a group are named "optimizer.name"."""
    groups, plain = {}, {}
    for name, value in values.items():
        group, dot, inner = name.partition(".")
        if dot:
            groups.setdefault(group, {})[inner] = value
        else:
            plain[name] = value
    plain |= {group: dataclasses.replace(getattr(config, group), **inner) for group, inner in groups.items()}
    return dataclasses.replace(config, **plain)


def with_arguments(pairs, values):
    """The value of --set, a tuple of "name=value", with `values` for arguments that it does not name.

    >>> with_arguments(("units=8",), {"units": 16, "dropout": 0.5})
    ('units=8', 'dropout=0.5')
    """
    named = set(map(_argument, pairs))
    return (*pairs, *(f"{name}={_literal(value)}" for name, value in values.items() if name not in named))


def _argument(pair):
    """The name in "name=value"."""
    return pair.partition("=")[0]


def run(main):
    """Call `main()`; a UserError becomes one line on stderr and exit status 2, a bug keeps its traceback.

    Printing cannot raise meanwhile (console.steady).
    """
    console.steady()
    try:
        main()
    except errors.UserError as mistake:
        print(mistake, file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        if error.errno not in OUT_OF_OUR_HANDS:
            raise
        where = f": {error.filename}" if error.filename else ""
        print(f"cannot read or write{where}: {error.strerror}; what was complete before is kept.", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


@contextlib.contextmanager
def user_input():
    """A context that turns ValueError and the like into UserError, for code that runs with arguments of the user."""
    try:
        yield
    except (TypeError, ValueError, MemoryError) as mistake:
        raise errors.UserError(" ".join(str(mistake).split())) from mistake
    except Exception as error:
        if type(error).__name__ != "ResourceExhaustedError":  # TensorFlow's class, which is not imported here
            raise
        raise errors.UserError("the model does not fit into this machine's memory; try smaller arguments.") from error


def assignments(pairs, allowed, who):
    """Turn ("depth=20", "shortcut=none") into {"depth": 20, "shortcut": "none"}.

    Args:
        pairs: strings name=value; a value that is a Python literal is converted, any other is a string.
        allowed: the names that may be set.
        who: the builder or endpoint with these arguments, for the message.

    Raises:
        errors.UserError: a pair has no "=", or a name is not allowed; the message lists the allowed names.

    >>> assignments(("units=(8, 4)", "activation=relu"), {"units", "activation"}, "build_mlp")
    {'units': (8, 4), 'activation': 'relu'}
    """
    values = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or name not in allowed:
            near = nearest(name, allowed) if name not in allowed else f" Nearest: {name}=VALUE."
            raise errors.UserError(
                f"--set: must be name=value with an argument of {who} that the app leaves free; "
                f"got {arguments.shown(pair)}.{near} Arguments: {', '.join(sorted(allowed)) or 'none'}."
            )
        values[name] = _read(text)
    return values


def _with_open_ones(config, left_open, said):
    """A copy in which the settings of `left_open` are None that may be "auto" and whose flags are not in `said`."""
    hints, open_ones = get_type_hints(type(config), include_extras=True), {}
    for name in left_open:
        group, _, inner = name.rpartition(".")
        owner = get_type_hints(type(getattr(config, group, None)), include_extras=True) if group else hints
        kind = _kind(owner[inner]) if inner in owner else None
        if kind is not None and _may_be_auto(kind) and f"--{name}".replace("_", "-") not in said:
            open_ones[name] = None
    if getattr(config, "set", ()):  # its arguments are those of the default model
        open_ones.pop("model", None)
    return replaced(config, open_ones)


def _may_be_auto(kind):
    return isinstance(kind, OrAuto) or (isinstance(kind, OneOf) and AUTO in kind.choices)


def _kind(hint):
    """The arguments.Kind of a field's annotation; None if it has none."""
    if get_origin(hint) is Literal:
        return OneOf(*get_args(hint))
    kinds = {bool: arguments.YesOrNo, str: arguments.Text}
    return next((k for k in getattr(hint, "__metadata__", ()) if isinstance(k, arguments.Kind)), kinds.get(hint))


def _read(text):
    """The value of a text that is a Python literal, else the text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's warning about texts like "1or"
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # {[]: 1}; nested brackets
        return text


def flags(config, values, always=()):
    """The command line for `config` with `values`: fields of the Config as flags, other values with --set.

    Defaults and the Config's own `set` are left out, but settings of `always` are named at their default too. parse and
    assignments read it back exactly, if `always` has what parse would leave open.

    >>> flags(Common(seed=3), {"device": "cpu", "depth": 20})
    '--device cpu --seed 3 --set depth=20'
    """
    words, fields = [], [field.name for field in dataclasses.fields(config)]
    for name, value, default in _flat(config):
        value = values.get(name.removeprefix(f"{SHORT}."), value)
        if name != "set" and (value != default or name in always):
            words += _flag(flag_of(*reversed(name.split("."))), value)
    known = {*fields, *(field.name for field in dataclasses.fields(Optimizer))}
    for name, value in values.items():
        if name not in known:
            words += _flag("--set", f"{name}={_literal(value)}")
    return shlex.join(words)


def flag_of(name, group=""):
    """The flag of a field; `group` is the name of its group of flags, or "".

    >>> flag_of("batch_size"), flag_of("learning_rate", "optimizer"), flag_of("name", "optimizer")
    ('--batch-size', '--learning-rate', '--optimizer')
    >>> flag_of("learning_rate", "generator_optimizer")
    '--generator-optimizer.learning-rate'
    """
    if group == SHORT:
        name, group = (group if name == "name" else name), ""
    return "--" + f"{group}.{name}".lstrip(".").replace("_", "-")


def check(holds, sentence):
    """Raise UserError(sentence) unless `holds` is true."""
    if not holds:
        raise errors.UserError(sentence)


def nearest(word, known):
    """' Nearest: x.' with the known word most similar to `word`, or '' if none is similar."""
    alike = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Nearest: {alike[0]}." if alike else ""


def _flag(flag, value):
    """The words of a command line that set a flag to a value."""
    if value is True:
        return [flag]
    if value is False:
        return [flag.replace("--", "--no-", 1)]
    if isinstance(value, tuple):
        return [flag, *map(str, value)]
    text = str(value)
    return [f"{flag}={text}"] if text.startswith("-") else [flag, text]  # a leading - would make it a flag


def _literal(value):
    """The text that `assignments` reads as `value`; a string gets quotes only if it would be read as something else."""
    if not isinstance(value, str):
        return repr(value)
    ((_, same),) = assignments([f"x={value}"], {"x"}, "flags").items()
    return value if same == value and value else repr(value)


def _parse(config_class, argv, **default):
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            config = tyro.cli(config_class, args=argv, **default)
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
    else:
        config.validate()
        return config
    raise errors.UserError(f"command line: {_one_line(complaint.getvalue(), config_class, argv)}")


def _flat(config):
    """Yield (name, value, default) of every field; names of fields in a group are "group.name"."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, Checked):
            for inner in dataclasses.fields(value):
                default = getattr(field.default, inner.name)
                yield f"{field.name}.{inner.name}", getattr(value, inner.name), default
        else:
            yield field.name, value, field.default


def _names(config_class):
    """{flag: its full name} of all flags; flags with a short name have two entries."""
    names = {}
    for field in dataclasses.fields(config_class):
        if isinstance(field.default, Checked):
            for inner in dataclasses.fields(field.default):
                full = "--" + f"{field.name}.{inner.name}".replace("_", "-")
                names |= {full: full, flag_of(inner.name, field.name): full}
        else:
            names[flag_of(field.name)] = flag_of(field.name)
    return names


def _in_full(argv, config_class):
    """The command line with short names of flags replaced by full ones, which tyro knows."""
    names = _names(config_class)
    words = []
    for word in argv:
        flag, equals, value = word.partition("=")
        full = names.get(flag.replace("_", "-")) if flag.startswith("--") else None
        words.append(word if full is None or full == flag else f"{full}{equals}{value}")
    return words


def _bare_resume(argv):
    """The command line with a value for a bare --resume, since tyro has no flags with optional values."""
    for at, word in enumerate(argv):
        if word == "--resume" and (at + 1 == len(argv) or argv[at + 1].startswith("-")):
            return argv[: at + 1] + [NEWEST] + argv[at + 1 :]
    return argv


def _one_line(panel, config_class, argv):
    """tyro's error panel as one line, with the nearest flag or choice.

    The panel's sections are separated by rules. The message is the first section, or the second if the title is not
    part of a border.
    """
    sections = [[]]
    for line in panel.splitlines():
        text = line.strip("│╭╮╰╯ ")
        if text and not text.strip("-─"):
            sections.append([])
        elif text and not line.startswith(("╭", "╰")):
            sections[-1].append(text)
    boxed = panel.startswith("╭")
    message = " ".join(sections[0] if boxed or len(sections) == 1 else sections[1]) or "the arguments do not fit"
    known = [*_names(config_class), "--help"]
    for word in argv:
        flag = word.split("=")[0].replace("_", "-")
        if word.startswith("--") and flag not in known and not flag.startswith("--no-"):
            return f"no flag {arguments.shown(word)[1:-1]}.{nearest(flag, known)} All of them: --help"
        if "=" in word and get_type_hints(config_class).get(flag[2:].replace("-", "_")) is bool:
            return f"{flag} takes no value; got {arguments.shown(word.partition('=')[2])}. Nearest: {flag}."
    for word in argv:
        value = word.partition("=")[2] if word.startswith("--") else word
        if arguments.LONGEST_SHOWN < len(value) < LONGEST_WORD:  # the panel breaks long words at any place
            broken = r"\s*".join(map(re.escape, value))
            message = re.sub(f"'?{broken}'?", lambda alike, value=value: arguments.shown(value), message)
    message = message.replace(f"--{SHORT}.name", f"--{SHORT}").replace(f"--{SHORT}.", "--")
    choice = re.search(r"invalid choice '(.*?)'.*Expected one of \((.*)\)", message)
    near = nearest(choice[1], re.findall(r"'(.*?)'", choice[2])) if choice else ""
    message = message if len(message) <= LONGEST else f"{message[:LONGEST]}..."
    own = message.split()[-1] in argv  # the dots belong to the user's word
    if message.endswith("...") and not own:
        return message + near
    return (message if own else message.rstrip(".")) + "." + near
