"""A polynomial as a Keras model of one Dense layer, trained by gradient descent on all points at once, in float64.

The bias of the layer is the intercept, its kernel the weights of the further columns of a design matrix. Three things
differ from the equations in bayes.py, and are given as Keras wants them:

- the loss is the mean of the squares, not their sum: for the penalty gamma of ridge regression the layer gets
  l2(gamma / N), which adds gamma / N * |w|^2;
- Keras regularises no bias unless it is asked to: the intercept has a regularizer of its own, or none if it is free;
- Keras computes a loss in float32 whatever the model's dtype, and refuses to add a penalty in float64 to it: its floatx
  is float64 while a model is trained here.
"""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from keras_dl.laboratory import keeping

# Adam divides by the root mean square of the gradients of the last 10 steps or so; with Keras' 0.999 of the last
# 1,000, and AdamW, whose gradient hardly falls faster than that mean, would not come to its end in sensible time.
BETA_2 = 0.9


@contextlib.contextmanager
def in_float64():
    """A context in which losses, penalties and learning rates of Keras are float64."""
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        yield
    finally:
        keras.config.set_floatx(before)


def model_of(count, decay=0.0, free_intercept=False):
    """An uncompiled model, (N, P - 1) columns of a design matrix without that of ones -> (N, 1), with weights of 0.

    Args:
        count: P, the number of weights with the intercept; at least 2.
        decay: the argument of keras.regularizers.L2.
        free_intercept: regularise the kernel alone.
    """
    penalty = keras.regularizers.L2(decay) if decay else None
    columns = keras.Input((count - 1,), dtype="float64", name="columns")
    line = keras.layers.Dense(
        1, kernel_initializer="zeros", kernel_regularizer=penalty,
        bias_regularizer=None if free_intercept else penalty, dtype="float64", name="polynomial",
    )(columns)  # fmt: skip
    return keras.Model(columns, line, name="polynomial")


def train(model, optimizer, design, y, steps, records=1):
    """Train a model on all points at once; to be called within `in_float64`, as the optimizer's construction.

    Args:
        model: from `model_of`.
        optimizer: a Keras optimizer; plain gradient descent is keras.optimizers.SGD.
        design: (N, P), its first column ones.
        y: (N,).
        steps: the number of updates; what is left by a division by `records` is not done.
        records: at how many equal distances the weights are noted.

    Returns:
        (records + 1, P) weights: before the first update, and from then on.
    """
    every = max(1, steps // records)
    model.compile(optimizer=optimizer, loss="mse", steps_per_execution=every, jit_compile=False)
    points = tf.data.Dataset.from_tensors((design[:, 1:], y[:, None])).cache().repeat()
    path = [weights_of(model)]
    noted = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: path.append(weights_of(model)))
    model.fit(points, steps_per_epoch=every, epochs=records, callbacks=[noted], shuffle=False, verbose=0)
    return np.array(path)


def weights_of(model):
    """(P,): intercept and kernel of a model from `model_of`."""
    kernel, bias = model.get_layer("polynomial").get_weights()
    return np.concatenate([bias, kernel[:, 0]])


def kept(run, name, train, *arguments, **keywords):
    """train(*arguments, **keywords), one of the functions below, kept in the run as keeping.kept does."""
    return keeping.kept(run, name, lambda: {"weights": train(*arguments, **keywords)})["weights"]


@in_float64()
def descend(design, y, rate, steps, records=1, *, gamma=0.0, free_intercept=False):
    """Plain gradient descent by Keras on |B w - y|^2 / N + gamma / N * |w|^2; arguments and result as of `train`.

    Args:
        rate: the learning rate, as polynomials.rate gives it.
        gamma: sigma^2 / tau^2 of ridge regression.
        free_intercept: without a penalty on the intercept.
    """
    model = model_of(design.shape[1], gamma / len(design), free_intercept)
    return train(model, keras.optimizers.SGD(rate), design, y, steps, records)


@in_float64()
def adam_with_l2(design, y, gamma, steps, records, *, rate=0.05, free_intercept=False):
    """The path of Adam on |B w - y|^2 / N + gamma / N * |w|^2; arguments and result as of `train`.

    Adam divides the penalty's gradient by the same root mean square as the data's, so that the minimum stays.

    Args:
        gamma: sigma^2 / tau^2 of ridge regression.
        rate: the learning rate at the start; it falls to 0 along a cosine.
        free_intercept: without a penalty on the intercept.
    """
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    model = model_of(design.shape[1], gamma / len(design), free_intercept)
    return train(model, keras.optimizers.Adam(schedule, beta_2=BETA_2), design, y, steps, records)


@in_float64()
def adamw(design, y, weight_decay, steps, records, *, rate=0.05, free_intercept=False):
    """The path of AdamW on |B w - y|^2 / N, whose decay is outside of the gradient; arguments as of `adam_with_l2`.

    For plain gradient descent a weight decay of 2 gamma / N is the same as l2(gamma / N). AdamW's is not divided by the
    root mean square, as the gradient g is: where g does not change, the step is rate * (sign(g) + weight_decay * w),
    whatever the size of g. With all data in each step it can therefore only converge to a minimum of the squared error
    alone among max |w_j| <= 1 / weight_decay.

    Sources: Loshchilov and Hutter (arXiv:1711.05101), section 2; Xie and Li (arXiv:2404.04454), theorem 1.1.

    Args:
        weight_decay: the argument of keras.optimizers.AdamW.
    """
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    optimizer = keras.optimizers.AdamW(schedule, beta_2=BETA_2, weight_decay=weight_decay)
    model = model_of(design.shape[1])
    if free_intercept:
        optimizer.exclude_from_weight_decay([model.get_layer("polynomial").bias])
    return train(model, optimizer, design, y, steps, records)
