"""The measuring scripts: peers are the same networks as ours, counts and ratios are what they say, the scripts run."""

import contextlib
import dataclasses
import math
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # scripts, not a package

import tables  # noqa: E402 (it is found through the line above)

# Rows of step_time, of which the graphs of the slow ones take seconds to build.
QUICK_STEPS = ("linear", "mlp", "convnet", "resnet20", "lstm", "lstm_generation")
SLOW_STEPS = ("resnet34", "gru", "rnn", "lm_generation", "transformer", "attention_gru")
IMAGE_STEPS = ("vae", "dcgan", "gated_pixelcnn")  # counted in test_benchmarks_images.py
SOUND_STEPS = ("wavenet",)  # counted in test_benchmarks_sound.py
ALL_STEPS = {*QUICK_STEPS, *SLOW_STEPS, *IMAGE_STEPS, *SOUND_STEPS}


def test_a_ratio_counts_the_rounds_in_which_both_were_quiet():
    import step_time

    ours = {"seconds": np.array([1.0, 9.0, 1.0, 1.0]), "clean": np.array([True, False, True, True])}
    theirs = {"seconds": np.array([2.0, 2.0, 99.0, 2.0]), "clean": np.array([True, True, False, True])}
    assert step_time.ratio(ours, theirs) == {"value": 0.5, "spread": [0.5, 0.5]}


def test_the_share_of_the_peak_is_operations_a_second_over_those_of_the_product():
    import operations
    import step_time

    quiet = np.ones(3, bool)
    ours, product = ({"seconds": np.full(3, seconds), "clean": quiet} for seconds in (4.0, 1.0))
    share = step_time.share_of_peak(2 * operations.PEAK_OPERATIONS, ours, product)
    assert share == {"value": 0.5, "spread": [0.5, 0.5]}  # twice as much in four times the time
    rows = tables.TABLES["step_time"].rows
    assert {row.name for row in rows if row.metric == "share_of_peak"} == ALL_STEPS
    assert {row.name for row in rows} == ALL_STEPS


def row_of_step_time(name, **changes):
    """A row of step_time.py, wherever it stands."""
    import step_time
    import step_time_recurrent
    import step_time_translation

    rows = step_time.NETWORKS | step_time_recurrent.ROWS | step_time_translation.ROWS
    return dataclasses.replace(rows[name], **changes)


@pytest.mark.parametrize("name", [*QUICK_STEPS, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW_STEPS)])
def test_operations_counted_by_hand_are_those_of_the_kernels_that_tensorflow_runs(name, monkeypatch):
    """Within 1 %, with or without the gradient of the data, which TensorFlow computes for some networks."""
    import operations
    import step_time_recurrent
    import tensorflow as tf

    recurrent = {"implementation": "scan"} if name in ("lstm", "gru", "rnn", "lstm_generation") else {}
    row = row_of_step_time(name, batch_size=2, **recurrent)
    model = row.build()
    x = {
        tensor.name: tf.ones(
            [2, *(n or getattr(row, "steps", None) or row.tokens for n in tensor.shape[1:])], tensor.dtype
        )
        for tensor in tf.nest.flatten(model.inputs)
    }
    if name == "lm_generation":  # in the middle of a text
        memory, state = model.begin(rows=1)
        state = model.read(tf.ones((1, step_time_recurrent.CALL // 2 - 1), tf.int32), state, memory)[1]
    with products_that_run() as counted:
        if name == "lstm_generation":
            model(tf.ones((1, 1), tf.int32))
        elif name == "lm_generation":
            model.step(tf.ones((1,), tf.int32), state, memory)
        else:
            with tf.GradientTape() as tape:
                total = tf.reduce_sum(model(x if len(x) > 1 else x.popitem()[1], training=True))
            tape.gradient(total, model.trainable_variables)
    by_hand = row.operations()
    monkeypatch.setattr(operations, "OF_DATA", operations.TRAINED)
    with_the_gradient_of_the_data = row.operations()
    assert min(abs(sum(counted) / hand - 1) for hand in (by_hand, with_the_gradient_of_the_data)) < 0.01
    assert by_hand <= sum(counted) * 1.0001


@contextlib.contextmanager
def products_that_run():
    """A list of the floating-point operations of each product and convolution that TensorFlow runs within it."""
    import tensorflow as tf
    from tensorflow.python.framework import op_callbacks

    counts = []

    def count(op_type, inputs, attributes, outputs, op_name=None, graph=None):
        kind = op_type.decode() if isinstance(op_type, bytes) else op_type
        options = dict(zip(attributes[::2], attributes[1::2], strict=True)) if attributes else {}
        if kind == "MatMul":
            counts.append(2 * math.prod(outputs[0].shape) * inputs[0].shape[0 if options["transpose_a"] else 1])
        elif kind.startswith("BatchMatMul"):
            counts.append(2 * math.prod(outputs[0].shape) * inputs[0].shape[-2 if options["adj_x"] else -1])
        elif kind == "Conv2D":
            counts.append(2 * math.prod(outputs[0].shape) * math.prod(inputs[1].shape[:3]))
        elif kind in ("Conv2DBackpropInput", "Conv2DBackpropFilter"):
            kernel = inputs[1] if kind == "Conv2DBackpropInput" else outputs[0]
            counts.append(2 * math.prod(inputs[2].shape) * math.prod(kernel.shape[:3]))
        else:
            assert not re.search("Conv|Einsum|LSTM|GRU|RNN", kind), f"{kind} is not counted"

    tf.config.run_functions_eagerly(True)  # loops run their body step by step, each operation through the callback
    op_callbacks.add_op_callback(count)
    try:
        yield counts
    finally:
        op_callbacks.remove_op_callback(count)
        tf.config.run_functions_eagerly(False)


def test_a_busy_machine_is_refused(monkeypatch):
    import step_time

    class Disturbed:
        steps = 1

        def block(self):
            return {"seconds": 1.0, "cpu": 0.5, "foreign": 0.4}

    monkeypatch.setattr(step_time.time, "sleep", lambda _: None)
    with pytest.raises(step_time.UserError, match=r"got 0 of 90: other processes took 40% of the processor"):
        step_time.interleave({"a": Disturbed(), "b": Disturbed()}, [("a", "b")])


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["linear", "mlp", "convnet", "resnet20", "resnet34"])
def test_the_peers_are_our_networks(name):
    """As many weights, and with ours copied over the same logits."""
    torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    import peers_torch
    import step_time

    network = step_time.NETWORKS[name]
    ours, stock, theirs = network.build(), step_time.stock(network), peers_torch.build(name).eval()
    assert sum(p.numel() for p in theirs.parameters()) == step_time.trainable(ours) == step_time.trainable(stock)

    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, *network.input_shape)).astype(np.float32)
    for path, module in theirs.named_modules():
        layer = re.sub(r"(conv|bn)(\d)$", r"\2_\1", path.removeprefix("blocks.").replace(".", "_"))
        if not name.startswith("resnet"):
            layer = path
        weights = (
            [torch.from_numpy(np.array(v)) for v in ours.get_layer(layer).get_weights()]
            if layer in _names(ours)
            else []
        )
        with torch.no_grad():
            if isinstance(module, torch.nn.Conv2d):
                module.weight.copy_(weights[0].permute(3, 2, 0, 1))
            elif isinstance(module, torch.nn.Linear):
                module.weight.copy_(_channels_first(weights[0], theirs, path).T)
            elif isinstance(module, torch.nn.BatchNorm2d):
                assert (module.eps, 1 - module.momentum) == (1e-5, 0.9) == (ours.get_layer(layer).epsilon, 0.9)
                for own, weight in zip(
                    (module.weight, module.bias, module.running_mean, module.running_var), weights, strict=True
                ):
                    own.copy_(weight)
            if getattr(module, "bias", None) is not None and not isinstance(module, torch.nn.BatchNorm2d):
                module.bias.copy_(weights[1])
    stock.set_weights(ours.get_weights())
    with torch.no_grad():
        logits = theirs(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    wanted = np.asarray(ours(images, training=False))
    np.testing.assert_allclose(logits, wanted, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(np.asarray(stock(images, training=False)), wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.oracle
@pytest.mark.parametrize("batch_first", [False, True], ids=["time first", "batch first"])
@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_the_recurrent_peers_are_our_networks(name, batch_first):
    """As many weights but for PyTorch's second biases, and with ours copied over the same outputs."""
    torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    import peers_torch
    import step_time
    import step_time_recurrent

    row = step_time_recurrent.ROWS[name]
    ours, stock, theirs = row.build(), row.stock(), peers_torch.build(name, batch_first=batch_first)
    count = sum(p.numel() for p in theirs.parameters()) - peers_torch.redundant(theirs)
    assert count == step_time.trainable(ours) == step_time.trainable(stock)
    assert peers_torch.redundant(theirs) == {"lstm": 2 * 800, "gru": 0, "rnn": 2 * 512}[name]

    rng = np.random.default_rng(0)
    for weight in ours.trainable_variables:  # biases too
        weight.assign(rng.uniform(-0.1, 0.1, weight.shape))
    _copy_recurrent(ours, stock, theirs, name)
    words = name == "lstm"
    x = rng.integers(0, 10_000, (3, 7)) if words else rng.normal(size=(3, 7, 64)).astype(np.float32)
    given = torch.from_numpy(x)
    with torch.no_grad():
        made = theirs(given if batch_first else given.transpose(0, 1))
    made = made[0] if words else made
    wanted = np.asarray(ours(x, training=True))
    assert wanted.std() > 1e-2
    np.testing.assert_allclose(made.numpy() if batch_first else made.transpose(0, 1).numpy(), wanted, atol=1e-4)
    padded = np.concatenate([x, np.zeros((3, row.steps - 7, *x.shape[2:]), x.dtype)], 1)  # it takes whole windows
    np.testing.assert_allclose(np.asarray(stock(padded))[:, :7], wanted, atol=1e-4)


@pytest.mark.oracle
def test_the_peer_writes_with_our_state():
    """Word by word, its state kept: the logits of our step of generation."""
    torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    import peers_torch
    import step_time_recurrent
    import tensorflow as tf

    row = step_time_recurrent.ROWS["lstm_generation"]
    ours, theirs = row.build(), peers_torch.build("lstm").eval()
    _copy_recurrent(ours, row.stock(), theirs, "lstm")
    (_, state), their_state = ours.begin(rows=1), None
    for word in (3, 9_999, 0, 17):
        our_logits, state = ours.step(tf.constant([word]), state)
        with torch.inference_mode():
            logits, their_state = theirs(torch.tensor([[word]]), their_state)
        np.testing.assert_allclose(logits[-1].numpy(), our_logits, atol=1e-4)
        h, c = (s[:, 0].numpy() for s in their_state)
        ours_now = np.concatenate([part[0] for part in tf.nest.flatten(state)])
        np.testing.assert_allclose(ours_now, np.concatenate([h[0], c[0], h[1], c[1]]), atol=1e-4)


@pytest.mark.oracle
def test_the_peer_that_attends_writes_with_our_keys_and_values():
    """As many weights, and with ours copied over word by word the logits of our step of generation."""
    torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    import peers_torch_translation
    import step_time
    import step_time_recurrent
    import tensorflow as tf

    ours = step_time_recurrent.ROWS["lm_generation"].build()
    theirs = peers_torch_translation.build("word_transformer").eval()
    assert sum(p.numel() for p in theirs.parameters()) == step_time.trainable(ours)
    rng = np.random.default_rng(0)
    for weight in ours.trainable_variables:  # biases and norms too
        weight.assign(np.asarray(weight) + rng.uniform(-0.1, 0.1, weight.shape))
    peers_torch_translation.copy_transformer({v.name: v.get_weights() for v in ours.layers if v.weights}, theirs)
    (_, state), cache = ours.begin(rows=2), None
    for words in ([3, 9_999], [0, 17], [17, 0], [5, 5]):
        our_logits, state = ours.step(tf.constant(words), state)
        with torch.inference_mode():
            logits, cache = theirs(torch.tensor(words), cache)
        np.testing.assert_allclose(logits.numpy(), our_logits, atol=1e-4 * np.std(our_logits))


@pytest.mark.slow
@pytest.mark.oracle
@pytest.mark.parametrize("name", ["lstm", "gru", "rnn", "lstm_generation", "lm_generation"])
def test_the_contenders_of_a_recurrent_row_run(name, monkeypatch):
    """Each a block over little data, and all with the same count of weights; the table's rows are of contenders."""
    pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    import step_time
    import step_time_recurrent

    monkeypatch.setattr(step_time_recurrent, "CALL", 20)  # tokens of a text
    row = step_time_recurrent.ROWS[name]
    few = {"sequences": 8 * row.batch_size} if hasattr(row, "sequences") else {"tokens": 10 * 20 * 20 + 1}
    monkeypatch.setitem(step_time_recurrent.ROWS, name, dataclasses.replace(row, **few))
    counts = set()
    for who in step_time.RECURRENT[name]:
        contender = step_time_recurrent.contender(who, name)
        contender.run(contender.about.get("unit", 2))
        counts.add(contender.about["parameters"])
    assert len(counts) == 1
    metrics = {row.metric for row in tables.TABLES["step_time"].rows if row.name == name} - {"share_of_peak"}
    assert {m.removeprefix("ratio_to_").split("_")[0] for m in metrics} < {"torch", "keras", "ours"}


@pytest.mark.oracle
@pytest.mark.parametrize("batch_first", [False, True], ids=["time first", "batch first"])
def test_the_peers_of_the_transformer_are_our_network(batch_first):
    """PyTorch's and Keras' own: as many weights, and with ours copied over the same logits."""
    pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    import peers_torch_translation
    import step_time
    import step_time_translation

    ours = step_time_translation.ROWS["transformer"].build()
    theirs = peers_torch_translation.build("transformer", batch_first=batch_first).eval()
    stock = step_time_translation.stock_transformer(6)
    assert {step_time.trainable(ours), step_time.trainable(stock)} == {sum(p.numel() for p in theirs.parameters())}

    rng = np.random.default_rng(0)
    for weight in ours.trainable_variables:  # biases and norms too
        weight.assign(np.asarray(weight) + rng.uniform(-0.1, 0.1, weight.shape))
    weights = {layer.name: layer.get_weights() for layer in ours.layers if layer.weights}
    peers_torch_translation.copy_transformer(weights, theirs)
    given, wanted = _pairs(ours)
    np.testing.assert_allclose(_logits_of_torch(theirs, given), wanted, atol=1e-4 * wanted.std())
    for name, arrays in weights.items():
        own = stock.get_layer(name)
        own.set_weights([a.reshape(w.shape) for a, w in zip(arrays, own.get_weights(), strict=True)])
    np.testing.assert_allclose(np.asarray(stock(given)), wanted, atol=1e-4 * wanted.std())


@pytest.mark.oracle
def test_the_peer_s_dropout_is_ours_where_it_is_said_to_be():
    """Where nn.Transformer drops out more than the paper does, "same_dropout" does not."""
    torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    import peers_torch_translation

    for same, attention, inner in ((False, 0.1, torch.nn.Dropout), (True, 0.0, torch.nn.Identity)):
        model = peers_torch_translation.build("transformer", words=9, layers=2, width=8, inner=8, same_dropout=same)
        rates = {m.dropout for m in model.modules() if isinstance(m, torch.nn.MultiheadAttention)}
        layers = [*model.transformer.encoder.layers, *model.transformer.decoder.layers]
        assert rates == {attention} and {type(layer.dropout) for layer in layers} == {inner}
        others = [getattr(layer, f"dropout{k}", None) for layer in layers for k in (1, 2, 3)]
        assert {drop.p for drop in (*others, model.dropout) if drop is not None} == {0.1}


@pytest.mark.oracle
@pytest.mark.parametrize("batch_first", [False, True], ids=["time first", "batch first"])
def test_the_peer_with_attention_is_our_network(batch_first):
    """As many weights but for second biases; with ours copied over, no reset and no padding the same logits."""
    torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    import peers_torch_translation
    import step_time
    import step_time_translation

    ours = step_time_translation.ROWS["attention_gru"].build()
    theirs = peers_torch_translation.build("attention_gru", batch_first=batch_first)
    second = peers_torch_translation.redundant(theirs)
    assert second == 3 * 3 * 256 and step_time.trainable(ours) == sum(p.numel() for p in theirs.parameters()) - second

    rng = np.random.default_rng(0)
    for weight in ours.trainable_variables:
        weight.assign(rng.uniform(-0.1, 0.1, weight.shape))
    encoder, decoder = ours.get_layer("encoder"), ours.get_layer("decoder")
    cells = [encoder.forward_layer, encoder.backward_layer, decoder]
    for cell in cells:  # before or behind the recurrent matrix, a reset gate of 1 is the same
        bias = np.array(cell.bias)
        bias[256:512] += 100
        cell.bias.assign(bias)

    def gates(weight, sign=1):
        """z, r, candidate -> PyTorch's r, z, candidate; a sign of -1 where z is the share of what is new."""
        z, r, candidate = np.split(np.array(weight), 3, -1)
        return np.concatenate([r, sign * z, candidate], -1)

    step = {name: np.array(weight) for name, weight in decoder.step_weights.items()}
    given = {}
    for cell, ending in zip(cells[:2], ("l0", "l0_reverse"), strict=True):
        for kind, weight in (("weight_ih", cell.kernel), ("weight_hh", cell.recurrent_kernel), ("bias_ih", cell.bias)):
            given[f"encoder.{kind}_{ending}"] = gates(weight)
    given["cell.weight_ih"] = gates(np.concatenate([decoder.kernel, step["fed"]]), -1)
    given |= {"cell.weight_hh": gates(step["recurrent"], -1), "cell.bias_ih": gates(decoder.bias, -1)}
    given |= {"keys.weight": decoder.key_kernel, "keys.bias": decoder.key_bias}
    given |= {"query.weight": step["query"], "score.weight": step["score"][:, None]}
    for name in ("first_state", "output", "logits"):
        given |= dict(zip((f"{name}.weight", f"{name}.bias"), ours.get_layer(name).get_weights(), strict=True))
    for name in ("source_embedding", "target_embedding"):
        given[f"{name}.weight"] = ours.get_layer(name).get_weights()[0].T
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            parameter.copy_(torch.zeros([]) if "bias_hh" in name else torch.from_numpy(np.array(given.pop(name)).T))
    assert not given
    tokens, wanted = _pairs(ours, padded=False)
    np.testing.assert_allclose(_logits_of_torch(theirs, tokens), wanted, atol=1e-4 * wanted.std())


@pytest.mark.oracle
@pytest.mark.parametrize("ends", [False, True], ids=["no end", "ends"])
def test_the_contenders_of_decoding_find_the_same(ends, monkeypatch):
    """With the same weights, also where hypotheses end; the peer's steps give the network's logits."""
    torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    import decoding_speed

    few = {"words": 40, "layers": 2, "width": 16, "inner": 32, "sentences": 60, "beam": 3, "steps": 9}
    row = dataclasses.replace(decoding_speed.ROWS["transformer_beam5"], **few)
    if ends:  # by a token that they would draw in the middle
        drawn = np.array(decoding_speed.Torch(row).translate(1)["tokens"])
        often = np.bincount(drawn[:, 2:].ravel())
        row = dataclasses.replace(row, end=int(np.abs(often - 12).argmin()))
    monkeypatch.setitem(decoding_speed.ROWS, "few", row)
    found = {who: decoding_speed.contender(who, "few").translate(1) for who in decoding_speed.CONTENDERS}
    monkeypatch.setattr(decoding_speed, "EQUAL", 1.0)
    assert set(decoding_speed.compare(found).values()) == {1.0}
    ours = np.array(found["ours"]["tokens"])
    ended = (ours == row.stop).any(1)
    assert ended.any() == ends and len(np.unique(ours)) > 3
    if ends:
        assert len(set((ours != row.stop).sum(1))) > 1  # some earlier than others

    monkeypatch.setattr(decoding_speed, "CLOSE", -1.0)
    with pytest.raises(decoding_speed.UserError, match="every contender must find the same; uncached has 60 of 60"):
        decoding_speed.compare(found)
    network, decoder = row.torch(), decoding_speed.Torch(row).decoder
    source, target = torch.from_numpy(row.source()).long(), torch.from_numpy(np.maximum(ours, 1))
    memory, cache = decoder.begin(source), None
    wanted = network(source, target)
    for t in range(target.shape[1]):
        logits, cache = decoder.step(target[:, t], cache, memory)
        torch.testing.assert_close(logits, wanted[:, t], atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.oracle
@pytest.mark.parametrize("name", ["transformer", "attention_gru"])
def test_the_contenders_of_a_translation_row_run(name, monkeypatch):
    """Each a step over little data, and all with the same count of weights; the table's rows are of contenders."""
    pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    import step_time
    import step_time_translation

    row = dataclasses.replace(step_time_translation.ROWS[name], pairs=40, tokens=7, batch_size=4)
    row = dataclasses.replace(row, layers=1) if name == "transformer" else row
    monkeypatch.setitem(step_time_translation.ROWS, name, row)
    counts = set()
    for who in step_time.TRANSLATION[name]:
        contender = step_time_translation.contender(who, name)
        contender.run(contender.about.get("unit", 2))
        counts.add(contender.about["parameters"])
    assert len(counts) == 1
    source, target, after = row.arrays()
    assert (source[:, -1] == 2).all() and (target[:, 0] == 1).all() and (target[:, 1:] == after[:, :-1]).all()
    metrics = {row.metric for row in tables.TABLES["step_time"].rows if row.name == name} - {"share_of_peak"}
    assert {m.removeprefix("ratio_to_").split("_")[0] for m in metrics} < {"torch", "keras", "ours"}


@pytest.mark.oracle
def test_the_metrics_of_decoding_are_those_that_its_table_asks_for():
    import decoding_speed

    rows = tables.TABLES["decoding_speed"].rows
    assert {row.metric for row in rows} == {f"ratio_to_{who}" for who in decoding_speed.CONTENDERS[1:]}


def _pairs(model, padded=True):
    """({"source", "target"} of three sentences, one with a padded source, the model's logits of them)."""
    rng = np.random.default_rng(1)
    given = {name: rng.integers(4, 8000, (3, 6)) for name in ("source", "target")}
    given["source"][1, 4:] *= not padded
    return given, np.asarray(model(given, training=False))


def _logits_of_torch(model, given):
    import torch

    source, target = (torch.from_numpy(given[name] if model.batch_first else given[name].T.copy()) for name in given)
    with torch.no_grad():
        logits = model(source, target)
    return (logits if model.batch_first else logits.transpose(0, 1)).numpy()


def _copy_recurrent(ours, stock, theirs, name):
    """Our weights into Keras' own layers and into PyTorch's, whose gates lie in other orders."""
    torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    cells = [layer for layer in ours.layers if hasattr(layer, "cell")]
    stock_cells = [layer for layer in stock.layers if hasattr(layer, "cell")]
    stacked = theirs.lstm if name == "lstm" else theirs.recurrent
    with torch.no_grad():
        for k, (layer, own) in enumerate(zip(cells, stock_cells, strict=True)):
            recurrent = layer.recurrent_kernels[0] if name == "rnn" else layer.recurrent_kernel
            kernel, recurrent, bias = (np.array(w) for w in (layer.kernel, recurrent, layer.bias))
            own.set_weights([kernel, recurrent, bias])
            biases = bias if name == "gru" else (bias, np.zeros_like(bias))
            for kind, weight in zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), (kernel, recurrent, *biases),
                                    strict=True):  # fmt: skip
                if name == "gru":  # z, r, candidate -> r, z, candidate
                    z, r, candidate = np.split(weight, 3, -1)
                    weight = np.concatenate([r, z, candidate], -1)
                getattr(stacked, f"{kind}_l{k}").copy_(torch.from_numpy(weight.T.copy()))
        kernel, bias = ours.get_layer("logits").get_weights()
        theirs.logits.weight.copy_(torch.from_numpy(kernel.T.copy()))
        theirs.logits.bias.copy_(torch.from_numpy(bias))
        stock.layers[-1].set_weights([kernel, bias])
        if name == "lstm":
            (vectors,) = ours.get_layer("embedding").get_weights()
            theirs.embedding.weight.copy_(torch.from_numpy(vectors))
            stock.layers[0].set_weights([vectors])


def _names(model):
    return {layer.name for layer in model.layers}


def _channels_first(weight, peer, path):
    """Rows of a layer behind a flattening, in PyTorch's order (C, H, W); ours are (H, W, C)."""
    if hasattr(peer, "conv2") and path == "hidden1":
        return weight.reshape(5, 5, 16, -1).permute(2, 0, 1, 3).reshape(400, -1)
    return weight


@pytest.mark.slow
def test_scores_by_length_and_alignments_are_of_the_export(monkeypatch, tmp_path):
    """With an export of an app's short run in the place of Multi30k's: it must score as its card says."""
    import alignment
    import lengths

    from keras_dl import export
    from keras_dl.data import pairs

    monkeypatch.setattr(lengths, "ROOT", tmp_path)
    for row, (model, _) in lengths.MODELS.items():
        with pytest.raises(lengths.UserError, match=f"first run python apps/translate.py --model {model} "):
            lengths.of_multi30k(row)
    monkeypatch.undo()
    dates = lengths.dates("attention_gru", smoke=True)
    assert set(dates["metrics"]) == {r.metric for r in tables.TABLES["lengths"].rows if r.name == "dates_seq2seq"}
    assert sum(point["count"] for point in dates["curves"]["points"]) == dates["details"]["sources"] == 20

    words = shlex.split(f"--smoke --model transformer --trials 0 --out {tmp_path}")
    subprocess.run([sys.executable, str(ROOT / "apps" / "translate.py"), *words], check=True)
    made = export.load(tmp_path / "saved_models" / "transformer-dates")
    monkeypatch.setattr(lengths, "of_multi30k", lambda row: made)
    few = pairs.load("dates", chained=(1, 3), examples=1000, vocabulary_size=400).few(200)
    monkeypatch.setattr(pairs, "load", lambda *args, **kwargs: few)
    found = lengths.multi30k("transformer")
    assert sum(point["count"] for point in found["curves"]["points"]) == 200
    assert found["details"]["export"] == "python apps/translate.py --smoke --model transformer --trials 0"
    monkeypatch.setattr(alignment, "WORDS", range(2, 30))
    looks = alignment.alignment("transformer")
    shown = looks["curves"]["weights"]
    assert 0 < looks["metrics"]["entropy"] < np.log(100) and len(shown["weights"]) == len(shown["titles"]) == 4
    curves = {"dates_attention_gru": dates["curves"], "multi30k_transformer": found["curves"]}
    lengths.draw(curves, tmp_path / "lengths.png")
    alignment.draw({"transformer": looks["curves"]}, tmp_path / "alignment.png")
    assert (tmp_path / "lengths.png").stat().st_size > 1000 < (tmp_path / "alignment.png").stat().st_size

    made.card["metrics"]["bleu"] += 1
    with pytest.raises(lengths.UserError, match="its card says"):
        lengths.multi30k("transformer")
