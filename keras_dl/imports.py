"""Imports TensorFlow and Keras without log lines and with the settings that our models need, whoever imports them.

`import keras_dl` imports neither. It sets their environment variables, and puts an import finder before Python's own.
When `tensorflow` or `keras` is imported later, here or in a user's program, lines that TensorFlow writes directly to
file descriptor 2 are discarded, settings of a user's keras.json are reset to Keras' defaults, and our classes are
registered with Keras under their names in saved models (registration.py). The models, tests and exports need
channels_last, float32 and the TensorFlow backend.
"""

import contextlib
import importlib
import importlib.abc
import os
import sys
import traceback
from pathlib import Path

from keras_dl import console, registration
from keras_dl.errors import UserError

SUPPORTED = ((3, 11), (3, 12), (3, 13))
ENVIRONMENT = {
    "KERAS_BACKEND": "tensorflow",
    "TF_USE_LEGACY_KERAS": "0",  # "1" would make tf.keras the package Keras 2, which cannot read our models
}
READERS = ("keras/src/backend/config.py", "tensorflow/python/keras/backend.py")  # files that read keras.json
OTHER_BACKENDS = ("jax", "torch", "openvino")
FLOATX, EPSILON, IMAGE_DATA_FORMAT = "float32", 1e-7, "channels_last"


def prepare():
    """Set the environment variables and install the finder; modules that were imported before are set up at once.

    Raises:
        SystemExit: this version of Python is not supported: one line on stderr, status 2. It is checked first, since
            our other files use the syntax of the supported versions.
        UserError: keras was imported before with another backend.
    """
    if sys.version_info[:2] not in SUPPORTED:
        versions = ", ".join(f"{major}.{minor}" for major, minor in SUPPORTED)
        print(f"keras_dl needs CPython {versions}; {sys.executable} is {sys.version.split()[0]}.", file=sys.stderr)
        raise SystemExit(2)
    os.environ.update(ENVIRONMENT)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name, set_up in SET_UP.items():
        if sys.modules.get(name) is not None:  # None: its import is blocked
            with quiet():
                set_up(sys.modules[name])
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


@contextlib.contextmanager
def quiet():
    """A context in which file descriptor 2 is discarded, since no environment variable silences all of TensorFlow."""
    console.open_descriptors()
    if sys.stderr is not None:
        sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def quiet_tensorflow():
    """A context for imports of TensorFlow, which hides the lines that it writes directly to file descriptor 2.

    No environment variable silences them all. An import that fails still says why.
    """
    if "tensorflow" in sys.modules:
        yield
        return
    with quiet():
        import tensorflow  # noqa: F401

        yield


class _Late:
    """A module that is imported when one of its attributes is first used."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        if attribute.startswith("__"):  # tools that inspect objects must not import TensorFlow
            raise AttributeError(attribute)
        return getattr(importlib.import_module(self._name), attribute)


tensorflow, keras = _Late("tensorflow"), _Late("keras")  # for files that must not import them at the top


def _set_up_tensorflow(tensorflow):
    tensorflow.get_logger().setLevel("ERROR")
    tensorflow.config.list_physical_devices()  # TensorFlow writes its lines about devices here, while they are hidden


def _set_up_keras(keras):
    backend = keras.config.backend()
    if backend != ENVIRONMENT["KERAS_BACKEND"]:
        raise UserError(
            f"keras_dl needs Keras with its TensorFlow backend; keras was imported before with {backend}. "
            f"Import keras_dl first, or set KERAS_BACKEND=tensorflow."
        )
    keras.config.set_floatx(FLOATX)
    keras.config.set_epsilon(EPSILON)
    keras.config.set_image_data_format(IMAGE_DATA_FORMAT)
    registration.register(keras)


SET_UP = {"tensorflow": _set_up_tensorflow, "keras": _set_up_keras}


class _Finder(importlib.abc.MetaPathFinder):
    """Finds tensorflow and keras by the other finders, and gives them _Loader as their loader."""

    def find_spec(self, name, path=None, target=None):
        if name not in SET_UP:
            return None
        others = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    """Loads a module with its own loader, hides what it prints, and sets it up."""

    def __init__(self, loader):
        self.loader = loader

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self.loader  # for code that reads resources through the loader
        with quiet():
            try:
                self.loader.exec_module(module)
            except Exception as error:
                settings = _keras_settings()
                if not settings.exists() or not _is_of_settings(error):
                    raise
                said = " ".join(str(error).split()) or "it has a value that TensorFlow does not know"
                raise UserError(
                    f"{settings}: Keras cannot be imported with it: {said}. Mend it or remove it."
                ) from error
            SET_UP[module.__name__](module)


def _is_of_settings(error):
    """Whether it was raised where keras.json is read, or because the backend named there is missing."""
    innermost = traceback.extract_tb(error.__traceback__)[-1].filename
    return innermost.endswith(READERS) or (isinstance(error, ImportError) and error.name in OTHER_BACKENDS)


def _keras_settings():
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras.json"
