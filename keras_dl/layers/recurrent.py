"""Recurrent layers: the cells of cells.py as Keras layers, over sequences of any length.

They can be used in place of Keras' own layers: arguments, masks, states, weight layout, Bidirectional and mixed
precision are the same. The differences:

- activations are the papers' (tanh and sigmoid; for Transition those of cells.ACTIVATIONS); others are refused;
- dropout of the inputs and of the recurrence has one mask for all gates (arXiv:1512.05287), not one per gate;
- `unroll` and `use_cudnn` are accepted and have no effect on the results; use_cudnn=True is refused;
- a seeded initializer draws each weight of a layer independently (initialization.py);
- `implementation` chooses the implementation of scan.py, all with equal results; Keras' values 0, 1 and 2 mean "auto".
  Measured on 2 cores without a GPU: "xla" is the fastest if batches have few different shapes, since it compiles for
  each shape; otherwise BlockLSTMV2 ("fused") is the fastest up to FUSED_UNITS, and the loop with a hand-written
  gradient ("scan") beyond. "auto" chooses between the last two.

Shapes: B sequences, T steps, D inputs, H units.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_dl.layers import cells
from keras_dl.layers.initialization import given_seed
from keras_dl.layers.keras_order import in_the_order_of
from keras_dl.layers.recurrent_base import FUSED_UNITS, IMPLEMENTATIONS, Recurrent

__all__ = ["FUSED_UNITS", "GRU", "IMPLEMENTATIONS", "LSTM", "Recurrent", "Transition"]


ACTIVATIONS = {"activation": "tanh", "recurrent_activation": "sigmoid"}  # of the equations of LSTM and GRU


def _check_activations(who, activation, recurrent_activation):
    for (name, only), value in zip(ACTIVATIONS.items(), (activation, recurrent_activation), strict=True):
        if value != only and getattr(value, "__name__", None) != only:
            shown = getattr(value, "__name__", repr(value))
            raise ValueError(
                f"{who}: {name} must be {only!r}, that of the equations; got {shown}. keras.layers.{who} has others."
            )


@keras.saving.register_keras_serializable("keras_dl")
class LSTM(Recurrent):
    """Long short-term memory, with or without peepholes.

    Without peepholes it can replace keras.layers.LSTM: the same arguments, weights and results (the top of recurrent.py
    lists the differences). Kernel (D, 4H), gates i, f, c, o.

    Args:
        units: H.
        activation, recurrent_activation: "tanh" and "sigmoid".
        use_bias: as in Keras.
        unit_forget_bias: True: the forget gate's bias starts at `forget_bias`; False: bias_initializer sets it.
        forget_bias: 1, as in Keras, or another number.
        peephole: the gates also see the cell's state: input and forget gate the old one, output gate the new one.
        **kwargs: of Recurrent, as in keras.layers.LSTM.

    Source: Graves, arXiv:1308.0850, equations (7) to (11); in full in cells.LSTMCell.

    >>> LSTM(3, peephole=True, return_sequences=True)(keras.ops.ones((2, 5, 4))).shape
    TensorShape([2, 5, 3])
    """

    activation = staticmethod(keras.activations.tanh)
    recurrent_activation = staticmethod(keras.activations.sigmoid)

    @in_the_order_of(keras.layers.LSTM)
    def __init__(
        self, units, activation="tanh", recurrent_activation="sigmoid", use_bias=True, *, unit_forget_bias=True,
        peephole=False, forget_bias=1.0, **kwargs,
    ):  # fmt: skip
        _check_activations("LSTM", activation, recurrent_activation)
        self.peephole, self.forget_bias, self.unit_forget_bias = peephole, forget_bias, unit_forget_bias
        super().__init__(units, use_bias=use_bias, **kwargs)

    def make_cell(self):
        return cells.LSTMCell(self.units, self.peephole)

    def build_cell(self):
        units = self.units
        self.recurrent_kernel = self._add("recurrent_kernel", (units, 4 * units), "recurrent")
        self.bias = self._add_gates_bias() if self.use_bias else None
        self.cell_weights = [self.recurrent_kernel]
        if self.peephole:
            self.peepholes = self.add_drawn("peepholes", (3, units), self.peephole_initializer)
            self.cell_weights += [self.peepholes]

    def _add_gates_bias(self):
        initializer = self.drawn_apart(self.bias_initializer)

        def bias(shape, dtype=None):
            i, f, c, o = ops.split(initializer(shape, dtype), 4)
            return ops.concatenate([i, ops.full_like(f, self.forget_bias), c, o])

        return self.add_weight(
            name="bias", shape=(4 * self.units,), initializer=bias if self.unit_forget_bias else initializer,
            regularizer=self.bias_regularizer, constraint=self.bias_constraint,
        )  # fmt: skip

    @property
    def peephole_initializer(self):
        # VarianceScaling computes the variance from a full matrix's shape; peepholes are diagonal matrices.
        if not isinstance(self.kernel_initializer, keras.initializers.VarianceScaling):
            return self.kernel_initializer
        return keras.initializers.RandomUniform(-0.1, 0.1, seed=given_seed(self.kernel_initializer))

    def get_config(self):
        names = ("peephole", "forget_bias", "unit_forget_bias")
        return super().get_config() | ACTIVATIONS | {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable("keras_dl")
class GRU(Recurrent):
    """Gated recurrent unit.

    It can replace keras.layers.GRU: the same arguments, defaults, weights and results (the top of recurrent.py lists
    the differences). The paper's network is reset_after=False, with the opposite sign of the weights of gate z (the
    first H columns of each weight): in Keras z is the share of the old state, h = z * h' + (1 - z) * c, in the paper
    that of the candidate. Kernel (D, 3H), gates z, r, candidate; bias (3H,), or (2, 3H) with reset_after.

    Args:
        units: H.
        activation, recurrent_activation: "tanh" and "sigmoid".
        use_bias: as in Keras.
        reset_after: True: c = tanh(W x + r * (U h' + b_U) + b), what cuDNN computes; False:
            c = tanh(W x + U (r * h') + b), the paper's.
        **kwargs: of Recurrent, as in keras.layers.GRU.

    Source: Chung et al., arXiv:1412.3555, equations (5) to (8); in full in cells.GRUCell.

    >>> GRU(3)(keras.ops.ones((2, 5, 4))).shape
    TensorShape([2, 3])
    """

    activation = staticmethod(keras.activations.tanh)
    recurrent_activation = staticmethod(keras.activations.sigmoid)

    @in_the_order_of(keras.layers.GRU)
    def __init__(
        self, units, activation="tanh", recurrent_activation="sigmoid", use_bias=True, *, reset_after=True, **kwargs
    ):
        _check_activations("GRU", activation, recurrent_activation)
        self.reset_after = reset_after
        super().__init__(units, use_bias=use_bias, **kwargs)

    def make_cell(self):
        return cells.GRUCell(self.units, self.reset_after, z_keeps=True)

    def build_cell(self):
        width = 3 * self.units
        self.recurrent_kernel = self._add("recurrent_kernel", (self.units, width), "recurrent")
        self.bias = self._add("bias", (2, width) if self.reset_after else (width,), "bias") if self.use_bias else None

    @property
    def cell_weights(self):
        if not self.reset_after:
            return [self.recurrent_kernel]
        return [self.recurrent_kernel, self.bias[1] if self.use_bias else np.zeros(3 * self.units)]

    def _input_bias(self):
        if self.use_bias and self.reset_after:
            return tf.convert_to_tensor(self.bias[0])
        return super()._input_bias()

    def get_config(self):
        return super().get_config() | ACTIVATIONS | {"reset_after": self.reset_after}


@keras.saving.register_keras_serializable("keras_dl")
class Transition(Recurrent):
    """The conventional recurrent network, and those whose transition is itself a network of several layers.

    Without transition_units it can replace keras.layers.SimpleRNN, with one of cells.ACTIVATIONS.

    Args:
        units: H.
        activation: of h, one of cells.ACTIVATIONS.
        use_bias: as in Keras.
        transition_units: widths of the layers between h' and h; () is the conventional network.
        transition_activation: of these layers, one of cells.ACTIVATIONS.
        shortcut: h' also enters the last layer, and x every layer: DT(S).
        **kwargs: of Recurrent, as in keras.layers.SimpleRNN.

    Source: Pascanu et al., arXiv:1312.6026, section 3.2.2; in full in cells.TransitionCell.

    >>> Transition(3, transition_units=(7,), shortcut=True)(keras.ops.ones((2, 5, 4))).shape
    TensorShape([2, 3])
    """

    @in_the_order_of(keras.layers.SimpleRNN)
    def __init__(
        self, units, activation="tanh", use_bias=True, *, transition_units=(), transition_activation="tanh",
        shortcut=False, **kwargs,
    ):  # fmt: skip
        self.transition_units, self.shortcut = tuple(transition_units), shortcut
        activation, transition_activation = (
            getattr(a, "__name__", a)
            for a in (activation, transition_activation)  # keras.activations.relu
        )
        for argument, name in (("activation", activation), ("transition_activation", transition_activation)):
            if name not in cells.ACTIVATIONS:
                known = ", ".join(cells.ACTIVATIONS)
                raise ValueError(f"Transition: {argument} must be one of {known}; got {name!r}.")
        self.activation, self.transition_activation = activation, transition_activation
        super().__init__(units, use_bias=use_bias, **kwargs)

    def make_cell(self):
        between = self.transition_units
        activations = [self.transition_activation] * len(between) + [self.activation]
        return cells.TransitionCell([*between, self.units], activations, self.shortcut)

    def build_cell(self):
        sizes, widths = [self.units, *self.transition_units], self.cell.widths
        self.recurrent_kernels = [
            self._add(f"recurrent_kernel{k}", (size, width), "recurrent")
            for k, (size, width) in enumerate(zip(sizes, widths, strict=True), 1)
        ]
        self.bias = self._add("bias", (self.cell.inputs,), "bias") if self.use_bias else None
        if self.shortcut:
            rest = [self._add("shortcut_kernel", (self.units, widths[-1]), "recurrent")]
        else:
            rest = [self._add_bias(f"bias{k}", (n,)) for k, n in enumerate(widths[1:], 2)]
        self.cell_weights = [*self.recurrent_kernels, *rest]

    def get_config(self):
        names = ("transition_units", "activation", "transition_activation", "shortcut")
        return super().get_config() | {name: getattr(self, name) for name in names}
