"""Settings that fit a user's own data: epochs, batch size, learning rate, regularisation, worked out from its size.

    config = own_data.fitted(config, hardware, splits, own_data.PICTURES)

A published set has a recipe, the defaults of the app. Of a user's own files nobody knows how many epochs they need: 180
pictures in batches of 64 have three steps an epoch, and 20 epochs of them are 60 updates, far too few. A Rule therefore
says how many *updates* a kind of task needs, and epochs, batch size and patience follow from the data's size. What it
chooses is printed in one sentence, noted in the run's config.json and in the card under "chosen", and read again, not
worked out again, by --resume. A flag that is given always wins, and what depends on it is worked out from it.

What was measured stands beside each rule: on validation splits, or on data of the same kind that
benchmarks/own_data.py does not test on. Numbers of which nothing is said there are choices.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from keras_dl import command_line, settings
from keras_dl.arguments import AUTO, OPEN
from keras_dl.wording import counted

# The settings that are worked out from a user's own data unless they are given, for command_line.parse; an app has
# some of them.
SETTINGS = (
    "model", "image_size", "levels", "augment", "optimizer.name", "optimizer.learning_rate", "optimizer.schedule",
    "optimizer.weight_decay", "batch_size", "batch_tokens", "epochs", "trials", "keep", "patience",
)  # fmt: skip
OF_AN_OPTIMIZER = ("optimizer.learning_rate", "optimizer.weight_decay")  # are chosen for one optimizer alone


@dataclasses.dataclass(frozen=True)
class Rule:
    """How settings follow from the data, for one kind of task.

    Attributes:
        unit: what the examples are called in the sentence, such as "pictures".
        size: size(splits, config) -> the size of the training split, in the unit of `batch`.
        batch: the setting that says how much a step has of it: "batch_size" or "batch_tokens".
        batches: (least, most) of that setting.
        steps: steps that an epoch should have, if the least batch allows.
        few: the size for which the least number of updates was measured.
        updates: (least, most) number of updates. In between it grows with the square root of the size: more data can
            be trained on for longer before the model knows them by heart, but each example is seen less often.
        settings: {setting: value} whatever the size.
        arguments: {model: {argument of its builder: value}}. They are set only if there is no search, which would try
            other values of them.
        stop: patience as a share of the epochs.
        judges: the least number of validation examples by which the best epoch is told. With fewer, all epochs are
            trained, and the last one's weights are kept.
        ranks: the least number of validation examples by which trials of a search can be ranked. With fewer there is no
            search: its time is better spent on the training.
        further: further(choice, splits) -> ({setting: value}, [reason]), what depends on the data in another way.
        of_model: {model: {setting: value}}, what some of the models need instead of `settings`.
        batches_a_step: batches_a_step(config) -> how many batches a step takes, as one of several steps of a critic.
    """

    unit: str
    size: Callable
    batch: str
    batches: tuple
    steps: int
    few: float
    updates: tuple
    settings: dict
    arguments: dict
    stop: float
    judges: int
    ranks: int
    further: Callable = lambda choice, splits: ({}, [])
    of_model: dict = dataclasses.field(default_factory=dict)
    batches_a_step: Callable = lambda config: 1

    def batch_of(self, size):
        """The largest power of two with which an epoch has `steps` steps, within `batches`."""
        least, most = self.batches
        return min(most, max(least, 2 ** math.floor(math.log2(max(1.0, size / self.steps)))))

    def updates_of(self, size):
        """The number of updates for a training split of `size`."""
        least, most = self.updates
        return round(min(most, max(least, least * math.sqrt(size / self.few))))

    def epochs_of(self, size, batch):
        """The number of epochs that have at least so many updates; an epoch of less than a batch is one update."""
        return max(1, math.ceil(self.updates_of(size) * batch / max(size, batch)))


def fitted(config, hardware, splits, rule):
    """The settings with a value for everything that the command line left open.

    For a named data set these are the defaults of the app, except where the user wrote "auto". For the user's own data,
    and for "auto", they are those of the rule. On a resume nothing is left open: all settings are the run's.

    Args:
        config: the settings.Training that command_line.parse returned; what was not given is None.
        hardware: the machine.Machine. Its `settings` become the result, so that the run is made with them, and its
            `chosen` what the rule chose, {"sentence", "values"}, which runs.start notes and prints.
        splits: data.Splits.
        rule: the Rule of this kind of task.

    Returns:
        The completed settings, of the same class.
    """
    chosen = None
    if not config.resume:
        config, chosen = _completed(config, splits, rule)
        config.validate()
        usual = settings.values_of(dataclasses.replace(type(config)(), smoke=config.smoke).shortened())
        given = [name for name, value in settings.values_of(config).items() if value != usual[name]]
        settings.check_effects(config, given)  # beside what was chosen
    hardware.settings, hardware.chosen = config, chosen
    return config


def _completed(config, splits, rule):
    """(the settings without None, what the rule chose of them or None)."""
    asked, recipe = settings.values_of(config), settings.defaults_of(config)
    left_open = [name for name in SETTINGS if name in asked and asked[name] in OPEN]
    of_rule = [name for name in left_open if splits.info.own or (asked[name] == AUTO and recipe[name] != AUTO)]
    if "optimizer.name" in of_rule:  # with which its rate comes, since that of the recipe is another optimizer's
        of_rule = [name for name in left_open if name in (*of_rule, *OF_AN_OPTIMIZER)]
    config = settings.replaced(config, {name: recipe[name] for name in left_open})
    if not of_rule:
        return config.shortened(), None
    choice = _Choice(config, of_rule)
    reasons = _choose(choice, splits, rule)
    rest = [name for name in of_rule if name not in choice.values]  # the rule has no better value than the recipe
    choice.choose({name: recipe[name] for name in rest if recipe[name] != AUTO})
    short = choice.config.shortened()
    values = choice.values | {name: value for name, value in settings.values_of(short).items() if name in choice.values}
    values |= {"set": choice.arguments} if choice.arguments else {}
    return short, {"sentence": _sentence(splits, rule, values, reasons), "values": values}


class _Choice:
    """Settings of which some are still to be chosen.

    Attributes:
        config: the settings, with what was chosen so far.
        values: {setting: value}, what was chosen.
        arguments: {argument of the builder: value}, what was chosen.
    """

    def __init__(self, config, left_open):
        self.config, self.left_open, self.values, self.arguments = config, left_open, {}, {}

    def choose(self, values):
        """Take those of `values`, {setting: value}, that are left open."""
        values = {name: value for name, value in values.items() if name in self.left_open}
        self.values |= values
        self.config = settings.replaced(self.config, values)

    def choose_arguments(self, values):
        """Take those of `values`, {argument of the builder: value}, that --set does not name."""
        named = {pair.partition("=")[0] for pair in self.config.set}
        self.arguments = {name: value for name, value in values.items() if name not in named}
        self.config = dataclasses.replace(self.config, set=command_line.with_arguments(self.config.set, self.arguments))


def _choose(choice, splits, rule):
    """Make all choices of a rule; returns the reasons, a list of phrases."""
    further, reasons = rule.further(choice, splits)
    choice.choose({"model": rule.settings.get("model")})
    fixed = rule.settings | rule.of_model.get(choice.config.model, {}) | further
    asked = choice.config.optimizer.name
    if "optimizer.name" not in choice.left_open and asked != fixed.get("optimizer.name"):
        fixed = {name: value for name, value in fixed.items() if name not in OF_AN_OPTIMIZER}
    if choice.config.reduce_on_plateau:
        fixed["optimizer.schedule"] = "constant"  # the only one whose rate it can halve
    choice.choose(fixed)

    size, judged = rule.size(splits, choice.config), len(splits.validation)
    times = rule.batches_a_step(choice.config)
    choice.choose({rule.batch: rule.batch_of(size / times)})
    of_a_step = getattr(choice.config, rule.batch) * times
    steps = math.ceil(size / of_a_step)
    choice.choose({"epochs": rule.epochs_of(size, of_a_step)})
    updates = steps * choice.config.shortened().epochs
    reasons = [f"about {counted(steps, 'steps')} an epoch, {counted(updates, 'updates')} in all", *reasons]

    averages = choice.config.average_last > 0  # the last epochs, whichever is the best
    told = judged >= rule.judges and not averages
    choice.choose({"keep": "best" if told else "last"})
    stops = told and choice.config.keep == "best"
    choice.choose({"patience": math.ceil(rule.stop * choice.config.epochs) if stops else 0})
    if "keep" in choice.values and not (told or averages):
        reasons.append(f"the best epoch cannot be told by {counted(judged, f'validation {rule.unit}')}")
    if judged < rule.ranks:
        choice.choose({"trials": 0})
        if "trials" in choice.values:
            reasons.append(f"the trials of a search cannot be ranked by {counted(judged, f'validation {rule.unit}')}")
    else:
        choice.choose({"trials": settings.defaults_of(choice.config)["trials"]})
    if splits.info.own and not choice.config.trials:
        choice.choose_arguments(rule.arguments.get(choice.config.model, {}))
    return reasons


def _sentence(splits, rule, values, reasons):
    """What was chosen, as flags, and why."""
    classes = f" of {counted(splits.info.num_classes, 'classes')}" if splits.info.num_classes else ""
    words = []
    for name, value in values.items():
        if name == "set":
            words += [f"--set {pair}" for pair in command_line.with_arguments((), value)]
        else:
            words.append(f"{settings.flag_of(*reversed(name.split('.')))} {value}")
    why = "; ".join(reasons)
    examples = counted(len(splits.train), f"training {rule.unit}")
    return f"Chosen for {examples}{classes}: {' '.join(words)} ({why}). Any flag wins."


def _of_pictures(choice, splits):
    """Pictures are cropped at random; they are mirrored too if the training pictures allow it (data.mirroring)."""
    from keras_dl.data import mirroring

    images, labels = (splits.train.features[name] for name in ("image", "label"))
    values = {"image_size": images.shape[1]}
    if "augment" not in choice.left_open or not splits.info.details["flip"]:
        return values | {"augment": "crop"}, []
    mirrors, why = mirroring.keeps_classes(images, labels, choice.config.seed)
    return values | {"augment": "crop_flip" if mirrors else "crop"}, [why]


def _of_levels(choice, splits):
    """Pictures that are nearly black and white have 2 levels, others 256 (data.levels.load)."""
    levels = splits.info.details["levels"]
    values = {"image_size": splits.train.features["image"].shape[1], "levels": levels}
    if "levels" not in choice.left_open:
        return values, []
    bits = choice.config.binarization
    why = "nearly all pixels are black or white" if levels == 2 else "many pixels are neither black nor white"
    return values, [why if bits == "threshold" else f"--binarization {bits} is of 2 levels"]


def _adam(learning_rate):
    """Adam with a one-cycle schedule, without decay of the weights."""
    return {
        "optimizer.name": "adam",
        "optimizer.learning_rate": learning_rate,
        "optimizer.schedule": "onecycle",
        "optimizer.weight_decay": 0.0,
    }


def _windows(splits, config):
    return len(splits.train) / config.sequence_length


def _windows_of_sound(splits, config):
    return int(np.ceil(splits.train.features["audio"].lengths / config.window).sum())


def _sub_words(splits, config):
    """Sub-words of the longer sides of the pairs, each with its end."""
    lengths = [splits.train.features[side].lengths for side in ("source", "target")]
    return int((np.maximum(*lengths) + 1).sum())


# Measured on five classes of CIFAR-10 (dog, frog, horse, ship, truck) with 100 pictures each, as a folder, on 1,000
# test pictures: 78.8 % after 2,088 updates with a weight decay of 0.001, 79.6 % with 0.003, 77.3 % with 0.01; after
# 5,800 updates 82.4 % with 0.001 and 83.2 % with 0.003. Erasing squares of half the side as well changes nothing (82.4,
# with 0.001), so it is not offered. 5,000 updates are taken, some four minutes of two free cores at 32 pixels a side.
# Of 500 validation pictures, an accuracy of 80 % has a standard error of 1.8 points, of 1,000 pictures 1.3.
PICTURES = Rule(
    unit="pictures",
    size=lambda splits, config: len(splits.train),
    batch="batch_size",
    batches=(16, 64),
    steps=16,
    few=500,
    updates=(5000, 20_000),
    settings={"model": "resnet_cifar"} | _adam(1e-3),
    arguments={"resnet_cifar": {"depth": 14}},
    stop=0.5,
    judges=500,
    ranks=1000,
    further=_of_pictures,
    of_model=dict.fromkeys(
        ("resnet_cifar", "resnet"),
        {"optimizer.name": "nesterov", "optimizer.learning_rate": 0.05, "optimizer.weight_decay": 3e-3},
    ),  # too much for networks without batch normalisation
)

# Measured on the embedded digits, 1,294 pictures in batches of 64, Fréchet distance in classifier features of 142
# samples to the validation split (training pictures: 33): with a learning rate of 0.0005 and a dropout of 0.3 in the
# discriminator 58, 48 and 45 after 500, 1,000 and 1,500 updates; with 0.0002 and no dropout 60 and 52, and never below
# 49 in 2,500. The distance by which epochs are compared needs more validation pictures than the classifier has
# features, 64.
ADVERSARIAL = Rule(
    unit="pictures",
    size=lambda splits, config: len(splits.train),
    batch="batch_size",
    batches=(16, 64),
    steps=16,
    few=1000,
    updates=(3000, 30_000),
    settings={
        "model": "dcgan",
        "optimizer.name": "adam",
        "optimizer.learning_rate": 5e-4,
        "optimizer.schedule": "constant",
        "optimizer.weight_decay": 0.0,
    },
    arguments={},
    stop=0.5,
    judges=65,
    ranks=1000,
    further=lambda choice, splits: ({"image_size": splits.train.features["image"].shape[1]}, []),
)

# Measured on 20 chorales that benchmarks/own_data.py does not use, nats a time step of 20 others: 9.35 with the
# defaults for named sets, batches of 4 and patience; with 144 units and a one-cycle schedule 7.77 (dropout 0.5, rate
# 0.005, 670 updates), 6.63 (dropout 0.25, rate 0.01, 450 updates), 6.68 (the same, 900 updates). The GRU, with about as
# many weights, was not measured.
MUSIC = Rule(
    unit="pieces",
    size=lambda splits, config: len(splits.train),
    batch="batch_size",
    batches=(4, 16),
    steps=5,
    few=20,
    updates=(500, 20_000),
    settings=_adam(1e-2),
    arguments={
        "lstm": {"units": (144,), "dropout": 0.25, "peephole": False},
        "gru": {"units": (184,), "dropout": 0.25},
    },
    stop=0.3,
    judges=1,
    ranks=50,
)

# Measured on 60,000 characters of Python's standard library: the validation text has 2.52 nats a character after 170
# updates, 0.96 after 840 and 0.887 from 1,180 to 1,512; another file of the library has 2.225 with a dropout of 0.3,
# 2.119 with 0.5. That a GRU needs as much was not measured.
TEXT = Rule(
    unit="tokens",
    size=_windows,
    batch="batch_size",
    batches=(1, 64),
    steps=50,
    few=1000,
    updates=(1500, 50_000),
    settings=_adam(4e-3),
    arguments={"lstm": {"dropout": 0.5}, "gru": {"dropout": 0.5}},
    stop=0.3,
    judges=1000,
    ranks=100_000,
)

# Measured on 400 pairs of a grammar with words that benchmarks/own_data.py does not use: 200 other sentences have a
# BLEU of 100 after 1,040 updates in about a minute of two cores; the defaults for dates make 20
# updates of them.
PAIRS = Rule(
    unit="pairs",
    size=_sub_words,
    batch="batch_tokens",
    batches=(256, 1024),
    steps=16,
    few=5000,
    updates=(1000, 50_000),
    settings=_adam(2e-3),
    arguments={},
    stop=0.3,
    judges=10,
    ranks=2000,
)

# Measured on 1,295 binary digits of 28 x 28 pixels in batches of 64, nats an image of 142 validation pictures: 64.9
# after 336 of 840 updates, 63.1 after 588 of 630. Of 16 x 16 pixels a network with more than twice as many weights is
# best after 315 updates (36.4 nats), and knows the training pictures by heart after 500 (36.8; 31.0 in training). How
# the number should grow with the data was not measured.
DENSITIES = Rule(
    unit="pictures",
    size=lambda splits, config: len(splits.train),
    batch="batch_size",
    batches=(16, 64),
    steps=16,
    few=500,
    updates=(500, 20_000),
    settings={
        "optimizer.name": "adam",
        "optimizer.learning_rate": 4e-3,
        "optimizer.schedule": "cosine",
        "optimizer.weight_decay": 0.0,
    },
    arguments={},
    stop=0.3,
    judges=20,
    ranks=100,
    further=_of_levels,
)

# Nothing of it was measured on a user's own data: the numbers are those that serve for the digits.
AUTOENCODERS = Rule(
    unit="pictures",
    size=lambda splits, config: len(splits.train),
    batch="batch_size",
    batches=(16, 100),
    steps=16,
    few=500,
    updates=(2000, 50_000),
    settings=_adam(1e-3),
    arguments={},
    stop=0.3,
    judges=20,
    ranks=100,
    further=_of_levels,
)

# Nothing of it was measured on a user's own data: the numbers are those that serve for the embedded sounds.
SOUNDS = Rule(
    unit="recordings",
    size=_windows_of_sound,
    batch="batch_size",
    batches=(2, 8),
    steps=50,
    few=300,
    updates=(2000, 20_000),
    settings={
        "optimizer.name": "adam",
        "optimizer.learning_rate": 4e-3,
        "optimizer.schedule": "cosine",
        "optimizer.weight_decay": 0.0,
    },
    arguments={},
    stop=0.3,
    judges=5,
    ranks=50,
)

# Nothing of it was measured on a user's own data: the numbers are those that serve for the embedded shapes.
MASKS = Rule(
    unit="pairs",
    size=lambda splits, config: len(splits.train),
    batch="batch_size",
    batches=(2, 16),
    steps=30,
    few=300,
    updates=(800, 20_000),
    settings={
        "optimizer.name": "adam",
        "optimizer.learning_rate": 3e-3,
        "optimizer.schedule": "cosine",
        "optimizer.weight_decay": 0.0,
        "augment": "shift",
    },
    arguments={},
    stop=0.3,
    judges=5,
    ranks=50,
    further=lambda choice, splits: ({"image_size": max(splits.train.features["mask"].shape[1:])}, []),
)
