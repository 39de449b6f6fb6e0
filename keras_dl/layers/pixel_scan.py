"""An LSTM over the pixels of a map, many of them in each step: a row, or a diagonal.

    [i, f, g, o] = K_is * x + K_ss * h' + b          i, f, o through a sigmoid, g through a tanh
    c = f c' + i g          h = o tanh(c)

where h' and c' are those of the step before, and the state-to-state kernel K_ss sees several neighbouring pixels of it.
Source: van den Oord et al., "Pixel Recurrent Neural Networks" (arXiv:1601.06759), equation 3.

Two implementations with equal results:

- "plain": both directions as one batch, differentiated by TensorFlow: the reference of the tests.
- "fused": TensorFlow's LSTMBlockCell for each step and each direction, which has one operation for all of the equations
  above; the gradient is written by hand and computes those of the weights after the loop. Both directions run side by
  side. On 2 cores it takes a third of the time of a hand-written gradient with one product for both directions.

The steps are unrolled in the graph. A graph has them once for each direction, since all layers call the same function.
Shapes: D directions, B images, S pixels in the order of the steps, I inputs of a pixel, U units, K taps of K_ss.
"""

import functools
from typing import NamedTuple

import tensorflow as tf

from keras_dl.layers.skewing import diagonals


class Step(NamedTuple):
    """How the pixels of a step lie beside those of the step before.

    `around` is what K_ss sees: the states of the step before, between zeros where there is no pixel; the K taps of
    pixel n of the step are its entries n, ..., n + K - 1.

    Attributes:
        pixels: number of pixels.
        front, behind: number of zeros before and after the states.
        enters: 1 if the last pixel is the first of its row: the state before it is the initial one.
        centre: index of that tap whose pixel hands on its c.
    """

    pixels: int
    front: int
    behind: int
    enters: int
    centre: int

    def around(self, h, first):
        """h (..., pixels before, U), the initial state first (..., 1, U) -> (..., pixels + K - 1, U)."""
        zero = tf.zeros_like(first)
        parts = [zero] * self.front + [h] + [first] * self.enters + [zero] * self.behind
        return tf.concat(parts, -2) if len(parts) > 1 else h

    def own(self, c, first):
        """The c that each pixel goes on from: (..., pixels, U)."""
        c = c[..., self.centre - self.front :, :]
        return tf.concat([c, first], -2) if self.enters else c

    def around_back(self, d):
        """Gradients of h and of the initial state (..., 0 or 1, U) from that of `around`."""
        end = d.shape[-2] - self.behind
        return d[..., self.front : end - self.enters, :], d[..., end - self.enters : end, :]

    def own_back(self, d):
        """Gradients of c and of the initial state from that of `own`."""
        end = self.pixels - self.enters
        lost = self.centre - self.front
        return tf.pad(d[..., :end, :], [*[[0, 0]] * (d.shape.rank - 2), [lost, 0], [0, 0]]), d[..., end:, :]


class Steps(NamedTuple):
    """The order in which an LSTM goes over a map.

    Attributes:
        steps: a tuple of Step.
        start: number of pixels whose state is the initial one before the first step.
    """

    steps: tuple
    start: int

    @classmethod
    def of_rows(cls, height, width, taps):
        """Row after row; the taps are those around the pixel above."""
        return cls((Step(width, taps // 2, taps // 2, 0, taps // 2),) * height, width)

    @classmethod
    def of_diagonals(cls, height, width):
        """Diagonal after diagonal, as skew orders them; the two taps are the pixel above and the pixel to the left."""
        return cls(
            tuple(
                Step(len(sites), int(sites[0][0] == 0), 0, int(sites[-1][1] == 0), 1)
                for sites in diagonals(height, width)
            ),
            0,
        )

    @property
    def pixels(self):
        """Pixels of each step."""
        return [step.pixels for step in self.steps]

    @property
    def size(self):
        """S, pixels of all steps."""
        return sum(self.pixels)


def lstm(pre, c):
    """(h, c) from the pre-activations (..., 4U), gates i, f, g, o, and the c before."""
    i, f, g, o = tf.split(pre, 4, -1)
    c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
    return tf.sigmoid(o) * tf.tanh(c), c


def plain(x, kernel, recurrent, bias, first, steps):
    """All directions as one batch.

    Args:
        x: (D, B, S, I).
        kernel, recurrent, bias: (D, I, 4U), (D, K U, 4U), (D, 4U), gates i, f, g, o.
        first: (D, 2, U), the initial h and c.
        steps: a Steps.

    Returns:
        h: (D, B, S, U).
    """
    directions, units = kernel.shape[0], first.shape[-1]
    batch = tf.shape(x)[1]
    flat = tf.reshape(x, [directions, -1, x.shape[-1]])
    z = tf.reshape(tf.matmul(flat, kernel) + bias[:, None], [directions, batch, -1, 4 * units])
    h_0, c_0 = (tf.tile(first[:, None, n, None], [1, batch, 1, 1]) for n in (0, 1))  # (D, B, 1, U)
    h, c = (tf.tile(state, [1, 1, steps.start, 1]) for state in (h_0, c_0))
    outputs = []
    for z_t, step in zip(tf.split(z, steps.pixels, 2), steps.steps, strict=True):
        taps = _taps(step.around(h, h_0), step)
        product = tf.matmul(tf.reshape(taps, [directions, -1, taps.shape[-1]]), recurrent)
        h, c = lstm(z_t + tf.reshape(product, tf.shape(z_t)), step.own(c, c_0))
        outputs.append(h)
    return tf.concat(outputs, 2)


def fused(x, kernel, recurrent, bias, first, steps):
    """As plain, in float32, with TensorFlow's LSTMBlockCell."""
    arguments = zip(*(tf.unstack(argument) for argument in (x, kernel, recurrent, bias, first)), strict=True)
    return tf.stack([_fused(steps, *of_direction) for of_direction in arguments])


def _fused(steps, x, kernel, recurrent, bias, first):
    """One direction: x (B, S, I) -> (B, S, U)."""
    forward, back = _functions(steps, x.shape[-1], recurrent.shape[0], first.shape[-1])

    @tf.custom_gradient
    def run(*arguments):
        # Without stop_gradient, an eager tape would look for a gradient of the block.
        x, kernel, recurrent, bias, first = map(tf.stop_gradient, arguments)
        weights = (_block_order(kernel), _block_order(recurrent), _block_order(bias))
        saved = forward(x, *weights, first)

        def gradient(d):
            dx, *d_weights, d_first = back(d, x, *weights[:2], saved)
            return (dx, *map(_house_order, d_weights), d_first)

        return tf.concat(saved["h"], 1)[: tf.shape(x)[0]], gradient

    return run(x, kernel, recurrent, bias, first)


@functools.lru_cache(64)
def _functions(steps, inputs, taps, units):
    """The steps forward and back as functions, which are traced once and called by all layers of these sizes.

    Their calls are not inlined: else each layer would have a copy of all steps, and TensorFlow would take minutes to
    prepare the graph.
    """
    shapes = [(None, steps.size, inputs), (inputs, 4 * units), (taps, 4 * units), (4 * units,), (2, units)]
    signatures = ([tf.TensorSpec(shape) for shape in shapes], None)
    return [
        tf.function(
            functools.partial(f, steps), input_signature=signature, autograph=False,
            experimental_attributes={"_noinline": True},
        )
        for f, signature in zip((_forward, _back), signatures, strict=True)
    ]  # fmt: skip


def _forward(steps, x, kernel, recurrent, bias, first):
    """{name: a value for each step}, what `_back` needs; gates in the order of the block."""
    x = _not_empty(x)
    units, batch, centre = first.shape[-1], tf.shape(x)[0], steps.steps[0].centre
    h_0, c_0 = (tf.tile(first[None, n, None], [batch, 1, 1]) for n in (0, 1))  # (B, 1, U)
    h, c = (tf.tile(state, [1, steps.start, 1]) for state in (h_0, c_0))
    # The block takes the centre tap as its h, and the others beside x.
    recurrent = tf.split(recurrent, recurrent.shape[0] // units)
    weights = tf.concat([kernel, *recurrent[:centre], *recurrent[centre + 1 :], recurrent[centre]], 0)
    peephole = tf.zeros([units], x.dtype)
    saved = {name: [] for name in ("i", "cs", "f", "o", "ci", "co", "h", "around", "c_old")}
    for x_t, step in zip(tf.split(x, steps.pixels, 1), steps.steps, strict=True):
        around, c_old = step.around(h, h_0), step.own(c, c_0)
        taps = _tap_list(around, step)
        beside = tf.concat([x_t, *taps[:centre], *taps[centre + 1 :]], -1)
        block = tf.raw_ops.LSTMBlockCell(
            x=_rows(beside), h_prev=_rows(taps[centre]), cs_prev=_rows(c_old), w=weights, b=bias,
            wci=peephole, wcf=peephole, wco=peephole, forget_bias=0.0, cell_clip=-1.0, use_peephole=False,
        )  # fmt: skip
        h, c = (tf.reshape(value, [-1, step.pixels, units]) for value in (block.h, block.cs))
        values = {name: getattr(block, name) for name in ("i", "cs", "f", "o", "ci", "co")}
        for name, value in (values | {"h": h, "around": around, "c_old": c_old}).items():
            saved[name].append(value)
    return saved


def _back(steps, d_outputs, x, kernel, recurrent, saved):
    """Gradients of x, kernel, recurrent, bias and first."""
    images = tf.shape(x)[0]
    x, d_outputs = _not_empty(x), _not_empty(d_outputs)
    units = d_outputs.shape[-1]
    transposed, peephole = tf.transpose(recurrent), tf.zeros([units], x.dtype)
    unused = tf.zeros([2 * units, 4 * units], x.dtype)  # the block's gradient reads no weights, only their shape
    empty = tf.zeros([4 * units], x.dtype)
    ds, d_first = [], []
    dh = dc = 0.0
    d_outputs = tf.split(d_outputs, steps.pixels, 1)
    for t in reversed(range(len(steps.steps))):
        step, old = steps.steps[t], {name: values[t] for name, values in saved.items()}
        c_old = _rows(old["c_old"])
        dh = d_outputs[t] + dh
        block = tf.raw_ops.LSTMBlockCellGrad(
            x=c_old, cs_prev=c_old, h_prev=c_old, w=unused, b=empty, wci=peephole, wcf=peephole, wco=peephole,
            h_grad=_rows(dh), cs_grad=tf.zeros_like(c_old) if t == len(steps.steps) - 1 else _rows(dc),
            use_peephole=False, **{name: old[name] for name in ("i", "cs", "f", "o", "ci", "co")},
        )  # fmt: skip
        ds.append(tf.reshape(block.dicfo, [-1, step.pixels, 4 * units]))
        d_taps = tf.reshape(tf.matmul(block.dicfo, transposed), [-1, step.pixels, recurrent.shape[0]])
        d_taps = tf.split(d_taps, recurrent.shape[0] // units, -1)
        last = len(d_taps) - 1
        d_around = tf.add_n([tf.pad(d, [[0, 0], [k, last - k], [0, 0]]) for k, d in enumerate(d_taps)])
        dh, dh_0 = step.around_back(d_around)
        dc, dc_0 = step.own_back(tf.reshape(block.cs_prev_grad, [-1, step.pixels, units]))
        d_first.append(tf.stack([tf.reduce_sum(d, [0, 1]) for d in (dh_0, dc_0)]))
    if steps.start:
        d_first.append(tf.stack([tf.reduce_sum(d, [0, 1]) for d in (dh, dc)]))
    d = tf.concat(ds[::-1], 1)
    rows = _rows(d)
    taps = tf.concat([_taps(h, step) for h, step in zip(saved["around"], steps.steps, strict=True)], 1)
    return (
        tf.reshape(tf.matmul(rows, kernel, transpose_b=True), tf.shape(x))[:images],
        tf.matmul(_rows(x), rows, transpose_a=True),
        tf.matmul(_rows(taps), rows, transpose_a=True),
        tf.reduce_sum(rows, 0),
        tf.add_n(d_first),
    )


def _not_empty(x):
    """x (B, ...), or one image of zeros for none: the block refuses empty tensors."""
    return tf.cond(tf.shape(x)[0] > 0, lambda: x, lambda: tf.zeros([1, *x.shape[1:]], x.dtype))


def _tap_list(around, step):
    count = around.shape[-2] - step.pixels + 1
    return [around[..., k : k + step.pixels, :] for k in range(count)]


def _taps(around, step):
    """(..., pixels + K - 1, U) -> (..., pixels, K U)."""
    return tf.concat(_tap_list(around, step), -1)


def _rows(x):
    return tf.reshape(x, [-1, x.shape[-1]])


def _block_order(x):
    """Gates i, f, g, o in the order of LSTMBlockCell: i, g, f, o."""
    i, f, g, o = tf.split(x, 4, -1)
    return tf.concat([i, g, f, o], -1)


_house_order = _block_order  # the exchange of f and g is its own inverse
