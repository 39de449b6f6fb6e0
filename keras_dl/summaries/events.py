"""Event files: written so that they are whole, and cut back to where a run goes on."""

import contextlib
import os

import tensorflow as tf


def purge(folder, last_step):
    """Rewrite the event files of `folder` without what was written after step `last_step`; at 0 nothing is left.

    A record that a kill has torn, and what follows it, is dropped. A file is replaced whole or not at all.
    """
    for path in sorted(folder.glob("events.out.tfevents.*")):
        kept = [raw for raw, event in whole_events(path) if event.step <= last_step]
        if last_step <= 0 or len(kept) <= 1:  # one: the record that says the format's version
            path.unlink()
            continue
        aside = folder / ".purged.tmp"  # a name that TensorBoard does not read
        with tf.io.TFRecordWriter(str(aside)) as file:
            for raw in kept:
                file.write(raw)
        os.replace(aside, path)


@contextlib.contextmanager
def writing(folder, step):
    """The context in which tf.summary writes into `folder` at `step`; the file is whole when it ends."""
    writer = tf.summary.create_file_writer(str(folder))
    try:
        with writer.as_default(step=step):
            yield
    finally:
        writer.close()


def hparams(folder, values, metrics, *, began=None, failed=False):
    """A row of TensorBoard's HParams page, in place of one that `folder` had before.

    The row is named after its folder, so that rows of different runs are never taken for one. No list of columns is
    written: TensorBoard would take the list of one run for all of them.

    Args:
        folder: its own, without others below it.
        values: {hyperparameter: value}; what TensorBoard has no type for is written as text.
        metrics: {tag: number}.
        began: when it started, in seconds since 1970; None is now.
        failed: whether it was broken off.
    """
    from tensorboard.plugins.hparams import api, api_pb2, summary

    purge(folder, 0)
    values = {name: v if isinstance(v, bool | int | float | str) else str(v) for name, v in values.items()}
    status = api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS
    with writing(folder, 0):
        api.hparams(values, trial_id="", start_time_secs=began)
        for tag, value in metrics.items():
            tf.summary.scalar(tag, value)
        tf.summary.experimental.write_raw_pb(summary.session_end_pb(status).SerializeToString())


def graph(folder, concrete_function):
    """Put the op graph of a tf.function's concrete function on TensorBoard's Graphs page."""
    with writing(folder, 0):
        tf.summary.graph(concrete_function.graph)


def whole_events(path):
    """(bytes, Event) of each whole record."""
    with contextlib.suppress(tf.errors.DataLossError):  # a kill has torn the last one
        for raw in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            yield raw, tf.compat.v1.Event.FromString(raw)
