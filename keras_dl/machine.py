"""Device, strategy, precision, determinism and seed of a process.

TensorFlow's devices cannot be changed after its first operation. `prepare` therefore must be called before data are
loaded or a model is built; `runs.start` requires the Machine that it returns. This module imports TensorFlow only
inside functions.
"""

import contextlib
import dataclasses
import re

from keras_dl.errors import UserError
from keras_dl.imports import quiet_tensorflow
from keras_dl.waiting import waiting


@dataclasses.dataclass
class Machine:
    """What `prepare` has set up.

    Attributes:
        settings: the settings.Experiment that `prepare` was given, completed by own_data.fitted.
        strategy: the tf.distribute strategy, None for TensorFlow's default.
        chosen: what own_data.fitted chose, {"sentence", "values"}; None if it chose nothing.
    """

    settings: object
    strategy: object = None
    chosen: dict | None = None

    @property
    def seed(self):
        return self.settings.seed

    def scope(self):
        """The context in which variables are created."""
        return self.strategy.scope() if self.strategy is not None else contextlib.nullcontext()


def prepare(settings):
    """Set the visible devices, the precision, determinism and the global seeds, before the first operation.

    Args:
        settings: an instance of a settings.Experiment dataclass: device, deterministic, seed; of a settings.Common the
            strategy and the precision, too, which else are TensorFlow's default and float32.

    Returns:
        A Machine.

    Raises:
        UserError: a setting does not fit its annotation, this machine does not have the device, or TensorFlow has
            already computed on other devices in this process.
    """
    settings.validate()
    with waiting("loading TensorFlow ..."), quiet_tensorflow():
        import keras
        import tensorflow as tf
    try:
        strategy = _strategy(settings.device, getattr(settings, "strategy", "none"))
    except RuntimeError as error:
        raise UserError(
            f"--device: {settings.device} must be chosen before TensorFlow's first operation in a process, and this "
            "process has already computed on other devices. Call machine.prepare right after the imports."
        ) from error
    keras.mixed_precision.set_dtype_policy(getattr(settings, "precision", "float32"))
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(settings.seed)
    return Machine(settings, strategy)


def prepare_to_answer():
    """For a process that only calls an export: let TensorFlow allocate GPU memory as needed, not all at the start."""
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # too late: the process has already computed
        _grow(tf.config.get_visible_devices("GPU"))


def _grow(gpus):
    import tensorflow as tf

    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)


def _strategy(device, strategy):
    """Make only the chosen devices visible; return the tf.distribute strategy, None for TensorFlow's default."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    names = ["cpu", *(f"gpu:{i}" for i in range(len(gpus)))]
    match = re.fullmatch(r"auto|cpu|gpu(?::(\d+))?", device)
    if match is None or (device.startswith("gpu") and int(match[1] or 0) >= len(gpus)):
        raise UserError(f"--device: must be auto or a device of this machine ({', '.join(names)}); got {device!r}.")
    if device == "cpu":
        visible = []
    elif match[1]:
        visible = [gpus[int(match[1])]]
    else:
        visible = gpus
    tf.config.set_visible_devices(visible, "GPU")
    _grow(visible)
    if strategy == "mirrored":  # several machines: a MultiWorkerMirroredStrategy would be made here
        logical = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in logical])
    return None
