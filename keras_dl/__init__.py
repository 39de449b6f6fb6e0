"""Every architecture of a deep-learning lecture, from the paper's equations to a model that is served.

    import keras_dl

    model = keras_dl.build_convnet((28, 28, 1), 10)

Names are imported when they are used (PEP 562): `import keras_dl` alone does not import TensorFlow or Keras. It makes
sure that they are quiet and set up as the models need them, whoever imports them later, and that Keras loads saved
models of this package (registration.py).
"""

import importlib

from keras_dl import imports

imports.prepare()

__version__ = "0.1.0"

LIGHT = (
    "checkpoint",
    "commands",
    "data",
    "describing",
    "features",
    "layers",
    "machine",
    "models",
    "own_data",
    "runs",
    "command_line",
    "settings",
)  # importable without TensorFlow
HEAVY = (
    "bounds",
    "course",
    "decoding",
    "distributions",
    "endpoints",
    "export",
    "frechet",
    "hyperparameters",
    "initializing",
    "judging",
    "laboratory",
    "objectives",
    "optimizers",
    "parts",
    "parzen",
    "reports",
    "samples",
    "scores",
    "second_order",
    "segmentation",
    "sequences",
    "summaries",
    "training",
    "tuning",
)


def __getattr__(name):
    if name in LIGHT or name in HEAVY:
        return importlib.import_module(f"{__name__}.{name}")
    if name.startswith("build_"):
        return getattr(importlib.import_module(f"{__name__}.models"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    models = importlib.import_module(f"{__name__}.models")
    builders = [name for name in dir(models) if name.startswith("build_")]
    return sorted([*LIGHT, *HEAVY, *builders, "__version__"])
