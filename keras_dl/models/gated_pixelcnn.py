"""Gated PixelCNN: a PixelCNN of two stacks, which together see all earlier pixels, with gated units and conditioning.

Source: van den Oord et al., "Conditional Image Generation with PixelCNN Decoders" (arXiv:1606.05328), sections 2.1 to
2.3, figure 2, equations 2, 4 and 5. The defaults are the ImageNet model of section 3.1: 20 layers of 384 features and
filters of 5x5.
The vertical stack sees all rows above the current pixel; the horizontal stack sees the pixels to its left, and takes
the vertical stack's features of the rows above; the vertical stack takes nothing of it.

    vertical:    v' = tanh(a) * sigmoid(b),  (a, b) = u + V h,  u = W * v
    horizontal:  x' = x + W2 g,  g = tanh(a) * sigmoid(b),  (a, b) = W1 * x + U u + V1 h

Deviations: a binary image has a logit in place of two classes; a mixture of discretised logistic distributions
(arXiv:1701.05517) is an option. Two options, off by default, help a small network in a short training: dilated
convolutions see more of the image, and with skip connections, as in WaveNet (arXiv:1609.03499, section 2.4), the output
is computed from the sum of 1x1 convolutions of every layer's g. Levels are scaled to [-1, 1]. The paper does not say
what the top layers are: here those of PixelCNN; nor how weights begin: see GAIN.
Shapes: B images, N rows of a step, H height, W width, C channels, P parameters of a value, F filters.
Laws and figures: python -m keras_dl list gated_pixelcnn
"""

import keras
import tensorflow as tf
from keras import layers

from keras_dl.arguments import ArgumentError, ModelName, Tuple, Whole, checked
from keras_dl.layers.masked_convolution import GatedUnit, MaskedConv2D, VerticalConv2D, beside, gated
from keras_dl.models import _pixels
from keras_dl.models._pixels import Blocks, Components, Kernel, Levels, Output
from keras_dl.models._sizes import Classes, ImageShape, Width, check_weights
from keras_dl.models.pixel_model import PixelModel

PARAMETERS = 129_146_112  # trainable, at the defaults
Dilations = Tuple(Whole(1, 1000))
# Initial variance of a gate's inputs, divided by that of the features that enter its convolution. A gate of inputs of
# variance 1 has variance 0.115: with Glorot's weights the vertical stack, which has no residual, would soon be silent.
GAIN = 4.0


@checked
def build_gated_pixelcnn(
    input_shape: ImageShape = (32, 32, 3),
    levels: Levels = 256,
    *,
    output: Output = "categorical",
    components: Components = 10,
    num_layers: Blocks = 20,
    filters: Width = 384,
    first_kernel_size: Kernel = 7,
    kernel_size: Kernel = 5,
    dilations: Dilations = (1,),
    skip_filters: Width | None = None,
    top_filters: Tuple(Width, least=0) = (1024, 1024),
    num_classes: Classes | None = None,
    condition_dim: Width | None = None,
    map_channels: Width | None = None,
    name: ModelName = "gated_pixelcnn",
):
    """Build a gated PixelCNN, conditional or not.

    Args:
        input_shape: (H, W, C) of the images, without the batch axis.
        levels: number of values of a channel.
        output: the distribution of a value: "bernoulli" (two levels), "categorical" (a softmax over the levels) or
            "logistic_mixture" (of discretised logistic distributions).
        components: of each logistic mixture.
        num_layers: of both stacks.
        filters: F, features of each stack.
        first_kernel_size: of the first layer, whose horizontal convolution has mask A; odd.
        kernel_size: of the other layers; odd.
        dilations: of the layers after the first, repeated as often as there are layers: (1, 2, 4, 8) widens the field
            quickly.
        skip_filters: features of the sum of skip connections; None: no skip connections.
        top_filters: features of each 1x1 convolution between the last layer and the output.
        num_classes: condition on a class label (B,).
        condition_dim: condition on a vector (B, condition_dim), such as an embedding (equation 4).
        map_channels: condition on a map (B, H, W, map_channels) (equation 5). At most one of the three.
        name: name of the model.

    Returns:
        An uncompiled GatedPixelCNN: "image" (B, H, W, C) float32, whole levels from 0 to levels - 1, or a dict of it
        and "label" (B,) int32, "condition" (B, D) float32 or "map" (B, H, W, M) float32 -> "parameters"
        (B, H, W, C, P) float32 of the distribution of each value given those before it.

    Raises:
        ArgumentError: an argument does not fit its annotation or another argument, or the weights are too many.

    >>> build_gated_pixelcnn((9, 9, 1), 2, output="bernoulli", num_layers=2, filters=4, top_filters=(8,)).output_shape
    (None, 9, 9, 1, 1)
    """
    _check(input_shape, levels, output, first_kernel_size, kernel_size, num_classes, condition_dim, map_channels)
    _check_weights(
        input_shape[-1], levels, output, components, num_layers, filters, first_kernel_size, kernel_size, skip_filters,
        top_filters, num_classes or condition_dim or map_channels or 0,
    )  # fmt: skip
    channels, skips = input_shape[-1], []
    image, x = _pixels.begin(input_shape, levels)
    inputs, biases = _context(image, num_classes, condition_dim, map_channels)

    def masked(filters, size, name, mask="B", **kwargs):
        return MaskedConv2D(filters, size, mask=mask, channels=channels, name=name, **kwargs)

    def add(name, *terms):
        return layers.Add(name=name)(terms) if len(terms) > 1 else terms[0]

    above = left = x
    for number in range(1, num_layers + 1):
        part, first, last = f"layer{number}", number == 1, number == num_layers
        size, mask = (first_kernel_size, "A") if first else (kernel_size, "B")
        dilation = 1 if first else dilations[(number - 2) % len(dilations)]
        vertical = VerticalConv2D(
            2 * filters, size, above_only=first, dilation_rate=dilation, kernel_initializer=_initializer(),
            name=f"{part}_vertical",
        )(above)  # fmt: skip
        down = layers.Conv2D(
            2 * filters, 1, use_bias=False, kernel_initializer=_initializer(1 / 2), name=f"{part}_down"
        )(vertical)  # fmt: skip
        horizontal = masked(
            2 * filters, (1, size), f"{part}_horizontal", mask, parts=2, dilation_rate=dilation,
            kernel_initializer=_initializer(1 / 2, of_weights=size / (size // 2 + 1)),
        )(left)  # fmt: skip
        horizontal = add(f"{part}_sum", horizontal, down, *biases(2 * filters, f"{part}_horizontal_context"))
        g = GatedUnit(name=f"{part}_gate")(horizontal)
        if not last:  # nothing reads the vertical stack's last features
            vertical = add(f"{part}_vertical_sum", vertical, *biases(2 * filters, f"{part}_vertical_context"))
            above = GatedUnit(name=f"{part}_vertical_gate")(vertical)
        if skip_filters:
            skips.append(masked(skip_filters, 1, f"{part}_skip")(g))
        if not (skip_filters and last):
            out = masked(filters, 1, f"{part}_out")(g)
            left = out if first else layers.Add(name=f"{part}_residual")([left, out])
    x = add("skips", *skips) if skip_filters else left
    parameters = _pixels.head(x, top_filters, channels, output, levels, components)
    return GatedPixelCNN(inputs, parameters, name=name, output=output, levels=levels, num_layers=num_layers)


def gated_pixelcnn_space(hp):
    """What to search: depth and width; untouched, it gives build_gated_pixelcnn's defaults."""
    return {
        "num_layers": hp.Choice("num_layers", [5, 8, 12, 20], default=20),
        "filters": hp.Choice("filters", [32, 64, 128, 384], default=384),
    }


def _initializer(share=1.0, of_weights=1.0):
    """Initial weights of what enters a gate.

    Args:
        share: of the gate's variance, which it has from several sums.
        of_weights: a kernel's weights divided by those that are not masked.
    """
    return keras.initializers.VarianceScaling(GAIN * share * of_weights, "fan_in", "untruncated_normal")


def _context(image, num_classes, condition_dim, map_channels):
    """The model's inputs, and biases(units, name) -> the list of what the context adds to `units` features."""
    if num_classes:
        context = keras.Input((), dtype="int32", name="label")
    elif condition_dim:
        context = keras.Input((condition_dim,), dtype="float32", name="condition")
    elif map_channels:
        context = keras.Input((*image.shape[1:3], map_channels), dtype="float32", name="map")
    else:
        return image, lambda units, name: []

    def biases(units, name):
        if map_channels:
            return [MaskedConv2D(units, 1, mask="B", use_bias=False, name=name)(context)]  # one channel: no mask
        if num_classes:  # V h with a one-hot h
            x = layers.Embedding(num_classes, units, name=name)(context)
        else:
            x = layers.Dense(units, use_bias=False, name=name)(context)
        return [layers.Reshape((1, 1, units), name=f"{name}_everywhere")(x)]

    return {"image": image, context.name: context}, biases


@keras.saving.register_keras_serializable("keras_dl")
class GatedPixelCNN(PixelModel):
    """The model of build_gated_pixelcnn, a PixelModel.

    Step by step, the vertical stack is computed row by row: it keeps the rows of its features that its convolutions
    still need. At the beginning of a row, all that it gives to the horizontal stack is computed for the whole row. The
    horizontal stack keeps the features of the pixels to the left that its convolutions still need.
    """

    def __init__(self, *args, num_layers=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.num_layers, self._head = num_layers, _pixels.Head(self)

    def first_state(self, rows):
        width = self.image_shape[1]

        def zeros(*shape):
            return tf.zeros([rows, *shape], self.compute_dtype)

        horizontal = self._stack("horizontal")
        return {
            "rows": [zeros(layer.reach, width, layer.kernel.shape[2]) for layer in self._stack("vertical")],
            "pixels": [zeros(layer.reach[1], layer.kernel.shape[2]) for layer in horizontal[1:]],
            "to_horizontal": zeros(width, sum(layer.filters for layer in horizontal)),
        }

    def next_row(self, above, index, state, memory):
        rows, to_horizontal = [], []
        stacks = zip(
            self._stack("vertical"), self._stack("down"), memory.prepared["horizontal"], state["rows"], strict=True
        )
        for number, (layer, down, (_, bias), kept) in enumerate(stacks):
            of_context = [_at_row(x, index) for x in memory.context[number]] if memory.context else []
            seen = _pixels.pushed(kept, above) if layer.above_only else tf.concat([kept, above[:, None]], 1)
            rows.append(seen if layer.above_only else seen[:, 1:])
            vertical = layer.row(seen)
            to_horizontal.append(sum(of_context[:1], down(vertical[:, None])[:, 0] + bias))
            above = gated(sum(of_context[1:], vertical))
        pixels = [tf.zeros_like(x) for x in state["pixels"]]
        return {"rows": rows, "pixels": pixels, "to_horizontal": tf.concat(to_horizontal, -1)}

    def pixel(self, row, column, state, memory):
        horizontal, weights = self._stack("horizontal"), memory.prepared
        from_vertical = tf.split(state["to_horizontal"][:, column], [layer.filters for layer in horizontal], -1)
        pixels = _pixels.left_of(row, column, horizontal[0].reach[1])
        x, outputs, kept = None, [], []
        for number, (layer, (kernel, _)) in enumerate(zip(horizontal, weights["horizontal"], strict=True)):
            if number:
                window = tf.concat([state["pixels"][number - 1], x[:, None]], 1)
                kept.append(window[:, 1:])
                pixels = window[:, :: layer.dilation_rate]
            g = gated(beside(pixels, kernel) + from_vertical[number])
            outputs.append(g)
            if number < len(weights["out"]):
                kernel, bias = weights["out"][number]
                out = tf.matmul(g, kernel) + bias
                x = x + out if number else out
        if "skip" in weights:
            kernel, bias = weights["skip"]
            x = tf.matmul(tf.concat(outputs, -1), kernel) + bias
        return self._head(x, weights["head"]), state | {"pixels": kept}

    def prepared(self):
        horizontal, out, skip = (
            [layer.pixel_weights() for layer in self._stack(which)] for which in ("horizontal", "out", "skip")
        )
        weights = {"horizontal": horizontal, "out": out, "head": self._head.prepared()}
        if skip:  # of all layers in one product
            kernels, biases = zip(*skip, strict=True)
            weights["skip"] = tf.concat(kernels, 0), sum(biases)
        return weights

    def of_context(self, context):
        """Of each layer, what the context adds to its horizontal and to its vertical stack."""
        pairs = zip(self._stack("horizontal_context"), [*self._stack("vertical_context"), None], strict=True)
        return [[layer(context) for layer in pair if layer is not None] for pair in pairs]

    def _stack(self, which):
        """The layers of a name, such as "vertical", from the first to the last."""
        named = {layer.name: layer for layer in self.layers}
        names = [f"layer{number}_{which}" for number in range(1, self.num_layers + 1)]
        return [named[name] for name in names if name in named]

    def get_config(self):
        return super().get_config() | {"num_layers": self.num_layers}


def _at_row(bias, index):
    """What the context adds to a row: (N, F) everywhere, or (N, H, W, F) -> (N, 1 or W, F)."""
    return bias[:, index] if bias.shape.rank == 4 else bias[:, None]


def _check(input_shape, levels, output, first_kernel_size, kernel_size, num_classes, condition_dim, map_channels):
    who = "build_gated_pixelcnn"
    _pixels.check(who, output, levels, first_kernel_size=first_kernel_size, kernel_size=kernel_size)
    given = {"num_classes": num_classes, "condition_dim": condition_dim, "map_channels": map_channels}
    given = [f"{name}={value}" for name, value in given.items() if value]
    if len(given) > 1:
        raise ArgumentError(
            f"{who}: at most one of num_classes, condition_dim and map_channels must be given; got "
            f"{' and '.join(given)}. Nearest: {given[0]}."
        )


def _check_weights(
    channels, levels, output, components, num_layers, filters, first_kernel_size, kernel_size, skip_filters,
    top_filters, context,
):  # fmt: skip
    def convolutions(size, rows, features):
        return (rows * size + size) * features * 2 * filters

    first = convolutions(first_kernel_size, first_kernel_size // 2, channels)
    others = convolutions(kernel_size, kernel_size // 2 + 1, filters)
    after = filters * (4 * filters + filters + (skip_filters or 0)) + 4 * context * filters
    top = _pixels.head_weights(skip_filters or filters, top_filters, channels, output, levels, components)
    check_weights("build_gated_pixelcnn", first + (num_layers - 1) * others + num_layers * after + top)
