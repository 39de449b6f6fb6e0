"""Which pixels of a picture are given, for a model that draws the others."""

import numpy as np

from keras_dl.features.base import Feature

TOP_HALF = [[1], [0]]


class Given(Feature):
    """Masks uint8 (B, h, w), 1 where a pixel is given, 0 where it is to be drawn.

    They lie over the pictures in the model's size; a mask of another size is enlarged or reduced to it, each pixel by
    the nearest of the mask's, so that (B, 2, 1) masks divide pictures into halves. `predict` gives the top half.
    """

    kind = "given"
    dtype = "uint8"
    shape = (None, None, None)
    follows = True

    def of(self, value):
        return np.array(TOP_HALF, np.uint8)

    def of_batch(self, values):
        return np.array([TOP_HALF] * len(values), np.uint8)

    def in_python(self):
        return f"tf.constant([{TOP_HALF}], tf.uint8)"

    def in_rest(self):
        return TOP_HALF
