"""LiteRT files (.tflite): written and run with what TensorFlow has. Metadata stand in a zip archive at the file's end.

The archive is the convention of TensorFlow Lite for files that belong to a model: the interpreter does not see it, and
any program that reads zip files does. It has metadata.json, and labels.txt if there are classes, one a line.
"""

import json
import tempfile
import zipfile

from keras_dl.errors import UserError
from keras_dl.formats.noise import quiet
from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import tensorflow as tf

SIGNATURE = "serving_default"
METADATA, LABELS = "metadata.json", "labels.txt"
LACKS = (
    "export.save: this model cannot be converted to LiteRT: the interpreter lacks some of its operations. "
    "Nothing was exported; go on without the format litert."
)


def write(portable, model, about, path):
    """Write a Portable as a LiteRT file with one signature, of the Portable's names.

    Args:
        portable: endpoints.Portable.
        model: keras.Model, whose variables the Portable uses.
        about: {name: JSON value}, the metadata.
        path: Path of the file.

    Raises:
        UserError: LiteRT does not have all operations of it.
    """
    names = list(portable.inputs)
    with tempfile.TemporaryDirectory() as folder, quiet():
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint(
            SIGNATURE,
            lambda *tensors: portable.function(**dict(zip(names, tensors, strict=True))),
            portable.specs(),
        )
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        try:
            content = converter.convert()
        except Exception as error:  # the converter's class of errors is private
            if type(error).__name__ != "ConverterError":
                raise
            raise UserError(LACKS) from error
    path.write_bytes(content)
    with zipfile.ZipFile(path, "a") as archive:
        _add(archive, METADATA, json.dumps(about, indent=2, ensure_ascii=False))
        if "classes" in about:
            _add(archive, LABELS, "".join(f"{' '.join(name.split())}\n" for name in about["classes"]))


def metadata(path):
    """{name: JSON value} of a file."""
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(METADATA))


def answers(path, given):
    """{output: array} of a request {input: array}, by the interpreter.

    Raises:
        UserError: the interpreter lacks an operation.
    """
    with quiet():
        try:
            return tf.lite.Interpreter(str(path)).get_signature_runner(SIGNATURE)(**given)
        except RuntimeError as error:
            if "not supported by this interpreter" not in str(error):
                raise
            raise UserError(LACKS) from error


def _add(archive, name, text):
    """Add a file with a fixed date, so that equal exports are equal files."""
    archive.writestr(zipfile.ZipInfo(name), text.encode("utf-8", "backslashreplace"))
