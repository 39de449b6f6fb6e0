"""Pictures of an experiment with the numbers that they show: in the run's folder, and on TensorBoard.

    results.picture(run, "fits", figure, {"x": x, "order1": y1})    # figures/fits.png and figures/fits.npz
    results.picture(run, "errors", figure, rows)                    # figures/errors.png and figures/errors.csv
    results.picture(run, "depth", figure, rows, more={"growth": others})    # and figures/depth_growth.csv
    results.animation(run, "paths", frames, {"path": path})         # figures/paths.gif and figures/paths_frames.npz
    return results.finish(run, __file__, {"sse": 2.2402})

`finish` says where the pictures are, prints the next commands, and ends the run.
"""

import csv
import io

import numpy as np
import tensorflow as tf

from keras_dl import commands, figures, summaries
from keras_dl.atomic import atomic_file, write_atomic
from keras_dl.features import grids

TAGS = "figures/"  # prefix of the tags; what a run wrote under a tag before is replaced


def picture(run, name, figure, numbers, *, more=None, svg=False):
    """Write a matplotlib figure as figures/<name>.png of a run, its numbers beside it, and show it on TensorBoard.

    Args:
        run: the runs.Run.
        name: of letters, digits and "_"; a picture of the same name is replaced.
        figure: a matplotlib Figure, from figures.figure_of.
        numbers: all that the figure shows: {name: array}, for <name>.npz; or a list of rows {column: value}, for
            <name>.csv. The rows have the same columns.
        more: {word: further numbers of either kind}, for <name>_<word>.npz or .csv, if one table cannot hold them.
        svg: write <name>.svg, too.

    Returns:
        The path of the PNG file.
    """
    place = folder(run)
    png = figures.png(figure)
    for stem, each in {name: numbers, **{f"{name}_{word}": each for word, each in (more or {}).items()}}.items():
        _write(place / stem, each)
    if svg:
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
        write_atomic(place / f"{name}.svg", text.getvalue())
    write_atomic(place / f"{name}.png", png)
    _log(run, f"{name}.png", lambda tag: tf.summary.image(tag, tf.io.decode_png(png, channels=3)[None]))
    return place / f"{name}.png"


def animation(run, name, frames, numbers=None):
    """Write matplotlib figures of the same size as figures/<name>.gif of a run, and show it on TensorBoard.

    Args:
        run: the runs.Run.
        name: as in `picture`.
        frames: a sequence of figures. Each is drawn before the next is asked for, so that they may be one figure that
            changes. Of more than grids.MOST_FRAMES some are left out, evenly.
        numbers: all that the frames show, as in `picture`, for <name>_frames.npz or .csv; None: it stands beside the
            picture of this name.

    Returns:
        The path of the GIF file.
    """
    shown = grids.evenly(range(len(frames)))
    pictures = [tf.io.decode_png(figures.png(frames[number]), channels=3).numpy() for number in shown]
    gif = grids.animation(pictures)
    path = folder(run) / f"{name}.gif"
    if numbers is not None:
        _write(folder(run) / f"{name}_frames", numbers)
    write_atomic(path, gif)
    _log(run, path.name, lambda tag: summaries.animated(tag, gif))
    return path


def finish(run, app_file, metrics, *, other=()):
    """Say where the pictures are, print the next commands, and finish the run.

    Args:
        run: the runs.Run.
        app_file: path of the app's file, __file__.
        metrics: {name: float}, the numbers of the experiment.
        other: list of lists of flags with which the experiment is worth another look.

    Returns:
        `metrics`.
    """
    run.say(f"pictures and their numbers: {folder(run)}")
    commands.following(run, app_file, data=other)
    run.finish(metrics)
    return metrics


def folder(run):
    """The folder of a run's pictures and numbers, which is created."""
    place = run.path / "figures"
    place.mkdir(parents=True, exist_ok=True)
    return place


def _log(run, file, write):
    """Call write(tag) so that it writes to TensorBoard, under the file's name, instead of what was there."""
    place, tag = run.tensorboard / "validation", TAGS + file
    summaries.purge(place, -1, tag)
    with summaries.writing(place, 0):
        write(tag)


def _write(path, numbers):
    """Write arrays as <path>.npz, rows as <path>.csv."""
    if isinstance(numbers, dict):
        with atomic_file(path.with_name(f"{path.name}.npz")) as file:
            np.savez_compressed(file, **numbers)
    else:
        write_atomic(path.with_name(f"{path.name}.csv"), _csv(numbers))


def _csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
