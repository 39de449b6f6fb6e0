"""The answers of a reloaded export are held against those of the functions that were written."""

import numpy as np

from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf

TOLERANCE = 1e-5  # of the reloaded answers; relative above 1


def compare(endpoints, served, calls, answers):
    """Hold the fresh process's answers against those of the functions in this one.

    Of an endpoint that draws, too, all must be the same: its draw is a function of the request, of which the seed is a
    part, and both processes run the same operations in the same order on the same machine.
    """
    for call, inputs in calls.items():
        name, size = call.split("/")
        endpoint = endpoints[name]
        wanted = served[name](
            *[tf.constant(inputs[field], feature.dtype) for field, feature in endpoint.inputs.items()]
        )
        for field in sorted(set(wanted) | set(answers[call])):
            here, there = wanted[field].numpy() if field in wanted else None, answers[call].get(field)
            if not equal(here, there):
                how = "draws otherwise with the same seed" if endpoint.samples else "answers otherwise"
                raise RuntimeError(
                    f"export.save: reloaded in a fresh process, endpoint {name} {how} at batch size {size}: {field} "
                    f"must be within {TOLERANCE:g} of {here!r}; got {there!r}. Nothing was exported."
                )


def equal(here, there):
    if here is None or there is None or here.shape != there.shape:
        return False
    if np.issubdtype(here.dtype, np.floating):
        gap = TOLERANCE * np.maximum(1, np.abs(here))
        return bool(np.all((np.abs(there - here) <= gap) | (np.isnan(here) & np.isnan(there))))
    return np.array_equal(here, there)
