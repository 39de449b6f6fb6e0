"""The embedded sounds: plucked strings and chirps, drawn from a law whose likelihood is known exactly.

A sound is a string or a chirp, and has one of eight settings, all equally probable: a period, or a pair of
frequencies. Given the setting and the levels before, a sample's mu-law level has a discretised logistic distribution
around what the law expects:

    string  x_t expects d (x_{t-N} + x_{t-N-1}) / 2 of the decoded samples before (Karplus and Strong 1983), N samples
            being its period; its first N samples are noise, the pluck
    chirp   x_t expects a sine whose frequency glides from one frequency to another, fading out

No model that does not know a sound's setting can be better, in expectation, than the mixture over the settings, whose
likelihood `log_prob` computes. Source of the strings: Karplus and Strong, "Digital Synthesis of Plucked-String and Drum
Timbres", Computer Music Journal 7(2).
"""

import numpy as np
from scipy.special import expit, logsumexp

from keras_dl.features.audio_files import as_int16

RATE, LEVELS = 8000, 256
SAMPLES = 1600  # of a sound
COUNTS = {"train": 320, "validation": 64, "test": 64}
CLASSES = ("chirp", "string")
PERIODS = (20, 22, 25, 28, 32, 36, 40, 45)  # samples: tones of 400 to 178 Hz
GLIDES = tuple((low, high) for low in (200, 300, 400, 600) for high in (800, 1200))  # Hz, at the beginning and the end
DECAY = 0.996  # of a string, for each period
PLUCK, NOISE = 30.0, 1.5  # scales of the logistic distributions, in levels
LOUD, FADING = 0.6, 0.1  # amplitude of a chirp at its beginning; seconds in which it falls to 1 / e
MU = LEVELS - 1


def draw(seed):
    """{split: (int16 (N, T), labels int32 (N,))}, half of the sounds strings, in random order."""
    rng = np.random.default_rng((seed, 19))
    return {part: _sounds(count, rng) for part, count in COUNTS.items()}


def log_prob(levels, label):
    """Log-probability in nats of sounds of a class under the law, (N,): the mean over all settings of theirs.

    Args:
        levels: whole numbers (N, T) from 0 to 255, mu-law.
        label: index of the class in CLASSES.
    """
    levels = np.asarray(levels)
    settings = GLIDES if CLASSES[label] == "chirp" else PERIODS
    of_each = [_log_prob_given(levels, label, setting) for setting in settings]
    return logsumexp(of_each, axis=0) - np.log(len(settings))


def best_nats(levels, labels=None):
    """Nats per sample of sounds of both classes under the law.

    Args:
        levels: (N, T), as for log_prob.
        labels: (N,), if a model is told the class of a sound; None: both are equally probable.
    """
    of_classes = np.stack([log_prob(levels, label) for label in range(len(CLASSES))])
    if labels is None:
        total = logsumexp(of_classes, axis=0) - np.log(len(CLASSES))
    else:
        total = of_classes[labels, np.arange(len(levels))]
    return float(-total.sum() / np.size(levels))


def encode(audio):
    """features.mu_law.encode in float64, not rounded: (...) levels from 0 to 255."""
    return (np.sign(audio) * np.log1p(MU * np.abs(audio)) / np.log1p(MU) + 1) / 2 * MU


def decode(levels):
    """features.mu_law.decode in float64."""
    companded = np.asarray(levels, np.float64) * (2 / MU) - 1
    return np.sign(companded) * np.expm1(np.abs(companded) * np.log1p(MU)) / MU


def expected(levels, label, setting):
    """(what the law expects of every sample, its scale): both (N, T), levels; what is before a sample is `levels`'."""
    count, samples = levels.shape
    if CLASSES[label] == "chirp":
        low, high = setting
        seconds = np.arange(samples) / RATE
        octaves = np.log(high / low) / (SAMPLES / RATE)
        phase = 2 * np.pi * low * np.expm1(octaves * seconds) / octaves
        expects = encode(LOUD * np.exp(-seconds / FADING) * np.sin(phase))
        return np.broadcast_to(expects, levels.shape), np.full(samples, NOISE)
    before = np.concatenate([np.zeros((count, setting + 1)), decode(levels)], 1)
    expects = encode(DECAY * (before[:, 1 : samples + 1] + before[:, :samples]) / 2)
    expects[:, :setting] = MU / 2
    return expects, np.where(np.arange(samples) < setting, PLUCK, NOISE)


def _log_prob_given(levels, label, setting):
    expects, scale = expected(levels, label, setting)
    above = np.where(levels == MU, np.inf, (levels + 0.5 - expects) / scale)
    below = np.where(levels == 0, -np.inf, (levels - 0.5 - expects) / scale)
    # A difference of two sigmoids near 1 loses its digits: both are mirrored there.
    mirrored = below > 0
    above, below = np.where(mirrored, -below, above), np.where(mirrored, -above, below)
    return np.log(np.maximum(expit(above) - expit(below), 1e-300)).sum(1)


def _sounds(count, rng):
    labels = rng.permutation(np.arange(count) % len(CLASSES)).astype(np.int32)
    levels = np.zeros((count, SAMPLES))
    for row, label in enumerate(labels):
        setting = (GLIDES if CLASSES[label] == "chirp" else PERIODS)[rng.integers(8)]
        noise = rng.logistic(size=SAMPLES)
        step = SAMPLES if CLASSES[label] == "chirp" else setting  # samples that depend only on those before them
        for start in range(0, SAMPLES, step):
            part = slice(start, start + step)
            expects, scale = expected(levels[row : row + 1], label, setting)
            levels[row, part] = np.clip(np.round(expects[0, part] + scale[part] * noise[part]), 0, MU)
    return as_int16(decode(levels)), labels
