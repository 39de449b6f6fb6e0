"""`import keras_dl` is enough for keras.models.load_model: Keras finds our classes when it meets their names.

A saved model names a class of ours "keras_dl>LSTM", and Keras looks that name up in its custom objects, where the
decorator keras.saving.register_keras_serializable("keras_dl") puts the class once its module is imported. Until then a
stand-in has the name there: when Keras asks it for an object, it imports the module, and the class takes its place.
"""

import functools
import importlib
import re
from pathlib import Path

PACKAGE = Path(__file__).parent
DECORATOR = re.escape('@keras.saving.register_keras_serializable("keras_dl")\n')
REGISTERED = re.compile(rf"^{DECORATOR}(?:@.*\n)*class (\w+)", re.MULTILINE)


@functools.cache
def names():
    """{class name: its module}, of all classes in this package that are registered with Keras, read from the sources.

    >>> names()["LSTM"]
    'keras_dl.layers.recurrent'
    """
    modules = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        module = ".".join([PACKAGE.name, *file.relative_to(PACKAGE).with_suffix("").parts])
        for name in REGISTERED.findall(file.read_text(encoding="utf-8")):
            modules[name] = module.removesuffix(".__init__")
    return modules


def register(keras):
    """Put a stand-in for each of our classes that is not imported yet into Keras' custom objects."""
    custom_objects = keras.saving.get_custom_objects()
    for name, module in names().items():
        custom_objects.setdefault(f"keras_dl>{name}", _stand_in(name, module))


def _stand_in(name, module):
    """A class that creates objects of `module`'s class `name`."""

    def real():
        return getattr(importlib.import_module(module), name)

    class StandIn:
        def __new__(cls, *args, **kwargs):
            return real()(*args, **kwargs)

        @staticmethod
        def from_config(*args, **kwargs):
            return real().from_config(*args, **kwargs)

    StandIn.__name__ = StandIn.__qualname__ = name
    return StandIn
