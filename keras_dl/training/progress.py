"""The output of training while it runs: a progress bar or a line per epoch, and history.csv."""

import csv
import io
import time

import keras

from keras_dl import atomic
from keras_dl.training.variables import floats

REFRESH = 0.1  # seconds between two updates of the progress bar


class Progress:
    """Prints one epoch: verbose 2: a progress bar; 1: a line at its end; 0: nothing."""

    def __init__(self, epoch, epochs, count, verbose):
        self.verbose, self.shown = verbose, 0.0
        self.label = f"epoch {epoch + 1}/{epochs}"
        if verbose == 2:
            print(self.label)
            self.bar = keras.utils.Progbar(count, stateful_metrics=["loss"])

    def update(self, step, logs):
        if self.verbose == 2 and time.monotonic() - self.shown > REFRESH and step < self.bar.target:
            self.bar.stateful_metrics = set(logs)
            self.bar.update(step, list(floats(logs).items()), finalize=False)
            self.shown = time.monotonic()

    def end(self, logs, seconds):
        if self.verbose == 2:
            self.bar.stateful_metrics = set(logs)
            self.bar.update(self.bar.target, list(logs.items()), finalize=True)
        elif self.verbose == 1:
            values = "  ".join(f"{name} {value:.4g}" for name, value in logs.items())
            print(f"{self.label}  {seconds:.1f} s  {values}", flush=True)


def write_history(run, history):
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["epoch", *history])
    table.writerows([epoch, *map(repr, row)] for epoch, row in enumerate(zip(*history.values(), strict=True), 1))
    atomic.write_atomic(run.path / "history.csv", text.getvalue())
