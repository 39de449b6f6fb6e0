"""Adam in one pass is Keras' Adam."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl import optimizers


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
    assert int(optimizer.iterations) == steps
    return [np.asarray(v) for v in (table, matrix, *optimizer.variables[2:])]


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


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1}])
def test_a_file_gives_the_same_optimizer(options, tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    model.compile(optimizers.build("adam", 0.05, **options), "mse")
    model.fit(np.ones((4, 2)), np.ones((4, 3)), epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.optimizer) is type(model.optimizer)
    for m in (model, again):
        m.fit(np.ones((4, 2)), np.ones((4, 3)), verbose=0)
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])


@pytest.mark.parametrize("kind", [optimizers.Adam, optimizers.AdamW])
def test_what_one_pass_cannot_do_is_refused(kind):
    with pytest.raises(ValueError, match=f"^{kind.__name__}: amsgrad must be False"):
        kind(amsgrad=True)
