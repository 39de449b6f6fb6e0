"""What is printed while a training runs: the time left, a bar that fits the terminal, and no effect on the training."""

import re
import time

import numpy as np
import pytest

from keras_dl.training import progress
from keras_dl.training.progress import Progress, TimeLeft
from keras_dl.waiting import PATIENCE, counting, waiting

LOGS = {"loss": 0.5, "nats": 1.25, "perplexity": 3.49, "accuracy": 0.75}


@pytest.fixture
def clock(monkeypatch):
    """A clock that is moved by hand: clock(seconds)."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def forward(seconds):
        now[0] += seconds

    return forward


def after_one_epoch(epochs=5, **kwargs):
    """2 s a step after a first of 50 s, 10 steps an epoch, and 5 s after an epoch."""
    left = TimeLeft(0, epochs, **kwargs)
    for seconds in (50, *[2] * 9):
        left.add(1, seconds)
    left.end_epoch(5)
    return left


def test_the_time_left_is_that_of_the_remaining_steps_and_epoch_ends():
    left = after_one_epoch()
    assert left.left(1, 0, 10) == pytest.approx(4 * (10 * 2 + 5))
    assert left.left(3, 4, 10) == pytest.approx((16 * 2) + 2 * 5)
    assert left.left(5, 0, 10) == 0
    assert TimeLeft(0, 5).left(0, 0, 10) is None


def test_work_that_is_done_once_after_the_first_epoch_does_not_count():
    left = TimeLeft(0, 5)
    for seconds in (5, *[1] * 9):
        left.add(1, seconds)
    left.end_epoch(40)  # traces the validation
    assert left.left(1, 0, 10) is None
    for _ in range(10):
        left.add(1, 1)
    left.end_epoch(2)
    assert left.left(2, 0, 10) == pytest.approx(3 * 12)


def test_a_first_step_that_compiles_does_not_count_and_newer_steps_count_more():
    left = TimeLeft(0, 2)
    left.add(1, 300)
    assert left.left(0, 1, 10) is None
    left.add(2, 4)
    assert left.left(0, 3, 10) == pytest.approx(17 * 2)
    for _ in range(12):
        left.end_epoch(0)
        left.add(2, 20)
    assert left.left(0, 0, 10) == pytest.approx(20 * 10, rel=0.01)


@pytest.mark.parametrize(("seconds", "text"), [(750, "12:30"), (59.6, "1:00"), (7, "0:07"), (3 * 3600 + 62, "3:01:02")])
def test_the_clock(seconds, text):
    assert TimeLeft(0, 1).clock(seconds) == f"{text} left in all"
    assert TimeLeft(0, 1, at_most=True).clock(seconds) == f"at most {text} left in all"


def one_epoch(clock, verbose, epoch=0, time_left=None, steps=40, seconds=1.0):
    time_left = time_left or TimeLeft(0, 20)
    shown = Progress(epoch, 20, steps, verbose, time_left)
    for step in range(1, steps + 1):
        clock(seconds)
        time_left.add(1, seconds)
        shown.update(step, LOGS)
    shown.after_steps("validation ...")
    clock(2)
    time_left.end_epoch(2)
    shown.end(LOGS | {"val_loss": 0.25}, steps * seconds)
    return time_left


def test_lines_say_the_time_left_and_once_how_long_it_takes(clock, capsys):
    time_left = one_epoch(clock, 1)
    first = capsys.readouterr().out.splitlines()
    assert first[0] == "about 13 minutes for 20 epochs, without validation" and len(first) == 2
    assert re.fullmatch(r"epoch 1/20  40.0 s  loss 0.5  nats .* val_loss 0.25  \(13:18 left in all\)", first[1])
    one_epoch(clock, 1, 1, time_left)
    (second,) = capsys.readouterr().out.splitlines()
    assert second.endswith("(12:36 left in all)")


def test_short_epochs_say_it_after_the_first_with_its_end(clock, capsys):
    one_epoch(clock, 1, seconds=0.2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("epoch 1/20  8.0 s") and lines[1] == "about 3 minutes for 20 epochs"


def test_a_training_of_seconds_has_no_clock_on_its_lines(clock, capsys):
    one_epoch(clock, 1, seconds=0.001, steps=4, time_left=TimeLeft(0, 2))
    assert "left in all" not in capsys.readouterr().out


def test_nothing_is_printed_if_it_is_not_asked_for(clock, capsys):
    one_epoch(clock, 0)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("width", [80, 50])
def test_the_bar_fits_the_terminal_until_it_ends(clock, capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    one_epoch(clock, 2, time_left=TimeLeft(0, 20, at_most=True))
    label, *drawn = capsys.readouterr().out.split("\n")
    assert label == "epoch 1/20"
    shown = [text for line in drawn for text in line.split("\r") if text]
    bars = [text for text in shown if "[" in text]
    assert len(bars) > 30 and all(len(text) < width for text in bars)
    assert "at most 13:10 left" in bars[9]
    last = shown[shown.index(bars[-1]) + 1 :]
    assert "validation ..." in bars[-1] and "val_loss 0.25" in " ".join(last)
    assert len(last) == 2 and all(len(line.rstrip()) < width for line in last)
    assert sum("about 13 minutes" in text for text in shown) == 1


def test_a_shorter_text_leaves_nothing_of_a_longer_one(clock, capsys):
    shown = Progress(0, 3, 10, 2, TimeLeft(0, 3))
    shown.after_steps("a long text beside the bar")
    shown.after_steps("short")
    _, longer, shorter = capsys.readouterr().out.split("\r")
    assert len(shorter) == len(longer) and shorter.rstrip().endswith("short")


def test_a_resumed_training_says_the_time_of_what_was_left(clock):
    left = TimeLeft(12, 20)
    clock(40)
    assert left.expected(80) == "about 2 minutes for the 8 epochs that were left"
    assert TimeLeft(0, 8, at_most=True).expected(80) == "at most about 80 seconds for 8 epochs"


def test_waiting_says_what_is_done_only_if_it_takes_long(capsys):
    with waiting("soon done", patience=30):
        pass
    with waiting("reading\x1b[31m ...", patience=0.01):
        time.sleep(0.2)
    with waiting("never", patience=0.3) as timer:
        timer.cancel()
        time.sleep(0.4)
    with pytest.raises(ValueError), waiting("after an error", patience=0.3):
        raise ValueError
    time.sleep(0.4)
    assert capsys.readouterr().out == "reading\\x1b[31m ...\n"


def test_epochs_of_a_single_step_are_timed_too(clock, capsys):
    left = TimeLeft(0, 20)
    for epoch in range(3):
        one_epoch(clock, 1, epoch, left, steps=1, seconds=3.0)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("epoch 1/20") and sum("for 20 epochs" in line for line in lines) == 1
    assert np.isclose(left.left(3, 0, 1), 17 * (3 + 2))


def test_a_long_loop_is_counted_at_longer_and_longer_intervals(capsys, clock):
    with counting("drawing pictures", "pixel") as at:
        for number in range(1, 1001):
            clock(0.1)
            at(number, 1000)
    lines = capsys.readouterr().out.splitlines()
    numbers = [int(re.fullmatch(r"drawing pictures: pixel (\d+) of 1,000 \.\.\.", line)[1]) for line in lines]
    assert numbers == pytest.approx([10 * PATIENCE * 2**k for k in range(6)], rel=0.05)


def test_a_short_loop_is_not_counted(capsys, clock):
    with counting("drawing pictures") as at:
        clock(PATIENCE / 2)
        at(5, 10)
    assert capsys.readouterr().out == ""


def test_on_a_terminal_the_count_is_overwritten_and_erased(capsys, clock, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    with counting("drawing") as at:
        clock(PATIENCE)
        for number in (998, 999, 1000):
            clock(1)
            at(number, 1000)
    first, *rest, blank, end = capsys.readouterr().out.split("\r")[1:]
    lines = [f"drawing: step {number} of 1,000 ..." for number in ("998", "999", "1,000")]
    assert [first.rstrip(), rest[0].rstrip(), rest[1]] == lines
    assert blank == " " * len(rest[1]) and end == ""
