"""WaveNet and TCN: causal dilated convolutions against their equations, what an output sees, and generation."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import CASES

from keras_dl import decoding, models
from keras_dl.arguments import ArgumentError
from keras_dl.distributions import DiscreteLevel
from keras_dl.layers.causal_convolution import CausalConv1D, OneHotCausalConv1D, Upsampling1D, receptive_field


def sequence(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


# The layers.


@pytest.mark.parametrize(("kernel_size", "dilation_rate"), [(2, 1), (2, 4), (3, 2), (1, 3), (5, 16)])
def test_it_is_keras_causal_convolution(kernel_size, dilation_rate):
    x = sequence(2, 11, 3)
    ours = CausalConv1D(4, kernel_size, dilation_rate=dilation_rate)
    theirs = keras.layers.Conv1D(4, kernel_size, dilation_rate=dilation_rate, padding="causal")
    ours.build(x.shape), theirs.build(x.shape)
    theirs.set_weights([sequence(*weight.shape, seed=1) for weight in theirs.get_weights()])
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)


@pytest.mark.parametrize("dilation_rate", [2, 3, 5])
def test_a_dilated_convolution_is_as_many_interleaved_convolutions(dilation_rate):
    x = sequence(2, 4 * dilation_rate, 3)
    dilated = CausalConv1D(4, 3, dilation_rate=dilation_rate)
    whole = np.asarray(dilated(x))
    plain = CausalConv1D(4, 3)
    plain.build(x.shape)
    plain.set_weights(dilated.get_weights())
    for first in range(dilation_rate):
        part = x[:, first::dilation_rate]
        np.testing.assert_allclose(whole[:, first::dilation_rate], plain(part), atol=1e-5)


def test_a_normalised_kernel_has_the_length_that_its_gain_says():
    x, layer = sequence(2, 6, 3), CausalConv1D(4, 2, weight_norm=True)
    plain = CausalConv1D(4, 2)
    plain.build(x.shape), layer.build(x.shape)
    plain.kernel.assign(layer.kernel)
    np.testing.assert_allclose(layer(x), plain(x), atol=1e-6)  # it begins as the kernel itself
    gain = np.array([0.5, 1.0, 2.0, -3.0], "float32")
    layer.gain.assign(gain)
    kernel = np.asarray(layer.kernel)
    plain.kernel.assign(kernel * 7 * gain / np.linalg.norm(7 * kernel, axis=(0, 1)))
    layer.kernel.assign(7 * kernel)  # its length does not matter
    np.testing.assert_allclose(layer(x), plain(x), atol=1e-6)


def test_levels_are_seen_as_one_hot_vectors():
    levels = np.random.default_rng(0).integers(0, 5, (2, 7)).astype("int32")
    ours, plain = OneHotCausalConv1D(5, 4, 3), CausalConv1D(4, 3)
    one_hot = np.eye(5, dtype="float32")[levels]
    ours.build(levels.shape), plain.build(one_hot.shape)
    ours.bias.assign(sequence(4))
    plain.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(levels), plain(one_hot), atol=1e-6)


def test_what_is_no_level_adds_nothing():
    layer = OneHotCausalConv1D(5, 4, 2)
    alone, beside = (np.asarray(layer(np.array([[*before, 3]], "int32")))[0, -1] for before in ([], [5]))
    np.testing.assert_array_equal(alone, beside)
    weights = layer.step_weights()
    for before in (-1, 5, 70):
        step, following = layer.step(tf.constant([3]), tf.constant([[before]]), weights)
        np.testing.assert_array_equal(alone, step[0])
        assert following.numpy().tolist() == [[3]]


def test_a_gain_begins_as_its_kernels_length_also_where_keras_builds_while_it_fits():
    model = keras.Sequential([CausalConv1D(4, 2, weight_norm=True)])
    model.compile("sgd", "mse")
    model.optimizer.learning_rate = 0.0
    model.fit(sequence(2, 6, 3), sequence(2, 6, 4), verbose=0)
    layer = model.layers[0]
    np.testing.assert_allclose(layer.gain, np.linalg.norm(layer.kernel, axis=(0, 1)), rtol=1e-5)


@pytest.mark.parametrize("steps", [8, 7, 1])
def test_upsampling_is_a_transposed_convolution(steps):
    features, hop = sequence(2, 2, 3), 4
    ours, theirs = Upsampling1D(5, hop), keras.layers.Conv1DTranspose(5, hop, strides=hop)
    ours.build([features.shape, (2, steps)]), theirs.build(features.shape)
    ours.bias.assign(sequence(5))
    theirs.set_weights([np.transpose(ours.kernel, [1, 2, 0]), ours.bias])
    np.testing.assert_allclose(ours([features, np.zeros((2, steps))]), theirs(features)[:, :steps], atol=1e-5)


# The models.


def dense(layer, x):
    return x @ np.asarray(layer.kernel) + (np.asarray(layer.bias) if layer.use_bias else 0)


def causal(layer, x):
    """The equation of CausalConv1D as loops: x (T, D) -> (T, F)."""
    kernel = np.asarray(layer.kernel)
    if layer.gain is not None:
        kernel = np.asarray(layer.gain) * kernel / np.sqrt((kernel**2).sum((0, 1)))
    y = np.tile(np.asarray(layer.bias), (len(x), 1))
    for t in range(len(x)):
        for tap in range(len(kernel)):
            past = t - (len(kernel) - 1 - tap) * layer.dilation_rate
            if past >= 0:
                y[t] += x[past] @ kernel[tap]
    return y


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_wavenet_is_the_papers_equations():
    model = CASES["wavenet-context"].make(input_shape=(13,))
    part, rng = model.get_layer, np.random.default_rng(0)
    example = {"audio": rng.integers(0, 7, (1, 13)).astype("int32"), "label": np.array([2], "int32")}
    example["features"] = sequence(1, 7, 2)
    x = causal(part("causal"), example["audio"][0][:, None] * 2 / (model.levels - 1) - 1)
    kernel = np.asarray(part("upsampling").kernel)  # (D, H, F)
    features = np.concatenate([np.tensordot(h, kernel, 1) for h in example["features"][0]])
    features = (features + np.asarray(part("upsampling").bias))[: len(x)]
    skips = 0
    for number in (1, 2):
        own = np.asarray(part(f"layer{number}_context").embeddings)[example["label"][0]]
        u = causal(part(f"layer{number}_gates"), x) + own + dense(part(f"layer{number}_features"), features)
        half = u.shape[-1] // 2
        z = np.tanh(u[:, :half]) * sigmoid(u[:, half:])
        skips = skips + dense(part(f"layer{number}_skip"), z)
        if number == 1:
            x = x + dense(part("layer1_residual"), z)
    wanted = dense(part("parameters"), np.maximum(dense(part("top"), np.maximum(skips, 0)), 0))
    np.testing.assert_allclose(model(example)[0], wanted, atol=1e-5)


def test_a_tcn_is_the_papers_blocks():
    model, x = CASES["tcn"].make(input_shape=(None, 3)), sequence(1, 15, 3)
    y = x[0]
    for number in (1, 2):
        shortcut = dense(model.get_layer("block1_shortcut"), y) if number == 1 else y
        for convolution in (1, 2):
            y = np.maximum(causal(model.get_layer(f"block{number}_conv{convolution}"), y), 0)
        y = np.maximum(shortcut + y, 0)
    np.testing.assert_allclose(model(x)[0], dense(model.get_layer("logits"), y), atol=1e-5)


WAVENETS = {  # arguments -> receptive field: 1 + (K - 1) (1 + sum of the dilations)
    "one block": ({"dilations": (1, 2, 4)}, 9),
    "two blocks": ({"dilations": (1, 2), "num_blocks": 2}, 8),
    "wider": ({"dilations": (1, 3), "kernel_size": 3}, 11),
    "mixture": ({"dilations": (1, 2, 4), "output": "logistic_mixture"}, 9),
}


@pytest.mark.parametrize("row", WAVENETS)
def test_a_sample_moves_exactly_the_outputs_whose_field_it_is_in(row):
    arguments, field = WAVENETS[row]
    keras.utils.set_random_seed(1)
    model = models.build_wavenet(levels=9, filters=8, skip_filters=16, **{"num_blocks": 1} | arguments)
    assert model.receptive_field == field
    audio = np.random.default_rng(0).integers(0, 9, (4, 3 * field)).astype("int32")
    before = np.asarray(model(audio))
    for place in (0, 1, field, 3 * field - 1):
        other = audio.copy()
        other[:, place] = (other[:, place] + 4) % 9
        moved = np.abs(np.asarray(model(other)) - before).max((0, 2))
        assert np.flatnonzero(moved > 1e-8).tolist() == list(range(place, min(place + field, 3 * field)))


@pytest.mark.parametrize(("num_layers", "kernel_size"), [(1, 2), (2, 3), (3, 2)])
def test_the_field_of_a_tcn_has_its_length_and_no_holes(num_layers, kernel_size):
    keras.utils.set_random_seed(0)
    model = models.build_tcn(
        (None, 2), num_layers=num_layers, kernel_size=kernel_size, filters=8, initializer="glorot_uniform"
    )
    field = 1 + 2 * (kernel_size - 1) * (2**num_layers - 1)  # arXiv:1803.01271: two convolutions a block
    assert model.receptive_field == field
    x = tf.constant(sequence(16, 2 * field, 2))
    with tf.GradientTape() as tape:
        tape.watch(x)
        last = tf.reduce_sum(model(x)[:, -1] ** 2)
    seen = np.abs(tape.gradient(last, x)).max((0, 2)) > 0  # some unit is active in one of the sequences
    assert seen.tolist() == [False] * field + [True] * field


GENERATING = {
    "wavenet": {"dilations": (1, 2, 4)},
    "wavenet, a mixture of 16 bits": {"dilations": (1, 2, 4), "output": "logistic_mixture", "levels": 65_536},
    "tcn-tokens": {},
}


@pytest.mark.parametrize("row", GENERATING)
def test_cached_generation_is_the_whole_model_on_the_growing_prefix_under_the_same_noise(row):
    model = CASES[row.partition(",")[0]].built(input_shape=(None,), **GENERATING[row])
    memory, state = model.begin(rows=3)
    first, draw = tf.constant([0, 3, 5]), model.draw(seed=4) if "wavenet" in row else decoding.Sample(seed=4)
    drawn, scores, _ = decoding.generate(decoding.step_function(model, memory), state, first, 12, draw)
    written = first[:, None]
    for t in range(12):
        logits = model(written)[:, -1]
        following = draw(logits, t)
        np.testing.assert_allclose(scores[:, t], draw.log_probability(logits, following), atol=1e-5)
        written = tf.concat([written, following[:, None]], 1)
    assert drawn.numpy().tolist() == written[:, 1:].numpy().tolist()
    assert len(set(drawn.numpy().ravel().tolist())) > 2  # it does draw


CONTEXTS = {
    "label": ({"num_classes": 3}, {"label": np.array([2, 0], "int32")}),
    "condition": ({"condition_dim": 4}, {"condition": sequence(2, 4)}),
    "features": ({"features_dim": 3, "hop_length": 4}, {"features": sequence(2, 3, 3)}),
    "both": (
        {"num_classes": 3, "features_dim": 3, "hop_length": 4},
        {"label": np.array([2, 0], "int32"), "features": sequence(2, 3, 3)},
    ),
}


@pytest.mark.parametrize("row", CONTEXTS)
def test_step_by_step_and_in_parts_with_a_context_it_is_the_whole_model(row):
    arguments, context = CONTEXTS[row]
    model = models.build_wavenet(levels=9, dilations=(1, 2), num_blocks=1, filters=3, skip_filters=4, **arguments)
    audio = np.random.default_rng(0).integers(0, 9, (4, 11)).astype("int32")
    of_rows = {name: np.repeat(value, 2, 0) for name, value in context.items()}  # two rows of each context
    whole = np.asarray(model({"audio": audio} | of_rows))
    memory, state = model.begin({k: tf.constant(v) for k, v in context.items()})
    state = decoding.take(state, [0, 0, 1, 1])
    parts = []
    for part in (audio[:, :5], audio[:, 5:6], audio[:, 6:8]):
        parameters, state = model.read(tf.constant(part), state, memory)
        parts.append(parameters)
    for t in range(8, 11):
        parameters, state = model.step(tf.constant(audio[:, t]), state, memory)
        parts.append(parameters[:, None])
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, atol=1e-5)
    changed = {name: value[::-1] for name, value in of_rows.items()}
    assert np.abs(np.asarray(model({"audio": audio} | changed)) - whole).max() > 1e-3  # the context does matter


def test_features_must_reach_to_the_last_step():
    model = models.build_wavenet(
        levels=9, dilations=(1,), num_blocks=1, filters=3, skip_filters=4, features_dim=2, hop_length=4
    )
    memory, state = model.begin(tf.constant(sequence(2, 2, 2)))  # of eight steps
    audio = tf.zeros((2, 9), tf.int32)
    _, later = model.read(audio[:, :8], state, memory)
    for call in (
        lambda: model.read(audio, state, memory),
        lambda: model.step(audio[:, 0], later, memory),
        lambda: model.read(audio[:, :1], later, memory),
    ):
        with pytest.raises(ValueError, match="features must reach to the last step"):
            call()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("row", ["wavenet", "wavenet-context", "tcn", "tcn-tokens", "tcn-last"])
def test_in_half_precision_too_parts_are_the_whole_also_of_a_saved_model(row, policy, tmp_path):
    case = CASES[row]
    keras.mixed_precision.set_dtype_policy(policy)
    changes = {"levels": 65_536} if row == "wavenet-context" else {}
    model = case.built(**changes)
    model.save(tmp_path / "model.keras")
    keras.mixed_precision.set_dtype_policy("float32")
    example = case.example(2)
    context = None
    if isinstance(example, dict):
        example["audio"] = example["audio"] * 9_362 + np.array([[1, 2, 3, 4]], "int32")  # to the last levels
        context = {name: tf.constant(value) for name, value in example.items() if name != "audio"}
    x = tf.constant(example["audio"] if context else example)
    for one in (model, keras.models.load_model(tmp_path / "model.keras")):
        whole = np.asarray(one(example, training=False))
        assert np.isfinite(whole).all()
        memory, state = one.begin(context, rows=2)
        parts, state = one.read(x[:, :2], state, memory)
        for t in (2, 3):
            following, state = one.step(x[:, t], state, memory)
        last = whole if whole.ndim == 2 else whole[:, -1]
        np.testing.assert_allclose(following, last, atol=0.02 * np.abs(whole).max())
        if whole.ndim == 3:
            np.testing.assert_allclose(parts, whole[:, :2], atol=0.02 * np.abs(whole).max())


def test_a_level_of_65_536_can_be_certain():
    narrow = tf.constant([[0.0, 0.0, -20.0]])  # one component in the middle
    logs = DiscreteLevel("logistic_mixture", narrow, 65_536).log_prob(tf.constant([32_768]))
    assert float(logs[0]) > -1  # of the two levels beside the middle


def test_a_context_must_be_the_models_own():
    both = models.build_wavenet(
        levels=9, dilations=(1,), num_blocks=1, filters=3, skip_filters=4, num_classes=3, features_dim=2, hop_length=4
    )
    with pytest.raises(ValueError, match="WaveNet.begin: context must have features and label; got label"):
        both.begin({"label": tf.constant([1])})
    with pytest.raises(ValueError, match="WaveNet.begin: context must be the model's"):
        both.begin(rows=2)
    with pytest.raises(ValueError, match="a row for each of the rows, 2; got 1"):
        both.begin({"features": tf.zeros((2, 3, 2)), "label": tf.constant([1])})
    alone = CASES["wavenet"].built()
    with pytest.raises(ValueError, match="WaveNet.begin: context must be None, since the model has none"):
        alone.begin(tf.constant([1]))


def test_probabilities_of_all_16_bit_levels_sum_to_1():
    model = models.build_wavenet(
        levels=65_536, output="logistic_mixture", components=3, dilations=(1, 2), num_blocks=1, filters=4,
        skip_filters=5,
    )  # fmt: skip
    parameters = model(np.array([[0, 65_535, 40_000]], "int32"))[0]  # (3, P)
    levels = DiscreteLevel("logistic_mixture", parameters[None], 65_536)
    each = tf.exp(levels.log_prob(tf.range(65_536)[:, None]))  # (65,536, 3)
    np.testing.assert_allclose(tf.reduce_sum(each, 0), 1, atol=1e-3)


def test_fields_of_the_papers_blocks():
    assert receptive_field(2, [2**n for n in range(10)]) == 1024
    assert receptive_field(2, [2**n for n in range(10)] * 3) == 1 + 3 * 1023  # 192 ms at 16 kHz
    assert models.build_wavenet().receptive_field == 1 + 3 * 1023 + 1  # and the first convolution's


def test_too_many_layers_and_two_conditions_are_refused():
    with pytest.raises(
        ArgumentError, match="48 layers in all; got num_blocks=5 of 10 dilations each. Nearest: num_blocks=4"
    ):
        models.build_wavenet(num_blocks=5)
    with pytest.raises(ArgumentError, match="at most one of num_classes and condition_dim"):
        models.build_wavenet(num_classes=2, condition_dim=3)
    with pytest.raises(ArgumentError, match="build_tcn: embedding_dim is for tokens"):
        models.build_tcn((None, 2), embedding_dim=3)


def test_kernels_begin_as_the_paper_says_or_as_its_code_draws_them():
    """A standard deviation of 0.01; or uniform up to 1 / sqrt(fan_in), whose standard deviation is sqrt(3) smaller."""
    limit = (8 * 24) ** -0.5
    for initializer, deviation, largest in (("paper", 0.01, 0.06), ("authors_code", limit / 3**0.5, limit)):
        kernels = [
            layer.kernel.numpy()
            for layer in models.build_tcn(initializer=initializer).layers
            if hasattr(layer, "gain") and layer.kernel.shape[1] == 24
        ]
        assert len(kernels) == 15
        for kernel in kernels:
            assert abs(kernel.std() / deviation - 1) < 0.05 and np.abs(kernel).max() <= largest
