"""`search`: keras-tuner proposes, training.fit tries, and a search that is killed goes on as if it had not been.

keras-tuner's oracles draw the values; the loop and the journal are our own, since keras-tuner's files are not written
atomically. The oracle writes none: a resumed search hands the journal to a fresh oracle, which must propose the same
trials again, and goes on with the next.

Sources: random search, Bergstra and Bengio 2012; Gaussian process, Snoek et al., arXiv:1206.2944; Hyperband, Li et al.,
arXiv:1603.06560. Deviations: trial 0 is always the defaults, the paper's model; in Hyperband it takes one place of the
first bracket, with that bracket's few epochs, and must win its way to more like the others. The Gaussian process takes
over after a third of the trials (keras-tuner: after three times as many as there are hyperparameters).

Files below run.tuner: trials.json, the journal; best.json, the result, once the search is done; weights/<n>.npz of the
best trial and, in Hyperband, of trials of the open bracket that may yet be continued.
"""

import contextlib
import copy
import io
import itertools
import json
import math
import shutil
import time
import warnings

import keras
import numpy as np
import rich.box
import rich.table
import tensorflow as tf

from keras_dl import atomic, checkpoint, errors, records, restoring, signals, summaries, tables, training
from keras_dl.arguments import ArgumentError, Function, OneOf, Text, Whole, checked

ORACLES = {
    "random": "RandomSearchOracle",
    "bayesian": "BayesianOptimizationOracle",
    "hyperband": "HyperbandOracle",
    "grid": "GridSearchOracle",
}
SHOWN = 5  # trials in the table at the end
METRIC = "trial/"  # group of the tags that hold a trial's metrics, apart from the curves


def defaults():
    """Untouched hyperparameters: a space that draws from them gives the paper's model."""
    import keras_tuner

    return keras_tuner.HyperParameters()


@checked(who="tuning.search")
def search(
    compiled: Function("hp"),
    train,
    validation,
    run,
    *,
    trials: Whole(0, 1_000_000) = 3,
    tuner: OneOf(*ORACLES) = "random",
    epochs: Whole(1, 1_000_000) = 5,
    monitor: Text = "val_loss",
    mode: OneOf("min", "max") = "min",
    measure: Function("model") | None = None,
    arguments=None,
):
    """Try hyperparameters and return the best; on a resumed run, go on after the last trial of the journal.

    Trial n runs under run.trial(n): a seed and TensorBoard folders of its own. A trial that cannot be built, diverges
    or runs out of memory is recorded as failed, and the search goes on.

    Args:
        compiled: compiled(hp) -> a compiled model; it draws from the keras_tuner.HyperParameters that it is handed.
        train, validation: data.Batches.
        run: the runs.Run; files go to run.tuner, curves to run.tensorboard / "trials", HParams beside them.
        trials: at most so many; 0 returns the defaults at once. A space with fewer values ends the search early.
        tuner: "random", "bayesian", "hyperband" or "grid". Hyperband continues its best trials only after a first
            bracket of about `epochs` trials: give it more than that.
        epochs: of a trial; Hyperband's longest.
        monitor, mode: name of a number that training.fit reports, and whether it should be small ("min") or large
            ("max"); its value in the best epoch is the trial's score.
        measure: as in training.fit; `monitor` may be one of its numbers.
        arguments: the hyperparameters.Arguments from which `compiled` takes those of its builder: lines, table and
            HParams say them. None: they say what was drawn.

    Returns:
        keras_tuner.HyperParameters with the best trial's values. A search that is done is not run again.

    Raises:
        UserError: an argument does not fit its annotation, `monitor` is not reported, every trial failed (the first
            reason is said), or the journal is of another search.
    """
    if trials == 0:
        return defaults()
    if (result := run.tuner / "best.json").exists():
        return _hyperparameters(records.best(result)["values"])

    space = _space(compiled, run)
    if not space.space:
        run.say("tuning.search: the model draws no hyperparameter; there is nothing to search.")
        return space
    attempts = _Trials(compiled, train, validation, run, epochs, monitor, mode, measure, arguments)
    attempts.go_on(_Proposals(tuner, trials, epochs, monitor, mode, run.seed + 1, space))
    journal = attempts.records
    if len(journal) < trials:
        run.say(f"The {tuner} search ends after {len(journal)} of {trials} trials: there are no other values to try.")
    ranked = _ranked(journal, mode)
    if not ranked:
        raise errors.UserError(f"tuning.search: every trial failed; the first with: {journal[0]['message']}")
    best = ranked[0] | {"values": records.drawn(ranked[0]["values"])}
    record = {name: best[name] for name in ("values", "trial", "score")} | {"monitor": monitor}
    run.say(_table(ranked, len(journal) - len(ranked), monitor, attempts.varied))
    atomic.write_atomic(result, json.dumps(record, indent=2))
    return _hyperparameters(best["values"])


class _Proposals:
    """A keras-tuner oracle: `next` gives a trial, `tell` takes what came of it."""

    def __init__(self, tuner, trials, epochs, monitor, mode, seed, space):
        import keras_tuner

        arguments = {"objective": keras_tuner.Objective(monitor, mode), "seed": seed}  # a seed of 0 would be none
        if tuner == "hyperband":
            arguments |= {"max_epochs": epochs, "hyperband_iterations": None}  # new brackets while trials are left
        elif tuner == "bayesian":
            arguments |= {"num_initial_points": max(2, trials // 3)}
        self.oracle = getattr(keras_tuner.oracles, ORACLES[tuner])(**arguments)
        self.oracle.max_trials = trials  # Hyperband's takes no argument for it
        self.oracle.max_consecutive_failed_trials = math.inf
        self.oracle.verbose = 0
        self.oracle.save = self.oracle._save_trial = lambda *_: None  # the journal is kept here; no public name
        self.oracle.update_space(space)
        self.monitor, self.defaults = monitor, space.values

    def next(self):
        """The next trial, its trial_id a number counted from 0, or None."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the Gaussian process' about few points
            trial = self.oracle.create_trial("search")
        if trial.status != "RUNNING":
            return None
        if int(trial.trial_id) == 0:
            trial.hyperparameters.values |= self.defaults
        return trial

    def tell(self, trial, record):
        if record["status"] == "COMPLETED":
            self.oracle.update_trial(trial.trial_id, {self.monitor: record["score"]})
        trial.status, trial.message = record["status"], record["message"]
        self.oracle.end_trial(trial)
        # What this trial was the first to draw, earlier ones have at its default: left to itself, the oracle draws it
        # for them from no seed (Hyperband) or stops with a KeyError (grid).
        for entry in self.oracle.get_space().space:
            for earlier in self.oracle.trials.values():
                if earlier.hyperparameters.is_active(entry):
                    earlier.hyperparameters.values.setdefault(entry.name, entry.default)


class _Trials:
    """The trials of one search and their journal."""

    def __init__(self, compiled, train, validation, run, epochs, monitor, mode, measure, arguments):
        self.compiled, self.train, self.validation, self.run = compiled, train, validation, run
        self.epochs, self.monitor, self.mode, self.arguments = epochs, monitor, mode, arguments
        self.measure = measure
        self.journal = run.tuner / "trials.json"
        self.records = records.trials(self.journal) if self.journal.exists() else []

    def go_on(self, proposals):
        for record in self.records:
            self._replay(proposals, record)
        self._delete_weights()
        with signals.Signals(self.run, saved=True) as stop:
            while trial := proposals.next():
                record = self._try(_plain(trial.hyperparameters.values))
                _merge(trial.hyperparameters, record)
                self.records.append(record)
                atomic.write_atomic(self.journal, json.dumps(self.records, indent=1))
                self._delete_weights()
                self.run.say(_line(record, self.monitor, self.varied(record)))
                proposals.tell(trial, record)
                stop.leave()
        keras.backend.clear_session()  # collects garbage too
        self._delete_weights(open_brackets=False)  # what the last trial left open is not continued

    def _replay(self, proposals, record):
        trial = proposals.next()
        proposed = _plain(trial.hyperparameters.values) if trial else {}
        values = record["values"]
        # The oracle also gives a value to what this trial's model does not draw, and none to what it was first to draw.
        same = [_same(proposed[name], values[name]) for name in values if name in proposed]
        same += [not name.startswith("tuner/") for name in values.keys() ^ proposed.keys()]
        if trial is None or not all(same):
            raise errors.UserError(
                f"tuning.search: {self.journal} must be of this search; its trial {record['trial']} had {values}, "
                f"this search would try {proposed or 'nothing more'}. Start a new run."
            )
        _merge(trial.hyperparameters, record)
        proposals.tell(trial, record)

    def _try(self, proposed):
        """Run a trial; return its record."""
        number, began, hp = len(self.records), time.time(), _hyperparameters(proposed)
        run = self.run.trial(number)
        for folder in (run.path, run.tensorboard):  # of a search that was killed in this trial
            shutil.rmtree(folder, ignore_errors=True)
        record = {"trial": number, "values": {}, "status": "FAILED", "score": None, "metrics": {}, "message": None}
        try:
            record |= self._fit(hp, run, record)
        except (ValueError, tf.errors.ResourceExhaustedError) as error:
            if isinstance(error, errors.UserError) and not isinstance(error, (training.Diverged, ArgumentError)):
                raise  # not the fault of these values
            record["message"] = str(error).strip().partition("\n")[0]
        record |= {"values": _used(hp), "seconds": round(time.time() - began, 3), "space": hp.get_config()["space"]}
        self._show(record, began)
        return record

    def varied(self, record):
        """{name: value} of what the search varies, with which a trial was built."""
        values = records.drawn(record["values"])
        return values if self.arguments is None else self.arguments.varied(_hyperparameters(values))

    def _show(self, record, began):
        """A trial's row on the HParams page: what it was built with, and the metrics of its best epoch."""
        values = records.drawn(record["values"])
        summaries.hparams(
            self.run.tensorboard / "hparams" / f"trial-{record['trial']:03d}",
            values if self.arguments is None else self.arguments.of(_hyperparameters(values)),
            {METRIC + name: value for name, value in record["metrics"].items()},
            began=began, failed=record["status"] != "COMPLETED",
        )  # fmt: skip

    def _fit(self, hp, run, record):
        """What a trial that was not broken off adds to its record."""
        keras.backend.clear_session()  # collects garbage too
        model = run.build(self.compiled, hp)
        first, last = hp.values.get("tuner/initial_epoch", 0), hp.values.get("tuner/epochs", self.epochs)
        callbacks = [summaries.TensorBoard(run)]
        if "tuner/trial_id" in hp.values:
            callbacks.append(_StartFrom(self._weights(int(hp.values["tuner/trial_id"]))))
        history = training.fit(
            model, _FromEpoch(self.train, first), self.validation, run, epochs=last - first, monitor=self.monitor,
            mode=self.mode, measure=self.measure, keep="last", checkpoint=False, verbose=0, callbacks=callbacks,
        )  # fmt: skip
        # A learning rate is no measure of a trial.
        history = {name: values for name, values in history.items() if name.partition("/")[0] != "learning_rate"}
        if self.monitor not in history:
            names = ", ".join(history)
            raise errors.UserError(f"tuning.search: monitor must be one of {names}; got {self.monitor!r}.")
        sign = {"min": 1, "max": -1}[self.mode]
        scores = [sign * value if math.isfinite(value) else math.inf for value in history[self.monitor]]
        if min(scores) == math.inf:
            raise ValueError(f"{self.monitor} was never a finite number")
        epoch = scores.index(min(scores))
        metrics = {name: float(values[epoch]) for name, values in history.items()}
        outcome = {"status": "COMPLETED", "score": metrics[self.monitor], "metrics": metrics}
        if record["trial"] in self._held([*self.records, record | outcome | {"values": _used(hp)}]):
            _save_weights(model, self._weights(record["trial"]))
        return outcome

    def _held(self, records, open_brackets=True):
        """Trials whose weights stay: the best, and those that Hyperband's open bracket, its last, may yet continue."""
        held = {r["trial"] for r in _ranked(records, self.mode)[:1]}
        bracket = records[-1]["values"].get("tuner/bracket") if records and open_brackets else None
        if bracket is not None:
            of_bracket = list(itertools.takewhile(lambda r: r["values"]["tuner/bracket"] == bracket, reversed(records)))
            continued = {r["values"].get("tuner/trial_id") for r in of_bracket}
            held |= {r["trial"] for r in _ranked(of_bracket, self.mode)} - continued
        return held

    def _delete_weights(self, open_brackets=True):
        held = {self._weights(n) for n in self._held(self.records, open_brackets)}
        for path in self._weights(0).parent.glob("*.npz"):
            if path not in held:
                path.unlink()

    def _weights(self, number):
        return self.run.tuner / "weights" / f"{number:03d}.npz"


class _FromEpoch:
    """Batches whose epoch 0 is epoch `first` of others: a continued trial goes on in their order."""

    def __init__(self, batches, first):
        self.batches, self.first, self.examples = batches, first, batches.examples

    def steps(self, epoch=0):
        return self.batches.steps(self.first + epoch)

    def dataset(self, epoch=0, step=0, epochs=1):
        return self.batches.dataset(self.first + epoch, step, epochs)


class _StartFrom(keras.callbacks.Callback):
    """Puts the weights and the optimizers' variables of an earlier trial into the model, when they have been made."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_train_begin(self, logs=None):
        _load_weights(self.model, self.path)


def _space(compiled, run):
    """What the model draws by default, found by building it once."""
    hp = defaults()
    with run.scope(), contextlib.suppress(ValueError):  # trial 0 will say what is wrong
        compiled(hp)
    return hp


def _hyperparameters(values):
    hp = defaults()
    hp.values = dict(values)
    return hp


def _plain(values):
    """Values as JSON has them; the oracle's names of trials as numbers."""
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}
    if "tuner/trial_id" in plain:
        plain["tuner/trial_id"] = int(plain["tuner/trial_id"])
    return plain


def _used(hp):
    """The values that a model drew of `hp`, and Hyperband's own."""
    drawn = {entry.name for entry in hp.space}
    return {name: value for name, value in hp.values.items() if name in drawn or name.startswith("tuner/")}


def _merge(hp, record):
    """Put what the model of `record` drew into an oracle's `hp`, which may not have known of it."""
    space = copy.deepcopy(record["space"])  # keras-tuner puts objects into what it reads
    hp.merge(type(hp).from_config({"space": space, "values": {}}), overwrite=False)
    hp.values |= records.drawn(record["values"])


def _same(a, b):
    # A Gaussian process may differ in the last bits on another machine; the journal's value is taken.
    return math.isclose(a, b, rel_tol=1e-6) if isinstance(a, float) and isinstance(b, float) else a == b


def _ranked(records, mode):
    """The completed trials, the best first; of equals the earlier."""
    completed = [r for r in records if r["status"] == "COMPLETED"]
    return sorted(completed, key=lambda r: r["score"] if mode == "min" else -r["score"])


def _state(model):
    optimizers = checkpoint.optimizers(model).values()
    return [*model.variables, *(variable for optimizer in optimizers for variable in optimizer.variables)]


def _save_weights(model, path):
    file = io.BytesIO()
    np.savez(file, *[keras.ops.convert_to_numpy(v) for v in _state(model)])
    atomic.write_atomic(path, file.getvalue())


def _load_weights(model, path):
    try:
        with np.load(path, allow_pickle=False) as file:
            checkpoint.check_sizes(file, path.stat().st_size)
            arrays = list(file.values())
        restoring.check_values("arr", _state(model), arrays)
    except Exception as error:  # a damaged archive fails somewhere inside, in many ways
        raise errors.UserError(
            f"tuning.search: {path}, the weights of the trial that is to be continued, is damaged: {error}. "
            "Start a new run."
        ) from error
    for variable, value in zip(_state(model), arrays, strict=True):
        variable.assign(value)


def _line(record, monitor, varied):
    values = "  ".join(f"{name}={_short(value)}" for name, value in varied.items())
    result = f"failed: {record['message']}" if record["score"] is None else f"{monitor} {record['score']:.4f}"
    return f"trial {record['trial']}  {record['seconds']:.1f} s  {result}  ({values})"


def _table(ranked, failed, monitor, varied):
    rows = [varied(r) for r in ranked[:SHOWN]]
    names = list(dict.fromkeys(name for row in rows for name in row))
    title = f"The best of {len(ranked) + failed} trials" + (f", {failed} of which failed" if failed else "")
    table = rich.table.Table(title=title, title_justify="left", box=rich.box.MARKDOWN)
    for name in ("trial", monitor, *names):
        table.add_column(name, justify="right")
    for r, row in zip(ranked, rows, strict=False):
        table.add_row(str(r["trial"]), f"{r['score']:.4f}", *(tables.plain(_short(row.get(n, ""))) for n in names))
    return summaries.text_of(table)


def _short(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)
