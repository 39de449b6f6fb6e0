"""Fingerprints of a run's data, so that a resumed run notices when the data have changed.

A fingerprint is plain JSON: for each split the number of examples and a digest of their arrays, the class names if
there are any, and a digest of each setting of the pre-processing.
"""

import hashlib
import json

import numpy as np

CHUNK = 1 << 24  # bytes of a memory-mapped array that are read at once


def fingerprint(splits):
    """{"train", "validation", "test": {"examples", "digest"}, "classes": [name], "preprocess": {part: digest}}.

    Args:
        splits: data.Splits. Its arrays are read once, at about 1 GB/s.
    """
    parts = {}
    for name in ("train", "validation", "test"):
        examples = getattr(splits, name)
        parts[name] = {"examples": len(examples), "digest": _of_features(examples.features)}
    config = json.loads(json.dumps(splits.preprocess.config(), default=_plain))
    return parts | {
        "classes": [str(name) for name in getattr(splits.info, "classes", ())],
        "preprocess": {name: digest_of(value) for name, value in config.items()},
    }


def digest_of(value):
    """The digest of a JSON value, as a fingerprint has it of each setting of the pre-processing."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=8).hexdigest()


def _of_features(features):
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(features):
        feature = features[name]
        arrays = (feature.values, feature.splits) if hasattr(feature, "splits") else (feature,)
        for array in arrays:
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            _update(digest, array)
    return digest.hexdigest()


def _update(digest, array):
    if array.dtype == object:  # texts of different lengths
        for text in array.ravel():
            text = text if isinstance(text, bytes) else str(text).encode()
            digest.update(len(text).to_bytes(8, "little") + text)
        return
    rows = max(1, CHUNK // max(1, array[:1].nbytes))
    for begin in range(0, len(array), rows):  # a memory-mapped array is never in memory as a whole
        digest.update(np.ascontiguousarray(array[begin : begin + rows]).view(np.uint8).reshape(-1).data)


def _plain(value):
    return value.tolist() if hasattr(value, "tolist") else str(value)
