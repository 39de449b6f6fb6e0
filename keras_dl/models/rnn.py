"""Recurrent networks without gates, shallow and deep: stacked, with deep transition, with deep output.

Source: Pascanu, Gulcehre, Cho and Bengio, "How to Construct Deep Recurrent Neural Networks" (arXiv:1312.6026),
section 3; a maxout unit is Goodfellow et al., arXiv:1302.4389. The paper's networks for music, and how to build them:

    RNN         units=(600,)                                                            465,600 weights
    sRNN        units=(400, 400)                                                        550,400
    DT-RNN      units=(400,), transition_units=(400,)
    DT(S)-RNN   units=(400,), transition_units=(400,), shortcut=True                    585,600
    DOT(S)-RNN  units=(400,), transition_units=(400,), shortcut=True, output_units=(400,)   745,600

The counts are without biases. The paper prints 465K, 550K, 585K and 745K (figures not verified here); DT(S) has the
paper's count if the input enters every layer of the transition.
Shapes: B sequences, T steps, D inputs per step, H units, K outputs per step.
Laws and figures: python -m keras_dl list rnn
"""

import functools

from keras_dl.arguments import ArgumentError, ModelName, OneOf, Share, Tuple, YesOrNo, checked
from keras_dl.layers.cells import ACTIVATIONS
from keras_dl.layers.recurrent import IMPLEMENTATIONS, Transition
from keras_dl.models import _sequence
from keras_dl.models._sizes import InitScale, SequenceShape, Tokens, Width, Widths, dense

PARAMETERS = 466_288  # trainable, at the defaults: the 465,600 weights and the biases


@checked
def build_rnn(
    input_shape: SequenceShape = (None, 88),
    num_classes: Tokens = 88,
    *,
    units: Widths = (600,),
    transition_units: Tuple(Width, least=0) = (),
    shortcut: YesOrNo = False,
    output_units: Tuple(Width, least=0) = (),
    activation: OneOf(*ACTIVATIONS) = "tanh",
    transition_activation: OneOf(*ACTIVATIONS) = "tanh",
    output_activation: OneOf(*_sequence.OUTPUT_ACTIVATIONS) = "tanh",
    vocabulary_size: Tokens | None = None,
    embedding_dim: Width | None = None,
    tied: YesOrNo = False,
    dropout: Share = 0.0,
    recurrent_dropout: Share = 0.0,
    variational: YesOrNo = False,
    init_scale: InitScale | None = None,
    return_sequences: YesOrNo = True,
    implementation: OneOf(*IMPLEMENTATIONS) = "auto",
    name: ModelName = "rnn",
):
    """Build a recurrent network in any form of the paper.

    Args:
        input_shape: (T, D) of vectors, (T,) of tokens, without the batch axis; T None for any length.
        num_classes: K, outputs per step.
        units: H of each layer, the lowest first; several layers are the stacked sRNN.
        transition_units: widths of the layers between two successive states, in every recurrent layer; (): none, the
            shallow transition.
        shortcut: the old state also enters the last layer of the transition, and the input all of them: DT(S).
        output_units: widths of the layers between the state and the logits: DOT.
        activation: of the states, one of layers.cells.ACTIVATIONS.
        transition_activation: of the layers between two states, one of layers.cells.ACTIVATIONS.
        output_activation: of the output_units' layers: "tanh", "relu" or "maxout".
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

    >>> build_rnn(units=(4,), transition_units=(5,), shortcut=True, output_units=(3,)).output_shape
    (None, None, 88)
    """
    if shortcut and not transition_units:
        raise ArgumentError(
            "build_rnn: shortcut needs transition_units to skip; got shortcut=True and none. Nearest: shortcut=False."
        )
    layer = functools.partial(
        Transition, transition_units=transition_units, activation=activation, shortcut=shortcut,
        transition_activation=transition_activation, recurrent_dropout=recurrent_dropout,
        implementation=implementation,
    )  # fmt: skip

    def weights(inputs, units):
        skipping = inputs * (sum(transition_units[1:]) + units) + units * units if shortcut else 0
        return dense(inputs + units, *transition_units, units) + skipping

    return _sequence.build(
        layer,
        "rnn",
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
        output_units=output_units,
        output_activation=output_activation,
        name=name,
    )


def rnn_space(hp):
    """What to search: the paper's forms, width, dropout; untouched, it gives build_rnn's defaults."""
    form = hp.Choice("form", ["rnn", "srnn", "dt", "dts", "dots"], default="rnn")
    width = hp.Choice("width", [100, 200, 400, 600], default=600)
    return {
        "units": (width,) * (2 if form == "srnn" else 1),
        "transition_units": (width,) if form.startswith("d") else (),
        "shortcut": form in ("dts", "dots"),
        "output_units": (width,) if form == "dots" else (),
        "dropout": hp.Choice("dropout", [0.0, 0.25, 0.5], default=0.0),
    }
