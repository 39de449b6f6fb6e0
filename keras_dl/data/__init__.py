"""Data sets in a reproducible order: each kind's `load` returns splits of raw examples, `batches` a pipeline over one.

    splits = data.images.load("mnist", seed=0)
    collate = data.images.with_labels(splits.preprocess)
    train = data.batches(splits.train, 128, collate=collate, seed=0, shuffle=True)

Nothing here shuffles with a buffer or keeps state: batch k of epoch e is a function of (seed, e, k), so that a run
can resume exactly where it was killed. Each kind is imported when it is first used, since some import TensorFlow.
"""

import importlib

from keras_dl.data import plans as plans
from keras_dl.data.examples import Examples as Examples
from keras_dl.data.examples import Info as Info
from keras_dl.data.examples import Ragged as Ragged
from keras_dl.data.examples import Splits as Splits
from keras_dl.data.fingerprints import fingerprint as fingerprint
from keras_dl.data.pipeline import Batches as Batches
from keras_dl.data.pipeline import batches as batches

# The modules of this folder that have a `load`.
KINDS = ("audio", "files", "images", "levels", "music", "pairs", "segmentation", "text")


def __getattr__(name):
    if name in KINDS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
