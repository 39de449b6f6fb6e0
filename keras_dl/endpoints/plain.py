"""Calls of a model with operations that other formats have too."""

import contextlib


def plainly(model, inputs):
    """model(inputs, training=False), with recurrent layers as plain loops over time.

    No other format has TensorFlow's kernel for a whole LSTM, and all implementations of a layer give equal results.
    """
    with _plain_loops(model):
        return model(inputs, training=False)


@contextlib.contextmanager
def _plain_loops(model):
    layers = [layer for layer in model.layers if hasattr(layer, "implementation")]
    before = [layer.implementation for layer in layers]
    try:
        for layer in layers:
            layer.implementation = "plain"
        yield
    finally:
        for layer, implementation in zip(layers, before, strict=True):
            layer.implementation = implementation
