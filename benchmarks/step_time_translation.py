"""The contenders of step_time.py's translation rows; `step_time.py transformer` runs them.

Both rows train with Adam on sentences of one length (there is no padding, but the masks are computed) whose words are
as frequent as a language's, in batches of 32 in random order. Ours are the builders' models as apps/translate.py trains
them, over its pipeline, without its metrics.

transformer: width 256, 4 + 4 layers, 4 heads, 1024 units within the feed-forward layers, dropout 0.1, label smoothing
0.1; 64 tokens on each side, 8,000 words. One matrix for both embeddings and the output, biases in the attention, no
norm at the end of a stack, so that every contender has the same number of weights.
- torch: nn.Transformer with masks for later tokens and for padding, F.cross_entropy; the time axis before the batch
  axis, its default. torch_batch_first: the batch axis first. nn.Transformer also applies dropout to the attention's
  weights and within the feed-forward layers, which the paper and ours do not; torch_same_dropout and
  torch_same_dropout_batch_first apply dropout where ours does, which lets PyTorch use its fused attention. (Its fused
  Adam is not a further contender: the step takes the same time with it.)
- keras: stock layers (MultiHeadAttention, ReversibleEmbedding), the loss of one-hot targets, which has label smoothing.

attention_gru: Bahdanau et al.'s model, a GRU of 256 units each way, 256 for all other widths, 20 tokens on each side,
8,000 words each, the gradient's norm clipped at 1.
- torch: nn.GRU, a loop over nn.GRUCell and the attention with the source's keys computed once, and the output layers
  after the loop. torch_batch_first: the batch axis first. Keras has no such decoder.
PyTorch's GRUs apply the reset gate after the recurrent matrix and have two biases; ours are the paper's. The second
biases are not compared with our count of weights; the details give their size as torch_redundant_biases.
"""

import dataclasses
import sys

import numpy as np
import operations
from step_time import SEED, Ours, PlainKeras, import_torch, random_batches, serve

from keras_dl import imports, models

WORDS = 8000
RATE = 1e-4
BETA_2, EPSILON = 0.98, 1e-9
SMOOTHING = 0.1
BOS, EOS, FIRST = 1, 2, 4  # FIRST: of the tokens that are words


@dataclasses.dataclass(frozen=True)
class Pairs:
    """What both rows of the table share: the sentences, and how they are trained.

    Attributes:
        tokens: of a source with its end, and of a target with its begin or its end.
    """

    tokens: int
    pairs: int = 4096
    batch_size: int = 32
    clip: float | None = None
    smoothing: float = 0.0
    jit_compile: bool = False

    def data(self):
        """(sources, targets), int32 (N, tokens - 1) each: words as frequent as a language's (Zipf)."""
        frequency = 1 / np.arange(1, WORDS - FIRST + 1)
        rng = np.random.default_rng(SEED)
        words = rng.choice(WORDS - FIRST, (2, self.pairs, self.tokens - 1), p=frequency / frequency.sum())
        return (words + FIRST).astype(np.int32)

    def arrays(self):
        """(source, target, what follows each of the target's tokens), int32 (N, tokens) each, as in the pipeline."""
        source, target = self.data()
        column = np.ones((self.pairs, 1), np.int32)
        return (
            np.concatenate([source, EOS * column], 1), np.concatenate([BOS * column, target], 1),
            np.concatenate([target, EOS * column], 1),
        )  # fmt: skip

    def ours(self):
        from keras_dl import data, objectives, optimizers
        from keras_dl.features import subwords

        model = self.build()
        model.compile(
            optimizer=optimizers.build("adam", RATE, clipnorm=self.clip, beta_2=BETA_2, epsilon=EPSILON),
            loss=objectives.SequenceLoss("categorical", label_smoothing=self.smoothing),
            jit_compile=self.jit_compile,
        )
        pieces = (*subwords.SPECIAL, subwords.WORD, *map(str, range(WORDS - FIRST - 1)))
        ragged = {side: data.Ragged.of(list(a)) for side, a in zip(("source", "target"), self.data(), strict=True)}
        return Ours(model, data.Examples(ragged), self.batch_size, subwords.Subwords(pieces).batch)

    def torch(self, name, who):
        return Torch(self, name, who)


@dataclasses.dataclass(frozen=True)
class Transformer(Pairs):
    tokens: int = 64
    smoothing: float = SMOOTHING
    layers: int = 4

    def operations(self):
        """Of a training step."""
        return operations.transformer(self.batch_size, self.tokens, self.tokens, WORDS, self.layers)

    def build(self):
        return models.build_transformer(
            WORDS,
            num_layers=self.layers,
            hidden_dim=256,
            intermediate_dim=1024,
            num_heads=4,
            dropout=0.1,
            use_bias=True,
        )

    def keras(self):
        import keras

        model, (source, target, after) = stock_transformer(self.tokens, self.layers), self.arrays()

        def loss(words, logits):
            return keras.losses.categorical_crossentropy(
                keras.ops.one_hot(words, WORDS), logits, from_logits=True, label_smoothing=self.smoothing
            )

        model.compile(optimizer=keras.optimizers.Adam(RATE, beta_2=BETA_2, epsilon=EPSILON), loss=loss)
        return PlainKeras(model, {"source": source, "target": target}, after, self.batch_size)


@dataclasses.dataclass(frozen=True)
class AttentionGru(Pairs):
    tokens: int = 20
    clip: float | None = 1.0

    def operations(self):
        """Of a training step."""
        return operations.attention_gru(self.batch_size, self.tokens, self.tokens, WORDS)

    def build(self):
        return models.build_attention_seq2seq(
            WORDS, WORDS, units=256, embedding_dim=256, attention_units=256, output_units=256
        )


ROWS = {"transformer": Transformer(), "attention_gru": AttentionGru()}


class Torch:
    """PyTorch eager, in one of its forms."""

    def __init__(self, row, name, who):
        self.torch, _ = import_torch()
        import peers_torch_translation as peers

        torch = self.torch
        self.batch_first = who.endswith("batch_first")
        own = {"layers": row.layers, "same_dropout": "same_dropout" in who} if name == "transformer" else {}
        self.model = peers.build(name, batch_first=self.batch_first, **own)
        arrays = (torch.from_numpy(a.astype(np.int64)) for a in row.arrays())
        self.source, self.target, self.after = (a if self.batch_first else a.t().contiguous() for a in arrays)
        fused = {"fused": True} if "fused" in who else {}
        self.optimizer = torch.optim.Adam(self.model.parameters(), RATE, betas=(0.9, BETA_2), eps=EPSILON, **fused)
        self.order, self.row = random_batches(row.pairs, row.batch_size), row
        second = peers.redundant(self.model)
        self.about = {
            "parameters": sum(p.numel() for p in self.model.parameters()) - second,
            "torch": torch.__version__,
            "details": {"torch_redundant_biases": second},
        }

    def run(self, steps):
        torch, total = self.torch, 0.0
        self.model.train()
        for _ in range(steps):
            chosen = next(self.order)
            source, target, after = (
                a[chosen] if self.batch_first else a[:, chosen] for a in (self.source, self.target, self.after)
            )
            self.optimizer.zero_grad(set_to_none=True)
            loss = torch.nn.functional.cross_entropy(
                self.model(source, target).flatten(0, 1), after.reshape(-1), ignore_index=0,
                label_smoothing=self.row.smoothing,
            )  # fmt: skip
            loss.backward()
            if self.row.clip:
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.row.clip)
            self.optimizer.step()
            total += loss.item()


def stock_transformer(tokens, stacked=4, words=WORDS, width=256, inner=1024, heads=4, dropout=0.1):
    """The Transformer of Keras' own layers, which have the names of ours."""
    from keras import Input, Model, layers, ops

    from keras_dl.layers.attention import sinusoids

    positions = np.asarray(sinusoids(np.arange(tokens), width))

    def added(x, y, name):
        return layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm")(x + layers.Dropout(dropout)(y))

    def attention(x, memory, name, **masks):
        return added(x, layers.MultiHeadAttention(heads, width // heads, name=name)(x, memory, **masks), name)

    def feed_forward(x, name):
        up, down = layers.Dense(inner, "relu", name=f"{name}_up"), layers.Dense(width, name=f"{name}_down")
        return added(x, down(up(x)), f"{name}_feed_forward")

    source, target = (Input((tokens,), dtype="int32", name=name) for name in ("source", "target"))
    embedding = layers.ReversibleEmbedding(words, width, name="embedding")
    seen = ops.expand_dims(ops.not_equal(source, 0), 1)
    read, x = (layers.Dropout(dropout)(embedding(t) * width**0.5 + positions) for t in (source, target))
    for n in range(1, stacked + 1):
        read = feed_forward(attention(read, read, f"encoder{n}_attention", attention_mask=seen), f"encoder{n}")
    for n in range(1, stacked + 1):
        x = attention(x, x, f"decoder{n}_attention", use_causal_mask=True)
        x = feed_forward(attention(x, read, f"decoder{n}_cross_attention", attention_mask=seen), f"decoder{n}")
    return Model({"source": source, "target": target}, embedding(x, reverse=True))


def contender(who, name):
    """One of step_time.TRANSLATION[name]."""
    row = ROWS[name]
    if who.startswith("torch"):
        return row.torch(name, who)
    with imports.quiet_tensorflow():
        import keras
    keras.utils.set_random_seed(SEED)
    one = getattr(row, who)()
    if who == "ours":
        one.about |= {"operations": row.operations(), "details": {"jit_compile": row.jit_compile}}
    return one


if __name__ == "__main__":
    assert sys.argv[1:2] == ["--worker"], "step_time.py runs this"
    serve(lambda: contender(*sys.argv[2:]))
