"""Settings of a run, as frozen dataclasses whose values are checked; command_line.py makes them from flags.

An app declares `class Config(settings.Training)`; a field's comment is its help text. Nothing here imports TensorFlow.
"""

import dataclasses
from typing import Annotated, Literal, get_args, get_origin, get_type_hints

import tyro

from keras_dl import arguments, errors
from keras_dl.arguments import AUTO, OPEN, Number, OneOf, OrAuto, Seed, Whole


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
class Experiment(Checked):
    """The flags of every app; those that train one model have the further ones of Common and Training."""

    device: str = "auto"  # auto, cpu, gpu or gpu:N; a device that does not exist is an error
    # of initial weights, order, augmentation, dropout, validation split, search and every other random number
    seed: Annotated[int, Seed] = 0
    deterministic: bool = False  # use only deterministic kernels (matters on a GPU)
    out: str = "."  # folder in which runs/ and saved_models/ are created
    resume: str = ""  # continue a run: its name, or no value for the newest unfinished run
    smoke: bool = False  # a test of the installation: a few examples, some seconds, in a temporary folder


@dataclasses.dataclass(frozen=True)
class Common(Experiment):
    """The flags of every app that trains a model and exports it."""

    strategy: Literal["none", "mirrored"] = "none"  # tf.distribute: mirrored uses all GPUs of this machine
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"  # Keras dtype policy


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

    # momentum is 0.9; own data: auto
    name: Literal["auto", "sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"] = "adam"
    learning_rate: Rate = 1e-3  # the largest learning rate of the schedule; own data: auto, if the optimizer is
    # of the learning rate: cosine and onecycle end at 0 with the last epoch, steps divides it by 10 after half of the
    # epochs and after three quarters; own data: auto
    schedule: Literal["auto", "constant", "cosine", "onecycle", "steps", "decay", "noam"] = "constant"
    decay_after: CountOrZero = 4  # decay: number of epochs before the learning rate falls
    # decay: factor of the learning rate in each epoch from then on
    decay_factor: Annotated[float, Number("[1e-6, 1]")] = 0.5
    warmup: Count = 4000  # noam: number of updates up to the largest learning rate
    beta_1: Beta = 0.9  # adam, adamw: decay rate of the mean of the gradient
    beta_2: Beta = 0.999  # adam, adamw: decay rate of the mean square of the gradient
    epsilon: Epsilon = 1e-7  # adam, adamw: added to the root of the mean square
    # factor of the L2 term in the gradient; decoupled for adam and adamw. auto: 0.01 for adamw, 0 for the others; own
    # data: worked out, if the optimizer is
    weight_decay: Decay = "auto"
    clipnorm: Norm = 0.0  # largest global norm of the gradient; 0: no clipping


SHORT = "optimizer"  # the group whose flags have short names too: --learning-rate, and --optimizer for its name
ABOUT = "each of these has a short name too, such as --optimizer sgd or --learning-rate 0.1"
OptimizerFlags = Annotated[Optimizer, tyro.conf.arg(help=ABOUT)]
# {setting: (another, whether it has an effect with a value of that one, in words)}; both in one group, or in none.
NEEDS = {
    "init_rate_factor": ("init", bool, ""),
    "tuner": ("trials", bool, "of at least 1"),
    "trial_epochs": ("trials", bool, "of at least 1"),
    "decay_after": ("schedule", ("decay",).__contains__, "decay"),
    "decay_factor": ("schedule", ("decay",).__contains__, "decay"),
    "warmup": ("schedule", ("noam",).__contains__, "noam"),
    "beta_1": ("name", ("adam", "adamw").__contains__, "adam or adamw"),
    "beta_2": ("name", ("adam", "adamw").__contains__, "adam or adamw"),
    "epsilon": ("name", ("adam", "adamw").__contains__, "adam or adamw"),
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


def check(holds, sentence):
    """Raise UserError(sentence) unless `holds` is true."""
    if not holds:
        raise errors.UserError(sentence)


def values_of(config):
    """{setting: value}, those of a group as "optimizer.name"."""
    return {name: value for name, value, _ in each(config)}


def defaults_of(config):
    """{setting: its default}, those of a group as "optimizer.name"."""
    return {name: default for name, _, default in each(config)}


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


def each(config):
    """Yield (name, value, default) of every setting; one of a group is named "group.name"."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, Checked):
            for inner in dataclasses.fields(value):
                default = getattr(field.default, inner.name)
                yield f"{field.name}.{inner.name}", getattr(value, inner.name), default
        else:
            yield field.name, value, field.default


def with_open_ones(config, left_open, said):
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


def without_effect(values):
    """The names of settings that change nothing, given the others: a list of (name, name of that which it needs).

    Args:
        values: {setting: value}, as values_of returns them. One that is still open may become anything.
    """
    idle = []
    for name in values:
        group, dot, inner = name.rpartition(".")
        other, holds, _ = NEEDS.get(inner, ("", bool, ""))
        other = f"{group}{dot}{other}"
        if other in values and values[other] not in OPEN and not holds(values[other]):
            idle.append((name, other))
    return idle


def check_effects(config, given):
    """Raise UserError if a setting that was given changes nothing.

    Args:
        config: the settings.
        given: names of the settings that were given.
    """
    values = values_of(config)
    for name, other in without_effect(values):
        if name in given:
            flag, needed = (flag_of(*reversed(which.split("."))) for which in (name, other))
            got = f"{needed} {values[other]}" if values[other] != "" else "it alone"
            needed = f"{needed} {NEEDS[name.rpartition('.')[2]][2]}".strip()
            raise errors.UserError(f"{flag}: must be given with {needed}, else it has no effect; got {got}.")


def check_effect(config, names, holds, needed):
    """Raise UserError if a setting of `names` was given though it changes nothing; on a resume nothing is checked.

    Args:
        config: the settings; what is not the default was given.
        names: of settings without a group.
        holds: whether they have an effect.
        needed: what must be given for that, such as "--level word".
    """
    usual, values = defaults_of(config), values_of(config)
    for name in names:
        if not holds and not config.resume and values[name] not in (usual[name], *OPEN):
            flag = flag_of(name)
            raise errors.UserError(f"{flag}: must be given with {needed}, else it has no effect; got it without.")


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


def _may_be_auto(kind):
    return isinstance(kind, OrAuto) or (isinstance(kind, OneOf) and AUTO in kind.choices)


def _kind(hint):
    """The arguments.Kind of a field's annotation; None if it has none."""
    if get_origin(hint) is Literal:
        return OneOf(*get_args(hint))
    kinds = {bool: arguments.YesOrNo, str: arguments.Text}
    return next((k for k in getattr(hint, "__metadata__", ()) if isinstance(k, arguments.Kind)), kinds.get(hint))
