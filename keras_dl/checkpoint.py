"""Checkpoints: one file with the model and what Keras does not save: seed generators, metrics, history, position.

A checkpoint is an uncompressed NPZ of arrays and one JSON text. It is written to a temporary file, flushed and renamed,
so that a kill at any byte leaves the previous checkpoint intact. Two are kept: a file that was damaged later (zip
stores a CRC of every member) is reported and skipped.
"""

import io
import json
import sys
from pathlib import Path

import numpy as np

from keras_dl import atomic, errors, json_files, records
from keras_dl.errors import printable

KEEP = 2  # checkpoints
STATE = "state.json"  # the member with everything that is not an array


def write(folder, epoch, step, arrays, state):
    """Write `arrays` {name: array} and `state` (JSON values) as the newest checkpoint of `folder`.

    Args:
        epoch, step: the position: number of finished epochs, and of steps done in the next.

    Raises:
        OSError: the disk is full or cannot be written; older checkpoints are unchanged.
    """
    folder = Path(folder)
    for torn in folder.glob(".*.tmp"):  # left by a kill
        torn.unlink()
    with atomic.atomic_file(folder / f"{epoch:06d}-{step:09d}.npz") as file:
        write_archive(file, arrays, state)
    for old in _files(folder)[:-KEEP]:
        old.unlink()


def newest(folder, check=None):
    """Read the newest checkpoint that is undamaged and fits; others are reported on stderr and skipped.

    Args:
        folder: the folder of checkpoints.
        check: function of (arrays, state) that raises ValueError if they do not fit the model to be restored.

    Returns:
        (arrays, state); None if there is no checkpoint, or all are damaged.

    Raises:
        errors.UserError: there are undamaged checkpoints, but none of them fits.
    """
    files, unfit = _files(folder), None
    for path in reversed(files):
        before = "the checkpoint before it is used" if path != files[0] else "no checkpoint is left"
        try:
            arrays, state = read_archive(path)
        except (ValueError, OSError) as error:
            end = ": it starts anew" if path == files[0] and unfit is None else ""
            what = " ".join(str(error).split())
            print(printable(f"{path} is damaged ({what}); {before}{end}."), file=sys.stderr)
            continue
        try:
            if check is not None:
                check(arrays, state)
            return arrays, state
        except ValueError as error:
            unfit = unfit or f"{path}: {error}"
            print(printable(f"{path} does not fit ({error}); {before}."), file=sys.stderr)
    if unfit:
        raise errors.UserError(
            f"training.fit: the checkpoint is of another model; nothing was changed ({unfit}). Start a new run, or "
            f"delete {folder} to begin this one anew."
        )
    return None


def variables(model):
    """All variables that change while `model` is trained: weights, seed generators, optimizers, metrics.

    For a model with a train_step of its own, also the tf.Variables and the states of tf.random.Generators among its
    attributes.
    """
    of_optimizers = [variable for optimizer in optimizers(model).values() for variable in optimizer.variables]
    every = [*model.variables, *of_optimizers, *model.metrics_variables, *_tensorflow_variables(model)]
    return list({id(variable): variable for variable in every}.values())


def optimizers(model):
    """All optimizers that train `model`: {name: optimizer}.

    Optimizers of a ModelWithParts have the names of its parts. For other models the compiled optimizer is called "",
    and those among the attributes, or in lists and dictionaries there, have the attribute's name. An optimizer that
    has never been applied is left out: it has no variables but its counter, and trains nothing.
    """
    import keras

    from keras_dl import parts

    if isinstance(model, parts.ModelWithParts):
        return {part.name: part.optimizer for part in model.compiled_parts}
    held = {"": model.optimizer} | dict(_held(vars(model)))
    used = {name: o for name, o in held.items() if isinstance(o, keras.optimizers.Optimizer) and o.built}
    first = {id(optimizer): name for name, optimizer in reversed(used.items())}
    return {name: optimizer for name, optimizer in used.items() if first[id(optimizer)] == name}


def _held(attributes):
    """(name, object) of attributes and, recursively, of items in lists and dictionaries: ("optimizers/critic", ...)."""
    for name, value in attributes.items():
        yield name, value
        if isinstance(value, dict):
            yield from _held({f"{name}/{key}": inner for key, inner in value.items()})
        elif isinstance(value, (list, tuple)):
            yield from _held({f"{name}/{i}": inner for i, inner in enumerate(value)})


def _tensorflow_variables(model):
    from keras_dl import parts

    if parts.has_keras_step(model):
        return []
    import tensorflow as tf

    own = [value for _, value in _held({k: v for k, v in vars(model).items() if not k.startswith("_")})]
    states = [value.state for value in own if isinstance(value, tf.random.Generator)]
    return [*(value for value in own if isinstance(value, tf.Variable)), *states]


def check_sizes(file, size):
    """Raise ValueError if the uncompressed members of an opened NPZ file claim more bytes than the file has."""
    if sum(member.file_size for member in file.zip.infolist()) > size:
        raise ValueError("its members claim more bytes than it has")


def write_archive(file, arrays, state):
    """Write arrays and state into an opened file."""
    text = np.frombuffer(json.dumps(state).encode(), np.uint8)
    np.savez(file, **{STATE: text}, **arrays)


def read_archive(path):
    """(arrays, state) of the file; ValueError or OSError if it is damaged."""
    data = path.read_bytes()
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            check_sizes(file, len(data))
            arrays = {name: file[name] for name in file.files}
            text = arrays.pop(STATE).tobytes()
    except Exception as error:  # a damaged archive fails somewhere inside, in many ways
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return arrays, json_files.parse(text, records.State, STATE)


def _files(folder):
    return sorted(Path(folder).glob("*-*.npz"))
