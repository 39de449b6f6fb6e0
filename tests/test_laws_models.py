"""The laws that every builder obeys, over all rows of the table, and the messages of its argument checks."""

import ast
import functools
import inspect
import re
from pathlib import Path

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from cases import CASES, PAPER_COUNTS, first_rows

import keras_dl
from keras_dl import models
from keras_dl.arguments import ArgumentError

BUILDERS = [name for name in models.EXPORTS if name.startswith("build_")]
ROWS = list(CASES)
FIRST_ROWS = first_rows()  # where a law takes half a second a row, a builder's other rows are slow
MORE_ROWS = [name if name in FIRST_ROWS else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
QUICK = ("mlp-batch_norm", "convnet", "lstm", "gru")  # one row of a kind, where a law takes seconds a row
DEAR_ROWS = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
PRECISIONS = ("mixed_bfloat16", "mixed_float16")


def trainable(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def answer(model, images):
    return np.asarray(model(images, training=False))


def rows(inputs, which):
    """Some examples of a batch, of several inputs too."""
    return tf.nest.map_structure(lambda x: x[which], inputs)


def last_layer(model):
    """The last layer, in the last of the networks of which a model consists."""
    while getattr(model, "layers", ()):
        model = model.layers[-1]
    return model


def weightless(build, **arguments):
    """The model without its weights' values, of which some have gigabytes."""
    keras.utils.clear_session(free_memory=False)  # what the builder does not name, operations, is numbered from 1 again
    with keras.StatelessScope(initialize_variables=False):
        model = build(**arguments)
    keras.utils.clear_session(free_memory=False)  # or Keras makes them at the next model
    return model


# The table itself


def test_every_public_builder_has_a_row():
    assert {case.build.__name__ for case in CASES.values()} == set(BUILDERS)
    assert {f"build_{name}" for name, _ in PAPER_COUNTS} == set(BUILDERS)


def test_every_model_file_exports_its_builder_and_its_space():
    files = [path for path in Path(models.__file__).parent.glob("*.py") if not path.stem.startswith("_")]
    public = {
        node.name: path.stem
        for path in files
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
    }
    assert public == models.EXPORTS
    for builder in BUILDERS:
        assert f"{builder.removeprefix('build_')}_space" in public
        assert getattr(keras_dl, builder) is getattr(models, builder)


def test_the_catalogue_says_what_the_builders_are():
    for entry in models.catalogue():
        builder = getattr(models, f"build_{entry.name}")
        signature = {p.name: p.default for p in inspect.signature(builder).parameters.values()}
        assert entry.arguments == signature and list(entry.arguments)[-1] == "name" == list(signature)[-1]
        assert Path(inspect.getfile(inspect.unwrap(builder))).as_posix().endswith(entry.file)
        assert entry.parameters == inspect.getmodule(builder).PARAMETERS and entry.source


@pytest.mark.parametrize("builder", BUILDERS)
def test_every_builder_documents_arguments_shapes_errors_and_an_example(builder):
    text = inspect.getdoc(getattr(models, builder))  # without the indentation, which CPython 3.13 strips by itself
    assert all(part in text for part in ("Args:", "Returns:", "Raises:", ">>> "))
    assert re.search(r'"(logits|parameters)"\s+\(B, ', text)
    for argument in inspect.signature(getattr(models, builder)).parameters:
        assert f"\n    {argument}: " in text


# The paper's counts


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        pytest.param(*row, marks=pytest.mark.slow if row[1] in ((("depth", 101),), (("depth", 152),)) else ())
        for row in PAPER_COUNTS
    ],
)
def test_trainable_parameters_at_the_papers_widths(name, arguments):
    model = weightless(getattr(models, f"build_{name}"), **dict(arguments))
    assert trainable(model) == PAPER_COUNTS[name, arguments]


@pytest.mark.parametrize("entry", models.catalogue(), ids=lambda entry: entry.name)
def test_the_parameters_literal_is_the_count_at_the_defaults(entry):
    assert trainable(default_model(entry.name)) == entry.parameters


@functools.cache
def default_model(name):
    return weightless(getattr(models, f"build_{name}"))


# The spaces


@pytest.mark.parametrize("name", [builder.removeprefix("build_") for builder in BUILDERS])
def test_an_untouched_space_gives_the_papers_model(name):
    hp = keras_tuner.HyperParameters()
    arguments = getattr(models, f"{name}_space")(hp)
    model = weightless(getattr(models, f"build_{name}"), **arguments)
    assert model.to_json() == default_model(name).to_json()
    assert bool(hp.space) == bool(arguments) == (name != "linear")


@pytest.mark.parametrize("name", [builder.removeprefix("build_") for builder in BUILDERS])
def test_every_point_of_a_space_is_accepted_and_every_hyperparameter_matters(name, monkeypatch):
    space, build = getattr(models, f"{name}_space"), getattr(models, f"build_{name}")
    hp = keras_tuner.HyperParameters()
    paper = space(hp)
    for parameter in hp.space:
        for value in parameter.values:
            changed = keras_tuner.HyperParameters()
            changed.values[parameter.name] = value
            arguments = space(changed)
            assert (arguments == paper) == (value == parameter.default), (parameter.name, value)
            monkeypatch.setattr(keras, "Input", Stop.here)  # the checks come before it; the layers cost seconds
            with pytest.raises(Stop):
                build(**arguments)


class Stop(Exception):
    @classmethod
    def here(cls, *args, **kwargs):
        raise cls


# The laws


@pytest.mark.parametrize("row", ROWS)
def test_inputs_outputs_and_weights(row):
    case = CASES[row]
    model = case.model
    assert {tensor.name: tensor.shape[1:] for tensor in model.inputs} == case.inputs.shapes
    last = last_layer(model)
    assert last.name in ("logits", "parameters") and last.activation is keras.activations.linear
    for batch in (1, 3):
        logits = model(case.example(batch), training=False)
        assert logits.shape == (batch, *case.output) and logits.dtype == "float32"
    assert trainable(model) == case.weights
    assert not model.compiled


@pytest.mark.parametrize("row", ROWS)
def test_every_layer_is_named_by_the_builder(row):
    # A name of Keras' own making is numbered through the process, so a second model would have others.
    case = CASES[row]
    again = case.built()
    assert [layer.name for layer in again.layers] == [layer.name for layer in case.model.layers]
    renamed = case.built(name="renamed")
    assert renamed.name == "renamed" and again.name == case.build.__name__.removeprefix("build_")


@pytest.mark.parametrize("row", ROWS)
def test_every_trainable_weight_gets_a_finite_gradient_that_is_not_zero(row):
    case = CASES[row]
    with case.borrowed() as model, tf.GradientTape() as tape:  # training moves the running statistics
        logits = model(case.example(16), training=True)
        loss = case.loss(case.labels(16), logits)
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    largest = {
        v.path: 0.0 if g is None else float(tf.reduce_max(tf.abs(g)))
        for v, g in zip(model.trainable_variables, gradients, strict=True)
    }
    assert all(np.isfinite(value) for value in largest.values())
    # A bias before batch normalisation has a gradient of rounding errors: that is none.
    none = {path for path, value in largest.items() if value < 1e-6 * max(largest.values())}
    assert none == {path for path in largest if path.endswith(case.without_gradient)}


@pytest.mark.parametrize("row", ROWS)
def test_an_answer_depends_on_its_own_image_alone(row):
    case = CASES[row]
    images = case.example(5)
    order = np.array([3, 0, 4, 1, 2])
    logits = answer(case.model, images)
    assert np.ptp(logits, axis=0).max() > 1e-3  # and on that it does
    np.testing.assert_allclose(answer(case.model, rows(images, order)), logits[order], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(answer(case.model, rows(images, slice(2, 3))), logits[2:3], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("row", ROWS)
def test_inference_gives_the_same_answer_twice_and_changes_nothing(row):
    case = CASES[row]
    images, before = case.example(4), [np.asarray(v) for v in case.model.variables]
    np.testing.assert_array_equal(answer(case.model, images), answer(case.model, images))
    assert all(np.array_equal(old, v) for old, v in zip(before, case.model.variables, strict=True))


@pytest.mark.parametrize("row", MORE_ROWS)
def test_one_batch_can_be_learned_by_heart(row):
    case = CASES[row]
    keras.utils.set_random_seed(0)
    model = case.built(**case.without_dropout)
    inputs, labels = case.example(12), case.labels(12)
    weights = model.trainable_variables
    optimizer = keras.optimizers.Adam(0.02)
    optimizer.build(weights)

    def update(step, _):
        with tf.GradientTape() as tape:
            logits = model(inputs, training=True)
            loss = case.loss(labels, logits)
        optimizer.apply(tape.gradient(loss, [weight.value for weight in weights]))
        return step + 1, loss

    @tf.function(autograph=False)
    def learn(updates=40):
        return tf.while_loop(lambda step, _: step < updates, update, (0, 0.0), parallel_iterations=1)[1]

    for _ in range(25):  # the slowest, Luong's general score, takes 10 of these on one processor and more on another
        # The loss of training: with twelve values a channel, the running variances are an eleventh above the batch's.
        loss = learn()
        right = case.right(labels, answer(model, inputs))
        if loss < 0.05 and right:
            break
    assert loss < 0.05 and right


@pytest.mark.parametrize("row", MORE_ROWS)
def test_a_keras_file_gives_the_same_model(row, tmp_path):
    case = CASES[row]
    case.model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    images = case.example(7, seed=1)
    np.testing.assert_array_equal(answer(again, images), answer(case.model, images))
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in case.model.layers]


@pytest.mark.parametrize("row", DEAR_ROWS)
def test_a_saved_model_gives_the_same_answers_at_any_batch_size(row, tmp_path):
    case = CASES[row]
    archive = keras.export.ExportArchive()
    archive.track(case.model)
    signature = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype, name=x.name), case.model.input)
    archive.add_endpoint("serve", lambda given: case.model(given, training=False), input_signature=[signature])
    archive.write_out(str(tmp_path / "export"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "export"))
    for batch in (1, 7):
        images = case.example(batch, seed=1)
        np.testing.assert_allclose(loaded.serve(images), answer(case.model, images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("row", DEAR_ROWS)
def test_mixed_precision_computes_in_half_and_answers_in_float32(row, precision):
    case = CASES[row]
    keras.mixed_precision.set_dtype_policy(precision)
    mixed = case.make()
    assert {variable.dtype for variable in mixed.trainable_variables} == {"float32"}
    hidden = [layer for layer in mixed.layers[:-1] if not isinstance(layer, keras.layers.InputLayer)]
    assert {layer.compute_dtype for layer in hidden} == {precision.removeprefix("mixed_")}
    images = case.example(4)
    logits, full = mixed(images, training=False), answer(case.model, images)
    assert logits.dtype == "float32"
    np.testing.assert_allclose(logits, full, atol=0.1 * np.abs(full).max())
    assert np.isfinite(mixed(images, training=True)).all()


# Bad arguments: who, what must hold, what came, the nearest

BAD = [
    (
        "linear",
        {"num_classes": 1},
        "build_linear: num_classes must be a whole number from 2 to 1,000,000; got 1. Nearest: 2.",
    ),
    (
        "linear",
        {"input_shape": (28, 28)},
        "build_linear: input_shape must be (H, W, C), whole numbers from 1 to 10,000, such as (28, 28, 1); "
        "got (28, 28).",
    ),
    (
        "resnet_cifar",
        {"filters": True},
        "build_resnet_cifar: filters must be a whole number from 1 to 1,000,000; got True. Nearest: 1.",
    ),
    (
        "mlp",
        {"units": 512},
        "build_mlp: units must be a tuple of whole numbers from 1 to 1,000,000, 1 to 100 of them, such as (512, 512); "
        "got 512.",
    ),
    (
        "mlp",
        {"units": ()},
        "build_mlp: units must be a tuple of whole numbers from 1 to 1,000,000, 1 to 100 of them, such as (512, 512); "
        "got ().",
    ),
    (
        "mlp",
        {"activation": "rleu"},
        "build_mlp: activation must be one of 'relu', 'tanh', 'sigmoid', 'gelu', 'silu', 'elu'; "
        "got 'rleu'. Nearest: 'relu'.",
    ),
    ("mlp", {"dropout": 1}, "build_mlp: dropout must be a number in [0, 1); got 1. Nearest: 0.9."),
    ("mlp", {"dropout": -0.5}, "build_mlp: dropout must be a number in [0, 1); got -0.5. Nearest: 0."),
    ("mlp", {"batch_norm": "no"}, "build_mlp: batch_norm must be True or False; got 'no'."),
    (
        "convnet",
        {"input_shape": (28, 11, 1)},
        "build_convnet: with kernel_size=5, input_shape must be at least 12 x 12 pixels; got 28 x 11.",
    ),
    (
        "convnet",
        {"filters": (6, 16, 32)},
        "build_convnet: filters must be a tuple of 2 whole numbers from 1 to 1,000,000, such as (6, 16); "
        "got (6, 16, 32).",
    ),
    ("convnet", {"kernel_size": 4}, "build_convnet: kernel_size must be odd; got 4. Nearest: 3 or 5."),
    (
        "convnet",
        {"kernel_size": 2.7},
        "build_convnet: kernel_size must be a whole number from 1 to 999; got 2.7. Nearest: 3.",
    ),
    (
        "convnet",
        {"pooling": "avg"},
        "build_convnet: pooling must be one of 'average', 'max'; got 'avg'. Nearest: 'average'.",
    ),
    ("resnet", {"depth": 20}, "build_resnet: depth must be one of 18, 34, 50, 101, 152; got 20. Nearest: 18."),
    ("resnet", {"depth": "34"}, "build_resnet: depth must be one of 18, 34, 50, 101, 152; got '34'. Nearest: 34."),
    ("resnet", {"filters": 0}, "build_resnet: filters must be a whole number from 1 to 1,000,000; got 0. Nearest: 1."),
    ("resnet", {"zero_init_residual": 1}, "build_resnet: zero_init_residual must be True or False; got 1."),
    (
        "resnet_cifar",
        {"depth": 34},
        "build_resnet_cifar: depth must be 6n + 2 for a whole n >= 1 (8, 20, 32, 56, 110); got 34. Nearest: 32 or 38.",
    ),
    (
        "resnet_cifar",
        {"depth": 2},
        "build_resnet_cifar: depth must be a whole number from 8 to 200; got 2. Nearest: 8.",
    ),
    (
        "resnet_cifar",
        {"shortcut": "indentity"},
        "build_resnet_cifar: shortcut must be one of 'identity', 'none'; got 'indentity'. Nearest: 'identity'.",
    ),
    (
        "transformer",
        {"num_heads": 6},
        "build_transformer: num_heads must divide hidden_dim; got 6 and 512. Nearest: num_heads=4.",
    ),
    (
        "transformer",
        {"positions": "sinus"},
        "build_transformer: positions must be one of 'sinusoidal', 'learned'; got 'sinus'. Nearest: 'sinusoidal'.",
    ),
    ("transformer", {"norm_first": "no"}, "build_transformer: norm_first must be True or False; got 'no'."),
    (
        "transformer",
        {"num_layers": 0},
        "build_transformer: num_layers must be a whole number from 1 to 32; got 0. Nearest: 1.",
    ),
    ("transformer", {"dropout": 1.0}, "build_transformer: dropout must be a number in [0, 1); got 1.0. Nearest: 0.9."),
    (
        "transformer_lm",
        {"hidden_dim": 10},
        "build_transformer_lm: num_heads must divide hidden_dim; got 8 and 10. Nearest: num_heads=5.",
    ),
]


@pytest.mark.parametrize(("name", "arguments", "message"), BAD, ids=[f"{n}-{k}" for n, a, _ in BAD for k in a])
def test_a_bad_argument_gets_one_sentence(name, arguments, message):
    with pytest.raises(ArgumentError) as error:
        getattr(models, f"build_{name}")(**arguments)
    assert str(error.value) == message


def test_the_smallest_image_that_is_named_works():
    assert models.build_convnet((12, 12, 1)).output_shape == (None, 10)
    assert models.build_convnet((4, 4, 1), kernel_size=1).output_shape == (None, 10)
    assert models.build_resnet_cifar((1, 1, 1), depth=8).output_shape == (None, 10)
    assert models.build_resnet((1, 1, 1), depth=18, filters=1).output_shape == (None, 1000)


def test_an_unknown_name_lists_the_right_ones():
    with pytest.raises(
        AttributeError, match="has no attribute 'build_resnext'; it has .*build_resnet, build_resnet_cifar"
    ):
        models.__getattr__("build_resnext")
