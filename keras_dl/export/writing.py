"""Writes the files of an export: the SavedModel and the warm-up requests."""

import contextlib
import errno
import importlib.util
import os

from keras_dl.errors import UserError
from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import tensorflow as tf

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


@contextlib.contextmanager
def writing(folder):
    """A context in which errors of writing (a full disk, no permission), TensorFlow's too, become UserErrors."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        reason = next((reason for reason in UNWRITABLE if reason in str(error)), None)
        if reason is None:
            raise
        raise UserError(f"export.save: {folder} cannot be written: {reason}. Nothing was exported.") from error


def write_saved_model(model, endpoints, folder):
    """Write the SavedModel; returns {endpoint: the tf.function that was exported}."""
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


def write_warmup(name, calls, folder):
    """Write requests with which TensorFlow Serving warms up a version before it serves it (needs extra [serving])."""
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
