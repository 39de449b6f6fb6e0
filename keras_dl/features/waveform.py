"""The pre-processing of sounds that are read as they are, by a classifier."""

import dataclasses

from keras_dl.features.audio_files import FULL
from keras_dl.imports import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Waveform:
    """Sounds of one length: the middle of a longer one, a shorter one in the middle of silence.

    Each is divided by its own largest magnitude, since how loud a recording is says little of what is heard.

    Attributes:
        rate: samples per second.
        samples: of the model's input.
    """

    rate: int
    samples: int

    @property
    def input_shape(self):
        return (self.samples,)

    def __call__(self, audio):
        """float (B, T) from -1 to 1 -> float32 (B, samples), of magnitude 1 at most; silence stays silence."""
        audio = tf.cast(audio, tf.float32)
        lack = self.samples - tf.shape(audio)[1]
        before = tf.maximum(lack, 0) // 2
        audio = tf.pad(audio, [[0, 0], [before, tf.maximum(lack, 0) - before]])
        start = tf.maximum(-lack, 0) // 2
        audio = tf.ensure_shape(audio[:, start : start + self.samples], [None, self.samples])
        return audio / tf.maximum(tf.reduce_max(tf.abs(audio), 1, keepdims=True), 1 / FULL)

    def of_each(self, audio, lengths):
        """As a call, of sounds (B, T) that have their own lengths (B,): each is in the middle by itself."""

        def one(pair):
            sound, length = pair
            return self(sound[None, :length])[0]

        spec = tf.TensorSpec([self.samples], tf.float32)
        return tf.map_fn(one, (tf.cast(audio, tf.float32), lengths), fn_output_signature=spec)

    def batch(self, raw):
        """{"audio": tf.RaggedTensor int16 (B, None), "label": int32 (B,)} -> (x float32 (B, samples), y)."""
        audio = raw["audio"]
        x = self.of_each(tf.cast(audio.to_tensor(), tf.float32) / FULL, tf.cast(audio.row_lengths(), tf.int32))
        return x, raw["label"]

    def config(self):
        return {"kind": "waveform", **dataclasses.asdict(self)}
