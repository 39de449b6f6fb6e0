"""TensorBoard's event files: writing them completely, and cutting them back to where a run is resumed."""

import contextlib
import os

import tensorflow as tf


def purge(folder, last_step):
    """Rewrite the event files of `folder` without the events after step `last_step`; 0 deletes all files.

    A record that is incomplete after a kill, and everything after it, is dropped. Files are replaced atomically.
    """
    for path in sorted(folder.glob("events.out.tfevents.*")):
        kept = [raw for raw, event in whole_events(path) if event.step <= last_step]
        if last_step <= 0 or len(kept) <= 1:  # the first record only has the format's version
            path.unlink()
            continue
        aside = folder / ".purged.tmp"  # a name that TensorBoard does not read
        with tf.io.TFRecordWriter(str(aside)) as file:
            for raw in kept:
                file.write(raw)
        os.replace(aside, path)


@contextlib.contextmanager
def writing(folder, step):
    """A context in which tf.summary writes to `folder` at `step`; the file is complete when it ends."""
    writer = tf.summary.create_file_writer(str(folder))
    try:
        with writer.as_default(step=step):
            yield
    finally:
        writer.close()


def hparams(folder, values, metrics, *, began=None, failed=False):
    """Write a row of TensorBoard's HParams page; it replaces the row that `folder` had before.

    The row is named after its folder, so that rows of different runs stay apart. No list of columns is written, since
    TensorBoard would apply the list of one run to all runs.

    Args:
        folder: for this row alone, without sub-folders.
        values: {hyperparameter: value}; values other than bool, int, float and str are written as text.
        metrics: {tag: number}.
        began: start time in seconds since 1970; None: now.
        failed: whether the trial failed.
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
    """Write the op graph of a tf.function's concrete function for TensorBoard's Graphs page."""
    with writing(folder, 0):
        tf.summary.graph(concrete_function.graph)


def whole_events(path):
    """Yield (bytes, Event) of each record of an event file, up to the first incomplete one."""
    with contextlib.suppress(tf.errors.DataLossError):  # the last record is incomplete after a kill
        for raw in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            yield raw, tf.compat.v1.Event.FromString(raw)
