"""Tables of the lecture's figures: one for each experiment of the laboratory.

Nothing here imports TensorFlow.
"""

from rows import Picture, Row, Table

SLIDE = 'the slide "Picking the right hypothesis class", truncated'
PUBLISHED = {  # (order, coefficient): (the slide's figure, where it stands)
    (1, "slope"): (1.60, SLIDE), (1, "intercept"): (1.05, SLIDE),
    (2, "slope"): (1.74, f"{SLIDE}, fitted to other squares of x"),
    (2, "intercept"): (0.73, f"{SLIDE}, fitted to other squares of x"),
}  # fmt: skip
BARS = {  # (order, metric): bar
    (1, "sse"): ("=", 2.2402, 1e-4), (1, "slope"): ("=", 1.6102, 1e-4), (1, "intercept"): ("=", 1.0588, 1e-4),
    (2, "sse"): ("=", 1.5621, 1e-4), (9, "sse"): ("<=", 1e-12), (9, "map_difference"): ("<=", 1e-6),
}  # fmt: skip


def _curve():
    for order in (1, 2, 9):
        metrics = {"sse": "squared", "slope": "y / x", "intercept": "y"}
        metrics |= {"map_difference": "weights"} if order == 9 else {}
        for metric, unit in metrics.items():
            command = f"apps/fit_curve.py --order {order} --seed 0"
            published = PUBLISHED.get((order, metric), (None, ""))
            yield Row(f"order{order}", metric, unit, command, *published, bar=BARS.get((order, metric)))


COUNT = "apps/count_regions.py --seed 0"


def _regions():
    """Counts of regions: of the constructions, whose number is known, and of networks by depth."""
    shallow, folding = f"{COUNT} --figure shallow", f"{COUNT} --figure folding"
    yield Row("shallow_12", "regions", "regions", shallow, 79, "Pascanu et al. 2013, proposition 2", bar=("=", 79, 0))
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
    "curve": Table(
        "Polynomials fitted to the lecture's ten points: sum of squares (SSE), and the coefficients of x and 1; "
        "map_difference: the largest difference of a weight between MAP in closed form, by gradient ascent, and by "
        "Keras with l2(gamma / N), orders 1, 2 and 9",
        tuple(_curve()),
        pictures=(
            Picture("order9", "figures/fits.png", "fits", "Orders 1, 2 and 9, by least squares and gradient descent"),
            Picture(
                "order9", "figures/errors.png", "errors",
                "Training and validation error by order: of the ten points, and expected over resampled data",
            ),
            Picture(
                "order9", "figures/prior.png", "prior",
                "The gradients of log likelihood and log prior add up, over the two weights of the line",
            ),
            Picture(
                "order9", "figures/weight_decay.png", "weight_decay",
                "Adam with l2 in the loss, and AdamW with the same decay, over the two weights of the line",
            ),
            Picture("order9", "figures/bands.png", "bands", "Posterior bands of Bayesian linear regression"),
        ),
    ),
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
