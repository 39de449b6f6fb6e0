"""Endpoints of a translation model: translate, sample translations, and the likelihood of a translation.

Shapes: B sentences per request, R hypotheses per sentence, S and T tokens of the longest source and target.
"""

import contextlib

import numpy as np

from keras_dl import decoding, distributions
from keras_dl.decoding.beam import STRONGEST
from keras_dl.endpoints import (
    HOTTEST,
    Endpoint,
    at_most,
    must,
    one_at_least,
    restrictions,
    weights_per_token,
    within,
    without,
)
from keras_dl.errors import UserError
from keras_dl.features.numbers import Count, Nats, Number, Score
from keras_dl.features.sentences import Alignment, Sentence, SourceTokens, TargetSentence, TargetTokens
from keras_dl.features.text import Text, Texts
from keras_dl.imports import quiet_tensorflow
from keras_dl.waiting import waiting
from keras_dl.wording import counted

with quiet_tensorflow():
    import tensorflow as tf

MOST_SENTENCES = 64  # per request
MOST_TOKENS = 512  # of a sentence with its end token
MOST_BYTES = 2**12  # of a sentence: a single long word needs as many merge steps as it has characters
# Bounds on the computation of a whole request, by the model's own cost, so that none takes more than 10 s on two cores,
# or more than 1 GB: benchmarks/safety.py measures both.
TRANSLATED = 3 * 2**34  # weights times tokens times hypotheses
SCORED = 2**35  # weights times tokens
FLOATS = 2**27  # floats in memory at the same time
ATTENDED = 2**12  # floats of attention weights per token, with 8 heads
LEAST = 128  # tokens of a request that are allowed for any model
BEYOND = 50  # how many tokens longer than its source a translation may be (arXiv:1706.03762, section 6.1)
PAD, BOS, EOS, UNK = range(4)
NEVER = (PAD, BOS, UNK)  # tokens that a translation never has
MANY = 100  # sentences whose translation is announced if it takes long
STRINGS = (
    "a translation model goes from strings to strings, and neither format has the operations that cut a sentence into "
    "sub-words"
)


def translation(model, subwords, example, *, width=5, length_penalty=0.6):
    """Endpoints of a translation model.

    Args:
        model: a step-by-step model (decoding.Stepwise); if it has `with_alignment`, answers have alignments.
        subwords: the pre-processing, features.subwords.Subwords.
        example: (sources, targets), strings with which the endpoints are tested.
        width: beam width, and R, the number of hypotheses returned; 1 is greedy search.
        length_penalty: default of the input "length_penalty".

    Returns:
        {"serving_default" and "translate": inputs "source" (B,) strings and the scalar "length_penalty"; outputs for
        the best hypothesis "translation" (B,) strings, "score" (B,), which is log P / ((5 + n) / 6) ** length_penalty
        (arXiv:1609.08144, eq. 14), "log_probability" (B,) in nats, "source_tokens" (B, S) and "target_tokens" (B, T),
        strings with the end token and "" after it, "alignment" (B, T, S), 0 after it; for all hypotheses, best first,
        "translations", "scores", "log_probabilities" (B, R);
        "sample": inputs "source" and scalars "temperature", "top_k" (0: all), "top_p" (1: all), "seed"; outputs
        "translation" and "log_probability" (B,);
        "score": inputs "source" and "target" (B,) strings; outputs "log_likelihood" (B,) in nats, summed over the
        target's tokens and its end token, "tokens" (B,), their number, and "nats_per_token" (B,), the negative mean}.
        A translation never contains padding, the begin token or the unknown token. The answer to a request without
        sentences has no rows. The largest request is in each Endpoint's limits.
    """
    most = limits(model, width)
    sources, targets = map(tuple, example)
    source = Sentence(subwords=subwords, examples=sources)
    outputs = {
        "translation": Text(), "score": Score(), "log_probability": Nats(),
        "translations": Texts(), "scores": Score(), "log_probabilities": Nats(),
        "source_tokens": SourceTokens(), "target_tokens": TargetTokens(),
    }  # fmt: skip
    outputs |= {"alignment": Alignment()} if hasattr(model, "with_alignment") else {}
    translate = Endpoint(
        translator(model, subwords, width),
        {"source": source, "length_penalty": Number("float32", length_penalty)},
        outputs,
        limits=most["translate"],
        portable=STRINGS,
    )
    numbers = {
        "temperature": Number("float32", 1.0), "top_k": Number("int32", 0), "top_p": Number("float32", 1.0),
        "seed": Number("int32", 0),
    }  # fmt: skip
    sample = Endpoint(
        sampler(model, subwords),
        {"source": source, **numbers},
        {"translation": Text(), "log_probability": Nats()},
        limits=most["sample"],
    )
    score = Endpoint(
        scorer(model, subwords),
        {"source": source, "target": TargetSentence(subwords=subwords, examples=targets)},
        {"log_likelihood": Nats(), "tokens": Count(), "nats_per_token": Nats()},
        limits=most["score"],
    )
    return {"serving_default": translate, "translate": translate, "sample": sample, "score": score}


class Translator:
    """Translates any number of sentences; those of similar lengths go into one request.

    Args:
        endpoint: the Endpoint "translate".
        sentences: the largest number of sentences in a request.

    Raises:
        UserError: `sentences` is more than the endpoint allows.
    """

    def __init__(self, endpoint, sentences=MOST_SENTENCES):
        if sentences > MOST_SENTENCES:
            raise UserError(f"--batch-size: must be at most {MOST_SENTENCES}; got {sentences}.")
        self.ask, self.most = endpoint.traced(), endpoint.limits | {"sentences": sentences}

    def __call__(self, texts, lengths):
        """The best translation of each sentence, a list of N strings.

        Args:
            texts: (N,) bytes.
            lengths: (N,) number of sub-words of each, without the end token.
        """
        translations = {}
        many = (
            waiting(f"translating {counted(len(texts), 'sentences')} ...")
            if len(texts) >= MANY
            else contextlib.nullcontext()
        )
        with many:
            for rows in requests(lengths + 1, self.most):
                best = self.ask(source=texts[rows])["translation"]
                translations |= dict(zip(rows.tolist(), best, strict=True))
        return [translations[row].decode(errors="replace") for row in range(len(texts))]

    def check(self, texts, lengths, name):
        """Raise UserError if a sentence of the data set `name` is too long to be translated."""
        for text, length in zip(texts, lengths, strict=True):
            if length >= self.most["tokens"] or len(text) > self.most["bytes"]:
                most = f"{counted(self.most['tokens'] - 1, 'sub-words')} and {counted(self.most['bytes'], 'bytes')}"
                raise UserError(
                    f"--source: a sentence of {name} is too long to be translated: at most {most}; split the one that "
                    f"begins {text[:40].decode(errors='replace')!r}."
                )

    def in_one_request(self, lengths):
        """Indices, ascending, of the sentences that go into the first request, given all their lengths."""
        return np.sort(requests(lengths + 1, self.most)[0])


def limits(model, width):
    """{"translate", "sample", "score": {quantity: the most that a request may have}} of a model.

    "tokens" and "bytes" are bounds on each sentence. "tokens_of_all" is a bound on the tokens of all sentences, each
    counted as the longest and, for "translate" and "sample", BEYOND more, which its translation may have.

    Args:
        model: as for `translation`.
        width: beam width.
    """
    classes = model.output_shape[-1]
    weights = weights_per_token(model, classes)
    together = {
        "translate": TRANSLATED // (weights * width),
        "sample": TRANSLATED // weights,
        "score": min(SCORED // weights, FLOATS // (2 * classes + ATTENDED)),
    }
    most = {}
    for name, tokens in together.items():
        tokens = max(LEAST, tokens)
        longest = min(MOST_TOKENS, tokens - (0 if name == "score" else BEYOND))
        most[name] = {
            "sentences": MOST_SENTENCES, "bytes": MOST_BYTES, "tokens": longest, "tokens_of_all": tokens,
        }  # fmt: skip
    return most


def requests(lengths, most):
    """Group sentences of similar lengths into requests: [(n,) indices of the sentences of a request].

    Args:
        lengths: (N,) number of tokens of each sentence, with the end token.
        most: limits(...)["translate"], with "sentences" lowered if desired.
    """
    order, first = np.argsort(lengths, kind="stable"), 0
    groups = []
    for at, sentence in enumerate(order):
        count = at - first + 1
        if at > first and (count > most["sentences"] or count * (lengths[sentence] + BEYOND) > most["tokens_of_all"]):
            groups.append(order[first:at])
            first = at
    return [*groups, order[first:]] if len(order) else []


def translator(model, subwords, width):
    """The function of the endpoint `translate`."""
    most = limits(model, width)["translate"]
    aligned = model.with_alignment() if hasattr(model, "with_alignment") else None

    def translate(source, length_penalty):
        with _after_checks([within(length_penalty, 0, STRONGEST, "length_penalty")], source=source):
            tokens = _encoded(subwords, source, most, BEYOND)

        def search(tokens):
            memory, state = model.begin(tokens)
            return decoding.beam_search(
                decoding.step_function(model, memory), state, _first(tokens), _limits(tokens), width, end=EOS,
                length_penalty=length_penalty, results=width, never=NEVER,
            )  # fmt: skip

        hypotheses, scores, log_probabilities, lengths = decoding.search_in_halves(search, tokens, fill=EOS)
        batch, _, steps = tf.unstack(tf.shape(hypotheses))
        texts = tf.reshape(subwords.decode(tf.reshape(hypotheses, [batch * width, steps])), [batch, width])
        best = hypotheses[:, 0, : tf.reduce_max(lengths[:, 0])]
        real = tf.sequence_mask(lengths[:, 0], tf.shape(best)[1])
        best = tf.where(real, best, PAD)
        answer = {
            "translation": texts[:, 0], "score": scores[:, 0], "log_probability": log_probabilities[:, 0],
            "translations": texts, "scores": scores, "log_probabilities": log_probabilities,
            "source_tokens": tf.where(tokens != PAD, subwords.strings(tokens), ""),
            "target_tokens": tf.where(real, subwords.strings(best), ""),
        }  # fmt: skip
        if aligned is not None:
            before = tf.concat([_first(tokens)[:, None], best[:, :-1]], 1)
            weights = aligned({"source": tokens, "target": before}, training=False)["alignment"]
            answer["alignment"] = tf.where(real[..., None], weights, 0.0)
        return _without_added_row(source, answer)

    return translate


def sampler(model, subwords):
    """The function of the endpoint `sample`."""
    most = limits(model, 1)["sample"]
    never = without(*NEVER, of=len(subwords.pieces))

    def sample(source, temperature, top_k, top_p, seed):
        numbers = [within(temperature, 0, HOTTEST, "temperature"), *restrictions(top_k, top_p, len(subwords.pieces))]
        with _after_checks(numbers, source=source):
            tokens = _encoded(subwords, source, most, BEYOND)
        draw = decoding.Sample(seed, temperature, top_k, top_p)
        memory, state = model.begin(tokens)
        limits = _limits(tokens)
        target, log_probabilities, _ = decoding.generate(
            decoding.step_function(model, memory), state, _first(tokens), tf.reduce_max(limits),
            lambda logits, t: draw(logits + never, t), end=EOS,
        )  # fmt: skip
        inside = tf.sequence_mask(limits, tf.shape(target)[1])  # independent of the other sentences of the request
        total = tf.reduce_sum(tf.where(inside, log_probabilities, 0.0), 1)
        return _without_added_row(
            source, {"translation": subwords.decode(tf.where(inside, target, EOS)), "log_probability": total}
        )

    return sample


def scorer(model, subwords):
    """The function of the endpoint `score`."""
    most = limits(model, 1)["score"]

    def score(source, target):
        with _after_checks([], source=source, target=target):  # these bounds are checked first
            sizes = tf.size(source), tf.size(target)
        equal = must(tf.equal(*sizes), "source and target must have as many sentences as each other")
        with tf.control_dependencies([equal]):
            tokens = _encoded(subwords, source, most)
            before, after, weight = subwords.targets(one_at_least(target))
            before = _bounded(before, "target", most)
        logits = model({"source": tokens, "target": before}, training=False)
        nll = -distributions.Categorical(logits).log_prob(after) * weight
        total, count = tf.reduce_sum(nll, 1), tf.reduce_sum(weight, 1)
        answer = {"log_likelihood": -total, "tokens": tf.cast(count, tf.int32), "nats_per_token": total / count}
        return _without_added_row(source, answer)

    return score


def _after_checks(numbers, **texts):
    """A context in which operations wait for the given checks, and for those that no text is too large."""
    checks = list(numbers)
    for who, text in texts.items():
        longest = tf.reduce_max(tf.concat([[0], tf.strings.length(text)], 0))
        checks += [
            at_most(tf.size(text), MOST_SENTENCES, f"{who}: a request", "sentences"),
            at_most(longest, MOST_BYTES, f"{who}: a sentence", "bytes"),
        ]
    return tf.control_dependencies(checks)


def _encoded(subwords, source, most, beyond=0):
    return _bounded(subwords.sources(one_at_least(source)), "source", most, beyond)


def _bounded(tokens, who, most, beyond=0):
    """Tokens (B, S), with assertions on S and on the number of all tokens."""
    sentences, longest = tf.unstack(tf.shape(tokens, tf.int64))
    each = "tokens, each sentence counted as the longest" + (f" and {beyond} more" if beyond else "")
    checks = [
        at_most(longest, most["tokens"], f"{who}: a sentence", "tokens"),
        at_most(sentences * (longest + beyond), most["tokens_of_all"], f"{who}: a request", each),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(tokens)


def _without_added_row(source, answer):
    """The answer without the row that was added to an empty request."""
    return {name: value[: tf.size(source)] for name, value in answer.items()}


def _first(tokens):
    return tf.fill([tf.shape(tokens)[0]], BOS)


def _limits(tokens):
    """The largest number of tokens of each translation, with the end token: (B,)."""
    return tf.reduce_sum(tf.cast(tokens != PAD, tf.int32), 1) + BEYOND
