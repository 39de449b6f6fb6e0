"""Multi30k as a TFDS builder: captions of photographs in four languages, 31,014 sentences aligned line by line.

Source: Elliott et al., "Multi30K: Multilingual English-German Image Descriptions" (arXiv:1605.00459), German;
Elliott et al. 2017, French and the test split of 2017; Barrault et al. 2018, Czech. The captions are Flickr30k's and
licensed for research and education only, so they are not shipped: the files are read from where the user put them, or
downloaded from the authors' repository.
"""

import itertools

import tensorflow_datasets as tfds

from keras_dl.data.raw_files import RawFiles

URL = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/"
FILES = {"train": "train", "validation": "val", "test_2016": "test_2016_flickr", "test_2017": "test_2017_flickr"}
LANGUAGES = ("cs", "de", "en", "fr")
SHA256 = {  # of the unpacked file {split's file}.{language}
    "train": {
        "cs": "2be68b38c8d586ff4f54eb13cc6e1baaaa053695b3f070d3038303a47f2268da",
        "de": "2c2b73fd2b548fbcde3a875e0a78d6ee94d498bfdee6bd3eae3945779e9ddf72",
        "en": "460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6",
        "fr": "5925a3c18f1587b6b54b87743106e6e8ab93618edb6f65d19eac0621f853a10d",
    },
    "val": {
        "cs": "d53827e469b0a1ca8d57e9e26b2b64c4bc4b33f5479c7b03ae87ae5c882c3e33",
        "de": "660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660",
        "en": "1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227",
        "fr": "5304e444d842e962b2dda4d816b70b22a1765b15401642b7ca37a67477e708dc",
    },
    "test_2016_flickr": {
        "cs": "45adb85f688de8407fddcbe1b36dca15d12aab868149b337e2576f2d6d2ff8d8",
        "de": "4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16",
        "en": "399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182",
        "fr": "cb3160d69b002bb638e66cc7612fcd56cb0af82eadc9c142dedc438afb885ef6",
    },
    "test_2017_flickr": {
        "de": "c3078bc3b36808bf9d20eb2347ed6137016179ef59ec0d2b9b8ecc3fb2880081",
        "en": "ce1450ddc5ab0834502579d77a170849952e15a2938b34cc503bdc25ebb4fb98",
        "fr": "6f3764e31dac41e9455e612958bcfd4e877c5e15cd66df2c2b2be6d9bd83e5b6",
    },
}


class Multi30k(tfds.core.GeneratorBasedBuilder):
    """One example per sentence, {language: text}, in the files' order; the splits have 29,000, 1,014, 1,000 and 1,000.

    A configuration is a pair of languages, "de-en"; there is no test_2017 in Czech. The files are looked for as
    downloads/manual/multi30k/train.en.gz (or unpacked, train.en) below every data folder.
    """

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="-".join(two), description=f"Sentences in {two[0]} and {two[1]}.")
        for two in itertools.combinations(LANGUAGES, 2)
    ]

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({language: tfds.features.Text() for language in self._languages}),
            description="Descriptions of photographs, translated by professionals.",
            homepage="https://github.com/multi30k/dataset",
            disable_shuffling=True,
        )

    @property
    def _languages(self):
        return self.builder_config.name.split("-")

    def _split_generators(self, dl_manager):
        digests = {f"{file}.{language}": digest for file in SHA256 for language, digest in SHA256[file].items()}
        raw = RawFiles("multi30k", "pairs.load", "multi30k", URL, digests, packing=".gz", published=".gz")
        splits = {split: file for split, file in FILES.items() if SHA256[file].keys() >= set(self._languages)}
        files = [f"{file}.{language}" for file in splits.values() for language in self._languages]
        contents = raw.read(files, self.data_dir_root)
        return {split: self._generate_examples(file, contents) for split, file in splits.items()}

    def _generate_examples(self, file, contents):
        texts = {language: contents[f"{file}.{language}"].decode() for language in self._languages}
        lines = [text.removesuffix("\n").split("\n") for text in texts.values()]
        for number, sentences in enumerate(zip(*lines, strict=True)):
            yield number, dict(zip(texts, sentences, strict=True))
