"""A temporal convolutional network: residual blocks of causal dilated convolutions, for sequences.

Source: Bai et al., "An Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence Modeling"
(arXiv:1803.01271), section 3 and figure 1. The defaults are the network for the adding problem of 600 steps (their
appendix A, table 2).

    block of dilation d:  y = ReLU(x' + f(f(x))),  f = dropout(ReLU(weight-normalised causal convolution))

x' is x, or a 1x1 convolution of x where the widths differ. Dilations are 1, 2, 4, ...
Dropout sets whole channels to zero at all steps of a sequence. Kernels begin as N(0, 0.01^2) (appendix A), which the
authors' code (github.com/locuslab/TCN) also draws; but its weight normalisation then computes the kernels anew from the
direction and the length that were drawn before, so that it trains from PyTorch's default, the uniform distribution from
-1 / sqrt(K D) to 1 / sqrt(K D) of a kernel (K, D, F): initializer="authors_code".
Deviations: tokens go through an embedding without dropout of its own; the output layer begins as Keras' does.
Shapes: B sequences or N rows, T steps, D inputs per step, K outputs per step, F filters.
Laws and figures: python -m keras_dl list tcn
"""

import keras
import tensorflow as tf
from keras import layers

from keras_dl.arguments import ArgumentError, ModelName, OneOf, Share, Whole, YesOrNo, checked
from keras_dl.decoding import Cost
from keras_dl.decoding.requirements import rows_of
from keras_dl.layers.causal_convolution import CausalConv1D, receptive_field
from keras_dl.layers.outputs import LastStep
from keras_dl.models._sizes import SequenceShape, Tokens, Width, check_weights

PARAMETERS = 70_369  # trainable, at the defaults


@checked
def build_tcn(
    input_shape: SequenceShape = (None, 2),
    num_classes: Tokens = 1,
    *,
    num_layers: Whole(1, 20) = 8,
    filters: Width = 24,
    kernel_size: Whole(2, 99) = 8,
    dropout: Share = 0.0,
    vocabulary_size: Tokens | None = None,
    embedding_dim: Width | None = None,
    initializer: OneOf("paper", "authors_code", "glorot_uniform") = "paper",
    return_sequences: YesOrNo = True,
    name: ModelName = "tcn",
):
    """Build a temporal convolutional network.

    Args:
        input_shape: (T, D) of vectors, (T,) of tokens, without the batch axis; T None for any length.
        num_classes: K, outputs per step.
        num_layers: number of residual blocks, of dilations 1, 2, 4, ..., 2 ** (num_layers - 1).
        filters: F of every convolution.
        kernel_size: of every convolution.
        dropout: share of the channels that training sets to zero behind every convolution.
        vocabulary_size: number of input tokens; None: num_classes.
        embedding_dim: width of a token's vector; None: filters.
        initializer: of the kernels: "paper", N(0, 0.01^2); "authors_code", uniform in +-1 / sqrt(fan_in); or
            "glorot_uniform".
        return_sequences: True: logits at every step; False: at the last step only.
        name: name of the model.

    Returns:
        An uncompiled TCN: "sequence" (B, T, D) float32 or "tokens" (B, T) int32 -> "logits" (B, T, K) float32, or with
        return_sequences=False "logits" (B, K) of the last step: unnormalised log-probabilities of K classes, logits of
        K binary outputs, or predictions. Its methods begin, step and read process sequences step by step.

    Raises:
        ArgumentError: an argument does not fit its annotation or another argument, or the weights are too many.

    >>> model = build_tcn(num_layers=3, kernel_size=3)
    >>> model.output_shape, model.receptive_field  # 1 + 2 (3 - 1) (1 + 2 + 4)
    ((None, None, 1), 29)
    """
    tokens = len(input_shape) == 1
    if not tokens and (vocabulary_size or embedding_dim):
        named = "vocabulary_size" if vocabulary_size else "embedding_dim"
        raise ArgumentError(
            f"build_tcn: {named} is for tokens, input_shape (T,); got vectors, input_shape {input_shape}."
        )
    vocabulary, width = (vocabulary_size or num_classes, embedding_dim or filters) if tokens else (0, input_shape[-1])
    between = (2 * num_layers - 1) * filters * filters
    check_weights("build_tcn", vocabulary * width + kernel_size * (width * filters + between) + filters * num_classes)

    x = inputs = keras.Input(
        input_shape, dtype="int32" if tokens else "float32", name="tokens" if tokens else "sequence"
    )
    if tokens:
        x = layers.Embedding(vocabulary, width, name="embedding")(x)  # (B, T, width)
    for number in range(1, num_layers + 1):
        shortcut = x
        if number == 1 and width != filters:
            shortcut = layers.Dense(filters, kernel_initializer=_of(initializer), name="block1_shortcut")(x)
        for part in (1, 2):
            x = CausalConv1D(
                filters, kernel_size, dilation_rate=2 ** (number - 1), weight_norm=True,
                kernel_initializer=_of(initializer), name=f"block{number}_conv{part}",
            )(x)  # fmt: skip
            x = layers.ReLU(name=f"block{number}_relu{part}")(x)
            if dropout:
                x = layers.Dropout(dropout, noise_shape=(None, 1, None), name=f"block{number}_dropout{part}")(x)
        x = layers.ReLU(name=f"block{number}_output")(layers.Add(name=f"block{number}_sum")([shortcut, x]))
    if not return_sequences:
        x = LastStep(name="last")(x)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return TCN(inputs, logits, name=name, num_layers=num_layers)


def tcn_space(hp):
    """What to search: depth, width, kernel and dropout; untouched, it gives build_tcn's defaults."""
    return {
        "num_layers": hp.Choice("num_layers", [4, 6, 8], default=8),
        "filters": hp.Choice("filters", [24, 48, 96], default=24),
        "kernel_size": hp.Choice("kernel_size", [3, 5, 8], default=8),
        "dropout": hp.Choice("dropout", [0.0, 0.1, 0.3], default=0.0),
    }


def _of(initializer):
    """A new initializer for each weight: one initializer draws the same values at every call."""
    if initializer == "paper":
        return keras.initializers.RandomNormal(0.0, 0.01)
    if initializer == "authors_code":
        return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")  # a variance of limit^2 / 3
    return keras.initializers.GlorotUniform()


@keras.saving.register_keras_serializable("keras_dl")
class TCN(keras.Model):
    """The model of build_tcn: a functional model that also runs step by step (decoding.Stepwise).

    The state is a list: for each convolution, the lowest first, the steps that it still needs. There is no memory.
    """

    def __init__(self, *args, num_layers=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.num_layers = num_layers

    @property
    def receptive_field(self):
        """The number of steps on which an output depends, its own included."""
        convolutions = self._convolutions()
        return receptive_field(convolutions[0].kernel_size, [layer.dilation_rate for layer in convolutions])

    def begin(self, context=None, *, rows=None, grows=True):
        """((), state) with zeros before the first step of `rows` sequences. Its shapes never change."""
        rows = rows_of("TCN.begin", context, rows)
        return (), [layer.first(rows) for layer in self._convolutions()]

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
        named = {layer.name: layer for layer in self.layers}
        x, before, after = inputs, iter(state), []
        if "embedding" in named:
            x = named["embedding"](x)
        x = tf.cast(x, self._convolutions()[0].compute_dtype)
        for number in range(1, self.num_layers + 1):
            name = f"block{number}"
            shortcut = named[f"{name}_shortcut"](x) if f"{name}_shortcut" in named else x
            for part in (1, 2):
                layer, kept = named[f"{name}_conv{part}"], next(before)
                after.append(layer.following(x, kept))
                x = tf.nn.relu(layer(x, before=kept))
                if f"{name}_dropout{part}" in named:
                    x = named[f"{name}_dropout{part}"](x, training=training)
            x = tf.nn.relu(shortcut + x)
        x = named["last"](x) if "last" in named else x
        return named["logits"](x), after

    def cost(self):
        """The cost of a step, a decoding.Cost."""
        return Cost(passes=1, floats=max(1, sum(layer.filters for layer in self._convolutions()) // 8))

    def _convolutions(self):
        return [layer for layer in self.layers if isinstance(layer, CausalConv1D)]

    def get_config(self):
        return super().get_config() | {"num_layers": self.num_layers}
