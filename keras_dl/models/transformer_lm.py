"""A language model with attention and without recurrence: the Transformer's decoder without a source.

Source: Vaswani et al., "Attention Is All You Need" (arXiv:1706.03762), section 3: the decoder's stack, without the
attention to a source, as in Liu et al. (arXiv:1801.10198, section 4.2.3).
The defaults are the base model's sizes.
Deviations: none by default. norm_first, learned positions and biases in the attention are options.
Laws and figures: python -m keras_dl list transformer_lm
Shapes: B or N sequences, T steps, K tokens; N layers where the paper says so; h heads of d_k units.
"""

import keras
import tensorflow as tf
from keras import layers

from keras_dl.arguments import ModelName, OneOf, Share, YesOrNo, checked
from keras_dl.decoding import Cost
from keras_dl.decoding.requirements import rows_of
from keras_dl.layers import attention_cache as cache
from keras_dl.layers.attention import MASKED, Mask, ScaledEmbedding
from keras_dl.models._sizes import LayersOfOne, Tokens, TokensShape, Width, check_weights
from keras_dl.models._transformer import POSITIONS, Parts, check_heads

PARAMETERS = 24_022_016  # trainable, at the defaults


@checked
def build_transformer_lm(
    input_shape: TokensShape = (None,),
    num_classes: Tokens = 10_000,
    *,
    num_layers: LayersOfOne = 6,
    hidden_dim: Width = 512,
    intermediate_dim: Width = 2048,
    num_heads: Width = 8,
    dropout: Share = 0.1,
    norm_first: YesOrNo = False,
    positions: OneOf(*POSITIONS) = "sinusoidal",
    max_length: Width = 512,
    tied: YesOrNo = True,
    use_bias: YesOrNo = False,
    name: ModelName = "transformer_lm",
):
    """Build a Transformer that predicts the next token.

    Args:
        input_shape: (T,) of the tokens, without the batch axis; T None for any length.
        num_classes: K, size of the vocabulary.
        num_layers: N.
        hidden_dim: d_model.
        intermediate_dim: d_ff.
        num_heads: h; d_k = d_model / h.
        dropout: share of the values that training sets to zero, as in build_transformer.
        norm_first: True: x + f(norm(x)) for each sub-layer f, and one more normalisation at the end; False:
            norm(x + f(x)), as published.
        positions: "sinusoidal" or "learned" (section 3.5).
        tied: True: one matrix for the embedding and the output (section 3.4); False: two.
        use_bias: whether the attention's projections have biases.
        max_length: size in tokens of the window that generation sees (see TransformerLM); also the number of learned
            positions.
        name: name of the model.

    Returns:
        An uncompiled TransformerLM: "tokens" (B, T) int32 -> "logits" (B, T, K) float32: unnormalised log-probabilities
        of the token after each input token.

    Raises:
        ArgumentError: an argument does not fit its annotation or another argument, or the weights are too many.

    >>> build_transformer_lm(num_classes=7, num_layers=1, hidden_dim=8, num_heads=2).output_shape
    (None, None, 7)
    """
    check_heads("build_transformer_lm", num_heads, hidden_dim)
    layer = 4 * hidden_dim**2 + 2 * hidden_dim * intermediate_dim
    check_weights("build_transformer_lm", num_classes * hidden_dim * (1 if tied else 2) + num_layers * layer)
    part = Parts(hidden_dim, intermediate_dim, num_heads, dropout, norm_first, use_bias)

    tokens = keras.Input(input_shape, dtype="int32", name="tokens")
    embedding = ScaledEmbedding(num_classes, hidden_dim, name="embedding")
    before = Mask(causal=True, name="target_mask")(tokens)
    x = part.begin(embedding(tokens), positions, max_length, "target")
    x = part.decoder(x, num_layers, lambda n, layer, x: layer(x, attention_mask=before)[0])
    output = layers.Dense(num_classes, use_bias=False, name="output")
    x = embedding(x, reverse=True) if tied else output(x)
    logits = layers.Activation("linear", dtype="float32", name="logits")(x)
    return TransformerLM(
        tokens, logits, name=name, num_layers=num_layers, norm_first=norm_first, tied=tied, max_length=max_length
    )


def transformer_lm_space(hp):
    """What to search: depth, width, dropout; untouched, it gives build_transformer_lm's defaults."""
    width = hp.Choice("hidden_dim", [128, 256, 512], default=512)
    return {
        "num_layers": hp.Choice("num_layers", [2, 4, 6], default=6),
        "hidden_dim": width,
        "intermediate_dim": 4 * width,
        "dropout": hp.Choice("dropout", [0.0, 0.1, 0.2], default=0.1),
    }


@keras.saving.register_keras_serializable("keras_dl")
class TransformerLM(keras.Model):
    """The model of build_transformer_lm: a functional model that also generates step by step (decoding.Stepwise).

    Step by step, it sees a text through a window, which fills up to max_length tokens; then the oldest half of them is
    dropped, and it fills up again. So every token after the first max_length is predicted from at least max_length / 2
    others, and no position is beyond those in training.
    While the window fills, the keys and values of its tokens are cached, so that a token costs one step. When the
    oldest tokens are dropped, the positions of the others change: the network computes their keys and values once more,
    and continues from there. So all logits equal those of the whole network on the window's tokens.

    The state is {"count" (N,): number of tokens in the window, the same in all rows; "tokens" (N, L): the tokens;
    "kept": each layer's keys and values (N, h, L, d_k)}, with zeros after the first `count`; L is the allocated room.
    There is no memory.

    Args:
        inputs, outputs, name: of keras.Model.
        num_layers, norm_first, tied, max_length: as in build_transformer_lm.
    """

    def __init__(self, *args, num_layers=None, norm_first=False, tied=True, max_length=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.num_layers, self.norm_first, self.tied, self.max_length = num_layers, norm_first, tied, max_length
        self.parts = Parts(norm_first=norm_first, model=self)

    def begin(self, context=None, *, rows=None, grows=True):
        """((), state) with an empty window for each of `rows` rows.

        Args:
            grows: True: the state grows with its tokens; False: it has room for max_length tokens from the start, so
                that its shapes never change.
        """
        rows = rows_of("TransformerLM.begin", context, rows)
        attention = self.parts.attention("decoder1_attention")
        room = 0 if grows else self.max_length
        nothing = tf.zeros([rows, attention.num_heads, room, attention.key_dim], attention.compute_dtype)
        tokens = tf.zeros([rows, room], tf.int32)
        if grows and not tf.executing_eagerly():  # its length is unknown to the graph
            fixed = [*nothing.shape[:2], None, attention.key_dim]
            nothing = tf.compat.v1.placeholder_with_default(nothing, fixed)
            tokens = tf.compat.v1.placeholder_with_default(tokens, fixed[:1] + [None])
        kept = [(nothing, nothing) for _ in range(self.num_layers)]
        return (), {"count": tf.zeros([rows], tf.int32), "tokens": tokens, "kept": kept}

    def step(self, inputs, state, memory=()):
        """Tokens (N,) int32 and a state of N rows -> (logits (N, K) float32, state)."""
        state, t = self._with_room(state)
        rows = tf.shape(inputs)[0]
        room = tf.shape(state["tokens"])[1]
        at = cache.places(state["kept"][0][0], t, 1, 1)
        hidden = tf.where(tf.range(room) <= t, 0.0, -MASKED)[None, None, None]  # (1, 1, 1, L)
        kept = []

        def own(n, layer, x):
            queries, *new = (cache.heads(layer, part, rows) for part in layer.project(x))
            kept.append(tuple(cache.written(old, x, at) for old, x in zip(state["kept"][n - 1], new, strict=True)))
            return cache.attended(layer, queries, *kept[-1], hidden)

        x = self._embedded(inputs[:, None], start=t)
        logits = self._output(self.parts.decoder(x[:, 0], self.num_layers, own))
        tokens = tf.where(tf.range(room) == t, inputs[:, None], state["tokens"])
        return logits, {"count": state["count"] + 1, "tokens": tokens, "kept": kept}

    def read(self, inputs, state, memory=(), training=False):
        """Several steps at once, window by window.

        Args:
            inputs: tokens (N, T).
            state: of N rows.
            training: ignored: there is no dropout here, not even in training.

        Returns:
            (logits (N, T, K) float32, state)
        """
        rows, steps = tf.unstack(tf.shape(inputs))
        held = _count(state)
        text = tf.concat([state["tokens"][:, :held], inputs], 1)  # from the window's first token on
        parts = tf.TensorArray(tf.float32, 1, dynamic_size=True, infer_shape=False)
        parts = parts.write(0, tf.zeros([0, rows, self.output.shape[-1]]))  # so that T = 0 has something to concatenate
        end = held + steps

        def body(i, begin, done, parts, kept):
            full = done - begin == self.max_length
            begin = tf.where(full, done - self._keeps(), begin)
            until = tf.minimum(end, begin + self.max_length)
            logits, kept = self._run(text[:, begin:until])
            parts = parts.write(i, tf.transpose(logits[:, done - begin :], [1, 0, 2]))
            return i + 1, begin, until, parts, kept

        kept = tf.nest.map_structure(lambda x: x[:, :, :held], state["kept"])
        start = (tf.constant(1), tf.constant(0), held, parts, kept)
        lengths = tf.nest.map_structure(lambda x: tf.TensorShape([None, x.shape[1], None, x.shape[3]]), kept)
        _, begin, _, parts, kept = tf.while_loop(
            lambda i, begin, done, *_: done < end, body, start, (None, None, None, None, lengths), parallel_iterations=1
        )
        logits = tf.transpose(parts.concat(), [1, 0, 2])
        logits = tf.ensure_shape(logits, [inputs.shape[0], inputs.shape[1], self.output.shape[-1]])
        count = end - begin
        return logits, self._filled(text[:, begin:], kept, count, state)

    def cost(self):
        """The cost of a generated token, a decoding.Cost.

        A token passes through the weights once, and once more when the oldest half of a full window has been dropped.
        """
        return Cost(passes=2, floats=self.max_length + 1, chain=self.num_layers)

    def _keeps(self):
        """Number of tokens that stay in a full window when the oldest are dropped."""
        return self.max_length - max(1, self.max_length // 2)

    def _with_room(self, state):
        """(the state with room for one more token, how many tokens it holds)"""
        count, room = _count(state), tf.shape(state["tokens"])[1]

        def let_go():
            keeps = self._keeps()
            tokens = state["tokens"][:, count - keeps :]
            if keeps:
                _, kept = self._run(tokens)
            else:  # a window of one token
                kept = tf.nest.map_structure(lambda x: x[:, :, :0], state["kept"])
            return self._filled(tokens, kept, tf.constant(keeps), state)

        def grown():
            kept = cache.grown(state["kept"], count + 1, most=self.max_length)
            more = tf.shape(kept[0][0])[2] - room
            return state | {"tokens": tf.pad(state["tokens"], [[0, 0], [0, more]]), "kept": kept}

        def fits():
            if state["tokens"].shape[1] == self.max_length:  # room for max_length tokens, known statically
                return state
            return tf.cond(count < room, lambda: state, grown)

        new = tf.cond(count < self.max_length, fits, let_go)
        return new, _count(new)

    def _filled(self, tokens, kept, count, like):
        """A state of `count` tokens (N, count), with the room of the state `like`, or with more if they do not fit."""
        more = tf.maximum(tf.shape(like["tokens"])[1] - count, 0)
        kept = tf.nest.map_structure(lambda x: tf.pad(x, [[0, 0], [0, 0], [0, more], [0, 0]]), kept)
        tokens = tf.pad(tokens, [[0, 0], [0, more]])
        new = {"count": tf.zeros_like(like["count"]) + count, "tokens": tokens, "kept": kept}
        if like["tokens"].shape[1] == self.max_length:  # static shapes
            new = tf.nest.map_structure(lambda x, old: tf.ensure_shape(x, old.shape), new, like)
        return new

    def _run(self, tokens):
        """The whole network, without dropout: tokens (N, T) -> (logits (N, T, K), [(keys, values) (N, h, T, d_k)])."""
        kept, rows = [], tf.shape(tokens)[0]
        past = self.get_layer("target_mask")(tokens)

        def own(n, layer, x):
            keys, values = layer.remember(x)
            kept.append((cache.heads(layer, keys, rows), cache.heads(layer, values, rows)))
            return layer.attend(layer.ask(x), keys, values, past)[0]

        return self._output(self.parts.decoder(self._embedded(tokens), self.num_layers, own)), kept

    def _embedded(self, tokens, start=0):
        return self.get_layer("target_positions")(self.get_layer("embedding")(tokens), start=start)

    def _output(self, x):
        x = self.get_layer("embedding")(x, reverse=True) if self.tied else self.get_layer("output")(x)
        return tf.cast(x, tf.float32)

    def with_attention(self):
        """A model with the same layers and weights that also returns the attention weights.

        Returns:
            A model "tokens" (B, T) -> {"logits", "attention": (B, N, h, T, T) float32, from each token to itself and
            those before it, in the N layers and h heads}.
        """
        attending = [self.get_layer(f"decoder{n}_attention") for n in range(1, self.num_layers + 1)]
        weights = keras.ops.stack([layer.output[1] for layer in attending], 1)
        outputs = {"logits": self.output, "attention": keras.ops.cast(weights, "float32")}
        return keras.Model(self.input, outputs, name=self.name)

    def get_config(self):
        return super().get_config() | {
            "num_layers": self.num_layers, "norm_first": self.norm_first, "tied": self.tied,
            "max_length": self.max_length,
        }  # fmt: skip


def _count(state):
    """Number of tokens in the window of a state, a scalar; 0 if it has no rows."""
    return tf.reduce_max(tf.concat([[0], state["count"]], 0))
