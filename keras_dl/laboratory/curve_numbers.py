"""What the pictures of curve fitting show, as arrays: fits, descent in three bases, errors by order, likelihood.

Each function returns {name: array}, which the app saves beside the picture that curve_figures.py draws from it. Values
of x and y are those of the fit (points.Points), errors are squared y of the fit; "sse" and "coefficients" are in the
units of the file.
"""

import numpy as np

from keras_dl.laboratory import bayes, linear_training, polynomials, resampling

BASES = ("powers of x", "Legendre", "orthonormal at the points")
RECORDS = 20  # how often the weights are noted in a training
OF_FITS = ("orders", "coefficients", "sse", "difference")  # what `fits` says of each order
DRAWN = 30  # fits to resampled data that are kept
MOST_FOLDS = 10  # of the cross-validation: leave-one-out for up to ten points
HIGHEST = 9  # order of which errors are given


def fits(data, orders, steps, run=None):
    """Polynomials by least squares, and by gradient descent with Keras in a basis that is orthonormal at the points.

    Args:
        data: points.Points.
        orders: list of K orders.
        steps: of gradient descent, a multiple of RECORDS.
        run: the runs.Run in which each training is kept; None: none is.

    Returns:
        "orders" (K,); "x" (M,) with the curves "exact" and "descent" (K, M); of least squares "sse" (K,) and
        "coefficients" (K, P), rising powers, those that an order lacks nan; "difference" (K,), how far gradient descent
        is from least squares at most at the points.
    """
    x, exact, descent, sse, difference = along(data), [], [], [], []
    coefficients = np.full((len(orders), max(orders) + 1), np.nan)
    for row, order in enumerate(orders):
        design, new = polynomials.monomials(data.x, order), polynomials.monomials(x, order)
        weights = polynomials.least_squares(design, data.y)
        basis, change = polynomials.orthonormal(design)
        trained = linear_training.kept(
            run, f"fits_order{order}", linear_training.descend, basis, data.y, polynomials.rate(basis), steps
        )[-1]
        coefficients[row, : order + 1] = data.coefficients(weights)
        exact.append(new @ weights)
        descent.append(new @ np.linalg.solve(change, trained))
        sse.append(polynomials.squared_error(design, weights, data.y) * data.y_units[1] ** 2)
        difference.append(np.abs(basis @ trained - design @ weights).max())
    named = {"exact": exact, "descent": descent, "sse": sse, "difference": difference, "orders": orders}
    return {name: np.array(values) for name, values in named.items()} | {"x": x, "coefficients": coefficients}


def descent(data, order, steps, run=None):
    """Gradient descent on the mean squared error in the three BASES, each at the learning rate of polynomials.rate.

    The trainings are kept in `run`, if there is one.

    Returns:
        "order"; "bases" (3,) and their "conditions" (3,); "steps" (T,) with "excess" (3, T), how far the error is above
        its minimum in closed form, and "keras_steps" with "keras_excess", the same of a training by Keras.
    """
    design = polynomials.monomials(data.x, order)
    legendre = polynomials.legendre(data.x, order, (data.x.min(), data.x.max()))
    bases = (design, legendre, polynomials.orthonormal(design)[0])
    least = polynomials.squared_error(bases[2], polynomials.least_squares(bases[2], data.y), data.y)
    at = np.unique(np.geomspace(1, steps + 1, 200).astype(int)) - 1
    numbers = {"order": order, "bases": BASES, "steps": at, "keras_steps": steps // RECORDS * np.arange(RECORDS + 1)}
    numbers |= {
        "conditions": [polynomials.condition_number(basis) for basis in bases],
        "excess": [],
        "keras_excess": [],
    }
    for number, basis in enumerate(bases):
        rate = polynomials.rate(basis)
        seen = linear_training.kept(
            run, f"descent_basis{number}", linear_training.descend, basis, data.y, rate, steps, RECORDS
        )
        for name, path in (("excess", polynomials.descended(basis, data.y, rate, at)), ("keras_excess", seen)):
            errors = np.array([polynomials.squared_error(basis, weights, data.y) for weights in path])
            numbers[name].append((errors - least) / len(data))
    return {name: np.array(values) for name, values in numbers.items()}


def errors(data, true_order, sigma, samples, seed):
    """Mean squared errors by order: of the data, and expected over data sets drawn from one curve.

    Args:
        data: points.Points.
        true_order: of the curve, a fit to the data.
        sigma: standard deviation of the noise that is drawn.
        samples: number of data sets that are drawn for the "simulated" figures.
        seed: of the folds and the noise.

    Returns:
        (list of rows with "order", "train" and "validation" of the data, None where the order is too high for a part
        that is left out; of resampled data "resampled_train", "squared_bias", "variance", "noise" and their sum
        "resampled_validation", and the simulated "simulated_squared_bias" and "simulated_variance";
        number of the folds).
    """
    folds = polynomials.folds(len(data), min(len(data), MOST_FOLDS), seed)
    new = along(data)
    truth, truth_at_new = _true_curve(data, true_order, data.x), _true_curve(data, true_order, new)
    drawn = resampling.draw(truth, sigma, samples, seed)
    rows = []
    for order in range(min(HIGHEST + 1, data.distinct)):
        train, validation = polynomials.cross_validation(data.x, data.y, order, folds)
        expected = resampling.expected(data.x, truth, order, new, truth_at_new, sigma)
        simulated = resampling.simulated(data.x, drawn, order, new, truth_at_new, sigma)
        rows.append(
            {
                "order": order, "train": train, "validation": validation,
                "resampled_train": expected.train, "squared_bias": expected.squared_bias,
                "variance": expected.variance, "noise": expected.noise, "resampled_validation": expected.validation,
                "simulated_squared_bias": simulated.squared_bias, "simulated_variance": simulated.variance,
            }
        )  # fmt: skip
    return rows, len(folds)


def resampled(data, orders, true_order, sigma, samples, seed):
    """Fits to data sets drawn from one curve; arguments as of `errors`.

    Returns:
        "orders" (K,); "x" (M,) with "truth" (M,), the first DRAWN "fits" (K, DRAWN, M) and the "means" (K, M) of all.
    """
    x = along(data)
    drawn = resampling.draw(_true_curve(data, true_order, data.x), sigma, samples, seed)
    curves = [resampling.fits(data.x, drawn, order, x) for order in orders]
    return {
        "orders": np.array(orders), "x": x, "truth": _true_curve(data, true_order, x),
        "fits": np.array([curve[:DRAWN] for curve in curves]), "means": np.array([curve.mean(0) for curve in curves]),
    }  # fmt: skip


def likelihood(data):
    """Sum of squares and log likelihood of lines: along the slope for three sigma, and along sigma for the best line.

    Returns:
        "slopes" (M,) with the intercept of least squares, their "squared_errors" (M,) and "logs" (3, M), nats, for the
        "three_sigmas"; "best_slope" of least squares; "sigmas" (K,) with "logs_of_sigma" (K,); "best_sigma",
        sqrt(SSE / N).
    """
    design = polynomials.monomials(data.x, 1)
    best = polynomials.least_squares(design, data.y)
    best_sigma = max(np.sqrt(polynomials.squared_error(design, best, data.y) / len(data)), 1e-9)
    slopes = best[1] + np.linspace(-1, 1, 401) * max(1.0, abs(best[1]))
    residuals = np.stack([np.full(len(slopes), best[0]), slopes], axis=1) @ design.T - data.y
    sigmas, three = best_sigma * np.geomspace(0.5, 3, 401), best_sigma * np.array([0.5, 1, 2])
    return {
        "slopes": slopes, "squared_errors": np.sum(residuals**2, axis=1), "best_slope": best[1],
        "three_sigmas": three, "logs": np.array([bayes.log_likelihood(residuals, sigma) for sigma in three]),
        "sigmas": sigmas, "logs_of_sigma": bayes.log_likelihood(design @ best - data.y, sigmas),
        "best_sigma": best_sigma,
    }  # fmt: skip


def along(data, beyond=0.0):
    """(M,) values of x, evenly over the range of the points and a share of it beyond, at either side."""
    low, high = data.x.min(), data.x.max()
    return np.linspace(low - beyond * (high - low), high + beyond * (high - low), 301)


def _true_curve(data, order, x):
    """The polynomial of an order that is fitted to the data, at x: from it data sets are drawn."""
    weights = polynomials.least_squares(polynomials.monomials(data.x, order), data.y)
    return polynomials.monomials(x, order) @ weights
