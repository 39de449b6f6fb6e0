"""The step_time row of networks that classify volumes: the peer is the same network, and the operations are counted."""

import dataclasses
import math
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))  # scripts, not a package

SMALL = {"input_shape": (4, 8, 12, 2), "filters": (3, 5), "kernel_size": (5, 4)}


def small_row():
    import step_time_volumes

    return dataclasses.replace(step_time_volumes.ROWS["convnet3d"], **SMALL, examples=40, batch_size=2)


@pytest.mark.oracle
def test_the_peer_is_our_network():
    torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    import peers_torch_volumes

    row = small_row()
    ours = row.build()
    theirs = peers_torch_volumes.ConvNet3d(row.input_shape, row.num_classes, row.filters, row.kernel_size).eval()
    rng, copied = np.random.default_rng(0), 0
    layers = [layer for layer in theirs.modules() if getattr(layer, "weight", None) is not None]
    last = [side // 4 for side in row.input_shape[:3]]

    def as_theirs(array):
        if array.ndim == 5:
            return np.moveaxis(array, (-1, -2), (0, 1))  # (outputs, inputs, taps)
        if array.ndim == 2:  # ours flattens voxels before channels, theirs channels first
            return np.moveaxis(array.reshape(*last, -1, array.shape[1]), (4, 3), (0, 1)).reshape(array.shape[1], -1)
        return array

    with torch.no_grad():
        for layer, peer in zip((layer for layer in ours.layers if layer.weights), layers, strict=True):
            weights = layer.get_weights()
            if isinstance(peer, torch.nn.BatchNorm3d):
                assert peer.eps == layer.epsilon
                into = [peer.weight, peer.bias, peer.running_mean, peer.running_var]
                values = [rng.uniform(0.5, 1.5, w.shape).astype("float32") for w in weights]
            else:
                into = [peer.weight, *([peer.bias] if peer.bias is not None else [])]
                values = [rng.normal(0, 0.4, w.shape).astype("float32") for w in weights]
            layer.set_weights(values)
            for parameter, value in zip(into, values, strict=True):
                parameter.copy_(torch.from_numpy(as_theirs(value).copy()))
                copied += value.size
    assert copied == ours.count_params()
    x = row.data()[0][:2]
    wanted = np.asarray(ours(x, training=False))
    with torch.no_grad():
        logits = theirs(torch.from_numpy(np.moveaxis(x, -1, 1).copy())).numpy()
    assert wanted.std() > 0.1
    np.testing.assert_allclose(logits, wanted, atol=2e-4 * np.abs(wanted).max())


def test_operations_counted_by_hand_are_those_of_the_layers():
    """Each kernel is applied at every position of its output; the first convolution's inputs are the data."""
    row, forward = small_row(), []
    for layer in row.build().layers:
        if type(layer).__name__ in ("Conv3D", "Dense"):
            positions = math.prod(layer.output.shape[1:-1])
            forward.append(2 * row.batch_size * positions * math.prod(layer.kernel.shape))
    assert len(forward) == 3
    assert row.operations() == 3 * sum(forward) - forward[0]


def test_the_kernels_of_the_row_are_those_of_our_network():
    import step_time_volumes

    row = step_time_volumes.ROWS["convnet3d"]
    kernels = [layer.kernel.shape[0] for layer in row.build().layers if type(layer).__name__ == "Conv3D"]
    assert tuple(kernels) == row.kernel_size


@pytest.mark.oracle
def test_the_contenders_of_the_row_run(monkeypatch):
    """Each two steps over little data, and all with the same count of weights; compiling takes a minute."""
    pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    import step_time
    import step_time_volumes

    monkeypatch.setitem(step_time_volumes.ROWS, "convnet3d", small_row())
    counts = set()
    for who in step_time.VOLUMES["convnet3d"]:
        if who != "torch_compiled":
            contender = step_time_volumes.contender(who, "convnet3d")
            contender.run(contender.about.get("unit", 2))
            counts.add(contender.about["parameters"])
    assert len(counts) == 1
