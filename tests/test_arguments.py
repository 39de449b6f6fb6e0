"""Arguments: every builder's are checked by their annotations, and what is accepted works."""

import ast
import contextlib
import fractions
import inspect
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from cases import CASES

from keras_dl import arguments, data, export, models, optimizers, sequences, training, tuning
from keras_dl.arguments import ArgumentError, Number, OneOf, Optional, Shape, Tuple, Whole
from keras_dl.data import audio, images, music, pairs, plans, text
from keras_dl.errors import UserError
from keras_dl.models import _sizes

BUILDERS = [name for name in models.EXPORTS if name.startswith("build_")]
PARAMETERS = [(name, p) for name in BUILDERS for p in inspect.signature(getattr(models, name)).parameters.values()]


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no repr")

    def __eq__(self, other):
        raise RuntimeError("no comparison")

    __hash__ = None


DEEP = ()
for _ in range(5000):
    DEEP = (DEEP,)
STRANGE = [
    None, True, False, 0, 1, -1, 2**31, 2**63, 10**400, 10**5000, 0.0, 0.5, 1.0, -0.5, 1e20, 5e-324, float("nan"),
    float("inf"), -float("inf"), "", "x", "a/b", "\0", "\ud800", b"relu", (), (0,), (1,), (3, 4), (2**63,), (True,),
    (None,), ((1,),), (None, None), (float("nan"),), ("3",), [4.0], [[4]], {}, {"a": 1}, {4}, np.int64(4),
    np.float32(0.25), np.float64("nan"), np.array([4, 4]), np.array(4), 3 + 0j, object, Unprintable(), [Unprintable()],
    DEEP, range(3), (4,) * 101, (1_000_000,) * 3, print, fractions.Fraction(1, 3),
]  # fmt: skip


class Built(Exception):
    """The checks are over: what a builder does first is an input."""

    @classmethod
    def here(cls, *args, **kwargs):
        raise cls


def one_sentence(error):
    text = str(error.value)
    return type(error.value) is ArgumentError and "\n" not in text and text.isprintable() and len(text) < 400


# The kinds


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        (Whole(1, 9), [1, 9, np.int8(3)], [0, 10, 1.0, True, "1", None, np.True_]),
        (Number("[0, 1)", near=0.9), [0, 0.5, np.float32(0.5)], [1, -1e-9, float("nan"), True, "0.5", 10**400]),
        (Number("(0, 10]", near=0.1), [1e-9, 10], [0, -0.0, 10.1, float("inf")]),
        (arguments.YesOrNo, [True, np.False_], [0, 1, "True", None]),
        (OneOf("relu", "tanh"), ["relu", np.str_("tanh")], ["Relu", b"relu", None, 0, ["relu"]]),
        (OneOf(18, 34), [18, np.int64(34)], [19, "18", True, 18.0, float("nan"), float("inf")]),
        (Tuple(Whole(1, 9)), [(1,), [1, 9]], [(), 1, (0,), (1.0,), ((1,),), None, {1}, "1", np.array([1])]),
        (Tuple(Whole(1, 9), 0, 2), [(), (1, 2)], [(1, 2, 3), None]),
        (Whole(1, 9) | None, [None, 1], [0, ()]),
        (Shape("T, D", "T,", most=9), [(None, 9), (1,), [None]], [(None, None), (), (1, 2, 3), (10,), 4, None]),
        (arguments.ModelName, ["lstm", "a.b-2_x"], ["", "a/b", "_a", "a b", "ä", "a" * 101, "a\n", None, 3]),
        (arguments.Text, ["", "a b"], ["\0", b"x", None, 3]),
        (arguments.Function("x"), [print, len], [None, "print", lambda: None]),
    ],
    ids=lambda x: repr(x)[:20] if isinstance(x, arguments.Kind) else None,
)
def test_a_kind_takes_its_own_and_names_the_nearest_for_others(kind, right, wrong):
    for value in right:
        given = arguments.check("f: x", kind, value)
        assert given == (tuple(value) if isinstance(value, list) else value)
        assert not isinstance(given, (np.generic, list))
    for value in wrong:
        with pytest.raises(ArgumentError, match=re.escape(f"f: x must be {kind.must}; got ")) as error:
            arguments.check("f: x", kind, value)
        assert one_sentence(error)
        if nearest := re.search(r"Nearest: (.*)\.$", str(error.value)):
            arguments.check("f: x", kind, ast.literal_eval(nearest[1]))


def test_a_path_is_a_string_too():
    assert arguments.check("f: x", arguments.Text, Path("x")) == "x"


def test_a_number_that_rounding_puts_on_an_open_end_is_refused():
    assert float(below := fractions.Fraction(10**30 - 1, 10**30)) == 1.0
    with pytest.raises(ArgumentError):
        arguments.check("f: x", arguments.Share, below)


def test_the_call_sees_what_python_has_and_keeps_its_signature():
    @arguments.checked(who="room.f")
    def f(a, units: Tuple(Whole(1, 9)) = (3, 4), *, rate: arguments.Share = 0.5):
        """Text."""
        return a, units, rate

    assert f("anything", [np.int64(2)], rate=np.float32(0.25)) == ("anything", (2,), 0.25)
    assert type(f(0, rate=np.float32(0.25))[2]) is float
    assert (f.__name__, f.__doc__, list(inspect.signature(f).parameters)) == ("f", "Text.", ["a", "units", "rate"])
    with pytest.raises(ArgumentError) as error:
        f(0, 5)
    assert str(error.value) == (
        "room.f: units must be a tuple of whole numbers from 1 to 9, 1 to 100 of them, such as (3, 4); got 5."
    )
    for call in (lambda: f(), lambda: f(0, widths=(1,)), lambda: f(0, (1,), 0.5)):
        with pytest.raises(TypeError, match="^room.f: "):
            call()


# The builders


def test_every_argument_of_every_builder_has_a_kind_and_its_default_is_one():
    for builder, parameter in PARAMETERS:
        assert isinstance(parameter.annotation, arguments.Kind), (builder, parameter.name)
        assert parameter.annotation.convert(parameter.default) == parameter.default


def beyond(kind):
    """Values of another type and values out of range, made of what a kind says of itself."""
    if isinstance(kind, Optional):
        return [value for value in beyond(kind.kind) if value is not None]
    if isinstance(kind, arguments.OrAuto):
        return [*(value for value in beyond(kind.kind) if value is not None), f"{arguments.AUTO}x"]
    if isinstance(kind, Whole):
        return [kind.least - 1, kind.most + 1, kind.least + 0.5, None, True, str(kind.least), (kind.least,)]
    if isinstance(kind, Number):
        ends = [end for end, is_open in zip((kind.least, kind.most), kind.open, strict=True) if is_open]
        return [*ends, kind.least - 1, kind.most + 1, float("nan"), None, True, str(kind.most), (kind.least,)]
    if isinstance(kind, OneOf):
        return [f"{kind.choices[0]}x", None, True, kind.choices]
    if isinstance(kind, Tuple):
        lengths = [(kind.of.least,) * (kind.most + 1)] + [(kind.of.least,) * (kind.least - 1)] * bool(kind.least)
        return [(wrong,) * max(1, kind.least) for wrong in beyond(kind.of)] + [*lengths, kind.of.least, None, "1"]
    if isinstance(kind, Shape):
        wrong = [(size,) * len(form) for form in kind.forms for size in (0, -1, kind.size.most + 1, 1.5, True, "1")]
        return [*wrong, (), (1,) * 9, 1, None]
    if kind is arguments.ModelName:
        return ["", "a b", "_x", 3, None]
    if kind is arguments.YesOrNo:
        return [0, 1, "yes", None]
    if kind is arguments.Text:
        return ["\0", b"x", 3, None]
    if isinstance(kind, arguments.Function):
        return ["print", 3, None]
    raise NotImplementedError(f"beyond: say what {kind!r} refuses")


@pytest.mark.parametrize("builder", BUILDERS)
def test_every_argument_of_another_type_or_out_of_range_gets_the_sentence(builder, monkeypatch):
    """Who, what must hold, what came, and the nearest value, which is one."""
    monkeypatch.setattr(keras, "Input", Built.here)
    for _, parameter in (row for row in PARAMETERS if row[0] == builder):
        kind = parameter.annotation
        example = f", such as {parameter.default}" if isinstance(parameter.default, tuple) and parameter.default else ""
        for value in beyond(kind):
            with pytest.raises(ArgumentError) as error:
                getattr(models, builder)(**{parameter.name: value})
            said, _, nearest = str(error.value).partition(" Nearest: ")
            assert said == f"{builder}: {parameter.name} must be {kind.must}{example}; got {arguments.shown(value)}."
            assert one_sentence(error)
            if nearest:
                kind.convert(ast.literal_eval(nearest.removesuffix(".")))
            elif isinstance(kind, (Whole, Number, OneOf)):
                raise AssertionError(f"no nearest value is named: {error.value}")


@pytest.mark.parametrize("builder", BUILDERS)
def test_strange_values_get_the_sentence_or_are_accepted(builder, monkeypatch):
    monkeypatch.setattr(keras, "Input", Built.here)
    for _, parameter in (row for row in PARAMETERS if row[0] == builder):
        for value in STRANGE:
            with pytest.raises((Built, ArgumentError)) as error:
                getattr(models, builder)(**{parameter.name: value})
            assert error.type is Built or one_sentence(error), (parameter.name, error.value)


def alike(value):
    """Another value that means the same: NumPy's numbers, and lists for tuples."""
    if isinstance(value, (tuple, list)):
        return [alike(v) for v in value]
    kinds = {bool: np.bool_, int: np.int64, str: np.str_}
    return kinds.get(type(value), lambda v: v)(value)


FEW = ("mlp", "convnet", "lstm", "transformer")


@pytest.mark.parametrize("row", FEW)
def test_numbers_of_numpy_and_lists_build_the_same_model(row):
    case = CASES[row]
    given = {name: alike(value) for name, value in case.arguments.items()}
    keras.backend.clear_session()  # operations are numbered through the process
    model = case.build(**given)
    keras.backend.clear_session()
    assert model.to_json() == case.built().to_json()
    assert np.isfinite(model(case.example(2))).all()


@pytest.mark.parametrize("entry", models.catalogue(), ids=lambda entry: entry.name)
def test_the_weights_are_counted_before_they_are_made(entry, monkeypatch):
    build, counts = getattr(models, f"build_{entry.name}"), []
    module = inspect.getmodule(build)
    for room in (module, getattr(module, "_sequence", None)):
        if hasattr(room, "check_weights"):
            monkeypatch.setattr(room, "check_weights", lambda who, count: counts.append((who, count)))
    monkeypatch.setattr(keras, "Input", Built.here)
    with pytest.raises(Built):
        build()
    ((who, count),) = counts
    assert who == f"build_{entry.name}" and 0.9 * entry.parameters < count < 1.1 * entry.parameters


def test_too_many_weights_are_refused_before_they_are_made():
    _sizes.check_weights("build_x", _sizes.MOST_WEIGHTS)
    with pytest.raises(ArgumentError, match=r"at most 2,147,483,648 weights \(8 GiB in float32\); .* about 2.15e\+09"):
        _sizes.check_weights("build_x", _sizes.MOST_WEIGHTS + 1)
    with pytest.raises(ArgumentError, match="build_mlp: the model must have at most"):
        models.build_mlp(units=(1_000_000, 1_000_000))


@pytest.mark.parametrize(
    ("takes", "function", "fits"),
    [
        (("hp",), lambda hp: None, True), (("hp",), lambda *a, **k: None, True), (("hp",), lambda hp, more=1: 0, True),
        (("hp",), max, True),  # which does not say what it takes
        (("hp",), lambda: None, False), (("hp",), lambda hp, more: None, False), (("a", "b"), len, False),
        (("hp",), "word", False), (("hp",), None, False),
    ],
)  # fmt: skip
def test_a_function_must_take_what_it_is_given(takes, function, fits):
    kind = arguments.Function(*takes)
    if fits:
        assert arguments.check("f: x", kind, function) is function
    else:
        with pytest.raises(ArgumentError, match=re.escape(f"f: x must be a function of ({', '.join(takes)}); got ")):
            arguments.check("f: x", kind, function)


@pytest.mark.parametrize("name", ["transformer", "seq2seq", "attention_seq2seq"])
def test_a_vocabulary_of_padding_alone_is_none(name):
    build = getattr(models, f"build_{name}")
    for argument in [a for a in inspect.signature(build).parameters if a.endswith("vocabulary_size")]:
        with pytest.raises(ArgumentError, match=f"build_{name}: {argument} must be a whole number from 2 to "):
            build(**{argument: 1})


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("lstm", {"tied": True}, "tied is for tokens, input_shape (T,); got vectors, input_shape (None, 88)."),
        ("gru", {"embedding_dim": 4}, "embedding_dim is for tokens, input_shape (T,); got vectors, "),
        ("rnn", {"vocabulary_size": 4}, "vocabulary_size is for tokens, input_shape (T,); got vectors, "),
        ("rnn", {"shortcut": True}, "shortcut needs transition_units to skip; got shortcut=True and none."),
        (
            "lstm",
            {"input_shape": (None,), "num_classes": 7, "tied": True, "vocabulary_size": 8, "embedding_dim": 36},
            "tied needs as many tokens that come in as go out; got vocabulary_size=8 and num_classes=7.",
        ),
        (
            "lstm",
            {"input_shape": (None,), "tied": True, "embedding_dim": 4},
            "tied needs an embedding as wide as the last layer; got embedding_dim=4 and 36 units.",
        ),
        ("seq2seq", {"tied": True, "embedding_dim": 4}, "tied needs an embedding as wide as the last layer; got "),
        ("seq2seq", {"residual": True, "units": (4, 5)}, "residual needs layers of the same units; got (4, 5)."),
        (
            "pixelcnn",
            {"output": "bernoulli"},
            "output='bernoulli' needs levels=2; got 256. Nearest: output='categorical'.",
        ),
        ("pixelcnn", {"kernel_size": 4}, "kernel_size must be odd; got 4. Nearest: 3 or 5."),
        ("pixelrnn", {"levels": 256}, "output='bernoulli' needs levels=2; got 256. Nearest: output='categorical'."),
        ("pixelrnn", {"kernel_size": 4}, "kernel_size must be odd; got 4. Nearest: 3 or 5."),
        ("gated_pixelcnn", {"first_kernel_size": 8}, "first_kernel_size must be odd; got 8. Nearest: 7 or 9."),
        (
            "gated_pixelcnn",
            {"num_classes": 10, "map_channels": 3},
            "at most one of num_classes, condition_dim and map_channels must be given; got num_classes=10 and "
            "map_channels=3. Nearest: num_classes=10.",
        ),
        ("transformer", {"num_heads": 1_000_000}, "num_heads must divide hidden_dim; got 1000000 and 512."),
    ],
)
def test_arguments_that_do_not_go_together(name, given, sentence):
    with pytest.raises(ArgumentError, match=re.escape(f"build_{name}: {sentence}")):
        getattr(models, f"build_{name}")(**given)


# The verbs

VERBS = {
    "optimizers.build": optimizers.build,
    "images.load": images.load,
    "text.load": text.load,
    "pairs.load": pairs.load,
    "audio.load": audio.load,
    "audio.windows": audio.windows,
    "music.load": music.load,
    "Splits.few": data.Splits.few,
    "data.batches": data.batches,
    "text.windows": text.windows,
    "plans.shuffled": plans.shuffled,
    "plans.in_order": plans.in_order,
    "plans.bucketed": plans.bucketed,
    "plans.by_tokens": plans.by_tokens,
    "training.fit": training.fit,
    "training.stopping": training.stopping,
    "tuning.search": tuning.search,
    "export.load": export.load,
    "SequenceModel": sequences.SequenceModel.__init__,
    "exposure_gap": sequences.exposure_gap,
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_argument_of_a_verb_beyond_its_range_is_refused_by_name(verb):
    parameters = inspect.signature(VERBS[verb]).parameters.values()
    needed = {p.name: p for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD}
    kinds = {p.name: p.annotation for p in parameters if isinstance(p.annotation, arguments.Kind)}
    numbers = {p.name for p in parameters if isinstance(p.default, (bool, int, float, str))}
    assert numbers <= set(kinds) and kinds
    for name, kind in kinds.items():
        for value in [*beyond(kind), *STRANGE]:
            try:
                kind.convert(value)
                continue  # it is right
            except ValueError:
                pass
            given = {other: _right(p.annotation) for other, p in needed.items()} | {name: value}
            with pytest.raises(ArgumentError, match=f"^{verb.partition(' ')[0]}: {name} must be ") as error:
                VERBS[verb](**given)
            assert one_sentence(error), error.value


def _right(kind):
    """A value of a kind; None for an argument that is checked otherwise."""
    with contextlib.suppress(AttributeError, ValueError):
        kind.convert(None)
        return None
    if isinstance(kind, Number):
        return kind.most
    if isinstance(kind, arguments.Function):
        return print
    return getattr(kind, "least", getattr(kind, "choices", ("x",))[0]) if isinstance(kind, arguments.Kind) else None


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
@pytest.mark.parametrize("schedule", optimizers.SCHEDULES)
def test_an_optimizer_at_the_ends_of_its_ranges_updates(name, schedule):
    ranges = {
        p.name: (p.annotation.kind if isinstance(p.annotation, Optional) else p.annotation)
        for p in inspect.signature(optimizers.build).parameters.values()
    }
    numbers = {key: kind for key, kind in ranges.items() if isinstance(kind, (Whole, Number))}
    for end in ("least", "most"):
        given = {key: getattr(kind, end) for key, kind in numbers.items()}
        weight = keras.Variable(np.ones(3, "float32"))
        optimizer = optimizers.build(name, schedule=schedule, **given)
        optimizer.build([weight])
        for _ in range(2):
            optimizer.apply([keras.ops.convert_to_tensor([0.1, -0.2, 0.0])], [weight])
        assert np.isfinite(weight).all(), (end, given)


def as_they_are(raw):
    return raw


def test_windows_of_a_text_keep_their_order():
    stream = data.Examples({"tokens": np.arange(50, dtype=np.int32)})
    windows = text.windows(stream, 4, 5)
    data.batches(windows, 4, collate=as_they_are)
    plan = plans.shuffled(len(windows), 4)
    for given, said in (
        ({"shuffle": True}, "shuffle=True"),
        ({"batch_size": 5}, "batch_size=5"),
        ({"plan": plan}, "a plan"),
    ):
        for examples in (windows, windows.take(slice(8))):
            with pytest.raises(UserError, match=f"windows of 4 rows .* in order, 4 at once; got {said}"):
                data.batches(examples, **{"batch_size": 4, "collate": as_they_are} | given)
    data.batches(stream, 5, collate=as_they_are, shuffle=True)
    for wrong in (None, 3):
        with pytest.raises(UserError, match=f"data.batches: collate must be a function of \\(raw\\); got {wrong}."):
            data.batches(stream, 5, collate=wrong)


@pytest.mark.parametrize(
    "weights", [[1.0], 1.0, "ab", [1.0, None], [1.0, -1.0], [np.nan, 1.0], [[1.0, 1.0]], {}, [1e50, 1]]
)
def test_class_weights_are_one_number_a_label(weights):
    examples = data.Examples({"image": np.zeros((4, 2, 2, 1), np.uint8), "label": np.array([0, 1, 1, 0])})
    with pytest.raises(UserError, match="data.batches: class_weight must be numbers of at least 0, one for each label"):
        data.batches(examples, 2, collate=print, class_weight=weights)
    assert data.batches(examples, 2, collate=print, class_weight=[1, 2]).class_weight.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("examples", [None, [1, 2], {"image": [1]}, np.zeros(3)])
def test_what_is_batched_is_examples(examples):
    with pytest.raises(UserError, match="data.batches: examples must be Examples"):
        data.batches(examples, 2, collate=print)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet_cifar", "transformer", "transformer_lm", "seq2seq", "mlp", "rnn"])
def test_the_deepest_model_of_a_builder_is_built_saved_and_loaded(name, tmp_path):
    tokens = np.ones((1, 3), "int32")
    pair, image = {"source": tokens, "target": tokens}, np.ones((1, 4, 4, 1), "float32")
    narrow = {"hidden_dim": 2, "num_heads": 1, "intermediate_dim": 2}
    given, example = {
        "resnet_cifar": ({"input_shape": (4, 4, 1), "depth": 200, "filters": 1}, image),
        "transformer": ({"vocabulary_size": 7, "num_layers": 32, **narrow}, pair),
        "transformer_lm": ({"num_classes": 7, "num_layers": 64, **narrow}, tokens),
        "seq2seq": (
            {"source_vocabulary_size": 7, "target_vocabulary_size": 7, "units": (2,) * 100, "embedding_dim": 2,
             "residual": True, "dropout": 0.1}, pair,
        ),
        "mlp": ({"input_shape": (4, 4, 1), "units": (2,) * 100, "batch_norm": True, "dropout": 0.1}, image),
        "rnn": ({"units": (2,) * 100, "output_units": (2,) * 100, "dropout": 0.1}, np.ones((1, 3, 88), "float32")),
    }[name]  # fmt: skip
    model = getattr(models, f"build_{name}")(**given)
    answer = np.asarray(model(example))
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(example), answer)
