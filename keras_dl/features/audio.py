"""Sound as a model sees it, samples as whole levels, and the features that are sound.

Shapes: B recordings, T samples.
"""

import base64
import dataclasses
import io
from typing import Annotated, TypedDict

import numpy as np
from msgspec import Meta

from keras_dl.errors import UserError
from keras_dl.features import audio_files
from keras_dl.features.audio_files import FULL, Recording
from keras_dl.features.base import Feature
from keras_dl.figures import figure_of, plain, png
from keras_dl.imports import tensorflow as tf
from keras_dl.wording import counted

SUFFIXES = (".wav", ".flac", ".ogg")
MU_LAW, LINEAR = 256, 2 * FULL  # numbers of levels
USUAL_LENGTH = 8000  # samples of a sound that a model draws, unless another length is asked for
MOST_BYTES = 2**24  # of a WAV file that a graph decodes
SECONDS = 0.032  # of a spectrogram's window
FLOOR = -80  # decibels below the loudest value of a spectrogram, where its colours begin
TICKING = 0.1  # seconds, the example of a request
SILENT = 4.3e-4  # amplitude up to which a sound is silence: that of two of 256 mu-law levels from the middle


class AudioConfig(TypedDict):
    rate: Annotated[int, Meta(ge=1, le=2**20)]
    levels: Annotated[int, Meta(ge=2, le=LINEAR)]


@dataclasses.dataclass(frozen=True)
class AudioLevels:
    """The pre-processing of sound, in the pipeline and inside the export: a sample is one of a number of levels.

    Attributes:
        rate: samples per second.
        levels: 256: mu-law companding (features.mu_law); 65,536: those of 16 bits.
        pad: T is padded to a multiple of it, so that there are few lengths and few traces.
    """

    rate: int
    levels: int = MU_LAW
    pad: int = 512

    def __call__(self, audio):
        """float (...) from -1 to 1, what is beyond is clipped -> int32 levels (...)."""
        from keras_dl.features import mu_law

        if self.levels != LINEAR:
            return mu_law.encode(audio, self.levels)
        return tf.cast(tf.clip_by_value(tf.round(tf.cast(audio, tf.float32) * FULL), -FULL, FULL - 1), tf.int32) + FULL

    def inverse(self, levels):
        """Levels (...) -> float32 from -1 to 1."""
        from keras_dl.features import mu_law

        if self.levels != LINEAR:
            return mu_law.decode(levels, self.levels)
        return (tf.cast(levels, tf.float32) - FULL) / FULL

    @property
    def distribution(self):
        """The distribution by which a model predicts such levels, as build_wavenet and SequenceLoss call it."""
        return "categorical" if self.levels == MU_LAW else "logistic_mixture"

    @property
    def silence(self):
        """The level of the number 0."""
        return self.levels // 2

    def delayed(self, levels):
        """At every step the level of the step before: (B, T) -> (B, T); silence is before the first."""
        return tf.pad(levels, [[0, 0], [1, 0]], constant_values=self.silence)[:, :-1]

    def batch(self, raw):
        """{"audio": tf.RaggedTensor int16 (B, None), "context": int32 (B,)} -> (x, y, weight).

        Returns:
            x: int32 (B, T), y delayed by one step.
            y: int32 (B, T), levels; silence after the end of a recording.
            weight: float32 (B, T), 1 at the samples of the recording behind the first `context`, else 0.
        """
        audio = raw["audio"]
        y = self(tf.cast(audio.to_tensor(), tf.float32) / FULL)
        y = tf.pad(y, [[0, 0], [0, -tf.shape(y)[1] % self.pad]], constant_values=self.silence)
        y = tf.ensure_shape(y, [None, None])
        steps = tf.shape(y)[1]
        weight = tf.sequence_mask(audio.row_lengths(), steps, tf.float32)
        weight -= tf.sequence_mask(raw["context"], steps, tf.float32)
        return self.delayed(y), y, weight

    def batch_of_classes(self, raw):
        """As `batch`, with x = {"audio": int32 (B, T), "label": int32 (B,)}."""
        x, y, weight = self.batch(raw)
        return {"audio": x, "label": raw["label"]}, y, weight

    def config(self):
        return {"kind": "audio", **dataclasses.asdict(self)}


@dataclasses.dataclass(frozen=True)
class Audio(Feature):
    """Sounds of one channel: float32 (B, T) from -1 to 1, padded to the longest of the request.

    Attributes:
        rate: samples per second.
        levels: as of AudioLevels.
        examples: float (n, T) with which an export is tested; None for a ticking.
    """

    rate: int
    levels: int = MU_LAW
    examples: np.ndarray | None = dataclasses.field(default=None, compare=False, repr=False)

    kind = "audio"
    dtype = "float32"
    shape = (None, None)
    suffixes = SUFFIXES
    plural = "sound files"
    counted = "sounds"
    summarised = True
    written_as = (".wav", ".flac")
    CONFIG = AudioConfig

    def config(self):
        return {"rate": self.rate, "levels": self.levels}

    def not_for(self, data):
        return [
            f"sounds of another kind (voices, instruments, room, loudness) than those of {data}; it hears "
            f"{self.rate:,} samples per second, one channel, {self.levels:,} levels"
        ]

    def read(self, source):
        """The audio_files.Recording of a file, at the feature's rate."""
        try:
            return audio_files.read(source.content, self.rate)
        except audio_files.UnreadableAudio as error:
            raise UserError(f"{source.place} {error.reason}.") from error

    def batch(self, values):
        return np.stack([_samples(value) for value in values])

    def remarks(self, place, values):
        changes = [change for value in values for change in value.changes().items()]
        return [f"{place}: {what}" + ("" if count is None else f": {count:,}") for what, count in changes]

    def write(self, value, path, like=None):
        """Write a sound as WAV or FLAC of 16 bits."""
        audio_files.write(_samples(value), path, self.rate)

    def show(self, value):
        audio = _samples(value)
        seconds = f"{len(audio) / self.rate:.2f} s"
        loudest = np.abs(audio).max(initial=0)
        return f"{seconds}, {f'peak {20 * np.log10(loudest):.0f} dB' if loudest else 'silence'}"

    def pictures(self, values, titles=()):
        """One picture of the sounds' spectrograms, one below the other."""
        titles = titles or [self.show(value) for value in values]
        figure = spectrogram_figure([_samples(value) for value in values], titles, self.rate)
        return [("; ".join(titles), png(figure))]

    def summary(self, tag, values, titles=()):
        """Write the spectrograms, one below the other, and each sound."""
        [(_, picture)] = self.pictures(values, titles)
        tf.summary.image(f"{tag}/spectrogram", tf.io.decode_png(picture, channels=3)[None])
        for number, value in enumerate(values, 1):
            name = f"{tag}/sound" if len(values) == 1 else f"{tag}/sound_{number}"
            tf.summary.audio(name, np.asarray(_samples(value), np.float32)[None, :, None], self.rate)

    def example(self):
        if self.examples is not None:
            return np.asarray(self.examples, np.float32)
        ticking = np.zeros(max(2, int(TICKING * self.rate)), np.float32)
        ticking[:: max(1, len(ticking) // 4)] = 0.5
        return ticking[None]

    def in_python(self):
        return "tf.zeros([1, 1])"

    def in_numpy(self, name):
        return [
            f"# float32 (n, samples) from -1 to 1, one channel, {self.rate:,} samples per second",
            f'{name} = np.load("{name}.npy")',
        ]

    def in_rest(self):
        return [0.0]

    def on_command_line(self):
        return "SOUND.wav"


class AudioSamples(Feature):
    """The number of samples of each sound of a request: int32 (B,)."""

    kind = "audio_samples"
    dtype = "int32"
    follows = True

    def of(self, value):
        return len(_samples(value))

    def of_batch(self, values):
        return np.full(len(values), values.shape[1], np.int32)

    def in_python(self):
        return "tf.constant([1])"

    def in_numpy(self, name):
        return [f"{name} = np.full(len(audio), audio.shape[1], np.int32)"]

    def in_rest(self):
        return 1


class EncodedAudio(Audio):
    """The bytes of WAV files of 16 bits at the feature's rate, any number of channels: strings (B,).

    `predict` makes them of files of any kind; other callers send such files themselves.
    """

    kind = "audio_bytes"
    dtype = "string"
    shape = (None,)
    written_as = ()
    unreadable = "is no WAV file of 16 bits"

    def batch(self, values):
        return np.array([self._bytes(value) for value in values], object)

    def show(self, value):
        return counted(len(value), "bytes")

    def pictures(self, values, titles=()):
        return []

    def summary(self, tag, values, titles=()):
        Feature.summary(self, tag, values, titles)

    def example(self):
        return self.batch(list(Audio.example(self)))

    def in_python(self):
        return 'tf.constant([open("SOUND.wav", "rb").read()])'

    def in_rest(self):
        return {"b64": base64.b64encode(self._bytes(np.zeros(1))).decode()}

    def _bytes(self, value):
        file = io.BytesIO()
        audio_files.write_wav(audio_files.as_int16(_samples(value)), file, self.rate)
        return file.getvalue()


def is_silent(sound):
    """Whether no sample of a sound (T,) is above SILENT."""
    return bool(np.abs(_samples(sound)).max(initial=0) <= SILENT)


def spectrogram_figure(sounds, titles, rate):
    """Draw spectrograms one below the other: time in seconds, frequency in kHz, loudness as a colour.

    A spectrogram is the logarithm of the magnitude of a short-time Fourier transform (Hann windows of SECONDS that
    overlap by three quarters), down to FLOOR decibels below its loudest value.

    Args:
        sounds: list of float (T,).
        titles: a title for each.
        rate: samples per second.
    """
    figure = figure_of(6, 2.2 * len(sounds))
    for row, (sound, title) in enumerate(zip(sounds, titles, strict=True), 1):
        axes = figure.add_subplot(len(sounds), 1, row, ylabel="kHz", xlabel="seconds")
        axes.set_title(plain(title, 60), fontsize=11)
        loudness = spectrogram(sound, rate)
        axes.imshow(
            loudness.T, origin="lower", aspect="auto", cmap="magma", vmin=FLOOR, vmax=0, interpolation="nearest",
            extent=(0, max(len(sound), 1) / rate, 0, rate / 2000),
        )  # fmt: skip
    return figure


def spectrogram(sound, rate):
    """Decibels below the loudest value: float32 (frames, frequencies), FLOOR at least.

    Args:
        sound: float (T,); a sound that is shorter than a window is padded with silence.
        rate: samples per second.
    """
    window = 2 ** round(np.log2(SECONDS * rate))
    sound = np.asarray(sound, np.float32)
    sound = np.pad(sound, (0, max(0, window - len(sound))))
    magnitude = np.abs(tf.signal.stft(sound, window, max(1, window // 4)).numpy())
    loudest = magnitude.max()
    if not loudest:
        return np.full(magnitude.shape, FLOOR, np.float32)
    return np.maximum(20 * np.log10(np.maximum(magnitude / loudest, 1e-12)), FLOOR).astype(np.float32)


def _samples(value):
    """The samples (T,) of a Recording, or of an array."""
    return np.asarray(value.audio if isinstance(value, Recording) else value, np.float32)
