"""Command lines from the dataclasses of settings, with errors of one line.

    config = command_line.parse(Config, argv, app="classify_images")
    command_line.run(main)

`parse` returns an instance of an app's Config; `run` calls an app's main and turns a user's mistake into one line on
stderr and exit status 2. Nothing here imports TensorFlow, so that `--help` and mistyped flags are answered at once.
"""

import ast
import contextlib
import dataclasses
import errno
import io
import re
import shlex
import sys
import warnings
from typing import get_type_hints

import tyro

from keras_dl import arguments, console, errors, json_files, paths, runs
from keras_dl.arguments import AUTO
from keras_dl.settings import (
    SHORT,
    Checked,
    Optimizer,
    Training,
    check,
    check_effects,
    each,
    flag_of,
    replaced,
    values_of,
    with_open_ones,
)
from keras_dl.wording import nearest

LONGEST = 300  # longest message of tyro, in characters
LONGEST_WORD = 5000  # longest word of a command line that is searched in such a message
NEWEST = "newest"  # what a bare --resume means
ADDED = ("formats", "init", "init_rate_factor")  # fields that runs of earlier versions lack; they have their defaults
OUT_OF_OUR_HANDS = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


def parse(config_class, argv=None, *, app, free_arguments=None, left_open=()):
    """Parse a command line; with --resume, flags that are not given have the values of the resumed run.

    Args:
        config_class: a frozen dataclass, an Experiment.
        argv: list of arguments; None: sys.argv[1:].
        app: name of the app; its runs are in runs/<app>/.
        free_arguments: function model name -> {argument: default} of the builder's arguments that --set may change.
        left_open: names of settings that are None in the result if the command line does not give them, for
            own_data.fitted; those in a group are "optimizer.name" and the like. Only settings that may be "auto" are
            left open, and on a resume none is: each has the value of the run, also if "auto" is given again. With
            --init the model is left open, too, for initializing.adopted.

    Returns:
        An instance of `config_class`.

    Raises:
        errors.UserError: a flag or a value is wrong; the message is one line with the nearest valid one.
        SystemExit: after --help (status 0).
    """
    argv = _in_full(_bare_resume(list(sys.argv[1:] if argv is None else argv)), config_class)
    config = _parse(config_class, argv)
    said = {word.split("=")[0].replace("_", "-") for word in argv}
    for name, value, default in each(config):  # --init "$EXPORT" without EXPORT is a mistake, not a run without --init
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
        check(
            saved.smoke or not config.smoke, f"--smoke: is for a new run; {folder.name} keeps its length. Leave it out."
        )
        again = {name: value for name, value in values_of(config).items() if name in left_open and value == AUTO}
        config = replaced(config, {name: values_of(saved)[name] for name in again})
        if "--set" in said:
            chosen = runs.chosen(folder).get("values", {}).get("set", {})
            json_files.convert(chosen, dict, f"{folder / 'config.json'}: chosen.values.set")
            kept = [pair for pair in before["set"] if _argument(pair) in {*chosen} - {*map(_argument, config.set)}]
            config = dataclasses.replace(config, set=(*config.set, *kept))
    adopts = hasattr(config, "model") and config.init and not config.resume and "--model" not in said
    if free_arguments is not None and not adopts:
        check(config.model != AUTO or not config.set, "--set: needs the --model whose arguments it sets; got auto.")
        if config.model != AUTO:
            assignments(config.set, free_arguments(config.model), f"build_{config.model}")
    if not config.resume:
        config = with_open_ones(config, left_open, said)
        config = dataclasses.replace(config, model=None) if adopts else config
    check_effects(config, [name for name in values_of(config) if f"--{name}".replace("_", "-") in said])
    return config.shortened() if isinstance(config, Training) else config


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


def with_arguments(pairs, values):
    """The value of --set, a tuple of "name=value", with `values` for arguments that it does not name.

    >>> with_arguments(("units=8",), {"units": 16, "dropout": 0.5})
    ('units=8', 'dropout=0.5')
    """
    named = set(map(_argument, pairs))
    return (*pairs, *(f"{name}={_literal(value)}" for name, value in values.items() if name not in named))


def flags(config, values, always=()):
    """The command line for `config` with `values`: fields of the Config as flags, other values with --set.

    Defaults and the Config's own `set` are left out, but settings of `always` are named at their default too. parse and
    assignments read it back exactly, if `always` has what parse would leave open.

    >>> from keras_dl.settings import Common
    >>> flags(Common(seed=3), {"device": "cpu", "depth": 20})
    '--device cpu --seed 3 --set depth=20'
    """
    words, fields = [], [field.name for field in dataclasses.fields(config)]
    for name, value, default in each(config):
        value = values.get(name.removeprefix(f"{SHORT}."), value)
        if name != "set" and (value != default or name in always):
            words += _flag(flag_of(*reversed(name.split("."))), value)
    known = {*fields, *(field.name for field in dataclasses.fields(Optimizer))}
    for name, value in values.items():
        if name not in known:
            words += _flag("--set", f"{name}={_literal(value)}")
    return shlex.join(words)


def _argument(pair):
    """The name in "name=value"."""
    return pair.partition("=")[0]


def _read(text):
    """The value of a text that is a Python literal, else the text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's warning about texts like "1or"
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # {[]: 1}; nested brackets
        return text


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
