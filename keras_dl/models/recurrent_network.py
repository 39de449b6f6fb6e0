"""The model class of build_rnn, build_lstm and build_gru: a functional model that also runs step by step.

Shapes: N sequences, T steps, D inputs per step, K outputs per step.
"""

import keras
import tensorflow as tf

from keras_dl.decoding import Cost
from keras_dl.decoding.requirements import rows_of
from keras_dl.layers.outputs import OutputBias
from keras_dl.layers.recurrent import Recurrent


@keras.saving.register_keras_serializable("keras_dl")
class RecurrentNetwork(keras.Model):
    """A chain of layers, some of them recurrent, whose state can be passed in and out (decoding.Stepwise).

    The state is a list with one entry per recurrent layer, the lowest first: [h, c] of an LSTM, [h] of the others.
    There is no memory. Reading a sequence in two parts, with the state passed from the first to the second, gives the
    same outputs as reading it at once.

    >>> from keras_dl import models
    >>> network = models.build_lstm(units=(4, 3))
    >>> memory, state = network.begin(rows=2)
    >>> [[tuple(part.shape) for part in layer] for layer in state]
    [[(2, 4), (2, 4)], [(2, 3), (2, 3)]]
    >>> logits, state = network.read(keras.ops.ones((2, 5, 88)), state)
    >>> tuple(logits.shape)
    (2, 5, 88)
    """

    def begin(self, context=None, *, rows=None, grows=True):
        """((), state) with a state of zeros for `rows` sequences. Its shapes never change, whatever `grows` says."""
        rows = rows_of("RecurrentNetwork.begin", context, rows)
        return (), [layer.get_initial_state(rows) for layer in self.layers if isinstance(layer, Recurrent)]

    def step(self, inputs, state, memory=()):
        """Tokens (N,) int32 or vectors (N, D), and a state of N rows -> (logits (N, K) float32, state)."""
        logits, state = self.read(inputs[:, None], state)
        return tf.reshape(logits, [-1, logits.shape[-1]]), state

    def read(self, inputs, state, memory=(), training=False):
        """Several steps at once, as fast as calling the model.

        Args:
            inputs: tokens (N, T) or vectors (N, T, D).
            state: of N rows.

        Returns:
            (logits (N, T, K) float32, state); logits (N, K) of the last step if the model returns no others.
        """
        x, before, after = inputs, iter(state), []
        for layer in self.layers[1:]:
            if isinstance(layer, Recurrent):
                x, *final = layer(x, initial_state=next(before), training=training)
                after.append(final)
            elif isinstance(layer, OutputBias):  # tied: the embedding's matrix is also the output's kernel
                x = layer(self.get_layer("embedding")(x, reverse=True))
            else:
                x = layer(x, training=training)
        return x, after

    def cost(self):
        """The cost of a generated token, a decoding.Cost."""
        units = sum(n for layer in self.layers if isinstance(layer, Recurrent) for n in layer.state_size)
        return Cost(passes=1, floats=units)
