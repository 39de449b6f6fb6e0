"""PixelCNN: masked convolutions predict every value of an image from the values before it.

Source: van den Oord et al., "Pixel Recurrent Neural Networks" (arXiv:1601.06759), sections 3.3 to 3.5, figure 5 and
table 1.
The defaults are the paper's for CIFAR-10: 15 residual blocks, h = 128, 1,024 features at the top, 256 levels.
Deviations: a binary image has a logit in place of two classes; a mixture of discretised logistic distributions
(Salimans et al., arXiv:1701.05517) is an option. Levels are scaled to [-1, 1].
As published, the network does not see all earlier pixels: right above a pixel's left neighbours lies a region, the
blind spot, that no layer reaches (arXiv:1606.05328, section 2.2); gated_pixelcnn sees it.
Shapes: B images, N rows of a step, H height, W width, C channels, P parameters of a value, h filters.
Laws and figures: python -m keras_dl list pixelcnn
"""

import keras
import tensorflow as tf
from keras import layers

from keras_dl.arguments import ModelName, Tuple, checked
from keras_dl.layers.masked_convolution import MaskedConv2D, beside
from keras_dl.models import _pixels
from keras_dl.models._pixels import Blocks, Components, Kernel, Levels, Output
from keras_dl.models._sizes import ImageShape, Width, check_weights
from keras_dl.models.pixel_model import PixelModel

PARAMETERS = 5_340_416  # trainable, at the defaults


@checked
def build_pixelcnn(
    input_shape: ImageShape = (32, 32, 3),
    levels: Levels = 256,
    *,
    output: Output = "categorical",
    components: Components = 10,
    num_blocks: Blocks = 15,
    filters: Width = 128,
    first_kernel_size: Kernel = 7,
    kernel_size: Kernel = 3,
    top_filters: Tuple(Width, least=0) = (1024, 1024),
    name: ModelName = "pixelcnn",
):
    """Build a PixelCNN.

    Args:
        input_shape: (H, W, C) of the images, without the batch axis.
        levels: number of values of a channel.
        output: the distribution of a value: "bernoulli" (two levels), "categorical" (a softmax over the levels) or
            "logistic_mixture" (of discretised logistic distributions).
        components: of each logistic mixture.
        num_blocks: residual blocks.
        filters: h; a block has 2h features outside and h inside.
        first_kernel_size: of the first convolution, with mask A; odd.
        kernel_size: of the blocks' convolutions, with mask B; odd.
        top_filters: features of each 1x1 convolution between the blocks and the output.
        name: name of the model.

    Returns:
        An uncompiled PixelCNN: "image" (B, H, W, C) float32, whole levels from 0 to levels - 1 -> "parameters"
        (B, H, W, C, P) float32 of the distribution of each value given those before it.

    Raises:
        ArgumentError: an argument does not fit its annotation or another argument, or the weights are too many.

    >>> build_pixelcnn((28, 28, 1), 2, output="bernoulli", num_blocks=1, filters=4, top_filters=(8,)).output_shape
    (None, 28, 28, 1, 1)
    """
    who, channels = "build_pixelcnn", input_shape[-1]
    _pixels.check(who, output, levels, first_kernel_size=first_kernel_size, kernel_size=kernel_size)
    block = (2 * 2 + kernel_size**2) * filters**2
    first = first_kernel_size**2 * channels * 2 * filters
    top = _pixels.head_weights(2 * filters, top_filters, channels, output, levels, components)
    check_weights(who, first + num_blocks * block + top)

    def masked(filters, size, name, mask="B"):
        return MaskedConv2D(filters, size, mask=mask, channels=channels, name=name)

    image, x = _pixels.begin(input_shape, levels)
    x = masked(2 * filters, first_kernel_size, "first", "A")(x)
    for number in range(1, num_blocks + 1):
        part = f"block{number}"
        y = masked(filters, 1, f"{part}_in")(layers.ReLU(name=f"{part}_in_relu")(x))
        y = masked(filters, kernel_size, f"{part}_masked")(layers.ReLU(name=f"{part}_masked_relu")(y))
        y = masked(2 * filters, 1, f"{part}_out")(layers.ReLU(name=f"{part}_out_relu")(y))
        x = layers.Add(name=f"{part}_add")([x, y])
    parameters = _pixels.head(x, top_filters, channels, output, levels, components)
    return PixelCNN(image, parameters, name=name, output=output, levels=levels, num_blocks=num_blocks)


def pixelcnn_space(hp):
    """What to search: depth and width; untouched, it gives build_pixelcnn's defaults."""
    return {
        "num_blocks": hp.Choice("num_blocks", [5, 7, 10, 15], default=15),
        "filters": hp.Choice("filters", [16, 32, 64, 128], default=128),
    }


@keras.saving.register_keras_serializable("keras_dl")
class PixelCNN(PixelModel):
    """The model of build_pixelcnn, a PixelModel.

    Step by step, each masked convolution keeps the rows of its input above the current one, and the current row as far
    as it goes. When a row begins, that part of its outputs that comes from the rows above is computed for all of it.
    """

    def __init__(self, *args, num_blocks=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.num_blocks, self._head = num_blocks, _pixels.Head(self)

    def first_state(self, rows):
        width, channels = self.image_shape[1:]

        def zeros(*shape):
            return tf.zeros([rows, *shape], self.compute_dtype)

        first, masked = self.get_layer("first"), self._layers_of_blocks("masked")
        kept = [
            (zeros(layer.kernel_size[0] // 2, width, layer.filters), zeros(width, layer.filters)) for layer in masked
        ]
        return {
            "image": zeros(first.kernel_size[0] // 2, width, channels),
            "blocks": kept,  # of each masked convolution: the rows above, and the current row, whose last pixel is last
            "above": zeros(width, sum(layer.filters for layer in (first, *masked))),
        }

    def next_row(self, above, index, state, memory):
        masked = self._layers_of_blocks("masked")
        image = _pixels.pushed(state["image"], above)
        kept = [(_pixels.pushed(rows, row), tf.zeros_like(row)) for rows, row in state["blocks"]]
        of_blocks = [layer.above(rows) for layer, (rows, _) in zip(masked, kept, strict=True)]
        return {
            "image": image,
            "blocks": kept,
            "above": tf.concat([self.get_layer("first").above(image), *of_blocks], -1),
        }

    def prepared(self):
        around = zip(self._layers_of_blocks("in"), self._layers_of_blocks("out"), strict=True)
        return {
            "first": self.get_layer("first").beside_kernel(),
            "masked": [layer.beside_kernel() for layer in self._layers_of_blocks("masked")],
            "around": [(before.pixel_weights(), after.pixel_weights()) for before, after in around],
            "head": self._head.prepared(),
        }

    def pixel(self, row, column, state, memory):
        first, masked, weights = self.get_layer("first"), self._layers_of_blocks("masked"), memory.prepared
        sizes = [layer.filters for layer in (first, *masked)]
        from_first, *from_above = tf.split(state["above"][:, column], sizes, -1)
        left = _pixels.left_of(row, column, first.kernel_size[1] // 2)
        x = beside(left, weights["first"]) + from_first
        kept = []
        for layer, kernel, around, (rows, its_row), above in zip(
            masked, weights["masked"], weights["around"], state["blocks"], from_above, strict=True
        ):
            (kernel_in, bias_in), (kernel_out, bias_out) = around
            y = tf.nn.relu(tf.matmul(tf.nn.relu(x), kernel_in) + bias_in)
            its_row = _pixels.pushed(its_row, y)
            kept.append((rows, its_row))
            y = beside(its_row[:, -(layer.kernel_size[1] // 2) - 1 :], kernel) + above
            x += tf.matmul(tf.nn.relu(y), kernel_out) + bias_out
        return self._head(x, weights["head"]), state | {"blocks": kept}

    def _layers_of_blocks(self, which):
        """The layers "in", "masked" or "out" of all blocks."""
        return [self.get_layer(f"block{number}_{which}") for number in range(1, self.num_blocks + 1)]

    def get_config(self):
        return super().get_config() | {"num_blocks": self.num_blocks}
