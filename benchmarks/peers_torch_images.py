"""Generative models of images as users of PyTorch write them: the same layers, weights and non-linearities as ours.

Modules have the names of our layers, so that a test can copy our weights into them and compare what comes out. A
convolution with stride 2 has padding 2 on all sides, as users write it; TensorFlow's "same" padding has 1 before and 2
behind, so that the two networks are the same for pictures and kernels that are turned by 180 degrees.
Shapes: B pictures of C channels, H x W pixels; Z entries of the noise or the code.
"""

import torch
from torch import nn
from torch.nn import functional


class Vae(nn.Module):
    """Kingma and Welling's autoencoder, one hidden layer on each side: (B, pixels) of 0 and 1 -> the negative bound."""

    def __init__(self, pixels=784, units=500, code=20):
        super().__init__()
        self.encoder_hidden1 = nn.Linear(pixels, units)
        self.posterior = nn.Linear(units, 2 * code)
        self.decoder_hidden1 = nn.Linear(code, units)
        self.logits = nn.Linear(units, pixels)

    def forward(self, x):
        mean, log_variance = self.posterior(torch.tanh(self.encoder_hidden1(x))).chunk(2, -1)
        code = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        logits = self.logits(torch.tanh(self.decoder_hidden1(code)))
        reconstruction = functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        kl = -0.5 * torch.sum(1 + log_variance - mean.square() - log_variance.exp())
        return (reconstruction + kl) / len(x)


class Generator(nn.Module):
    """DCGAN's, for 28 x 28 pixels: noise (B, Z) -> pictures (B, 1, 28, 28) between -1 and 1."""

    def __init__(self, latent_dim=100, filters=32):
        super().__init__()
        self.maps = 2 * filters
        self.project = nn.Linear(latent_dim, 7 * 7 * self.maps, bias=False)
        self.project_bn = nn.BatchNorm2d(self.maps)
        self.deconv1 = nn.ConvTranspose2d(self.maps, filters, 5, 2, padding=2, output_padding=1, bias=False)
        self.deconv1_bn = nn.BatchNorm2d(filters)
        self.pixels = nn.ConvTranspose2d(filters, 1, 5, 2, padding=2, output_padding=1)

    def forward(self, noise):
        x = functional.relu(self.project_bn(self.project(noise).view(-1, self.maps, 7, 7)))
        x = functional.relu(self.deconv1_bn(self.deconv1(x)))
        return torch.tanh(self.pixels(x))


class Discriminator(nn.Module):
    """DCGAN's: pictures (B, 1, 28, 28) -> logits (B, 1)."""

    def __init__(self, filters=32):
        super().__init__()
        self.conv1 = nn.Conv2d(1, filters, 5, 2, padding=2)
        self.conv2 = nn.Conv2d(filters, 2 * filters, 5, 2, padding=2, bias=False)
        self.conv2_bn = nn.BatchNorm2d(2 * filters)
        self.logits = nn.Linear(7 * 7 * 2 * filters, 1)

    def forward(self, x):
        x = functional.leaky_relu(self.conv1(x), 0.2)
        x = functional.leaky_relu(self.conv2_bn(self.conv2(x)), 0.2)
        return self.logits(x.flatten(1))


class Dcgan(nn.Module):
    """Both networks."""

    def __init__(self):
        super().__init__()
        self.generator, self.discriminator = Generator(), Discriminator()


class MaskedConv2d(nn.Conv2d):
    """A row of a kernel that sees only pixels to the left, and with mask "B" the pixel itself. Of its weights only
    those that are not masked are used: the picture is padded on the left and cropped."""

    def __init__(self, inputs, outputs, size, mask, dilation=1):
        super().__init__(inputs, outputs, (1, size), dilation=dilation)
        self.used = size // 2 + (mask == "B")
        self.around = (size // 2 * dilation, 0, 0, 0)

    def forward(self, x):
        y = self._conv_forward(functional.pad(x, self.around), self.weight[..., : self.used], self.bias)
        return y[..., : x.shape[3]]


class VerticalConv2d(nn.Conv2d):
    """A kernel of the rows above, and its own unless `above_only`: the picture is padded at the top and cropped."""

    def __init__(self, inputs, outputs, size, above_only, dilation=1):
        super().__init__(inputs, outputs, (size // 2 + (not above_only), size), dilation=dilation)
        side = size // 2 * dilation
        self.around = (side, side, side, 0)

    def forward(self, x):
        return super().forward(functional.pad(x, self.around))[:, :, : x.shape[2]]


class GatedLayer(nn.Module):
    """One layer of both stacks: (what lies above, what lies to the left) -> the same, and what goes to the skips."""

    def __init__(self, inputs, filters, size, mask, dilation, skip_filters, last):
        super().__init__()
        self.vertical = VerticalConv2d(inputs, 2 * filters, size, mask == "A", dilation)
        self.down = nn.Conv2d(2 * filters, 2 * filters, 1, bias=False)
        self.horizontal = MaskedConv2d(inputs, 2 * filters, size, mask, dilation)
        self.skip = nn.Conv2d(filters, skip_filters, 1) if skip_filters else None
        self.out = None if skip_filters and last else nn.Conv2d(filters, filters, 1)
        self.first, self.last = mask == "A", last

    def forward(self, above, left):
        vertical = self.vertical(above)
        g = gated(self.horizontal(left) + self.down(vertical))
        above = None if self.last else gated(vertical)
        skip = None if self.skip is None else self.skip(g)
        if self.out is not None:
            left = self.out(g) if self.first else left + self.out(g)
        return above, left, skip


class GatedPixelCnn(nn.Module):
    """A gated PixelCNN of binary images: (B, 1, H, W) of 0 and 1 -> logits (B, 1, H, W)."""

    def __init__(
        self, num_layers=7, filters=32, first_kernel_size=7, kernel_size=3, dilations=(1,), skip_filters=None,
        top_filters=(64,),
    ):  # fmt: skip
        super().__init__()
        self.layers = nn.ModuleList()
        for number in range(num_layers):
            size, mask, dilation = (kernel_size, "B", dilations[(number - 1) % len(dilations)])
            inputs = filters
            if number == 0:
                inputs, size, mask, dilation = 1, first_kernel_size, "A", 1
            last = number == num_layers - 1
            self.layers.append(GatedLayer(inputs, filters, size, mask, dilation, skip_filters, last))
        widths = [skip_filters or filters, *top_filters, 1]
        self.top = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(widths[:-1], widths[1:], strict=True))

    def forward(self, x):
        above = left = 2 * x - 1
        total = None
        for layer in self.layers:
            above, left, skip = layer(above, left)
            if skip is not None:
                total = skip if total is None else total + skip
        x = left if total is None else total
        for layer in self.top:
            x = layer(functional.relu(x))
        return x


def gated(x):
    """tanh of the first half of the features times the sigmoid of the second."""
    a, b = x.chunk(2, 1)
    return torch.tanh(a) * torch.sigmoid(b)
