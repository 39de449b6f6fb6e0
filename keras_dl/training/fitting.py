"""`fit`: the loop over epochs and blocks of steps, with its checkpoints, stops and monitored numbers."""

import contextlib
import math
import sys
import time

import keras
import numpy as np

from keras_dl import checkpoint as checkpoints
from keras_dl import errors, histories, json_files, records, restoring, signals
from keras_dl.arguments import ArgumentError, Function, Number, OneOf, Text, Whole, YesOrNo, checked, shown
from keras_dl.training.callbacks import MONITOR, AverageLast, Count, CountOrZero, stopping
from keras_dl.training.divergence import Diverged, divergence
from keras_dl.training.evaluation import Evaluation
from keras_dl.training.progress import Progress, TimeLeft
from keras_dl.training.steps import Steps, stream
from keras_dl.training.variables import assign, floats, learning_rates, values_of
from keras_dl.waiting import waiting
from keras_dl.weight_names import named_weights

BLOCKS = ((0.003, 32), (0.015, 8), (math.inf, 1))  # (upper bound of a step's seconds, steps per block)
TIMED = 6  # single steps that are timed to choose the length of a block
PREPARING = "preparing the first step: its graph is traced and compiled ..."
FINISHING = "writing the pictures and samples of the trained model for TensorBoard ..."
LONGEST_BLOCK = 0.5  # seconds; a signal takes effect at the end of a block


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
    patience: CountOrZero = 0,
    reduce_on_plateau: CountOrZero = 0,
    checkpoint: YesOrNo = True,
    save_minutes: Number("[0, 1e6]") = 10.0,
    verbose: OneOf(0, 1, 2) | None = None,
):
    """Train a compiled model; on a resumed run, continue from its newest checkpoint.

    Training stops with Diverged if a number that train_step returns becomes NaN, if a loss (a number with "loss" in its
    name) becomes infinite, or if a trainable weight is not finite at the end of a block of steps. Other numbers may be
    infinite, such as a perplexity that is too large for float32.

    Args:
        model: compiled. The numbers that its train_step and test_step return, {name: scalar}, are logged: at the end of
            an epoch those of the last step, which for Keras metrics are means over the epoch. If the model has a
            train_step of its own, a line before training says which of its state a resume cannot restore.
        train, validation: data.Batches; validation may be None.
        run: the runs.Run, to whose folder checkpoints and history.csv are written.
        epochs: total number of epochs, with those before a resume.
        callbacks: Keras callbacks. A checkpoint holds their state: get_state() and set_state(state) if they have these
            methods, else the numbers, strings and arrays among their attributes. On a resume, purge(epochs) of a
            callback that has it is called, to delete what it logged after that many epochs.
        monitor, mode: name of the reported number by which epochs are compared, and whether it should be small ("min")
            or large ("max").
        measure: measure(model) -> {name: number}, called at the end of each epoch, after validation, with the weights
            of that epoch. Its numbers are logged and monitored like the others. If the model does not report `monitor`,
            it is also called before the first step, to learn its names.
        keep: "best" ends with the weights of the best epoch, "last" with those of the last. An epoch in which the
            monitored number is NaN is never the best.
        average_last: number of last epochs over whose weights the mean is taken at the end (arXiv:1706.03762, section
            6.1); 0: no averaging.
        patience, reduce_on_plateau: as in `stopping`, by `monitor`; 0: off.
        checkpoint: whether to write checkpoints and history.csv; trials of a search do not.
        save_minutes: longest time without a checkpoint, in minutes.
        verbose: 2: a progress bar, 1: a line per epoch, 0: nothing; None: a bar on a terminal, else lines.

    Returns:
        The history, {name: [float, one per epoch]}: the numbers of the training steps, those of validation with the
        prefix "val_", those of `measure`, and "learning_rate", or "learning_rate/<part>" with several optimizers.

    Raises:
        ArgumentError: an argument does not fit its annotation, or average_last is given with a keep other than "last".
        UserError: nothing reports a monitored number (also of a callback); a step reports something that is no scalar;
            `measure` returns no {name: number}, or a name that is in use; or the run was started by runs.start, and
            run.build did not make the model.
        Diverged: a number is NaN or infinite; the message says which, and the step. Checkpoints are from before.
        SystemExit: after SIGINT or SIGTERM, status 128 + signal; with checkpoint=True a checkpoint was written.
    """
    if average_last and keep != "last":
        raise ArgumentError(f"training.fit: average_last needs keep='last'; got {keep!r}. Nearest: average_last=0.")
    if run.models is not None and model not in run.models:
        raise errors.UserError(
            "training.fit: the model of a run must be made by run.build(compiled), which seeds its first weights; "
            f"got {model.name!r}, which it did not make."
        )
    verbose = (2 if sys.stdout.isatty() else 1) if verbose is None else verbose
    averaging = [AverageLast(average_last)] if average_last else []
    callbacks = [*averaging, *callbacks, *stopping(patience, reduce_on_plateau, monitor, mode)]
    preparing = waiting(PREPARING) if verbose else contextlib.nullcontext()
    with run.scope(), preparing as until_first_step:
        loop = Loop(model, train, validation, run, callbacks, monitor, mode, measure, keep, checkpoint)
        return loop.run_epochs(epochs, checkpoint and run.resumed, save_minutes * 60, verbose, until_first_step)


class Loop:
    """The state of one call of fit."""

    def __init__(self, model, train, validation, run, callbacks, monitor, mode, measure, keep, checkpoint):
        self.model, self.train, self.validation, self.run = model, train, validation, run
        self.monitor, self.mode, self.sign = monitor, mode, {"min": 1, "max": -1}[mode]
        self.keep, self.checkpoint, self.measure = keep, checkpoint, measure
        self.callbacks = keras.callbacks.CallbackList(
            list(callbacks), add_history=False, add_progbar=False, model=model
        )
        self.epoch, self.step = 0, 0  # number of finished epochs, steps done in the next
        self.history, self.best, self.best_weights = {}, None, []
        self.block, self.timed = _noted(run, "execution", {}).get("steps_per_execution"), []
        self.seconds, self.began = 0.0, time.monotonic()  # of the run's training before a resume; this one's beginning

    def run_epochs(self, epochs, resumed, save_seconds, verbose, until_first_step=None):
        iterator = stream(self.model, self.train.dataset(epochs=None))
        steps = Steps(self.model, self.model.train_step, iterator)
        saved_state = self._checkpoint() if resumed else None
        if saved_state:
            self.seconds = _noted(self.run, "training_seconds", 0.0)
            self.epoch, self.step = saved_state[1]["epoch"], saved_state[1]["step"]
            iterator = stream(self.model, self.train.dataset(self.epoch, self.step, epochs=None))
        evaluation = Evaluation(self.model, self.validation) if self.validation is not None else None
        self._check_monitors(steps.names, evaluation, saved_state)
        if self.checkpoint and (forgotten := steps.not_saved()):
            self.run.say(forgotten)
        self.model.stop_training = False
        self.callbacks.on_train_begin()
        if saved_state:
            self._restore(*saved_state)
        if self.checkpoint:
            self.run.note("monitor", {"name": self.monitor, "mode": "min" if self.sign > 0 else "max"})
        stops = any(isinstance(callback, keras.callbacks.EarlyStopping) for callback in self.callbacks.callbacks)
        time_left = TimeLeft(self.epoch, epochs, at_most=stops)
        with signals.Signals(self.run, self.checkpoint) as stop:
            saved = time.monotonic()
            while self.epoch < epochs and not self.model.stop_training:
                so_far = values_of(self.model.metrics_variables) if self.step else None
                self.model.reset_metrics()
                self.callbacks.on_epoch_begin(self.epoch)
                if so_far is not None:  # metrics of the part of this epoch before the resume
                    assign(self.model.metrics_variables, so_far)
                count, begun, first = self.train.steps(self.epoch), time.monotonic(), self.step
                progress = Progress(self.epoch, epochs, count, verbose, time_left)
                while self.step < count:
                    size = min(self.block or 1, count - self.step)
                    began = time.monotonic()
                    logs = steps(iterator, size)
                    if steps.diverged is not None:
                        raise Diverged(divergence(*steps.diverged, self.step, size, self.epoch, self.model, self.run))
                    if until_first_step is not None:
                        until_first_step.cancel()
                    self.step += size
                    took = time.monotonic() - began
                    self._choose_block(size, took)
                    time_left.add(size, took)
                    progress.update(self.step, logs)
                    due = time.monotonic() - saved > save_seconds
                    if (due or stop.came) and self.step < count:
                        self._save()
                        saved = time.monotonic()
                        stop.leave()
                seconds = time.monotonic() - begun
                self._end_epoch(floats(logs), evaluation, (count - first) / count, seconds, progress)
                saved = time.monotonic()
                stop.leave()
        if self.keep == "best" and self.best_weights:
            assign(self.model.weights, self.best_weights)
        with waiting(FINISHING) if verbose else contextlib.nullcontext():
            # After `assign`: callbacks see the final weights, and learn of which epoch they are.
            self.callbacks.on_train_end({"epoch": self._kept_epoch()})
        return self.history

    def _check_monitors(self, names, evaluation, saved_state):
        """Raise UserError, before the first step, if a monitored number is reported by nothing."""
        if evaluation is not None:
            names = [*names, *(f"val_{name}" for name in evaluation.names)]
        names = [*names, *learning_rates(self.model)]
        monitors = {}
        if self.keep == "best" or self.monitor != MONITOR:  # the default monitor is not used with keep="last"
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
        """The result of `measure` for the current weights, {name: float}; UserError if a name is in `taken`."""
        values = self.measure(self.model)
        if not isinstance(values, dict) or not all(isinstance(name, str) and name for name in values):
            raise errors.UserError(f"training.fit: measure must return {{name: number}}; got {shown(values)}.")
        clash = next((name for name in values if name in (*taken, "examples_per_second")), None)
        if clash is not None:
            raise errors.UserError(
                f"training.fit: measure must return names other than {', '.join(taken)}, examples_per_second; "
                f"got {clash!r}."
            )
        return {name: _number(name, value) for name, value in values.items()}

    def _end_epoch(self, logs, evaluation, share, seconds, progress):
        after_steps = time.monotonic()
        progress.after_steps("validation ...")
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
        if self.checkpoint:
            histories.write(self.run.path, self.history)
            self._save()
        progress.time_left.end_epoch(time.monotonic() - after_steps)
        progress.end(logs, seconds)

    def _judge(self, logs):
        if self.keep != "best":
            return
        value = self.sign * logs[self.monitor]
        value = math.inf if math.isnan(value) else value
        if self.best is None or value < self.best:
            self.best, self.best_weights = value, values_of(self.model.weights)

    def _kept_epoch(self):
        """The epoch, from 1, whose weights the model ends with; with average_last the last of those averaged."""
        if self.keep != "best" or not self.history:
            return self.epoch
        return histories.best(self.history[self.monitor], self.mode)

    def _choose_block(self, size, seconds):
        """Time the first single steps; from the fastest of them choose the length of all further blocks of the run."""
        if self.block is not None:
            return
        self.timed.append(seconds / size)
        if len(self.timed) == TIMED:
            step = min(self.timed)  # the first includes warming up, and others may be disturbed
            block = next(length for limit, length in BLOCKS if step < limit)
            self.block = max(1, min(block, int(LONGEST_BLOCK / step)))
            if self.checkpoint:
                self.run.note("execution", {"steps_per_execution": self.block, "jit_compile": self.model.jit_compile})

    def _save(self):
        if not self.checkpoint:
            return
        arrays = {f"variable/{i}": value for i, value in enumerate(values_of(checkpoints.variables(self.model)))}
        arrays |= {f"best/{i}": value for i, value in enumerate(self.best_weights)}
        states = []
        for i, callback in enumerate(self.callbacks.callbacks):
            state, held = restoring.callback_state(callback)
            states.append(state)
            arrays |= {f"callback/{i}/{name}": value for name, value in held.items()}
        state = {
            "epoch": self.epoch, "step": self.step, "history": self.history, "best": self.best,
            "stopped": bool(self.model.stop_training), "callbacks": states, "names": self._names(),
        }  # fmt: skip
        checkpoints.write(self.run.checkpoints, self.epoch, self.step, arrays, state)
        self.run.note("training_seconds", round(self.seconds + time.monotonic() - self.began, 1))

    def _names(self):
        """The names of the weights among the arrays variable/0, ... and best/0, ...; "" for all other variables."""
        names = {id(variable): name for name, variable in named_weights(self.model)}
        lists = {"variable": checkpoints.variables(self.model), "best": self.model.weights}
        return {kind: [names.get(id(variable), "") for variable in variables] for kind, variables in lists.items()}

    def _checkpoint(self):
        """(arrays, state) of the newest checkpoint that fits this model, these callbacks and this data, or None."""

        def check(arrays, state):
            restoring.check(
                arrays, state, variables=checkpoints.variables(self.model), weights=self.model.weights,
                callbacks=self.callbacks.callbacks, steps=self.train.steps,
            )  # fmt: skip

        return checkpoints.newest(self.run.checkpoints, check)

    def _restore(self, arrays, state):
        assign(checkpoints.variables(self.model), restoring.numbered(arrays, "variable/"))
        self.best_weights, self.best = restoring.numbered(arrays, "best/"), state["best"]
        self.history = state["history"]
        for i, callback in enumerate(self.callbacks.callbacks):
            restoring.set_callback_state(callback, state["callbacks"][i], restoring.below(arrays, f"callback/{i}/"))
            if hasattr(callback, "purge"):
                callback.purge(self.epoch)
        histories.write(self.run.path, self.history)
        where = f"epoch {self.epoch + 1}, step {self.step}" if self.step else f"epoch {self.epoch + 1}"
        self.model.stop_training = state["stopped"] and not self._has_more_patience(state["callbacks"])
        where = "does not go on: it stopped by itself" if self.model.stop_training else f"goes on at {where}"
        self.run.say(f"{self.run.path.name}: {where}")

    def _has_more_patience(self, saved):
        """Whether early stopping ended the run at the checkpoint, and would not do so with today's patience.

        Args:
            saved: the states of the callbacks in the checkpoint.
        """
        stopping = [c for c in self.callbacks.callbacks if isinstance(c, keras.callbacks.EarlyStopping)]
        impatient = [state for state in saved if state.get("stopped_epoch") and state["wait"] >= state["patience"]]
        return bool(impatient) and all(callback.wait < callback.patience for callback in stopping)


def _number(name, value):
    """A number that `measure` returned, as a float."""
    if not isinstance(value, bool | str | bytes):
        with contextlib.suppress(TypeError, ValueError):
            if np.ndim(value) == 0:
                return float(value)
    raise errors.UserError(f"training.fit: measure must return numbers; {name!r} is {shown(value)}.")


def _noted(run, name, otherwise):
    """What a resumed run's config.json says; `otherwise` for a new run, or if it says nothing."""
    config = run.path / "config.json"
    if run.resumed and config.exists():
        return json_files.read(config, records.Config).get(name, otherwise)
    return otherwise
