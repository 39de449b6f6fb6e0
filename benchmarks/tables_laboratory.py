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
}  # fmt: skip
