"""Checks whether a checkpoint fits a model and its callbacks, and restores the state of callbacks.

A complete checkpoint can still have wrong contents: of another model, or edited. All is checked before anything is
assigned.
"""

import numpy as np
import tensorflow as tf

from keras_dl.wording import counted


def check(arrays, state, *, variables, weights, callbacks, steps):
    """Raise ValueError, which names the entry, unless a checkpoint's contents can be restored.

    Args:
        arrays, state: as checkpoint.newest returns them; the state is a records.State.
        variables: all variables of the training, in the order of the arrays variable/0, variable/1, ...
        weights: the model's weights, in the order of the arrays best/0, best/1, ..., those of the best epoch.
        callbacks: Keras callbacks, in their order.
        steps: steps(epoch) -> number of steps of the epoch.
    """
    check_values("variable", variables, numbered(arrays, "variable/"))
    best = numbered(arrays, "best/")
    if best:
        check_values("best", weights, best)
    if (best != []) != (state["best"] is not None):
        raise ValueError("best: a value and weights must both be there, or neither")
    if state["step"] and state["step"] >= steps(state["epoch"]):
        raise ValueError(f"step: must be below {steps(state['epoch'])}; got {state['step']}")
    for name, values in state["history"].items():
        if len(values) != state["epoch"]:
            raise ValueError(f"history.{name}: must have {counted(state['epoch'], 'values')}; it has {len(values)}")
    if len(state["callbacks"]) < len(callbacks):
        raise ValueError(f"callbacks: must be {len(callbacks)}; there are {len(state['callbacks'])}")
    for i, callback in enumerate(callbacks):
        _check_callback_state(callback, state["callbacks"][i], below(arrays, f"callback/{i}/"), f"callbacks[{i}]")


def callback_state(callback):
    """The state of a callback: ({name: JSON value}, {name: array})."""
    state = callback.get_state() if hasattr(callback, "get_state") else _plain(vars(callback))
    arrays = {}
    for name, value in list(state.items()):
        if isinstance(value, np.ndarray):
            arrays[name] = state.pop(name)
        elif isinstance(value, list) and value and all(isinstance(v, np.ndarray) for v in value):
            arrays |= {f"{name}[{i}]": v for i, v in enumerate(state.pop(name))}
    return state, arrays


def _plain(attributes):
    """The attributes of a Keras callback that can be saved: numbers, strings, arrays, lists of arrays."""
    kinds = (bool, int, float, str, type(None), np.ndarray)

    def writable(value):
        return isinstance(value, kinds) or (isinstance(value, list) and all(isinstance(v, np.ndarray) for v in value))

    values = {k: v.item() if isinstance(v, np.generic) else v for k, v in attributes.items()}
    return {name: value for name, value in values.items() if name not in ("_model", "params") and writable(value)}


def set_callback_state(callback, state, arrays):
    """Restore the state that callback_state returned."""
    lists = {}
    for name, value in arrays.items():
        if name.endswith("]"):
            lists.setdefault(name.rpartition("[")[0], []).append(value)
    state = state | {k: v for k, v in arrays.items() if not k.endswith("]")} | lists
    if hasattr(callback, "set_state"):
        callback.set_state(state)
        return
    if hasattr(callback, "_set_monitor_op"):
        # Keras flips min_delta's sign when it sets the operator: let it do so now, and do not restore min_delta.
        # The patience is that of the command line, which may have been raised.
        callback._set_monitor_op()
        state = {name: value for name, value in state.items() if name not in ("min_delta", "monitor_op", "patience")}
    vars(callback).update(state)


def check_values(name, variables, values):
    """Raise ValueError, which names the array, unless `values` can be assigned to `variables`."""
    if len(values) != len(variables):
        raise ValueError(f"{name}: must have {counted(len(variables), 'arrays')}; it has {len(values)}")
    for i, (variable, value) in enumerate(zip(variables, values, strict=True)):
        wanted = tuple(variable.shape), np.dtype(tf.as_dtype(variable.dtype).as_numpy_dtype)
        # NumPy saves bfloat16 as raw bytes: both are of kind "V".
        same = value.dtype == wanted[1] or value.dtype.kind == wanted[1].kind == "V"
        if value.shape != wanted[0] or not same:
            raise ValueError(f"{name}/{i}: must be {wanted[1]} {wanted[0]}; it is {value.dtype} {value.shape}")


def _check_callback_state(callback, state, arrays, who):
    """Raise ValueError if a saved value has another type than the callback's current one, or is missing."""
    for name, value in callback_state(callback)[0].items():
        saved = state.get(name)
        if name not in state:  # attributes of a Keras callback are saved only while they have a type that can be saved
            if hasattr(callback, "get_state") and not any(key.partition("[")[0] == name for key in arrays):
                raise ValueError(f"{who}.{name}: is missing")
        elif value is not None and saved is not None and _kind(saved) != _kind(value):
            raise ValueError(f"{who}.{name}: must be a {_kind(value).__name__}; it is a {_kind(saved).__name__}")


def _kind(value):
    return float if isinstance(value, int) and not isinstance(value, bool) else type(value)


def below(arrays, prefix):
    """The arrays whose names begin with `prefix`, by the rest of their names."""
    return {name[len(prefix) :]: value for name, value in arrays.items() if name.startswith(prefix)}


def numbered(arrays, prefix):
    """The list of the arrays prefix0, prefix1, ...; ValueError if one in between is missing."""
    count = sum(name.startswith(prefix) for name in arrays)
    missing = [f"{prefix}{i}" for i in range(count) if f"{prefix}{i}" not in arrays]
    if missing:
        raise ValueError(f"{missing[0]}: is missing")
    return [arrays[f"{prefix}{i}"] for i in range(count)]
