"""The first 64 volumes of the hippocampus: MRI crops with labels 0, 1 (anterior), 2 (posterior).

Source: Simpson et al. 2019, Medical Segmentation Decathlon, Task04, CC BY-SA 4.0. The archive is looked for in
downloads/manual/hippocampus below every data folder, and checked. Every fourth volume, in order of their names, is
of the test split (16), and every fourth of the others of the validation split (12).
"""

import io
import tempfile
import zipfile
from pathlib import Path

from keras_dl.data import prepared
from keras_dl.data.raw_files import RawFiles
from keras_dl.features import volume_files

CLASSES = ("background", "anterior", "posterior")
LICENCE = "CC BY-SA 4.0"
FILE = "hippocampus_64.zip"
RAW = RawFiles(
    "hippocampus", "segmentation.load", "hippocampus", "https://github.com/udacity/nd320-c3-3d-imaging-starter/",
    {FILE: "e3c24b016b8e97a391e7b8425f133b03536f9b0750ef174413ca813ddd9fa370"},
)  # fmt: skip


def load():
    """{split: [(image, label)]}, each a features.volume_files.Volume, in order of the files' names.

    Raises:
        UserError: the archive is not there or has other contents, or nibabel is not installed.
    """
    content, splits = RAW.read([FILE], prepared.folders()[0])[FILE], {"train": [], "validation": [], "test": []}
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder)
        names = sorted(path.name for path in (Path(folder) / "images").iterdir())
        others = 0
        for number, name in enumerate(names):
            part = "test" if number % 4 == 3 else "validation" if others % 4 == 3 else "train"
            others += part != "test"
            splits[part].append(tuple(volume_files.read(Path(folder) / of / name) for of in ("images", "labels")))
    return splits
