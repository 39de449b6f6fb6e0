"""The contenders of step_time.py's rows of networks that segment; `step_time.py segnet` runs them.

segnet: stages of 16, 32, 64, 128 and 128 maps, 180 x 240 pixels, 11 classes, batch 4; deconvnet3d: two stages of 16 and
32 maps, 64 units, volumes of 40 x 56 x 40 voxels, 3 classes, batch 2. Cross-entropy with an ignored label; Adam,
float32.
- ours: what training.fit runs, without metrics, over data.batches.
- torch: eager, as its users write it (peers_torch_segmentation.py): examples in memory, a random batch by index; Adam
  with its defaults.
- torch_channels_last: in that layout, with the fused Adam. torch_compiled: also compiled by torch.compile.
"""

import dataclasses
import sys

import numpy as np
import operations
from step_time import SEED, THREADS, Ours, import_torch, random_batches, serve

from keras_dl import imports, models

RATE = 1e-3
IGNORED = 255


@dataclasses.dataclass(frozen=True)
class Segmentation:
    """A row of the table: a network and what it is trained on."""

    kind: str
    input_shape: tuple
    num_classes: int
    batch_size: int
    examples: int
    arguments: dict

    def data(self):
        """float32 (N, ..., C) and int32 (N, ...), random: a step's time does not depend on the values."""
        rng = np.random.default_rng(SEED)
        inputs = rng.normal(size=(self.examples, *self.input_shape)).astype(np.float32)
        labels = rng.integers(0, self.num_classes, (self.examples, *self.input_shape[:-1]), np.int32)
        labels[rng.random(labels.shape) < 0.04] = IGNORED
        return inputs, labels

    def build(self):
        build = getattr(models, f"build_{self.kind}")
        return build(self.input_shape, self.num_classes, dimensions=len(self.input_shape) - 1, **self.arguments)

    def ours(self):
        from keras_dl import data, optimizers, segmentation

        model = self.build()
        model.compile(optimizers.build("adam", RATE), segmentation.SegmentationLoss(IGNORED), jit_compile=False)
        inputs, labels = self.data()
        examples = data.Examples({"input": inputs, "label": labels})
        return Ours(model, examples, self.batch_size, lambda raw: (raw["input"], raw["label"]))

    def operations(self):
        """Of a training step."""
        return operations.mirrored(self.batch_size, self.kind, self.input_shape, self.num_classes, **self.arguments)


ROWS = {
    "segnet": Segmentation(
        "segnet",
        (180, 240, 3),
        11,
        4,
        64,
        {"filters": (16, 32, 64, 128, 128), "depth": (2, 2, 3, 3, 3)},
    ),
    "deconvnet3d": Segmentation(
        "deconvnet",
        (40, 56, 40, 1),
        3,
        2,
        32,
        {"filters": (16, 32), "depth": (2, 2), "units": 64, "bottleneck_size": 1},
    ),
}


class TorchSegmentation:
    def __init__(self, row, form):
        self.torch, _ = import_torch()
        import peers_torch_segmentation

        torch = self.torch
        model = peers_torch_segmentation.Mirrored(row.kind, row.input_shape, row.num_classes, **row.arguments)
        inputs, labels = row.data()
        self.inputs = torch.from_numpy(np.moveaxis(inputs, -1, 1).copy())
        self.labels = torch.from_numpy(labels).long()
        self.layout = torch.contiguous_format
        if form != "torch":
            self.layout = torch.channels_last if len(row.input_shape) == 3 else torch.channels_last_3d
        model = model.to(memory_format=self.layout)
        self.order = random_batches(row.examples, row.batch_size)
        options = {} if form == "torch" else {"fused": True}
        self.optimizer = torch.optim.Adam(model.parameters(), RATE, **options)
        self.logits = torch.compile(model) if form == "torch_compiled" else model
        self.loss = torch.nn.CrossEntropyLoss(ignore_index=IGNORED)
        self.about = {"parameters": sum(p.numel() for p in model.parameters()), "torch": torch.__version__}
        self.about["details"] = {"torch_threads": THREADS}

    def run(self, steps):
        total = 0.0
        for _ in range(steps):
            rows = next(self.order)
            self.optimizer.zero_grad(set_to_none=True)
            inputs = self.inputs[rows].contiguous(memory_format=self.layout)
            loss = self.loss(self.logits(inputs), self.labels[rows])
            loss.backward()
            self.optimizer.step()
            total += loss.item()


def contender(who, name):
    """One of step_time.SEGMENTATION[name]."""
    row = ROWS[name]
    if who.startswith("torch"):
        return TorchSegmentation(row, who)
    with imports.quiet_tensorflow():
        import keras
    keras.utils.set_random_seed(SEED)
    one = row.ours()
    one.about["operations"] = row.operations()
    return one


if __name__ == "__main__":
    assert sys.argv[1:2] == ["--worker"], "step_time.py runs this"
    serve(lambda: contender(*sys.argv[2:]))
