"""PyTorch's optimizers give the weights of ours: its weight_decay and its clipping by the global norm are meant."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_dl import optimizers

try:
    import torch
except ImportError:
    torch = None

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(torch is None, reason="oracle: PyTorch is not installed"),
]

RATE, STEPS = 0.05, 8
SHAPES = ((5, 3), (4,))


def theirs(name, parameters, weight_decay):
    """PyTorch's optimizer of the same name; its epsilon stands beside the root, Keras' within: it is made to vanish."""
    if name == "rmsprop":
        return torch.optim.RMSprop(parameters, RATE, alpha=0.9, eps=0.0, weight_decay=weight_decay)
    if name in ("adam", "adamw"):
        return torch.optim.AdamW(parameters, RATE, eps=0.0, weight_decay=weight_decay)
    momentum = 0.0 if name == "sgd" else 0.9
    return torch.optim.SGD(parameters, RATE, momentum=momentum, nesterov=name == "nesterov", weight_decay=weight_decay)


@pytest.mark.parametrize("clipnorm", [None, 3.0])
@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_an_update_is_pytorchs(name, weight_decay, clipnorm):
    rng = np.random.default_rng(0)
    start = [rng.normal(size=shape).astype("float32") for shape in SHAPES]
    weights = [keras.Variable(value) for value in start]
    parameters = [torch.nn.Parameter(torch.tensor(value)) for value in start]
    ours = optimizers.build(name, RATE, weight_decay=weight_decay, clipnorm=clipnorm)
    ours.build(weights)
    peer = theirs(name, parameters, weight_decay)
    for _ in range(STEPS):
        gradients = [  # none near 0, where Keras' epsilon is seen
            (rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape)).astype("float32") for shape in SHAPES
        ]
        ours.apply([tf.constant(gradient) for gradient in gradients], weights)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.tensor(gradient)
        if clipnorm:
            torch.nn.utils.clip_grad_norm_(parameters, clipnorm)
        peer.step()
    for weight, parameter in zip(weights, parameters, strict=True):
        np.testing.assert_allclose(weight, parameter.detach().numpy(), rtol=1e-4, atol=1e-5)
