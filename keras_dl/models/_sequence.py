"""What build_rnn, build_lstm and build_gru share: input, stack of layers, output, and the checks of the arguments."""

import itertools

import keras
from keras import layers

from keras_dl.arguments import ArgumentError
from keras_dl.layers.maxout import Maxout
from keras_dl.layers.outputs import OutputBias
from keras_dl.models._sizes import check_weights, dense
from keras_dl.models.recurrent_network import RecurrentNetwork
from keras_dl.wording import counted

OUTPUT_ACTIVATIONS = ("tanh", "relu", "maxout")


def build(
    recurrent, kind, weights, input_shape, num_classes, units, *, vocabulary_size, embedding_dim, tied, dropout,
    variational, init_scale, return_sequences, name, output_units=(), output_activation="tanh",
):  # fmt: skip
    """Build input, embedding of tokens, stacked recurrent layers, output layers and logits.

    Args:
        recurrent: recurrent(units, **kwargs of layers.Recurrent) -> a layer.
        kind: name of the recurrent layers, to which their number from 1 is appended.
        weights: weights(inputs, units) -> number of weights of a recurrent layer.
        The others: as in build_rnn.

    Returns:
        An uncompiled RecurrentNetwork.

    Raises:
        ArgumentError: arguments do not fit together, or the weights are too many.
    """
    _check(
        f"build_{kind}", weights, input_shape, num_classes, units, vocabulary_size, embedding_dim, tied, output_units
    )
    tokens = len(input_shape) == 1
    x = inputs = keras.Input(
        input_shape, dtype="int32" if tokens else "float32", name="tokens" if tokens else "sequence"
    )
    if tokens:
        kind_of_embedding = layers.ReversibleEmbedding if tied else layers.Embedding
        embedding = kind_of_embedding(
            vocabulary_size or num_classes, embedding_dim or units[0],
            embeddings_initializer=_uniform(init_scale) or "uniform", name="embedding",
        )  # fmt: skip
        x = embedding(x)  # (B, T, embedding_dim)
    for number, width in enumerate(units, 1):
        x = _dropped(x, dropout, variational, f"{kind}{number}_dropout")
        x, *_ = recurrent(  # the rest, the final states, is for RecurrentNetwork
            width, return_sequences=return_sequences or number < len(units), return_state=True, name=f"{kind}{number}",
            **({name: _uniform(init_scale) for name in INITIALIZERS} if init_scale else {}),
        )(x)  # (B, T, width)  # fmt: skip
    x = _dropped(x, dropout, variational and return_sequences, "output_dropout")
    for number, width in enumerate(output_units, 1):
        kernel = _uniform(init_scale) or "glorot_uniform"
        if output_activation == "maxout":
            x = Maxout(width, kernel_initializer=kernel, name=f"output{number}")(x)
        else:
            x = layers.Dense(width, output_activation, kernel_initializer=kernel, name=f"output{number}")(x)
    if tied:
        logits = OutputBias(dtype="float32", name="logits")(embedding(x, reverse=True))
    else:
        kernel = _uniform(init_scale) or "glorot_uniform"
        logits = layers.Dense(num_classes, kernel_initializer=kernel, dtype="float32", name="logits")(x)
    return RecurrentNetwork(inputs, logits, name=name)


def _check(who, weights, input_shape, num_classes, units, vocabulary_size, embedding_dim, tied, output_units):
    """Refuse arguments that do not fit together, and too many weights."""
    tokens, last = len(input_shape) == 1, (output_units or units)[-1]
    if not tokens and (vocabulary_size or embedding_dim or tied):
        name = "vocabulary_size" if vocabulary_size else "embedding_dim" if embedding_dim else "tied"
        raise ArgumentError(f"{who}: {name} is for tokens, input_shape (T,); got vectors, input_shape {input_shape}.")
    vocabulary, width = (vocabulary_size or num_classes, embedding_dim or units[0]) if tokens else (0, input_shape[-1])
    if tied and vocabulary != num_classes:
        raise ArgumentError(
            f"{who}: tied needs as many tokens that come in as go out; got vocabulary_size={vocabulary} and "
            f"num_classes={num_classes}. Nearest: vocabulary_size={num_classes}."
        )
    if tied and width != last:
        raise ArgumentError(
            f"{who}: tied needs an embedding as wide as the last layer; got embedding_dim={width} and "
            f"{counted(last, 'units')}. Nearest: embedding_dim={last}."
        )
    stack = sum(weights(inputs, outputs) for inputs, outputs in itertools.pairwise((width, *units)))
    output = dense(units[-1], *output_units, 0 if tied else num_classes)
    check_weights(who, vocabulary * width + stack + output)


INITIALIZERS = ("kernel_initializer", "recurrent_initializer", "bias_initializer")


def _uniform(scale):
    """A new initializer for each weight: one initializer draws the same values at every call."""
    return keras.initializers.RandomUniform(-scale, scale) if scale else None


def _dropped(x, rate, variational, name):
    """Dropout of each value independently (arXiv:1409.2329), or of the same units at all steps (arXiv:1512.05287)."""
    if not rate:
        return x
    return layers.Dropout(rate, noise_shape=(None, 1, None) if variational else None, name=name)(x)
