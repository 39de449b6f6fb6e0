"""Laws of what is shown while a generative model learns: when, once, and the right way up."""

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keras_dl import runtime, samples, summaries


def shown(run):
    events = EventAccumulator(str(run.tensorboard / "samples"), size_guidance={"tensors": 0}).Reload()
    return sorted(event.step for event in events.Tensors("made")) if "made" in events.Tags()["tensors"] else []


def callback(run):
    return samples.Samples(run, lambda: tf.summary.text("made", "something"))


def test_samples_come_after_epochs_1_2_4_8_and_at_the_end(tmp_path):
    run = runtime.Run(path=tmp_path, root=tmp_path, name="m", app="a")
    made = callback(run)
    for epoch in range(11):
        made.on_epoch_end(epoch)
    assert shown(run) == [1, 2, 4, 8]
    made.on_train_end()
    assert shown(run) == [1, 2, 4, 8, 11]
    made.on_train_end()  # a finished run that is resumed
    assert shown(run) == [1, 2, 4, 8, 11]


def test_a_resumed_run_shows_each_epoch_once(tmp_path):
    run = runtime.Run(path=tmp_path, root=tmp_path, name="m", app="a")
    first = callback(run)
    for epoch in range(4):
        first.on_epoch_end(epoch)
    state = {"epochs_done": 3}  # the checkpoint before the kill
    second = callback(run)
    second.set_state(state)
    second.purge(3)
    assert shown(run) == [1, 2]
    second.on_epoch_end(3)
    second.on_train_end()
    assert shown(run) == [1, 2, 4]
    assert second.get_state() == {"epochs_done": 4}


def test_a_piano_roll_has_time_to_the_right_and_pitch_up():
    roll = np.zeros((8, 88), np.uint8)
    roll[:4, 10], roll[4:, 80] = 1, 1  # low first, then high
    figure = samples.piano_roll_figure([roll], ["one"], lowest=21, steps_per_beat=2)
    (axes,) = figure.axes
    picture = tf.io.decode_png(summaries.png(figure), channels=1).numpy()[..., 0]
    left, bottom, width, height = axes.get_position().bounds
    rows, columns = picture.shape

    def dark(x, pitch):
        low, high = axes.get_ylim()
        y = bottom + height * (pitch - low) / (high - low)
        return picture[int(rows * (1 - y)), int(columns * (left + width * x))] < 128

    assert dark(0.25, 31) and dark(0.75, 101) and not dark(0.75, 31) and not dark(0.25, 101)
    assert axes.get_xlim() == (0, 4)  # beats
