"""A language model of attention alone: the Transformer's decoder without a source.

Source: Vaswani et al., "Attention Is All You Need" (arXiv:1706.03762), section 3, the decoder's stack, of which what
attends to a source is left out as Liu et al. (arXiv:1801.10198, section 4.2.3) do.
The defaults are the base model's sizes.
Deviations: none by default. norm_first, learned positions and biases in the attention are options.
Shapes: B sequences, T steps, K tokens.
"""

import keras
from keras import layers

from keras_dl.layers.attention import Mask, ScaledEmbedding
from keras_dl.models import _checks
from keras_dl.models._transformer import Parts, check

PARAMETERS = 24_022_016  # trainable, at the defaults


def build_transformer_lm(
    input_shape=(None,),
    num_classes=10_000,
    *,
    num_layers=6,
    hidden_dim=512,
    intermediate_dim=2048,
    num_heads=8,
    dropout=0.1,
    norm_first=False,
    positions="sinusoidal",
    max_length=512,
    tied=True,
    use_bias=False,
    name="transformer_lm",
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
        ValueError: an argument is outside what is said above.

    >>> build_transformer_lm(num_classes=7, num_layers=1, hidden_dim=8, num_heads=2).output_shape
    (None, None, 7)
    """
    if not isinstance(input_shape, (tuple, list)) or len(input_shape) != 1:
        raise ValueError(f"build_transformer_lm: input_shape must be (T,), T None for any; got {input_shape!r}.")
    _checks.whole_numbers("build_transformer_lm", "input_shape", tuple(n or 1 for n in input_shape), example="(None,)")
    sizes = {
        "num_classes": num_classes, "num_layers": num_layers, "hidden_dim": hidden_dim,
        "intermediate_dim": intermediate_dim, "num_heads": num_heads, "max_length": max_length,
    }  # fmt: skip
    check("build_transformer_lm", sizes, dropout, positions, norm_first=norm_first, tied=tied, use_bias=use_bias)
    part = Parts(hidden_dim, intermediate_dim, num_heads, dropout, norm_first, use_bias)

    tokens = keras.Input(tuple(input_shape), dtype="int32", name="tokens")
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
