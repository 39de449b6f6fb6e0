"""The Free Spoken Digit Dataset as a TFDS builder: English digits, six speakers, takes 0 to 9 of 50.

Source: Jackson et al., github.com/Jakobovski/free-spoken-digit-dataset, version 1.0.10, CC BY-SA 4.0. Takes 0 to 4 are
the test split, as its authors have it; of the others, which are for training, take 9 is the validation split.
"""

import io
import re
import tarfile
import wave

import numpy as np
import tensorflow_datasets as tfds

from keras_dl.data.raw_files import RawFiles

WHO = "audio.load"
RATE = 8000  # samples per second
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
TAKES = {"train": (5, 6, 7, 8), "validation": (9,), "test": (0, 1, 2, 3, 4)}
RECORDING = re.compile(r"(\d)_([a-z]+)_(\d)\.wav")  # one digit: takes 0 to 9
URL = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/"
PUBLISHED, FEW = "v1.0.10.tar", "fsdd_takes_0_to_9.tar"  # the whole set; an archive of takes 0 to 9 alone
SHA256 = {
    PUBLISHED: "b50d95aacfe11527b78e4186f33d0cf8607839d7bd12bc713bd60b32b4de09de",
    FEW: "93aadc36431895e1dfdde972aa09ffb8d2f3df189bd35109244e97a10f7282a3",
}
RAW = RawFiles("fsdd", WHO, "fsdd", URL, SHA256, packing=".gz", published=".gz")
RAW_FEW = RawFiles("fsdd", WHO, "fsdd", URL, SHA256, packing=".xz")


class SpokenDigits(tfds.core.GeneratorBasedBuilder):
    """Recordings of 16 bits, 8,000 samples per second, with the digit that is said and who says it.

    The set is looked for as downloads/manual/fsdd/v1.0.10.tar.gz below every data folder, as it is published, or as
    fsdd_takes_0_to_9.tar.xz, an archive of the recordings of takes 0 to 9 alone.
    """

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "audio": tfds.features.Tensor(shape=(None,), dtype=np.int16),
            "digit": tfds.features.ClassLabel(num_classes=10),
            "speaker": tfds.features.ClassLabel(names=SPEAKERS),
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,
            description="Free Spoken Digit Dataset, takes 0 to 9: digits from zero to nine, spoken by six people.",
            homepage="https://github.com/Jakobovski/free-spoken-digit-dataset",
        )

    def _split_generators(self, dl_manager):
        file, raw = (FEW, RAW_FEW) if RAW_FEW.holds(FEW, self.data_dir_root) else (PUBLISHED, RAW)
        recordings = recordings_of(raw.read([file], self.data_dir_root)[file])
        return {part: self._generate_examples(recordings, takes) for part, takes in TAKES.items()}

    def _generate_examples(self, recordings, takes):
        for number, (name, content) in enumerate(recordings.items()):
            digit, speaker, take = RECORDING.fullmatch(name).groups()
            if int(take) in takes:
                yield number, {"audio": samples_of(content), "digit": int(digit), "speaker": speaker}


def recordings_of(archive):
    """{name: bytes of a WAV file} of takes 0 to 9, in order of their names, of the bytes of a tar archive."""
    recordings = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            name = member.name.rpartition("/")[2]
            if RECORDING.fullmatch(name):
                recordings[name] = tar.extractfile(member).read()
    return dict(sorted(recordings.items()))


def samples_of(content):
    """The samples of a WAV file of 16 bits: int16 (T,)."""
    with wave.open(io.BytesIO(content)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
