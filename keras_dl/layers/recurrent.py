"""Recurrent layers: the cells of cells.py as Keras layers, over sequences of any length.

They take and give what Keras' own do: masks, return_sequences, return_state, initial_state, go_backwards and so
Bidirectional, mixed precision; weights lie as theirs. `implementation` chooses the route of scan.py by which a layer
runs; all compute the same. What follows from measuring them (2 cores, no GPU): XLA is the fastest wherever the shapes
of the batches are few, since it compiles for each of them; without it BlockLSTMV2 wins up to FUSED_UNITS, the loop with
its own gradient beyond. "auto" takes the latter two: it is never slow.

Shapes: B sequences, T steps, D inputs, H units.
"""

import keras
import tensorflow as tf
from keras import ops

from keras_dl.layers import cells, scan

IMPLEMENTATIONS = ("auto", "plain", "scan", "xla", "fused")
FUSED_UNITS = 128


class Recurrent(keras.layers.Layer):
    """What LSTM, GRU and Transition share: they make a cell and its weights.

    Call arguments:
        sequences: (B, T, D).
        initial_state: list of (B, H), zeros where not given.
        mask: (B, T) bool; where it is False the state stays and the output is the one before (with
            zero_output_for_mask, which Bidirectional sets, zeros).
        training: whether dropout is on.

    Returns:
        (B, T, H) with return_sequences, else (B, H), the last; with return_state a list of it and the final states.
    """

    def __init__(
        self, units, *, kernel_initializer="glorot_uniform", recurrent_initializer="orthogonal",
        bias_initializer="zeros", dropout=0.0, recurrent_dropout=0.0, return_sequences=False, return_state=False,
        go_backwards=False, zero_output_for_mask=False, implementation="auto", seed=None, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        if implementation not in IMPLEMENTATIONS:
            raise ValueError(
                f"{type(self).__name__}: implementation must be one of {', '.join(IMPLEMENTATIONS)}; "
                f"got {implementation!r}."
            )
        self.units, self.implementation = units, implementation
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(recurrent_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.dropout, self.recurrent_dropout = dropout, recurrent_dropout
        self.return_sequences, self.return_state, self.go_backwards = return_sequences, return_state, go_backwards
        self.zero_output_for_mask = zero_output_for_mask
        self.stateful, self.states = False, None  # Bidirectional asks
        self.seed = seed
        if dropout or recurrent_dropout:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True
        self.cell = self.make_cell()
        if isinstance(self.cell, cells.LSTMCell) and implementation in ("auto", "fused"):
            self.supports_jit = implementation == "auto" and units > FUSED_UNITS  # the kernel is none of XLA's

    @property
    def state_size(self):
        """Units of each state: (H, H) of an LSTM's h and c, (H,) of the others' h."""
        return self.cell.state_size

    def build(self, sequences_shape, initial_state_shape=None):
        self.kernel = self._add("kernel", (sequences_shape[-1], self.cell.inputs), self.kernel_initializer)
        self.build_cell()

    def call(self, sequences, initial_state=None, mask=None, training=False):
        weights = [tf.convert_to_tensor(w) for w in self.cell_weights]
        states = self._states(initial_state, sequences)
        drop = None
        if training and self.dropout:  # one mask for all steps (arXiv:1512.05287)
            shape = (ops.shape(sequences)[0], 1, sequences.shape[-1])
            sequences = sequences * self._keep(shape, self.dropout)
        if training and self.recurrent_dropout:
            drop = self._keep((ops.shape(sequences)[0], self.units), self.recurrent_dropout)

        if sequences.shape[1] == 1 and mask is None:  # a step of generation: no loop
            z = tf.matmul(sequences[:, 0], tf.convert_to_tensor(self.kernel)) + self._input_bias()
            states, _ = self.cell.step(z, states, self.cell.forward(weights), drop)
            outputs = states[0][None]
        else:
            outputs, states = self._run(sequences, states, weights, drop, mask, training)
        if self.return_sequences:
            outputs = tf.transpose(outputs, [1, 0, 2])
            outputs.set_shape([None, sequences.shape[1], self.units])
        else:
            outputs = states[0]  # the last real step's: a masked one leaves it as it is
        return [outputs, *states] if self.return_state else outputs

    def _run(self, sequences, states, weights, drop, mask, training):
        x = tf.transpose(sequences, [1, 0, 2])  # (T, B, D): a step's rows lie together
        if mask is not None:
            mask = tf.cast(tf.transpose(mask, [1, 0]), x.dtype)[..., None]
        if self.go_backwards:
            x, mask = tf.reverse(x, [0]), None if mask is None else tf.reverse(mask, [0])
        route = self._route(x, drop, mask, training)
        kernel, bias = tf.convert_to_tensor(self.kernel), self._input_bias()
        if route == "fused":
            return scan.fused(self.cell, x, kernel, bias, states, weights)
        outputs, states = getattr(scan, route)(self.cell, tf.matmul(x, kernel) + bias, states, weights, drop, mask)
        return (outputs if mask is None or not self.zero_output_for_mask else outputs * mask), states

    def _route(self, x, drop, mask, training):
        fits = isinstance(self.cell, cells.LSTMCell) and drop is None and mask is None and x.dtype == tf.float32
        if self.implementation == "xla":
            return "xla" if training else "scan"  # a server may have no compiler
        if self.implementation == "auto":
            return "fused" if fits and self.units <= FUSED_UNITS else "scan"
        if self.implementation == "fused":
            return "fused" if fits else "scan"
        return self.implementation

    def _states(self, initial_state, sequences):
        if initial_state is None:
            return tuple(ops.zeros((ops.shape(sequences)[0], n), sequences.dtype) for n in self.state_size)
        given = initial_state if isinstance(initial_state, (list, tuple)) else [initial_state]
        if len(given) != len(self.state_size):
            raise ValueError(
                f"{self.name}: initial_state must have {len(self.state_size)} tensors (B, {self.units}); "
                f"got {len(given)}."
            )
        return tuple(ops.cast(s, sequences.dtype) for s in given)

    def _keep(self, shape, rate):
        return keras.random.dropout(ops.ones(shape, self.compute_dtype), rate, seed=self.seed_generator)

    def _input_bias(self):
        return tf.convert_to_tensor(self.bias)

    def compute_mask(self, _, previous_mask=None):
        mask = previous_mask if self.return_sequences else None
        return [mask, *(None for _ in self.state_size)] if self.return_state else mask

    def compute_output_shape(self, sequences_shape, initial_state_shape=None):
        batch, steps = sequences_shape[:2]
        outputs = (batch, steps, self.units) if self.return_sequences else (batch, self.units)
        return [outputs, *((batch, n) for n in self.state_size)] if self.return_state else outputs

    def get_config(self):
        names = ("dropout", "recurrent_dropout", "return_sequences", "return_state", "go_backwards",
                 "zero_output_for_mask", "implementation", "seed", "units")  # fmt: skip
        initializers = ("kernel_initializer", "recurrent_initializer", "bias_initializer")
        return (
            super().get_config()
            | {name: getattr(self, name) for name in names}
            | {name: keras.initializers.serialize(getattr(self, name)) for name in initializers}
        )

    def _add(self, name, shape, initializer):
        # An initializer draws the same values at every call: each weight gets one of its own, by its own seed.
        if isinstance(initializer, keras.initializers.Initializer):
            config = initializer.get_config()
            if isinstance(config.get("seed"), int):
                config["seed"] += len(self.weights)
            initializer = type(initializer).from_config(config)
        return self.add_weight(name=name, shape=shape, initializer=initializer)


@keras.saving.register_keras_serializable("keras_dl")
class LSTM(Recurrent):
    """Long short-term memory, with or without peepholes.

    Args:
        units: H.
        peephole: the gates also see the cell's state: input and forget gate the old one, output gate the new one.
        forget_bias: what the forget gate's bias starts at.
        **kwargs: of Recurrent, as keras.layers.LSTM takes them.

    Without peepholes it equals keras.layers.LSTM with the same weights; kernel (D, 4H), gates i, f, c, o.

    Source: Graves, arXiv:1308.0850, equations (7) to (11); in full in cells.LSTMCell.

    >>> LSTM(3, peephole=True, return_sequences=True)(keras.ops.ones((2, 5, 4))).shape
    TensorShape([2, 5, 3])
    """

    def __init__(self, units, *, peephole=False, forget_bias=1.0, **kwargs):
        self.peephole, self.forget_bias = peephole, forget_bias
        super().__init__(units, **kwargs)

    def make_cell(self):
        return cells.LSTMCell(self.units, self.peephole)

    def build_cell(self):
        units = self.units
        self.recurrent_kernel = self._add("recurrent_kernel", (units, 4 * units), self.recurrent_initializer)

        def bias(shape, dtype=None):
            drawn = ops.split(self.bias_initializer(shape, dtype), 4)
            return ops.concatenate([drawn[0], drawn[1] + self.forget_bias, *drawn[2:]])

        self.bias = self._add("bias", (4 * units,), bias)
        self.cell_weights = [self.recurrent_kernel]
        if self.peephole:
            self.peepholes = self._add("peepholes", (3, units), self.peephole_initializer)
            self.cell_weights += [self.peepholes]

    @property
    def peephole_initializer(self):
        # The variance of a scaled initializer is by the shape of a full matrix; these are diagonals.
        scaled = isinstance(self.kernel_initializer, keras.initializers.VarianceScaling)
        return keras.initializers.RandomUniform(-0.1, 0.1) if scaled else self.kernel_initializer

    def get_config(self):
        return super().get_config() | {"peephole": self.peephole, "forget_bias": self.forget_bias}


@keras.saving.register_keras_serializable("keras_dl")
class GRU(Recurrent):
    """Gated recurrent unit, h = (1 - z) * h' + z * c: z is the share of what is new.

    Args:
        units: H.
        reset_after: False: c = tanh(W x + U (r * h') + b), the paper's; True: c = tanh(W x + r * (U h' + b_U) + b),
            what cuDNN and keras.layers.GRU compute.
        **kwargs: of Recurrent, as keras.layers.GRU takes them.

    keras.layers.GRU has z the other way round: it equals this layer when the first H columns (the gate z) of kernel,
    recurrent kernel and biases change their sign. Kernel (D, 3H), gates z, r, candidate; bias (3H,), with reset_after
    (2, 3H) as Keras has it.

    Source: Chung et al., arXiv:1412.3555, equations (5) to (8); in full in cells.GRUCell.

    >>> GRU(3)(keras.ops.ones((2, 5, 4))).shape
    TensorShape([2, 3])
    """

    def __init__(self, units, *, reset_after=False, **kwargs):
        self.reset_after = reset_after
        super().__init__(units, **kwargs)

    def make_cell(self):
        return cells.GRUCell(self.units, self.reset_after)

    def build_cell(self):
        width = 3 * self.units
        self.recurrent_kernel = self._add("recurrent_kernel", (self.units, width), self.recurrent_initializer)
        self.bias = self._add("bias", (2, width) if self.reset_after else (width,), self.bias_initializer)

    @property
    def cell_weights(self):
        return [self.recurrent_kernel, self.bias[1]] if self.reset_after else [self.recurrent_kernel]

    def _input_bias(self):
        return tf.convert_to_tensor(self.bias[0] if self.reset_after else self.bias)

    def get_config(self):
        return super().get_config() | {"reset_after": self.reset_after}


@keras.saving.register_keras_serializable("keras_dl")
class Transition(Recurrent):
    """The conventional recurrent network, and those whose transition is itself a network of several layers.

    Args:
        units: H.
        transition_units: widths of the layers between h' and h; () is the conventional network.
        activation: of h, one of cells.ACTIVATIONS.
        transition_activation: of the layers between.
        shortcut: h' also enters the last layer, and x every layer: DT(S).
        **kwargs: of Recurrent, as keras.layers.SimpleRNN takes them.

    Source: Pascanu et al., arXiv:1312.6026, section 3.2.2; in full in cells.TransitionCell.

    >>> Transition(3, transition_units=(7,), shortcut=True)(keras.ops.ones((2, 5, 4))).shape
    TensorShape([2, 3])
    """

    def __init__(
        self, units, *, transition_units=(), activation="tanh", transition_activation="tanh", shortcut=False, **kwargs
    ):
        self.transition_units, self.shortcut = tuple(transition_units), shortcut
        self.activation, self.transition_activation = activation, transition_activation
        for name in (activation, transition_activation):
            if name not in cells.ACTIVATIONS:
                known = ", ".join(cells.ACTIVATIONS)
                raise ValueError(f"Transition: activation must be one of {known}; got {name!r}.")
        super().__init__(units, **kwargs)

    def make_cell(self):
        between = self.transition_units
        activations = [self.transition_activation] * len(between) + [self.activation]
        return cells.TransitionCell([*between, self.units], activations, self.shortcut)

    def build_cell(self):
        sizes, widths = [self.units, *self.transition_units], self.cell.widths
        self.bias = self._add("bias", (self.cell.inputs,), self.bias_initializer)
        self.recurrent_kernels = [
            self._add(f"recurrent_kernel{k}", (size, width), self.recurrent_initializer)
            for k, (size, width) in enumerate(zip(sizes, widths, strict=True), 1)
        ]
        if self.shortcut:
            rest = [self._add("shortcut_kernel", (self.units, widths[-1]), self.recurrent_initializer)]
        else:
            rest = [self._add(f"bias{k}", (n,), self.bias_initializer) for k, n in enumerate(widths[1:], 2)]
        self.cell_weights = [*self.recurrent_kernels, *rest]

    def get_config(self):
        names = ("transition_units", "activation", "transition_activation", "shortcut")
        return super().get_config() | {name: getattr(self, name) for name in names}
