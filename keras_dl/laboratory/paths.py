"""Paths of optimizers on a surface of two variables.

A path is an array (T + 1, 2), start included. It ends early where it leaves the surface's window.
"""

import keras
import numpy as np


def of_optimizer(surface, optimizer, steps):
    """The path of a Keras optimizer, which is given the surface's gradient.

    Args:
        surface: a classical_surfaces.Surface.
        optimizer: a keras.optimizers.Optimizer that is not built.
        steps: T, number of updates.
    """
    point = keras.Variable(np.array(surface.start, np.float32))
    optimizer.build([point])

    def step(_):
        gradient = surface.gradient(np.asarray(point, np.float64))
        optimizer.apply([keras.ops.convert_to_tensor(gradient.astype(np.float32))], [point])
        return np.asarray(point, np.float64)

    return _walked(surface, step, steps)


def of_direction(surface, direction, rate, steps):
    """The path theta <- theta + rate * direction(gradient, hessian), direction a function of arrays -> (2,)."""

    def step(point):
        return point + rate * np.asarray(direction(surface.gradient(point), surface.hessian(point)))

    return _walked(surface, step, steps)


def of_model(surface, model, batch, steps):
    """The path of the two weights of a compiled model with a train_step, all examples in each step.

    Args:
        surface: the error of the model as a classical_surfaces.Surface, at whose start the model is put.
        model: a keras.Model with two weights.
        batch: (x, y), what train_step takes.
        steps: T, number of updates.
    """
    import tensorflow as tf

    for variable, value in zip(model.trainable_variables, surface.start, strict=True):
        variable.assign(np.full(variable.shape, value))
    train_step = tf.function(model.train_step, autograph=False)

    def step(_):
        train_step(batch)
        return np.array([float(np.asarray(variable).item()) for variable in model.trainable_variables])

    return _walked(surface, step, steps)


def _walked(surface, step, steps):
    path = [np.array(surface.start, np.float64)]
    while len(path) <= steps and surface.holds(path[-1]):
        path.append(step(path[-1]))
    return np.stack(path)
