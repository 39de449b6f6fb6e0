"""The floating-point operations of a training step of each row of step_time.py, counted by hand from its sizes.

Counted are matrix products and convolutions, an addition and a multiplication for each pair of an input and a weight: a
product of (m, k) and (k, n) is 2 m k n, and a convolution is the product of all its windows with its kernel, zeros of
the border included. A training step does each of them three times: forward, for the gradient of the weights and for
the gradient of the inputs; twice where the inputs are the data, which need no gradient; once where nothing is trained.

Not counted is all that costs few operations, though it takes time: biases, activations, normalisation, pooling,
softmax and loss, dropout, the rows that an embedding looks up, the optimizer, and what an implementation does twice to
save memory. So the share of the peak says how much of the machine's arithmetic the network's own products use.
tests/test_benchmarks.py counts the products in TensorFlow's graphs of the same steps.
"""

PEAK_SIDE = 1500  # rows and columns of both matrices in the product that stands for the machine's limit
PEAK_OPERATIONS = 2 * PEAK_SIDE**3
TRAINED, OF_DATA, FORWARD = 3, 2, 1  # how often a product is computed: inputs are hidden values; are data; no training


def product(rows, inputs, outputs, times=TRAINED):
    """(rows, inputs) x (inputs, outputs)"""
    return times * 2 * rows * inputs * outputs


def convolution(batch, side, kernel, inputs, outputs, times=TRAINED):
    """A square kernel, over square maps whose result has `side` pixels a side."""
    return product(batch * side**2, kernel**2 * inputs, outputs, times)


def linear(batch, pixels=784, classes=10):
    return product(batch, pixels, classes, OF_DATA)


def mlp(batch, pixels=784, units=(512, 512), classes=10):
    first, second = units
    return product(batch, pixels, first, OF_DATA) + product(batch, first, second) + product(batch, second, classes)


def convnet(batch):
    """LeNet-5 on 28 x 28: C1 keeps the size, S2 halves it, C3 takes four pixels, S4 halves to 5 x 5 of 16 maps."""
    return (
        convolution(batch, 28, 5, 1, 6, OF_DATA)
        + convolution(batch, 10, 5, 6, 16)
        + product(batch, 5 * 5 * 16, 120)
        + product(batch, 120, 84)
        + product(batch, 84, 10)
    )


def resnet_cifar(batch, depth=20, filters=16, classes=10):
    """Three stages on 32, 16 and 8 pixels a side; shortcuts without weights."""
    total, inputs = convolution(batch, 32, 3, 3, filters, OF_DATA), filters
    for stage in range(3):
        side, width = 32 // 2**stage, filters * 2**stage
        for _ in range((depth - 2) // 6):
            total += convolution(batch, side, 3, inputs, width) + convolution(batch, side, 3, width, width)
            inputs = width
    return total + product(batch, inputs, classes)


def resnet34(batch, classes=10):
    """On 64 pixels a side: the stem's convolution halves them and its pooling too; later stages have projections."""
    total, inputs = convolution(batch, 32, 7, 3, 64, OF_DATA), 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        side, width = 16 // 2**stage, 64 * 2**stage
        for _ in range(blocks):
            total += convolution(batch, side, 3, inputs, width) + convolution(batch, side, 3, width, width)
            if inputs != width:
                total += convolution(batch, side, 1, inputs, width)
            inputs = width
    return total + product(batch, inputs, classes)


def word_lstm(batch, steps, words, units=200, times=TRAINED):
    """Two layers; in each step a layer's four gates read its input and its state."""
    tokens = batch * steps
    return 2 * product(tokens, 2 * units, 4 * units, times) + product(tokens, units, words, times)


def recurrent(batch, steps, width, gates, units=512):
    """Two layers of `gates` matrices a step (GRU 3, simple 1) on vectors of `width`, and as wide an output."""
    tokens = batch * steps
    first = product(tokens, width, gates * units, OF_DATA) + product(tokens, units, gates * units)
    second = product(tokens, 2 * units, gates * units)
    return first + second + product(tokens, units, width)


def transformer(batch, source, target, words, layers, width=256, inner=1024):
    """Every query is multiplied with every key, also with those that the mask hides."""

    def attention(queries, keys):
        query_and_output = 2 * product(batch * queries, width, width)
        key_and_value = 2 * product(batch * keys, width, width)
        scores_and_sums = 2 * product(batch * queries, width, keys)
        return query_and_output + key_and_value + scores_and_sums

    def feed_forward(steps):
        return product(batch * steps, width, inner) + product(batch * steps, inner, width)

    encoder = attention(source, source) + feed_forward(source)
    decoder = attention(target, target) + attention(target, source) + feed_forward(target)
    return layers * (encoder + decoder) + product(batch * target, width, words)


def transformer_step(keys, words, layers, width=256, inner=1024):
    """One token more of a text by a decoder without a source, which reads `keys` kept keys and values; no training."""
    own = product(1, width, 4 * width, FORWARD) + 2 * product(1, width, keys, FORWARD)
    feed_forward = product(1, width, inner, FORWARD) + product(1, inner, width, FORWARD)
    return layers * (own + feed_forward) + product(1, width, words, FORWARD)


def attention_gru(batch, source, target, words, width=256):
    """Bahdanau's network; all sizes are `width`, the annotations are of both directions together."""
    annotation = 2 * width
    encoder = 2 * product(batch * source, 2 * width, 3 * width)
    first_state = product(batch, width, width)
    keys = product(batch * source, annotation, width)
    query = product(batch * target, width, width)
    score = product(batch * target * source, width, 1)
    context = product(batch * target, source, annotation)
    decoder = product(batch * target, width + width + annotation, 3 * width)  # of the token, the state, the context
    maxout = product(batch * target, width + annotation + width, 2 * width)
    logits = product(batch * target, width, words)
    return encoder + first_state + keys + query + score + context + decoder + maxout + logits


def vae(batch, pixels=784, units=500, code=20):
    """One hidden layer on each side; the posterior's mean and log-variance are twice the code."""
    encoder = product(batch, pixels, units, OF_DATA) + product(batch, units, 2 * code)
    return encoder + product(batch, code, units) + product(batch, units, pixels)


def dcgan(batch, noise=100, filters=32, kernel=5):
    """On 28 x 28: one step of the discriminator and one of the generator, each with new noise.

    A transposed convolution is as many products as the convolution from its result to its inputs.
    """

    def generator(times, of_noise):
        return (
            product(batch, noise, 7 * 7 * 2 * filters, of_noise)
            + convolution(batch, 7, kernel, filters, 2 * filters, times)
            + convolution(batch, 14, kernel, 1, filters, times)
        )

    def discriminator(times, of_pictures):
        return (
            convolution(batch, 14, kernel, 1, filters, of_pictures)
            + convolution(batch, 7, kernel, filters, 2 * filters, times)
            + product(batch, 7 * 7 * 2 * filters, 1, times)
        )

    step_of_discriminator = generator(FORWARD, FORWARD) + 2 * discriminator(TRAINED, OF_DATA)
    step_of_generator = generator(TRAINED, OF_DATA) + discriminator(OF_DATA, OF_DATA)  # no gradient of its weights
    return step_of_discriminator + step_of_generator


def gated_pixelcnn(
    batch, side=28, num_layers=7, filters=32, first_kernel_size=7, kernel_size=3, dilations=(1,), skip_filters=0,
    top_filters=(64,),
):  # fmt: skip
    """Of binary images. Kernels count as they are computed: without the rows and columns that are masked as a whole.

    The last layer's vertical stack has no gate, but its convolution is read; a layer's `out` and `skip` are 1x1.
    """

    def ones(inputs, outputs):
        return convolution(batch, side, 1, inputs, outputs)

    total = 0
    for number in range(num_layers):
        size, inputs, times = (kernel_size, filters, TRAINED) if number else (first_kernel_size, 1, OF_DATA)
        weights = (size // 2 + 1) * (size + 1)  # of the vertical kernel, and of the horizontal one
        total += product(batch * side**2, weights * inputs, 2 * filters, times) + ones(2 * filters, 2 * filters)
        total += ones(filters, skip_filters) if skip_filters else 0
        total += 0 if skip_filters and number == num_layers - 1 else ones(filters, filters)
    widths = (skip_filters or filters, *top_filters, 1)
    return total + sum(ones(a, b) for a, b in zip(widths, widths[1:], strict=False))


def wavenet(steps, levels=256, dilations=(1,), filters=32, skip_filters=64, kernel_size=2):
    """Of all steps of a batch together. The first convolution looks its rows up, which counts as nothing."""
    layers = len(dilations)
    gates = product(steps, kernel_size * filters, 2 * filters)
    total = layers * (gates + product(steps, filters, skip_filters))
    total += (layers - 1) * product(steps, filters, filters)
    return total + product(steps, skip_filters, skip_filters) + product(steps, skip_filters, levels)
