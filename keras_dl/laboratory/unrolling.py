"""One recurrent unit, unrolled over time: its error as a surface over its two weights, the wall in it, and descents.

    h(t) = w s(h(t-1)) + b,   h(0) = 0.5,   t = 1 ... T,   s(a) = 1 / (1 + exp(-a))
    slide   E = (h(T) - 0.7)^2
    paper   E = (s(h(T)) - 0.7)^2

Source: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks" (ICML 2013,
arXiv:1211.5063), equation (8) and figure 6, whose error is the second one: the lecture's slide leaves out the outer s.
The gradient is the sum over products of Jacobians of its equations (3) to (5), clipping is its algorithm 1.

The wall. Where b = h(0) - w s(h(0)), the unit stays at h(0) for ever; where in addition w s'(h(0)) > 1, that point
repels: on one side of this line in the plane of (w, b) the states go to a large fixed point, on the other to a small
one, and a step of the gradient that comes near the line sees a slope of up to (w s'(h(0)))^T.
"""

import dataclasses

import numpy as np

READINGS = ("slide", "paper")
WEIGHTS, BIASES = (4.0, 7.0), (-3.2, -2.0)  # the part of the plane that is shown, as in the paper's figure
FARTHEST = 1e6  # a descent that is farther from the origin than this has left for good


@dataclasses.dataclass(frozen=True)
class Unit:
    """The unit, how long it runs, and which error it has.

    Attributes:
        reading: one of READINGS.
        steps: T.
        target: what the last state, or s of it, should be.
        first: h(0).
    """

    reading: str = "slide"
    steps: int = 50
    target: float = 0.7
    first: float = 0.5

    def states(self, w, b):
        """h(0) ... h(T) for weights w and b of any shape that fit each other: (T + 1, ...)."""
        w, b = np.broadcast_arrays(w, b)
        states = [np.full(w.shape, self.first, np.result_type(w, b, float))]
        for _ in range(self.steps):
            states.append(w * sigmoid(states[-1]) + b)
        return np.stack(states)

    def error(self, w, b):
        """E at weights w and b, of their shape."""
        return (self._output(self.states(w, b)[-1]) - self.target) ** 2

    def products(self, w, b):
        """dh(T)/dh(k) for k = 1 ... T, the product over j = k+1 ... T of the Jacobians w s'(h(j-1)): (T, ...)."""
        return self._products(w, self.states(w, b))

    def gradient(self, w, b):
        """(dE/dw, dE/db), each as the sum over k = 1 ... T of dE/dh(T) dh(T)/dh(k) d+h(k)/dw, and likewise for b.

        d+h(k)/dw = s(h(k-1)) and d+h(k)/db = 1 are the immediate derivatives, h(k-1) taken as a constant.
        """
        states = self.states(w, b)
        last = self._output(states[-1])
        by_state = 2 * (last - self.target)
        if self.reading == "paper":
            by_state = by_state * last * (1 - last)
        products = self._products(w, states)
        return by_state * (products * sigmoid(states[:-1])).sum(0), by_state * products.sum(0)

    def wall(self, w):
        """The b at which the unit stays at h(0), of the shape of w."""
        return self.first - w * sigmoid(self.first)

    def slope(self, w):
        """w s'(h(0)): by how much a distance from the wall grows in a step."""
        return w * _slope(self.first)

    @property
    def foot(self):
        """The w from which on h(0) repels, so that the line is a wall: 1 / s'(h(0))."""
        return 1 / _slope(self.first)

    def _output(self, state):
        return sigmoid(state) if self.reading == "paper" else state

    def _products(self, w, states):
        slopes = w * _slope(states[1:-1])  # dh(k+1)/dh(k) for k = 1 ... T - 1
        ones = np.ones_like(states[:1])
        return np.concatenate([np.cumprod(slopes[::-1], 0)[::-1], ones])


def sigmoid(a):
    """1 / (1 + exp(-a)), for any size of a, and for complex numbers."""
    return 0.5 + 0.5 * np.tanh(0.5 * np.asarray(a))


def _slope(a):
    value = sigmoid(a)
    return value * (1 - value)


def surface(unit, points, weights=WEIGHTS, biases=BIASES):
    """A grid over a part of the plane.

    Args:
        unit: the Unit.
        points: number of points along each side, n.
        weights, biases: (lowest, highest) of w and of b.

    Returns:
        {"w": (n,), "b": (n,), "error": (n, n), "gradient": (n, n), its norm; "wall": (50, 2), points (w, b)}; the first
        axis of a grid is that of b.
    """
    w, b = np.linspace(*weights, points), np.linspace(*biases, points)
    grid, of_wall = np.meshgrid(w, b), np.linspace(max(unit.foot, w[0]), max(unit.foot, w[-1]), 50)
    return {
        "w": w, "b": b, "error": unit.error(*grid), "gradient": np.hypot(*unit.gradient(*grid)),
        "wall": np.stack([of_wall, unit.wall(of_wall)], 1),
    }  # fmt: skip


def largest_gradient(unit, weights=WEIGHTS, biases=BIASES):
    """The largest norm of the gradient beside the wall in a part of the plane, and where it is.

    No grid of equal distances meets the wall: where the slope is s, it is about s^-T wide. So the points looked at have
    distances from the wall, on both sides, that shrink by a constant factor down to rounding; then others around the
    best of these.

    Returns:
        (norm, w, b); the norm is 0 if no wall is in this part of the plane.
    """
    ends = (unit.first - np.array(biases)) / sigmoid(unit.first)  # the w at which the line meets either end of b
    low, high = max(weights[0], unit.foot, ends.min()), min(weights[1], ends.max())
    if low > high:
        return 0.0, float(low), float(unit.wall(low))
    w, distances = np.linspace(low, high, 61), np.geomspace(1e-16, 0.1, 200)
    best = _best(unit, w, np.concatenate([-distances[::-1], [0.0], distances]), biases)
    near, offset = (w[1] - w[0]) * np.linspace(-1, 1, 41), best[2] - unit.wall(best[1])
    finer = _best(unit, np.clip(best[1] + near, low, high), offset * np.geomspace(0.3, 3, 401), biases)
    return max(best, finer)


def _best(unit, w, offsets, biases):
    w = w[:, None]
    b = np.clip(unit.wall(w) + offsets, *biases)
    norms = np.hypot(*unit.gradient(w, b))
    row, column = np.unravel_index(np.argmax(norms), norms.shape)
    return float(norms[row, column]), float(w[row, 0]), float(b[row, column])


def clipped(gradient, threshold):
    """The gradient with its norm clipped: g if |g| < threshold, else g threshold / |g|, in the same direction.

    Args:
        gradient: (..., D), vectors along the last axis.
        threshold: largest norm.
    """
    gradient = np.asarray(gradient, float)
    norm = np.linalg.norm(gradient, axis=-1, keepdims=True)
    return gradient * (threshold / np.maximum(norm, threshold))


def descend(unit, start, learning_rate, updates, threshold=None):
    """Gradient descent on E from a point (w, b), with the norm of the gradient clipped or not.

    Args:
        unit: the Unit.
        start: (w, b).
        learning_rate: of (w, b) <- (w, b) - learning_rate g.
        updates: n; fewer are made if one leads beyond FARTHEST, to the last point.
        threshold: largest norm of g; None: no clipping.

    Returns:
        {"points": (n + 1, 2), "errors": (n + 1,), "norms": (n,) of the gradients before clipping, "lengths": (n,) of
        the updates}.
    """
    points, norms = [np.array(start, float)], []
    for _ in range(updates):
        gradient = np.array(unit.gradient(*points[-1]))
        norms.append(np.linalg.norm(gradient))
        step = gradient if threshold is None else clipped(gradient, threshold)
        points.append(points[-1] - learning_rate * step)
        if not np.abs(points[-1]).max() < FARTHEST:
            break
    points = np.array(points)
    lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
    return {"points": points, "errors": unit.error(*points.T), "norms": np.array(norms), "lengths": lengths}


def across(units, w):
    """The norm of the gradient of each of {name: Unit} at one w: {name: (n,), "distance": (n,) of b from the wall}."""
    distance = np.linspace(-0.3, 0.3, 1201)
    norms = {name: np.hypot(*unit.gradient(w, unit.wall(w) + distance)) for name, unit in units.items()}
    return {"distance": distance} | norms


def by_steps(units, most):
    """The largest norm of the gradient of each of {name: Unit} for T from 1 to `most`: {name: (m,), "steps": (m,)}."""
    steps = np.unique(np.linspace(1, most, 15).astype(int))
    shorter = {name: [dataclasses.replace(unit, steps=int(t)) for t in steps] for name, unit in units.items()}
    largest = {name: np.array([largest_gradient(each)[0] for each in row]) for name, row in shorter.items()}
    return {"steps": steps} | largest
