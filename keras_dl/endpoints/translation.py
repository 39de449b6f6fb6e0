"""What a model that translates can be asked: to translate, to draw translations, and how likely one is.

Shapes: B sentences a request, R results a sentence, S and T tokens of the longest source and target.
"""

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

with quiet_tensorflow():
    import tensorflow as tf

MOST_SENTENCES = 64  # a request
MOST_TOKENS = 512  # of a sentence, its end counted
MOST_BYTES = 2**12  # of a sentence: one long word is as many steps of cutting it into sub-words
# What a request's sentences cost together, bounded by the model's own cost, so that none takes more than 10 s on two
# cores, nor 1 GB: benchmarks/safety.py measures both.
TRANSLATED = 3 * 2**34  # weights times tokens times hypotheses
SCORED = 2**35  # weights times tokens
FLOATS = 2**27  # that are held at once
ATTENDED = 2**12  # floats of attention a token, with 8 heads
LEAST = 128  # tokens of a request that any model takes
BEYOND = 50  # tokens that a translation may have more than its source (arXiv:1706.03762, section 6.1)
PAD, BOS, EOS, UNK = range(4)
NEVER = (PAD, BOS, UNK)  # in a translation


def translation(model, subwords, example, *, width=5, length_penalty=0.6):
    """Endpoints of a model that translates.

    Args:
        model: one that goes from step to step (decoding.Stepwise); where it has with_alignment, alignments are said.
        subwords: the pre-processing, features.subwords.Subwords.
        example: (sources, targets), strings that they are tried with.
        width: of the beam; 1 is the greedy choice. As many results are given.
        length_penalty: default of the request's.

    Returns:
        {"serving_default" and "translate": "source" (B,) strings and the scalar "length_penalty" -> "translation"
        (B,), the best, "score" (B,), log P / ((5 + n) / 6) ** length_penalty of it (arXiv:1609.08144, eq. 14),
        "log_probability" (B,) in nats; "translations", "scores", "log_probabilities" (B, R), the best first; and of
        the best "source_tokens" (B, S), "target_tokens" (B, T) strings, the end's among them, "" behind it, and
        "alignment" (B, T, S), 0 there;
        "sample": "source", and scalars "temperature", "top_k" (0: all), "top_p" (1: all), "seed" -> "translation",
        "log_probability";
        "score": "source" and "target" (B,) strings -> "log_likelihood" (B,) in nats of all the target's tokens and
        its end, "tokens" (B,) how many, "nats_per_token" (B,)}.
        A translation has no padding, no second begin and nothing unknown. A request of no sentences is answered by no
        rows. What a request may have at most stands in each Endpoint's limits.
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
    """Translates any number of sentences: those of like lengths go into one request.

    Args:
        endpoint: the Endpoint "translate".
        sentences: at most so many in a request.

    Raises:
        UserError: more `sentences` than the endpoint takes.
    """

    def __init__(self, endpoint, sentences=MOST_SENTENCES):
        if sentences > MOST_SENTENCES:
            raise UserError(f"--batch-size: must be at most {MOST_SENTENCES}; got {sentences}.")
        self.ask, self.most = endpoint.traced(), endpoint.limits | {"sentences": sentences}

    def __call__(self, texts, lengths):
        """The best translations, strings.

        Args:
            texts: (N,) bytes.
            lengths: (N,) sub-words of each, its end not counted.
        """
        translations = {}
        for rows in requests(lengths + 1, self.most):
            best = self.ask(source=texts[rows])["translation"]
            translations |= dict(zip(rows.tolist(), best, strict=True))
        return [translations[row].decode(errors="replace") for row in range(len(texts))]

    def check(self, texts, lengths, name):
        """Raise UserError where a sentence of the data set `name` is too long to be translated."""
        for text, length in zip(texts, lengths, strict=True):
            if length >= self.most["tokens"] or len(text) > self.most["bytes"]:
                raise UserError(
                    f"--source: a sentence of {name} is too long to be translated: at most {self.most['tokens'] - 1} "
                    f"sub-words and {self.most['bytes']} bytes; split the one that begins "
                    f"{text[:40].decode(errors='replace')!r}."
                )

    def in_one_request(self, lengths):
        """The numbers of sentences of these lengths that go into the first request, ascending."""
        return np.sort(requests(lengths + 1, self.most)[0])


def limits(model, width):
    """{"translate", "sample", "score": {what: the most of it in a request}} of a model.

    A sentence may have "tokens" and "bytes". "tokens_of_all" is of all together, each counted as the longest and, where
    they are to be translated, BEYOND more, which its translation may have.

    Args:
        model: as of translation.
        width: of the beam.
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
    """Which sentences to translate together: [(n,) their numbers], those of like lengths in one request.

    Args:
        lengths: (N,) tokens of each sentence, its end counted.
        most: limits(...)["translate"]; its "sentences" may be lowered.
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
    """The function behind `translate`."""
    most = limits(model, width)["translate"]
    aligned = model.with_alignment() if hasattr(model, "with_alignment") else None

    def translate(source, length_penalty):
        with _checked([within(length_penalty, 0, STRONGEST, "length_penalty")], source=source):
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
        return _of(source, answer)

    return translate


def sampler(model, subwords):
    """The function behind `sample`."""
    most = limits(model, 1)["sample"]
    never = without(*NEVER, of=len(subwords.pieces))

    def sample(source, temperature, top_k, top_p, seed):
        numbers = [within(temperature, 0, HOTTEST, "temperature"), *restrictions(top_k, top_p, len(subwords.pieces))]
        with _checked(numbers, source=source):
            tokens = _encoded(subwords, source, most, BEYOND)
        draw = decoding.Sample(seed, temperature, top_k, top_p)
        memory, state = model.begin(tokens)
        limits = _limits(tokens)
        target, log_probabilities, _ = decoding.generate(
            decoding.step_function(model, memory), state, _first(tokens), tf.reduce_max(limits),
            lambda logits, t: draw(logits + never, t), end=EOS,
        )  # fmt: skip
        inside = tf.sequence_mask(limits, tf.shape(target)[1])  # whatever else is in the request
        total = tf.reduce_sum(tf.where(inside, log_probabilities, 0.0), 1)
        return _of(source, {"translation": subwords.decode(tf.where(inside, target, EOS)), "log_probability": total})

    return sample


def scorer(model, subwords):
    """The function behind `score`."""
    most = limits(model, 1)["score"]

    def score(source, target):
        with _checked([], source=source, target=target):  # these bounds are said first
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
        return _of(source, answer)

    return score


def _checked(numbers, **texts):
    """Where those checks hold and no text is too large."""
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
    """Tokens (B, S), where S and all together are not too many."""
    sentences, longest = tf.unstack(tf.shape(tokens, tf.int64))
    each = "tokens, each sentence counted as the longest" + (f" and {beyond} more" if beyond else "")
    checks = [
        at_most(longest, most["tokens"], f"{who}: a sentence", "tokens"),
        at_most(sentences * (longest + beyond), most["tokens_of_all"], f"{who}: a request", each),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(tokens)


def _of(source, answer):
    """The answer's rows that belong to the sentences of a request."""
    return {name: value[: tf.size(source)] for name, value in answer.items()}


def _first(tokens):
    return tf.fill([tf.shape(tokens)[0]], BOS)


def _limits(tokens):
    """How long each translation may get, its end counted: (B,)."""
    return tf.reduce_sum(tf.cast(tokens != PAD, tf.int32), 1) + BEYOND
