"""optax's update rules give the paths of ours on the classical surfaces, JAX's Hessian is ours."""

import numpy as np
import pytest

from keras_dl import optimizers
from keras_dl.laboratory import classical_surfaces, curvature, paths

optax = pytest.importorskip("optax", reason="oracle: optax is not installed")
jax = pytest.importorskip("jax", reason="oracle: optax is not installed")  # it comes with optax
pytestmark = pytest.mark.oracle

RATE, STEPS = 0.002, 12


def theirs(name):
    """optax's optimizer of the same name, with Keras' constants."""
    return {
        "sgd": lambda: optax.sgd(RATE),
        "momentum": lambda: optax.sgd(RATE, momentum=0.9),
        "nesterov": lambda: optax.sgd(RATE, momentum=0.9, nesterov=True),
        "rmsprop": lambda: optax.rmsprop(RATE, decay=0.9, eps=1e-7, eps_in_sqrt=True),
        "adam": lambda: optax.adam(RATE, eps=0.0, eps_root=0.0),  # Keras' 1e-7 stands elsewhere, and is not seen
    }[name]()


@pytest.mark.parametrize("surface", classical_surfaces.CLASSICAL, ids=lambda surface: surface.name)
@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "rmsprop", "adam"])
def test_a_path_is_optax_s(name, surface):
    ours = paths.of_optimizer(surface, optimizers.build(name, RATE), STEPS)
    peer, point = theirs(name), np.array(surface.start)
    state = peer.init(point)
    for number in range(STEPS + 1):
        np.testing.assert_allclose(ours[number], point, rtol=2e-4, atol=2e-5)
        updates, state = peer.update(surface.gradient(point).astype(np.float32), state, point)
        point = np.asarray(optax.apply_updates(point, updates), np.float64)


def test_jax_s_hessian_is_ours():
    import tensorflow as tf

    rng = np.random.default_rng(0)
    x, start = rng.normal(size=(9, 4)).astype(np.float32), rng.normal(size=(4, 3)).astype(np.float32)
    labels = rng.integers(0, 3, 9)

    def in_jax(flat):
        return optax.softmax_cross_entropy_with_integer_labels(jax.numpy.tanh(x @ flat.reshape(4, 3)), labels).mean()

    weights = tf.Variable(start)

    def in_tensorflow():
        logits = tf.tanh(tf.matmul(x, weights))
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))

    np.testing.assert_allclose(
        curvature.hessian(in_tensorflow, [weights]), jax.hessian(in_jax)(start.ravel()), rtol=1e-4, atol=1e-6
    )
