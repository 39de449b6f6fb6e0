"""Networks that are compared get the same training: updates, batches, optimizer, schedule; the last weights are kept.

A network is built, and its graph is traced, once; each training begins with weights of its own seed, and the optimizer
from zero. What was trained is kept in the run, so that a resumed run repeats no training that was complete.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from keras_dl.laboratory import keeping

CHUNK = 500  # pictures that are classified at once
CURVES = ("updates", "loss", "error")  # what Trained has beside the weights


@dataclasses.dataclass(frozen=True)
class Plan:
    """A training: so many updates, with a learning rate that falls to 0 along a cosine or stays as it is.

    Attributes:
        updates, batch_size, learning_rate: of it.
        points: number of times that the training is interrupted, at equal distances, to measure.
        schedule: "cosine" or "constant".
        optimizer: "adam" or "sgd".
    """

    updates: int
    batch_size: int
    learning_rate: float
    points: int = 10
    schedule: str = "cosine"
    optimizer: str = "adam"

    @property
    def measured(self):
        """The numbers of updates after which it is measured, the last one included: (points,) int."""
        return np.unique(np.linspace(0, self.updates, self.points + 1).round().astype(int)[1:])


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a training leaves.

    Attributes:
        weights: list of arrays, as of model.get_weights().
        updates: (P,) when it was measured.
        loss: (P,) mean cross-entropy of the training batches since the measurement before, in nats.
        error: (P,) share of the watched pictures that are classified wrongly; NaN without any.
    """

    weights: list
    updates: np.ndarray
    loss: np.ndarray
    error: np.ndarray


class Trainer:
    """A network that is trained again and again from new weights.

    Args:
        build: function without arguments -> an uncompiled keras.Model, whose outputs are logits.
        plan: the Plan of all trainings.
    """

    def __init__(self, build, plan):
        self.build, self.plan = build, plan
        self.model = build()
        rate = plan.learning_rate
        if plan.schedule == "cosine":
            rate = keras.optimizers.schedules.CosineDecay(rate, plan.updates)
        optimizer = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}[plan.optimizer](rate)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(optimizer, loss, jit_compile=False)
        self.model.optimizer.build(self.model.trainable_variables)
        self._first = [variable.numpy() for variable in self.model.optimizer.variables]
        shape = self.model.inputs[0].shape
        pictures, labels = tf.TensorSpec(shape, tf.float32), tf.TensorSpec([None], tf.int32)
        rows = tf.TensorSpec([None, plan.batch_size], tf.int32)
        self._steps = tf.function(self._train, input_signature=[pictures, labels, rows], autograph=False)
        self._logits = tf.function(lambda x: self.model(x, training=False), input_signature=[pictures], autograph=False)

    def trained(self, pictures, seed, *, watched=None, weights=None):
        """Train from the weights of a seed.

        Args:
            pictures: moved_pictures.Pictures to learn.
            seed: of the first weights, and of the order.
            watched: Pictures whose error is measured on the way; they change nothing.
            weights: list of arrays to begin with, instead of those of the seed.

        Returns:
            Trained.
        """
        self.set_weights(self.initial(seed) if weights is None else weights)
        for variable, value in zip(self.model.optimizer.variables, self._first, strict=True):
            variable.assign(value)
        x, y = tf.constant(pictures.x), tf.constant(pictures.y)
        order, ends = batches(len(pictures), self.plan, seed), [0, *self.plan.measured]
        losses, errors = [], []
        for begin, end in zip(ends, ends[1:], strict=False):
            self.model.reset_metrics()
            losses.append(float(self._steps(x, y, tf.constant(order[begin:end]))))
            errors.append(np.nan if watched is None else self.error(watched))
        weights = [weight.copy() for weight in self.model.get_weights()]
        return Trained(weights, np.array(ends[1:]), np.array(losses), np.array(errors))

    def initial(self, seed):
        """The first weights of a seed, a list of arrays."""
        keras.utils.set_random_seed(seed)
        return self.build().get_weights()

    def set_weights(self, weights):
        self.model.set_weights(weights)

    def logits(self, x):
        """Pictures (N, H, W, C) -> logits (N, K)."""
        parts = [self._logits(tf.constant(x[start : start + CHUNK])) for start in range(0, len(x), CHUNK)]
        return np.concatenate([part.numpy() for part in parts])

    def error(self, pictures):
        """The share of Pictures that are classified wrongly."""
        return float((self.logits(pictures.x).argmax(1) != pictures.y).mean())

    def _train(self, x, y, rows):
        """The mean loss of the batches whose indices are rows (updates, batch_size)."""

        def one(step):
            self.model.train_step((tf.gather(x, rows[step]), tf.gather(y, rows[step])))
            return (step + 1,)

        tf.while_loop(lambda step: step < tf.shape(rows)[0], one, (0,), parallel_iterations=1)
        return self.model.metrics[0].result()


def batches(count, plan, seed):
    """The order of a training: int32 (updates, batch_size), indices of `count` pictures, one shuffle after another."""
    rng, size = np.random.default_rng((seed, 4)), plan.updates * plan.batch_size
    order = np.concatenate([rng.permutation(count) for _ in range(-(-size // count))])[:size]
    return order.astype(np.int32).reshape(plan.updates, plan.batch_size)


def kept(run, name, train):
    """What `train` returns, Trained; if a training of this name is complete in the run, it is read instead.

    Args:
        run, name: as for keeping.kept.
        train: function without arguments -> Trained.
    """

    def trained():
        result = train()
        weights = {f"weight{number}": weight for number, weight in enumerate(result.weights)}
        return weights | {key: getattr(result, key) for key in CURVES}

    arrays = keeping.kept(run, name, trained)
    weights = [arrays[f"weight{number}"] for number in range(len(arrays) - len(CURVES))]
    return Trained(weights, **{key: arrays[key] for key in CURVES})
