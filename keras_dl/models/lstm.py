"""Long short-term memory: one or several layers, for sequences of vectors or of tokens.

Source: Graves, "Generating Sequences With Recurrent Neural Networks" (arXiv:1308.0850), equations (7) to (11);
Hochreiter and Schmidhuber 1997. The defaults are the network of Chung et al. (arXiv:1412.3555) for music; the small,
medium and large word models of Zaremba et al. (arXiv:1409.2329) need only other arguments (apps/model_text.py).
Deviations: the forget gate's bias starts at 1 (Jozefowicz et al. 2015); each layer of a stack sees only the layer
below, without Graves' skip connections.
Shapes: B sequences, T steps, D inputs per step, H units, K outputs per step.
Laws and figures: python -m keras_dl list lstm
"""

import functools

from keras_dl.arguments import ModelName, OneOf, Share, YesOrNo, checked
from keras_dl.layers.recurrent import IMPLEMENTATIONS, LSTM
from keras_dl.models import _sequence
from keras_dl.models._sizes import Bias, InitScale, SequenceShape, Tokens, Width, Widths

PARAMETERS = 21_364  # trainable, at the defaults


@checked
def build_lstm(
    input_shape: SequenceShape = (None, 88),
    num_classes: Tokens = 88,
    *,
    units: Widths = (36,),
    peephole: YesOrNo = True,
    forget_bias: Bias = 1.0,
    vocabulary_size: Tokens | None = None,
    embedding_dim: Width | None = None,
    tied: YesOrNo = False,
    dropout: Share = 0.0,
    recurrent_dropout: Share = 0.0,
    variational: YesOrNo = False,
    init_scale: InitScale | None = None,
    return_sequences: YesOrNo = True,
    implementation: OneOf(*IMPLEMENTATIONS) = "auto",
    name: ModelName = "lstm",
):
    """Build an LSTM network.

    Args:
        input_shape: (T, D) of vectors, (T,) of tokens, without the batch axis; T None for any length.
        num_classes: K, outputs per step.
        units: H of each layer, the lowest first.
        peephole: gates see the cell's state: input and forget gate the old one, output gate the new one.
        forget_bias: initial value of the forget gate's bias; 0: initialised like the other biases.
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

    >>> build_lstm(units=(4, 3)).output_shape
    (None, None, 88)
    """
    layer = functools.partial(
        LSTM, peephole=peephole, forget_bias=forget_bias, unit_forget_bias=bool(forget_bias),
        recurrent_dropout=recurrent_dropout, implementation=implementation,
    )  # fmt: skip

    def weights(inputs, units):
        return 4 * units * (inputs + units)

    return _sequence.build(
        layer,
        "lstm",
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


def lstm_space(hp):
    """What to search: width, depth, peepholes, dropout; untouched, it gives build_lstm's defaults."""
    width = hp.Choice("width", [36, 72, 144], default=36)
    return {
        "units": (width,) * hp.Choice("layers", [1, 2], default=1),
        "peephole": hp.Boolean("peephole", default=True),
        "dropout": hp.Choice("dropout", [0.0, 0.25, 0.5], default=0.0),
    }
