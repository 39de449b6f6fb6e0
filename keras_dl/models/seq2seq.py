"""Sequence to sequence: a deep LSTM encodes the source into its states; another starts from them and writes the target.

Source: Sutskever et al., "Sequence to Sequence Learning with Neural Networks" (arXiv:1409.3215), sections 2 and 3.4.
The paper counts 384 million parameters: 160 and 80 million in the two embeddings, 80 in the softmax, 64 in the eight
LSTM layers. PARAMETERS is their sum and the biases, 4,000 of each LSTM layer and 80,000 of the softmax.
As in the paper the source's words are read from the last to the first, and then the end-of-sentence token.
Deviations: the paper's LSTM is that of "Graves (2013)", which has peepholes; with them the parameter count would not be
the paper's, so this one has none. The target begins with a separate token, BOS; in the paper the decoder reads the
source's end-of-sentence token first. Dropout (Zaremba et al., arXiv:1409.2329), residual connections (Wu et al.,
arXiv:1609.08144, section 3.1) and tied weights (arXiv:1608.05859) are not in the paper and off by default.
Shapes: B sentences, S tokens of a source, T of a target, V target tokens; H units of a layer.
Laws and figures: python -m keras_dl list seq2seq
"""

import functools
import itertools

import keras
from keras import layers, ops

from keras_dl.arguments import ArgumentError, ModelName, OneOf, Share, YesOrNo, checked
from keras_dl.decoding.requirements import rows_of
from keras_dl.layers.outputs import OutputBias
from keras_dl.layers.recurrent import IMPLEMENTATIONS, LSTM
from keras_dl.models._sizes import Bias, InitScale, Vocabulary, Width, Widths, check_weights
from keras_dl.wording import counted

PARAMETERS = 384_112_000  # trainable, at the defaults; the paper's 384M and the biases
PAD, EOS = 0, 2


@checked
def build_seq2seq(
    source_vocabulary_size: Vocabulary = 160_000,
    target_vocabulary_size: Vocabulary = 80_000,
    *,
    units: Widths = (1000, 1000, 1000, 1000),
    embedding_dim: Width = 1000,
    reverse_source: YesOrNo = True,
    residual: YesOrNo = False,
    dropout: Share = 0.0,
    tied: YesOrNo = False,
    forget_bias: Bias = 0.0,
    init_scale: InitScale | None = 0.08,
    implementation: OneOf(*IMPLEMENTATIONS) = "auto",
    name: ModelName = "seq2seq",
):
    """Build a translation model of two stacks of LSTM layers.

    Args:
        source_vocabulary_size: tokens of the source, PAD = 0 and EOS = 2 among them.
        target_vocabulary_size: V, tokens of the target.
        units: H of each layer, the lowest first, of the encoder and of the decoder.
        embedding_dim: of both languages.
        reverse_source: read the source's words from the last to the first.
        residual: from the second layer on, add a layer's input to its output; needs layers of equal units.
        dropout: share of the values that training sets to zero, of the input of every layer and of the logits.
        tied: the target embedding's matrix is also the logits' kernel; needs an embedding as wide as the last layer.
        forget_bias: initial value of the forget gates' biases; 0: initialised like the other biases; 1 makes short
            training easier.
        init_scale: draw every weight uniformly from [-init_scale, init_scale]; None: Keras' initializers.
        implementation: of the LSTM layers, one of layers.recurrent.IMPLEMENTATIONS, with equal results.
        name: name of the model.

    Returns:
        An uncompiled Seq2Seq: {"source" (B, S), "target" (B, T)} int32 -> "logits" (B, T, V) float32; those of step t
        are for the token after target token t.

    Raises:
        ArgumentError: an argument does not fit its annotation or another argument, or the weights are too many.

    >>> build_seq2seq(9, 7, units=(4, 4), embedding_dim=3).output_shape
    (None, None, 7)
    """
    _check(source_vocabulary_size, target_vocabulary_size, units, embedding_dim, residual, tied)
    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")
    mask = ops.not_equal(source, PAD)
    read = _reversed(source) if reverse_source else source

    def uniform(otherwise):  # a new one for each weight: an initializer draws the same values at every call
        return keras.initializers.RandomUniform(-init_scale, init_scale) if init_scale else otherwise

    def stack(x, kind, states, mask=None):
        """Stacked layers: (outputs of the highest, final states of each)."""
        final = []
        for number, width in enumerate(units, 1):
            layer = LSTM(
                width, forget_bias=forget_bias, unit_forget_bias=bool(forget_bias),
                kernel_initializer=uniform("glorot_uniform"), recurrent_initializer=uniform("orthogonal"),
                bias_initializer=uniform("zeros"), return_sequences=True, return_state=True,
                implementation=implementation, name=f"{kind}{number}",
            )  # fmt: skip
            inputs = _dropped(x, dropout, f"{kind}{number}_dropout")
            initial = states and states[number - 1]
            outputs, *state = layer(inputs, initial_state=initial, mask=mask)  # (B, S or T, H)
            x = layers.Add(name=f"{kind}{number}_add")([x, outputs]) if residual and number > 1 else outputs
            final.append(state)
        return x, final

    x = layers.Embedding(source_vocabulary_size, embedding_dim, uniform("uniform"), name="source_embedding")(read)
    _, states = stack(x, "encoder", None, mask)
    kind_of_embedding = layers.ReversibleEmbedding if tied else layers.Embedding
    embedding = kind_of_embedding(
        target_vocabulary_size, embedding_dim, embeddings_initializer=uniform("uniform"), name="target_embedding"
    )
    y, _ = stack(embedding(target), "decoder", states)
    y = _dropped(y, dropout, "output_dropout")
    if tied:
        logits = OutputBias(dtype="float32", name="logits")(embedding(y, reverse=True))
    else:
        logits = layers.Dense(
            target_vocabulary_size, kernel_initializer=uniform("glorot_uniform"), bias_initializer=uniform("zeros"),
            dtype="float32", name="logits",
        )(y)  # fmt: skip
    return Seq2Seq(
        {"source": source, "target": target}, logits, name=name, num_layers=len(units), residual=residual, tied=tied
    )


def seq2seq_space(hp):
    """What to search: width, depth, dropout; untouched, it gives build_seq2seq's defaults."""
    width = hp.Choice("width", [250, 500, 1000], default=1000)
    return {
        "units": (width,) * hp.Choice("layers", [1, 2, 4], default=4),
        "dropout": hp.Choice("dropout", [0.0, 0.2, 0.5], default=0.0),
    }


@keras.saving.register_keras_serializable("keras_dl")
class Seq2Seq(keras.Model):
    """The model of build_seq2seq: a functional model that also generates step by step (decoding.Stepwise).

    The state is a list of [h, c], one per decoder layer; there is no memory.

    Args:
        inputs, outputs, name: of keras.Model.
        num_layers: of the encoder and of the decoder, each.
        residual, tied: as in build_seq2seq.
    """

    def __init__(self, *args, num_layers=None, residual=False, tied=False, **kwargs):
        super().__init__(*args, **kwargs)
        self.num_layers, self.residual, self.tied = num_layers, residual, tied
        self._encoder = None

    def begin(self, context, *, rows=None):
        """Sources (B, S) int32 -> (memory, state), B rows each."""
        rows_of("Seq2Seq.begin", context, rows, "source")
        states = self.encode(context)
        return (), [states[i : i + 2] for i in range(0, len(states), 2)]

    def step(self, inputs, state, memory):
        """Tokens (N,) int32, state of N rows -> (logits (N, V) float32, state)."""
        new = []
        embedding = self.get_layer("target_embedding")
        x = embedding(inputs[:, None])  # (N, 1, embedding_dim)
        for number, initial in enumerate(state, 1):
            outputs, *final = self.get_layer(f"decoder{number}")(x, initial_state=initial)
            x = x + outputs if self.residual and number > 1 else outputs
            new.append(final)
        x = embedding(x, reverse=True) if self.tied else x
        return self.get_layer("logits")(x)[:, 0], new

    def encode(self, source):
        """Sources (B, S) int32 -> the encoder's final states, a flat list: h, c of layer 1, h, c of layer 2, ..."""
        if self._encoder is None:
            states = [self.get_layer(f"encoder{number}").output[1:] for number in range(1, self.num_layers + 1)]
            encoder = keras.Model(self.input["source"], sum(states, []))
            self._encoder = functools.partial(encoder, training=False)  # in a partial, since Keras would save a model
        return self._encoder(source)

    def get_config(self):
        return super().get_config() | {
            "num_layers": self.num_layers, "residual": self.residual, "tied": self.tied,
        }  # fmt: skip


def _reversed(source):
    """The words in reverse order; EOS and the PAD after it stay where they are: (B, S) -> (B, S)."""
    words = ops.logical_and(ops.not_equal(source, PAD), ops.not_equal(source, EOS))
    count = ops.sum(ops.cast(words, "int32"), 1, keepdims=True)  # (B, 1)
    place = ops.cumsum(ops.ones_like(source), 1) - 1  # 0, 1, 2, ...
    return ops.take_along_axis(source, ops.where(ops.less(place, count), count - 1 - place, place), 1)


def _dropped(x, rate, name):
    return layers.Dropout(rate, name=name)(x) if rate else x


def _check(source_vocabulary_size, target_vocabulary_size, units, embedding_dim, residual, tied):
    who = "build_seq2seq"
    if residual and len(set(units)) > 1:
        raise ArgumentError(
            f"{who}: residual needs layers of the same units; got {units}. Nearest: {(units[0],) * len(units)}."
        )
    if tied and embedding_dim != units[-1]:
        raise ArgumentError(
            f"{who}: tied needs an embedding as wide as the last layer; got embedding_dim={embedding_dim} and "
            f"{counted(units[-1], 'units')}. Nearest: embedding_dim={units[-1]}."
        )
    embeddings = (source_vocabulary_size + target_vocabulary_size) * embedding_dim
    stack = sum(4 * n * (inputs + n) for inputs, n in itertools.pairwise((embedding_dim, *units)))
    check_weights(who, embeddings + 2 * stack + (0 if tied else units[-1] * target_vocabulary_size))
