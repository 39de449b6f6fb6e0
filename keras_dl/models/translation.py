"""What the models that translate can do besides learning: write step by step, and show where they look.

Every one of them takes {"source": (B, S) int32, "target": (B, T) int32}, the target shifted right by one, and gives
logits (B, T, V). Token 0 is padding.
"""

import keras
from keras import ops

from keras_dl.layers.alignment import AttentionDecoder
from keras_dl.layers.attention import MultiHeadAttention


def decoder_of(model):
    """What writes with a model, one step at a time, its weights shared.

    Args:
        model: made by build_seq2seq, build_attention_seq2seq or build_transformer.

    Returns:
        An object with
            begin(source): (B, S) int32 -> (memory, state), nests of tensors with B rows each;
            step(tokens, state, memory): the next tokens (N,) int32 and a state of N rows -> (logits (N, V) float32,
            state). N is a multiple of B: the rows of a sentence, such as a beam's, stand side by side and read the
            one memory that it has. decoding.take gives a state its rows.
        Step by step it gives the model's logits.
    """
    return _file(model)._Decoder(model)


def with_attention(model):
    """The same network, its weights shared, that shows where it looks.

    Args:
        model: made by build_attention_seq2seq or build_transformer.

    Returns:
        A model of the same inputs -> {"logits": as before, "attention": (B, T, S) float32, or of a Transformer
        (B, N, h, T, S), layer by layer and head by head; of a Transformer besides "source_attention" (B, N, h, S, S)
        and "target_attention" (B, N, h, T, T)}.

    Raises:
        ValueError: the model has no attention.
    """
    file = _file(model)
    if not hasattr(file, "_with_attention"):
        raise ValueError(f"with_attention: the model must have attention; {model.name} has none.")
    return file._with_attention(model)


def with_alignment(model):
    """The same network that says which source token each target token goes with.

    Args:
        model: as of with_attention.

    Returns:
        A model of the same inputs -> {"logits": as before, "alignment": (B, T, S) float32, each row of sum 1}: the
        attention, and of a Transformer the mean over the heads of its last layer but one (of one layer, that).
    """
    shown = with_attention(model)
    weights = shown.output["attention"]
    if len(weights.shape) == 5:
        weights = ops.mean(weights[:, max(0, weights.shape[1] - 2)], 1)
    return keras.Model(model.input, {"logits": shown.output["logits"], "alignment": weights}, name=model.name)


def _file(model):
    """The file that has built it."""
    from keras_dl.models import attention_seq2seq, seq2seq, transformer

    for kind, file in ((MultiHeadAttention, transformer), (AttentionDecoder, attention_seq2seq)):
        if any(isinstance(layer, kind) for layer in model.layers):
            return file
    return seq2seq
