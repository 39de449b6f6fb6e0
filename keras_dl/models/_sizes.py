"""How large a model may be: the kinds of the builders' arguments, and a bound on the weights of all layers together.

The bounds are there so that a mistyped number is refused in a sentence, where it would take hours, or all of the
machine's memory. How deep a model may be is Keras' bound: it goes through a graph by recursion, a call an operation,
and Python allows about a thousand calls.
"""

import itertools

from keras_dl.arguments import ArgumentError, Number, Shape, Tuple, Whole

Width = Whole(1, 1_000_000)  # units, filters or entries of a vector
Widths = Tuple(Width)  # of layers one on the other
Layers = Whole(1, 32)  # of an encoder and of a decoder
LayersOfOne = Whole(1, 64)  # of a decoder alone
Classes = Whole(2, 1_000_000)
Tokens = Whole(1, 10_000_000)  # of a vocabulary, or outputs of a step
Vocabulary = Whole(2, 10_000_000)  # tokens of sentences: 0, which is padding, and others
ImageShape = Shape("H, W, C", most=10_000)
SequenceShape = Shape("T, D", "T,", most=1_000_000)
TokensShape = Shape("T,", most=1_000_000)
InitScale = Number("(0, 10]", near=0.1)  # half the width of a uniform distribution
Bias = Number("[-100, 100]")

MOST_WEIGHTS = 2**31  # 8 GiB in float32


def check_weights(who, count):
    """Refuse a model before memory is taken for it.

    Args:
        who: the builder.
        count: its weights, biases and other vectors left out.

    Raises:
        ArgumentError: there would be more than MOST_WEIGHTS.
    """
    if count > MOST_WEIGHTS:
        raise ArgumentError(
            f"{who}: the model must have at most {MOST_WEIGHTS:,} weights ({MOST_WEIGHTS * 4 >> 30} GiB in float32); "
            f"with these arguments it has about {float(count):.3g}. Take smaller ones."
        )


def dense(*widths):
    """Weights of fully connected layers, one on the other, of these widths; the first is that of the input.

    >>> dense(784, 512, 10)  # 784 * 512 + 512 * 10
    406528
    """
    return sum(inputs * units for inputs, units in itertools.pairwise(widths))
