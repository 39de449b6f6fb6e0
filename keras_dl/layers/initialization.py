"""Initial values of weights: independent draws for the weights of a layer, and orthogonal blocks."""

import keras
import numpy as np
from keras import ops


class DrawsApart:
    """A mixin for layers whose weights are drawn independently, even by one initializer with a seed.

    An initializer with a seed draws the same values at every call, so that two weights of equal shape would start equal
    (in Keras' own layers they do: Keras 3.15 clones initializers, and a clone has the same seed). Here the first weight
    that uses a seed gets the values that Keras would draw; each further weight of the layer uses a seed derived from
    it. A keras.random.SeedGenerator, which advances at each call, is used unchanged.
    """

    def add_drawn(self, name, shape, initializer, **kwargs):
        """add_weight, with values drawn independently of the layer's other weights."""
        return self.add_weight(name=name, shape=shape, initializer=self.drawn_apart(initializer), **kwargs)

    def drawn_apart(self, initializer):
        """The initializer to draw the next weight with."""
        if not isinstance(initializer, keras.initializers.Initializer):
            return initializer
        seed = given_seed(initializer)
        if isinstance(seed, keras.random.SeedGenerator):
            return initializer
        config = initializer.get_config()
        if seed is not None:
            times = vars(self).setdefault("_times_drawn", {})  # {seed: draws}; vars: hidden from Keras
            config["seed"] = derived_seed(seed, times.get(seed, 0))
            times[seed] = times.get(seed, 0) + 1
        return type(initializer).from_config(config)


def given_seed(initializer):
    """The seed that an initializer was made with: None, a whole number or a keras.random.SeedGenerator."""
    seed = initializer.get_config().get("seed")
    return seed if seed is None or isinstance(seed, int) else initializer.seed


def derived_seed(seed, number):
    """`seed` for number 0, a different seed for each higher number; always the same for the same arguments.

    >>> derived_seed(7, 0), derived_seed(7, 1) == derived_seed(7, 1), derived_seed(7, 1) == derived_seed(8, 1)
    (7, True, False)
    """
    if number == 0:
        return seed
    return int(np.random.SeedSequence(seed % 2**64, spawn_key=(number,)).generate_state(1)[0])


@keras.saving.register_keras_serializable("keras_dl")
class OrthogonalBlocks(keras.initializers.Initializer):
    """A matrix (n, k n) of k independent orthogonal matrices (n, n) side by side: one per gate.

    (Keras' Orthogonal makes the n rows of the whole matrix orthonormal, so that each block shrinks a state by sqrt(k).)

    Args:
        seed: None, a whole number or a keras.random.SeedGenerator.
    """

    def __init__(self, seed=None):
        self.initial_seed, self.seed = seed, keras.initializers.Orthogonal(seed=seed).seed

    def __call__(self, shape, dtype=None):
        rows, columns = shape
        blocks = [keras.initializers.Orthogonal(seed=self._seed(k)) for k in range(columns // rows)]
        return ops.concatenate([block((rows, rows), dtype) for block in blocks], -1)

    def _seed(self, number):
        return derived_seed(self.seed, number) if isinstance(self.seed, int) else self.seed  # a SeedGenerator advances

    def get_config(self):
        return {"seed": keras.saving.serialize_keras_object(self.initial_seed)}
