"""Recordings as samples of 16 bits: sounds of a known law (embedded), spoken digits, or the user's own files.

`windows` cuts recordings into pieces, each with the samples before it as context, so that every sample is predicted
once, from all samples that the network can see.
"""

import collections
import contextlib

import numpy as np

from keras_dl.arguments import OneOf, Seed, Text, Whole, YesOrNo, checked
from keras_dl.data import files, own_files, prepared, synthetic_sounds, walking
from keras_dl.data.examples import OWN, PARTS, Examples, Info, Ragged, Splits, counts
from keras_dl.data.facts import Facts, sizes, unigram_nats
from keras_dl.data.nearest import nearest
from keras_dl.errors import UserError
from keras_dl.extras import needs
from keras_dl.features import audio_files
from keras_dl.features.audio import LINEAR, MU_LAW, Audio, AudioLevels
from keras_dl.waiting import waiting
from keras_dl.wording import counted

WHO = "audio.load"  # the name of `load` in messages
HIGHEST = 16_000  # samples per second, unless more are asked for
QUIET = 0.004  # amplitude of a sample that is silence: 48 decibels below full scale
MARGIN = 0.01  # seconds of silence that stay at both ends of a trimmed recording
SETS = {
    "synthetic": "plucked strings and chirps of a known law, drawn with the seed",
    "fsdd": "Free Spoken Digit Dataset 1.0.10 of Jackson et al., takes 0 to 9",
}
LICENCES = {"synthetic": "public domain", "fsdd": "CC BY-SA 4.0"}
LABELS = ("none", "class", "speaker")
MOST_SAMPLES = 2**27  # of all recordings of a folder: two hours at 16,000 samples per second


@waiting("loading the sounds ...")
@checked(who=WHO)
def load(
    name: Text,
    seed: Seed = 0,
    *,
    rate: Whole(1000, 192_000) | None = None,
    levels: OneOf(MU_LAW, LINEAR) = MU_LAW,
    label: OneOf(*LABELS) = "none",
    trim_silence: YesOrNo = False,
    skip_unreadable: YesOrNo = False,
):
    """Load recordings: Splits of {"audio": Ragged int16 (T,)}, and with labels {"label": int32 (N,)}.

    Args:
        name: "synthetic" (embedded), "fsdd", or a folder of WAV, FLAC and OGG files.
        seed: draws the embedded sounds, and the splits of a folder.
        rate: samples per second of a folder's recordings, which are converted; None: the rate that most of its files
            have, at most HIGHEST.
        levels: of the pre-processing: 256 (mu-law) or 65,536.
        label: "none"; "class": the instrument, the digit, or the folder's sub-folder; "speaker": of "fsdd" alone.
        trim_silence: cut what is below QUIET off both ends of a folder's recordings.
        skip_unreadable: leave out a folder's unreadable files instead of refusing them.

    Returns:
        Splits, with a features.audio.AudioLevels as `preprocess`. Their info has, under details, the "rate" and the
        "seconds" of each split. Recordings without a sample above QUIET are left out, which a note says.

    Raises:
        UserError: no such set or folder (the nearest is named), a set that cannot be downloaded, files that cannot be
            read, too few or too many of them, speakers of another set, or an argument that does not fit its annotation.
    """
    notes, own = (), name not in SETS
    if label == "speaker" and name != "fsdd":
        raise UserError(f'{WHO}: label must be "none" or "class" for {name}; got "speaker", which fsdd alone has.')
    if own:
        near = f"{nearest(name, SETS)}. Sets: {', '.join(sorted(SETS))}."
        recordings, labels, classes, name, rate, notes = _folder(
            name, seed, rate, label == "class", trim_silence, skip_unreadable, near
        )
    elif name == "synthetic":
        sounds, rate, classes = synthetic_sounds.draw(seed), synthetic_sounds.RATE, synthetic_sounds.CLASSES
        recordings = {part: list(sounds[part][0]) for part in PARTS}
        labels = {part: sounds[part][1] for part in PARTS}
    else:
        recordings, labels, classes, rate = _spoken_digits(label)
    parts = {part: {"audio": Ragged.of(recordings[part])} for part in PARTS}
    if label != "none":
        for part in PARTS:
            parts[part]["label"] = np.array(labels[part], np.int32)
    splits = {part: Examples(features) for part, features in parts.items()}
    about = {"audio": {"rate": rate, "levels": levels}}
    about |= {} if label == "none" else {"label": {"classes": tuple(classes)}}
    seconds = {part: round(len(parts[part]["audio"].values) / rate, 2) for part in PARTS}
    source, licence = (f"folder {name}", OWN) if own else (SETS[name], LICENCES[name])
    info = Info(name, source, about, counts(splits), {"rate": rate, "seconds": seconds}, licence)
    preprocess = AudioLevels(rate, levels)
    return Splits(**splits, info=info, preprocess=preprocess, notes=notes, facts=Sounds())


@checked(who="audio.windows")
def windows(examples, steps: Whole(1, 2**24), context: Whole(0, 2**24)):
    """Cut recordings into windows in which every sample is predicted once.

    A recording of T samples has T / steps windows, rounded up, of about equal lengths. Each is preceded by up to
    `context` samples of the recording, which are read and not predicted: with a network's receptive field all
    distributions are those of the whole recording.

    Args:
        examples: Examples of {"audio": Ragged (T,)}, perhaps with "label".
        steps: the largest number of samples that a window predicts.
        context: the largest number of samples before them.

    Returns:
        Examples of {"audio": Ragged, "context": int32 (M,), samples that are not predicted; "recording": int32 (M,),
        which recording a window is of}, and "label" if there is one.
    """
    pieces, known, owners = [], [], []
    for number, audio in enumerate(examples.features["audio"]):
        count = max(1, -(-len(audio) // steps))
        edges = np.linspace(0, len(audio), count + 1).round().astype(int)
        for start, end in zip(edges[:-1], edges[1:], strict=True):
            before = min(int(start), context)
            pieces.append(audio[start - before : end])
            known.append(before)
            owners.append(number)
    features = {
        "audio": Ragged.of(pieces), "context": np.array(known, np.int32), "recording": np.array(owners, np.int32),
    }  # fmt: skip
    if "label" in examples.features:
        features["label"] = examples.features["label"][owners]
    return Examples(features)


def best_nats(splits, part="test"):
    """Nats per sample of a split of "synthetic" under its own law, which no model can beat in expectation.

    None for other sets, and for another number of levels than the law's.
    """
    if splits.info.name != "synthetic" or splits.info.own or splits.preprocess.levels != synthetic_sounds.LEVELS:
        return None
    features = splits.parts[part].features
    levels = splits.preprocess(audio_files.as_float(features["audio"].values)).numpy()
    return synthetic_sounds.best_nats(levels.reshape(-1, synthetic_sounds.SAMPLES), features.get("label"))


class Sounds(Facts):
    """The facts of recordings."""

    unit = "recordings"
    accuracy = False

    def sizes(self, splits):
        lengths = [examples.features["audio"].lengths for examples in splits.parts.values()]
        return sizes("samples of a recording", np.concatenate(lengths))

    def baseline(self, splits):
        """Nats per sample of samples that are independent of each other, as facts.unigram_nats."""
        preprocess = splits.preprocess
        every = np.arange(-audio_files.FULL, audio_files.FULL)  # the samples of 16 bits
        levels = preprocess(audio_files.as_float(every)).numpy()
        train, validation = (
            levels[part.features["audio"].values.astype(np.int32) + audio_files.FULL]
            for part in (splits.train, splits.validation)
        )
        value = unigram_nats(train, validation, preprocess.levels)
        return {"metric": "nats_per_sample", "value": value, "what": "every level with its frequency"}


def _spoken_digits(label):
    from keras_dl.data import spoken_digits

    builder = prepared.builder("spoken_digits", WHO, spoken_digits.SpokenDigits)
    recordings, labels, field = {}, {}, "speaker" if label == "speaker" else "digit"
    for part in PARTS:
        stored = list(builder.as_dataset(split=part, shuffle_files=False).as_numpy_iterator())
        recordings[part] = [example["audio"] for example in stored]
        labels[part] = [example[field] for example in stored]
    classes = spoken_digits.SPEAKERS if label == "speaker" else tuple(map(str, range(10)))
    return recordings, labels, classes, spoken_digits.RATE


def _folder(name, seed, rate, labelled, trim_silence, skip_unreadable, near):
    """(recordings, labels, classes, name, rate, notes) of a folder of sound files, all of which are read."""
    root = own_files.root_of(name, WHO)
    if rate is None and root is not None:  # files.read says that there is no folder
        rate = _usual_rate(root)
    silent, changed, samples = [], collections.defaultdict(list), 0

    def unfit(recording):
        nonlocal samples
        if not (np.abs(recording.audio) > QUIET).any():
            silent.append(recording.seconds)
            return "silent"
        for what, count in recording.changes().items():
            changed[what].append((recording.seconds, count))
        samples += len(recording.audio)
        if samples > MOST_SAMPLES:
            raise UserError(f"{WHO}: {name} may have at most {MOST_SAMPLES:,} samples in all; take fewer files.")
        return None

    with waiting(f"reading the sound files in {name} ..."):
        folder = files.read(
            name, Audio(rate or HIGHEST), seed, WHO, labelled=labelled, skip_unreadable=skip_unreadable, advice=near,
            unfit=unfit,
        )  # fmt: skip
    recordings, trimmed = {}, []
    for part, values in folder.values.items():
        kept = [_trimmed(value.audio, rate) if trim_silence else value.audio for value in values]
        trimmed += [(len(value.audio) - len(audio)) / rate for value, audio in zip(values, kept, strict=True)]
        recordings[part] = [audio_files.as_int16(audio) for audio in kept]
    notes = [*folder.notes]
    for what, of_files in changed.items():
        count = sum(count or 0 for _, count in of_files)
        notes.append(f"{what}: {f'{count:,}, in ' if count else ''}{_files([seconds for seconds, _ in of_files])}")
    left = [len(audio) / rate for part in recordings.values() for audio in part]
    kept = f"{_files(left)} to learn from and to test on, at {rate:,} samples per second"
    dropped = f"; left out as silent (no sample above {QUIET} of full scale): {_files(silent)}" if silent else ""
    cut = [seconds for seconds in trimmed if seconds]
    dropped += f"; trimmed off the ends: {_files(cut)}" if trim_silence else ""
    notes.append(kept + dropped)
    return recordings, folder.labels, folder.classes, folder.name, rate, tuple(notes)


def _usual_rate(root):
    """The rate that most readable sound files below a folder have, at most HIGHEST."""
    soundfile, rates = needs("soundfile", "signals", audio_files.READING), collections.Counter()
    for path in walking.files(root)[0]:
        if path.suffix.lower() not in Audio.suffixes:
            continue
        with contextlib.suppress(OSError, soundfile.SoundFileError), open(path, "rb") as file:
            rates[soundfile.info(file).samplerate] += 1
    return min(HIGHEST, max(rates, key=lambda rate: (rates[rate], rate), default=HIGHEST))


def _trimmed(audio, rate):
    loud, margin = np.flatnonzero(np.abs(audio) > QUIET), round(MARGIN * rate)
    return audio[max(0, loud[0] - margin) : loud[-1] + 1 + margin]


def _files(seconds):
    """'3 files, 4.2 s' of a list of their seconds."""
    return f"{counted(len(seconds), 'files')}, {sum(seconds):.1f} s"
