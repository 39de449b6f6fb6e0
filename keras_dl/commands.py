"""Command lines, ready to paste: that of this process, and the next commands that an app prints."""

import shlex
import sys
from pathlib import Path


def following(run, app, *, predict=(), searched=None, data=()):
    """Print the next commands for a run: TensorBoard, predict, train the winner of a search again, use other data.

    Prints nothing if the run's folder is deleted at the end of the process.

    Args:
        run: the runs.Run.
        app: path of the app's file.
        predict: list of the arguments of `predict`, each a list of words and of pathlib.Paths, which are printed
            relative to the working folder.
        searched: the flags that build the winner of a search again, a list of words; None if there was no search.
        data: list of lists of flags that select other data.

    Returns:
        The commands, a list of lines.
    """
    app = Path(app).resolve()
    commands = [["-m", "tensorboard.main", "--logdir", run.tensorboard]]
    commands += [["-m", "keras_dl", "predict", *words] for words in predict]
    commands += [] if searched is None else [[app, *searched]]
    commands += [[app, *flags] for flags in data]
    lines = [
        " ".join([python(), *(typed(w) if isinstance(w, Path) else shlex.quote(str(w)) for w in words)])
        for words in commands
    ]
    if not run.throwaway:
        run.say("\nNext:\n" + "\n".join(f"  {line}" for line in lines))
    return lines


def other_data(used, *names):
    """The flags that select other data than `used`: [["--dataset", name], ...].

    Args:
        used: the name of a data set, or the path of the user's own data.
        names: names of data sets, and placeholders for the user's own data ("path/to/..."), which are left out if
            `used` is a path.
    """
    own = Path(used).exists()
    return [["--dataset", name] for name in names if name != used and not (own and name.startswith("path/"))]


def command_line():
    return shlex.join([python(), *sys.argv])


def python():
    """The running interpreter, as typed in the working folder: .venv/bin/python in the project's root."""
    return typed(Path(sys.executable))


def typed(path):
    """A path as typed in the working folder: relative if it is inside, quoted if necessary."""
    path = Path(path)
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))
