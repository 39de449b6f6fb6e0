"""Training error and index of three methods at equal steps, and how error and index of critical points go together.

    python benchmarks/saddle_points.py --json FILE

The numbers are those of apps/descend.py --part saddle, by rows: one for each method, and one for the critical points.
Its pictures are copied beside FILE.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from keras_dl import command_line

ROOT = Path(__file__).resolve().parent.parent
METHODS = ("sgd", "damped_newton", "saddle_free_newton")
COMMAND = ["apps/descend.py", "--part", "saddle", "--seed", "0"]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--json", type=Path, help="write the result there, and pictures beside it")
    parser.add_argument("--smoke", action="store_true", help="a few examples and steps: does everything run?")
    asked = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="keras_dl-saddle-") as folder:
        words = [sys.executable, *COMMAND, *(["--smoke"] if asked.smoke else []), "--out", folder]
        subprocess.run(words, check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        (run,) = Path(folder).glob("runs/descend/*")
        result = {"rows": rows(json.loads((run / "finished.json").read_text())["metrics"])}
        if asked.json:
            for picture in ("training", "critical_points"):
                shutil.copy(run / "figures" / f"{picture}.png", asked.json.with_name(f"{picture}.png"))
    for name, row in result["rows"].items():
        print(f"{name}: {row['metrics']}")
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=2))


def rows(metrics):
    """{row: {"metrics"}} of the app's numbers."""
    by_row = {
        name: {"metrics": {metric: metrics[f"{metric}_{name}"] for metric in ("train_error", "index")}}
        for name in METHODS
    }
    points = {"points": metrics["critical_points"]}
    if "rank_correlation" in metrics:
        interval = [metrics["rank_correlation_low"], metrics["rank_correlation_high"]]
        points["rank_correlation"] = {"value": metrics["rank_correlation"], "spread": interval}
    return by_row | {"critical_points": {"metrics": points}}


if __name__ == "__main__":
    command_line.run(main)
