"""Lazy registration of our classes with Keras: `import keras_dl` is enough for keras.models.load_model.

A saved model refers to our classes by names such as "keras_dl>LSTM", which Keras looks up in its custom objects. The
decorator keras.saving.register_keras_serializable("keras_dl") adds a class when its module is imported. Until then a
stand-in is registered under the name: when Keras creates an object with it, it imports the module, and the class
replaces it.
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
    """{class name: its module} of all classes in this package with the decorator, found by searching the source files.

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
    """Add a stand-in for each of our classes that is not imported yet to Keras' custom objects."""
    custom_objects = keras.saving.get_custom_objects()
    for name, module in names().items():
        custom_objects.setdefault(f"keras_dl>{name}", _stand_in(name, module))


def _stand_in(name, module):
    """A class whose constructor and from_config create objects of class `name` of `module`, which they import."""

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
