"""Commands as one would type them here: this process's own, and the next ones that an app prints, ready to paste."""

import shlex
import sys
from pathlib import Path


def following(run, app, *, predict=(), searched=None, data=()):
    """Say what can be done next with a run: look at it, ask its export, train the winner again, take other data.

    Nothing is said where its folder goes with the process.

    Args:
        run: the runs.Run.
        app: path of the app's file.
        predict: lists of what follows `predict`: words, and pathlib.Paths, which are said as seen from here.
        searched: the flags that build the winner of a search again, a list of words; None where there was no search.
        data: lists of flags that name other data.
    """
    if run.throwaway:
        return
    app = Path(app).resolve()
    commands = [["-m", "tensorboard.main", "--logdir", run.tensorboard]]
    commands += [["-m", "keras_dl", "predict", *words] for words in predict]
    commands += [] if searched is None else [[app, *searched]]
    commands += [[app, *flags] for flags in data]
    lines = [
        " ".join([python(), *(typed(w) if isinstance(w, Path) else shlex.quote(str(w)) for w in words)])
        for words in commands
    ]
    run.say("\nNext:\n" + "\n".join(f"  {line}" for line in lines))


def other_data(used, *names):
    """The flags that name other data than `used`: [["--dataset", name], ...].

    Args:
        used: a data set's name, or a path of the user's own.
        names: data sets, and stand-ins for a path of one's own ("path/to/...").
    """
    own = Path(used).exists()
    return [["--dataset", name] for name in names if name != used and not (own and name.startswith("path/"))]


def command_line():
    return shlex.join([python(), *sys.argv])


def python():
    """The running interpreter as one would type it here: .venv/bin/python from the project's root."""
    return typed(Path(sys.executable))


def typed(path):
    """A path as one would type it from here, quoted where it must be."""
    path = Path(path)
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))
