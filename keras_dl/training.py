"""`fit`: epochs that can be killed at any moment and go on bit for bit.

The loop is our own and the step is Keras': it runs model.train_step in blocks of steps inside one graph, over a
pipeline that never ends (no wait between epochs). After a block the whole state can be written and put back.
"""

import contextlib
import csv
import io
import math
import sys
import time

import keras
import numpy as np
import tensorflow as tf

from keras_dl import atomic, errors, records, restoring, signals
from keras_dl import checkpoint as checkpoints
from keras_dl.arguments import ArgumentError, Number, OneOf, Text, Whole, YesOrNo, checked

# A block's length by the time of one step, in seconds: Python costs about a millisecond a block.
BLOCKS = ((0.003, 32), (0.015, 8), (math.inf, 1))
Count, CountOrZero = Whole(1, 1_000_000), Whole(0, 1_000_000)
TIMED = 6  # single steps by which a block's length is settled
LONGEST_BLOCK = 0.5  # seconds until a signal is heard
REFRESH = 0.1  # seconds between two updates of the progress bar


class Diverged(errors.UserError):
    """The loss is no longer a finite number."""


@checked(who="training.fit")
def fit(
    model,
    train,
    validation,
    run,
    *,
    epochs: Count,
    callbacks=(),
    monitor: Text = "val_loss",
    mode: OneOf("min", "max") = "min",
    keep: OneOf("best", "last") = "best",
    average_last: Whole(0, 1000) = 0,
    checkpoint: YesOrNo = True,
    save_minutes: Number("[0, 1e6]") = 10.0,
    verbose: OneOf(0, 1, 2) | None = None,
):
    """Train a compiled model; on a resumed run, go on where its newest checkpoint stands.

    Args:
        model: compiled; its train_step and test_step report through its metrics.
        train, validation: data.Batches; validation may be None.
        run: the runs.Run that holds checkpoints and history.csv.
        epochs: how many in all.
        callbacks: Keras callbacks. State: get_state() and set_state(state) where they have them, else the numbers
            and arrays among their attributes. A callback with purge(epochs) forgets what it logged later.
        monitor, mode: the quantity, of history's names, by which the best epoch is told, and "min" or "max".
        keep: "best" ends with the weights of the best epoch, "last" with those of the last.
        average_last: end with the mean of the weights of so many last epochs (arXiv:1706.03762, section 6.1); 0: not.
        checkpoint: False for runs that are not worth resuming (a trial's).
        save_minutes: longest time without a checkpoint, in minutes.
        verbose: 2 a bar, 1 a line an epoch, 0 nothing; None: a bar on a terminal, else lines.

    Returns:
        History: {name: [float, one an epoch]}.

    Raises:
        ArgumentError: an argument does not fit its annotation, or average_last with keep other than "last".
        UserError: a monitor that the model does not report, or the run was started by runs.start, and the model is
            not one that run.build made.
        Diverged: the loss became infinite or NaN; says the step. No checkpoint holds it.
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
        loop = _Loop(model, train, validation, run, callbacks, monitor, mode, keep, checkpoint)
        return loop.run_epochs(epochs, checkpoint and run.resumed, save_minutes * 60, verbose)


def evaluate(model, batches, run=None):
    """{name: float} of the model's loss and metrics over one pass of `batches`."""
    with run.scope() if run else contextlib.nullcontext():
        return _Evaluation(model, batches)()


@checked(who="training.stopping")
def stopping(
    patience: CountOrZero,
    reduce_on_plateau: CountOrZero,
    monitor: Text = "val_loss",
    mode: OneOf("min", "max") = "min",
):
    """Keras' callbacks that halve the learning rate, and that end the fit, after so many epochs without a better
    validation; 0: never."""
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

    def __init__(self, model, train, validation, run, callbacks, monitor, mode, keep, checkpoint):
        self.model, self.train, self.validation, self.run = model, train, validation, run
        self.monitor, self.sign, self.keep, self.checkpoint = monitor, {"min": 1, "max": -1}[mode], keep, checkpoint
        self.callbacks = keras.callbacks.CallbackList(
            list(callbacks), add_history=False, add_progbar=False, model=model
        )
        self.epoch, self.step = 0, 0  # finished epochs, steps done of the next
        self.history, self.best, self.best_weights = {}, None, []
        self.block, self.timed = _noted_block(run), []

    def run_epochs(self, epochs, resumed, save_seconds, verbose):
        iterator = _stream(self.model, self.train.dataset(epochs=None))
        steps = _steps_function(self.model, self.model.train_step).get_concrete_function(iterator, tf.constant(0))
        found = self._checkpoint() if resumed else None
        if found:
            self.epoch, self.step = found[1]["epoch"], found[1]["step"]
            iterator = _stream(self.model, self.train.dataset(self.epoch, self.step, epochs=None))
        evaluation = _Evaluation(self.model, self.validation) if self.validation is not None else None
        self._check_monitor(list(steps.structured_outputs[1]), evaluation)
        self.model.stop_training = False
        self.callbacks.on_train_begin()
        if found:
            self._restore(*found)
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
                    bad, logs = steps(iterator, tf.constant(size))
                    if (bad := int(bad)) >= 0:
                        raise Diverged(_diverged(self.step + bad, self.epoch, self.model, self.run))
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

    def _check_monitor(self, names, evaluation):
        """Refuse, before the first step, a monitor that nothing reports."""
        if evaluation is not None:
            names = [*names, *(f"val_{name}" for name in evaluation.names())]
        names = [*names, "learning_rate"]
        if self.monitor not in names and (self.keep == "best" or evaluation is not None):
            raise errors.UserError(f"training.fit: monitor must be one of {', '.join(names)}; got {self.monitor!r}.")

    def _end_epoch(self, logs, evaluation, share, seconds, progress):
        logs["learning_rate"] = _rate(self.model)
        if evaluation is not None:
            logs |= {f"val_{name}": value for name, value in evaluation().items()}
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
        self.steps = _steps_function(model, model.test_step)

    def names(self):
        """What it reports, known without a step."""
        return list(self.steps.get_concrete_function(self.iterator, tf.constant(0)).structured_outputs[1])

    def __call__(self):
        self.model.reset_metrics()
        _, logs = self.steps(self.iterator, tf.constant(self.count))
        return _floats(logs)


def _steps_function(model, one_step):
    """A graph of n steps: (iterator, n) -> (index of the first step whose loss is not finite, or -1; logs)."""
    strategy = tf.distribute.get_strategy()
    compiled = tf.function(one_step, jit_compile=True) if model.jit_compile else one_step

    @tf.function(autograph=False)
    def steps(iterator, count):
        def body(i, bad):
            logs = strategy.run(compiled, args=(next(iterator),))
            losses = [v for name, v in logs.items() if "loss" in name]
            values = [v for loss in losses for v in strategy.experimental_local_results(loss)]
            finite = tf.reduce_all([tf.math.is_finite(tf.cast(v, tf.float32)) for v in values])
            return i + 1, tf.where((bad < 0) & ~finite, i, bad)

        start = (tf.constant(0), tf.constant(-1))
        _, bad = tf.while_loop(lambda i, _: i < count, body, start, parallel_iterations=1)
        with tf.control_dependencies([bad]):
            return bad, {name: tf.identity(value) for name, value in model.get_metrics_result().items()}

    return steps


def _stream(model, dataset):
    """An iterator over `dataset`, split among the replicas; makes every variable of `model`, since a checkpoint is
    put into all of them before the first step."""
    for optimizer in checkpoints.optimizers(model):
        if not optimizer.built:
            optimizer.build(model.trainable_variables)
    strategy = tf.distribute.get_strategy()
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


def _rate(model):
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


def _diverged(step, epoch, model, run):
    rate = _rate(model)
    advice = f"--learning-rate {rate / 10:.1g}" if math.isfinite(rate) and rate else "a finite --learning-rate"
    kept = " The last checkpoint is whole." if any(run.checkpoints.glob("*.npz")) else ""
    return (
        f"training.fit: the loss must stay finite; got nan or inf at step {step + 1} of epoch {epoch + 1} with "
        f"learning rate {rate:.3g}. Try {advice}, less weight decay, a batch norm, or --precision float32.{kept}"
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
