"""WaveNet as users of PyTorch write it: the same layers and weights as ours, in eager mode.

Modules have the names of our layers, so that a test can copy our weights into them and compare what comes out.
Shapes: B sequences, T steps, L levels, F filters.
"""

import torch
from torch import nn
from torch.nn import functional


class Layer(nn.Module):
    """A gated layer of dilation d: x (B, F, T) -> (x of the next layer, what goes to the skips)."""

    def __init__(self, filters, skip_filters, dilation, last):
        super().__init__()
        self.gates = nn.Conv1d(filters, 2 * filters, 2, dilation=dilation)
        self.skip = nn.Conv1d(filters, skip_filters, 1)
        self.residual = None if last else nn.Conv1d(filters, filters, 1)
        self.dilation = dilation

    def forward(self, x):
        z = gated(self.gates(functional.pad(x, (self.dilation, 0))))
        return x if self.residual is None else x + self.residual(z), self.skip(z)


class WaveNet(nn.Module):
    """Without a context, with a softmax: levels (B, T) int64 -> logits (B, L, T)."""

    def __init__(self, levels=256, dilations=(1,), filters=32, skip_filters=64):
        super().__init__()
        self.levels = levels
        self.causal = nn.Conv1d(levels, filters, 2)
        last = len(dilations) - 1
        self.layers = nn.ModuleList(Layer(filters, skip_filters, d, n == last) for n, d in enumerate(dilations))
        self.top = nn.Conv1d(skip_filters, skip_filters, 1)
        self.parameters_of = nn.Conv1d(skip_filters, levels, 1)

    def forward(self, tokens):
        one_hot = functional.one_hot(tokens, self.levels).to(torch.float32).transpose(1, 2)
        x, total = self.causal(functional.pad(one_hot, (1, 0))), 0
        for layer in self.layers:
            x, skip = layer(x)
            total = total + skip
        return self.parameters_of(torch.relu(self.top(torch.relu(total))))

    @torch.no_grad()
    def generate(self, first, length, draw, with_logits=False):
        """Sample by sample, with a queue of each layer's last inputs (arXiv:1611.09482).

        Args:
            first: (B,) levels, inputs of the first step.
            length: number of steps.
            draw: draw(logits (B, L)) -> (B,) levels.
            with_logits: whether the logits are returned too.

        Returns:
            (B, length) levels, or with_logits a pair of them and the logits of each step (B, length, L).
        """
        kernels = [self._as_matrix(layer.gates) for layer in self.layers]
        matrix, bias = self._as_matrix(self.causal)
        queues = [torch.zeros(layer.dilation, len(first), layer.gates.in_channels) for layer in self.layers]
        before, level = torch.zeros(len(first), self.levels), first
        drawn, all_logits = [], []
        for t in range(length):
            now = functional.one_hot(level, self.levels).to(torch.float32)
            x, total = functional.linear(torch.cat([before, now], 1), matrix, bias), 0
            before = now
            for layer, queue, (kernel, own_bias) in zip(self.layers, queues, kernels, strict=True):
                place = t % layer.dilation
                z = gated(functional.linear(torch.cat([queue[place], x], 1), kernel, own_bias))
                queue[place] = x
                total = total + _pointwise(layer.skip, z)
                if layer.residual is not None:
                    x = x + _pointwise(layer.residual, z)
            logits = _pointwise(self.parameters_of, torch.relu(_pointwise(self.top, torch.relu(total))))
            level = draw(logits)
            drawn.append(level)
            if with_logits:
                all_logits.append(logits)
        levels = torch.stack(drawn, 1)
        return (levels, torch.stack(all_logits, 1)) if with_logits else levels

    @staticmethod
    def _as_matrix(convolution):
        """A kernel (outputs, inputs, 2) as a matrix for [the earlier input, the input]."""
        kernel = convolution.weight
        return torch.cat([kernel[:, :, 0], kernel[:, :, 1]], 1), convolution.bias


def gated(u):
    a, b = u.chunk(2, 1)
    return torch.tanh(a) * torch.sigmoid(b)


def _pointwise(convolution, x):
    """A 1x1 convolution of a single step (B, F)."""
    return functional.linear(x, convolution.weight[:, :, 0], convolution.bias)
