"""A trained model becomes a folder that TensorFlow alone can serve, and that says what it is.

saved_models/<name>/<version>/ is TensorFlow Serving's layout: a SavedModel with named endpoints and pre-processing
inside, model.keras, card.json and, where asked for, model.onnx and model.tflite. It is made in a hidden folder beside
its place, reloaded there in a fresh process that has TensorFlow and none of our code, compared, and only then renamed.
"""

import contextlib
import errno
import hashlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from keras_dl import cards, runtime
from keras_dl.endpoints import Endpoint
from keras_dl.endpoints.images import classifier
from keras_dl.endpoints.music import polyphony
from keras_dl.endpoints.text import language_model
from keras_dl.endpoints.translation import translation
from keras_dl.runtime import UserError, quiet_tensorflow

with quiet_tensorflow():
    import keras
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

__all__ = ["Endpoint", "Export", "classifier", "language_model", "load", "polyphony", "save", "translation"]

TOLERANCE = 1e-5  # of the reloaded answers; relative above 1
FORMAT_TOLERANCE = 1e-4  # of ONNX's and LiteRT's logits, whose kernels sum in another order; relative above 1
EXAMPLES = 8  # compared at most
FORMATS = {"onnx": ("onnx", "tf2onnx", "onnxruntime"), "litert": ()}  # the packages that each needs
ASIDE = ".saving-"
UNWRITABLE = [
    os.strerror(number)
    for number in (
        errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST,
    )
]  # fmt: skip

# The fresh process: questions come in and answers go out as one tf.train.Example, {call/name: serialised tensor}.
RELOAD = """
import sys
sys.modules["keras_dl"] = None
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
calls, answers = {}, tf.train.Example()
for key, value in tf.train.Example.FromString(sys.stdin.buffer.read()).features.feature.items():
    call, name = key.rsplit("/", 1)
    tensor = tensor_pb2.TensorProto.FromString(value.bytes_list.value[0])
    calls.setdefault(call, {})[name] = tf.constant(tf.make_ndarray(tensor), tensor.dtype)
loaded = tf.saved_model.load(sys.argv[1])
for call, inputs in calls.items():
    for name, value in loaded.signatures[call.split("/")[0]](**inputs).items():
        tensor = tf.make_tensor_proto(value.numpy()).SerializeToString()
        answers.features.feature[f"{call}/{name}"].bytes_list.value.append(tensor)
sys.stdout.buffer.write(answers.SerializeToString())
"""


def save(model, run, *, preprocess, endpoints, metrics, card=None, examples=None, formats=()):
    """Export `model` as the next version of saved_models/<run.name>.

    Args:
        model: the trained keras.Model.
        run: runtime.Run; a run that was resumed after its export was made gets that one back.
        preprocess: the Splits' own.
        endpoints: {name: Endpoint}, "serving_default" first; classifier() makes them.
        metrics: {name: value} of the test split.
        card: {name: value} that the card says besides, such as data and hyperparameters.
        examples: uint8 (n, h, w, C) pictures with which the export is tried, where it takes pictures; None for noise.
        formats: of "onnx" and "litert", what is made besides.

    Returns:
        Path of the version's folder.

    Raises:
        UserError: a format's package is missing, or the folder cannot be written. Nothing is left.
        RuntimeError: what was reloaded answers otherwise than the Python functions, or asking changes the model.
            Nothing is left.
    """
    formats = _checked_formats(formats)
    if next(iter(endpoints)) != "serving_default":
        raise ValueError(f"export.save: the first endpoint must be serving_default; got {', '.join(endpoints)}.")
    if {"image", "image_bytes"} & {kind for endpoint in endpoints.values() for kind in endpoint.kinds.values()}:
        if examples is None:
            examples = np.random.default_rng(0).integers(0, 256, (2, *preprocess.input_shape), np.uint8)
        examples = np.asarray(examples[:EXAMPLES])
    identity = {"run": _run_name(run), "weights": _digest(model.weights), "formats": formats}
    base = run.root / "saved_models" / run.name
    with _writing(base):
        base.mkdir(parents=True, exist_ok=True)
        for left_over in base.glob(f"{_aside(identity)}*"):  # of a save of this run that was killed
            shutil.rmtree(left_over)
        made = _made_already(base, identity)
        if made:
            return made
        aside = Path(tempfile.mkdtemp(prefix=_aside(identity), dir=base))
    folder = aside / "export"
    try:
        with _writing(base):
            served = _write_saved_model(model, endpoints, folder)
            model.save(folder / "model.keras")
            for name in formats:
                _write_format(name, model, preprocess(examples), folder)
            calls = _calls(endpoints, examples)
            _write_warmup(run.name, calls, folder)
            _write_graph(served["serving_default"], run.tensorboard / "export")
        answers = _answers_of_a_fresh_process(folder, calls)
        before = _digest(model.variables)
        _compare(endpoints, served, calls, answers)
        if _digest(model.variables) != before:
            raise RuntimeError("export.save: an endpoint changes the model: is it called with training=False?")
        outputs = {name: function.get_concrete_function().structured_outputs for name, function in served.items()}
        written = {**cards.describe(model, run, preprocess, endpoints, outputs, metrics), **identity, **(card or {})}
        with _writing(base):
            written["files"] = cards.digests(folder)
            return _publish(folder, base, written)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        with contextlib.suppress(OSError):
            base.rmdir()  # where nothing came of it and nothing was there


class Export:
    """A loaded export: its folder, its card, and `call`."""

    def __init__(self, path, card):
        self.path, self.card = path, card
        self._loaded = tf.saved_model.load(str(path))  # kept: its functions die with it

    def call(self, endpoint="serving_default", **inputs):
        """Ask an endpoint.

        Args:
            endpoint: its name.
            **inputs: arrays by name, as the card has them.

        Returns:
            {output name: NumPy array}.

        Raises:
            UserError: no such endpoint, or other inputs than it has; the right ones are listed.
        """
        specs = _named(self.card["endpoints"], endpoint, f"{self.path}: no endpoint")["inputs"]
        if set(inputs) != set(specs):
            raise UserError(
                f"{self.path}: endpoint {endpoint} takes {', '.join(specs)}; got {', '.join(inputs) or 'nothing'}."
            )
        tensors = {name: tf.constant(value, specs[name]["dtype"]) for name, value in inputs.items()}
        answer = self._loaded.signatures[endpoint](**tensors)
        return {name: answer[name].numpy() for name in self.card["endpoints"][endpoint]["outputs"]}


def load(path):
    """Load an export by its version's folder, or by its name's: the newest version.

    Raises:
        UserError: nothing is there, it is no export, or its files are not those that were written.
    """
    folder, card = cards.find(path)
    cards.check_files(folder, card)
    return Export(folder, card)


def _checked_formats(formats):
    for name in formats:
        packages = _named(FORMATS, name, "export.save: no format")
        missing = [package for package in packages if importlib.util.find_spec(package) is None]
        if missing:
            raise UserError(f"export.save: format {name} needs {', '.join(missing)}: pip install 'keras_dl[{name}]'.")
    return sorted(set(formats))


def _named(known, name, complaint):
    if name not in known:
        raise UserError(f"{complaint} {name!r}. There are: {', '.join(known)}.")
    return known[name]


def _run_name(run):
    path, root = Path(run.path).resolve(), Path(run.root).resolve()
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _digest(variables):
    """SHA-256 of their values: a run that was trained on after its export, say, is exported again."""
    digest = hashlib.sha256()
    for variable in variables:
        digest.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return digest.hexdigest()


def _aside(identity):
    return f"{ASIDE}{hashlib.sha256(identity['run'].encode()).hexdigest()[:12]}-"


@contextlib.contextmanager
def _writing(folder):
    """Within it, a full disk or a folder that may not be written is the user's to mend; TensorFlow only says it."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        reason = next((reason for reason in UNWRITABLE if reason in str(error)), None)
        if reason is None:
            raise
        raise UserError(f"export.save: {folder} cannot be written: {reason}. Nothing was exported.") from error


def _made_already(base, identity):
    """The newest version that this run made of these weights and in these formats."""
    for version in reversed(cards.versions(base)):
        card = cards.read(base / str(version))
        same = card is not None and all(card.get(key) == identity[key] for key in ("run", "weights"))
        if same and set(identity["formats"]) <= set(card["formats"]):
            return base / str(version)
    return None


def _write_saved_model(model, endpoints, folder):
    """Write the SavedModel; returns {endpoint: the tf.function that was written}."""
    archive = keras.export.ExportArchive()
    archive.track(model)
    served = {}
    for name, endpoint in endpoints.items():
        served[name] = archive.add_endpoint(name, _by_position(endpoint), list(endpoint.inputs))
    archive.write_out(str(folder), verbose=False)
    return served


def _by_position(endpoint):
    names = [spec.name for spec in endpoint.inputs]
    return lambda *tensors: endpoint.function(**dict(zip(names, tensors, strict=True)))


def _calls(endpoints, examples):
    """{"endpoint/size": {input: array}}: every endpoint with all the examples and with one."""
    pictures = {}
    if examples is not None:
        encoded = np.array([tf.io.encode_png(image).numpy() for image in examples], object)
        pictures = {"image": examples, "image_bytes": encoded}
    calls = {}
    for name, endpoint in endpoints.items():
        values = {}
        for spec in endpoint.inputs:
            value = endpoint.example.get(spec.name)
            value = pictures[endpoint.kinds[spec.name]] if value is None else value
            values[spec.name] = np.asarray(value, spec.dtype.as_numpy_dtype)
        for size in dict.fromkeys((max((len(value) for value in values.values() if value.ndim), default=1), 1)):
            calls[f"{name}/{size}"] = {field: value[:size] if value.ndim else value for field, value in values.items()}
    return calls


def _write_format(name, model, x, folder):
    """Write ONNX or LiteRT, run it with its own runtime and compare its logits with the model's."""
    noise = io.StringIO()  # the converters talk
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
            if not gap <= FORMAT_TOLERANCE:
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
            "export.save: this model cannot be made a LiteRT file: the interpreter lacks some of its operations. "
            "Nothing was exported; go on without the format litert."
        ) from error
    interpreter.set_tensor(given, x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def _write_warmup(name, calls, folder):
    """Requests with which TensorFlow Serving warms a version up before it answers (extra [serving])."""
    if importlib.util.find_spec("tensorflow_serving") is None:
        return
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    (folder / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(folder / "assets.extra" / "tf_serving_warmup_requests")) as file:
        for call, inputs in calls.items():
            request = predict_pb2.PredictRequest()
            request.model_spec.name, request.model_spec.signature_name = name, call.split("/")[0]
            for field, value in inputs.items():
                request.inputs[field].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictLog(request=request)
            file.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())


def _write_graph(function, folder):
    """The exported function's operations, for TensorBoard's Graphs tab."""
    shutil.rmtree(folder, ignore_errors=True)  # of a save that was killed
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default(step=0):
        tf.summary.graph(function.get_concrete_function().graph)
    writer.close()


def _answers_of_a_fresh_process(folder, calls):
    """{call: {output: array}} of the SavedModel in a process that has TensorFlow and none of our code."""
    questions = tf.train.Example()
    for call, inputs in calls.items():
        for name, value in inputs.items():
            tensor = tf.make_tensor_proto(value).SerializeToString()
            questions.features.feature[f"{call}/{name}"].bytes_list.value.append(tensor)
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    process = subprocess.run(
        [sys.executable, "-I", "-c", RELOAD, str(folder.resolve())],
        input=questions.SerializeToString(), capture_output=True, cwd=tempfile.gettempdir(), env=environment,
    )  # fmt: skip
    if process.returncode:
        said = process.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"export.save: the export does not work in a fresh process:\n{said}")
    answers = {call: {} for call in calls}
    for key, value in tf.train.Example.FromString(process.stdout).features.feature.items():
        call, name = key.rsplit("/", 1)
        answers[call][name] = tf.make_ndarray(tensor_pb2.TensorProto.FromString(value.bytes_list.value[0]))
    return answers


def _compare(endpoints, served, calls, answers):
    """Hold the fresh process's answers against those of the functions in this one."""
    for call, inputs in calls.items():
        endpoint, size = call.split("/")
        wanted = served[endpoint](*[tf.constant(inputs[spec.name], spec.dtype) for spec in endpoints[endpoint].inputs])
        for name in sorted(set(wanted) | set(answers[call])):
            here, there = wanted[name].numpy() if name in wanted else None, answers[call].get(name)
            if not _equal(here, there):
                raise RuntimeError(
                    f"export.save: reloaded in a fresh process, endpoint {endpoint} answers otherwise at batch size "
                    f"{size}: {name} must be within {TOLERANCE:g} of {here!r}; got {there!r}. Nothing was exported."
                )


def _equal(here, there):
    if here is None or there is None or here.shape != there.shape:
        return False
    if np.issubdtype(here.dtype, np.floating):
        gap = TOLERANCE * np.maximum(1, np.abs(here))
        return bool(np.all((np.abs(there - here) <= gap) | (np.isnan(here) & np.isnan(there))))
    return np.array_equal(here, there)


def _publish(folder, base, card):
    """Rename the folder to the next free version; one that another process took meanwhile is passed over."""
    version = max(cards.versions(base), default=0)
    while True:
        version += 1
        place = base / str(version)
        card = {**card, "version": version, "call": cards.how_to_call(place, card["endpoints"])}
        runtime.write_atomic(folder / cards.CARD, cards.text(card))
        try:
            os.rename(folder, place)
            return place
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
