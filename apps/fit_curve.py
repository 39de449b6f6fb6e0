"""Fit polynomials to ten points: hypothesis classes, overfitting, the prior, and what gradient descent makes of them.

    python apps/fit_curve.py                                    # the lecture's ten points: about twenty seconds
    python apps/fit_curve.py --order 4 --sigma 0.3 --tau 10     # a further order, less noise, a wider prior
    python apps/fit_curve.py --data path/to/my/points.csv       # two columns, x and y

Slides "Picking the right hypothesis class", "Overfitting" and "Role of the prior". The noise is N(0, sigma^2), the
prior of each weight N(0, tau^2); maximum likelihood minimises sum_i (f(x_i) - y_i)^2, the maximum a posteriori (MAP)
adds gamma |w|^2 with gamma = sigma^2 / tau^2. Look at the pictures, in figures/ of the run, in this order:

- fits: orders 1, 2 and 9. Order 9 goes through all ten points: what does it do between them? Gradient descent by Keras
  lies on least squares.
- descent: the same polynomials in three bases. Gradient descent needs about as many steps as the condition number to
  come nearer by a factor of 2.7. In powers of x hardly anything happens; in the orthonormal basis one step is enough.
- errors: the training error falls with the order, the validation error does not. On the right the expected errors over
  resampled data: squared bias falls, variance rises. resampled: the fits themselves.
- likelihood: the line with the smallest sum of squares is the most likely one, whatever sigma; the most likely sigma^2
  is SSE / N.
- prior: the gradients of log likelihood and log prior add up, arrow by arrow (an arrow is as long as the cube
  root of its gradient); MAP is where the sum is 0.
- weight_decay: Adam with l2 (red) ends at MAP. AdamW with the same decay (blue) ends near least squares as long as no
  weight is larger than 1 / decay: its decay is no prior. AdamW with a decay of 1 (orange) shows that limit: it keeps
  every weight within 1.
- bands: what the posterior leaves open, with two standard deviations: narrow between the points, wide beyond.

Where the slides err: MAP is the maximum a posteriori, not "a priori". The line is y = 1.6102x + 1.0588; the slide's
1.60x + 1.05 is truncated. The least-squares parabola is 0.687x^2 + 1.747x + 0.740; the slide's 0.68x^2 + 1.74x + 0.73
was fitted to squares that are not those of the printed x (it has 0.75 for 0.86^2, which is 0.74). gamma = sigma^2 is
that of a prior with tau = 1.
"""

import dataclasses
from typing import Annotated

import numpy as np

import keras_dl as dl
from keras_dl import command_line, machine, runs, settings
from keras_dl.arguments import Number, Whole
from keras_dl.laboratory import points
from keras_dl.wording import counted

APP = "fit_curve"
SHOWN = (1, 2, 9)  # orders of the slides


@dataclasses.dataclass(frozen=True)
class Config(settings.Experiment):
    """Fit polynomials to points by least squares, by gradient descent, and with a prior.

    What to look for: the top of apps/fit_curve.py.
    """

    data: str = ""  # your own points: a text file of two columns, x and y; without it the lecture's ten
    order: Annotated[int, Whole(1, 20)] = 1  # of the polynomial whose numbers are reported; shown beside 1, 2 and 9
    # standard deviation of the noise in y; with --data, as a share of y's own standard deviation
    sigma: Annotated[float, Number("[0.001, 1000]")] = 0.5
    # standard deviation of each weight's prior; with --data, x is first scaled to [-1, 1]
    tau: Annotated[float, Number("[0.001, 1000]")] = 1.0
    free_intercept: bool = False  # no prior on the intercept
    # order of the curve, fitted to the points, from which data sets are drawn for bias and variance
    true_order: Annotated[int, Whole(0, 20)] = 3
    resamples: Annotated[int, Whole(2, 10_000)] = 1000  # number of data sets that are drawn
    steps: Annotated[int, Whole(20, 1_000_000)] = 2000  # of gradient descent without a prior


def main(argv=None):
    """Run the experiment; return its numbers as {name: float}."""
    config = command_line.parse(Config, argv, app=APP)
    data = points.read(config.data, "--data") if config.data else points.lecture()
    for flag, order in (("--order", config.order), ("--true-order", config.true_order)):
        most = f"must be at most {data.distinct - 1}, one less than there are different x"
        settings.check(order < data.distinct, f"{flag}: {most}; got {order}.")
    if (finished := runs.finished(config, APP)) is not None:
        return finished
    hardware = machine.prepare(config)
    run = runs.start(hardware, app=APP, name=f"polynomials-{data.name}")
    steps, resamples = (min(200, config.steps), 50) if config.smoke else (config.steps, config.resamples)
    orders = [order for order in sorted({*SHOWN, config.order}) if order < data.distinct]
    prior = config.sigma, config.tau, config.free_intercept
    numbers, priors, draw = dl.laboratory.curve_numbers, dl.laboratory.prior_numbers, dl.laboratory.curve_figures
    picture = dl.laboratory.results.picture
    units = ", for the fits x scaled to [-1, 1] and y standardised" if config.data else ""
    run.say(f"{data.name}: {counted(len(data), 'points')}{units}")

    fits = numbers.fits(data, orders, steps, run)
    picture(run, "fits", draw.fits(data, fits), fits | data.numbers())
    for order, weights, sse, away in zip(*(fits[name] for name in numbers.OF_FITS), strict=True):
        run.say(
            f"order {order}: SSE {sse:.5g}, {draw.formula(weights[: order + 1])}; gradient descent by Keras differs "
            f"from it by at most {away:.1g} at the points"
        )
    if not config.data:
        run.say(
            "the slide's 1.60x + 1.05 is truncated; its 0.68x^2 + 1.74x + 0.73 is of squares that are not these x's"
        )
    descent = numbers.descent(data, orders[-1], steps, run)
    picture(run, "descent", draw.descent(descent), descent)
    for basis, condition, above in zip(descent["bases"], descent["conditions"], descent["keras_excess"], strict=True):
        run.say(
            f"order {orders[-1]}, {basis}, condition number {condition:.3g}: after "
            f"{counted(int(descent['keras_steps'][-1]), 'steps')} of gradient descent the mean squared error is "
            f"{draw.shown(above[-1])} above its minimum"
        )

    rows, folds = numbers.errors(data, config.true_order, config.sigma, resamples, config.seed)
    picture(run, "errors", draw.errors(rows, folds, len(data)), rows)
    known = [row for row in rows if row["validation"] is not None]
    best, last, left = min(known, key=lambda row: row["validation"]), known[-1], rows[len(known) :]
    run.say(
        f"the validation error is smallest at order {best['order']}: {best['validation']:.3g}, training error "
        f"{best['train']:.3g}; at order {last['order']} they are {last['validation']:.3g} and {last['train']:.3g}"
    )
    if left:
        remaining = len(data) - -(-len(data) // folds)
        run.say(
            f"order {left[0]['order']} has no validation error: {counted(remaining, 'remaining points')} cannot "
            f"determine it"
        )
    resampled = numbers.resampled(data, orders, config.true_order, config.sigma, resamples, config.seed)
    picture(run, "resampled", draw.resampled(data, resampled), resampled | data.numbers())
    line, most = rows[1], rows[-1]
    run.say(
        f"data drawn from a curve of order {config.true_order}: order 1 has squared bias {line['squared_bias']:.2g} "
        f"and variance {line['variance']:.2g}, order {most['order']} {draw.shown(most['squared_bias'])} and "
        f"{draw.shown(most['variance'])}"
    )

    likelihood = numbers.likelihood(data)
    picture(run, "likelihood", draw.likelihood(likelihood), likelihood)
    run.say(
        f"the line of least squares, with slope {likelihood['best_slope']:.4f}, is the most likely, whatever sigma; "
        f"the most likely sigma is sqrt(SSE / N) = {likelihood['best_sigma']:.4f}"
    )
    gamma = config.sigma**2 / config.tau**2
    run.say(f"gamma = sigma^2 / tau^2 = {gamma:.4g}; Keras' l2 gets gamma / N = {gamma / len(data):.4g}")
    fields = priors.fields(data, *prior)
    picture(run, "prior", draw.prior(fields), fields)
    maximum = priors.maximum_a_posteriori(data, orders, *prior, run)
    for order, weights, away in zip(orders, maximum["closed_form"], maximum["difference"], strict=True):
        run.say(
            f"order {order}, MAP: largest weight {np.nanmax(np.abs(weights)):.4g}; closed form, ascent along the sum "
            f"of both gradients and Keras with l2(gamma / N) differ by {away:.1g} at most"
        )
    decay = priors.weight_decay(data, *prior, 200 if config.smoke else priors.ADAM_STEPS, run)
    picture(run, "weight_decay", draw.weight_decay(decay), decay)
    to_least, to_map = (np.linalg.norm(decay["paths"][:, -1] - mark, axis=1) for mark in decay["marks"])
    run.say(
        f"Adam with the prior as l2 ends {to_map[0]:.1g} from MAP; AdamW with the same decay ends {to_map[1]:.2g} from "
        f"MAP and {to_least[1]:.1g} from least squares, {limit_of(decay, config.free_intercept)}"
    )
    bands = priors.bands(data, orders, *prior)
    picture(run, "bands", draw.bands(data, bands), bands | data.numbers())
    for order, deviations in zip(orders, bands["of_function"], strict=True):
        run.say(
            f"order {order}, posterior: the curve's standard deviation lies between {np.min(deviations):.2g} and "
            f"{np.max(deviations):.2g}, over the points and a quarter of their range beyond"
        )

    at = orders.index(config.order)
    metrics = {
        "sse": fits["sse"][at], "slope": fits["coefficients"][at, 1], "intercept": fits["coefficients"][at, 0],
        "descent_difference": fits["difference"][at], "best_order": best["order"], "gamma": gamma,
        "likeliest_sigma": likelihood["best_sigma"], "map_difference": maximum["difference"].max(),
        "adam_l2_from_map": to_map[0], "adamw_from_map": to_map[1],
    }  # fmt: skip
    metrics = {name: float(value) for name, value in metrics.items()}
    return dl.laboratory.results.finish(run, __file__, metrics, other=next_flags(config, data))


def limit_of(decay, free_intercept):
    """Where AdamW can end with the same decay as Adam, in words: no weight that decays gets larger than 1 / decay."""
    limit = 1 / decay["decays"][1]
    largest = np.abs(decay["marks"][0][1:] if free_intercept else decay["marks"][0]).max()
    if largest <= limit:
        return f"where no weight is larger than 1 / decay = {limit:.3g}"
    return f"whose largest weight is {largest:.3g}: with this decay none gets larger than 1 / decay = {limit:.3g}"


def next_flags(config, data):
    """Flags with which the experiment is worth another look, of an order that the points determine."""
    own = ["--data", config.data] if config.data else []
    order = min(4, data.distinct - 1)
    return [[*own, "--order", order, "--sigma", 0.3, "--tau", 10], [*own, "--free-intercept", "--tau", 0.2]]


if __name__ == "__main__":
    command_line.run(main)
