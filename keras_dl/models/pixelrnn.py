"""PixelRNN: LSTMs over the rows or the diagonals of an image predict every value from the values before it.

Source: van den Oord et al., "Pixel Recurrent Neural Networks" (arXiv:1601.06759), sections 3.1 to 3.4, figure 5
and table 1. The defaults are the paper's for binary MNIST: 7 layers of Diagonal BiLSTM, h = 16, 32 features at the top.
For CIFAR-10 it has 12 layers, h = 128 and 1,024 features at the top.
Deviations: the gates have biases, that of the forget gate starts at 1; the zeros beyond the image's borders are not
features that an LSTM goes over; a mixture of discretised logistic distributions (arXiv:1701.05517) is an option.
Levels are scaled to [-1, 1].
With the Diagonal BiLSTM a value depends on all values of earlier pixels but one: the last value of the row above, the
last channel of its last pixel, it knows only within reach of the first convolution. What lies to the right reaches it
through features of the row above, and no feature of a pixel knows its own last channel.
Shapes: B images, N rows of a step, H height, W width, C channels, P parameters of a value, h units.
Laws and figures: python -m keras_dl list pixelrnn
"""

import keras
import tensorflow as tf
from keras import layers

from keras_dl.arguments import ModelName, OneOf, Tuple, checked
from keras_dl.layers.masked_convolution import MaskedConv2D, beside
from keras_dl.layers.pixel_lstm import DiagonalBiLSTM, RowLSTM
from keras_dl.models import _pixels
from keras_dl.models._pixels import Blocks, Components, Kernel, Levels, Output
from keras_dl.models._sizes import ImageShape, Width, check_weights
from keras_dl.models.pixel_model import PixelModel

PARAMETERS = 66_241  # trainable, at the defaults
LAYERS = ("row_lstm", "diagonal_bilstm")


@checked
def build_pixelrnn(
    input_shape: ImageShape = (28, 28, 1),
    levels: Levels = 2,
    *,
    output: Output = "bernoulli",
    components: Components = 10,
    layer: OneOf(*LAYERS) = "diagonal_bilstm",
    num_layers: Blocks = 7,
    units: Width = 16,
    first_kernel_size: Kernel = 7,
    kernel_size: Kernel = 3,
    top_filters: Tuple(Width, least=0) = (32, 32),
    name: ModelName = "pixelrnn",
):
    """Build a PixelRNN.

    Args:
        input_shape: (H, W, C) of the images, without the batch axis.
        levels: number of values of a channel.
        output: the distribution of a value: "bernoulli" (two levels), "categorical" (a softmax over the levels) or
            "logistic_mixture" (of discretised logistic distributions).
        components: of each logistic mixture.
        layer: "row_lstm", which sees a triangle of pixels above, or "diagonal_bilstm", which sees all of them.
        num_layers: LSTM layers, each with a residual connection.
        units: h; there are 2h features between the layers.
        first_kernel_size: of the first convolution, with mask A; odd.
        kernel_size: of the Row LSTM's convolutions along a row; odd.
        top_filters: features of each 1x1 convolution between the layers and the output.
        name: name of the model.

    Returns:
        An uncompiled PixelRNN: "image" (B, H, W, C) float32, whole levels from 0 to levels - 1 -> "parameters"
        (B, H, W, C, P) float32 of the distribution of each value given those before it.

    Raises:
        ArgumentError: an argument does not fit its annotation or another argument, or the weights are too many.

    >>> build_pixelrnn((6, 5, 1), num_layers=1, units=4, top_filters=(8,)).output_shape
    (None, 6, 5, 1, 1)
    """
    who, channels = "build_pixelrnn", input_shape[-1]
    _pixels.check(who, output, levels, first_kernel_size=first_kernel_size, kernel_size=kernel_size)
    check_weights(
        who,
        first_kernel_size**2 * channels * 2 * units
        + num_layers * (_lstm_weights(layer, units, kernel_size) + units * 2 * units)
        + _pixels.head_weights(2 * units, top_filters, channels, output, levels, components),
    )

    image, x = _pixels.begin(input_shape, levels)
    x = MaskedConv2D(2 * units, first_kernel_size, mask="A", channels=channels, name="first")(x)
    for number in range(1, num_layers + 1):
        part = f"layer{number}"
        if layer == "row_lstm":
            recurrent = RowLSTM(units, kernel_size, channels=channels, name=f"{part}_lstm")
        else:
            recurrent = DiagonalBiLSTM(units, channels=channels, name=f"{part}_lstm")
        y = MaskedConv2D(2 * units, 1, mask="B", channels=channels, name=f"{part}_out")(recurrent(x))
        x = layers.Add(name=f"{part}_add")([x, y])
    parameters = _pixels.head(x, top_filters, channels, output, levels, components)
    return PixelRNN(image, parameters, name=name, output=output, levels=levels, num_layers=num_layers)


def pixelrnn_space(hp):
    """What to search: kind of layer, depth and width; untouched, it gives build_pixelrnn's defaults."""
    return {
        "layer": hp.Choice("layer", list(LAYERS), default="diagonal_bilstm"),
        "num_layers": hp.Choice("num_layers", [3, 5, 7], default=7),
        "units": hp.Choice("units", [16, 32, 64], default=16),
    }


def _lstm_weights(layer, units, kernel_size):
    """Number of weights of a layer, without biases: of each direction's input-to-state and state-to-state kernel."""
    if layer == "row_lstm":
        return ((kernel_size // 2 + 1) * 2 * units + kernel_size * units) * 4 * units
    return 2 * (2 * units + 2 * units) * 4 * units


@keras.saving.register_keras_serializable("keras_dl")
class PixelRNN(PixelModel):
    """The model of build_pixelrnn, a PixelModel.

    Step by step, a Row LSTM keeps its state of the row above; what comes from there is computed for a whole row when
    it begins. The first direction of a Diagonal BiLSTM keeps its states of the row above and of the pixel to the left.
    The second one goes over a whole row when the next row begins: nothing depends on it before.
    """

    def __init__(self, *args, num_layers=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.num_layers, self._head = num_layers, _pixels.Head(self)

    def first_state(self, rows):
        (width, channels), first = self.image_shape[1:], self.get_layer("first")
        above = first.kernel_size[0] // 2
        return {
            "image": tf.zeros([rows, above, width, channels], self.compute_dtype),
            "above": tf.zeros([rows, width, first.filters], self.compute_dtype),
            "layers": [layer.first_state(rows, width, first.filters) for layer in self._layers_of("lstm")],
        }

    def next_row(self, above, index, state, memory):
        image = _pixels.pushed(state["image"], above)
        return {
            "image": image,
            "above": self.get_layer("first").above(image),
            "layers": [
                layer.next_row(own, index) for layer, own in zip(self._layers_of("lstm"), state["layers"], strict=True)
            ],
        }

    def prepared(self):
        return {
            "first": self.get_layer("first").beside_kernel(),
            "lstm": [layer.prepared() for layer in self._layers_of("lstm")],
            "out": [layer.pixel_weights() for layer in self._layers_of("out")],
            "head": self._head.prepared(),
        }

    def pixel(self, row, column, state, memory):
        weights, states = memory.prepared, []
        left = _pixels.left_of(row, column, self.get_layer("first").kernel_size[1] // 2)
        x = beside(left, weights["first"]) + state["above"][:, column]
        for layer, prepared, (kernel, bias), own in zip(
            self._layers_of("lstm"), weights["lstm"], weights["out"], state["layers"], strict=True
        ):
            y, own = layer.pixel(x, column, own, prepared)
            x += tf.matmul(y, kernel) + bias
            states.append(own)
        return self._head(x, weights["head"]), state | {"layers": states}

    def _layers_of(self, which):
        """The layers "lstm" or "out" of all blocks."""
        return [self.get_layer(f"layer{number}_{which}") for number in range(1, self.num_layers + 1)]

    def get_config(self):
        return super().get_config() | {"num_layers": self.num_layers}
