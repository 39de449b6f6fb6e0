"""The sound files of a request: what is checked of them inside the graph, and how they become samples."""

from keras_dl.endpoints import at_most, must
from keras_dl.features.audio import MOST_BYTES
from keras_dl.imports import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf

MOST_RECORDINGS = 64  # per request


def from_files(audio_bytes, rate, most):
    """Decode the WAV files of a request.

    Args:
        audio_bytes: (B,) strings, WAV files of 16 bits at `rate`, any number of channels.
        rate: samples per second that a file must have.
        most: largest number of samples of all recordings together, each counted with the longest one's.

    Returns:
        (float32 (B, T) from -1 to 1, the channels' mean, silence after a recording's end; lengths int32 (B,)).
    """
    count, size = tf.size(audio_bytes), tf.reduce_sum(tf.cast(tf.strings.length(audio_bytes), tf.int64))
    limits = [
        at_most(count, MOST_RECORDINGS, "audio_bytes: a request", "recordings"),
        at_most(size, MOST_BYTES, "audio_bytes: a request", "bytes of WAV files"),
    ]
    with tf.control_dependencies(limits):
        audio_bytes = tf.identity(audio_bytes)
    spec = tf.RaggedTensorSpec([None], tf.float32, 0, tf.int64)
    decoded = tf.map_fn(lambda data: _samples(data, rate), audio_bytes, fn_output_signature=spec, parallel_iterations=1)
    lengths = decoded.row_lengths()
    longest = tf.reduce_max(tf.concat([[0], tf.cast(lengths, tf.int32)], 0))
    with tf.control_dependencies(bounds("audio_bytes", count, longest, MOST_RECORDINGS, most)):
        lengths = tf.identity(lengths)
    audio = tf.RaggedTensor.from_row_lengths(decoded.values, lengths).to_tensor()
    return audio, tf.cast(lengths, tf.int32)


def lengths_hold(samples, batch, longest):
    """Assertions on the input "samples" beside recordings (B, T)."""
    return [
        must(tf.equal(tf.size(samples), batch), "samples must be one number a recording"),
        must(tf.reduce_all((samples >= 0) & (samples <= longest)), "samples must be 0 to the length of the audio"),
    ]


def bounds(who, batch, samples, most_recordings, most):
    """Assertions on the number of recordings of a request and of their samples."""
    of_all = tf.cast(batch, tf.int64) * tf.cast(samples, tf.int64)
    return [
        at_most(batch, most_recordings, f"{who}: a request", "recordings"),
        at_most(of_all, most, f"{who}: a recording", "samples, or as many in all if each counts as the longest"),
    ]


def finite(who, values):
    """The values, with an assertion that none is nan or infinite."""
    check = must(tf.reduce_all(tf.math.is_finite(values)), f"{who} must hold finite numbers")
    with tf.control_dependencies([check]):
        return tf.identity(values)


def _samples(data, rate):
    """The samples (T,) of a WAV file."""
    values, of_file = tf.audio.decode_wav(data)
    sentence = tf.strings.format(f"audio_bytes: a file must have {rate} samples per second; got {{}}", of_file)
    with tf.control_dependencies([must(tf.equal(of_file, rate), sentence)]):
        mono = tf.reduce_mean(values, 1)
    return tf.RaggedTensor.from_tensor(mono[None])[0]
