"""Layers that Keras does not have, each with the equations of one paper. Imported on first use (PEP 562)."""

import importlib

EXPORTS = {  # public name -> its file
    "BatchNormalization": "normalization",
    "LSTM": "recurrent",
    "GRU": "recurrent",
    "Transition": "recurrent",
    "CausalConv1D": "causal_convolution",
    "receptive_field": "causal_convolution",
    "RowLSTM": "pixel_lstm",
    "DiagonalBiLSTM": "pixel_lstm",
    "AttentionDecoder": "attention_decoder",
    "MultiHeadAttention": "attention",
    "Maxout": "maxout",
    "MaxPoolingWithSwitches": "unpooling",
    "MaxUnpooling": "unpooling",
    "Upsampling": "unpooling",
    "Positions": "attention",
    "ScaledEmbedding": "attention",
}


def __getattr__(name):
    if name in EXPORTS:
        return getattr(importlib.import_module(f"{__name__}.{EXPORTS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(EXPORTS)}")


def __dir__():
    return sorted(EXPORTS)
