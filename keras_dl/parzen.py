"""A Parzen-window estimate of the log-likelihood of pictures, from samples of a model that has no density.

Source: Goodfellow et al. (arXiv:1406.2661), section 5, after Breuleux et al. 2011: a normal distribution of standard
deviation sigma around each sample, all with the same weight; sigma is the one with which the validation pictures are
the most likely. The paper has 225 +- 2 nats per image for MNIST, with 10,000 samples and pixels in [0, 1].
Its known flaw (Theis et al., arXiv:1511.01844, section 3.2): in many dimensions the figure does not rank models.
Samples that are k-means centres of the training pictures have a higher one than the training pictures themselves, and
good samples can have a low one. It stands here because the paper has it.
Shapes: S samples, N pictures, D numbers of a picture, in [0, 1].
"""

import math

import numpy as np

FLAW = (
    "a Parzen estimate does not rank models in many dimensions: k-means centres of the training pictures beat the "
    "training pictures themselves (arXiv:1511.01844)"
)
SIGMAS = tuple(np.geomspace(0.05, 1.0, 25).tolist())  # that are tried; the paper's is about 0.2
ROWS = 500  # pictures that are compared with all samples at once


def log_likelihood(samples, pictures, sigma):
    """log of the mean over the samples of N(x; sample, sigma^2 I), in nats per image: (N,) float64.

    Args:
        samples: (S, D) or (S, H, W, C).
        pictures: (N, D) or (N, H, W, C).
        sigma: a number, or several: (K,), then the result is (K, N).

    >>> log_likelihood(np.zeros((3, 2)), np.zeros((1, 2)), 1.0).round(4).tolist()  # -log 2 pi
    [-1.8379]
    """
    samples, pictures = (np.asarray(x, np.float32).reshape(len(x), -1) for x in (samples, pictures))
    sigmas = np.atleast_1d(np.asarray(sigma, np.float64))
    results = np.empty((len(sigmas), len(pictures)))
    constant = np.log(len(samples)) + samples.shape[1] * np.log(sigmas * math.sqrt(2 * math.pi))
    lengths = np.square(samples, dtype=np.float64).sum(1)
    for start in range(0, len(pictures), ROWS):
        rows = pictures[start : start + ROWS]
        squares = np.square(rows, dtype=np.float64).sum(1)[:, None] + lengths - 2.0 * (rows @ samples.T)
        nearest = squares.min(1, keepdims=True)  # the largest term: no exponential underflows to a logarithm of 0
        for number, each in enumerate(sigmas):
            scale = -0.5 / each**2
            total = np.log(np.exp((squares - nearest) * scale).sum(1)) + nearest[:, 0] * scale
            results[number, start : start + ROWS] = total - constant[number]
    return results if np.ndim(sigma) else results[0]


def best_sigma(samples, validation, sigmas=SIGMAS):
    """That of `sigmas` with which the validation pictures have the highest mean log-likelihood."""
    means = log_likelihood(samples, validation, np.asarray(sigmas)).mean(1)
    return float(sigmas[int(means.argmax())])
