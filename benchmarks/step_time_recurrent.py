"""The contenders of step_time.py's recurrent rows; `step_time.py lstm` runs them.

lstm: the small word model of Zaremba et al. (arXiv:1409.2329): an embedding of 10,000 words, two LSTMs of 200 without
peepholes, batch 20, 20 steps, SGD with rate 1, the gradient's norm clipped at 5, the loss summed over the steps and
averaged over the batch. Our state and PyTorch's are carried from batch to batch, along the same stream of words.
- ours: what apps/model_text.py trains, without its metrics: sequences.SequenceModel over text.windows.
- torch: the loop of PyTorch's example word_language_model, time before batch; torch_batch_first: batch before time. (An
  embedding with sparse gradients is no contender: clip_grad_norm_ refuses them.)
- keras: stock layers, windows in random order, each from a state of zeros: plain compile and fit cannot carry it over.

gru, rnn: two layers of 512 and a linear one over 64 steps of 64 real values, batch 32; mean squared error at every
step, SGD with rate 0.01, whole sequences in random order. The GRU applies its reset gate after the recurrent matrix, as
nn.GRU and keras.layers.GRU do.

nn.LSTM and nn.RNN have two biases where the equations, Keras and we have one. The peer keeps its second one, which is
not compared with our count of weights; the details give its size as torch_redundant_biases.

lstm_generation: the word model generates text at batch 1; the time is that of a token.
- ours: the function behind the export's `generate`, 1,000 tokens a call, in the signature that the export gives it.
- torch: a loop over the network, under inference_mode: softmax, multinomial, state kept.

lm_generation: a Transformer of the same words generates texts of 1,000 tokens at batch 1; the time is that of a token.
Four layers of 256, 4 heads, 1,024 within, one matrix for the embedding and the output; the window holds the whole text.
- ours: as above; each layer's keys and values are kept and written in place.
- torch: a loop as above; of each layer keys and values are kept in one tensor each, to which a step's are joined.
"""

import dataclasses
import sys

import numpy as np
import operations
from step_time import RATE, SEED, Ours, PlainKeras, import_torch, random_batches, serve, trainable

from keras_dl import imports, models
from keras_dl.features.tokens import EOS, UNKNOWN, Tokens

WORDS = 10_000
CLIP = 5.0
CALL = 1000  # tokens that ours generates in a call


@dataclasses.dataclass(frozen=True)
class WordModel:
    """A row of the table: the word model over a stream of words, which are as frequent as a language's (Zipf).

    The stream is about as long as Penn Treebank's.
    """

    batch_size: int = 20
    steps: int = 20
    tokens: int = 930_000
    jit_compile: bool = True
    implementation: str = "xla"

    def build(self):
        return models.build_lstm(
            (None,), WORDS, units=(200, 200), peephole=False, forget_bias=0.0, init_scale=0.1,
            implementation=self.implementation,
        )  # fmt: skip

    def stock(self):
        from keras import Input, Sequential, layers

        lstms = [layers.LSTM(200, return_sequences=True) for _ in range(2)]
        return Sequential([Input((self.steps,)), layers.Embedding(WORDS, 200), *lstms, layers.Dense(WORDS)])

    def operations(self):
        """Of a training step."""
        return operations.word_lstm(self.batch_size, self.steps, WORDS)

    def vocabulary(self):

        return Tokens("word", (UNKNOWN["word"], EOS, *map(str, range(WORDS - 2))))

    def data(self):
        """int32 (N,)"""
        frequency = 1 / np.arange(1, WORDS + 1)
        rng = np.random.default_rng(SEED)
        return rng.choice(WORDS, self.tokens, p=frequency / frequency.sum()).astype(np.int32)

    def windows(self):
        from keras_dl.data import Examples, text

        return text.windows(Examples({"tokens": self.data()}), self.batch_size, self.steps)

    def ours(self):
        from keras_dl import objectives, optimizers, sequences

        model = sequences.SequenceModel(self.build(), batch_size=self.batch_size, seed=SEED)
        model.compile(
            optimizer=optimizers.build("sgd", 1.0, clipnorm=CLIP),
            loss=objectives.SequenceLoss("categorical", over="sequences"),
            jit_compile=self.jit_compile,
        )
        return Ours(model, self.windows(), self.batch_size, self.vocabulary().batch, shuffle=False)

    def keras(self):
        import keras

        model, tokens = self.stock(), self.windows().features["tokens"]
        model.compile(
            optimizer=keras.optimizers.SGD(1.0, global_clipnorm=CLIP),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            loss_weights=[self.steps],
        )
        return PlainKeras(model, tokens[:, :-1], tokens[:, 1:], self.batch_size)

    def torch(self, name, batch_first):
        return TorchWords(self, name, batch_first)


@dataclasses.dataclass(frozen=True)
class Writer(WordModel):
    """A row of the table: the same network generates."""

    def operations(self):
        """Of a generated token: nothing is trained."""
        return operations.word_lstm(1, 1, WORDS, times=operations.FORWARD)

    def ours(self):
        return OurWriter(self)

    def torch(self, name, batch_first):
        return TorchWriter()


@dataclasses.dataclass(frozen=True)
class TransformerWriter(Writer):
    """A row of the table: a Transformer generates."""

    layers: int = 4
    width: int = 256
    inner: int = 1024

    def build(self):
        return models.build_transformer_lm(
            (None,), WORDS, num_layers=self.layers, hidden_dim=self.width, intermediate_dim=self.inner, num_heads=4,
            max_length=1024,
        )  # fmt: skip

    def operations(self):
        """Of a generated token, the mean over a text."""
        return operations.transformer_step(CALL // 2, WORDS, self.layers, self.width, self.inner)

    def torch(self, name, batch_first):
        return TorchTransformerWriter()


@dataclasses.dataclass(frozen=True)
class VectorModel:
    """A row of the table: our builder with its arguments, and Keras' layer."""

    architecture: str
    keras_layer: str
    arguments: dict = dataclasses.field(default_factory=dict)
    batch_size: int = 32
    steps: int = 64
    width: int = 64
    sequences: int = 2048
    jit_compile: bool = True
    implementation: str = "xla"

    def build(self):
        return getattr(models, f"build_{self.architecture}")(
            (None, self.width), self.width, units=(512, 512), implementation=self.implementation, **self.arguments
        )

    def stock(self):
        from keras import Input, Sequential, layers

        recurrent = [getattr(layers, self.keras_layer)(512, return_sequences=True) for _ in range(2)]
        return Sequential([Input((self.steps, self.width)), *recurrent, layers.Dense(self.width)])

    def operations(self):
        """Of a training step."""
        gates = {"gru": 3, "rnn": 1}[self.architecture]
        return operations.recurrent(self.batch_size, self.steps, self.width, gates)

    def data(self):
        """(inputs, targets), each (N, T, D) float32"""
        rng = np.random.default_rng(SEED)
        shape = (2, self.sequences, self.steps, self.width)
        return rng.standard_normal(shape, np.float32)

    def ours(self):
        import keras

        from keras_dl import data, optimizers

        model, (x, y) = self.build(), self.data()
        model.compile(
            optimizer=optimizers.build("sgd", RATE), loss=keras.losses.MeanSquaredError(), jit_compile=self.jit_compile
        )
        return Ours(model, data.Examples({"x": x, "y": y}), self.batch_size, lambda raw: (raw["x"], raw["y"]))

    def keras(self):
        import keras

        model = self.stock()
        model.compile(optimizer=keras.optimizers.SGD(RATE), loss=keras.losses.MeanSquaredError())
        return PlainKeras(model, *self.data(), self.batch_size)

    def torch(self, name, batch_first):
        return TorchVectors(self, name, batch_first)


ROWS = {
    "lstm": WordModel(),
    "gru": VectorModel("gru", "GRU", {"reset_after": True}),
    "rnn": VectorModel("rnn", "SimpleRNN"),
    "lstm_generation": Writer(),
    "lm_generation": TransformerWriter(),
}


class OurWriter:
    """The export's `generate`, asked for CALL tokens at a time."""

    def __init__(self, row):
        import tensorflow as tf

        from keras_dl.endpoints.text import language_model

        network = row.build()
        endpoint = language_model(network, row.vocabulary())["generate"]
        write = tf.function(endpoint.function, input_signature=endpoint.specs(), autograph=False)
        self.write = write.get_concrete_function()
        asked = {"prime": [""], "length": CALL, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": SEED}
        self.asked = {spec.name: tf.constant(asked[spec.name], spec.dtype) for spec in endpoint.specs()}
        self.about = {"unit": CALL, "parameters": trainable(network)}

    def run(self, tokens):
        for _ in range(tokens // CALL):
            self.write(**self.asked)["text"].numpy()


class _Torch:
    """What PyTorch's contenders share."""

    def __init__(self, name, batch_first=False):
        self.torch, peers_torch = import_torch()
        self.model, self.batch_first = peers_torch.build(name, batch_first=batch_first), batch_first
        second = peers_torch.redundant(self.model)
        self.about = {
            "parameters": sum(p.numel() for p in self.model.parameters()) - second,
            "torch": self.torch.__version__,
            "details": {"torch_redundant_biases": second},
        }

    def run(self, steps):
        total = 0.0
        self.model.train()
        for _ in range(steps):
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.loss()
            loss.backward()
            self.update()
            total += loss.item()

    def update(self):
        self.optimizer.step()


class TorchWords(_Torch):
    """The word model along a stream."""

    def __init__(self, row, name, batch_first):
        super().__init__(name, batch_first)
        stream = self.torch.from_numpy(row.data().astype(np.int64))
        length = len(stream) // row.batch_size
        rows = stream[: length * row.batch_size].view(row.batch_size, length)
        self.time = 1 if batch_first else 0
        self.stream = rows if batch_first else rows.t().contiguous()
        self.optimizer = self.torch.optim.SGD(self.model.parameters(), 1.0)
        self.steps, self.at, self.state = row.steps, 0, None

    def loss(self):
        if self.at + self.steps >= self.stream.shape[self.time]:
            self.at, self.state = 0, None
        x, y = (self.stream.narrow(self.time, self.at + k, self.steps) for k in (0, 1))
        self.at += self.steps
        logits, state = self.model(x, self.state)
        self.state = tuple(s.detach() for s in state)
        return self.steps * self.torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.reshape(-1))

    def update(self):
        self.torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimizer.step()


class TorchVectors(_Torch):
    """Whole sequences in random order."""

    def __init__(self, row, name, batch_first):
        super().__init__(name, batch_first)
        self.data = [self.torch.from_numpy(a if batch_first else a.swapaxes(0, 1).copy()) for a in row.data()]
        self.optimizer = self.torch.optim.SGD(self.model.parameters(), RATE)
        self.order = random_batches(row.sequences, row.batch_size)

    def loss(self):
        chosen = next(self.order)
        x, y = (a[chosen] if self.batch_first else a[:, chosen] for a in self.data)
        return self.torch.nn.functional.mse_loss(self.model(x), y)


class TorchWriter(_Torch):
    """The word model generates, one token after the other."""

    def __init__(self):
        super().__init__("lstm")
        self.model.eval()

    def run(self, tokens):
        torch = self.torch
        with torch.inference_mode():
            token, state, written = torch.zeros((1, 1), dtype=torch.int64), None, []
            for _ in range(tokens):
                logits, state = self.model(token, state)
                token = torch.multinomial(torch.softmax(logits[-1], -1), 1)
                written.append(token)
            torch.cat(written).tolist()


class TorchTransformerWriter:
    """The Transformer writes texts of CALL tokens, a token after the other."""

    def __init__(self):
        self.torch, _ = import_torch()
        import peers_torch_translation

        self.model = peers_torch_translation.build("word_transformer").eval()
        parameters = sum(p.numel() for p in self.model.parameters())
        self.about = {"unit": CALL, "parameters": parameters, "torch": self.torch.__version__}

    def run(self, tokens):
        torch = self.torch
        with torch.inference_mode():
            for _ in range(tokens // CALL):
                token, cache, written = torch.zeros(1, dtype=torch.int64), None, []
                for _ in range(CALL):
                    logits, cache = self.model(token, cache)
                    token = torch.multinomial(torch.softmax(logits, -1), 1)[:, 0]
                    written.append(token)
                torch.cat(written).tolist()


def contender(who, name):
    """One of step_time.RECURRENT[name]."""
    row = ROWS[name]
    if who.startswith("torch"):
        return row.torch("lstm" if name == "lstm_generation" else name, batch_first=who == "torch_batch_first")
    with imports.quiet_tensorflow():
        import keras
    keras.utils.set_random_seed(SEED)
    one = getattr(row, who)()
    if who == "ours":
        one.about["operations"] = row.operations()
    if who == "ours" and not isinstance(row, Writer):
        one.about["details"] = {"jit_compile": row.jit_compile, "implementation": row.implementation}
    return one


if __name__ == "__main__":
    assert sys.argv[1:2] == ["--worker"], "step_time.py runs this"
    serve(lambda: contender(*sys.argv[2:]))
