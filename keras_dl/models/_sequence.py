"""What the recurrent builders share: the way in, the stack, the way out, and the checks of the arguments."""

import keras
from keras import layers

from keras_dl.layers.outputs import Maxout, OutputBias
from keras_dl.layers.recurrent import IMPLEMENTATIONS
from keras_dl.models import _checks

OUTPUT_ACTIVATIONS = ("tanh", "relu", "maxout")


def build(
    recurrent, kind, input_shape, num_classes, units, *, vocabulary_size, embedding_dim, tied, dropout, variational,
    init_scale, return_sequences, name, output_units=(), output_activation="tanh",
):  # fmt: skip
    """Input, embedding of tokens, recurrent layers one on the other, layers of the output, logits.

    Args:
        recurrent: recurrent(units, **kwargs of layers.Recurrent) -> a layer.
        kind: what the recurrent layers are called, numbered from 1.
        The others: as the builders have them.
    """
    tokens = len(input_shape) == 1
    x = given = keras.Input(
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
        x, *_ = recurrent(  # with_state takes the rest
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
    return keras.Model(given, logits, name=name)


def check(
    who, input_shape, num_classes, units, recurrent_dropout, implementation, *, vocabulary_size, embedding_dim, tied,
    dropout, variational, init_scale, return_sequences, output_units=(),
):  # fmt: skip
    """Refuse what no recurrent network can be built for."""
    steps = input_shape[:1] if isinstance(input_shape, (tuple, list)) else None
    known = [1 if n is None else n for n in steps] + list(input_shape[1:]) if steps else input_shape
    if not steps or len(known) > 2:
        raise ValueError(
            f"{who}: input_shape must be (T, D) for vectors or (T,) for tokens, T None for any; got {input_shape!r}."
        )
    _checks.whole_numbers(who, "input_shape", tuple(known), example="(None, 88) or (None,)")
    _checks.whole_number(who, "num_classes", num_classes)
    _checks.whole_numbers(who, "units", units, example=(200, 200))
    if output_units:
        _checks.whole_numbers(who, "output_units", output_units, example=(400,))
    for name, value in (("vocabulary_size", vocabulary_size), ("embedding_dim", embedding_dim)):
        if value is not None:
            _checks.whole_number(who, name, value)
    for name, value in (("tied", tied), ("variational", variational), ("return_sequences", return_sequences)):
        _checks.yes_or_no(who, name, value)
    _checks.share(who, "dropout", dropout)
    _checks.share(who, "recurrent_dropout", recurrent_dropout)
    _checks.one_of(who, "implementation", implementation, IMPLEMENTATIONS)
    if init_scale is not None and not (isinstance(init_scale, (int, float)) and 0 < init_scale <= 10):
        raise ValueError(f"{who}: init_scale must be in (0, 10] or None; got {init_scale!r}. Nearest: 0.1.")
    last = (output_units or units)[-1]
    fits = (embedding_dim or units[0]) == last and (vocabulary_size or num_classes) == num_classes
    if tied and (len(known) > 1 or not fits):
        raise ValueError(
            f"{who}: tied needs tokens, and an embedding as wide as the last layer; got embedding_dim="
            f"{embedding_dim or units[0]} and {last} units. Nearest: embedding_dim={last}."
        )


INITIALIZERS = ("kernel_initializer", "recurrent_initializer", "bias_initializer")


def _uniform(scale):
    """A new initializer each time: one draws the same values at every call."""
    return keras.initializers.RandomUniform(-scale, scale) if scale else None


def _dropped(x, rate, variational, name):
    """Dropout of every value on its own (arXiv:1409.2329), or of the same units at all steps (arXiv:1512.05287)."""
    if not rate:
        return x
    return layers.Dropout(rate, noise_shape=(None, 1, None) if variational else None, name=name)(x)
