"""Optimizers and learning-rate schedules by name, as papers use them.

Weight decay is that of the papers: for SGD and RMSprop an L2 term in the gradient (He et al. 2015: of all weights, and
therefore part of the momentum), for Adam the decoupled decay of Loshchilov and Hutter 2019 (1711.05101). Keras' own
`weight_decay` is decoupled for every optimizer; with momentum 0.9 its effect is ten times smaller than the papers'.
"""

import functools
import math

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_dl.arguments import OPEN, ArgumentError, Number, OneOf, Whole, checked

OPTIMIZERS = ("sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw")
SCHEDULES = ("constant", "cosine", "onecycle", "steps", "decay", "noam")
MOMENTUM = 0.9
DECAY = 0.01  # of "adamw", unless another is given: the usual one, for learning rates of about 0.001
MOST_UPDATES = 2**31 - 1  # Keras counts them in 32 bits


@checked(who="optimizers.build")
def build(
    optimizer: OneOf(*OPTIMIZERS),
    learning_rate: Number("[1e-12, 1000]"),
    *,
    schedule: OneOf(*SCHEDULES) = "constant",
    steps: Whole(0, MOST_UPDATES) = 1,
    steps_per_epoch: Whole(1, MOST_UPDATES) = 1,
    decay_after: Whole(0, 1_000_000) = 4,
    decay_factor: Number("[1e-6, 1]") = 0.5,
    warmup: Whole(1, MOST_UPDATES) = 4000,
    weight_decay: Number("[0, 10]") | None = None,
    clipnorm: Number("[0, 1e6]") | None = None,
    beta_1: Number("[0, 0.999999]") = 0.9,
    beta_2: Number("[0, 0.999999]") = 0.999,
    epsilon: Number("[1e-20, 1]") = 1e-7,
):
    """Make a Keras optimizer and its learning-rate schedule.

    Args:
        optimizer: "sgd", "momentum" (0.9), "nesterov" (0.9), "rmsprop", "adam", or "adamw": Adam with decoupled
            weight decay (1711.05101), which "adam" with a weight_decay is, too.
        learning_rate: the largest learning rate of the schedule.
        schedule: "constant"; "cosine" to 0 (1608.03983, eq. 5, one period); "onecycle": up linearly over the first
            30 %, down to 0 by a cosine (after 1708.07120; momentum is not cycled); "steps": a tenth after 50 % and
            a hundredth after 75 % of the steps (1512.03385, section 4.2: 32k and 48k of 64k); "decay": times
            decay_factor each epoch after the first decay_after (1409.2329, section 4.1); "noam": up linearly over
            `warmup` updates, then down as 1 / sqrt(step) (1706.03762, eq. 3, whose largest rate is
            1 / sqrt(d_model * warmup)).
        steps: length of the schedule in updates, for "cosine", "onecycle" and "steps".
        steps_per_epoch, decay_after, decay_factor: for "decay".
        warmup: for "noam", in updates.
        weight_decay: factor of the L2 term; for "adam" and "adamw" of the decoupled decay: each update takes
            learning_rate * weight_decay of every weight. None: 0.01 for "adamw", 0 for the others.
        clipnorm: largest global norm of the gradient (1211.5063, algorithm 1), None or 0 for no clipping.
        beta_1, beta_2, epsilon: for "adam" and "adamw".

    Returns:
        A keras.optimizers.Optimizer.

    Raises:
        ArgumentError: an argument does not fit its annotation.
    """
    if schedule == "decay":
        rate = EpochDecay(learning_rate, steps_per_epoch, decay_after, decay_factor)
    elif schedule == "noam":
        rate = Noam(learning_rate, warmup)
    else:
        rate = _schedule(schedule, float(learning_rate), max(1, steps))
    shared = {"learning_rate": rate, "global_clipnorm": clipnorm or None}
    weight_decay = decay_of(optimizer, weight_decay)
    if optimizer in ("adam", "adamw"):
        shared |= {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}
        if weight_decay or optimizer == "adamw":
            return AdamW(weight_decay=weight_decay, **shared)
        return Adam(**shared)
    if optimizer == "rmsprop":
        return RMSpropL2(weight_decay, **shared) if weight_decay else RMSprop(**shared)
    shared |= {"momentum": 0.0 if optimizer == "sgd" else MOMENTUM, "nesterov": optimizer == "nesterov"}
    return SGDL2(weight_decay, **shared) if weight_decay else SGD(**shared)


def decay_of(optimizer, weight_decay):
    """The weight decay that an optimizer has if `weight_decay` is None or "auto"; else `weight_decay`."""
    if weight_decay in OPEN:
        return DECAY if optimizer == "adamw" else 0.0
    return weight_decay


def drawn(hp, asked, epochs, steps_per_epoch, prefix=""):
    """The optimizer of the command line, with a learning rate drawn from `hp`: a third to three times the given one.

    Args:
        hp: keras_tuner.HyperParameters; new ones give the learning rate of the command line.
        asked: the settings.Optimizer of the command line.
        epochs: length of the schedule in epochs.
        steps_per_epoch: updates per epoch.
        prefix: of the hyperparameter's name, if a model has several optimizers.

    Returns:
        A keras.optimizers.Optimizer.
    """
    steps = {"steps": epochs * steps_per_epoch, "steps_per_epoch": steps_per_epoch}
    return build(**arguments(hp, asked, prefix), **steps)


def arguments(hp, asked, prefix=""):
    """{argument: value} with which `drawn` calls `build`: only those that this optimizer and schedule use."""
    rate = asked.learning_rate
    values = {
        "optimizer": asked.name,
        "learning_rate": hp.Float(f"{prefix}learning_rate", rate / 3, rate * 3, sampling="log", default=rate),
    }
    names = ["schedule", "weight_decay", "clipnorm"]
    names += {"decay": ["decay_after", "decay_factor"], "noam": ["warmup"]}.get(asked.schedule, [])
    names += ["beta_1", "beta_2", "epsilon"] if asked.name in ("adam", "adamw") else []
    values |= {name: getattr(asked, name) for name in names}
    return values | {"weight_decay": decay_of(asked.name, asked.weight_decay)}


def set_rate_factors(optimizer, factors):
    """Let an optimizer train some variables at a share of its learning rate, or not at all.

    The update of a variable with factor f, its weight decay included, is that of the same optimizer with f times the
    learning rate. With f = 0 the variable keeps its bits. Call it before the first step is traced.

    Args:
        optimizer: one of this module, or a keras.optimizers.LossScaleOptimizer around one.
        factors: a number of at least 0 for each variable, in the order in which the optimizer is built on them.

    Raises:
        ArgumentError: the optimizer is another.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if not isinstance(inner, _WholeGradients):
        raise ArgumentError(
            "optimizers.set_rate_factors: optimizer must be one of keras_dl.optimizers; "
            f"got {type(inner).__name__}. Nearest: optimizers.{type(inner).__name__}."
        )
    inner.rate_factors = tuple(float(factor) for factor in factors)


def rate_factors(optimizer):
    """The factors that set_rate_factors has set; () if all variables train at the optimizer's rate."""
    return getattr(getattr(optimizer, "inner_optimizer", optimizer), "rate_factors", ())


class _WholeGradients:
    """Adds up the slices of an embedding's gradient before anything is computed from it.

    TensorFlow returns this gradient as slices (tf.IndexedSlices), one for each token of the batch, and Keras 3.15
    processes each slice separately: if a token occurs n times in a batch, it squares n parts instead of their sum. With
    the slices added up, norms, moments and decay are those of the gradient.

    Args:
        rate_factors: of the variables, as set_rate_factors sets them; (): all 1.
    """

    def __init__(self, *args, rate_factors=(), **kwargs):
        super().__init__(*args, **kwargs)
        self.rate_factors = tuple(rate_factors)

    def get_config(self):
        config = super().get_config()
        return config | {"rate_factors": list(self.rate_factors)} if self.rate_factors else config

    def apply(self, grads, trainable_variables=None):
        if not self._adds_alone():
            grads = [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in grads]
        return super().apply(grads, trainable_variables)

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        if not self.rate_factors:
            super()._backend_update_step(grads, trainable_variables, learning_rate)
            return
        factors = [self._factor_of(variable) for variable in trainable_variables]
        for factor in dict.fromkeys(factors):
            if factor:
                chosen = [i for i, other in enumerate(factors) if other == factor]
                super()._backend_update_step(
                    [grads[i] for i in chosen], [trainable_variables[i] for i in chosen], learning_rate * factor
                )

    def _apply_weight_decay(self, variables):
        if self.weight_decay is None or not self.rate_factors:
            super()._apply_weight_decay(variables)
            return

        def decay(distribution, variables):
            for variable in variables:
                rate, value = self.learning_rate * self._factor_of(variable), getattr(variable, "value", variable)
                if self._use_weight_decay(value):
                    update = functools.partial(_decay, share=self.weight_decay, rate=rate)
                    distribution.extended.update(value, update, group=False)

        trained = [variable for variable in variables if self._factor_of(variable)]
        # As in Keras: with several replicas, an update is made once for all of them.
        tf.__internal__.distribute.interim.maybe_merge_call(decay, self._distribution_strategy, trained)

    def _factor_of(self, variable):
        return self.rate_factors[self._get_variable_index(variable)]

    def _adds_alone(self):
        """Whether the update only adds a multiple of the gradient: slices then add up in the weight by themselves."""
        return False


def _decay(variable, share, rate):
    """w -= w * share * rate: decoupled weight decay."""
    variable.assign_sub(variable * tf.cast(share, variable.dtype) * tf.cast(rate, variable.dtype))


@keras.saving.register_keras_serializable("keras_dl")
class SGD(_WholeGradients, keras.optimizers.SGD):
    """keras.optimizers.SGD that adds up an embedding's gradient slices first."""

    def _adds_alone(self):
        looks_at_it = (
            self.momentum, self.clipnorm, self.clipvalue, self.global_clipnorm, self.loss_scale_factor,
            self.gradient_accumulation_steps,
        )  # fmt: skip
        return not any(looks_at_it)


@keras.saving.register_keras_serializable("keras_dl")
class RMSprop(_WholeGradients, keras.optimizers.RMSprop):
    """keras.optimizers.RMSprop that adds up an embedding's gradient slices first."""


class _L2:
    """Adds l2 * w to the gradient of every weight w, before momentum or scaling is applied."""

    def __init__(self, l2=0.0, **kwargs):
        super().__init__(**kwargs)
        self.l2 = l2

    def update_step(self, gradient, variable, learning_rate):
        gradient = tf.convert_to_tensor(gradient)
        super().update_step(gradient + ops.cast(self.l2 * variable, gradient.dtype), variable, learning_rate)

    def get_config(self):
        return super().get_config() | {"l2": self.l2}


@keras.saving.register_keras_serializable("keras_dl")
class SGDL2(_L2, SGD):
    """SGD, with or without momentum, on the loss plus l2/2 |w|^2."""


@keras.saving.register_keras_serializable("keras_dl")
class RMSpropL2(_L2, RMSprop):
    """RMSprop on the loss plus l2/2 |w|^2."""


class _OnePass(_WholeGradients):
    """Adam's update (1412.6980, end of section 2) by TensorFlow's kernel.

    The kernel makes one pass over a weight and its two moments, Keras about twelve. The results equal Keras' up to
    rounding. With amsgrad, which the kernel does not have, the update is Keras' own.
    """

    def update_step(self, gradient, variable, learning_rate):
        if self.amsgrad:
            return super().update_step(gradient, variable, learning_rate)
        cast, index = (lambda x: tf.cast(x, variable.dtype)), self._get_variable_index(variable)
        variable = variable.value if isinstance(variable, keras.Variable) else variable
        m, v = self._momentums[index].value, self._velocities[index].value
        beta_1, beta_2, t = cast(self.beta_1), cast(self.beta_2), cast(self.iterations + 1)
        return tf.raw_ops.ResourceApplyAdam(
            var=variable.handle, m=m.handle, v=v.handle, beta1_power=beta_1**t,
            beta2_power=beta_2**t, lr=cast(learning_rate), beta1=beta_1, beta2=beta_2, epsilon=cast(self.epsilon),
            grad=cast(gradient),
        )  # fmt: skip


@keras.saving.register_keras_serializable("keras_dl")
class Adam(_OnePass, keras.optimizers.Adam):
    """Adam (1412.6980, algorithm 1): keras.optimizers.Adam with all its arguments, but faster."""


@keras.saving.register_keras_serializable("keras_dl")
class AdamW(_OnePass, keras.optimizers.AdamW):
    """Adam with decoupled weight decay (1711.05101): keras.optimizers.AdamW with all its arguments, but faster."""


@keras.saving.register_keras_serializable("keras_dl")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """Linearly from peak / 25 to peak in the first `warmup` (a share) of `steps`, then to 0 by half a cosine."""

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


@keras.saving.register_keras_serializable("keras_dl")
class EpochDecay(keras.optimizers.schedules.LearningRateSchedule):
    """`rate` for the first `after` epochs, then multiplied by `factor` each epoch.

    Epoch e (from 0) has rate * factor ** max(0, e + 1 - after).
    """

    def __init__(self, rate, steps_per_epoch, after, factor):
        self.rate, self.steps_per_epoch, self.after, self.factor = rate, steps_per_epoch, after, factor

    def __call__(self, step):
        epoch = ops.floor(ops.cast(step, "float32") / self.steps_per_epoch)
        return self.rate * ops.power(np.float32(self.factor), ops.maximum(epoch + 1.0 - self.after, 0.0))

    def get_config(self):
        names = ("rate", "steps_per_epoch", "after", "factor")
        return {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable("keras_dl")
class Noam(keras.optimizers.schedules.LearningRateSchedule):
    """peak * min(t / warmup, sqrt(warmup / t)) at update t = 1, 2, ..."""

    def __init__(self, peak, warmup):
        self.peak, self.warmup = peak, warmup

    def __call__(self, step):
        done = (ops.cast(step, "float32") + 1.0) / self.warmup
        return self.peak * ops.minimum(done, ops.rsqrt(done))

    def get_config(self):
        return {"peak": self.peak, "warmup": self.warmup}


def _schedule(name, rate, steps):
    if name == "cosine":
        return keras.optimizers.schedules.CosineDecay(rate, steps)
    if name == "onecycle":
        return OneCycle(rate, steps)
    if name == "steps":
        # Numbers of the last updates at each rate: Keras changes the rate after the update with a boundary's number.
        last = [math.ceil(steps * share) - 1 for share in (0.5, 0.75)]
        return keras.optimizers.schedules.PiecewiseConstantDecay(last, [rate, rate / 10, rate / 100])
    return rate
