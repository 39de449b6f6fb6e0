"""One file that holds what Keras forgets: seed generators, metrics, callbacks, history, position.

A checkpoint is an uncompressed NPZ of arrays and one JSON text, written aside, flushed and renamed, so that a kill at
any byte leaves the one before it. Two are kept: a file that was damaged later (zip stores a CRC of every member) is
passed over with a line.
"""

import io
import json
import sys
from pathlib import Path

import numpy as np

from keras_dl import atomic, errors, records
from keras_dl.errors import printable

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
    with atomic.atomic_file(folder / f"{epoch:06d}-{step:09d}.npz") as file:
        write_archive(file, arrays, state)
    for old in _files(folder)[:-KEEP]:
        old.unlink()


def newest(folder, check=None):
    """(arrays, state) of the newest checkpoint that is whole and fits; others are named and passed over.

    Args:
        check: function of (arrays, state) that raises ValueError where they do not fit what is to be restored.

    Returns:
        None where there is no checkpoint, or all are damaged.

    Raises:
        errors.UserError: some are whole, and none of them fits.
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
    """Every variable that moves while `model` is trained: weights, seed generators, optimizers, metrics; and those of
    TensorFlow's own (tf.Variable, tf.random.Generator) among the attributes of a model with a train_step of its own."""
    of_optimizers = [variable for optimizer in optimizers(model).values() for variable in optimizer.variables]
    every = [*model.variables, *of_optimizers, *model.metrics_variables, *_tensorflow_variables(model)]
    return list({id(variable): variable for variable in every}.values())


def optimizers(model):
    """{name: optimizer} of all that train `model`: its parts' by the part, the compiled one as "", and those among its
    attributes, and in their lists and dictionaries, by the attribute.

    An optimizer that no step has applied has no variables but its counter, and is left out: it trains nothing.
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
    """(name, object) of attributes, and of what their lists and dictionaries hold: ("optimizers/critic", ...)."""
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
    """Raise ValueError where the members of an opened NPZ file, which are not compressed, claim more than its bytes."""
    if sum(member.file_size for member in file.zip.infolist()) > size:
        raise ValueError("its members claim more bytes than it has")


def write_archive(file, arrays, state):
    """Write the two into an opened file."""
    text = np.frombuffer(json.dumps(state).encode(), np.uint8)
    np.savez(file, **{STATE: text}, **arrays)


def read_archive(path):
    """(arrays, state) of the file; ValueError or OSError where it is damaged."""
    data = path.read_bytes()
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            check_sizes(file, len(data))
            arrays = {name: file[name] for name in file.files}
            text = arrays.pop(STATE).tobytes()
    except Exception as error:  # a damaged archive fails somewhere inside, in many ways
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return arrays, records.parse(text, records.State, STATE)


def _files(folder):
    return sorted(Path(folder).glob("*-*.npz"))
