"""ONNX files: written with tf2onnx, run with onnxruntime. Metadata are JSON values in metadata_props."""

import json

from keras_dl.formats.noise import quiet
from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf

OPSET = 18


def write(portable, model, about, path):
    """Write a Portable as an ONNX file; its inputs and outputs have the Portable's names.

    Args:
        portable: endpoints.Portable.
        model: not needed, the file holds its weights as constants.
        about: {name: JSON value}, the metadata.
        path: Path of the file.
    """
    import onnx
    import tf2onnx

    names = list(portable.inputs)
    function = tf.function(
        lambda *tensors: portable.function(**dict(zip(names, tensors, strict=True))), autograph=False
    )
    with quiet():
        proto, _ = tf2onnx.convert.from_function(function, portable.specs(), opset=OPSET)
    onnx.helper.set_model_props(proto, {name: as_json(value) for name, value in about.items()})
    onnx.save(proto, str(path))


def as_json(value):
    """A value as JSON that can be encoded in UTF-8, which not every name of a file can."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode("utf-8")


def metadata(path):
    """{name: JSON value} of a file."""
    import onnxruntime

    properties = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).get_modelmeta()
    return {name: json.loads(text) for name, text in properties.custom_metadata_map.items()}


def answers(path, given):
    """{output: array} of a request {input: array}, by onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, given), strict=True))
