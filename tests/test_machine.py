"""The machine comes first: devices, precision and seed are set before TensorFlow's first operation, in every app."""

import json
import subprocess
import sys

import pytest
from app_files import APPS, ROOT

from keras_dl import errors, machine, settings

# In a process of its own: two stand-ins for GPUs, and a note of what TensorFlow is told about them. The two logical
# devices of the CPU take their place where something is computed.
STAND_INS = """
import json, runpy, sys
from keras_dl import errors, imports
with imports.quiet_tensorflow():
    import tensorflow as tf
    from tensorflow.python.eager import context
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
gpus = [tf.config.PhysicalDevice(f"/physical_device:GPU:{i}", "GPU") for i in range(2)]
physical, logical, told = tf.config.list_physical_devices, tf.config.list_logical_devices, {"growth": []}

def note(name, value):
    assert not context.context()._initialized, "an operation ran before the devices were set"
    told[name] = value

tf.config.list_physical_devices = lambda kind=None: gpus if kind == "GPU" else physical(kind)
tf.config.list_logical_devices = lambda kind=None: logical("CPU" if kind == "GPU" else kind)
tf.config.set_visible_devices = lambda devices, kind: note("visible", [d.name for d in devices])
tf.config.experimental.set_memory_growth = lambda gpu, on: note("growth", told["growth"] + [gpu.name] * on)
"""
BEGINNING = """
from keras_dl import tuning

class Stop(Exception):
    pass

def stop(compiled, train, validation, run, **_):
    raise Stop

tuning.search = stop
try:
    runpy.run_path(sys.argv[1])["main"](["--smoke", *sys.argv[2:]])  # an experiment has no search: it runs to its end
except Stop:
    pass
print(json.dumps(told))
"""
PLACEMENT = """
import keras
from keras_dl import training

fit = training.fit

def watched(model, *args, **kwargs):
    step = model.train_step
    def noting(batch):
        told.setdefault("step", []).extend(tf.nest.flatten(tf.distribute.get_replica_context().devices))
        return step(batch)
    model.train_step = noting
    history = fit(model, *args, **kwargs)
    told["variables"] = [[part.device for part in v.value.values] for v in model.trainable_variables]
    print(json.dumps(told))
    raise SystemExit

training.fit = watched
runpy.run_path(sys.argv[1])["main"](["--smoke", *sys.argv[2:]])
"""


def told(probe, app, *flags):
    """What TensorFlow was told in a process that ran STAND_INS and `probe`."""
    done = subprocess.run(
        [sys.executable, "-c", STAND_INS + probe, str(app), *map(str, flags)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "app",
    [pytest.param(app, marks=[] if app.stem == "model_text" else pytest.mark.slow) for app in APPS],
    ids=lambda p: p.stem,
)
def test_every_app_sets_its_devices_before_the_first_operation(app, tmp_path):
    said = told(BEGINNING, app, "--device", "gpu:1", "--out", tmp_path)
    assert said == {"visible": ["/physical_device:GPU:1"], "growth": ["/physical_device:GPU:1"]}


@pytest.mark.slow
def test_weights_and_steps_are_on_the_devices_that_were_asked_for(tmp_path):
    flags = ["--device", "gpu", "--strategy", "mirrored", "--model", "linear", "--trials", "0", "--epochs", "1"]
    said = told(PLACEMENT, ROOT / "apps" / "classify_images.py", *flags, "--out", tmp_path)
    assert said["visible"] == said["growth"] == ["/physical_device:GPU:0", "/physical_device:GPU:1"]
    both = ["/job:localhost/replica:0/task:0/device:CPU:0", "/job:localhost/replica:0/task:0/device:CPU:1"]
    assert said["variables"] and all(parts == both for parts in said["variables"])
    assert set(said["step"]) == set(both)


@pytest.mark.parametrize("device", ["gpu", "gpu:0", "tpu", "GPU:0", "cpu:0", ""])
def test_a_device_that_is_not_there_is_one_line(device):
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("device: this machine has a GPU")
    with pytest.raises(errors.UserError, match="--device: must be auto or a device of this machine") as caught:
        machine.prepare(settings.Common(device=device))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"precision": "float16"}, "--precision: must be one of 'float32', 'mixed_bfloat16', "),
        ({"strategy": None}, "--strategy: must be one of 'none', 'mirrored'; got None"),
        ({"deterministic": "yes"}, "--deterministic: must be True or False; got 'yes'"),
        ({"seed": -1}, "--seed: must be a whole number from 0 to 2,147,483,647; got -1"),
        ({"seed": 1.5}, "--seed: must be a whole number"),
        ({"device": None}, "--device: must be a string; got None"),
    ],
)
def test_a_wrong_setting_of_a_library_program_is_one_line(wrong, said):
    with pytest.raises(errors.UserError) as caught:
        machine.prepare(settings.Common(**wrong))
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)


def test_devices_that_come_too_late_are_one_line(monkeypatch):
    """As TensorFlow says it on a machine with a GPU when an operation has run before."""
    import tensorflow as tf

    def late(*_):
        raise RuntimeError("Visible devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "set_visible_devices", late)
    with pytest.raises(errors.UserError, match="before TensorFlow's first operation") as caught:
        machine.prepare(settings.Common())
    assert "\n" not in str(caught.value)


def test_the_same_machine_gives_the_same_first_weights():
    import keras
    import numpy as np

    import keras_dl

    def weights(seed):
        prepared = machine.prepare(settings.Common(seed=seed, precision="mixed_bfloat16"))
        assert prepared.seed == seed and keras.mixed_precision.dtype_policy().name == "mixed_bfloat16"
        return np.concatenate([w.ravel() for w in keras_dl.build_mlp((2, 2, 1), 3, units=(4,)).get_weights()])

    first, again, other = weights(1), weights(1), weights(2)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_who_asks_an_export_leaves_the_rest_of_a_gpu_to_others(monkeypatch):
    import tensorflow as tf

    told = []
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["a", "b"])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda gpu, on: told.append((gpu, on)))
    machine.prepare_to_answer()
    assert told == [("a", True), ("b", True)]

    def late(gpu, on):
        raise RuntimeError("Physical devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", late)
    machine.prepare_to_answer()  # of a process that has computed already
