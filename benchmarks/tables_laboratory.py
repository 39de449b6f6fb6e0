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


def _priors():
    """ConvNet and MLP by the number of training pictures of MNIST."""
    for size in (100, 1000, 10_000, 60_000):
        for network in ("mlp", "convnet"):  # the gain of a ConvNet is counted from the MLP's newest figure
            command = f"benchmarks/priors.py {network} {size}"
            for metric in ("test_error_shifted", "test_error"):
                yield Row(f"{network}_{size}", metric, "percent", command)
            if network == "convnet":
                gain, over = "below_mlp_shifted", f"mlp_{size}"
                yield Row(f"{network}_{size}", gain, "percentage points", command, bar=(">=", 0.1), gain_over=over)


PRIORS = "apps/compare_priors.py --seed 0 --figure"


def _priors_digits():
    """What the app says of the digits that come with the package."""
    yield Row("unrolled", "difference", "of the largest output", f"{PRIORS} unrolled", bar=("<=", 1e-6))
    yield Row("unrolled", "parameters", "ConvNet", f"{PRIORS} unrolled")
    yield Row("unrolled", "weights", "MLP", f"{PRIORS} unrolled")
    yield Row("lenet", "lenet_difference", "of the largest output", f"{PRIORS} unrolled", bar=("<=", 1e-6))
    yield Row("filters", "unseen_change", "largest", f"{PRIORS} filters", bar=("<=", 0.0))
    yield Row("activations", "linear_difference", "of the largest output", f"{PRIORS} activations", bar=("<=", 1e-6))
    for of in ("without_0.2", "with_0.2"):
        yield Row("batch_norm", f"{of}_updates", "to 90%", f"{PRIORS} batch_norm")
    for network in ("rnn", "convnet", "mlp"):
        for of in ("", "permuted_"):
            yield Row("orders", f"{network}_{of}test_error", "percent", f"{PRIORS} orders")


def _landscape():
    """With shortcuts and without: how steep it is at the end of training and around it."""
    for name in ("resnet20", "plain20", "resnet56", "plain56"):
        for metric, unit in (
            ("sharpness", "largest eigenvalue"),
            ("loss_at_half", "nats"),
            ("train_loss", "nats"),
            ("plane_seconds", "seconds"),
        ):
            bar = ("<=", 600) if (name, metric) == ("resnet20", "plane_seconds") else None
            yield Row(name, metric, unit, f"benchmarks/landscape.py {name}", bar=bar)


SADDLE = "benchmarks/saddle_points.py"
DAUPHIN = "Dauphin et al. 2014, figures 1 and 3: no number is given"


def _saddle():
    """The bar: in training error at equal updates, saddle-free Newton below SGD below damped Newton."""
    below = {  # the first metric of each row is its training error
        "sgd": "below_damped_newton", "sgd_by_passes": "below_damped_newton", "saddle_free_newton": "below_sgd",
    }  # fmt: skip
    for name in ("sgd", "sgd_by_passes", "damped_newton", "saddle_free_newton"):
        yield Row(name, "train_error", "percent", SADDLE, source=DAUPHIN)
        yield Row(name, "index", "percent", SADDLE, source=DAUPHIN)
        if name in below:
            bar = None if name == "sgd_by_passes" else (">=", 0)
            yield Row(name, below[name], "percentage points", SADDLE, source=DAUPHIN, bar=bar)
    yield Row("critical_points", "points", "points", SADDLE)
    for group in ("all", "searched"):
        yield Row("critical_points", f"rank_correlation_{group}", "Spearman", SADDLE, source=DAUPHIN)


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
    "saddle": Table(
        "Training error and share of negative eigenvalues of the Hessian after 20 updates of a network of three tanh "
        "units on 300 digits of 10 x 10 pixels, mean and range of five seeds; sgd_by_passes: as many passes over the "
        "digits as the second-order methods have; critical points: rank correlation of training error and index",
        tuple(_saddle()),
        pictures=(
            Picture(
                "saddle_free_newton", "training.png", "training",
                "Training error and share of negative eigenvalues of the Hessian, update by update",
            ),
            Picture(
                "critical_points", "critical_points.png", "points",
                "Critical points of the network: training error by index, and three spectra of the Hessian",
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
    "priors": Table(
        "What a ConvNet's prior is worth: MNIST test error of a ConvNet and of the MLP with as many units, on the test "
        "pictures and on the same ones moved by up to 4 pixels, by the number of training pictures, mean and range of "
        "three seeds",
        tuple(_priors()),
    ),
    "priors_digits": Table(
        "Digits: the ConvNet and the MLP with its unrolled matrices (largest difference of outputs); weights of pixels "
        "that are always background; a deep linear network against one matrix; updates to 90% with and without batch "
        "normalisation; test error with pixels in order and permuted (mean of two seeds)",
        tuple(_priors_digits()),
        pictures=(
            Picture("unrolled", "figures/matrix.png", "matrix", "One filter as a matrix, and rows of it as pictures"),
            Picture(
                "filters", "figures/filters.png", "weights",
                "Weights of units of the first layer on one colour scale: unrolled, learned, and as drawn",
            ),
            Picture(
                "activations", "figures/activations.png", "curves",
                "Training loss and test error by the non-linearity; dashed: none",
            ),
            Picture(
                "batch_norm", "figures/batch_norm.png", "steps",
                "Validation accuracy by updates of three sigmoid layers, with and without batch normalisation",
            ),
            Picture(
                "orders", "figures/orders.png", "permuted",
                "RNN, ConvNet and MLP on moved digits, and on the same with their pixels in another order",
            ),
        ),
    ),
    "landscape": Table(
        "The loss around the end of training, of residual networks of a quarter of the width on CIFAR-10 and of the "
        "same networks without shortcuts: the largest eigenvalue of the Hessian on 1,000 training images, mean and "
        "range of three sets; the loss at distance 0.5 along filter-normalised directions, mean of 10 and its interval "
        "of 95%; the time of a plane of 25 x 25 points",
        tuple(_landscape()),
    ),
}  # fmt: skip
