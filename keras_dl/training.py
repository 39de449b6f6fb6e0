"""`fit`: epochs that can be killed at any moment and go on bit for bit.

The loop is our own and the step is the model's: it runs model.train_step in blocks of steps inside one graph, over a
pipeline that never ends (no wait between epochs). After a block the whole state can be written and put back.
A model may be a plain compiled one, a parts.ModelWithParts, or any keras.Model with a train_step of its own.
"""

import contextlib
import csv
import io
import math
import random
import sys
import time

import keras
import numpy as np
import tensorflow as tf

from keras_dl import atomic, errors, parts, records, restoring, signals
from keras_dl import checkpoint as checkpoints
from keras_dl.arguments import ArgumentError, Function, Number, OneOf, Text, Whole, YesOrNo, checked, shown

# A block's length by the time of one step, in seconds: Python costs about a millisecond a block.
BLOCKS = ((0.003, 32), (0.015, 8), (math.inf, 1))
Count, CountOrZero = Whole(1, 1_000_000), Whole(0, 1_000_000)
MONITOR = "val_loss"
TIMED = 6  # single steps by which a block's length is settled
LONGEST_BLOCK = 0.5  # seconds until a signal is heard
REFRESH = 0.1  # seconds between two updates of the progress bar


class Diverged(errors.UserError):
    """A loss, a weight or a number that a step reports is no longer finite."""


@checked(who="training.fit")
def fit(
    model,
    train,
    validation,
    run,
    *,
    epochs: Count,
    callbacks=(),
    monitor: Text = MONITOR,
    mode: OneOf("min", "max") = "min",
    measure: Function("model") | None = None,
    keep: OneOf("best", "last") = "best",
    average_last: Whole(0, 1000) = 0,
    checkpoint: YesOrNo = True,
    save_minutes: Number("[0, 1e6]") = 10.0,
    verbose: OneOf(0, 1, 2) | None = None,
):
    """Train a compiled model; on a resumed run, go on where its newest checkpoint stands.

    Training stops where a number that train_step returns becomes NaN, where a loss (a number with "loss" in its name)
    becomes infinite, or where a trainable weight is no longer finite at the end of a block of steps. Another number
    may be infinite for a while, as a perplexity that is too large for float32.

    Args:
        model: compiled. What its train_step and test_step return is logged: {name: scalar}, at an epoch's end the
            value of its last step, which for Keras metrics is the mean of the epoch. Of a train_step of the model's
            own, what a resume cannot put back is said in a line before training.
        train, validation: data.Batches; validation may be None.
        run: the runs.Run that holds checkpoints and history.csv.
        epochs: how many in all.
        callbacks: Keras callbacks. State: get_state() and set_state(state) where they have them, else the numbers
            and arrays among their attributes. A callback with purge(epochs) forgets what it logged later.
        monitor, mode: name of the reported number by which epochs are compared, and whether it should be small ("min")
            or large ("max").
        measure: measure(model) -> {name: number}, called at the end of each epoch, behind validation, with the weights
            of that epoch. Its numbers are logged and monitored like the others. Where `monitor` is not reported by the
            model it is also called before the first step, to know its names.
        keep: "best" ends with the weights of the best epoch, "last" with those of the last. An epoch in which the
            monitored number is NaN is never the best.
        average_last: end with the mean of the weights of so many last epochs (arXiv:1706.03762, section 6.1); 0: not.
        checkpoint: False for runs that are not worth resuming (a trial's).
        save_minutes: longest time without a checkpoint, in minutes.
        verbose: 2 a bar, 1 a line an epoch, 0 nothing; None: a bar on a terminal, else lines.

    Returns:
        History: {name: [float, one an epoch]}: what the steps report, with "val_" in front for validation, what
        `measure` returns, and "learning_rate", or "learning_rate/<part>" where there are several optimizers.

    Raises:
        ArgumentError: an argument does not fit its annotation, or average_last with keep other than "last".
        UserError: a monitor (also of a callback) that nothing reports; a step that reports what is no scalar; a
            `measure` that returns something else, or a name that is taken; the run was started by runs.start, and the
            model is not one that run.build made.
        Diverged: a number is no longer finite; says which, and the step. No checkpoint holds it.
        SystemExit: SIGINT or SIGTERM came; a checkpoint was written (status 128 + signal).
    """
    if average_last and keep != "last":
        raise ArgumentError(f"training.fit: average_last needs keep='last'; got {keep!r}. Nearest: average_last=0.")
    if run.models is not None and model not in run.models:
        raise errors.UserError(
            "training.fit: the model of a run must be made by run.build(compiled), which seeds its first weights; "
            f"got {model.name!r}, which was made otherwise."
        )
    verbose = (2 if sys.stdout.isatty() else 1) if verbose is None else verbose
    callbacks = [*([_AverageLast(average_last)] if average_last else []), *callbacks]
    with run.scope():
        loop = _Loop(model, train, validation, run, callbacks, monitor, mode, measure, keep, checkpoint)
        return loop.run_epochs(epochs, checkpoint and run.resumed, save_minutes * 60, verbose)


def evaluate(model, batches, run=None):
    """{name: float} of the model's loss and metrics over one pass of `batches`."""
    with run.scope() if run else contextlib.nullcontext():
        return _Evaluation(model, batches)()


@checked(who="training.stopping")
def stopping(
    patience: CountOrZero,
    reduce_on_plateau: CountOrZero,
    monitor: Text = MONITOR,
    mode: OneOf("min", "max") = "min",
):
    """Keras' callbacks that halve the learning rates, and that stop training, when a number no longer improves.

    Args:
        patience: epochs without a better value until training stops; 0: it does not stop.
        reduce_on_plateau: epochs without a better value until every optimizer's learning rate is halved; 0: never.
        monitor, mode: as in `fit`.

    Returns:
        A list of callbacks.
    """
    watched = {"monitor": monitor, "mode": mode}
    callbacks = []
    if reduce_on_plateau:
        callbacks += [keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=reduce_on_plateau, **watched)]
    if patience:
        callbacks += [keras.callbacks.EarlyStopping(patience=patience, **watched)]
    return callbacks


class _AverageLast(keras.callbacks.Callback):
    def __init__(self, count):
        super().__init__()
        self.count, self.kept = count, []

    def on_epoch_end(self, epoch, logs=None):
        self.kept = [*self.kept, _values(self.model.trainable_variables)][-self.count :]

    def on_train_end(self, logs=None):
        for variable, *values in zip(self.model.trainable_variables, *self.kept, strict=True) if self.kept else ():
            variable.assign(np.mean(values, 0, dtype=values[0].dtype))

    def get_state(self):
        return {"kept": [value for weights in self.kept for value in weights]}

    def set_state(self, state):
        size = len(self.model.trainable_variables)
        self.kept = [state["kept"][i : i + size] for i in range(0, len(state["kept"]), size)]


class _Loop:
    """The state of one fit."""

    def __init__(self, model, train, validation, run, callbacks, monitor, mode, measure, keep, checkpoint):
        self.model, self.train, self.validation, self.run = model, train, validation, run
        self.monitor, self.sign, self.keep, self.checkpoint = monitor, {"min": 1, "max": -1}[mode], keep, checkpoint
        self.measure = measure
        self.callbacks = keras.callbacks.CallbackList(
            list(callbacks), add_history=False, add_progbar=False, model=model
        )
        self.epoch, self.step = 0, 0  # finished epochs, steps done of the next
        self.history, self.best, self.best_weights = {}, None, []
        self.block, self.timed = _noted_block(run), []

    def run_epochs(self, epochs, resumed, save_seconds, verbose):
        iterator = _stream(self.model, self.train.dataset(epochs=None))
        steps = Steps(self.model, self.model.train_step, iterator)
        saved_state = self._checkpoint() if resumed else None
        if saved_state:
            self.epoch, self.step = saved_state[1]["epoch"], saved_state[1]["step"]
            iterator = _stream(self.model, self.train.dataset(self.epoch, self.step, epochs=None))
        evaluation = _Evaluation(self.model, self.validation) if self.validation is not None else None
        self._check_monitors(steps.names, evaluation, saved_state)
        if self.checkpoint and (forgotten := steps.not_saved()):
            self.run.say(forgotten)
        self.model.stop_training = False
        self.callbacks.on_train_begin()
        if saved_state:
            self._restore(*saved_state)
        with signals.Signals(self.run, self.checkpoint) as stop:
            saved = time.monotonic()
            while self.epoch < epochs and not self.model.stop_training:
                so_far = _values(self.model.metrics_variables) if self.step else None
                self.model.reset_metrics()
                self.callbacks.on_epoch_begin(self.epoch)
                if so_far is not None:  # of the part of this epoch that ran before the resume
                    _assign(self.model.metrics_variables, so_far)
                count, begun, first = self.train.steps(self.epoch), time.monotonic(), self.step
                progress = _Progress(self.epoch, epochs, count, verbose)
                while self.step < count:
                    size = min(self.block or 1, count - self.step)
                    began = time.monotonic()
                    logs = steps(iterator, size)
                    if steps.diverged is not None:
                        raise Diverged(_diverged(*steps.diverged, self.step, size, self.epoch, self.model, self.run))
                    self.step += size
                    self._choose_block(size, time.monotonic() - began)
                    progress.update(self.step, logs)
                    due = time.monotonic() - saved > save_seconds
                    if (due or stop.came) and self.step < count:
                        self._save()
                        saved = time.monotonic()
                        stop.leave()
                seconds = time.monotonic() - begun
                self._end_epoch(_floats(logs), evaluation, (count - first) / count, seconds, progress)
                saved = time.monotonic()
                stop.leave()
        if self.keep == "best" and self.best_weights:
            _assign(self.model.weights, self.best_weights)
        self.callbacks.on_train_end()  # what it draws is of the weights that stay
        return self.history

    def _check_monitors(self, names, evaluation, saved_state):
        """Refuse, before the first step, a monitor of a number that nothing reports."""
        if evaluation is not None:
            names = [*names, *(f"val_{name}" for name in evaluation.names)]
        names = [*names, *learning_rates(self.model)]
        monitors = {}
        if self.keep == "best" or self.monitor != MONITOR:  # by default it is not looked at where the last is kept
            monitors[self.monitor] = "monitor"
        for callback in self.callbacks.callbacks:
            if isinstance(callback, (keras.callbacks.EarlyStopping, keras.callbacks.ReduceLROnPlateau)):
                monitors.setdefault(callback.monitor, f"the monitor of {type(callback).__name__}")
        if self.measure is not None and not set(monitors) <= set(names):
            before = saved_state[1]["history"] if saved_state else {}
            names = [*names, *(before or self._measured(names))]
        for monitor, whose in monitors.items():
            if monitor not in names:
                listed = ", ".join(dict.fromkeys(names))
                raise errors.UserError(f"training.fit: {whose} must be one of {listed}; got {monitor!r}.")

    def _measured(self, taken):
        """{name: float} that `measure` returns now, none of them among `taken`."""
        values = self.measure(self.model)
        if not isinstance(values, dict) or not all(isinstance(name, str) and name for name in values):
            raise errors.UserError(f"training.fit: measure must return {{name: number}}; got {shown(values)}.")
        clash = next((name for name in values if name in (*taken, "examples_per_second")), None)
        if clash is not None:
            raise errors.UserError(
                f"training.fit: measure must name its numbers unlike {', '.join(taken)}, examples_per_second; "
                f"got {clash!r}."
            )
        return {name: _number(name, value) for name, value in values.items()}

    def _end_epoch(self, logs, evaluation, share, seconds, progress):
        if evaluation is not None:
            logs |= {f"val_{name}": value for name, value in evaluation().items()}
        rates = learning_rates(self.model)
        if self.measure is not None:
            logs |= self._measured([*logs, *rates])
        logs |= rates
        if self.history and set(logs) != set(self.history):
            raise errors.UserError(
                f"training.fit: every epoch must report the same numbers; epoch {self.epoch + 1} has "
                f"{', '.join(logs)}, those before {', '.join(self.history)}."
            )
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)
        self._judge(logs)
        self.epoch, self.step = self.epoch + 1, 0
        rate = len(self.train.examples) * share / max(seconds, 1e-9)
        self.callbacks.on_epoch_end(self.epoch - 1, logs | {"examples_per_second": rate})
        progress.end(logs, seconds)
        if self.checkpoint:
            _write_history(self.run, self.history)
            self._save()

    def _judge(self, logs):
        if self.keep != "best":
            return
        value = self.sign * logs[self.monitor]
        value = math.inf if math.isnan(value) else value
        if self.best is None or value < self.best:
            self.best, self.best_weights = value, _values(self.model.weights)

    def _choose_block(self, size, seconds):
        """Time a few single steps, and settle the length of a block for the whole run by the fastest of them."""
        if self.block is not None:
            return
        self.timed.append(seconds / size)
        if len(self.timed) == TIMED:
            step = min(self.timed)  # the first warms up, and others may be disturbed
            block = next(length for limit, length in BLOCKS if step < limit)
            self.block = max(1, min(block, int(LONGEST_BLOCK / step)))
            if self.checkpoint:
                self.run.note("execution", {"steps_per_execution": self.block, "jit_compile": self.model.jit_compile})

    def _save(self):
        if not self.checkpoint:
            return
        arrays = {f"variable/{i}": value for i, value in enumerate(_values(checkpoints.variables(self.model)))}
        arrays |= {f"best/{i}": value for i, value in enumerate(self.best_weights)}
        states = []
        for i, callback in enumerate(self.callbacks.callbacks):
            state, held = restoring.callback_state(callback)
            states.append(state)
            arrays |= {f"callback/{i}/{name}": value for name, value in held.items()}
        state = {
            "epoch": self.epoch, "step": self.step, "history": self.history, "best": self.best,
            "stopped": bool(self.model.stop_training), "callbacks": states,
        }  # fmt: skip
        checkpoints.write(self.run.checkpoints, self.epoch, self.step, arrays, state)

    def _checkpoint(self):
        """(arrays, state) of the newest checkpoint that fits this model, these callbacks and this data, or None."""

        def check(arrays, state):
            restoring.check(
                arrays, state, variables=checkpoints.variables(self.model), weights=self.model.weights,
                callbacks=self.callbacks.callbacks, steps=self.train.steps,
            )  # fmt: skip

        return checkpoints.newest(self.run.checkpoints, check)

    def _restore(self, arrays, state):
        _assign(checkpoints.variables(self.model), restoring.numbered(arrays, "variable/"))
        self.best_weights, self.best = restoring.numbered(arrays, "best/"), state["best"]
        self.history, self.model.stop_training = state["history"], state["stopped"]
        for i, callback in enumerate(self.callbacks.callbacks):
            restoring.set_callback_state(callback, state["callbacks"][i], restoring.below(arrays, f"callback/{i}/"))
            if hasattr(callback, "purge"):
                callback.purge(self.epoch)
        _write_history(self.run, self.history)
        where = f"epoch {self.epoch + 1}, step {self.step}" if self.step else f"epoch {self.epoch + 1}"
        where = "does not go on: it stopped by itself" if state["stopped"] else f"goes on at {where}"
        self.run.say(f"{self.run.path.name}: {where}")


class _Evaluation:
    """One pass over `batches` per call; its pipeline lives as long as it does."""

    def __init__(self, model, batches):
        self.model, self.count = model, batches.steps()
        self.iterator = _stream(model, batches.dataset(epochs=None))
        self.steps = Steps(model, model.test_step, self.iterator)

    @property
    def names(self):
        return self.steps.names

    def __call__(self):
        self.model.reset_metrics()
        return _floats(self.steps(self.iterator, self.count))


class Steps:
    """A graph of n steps of train_step or test_step: steps(iterator, n) -> {name: tensor}, what the last one reports.

    Args:
        model: compiled.
        one_step: model.train_step or model.test_step.
        iterator: over batches such as those that will come; the graph is traced with it and no step is made.

    Attributes:
        names: of what a step reports.
        diverged: None, or (index of the first step of the last call that reported what is not finite, its name), or
            (None, path of a weight that is not finite).

    Raises:
        UserError: a step reports what is no scalar.
    """

    def __init__(self, model, one_step, iterator):
        self.model, self.names, self.diverged = model, [], None
        self._training = one_step == model.train_step
        self._last = {}  # of the values that a train_step of its own returns, beside those of metrics
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
            self.diverged = None, next(v.path for v in self.model.trainable_variables if not _is_finite(v))
        return logs

    def not_saved(self):
        """A sentence on what a resumed run begins anew; None where a checkpoint holds all that it can see."""
        model = self.model
        if parts.has_keras_step(model) or isinstance(model, parts.ModelWithParts):
            return None
        saved = {id(v.value if isinstance(v, keras.Variable) else v) for v in checkpoints.variables(model)}
        saved |= {id(variable) for variable in self._last.values()}
        hidden = []
        if tf.distribute.get_strategy().num_replicas_in_sync == 1:
            hidden = [v.name.partition(":")[0] for v in self._graph.graph.variables if id(v) not in saved]
        attributes = _plain_state(model)
        if not hidden and not attributes:
            return None
        what = [f"the attributes {', '.join(attributes)}"] if attributes else []
        more = f" and {len(hidden) - 1} more" if len(hidden) > 1 else ""
        what += [f"the variable {hidden[0]}{more}, which is in none of its attributes"] if hidden else []
        return (
            f"training.fit: {model.name} has a train_step of its own; a checkpoint does not hold {' and '.join(what)}: "
            "a resumed run begins them anew."
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
        """Keep what a step of the model's own returns: it need not be the result of a metric of the same name."""
        if parts.has_keras_step(self.model) or isinstance(self.model, parts.ModelWithParts):
            return
        several = strategy.num_replicas_in_sync > 1
        metrics = self.model.get_metrics_result() if several else ()
        for name, value in logs.items():
            if name in metrics:
                continue  # its variables are summed over replicas where it is read
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
        # A sum is finite unless one of its terms is not: one pass, and no copy.
        sums = [tf.reduce_sum(tf.cast(v.value, tf.float32)) for v in self.model.trainable_variables]
        return tf.reduce_all(tf.math.is_finite(tf.stack(sums))) if sums else tf.constant(True)


def learning_rates(model):
    """{"learning_rate": float}; of several optimizers {"learning_rate/<part>": float}, in the order of the parts."""
    optimizers = {}
    for name, optimizer in checkpoints.optimizers(model).items():
        several = getattr(optimizer, "optimizers", None)  # keras.optimizers.MultiOptimizer
        optimizers |= {name: optimizer} if several is None else {f"{name}{i}": o for i, o in enumerate(several)}
    rates = {name: float(keras.ops.convert_to_numpy(o.learning_rate)) for name, o in optimizers.items()}
    if len(rates) == 1:
        return {"learning_rate": next(iter(rates.values()))}
    return {f"learning_rate/{name or 'optimizer'}": rate for name, rate in rates.items()}


def _is_fine(name, values):
    """Whether the replicas' values of a reported number let training go on: a loss must be finite, others no NaN."""
    values = tf.stack([tf.cast(value, tf.float32) for value in values])
    return tf.reduce_all(tf.math.is_finite(values) if "loss" in name else ~tf.math.is_nan(values))


def _is_finite(variable):
    return bool(np.isfinite(np.sum(keras.ops.convert_to_numpy(variable), dtype=np.float32)))


def _plain_state(model):
    """Names of the attributes that may change while it is trained and are in no variable: numbers, arrays, generators.

    What its get_config says is a setting; what every Keras model has is Keras'.
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


def _number(name, value):
    """A number that `measure` returned, as a float."""
    if not isinstance(value, bool | str | bytes):
        with contextlib.suppress(TypeError, ValueError):
            if np.ndim(value) == 0:
                return float(value)
    raise errors.UserError(f"training.fit: measure must return numbers; {name!r} is {shown(value)}.")


def _stream(model, dataset):
    """An iterator over `dataset`, split among the replicas.

    The variables of `model` that a step would make are made, since a replica may not. A train_step of the model's own
    makes those of its optimizers when it is traced, so that an optimizer that is not used has none.
    """
    strategy = tf.distribute.get_strategy()
    if parts.training_losses(model) is not None:
        for part in parts.of(model):
            if part.optimizer is not None and not part.optimizer.built:
                part.optimizer.build(part.variables)
    if strategy.num_replicas_in_sync == 1:
        return iter(dataset)
    # A replica may not make variables, so Keras' own fit does this too; there is no public name for it.
    like = tf.nest.map_structure(lambda s: tf.zeros([d or 2 for d in s.shape], s.dtype), dataset.element_spec)
    model._symbolic_build(data_batch=like)
    return iter(strategy.experimental_distribute_dataset(dataset))


class _Progress:
    """A bar on a terminal, a line an epoch in a log."""

    def __init__(self, epoch, epochs, count, verbose):
        self.verbose, self.shown = verbose, 0.0
        self.label = f"epoch {epoch + 1}/{epochs}"
        if verbose == 2:
            print(self.label)
            self.bar = keras.utils.Progbar(count, stateful_metrics=["loss"])

    def update(self, step, logs):
        if self.verbose == 2 and time.monotonic() - self.shown > REFRESH and step < self.bar.target:
            self.bar.stateful_metrics = set(logs)
            self.bar.update(step, list(_floats(logs).items()), finalize=False)
            self.shown = time.monotonic()

    def end(self, logs, seconds):
        if self.verbose == 2:
            self.bar.stateful_metrics = set(logs)
            self.bar.update(self.bar.target, list(logs.items()), finalize=True)
        elif self.verbose == 1:
            values = "  ".join(f"{name} {value:.4g}" for name, value in logs.items())
            print(f"{self.label}  {seconds:.1f} s  {values}", flush=True)


def _diverged(at, name, done, size, epoch, model, run):
    """The message of Diverged.

    Args:
        at: index of the step within the block, None where only a weight tells.
        name: of the reported number, or path of the weight.
        done: steps of the epoch before the block; size: steps of the block.
        epoch: counted from 0.
    """
    rates = learning_rates(model)
    said = ", ".join(f"{key.replace('_', ' ', 1)} {rate:.3g}" for key, rate in rates.items()) or "no optimizer"
    rate = next(iter(rates.values()), 0.0)
    advice = f"--learning-rate {rate / 10:.1g}" if math.isfinite(rate) and rate else "a finite --learning-rate"
    kept = " The last checkpoint is whole." if any(run.checkpoints.glob("*.npz")) else ""
    if at is None:
        what = f"the weight {name} must stay finite; got nan or inf"
        where = f"step {done + size}" if size == 1 else f"one of the steps {done + 1} to {done + size}"
    else:
        what = f"{'the loss' if name == 'loss' else name} must stay finite; got nan or inf"
        where = f"step {done + at + 1}"
    return (
        f"training.fit: {what} at {where} of epoch {epoch + 1} with {said}. Try {advice}, less weight decay, a batch "
        f"norm, or --precision float32.{kept}"
    )


def _noted_block(run):
    config = run.path / "config.json"
    if run.resumed and config.exists():
        return records.read(config, records.Config).get("execution", {}).get("steps_per_execution")
    return None


def _write_history(run, history):
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["epoch", *history])
    table.writerows([epoch, *map(repr, row)] for epoch, row in enumerate(zip(*history.values(), strict=True), 1))
    atomic.write_atomic(run.path / "history.csv", text.getvalue())


def _values(variables):
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def _assign(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _floats(logs):
    return {name: float(value) for name, value in logs.items()}
