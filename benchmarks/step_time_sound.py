"""The contenders of step_time.py's rows of models of sound; `step_time.py wavenet` runs them.

wavenet: two blocks of dilations 1 to 512, 32 filters, 64 of the skips, mu-law's 256 levels; batches of 4 sequences of
8,192 samples; Adam, float32.
- ours: what SequenceModel trains, without metrics, over data.batches.
- torch: eager, as its users write it (peers_torch_sound.py): levels in memory, a random batch by index; Adam with its
  defaults.
- torch_fused: with the fused Adam. torch_compiled: also compiled by torch.compile.
"""

import dataclasses
import sys

import numpy as np
import operations
from step_time import SEED, THREADS, Ours, import_torch, random_batches, serve

from keras_dl import imports, models

RATE = 1e-3


@dataclasses.dataclass(frozen=True)
class Sound:
    """A row of the table: a WaveNet and what it is trained on."""

    batch_size: int = 4
    steps: int = 8192
    sequences: int = 64
    levels: int = 256
    dilations: tuple = tuple(2**n for n in range(10)) * 2
    filters: int = 32
    skip_filters: int = 64

    @property
    def network(self):
        return {name: getattr(self, name) for name in ("levels", "dilations", "filters", "skip_filters")}

    def data(self):
        """int32 (N, T + 1), random: a step's time does not depend on the levels."""
        rng = np.random.default_rng(SEED)
        return rng.integers(0, self.levels, (self.sequences, self.steps + 1), np.int32)

    def build(self):
        return models.build_wavenet((self.steps,), num_blocks=1, **self.network)

    def ours(self):
        from keras_dl import data, objectives, optimizers, sequences

        model = sequences.SequenceModel(self.build())
        model.compile(optimizers.build("adam", RATE), objectives.SequenceLoss("categorical"), jit_compile=False)
        return Ours(model, data.Examples({"audio": self.data()}), self.batch_size, self.collate)

    def collate(self, raw):
        """Levels, those that follow them, and weights of 1."""
        import tensorflow as tf

        audio = raw["audio"]
        return audio[:, :-1], audio[:, 1:], tf.ones_like(audio[:, 1:], tf.float32)

    def operations(self):
        """Of a training step."""
        return operations.wavenet(self.batch_size * self.steps, **self.network)


ROWS = {"wavenet": Sound()}


class TorchSound:
    def __init__(self, row, form):
        self.torch, _ = import_torch()
        import peers_torch_sound

        torch, self.model = self.torch, peers_torch_sound.WaveNet(**row.network)
        self.levels = torch.from_numpy(row.data()).long()
        self.order = random_batches(row.sequences, row.batch_size)
        options = {} if form == "torch" else {"fused": True}
        self.optimizer = torch.optim.Adam(self.model.parameters(), RATE, **options)
        self.logits = torch.compile(self.model) if form == "torch_compiled" else self.model
        self.about = {"parameters": sum(p.numel() for p in self.model.parameters()), "torch": torch.__version__}
        self.about["details"] = {"torch_threads": THREADS}

    def run(self, steps):
        total = 0.0
        for _ in range(steps):
            levels = self.levels[next(self.order)]
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.torch.nn.functional.cross_entropy(self.logits(levels[:, :-1]), levels[:, 1:])
            loss.backward()
            self.optimizer.step()
            total += loss.item()


def contender(who, name):
    """One of step_time.SOUND[name]."""
    row = ROWS[name]
    if who.startswith("torch"):
        return TorchSound(row, who)
    with imports.quiet_tensorflow():
        import keras
    keras.utils.set_random_seed(SEED)
    one = row.ours()
    one.about["operations"] = row.operations()
    return one


if __name__ == "__main__":
    assert sys.argv[1:2] == ["--worker"], "step_time.py runs this"
    serve(lambda: contender(*sys.argv[2:]))
