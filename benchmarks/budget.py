"""How many epochs of a row's recipe fit into a time budget on this machine.

    python benchmarks/budget.py binarized_mnist gated_pixelcnn
    python benchmarks/budget.py gan dcgan --minutes 30

The row's command is run until it has trained `--measured` epochs, then stopped. The first epoch also pays for what is
done once (loading, tracing, the first steps' timing); the others say what an epoch costs with its validation, pictures
and checkpoint. The number of epochs that fit goes into the recipe in the tables: a schedule needs to know its length,
and a resumed run must be the same run, so that no training ends by the clock. Measure on a machine that does nothing
else; the row's own training_minutes, which have a bar, show whether the plan held.
"""

import argparse
import json
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tables import TABLES
from tables_images import GENERATORS, LONG, MINUTES

from keras_dl import command_line, settings
from keras_dl.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
SHARE = 0.97  # of the budget that is planned for: epochs vary in length


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("table", choices=list(TABLES), metavar="TABLE")
    parser.add_argument("row", metavar="ROW")
    parser.add_argument("--minutes", type=float, help="the budget of training.fit; the table's if left out")
    parser.add_argument("--measured", type=int, default=3, help="epochs that are trained, at least 2")
    parser.add_argument("--more", default="", help="flags that are added to the row's command")
    asked = parser.parse_args(argv)
    settings.check(asked.measured >= 2, f"--measured: must be at least 2; got {asked.measured}.")
    command = app_of(asked.table, asked.row)
    settings.check(command is not None, f"budget: {asked.table} {asked.row} is no row for which an app trains.")
    minutes = asked.minutes or MINUTES.get(asked.table, 60)
    ends = epoch_ends([*shlex.split(command), *shlex.split(asked.more)], asked.measured)
    once, epoch, count = plan(ends, 60 * minutes)
    print(
        f"{asked.table} {asked.row}: {once:.0f} s once, {epoch:.1f} s an epoch; {count} epochs fit into "
        f"{minutes:g} minutes. The command: python {command}"
    )


def app_of(table, row):
    """The app's command of a row, its own or the one that its script runs; None if there is none."""
    commands = [each.command for each in TABLES[table].rows if each.name == row]
    if commands and commands[0].startswith("apps/"):
        return commands[0]
    return {"gan": GENERATORS, "binarized_mnist": LONG}.get(table, {}).get(row)


def plan(ends, seconds):
    """(seconds that are spent once, seconds of an epoch, epochs that fit) of the ends of the first epochs."""
    epoch = (ends[-1] - ends[0]) / (len(ends) - 1)
    once = max(0.0, ends[0] - epoch)
    return once, epoch, max(0, int((SHARE * seconds - once) // epoch))


def epoch_ends(words, count):
    """Seconds in training.fit at the end of each of the first `count` epochs of an app's run, which is then stopped."""
    with tempfile.TemporaryDirectory(prefix="keras_dl-budget-") as folder:
        child = subprocess.Popen([sys.executable, *words, "--out", folder], cwd=ROOT)
        try:
            return _watched(child, Path(folder), count)
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
            child.wait()


def _watched(child, folder, count):
    ends = [0.0]
    while len(ends) <= count:
        ended = child.poll() is not None
        history = next(folder.glob("runs/*/*/history.csv"), None)
        epochs = max(0, len(history.read_text().splitlines()) - 1) if history else 0
        if epochs >= len(ends):  # the note of the time follows the history within a checkpoint's writing
            noted = json.loads((history.parent / "config.json").read_text()).get("training_seconds", 0.0)
            if noted > ends[-1]:
                ends.append(noted)
                continue
        if ended:
            raise UserError(f"budget: the command ended with {child.returncode} after {epochs} epochs.")
        time.sleep(0.2)
    return ends[1:]


if __name__ == "__main__":
    command_line.run(main)
