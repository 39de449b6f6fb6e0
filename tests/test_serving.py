"""What TensorFlow Serving would be sent and would send, by its genuine client stubs.

The server itself has no package; in its place stands its gRPC Predict service over tf.saved_model.load.
"""

import concurrent.futures

import numpy as np
import pytest
import tensorflow as tf
import test_export as exports

from keras_dl import cards, fresh_process
from keras_dl.export import writing

pytestmark = pytest.mark.slow
NO_SERVING = "extra [serving] is not installed"
grpc = pytest.importorskip("grpc", reason=NO_SERVING)
predict_pb2 = pytest.importorskip("tensorflow_serving.apis.predict_pb2", reason=NO_SERVING)
prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2", reason=NO_SERVING)
service = pytest.importorskip("tensorflow_serving.apis.prediction_service_pb2_grpc", reason=NO_SERVING)


class StandIn(service.PredictionServiceServicer):
    """Predict as the server's documentation has it: the newest version of a model, a signature by its name."""

    def __init__(self, models):
        self.models = {
            name: tf.saved_model.load(str(base / str(cards.versions(base)[-1]))) for name, base in models.items()
        }

    def Predict(self, request, context):
        if request.model_spec.name not in self.models:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no model {request.model_spec.name}")
        signatures = self.models[request.model_spec.name].signatures
        function = signatures[request.model_spec.signature_name or "serving_default"]
        inputs = {name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()}
        try:
            answer = function(**inputs)
        except tf.errors.InvalidArgumentError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        response = predict_pb2.PredictResponse()
        for name, value in answer.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
        return response


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    model = exports.tiny()
    return exports.save(tmp_path_factory.mktemp("served"), model, endpoints=exports.all_endpoints(model))


@pytest.fixture(scope="module")
def client(folder):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    service.add_PredictionServiceServicer_to_server(StandIn({"tiny-noise": folder.parent}), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield service.PredictionServiceStub(channel)
    server.stop(None).wait()


def ask(client, signature, **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "tiny-noise", signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return {name: tf.make_ndarray(value) for name, value in client.Predict(request, timeout=60).outputs.items()}


@pytest.mark.parametrize("n", [1, 4])
def test_a_client_gets_the_models_answers(client, n):
    images = exports.pictures(n, 9, 14)
    wanted = exports.answer(exports.tiny(), exports.preprocessor(), images)
    encoded = [tf.io.encode_png(image).numpy() for image in images]
    for answer in ask(client, "serve", image=images), ask(client, "", image_bytes=encoded):
        np.testing.assert_allclose(answer["probabilities"], wanted, atol=1e-6)
        assert answer["class"].tolist() == [exports.CLASSES[k].encode() for k in wanted.argmax(1)]
    assert ask(client, "sample", n=np.int32(5), seed=np.int32(2))["noise"].shape == (5, 2)


def test_a_client_is_told_what_is_refused(client):
    with pytest.raises(grpc.RpcError, match="a picture may have at most 33554432 pixels") as refused:
        ask(client, "serving_default", image_bytes=[exports.TOO_LARGE["png"]])
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_the_warm_up_requests_are_answered(client, folder):
    file = folder / "assets.extra" / "tf_serving_warmup_requests"
    requests = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        for record in tf.data.TFRecordDataset(str(file))
    ]
    sizes = [(r.model_spec.signature_name, max(tf.make_ndarray(v).size for v in r.inputs.values())) for r in requests]
    one = exports.pictures(1).size
    raw, encoded = [("serve", 5 * one), ("serve", one)], [("serving_default", 5), ("serving_default", 1)]
    assert sizes[:4] == encoded + raw and {name for name, _ in sizes} == set(cards.read(folder)["endpoints"])
    for request in requests:
        assert set(client.Predict(request, timeout=60).outputs) == set(
            cards.read(folder)["endpoints"][request.model_spec.signature_name]["outputs"]
        )


def test_without_the_extra_there_are_no_warm_up_requests(tmp_path, monkeypatch):
    find = writing.importlib.util.find_spec
    monkeypatch.setattr(
        writing.importlib.util, "find_spec", lambda name: None if name == "tensorflow_serving" else find(name)
    )
    monkeypatch.setattr(fresh_process, "answers", exports.answers_in_this_process)
    assert not (exports.save(tmp_path) / "assets.extra").exists()
