"""The base class of the recurrent layers: a cell of cells.py as a Keras layer, with Keras' arguments.

Shapes: B sequences, T steps, D inputs, H units.
"""

import numbers

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_dl.layers import cells, scan
from keras_dl.layers.initialization import DrawsApart
from keras_dl.wording import counted

IMPLEMENTATIONS = ("auto", "plain", "scan", "xla", "fused")
FUSED_UNITS = 128


class Recurrent(DrawsApart, keras.layers.Layer):
    """Base class of LSTM, GRU and Transition, which define make_cell and build_cell.

    Args:
        units: H.
        use_bias, kernel_ ..., recurrent_ ..., bias_ ..., dropout, recurrent_dropout, seed, return_sequences,
            return_state, go_backwards, stateful, unroll, use_cudnn, zero_output_for_mask: as in Keras; the top of
            recurrent.py lists the differences.
        implementation: one of IMPLEMENTATIONS, which scan.py describes.
        **kwargs: of keras.layers.Layer.

    Call arguments:
        sequences: (B, T, D).
        initial_state: list of (B, H), zeros where not given.
        mask: (B, T) bool; at a step where it is False the state does not change and the output is that of the step
            before, zeros before the first True (with zero_output_for_mask, which Bidirectional sets, always zeros). The
            values of masked steps have no influence, even if they are NaN.
        training: whether dropout is on.

    Returns:
        (B, T, H) with return_sequences, else the last output (B, H); with return_state a tuple of that and the final
        states.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self, units, *, use_bias=True, kernel_initializer="glorot_uniform", recurrent_initializer="orthogonal",
        bias_initializer="zeros", kernel_regularizer=None, recurrent_regularizer=None, bias_regularizer=None,
        kernel_constraint=None, recurrent_constraint=None, bias_constraint=None, dropout=0.0, recurrent_dropout=0.0,
        seed=None, return_sequences=False, return_state=False, go_backwards=False, stateful=False, unroll=False,
        use_cudnn="auto", zero_output_for_mask=False, implementation="auto", **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        implementation = "auto" if implementation in (0, 1, 2) else implementation
        self._check(units, dropout, recurrent_dropout, use_cudnn, implementation)
        self.units, self.use_bias, self.implementation = units, use_bias, implementation
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(recurrent_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = keras.regularizers.get(recurrent_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.recurrent_constraint = keras.constraints.get(recurrent_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.dropout, self.recurrent_dropout = dropout, recurrent_dropout
        self.return_sequences, self.return_state, self.go_backwards = return_sequences, return_state, go_backwards
        self.stateful, self.states = stateful, None
        self.unroll, self.use_cudnn, self.zero_output_for_mask = unroll, use_cudnn, zero_output_for_mask
        self.seed = seed
        if dropout or recurrent_dropout:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking, self.input_spec = True, keras.layers.InputSpec(ndim=3)
        self.cell = self.make_cell()
        if isinstance(self.cell, cells.LSTMCell) and implementation in ("auto", "fused"):
            self.supports_jit = implementation == "auto" and units > FUSED_UNITS  # XLA has no such kernel

    @property
    def state_size(self):
        """Units of each state: (H, H) of an LSTM's h and c, (H,) of the others' h."""
        return self.cell.state_size

    def build(self, sequences_shape, initial_state_shape=None):
        self.kernel = self._add("kernel", (sequences_shape[-1], self.cell.inputs), "kernel")
        self.build_cell()
        if self.stateful:
            if sequences_shape[0] is None:
                raise ValueError(
                    f"{self.name}: stateful needs to know the batch size; got (None, T, D). "
                    "Say keras.Input(batch_shape=(B, T, D)), or carry the state: return_state and initial_state."
                )
            # Through vars, so that Keras does not track it: as in Keras, the state is not a weight of the layer.
            vars(self)["states"] = [
                keras.Variable(np.zeros((sequences_shape[0], n)), dtype=self.variable_dtype, trainable=False)
                for n in self.state_size
            ]

    def call(self, sequences, initial_state=None, mask=None, training=False):
        weights = [tf.cast(tf.convert_to_tensor(w), self.compute_dtype) for w in self.cell_weights]
        sequences = tf.cast(sequences, self.compute_dtype)  # integers are allowed too
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
            if mask is not None:
                outputs = self._masked(outputs, mask, initial_state)
        for variable, state in zip(self.states or (), states if self.states else (), strict=True):
            variable.assign(state)
        if self.return_sequences:
            outputs = tf.transpose(outputs, [1, 0, 2])
            outputs.set_shape([None, sequences.shape[1], self.units])
        else:
            outputs = states[0] if mask is None else outputs[-1]
        return (outputs, *states) if self.return_state else outputs

    def _run(self, sequences, states, weights, drop, mask, training):
        x = tf.transpose(sequences, [1, 0, 2])  # (T, B, D), so that the rows of a step are adjacent in memory
        x = tf.reverse(x, [0]) if self.go_backwards else x
        if mask is not None:
            mask = self._by_step(mask)
            x = tf.where(mask, x, tf.zeros([], x.dtype))  # else NaN at masked steps would spread through the products
            mask = tf.cast(mask, x.dtype)
        route = self._route(x, drop, mask, training)
        kernel, bias = tf.convert_to_tensor(self.kernel), self._input_bias()
        if route == "fused":
            return scan.fused(self.cell, x, kernel, bias, states, weights)
        return getattr(scan, route)(self.cell, tf.matmul(x, kernel) + bias, states, weights, drop, mask)

    def _by_step(self, mask):
        """A mask (B, T) in the order of the loop's steps: (T, B, 1) bool."""
        mask = tf.transpose(tf.cast(mask, tf.bool), [1, 0])[..., None]
        return tf.reverse(mask, [0]) if self.go_backwards else mask

    def _masked(self, outputs, mask, initial_state):
        """Outputs (T, B, H) with zeros at masked steps as in Keras: at all, or at those before the first real step."""
        mask = self._by_step(mask)
        if not self.zero_output_for_mask:
            if initial_state is None and not self.stateful:
                return outputs  # zeros before the first real step, since the state is zero
            mask = tf.cumsum(tf.cast(mask, tf.int32)) > 0
        return tf.where(mask, outputs, tf.zeros([], outputs.dtype))

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
            if not self.stateful:
                return tuple(self.get_initial_state(ops.shape(sequences)[0]))
            initial_state, batch = self.states, self.states[0].shape[0]
            if sequences.shape[0] not in (None, batch):
                raise ValueError(
                    f"{self.name}: a stateful layer takes batches of the size it was built for, {batch}; "
                    f"got {sequences.shape[0]}."
                )
        given = initial_state if isinstance(initial_state, (list, tuple)) else [initial_state]
        if len(given) != len(self.state_size):
            raise ValueError(
                f"{self.name}: initial_state must have {counted(len(self.state_size), 'tensors')} (B, {self.units}); "
                f"got {len(given)}."
            )
        return tuple(ops.cast(s, self.compute_dtype) for s in given)

    def get_initial_state(self, batch_size):
        """The initial state: a list of zeros (B, H), one tensor per entry of state_size."""
        return [ops.zeros((batch_size, n), self.compute_dtype) for n in self.state_size]

    def reset_state(self):
        """Set a stateful layer's state to zero."""
        for variable in self.states or ():
            variable.assign(ops.zeros_like(variable))

    reset_states = reset_state  # Keras has both names

    def _keep(self, shape, rate):
        return keras.random.dropout(ops.ones(shape, self.compute_dtype), rate, seed=self.seed_generator)

    def _input_bias(self):
        """The bias that is added to the projected inputs, one number per input of the cell."""
        bias = self.bias if self.use_bias else np.zeros(self.cell.inputs)
        return tf.cast(tf.convert_to_tensor(bias), self.compute_dtype)

    def compute_mask(self, _, previous_mask=None):
        mask = previous_mask if self.return_sequences else None
        return [mask, *(None for _ in self.state_size)] if self.return_state else mask

    def compute_output_shape(self, sequences_shape, initial_state_shape=None):
        batch, steps = sequences_shape[:2]
        outputs = (batch, steps, self.units) if self.return_sequences else (batch, self.units)
        return (outputs, *((batch, n) for n in self.state_size)) if self.return_state else outputs

    def get_config(self):
        names = ("units", "use_bias", "dropout", "recurrent_dropout", "seed", "return_sequences", "return_state",
                 "go_backwards", "stateful", "unroll", "zero_output_for_mask", "implementation")  # fmt: skip
        parts = {
            f"{kind}_{part}": getattr(keras, f"{part}s").serialize(getattr(self, f"{kind}_{part}"))
            for kind in ("kernel", "recurrent", "bias")
            for part in ("initializer", "regularizer", "constraint")
        }
        return super().get_config() | {name: getattr(self, name) for name in names} | parts

    def _add(self, name, shape, kind):
        """A weight with the initializer, regularizer and constraint of "kernel", "recurrent" or "bias"."""
        regularizer, constraint = getattr(self, f"{kind}_regularizer"), getattr(self, f"{kind}_constraint")
        initializer = getattr(self, f"{kind}_initializer")
        return self.add_drawn(name, shape, initializer, regularizer=regularizer, constraint=constraint)

    def _add_bias(self, name, shape):
        """A bias, or zeros with use_bias=False."""
        return self._add(name, shape, "bias") if self.use_bias else np.zeros(shape)

    def _check(self, units, dropout, recurrent_dropout, use_cudnn, implementation):
        who = type(self).__name__
        if not isinstance(units, numbers.Integral) or isinstance(units, bool) or units < 1:
            raise ValueError(f"{who}: units must be a whole number, at least 1; got {units!r}.")
        for name, value in (("dropout", dropout), ("recurrent_dropout", recurrent_dropout)):
            if not isinstance(value, numbers.Real) or not 0 <= value < 1:
                raise ValueError(f"{who}: {name} must be in [0, 1); got {value!r}.")
        if use_cudnn not in ("auto", False):
            raise ValueError(f"{who}: use_cudnn must be 'auto' or False, as the layer has no cuDNN; got {use_cudnn!r}.")
        if implementation not in IMPLEMENTATIONS:
            raise ValueError(
                f"{who}: implementation must be one of {', '.join(IMPLEMENTATIONS)}; got {implementation!r}."
            )
