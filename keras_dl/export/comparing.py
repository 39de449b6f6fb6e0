"""Compares the answers of a reloaded export with those of the functions that were exported."""

import numpy as np

from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf

TOLERANCE = 1e-5  # of the reloaded answers: absolute up to 1, relative above


def compare(endpoints, served, calls, answers):
    """Compare the fresh process's answers with those of the functions in this process.

    The answers of an endpoint that samples must agree too: a sample is a function of the request, which has a seed, and
    both processes run the same operations in the same order on the same machine.

    Args:
        endpoints: {name: Endpoint}.
        served: {name: tf.function that was exported}.
        calls: {"endpoint/size": {input: array}}.
        answers: {"endpoint/size": {output: array}} of the fresh process.

    Raises:
        RuntimeError: an answer differs by more than TOLERANCE.
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
