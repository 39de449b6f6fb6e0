"""Training a recurrent network on a long text, with the state carried from batch to batch, weight noise and scheduled
sampling.

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
    """Wraps a network that runs step by step, with a train_step for carried states, weight noise, scheduled sampling.

    Batches are (x, y, weight), y and weight (B, T). With batch_size=0, x is the network's input; else x is {name of the
    network's input: input, "start": (B,) bool}: rows with start=True begin with a zero state, the others with the state
    that the batch before ended with. Training and evaluation have separate states, both in variables, which are saved.
    (With a Transformer all rows of a batch must start together.)

    Args:
        network: a decoding.Stepwise with a method read, as build_rnn, build_lstm, build_gru and build_transformer_lm
            return it.
        batch_size: B of every batch, if the state is carried over; 0: the rows of a batch are whole sequences.
        weight_noise: standard deviation of the Gaussian noise on the weights when a training step's gradient is
            computed.
        scheduled_sampling: probability with which an input in training is drawn from the model instead of the text.
        seed: of noise and draws.

    Raises:
        ArgumentError: an argument does not fit its annotation.

    Sources: as at the top of the file.
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
        """Variables for a carried state, one for each of its tensors, in the order of tf.nest.flatten."""
        _, state = self.network.begin(rows=self.batch_size, grows=False)
        return [
            self.add_weight(name=f"{name}_{n}", shape=x.shape, dtype=x.dtype.name, initializer="zeros", trainable=False)
            for n, x in enumerate(tf.nest.flatten(state))
        ]

    def call(self, inputs, training=False):
        """Logits of the inputs, from a zero state."""
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
        """The loss of a training step on a batch, without weight noise; for parts.training_losses."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        return self._loss(self._own_draws(x) if self.scheduled_sampling else x, y, weight, training=True)[1]

    def _loss(self, x, y, weight, training):
        """(logits, loss) of a batch; a carried state is read and updated."""
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
        """(memory, state) before a batch: a zero state for rows that start, the carried state for the others."""
        memory, fresh = self.network.begin(rows=self.batch_size, grows=False)

        def chosen(new, variable):
            start = tf.reshape(x["start"], [-1] + [1] * (new.shape.rank - 1))
            return tf.where(start, new, tf.convert_to_tensor(variable))

        tensors = [chosen(new, old) for new, old in zip(tf.nest.flatten(fresh), carried, strict=True)]
        return memory, tf.nest.pack_sequence_as(fresh, tensors)

    def _own_draws(self, x):
        """x with each input after the first replaced by the model's draw, with probability scheduled_sampling.

        The draws are made step by step, each given the inputs that were drawn before it. No gradient flows through a
        draw, so the result is used like any other input.
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
        """The network's input in a batch's x."""
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
    """The negative log-likelihood of a language model on its own continuations of a text, and on the text's.

    In training every input is from the text; in generation it is the model's own output. Scheduled sampling (Bengio et
    al., arXiv:1506.03099) is meant to reduce the difference.

    Args:
        network: a model of tokens, as in SequenceModel.
        stream: int32 (N,) tokens, from which the primes are taken at equal distances.
        prime: number of tokens before a continuation; at most half of the stream.
        steps: number of tokens of a continuation; at most what the stream has after the prime.
        sequences: number of continuations; fewer if the stream is too short for as many.
        seed: of the draws.

    Returns:
        {"own": mean nats per token on the model's own continuations, "real": on those of the text, "sequences": number
        of continuations, "steps": tokens of each}.

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
