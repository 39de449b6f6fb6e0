"""The Transformer: encoder and decoder of attention alone.

Source: Vaswani et al., "Attention Is All You Need" (arXiv:1706.03762), sections 3 and 5.
The defaults are its base model; big is num_layers=6, hidden_dim=1024, intermediate_dim=4096, num_heads=16, dropout=0.3.
The paper's 65 and 213 million parameters are rounded and of its 37,000 sub-words "about": counted by hand with 37,000,
one matrix for both embeddings and the output, and no biases in the attention, they are 63.0 and 214.2 million.
Options beyond it: norm_first, learned positions, biases in the attention, an output of its own.
Shapes: B sentences, S and T steps of source and target, d hidden_dim, V sub-words.
Laws and figures: python -m keras_dl list transformer
"""

import functools

import keras
import tensorflow as tf
from keras import layers, ops

from keras_dl.arguments import ModelName, OneOf, Share, YesOrNo, checked
from keras_dl.decoding import Shared
from keras_dl.layers.attention import MASKED, Mask, MultiHeadAttention, ScaledEmbedding
from keras_dl.models._sizes import Layers, Vocabulary, Width, check_weights
from keras_dl.models._transformer import POSITIONS, Parts, check_heads

PARAMETERS = 63_045_632  # trainable, at the defaults
ROOM = 8  # steps by which what a decoder keeps grows


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
        vocabulary_size: V, of both sides; token 0 is padding.
        num_layers: N, of the encoder and of the decoder.
        hidden_dim: d_model.
        intermediate_dim: d_ff.
        num_heads: h; d_k = d_model / h.
        dropout: share of the values set to zero in training, of each sub-layer's output and of each sum of embedding
            and position (section 5.4).
        norm_first: normalise what goes into a sub-layer, x + f(norm(x)), and once at the end of each stack
            (arXiv:2002.04745); else norm(x + f(x)), as published.
        positions: "sinusoidal" or "learned" (section 3.5).
        max_length: how many learned positions there are.
        tied: one matrix for both embeddings and the output (section 3.4); else three.
        use_bias: biases in the attention.
        name: name of the model.

    Returns:
        An uncompiled model: {"source": (B, S) int32, "target": (B, T) int32} -> "logits" (B, T, V) float32.
        models.decoder_of writes with it, models.with_attention shows its weights.

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
    return keras.Model({"source": source, "target": target}, logits, name=name)


def transformer_space(hp):
    """What to search: depth, width, dropout; untouched, it gives build_transformer's defaults."""
    width = hp.Choice("hidden_dim", [128, 256, 512], default=512)
    return {
        "num_layers": hp.Choice("num_layers", [2, 4, 6], default=6),
        "hidden_dim": width,
        "intermediate_dim": 4 * width,
        "dropout": hp.Choice("dropout", [0.1, 0.2, 0.3], default=0.1),
    }


class _Decoder:
    """models.decoder_of for a Transformer: keys and values of what was read and written are kept, not made anew.

    The memory holds each layer's keys and values of the source, head by head (B, h, S, d_k), and what hides its
    padding. The state holds, shared by the K rows of a sentence, each layer's keys and values of what all of them have
    written (B, h, L, K' d_k), with room for L steps of K' rows, the most that there have been; and of each row in which
    row its t steps were written (N, t). So nothing large changes places when a beam goes on with others of its
    hypotheses: a row asks all that was written for its sentence, and what is not its own is hidden.
    """

    def __init__(self, model):
        self.model = model
        names = {layer.name for layer in model.layers}
        self.num_layers = sum(name.startswith("decoder") and name.endswith("_up") for name in names)
        self.norm_first = "decoder_norm" in names
        self.parts = Parts(norm_first=self.norm_first, model=model)
        self.embedding = model.get_layer("target_embedding" if "target_embedding" in names else "embedding")
        self.output = (
            model.get_layer("output") if "output" in names else functools.partial(self.embedding, reverse=True)
        )
        last = "encoder_norm" if self.norm_first else f"encoder{self.num_layers}_feed_forward_norm"
        self.encoder = keras.Model(model.input["source"], model.get_layer(last).output)

    def begin(self, source):
        read, sentences = self.encoder(source, training=False), tf.shape(source)[0]
        cross = [self.parts.attention(f"decoder{n}_cross_attention") for n in range(1, self.num_layers + 1)]
        memory = {
            "hidden": tf.where(source == 0, -MASKED, 0.0)[:, None, None],
            "read": [tuple(_heads(layer, x, sentences) for x in layer.remember(read)) for layer in cross],
        }
        nothing = tf.zeros([sentences, cross[0].num_heads, 0, 0], read.dtype)
        if not tf.executing_eagerly():  # of no length that the graph knows: it grows
            nothing = tf.compat.v1.placeholder_with_default(nothing, [None, cross[0].num_heads, None, None])
        return memory, {"written": Shared([(nothing, nothing) for _ in cross]), "rows": tf.zeros_like(source[:, :0])}

    def step(self, tokens, state, memory):
        sentences, t = tf.shape(memory["hidden"])[0], tf.shape(state["rows"])[1]
        width, written = tf.shape(tokens)[0] // tf.maximum(sentences, 1), []
        rows = tf.concat([state["rows"], (tf.range(tf.shape(tokens)[0]) % tf.maximum(width, 1))[:, None]], 1)
        kept, most = self._grown(state["written"].tensors, t, width)
        hidden = _others(tf.reshape(rows, [sentences, width, t + 1]), most, tf.shape(kept[0][0])[2])
        places = _places(kept[0][0], t, most, width)

        def own(n, layer, x):
            queries, *new = (_heads(layer, made, sentences) for made in layer.project(x))
            written.append(tuple(_with(old, x, places) for old, x in zip(kept[n - 1], new, strict=True)))
            keys, values = (tf.reshape(x, [sentences, layer.num_heads, -1, layer.key_dim]) for x in written[-1])
            return _attended(layer, queries, keys, values, hidden)

        def cross(n, layer, x):  # all rows of a sentence ask its one memory
            return _attended(layer, _heads(layer, layer.ask(x), sentences), *memory["read"][n - 1], memory["hidden"])

        x = self.model.get_layer("target_positions")(self.embedding(tokens[:, None]), start=t)
        x = self.parts.decoder(x[:, 0], self.num_layers, own, cross)
        return tf.cast(self.output(x), tf.float32), {"written": Shared(written), "rows": rows}

    def _grown(self, kept, t, width):
        """What is kept, with room for step t of `width` rows; and the most rows that there have been."""
        shape, units = tf.shape(kept[0][0]), self.parts.attention("decoder1_attention").key_dim
        most = tf.maximum(width, shape[3] // units)
        more = [(t // ROOM + 1) * ROOM, most * units] - shape[2:]
        pad = lambda x: tf.pad(x, [[0, 0], [0, 0], [0, more[0]], [0, more[1]]])  # noqa: E731
        grow = lambda: tf.nest.map_structure(pad, kept)  # noqa: E731
        return tf.cond(tf.reduce_any(more > 0), grow, lambda: kept), most


def _others(rows, most, room):
    """What hides from a row what others have written, and room where nothing is.

    Args:
        rows: (B, K, T), in which row each step was written.
        most, room: K' and L.

    Returns:
        (B, 1, K, L K'), what is taken from the scores.
    """
    sentences, width, steps = tf.unstack(tf.shape(rows))
    hidden = tf.one_hot(rows, most, 0.0, -MASKED)
    hidden = tf.pad(hidden, [[0, 0], [0, 0], [0, room - steps], [0, 0]], constant_values=-MASKED)
    return tf.reshape(hidden, [sentences, 1, width, room * most])


def _places(kept, t, most, width):
    """Where step t of `width` rows stands in a tensor that is kept, (B h L K', d_k): (B h K, 1)."""
    sentences, heads, room, _ = tf.unstack(tf.shape(kept))
    first = (tf.range(sentences * heads) * room + t) * most
    return tf.reshape(first[:, None] + tf.range(width), [-1, 1])


def _with(kept, new, places):
    """Keys or values (B, h, L, K' d_k), zeros from this step on, with those of this step (B, h, K, d_k)."""
    # Of the scatters the one that writes in place where nobody else holds the tensor (TensorFlow 2.21).
    rows = [tf.reshape(x, [-1, new.shape[3]]) for x in (kept, new)]
    written = tf.raw_ops.ScatterNdNonAliasingAdd(input=rows[0], indices=places, updates=rows[1])
    return tf.ensure_shape(tf.reshape(written, tf.shape(kept)), [None, kept.shape[1], None, None])


def _heads(layer, x, sentences):
    """(B * T, h d_k) or (B, T, h d_k) -> (B, h, T, d_k)."""
    return _swapped(tf.reshape(x, [sentences, -1, layer.num_heads, layer.key_dim]))


def _swapped(x):
    """The two axes in the middle swapped: as whole numbers, of which TensorFlow 2.21 does so four times as quickly."""
    numbers = {2: tf.int16, 4: tf.int32, 8: tf.int64}[x.dtype.size]
    return tf.bitcast(tf.transpose(tf.bitcast(x, numbers), [0, 2, 1, 3]), x.dtype)


def _attended(layer, queries, keys, values, hidden):
    """MultiHeadAttention.attend, of what lies head by head already: nothing kept is turned anew at each step.

    Args:
        queries: (B, h, Q, d_k).
        keys, values: (B, h, M, d_k).
        hidden: what is taken from the scores of places that are hidden, (B, 1, 1 or Q, M).

    Returns:
        (B * Q, d)
    """
    scores = tf.cast(tf.matmul(queries * layer.key_dim**-0.5, keys, transpose_b=True), tf.float32)
    scores -= hidden  # a sum would be made one with the product, which takes a slow route (TensorFlow 2.21)
    made = tf.matmul(tf.cast(tf.nn.softmax(scores), values.dtype), values)
    joined = tf.reshape(_swapped(made), [-1, layer.num_heads * layer.key_dim])
    outputs = tf.matmul(joined, tf.cast(layer.output_kernel, joined.dtype))
    return outputs + tf.cast(layer.output_bias, outputs.dtype) if layer.use_bias else outputs


def _with_attention(model):
    """The same network, its weights shared, that shows where it looks.

    Returns:
        A model of the same inputs -> {"logits", "attention": (B, N, h, T, S) float32, of the decoder's N layers and
        h heads on the source, "source_attention": (B, N, h, S, S), "target_attention": (B, N, h, T, T)}.
    """

    def of(kind, side):
        found = [layer for layer in model.layers if layer.name.startswith(side) and layer.name.endswith(kind)]
        found = [layer for layer in found if isinstance(layer, MultiHeadAttention)]
        found = [layer for layer in found if kind == "_cross_attention" or "cross" not in layer.name]
        return ops.cast(ops.stack([layer.output[1] for layer in found], 1), "float32")

    outputs = {"logits": model.output, "attention": of("_cross_attention", "decoder")}
    outputs |= {"source_attention": of("_attention", "encoder"), "target_attention": of("_attention", "decoder")}
    return keras.Model(model.input, outputs, name=model.name)
