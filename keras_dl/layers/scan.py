"""A cell over time, in four implementations with equal results.

- "plain": one step after the other, differentiated by TensorFlow: the reference of the tests.
- "scan": the same loop with a hand-written gradient, which computes the gradients of the weights after the loop, one
  product over all steps for each weight.
- "xla": "scan" compiled by XLA; only the layer is compiled, not the graph around it.
- "fused": TensorFlow's BlockLSTMV2 kernel, for an LSTM without masks and recurrent dropout. TensorFlow's registered
  gradient of it is wrong (it takes the gates in the order of the kernel's first version); the one here calls the right
  kernel.

Shapes: z (T, B, inputs of the cell), states (B, H), mask (T, B, 1), 1 on real steps and 0 where the states stay.
"""

import functools

import tensorflow as tf


def plain(cell, z, states, weights, drop=None, mask=None):
    """Returns (outputs (T, B, H), final states)."""
    (outputs, *_), _, final = _forward(cell, z, states, weights, drop, mask, keep=1)
    return outputs, final


def scan(cell, z, states, weights, drop=None, mask=None, *, compiled=False):
    """As plain, with a hand-written gradient for z, states and weights; drop and mask get none.

    With compiled=True XLA compiles the forward and the backward loop. The products over all steps stay TensorFlow's,
    which are faster than XLA's.
    """
    count = len(states)
    forward, back = _compiled(cell) if compiled else (functools.partial(f, cell) for f in (_forward, _back))

    @tf.custom_gradient
    def run(z, *flat):
        z, *flat = map(tf.stop_gradient, (z, *flat))  # else an eager tape would record the compiled loops
        first, weights = tuple(flat[:count]), tuple(flat[count:])
        new, saved, final = forward(z, first, weights, drop, mask)

        def gradient(d_outputs, *d_final):
            pre, d_first = back(d_outputs, d_final, new, saved, first, weights, drop, mask)
            old = _old(first, new)
            return (pre[..., : cell.inputs], *d_first, *cell.weight_gradients(pre, saved, old, new, drop))

        return (new[0], *final), gradient

    outputs, *final = run(z, *states, *weights)
    return outputs, tuple(final)


def xla(cell, z, states, weights, drop=None, mask=None):
    """As scan, with compiled loops: once for each shape of z."""
    return scan(cell, z, states, weights, drop, mask, compiled=True)


def fused(cell, x, kernel, bias, states, weights):
    """An LSTM over the unprojected inputs x (T, B, D); float32, the one type for which the layers choose it."""

    @tf.custom_gradient
    def run(x, kernel, bias, h, c, recurrent, *peephole):
        w_i, w_f, w_o = tf.unstack(peephole[0]) if peephole else [tf.zeros([cell.units], x.dtype)] * 3
        shared = {
            "seq_len_max": tf.shape(x, tf.int64)[0], "x": x, "cs_prev": c, "h_prev": h, "b": bias,
            "w": tf.concat([kernel, recurrent], 0), "wci": w_i, "wcf": w_f, "wco": w_o, "use_peephole": bool(peephole),
        }  # fmt: skip
        outputs = tf.raw_ops.BlockLSTMV2(cell_clip=0.0, **shared)

        def gradient(d_outputs, dh, dc):
            last = tf.one_hot(_length(x) - 1, _length(x), dtype=x.dtype)[:, None, None]
            values = {name: getattr(outputs, name) for name in ("i", "cs", "f", "o", "ci", "co", "h")}
            back = tf.raw_ops.BlockLSTMGradV2(cs_grad=last * dc, h_grad=d_outputs + last * dh, **values, **shared)
            d_kernel, d_recurrent = tf.split(back.w_grad, [kernel.shape[0], cell.units])
            d_peephole = [tf.stack([back.wci_grad, back.wcf_grad, back.wco_grad])] if peephole else []
            return (back.x_grad, d_kernel, back.b_grad, back.h_prev_grad, back.cs_prev_grad, d_recurrent, *d_peephole)

        return (outputs.h, outputs.h[-1], outputs.cs[-1]), gradient

    outputs, *final = run(x, kernel, bias, *states, *weights)
    return outputs, tuple(final)


def _forward(cell, z, states, weights, drop, mask, keep=None):
    """(states after each step, (T, B, H) each, at most `keep` of them; what the cell saved (T, B, S); final states)."""
    steps, weights = _length(z), cell.forward(weights)

    def body(t, states, arrays):
        new, saved = cell.step(z[t], states, weights, drop)
        new = _kept(new, states, mask, t)
        values = new[:keep] if keep else new if saved is None else (*new, saved)
        return t + 1, new, tuple(array.write(t, value) for array, value in zip(arrays, values, strict=True))

    states = tuple(states)
    arrays = tuple(tf.TensorArray(z.dtype, steps) for _ in range(keep or len(states) + cell.saves))
    _, final, arrays = tf.while_loop(
        lambda t, *_: t < steps, body, (tf.constant(0), states, arrays), parallel_iterations=1, maximum_iterations=steps
    )
    outputs = [array.stack() for array in arrays]
    return outputs[: len(states)], outputs[len(states)] if len(outputs) > len(states) else None, final


def _back(cell, d_outputs, d_final, new, saved, first, weights, drop, mask):
    """(gradients of the pre-activations (T, B, P), of the first states)."""
    steps, weights, old = _length(d_outputs), cell.backward(weights), _old(first, new)

    def body(t, d_states, pres):
        d_new = [d_states[0] + d_outputs[t], *d_states[1:]]
        d_step = d_new if mask is None else [d * mask[t] for d in d_new]
        of_step = None if saved is None else saved[t]
        pre, d_old = cell.step_back(of_step, [o[t] for o in old], [n[t] for n in new], d_step, weights, drop)
        if mask is not None:
            d_old = [d + by * (1 - mask[t]) for d, by in zip(d_old, d_new, strict=True)]
        return t - 1, tuple(d_old), pres.write(t, pre)

    start = (steps - 1, tuple(d_final), tf.TensorArray(d_outputs.dtype, steps))
    _, d_first, pres = tf.while_loop(lambda t, *_: t >= 0, body, start, parallel_iterations=1)
    return pres.stack(), d_first


def _compiled(cell):
    """The compiled _forward and _back of `cell`, kept on the cell so that they are freed with it."""
    if not hasattr(cell, "compiled"):
        cell.compiled = [
            tf.function(functools.partial(f, cell), jit_compile=True, autograph=False) for f in (_forward, _back)
        ]
    return cell.compiled


def _old(first, new):
    """The states before each step (T, B, H)."""
    return [tf.concat([s[None], values[:-1]], 0) for s, values in zip(first, new, strict=True)]


def _kept(new, old, mask, t):
    if mask is None:
        return tuple(new)
    return tuple(mask[t] * n + (1 - mask[t]) * o for n, o in zip(new, old, strict=True))


def _length(z):
    return tf.shape(z)[0] if z.shape[0] is None else z.shape[0]
