"""How far the mean shape of the hippocampus goes: at each place the label that most of the other volumes have there.

    python benchmarks/hippocampus_atlas.py atlas --json FILE

Every volume is put into the middle of one grid, as apps/segment.py does; the intensities are not looked at. It is what
a network that has learnt nothing but the place would answer.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from keras_dl import data
from keras_dl.features.masks import IGNORED

ROWS = ("atlas",)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("row", choices=ROWS, metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--json", type=Path, help="write the result there")
    asked = parser.parse_args(argv)
    splits = data.segmentation.load("hippocampus")
    known = np.concatenate([part.features["mask"] for part in (splits.train, splits.validation)])
    classes = splits.info.classes
    dice = dice_of(atlas(known, len(classes)), splits.test.features["mask"], len(classes))
    metrics = {f"dice_{name}": dice[number] for number, name in enumerate(classes) if number}
    print(f"{asked.row}: " + ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
    if asked.json:
        asked.json.write_text(json.dumps({"metrics": metrics, "details": {"volumes": len(known)}}, indent=2))


def atlas(labels, num_classes):
    """The label that most volumes have at each place; what is outside of a volume counts as 0, the background.

    Args:
        labels: uint8 (N, D, H, W), IGNORED outside of a volume.
        num_classes: K.

    Returns:
        int (D, H, W).

    >>> atlas(np.array([[[[0, 1, 2]]], [[[0, 1, 2]]], [[[1, 1, 255]]]], np.uint8), 3).tolist()
    [[[0, 1, 2]]]
    """
    inside = np.where(labels == IGNORED, 0, labels)
    return np.argmax([(inside == label).sum(0) for label in range(num_classes)], 0)


def dice_of(answer, labels, num_classes):
    """Dice of each class, 2 |answer and label| / (|answer| + |label|), from all voxels of all volumes together.

    Args:
        answer: int (D, H, W), the same for all volumes.
        labels: uint8 (N, D, H, W); voxels with IGNORED are left out.
        num_classes: K.

    Returns:
        list of K numbers.
    """
    counts, answers = labels != IGNORED, np.broadcast_to(answer, labels.shape)
    result = []
    for label in range(num_classes):
        said, right = (answers == label) & counts, (labels == label) & counts
        result.append(float(2 * (said & right).sum() / max(1, said.sum() + right.sum())))
    return result


if __name__ == "__main__":
    main()
