"""Directions in the space of a network's weights, with filter normalisation.

Source: Li et al., "Visualizing the Loss Landscape of Neural Nets" (arXiv:1712.09913), section 4: a direction d of
random numbers is scaled filter by filter, d_ij <- d_ij |theta_ij| / |d_ij|, so that a distance of 1 changes every
filter by its own norm. Scaling a layer with rectifiers by a and the next one by 1 / a, which leaves the network's
function as it is, then leaves the loss along the direction as it is, too.
As in the authors' program, weights with one axis (biases, gains and offsets of normalisation) do not move: their
direction is 0. The last axis of a Keras kernel counts its filters; FILTERS names the layers where it is another.
"""

import numpy as np

FILTERS = {  # {what a layer's class ends with: axes of its weights that count filters}
    "Embedding": (0,),  # a row is a token's vector
    "Conv1DTranspose": (-2,), "Conv2DTranspose": (-2,), "Conv3DTranspose": (-2,),
    "DepthwiseConv1D": (-2, -1), "DepthwiseConv2D": (-2, -1),
}  # fmt: skip


def filter_axes(layer_class, shape):
    """The axes over which the norm of a filter is taken; None of a weight that does not move.

    Args:
        layer_class: name of the class of the layer that has the weight.
        shape: of the weight.

    >>> filter_axes("Conv2D", (3, 3, 16, 32)), filter_axes("Dense", (64, 10)), filter_axes("Dense", (10,))
    ((0, 1, 2), (0,), None)
    >>> filter_axes("Conv2DTranspose", (3, 3, 16, 32)), filter_axes("Embedding", (1000, 64))
    ((0, 1, 3), (1,))
    """
    if len(shape) < 2:
        return None
    count = next((axes for name, axes in FILTERS.items() if layer_class.endswith(name)), (-1,))
    count = {axis % len(shape) for axis in count}
    return tuple(axis for axis in range(len(shape)) if axis not in count)


def normalised(direction, weights, axes):
    """A direction whose filters have the norms of the network's own.

    Args:
        direction, weights: lists of arrays of the same shapes.
        axes: filter_axes of each.

    Returns:
        A list of arrays of the weights' dtypes; a filter is 0 if the network's is, or if it is 0 in `direction`.
    """
    scaled = []
    for d, w, over in zip(direction, weights, axes, strict=True):
        if over is None:
            scaled.append(np.zeros_like(w))
            continue
        own, its = (np.sqrt(np.sum(np.square(a, dtype=np.float64), over, keepdims=True)) for a in (w, d))
        scaled.append((d * np.divide(own, its, out=np.zeros_like(own), where=its > 0)).astype(w.dtype))
    return scaled


def random(weights, axes, seed):
    """A random direction, normal and then `normalised`; `seed` is one, or what numpy.random.default_rng takes."""
    rng = np.random.default_rng(seed)
    return normalised([rng.normal(size=w.shape) for w in weights], weights, axes)


def moved(weights, directions, distances):
    """weights + sum of distance * direction over the directions, as a list of arrays of the weights' dtypes."""
    return [
        w + sum(np.asarray(t * d, w.dtype) for t, d in zip(distances, each, strict=True))
        for w, each in zip(weights, zip(*directions, strict=True), strict=True)
    ]
