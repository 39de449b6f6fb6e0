"""What the two Transformers share: the sub-layers, each with its residual connection, and a check."""

import dataclasses
import functools

from keras import layers

from keras_dl.arguments import ArgumentError
from keras_dl.layers.attention import MultiHeadAttention, Positions

EPSILON = 1e-5  # in layer normalisation; the paper gives none
POSITIONS = ("sinusoidal", "learned")


@dataclasses.dataclass(frozen=True)
class Parts:
    """Makes the sub-layers of section 3.1, each with its residual connection, dropout and normalisation.

    Attributes:
        model: None: every call makes new layers; else the layers of this model, found by name, are used again.
        The others: as in build_transformer.
    """

    hidden_dim: int = 0
    intermediate_dim: int = 0
    num_heads: int = 0
    dropout: float = 0.0
    norm_first: bool = False
    use_bias: bool = False
    model: object = None

    def begin(self, x, kind, max_length, name):
        x = Positions(kind, max_length, name=f"{name}_positions")(x)
        return layers.Dropout(self.dropout, name=f"{name}_dropout")(x)

    def attention(self, name):
        width = self.hidden_dim // max(1, self.num_heads)
        return self._layer(MultiHeadAttention, self.num_heads, width, use_bias=self.use_bias, name=name)

    def feed_forward(self, x, name):
        """max(0, x W_1 + b_1) W_2 + b_2 (equation 2)."""
        up = self._layer(layers.Dense, self.intermediate_dim, "relu", name=f"{name}_up")
        down = self._layer(layers.Dense, self.hidden_dim, name=f"{name}_down")
        return self.added(x, f"{name}_feed_forward", lambda x: down(up(x)))

    def added(self, x, name, sub_layer):
        norm = self._layer(layers.LayerNormalization, epsilon=EPSILON, name=f"{name}_norm")
        drop = self._layer(layers.Dropout, self.dropout, name=f"{name}_dropout")
        add = self._layer(layers.Add, name=f"{name}_add")
        if self.norm_first:
            return add([x, drop(sub_layer(norm(x)))])
        return norm(add([x, drop(sub_layer(x))]))

    def end(self, x, name):
        return self._layer(layers.LayerNormalization, epsilon=EPSILON, name=f"{name}_norm")(x) if self.norm_first else x

    def decoder(self, x, num_layers, own, cross=None):
        """The decoder's stack of num_layers layers.

        Args:
            own: own(n, layer, x) -> output of the self-attention of decoder layer n, from 1.
            cross: the same of the attention to the source; None: a decoder without a source.
        """
        for n in range(1, num_layers + 1):
            layer = self.attention(f"decoder{n}_attention")
            x = self.added(x, layer.name, functools.partial(own, n, layer))
            if cross is not None:
                layer = self.attention(f"decoder{n}_cross_attention")
                x = self.added(x, layer.name, functools.partial(cross, n, layer))
            x = self.feed_forward(x, f"decoder{n}")
        return self.end(x, "decoder")

    def _layer(self, kind, *args, name, **kwargs):
        return kind(*args, name=name, **kwargs) if self.model is None else self.model.get_layer(name)


def check_heads(who, num_heads, hidden_dim):
    """Raise ArgumentError unless num_heads divides hidden_dim."""
    if hidden_dim % num_heads:
        fewer = next(n for n in range(min(num_heads, hidden_dim), 0, -1) if hidden_dim % n == 0)
        raise ArgumentError(
            f"{who}: num_heads must divide hidden_dim; got {num_heads} and {hidden_dim}. Nearest: num_heads={fewer}."
        )
