"""Exports of a model as ONNX or LiteRT, verified by running the file with the format's own runtime."""

import contextlib
import importlib.util
import io

import numpy as np

from keras_dl.errors import UserError
from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf

FORMATS = {"onnx": ("onnx", "tf2onnx", "onnxruntime"), "litert": ()}  # the packages that each needs
TOLERANCE = 1e-4  # of the logits, since other kernels sum in another order; absolute up to 1, relative above


def checked(formats):
    """The formats, sorted and without repetitions.

    Raises:
        UserError: a format is unknown, or a package that it needs is not installed.
    """
    for name in formats:
        if name not in FORMATS:
            raise UserError(f"export.save: no format {name!r}. There are: {', '.join(FORMATS)}.")
        packages = FORMATS[name]
        missing = [package for package in packages if importlib.util.find_spec(package) is None]
        if missing:
            raise UserError(f"export.save: format {name} needs {', '.join(missing)}: pip install 'keras_dl[{name}]'.")
    return sorted(set(formats))


def write(name, model, x, folder):
    """Write an ONNX or LiteRT file and compare its logits, from the format's own runtime, with the model's.

    Args:
        name: "onnx" or "litert".
        model: keras.Model.
        x: tensor (n, ...), a batch of inputs.
        folder: Path of the folder to write to.

    Raises:
        UserError: the LiteRT interpreter does not have all operations of the model.
        RuntimeError: the logits differ by more than TOLERANCE.
    """
    noise = io.StringIO()  # the converters print a lot
    with contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise):
        if name == "onnx":
            path = folder / "model.onnx"
            model.export(str(path), format="onnx", verbose=False)
            run_it = _run_onnx
        else:
            path = folder / "model.tflite"
            model.export(str(path), format="litert", verbose=False)
            run_it = _run_litert
        for size in (len(x), 1):
            wanted = model(x[:size], training=False).numpy()
            got = run_it(path, x[:size].numpy())
            gap = np.max(np.abs(got - wanted) / np.maximum(1, np.abs(wanted)))
            if not gap <= TOLERANCE:
                raise RuntimeError(f"export.save: {path.name} answers otherwise than the model, by {gap:.2g}.")


def _run_onnx(path, x):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def _run_litert(path, x):
    interpreter = tf.lite.Interpreter(str(path))
    given = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(given, x.shape)
    try:
        interpreter.allocate_tensors()
    except RuntimeError as error:
        raise UserError(
            "export.save: this model cannot be converted to LiteRT: the interpreter lacks some of its operations. "
            "Nothing was exported; go on without the format litert."
        ) from error
    interpreter.set_tensor(given, x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
