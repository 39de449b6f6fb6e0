"""The output of training while it runs: a progress bar or a line per epoch, and the time left."""

import shutil
import statistics
import time

from keras_dl.training.variables import floats
from keras_dl.wording import counted, verb

REFRESH = 0.1  # seconds between two updates of the progress bar
BAR = 16  # characters of the bar
SOON = 10.0  # seconds: a shorter time left is not printed on a line per epoch
LONG_EPOCH = 10.0  # seconds after which the expected time is said in the middle of the first epoch
STEPS = 5  # that must have been measured for it


class TimeLeft:
    """The time that a training still needs, from the measured times of its steps and of what is done after each epoch.

    Args:
        first: number of epochs that were finished before, by a run that is resumed.
        epochs: total number of epochs.
        at_most: whether the training may stop earlier by itself.
    """

    def __init__(self, first, epochs, at_most=False):
        self.first, self.epochs, self.at_most = first, epochs, at_most
        self.began, self.warm, self.said = time.monotonic(), False, False
        self.steps = self.seconds = 0.0  # of the measured steps; those of earlier epochs count less
        self.ends = []  # seconds from the last step of an epoch to the first of the next
        self.epoch_seconds, self.one_off = 0.0, False

    def add(self, steps, seconds):
        """Count a block of steps; the first block, which includes warming up, is left out."""
        if self.warm:
            self.steps += steps
            self.seconds += seconds
        self.epoch_seconds += seconds
        self.warm = True

    def end_epoch(self, seconds):
        """Count the `seconds` that validation, callbacks and the checkpoint took; the next epoch begins.

        Those after the first epoch include work that is done once, such as tracing: they are left out as soon as others
        are known, and if they are more than the epoch's steps, no time is said until then.
        """
        self.ends.append(seconds)
        self.one_off = len(self.ends) == 1 and seconds > self.epoch_seconds
        self.epoch_seconds = 0.0
        self.steps, self.seconds = self.steps / 2, self.seconds / 2

    def left(self, epoch, step, count):
        """Seconds until the end of training; None if nothing was measured.

        Args:
            epoch: number of epochs that are finished.
            step: number of steps done in the next.
            count: number of steps of an epoch.
        """
        if not self.steps or self.one_off:
            return None
        more = self.epochs - epoch
        after_epochs = statistics.median(self.ends[1:] or self.ends or [0.0])
        return max(0, more * count - step) * self.seconds / self.steps + more * after_epochs

    def clock(self, seconds):
        """ "12:30 left in all", with "at most" if the training may stop earlier; "" for None."""
        if seconds is None:
            return ""
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        text = f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
        return f"{'at most ' if self.at_most else ''}{text} left in all"

    def expected(self, left):
        """A sentence on the time for all epochs, of which `left` seconds are left."""
        total, more = time.monotonic() - self.began + left, self.epochs - self.first
        epochs = counted(more, "epochs")
        epochs = f"the {epochs} that {verb(more, 'were')} left" if self.first else epochs
        return f"{'at most ' if self.at_most else ''}about {duration(total)} for {epochs}"


class Progress:
    """Prints one epoch: verbose 2: a progress bar; 1: a line at its end; 0: nothing."""

    def __init__(self, epoch, epochs, count, verbose, time_left):
        self.epoch, self.count, self.verbose, self.time_left = epoch, count, verbose, time_left
        self.label = f"epoch {epoch + 1}/{epochs}"
        self.shown, self.width = 0.0, 0  # time and length of what the bar's line shows
        if verbose == 2:
            print(self.label)

    def update(self, step, logs):
        now = time.monotonic()
        left = self.time_left.left(self.epoch, step, self.count)
        if left and now - self.time_left.began > LONG_EPOCH and self.time_left.steps >= STEPS:
            self._say_expected(left, "" if self.time_left.ends else ", without validation")
        if self.verbose == 2 and now - self.shown > REFRESH and step < self.count:
            self._draw(step, [self.time_left.clock(left), _values(floats(logs))])
            self.shown = now

    def after_steps(self, what):
        """Show, beside the full bar, what is done after the last step of the epoch."""
        if self.verbose == 2:
            self._draw(self.count, [what])

    def end(self, logs, seconds):
        left = self.time_left.left(self.epoch + 1, 0, self.count)
        if self.verbose == 2:
            self._last_line([f"{self.count}/{self.count}", f"{seconds:.1f} s", *_entries(logs)])
        elif self.verbose == 1:
            clock = f"  ({self.time_left.clock(left)})" if left is not None and left >= SOON else ""
            print(f"{self.label}  {seconds:.1f} s  {_values(logs)}{clock}", flush=True)
        if left:
            self._say_expected(left)

    def _say_expected(self, left, without=""):
        """Say once how long all epochs take, of which `left` seconds are left."""
        if self.time_left.said or not self.verbose:
            return
        self.time_left.said = True
        sentence = self.time_left.expected(left) + without
        print(("\r" + sentence.ljust(self.width)) if self.verbose == 2 else sentence, flush=True)
        self.width = 0

    def _draw(self, step, texts):
        """Draw the bar over what it showed before, within a line of the terminal."""
        full = BAR * step // self.count
        text = "  ".join([f"{step}/{self.count} [{'=' * full}{'.' * (BAR - full)}]", *filter(None, texts)])
        text = text[: shutil.get_terminal_size().columns - 1]
        print("\r" + text.ljust(self.width), end="", flush=True)
        self.width = len(text)

    def _last_line(self, entries):
        """Replace the bar by `entries`, in as many lines as they need."""
        lines = entries[:1]
        for entry in entries[1:]:
            if len(lines[-1]) + 2 + len(entry) < shutil.get_terminal_size().columns:
                lines[-1] += f"  {entry}"
            else:
                lines.append(f"  {entry}")
        print("\r" + lines[0].ljust(self.width), *lines[1:], sep="\n", flush=True)
        self.width = 0


def duration(seconds):
    """A rounded time in words.

    >>> duration(0.2), duration(42), duration(200), duration(9000)
    ('1 second', '40 seconds', '3 minutes', '2.5 hours')
    """
    if seconds < 100:
        number = max(1, round(seconds) if seconds < 10 else 5 * round(seconds / 5))
        return counted(number, "seconds")
    return counted(round(seconds / 60), "minutes") if seconds < 100 * 60 else f"{seconds / 3600:.1f} hours"


def _values(logs):
    return "  ".join(_entries(logs))


def _entries(logs):
    return [f"{name} {value:.4g}" for name, value in logs.items()]
