"""Tables of the lecture's figures: one for each experiment of the laboratory.

Nothing here imports TensorFlow.
"""

from rows import Picture, Row, Table

__all__ = ["TABLES", "Row", "Table"]


def _saddle():
    command, source = "benchmarks/saddle_points.py", "Dauphin et al. 2014, figures 1 and 3: no number is given"
    for name in ("sgd", "damped_newton", "saddle_free_newton"):
        least = ("<=", 10) if name == "saddle_free_newton" else None
        yield Row(name, "train_error", "percent", command, source=source, bar=least)
        yield Row(name, "index", "percent", command, source=source)
    yield Row("critical_points", "rank_correlation", "Spearman", command, source=source, bar=(">=", 0.5))
    yield Row("critical_points", "points", "points", command)


TABLES = {
    "saddle": Table(
        "Training error and share of negative eigenvalues of the Hessian after 20 updates, 10 x 10 digits",
        tuple(_saddle()),
        pictures=(
            Picture(
                "saddle_free_newton", "training.png", "training",
                "Training error and share of negative eigenvalues of the Hessian, update by update",
            ),
            Picture(
                "critical_points", "critical_points.png", "points",
                "Critical points of a small network: the higher the training error, the larger the index",
            ),
        ),
    ),
}  # fmt: skip
