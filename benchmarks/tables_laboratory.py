"""Tables of the lecture's figures: one for each experiment of the laboratory.

Nothing here imports TensorFlow.
"""

from rows import Picture, Row, Table

__all__ = ["TABLES", "Picture", "Row", "Table"]

EXPLODE = "apps/explode.py --seed 0 --reading"
# On the line where h stays at 0.5, the gradient is a geometric series of w s'(0.5), which ends the plane at w = 5.944
# with 2.1e7 (slide) and 1.4e6 (paper); beside it, where h(50) is farther from the target, it is larger.
AT_THE_WALL = {"slide": 2e7, "paper": 1e6}


def _explode():
    for reading, bar in AT_THE_WALL.items():
        yield Row(reading, "largest_gradient", "norm", f"{EXPLODE} {reading}", bar=(">=", bar))
        yield Row(reading, "jump_unclipped", "distance in (w, b)", f"{EXPLODE} {reading}")
    for cell in ("tanh", "lstm", "gru"):
        for metric, unit in (("initial_factor", "a step"), ("trained_factor", "a step"), ("mse", "mean squared error")):
            yield Row(cell, f"{cell}_{metric}", unit, f"{EXPLODE} slide")


TABLES = {
    "explode": Table(
        "Gradients that explode and vanish: the largest norm of dE/d(w, b) of h(t) = w s(h(t-1)) + b over 50 steps, "
        "with the slide's error and the paper's; by which factor dh(T)/dh(T-k) changes a step in networks of 32 units, "
        "before and after training on the adding problem of 50 steps",
        tuple(_explode()),
        pictures=(
            Picture(
                "slide", "figures/surface.png", "wall",
                "The error over (w, b), as the slide and as the paper has it; descents without and with clipping",
            ),
            Picture("slide", "figures/surface_3d.png", "space", "The same surfaces in three dimensions"),
            Picture(
                "slide", "figures/through_time.png", "jacobians",
                "Norms of dh(T)/dh(T-k) by k, before and after training, and their bounds",
            ),
        ),
    ),
}  # fmt: skip
