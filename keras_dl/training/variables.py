"""Reading and assigning the values of variables, and a model's learning rates."""

import keras

from keras_dl import checkpoint as checkpoints
from keras_dl.optimizers import rate_factors


def learning_rates(model):
    """{"learning_rate": float}; with several optimizers {"learning_rate/<part>": float}, in the order of the parts.

    If an optimizer trains some variables at a share of its rate, that rate is listed too, as "<name>/taken_over".
    """
    optimizers = {}
    for name, optimizer in checkpoints.optimizers(model).items():
        several = getattr(optimizer, "optimizers", None)  # keras.optimizers.MultiOptimizer
        optimizers |= {name: optimizer} if several is None else {f"{name}{i}": o for i, o in enumerate(several)}
    rates = {name: float(keras.ops.convert_to_numpy(o.learning_rate)) for name, o in optimizers.items()}
    listed = {}
    for name, rate in rates.items():
        key = "learning_rate" if len(rates) == 1 else f"learning_rate/{name or 'optimizer'}"
        listed[key] = rate
        lower = [factor for factor in rate_factors(optimizers[name]) if factor != 1]
        listed |= {f"{key}/taken_over": rate * min(lower)} if lower else {}
    return listed


def values_of(variables):
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def assign(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def floats(logs):
    return {name: float(value) for name, value in logs.items()}
