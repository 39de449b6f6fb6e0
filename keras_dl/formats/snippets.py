"""Programs that use a file of another format with NumPy and the format's runtime alone, for a card and docs/serving.md.

A program reads the file's metadata into `about` and its answer into `answer`. How an input is defined, and what is
printed of an output, the features know.
"""

from keras_dl.formats import FILES

ONNX = """\
import json
import numpy as np
import onnxruntime  # pip install numpy onnxruntime

session = onnxruntime.InferenceSession({path})
about = session.get_modelmeta().custom_metadata_map
about = {{name: json.loads(text) for name, text in about.items()}}
{inputs}
names = [output.name for output in session.get_outputs()]
answer = dict(zip(names, session.run(names, {{{fed}}})))
{outputs}"""

LITERT = """\
import json
import zipfile
import numpy as np

try:
    from ai_edge_litert.interpreter import Interpreter  # pip install ai-edge-litert
except ImportError:
    import tensorflow as tf

    Interpreter = tf.lite.Interpreter

path = {path}
about = json.loads(zipfile.ZipFile(path).read("metadata.json"))
run = Interpreter(path).get_signature_runner("serving_default")
{inputs}
answer = run({given})
{outputs}"""

PROGRAMS = {"onnx": ONNX, "litert": LITERT}


def of(folder, portable, formats):
    """{format: program} for the files of an export.

    Args:
        folder: Path of the export's version.
        portable: the endpoints.Portable that the files carry.
        formats: names of the formats.
    """
    inputs = [line for name, feature in portable.inputs.items() for line in feature.in_numpy(name)]
    outputs = [line for name, feature in portable.outputs.items() for line in feature.from_numpy(name)]
    return {
        name: PROGRAMS[name].format(
            path=quoted(str(folder / FILES[name])),
            inputs="\n".join(inputs),
            outputs="\n".join(outputs),
            fed=", ".join(f'"{field}": {field}' for field in portable.inputs),
            given=", ".join(f"{field}={field}" for field in portable.inputs),
        )
        for name in formats
    }


def quoted(text):
    """A string of Python, in double quotes where that needs no escapes."""
    plain = text.isprintable() and '"' not in text and "\\" not in text
    return f'"{text}"' if plain else repr(text)
