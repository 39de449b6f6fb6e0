"""Gated recurrent units: one or several layers, for sequences of vectors or of tokens.

Source: Chung et al., "Empirical Evaluation of Gated Recurrent Neural Networks" (arXiv:1412.3555), equations (5) to (8):
z is the share of the candidate in the new state, and r is applied before the recurrent matrix.
Keras' and cuDNN's GRU applies r after it: reset_after=True. The defaults are the paper's network for music.
Deviations: the paper's equations omit the biases; here each gate has one. The weights of z are stored with the opposite
sign (see layers.recurrent.GRU): the same network, and the same distribution of the initial weights.
Shapes: B sequences, T steps, D inputs per step, H units, K outputs per step.
Laws and figures: python -m keras_dl list gru
"""

import functools

from keras_dl.arguments import ModelName, OneOf, Share, YesOrNo, checked
from keras_dl.layers.recurrent import GRU, IMPLEMENTATIONS
from keras_dl.models import _sequence
from keras_dl.models._sizes import InitScale, SequenceShape, Tokens, Width, Widths

PARAMETERS = 22_766  # trainable, at the defaults


@checked
def build_gru(
    input_shape: SequenceShape = (None, 88),
    num_classes: Tokens = 88,
    *,
    units: Widths = (46,),
    reset_after: YesOrNo = False,
    vocabulary_size: Tokens | None = None,
    embedding_dim: Width | None = None,
    tied: YesOrNo = False,
    dropout: Share = 0.0,
    recurrent_dropout: Share = 0.0,
    variational: YesOrNo = False,
    init_scale: InitScale | None = None,
    return_sequences: YesOrNo = True,
    implementation: OneOf(*IMPLEMENTATIONS) = "auto",
    name: ModelName = "gru",
):
    """Build a GRU network.

    Args:
        input_shape: (T, D) of vectors, (T,) of tokens, without the batch axis; T None for any length.
        num_classes: K, outputs per step.
        units: H of each layer, the lowest first.
        reset_after: apply r after the recurrent matrix, as cuDNN does; else before, as the paper does.
        vocabulary_size: number of input tokens; None: num_classes.
        embedding_dim: width of a token's vector; None: the width of the first layer.
        tied: the embedding's matrix is also the output's kernel (arXiv:1608.05859).
        dropout: share of the values that training sets to zero at the input of every layer, not on the connection from
            one step to the next (arXiv:1409.2329).
        recurrent_dropout: the same for the state before the recurrent matrix, with one mask per sequence
            (arXiv:1512.05287).
        variational: `dropout` also uses one mask per sequence, the same at all steps.
        init_scale: draw every weight of embedding, layers and output uniformly from [-init_scale, init_scale]; None:
            Keras' initializers.
        return_sequences: True: logits at every step; False: at the last step only.
        implementation: of the recurrent layers, one of layers.recurrent.IMPLEMENTATIONS, with equal results.
        name: name of the model.

    Returns:
        An uncompiled RecurrentNetwork: "sequence" (B, T, D) float32 or "tokens" (B, T) int32 -> "logits" (B, T, K)
        float32, or with return_sequences=False "logits" (B, K) of the last step: unnormalised log-probabilities of K
        classes, or logits of K binary outputs. Its methods begin, step and read process sequences step by step.

    Raises:
        ArgumentError: an argument does not fit its annotation or another argument, or the weights are too many.

    >>> build_gru(units=(4, 3)).output_shape
    (None, None, 88)
    """
    layer = functools.partial(
        GRU, reset_after=reset_after, recurrent_dropout=recurrent_dropout, implementation=implementation
    )

    def weights(inputs, units):
        return 3 * units * (inputs + units)

    return _sequence.build(
        layer,
        "gru",
        weights,
        input_shape,
        num_classes,
        units,
        vocabulary_size=vocabulary_size,
        embedding_dim=embedding_dim,
        tied=tied,
        dropout=dropout,
        variational=variational,
        init_scale=init_scale,
        return_sequences=return_sequences,
        name=name,
    )


def gru_space(hp):
    """What to search: width, depth, dropout; untouched, it gives build_gru's defaults."""
    width = hp.Choice("width", [46, 92, 184], default=46)
    return {
        "units": (width,) * hp.Choice("layers", [1, 2], default=1),
        "dropout": hp.Choice("dropout", [0.0, 0.25, 0.5], default=0.0),
    }
