"""A trained model becomes a folder that TensorFlow alone can serve, and that says what it is.

saved_models/<name>/<version>/ is TensorFlow Serving's layout: a SavedModel with named endpoints and pre-processing
inside, model.keras, card.json and, where asked for, model.onnx and model.tflite. It is made in a hidden folder beside
its place, reloaded there in a fresh process that has TensorFlow and none of our code, compared, and only then renamed.
"""

import contextlib
import errno
import hashlib
import importlib.util
import os
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np

from keras_dl import atomic, cards, paths, records, verification
from keras_dl import formats as other_formats
from keras_dl.arguments import Text, YesOrNo, checked
from keras_dl.endpoints import Endpoint
from keras_dl.endpoints.images import classifier
from keras_dl.endpoints.music import polyphony
from keras_dl.endpoints.text import language_model, sample_length
from keras_dl.endpoints.translation import Translator, translation
from keras_dl.errors import Refused, UserError
from keras_dl.fresh_process import answers as _answers_of_a_fresh_process
from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import tensorflow as tf

__all__ = [
    "Endpoint",
    "Export",
    "Translator",
    "classifier",
    "in_float32",
    "language_model",
    "load",
    "polyphony",
    "sample_length",
    "save",
    "translation",
]

TOLERANCE = 1e-5  # of the reloaded answers; relative above 1
EXAMPLES = 8  # compared at most
ASIDE = ".saving-"
UNWRITABLE = [
    "No usable temporary directory found",
    *(
        os.strerror(number)
        for number in (
            errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR,
            errno.EEXIST, errno.ENAMETOOLONG,
        )
    ),
]  # fmt: skip


def save(model, run, *, endpoints, metrics, card=None, formats=()):
    """Export `model` as the next version of saved_models/<run.name>.

    Args:
        model: the trained keras.Model.
        run: runs.Run; a run that was resumed after its export was made gets that one back.
        endpoints: {name: Endpoint}, "serving_default" first; classifier() makes them.
        metrics: {name: value} of the test split.
        card: {name: value} that the card says besides, such as data and hyperparameters.
        formats: of "onnx" and "litert", what is made besides.

    Returns:
        Path of the version's folder.

    Raises:
        UserError: a format's package is missing, or the folder cannot be written. Nothing is left.
        RuntimeError: what was reloaded answers otherwise than the Python functions, or asking changes the model.
            Nothing is left.
    """
    formats = other_formats.checked(formats)
    if next(iter(endpoints)) != "serving_default":
        raise ValueError(f"export.save: the first endpoint must be serving_default; got {', '.join(endpoints)}.")
    identity = {"run": _run_name(run), "weights": _digest(model.weights), "formats": formats}
    base = run.root / "saved_models" / run.name
    with _writing(base):
        base.mkdir(parents=True, exist_ok=True)
        for left_over in base.glob(f"{_aside(identity)}*"):  # of a save of this run that was killed
            shutil.rmtree(left_over)
        export_of_before = _made_already(base, identity)
        if export_of_before:
            return export_of_before
        aside = Path(tempfile.mkdtemp(prefix=_aside(identity), dir=base))
    folder = aside / "export"
    try:
        with _writing(base):
            with paths.literal(aside) as plain:
                served = _write_saved_model(model, endpoints, plain / folder.name)
            model.save(folder / "model.keras")
            for name in formats:
                other_formats.write(name, model, _model_inputs(endpoints, name), folder)
            calls = _calls(endpoints)
            _write_warmup(run.name, calls, folder)
            _write_graph(served["serving_default"], run.tensorboard / "export")
        answers = _answers_of_a_fresh_process(folder, calls)
        before = _digest(model.variables)
        _compare(endpoints, served, calls, answers)
        if _digest(model.variables) != before:
            raise RuntimeError("export.save: an endpoint changes the model: is it called with training=False?")
        outputs = {name: function.get_concrete_function().structured_outputs for name, function in served.items()}
        written = {**cards.describe(model, run, endpoints, outputs, metrics), **identity, **(card or {})}
        with _writing(base):
            written["files"] = verification.digests(folder)
            return _publish(folder, base, written, run)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        with contextlib.suppress(OSError):
            base.rmdir()  # where nothing came of it and nothing was there


def in_float32(model, run, compiled, *arguments):
    """The model with the same weights that computes in float32: half precision is for training's sake.

    Logits that it has rounded are seldom in the right order.

    Args:
        model: a trained model; where it computes in float32 it is returned itself.
        run: the runs.Run.
        compiled: compiled(*arguments) builds it anew.
    """
    if keras.config.dtype_policy().name == "float32":
        return model
    keras.config.set_dtype_policy("float32")
    with run.scope():
        exported = compiled(*arguments)
    exported.set_weights(model.get_weights())
    return exported


class Export:
    """A loaded export: its folder, its card, and `call`."""

    def __init__(self, path, card):
        self.path, self.card = path, card
        with paths.literal(path) as plain:
            self._loaded = tf.saved_model.load(str(plain))  # kept: its functions die with it

    def call(self, endpoint="serving_default", **inputs):
        """Ask an endpoint.

        Args:
            endpoint: its name.
            **inputs: arrays by name, as the card has them.

        Returns:
            {output name: NumPy array}.

        Raises:
            UserError: no such endpoint, other inputs than it has (the right ones are listed), values that its types
                cannot hold, such as 2**32 for an int32 or a fraction for an uint8, or (Refused) a request that the
                endpoint refuses: no picture, a value out of its range, more than it takes at once.
        """
        specs = _named(self.card["endpoints"], endpoint, f"{self.path}: no endpoint")["inputs"]
        if set(inputs) != set(specs):
            raise UserError(
                f"{self.path}: endpoint {endpoint} takes {', '.join(specs)}; got {', '.join(inputs) or 'nothing'}."
            )
        tensors = {name: self._tensor(name, value, specs[name]) for name, value in inputs.items()}
        try:
            answer = self._loaded.signatures[endpoint](**tensors)
        except tf.errors.InvalidArgumentError as error:
            own = re.search(r"assertion failed: \[([^\]]+)\]", error.message)
            sentence = own[1] if own else None
            said = sentence or " ".join(error.message.split())
            raise Refused(f"{self.path}: endpoint {endpoint} refuses the request: {said}.", sentence) from error
        return {name: answer[name].numpy() for name in self.card["endpoints"][endpoint]["outputs"]}

    def check_signatures(self):
        """Raise UserError unless the card's endpoints are those of the SavedModel."""
        for name, endpoint in self.card["endpoints"].items():
            if name not in self._loaded.signatures:
                raise UserError(
                    f"{self.path / cards.CARD} is damaged: endpoints: the SavedModel has no {name!r}; it has "
                    f"{', '.join(self._loaded.signatures)}."
                )
            function = self._loaded.signatures[name]
            there = {"inputs": function.structured_input_signature[1], "outputs": function.structured_outputs}
            for way, specs in there.items():
                dtypes = {field: spec.dtype.name for field, spec in specs.items()}
                if {field: spec["dtype"] for field, spec in endpoint[way].items()} != dtypes:
                    raise UserError(
                        f"{self.path / cards.CARD} is damaged: endpoints.{name}.{way} must be as in the SavedModel: "
                        f"{', '.join(f'{field} ({dtype})' for field, dtype in dtypes.items()) or 'nothing'}."
                    )

    def _tensor(self, name, value, spec):
        try:
            tensor = tf.constant(_exactly(value, tf.as_dtype(spec["dtype"])), spec["dtype"])
        except (TypeError, ValueError, OverflowError) as error:
            raise UserError(
                f"{self.path}: {name} must be {spec['dtype']}: {str(error).partition(chr(10))[0]}"
            ) from error
        if not tf.TensorShape(spec["shape"]).is_compatible_with(tensor.shape):
            raise UserError(
                f"{self.path}: {name} must have the shape {tuple(spec['shape'])}, None being any; "
                f"got {tuple(tensor.shape)}."
            )
        return tensor


@checked(who="export.load")
def load(path: Text, *, trust: YesOrNo = False):
    """Load an export by its version's folder, or by its name's: the newest version.

    Args:
        path: the folder.
        trust: load it though this user's export.save did not write it. A SavedModel is a program and may do anything.

    Raises:
        UserError: nothing is there, it is no export, its files are not those that were written, or another user or
            program wrote it and `trust` is False.
    """
    folder, card = cards.find(path)
    verification.check(folder, card, trusted=trust)
    exported = Export(folder, card)
    exported.check_signatures()
    return exported


def _exactly(value, dtype):
    """`value`; ValueError where NumPy's conversion to the dtype would silently make other numbers of it."""
    if not (dtype.is_integer or dtype.is_floating) or isinstance(value, tf.Tensor):
        return value
    given = np.asarray(value)
    if given.dtype == dtype.as_numpy_dtype or not given.size:
        return value
    if given.dtype.kind == "c":
        raise ValueError(f"real numbers; got {given.dtype}")
    if given.dtype.kind == "f":
        if dtype.is_integer:
            raise ValueError(f"whole numbers; got {given.dtype}")
        given = given[np.isfinite(given)]  # what is not finite is refused by the endpoint, which knows its bounds
    if given.dtype.kind in "iuf" and given.size and not dtype.min <= given.min() <= given.max() <= dtype.max:
        raise ValueError(f"from {dtype.min} to {dtype.max}; got {given.min()} to {given.max()}")
    return value


def _named(known, name, complaint):
    if not isinstance(name, str) or name not in known:
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
    """The newest whole version that this run made of these weights and in these formats."""
    for version in reversed(cards.versions(base)):
        folder = base / str(version)
        with contextlib.suppress(UserError):
            card = cards.read(folder)
            same = all(card.get(key) == identity[key] for key in ("run", "weights"))
            if same and set(identity["formats"]) <= set(card.get("formats", ())):
                verification.check_files(folder, card["files"])
                return folder
    return None


def _write_saved_model(model, endpoints, folder):
    """Write the SavedModel; returns {endpoint: the tf.function that was written}."""
    archive = keras.export.ExportArchive()
    archive.track(model)
    served = {}
    for name, endpoint in endpoints.items():
        served[name] = archive.add_endpoint(name, _by_position(endpoint), endpoint.specs())
    archive.write_out(str(folder), verbose=False)
    return served


def _by_position(endpoint):
    names = list(endpoint.inputs)
    return lambda *tensors: endpoint.function(**dict(zip(names, tensors, strict=True)))


def _model_inputs(endpoints, format_name):
    """What the model itself takes of the first endpoint's example."""
    for feature in endpoints["serving_default"].inputs.values():
        if hasattr(feature, "preprocessed_example"):
            return feature.preprocessed_example()
    raise UserError(f"export.save: formats: {format_name} is written of models of pictures alone; take none.")


def _calls(endpoints):
    """{"endpoint/size": {input: array}}: every endpoint with all of its examples and with one."""
    calls = {}
    for name, endpoint in endpoints.items():
        examples = {field: value[:EXAMPLES] if value.ndim else value for field, value in endpoint.example().items()}
        most = max((len(value) for value in examples.values() if value.ndim), default=1)
        for size in dict.fromkeys((most, 1)):
            calls[f"{name}/{size}"] = {
                field: value[:size] if value.ndim else value for field, value in examples.items()
            }
    return calls


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


def _compare(endpoints, served, calls, answers):
    """Hold the fresh process's answers against those of the functions in this one.

    Of an endpoint that draws, too, all must be the same: its draw is a function of the request, of which the seed is a
    part, and both processes run the same operations in the same order on the same machine.
    """
    for call, inputs in calls.items():
        name, size = call.split("/")
        endpoint = endpoints[name]
        wanted = served[name](
            *[tf.constant(inputs[field], feature.dtype) for field, feature in endpoint.inputs.items()]
        )
        for field in sorted(set(wanted) | set(answers[call])):
            here, there = wanted[field].numpy() if field in wanted else None, answers[call].get(field)
            if not _equal(here, there):
                how = "draws otherwise with the same seed" if endpoint.samples else "answers otherwise"
                raise RuntimeError(
                    f"export.save: reloaded in a fresh process, endpoint {name} {how} at batch size {size}: {field} "
                    f"must be within {TOLERANCE:g} of {here!r}; got {there!r}. Nothing was exported."
                )


def _equal(here, there):
    if here is None or there is None or here.shape != there.shape:
        return False
    if np.issubdtype(here.dtype, np.floating):
        gap = TOLERANCE * np.maximum(1, np.abs(here))
        return bool(np.all((np.abs(there - here) <= gap) | (np.isnan(here) & np.isnan(there))))
    return np.array_equal(here, there)


def _publish(folder, base, card, run):
    """Rename the folder to the next free version; one that another process took meanwhile is passed over."""
    version = max(cards.versions(base), default=0)
    while True:
        version += 1
        place = base / str(version)
        card = {**card, "version": version, "call": cards.how_to_call(place, card)}
        atomic.write_atomic(folder / cards.CARD, cards.text(_signed(card, run)))
        try:
            os.rename(folder, place)
            return place
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise


def _signed(card, run):
    """The card as it will be read, with this user's signature; without, and said, where there is no key."""
    card = records.parse(cards.text(card).encode(), records.Card, "export.save: the card")
    try:
        return card | {"signature": verification.signature(card)}
    except verification.NoKey as error:
        run.say(f"export.save: the export is not signed: {error}; loading it needs --trust.")
        return card
