"""The ConvNet for volumes as users of PyTorch write it: the same layers and weights as ours, in eager mode.

Shapes: B volumes, C channels, D x H x W voxels, K classes.
"""

import math

from torch import nn


class ConvNet3d(nn.Module):
    """(B, C, D, H, W) -> logits (B, K).

    Args:
        input_shape, num_classes, filters: as of build_convnet3d; D, H and W are multiples of 2 ** len(filters).
        kernel_size: of each block.
    """

    def __init__(self, input_shape, num_classes, filters, kernel_size):
        super().__init__()
        *sides, maps = input_shape
        blocks = []
        for width, size in zip(filters, kernel_size, strict=True):
            blocks += [nn.Conv3d(maps, width, size, padding="same", bias=False), nn.BatchNorm3d(width)]
            blocks += [nn.ReLU(), nn.MaxPool3d(2)]
            maps = width
        self.blocks = nn.Sequential(*blocks)
        voxels = math.prod(side // 2 ** len(filters) for side in sides)
        self.logits = nn.Linear(voxels * maps, num_classes)

    def forward(self, x):
        return self.logits(self.blocks(x).flatten(1))
