"""The table of models: one row a builder, and a row more where an argument changes the parts.

Each row is the smallest model that still has every part, with its weights counted by hand. The laws run over all rows,
or over those that have a capability.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_dl import models

PAD, BOS, EOS = 0, 1, 2

# What a model may be able to do beyond answering: each has laws of its own, which run over the rows that name it.
CAPABILITIES = {
    "autoregressive": "logits of step t depend on the inputs of steps up to t, on each of them, and on no later one",
    "recurrent": "a state can be handed over: two halves one after the other give what the whole gives",
    "translates": "a source and the target so far give the target's next tokens; padding behind either is not seen",
    "dense": "logits of every pixel or voxel, of the input's own size",
    "latent": "a code is drawn and decoded: a bound on the likelihood, samples",
    "invertible": "what comes out gives back what went in, and the log-determinant is that of the Jacobian",
    "several parts": "a loss and an optimizer a part, and a step of one part leaves the weights of the others alone",
}


@dataclasses.dataclass(frozen=True)
class Images:
    """Pictures (B, height, width, channels) float32, and a class each."""

    height: int
    width: int
    channels: int

    @property
    def shapes(self):
        """{name of the input: its shape without the batch axis}."""
        return {"image": (self.height, self.width, self.channels)}

    @property
    def arguments(self):
        """{argument of the builder: value} that the data decide."""
        return {"input_shape": (self.height, self.width, self.channels)}

    def example(self, batch, rng):
        return rng.normal(size=(batch, *self.shapes["image"])).astype("float32")

    def labels(self, example, output, rng):
        """(B, ...) int: a class for each of the logits' vectors, which have the shape `output`."""
        return rng.integers(0, output[-1], (len(example), *output[:-1]))


@dataclasses.dataclass(frozen=True)
class Volumes:
    """Volumes (B, depth, height, width, channels) float32, and a class each, or one of each voxel."""

    depth: int
    height: int
    width: int
    channels: int

    @property
    def shapes(self):
        return {"volume": (self.depth, self.height, self.width, self.channels)}

    @property
    def arguments(self):
        return {"input_shape": self.shapes["volume"]}

    def example(self, batch, rng):
        return rng.normal(size=(batch, *self.shapes["volume"])).astype("float32")

    def labels(self, example, output, rng):
        return rng.integers(0, output[-1], (len(example), *output[:-1]))


@dataclasses.dataclass(frozen=True)
class Masked(Images):
    """Pictures, and of each pixel a class that its own values say: which channel is the largest."""

    def labels(self, example, output, rng):
        return example.argmax(-1)


@dataclasses.dataclass(frozen=True)
class MaskedVolumes(Volumes):
    """Volumes, and of each voxel a class that its own values say: which channel is the largest."""

    def labels(self, example, output, rng):
        return example.argmax(-1)


@dataclasses.dataclass(frozen=True)
class Bits(Images):
    """Pictures of 0 and 1, (B, height, width, channels) float32, which are their own labels."""

    def example(self, batch, rng):
        return rng.integers(0, 2, (batch, *self.shapes["image"])).astype("float32")

    def labels(self, example, output, rng):
        return example

    @staticmethod
    def loss(labels, logits):
        return tf.reduce_mean(keras.losses.binary_crossentropy(labels, logits, from_logits=True))

    @staticmethod
    def right(labels, logits):
        return ((logits > 0) == (labels > 0)).all()


@dataclasses.dataclass(frozen=True)
class Levels(Images):
    """Pictures of whole levels, (B, height, width, channels) float32, of which the model gives each one's place."""

    levels: int

    @property
    def arguments(self):
        return super().arguments | {"levels": self.levels}

    def example(self, batch, rng):
        return rng.integers(0, self.levels, (batch, *self.shapes["image"])).astype("float32")

    def labels(self, example, output, rng):
        return example * 2 / (self.levels - 1) - 1

    @staticmethod
    def loss(labels, places):
        return tf.reduce_mean(tf.square(labels - places))

    @staticmethod
    def right(labels, places):
        return (np.abs(labels - places) < 0.5).all()


@dataclasses.dataclass(frozen=True)
class Raster(Images):
    """Pictures of whole levels whose values are predicted from those before them, alone or with another input.

    Their labels are the values before, in a row: what a model that sees them can learn by heart.
    """

    levels: int
    others: tuple = ()  # (name, shape without the batch axis) of the other input; a "label" is one of 3 classes

    @property
    def shapes(self):
        return super().shapes | dict([self.others] if self.others else [])

    @property
    def arguments(self):
        return super().arguments | {"levels": self.levels}

    def example(self, batch, rng):
        image = rng.integers(0, self.levels, (batch, *self.shapes["image"])).astype("float32")
        if not self.others:
            return image
        name, shape = self.others
        other = rng.integers(0, 3, batch).astype("int32") if name == "label" else rng.normal(size=(batch, *shape))
        return {"image": image, name: other.astype("int32" if name == "label" else "float32")}

    def labels(self, example, output, rng):
        image = example["image"] if self.others else example
        rows = image.reshape(*image.shape[:2], -1)
        before = np.roll(rows, 1, -1) * (
            np.arange(rows.shape[-1]) > 0
        )  # a PixelCNN does not see the end of the row above
        return before.reshape(image.shape).astype("int32")

    @staticmethod
    def loss(labels, parameters):
        if parameters.shape[-1] == 1:
            return Bits.loss(tf.cast(labels[..., None], parameters.dtype), parameters)
        return tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(labels, parameters, from_logits=True))

    @staticmethod
    def right(labels, parameters):
        return (
            Bits.right(labels, parameters[..., 0])
            if parameters.shape[-1] == 1
            else (parameters.argmax(-1) == labels).all()
        )


@dataclasses.dataclass(frozen=True)
class Noise(Images):
    """Noise (B, latent_dim) of which pictures are made, with classes also a class each, and what they are taken for:
    0 or 1, of a logit."""

    latent_dim: int
    num_classes: int | None = None

    @property
    def shapes(self):
        return {"noise": (self.latent_dim,)} | ({"label": ()} if self.num_classes else {})

    @property
    def arguments(self):
        shape = (self.height, self.width, self.channels)
        return {"input_shape": shape, "latent_dim": self.latent_dim, "num_classes": self.num_classes}

    def example(self, batch, rng):
        noise = rng.normal(size=(batch, self.latent_dim)).astype("float32")
        if not self.num_classes:
            return noise
        return {"noise": noise, "label": rng.integers(0, self.num_classes, batch).astype("int32")}

    def labels(self, example, output, rng):
        noise = example["noise"] if self.num_classes else example
        return (noise[:, :1] > 0).astype("float32")

    loss = staticmethod(Bits.loss)
    right = staticmethod(Bits.right)


@dataclasses.dataclass(frozen=True)
class Sequences:
    """Vectors over time (B, steps, features) float32, and a class a step, or one of the whole."""

    steps: int
    features: int

    @property
    def shapes(self):
        return {"sequence": (self.steps, self.features)}

    @property
    def arguments(self):
        return {"input_shape": (self.steps, self.features)}

    def example(self, batch, rng):
        return rng.normal(size=(batch, self.steps, self.features)).astype("float32")

    def labels(self, example, output, rng):
        return rng.integers(0, output[-1], (len(example), *output[:-1]))


@dataclasses.dataclass(frozen=True)
class Tokens:
    """Tokens (B, steps) int32 below `vocabulary`, and as labels what the last two say together: equal beginnings have
    equal labels."""

    steps: int
    vocabulary: int

    @property
    def shapes(self):
        return {"tokens": (self.steps,)}

    @property
    def arguments(self):
        return {"input_shape": (self.steps,), "num_classes": self.vocabulary}

    def example(self, batch, rng):
        return rng.integers(0, self.vocabulary, (batch, self.steps)).astype("int32")

    def labels(self, example, output, rng):
        before = np.roll(example, 1, 1) * (np.arange(self.steps) > 0)
        return (example + before) % output[-1]


@dataclasses.dataclass(frozen=True)
class Audio:
    """Levels (B, steps) int32, alone or with a class (of 3) and two features every other step; labels as of Tokens."""

    steps: int
    levels: int
    with_context: bool = False

    @property
    def shapes(self):
        context = {"label": (), "features": (-(-self.steps // 2), 2)} if self.with_context else {}
        return {"audio": (self.steps,)} | context

    @property
    def arguments(self):
        return {"input_shape": (self.steps,), "levels": self.levels}

    def example(self, batch, rng):
        audio = rng.integers(0, self.levels, (batch, self.steps)).astype("int32")
        if not self.with_context:
            return audio
        features = rng.normal(size=(batch, *self.shapes["features"])).astype("float32")
        return {"audio": audio, "label": rng.integers(0, 3, batch).astype("int32"), "features": features}

    def labels(self, example, output, rng):
        audio = example["audio"] if self.with_context else example
        before = np.roll(audio, 1, 1) * (np.arange(self.steps) > 0)
        return (audio + before) % output[-1]


@dataclasses.dataclass(frozen=True)
class Sentences:
    """Pairs of sentences, {"source": (B, 6), "target": (B, 5)} int32: sources of several lengths, each with EOS after
    its tokens and PAD behind it. Labels: what a token of the source and one of the target say together."""

    source_vocabulary_size: int
    target_vocabulary_size: int

    shapes = {"source": (None,), "target": (None,)}
    source_steps = 6
    target_steps = 5

    @property
    def arguments(self):
        return dataclasses.asdict(self)

    def example(self, batch, rng):
        tokens = rng.integers(EOS + 1, self.source_vocabulary_size, (batch, self.source_steps))
        lengths = rng.integers(2, self.source_steps, (batch, 1))
        place = np.arange(self.source_steps)
        source = np.where(place < lengths, tokens, np.where(place == lengths, EOS, PAD))
        target = rng.integers(BOS, self.target_vocabulary_size, (batch, self.target_steps))
        return {"source": source.astype("int32"), "target": target.astype("int32")}

    def labels(self, example, output, rng):
        return (example["source"][:, : self.target_steps] + example["target"]) % output[-1]


class SentencesOfOneVocabulary(Sentences):
    """Pairs of sentences whose two languages share their tokens."""

    def __init__(self, vocabulary_size):
        super().__init__(vocabulary_size, vocabulary_size)

    @property
    def arguments(self):
        return {"vocabulary_size": self.source_vocabulary_size}


@dataclasses.dataclass(frozen=True)
class Case:
    """A row of the table.

    Attributes:
        build: a builder; kwargs: its arguments beyond those that the data decide.
        inputs: what the model takes: Images, Raster, Sequences, Tokens, Audio, Sentences.
        output: shape of the logits without the batch axis.
        weights: trainable parameters, counted by hand.
        capabilities: of CAPABILITIES.
        without_gradient: how the names of the weights end that can change no answer, one or several: a key's bias adds
            to all scores of a query the same, which softmax takes away.
    """

    build: Callable
    kwargs: dict
    inputs: Images | Sequences | Tokens | Audio | Sentences
    output: tuple
    weights: int
    capabilities: tuple = ()
    without_gradient: str | tuple = "-"

    @property
    def arguments(self):
        """All arguments of the builder."""
        return self.inputs.arguments | self.kwargs

    @property
    def without_dropout(self):
        """The arguments that switch dropout off."""
        return {name: 0.0 for name in self.kwargs if "dropout" in name}

    def built(self, **changes):
        """What the builder makes, with some arguments changed."""
        return self.build(**self.arguments | changes)

    def make(self, seed=0, **changes):
        """A new model: every weight is drawn by `seed`, the running statistics too, as if it had been trained."""
        keras.utils.set_random_seed(seed)
        model = self.built(**changes)
        rng = np.random.default_rng(seed)
        for variable in model.weights:
            if variable.path.endswith(("moving_mean", "beta", "bias")):
                variable.assign(rng.normal(0.0, 0.2, variable.shape))
            if variable.path.endswith(("moving_variance", "gamma")):
                variable.assign(rng.uniform(0.7, 1.3, variable.shape))
        return model

    @functools.cached_property
    def model(self):
        """One model shared by the laws that leave its weights alone."""
        return self.make()

    @contextlib.contextmanager
    def borrowed(self):
        """The shared model for a law that changes its variables: they are put back."""
        before = [np.asarray(variable) for variable in self.model.variables]
        try:
            yield self.model
        finally:
            for variable, value in zip(self.model.variables, before, strict=True):
                variable.assign(value)

    def loss(self, labels, output):
        """A loss of `labels` and what the model gives for their examples; of class logits if the inputs say nothing."""
        if hasattr(self.inputs, "loss"):
            return self.inputs.loss(labels, output)
        return tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(labels, output, from_logits=True))

    def right(self, labels, output):
        """Whether an answer, an array, is everywhere the label."""
        if hasattr(self.inputs, "right"):
            return self.inputs.right(labels, output)
        return (output.argmax(-1) == labels).all()

    def example(self, batch, seed=0):
        """What the model takes: an array, or {name: array} where it has several inputs."""
        return self.inputs.example(batch, np.random.default_rng(seed))

    def labels(self, batch, seed=0):
        """The labels of `example(batch, seed)`: a class for each of the logits' vectors, or what the inputs say."""
        return self.inputs.labels(self.example(batch, seed), self.output, np.random.default_rng(seed))


def having(capability):
    """The names of the rows that have a capability."""
    if capability not in CAPABILITIES:
        raise KeyError(f"{capability!r} is no capability of tests/cases.py: {', '.join(CAPABILITIES)}")
    return [name for name, case in CASES.items() if capability in case.capabilities]


def first_rows():
    """The first row of each builder."""
    firsts = {}
    for name, case in CASES.items():
        firsts.setdefault(case.build, name)
    return list(firsts.values())


RECURRENT = ("autoregressive", "recurrent")
TRANSLATES = ("translates",)
LATENT = ("latent",)
SEVERAL = ("several parts",)
DENSE = ("dense",)
ATTENTIVE = {
    "units": 4,
    "embedding_dim": 3,
    "attention_units": 5,
    "output_units": 6,
    "initializer": "glorot_uniform",
}

CASES = {
    # 5 * 4 pixels * 3 classes + 3
    "linear": Case(models.build_linear, {"num_classes": 3}, Images(5, 4, 1), (3,), 63),
    # (20 + 1) * 8 + (8 + 1) * 6 + (6 + 1) * 3
    "mlp": Case(models.build_mlp, {"num_classes": 3, "units": (8, 6)}, Images(5, 4, 1), (3,), 243),
    # without biases, with gamma and beta: 20 * 8 + 2 * 8, 8 * 6 + 2 * 6, (6 + 1) * 3
    "mlp-batch_norm": Case(
        models.build_mlp,
        {"num_classes": 3, "units": (8, 6), "activation": "gelu", "batch_norm": True, "dropout": 0.2},
        Images(5, 4, 1),
        (3,),
        257,
    ),
    # C1 (25 + 1) * 2; C3 (25 * 2 + 1) * 3; 12 x 12 -> 6 -> 2 -> 1, so 3 values: (3 + 1) * 8; (8 + 1) * 6; (6 + 1) * 4
    "convnet": Case(
        models.build_convnet,
        {"num_classes": 4, "filters": (2, 3), "units": (8, 6)},
        Images(12, 12, 1),
        (4,),
        52 + 153 + 32 + 54 + 28,
    ),
    # C1 9 * 2 * 3 + 2 * 3; C3 9 * 3 * 4 + 2 * 4; 9 x 8 -> 4 x 4 -> 2 x 2 -> 1: 4 * 8 + 2 * 8; (8 + 1) * 4
    "convnet-batch_norm": Case(
        models.build_convnet,
        {
            "num_classes": 4,
            "filters": (3, 4),
            "kernel_size": 3,
            "units": (8,),
            "pooling": "max",
            "activation": "relu",
            "batch_norm": True,
            "dropout": 0.2,
        },
        Images(9, 8, 2),
        (4,),
        60 + 116 + 48 + 36,
    ),
    # With w filters, a 3 x 3 convolution from a to b channels has 9ab + 2b weights with its batch normalisation.
    # stem 49 * 3 * 4 + 8 = 596; stage 1: 4 * (9 * 16 + 8) = 608
    # stage 2: 9 * 32 + 16 + 3 * (9 * 64 + 16) + shortcut 32 + 16 = 2_128
    # stage 3: 9 * 128 + 32 + 3 * (9 * 256 + 32) + shortcut 128 + 32 = 8_352
    # stage 4: 9 * 512 + 64 + 3 * (9 * 1024 + 64) + shortcut 512 + 64 = 33_088; logits (32 + 1) * 5
    "resnet-18": Case(
        models.build_resnet,
        {"num_classes": 5, "depth": 18, "filters": 4},
        Images(33, 33, 3),
        (5,),
        596 + 608 + 2_128 + 8_352 + 33_088 + 165,
    ),
    # A bottleneck of width w from a channels: aw + 2w, 9ww + 2w, 4ww + 8w; its shortcut 4aw + 8w. With 2 filters:
    # stem 49 * 1 * 2 + 4 = 102; stage 1 (w = 2, 3 blocks): (8 + 40 + 32 = 80) + shortcut 32 + 2 * (20 + 40 + 32)
    # stage 2 (w = 4, 4 blocks): (40 + 152 + 96 = 288) + shortcut 160 + 3 * (72 + 152 + 96)
    # stage 3 (w = 8, 6 blocks): (144 + 592 + 320 = 1_056) + shortcut 576 + 5 * (272 + 592 + 320)
    # stage 4 (w = 16, 3 blocks): (544 + 2_336 + 1_152 = 4_032) + shortcut 2_176 + 2 * (1_056 + 2_336 + 1_152)
    # logits (64 + 1) * 3
    "resnet-50": Case(
        models.build_resnet,
        {"num_classes": 3, "depth": 50, "filters": 2},
        Images(32, 32, 1),
        (3,),
        102 + 296 + 1_408 + 7_552 + 15_296 + 195,
    ),
    # stem 27 * 4 + 8; stage 1: 2 * (9 * 16 + 8); stage 2: 9 * 32 + 16 + 9 * 64 + 16
    # stage 3: 9 * 128 + 32 + 9 * 256 + 32; logits (16 + 1) * 10
    "resnet_cifar-8": Case(
        models.build_resnet_cifar,
        {"depth": 8, "filters": 4},
        Images(9, 9, 3),
        (10,),
        116 + 304 + 896 + 3_520 + 170,
    ),
    # the plain network has the same weights: option A has none
    "plain-8": Case(
        models.build_resnet_cifar,
        {"depth": 8, "filters": 4, "shortcut": "none"},
        Images(9, 9, 3),
        (10,),
        116 + 304 + 896 + 3_520 + 170,
    ),
    # (3 + 8 + 1) * 8; (8 + 1) * 5
    "rnn": Case(models.build_rnn, {"num_classes": 5, "units": (8,)}, Sequences(4, 3), (4, 5), 96 + 45, RECURRENT),
    # sRNN of tokens: 7 * 4; (4 + 6 + 1) * 6; (6 + 5 + 1) * 5; (5 + 1) * 7
    "rnn-stacked": Case(
        models.build_rnn,
        {"units": (6, 5), "embedding_dim": 4, "activation": "relu", "init_scale": 0.3},
        Tokens(4, 7),
        (4, 7),
        28 + 66 + 60 + 42,
        RECURRENT,
    ),
    # DT of maxout units, each the larger of two: (3 + 8 + 1) * 12; (6 + 1) * 8; (8 + 1) * 5
    "rnn-deep_transition": Case(
        models.build_rnn,
        {"num_classes": 5, "units": (8,), "transition_units": (6,), "transition_activation": "maxout"},
        Sequences(4, 3),
        (4, 5),
        144 + 56 + 45,
        RECURRENT,
    ),
    # DOT(S): input to both layers (3 + 1) * 13, 8 * 5 and 5 * 8 between, 8 * 8 past; (8 + 1) * 12 of maxout; 7 * 5
    "rnn-deep_output": Case(
        models.build_rnn,
        {
            "num_classes": 5,
            "units": (8,),
            "transition_units": (5,),
            "shortcut": True,
            "transition_activation": "sigmoid",
            "output_units": (6,),
            "output_activation": "maxout",
        },
        Sequences(4, 3),
        (4, 5),
        52 + 80 + 64 + 108 + 35,
        RECURRENT,
    ),
    # 4 * 6 * (3 + 6 + 1) + 3 * 6; 4 * 5 * (6 + 5 + 1) + 3 * 5; (5 + 1) * 5
    "lstm": Case(
        models.build_lstm, {"num_classes": 5, "units": (6, 5)}, Sequences(4, 3), (4, 5), 258 + 255 + 30, RECURRENT
    ),
    # 7 * 5; 4 * 9 * (5 + 9 + 1); (9 + 1) * 7
    "lstm-dropout": Case(
        models.build_lstm,
        {
            "units": (9,),
            "peephole": False,
            "embedding_dim": 5,
            "dropout": 0.2,
            "recurrent_dropout": 0.2,
            "variational": True,
        },
        Tokens(4, 7),
        (4, 7),
        35 + 540 + 70,
        RECURRENT,
    ),
    # 7 * 8, both ways; 4 * 8 * (8 + 8 + 1) + 3 * 8; 7
    "lstm-tied": Case(
        models.build_lstm,
        {"units": (8,), "tied": True, "implementation": "scan"},
        Tokens(4, 7),
        (4, 7),
        56 + 568 + 7,
        RECURRENT,
    ),
    # of the last step: 3 * 6 * (3 + 6 + 1); (6 + 1) * 5
    "gru": Case(
        models.build_gru,
        {"num_classes": 5, "units": (6,), "return_sequences": False},
        Sequences(4, 3),
        (5,),
        180 + 35,
        ("recurrent",),
    ),
    # 6 * 8; 3 * 8 * (8 + 8 + 2); (8 + 1) * 6
    "gru-reset_after": Case(
        models.build_gru,
        {"units": (8,), "reset_after": True},
        Tokens(4, 6),
        (4, 6),
        48 + 432 + 54,
        RECURRENT,
    ),
    # An LSTM without peepholes from a to n has 4n (a + n + 1). 9 * 3 and 7 * 3; twice 180 + 160; (4 + 1) * 7
    "seq2seq": Case(
        models.build_seq2seq,
        {
            "units": (5, 4),
            "embedding_dim": 3,
            "init_scale": 0.5,
        },
        Sentences(9, 7),
        (5, 7),
        27 + 21 + 2 * 340 + 35,
        TRANSLATES,
    ),
    # 9 * 4 and, both ways, 7 * 4; six of 4 * 4 * (4 + 4 + 1); 7
    "seq2seq-tied": Case(
        models.build_seq2seq,
        {
            "units": (4, 4, 4),
            "embedding_dim": 4,
            "residual": True,
            "dropout": 0.2,
            "tied": True,
            "forget_bias": 1.0,
            "init_scale": None,
        },
        Sentences(9, 7),
        (5, 7),
        36 + 28 + 6 * 144 + 7,
        TRANSLATES,
    ),
    # 9 * 5 and 7 * 5; twice 4 * 4 * (5 + 4 + 1); (4 + 1) * 7
    "seq2seq-one_layer": Case(
        models.build_seq2seq,
        {"units": (4,), "embedding_dim": 5, "reverse_source": False, "init_scale": 0.5},
        Sentences(9, 7),
        (5, 7),
        45 + 35 + 2 * 160 + 35,
        TRANSLATES,
    ),
    # 9 * 3 and 7 * 3; two GRUs 3 * 4 * (3 + 4 + 1); first state (4 + 1) * 4
    # decoder: 3 * 12 + 12, recurrent 4 * 12, what it sees 8 * 12; score 8 * 5 + 5, 4 * 5, 5
    # maxout (4 + 8 + 3 + 1) * 4; logits (2 + 1) * 7
    "attention_seq2seq": Case(
        models.build_attention_seq2seq,
        {
            "units": 4,
            "embedding_dim": 3,
            "attention_units": 5,
            "output_units": 2,
            "initializer": "glorot_uniform",
        },
        Sentences(9, 7),
        (5, 7),
        27 + 21 + 192 + 20 + 192 + 70 + 64 + 21,
        TRANSLATES,
    ),
    # 9 * 3 and 7 * 3; two GRUs 3 * 5 * (3 + 5 + 1); first state (5 + 1) * 5
    # decoder: 3 * 15 + 15, recurrent 5 * 15, what it saw 6 * 15; score 10 * 5; t (10 + 5 + 1) * 6; logits (6 + 1) * 7
    "attention_seq2seq-general": Case(
        models.build_attention_seq2seq,
        {
            "units": 5,
            "embedding_dim": 3,
            "attention": "general",
            "output_units": 6,
            "dropout": 0.2,
            "initializer": "glorot_uniform",
        },
        Sentences(9, 7),
        (5, 7),
        27 + 21 + 270 + 30 + 60 + 75 + 90 + 50 + 96 + 49,
        TRANSLATES,
    ),
    # As above with 4 units: 27 + 21 + 192 + 20 = 260. decoder, which sees 6 values: 3 * 12 + 12, 4 * 12, 6 * 12
    # t (4 + 4 + 1) * 6; logits (6 + 1) * 7
    "attention_seq2seq-dot": Case(
        models.build_attention_seq2seq,
        ATTENTIVE | {"attention": "dot"},
        Sentences(9, 7),
        (5, 7),
        260 + 168 + 54 + 49,
        TRANSLATES,
    ),
    # score 8 * 5 + 4 * 5 + 5, 5; t (8 + 4 + 1) * 6
    "attention_seq2seq-concat": Case(
        models.build_attention_seq2seq,
        ATTENTIVE | {"attention": "concat"},
        Sentences(9, 7),
        (5, 7),
        260 + 168 + 70 + 78 + 49,
        TRANSLATES,
    ),
    # decoder 3 * 12 + 12, 4 * 12; score 8 * 4
    "attention_seq2seq-not_fed": Case(
        models.build_attention_seq2seq,
        ATTENTIVE | {"attention": "general", "input_feeding": False},
        Sentences(9, 7),
        (5, 7),
        260 + 96 + 32 + 78 + 49,
        TRANSLATES,
    ),
    # One matrix 11 * 8. Attention 4 * 8 * 8 = 256; feed-forward 8 * 12 + 12 + 12 * 8 + 8 = 212; a norm 16.
    # An encoder's layer 256 + 212 + 32, a decoder's 512 + 212 + 48
    "transformer": Case(
        models.build_transformer,
        {
            "num_layers": 1,
            "hidden_dim": 8,
            "intermediate_dim": 12,
            "num_heads": 2,
            "dropout": 0.1,
        },
        SentencesOfOneVocabulary(11),
        (5, 11),
        88 + 500 + 772,
        TRANSLATES,
    ),
    # Two embeddings and an output 9 * 6, positions twice 7 * 6. Attention 4 * (6 * 6 + 6) = 168; feed-forward
    # 6 * 10 + 10 + 10 * 6 + 6 = 136; a norm 12. A layer 168 + 136 + 24 and one 336 + 136 + 36, two norms at the ends
    "transformer-norm_first": Case(
        models.build_transformer,
        {
            "num_layers": 1,
            "hidden_dim": 6,
            "intermediate_dim": 10,
            "num_heads": 3,
            "dropout": 0.2,
            "norm_first": True,
            "positions": "learned",
            "max_length": 7,
            "tied": False,
            "use_bias": True,
        },
        SentencesOfOneVocabulary(9),
        (5, 9),
        3 * 54 + 84 + 328 + 508 + 24,
        TRANSLATES,
        without_gradient="key_bias",
    ),
    # 7 * 8; the layer of an encoder above
    "transformer_lm": Case(
        models.build_transformer_lm,
        {"num_layers": 1, "hidden_dim": 8, "intermediate_dim": 12, "num_heads": 2, "dropout": 0.1},
        Tokens(4, 7),
        (4, 7),
        56 + 500,
        ("autoregressive",),
    ),
    # Twice 7 * 6, positions 5 * 6; a layer as above, a norm at the end
    "transformer_lm-norm_first": Case(
        models.build_transformer_lm,
        {
            "num_layers": 1,
            "hidden_dim": 6,
            "intermediate_dim": 10,
            "num_heads": 3,
            "dropout": 0.2,
            "norm_first": True,
            "positions": "learned",
            "max_length": 5,
            "tied": False,
            "use_bias": True,
        },
        Tokens(4, 7),
        (4, 7),
        84 + 30 + 328 + 12,
        ("autoregressive",),
        without_gradient="key_bias",
    ),
    # (20 + 1) * 16 + (16 + 1) * 6 means and log-variances; (3 + 1) * 16 + (16 + 1) * 20
    "vae": Case(
        models.build_vae, {"latent_dim": 3, "units": (16,)}, Bits(5, 4, 1), (5, 4, 1), 336 + 102 + 64 + 340, LATENT
    ),
    # (70 + 1) * 14 + (14 + 1) * 12 + (12 + 1) * 16; (8 + 1) * 12 + (12 + 1) * 14 + (14 + 1) * 140
    "vae-levels": Case(
        models.build_vae,
        {"latent_dim": 8, "units": (14, 12), "samples": 3, "beta": 0.5, "activation": "elu"},
        Levels(5, 7, 2, 16),
        (5, 7, 2),
        994 + 180 + 208 + 108 + 182 + 2100,
        LATENT,
    ),
    # 5 x 6 -> 3 x 3 -> 2 x 2: 25 * 1 * 3 + 3, 25 * 3 * 2 + 2; (8 + 1) * 9 + (9 + 1) * 10
    # (5 + 1) * 9 + (9 + 1) * 8; 25 * 2 * 3 + 3, 25 * 3 * 1 + 1
    "vae-convolutional": Case(
        models.build_vae,
        {"latent_dim": 5, "units": (9,), "filters": (3, 2), "activation": "elu", "samples": 2},
        Bits(5, 6, 1),
        (5, 6, 1),
        78 + 152 + 81 + 100 + 54 + 80 + 153 + 76,
        LATENT,
    ),
    # 9 * 1 * 6 + 6; a block 6 * 3 + 3, 9 * 3 * 3 + 3, 3 * 6 + 6; 6 * 5 + 5, 5 + 1
    "pixelcnn": Case(
        models.build_pixelcnn,
        {"output": "bernoulli", "num_blocks": 1, "filters": 3, "first_kernel_size": 3, "top_filters": (5,)},
        Raster(4, 5, 1, 2),
        (4, 5, 1, 1),
        60 + 21 + 84 + 24 + 35 + 6,
    ),
    # vertical 3 * 2 * 8 + 8, down 8 * 8, horizontal 3 * 2 * 8 + 8, two contexts of 3 * 8, out 4 * 4 + 4
    # vertical 6 * 4 * 8 + 8, down 8 * 8, horizontal 3 * 4 * 8 + 8, one context, out; 4 * 6 + 6, 6 * 6 + 6
    "gated_pixelcnn": Case(
        models.build_gated_pixelcnn,
        {
            "num_layers": 2,
            "filters": 4,
            "first_kernel_size": 3,
            "kernel_size": 3,
            "top_filters": (6,),
            "num_classes": 3,
        },
        Raster(4, 5, 2, 3, ("label", ())),
        (4, 5, 2, 3),
        56 + 64 + 56 + 48 + 20 + 200 + 64 + 104 + 24 + 20 + 30 + 42,
    ),
    # vertical 2 * 5 * 8 + 8, down 64, horizontal 5 * 8 + 8, two contexts of 2 * 8, skip 4 * 5 + 5, out 4 * 4 + 4
    # vertical 6 * 4 * 8 + 8, down 64, horizontal 3 * 4 * 8 + 8, one context, skip; 5 * 6 + 6
    "gated_pixelcnn-skips": Case(
        models.build_gated_pixelcnn,
        {
            "output": "logistic_mixture",
            "components": 2,
            "num_layers": 2,
            "filters": 4,
            "first_kernel_size": 5,
            "kernel_size": 3,
            "dilations": (2,),
            "skip_filters": 5,
            "top_filters": (),
            "condition_dim": 2,
        },
        Raster(5, 6, 1, 4, ("condition", (2,))),
        (5, 6, 1, 6),
        88 + 64 + 48 + 32 + 25 + 20 + 200 + 64 + 104 + 16 + 25 + 36,
    ),
    # 9 * 1 * 8 + 8; K_is of 2 taps 16 * 16, K_ss of 3 taps 12 * 16, bias 16, initial state 8; 4 * 8 + 8
    # 8 * 6 + 6, 6 + 1
    "pixelrnn": Case(
        models.build_pixelrnn,
        {"layer": "row_lstm", "num_layers": 1, "units": 4, "first_kernel_size": 3, "top_filters": (6,)},
        Raster(4, 5, 1, 2),
        (4, 5, 1, 1),
        80 + 472 + 40 + 54 + 7,
    ),
    # 9 * 2 * 8 + 8; of each direction 8 * 16, K_ss of 2 taps 8 * 16, 16, 8; 4 * 8 + 8; 8 * 6 + 6, 6 * 6 + 6
    "pixelrnn-diagonal_bilstm": Case(
        models.build_pixelrnn,
        {"output": "categorical", "num_layers": 1, "units": 4, "first_kernel_size": 3, "top_filters": (6,)},
        Raster(4, 5, 2, 3),
        (4, 5, 2, 3),
        152 + 2 * 280 + 40 + 54 + 42,
    ),
    # generator (6 + 1) * 10 + (10 + 1) * 12; discriminator (12 + 1) * 4 * 3 + (4 + 1), with 3 pieces of a maxout unit
    "gan": Case(
        models.build_gan,
        {
            "units": (10,),
            "maxout_units": (4,),
            "pieces": 3,
            "input_dropout": 0.2,
            "dropout": 0.5,
            "initializer": "glorot_uniform",
        },
        Noise(4, 3, 1, 6),
        (1,),
        70 + 132 + 156 + 5,
        SEVERAL,
    ),
    # 3 * 2 each for the class; (6 + 2 + 1) * 10 + (10 + 1) * 12; (12 + 2 + 1) * 4 * 2 + (4 + 1) * 4 * 2 + (4 + 1)
    "gan-conditional": Case(
        models.build_gan,
        {
            "units": (10,),
            "maxout_units": (4, 4),
            "pieces": 2,
            "label_dim": 2,
            "initializer": "glorot_uniform",
            "loss": "minimax",
            "noise": "uniform",
            "input_dropout": 0.0,
            "dropout": 0.1,
        },
        Noise(4, 3, 1, 6, 3),
        (1,),
        6 + 90 + 132 + 6 + 120 + 40 + 5,
        SEVERAL,
    ),
    # 5 x 5 maps, cut to 9 x 10: 5 * 75 + 2 * 3 + 9 * 3 * 2 + 2; 9 * 2 * 3 + 3 + 75 + 1
    "dcgan": Case(
        models.build_dcgan,
        {"filters": 3, "kernel_size": 3, "initializer": "glorot_uniform"},
        Noise(9, 10, 2, 5),
        (1,),
        375 + 6 + 56 + 57 + 76,
        SEVERAL,
    ),
    # class 3 * 2 and 3 * 256; (4 + 2) * 64 + 2 * 4 + 9 * 4 * 2 + 2 * 2 + 9 * 2 + 1
    # 9 * 2 * 2 + 2 + 9 * 2 * 4 + 2 * 4 + 64 + 1
    "dcgan-conditional": Case(
        models.build_dcgan,
        {"filters": 2, "kernel_size": 3, "label_dim": 2, "dropout": 0.1, "initializer": "glorot_uniform"},
        Noise(16, 16, 1, 4, 3),
        (1,),
        6 + 768 + 384 + 8 + 72 + 4 + 19 + 38 + 72 + 8 + 65,
        SEVERAL,
    ),
    # 4 * 64 + 2 * 4 + 9 * 4 * 2 + 2 * 2 + 9 * 2 + 1; 9 * 1 * 2 + 2 + 9 * 2 * 4 + 2 * 4 + 64 + 1
    "dcgan-wgan_gp": Case(
        models.build_dcgan,
        {"filters": 2, "kernel_size": 3, "loss": "wgan_gp", "initializer": "glorot_uniform"},
        Noise(16, 16, 1, 4),
        (1,),
        256 + 8 + 72 + 4 + 19 + 20 + 72 + 8 + 65,
        SEVERAL,
    ),
    # 2 * 7 * 3 + 3; two layers of 2 * 3 * 6 + 6 and 3 * 5 + 5, a residual 3 * 3 + 3; 5 * 5 + 5; 5 * 7 + 7
    "wavenet": Case(
        models.build_wavenet,
        {"dilations": (1, 2), "num_blocks": 1, "filters": 3, "skip_filters": 5},
        Audio(4, 7),
        (4, 7),
        45 + 84 + 40 + 12 + 30 + 42,
        RECURRENT,
    ),
    # 3 * 3 + 3; two layers of 3 * 3 * 6 + 6, 3 * 6 of a class, 2 * 6 of features and 3 * 5 + 5, a residual 3 * 3 + 3;
    # up-sampling 2 * 2 * 2 + 2; 5 * 5 + 5; 5 * 6 + 6
    "wavenet-context": Case(
        models.build_wavenet,
        {
            "output": "logistic_mixture",
            "components": 2,
            "dilations": (2,),
            "num_blocks": 2,
            "kernel_size": 3,
            "filters": 3,
            "skip_filters": 5,
            "num_classes": 3,
            "features_dim": 2,
            "hop_length": 2,
        },
        Audio(4, 7, with_context=True),
        (4, 6),
        12 + 120 + 36 + 24 + 40 + 12 + 10 + 30 + 36,
    ),
    # 3 * 3 * 4 + 2 * 4 and three of 3 * 4 * 4 + 2 * 4: kernel, gain, bias; a shortcut 3 * 4 + 4; 4 * 5 + 5
    "tcn": Case(
        models.build_tcn,
        {"num_classes": 5, "num_layers": 2, "filters": 4, "kernel_size": 3, "initializer": "glorot_uniform"},
        Sequences(4, 3),
        (4, 5),
        44 + 3 * 56 + 16 + 25,
        RECURRENT,
    ),
    # 7 * 16; two of 3 * 16 * 16 + 2 * 16; 16 * 7 + 7
    "tcn-tokens": Case(
        models.build_tcn,
        {"num_layers": 1, "filters": 16, "kernel_size": 3, "dropout": 0.2, "initializer": "glorot_uniform"},
        Tokens(4, 7),
        (4, 7),
        112 + 2 * 800 + 119,
        RECURRENT,
    ),
    # of the last step: two of 2 * 3 * 3 + 2 * 3; 3 * 5 + 5
    "tcn-last": Case(
        models.build_tcn,
        {
            "num_classes": 5,
            "num_layers": 1,
            "filters": 3,
            "kernel_size": 2,
            "initializer": "glorot_uniform",
            "return_sequences": False,
        },
        Sequences(4, 3),
        (5,),
        2 * 24 + 20,
        ("recurrent",),
    ),
    # without biases, with gamma and beta: 9 * 3 * 4 + 8; 9 * 4 * 5 + 10, 9 * 5 * 5 + 10; 9 * 5 * 5 + 10,
    # 9 * 5 * 4 + 8; logits 9 * 4 * 3 + 3
    "segnet": Case(
        models.build_segnet,
        {"num_classes": 3, "filters": (4, 5), "depth": (1, 2)},
        Masked(5, 7, 3),
        (5, 7, 3),
        116 + 190 + 235 + 235 + 188 + 111,
        DENSE,
    ),
    # 9 * 3 * 4 + 8, 9 * 4 * 4 + 8; 9 * 4 * 5 + 10; back 9 * 5 * 4 + 8; 9 * 4 * 4 + 8; logits 9 * 4 * 3 + 3
    "segnet-nearest": Case(
        models.build_segnet,
        {"num_classes": 3, "filters": (4, 5), "depth": (2, 1), "upsampling": "nearest"},
        Masked(5, 7, 3),
        (5, 7, 3),
        116 + 152 + 190 + 188 + 152 + 111,
        DENSE,
    ),
    # 27 * 3 * 4 + 8; logits 27 * 4 * 3 + 3
    "segnet-volumes": Case(
        models.build_segnet,
        {"num_classes": 3, "filters": (4,), "depth": (1,), "dimensions": 3},
        MaskedVolumes(3, 4, 5, 3),
        (3, 4, 5, 3),
        332 + 327,
        DENSE,
    ),
    # 9 * 3 * 6 + 12; 9 * 6 * 5 + 10, 9 * 5 * 5 + 10; 2 x 2 pixels to 7 units and back: 4 * 5 * 7 + 14, 7 * 7 + 14,
    # 4 * 7 * 5 + 10; 9 * 5 * 5 + 10, 9 * 5 * 6 + 12; 9 * 6 * 6 + 12; logits 6 * 3 + 3
    "deconvnet": Case(
        models.build_deconvnet,
        {"num_classes": 3, "filters": (6, 5), "depth": (1, 2), "units": 7},
        Masked(5, 7, 3),
        (5, 7, 3),
        174 + 280 + 235 + 154 + 63 + 150 + 235 + 282 + 336 + 21,
        DENSE,
    ),
    # 9 * 3 * 6 + 12; 6 * 7 + 14, 7 * 7 + 14, 7 * 6 + 12; 9 * 6 * 6 + 12; logits 6 * 3 + 3
    "deconvnet-bilinear": Case(
        models.build_deconvnet,
        {
            "num_classes": 3,
            "filters": (6,),
            "depth": (1,),
            "units": 7,
            "bottleneck_size": 1,
            "upsampling": "bilinear",
        },
        Masked(3, 4, 3),
        (3, 4, 3),
        174 + 56 + 63 + 54 + 336 + 21,
        DENSE,
    ),
    # 27 * 3 * 6 + 12; 8 * 6 * 7 + 14, 7 * 7 + 14, 8 * 7 * 6 + 12; 27 * 6 * 6 + 12; logits 6 * 3 + 3
    "deconvnet-volumes": Case(
        models.build_deconvnet,
        {"num_classes": 3, "filters": (6,), "depth": (1,), "units": 7, "dimensions": 3},
        MaskedVolumes(3, 4, 5, 3),
        (3, 4, 5, 3),
        498 + 350 + 63 + 348 + 984 + 21,
        DENSE,
    ),
}

WORDS = (("input_shape", (None,)), ("num_classes", 10_000), ("peephole", False))
BIG = (("hidden_dim", 1024), ("intermediate_dim", 4096), ("num_heads", 16), ("dropout", 0.3))
TINY = (
    ("vocabulary_size", 10_000),
    ("num_layers", 4),
    ("hidden_dim", 128),
    ("intermediate_dim", 256),
    ("num_heads", 4),
)
# (architecture, arguments) -> trainable parameters at the paper's widths.
PAPER_COUNTS = {
    ("linear", ()): 7_850,  # (784 + 1) * 10
    ("mlp", ()): 669_706,  # 785 * 512 + 513 * 512 + 513 * 10
    ("convnet", ()): 61_706,  # 156 + 2_416 + 48_120 + 10_164 + 850
    # stem 432 + 32; stage 1: 2n (2_304 + 32); stage 2: 4_608 + 64 + (2n - 1) (9_216 + 64);
    # stage 3: 18_432 + 128 + (2n - 1) (36_864 + 128); logits 650. n = 3, 9, 18:
    ("resnet_cifar", (("depth", 20),)): 269_722,
    ("resnet_cifar", (("depth", 56),)): 853_018,
    ("resnet_cifar", (("depth", 110),)): 1_727_962,
    ("resnet_cifar", (("depth", 20), ("shortcut", "none"))): 269_722,
    # w(a, b) = 9ab + 2b; stem 49 * 3 * 64 + 128 = 9_536; a stage of n blocks from a to b: w(a, b) + (2n - 1) w(b, b)
    # and, from the second on, a shortcut ab + 2b; logits 513 * 1000
    ("resnet", (("depth", 18),)): 11_689_512,  # stages 147_968 + 525_568 + 2_099_712 + 8_393_728
    ("resnet", (("depth", 34),)): 21_797_672,  # stages 221_952 + 1_116_416 + 6_822_400 + 13_114_368
    # a bottleneck of width w from a: aw + 9ww + 4ww + 12w; the first of a stage has a shortcut 4aw + 8w;
    # logits 2_049 * 1000
    ("resnet", (("depth", 50),)): 25_557_032,  # stages 215_808 + 1_219_584 + 7_098_368 + 14_964_736
    ("resnet", (("depth", 101),)): 44_549_160,  # its third stage has 26_090_496
    ("resnet", (("depth", 152),)): 60_192_808,  # its second and third have 2_339_840 and 40_613_888
    # 88 in, 88 out; the paper's counts leave out the biases, one a unit and one an output
    ("rnn", ()): 465_600 + 688,
    ("rnn", (("units", (400, 400)),)): 550_400 + 888,
    ("rnn", (("units", (400,)), ("transition_units", (400,)), ("shortcut", True))): 585_600 + 888,
    (
        "rnn",
        (("units", (400,)), ("transition_units", (400,)), ("shortcut", True), ("output_units", (400,))),
    ): 745_600 + 1_288,
    ("lstm", ()): 21_364,  # 4 * 36 * (88 + 36 + 1) + 3 * 36 + 37 * 88
    ("gru", ()): 22_766,  # 3 * 46 * (88 + 46 + 1) + 47 * 88
    # Zaremba et al. 2014, small and medium: V E + 8 E (2 E + 1) + (E + 1) V for V = 10,000 words
    ("lstm", (*WORDS, ("units", (200, 200)))): 4_651_600,
    ("lstm", (*WORDS, ("units", (650, 650)))): 19_775_200,
    # (160,000 + 80,000) * 1000; eight LSTMs of 4 * 1000 * (1000 + 1000 + 1); 1001 * 80,000
    ("seq2seq", ()): 240_000_000 + 64_032_000 + 80_080_000,
    # 60,000 * 620; two GRUs 3 * 1000 * (620 + 1000 + 1); first state 1001 * 1000; the decoder's GRU
    # 621 * 3000 + 1000 * 3000 + 2000 * 3000, its score 2001 * 1000 + 1000 * 1000 + 1000; maxout
    # (1000 + 2000 + 620 + 1) * 1000; logits 501 * 30,000
    ("attention_seq2seq", ()): 37_200_000 + 9_726_000 + 1_001_000 + 10_863_000 + 3_002_000 + 3_621_000 + 15_030_000,
    # V d + N (12 d^2 + 4 d f + 2 (f + d) + 10 d): V words, N layers of each stack, d wide, f within, without biases
    # in the attention. Section 3 and table 3: base, big
    ("transformer", ()): 18_944_000 + 6 * 7_350_272,
    ("transformer", BIG): 37_888_000 + 6 * 29_380_608,
    ("transformer", TINY): 1_280_000 + 4 * 329_728,
    # V d + N (4 d^2 + 2 d f + f + d + 4 d)
    ("transformer_lm", ()): 5_120_000 + 6 * 3_150_336,
    # h = 128: 49 * 3 * 2h + 2h; 15 blocks of 2h h + h, 9 h h + h, 2h h + 2h; 256 -> 1024 -> 1024 -> 3 * 256
    ("pixelcnn", ()): 37_888 + 15 * 213_504 + 263_168 + 1_049_600 + 787_200,
    # 7 blocks of h = 16 for a binary image: 49 * 2h + 2h; 2h h + h, 9 h h + h, 2h h + 2h; 32 -> 32 -> 32 -> 1
    (
        "pixelcnn",
        (
            ("input_shape", (28, 28, 1)),
            ("levels", 2),
            ("output", "bernoulli"),
            ("num_blocks", 7),
            ("filters", 16),
            ("top_filters", (32, 32)),
        ),
    ): 1_600 + 7 * 3_392 + 1_056 + 1_056 + 33,
    # F = 384: first 21 * 3 * 2F + 2F and 7 * 3 * 2F + 2F; 19 layers of 15 F 2F + 2F and 5 F 2F + 2F; in each of 20 also
    # 2F 2F and F F + F; 384 -> 1024 -> 1024 -> 3 * 256
    ("gated_pixelcnn", ()): 49_152
    + 16_896
    + 19 * (4_424_448 + 1_475_328)
    + 20 * 737_664
    + 394_240
    + 1_049_600
    + 787_200,
    # h = 16, 7 layers of two directions 2h 4h + 2h 4h + 4h + 2h and h 2h + 2h; 49 * 2h + 2h; 32 -> 32 -> 32 -> 1
    ("pixelrnn", ()): 1_600 + 7 * (2 * 4_192 + 544) + 1_056 + 1_056 + 33,
    # of one direction: 2 * 2h 4h + 3h 4h + 4h + 2h
    ("pixelrnn", (("layer", "row_lstm"),)): 1_600 + 7 * (7_264 + 544) + 1_056 + 1_056 + 33,
    # CIFAR-10: 12 layers, h = 128, 49 * 3 * 2h + 2h; 256 -> 1024 -> 1024 -> 3 * 256
    (
        "pixelrnn",
        (
            ("input_shape", (32, 32, 3)),
            ("levels", 256),
            ("output", "categorical"),
            ("num_layers", 12),
            ("units", 128),
            ("top_filters", (1024, 1024)),
        ),
    ): 37_888 + 12 * (2 * 262_912 + 33_024) + 263_168 + 1_049_600 + 787_200,
    # 785 * 500 + 501 * 2 * 20; 21 * 500 + 501 * 784
    ("vae", ()): 392_500 + 20_040 + 10_500 + 392_784,
    # Burda et al. 2015, one stochastic layer: 785 * 200 + 201 * 200 + 201 * 100; 51 * 200 + 201 * 200 + 201 * 784
    ("vae", (("latent_dim", 50), ("units", (200, 200)))): 157_000 + 40_200 + 20_100 + 10_200 + 40_200 + 157_584,
    # 101 * 1200 + 1201 * 1200 + 1201 * 784; 785 * 1200 + 241 * 1200 + 241: 240 units of 5 pieces
    ("gan", ()): 121_200 + 1_441_200 + 941_584 + 942_000 + 289_200 + 241,
    # 100 * 49 * 64 + 128 + 25 * 64 * 32 + 64 + 25 * 32 + 1; 25 * 32 + 32 + 25 * 32 * 64 + 128 + 49 * 64 + 1
    ("dcgan", ()): 365_793 + 55_297,
    # Radford et al., figure 1: 1024, 512, 256 and 128 maps from 4 x 4 to 32 x 32 pixels
    ("dcgan", (("input_shape", (64, 64, 3)), ("filters", 128))): 18_855_043 + 17_232_897,
    # 2 * 256 * 32 + 32; 30 layers of 2 * 32 * 64 + 64 and 32 * 64 + 64, 29 residuals; 64 -> 64 -> 256
    ("wavenet", ()): 16_416 + 30 * 6_272 + 29 * 1_056 + 4_160 + 16_640,
    # 8 * 2 * 24 + 48, 15 of 8 * 24 * 24 + 48; a shortcut 2 * 24 + 24; 24 + 1 (the paper: about 70,000)
    ("tcn", ()): 432 + 15 * 4_656 + 72 + 25,
    # VGG-16's convolutions 14_710_464 + 8_448; the decoder's 14_708_736 + 7_424; logits 9 * 64 * 11 + 11
    ("segnet", ()): 14_718_912 + 14_716_160 + 6_347,
    # VGG-16's 14_710_464 + 8_448; 49 * 512 * 4096 twice, 4096^2, 2 * (4096 + 4096 + 512); 14_745_600 + 7_552; 64 * 21 + 21
    ("deconvnet", ()): 14_718_912 + 2 * 102_760_448 + 16_777_216 + 17_408 + 14_753_152 + 1_365,
}
