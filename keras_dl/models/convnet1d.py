"""ConvNets for sounds: over the samples themselves, or over a spectrogram that is computed in the graph.

Source: Dai et al., "Very Deep Convolutional Neural Networks for Raw Waveforms" (arXiv:1610.00087), table 1. The
defaults are their M5, a convolution of 80 samples with stride 4 and three of 3, each

    max-pooling by 4 (rectifier (batch normalisation (convolution)))

then the mean over time and the logits. On a spectrogram (features="spectrogram") the same blocks go over its frames,
whose bands are the channels, with the first kernel of 3 frames and stride 1, and pooling by 2.
Deviations: kernels begin as He et al. say, since blocks end in rectifiers; dropout before the logits is an option.
The paper reads sounds of 8,000 samples per second. A spectrogram is normalised by a first batch normalisation.
Shapes: B sounds, T samples, K classes.
Laws and figures: python -m keras_dl list convnet1d
"""

import keras
from keras import layers

from keras_dl.arguments import ArgumentError, ModelName, OneOf, Share, Tuple, Whole, checked
from keras_dl.layers.normalization import BatchNormalization
from keras_dl.layers.spectrogram import LogMelSpectrogram, frames
from keras_dl.models._sizes import Classes, SoundShape, Width, check_weights
from keras_dl.wording import counted

PARAMETERS = 558_090  # trainable, at the defaults
FEATURES = {"waveform": (80, 4, 4), "spectrogram": (3, 1, 2)}  # first kernel, its stride, and pooling
KERNEL = 3  # of all other convolutions
WINDOW, HOP = 0.032, 0.016  # seconds of a spectrogram's windows, and between them


@checked
def build_convnet1d(
    input_shape: SoundShape = (32_000,),
    num_classes: Classes = 10,
    *,
    rate: Whole(100, 1_000_000) = 8000,
    features: OneOf(*FEATURES) = "waveform",
    filters: Tuple(Width, 1, 16) = (128, 128, 256, 512),
    bands: Whole(1, 1024) = 40,
    dropout: Share = 0.0,
    name: ModelName = "convnet1d",
):
    """Build a ConvNet over the samples of a sound, or over its spectrogram.

    Args:
        input_shape: (samples,), T of the shapes, without the batch axis.
        num_classes: K, at least 2.
        rate: samples per second; only a spectrogram depends on it.
        features: what the first convolution reads: "waveform", the samples, or "spectrogram", the logarithm of the
            energy in `bands` bands, in windows of WINDOW seconds (layers.spectrogram).
        filters: maps of each block.
        bands: of a spectrogram.
        dropout: share of the maps' means that training sets to zero.
        name: name of the model.

    Returns:
        An uncompiled model: "audio" (B, T) float32 from -1 to 1 -> "logits" (B, K) float32, unnormalised
        log-probabilities.

    Raises:
        ArgumentError: an argument does not fit its annotation, the sound is too short for the blocks, or the weights
            are too many.

    >>> build_convnet1d().get_layer("pool4").output.shape
    (None, 31, 512)
    """
    first, stride, pool = FEATURES[features]
    window, hop = (max(2, round(seconds * rate)) for seconds in (WINDOW, HOP))
    steps, channels = (input_shape[0], 1) if features == "waveform" else (frames(input_shape[0], window, hop), bands)
    _check(features, steps, channels, num_classes, filters, rate, window)
    audio = keras.Input(input_shape, name="audio")
    if features == "spectrogram":
        x = LogMelSpectrogram(rate, bands, window, hop, name="spectrogram")(audio)
        x = BatchNormalization(name="spectrogram_bn")(x)
    else:
        x = layers.Reshape((steps, 1), name="channel")(audio)
    for number, maps in enumerate(filters, start=1):
        kernel, step = (first, stride) if number == 1 else (KERNEL, 1)
        x = layers.Conv1D(
            maps, kernel, step, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"conv{number}"
        )(x)
        x = BatchNormalization(name=f"conv{number}_bn")(x)
        x = layers.ReLU(name=f"conv{number}_relu")(x)
        x = layers.MaxPooling1D(pool, name=f"pool{number}")(x)  # (B, N / pool, maps), rounded down
    x = layers.GlobalAveragePooling1D(name="pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(audio, logits, name=name)


def convnet1d_space(hp):
    """What to search: what is read, and dropout; untouched, it gives build_convnet1d's defaults."""
    return {
        "features": hp.Choice("features", list(FEATURES), default="waveform"),
        "dropout": hp.Choice("dropout", [0.0, 0.25, 0.5], default=0.0),
    }


def _check(features, steps, channels, num_classes, filters, rate, window):
    who, (first, stride, pool) = "build_convnet1d", FEATURES[features]
    if features == "spectrogram" and channels > window // 2:
        raise ArgumentError(
            f"{who}: bands must be at most {window // 2}, half of a window's samples at rate={rate}; got {channels}. "
            f"Nearest: {window // 2}."
        )
    left = -(-steps // stride)
    for number in range(1, 1 + len(filters)):
        left //= pool
        if not left:
            raise ArgumentError(
                f"{who}: with {len(filters)} blocks, each of which pools by {pool}, input_shape must be longer; of its "
                f"{counted(steps, 'steps')} nothing is left after block {number}. Nearest: {number - 1} blocks."
            )
    widths = zip((channels, *filters), filters, (first, *[KERNEL] * len(filters)), strict=False)
    check_weights(who, sum(kernel * before * maps for before, maps, kernel in widths) + filters[-1] * num_classes)
