"""Blocks of steps of a model in one graph: reported numbers, NaN checks, and state that checkpoints miss."""

import random

import keras
import numpy as np
import tensorflow as tf

from keras_dl import checkpoint as checkpoints
from keras_dl import errors, parts


class Steps:
    """A graph of n calls of train_step or test_step: steps(iterator, n) -> {name: tensor} of the last call.

    Args:
        model: compiled.
        one_step: model.train_step or model.test_step.
        iterator: over batches of the same specs as those to come; it is used to trace the graph, and not advanced.

    Attributes:
        names: of the numbers that a step reports.
        diverged: None if the last call's numbers and weights were finite (see _is_fine), else (index of the first step
            with such a number, its name) or (None, path of a weight that is not finite).

    Raises:
        UserError: a step reports something that is no scalar.
    """

    def __init__(self, model, one_step, iterator):
        self.model, self.names, self.diverged = model, [], None
        self._training = one_step == model.train_step
        self._last = {}  # {name: variable}: numbers that a model's own train_step returns besides metrics
        strategy = tf.distribute.get_strategy()
        compiled = tf.function(one_step, jit_compile=True) if model.jit_compile else one_step

        @tf.function(autograph=False)
        def steps(iterator, count):
            def body(i, bad, which):
                logs = strategy.run(compiled, args=(next(iterator),))
                self._check(logs)
                values = [strategy.experimental_local_results(value) for value in logs.values()]
                self._note(logs, strategy)
                fine = tf.stack([_is_fine(name, each) for name, each in zip(logs, values, strict=True)])
                stop = (bad < 0) & ~tf.reduce_all(fine)
                which = tf.where(stop, tf.argmin(tf.cast(fine, tf.int32), output_type=tf.int32), which)
                return i + 1, tf.where(stop, i, bad), which

            start = (tf.constant(0), tf.constant(-1), tf.constant(0))
            _, bad, which = tf.while_loop(lambda i, *_: i < count, body, start, parallel_iterations=1)
            with tf.control_dependencies([bad]):
                return bad, which, self._weights_are_finite(), self._reported()

        self._graph = steps.get_concrete_function(iterator, tf.constant(0))

    def __call__(self, iterator, count):
        bad, which, finite, logs = self._graph(iterator, tf.constant(count))
        self.diverged = None
        if self._training and int(bad) >= 0:
            self.diverged = int(bad), self.names[int(which)]
        elif self._training and not bool(finite):
            self.diverged = None, next(v.path for v in self.model.trainable_variables if not is_finite(v))
        return logs

    def not_saved(self):
        """A sentence that names state which a checkpoint does not hold; None if none is found."""
        model = self.model
        if parts.has_keras_step(model) or isinstance(model, parts.ModelWithParts):
            return None
        saved = {id(v.value if isinstance(v, keras.Variable) else v) for v in checkpoints.variables(model)}
        saved |= {id(variable) for variable in self._last.values()}
        hidden = []
        if tf.distribute.get_strategy().num_replicas_in_sync == 1:
            hidden = [v.name.partition(":")[0] for v in self._graph.graph.variables if id(v) not in saved]
        attributes = state_outside_variables(model)
        if not hidden and not attributes:
            return None
        what = [f"the attributes {', '.join(attributes)}"] if attributes else []
        more = f" and {len(hidden) - 1} more" if len(hidden) > 1 else ""
        what += [f"the variable {hidden[0]}{more}, which is in none of its attributes"] if hidden else []
        return (
            f"training.fit: {model.name} has a train_step of its own; a checkpoint does not hold {' and '.join(what)}: "
            "a resumed run starts with new ones."
        )

    def _check(self, logs):
        self.names = list(logs)
        for name, value in logs.items():
            for local in tf.distribute.get_strategy().experimental_local_results(value):
                if len(tf.convert_to_tensor(local).shape) > 0:
                    raise errors.UserError(
                        f"training.fit: what a step of {self.model.name} reports must be scalars; {name!r} is of shape "
                        f"{tuple(local.shape)}."
                    )

    def _note(self, logs, strategy):
        """Store the numbers that a model's own step returns, which need not be results of metrics of the same names."""
        if parts.has_keras_step(self.model) or isinstance(self.model, parts.ModelWithParts):
            return
        several = strategy.num_replicas_in_sync > 1
        metrics = self.model.get_metrics_result() if several else ()
        for name, value in logs.items():
            if name in metrics:
                continue  # a metric: its variables are summed over replicas when it is read
            if name not in self._last:
                with tf.init_scope():
                    self._last[name] = tf.Variable(0.0, trainable=False)
            local = [tf.cast(v, tf.float32) for v in strategy.experimental_local_results(value)]
            self._last[name].assign(tf.add_n(local) / len(local))

    def _reported(self):
        results = self.model.get_metrics_result()
        return {name: tf.identity(self._last.get(name, results.get(name))) for name in self.names}

    def _weights_are_finite(self):
        if not self._training:
            return tf.constant(True)
        # A sum is finite only if all terms are: one pass, and no copy.
        sums = [tf.reduce_sum(tf.cast(v.value, tf.float32)) for v in self.model.trainable_variables]
        return tf.reduce_all(tf.math.is_finite(tf.stack(sums))) if sums else tf.constant(True)


def stream(model, dataset):
    """An iterator over `dataset`, whose batches are split among the replicas.

    Also builds the optimizers of `model`, and with several replicas all other variables that a step would create, since
    replicas must not create variables. If the loss of a model's own train_step is unknown, tracing the step builds the
    optimizers instead, so that an optimizer that is not used gets no variables.
    """
    strategy = tf.distribute.get_strategy()
    if parts.training_losses(model) is not None:
        for part in parts.of(model):
            if part.optimizer is not None and not part.optimizer.built:
                part.optimizer.build(part.variables)
    if strategy.num_replicas_in_sync == 1:
        return iter(dataset)
    # Replicas must not create variables; Keras' own fit does the same. There is no public method for it.
    like = tf.nest.map_structure(lambda s: tf.zeros([d or 2 for d in s.shape], s.dtype), dataset.element_spec)
    model._symbolic_build(data_batch=like)
    return iter(strategy.experimental_distribute_dataset(dataset))


def _is_fine(name, values):
    """Whether training may continue with the replicas' values of a number: losses must be finite, others not NaN."""
    values = tf.stack([tf.cast(value, tf.float32) for value in values])
    return tf.reduce_all(tf.math.is_finite(values) if "loss" in name else ~tf.math.is_nan(values))


def is_finite(variable):
    return bool(np.isfinite(np.sum(keras.ops.convert_to_numpy(variable), dtype=np.float32)))


def state_outside_variables(model):
    """Names of attributes that may change during training and are in no variable: numbers, arrays, generators.

    Settings (the keys of get_config), private attributes and those of every keras.Model are left out.
    """
    keras_own = keras.Model()
    keras_own.compile()
    try:
        settings = set(model.get_config())
    except NotImplementedError:
        settings = set()
    kinds = (int, float, complex, np.ndarray, np.generic, np.random.Generator, np.random.RandomState, random.Random)

    def changes(value):
        return (isinstance(value, kinds) and not isinstance(value, bool)) or hasattr(value, "__next__")

    own = {k: v for k, v in vars(model).items() if not k.startswith("_") and k not in vars(keras_own)}
    return [name for name, value in own.items() if name not in settings and changes(value)]
