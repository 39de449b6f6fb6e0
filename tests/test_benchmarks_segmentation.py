"""The step_time rows of networks that segment: the peers are the same networks, and the operations are counted."""

import dataclasses
import math
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))  # scripts, not a package

SMALL = {
    "segnet": {"input_shape": (9, 11, 3), "arguments": {"filters": (4, 5), "depth": (2, 3)}},
    "deconvnet3d": {
        "input_shape": (5, 6, 7, 1),
        "arguments": {"filters": (4, 5), "depth": (2, 1), "units": 6, "bottleneck_size": 2},
    },
}


def row_of(name, **changes):
    import step_time_segmentation

    return dataclasses.replace(step_time_segmentation.ROWS[name], **SMALL[name], examples=40, batch_size=2, **changes)


@pytest.mark.oracle
@pytest.mark.parametrize("name", SMALL)
def test_the_peer_is_our_network(name):
    torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    import peers_torch_segmentation

    row = row_of(name)
    ours = row.build()
    theirs = peers_torch_segmentation.Mirrored(row.kind, row.input_shape, row.num_classes, **row.arguments).eval()
    rng, copied = np.random.default_rng(0), 0

    def copy(into, array):
        array = array if array.ndim == 1 else np.moveaxis(array, (-1, -2), (0, 1))  # (outputs, inputs, taps)
        into.copy_(torch.from_numpy(array.copy()))

    with torch.no_grad():
        for layer in (layer for layer in ours.layers if layer.weights):
            if layer.name == "logits":
                pairs = [theirs.logits.weight, theirs.logits.bias]
                values = [rng.normal(0, 0.4, w.shape).astype("float32") for w in layer.get_weights()]
            elif layer.name.endswith("_bn"):
                bn = theirs.blocks[layer.name.removesuffix("_bn")].bn
                pairs = [bn.weight, bn.bias, bn.running_mean, bn.running_var]
                values = [rng.uniform(0.5, 1.5, w.shape).astype("float32") for w in layer.get_weights()]
            else:
                pairs = [theirs.blocks[layer.name].layer.weight]
                values = [rng.normal(0, 0.4, w.shape).astype("float32") for w in layer.get_weights()]
            layer.set_weights(values)
            for into, value in zip(pairs, values, strict=True):
                # A transposed convolution is the gradient of one, in both libraries: taps are not turned.
                copy(into, value)
                copied += value.size
    assert copied == ours.count_params()
    x = row.data()[0][:2]
    wanted = np.asarray(ours(x, training=False))
    with torch.no_grad():
        logits = theirs(torch.from_numpy(np.moveaxis(x, -1, 1).copy())).numpy()
    assert wanted.std() > 0.1
    np.testing.assert_allclose(np.moveaxis(logits, 1, -1), wanted, atol=2e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("name", SMALL)
def test_operations_counted_by_hand_are_those_of_the_layers(name):
    """Each kernel is applied at every position of its output, or, transposed, of its input."""
    import operations

    row = row_of(name)
    forward = {}
    for layer in row.build().layers:
        if "Conv" in type(layer).__name__:
            maps = layer.input if "Transpose" in type(layer).__name__ else layer.output
            forward[layer.name] = 2 * row.batch_size * math.prod(maps.shape[1:-1]) * math.prod(layer.kernel.shape)
    assert row.operations() == 3 * sum(forward.values()) - forward["conv1_1"]
    assert operations.OF_DATA == 2


@pytest.mark.oracle
@pytest.mark.parametrize("name", SMALL)
def test_the_contenders_of_a_row_run(name, monkeypatch):
    """Each two steps over little data, and all with the same count of weights; compiling takes a minute."""
    pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    import step_time
    import step_time_segmentation

    monkeypatch.setitem(step_time_segmentation.ROWS, name, row_of(name))
    counts = set()
    for who in step_time.SEGMENTATION[name]:
        if who != "torch_compiled":
            contender = step_time_segmentation.contender(who, name)
            contender.run(contender.about.get("unit", 2))
            counts.add(contender.about["parameters"])
    assert len(counts) == 1
