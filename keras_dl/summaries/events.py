"""TensorBoard's event files: writing them completely, and cutting them back to where a run is resumed.

TensorBoard calls a folder of event files a run, and most of its pages show none of them at first if there are more than
SHOWN_AT_ONCE.
Therefore a run of ours has few folders: "train" and "validation", which samples, pictures, graphs and the final fit's
row of HParams share with the curves, and one for each trial of the search, because HParams has one row per folder. Tags
in a shared folder begin with a prefix by which their owner deletes and replaces them.
"""

import contextlib
import os

import tensorflow as tf

# Folders; maxNamesToEnableByDefault of TensorBoard 2.21, for its pages of images, text, sound and distributions. (Time
# Series shows up to 500.)
SHOWN_AT_ONCE = 40
ROW = "_hparams_/"  # prefix of the tags of a row of HParams

# {folder: its open writer}. All that write into a folder at the same time share a file: one of TensorBoard's two
# loaders goes on to the newest file of a folder, and does not see what is added to an earlier one later.
_open = {}


def writer(folder):
    """The writer of `folder`, opened if it is not open yet; to be closed with `close`."""
    if folder not in _open:
        _open[folder] = tf.summary.create_file_writer(str(folder))
    return _open[folder]


def close(folder):
    """Close the writer of `folder`, if one is open."""
    if folder in _open:
        _open.pop(folder).close()


@contextlib.contextmanager
def writing(folder, step):
    """A context in which tf.summary writes to `folder` at `step`; all of it is on disk when the context ends."""
    shared = folder in _open
    try:
        with writer(folder).as_default(step=step):
            yield
    finally:
        if shared:
            writer(folder).flush()
        else:
            close(folder)


def purge(folder, last_step, prefix=""):
    """Rewrite the event files of `folder` without the events after step `last_step`.

    A record that is incomplete after a kill, and everything after it, is dropped. Files are replaced atomically; a file
    without anything to drop is left as it is.

    Args:
        folder: a pathlib.Path; it may be missing.
        last_step: of the events that stay; 0 without a prefix deletes all files.
        prefix: a string or a tuple of them: only summaries are dropped whose tags begin with one of them. "": all
            events.
    """
    if folder in _open:
        _open[folder].flush()
    for path in sorted(folder.glob("events.out.tfevents.*")):
        events = list(whole_events(path))
        kept = [raw for raw, event in events if event.step <= last_step or not _is_of(event, prefix)]
        empty = not prefix and last_step <= 0 or len(kept) <= 1  # the first record only has the format's version
        if not empty and len(kept) == len(events) and sum(map(_size, kept)) == path.stat().st_size:
            continue
        close(folder)  # its file may be this one
        if empty:
            path.unlink()
            continue
        aside = folder / ".purged.tmp"  # a name that TensorBoard does not read
        with tf.io.TFRecordWriter(str(aside)) as file:
            for raw in kept:
                file.write(raw)
        os.replace(aside, path)


def hparams(folder, values, metrics, *, began=None, failed=False):
    """Write a row of TensorBoard's HParams page; it replaces the row that `folder` had before.

    The row is named after its folder, so that rows of different runs stay apart. No list of columns is written, since
    TensorBoard would apply the list of one run to all runs; its columns are all scalars of the folder.

    Args:
        folder: without sub-folders that have event files; a folder has one row.
        values: {hyperparameter: value}; values other than bool, int, float and str are written as text.
        metrics: {tag: number, or list of the numbers after epochs 1, 2, ..., of which the row shows the last}. Tags
            that have the same prefix, up to "/", are replaced too.
        began: start time in seconds since 1970; None: now.
        failed: whether the trial failed.
    """
    from tensorboard.plugins.hparams import api, api_pb2, summary

    purge(folder, -1, (ROW, *("".join(tag.partition("/")[:2]) for tag in metrics)))
    values = {name: v if isinstance(v, bool | int | float | str) else str(v) for name, v in values.items()}
    status = api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS
    with writing(folder, 0):
        api.hparams(values, trial_id="", start_time_secs=began)
        for tag, value in metrics.items():
            steps = enumerate(value, 1) if isinstance(value, list) else [(0, value)]
            for step, number in steps:
                tf.summary.scalar(tag, number, step=step)
        tf.summary.experimental.write_raw_pb(summary.session_end_pb(status).SerializeToString())


def move(folder, into):
    """Move the event files of `folder`, which must not be written to any more, into another folder."""
    close(folder)
    into.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("events.out.tfevents.*")):
        os.replace(path, into / path.name)
    with contextlib.suppress(OSError):  # it is missing, or has other files
        folder.rmdir()


def animated(tag, gif):
    """Write an animated GIF for TensorBoard's Images page, which lets the browser play it, within `writing`.

    Args:
        tag: its name, as for tf.summary.image.
        gif: the bytes of the file.
    """
    from tensorboard.plugins.image import metadata

    size = [str(int.from_bytes(gif[at : at + 2], "little")) for at in (6, 8)]  # width and height in its header
    about = metadata.create_summary_metadata(display_name=None, description=None)
    with tf.summary.experimental.summary_scope(tag) as (full_tag, _):
        tf.summary.write(full_tag, tf.constant([*size, gif]), metadata=about)


def graph(folder, concrete_function):
    """Write the op graph of a tf.function's concrete function for TensorBoard's Graphs page."""
    with writing(folder, 0):
        tf.summary.graph(concrete_function.graph)


def tagged_graph(folder, tag, concrete_function):
    """Write a further op graph into a folder: the Graphs page offers it under its tag, as it does traced graphs.

    It replaces the graphs with tags of the same prefix, up to "/".
    """
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = "graph_run_metadata_graph"
    metadata.plugin_data.content = b"1"  # the format's version
    traced = tf.compat.v1.RunMetadata()
    traced.function_graphs.add().pre_optimization_graph.CopyFrom(concrete_function.graph.as_graph_def(add_shapes=True))
    purge(folder, -1, "".join(tag.partition("/")[:2]))
    with writing(folder, 0):
        tf.summary.write(tag, tf.constant(traced.SerializeToString()), metadata=metadata)


def whole_events(path):
    """Yield (bytes, Event) of each record of an event file, up to the first incomplete one."""
    with contextlib.suppress(tf.errors.DataLossError):  # the last record is incomplete after a kill
        for raw in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            yield raw, tf.compat.v1.Event.FromString(raw)


def _is_of(event, prefix):
    return not prefix or any(value.tag.startswith(prefix) for value in event.summary.value)


def _size(raw):
    """Size in bytes of a record in a file: its length, two checksums, and itself."""
    return 8 + 4 + len(raw) + 4
