"""What every test gets: a data folder of its own, the run's seed, and a rule about skips."""

import os
import tempfile

import pytest
import seeds

import keras_dl  # before TensorFlow: it sets the environment
from keras_dl import runtime

# A skip for any other reason fails a strict run (KERAS_DL_STRICT_SKIPS=1): nothing drops out unseen.
ALLOWED_SKIPS = (
    "oracle: PyTorch is not installed",
    "browser: Chromium is not installed",
    "data: ",
    "disk: a small tmpfs cannot be mounted",
    "device: ",
    "extra [serving] is not installed",  # the fast tests run without extras
    "extra [music] is not installed",
    "extra [translation] is not installed",
)
LONGEST = (
    "test_apps", "test_laws_models", "test_tuning", "test_endpoints_translation", "test_laws_sequences",
    "test_training", "test_summaries", "test_laws_recurrent_layers", "test_decoding_beam", "test_faults",
)  # fmt: skip
_skipped = []

_config = tempfile.TemporaryDirectory(prefix="keras_dl-tests-config-")  # the key that signs exports is not the user's
os.environ["XDG_CONFIG_HOME"] = _config.name
if "TFDS_DATA_DIR" not in os.environ:
    _folder = tempfile.TemporaryDirectory(prefix="keras_dl-tests-")
    os.environ["TFDS_DATA_DIR"] = _folder.name


@pytest.fixture(autouse=True)
def fresh_keras():
    """Every test starts from one seed and float32, whatever ran before."""
    with runtime.quiet_tensorflow():
        import keras
    keras.mixed_precision.set_dtype_policy("float32")
    seeds.reseed(0)
    yield
    keras.mixed_precision.set_dtype_policy("float32")


_loaded = {}


@pytest.fixture
def loaded_once(monkeypatch):
    """A SavedModel that was loaded in this process is not loaded again: loading and the first answer take seconds."""
    import tensorflow as tf

    load = tf.saved_model.load

    def load_once(path):
        folder = os.path.realpath(path)
        key = folder, os.stat(os.path.join(folder, "saved_model.pb")).st_mtime_ns
        if key not in _loaded:
            _loaded[key] = load(path)
        return _loaded[key]

    monkeypatch.setattr(tf.saved_model, "load", load_once)


@pytest.fixture
def run(tmp_path):
    return runtime.Run(path=tmp_path / "run", root=tmp_path, name="convnet-digits", app="classify_images")


def pytest_runtest_logreport(report):
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not reason.startswith(ALLOWED_SKIPS):
            _skipped.append(f"{report.nodeid}: {reason}")


pytest_collectreport = pytest_runtest_logreport  # a module that skips itself


def pytest_collection_modifyitems(items):
    """The files that take longest first, so that no worker is left alone with one of them at the end."""
    rank = {f"{name}.py": k for k, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))  # stable


def pytest_sessionfinish(session):
    if os.environ.get("KERAS_DL_STRICT_SKIPS") and _skipped:
        print("\nSkipped for a reason that is not on the allowed list:", *_skipped, sep="\n  ")
        session.exitstatus = 1


@pytest.fixture(scope="session")
def digits():
    return keras_dl.data.load("digits")
