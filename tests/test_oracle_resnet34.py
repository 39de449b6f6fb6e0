"""ResNet-34 in PyTorch, written out here, gives the logits of ours for the same weights."""

import numpy as np
import pytest

from keras_dl import models

try:
    import torch
except ImportError:
    torch = None

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(torch is None, reason="oracle: PyTorch is not installed"),
]


def torch_resnet34(classes):
    nn = torch.nn

    def conv_bn(a, b, kernel, stride):
        return [nn.Conv2d(a, b, kernel, stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(b)]

    class Block(nn.Module):
        def __init__(self, a, b, stride):
            super().__init__()
            self.residual = nn.Sequential(*conv_bn(a, b, 3, stride), nn.ReLU(), *conv_bn(b, b, 3, 1))
            self.shortcut = nn.Sequential(*conv_bn(a, b, 1, stride)) if stride > 1 else nn.Identity()

        def forward(self, x):
            return torch.relu(self.residual(x) + self.shortcut(x))

    parts, width = [*conv_bn(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)], 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for number in range(blocks):
            parts.append(Block(width, 64 * 2**stage, 2 if stage > 0 and number == 0 else 1))
            width = 64 * 2**stage
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


def copy_weights(source, target):
    """From PyTorch's modules to Keras' layers, by name; the number of arrays copied."""
    blocks = iter([part for part in source if hasattr(part, "residual")])
    pairs = [("stem", source[0], source[1])]
    for stage, count in enumerate((3, 4, 6, 3), start=1):
        for number in range(1, count + 1):
            block, name = next(blocks), f"stage{stage}_block{number}"
            pairs += [(f"{name}_1", *block.residual[0:2]), (f"{name}_2", *block.residual[3:5])]
            if len(list(block.shortcut.children())):
                pairs.append((f"{name}_shortcut", *block.shortcut))
    for name, conv, bn in pairs:
        target.get_layer(f"{name}_conv").set_weights([conv.weight.detach().numpy().transpose(2, 3, 1, 0)])
        statistics = (bn.weight, bn.bias, bn.running_mean, bn.running_var)
        target.get_layer(f"{name}_bn").set_weights([tensor.detach().numpy() for tensor in statistics])
    target.get_layer("logits").set_weights([source[-1].weight.detach().numpy().T, source[-1].bias.detach().numpy()])
    return 5 * len(pairs) + 2  # a kernel and four vectors a convolution, and the last layer's two


@pytest.mark.parametrize(("height", "width"), [(64, 64), (97, 70)])
def test_the_logits_are_those_of_pytorch(height, width):
    torch.manual_seed(0)
    theirs = torch_resnet34(1000).eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight, 0.5, 1.0),
                (module.bias, -0.3, 0.3),
                (module.running_mean, -0.3, 0.3),
                (module.running_var, 0.5, 1.5),
            ):
                tensor.data.uniform_(low, high)
    ours = models.build_resnet((height, width, 3), 1000, depth=34)
    assert copy_weights(theirs, ours) == len(ours.weights)
    images = np.random.default_rng(0).normal(size=(2, height, width, 3)).astype("float32")
    with torch.no_grad():
        expected = theirs(torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy()
    assert np.ptp(expected) > 1.0
    np.testing.assert_allclose(ours(images, training=False), expected, rtol=1e-4, atol=1e-4)
