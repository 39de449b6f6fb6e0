"""The measurements of models of sound: the peer is the same network, and both of ours draw the same."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))  # scripts, not a package


def row_of(**changes):
    import generation_speed

    return dataclasses.replace(generation_speed.ROWS["wavenet"], **generation_speed.SMOKE | changes)


def test_the_naive_generator_draws_what_ours_draws():
    import generation_speed

    row = row_of(batch_size=3, levels=11)
    model = row.build()
    prime = generation_speed.prime_of(row, model.receptive_field)
    contenders = generation_speed.cached, generation_speed.naive
    ours, naive = (of(model, prime, 12, model.draw(7)).numpy() for of in contenders)
    assert len(set(ours.ravel().tolist())) > 3
    generation_speed.compare(ours, naive)
    other = ours.copy()
    other[1, 11] = (other[1, 11] + 1) % 11
    constant = np.zeros_like(ours)
    for one, two in ((other, naive), (ours[:, :3], naive), (constant, constant)):
        with pytest.raises(generation_speed.UserError, match="must draw the same sound"):
            generation_speed.compare(one, two)


@pytest.mark.oracle
def test_the_peer_of_wavenet_is_our_network_at_once_and_sample_by_sample():
    torch = pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    import peers_torch_sound

    row = row_of(batch_size=2, levels=9)
    ours, theirs = row.build(), peers_torch_sound.WaveNet(**row.network)
    assert sum(p.numel() for p in theirs.parameters()) == ours.count_params()
    modules = {"causal": theirs.causal, "top": theirs.top, "parameters": theirs.parameters_of}
    for number, layer in enumerate(theirs.layers, 1):
        parts = {"gates": layer.gates, "skip": layer.skip, "residual": layer.residual}
        modules |= {f"layer{number}_{name}": module for name, module in parts.items() if module is not None}
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for layer in (layer for layer in ours.layers if layer.weights):
            kernel, bias = (rng.normal(0, 0.4, w.shape).astype("float32") for w in layer.get_weights())
            layer.set_weights([kernel, bias])
            module = modules.pop(layer.name)
            kernel = kernel.transpose(2, 1, 0) if kernel.ndim == 3 else kernel.T[..., None]  # (outputs, inputs, taps)
            module.weight.copy_(torch.from_numpy(kernel.copy()))
            module.bias.copy_(torch.from_numpy(bias))
    assert not modules
    levels = rng.integers(0, 9, (2, 14)).astype("int32")
    wanted = np.asarray(ours(levels))
    with torch.no_grad():
        logits = theirs(torch.from_numpy(levels).long()).numpy().transpose(0, 2, 1)
    assert wanted.std() > 0.1
    np.testing.assert_allclose(logits, wanted, atol=1e-4)
    steps = iter(torch.from_numpy(levels[:, 1:]).long().unbind(1))
    _, one_by_one = theirs.generate(
        torch.from_numpy(levels[:, 0]).long(), 13, lambda logits: next(steps), with_logits=True
    )
    np.testing.assert_allclose(one_by_one.numpy(), wanted[:, :13], atol=1e-4)


def test_operations_counted_by_hand_are_those_of_the_graph_of_a_step():
    """With dilations of 1: TensorFlow pads the parts of a dilated convolution, which is not counted."""
    import step_time_sound
    import tensorflow as tf
    from test_benchmarks_images import products

    row = dataclasses.replace(step_time_sound.ROWS["wavenet"], batch_size=2, steps=16, dilations=(1, 1, 1))
    model = row.build()

    def step(levels):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(model(levels, training=True)))
        return [g for g in tape.gradient(loss, model.trainable_variables) if not isinstance(g, tf.IndexedSlices)]

    graph = tf.function(step, autograph=False).get_concrete_function(tf.zeros((2, 16), tf.int32))
    counted = sum(products(graph))
    padded = 2 * 2 * 3 * 64 * 64 * 2  # one more step in the gradient of each padded sequence
    assert abs(counted - row.operations()) <= padded + 0.01 * row.operations()


@pytest.mark.oracle
def test_the_contenders_of_a_row_of_sound_run(monkeypatch):
    """Each two steps over little data, and all with the same count of weights; compiling takes a minute."""
    pytest.importorskip("torch", reason="oracle: PyTorch is not installed")
    import step_time
    import step_time_sound

    few = {"steps": 32, "sequences": 40, "batch_size": 2, "dilations": (1, 2), "filters": 4, "skip_filters": 6}
    monkeypatch.setitem(step_time_sound.ROWS, "wavenet", dataclasses.replace(step_time_sound.ROWS["wavenet"], **few))
    counts = set()
    for who in step_time.SOUND["wavenet"]:
        if who != "torch_compiled":
            contender = step_time_sound.contender(who, "wavenet")
            contender.run(contender.about.get("unit", 2))
            counts.add(contender.about["parameters"])
    assert len(counts) == 1


@pytest.mark.parametrize("order", [0, 1, 2])
def test_the_baselines_are_distributions_of_the_next_sample(order):
    """After any samples, the probabilities of all levels sum to 1."""
    import markov_sounds

    rng, levels = np.random.default_rng(0), 5
    train = [rng.integers(0, levels, size) for size in (40, 1, 7)]
    before = rng.integers(0, levels, 3)

    def of(recording):  # -log p of all its samples
        return len(recording) * markov_sounds.nats_per_sample(train, [recording], order, 0.7, 2, levels=levels)

    following = [np.append(before, level) for level in range(levels)]
    assert sum(np.exp(of(before) - of(recording)) for recording in following) == pytest.approx(1, rel=1e-9)


def test_a_baseline_is_its_count_of_what_stood_before():
    import markov_sounds

    train, test = [np.array([0, 1, 0, 1, 0, 0])], [np.array([0, 1])]
    # After silence (level 0) and after 0: 1 came twice and 0 twice in four, of all six 0 came four times.
    of_all = (4 + 0.5) / 7, (2 + 0.5) / 7
    wanted = -np.log([(2 + of_all[0]) / 5, (2 + of_all[1]) / 5]).mean()
    assert markov_sounds.nats_per_sample(train, test, 1, 1, 0, levels=2) == pytest.approx(wanted, rel=1e-9)
