"""The Transformer: an encoder and a decoder with attention and without recurrence.

Source: Vaswani et al., "Attention Is All You Need" (arXiv:1706.03762), sections 3 and 5.
The defaults are its base model; big is num_layers=6, hidden_dim=1024, intermediate_dim=4096, num_heads=16, dropout=0.3.
The paper states 65 and 213 million parameters for "about" 37,000 sub-words. Counted by hand with exactly 37,000, one
matrix for both embeddings and the output, and no biases in the attention, there are 63.0 and 214.2 million.
Options beyond these models: norm_first, learned positions, biases in the attention, and separate matrices for the
embeddings and the output (tied=False).
Shapes: B sentences, S and T steps of source and target, d hidden_dim, V sub-words.
Laws and figures: python -m keras_dl list transformer
"""

import functools

import keras
import tensorflow as tf
from keras import layers, ops

from keras_dl.arguments import ModelName, OneOf, Share, YesOrNo, checked
from keras_dl.decoding import Shared
from keras_dl.decoding.requirements import rows_of
from keras_dl.layers import attention_cache as cache
from keras_dl.layers.attention import MASKED, Mask, ScaledEmbedding
from keras_dl.models._sizes import Layers, Vocabulary, Width, check_weights
from keras_dl.models._transformer import POSITIONS, Parts, check_heads

PARAMETERS = 63_045_632  # trainable, at the defaults


@checked
def build_transformer(
    vocabulary_size: Vocabulary = 37_000,
    *,
    num_layers: Layers = 6,
    hidden_dim: Width = 512,
    intermediate_dim: Width = 2048,
    num_heads: Width = 8,
    dropout: Share = 0.1,
    norm_first: YesOrNo = False,
    positions: OneOf(*POSITIONS) = "sinusoidal",
    max_length: Width = 512,
    tied: YesOrNo = True,
    use_bias: YesOrNo = False,
    name: ModelName = "transformer",
):
    """Build the encoder and decoder of section 3.

    Args:
        vocabulary_size: V, shared by source and target; token 0 is padding.
        num_layers: N, of the encoder and of the decoder.
        hidden_dim: d_model.
        intermediate_dim: d_ff.
        num_heads: h; d_k = d_model / h.
        dropout: share of the values that training sets to zero, of each sub-layer's output and of the sums of
            embeddings and positions (section 5.4).
        norm_first: True: x + f(norm(x)) for each sub-layer f, and one more normalisation at the end of each stack
            (arXiv:2002.04745); False: norm(x + f(x)), as published.
        positions: "sinusoidal" or "learned" (section 3.5).
        max_length: number of learned positions; unused by "sinusoidal".
        tied: True: one matrix for both embeddings and the output (section 3.4); False: three.
        use_bias: whether the attention's projections have biases.
        name: name of the model.

    Returns:
        An uncompiled Transformer: {"source": (B, S) int32, "target": (B, T) int32} -> "logits" (B, T, V) float32.

    Raises:
        ArgumentError: an argument does not fit its annotation or another argument, or the weights are too many.

    >>> build_transformer(11, num_layers=1, hidden_dim=8, intermediate_dim=16, num_heads=2).output_shape
    (None, None, 11)
    """
    check_heads("build_transformer", num_heads, hidden_dim)
    attention, feed_forward = 4 * hidden_dim**2, 2 * hidden_dim * intermediate_dim
    embeddings = vocabulary_size * hidden_dim * (1 if tied else 3)
    check_weights("build_transformer", embeddings + num_layers * (3 * attention + 2 * feed_forward))
    part = Parts(hidden_dim, intermediate_dim, num_heads, dropout, norm_first, use_bias)

    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")
    embedding = embed_target = ScaledEmbedding(vocabulary_size, hidden_dim, name="embedding")
    if not tied:
        embed_target = ScaledEmbedding(vocabulary_size, hidden_dim, name="target_embedding")

    seen = Mask(name="source_mask")(source)
    x = part.begin(embedding(source), positions, max_length, "source")
    for n in range(1, num_layers + 1):
        attention = part.attention(f"encoder{n}_attention")
        x = part.added(x, f"encoder{n}_attention", lambda x, layer=attention: layer(x, attention_mask=seen)[0])
        x = part.feed_forward(x, f"encoder{n}")
    memory = part.end(x, "encoder")

    before = Mask(causal=True, name="target_mask")(target)
    x = part.begin(embed_target(target), positions, max_length, "target")
    x = part.decoder(
        x,
        num_layers,
        lambda n, layer, x: layer(x, attention_mask=before)[0],
        lambda n, layer, x: layer(x, memory, attention_mask=seen)[0],
    )
    output = layers.Dense(vocabulary_size, use_bias=False, name="output")
    x = embedding(x, reverse=True) if tied else output(x)
    logits = layers.Activation("linear", dtype="float32", name="logits")(x)
    return Transformer(
        {"source": source, "target": target}, logits, name=name, num_layers=num_layers, norm_first=norm_first, tied=tied
    )


def transformer_space(hp):
    """What to search: depth, width, dropout; untouched, it gives build_transformer's defaults."""
    width = hp.Choice("hidden_dim", [128, 256, 512], default=512)
    return {
        "num_layers": hp.Choice("num_layers", [2, 4, 6], default=6),
        "hidden_dim": width,
        "intermediate_dim": 4 * width,
        "dropout": hp.Choice("dropout", [0.1, 0.2, 0.3], default=0.1),
    }


@keras.saving.register_keras_serializable("keras_dl")
class Transformer(keras.Model):
    """The model of build_transformer: a functional model that also generates step by step and shows its attention.

    It implements decoding.Stepwise with a cache of keys and values. The memory holds for each layer the keys and values
    of the source, split into heads (B, h, S, d_k), and the mask of its padding. The state holds for each layer the keys
    and values of all tokens that were generated for a sentence (B, h, L, K' d_k), shared by the sentence's K rows, with
    room for L steps of K' rows (K' is the largest K so far). It also holds for each row the row numbers (N, t) in which
    its own t tokens were stored. So beam search need not move the cache when it reorders its hypotheses: a row attends
    to the whole cache of its sentence, with the tokens of other hypotheses masked.

    Args:
        inputs, outputs, name: of keras.Model.
        num_layers, norm_first, tied: as in build_transformer.
    """

    def __init__(self, *args, num_layers=None, norm_first=False, tied=True, **kwargs):
        super().__init__(*args, **kwargs)
        self.num_layers, self.norm_first, self.tied = num_layers, norm_first, tied
        self.parts = Parts(norm_first=norm_first, model=self)
        self._encoder = None

    def begin(self, context, *, rows=None):
        """Sources (B, S) int32 -> (memory, state)."""
        rows_of("Transformer.begin", context, rows, "source")
        annotations, sentences = self.encode(context), tf.shape(context)[0]
        layers_of_source = [self.parts.attention(f"decoder{n}_cross_attention") for n in range(1, self.num_layers + 1)]
        memory = {
            "hidden": tf.where(context == 0, -MASKED, 0.0)[:, None, None],
            "read": [
                tuple(cache.heads(layer, x, sentences) for x in layer.remember(annotations))
                for layer in layers_of_source
            ],
        }
        num_heads = layers_of_source[0].num_heads
        nothing = tf.zeros([sentences, num_heads, 0, 0], annotations.dtype)
        if not tf.executing_eagerly():  # its length is unknown to the graph, since it grows
            nothing = tf.compat.v1.placeholder_with_default(nothing, [None, num_heads, None, None])
        kept = [(nothing, nothing) for _ in layers_of_source]
        return memory, {"written": Shared(kept), "rows": tf.zeros_like(context[:, :0])}

    def step(self, inputs, state, memory):
        """Tokens (N,) int32 and a state of N rows -> (logits (N, V) float32, state)."""
        sentences, t = tf.shape(memory["hidden"])[0], tf.shape(state["rows"])[1]
        width, written = tf.shape(inputs)[0] // tf.maximum(sentences, 1), []
        rows = tf.concat([state["rows"], (tf.range(tf.shape(inputs)[0]) % tf.maximum(width, 1))[:, None]], 1)
        kept, most = self._with_room(state["written"].tensors, t, width)
        hidden = _of_others(tf.reshape(rows, [sentences, width, t + 1]), most, tf.shape(kept[0][0])[2])
        at = cache.places(kept[0][0], t, most, width)

        def own(n, layer, x):
            queries, *new = (cache.heads(layer, part, sentences) for part in layer.project(x))
            written.append(tuple(cache.written(old, x, at) for old, x in zip(kept[n - 1], new, strict=True)))
            keys, values = (tf.reshape(x, [sentences, layer.num_heads, -1, layer.key_dim]) for x in written[-1])
            return cache.attended(layer, queries, keys, values, hidden)

        def cross(n, layer, x):  # all rows of a sentence share its memory
            queries = cache.heads(layer, layer.ask(x), sentences)
            return cache.attended(layer, queries, *memory["read"][n - 1], memory["hidden"])

        x = self.embed_target(inputs[:, None], start=t)
        x = self.parts.decoder(x[:, 0], self.num_layers, own, cross)
        return tf.cast(self.output_of(x), tf.float32), {"written": Shared(written), "rows": rows}

    def encode(self, source):
        """Sources (B, S) int32 -> the encoder's output (B, S, d)."""
        if self._encoder is None:
            last = "encoder_norm" if self.norm_first else f"encoder{self.num_layers}_feed_forward_norm"
            encoder = keras.Model(self.input["source"], self.get_layer(last).output)
            self._encoder = functools.partial(encoder, training=False)  # in a partial, since Keras would save a model
        return self._encoder(source)

    def embed_target(self, tokens, start=0):
        """Target tokens (N, T), the first at position `start` -> embeddings plus positions (N, T, d)."""
        embedding = self.get_layer("embedding" if self.tied else "target_embedding")
        return self.get_layer("target_positions")(embedding(tokens), start=start)

    def output_of(self, x):
        """Outputs of the decoder's last layer (..., d) -> logits (..., V)."""
        return self.get_layer("embedding")(x, reverse=True) if self.tied else self.get_layer("output")(x)

    def with_attention(self):
        """A model with the same layers and weights that also returns the attention weights.

        Returns:
            A model of the same inputs -> {"logits", "attention": (B, N, h, T, S) float32, from target to source in the
            decoder's N layers and h heads, "source_attention": (B, N, h, S, S), "target_attention": (B, N, h, T, T)}.
        """

        def weights_of(name):
            layers_of_kind = [self.get_layer(name.format(n)) for n in range(1, self.num_layers + 1)]
            return ops.cast(ops.stack([layer.output[1] for layer in layers_of_kind], 1), "float32")

        outputs = {
            "logits": self.output,
            "attention": weights_of("decoder{}_cross_attention"),
            "source_attention": weights_of("encoder{}_attention"),
            "target_attention": weights_of("decoder{}_attention"),
        }
        return keras.Model(self.input, outputs, name=self.name)

    def with_alignment(self):
        """A model with the same layers and weights that also returns an alignment of target and source tokens.

        Returns:
            A model of the same inputs -> {"logits", "alignment": (B, T, S) float32}: the attention to the source, mean
            over the heads of the last layer but one (of the only layer, if there is one). Each row sums to 1.
        """
        shown = self.with_attention().output
        weights = ops.mean(shown["attention"][:, max(0, self.num_layers - 2)], 1)
        return keras.Model(self.input, {"logits": shown["logits"], "alignment": weights}, name=self.name)

    def get_config(self):
        return super().get_config() | {
            "num_layers": self.num_layers, "norm_first": self.norm_first, "tied": self.tied,
        }  # fmt: skip

    def _with_room(self, kept, t, width):
        """(the cache with room for step t of `width` rows, the largest number of rows so far)"""
        units = self.parts.attention("decoder1_attention").key_dim
        most = tf.maximum(width, tf.shape(kept[0][0])[3] // units)
        return cache.grown(kept, t + 1, most * units), most


def _of_others(rows, most, room):
    """The mask by which a row attends only to its own tokens in the sentence's cache.

    Args:
        rows: (B, K, T), the row in which each step's token was stored.
        most, room: K' and L.

    Returns:
        (B, 1, K, L K'), to be subtracted from the scores: 0 for a row's own tokens, -MASKED for others and unused room.
    """
    sentences, width, steps = tf.unstack(tf.shape(rows))
    hidden = tf.one_hot(rows, most, 0.0, -MASKED)
    hidden = tf.pad(hidden, [[0, 0], [0, 0], [0, room - steps], [0, 0]], constant_values=-MASKED)
    return tf.reshape(hidden, [sentences, 1, width, room * most])
