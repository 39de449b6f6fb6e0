"""Reads and writes recordings: WAV, FLAC and OGG files of any rate and number of channels, as one channel of one rate.

soundfile decodes them; soxr changes their rate, with its quality VHQ: a tone of 440 Hz has 440 Hz again.
"""

import dataclasses
import wave
from pathlib import Path

import numpy as np

from keras_dl.atomic import atomic_file
from keras_dl.errors import UserError
from keras_dl.extras import needs
from keras_dl.wording import counted

READING = "audio: reading sound files"
MOST_VALUES = 2**27  # of a file, all channels together: 23 minutes of stereo at 48,000 samples per second
MOST_SAMPLES = 2**26  # of a recording, at the rate that is asked for
FULL = 2**15  # a sample of 16 bits is a number from -1 to 1 times this


class UnreadableAudio(UserError):
    """A file cannot be read as sound; `reason` is the message after the file's name, without the full stop."""

    def __init__(self, path, reason):
        super().__init__(f"{path} {reason}.")
        self.reason = reason


@dataclasses.dataclass(frozen=True)
class Recording:
    """The content of a sound file.

    Attributes:
        audio: float32 (T,) from -1 to 1, one channel; T may be 0.
        rate: samples per second of `audio`.
        file_rate: samples per second of the file.
        channels: of the file; `audio` is their mean.
        clipped: number of samples of the file that were beyond -1 or 1, as floating-point numbers may be.
    """

    audio: np.ndarray
    rate: int
    file_rate: int
    channels: int
    clipped: int = 0

    @property
    def seconds(self):
        return len(self.audio) / self.rate

    def changes(self):
        """{what of the file was changed, a phrase: how often, or None where it was the whole}."""
        changes = {}
        if self.file_rate != self.rate:
            changes[f"{self.file_rate:,} samples per second converted to {self.rate:,}"] = None
        if self.channels > 1:
            changes[f"{counted(self.channels, 'channels')} averaged to one"] = None
        if self.clipped:
            changes["samples beyond full scale clipped"] = self.clipped
        return changes


def read(path, rate=None):
    """Read a sound file.

    Args:
        path: path of the file.
        rate: samples per second of the result; None: as the file has.

    Returns:
        Recording.

    Raises:
        UnreadableAudio: the file cannot be opened or decoded, holds numbers that are not finite, or is too large (more
            than MOST_VALUES values, or MOST_SAMPLES samples of the result).
        UserError: soundfile or soxr is not installed.
    """
    path = Path(path)
    soundfile = needs("soundfile", "signals", READING)
    try:
        with open(path, "rb") as opened, soundfile.SoundFile(opened) as file:
            file_rate, channels = file.samplerate, file.channels
            if file.frames * channels > MOST_VALUES:
                raise UnreadableAudio(
                    path, f"is too large: a sound file may have at most {MOST_VALUES:,} values, channels counted"
                )
            values = file.read(dtype="float32", always_2d=True)
    except OSError as error:
        raise UnreadableAudio(path, f"cannot be read: {error.strerror or error}") from error
    except soundfile.SoundFileError as error:
        empty = path.stat().st_size == 0
        raise UnreadableAudio(path, "is empty" if empty else "is no readable WAV, FLAC or OGG file") from error
    if not np.isfinite(values).all():
        raise UnreadableAudio(path, "has samples that are no finite numbers")
    audio = values.mean(1) if channels > 1 else values[:, 0]
    rate = file_rate if rate is None else rate
    if len(audio) * rate > MOST_SAMPLES * file_rate:
        raise UnreadableAudio(path, f"is too long: a recording may have at most {MOST_SAMPLES:,} samples")
    clipped = int(np.count_nonzero(np.abs(audio) > 1))
    if rate != file_rate:
        soxr = needs("soxr", "signals", READING)
        try:
            audio = soxr.resample(audio, file_rate, rate, quality="VHQ")
        except (ValueError, RuntimeError) as error:
            raise UnreadableAudio(path, f"cannot be converted from {file_rate:,} samples per second") from error
    return Recording(np.clip(audio, -1, 1).astype(np.float32), rate, file_rate, channels, clipped)


def write(audio, path, rate):
    """Write float (T,) from -1 to 1 as a file of 16 bits and one channel; its ending says which: .wav or .flac.

    The file is written whole or not at all.
    """
    samples = as_int16(audio)
    with atomic_file(path) as file:
        if Path(path).suffix == ".wav":
            write_wav(samples, file, rate)
        else:
            needs("soundfile", "signals", "audio: writing FLAC files").write(
                file, samples, rate, format="FLAC", subtype="PCM_16"
            )


def write_wav(samples, file, rate):
    """Write int16 (T,) as WAV to an open binary file."""
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.asarray(samples, "<i2").tobytes())


def as_int16(audio):
    """Floats from -1 to 1 as samples of 16 bits: int16; as_float is the inverse to the nearest level."""
    return np.clip(np.round(np.asarray(audio, np.float64) * FULL), -FULL, FULL - 1).astype(np.int16)


def as_float(samples):
    """Samples of 16 bits as float32 from -1 to 1 - 1 / FULL."""
    return np.asarray(samples, np.float32) / np.float32(FULL)
