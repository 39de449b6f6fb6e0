"""Tables of the lecture's figures: one for each experiment of the laboratory.

Nothing here imports TensorFlow.
"""

from rows import Picture, Row, Table

__all__ = ["TABLES", "Row", "Table"]

COUNT = "apps/count_regions.py --seed 0"


def _regions():
    """Counts of regions: of the constructions, whose number is known, and of networks by depth."""
    shallow, folding = f"{COUNT} --figure shallow", f"{COUNT} --figure folding"
    # No arrangement of 12 lines has more than 79 regions: at least 79 is exactly 79.
    yield Row("shallow_12", "regions", "regions", shallow, 79, "Pascanu et al. 2013, proposition 2", bar=(">=", 79))
    yield Row("shallow_12", "equal_to_oracle", "1: yes", shallow, bar=(">=", 1))
    yield Row("folding_3x4", "regions", "regions", folding, 176, "Montúfar et al. 2014, theorem 4", bar=(">=", 176))
    yield Row("folding_3x4", "equal_to_oracle", "1: yes", folding, bar=(">=", 1))
    for metric in ("initial", "trained"):
        yield Row("training_3x24", metric, "regions", f"{COUNT} --figure training")
    for depth in (1, 2, 3, 4):
        for metric, unit in (
            ("initial", "regions"),
            ("trained", "regions"),
            ("line_initial", "pieces"),
            ("line_trained", "pieces"),
        ):
            yield Row(f"depth_{depth}", metric, unit, "benchmarks/region_depths.py")
    yield Row("approximation", "sawtooth_trained", "mean distance", f"{COUNT} --figure approximation")


TABLES = {
    "regions": Table(
        "Linear regions of networks of rectifiers, counted exactly: 12 units in one layer, and in three that fold; "
        "three layers of 24 that learn two spirals; 48 units in 1 to 4 layers, in the square and along its diagonal, "
        "mean and range of five seeds",
        tuple(_regions()),
        packages=("scipy",),
        pictures=(
            Picture("shallow_12", "figures/shallow.png", "lines", "12 units of one layer: 79 regions"),
            Picture("folding_3x4", "figures/folding.png", "folds", "12 units in three layers that fold: 176 regions"),
            Picture(
                "training_3x24", "figures/training.png", "learning",
                "Regions before training, early, and at the end; the black line is the decision boundary",
            ),
            Picture(
                "depth_1", "depths.png", "depths",
                "48 units in 1 to 4 layers: regions in the square, pieces on its diagonal, before training and after",
            ),
            Picture(
                "approximation", "figures/approximation.png", "errors",
                "x² and a sawtooth by one wide layer and by many narrow ones, with explicit and with trained weights",
            ),
        ),
    ),
}  # fmt: skip
