"""The Transformer: encoder and decoder of attention alone.

Source: Vaswani et al., "Attention Is All You Need" (arXiv:1706.03762), sections 3 and 5.
The defaults are its base model; big is num_layers=6, hidden_dim=1024, intermediate_dim=4096, num_heads=16, dropout=0.3.
The paper's 65 and 213 million parameters are rounded and of its 37,000 sub-words "about": counted by hand with 37,000,
one matrix for both embeddings and the output, and no biases in the attention, they are 63.0 and 214.2 million.
Options beyond it: norm_first, learned positions, biases in the attention, an output of its own.
Shapes: B sentences, S and T steps of source and target, d hidden_dim, V sub-words.
"""

import functools

import keras
import tensorflow as tf
from keras import layers, ops

from keras_dl.layers.attention import MASKED, Mask, MultiHeadAttention, ScaledEmbedding
from keras_dl.models._transformer import Parts, check

PARAMETERS = 63_045_632  # trainable, at the defaults


def build_transformer(
    vocabulary_size=37_000,
    *,
    num_layers=6,
    hidden_dim=512,
    intermediate_dim=2048,
    num_heads=8,
    dropout=0.1,
    norm_first=False,
    positions="sinusoidal",
    max_length=512,
    tied=True,
    use_bias=False,
    name="transformer",
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
        ValueError: an argument is outside what is said above.

    >>> build_transformer(11, num_layers=1, hidden_dim=8, intermediate_dim=16, num_heads=2).output_shape
    (None, None, 11)
    """
    sizes = {
        "vocabulary_size": vocabulary_size, "num_layers": num_layers, "hidden_dim": hidden_dim,
        "intermediate_dim": intermediate_dim, "num_heads": num_heads, "max_length": max_length,
    }  # fmt: skip
    check("build_transformer", sizes, dropout, positions, norm_first=norm_first, tied=tied, use_bias=use_bias)
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
    padding; the state the keys and values of the target so far (N, h, t, d_k), one step longer each time.
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
        read = self.encoder(source, training=False)
        cross = [self.parts.attention(f"decoder{n}_cross_attention") for n in range(1, self.num_layers + 1)]
        memory = {
            "hidden": tf.where(source == 0, -MASKED, 0.0)[:, None, None],
            "read": [tuple(_heads(layer, x) for x in layer.remember(read)) for layer in cross],
        }
        empty = memory["read"][0][0][:, :, :0]
        if not tf.executing_eagerly():  # of no length that the graph knows: it grows
            empty = tf.compat.v1.placeholder_with_default(empty, [None, *empty.shape[1:2], None, *empty.shape[3:]])
        return memory, [(empty, empty) for _ in cross]

    def step(self, tokens, state, memory):
        rows, sentences, written = tf.shape(tokens)[0], tf.shape(memory["hidden"])[0], []

        def own(n, layer, x):
            queries, *new = (_heads(layer, made) for made in layer.project(x))
            keys, values = (tf.concat(pair, 2) for pair in zip(state[n - 1], new, strict=True))
            written.append((keys, values))
            return _attended(layer, queries, keys, values)

        def cross(n, layer, x):  # all rows of a sentence ask its one memory
            queries = _heads(layer, tf.reshape(layer.ask(x), [sentences, -1, x.shape[-1]]))
            made = _attended(layer, queries, *memory["read"][n - 1], memory["hidden"])
            return tf.reshape(made, [rows, 1, x.shape[-1]])

        x = self.model.get_layer("target_positions")(self.embedding(tokens[:, None]), start=tf.shape(state[0][0])[2])
        x = self.parts.decoder(x, self.num_layers, own, cross)
        return tf.cast(self.output(x), tf.float32)[:, 0], written


def _heads(layer, x):
    """(N, T, h d_k) -> (N, h, T, d_k)."""
    rows, steps = tf.unstack(tf.shape(x)[:2])
    if x.shape[1] == 1:  # nothing changes places
        return tf.reshape(x, [rows, layer.num_heads, 1, layer.key_dim])
    return tf.transpose(tf.reshape(x, [rows, steps, layer.num_heads, layer.key_dim]), [0, 2, 1, 3])


def _attended(layer, queries, keys, values, hidden=None):
    """MultiHeadAttention.attend, of what lies head by head already: nothing kept is turned anew at each step.

    Args:
        queries: (N, h, Q, d_k).
        keys, values: (N, h, M, d_k).
        hidden: what is taken from the scores of places that are hidden, (N, 1, 1, M).

    Returns:
        (N, Q, d)
    """
    scores = tf.cast(tf.matmul(queries * layer.key_dim**-0.5, keys, transpose_b=True), tf.float32)
    if hidden is not None:
        scores -= hidden  # a sum would be made one with the product, which takes a slow route (TensorFlow 2.21)
    made = tf.matmul(tf.cast(tf.nn.softmax(scores), values.dtype), values)
    steps = tf.shape(made)[2]
    joined = tf.reshape(tf.transpose(made, [0, 2, 1, 3]), [-1, layer.num_heads * layer.key_dim])
    outputs = tf.matmul(joined, tf.cast(layer.output_kernel, joined.dtype))
    if layer.use_bias:
        outputs += tf.cast(layer.output_bias, outputs.dtype)
    return tf.reshape(outputs, [-1, steps, outputs.shape[-1]])


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
