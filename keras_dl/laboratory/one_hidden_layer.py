"""A network with one hidden layer of tanh units on fixed examples: loss, gradient and Hessian in closed form, in NumPy.

Automatic differentiation gives the same Hessian (curvature.py) some twenty times slower: here all examples of a pair of
hidden units are one matrix product. With h = [tanh([x, 1] A), 1] and logits z = h B, p their softmax, S = diag(p) - p
p^T, r = p less the label, s = 1 - tanh^2 and V the rows of B that belong to hidden units, the blocks are means over
the examples of

    d2/dA_ja dA_lb   x_j x_l (s_a s_b (V S V^T)_ab + [a = b] (-2 h_a s_a) (V r)_a)
    d2/dA_ja dB_ck   x_j (s_a (V S)_ak h_c + [a = c] s_a r_k)
    d2/dB_ck dB_dm   h_c h_d S_km

Source: Bishop 1995, section 4.10. Shapes: N examples, I inputs, U hidden units, K classes; P = (I + 1) U + (U + 1) K.
"""

import numpy as np

from keras_dl.laboratory import critical_points


class OneHiddenLayer:
    """The mean cross-entropy on fixed examples, plus decay times the squares of all weights.

    A vector of weights (P,) is that of small_networks.mlp: kernel and bias of the hidden layer, then of the logits.

    Args:
        x, y: (N, I), and whole labels (N,).
        units: U.
        decay: factor of the squares of all weights.
        classes: K.
    """

    def __init__(self, x, y, units, decay, classes=10):
        self.x = np.concatenate([x, np.ones((len(x), 1))], 1).astype(np.float64)
        self.y, self.units, self.decay, self.classes = np.asarray(y), units, decay, classes
        self.labels = np.eye(classes)[self.y]

    @property
    def size(self):
        """P, the number of weights."""
        return self.x.shape[1] * self.units + (self.units + 1) * self.classes

    def first(self, weights):
        """(loss, gradient (P,)) at the weights (P,)."""
        _, b, h, p = self._forward(weights)
        r = (p - self.labels) / len(p)
        backward = (r @ b[:-1].T) * (1 - h[:, :-1] ** 2)
        gradient = np.concatenate([(self.x.T @ backward).ravel(), (h.T @ r).ravel()])
        loss = -np.log(np.maximum((p * self.labels).sum(1), 1e-300)).mean() + self.decay * weights @ weights
        return loss, gradient + 2 * self.decay * weights

    def hessian(self, weights):
        """(P, P) at the weights (P,)."""
        _, b, h, p = self._forward(weights)
        v, slope, count = b[:-1], 1 - h[:, :-1] ** 2, len(p)
        r = p - self.labels
        softmax = p[:, :, None] * (np.eye(self.classes) - p[:, None])  # (N, K, K)
        vs = v @ softmax  # (N, U, K)
        between = slope[:, :, None] * slope[:, None] * (vs @ v.T)  # (N, U, U)
        units, inputs = np.arange(self.units), self.x.shape[1]
        between[:, units, units] -= 2 * h[:, :-1] * slope * (r @ v.T)
        mixed = slope[:, :, None, None] * vs[:, :, None] * h[:, None, :, None]  # (N, U, U + 1, K)
        mixed[:, units, units] += slope[:, :, None] * r[:, None]

        hidden, outputs = inputs * self.units, h.shape[1] * self.classes
        whole = np.empty((hidden + outputs, hidden + outputs))
        first = whole[:hidden, :hidden].reshape(inputs, self.units, inputs, self.units)
        for one in units:
            for other in units[: one + 1]:
                block = self.x.T @ (self.x * between[:, one, other, None])
                first[:, one, :, other] = first[:, other, :, one] = block
        whole[:hidden, :hidden] = first.reshape(hidden, hidden)
        whole[:hidden, hidden:] = (self.x.T @ mixed.reshape(count, -1)).reshape(hidden, outputs)
        whole[hidden:, :hidden] = whole[:hidden, hidden:].T
        products = (h[:, :, None] * h[:, None]).reshape(count, -1)
        last = (products.T @ softmax.reshape(count, -1)).reshape(h.shape[1], h.shape[1], self.classes, self.classes)
        whole[hidden:, hidden:] = last.transpose(0, 2, 1, 3).reshape(outputs, outputs)
        return whole / count + 2 * self.decay * np.eye(self.size)

    def error(self, weights):
        """Percent of the examples that are classified wrongly."""
        return 100 * float(np.mean(self._forward(weights)[3].argmax(1) != self.y))

    def index(self, weights):
        """The share of negative eigenvalues of the Hessian."""
        return critical_points.index(np.linalg.eigvalsh(self.hessian(weights)))

    def initial(self, rng):
        """Weights (P,) as Keras draws them: uniform in +-sqrt(6 / (rows + columns)) of a kernel, biases 0 (Glorot)."""
        a, b = self.split(np.zeros(self.size))
        for kernel in (a[:-1], b[:-1]):
            if kernel.size:
                kernel[:] = rng.uniform(-1, 1, kernel.shape) * np.sqrt(6 / sum(kernel.shape))
        return np.concatenate([a.ravel(), b.ravel()])

    def with_units(self, units):
        """The same error of a network with another number of hidden units, which may be 0."""
        return OneHiddenLayer(self.x[:, :-1], self.y, units, self.decay, self.classes)

    def embedded(self, smaller, weights):
        """The weights of a network with fewer units as weights of this one, whose further units have none.

        Where a unit has no weights, in or out, the gradient of its weights is zero: a critical point of the smaller
        network is one of this network, too (Fukumizu and Amari 2000), and in general a saddle of a larger index. Of
        each unit without weights, the Hessian is [[2 decay I, M], [M^T, 2 decay I]] with M the mean of x r^T, which has
        a negative eigenvalue for each singular value of M above 2 decay.
        """
        a, b = smaller.split(weights)
        more = self.units - smaller.units
        a = np.concatenate([a, np.zeros((len(a), more))], 1)
        b = np.concatenate([b[:-1], np.zeros((more, self.classes)), b[-1:]])
        return np.concatenate([a.ravel(), b.ravel()])

    def idle_units(self, weights, least=1e-4):
        """How many hidden units have outgoing weights whose norm is at most `least`."""
        return int(np.sum(np.linalg.norm(self.split(weights)[1][:-1], axis=1) <= least))

    def split(self, weights):
        """(A (I + 1, U), B (U + 1, K)) of the weights (P,), the biases in the last rows."""
        cut = self.x.shape[1] * self.units
        a, b = weights[:cut], weights[cut:]
        return a.reshape(self.x.shape[1], self.units), b.reshape(self.units + 1, self.classes)

    def _forward(self, weights):
        """(A (I + 1, U), B (U + 1, K), h (N, U + 1), p (N, K))."""
        a, b = self.split(weights)
        h = np.concatenate([np.tanh(self.x @ a), np.ones((len(self.x), 1))], 1)
        z = h @ b
        p = np.exp(z - z.max(1, keepdims=True))
        return a, b, h, p / p.sum(1, keepdims=True)
