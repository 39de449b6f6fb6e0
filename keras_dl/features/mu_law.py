"""Sound in few levels, finer near silence: mu-law companding.

Source: ITU-T G.711 as van den Oord et al. use it (arXiv:1609.03499, section 2.2), mu = levels - 1:

    f(x) = sign(x) ln(1 + mu |x|) / ln(1 + mu),  -1 <= x <= 1

f(x) is rounded to one of the levels, which are at equal distances from -1 to 1. With an even number of levels none of
them is silence: 0 becomes levels / 2 (128 of 256), which stands for 8.6e-5.
"""

import math

import tensorflow as tf


def encode(audio, levels=256):
    """The nearest level of each sample.

    Args:
        audio: (...) floats; what is beyond [-1, 1] is clipped.
        levels: number of levels.

    Returns:
        (...) int32 from 0 to levels - 1.

    >>> encode([-1.0, 0.0, 0.01, 1.0]).numpy().tolist()
    [0, 128, 157, 255]
    """
    mu = levels - 1
    audio = tf.clip_by_value(_floats(audio), -1, 1)
    companded = tf.sign(audio) * tf.math.log1p(mu * tf.abs(audio)) / math.log1p(mu)
    return tf.cast(tf.floor((companded + 1) / 2 * mu + 0.5), tf.int32)


def decode(level, levels=256):
    """The sample that a level stands for; encode(decode(k)) is k for every level.

    Args:
        level: (...) whole numbers from 0 to levels - 1.
        levels: number of levels.

    Returns:
        (...) float32 from -1 to 1.

    >>> [round(float(x), 6) for x in decode([0, 127, 128, 255])]
    [-1.0, -8.6e-05, 8.6e-05, 1.0]
    """
    mu = levels - 1
    companded = tf.cast(level, tf.float32) * (2 / mu) - 1
    return tf.sign(companded) * tf.math.expm1(tf.abs(companded) * math.log1p(mu)) / mu


def _floats(audio):
    audio = tf.convert_to_tensor(audio)
    return audio if audio.dtype == tf.float64 else tf.cast(audio, tf.float32)
