"""Linear regions by depth at equal units: networks of 48 rectifiers in 1, 2, 3 or 4 layers, before training and after.

    python benchmarks/region_depths.py --json FILE

Each depth is trained on two spirals from five seeds, as in apps/count_regions.py --figure depth, which draws it. The
regions are those in the square from -1 to 1, the pieces those along its diagonal; figures are the mean of the seeds
with the smallest and the largest. Beside FILE stands depths.png, which also shows pieces before training by the number
of units.
"""

import argparse
import json
from pathlib import Path

from rows import mean_and_range

from keras_dl import command_line, figures, imports

UNITS, DEPTHS, SEEDS = 48, (1, 2, 3, 4), range(5)
PLAN = {"bias_std": 0.3, "learning_rate": 0.004, "steps": 1000}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--json", type=Path, help="write the result there")
    parser.add_argument("--smoke", action="store_true", help="two depths, one seed, 20 steps: does everything run?")
    asked = parser.parse_args(argv)
    result, figure = measure(asked.smoke)
    for name, row in result["rows"].items():
        print(name, ", ".join(f"{metric} {figure['value']:.4g}" for metric, figure in row["metrics"].items()))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1))
        asked.json.with_name("depths.png").write_bytes(figures.png(figure))


def measure(smoke=False):
    """({"rows": {"depth_1": {"metrics": {name: {"value", "spread"}}, "details"}, ...}}, the figure)."""
    with imports.quiet_tensorflow():
        from keras_dl.laboratory import region_figures, region_training
    plan = PLAN | ({"steps": 20} if smoke else {})
    depths, seeds = (DEPTHS[:2], SEEDS[:1]) if smoke else (DEPTHS, SEEDS)
    rows = region_training.by_depth(None, UNITS, depths, seeds=seeds, **plan)
    result = {}
    for depth in depths:
        own = [row for row in rows if row["depth"] == depth]
        metrics = {name: mean_and_range([row[name] for row in own]) for name in region_training.COUNTED}
        result[f"depth_{depth}"] = {"metrics": metrics, "details": {**plan, "width": own[0]["width"]}}
    growth = region_training.sizes(bias_std=plan["bias_std"], seeds=seeds)
    return {"rows": result}, region_figures.of_depths(rows, growth)


if __name__ == "__main__":
    command_line.run(main)
