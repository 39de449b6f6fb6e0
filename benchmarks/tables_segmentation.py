"""Tables of segmentation. Nothing here imports TensorFlow."""

from rows import Headline, Row, Table

MINUTES = 60  # of training
COMMON = "--trials 0 --seed 0 --class-weight balanced --augment shift_flip --batch-size 8 --keep best"
VOLUMES = "--trials 0 --seed 0 --augment shift --batch-size 4 --epochs 60 --keep best"


def _camvid():
    source = "Badrinarayanan et al. 2015, at 360 x 480 pixels"
    for row, flags, paper, bar in (
        ("segnet", "--model segnet", 60.1, (">=", 0.40)),
        ("deconvnet", "--model deconvnet", None, None),
        ("deconvnet_nearest", "--model deconvnet --upsampling nearest", None, None),
        ("deconvnet_bilinear", "--model deconvnet --upsampling bilinear", None, None),
    ):
        command = f"apps/segment.py --dataset camvid {flags} {COMMON}"
        said = (paper / 100, source) if paper else (None,)
        yield Row(row, "mean_iou", "share", command, *said, bar=bar, architecture=row.split("_")[0])
        yield Row(row, "boundary_iou", "share", command, architecture=row.split("_")[0])


def _hippocampus():
    command = f"apps/segment.py --dataset hippocampus --model segnet {VOLUMES}"
    source = "nnU-Net, trained on all 260 volumes"
    for metric, figure, bar in (("dice_anterior", 0.89, 0.82), ("dice_posterior", 0.87, 0.80)):
        known = {"source": source, "unverified": True, "bar": (">=", bar)}
        yield Row("segnet3d", metric, "share", command, figure, architecture="segnet", **known)
    yield Row("segnet3d", "training_minutes", "min", command, bar=("<=", MINUTES), architecture="segnet")
    for metric in ("dice_anterior", "dice_posterior"):
        yield Row("atlas", metric, "share", "benchmarks/hippocampus_atlas.py atlas")


SAFETY = ("mask_image_bytes", "mask_image", "mask_probabilities")  # rows of the table safety

TABLES = {
    "camvid": Table(
        "CamVid at 180 x 240 pixels, eleven classes: test split (233 pictures), the epoch chosen by validation",
        tuple(_camvid()),
    ),
    "hippocampus": Table(
        "Hippocampus (Medical Segmentation Decathlon, Task04), the first 64 volumes: Dice of the anterior and of the "
        "posterior part over all voxels of 16 test volumes, trained on 36, the epoch chosen by 12; atlas: the label "
        "that most of these 48 have at a place",
        tuple(_hippocampus()),
    ),
}

HEADLINES = {
    "segnet": Headline("camvid", "segnet", "mean_iou", "CamVid, mean IoU"),
    "deconvnet": Headline("camvid", "deconvnet", "mean_iou", "CamVid, mean IoU"),
}
