"""Sequence to sequence with attention: a bidirectional GRU encoder, and a GRU decoder that attends to its outputs.

Source: Bahdanau et al., "Neural Machine Translation by Jointly Learning to Align and Translate" (arXiv:1409.0473),
appendix A; the defaults are RNNsearch with its attention and output layer, in the sizes of appendix A.2.3.
The other scores are Luong et al.'s (arXiv:1508.04025), sections 3.1 and 3.3, with input feeding: the equations
of both are in layers/attention_cell.py.
Deviations: the paper leaves biases out of its equations; here each product that feeds a non-linearity has one. With
Luong's scores this model's encoder and first state stay (his are stacked LSTMs that read in one direction); "dot",
which needs annotations as wide as the state, adds the encoder's two directions, where the others concatenate them.
Shapes: B sentences, S tokens of a source, T of a target, V target tokens; n units, m entries of a token's vector,
A entries of an annotation.
Laws and figures: python -m keras_dl list attention_seq2seq
"""

import dataclasses
import functools

import keras
import tensorflow as tf
from keras import layers, ops

from keras_dl.arguments import ModelName, OneOf, Share, YesOrNo, checked
from keras_dl.decoding.requirements import rows_of
from keras_dl.layers.attention_cell import SCORES
from keras_dl.layers.attention_decoder import IMPLEMENTATIONS, AttentionDecoder
from keras_dl.layers.initialization import OrthogonalBlocks
from keras_dl.layers.maxout import Maxout
from keras_dl.layers.recurrent import GRU
from keras_dl.models._sizes import Vocabulary, Width, check_weights

PARAMETERS = 80_443_000  # trainable, at the defaults; the paper gives no count
PAD = 0
INITIALIZERS = ("paper", "glorot_uniform")


@checked
def build_attention_seq2seq(
    source_vocabulary_size: Vocabulary = 30_000,
    target_vocabulary_size: Vocabulary = 30_000,
    *,
    units: Width = 1000,
    embedding_dim: Width = 620,
    attention: OneOf(*SCORES) = "bahdanau",
    attention_units: Width = 1000,
    output_units: Width = 500,
    input_feeding: YesOrNo = True,
    dropout: Share = 0.0,
    initializer: OneOf(*INITIALIZERS) = "paper",
    implementation: OneOf(*IMPLEMENTATIONS) = "auto",
    name: ModelName = "attention_seq2seq",
):
    """Build a translation model with attention.

    Args:
        source_vocabulary_size: tokens of the source, PAD = 0 among them.
        target_vocabulary_size: V, tokens of the target.
        units: n, of the decoder and of each direction of the encoder.
        embedding_dim: m, of both languages.
        attention: the score, one of layers.attention_cell.SCORES.
        attention_units: n', units of the additive scores "bahdanau" and "concat"; unused by the others.
        output_units: width of the layer below the logits: maxout units with "bahdanau", else tanh units (in Luong's
            paper as many as `units`).
        input_feeding: the attentional state of a step is an input of the next (section 3.3 of Luong et al.); unused by
            "bahdanau".
        dropout: share of the values that training sets to zero, of the tokens' vectors and of the logits' input.
        initializer: "paper": recurrent matrices orthogonal, W_a and U_a from N(0, 0.001^2), v_a zero, all others from
            N(0, 0.01^2), made for long training on much data; or "glorot_uniform", Keras' defaults.
        implementation: of the decoder's loop, one of layers.attention_decoder.IMPLEMENTATIONS, with equal results.
        name: name of the model.

    Returns:
        An uncompiled AttentionSeq2Seq: {"source" (B, S), "target" (B, T)} int32 -> "logits" (B, T, V) float32; those of
        step t are for the token after target token t.

    Raises:
        ArgumentError: an argument does not fit its annotation or another argument, or the weights are too many.

    >>> build_attention_seq2seq(9, 7, units=4, embedding_dim=3, attention_units=5, output_units=2).output_shape
    (None, None, 7)
    """
    embeddings = (source_vocabulary_size + target_vocabulary_size) * embedding_dim
    encoder, decoder = 2 * 3 * units * (embedding_dim + units), 3 * units * (embedding_dim + 3 * units)
    scores, maxout = 3 * units * attention_units, 2 * output_units * (3 * units + embedding_dim)
    output = maxout + output_units * target_vocabulary_size
    check_weights("build_attention_seq2seq", embeddings + encoder + decoder + scores + output)
    initial = _Initializers(initializer)
    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")
    mask = ops.not_equal(source, PAD)

    x = layers.Embedding(source_vocabulary_size, embedding_dim, initial.embedding(), name="source_embedding")(source)
    forward, backward = layers.Bidirectional(
        GRU(
            units, reset_after=False, kernel_initializer=initial.kernel(), recurrent_initializer=initial.recurrent(),
            return_sequences=True,
        ),
        merge_mode=None, name="encoder",
    )(_dropped(x, dropout, "source_dropout"), mask=mask)  # (B, S, n) each  # fmt: skip
    together = layers.Add if attention == "dot" else layers.Concatenate
    annotations = together(name="annotations")([forward, backward])
    first = layers.Dense(units, "tanh", kernel_initializer=initial.kernel(), name="first_state")
    state = first(backward[:, 0])  # it has read the whole source, the first word last

    y = layers.Embedding(target_vocabulary_size, embedding_dim, initial.embedding(), name="target_embedding")(target)
    y = _dropped(y, dropout, "target_dropout")
    features, _ = AttentionDecoder(
        units, attention, attention_units=attention_units, output_units=output_units, input_feeding=input_feeding,
        kernel_initializer=initial.kernel(), recurrent_initializer=initial.recurrent(),
        attention_initializer=initial.attention(), score_initializer=initial.score(), implementation=implementation,
        name="decoder",
    )(y, annotations, state, mask)  # fmt: skip
    if attention == "bahdanau":
        features = layers.Concatenate(name="seen")([features, y])  # s_{i-1}, c_i, E y_{i-1}
        features = Maxout(output_units, kernel_initializer=initial.kernel(), name="output")(features)
    features = _dropped(features, dropout, "output_dropout")
    logits = layers.Dense(target_vocabulary_size, kernel_initializer=initial.kernel(), dtype="float32", name="logits")
    return AttentionSeq2Seq({"source": source, "target": target}, logits(features), name=name)


def attention_seq2seq_space(hp):
    """What to search: width, score, dropout; untouched, it gives build_attention_seq2seq's defaults."""
    return {
        "units": hp.Choice("units", [250, 500, 1000], default=1000),
        "attention": hp.Choice("attention", list(SCORES), default="bahdanau"),
        "dropout": hp.Choice("dropout", [0.0, 0.2, 0.5], default=0.0),
    }


@keras.saving.register_keras_serializable("keras_dl")
class AttentionSeq2Seq(keras.Model):
    """The model of build_attention_seq2seq: functional, and it also generates step by step and shows its attention.

    It implements decoding.Stepwise. The state is (s,), with Luong's scores (s, t); the memory is that of
    layers.AttentionDecoder.memory.

    Args:
        inputs, outputs, name: of keras.Model.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._encoder = None

    def begin(self, context, *, rows=None):
        """Sources (B, S) int32 -> (memory, state), B rows each."""
        rows_of("AttentionSeq2Seq.begin", context, rows, "source")
        annotations, state = self.encode(context)
        decoder = self.get_layer("decoder")
        return decoder.memory(annotations, tf.not_equal(context, PAD)), decoder.begin(state)

    def step(self, inputs, state, memory):
        """Tokens (N,) int32, state of N rows, memory of B -> (logits (N, V) float32, state); N is a multiple of B."""
        y = self.get_layer("target_embedding")(inputs)
        features, _, state = self.get_layer("decoder").step(y, state, memory)
        if self.get_layer("decoder").score == "bahdanau":
            features = self.get_layer("output")(tf.concat([features, y], -1))
        return self.get_layer("logits")(features), state

    def encode(self, source):
        """Sources (B, S) int32 -> the annotations (B, S, A) and the decoder's first state (B, n)."""
        if self._encoder is None:
            outputs = [self.get_layer(name).output for name in ("annotations", "first_state")]
            encoder = keras.Model(self.input["source"], outputs)
            self._encoder = functools.partial(encoder, training=False)  # in a partial, since Keras would save a model
        return self._encoder(source)

    def with_attention(self):
        """A model with the same layers and weights that also returns the attention.

        Returns:
            A model of the same inputs -> {"logits" (B, T, V), "attention" (B, T, S)}: at each step the weights of the
            source's tokens, which sum to 1 and are exactly 0 on PAD.
        """
        outputs = {"logits": self.output, "attention": self.get_layer("decoder").output[1]}
        return keras.Model(self.input, outputs, name=f"{self.name}_with_attention")

    def with_alignment(self):
        """As with_attention, with the weights under the name "alignment"."""
        shown = self.with_attention().output
        outputs = {"logits": shown["logits"], "alignment": shown["attention"]}
        return keras.Model(self.input, outputs, name=self.name)


@dataclasses.dataclass(frozen=True)
class _Initializers:
    """A new initializer at each call: one initializer draws the same values every time."""

    kind: str

    def kernel(self, deviation=0.01):
        return keras.initializers.RandomNormal(0.0, deviation) if self.kind == "paper" else "glorot_uniform"

    def embedding(self):
        return self.kernel() if self.kind == "paper" else "uniform"

    def recurrent(self):
        return OrthogonalBlocks() if self.kind == "paper" else "orthogonal"

    def attention(self):
        return self.kernel(0.001)

    def score(self):
        return "zeros" if self.kind == "paper" else None


def _dropped(x, rate, name):
    return layers.Dropout(rate, name=name)(x) if rate else x
