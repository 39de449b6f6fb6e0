"""A spectrogram as a layer: the loudness of a sound by time and frequency.

Source: a short-time Fourier transform with Hann windows, and the mel scale of O'Shaughnessy 1987 (HTK's formula,
m = 2595 log10(1 + f / 700)), as tf.signal has both.
Shapes: B sounds, T samples, N frames, M bands.
"""

import keras
import tensorflow as tf

LOWEST = 20.0  # Hz, where the lowest band begins


@keras.saving.register_keras_serializable("keras_dl")
class LogMelSpectrogram(keras.layers.Layer):
    """log(energy + floor) of M bands of frequencies that are equally wide on the mel scale: (B, T) -> (B, N, M).

    Frame n sees the samples n * hop to n * hop + window - 1; N = 1 + (T - window) // hop, and a sound that is shorter
    than a window is padded with silence. It computes in float32 whatever the policy: a power of 256 samples does not
    fit into 16 bits.

    Args:
        rate: samples per second.
        bands: M, at most half of `window`.
        window: samples of a window.
        hop: samples from a window to the next.
        floor: energy that is added, so that silence has a logarithm; of samples from -1 to 1.
    """

    def __init__(self, rate=8000, bands=40, window=256, hop=128, floor=1e-4, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.bands, self.window, self.hop, self.floor = rate, bands, window, hop, floor

    def build(self, input_shape):
        self.matrix = tf.signal.linear_to_mel_weight_matrix(
            self.bands, self.window // 2 + 1, self.rate, LOWEST, self.rate / 2
        ).numpy()  # (frequencies, M), triangles that overlap by half

    def call(self, audio):
        audio = tf.cast(audio, tf.float32)
        short = tf.maximum(0, self.window - tf.shape(audio)[1])
        audio = tf.pad(audio, [[0, 0], [0, short]])
        spectrum = tf.signal.stft(audio, self.window, self.hop, fft_length=self.window)
        energy = tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))
        return tf.math.log(tf.matmul(energy, self.matrix) + self.floor)

    def compute_output_shape(self, input_shape):
        batch, samples = input_shape
        return (batch, None if samples is None else frames(samples, self.window, self.hop), self.bands)

    def compute_output_spec(self, audio):
        return keras.KerasTensor(self.compute_output_shape(audio.shape), dtype="float32")

    def get_config(self):
        names = ("rate", "bands", "window", "hop", "floor")
        return super().get_config() | {name: getattr(self, name) for name in names}


def frames(samples, window, hop):
    """N, the number of frames of a sound of T samples."""
    return 1 + max(0, samples - window) // hop
