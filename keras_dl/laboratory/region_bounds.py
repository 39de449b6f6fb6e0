"""How many linear regions a network of rectifiers can have, by its widths.

Widths are those of the hidden layers, in their order. On a slice of the input space `inputs` is the slice's dimension.
"""

import math

from keras_dl.errors import UserError


def zaslavsky(units, inputs):
    """The most regions of one hidden layer: sum of C(units, j) over j = 0 ... inputs; reached in general position.

    Source: Zaslavsky 1975; Pascanu et al., arXiv:1312.6098, proposition 2.

    >>> zaslavsky(12, 2), zaslavsky(24, 2), zaslavsky(12, 1)
    (79, 301, 13)
    """
    return sum(math.comb(units, j) for j in range(inputs + 1))


def montufar(widths, inputs):
    """A number of regions that a network of these widths can reach: floor(n / inputs)^inputs a layer but the last.

    The last hidden layer adds the factor zaslavsky(n, inputs). folding.folding reaches it.
    Source: Montúfar et al., arXiv:1402.1869, theorem 4.

    Raises:
        UserError: a layer is narrower than the inputs.

    >>> montufar((4, 4, 4), 2), montufar((8, 8, 8), 2), montufar((4,) * 5, 2)
    (176, 9472, 2816)
    """
    if min(widths) < inputs:
        raise UserError(f"region_bounds.montufar: every width must be at least inputs={inputs}; got {tuple(widths)}.")
    *folds, last = widths
    return math.prod((width // inputs) ** inputs for width in folds) * zaslavsky(last, inputs)


def most(widths, inputs):
    """More regions than this no network of these widths has: the product of zaslavsky's counts of its layers.

    Each region of the layers so far, whose image has at most as many dimensions as the narrowest of them, is cut by
    the next layer into at most that many. With one input it is (n + 1) a layer, (m + 1)^L for L layers of m units.
    Source: Montúfar 2017, "Notes on the number of linear regions of deep neural networks", proposition 3; for one
    input Raghu et al., arXiv:1606.05336, theorem 1, and Telgarsky, arXiv:1509.08101, lemma 2.3.

    >>> most((12,), 2), most((4, 4, 4), 2), most((2,) * 6, 1)
    (79, 1331, 729)
    """
    product, dimensions = 1, inputs
    for width in widths:
        product *= zaslavsky(width, dimensions)
        dimensions = min(dimensions, width)
    return product
