"""What stands in a user's environment does not change the models, and TensorFlow is quiet whoever imports it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Packages that stand for the real ones, which take seconds: they write to file descriptor 2 as those do.
TENSORFLOW = """
import os
os.write(2, b"noise of an import\\n")
class config:
    list_physical_devices = staticmethod(lambda: os.write(2, b"noise of devices\\n"))
class Logger:
    setLevel = staticmethod(lambda level: None)
get_logger = Logger
"""
KERAS = """
import os, tensorflow
os.write(2, b"noise of another import\\n")
chosen = os.environ.get("KERAS_BACKEND", "jax")  # once, as Keras does
class config:
    said = {"floatx": "float64", "image_data_format": "channels_first", "epsilon": 0.5}
    backend = staticmethod(lambda: chosen)
    set_floatx = staticmethod(lambda value: config.said.update(floatx=value))
    set_image_data_format = staticmethod(lambda value: config.said.update(image_data_format=value))
    set_epsilon = staticmethod(lambda value: config.said.update(epsilon=value))
class saving:
    custom_objects = {}
    get_custom_objects = staticmethod(lambda: saving.custom_objects)
"""
SET_BACK = {"floatx": "float32", "image_data_format": "channels_last", "epsilon": 1e-7}


def python(program, packages=None, **environment):
    """Run a program; `packages` is a folder that stands before all others on the path."""
    path = os.pathsep.join(str(place) for place in (packages, ROOT) if place)
    variables = {k: v for k, v in os.environ.items() if k not in ("KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL")}
    variables |= {"PYTHONPATH": path, **environment}
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=variables)


@pytest.fixture
def packages(tmp_path):
    for name, source in (("tensorflow", TENSORFLOW), ("keras", KERAS)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(source)
    return tmp_path


@pytest.mark.parametrize("imports", ["keras_dl, keras", "keras_dl, tensorflow, keras"])
def test_an_import_behind_ours_is_quiet_and_sets_keras_back(packages, imports):
    program = f"import json, {imports}, sys; print(json.dumps(keras.config.said)); print('heard', file=sys.stderr)"
    done = python(program, packages, KERAS_BACKEND="jax")
    assert json.loads(done.stdout) == SET_BACK and done.stderr == "heard\n"


def test_keras_that_was_imported_before_is_set_back_too(packages):
    program = "import json, keras, keras_dl; print(json.dumps(keras.config.said))"
    done = python(program, packages, KERAS_BACKEND="tensorflow")
    assert json.loads(done.stdout) == SET_BACK and "noise of devices" not in done.stderr


@pytest.mark.parametrize("imports", ["keras_dl, keras", "keras, keras_dl"])
def test_keras_has_the_names_of_our_classes_whichever_is_imported_first(packages, imports):
    program = f"import {imports}; print('keras_dl>LSTM' in keras.saving.custom_objects)"
    assert python(program, packages, KERAS_BACKEND="tensorflow").stdout == "True\n"


def test_keras_that_was_imported_before_with_another_backend_is_refused(packages):
    done = python("import keras, keras_dl", packages, KERAS_BACKEND="jax")
    assert done.stderr.splitlines()[-1].startswith(
        "keras_dl.errors.UserError: keras_dl needs Keras with its TensorFlow"
    )


def test_what_asks_a_module_for_its_loader_gets_its_own(packages):
    program = "import keras_dl, keras; print(type(keras.__spec__.loader).__name__, type(keras.__loader__).__name__)"
    assert python(program, packages).stdout.split() == ["SourceFileLoader"] * 2


def test_an_import_that_fails_says_why(packages):
    (packages / "tensorflow" / "__init__.py").write_text("raise ImportError('no such library')")
    done = python("import keras_dl, tensorflow", packages)
    assert done.stderr.splitlines()[-1] == "ImportError: no such library"


@pytest.mark.parametrize("version", [(3, 10, 13), (3, 14, 0)])
def test_another_python_is_refused_in_one_line(version):
    done = python(f"import sys; sys.version_info = {version}; import keras_dl")
    assert done.returncode == 2 and done.stderr.startswith("keras_dl needs CPython 3.11, 3.12, 3.13; ")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("first", ["keras_dl", "tensorflow, keras_dl", "keras_dl, tensorflow"])
def test_a_users_settings_of_keras_do_not_change_a_model(tmp_path, first):
    settings = {"floatx": "float64", "image_data_format": "channels_first", "epsilon": 0.5, "backend": "tensorflow"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    program = (
        f"import {first}, keras, numpy\n"
        "model = keras_dl.build_convnet()\n"
        "shape = model(numpy.zeros((1, 28, 28, 1))).shape\n"
        "print(model.layers[1].data_format, model.dtype, shape, keras.config.epsilon())"
    )
    done = python(program, KERAS_HOME=str(tmp_path), TF_USE_LEGACY_KERAS="1")
    assert done.stdout == "channels_last float32 (1, 10) 1e-07\n", done.stderr
    assert not done.stderr or not first.startswith("keras_dl")


@pytest.mark.slow
@pytest.mark.parametrize("text", ['{"floatx": "half"}', "[]", '{"image_data_format": 3}'])
def test_settings_that_keras_cannot_read_are_one_line(tmp_path, text):
    (tmp_path / "keras.json").write_text(text)
    environment = {**os.environ, "KERAS_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "apps/classify_images.py", "--smoke"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 2 and done.stderr.startswith(f"{tmp_path}/keras.json: Keras cannot be imported with it")
    assert done.stderr.count("\n") == 1
