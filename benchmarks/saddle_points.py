"""Training error and index of four methods at equal updates, and how error and index of critical points go together.

    python benchmarks/saddle_points.py --json FILE

The numbers are those of apps/descend.py --part saddle. Those of the methods are the mean of five seeds, each with other
digits and initial weights, with the smallest and the largest; below_sgd and below_damped_newton are differences of the
training errors, seed by seed. The rank correlations are those of seed 0, with their bootstrap intervals: of all
critical points, and of those whose hidden units are all in use. The pictures of seed 0 are copied beside FILE.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rows import mean_and_range

from keras_dl import command_line

ROOT = Path(__file__).resolve().parent.parent
METHODS = ("sgd", "sgd_by_passes", "damped_newton", "saddle_free_newton")
SEEDS = range(5)
COMMAND = ["apps/descend.py", "--part", "saddle"]
TRAINING_ONLY = ["--searches", "1", "--smaller-searches", "0"]
PICTURES = ("training", "critical_points")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--json", type=Path, help="write the result there, and pictures beside it")
    parser.add_argument("--smoke", action="store_true", help="one seed, a few examples and steps: does everything run?")
    asked = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="keras_dl-saddle-") as folder:
        runs = [measured(seed, Path(folder) / str(seed), asked.smoke) for seed in (SEEDS[:1] if asked.smoke else SEEDS)]
        if asked.json:
            for picture in PICTURES:
                shutil.copy(runs[0][1] / "figures" / f"{picture}.png", asked.json.with_name(f"{picture}.png"))
    result = {"rows": rows([metrics for metrics, _ in runs])}
    for name, row in result["rows"].items():
        figures = ", ".join(f"{metric} {figure['value']:.3g}" for metric, figure in row["metrics"].items())
        print(f"{name}: {figures}")
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1))


def measured(seed, out, smoke=False):
    """(metrics, folder of the run) of the app with a seed; only the first seed searches for critical points."""
    words = [*COMMAND, "--seed", str(seed), "--out", str(out)]
    words += ["--smoke"] if smoke else TRAINING_ONLY if seed != SEEDS[0] else []
    subprocess.run([sys.executable, *words], check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    (run,) = (out / "runs" / "descend").iterdir()
    return json.loads((run / "finished.json").read_text())["metrics"], run


def rows(runs):
    """{row: {"metrics": {name: {"value", "spread"}}}} of the app's numbers, a dict for each seed."""
    errors = {name: [metrics[f"train_error_{name}"] for metrics in runs] for name in METHODS}
    result = {
        name: {
            "train_error": mean_and_range(errors[name]),
            "index": mean_and_range([metrics[f"index_{name}"] for metrics in runs]),
        }
        for name in METHODS
    }
    for name, metric, other in (
        ("saddle_free_newton", "below_sgd", "sgd"), ("sgd", "below_damped_newton", "damped_newton"),
        ("sgd_by_passes", "below_damped_newton", "damped_newton"),
    ):  # fmt: skip
        pairs = zip(errors[other], errors[name], strict=True)
        result[name][metric] = mean_and_range([theirs - ours for theirs, ours in pairs])
    result["critical_points"] = {"points": {"value": runs[0]["critical_points"], "spread": None}}
    for group in ("all", "searched"):
        name = f"rank_correlation_{group}"
        if name in runs[0]:
            spread = [runs[0][f"{name}_low"], runs[0][f"{name}_high"]]
            result["critical_points"][name] = {"value": runs[0][name], "spread": spread}
    details = {"seeds": len(runs)}
    return {name: {"metrics": metrics, "details": details} for name, metrics in result.items()}


if __name__ == "__main__":
    command_line.run(main)
