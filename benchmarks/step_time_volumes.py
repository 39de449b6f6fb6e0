"""The contenders of step_time.py's row of networks that classify volumes; `step_time.py convnet3d` runs them.

convnet3d: the paper's four blocks of 16, 32, 64 and 128 maps with kernels of 5, 4, 3 and 3 voxels, volumes of
32 x 32 x 32 voxels, 8 classes, batch 16, the logits right after the last block, without dropout. Cross-entropy; Adam,
float32.
- ours: what training.fit runs, without metrics, over data.batches.
- torch: eager, as its users write it (peers_torch_volumes.py): volumes in memory, a random batch by index; Adam with
  its defaults.
- torch_channels_last: in that layout, with the fused Adam. torch_compiled: also compiled by torch.compile.
"""

import dataclasses
import sys

import numpy as np
import operations
from step_time import SEED, THREADS, Ours, import_torch, random_batches, serve

from keras_dl import imports, models

RATE = 1e-3


@dataclasses.dataclass(frozen=True)
class Volumes:
    """A row of the table: what the network is and what it is trained on."""

    input_shape: tuple = (32, 32, 32, 1)
    num_classes: int = 8
    batch_size: int = 16
    examples: int = 128
    filters: tuple = (16, 32, 64, 128)
    kernel_size: tuple = (5, 4, 3, 3)  # build_convnet3d's own

    def data(self):
        """float32 (N, D, H, W, C) and int32 (N,), random: a step's time does not depend on the values."""
        rng = np.random.default_rng(SEED)
        volumes = rng.normal(size=(self.examples, *self.input_shape)).astype(np.float32)
        return volumes, rng.integers(0, self.num_classes, self.examples).astype(np.int32)

    def build(self):
        return models.build_convnet3d(
            self.input_shape,
            self.num_classes,
            filters=self.filters,
            kernel_size=self.kernel_size,
            units=(),
            dropout=0.0,
        )

    def ours(self):
        with imports.quiet_tensorflow():
            import keras

        from keras_dl import data, optimizers

        model = self.build()
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizers.build("adam", RATE), loss, jit_compile=False)
        volumes, labels = self.data()
        examples = data.Examples({"volume": volumes, "label": labels})
        return Ours(model, examples, self.batch_size, lambda raw: (raw["volume"], raw["label"]))

    def operations(self):
        """Of a training step."""
        return operations.convnet3d(self.batch_size, self.input_shape, self.num_classes, self.filters, self.kernel_size)


ROWS = {"convnet3d": Volumes()}


class TorchVolumes:
    def __init__(self, row, form):
        self.torch, _ = import_torch()
        import peers_torch_volumes

        torch = self.torch
        model = peers_torch_volumes.ConvNet3d(row.input_shape, row.num_classes, row.filters, row.kernel_size)
        volumes, labels = row.data()
        self.inputs = torch.from_numpy(np.moveaxis(volumes, -1, 1).copy())
        self.labels = torch.from_numpy(labels).long()
        self.layout = torch.contiguous_format if form == "torch" else torch.channels_last_3d
        model = model.to(memory_format=self.layout)
        self.order = random_batches(row.examples, row.batch_size)
        options = {} if form == "torch" else {"fused": True}
        self.optimizer = torch.optim.Adam(model.parameters(), RATE, **options)
        self.logits = torch.compile(model) if form == "torch_compiled" else model
        self.loss = torch.nn.CrossEntropyLoss()
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
    """One of step_time.VOLUMES[name]."""
    row = ROWS[name]
    if who.startswith("torch"):
        return TorchVolumes(row, who)
    with imports.quiet_tensorflow():
        import keras
    keras.utils.set_random_seed(SEED)
    one = row.ours()
    one.about["operations"] = row.operations()
    return one


if __name__ == "__main__":
    assert sys.argv[1:2] == ["--worker"], "step_time.py runs this"
    serve(lambda: contender(*sys.argv[2:]))
