"""Critical points of a network with one hidden layer: its own, and those that it has from networks with fewer units.

Two ways lead to a high index. A search ends at a saddle of the network itself, with all of its units in use. Or a unit
has no weights: then the point is a critical point of a smaller network, whose error is higher since it is smaller, and
whose index is larger since the unit would lower the error in several directions (OneHiddenLayer.embedded). Error and
index of points of the second kind go together by construction, and are therefore counted separately.
"""

import dataclasses

import numpy as np
from threadpoolctl import threadpool_limits

from keras_dl.laboratory import critical_points

UPWARDS = 9  # searches: from 0 to so many negative eigenvalues but one
SMALLER_UPWARDS = 3  # the same in networks with fewer units
DESCENT = 8  # steps of saddle-free Newton before a search


def collect(error, dampings, rng, *, searches, smaller_searches, steps, at=lambda number, total: None):
    """Search critical points, of the network and of those with fewer units.

    Each search begins with weights of its own, as Keras draws them, after DESCENT steps of saddle-free Newton.

    Args:
        error: a one_hidden_layer.OneHiddenLayer.
        dampings: for critical_points.descend.
        rng: a numpy.random.Generator.
        searches: in the network itself.
        smaller_searches: in each network with 1 to U - 1 units; of that without hidden units there is at most one.
        steps: most steps of a search.
        at: is called with (number of the search, how many there are) before each.

    Returns:
        (points, reached): the distinct CriticalPoints of the network, and how many of the first `searches` reached one.
    """
    plan = [(error, number % UPWARDS) for number in range(searches)]
    for units in range(error.units):
        smaller = error.with_units(units)
        for number in range(smaller_searches if units else min(1, smaller_searches)):
            plan.append((smaller, number % SMALLER_UPWARDS if units else 0))
    points, reached = [], 0
    # Matrices of some hundred rows: threads of the linear algebra wait for each other longer than they compute.
    with threadpool_limits(1, user_api="blas"):
        for number, (objective, upwards) in enumerate(plan):
            at(number, len(plan))
            start = critical_points.descend(objective, objective.initial(rng), dampings, DESCENT)
            point = critical_points.search(objective, start, upwards, steps=steps)
            if point is not None:
                reached += objective is error
                points.append(point if objective is error else _embedded(error, objective, point))
    return critical_points.distinct(points), reached


def _embedded(error, smaller, point):
    """A CriticalPoint of a network with fewer units as one of the network."""
    weights = error.embedded(smaller, point.weights)
    return dataclasses.replace(point, weights=weights, eigenvalues=np.linalg.eigvalsh(error.hessian(weights)))


def described(error, points):
    """[{"origin", "train_error", "index", "loss"}] of CriticalPoints: "searched", or "embedded" with an idle unit.

    Error and index are in percent.
    """
    return [
        {
            "origin": "embedded" if error.idle_units(point.weights) else "searched",
            "train_error": error.error(point.weights), "index": 100 * point.index, "loss": point.loss,
        }
        for point in points
    ]  # fmt: skip


def correlations(rows, seed):
    """{"all", "searched", "embedded": (count, correlation, (low, high))} of error and index in rows of `described`.

    Groups of fewer than three points have none of them.
    """
    groups = {"all": rows}
    groups |= {origin: [row for row in rows if row["origin"] == origin] for origin in ("searched", "embedded")}
    return {
        name: (
            len(own),
            *critical_points.rank_correlation([r["train_error"] for r in own], [r["index"] for r in own], seed),
        )
        for name, own in groups.items()
        if len(own) > 2
    }
