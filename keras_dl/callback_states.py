"""What of a Keras callback a checkpoint holds: its numbers and texts as JSON, its arrays beside them."""

import numpy as np


def state_of(callback):
    """(JSON values, arrays) of a callback."""
    state = callback.get_state() if hasattr(callback, "get_state") else _plain(vars(callback))
    arrays = {}
    for name, value in list(state.items()):
        if isinstance(value, np.ndarray):
            arrays[name] = state.pop(name)
        elif isinstance(value, list) and value and all(isinstance(v, np.ndarray) for v in value):
            arrays |= {f"{name}[{i}]": v for i, v in enumerate(state.pop(name))}
    return state, arrays


def put_back(callback, state, arrays):
    """Give a callback the state that `state_of` returned."""
    lists = {}
    for name, value in arrays.items():
        if name.endswith("]"):
            lists.setdefault(name.rpartition("[")[0], []).append(value)
    state = state | {k: v for k, v in arrays.items() if not k.endswith("]")} | lists
    if hasattr(callback, "set_state"):
        callback.set_state(state)
        return
    if hasattr(callback, "_set_monitor_op"):
        # Keras turns min_delta's sign when it first needs the operator: do that now, and leave min_delta alone.
        callback._set_monitor_op()
        state = {name: value for name, value in state.items() if name not in ("min_delta", "monitor_op")}
    vars(callback).update(state)


def _plain(attributes):
    """What can be written of a Keras callback: its numbers, texts and lists of arrays (EarlyStopping's weights)."""
    kinds = (bool, int, float, str, type(None), np.ndarray)

    def writable(value):
        return isinstance(value, kinds) or (isinstance(value, list) and all(isinstance(v, np.ndarray) for v in value))

    values = {k: v.item() if isinstance(v, np.generic) else v for k, v in attributes.items()}
    return {name: value for name, value in values.items() if name not in ("_model", "params") and writable(value)}
