"""Optimizers and learning-rate schedules by name, as papers use them.

Weight decay is what each paper means by it: for SGD and RMSprop an L2 term in the gradient (He et al. 2015: of all
weights, and so inside the momentum), for Adam the decoupled decay of Loshchilov and Hutter 2019 (1711.05101). Keras'
own `weight_decay` is decoupled for every optimizer; under momentum 0.9 it decays ten times less than the papers' does.
"""

import math

import keras
import numpy as np
from keras import ops

OPTIMIZERS = ("sgd", "momentum", "nesterov", "rmsprop", "adam")
SCHEDULES = ("constant", "cosine", "onecycle", "steps")
MOMENTUM = 0.9


def build(optimizer, learning_rate, *, schedule="constant", steps=1, weight_decay=0.0, clipnorm=None):
    """Make a Keras optimizer.

    Args:
        optimizer: "sgd", "momentum" (0.9), "nesterov" (0.9), "rmsprop" or "adam" ("adam" with decay is AdamW).
        learning_rate: the largest of the schedule.
        schedule: "constant"; "cosine" to 0 (1608.03983, eq. 5, one period); "onecycle": up linearly over the first
            30 %, down to 0 by a cosine (after 1708.07120; momentum is not cycled); "steps": a tenth after 50 % and
            a hundredth after 75 % of the steps (1512.03385, section 4.2: 32k and 48k of 64k).
        steps: how many updates the schedule lasts.
        weight_decay: L2 factor, or the decoupled one for "adam".
        clipnorm: largest global norm of the gradient, None for no clipping.

    Raises:
        ValueError: an unknown name, a learning rate that is not positive, or a negative decay.
    """
    if optimizer not in OPTIMIZERS or schedule not in SCHEDULES:
        raise ValueError(
            f"optimizers.build: optimizer must be one of {', '.join(OPTIMIZERS)} and schedule one of "
            f"{', '.join(SCHEDULES)}; got {optimizer!r} and {schedule!r}."
        )
    if not learning_rate > 0 or weight_decay < 0:
        raise ValueError(
            f"optimizers.build: learning_rate must be positive and weight_decay not negative; "
            f"got {learning_rate} and {weight_decay}."
        )
    rate = _schedule(schedule, learning_rate, max(1, steps))
    shared = {"learning_rate": rate, "global_clipnorm": clipnorm}
    if optimizer == "adam":
        if weight_decay:
            return keras.optimizers.AdamW(weight_decay=weight_decay, **shared)
        return keras.optimizers.Adam(**shared)
    if optimizer == "rmsprop":
        return (RMSpropL2(weight_decay, **shared)) if weight_decay else keras.optimizers.RMSprop(**shared)
    shared |= {"momentum": 0.0 if optimizer == "sgd" else MOMENTUM, "nesterov": optimizer == "nesterov"}
    return SGDL2(weight_decay, **shared) if weight_decay else keras.optimizers.SGD(**shared)


class _L2:
    """Adds l2 * w to the gradient of every weight, before momentum or scaling sees it."""

    def __init__(self, l2=0.0, **kwargs):
        super().__init__(**kwargs)
        self.l2 = l2

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient + ops.cast(self.l2 * variable, gradient.dtype), variable, learning_rate)

    def get_config(self):
        return super().get_config() | {"l2": self.l2}


@keras.saving.register_keras_serializable("keras_dl")
class SGDL2(_L2, keras.optimizers.SGD):
    """SGD, with or without momentum, of the loss plus l2/2 |w|^2."""


@keras.saving.register_keras_serializable("keras_dl")
class RMSpropL2(_L2, keras.optimizers.RMSprop):
    """RMSprop of the loss plus l2/2 |w|^2."""


@keras.saving.register_keras_serializable("keras_dl")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """Up linearly from a 25th over the first `warmup` of `steps`, down to 0 by half a cosine."""

    START = 1 / 25  # of the peak

    def __init__(self, peak, steps, warmup=0.3):
        self.peak, self.steps, self.warmup = peak, steps, warmup

    def __call__(self, step):
        done = ops.minimum(ops.cast(step, "float32") / self.steps, 1.0)
        up = self.START + (1 - self.START) * done / self.warmup
        down = 0.5 * (1 + ops.cos(np.float32(math.pi) * (done - self.warmup) / (1 - self.warmup)))
        return self.peak * ops.where(done < self.warmup, up, down)

    def get_config(self):
        return {"peak": self.peak, "steps": self.steps, "warmup": self.warmup}


def _schedule(name, rate, steps):
    if name == "cosine":
        return keras.optimizers.schedules.CosineDecay(rate, steps)
    if name == "onecycle":
        return OneCycle(rate, steps)
    if name == "steps":
        edges = [max(1, steps // 2), max(2, steps * 3 // 4)]
        return keras.optimizers.schedules.PiecewiseConstantDecay(edges, [rate, rate / 10, rate / 100])
    return rate
