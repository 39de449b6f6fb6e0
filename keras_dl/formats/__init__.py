"""Exports as ONNX or LiteRT files, verified by running the file with the format's own runtime.

A file carries an endpoints.Portable: named inputs and outputs that are numbers, with the steps before and after the
model that the format can express. Its metadata say the rest: classes, pre-processing, and what its user must do.
"""

import importlib.util
import tempfile
from pathlib import Path

import numpy as np

from keras_dl.errors import UserError
from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf

PACKAGES = {"onnx": ("onnx", "tf2onnx", "onnxruntime"), "litert": ()}  # that each format needs
FILES = {"onnx": "model.onnx", "litert": "model.tflite"}
TOLERANCE = 1e-4  # of the answers, since other kernels sum in another order; absolute up to 1, relative above


def checked(formats):
    """The formats, sorted and without repetitions.

    Raises:
        UserError: a format is unknown, or a package that it needs is not installed.
    """
    for name in formats:
        if name not in PACKAGES:
            raise UserError(f"export.save: no format {name!r}. There are: {', '.join(PACKAGES)}.")
        packages = PACKAGES[name]
        missing = [package for package in packages if importlib.util.find_spec(package) is None]
        if missing:
            raise UserError(f"export.save: format {name} needs {', '.join(missing)}: pip install 'keras_dl[{name}]'.")
    return sorted(set(formats))


def portable_of(endpoints, formats):
    """The Portable of the first of the endpoints that has one.

    Raises:
        UserError: none has one; the message has the endpoints' reason.
    """
    for endpoint in endpoints.values():
        if not isinstance(endpoint.portable, str):
            return endpoint.portable
    reason = next(iter(endpoints.values())).portable
    raise UserError(f"export.save: {' and '.join(formats)}: {reason}. Go on without --formats.")


def try_out(formats, endpoints_of, model):
    """Write the formats of an untrained model into a temporary folder, so that a refusal comes before the training.

    Args:
        formats: names of formats; if there are none, nothing is done.
        endpoints_of: function of the model that returns its endpoints.
        model: keras.Model.

    Raises:
        UserError: as `checked`, `portable_of` and `write`.
    """
    if names := checked(formats):
        with tempfile.TemporaryDirectory() as folder:
            write(names, endpoints_of(model), model, {}, Path(folder))


def write(formats, endpoints, model, about, folder):
    """Write the files of the formats, and compare what they answer, in the formats' own runtimes.

    Args:
        formats: as `checked` returns them.
        endpoints: {name: Endpoint}.
        model: keras.Model, whose variables the endpoints use.
        about: {name: JSON value} for the files' metadata, besides the Portable's own.
        folder: Path of the folder to write to.

    Raises:
        UserError: the endpoints have no Portable, the model computes in half precision, or the LiteRT interpreter does
            not have all operations of it.
        RuntimeError: an answer differs by more than TOLERANCE.
    """
    from keras_dl.formats import litert, onnx_files

    if not formats:
        return
    portable = portable_of(endpoints, formats)
    _check_precision(model, formats)
    about = {**about, **portable.about, **_tensors(portable)}
    rooms = {"onnx": onnx_files, "litert": litert}
    for name in formats:
        path = folder / FILES[name]
        rooms[name].write(portable, model, about, path)
        compare(path, portable, endpoints, rooms[name].answers)


def _check_precision(model, formats):
    half = next((layer for layer in model.layers if layer.compute_dtype in ("float16", "bfloat16")), None)
    if half is not None:
        raise UserError(
            f"export.save: {' and '.join(formats)}: the model must compute in float32; got {half.dtype_policy.name}. "
            "Take --precision float32, or go on without --formats."
        )


def compare(path, portable, endpoints, answers):
    """Compare what a file answers with the Portable's function, and with endpoints of the same inputs and outputs.

    Args:
        path: Path of the file.
        answers: function (path, {input: array}) -> {output: array}.

    Raises:
        RuntimeError: they differ by more than TOLERANCE.
    """
    examples = portable.example()
    served = [e.function for e in endpoints.values() if e.inputs.keys() == portable.inputs.keys()]
    for size in dict.fromkeys((max(len(value) for value in examples.values()), 1)):
        given = {name: np.asarray(value[:size]) for name, value in examples.items()}
        got = answers(path, given)
        for function in (portable.function, *served):
            wanted = function(**{name: tf.constant(value) for name, value in given.items()})
            for name in portable.outputs.keys() & wanted.keys():
                value = wanted[name].numpy()
                gap = np.max(np.abs(got[name] - value) / np.maximum(1, np.abs(value)), initial=0)
                if not gap <= TOLERANCE:
                    raise RuntimeError(
                        f"export.save: {path.name} answers otherwise than the SavedModel: {name}, by {gap:.2g}."
                    )


def _tensors(portable):
    """{"inputs", "outputs": {name: {"dtype", "shape"}}} for the metadata; null is any size."""
    return {
        way: {name: {"dtype": feature.dtype, "shape": list(feature.shape)} for name, feature in features.items()}
        for way, features in (("inputs", portable.inputs), ("outputs", portable.outputs))
    }


def programs(folder, endpoints, formats):
    """{format: program that uses its file}, for the card of the export in `folder`."""
    from keras_dl.formats import snippets

    return snippets.of(folder, portable_of(endpoints, formats), formats) if formats else {}
