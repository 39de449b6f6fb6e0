"""Values of a trial's hyperparameters: those that a model draws, and those that an oracle adds."""

import contextlib
import copy
import math

import numpy as np

from keras_dl import records
from keras_dl.waiting import waiting


def defaults():
    """New keras_tuner.HyperParameters, from which every draw gets its default value: the paper's model."""
    import keras_tuner

    return keras_tuner.HyperParameters()


def try_out(compiled, machine):
    """Build the model with default hyperparameters, so that wrong arguments are refused before anything is written.

    Args:
        compiled: compiled(hp) -> a compiled model.
        machine: the machine.Machine.

    Returns:
        The compiled model.

    Raises:
        UserError: the builder or the optimizer refuses an argument, or the model does not fit into memory.
    """
    from keras_dl import errors

    with errors.user_input(), machine.scope(), waiting("building the model ..."):
        return compiled(defaults())


def space_of(compiled, run):
    """The hyperparameters that the model draws, with their defaults, found by building it once."""
    hp = defaults()
    with run.scope(), contextlib.suppress(ValueError):  # trial 0 will report it
        compiled(hp)
    return hp


def hyperparameters_of(values):
    hp = defaults()
    hp.values = dict(values)
    return hp


def plain_values(values):
    """Values as JSON can hold them: NumPy's numbers as Python's, the oracle's trial_id as a number."""
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}
    if "tuner/trial_id" in plain:
        plain["tuner/trial_id"] = int(plain["tuner/trial_id"])
    return plain


def used_by(hp):
    """The values that a model drew from `hp`, and those that Hyperband added (tuner/...)."""
    names = {entry.name for entry in hp.space}
    return {name: value for name, value in hp.values.items() if name in names or name.startswith("tuner/")}


def merge(hp, record):
    """Add the hyperparameters that the model of `record` drew, and their values, to an oracle's `hp`."""
    space = copy.deepcopy(record["space"])  # keras-tuner changes what it reads
    hp.merge(type(hp).from_config({"space": space, "values": {}}), overwrite=False)
    hp.values |= records.drawn(record["values"])


def equal(a, b):
    # A Gaussian process may differ in the last bits on another machine; the journal's value is taken.
    return math.isclose(a, b, rel_tol=1e-6) if isinstance(a, float) and isinstance(b, float) else a == b
