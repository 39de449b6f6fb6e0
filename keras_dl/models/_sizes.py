"""How large a model may be: types of the builders' arguments, and a bound on the total number of weights.

With these bounds a mistyped number is refused in one sentence, instead of taking hours or all of the machine's memory.
The number of layers is bounded by Keras, which traverses a graph by recursion, one call per operation; Python allows
about a thousand nested calls.
"""

import itertools

from keras_dl.arguments import ArgumentError, Number, Shape, Tuple, Whole

Width = Whole(1, 1_000_000)  # units, filters or entries of a vector
Widths = Tuple(Width)  # of stacked layers
Layers = Whole(1, 32)  # of an encoder and of a decoder
LayersOfOne = Whole(1, 64)  # of a decoder alone
Classes = Whole(2, 1_000_000)
Tokens = Whole(1, 10_000_000)  # of a vocabulary, or outputs per step
Vocabulary = Whole(2, 10_000_000)  # tokens of sentences, at least padding (0) and one more
ImageShape = Shape("H, W, C", most=10_000)
SequenceShape = Shape("T, D", "T,", most=1_000_000)
TokensShape = Shape("T,", most=1_000_000)
InitScale = Number("(0, 10]", near=0.1)  # half the width of a uniform distribution
Bias = Number("[-100, 100]")

MOST_WEIGHTS = 2**31  # 8 GiB in float32


def check_weights(who, count):
    """Refuse a model that is too large, before its memory is allocated.

    Args:
        who: name of the builder, for the message.
        count: number of weights of its model, without biases and other vectors.

    Raises:
        ArgumentError: count is larger than MOST_WEIGHTS.
    """
    if count > MOST_WEIGHTS:
        raise ArgumentError(
            f"{who}: the model must have at most {MOST_WEIGHTS:,} weights ({MOST_WEIGHTS * 4 >> 30} GiB in float32); "
            f"with these arguments it has about {float(count):.3g}. Take smaller ones."
        )


def dense(*widths):
    """Number of weights of stacked fully connected layers, without biases; widths[0] is the width of the input.

    >>> dense(784, 512, 10)  # 784 * 512 + 512 * 10
    406528
    """
    return sum(inputs * units for inputs, units in itertools.pairwise(widths))
