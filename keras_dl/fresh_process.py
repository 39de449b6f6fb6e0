"""An export is asked in a process that has TensorFlow and none of our code, before it counts.

The process finds TensorFlow where this one does, be it a virtual environment, PYTHONPATH, ~/.local or a path that a
program added: it takes over this process's search path, but for the working folder. Importing keras_dl fails there.
"""

import os
import subprocess
import sys

from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

# Questions come in and answers go out as one tf.train.Example, {call/name: serialised tensor}. What else is printed,
# by a plug-in of TensorFlow say, goes to stderr.
RELOAD = """
import os, sys
sys.path[:] = sys.argv[1:]
sys.modules["keras_dl"] = None
answers_to = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

def answer(questions):
    calls, answers = {}, tf.train.Example()
    for key, value in tf.train.Example.FromString(questions).features.feature.items():
        call, name = key.rsplit("/", 1)
        tensor = tensor_pb2.TensorProto.FromString(value.bytes_list.value[0])
        calls.setdefault(call, {})[name] = tf.constant(tf.make_ndarray(tensor), tensor.dtype)
    loaded = tf.saved_model.load(".")
    for call, inputs in calls.items():
        for name, value in loaded.signatures[call.split("/")[0]](**inputs).items():
            tensor = tf.make_tensor_proto(value.numpy()).SerializeToString()
            answers.features.feature[f"{call}/{name}"].bytes_list.value.append(tensor)
    return answers.SerializeToString()
"""
ONCE = "answers_to.write(answer(sys.stdin.buffer.read()))"


def answers(folder, calls):
    """Ask the SavedModel in `folder`.

    Args:
        folder: its Path; it is the process's working folder, since TensorFlow takes some paths for patterns.
        calls: {"endpoint/size": {input: array}}.

    Returns:
        {"endpoint/size": {output: array}}.

    Raises:
        RuntimeError: it cannot be loaded or asked; says what the process said.
    """
    questions = tf.train.Example()
    for call, inputs in calls.items():
        for name, value in inputs.items():
            tensor = tf.make_tensor_proto(value).SerializeToString()
            questions.features.feature[f"{call}/{name}"].bytes_list.value.append(tensor)
    answers_by_call = {call: {} for call in calls}
    for key, value in tf.train.Example.FromString(ask(folder, questions.SerializeToString())).features.feature.items():
        call, name = key.rsplit("/", 1)
        answers_by_call[call][name] = tf.make_ndarray(tensor_pb2.TensorProto.FromString(value.bytes_list.value[0]))
    return answers_by_call


def ask(folder, questions):
    """A process that starts in `folder`, is asked, and ends: serialised questions -> serialised answers.

    Raises:
        RuntimeError: it fails; says what the process said.
    """
    process = subprocess.run(command(ONCE), input=questions, capture_output=True, cwd=folder, env=environment())
    if process.returncode:
        said = process.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"export.save: the export does not work in a fresh process:\n{said}")
    return process.stdout


def command(then):
    """The words that start a process of TensorFlow alone, which runs RELOAD and the line `then`."""
    return [sys.executable, "-P", "-c", RELOAD + then, *_search_path()]


def environment():
    """Its environment: quiet, and of a GPU it takes what it needs."""
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}


def _search_path():
    """This process's sys.path without the working folder, every entry absolute."""
    here = os.getcwd()
    entries = [os.path.abspath(os.fspath(entry)) for entry in sys.path if entry]
    return [entry for entry in entries if entry != here]
