"""The next commands that an app prints when it has ended, ready to paste."""

import shlex
from pathlib import Path

from keras_dl import runtime


def following(run, *commands):
    """Say what can be done next with a run; nothing where its folder goes with the process.

    Args:
        run: the runtime.Run.
        commands: each a list of what follows the interpreter: words, and pathlib.Paths, which are said as seen from
            here. None is left out.
    """
    if run.throwaway:
        return
    lines = [
        " ".join([runtime.python(), *(runtime.typed(w) if isinstance(w, Path) else shlex.quote(str(w)) for w in words)])
        for words in commands
        if words is not None
    ]
    run.say("\nNext:\n" + "\n".join(f"  {line}" for line in lines))


def other_data(used, *names):
    """Those of `names`, data sets and stand-ins for a path of one's own ("path/to/..."), that are not like `used`."""
    own = Path(used).exists()
    return [name for name in names if name != used and not (own and name.startswith("path/"))]
