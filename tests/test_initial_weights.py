"""Every weight of a layer, and of a model, begins with values of its own, also by one seeded initializer."""

import inspect

import keras
import numpy as np
import pytest
from cases import CASES

from keras_dl import layers
from keras_dl.layers import initialization, outputs

N = 6  # one width everywhere, so that weights have one shape where they can
SEQUENCES = ((None, 5, N),)
LAYERS = {  # name -> (class, arguments, shapes of the inputs, which initializers)
    "LSTM": (layers.LSTM, {"units": N, "peephole": True}, SEQUENCES, ("kernel", "recurrent", "bias")),
    "GRU": (layers.GRU, {"units": N, "reset_after": True}, SEQUENCES, ("kernel", "recurrent", "bias")),
    "Transition": (
        layers.Transition, {"units": N, "transition_units": (N, N)}, SEQUENCES, ("kernel", "recurrent", "bias"),
    ),
    "Transition, shortcut": (
        layers.Transition, {"units": N, "transition_units": (N,), "shortcut": True}, SEQUENCES,
        ("kernel", "recurrent", "bias"),
    ),
    "AttentionDecoder": (
        layers.AttentionDecoder, {"units": N, "score": "concat", "attention_units": N, "output_units": N},
        ((None, 5, N), (None, 4, N)), ("kernel", "recurrent", "attention", "score"),
    ),
    "MultiHeadAttention": (layers.MultiHeadAttention, {"num_heads": 2, "key_dim": 3}, SEQUENCES, ("kernel",)),
    "RowLSTM": (layers.RowLSTM, {"units": N}, ((None, 4, 5, N),), ("kernel", "recurrent")),
    "DiagonalBiLSTM": (layers.DiagonalBiLSTM, {"units": N}, ((None, 4, 5, N),), ("kernel", "recurrent")),
    "CausalConv1D": (
        layers.CausalConv1D, {"filters": N, "kernel_size": 3, "weight_norm": True}, SEQUENCES, ("kernel",),
    ),
    "Maxout": (layers.Maxout, {"units": N}, ((None, N),), ("kernel",)),
}  # fmt: skip


def built(name, initializer):
    """The layer's weights after every initializer was given as `initializer`."""
    made, arguments, shapes, kinds = LAYERS[name]
    layer = made(**arguments, **{f"{kind}_initializer": initializer for kind in kinds})
    layer.build(*shapes)
    return {v.name: v.numpy() for v in layer.trainable_variables if len(np.unique(v)) > 2}


def assert_apart(weights):
    """No weight repeats another one, not even by a factor or in part."""
    values = list(weights.items())
    for k, (name, one) in enumerate(values):
        for other_name, other in values[:k]:
            common = min(one.size, other.size)
            if common >= 12:
                correlation = np.corrcoef(one.ravel()[:common], other.ravel()[:common])[0, 1]
                assert abs(correlation) < 0.9, (name, other_name)


def assert_blocks_apart(weights, width):
    """No gate, no head and no unit's part of a weight begins as another one of the layer: blocks of `width` columns."""
    blocks = {}
    for name, value in weights.items():
        for k in range(value.shape[-1] // width):
            blocks[name, k] = value[..., k * width : (k + 1) * width]
    values = list(blocks.items())
    for i, (name, one) in enumerate(values):
        for other_name, other in values[:i]:
            assert one.shape != other.shape or not np.allclose(one, other), (name, other_name)


def test_every_layer_that_takes_an_initializer_is_in_the_table():
    exported = [getattr(layers, name) for name in layers.EXPORTS]
    classes = [made for made in exported if inspect.isclass(made)]
    classes += [c for _, c in inspect.getmembers(outputs, inspect.isclass) if c.__module__ == outputs.__name__]
    for made in classes:
        if made is layers.BatchNormalization:  # Keras' own weights
            continue
        parameters = [p for c in made.__mro__ for p in inspect.signature(c.__init__).parameters]
        takes = any(p.endswith("initializer") for p in parameters)
        assert takes == (made in [row[0] for row in LAYERS.values()]), made


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("kind", ["random_normal", "glorot_uniform", "he_normal", "random_uniform"])
def test_one_seeded_initializer_draws_every_weight_of_a_layer_apart(name, kind):
    made = type(keras.initializers.get(kind))
    weights, same, other = (built(name, made(seed=seed)) for seed in (1, 1, 2))
    assert_apart(weights)
    assert_blocks_apart(weights, 3 if name == "MultiHeadAttention" else N)
    for key, value in weights.items():
        np.testing.assert_array_equal(value, same[key])
        assert not np.allclose(value, other[key]), key
    generated, again = (built(name, made(seed=keras.random.SeedGenerator(3))) for _ in range(2))
    assert_apart(generated)
    for key, value in generated.items():
        np.testing.assert_array_equal(value, again[key])


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("initializer", ["name", "object"])
def test_without_a_seed_too_and_by_the_seed_of_the_process_again(name, initializer):
    def start():
        keras.utils.set_random_seed(5)
        return built(name, "random_normal" if initializer == "name" else keras.initializers.RandomNormal())

    weights = start()
    assert_apart(weights)
    for key, value in start().items():
        np.testing.assert_array_equal(value, weights[key])


@pytest.mark.parametrize("name", LAYERS)
def test_a_config_draws_again_what_its_seeds_drew(name):
    made, arguments, shapes, kinds = LAYERS[name]
    seeds = {f"{kind}_initializer": keras.initializers.RandomNormal(seed=7) for kind in kinds}
    one = made(**arguments, **seeds)
    other = made.from_config(one.get_config())
    for layer in (one, other):
        layer.build(*shapes)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_first_weight_of_a_seed_is_the_one_that_keras_draws():
    def initializers():
        return {"kernel_initializer": keras.initializers.GlorotUniform(seed=1),
                "recurrent_initializer": keras.initializers.Orthogonal(seed=2)}  # fmt: skip

    ours, keras_own = layers.LSTM(N, **initializers()), keras.layers.LSTM(N, **initializers())
    for layer in (ours, keras_own):
        layer.build((None, 5, N))
    for a, b in zip(ours.get_weights(), keras_own.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_has_no_seed_is_given_on_as_it_is():
    layer = layers.LSTM(N, kernel_initializer="ones", bias_initializer=keras.initializers.Constant(3.0))
    layer.build((None, 5, N))
    assert (layer.kernel.numpy() == 1).all()
    np.testing.assert_array_equal(layer.bias, np.repeat([3, 1, 3, 3], N))

    def of_mine(shape, dtype=None):
        return keras.ops.full(shape, 0.5, dtype)

    layer = layers.MultiHeadAttention(2, 3, kernel_initializer=of_mine)
    layer.build((None, 5, N))
    assert all((w == 0.5).all() for w in layer.get_weights())


@pytest.mark.parametrize("seed", [0, -1, 2**40])
def test_any_whole_number_is_a_seed(seed):
    assert_apart(built("MultiHeadAttention", keras.initializers.RandomNormal(seed=seed)))
    assert len({initialization.derived_seed(seed, k) for k in range(50)}) == 50


def test_orthogonal_blocks_differ_and_do_not_come_back_by_the_next_seed():
    def blocks(seed):
        return np.split(np.asarray(initialization.OrthogonalBlocks(seed)((N, 3 * N))), 3, -1)

    assert_apart({(seed, k): block for seed in (1, 2, 3) for k, block in enumerate(blocks(seed))})
    assert_apart(dict(enumerate(blocks(keras.random.SeedGenerator(1)))))
    config = initialization.OrthogonalBlocks(keras.random.SeedGenerator(1)).get_config()
    again = initialization.OrthogonalBlocks.from_config(config)
    np.testing.assert_array_equal(again((N, 3 * N)), np.concatenate(blocks(keras.random.SeedGenerator(1)), -1))


# Whole models.

ALIKE = {  # builder -> arguments by which many weights have one shape
    "rnn": {"units": (N, N), "output_units": (N, N), "transition_units": (N,), "output_activation": "maxout"},
    "lstm": {"units": (N, N), "forget_bias": 0.0},
    "gru": {"units": (N, N)},
    "seq2seq": {"units": (N, N), "embedding_dim": N},
    "attention_seq2seq": {"units": N, "embedding_dim": N, "attention_units": N, "output_units": N},
    "transformer": {"num_layers": 2, "hidden_dim": N, "num_heads": 2, "intermediate_dim": N},
    "transformer_lm": {"num_layers": 2, "hidden_dim": N, "num_heads": 2, "intermediate_dim": N},
}
DRAWN = {
    "init_scale": ({"init_scale": 0.1}, {}),
    "initializer": ({"initializer": "paper"}, {"initializer": "glorot_uniform"}),
}


@pytest.mark.parametrize("name", ALIKE)
def test_all_weights_of_a_model_begin_apart(name):
    case = CASES[name]
    parameters = inspect.signature(case.build).parameters
    variants = next((choices for argument, choices in DRAWN.items() if argument in parameters), ({},))
    for variant in variants:
        model = case.built(**ALIKE[name] | variant)
        weights = {v.path: v.numpy() for v in model.trainable_variables if len(np.unique(v)) > 2}
        assert_apart(weights)
        assert_blocks_apart(weights, N)
