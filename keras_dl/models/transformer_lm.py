"""A language model of attention alone: the Transformer's decoder without a source.

Source: Vaswani et al., "Attention Is All You Need" (arXiv:1706.03762), section 3, the decoder's stack, of which what
attends to a source is left out as Liu et al. (arXiv:1801.10198, section 4.2.3) do.
The defaults are the base model's sizes.
Deviations: none by default. norm_first, learned positions and biases in the attention are options.
Shapes: B sequences, T steps, K tokens.
Laws and figures: python -m keras_dl list transformer_lm
"""

import keras
from keras import layers

from keras_dl.arguments import ModelName, OneOf, Share, YesOrNo, checked
from keras_dl.layers.attention import Mask, ScaledEmbedding
from keras_dl.models._sizes import LayersOfOne, Tokens, TokensShape, Width, check_weights
from keras_dl.models._transformer import POSITIONS, Parts, check_heads

PARAMETERS = 24_022_016  # trainable, at the defaults


@checked
def build_transformer_lm(
    input_shape: TokensShape = (None,),
    num_classes: Tokens = 10_000,
    *,
    num_layers: LayersOfOne = 6,
    hidden_dim: Width = 512,
    intermediate_dim: Width = 2048,
    num_heads: Width = 8,
    dropout: Share = 0.1,
    norm_first: YesOrNo = False,
    positions: OneOf(*POSITIONS) = "sinusoidal",
    max_length: Width = 512,
    tied: YesOrNo = True,
    use_bias: YesOrNo = False,
    name: ModelName = "transformer_lm",
):
    """Build a Transformer that predicts the next token.

    Args:
        input_shape: (T,) of the tokens, without the batch axis; T None for any length.
        num_classes: K, tokens that there are.
        num_layers: N.
        hidden_dim: d_model.
        intermediate_dim: d_ff.
        num_heads: h; d_k = d_model / h.
        dropout: share of the values set to zero in training, as in build_transformer.
        norm_first: normalise what goes into a sub-layer, and once at the end; else what comes out, as published.
        positions: "sinusoidal" or "learned" (section 3.5).
        tied: one matrix for the embedding and the output (section 3.4).
        use_bias: biases in the attention.
        max_length: tokens of a window, beyond which models.with_state lets the oldest half go; and how many learned
            positions there are.
        name: name of the model.

    Returns:
        An uncompiled model: "tokens" (B, T) int32 -> "logits" (B, T, K) float32, unnormalised log-probabilities of
        the token after each.

    Raises:
        ArgumentError: an argument does not fit its annotation or another argument, or the weights are too many.

    >>> build_transformer_lm(num_classes=7, num_layers=1, hidden_dim=8, num_heads=2).output_shape
    (None, None, 7)
    """
    check_heads("build_transformer_lm", num_heads, hidden_dim)
    layer = 4 * hidden_dim**2 + 2 * hidden_dim * intermediate_dim
    check_weights("build_transformer_lm", num_classes * hidden_dim * (1 if tied else 2) + num_layers * layer)
    part = Parts(hidden_dim, intermediate_dim, num_heads, dropout, norm_first, use_bias)

    tokens = keras.Input(input_shape, dtype="int32", name="tokens")
    embedding = ScaledEmbedding(num_classes, hidden_dim, name="embedding")
    before = Mask(causal=True, name="target_mask")(tokens)
    x = part.begin(embedding(tokens), positions, max_length, "target")
    x = part.decoder(x, num_layers, lambda n, layer, x: layer(x, attention_mask=before)[0])
    output = layers.Dense(num_classes, use_bias=False, name="output")
    x = embedding(x, reverse=True) if tied else output(x)
    logits = layers.Activation("linear", dtype="float32", name="logits")(x)
    return keras.Model(tokens, logits, name=name)


def transformer_lm_space(hp):
    """What to search: depth, width, dropout; untouched, it gives build_transformer_lm's defaults."""
    width = hp.Choice("hidden_dim", [128, 256, 512], default=512)
    return {
        "num_layers": hp.Choice("num_layers", [2, 4, 6], default=6),
        "hidden_dim": width,
        "intermediate_dim": 4 * width,
        "dropout": hp.Choice("dropout", [0.0, 0.1, 0.2], default=0.1),
    }
