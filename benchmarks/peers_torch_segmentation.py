"""SegNet and DeconvNet as users of PyTorch write them: the same layers and weights as ours, in eager mode.

Blocks have the names of our convolutions, so that a test can copy our weights into them and compare what comes out.
Shapes: B examples, C channels, H x W pixels or D x H x W voxels, K classes.
"""

import torch
from torch import nn


class Block(nn.Module):
    """A convolution or deconvolution without bias, batch normalisation and ReLU."""

    def __init__(self, kind, dimensions, inputs, outputs, kernel_size, padding):
        super().__init__()
        self.layer = getattr(nn, f"{kind}{dimensions}d")(inputs, outputs, kernel_size, padding=padding, bias=False)
        self.bn = getattr(nn, f"BatchNorm{dimensions}d")(outputs)

    def forward(self, x):
        return torch.relu(self.bn(self.layer(x)))


class Mirrored(nn.Module):
    """(B, C, ...) -> logits (B, K, ...).

    Args:
        kind: "segnet" or "deconvnet".
        input_shape, num_classes, filters, depth, units, bottleneck_size: as of our builders.
    """

    def __init__(self, kind, input_shape, num_classes, filters, depth, units=None, bottleneck_size=None):
        super().__init__()
        dimensions, maps = len(input_shape) - 1, input_shape[-1]
        up = "ConvTranspose" if kind == "deconvnet" else "Conv"
        name = "deconv" if kind == "deconvnet" else "decoder"
        self.blocks, self.encoder, self.decoder = nn.ModuleDict(), [], []
        for stage, (width, repeats) in enumerate(zip(filters, depth, strict=True), 1):
            self.encoder.append([f"conv{stage}_{number}" for number in range(1, repeats + 1)])
            for block in self.encoder[-1]:
                self.blocks[block], maps = Block("Conv", dimensions, maps, width, 3, 1), width
        self.bottleneck = []
        if kind == "deconvnet":
            self.bottleneck = ["fc6", "fc7", "fc6_deconv"]
            self.blocks["fc6"] = Block("Conv", dimensions, maps, units, bottleneck_size, 0)
            self.blocks["fc7"] = Block("Conv", dimensions, units, units, 1, 0)
            self.blocks["fc6_deconv"] = Block(up, dimensions, units, maps, bottleneck_size, 0)
        for stage in range(len(filters), 0, -1):
            repeats = depth[stage - 1] - (kind == "segnet" and stage == 1)
            self.decoder.append([f"{name}{stage}_{number}" for number in range(1, repeats + 1)])
            for number, block in enumerate(self.decoder[-1], 1):
                width = filters[max(stage - 2, 0)] if number == repeats else maps
                self.blocks[block], maps = Block(up, dimensions, maps, width, 3, 1), width
        size = 3 if kind == "segnet" else 1
        self.logits = getattr(nn, f"Conv{dimensions}d")(maps, num_classes, size, padding=size // 2)
        self.pool = getattr(nn, f"MaxPool{dimensions}d")(2, ceil_mode=True, return_indices=True)
        self.unpool = getattr(nn, f"MaxUnpool{dimensions}d")(2)

    def forward(self, x):
        pooled = []
        for stage in self.encoder:
            x = self._through(stage, x)
            size = x.shape[2:]
            x, indices = self.pool(x)
            pooled.append((indices, size))
        x = self._through(self.bottleneck, x)
        for stage in self.decoder:
            indices, size = pooled.pop()
            x = self._through(stage, self.unpool(x, indices, output_size=size))
        return self.logits(x)

    def _through(self, blocks, x):
        for block in blocks:
            x = self.blocks[block](x)
        return x
