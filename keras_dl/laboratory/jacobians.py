"""How far back a recurrent network's state depends on its past: norms of dh(t)/dh(t-k), their bounds, and dE/dW.

    dh(t)/dh(t-k) = J(t) J(t-1) ... J(t-k+1),   J(t) = dh(t)/dh(t-1)
    h(t) = tanh(W h(t-1) + U x(t) + b):   J(t) = diag(1 - h(t)^2) W,   |J(t)| <= max(1 - h(t)^2) |W| <= |W|
    dE/dW = sum over t, sum over k <= t of dE/dh(t) dh(t)/dh(k) d+h(k)/dW

|W| is the largest singular value. Source: Pascanu, Mikolov and Bengio (arXiv:1211.5063), equations (3) to (7). The
state of an LSTM is (h, c): its J(t) has four blocks, and dh(t)/dh(t-k) is a block of the product.

Shapes: N sequences, T steps, H units, P parts of the state (h and c of an LSTM, h of the others), S = P H.
"""

import dataclasses

import numpy as np

from keras_dl.imports import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Trajectory:
    """What a recurrent layer does with sequences, in double precision.

    Attributes:
        states: (N, T + 1, S), before the first step and after each.
        steps: (N, T, S, S), J(1) ... J(T); row i, column j is the derivative of new value i by old value j.
        bounds: (N, T, P, P), of the norm of each block of J(t): singular values of the recurrent matrices times the
            largest slopes that the units have at that step.
        units: H.
    """

    states: np.ndarray
    steps: np.ndarray
    bounds: np.ndarray
    units: int


def trajectory(layer, sequences):
    """Run a layer over sequences, with the Jacobian of every step by automatic differentiation of its cell.

    Args:
        layer: one of layers.Transition without transition_units and with tanh, layers.GRU with reset_after=False,
            layers.LSTM without peepholes.
        sequences: (N, T, D).

    Returns:
        A Trajectory, from a state of zeros.
    """
    cell, count, steps = layer.cell, len(sequences), sequences.shape[1]
    weights = [tf.cast(tf.convert_to_tensor(weight), tf.float64) for weight in layer.cell_weights]
    kernel, bias = layer.kernel.numpy().astype(np.float64), layer.bias.numpy().astype(np.float64)
    z = tf.constant(np.asarray(sequences, np.float64) @ kernel + bias)
    split = cell.forward(weights)

    def step(z, state):
        new, saved = cell.step(z, tf.split(state, len(cell.state_size), -1), split, None)
        return tf.concat(new, -1), saved

    states, all_saved = [tf.zeros((count, sum(cell.state_size)), tf.float64)], []
    for t in range(steps):
        state, saved = step(z[:, t], states[-1])
        states.append(state)
        all_saved.append(state if saved is None else saved)
    states, saved = tf.stack(states, 1), np.stack([np.array(s) for s in all_saved], 1)

    @tf.function(autograph=False)
    def jacobians(z, old):
        with tf.GradientTape() as tape:
            tape.watch(old)
            new, _ = step(z, old)
        return tape.batch_jacobian(new, old)

    size = states.shape[-1]
    each = jacobians(tf.reshape(z, [-1, z.shape[-1]]), tf.reshape(states[:, :-1], [-1, size]))
    states, each = states.numpy(), each.numpy().reshape(count, steps, size, size)
    bounds = BOUNDS[type(cell).__name__]([w.numpy() for w in weights], states, saved)
    return Trajectory(states, each, bounds, cell.units)


def norms(steps, units, part=0):
    """Norms of dh(T)/dh(T-k) for k = 0 ... T: (N, T + 1), the largest singular values of the products.

    Args:
        steps: (N, T, S, S), as in Trajectory.
        units: H.
        part: 0: of h by h; 1: of c by c.
    """
    block = slice(part * units, (part + 1) * units)
    product = np.broadcast_to(np.eye(steps.shape[-1]), (len(steps), *steps.shape[-2:]))
    largest = [np.linalg.norm(product[:, block, block], 2, (1, 2))]
    for t in reversed(range(steps.shape[1])):
        product = product @ steps[:, t]
        largest.append(np.linalg.norm(product[:, block, block], 2, (1, 2)))
    return np.stack(largest, 1)


def bounds_of_norms(bounds, part=0):
    """Bounds of `norms`, products of the bounds of every step: (N, T + 1).

    Args:
        bounds: (N, T, P, P), as in Trajectory. Block (a, b) of a product of two Jacobians is the sum over p of block
            (a, p) of one and (p, b) of the other, so that the matrices of the blocks' bounds are multiplied.
    """
    return _products(bounds)[:, :, part, part]


def contributions(recurrent, states, by_state):
    """dE/dW of a tanh network as the lecture's sum over products of Jacobians, one term for each distance t - k.

    Args:
        recurrent: (H, H), laid out as in Keras: h(t) = tanh(h(t-1) R + ...), R the transpose of W.
        states: (N, T + 1, H), h(0) ... h(T).
        by_state: (N, T, H), dE/dh(t) for t = 1 ... T where E depends on h(t) directly, not by later states.

    Returns:
        (T, H, H): term k is the sum over t of dE/dh(t) dh(t)/dh(t-k) d+h(t-k)/dR; their sum is dE/dR.
    """
    steps = by_state.shape[1]
    slopes = 1 - states[:, 1:] ** 2
    terms = np.zeros((steps, *recurrent.shape))
    for t in range(steps):
        row = by_state[:, t]  # dE/dh(t) times the product of the Jacobians so far
        for k in range(t, -1, -1):
            by_sum = row * slopes[:, k]  # times dh(k+1)/d(what tanh is taken of)
            terms[t - k] += states[:, k].T @ by_sum
            row = by_sum @ recurrent.T
    return terms


def shares(terms):
    """The norm of each of `contributions`, divided by their sum: (T,)."""
    sizes = np.linalg.norm(terms, axis=(1, 2))
    return sizes / sizes.sum()


def factor(values):
    """By which factor norms change a step, from the first step back to the farthest: a geometric mean.

    Args:
        values: (N, T + 1), from `norms`.

    Returns:
        The median over the sequences.
    """
    return float(np.median((values[:, -1] / values[:, 1]) ** (1 / (values.shape[1] - 2))))


def _products(matrices):
    """The products M(T) M(T-1) ... M(T-k+1) for k = 0 ... T: (N, T, P, P) -> (N, T + 1, P, P)."""
    products = [np.broadcast_to(np.eye(matrices.shape[-1]), matrices[:, 0].shape)]
    for t in reversed(range(matrices.shape[1])):
        products.append(products[-1] @ matrices[:, t])
    return np.stack(products, 1)


def _of_tanh(weights, states, saved):
    return (_largest_value(weights[0]) * _top(1 - states[:, 1:] ** 2))[..., None, None]


def _of_gru(weights, states, saved):
    """z h' + (1 - z) c: directly, through z, and through c, where h' is multiplied by r, which depends on it."""
    units = weights[0].shape[0]
    of_z, of_r, of_c = (_largest_value(matrix) for matrix in np.split(weights[0], 3, 1))
    old, (z, r, c) = states[:, :-1], np.split(saved, [units, 2 * units], -1)
    by_update = _top((old - c) * z * (1 - z)) * of_z
    inside = _top(r) + _top(old * r * (1 - r)) * of_r
    return (_top(z) + by_update + _top((1 - z) * (1 - c**2)) * of_c * inside)[..., None, None]


def _of_lstm(weights, states, saved):
    """c = f c' + i g, h = o tanh(c): a bound for each of the four blocks of d(h, c)/d(h', c')."""
    of_i, of_f, of_g, of_o = (_largest_value(matrix) for matrix in np.split(weights[0], 4, 1))
    i, f, g, o = np.split(saved, 4, -1)
    old, new = (np.split(states, 2, -1)[1][:, part] for part in (slice(None, -1), slice(1, None)))
    out = np.tanh(new)
    c_by_h = _top(old * f * (1 - f)) * of_f + _top(g * i * (1 - i)) * of_i + _top(i * (1 - g**2)) * of_g
    through_c = o * (1 - out**2)
    h_by_h = _top(out * o * (1 - o)) * of_o + _top(through_c) * c_by_h
    rows = [np.stack([h_by_h, _top(through_c * f)], -1), np.stack([c_by_h, _top(f)], -1)]
    return np.stack(rows, -2)


BOUNDS = {"TransitionCell": _of_tanh, "GRUCell": _of_gru, "LSTMCell": _of_lstm}


def _top(values):
    """The norm of a diagonal matrix: (..., H) -> (...)."""
    return np.abs(values).max(-1)


def _largest_value(matrix):
    return np.linalg.norm(matrix, 2)
