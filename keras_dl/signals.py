"""SIGINT and SIGTERM end a run at a point from which it can be resumed, not in the middle of a step."""

import contextlib
import shlex
import signal


class Signals:
    """A context in which SIGINT and SIGTERM are only noted (`came`); after saving, the caller calls `leave`.

    Args:
        run: the Run.
        saved: whether the caller saves the run, so that it can be resumed.
    """

    def __init__(self, run, saved):
        self.run, self.saved, self.came, self.before = run, saved, None, {}

    def __enter__(self):
        with contextlib.suppress(ValueError):  # only the main thread may
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def leave(self):
        """If a signal came, print whether the run can be resumed, and raise SystemExit(128 + signal)."""
        if self.came:
            out = "" if str(self.run.root) == "." else f" --out {shlex.quote(str(self.run.root))}"
            kept = self.saved and not self.run.throwaway
            said = f"saved; --resume {self.run.to_resume}{out} goes on from here" if kept else "stopped"
            self.run.say(f"\n{signal.Signals(self.came).name}: {said}")
            raise SystemExit(128 + self.came)

    def _note(self, number, _):
        self.came = number
