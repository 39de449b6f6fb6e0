"""Each optimizer of optimizers.build follows its paper in NumPy; Adam and AdamW are Keras' own, in one pass."""

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

from keras_dl import optimizers

RATE, DECAY, CLIP, STEPS = 0.05, 0.1, 0.3, 5
ROWS, WIDTH = 6, 3
TOKENS = [[0, 2, 2, 2], [4, 0, 4, 0], [1, 1, 1, 1], [3, 0, 2, 3], [5, 2, 5, 5]]  # of each step; many stand repeatedly


def gradients(seed=0):
    """For each step an embedding's gradient, one slice a token (4, WIDTH), and a matrix' (2, 2)."""
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=(4, WIDTH)), rng.normal(size=(2, 2))) for _ in TOKENS]


def start():
    rng = np.random.default_rng(1)
    return rng.normal(size=(ROWS, WIDTH)), rng.normal(size=(2, 2))


def whole(tokens, slices):
    gradient = np.zeros((ROWS, WIDTH))
    np.add.at(gradient, tokens, slices)
    return gradient


def reference(name, clipnorm, weight_decay):
    """The two weights after all steps, by the papers' equations, in float64."""
    weights = [w.copy() for w in start()]
    m, v = ([np.zeros_like(w) for w in weights] for _ in range(2))
    for t, (tokens, (slices, by_matrix)) in enumerate(zip(TOKENS, gradients(), strict=True), start=1):
        by_weight = [whole(tokens, slices), by_matrix]
        norm = np.sqrt(sum((g**2).sum() for g in by_weight))
        if clipnorm:
            by_weight = [g * min(1, clipnorm / norm) for g in by_weight]
        for k, g in enumerate(by_weight):
            w = weights[k]
            if name in ("adam", "adamw"):
                w -= RATE * weight_decay * w
                m[k] = 0.9 * m[k] + 0.1 * g
                v[k] = 0.999 * v[k] + 0.001 * g**2
                w -= RATE * (m[k] / (1 - 0.9**t)) / (np.sqrt(v[k] / (1 - 0.999**t)) + 1e-7 / np.sqrt(1 - 0.999**t))
                continue
            g = g + weight_decay * w
            if name == "rmsprop":
                v[k] = 0.9 * v[k] + 0.1 * g**2
                w -= RATE * g / np.sqrt(v[k] + 1e-7)
            elif name == "sgd":
                w -= RATE * g
            else:
                m[k] = 0.9 * m[k] - RATE * g
                w += 0.9 * m[k] - RATE * g if name == "nesterov" else m[k]
    return weights


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
@pytest.mark.parametrize("kind", ["whole", "slices"])
@pytest.mark.parametrize(
    ("clipnorm", "weight_decay", "mode"),
    [(None, 0.0, "eager"), (CLIP, 0.0, "graph"), (None, DECAY, "graph"), (CLIP, DECAY, "eager"), (CLIP, DECAY, "xla")],
)
def test_an_update_is_the_papers_whatever_the_form_of_the_gradient(name, kind, clipnorm, weight_decay, mode):
    """A token that stands in a batch n times has one gradient, the sum, for its norm, its moments and its decay."""
    table, matrix = (keras.Variable(w.astype("float32")) for w in start())
    optimizer = optimizers.build(name, RATE, clipnorm=clipnorm, weight_decay=weight_decay)
    optimizer.build([table, matrix])

    def step(tokens, slices, by_matrix):
        sliced = tf.IndexedSlices(slices, tokens, tf.constant([ROWS, WIDTH]))
        optimizer.apply([tf.convert_to_tensor(sliced) if kind == "whole" else sliced, by_matrix], [table, matrix])

    step = step if mode == "eager" else tf.function(step, autograph=False, jit_compile=mode == "xla")
    for tokens, given in zip(TOKENS, gradients(), strict=True):
        step(tf.constant(tokens), *(tf.constant(g, tf.float32) for g in given))
    for found, wanted in zip((table, matrix), reference(name, clipnorm, weight_decay), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-5)


OTHER_ARGUMENTS = [
    {"clipnorm": CLIP}, {"clipvalue": 0.2}, {"loss_scale_factor": 8.0}, {"gradient_accumulation_steps": 2},
    {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
]  # fmt: skip


@pytest.mark.parametrize("made", [optimizers.SGD, optimizers.RMSprop, optimizers.Adam, optimizers.AdamW])
@pytest.mark.parametrize("options", OTHER_ARGUMENTS, ids=lambda options: next(iter(options)))
def test_keras_other_arguments_too_see_the_whole_gradient(made, options):
    def updated(optimizer, sliced):
        table = keras.Variable(start()[0].astype("float32"))
        optimizer.build([table])
        for tokens, (slices, _) in zip(TOKENS, gradients(), strict=True):
            gradient = tf.IndexedSlices(
                tf.constant(slices, tf.float32), tf.constant(tokens), tf.constant([ROWS, WIDTH])
            )
            optimizer.apply([gradient if sliced else tf.convert_to_tensor(gradient)], [table])
        return table.numpy()

    keras_own = next(kind for kind in made.__mro__ if kind.__module__.startswith("keras.src") and kind is not made)
    wanted = updated(keras_own(learning_rate=RATE, **options), sliced=False)
    np.testing.assert_allclose(updated(made(learning_rate=RATE, **options), sliced=True), wanted, rtol=1e-4, atol=1e-5)


def test_plain_sgd_reads_the_rows_of_the_batch_alone():
    """The other rows of a large embedding are not touched: no tensor of the embedding's size is made."""
    table = keras.Variable(start()[0].astype("float32"))
    optimizer = optimizers.build("sgd", RATE)
    optimizer.build([table])

    @tf.function
    def step(slices, tokens):
        optimizer.apply([tf.IndexedSlices(slices, tokens, tf.constant([ROWS, WIDTH]))], [table])

    graph = step.get_concrete_function(tf.ones([4, WIDTH]), tf.constant(TOKENS[0])).graph
    assert not any(operation.type == "UnsortedSegmentSum" for operation in graph.get_operations())


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_adamw_alone_decays_unless_a_decay_is_given(name):
    """Without a gradient a weight loses the share RATE * decay in each update; of an L2 term it would lose RATE."""
    from keras_dl import settings

    for given, decay in ((None, 0.01 if name == "adamw" else 0.0), (0.0, 0.0)):
        weight = keras.Variable(np.ones(3, "float32"))
        optimizer = optimizers.build(name, RATE, weight_decay=given)
        optimizer.build([weight])
        for _ in range(STEPS):
            optimizer.apply([tf.zeros(3)], [weight])
        np.testing.assert_allclose(weight, (1 - RATE * decay) ** STEPS, rtol=1e-6)
        asked = settings.Optimizer(name) if given is None else settings.Optimizer(name, weight_decay=given)
        assert optimizers.arguments(keras_tuner.HyperParameters(), asked)["weight_decay"] == decay


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_within_a_loss_scale_it_updates_as_without(name):
    """Half precision wraps the optimizer; its gradients come multiplied by a factor."""

    def updated(optimizer, factor):
        table = keras.Variable(start()[0].astype("float32"))
        optimizer.build([table])
        for tokens, (slices, _) in zip(TOKENS, gradients(), strict=True):
            slices = tf.constant(slices * factor, tf.float32)
            optimizer.apply([tf.IndexedSlices(slices, tf.constant(tokens), tf.constant([ROWS, WIDTH]))], [table])
        return table.numpy()

    wanted = updated(optimizers.build(name, RATE, clipnorm=CLIP), 1.0)
    scaled = keras.optimizers.LossScaleOptimizer(optimizers.build(name, RATE, clipnorm=CLIP), initial_scale=8.0)
    np.testing.assert_allclose(updated(scaled, 8.0), wanted, rtol=1e-4, atol=1e-5)


# Adam and AdamW against Keras' own.

KERAS_OWN = {optimizers.Adam: keras.optimizers.Adam, optimizers.AdamW: keras.optimizers.AdamW}
ARGUMENTS = [  # of Keras' own, each not its default
    {"learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.98, "epsilon": 1e-3}, {"amsgrad": True}, {"weight_decay": 0.1},
    {"clipnorm": 0.3}, {"global_clipnorm": 0.3}, {"clipvalue": 0.1}, {"loss_scale_factor": 4.0},
    {"gradient_accumulation_steps": 2}, {"use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 3},
    {"amsgrad": True, "weight_decay": 0.2, "gradient_accumulation_steps": 3, "clipnorm": 1.0, "name": "mine"},
]  # fmt: skip


def trained(optimizer, steps, mode, dense=False):
    """The weights after some steps on an embedding, of which each batch sees a few rows, and a matrix; the moments.

    dense: the embedding's gradient is given as a whole. (Of one in slices Keras squares each slice by itself, also
    where several are of one row, whose gradient is their sum.)
    """
    rng = np.random.default_rng(0)
    table = keras.Variable(rng.normal(size=(7, 3)).astype("float32"), name="table")
    matrix = keras.Variable(rng.normal(size=(3, 2)).astype("float32"), name="matrix")
    unused = keras.Variable(np.ones(2, "float32"), name="unused")
    optimizer.build([table, matrix, unused])

    def step(rows, target):
        with tf.GradientTape() as tape:
            made = tf.matmul(tf.gather(tf.convert_to_tensor(table.value), rows), tf.convert_to_tensor(matrix.value))
            loss = tf.reduce_mean((made - target) ** 2)
        variables = [table.value, matrix.value]
        gradients = tape.gradient(loss, variables)
        assert isinstance(gradients[0], tf.IndexedSlices)
        optimizer.apply([tf.convert_to_tensor(g) if dense else g for g in gradients], [table, matrix])

    step = step if mode == "eager" else tf.function(step, autograph=False, jit_compile=mode == "xla")
    for _ in range(steps):
        step(tf.constant(rng.integers(0, 7, 4)), tf.constant(rng.normal(size=(4, 2)), tf.float32))
    return [np.asarray(v) for v in (table, matrix, *optimizer.variables)]


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
@pytest.mark.parametrize(
    "options", [{}, {"beta_2": 0.98, "epsilon": 1e-3, "clipnorm": 0.3}, {"weight_decay": 0.1, "schedule": "noam"}]
)
def test_adam_is_keras_adam(options, mode):
    options = {"schedule": "constant", "warmup": 3} | options
    ours = optimizers.build("adam", 0.05, **options)
    kind = keras.optimizers.AdamW if "weight_decay" in options else keras.optimizers.Adam
    wanted = trained(kind.from_config(ours.get_config()), 9, mode, dense=True)
    found = trained(ours, 9, mode)
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)  # 1 - 0.999 is 0.00100005 in float32


@pytest.mark.parametrize("made", KERAS_OWN)
@pytest.mark.parametrize("arguments", ARGUMENTS, ids=lambda arguments: next(iter(arguments)))
def test_every_argument_of_keras_means_what_it_means_there(made, arguments):
    """Config, configs of the other, variables and numbers are those of keras.optimizers."""
    ours, twin = made(**arguments), KERAS_OWN[made](**arguments)
    assert ours.get_config() | {"name": ""} == twin.get_config() | {"name": ""}
    again = made.from_config(twin.get_config())
    assert type(again) is made and again.get_config() == twin.get_config()
    assert type(keras.optimizers.deserialize(keras.optimizers.serialize(ours))) is made
    for a, b in zip(trained(again, 6, "graph"), trained(twin, 6, "graph", dense=True), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_what_keras_refuses_is_refused():
    for made, arguments, message in (
        (optimizers.AdamW, {"weight_decay": None}, "weight_decay"),
        (optimizers.Adam, {"clipnorm": 1.0, "clipvalue": 1.0}, "Only one of"),
        (optimizers.Adam, {"nosuch": 1}, "not recognized"),
    ):
        with pytest.raises(ValueError, match=message):
            made(**arguments)


def test_an_embedding_s_other_rows_go_on_by_their_moments():
    table = keras.Variable(np.ones((3, 2), "float32"))
    optimizer = optimizers.build("adam", 0.1)
    optimizer.build([table])
    for rows in ([0], [1], [1]):
        before = np.asarray(table)
        gradient = tf.IndexedSlices(tf.ones([1, 2]), tf.constant(rows), tf.constant([3, 2]))
        optimizer.apply([gradient], [table])
    moved = np.asarray(table) - before
    assert (moved[:2] < 0).all() and (moved[2] == 0).all()


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1}])
def test_a_file_gives_the_same_optimizer(name, options, tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    model.compile(optimizers.build(name, 0.05, **options), "mse")
    model.fit(np.ones((4, 2)), np.ones((4, 3)), epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.optimizer) is type(model.optimizer)
    for m in (model, again):
        m.fit(np.ones((4, 2)), np.ones((4, 3)), verbose=0)
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])


# Learning rates, update by update.


def cosine(t, n):
    return (1 + np.cos(np.pi * min(t, n) / n)) / 2


def onecycle(t, n):
    done = min(t / n, 1)
    return 1 / 25 + 24 / 25 * done / 0.3 if done < 0.3 else (1 + np.cos(np.pi * (done - 0.3) / 0.7)) / 2


def in_steps(t, n):
    return 1 if t < n / 2 else 0.1 if t < n * 3 / 4 else 0.01


def decay(t, n, steps_per_epoch=3, after=2, factor=0.5):
    epoch = t // steps_per_epoch + 1
    return factor ** max(0, epoch - after)


def noam(t, n, warmup=4):
    """Vaswani et al., equation 3, over its largest value, which update `warmup` has; updates are counted from 1."""
    number = t + 1
    return min(number**-0.5, number * warmup**-1.5) * warmup**0.5


FORMULAS = {
    "constant": lambda t, n: 1, "cosine": cosine, "onecycle": onecycle, "steps": in_steps, "decay": decay, "noam": noam,
}  # fmt: skip


@pytest.mark.parametrize("schedule", optimizers.SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7, 64])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_every_update_has_the_rate_of_its_schedule(schedule, steps, optimizer):
    """Seen in what the weight loses: with a gradient of 1, SGD takes the rate, and so does Adam."""
    weight = keras.Variable(np.zeros(1, "float32"))
    made = optimizers.build(
        optimizer, 0.5, schedule=schedule, steps=steps, steps_per_epoch=3, decay_after=2, decay_factor=0.5, warmup=4
    )
    made.build([weight])
    for t in range(steps + 2):  # and on beyond the end
        before = weight.numpy()[0]
        made.apply([tf.ones([1])], [weight])
        assert before - weight.numpy()[0] == pytest.approx(0.5 * FORMULAS[schedule](t, steps), rel=1e-3, abs=1e-5), t
