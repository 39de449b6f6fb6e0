"""One file that holds what Keras forgets: seed generators, metrics, callbacks, history, position.

A checkpoint is an uncompressed NPZ of arrays and one JSON text, written aside, flushed and renamed, so that a kill at
any byte leaves the one before it. Two are kept: a file that was damaged later (zip stores a CRC of every member) is
passed over with a line.
"""

import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np

from keras_dl import runtime

KEEP = 2
STATE = "state.json"  # the member with everything that is not an array


def write(folder, epoch, step, arrays, state):
    """Write `arrays` {name: array} and `state` (JSON values) as the newest checkpoint of `folder`.

    Args:
        epoch, step: position: finished epochs, and steps done of the next.

    Raises:
        OSError: the disk is full or cannot be written; the older checkpoints stand.
    """
    folder = Path(folder)
    for torn in folder.glob(".*.tmp"):  # by a kill
        torn.unlink()
    with runtime.atomic_file(folder / f"{epoch:06d}-{step:09d}.npz") as file:
        _save(file, arrays, state)
    for old in _found(folder)[:-KEEP]:
        old.unlink()


def newest(folder):
    """(arrays, state) of the newest whole checkpoint, or None; a damaged one is named and passed over."""
    found = _found(folder)
    for path in reversed(found):
        try:
            return _load(path)
        except (zipfile.BadZipFile, ValueError, KeyError, EOFError, OSError) as error:
            rest = "no checkpoint is left: it starts anew" if path == found[0] else "the checkpoint before it is used"
            print(f"{path} is damaged ({error}); {rest}.", file=sys.stderr)
    return None


def variables(model):
    """Every variable that moves while `model` is trained: weights, seed generators, optimizers, metrics."""
    return [*model.variables, *(v for o in optimizers(model) for v in o.variables), *model.metrics_variables]


def optimizers(model):
    """All optimizers of `model`: the compiled one, and those that a model with its own train_step holds."""
    import keras

    held = [model.optimizer, *(v for v in vars(model).values())]
    found = [o for o in held if isinstance(o, keras.optimizers.Optimizer)]
    return list({id(o): o for o in found}.values())


def _save(file, arrays, state):
    text = np.frombuffer(json.dumps(state).encode(), np.uint8)
    np.savez(file, **{STATE: text}, **arrays)


def _load(path):
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    state = json.loads(arrays.pop(STATE).tobytes())
    return arrays, state


def _found(folder):
    return sorted(Path(folder).glob("*-*.npz"))
