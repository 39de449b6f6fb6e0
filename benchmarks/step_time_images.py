"""The contenders of step_time.py's rows of generative models of images; `step_time.py vae` runs them.

vae: Kingma and Welling's network, 784-500-20-500-784, batch 100; dcgan: a step of the discriminator and one of the
generator, batch 64; gated_pixelcnn: the network of the table binarized_mnist, batch 64. All with Adam, float32.
- ours: what the apps train, without their metrics, over data.batches.
- torch: eager, as its users write it: images in memory, a random batch by index, cast and scaled; Adam with its
  defaults. Its DCGAN is PyTorch's own example: the pictures of the discriminator's step serve the generator's step too,
  while ours draws new ones (Goodfellow et al. 2014, algorithm 1). torch_new_noise draws new ones as ours does.
- torch_fused, torch_channels_last: with the fused Adam; networks of convolutions also in the layout channels_last.
- torch_compiled: the same compiled by torch.compile.
"""

import dataclasses
import sys

import numpy as np
import operations
from step_time import SEED, THREADS, Ours, import_torch, random_batches, serve
from tables_images import GATED

from keras_dl import imports, models

RATE = 1e-3
SHAPE = (28, 28, 1)


@dataclasses.dataclass(frozen=True)
class Pictures:
    """A row of the table: an architecture and what it is trained on."""

    batch_size: int
    images: int = 60_000
    levels: int = 2
    arguments: dict = dataclasses.field(default_factory=dict)

    def data(self):
        """uint8 (N, 28, 28, 1), random: a step's time does not depend on the pixels."""
        rng = np.random.default_rng(SEED)
        pixels = rng.integers(0, 256, (self.images, *SHAPE), np.uint8)
        return np.where(pixels < 128, 0, 255).astype(np.uint8) if self.levels == 2 else pixels

    def ours(self):
        from keras_dl import data
        from keras_dl.features.levels import Levels

        model = self.compiled()
        examples = data.Examples({"image": self.data()})
        return Ours(model, examples, self.batch_size, self.collate(Levels(SHAPE, self.levels)))

    def collate(self, preprocess):
        from keras_dl.data import levels

        return levels.levels_only(preprocess)


@dataclasses.dataclass(frozen=True)
class Vae(Pictures):
    batch_size: int = 100

    def build(self):
        return models.build_vae(SHAPE)

    def compiled(self):
        from keras_dl import optimizers

        model = self.build()
        model.compile(optimizers.build("adam", RATE))
        return model

    def operations(self):
        """Of a training step."""
        return operations.vae(self.batch_size)

    def torch(self, form):
        return TorchVae(self, form)


@dataclasses.dataclass(frozen=True)
class Dcgan(Pictures):
    batch_size: int = 64
    levels: int = 256

    def build(self):
        return models.build_dcgan(SHAPE)

    def compiled(self):
        from keras_dl import optimizers

        model = self.build()
        model.compile({part: optimizers.build("adam", RATE) for part in model.parts})
        return model

    def operations(self):
        """Of both steps."""
        return operations.dcgan(self.batch_size)

    def torch(self, form):
        return TorchDcgan(self, form)


@dataclasses.dataclass(frozen=True)
class GatedPixelCnn(Pictures):
    batch_size: int = 64

    def build(self):
        return models.build_gated_pixelcnn(SHAPE, 2, output="bernoulli", **self.arguments)

    def compiled(self):
        from keras_dl import objectives, optimizers

        model = self.build()
        model.compile(optimizers.build("adam", RATE), objectives.ImageLoss("bernoulli", 2), jit_compile=False)
        return model

    def operations(self):
        """Of a training step."""
        return operations.gated_pixelcnn(self.batch_size, **self.arguments)

    def torch(self, form):
        return TorchPixels(self, form)


ROWS = {"vae": Vae(), "dcgan": Dcgan(), "gated_pixelcnn": GatedPixelCnn(arguments=GATED)}


class _Torch:
    """What PyTorch's contenders share: the data, the optimizer, and how a loss is computed."""

    def __init__(self, row, model, form):
        self.torch, _ = import_torch()
        torch = self.torch
        self.compiled, self.plain = form == "torch_compiled", form in ("torch", "torch_new_noise")
        self.layout = torch.contiguous_format if self.plain else torch.channels_last
        self.row, self.model = row, model.to(memory_format=self.layout)
        self.images = torch.from_numpy(np.ascontiguousarray(row.data().transpose(0, 3, 1, 2)))  # (N, C, H, W)
        self.order = random_batches(row.images, row.batch_size)
        self.about = {"parameters": sum(p.numel() for p in model.parameters()), "torch": torch.__version__}
        self.model.train()

    def adam(self, parameters):
        return self.torch.optim.Adam(parameters, RATE, **({} if self.plain else {"fused": True}))

    def batch(self):
        """(B, C, H, W) float32 grey levels of a random batch."""
        chosen = self.images[next(self.order)]
        return chosen.to(self.torch.float32, memory_format=self.layout)

    def form(self, function):
        """A function or module as this contender runs it."""
        return self.torch.compile(function) if self.compiled else function

    def run(self, steps):
        total = 0.0
        for _ in range(steps):
            total += self.step()

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.inputs())
        loss.backward()
        self.optimizer.step()
        return loss.item()


class TorchVae(_Torch):
    def __init__(self, row, form):
        import peers_torch_images

        super().__init__(row, peers_torch_images.Vae(), form)
        self.optimizer, self.loss = self.adam(self.model.parameters()), self.form(self.model)

    def inputs(self):
        return self.batch().div_(255).flatten(1)


class TorchPixels(_Torch):
    def __init__(self, row, form):
        import peers_torch_images

        super().__init__(row, peers_torch_images.GatedPixelCnn(**row.arguments), form)
        self.optimizer, self.loss = self.adam(self.model.parameters()), self.form(self.of_model)

    def inputs(self):
        return self.batch().div_(255)

    def of_model(self, x):
        """Nats per image."""
        cross_entropy = self.torch.nn.functional.binary_cross_entropy_with_logits
        return cross_entropy(self.model(x), x, reduction="sum") / len(x)


class TorchDcgan(_Torch):
    """PyTorch's example of a DCGAN: a step of the discriminator, then one of the generator."""

    def __init__(self, row, form):
        import peers_torch_images

        super().__init__(row, peers_torch_images.Dcgan(), form)
        networks = self.model.generator, self.model.discriminator
        self.of_generator, self.of_discriminator = map(self.adam, (network.parameters() for network in networks))
        self.generator, self.discriminator = map(self.form, networks)
        self.again = form == "torch_new_noise"
        self.ones, self.zeros = (self.torch.full((row.batch_size, 1), value) for value in (1.0, 0.0))

    def step(self):
        torch, real = self.torch, self.batch().sub_(127.5).div_(127.5)
        ones, zeros = self.ones[: len(real)], self.zeros[: len(real)]
        cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits

        self.of_discriminator.zero_grad(set_to_none=True)
        of_real = cross_entropy(self.discriminator(real), ones)
        of_real.backward()
        fake = self.generator(torch.randn(len(real), 100))
        of_fake = cross_entropy(self.discriminator(fake.detach()), zeros)
        of_fake.backward()
        self.of_discriminator.step()

        self.of_generator.zero_grad(set_to_none=True)
        if self.again:
            fake = self.generator(torch.randn(len(real), 100))
        loss = cross_entropy(self.discriminator(fake), ones)
        loss.backward()
        self.of_generator.step()
        return loss.item() + (of_real + of_fake).item()


def contender(who, name):
    """One of step_time.IMAGES[name]."""
    row = ROWS[name]
    if who.startswith("torch"):
        one = row.torch(who)
        one.about["details"] = {"torch_threads": THREADS}
        return one
    with imports.quiet_tensorflow():
        import keras
    keras.utils.set_random_seed(SEED)
    one = row.ours()
    one.about["operations"] = row.operations()
    return one


if __name__ == "__main__":
    assert sys.argv[1:2] == ["--worker"], "step_time.py runs this"
    serve(lambda: contender(*sys.argv[2:]))
