"""The equations of recurrent cells, one step forward and one step backward, as functions of tensors.

The inputs of a cell are projected before the loop: z_t = W x_t + b is one matrix product for all steps. Likewise
step_back returns only the gradient of the pre-activations; the gradients of the weights are one product over all steps
after the loop. scan.py runs a cell over time.

    forward(weights), backward(weights) -> the weights as step and step_back need them, split or transposed once
    step(z, states, weights, drop) -> (new states, saved); saved (B, S) or None is what step_back needs
    step_back(saved, old, new, gradients, weights, drop) -> (gradient of the pre-activations (B, P), of the old states)
    weight_gradients(d, saved, old, new, drop) -> gradients of the weights, from all steps (T, B, ...) at once

`drop` (B, H) or None is multiplied with h before the recurrent matrices: variational dropout (arXiv:1512.05287).
Shapes: T steps, B sequences, H units; weights are laid out as in Keras, gates side by side in the last axis.
"""

import tensorflow as tf


class LSTMCell:
    """Long short-term memory with peepholes.

        i = sigmoid(W_xi x + W_hi h' + w_ci * c' + b_i)              (7)
        f = sigmoid(W_xf x + W_hf h' + w_cf * c' + b_f)              (8)
        c = f * c' + i * tanh(W_xc x + W_hc h' + b_c)                (9)
        o = sigmoid(W_xo x + W_ho h' + w_co * c + b_o)               (10)
        h = o * tanh(c)                                              (11)

    where h' and c' are those of the step before. Source: Graves, arXiv:1308.0850, equations (7) to (11). Without
    peepholes the three w_c are zero. Weights: recurrent kernel (H, 4H), gates i, f, c, o; with peepholes also w_ci,
    w_cf, w_co (3, H).
    """

    def __init__(self, units, peephole=False):
        self.units, self.peephole = units, peephole
        self.state_size, self.inputs, self.saves = (units, units), 4 * units, True

    def forward(self, weights):
        return weights

    def backward(self, weights):
        return [tf.transpose(weights[0]), *weights[1:]]

    def step(self, z, states, weights, drop):
        h, c = states
        a = z + tf.matmul(_dropped(h, drop), weights[0])
        if self.peephole:
            w_i, w_f, w_o = tf.unstack(weights[1])
            a_i, a_f, a_g, a_o = tf.split(a, 4, -1)
            i, f = tf.sigmoid(a_i + w_i * c), tf.sigmoid(a_f + w_f * c)
        else:
            i, f, _, o = tf.split(tf.sigmoid(a), 4, -1)  # one op for all gates; the third part is not used
            a_g = a[:, 2 * self.units : 3 * self.units]
        g = tf.tanh(a_g)
        c = f * c + i * g
        if self.peephole:
            o = tf.sigmoid(a_o + w_o * c)
        return (o * tf.tanh(c), c), tf.concat([i, f, g, o], -1)

    def step_back(self, saved, old, new, gradients, weights, drop):
        (dh, dc), (_, c_old), (_, c) = gradients, old, new
        i, f, g, o = tf.split(saved, 4, -1)
        tanh_c = tf.tanh(c)
        da_o = dh * tanh_c * o * (1 - o)
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        if self.peephole:
            w_i, w_f, w_o = tf.unstack(weights[1])
            dc = dc + da_o * w_o
        da_i, da_f = dc * g * i * (1 - i), dc * c_old * f * (1 - f)
        d = tf.concat([da_i, da_f, dc * i * (1 - g * g), da_o], -1)
        dc_old = dc * f
        if self.peephole:
            dc_old = dc_old + da_i * w_i + da_f * w_f
        return d, (_dropped(tf.matmul(d, weights[0]), drop), dc_old)

    def weight_gradients(self, d, saved, old, new, drop):
        recurrent = product_over_time(_dropped(old[0], drop), d)
        if not self.peephole:
            return [recurrent]
        da_i, da_f, _, da_o = tf.split(d, 4, -1)
        peepholes = [(da_i, old[1]), (da_f, old[1]), (da_o, new[1])]
        return [recurrent, tf.stack([tf.reduce_sum(da * c, [0, 1]) for da, c in peepholes])]


class GRUCell:
    """Gated recurrent unit.

        r = sigmoid(W_r x + U_r h' + b_r)
        z = sigmoid(W_z x + U_z h' + b_z)
        c = tanh(W x + U (r * h') + b)              reset_after=False, the paper's
        c = tanh(W x + r * (U h' + b_U) + b)        reset_after=True, what cuDNN computes
        h = (1 - z) * h' + z * c                    z_keeps=False, the paper's
        h = z * h' + (1 - z) * c                    z_keeps=True, what cuDNN and Keras compute

    Source: Chung et al., arXiv:1412.3555, equations (5) to (8). In the paper z is the share of the candidate in the new
    state, in Keras that of the old state. As sigmoid(-a) = 1 - sigmoid(a), both are the same network, with opposite
    signs of the weights and biases of z. Weights: recurrent kernel (H, 3H), gates z, r, candidate; with reset_after
    also the recurrent bias (3H,), which r multiplies and which therefore cannot be added to the inputs' bias.
    """

    def __init__(self, units, reset_after=False, z_keeps=False):
        self.units, self.reset_after, self.z_keeps = units, reset_after, z_keeps
        self.state_size, self.inputs, self.saves = (units,), 3 * units, True

    def forward(self, weights):
        return weights if self.reset_after else tf.split(weights[0], [2 * self.units, self.units], -1)

    def backward(self, weights):
        return [tf.transpose(w) for w in (weights[:1] if self.reset_after else self.forward(weights))]

    def step(self, z, states, weights, drop):
        (h,), units = states, self.units
        dropped = _dropped(h, drop)
        if self.reset_after:
            inner = tf.matmul(dropped, weights[0]) + weights[1]
            update, reset = tf.split(tf.sigmoid(z[:, : 2 * units] + inner[:, : 2 * units]), 2, -1)
            inner = inner[:, 2 * units :]
            candidate = tf.tanh(z[:, 2 * units :] + reset * inner)
            saved = [update, reset, candidate, inner]
        else:
            gates = tf.sigmoid(z[:, : 2 * units] + tf.matmul(dropped, weights[0]))
            update, reset = tf.split(gates, 2, -1)
            candidate = tf.tanh(z[:, 2 * units :] + tf.matmul(reset * dropped, weights[1]))
            saved = [gates, candidate]
        new = candidate + update * (h - candidate) if self.z_keeps else h + update * (candidate - h)
        return (new,), tf.concat(saved, -1)

    def step_back(self, saved, old, new, gradients, weights, drop):
        (dh,), (h,), units = gradients, old, self.units
        update, reset, candidate = (saved[:, n * units : (n + 1) * units] for n in range(3))
        kept, added = (update, 1 - update) if self.z_keeps else (1 - update, update)
        da = dh * added * (1 - candidate * candidate)
        change = h - candidate if self.z_keeps else candidate - h
        da_update = dh * change * kept * added
        if self.reset_after:
            da_reset = da * saved[:, 3 * units :] * reset * (1 - reset)
            inner = tf.concat([da_update, da_reset, da * reset], -1)
            back = tf.matmul(inner, weights[0])
        else:
            d_product = tf.matmul(da, weights[1])
            da_reset = d_product * _dropped(h, drop) * reset * (1 - reset)
            gates = tf.concat([da_update, da_reset], -1)
            back = tf.matmul(gates, weights[0]) + d_product * reset
        return tf.concat([da_update, da_reset, da], -1), (dh * kept + _dropped(back, drop),)

    def weight_gradients(self, d, saved, old, new, drop):
        units, h = self.units, _dropped(old[0], drop)
        reset = saved[..., units : 2 * units]
        gates, da = d[..., : 2 * units], d[..., 2 * units :]
        if self.reset_after:
            inner = tf.concat([gates, da * reset], -1)
            return [product_over_time(h, inner), tf.reduce_sum(inner, [0, 1])]
        return [tf.concat([product_over_time(h, gates), product_over_time(reset * h, da)], -1)]


class TransitionCell:
    """The transition from one hidden state to the next as a network of K layers.

        a_1 = phi_1(V_1 h' + U_1 x + b_1)
        a_k = phi_k(V_k a_{k-1} + b_k)                              h = a_K

    Source: Pascanu et al., arXiv:1312.6026, section 3.2.2: K = 1 is the conventional RNN, K > 1 the DT-RNN. With
    `shortcut`, DT(S): h' also enters the last layer, and x every layer: phi_k(V_k a_{k-1} + U_k x + b_k), the last
    with S h' added. (The paper does not say which of these shortcuts its networks have; its parameter counts do.)
    Weights: V_1 ... V_K; then S with `shortcut`, else b_2 ... b_K.

    Args:
        sizes: units of each layer, K of them; the last is H.
        activations: of each layer, one of ACTIVATIONS; a "maxout" unit is the maximum of PIECES linear units.
    """

    def __init__(self, sizes, activations, shortcut=False):
        self.sizes, self.activations, self.shortcut = tuple(sizes), tuple(activations), shortcut
        self.units = self.sizes[-1]
        # Width of each layer before its non-linearity.
        self.widths = [n * (PIECES if a == "maxout" else 1) for n, a in zip(sizes, activations, strict=True)]
        self.state_size, self.inputs = (self.units,), sum(self.widths) if shortcut else self.widths[0]
        self.saves = len(self.sizes) > 1 or self.activations[-1] == "maxout"

    def forward(self, weights):
        return weights

    def backward(self, weights):
        return [tf.transpose(w) for w in weights if w.shape.rank == 2]

    def step(self, z, states, weights, drop):
        h = a = _dropped(states[0], drop)
        count, saved = len(self.sizes), []
        fed = tf.split(z, self.widths, -1) if self.shortcut else [z]
        for k, name in enumerate(self.activations):
            pre = tf.matmul(a, weights[k]) + (fed[k] if k < len(fed) else weights[count + k - 1])
            if self.shortcut and k == count - 1:
                pre = pre + tf.matmul(h, weights[count])
            a = activate(name, pre)
            saved.append(pre if name == "maxout" else a)
        saved = saved if self.activations[-1] == "maxout" else saved[:-1]  # h itself is a state
        return (a,), tf.concat(saved, -1) if saved else None

    def step_back(self, saved, old, new, gradients, weights, drop):
        count, parts, d, by_h = len(self.sizes), self._parts(saved, new), gradients[0], 0.0
        pres = []
        for k in reversed(range(count)):
            pre = _activate_back(self.activations[k], parts[k], d)
            if self.shortcut and k == count - 1:
                by_h = tf.matmul(pre, weights[count])
            d = tf.matmul(pre, weights[k])
            pres.insert(0, pre)
        return tf.concat(pres, -1), (_dropped(d + by_h, drop),)

    def weight_gradients(self, d, saved, old, new, drop):
        h, pres, parts = _dropped(old[0], drop), tf.split(d, self.widths, -1), self._parts(saved, new)
        entering = [h, *(_of_saved(name, part) for name, part in zip(self.activations, parts, strict=True))]
        gradients = [product_over_time(a, pre) for a, pre in zip(entering[:-1], pres, strict=True)]
        if self.shortcut:
            return [*gradients, product_over_time(h, pres[-1])]
        return [*gradients, *(tf.reduce_sum(pre, [0, 1]) for pre in pres[1:])]

    def _parts(self, saved, new):
        """What _activate_back needs of each layer: its activation, or for maxout its pre-activation."""
        if self.activations[-1] == "maxout":
            return tf.split(saved, self.widths, -1)
        return [*(tf.split(saved, self.widths[:-1], -1) if saved is not None else []), new[0]]


PIECES = 2  # linear units of a maxout unit
ACTIVATIONS = ("tanh", "relu", "sigmoid", "maxout")


def activate(name, pre):
    """One of ACTIVATIONS: (..., N) -> (..., N), or (..., PIECES N) -> (..., N) for "maxout" (arXiv:1302.4389)."""
    if name == "maxout":
        return tf.reduce_max(_pieces(pre), -1)
    return {"tanh": tf.tanh, "relu": tf.nn.relu, "sigmoid": tf.sigmoid}[name](pre)


def _activate_back(name, saved, d):
    """Gradient of the pre-activation, from what `step` saved (the activation; for maxout the pre-activation)."""
    if name == "tanh":
        return d * (1 - saved * saved)
    if name == "sigmoid":
        return d * saved * (1 - saved)
    if name == "relu":
        return d * tf.cast(saved > 0, d.dtype)
    pieces = _pieces(saved)
    largest = tf.cast(tf.equal(pieces, tf.reduce_max(pieces, -1, keepdims=True)), d.dtype)
    return tf.reshape(d[..., None] * largest / tf.reduce_sum(largest, -1, keepdims=True), tf.shape(saved))


def _of_saved(name, saved):
    return tf.reduce_max(_pieces(saved), -1) if name == "maxout" else saved


def _pieces(pre):
    return tf.reshape(pre, tf.concat([tf.shape(pre)[:-1], [pre.shape[-1] // PIECES, PIECES]], 0))


def _dropped(h, drop):
    return h if drop is None else h * drop


def product_over_time(a, b):
    """Sum over steps and sequences of the outer products of a (T, B, M) and b (T, B, N): (M, N)."""
    return tf.matmul(tf.reshape(a, [-1, a.shape[-1]]), tf.reshape(b, [-1, b.shape[-1]]), transpose_a=True)
