"""Training a recurrent network on a long text: the state goes from batch to batch; weight noise; scheduled sampling.

Sources: truncated backpropagation through time with the state carried over, Zaremba et al., arXiv:1409.2329, section 4;
weight noise, Graves, "Practical Variational Inference" (2011) as Chung et al. (arXiv:1412.3555) use it; scheduled
sampling, Bengio et al., arXiv:1506.03099.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_dl import decoding
from keras_dl.arguments import ArgumentError, ModelName, Number, Seed, Whole, checked
from keras_dl.layers.attention import Positions, Window
from keras_dl.layers.outputs import OutputBias
from keras_dl.layers.recurrent import Recurrent


def with_state(model):
    """The same network, its weights shared, with its state going in and coming out.

    Args:
        model: made by build_rnn, build_lstm, build_gru or build_transformer_lm.

    Returns:
        A model of sequences of any length: {"tokens" or "sequence": as before, "state": (B, S) float32} -> {"logits":
        as before, "state": (B, S)}.
        S is the sum of all layers' states, h and c side by side, the lowest layer first. Zeros are the state of a
        sequence's beginning; two halves with the state handed over equal the whole.
        A Transformer's state is its window of the last tokens, at most max_length: layers.attention.Window.

    Raises:
        ValueError: the model has no recurrent layer.

    >>> from keras_dl import models
    >>> with_state(models.build_lstm(units=(4, 3))).output["state"].shape
    (None, 14)
    """
    recurrent = [layer for layer in model.layers if isinstance(layer, Recurrent)]
    sizes = [n for layer in recurrent for n in layer.state_size]
    positions = [layer for layer in model.layers if isinstance(layer, Positions)]
    if not sizes and not positions:
        raise ValueError(f"with_state: the model must have recurrent layers; got {model.name} without any.")
    if positions:
        window = Window(model, positions[0].max_length, name="window")
        tokens, state = keras.Input((None,), dtype="int32", name="tokens"), keras.Input((window.units,), name="state")
        logits, left = window(tokens, state)
        return keras.Model({"tokens": tokens, "state": state}, {"logits": logits, "state": left}, name=model.name)
    x = given = keras.Input((None, *model.input.shape[2:]), dtype=model.input.dtype, name=model.input.name)
    state = keras.Input((sum(sizes),), name="state")
    edges = [sum(sizes[:i]) for i in range(1, len(sizes))]
    old, new = iter(ops.split(state, edges, -1) if edges else [state]), []
    for layer in model.layers[1:]:  # the builders make chains
        if isinstance(layer, Recurrent):
            x, *left = layer(x, initial_state=[next(old) for _ in layer.state_size])
            new += left
        else:
            if isinstance(layer, OutputBias):  # tied to the embedding
                x = model.layers[1](x, reverse=True)
            x = layer(x)
    outputs = {"logits": x, "state": ops.cast(ops.concatenate(new, -1), "float32")}
    return keras.Model({given.name: given, "state": state}, outputs, name=model.name)


@keras.saving.register_keras_serializable("keras_dl")
class SequenceModel(keras.Model):
    """A recurrent network with a training step of its own.

    Batches are (x, y, weight): y and weight (B, T), and x what the network takes, or, where the state is carried over,
    {its name: that, "start": (B,) bool}: the state of a row that starts is zero, of any other it is what the batch
    before left. Training and evaluation carry states of their own, so that neither disturbs the other; both are
    variables, and saved.

    Args:
        network: made by build_rnn, build_lstm, build_gru or build_transformer_lm.
        batch_size: B of every batch, where the state is carried over; 0: each batch is of whole sequences.
        weight_noise: standard deviation of the normal noise that is added to the weights for the gradient of a step.
        scheduled_sampling: probability with which an input of training is the model's own draw, not the text's.
        seed: of noise and draws.

    Source: as the file says.
    """

    @checked(who="SequenceModel")
    def __init__(
        self,
        network,
        *,
        batch_size: Whole(0, 1_000_000) = 0,
        weight_noise: Number("[0, 10]") = 0.0,
        scheduled_sampling: Number("[0, 1]") = 0.0,
        seed: Seed = 0,
        name: ModelName | None = None,
        **kwargs,
    ):
        super().__init__(name=name or network.name, **kwargs)
        self.network, self.stepper = network, with_state(network)
        self.batch_size, self.weight_noise, self.scheduled_sampling = batch_size, weight_noise, scheduled_sampling
        self.seed = seed
        self.seeds = keras.random.SeedGenerator(seed)
        if batch_size:
            shape = (batch_size, self.stepper.output["state"].shape[-1])
            self.train_state = self.add_weight(name="train_state", shape=shape, initializer="zeros", trainable=False)
            self.test_state = self.add_weight(name="test_state", shape=shape, initializer="zeros", trainable=False)
        self.built = True

    def call(self, inputs, training=False):
        """Logits of sequences that begin here."""
        return self.network(self._given(inputs), training=training)

    def train_step(self, data):
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        if self.scheduled_sampling:
            x = self._own_draws(x)
        kept = [tf.identity(v.value) for v in self.trainable_variables] if self.weight_noise else []
        for variable in self.trainable_variables if self.weight_noise else []:
            noise = keras.random.normal(variable.shape, 0.0, self.weight_noise, seed=self.seeds)
            variable.assign_add(ops.cast(noise, variable.dtype))
        with tf.GradientTape() as tape:
            logits, loss = self._loss(x, y, weight, training=True)
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [v.value for v in self.trainable_variables])
        for variable, value in zip(self.trainable_variables if kept else [], kept, strict=True):
            variable.assign(value)
        self.optimizer.apply(gradients, self.trainable_variables)
        return self._report(x, y, logits, loss, weight)

    def test_step(self, data):
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        logits, loss = self._loss(x, y, weight, training=False)
        return self._report(x, y, logits, loss, weight)

    def training_loss(self, data):
        """The loss of a training step on a batch, at the weights without noise (parts.training_losses asks for it)."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        return self._loss(self._own_draws(x) if self.scheduled_sampling else x, y, weight, training=True)[1]

    def _loss(self, x, y, weight, training):
        """(logits, loss) of a batch; where the state is carried over, it is taken and left."""
        if not self.batch_size:
            logits = self(x, training=training)
        else:
            carried = self.train_state if training else self.test_state
            state = self._begun(x, carried)
            made = self.stepper({self._name: self._given(x), "state": state}, training=training)
            logits = made["logits"]
            carried.assign(tf.stop_gradient(made["state"]))
        return logits, self.compute_loss(x, y, logits, weight, training=training)

    def _report(self, x, y, logits, loss, weight):
        self._loss_tracker.update_state(loss, sample_weight=ops.shape(ops.convert_to_tensor(y))[0])
        return self.compute_metrics(x, y, logits, sample_weight=weight)

    def _begun(self, x, carried):
        return tf.where(x["start"][:, None], tf.zeros_like(carried), tf.convert_to_tensor(carried))

    def _own_draws(self, x):
        """The batch with each input but the first replaced, with the given probability, by the model's draw.

        The draws are made step by step, each seeing the inputs that were drawn before it; no gradient goes through a
        draw, so training then takes the made inputs as it takes any.
        """
        tokens = self._given(x)
        batch, steps = tf.unstack(tf.shape(tokens))
        state = self._begun(x, self.train_state) if self.batch_size else tf.zeros(
            [batch, self.stepper.output["state"].shape[-1]]
        )  # fmt: skip
        seed = keras.random.randint((2,), 0, 2**31 - 1, seed=self.seeds)
        own = keras.random.uniform((batch, steps), seed=self.seeds) < self.scheduled_sampling
        sample = decoding.Sample(seed[0])

        def step(taken, state):
            made = self.stepper({self._name: taken[:, None], "state": state}, training=False)
            return made["logits"][:, 0], made["state"]

        def draw(logits, t):  # the input of step t + 1
            following = tf.minimum(t + 1, steps - 1)
            return tf.where(own[:, following], sample(logits, t), tokens[:, following])

        drawn = decoding.generate(step, state, tokens[:, 0], steps - 1, draw)[0]
        mixed = tf.ensure_shape(tf.concat([tokens[:, :1], drawn], 1), tokens.shape)
        return {**x, self._name: mixed} if isinstance(x, dict) else mixed

    @property
    def _name(self):
        return self.network.input.name

    def _given(self, x):
        return x[self._name] if isinstance(x, dict) else x

    def get_config(self):
        names = ("batch_size", "weight_noise", "scheduled_sampling", "seed", "name")
        network = keras.saving.serialize_keras_object(self.network)
        return {"network": network} | {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("network")), **config)


@checked(who="exposure_gap")
def exposure_gap(
    stepper,
    stream,
    *,
    prime: Whole(1, 100_000) = 50,
    steps: Whole(1, 100_000) = 50,
    sequences: Whole(1, 100_000) = 64,
    seed: Seed = 0,
):
    """What a language model thinks of its own continuations of a text, and of the text's.

    In training every input is the text's; when it writes, every input is its own. How far the two lie apart is what
    Bengio et al. (arXiv:1506.03099) train against.

    Args:
        stepper: with_state of a network of tokens.
        stream: int32 (N,) tokens, from which the beginnings are taken at equal distances.
        prime: tokens of a beginning; of a short stream half of it.
        steps: tokens of a continuation; as many as a short stream has behind that.
        sequences: how many beginnings, as far as the text has room for them.
        seed: of the draws.

    Returns:
        {"own": nats a token of the model's continuations under the model, "real": of the text's, "sequences": how
        many, "steps": tokens of a continuation}.

    Raises:
        ArgumentError: an argument does not fit its annotation, or the stream has less than 2 tokens.
    """
    if len(stream) < 2:
        raise ArgumentError(f"exposure_gap: stream must have at least 2 tokens; got {len(stream)}.")
    prime = min(prime, len(stream) // 2)
    steps = min(steps, len(stream) - prime)
    length = prime + steps
    starts = np.unique(np.linspace(0, max(0, len(stream) - length), sequences).astype(int))
    windows = np.stack([stream[s : s + length] for s in starts]).astype(np.int32)
    states = stepper.output["state"].shape[-1]

    @tf.function(autograph=False)
    def both(windows):
        zero = tf.zeros([tf.shape(windows)[0], states])
        before = zero
        if prime > 1:
            before = stepper({"tokens": windows[:, : prime - 1], "state": zero}, training=False)["state"]
        inputs = {"tokens": windows[:, prime - 1 : -1], "state": before}
        logits = stepper(inputs, training=False)["logits"]
        real = tf.nn.sparse_softmax_cross_entropy_with_logits(windows[:, prime:], logits)

        def step(taken, state):
            made = stepper({"tokens": taken[:, None], "state": state}, training=False)
            return made["logits"][:, 0], made["state"]

        _, own, _ = decoding.generate(step, before, windows[:, prime - 1], steps, decoding.Sample(seed))
        return -tf.reduce_mean(own), tf.reduce_mean(real)

    own, real = both(windows)
    return {"own": float(own), "real": float(real), "sequences": len(windows), "steps": steps}
