"""Calls an export in a fresh process that has TensorFlow and none of our code, to verify it.

The process finds TensorFlow where this one does, in a virtual environment, PYTHONPATH, ~/.local or a path that a
program added: it has the same search path, without the working folder. Importing keras_dl fails in it.
"""

import os
import subprocess
import sys

from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

# Requests and answers are each one serialised tf.train.Example, {call/name: serialised tensor}. Whatever else is
# printed, for instance by a plug-in of TensorFlow, goes to stderr.
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
    """Call the SavedModel in `folder`.

    Args:
        folder: its Path, the working folder of the process, since TensorFlow takes some paths for patterns.
        calls: {"endpoint/size": {input: array}}.

    Returns:
        {"endpoint/size": {output: array}}.

    Raises:
        RuntimeError: it cannot be loaded or called; the message has what the process printed.
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
    """Start a process in `folder`, pass it the serialised requests, and return the serialised answers.

    Raises:
        RuntimeError: it fails; the message has what the process printed.
    """
    process = subprocess.run(command(ONCE), input=questions, capture_output=True, cwd=folder, env=environment())
    if process.returncode:
        said = process.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"export.save: the export does not work in a fresh process:\n{said}")
    return process.stdout


def command(then):
    """The command line, a list of words, of a process without our code that runs RELOAD and then the line `then`."""
    return [sys.executable, "-P", "-c", RELOAD + then, *_search_path()]


def environment():
    """The environment of the process: no log lines, and GPU memory is allocated as needed."""
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}


def _search_path():
    """This process's sys.path without the working folder, every entry absolute."""
    here = os.getcwd()
    entries = [os.path.abspath(os.fspath(entry)) for entry in sys.path if entry]
    return [entry for entry in entries if entry != here]
