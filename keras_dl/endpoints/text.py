"""Endpoints of a language model: the likelihood of a text, and its continuation.

Shapes: B texts per request, T tokens.
"""

from keras_dl import decoding, distributions
from keras_dl.endpoints import (
    Endpoint,
    Portable,
    at_most,
    one_at_least,
    restrictions,
    sampling,
    weights_per_token,
    without,
)
from keras_dl.endpoints.plain import plainly
from keras_dl.errors import UserError
from keras_dl.features.ids import NextLogits, TokenIds
from keras_dl.features.numbers import Count, Nats, Number
from keras_dl.features.text import Text
from keras_dl.features.tokens import EOS
from keras_dl.imports import quiet_tensorflow
from keras_dl.wording import counted

with quiet_tensorflow():
    import tensorflow as tf

MOST_TEXTS = 64  # per request
MOST_BYTES = 2**20  # of all texts of a request
MOST_TOKENS = 2**15  # of a text to be scored, whose steps are computed one after the other
MOST_STEPS = 2**13  # of a generated text with its prime: each step is a chain of small operations
# Bounds on the computation of a whole request, by the model's own cost, so that no request takes more than 10 s on two
# cores, or more than 1 GB: benchmarks/safety.py measures both.
SCORED = 2**35  # weights times tokens
GENERATED = 2**34  # weights times tokens
FLOATS = 2**27  # floats in memory at the same time
LEAST = 64  # tokens of a request that are allowed for any model
LINE_ENDS = ("<eos>", "\n")


def language_model(model, tokens, prime="", length=100):
    """Endpoints of a language model.

    Args:
        model: a step-by-step model of tokens (decoding.Stepwise, with `read` and `cost`).
        tokens: the pre-processing, features.tokens.Tokens.
        prime: a text with which `generate` is tested.
        length: the default number of tokens to generate.

    Returns:
        {"serving_default" and "score": input "text" (B,) strings; outputs "log_likelihood" (B,) in nats, summed over
        the text's tokens, "tokens" (B,), their number, and "nats_per_token" (B,), the negative mean;
        "generate": inputs "prime" (B,) strings and scalars "length" (tokens), "temperature", "top_k" (0: all), "top_p"
        (1: all), "seed"; output "text" (B,), the prime and its continuation}.
        Every text is read as the beginning of a line. The answer to a request without texts has no rows. The unknown
        token is never sampled. The largest request is in each Endpoint's limits, where every text counts as having as
        many tokens as the longest.
    """
    texts = (prime + _example_text(tokens), _example_text(tokens))
    score = Endpoint(
        scorer(model, tokens),
        {"text": Text(tokens, texts)},
        {"log_likelihood": Nats(), "tokens": Count(), "nats_per_token": Nats()},
        limits=limits(model)["score"],
        portable=_portable(model, tokens, texts),
    )
    numbers = {
        "length": Number("int32", length), "temperature": Number("float32", 1.0), "top_k": Number("int32", 0),
        "top_p": Number("float32", 1.0), "seed": Number("int32", 0),
    }  # fmt: skip
    generate = Endpoint(
        generator(model, tokens),
        {"prime": Text(tokens, (prime, prime[: len(prime) // 2])), **numbers},
        {"text": Text(tokens)},
        limits=limits(model)["generate"],
    )
    return {"serving_default": score, "score": score, "generate": generate}


def limits(model):
    """{"score", "generate": {quantity: the most that a request may have}}, computed from the model's cost."""
    classes, cost = model.output.shape[-1], model.cost()
    weights = weights_per_token(model, classes) * cost.passes
    scored = max(LEAST, min(SCORED // weights, FLOATS // (2 * classes + 8 * cost.floats)))
    generated = max(LEAST, GENERATED // weights)
    texts = {"texts": MOST_TEXTS, "bytes": MOST_BYTES}
    return {
        "score": {**texts, "tokens": min(MOST_TOKENS, scored), "tokens_of_all": scored},
        "generate": {**texts, "tokens": min(MOST_STEPS // cost.chain, generated), "tokens_of_all": generated},
    }


def sample_length(asked, default, most, prime):
    """The length of a sample, if prime and sample together may have at most `most` tokens.

    Args:
        asked: --sample-length in tokens. It is reduced if necessary, but only if it is the default.
        default: the default of --sample-length.
        most: number of tokens.
        prime: number of tokens of the prime.

    Returns:
        (number of tokens of a sample, sentences to be printed).

    Raises:
        UserError: the prime is too long, or a --sample-length that is not the default is.
    """
    if prime >= most:
        raise UserError(f"--prime: must have at most {counted(most - 1, 'tokens')} for this model; got {prime}.")
    length = min(asked, most - prime)
    if length == asked:
        return length, ()
    if asked != default:
        raise UserError(f"--sample-length: must be at most {length} for this model; got {asked}.")
    return length, (
        f"samples have {counted(length, 'tokens')}: with the prime, this model's requests may have at most {most}.",
    )


def scorer(model, tokens):
    """The function of the endpoint `score`."""
    begin, most = _id_before_text(tokens), limits(model)["score"]

    def score(text):
        with tf.control_dependencies(_size_checks(text, "text")):
            ids = tokens.encode(one_at_least(text))
        count = ids.row_lengths()
        with tf.control_dependencies(_token_checks(text, tf.reduce_max(count), most, "text")):
            targets = ids.to_tensor()
        targets = tf.pad(targets, [[0, 0], [0, tf.maximum(1 - tf.shape(targets)[1], 0)]])  # no model reads 0 tokens
        batch = tf.shape(targets)[0]
        inputs = tf.concat([tf.fill([batch, 1], begin), targets], 1)[:, :-1]
        memory, state = model.begin(rows=batch)
        logits, _ = model.read(inputs, state, memory)
        nll = -distributions.Categorical(logits).log_prob(targets)
        total = tf.reduce_sum(nll * tf.sequence_mask(count, tf.shape(targets)[1], tf.float32), 1)
        mean = total / tf.cast(tf.maximum(count, 1), tf.float32)
        likelihood = tf.where(count > 0, -total, 0.0)  # 0 for no tokens, not -0
        answer = {"log_likelihood": likelihood, "tokens": tf.cast(count, tf.int32), "nats_per_token": mean}
        return {name: value[: tf.size(text)] for name, value in answer.items()}

    return score


def generator(model, tokens):
    """The function of the endpoint `generate`: each step reads the prime's next token, then sampled tokens."""
    begin, most = _id_before_text(tokens), limits(model)["generate"]
    classes = len(tokens.vocabulary)

    def generate(prime, length, temperature, top_k, top_p, seed):
        numbers = [*sampling(length, temperature, most["tokens"], "tokens"), *restrictions(top_k, top_p, classes)]
        with tf.control_dependencies([*numbers, *_size_checks(prime, "prime")]):
            primes = tokens.encode(one_at_least(prime))
            length = tf.identity(length)
        count = tf.cast(primes.row_lengths(), tf.int32)
        longest = tf.reduce_max(count)
        with tf.control_dependencies(_token_checks(prime, longest + length, most, "prime and length")):
            primes = tf.pad(primes.to_tensor(), [[0, 0], [0, 1]])
            steps = longest + length
        batch = tf.shape(primes)[0]
        sample, never = decoding.Sample(seed, temperature, top_k, top_p), without(tokens.unknown, of=classes)

        def draw(logits, t):  # the input of step t + 1: token t of the text
            return tf.where(t < count, primes[:, tf.minimum(t, longest)], sample(logits + never, t))

        memory, state = model.begin(rows=batch)
        step = decoding.step_function(model, memory)
        text = decoding.generate(step, state, tf.fill([batch], begin), steps, draw)[0]
        text = tf.RaggedTensor.from_tensor(text, lengths=count + length)
        return {"text": tokens.decode(text)[: tf.size(prime)]}

    return generate


def _id_before_text(tokens):
    """The id of the token before a text: the end of a line."""
    return next((tokens.vocabulary.index(end) for end in LINE_ENDS if end in tokens.vocabulary), 0)


def _example_text(tokens):
    """A text of two tokens of the vocabulary, as an example."""
    no_text = (tokens.vocabulary[tokens.unknown], *LINE_ENDS)
    known = [token for token in tokens.vocabulary if token.strip() and token not in no_text]
    return ("" if tokens.level == "character" else " ").join(known[:2])


def _size_checks(texts, who):
    """Assertions that a request is not too large to be tokenized."""
    size = tf.reduce_sum(tf.strings.length(texts))
    return [
        at_most(tf.size(texts), MOST_TEXTS, f"{who}: a request", "texts"),
        at_most(size, MOST_BYTES, f"{who}: a request", "bytes"),
    ]


def _token_checks(texts, longest, most, who):
    """Assertions on the number of tokens of a request, each text counted as the longest."""
    longest = tf.cast(longest, tf.int64)
    of_all = longest * tf.cast(tf.size(texts), tf.int64)
    return [
        at_most(longest, most["tokens"], f"{who}: a text", "tokens"),
        at_most(of_all, most["tokens_of_all"], f"{who}: a request", "tokens, each text counted as the longest"),
    ]


def _portable(model, tokens, texts):
    """The logits of every next token, for formats without strings."""
    begin, longest = _id_before_text(tokens), getattr(model, "max_length", None)
    of_what = "characters" if tokens.level == "character" else f"words between white space, and {EOS} for a line's end"
    outside = [
        f"a text is cut into {of_what}, which are looked up in the vocabulary",
        "the first id is that of begin",
        "texts are generated in a loop that appends a token and calls the file again",
        *([f"not more than {counted(longest, 'tokens')} can be read at once"] if longest else []),
    ]
    return Portable(
        lambda tokens: {"logits": plainly(model, tokens)},
        {"tokens": TokenIds(tokens, begin, texts)},
        {"logits": NextLogits()},
        about={
            "level": tokens.level,
            "vocabulary": list(tokens.vocabulary),
            "unknown": tokens.unknown,
            "begin": begin,
            "inside": "the network: from the ids of tokens to the logits of the token after each of them",
            "outside": "; ".join(outside),
        },
    )
