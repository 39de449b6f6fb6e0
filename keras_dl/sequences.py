"""Training a recurrent network on a long text: the state goes from batch to batch; weight noise; scheduled sampling.

Sources: truncated backpropagation through time with the state carried over, Zaremba et al., arXiv:1409.2329, section 4;
weight noise, Graves, "Practical Variational Inference" (2011) as Chung et al. (arXiv:1412.3555) use it; scheduled
sampling, Bengio et al., arXiv:1506.03099.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_dl import decoding, distributions
from keras_dl.arguments import ArgumentError, ModelName, Number, Seed, Whole, checked


@keras.saving.register_keras_serializable("keras_dl")
class SequenceModel(keras.Model):
    """A network that goes from step to step, with a training step of its own.

    Batches are (x, y, weight): y and weight (B, T), and x what the network takes, or, where the state is carried over,
    {its name: that, "start": (B,) bool}: the state of a row that starts is zero, of any other it is what the batch
    before left. Training and evaluation carry states of their own, so that neither disturbs the other; both are
    variables, and saved. (Of a Transformer all rows of a batch must start together.)

    Args:
        network: a model that goes from step to step (decoding.Stepwise, with read), as build_rnn, build_lstm, build_gru
            and build_transformer_lm make it.
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
        self.network = network
        self.batch_size, self.weight_noise, self.scheduled_sampling = batch_size, weight_noise, scheduled_sampling
        self.seed = seed
        self.seeds = keras.random.SeedGenerator(seed)
        if batch_size:
            self.train_state, self.test_state = self._carried("train_state"), self._carried("test_state")
        self.built = True

    def _carried(self, name):
        """Variables, one for each tensor of a state, in the order of tf.nest.flatten."""
        _, state = self.network.begin(rows=self.batch_size, grows=False)
        return [
            self.add_weight(name=f"{name}_{n}", shape=x.shape, dtype=x.dtype.name, initializer="zeros", trainable=False)
            for n, x in enumerate(tf.nest.flatten(state))
        ]

    def call(self, inputs, training=False):
        """Logits of sequences that begin here."""
        return self.network(self._inputs_of(inputs), training=training)

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
            memory, state = self._begun(x, carried)
            logits, state = self.network.read(self._inputs_of(x), state, memory, training=training)
            for variable, value in zip(carried, tf.nest.flatten(state), strict=True):
                variable.assign(tf.stop_gradient(value))
        return logits, self.compute_loss(x, y, logits, weight, training=training)

    def _report(self, x, y, logits, loss, weight):
        self._loss_tracker.update_state(loss, sample_weight=ops.shape(ops.convert_to_tensor(y))[0])
        return self.compute_metrics(x, y, logits, sample_weight=weight)

    def _begun(self, x, carried):
        """(memory, state) of a batch: of a row that starts a new state, of any other the carried one."""
        memory, fresh = self.network.begin(rows=self.batch_size, grows=False)

        def chosen(new, variable):
            start = tf.reshape(x["start"], [-1] + [1] * (new.shape.rank - 1))
            return tf.where(start, new, tf.convert_to_tensor(variable))

        tensors = [chosen(new, old) for new, old in zip(tf.nest.flatten(fresh), carried, strict=True)]
        return memory, tf.nest.pack_sequence_as(fresh, tensors)

    def _own_draws(self, x):
        """The batch with each input but the first replaced, with the given probability, by the model's draw.

        The draws are made step by step, each seeing the inputs that were drawn before it; no gradient goes through a
        draw, so training then takes the new inputs as it takes any.
        """
        tokens = self._inputs_of(x)
        batch, steps = tf.unstack(tf.shape(tokens))
        memory, state = self._begun(x, self.train_state) if self.batch_size else self.network.begin(rows=batch)
        seed = keras.random.randint((2,), 0, 2**31 - 1, seed=self.seeds)
        own = keras.random.uniform((batch, steps), seed=self.seeds) < self.scheduled_sampling
        sample = decoding.Sample(seed[0])

        def draw(logits, t):  # the input of step t + 1
            following = tf.minimum(t + 1, steps - 1)
            return tf.where(own[:, following], sample(logits, t), tokens[:, following])

        step = decoding.step_function(self.network, memory)
        written = decoding.generate(step, state, tokens[:, 0], steps - 1, draw)[0]
        mixed = tf.ensure_shape(tf.concat([tokens[:, :1], written], 1), tokens.shape)
        return {**x, self.network.input.name: mixed} if isinstance(x, dict) else mixed

    def _inputs_of(self, x):
        """What the network takes of a batch's x."""
        return x[self.network.input.name] if isinstance(x, dict) else x

    def get_config(self):
        names = ("batch_size", "weight_noise", "scheduled_sampling", "seed", "name")
        network = keras.saving.serialize_keras_object(self.network)
        return {"network": network} | {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("network")), **config)


@checked(who="exposure_gap")
def exposure_gap(
    network,
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
        network: a model of tokens that goes from step to step, as of SequenceModel.
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

    @tf.function(autograph=False)
    def both(windows):
        memory, state = network.begin(rows=tf.shape(windows)[0])
        if prime > 1:
            _, state = network.read(windows[:, : prime - 1], state, memory)
        logits, _ = network.read(windows[:, prime - 1 : -1], state, memory)
        real = distributions.Categorical(logits).log_prob(windows[:, prime:])
        step = decoding.step_function(network, memory)
        _, own, _ = decoding.generate(step, state, windows[:, prime - 1], steps, decoding.Sample(seed))
        return -tf.reduce_mean(own), -tf.reduce_mean(real)

    own, real = both(windows)
    return {"own": float(own), "real": float(real), "sequences": len(windows), "steps": steps}
