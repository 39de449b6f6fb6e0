"""Surfaces of two variables on which descent is watched: value, gradient and Hessian in closed form.

Sources: the classical saddle 5x^2 - y^2 and the monkey saddle x^3 - 3xy^2 of Dauphin et al., "Identifying and attacking
the saddle point problem in high-dimensional non-convex optimization" (arXiv:1406.2572), figure 2; Rosenbrock 1960; a
long valley, which is a quadratic with a condition number of 100; and the error of a network with two weights.
"""

import dataclasses
from collections.abc import Callable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Surface:
    """A function of two variables.

    Attributes:
        name: of letters, digits and "_", for files.
        formula: for titles, as matplotlib's mathematics.
        value: value(x, y) -> array of their common shape.
        gradient: gradient(point) -> (2,), for a point (2,).
        hessian: hessian(point) -> (2, 2).
        start: (x, y) where paths begin.
        window: (x from, x to, y from, y to) that pictures show; a path ends where it leaves it.
        saddle: a critical point that is neither a minimum nor a maximum; None: there is none in the window.
        minima: the minima in the window.
    """

    name: str
    formula: str
    value: Callable
    gradient: Callable
    hessian: Callable
    start: tuple
    window: tuple
    saddle: tuple | None = None
    minima: tuple = ()

    def holds(self, point):
        """Whether a point lies in the window."""
        left, right, low, high = self.window
        return bool(left <= point[0] <= right and low <= point[1] <= high)  # False for nan, too

    def grid(self, count=121):
        """(x, y, value), each (count, count), over the window."""
        left, right, low, high = self.window
        x, y = np.meshgrid(np.linspace(left, right, count), np.linspace(low, high, count))
        return x, y, self.value(x, y)

    def numbers(self):
        """What a picture shows of the surface, {name: array}: its grid, where paths start, its saddle, its minima."""
        x, y, value = self.grid()
        marks = {"start": [self.start], "saddle": [] if self.saddle is None else [self.saddle], "minima": self.minima}
        marks = {name: np.array(points, float).reshape(-1, 2) for name, points in marks.items()}
        return {"x": x[0], "y": y[:, 0], "value": value, **marks}


SADDLE = Surface(
    "saddle",
    "$5x^2 - y^2$",
    value=lambda x, y: 5 * x**2 - y**2,
    gradient=lambda p: np.array([10 * p[0], -2 * p[1]]),
    hessian=lambda p: np.array([[10.0, 0.0], [0.0, -2.0]]),
    start=(0.8, 0.05),
    window=(-1.0, 1.0, -1.0, 1.5),
    saddle=(0.0, 0.0),
)
MONKEY_SADDLE = Surface(
    "monkey_saddle",
    "$x^3 - 3xy^2$",
    value=lambda x, y: x**3 - 3 * x * y**2,
    gradient=lambda p: np.array([3 * p[0] ** 2 - 3 * p[1] ** 2, -6 * p[0] * p[1]]),
    hessian=lambda p: np.array([[6 * p[0], -6 * p[1]], [-6 * p[1], -6 * p[0]]]),
    start=(0.8, 0.1),
    window=(-1.0, 1.2, -1.2, 1.2),
    saddle=(0.0, 0.0),
)
ROSENBROCK = Surface(
    "rosenbrock",
    "$(1 - x)^2 + 100\\,(y - x^2)^2$",
    value=lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
    gradient=lambda p: np.array([-2 * (1 - p[0]) - 400 * p[0] * (p[1] - p[0] ** 2), 200 * (p[1] - p[0] ** 2)]),
    hessian=lambda p: np.array([[2 - 400 * (p[1] - 3 * p[0] ** 2), -400 * p[0]], [-400 * p[0], 200.0]]),
    start=(-1.2, 1.0),
    window=(-1.8, 1.8, -0.8, 2.6),
    minima=((1.0, 1.0),),
)
VALLEY = Surface(
    "valley",
    "$(x^2 + 100\\,y^2)\\,/\\,2$",
    value=lambda x, y: (x**2 + 100 * y**2) / 2,
    gradient=lambda p: np.array([p[0], 100 * p[1]]),
    hessian=lambda p: np.array([[1.0, 0.0], [0.0, 100.0]]),
    start=(-9.0, 1.0),
    window=(-10.0, 3.0, -1.6, 1.6),
    minima=((0.0, 0.0),),
)
CLASSICAL = (SADDLE, MONKEY_SADDLE, ROSENBROCK, VALLEY)


class TwoWeights:
    """The network h(x) = w2 tanh(w1 x), with the error mean (y - h(x))^2 / 2: all that a network has, in two weights.

    It has two equal minima, since the signs of both weights may be changed, and between them a saddle at (0, 0).

    Args:
        x, y: (N,) examples.
    """

    def __init__(self, x, y):
        self.x, self.y = np.asarray(x, np.float64), np.asarray(y, np.float64)

    def value(self, w1, w2):
        """The error, of the common shape of the two weights."""
        w1, w2 = np.broadcast_arrays(np.asarray(w1, np.float64), np.asarray(w2, np.float64))
        return ((self.y - w2[..., None] * np.tanh(w1[..., None] * self.x)) ** 2).mean(-1) / 2

    def gradient(self, weights):
        """(2,) derivatives of the error."""
        return -(self._residual(weights)[:, None] * self.jacobian(weights)).mean(0)

    def hessian(self, weights):
        """(2, 2): the Fisher matrix, less the residual times the network's own second derivatives."""
        w1, w2 = weights
        t = np.tanh(w1 * self.x)
        slope, r = 1 - t**2, self._residual(weights)
        mixed = (r * slope * self.x).mean()
        bent = np.array([[(r * w2 * -2 * t * slope * self.x**2).mean(), mixed], [mixed, 0.0]])
        return self.fisher(weights) - bent

    def fisher(self, weights):
        """(2, 2) mean J^T J: the Fisher matrix of y = h(x) + Gaussian noise of variance 1."""
        jacobian = self.jacobian(weights)
        return jacobian.T @ jacobian / len(self.x)

    def jacobian(self, weights):
        """(N, 2) derivatives of the outputs."""
        w1, w2 = weights
        t = np.tanh(w1 * self.x)
        return np.stack([w2 * (1 - t**2) * self.x, t], 1)

    def _residual(self, weights):
        return self.y - weights[1] * np.tanh(weights[0] * self.x)

    def surface(self, start, window, minima=()):
        """The error as a Surface."""
        return Surface(
            "two_weights", "error of $w_2\\,\\tanh(w_1 x)$", self.value, self.gradient, self.hessian, start, window,
            saddle=(0.0, 0.0), minima=minima,
        )  # fmt: skip
