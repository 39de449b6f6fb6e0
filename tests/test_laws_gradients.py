"""The gradient is the loss' slope in any direction, for every row: (L(w + e v) - L(w - e v)) / 2e = <g, v>.

Nothing is taken for granted in it: gradients that are written by hand (recurrent layers, attention's decoder, batch
normalisation) and TensorFlow's own are held against the loss itself. The slope is of float64, where rounding is
far below the tolerance.
"""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import CASES

# Of the direction, whose entries are of the size of 1. Batch normalisation of few values bends the loss of a deep
# network sharply, so that a larger step would measure the bend; in float64 rounding allows for this one.
STEP = 1e-7


def in_double(model):
    """The same network with the same weights, all of it in float64, the logits too."""
    config = json.dumps(keras.saving.serialize_keras_object(model)).replace("float32", "float64")
    double = keras.saving.deserialize_keras_object(json.loads(config))
    double.set_weights(model.get_weights())
    return double


def gradient_of(loss_of, model, inputs, labels):
    weights = [weight.value for weight in model.trainable_variables]
    with tf.GradientTape() as tape:
        loss = loss_of(labels, model(inputs, training=True))
    return [np.asarray(tf.convert_to_tensor(g), np.float64) for g in tape.gradient(loss, weights)]


@pytest.mark.parametrize("row", CASES)
def test_the_gradient_is_the_slope_of_the_loss_in_any_direction(row):
    """In float64, and in float32 as users train: an LSTM's kernel of TensorFlow's is there in float32 alone."""
    case = CASES[row]
    single = case.make(**case.without_dropout)
    double = in_double(single)
    inputs, labels = case.example(6), case.labels(6)
    assert double(inputs).dtype == "float64"

    rng = np.random.default_rng(0)
    start = [weight.numpy() for weight in double.trainable_variables]
    direction = [rng.normal(size=value.shape) for value in start]
    gradient = gradient_of(case.loss, double, inputs, labels)
    losses = {}
    for sign in (1, -1):
        for weight, value, v in zip(double.trainable_variables, start, direction, strict=True):
            weight.assign(value + sign * STEP * v)
        losses[sign] = float(case.loss(labels, double(inputs, training=True)))
    slope = (losses[1] - losses[-1]) / (2 * STEP)

    norm = np.sqrt(sum(np.sum(g**2) for g in gradient))
    assert norm > 0.05
    product = sum(np.vdot(g, v) for g, v in zip(gradient, direction, strict=True))
    assert product == pytest.approx(slope, abs=1e-6 * norm)
    for weight, g, wanted in zip(
        single.trainable_variables, gradient_of(case.loss, single, inputs, labels), gradient, strict=True
    ):
        tolerance = 1e-3 * np.abs(wanted).max() + 1e-6 * norm
        np.testing.assert_allclose(g, wanted, rtol=0, atol=tolerance, err_msg=weight.path)
