"""The trials of a search, run one by one, and the journal from which a killed search is replayed."""

import itertools
import json
import math
import shutil
import time

import keras
import tensorflow as tf

from keras_dl import atomic, errors, records, signals, summaries, training
from keras_dl.arguments import ArgumentError
from keras_dl.tuning.report import announcement, trial_line
from keras_dl.tuning.values import equal, hyperparameters_of, merge, plain_values, used_by
from keras_dl.tuning.weights import StartFrom, save_weights

# Prefix of the tags of a trial's metrics. TensorBoard's HParams page shows the first five metrics by the order of
# characters, in which a space is before "/": those of the test split, these, and then those of the last epoch.
METRIC = "metrics (trial)/"


class Trials:
    """The trials of one search and their journal."""

    def __init__(self, compiled, train, validation, run, epochs, monitor, mode, measure, arguments):
        self.compiled, self.train, self.validation, self.run = compiled, train, validation, run
        self.epochs, self.monitor, self.mode, self.arguments = epochs, monitor, mode, arguments
        self.measure = measure
        self.journal = run.tuner / "trials.json"
        self.records = records.trials(self.journal) if self.journal.exists() else []

    def go_on(self, proposals, most):
        """Run the trials that the journal does not have yet, of `most` at most."""
        for record in self.records:
            self._replay(proposals, record)
        self._delete_weights()
        with signals.Signals(self.run, saved=True) as stop:
            while trial := proposals.next():
                self.run.say(announcement(self.records, most))
                record = self._try(plain_values(trial.hyperparameters.values))
                merge(trial.hyperparameters, record)
                self.records.append(record)
                atomic.write_atomic(self.journal, json.dumps(self.records, indent=1))
                self._delete_weights()
                self.run.say(trial_line(record, self.monitor, self.varied(record)))
                proposals.tell(trial, record)
                stop.leave()
        keras.backend.clear_session()  # collects garbage too
        self._delete_weights(open_brackets=False)  # the search is over: no trial will be continued

    def _replay(self, proposals, record):
        trial = proposals.next()
        proposed = plain_values(trial.hyperparameters.values) if trial else {}
        values = record["values"]
        # The oracle may have values that this trial's model does not draw, and lacks those that it drew first.
        same = [equal(proposed[name], values[name]) for name in values if name in proposed]
        same += [not name.startswith("tuner/") for name in values.keys() ^ proposed.keys()]
        if trial is None or not all(same):
            raise errors.UserError(
                f"tuning.search: {self.journal} must be of this search; its trial {record['trial']} had {values}, "
                f"this search would try {proposed or 'nothing more'}. Start a new run."
            )
        merge(trial.hyperparameters, record)
        proposals.tell(trial, record)

    def _try(self, proposed):
        """Run the next trial with the proposed values; return its record (records.Trial)."""
        number, began, hp = len(self.records), time.time(), hyperparameters_of(proposed)
        run = self.run.trial(number)
        for folder in (run.path, run.tensorboard):  # left by a search that was killed in this trial
            shutil.rmtree(folder, ignore_errors=True)
        record = {"trial": number, "values": {}, "status": "FAILED", "score": None, "metrics": {}, "message": None}
        curves = {}
        try:
            outcome, curves = self._fit(hp, run, record)
            record |= outcome
        except (ValueError, tf.errors.ResourceExhaustedError) as error:
            if isinstance(error, errors.UserError) and not isinstance(error, (training.Diverged, ArgumentError)):
                raise  # not caused by these values
            record["message"] = str(error).strip().partition("\n")[0]
        record |= {"values": used_by(hp), "seconds": round(time.time() - began, 3), "space": hp.get_config()["space"]}
        self._show(record, curves, run, began)
        return record

    def varied(self, record):
        """{name: value} of a trial, of the hyperparameters that the search varies."""
        values = records.drawn(record["values"])
        return values if self.arguments is None else self.arguments.varied(hyperparameters_of(values))

    def _show(self, record, curves, run, began):
        """Write a trial's row on TensorBoard's HParams page: its hyperparameters and validation metrics.

        The metrics end with its best epoch, so that the row shows those of that one. They are in the folder of the row,
        which is the trial's only one: TensorBoard shows no curves at first where there are many folders.
        """
        values = records.drawn(record["values"])
        values = values if self.arguments is None else self.arguments.of(hyperparameters_of(values))
        summaries.hparams(
            run.tensorboard,
            {"fit": f"trial {record['trial']}", **values},
            {METRIC + name: values for name, values in curves.items()},
            began=began, failed=record["status"] != "COMPLETED",
        )  # fmt: skip

    def _fit(self, hp, run, record):
        """Train a trial; return the fields that it adds to its record, and its curves up to the best epoch."""
        keras.backend.clear_session()  # collects garbage too
        model = run.build(self.compiled, hp)
        first, last = hp.values.get("tuner/initial_epoch", 0), hp.values.get("tuner/epochs", self.epochs)
        continued = "tuner/trial_id" in hp.values
        callbacks = [StartFrom(self._weights(int(hp.values["tuner/trial_id"])))] if continued else []
        history = training.fit(
            model, FromEpoch(self.train, first), self.validation, run, epochs=last - first, monitor=self.monitor,
            mode=self.mode, measure=self.measure, keep="last", checkpoint=False, verbose=0, callbacks=callbacks,
        )  # fmt: skip
        # The learning rate is not a result of a trial.
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
        if record["trial"] in self._held([*self.records, record | outcome | {"values": used_by(hp)}]):
            save_weights(model, self._weights(record["trial"]))
        of_validation = {name[4:]: values for name, values in history.items() if name.startswith("val_")}
        return outcome, {name: values[: epoch + 1] for name, values in (of_validation or history).items()}

    def _held(self, records, open_brackets=True):
        """Numbers of trials whose weights are kept: the best, and those that Hyperband's last bracket may continue."""
        held = {r["trial"] for r in ranked_by_score(records, self.mode)[:1]}
        bracket = records[-1]["values"].get("tuner/bracket") if records and open_brackets else None
        if bracket is not None:
            of_bracket = list(itertools.takewhile(lambda r: r["values"]["tuner/bracket"] == bracket, reversed(records)))
            continued = {r["values"].get("tuner/trial_id") for r in of_bracket}
            held |= {r["trial"] for r in ranked_by_score(of_bracket, self.mode)} - continued
        return held

    def _delete_weights(self, open_brackets=True):
        held = {self._weights(n) for n in self._held(self.records, open_brackets)}
        for path in self._weights(0).parent.glob("*.npz"):
            if path not in held:
                path.unlink()

    def _weights(self, number):
        return self.run.tuner / "weights" / f"{number:03d}.npz"


class FromEpoch:
    """Batches whose epoch 0 is epoch `first` of `batches`: a continued trial sees the epochs after its first ones."""

    def __init__(self, batches, first):
        self.batches, self.first, self.examples = batches, first, batches.examples

    def steps(self, epoch=0):
        return self.batches.steps(self.first + epoch)

    def dataset(self, epoch=0, step=0, epochs=1):
        return self.batches.dataset(self.first + epoch, step, epochs)


def ranked_by_score(records, mode):
    """The completed trials, the best first; among equals the earlier first."""
    completed = [r for r in records if r["status"] == "COMPLETED"]
    return sorted(completed, key=lambda r: r["score"] if mode == "min" else -r["score"])
