"""Bad inputs for bad_inputs.py: arguments of builders and of the library's functions, of every wrong type and range.

An argument's type is that of its default. A value that is clearly of another type must be refused. Any other value must
be refused or work: a builder's model is built and called once, an optimizer updates once, a pipeline gives a batch.
"""

import functools
import inspect
import math
import numbers

from bad_inputs import BadInput, Fault

from keras_dl import imports, runs
from keras_dl.features import sound

with imports.quiet_tensorflow():
    import keras
    import numpy as np
    import tensorflow as tf

    from keras_dl import (
        data,
        decoding,
        export,
        machine,
        models,
        objectives,
        optimizers,
        scores,
        sequences,
        training,
    )  # fmt: skip
    from keras_dl.data import images, music, pairs, text

keras.config.disable_traceback_filtering()  # the report says where an error was raised

# The smallest models that have every part; an input is one of them with one or two arguments changed.
SMALL = {
    "linear": {"input_shape": (5, 4, 1), "num_classes": 3},
    "mlp": {"input_shape": (5, 4, 1), "num_classes": 3, "units": (8, 6)},
    "convnet": {"input_shape": (12, 12, 1), "num_classes": 4, "filters": (2, 3), "kernel_size": 3, "units": (8, 6)},
    "resnet": {"input_shape": (33, 33, 3), "num_classes": 5, "depth": 18, "filters": 4},
    "resnet_cifar": {"input_shape": (9, 9, 3), "depth": 8, "filters": 4},
    "rnn": {"input_shape": (4, 3), "num_classes": 5, "units": (8,)},
    "lstm": {"input_shape": (4, 3), "num_classes": 5, "units": (6, 5)},
    "gru": {"input_shape": (4, 3), "num_classes": 5, "units": (6,)},
    "seq2seq": {"source_vocabulary_size": 9, "target_vocabulary_size": 7, "units": (5, 4), "embedding_dim": 3},
    "attention_seq2seq": {
        "source_vocabulary_size": 9, "target_vocabulary_size": 7, "units": 4, "embedding_dim": 3, "attention_units": 5,
        "output_units": 2,
    },
    "transformer": {
        "vocabulary_size": 11, "num_layers": 1, "hidden_dim": 8, "intermediate_dim": 12, "num_heads": 2,
    },
    "transformer_lm": {
        "input_shape": (4,), "num_classes": 7, "num_layers": 1, "hidden_dim": 8, "intermediate_dim": 12, "num_heads": 2,
    },
}  # fmt: skip
OPTIONAL = {"vocabulary_size": int, "embedding_dim": int, "init_scale": float, "clipnorm": float, "limit": int}
PAIRS = 400  # inputs with two arguments changed
LARGE = 4096  # a number above it is tried without making the weights
MOST_BYTES = 2**40  # of weights: more than any machine that this is for holds
MOST_VALUES = 2**22  # of an example that a model is asked about
MOST_WEIGHTS = 2**22  # of a model that is asked at all


class Strange:
    """An object of a type that no argument accepts."""

    def __repr__(self):
        return "Strange()"


def values(rng):
    """Values of every type, and of every range within a type; some numbers are drawn at random."""
    small, large = rng.randint(2, 9), rng.randint(10**6, 10**9)
    return [
        None, True, False, "", "nosuch", "8", "8\n9", b"relu", 0, 1, -1, -small, 1.5, -0.5, float(small), 1e-300,
        math.nan, math.inf, -math.inf, 1e20, 10**20, 2**31, 2**63, -(2**63), 10**400, large, (), [], {}, set(),
        (0,), (-small,), (2.5,), ("a",), (None,), ((8,),), (math.nan,), (True,), (2**63,), (small,) * 40, [small],
        {"units": 8}, {8}, range(3), np.float32("nan"), np.int64(0), np.int64(small), np.array([small, small]),
        np.array([]), np.bool_(True), 1j, len, int, Strange(), "x" * 300, "ü²\N{FACE WITH TEARS OF JOY}", "a/b",
        "\x1b[31m",
    ]  # fmt: skip


def is_wrong(kind, value, optional=False):
    """Is the value clearly of another type than the argument, or out of every range?"""
    if value is None:
        return not optional
    if kind is bool:
        return not isinstance(value, (bool, np.bool_)) and not (isinstance(value, numbers.Integral) and value in (0, 1))
    if kind is str:
        return not isinstance(value, str)
    if kind in (int, float):
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (numbers.Real, np.floating, np.integer)):
            return True
        if isinstance(value, (float, np.floating)) and not math.isfinite(value):
            return True
        return kind is int and (value != int(value) or value < 0)
    if kind is tuple:
        if isinstance(value, numbers.Integral) and not isinstance(value, bool):
            return False  # one number for a tuple of one
        if not isinstance(value, (tuple, list, range, np.ndarray)):
            return True
        return any(is_wrong(int, element) for element in value)
    return False


def kind_of(name, default):
    """(type, may it be None?) of an argument."""
    if default is None:
        return OPTIONAL.get(name, object), True
    return type(default), False


# Builders


def builders(rng, scratch):
    """Every argument of every builder with every value, and some pairs of arguments."""
    inputs, pool = [], []
    for architecture in models.catalogue():
        for name, default in architecture.arguments.items():
            for value in values(rng):
                if _same(value, default):
                    continue
                inputs.append(_built(architecture, {name: value}))
                pool.append((architecture, name, value))
    for _ in range(PAIRS):
        architecture, name, value = rng.choice(pool)
        other = rng.choice([n for n in architecture.arguments if n != name])
        inputs.append(_built(architecture, {name: value, other: rng.choice(values(rng))}))
    return inputs


def _built(architecture, changes):
    written = ", ".join(f"{name}={_written(value)}" for name, value in changes.items())
    place = f"build_{architecture.name} {' '.join(changes)}"
    call = functools.partial(_build, architecture, changes)
    names = (*changes, *map(_written, changes.values()))
    return BadInput(place, f"build_{architecture.name}({written})", call, names)


def _build(architecture, changes):
    build = getattr(models, f"build_{architecture.name}")
    arguments = {**SMALL[architecture.name], **changes}
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    if any(number > LARGE for value in changes.values() for number in _numbers(value)):
        with keras.StatelessScope(initialize_variables=False):
            count = _count(build(**arguments))
        keras.backend.clear_session()
        if 4 * count > MOST_BYTES:
            raise Fault("accepted", f"a model of {count:.3g} weights, which no machine holds")
        if count > MOST_WEIGHTS:
            _check_types(architecture, changes)
            return
    model = build(**arguments)
    _check_types(architecture, changes)
    if _count(model) > MOST_WEIGHTS:
        return
    example = keras.tree.map_structure(_example, model.input)
    if sum(array.size for array in keras.tree.flatten(example)) > MOST_VALUES:
        return
    finite(model(example, training=False), "the logits")
    model.to_json()


def _check_types(architecture, changes):
    for name, value in changes.items():
        default = architecture.arguments[name]
        if name == "input_shape":
            continue  # None stands for any number of steps
        if is_wrong(*_kind(name, default, value)):
            raise Fault("accepted", f"{name}={_written(value)} was taken; it is {_written(default)} by default")


def _kind(name, default, value):
    kind, optional = kind_of(name, default)
    return kind, value, optional or name == "name"


def _count(model):
    return sum(math.prod(weight.shape) for weight in model.weights)


def _example(tensor):
    """A batch of two for a model's input: tokens that every vocabulary has, or small numbers."""
    shape = [2] + [4 if n is None else n for n in tensor.shape[1:]]
    if math.prod(shape) > MOST_VALUES:
        return np.zeros(0)
    if "int" in tensor.dtype:
        return np.full(shape, 0 if tensor.name.startswith("tokens") else 1, tensor.dtype)
    return np.random.default_rng(0).normal(size=shape).astype(tensor.dtype)


def finite(tensors, what):
    for tensor in tf.nest.flatten(tensors):
        array = np.asarray(tensor)
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            raise Fault("accepted", f"{what} are not finite")


def _numbers(value):
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return [value]
    if isinstance(value, (tuple, list, range, set, np.ndarray)):
        return [number for inner in value for number in _numbers(inner)]
    return []


def _same(value, default):
    return type(value) is type(default) and not isinstance(value, np.ndarray) and value == default


def _written(value):
    try:
        return repr(value)
    except Exception as error:  # 10**400 has more digits than Python writes
        return f"{type(value).__name__} ({error})"


# Verbs


def library(rng, scratch):
    """Every argument of the library's functions with every value."""
    inputs = []
    for verb, call, arguments in _verbs(scratch):
        for name, (good, kind, optional) in arguments.items():
            for value in values(rng):
                if _same(value, good):
                    continue
                given = {key: fine for key, (fine, *_) in arguments.items()} | {name: value}
                wrong = kind is not object and is_wrong(kind, value, optional)
                run = functools.partial(_ask, call, given, name, value, wrong)
                names = (name, _written(value).strip("'"))
                inputs.append(BadInput(f"{verb} {name}", f"{verb}({name}={_written(value)})", run, names))
    return inputs


def _ask(call, given, name, value, wrong):
    keras.backend.clear_session()
    call(**given)
    if wrong:
        raise Fault("accepted", f"{name}={_written(value)} was taken")


def _verbs(scratch):
    """[(name of the call, function, {argument: (a good value, its type, may it be None?)})]."""
    few = images.load("digits").few(12, seed=0)
    stream = data.Examples({"tokens": np.arange(200, dtype=np.int32) % 7})

    def batches(**given):
        pipeline = data.batches(few.train, collate=images.with_labels(few.preprocess), **given)
        finite(next(iter(pipeline.dataset())), "the first batch's values")

    def windows(**given):
        examples = text.windows(stream, **given)
        if not len(examples):
            raise Fault("accepted", "there is no window")

    def load(kind, name, **given):
        if isinstance(name, str) and name in ("", "a/b"):
            name = name or "."
        if not len(kind.load(name, **given).train):
            raise Fault("accepted", "there is no training example")

    def take(**given):
        if not len(few.few(**given).train):
            raise Fault("accepted", "there is no training example")

    def update(**given):
        weight = keras.Variable(np.ones(3, "float32"))
        optimizer = optimizers.build(**given)
        optimizer.build([weight])
        optimizer.apply([tf.constant([0.1, -0.2, 0.0])], [weight])
        finite(weight, "the updated weights")

    def loss(**given):
        value = objectives.SequenceLoss(**given)(np.zeros((2, 3), "int32"), np.zeros((2, 3, 5), "float32"))
        finite(value, "the loss")

    def carried(**given):
        network = models.build_lstm((None,), 7, units=(3,), embedding_dim=2)
        sequences.SequenceModel(network, **given).get_config()

    def step(tokens, state):
        return tf.one_hot((tokens + 1) % 5, 5), state

    def generate(**given):
        draw = decoding.Greedy()
        answer = decoding.generate(step, (), tf.zeros([2], tf.int32), draw=draw, **given)
        if not len(tf.nest.flatten(answer)):
            raise Fault("accepted", "nothing is generated")

    def beam(**given):
        decoding.beam_search(step, (), tf.zeros([2], tf.int32), **given)

    def draw(**given):
        decoding.Sample(**{"seed": 0, **given})

    def stops(**given):
        training.stopping(**given)

    def augment(**given):
        images.augmentation(info=few.info, preprocess=few.preprocess, **given)

    def strategy(**given):
        run = runs.start(machine.prepare(dataclass_of(given, scratch)), app="mine", name="convnet-digits")
        if not (run.path / "config.json").is_file():
            raise Fault("accepted", "the run has no config.json")

    def bleu(**given):
        finite([v for v in scores.of_translations(**given).values() if not isinstance(v, str)], "the scores")

    def whole(good, optional=False):
        return good, int, optional

    def real(good, optional=False):
        return good, float, optional

    def word(good, optional=False):
        return good, str, optional

    rate, decay = real(1e-3), real(0.1)
    verbs = [
        ("optimizers.build", update, {
            "optimizer": word("adam"), "learning_rate": rate, "weight_decay": real(0.0), "clipnorm": real(1.0, True),
            "beta_1": real(0.9), "beta_2": real(0.999), "epsilon": real(1e-7), "schedule": word("constant"),
        }),
        ("optimizers.build(sgd)", update, {"optimizer": word("sgd"), "learning_rate": rate, "weight_decay": decay}),
        ("optimizers.build(decay)", update, {
            "optimizer": word("momentum"), "learning_rate": rate, "schedule": word("decay"),
            "steps_per_epoch": whole(3), "decay_after": whole(4), "decay_factor": real(0.5),
        }),
        ("optimizers.build(noam)", update, {
            "optimizer": word("rmsprop"), "learning_rate": rate, "schedule": word("noam"), "warmup": whole(10),
        }),
        ("optimizers.build(cosine)", update, {
            "optimizer": word("nesterov"), "learning_rate": rate, "schedule": word("cosine"), "steps": whole(10),
        }),
        ("images.load", functools.partial(load, images), {"name": word("digits"), "seed": whole(0)}),
        ("Splits.few", take, {"most": whole(9), "seed": whole(0, True)}),
        ("text.load", functools.partial(load, text, str(_a_text(scratch))), {
            "level": word("character"), "vocabulary_size": whole(100),
        }),
        ("pairs.load", functools.partial(load, pairs, "dates", seed=0), {
            "vocabulary_size": whole(200), "longest": whole(100), "examples": whole(200),
            "chained": ((1, 2), tuple, False), "target": (None, str, True),
        }),
        ("music.load", functools.partial(load, music, str(_pieces(scratch)), seed=0), {
            "steps_per_beat": whole(4), "pieces": whole(4, True),
        }),
        ("data.batches", batches, {
            "batch_size": whole(4), "seed": whole(0), "shuffle": (False, bool, False),
            "class_weight": (None, object, True), "plan": (None, object, True), "augment": (None, object, True),
        }),
        ("text.windows", windows, {"batch_size": whole(4), "sequence_length": whole(5)}),
        ("images.augmentation", augment, {"kind": word("none")}),
        ("objectives.SequenceLoss", loss, {
            "nll": word("categorical"), "over": word("steps"), "label_smoothing": real(0.0),
        }),
        ("sequences.SequenceModel", carried, {
            "batch_size": whole(2), "weight_noise": real(0.0), "scheduled_sampling": real(0.0),
            "seed": whole(0),
        }),
        ("models.free_arguments", models.free_arguments, {"name": word("lstm")}),
        ("decoding.generate", generate, {"length": whole(3), "end": whole(2, True)}),
        ("decoding.beam_search", beam, {
            "length": whole(3), "width": whole(2), "end": whole(2), "length_penalty": real(0.6),
            "results": whole(1),
        }),
        ("decoding.Sample", draw, {
            name: (default, type(default), False)
            for name, default in ((p.name, p.default) for p in inspect.signature(decoding.Sample).parameters.values())
            if default is not inspect.Parameter.empty
        }),
        ("training.stopping", stops, {"patience": whole(2), "reduce_on_plateau": whole(0)}),
        ("machine.prepare", strategy, {
            "seed": whole(0), "device": word("cpu"), "strategy": word("none"),
            "precision": word("float32"),
        }),
        ("scores.of_translations", bleu, {
            "hypotheses": (["a b"], object, False), "references": (["a b"], object, False),
        }),
        ("export.load", export.load, {"path": (str(scratch / "none"), str, False)}),

    ]  # fmt: skip
    return verbs


def dataclass_of(given, scratch):
    from keras_dl import settings

    return settings.Common(out=str(scratch / "out"), **given)


def _a_text(scratch):
    file = scratch / "a.txt"
    file.write_text("the quick brown fox jumps over the lazy dog\n" * 100)
    return file


def _pieces(scratch):
    folder = scratch / "pieces"
    folder.mkdir(exist_ok=True)
    for number in range(6):
        roll = np.zeros((8, 88), np.uint8)
        roll[number:, 39 + number] = 1
        sound.write_midi(roll, folder / f"{number}.mid", steps_per_beat=4, beats_per_minute=120)
    return folder
