"""What the apps of the lecture's figures compute and draw; each file is about one subject.

An app chooses what is computed, and says what was seen. What it needs for that stands here as functions of arrays,
with the equations in their docstrings; results.py writes pictures and their numbers into the run. Each file is imported
when it is first used, since some import TensorFlow.
"""

import importlib
from pathlib import Path


def __getattr__(name):
    if Path(__file__).with_name(f"{name}.py").exists():
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
