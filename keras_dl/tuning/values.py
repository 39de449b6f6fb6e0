"""Hyperparameters of a trial: those that a model draws, and those that an oracle adds."""

import contextlib
import copy
import math

import numpy as np

from keras_dl import records


def defaults():
    """Untouched hyperparameters: a space that draws from them gives the paper's model."""
    import keras_tuner

    return keras_tuner.HyperParameters()


def try_out(compiled, machine):
    """The model with default hyperparameters: what does not fit it is said before anything is written.

    Args:
        compiled: compiled(hp) -> a compiled model.
        machine: the machine.Machine.

    Raises:
        UserError: the builder or the optimizer refuses an argument, or the model does not fit into memory.
    """
    from keras_dl import settings

    with settings.user_input(), machine.scope():
        return compiled(defaults())


def space_of(compiled, run):
    """What the model draws by default, found by building it once."""
    hp = defaults()
    with run.scope(), contextlib.suppress(ValueError):  # trial 0 will say what is wrong
        compiled(hp)
    return hp


def hyperparameters_of(values):
    hp = defaults()
    hp.values = dict(values)
    return hp


def plain_values(values):
    """Values as JSON has them; the oracle's names of trials as numbers."""
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}
    if "tuner/trial_id" in plain:
        plain["tuner/trial_id"] = int(plain["tuner/trial_id"])
    return plain


def used_by(hp):
    """The values that a model drew of `hp`, and Hyperband's own."""
    names = {entry.name for entry in hp.space}
    return {name: value for name, value in hp.values.items() if name in names or name.startswith("tuner/")}


def merge(hp, record):
    """Put what the model of `record` drew into an oracle's `hp`, which may not have known of it."""
    space = copy.deepcopy(record["space"])  # keras-tuner puts objects into what it reads
    hp.merge(type(hp).from_config({"space": space, "values": {}}), overwrite=False)
    hp.values |= records.drawn(record["values"])


def equal(a, b):
    # A Gaussian process may differ in the last bits on another machine; the journal's value is taken.
    return math.isclose(a, b, rel_tol=1e-6) if isinstance(a, float) and isinstance(b, float) else a == b
