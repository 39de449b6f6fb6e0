"""What a language model can be asked: how likely a text is, and how it goes on.

Shapes: B texts a request, T tokens, S values of the network's state.
"""

from keras_dl import decoding
from keras_dl.endpoints import Endpoint, at_most, sampling
from keras_dl.runtime import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf

MOST_TEXTS = 64  # a request
MOST_TOKENS = 2**17  # of a text, or generated
LINE_ENDS = ("<eos>", "\n")


def language_model(stepper, tokens, prime="", length=100):
    """Endpoints of a language model.

    Args:
        stepper: models.with_state of a network: {"tokens", "state"} -> {"logits", "state"}.
        tokens: the pre-processing, data.text.Tokens.
        prime, length: what `generate` is tried with, and the default length.

    Returns:
        {"serving_default" and "score": "text" (B,) strings -> "log_likelihood" (B,) in nats, of all the text's tokens,
        "tokens" (B,) how many, "nats_per_token" (B,);
        "generate": "prime" (B,) strings and scalars "length" (tokens), "temperature", "top_k" (0: all), "top_p" (1:
        all), "seed" -> "text" (B,), the prime and what follows it}.
        Every text is read as the beginning of a line.
    """
    kinds = {"text": "text", "log_likelihood": "nats", "tokens": "count", "nats_per_token": "nats"}
    texts = tf.TensorSpec((None,), tf.string, "text")
    score = Endpoint(scorer(stepper, tokens), (texts,), kinds, {"text": [prime + "a b", "b"]})
    scalars = {
        "length": (tf.int32, length), "temperature": (tf.float32, 1.0), "top_k": (tf.int32, 0),
        "top_p": (tf.float32, 1.0), "seed": (tf.int32, 0),
    }  # fmt: skip
    inputs = [tf.TensorSpec((None,), tf.string, "prime")]
    inputs += [tf.TensorSpec((), dtype, name) for name, (dtype, _) in scalars.items()]
    example = {name: value for name, (_, value) in scalars.items()} | {"prime": [prime, prime[: len(prime) // 2]]}
    kinds = {"prime": "text", "text": "text", **dict.fromkeys(scalars, "number")}
    generate = Endpoint(generator(stepper, tokens), tuple(inputs), kinds, example)
    return {"serving_default": score, "score": score, "generate": generate}


def scorer(stepper, tokens):
    """The function behind `score`."""
    begin, states = _begin(tokens), stepper.output["state"].shape[-1]

    def score(text):
        ids = _bounded(tokens.encode(text))
        targets, count = ids.to_tensor(), ids.row_lengths()
        batch = tf.shape(targets)[0]
        inputs = tf.concat([tf.fill([batch, 1], begin), targets], 1)[:, :-1]
        logits = stepper({"tokens": inputs, "state": tf.zeros([batch, states])}, training=False)["logits"]
        nll = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        total = -tf.reduce_sum(nll * tf.sequence_mask(count, tf.shape(targets)[1], tf.float32), 1)
        mean = -total / tf.cast(tf.maximum(count, 1), tf.float32)
        return {"log_likelihood": total, "tokens": tf.cast(count, tf.int32), "nats_per_token": mean}

    return score


def generator(stepper, tokens):
    """The function behind `generate`: a step feeds the prime's next token while there is one, then what was drawn."""
    begin, states = _begin(tokens), stepper.output["state"].shape[-1]

    def generate(prime, length, temperature, top_k, top_p, seed):
        with tf.control_dependencies(sampling(length, temperature, MOST_TOKENS, "tokens")):
            given = _bounded(tokens.encode(prime))
        count, given = tf.cast(given.row_lengths(), tf.int32), given.to_tensor()
        batch = tf.shape(given)[0]
        longest = tf.shape(given)[1]
        given = tf.pad(given, [[0, 0], [0, 1]])
        sample = decoding.Sample(seed, temperature, top_k, top_p)

        def step(taken, state):
            made = stepper({"tokens": taken[:, None], "state": state}, training=False)
            return made["logits"][:, 0], made["state"]

        def draw(logits, t):  # the input of step t + 1: token t of the text
            return tf.where(t < count, given[:, tf.minimum(t, longest)], sample(logits, t))

        first, state = tf.fill([batch], begin), tf.zeros([batch, states])
        text = decoding.generate(step, state, first, longest + length, draw)[0]
        text = tf.RaggedTensor.from_tensor(text, lengths=count + length)
        return {"text": tokens.decode(text)}

    return generate


def _begin(tokens):
    """What stands before a text: a line's end."""
    return next((tokens.vocabulary.index(end) for end in LINE_ENDS if end in tokens.vocabulary), 0)


def _bounded(ids):
    checks = [
        at_most(ids.nrows(), MOST_TEXTS, "text: a request", "texts"),
        at_most(tf.reduce_max(tf.concat([[0], ids.row_lengths()], 0)), MOST_TOKENS, "text: a text", "tokens"),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(ids)
