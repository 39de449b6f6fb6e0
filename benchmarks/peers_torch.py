"""The networks of the step_time scripts as users of PyTorch write them: the same layers, weights and non-linearities.

Modules have the names of our layers, so that a test can copy our weights into them and compare the logits.
"""

import functools

import torch
from torch import nn
from torch.nn import functional

BLOCKS = (3, 4, 6, 3)  # of ResNet-34, a stage
STAGE = 3  # blocks of each stage of ResNet-20


def build(network, **arguments):
    """A network of NETWORKS, in PyTorch's default layout and initialisation.

    Of images: (B, C, H, W) float32 -> logits (B, 10). The recurrent classes state their inputs; with batch_first=True
    the batch axis is before the time axis.
    """
    return NETWORKS[network](**arguments)


def redundant(model):
    """The number of redundant weights: nn.LSTM and nn.RNN add two biases where the equations have one."""
    layers = [module for module in model.modules() if isinstance(module, nn.LSTM | nn.RNN)]
    return sum(w.numel() for layer in layers for name, w in layer.named_parameters() if name.startswith("bias_hh"))


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.logits = nn.Linear(28 * 28, 10)

    def forward(self, x):
        return self.logits(x.flatten(1))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden1 = nn.Linear(28 * 28, 512)
        self.hidden2 = nn.Linear(512, 512)
        self.logits = nn.Linear(512, 10)

    def forward(self, x):
        x = functional.relu(self.hidden1(x.flatten(1)))
        x = functional.relu(self.hidden2(x))
        return self.logits(x)


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.hidden1 = nn.Linear(16 * 5 * 5, 120)
        self.hidden2 = nn.Linear(120, 84)
        self.logits = nn.Linear(84, 10)

    def forward(self, x):
        x = functional.avg_pool2d(torch.tanh(self.conv1(x)), 2)
        x = functional.avg_pool2d(torch.tanh(self.conv2(x)), 2)
        x = torch.tanh(self.hidden1(x.flatten(1)))
        x = torch.tanh(self.hidden2(x))
        return self.logits(x)


class Block(nn.Module):
    """Two 3 x 3 convolutions and a shortcut: option A (no weights) or option B (a projection) of He et al. 2015."""

    def __init__(self, channels, filters, stride, option):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.stride, self.extra = stride, filters - channels
        self.projects = option == "B" and (stride > 1 or channels != filters)
        if self.projects:
            self.shortcut_conv = nn.Conv2d(channels, filters, 1, stride, bias=False)
            self.shortcut_bn = nn.BatchNorm2d(filters)

    def forward(self, x):
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return functional.relu(y + self._shortcut(x))

    def _shortcut(self, x):
        if self.projects:
            return self.shortcut_bn(self.shortcut_conv(x))
        if self.extra:
            half = self.extra // 2
            return functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, self.extra - half))
        return x


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem_conv = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.stem_bn = nn.BatchNorm2d(16)
        self.blocks = _stages(16, (16, 32, 64), (STAGE,) * 3, "A")
        self.logits = nn.Linear(64, 10)

    def forward(self, x):
        x = functional.relu(self.stem_bn(self.stem_conv(x)))
        return self.logits(self.blocks(x).mean((2, 3)))


class ResNet34(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem_conv = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.stem_bn = nn.BatchNorm2d(64)
        self.blocks = _stages(64, (64, 128, 256, 512), BLOCKS, "B")
        self.logits = nn.Linear(512, 10)

    def forward(self, x):
        x = functional.relu(self.stem_bn(self.stem_conv(x)))
        x = functional.max_pool2d(x, 3, 2, padding=1)
        return self.logits(self.blocks(x).mean((2, 3)))


def _stages(channels, widths, blocks, option):
    stages = nn.Sequential()
    for stage, (filters, count) in enumerate(zip(widths, blocks, strict=True), 1):
        for number in range(1, count + 1):
            stride = 2 if stage > 1 and number == 1 else 1
            stages.add_module(f"stage{stage}_block{number}", Block(channels, filters, stride, option))
            channels = filters
    return stages


class WordModel(nn.Module):
    """Zaremba et al.'s small model, laid out as PyTorch's example word_language_model.

    tokens (T, B), state or None -> logits (T, B, words), state.
    """

    def __init__(self, words=10_000, units=200, batch_first=False):
        super().__init__()
        self.embedding = nn.Embedding(words, units)
        self.lstm = nn.LSTM(units, units, 2, batch_first=batch_first)
        self.logits = nn.Linear(units, words)

    def forward(self, tokens, state=None):
        x, state = self.lstm(self.embedding(tokens), state)
        return self.logits(x), state


class VectorModel(nn.Module):
    """Two recurrent layers of one kind and a linear one: (T, B, 64) -> (T, B, 64)."""

    def __init__(self, kind, batch_first=False):
        super().__init__()
        self.recurrent = kind(64, 512, 2, batch_first=batch_first)
        self.logits = nn.Linear(512, 64)

    def forward(self, x):
        x, _ = self.recurrent(x)
        return self.logits(x)


NETWORKS = {
    "linear": Linear, "mlp": Mlp, "convnet": LeNet, "resnet20": ResNet20, "resnet34": ResNet34, "lstm": WordModel,
    "gru": functools.partial(VectorModel, nn.GRU), "rnn": functools.partial(VectorModel, nn.RNN),
}  # fmt: skip
